//! Who is not let in has an answer to send.

use crate::{every_ten_ms, ms, poll_once};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tollgate::{
    Algorithm, Decision, DefaultClock, KeyedBuilder, KeyedLimiter, OnSaturation, Outcome,
    policy::{Cause, KeptDecision, LivePolicy, Moment, Policy, PolicyDecision, PolicyFile},
    wait::{Queue, TokioClock, Verdict, WaitError, Waiters},
};

/// With `?` it goes wherever errors go, and it is no larger than what clippy takes for small.
#[test]
fn the_error_is_small_and_goes_anywhere() {
    fn anywhere<E: Error + Send + Sync + 'static>() -> usize {
        size_of::<E>()
    }
    assert!(anywhere::<WaitError>() < 128, "{}", anywhere::<WaitError>());
    assert!(anywhere::<WaitError<Box<Decision>>>() <= 32);
    assert!(anywhere::<WaitError<Box<KeptDecision>>>() <= 32);
    assert!(size_of::<WaitError<Box<PolicyDecision<'_>>>>() <= 32);
}

#[tokio::test(start_paused = true)]
async fn a_limiters_last_decision_is_in_the_error() {
    // Of what is reserved,
    let waiters = Waiters::new(every_ten_ms(1)).at_most(1);
    let _ = waiters.limiter().check();
    let late = waiters.until_ready().within(ms(4)).await.unwrap_err();
    let WaitError::TooLong { retry_after, answer: Some(decision) } = late else { panic!() };
    assert_eq!((retry_after, decision.limit(), decision.remaining()), (Some(ms(6)), 1, 0));
    assert_eq!((decision.outcome(), decision.retry_after()), (Outcome::Later, Some(ms(6))));
    let mut first = waiters.until_ready().into_future();
    assert!(poll_once(&mut first).await.is_none());
    let full = waiters.until_ready().await.unwrap_err();
    assert!(matches!(full, WaitError::Full { answer: Some(no) } if no.is_denied()));
    let never = waiters.until_ready().units(2).await.unwrap_err();
    assert_eq!(never.into_answer().unwrap().outcome(), Outcome::Never);

    // and of a log: the first in line, who is told by an answer; and who stands behind it, by a look.
    let limiter = KeyedLimiter::sliding_log("2/min".parse().unwrap()).clock(TokioClock::new());
    let waiters = Waiters::new(limiter.try_build().unwrap()).at_most(2);
    let turn = |units| waiters.until_key_ready("ann").units(units);
    turn(2).await.unwrap();
    let late = turn(1).within(ms(5)).await.unwrap_err();
    assert_eq!(late.answer().unwrap().retry_after(), Some(Duration::from_secs(60)));
    let mut first = turn(2).into_future();
    assert!(poll_once(&mut first).await.is_none());
    let mut behind = turn(1).within(Duration::from_secs(70)).into_future();
    assert!(poll_once(&mut behind).await.is_none());
    let full = turn(1).await.unwrap_err();
    assert!(matches!(full, WaitError::Full { answer: Some(no) } if no.remaining() == 0));
    first.await.unwrap();
    let late = behind.await.unwrap_err();
    assert_eq!(late.answer().unwrap().remaining(), 0);
    assert_eq!((waiters.waiting(), waiters.limiter().key("ann").peek().remaining()), (0, 0));
}

/// A table that is full denies, and when others leave it is no promise to wait for.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_slot() {
    async fn full<A: Algorithm>(builder: KeyedBuilder<A, DefaultClock>) {
        let builder = builder.capacity(8).on_saturation(OnSaturation::Deny);
        let waiters = Waiters::new(builder.clock(TokioClock::new()).try_build().unwrap());
        let mut keys = (0..1_000_u32).map(u32::to_le_bytes);
        let key = keys.find(|key| !waiters.limiter().check(key).is_accounted()).unwrap();
        let mut turn = waiters.until_key_ready(&key).into_future();
        let said = poll_once(&mut turn).await.expect("told at once").unwrap_err();
        let WaitError::TooLong { retry_after: Some(_), answer: Some(no) } = said else { panic!() };
        assert!(!no.is_accounted());
        assert_eq!(waiters.waiting(), 0);
    }
    let quota = "1/h".parse().unwrap();
    full(KeyedLimiter::gcra(quota)).await;
    full(KeyedLimiter::sliding_log(quota)).await;
    full(KeyedLimiter::sliding_counter(quota)).await;
}

/// One error for what waits by a limiter and for what stands in a queue: whichever refuses, in its
/// own words.
#[tokio::test(start_paused = true)]
async fn one_error_for_both() {
    let log = |quota: &str| {
        let limiter = tollgate::Limiter::sliding_log(quota.parse().unwrap());
        limiter.clock(TokioClock::new()).try_build().unwrap()
    };
    let (waiters, hourly) = (Waiters::new(log("2/s")), log("3/h"));
    let queue = Queue::with_clock(TokioClock::new()).at_most(1);
    let both = async |units, within| -> Result<Decision, WaitError> {
        waiters.until_ready().units(units).within(within).await?;
        let turn = queue.until_allowed("hour", || hourly.check_n(units));
        Ok(turn.within(within).await?)
    };
    assert_eq!(both(1, ms(0)).await.unwrap().remaining(), 2);
    // By the limiter.
    assert!(
        matches!(both(3, ms(0)).await, Err(WaitError::Never { answer: Some(no) }) if no.limit() == 2)
    );
    assert_eq!(both(2, ms(1_000)).await.unwrap().remaining(), 0);
    // By the queue: when it is worth asking again, and what was answered:
    let late = both(1, Duration::from_secs(1)).await.unwrap_err();
    let WaitError::TooLong { retry_after, answer: Some(decision) } = late else { panic!() };
    assert_eq!((decision.limit(), decision.retry_after()), (3, retry_after));
    // an hour from the first unit on, and twice it waited for a second before;
    assert_eq!(retry_after, Some(Duration::from_secs(3_598)));
    let never = queue.until_allowed("hour", || hourly.check_n(4)).await.unwrap_err();
    assert!(
        matches!(WaitError::<Decision>::from(never), WaitError::Never { answer: Some(no) } if no.limit() == 3)
    );
    // or nothing, of who stood behind another one.
    let mut first = queue.until_allowed("hour", || hourly.check()).into_future();
    assert!(poll_once(&mut first).await.is_none());
    let full = both(1, Duration::from_secs(9)).await;
    assert!(matches!(full, Err(WaitError::Full { answer: None })));
}

