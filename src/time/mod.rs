//! Time: readings of a clock in nanoseconds, and the ticks the states count in.
//!
//! The public unit is the nanosecond ([`Nanos`]). States count ticks of 1/16 ns
//! since their limiter's epoch, because an emission interval in whole
//! nanoseconds is 1 % wrong at 10⁷ units per second.

mod clock;

pub use clock::{Clock, CoarseClock, ManualClock, MonotonicClock};

use std::time::Duration;

/// A reading of a clock: nanoseconds since that clock's own zero.
///
/// Readings of different clocks do not compare. Every `*_at` method takes a
/// reading of the limiter's own clock.
///
/// ```
/// use std::time::Duration;
/// use tollgate::Nanos;
///
/// let now = Nanos::from(Duration::from_secs(90));
/// assert_eq!(now.as_u64(), 90_000_000_000);
/// assert_eq!(now.after(Duration::from_millis(1)), Nanos::new(90_001_000_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Nanos(u64);

impl Nanos {
    /// The clock's zero.
    ///
    /// ```
    /// # use tollgate::{Clock, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new();
    /// clock.advance(Duration::from_secs(3));
    /// let uptime = clock.now().since(Nanos::ZERO);
    /// assert_eq!(uptime, Duration::from_secs(3));
    /// ```
    pub const ZERO: Self = Self(0);
    /// The last instant that can be named; limiters treat it like the end of
    /// their range (see [`Limiter`](crate::Limiter#range)).
    ///
    /// ```
    /// # use tollgate::Nanos;
    /// let mut earliest = Nanos::MAX; // later than all that will be seen
    /// for seen in [7, 3, 5].map(Nanos::from_secs) {
    ///     earliest = earliest.min(seen);
    /// }
    /// assert_eq!(earliest, Nanos::from_secs(3));
    /// ```
    pub const MAX: Self = Self(u64::MAX);

    /// `nanos` nanoseconds after the clock's zero.
    ///
    /// ```
    /// # use tollgate::Nanos;
    /// let frame_stamp_us = 2_500;
    /// assert_eq!(Nanos::new(frame_stamp_us * 1000).as_u64(), 2_500_000);
    /// ```
    #[inline]
    pub const fn new(nanos: u64) -> Self {
        Self(nanos)
    }

