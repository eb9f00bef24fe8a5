//! The governor side of the page "Coming from governor", in the order of the page
//! (`src/coming_from_governor.md` in the library): a test for each of its tables, and
//! what the page says that governor does.
//!
//! [`the_page_names_nothing_else`] holds the two together.

use futures_executor::block_on;
use futures_util::{SinkExt, StreamExt, sink, stream};
use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, InsufficientCapacity, Jitter, NotUntil,
    Quota, RateLimiter,
    clock::{
        Clock, FakeRelativeClock, MonotonicClock, QuantaClock, QuantaUpkeepClock,
        ReasonablyRealtime, Reference, SystemClock,
    },
    middleware::{
        NoOpMiddleware, RateLimitingMiddleware, StateInformationMiddleware, StateSnapshot,
    },
    nanos::Nanos,
    prelude::{SinkRateLimitExt, StreamRateLimitExt},
    state::{
        InMemoryState, NotKeyed, StateStore,
        keyed::{DashMapStateStore, HashMapStateStore},
    },
};
use std::{
    collections::hash_map::RandomState,
    num::NonZeroU32,
    panic,
    time::{Duration, SystemTime},
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

const fn cells(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// One in each second, one at a time.
const SLOW: Quota = Quota::per_second(cells(1));
/// So many that nobody waits long.
const FAST: Quota = Quota::per_second(cells(1000)).allow_burst(cells(1));

#[test]
fn a_first_program() {
    let address = "203.0.113.7";
    let quota = Quota::per_minute(cells(60)).allow_burst(cells(10));
    let limiter = DefaultKeyedRateLimiter::keyed(quota);
    let wait = match limiter.check_key(&address) {
        Ok(()) => None,
        Err(denied) => Some(denied.wait_time_from(limiter.clock().now())),
    };
    assert_eq!(wait, None);
}

#[test]
fn quotas() {
    let (n, m) = (cells(50), cells(20));
    assert_eq!(Quota::per_second(n).replenish_interval(), Duration::from_millis(20));
    assert_eq!(Quota::per_minute(n).replenish_interval(), Duration::from_millis(1200));
    assert_eq!(Quota::per_hour(n).replenish_interval(), Duration::from_secs(72));
    // The period is that of one cell, and so is the burst.
    let quota = Quota::with_period(DAY).unwrap();
    assert_eq!((quota.burst_size().get(), quota.replenish_interval()), (1, DAY));
    assert!(Quota::with_period(Duration::ZERO).is_none());
    let quota = quota.allow_burst(m);
    assert_eq!(quota.replenish_interval(), DAY);
    #[allow(deprecated)]
    let old = Quota::new(n, MINUTE);
    assert_eq!(old, Some(Quota::per_minute(n)));
    assert_eq!(quota.burst_size(), m);
    assert_eq!(quota.replenish_interval(), DAY);
    assert_eq!(quota.burst_size_replenished_in(), DAY * 20);
}

#[test]
fn one_limiter() {
    let (n, quota) = (cells(3), Quota::per_second(cells(10)));
    let limiter: DefaultDirectRateLimiter = RateLimiter::direct(quota);
    assert!(limiter.check().is_ok());

    let clock = FakeRelativeClock::default();
    let limiter = RateLimiter::direct_with_clock(quota, clock);
    assert!(limiter.check().is_ok());
    assert_eq!(limiter.check_n(n), Ok(Ok(())));
    assert_eq!(limiter.clock().now(), Nanos::new(0));
}

#[test]
fn many_keys() {
    let (n, quota) = (cells(3), Quota::per_second(cells(10)));
    let alice = "alice".to_owned();
    let clock = FakeRelativeClock::default();
    let hasher = RandomState::new();

    // The key is borrowed from an owner of the very type: `check_key("alice")` is none.
    let limiter: DefaultKeyedRateLimiter<String> = RateLimiter::keyed(quota);
    assert!(limiter.check_key(&alice).is_ok());
    let limiter = RateLimiter::dashmap(quota);
    assert!(limiter.check_key(&alice).is_ok());
    let limiter = RateLimiter::hashmap(quota);
    assert!(limiter.check_key(&alice).is_ok());

    let limiter: RateLimiter<String, DashMapStateStore<String>, _, _> =
        RateLimiter::dashmap_with_clock(quota, clock.clone());
    assert!(limiter.check_key(&alice).is_ok());
    let limiter: RateLimiter<String, HashMapStateStore<String>, _, _> =
        RateLimiter::hashmap_with_clock(quota, clock.clone());
    assert!(limiter.check_key(&alice).is_ok());

    let limiter = RateLimiter::dashmap_with_hasher(quota, hasher.clone());
    assert!(limiter.check_key(&alice).is_ok());
    let limiter = RateLimiter::hashmap_with_hasher(quota, hasher.clone());
    assert!(limiter.check_key(&alice).is_ok());
    let limiter = RateLimiter::dashmap_with_clock_and_hasher(quota, clock.clone(), hasher.clone());
    assert!(limiter.check_key(&alice).is_ok());
    let limiter = RateLimiter::hashmap_with_clock_and_hasher(quota, clock, hasher);
    assert!(limiter.check_key(&alice).is_ok());
    assert_eq!(limiter.check_key_n(&alice, n), Ok(Ok(())));

    let address = 7_u64;
    let limiter = RateLimiter::keyed(quota);
    assert!(limiter.check_key(&address).is_ok());
}

#[test]
fn answers() {
    let (n, m) = (cells(2), cells(11));
    let clock = FakeRelativeClock::default();
    let quota = Quota::per_second(cells(10));
    let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
    assert!(limiter.check().is_ok());

    let limiter = limiter.with_middleware::<StateInformationMiddleware>();
    let snapshot = limiter.check().unwrap();
    assert_eq!(snapshot.quota(), quota);
    assert_eq!(snapshot.remaining_burst_capacity(), 8);
    assert!(limiter.check_n(cells(8)).unwrap().is_ok());

    // On denial there is no snapshot, and so no count of what remains.
    let denied = limiter.check().unwrap_err();
    assert_eq!(denied.wait_time_from(clock.now()), Duration::from_millis(100));
    assert_eq!(denied.earliest_possible(), Nanos::from(Duration::from_millis(100)));
    assert_eq!(denied.quota(), quota);
    assert_eq!(denied.to_string(), "rate-limited until Nanos(100ms)");

    // Three answers in two layers.
    assert!(matches!(limiter.check_n(n), Ok(Err(_))));
    assert_eq!(limiter.check_n(m).unwrap_err(), InsufficientCapacity(10));

    // Exactly then, as ours.
    clock.advance(Duration::from_nanos(99_999_999));
    let denied = limiter.check().unwrap_err();
    assert_eq!(denied.wait_time_from(clock.now()), Duration::from_nanos(1));
    clock.advance(denied.wait_time_from(clock.now()));
    assert!(limiter.check().is_ok());
}

#[test]
fn waiting() {
    let (key, n) = ("alice", cells(1));
    let jitter = Jitter::up_to(MILLISECOND);
    let limiter = RateLimiter::direct(FAST);
    block_on(async {
        limiter.until_ready().await;
        limiter.until_n_ready(n).await.unwrap();
        limiter.until_ready_with_jitter(jitter).await;
        limiter.until_n_ready_with_jitter(n, jitter).await.unwrap();
        assert_eq!(limiter.until_n_ready(cells(2)).await, Err(InsufficientCapacity(1)));
    });

    let limiter = RateLimiter::keyed(FAST);
    block_on(async {
        limiter.until_key_ready(&key).await;
        limiter.until_key_n_ready(&key, n).await.unwrap();
        limiter.until_key_ready_with_jitter(&key, jitter).await;
        limiter.until_key_n_ready_with_jitter(&key, n, jitter).await.unwrap();
    });

    let jitter = Jitter::new(MILLISECOND, MILLISECOND);
    let wait = jitter + SECOND;
    assert!((SECOND + MILLISECOND..SECOND + 2 * MILLISECOND).contains(&wait));

    let limiter = RateLimiter::direct(FAST);
    let items = || stream::iter([1, 2, 3]);
    let sent = || sink::drain::<u32>();
    block_on(async {
        assert_eq!(items().ratelimit_stream(&limiter).count().await, 3);
        assert_eq!(items().ratelimit_stream_with_jitter(&limiter, jitter).count().await, 3);
        sent().ratelimit_sink(&limiter).send(1).await.unwrap();
        sent().ratelimit_sink_with_jitter(&limiter, jitter).send(1).await.unwrap();
    });
}

#[test]
fn housekeeping() {
    let clock = FakeRelativeClock::default();
    let limiter = RateLimiter::dashmap_with_clock(SLOW, clock.clone());
    assert!(limiter.is_empty());
    for key in 0..1000_u32 {
        assert!(limiter.check_key(&key).is_ok());
    }
    clock.advance(DAY);
    // Nothing was owed for a day, and all of it is kept until somebody sweeps.
    assert_eq!(limiter.len(), 1000);
    assert!(limiter.check_key(&7).is_ok());
    limiter.retain_recent();
    assert_eq!(limiter.len(), 1);
    limiter.shrink_to_fit();
    assert!(!limiter.is_empty());
}

#[test]
fn clocks() {
    let clock = FakeRelativeClock::default();
    let limiter = RateLimiter::direct_with_clock(SLOW, clock.clone());
    assert!(limiter.check().is_ok());
    clock.advance(SECOND);
    assert!(limiter.check().is_ok());

    assert!(RateLimiter::direct_with_clock(SLOW, QuantaClock::default()).check().is_ok());
    assert!(RateLimiter::direct_with_clock(SLOW, MonotonicClock).check().is_ok());

    // A thread wakes up in each interval; only one may be in a process.
    let upkeep = QuantaUpkeepClock::from_interval(MILLISECOND).unwrap();
    let builder = quanta::Upkeep::new(MILLISECOND);
    assert!(QuantaUpkeepClock::from_builder(builder).is_err());
    assert!(RateLimiter::direct_with_clock(SLOW, upkeep).check().is_ok());

    assert!(RateLimiter::direct_with_clock(SLOW, SystemClock).check().is_ok());
    let limiter = RateLimiter::direct_with_clock(SLOW, OwnClock);
    block_on(limiter.until_ready());
}

/// A clock of one's own brings its own instants, or borrows some.
#[derive(Clone, Debug)]
struct OwnClock;

impl Clock for OwnClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }
}

