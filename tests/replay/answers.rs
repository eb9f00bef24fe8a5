//! What is decided, at which time, and how it is counted.

use super::*;
use serde_json::json;

#[test]
fn decisions_are_those_of_gcra() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00", "10:00:00", "10:00:00", "10:00:29", "10:00:30"]));
    let decided = room.decisions("--quota 2/min a.log");
    let second = 1_000_000_000_u64;
    let line = |line: u64, allowed: bool, remaining: u64, reset: u64, retry: Option<u64>| {
        let denied_by = if allowed { json!([]) } else { json!(["default"]) };
        json!({"file": "a.log", "line": line, "allowed": allowed, "denied_by": denied_by,
               "remaining": remaining, "reset_after_ns": reset * second,
               "retry_after_ns": retry.map(|s| s * second)})
    };
    assert_eq!(
        decided,
        [
            line(1, true, 1, 30, None),
            line(2, true, 0, 60, None),
            line(3, false, 0, 60, Some(30)),
            line(4, false, 0, 31, Some(1)),
            line(5, true, 0, 60, None),
        ]
    );
    let text = fs::read_to_string(room.path("decided")).unwrap();
    assert!(text.starts_with(
        "{\"file\":\"a.log\",\"line\":1,\"allowed\":true,\"denied_by\":[],\"remaining\":1,\
         \"reset_after_ns\":30000000000,\"retry_after_ns\":null}\n"
    ));
}

#[test]
fn decisions_are_those_of_a_sliding_log() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00", "10:00:10", "10:00:59", "10:01:00", "10:01:00"]));
    let decided = room.decisions("--quota 2/min --algorithm sliding-log a.log");
    assert_eq!(signs(&decided), "++-+-");
    assert_eq!(decided[2]["retry_after_ns"], 1_000_000_000_u64);
    assert_eq!(decided[2]["reset_after_ns"], 1_000_000_000_u64);
    assert_eq!(decided[4]["retry_after_ns"], 10_000_000_000_u64);
    assert_eq!(decided[4]["remaining"], 0);
}

#[test]
fn a_burst_is_for_gcra() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"; 5]));
    assert_eq!(signs(&room.decisions("--quota 60/min --burst 2 a.log")), "++---");
    assert_eq!(
        room.report("--quota 60/min --burst 2 a.log")["limits"][0]["quota"],
        "60/min burst 2"
    );
    let mut quoted = room.command("--format json a.log");
    let run = Run::from(quoted.args(["--quota", "60/min burst 3"]).output().unwrap());
    assert_eq!(run.json()["denied"], 2);
}

#[test]
fn an_earlier_line_is_decided_at_the_latest_time_seen() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00", "09:00:00", "10:02:00", "10:01:00", "10:02:00"]));
    let decided = room.decisions("--quota 1/min a.log");
    assert_eq!(signs(&decided), "+-+--");
    for late in [&decided[1], &decided[3]] {
        // At its own time it would have to wait an hour or a minute longer.
        assert_eq!(late["retry_after_ns"], 60_000_000_000_u64);
    }
    let report = room.report("--quota 1/min a.log");
    assert_eq!(report["out_of_order"], 2);
    // The log's own times, not those of the decisions.
    assert_eq!(report["first"], "2026-10-10T09:00:00Z");
    assert_eq!(report["last"], "2026-10-10T10:02:00Z");
}

#[test]
fn sort_orders_all_lines_by_time_and_keeps_ties() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00", "09:00:00", "10:02:00", "10:01:00", "10:02:00"]));
    room.put("b.log", times(&["10:02:00", "09:00:00"]));
    let decided = room.decisions("--sort --quota 1/min a.log b.log");
    let order: Vec<_> =
        decided.iter().map(|d| format!("{}{}", d["file"].as_str().unwrap(), d["line"])).collect();
    assert_eq!(order, ["a.log2", "b.log2", "a.log1", "a.log4", "a.log3", "a.log5", "b.log1"]);
    assert_eq!(signs(&decided), "+-+++--");
    let report = room.report("--sort --quota 1/min a.log b.log");
    assert_eq!(report["out_of_order"], 0);
    assert_eq!(report["first"], "2026-10-10T09:00:00Z");
    assert_eq!(report["last"], "2026-10-10T10:02:00Z");
}

