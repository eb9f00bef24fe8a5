//! Where lines come from, and what counts as a line.

use super::*;
use serde_json::json;

#[test]
fn an_empty_log_is_a_result() {
    let room = Room::new();
    room.put("empty.log", "").put("empty.gz", gzip(b""));
    let empty = json!({
        "requests": 0, "allowed": 0, "denied": 0, "skipped": 0, "out_of_order": 0,
        "first": null, "last": null,
        "limits": [{"name": "default", "algorithm": "gcra", "quota": "1/s", "keys": 0,
                    "evaluated": 0, "denied": 0, "saturated": 0, "top": []}]
    });
    for words in ["empty.log", "empty.gz", "-", "empty.log empty.gz -", "--sort empty.log"] {
        assert_eq!(room.report(&format!("--quota 1/s {words}")), empty, "{words}");
    }
    assert!(room.decisions("--quota 1/s empty.log").is_empty());
    let text = room.replay("--quota 1/s empty.log").expect(0);
    assert!(text.out.contains("requests"), "{}", text.out);
}

#[test]
fn common_and_combined_are_read_alike() {
    let room = Room::new();
    let common = line("192.0.2.1", "10:00:00");
    let combined = format!("{common} \"-\" \"Mozilla/5.0 (a \\\"b\\\")\"");
    let cut_short = format!("{common} \"-\" \"Mozi");
    room.put("a.log", [common, combined, cut_short].join("\n"));
    let report = room.report("--quota 1/s a.log");
    assert_eq!((&report["requests"], &report["skipped"]), (&json!(3), &json!(0)));
    assert_eq!(report["limits"][0]["keys"], 1);
}

#[test]
fn gzip_is_known_by_its_first_bytes_or_its_name() {
    let room = Room::new();
    let text = times(&["10:00:00", "10:00:00", "10:00:01"]);
    room.put("plain.log", &text);
    room.put("named.log.gz", gzip(text.as_bytes())).put("unnamed", gzip(text.as_bytes()));
    let members = [gzip(&text.as_bytes()[..100]), gzip(b""), gzip(&text.as_bytes()[100..])];
    room.put("members.GZ", members.concat());
    let plain = room.report("--quota 1/min plain.log");
    assert_eq!(plain["requests"], 3);
    for name in ["named.log.gz", "unnamed", "members.GZ"] {
        assert_eq!(room.report(&format!("--quota 1/min {name}")), plain, "{name}");
    }
    for bytes in [text.as_bytes(), &gzip(text.as_bytes()), &members.concat()] {
        let run = room.replay_stdin("--quota 1/min --format json -", bytes);
        assert_eq!(run.json(), plain);
    }
    let run = room.replay("--quota 1/min plain.log").expect(0);
    assert_eq!(run.err, "");
}

#[test]
fn several_logs_are_one_stream() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00", "10:00:01"]));
    room.put("b.gz", gzip(times(&["10:00:02"]).as_bytes()));
    let stdin = times(&["10:00:03"]);
    let words = "--quota 2/min --decisions decided ./a.log - b.gz a.log";
    let run = room.replay_stdin(words, stdin.as_bytes());
    run.expect(0);
    let text = fs::read_to_string(room.path("decided")).unwrap();
    let decided: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let places: Vec<_> =
        decided.iter().map(|d| format!("{} {}", d["file"].as_str().unwrap(), d["line"])).collect();
    assert_eq!(places, ["./a.log 1", "./a.log 2", "- 1", "b.gz 1", "a.log 1", "a.log 2"]);
    assert_eq!(signs(&decided), "++----");
}

