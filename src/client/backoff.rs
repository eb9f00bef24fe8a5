//! Whether to try again, and after how long.

use super::{Advice, Jitter};
use crate::time::Nanos;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// No wait is shorter, whatever a schedule is told.
const SHORTEST: Duration = Duration::from_millis(1);

/// The most that jitter adds to a wait that the server told.
const MOST_BESIDE_TOLD: Duration = SECOND;

/// A schedule of waits: how long before which try, how many, and how long in all.
///
/// What a server tells by `Retry-After` goes before the schedule; the number of tries
/// and the total hold for both. The presets are what APIs ask of their callers in their
/// documentation; each number can be changed.
///
/// ```
/// use std::time::Duration;
/// use tollgate::client::{Backoff, Jitter};
///
/// let backoff = Backoff::doubling().longest(Duration::from_secs(5));
/// let mut jitter = Jitter::seeded(0);
/// let waits: Vec<u64> = (0..5).map(|n| backoff.wait(n, &mut jitter).as_secs()).collect();
/// assert_eq!(waits, [1, 2, 4, 5, 5]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: f64,
    tries: u32,
    total: Duration,
}

impl Backoff {
    const fn new(first: Duration, longest: Duration, jitter: f64, tries: u32) -> Self {
        Self { first, longest, jitter, tries, total: HOUR }
    }

    /// 1, 2, 4, ... seconds, a minute at most; as often as fits in an hour. No jitter.
    ///
    /// ```
    /// # use tollgate::client::{Backoff, Jitter};
    /// let (backoff, mut jitter) = (Backoff::doubling(), Jitter::seeded(0));
    /// let waits = [0, 1, 2, 9].map(|n| backoff.wait(n, &mut jitter).as_secs());
    /// assert_eq!(waits, [1, 2, 4, 60]);
    /// ```
    pub const fn doubling() -> Self {
        Self::new(SECOND, MINUTE, 0.0, u32::MAX)
    }

    /// min(1 × 2ⁿ, 60) seconds and up to 10 % more; five tries, within an hour.
    ///
    /// The default: callers that were denied together do not come back together.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::client::{Backoff, Jitter};
    /// let wait = Backoff::doubling_with_jitter().wait(3, &mut Jitter::random());
    /// assert!(wait >= Duration::from_secs(8) && wait <= Duration::from_millis(8800));
    /// assert_eq!(Backoff::default(), Backoff::doubling_with_jitter());
    /// ```
    pub const fn doubling_with_jitter() -> Self {
        Self::new(SECOND, MINUTE, 0.1, 5)
    }

    /// Three retries, after 1, 2 and 4 seconds; then the 429 is the caller's. Within four
    /// hours, as each of the waits may be told to be an hour. No jitter.
    ///
    /// ```
    /// # use tollgate::{Nanos, client::{Advice, Backoff, GiveUp, Jitter, Next, Retry}};
    /// let mut retry = Retry::new(Backoff::three_retries(), Jitter::seeded(0));
    /// let mut denied = || retry.next(429, &Advice::default(), Nanos::ZERO);
    /// assert!([(); 3].into_iter().all(|()| matches!(denied(), Next::Wait(_))));
    /// assert_eq!(denied(), Next::GiveUp(GiveUp::Tries));
    /// ```
    pub const fn three_retries() -> Self {
        Self { total: HOUR.saturating_mul(4), ..Self::new(SECOND, MINUTE, 0.0, 4) }
    }

    /// A minute before each retry; three tries, within an hour. No jitter.
    ///
    /// ```
    /// # use tollgate::client::{Backoff, Jitter};
    /// let (backoff, mut jitter) = (Backoff::a_minute_each(), Jitter::seeded(0));
    /// let waits = [0, 1, 2, 9].map(|n| backoff.wait(n, &mut jitter).as_secs());
    /// assert_eq!(waits, [60, 60, 60, 60]);
    /// ```
    pub const fn a_minute_each() -> Self {
        Self::new(MINUTE, MINUTE, 0.0, 3)
    }

    /// The first wait; at least a millisecond.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::client::{Backoff, Jitter};
    /// let (backoff, mut jitter) = (Backoff::doubling().first(Duration::from_secs(5)), Jitter::seeded(0));
    /// let waits = [0, 1, 2, 9].map(|n| backoff.wait(n, &mut jitter).as_secs());
    /// assert_eq!(waits, [5, 10, 20, 60]);
    /// ```
    #[must_use]
    pub fn first(mut self, first: Duration) -> Self {
        self.first = first.max(SHORTEST);
        self
    }