    /// `secs` seconds after the clock's zero; [`Nanos::MAX`] where that is out of range.
    ///
    /// ```
    /// # use tollgate::Nanos;
    /// assert_eq!(Nanos::from_secs(90).as_u64(), 90_000_000_000);
    /// assert_eq!(Nanos::from_secs(u64::MAX), Nanos::MAX);
    /// ```
    #[inline]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the clock's zero.
    ///
    /// ```
    /// # use tollgate::Nanos;
    /// let seen = Nanos::from_secs(90);
    /// assert_eq!(Nanos::new(seen.as_u64()), seen); // there and back
    /// assert_eq!(seen.as_u64() / 1_000_000, 90_000); // in milliseconds
    /// ```
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The instant `wait` later; [`Nanos::MAX`] where that is out of range.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// let limiter = Limiter::gcra("2/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(1);
    /// let _ = limiter.check_n_at(2, now);
    /// let due = limiter.check_at(now).retry_after().map(|wait| now.after(wait));
    /// assert_eq!(due, Some(Nanos::new(1_500_000_000)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(Self::from(wait).0))
    }

    /// The instant so much earlier; the clock's zero where that is out of range.
    pub(crate) fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(Self::from(by).0))
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    ///
    /// ```
    /// # use tollgate::Nanos;
    /// # use std::time::Duration;
    /// let (start, end) = (Nanos::from_secs(3), Nanos::from_secs(5));
    /// assert_eq!(end.since(start), Duration::from_secs(2));
    /// assert_eq!(start.since(end), Duration::ZERO); // never a panic
    /// ```
    #[inline]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Nanos {
    /// The instant `d` after the clock's zero; [`Nanos::MAX`] where that is out of range.
    #[inline]
    fn from(d: Duration) -> Self {
        Self(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Ticks per nanosecond.
pub(crate) const TICKS_PER_NANO: u64 = 16;

/// Bits of a state word that hold a time.
pub(crate) const TIME_BITS: u32 = 63;

/// The largest debt a state may carry: a quarter of the range, so that a limiter
/// outlives any wait that it tells.
pub(crate) const MAX_DEBT: u64 = 1 << 61;

/// The last `now` that is told apart from later ones, such that `now` plus the
/// largest debt of a quota stays below the words that are the table's own.
pub(crate) const fn last_now(debt: u64) -> u64 {
    // 0x7F00.. and up, but for bit 63, are claims and vacant slots: 2^-7 of the range,
    // less two days for the slack and the rest of lowered states.
    let end = (0x7F_u64 << 56) - 2 * SLACK;
    (end - if debt > MAX_DEBT { MAX_DEBT } else { debt }) & !(TICKS_PER_NANO - 1)
}

/// One day in ticks. A state further ahead of `now` than its largest debt plus
/// this is no honest debt but a broken clock or damaged memory.
pub(crate) const SLACK: u64 = 86_400_000_000_000 * TICKS_PER_NANO;

/// The epoch to count from: `epoch`, unless readings would end before the range does.
/// So a reading before the epoch is further from it, the long way round, than any
/// that is told apart, and [`ticks`] needs one comparison.
pub(crate) const fn epoch_within(epoch: Nanos, last: u64) -> Nanos {
    let latest = u64::MAX - last / TICKS_PER_NANO;
    if epoch.0 > latest { Nanos(latest) } else { epoch }
}

/// A reading as ticks since `epoch` (one of [`epoch_within`]), kept within `0..=last`
/// (a multiple of 16).
#[inline]
pub(crate) fn ticks(now: Nanos, epoch: Nanos, last: u64) -> u64 {
    let nanos = now.0.wrapping_sub(epoch.0);
    if nanos <= last / TICKS_PER_NANO {
        return nanos * TICKS_PER_NANO;
    }
    ticks_at_the_ends(now, epoch, last)
}

/// Out of the way: a branch that is never taken costs less than two selections.
#[cold]
const fn ticks_at_the_ends(now: Nanos, epoch: Nanos, last: u64) -> u64 {
    if now.0 < epoch.0 { 0 } else { last }
}

/// A length of time in ticks; `u64::MAX` where that is out of range.
pub(crate) fn ticks_of(d: Duration) -> u64 {
    u64::try_from(d.as_nanos().saturating_mul(u128::from(TICKS_PER_NANO))).unwrap_or(u64::MAX)
}

/// Nanoseconds that cover so many ticks (rounded up).
#[inline]
pub(crate) const fn nanos_up(ticks: u64) -> u64 {
    ticks.div_ceil(TICKS_PER_NANO)
}

/// Whole seconds that cover `d` (rounded up).
#[inline]
pub(crate) fn secs_up(d: Duration) -> u64 {
    d.as_secs().saturating_add(u64::from(d.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_stays_in_range() {
        for debt in [0, 1, MAX_DEBT, u64::MAX] {
            let last = last_now(debt);
            let now = ticks(Nanos::MAX, Nanos::ZERO, last);
            assert_eq!(now, last);
            assert_eq!(now % TICKS_PER_NANO, 0);
            assert!(now + debt.min(MAX_DEBT) + SLACK < 0x7F << 56);
        }
        // Eighteen years for ordinary quotas.
        assert!(last_now(SLACK) / TICKS_PER_NANO > 18 * 365 * 86_400_000_000_000);
    }

    #[test]
    fn before_the_epoch_is_the_epoch() {
        assert_eq!(ticks(Nanos::new(5), Nanos::new(9), last_now(0)), 0);
        assert_eq!(ticks(Nanos::new(10), Nanos::new(9), last_now(0)), 16);
    }

    /// Later readings are never earlier ticks, whatever the epoch.
    #[test]
    fn ticks_follow_readings() {
        let last = last_now(SLACK);
        for epoch in [0, 1 << 40, u64::MAX - last / 16, u64::MAX - 1000, u64::MAX] {
            let epoch = epoch_within(Nanos::new(epoch), last);
            let mut before = 0;
            for now in (0..64).flat_map(|bit| [1 << bit, (1 << bit) + 1]).chain([u64::MAX]) {
                let now = ticks(Nanos::new(now), epoch, last);
                assert!(before <= now, "{epoch:?}: {before} before {now}");
                before = now;
            }
        }
    }

    #[test]
    fn rounding_is_up() {
        assert_eq!((nanos_up(0), nanos_up(1), nanos_up(16), nanos_up(17)), (0, 1, 1, 2));
        assert_eq!(secs_up(Duration::ZERO), 0);
        assert_eq!(secs_up(Duration::from_nanos(1)), 1);
        assert_eq!(secs_up(Duration::from_secs(2)), 2);
    }
}