impl ReasonablyRealtime for OwnClock {}

#[derive(Default)]
struct OwnState(InMemoryState);

impl StateStore for OwnState {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, key: &NotKeyed, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, f)
    }
}

/// Hands out what it is told on denial.
#[derive(Debug)]
struct OwnMiddleware;

impl<P: Reference> RateLimitingMiddleware<P> for OwnMiddleware {
    type PositiveOutcome = StateSnapshot;
    type NegativeOutcome = StateSnapshot;

    fn allow<K>(_: &K, state: impl Into<StateSnapshot>) -> StateSnapshot {
        state.into()
    }

    fn disallow<K>(_: &K, state: impl Into<StateSnapshot>, _: P) -> StateSnapshot {
        state.into()
    }
}

#[test]
fn extending() {
    let (quota, clock) = (Quota::per_second(cells(5)), FakeRelativeClock::default());
    let state = OwnState::default();
    let limiter: RateLimiter<_, _, _, OwnMiddleware> = RateLimiter::new(quota, state, clock);
    assert_eq!(limiter.check_n(cells(5)).unwrap().unwrap().remaining_burst_capacity(), 0);
    // Where nothing is left the snapshot tells the whole burst.
    assert_eq!(limiter.check().unwrap_err().remaining_burst_capacity(), 5);
    let _: OwnState = limiter.into_state_store();
}

