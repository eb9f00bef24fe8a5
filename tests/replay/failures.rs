//! Runs that end early: one clear line, the right code, nothing left behind.

use super::*;

/// A run that must fail so, having written nothing but one line.
fn fails(room: &Room, words: &str, stdin: &[u8], code: i32, line: &str) {
    let before = room.names();
    let words = format!("--decisions decided {words}");
    let run = room.replay_stdin(&words, stdin).expect(code);
    assert_eq!(run.out, "", "{words}");
    assert_eq!(run.err, format!("tollgate: {line}\n"), "{words}");
    assert_eq!(room.names(), before, "{words} left something behind");
}

#[test]
fn logs_that_cannot_be_read() {
    let room = Room::new();
    let good = times(&["10:00:00"; 500]);
    room.put("good.log", &good).put("text.gz", &good).put("nothing.gz", "");
    let zip = gzip(good.as_bytes());
    room.put("cut.gz", &zip[..zip.len() / 2]).put("tail.gz", &zip[..zip.len() - 3]);
    let mut broken = zip.clone();
    *broken.last_mut().unwrap() ^= 1;
    room.put("broken.gz", &broken);
    room.put("second.gz", [&zip[..], &zip[..7]].concat());
    fs::create_dir(room.path("folder")).unwrap();
    let early = "truncated: the compressed data ends early";
    for (words, line) in [
        ("missing.log", "missing.log: no such file".to_owned()),
        ("good.log missing.log", "missing.log: no such file".to_owned()),
        ("folder", "folder: is a directory".to_owned()),
        ("good.log folder", "folder: is a directory".to_owned()),
        ("cut.gz", format!("cut.gz: {early}")),
        ("good.log cut.gz", format!("cut.gz: {early}")),
        ("tail.gz", format!("tail.gz: {early}")),
        ("second.gz", format!("second.gz: {early}")),
        ("nothing.gz", format!("nothing.gz: {early}")),
        ("text.gz", "text.gz: not valid gzip data (invalid gzip header)".to_owned()),
        ("- good.log -", "-: standard input can be read only once".to_owned()),
    ] {
        for format in ["text", "json"] {
            let words = format!("--quota 1/s --format {format} {words}");
            fails(&room, &words, b"", 2, &line);
            fails(&room, &format!("--sort {words}"), b"", 2, &line);
        }
    }
    fails(&room, "--quota 1/s -", &zip[..zip.len() / 2], 2, &format!("-: {early}"));
    let run = room.replay("--quota 1/s broken.gz").expect(2);
    assert!(run.err.starts_with("tollgate: broken.gz: not valid gzip data"), "{}", run.err);
}

#[test]
fn quotas_that_cannot_be_kept() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"]));
    for (words, line) in [
        ("--quota 0/min", "--quota 0/min: a quota of 0 units allows nothing; the least is 1"),
        (
            "--quota 1/month",
            "--quota 1/month: missing or unknown unit of time; use one of d, h, min, s, ms, us, ns",
        ),
        ("--quota 1/0s", "--quota 1/0s: the period of a quota must be longer than 0"),
        ("--quota 1/s --burst 0", "--burst 0: a burst of 0 units allows nothing; the least is 1"),
        (
            "--quota 60/min --burst 20 --algorithm sliding-log",
            "--burst: a sliding log knows no burst",
        ),
        (
            "--quota 60/min --burst 60 --algorithm sliding-log",
            "--burst: a sliding log knows no burst",
        ),
        (
            "--quota 300000/min --algorithm sliding-log",
            "a sliding log holds at most 262143 units per key, not 300000; \
             use GCRA, or count in larger units",
        ),
        (
            "--quota 1/s --capacity 0",
            "--capacity 0: a capacity of 0 keys limits nobody; the least is 1",
        ),
        ("--quota 1/s --key ip,path,ip", "--key: the same part is named twice"),
    ] {
        fails(&room, &format!("{words} a.log"), b"", 2, line);
    }
    let run = room.replay("--quota -1/s a.log").expect(2);
    assert!(run.err.starts_with("tollgate: --quota -1/s: expected UNITS"), "{}", run.err);
    // Not a log in sight, and yet the quota is looked at first.
    fails(
        &room,
        "--quota 0/s missing.log",
        b"",
        2,
        "--quota 0/s: a quota of 0 units allows nothing; the least is 1",
    );
    let run = Run::from(
        room.command("a.log --algorithm sliding-log")
            .args(["--quota", "60/min burst 5"])
            .output()
            .unwrap(),
    );
    assert!(run.err.contains("a sliding log knows no burst: burst 5"), "{}", run.err);
    assert_eq!((run.code, run.err.lines().count()), (Some(2), 1));
}

