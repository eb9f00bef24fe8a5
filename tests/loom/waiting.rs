//! Waiting: run by `.ci/loom`. What must hold, with its fault in `.ci/faults`:
//!
//! 1. nobody sleeps on when it is first in line, nor when its turn has moved up;
//! 2. places are in the order of the reservations, so that all of them are used, and none
//!    is used twice;
//! 3. who is nudged asks after what it was nudged for;
//! 4. nobody passes by a larger burst while it is set.

use super::{Queue, Turn, Verdict, Waiters, turn::Step};
use crate::{
    Limiter, ManualClock, Nanos, Outcome, Quota, SlidingLog,
    algorithm::Gcra,
    sync::{model::LOADS_CONFLICT, thread},
    wait::Question,
};
use loom::sync::{
    Notify,
    atomic::{AtomicBool, Ordering},
};
use std::{
    // loom's own aborts where a model fails with it on the stack.
    sync::Arc,
    task::{Wake, Waker},
    time::Duration,
};

fn model(f: impl Fn() + Sync + Send + Copy + 'static) {
    for conflict in [false, true] {
        LOADS_CONFLICT.set(conflict);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.max_branches = 10_000;
        builder.check(f);
    }
}

/// Wakes one thread of a model, as a runtime wakes a task.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell(Notify::new()));
    (bell.clone(), Waker::from(bell))
}

/// Waits until somebody wakes it or it is done. What there is no time for is not waited
/// for: models have no time that passes.
fn wait<Q: Question>(mut turn: Turn<'_, Q>) -> Q::Answer {
    let (bell, waker) = bell();
    loop {
        match turn.step(&waker) {
            Step::Done(said) => return said.unwrap(),
            Step::Sleep(_) | Step::Park => bell.0.wait(),
        }
    }
}

fn gcra() -> Arc<Waiters<Limiter<Gcra, ManualClock>>> {
    let quota = Quota::new(1, Duration::from_nanos(10)).unwrap();
    let limiter = Limiter::gcra(quota).longest_wait(Duration::from_nanos(100));
    let limiter = limiter.clock(ManualClock::new()).epoch(Nanos::ZERO).try_build().unwrap();
    Arc::new(Waiters::new(limiter))
}

fn log() -> Arc<Waiters<Limiter<SlidingLog, ManualClock>>> {
    let quota = Quota::new(2, Duration::from_nanos(10)).unwrap();
    let limiter = Limiter::sliding_log(quota).clock(ManualClock::new()).epoch(Nanos::ZERO);
    Arc::new(Waiters::new(limiter.try_build().unwrap()))
}

/// One asks for more than there is, and gives up; the other, behind it or not, finds what
/// there is, and needs no time for it.
#[test]
fn wait_behind_who_leaves() {
    model(|| {
        let waiters = log();
        assert!(waiters.limiter().check().is_allowed());
        let (_bell, waker) = bell();
        let mut large = waiters.until_ready().units(2);
        assert!(matches!(large.step(&waker), Step::Sleep(_)));
        let other = waiters.clone();
        let small = thread::spawn(move || wait(other.until_ready()));
        drop(large);
        assert!(small.join().unwrap().decision().is_allowed());
        assert_eq!(waiters.waiting(), 0);
    });
}

/// The first reserved and gives up. The clock shows when its turn is: the other's, if it
/// moves up, and whoever comes after has gone finds the place free.
#[test]
fn wait_moves_up() {
    model(|| {
        let waiters = gcra();
        assert!(waiters.limiter().check().is_allowed());
        let (_bell, waker) = bell();
        let mut first = waiters.until_ready();
        assert!(matches!(first.step(&waker), Step::Sleep(_)));
        waiters.limiter().clock().advance(Duration::from_nanos(10));
        let other = waiters.clone();
        let second = thread::spawn(move || wait(other.until_ready()));
        drop(first);
        assert!(second.join().unwrap().decision().is_allowed());
        assert_eq!(waiters.waiting(), 0);
        // One unit was used at 0 and one at 10.
        let owed = waiters.limiter().peek().full_after();
        assert_eq!(owed, Duration::from_nanos(10));
    });
}

