//! Property 5: quotas per call, and quotas that change.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tollgate::{BuildError, KeyedLimiter, Limiter, ManualClock, Nanos, Quota, RoomError};

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

fn at(secs: u64) -> Nanos {
    Nanos::from_secs(secs)
}

/// A faster quota is not applied to time already past (a fault of ratelimit 2.0),
/// nor a slower one.
#[test]
fn a_new_quota_does_not_reach_back() {
    let limiter = KeyedLimiter::gcra(quota("1/s burst 10"))
        .room_for(quota("100/s"))
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    assert_eq!(limiter.check_n_at("k", 10, at(100)).remaining(), 0);
    // Ten seconds are owed. Five have passed when the quota changes.
    limiter.set_quota(quota("100/s")).unwrap();
    assert_eq!(limiter.quota(), quota("100/s"));
    let d = limiter.peek_at("k", at(105));
    assert_eq!((d.remaining(), d.full_after()), (0, Duration::from_secs(5)));
    // One second is owed, and that is the new burst.
    assert!(limiter.check_at("k", at(109)).is_denied());
    assert_eq!(limiter.peek_at("k", at(110)).remaining(), 100);
}

/// `remaining` never exceeds a limit that shrank, nor wraps (a fault of gcra 0.6).
#[test]
fn a_limit_that_shrinks() {
    let limiter = KeyedLimiter::sliding_log(quota("10/min"))
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    assert_eq!(limiter.check_n_at("k", 8, at(1)).remaining(), 2);
    assert_eq!(limiter.check_n_at("k", 1, at(2)).remaining(), 1);
    limiter.set_quota(quota("3/min")).unwrap();
    let d = limiter.check_at("k", at(3));
    assert_eq!((d.is_denied(), d.limit(), d.remaining()), (true, 3, 0));
    // Seven of the nine must leave; the eight of second 1 leave together.
    assert_eq!(d.retry_after_secs(), Some(58));
    let d = limiter.check_n_at("k", 3, at(3));
    assert_eq!(d.retry_after_secs(), Some(59));
    assert!(limiter.check_n_at("k", 2, at(61)).is_allowed());
}

#[test]
fn tiers_share_one_state() {
    let (free, pro) = (quota("10/min burst 1"), quota("60/min burst 60"));
    let limiter = KeyedLimiter::gcra(free)
        .room_for(pro)
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    let key = limiter.key("k");
    assert!(key.check_at(at(1)).is_allowed());
    assert!(key.check_at(at(1)).is_denied());
    // Upgraded: six seconds are owed, as six of sixty units.
    let key = key.quota(pro).unwrap();
    assert_eq!(key.check_at(at(1)).remaining(), 53);
    assert_eq!((key.peek_at(at(1)).limit(), limiter.peek_at("k", at(1)).limit()), (60, 1));
}

/// A reset is of the key, whichever quota asks for it: also of units that have
/// left the window of that quota, but not of another.
#[test]
fn a_reset_is_for_all_quotas() {
    let limiter = KeyedLimiter::sliding_log(quota("10/min"))
        .room_for(quota("5/s"))
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    assert!(limiter.check_n_at("k", 10, at(1)).is_allowed());
    let tier = limiter.key("k").quota(quota("5/s")).unwrap();
    assert_eq!(tier.reset_at(at(10)).remaining(), 5);
    assert_eq!(limiter.peek_at("k", at(10)).remaining(), 10);
}

/// A log that a broken clock left is full for all quotas, whichever repairs it.
#[test]
fn a_repair_is_for_all_quotas() {
    let clock = ManualClock::new();
    let limiter = KeyedLimiter::sliding_log(quota("10/min"))
        .room_for(quota("1/min"))
        .clock(&clock)
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    assert!(limiter.check_n_at("k", 10, at(10 * 86_400)).is_allowed());
    clock.set(at(100));
    let tier = limiter.key("k").quota(quota("1/min")).unwrap();
    assert_eq!(tier.check_at(at(100)).retry_after_secs(), Some(60));
    assert_eq!(limiter.check_at("k", at(100)).retry_after_secs(), Some(60));
    assert!(limiter.check_n_at("k", 10, at(160)).is_allowed());
}

/// A state that cannot be honest is in debt to every quota once it is repaired.
#[test]
fn a_repair_by_a_tier_is_for_all_quotas() {
    let (small, large) = (quota("10/s burst 1"), quota("1/s burst 10"));
    let limiter = KeyedLimiter::gcra(large)
        .room_for(small)
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    let (key, far) = (limiter.key("k"), 1000 * 86_400);
    assert!(key.check_at(at(far)).is_allowed());
    assert!(key.quota(small).unwrap().check_at(at(100)).is_denied());
    assert_eq!(key.peek_at(at(100)).remaining(), 0);
    assert_eq!(key.peek_at(at(110)).remaining(), 10);
}

