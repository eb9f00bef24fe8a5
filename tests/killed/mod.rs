//! Processes that are killed before each single write of each operation.
//!
//! Random kills seldom meet the few instants that matter. Here a child process does one
//! operation on a region and is killed before its first write; the next one before its
//! second; and so on, until one gets to the end. Reading leaves nothing behind, so these
//! are all states that a dead process can leave, whatever the instant. After each death
//! another process attaches, and finds what `check` demands. Then the same by pairs: who
//! meets the remains is killed before each of its own writes in turn.
//!
//! A part of the crate, as the writes are counted in `src/sync.rs`.

mod leases;
mod limiters;
mod making;
#[cfg(feature = "policy")]
mod policies;

use crate::{
    Clock, Nanos, Region,
    sync::{fatal, thread},
};
use nix::{
    sys::{
        signal::{Signal, raise},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, alarm, fork},
};
use std::{
    env,
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Sender, channel},
    },
    time::Duration,
};

/// The instant at which everything here happens.
const NOW: Nanos = Nanos::from_secs(3_000_000);

/// Seconds before or after it.
fn at(secs: i64) -> Nanos {
    Nanos::from_secs(3_000_000_u64.checked_add_signed(secs).unwrap())
}

/// When all that happened is long over: no state is worth anything any more.
fn long_after() -> Nanos {
    at(40 * 86_400)
}

/// A clock that stands.
#[derive(Clone, Copy, Debug)]
struct Stands(Nanos);

impl Clock for Stands {
    fn now(&self) -> Nanos {
        self.0
    }
}

/// A path in a directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let within = Path::new("/dev/shm");
        let within = if within.is_dir() { within.to_owned() } else { env::temp_dir() };
        let folder = within.join(format!("tollgate-killed-{}-{nth}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join("region")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Ends this process if it still exists after so long: whatever waits for ever, the
/// test does not.
struct Patience {
    #[expect(dead_code, reason = "dropped, it calls off the end")]
    done: Sender<()>,
}

impl Patience {
    fn of(name: &'static str, secs: u64) -> Self {
        let (done, over) = channel::<()>();
        thread::spawn(move || {
            let ended = over.recv_timeout(Duration::from_secs(secs));
            if ended == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = writeln!(std::io::stderr(), "{name} hangs");
                process::abort();
            }
        });
        Self { done }
    }
}

fn end(signal: Signal) {
    let _ = raise(signal);
}

/// Does something in a child process that is killed before that write of its, from 0.
/// Whether it was; if not, it came to the end.
fn killed_before(nth: u64, what: impl FnOnce()) -> bool {
    // SAFETY: the child does what a test does, ends by a signal in any case, and waits
    // for no other thread: it decides, and allocates, which the C library allows for.
    let forked = unsafe { fork() }.unwrap();
    let ForkResult::Parent { child } = forked else {
        // What hangs is killed by another signal.
        alarm::set(40);
        fatal::end_before(nth, || end(Signal::SIGKILL));
        let ended = catch_unwind(AssertUnwindSafe(what));
        fatal::end_before(u64::MAX, || ());
        if let Err(panic) = ended {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "in the child: {text}");
            end(Signal::SIGABRT);
        }
        end(Signal::SIGUSR1);
        process::abort();
    };
    match waitpid(child, None).unwrap() {
        WaitStatus::Signaled(_, Signal::SIGKILL, _) => true,
        WaitStatus::Signaled(_, Signal::SIGUSR1, _) => false,
        other => panic!("before write {nth}: {other:?}"),
    }
}

/// One operation on one key, and what is to be seen of it.
struct Scene<'s, L> {
    name: &'s str,
    /// Makes the limiter, or attaches to it.
    build: &'s dyn Fn(&Region) -> L,
    /// Brings about the state from which the operation starts.
    prepare: &'s dyn Fn(&L),
    /// The operation, and its answer.
    act: &'s dyn Fn(&L) -> String,
    /// The key that it is about.
    look: &'s dyn Fn(&L) -> String,
    /// All other keys.
    others: &'s dyn Fn(&L) -> String,
    /// When everything is over: every slot must be to be had.
    refill: &'s dyn Fn(&L),
    /// Whether the operation may end in between, each of its steps counting by itself.
    in_steps: bool,
}

