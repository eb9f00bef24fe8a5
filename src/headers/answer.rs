//! What is told: the limits that were asked, and what came of it.

use crate::{
    decision::{Decision, Outcome},
    time::Nanos,
};
use std::time::{Duration, SystemTime};

/// One limit as a response tells of it.
///
/// [`from_decision`](Self::from_decision) fills it from a limiter's answer.
///
/// ```
/// use tollgate::{Limiter, Quota, headers::Reported};
///
/// let limiter = Limiter::sliding_log(Quota::n_per_minute(5)?).try_build()?;
/// let decision = limiter.check();
/// let limit = Reported {
///     unit: "messages",
///     window: Some(limiter.quota().period()),
///     ..Reported::from_decision("chat", &decision)
/// };
/// assert_eq!((limit.limit, limit.remaining), (Some(5), 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported<'a> {
    /// What the limit is called.
    pub name: &'a str,
    /// How many units it lets pass at once, or within [`window`](Self::window). `None`
    /// where there is no number to tell: unlimited, or denied before it was counted.
    pub limit: Option<u64>,
    /// How many of them are left, after this decision.
    pub remaining: u64,
    /// When the next ones come back. `None` where none ever do: the size of a request
    /// is limited anew each time.
    pub reset_next: Option<Duration>,
    /// When all of them are back.
    pub reset_full: Option<Duration>,
    /// The time in which so many units as [`limit`](Self::limit) come back, where it is
    /// known: the window of a log or a counter, burst times emission interval for GCRA.
    pub window: Option<Duration>,
    /// What is counted: `requests`, `bytes`, ...
    pub unit: &'a str,
    /// What this limit said.
    pub outcome: Outcome,
    /// If it said [`Outcome::Later`]: how much later, where that is known.
    pub retry_after: Option<Duration>,
    /// It is only watched: it denies nothing, and clients are not told of it.
    pub shadow: bool,
}

impl<'a> Reported<'a> {
    /// The answer of a [`Limiter`](crate::Limiter) or
    /// [`KeyedLimiter`](crate::KeyedLimiter), counted in requests. A decision does not
    /// know its quota's window: [`window`](Self::window) is for whoever does to fill in.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, ManualClock, Quota, headers::Reported};
    ///
    /// let limiter =
    ///     Limiter::gcra(Quota::n_per_minute(60)?).clock(ManualClock::new()).try_build()?;
    /// let limit = Reported::from_decision("api", &limiter.check_n(3));
    /// assert_eq!((limit.limit, limit.remaining), (Some(60), 57));
    /// assert_eq!(limit.reset_next, Some(Duration::from_secs(1)));
    /// assert_eq!(limit.reset_full, Some(Duration::from_secs(3)));
    /// assert_eq!(limit.window, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn from_decision(name: &'a str, decision: &Decision) -> Self {
        Self {
            name,
            limit: Some(decision.limit()),
            remaining: decision.remaining(),
            reset_next: Some(decision.next_after()),
            reset_full: Some(decision.full_after()),
            window: None,
            unit: "requests",
            outcome: decision.outcome(),
            retry_after: decision.retry_after(),
            shadow: false,
        }
    }

    /// Whether this limit denies the request.
    ///
    /// ```
    /// use tollgate::{Limiter, Quota, headers::Reported};
    ///
    /// let limiter = Limiter::sliding_log(Quota::n_per_hour(1)?).try_build()?;
    /// assert!(!Reported::from_decision("api", &limiter.check()).is_violated());
    /// let denied = Reported::from_decision("api", &limiter.check());
    /// assert!(denied.is_violated());
    /// // In shadow it says the same, and denies nothing.
    /// assert!(!Reported { shadow: true, ..denied }.is_violated());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_violated(&self) -> bool {
        !self.shadow && self.outcome != Outcome::Allowed
    }

    /// Whether it may bind: shadows do not, nor what has no numbers and denies nothing.
    pub(crate) fn can_bind(&self) -> bool {
        !self.shadow && (self.is_violated() || self.limit.is_some())
    }

    /// Whether it binds rather than `other`, which comes before it: see [`Answer::binding`].
    pub(crate) fn binds_before(&self, other: &Reported<'_>) -> bool {
        match (self.is_violated(), other.is_violated()) {
            (true, true) => severity(self) > severity(other),
            (false, false) => {
                let (limit, left) = self.numbers().unwrap_or_default();
                let (other_limit, other_left) = other.numbers().unwrap_or_default();
                // left / limit < other_left / other_limit, exactly. A limit of 0 has 0 left.
                let mine = u128::from(left) * u128::from(other_limit.max(1));
                let theirs = u128::from(other_left) * u128::from(limit.max(1));
                mine < theirs || (mine == theirs && self.window.is_some() && other.window.is_none())
            }
            (mine, _) => mine,
        }
    }

    /// Limit and remaining as they are told: never more remains than the limit.
    pub(super) fn numbers(&self) -> Option<(u64, u64)> {
        self.limit.map(|limit| (limit, self.remaining.min(limit)))
    }
}

