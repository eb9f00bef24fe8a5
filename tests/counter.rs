//! The sliding counter as callers have it: alone, in a table, and what it refuses.
#![cfg(not(loom))]

use std::time::Duration;
use tollgate::{
    BuildError, Decision, KeyedLimiter, Limiter, ManualClock, Nanos, Outcome, Quota, RoomError,
};

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

fn at(millis: u64) -> Nanos {
    Nanos::from(Duration::from_millis(millis))
}

/// A million a minute, which no log holds.
#[test]
fn large_limits() {
    let limiter = KeyedLimiter::sliding_counter(quota("1000000/min"))
        .clock(ManualClock::new())
        .try_build()
        .unwrap();
    let ask = |n, secs: u64| limiter.check_n_at("key", n, at(1000 * secs));
    assert!(ask(600_000, 59).is_allowed());
    // A quarter of the next window is gone: 450,000 of those count.
    assert_eq!(ask(0, 75).remaining(), 550_000);
    let denied = ask(650_000, 75);
    assert_eq!(denied.retry_after(), Some(Duration::from_secs(10)));
    assert!(ask(650_000, 85).is_allowed());
    assert_eq!(ask(1_000_001, 85).outcome(), Outcome::Never);
    assert_eq!(limiter.check("another").remaining(), 999_999);
    assert!(limiter.memory() / limiter.capacity() <= 47);
}

/// Alone and in a table the answers are the same, also to refunds, settlements and
/// resets, and by another quota.
#[test]
fn alone_and_in_a_table() {
    let (ten, four) = (quota("10/s"), quota("4/s"));
    let alone =
        Limiter::sliding_counter(ten).room_for(four).clock(ManualClock::new()).try_build().unwrap();
    let keyed = KeyedLimiter::sliding_counter(ten)
        .room_for(four)
        .clock(ManualClock::new())
        .try_build()
        .unwrap();
    let key = keyed.key("key");
    let both = |a: Decision, b: Decision| {
        assert_eq!(a, b);
        a
    };
    let check = |n, now| both(alone.check_n_at(n, at(now)), key.check_n_at(n, at(now)));
    let mut charge = check(6, 3_100).charge().unwrap();
    assert_eq!(alone.settle_at(&mut charge.clone(), 8, at(3_200)).remaining(), 2);
    assert_eq!(key.settle_at(&mut charge, 8, at(3_200)).remaining(), 2);
    assert_eq!(charge.units(), 8);
    let refund = |now| both(alone.refund_at(charge, at(now)), key.refund_at(charge, at(now)));
    // In the next window nothing comes back; half of the eight still count.
    assert_eq!(refund(4_500).remaining(), 6);
    assert_eq!(refund(3_900).remaining(), 10);
    assert_eq!(check(5, 5_000).remaining(), 5);
    alone.set_quota(four).unwrap();
    keyed.set_quota(four).unwrap();
    let denied = check(1, 5_000);
    assert_eq!((denied.limit(), denied.remaining()), (4, 0));
    // Of five, three count two fifths into the next window.
    assert_eq!(denied.retry_after(), Some(Duration::from_millis(1_400)));
    assert_eq!(both(alone.reset_at(at(5_000)), key.reset_at(at(5_000))).remaining(), 4);
    assert_eq!(check(0, 6_000).remaining(), 4);
}

#[test]
fn what_it_refuses() {
    let build = |text, other: Option<&str>| {
        let builder = KeyedLimiter::sliding_counter(quota(text));
        match other {
            None => builder.try_build(),
            Some(other) => builder.room_for(quota(other)).try_build(),
        }
        .map(|_| ())
    };
    let second = Duration::from_secs(1);
    let short = Duration::from_millis(999);
    for (text, other, why) in [
        ("10/s burst 5", None, BuildError::BurstOnCounter { units: 10, burst: 5 }),
        ("8589934592/s", None, BuildError::TooManyCounted { units: 8_589_934_592 }),
        ("10/999ms", None, BuildError::CounterPeriod { period: short, room: second }),
        (
            "10/s",
            Some("10/min"),
            BuildError::CounterPeriod { period: Duration::from_secs(60), room: second },
        ),
    ] {
        assert_eq!(build(text, other).unwrap_err(), why);
        assert!(!why.to_string().is_empty());
    }
    let message = |text, other| build(text, other).unwrap_err().to_string();
    assert_eq!(message("10/999ms", None), "a sliding counter's window is 1s at least, not 999ms");
    assert_eq!(
        message("10/s", Some("10/min")),
        "a sliding counter's window is one for all quotas of a limiter: 60s is not the 1s of the first"
    );
    assert!(build("8589934591/s", Some("1/s")).is_ok());
    let limiter = Limiter::sliding_counter(quota("10/min")).try_build().unwrap();
    for (text, why) in [
        ("10/min burst 5", RoomError::BurstOnCounter { units: 10, burst: 5 }),
        ("9000000000/min", RoomError::TooManyCounted { units: 9_000_000_000 }),
        ("10/s", RoomError::CounterPeriod { period: second, room: Duration::from_secs(60) }),
    ] {
        assert_eq!(limiter.set_quota(quota(text)).unwrap_err(), why);
        assert!(!why.to_string().is_empty());
    }
    // Units need no room.
    assert_eq!(limiter.set_quota(quota("1000/min")), Ok(()));
}