#[test]
fn time_is_in_the_zone_of_the_line() {
    let room = Room::new();
    let at = |text: &str| format!("h - - [{text}] \"GET / HTTP/1.1\" 200 12\n");
    room.put("a.log", at("10/Oct/2000:13:55:36 -0700") + &at("10/Oct/2000:20:55:36 +0000"));
    let report = room.report("--quota 1/min a.log");
    assert_eq!(report["first"], "2000-10-10T20:55:36Z");
    assert_eq!(report["first"], report["last"]);
    assert_eq!((&report["denied"], &report["out_of_order"]), (&json!(1), &json!(0)));
}

#[test]
fn decades_between_lines_are_decided() {
    let room = Room::new();
    let at = |year: u32| format!("h - - [01/Jan/{year}:00:00:00 +0000] \"GET /\" 200 12\n");
    let text: String = [1970, 1970, 1999, 1999, 2026, 2100, 2100, 2553, 2553].map(at).concat();
    room.put("a.log", text);
    assert_eq!(signs(&room.decisions("--quota 1/min a.log")), "+-+-++-+-");
    assert_eq!(signs(&room.decisions("--quota 1/d --algorithm sliding-log a.log")), "+-+-++-+-");
}

#[test]
fn a_log_of_decades_without_a_pause_is_refused() {
    let room = Room::new();
    let lines: Vec<_> = (1990..2024)
        .map(|year| format!("h - - [01/Jan/{year}:00:00:00 +0000] \"GET /\" 200 12"))
        .collect();
    room.put("a.log", lines.join("\n"));
    let run = room.replay("--quota 10/1500d a.log").expect(2);
    assert!(run.err.contains("without a pause"), "{}", run.err);
    assert_eq!((run.err.lines().count(), &*run.out), (1, ""));
}

#[test]
fn json_has_exactly_these_fields() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"; 5]) + "nonsense\n");
    let report = room.report("--quota 2/min a.log");
    assert_eq!(
        report,
        json!({
            "requests": 5, "allowed": 2, "denied": 3, "skipped": 1, "out_of_order": 0,
            "first": "2026-10-10T10:00:00Z", "last": "2026-10-10T10:00:00Z",
            "limits": [{
                "name": "default", "algorithm": "gcra", "quota": "2/min", "keys": 1,
                "evaluated": 5, "denied": 3, "saturated": 0,
                "top": [{"key": "192.0.2.1", "requests": 5, "denied": 3}]
            }]
        })
    );
    let log = room.report("--quota 2/min --algorithm sliding-log a.log");
    assert_eq!(log["limits"][0]["algorithm"], "sliding-log");
}

#[test]
fn requests_are_allowed_or_denied_in_the_real_log() {
    let room = Room::new();
    fs::copy(nginx_log(), room.path("nginx.log")).unwrap();
    let words = "--quota 60/min --burst 20 nginx.log";
    let (report, decided) = (room.report(words), room.decisions(words));
    let number = |field: &str| report[field].as_u64().unwrap();
    assert_eq!(number("requests"), number("allowed") + number("denied"));
    assert_eq!(number("requests"), decided.len() as u64);
    assert_eq!(number("denied"), signs(&decided).matches('-').count() as u64);
    assert!(number("denied") > 100 && number("allowed") > 1000);
    assert_eq!(number("skipped"), 0);
    let limit = &report["limits"][0];
    assert_eq!(limit["evaluated"], report["requests"]);
    assert_eq!(limit["denied"], report["denied"]);
    let top = limit["top"].as_array().unwrap();
    let sum: u64 = top.iter().map(|top| top["denied"].as_u64().unwrap()).sum();
    assert_eq!(sum, number("denied"), "fewer than ten keys were denied, and all are listed");
    assert_eq!(room.report(words), report, "a run repeats");
}
