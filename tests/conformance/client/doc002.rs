//! Document 002 to its callers: sleep as told, three retries, and never a tight loop.

use super::world::{Work, naive, pacer, wall, with};
use crate::support::{Api, HOUR, MINUTE, Reply};
use std::time::Duration;
use tollgate::{
    Nanos,
    client::{Advice, Backoff, GiveUp, Jitter, Next, Retry},
};

const FILE: &str = "002-document-rewriting.toml";
const SECOND: Duration = Duration::from_secs(1);
const LOOP: Duration = Duration::from_millis(50);

fn login(api: &Api) -> Reply {
    api.request("POST", "/auth/login").attr("ip", "192.0.2.1").send()
}

fn upload(api: &Api) -> Reply {
    let request = api.request("POST", "/api/v1/documents/upload");
    request.attr("user", "ann").attr("ip", "192.0.2.1").send()
}

fn read(api: &Api) -> Reply {
    api.request("GET", "/api/v1/documents").attr("ip", "192.0.2.1").send()
}

fn advice(api: &Api, reply: &Reply) -> Advice {
    Advice::read(reply.headers.iter().map(|(name, value)| (name, value)), wall(api))
}

#[test]
fn whoever_keeps_to_the_limits_is_done_in_the_least_time_and_a_loop_of_50_ms_never() {
    for (n, period, quota, units, send) in [
        (10, MINUTE, "10/min", 55, (|api, _| login(api)) as fn(&Api, usize) -> Reply),
        (20, HOUR, "20/h", 90, |api, _| upload(api)),
        (60, MINUTE, "60/min", 350, |api, _| read(api)),
    ] {
        let built = || pacer().backoff(Backoff::three_retries());
        let api = Api::new(FILE);
        let quota_known = built().quota(quota.parse().unwrap());
        let done = with(&api, quota_known, Work::new(units, 8), send);
        assert_eq!((done.passed.len(), done.denied), (units, 0));
        let ratio = done.ratio(&format!("002, {quota}"), n, period);
        assert!(ratio < 1.001, "{ratio}");

        // Nothing is known: each denial empties the bucket, and whoever waits as told gets on.
        let api = Api::new(FILE);
        let done = with(&api, built(), Work::new(units, 1), send);
        assert_eq!((done.passed.len(), done.given_up), (units, 0));
        let ratio = done.ratio(&format!("002, {quota}, nothing known"), n, period);
        assert!(ratio < 1.05 && done.denied == (units - 1) / n, "{ratio}");

        let api = Api::new(FILE);
        let done = naive(&api, LOOP, 10 * MINUTE, Work::new(units, 1), send);
        println!("002, {quota}, naive: {} of {units}; {} denied", done.passed.len(), done.denied);
        assert_eq!(done.passed.len(), n);
    }
}

#[test]
fn after_three_retries_as_told_the_429_is_the_callers() {
    let api = Api::new(FILE);
    while read(&api).allowed {}
    let mut retry = Retry::new(Backoff::three_retries(), Jitter::seeded(0));
    let mut reply = read(&api);
    for _ in 0..3 {
        let told = Duration::from_secs(reply.number("retry-after"));
        let next = retry.next(reply.status, &advice(&api, &reply), Nanos::from(api.now()));
        assert_eq!(next, Next::Wait(told));
        api.advance(told);
        // Others behind the same address spend what came free.
        while read(&api).allowed {}
        reply = read(&api);
    }
    let next = retry.next(reply.status, &advice(&api, &reply), Nanos::from(api.now()));
    assert_eq!(next, Next::GiveUp(GiveUp::Tries));

    // The same through a pacer: it is sent four times, and the caller sees the 429.
    let api = Api::new(FILE);
    let built = pacer().backoff(Backoff::three_retries());
    let done = with(&api, built, Work::new(1, 1), |api, _| {
        while read(api).allowed {}
        read(api)
    });
    assert_eq!((done.sent.len(), done.denied, done.given_up), (4, 4, 1));
}

#[test]
fn without_retry_after_the_wait_doubles_from_one_second() {
    let api = Api::new(FILE);
    while read(&api).allowed {}
    // A proxy lost the field.
    let done = with(&api, pacer().backoff(Backoff::three_retries()), Work::new(1, 1), |api, _| {
        let mut reply = read(api);
        assert_eq!(reply.status, 429);
        reply.headers.clear();
        reply
    });
    assert_eq!((done.sent.len(), done.given_up), (4, 1));
    assert_eq!(done.gaps_in_secs(), [1, 2, 4]);
    // That was not enough for a minute's limit; where it is doubled for longer, it is.
    let api = Api::new(FILE);
    while read(&api).allowed {}
    api.advance(54 * SECOND);
    let done = with(&api, pacer(), Work::new(1, 1), |api, _| {
        let mut reply = read(api);
        reply.headers.clear();
        reply
    });
    assert_eq!((done.passed.len(), done.given_up), (1, 0));
}
