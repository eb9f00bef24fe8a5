//! Document 004 to its callers: double, watch the fields, call less.

use super::world::{Kept, Work, naive, pacer, with};
use crate::support::{Api, MINUTE, Reply};
use std::time::Duration;
use tollgate::client::{Backoff, Jitter};

const FILE: &str = "004-software-licensing.toml";
const SECOND: Duration = Duration::from_secs(1);

fn send(api: &Api, path: &str) -> Reply {
    api.request("POST", path).attr("ip", "192.0.2.1").attr("token", "t").send()
}

fn products(api: &Api) -> Reply {
    send(api, "/v1/products")
}

fn validate(api: &Api, licence: usize) -> Reply {
    send(api, &format!("/v1/licenses/L{licence}/validate"))
}

#[test]
fn the_first_wait_is_a_second_and_the_longest_a_minute() {
    let (backoff, mut jitter) = (Backoff::doubling(), Jitter::seeded(0));
    let waits: Vec<_> = (0..10).map(|n| backoff.wait(n, &mut jitter).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    assert_eq!(backoff.wait(u32::MAX, &mut jitter), MINUTE);

    // Against the policy, without a field that would tell more.
    let api = Api::new(FILE);
    while validate(&api, 1).allowed {}
    let done = with(&api, pacer(), Work::new(1, 1), |api, _| {
        let mut reply = validate(api, 1);
        reply.headers.clear();
        reply
    });
    assert_eq!((done.gaps_in_secs(), done.passed.len()), (vec![1, 2, 4, 8, 16, 32], 1));
}

#[test]
fn the_drafts_fields_are_enough_to_be_done_in_the_least_time() {
    // Slowing down costs at most that share of each window, the last one included.
    // Many licences meet the token's limit, one meets its own.
    for (name, n, units, send) in [
        ("token", 120, 700, (|api, _| products(api)) as fn(&Api, usize) -> Reply),
        ("licence", 20, 150, |api, _| validate(api, 1)),
    ] {
        for (share, worst) in [(0.0, 1.005), (0.1, 1.13), (1.0, 1.25)] {
            let api = Api::new(FILE);
            let done = with(&api, pacer().slow_below(share), Work::new(units, 8), send);
            assert_eq!((done.passed.len(), done.denied), (units, 0), "{name} {share}");
            let ratio = done.ratio(&format!("004, {name} learned, {share}"), n, MINUTE);
            assert!(ratio < worst, "{ratio}");
        }
        let api = Api::new(FILE);
        let done = naive(&api, SECOND, 30 * MINUTE, Work::new(units, 8), send);
        done.ratio(&format!("004, {name} naive"), n, MINUTE);
        assert!(done.denied > units);
    }
}

/// Whatever denies, and however little it tells of why.
#[test]
fn whoever_is_denied_calls_less() {
    let quiet = |api: &Api| {
        let mut reply = products(api);
        reply.headers.retain(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        reply
    };
    let api = Api::new(FILE);
    let done = with(&api, pacer().in_flight(16), Work::new(700, 32), |api, _| quiet(api));
    assert_eq!((done.passed.len(), done.given_up), (700, 0));
    let ratio = done.ratio("004, nothing known", 120, MINUTE);
    // Sixteen were under way when the first was denied, in each of five windows.
    assert!(ratio < 1.05 && done.denied <= 5 * 16, "{ratio}, {}", done.denied);
    // After a denial one goes alone, until one has passed.
    let first = done.sent.iter().position(|at| *at > 59 * SECOND).unwrap();
    assert!(done.gaps()[first] >= Work::new(1, 1).there);

    let api = Api::new(FILE);
    let work = Work::new(700, 32);
    let loud = naive(&api, SECOND, 30 * MINUTE, work, |api, _| quiet(api));
    assert!(loud.denied > 50 * done.denied, "{} {}", loud.denied, done.denied);
}

#[test]
fn validations_that_are_kept_are_not_asked_for_again() {
    // A program checks its licence every second, for an hour.
    let check = |life: Duration| {
        let api = Api::new(FILE);
        let (mut kept, mut sent, mut denied) = (Kept::default(), 0, 0);
        for second in 0..3600 {
            api.at(second * SECOND);
            if kept.wants("L1", api.now(), life) {
                sent += 1;
                denied += usize::from(!validate(&api, 1).allowed);
            }
        }
        (sent, denied)
    };
    assert_eq!(check(10 * MINUTE), (6, 0));
    assert_eq!(check(Duration::ZERO), (3600, 2400));
}

#[test]
fn a_call_for_many_costs_one_request() {
    // 600 licences: one by one, and fifty at a time.
    let api = Api::new(FILE);
    let one = with(&api, pacer(), Work::new(600, 8), validate);
    let api = Api::new(FILE);
    let many = with(&api, pacer(), Work::new(600 / 50, 8), |api, _| {
        send(api, "/v1/licenses/validate-many")
    });
    assert_eq!((one.passed.len(), many.passed.len()), (600, 12));
    assert_eq!((one.denied, many.denied), (0, 0));
    assert!(one.time() > 4 * MINUTE && many.time() < SECOND);
}

#[test]
fn a_webhook_takes_the_place_of_polling() {
    // Something happens every ten minutes; whoever polls wants to know within a quarter of
    // a second.
    let api = Api::new(FILE);
    let (mut polls, mut denied) = (0, 0);
    while api.now() < 30 * MINUTE {
        polls += 1;
        denied += usize::from(!products(&api).allowed);
        api.advance(SECOND / 4);
    }
    assert_eq!((polls, denied), (7200, 3600));
    // The webhook tells, and one call fetches what is new.
    let api = Api::new(FILE);
    for _ in 0..3 {
        api.advance(10 * MINUTE);
        let done = with(&api, pacer(), Work::new(1, 1), |api, _| products(api));
        assert_eq!((done.sent.len(), done.denied), (1, 0));
    }
}
