//! What a limiter does with a `now` that is far from its clock.
#![cfg(not(loom))]

use std::time::Duration;
use tollgate::{KeyedLimiter, Limiter, ManualClock, Nanos, OnSaturation};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

fn keyed(quota: &str, clock: u64) -> KeyedLimiter<tollgate::Gcra, ManualClock> {
    let manual = ManualClock::new();
    manual.set(Nanos::new(clock));
    KeyedLimiter::gcra(quota.parse().unwrap())
        .clock(manual)
        .epoch(Nanos::ZERO)
        .capacity(1)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap()
}

/// A thread that was stopped for days between its reading and its call.
#[test]
fn a_reading_that_is_days_old_grants_nothing() {
    let t = Nanos::new(3 * DAY);
    let clock = ManualClock::new();
    clock.set(t);
    let smooth = Limiter::gcra("1/10s".parse().unwrap()).clock(&clock).epoch(Nanos::ZERO);
    let exact = Limiter::sliding_log("1/10s".parse().unwrap()).clock(&clock).epoch(Nanos::ZERO);
    let (smooth, exact) = (smooth.try_build().unwrap(), exact.try_build().unwrap());
    let keyed = keyed("1/10s", 3 * DAY);
    assert!(
        smooth.check().is_allowed() && exact.check().is_allowed() && keyed.check("k").is_allowed()
    );
    for old in [Nanos::ZERO, Nanos::new(DAY)] {
        // The true wait on that old clock, by the formulas as they stand.
        let wait = Some(t.since(old) + Duration::from_secs(10));
        assert_eq!(exact.check_at(old).retry_after(), wait);
        assert_eq!(smooth.check_at(old).retry_after(), wait);
        assert_eq!(keyed.check_at("k", old).retry_after(), wait);
    }
    assert!(
        smooth.check().is_denied() && exact.check().is_denied() && keyed.check("k").is_denied()
    );
}

/// A clock that was years ahead once, and is right now: what it left behind is
/// no honest debt. It counts as full debt, from now on, and only a charge
/// writes that down.
#[test]
fn what_a_broken_clock_left_is_repaired() {
    let far = Nanos::new(1000 * DAY);
    let smooth = Limiter::gcra("2/10s".parse().unwrap()).clock(ManualClock::new());
    let exact = Limiter::sliding_log("2/10s".parse().unwrap()).clock(ManualClock::new());
    let (smooth, exact) = (smooth.try_build().unwrap(), exact.try_build().unwrap());
    let keyed = keyed("2/10s", 0);
    assert!(smooth.check_at(far).is_allowed() && exact.check_at(far).is_allowed());
    assert!(keyed.check_at("k", far).is_allowed());
    let at = |secs| Nanos::from_secs(secs);
    for now in [at(1), at(2)] {
        for d in [smooth.peek_at(now), exact.peek_at(now), keyed.peek_at("k", now)] {
            assert_eq!((d.remaining(), d.full_after()), (0, Duration::from_secs(10)));
        }
    }
    assert_eq!(smooth.check_at(at(3)).retry_after_secs(), Some(5));
    assert_eq!(keyed.check_at("k", at(3)).retry_after_secs(), Some(5));
    assert_eq!(exact.check_at(at(3)).retry_after_secs(), Some(10));
    assert!(smooth.check_at(at(8)).is_allowed() && keyed.check_at("k", at(8)).is_allowed());
    assert!(exact.check_n_at(2, at(13)).is_allowed());
}

/// A caller whose reading is years ahead fills a bucket; its states hold their
/// slots for no longer than a spent burst, the longest debt (twice that) and two seconds.
#[test]
fn a_far_reading_does_not_block_a_bucket_for_good() {
    let limiter = keyed("1/10s", 0);
    for key in 0..16 {
        assert!(limiter.check_hash_at(key, Nanos::new(1000 * DAY)).is_allowed());
    }
    assert!(!limiter.check_hash_at(77, Nanos::from_secs(1)).is_accounted());
    let d = limiter.check_hash_at(77, Nanos::from_secs(33));
    assert!(d.is_allowed() && d.is_accounted());
}

/// At the end of the range time stands still, and nothing wraps or panics.
#[test]
fn the_end_of_the_range_is_an_end() {
    let limiter = keyed("5/s", 0);
    for _ in 0..5 {
        assert!(limiter.check_at("k", Nanos::MAX).is_allowed());
    }
    assert!(limiter.check_at("k", Nanos::MAX).is_denied());
    assert!(limiter.check_at("k", Nanos::new(u64::MAX - 1)).is_denied());
}
