//! [`Decision`]: what every check answers.

use crate::time::{Nanos, TICKS_PER_NANO, nanos_up, secs_up};
use std::{fmt, time::Duration};

/// The whole answer to one request, the same on allow and on deny.
///
/// Small and `Copy`; it holds the numbers as they were at the decision and
/// computes what costs a division only when asked.
///
/// ```
/// use tollgate::{Limiter, Outcome, Quota};
///
/// let limiter = Limiter::gcra(Quota::n_per_minute(2)?).try_build()?;
/// let first = limiter.check();
/// assert!(first.is_allowed());
/// assert_eq!((first.limit(), first.remaining()), (2, 1));
///
/// let _ = limiter.check();
/// let third = limiter.check();
/// assert_eq!(third.outcome(), Outcome::Later);
/// assert!(third.retry_after_secs().unwrap() <= 30);
///
/// // More than the burst can never pass, however long one waits.
/// assert_eq!(limiter.check_n(3).outcome(), Outcome::Never);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use = "a decision that nobody reads limits nothing"]
pub struct Decision {
    limit: u64,
    /// Ticks until allowed; 0: allowed, `u64::MAX`: never.
    retry: u64,
    /// Ticks until something comes back: all of it (GCRA), the oldest units (log).
    reset: u64,
    /// Ticks until all of it is back.
    full: u64,
    /// GCRA: the emission interval in ticks, from which what remains follows. Log:
    /// the units that remain.
    scale: u64,
    /// What was asked for, and when.
    units: u64,
    at: Nanos,
    /// Which of the two `scale` is.
    smooth: bool,
    accounted: bool,
}

/// Units that were charged, and when: what a
/// [refund](crate::Key::refund) gives back and [`settle`](crate::Key::settle)
/// corrects.
///
/// A [`Decision`] tells its own ([`Decision::charge`]), which also knows what its
/// units weighed, so that a refund by another quota takes away what the charge
/// added. Whoever gives it back names the key; nothing ties it to one. It means
/// nothing to another limiter, nor after a restart of the clock.
///
/// ```
/// use tollgate::{Limiter, ManualClock};
///
/// let limiter = Limiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
/// let mut charge = limiter.check_n(4).charge().ok_or("denied")?;
/// assert_eq!(limiter.settle(&mut charge, 1).remaining(), 9); // only one was used,
/// assert_eq!(charge.units(), 1);
/// assert_eq!(limiter.refund(charge).remaining(), 10); // and that in vain
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Charge {
    units: u64,
    at: Nanos,
    /// What they added to the debt, in ticks (GCRA), or 0 where that is not known.
    weight: u64,
}