/// What denied the request, if anything did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause<'a> {
    Limits,
    Block(&'a str),
    Refusal(&'a str),
}

/// The answer to one request, with every limit that was asked: what a
/// [`Dialect`](super::Dialect) renders.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, Nanos, Outcome, Quota, headers::{Answer, Reported}};
///
/// let minute = Limiter::sliding_log(Quota::n_per_minute(1)?).try_build()?;
/// let hour = Limiter::sliding_log(Quota::n_per_hour(1)?).try_build()?;
/// let _ = (minute.check(), hour.check());
///
/// // Both say no: the hour binds, because its wait is the longer.
/// let limits = [
///     Reported::from_decision("minute", &minute.check()),
///     Reported::from_decision("hour", &hour.check()),
/// ];
/// let answer = Answer::new(&limits, Nanos::from_secs(1_700_000_000));
/// assert_eq!(answer.outcome(), Outcome::Later);
/// assert_eq!(answer.binding().map(|limit| limit.name), Some("hour"));
/// assert!(answer.retry_after() > Some(Duration::from_secs(3_500)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    outcome: Outcome,
    retry_after: Option<Duration>,
    binding: Option<usize>,
    limits: &'a [Reported<'a>],
    now: Nanos,
    cause: Cause<'a>,
    status: Option<u16>,
}

