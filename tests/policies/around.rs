//! Other ways to write one request: each would be a way around a limit.

use crate::{after, binds, left, policy, start};
use std::collections::BTreeSet;
use tollgate::policy::{Cause, Policy};

/// Everything that looks at a path: a route, a key, a group, a penalty, a refusal.
fn by_path(options: &str) -> Policy {
    policy(&format!(
        r#"
        [path]
        {options}
        [[limit]]
        name = "scan"
        routes = ["POST /v1/scans/{{id}}"]
        group = "api"
        key = ["path.id"]
        quota = "1000/h"
        [[limit]]
        name = "other"
        group = "api"
        fallback = true
        key = []
        quota = "1000/h"
        [[limit]]
        name = "path"
        key = ["path"]
        quota = "1000/h"
        [[refuse]]
        name = "private"
        routes = ["/v1/private/**"]
        "#
    ))
}

/// All of these are one request, by the route's bucket and by the path's.
fn are_one(policy: &Policy, paths: &[&str]) {
    for (nth, path) in (1..).zip(paths) {
        let decision = policy.check_at(&policy.request("POST", path), start());
        assert!(decision.limit("scan").is_some(), "{path}: {decision:?}");
        assert_eq!(
            (left(&decision, "scan"), left(&decision, "path")),
            (1000 - nth, 1000 - nth),
            "{path}"
        );
    }
}

fn are_none(policy: &Policy, paths: &[&str]) {
    for path in paths {
        let decision = policy.check_at(&policy.request("POST", path), start());
        assert!(decision.limit("scan").is_none(), "{path}");
        assert!(decision.limit("other").is_some(), "{path}: the fallback holds");
    }
}

#[test]
fn however_a_path_is_written() {
    are_one(
        &by_path(""),
        &[
            "/v1/scans/7",
            "/v1/scans/7?x=/../y",
            "/v1/scans/7#f",
            "/v1/scans/7?",
            "/v1/scans/%37",
            "/v1/%73cans/7",
            "/%76%31/%73cans/7",
            "/v1%2Fscans%2f7",
            "//v1///scans//7",
            "/v1/./scans/7",
            "/v1/x/../scans/7",
            "/v1/x/%2e%2e/scans/7",
            "/v1/x/.%2E/scans/7",
            "/v1%2fx%2f%2e%2e%2fscans%2f7",
            "/../../v1/scans/7",
            "/v1/scans/7/",
            "/v1/scans/7//",
            "/v1/scans/7%2F",
            "/v1/scans/7/.",
            "/v1/scans/7/x/..",
            "v1/scans/7",
            "http://api.example.com/v1/scans/7",
            "HTTPS://u:p@api.example.com:8443//v1/scans/7?q#f",
            "http:///v1/scans/7",
        ],
    );
    // Decoded once: what a router that decodes once takes for something else, is.
    are_none(
        &by_path(""),
        &[
            "/v1/scans",
            "/v1/scans/7/x",
            "/v1/Scans/7",
            "/v1%252Fscans/7",
            "/v1/%2573cans/7",
            "/v1/scans;x/7",
        ],
    );
}

#[test]
fn as_the_router_has_it() {
    are_one(
        &by_path("case = \"insensitive\""),
        &["/v1/scans/a", "/V1/SCANS/A", "/v1/%53cans/%41", "/v1/scanS/a/"],
    );
    are_one(&by_path("encoded_slash = \"data\""), &["/v1/scans/a%2Fb", "/v1/scans/a%2fb"]);
    are_none(&by_path("encoded_slash = \"data\""), &["/v1%2Fscans/a", "/v1/scans/a/b"]);
    are_none(
        &by_path("trailing_slash = \"keep\""),
        &["/v1/scans/a/", "/v1/scans/a%2F", "/v1/scans/a/."],
    );
    are_one(&by_path("trailing_slash = \"keep\""), &["/v1/scans/a", "//v1//scans//a"]);
}

