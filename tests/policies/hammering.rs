//! `charge_denied`: whoever goes on past a denial gets nothing until it pauses.

use crate::{binds, left, policy, start};
use std::time::Duration;
use tollgate::{
    Outcome,
    policy::{Moment, Policy, PolicyDecision},
};

/// One limit of each algorithm that can be emptied, beside two that it must not touch.
fn hammered(algorithm: &str, quota: &str) -> Policy {
    policy(&format!(
        r#"
        [attribute.user]
        [[limit]]
        name = "wide"
        key = ["user"]
        quota = "1000/h"
        charge_denied = true
        [[limit]]
        name = "strict"
        routes = ["POST /**"]
        key = ["user"]
        algorithm = "{algorithm}"
        quota = "{quota}"
        charge_denied = true
        [[limit]]
        name = "gentle"
        key = ["user"]
        quota = "900/h"
        "#
    ))
}

const KINDS: [(&str, &str, u64); 4] = [
    ("sliding-log", "10/min", 60_000),
    ("sliding-counter", "10/min", 120_000),
    ("gcra", "10/min", 60_000),
    ("calendar", "10/min", 60_000),
];

fn at(nanos: u64) -> Moment {
    start().after(Duration::from_nanos(nanos))
}

fn ask<'p>(policy: &'p Policy, user: &str, now: u64) -> PolicyDecision<'p> {
    policy.check_at(&policy.request("POST", "/").attribute("user", user), at(now))
}

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

#[test]
fn only_the_violated_bucket_is_emptied_and_never_below_zero() {
    for (algorithm, quota, longest) in KINDS {
        let policy = hammered(algorithm, quota);
        for nth in 1..=10 {
            let decision = ask(&policy, "ann", SECOND);
            assert!(decision.is_allowed(), "{algorithm}");
            assert_eq!(left(&decision, "strict"), 10 - nth);
        }
        // However often: the same wait, and what is not violated is not charged.
        for _ in 0..20 {
            let denied = ask(&policy, "ann", 2 * SECOND);
            assert_eq!((denied.outcome(), binds(&denied)), (Outcome::Later, Some("strict")));
            assert_eq!(["wide", "strict", "gentle"].map(|name| left(&denied, name)), [990, 0, 890]);
            let wait = u64::try_from(denied.retry_after().unwrap().as_millis()).unwrap();
            assert!(wait <= longest, "{algorithm} {wait}");
        }
        let other = ask(&policy, "bob", 2 * SECOND);
        assert_eq!(left(&other, "strict"), 9, "{algorithm}: another's bucket");
        // What was said is waited out, and is enough: not a nanosecond less.
        let denied = ask(&policy, "ann", 2 * SECOND);
        let wait = u64::try_from(denied.retry_after().unwrap().as_nanos()).unwrap();
        let mut allowed = ask(&policy, "ann", 2 * SECOND + wait);
        assert!(allowed.is_allowed(), "{algorithm}");
        allowed.refund_at(at(2 * SECOND + wait));
    }
}

/// A nanosecond too early, and it is all lost again: but for the calendar, whose window
/// ends when it ends.
#[test]
fn a_moment_too_early_is_too_early() {
    for (algorithm, quota, _) in KINDS {
        let policy = hammered(algorithm, quota);
        for _ in 0..10 {
            assert!(ask(&policy, "ann", SECOND).is_allowed());
        }
        let first = ask(&policy, "ann", 2 * SECOND).retry_after().unwrap();
        let wait = u64::try_from(first.as_nanos()).unwrap();
        let early = ask(&policy, "ann", 2 * SECOND + wait - 1);
        assert!(early.is_denied(), "{algorithm}");
        let again = early.retry_after().unwrap();
        match algorithm {
            "calendar" => assert_eq!(again, Duration::from_nanos(1)),
            _ => assert!(again > Duration::from_secs(5), "{algorithm} {again:?}"),
        }
    }
}

#[test]
fn a_loop_gets_nothing_until_it_pauses() {
    for (algorithm, quota, _) in &KINDS[..3] {
        let policy = hammered(algorithm, quota);
        let mut now = 0;
        while ask(&policy, "ann", now).is_allowed() {
            now += 50 * MS;
        }
        for _ in 0..5000 {
            now += 50 * MS;
            assert!(ask(&policy, "ann", now).is_denied(), "{algorithm} at {now}");
        }
        // Without it, such a loop gets through each time a unit comes back.
        now += 120 * SECOND;
        assert!(ask(&policy, "ann", now).is_allowed(), "{algorithm}");
    }
}

/// A denial by another limit, and one of a shadow, empty nothing; nor does a request
/// that can never pass.
#[test]
fn who_did_not_say_no_is_not_emptied() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "strict"
        key = ["user"]
        quota = "10/min"
        cost = "n"
        charge_denied = true
        [[limit]]
        name = "small"
        key = ["user"]
        quota = "1/min"
        [[limit]]
        name = "watched"
        key = ["user"]
        quota = "2/min"
        mode = "shadow"
        charge_denied = true
        "#,
    );
    let ask = |user, n| {
        let request = policy.request("GET", "/").attribute("user", user).cost("n", n);
        policy.check_at(&request, start())
    };
    assert!(ask("ann", 4).is_allowed());
    for _ in 0..5 {
        let denied = ask("ann", 1);
        assert_eq!((binds(&denied), left(&denied, "strict")), (Some("small"), 6));
        assert_eq!(left(&denied, "watched"), 1);
    }
    for _ in 0..5 {
        let never = ask("bob", 11);
        assert_eq!((never.outcome(), left(&never, "strict")), (Outcome::Never, 10));
    }
    assert!(ask("bob", 10).is_allowed());
    // The shadow is violated, and no more than that.
    let request = policy.request("GET", "/").attribute("user", "eve").cost("n", 0);
    for second in [0, 61, 122] {
        let moment = start().after(Duration::from_secs(second));
        assert_eq!(left(&policy.check_at(&request, moment), "watched"), 1);
    }
}
