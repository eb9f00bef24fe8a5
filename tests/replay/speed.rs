//! `--speed` tells how fast a run was, and changes nothing else.

use super::*;

/// What stands in the line on standard error: decisions, seconds, decisions a second.
fn told(run: &Run) -> (u64, f64, u64) {
    let line = run.err.strip_prefix("tollgate: ").and_then(|line| line.strip_suffix('\n'));
    let (decisions, rest) = line.unwrap().split_once(" decisions in ").unwrap();
    let (seconds, rest) = rest.split_once(" s, reading included: ").unwrap();
    let number = |text: &str| text.replace(',', "").parse().unwrap();
    let rate = rest.strip_suffix(" a second").unwrap();
    (number(decisions), seconds.parse().unwrap(), number(rate))
}

#[test]
fn the_report_stays_as_it_is() {
    let room = Room::new();
    room.put("a.log", times(&["10:00:00"; 500]));
    for words in ["a.log", "--sort a.log", "--format json a.log", "--decisions decided a.log"] {
        let words = format!("--quota 1/s {words}");
        let quiet = room.replay(&words).expect(0);
        let run = room.replay(&format!("--speed {words}")).expect(0);
        assert_eq!((&*quiet.err, quiet.out), ("", run.out.clone()), "{words}");
        assert_eq!(told(&run).0, 500);
    }
    let run = room.replay("--speed --quota 1/s --format json a.log");
    assert_eq!(run.json()["requests"], 500);
}

/// The log keeps a run waiting that has begun: that much at least must be counted.
#[test]
fn the_time_is_that_of_reading_and_deciding() {
    use std::{
        thread::sleep,
        time::{Duration, Instant},
    };
    let room = Room::new();
    let begun = Instant::now();
    let mut command = room.command("--speed --quota 1/s --decisions decided -");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    while room.names().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not begin");
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(500));
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(times(&["10:00:00"; 100]).as_bytes()).unwrap();
    drop(pipe);
    let run = Run::from(child.wait_with_output().unwrap()).expect(0);
    let whole = begun.elapsed().as_secs_f64();
    let (decisions, seconds, rate) = told(&run);
    assert_eq!(decisions, 100);
    // Between its file and its start it may have been held up.
    assert!((0.25..=whole + 0.001).contains(&seconds), "{}", run.err);
    let exact = 100.0 / seconds;
    assert!((f64::from(u32::try_from(rate).unwrap()) - exact).abs() < exact / 100.0 + 1.0);
}

#[test]
fn lines_that_decide_nothing_are_no_decisions() {
    let room = Room::new();
    room.put("none.log", "").put("one.log", "nonsense\n".to_owned() + &times(&["10:00:00"]));
    let (decisions, _, rate) = told(&room.replay("--speed --quota 1/s none.log"));
    assert_eq!((decisions, rate), (0, 0));
    let run = room.replay("--speed --quota 1/s one.log").expect(0);
    let lines: Vec<_> = run.err.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("tollgate: skipped one.log:1: "));
    assert!(lines[1].starts_with("tollgate: 1 decision in "));
    // A run that fails has no speed.
    let run = room.replay("--speed --strict --quota 1/s one.log").expect(1);
    assert_eq!((&*run.out, run.err.lines().count()), ("", 1));
}
