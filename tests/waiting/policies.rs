//! Policies, asked so that waiting is no denial.

use crate::{ms, poll_once};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tollgate::{
    Clock,
    policy::{Cause, LivePolicy, Moment, Policy, PolicyDecision, PolicyFile, Request},
    wait::{Queue, TokioClock, WaitError},
};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The tenth denial within an hour blocks for a day.
const LADDER: &str = "
    [attribute.user]
    [[limit]]
    name = 'rate'
    key = ['user']
    quota = '1/min'
    largest = '9/min'
    [[limit]]
    name = 'size'
    algorithm = 'size'
    quota = '1 MB'
    cost = 'bytes'
    missing = 'skip'
    [[penalty]]
    name = 'ladder'
    key = ['user']
    denials = 10
    within = '1 h'
    blocks = ['1 d']
";

fn file(text: &str) -> PolicyFile {
    PolicyFile::parse("policy", text.as_bytes()).unwrap()
}

struct Served {
    policy: Policy,
    clock: TokioClock,
    queue: Queue<TokioClock>,
}

impl Served {
    fn new(text: &str) -> Self {
        let clock = TokioClock::new();
        let policy = Policy::from_file_at(&file(text), moment(clock)).unwrap();
        Self { policy, clock, queue: Queue::with_clock(clock) }
    }

    fn now(&self) -> impl Fn() -> Moment + use<> {
        let clock = self.clock;
        move || moment(clock)
    }

    fn request<'r>(&'r self, user: &'r str) -> Request<'r> {
        self.policy.request("GET", "/").attribute("user", user)
    }

