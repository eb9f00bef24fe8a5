//! The polite client that the README shows, in ten lines.

use std::{cell::Cell, time::Duration};
use tollgate::client::Backoff;

include!("polite.rs");

#[test]
fn it_tries_again_and_its_last_answer_is_the_callers() {
    let backoff = Backoff::doubling().first(Duration::from_millis(1)).tries(3);
    let built = tollgate::client::Pacer::builder().quota("1000/s".parse().unwrap());
    let pacer = built.backoff(backoff).build();
    for (denials, expected) in [(0, (200, 1)), (1, (200, 2)), (5, (429, 3))] {
        let times = Cell::new(0);
        let send = || {
            times.set(times.get() + 1);
            (if times.get() > denials { 200 } else { 429 }, vec![])
        };
        assert_eq!((polite(&pacer, send), times.get()), expected);
    }
}

/// What the README shows is what runs here.
#[test]
fn the_readme_shows_it() {
    let code = include_str!("polite.rs");
    assert!(code.lines().count() <= 10, "{}", code.lines().count());
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("<!-- tests/client/polite.rs -->\n```rust\n").unwrap();
    assert_eq!(after.split_once("```").unwrap().0, code);
}
