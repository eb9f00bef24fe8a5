//! Denials become blocks.

use crate::{after, policy};
use std::time::Duration;
use tollgate::{
    Outcome,
    policy::{Cause, Moment, Policy, PolicyDecision},
};

const LADDER: &str = r#"
    [attribute.user]
    [[limit]]
    name = "one"
    key = ["user"]
    quota = "1/d"
    [[limit]]
    name = "watched"
    key = ["user"]
    quota = "1/d"
    routes = ["GET /watched"]
    mode = "shadow"
    [[penalty]]
    name = "ladder"
    key = ["user"]
    denials = 3
    within = "10 min"
    blocks = ["1 min", "10 min", "until lifted"]
    decay = "1 h"
    status = 403
"#;

fn ask<'p>(policy: &'p Policy, path: &'p str, now: Moment) -> PolicyDecision<'p> {
    policy.check_at(&policy.request("GET", path).attribute("user", "ann"), now)
}

/// Denied by the limit so often that a block begins.
fn offend(policy: &Policy, secs: u64) {
    for _ in 0..3 {
        let denied = ask(policy, "/", after(secs));
        assert!(denied.is_denied());
        assert_eq!(denied.cause(), Cause::Limits);
    }
}

fn blocked(policy: &Policy, secs: u64) -> Option<u64> {
    let decision = ask(policy, "/", after(secs));
    (decision.cause() == Cause::Blocked("ladder"))
        .then(|| decision.retry_after().map_or(u64::MAX, |wait| wait.as_secs()))
}

#[test]
fn steps_decay_and_the_end_of_the_ladder() {
    let policy = policy(LADDER);
    assert!(ask(&policy, "/", after(0)).is_allowed());
    offend(&policy, 0);
    assert_eq!(blocked(&policy, 0), Some(60));
    // Denials during a block do not count.
    for secs in 1..60 {
        assert_eq!(blocked(&policy, secs), Some(60 - secs));
    }
    assert_eq!(ask(&policy, "/", after(60)).cause(), Cause::Limits);
    let _ = ask(&policy, "/", after(60));
    assert_eq!(ask(&policy, "/", after(60)).cause(), Cause::Limits);
    assert_eq!(blocked(&policy, 60), Some(600));
    // An hour after the block's end the ladder starts over.
    let over = 660 + 3600;
    offend(&policy, over);
    assert_eq!(blocked(&policy, over), Some(60));
    offend(&policy, over + 60);
    assert_eq!(blocked(&policy, over + 60), Some(600));
    offend(&policy, over + 660);
    assert_eq!(blocked(&policy, over + 660), Some(u64::MAX));
    // Without an end there is nothing to wait for.
    let forever = ask(&policy, "/", after(over + 100_000_000));
    assert_eq!((forever.outcome(), forever.retry_after()), (Outcome::Never, None));
    let response = forever.response();
    assert_eq!((response.status, response.field("Retry-After")), (Some(403), None));
    assert!(forever.binding().is_none());

    let request = policy.request("GET", "/").attribute("user", "ann");
    assert!(!policy.unblock_at("another", &request, after(over + 700)));
    let another = policy.request("GET", "/").attribute("user", "bob");
    assert!(!policy.unblock_at("ladder", &another, after(over + 700)));
    assert!(policy.unblock_at("ladder", &request, after(over + 700)));
    assert!(!policy.unblock_at("ladder", &request, after(over + 700)));
    offend(&policy, over + 700);
    assert_eq!(blocked(&policy, over + 700), Some(60));
}

#[test]
fn denials_have_to_come_within_the_time() {
    let policy = policy(LADDER);
    assert!(ask(&policy, "/", after(0)).is_allowed());
    for secs in [0, 0, 600, 900, 1200, 1500, 1800] {
        assert_eq!(ask(&policy, "/", after(secs)).cause(), Cause::Limits, "{secs}");
    }
    // Those at 1500 and 1800, and this one.
    assert_eq!(ask(&policy, "/", after(2098)).cause(), Cause::Limits);
    assert_eq!(blocked(&policy, 2098), Some(60));
}

#[test]
fn shadows_do_not_count() {
    let policy = policy(
        &LADDER.replace("quota = \"1/d\"\n    [[limit]]", "quota = \"100/d\"\n    [[limit]]"),
    );
    for _ in 0..50 {
        assert!(ask(&policy, "/watched", after(0)).is_allowed());
    }
    assert!(ask(&policy, "/watched", after(0)).limit("watched").unwrap().is_violated());
}

/// Each key alone, only what is covered, and only the limits that count.
#[test]
fn what_a_penalty_covers_and_counts() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "a"
        routes = ["GET /a"]
        key = ["user"]
        quota = "1/d"
        [[limit]]
        name = "b"
        routes = ["GET /b"]
        key = ["user"]
        quota = "1/d"
        [[penalty]]
        name = "ladder"
        key = ["user"]
        counts = ["a"]
        covers = ["/b/**", "/c"]
        denials = 2
        within = "1 h"
        blocks = ["1 h"]
        "#,
    );
    for _ in 0..20 {
        let _ = ask(&policy, "/b", after(0));
    }
    assert!(ask(&policy, "/c", after(0)).is_allowed());
    for _ in 0..3 {
        assert_ne!(ask(&policy, "/a", after(0)).cause(), Cause::Blocked("ladder"));
    }
    for path in ["/c", "/b", "/b/x"] {
        assert_eq!(ask(&policy, path, after(1)).cause(), Cause::Blocked("ladder"), "{path}");
    }
    // Blocked elsewhere; here it is the limit that says no.
    assert_eq!(ask(&policy, "/a", after(1)).cause(), Cause::Limits);
    let bob = policy.request("GET", "/c").attribute("user", "bob");
    assert!(policy.check_at(&bob, after(1)).is_allowed());
    // Who has no key is not blocked for others.
    assert!(policy.check_at(&policy.request("GET", "/c"), after(1)).is_allowed());
}

