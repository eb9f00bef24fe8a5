//! What a request lacks: attributes, costs, parts of keys; and whose keys are whose.

use crate::{binds, left, policy, start};
use tollgate::{
    Outcome,
    policy::{Cause, PolicyError, PolicyFile},
};

const THREE_WAYS: &str = r#"
    [attribute.ip]
    kind = "ip"
    [attribute.user]
    [attribute.org]
    [attribute.tier]
    values = ["FREE"]

    [[limit]]
    name = "skips"
    routes = ["GET /skip"]
    key = ["user"]
    missing = "skip"
    quota = "1/h"

    [[limit]]
    name = "denies"
    routes = ["GET /deny"]
    key = ["user", "org"]
    missing = "deny"
    status = 401
    quota = "1/h"

    [[limit]]
    name = "goes elsewhere"
    routes = ["GET /other"]
    key = ["user"]
    missing = { limit = "by address" }
    quota = "5/h"

    [[limit]]
    name = "by tier"
    routes = ["GET /tier"]
    key = []
    quota = { by = "tier", FREE = "1/h" }

    [[limit]]
    name = "by address"
    key = ["ip"]
    missing = "skip"
    quota = "3/h"
"#;

#[test]
fn skip_deny_or_another_limit() {
    let policy = policy(THREE_WAYS);
    for _ in 0..5 {
        let skipped = policy.check_at(&policy.request("GET", "/skip"), start());
        assert!(skipped.is_allowed() && skipped.limits().len() == 0);
    }
    // Empty is missing; and what is missing is told.
    for (user, lacks) in [("", "user"), ("ann", "org")] {
        let request = policy.request("GET", "/deny").attribute("user", user).attribute("org", "");
        let request = request.attribute("ip", "192.0.2.1");
        let denied = policy.check_at(&request, start());
        assert_eq!(denied.outcome(), Outcome::Never);
        assert_eq!(denied.cause(), Cause::Missing { limit: "denies", attribute: lacks });
        assert_eq!((denied.status(), denied.retry_after()), (Some(401), None));
    }
    let request = policy.request("GET", "/tier").attribute("tier", "GOLD");
    let denied = policy.check_at(&request, start());
    assert_eq!(denied.cause(), Cause::Missing { limit: "by tier", attribute: "tier" });
    // Nothing was charged for those that were denied.
    let request = policy.request("GET", "/").attribute("ip", "192.0.2.1");
    assert_eq!(left(&policy.check_at(&request, start()), "by address"), 2);
}

/// A limit applies once, also where it stands in for another, and keeps its place.
#[test]
fn a_limit_that_stands_in_is_charged_once() {
    let policy = policy(THREE_WAYS);
    for nth in 1..=3 {
        let request = policy.request("GET", "/other").attribute("ip", "192.0.2.7");
        let decision = policy.check_at(&request, start());
        assert!(decision.is_allowed(), "{nth}: {decision:?}");
        assert_eq!(decision.limits().len(), 1);
        assert_eq!(left(&decision, "by address"), 3 - nth);
    }
    let request = policy.request("GET", "/other").attribute("ip", "192.0.2.7");
    let denied = policy.check_at(&request, start());
    assert_eq!((denied.outcome(), binds(&denied)), (Outcome::Later, Some("by address")));
    let known =
        policy.request("GET", "/other").attribute("user", "ann").attribute("ip", "192.0.2.8");
    let decision = policy.check_at(&known, start());
    assert_eq!((left(&decision, "goes elsewhere"), left(&decision, "by address")), (4, 2));
}