#[test]
fn a_burst_is_given_once() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"]));
    for (quota, burst) in [("10/min burst 5", "6"), ("10/min burst 10", "10")] {
        let mut command = room.command("a.log --burst");
        let run = Run::from(command.args([burst, "--quota", quota]).output().unwrap()).expect(2);
        let line = format!("tollgate: --burst {burst}: --quota {quota} names a burst already\n");
        assert_eq!((&*run.out, run.err), ("", line));
    }
}

#[test]
fn negative_numbers_are_told_to_be_none() {
    let room = Room::new();
    room.put("a.log", "");
    for option in ["--burst", "--top", "--capacity", "--ipv6-prefix"] {
        let run = room.replay(&format!("--quota 1/s {option} -1 a.log")).expect(2);
        assert!(run.err.contains(&format!("invalid value '-1' for '{option}")), "{}", run.err);
        assert!(!run.err.contains("tip:"), "{}", run.err);
    }
}

#[test]
fn empty_names_are_seen() {
    let room = Room::new();
    let run = Run::from(room.command("--quota 1/s").arg("").output().unwrap()).expect(2);
    assert_eq!(run.err, "tollgate: \"\": no such file\n");
    let run = Run::from(room.command("a.log --quota").arg("").output().unwrap()).expect(2);
    assert!(run.err.starts_with("tollgate: --quota \"\": expected UNITS"), "{}", run.err);
}

#[cfg(target_os = "linux")]
#[test]
fn too_much_memory_is_told_with_what_asks_for_it() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"]));
    let fails = |words: &str| {
        let script = format!("ulimit -v 500000; exec \"$0\" replay {words} --decisions out a.log");
        let mut sh = Command::new("sh");
        sh.args(["-c", &script, TOLLGATE]).current_dir(room.0.path());
        let run = Run::from(sh.output().unwrap()).expect(2);
        assert_eq!((&*run.out, room.names()), ("", vec!["a.log".to_owned()]));
        let line = run.err.strip_prefix("tollgate: not enough memory: ").unwrap().to_owned();
        let (amount, rest) = line.split_once(" are needed; lower ").unwrap();
        let (number, unit) = amount.split_once(' ').unwrap();
        (number.parse::<f64>().unwrap(), unit.to_owned(), rest.to_owned())
    };
    let (number, unit, rest) = fails("--algorithm sliding-log --quota 200000/h --capacity 1000");
    assert!((1.4..3.5).contains(&number) && unit == "GiB", "{number} {unit}");
    assert_eq!(rest, "--capacity 1000 or the units of --quota 200000/h\n");
    let (number, unit, rest) = fails("--algorithm sliding-log --quota 100000/h --capacity 700");
    assert!((500.0..1024.0).contains(&number) && unit == "MiB", "{number} {unit}");
    assert_eq!(rest, "--capacity 700 or the units of --quota 100000/h\n");
    // No quota makes a table for GCRA larger.
    let (_, unit, rest) = fails("--quota 1/s --capacity 300000000");
    assert_eq!((&*unit, &*rest), ("GiB", "--capacity 300000000\n"));
}

