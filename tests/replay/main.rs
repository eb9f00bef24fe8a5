//! `tollgate replay` as its users meet it: one test for each thing it promises.

#![cfg(not(loom))]

mod answers;
mod failures;
mod inputs;
mod keys;
mod output;
mod plot;
mod speed;

use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const TOLLGATE: &str = env!("CARGO_BIN_EXE_tollgate");

/// A folder with logs, in which the command runs.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// `tollgate replay` and these words.
    fn command(&self, words: &str) -> Command {
        command(self.0.path(), words)
    }

    fn replay_stdin(&self, words: &str, stdin: &[u8]) -> Run {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        let feeder = std::thread::spawn(move || {
            // A run that fails early does not read to the end.
            let _ = pipe.write_all(&stdin);
        });
        let run = Run::from(child.wait_with_output().unwrap());
        feeder.join().unwrap();
        run
    }

    fn replay(&self, words: &str) -> Run {
        self.replay_stdin(words, b"")
    }

    /// The JSON report of a run that must succeed.
    fn report(&self, words: &str) -> Value {
        self.replay(&format!("--format json {words}")).json()
    }

    /// What `--decisions` wrote, a value a line.
    fn decisions(&self, words: &str) -> Vec<Value> {
        self.replay(&format!("--decisions decided {words}")).expect(0);
        let text = fs::read_to_string(self.path("decided")).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn command(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(TOLLGATE);
    command.arg("replay").args(words.split(' ').filter(|word| !word.is_empty()));
    command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

#[derive(Debug, PartialEq, Eq)]
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    fn json(self) -> Value {
        let run = self.expect(0);
        serde_json::from_str(&run.out).expect("exactly one object on standard output")
    }
}

/// A line of `client` at `time` on one day, without an LF.
fn line(client: &str, time: &str) -> String {
    line_of(client, "-", time, "GET / HTTP/1.1")
}

fn line_of(client: &str, user: &str, time: &str, request: &str) -> String {
    format!("{client} - {user} [10/Oct/2026:{time} +0000] \"{request}\" 200 12")
}

/// Lines of one client at these times.
fn times(times: &[&str]) -> String {
    times.iter().map(|time| line("192.0.2.1", time) + "\n").collect()
}

/// Which decisions allowed, in their order: `+` or `-`.
fn signs(decisions: &[Value]) -> String {
    decisions.iter().map(|d| if d["allowed"].as_bool().unwrap() { '+' } else { '-' }).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The committed log of a real nginx.
fn nginx_log() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nginx.log")
}
