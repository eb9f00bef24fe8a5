//! Document 003 to its callers: watch what remains, wait as told, keep what was read.

use super::world::{Kept, Work, naive, pacer, wall, with};
use crate::support::{Api, MINUTE, Reply};
use std::time::Duration;
use tollgate::{
    Nanos,
    client::{Advice, Backoff, GiveUp, Jitter, Next, Retry},
};

const FILE: &str = "003-url-scanning.toml";
const SECOND: Duration = Duration::from_secs(1);

fn scan(api: &Api) -> Reply {
    api.request("POST", "/v1/scans").attr("org", "acme").send()
}

fn status(api: &Api, id: u32) -> Reply {
    api.request("GET", &format!("/v1/scans/{id}")).attr("org", "acme").send()
}

fn assess(api: &Api) -> Reply {
    api.request("POST", "/v1/domain-risks").attr("org", "acme").send()
}

#[test]
fn what_remains_is_enough_to_be_done_in_the_least_time() {
    for (name, n, quota, units, send) in [
        ("scans", 10, "10/min", 95, (|api, _| scan(api)) as fn(&Api, usize) -> Reply),
        ("status", 60, "60/min", 590, |api, _| status(api, 1)),
        ("domains", 20, "20/min", 190, |api, _| assess(api)),
    ] {
        for (share, worst) in [(0.0, 1.03), (0.1, 1.13)] {
            let api = Api::new(FILE);
            let built = pacer().slow_below(share);
            let done = with(&api, built, Work::new(units, 8), send);
            assert_eq!((done.passed.len(), done.denied), (units, 0));
            let ratio = done.ratio(&format!("003, {name} learned, {share}"), n, MINUTE);
            assert!(ratio < worst, "{ratio}");
        }
        for (share, worst) in [(0.0, 1.001), (0.1, 1.13)] {
            let api = Api::new(FILE);
            let built = pacer().slow_below(share).quota(quota.parse().unwrap());
            let done = with(&api, built, Work::new(units, 8), send);
            assert_eq!((done.passed.len(), done.denied), (units, 0));
            let ratio = done.ratio(&format!("003, {name} known, {share}"), n, MINUTE);
            assert!(ratio < worst, "{ratio}");
        }
        let api = Api::new(FILE);
        let done = naive(&api, SECOND, 20 * MINUTE, Work::new(units, 8), send);
        done.ratio(&format!("003, {name} naive"), n, MINUTE);
        assert!(done.denied > units);
    }
}

#[test]
fn a_loop_waits_as_told_and_tries_three_times_at_most() {
    let api = Api::new(FILE);
    while scan(&api).allowed {}
    let mut retry = Retry::new(Backoff::a_minute_each(), Jitter::seeded(0));
    let next = |retry: &mut Retry, reply: &Reply| {
        let fields = reply.headers.iter().map(|(name, value)| (name, value));
        retry.next(reply.status, &Advice::read(fields, wall(&api)), Nanos::from(api.now()))
    };
    api.advance(18 * SECOND);
    let reply = scan(&api);
    assert_eq!(next(&mut retry, &reply), Next::Wait(42 * SECOND));
    // The field is missing: a minute.
    let mut reply = scan(&api);
    reply.headers.clear();
    assert_eq!(next(&mut retry, &reply), Next::Wait(MINUTE));
    assert_eq!(next(&mut retry, &reply), Next::GiveUp(GiveUp::Tries));
    // And whoever waits as told passes at the second try.
    api.advance(42 * SECOND);
    let reply = scan(&api);
    let mut retry = Retry::new(Backoff::a_minute_each(), Jitter::seeded(0));
    assert_eq!(next(&mut retry, &reply), Next::Done);
}

#[test]
fn results_that_are_kept_for_some_minutes_stay_within_the_limit() {
    // Twenty results that something wants to see, five times a second, for half an hour.
    let watch = |life: Duration| {
        let api = Api::new(FILE);
        let (mut kept, mut sent, mut denied) = (Kept::default(), 0, 0);
        for i in 0..9000_u32 {
            api.at(i * SECOND / 5);
            let id = i % 20;
            if kept.wants(&id.to_string(), api.now(), life) {
                sent += 1;
                denied += u32::from(!status(&api, id).allowed);
            }
        }
        (sent, denied)
    };
    assert_eq!(watch(5 * MINUTE), (20 * 6, 0));
    assert_eq!(watch(15 * MINUTE), (20 * 2, 0));
    let (sent, denied) = watch(Duration::ZERO);
    assert!(sent == 9000 && denied > 7000, "{denied}");
}
