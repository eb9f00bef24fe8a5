//! Snapshots: what they have, also under load, and what is not restored.

use crate::{
    support::Scratch,
    workers::{gcra, log},
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};
use tollgate::{KeyedLimiter, Region};

#[test]
fn a_snapshot_is_the_region() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let limiter = gcra(&region, "api", 100);
    let exact = log(&region, "log", 100);
    for key in 0..200_u64 {
        assert!(limiter.check_hash_n(key, key % 50 + 1).is_allowed());
        assert!(key >= 100 || exact.check_hash_n(key, key % 50 + 1).is_allowed());
    }
    let bytes = region.snapshot().unwrap();
    let copy = Region::restore(scratch.other("copy"), &bytes).unwrap();
    let (theirs, their_log) = (gcra(&copy, "api", 100), log(&copy, "log", 100));
    for key in 0..100_u64 {
        assert_eq!(theirs.peek_hash(key).remaining(), limiter.peek_hash(key).remaining());
        assert_eq!(their_log.peek_hash(key).remaining(), 100 - (key % 50 + 1));
    }
    // They are apart.
    let _ = theirs.check_n("k", 100);
    assert_eq!(limiter.peek("k").remaining(), 100);

    // Into a file that was made meanwhile: a region stays, and so does anything else.
    let error = Region::restore(scratch.other("copy"), &bytes).unwrap_err().to_string();
    assert!(error.contains("exists"), "{error}");
    assert_eq!(theirs.peek("k").remaining(), 0);
    std::fs::write(scratch.other("text"), "a text").unwrap();
    assert!(Region::restore(scratch.other("text"), &bytes).is_err());
    assert_eq!(std::fs::read(scratch.other("text")).unwrap(), b"a text");
    std::fs::write(scratch.other("empty"), "").unwrap();
    let filled = Region::restore(scratch.other("empty"), &bytes).unwrap();
    assert_eq!(gcra(&filled, "api", 100).peek_hash(7).remaining(), 92);
    let refused = |bytes: &[u8], what: &str| {
        let error = Region::restore(scratch.other("none"), bytes).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert!(!scratch.other("none").exists());
    };
    refused(&[], "begins otherwise");
    refused(&bytes[..10], "cut short");
    refused(&bytes[..bytes.len() - 8], "cut short");
    for at in [16, 100, bytes.len() / 2, bytes.len() - 1] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        refused(&other, "checksum");
    }
}

/// While others decide: keys that nobody asks for are as they are, and others as they were
/// at some time meanwhile.
#[test]
fn a_snapshot_under_load() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let (limiter, exact) = (gcra(&region, "gcra", 1_000_000), log(&region, "log", 1000));
    for key in 100..150 {
        assert!(limiter.check_hash_n(key, 1_000_000).is_allowed());
        assert!(exact.check_hash_n(key, key).is_allowed());
    }
    let churn = KeyedLimiter::gcra("10000/s burst 1".parse().unwrap()).capacity(10);
    let churn = churn.try_build_in(&region, "churn").unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 0..2_u64 {
            let (limiter, exact, churn, over) = (&limiter, &exact, &churn, &over);
            scope.spawn(move || {
                for nth in (seed * 1000..).take_while(|_| !over.load(Ordering::Relaxed)) {
                    let _ = (limiter.check_hash(nth % 4), exact.check_hash(nth % 4));
                    let _ = churn.check_hash(nth % 100);
                    if nth.is_multiple_of(64) {
                        thread::sleep(Duration::from_micros(200));
                    }
                }
            });
        }
        for nth in 0..10 {
            let left = || [0, 1, 2, 3].map(|key| exact.peek_hash(key).remaining());
            let before = left();
            let bytes = region.snapshot().unwrap();
            let after = left();
            let copy = Region::restore(scratch.other(&format!("copy {nth}")), &bytes).unwrap();
            let (theirs, their_log) = (gcra(&copy, "gcra", 1_000_000), log(&copy, "log", 1000));
            for (key, (before, after)) in (0_u64..).zip(before.into_iter().zip(after)) {
                let seen = their_log.peek_hash(key).remaining();
                assert!((after..=before).contains(&seen), "{seen} of {after} to {before}");
            }
            for key in 100..150 {
                assert_eq!(their_log.peek_hash(key).remaining(), 1000 - key);
                assert!(theirs.peek_hash(key).remaining() < 100_000);
            }
            assert_eq!(copy.names().unwrap(), region.names().unwrap());
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// What was restored is asked for as it was made, or the error says what differs.
#[test]
fn a_restored_region_has_its_configuration() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let _made = gcra(&region, "api", 10);
    let copy = Region::restore(scratch.other("copy"), &region.snapshot().unwrap()).unwrap();
    let other = KeyedLimiter::gcra("10/h".parse().unwrap()).capacity(2000);
    let error = other.try_build_in(&copy, "api").unwrap_err().to_string();
    assert!(error.contains("capacity is 1000 keys there, 2000 keys here"), "{error}");
    let log = KeyedLimiter::sliding_log("10/h".parse().unwrap()).capacity(1000);
    let error = log.try_build_in(&copy, "api").unwrap_err().to_string();
    assert!(error.contains("algorithm is gcra there"), "{error}");
}
