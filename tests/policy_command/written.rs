//! `--decisions`, `--plot` and `--top` of `replay --policy`.

use super::{
    room::{FIVE, LOGS, Room, counts, line, number, of_each, report},
    tollgate,
};
use roxmltree::Document;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

const SECOND: u64 = 1_000_000_000;

fn parsed(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Room {
    fn decisions(&self, options: &str) -> Vec<Value> {
        let (code, _, err) = self.words(&format!("--decisions @decided {options}"));
        assert_eq!(code, Some(0), "{err}");
        parsed(&fs::read_to_string(self.path("decided")).unwrap())
    }
}

/// A request at a second after ten.
fn at(second: u64, client: &str, user: &str, target: &str) -> String {
    format!(
        "{client} - {user} [31/Mar/2026:10:{:02}:{:02} +0000] \"POST {target} HTTP/1.1\" 200 9\n",
        second / 60,
        second % 60
    )
}

const CAUSES: &str = r#"
name = "causes"
[attribute.ip]
kind = "ip"
[attribute.user]
[attribute.tier]
values = ["FREE", "PRO"]

[[refuse]]
name = "no-robots"
routes = ["/robot"]

[[exempt]]
name = "monitoring"
networks = { ip = ["10.0.0.0/8"] }

[[penalty]]
name = "ladder"
key = ["ip"]
counts = ["minute"]
denials = 2
within = "1 min"
blocks = ["1 h"]

[[limit]]
name = "minute"
key = ["user"]
quota = { by = "tier", FREE = "2/min", PRO = "unlimited" }

[[limit]]
name = "watched"
key = ["ip"]
quota = "1/min"
mode = "shadow"

[[limit]]
name = "at once"
routes = ["/upload"]
key = ["user"]
algorithm = "leases"
quota = 1
ttl = "1 h"

[[limit]]
name = "size"
routes = ["/upload"]
algorithm = "size"
cost = "bytes"
quota = "5 B"
missing = "skip"
"#;

fn causes() -> Room {
    let log = [
        at(0, "192.0.2.1", "ann", "/a"),
        at(0, "192.0.2.1", "ann", "/a"),
        at(10, "192.0.2.1", "ann", "/a"),
        at(10, "192.0.2.2", "-", "/a"),
        at(10, "192.0.2.2", "pro", "/upload"),
        at(10, "192.0.2.2", "pro", "/robot"),
        at(10, "10.9.9.9", "ann", "/a"),
        at(20, "192.0.2.1", "ann", "/a"),
        at(20, "192.0.2.1", "ann", "/a"),
    ];
    let room = Room::new(CAUSES, &log.concat());
    room.put("tiers.csv", "user,tier\nann, FREE\n pro ,PRO\n");
    room
}

const TOLD: &str = "--field user=user --map @tiers.csv";

/// What a limit said: its name, whether a shadow, the outcome, what of what remains, and
/// the seconds until the reset and the retry.
fn said(
    name: &str,
    shadow: bool,
    outcome: &str,
    left: Option<(u64, u64)>,
    reset: Option<u64>,
    retry: Option<u64>,
) -> Value {
    json!({
        "name": name,
        "algorithm": match name { "at once" => "leases", "size" => "size", _ => "sliding-log" },
        "shadow": shadow,
        "outcome": outcome,
        "accounted": left.is_some(),
        "units": if name == "size" { 9 } else { 1 },
        "remaining": left.map(|(remaining, _)| remaining),
        "limit": left.map(|(_, limit)| limit),
        "reset_after_ns": reset.map(|s| s * SECOND),
        "retry_after_ns": retry.map(|s| s * SECOND),
    })
}

#[test]
fn every_decision_is_told_whole() {
    let room = causes();
    let file = room.path("a.log").to_str().unwrap().to_owned();
    let decided = room.decisions(&format!("{TOLD} --field bytes=bytes"));
    assert_eq!(
        decided[0],
        json!({
            "file": file, "line": 1, "allowed": true, "outcome": "allowed", "denied_by": [],
            "cause": "limits", "binding": "minute",
            "remaining": 1, "reset_after_ns": 60 * SECOND, "retry_after_ns": null,
            "limits": [
                said("minute", false, "allowed", Some((1, 2)), Some(60), None),
                said("watched", true, "allowed", Some((0, 1)), Some(60), None),
            ],
        })
    );
    // The shadow says no, to no effect, and binds nothing.
    assert_eq!(
        decided[1]["limits"][1],
        said("watched", true, "later", Some((0, 1)), Some(60), Some(60))
    );
    assert_eq!((&decided[1]["allowed"], &decided[1]["denied_by"]), (&json!(true), &json!([])));
    assert_eq!(decided[1]["binding"], "minute");
    assert_eq!(
        decided[2],
        json!({
            "file": file, "line": 3, "allowed": false, "outcome": "later",
            "denied_by": ["minute"], "cause": "limits", "binding": "minute",
            "remaining": 0, "reset_after_ns": 50 * SECOND, "retry_after_ns": 50 * SECOND,
            "limits": [
                said("minute", false, "later", Some((0, 2)), Some(50), Some(50)),
                said("watched", true, "later", Some((0, 1)), Some(50), Some(50)),
            ],
        })
    );
    let by_rule = |line: u64, allowed: bool, cause: &str, by: &str| {
        let outcome = if allowed { "allowed" } else { "never" };
        json!({
            "file": file, "line": line, "allowed": allowed, "outcome": outcome,
            "denied_by": [], "cause": cause, "by": by, "binding": null, "remaining": null,
            "reset_after_ns": null, "retry_after_ns": null, "limits": [],
        })
    };
    let mut missing = by_rule(4, false, "missing", "minute");
    missing["lacks"] = "user".into();
    assert_eq!(decided[3], missing);
    // Nine bytes of five never pass; who has no quota is not asked; what a log cannot tell
    // is not evaluated.
    assert_eq!(
        decided[4],
        json!({
            "file": file, "line": 5, "allowed": false, "outcome": "never",
            "denied_by": ["size"], "cause": "limits", "binding": "size",
            "remaining": 5, "reset_after_ns": null, "retry_after_ns": null,
            "limits": [
                said("minute", false, "unlimited", None, None, None),
                // Denied by another limit, it was not charged.
                said("watched", true, "allowed", Some((1, 1)), Some(0), None),
                said("at once", false, "not evaluated", None, None, None),
                said("size", false, "never", Some((5, 5)), None, None),
            ],
        })
    );
    assert_eq!(decided[5], by_rule(6, false, "refused", "no-robots"));
    assert_eq!(decided[6], by_rule(7, true, "exempt", "monitoring"));
    // The second denial blocks the address for an hour.
    assert_eq!(decided[7]["denied_by"], json!(["minute"]));
    let mut blocked = by_rule(9, false, "blocked", "ladder");
    blocked["outcome"] = "later".into();
    blocked["retry_after_ns"] = (3600 * SECOND).into();
    assert_eq!(decided[8], blocked);
    assert_eq!(decided.len(), 9);
}

#[test]
fn a_limit_that_cannot_be_told_binds_nothing() {
    let room = causes();
    room.put("a.log", &at(0, "192.0.2.1", "ann", "/upload"));
    let decided = room.decisions(TOLD);
    // Of leases one of one is had, and of the minute one of two.
    assert_eq!((&decided[0]["binding"], &decided[0]["remaining"]), (&json!("minute"), &json!(1)));
    assert_eq!(decided[0]["limits"][2]["outcome"], "not evaluated");
}

#[test]
fn a_key_without_room_is_not_accounted_for() {
    let policy = |when_full: &str| {
        format!(
            "[attribute.ip]\nkind = \"ip\"\n[[limit]]\nname = \"small\"\nkey = [\"ip\"]\n\
             quota = \"1/h\"\ncapacity = 1\nwhen_full = \"{when_full}\"\n"
        )
    };
    let log: String = (0..200).map(|n| at(0, &format!("192.0.2.{n}"), "-", "/")).collect();
    for (when_full, denied) in [("allow", false), ("deny", true)] {
        let room = Room::new(&policy(when_full), &log);
        let decided = room.decisions("");
        let lost: Vec<_> =
            decided.iter().filter(|d| d["limits"][0]["accounted"] == false).collect();
        assert!(lost.len() > 100, "{}", lost.len());
        assert!(lost.iter().all(|d| d["allowed"] == !denied), "{lost:?}");
        let report = room.report("");
        // Which keys find room depends on a seed.
        assert!(number(&report["limits"][0], "saturated") > 100);
        assert_eq!(number(&report["limits"][0], "keys"), 200);
    }
}

/// Sums over the lines of `--decisions`, by limit.
fn sums(decided: &[Value], counts: impl Fn(&Value) -> bool) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for said in decided.iter().flat_map(|d| d["limits"].as_array().unwrap()) {
        if said["outcome"] != "not evaluated" && counts(said) {
            *sums.entry(said["name"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    sums
}

#[test]
fn in_each_of_the_five_decisions_report_keys_and_picture_agree() {
    let room = Room::new("", "");
    let [decided_at, drawn_at] = ["decided", "drawn.svg"].map(|name| room.path(name));
    for (name, options) in FIVE {
        let log = format!("{LOGS}/{name}.log");
        let report = report(&format!(
            "replay --policy examples/policies/{name}.toml {log} {options} --format json \
             --top 1000 --decisions {} --plot {}",
            decided_at.display(),
            drawn_at.display()
        ));
        let decided = parsed(&fs::read_to_string(&decided_at).unwrap());
        // One for each line, in their order.
        let lines: Vec<u64> = decided.iter().map(|d| number(d, "line")).collect();
        let all = fs::read_to_string(&log).unwrap().lines().count() as u64;
        assert_eq!(lines, (1..=all).collect::<Vec<_>>());
        assert!(decided.iter().all(|d| d["file"] == *log));

        let count = |of: &dyn Fn(&Value) -> bool| decided.iter().filter(|d| of(d)).count() as u64;
        assert_eq!(number(&report, "requests"), all);
        assert_eq!(number(&report, "denied"), count(&|d| d["allowed"] == false));
        for cause in ["blocked", "refused", "missing", "exempt"] {
            assert_eq!(number(&report, cause), count(&|d| d["cause"] == cause), "{name} {cause}");
        }
        let no = |said: &Value| said["outcome"] == "later" || said["outcome"] == "never";
        assert_eq!(of_each(&report, "evaluated"), sums(&decided, |_| true), "{name}");
        assert_eq!(of_each(&report, "denied"), sums(&decided, no), "{name}");
        for one in &decided {
            let denied_by: Vec<&Value> = one["limits"].as_array().unwrap().iter().collect();
            let denied_by = denied_by.into_iter().filter(|said| no(said)).map(|said| &said["name"]);
            assert_eq!(one["denied_by"].as_array().unwrap().iter().collect::<Vec<_>>(), {
                denied_by.collect::<Vec<_>>()
            });
            let by_limits =
                one["cause"] == "limits" && !one["limits"].as_array().unwrap().is_empty();
            assert_eq!(one["binding"].is_string(), by_limits, "{one}");
            assert_eq!(one["outcome"] == "later", one["retry_after_ns"].is_u64(), "{one}");
        }
        for limit in report["limits"].as_array().unwrap() {
            let top = limit["top"].as_array().unwrap();
            let of_keys = |what: &str| top.iter().map(|key| number(key, what)).sum::<u64>();
            assert_eq!(of_keys("denied"), number(limit, "denied"), "{limit}");
            assert_eq!(of_keys("would_deny"), number(limit, "would_deny"), "{limit}");
            assert!(of_keys("requests") <= number(limit, "evaluated"), "{limit}");
            assert!(top.len() as u64 <= number(limit, "keys"), "{limit}");
            let names: BTreeSet<_> = top.iter().map(|key| key["key"].as_str().unwrap()).collect();
            assert!(names.len() == top.len() && !names.contains(""), "{limit}");
        }
        let svg = fs::read_to_string(&drawn_at).unwrap();
        let svg = Document::parse(&svg).unwrap();
        let texts: Vec<_> =
            svg.descendants().filter_map(|node| node.text()).map(str::trim).collect();
        let share = |count: u64| {
            let tenths = (count * 2000 + all) / (2 * all);
            format!("{count} ({}.{} %)", tenths / 10, tenths % 10)
        };
        for what in ["allowed", "denied"] {
            let legend = format!("{what}: {}", share(number(&report, what)));
            assert!(texts.contains(&&*legend), "{legend} {texts:?}");
        }
        assert!(texts.iter().any(|text| text.starts_with("Policy ")), "{texts:?}");
    }
}

/// One limit of a policy is one limit.
#[test]
fn a_policy_of_one_limit_decides_as_that_limit() {
    let policy = |algorithm: &str, quota: &str| {
        format!(
            "[attribute.ip]\nkind = \"ip\"\n[[limit]]\nname = \"default\"\nkey = [\"ip\"]\n\
             algorithm = \"{algorithm}\"\nquota = \"{quota}\"\n"
        )
    };
    for (algorithm, quota, options) in [
        ("gcra", "60/min burst 20", "--quota 60/min --burst 20"),
        ("sliding-log", "7/10s", "--quota 7/10s --algorithm sliding-log"),
    ] {
        for more in ["", " --sort", " --top 3"] {
            let room = Room::new(&policy(algorithm, quota), "");
            fs::copy("tests/data/nginx.log", room.path("a.log")).unwrap();
            let decided = room.decisions(more);
            let report = room.report(more);
            let mut alone = vec!["replay".to_owned(), room.path("a.log").display().to_string()];
            alone.extend(["--format", "json", "--decisions"].map(str::to_owned));
            alone.push(room.path("alone").display().to_string());
            alone.extend(options.split(' ').chain(more.split_whitespace()).map(str::to_owned));
            let (code, out, err) = tollgate(alone);
            assert_eq!((code, &*err), (Some(0), ""));
            let alone = parsed(&fs::read_to_string(room.path("alone")).unwrap());
            assert_eq!(alone.len(), decided.len());
            for (policy, alone) in decided.iter().zip(&alone) {
                for (name, value) in alone.as_object().unwrap() {
                    assert_eq!(policy[name], *value, "{name} {policy}");
                }
            }
            let mut alone: Value = serde_json::from_str(&out).unwrap();
            let limits = alone["limits"].take();
            for (name, value) in alone.as_object().unwrap() {
                assert!(name == "limits" || report[name] == *value, "{name}");
            }
            for name in ["name", "algorithm", "keys", "evaluated", "denied", "saturated"] {
                assert_eq!(report["limits"][0][name], limits[0][name], "{name}");
            }
            let top = |report: &Value| -> Vec<_> {
                let all = report["top"].as_array().unwrap().iter();
                let entry = |key: &Value| {
                    let name = key["key"].as_str().unwrap();
                    let name = name.strip_prefix("ip = ").unwrap_or(name).to_owned();
                    (name, number(key, "requests"), number(key, "denied"))
                };
                all.map(entry).collect()
            };
            let tops = top(&limits[0]);
            assert_eq!(top(&report["limits"][0]), tops);
            assert!(tops.len() == 3 || !more.contains("top") && tops.len() > 6, "{tops:?}");
        }
    }
}

#[test]
fn keys_are_told_by_their_parts() {
    let policy = r#"
[attribute.ip]
kind = "ip"
[attribute.user]
[[limit]]
name = "several"
routes = ["POST example.com/v1/{id}", "/v2/**"]
key = ["ip", "user", "route", "method"]
quota = "1/h"
[[limit]]
name = "everybody"
key = []
quota = "1/h"
mode = "shadow"
[[limit]]
name = "parameter"
routes = ["/v1/{id}"]
key = ["path.id"]
quota = "1/h"
mode = "shadow"
"#;
    let very_long = "x".repeat(5000);
    let mut log = String::new();
    for (user, target) in [
        ("ann", "/v1/7"),
        ("ann, route = /v2/**", "/v1/7"),
        ("ann, route = /v2/**", "//v2/./9?q"),
        ("\u{1b}[31m", "/v1/7"),
        (&very_long, "/v2/"),
    ] {
        log += &at(0, "2001:db8::7", user, target).repeat(3);
    }
    let room = Room::new(policy, &log);
    let report = room.report("--field user=user --set host=Example.com");
    let keys = |nth: usize| -> Vec<String> {
        let top = report["limits"][nth]["top"].as_array().unwrap();
        top.iter().map(|key| key["key"].as_str().unwrap().to_owned()).collect()
    };
    let [network, v1, v2] =
        ["ip = 2001:db8::/64", "\"POST example.com/v1/{id}\"", "/v2/**, method = POST"];
    let mut several = vec![
        format!("{network}, user = ann, route = {v1}, method = POST"),
        // No value passes for more parts.
        format!("{network}, user = \"ann, route = /v2/**\", route = {v1}, method = POST"),
        format!("{network}, user = \"ann, route = /v2/**\", route = {v2}"),
        format!("{network}, user = \u{fffd}[31m, route = {v1}, method = POST"),
    ];
    let found = keys(0);
    let cut = found.iter().find(|key| key.contains("(5000 bytes, ")).unwrap();
    assert!(cut.len() < 700 && cut.ends_with(v2), "{cut}");
    several.push(cut.clone());
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), several.iter().collect::<BTreeSet<_>>());
    assert_eq!(keys(1), ["everybody"]);
    assert_eq!(keys(2), ["id = 7"]);
    // A shadow denies nobody.
    let top = |nth: usize| report["limits"][nth]["top"][0].clone();
    assert_eq!(
        top(1),
        json!({ "key": "everybody", "requests": 15, "denied": 0, "would_deny": 14 })
    );
    assert_eq!(number(&top(0), "denied"), 2);
    assert_eq!(number(&top(0), "would_deny"), 0);

    let (_, out, _) = room.words("--field user=user --set host=example.com");
    assert!(!out.contains('\u{1b}'), "{out:?}");
    assert!(out.contains("Limit everybody: 1 key\n"), "{out}");
    assert!(out.contains("would be, in shadow"), "{out}");
}

#[test]
fn top_says_how_many() {
    let log: String =
        (0..30).map(|n| at(0, &format!("192.0.2.{n}"), "-", "/").repeat(n + 1)).collect();
    let policy = "[attribute.ip]\nkind = \"ip\"\n[[limit]]\nname = \"l\"\nkey = [\"ip\"]\n\
                  quota = \"2/h\"\n";
    let room = Room::new(policy, &log);
    for (options, most) in [("", 10), ("--top 0", 0), ("--top 3", 3), ("--top 100", 28)] {
        let report = room.report(options);
        let limit = &report["limits"][0];
        let top = limit["top"].as_array().unwrap();
        let denied: Vec<_> = top.iter().map(|key| number(key, "denied")).collect();
        assert_eq!(denied, (0..28).map(|n| 28 - n).take(most).collect::<Vec<_>>(), "{options}");
        assert_eq!(number(limit, "keys"), 30);
        assert!(limit.get("approximate").is_none());
        let (_, out, _) = room.words(options);
        assert_eq!(out.contains("denied most"), most > 0, "{out}");
        assert_eq!(out.contains("  ip = 192.0.2.29"), most > 0, "{out}");
    }
}

#[test]
fn more_keys_than_can_be_listed_are_counted_about_right() {
    // Of very many limits each lists few.
    let limit = |n: u32| {
        format!(
            "[[limit]]\nname = \"l{n}\"\nkey = [\"ip\"]\nquota = \"1/h\"\nroutes = [\"/{n}\"]\n\
             capacity = 5000\n"
        )
    };
    let limits: String = (0..1000).map(limit).collect();
    let policy = format!("[attribute.ip]\nkind = \"ip\"\n{limits}");
    let clients = (0..4000).map(|n| format!("10.1.{}.{}", n / 250, n % 250));
    let mut log: String =
        clients.flat_map(|client| [at(0, &client, "-", "/7"), at(0, &client, "-", "/7")]).collect();
    log += &at(0, "192.0.2.1", "-", "/7").repeat(500);
    let room = Room::new(&policy, &log);
    let report = room.report("--top 2");
    let limit = &report["limits"][7];
    assert_eq!(limit["approximate"], true);
    assert!((3800..4200).contains(&number(limit, "keys")), "{limit}");
    let top = &limit["top"][0];
    assert_eq!(top["key"], "ip = 192.0.2.1");
    assert!(number(top, "denied") >= 499, "{top}");
    assert_eq!(limit["top"].as_array().unwrap().len(), 2);
    assert_eq!(report["limits"][8]["not_evaluated"], "no request came to it");
}

#[test]
fn a_plot_is_titled_by_the_policy() {
    let titled = |name: &str| {
        let policy = format!("{name}\n{}", CAUSES.replace("name = \"causes\"\n", ""));
        let room = causes();
        room.put("policy.toml", &policy);
        let (code, _, err) = room.words(&format!("{TOLD} --plot @drawn"));
        assert_eq!(code, Some(0), "{err}");
        let svg = fs::read_to_string(room.path("drawn")).unwrap();
        let svg = Document::parse(&svg).unwrap();
        let texts = svg.descendants().filter(|node| node.has_tag_name("text"));
        texts.map(|node| node.text().unwrap().trim().to_owned()).next().unwrap()
    };
    assert_eq!(titled(""), "Policy policy.toml");
    assert_eq!(titled("name = \"a & <b>\""), "Policy a & <b>");
    assert_eq!(titled("name = \"a\\u0000\\u001b\""), "Policy a\\x00\\x1B");
    let long = titled(&format!("name = \"{}\"", "x".repeat(1000)));
    assert!(long.ends_with("x…") && long.chars().count() < 100, "{long}");
}

#[test]
fn what_is_read_is_not_written_over() {
    let room = causes();
    for (option, target, why) in [
        ("--plot", "@policy.toml", "is the policy"),
        ("--decisions", "@policy.toml", "is the policy"),
        ("--decisions", "@tiers.csv", "is a table of --map"),
        ("--plot", "@a.log", "is one of the logs to read"),
        ("--plot", "@.", "is not a regular file"),
        ("--plot", "@none/drawn", "no such folder"),
        ("--decisions @new --plot", "@new", "is the file of --decisions"),
    ] {
        let (code, out, err) = room.words(&format!("{TOLD} {option} {target}"));
        assert_eq!((code, &*out), (Some(2), ""), "{err}");
        assert!(err.ends_with(&format!("{why}\n")) && err.lines().count() == 1, "{err}");
    }
    // A run that fails leaves nothing behind.
    room.put("a.log", &(at(0, "h", "-", "/") + "nonsense\n"));
    let files = || fs::read_dir(room.0.path()).unwrap().count();
    let before = files();
    let (code, _, err) = room.words(&format!("{TOLD} --strict --decisions @new --plot @drawn"));
    assert_eq!((code, files()), (Some(1), before), "{err}");
    assert_eq!(fs::read_to_string(room.path("policy.toml")).unwrap(), CAUSES);
}

#[test]
fn decisions_name_the_lines_that_could_be_read() {
    let room = causes();
    let log = at(30, "192.0.2.1", "ann", "/a") + "nonsense\n" + &at(0, "192.0.2.2", "pro", "/a");
    room.put("a.log", &log);
    room.put("b.log", &line("192.0.2.3", "pro", "31/Mar/2026:10:00:10", "1"));
    let lines = |options: &str| -> Vec<(bool, u64)> {
        let decided = room.decisions(&format!("{TOLD} @b.log {options}"));
        let second = |d: &Value| d["file"].as_str().unwrap().ends_with("b.log");
        decided.iter().map(|d| (second(d), number(d, "line"))).collect()
    };
    assert_eq!(lines(""), [(false, 1), (false, 3), (true, 1)]);
    assert_eq!(lines("--sort"), [(false, 3), (true, 1), (false, 1)]);
}

#[test]
fn the_report_has_what_it_always_had() {
    let room = causes();
    let report = room.report(&format!("{TOLD} --field bytes=bytes"));
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let set = |text: &str| text.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(
        names(&report),
        set("policy requests allowed denied blocked refused missing exempt skipped out_of_order \
             first last limits rules not_understood")
    );
    let mut limit = set("name algorithm shadow evaluated allowed denied would_deny unlimited \
                         missing saturated keys top");
    assert_eq!(names(&report["limits"][0]), limit);
    limit.insert("not_evaluated".to_owned());
    assert_eq!(names(&report["limits"][2]), limit);
    assert_eq!(report["policy"], "causes");
    assert_eq!(of_each(&report, "keys"), counts(&[("minute", 2), ("watched", 2), ("size", 1)]));
}

#[test]
fn of_a_share_each_key_is_denied_or_would_be() {
    let policy = "[attribute.ip]\nkind = \"ip\"\n[[limit]]\nname = \"l\"\nkey = [\"ip\"]\n\
                  quota = \"1/h\"\nshare = \"50%\"\n";
    let log: String = (0..60).map(|n| at(0, &format!("192.0.2.{n}"), "-", "/").repeat(3)).collect();
    let room = Room::new(policy, &log);
    let report = room.report("--top 100");
    let limit = &report["limits"][0];
    let top = limit["top"].as_array().unwrap();
    let said: Vec<_> =
        top.iter().map(|key| (number(key, "denied"), number(key, "would_deny"))).collect();
    let [denied, would] = [(2, 0), (0, 2)].map(|of| said.iter().filter(|s| **s == of).count());
    assert!(denied > 10 && would > 10 && denied + would == 60, "{said:?}");
    let twice = |count: usize| 2 * count as u64;
    assert_eq!(
        (number(limit, "denied"), number(limit, "would_deny")),
        (twice(denied), twice(would))
    );
    // Which are enforced is the same in every run.
    assert_eq!(room.report("--top 100"), report);
}

#[test]
fn a_limit_that_stands_in_counts_its_own_keys() {
    let policy = r#"
[attribute.ip]
kind = "ip"
[attribute.user]
[[limit]]
name = "user"
key = ["user"]
quota = "1/h"
missing = { limit = "address" }
[[limit]]
name = "address"
routes = ["/login"]
key = ["ip", "method"]
quota = "2/h"
"#;
    let log = at(0, "192.0.2.1", "-", "/x").repeat(4) + &at(1, "192.0.2.2", "ann", "/x").repeat(3);
    let room = Room::new(policy, &log);
    let report = room.report("--field user=user");
    let top = |nth: usize| report["limits"][nth]["top"].clone();
    let key = |key: &str, requests: u64, denied: u64| json!([{ "key": key, "requests": requests, "denied": denied, "would_deny": 0 }]);
    assert_eq!(top(0), key("user = ann", 3, 2));
    assert_eq!(top(1), key("ip = 192.0.2.1, method = POST", 4, 2));
    assert!(report["limits"][1].get("not_evaluated").is_none());
}
