//! One login for many callers.

use crate::tasks::within_a_minute;
use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};
use tollgate::{
    ManualClock, Nanos,
    client::{Access, TokenHolder},
};

const LIFE: Duration = Duration::from_secs(3600);
type Holder = TokenHolder<u32, Arc<ManualClock>>;

fn holder() -> (Holder, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (TokenHolder::with_clock(Arc::clone(&clock)), clock)
}

fn log_in(tokens: &Holder, token: u32) {
    let Access::Renew(renewal) = tokens.ask() else { panic!("no login is due") };
    renewal.done(token, LIFE);
}

fn used(tokens: &Holder) -> u32 {
    match tokens.ask() {
        Access::Use(token) => token,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_renewed_shortly_before_its_end() {
    let (tokens, clock) = holder();
    log_in(&tokens, 1);
    clock.set(Nanos::from_secs(3600 - 300 - 1));
    assert_eq!(used(&tokens), 1);
    clock.advance(Duration::from_secs(1));
    let Access::Renew(renewal) = tokens.ask() else { panic!() };
    // The others go on with the old one for as long as it is valid.
    clock.set(Nanos::from_secs(3599));
    assert_eq!(used(&tokens), 1);
    clock.set(Nanos::from_secs(3600));
    assert!(matches!(tokens.ask(), Access::Wait(None)));
    renewal.done(2, LIFE);
    assert_eq!(used(&tokens), 2);
    // Its life counts from when the renewal began, at 3300.
    clock.set(Nanos::from_secs(3300 + 3600 - 300));
    assert!(matches!(tokens.ask(), Access::Renew(_)));
}

#[test]
fn a_renewal_that_failed_is_not_repeated_at_once() {
    let (tokens, clock) = holder();
    let Access::Renew(renewal) = tokens.ask() else { panic!() };
    renewal.failed(Duration::ZERO);
    assert!(matches!(tokens.ask(), Access::Wait(Some(wait)) if wait == Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    log_in(&tokens, 1);
    // Early enough, the old one is still good.
    clock.advance(Duration::from_secs(3600 - 300));
    let Access::Renew(renewal) = tokens.ask() else { panic!() };
    renewal.failed(Duration::from_secs(75));
    assert_eq!(used(&tokens), 1);
    clock.advance(Duration::from_secs(75));
    assert!(matches!(tokens.ask(), Access::Renew(_)));
}

#[test]
fn a_renewal_that_is_dropped_passes_to_the_next() {
    let (tokens, clock) = holder();
    drop(tokens.ask());
    // Its login may have been sent: not at once.
    assert!(matches!(tokens.ask(), Access::Wait(Some(wait)) if wait == Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    log_in(&tokens, 1);
    assert_eq!(used(&tokens), 1);
}

/// A server that refuses whatever token it gave: no more logins than APIs allow.
#[test]
fn tokens_that_are_refused_again_and_again_lead_to_fewer_and_fewer_logins() {
    let (tokens, clock) = holder();
    let (mut token, mut logins) = (0, Vec::new());
    for second in 0..4 * 900 {
        clock.set(Nanos::from_secs(second));
        if let Access::Renew(renewal) = tokens.ask() {
            logins.push(second);
            token += 1;
            renewal.done(token, LIFE);
        }
        tokens.reject(&token);
    }
    assert_eq!(logins[..5], [0, 1, 3, 7, 15]);
    assert!(logins.windows(13).all(|some| some[12] - some[0] >= 900), "{logins:?}");
    // It recovers: one that was good for long is replaced at once.
    clock.advance(Duration::from_secs(300));
    log_in(&tokens, token + 1);
    clock.advance(Duration::from_secs(1000));
    tokens.reject(&(token + 1));
    log_in(&tokens, token + 2);
    clock.advance(Duration::from_secs(2));
    tokens.reject(&(token + 2));
    log_in(&tokens, token + 3);
}

#[test]
fn of_many_rejections_one_leads_to_a_login() {
    let (tokens, clock) = holder();
    log_in(&tokens, 1);
    clock.advance(Duration::from_secs(10));
    tokens.reject(&1);
    log_in(&tokens, 2);
    for _ in 0..10 {
        tokens.reject(&1); // those who were still under way with the old one
        assert_eq!(used(&tokens), 2);
    }
    // One that is refused as soon as it came is not replaced as fast as that.
    tokens.reject(&2);
    assert!(matches!(tokens.ask(), Access::Wait(Some(_))));
}

#[test]
fn a_life_of_nothing_is_no_loop_of_logins() {
    for life in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let (tokens, clock) = holder();
        let mut logins = 0;
        for _ in 0..1000 {
            if let Access::Renew(renewal) = tokens.ask() {
                logins += 1;
                renewal.done(logins, life);
            }
            clock.advance(Duration::from_millis(10));
        }
        assert!(logins <= 10, "{life:?}: {logins}");
    }
}

/// Those who wait block until the login is over. Where an end is not told, or told to nobody because
/// it came between a look and a wait, they hang.
#[test]
fn of_many_threads_one_logs_in() {
    within_a_minute(|| {
        for round in 1..200 {
            let (tokens, _) = holder();
            let start = Barrier::new(8);
            let logins: u32 = thread::scope(|threads| {
                let run = || {
                    start.wait();
                    let mut logins = 0;
                    loop {
                        match tokens.ask() {
                            Access::Use(token) => {
                                assert_eq!(token, round);
                                return logins;
                            }
                            Access::Renew(renewal) => {
                                logins += 1;
                                thread::yield_now();
                                renewal.done(round, LIFE);
                            }
                            Access::Wait(None) => tokens.until_renewed().block(),
                            Access::Wait(Some(_)) => panic!("no login failed"),
                        }
                    }
                };
                let all = [(); 8].map(|()| threads.spawn(run));
                all.into_iter().map(|one| one.join().unwrap()).sum()
            });
            assert_eq!(logins, 1);
        }
    });
}

#[test]
fn what_is_shown_holds_no_secret() {
    let tokens: TokenHolder<String> = TokenHolder::new();
    let Access::Renew(renewal) = tokens.ask() else { panic!() };
    renewal.done("a secret".to_owned(), LIFE);
    assert!(!format!("{tokens:?}").contains("secret"));
}