/// A region with one limiter, which can be put back to where it was.
struct Stage {
    scratch: Scratch,
    file: File,
    image: Vec<u8>,
}

impl Stage {
    fn restore(&self) {
        self.file.write_all_at(&self.image, 0).unwrap();
    }
}

impl<L> Scene<'_, L> {
    fn set(&self) -> (Stage, L) {
        let scratch = Scratch::new();
        let limiter = (self.build)(&Region::open(scratch.path()).unwrap());
        (self.prepare)(&limiter);
        let image = fs::read(scratch.path()).unwrap();
        let file = OpenOptions::new().write(true).open(scratch.path()).unwrap();
        (Stage { scratch, file, image }, limiter)
    }

    /// Kills the operation before each of its writes, then whoever comes next before each
    /// of its own. How many deaths there were, and before how many writes the first died.
    fn play(&self) -> (u64, u64) {
        let name = self.name;
        let (stage, limiter) = self.set();
        let others = (self.others)(&limiter);
        // What the key may look like, and what it is told then: before the operation,
        // after it, after another one.
        let mut chain = Vec::new();
        for _ in 0..3 {
            let seen = (self.look)(&limiter);
            chain.push((seen, (self.act)(&limiter)));
        }
        assert_eq!((self.others)(&limiter), others, "{name}: others change by it");
        let look_around = |done: usize, when: &str| {
            let region = Region::open(stage.scratch.path()).unwrap();
            let theirs = (self.build)(&region);
            assert_eq!((self.others)(&theirs), others, "{name}, {when}: others");
            let seen = (self.look)(&theirs);
            let fits: Vec<_> = chain[..=done].iter().filter(|(like, _)| *like == seen).collect();
            assert!(self.in_steps || !fits.is_empty(), "{name}, {when}: {seen} of {chain:?}");
            let told = (self.act)(&theirs);
            let fits = fits.iter().any(|(_, answer)| *answer == told);
            assert!(self.in_steps || fits, "{name}, {when}: {told} for {seen} of {chain:?}");
            assert_eq!((self.others)(&theirs), others, "{name}, {when}: others afterwards");
            // A process that was there before sees the same.
            assert_eq!((self.look)(&limiter), (self.look)(&theirs), "{name}, {when}");
            (self.refill)(&limiter);
        };
        // In a process of its own: if it hangs, the test does not.
        let check = |done: usize, when: &str| {
            assert!(!killed_before(u64::MAX, || look_around(done, when)));
        };
        let (mut deaths, mut first) = (0, 0);
        loop {
            stage.restore();
            if !killed_before(first, || drop((self.act)(&limiter))) {
                break;
            }
            check(1, &format!("killed before write {first}"));
            let mut second = 0;
            loop {
                stage.restore();
                assert!(killed_before(first, || drop((self.act)(&limiter))));
                deaths += 1;
                if !killed_before(second, || drop((self.act)(&limiter))) {
                    break;
                }
                check(2, &format!("killed before write {first}, the next before {second}"));
                (deaths, second) = (deaths + 1, second + 1);
            }
            (deaths, first) = (deaths + 1, first + 1);
        }
        println!("{name}: {first} writes, {deaths} killed");
        (deaths, first)
    }
}

/// What people see, for comparisons.
fn text(what: &impl Debug) -> String {
    format!("{what:?}")
}

/// Kills work, and a write that comes is a write that is counted.
#[test]
fn a_child_is_killed_before_the_write_that_was_named() {
    let scratch = Scratch::new();
    fs::write(scratch.path(), [0; 4096]).unwrap();
    let region = Region::open(scratch.path()).unwrap();
    let before = region.bytes();
    assert!(killed_before(0, crate::sync::about_to_write));
    assert!(!killed_before(1, crate::sync::about_to_write));
    assert!(!killed_before(0, || assert!(region.clock().now() > Nanos::ZERO)));
    assert_eq!(region.bytes(), before);
}
