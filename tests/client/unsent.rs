//! Calls that surely were not sent: what they were charged is there again at once, and as if they
//! had never been; calls of which nobody knows stay charged.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};
use tollgate::{
    ManualClock,
    client::{Answered, Backoff, Call, Jitter, Pacer, PacerBuilder, Step},
};

type Clock = Arc<ManualClock>;

fn pacer(built: impl FnOnce(PacerBuilder<Clock>) -> PacerBuilder<Clock>) -> (Pacer<Clock>, Clock) {
    let clock = Arc::new(ManualClock::new());
    let built = built(Pacer::builder().clock(Arc::clone(&clock)).jitter(Jitter::seeded(1)));
    (built.build(), clock)
}

fn gone(pacer: &Pacer<Clock>) -> Call<Clock> {
    let mut call = pacer.call();
    assert_eq!(call.step(), Step::Go);
    call
}

fn told(call: &mut Call<Clock>, left: &str, reset: &str) {
    let fields =
        [("X-RateLimit-Limit", "9"), ("X-RateLimit-Remaining", left), ("X-RateLimit-Reset", reset)];
    assert_eq!(call.answered(200, fields, SystemTime::now()), Answered::Done);
}

/// Many may be in flight, and so many are left.
fn learned(pacer: &Pacer<Clock>, left: &str) {
    for left in ["8", "7", "6", left] {
        told(&mut gone(pacer), left, "3600");
    }
}

/// How many more go now.
fn room(pacer: &Pacer<Clock>) -> usize {
    let mut calls = Vec::new();
    loop {
        let mut call = pacer.call();
        if call.step() != Step::Go {
            break;
        }
        calls.push(call);
    }
    let went = calls.len();
    calls.iter_mut().for_each(Call::not_sent);
    went
}

#[test]
fn a_configured_limit_has_its_unit_back_and_a_lost_call_stays_charged() {
    let (pacer, clock) = pacer(|pacer| pacer.quota("3/min".parse().unwrap()));
    assert_eq!((room(&pacer), room(&pacer)), (3, 3));
    drop(gone(&pacer));
    assert_eq!(room(&pacer), 2);
    let mut call = gone(&pacer);
    call.not_sent();
    assert_eq!((room(&pacer), pacer.in_flight()), (2, 0));
    // Said twice, or of a call that is not in flight, it gives nothing.
    call.not_sent();
    drop(call);
    pacer.call().not_sent();
    assert_eq!(room(&pacer), 2);
    // The same call may be sent after all, and counts once.
    let mut call = gone(&pacer);
    call.not_sent();
    assert_eq!(call.step(), Step::Go);
    drop(call);
    assert_eq!(room(&pacer), 1);
    // One that was answered is not unsent by saying so.
    let mut call = gone(&pacer);
    assert_eq!(call.answered(200, [("", ""); 0], SystemTime::now()), Answered::Done);
    call.not_sent();
    assert_eq!(room(&pacer), 0);
    clock.advance(Duration::from_secs(60));
    assert_eq!(room(&pacer), 3);
}

#[test]
fn what_was_told_to_be_left_has_its_unit_back() {
    let (pacer, _) = pacer(|pacer| pacer);
    learned(&pacer, "3");
    assert_eq!((room(&pacer), room(&pacer)), (3, 3));
    // In flight when it was told, and so taken off: one of them was not sent.
    let [mut a, mut b, c] = [(); 3].map(|()| gone(&pacer));
    told(&mut a, "2", "3600");
    assert_eq!(room(&pacer), 0);
    b.not_sent();
    assert_eq!(room(&pacer), 1);
    drop(c);
    assert_eq!(room(&pacer), 1);
}

