//! What operators do to single keys: reset, unblock, leases ended and renewed elsewhere.

use crate::{after, left, policy, start};
use tollgate::policy::{Cause, Policy, PolicyDecision};

const ALL: &str = r#"
    [attribute.user]
    [[limit]]
    name = "log"
    key = ["user"]
    quota = "2/h"
    [[limit]]
    name = "smooth"
    key = ["user"]
    algorithm = "gcra"
    quota = "2/h"
    [[limit]]
    name = "counter"
    key = ["user"]
    algorithm = "sliding-counter"
    quota = "2/h"
    [[limit]]
    name = "month"
    key = ["user"]
    algorithm = "calendar"
    quota = "2/month"
    [[limit]]
    name = "jobs"
    key = ["user"]
    algorithm = "leases"
    quota = 2
    ttl = "1 min"
    [[limit]]
    name = "size"
    key = []
    algorithm = "size"
    quota = 2
    cost = "bytes"
    missing = "skip"
    [[limit]]
    name = "item"
    routes = ["GET /a/{item}", "GET /b/{item}"]
    when = { user = true }
    key = ["user", "path.item", "route"]
    quota = "2/h"
"#;

const NAMES: [&str; 6] = ["log", "smooth", "counter", "month", "jobs", "item"];

fn ask<'p>(policy: &'p Policy, user: &'p str, path: &'p str, secs: u64) -> PolicyDecision<'p> {
    policy.check_at(&policy.request("GET", path).attribute("user", user), after(secs))
}

#[test]
fn a_reset_is_of_one_limit_and_one_key() {
    for name in NAMES {
        let policy = policy(ALL);
        for _ in 0..2 {
            assert!(ask(&policy, "ann", "/a/x", 1).is_allowed());
            assert!(ask(&policy, "bob", "/a/x", 1).is_allowed());
        }
        let ann = policy.request("GET", "/a/./x").attribute("user", "ann");
        assert!(policy.reset_at(name, &ann, after(2)));
        for (user, reset) in [("ann", true), ("bob", false)] {
            let denied = ask(&policy, user, "/a/x", 2);
            assert!(denied.is_denied());
            for other in NAMES {
                let expected = if reset && other == name { 2 } else { 0 };
                assert_eq!(left(&denied, other), expected, "{name} {other} {user}");
            }
        }
    }
}

#[test]
fn a_reset_finds_nobody_where_there_is_no_key() {
    let policy = policy(ALL);
    let ann = policy.request("GET", "/").attribute("user", "ann");
    assert!(!policy.reset_at("none", &ann, start()), "no such limit");
    assert!(!policy.reset_at("item", &ann, start()), "no route of it has this path");
    assert!(!policy.reset_at("log", &policy.request("GET", "/"), start()), "no user");
    assert!(policy.reset_at("log", &ann, start()));
    // A key of another route or item is another key.
    for _ in 0..2 {
        let mut decision = ask(&policy, "ann", "/a/x", 0);
        decision.release_at(start());
    }
    for path in ["/b/x", "/a/y"] {
        let other = policy.request("GET", path).attribute("user", "ann");
        assert!(policy.reset_at("item", &other, start()));
    }
    assert_eq!(left(&ask(&policy, "ann", "/a/x", 0), "item"), 0);
}

#[test]
fn leases_are_renewed_and_ended_by_their_id() {
    let policy = policy(ALL);
    let lease = |decision: &PolicyDecision<'_>| decision.limit("jobs").unwrap().lease().unwrap();
    let decision = ask(&policy, "ann", "/", 0);
    let id = lease(&decision);
    drop(decision);
    assert!(policy.renew_at("jobs", id, after(59)));
    assert!(policy.renew_at("jobs", id, after(118)));
    assert!(!policy.renew_at("log", id, after(118)) && !policy.renew_at("none", id, after(118)));
    let next = ask(&policy, "ann", "/", 119);
    assert_eq!(left(&next, "jobs"), 0, "both are held");
    assert!(policy.release_at("jobs", id, after(120)));
    assert!(!policy.release_at("jobs", id, after(120)), "twice does no harm");
    assert!(!policy.renew_at("jobs", id, after(120)));
    assert!(!policy.renew_at("jobs", lease(&next), after(119 + 60)), "it was over");
}

/// A block lifted does not give back what the limits hold, nor the other way about.
#[test]
fn a_block_and_a_bucket_are_two_things() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "one"
        key = ["user"]
        quota = "1/h"
        [[penalty]]
        name = "ladder"
        key = ["user"]
        denials = 2
        within = "1 h"
        blocks = ["1 h"]
        "#,
    );
    let ann = policy.request("GET", "/").attribute("user", "ann");
    for _ in 0..3 {
        assert_eq!(policy.check_at(&ann, start()).cause(), Cause::Limits);
    }
    assert!(policy.reset_at("one", &ann, start()));
    assert_eq!(policy.check_at(&ann, start()).cause(), Cause::Blocked("ladder"));
    assert!(policy.unblock_at("ladder", &ann, start()));
    assert!(policy.check_at(&ann, start()).is_allowed());
    assert!(policy.check_at(&ann, start()).is_denied());
}
