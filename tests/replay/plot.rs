//! The picture that `--plot` draws, and where it goes.

use super::*;
use roxmltree::{Document, Node};

const ALLOWED: &str = "#4393C3";
const DENIED: &str = "#7A1F00";

impl Room {
    /// The picture of a run that must succeed.
    fn plot(&self, words: &str) -> String {
        self.replay(&format!("--plot drawn.svg {words}")).expect(0);
        fs::read_to_string(self.path("drawn.svg")).unwrap()
    }
}

fn number(node: &Node<'_, '_>, name: &str) -> i64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// All texts, which must be within the picture, as their anchors tell.
fn texts(svg: &Document<'_>) -> Vec<String> {
    let root = svg.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    assert_eq!(root.tag_name().namespace(), Some("http://www.w3.org/2000/svg"));
    let [width, height] = ["width", "height"].map(|name| number(&root, name));
    let of = |node: Node<'_, '_>| {
        assert!((0..=width).contains(&number(&node, "x")), "{node:?}");
        assert!((0..=height).contains(&number(&node, "y")), "{node:?}");
        node.text().unwrap().trim().to_owned()
    };
    root.descendants().filter(|node| node.has_tag_name("text")).map(of).collect()
}

/// x, y, width and height of the rectangles of one colour, without the legend's.
fn shapes(svg: &Document<'_>, colour: &str) -> Vec<[i64; 4]> {
    let mut all = svg
        .descendants()
        .filter(|node| node.has_tag_name("rect") && node.attribute("fill") == Some(colour))
        .map(|node| ["x", "y", "width", "height"].map(|name| number(&node, name)));
    let [_, _, width, height] = all.next().unwrap();
    assert_eq!((width, height), (14, 14), "the legend is drawn first");
    all.collect()
}

fn has(texts: &[String], text: &str) {
    assert!(texts.iter().any(|found| found == text), "{text}: {texts:?}");
}

#[test]
fn every_column_is_as_high_as_its_count() {
    let room = Room::new();
    // 3 and 1 allowed, 0 and 2 denied, and a second without requests between them.
    room.put("a.log", times(&["10:00:00", "10:00:00", "10:00:02", "10:00:02", "10:00:02"]));
    let text = room.plot("--quota 3/h a.log");
    let svg = Document::parse(&text).unwrap();
    let (allowed, denied) = (shapes(&svg, ALLOWED), shapes(&svg, DENIED));
    assert_eq!((allowed.len(), denied.len()), (2, 1));
    let [[x0, _, width, two], [x2, y, _, one]] = allowed[..] else { unreachable!() };
    let [x, upper, _, height] = denied[0];
    // Denied stands on allowed, and two are twice as high as one, but for rounding.
    assert_eq!((x, upper + height), (x2, y));
    assert!((x2 - x0 - 2 * width).abs() <= 2 && (two - 2 * one).abs() <= 1);
    assert!((height - two).abs() <= 1 && one > 50);

    let texts = texts(&svg);
    for text in [
        "Limit default: 3/h (gcra)",
        "allowed: 3 (60.0 %)",
        "denied: 2 (40.0 %)",
        "UTC, 2026-10-10",
        "Requests per second",
        "10:00:00",
        "3",
    ] {
        has(&texts, text);
    }
    assert!(!text.contains("NaN") && !text.contains("inf"));
}

#[test]
fn something_never_looks_like_nothing() {
    let room = Room::new();
    room.put("a.log", times(&vec!["10:00:00"; 5000]));
    for (quota, one, many) in [("4999/h", DENIED, ALLOWED), ("1/h", ALLOWED, DENIED)] {
        let text = room.plot(&format!("--quota {quota} a.log"));
        let svg = Document::parse(&text).unwrap();
        let height = |colour| shapes(&svg, colour).iter().map(|[.., height]| *height).sum::<i64>();
        assert!(height(one) == 1 && height(many) > 100, "{quota}: {text}");
    }
}

#[test]
fn any_log_can_be_drawn() {
    let room = Room::new();
    let at = |date: &str| format!("192.0.2.1 - - [{date} +0000] \"GET / HTTP/1.1\" 200 1\n");
    let late = at("21/Jul/2554:23:34:33");
    let years: String = (1990..2026).map(|year| at(&format!("01/May/{year}:00:00:00"))).collect();
    for (log, columns, below) in [
        (String::new(), 0, "no requests"),
        ("nonsense\n".to_owned(), 0, "no requests"),
        (times(&["10:00:00"]), 1, "UTC, 2026-10-10"),
        (times(&vec!["10:00:00"; 3000]), 1, "UTC, 2026-10-10"),
        (at("01/Jan/1970:00:00:00"), 1, "UTC, 1970-01-01"),
        (late.clone(), 1, "UTC, 2554-07-21"),
        (at("01/Jan/1970:00:00:00") + &late, 2, "UTC, 1970-01-01 to 2554-07-21"),
        // Each year in a column of its own.
        (years, 36, "UTC, 1990-05-01 to 2025-05-01"),
        // Time does not step back: both at the later one.
        (at("02/May/2026:00:00:00") + &at("01/May/2026:00:00:00"), 1, "UTC, 2026-05-02"),
    ] {
        let drawn = room.put("a.log", &log).plot("--quota 1000000/s a.log");
        let svg = Document::parse(&drawn).unwrap();
        has(&texts(&svg), below);
        assert_eq!((shapes(&svg, ALLOWED).len(), shapes(&svg, DENIED).len()), (columns, 0));
        let used =
            |[x, y, width, height]: &[i64; 4]| *x >= 0 && *y >= 0 && *width > 0 && *height > 0;
        assert!(shapes(&svg, ALLOWED).iter().all(used), "{below}");
    }
}