    /// The longest wait of the schedule, before jitter; at least the first one. What a
    /// server tells is not bounded by it, but by the [total](Self::total).
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tollgate::{Nanos, client::{Advice, Backoff, Jitter, Next, Retry}};
    /// let backoff = Backoff::doubling().longest(Duration::from_secs(10));
    /// assert_eq!(backoff.wait(9, &mut Jitter::seeded(0)), Duration::from_secs(10));
    /// // A server may well ask for more.
    /// let told = Advice::read([("Retry-After", "90")], SystemTime::now());
    /// let next = Retry::new(backoff, Jitter::seeded(0)).next(429, &told, Nanos::ZERO);
    /// assert_eq!(next, Next::Wait(Duration::from_secs(90)));
    /// ```
    #[must_use]
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Up to this share is added to each wait, from 0 to 1; to a wait that the server
    /// told at most a second. What is no number is 0.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::client::{Backoff, Jitter};
    /// let backoff = Backoff::doubling().jitter(0.5);
    /// let wait = backoff.wait(2, &mut Jitter::random());
    /// assert!(wait >= Duration::from_secs(4) && wait <= Duration::from_secs(6));
    /// ```
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share_of_one(share);
        self
    }

    /// How often a call is sent at most, the first time included; at least once.
    ///
    /// ```
    /// # use tollgate::{Nanos, client::{Advice, Backoff, GiveUp, Jitter, Next, Retry}};
    /// let mut retry = Retry::new(Backoff::doubling().tries(2), Jitter::seeded(0));
    /// assert!(matches!(retry.next(429, &Advice::default(), Nanos::ZERO), Next::Wait(_)));
    /// let next = retry.next(429, &Advice::default(), Nanos::from_secs(1));
    /// assert_eq!(next, Next::GiveUp(GiveUp::Tries));
    /// ```
    #[must_use]
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// The most time from the first denial of a call to its last try, whatever it waits for:
    /// what it was told, others that hold the pacer, or its turn.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tollgate::{Nanos, client::{Advice, Backoff, GiveUp, Jitter, Next, Retry}};
    /// let hasty = Backoff::doubling().total(Duration::from_secs(30));
    /// let told = Advice::read([("Retry-After", "31")], SystemTime::now());
    /// // At once, and not after a sleep in vain.
    /// let next = Retry::new(hasty, Jitter::seeded(0)).next(429, &told, Nanos::ZERO);
    /// assert_eq!(next, Next::GiveUp(GiveUp::Total(Duration::from_secs(31))));
    /// ```
    #[must_use]
    pub fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// The wait after denial `n` (counted from 0) of a call whose answer tells none.
    ///
    /// ```
    /// # use tollgate::client::{Backoff, Jitter};
    /// let (backoff, mut jitter) = (Backoff::doubling(), Jitter::seeded(0));
    /// let waits = [0, 1, 2, u32::MAX].map(|n| backoff.wait(n, &mut jitter).as_secs());
    /// assert_eq!(waits, [1, 2, 4, 60]);
    /// ```
    pub fn wait(&self, n: u32, jitter: &mut Jitter) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(n));
        let wait = doubled.min(self.longest.max(self.first)).max(SHORTEST);
        wait.saturating_add(self.share_of(wait, jitter))
    }

    /// A wait that the server told, and a little more.
    pub(super) fn beside(&self, told: Duration, jitter: &mut Jitter) -> Duration {
        let most = MOST_BESIDE_TOLD.as_secs_f64() / self.jitter.max(f64::MIN_POSITIVE);
        let most = Duration::try_from_secs_f64(most).unwrap_or(Duration::MAX);
        told.saturating_add(self.share_of(told.min(most), jitter))
    }

    fn share_of(&self, wait: Duration, jitter: &mut Jitter) -> Duration {
        let share = wait.as_secs_f64() * self.jitter;
        jitter.up_to(Duration::try_from_secs_f64(share).unwrap_or(Duration::ZERO))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::doubling_with_jitter()
    }
}

/// Within 0 and 1; what is no number is 0.
pub(super) fn share_of_one(share: f64) -> f64 {
    if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
}

/// What is to become of a call, given its answer.
///
/// ```
/// use tollgate::client::{Advice, Backoff, Jitter, Next, Retry};
///
/// let mut retry = Retry::new(Backoff::default(), Jitter::random());
/// let now = tollgate::Nanos::ZERO;
/// assert_eq!(retry.next(200, &Advice::default(), now), Next::Done);
/// assert!(matches!(retry.next(429, &Advice::default(), now), Next::Wait(_)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// The answer is no denial: it is the caller's.
    Done,
    /// Try again after this time, which is never zero.
    Wait(Duration),
    /// Denied, and not to be tried again: the answer is the caller's.
    GiveUp(GiveUp),
}