#[test]
fn usage_is_explained() {
    let room = Room::new();
    room.put("a.log", "");
    for words in
        ["a.log", "--quota 1/s", "--quota 1/s --format xml a.log", "--quota 1/s --burst x a.log"]
    {
        let run = room.replay(words).expect(2);
        assert!(run.out.is_empty() && run.err.starts_with("error: "), "{words}: {}", run.err);
    }
    let help = room.replay("--help").expect(0);
    for option in [
        "--quota",
        "--burst",
        "--algorithm",
        "--key",
        "--ipv6-prefix",
        "--capacity",
        "--sort",
        "--format",
        "--decisions",
        "--plot",
        "--speed",
        "--top",
        "--strict",
    ] {
        assert!(help.out.contains(option), "{option}");
    }
    let words = help.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "UNIT one of d, h, min, s, ms, us, ns;",
        "\" burst N\" may follow",
        "The first field of a line is the client.",
    ] {
        assert!(words.contains(part), "{part}");
    }
}

#[test]
fn strict_stops_at_the_first_unreadable_line() {
    let room = Room::new();
    let text = times(&["10:00:00", "10:00:01"]) + "nonsense\n\n" + &times(&["10:00:02"]);
    room.put("a.log", &text).put("good.log", times(&["10:00:00", "10:00:00"]));
    room.put("long.log", "x".repeat(1 << 20));
    let line = "a.log:3: no client in the first field";
    fails(&room, "--strict --quota 1/s a.log", b"", 1, line);
    fails(&room, "--strict --sort --quota 1/s good.log a.log", b"", 1, line);
    fails(&room, "--strict --format json --quota 1/s a.log", b"", 1, line);
    fails(&room, "--strict --quota 1/s -", text.as_bytes(), 1, "-:3: no client in the first field");
    fails(
        &room,
        "--strict --quota 1/s long.log",
        b"",
        1,
        "long.log:1: the line is longer than 64 KiB",
    );
    // Denials are no failure, strict or not.
    assert_eq!(room.report("--strict --quota 1/min good.log")["denied"], 1);
}

#[test]
fn decisions_go_nowhere_but_to_a_file_of_their_own() {
    let room = Room::new();
    let log = times(&["10:00:00"]);
    room.put("a.log", &log).put("old", "precious\n").put("bad.gz", "");
    fs::create_dir(room.path("folder")).unwrap();
    let before = room.names();
    let run = |target: &str, log: &str| {
        let run = room.replay(&format!("--quota 1/s --decisions {target} {log}"));
        assert_eq!(room.names(), before, "{target}");
        run.expect(2)
    };
    for (target, line) in [
        ("folder", "--decisions folder: is not a regular file"),
        ("-", "--decisions -: standard output is for the report; a file of this name is ./-"),
        ("/dev/null", "--decisions /dev/null: is not a regular file"),
        ("none/decided", "--decisions none/decided: no such folder"),
    ] {
        assert_eq!(run(target, "a.log").err, format!("tollgate: {line}\n"));
    }
    assert!(run("a.log", "./a.log").err.ends_with("a.log: is one of the logs to read\n"));
    assert_eq!(fs::read_to_string(room.path("a.log")).unwrap(), log);
    // A run that fails leaves an older file as it was.
    run("old", "a.log bad.gz");
    assert_eq!(fs::read_to_string(room.path("old")).unwrap(), "precious\n");
    // A run that succeeds replaces it.
    room.replay("--quota 1/s --decisions old a.log").expect(0);
    assert_eq!(fs::read_to_string(room.path("old")).unwrap().lines().count(), 1);
    assert_eq!(room.names(), before);
}

#[cfg(unix)]
#[test]
fn decisions_are_a_file_like_any_other() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"])).put("plain", "").put("target", "");
    symlink("target", room.path("link")).unwrap();
    for name in ["decided", "link"] {
        room.replay(&format!("--quota 1/s --decisions {name} a.log")).expect(0);
    }
    let mode = |name: &str| fs::metadata(room.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("decided"), mode("plain"));
    assert!(fs::symlink_metadata(room.path("link")).unwrap().is_symlink());
    assert!(!fs::read_to_string(room.path("target")).unwrap().is_empty());
}

