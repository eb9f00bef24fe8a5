//! Callers read their clocks before they take the pacer's lock: what is decided by an earlier
//! reading, after a later one.

use crate::tasks::within_a_minute;
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, UNIX_EPOCH},
};
use tollgate::{
    ManualClock, Nanos,
    client::{Access, Advice, Answered, Backoff, Call, Pacer, Step, TokenHolder},
};

const LIMIT: &str = "X-RateLimit-Limit";
const LEFT: &str = "X-RateLimit-Remaining";
const RESET: &str = "X-RateLimit-Reset";
const WINDOW: &str = "10/10s";

fn at(millis: u64) -> Nanos {
    Nanos::ZERO.after(Duration::from_millis(millis))
}

fn known() -> Pacer<Arc<ManualClock>> {
    let built = Pacer::builder().quota(WINDOW.parse().unwrap()).backoff(Backoff::doubling());
    built.clock(Arc::new(ManualClock::new())).build()
}

fn told(call: &mut Call<Arc<ManualClock>>, fields: &[(&str, &str)], now: Nanos) {
    let advice = Advice::read(fields.iter().copied(), UNIX_EPOCH);
    assert_eq!(call.advised_at(200, &advice, now), Answered::Done);
}

/// Where starts are not spaced, whoever read the clock first and comes second goes as well.
#[test]
fn an_earlier_reading_is_no_reason_to_wait() {
    let (now, earlier) = (at(5_000), Nanos::new(4_999_999_000));
    let pacer = known();
    let (mut first, mut second) = (pacer.call(), pacer.call());
    assert_eq!((first.step_at(now), second.step_at(earlier)), (Step::Go, Step::Go));
    // Where they are, it waits until then.
    let spaced = Pacer::builder().quota(WINDOW.parse().unwrap()).slow_below(1.0).build();
    let (mut first, mut second) = (spaced.call(), spaced.call());
    assert_eq!(first.step_at(now), Step::Go);
    assert_eq!(second.step_at(earlier), Step::Wait(Duration::from_micros(1_000_001)));
}

/// A reset that has come has done so for everybody.
#[test]
fn a_reset_at_once_is_over_for_an_earlier_reading() {
    let pacer = known();
    let mut first = pacer.call();
    assert_eq!(first.step_at(at(5_000)), Step::Go);
    told(&mut first, &[(LIMIT, "10"), (LEFT, "0"), (RESET, "0")], at(5_000));
    assert_eq!(pacer.call().step_at(Nanos::new(4_999_999_000)), Step::Go);
    // The last one that was told holds where none is.
    let pacer = known();
    let (mut first, mut second) = (pacer.call(), pacer.call());
    assert_eq!((first.step_at(at(0)), second.step_at(at(0))), (Step::Go, Step::Go));
    told(&mut first, &[(LIMIT, "10"), (LEFT, "1"), (RESET, "2")], at(0));
    told(&mut second, &[(LIMIT, "10"), (LEFT, "0")], at(3_000));
    assert_eq!(pacer.call().step_at(at(2_999)), Step::Go);
}

/// What the server had let go of before its latest answer does not come back to us by one that is
/// read after that although it came before.
#[test]
fn a_unit_is_not_freed_twice() {
    let pacer = known();
    let mut early = pacer.call();
    assert_eq!(early.step_at(at(0)), Step::Go);
    told(&mut early, &[], at(2_000));
    let (mut x, mut y) = (pacer.call(), pacer.call());
    assert_eq!((x.step_at(at(9_000)), y.step_at(at(9_000))), (Step::Go, Step::Go));
    // The thread of x read the clock at 9.8 s, and was stopped until y's had done all this.
    told(&mut y, &[(LIMIT, "10"), (LEFT, "1"), (RESET, "9")], at(11_000));
    told(&mut x, &[(LIMIT, "10"), (LEFT, "2"), (RESET, "10")], at(9_800));
    let mut last = pacer.call();
    assert_eq!(last.step_at(at(11_500)), Step::Go);
    // Not when the first call of all is ten seconds old: others use the limit, too.
    assert_eq!(pacer.call().step_at(at(11_500)), Step::Wait(Duration::from_millis(8_300)));
}

