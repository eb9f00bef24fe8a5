//! `tollgate replay --policy`.

use super::{
    room::{FIVE, LOGS, Room, counts, line, number, of_each, report},
    words,
};
use serde_json::Value;
use std::{collections::BTreeMap, fs};

#[test]
fn each_log_asks_every_limit_that_a_log_can_tell() {
    for (name, options) in FIVE {
        let base =
            format!("replay --policy examples/policies/{name}.toml {LOGS}/{name}.log {options}");
        let report = report(&format!("{base} --format json"));
        assert_eq!(
            number(&report, "allowed") + number(&report, "denied"),
            number(&report, "requests")
        );
        for limit in report["limits"].as_array().unwrap() {
            let is_lease = limit["algorithm"] == "leases";
            assert_eq!(number(limit, "evaluated") == 0, is_lease, "{limit}");
            assert_eq!(limit["not_evaluated"].is_string(), is_lease, "{limit}");
            let said = ["allowed", "denied", "would_deny"].map(|what| number(limit, what));
            assert_eq!(said.iter().sum::<u64>(), number(limit, "evaluated"), "{limit}");
            assert_eq!(limit["shadow"], false);
        }
        let (code, out, _) = words(&base);
        assert_eq!(code, Some(0));
        assert_eq!(
            out.contains("concurrent-uploads was not evaluated: a log does not tell"),
            name.starts_with("001"),
            "{out}"
        );
    }
}

/// By hand, from what `make-logs.py` says of who asks how often.
#[test]
fn limits_deny_what_they_promise() {
    let denied = |nth: usize| {
        let (name, options) = FIVE[nth];
        let base = format!("replay --policy examples/policies/{name}.toml {LOGS}/{name}.log");
        let report = report(&format!("{base} {options} --format json"));
        (of_each(&report, "denied"), report)
    };
    // 12 of 10 a month; 40 of 30 a minute; 8 of 3 a minute; FREE with a key eight times.
    let (library, report) = denied(1);
    assert_eq!(number(&library_value(&library), "messages"), 2);
    assert_eq!(number(&library_value(&library), "descriptions"), 2);
    assert_eq!(number(&library_value(&library), "api"), 10);
    assert_eq!(number(&library_value(&library), "sensitive-3"), 5);
    assert_eq!(number(&report, "refused"), 8);
    assert_eq!(report["rules"], serde_json::json!({ "refuse free-has-no-keys": 8 }));
    // acme's 40 have a quota of their own; nobody else is CUSTOM.
    assert!(of_each(&report, "unlimited").is_empty());

    let (rewriting, _) = denied(2);
    assert_eq!(
        rewriting,
        counts(&[("auth", 5), ("uploads", 5), ("uploads-without-user", 5), ("reads", 240)])
    );
    let (scanning, report) = denied(3);
    assert_eq!(
        scanning,
        counts(&[("create-scan", 20), ("create-domain-risk", 10), ("read-domain-risk", 10)])
    );
    // One request names no organisation.
    assert_eq!(of_each(&report, "missing"), counts(&[("other", 1)]));
    assert_eq!(number(&report, "missing"), 1);
    let (licensing, _) = denied(4);
    assert_eq!(
        licensing,
        counts(&[("token", 21), ("no-token", 10), ("validation", 20), ("activation", 5)])
    );
    let (documents, report) = denied(0);
    assert_eq!(documents["no-account"], 3);
    assert!(number(&report, "blocked") > 0);
    assert_eq!(report["rules"]["penalty ladder"], report["blocked"]);
}

fn library_value(counts: &BTreeMap<String, u64>) -> Value {
    serde_json::to_value(counts).unwrap()
}

const MIXED: &str = r#"
[attribute.ip]
kind = "ip"
[attribute.user]
[attribute.tier]
values = ["FREE", "PRO"]

[[limit]]
name = "tiers"
when = { tier = true }
key = ["user"]
quota = { by = "tier", FREE = "1/min", PRO = "unlimited" }

