//! Odd logs, odd files, and what newcomers and attackers do with the command.

use super::{
    policies,
    room::{Room, line, number},
    tollgate, words,
};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

const STARTER: &str = "examples/policies/starter.toml";

const SMALL: &str = r#"
[attribute.ip]
kind = "ip"
[[limit]]
name = "l"
key = ["ip"]
quota = "2/min"
"#;

fn ten(client: &str, second: u32) -> String {
    line(client, "-", &format!("31/Mar/2026:10:00:{second:02}"), "1")
}

/// Whatever the log holds, lines are read, skipped and told as without a policy.
#[test]
fn lines_are_read_and_skipped_as_without_a_policy() {
    let mut log = ten("192.0.2.1", 0).into_bytes();
    log.extend_from_slice(b"nonsense\n\n\0\0\0\n");
    log.extend_from_slice(ten("192.0.2.1", 1).as_bytes());
    // As long as a line may be, and longer.
    let path = |length: usize| {
        let path = "x".repeat(length);
        format!("h\0\x1b - a\0b [31/Mar/2026:10:00:02 +0000] \"GET /{path}\0 HTTP/1.1\" 200 1\n")
    };
    log.extend_from_slice(path(65_000).as_bytes());
    log.extend_from_slice(path(70_000).as_bytes());
    log.extend_from_slice(path(3_000_000).as_bytes());
    for broken in [&b"\xff\xfe \xfd"[..], b"h - - [99/Foo/2026:10:00:00 +0000] \"G\" 200 1"] {
        log.extend_from_slice(&[broken, b"\n"].concat());
    }
    log.extend_from_slice(ten("192.0.2.1", 3).trim_end().as_bytes());
    let room = Room::new(SMALL, "");
    fs::write(room.path("a.log"), &log).unwrap();
    let name = room.path("a.log").display().to_string();
    for more in ["", "--sort", "--strict"] {
        let (code, out, err) = room.words(&format!("--format json {more}"));
        let alone = format!("replay --quota 2/min {name} --format json {more}");
        let (alone_code, alone_out, alone_err) = words(&alone);
        assert_eq!((code, &err), (alone_code, &alone_err), "{more}");
        if more == "--strict" {
            assert_eq!((code, &*out), (Some(1), ""), "{err}");
            continue;
        }
        let [report, alone]: [Value; 2] =
            [out, alone_out].map(|out| serde_json::from_str(&out).unwrap());
        assert_eq!(number(&report, "skipped"), 7);
        for name in ["requests", "skipped", "out_of_order", "first", "last"] {
            assert_eq!(report[name], alone[name], "{name}");
        }
        assert!(err.contains("a.log:7: the line is longer than 64 KiB"), "{err}");
        assert!(err.contains("skipped 2 more"), "{err}");
        // A name is no address: it is told of, and safe to print.
        assert_eq!(report["not_understood"]["ip"]["requests"], 1, "{report}");
        assert_eq!(report["not_understood"]["ip"]["first"], "h\\x00\\x1B");
        assert_eq!(number(&report, "missing"), 1);
    }
    let (_, out, _) = room.words("");
    assert!(out.contains("1 value of ip is unknown to the policy, such as h\\x00\\x1B"), "{out}");
    assert!(!out.contains(['\0', '\x1b']), "{out:?}");
}

#[test]
fn logs_may_be_packed_or_piped() {
    let log: String = (0..50).map(|n| ten("192.0.2.1", n)).collect();
    let room = Room::new(SMALL, &log);
    let report = room.report("");
    assert_eq!(number(&report, "denied"), 48);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(log.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    fs::write(room.path("a.log"), &packed).unwrap();
    assert_eq!(room.report(""), report);
    fs::write(room.path("a.log"), &packed[..packed.len() / 2]).unwrap();
    let (code, out, err) = room.words("");
    assert_eq!((code, &*out), (Some(2), ""));
    assert!(err.ends_with("a.log: truncated: the compressed data ends early\n"), "{err}");

    for bytes in [log.as_bytes(), &packed] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["replay", "-", "--format", "json", "--policy"]).arg(room.path("policy.toml"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), report);
    }
}