/// A refund takes away what the charge added, whichever quota gives it back.
#[test]
fn a_refund_weighs_what_its_charge_weighed() {
    let (slow, fast) = (quota("60/min burst 60"), quota("6000/min burst 100"));
    let limiter = KeyedLimiter::gcra(slow)
        .room_for(fast)
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    let key = limiter.key("k");
    let by_fast = key.quota(fast).unwrap();
    assert!(key.check_n_at(30, at(1)).is_allowed());
    let charge = by_fast.check_n_at(20, at(1)).charge();
    assert_eq!(charge, None, "thirty seconds are more than the faster burst");
    let charge = by_fast.check_n_at(20, at(31)).charge().unwrap();
    // A fifth of a second came on top, and goes again.
    assert!(key.check_n_at(59, at(31)).is_allowed());
    let d = key.refund_at(charge, at(31));
    assert_eq!(d.full_after(), Duration::from_secs(59));
    let charge = key.check_at(at(31)).charge().unwrap();
    assert_eq!(by_fast.refund_at(charge, at(31)).full_after(), Duration::from_secs(59));
    // One that was put together by hand does not know: the quota that is asked says.
    let by_hand = tollgate::Charge::new(1, at(31));
    assert_eq!(key.refund_at(by_hand, at(31)).full_after(), Duration::from_secs(58));
}

/// Settled by whatever quota, a charge gives back what it added, no more and no less.
#[test]
fn a_settled_charge_weighs_what_it_added() {
    let (slow, fast) = (quota("60/min burst 60"), quota("6000/min burst 100"));
    let limiter = KeyedLimiter::gcra(slow)
        .room_for(fast)
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    let key = limiter.key("k");
    let by_fast = key.quota(fast).unwrap();
    assert!(key.check_n_at(10, at(1)).is_allowed());
    let mut charge = key.check_n_at(20, at(1)).charge().unwrap();
    // Half of twenty seconds, though ten units of the other quota are a tenth of one.
    assert_eq!(by_fast.settle_at(&mut charge, 10, at(1)).full_after(), Duration::from_secs(20));
    assert_eq!((charge.units(), charge.at()), (10, at(1)));
    // A hundred more, by the other quota: one second.
    assert_eq!(by_fast.settle_at(&mut charge, 110, at(1)).full_after(), Duration::from_secs(21));
    // Eleven seconds in 110 units: half of them.
    let d = key.settle_at(&mut charge, 55, at(1));
    assert_eq!(d.full_after(), Duration::from_millis(15_500));
    assert_eq!(key.refund_at(charge, at(1)).full_after(), Duration::from_secs(10));
    // By hand, of nothing: then all of it is known.
    let mut charge = tollgate::Charge::new(0, at(1));
    assert_eq!(
        by_fast.settle_at(&mut charge, 50, at(1)).full_after(),
        Duration::from_millis(10_500)
    );
    assert_eq!(key.refund_at(charge, at(1)).full_after(), Duration::from_secs(10));
}

/// Room for quotas is not room for waits, nor the other way round.
#[test]
fn waits_are_bounded_whatever_the_quotas() {
    let wait = Duration::from_secs(5);
    let limiter = KeyedLimiter::gcra(quota("10/s burst 1"))
        .room_for(quota("1/s burst 30"))
        .longest_wait(wait)
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .try_build()
        .unwrap();
    assert_eq!(limiter.longest_wait(), wait);
    let key = limiter.key("k");
    let waits = (0..100).map(|_| key.reserve_at(1, Duration::from_secs(100), at(1)));
    let longest = waits.take_while(tollgate::Decision::is_allowed).map(|d| d.wait()).max();
    assert_eq!(longest, Some(wait));
    assert!(limiter.set_quota(quota("1/s burst 31")).is_err());
    limiter.set_quota(quota("1/s burst 30")).unwrap();
    assert!(key.reserve_at(30, Duration::from_secs(100), at(1)).is_denied());
    let d = key.reserve_at(29, Duration::from_secs(100), at(1));
    assert_eq!(d.wait(), Duration::from_millis(4100));
}

