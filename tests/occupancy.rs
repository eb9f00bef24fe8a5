//! The chances of the table that are promised: filling with n random keys
//! saturates in fewer than 1 of 1000 seeds; with n live keys under churn fewer
//! than 1 of 100,000 new keys saturate.
//!
//! `TOLLGATE_OCCUPANCY=full` (release build, an hour) goes to 10⁷ keys; without
//! it 100 to 10⁵. No saturation in 3 / p trials puts the chance below p with 95 %
//! confidence; the trials are printed.
#![cfg(not(loom))]

use std::time::Duration;
use tollgate::{KeyedLimiter, ManualClock, Nanos, Quota};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
}

const PERIOD: u64 = 1_000_000_000;

fn limiter(keys: usize, seed: u64) -> KeyedLimiter<tollgate::Gcra, ManualClock> {
    KeyedLimiter::gcra(Quota::one_every(Duration::from_nanos(PERIOD)).unwrap())
        .clock(ManualClock::new())
        .capacity(keys)
        .seed(seed)
        .try_build()
        .unwrap()
}

fn full() -> bool {
    std::env::var_os("TOLLGATE_OCCUPANCY").is_some_and(|v| v == "full")
}

/// How much smaller the trials are in a debug build.
const PART: u64 = if cfg!(debug_assertions) { 20 } else { 1 };

#[test]
fn filling() {
    let sizes: &[(usize, u64)] = if full() {
        &[
            (100, 30_000),
            (1000, 10_000),
            (10_000, 3000),
            (100_000, 3000),
            (1_000_000, 300),
            (10_000_000, 30),
        ]
    } else {
        &[(100, 6000), (1000, 3000), (10_000, 300), (100_000, 10)]
    };
    for &(keys, seeds) in sizes {
        let mut saturated = 0_u64;
        for seed in 0..(seeds / PART).max(1) {
            let limiter = limiter(keys, seed);
            let mut random = Random(seed << 32);
            for _ in 0..keys {
                let _ = limiter.check_hash_n_at(random.next(), 1, Nanos::ZERO);
            }
            saturated += u64::from(limiter.saturated() > 0);
        }
        println!("filling {keys}: {saturated} of {} seeds saturated", (seeds / PART).max(1));
        assert_eq!(saturated, 0);
    }
}

/// At any time `keys` are live: each new one comes as the oldest is as good as new.
#[test]
fn churning() {
    let sizes: &[(usize, u64)] = if full() {
        &[
            (100, 30_000_000),
            (1000, 30_000_000),
            (100_000, 30_000_000),
            (1_000_000, 30_000_000),
            (10_000_000, 100_000_000),
        ]
    } else {
        &[(100, 2_000_000), (1000, 2_000_000), (100_000, 2_000_000)]
    };
    for &(keys, new) in sizes {
        let limiter = limiter(keys, 7);
        let mut random = Random(1 << 40);
        let new = new / PART;
        for n in 0..new {
            let now = u128::from(n) * u128::from(PERIOD) / keys as u128;
            let now = Nanos::new(u64::try_from(now).unwrap());
            let _ = limiter.check_hash_n_at(random.next(), 1, now);
        }
        println!("churning {keys}: {} of {new} new keys saturated", limiter.saturated());
        assert_eq!(limiter.saturated(), 0);
    }
}

/// 24 bytes a key, 32 at the very most, from 100 keys up; not rounded to powers of two.
#[test]
fn bytes_per_key() {
    for keys in [100, 129, 1000, 1025, 10_000, 65_537, 1_000_000, 1_048_577, 10_000_000] {
        let bytes =
            KeyedLimiter::gcra(Quota::n_per_second(1).unwrap()).capacity(keys).memory().unwrap();
        assert!(bytes <= 32 * keys, "{keys}: {bytes}");
        if keys >= 10_000 {
            assert!(bytes <= 24 * keys + 1024, "{keys}: {bytes}");
        }
    }
}