/// The longest of several blocks is what is to be waited for.
#[test]
fn of_several_blocks_the_longest_is_told() {
    let ladder = |name: &str, block: &str| {
        format!(
            "[[penalty]]\nname = \"{name}\"\nkey = [\"user\"]\ndenials = 2\nwithin = \"1 h\"\nblocks = [\"{block}\"]\n"
        )
    };
    for (first, second) in [("1 min", "1 h"), ("1 h", "1 min")] {
        let limit =
            "[attribute.user]\n[[limit]]\nname = \"a\"\nkey = [\"user\"]\nquota = \"1/d\"\n";
        let policy = policy(&[limit, &ladder("first", first), &ladder("second", second)].concat());
        for _ in 0..3 {
            assert_eq!(ask(&policy, "/", after(0)).cause(), Cause::Limits);
        }
        let told = ask(&policy, "/", after(0)).retry_after();
        assert_eq!(told, Some(Duration::from_secs(3600)));
    }
}

/// A key may have the path and the method, which are those of the request to unblock.
#[test]
fn blocks_by_path_are_lifted_by_path() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "a"
        key = ["user"]
        quota = "1/d"
        [[penalty]]
        name = "ladder"
        key = ["user", "method", "path"]
        denials = 2
        within = "1 h"
        blocks = ["1 h"]
        "#,
    );
    for _ in 0..3 {
        let _ = ask(&policy, "/x/./y", after(0));
    }
    assert_eq!(ask(&policy, "/x/y", after(0)).cause(), Cause::Blocked("ladder"));
    let request = policy.request("HEAD", "/x//y").attribute("user", "ann");
    let other = policy.request("GET", "/x").attribute("user", "ann");
    assert!(!policy.unblock_at("ladder", &other, after(0)));
    assert!(policy.unblock_at("ladder", &request, after(0)));
    assert_eq!(ask(&policy, "/x/y", after(0)).cause(), Cause::Limits);
}

/// When all places are taken nobody else is blocked, and nobody loses a block: not with
/// time, and not by another file.
#[test]
fn blocks_that_hold_are_never_pushed_out() {
    let text = r#"
        [attribute.user]
        [[limit]]
        name = "one"
        key = ["user"]
        quota = "1/d"
        capacity = 1000
        [[penalty]]
        name = "ladder"
        key = ["user"]
        denials = 1
        within = "1 h"
        blocks = ["until lifted"]
        capacity = 10
    "#;
    let policy = policy(text);
    let users: Vec<String> = (0..200).map(|user| format!("user-{user}")).collect();
    let blocked = |policy: &Policy, secs| -> Vec<bool> {
        let of = |user: &String| {
            let request = policy.request("GET", "/").attribute("user", user);
            let decision = policy.check_at(&request, after(secs));
            assert_ne!(decision.retry_after(), Some(Duration::ZERO));
            decision.cause() == Cause::Blocked("ladder")
        };
        users.iter().map(of).collect()
    };
    for _ in 0..3 {
        let _ = blocked(&policy, 0);
    }
    let first = blocked(&policy, 0);
    let held = first.iter().filter(|is| **is).count();
    assert!((10..200).contains(&held), "{held}");
    let mut policy = policy;
    for secs in [1, 86_400, 400 * 86_400] {
        assert_eq!(blocked(&policy, secs), first);
        let next = text.replace("\"until lifted\"", "\"1 min\"");
        let file = tollgate::policy::PolicyFile::parse("next", next.as_bytes()).unwrap();
        policy = policy.succeeded_by(&file).unwrap();
        assert_eq!(blocked(&policy, secs), first);
        let file = tollgate::policy::PolicyFile::parse("next", text.as_bytes()).unwrap();
        policy = policy.succeeded_by(&file).unwrap();
    }
}

#[test]
fn a_peek_is_no_denial() {
    let policy = policy(LADDER);
    let peek = |now| policy.peek_at(&policy.request("GET", "/").attribute("user", "ann"), now);
    assert!(ask(&policy, "/", after(0)).is_allowed());
    for secs in 0..9 {
        assert_eq!(
            (peek(after(secs)).cause(), peek(after(secs)).is_denied()),
            (Cause::Limits, true)
        );
    }
    offend(&policy, 9);
    let blocked = peek(after(9));
    assert_eq!(blocked.cause(), Cause::Blocked("ladder"));
    assert_eq!(
        (blocked.retry_after(), blocked.status()),
        (Some(Duration::from_secs(60)), Some(403))
    );
}

#[test]
fn a_peek_empties_nothing() {
    let policy = policy(
        "[[limit]]\nname = 'strict'\nkey = []\nquota = '10/min'\ncost = 'units'\n\
         charge_denied = true\n",
    );
    let of = |units| policy.request("GET", "/").cost("units", units);
    assert!(policy.check_at(&of(6), after(0)).is_allowed());
    let peeked = policy.peek_at(&of(8), after(5));
    assert_eq!((peeked.is_denied(), peeked.retry_after()), (true, Some(Duration::from_secs(55))));
    assert!(policy.check_at(&of(4), after(5)).is_allowed());
}
