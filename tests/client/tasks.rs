//! Tasks that wait for a pacer or for a token: woken by every end that matters, and by none that is
//! over; nothing of them stays.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, SystemTime},
};
use tollgate::{
    ManualClock,
    client::{
        Access, Answered, Backoff, Call, CallEnded, News, Pacer, Step, TokenHolder, UntilReady,
        UntilRenewed,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn count() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

impl Count {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Fails where it would hang.
pub(crate) fn within_a_minute(run: impl FnOnce() + Send + 'static) {
    let (done, over) = mpsc::channel();
    let run = thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    match over.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("somebody waits for ever"),
        _ => run.join().unwrap(),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs one task on this thread, which sleeps until it is woken.
fn run<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn one_at_a_time() -> Pacer<ManualClock> {
    let quota = "1000000/s".parse().unwrap();
    Pacer::builder().quota(quota).in_flight(1).clock(ManualClock::new()).build()
}

fn never(_: Duration) -> std::future::Pending<()> {
    std::future::pending()
}

#[test]
fn they_go_to_other_threads() {
    fn sent<T: Send>() {}
    sent::<News<'_>>();
    sent::<UntilReady<'_, fn(Duration) -> std::future::Ready<()>, std::future::Ready<()>>>();
    sent::<UntilRenewed<'_, String>>();
}

/// Whoever is told that it is busy is woken by any end, and goes.
#[test]
fn an_end_wakes_whoever_is_told_busy() {
    for how in 0..3 {
        let pacer = one_at_a_time();
        let (mut first, mut second, mut third) = (pacer.call(), pacer.call(), pacer.call());
        assert_eq!(first.step(), Step::Go);
        let (woken, waker) = count();
        let mut cx = Context::from_waker(&waker);
        let mut both = [second.until_ready(never), third.until_ready(never)];
        for _ in 0..3 {
            assert!(both.iter_mut().all(|one| Pin::new(one).poll(&mut cx).is_pending()));
        }
        assert_eq!(woken.woken(), 0);
        match how {
            0 => drop(first),
            1 => first.not_sent(),
            _ => _ = first.answered(200, [("", ""); 0], SystemTime::now()),
        }
        assert_eq!(woken.woken(), 2);
        let [second, third] = &mut both;
        assert_eq!(Pin::new(&mut *second).poll(&mut cx), Poll::Ready(Ok(())));
        assert!(Pin::new(third).poll(&mut cx).is_pending());
        // Polled once too often: it takes nothing, and ends nothing.
        assert!(Pin::new(second).poll(&mut cx).is_pending());
        assert_eq!(pacer.in_flight(), 1);
    }
}

/// Whoever sleeps for its time is woken when that becomes shorter, and by nothing else.
#[test]
fn who_waits_for_a_time_is_woken_when_it_is_shorter() {
    let pacer = Pacer::builder().quota("3/h".parse().unwrap()).clock(ManualClock::new()).build();
    let mut calls = [(); 4].map(|()| pacer.call());
    let [a, b, c, waits] = &mut calls;
    for call in [&mut *a, &mut *b, &mut *c] {
        assert_eq!(call.step(), Step::Go);
    }
    assert_eq!(a.answered(200, [("", ""); 0], SystemTime::now()), Answered::Done);
    assert!(matches!(waits.step(), Step::Wait(_)));
    let (woken, waker) = count();
    let mut cx = Context::from_waker(&waker);
    {
        let mut news = pin!(waits.news());
        assert!(news.as_mut().poll(&mut cx).is_pending());
        // An end that frees nothing.
        assert_eq!(b.answered(200, [("", ""); 0], SystemTime::now()), Answered::Done);
        assert!(woken.woken() == 0 && news.as_mut().poll(&mut cx).is_pending());
        c.not_sent();
        assert!(woken.woken() == 1 && news.as_mut().poll(&mut cx).is_ready());
    }
    assert_eq!(waits.step(), Step::Go);
}

/// A call that waits after its own denial waits for nobody's news; one that waits for nothing has
/// them at once.
#[test]
fn who_waits_for_itself_or_for_nothing() {
    let pacer = one_at_a_time();
    let (mut call, mut other) = (pacer.call(), pacer.call());
    let (_, waker) = count();
    let mut cx = Context::from_waker(&waker);
    assert!(pin!(call.news()).poll(&mut cx).is_ready());
    assert_eq!(call.step(), Step::Go);
    assert!(pin!(call.news()).poll(&mut cx).is_ready());
    let answered = call.answered(429, [("Retry-After", "20")], SystemTime::now());
    assert_eq!(answered, Answered::Again);
    assert!(matches!(call.step(), Step::Wait(_)));
    let mut news = pin!(call.news());
    assert!(news.as_mut().poll(&mut cx).is_pending());
    let _ = other.step();
    drop(other);
    assert!(news.as_mut().poll(&mut cx).is_pending());
}

/// A future that is dropped leaves no waker, and one that is moved to another task wakes that.
#[test]
fn nothing_stays_of_who_is_cancelled() {
    let pacer = one_at_a_time();
    let mut first = pacer.call();
    assert_eq!(first.step(), Step::Go);
    let ((one, a), (other, b)) = (count(), count());
    let mut waits = pacer.call();
    for _ in 0..3 {
        let mut ready = waits.until_ready(never);
        assert!(Pin::new(&mut ready).poll(&mut Context::from_waker(&a)).is_pending());
        assert_eq!(Arc::strong_count(&one), 3);
        assert!(Pin::new(&mut ready).poll(&mut Context::from_waker(&b)).is_pending());
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other)), (2, 3));
        drop(ready);
        assert_eq!(Arc::strong_count(&other), 2);
    }
    assert_eq!(waits.step(), Step::Busy);
    {
        let mut news = pin!(waits.news());
        assert!(news.as_mut().poll(&mut Context::from_waker(&a)).is_pending());
        assert_eq!(Arc::strong_count(&one), 3);
    }
    assert_eq!(Arc::strong_count(&one), 2);
    drop(first);
    assert_eq!((one.woken(), other.woken()), (0, 0));

    let tokens = TokenHolder::<u32>::new();
    let Access::Renew(renewal) = tokens.ask() else { panic!() };
    {
        let mut renewed = pin!(tokens.until_renewed());
        assert!(renewed.as_mut().poll(&mut Context::from_waker(&a)).is_pending());
        assert_eq!(Arc::strong_count(&one), 3);
    }
    assert_eq!(Arc::strong_count(&one), 2);
    drop(renewal);
    assert_eq!(one.woken(), 0);
}

/// What a waker does when it is cloned: the one moment of a poll at which others can do anything
/// between its look and its note, if there is such a moment.
struct AtClone {
    does: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    woken: AtomicUsize,
}

fn at_clone(does: impl FnOnce() + Send + 'static) -> (Arc<AtClone>, impl Fn() -> usize) {
    let does = Mutex::new(Some(Box::new(does) as Box<_>));
    let this = Arc::new(AtClone { does, woken: AtomicUsize::new(0) });
    let seen = this.clone();
    (this, move || seen.woken.load(Ordering::SeqCst))
}

/// A waker of it: `Wake` has no say in how an `Arc` is cloned.
mod raw {
    use super::{Arc, AtClone, Ordering, RawWaker, RawWakerVTable, Waker};
    use std::mem::ManuallyDrop;

    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, give_up);

    unsafe fn owned(data: *const ()) -> Arc<AtClone> {
        // SAFETY: all data of the table is of `Arc::into_raw`.
        unsafe { Arc::from_raw(data.cast()) }
    }

    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: borrowed only, and the waker lives meanwhile.
        let this = ManuallyDrop::new(unsafe { owned(data) });
        let does = this.does.lock().unwrap().take();
        if let Some(does) = does {
            does();
        }
        RawWaker::new(Arc::into_raw(Arc::clone(&this)).cast(), &TABLE)
    }

    unsafe fn wake(data: *const ()) {
        // SAFETY: who wakes gives its waker up.
        unsafe { owned(data) }.woken.fetch_add(1, Ordering::SeqCst);
    }

    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: borrowed only, and the waker lives meanwhile.
        let this = ManuallyDrop::new(unsafe { owned(data) });
        this.woken.fetch_add(1, Ordering::SeqCst);
    }

    unsafe fn give_up(data: *const ()) {
        // SAFETY: who drops a waker gives it up.
        drop(unsafe { owned(data) });
    }

    pub(super) fn waker(this: Arc<AtClone>) -> Waker {
        let raw = RawWaker::new(Arc::into_raw(this).cast(), &TABLE);
        // SAFETY: the functions of the table count owners as `Arc` does.
        unsafe { Waker::from_raw(raw) }
    }
}

