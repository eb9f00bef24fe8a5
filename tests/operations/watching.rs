//! Gauges, counts, and the keys denied most.

use std::thread;
use tollgate::{Counts, KeyedLimiter, ManualClock, Nanos, OnSaturation};

#[test]
fn gauges_estimate_what_is_live() {
    let limiter = KeyedLimiter::gcra("1/s".parse().unwrap())
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .capacity(200_000)
        .try_build()
        .unwrap();
    for live in [0, 50_000, 200_000] {
        let now = Nanos::from_secs(live + 10);
        for key in 0..live {
            assert!(limiter.check_hash_at(key, now).is_allowed());
        }
        let gauges = limiter.gauges_at(now);
        let off = gauges.live_keys().abs_diff(usize::try_from(live).unwrap());
        assert!(off < gauges.slots() / 40, "{gauges:?}: off by {off}");
        #[allow(clippy::cast_precision_loss)] // a ratio
        let share = live as f64 / gauges.slots() as f64;
        assert!((gauges.occupancy() - share).abs() < 0.025);
        assert_eq!(gauges.saturated(), 0);
        // A second later all are as good as new.
        assert_eq!(limiter.gauges_at(Nanos::from_secs(live + 11)).live_keys(), 0);
    }
}

#[test]
fn counts_are_exact_once_threads_are_done() {
    let limiter = KeyedLimiter::gcra("10/d".parse().unwrap())
        .capacity(1)
        .on_saturation(OnSaturation::Deny)
        .count_decisions(true)
        .try_build()
        .unwrap();
    assert_eq!(limiter.counts(), Some(Counts::default()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for key in 0..16_u64 {
                    for _ in 0..10 {
                        let _ = limiter.check_hash(key);
                        let _ = limiter.peek_hash(key);
                    }
                }
            });
        }
    });
    let counts = limiter.counts().unwrap();
    assert_eq!((counts.allowed, counts.denied, counts.unaccounted), (160, 480, 0));
    for key in 100..105_u64 {
        assert!(!limiter.check_hash(key).is_accounted());
    }
    let _ = limiter.check_many_hashes([1, 2, 3]).count();
    let _ = limiter.hashed(1).reset();
    let counts = limiter.counts().unwrap();
    assert_eq!((counts.allowed, counts.denied, counts.unaccounted), (160, 483, 5));
    let plain = KeyedLimiter::gcra("10/d".parse().unwrap()).try_build().unwrap();
    assert_eq!(plain.counts(), None);
    assert!(plain.denied_most().is_empty());
}

/// A settlement is no decision, also where only part of it can be charged.
#[test]
fn settlements_are_not_counted() {
    let limiter = KeyedLimiter::sliding_log("5/d".parse().unwrap())
        .count_decisions(true)
        .remember_denied(usize::MAX)
        .try_build()
        .unwrap();
    let mut charge = limiter.check_n("k", 3).charge().unwrap();
    let _ = limiter.key("k").settle(&mut charge, 100);
    let counts = limiter.counts().unwrap();
    assert_eq!((counts.allowed, counts.denied, counts.unaccounted), (1, 0, 0));
    assert!(limiter.denied_most().is_empty());
}

#[test]
fn the_keys_denied_most_are_named() {
    let limiter = KeyedLimiter::gcra("1/d".parse().unwrap())
        .remember_denied(4)
        .capacity(10_000)
        .try_build()
        .unwrap();
    // Many are denied once, two of them often.
    for n in 0..1000_u64 {
        for key in [n, n] {
            let _ = limiter.check_hash(key);
        }
        let _ = limiter.check("loud");
        if n % 2 == 0 {
            let _ = limiter.check_many(["second"]).count();
        }
    }
    let most = limiter.denied_most();
    assert_eq!(most.len(), 4);
    assert_eq!((most[0].name(), most[0].hash()), (b"loud".as_slice(), None));
    assert!(most[0].denials() >= 999 && most[0].denials() - most[0].excess() <= 999);
    assert_eq!(most[1].name(), b"second");
    assert!(most[1].denials() >= 499);
    assert_eq!(most[3].name(), most[3].hash().unwrap().to_le_bytes());
    assert!(format!("{most:?}").contains("loud"));
    let long = "x".repeat(200);
    for _ in 0..3000 {
        let _ = limiter.check(&long);
    }
    assert_eq!(limiter.denied_most()[0].name(), &long.as_bytes()[..63]);
}