#[test]
fn files_that_are_none() {
    let room = Room::new(SMALL, &ten("192.0.2.1", 0));
    fs::create_dir(room.path("folder")).unwrap();
    let sized = |name: &str, bytes: u64| {
        fs::File::create(room.path(name)).unwrap().set_len(bytes).unwrap();
    };
    sized("large.csv", (256 << 20) + 1);
    sized("large.toml", (16 << 20) + 1);
    for (options, told) in [
        ("@folder", "folder: is a directory"),
        ("@nowhere", "nowhere: no such file"),
        ("--map @folder", "folder: is a directory"),
        ("--map @large.csv", "large.csv: is larger than 256 MiB: no table"),
    ] {
        let (code, out, err) = room.words(options);
        assert_eq!((code, &*out), (Some(2), ""));
        assert!(err.ends_with(&format!("{told}\n")) && err.lines().count() == 1, "{err}");
    }
    for (policy, told) in [
        ("folder", "folder: is a directory"),
        ("nowhere", "nowhere: no such file"),
        ("large.toml", "large.toml: is larger than 16 MiB: no policy"),
    ] {
        let policy = room.path(policy).display().to_string();
        for command in [format!("check {policy}"), format!("explain --path / {policy}"), {
            format!("replay {} --policy {policy}", room.path("a.log").display())
        }] {
            let (code, out, err) = words(&command);
            assert_eq!((code, &*out), (Some(2), ""), "{command}");
            assert!(err.ends_with(&format!("{told}\n")) && err.lines().count() == 1, "{err}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let room = Room::new(SMALL, &ten("192.0.2.1", 0).repeat(5));
    let [policy, log] = ["policy.toml", "a.log"].map(|name| room.path(name).display().to_string());
    for command in [
        format!("check {policy}"),
        format!("explain {policy} --path /"),
        format!("replay --policy {policy} {log}"),
        format!("replay --policy {policy} {log} --format json"),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut run = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let output = run.args(command.split(' ')).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(output.stderr.is_empty(), "{command}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    for command in [format!("check {STARTER}"), format!("explain {STARTER} --path /")] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        run.args(command.split(' ')).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = run.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(output.stderr.starts_with(b"tollgate: standard output: "), "{command}");
    }
}

#[test]
fn decades_are_replayed_in_parts() {
    let at = |year: u32| line("192.0.2.1", "-", &format!("01/May/{year}:00:00:00"), "1");
    let room = Room::new(SMALL, &(at(2000) + &at(2016)));
    assert_eq!(number(&room.report(""), "allowed"), 2);
    for (log, options) in [(at(1999) + &at(2026), ""), (at(2026) + &at(1999), "--sort")] {
        room.put("a.log", &log);
        let (code, out, err) = room.words(options);
        assert_eq!((code, &*out), (Some(2), ""));
        assert_eq!(
            err,
            "tollgate: the log goes on for more than 17 years, from 1999-05-01T00:00:00Z to \
             2026-05-01T00:00:00Z; replay it in parts\n"
        );
    }
}

const TIERS: &str = r#"
[attribute.ip]
kind = "ip"
[attribute.user]
[attribute.tier]
values = ["FREE", "PRO"]
[[limit]]
name = "tiers"
key = ["ip"]
quota = { by = "tier", FREE = "1/min", PRO = "3/min" }
missing = "skip"
[[limit]]
name = "users"
when = { user = true }
key = ["user"]
quota = "2/min"
"#;

#[test]
fn tables_go_by_what_is_told_and_by_fields() {
    let log = ten("192.0.2.1", 0).repeat(5) + &ten("192.0.2.2", 0).repeat(5);
    let room = Room::new(TIERS, &log);
    room.put("client.csv", "client , tier\r\n 192.0.2.1 , PRO \r\n\"192.0.2.2\",\"FREE\"\r\n");
    room.put("ip.csv", "ip,tier\n192.0.2.1,PRO\n192.0.2.2,FREE\n");
    room.put(
        "who.csv",
        "client,ip,tier\n192.0.2.1,198.51.100.1,PRO\n192.0.2.2,198.51.100.2,FREE\n",
    );
    room.put("user.csv", "ip,user\n192.0.2.1,ann\n");
    room.put("gold.csv", "ip,tier\n192.0.2.1,GOLD\n");
    for table in ["client", "ip", "who"] {
        let report = room.report(&format!("--map @{table}.csv"));
        // Three and one.
        assert_eq!(number(&report["limits"][0], "allowed"), 4, "{table}");
        let ip = if table == "who" { "198.51.100.2" } else { "192.0.2.2" };
        assert_eq!(report["limits"][0]["top"][0]["key"], format!("ip = {ip}"));
    }
    let report = room.report("--map @ip.csv --map @user.csv");
    assert_eq!(number(&report["limits"][1], "evaluated"), 5);
    // No tier of that name: it is told, and as good as missing.
    let report = room.report("--map @gold.csv");
    assert_eq!(
        report["not_understood"],
        serde_json::json!({ "tier": { "requests": 5, "first": "GOLD" } })
    );
    assert_eq!(report["limits"][0]["not_evaluated"], "requests lack `tier`");
    assert_eq!(report["limits"][1]["not_evaluated"], "requests lack `user`, on which it depends");
    let (_, out, _) = room.words("--map @gold.csv");
    assert!(out.contains("5 values of tier are unknown to the policy, such as GOLD"), "{out}");
    for (options, told) in [
        ("--map @ip.csv --map @client.csv", "client.csv: `tier` is told twice"),
        ("--field ip=client --map @who.csv", "who.csv: `ip` is told twice"),
    ] {
        let (code, _, err) = room.words(options);
        assert_eq!(code, Some(2));
        assert!(
            err.starts_with("tollgate: --map ") && err.ends_with(&format!("{told}\n")),
            "{err}"
        );
    }
}

#[test]
fn what_is_explained_names_values_that_are_none() {
    let room = Room::new(TIERS, "");
    let policy = room.path("policy.toml").display().to_string();
    let (code, out, err) = words(&format!(
        "explain {policy} --path / --attr tier=GOLD --attr ip=nonsense --attr user=ann"
    ));
    assert_eq!((code, &*err), (Some(0), ""));
    assert_eq!(
        out,
        "\
GET /

missing: ip
  nonsense is no value of it

missing: tier
  GOLD is no value of it

applies: users (sliding-log)
  key    user = ann
  quota  2/min
  costs  1 of requests

does not apply: tiers (sliding-log)
  the request lacks `ip`: it is skipped
"
    );
    for option in ["--attr", "--cost"] {
        let name = if option == "--attr" { "ip" } else { "bytes" };
        let policy = "examples/policies/001-file-library.toml";
        let command = format!("explain {policy} --path / {option} {name}=1 {option} {name}=2");
        let told = format!("tollgate: {option}: `{name}` is told twice\n");
        assert_eq!(words(&command), (Some(2), String::new(), told));
    }
}

#[test]
fn a_newcomer_replays_the_starter() {
    let replay = |more: &str| words(&format!("replay tests/data/nginx.log {more}"));
    let (code, out, err) = replay("");
    assert_eq!((code, &*out), (Some(2), ""));
    assert!(err.contains("<--quota <QUOTA>|--policy <POLICY>>"), "{err}");
    let (code, out, err) = replay(&format!("--policy {STARTER}"));
    assert_eq!(code, Some(0));
    assert_eq!(
        err,
        "tollgate: nothing tells the policy `user`: --field user=FIELD, --set user=VALUE or --map \
         FILE does\n"
    );
    for part in [
        "  requests was not evaluated: requests lack `user`, on which it depends\n",
        "  login was not evaluated: no request came to it\n",
        "  daily was not evaluated: requests lack `user`\n",
        "Limit anonymous: 74 keys\n",
        "  ip = 127.0.4.1       326     306  93.9 %\n",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    // Following the advice, nobody is anonymous.
    let (code, out, err) = replay(&format!("--policy {STARTER} --set user=everybody"));
    assert_eq!((code, &*err), (Some(0), ""));
    assert!(out.contains("user = everybody"), "{out}");
}

#[test]
fn help_names_every_option() {
    for (command, options) in [
        ("check", "<POLICY> exit codes: 0 1 2"),
        ("explain", "<POLICY> --method --path --host --attr --cost exit codes: 0 2"),
        (
            "replay",
            "<LOG>... --policy --set --field --map --quota --burst --algorithm --key --ipv6-prefix \
             --capacity --sort --format --decisions --plot --speed --top --strict exit codes: 0 1 2",
        ),
    ] {
        let (code, help, err) = words(&format!("{command} --help"));
        assert_eq!((code, &*err), (Some(0), ""));
        let help = help.to_lowercase();
        for option in options.to_lowercase().split_whitespace() {
            assert!(help.contains(option), "{command}: {option}");
        }
    }
}

/// What the README shows of the command is what it prints.
#[test]
fn the_readme_shows_what_is_printed() {
    const RUN: &str = "$ cargo run --release --features cli -- ";
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap().replace("\r\n", "\n");
    let mut shown = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for run in block.split(RUN).skip(1) {
            let (command, wanted) = run.split_once('\n').unwrap();
            // Draws a picture, which a test of its own compares.
            if command.contains("--plot") {
                continue;
            }
            let (code, out, err) = words(command);
            assert_eq!((code, &*err), (Some(0), ""), "{command}");
            assert_eq!(wanted.trim_end(), out.trim_end(), "{command}");
            shown += 1;
        }
    }
    assert!(shown >= 4, "{shown}");
}

/// Each policy over the logs of the others: whatever they lack, every request is decided.
#[test]
fn any_policy_takes_any_log() {
    let logs = fs::read_dir("tests/conformance/logs").unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<_> = logs.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    assert_eq!(logs.len(), 5);
    for policy in policies() {
        let mut words = vec!["replay".as_ref(), "--policy".as_ref(), policy.as_os_str()];
        words.extend(["--format", "json"].map(std::ffi::OsStr::new));
        words.extend(logs.iter().map(|log| log.as_os_str()));
        let (code, out, err) = tollgate(words);
        assert_eq!(code, Some(0), "{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        let sum = number(&report, "allowed") + number(&report, "denied");
        assert_eq!((sum, number(&report, "skipped")), (number(&report, "requests"), 0));
        for limit in report["limits"].as_array().unwrap() {
            assert_eq!(number(limit, "evaluated") == 0, limit["not_evaluated"].is_string());
        }
    }
}
