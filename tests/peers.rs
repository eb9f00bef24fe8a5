//! Faults that shipped in other limiters, each a test here. What concerns
//! several limits at once is in `tests/policies`.
#![cfg(not(loom))]

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tollgate::{
    KeyedLimiter, Limiter, ManualClock, Nanos, OnSaturation, Outcome, Quota, QuotaError,
};

fn limiter(quota: &str) -> Limiter<tollgate::Gcra, ManualClock> {
    Limiter::gcra(quota.parse().unwrap()).clock(ManualClock::new()).try_build().unwrap()
}

fn admitted(limiter: &Limiter<tollgate::Gcra, ManualClock>, asks: u32) -> u32 {
    (0..asks).map(|_| u32::from(limiter.check().is_allowed())).sum()
}

/// governor 0.10.4 multiplies without a check: 1/day with burst 300,000 admits 86,496.
#[test]
fn a_burst_beyond_the_range_is_refused() {
    assert_eq!("1/d burst 300000".parse::<Quota>(), Err(QuotaError::DebtTooLong));
    assert_eq!(admitted(&limiter("1/d burst 1500"), 10_000), 1500);
}

/// governor 0.10.4 floors the interval: 600,000,001/s behaves as 1,000,000,000/s.
#[test]
fn the_interval_is_rounded_up() {
    let limiter = limiter("600000001/s burst 1000");
    let second = 1_000_000_u64;
    let mut passed = 0;
    for step in 0..=1000 {
        let now = Nanos::new(step * second / 1000);
        while limiter.check_at(now).is_allowed() {
            passed += 1;
        }
    }
    // In a millisecond: 600,000 and the burst at most, and no less than 1/1.0125 of it.
    assert!((592_500..=601_000).contains(&passed), "{passed}");
}

/// governor 0.10.4 reports the full burst as remaining when it denies.
#[test]
fn a_denial_reports_what_is_left() {
    let limiter = limiter("10/min");
    assert_eq!(admitted(&limiter, 8), 8);
    let d = limiter.check_n(3);
    assert_eq!((d.outcome(), d.remaining()), (Outcome::Later, 2));
}

/// governor 0.10.4 wants an owned key type, and memory grows until it is swept.
#[test]
fn keys_are_borrowed_and_memory_is_fixed() {
    let clock = ManualClock::new();
    let limiter = KeyedLimiter::gcra("1/s".parse().unwrap())
        .clock(&clock)
        .capacity(1000)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap();
    let before = limiter.memory();
    let line = String::from("GET /a 203.0.113.7");
    assert!(limiter.check(&line[7..]).is_allowed());
    for key in 0..200_000_u64 {
        clock.advance(Duration::from_millis(2));
        assert!(limiter.check(&key.to_be_bytes()).is_allowed());
    }
    assert_eq!((limiter.memory(), limiter.saturated()), (before, 0));
}

/// throttlecrab 0.4.40 with burst 1 admits 1000 of 1000.
#[test]
fn a_burst_of_one_limits() {
    assert_eq!(admitted(&limiter("10/min burst 1"), 1000), 1);
}

/// throttlecrab 0.4.40 admits 15 of a burst of 10 after idling.
#[test]
fn idling_earns_no_more_than_the_burst() {
    let limiter = limiter("10/s burst 10");
    for idle in [0, 1, 5, 3600, 86_400] {
        limiter.clock().advance(Duration::from_secs(idle));
        limiter.clock().advance(Duration::from_secs(1));
        assert_eq!(admitted(&limiter, 100), 10);
    }
}

/// throttlecrab 0.4.40 panics on huge parameters, pingora-limits 0.9.1 in the
/// first second of a process.
#[test]
fn no_parameter_and_no_instant_panics() {
    for quota in ["18446744073709551615/d burst 1", "1/1600d", "18446744073709551615/s burst 9"] {
        let limiter = limiter(quota);
        for now in [0, 1, 999_999_999, u64::MAX / 2, u64::MAX] {
            for n in [0, 1, 2, u64::MAX - 1, u64::MAX] {
                let _ = limiter.check_n_at(n, Nanos::new(now));
            }
        }
    }
    assert!(limiter("1/h").check_at(Nanos::ZERO).is_allowed());
}

/// ratelimit 2.0.0 floors the refill but moves its clock: at 1/s polled every
/// 1999 ms it grants half. upstash and x/time/rate drift with floats.
#[test]
fn no_time_is_lost_between_asks() {
    let slow = limiter("1/s");
    for _ in 0..1000 {
        assert!(slow.check().is_allowed());
        slow.clock().advance(Duration::from_millis(1999));
    }
    let fast = limiter("10/s burst 1");
    for _ in 0..100_000 {
        assert!(fast.check().is_allowed());
        fast.clock().advance(Duration::from_nanos(99_999_999));
        assert!(fast.check().is_denied());
        fast.clock().advance(Duration::from_nanos(1));
    }
}