impl<'a> Answer<'a> {
    /// What these limits say together at `now`, in nanoseconds since 1970
    /// ([`unix_now`]): denied if any of them denies it, after the longest of
    /// the waits; and *never* if any says so.
    ///
    /// ```
    /// use tollgate::{
    ///     Limiter, Nanos, Outcome, Quota,
    ///     headers::{Answer, Reported},
    /// };
    ///
    /// let few = Limiter::sliding_log(Quota::n_per_hour(1)?).try_build()?;
    /// let many = Limiter::sliding_log(Quota::n_per_hour(9)?).try_build()?;
    /// // Two units at once: `few` can never have them.
    /// let limits = [
    ///     Reported::from_decision("few", &few.check_n(2)),
    ///     Reported::from_decision("many", &many.check_n(2)),
    /// ];
    /// let answer = Answer::new(&limits, Nanos::from_secs(1_700_000_000));
    /// assert_eq!((answer.outcome(), answer.retry_after()), (Outcome::Never, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(limits: &'a [Reported<'a>], now: Nanos) -> Self {
        let binding = binding(limits, |_| true);
        let denied = binding.and_then(|at| limits.get(at)).filter(|limit| limit.is_violated());
        let outcome = denied.map_or(Outcome::Allowed, |limit| limit.outcome);
        let retry_after = denied.and_then(wait);
        Self { outcome, retry_after, binding, limits, now, cause: Cause::Limits, status: None }
    }

    /// Denied by the block of that name, for so long; `None`: until somebody lifts it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{
    ///     Outcome,
    ///     headers::{Answer, Dialect, Fields, unix_now},
    /// };
    ///
    /// let hour = Some(Duration::from_secs(3_600));
    /// let answer = Answer::blocked("too many failed logins", hour, &[], unix_now());
    /// let response = Dialect::new(Fields::RetryAfter).response(&answer);
    /// assert_eq!(response.field("Retry-After"), Some("3600"));
    ///
    /// let for_good = Answer::blocked("abuse", None, &[], unix_now());
    /// assert_eq!(for_good.outcome(), Outcome::Never);
    /// ```
    pub fn blocked(
        name: &'a str,
        retry_after: Option<Duration>,
        limits: &'a [Reported<'a>],
        now: Nanos,
    ) -> Self {
        let outcome = if retry_after.is_some() { Outcome::Later } else { Outcome::Never };
        let cause = Cause::Block(name);
        Self { outcome, retry_after, cause, ..Self::new(limits, now) }
    }

    /// Denied by the rule of that name, which has nothing to do with how much was
    /// asked for. Its status is 403, unless [`with_status`](Self::with_status) says other.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, unix_now};
    ///
    /// let dialect = Dialect::default();
    /// let answer = Answer::refused("no robots", &[], unix_now());
    /// assert_eq!(dialect.status(&answer), Some(403));
    /// assert_eq!(dialect.status(&answer.with_status(451)), Some(451));
    /// ```
    pub fn refused(name: &'a str, limits: &'a [Reported<'a>], now: Nanos) -> Self {
        Self { cause: Cause::Refusal(name), ..Self::blocked(name, None, limits, now) }
    }

    /// The same with a status of its own, should it be a denial. It goes before those
    /// of the dialect.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, unix_now};
    ///
    /// let dialect = Dialect::default().with_status(503)?;
    /// let blocked = Answer::blocked("maintenance", None, &[], unix_now());
    /// assert_eq!(dialect.status(&blocked), Some(503));
    /// assert_eq!(dialect.status(&blocked.with_status(423)), Some(423));
    /// // What is allowed has no status of ours.
    /// assert_eq!(dialect.status(&Answer::new(&[], unix_now()).with_status(423)), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Allowed, later, or never.
    ///
    /// ```
    /// use tollgate::{
    ///     Outcome,
    ///     headers::{Answer, unix_now},
    /// };
    ///
    /// // Nothing was asked, so nothing says no.
    /// assert_eq!(Answer::new(&[], unix_now()).outcome(), Outcome::Allowed);
    /// assert_eq!(Answer::refused("no robots", &[], unix_now()).outcome(), Outcome::Never);
    /// ```
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the request may not pass.
    ///
    /// ```
    /// use tollgate::{
    ///     Limiter, Quota,
    ///     headers::{Answer, Reported, unix_now},
    /// };
    ///
    /// let limiter = Limiter::sliding_log(Quota::n_per_hour(1)?).try_build()?;
    /// let denied = [(); 2].map(|()| {
    ///     let limits = [Reported::from_decision("api", &limiter.check())];
    ///     Answer::new(&limits, unix_now()).is_denied()
    /// });
    /// assert_eq!(denied, [false, true]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_denied(&self) -> bool {
        self.outcome != Outcome::Allowed
    }

    /// How long to wait. `None` when it was allowed; when waiting does not help; and
    /// when nobody knows.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{
    ///     Limiter, ManualClock, Quota,
    ///     headers::{Answer, Reported, unix_now},
    /// };
    ///
    /// let limiter = Limiter::gcra(Quota::n_per_minute(20)?.burst(1)?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let wait = |limits: [Reported<'_>; 1]| Answer::new(&limits, unix_now()).retry_after();
    /// assert_eq!(wait([Reported::from_decision("api", &limiter.check())]), None);
    /// let denied = Reported::from_decision("api", &limiter.check());
    /// assert_eq!(wait([denied]), Some(Duration::from_secs(3)));
    /// // A limit in shadow makes nobody wait.
    /// assert_eq!(wait([Reported { shadow: true, ..denied }]), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The limit that binds. Of a denial, the violated one with the longest wait, *never*
    /// before *later*. When all allow it, the one with the least left in proportion to its
    /// limit; of equals, one with a window, then the first. Shadows bind nothing.
    ///
    /// ```
    /// use tollgate::{
    ///     Limiter, Quota,
    ///     headers::{Answer, Reported, unix_now},
    /// };
    ///
    /// let ten = Limiter::sliding_log(Quota::n_per_minute(10)?).try_build()?;
    /// let hundred = Limiter::sliding_log(Quota::n_per_hour(100)?).try_build()?;
    /// let _ = hundred.check_n(50);
    /// // 9 of 10 are left, and 49 of 100: that is less in proportion.
    /// let limits = [
    ///     Reported::from_decision("ten", &ten.check()),
    ///     Reported::from_decision("hundred", &hundred.check()),
    /// ];
    /// assert_eq!(
    ///     Answer::new(&limits, unix_now()).binding().map(|limit| limit.name),
    ///     Some("hundred")
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn binding(&self) -> Option<&'a Reported<'a>> {
        self.binding.and_then(|at| self.limits.get(at))
    }

    /// The one that binds of those that `are_meant`.
    pub(super) fn binding_of(
        &self,
        are_meant: impl Fn(&Reported<'_>) -> bool,
    ) -> Option<&'a Reported<'a>> {
        binding(self.limits, are_meant).and_then(|at| self.limits.get(at))
    }

    /// Every limit that was asked.
    ///
    /// ```
    /// use tollgate::{
    ///     Limiter, Quota,
    ///     headers::{Answer, Reported, unix_now},
    /// };
    ///
    /// let limiter = Limiter::sliding_log(Quota::n_per_hour(9)?).try_build()?;
    /// let limits = [Reported::from_decision("api", &limiter.check())];
    /// // A block, with the limits that were asked beside it:
    /// let answer = Answer::blocked("ladder", None, &limits, unix_now());
    /// assert_eq!(answer.limits().iter().map(|limit| limit.remaining).collect::<Vec<_>>(), [8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn limits(&self) -> &'a [Reported<'a>] {
        self.limits
    }

    /// When this was, in nanoseconds since 1970.
    ///
    /// ```
    /// use tollgate::{Nanos, headers::Answer};
    ///
    /// let new_year = Nanos::from_secs(1_767_225_600); // 2026
    /// assert_eq!(Answer::new(&[], new_year).now(), new_year);
    /// ```
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// What denied the request by name: a limit, a block, or a rule.
    ///
    /// ```
    /// use tollgate::{
    ///     Limiter, Quota,
    ///     headers::{Answer, Reported, unix_now},
    /// };
    ///
    /// let limiter = Limiter::sliding_log(Quota::n_per_hour(1)?).try_build()?;
    /// let allowed = [Reported::from_decision("api", &limiter.check())];
    /// assert_eq!(Answer::new(&allowed, unix_now()).denied_by(), None);
    /// let denied = [Reported::from_decision("api", &limiter.check())];
    /// assert_eq!(Answer::new(&denied, unix_now()).denied_by(), Some("api"));
    /// // A rule goes before limits.
    /// assert_eq!(
    ///     Answer::refused("no robots", &denied, unix_now()).denied_by(),
    ///     Some("no robots")
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn denied_by(&self) -> Option<&'a str> {
        match self.cause {
            Cause::Block(name) | Cause::Refusal(name) => Some(name),
            Cause::Limits => self.binding().filter(|l| l.is_violated()).map(|limit| limit.name),
        }
    }

    pub(super) const fn own_status(&self) -> Option<u16> {
        self.status
    }

    pub(super) const fn is_block(&self) -> bool {
        matches!(self.cause, Cause::Block(_))
    }

    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self.cause, Cause::Refusal(_))
    }

    /// The limit that a denial is about: none if a block or a rule made it.
    pub(super) fn violated(&self) -> Option<&'a Reported<'a>> {
        match self.cause {
            Cause::Limits => self.binding().filter(|limit| limit.is_violated()),
            Cause::Block(_) | Cause::Refusal(_) => None,
        }
    }
}

