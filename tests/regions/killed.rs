//! Processes that are killed at any instant.

use crate::{
    damage::Random,
    support::{Scratch, seconds, start},
    workers::{gcra, per_hour},
};
use std::{
    thread,
    time::{Duration, Instant},
};
use tollgate::{KeyedLimiter, LeaseLimiter, Region};

/// Units of each key.
const UNITS: u64 = 100;
const KEYS: u64 = 24;

struct All {
    gcra: crate::workers::Shared<tollgate::Gcra>,
    log: crate::workers::Shared<tollgate::SlidingLog>,
    /// What was admitted, a key each, in a limit that nobody reaches.
    books: crate::workers::Shared<tollgate::SlidingLog>,
    churn: crate::workers::Shared<tollgate::Gcra>,
    jobs: LeaseLimiter<tollgate::RegionClock>,
}

fn all(region: &Region) -> All {
    let log = |name: &str, n| {
        KeyedLimiter::sliding_log(per_hour(n)).capacity(100).try_build_in(region, name).unwrap()
    };
    let quick = KeyedLimiter::gcra("1000/s burst 2".parse().unwrap()).capacity(30);
    All {
        gcra: gcra(region, "gcra", UNITS),
        log: log("log", UNITS),
        books: log("books", 10_000),
        churn: quick.try_build_in(region, "churn").unwrap(),
        jobs: LeaseLimiter::at_most(3, Duration::from_millis(50))
            .capacity(20)
            .try_build_in(region, "jobs")
            .unwrap(),
    }
}

/// Charges, notes what was admitted, makes slots change hands, has leases.
pub(crate) fn work(region: &Region, seed: u64) {
    let All { gcra, log, books, churn, jobs } = all(region);
    let mut random = Random(seed | 1);
    loop {
        let key = random.next() % KEYS;
        if gcra.check_hash(key).is_allowed() {
            let _ = books.check_hash(key);
        }
        if log.check_hash(key).is_allowed() {
            let _ = books.check_hash(KEYS + key);
        }
        for _ in 0..4 {
            let _ = churn.check_hash(random.next() % 500);
        }
        if let Ok(lease) = jobs.hashed(random.next() % 10).acquire() {
            let _ = random.next().is_multiple_of(3) || lease.renew();
            if random.next().is_multiple_of(4) {
                let _ = lease.detach();
            }
        }
    }
}

#[test]
fn killed_at_any_instant() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let all = all(&region);
    let begun = Instant::now();
    let end = begun + seconds(10);
    let mut random = Random(99);
    let (mut kills, mut slowest) = (0_u64, Duration::ZERO);
    let mut workers: Vec<_> =
        (0..4).map(|nth| start("work", &scratch.path(), &nth.to_string())).collect();
    let mut next = 0;
    while Instant::now() < end {
        thread::sleep(Duration::from_micros(500 + random.next() % 6000));
        let victim = usize::try_from(random.next() % 4).unwrap();
        workers[victim].kill().unwrap();
        workers[victim].wait().unwrap();
        kills += 1;
        workers[victim] = start("work", &scratch.path(), &(1000 + kills).to_string());
        // Nobody waits for the dead: every key answers at once.
        let before = Instant::now();
        for _ in 0..10 {
            next += 1;
            let _ = all.churn.check_hash(next % 500);
            let _ = (all.gcra.peek_hash(next % KEYS), all.log.peek_hash(next % KEYS));
            drop(all.jobs.hashed(next % 10).acquire());
        }
        slowest = slowest.max(before.elapsed());
    }
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    let passed = begun.elapsed().as_secs() + 1;
    println!("{kills} killed; ten looks took {slowest:?} at most");
    assert!(kills > 100, "{kills}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // The bound, and the documented loss: a key that starts afresh for each who was
    // killed. (No slot of these tables changes hands, so none is lost in fact.)
    let books = |key| 10_000 - all.books.peek_hash(key).remaining();
    let (mut sums, most) = ([0, 0], UNITS + UNITS * passed / 3600 + 1);
    for key in 0..KEYS {
        for (nth, sum) in sums.iter_mut().enumerate() {
            let admitted = books(key + KEYS * nth as u64);
            *sum += admitted;
            assert!(admitted <= most, "key {key}: {admitted}");
        }
    }
    println!("{sums:?} admitted of {}", UNITS * KEYS);
    // Charged and not noted by who was killed in between: one for each at most.
    for sum in sums {
        assert!(
            sum + kills >= (0..KEYS).map(|key| UNITS - all.log.peek_hash(key).remaining()).sum()
        );
    }
    // All leases are over, and all slots are to be had.
    thread::sleep(Duration::from_millis(60));
    for key in 0..10 {
        assert_eq!(all.jobs.hashed(key).peek().remaining(), 3);
        let three: Vec<_> = (0..3).map(|_| all.jobs.hashed(key).acquire().unwrap()).collect();
        assert!(all.jobs.hashed(key).acquire().is_err());
        drop(three);
    }
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