    fn check(&self, request: &Request<'_>) -> PolicyDecision<'_> {
        self.policy.check_at(request, moment(self.clock))
    }

    fn left(&self, request: &Request<'_>, limit: &str) -> u64 {
        let decision = self.policy.peek_at(request, moment(self.clock));
        decision.limit(limit).unwrap().decision().remaining()
    }

    /// How many denials of a user were counted: so many fewer bring on the block. To be asked
    /// once, of one who is denied now.
    fn counted(&self, user: &str) -> u64 {
        let request = self.request(user);
        for denials in 0..=10 {
            let decision = self.check(&request);
            assert!(decision.is_denied());
            if decision.cause() == Cause::Blocked("ladder") {
                return 10 - denials;
            }
        }
        panic!("no block");
    }
}

fn moment(clock: TokioClock) -> Moment {
    Moment::new(clock.now(), Duration::from_secs(1_700_000_000))
}

#[tokio::test(start_paused = true)]
async fn waiting_is_no_denial() {
    let served = Served::new(LADDER);
    let (queue, ann) = (&served.queue, served.request("ann"));
    let begun = Instant::now();
    for nth in 0..3_u64 {
        let turn = queue.until_policy_allows_at("ann", &served.policy, &ann, served.now());
        let decision = turn.every(ms(100)).await.map_err(|no| no.map_answer(drop)).unwrap();
        assert_eq!(decision.limit("rate").unwrap().decision().remaining(), 0);
        assert_eq!(begun.elapsed(), secs(60 * nth));
    }
    assert_eq!(served.counted("ann"), 0);
    // One who gives up is not denied, either.
    assert!(served.check(&served.request("bob")).is_allowed());
    let bob = served.request("bob");
    let turn = queue.until_policy_allows_at("bob", &served.policy, &bob, served.now());
    let gives_up = tokio::time::timeout(secs(30), turn.every(ms(100)).into_future()).await;
    assert!(gives_up.is_err());
    assert_eq!((queue.waiting(), served.counted("bob")), (0, 0));
}

/// Who is told no for good was denied once, however often it asked.
#[tokio::test(start_paused = true)]
async fn who_is_turned_away_is_denied_once() {
    let served = Served::new(LADDER);
    let users = ["at once", "at last", "too many", "too large"];
    let requests = users.map(|user| served.request(user));
    for request in &requests {
        assert!(served.check(request).is_allowed());
    }
    let nobody_waits = Queue::with_clock(served.clock).at_most(0);
    let large = served.request(users[3]).cost("bytes", 1_000_001);
    let turn = |queue, request| {
        Queue::until_policy_allows_at(queue, "line", &served.policy, request, served.now())
    };
    let late = turn(&served.queue, &requests[0]).within(secs(59)).await;
    let Err(WaitError::TooLong { retry_after, answer: Some(denied) }) = late else { panic!() };
    assert_eq!((retry_after, denied.retry_after()), (Some(secs(60)), Some(secs(60))));
    assert_eq!(denied.response().status, Some(429));

    let begun = Instant::now();
    let late = turn(&served.queue, &requests[1]).within(secs(20)).every(secs(3)).await;
    let Err(WaitError::TooLong { retry_after, answer: Some(denied) }) = late else { panic!() };
    assert_eq!((begun.elapsed(), retry_after), (secs(20), Some(secs(40))));
    assert_eq!(denied.retry_after(), retry_after);

    let full = turn(&nobody_waits, &requests[2]).await;
    let Err(WaitError::Full { answer: Some(denied) }) = full else { panic!() };
    assert_eq!(denied.cause(), Cause::Limits);

    let never = turn(&served.queue, &large).await;
    let Err(WaitError::Never { answer: Some(denied) }) = never else { panic!() };
    assert_eq!(denied.binding().map(|limit| limit.name().to_owned()).as_deref(), Some("size"));

    for user in users {
        assert_eq!(served.counted(user), 1, "{user}");
    }
}

/// Also who stands behind others, if it is the policy that says no.
#[tokio::test(start_paused = true)]
async fn who_is_turned_away_behind_others() {
    let mut served = Served::new(LADDER);
    served.queue = Queue::with_clock(served.clock).at_most(2);
    for user in ["first", "behind", "too many"] {
        assert!(served.check(&served.request(user)).is_allowed());
    }
    let (first, behind) = (served.request("first"), served.request("behind"));
    let (free, third) = (served.request("free"), served.request("too many"));
    let turn = |request| {
        served.queue.until_policy_allows_at("line", &served.policy, request, served.now())
    };
    let mut ahead = turn(&first).into_future();
    assert!(poll_once(&mut ahead).await.is_none());
    // The first asks again in a minute.
    let late = turn(&behind).within(secs(9)).await;
    let Err(WaitError::TooLong { retry_after, answer: Some(denied) }) = late else { panic!() };
    assert_eq!((retry_after, denied.retry_after()), (Some(secs(60)), Some(secs(60))));
    // Whom the policy would have let in, the policy does not deny.
    let late = turn(&free).within(secs(9)).await;
    assert!(matches!(late, Err(WaitError::TooLong { answer: None, .. })));
    assert_eq!(served.left(&free, "rate"), 1);

    let mut last = turn(&free).into_future();
    assert!(poll_once(&mut last).await.is_none());
    let full = turn(&third).await;
    assert!(matches!(full, Err(WaitError::Full { answer: Some(_) })));

    assert_eq!((served.counted("behind"), served.counted("too many")), (1, 1));
    drop(ahead);
    assert!(last.await.is_ok());
    assert_eq!((served.counted("first"), served.counted("free")), (0, 0));
}

/// What has come back meanwhile is not kept from others by a no.
#[tokio::test(start_paused = true)]
async fn a_no_that_is_out_of_date_counts_nothing() {
    let served = Served::new(LADDER);
    let ann = served.request("ann");
    let mut held = served.check(&ann);
    // It asks, is told no, and by the time that it leaves the unit is there again.
    let asked = std::cell::Cell::new(0);
    let held = std::cell::RefCell::new(&mut held);
    let now = || {
        asked.set(asked.get() + 1);
        if asked.get() == 2 {
            held.borrow_mut().refund_at(moment(served.clock));
        }
        moment(served.clock)
    };
    let turn = served.queue.until_policy_allows_at("ann", &served.policy, &ann, now);
    let late = turn.within(ms(0)).await;
    let Err(WaitError::TooLong { answer: Some(denied), .. }) = late else { panic!() };
    assert_eq!((denied.is_denied(), asked.get()), (true, 2));
    // It holds nothing, and was charged nothing.
    assert_eq!(served.left(&ann, "rate"), 1);
    assert!(served.check(&ann).is_allowed());
    assert_eq!(served.counted("ann"), 0);
}

const STRICT: &str = "
    [[limit]]
    name = 'strict'
    key = []
    quota = '10/min'
    cost = 'units'
    charge_denied = true
    [[limit]]
    name = 'hour'
    key = []
    quota = '90/h'
    cost = 'units'
";

/// A denial empties the limit; waiting does not, and who is turned away does.
#[tokio::test(start_paused = true)]
async fn a_limit_that_charges_denials() {
    let served = Served::new(STRICT);
    let of = |units| served.policy.request("GET", "/").cost("units", units);
    let (few, many, all) = (of(1), of(8), of(10));
    assert!(served.check(&of(6)).is_allowed());
    let begun = Instant::now();
    let turn = |request| {
        served.queue.until_policy_allows_at("line", &served.policy, request, served.now())
    };
    let mut waits = turn(&many).every(secs(1)).into_future();
    for _ in 0..30 {
        assert!(poll_once(&mut waits).await.is_none());
        assert_eq!((served.left(&few, "strict"), served.left(&few, "hour")), (4, 84));
        sleep(secs(1)).await;
    }
    let decision = waits.await.map_err(|no| no.map_answer(drop)).unwrap();
    assert_eq!(begun.elapsed(), secs(60));
    assert_eq!(decision.limit("strict").unwrap().decision().remaining(), 2);

    sleep(secs(5)).await;
    let Err(late) = turn(&all).within(secs(9)).await else { panic!() };
    assert_eq!((served.left(&few, "strict"), served.left(&few, "hour")), (0, 76));
    // It is told when they come back that it lost by this.
    let WaitError::TooLong { retry_after, answer: Some(denied) } = late else { panic!() };
    assert_eq!((retry_after, denied.retry_after()), (Some(secs(60)), Some(secs(60))));
}

const LEASES: &str = "
    [[limit]]
    name = 'at once'
    key = []
    algorithm = 'leases'
    quota = 1
    ttl = '1 h'
    [[limit]]
    name = 'rate'
    key = []
    quota = '1/min'
    [[limit]]
    name = 'planned'
    key = []
    quota = '1/d'
    mode = 'shadow'
";

/// None is held by who waits for something else, and one that is released is had. A limit in
/// shadow keeps nobody waiting.
#[tokio::test(start_paused = true)]
async fn leases() {
    let served = Served::new(LEASES);
    let request = served.policy.request("GET", "/");
    let turn = || served.queue.until_policy_allows_at("", &served.policy, &request, served.now());
    served.check(&request).release_at(moment(served.clock));
    let begun = Instant::now();
    let mut waits = turn().every(secs(1)).into_future();
    for _ in 0..30 {
        assert!(poll_once(&mut waits).await.is_none());
        assert_eq!(served.left(&request, "at once"), 1);
        sleep(secs(1)).await;
    }
    let mut first = waits.await.map_err(|no| no.map_answer(drop)).unwrap();
    assert_eq!((begun.elapsed(), served.left(&request, "at once")), (secs(60), 0));
    assert!(first.limit("at once").unwrap().lease().is_some());
    assert!(first.limit("planned").unwrap().is_violated());

    let mut second = turn().every(secs(1)).into_future();
    sleep(secs(300)).await;
    assert!(poll_once(&mut second).await.is_none());
    first.release_at(moment(served.clock));
    let second = second.await.map_err(|no| no.map_answer(drop)).unwrap();
    assert_eq!((begun.elapsed(), served.left(&request, "at once")), (secs(361), 0));
    assert!(second.limit("at once").unwrap().lease().is_some());
}

/// The one that holds when it asks decides; what was counted by the one before goes on.
#[tokio::test(start_paused = true)]
async fn a_live_policy() {
    let clock = TokioClock::new();
    let policy = Policy::from_file_at(&file(LADDER), moment(clock)).unwrap();
    let (live, queue) = (Arc::new(LivePolicy::new(policy)), Arc::new(Queue::with_clock(clock)));
    let old = live.load_shared();
    let waits = || {
        let (live, queue, held) = (live.clone(), queue.clone(), old.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            let ann = held.request("GET", "/").attribute("user", "ann");
            let turn = queue.until_policy_allows_at("ann", &*live, &ann, move || moment(clock));
            // The error goes anywhere.
            let said: Result<_, Box<dyn std::error::Error + Send + Sync>> =
                turn.every(secs(1)).await.map_err(Into::into);
            (said.unwrap(), begun.elapsed())
        })
    };
    let (first, took) = waits().await.unwrap();
    assert_eq!((Arc::ptr_eq(first.policy(), &old), took), (true, secs(0)));
    let second = waits();
    sleep(ms(20_500)).await;
    assert_eq!(queue.waiting(), 1);
    live.replace(&file(&LADDER.replace("'1/min'", "'2/min'"))).unwrap();
    let (mut second, took) = second.await.unwrap();
    assert_eq!(took, secs(21));
    assert!(Arc::ptr_eq(second.policy(), &live.load_shared()));
    assert_eq!(second.with(|d| d.limit("rate").unwrap().decision().limit()), 2);
    // Twenty-one times it was told no.
    let policy = live.load_shared();
    let ann = policy.request("GET", "/").attribute("user", "ann");
    let denied = [(); 10].map(|()| policy.check_at(&ann, moment(clock)).cause());
    assert_eq!(denied, [Cause::Limits; 10]);
    assert_eq!(policy.check_at(&ann, moment(clock)).cause(), Cause::Blocked("ladder"));
}

/// By threads, and by the policy's own clock: an `Arc` that is kept by what it decides.
#[test]
fn a_shared_policy_and_threads() {
    // A block would be told at once.
    let text = LADDER.replace("'1/min'", "'1/2ms'").replace("largest = '9/min'", "");
    let text = text.replace("['1 d']", "['until lifted']");
    let policy = Arc::new(Policy::from_toml(&text).unwrap());
    let (ann, queue) = (policy.request("GET", "/").attribute("user", "ann"), Queue::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    let turn = queue.until_policy_allows("ann", &policy, &ann);
                    let kept = turn.every(Duration::from_micros(100)).block().unwrap();
                    assert!(Arc::ptr_eq(kept.policy(), &policy));
                }
            });
        }
    });
    assert_eq!(queue.waiting(), 0);
    assert_ne!(policy.peek(&ann).cause(), Cause::Blocked("ladder"));
}