/// As the README has it.
#[test]
fn the_example_is_up_to_date() {
    let room = Room::new();
    fs::copy(nginx_log(), room.path("nginx.log")).unwrap();
    let drawn = room.plot("--quota 60/min --burst 20 nginx.log");
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = fs::read_to_string(top.join("examples/replay.svg")).unwrap();
    assert!(drawn == committed.replace("\r\n", "\n"), "draw examples/replay.svg anew");
    let svg = Document::parse(&drawn).unwrap();
    // Every request counts once: the report has the same sums.
    has(&texts(&svg), "allowed: 1,860 (67.4 %)");
    has(&texts(&svg), "denied: 900 (32.6 %)");
    let readme = fs::read_to_string(top.join("README.md")).unwrap();
    assert!(readme.contains("(examples/replay.svg)"));
    assert!(
        readme
            .contains("--quota 60/min --burst 20 --plot examples/replay.svg tests/data/nginx.log")
    );
}

#[test]
fn a_plot_goes_nowhere_but_to_a_file_of_its_own() {
    let room = Room::new();
    let log = times(&["10:00:00"]);
    room.put("a.log", &log).put("old", "precious\n").put("bad.gz", "");
    fs::create_dir(room.path("folder")).unwrap();
    let before = room.names();
    let run = |words: &str, log: &str| {
        let run = room.replay(&format!("--quota 1/s --plot {words} {log}"));
        assert_eq!(room.names(), before, "{words}");
        let run = run.expect(2);
        assert_eq!(run.out, "", "{words}");
        run.err
    };
    for (words, line) in [
        ("folder", "--plot folder: is not a regular file"),
        ("-", "--plot -: standard output is for the report; a file of this name is ./-"),
        ("/dev/null", "--plot /dev/null: is not a regular file"),
        ("none/drawn", "--plot none/drawn: no such folder"),
        ("./a.log", "--plot ./a.log: is one of the logs to read"),
        ("new --decisions new", "--plot new: is the file of --decisions"),
        ("./new --decisions folder/../new", "--plot ./new: is the file of --decisions"),
        ("./old --decisions old", "--plot ./old: is the file of --decisions"),
        // The first file is not left behind when the second cannot be made.
        ("none/drawn --decisions decided", "--plot none/drawn: no such folder"),
    ] {
        assert_eq!(run(words, "a.log"), format!("tollgate: {line}\n"));
    }
    assert_eq!(fs::read_to_string(room.path("a.log")).unwrap(), log);
    // Told before the first line is read: this log would fail a run of its own.
    assert_eq!(run("folder", "bad.gz"), "tollgate: --plot folder: is not a regular file\n");
    // A run that fails leaves older files as they were.
    run("old --decisions decided", "a.log bad.gz");
    assert_eq!(fs::read_to_string(room.path("old")).unwrap(), "precious\n");
    // A run that succeeds replaces them.
    room.replay("--quota 1/s --plot old --decisions decided a.log").expect(0);
    assert!(fs::read_to_string(room.path("old")).unwrap().starts_with("<svg "));
    assert_eq!(fs::read_to_string(room.path("decided")).unwrap().lines().count(), 1);
    assert_eq!(room.names().len(), before.len() + 1);
}

#[cfg(unix)]
#[test]
fn a_plot_is_a_file_like_any_other() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"])).put("plain", "").put("target", "");
    symlink("target", room.path("link")).unwrap();
    let words = |name: &str| format!("--quota 1/s --plot {name} a.log");
    for name in ["drawn", "link"] {
        room.replay(&words(name)).expect(0);
    }
    let mode = |name: &str| fs::metadata(room.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("drawn"), mode("plain"));
    assert!(fs::symlink_metadata(room.path("link")).unwrap().is_symlink());
    assert!(fs::read_to_string(room.path("target")).unwrap().starts_with("<svg "));
    // Standard output is such a file here, and would be lost.
    let out = fs::File::create(room.path("out")).unwrap();
    let run = Run::from(room.command(&words("out")).stdout(out).output().unwrap()).expect(2);
    assert_eq!(run.err, "tollgate: --plot out: is the file of standard output\n");
}

/// Under `env`, which undoes what the tests themselves were told to ignore.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_removes_every_file_that_was_begun() {
    use std::{thread::sleep, time::Duration};
    let room = Room::new();
    let mut env = Command::new("env");
    env.args(["--default-signal=INT,HUP,TERM", TOLLGATE, "replay", "--quota", "1/s", "-"]);
    env.args(["--decisions", "decided", "--plot", "drawn"]).current_dir(room.0.path());
    env.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let probe = Command::new("env").args(["--default-signal=INT,HUP,TERM", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("`env` here knows no signals: not tested");
        return;
    }
    let mut child = env.spawn().unwrap();
    let pipe = child.stdin.take().unwrap();
    let begun = (0..1000).any(|_| {
        sleep(Duration::from_millis(10));
        room.names().len() == 2
    });
    assert!(begun, "{:?}", room.names());
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    Run::from(child.wait_with_output().unwrap()).expect(130);
    assert!(room.names().is_empty(), "{:?}", room.names());
    drop(pipe);
}
