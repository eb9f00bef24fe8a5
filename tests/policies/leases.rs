//! Leases beside other limits: taken with all, or not at all.

use crate::{after, binds, left, policy, start};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};
use tollgate::{
    Outcome,
    policy::{Policy, PolicyDecision},
};

const POLICY: &str = r#"
    [attribute.user]
    [[limit]]
    name = "at once"
    key = ["user"]
    algorithm = "leases"
    quota = 3
    ttl = "1 min"
    [[limit]]
    name = "rate"
    key = []
    quota = "10/h"
    [[limit]]
    name = "size"
    key = []
    algorithm = "size"
    quota = 100
    cost = "bytes"
    missing = "skip"
"#;

fn ask<'p>(policy: &'p Policy, user: &str, bytes: u64, secs: u64) -> PolicyDecision<'p> {
    let request = policy.request("GET", "/").attribute("user", user).cost("bytes", bytes);
    policy.check_at(&request, after(secs))
}

#[test]
fn taken_released_refunded_and_ended() {
    let policy = policy(POLICY);
    let mut held: Vec<_> = (0..3).map(|_| ask(&policy, "ann", 1, 0)).collect();
    assert!(held.iter().all(PolicyDecision::is_allowed));
    assert!(held.iter().all(|d| d.limit("at once").unwrap().lease().is_some()));
    assert_eq!(held.iter().map(|d| left(d, "at once")).collect::<Vec<_>>(), [2, 1, 0]);

    let denied = ask(&policy, "ann", 1, 10);
    assert_eq!((denied.outcome(), binds(&denied)), (Outcome::Later, Some("at once")));
    assert_eq!(denied.retry_after().unwrap().as_secs(), 50);
    assert_eq!(left(&denied, "rate"), 7);
    assert!(ask(&policy, "bob", 1, 10).is_allowed());

    // The request is over: the lease ends, and what else it cost stays charged.
    held[0].release_at(after(11));
    held[0].release_at(after(11));
    let mut again = ask(&policy, "ann", 1, 11);
    assert_eq!((again.is_allowed(), left(&again, "rate"), left(&again, "at once")), (true, 5, 0));
    // Not served after all: both come back, once.
    again.refund_at(after(12));
    again.refund_at(after(12));
    again.release_at(after(12));
    let again = ask(&policy, "ann", 1, 12);
    assert_eq!((again.is_allowed(), left(&again, "rate"), left(&again, "at once")), (true, 5, 0));

    // The first two that are left end by themselves, the last a little later.
    assert!(ask(&policy, "ann", 1, 59).is_denied());
    assert_eq!(left(&ask(&policy, "ann", 101, 60), "at once"), 2);
    assert_eq!(left(&ask(&policy, "ann", 101, 72), "at once"), 3);
    // A lease that ended is not another's.
    let new = ask(&policy, "ann", 1, 72);
    for decision in &mut held {
        decision.release_at(after(73));
    }
    assert!(new.is_allowed());
    assert_eq!(left(&ask(&policy, "ann", 101, 73), "at once"), 2);
}

#[test]
fn no_lease_leaks_from_a_denial() {
    let policy = policy(POLICY);
    for _ in 0..100 {
        let never = ask(&policy, "ann", 101, 0);
        assert_eq!((never.outcome(), binds(&never)), (Outcome::Never, Some("size")));
        assert_eq!((left(&never, "at once"), left(&never, "rate")), (3, 10));
        assert!(never.limits().all(|limit| limit.lease().is_none()));
    }
}

/// The rate is met by many threads at once, each of which has a lease when it learns
/// that it lost.
#[test]
fn no_lease_leaks_from_a_lost_race() {
    let policy = policy(&POLICY.replace("10/h", "2/h"));
    let allowed = AtomicU64::new(0);
    thread::scope(|scope| {
        for user in ["a", "b", "c", "d"] {
            let (policy, allowed) = (&policy, &allowed);
            scope.spawn(move || {
                for _ in 0..20_000 {
                    let mut decision = ask(policy, user, 1, 0);
                    if decision.is_denied() {
                        continue;
                    }
                    let now = allowed.fetch_add(1, Ordering::Relaxed) + 1;
                    assert!(now <= 2);
                    allowed.fetch_sub(1, Ordering::Relaxed);
                    decision.refund_at(start());
                }
            });
        }
    });
    for user in ["a", "b", "c", "d"] {
        let look = ask(&policy, user, 101, 0);
        assert_eq!((left(&look, "at once"), left(&look, "rate")), (3, 2));
    }
}
