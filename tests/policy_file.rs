//! The policy file: what is read, and what every mistake is answered with, to the
//! line and column.
#![cfg(all(feature = "policy", not(loom)))]

use proptest::prelude::*;
use std::time::{Duration, Instant};
use tollgate::policy::{PolicyError, PolicyFile};

fn parse(text: &str) -> Result<PolicyFile, PolicyError> {
    PolicyFile::parse("policy.toml", text.as_bytes())
}

/// The file that the design chapter shows.
fn sample() -> &'static str {
    let design = include_str!("../src/policy/design.md");
    let (_, toml) = design.split_once("```toml\n").unwrap();
    toml.split_once("```").unwrap().0
}

/// What stands before most of the cases below: lines 1 to 9.
const HEAD: &str = r#"[attribute.org]
[attribute.tier]
values = ["FREE", "PRO"]
[attribute.ip]
kind = "ip"
[[limit]]
name = "first"
key = ["org"]
quota = "10/min"
"#;

/// Problems as `line:column message | hint`.
fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems()
            .map(|p| {
                let hint = p.hint().map_or(String::new(), |hint| format!(" | {hint}"));
                format!("{}:{} {}{hint}", p.line(), p.column(), p.message())
            })
            .collect(),
    }
}

/// After the head, these lines (from line 10) have these problems, each told by how
/// it begins, and no others.
#[track_caller]
fn after_head(lines: &str, expected: &[&str]) {
    let found = problems(&format!("{HEAD}{lines}"));
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.contains(expected));
    assert!(same, "found {found:#?}\nexpected {expected:#?}");
}

/// One more limit, from line 10, with its name, key and quota in lines 11 to 13.
#[track_caller]
fn in_limit(lines: &str, expected: &[&str]) {
    let limit = "[[limit]]\nname = \"second\"\nkey = [\"org\"]\nquota = \"10/min\"\n";
    after_head(&format!("{limit}{lines}"), expected);
}

#[test]
fn the_sample_of_the_design_is_read() {
    assert_eq!(problems(sample()), [""; 0]);
    assert_eq!(problems(HEAD), [""; 0]);
}

#[test]
fn show() {
    let text = std::env::var("SHOW").unwrap_or_default();
    if let Err(e) = parse(&format!("{HEAD}{text}")) {
        println!("{e}");
    }
}