/// With an interval that needs no rounding: whether, how many are left, and how long
/// to wait.
#[test]
fn both_answer_alike() {
    let theirs = FakeRelativeClock::default();
    let quota = Quota::per_second(cells(10)).allow_burst(cells(7));
    let governor = RateLimiter::direct_with_clock(quota, theirs.clone())
        .with_middleware::<StateInformationMiddleware>();
    let ours = tollgate::ManualClock::new();
    let quota = tollgate::Quota::n_per_second(10).unwrap().burst(7).unwrap();
    let tollgate = tollgate::Limiter::gcra(quota).clock(&ours).try_build().unwrap();

    let (mut random, mut outcomes) = (1_u64, [0; 3]);
    for _ in 0..100_000 {
        // Knuth's linear congruential generator for MMIX, its upper bits.
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = Duration::from_nanos((random >> 32) % 600_000_000);
        theirs.advance(step);
        ours.advance(step);
        let n = u32::try_from(random >> 61).unwrap() + 1;
        let decision = tollgate.check_n(n.into());
        match governor.check_n(cells(n)) {
            Ok(Ok(snapshot)) => {
                assert!(decision.is_allowed());
                assert_eq!(decision.remaining(), snapshot.remaining_burst_capacity().into());
                outcomes[0] += 1;
            }
            Ok(Err(denied)) => {
                assert_eq!(decision.retry_after(), Some(denied.wait_time_from(theirs.now())));
                outcomes[1] += 1;
            }
            Err(InsufficientCapacity(burst)) => {
                assert_eq!(decision.outcome(), tollgate::Outcome::Never);
                assert_eq!(decision.limit(), burst.into());
                outcomes[2] += 1;
            }
        }
    }
    assert!(outcomes.iter().all(|&count| count > 1000), "{outcomes:?}");
}