const FILE: &str = "
    [attribute.user]
    [response]
    body = 'no more than {limit}'
    [[refuse]]
    name = 'admin'
    routes = ['/admin']
    status = 403
    [[limit]]
    name = 'api'
    key = ['user']
    quota = '1/min'
    largest = '9/min'
";

fn file(quota: &str) -> PolicyFile {
    PolicyFile::parse("policy", FILE.replace("'1/min'", &format!("'{quota}'")).as_bytes()).unwrap()
}

struct Served {
    live: LivePolicy,
    clock: TokioClock,
    asked: AtomicUsize,
}

impl Served {
    fn new() -> Self {
        let clock = TokioClock::new();
        let policy = Policy::from_file_at(&file("1/min"), moment(clock)).unwrap();
        Self { live: LivePolicy::new(policy), clock, asked: AtomicUsize::new(0) }
    }

    fn ask(&self, path: &str) -> KeptDecision {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let policy = self.live.load_shared();
        let request = policy.request("GET", path).attribute("user", "ann");
        policy.check_kept_at(&request, moment(self.clock))
    }
}

fn moment(clock: TokioClock) -> Moment {
    Moment::new(tollgate::Clock::now(&clock), Duration::from_secs(1_700_000_000))
}

#[tokio::test(start_paused = true)]
async fn a_policys_denial_is_sent_by_who_waited_for_it() {
    let served = Served::new();
    let queue = Queue::with_clock(served.clock);
    let turn = |path: &'static str| queue.until_allowed("ann", || served.ask(path));
    let wait = async |path, within| -> Result<KeptDecision, Box<dyn Error + Send + Sync>> {
        let turn = queue.until_allowed("ann", || served.ask(path));
        Ok(turn.within(within).await?)
    };
    assert!(wait("/", ms(0)).await.unwrap().is_allowed());
    // The error itself is what is thrown, and is found in it again.
    let late = wait("/", ms(100)).await.unwrap_err();
    let late = late.downcast::<WaitError<Box<KeptDecision>>>().unwrap();
    let mut denied = late.into_answer().unwrap();
    let response = denied.with(|decision| decision.response());
    assert_eq!((response.status, response.body.as_deref()), (Some(429), Some("no more than 1")));
    assert_eq!(response.field("Retry-After"), Some("60"));
    // What is never let in, with its own reason.
    let never = turn("/admin").await.unwrap_err();
    let WaitError::Never { answer: Some(mut refused) } = never else { panic!() };
    assert_eq!(refused.with(|decision| decision.response().status), Some(403));
    refused.with(|decision| assert_eq!(decision.cause(), Cause::Refused("admin")));
    // It was asked about, and then there was no place to wait in.
    let nobody_waits = Queue::with_clock(served.clock).at_most(0);
    let full = nobody_waits.until_allowed("ann", || served.ask("/")).await.unwrap_err();
    let WaitError::Full { answer: Some(mut denied) } = full else { panic!() };
    assert_eq!(denied.with(|decision| decision.response().status), Some(429));
    // Who stood behind another one was not asked about.
    let mut first = turn("/").into_future();
    assert!(poll_once(&mut first).await.is_none());
    let asked = served.asked.load(Ordering::Relaxed);
    let behind = turn("/").within(ms(1)).await.unwrap_err();
    assert!(behind.answer().is_none());
    assert_eq!(served.asked.load(Ordering::Relaxed), asked);
}

/// It is asked of the policy that holds then, and the decision is of that one.
#[tokio::test(start_paused = true)]
async fn a_policy_that_is_replaced_while_one_waits() {
    let served = Arc::new(Served::new());
    let queue = Arc::new(Queue::with_clock(served.clock));
    let old = served.live.load_shared();
    assert!(served.ask("/").is_allowed());
    let task = tokio::spawn({
        let (served, queue) = (served.clone(), queue.clone());
        async move {
            let begun = tokio::time::Instant::now();
            let decision = queue.until_allowed("ann", || served.ask("/")).await.unwrap();
            (decision, begun.elapsed())
        }
    });
    while queue.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(ms(5)).await;
    served.live.replace(&file("5/min")).unwrap();
    queue.nudge("ann");
    let (mut decision, took) = task.await.unwrap();
    assert_eq!(took, ms(5));
    assert!(Arc::ptr_eq(decision.policy(), &served.live.load_shared()));
    assert!(!Arc::ptr_eq(decision.policy(), &old));
    assert_eq!(Verdict::outcome(&decision), Outcome::Allowed);
    decision.with(|decision| {
        assert_eq!(decision.limit("api").unwrap().decision().limit(), 5);
    });
}
