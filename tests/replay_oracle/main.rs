//! `tollgate replay` against an oracle that was written from the design alone,
//! request by request: allowed, remaining, reset, retry.

#![cfg(not(loom))]

mod log;
mod oracle;

use oracle::{Answer, Gcra, Oracle, SlidingLog};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::Command,
};

const SECOND: u64 = 1_000_000_000;

/// Quotas as text, with their units, period and burst.
const QUOTAS: [(&str, u64, u64, u64); 9] = [
    ("60/min", 60, 60 * SECOND, 60),
    ("60/min burst 20", 60, 60 * SECOND, 20),
    ("7/min burst 3", 7, 60 * SECOND, 3),
    ("1/s", 1, SECOND, 1),
    ("3/s burst 50", 3, SECOND, 50),
    ("1/d burst 7", 1, 86_400 * SECOND, 7),
    ("13/h", 13, 3600 * SECOND, 13),
    ("9999999/s burst 1", 9_999_999, SECOND, 1),
    ("11/7us burst 2", 11, 7000, 2),
];

/// A line as both sides see it: its number and what was decided.
type Decided = (u64, Answer);

fn requests(log: &Path) -> Vec<(u64, String, u64)> {
    let file = File::open(log).unwrap();
    let input: Box<dyn Read> = if log.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut all = Vec::new();
    for (line, number) in BufReader::new(input).split(b'\n').zip(1..) {
        let text = String::from_utf8_lossy(&line.unwrap()).into_owned();
        let (client, time) = log::read(&text).unwrap_or_else(|| panic!("line {number}: {text}"));
        all.push((number, client, time));
    }
    all
}

fn by_oracle(
    mut requests: Vec<(u64, String, u64)>,
    oracle: &mut dyn Oracle,
    sort: bool,
) -> Vec<Decided> {
    if sort {
        requests.sort_by_key(|(_, _, time)| *time);
    }
    let mut latest = 0;
    let decide = |(line, client, time): (u64, String, u64)| {
        latest = time.max(latest);
        (line, oracle.ask(&client, latest))
    };
    requests.into_iter().map(decide).collect()
}

fn by_tollgate(log: &Path, quota: &str, algorithm: &str, sort: bool) -> Vec<Decided> {
    let folder = tempfile::TempDir::new().unwrap();
    let decisions = folder.path().join("decided");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["replay", "--format", "json", "--quota", quota, "--algorithm", algorithm]);
    command.args(sort.then_some("--sort")).arg("--decisions").arg(&decisions).arg(log);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["limits"][0]["saturated"], 0, "what is let through is not decided");
    let decided: Vec<Decided> =
        fs::read_to_string(decisions).unwrap().lines().map(decided).collect();
    let allowed = decided.iter().filter(|(_, answer)| answer.allowed).count();
    assert_eq!(report["allowed"], allowed);
    assert_eq!(report["requests"], decided.len());
    decided
}

fn decided(line: &str) -> Decided {
    let value: Value = serde_json::from_str(line).unwrap();
    let answer = Answer {
        allowed: value["allowed"].as_bool().unwrap(),
        remaining: value["remaining"].as_u64().unwrap(),
        reset_after: value["reset_after_ns"].as_u64().unwrap(),
        retry_after: value["retry_after_ns"].as_u64(),
    };
    assert_eq!(value["denied_by"].as_array().unwrap().is_empty(), answer.allowed);
    assert_eq!(value["retry_after_ns"].is_null(), answer.allowed);
    (value["line"].as_u64().unwrap(), answer)
}

fn compare(log: &Path, least_denials: usize) {
    let requests = requests(log);
    let mut denials = 0;
    for (quota, units, period, burst) in QUOTAS {
        for sort in [false, true] {
            let gcra = &mut Gcra::new(units, period, burst);
            let log_oracle = &mut SlidingLog::new(units, period);
            let mut sides: Vec<(&str, &mut dyn Oracle)> = vec![("gcra", gcra)];
            // A log knows no burst, and holds no ten million stamps.
            if burst == units && units < 100_000 {
                sides.push(("sliding-log", log_oracle));
            }
            for (algorithm, oracle) in sides {
                let ours = by_tollgate(log, quota, algorithm, sort);
                let theirs = by_oracle(requests.clone(), oracle, sort);
                assert_eq!(ours.len(), theirs.len());
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    assert_eq!(ours, theirs, "{algorithm} {quota}, sort: {sort}");
                }
                denials += ours.iter().filter(|(_, answer)| !answer.allowed).count();
            }
        }
    }
    assert!(denials >= least_denials, "{denials} denials compared are too few to mean much");
}

#[test]
fn on_the_log_of_a_real_nginx() {
    compare(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nginx.log"), 10_000);
}

/// Ten thousand requests to a real site, most of them out of order. The file
/// is not part of this repository: it lies in `../shared/data`, or in `data`
/// below the folder that `TOLLGATE_SHARED` names.
#[test]
fn on_the_log_of_a_real_site() {
    let shared = std::env::var_os("TOLLGATE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let log = shared.join("data/access-2015.log.gz");
    if !log.exists() {
        println!("{} is not there: nothing compared", log.display());
        return;
    }
    compare(&log, 10_000);
}

/// The oracle itself, by hand, so that a slip in it cannot hide one in the engine.
#[test]
fn the_oracle_counts_as_the_design_does() {
    // Six at 3 per 60 s, three at 0 and three at 60, are all allowed by the log.
    let mut log = SlidingLog::new(3, 60 * SECOND);
    let signs: Vec<bool> =
        [0, 0, 0, 0, 59, 60, 60, 60, 60].map(|now| log.ask("k", now).allowed).into();
    assert_eq!(signs, [true, true, true, false, false, true, true, true, false]);

    let mut gcra = Gcra::new(2, 60 * SECOND, 2);
    let answer = |allowed, remaining, reset: u64, retry: Option<u64>| Answer {
        allowed,
        remaining,
        reset_after: reset * SECOND,
        retry_after: retry.map(|s| s * SECOND),
    };
    assert_eq!(gcra.ask("k", 100), answer(true, 1, 30, None));
    assert_eq!(gcra.ask("k", 100), answer(true, 0, 60, None));
    assert_eq!(gcra.ask("k", 110), answer(false, 0, 50, Some(20)));
    assert_eq!(gcra.ask("k", 130), answer(true, 0, 60, None));
    assert_eq!(gcra.ask("other", 130), answer(true, 1, 30, None));
    // 7 per minute is one every 8.571428571.43 s, rounded up to 1/16 ns.
    assert_eq!(Gcra::new(7, 60 * SECOND, 7).interval, 137_142_857_143);
}
