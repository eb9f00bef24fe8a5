//! Whatever an answer says: no panic, no wait of zero, none beyond its bound.

use proptest::prelude::*;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tollgate::{
    ManualClock, Nanos,
    client::{Advice, Answered, Backoff, CallEnded, GiveUp, Jitter, Next, Pacer, Retry, Step},
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn name() -> impl Strategy<Value = String> {
    let names = [
        "Retry-After",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "X-RateLimit-Reset-After",
        "RateLimit-Reset",
        "RateLimit-Remaining",
        "RateLimit",
        "RateLimit-Policy",
        "Date",
        "Age",
    ];
    prop_oneof![9 => prop::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => ".*"]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        "[0-9]{0,30}".prop_map(String::into_bytes),
        "[-+]?[0-9]{1,25}(\\.[0-9]{0,4})?([eE][0-9]{1,3})?".prop_map(String::into_bytes),
        prop::sample::select(vec!["NaN", "inf", "-inf", "-0", "0", "0.0", "00", "null"])
            .prop_map(|text| text.as_bytes().to_vec()),
        "[0-9]{1,3}(, ?[0-9]{1,3}){0,50}".prop_map(String::into_bytes),
        "(Mon|Sun|Xyz), [0-9]{2} (Jan|Feb|Foo) [0-9]{1,9} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|EST|[+-][0-9]{4})"
            .prop_map(String::into_bytes),
        "\"[a-c]\";(r|q)=-?[0-9]{1,17}(;(t|w)=-?[0-9]{1,17})?(, \"[a-c]\";r=[0-9];t=[0-9])?"
            .prop_map(String::into_bytes),
    ]
}

fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    prop::collection::vec((name(), value()), 0..8)
}

fn backoff() -> impl Strategy<Value = Backoff> {
    let span = || prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), any::<Duration>()];
    let jitter = prop_oneof![any::<f64>(), 0.0..1.0];
    (span(), span(), jitter, any::<u32>(), span()).prop_map(
        |(first, longest, jitter, tries, total)| {
            Backoff::doubling()
                .first(first)
                .longest(longest)
                .jitter(jitter)
                .tries(tries)
                .total(total)
        },
    )
}

/// Also before 1970.
fn wall() -> impl Strategy<Value = SystemTime> {
    (any::<u32>(), any::<bool>()).prop_map(|(secs, before)| {
        let span = Duration::from_secs(secs.into());
        if before { UNIX_EPOCH - span } else { UNIX_EPOCH + span }
    })
}

proptest! {
    #[test]
    fn what_is_read_is_bounded(fields in fields(), wall in wall()) {
        let advice = Advice::read(fields, wall);
        prop_assert!(advice.retry_after().is_none_or(|wait| wait <= YEAR));
        prop_assert!(advice.limits().len() <= 9);
        for told in advice.limits() {
            prop_assert!(told.reset.is_none_or(|reset| reset <= YEAR));
            prop_assert!(told.window.is_none_or(|window| !window.is_zero() && window <= YEAR));
        }
    }

    #[test]
    fn waits_are_within_the_total_and_never_zero(
        answers in prop::collection::vec((prop::sample::select(vec![200, 429, 503]), fields()), 1..12),
        backoff in backoff(),
        total in any::<u64>(),
        seed in any::<u64>(),
    ) {
        let total = Duration::from_nanos(total);
        let mut retry = Retry::new(backoff.total(total), Jitter::seeded(seed));
        let (mut now, mut since) = (Nanos::ZERO, None);
        for (status, fields) in answers {
            let advice = Advice::read(fields, UNIX_EPOCH);
            match retry.next(status, &advice, now) {
                Next::Done => prop_assert!(!Retry::is_denial(status, &advice)),
                Next::Wait(wait) => {
                    let since = *since.get_or_insert(now);
                    prop_assert!(!wait.is_zero());
                    prop_assert!(now.since(since) + wait <= total);
                    // Never earlier than told.
                    prop_assert!(wait >= advice.retry_after().unwrap_or_default());
                    now = now.after(wait);
                }
                Next::GiveUp(GiveUp::Total(wait)) => {
                    let since = *since.get_or_insert(now);
                    prop_assert!(now.since(since).saturating_add(wait) > total);
                }
                Next::GiveUp(_) => prop_assert!(Retry::is_denial(status, &advice)),
            }
        }
    }

    /// However the answers look, a pacer asks nobody to wait for longer than it may, and
    /// whoever waits as it says goes in the end.
    #[test]
    fn a_pacer_is_never_stuck(
        answers in prop::collection::vec((prop::sample::select(vec![200, 429, 503]), fields()), 1..20),
        longest in 0_u64..10_000_000_000,
        share in any::<f64>(),
        seed in any::<u64>(),
    ) {
        let longest = Duration::from_nanos(longest);
        let clock = Arc::new(ManualClock::new());
        let pacer = Pacer::builder()
            .clock(Arc::clone(&clock))
            .jitter(Jitter::seeded(seed))
            .longest_wait(longest)
            .slow_below(share)
            .build();
        for (status, fields) in answers {
            // A call of its own each time: its own wait is bounded by the total instead.
            let mut call = pacer.call();
            let mut waits = 0;
            loop {
                match call.step() {
                    Step::Go => break,
                    Step::Wait(wait) => {
                        prop_assert!(!wait.is_zero());
                        prop_assert!(wait <= longest.max(Duration::from_millis(1)), "{:?}", wait);
                        clock.advance(wait);
                        waits += 1;
                        prop_assert!(waits < 10, "it never goes");
                    }
                    Step::Busy => prop_assert!(false, "nobody is in flight"),
                    Step::End => prop_assert!(false, "it was not denied"),
                }
            }
            prop_assert_eq!(pacer.in_flight(), 1);
            let answered = call.answered(status, fields, UNIX_EPOCH);
            prop_assert!(answered != Answered::Done || status != 429);
            prop_assert_eq!(pacer.in_flight(), 0);
        }
    }
}