/// How long a limit that denies wants one to wait, where that is known and of use.
fn wait(limit: &Reported<'_>) -> Option<Duration> {
    limit.retry_after.filter(|_| limit.outcome == Outcome::Later)
}

/// Which limit binds: see [`Answer::binding`].
fn binding(limits: &[Reported<'_>], are_meant: impl Fn(&Reported<'_>) -> bool) -> Option<usize> {
    let mut best: Option<(usize, &Reported<'_>)> = None;
    for (at, limit) in limits.iter().enumerate() {
        let is_better = || best.is_none_or(|(_, other)| limit.binds_before(other));
        if limit.can_bind() && are_meant(limit) && is_better() {
            best = Some((at, limit));
        }
    }
    best.map(|(at, _)| at)
}

/// *Never* before a wait that nobody knows, before the longest wait.
fn severity(limit: &Reported<'_>) -> (u8, Duration) {
    match (limit.outcome, wait(limit)) {
        (Outcome::Never, _) => (2, Duration::ZERO),
        (_, None) => (1, Duration::ZERO),
        (_, Some(wait)) => (0, wait),
    }
}

/// The time since 1970 by the system's clock; zero if that stands before 1970.
///
/// ```
/// use tollgate::{Nanos, headers::unix_now};
///
/// assert!(unix_now() > Nanos::from_secs(1_700_000_000)); // November 2023
/// ```
pub fn unix_now() -> Nanos {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(Nanos::ZERO, Nanos::from)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const fn plain(name: &str, limit: u64, remaining: u64) -> Reported<'_> {
        Reported {
            name,
            limit: Some(limit),
            remaining,
            reset_next: Some(Duration::from_secs(5)),
            reset_full: Some(Duration::from_secs(50)),
            window: Some(Duration::from_secs(60)),
            unit: "requests",
            outcome: Outcome::Allowed,
            retry_after: None,
            shadow: false,
        }
    }

    const fn later(name: &str, secs: u64) -> Reported<'_> {
        let retry_after = Some(Duration::from_secs(secs));
        Reported { outcome: Outcome::Later, retry_after, ..plain(name, 10, 0) }
    }

    const fn never(name: &str) -> Reported<'_> {
        Reported { outcome: Outcome::Never, ..plain(name, 10, 10) }
    }

    fn bound<'a>(limits: &'a [Reported<'a>]) -> Option<&'a str> {
        Answer::new(limits, Nanos::ZERO).binding().map(|limit| limit.name)
    }

    #[test]
    fn least_left_binds_when_allowed() {
        assert_eq!(bound(&[]), None);
        assert_eq!(bound(&[plain("a", 10, 9), plain("b", 1000, 899)]), Some("b"));
        assert_eq!(bound(&[plain("a", 10, 9), plain("b", 1000, 900)]), Some("a"));
        // A float could not tell these apart.
        let max = u64::MAX;
        assert_eq!(bound(&[plain("a", max, max - 1), plain("b", max, max - 2)]), Some("b"));
        assert_eq!(bound(&[plain("a", max - 1, max - 2), plain("b", max, max - 1)]), Some("a"));
        // Unlimited has no numbers, a shadow binds nothing, 0 of 0 is nothing left.
        let unlimited = Reported { limit: None, ..plain("u", 0, 0) };
        let shadow = Reported { shadow: true, ..plain("s", 10, 0) };
        assert_eq!(bound(&[unlimited, shadow]), None);
        assert_eq!(bound(&[unlimited, shadow, plain("a", 10, 10)]), Some("a"));
        assert_eq!(bound(&[plain("a", 10, 1), plain("z", 0, 0)]), Some("z"));
        let size = Reported { window: None, ..plain("size", 10, 10) };
        assert_eq!(bound(&[size, plain("a", 10, 10)]), Some("a"));
        assert_eq!(bound(&[plain("a", 10, 10), plain("b", 10, 10)]), Some("a"));
    }

    #[test]
    fn longest_wait_binds_when_denied() {
        let limits = [plain("a", 10, 0), later("b", 5), later("c", 7), later("d", 7)];
        let answer = Answer::new(&limits, Nanos::ZERO);
        assert_eq!(answer.denied_by(), Some("c"));
        assert_eq!(answer.outcome(), Outcome::Later);
        assert_eq!(answer.retry_after(), Some(Duration::from_secs(7)));
        // A single `never` is the whole answer, whatever the others would wait.
        let limits = [later("b", 5), never("n"), later("c", 7)];
        let answer = Answer::new(&limits, Nanos::ZERO);
        assert_eq!(answer.denied_by(), Some("n"));
        assert_eq!((answer.outcome(), answer.retry_after()), (Outcome::Never, None));
        // A wait that nobody knows may be the longest.
        let limits = [later("b", 5), Reported { retry_after: None, ..later("x", 0) }];
        let answer = Answer::new(&limits, Nanos::ZERO);
        assert_eq!(answer.denied_by(), Some("x"));
        assert_eq!((answer.outcome(), answer.retry_after()), (Outcome::Later, None));
        // A shadow denies nothing.
        let limits = [plain("a", 10, 4), Reported { shadow: true, ..never("s") }];
        let answer = Answer::new(&limits, Nanos::ZERO);
        assert_eq!((answer.outcome(), answer.denied_by()), (Outcome::Allowed, None));
    }

    #[test]
    fn blocks_and_refusals_are_denials_of_their_own() {
        let limits = [plain("a", 10, 4)];
        let hour = Some(Duration::from_secs(3600));
        let blocked = Answer::blocked("ladder", hour, &limits, Nanos::ZERO);
        assert_eq!((blocked.outcome(), blocked.retry_after()), (Outcome::Later, hour));
        assert_eq!(blocked.denied_by(), Some("ladder"));
        let lifted = Answer::blocked("ladder", None, &[], Nanos::ZERO);
        assert_eq!((lifted.outcome(), lifted.retry_after()), (Outcome::Never, None));
        let refused = Answer::refused("no", &limits, Nanos::ZERO);
        assert_eq!((refused.outcome(), refused.denied_by()), (Outcome::Never, Some("no")));
        assert!(refused.is_refusal() && !refused.is_block() && refused.violated().is_none());
    }
}
