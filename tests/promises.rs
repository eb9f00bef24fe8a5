//! Promises that need no clock and no threads: nothing is allocated,
//! everything may be shared, a full table answers as configured.
#![cfg(not(loom))]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};
use tollgate::{
    BuildError, Charge, Clock, CoarseClock, Decision, Gcra, KeyedLimiter, Limiter, ManualClock,
    Nanos, OnSaturation, Outcome, Quota, SlidingLog,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // During a thread's end the counter is gone, and nobody is counting.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came; counting neither
// allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(f: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

#[test]
fn no_decision_allocates() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1]))) >= 2, "the counter counts");

    let quota = Quota::n_per_second(5).unwrap();
    let alone = Limiter::gcra(quota).try_build().unwrap();
    let alone_log = Limiter::sliding_log(quota).try_build().unwrap();
    let clock = ManualClock::new();
    let keyed = KeyedLimiter::gcra(quota).clock(&clock).capacity(100).try_build().unwrap();
    let keyed_log =
        KeyedLimiter::sliding_log(quota).clock(&clock).capacity(100).try_build().unwrap();
    let slower = Quota::n_per_second(4).unwrap();
    let watched = KeyedLimiter::gcra(quota).count_decisions(true).remember_denied(20);
    let watched = watched.clock(&clock).capacity(100).try_build().unwrap();
    let mut outcomes = [0_u32; 4];
    let n = allocations(|| {
        keyed.set_quota(slower).unwrap();
        keyed.set_quota(quota).unwrap();
        for round in 0..50_u64 {
            clock.advance(Duration::from_millis(150));
            // Hits, denials, first sights, reclaims, and a full table.
            for key in 0..400_u64 {
                let key = (key * (1 + round % 3)).to_le_bytes();
                for d in [
                    keyed.check(&key),
                    keyed_log.check(&key),
                    keyed.check_n(&key, 3),
                    keyed_log.check_n(&key, 9),
                    keyed.peek(&key),
                    keyed_log.peek(&key),
                    alone.check(),
                    alone_log.check(),
                    alone.peek(),
                    alone_log.check_n(6),
                    keyed.key(&key).reserve(1, Duration::from_secs(1)),
                    keyed.key(&key).quota(slower).unwrap().check(),
                    keyed.key(&key).refund(Charge::new(1, clock.now())),
                    keyed_log.key(&key).refund(Charge::new(1, clock.now())),
                    keyed_log.key(&key).settle(&mut Charge::new(1, clock.now()), round % 9),
                    keyed.key(&key).settle(&mut Charge::new(1, clock.now()), round % 9),
                    keyed.check_many([key, key]).last().unwrap(),
                    keyed_log.check_many_hashes([round]).last().unwrap(),
                    keyed.hashed(round).reset(),
                    alone.settle(&mut Charge::new(1, Nanos::ZERO), 2),
                    watched.check(&key),
                ] {
                    outcomes[match d.outcome() {
                        _ if !d.is_accounted() => 3,
                        Outcome::Allowed => 0,
                        Outcome::Later => 1,
                        _ => 2,
                    }] += 1;
                }
            }
        }
    });
    assert!(outcomes.iter().all(|n| *n > 100), "every kind of answer was given: {outcomes:?}");
    assert_eq!(n, 0);
}

#[test]
fn everything_is_send_and_sync() {
    fn both<T: Send + Sync + 'static>() {}
    both::<Limiter>();
    both::<Limiter<SlidingLog, ManualClock>>();
    both::<KeyedLimiter>();
    both::<KeyedLimiter<SlidingLog, CoarseClock>>();
    both::<Decision>();
    both::<Charge>();
    both::<tollgate::Key<'static>>();
    both::<Quota>();
    both::<Gcra>();
    both::<BuildError>();
}

#[test]
fn a_decision_is_small_and_copy() {
    fn copy<T: Copy>() {}
    copy::<Decision>();
    // One cache line, with what is needed to give the charge back.
    assert!(size_of::<Decision>() <= 64, "{}", size_of::<Decision>());
}