/// The end comes in the midst of a poll. It is either seen by it or told: a look before the lock,
/// or a note after it, would lose it; and a clone under the lock would hang.
#[test]
fn an_end_in_the_midst_of_a_poll_is_not_lost() {
    within_a_minute(|| {
        let pacer = one_at_a_time();
        let (mut first, mut second) = (pacer.call(), pacer.call());
        assert_eq!((first.step(), second.step()), (Step::Go, Step::Busy));
        let (this, woken) = at_clone(move || drop(first));
        let waker = raw::waker(this);
        let polled = pin!(second.news()).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_ready() || woken() == 1, "it sleeps on");

        let tokens = TokenHolder::<u32>::new();
        let Access::Renew(renewal) = tokens.ask() else { panic!() };
        let (this, woken) = at_clone(move || renewal.failed(PATIENCE));
        let waker = raw::waker(this);
        let polled = pin!(tokens.until_renewed()).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_ready() || woken() == 1, "it sleeps on");
    });
}

/// Wakers that go, and end calls with them, do so when nothing is locked.
#[test]
fn wakers_may_own_calls() {
    struct Holds(#[allow(dead_code)] Mutex<Option<Call<ManualClock>>>);

    impl Wake for Holds {
        fn wake(self: Arc<Self>) {}
    }

    within_a_minute(|| {
        let quota = "1000000/s".parse().unwrap();
        let pacer = Pacer::builder().quota(quota).in_flight(3).clock(ManualClock::new()).build();
        let gone = || {
            let mut call = pacer.call();
            assert_eq!(call.step(), Step::Go);
            call
        };
        let owner = || Waker::from(Arc::new(Holds(Mutex::new(Some(gone())))));
        let (_, noop) = count();
        // Another waker comes in its stead, the future is dropped, or it is woken.
        for how in 0..3 {
            let (first, second) = (gone(), gone());
            let held = owner();
            let mut waits = pacer.call();
            let mut ready = waits.until_ready(never);
            assert!(Pin::new(&mut ready).poll(&mut Context::from_waker(&held)).is_pending());
            drop(held);
            assert_eq!(pacer.in_flight(), 3);
            match how {
                0 => _ = Pin::new(&mut ready).poll(&mut Context::from_waker(&noop)),
                1 => drop(ready),
                _ => {
                    drop(first);
                    assert_eq!(pacer.in_flight(), 1);
                    drop(second);
                    continue;
                }
            }
            assert_eq!(pacer.in_flight(), 2);
        }
    });
}

/// Many tasks, each on a thread that sleeps until it is woken: all get through.
#[test]
fn many_tasks_and_none_is_forgotten() {
    within_a_minute(|| {
        let pacer = Pacer::builder().quota("1000000/s".parse().unwrap()).in_flight(2).build();
        let done = AtomicUsize::new(0);
        thread::scope(|threads| {
            for of in 0..6 {
                let (pacer, done) = (&pacer, &done);
                threads.spawn(move || {
                    for nth in 0..200 {
                        let mut call = pacer.call();
                        run(call.until_ready(never)).unwrap();
                        if (of + nth) % 3 == 0 {
                            thread::yield_now();
                        }
                        match nth % 3 {
                            0 => drop(call),
                            1 => call.not_sent(),
                            _ => _ = call.answered(200, [("", ""); 0], SystemTime::now()),
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((done.into_inner(), pacer.in_flight()), (1200, 0));
    });
}

/// Whoever waits for a token gets it when the login is over, however it ends.
#[test]
fn who_waits_for_a_token_is_told() {
    within_a_minute(|| {
        let clock = Arc::new(ManualClock::new());
        let tokens = TokenHolder::with_clock(clock.clone());
        for how in 0..3 {
            let Access::Renew(renewal) = tokens.ask() else { panic!() };
            let asked = Arc::new(Barrier::new(5));
            let waiting = [false, true, false, true].map(|blocks| {
                let (tokens, asked) = (tokens.clone(), asked.clone());
                thread::spawn(move || {
                    assert!(matches!(tokens.ask(), Access::Wait(None)));
                    asked.wait();
                    if blocks {
                        tokens.until_renewed().block();
                    } else {
                        run(tokens.until_renewed());
                    }
                    matches!(tokens.ask(), Access::Use(7))
                })
            });
            asked.wait();
            match how {
                0 => drop(renewal),
                1 => renewal.failed(Duration::from_secs(9)),
                _ => renewal.done(7, PATIENCE),
            }
            let used = waiting.map(|one| one.join().unwrap());
            assert_eq!(used, [how == 2; 4]);
            clock.advance(Duration::from_secs(10));
        }
        // While somebody renews it early, the one that there is will do.
        clock.advance(Duration::from_secs(45));
        let Access::Renew(_renewal) = tokens.ask() else { panic!() };
        run(tokens.until_renewed());
        tokens.until_renewed().block();
        assert!(matches!(tokens.ask(), Access::Use(7)));
    });
}

/// A timer that is over at once: others run meanwhile, and it is asked again.
#[test]
fn a_timer_that_never_sleeps_blocks_nobody() {
    within_a_minute(|| {
        let clock = Arc::new(ManualClock::new());
        let pacer = Pacer::builder().clock(clock.clone()).quota("1/min".parse().unwrap()).build();
        let (mut first, mut second) = (pacer.call(), pacer.call());
        assert_eq!(first.step(), Step::Go);
        let none: [(&str, &str); 0] = [];
        assert_eq!(first.answered(200, none, SystemTime::now()), Answered::Done);
        let (count, waker) = count();
        let mut cx = Context::from_waker(&waker);
        let mut ready = pin!(second.until_ready(|_| std::future::ready(())));
        for nth in 1..=3 {
            assert_eq!(ready.as_mut().poll(&mut cx), Poll::Pending);
            assert_eq!(count.woken(), nth);
        }
        clock.advance(Duration::from_secs(60));
        assert_eq!(ready.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    });
}

/// Over, by an answer or by its schedule, it is not to be sent: an error, and `Ok` once before.
#[test]
fn a_call_that_is_over() {
    let clock = Arc::new(ManualClock::new());
    let backoff = Backoff::doubling().total(Duration::from_secs(30));
    let pacer = Pacer::builder().backoff(backoff).clock(Arc::clone(&clock)).build();
    for (status, retry_after) in [(200, "0"), (429, "3600")] {
        clock.advance(Duration::from_secs(7200));
        let mut call = pacer.call();
        assert_eq!(run(call.until_ready(never)), Ok(()));
        let _ = call.answered(status, [("Retry-After", retry_after)], SystemTime::now());
        assert_eq!(run(call.until_ready(never)), Err(CallEnded));
        assert_eq!((run(call.until_ready(never)), call.block()), (Err(CallEnded), Err(CallEnded)));
    }
    assert_eq!(pacer.in_flight(), 0);
}