/// trypema 2.2.1 ignores the cost when it decides; others answer "later" to a
/// cost above the burst.
#[test]
fn a_cost_above_the_limit_is_never() {
    let log = Limiter::sliding_log("10/min".parse().unwrap()).try_build().unwrap();
    assert_eq!(limiter("10/min").check_n(1000).outcome(), Outcome::Never);
    assert_eq!(log.check_n(1000).outcome(), Outcome::Never);
    assert_eq!(log.check_n(10).outcome(), Outcome::Allowed);
}

/// `tower_governor` floors the seconds: `Retry-After: 0`.
#[test]
fn a_denied_request_never_says_zero() {
    let limiter = limiter("1000/s burst 1");
    assert!(limiter.check().is_allowed());
    let d = limiter.check();
    assert_eq!(d.retry_after(), Some(Duration::from_millis(1)));
    assert_eq!((d.retry_after_secs(), d.reset_after_secs()), (Some(1), 1));
}

/// lua-resty-limit-traffic takes `abs(elapsed)`: a clock that steps back grants credit.
#[test]
fn a_step_back_grants_nothing() {
    let smooth = limiter("60/min burst 2");
    let log = Limiter::sliding_log("2/min".parse().unwrap())
        .clock(ManualClock::new())
        .try_build()
        .unwrap();
    let hour = Nanos::from_secs(3600);
    for _ in 0..2 {
        assert!(smooth.check_at(hour).is_allowed());
        assert!(log.check_at(hour).is_allowed());
    }
    for back in 1..1800 {
        let now = Nanos::from_secs(3600 - back);
        assert!(smooth.check_at(now).is_denied());
        // The wait is the true wait on the clock that was stepped back.
        assert_eq!(log.check_at(now).retry_after_secs(), Some(60 + back));
    }
    assert_eq!(smooth.check_at(hour).retry_after_secs(), Some(1));
}

/// Envoy's LRU of clients and nginx's full zone forget whom they throttle.
#[test]
fn a_flood_of_fresh_keys_forgives_nobody() {
    let clock = ManualClock::new();
    let limiter =
        KeyedLimiter::gcra("5/h".parse().unwrap()).clock(&clock).capacity(100).try_build().unwrap();
    let throttled: Vec<String> = (0..50).map(|n| format!("client {n}")).collect();
    for client in &throttled {
        while limiter.check(client).is_allowed() {}
    }
    for fresh in 0..100_000_u64 {
        let _ = limiter.check(&fresh.to_le_bytes());
    }
    assert!(limiter.saturated() > 90_000);
    for client in &throttled {
        assert!(limiter.check(client).is_denied(), "{client}");
    }
}

/// nginx knows no requests per hour or day, no wait, nothing left.
#[test]
fn slow_rates_have_waits() {
    let limiter = limiter("2/d");
    assert_eq!(admitted(&limiter, 3), 2);
    assert_eq!(limiter.check().retry_after(), Some(Duration::from_secs(43_200)));
}

/// redis's GCRA (held out of 8.8) is off by one, and compares with `<` for `<=`.
#[test]
fn the_wait_is_exact() {
    for quota in ["7/s", "3/min burst 2", "1/ns", "11/13us burst 5"] {
        let limiter = limiter(quota);
        while limiter.check().is_allowed() {}
        let wait = limiter.check().retry_after().unwrap();
        limiter.clock().advance(wait.saturating_sub(Duration::from_nanos(1)));
        assert!(limiter.check().is_denied(), "{quota}");
        limiter.clock().advance(Duration::from_nanos(1));
        assert!(limiter.check().is_allowed(), "{quota}");
    }
}

/// limitador 0.14.0 reads, then adds: 11 of 10. haproxy, throttled and others
/// answer contention with an error.
#[test]
fn a_race_is_neither_lost_twice_nor_an_error() {
    for round in 0..200_u64 {
        let limiter = KeyedLimiter::gcra("10/h".parse().unwrap())
            .clock(ManualClock::new())
            .capacity(1)
            .seed(round)
            .try_build()
            .unwrap();
        let passed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..11 {
                        let d = limiter.check("key");
                        assert!(d.is_accounted());
                        passed.fetch_add(u64::from(d.is_allowed()), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 10);
    }
}