#[test]
fn a_refusal_is_not_walked_around() {
    let policy = by_path("");
    for path in
        ["/v1/private", "/v1/private/", "/v1/x/../private/a", "/v1/%70rivate", "/v1%2fprivate%2fa"]
    {
        let decision = policy.check_at(&policy.request("GET", path), start());
        assert_eq!(decision.cause(), Cause::Refused("private"), "{path}");
    }
}

/// One value of a parameter is one key: distinct ones are distinct.
#[test]
fn parameters_that_differ_are_different_keys() {
    let policy = by_path("");
    let ids = [
        "a", "A", "a%25", "a%2525", "a%3F", "a%00", "%C3%A9", "e%CC%81", "%FF", "a;b", "a%20b",
        "a+b",
    ];
    for id in ids {
        let path = format!("/v1/scans/{id}");
        let decision = policy.check_at(&policy.request("POST", &path), start());
        assert_eq!(left(&decision, "scan"), 999, "{id}");
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[test]
fn however_a_method_and_a_host_are_written() {
    let policy = policy(
        r#"
        [[limit]]
        name = "it"
        routes = ["GET api.example.com/a"]
        key = ["host", "method"]
        quota = "1000/h"
        "#,
    );
    let mut used = 0;
    for method in ["GET", "HEAD", "get", "Head"] {
        for (path, host) in [
            ("/a", Some("api.example.com")),
            ("/a", Some("API.Example.COM")),
            ("/a", Some("api.example.com:8443")),
            ("/a", Some("api.example.com:")),
            ("/a", Some("api.example.com.")),
            ("/a", Some("api.example.com.:80")),
            ("/a", Some("user:pass@api.example.com:80")),
            ("/a", Some(" api.example.com ")),
            ("http://api.example.com/a", None),
            ("http://api.example.com/a", Some("elsewhere.example")),
            ("http://u@API.example.com.:1/a", Some("elsewhere.example")),
            ("http:///a", Some("api.example.com")),
        ] {
            let mut request = policy.request(method, path);
            if let Some(host) = host {
                request = request.host(host);
            }
            let decision = policy.check_at(&request, start());
            used += 1;
            assert_eq!(decision.limits().len(), 1, "{method} {path} {host:?}");
            assert_eq!(left(&decision, "it"), 1000 - used, "{method} {path} {host:?}");
        }
    }
    // And who names another host on the request line is not of this one.
    let request = policy.request("GET", "http://elsewhere.example/a").host("api.example.com");
    assert_eq!(policy.check_at(&request, start()).limits().len(), 0);
}

const PROXIED: &str = r#"
    [attribute.ip]
    kind = "ip"
    forwarded = "xff"
    trusted_hops = 2
    [[limit]]
    name = "it"
    key = ["ip"]
    quota = "1000/h"
    missing = "deny"
    [[limit]]
    name = "lenient"
    routes = ["/lenient"]
    key = ["ip"]
    quota = "1000/h"
    missing = { limit = "unknown" }
    [[limit]]
    name = "unknown"
    routes = ["/nowhere"]
    key = []
    quota = "1000/h"
"#;

/// The client is the last entry but one, whatever it wrote in front.
#[test]
fn a_forwarded_list_is_read_from_the_right() {
    let policy = policy(PROXIED);
    let lists = [
        "192.0.2.7, 10.0.0.1",
        "192.0.2.7,10.0.0.1",
        "203.0.113.9, 192.0.2.7, 10.0.0.1",
        "unknown, garbage, \"x, 192.0.2.7, 10.0.0.1",
        ",,, 192.0.2.7 , 10.0.0.1",
        "192.0.2.7:4711, 10.0.0.1:80",
        "\"192.0.2.7\", 10.0.0.1",
        "::ffff:192.0.2.7, 10.0.0.1",
        "[::ffff:192.0.2.7]:80, 10.0.0.1",
        "[::FFFF:C000:0207], ::1",
        "for=192.0.2.7, for=10.0.0.1",
        "for=\"[::ffff:192.0.2.7]:1\";proto=https, for=_hidden",
        // Several header lines, joined in their order.
        &["203.0.113.9", "8.8.8.8, 192.0.2.7", "10.0.0.1"].join(","),
    ];
    for (nth, list) in (1..).zip(lists) {
        let request = policy.request("GET", "/").attribute("ip", "10.0.0.1").attribute("xff", list);
        let decision = policy.check_at(&request, start());
        assert!(decision.is_allowed(), "{list}");
        assert_eq!(left(&decision, "it"), 1000 - nth, "{list}");
    }
    // Not made up for by the peer's address, which is the proxy's.
    for list in [
        "192.0.2.7",
        "garbage",
        "192.0.2.7,",
        ",",
        "192.0.2.7, , 10.0.0.1",
        "192.0.2.7.1, 10.0.0.1",
        "192.0.2.7, x",
        "[::1, ::1",
        "192.0.2.7:x, ::1",
    ] {
        let request = policy.request("GET", "/").attribute("ip", "10.0.0.1").attribute("xff", list);
        let denied = policy.check_at(&request, start());
        assert_eq!(denied.cause(), Cause::Missing { limit: "it", attribute: "ip" }, "{list}");
    }
}

/// Who is not known by address, because the list is garbled, still has a limit.
#[test]
fn garbage_in_a_list_is_no_way_around_with_another_limit() {
    let policy = policy(&PROXIED.replace("missing = \"deny\"", "missing = \"skip\""));
    for nth in 1..=5 {
        let list = "x,".repeat(nth);
        let request = policy.request("GET", "/lenient").attribute("xff", &list);
        let decision = policy.check_at(&request, start());
        assert_eq!(binds(&decision), Some("unknown"));
        assert_eq!(left(&decision, "unknown"), 1000 - nth as u64);
        // With `skip` there is none, as the documentation says.
        let elsewhere = policy.request("GET", "/").attribute("xff", &list);
        assert_eq!(policy.check_at(&elsewhere, start()).limits().len(), 0);
    }
}

/// IPv6 clients are one by their prefix, and share nothing with an IPv4 one.
#[test]
fn addresses_of_one_client_are_one_key() {
    let policy = policy(
        r#"
        [attribute.ip]
        kind = "ip"
        ipv4_prefix = 24
        ipv6_prefix = 56
        [[limit]]
        name = "it"
        key = ["ip"]
        quota = "100/h"
        "#,
    );
    for (addresses, one) in [
        (["2001:db8::1", "2001:db8:0:ff::", "2001:DB8:0:0:ffff:ffff:ffff:ffff"], true),
        (["198.51.100.0", "198.51.100.255", "::ffff:198.51.100.7"], true),
        (["2001:db8:0:100::1", "198.51.101.1", "2001:db8:1::"], false),
    ] {
        for (nth, ip) in (1..).zip(addresses) {
            let decision =
                policy.check_at(&policy.request("GET", "/").attribute("ip", ip), start());
            assert_eq!(left(&decision, "it"), if one { 100 - nth } else { 99 }, "{ip}");
        }
    }
}

/// The limit that denies has a status of its own, which goes before those of the response.
#[test]
fn a_limit_has_a_status_of_its_own() {
    let policy = policy(
        r#"
        [[limit]]
        name = "busy"
        routes = ["/busy"]
        key = []
        quota = "1/min"
        status = 503
        [[limit]]
        name = "longer"
        routes = ["/busy"]
        key = []
        quota = "2/h"
        status = 403
        [[limit]]
        name = "size"
        key = []
        algorithm = "size"
        quota = 10
        cost = "bytes"
        status = 413
        missing = "skip"
        [[limit]]
        name = "usual"
        routes = ["/usual"]
        key = []
        quota = "1/min"
        [response]
        status = 420
        status_never = 400
        "#,
    );
    let ask = |path, bytes, at| {
        policy.check_at(&policy.request("GET", path).cost("bytes", bytes), after(at)).status()
    };
    assert_eq!(
        [ask("/busy", 1, 0), ask("/busy", 1, 1), ask("/busy", 1, 60)],
        [None, Some(503), None]
    );
    // Of two that deny, the one that binds.
    assert_eq!(ask("/busy", 1, 61), Some(403));
    assert_eq!(ask("/", 11, 0), Some(413));
    assert_eq!([ask("/usual", 1, 0), ask("/usual", 1, 1)], [None, Some(420)]);
}
