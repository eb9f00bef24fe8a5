//! What a pacer makes of limits that are told now and then: it forgets what is told no more,
//! and takes no limit for another one.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tollgate::{
    ManualClock, Nanos,
    client::{Answered, Backoff, Call, Jitter, Pacer, PacerBuilder, Step},
};

type Clock = Arc<ManualClock>;
type Fields<'a> = &'a [(&'a str, &'a str)];

/// With four calls in flight, no jitter, and `built`.
fn pacer(built: impl FnOnce(PacerBuilder<Clock>) -> PacerBuilder<Clock>) -> (Pacer<Clock>, Clock) {
    let clock = Arc::new(ManualClock::new());
    let pacer = Pacer::builder()
        .in_flight(4)
        .backoff(Backoff::doubling())
        .jitter(Jitter::seeded(1))
        .clock(Arc::clone(&clock));
    (built(pacer).build(), clock)
}

fn answer(call: &mut Call<Clock>, status: u16, fields: Fields) -> Answered {
    call.answered(status, fields.iter().copied(), UNIX_EPOCH)
}

fn go(pacer: &Pacer<Clock>) -> Call<Clock> {
    let mut call = pacer.call();
    assert_eq!(call.step(), Step::Go);
    call
}

/// One after the other, each answered so.
fn serially(pacer: &Pacer<Clock>, times: usize, fields: Fields) {
    for _ in 0..times {
        assert_eq!(answer(&mut go(pacer), 200, fields), Answered::Done);
    }
}

/// How many may start now; all of them are answered with 200 and `fields`.
fn at_once(pacer: &Pacer<Clock>, fields: Fields) -> usize {
    let mut calls = Vec::new();
    loop {
        let mut call = pacer.call();
        if call.step() != Step::Go {
            break;
        }
        calls.push(call);
        assert!(calls.len() < 100);
    }
    for call in &mut calls {
        assert_eq!(answer(call, 200, fields), Answered::Done);
    }
    calls.len()
}

const SILENT: Fields = &[];
const EMPTY: Fields = &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "30")];

#[test]
fn a_limit_that_only_a_denial_tells_does_not_hold_calls_apart_for_ever() {
    let (pacer, clock) = pacer(|built| built);
    assert_eq!(answer(&mut go(&pacer), 429, EMPTY), Answered::Again);
    clock.advance(Duration::from_secs(30));
    // The first one goes alone; whoever comes after doubles.
    assert_eq!([(); 4].map(|()| at_once(&pacer, SILENT)), [1, 2, 4, 4]);
}

#[test]
fn what_was_left_when_answers_fell_silent_is_used_up_once() {
    let (pacer, clock) = pacer(|built| built);
    let told: Fields = &[("X-RateLimit-Remaining", "3"), ("X-RateLimit-Reset", "30")];
    serially(&pacer, 1, told);
    serially(&pacer, 3, SILENT);
    assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(30)));
    clock.advance(Duration::from_secs(30));
    assert_eq!(at_once(&pacer, SILENT), 1);
    assert_eq!([(); 2].map(|()| at_once(&pacer, SILENT)), [4, 4]);
}

#[test]
fn an_answer_that_tells_no_reset_tells_what_is_left_all_the_same() {
    let (pacer, clock) = pacer(|built| built);
    assert_eq!(answer(&mut go(&pacer), 429, EMPTY), Answered::Again);
    clock.advance(Duration::from_secs(30));
    let left: Fields = &[("X-RateLimit-Remaining", "50")];
    assert_eq!([(); 4].map(|()| at_once(&pacer, left)), [1, 2, 4, 4]);
    // And it is heard when nothing is.
    serially(&pacer, 1, EMPTY);
    assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(30)));

    // Others share the limit: until the reset that was told before.
    let (pacer, clock) = self::pacer(|built| built);
    serially(&pacer, 1, &[("X-RateLimit-Remaining", "10"), ("X-RateLimit-Reset", "30")]);
    clock.advance(Duration::from_secs(5));
    serially(&pacer, 1, &[("X-RateLimit-Remaining", "0")]);
    assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(25)));
}

#[test]
fn what_was_told_without_a_window_holds_for_as_long_as_its_answer_is_the_last() {
    let (pacer, _) = pacer(|built| built);
    serially(&pacer, 3, SILENT);
    // The reset is now: one goes, and the others by what it is told.
    let now: Fields = &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "0")];
    serially(&pacer, 1, now);
    assert_eq!([(); 3].map(|()| at_once(&pacer, now)), [1, 1, 1]);
}