impl Charge {
    /// `units` that were charged at `at`, a reading of the limiter's clock.
    ///
    /// Put together like this, a charge does not know by which quota it was made:
    /// GCRA gives it back by the quota that is asked then.
    ///
    /// ```
    /// # use tollgate::{Charge, KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(60);
    /// let _ = limiter.check_n_at("alice", 7, now);
    /// // The order was found cancelled: of its row, only these two numbers are known.
    /// assert_eq!(limiter.key("alice").refund_at(Charge::new(5, now), now).remaining(), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn new(units: u64, at: Nanos) -> Self {
        Self { units, at, weight: 0 }
    }

    /// The charge as three numbers, for whoever keeps it where it is no Rust value;
    /// [`from_words`](Self::from_words) makes it again.
    ///
    /// ```
    /// use tollgate::{Charge, Limiter};
    ///
    /// let limiter = Limiter::gcra("10/h".parse()?).try_build()?;
    /// let charge = limiter.check_n(3).charge().unwrap();
    /// assert_eq!(Charge::from_words(charge.to_words()), charge);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn to_words(self) -> [u64; 3] {
        [self.units, self.at.as_u64(), self.weight]
    }

    /// The charge of these numbers. Any will do: a refund never takes more from a state
    /// than it owes.
    ///
    /// ```
    /// # use tollgate::{Charge, Limiter, ManualClock};
    /// let limiter = Limiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let row = limiter.check_n(3).charge().ok_or("denied")?.to_words(); // kept in a database
    /// assert_eq!(limiter.refund(Charge::from_words(row)).remaining(), 10);
    /// // Senseless numbers do no harm.
    /// assert_eq!(limiter.refund(Charge::from_words([u64::MAX; 3])).remaining(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn from_words([units, at, weight]: [u64; 3]) -> Self {
        Self { units, at: Nanos::new(at), weight }
    }

    /// What so many of the units weighed, or 0 where that is not known.
    pub(crate) fn weight_of(&self, units: u64) -> u64 {
        let of_all = u128::from(self.weight) * u128::from(units.min(self.units));
        of_all
            .checked_div(u128::from(self.units))
            .map_or(0, |part| u64::try_from(part).unwrap_or(0))
    }

    /// Takes so many units out.
    pub(crate) fn shrink(&mut self, units: u64) {
        self.weight = self.weight.saturating_sub(self.weight_of(units));
        self.units = self.units.saturating_sub(units);
    }

    /// Adds units that were charged as `decision` says.
    pub(crate) fn grow(&mut self, units: u64, decision: &Decision) {
        let added = if decision.smooth { units.saturating_mul(decision.scale) } else { 0 };
        // Of units that were named by hand, what they weigh stays unknown.
        if self.weight > 0 || self.units == 0 {
            self.weight = self.weight.saturating_add(added);
        }
        self.units = self.units.saturating_add(units);
    }

    /// How many units were charged.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let mut charge = limiter.check_n(4).charge().ok_or("denied")?;
    /// assert_eq!(charge.units(), 4);
    /// let _ = limiter.settle(&mut charge, 6);
    /// assert_eq!(charge.units(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// When they were charged.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// let limiter = Limiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let charge = limiter.check_at(Nanos::from_secs(30)).charge().ok_or("denied")?;
    /// assert_eq!(charge.at(), Nanos::from_secs(30));
    /// // All of it is paid a minute later at the latest: a refund then is nothing.
    /// assert_eq!(limiter.refund_at(charge, Nanos::from_secs(90)).remaining(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn at(&self) -> Nanos {
        self.at
    }
}

/// A decision that was made out of line: unpacking it field by field leaves the
/// compiler free to keep those made in line in registers.
pub(crate) struct Apart(pub(crate) Decision);

impl Apart {
    #[inline(always)]
    pub(crate) const fn unpack(self) -> Decision {
        let Self(d) = self;
        let Decision { limit, retry, reset, full, scale, units, at, smooth, accounted } = d;
        Decision { limit, retry, reset, full, scale, units, at, smooth, accounted }
    }
}

/// May the request pass, and if not, can waiting help?
///
/// ```
/// use tollgate::{Limiter, ManualClock, Outcome};
///
/// let limiter = Limiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
/// let _ = limiter.check_n(8);
/// for (cost, expected) in [(2, "200"), (5, "429"), (11, "413")] {
///     let status = match limiter.check_n(cost).outcome() {
///         Outcome::Allowed => "200",
///         Outcome::Later => "429", // with Retry-After
///         _ => "413",              // so large a request never may
///     };
///     assert_eq!(status, expected);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It may pass, and its cost has been charged.
    Allowed,
    /// It may not; the same request will be allowed after
    /// [`retry_after`](Decision::retry_after) if nothing else is charged meanwhile.
    Later,
    /// It may not, and waiting does not help: it costs more than the burst
    /// (GCRA) or the units of the window (sliding log, sliding counter), or there are
    /// to be no leases.
    Never,
}

const NEVER: u64 = u64::MAX;

impl Decision {
    /// No limit, nothing left, allowed.
    pub(crate) const NOTHING: Self = Self {
        limit: 0,
        retry: 0,
        reset: 0,
        full: 0,
        scale: 0,
        units: 0,
        at: Nanos::ZERO,
        smooth: false,
        accounted: true,
    };

    /// The same to whom nothing is denied, because nothing was asked for.
    pub(crate) const fn not_asked(self) -> Self {
        Self { retry: 0, ..self }
    }

    /// The same, as the answer to who asked for `units` at `at`.
    #[inline(always)]
    pub(crate) const fn to(self, units: u64, at: Nanos) -> Self {
        Self { units, at, ..self }
    }

