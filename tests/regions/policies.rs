//! Policies in a region.

use crate::support::{Scratch, result, start};
use std::{fs, path::Path, time::Duration};
use tollgate::{
    Region,
    policy::{LivePolicy, Policy, PolicyFile},
};

fn example(name: &str) -> PolicyFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies").join(name);
    PolicyFile::parse(name, &fs::read(path).unwrap()).unwrap()
}

fn file(text: &str) -> PolicyFile {
    PolicyFile::parse("policy.toml", text.as_bytes()).unwrap()
}

/// Asks one question of the licensing policy as often as it is told: who was let in?
pub(crate) fn ask(path: &Path, times: u64) -> u64 {
    let region = Region::open(path).unwrap();
    let policy = Policy::from_file_in(&example("004-software-licensing.toml"), &region).unwrap();
    let admitted = (0..times).filter(|nth| {
        // Many addresses and tokens, one licence.
        let ip = format!("198.51.100.{}", nth % 200);
        let token = format!("token {nth}");
        let request = policy
            .request("POST", "/v1/licenses/L-1/validate")
            .attribute("ip", &ip)
            .attribute("token", &token);
        policy.check(&request).is_allowed()
    });
    admitted.count() as u64
}

#[test]
fn four_processes_keep_one_policy() {
    let scratch = Scratch::new();
    let children: Vec<_> = (0..4).map(|_| start("policy", &scratch.path(), "200")).collect();
    let sum: u64 = children.into_iter().map(|child| result(child).parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 20, "validations of one licence in a minute");
    assert_eq!(ask(&scratch.path(), 50), 0);
}

#[test]
fn every_example_is_in_a_region_as_it_is_alone() {
    for name in [
        "000-document-scanning.toml",
        "001-file-library.toml",
        "002-document-rewriting.toml",
        "003-url-scanning.toml",
        "004-software-licensing.toml",
        "starter.toml",
    ] {
        let scratch = Scratch::new();
        let region = Region::open(scratch.path()).unwrap();
        let first = Policy::from_file_in(&example(name), &region).unwrap();
        let names = region.names().unwrap();
        assert!(!names.is_empty() && names.len() >= first.limits().len() / 2, "{names:?}");
        let _second = Policy::from_file_in(&example(name), &region).unwrap();
        assert_eq!(region.names().unwrap(), names, "{name}");
    }
}

const EVERYTHING: &str = r#"
    [attribute.user]
    [[limit]]
    name = "gcra"
    key = ["user"]
    algorithm = "gcra"
    quota = "100/h"
    [[limit]]
    name = "log"
    key = ["user"]
    quota = "100/h"
    [[limit]]
    name = "counter"
    key = ["user"]
    algorithm = "sliding-counter"
    quota = "100/h"
    [[limit]]
    name = "month"
    key = ["user"]
    algorithm = "calendar"
    quota = "100/month"
    [[limit]]
    name = "jobs"
    key = ["user"]
    algorithm = "leases"
    quota = 5
    ttl = "200 ms"
    [[penalty]]
    name = "ladder"
    key = ["user"]
    counts = ["jobs"]
    denials = 3
    within = "10 min"
    blocks = ["1 h"]
"#;

#[test]
fn limits_leases_and_blocks_are_common() {
    let scratch = Scratch::new();
    let open = || {
        let region = Region::open(scratch.path()).unwrap();
        Policy::from_file_in(&file(EVERYTHING), &region).unwrap()
    };
    let (a, b) = (open(), open());
    let now = a.now();
    let request = |policy: &Policy, at| {
        let request = policy.request("GET", "/").attribute("user", "u");
        policy.check_at(&request, at).is_allowed()
    };
    for _ in 0..2 {
        assert!(request(&a, now) && request(&b, now));
    }
    assert!(request(&a, now), "the fifth job");
    let left = |policy: &Policy, limit: &str| {
        let asked = policy.request("GET", "/").attribute("user", "u");
        let decision = policy.check_at(&asked, now);
        decision.limit(limit).map(|limit| limit.decision().remaining())
    };
    // Two denials, by jobs alone: nothing is charged.
    for limit in ["gcra", "log"] {
        assert_eq!(left(&b, limit), Some(95), "{limit}");
    }
    // The third begins a block, in both; its keys survive a restart of all processes.
    assert!(!request(&b, now));
    let later = now.after(Duration::from_millis(220));
    assert!(!request(&a, later), "blocked");
    drop((a, b));
    let c = open();
    assert!(!request(&c, later), "blocked");
    assert!(c.unblock_at("ladder", &c.request("GET", "/").attribute("user", "u"), later));
    assert!(request(&c, later), "leases are over");
    let decision = c.check_at(&c.request("GET", "/").attribute("user", "u"), later);
    for limit in ["gcra", "log", "counter", "month"] {
        assert_eq!(decision.limit(limit).unwrap().decision().remaining(), 93, "{limit}");
    }
}

#[test]
fn another_file_over_the_same_region() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let text = |quota: &str, more: &str| {
        format!(
            "[attribute.user]\n[[limit]]\nname = 'api'\nkey = ['user']\nquota = '{quota}'\n{more}"
        )
    };
    let open = |text: &str| Policy::from_file_in(&file(text), &region);
    let left = |policy: &Policy| {
        let request = policy.request("GET", "/").attribute("user", "u");
        policy.check(&request).limit("api").unwrap().decision().remaining()
    };
    let old = open(&text("10/h", "")).unwrap();
    assert_eq!(left(&old), 9);
    // A smaller quota has room, and judges the same past.
    let smaller = open(&text("5/h", "")).unwrap();
    assert_eq!((left(&smaller), left(&old)), (3, 7));
    // A larger has not, and the error says so.
    let error = open(&text("20/h", "")).unwrap_err().to_string();
    assert!(error.contains("room is for 10 units") && error.contains("20 units"), "{error}");
    let error = open(&text("10/h", "capacity = 77\n")).unwrap_err().to_string();
    assert!(error.contains("capacity is 10000 keys there, 77 keys here"), "{error}");
    // By another algorithm it is another limit.
    assert_eq!(left(&open(&text("20/h", "algorithm = 'gcra'\n")).unwrap()), 19);
    // A reload takes new limits into the region.
    let live = LivePolicy::new(open(&text("10/h", "")).unwrap());
    let more = "[[limit]]\nname = 'new'\nkey = []\nquota = '3/h'\n";
    live.replace(&file(&text("10/h", more))).unwrap();
    let both = open(&text("10/h", more)).unwrap();
    assert_eq!(left(&both), 6);
    let loaded = live.load();
    let decision = loaded.check(&loaded.request("GET", "/").attribute("user", "u"));
    assert_eq!(decision.limit("new").unwrap().decision().remaining(), 1);
}