/// In the list of what was asked it has the place of the one that it stands in for.
#[test]
fn a_limit_that_stands_in_keeps_the_others_place() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "each"
        key = ["user"]
        quota = "5/h"
        missing = { limit = "nobody" }
        [[limit]]
        name = "together"
        key = []
        quota = "9/h"
        [[limit]]
        name = "nobody"
        routes = ["/never"]
        key = []
        quota = "1/h"
        "#,
    );
    let asked = |request| {
        let decision = policy.check_at(&request, start());
        decision.limits().map(|limit| limit.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(asked(policy.request("GET", "/")), ["nobody", "together"]);
    assert_eq!(asked(policy.request("GET", "/").attribute("user", "ann")), ["each", "together"]);
}

#[test]
fn no_value_passes_for_two() {
    let policy = policy(
        r#"
        [attribute.user]
        [attribute.org]
        [[limit]]
        name = "both"
        routes = ["GET /{item}"]
        key = ["user", "org", "path.item"]
        quota = "1/h"
        "#,
    );
    let keys = [
        ("a", "b", "/c"),
        ("a:b", "c", "/d"),
        ("a", "b:c", "/d"),
        ("ab", "c", "/d"),
        ("a", "bc", "/d"),
        ("abc", "d", "/d"),
        ("a", "b", "/cd"),
        ("a\0", "b", "/c"),
        ("a", "\0b", "/c"),
        ("a\u{1}\0\0\0\0\0\0\0b", "b", "/c"),
        ("a/b", "b", "/c"),
        ("a", "b/b", "/c"),
    ];
    let allowed = |(user, org, path)| {
        let request = policy.request("GET", path).attribute("user", user).attribute("org", org);
        policy.check_at(&request, start()).is_allowed()
    };
    assert!(keys.into_iter().all(allowed), "all are new");
    assert!(!keys.into_iter().any(allowed), "and all are known then");
}

/// How a host is written does not make it another.
#[test]
fn a_host_is_one_key_however_it_is_written() {
    let policy = policy(
        r#"
        [[limit]]
        name = "host"
        key = ["host"]
        missing = "deny"
        quota = "100/h"
        "#,
    );
    let hosts = ["api.example.com", "API.example.COM", "api.example.com:8443", "api.example.com."];
    for (nth, host) in (1..).zip(hosts) {
        let decision = policy.check_at(&policy.request("GET", "/").host(host), start());
        assert_eq!(left(&decision, "host"), 100 - nth, "{host}");
    }
    let denied = policy.check_at(&policy.request("GET", "/"), start());
    assert_eq!(denied.cause(), Cause::Missing { limit: "host", attribute: "host" });
}

#[test]
fn a_share_of_the_keys_is_enforced_and_always_the_same() {
    let text = r#"
        [attribute.user]
        [[limit]]
        name = "a"
        key = ["user"]
        quota = "1/h"
        share = "25%"
        [[limit]]
        name = "b"
        key = ["user"]
        quota = "1/h"
        share = "50%"
    "#;
    let (one, other) = (policy(text), policy(text));
    let mut enforced = [0; 2];
    for user in 0..8_000 {
        let user = format!("user-{user}");
        let of = |policy: &tollgate::policy::Policy| {
            let request = policy.request("GET", "/").attribute("user", &user);
            let decision = policy.check_at(&request, start());
            ["a", "b"].map(|name| !decision.limit(name).unwrap().is_shadow())
        };
        let shares = of(&one);
        assert_eq!(shares, of(&other));
        assert!(shares[1] || !shares[0], "a larger share has all of a smaller one");
        for (n, is) in enforced.iter_mut().zip(shares) {
            *n += u32::from(is);
        }
    }
    assert!(
        (1_800..2_200).contains(&enforced[0]) && (3_800..4_200).contains(&enforced[1]),
        "{enforced:?}"
    );
}

/// An estimate of nothing is corrected as any other.
#[test]
fn what_was_thought_to_cost_nothing_is_settled() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "tokens"
        key = ["user"]
        quota = "100/h"
        cost = "tokens"
        missing = "skip"
        [[limit]]
        name = "size"
        key = []
        algorithm = "size"
        quota = 10
        cost = "tokens"
        missing = "skip"
        "#,
    );
    let request = policy.request("GET", "/").attribute("user", "ann").cost("tokens", 0);
    let mut decision = policy.check_at(&request, start());
    assert_eq!(left(&decision, "tokens"), 100);
    decision.settle_at("tokens", 30, start());
    assert_eq!(left(&policy.check_at(&request, start()), "tokens"), 70);
    decision.settle_at("tokens", 10, start());
    assert_eq!(left(&policy.check_at(&request, start()), "tokens"), 90);
    decision.refund_at(start());
    decision.settle_at("tokens", 50, start());
    assert_eq!(left(&policy.check_at(&request, start()), "tokens"), 100);

    // Of a denial nothing is charged afterwards either.
    let large = policy.request("GET", "/").attribute("user", "ann").cost("tokens", 11);
    let mut denied = policy.check_at(&large, start());
    assert!(denied.is_denied());
    denied.settle_at("tokens", 50, start());
    denied.refund_at(start());
    assert_eq!(left(&policy.check_at(&request, start()), "tokens"), 100);
}

