//! Threads that wait.

use crate::{TOLD, ms, no};
use std::{
    future::Future,
    sync::{Arc, Mutex, OnceLock, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};
use tollgate::{
    Clock, KeyedLimiter, Limiter, ManualClock, Nanos, Quota,
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
        assert_eq!(no(late), WaitError::TooLong { retry_after: Some(ms(1)), answer: TOLD });
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

type Set = Waiters<Limiter<tollgate::Gcra, ManualClock>>;

/// A task that is woken, and holds a place in the same set: it is given up with the task.
struct Holds(#[allow(dead_code)] Mutex<Option<Box<dyn Send>>>);

impl Wake for Holds {
    fn wake(self: Arc<Self>) {}
}

/// Wakers that go, and take places with them, do so when nothing is locked.
#[test]
fn wakers_may_own_places() {
    within_a_minute(|| {
        let limiter = Limiter::gcra(Quota::new(1, ms(10)).unwrap()).clock(ManualClock::new());
        let limiter = limiter.longest_wait(ms(1000)).try_build().unwrap();
        let waiters: &'static Set = Box::leak(Box::new(Waiters::new(limiter)));
        let place = |waker: &Waker| {
            let sleep = |_| std::future::pending::<()>();
            let mut turn = Box::pin(waiters.until_ready().by(sleep));
            assert!(turn.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
            turn
        };
        let owner =
            || Waker::from(Arc::new(Holds(Mutex::new(Some(Box::new(place(Waker::noop())))))));
        let _ = waiters.limiter().check();
        // Another waker comes in its stead,
        let mut turn = place(&owner());
        assert!(turn.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(waiters.waiting(), 1);
        // or its place is given up,
        drop(place(&owner()));
        assert_eq!(waiters.waiting(), 1);
        // or its turn comes,
        let mut last = place(&owner());
        waiters.limiter().clock().advance(ms(100));
        assert!(last.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(waiters.waiting(), 1);
        // or it is woken.
        let _ = waiters.limiter().check();
        let first = place(Waker::noop());
        let behind = place(&owner());
        drop(first);
        assert_eq!(waiters.waiting(), 2);
        drop(turn);
        drop(behind);
        assert_eq!(waiters.waiting(), 0);
    });
}

/// Asks how many wait, whenever it is read.
#[derive(Clone, Copy)]
struct Curious;

static WATCHED: OnceLock<Waiters<Limiter<tollgate::Gcra, Curious>>> = OnceLock::new();

impl Clock for Curious {
    fn now(&self) -> Nanos {
        let waiting = WATCHED.get().map_or(0, Waiters::waiting);
        Nanos::new(u64::try_from(waiting).unwrap())
    }
}

/// Clocks are read when nothing is locked, but where a state is at fault: here none is.
#[test]
fn a_clock_may_look_at_the_line() {
    within_a_minute(|| {
        let limiter = Limiter::gcra(Quota::new(1, ms(10)).unwrap()).clock(Curious);
        let limiter = limiter.longest_wait(ms(1000)).epoch(Nanos::ZERO).try_build().unwrap();
        let waiters = WATCHED.get_or_init(|| Waiters::new(limiter));
        let admitted = waiters.until_ready().block().unwrap();
        let sleep = |_| std::future::pending::<()>();
        let mut turn = Box::pin(waiters.until_ready().by(sleep));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(turn.as_mut().poll(&mut cx).is_pending());
        let _ = waiters.refund(admitted.charge().unwrap());
        assert!(turn.as_mut().poll(&mut cx).is_ready());
    });
}
