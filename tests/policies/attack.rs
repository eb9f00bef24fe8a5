//! Ways around a limit, each a test.

use crate::{after, left, policy, start};
use tollgate::policy::{Cause, Policy, PolicyFile};

/// A limit in shadow denies nobody, also who lacks what it needs.
#[test]
fn a_shadow_does_not_deny_who_lacks_its_key() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "watched"
        key = ["user"]
        quota = "1/h"
        mode = "shadow"
        [[limit]]
        name = "everything"
        key = []
        quota = "10/h"
        "#,
    );
    let decision = policy.check_at(&policy.request("GET", "/"), start());
    assert!(decision.is_allowed(), "{decision:?}");
    assert_eq!(left(&decision, "everything"), 9);
}

#[test]
fn a_method_is_one_key_however_it_is_written() {
    let policy = policy("[[limit]]\nname = 'm'\nkey = ['method']\nquota = '10/h'\n");
    for (nth, method) in (1..).zip(["GET", "get", "gEt", "HEAD", "head"]) {
        let decision = policy.check_at(&policy.request(method, "/"), start());
        assert_eq!(left(&decision, "m"), 10 - nth, "{method}");
    }
}

/// A request line that names no host does not hide the one of the header.
#[test]
fn an_authority_without_a_host_is_none() {
    let policy = policy(
        r#"
        [[limit]]
        name = "api"
        routes = ["api.example.com/**"]
        key = ["host"]
        quota = "10/h"
        "#,
    );
    for (nth, path) in (1..).zip([
        "/a",
        "http:///a",
        "http://:80/a",
        "http://@/a",
        "http://./a",
        "http://u@:8/a",
        "http://\u{0}@/a",
    ]) {
        let request = policy.request("GET", path).host("api.example.com");
        let decision = policy.check_at(&request, start());
        assert_eq!(decision.limits().len(), 1, "{path}");
        assert_eq!(left(&decision, "api"), 10 - nth, "{path}");
    }
}

/// Denials elsewhere while a key is blocked are those of a block.
#[test]
fn denials_during_a_block_count_nowhere() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "a"
        routes = ["GET /a"]
        key = ["user"]
        quota = "1/d"
        [[penalty]]
        name = "ladder"
        key = ["user"]
        covers = ["/b"]
        denials = 3
        within = "1 h"
        blocks = ["1 min"]
        "#,
    );
    let ask = |path, secs| {
        let request = policy.request("GET", path).attribute("user", "ann");
        let decision = policy.check_at(&request, after(secs));
        (decision.is_denied(), matches!(decision.cause(), Cause::Blocked(_)))
    };
    for _ in 0..4 {
        let _ = ask("/a", 0);
    }
    assert_eq!(ask("/b", 0), (true, true));
    for secs in 1..60 {
        assert_eq!(ask("/a", secs), (true, false));
    }
    assert_eq!(ask("/b", 60), (false, false));
    for nth in 0..2 {
        assert_eq!(ask("/a", 60), (true, false));
        assert_eq!(ask("/b", 60), (false, false), "{nth}");
    }
    assert_eq!(ask("/a", 60), (true, false));
    assert_eq!(ask("/b", 60), (true, true));
}

/// What stands in for another is asked by its own route where it applies itself.
#[test]
fn a_limit_that_stands_in_goes_by_its_own_route() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "first"
        routes = ["GET /{id}/**"]
        key = ["user"]
        quota = "10/h"
        missing = { limit = "second" }
        [[limit]]
        name = "second"
        routes = ["GET /x/{id}"]
        key = ["path.id"]
        quota = "10/h"
        "#,
    );
    for (nth, id) in [(1, "a"), (1, "b"), (2, "a")] {
        let path = format!("/x/{id}");
        let decision = policy.check_at(&policy.request("GET", &path), start());
        assert_eq!(left(&decision, "second"), 10 - nth, "{id}");
    }
}

fn successor(policy: &Policy, text: &str) -> Result<Policy, String> {
    let file = PolicyFile::parse("next", text.as_bytes()).map_err(|e| e.to_string())?;
    policy.succeeded_by(&file).map_err(|e| e.to_string())
}

/// A block that is longer than any of the new ladder goes on.
#[test]
fn a_long_block_survives_a_short_ladder() {
    let ladder = |blocks: &str, decay: &str| {
        format!(
            "[attribute.user]\n[[limit]]\nname = 'a'\nkey = ['user']\nquota = '1/d'\n\
             [[penalty]]\nname = 'ladder'\nkey = ['user']\ndenials = 2\nwithin = '1 min'\n\
             blocks = {blocks}\ndecay = '{decay}'\n"
        )
    };
    let first = policy(&ladder("['30 d']", "1 h"));
    let ask = |policy: &Policy, secs| {
        let decision =
            policy.check_at(&policy.request("GET", "/").attribute("user", "ann"), after(secs));
        matches!(decision.cause(), Cause::Blocked(_)).then(|| decision.retry_after())
    };
    for _ in 0..3 {
        assert_eq!(ask(&first, 0), None);
    }
    let next = successor(&first, &ladder("['1 min']", "1 min")).unwrap();
    let wait =
        |policy: &Policy, secs| ask(policy, secs).map(|wait| wait.map(|wait| wait.as_secs()));
    assert_eq!(wait(&next, 1), Some(Some(30 * 86_400 - 1)));
    let next =
        successor(&next, &ladder("['1 min', '2 min']", "0 s").replace("0 s", "1 s")).unwrap();
    assert_eq!(wait(&next, 29 * 86_400), Some(Some(86_400)));
    assert_eq!(wait(&next, 30 * 86_400), None);
}

/// A request takes one lease, so a cost would let more in than there are.
#[test]
fn leases_have_no_cost() {
    let text = "[[limit]]\nname = 'l'\nkey = []\nalgorithm = 'leases'\nquota = 3\nttl = '1 h'\ncost = 'n'\n";
    let error = PolicyFile::parse("test", text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("cost") && error.contains(":7:"), "{error}");
}