/// "A quota that changes": states are kept as time since the limiter was made.
#[test]
fn a_state_store_in_a_new_limiter() {
    let clock = FakeRelativeClock::default();
    let limiter = RateLimiter::direct_with_clock(SLOW, clock.clone());
    clock.advance(HOUR);
    assert!(limiter.check().is_ok());
    let state = limiter.into_state_store();
    let limiter: RateLimiter<_, _, _, NoOpMiddleware<Nanos>> =
        RateLimiter::new(SLOW, state, clock.clone());
    let denied: NotUntil<Nanos> = limiter.check().unwrap_err();
    assert_eq!(denied.wait_time_from(clock.now()), HOUR + SECOND);
}

/// "Rounding": down to a nanosecond.
#[test]
fn intervals_are_rounded_down() {
    let nanosecond = Duration::from_nanos(1);
    assert_eq!(Quota::per_second(cells(600_000_001)).replenish_interval(), nanosecond);
    assert_eq!(Quota::per_second(cells(1_000_000_000)).replenish_interval(), nanosecond);
    assert_eq!(Quota::per_second(cells(999_999)).replenish_interval().as_nanos(), 1000);
}

/// "Range": burst times interval is not checked against 2^64 ns.
#[test]
fn a_burst_beyond_the_range() {
    let quota = Quota::with_period(DAY).unwrap().allow_burst(cells(300_000));
    let build = move || RateLimiter::direct_with_clock(quota, FakeRelativeClock::default());
    if cfg!(debug_assertions) {
        assert!(panic::catch_unwind(build).is_err());
    } else {
        let limiter = build();
        let admitted = (0..300_000).take_while(|_| limiter.check().is_ok()).count();
        assert_eq!(admitted, 86_496);
    }
}

/// One section of the page.
#[derive(Default)]
struct Section {
    /// Examples of governor, marked as text.
    theirs: String,
    /// Examples that run with the tests of the documentation.
    ours: String,
    rows: Vec<(String, String)>,
}

fn sections(page: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut block = None;
    for line in page.lines() {
        if block.is_none() && line.starts_with("# ") {
            sections.push(Section::default());
        }
        let section = sections.last_mut().unwrap();
        match (block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (Some("text"), None) => section.theirs.push_str(line),
            (Some(_), None) => section.ours.push_str(line.strip_prefix("# ").unwrap_or(line)),
            (None, None) => {
                let row = line.strip_prefix("| ").and_then(|row| row.split_once(" | "));
                section.rows.extend(row.map(|(left, right)| (left.to_owned(), right.to_owned())));
            }
        }
    }
    sections
}

/// `text` as far as line breaks do not matter to it.
fn squeezed(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    text.replace(",)", ")").replace(",}", "}")
}

/// The code in a table's cell.
fn code_in(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Everything that a table of the page says of governor stands above, in the page's
/// order; and everything that it says of tollgate, in an example of its section.
#[test]
fn the_page_names_nothing_else() {
    let source = include_str!("coming_from_governor.rs");
    let source = squeezed(source.split("struct Section").next().unwrap());
    let mut rest = source.as_str();
    let mut find = |code: &str| {
        let code = squeezed(code);
        let at = rest.find(&code).unwrap_or_else(|| panic!("not above, or out of order: {code}"));
        rest = &rest[at..];
    };

    let mut rows = 0;
    for section in sections(include_str!("../../../src/coming_from_governor.md")) {
        find(&section.theirs);
        let ours = squeezed(&section.ours);
        for (left, right) in &section.rows {
            code_in(left).for_each(&mut find);
            for code in code_in(right) {
                assert!(ours.contains(&squeezed(code)), "in no example of its section: {code}");
            }
            rows += 1;
        }
    }
    assert!(rows > 60, "{rows}");
}
