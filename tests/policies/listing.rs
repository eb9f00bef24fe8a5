//! What a decision says of every limit that was asked, and which one binds.

use crate::{after, binds, policy, start};
use std::{thread, time::Duration};
use tollgate::{
    Outcome,
    policy::{Algorithm, Policy, PolicyDecision},
};

const MANY: &str = r#"
    [attribute.user]
    [[limit]]
    name = "short"
    key = ["user"]
    quota = "2/10s"
    [[limit]]
    name = "long"
    key = ["user"]
    algorithm = "gcra"
    quota = "3/h"
    [[limit]]
    name = "watched"
    key = ["user"]
    quota = "1/d"
    mode = "shadow"
    [[limit]]
    name = "nothing"
    key = ["user"]
    quota = "unlimited"
    [[limit]]
    name = "size"
    key = ["user"]
    algorithm = "size"
    quota = 10
    cost = "n"
    missing = "skip"
"#;

fn ask(policy: &Policy, n: u64, secs: u64) -> PolicyDecision<'_> {
    policy.check_at(&policy.request("GET", "/").attribute("user", "ann").cost("n", n), after(secs))
}

#[test]
fn every_limit_is_told_of_in_the_order_of_the_file() {
    let policy = policy(MANY);
    let decision = ask(&policy, 4, 0);
    let told: Vec<_> = decision
        .limits()
        .map(|limit| {
            let d = limit.decision();
            let state = (limit.is_shadow(), limit.is_violated(), limit.is_unlimited());
            let numbers = (!limit.is_unlimited()).then(|| {
                (d.limit(), d.remaining(), d.next_after().as_secs(), d.full_after().as_secs())
            });
            (limit.name().to_owned(), limit.algorithm(), limit.units(), state, numbers)
        })
        .collect();
    let no = (false, false, false);
    let expected = [
        ("short", Algorithm::SlidingLog, 1, no, Some((2, 1, 10, 10))),
        ("long", Algorithm::Gcra, 1, no, Some((3, 2, 1200, 1200))),
        ("watched", Algorithm::SlidingLog, 1, (true, false, false), Some((1, 0, 86_400, 86_400))),
        ("nothing", Algorithm::SlidingLog, 1, (false, false, true), None),
        ("size", Algorithm::Size, 4, no, Some((10, 10, 0, 0))),
    ]
    .map(|(name, algorithm, units, state, numbers)| {
        (name.to_owned(), algorithm, units, state, numbers)
    });
    assert_eq!(told, expected);
    // One of two is less than two of three; the shadow, which has nothing left, is not it.
    assert_eq!(binds(&decision), Some("short"));
}

#[test]
fn the_longest_wait_is_told_and_never_beats_it() {
    let policy = policy(MANY);
    for secs in [0, 9] {
        assert!(ask(&policy, 1, secs).is_allowed());
    }
    // The short one alone.
    let denied = ask(&policy, 1, 9);
    assert_eq!(binds(&denied), Some("short"));
    assert_eq!(
        (denied.outcome(), denied.retry_after()),
        (Outcome::Later, Some(Duration::from_secs(1)))
    );
    assert!(ask(&policy, 1, 10).is_allowed());
    // Now both: the first comes back at 19, the second at 1200.
    let denied = ask(&policy, 1, 11);
    assert_eq!(binds(&denied), Some("long"));
    assert_eq!(denied.retry_after(), Some(Duration::from_secs(1189)));
    assert_eq!(
        denied.limits().filter(|limit| limit.is_violated() && !limit.is_shadow()).count(),
        2
    );
    // Never, and both of them as well.
    let never = ask(&policy, 11, 11);
    assert_eq!(binds(&never), Some("size"));
    assert_eq!((never.outcome(), never.retry_after()), (Outcome::Never, None));
    assert_eq!(never.response().field("Retry-After"), None);
    // Waiting as told is enough, and a nanosecond less is not.
    let early = after(11).after(Duration::from_secs(1189) - Duration::from_nanos(1));
    let request = policy.request("GET", "/").attribute("user", "ann").cost("n", 1);
    assert!(policy.check_at(&request, early).is_denied());
    assert!(ask(&policy, 1, 1200).is_allowed());
}

/// A shadow is violated where it would have denied, is not charged then, and changes
/// nothing for anybody.
#[test]
fn a_shadow_beside_enforced_limits() {
    let policy = policy(MANY);
    for secs in [0, 1300, 2600] {
        let decision = ask(&policy, 1, secs);
        let watched = decision.limit("watched").unwrap();
        assert!(decision.is_allowed() && watched.is_shadow());
        assert_eq!(watched.is_violated(), secs > 0);
        assert_eq!(decision.retry_after(), None);
        assert_eq!(decision.status(), None);
    }
    // It was charged once: a day after the first, not after the last.
    assert!(!ask(&policy, 1, 86_400).limit("watched").unwrap().is_violated());
}

/// Each request that was denied has left everything as it was, whatever the algorithm:
/// when all is given back, all limits are as good as new.
#[test]
fn nothing_stays_behind_after_lost_races() {
    let kinds = [
        ("sliding-log", "\"7/h\""),
        ("sliding-counter", "\"6/h\""),
        ("gcra", "\"5/h\""),
        ("calendar", "\"6/day\""),
        ("leases", "4"),
        ("sliding-counter", "\"5/h\""),
        ("sliding-log", "\"4/h\""),
        ("leases", "3"),
    ];
    let limits = kinds.iter().enumerate().map(|(nth, (algorithm, quota))| {
        let ttl = if *algorithm == "leases" { "ttl = \"1 h\"" } else { "" };
        format!("[[limit]]\nname = \"{nth}\"\nkey = []\nalgorithm = \"{algorithm}\"\nquota = {quota}\n{ttl}\n")
    });
    let policy = policy(&limits.collect::<String>());
    let counted = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|seed: usize| {
                let policy = &policy;
                scope.spawn(move || {
                    let (mut kept, mut allowed, mut denied) = (Vec::new(), 0, 0);
                    for nth in 0..5_000 {
                        let decision = policy.check_at(&policy.request("GET", "/"), start());
                        if decision.is_allowed() {
                            kept.push(decision);
                            allowed += 1;
                        } else {
                            denied += 1;
                        }
                        if kept.len() > (nth + seed) % 3 {
                            kept.swap_remove(0).refund_at(start());
                        }
                    }
                    for decision in &mut kept {
                        decision.refund_at(start());
                    }
                    (allowed, denied)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    });
    assert!(counted.0 > 500 && counted.1 > 50, "{counted:?}");
    let fresh = policy.check_at(&policy.request("GET", "/"), start());
    for limit in fresh.limits() {
        let d = limit.decision();
        assert_eq!(d.remaining() + 1, d.limit(), "{} {:?}", limit.name(), limit.algorithm());
    }
}