/// More were in flight than were left: those beyond took nothing, and so have nothing to give.
#[test]
fn who_took_nothing_gives_nothing_back() {
    let (pacer, clock) = pacer(|pacer| pacer);
    learned(&pacer, "4");
    let [mut a, mut b, mut c, mut d] = [(); 4].map(|()| gone(&pacer));
    told(&mut a, "1", "3600");
    b.not_sent();
    c.not_sent();
    assert_eq!(room(&pacer), 0);
    d.not_sent();
    assert_eq!(room(&pacer), 1);
    drop(gone(&pacer));
    // After the reset one goes alone; if it was not sent, the next one does, and at once.
    clock.advance(Duration::from_secs(3602));
    for _ in 0..3 {
        let mut alone = gone(&pacer);
        assert_eq!(pacer.call().step(), Step::Busy);
        alone.not_sent();
    }
    // Lost, it may have taken what the reset gave.
    drop(gone(&pacer));
    assert!(matches!(pacer.call().step(), Step::Wait(_)));
}

#[test]
fn a_start_that_was_none_spaces_nobody() {
    let (pacer, _) = pacer(|pacer| pacer.quota("10/s".parse().unwrap()).slow_below(1.0));
    let mut call = gone(&pacer);
    assert!(matches!(pacer.call().step(), Step::Wait(_)));
    call.not_sent();
    drop(gone(&pacer)); // at once
    assert!(matches!(pacer.call().step(), Step::Wait(_)));
}

/// It is no answer: neither the first one, by which the others go, nor one after a denial.
#[test]
fn it_is_no_answer() {
    let (pacer, clock) = pacer(|pacer| pacer.backoff(Backoff::doubling()));
    gone(&pacer).not_sent();
    let first = gone(&pacer);
    assert_eq!(pacer.call().step(), Step::Busy);
    drop(first);
    let mut denied = gone(&pacer);
    let answered = denied.answered(429, [("Retry-After", "20")], SystemTime::now());
    assert_eq!(answered, Answered::Again);
    clock.advance(Duration::from_secs(21));
    gone(&pacer).not_sent();
    let alone = gone(&pacer);
    assert_eq!(pacer.call().step(), Step::Busy);
    drop(alone);
    assert_eq!(denied.denials(), 1);
}

/// Whoever sleeps until a unit is free, or until there is room, is woken when one was not sent.
#[test]
fn threads_that_wait_are_woken() {
    // An hour for a unit, and one call in flight.
    for (quota, in_flight, step) in
        [("2/h", 16, Step::Wait(Duration::from_secs(3600))), ("9/h", 1, Step::Busy)]
    {
        let pacer = Pacer::builder().quota(quota.parse().unwrap()).in_flight(in_flight);
        let clock = Arc::new(ManualClock::new());
        let pacer = pacer.clock(clock).build();
        drop(gone(&pacer));
        let mut call = gone(&pacer);
        let (told, heard) = mpsc::channel();
        let mut waits = pacer.call();
        assert_eq!(waits.step(), step);
        let blocked = thread::spawn(move || {
            told.send(waits.block()).unwrap();
        });
        assert!(heard.recv_timeout(Duration::from_millis(50)).is_err());
        call.not_sent();
        assert_eq!(heard.recv_timeout(Duration::from_secs(60)).expect("it sleeps on"), Ok(()));
        blocked.join().unwrap();
    }
}

/// As many left as can be written: one more is no more.
#[test]
fn more_is_left_than_can_be_counted() {
    let (pacer, clock) = pacer(|pacer| pacer);
    let answer = |call: &mut Call<Clock>, left: &str, reset: &str| {
        let fields = [("RateLimit-Remaining", left), ("RateLimit-Reset", reset)];
        assert_eq!(call.answered(200, fields, SystemTime::now()), Answered::Done);
    };
    let mut first = gone(&pacer);
    let fields =
        [("RateLimit-Limit", "10;w=60"), ("RateLimit-Remaining", "9"), ("RateLimit-Reset", "60")];
    assert_eq!(first.answered(200, fields, SystemTime::now()), Answered::Done);
    clock.advance(Duration::from_secs(1));
    answer(&mut gone(&pacer), &u64::MAX.to_string(), "3600");
    let mut third = gone(&pacer);
    clock.advance(Duration::from_secs(60));
    third.not_sent();
    drop(gone(&pacer));
}
