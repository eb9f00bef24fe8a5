//! Files that go away, and processes that do something.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A path in a directory of its own, removed at the end.
pub(crate) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let within = Path::new("/dev/shm");
        let within = if within.is_dir() { within.to_owned() } else { env::temp_dir() };
        let folder = within.join(format!("tollgate-test-{}-{nth}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("region")
    }

    pub(crate) fn other(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Another process that plays `part` on the region of that path.
pub(crate) fn start(part: &str, path: &Path, argument: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "workers::worker", "--nocapture", "--test-threads=1"])
        .env("TOLLGATE_PART", part)
        .env("TOLLGATE_PATH", path)
        .env("TOLLGATE_ARGUMENT", argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What it printed after `result `, once it has ended well.
pub(crate) fn result(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find_map(|line| line.split_once("result ").map(|(_, rest)| rest));
    line.unwrap_or_else(|| panic!("no result: {text}")).to_owned()
}

fn told(variable: &str) -> Option<u64> {
    env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// How long tests that kill go on.
pub(crate) fn seconds(usually: u64) -> Duration {
    Duration::from_secs(told("TOLLGATE_REGION_SECONDS").unwrap_or(usually))
}

/// How many processes are killed at least.
pub(crate) fn kills(usually: u64) -> u64 {
    told("TOLLGATE_REGION_KILLS").unwrap_or(usually)
}