#[test]
fn a_call_that_is_lost_holds_nobody_for_a_window_that_is_told_no_more() {
    let (pacer, clock) = pacer(|built| built);
    let hour: Fields = &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "3600")];
    serially(&pacer, 1, hour);
    clock.advance(Duration::from_secs(3600));
    serially(&pacer, 1, SILENT);
    for _ in 0..10 {
        drop(go(&pacer));
        clock.advance(Duration::from_secs(1));
    }
}

/// The first one after a reset gets no answer. A line that is down for a moment is no reason
/// to stand still for an hour, and whether the server counted it, nobody knows.
#[test]
fn a_call_that_is_lost_where_nothing_is_left_is_followed_by_one_after_the_schedules_wait() {
    let hour = |limit| {
        [
            ("X-RateLimit-Limit", limit),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", "3600"),
        ]
    };
    let after_each_loss = |told: Fields| {
        let (pacer, clock) = pacer(|built| built);
        serially(&pacer, 1, told);
        clock.advance(Duration::from_secs(3600));
        [(); 9].map(|()| {
            drop(go(&pacer));
            let Step::Wait(wait) = pacer.call().step() else { panic!("at once") };
            clock.advance(wait);
            wait.as_secs()
        })
    };
    assert_eq!(after_each_loss(&hour("5000")), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    // Once they may have been all that the limit has, or nobody told how many those are.
    assert_eq!(after_each_loss(&hour("3")), [1, 2, 3600, 3600, 3600, 3600, 3600, 3600, 3600]);
    assert_eq!(after_each_loss(&hour("1")), [3600; 9]);
    assert_eq!(after_each_loss(&hour("x")), [3600; 9]);
    // Never for longer than the window is.
    let short =
        [("X-RateLimit-Limit", "9"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "5")];
    assert_eq!(after_each_loss(&short), [1, 2, 4, 5, 5, 5, 5, 5, 5]);

    // Each goes alone, and an answer ends it.
    let (pacer, clock) = pacer(|built| built);
    let told = hour("5000");
    serially(&pacer, 1, &told);
    clock.advance(Duration::from_secs(3600));
    drop(go(&pacer));
    clock.advance(Duration::from_secs(1));
    let mut one = go(&pacer);
    assert_eq!(pacer.call().step(), Step::Busy);
    let full: Fields = &[("X-RateLimit-Remaining", "4998"), ("X-RateLimit-Reset", "3599")];
    assert_eq!(answer(&mut one, 200, full), Answered::Done);
    assert_eq!(at_once(&pacer, full), 4);
    serially(&pacer, 1, &told);
    clock.advance(Duration::from_secs(3600));
    drop(go(&pacer));
    assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(1)));
}

#[test]
fn an_hours_limit_that_is_told_is_not_taken_for_a_seconds() {
    let quotas = |built: PacerBuilder<Clock>| {
        built.quota("10/s".parse().unwrap()).quota("5000/h".parse().unwrap())
    };
    for limit in [Some("5000"), Some("7"), None] {
        let (pacer, clock) = pacer(quotas);
        serially(&pacer, 9, SILENT);
        let mut fields = vec![("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1800")];
        fields.extend(limit.map(|limit| ("X-RateLimit-Limit", limit)));
        serially(&pacer, 1, &fields);
        // Units of the second have left its window, and none of the hour's.
        clock.advance(Duration::from_secs(2));
        assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(1798)), "{limit:?}");
    }
    // The second's own is still known for what it is: its units leave.
    let (pacer, clock) = pacer(quotas);
    serially(&pacer, 9, SILENT);
    let second: Fields =
        &[("X-RateLimit-Limit", "10"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "2")];
    serially(&pacer, 1, second);
    clock.advance(Duration::from_millis(1500));
    assert_eq!(pacer.call().step(), Step::Go);
    // One of as many in a longer time is not the second's.
    let longer: Fields =
        &[("X-RateLimit-Limit", "10"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60")];
    serially(&pacer, 1, longer);
    assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(60)));
}

#[test]
fn a_plan_that_is_told_no_more_goes() {
    let (pacer, clock) = pacer(|built| built);
    let free: Fields =
        &[("RateLimit-Policy", "\"free\";q=2;w=60"), ("RateLimit", "\"free\";r=1;t=60")];
    let pro: Fields =
        &[("RateLimit-Policy", "\"pro\";q=1000;w=60"), ("RateLimit", "\"pro\";r=900;t=60")];
    serially(&pacer, 1, free);
    // For two windows it holds all the same.
    serially(&pacer, 1, pro);
    assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(60)));
    clock.advance(Duration::from_secs(120));
    serially(&pacer, 100, pro);
}