#[test]
fn unreadable_lines_are_counted_and_the_first_few_shown() {
    let room = Room::new();
    let good = line("192.0.2.1", "10:00:00");
    let mut lines = vec![good.clone(), String::new(), "nonsense".to_owned(), good.clone()];
    lines.push(good.replace("10/Oct", "31/Feb"));
    lines.push(good.replace("2026", "1969"));
    lines.push(good.replace(" 200 ", " OK "));
    lines.extend(vec!["more".to_owned(); 20]);
    lines.push(good);
    room.put("a.log", lines.join("\n"));
    let run = room.replay("--quota 100/s --format json a.log");
    let told: Vec<_> = run.err.lines().collect();
    assert_eq!(told.len(), 6, "{}", run.err);
    assert_eq!(told[0], "tollgate: skipped a.log:2: the line is empty");
    assert_eq!(told[1], "tollgate: skipped a.log:3: no client in the first field");
    assert_eq!(told[2], "tollgate: skipped a.log:5: there is no such date or time");
    assert_eq!(told[3], "tollgate: skipped a.log:6: the time is before 1970");
    assert_eq!(told[4], "tollgate: skipped a.log:7: no status of three digits after the request");
    assert_eq!(told[5], "tollgate: skipped 20 more");
    let report = run.json();
    assert_eq!((&report["requests"], &report["skipped"]), (&json!(3), &json!(25)));
    // Line numbers are those of the file.
    let decided = room.decisions("--quota 100/s a.log");
    let lines: Vec<_> = decided.iter().map(|d| d["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 4, 28]);
}

#[test]
fn a_log_without_a_readable_line_is_told_so() {
    let room = Room::new();
    let last = |run: &Run| run.err.lines().last().unwrap_or_default().to_owned();
    let none = |lines: &str| {
        format!("tollgate: none of {lines} can be read as Common or Combined Log Format")
    };
    room.put("a.log", "nonsense\n".repeat(509)).put("one.log", "nonsense").put("empty.log", "");
    for (words, lines) in [
        ("a.log", "509 lines"),
        ("--sort a.log", "509 lines"),
        ("a.log empty.log one.log", "510 lines"),
        ("one.log", "1 line"),
    ] {
        let run = room.replay(&format!("--quota 1/s --format json {words}"));
        assert_eq!(last(&run), none(lines));
        assert_eq!(run.json()["requests"], 0);
    }
    room.put("good.log", line("192.0.2.1", "10:00:00"));
    let run = room.replay("--quota 1/s a.log good.log").expect(0);
    assert_eq!(last(&run), "tollgate: skipped 504 more");
    assert_eq!(room.replay("--quota 1/s empty.log").expect(0).err, "");
}

#[test]
fn a_client_holds_no_quote() {
    let room = Room::new();
    let good = line("192.0.2.1", "10:00:00");
    room.put("a.log", format!("{good}\n{}\n", line("\"192.0.2.1\"", "10:00:00")));
    let run = room.replay("--quota 1/s --format json a.log");
    let line = "a.log:2: a quote in the first field, which should be the client";
    assert_eq!(run.err, format!("tollgate: skipped {line}\n"));
    assert_eq!(run.json()["requests"], 1);
}

#[test]
fn line_ends_are_forgiving() {
    let room = Room::new();
    let good = line("192.0.2.1", "10:00:00");
    for text in [
        format!("{good}\n{good}\n"),
        format!("{good}\n{good}"),
        format!("{good}\r\n{good}\r\n"),
        format!("{good}\r\n{good}\r"),
    ] {
        room.put("a.log", &text);
        let report = room.report("--quota 1/s a.log");
        assert_eq!((&report["requests"], &report["skipped"]), (&json!(2), &json!(0)), "{text:?}");
    }
}

#[test]
fn any_bytes_are_taken() {
    let room = Room::new();
    let good = line("192.0.2.1", "10:00:00");
    let mut bytes = b"\0\0\xff\xfe\n".to_vec();
    bytes.extend_from_slice(&(0..=255).filter(|b| *b != b'\n').collect::<Vec<u8>>());
    bytes.push(b'\n');
    let odd = b"GET /\0\xff\xc3 HTTP/1.1";
    let at = good.find("GET").unwrap();
    bytes.extend_from_slice(&good.as_bytes()[..at]);
    bytes.extend_from_slice(odd);
    bytes.extend_from_slice(&good.as_bytes()[at + "GET / HTTP/1.1".len()..]);
    room.put("a.log", &bytes);
    let report = room.report("--quota 1/s --key path a.log");
    assert_eq!((&report["requests"], &report["skipped"]), (&json!(1), &json!(2)));
}

#[test]
fn a_very_long_line_is_skipped() {
    let room = Room::new();
    let good = line("192.0.2.1", "10:00:00");
    let long = format!("{good} {}", "x".repeat(3 << 20));
    room.put("a.log", format!("{good}\n{long}\n{good}\n{long}"));
    let run = room.replay("--quota 1/min --format json a.log");
    assert!(run.err.contains("a.log:2: the line is longer than 64 KiB"), "{}", run.err);
    assert!(run.err.contains("a.log:4: "), "{}", run.err);
    let report = run.json();
    assert_eq!((&report["requests"], &report["skipped"]), (&json!(2), &json!(2)));
}

/// A hundred megabytes of lines with ever new keys, and one endless line, in
/// an address space of 64 MiB.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_log() {
    let room = Room::new();
    let script = "ulimit -v 65536; exec \"$0\" replay --quota 1/min --burst 1 --capacity 1000 \
                  --key path --format json -";
    let mut child = Command::new("sh")
        .args(["-c", script, TOLLGATE])
        .current_dir(room.0.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = std::io::BufWriter::new(child.stdin.take().unwrap());
    let lines: u64 = 300_000;
    for n in 0..lines {
        let path = format!("GET /{n:0250} HTTP/1.1");
        writeln!(pipe, "{}", line_of("192.0.2.1", "-", "10:00:00", &path)).unwrap();
    }
    let endless = vec![b'x'; 100_000];
    for _ in 0..1000 {
        pipe.write_all(&endless).unwrap();
    }
    drop(pipe);
    let report = Run::from(child.wait_with_output().unwrap()).json();
    assert_eq!(report["requests"], lines);
    assert_eq!(report["skipped"], 1);
    let keys = report["limits"][0]["keys"].as_u64().unwrap();
    assert!(keys.abs_diff(lines) < lines / 15, "{keys}");
    assert_eq!(report["limits"][0]["approximate"], true);
}