/// Where a limit stands in for another, that one's route is not its own of that number.
#[test]
fn who_stands_in_is_on_another_route() {
    let policy = policy(
        r#"
        [attribute.ip]
        kind = "ip"
        [attribute.user]
        [[limit]]
        name = "users"
        routes = ["GET /a"]
        key = ["user"]
        missing = { limit = "by address" }
        quota = "1/h"
        [[limit]]
        name = "by address"
        routes = ["GET /b"]
        key = ["ip", "route"]
        missing = "skip"
        quota = "1/h"
        "#,
    );
    for path in ["/a", "/b"] {
        let request = policy.request("GET", path).attribute("ip", "192.0.2.7");
        assert!(policy.check_at(&request, start()).is_allowed(), "{path}");
        assert!(policy.check_at(&request, start()).is_denied(), "{path}");
    }
}

fn problems(text: &str) -> Option<PolicyError> {
    PolicyFile::parse("test", text.as_bytes())
        .and_then(|file| tollgate::policy::Policy::from_file_at(&file, start()).map(drop))
        .err()
}

/// What cannot be asked is said, and not left out: a condition that is dropped holds
/// for everybody.
#[test]
fn conditions_and_tables_are_by_attributes() {
    let limit =
        "[attribute.ip]\nkind = \"ip\"\n[attribute.user]\n[[limit]]\nname = \"a\"\nkey = []\n";
    for wrong in [
        "quota = \"1/h\"\nwhen = { path = true }",
        "routes = [\"/{id}\"]\nquota = \"1/h\"\nwhen = { \"path.id\" = \"x\" }",
        "routes = [\"/{id}\"]\nquota = \"1/h\"\nunless = { route = \"/{id}\" }",
        "routes = [\"/{id}\"]\nquota = { by = \"path.id\", x = \"1/h\", otherwise = \"2/h\" }",
        "quota = \"1/h\"\noverrides = { by = \"ip\", \"192.0.2.1\" = \"2/h\" }",
        "quota = { by = \"ip\", \"192.0.2.1\" = \"1/h\", otherwise = \"2/h\" }",
    ] {
        assert!(problems(&format!("{limit}{wrong}")).is_some(), "{wrong}");
    }
}

/// Which limit of a group applies is settled by routes and conditions: who is skipped
/// there has none of the group, as the documentation says.
#[test]
fn skipping_asks_no_fallback_and_standing_in_no_condition() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "own"
        routes = ["GET /skip"]
        group = "g"
        key = ["user"]
        quota = "1/h"
        missing = "skip"
        [[limit]]
        name = "known"
        routes = ["GET /when"]
        group = "g"
        when = { user = true }
        key = ["user"]
        quota = "1/h"
        [[limit]]
        name = "fallback"
        group = "g"
        fallback = true
        key = []
        quota = "9/h"
        [[limit]]
        name = "elsewhere"
        routes = ["GET /other"]
        key = ["user"]
        quota = "1/h"
        missing = { limit = "nobody's" }
        [[limit]]
        name = "nobody's"
        routes = ["POST /never"]
        when = { user = true }
        key = []
        quota = "7/h"
        "#,
    );
    let ask = |path| policy.check_at(&policy.request("GET", path), start());
    assert_eq!(ask("/skip").limits().len(), 0);
    assert_eq!(left(&ask("/when"), "fallback"), 8);
    let other = ask("/other");
    assert_eq!((left(&other, "nobody's"), left(&other, "fallback")), (6, 7));
}

/// A share says nothing about who has no key.
#[test]
fn with_a_share_too_who_has_no_key_is_denied() {
    let policy = policy(
        "[attribute.user]\n[[limit]]\nname = 'it'\nkey = ['user']\nquota = '1/h'\nshare = '1%'\n",
    );
    let denied = policy.check_at(&policy.request("GET", "/"), start());
    assert_eq!(denied.cause(), Cause::Missing { limit: "it", attribute: "user" });
}