/// Two reserve at once, and one before them gives up: both places move up, in the order
/// in which they are due.
#[test]
fn wait_places_are_in_order() {
    model(|| {
        let waiters = gcra();
        assert!(waiters.limiter().check().is_allowed());
        let (_bell, waker) = bell();
        let mut first = waiters.until_ready();
        assert!(matches!(first.step(&waker), Step::Sleep(_)));
        // A bell may ring for nothing.
        let gone = Arc::new((Notify::new(), AtomicBool::new(false)));
        let other = waiters.clone();
        let told = gone.clone();
        let second = thread::spawn(move || {
            let (_bell, waker) = bell();
            let mut turn = other.until_ready();
            let Step::Sleep(_) = turn.step(&waker) else { panic!("too soon") };
            while !told.1.load(Ordering::Acquire) {
                told.0.wait();
            }
            let Step::Sleep(wait) = turn.step(&waker) else { panic!("too soon") };
            // Its place stays as it is.
            std::mem::forget(turn);
            wait.as_nanos()
        });
        let mut third = waiters.until_ready();
        assert!(matches!(third.step(&waker), Step::Sleep(_)));
        drop(first);
        gone.1.store(true, Ordering::Release);
        gone.0.notify();
        let Step::Sleep(wait) = third.step(&waker) else { panic!("too soon") };
        let mut waits = [second.join().unwrap(), wait.as_nanos()];
        waits.sort_unstable();
        assert_eq!(waits, [10, 20]);
        assert_eq!(waiters.limiter().peek().full_after(), Duration::from_nanos(30));
    });
}

/// Another comes while a burst is set that leaves room for both: if it passes, the first may.
#[test]
fn wait_passed_by_a_quota() {
    model(|| {
        let quota = Quota::new(1, Duration::from_nanos(10)).unwrap();
        let larger = quota.burst(3).unwrap();
        let limiter = Limiter::gcra(quota).room_for(larger).clock(ManualClock::new());
        let limiter = limiter.epoch(Nanos::ZERO).try_build().unwrap();
        let waiters = Arc::new(Waiters::new(limiter));
        assert!(waiters.limiter().check().is_allowed());
        let (_bell, waker) = bell();
        let mut first = waiters.until_ready();
        assert!(matches!(first.step(&waker), Step::Sleep(_)));
        let other = waiters.clone();
        let sets = thread::spawn(move || other.set_quota(larger).unwrap());
        let mut second = waiters.until_ready();
        if matches!(second.step(&waker), Step::Done(_)) {
            assert!(matches!(first.step(&waker), Step::Done(_)));
        }
        sets.join().unwrap();
        assert_eq!(waiters.limiter().peek().full_after(), Duration::from_nanos(30));
        for mut turn in [first, second] {
            assert!(matches!(turn.step(&waker), Step::Done(_) | Step::Park));
        }
    });
}

/// Room, or none for an hour.
struct Room(bool);

impl Verdict for Room {
    fn outcome(&self) -> Outcome {
        if self.0 { Outcome::Allowed } else { Outcome::Later }
    }

    fn retry_after(&self) -> Option<Duration> {
        (!self.0).then_some(Duration::from_secs(3600))
    }
}

/// Room comes back, and is told of, at any time: before the other asks, while it takes its
/// place after the answer, or while it sleeps.
#[test]
fn wait_is_nudged() {
    model(|| {
        let queue = Arc::new(Queue::with_clock(ManualClock::new()));
        let room = Arc::new(AtomicBool::new(false));
        let (line, look) = (queue.clone(), room.clone());
        let waits = thread::spawn(move || {
            wait(line.until_allowed("", || Room(look.load(Ordering::Acquire))));
        });
        room.store(true, Ordering::Release);
        queue.nudge("");
        waits.join().unwrap();
        assert_eq!(queue.waiting(), 0);
    });
}
