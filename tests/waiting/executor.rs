//! Another executor than tokio, with a timer of its own and a clock that it sets.

use crate::ms;
use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tollgate::{
    Clock, KeyedLimiter, Limiter, ManualClock, Nanos, Quota,
    wait::{Timer, Waiters},
};

/// A clock, and who is to be woken when it shows what.
#[derive(Default)]
struct Alarms {
    clock: ManualClock,
    set: RefCell<Vec<(Nanos, Waker)>>,
}

struct Sleep<'a> {
    alarms: &'a Alarms,
    until: Nanos,
}

impl<'a> Timer for &'a Alarms {
    type Sleep = Sleep<'a>;

    fn sleep(&self, after: Duration) -> Sleep<'a> {
        Sleep { alarms: self, until: self.clock.now().after(after) }
    }
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.alarms.clock.now() >= self.until {
            return Poll::Ready(());
        }
        self.alarms.set.borrow_mut().push((self.until, cx.waker().clone()));
        Poll::Pending
    }
}

impl Alarms {
    /// Goes on to the next of them.
    fn ring(&self) {
        let mut set = self.set.borrow_mut();
        let next = set.iter().map(|(at, _)| *at).min().expect("all sleep for ever");
        self.clock.set(next);
        set.extract_if(.., |(at, _)| *at <= next).for_each(|(_, waker)| waker.wake());
    }
}

/// Whether a task was woken since it was polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs all on this thread. Whoever is not woken is not polled; when all sleep, time goes on.
fn run<'a>(alarms: &Alarms, tasks: impl IntoIterator<Item = Task<'a>>) {
    let woken = || Arc::new(Woken(AtomicBool::new(true)));
    let mut tasks: Vec<_> = tasks.into_iter().map(|task| (task, woken())).collect();
    while !tasks.is_empty() {
        if !tasks.iter().any(|(_, woken)| woken.0.load(Ordering::Relaxed)) {
            alarms.ring();
        }
        tasks.retain_mut(|(task, woken)| {
            let waker = Waker::from(woken.clone());
            !woken.0.swap(false, Ordering::Relaxed)
                || task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
        });
    }
}

#[test]
fn turns_by_another_executor() {
    let alarms = Alarms::default();
    let quota = Quota::new(1, ms(10)).unwrap();
    let gcra = Limiter::gcra(quota).longest_wait(ms(1000)).clock(&alarms.clock);
    let gcra = Waiters::new(gcra.try_build().unwrap());
    let log = KeyedLimiter::sliding_log(Quota::new(2, ms(10)).unwrap()).clock(&alarms.clock);
    let log = Waiters::new(log.try_build().unwrap());
    let came = RefCell::new(Vec::new());
    let (gcra, log, alarms, came) = (&gcra, &log, &alarms, &came);
    let tasks = (0..5).map(|who| {
        Box::pin(async move {
            // The third is told at once that its turn comes too late, and moves nobody.
            if who == 2 {
                let late = gcra.until_ready().within(ms(15)).by(alarms).await;
                assert!(late.is_err() && alarms.clock.now() == Nanos::ZERO);
                return;
            }
            gcra.until_ready().by(alarms).await.unwrap();
            came.borrow_mut().push((who, "gcra", alarms.clock.now()));
            log.until_key_ready("all").by(alarms).await.unwrap();
            came.borrow_mut().push((who, "log", alarms.clock.now()));
        }) as Task<'_>
    });
    run(alarms, tasks);
    let at = |millis| Nanos::ZERO.after(ms(millis));
    let expected = [(0, 0), (1, 10), (3, 20), (4, 30)]
        .map(|(who, due)| [(who, "gcra", at(due)), (who, "log", at(due))]);
    assert_eq!(*came.borrow(), expected.concat());

    // All at once, two by two.
    came.borrow_mut().clear();
    let tasks = (0..6).map(|who| {
        Box::pin(async move {
            log.until_key_ready("others").by(alarms).await.unwrap();
            came.borrow_mut().push((who, "log", alarms.clock.now()));
        }) as Task<'_>
    });
    run(alarms, tasks);
    let expected =
        [30, 30, 40, 40, 50, 50].into_iter().zip(0..).map(|(due, who)| (who, "log", at(due)));
    assert_eq!(*came.borrow(), expected.collect::<Vec<_>>());
    assert_eq!((gcra.waiting(), log.waiting()), (0, 0));
}
