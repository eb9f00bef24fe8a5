//! Document 001 to its callers: watch the header fields, back off, queue, spread, keep.

use super::world::{Done, Kept, Work, naive, pacer, wall, with};
use crate::support::{Api, MINUTE, Reply};
use std::{collections::BTreeMap, time::Duration};
use tollgate::{
    Nanos,
    client::{Advice, Backoff, GiveUp, Jitter, Next, Retry},
};

const FILE: &str = "001-file-library.toml";
const SECOND: Duration = Duration::from_secs(1);

fn send(api: &Api, tier: &str, method: &str, path: &str) -> Reply {
    api.request(method, path)
        .attr("ip", "192.0.2.1")
        .attr("auth", "key")
        .attr("customer", "initech")
        .attr("tier", tier)
        .cost("files", 1)
        .cost("bytes", 1000)
        .send()
}

fn list(api: &Api, tier: &str) -> Reply {
    send(api, tier, "GET", "/files")
}

fn read(api: &Api, reply: &Reply) -> Advice {
    Advice::read(reply.headers.iter().map(|(name, value)| (name, value)), wall(api))
}

#[test]
fn what_is_left_and_the_reset_are_read_and_below_ten_calls_slow_down() {
    let api = Api::new(FILE);
    for left in (0..30).rev() {
        let advice = read(&api, &list(&api, "STARTER"));
        assert_eq!(advice.limits()[0].limit, Some(30));
        assert_eq!(advice.limits()[0].remaining, Some(left));
        assert_eq!(advice.limits()[0].reset, Some(MINUTE));
    }
    // Nothing is known but what answers tell.
    let api = Api::new(FILE);
    let built = pacer().slow_below(10.0 / 30.0);
    let done = with(&api, built, Work::new(31, 1), |api, _| list(api, "STARTER"));
    assert_eq!(done.denied, 0);
    let gaps = done.gaps();
    // 21 at full speed leave nine.
    assert!(gaps[..20].iter().all(|gap| *gap < SECOND / 10), "{gaps:?}");
    // ... which go at a minute's pace.
    assert!(gaps[21..29].iter().all(|gap| *gap >= 2 * SECOND), "{gaps:?}");
}

#[test]
fn the_wait_is_the_samples_and_retry_after_goes_before_it() {
    let (backoff, mut jitter) = (Backoff::doubling_with_jitter(), Jitter::seeded(7));
    let mut spread = BTreeMap::new();
    for attempt in 0..12 {
        let delay = (SECOND * 2_u32.pow(attempt)).min(MINUTE);
        for _ in 0..200 {
            let wait = backoff.wait(attempt, &mut jitter);
            assert!(wait >= delay && wait <= delay + delay / 10, "{attempt}: {wait:?}");
            spread.entry(attempt).or_insert_with(Vec::new).push(wait);
        }
    }
    for (attempt, waits) in spread {
        let width = waits.iter().max().unwrap().saturating_sub(*waits.iter().min().unwrap());
        let delay = (SECOND * 2_u32.pow(attempt)).min(MINUTE);
        assert!(width > delay / 12, "{attempt}: {width:?}");
    }

    // Five tries of which each is told to wait.
    let api = Api::new(FILE);
    while list(&api, "STARTER").allowed {}
    let mut retry = Retry::new(backoff, Jitter::seeded(7));
    for attempt in 0..5 {
        let denial = list(&api, "STARTER");
        let told = Duration::from_secs(denial.number("retry-after"));
        match retry.next(denial.status, &read(&api, &denial), Nanos::from(api.now())) {
            Next::Wait(wait) => {
                assert!(wait >= told && wait <= told + SECOND, "{told:?}: {wait:?}");
                api.advance(SECOND); // too early, on purpose: it is denied again
            }
            other => assert_eq!((attempt, other), (4, Next::GiveUp(GiveUp::Tries))),
        }
    }
}