/// After a reset one goes, and the others by what it is told, or when a unit of their own has come
/// back: not only when it ends, which may be never.
#[test]
fn who_is_told_busy_does_not_wait_for_an_end_alone() {
    let pacer = known();
    let mut first = pacer.call();
    assert_eq!(first.step_at(at(0)), Step::Go);
    told(&mut first, &[(LIMIT, "10"), (LEFT, "0"), (RESET, "1")], at(0));
    let (mut slow, mut next) = (pacer.call(), pacer.call());
    assert_eq!((slow.step_at(at(1_000)), next.step_at(at(1_000))), (Step::Go, Step::Busy));
    assert_eq!(next.step_at(at(9_999)), Step::Busy);
    assert_eq!(next.step_at(at(10_000)), Step::Go);
}

/// What had left the server's window by the reset is in what the reset gave: a unit that was taken
/// then does not come back once more.
#[test]
fn a_unit_that_the_reset_gave_does_not_come_back() {
    let pacer = known();
    let mut early = pacer.call();
    assert_eq!(early.step_at(at(0)), Step::Go);
    told(&mut early, &[], at(500));
    let mut last = pacer.call();
    assert_eq!(last.step_at(at(5_000)), Step::Go);
    told(&mut last, &[(LIMIT, "10"), (LEFT, "0"), (RESET, "5")], at(5_000));
    let (mut slow, mut next) = (pacer.call(), pacer.call());
    assert_eq!((slow.step_at(at(10_000)), next.step_at(at(10_000))), (Step::Go, Step::Busy));
    // The first call's stamp is over, by its end, when the server has let go of it already.
    assert_eq!(next.step_at(at(10_500)), Step::Busy);
    assert_eq!(next.step_at(at(15_000)), Step::Go);
}

/// So tasks and threads have a timer then, and are woken by an end before.
#[test]
fn who_is_told_busy_asks_again_in_time() {
    within_a_minute(|| {
        for ends in [false, true] {
            let clock = Arc::new(ManualClock::new());
            let built = Pacer::builder().quota(WINDOW.parse().unwrap()).clock(clock.clone());
            let pacer = built.backoff(Backoff::doubling()).build();
            let mut first = pacer.call();
            assert_eq!(first.step(), Step::Go);
            told(&mut first, &[(LIMIT, "10"), (LEFT, "0"), (RESET, "1")], at(0));
            // The less there is left of it, the less a thread sleeps.
            clock.advance(Duration::from_millis(9_900));
            let (mut slow, mut next) = (pacer.call(), pacer.call());
            assert_eq!((slow.step(), next.step()), (Step::Go, Step::Busy));
            let mut cx = Context::from_waker(Waker::noop());
            let timer = clock.clone();
            let mut ready = pin!(next.until_ready(move |time| {
                assert_eq!(time, Duration::from_millis(100));
                // Over when somebody moves the clock.
                let (timer, end) = (timer.clone(), at(10_000));
                std::future::poll_fn(move |_| {
                    if tollgate::Clock::now(&timer) >= end {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
            }));
            assert!(ready.as_mut().poll(&mut cx).is_pending());
            if ends {
                told(&mut slow, &[(LIMIT, "10"), (LEFT, "9"), (RESET, "10")], at(9_900));
                assert_eq!(ready.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
                continue;
            }
            let mut blocked = pacer.call();
            let sleeper = thread::spawn(move || {
                assert_eq!(blocked.step(), Step::Busy);
                // No end comes.
                assert!(!blocked.wait_for_an_end(Duration::MAX));
            });
            sleeper.join().unwrap();
            clock.advance(Duration::from_millis(100));
            assert_eq!(ready.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
            drop(slow);
        }
    });
}

/// A login that failed takes nothing off the wait after tokens that were refused.
#[test]
fn a_login_that_fails_shortens_no_wait() {
    let clock = Arc::new(ManualClock::new());
    let tokens = TokenHolder::with_clock(clock.clone());
    let log_in = |token: u32| {
        let Access::Renew(renewal) = tokens.ask() else { panic!("no login is due") };
        renewal.done(token, Duration::from_secs(10));
    };
    for (token, wait) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        log_in(token);
        tokens.reject(&token);
        let asked = tokens.ask();
        assert!(matches!(asked, Access::Wait(Some(time)) if time.as_secs() == wait), "{asked:?}");
        clock.advance(Duration::from_secs(wait));
    }
    log_in(5);
    clock.advance(Duration::from_secs(9));
    let Access::Renew(early) = tokens.ask() else { panic!("it is renewed early") };
    tokens.reject(&5);
    early.failed(Duration::ZERO);
    let Access::Wait(Some(wait)) = tokens.ask() else { panic!("refused again and again") };
    assert!(wait >= Duration::from_secs(6), "{wait:?}");
}
