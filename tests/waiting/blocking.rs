//! Threads that wait.

use crate::ms;
use std::{
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};
use tollgate::{
    KeyedLimiter, Limiter, ManualClock, Quota,
    wait::{WaitError, Waiters},
};

/// Fails where it would hang.
fn within_a_minute(run: impl FnOnce() + Send + 'static) {
    let (done, over) = mpsc::channel();
    let run = thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    match over.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("somebody waits for ever"),
        _ => run.join().unwrap(),
    }
}

#[test]
fn threads_take_turns() {
    within_a_minute(|| {
        let quota = Quota::new(1, ms(2)).unwrap();
        let waiters = Waiters::new(
            Limiter::gcra(quota).longest_wait(Duration::from_secs(60)).try_build().unwrap(),
        );
        let used = Mutex::new(Vec::new());
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        waiters.until_ready().block().unwrap();
                        used.lock().unwrap().push(begun.elapsed());
                    }
                });
            }
        });
        let used = used.into_inner().unwrap();
        assert_eq!(used.len(), 80);
        // Each is noted a little after its turn, never before.
        let mut sorted = used;
        sorted.sort();
        for (nth, at) in sorted.iter().enumerate() {
            assert!(*at + ms(1) >= ms(2) * u32::try_from(nth).unwrap(), "{nth} at {at:?}");
        }
        assert_eq!(waiters.waiting(), 0);
    });
}

#[test]
fn a_log_and_a_counter_let_all_through() {
    within_a_minute(|| {
        let quota = Quota::new(5, ms(5)).unwrap();
        let log = Waiters::new(KeyedLimiter::sliding_log(quota).try_build().unwrap());
        let quota = Quota::new(35, Duration::from_secs(1)).unwrap();
        let counter = Waiters::new(KeyedLimiter::sliding_counter(quota).try_build().unwrap());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for nth in 0..10 {
                        let key: &[u8] = if nth % 2 == 0 { b"even" } else { b"odd" };
                        log.until_key_ready(key).block().unwrap();
                        counter.until_key_ready(key).block().unwrap();
                    }
                });
            }
        });
        assert_eq!((log.waiting(), counter.waiting()), (0, 0));
    });
}

#[test]
fn by_the_limiters_clock_and_not_the_systems() {
    within_a_minute(|| {
        let clock = ManualClock::new();
        let limiter = Limiter::gcra(Quota::new(1, ms(20)).unwrap()).clock(&clock);
        let waiters = Waiters::new(limiter.try_build().unwrap());
        waiters.until_ready().block().unwrap();
        let late = waiters.until_ready().within(ms(19)).block();
        assert_eq!(late, Err(WaitError::TooLong { retry_after: Some(ms(1)) }));
        let (told, heard) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                waiters.until_ready().block().unwrap();
                told.send(()).unwrap();
            });
            while waiters.waiting() == 0 {
                thread::yield_now();
            }
            assert!(heard.recv_timeout(ms(60)).is_err(), "no time has passed");
            clock.advance(ms(20));
            heard.recv_timeout(Duration::from_secs(30)).unwrap();
        });
    });
}
