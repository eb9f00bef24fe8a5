//! Conditions and quotas by what every request has: its method, host and path.

use crate::{left, policy, start};
use tollgate::policy::{Cause, Policy};

fn applies(policy: &Policy, method: &str, host: Option<&str>, path: &str) -> Vec<String> {
    let request = policy.request(method, path);
    let request = match host {
        Some(host) => request.host(host),
        None => request,
    };
    let decision = policy.check_at(&request, start());
    let asked: Vec<String> = decision.limits().map(|limit| limit.name().to_owned()).collect();
    let explanation = policy.explain(&request);
    let explained = explanation.limits().filter(|limit| limit.applies());
    assert_eq!(explained.map(|limit| limit.name().to_owned()).collect::<Vec<_>>(), asked);
    asked
}

const THREE: &str = r#"
    [[limit]]
    name = "writes"
    when = { method = ["post", "PUT"] }
    key = []
    quota = "100/h"
    [[limit]]
    name = "api"
    when = { host = "API.Example.com" }
    key = []
    quota = "100/h"
    [[limit]]
    name = "all but health"
    unless = { path = ["/health", "/v1/%70ing/"], method = "OPTIONS" }
    key = []
    quota = "100/h"
    [[limit]]
    name = "no host"
    when = { host = false }
    key = []
    quota = "100/h"
"#;

#[test]
fn conditions_are_compared_as_routes_are() {
    let policy = policy(THREE);
    for (method, host, path, expected) in [
        ("POST", Some("api.example.com"), "/x", &["writes", "api", "all but health"] as &[_]),
        ("GET", Some("other.example"), "/x", &["all but health"]),
        ("GET", None, "/health", &["no host"]),
        ("GET", Some(""), "/health", &["no host"]),
        ("GET", Some("x"), "/healthy", &["all but health"]),
        // No other way to write the same thing is a way around.
        ("pOsT", Some("x"), "/health", &["writes"]),
        ("GET", Some("API.EXAMPLE.COM.:443"), "/health", &["api"]),
        ("GET", Some("api.example.com.evil"), "/health", &[]),
        ("GET", Some("x"), "//%68ealth/?q=1", &[]),
        ("GET", Some("x"), "/a/../health#f", &[]),
        ("GET", Some("x"), "/v1/ping", &[]),
        // The request line goes before the header.
        ("GET", Some("x"), "http://api.example.com:80/health", &["api"]),
        ("options", Some("x"), "/x", &[]),
        ("OPTIONS", Some("x"), "/health", &[]),
        ("", Some("x"), "/x", &["all but health"]),
    ] {
        assert_eq!(applies(&policy, method, host, path), expected, "{method} {host:?} {path}");
    }
    // What a host says of them as attributes is nothing: they are no attributes.
    assert_eq!(policy.attributes().count(), 0);
    assert_eq!(policy.attribute_id("method"), None);
    let request = policy.request("GET", "/health").host("x").attribute("method", "POST");
    assert_eq!(policy.check_at(&request, start()).limits().count(), 0);
    let longest = "p".repeat(100_000);
    assert_eq!(applies(&policy, &longest, Some(&longest), &longest), ["all but health"]);
}

#[test]
fn head_is_get_and_other_methods_are_their_own() {
    let policy =
        policy("[[refuse]]\nname = \"read only\"\nunless = { method = \"GET\" }\nstatus = 405\n");
    for (method, refused) in
        [("GET", false), ("HEAD", false), ("head", false), ("POST", true), ("GETX", true)]
    {
        let decision = policy.check_at(&policy.request(method, "/"), start());
        assert_eq!(decision.cause() == Cause::Refused("read only"), refused, "{method}");
    }
}

#[test]
fn limits_of_a_group_by_method_exclude_each_other() {
    let policy = policy(
        "[[limit]]\nname = \"reads\"\ngroup = \"g\"\nwhen = { method = \"get\" }\nkey = []\nquota = \"9/h\"\n\
         [[limit]]\nname = \"writes\"\ngroup = \"g\"\nunless = { method = \"GET\" }\nkey = []\nquota = \"5/h\"\n",
    );
    assert_eq!(applies(&policy, "HEAD", None, "/"), ["reads"]);
    assert_eq!(applies(&policy, "DELETE", None, "/"), ["writes"]);
}

#[test]
fn quotas_by_method_host_and_path() {
    let policy = policy(
        r#"
        [[limit]]
        name = "method"
        key = ["method"]
        quota = { by = "method", get = "50/h", otherwise = "10/h" }
        [[limit]]
        name = "host"
        key = ["host"]
        quota = { by = "host", "A.example" = "20/h", "b.example" = "unlimited" }
        missing = "skip"
        when = { host = ["a.example", "b.example", "C.example"] }
        overrides = { by = "host", "C.example" = "7/h" }
        largest = "20/h"
        [[limit]]
        name = "path"
        key = ["path"]
        quota = { by = "path", "/big/" = "40/h", otherwise = "4/h" }
        "#,
    );
    let asked = |method: &str, host: &str, path: &str, limit: &str| {
        left(&policy.check_at(&policy.request(method, path).host(host), start()), limit)
    };
    assert_eq!(asked("GET", "x", "/1", "method"), 49);
    assert_eq!(asked("HEAD", "x", "/2", "method"), 48);
    assert_eq!(asked("PUT", "x", "/3", "method"), 9);
    assert_eq!(asked("GET", "a.example:8080", "/4", "host"), 19);
    assert_eq!(asked("GET", "c.EXAMPLE", "/5", "host"), 6);
    assert_eq!(asked("GET", "x", "/%62ig", "path"), 39);
    assert_eq!(asked("GET", "x", "/small", "path"), 3);
    // Overrides at run time are compared in the same way.
    policy.set_override("host", "A.Example.:99", Some("12/h")).unwrap();
    assert_eq!(asked("GET", "a.example", "/6", "host"), 10);
    policy.set_override("host", "a.example", None).unwrap();
    assert_eq!(asked("GET", "a.example", "/7", "host"), 17);
}

#[test]
fn a_host_that_is_missing_is_answered_as_the_limit_says() {
    let limit = |missing: &str| {
        policy(&format!(
            "[[limit]]\nname = \"l\"\nkey = []\nmissing = \"{missing}\"\n\
             when = {{ method = \"GET\" }}\n\
             quota = {{ by = \"host\", \"a.example\" = \"1/h\", otherwise = \"2/h\" }}\n"
        ))
    };
    let policy = limit("deny");
    // `otherwise` is of no host, too.
    assert_eq!(left(&policy.check_at(&policy.request("GET", "/"), start()), "l"), 1);
    let explained = policy.explain(&policy.request("POST", "/")).to_string();
    assert!(explained.contains("`method` should be GET, and is POST"), "{explained}");
}

/// A policy that replaces another keeps what was set by host.
#[test]
fn overrides_by_host_outlive_a_policy() {
    let text = "[[limit]]\nname = \"l\"\nkey = [\"host\"]\nquota = \"2/h\"\nlargest = \"9/h\"\n\
                overrides = { by = \"host\" }\n";
    let before = policy(text);
    before.set_override("l", "A.example", Some("9/h")).unwrap();
    let file = tollgate::policy::PolicyFile::parse("next", text.as_bytes()).unwrap();
    let after = before.succeeded_by(&file).unwrap();
    let request = after.request("GET", "/").host("a.EXAMPLE");
    assert_eq!(left(&after.check_at(&request, start()), "l"), 8);
}