#[cfg(unix)]
#[test]
fn decisions_may_be_read_by_whom_the_old_file_let() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"]));
    let path = room.path("old");
    for mode in [0o600, 0o640, 0o644, 0o666, 0o400] {
        let _ = fs::remove_file(&path);
        room.put("old", "");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        // Only some may give a file away.
        let given = chown(&path, None, Some(4242)).is_ok();
        room.replay("--quota 1/s --decisions old a.log").expect(0);
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.mode() & 0o7777, now.len() > 0), (mode, true), "{mode:o}");
        assert_eq!(now.gid() == 4242, given);
    }
}

#[cfg(unix)]
#[test]
fn decisions_do_not_replace_a_standard_stream() {
    use std::os::unix::fs::symlink;
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"])).put("out", "");
    symlink("out", room.path("link")).unwrap();
    fs::hard_link(room.path("out"), room.path("twin")).unwrap();
    let before = room.names();
    for target in ["out", "link", "twin"] {
        let refused = |stream: &str| format!("tollgate: --decisions {target}: {stream}\n");
        let words = format!("--quota 1/s --decisions {target} a.log");
        let file =
            || fs::OpenOptions::new().read(true).append(true).open(room.path("out")).unwrap();
        let run = Run::from(room.command(&words).stdout(file()).output().unwrap()).expect(2);
        assert_eq!(run.err, refused("is the file of standard output"));
        let run = Run::from(room.command(&words).stdin(file()).output().unwrap()).expect(2);
        assert_eq!(run.err, refused("is the file of standard input"));
        assert_eq!(fs::read_to_string(room.path("out")).unwrap(), "");
        Run::from(room.command(&words).stderr(file()).output().unwrap()).expect(2);
        let told = fs::read_to_string(room.path("out")).unwrap();
        assert_eq!(told, refused("is the file of standard error"));
        assert_eq!(room.names(), before);
        room.put("out", "");
    }
}

/// Under `env`, which undoes what the tests themselves were told to ignore.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_leaves_nothing_behind() {
    use std::{thread::sleep, time::Duration};
    let room = Room::new();
    room.put("old", "precious\n");
    let before = room.names();
    let start = |setting: &str| {
        let mut env = Command::new("env");
        env.args(["--default-signal=INT,TERM,HUP", setting, TOLLGATE, "replay"]);
        env.args(["--quota", "1/s", "--decisions", "old", "-"]).current_dir(room.0.path());
        env.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        env.spawn().unwrap()
    };
    let probe = Command::new("env").args(["--default-signal=INT", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("`env` here knows no signals: not tested");
        return;
    }
    let wait_for_the_file = || {
        for _ in 0..1000 {
            if room.names() != before {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("there is no file to be left behind");
    };
    let kill = |signal: &str, id: u32| {
        let id = id.to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    };
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut child = start("A=1");
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(times(&["10:00:00"]).as_bytes()).unwrap();
        wait_for_the_file();
        kill(signal, child.id());
        let run = Run::from(child.wait_with_output().unwrap()).expect(130);
        assert_eq!((&*run.out, &*run.err), ("", ""));
        assert_eq!(room.names(), before, "{signal}");
        assert_eq!(fs::read_to_string(room.path("old")).unwrap(), "precious\n");
        drop(pipe);
    }
    // As under `nohup`: what is ignored stays so.
    let mut child = start("--ignore-signal=HUP");
    let mut pipe = child.stdin.take().unwrap();
    wait_for_the_file();
    kill("-HUP", child.id());
    pipe.write_all(times(&["10:00:00"]).as_bytes()).unwrap();
    drop(pipe);
    Run::from(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(fs::read_to_string(room.path("old")).unwrap().lines().count(), 1);
    assert_eq!(room.names(), before);
}
