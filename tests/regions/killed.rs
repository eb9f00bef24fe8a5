//! Processes that are killed at any instant: a worker under load, thousands of times.
//!
//! (`tests/killed`, a part of the crate, chooses the instants; here they are random, the
//! code is that of users, and the load is real.)

use crate::{
    damage::Random,
    support::{Scratch, kills, result, seconds, start},
    workers::{gcra, per_hour},
};
use memmap2::MmapRaw;
use nix::{
    sys::{
        prctl::set_pdeathsig,
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, alarm, fork},
};
use std::{
    array,
    collections::VecDeque,
    fs::{self, OpenOptions},
    path::Path,
    slice,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use tollgate::{
    Algorithm, Clock, Gcra, KeyedBuilder, KeyedLimiter, LeaseLimiter, Quota, Region, RegionClock,
    SlidingCounter, SlidingLog,
};

/// Keys that are asked for more than they get, all the time.
const KEYS: usize = 8;
const WORKERS: usize = 3;
/// Slots of the smallest table.
const SLOTS: u64 = 16;
const JOBS: u64 = 3;
const TTL: Duration = Duration::from_millis(30);

type Shared<A> = crate::workers::Shared<A>;

/// What workers did, in memory that outlives them; not through what is tested. An
/// admission is noted after it was made, what is given back before.
struct Books {
    words: MmapRaw,
}

impl Books {
    fn new(path: &Path) -> Self {
        fs::write(path, [0; 8192]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        Self { words: MmapRaw::map_raw(&file).unwrap() }
    }

    fn word(&self, nth: usize) -> &AtomicU64 {
        #[allow(clippy::cast_ptr_alignment)] // pages are aligned to more
        let words = self.words.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: a mapping of so many words, which lives as long as `self`, and is used by
        // atomics alone.
        let words = unsafe { slice::from_raw_parts(words, 1024) };
        &words[nth]
    }

    fn admitted(&self, algorithm: usize, key: usize) -> &AtomicU64 {
        self.word(algorithm * 64 + key)
    }

    fn given_back(&self, algorithm: usize, key: usize) -> &AtomicU64 {
        self.word(algorithm * 64 + 32 + key)
    }

    fn denied(&self, algorithm: usize) -> &AtomicU64 {
        self.word(algorithm * 64 + 31)
    }

    /// How often each worker came round.
    fn rounds(&self, worker: usize) -> &AtomicU64 {
        self.word(512 + worker)
    }
}

/// A limiter under load, and a small table whose slots change hands all the time.
struct Pair<A: Algorithm> {
    quota: Quota,
    busy: Shared<A>,
    churn: Shared<A>,
}

impl<A: Algorithm> Pair<A> {
    fn new(
        region: &Region,
        name: &str,
        of: impl Fn(Quota) -> KeyedBuilder<A>,
        [busy, quick]: [&str; 2],
    ) -> Self {
        let (quota, quick): (Quota, Quota) = (busy.parse().unwrap(), quick.parse().unwrap());
        let churn = format!("{name} churn");
        Self {
            quota,
            busy: of(quota).capacity(100).try_build_in(region, name).unwrap(),
            churn: of(quick).capacity(10).try_build_in(region, &churn).unwrap(),
        }
    }

    fn work(&self, random: &mut Random, books: &Books, nth: usize) {
        let key = usize::try_from(random.next()).unwrap() % KEYS;
        let decision = self.busy.check_hash(key as u64);
        if decision.is_allowed() {
            books.admitted(nth, key).fetch_add(1, Ordering::Relaxed);
            if let Some(charge) = decision.charge().filter(|_| random.next().is_multiple_of(8)) {
                books.given_back(nth, key).fetch_add(1, Ordering::Relaxed);
                let _ = self.busy.hashed(key as u64).refund(charge);
            }
        } else {
            books.denied(nth).fetch_add(1, Ordering::Relaxed);
        }
        for _ in 0..4 {
            let key = self.churn.hashed(random.next() % 300);
            let _ = key.check();
            if random.next().is_multiple_of(16) {
                let _ = key.reset();
            }
        }
    }

    /// Each key's bound, of all that was noted since `begun`.
    fn check_bound(&self, name: &str, nth: usize, books: &Books, begun: Instant) {
        // A burst and what time brought, or as many windows as time can touch.
        let windows = begun.elapsed().as_nanos() / self.quota.period().as_nanos() + 2;
        let (most, mut sum) = (self.quota.units() * u64::try_from(windows).unwrap(), 0);
        for key in 0..KEYS {
            // Read in the order in which they are not too many.
            let admitted = books.admitted(nth, key).load(Ordering::SeqCst);
            let net = admitted.saturating_sub(books.given_back(nth, key).load(Ordering::SeqCst));
            assert!(net <= most, "{name}, key {key}: {net} of {most}");
            sum += net;
        }
        let percent = 100 * sum / (most * KEYS as u64);
        let denied = books.denied(nth).load(Ordering::SeqCst);
        println!("{name}: {sum} admitted, {percent} % of the bound, {denied} denied");
        // However few were admitted in all on a machine that does other things: keys were at
        // their limits again and again.
        assert!(denied >= 10_000, "the bound was not tried");
    }

    /// Every slot is to be had, once nothing is owed any more.
    fn check_slots(&self, name: &str) {
        let before = self.churn.saturated();
        for key in 1_000_000..1_000_000 + SLOTS {
            assert!(self.churn.check_hash(key).is_allowed(), "{name}");
        }
        assert_eq!(self.churn.saturated(), before, "{name}: a slot is lost");
    }
}

struct All {
    gcra: Pair<Gcra>,
    log: Pair<SlidingLog>,
    counter: Pair<SlidingCounter>,
    jobs: LeaseLimiter<RegionClock>,
}

impl All {
    fn new(region: &Region) -> Self {
        Self {
            gcra: Pair::new(region, "gcra", KeyedLimiter::gcra, ["20/100ms", "2000/s burst 2"]),
            log: Pair::new(region, "log", KeyedLimiter::sliding_log, ["20/100ms", "2/1ms"]),
            counter: Pair::new(region, "counter", KeyedLimiter::sliding_counter, ["200/s", "2/s"]),
            jobs: LeaseLimiter::at_most(JOBS, TTL)
                .capacity(100)
                .try_build_in(region, "jobs")
                .unwrap(),
        }
    }

    /// Until it is killed.
    fn work(&self, seed: u64, books: &Books, worker: usize) -> ! {
        let mut random = Random(seed | 1);
        loop {
            self.gcra.work(&mut random, books, 0);
            self.log.work(&mut random, books, 1);
            self.counter.work(&mut random, books, 2);
            if let Ok(lease) = self.jobs.hashed(random.next() % 40).acquire() {
                let _ = random.next().is_multiple_of(3) || lease.renew();
                if random.next().is_multiple_of(4) {
                    let _ = lease.detach();
                }
            }
            books.rounds(worker).fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A child of this process, which does not outlive it.
fn forked(work: impl FnOnce()) -> Pid {
    // SAFETY: this process has no other thread that does anything, and the child ends by a
    // signal.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _ = set_pdeathsig(Signal::SIGKILL);
            alarm::set(60);
            work();
            std::process::abort()
        }
    }
}

/// The process that has workers and kills them.
pub(crate) fn killer(path: &Path) -> String {
    let _ = set_pdeathsig(Signal::SIGKILL);
    alarm::set(u32::try_from(seconds(0).as_secs()).unwrap() + 500);
    let region = Region::open(path).unwrap();
    let all = All::new(&region);
    let books = Books::new(&path.with_extension("books"));
    let begun = Instant::now();
    let mut random = Random(99);
    let mut seed = 0;
    let mut worker = |nth: usize| {
        seed += 1;
        forked(|| match seed % 16 {
            // Some come to the region as strangers do.
            0 => All::new(&Region::open(path).unwrap()).work(seed, &books, nth),
            _ => all.work(seed, &books, nth),
        })
    };
    let mut workers: [Pid; WORKERS] = array::from_fn(&mut worker);
    let (mut killed, mut slowest, mut next) = (0, Duration::ZERO, 0);
    let end = begun + seconds(0);
    // Who is killed takes its time to end where others want the processor, too.
    let mut dying = VecDeque::new();
    let reap = |dying: &mut VecDeque<Pid>, most: usize| {
        while dying.len() > most {
            let ended = waitpid(dying.pop_front(), None).unwrap();
            let died = matches!(ended, WaitStatus::Signaled(_, Signal::SIGKILL, _));
            assert!(died, "a worker ended by itself: {ended:?}");
        }
    };
    while killed < kills(3000) || Instant::now() < end {
        thread::sleep(Duration::from_micros(random.next() % 800));
        let victim = usize::try_from(random.next()).unwrap() % WORKERS;
        kill(workers[victim], Signal::SIGKILL).unwrap();
        dying.push_back(workers[victim]);
        killed += 1;
        workers[victim] = worker(victim);
        reap(&mut dying, 32);
        if !killed.is_multiple_of(4) {
            continue;
        }
        // Nobody waits for the dead: every key answers at once.
        let before = Instant::now();
        for _ in 0..10 {
            next += 1;
            let _ = (all.gcra.churn.check_hash(next % 300), all.log.churn.check_hash(next % 300));
            let _ = (all.counter.churn.check_hash(next % 300), all.gcra.busy.peek_hash(next % 8));
            drop(all.jobs.hashed(next % 40).acquire());
        }
        slowest = slowest.max(before.elapsed());
    }
    for worker in workers {
        kill(worker, Signal::SIGKILL).unwrap();
        dying.push_back(worker);
    }
    reap(&mut dying, 0);
    println!("{killed} killed in {:?}; ten looks took {slowest:?} at most", begun.elapsed());
    // To outwait a dead claim is hundreds of yields: a second beside three busy processes.
    assert!(slowest < Duration::from_secs(60), "{slowest:?}");
    for nth in 0..WORKERS {
        assert!(books.rounds(nth).load(Ordering::SeqCst) > killed / 8, "worker {nth} stood");
    }
    // No loss is allowed for: whoever is killed leaves no key that may have more than its
    // quota. (What was admitted and not noted by the dead only makes the sum smaller.)
    all.gcra.check_bound("gcra", 0, &books, begun);
    all.log.check_bound("log", 1, &books, begun);
    all.counter.check_bound("counter", 2, &books, begun);
    // A slot that was reset rests for two seconds, a counter's for two windows.
    thread::sleep(Duration::from_millis(3500));
    all.gcra.check_slots("gcra");
    all.log.check_slots("log");
    all.counter.check_slots("counter");
    // All leases of the dead are over.
    for key in 0..40 {
        let (jobs, now) = (all.jobs.hashed(key), all.jobs.clock().now());
        assert_eq!(jobs.peek_at(now).remaining(), JOBS);
        let held: Vec<_> = (0..JOBS).map(|_| jobs.acquire_at(now).unwrap()).collect();
        assert!(jobs.acquire_at(now).is_err());
        drop(held);
    }
    format!("{killed}")
}

#[test]
fn killed_at_any_instant() {
    let scratch = Scratch::new();
    let killed: u64 = result(start("killer", &scratch.path(), "")).parse().unwrap();
    assert!(killed >= 2000, "{killed}");
}

/// Between two writes of a quota: the next one is whole.
#[test]
fn killed_while_a_quota_is_set() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let limiter = gcra(&region, "gcra", 10);
    for round in 0..20_u64 {
        limiter.set_quota(per_hour(10)).unwrap();
        let mut child = start("hold", &scratch.path(), "");
        drop(child.stdin.take());
        thread::sleep(Duration::from_millis(30 + 3 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = limiter.peek("k").limit();
        assert!([10, 5, 4].contains(&seen), "{seen}");
    }
    limiter.set_quota(per_hour(2)).unwrap();
    assert_eq!((limiter.quota(), limiter.peek("k").limit()), (per_hour(2), 2));
}
