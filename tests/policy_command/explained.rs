//! `Policy::explain` says what `Policy::check` does.

use tollgate::policy::{Cause, LimitExplanation, Policy, Why};

const POLICIES: [&str; 6] = [
    include_str!("../../examples/policies/000-document-scanning.toml"),
    include_str!("../../examples/policies/001-file-library.toml"),
    include_str!("../../examples/policies/002-document-rewriting.toml"),
    include_str!("../../examples/policies/003-url-scanning.toml"),
    include_str!("../../examples/policies/004-software-licensing.toml"),
    include_str!("../../examples/policies/starter.toml"),
];

const PATHS: [&str; 8] = [
    "/",
    "/login",
    "/v1/scans",
    "/v1/scans/7",
    "/files/upload/batch",
    "/images/analyze",
    "/auth/login",
    "/v1/licenses/l/validate",
];

/// Each attribute, and two values of it.
const VALUES: [(&str, [&str; 2]); 6] = [
    ("ip", ["192.0.2.1", "2001:db8::1"]),
    ("account", ["a", "b"]),
    ("customer", ["acme", "ann"]),
    ("tier", ["FREE", "CUSTOM"]),
    ("auth", ["key", "session"]),
    ("org", ["initech", "o"]),
];

#[test]
fn what_is_explained_is_what_is_asked() {
    let (mut asked, mut lacked) = (0, 0);
    for text in POLICIES {
        let policy = Policy::from_toml(text).unwrap();
        for n in 0..3_usize.pow(6) * PATHS.len() {
            let (mut rest, path) = (n / PATHS.len(), PATHS[n % PATHS.len()]);
            let method = if n % 2 == 0 { "POST" } else { "GET" };
            let mut request = policy.request(method, path);
            for (name, values) in VALUES {
                if let Some(value) = values.get(rest % 3) {
                    request = request.attribute(name, *value);
                }
                rest /= 3;
            }
            if n % 5 > 0 {
                request = request.cost("files", 1).cost("bytes", 1);
            }
            let explained = policy.explain(&request);
            let decision = policy.check(&request);
            match decision.cause() {
                Cause::Limits => {
                    let names: Vec<_> = decision.limits().map(|limit| limit.name()).collect();
                    let applying = explained.limits().filter(|limit| limit.applies());
                    assert_eq!(
                        applying.map(LimitExplanation::name).collect::<Vec<_>>(),
                        names,
                        "{request:?}"
                    );
                    for (limit, said) in
                        explained.limits().filter(|limit| limit.applies()).zip(decision.limits())
                    {
                        let Why::Applies { quota, units, .. } = limit.why() else { panic!() };
                        assert_eq!(quota.is_none(), said.is_unlimited());
                        assert_eq!(*units, said.units());
                    }
                    assert_eq!(explained.lacking(), None);
                    asked += 1;
                }
                Cause::Missing { limit, attribute } => {
                    assert_eq!(explained.lacking(), Some((limit, attribute)), "{request:?}");
                    lacked += 1;
                }
                Cause::Refused(name) => assert_eq!(explained.refused(), Some(name)),
                Cause::Blocked(name) => {
                    assert!(explained.penalties().any(|known| known == name));
                }
                Cause::Exempt(name) => assert_eq!(explained.exempt(), Some(name)),
                other => panic!("{other:?}"),
            }
            // Each limit that does not apply has a reason.
            for limit in explained.limits() {
                if let Why::Group { applies, .. } = limit.why() {
                    assert!(explained.limits().any(|l| {
                        let missing = matches!(l.why(), Why::Missing { .. });
                        l.name() == *applies && (l.applies() || missing)
                    }));
                }
            }
        }
    }
    assert!(asked > 1000 && lacked > 1000, "{asked} {lacked}");
}