/// Why a call is not tried again.
///
/// ```
/// use tollgate::client::{Advice, Backoff, GiveUp, Jitter, Next, Retry};
///
/// let mut retry = Retry::new(Backoff::default().tries(1), Jitter::random());
/// let next = retry.next(429, &Advice::default(), tollgate::Nanos::ZERO);
/// assert_eq!(next, Next::GiveUp(GiveUp::Tries));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GiveUp {
    /// It was tried as often as the schedule has it.
    Tries,
    /// This wait does not fit in what is left of the schedule's total.
    Total(Duration),
}

/// One call: how often it was denied, and since when.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tollgate::client::{Advice, Backoff, GiveUp, Jitter, Next, Retry};
/// use tollgate::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let mut retry = Retry::new(Backoff::three_retries(), Jitter::seeded(0));
///
/// let told = Advice::read([("Retry-After", "42")], SystemTime::now());
/// assert_eq!(retry.next(429, &told, clock.now()), Next::Wait(Duration::from_secs(42)));
/// clock.advance(Duration::from_secs(42));
///
/// let nothing = Advice::default();
/// assert_eq!(retry.next(429, &nothing, clock.now()), Next::Wait(Duration::from_secs(2)));
/// assert_eq!(retry.next(429, &nothing, clock.now()), Next::Wait(Duration::from_secs(4)));
/// assert_eq!(retry.next(429, &nothing, clock.now()), Next::GiveUp(GiveUp::Tries));
/// ```
#[derive(Clone, Debug)]
pub struct Retry {
    backoff: Backoff,
    jitter: Jitter,
    denials: u32,
    /// When it was first denied.
    since: Nanos,
}

impl Retry {
    /// A call that was not sent yet.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::{Nanos, client::{Advice, Backoff, Jitter, Next, Retry}};
    /// let mut retry = Retry::new(Backoff::a_minute_each(), Jitter::random());
    /// let next = retry.next(429, &Advice::default(), Nanos::ZERO);
    /// assert_eq!(next, Next::Wait(Duration::from_secs(60)));
    /// ```
    pub fn new(backoff: Backoff, jitter: Jitter) -> Self {
        Self { backoff, jitter, denials: 0, since: Nanos::ZERO }
    }

    /// Whether an answer says *later*: 429, or 503 with a wait.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tollgate::client::{Advice, Retry};
    ///
    /// let told = Advice::read([("Retry-After", "5")], SystemTime::now());
    /// let denials = [200, 429, 500, 503].map(|status| Retry::is_denial(status, &told));
    /// assert_eq!(denials, [false, true, false, true]);
    /// assert!(!Retry::is_denial(503, &Advice::default()));
    /// ```
    pub fn is_denial(status: u16, advice: &Advice) -> bool {
        status == 429 || (status == 503 && advice.retry_after().is_some())
    }

    /// What is to become of the call, given an answer that came at `now`.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tollgate::{Nanos, client::{Advice, Backoff, Jitter, Next, Retry}};
    /// let mut retry = Retry::new(Backoff::doubling(), Jitter::seeded(0));
    /// let told = Advice::read([("Retry-After", "30")], SystemTime::now());
    /// assert_eq!(retry.next(429, &told, Nanos::ZERO), Next::Wait(Duration::from_secs(30)));
    /// assert_eq!(retry.next(404, &told, Nanos::from_secs(30)), Next::Done); // no denial
    /// ```
    pub fn next(&mut self, status: u16, advice: &Advice, now: Nanos) -> Next {
        if !Self::is_denial(status, advice) {
            return Next::Done;
        }
        if self.denials == 0 {
            self.since = now;
        }
        self.denials = self.denials.saturating_add(1);
        if self.denials >= self.backoff.tries {
            return Next::GiveUp(GiveUp::Tries);
        }
        let wait = self.wait(advice);
        if now.since(self.since).saturating_add(wait) > self.backoff.total {
            return Next::GiveUp(GiveUp::Total(wait));
        }
        Next::Wait(wait)
    }

    /// The wait after the last denial.
    pub(super) fn wait(&mut self, advice: &Advice) -> Duration {
        match advice.retry_after().filter(|told| !told.is_zero()) {
            Some(told) => self.backoff.beside(told, &mut self.jitter),
            None => self.backoff.wait(self.denials.saturating_sub(1), &mut self.jitter),
        }
    }

    /// The last instant at which the total lets it be tried again, once it was denied.
    pub(super) fn deadline(&self) -> Option<Nanos> {
        (self.denials > 0).then(|| self.since.after(self.backoff.total))
    }

    /// How often it was denied.
    ///
    /// ```
    /// # use tollgate::{Nanos, client::{Advice, Backoff, Jitter, Retry}};
    /// let mut retry = Retry::new(Backoff::default(), Jitter::random());
    /// for status in [429, 429, 200] {
    ///     let _ = retry.next(status, &Advice::default(), Nanos::ZERO);
    /// }
    /// assert_eq!(retry.denials(), 2);
    /// ```
    pub fn denials(&self) -> u32 {
        self.denials
    }
}
