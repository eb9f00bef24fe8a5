//! The logs for `tollgate replay --policy`, through the policies: each limit
//! that a log can tell of is asked at least once. What each log needs to be told of
//! its fields stands in `logs/make-logs.py`.

use crate::support::Api;
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/logs");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// Seconds since the 1st of March 2026, of `02/Mar/2026:09:00:00 +0000`.
fn second(date: &str) -> u64 {
    let number = |at: usize| date[at..at + 2].parse::<u64>().unwrap();
    let month = match &date[3..6] {
        "Mar" => 0,
        "Apr" => 31,
        other => panic!("{other}"),
    };
    (month + number(0) - 1) * 86_400 + number(12) * 3600 + number(15) * 60 + number(18)
}

/// The limits that no line asked, and how many lines were denied. `fields` names the
/// attributes that the first three fields are.
fn replay(policy: &str, log: &str, fields: [Option<&str>; 3]) -> (Vec<String>, usize) {
    // 2026-03-01.
    let api = Api::starting(policy, 1_772_323_200);
    let tiers = read("001-tiers.csv");
    let (mut asked, mut denied) = (BTreeSet::new(), 0);
    for line in read(log).lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let (date, rest) = words[3][1..].split_once("] \"").unwrap();
        let mut target = rest.split(' ');
        let (method, path) = (target.next().unwrap(), target.next().unwrap());
        api.at(Duration::from_secs(second(date)));
        let mut request = api.request(method, path);
        for (name, value) in fields.iter().zip(words).filter(|(_, value)| *value != "-") {
            match name {
                None => {}
                Some("host") => request = request.host(value),
                Some(name) => request = request.attr(name, value),
            }
            let tier = tiers.lines().find_map(|row| row.strip_prefix(value)?.strip_prefix(','));
            if let (Some("customer"), Some(tier)) = (name, tier) {
                request = request.attr("tier", tier);
            }
        }
        if policy.starts_with("001") {
            for (cost, units) in [
                ("files", 20),
                ("bytes", 500_000_000),
                ("image_bytes", 5_000_000),
                ("document_bytes", 1_000_000),
            ] {
                request = request.cost(cost, units);
            }
        }
        let reply = request.send();
        denied += usize::from(!reply.allowed);
        // No log tells how long an upload took.
        reply.end();
        asked.extend(reply.limits.into_iter().map(|limit| limit.name));
    }
    let names = api.limit_names();
    (names.into_iter().filter(|name| !asked.contains(name)).collect(), denied)
}

#[test]
fn each_log_asks_every_limit_of_its_policy() {
    for (name, fields) in [
        ("000-document-scanning", [Some("ip"), Some("host"), Some("account")]),
        ("001-file-library", [Some("ip"), Some("auth"), Some("customer")]),
        ("002-document-rewriting", [Some("ip"), None, Some("user")]),
        ("003-url-scanning", [None, None, Some("org")]),
        ("004-software-licensing", [Some("ip"), None, Some("token")]),
    ] {
        let (left_out, denied) = replay(&format!("{name}.toml"), &format!("{name}.log"), fields);
        assert_eq!(left_out, Vec::<String>::new(), "{name}");
        assert!(denied > 0, "{name}");
        println!("{name}: {denied} denied");
    }
}
