//! Requests and policies of sizes that nobody expects.

use crate::{after, binds, left, policy, start};
use std::fmt::Write;
use tollgate::Outcome;

#[test]
fn large_and_strange_values() {
    let policy = policy(
        r#"
        [attribute.ip]
        kind = "ip"
        [attribute.user]
        [[limit]]
        name = "user"
        key = ["user"]
        quota = "2/h"
        [[limit]]
        name = "path"
        key = ["path"]
        quota = "1000/h"
        [[limit]]
        name = "ip"
        key = ["ip"]
        missing = "skip"
        quota = "1000/h"
        "#,
    );
    let mut large = vec![b'x'; 1 << 20];
    let values: [&[u8]; 9] =
        [&large.clone(), b"\0", b"\0\0", b"\xff\xfe", b"\xff", b"\xc3\x28", b" ", b"\r\n", b"%00"];
    for value in values {
        let request = policy.request("GET", "/").attribute("user", value).attribute("ip", value);
        assert_eq!(left(&policy.check_at(&request, start()), "user"), 1, "{}", value.len());
        assert!(policy.check_at(&request, start()).is_allowed());
        assert!(policy.check_at(&request, start()).is_denied());
    }
    // One byte of a million makes another key.
    *large.last_mut().unwrap() = b'y';
    let request = policy.request("GET", "/").attribute("user", &large);
    assert_eq!(left(&policy.check_at(&request, start()), "user"), 1);

    let segments = "/a".repeat(100_000);
    let dots = "/../.".repeat(100_000);
    let encoded = "/%2e%2E/%41%c3%28%00%".repeat(10_000);
    let paths: [&[u8]; 14] = [
        segments.as_bytes(),
        dots.as_bytes(),
        encoded.as_bytes(),
        &large,
        b"",
        b"*",
        b"/\0",
        b"/\xff\xfe",
        b"/%",
        b"/%zz",
        b"?",
        b"//",
        b"/a?b/c#d",
        b"http://user@example.com/a",
    ];
    for (nth, path) in paths.into_iter().enumerate() {
        for method in ["GET", "", "get", "\u{1F600}", "A B"] {
            let user = format!("{nth} {method}");
            let request = policy.request(method, path).host("\u{0}:::]").attribute("user", &user);
            let decision = policy.check_at(&request, start());
            assert!(decision.is_allowed(), "{nth}");
            let _ = decision.response();
        }
    }
    // Costs and names without an end.
    let request = policy.request("GET", "/").attribute("user", "ann").cost("none", u64::MAX);
    let mut decision = policy.check_at(&request.attribute(&segments, "x"), start());
    decision.settle_at(&segments, u64::MAX, start());
    assert!(decision.is_allowed());
}

#[test]
fn costs_without_an_end() {
    for algorithm in ["sliding-log", "gcra", "sliding-counter", "calendar", "size"] {
        let quota = if algorithm == "size" { "100" } else { "\"100/h\"" };
        let policy = policy(&format!(
            "[[limit]]\nname = \"a\"\nkey = []\nalgorithm = \"{algorithm}\"\nquota = {quota}\ncost = \"n\"\n\
             [[limit]]\nname = \"b\"\nkey = []\nquota = \"1000/h\"\n"
        ));
        for units in [u64::MAX, u64::MAX - 1, 1 << 63, 101] {
            let never = policy.check_at(&policy.request("GET", "/").cost("n", units), start());
            assert_eq!(
                (never.outcome(), binds(&never)),
                (Outcome::Never, Some("a")),
                "{algorithm}"
            );
            assert_eq!((left(&never, "a"), left(&never, "b")), (100, 1000));
        }
        let mut one = policy.check_at(&policy.request("GET", "/").cost("n", 1), start());
        one.settle_at("n", u64::MAX, start());
        one.settle_at("n", 0, start());
        one.refund_at(start());
        let all = policy.check_at(&policy.request("GET", "/").cost("n", 100), start());
        assert!(all.is_allowed(), "{algorithm} {all:?}");
    }
}

/// As many limits as a file may have, all of one request.
fn many(limits: usize, quota: impl Fn(usize) -> u64) -> String {
    let mut text = "[attribute.user]\n".to_owned();
    for nth in 0..limits {
        let algorithm = ["sliding-log", "gcra", "calendar"][nth % 3];
        let quota = quota(nth);
        writeln!(
            text,
            "[[limit]]\nname = \"limit {nth}\"\nkey = [\"user\"]\nalgorithm = \"{algorithm}\"\n\
             quota = \"{quota}/h\"\ncapacity = 10"
        )
        .unwrap();
    }
    text
}

#[test]
fn more_limits_than_fit_on_the_stack() {
    for limits in [8, 9, 20] {
        let policy = policy(&many(limits, |nth| if nth == 7 { 3 } else { 10 }));
        let request = policy.request("GET", "/").attribute("user", "ann");
        for left_now in (0..3).rev() {
            let decision = policy.check_at(&request, start());
            assert!(decision.is_allowed());
            assert_eq!(decision.limits().len(), limits);
            assert_eq!(left(&decision, "limit 7"), left_now);
        }
        let mut denied = policy.check_at(&request, start());
        assert_eq!((denied.is_denied(), binds(&denied)), (true, Some("limit 7")));
        denied.refund_at(start());
        let names = denied.limits().filter(|limit| limit.name() != "limit 7");
        assert!(names.into_iter().all(|limit| limit.decision().remaining() == 7));
        assert!(policy.check_at(&request, after(3600)).is_allowed());
    }
}

#[test]
fn a_thousand_limits_that_all_apply() {
    let policy = policy(&many(1000, |_| 5));
    let request = policy.request("GET", "/").attribute("user", "ann");
    for _ in 0..5 {
        let decision = policy.check_at(&request, start());
        assert!(decision.is_allowed());
        assert_eq!(decision.limits().len(), 1000);
    }
    let denied = policy.check_at(&request, start());
    assert!(denied.is_denied());
    assert!(denied.limits().all(|limit| limit.is_violated()));
    let names: Vec<_> = policy.limits().map(str::to_owned).collect();
    assert!(denied.limits().map(|limit| limit.name().to_owned()).eq(names), "in the file's order");
}

/// Keys that come once fill the table; what happens then is said by the limit.
#[test]
fn more_keys_than_there_is_room_for() {
    for (when_full, all_allowed) in [("allow", true), ("deny", false)] {
        let policy = policy(&format!(
            "[attribute.user]\n[[limit]]\nname = \"a\"\nkey = [\"user\"]\nquota = \"2/h\"\n\
             capacity = 10\nwhen_full = \"{when_full}\"\n\
             [[limit]]\nname = \"b\"\nkey = []\nquota = \"1000000/h\"\nalgorithm = \"gcra\"\n"
        ));
        let (mut allowed, mut charged) = (0, 0);
        for user in 0..1000 {
            let user = format!("user-{user}");
            let decision =
                policy.check_at(&policy.request("GET", "/").attribute("user", &user), start());
            allowed += u32::from(decision.is_allowed());
            charged = 1_000_000 - left(&decision, "b");
            assert!(decision.is_allowed() || decision.retry_after().is_some());
        }
        assert_eq!(allowed == 1000, all_allowed);
        assert!(allowed >= 10);
        assert_eq!(charged, u64::from(allowed));
    }
}
