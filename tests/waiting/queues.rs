//! Logs, counters and policies: lines in which the first asks.

use crate::{TOLD, ms, no, poll_once};
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};
use tollgate::{
    Clock, KeyedLimiter, Limiter, Quota, SlidingLog,
    policy::{Moment, Policy, PolicyFile},
    wait::{Queue, TokioClock, WaitError, Waiters},
};

/// Two in any 10 ms.
fn two_in_ten_ms() -> Waiters<Limiter<SlidingLog, TokioClock>> {
    let quota = Quota::new(2, ms(10)).unwrap();
    Waiters::new(Limiter::sliding_log(quota).clock(TokioClock::new()).try_build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn as_they_came_and_as_many_as_may() {
    let waiters = Arc::new(two_in_ten_ms());
    let (begun, served) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let mut tasks = Vec::new();
    for nth in 0..9_u64 {
        let (waiters, served) = (waiters.clone(), served.clone());
        tasks.push(tokio::spawn(async move {
            waiters.until_ready().await.unwrap();
            served.lock().unwrap().push((nth, begun.elapsed()));
        }));
        yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let expected: Vec<_> = (0..9).map(|nth| (nth, ms(10 * (nth / 2)))).collect();
    assert_eq!(*served.lock().unwrap(), expected);
    assert_eq!(waiters.waiting(), 0);
}

/// Whoever comes when there is room does not pass those who stand in line.
#[tokio::test(start_paused = true)]
async fn newcomers_stand_behind() {
    let waiters = two_in_ten_ms();
    let _ = waiters.limiter().check_n(2);
    let mut large = waiters.until_ready().units(2).into_future();
    assert!(poll_once(&mut large).await.is_none());
    sleep(ms(10)).await;
    let mut small = waiters.until_ready().into_future();
    assert!(poll_once(&mut small).await.is_none());
    assert!(poll_once(&mut large).await.is_some());
    assert!(poll_once(&mut small).await.is_none());
    sleep(ms(10)).await;
    assert!(poll_once(&mut small).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_next_asks_when_the_first_gives_up() {
    let waiters = Arc::new(two_in_ten_ms());
    let _ = waiters.limiter().check();
    let begun = Instant::now();
    let spawn = |units| {
        let waiters = waiters.clone();
        tokio::spawn(async move { waiters.until_ready().units(units).await.map(|_| ()) })
    };
    let large = spawn(2);
    yield_now().await;
    let small = spawn(1);
    yield_now().await;
    assert_eq!(waiters.waiting(), 2);
    large.abort();
    small.await.unwrap().unwrap();
    // There was room for one all the time.
    assert_eq!(begun.elapsed(), ms(0));
    // Nothing was charged for who gave up.
    assert_eq!(waiters.limiter().peek().remaining(), 0);
    sleep(ms(10)).await;
    assert_eq!(waiters.limiter().peek().remaining(), 2);
}

#[tokio::test(start_paused = true)]
async fn deadlines() {
    let waiters = Arc::new(two_in_ten_ms());
    let _ = waiters.limiter().check_n(2);
    let late = WaitError::TooLong { retry_after: Some(ms(10)), answer: TOLD };
    let mut alone = waiters.until_ready().within(ms(9)).into_future();
    assert_eq!(no(poll_once(&mut alone).await.unwrap()), late);
    let mut first = waiters.until_ready().units(2).into_future();
    assert!(poll_once(&mut first).await.is_none());
    // The first does not ask before that.
    let mut behind = waiters.until_ready().within(ms(9)).into_future();
    assert_eq!(no(poll_once(&mut behind).await.unwrap()), late);
    // It may be in time or not: it is not, and is told so when the time is over.
    let begun = Instant::now();
    let behind = tokio::spawn({
        let waiters = waiters.clone();
        async move { waiters.until_ready().within(ms(15)).await.map(|_| ()) }
    });
    yield_now().await;
    let said = poll_once(&mut first).await;
    assert!(said.is_none());
    first.await.unwrap();
    assert_eq!(begun.elapsed(), ms(10));
    assert!(matches!(behind.await.unwrap(), Err(WaitError::TooLong { .. })));
    assert!(begun.elapsed() <= ms(15));
    assert_eq!(no(waiters.until_ready().units(3).await), WaitError::Never { answer: TOLD });
    assert_eq!(waiters.waiting(), 0);
}

/// Whoever asks again more seldom than its deadline is near asks once more at that, and is
/// not kept longer.
#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_whenever_it_asks_again() {
    let limiter = Limiter::sliding_log("1/h".parse().unwrap()).clock(TokioClock::new());
    let waiters = Waiters::new(limiter.try_build().unwrap());
    let charge = waiters.limiter().check().charge().unwrap();
    for (every, within) in [(20, 10), (7, 10), (10, 10), (1, 10)] {
        let begun = Instant::now();
        let said = waiters.until_ready().every(ms(every)).within(ms(within)).await;
        assert!(matches!(said, Err(WaitError::TooLong { .. })));
        assert_eq!(begun.elapsed(), ms(within), "every {every} ms");
    }
    let mut turn = waiters.until_ready().every(ms(20)).within(ms(10)).into_future();
    assert!(poll_once(&mut turn).await.is_none());
    let _ = waiters.limiter().refund(charge);
    assert!(turn.await.is_ok());
}

/// Who comes to an empty line is the one that sets out at the instant the window ends.
#[tokio::test(start_paused = true)]
async fn jitter_comes_later_and_never_sooner() {
    let limiter = Limiter::sliding_log(Quota::new(1, ms(10)).unwrap()).clock(TokioClock::new());
    let waiters = Waiters::new(limiter.try_build().unwrap());
    let queue = Queue::with_clock(TokioClock::new());
    for queued in [false, true] {
        sleep(ms(10)).await;
        let mut some = false;
        assert!(waiters.limiter().check().is_allowed());
        let mut begun = Instant::now();
        for _ in 0..50 {
            if queued {
                let turn = queue.until_allowed("", || waiters.limiter().check());
                assert!(turn.jitter(ms(8)).await.unwrap().is_allowed());
            } else {
                waiters.until_ready().jitter(ms(8)).await.unwrap();
            }
            let after = begun.elapsed();
            assert!(after >= ms(10) && after <= ms(19), "{after:?}");
            some |= after != ms(10);
            begun = Instant::now();
        }
        assert!(some, "queued: {queued}");
    }
    // It would not be sure to be in time: the first, and one behind it that becomes first.
    let turn = |within| waiters.until_ready().jitter(ms(8)).within(ms(within)).into_future();
    let late = WaitError::TooLong { retry_after: Some(ms(10)), answer: TOLD };
    assert_eq!(no(poll_once(&mut turn(17)).await.unwrap()), late);
    let mut in_time = turn(18);
    assert!(poll_once(&mut in_time).await.is_none());
    let mut behind = turn(27);
    assert!(poll_once(&mut behind).await.is_none());
    let begun = Instant::now();
    in_time.await.unwrap();
    assert!(begun.elapsed() <= ms(18));
    assert_eq!(no(poll_once(&mut behind).await.unwrap()), late);
}

#[tokio::test(start_paused = true)]
async fn one_too_many_is_told_so() {
    let waiters = two_in_ten_ms().at_most(1);
    let _ = waiters.limiter().check_n(2);
    let mut first = waiters.until_ready().into_future();
    assert!(poll_once(&mut first).await.is_none());
    assert_eq!(no(waiters.until_ready().await), WaitError::Full { answer: TOLD });
    first.await.unwrap();
}

/// Of one key after the other so many wait, and no more.
async fn so_many_of_each<F, T, D>(most: usize, turn: impl Fn(&'static str) -> F)
where
    F: Future<Output = Result<T, WaitError<D>>> + Unpin,
{
    let mut places = Vec::new();
    for key in ["mallory", "ann"] {
        assert!(matches!(poll_once(&mut turn(key)).await, Some(Ok(_))), "{key}");
        for _ in 0..most {
            let mut turn = turn(key);
            assert!(poll_once(&mut turn).await.is_none());
            places.push(turn);
        }
        assert!(matches!(poll_once(&mut turn(key)).await, Some(Err(WaitError::Full { .. }))));
    }
    // Who leaves makes room in its line, and in no other.
    places.pop();
    assert!(matches!(poll_once(&mut turn("mallory")).await, Some(Err(WaitError::Full { .. }))));
    assert!(poll_once(&mut turn("ann")).await.is_none());
}

/// One key leaves places for others: in a log, of what is reserved, and before a policy.
#[tokio::test(start_paused = true)]
async fn no_line_takes_all_places() {
    let (quota, wait) = ("1/h".parse().unwrap(), Duration::from_secs(2000 * 3600));
    let log = || KeyedLimiter::sliding_log(quota).clock(TokioClock::new()).try_build().unwrap();
    let gcra = KeyedLimiter::gcra(quota).longest_wait(wait).clock(TokioClock::new());
    let (of_log, of_gcra) = (Waiters::new(log()), Waiters::new(gcra.try_build().unwrap()));
    let (asked, queue) = (&log(), Queue::with_clock(TokioClock::new()));
    so_many_of_each(1024, |key| of_log.until_key_ready(key).into_future()).await;
    so_many_of_each(1024, |key| of_gcra.until_key_ready(key).into_future()).await;
    let turn = |key| queue.until_allowed(key, move || asked.check(key)).into_future();
    so_many_of_each(1024, turn).await;
    let (asked, queue) = (&log(), queue.at_most_each(2));
    let turn = |key| queue.until_allowed(key, move || asked.check(key)).into_future();
    so_many_of_each(2, turn).await;
    let few = Waiters::new(log()).at_most_each(2).at_most(5);
    so_many_of_each(2, |key| few.until_key_ready(key).into_future()).await;
}

/// Who has one line has all places that were said, by either name.
#[tokio::test(start_paused = true)]
async fn one_line_has_what_was_said() {
    let sets = [
        (two_in_ten_ms().at_most(2000), 2000),
        (two_in_ten_ms().at_most_each(20_000), 20_000),
        (two_in_ten_ms().at_most(3).at_most_each(9), 3),
    ];
    for (waiters, most) in sets {
        let _ = waiters.limiter().check_n(2);
        let mut places = Vec::new();
        for _ in 0..most {
            let mut turn = waiters.until_ready().into_future();
            assert!(poll_once(&mut turn).await.is_none());
            places.push(turn);
        }
        let full = poll_once(&mut waiters.until_ready().into_future()).await;
        assert_eq!(no(full.unwrap()), WaitError::Full { answer: TOLD });
        // From behind: who goes first wakes the next.
        while places.pop().is_some() {}
        assert_eq!(waiters.waiting(), 0);
    }
}

/// A policy with a limit at a time and a limit per minute, by tokio's clock.
struct Served {
    policy: Policy,
    clock: TokioClock,
}

impl Served {
    fn new() -> Self {
        let text = "
            [attribute.user]
            [[limit]]
            name = 'at once'
            key = ['user']
            algorithm = 'leases'
            quota = 1
            ttl = '1 h'
            [[limit]]
            name = 'rate'
            key = ['user']
            quota = '2/min'
            ";
        let file = PolicyFile::parse("policy", text.as_bytes()).unwrap();
        let clock = TokioClock::new();
        let policy = Policy::from_file_at(&file, moment(&clock)).unwrap();
        Self { policy, clock }
    }

    fn check(&self, user: &str) -> tollgate::policy::PolicyDecision<'_> {
        let request = self.policy.request("GET", "/").attribute("user", user);
        self.policy.check_at(&request, moment(&self.clock))
    }
}

fn moment(clock: &TokioClock) -> Moment {
    Moment::new(clock.now(), Duration::from_secs(1_700_000_000))
}

#[tokio::test(start_paused = true)]
async fn a_policy_with_leases() {
    let served = Served::new();
    let queue = Queue::with_clock(served.clock);
    let begun = Instant::now();
    let mut first = queue.until_allowed("ann", || served.check("ann")).await.unwrap();
    // Another's line, another's lease.
    let mut other = queue.until_allowed("bob", || served.check("bob")).await.unwrap();
    other.release_at(moment(&served.clock));
    let mut second = queue.until_allowed("ann", || served.check("ann")).into_future();
    assert!(poll_once(&mut second).await.is_none());
    sleep(ms(5)).await;
    first.release_at(moment(&served.clock));
    // The lease would have gone on for an hour.
    assert!(poll_once(&mut second).await.is_none());
    queue.nudge("ann");
    let mut decision = second.await.unwrap();
    assert_eq!(begun.elapsed(), ms(5));
    decision.release_at(moment(&served.clock));
    // The rate denies now; whoever asks often is let in when its minute is over.
    let turn = queue.until_allowed("ann", || served.check("ann")).every(ms(7)).await.unwrap();
    assert!(turn.is_allowed());
    assert!((60_000..60_007).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

/// What it was told is out of date when it goes to sleep: whether it came anew or waits
/// already.
#[tokio::test(start_paused = true)]
async fn who_is_nudged_while_it_asks_asks_again() {
    let limiter = Limiter::sliding_log("1/h".parse().unwrap()).clock(TokioClock::new());
    let limiter = limiter.try_build().unwrap();
    for nudged_at in 1..=2 {
        let held = limiter.check().charge().unwrap();
        let queue = Queue::with_clock(TokioClock::new());
        let (begun, asked) = (Instant::now(), Cell::new(0));
        let ask = || {
            let said = limiter.check();
            asked.set(asked.get() + 1);
            if asked.get() == nudged_at {
                let _ = limiter.refund(held);
                queue.nudge("");
            }
            said
        };
        let turn = queue.until_allowed("", ask).every(ms(5)).within(ms(100));
        let decision = turn.await.unwrap();
        assert_eq!((asked.get(), begun.elapsed()), (nudged_at + 1, ms(5 * (nudged_at - 1))));
        let _ = limiter.refund(decision.charge().unwrap());
    }
}

#[test]
fn a_question_that_panics_leaves_the_line() {
    let queue = Queue::new();
    let asked = Cell::new(0);
    let limiter = Limiter::sliding_log("1/h".parse().unwrap()).try_build().unwrap();
    let _ = limiter.check();
    let panics = || {
        asked.set(asked.get() + 1);
        assert!(asked.get() < 2, "as it should");
        limiter.check()
    };
    let sleep = |_| std::future::ready(());
    let mut turn = Box::pin(queue.until_allowed("", panics).every(ms(0)).by(sleep));
    let said = catch_unwind(AssertUnwindSafe(|| {
        let _ = turn.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }));
    assert!(said.is_err());
    assert_eq!(queue.waiting(), 1);
    drop(turn);
    assert_eq!(queue.waiting(), 0);
}

/// A first one that is neither polled nor dropped holds up its line, and whoever has a
/// deadline is told when that is over; others when it is gone.
#[tokio::test(start_paused = true)]
async fn a_first_one_that_nobody_polls() {
    let waiters = Arc::new(two_in_ten_ms());
    let _ = waiters.limiter().check_n(2);
    // Its own deadline moves nobody: it is not there to be told.
    let mut lies = waiters.until_ready().within(ms(15)).into_future();
    assert!(poll_once(&mut lies).await.is_none());
    let begun = Instant::now();
    let spawn = |within: Option<u64>| {
        let waiters = waiters.clone();
        tokio::spawn(async move {
            let turn = waiters.until_ready();
            let turn = if let Some(within) = within { turn.within(ms(within)) } else { turn };
            let said = turn.await.map(|_| ()).map_err(|refused| refused.map_answer(drop));
            (said, begun.elapsed())
        })
    };
    let (hurried, patient) = (spawn(Some(40)), spawn(None));
    // There was room by then, but for the first one: nobody said no.
    let late = Err(WaitError::TooLong { retry_after: None, answer: None });
    assert_eq!(hurried.await.unwrap(), (late, ms(40)));
    sleep(ms(1_000)).await;
    assert!(!patient.is_finished());
    drop(lies);
    assert_eq!(patient.await.unwrap(), (Ok(()), ms(1_040)));
}

/// Whatever came back was everybody's: nobody sleeps on what it was told before.
#[tokio::test(start_paused = true)]
async fn all_lines_are_nudged() {
    let limiter = Limiter::sliding_log("2/h".parse().unwrap()).clock(TokioClock::new());
    let limiter = limiter.try_build().unwrap();
    let held = [(); 2].map(|()| limiter.check().charge().unwrap());
    let queue = Queue::with_clock(TokioClock::new());
    let begun = Instant::now();
    let mut ann = queue.until_allowed("ann", || limiter.check()).into_future();
    let mut bob = queue.until_allowed("bob", || limiter.check()).into_future();
    assert!(poll_once(&mut ann).await.is_none() && poll_once(&mut bob).await.is_none());
    for charge in held {
        let _ = limiter.refund(charge);
    }
    queue.nudge_all();
    assert!(ann.await.is_ok() && bob.await.is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
