//! What decisions cost when threads share a limiter: `cargo bench --bench contention`.
//!
//! Not a matter for criterion: its `iter_custom` gives a number of decisions, and
//! timing it would time the slowest of the threads that share them. Here all
//! decide for a while, and are counted.
//!
//! Threads are started and wait at a barrier; then they decide until they are told
//! to stop, and each counts its decisions and takes its own time. "ns" is what
//! one thread waits for one decision, "M/s" how many millions all of them get in a
//! second. A figure is the median of the rounds; a round goes through all rows
//! and numbers of threads, so that a disturbance does not fall on one figure
//! alone. Threads are not pinned.

mod support;

use std::{
    hint::black_box,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use support::{
    arguments::{Arguments, Effort},
    keys::{Key, shuffled},
};
use tollgate::{KeyedLimiter, Limiter, Nanos, Quota};

/// Decisions between two looks at whether to stop.
const BATCH: u32 = 512;

/// When all happens, where no clock is read.
const NOW: Nanos = Nanos::from_secs(1);

/// 10¹⁸ units at once: nothing is ever denied, also while time stands still.
fn endless() -> Quota {
    Quota::n_per_second(1_000_000_000_000_000_000).unwrap()
}

/// Decides on one batch of keys.
type Batch = Box<dyn Fn(&[Key]) + Sync>;

/// A limiter, and keys to ask it for, a batch at a time.
struct Scenario {
    name: String,
    keys: Vec<Key>,
    decide: Batch,
}

impl Scenario {
    fn lone() -> Self {
        let limiter = Limiter::gcra(endless()).try_build().unwrap();
        let decide = Box::new(move |keys: &[Key]| {
            for _ in keys {
                let _ = black_box(limiter.check_at(NOW));
            }
        });
        Self { name: "one limiter".to_owned(), keys: batches(1), decide }
    }

    fn known(name: &str, keys: u32, quota: Quota) -> Self {
        let (limiter, keys) = (limiter(keys, quota), batches(keys));
        let decide = Box::new(move |keys: &[Key]| {
            for key in keys {
                let _ = black_box(limiter.check_at(black_box(key), NOW));
            }
        });
        Self { name: name.to_owned(), keys, decide }
    }

    fn known_with_clock(name: &str, keys: u32, quota: Quota) -> Self {
        let (limiter, keys) = (limiter(keys, quota), batches(keys));
        let decide = Box::new(move |keys: &[Key]| {
            for key in keys {
                let _ = black_box(limiter.check(black_box(key)));
            }
        });
        Self { name: name.to_owned(), keys, decide }
    }

    /// How many decisions a second `threads` threads make together.
    fn round(&self, threads: u32, length: Duration) -> f64 {
        let (barrier, stop) = (Barrier::new(as_usize(threads) + 1), AtomicBool::new(false));
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|nth| {
                    let first = self.keys.len() / as_usize(threads) * as_usize(nth);
                    let (barrier, stop) = (&barrier, &stop);
                    scope.spawn(move || self.work(first, barrier, stop))
                })
                .collect();
            barrier.wait();
            thread::sleep(length);
            stop.store(true, Ordering::Relaxed);
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        })
    }

    /// How many decisions a second one thread makes, beginning with the `first` key.
    fn work(&self, first: usize, barrier: &Barrier, stop: &AtomicBool) -> f64 {
        let batch = as_usize(BATCH);
        let all = self.keys.chunks_exact(batch).cycle();
        let mut next = self.keys[first..].chunks_exact(batch).chain(all);
        let mut done = 0_u32;
        barrier.wait();
        let begun = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            (self.decide)(next.next().unwrap());
            done += 1;
        }
        f64::from(done) * f64::from(BATCH) / begun.elapsed().as_secs_f64()
    }
}

fn as_usize(n: u32) -> usize {
    usize::try_from(n).unwrap()
}

/// Each of `n` keys in shuffled order, over again until there is a batch of them.
fn batches(n: u32) -> Vec<Key> {
    shuffled(n).repeat(as_usize(BATCH.div_ceil(n)))
}

/// A limiter that knows `n` keys.
fn limiter(n: u32, quota: Quota) -> KeyedLimiter {
    let limiter = KeyedLimiter::gcra(quota).capacity(as_usize(n.max(1_000))).try_build().unwrap();
    for key in shuffled(n) {
        assert!(limiter.check_at(&key, NOW).is_allowed());
    }
    limiter
}

/// 1, 2, 4, ... up to as many as there are cores, and at least 2.
fn numbers_of_threads() -> Vec<u32> {
    let cores = thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap());
    let most = cores.max(2);
    let mut numbers: Vec<_> = (0..16).map(|n| 1 << n).take_while(|&n| n < most).collect();
    numbers.push(most);
    numbers
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn main() {
    let arguments = Arguments::read();
    let (rounds, length, many) = match arguments.effort {
        Effort::Test => (1, Duration::from_millis(1), 1_000),
        Effort::Quick => (5, Duration::from_millis(50), 1_000_000),
        Effort::Full => (7, Duration::from_millis(200), 1_000_000),
    };
    let once = Quota::n_per_day(1).unwrap();
    let mut scenarios = vec![
        Scenario::lone(),
        Scenario::known("one key", 1, endless()),
        Scenario::known("one key, denied", 1, once),
        Scenario::known("16 keys", 16, endless()),
        Scenario::known(&format!("{many} keys"), many, endless()),
        Scenario::known_with_clock("one key, clock read", 1, endless()),
        Scenario::known_with_clock("16 keys, clock read", 16, endless()),
        Scenario::known_with_clock(&format!("{many} keys, clock read"), many, endless()),
    ];
    scenarios.retain(|scenario| arguments.wants(&scenario.name));
    let threads = numbers_of_threads();

    // By scenario, then by number of threads.
    let mut figures = vec![vec![Vec::new(); threads.len()]; scenarios.len()];
    for _ in 0..rounds {
        for (scenario, row) in scenarios.iter().zip(&mut figures) {
            for (&threads, cell) in threads.iter().zip(row) {
                cell.push(scenario.round(threads, length));
            }
        }
    }

    let heads: Vec<_> = threads.iter().map(|n| format!("{n:>8}{:8}", "")).collect();
    println!("{:<26}{}", "threads", heads.concat().trim_end());
    println!("{:<26}{}", "", format!("{:>8}{:>8}", "ns", "M/s").repeat(threads.len()));
    for (scenario, row) in scenarios.iter().zip(&figures) {
        print!("{:<26}", scenario.name);
        for (&threads, cell) in threads.iter().zip(row) {
            let per_second = median(cell);
            print!("{:>8.1}{:>8.1}", 1e9 * f64::from(threads) / per_second, per_second / 1e6);
        }
        println!();
    }
}