#[test]
fn a_century_is_given_up_at_once_and_holds_the_others_for_an_hour() {
    let clock = Arc::new(ManualClock::new());
    let pacer = Pacer::builder().clock(Arc::clone(&clock)).build();
    let mut call = pacer.call();
    assert_eq!(call.step(), Step::Go);
    let answered = call.answered(429, [("Retry-After", "3155760000")], SystemTime::now());
    let Answered::GiveUp(GiveUp::Total(wait)) = answered else { panic!("{answered:?}") };
    assert!(wait >= YEAR && wait <= YEAR + Duration::from_secs(1));
    let Step::Wait(wait) = pacer.call().step() else { panic!() };
    assert_eq!(wait, Duration::from_secs(3600));
    clock.advance(wait);
    assert_eq!(pacer.call().step(), Step::Go);
}

#[test]
fn zero_and_nonsense_are_never_at_once() {
    for value in ["0", "-1", "NaN", "Mon, 15 Jan 1990 10:49:42 GMT", ""] {
        let advice = Advice::read([("Retry-After", value)], SystemTime::now());
        let mut retry = Retry::new(Backoff::doubling(), Jitter::seeded(0));
        let waits = [(); 3].map(|()| retry.next(429, &advice, Nanos::ZERO));
        assert_eq!(waits, [1, 2, 4].map(|secs| Next::Wait(Duration::from_secs(secs))), "{value}");
    }
}

#[test]
fn the_same_seed_gives_the_same_waits_and_another_one_others() {
    let waits = |seed| {
        let mut jitter = Jitter::seeded(seed);
        [(); 5].map(|()| Backoff::default().wait(3, &mut jitter))
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}

/// However it waits: for its own time, for others, or for one of them to end.
#[test]
fn the_total_holds_through_a_pacer() {
    let clock = Arc::new(ManualClock::new());
    let total = Duration::from_secs(30);
    let pacer = Pacer::builder()
        .clock(Arc::clone(&clock))
        .quota("1000/s".parse().unwrap())
        .in_flight(2)
        .backoff(Backoff::doubling().total(total))
        .build();
    let go = || {
        let mut call = pacer.call();
        assert_eq!(call.step(), Step::Go);
        call
    };
    let told = |secs: &'static str| [("Retry-After", secs)];
    // In flight are more than may be, until the total is over.
    let (mut call, in_flight) = (go(), go());
    assert_eq!(call.answered(429, told("1"), UNIX_EPOCH), Answered::Again);
    clock.advance(Duration::from_secs(1));
    assert_eq!(call.step(), Step::Busy);
    let mut first = pacer.call();
    assert_eq!(first.step(), Step::Busy);
    clock.advance(total);
    assert_eq!(call.step(), Step::End);
    assert_eq!(call.block(), Err(CallEnded));
    // One that was not denied has no total.
    assert_eq!(first.step(), Step::Busy);
    drop(in_flight);
    assert_eq!(first.step(), Step::Go);
    assert_eq!(first.answered(200, told("0"), UNIX_EPOCH), Answered::Done);

    // Another one's denial holds everybody for longer: no sleep in vain.
    let (mut call, mut other) = (go(), go());
    assert_eq!(call.answered(429, told("1"), UNIX_EPOCH), Answered::Again);
    assert!(matches!(other.answered(429, told("60"), UNIX_EPOCH), Answered::GiveUp(_)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(call.step(), Step::End);
    assert_eq!(pacer.in_flight(), 0);
    assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(59)));
}