[[limit]]
name = "watched"
key = ["ip"]
quota = "2/min"
mode = "shadow"

[[limit]]
name = "month"
key = []
algorithm = "calendar"
quota = "250/month"
cost = "bytes"
missing = "skip"

[[limit]]
name = "inner"
routes = ["inner.example.com/**"]
key = []
quota = "1/s"

[[limit]]
name = "items"
key = []
quota = "1/s"
cost = "items"
missing = "skip"
"#;

fn mixed() -> Room {
    let log: String = [
        line("192.0.2.1", "ann", "31/Mar/2026:23:59:57", "100"),
        line("192.0.2.1", "ann", "31/Mar/2026:23:59:58", "100"),
        line("192.0.2.1", "bob", "31/Mar/2026:23:59:59", "100"),
        line("192.0.2.1", "bob", "31/Mar/2026:23:59:59", "100"),
        line("192.0.2.1", "bob", "01/Apr/2026:00:00:00", "100"),
        line("192.0.2.1", "-", "01/Apr/2026:00:00:00", "-"),
    ]
    .concat();
    let room = Room::new(MIXED, &log);
    room.put("tiers.csv", "user,tier\nann,FREE\n\"bob\",PRO\r\n\ncarol,\n");
    room
}

const TOLD: &str = "--field user=user --map @tiers.csv --field bytes=bytes";

#[test]
fn shadows_costs_tiers_and_months() {
    let room = mixed();
    let report = room.report(TOLD);
    // ann's second is one too many and costs nothing; with bob's second March has 300 bytes.
    assert_eq!(of_each(&report, "denied"), counts(&[("tiers", 1), ("month", 1)]));
    assert_eq!((number(&report, "allowed"), number(&report, "denied")), (4, 2));
    assert_eq!(of_each(&report, "unlimited"), counts(&[("tiers", 3)]));
    assert_eq!(
        of_each(&report, "evaluated"),
        counts(&[("tiers", 5), ("watched", 6), ("month", 5)])
    );
    let limits = report["limits"].as_array().unwrap();
    assert_eq!(limits[1]["shadow"], true);
    assert_eq!(limits[3]["not_evaluated"], "no request came to it");
    assert_eq!(limits[4]["not_evaluated"], "requests lack `items`");
    let report = room.report(&format!("{TOLD} --set host=INNER.example.com:443 --set items=1"));
    assert_eq!(number(&report["limits"][3], "evaluated"), 6);
    assert_eq!(number(&report["limits"][4], "evaluated"), 6);
}

#[test]
fn shadows_say_what_they_would_do() {
    let log: String =
        (0..5).map(|n| line("2001:db8::1", "-", &format!("31/Mar/2026:10:00:0{n}"), "1")).collect();
    let room = Room::new(MIXED, &log);
    let report = room.report("");
    assert_eq!(number(&report, "denied"), 0);
    assert_eq!(of_each(&report, "would_deny"), counts(&[("watched", 3)]));
    let (_, out, err) = room.words("");
    assert!(out.contains("shadow, 3 would be denied"), "{out}");
    assert_eq!(
        err,
        "tollgate: nothing tells the policy `user`, `tier`, `bytes`, `items`: --field user=FIELD, \
         --set user=VALUE or --map FILE does\n"
    );
}

#[test]
fn logs_out_of_order() {
    let room = mixed();
    let sorted = room.report(TOLD);
    let log = fs::read_to_string(room.path("a.log")).unwrap();
    let mut lines: Vec<&str> = log.split_inclusive('\n').collect();
    // Those of one second keep their order.
    lines.rotate_right(2);
    room.put("a.log", &lines.concat());
    assert_eq!(room.report(&format!("--sort {TOLD}")), sorted);
    let late = room.report(TOLD);
    assert_eq!(number(&late, "out_of_order"), 4);
    assert_eq!((&late["first"], &late["last"]), (&sorted["first"], &sorted["last"]));
}