/// A slot is not given away while units are in the window of any quota, though they
/// have left that of the limiter's own.
#[test]
fn a_slot_is_kept_for_the_longest_window() {
    let limiter = KeyedLimiter::sliding_log(quota("2/s"))
        .room_for(quota("2/min"))
        .clock(ManualClock::new())
        .epoch(Nanos::ZERO)
        .capacity(1)
        .try_build()
        .unwrap();
    let key = limiter.key("k").quota(quota("2/min")).unwrap();
    assert_eq!(key.check_n_at(2, at(1)).remaining(), 0);
    // More keys than there are other slots.
    let others =
        (0..limiter.gauges_at(at(10)).slots() as u64).map(|n| limiter.check_hash_at(n, at(10)));
    assert_eq!(others.filter(|d| !d.is_accounted()).count(), 1);
    assert!(key.check_at(at(60)).is_denied() && key.check_at(at(61)).is_allowed());
}

#[test]
fn what_has_no_room_is_refused() {
    let smooth =
        KeyedLimiter::gcra(quota("10/s")).longest_wait(Duration::ZERO).try_build().unwrap();
    let slow = quota("10/min");
    let debt = Duration::from_secs(60);
    let refused = smooth.key("k").quota(slow).unwrap_err();
    assert_eq!(refused, RoomError::Debt { debt, room: Duration::from_secs(1) });
    assert_eq!(smooth.set_quota(slow), Err(refused));
    assert_eq!(smooth.quota(), quota("10/s"));
    assert_eq!(
        refused.to_string(),
        "a debt of 60s does not fit in the limiter's 1s; build the limiter with room_for the largest quota"
    );
    let exact = KeyedLimiter::sliding_log(quota("10/s")).try_build().unwrap();
    for (text, why) in [
        ("11/s", RoomError::Units { units: 11, room: 10 }),
        ("10/min", RoomError::Period { period: debt, room: Duration::from_secs(1) }),
        ("10/s burst 5", RoomError::BurstOnLog { units: 10, burst: 5 }),
    ] {
        assert_eq!(exact.key("k").quota(quota(text)).unwrap_err(), why);
        assert_eq!(exact.set_quota(quota(text)), Err(why));
        assert!(!why.to_string().is_empty());
    }
    let alone = Limiter::sliding_log(quota("10/s")).room_for(quota("20/min")).try_build().unwrap();
    assert!(alone.set_quota(quota("20/min")).is_ok() && alone.set_quota(quota("21/min")).is_err());
    assert_eq!(alone.check().remaining(), 19);
    let wait = Duration::from_secs(5 * 365 * 86_400);
    let refused = Limiter::gcra(quota("10/s")).longest_wait(wait).try_build().unwrap_err();
    assert_eq!(refused, BuildError::WaitTooLong { wait, debt: Duration::from_secs(1) });
    assert!(refused.to_string().starts_with("a wait of 157680000s beside a debt of 1s"));
    let burst = KeyedLimiter::sliding_log(quota("10/s")).room_for(quota("10/s burst 2"));
    assert_eq!(burst.try_build().unwrap_err(), BuildError::BurstOnLog { units: 10, burst: 2 });
}

/// Two quotas take turns while others check: each answer is by one of them.
#[test]
fn no_answer_is_by_half_a_quota() {
    let (a, b) = (quota("1000/s"), quota("7/min"));
    let limiter = KeyedLimiter::gcra(a).room_for(b).try_build().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2_u64)
            .map(|who| {
                let (limiter, stop) = (&limiter, &stop);
                scope.spawn(move || {
                    let (mut seen, mut n) = ([0_u64; 2], 0);
                    // Also where it begins late, when the other has filled the table: until a
                    // slot is free.
                    while !stop.load(Ordering::Relaxed) || seen == [0; 2] {
                        n += 1;
                        let begun = Instant::now();
                        let d = limiter.check_hash(who << 32 | n);
                        if !d.is_accounted() {
                            continue; // so many new keys fill the table
                        }
                        // The limit tells the burst, a unit's debt the interval. A new key
                        // starts no earlier than its bucket's floor, which the other thread
                        // may have raised since this one read the clock.
                        let unit = match d.limit() {
                            1000 => Duration::from_millis(1),
                            7 => Duration::from_nanos(8_571_428_572),
                            _ => panic!("{d:?}"),
                        };
                        let one = d.full_after();
                        assert!(unit <= one && one <= unit + begun.elapsed(), "{d:?}");
                        seen[usize::from(d.limit() == 7)] += 1;
                    }
                })
            })
            .collect();
        let mut turns = 0_u32;
        while turns < 200_000 {
            limiter.set_quota(if turns.is_multiple_of(2) { b } else { a }).unwrap();
            turns += 1;
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