    /// From a GCRA state: `debt` ticks after the decision, `retry` ticks to wait.
    #[inline(always)]
    pub(crate) const fn from_debt(limit: u64, interval: u64, debt: u64, retry: u64) -> Self {
        Self {
            limit,
            retry,
            reset: debt,
            full: debt,
            scale: interval,
            smooth: true,
            ..Self::NOTHING
        }
    }

    /// From a count of units that are left.
    #[inline(always)]
    pub(crate) const fn from_count(
        limit: u64,
        left: u64,
        reset: u64,
        full: u64,
        retry: u64,
    ) -> Self {
        Self { limit, retry, reset, full, scale: left, ..Self::NOTHING }
    }

    /// The answer when a key found no slot: nothing was charged anywhere.
    #[cold]
    pub(crate) const fn saturated(limit: u64, retry: u64) -> Self {
        let left = if retry == 0 { limit } else { 0 };
        Self {
            limit,
            retry,
            reset: retry,
            full: retry,
            scale: left,
            accounted: false,
            ..Self::NOTHING
        }
    }

    /// The wait that stands for "never".
    pub(crate) const NEVER: u64 = NEVER;

    /// Whether the request may pass.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("2/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let mut queue = vec!["mail", "mail", "mail", "call"];
    /// queue.retain(|job| !limiter.check(job).is_allowed()); // what may be done is
    /// assert_eq!(queue, ["mail"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn is_allowed(&self) -> bool {
        self.retry == 0
    }

    /// Whether the request may not pass, now or ever.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("1/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check();
    /// assert!(limiter.check().is_denied() && limiter.check_n(2).is_denied()); // later, never
    /// assert!(!limiter.peek().is_denied()); // who only looks is not
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn is_denied(&self) -> bool {
        self.retry != 0
    }

    /// Allowed, later, or never.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Outcome};
    /// let limiter = Limiter::sliding_log("5/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let outcomes = [4, 4, 6].map(|n| limiter.check_n(n).outcome());
    /// assert_eq!(outcomes, [Outcome::Allowed, Outcome::Later, Outcome::Never]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn outcome(&self) -> Outcome {
        match self.retry {
            0 => Outcome::Allowed,
            NEVER => Outcome::Never,
            _ => Outcome::Later,
        }
    }

    /// Whether a state stands behind this answer. `false` only when a keyed
    /// limiter was full of live keys and gave its configured answer
    /// ([`OnSaturation`](crate::OnSaturation)) to a new one.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("5/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .capacity(10)
    ///     .try_build()?;
    /// let full = (0..1000).map(|user| limiter.check_hash(user)).find(|d| !d.is_accounted());
    /// let full = full.ok_or("there was room for all")?;
    /// // Let through without a state: nothing was charged, and there is nothing to refund.
    /// assert!(full.is_allowed() && full.remaining() == 5 && full.charge().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn is_accounted(&self) -> bool {
        self.accounted
    }

    /// Units that may pass at once: the burst (GCRA) or the units per window (log, counter),
    /// or the leases at a time.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let gcra = Limiter::gcra("100/min burst 20".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let log = Limiter::sliding_log("100/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert_eq!((gcra.peek().limit(), log.peek().limit()), (20, 100));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Units that could still pass now, after this decision. Exact, and never
    /// more than [`limit`](Self::limit). Costs one division for GCRA.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// let limiter = Limiter::gcra("5/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert_eq!(limiter.check_n_at(3, Nanos::ZERO).remaining(), 2);
    /// // One comes back in twelve seconds; parts of units are not told.
    /// let left = [11, 12, 23, 24].map(|s| limiter.peek_at(Nanos::from_secs(s)).remaining());
    /// assert_eq!(left, [2, 3, 3, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn remaining(&self) -> u64 {
        match self.scale {
            interval if self.smooth && interval > 0 => {
                self.limit.saturating_sub(self.full.div_ceil(interval))
            }
            left => left,
        }
    }

    /// For how many units there is room beside what is owed: in so large a debt (GCRA),
    /// or in the window (log).
    pub(crate) const fn fits_within(&self, debt: u64) -> u64 {
        match self.scale {
            interval if self.smooth && interval > 0 => debt.saturating_sub(self.full) / interval,
            left => left,
        }
    }

    /// GCRA: when the state is as good as new. Sliding log: when the oldest
    /// admitted unit leaves the window. Sliding counter: when one unit more than
    /// [`remaining`](Self::remaining) may pass. Zero when nothing is charged. Rounded
    /// up to a nanosecond.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let gcra = Limiter::gcra("6/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let log = Limiter::sliding_log("6/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = (gcra.check_at(Nanos::ZERO), log.check_at(Nanos::ZERO));
    /// // Ten seconds on, one more is charged: with GCRA it is all that is owed.
    /// let now = Nanos::from_secs(10);
    /// assert_eq!(gcra.check_at(now).reset_after(), Duration::from_secs(10));
    /// assert_eq!(log.check_at(now).reset_after(), Duration::from_secs(50)); // of the first
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn reset_after(&self) -> Duration {
        Duration::from_nanos(nanos_up(self.reset))
    }

    /// When all admitted units are back, rounded up to a nanosecond. The same
    /// as [`reset_after`](Self::reset_after) for GCRA.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let log = Limiter::sliding_log("6/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = log.check_at(Nanos::ZERO);
    /// let second = log.check_at(Nanos::from_secs(10));
    /// assert_eq!(second.reset_after(), Duration::from_secs(50)); // the first leaves
    /// assert_eq!(second.full_after(), Duration::from_secs(60)); // the second, too
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn full_after(&self) -> Duration {
        Duration::from_nanos(nanos_up(self.full))
    }

    /// When [`remaining`](Self::remaining) next rises, if nothing else is charged
    /// meanwhile: when the next unit is back (GCRA), when the oldest leave the window
    /// (log). Zero when nothing is charged. Rounded up to a nanosecond.
    ///
    /// Who was denied one unit waits exactly so long.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("4/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let third = limiter.check_n(3);
    /// assert_eq!(third.next_after(), Duration::from_millis(250)); // then two are left,
    /// assert_eq!(third.full_after(), Duration::from_millis(750)); // and then all four
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn next_after(&self) -> Duration {
        let ticks = match self.scale {
            interval if self.smooth && interval > 0 && self.full > 0 => {
                let owed = self.full.div_ceil(interval);
                // Owed beyond the limit is paid first, and frees nothing.
                let kept = if owed < self.limit { owed } else { self.limit };
                self.full.saturating_sub(kept.saturating_sub(1).saturating_mul(interval))
            }
            _ => self.reset,
        };
        Duration::from_nanos(nanos_up(ticks))
    }

    /// How long to wait before the same request is allowed, if nothing else is
    /// charged meanwhile: exactly then, and not a nanosecond earlier. `None`
    /// when it was allowed, and when it never will be ([`Outcome::Never`]).
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("4/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(1);
    /// assert_eq!(limiter.check_n_at(4, now).retry_after(), None); // allowed
    /// assert_eq!(limiter.check_n_at(3, now).retry_after(), Some(Duration::from_millis(750)));
    /// assert_eq!(limiter.check_n_at(5, now).retry_after(), None); // never
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.retry {
            0 | NEVER => None,
            ticks => Some(Duration::from_nanos(nanos_up(ticks))),
        }
    }

    /// How long to wait before what was allowed is done: zero, unless it was
    /// [reserved](crate::Key::reserve). Rounded up to a nanosecond.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("4/s burst 1".parse()?)
    ///     .clock(ManualClock::new())
    ///     .longest_wait(Duration::from_secs(1))
    ///     .try_build()?;
    /// let turns = [(); 3].map(|()| limiter.reserve(1, Duration::MAX).wait().as_millis());
    /// assert_eq!(turns, [0, 250, 500]);
    /// let denied = limiter.check(); // has no turn to wait for
    /// assert_eq!((denied.wait(), denied.retry_after_secs()), (Duration::ZERO, Some(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn wait(&self) -> Duration {
        if self.units == 0 || !self.smooth || self.retry > 0 {
            return Duration::ZERO;
        }
        let burst = self.limit.saturating_mul(self.scale);
        Duration::from_nanos(nanos_up(self.full.saturating_sub(burst)))
    }

    /// What it says of the time to come, so much later. Of what remains, a log does not know what
    /// has come back since.
    #[cfg(feature = "policy")]
    pub(crate) fn age(&mut self, by: Duration) {
        let ticks = Nanos::from(by).as_u64().saturating_mul(TICKS_PER_NANO);
        for time in [&mut self.reset, &mut self.full] {
            *time = time.saturating_sub(ticks);
        }
        if self.retry != 0 && self.retry != u64::MAX {
            self.retry = self.retry.saturating_sub(ticks).max(1);
        }
    }

    /// The time that it was asked at.
    pub(crate) const fn decided_at(&self) -> Nanos {
        self.at
    }

    /// When [the state is as good as new](Self::full_after), in ticks.
    pub(crate) const fn full_after_ticks(&self) -> u64 {
        self.full
    }

    /// What its units added to the debt, in whole nanoseconds (GCRA).
    pub(crate) const fn weight(&self) -> Duration {
        if !self.smooth {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.units.saturating_mul(self.scale) / TICKS_PER_NANO)
    }

    /// When the debt that it found will be paid, in whole nanoseconds (GCRA).
    pub(crate) fn began(&self) -> Nanos {
        let before = self.full.saturating_sub(self.units.saturating_mul(self.scale));
        self.at.after(Duration::from_nanos(before / TICKS_PER_NANO))
    }

    /// What was charged, for a refund: `None` if nothing was, because the request
    /// was denied, only looked, or found no slot.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("5/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let charged = [4, 4, 0].map(|n| limiter.check_n(n).charge().map(|charge| charge.units()));
    /// assert_eq!(charged, [Some(4), None, None]); // allowed, denied, looked
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub const fn charge(&self) -> Option<Charge> {
        if self.units > 0 && self.retry == 0 && self.accounted {
            let interval = if self.smooth { self.scale } else { 0 };
            let weight = self.units.saturating_mul(interval);
            Some(Charge { units: self.units, at: self.at, weight })
        } else {
            None
        }
    }

    /// [`retry_after`](Self::retry_after) in whole seconds, rounded up: never 0.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("4/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert_eq!(limiter.check_n(4).retry_after_secs(), None);
    /// // A quarter of a second, for a header field that knows whole ones.
    /// assert_eq!(limiter.check().retry_after_secs(), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after().map(secs_up)
    }

    /// [`reset_after`](Self::reset_after) in whole seconds, rounded up.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("4/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert_eq!(limiter.peek().reset_after_secs(), 0); // nothing is charged
    /// assert_eq!(limiter.check().reset_after_secs(), 1); // a quarter, rounded up
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_after_secs(&self) -> u64 {
        secs_up(self.reset_after())
    }
}