#[test]
fn quotas_read_as_they_were_written() {
    let policy = Policy::from_toml(
        r#"
            [attribute.org]
            [[limit]]
            name = "smooth"
            key = ["org"]
            algorithm = "gcra"
            quota = "60/min burst 5"
            overrides = { by = "org", acme = "unlimited" }
            [[limit]]
            name = "size"
            algorithm = "size"
            cost = "bytes"
            quota = "1.5 MB"
            missing = "skip"
            [[limit]]
            name = "exact"
            key = ["org"]
            quota = "10/15min"
            overrides = { by = "org", globex = "20/15min" }
            largest = "50/15min"
            "#,
    )
    .unwrap();
    policy.set_override("exact", "initech", Some("30/15min")).unwrap();
    let quotas = |org: &str| -> Vec<Option<String>> {
        let request = policy.request("GET", "/").attribute("org", org).cost("bytes", 7);
        let explained = policy.explain(&request);
        let quota = |limit: &LimitExplanation<'_>| match limit.why() {
            Why::Applies { quota, .. } => quota.clone(),
            other => panic!("{other:?}"),
        };
        explained.limits().map(quota).collect()
    };
    let found = |texts: [Option<&str>; 3]| texts.map(|text| text.map(str::to_owned)).to_vec();
    let (smooth, size) = (Some("60/min burst 5"), Some("1.5 MB"));
    assert_eq!(quotas("acme"), found([None, size, Some("10/15min")]));
    assert_eq!(quotas("globex"), found([smooth, size, Some("20/15min")]));
    assert_eq!(quotas("initech"), found([smooth, size, Some("30 every 900s")]));
}

#[test]
fn what_is_printed_stays_on_its_line() {
    let text = "[attribute.a]\n[[limit]]\nname = \"x\"\nkey = [\"a\", \"path\"]\nquota = \"1/s\"";
    let policy = Policy::from_toml(text).unwrap();
    let request = policy.request("GET\n", b"/%0a\xff\x1b[31m").attribute("a", b"\0\r\n\xff\x1b");
    let text = policy.explain(&request).to_string();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn what_is_asked_is_explained_alone_as_among_all() {
    for text in POLICIES {
        let policy = Policy::from_toml(text).unwrap();
        for (nth, path) in PATHS.into_iter().cycle().take(200).enumerate() {
            let mut request = policy.request(if nth % 2 == 0 { "POST" } else { "GET" }, path);
            for (at, (name, values)) in VALUES.iter().enumerate() {
                if let Some(value) = values.get(nth / (at + 1) % 3) {
                    request = request.attribute(name, *value);
                }
            }
            let (all, asked) = (policy.explain(&request), policy.explain_asked(&request));
            let concerned = |limit: &&LimitExplanation<'_>| {
                matches!(limit.why(), Why::Applies { .. } | Why::Missing { .. })
            };
            assert!(all.limits().filter(concerned).eq(asked.limits()), "{all}\n{asked}");
            assert_eq!(all.lacking(), asked.lacking());
            assert_eq!(all.refused(), asked.refused());
        }
    }
}

#[test]
fn the_host_of_the_request_line_counts() {
    let policy = Policy::from_toml(
        "[[limit]]\nname = \"a\"\nkey = [\"host\"]\nquota = \"1/s\"\nroutes = [\"a.example/x\"]\n",
    )
    .unwrap();
    for (host, path, applies) in [
        (None, "http://A.example:80/x?y", true),
        (Some("b.example"), "https://a.example/x", true),
        (Some("a.example"), "https://b.example/x", false),
        (Some("a.example"), "/x", true),
        (None, "/x", false),
    ] {
        let mut request = policy.request("GET", path);
        if let Some(host) = host {
            request = request.host(host);
        }
        let explained = policy.explain(&request);
        let asked = explained.limits().any(LimitExplanation::applies);
        assert_eq!(
            (asked, policy.check(&request).limits().len() == 1),
            (applies, applies),
            "{path}"
        );
        if let Some(Why::Applies { key, .. }) = explained.limits().next().map(LimitExplanation::why)
        {
            assert_eq!(*key, [("host", "a.example".to_owned())]);
        }
    }
}

#[test]
fn a_key_has_one_number() {
    let policy = Policy::from_toml(
        r#"
            [attribute.ip]
            kind = "ip"
            [attribute.user]
            [[limit]]
            name = "both"
            key = ["ip", "user"]
            quota = "9/s"
            "#,
    )
    .unwrap();
    let number = |ip: &str, user: &str| {
        let request = policy.request("GET", "/").attribute("ip", ip).attribute("user", user);
        policy.check(&request).limit("both").unwrap().key_hash()
    };
    let ann = number("2001:db8::1", "ann");
    assert_eq!(ann, number("2001:DB8:0:0:ffff::", "ann"), "one prefix is one client");
    for other in [("2001:db8:1::", "ann"), ("2001:db8::1", "an"), ("192.0.2.1", "ann")] {
        assert_ne!(ann, number(other.0, other.1));
    }
}
