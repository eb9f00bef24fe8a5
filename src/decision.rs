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
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// When they were charged.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It may pass, and its cost has been charged.
    Allowed,
    /// It may not; the same request will be allowed after
    /// [`retry_after`](Decision::retry_after) if nothing else is charged meanwhile.
    Later,
    /// It may not, and waiting does not help: it costs more than the burst
    /// (GCRA) or the units of the window (sliding log).
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
    #[inline]
    pub const fn is_allowed(&self) -> bool {
        self.retry == 0
    }

    /// Whether the request may not pass, now or ever.
    #[inline]
    pub const fn is_denied(&self) -> bool {
        self.retry != 0
    }

    /// Allowed, later, or never.
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
    #[inline]
    pub const fn is_accounted(&self) -> bool {
        self.accounted
    }

    /// Units that may pass at once: the burst (GCRA) or the units per window (log, counter).
    #[inline]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Units that could still pass now, after this decision. Exact, and never
    /// more than [`limit`](Self::limit). Costs one division for GCRA.
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
    #[inline]
    pub const fn reset_after(&self) -> Duration {
        Duration::from_nanos(nanos_up(self.reset))
    }

    /// When all admitted units are back, rounded up to a nanosecond. The same
    /// as [`reset_after`](Self::reset_after) for GCRA.
    #[inline]
    pub const fn full_after(&self) -> Duration {
        Duration::from_nanos(nanos_up(self.full))
    }

    /// When [`remaining`](Self::remaining) next rises, if nothing else is charged
    /// meanwhile: when the next unit is back (GCRA), when the oldest leave the window
    /// (log). Zero when nothing is charged. Rounded up to a nanosecond.
    ///
    /// Who was denied one unit waits exactly so long.
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
    #[inline]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.retry {
            0 | NEVER => None,
            ticks => Some(Duration::from_nanos(nanos_up(ticks))),
        }
    }

    /// How long to wait before what was allowed is done: zero, unless it was
    /// [reserved](crate::Key::reserve). Rounded up to a nanosecond.
    #[inline]
    pub const fn wait(&self) -> Duration {
        if self.units == 0 || !self.smooth || self.retry > 0 {
            return Duration::ZERO;
        }
        let burst = self.limit.saturating_mul(self.scale);
        Duration::from_nanos(nanos_up(self.full.saturating_sub(burst)))
    }

    /// The time that it was asked at.
    pub(crate) const fn decided_at(&self) -> Nanos {
        self.at
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
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after().map(secs_up)
    }

    /// [`reset_after`](Self::reset_after) in whole seconds, rounded up.
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