#[test]
fn odd_lines_and_odd_bytes() {
    let room = mixed();
    room.put("a.log", "nonsense\n\n");
    let (code, out, err) = room.words(&format!("{TOLD} --format json"));
    assert_eq!(code, Some(0));
    assert!(err.contains("a.log:1: ") && err.contains("none of 2 lines"), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((number(&report, "requests"), number(&report, "skipped")), (0, 2));
    assert_eq!(room.words("--strict").0, Some(1));
    let mut bytes = b"h\xff - \xfe [31/Mar/2026:10:00:00 +0000] \"\x80\x00\" 200 -\n".to_vec();
    bytes.extend_from_slice(b"h - - [31/Mar/2026:10:00:00 +0000] \"G\xffT /%00\xff/../.. HTTP/1.1\" 200 99999999999999999999999\n");
    fs::write(room.path("a.log"), bytes).unwrap();
    let report = room.report(TOLD);
    // No address: the limit by address is in shadow, and denies nobody for it.
    assert_eq!((number(&report, "requests"), number(&report, "missing")), (2, 0));
    assert_eq!(report["limits"][1]["not_evaluated"], "requests lack `ip`");
}

#[test]
fn slips_in_what_is_told() {
    let room = mixed();
    room.put("unknown.csv", "user,teir\nann,FREE\n");
    room.put("short.csv", "user,tier\nann\n");
    room.put("twice.csv", "user,tier\nann,FREE\nann,PRO\n");
    room.put("quote.csv", "user,tier\n\"ann,FREE\n");
    room.put("alone.csv", "user\nann\n");
    room.put("by.csv", "nobody,tier\nann,FREE\n");
    room.put("empty.csv", "\n");
    for (options, told) in [
        (
            "--set usr=x",
            "--set usr=x: the policy has no attribute or cost `usr`; it has ip, user, tier, bytes, items, host",
        ),
        ("--set user", "--set user: expected a name, = and a value"),
        ("--set items=many", "--set items=many: expected a number"),
        ("--field items=user", "--field items=user: expected a number"),
        (
            "--field user=agent",
            "--field user=agent: expected client, ident, user, method, path, status or bytes",
        ),
        ("--field user=user --set user=x", "--field user=user: `user` is told twice"),
        ("--set tier=FREE --map @tiers.csv", "`tier` is told twice"),
        ("--map @nowhere.csv", "no such file"),
        ("--map @unknown.csv", "the policy has no attribute `teir`; it has ip, user, tier"),
        ("--map @short.csv", "line 2: expected 2 columns, found 1"),
        ("--map @twice.csv", "line 3: this value has a line already"),
        (
            "--map @quote.csv",
            "line 2: a quote is never closed, or is followed by more than a comma",
        ),
        ("--map @alone.csv", "line 1: expected names of two columns or more, such as user,tier"),
        ("--map @by.csv", "line 1: `nobody` is not known of a request; --field or --set tells it"),
        ("--map @empty.csv", "is empty"),
    ] {
        let (code, out, err) = room.words(options);
        assert_eq!((code, &*out), (Some(2), ""), "{options}");
        assert!(
            err.starts_with("tollgate: ") && err.ends_with(&format!("{told}\n")),
            "{options}: {err}"
        );
        assert_eq!(err.lines().count(), 1);
    }
}

#[test]
fn a_policy_and_a_single_limit_exclude_each_other() {
    let room = mixed();
    for option in [
        "--quota 1/s",
        "--burst 2",
        "--algorithm gcra",
        "--key ip",
        "--ipv6-prefix 64",
        "--capacity 10",
    ] {
        let (code, _, err) = room.words(option);
        assert_eq!(code, Some(2), "{option}");
        assert!(err.contains("cannot be used with"), "{option}: {err}");
    }
    let (code, _, err) = words("replay --set a=b --quota 1/s tests/data/nginx.log");
    assert_eq!(code, Some(2));
    assert!(err.contains("cannot be used with"), "{err}");
}
