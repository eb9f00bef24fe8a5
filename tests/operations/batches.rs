//! Property 4: batches.

use proptest::{collection::vec, prelude::*};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tollgate::{Algorithm, Decision, KeyedLimiter, ManualClock, Nanos, OnSaturation, Quota};

fn limiters<A: Algorithm>(
    build: impl Fn(Quota) -> tollgate::KeyedBuilder<A>,
) -> [KeyedLimiter<A, ManualClock>; 2] {
    [(); 2].map(|()| {
        build("3/s".parse().unwrap())
            .clock(ManualClock::new())
            .seed(7)
            // A bucket for more keys than that, so that some find no slot.
            .capacity(8)
            .on_saturation(OnSaturation::Deny)
            .try_build()
            .unwrap()
    })
}

fn same<A: Algorithm>(
    [one, many]: [KeyedLimiter<A, ManualClock>; 2],
    rounds: &[(u64, Vec<u64>)],
) -> Result<(), TestCaseError> {
    let mut now = 0;
    for (by, keys) in rounds {
        now += by;
        let at = Nanos::new(now);
        let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let singly: Vec<_> = texts.iter().map(|key| one.check_at(key, at)).collect();
        let batch = many.check_many_at(&texts, at);
        prop_assert_eq!(batch.size_hint(), (keys.len(), Some(keys.len())));
        prop_assert_eq!(singly, batch.collect::<Vec<_>>());
        let singly: Vec<_> = keys.iter().map(|key| one.check_hash_at(*key, at)).collect();
        let batch = many.check_many_hashes_at(keys.iter().copied(), at);
        prop_assert_eq!(singly, batch.collect::<Vec<_>>());
    }
    prop_assert_eq!(one.saturated(), many.saturated());
    Ok(())
}

proptest! {
    #[test]
    fn a_batch_is_checks_one_by_one(
        rounds in vec((0..400_000_000_u64, vec(0..30_u64, 0..70)), 1..6),
    ) {
        same(limiters(KeyedLimiter::gcra), &rounds)?;
        same(limiters(KeyedLimiter::sliding_log), &rounds)?;
    }
}

#[test]
fn a_decision_that_is_not_taken_charges_nobody() {
    let limiter = KeyedLimiter::gcra("1/min".parse().unwrap()).try_build().unwrap();
    drop(limiter.check_many(["a", "b"]));
    assert_eq!(limiter.check_many(["a", "b"]).take(1).filter(Decision::is_allowed).count(), 1);
    assert_eq!((limiter.peek("a").remaining(), limiter.peek("b").remaining()), (0, 1));
}

#[test]
fn one_reading_of_the_clock_for_all() {
    let clock = ManualClock::new();
    let limiter =
        KeyedLimiter::gcra("1/s".parse().unwrap()).clock(&clock).epoch(Nanos::ZERO).try_build();
    let limiter = limiter.unwrap();
    let mut batch = limiter.check_many(["a", "a"]);
    assert!(batch.next().unwrap().is_allowed());
    clock.set(Nanos::from_secs(5));
    assert!(batch.next().unwrap().is_denied() && batch.next().is_none() && batch.next().is_none());
}

/// An iterator that goes on after its end, as that of a channel does, is asked no
/// further: its next keys are for the next batch.
#[test]
fn no_key_is_taken_beyond_the_end() {
    let limiter = KeyedLimiter::gcra("1/min".parse().unwrap()).try_build().unwrap();
    let mut keys = [Some("a"), Some("b"), None, Some("c")].into_iter();
    let batch = limiter.check_many(std::iter::from_fn(|| keys.next().flatten()));
    assert_eq!(batch.count(), 2);
    assert_eq!(keys.next(), Some(Some("c")));
}

/// A panic among the caller's keys loses none of those that were taken before.
#[test]
fn a_key_that_panics_loses_no_other() {
    let limiter = KeyedLimiter::gcra("1/min".parse().unwrap()).try_build().unwrap();
    let mut batch = limiter.check_many((0..40).map(|n| {
        assert!(n != 20, "no such key");
        n.to_string()
    }));
    let (mut decided, mut panics) = (0, 0);
    loop {
        match catch_unwind(AssertUnwindSafe(|| batch.next())) {
            Ok(Some(decision)) => decided += usize::from(decision.is_allowed()),
            Ok(None) => break,
            Err(_) => panics += 1,
        }
    }
    assert_eq!((decided, panics), (39, 1));
    drop(batch);
    assert!((0..40).all(|n| limiter.peek(&n.to_string()).remaining() == u64::from(n == 20)));
}
