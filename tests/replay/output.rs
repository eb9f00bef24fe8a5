//! What is printed, and where.

use super::*;

/// Enough denials for a picture.
fn busy(room: &Room) {
    let second = |s: u32| format!("10:{:02}:{:02}", s / 60, s % 60);
    let text: String = (0..600)
        .flat_map(|s| {
            vec![line(&format!("192.0.2.{}", s % 3), &second(s)) + "\n"; (s % 7) as usize]
        })
        .collect();
    room.put("a.log", text);
}

#[test]
fn the_text_has_a_table_the_top_keys_and_a_picture() {
    let room = Room::new();
    busy(&room);
    let run = room.replay("--quota 60/min --burst 5 a.log").expect(0);
    for part in [
        "requests       ",
        "allowed        ",
        "denied         ",
        "skipped        ",
        "out of order   ",
        "first         2026-10-10T10:00:01Z",
        "last          2026-10-10T10:09:59Z",
        "60/min burst 5 (gcra), 3 keys",
        "denied most",
        "192.0.2.1",
        "16 s a column",
    ] {
        assert!(run.out.contains(part), "{part}\n{}", run.out);
    }
    let bar = |c: &char| ('▁'..='█').contains(c);
    let bars = |name: &str| {
        let rows = run.out.lines().filter(|l| l.starts_with(name));
        rows.map(|l| l.chars().filter(bar).count()).max().unwrap()
    };
    // 600 seconds in columns of 16.
    assert_eq!(bars("  allowed  "), 38);
    assert!(bars("  denied   ") > 19);
    assert_eq!(run.err, "");
    assert!(run.out.lines().all(|l| l == l.trim_end()));
}

#[test]
fn colour_is_for_terminals() {
    let room = Room::new();
    busy(&room);
    let words = "--quota 60/min --burst 5 a.log";
    let plain = room.replay(words).expect(0);
    assert!(!plain.out.contains('\u{1b}'));
    let forced = Run::from(room.command(words).env("CLICOLOR_FORCE", "1").output().unwrap());
    assert!(forced.out.contains("\u{1b}[31m"));
    let json = Run::from(
        room.command(&format!("--format json {words}"))
            .env("CLICOLOR_FORCE", "1")
            .output()
            .unwrap(),
    );
    assert!(!json.out.contains('\u{1b}'));
    json.json();
}

/// Under `script`, which gives the command a terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_sees_colour_and_progress() {
    let room = Room::new();
    busy(&room);
    room.put("b.log", times(&vec!["11:00:00"; 20_000]));
    let terminal = |setting: &str, pause: &str| {
        let run = format!(
            "(cat a.log; sleep {pause}; cat b.log) | {setting} '{TOLLGATE}' replay --quota 60/min -"
        );
        let mut script = Command::new("script");
        script.args(["-qec", &run, "/dev/null"]).current_dir(room.0.path());
        script.env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null());
        script.output().ok().filter(|o| o.status.success())
    };
    let Some(quick) = terminal("", "0") else {
        println!("there is no working `script` here: not tested");
        return;
    };
    let text = |output: Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let mut quick = text(quick);
    assert!(quick.contains("\u{1b}[31m"), "{quick:?}");
    // On a busy machine nothing is quick at once.
    for _ in 0..50 {
        if !quick.contains(" read ") {
            break;
        }
        quick = text(terminal("", "0").unwrap());
    }
    assert!(!quick.contains(" read "), "{quick:?}");
    // The pause begins when the shell does, and the command may come later.
    let mut slow = String::new();
    for pause in ["0.8", "3", "10"] {
        slow = text(terminal("", pause).unwrap());
        if slow.contains("MiB read ") {
            break;
        }
    }
    assert!(slow.contains("MiB read "), "{slow:?}");
    let bleak = text(terminal("NO_COLOR=1", "0").unwrap());
    assert!(!bleak.contains("\u{1b}[31m"), "{bleak:?}");
}

#[test]
fn diagnostics_are_not_in_the_result() {
    let room = Room::new();
    room.put("a.log", "nonsense\n");
    let run = room.replay("--quota 1/s --format json a.log");
    assert!(run.err.contains("a.log:1") && !run.out.contains("a.log:1"));
    run.json();
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let room = Room::new();
    busy(&room);
    for format in ["text", "json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let words = format!("--quota 1/s --decisions {format}.out --format {format} a.log");
        let run = Run::from(room.command(&words).stdout(writer).output().unwrap());
        assert_eq!((run.code, &*run.err), (Some(0), ""));
        assert!(room.names().contains(&format!("{format}.out")));

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        room.put("bad.log", "nonsense\n");
        let words = format!("--quota 1/s --format {format} bad.log");
        let run = Run::from(room.command(&words).stderr(writer).output().unwrap());
        assert_eq!(run.code, Some(0));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let room = Room::new();
    busy(&room);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = Run::from(room.command("--quota 1/s a.log").stdout(full).output().unwrap());
    assert_eq!(run.code, Some(2));
    assert!(run.err.starts_with("tollgate: standard output: "), "{}", run.err);
}