#[test]
fn what_cannot_be_built_says_why() {
    let quota = Quota::n_per_second(5).unwrap();
    let log = |quota| KeyedLimiter::sliding_log(quota).try_build().unwrap_err();
    let text = |e: BuildError| e.to_string();
    assert_eq!(log(quota.burst(6).unwrap()), BuildError::BurstOnLog { units: 5, burst: 6 });
    let many = Quota::n_per_day(300_000).unwrap();
    assert_eq!(log(many), BuildError::TooManyUnits { units: 300_000 });
    let gcra = KeyedLimiter::gcra(quota);
    assert_eq!(gcra.clone().capacity(0).try_build().unwrap_err(), BuildError::ZeroCapacity);
    assert!(matches!(
        gcra.clone().capacity(usize::MAX).try_build().unwrap_err(),
        BuildError::CapacityTooLarge { .. }
    ));
    // Addressable, but more than any machine gives.
    let huge = KeyedLimiter::sliding_log(Quota::n_per_hour(200_000).unwrap()).capacity(1 << 32);
    assert!(matches!(huge.clone().try_build().unwrap_err(), BuildError::OutOfMemory { .. }));
    assert!(text(huge.try_build().unwrap_err()).starts_with("could not allocate "));
    assert!(huge_memory_is_told() > 1 << 45);
}

fn huge_memory_is_told() -> usize {
    KeyedLimiter::sliding_log(Quota::n_per_hour(200_000).unwrap())
        .capacity(1 << 32)
        .memory()
        .unwrap()
}

/// The least capacity works, and its saturation answers are as configured.
#[test]
fn a_full_table_answers_as_configured() {
    let clock = ManualClock::new();
    for answer in [OnSaturation::Allow, OnSaturation::Deny] {
        let limiter = KeyedLimiter::gcra("1/min".parse().unwrap())
            .clock(&clock)
            .capacity(1)
            .on_saturation(answer)
            .try_build()
            .unwrap();
        let now = Nanos::from_secs(1);
        let mut known = Vec::new();
        let mut refused = 0;
        for key in 0..64_u64 {
            let d = limiter.check_hash_n_at(key, 1, now);
            if d.is_accounted() {
                assert!(d.is_allowed());
                known.push(key);
                continue;
            }
            refused += 1;
            assert_eq!(d.is_allowed(), answer == OnSaturation::Allow);
            // The soonest time a slot is free is when the first debt is paid.
            let wait = (answer == OnSaturation::Deny).then_some(Duration::from_secs(60));
            assert_eq!(d.retry_after(), wait);
            assert!(d.to_string().ends_with("not accounted (table full)"), "{d}");
        }
        assert_eq!((known.len(), refused), (16, 48), "one bucket of sixteen slots");
        assert_eq!(limiter.saturated(), refused);
        // Nobody who was throttled is forgiven.
        for key in known {
            assert_eq!(limiter.check_hash_n_at(key, 1, now).outcome(), Outcome::Later);
        }
        // A minute later all are as good as new, and anybody finds a place.
        let later = now.after(Duration::from_secs(60));
        assert!(limiter.check_hash_n_at(1000, 1, later).is_accounted());
    }
}

/// Denied, impossible and looking requests of new keys leave no trace.
#[test]
fn denials_and_looks_take_no_slot() {
    let limiter = KeyedLimiter::gcra("3/min".parse().unwrap())
        .clock(ManualClock::new())
        .capacity(1)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap();
    for key in 0..1000 {
        assert_eq!(limiter.check_hash_n_at(key, 4, Nanos::ZERO).outcome(), Outcome::Never);
        assert!(limiter.check_hash_n_at(key, 0, Nanos::ZERO).is_allowed());
    }
    for key in 0..16 {
        assert!(limiter.check_hash_n_at(key, 1, Nanos::ZERO).is_allowed());
    }
    assert_eq!(limiter.saturated(), 0);
}