#[test]
fn of_more_limits_than_are_kept_the_one_not_told_for_longest_goes() {
    let (pacer, clock) = pacer(|built| built);
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let policy = format!("\"{name}\";q=100;w=3600");
        serially(&pacer, 1, &[("RateLimit-Policy", &policy)]);
        clock.advance(Duration::from_secs(1));
    }
    serially(&pacer, 1, &[("RateLimit-Policy", "\"real\";q=2;w=3600")]);
    // The ninth: that one is in its log, and so is another one.
    serially(&pacer, 1, SILENT);
    assert!(matches!(pacer.call().step(), Step::Wait(_)));
}

#[test]
fn after_a_denial_the_answers_of_calls_sent_before_let_nobody_go() {
    let (pacer, clock) = pacer(|built| built.quota("1000/s".parse().unwrap()));
    let mut calls = [(); 4].map(|()| go(&pacer));
    assert_eq!(answer(&mut calls[0], 429, &[("Retry-After", "1")]), Answered::Again);
    for call in &mut calls[1..] {
        assert_eq!(answer(call, 200, SILENT), Answered::Done);
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!([(); 4].map(|()| at_once(&pacer, SILENT)), [1, 2, 4, 4]);
}

#[test]
fn a_unit_that_had_left_before_an_answer_is_not_counted_again_after_it() {
    let (pacer, clock) = pacer(|built| built.quota("10/min".parse().unwrap()));
    let mut a = go(&pacer);
    clock.set(Nanos::from_secs(2));
    assert_eq!(answer(&mut a, 200, SILENT), Answered::Done);
    // Served when the first one, served at once, had left the window.
    clock.set(Nanos::from_secs(61));
    let mut b = go(&pacer);
    let fields: Fields =
        &[("X-RateLimit-Limit", "10"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "30")];
    assert_eq!(answer(&mut b, 200, fields), Answered::Done);
    clock.set(Nanos::from_secs(62));
    assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(29)));
}

/// Windows of less than a second cannot be told in whole seconds: who knows the quota is not
/// slowed by what our own fields tell of it.
#[cfg(feature = "policy")]
#[test]
fn our_own_fields_of_a_short_window_slow_nobody() {
    use tollgate::policy::Policy;

    for (quota, algorithm, least) in [
        ("10/s burst 3", "gcra", 29),
        ("5/200ms", "sliding-log", 12),
        ("10/s burst 11", "gcra", 21),
    ] {
        let policy = format!(
            "[[limit]]\nname = 'api'\nkey = []\nalgorithm = '{algorithm}'\nquota = '{quota}'\n\
             [response]\nheaders = 'ratelimit'\n"
        );
        let policy = Policy::from_toml(&policy).unwrap();
        let (pacer, clock) = pacer(|built| built.quota(quota.parse().unwrap()).in_flight(1));
        let start = policy.now();
        for _ in 0..32 {
            let mut call = pacer.call();
            while let Step::Wait(wait) = call.step() {
                clock.advance(wait);
            }
            let now = start.after(tollgate::Clock::now(&clock).since(Nanos::ZERO));
            let decision = policy.check_at(&policy.request("GET", "/"), now);
            assert!(decision.is_allowed(), "{quota}");
            let response = decision.response();
            let fields: Vec<_> = response.fields.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(answer(&mut call, 200, &fields), Answered::Done);
        }
        let took = tollgate::Clock::now(&clock).since(Nanos::ZERO);
        assert!(took <= Duration::from_millis(least * 100 + 100), "{quota}: {took:?}");
    }
}

/// What a gateway could not have served may have been counted by what is behind it.
#[test]
fn a_call_that_was_denied_with_503_is_counted_and_with_429_is_not() {
    for (status, counted) in [(503, true), (429, false)] {
        let (pacer, clock) = pacer(|built| built.quota("2/min".parse().unwrap()));
        serially(&pacer, 1, SILENT);
        let mut call = go(&pacer);
        assert_eq!(answer(&mut call, status, &[("Retry-After", "1")]), Answered::Again);
        clock.advance(Duration::from_secs(2));
        let next = pacer.call().step();
        let waits = matches!(next, Step::Wait(wait) if wait > Duration::from_secs(50));
        assert_eq!((waits, next == Step::Go), (counted, !counted), "{status}: {next:?}");
    }
}