#[test]
fn a_queue_has_ten_at_a_time_and_a_pause_between_calls() {
    let api = Api::new(FILE);
    let built = pacer().quota("10/s".parse().unwrap()).in_flight(10).slow_below(1.0);
    // Answers take longer than the pause, so that calls overlap.
    let work = Work { back: 3 * SECOND / 10, ..Work::new(200, 50) };
    let done = with(&api, built, work, |api, _| send(api, "ENTERPRISE", "GET", "/files"));
    assert_eq!((done.passed.len(), done.denied), (200, 0));
    assert!(done.most_in_flight > 1 && done.most_in_flight <= 10, "{}", done.most_in_flight);
    assert!(done.gaps().iter().all(|gap| *gap >= SECOND / 10), "{:?}", done.gaps());
    // Without the pause there would be as many at once as there may be.
    let api = Api::new(FILE);
    let built = pacer().quota("1000/s".parse().unwrap()).in_flight(10);
    let done = with(&api, built, work, |api, _| send(api, "ENTERPRISE", "GET", "/files"));
    assert_eq!(done.most_in_flight, 10);
}

#[test]
fn one_call_analyses_an_image_where_others_take_three() {
    let run = |calls: &'static [(&str, &str)]| {
        let api = Api::new(FILE);
        let work = Work::new(60 * calls.len(), 4);
        with(&api, pacer().quota("30/min".parse().unwrap()), work, |api, unit| {
            let (method, path) = calls[unit % calls.len()];
            send(api, "STARTER", method, path)
        })
    };
    let one = run(&[("POST", "/images/analyze")]);
    let three =
        run(&[("POST", "/files/upload"), ("POST", "/files/f1/describe"), ("GET", "/files/f1")]);
    assert_eq!((one.denied, three.denied), (0, 0));
    assert_eq!((one.sent.len(), three.sent.len()), (60, 180));
    assert!(three.time() >= 4 * one.time(), "{:?} {:?}", one.time(), three.time());
}

#[test]
fn whoever_watches_usage_sees_no_429_and_loses_little_time() {
    for (tier, n, quota) in [
        ("STARTER", 30, "30/min"),
        ("PROFESSIONAL", 100, "100/min"),
        ("ENTERPRISE", 500, "500/min"),
    ] {
        let units = 5 * n;
        let run = |known: bool, share: f64| -> Done {
            let api = Api::new(FILE);
            let built = pacer().slow_below(share);
            let built = if known { built.quota(quota.parse().unwrap()) } else { built };
            with(&api, built, Work::new(units, 16), |api, _| list(api, tier))
        };
        // What the tier has is known, and calls go at once, or slow down, or are spread
        // evenly: that costs the share of each window, the last one included.
        for (share, worst) in [(0.0, 1.005), (0.1, 1.13), (1.0, 1.25)] {
            let done = run(true, share);
            assert_eq!((done.passed.len(), done.denied), (units, 0), "{tier}");
            let ratio = done.ratio(&format!("001, {tier} known, {share}"), n, MINUTE);
            assert!(ratio <= worst, "{ratio}");
        }
        // All is learned from the fields, whose reset is rounded up to a second, and moves
        // ahead with each call: who does not know the window has to wait for all of it.
        for (share, worst) in [(0.0, 1.03), (0.1, 1.16)] {
            let done = run(false, share);
            assert_eq!((done.passed.len(), done.denied), (units, 0), "{tier}");
            let ratio = done.ratio(&format!("001, {tier} learned, {share}"), n, MINUTE);
            assert!(ratio <= worst, "{ratio}");
        }

        let api = Api::new(FILE);
        let done =
            naive(&api, SECOND / 2, 30 * MINUTE, Work::new(units, 16), |api, _| list(api, tier));
        done.ratio(&format!("001, {tier} naive"), n, MINUTE);
        assert!(done.denied > units);
    }
}

#[test]
fn answers_that_are_kept_are_not_asked_for_again() {
    // Ten pages of a list, looked at by turns, ten times a second.
    let look = |life: Duration| {
        let api = Api::new(FILE);
        let (mut kept, mut denied, mut sent) = (Kept::default(), 0, 0);
        for i in 0..3000_u32 {
            api.at(i * SECOND / 10);
            if kept.wants(&format!("/files?page={}", i % 10), api.now(), life) {
                sent += 1;
                denied += usize::from(!list(&api, "STARTER").allowed);
            }
        }
        (sent, denied)
    };
    assert_eq!(look(MINUTE), (50, 0));
    let (sent, denied) = look(Duration::ZERO);
    assert!(sent == 3000 && denied > 2800, "{denied}");
}