impl fmt::Display for Decision {
    /// For people: `allowed, 9 of 10 left, reset in 6s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome() {
            Outcome::Allowed if self.wait() > Duration::ZERO => {
                write!(f, "allowed in {:?}", self.wait())?;
            }
            Outcome::Allowed => f.write_str("allowed")?,
            Outcome::Never => f.write_str("denied for good (it costs more than the limit)")?,
            Outcome::Later => {
                write!(f, "denied, retry in {:?}", self.retry_after().unwrap_or_default())?;
            }
        }
        if self.accounted {
            write!(f, ", {} of {} left", self.remaining(), self.limit)?;
            if self.reset > 0 {
                write!(f, ", reset in {:?}", self.reset_after())?;
            }
            Ok(())
        } else {
            f.write_str(", not accounted (table full)")
        }
    }
}

#[allow(clippy::missing_fields_in_debug)] // what the fields mean, not the fields
impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("outcome", &self.outcome())
            .field("limit", &self.limit)
            .field("remaining", &self.remaining())
            .field("reset_after", &self.reset_after())
            .field("full_after", &self.full_after())
            .field("retry_after", &self.retry_after())
            .field("wait", &self.wait())
            .field("charge", &self.charge())
            .field("accounted", &self.accounted)
            .finish()
    }
}
