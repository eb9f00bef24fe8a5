//! [`Quota`]: how much is allowed, checked when it is made.

use crate::time::{MAX_DEBT, TICKS_PER_NANO};
use std::{fmt, str::FromStr, time::Duration};

/// So many units per period, with a burst.
///
/// A unit is whatever the caller counts: a request, a byte, a token. The burst
/// is how many units may pass at once after a long silence; it equals the
/// units per period unless [`burst`](Self::burst) says otherwise. The sliding
/// log knows no burst and refuses a quota whose burst differs.
///
/// What cannot be represented is refused here, so that no decision can fail.
///
/// # Text
///
/// A quota parses from and prints as `UNITS/[COUNT]UNIT [burst BURST]`, where
/// UNIT is one of `d`, `h`, `min`, `s`, `ms`, `us`, `ns`; underscores may stand
/// between digits, as in `10_000/h`:
///
/// ```
/// use std::time::Duration;
/// use tollgate::Quota;
///
/// let quota: Quota = "12/15min".parse()?;
/// assert_eq!(quota, Quota::new(12, Duration::from_secs(900))?);
/// assert_eq!(quota.to_string(), "12/15min");
///
/// let quota: Quota = "100/s burst 20".parse()?;
/// assert_eq!(quota, Quota::n_per_second(100)?.burst(20)?);
///
/// let refused = "0/min".parse::<Quota>().unwrap_err();
/// assert_eq!(refused.to_string(), "a quota of 0 units allows nothing; the least is 1");
/// # Ok::<(), tollgate::QuotaError>(())
/// ```
///
/// # Rounding
///
/// GCRA spaces units by the emission interval `ceil(period / units)` in ticks
/// of 1/16 ns. Rounding up never raises the sustained rate; it lowers it by at
/// most 0.0625 % up to 10⁷ units per second, and
/// [`rate_shortfall`](Self::rate_shortfall) tells the exact share for any quota.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    units: u64,
    period_nanos: u64,
    burst: u64,
    interval: u64,
}

impl Quota {
    /// `units` per `period`, with a burst of as many.
    ///
    /// ```
    /// # use tollgate::Quota;
    /// # use std::time::Duration;
    /// let quota = Quota::new(1000, Duration::from_secs(3 * 3600))?;
    /// assert_eq!(quota.to_string(), "1000/3h");
    /// assert_eq!(quota.burst_units(), 1000);
    /// assert!(Quota::new(1000, Duration::ZERO).is_err());
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Zero units, an empty period, or a debt (burst times emission interval)
    /// of more than [`Quota::LONGEST_DEBT`].
    pub const fn new(units: u64, period: Duration) -> Result<Self, QuotaError> {
        Self::build(units, period.as_nanos(), units)
    }

    /// `n` units in each second, with a burst of as many.
    ///
    /// ```
    /// # use tollgate::{Quota, QuotaError};
    /// const QUOTA: Result<Quota, QuotaError> = Quota::n_per_second(100); // when it compiles
    /// assert_eq!(QUOTA?.period().as_millis(), 1000);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Quota::new`].
    pub const fn n_per_second(n: u64) -> Result<Self, QuotaError> {
        Self::new(n, Duration::from_secs(1))
    }

    /// `n` units in each minute, with a burst of as many.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Quota};
    /// let quota = Quota::n_per_minute(10)?;
    /// let limiter = Limiter::gcra(quota).clock(ManualClock::new()).try_build()?;
    /// assert!(limiter.check_n(10).is_allowed()); // at once, unless `burst` says fewer
    /// assert_eq!(limiter.check().retry_after_secs(), Some(6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Quota::new`].
    pub const fn n_per_minute(n: u64) -> Result<Self, QuotaError> {
        Self::new(n, Duration::from_secs(60))
    }

    /// `n` units in each hour, with a burst of as many.
    ///
    /// ```
    /// # use tollgate::Quota;
    /// assert_eq!(Quota::n_per_hour(5000)?, "5000/60min".parse()?);
    /// assert_eq!(Quota::n_per_hour(5000)?.to_string(), "5000/h");
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Quota::new`].
    pub const fn n_per_hour(n: u64) -> Result<Self, QuotaError> {
        Self::new(n, Duration::from_secs(3600))
    }

    /// `n` units in each day of 24 hours, with a burst of as many.
    ///
    /// ```
    /// # use tollgate::Quota;
    /// let day = Quota::n_per_day(1000)?; // of 24 hours from any moment on, not until midnight
    /// assert_eq!(day.period().as_secs(), 86_400);
    /// // GCRA gives one back every 86.4 seconds; a burst of fifty spreads the rest.
    /// assert_eq!(day.burst(50)?.to_string(), "1000/d burst 50");
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Quota::new`].
    pub const fn n_per_day(n: u64) -> Result<Self, QuotaError> {
        Self::new(n, Duration::from_secs(86_400))
    }

    /// One unit in each `period`, with a burst of one.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Quota};
    /// # use std::time::Duration;
    /// let quota = Quota::one_every(Duration::from_millis(250))?;
    /// let limiter = Limiter::gcra(quota).clock(ManualClock::new()).try_build()?;
    /// assert!(limiter.check().is_allowed());
    /// // As fast as four a second, and never two at once.
    /// assert_eq!(limiter.check().retry_after(), Some(Duration::from_millis(250)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Quota::new`].
    pub const fn one_every(period: Duration) -> Result<Self, QuotaError> {
        Self::new(1, period)
    }

    /// `units` per `period`, with a burst of `burst`: for long periods, where
    /// a burst of all units would be out of range.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::Quota;
    ///
    /// let decade = Duration::from_secs(10 * 365 * 86_400);
    /// assert!(Quota::new(10, decade).is_err());
    /// assert_eq!(Quota::with_burst(10, decade, 1)?.to_string(), "10/3650d burst 1");
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Quota::new`], and a burst of zero.
    pub const fn with_burst(units: u64, period: Duration, burst: u64) -> Result<Self, QuotaError> {
        Self::build(units, period.as_nanos(), burst)
    }

    /// The same rate with a burst of `burst` units.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Quota};
    /// let strict = Quota::n_per_minute(60)?.burst(1)?;
    /// let limiter = Limiter::gcra(strict).clock(ManualClock::new()).try_build()?;
    /// assert_eq!(limiter.check().remaining(), 0);
    /// assert_eq!(limiter.check().retry_after_secs(), Some(1)); // the rate is the same
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A burst of zero, or one whose debt is more than [`Quota::LONGEST_DEBT`].
    pub const fn burst(self, burst: u64) -> Result<Self, QuotaError> {
        Self::build(self.units, self.period_nanos as u128, burst)
    }

    /// The longest time that a spent burst may take to come back: 2⁶¹ ticks of
    /// 1/16 ns, about four and a half years.
    ///
    /// ```
    /// # use tollgate::{Quota, QuotaError};
    /// let years = Quota::LONGEST_DEBT.as_secs() / (365 * 86_400);
    /// assert_eq!(years, 4);
    /// // One a day has a burst of so many days, and of no more.
    /// let day = Quota::n_per_day(1)?;
    /// assert_eq!(day.burst(1667)?.burst_units(), 1667);
    /// assert_eq!(day.burst(1668), Err(QuotaError::DebtTooLong));
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub const LONGEST_DEBT: Duration = Duration::from_nanos(MAX_DEBT / TICKS_PER_NANO);

    #[allow(clippy::cast_possible_truncation)] // each cast is checked just before it
    const fn build(units: u64, period_nanos: u128, burst: u64) -> Result<Self, QuotaError> {
        if units == 0 {
            return Err(QuotaError::ZeroUnits);
        }
        if period_nanos == 0 {
            return Err(QuotaError::ZeroPeriod);
        }
        if burst == 0 {
            return Err(QuotaError::ZeroBurst);
        }
        if period_nanos > u64::MAX as u128 {
            return Err(QuotaError::PeriodTooLong);
        }
        // At most 2^64 * 16: far within 128 bits, and the division keeps it at least 1.
        let interval = (period_nanos * TICKS_PER_NANO as u128).div_ceil(units as u128);
        if interval > MAX_DEBT as u128 || interval * burst as u128 > MAX_DEBT as u128 {
            return Err(QuotaError::DebtTooLong);
        }
        Ok(Self { units, period_nanos: period_nanos as u64, burst, interval: interval as u64 })
    }

    /// Units per period.
    ///
    /// ```
    /// # use tollgate::Quota;
    /// let quota: Quota = "10_000/h burst 50".parse()?;
    /// assert_eq!((quota.units(), quota.burst_units()), (10_000, 50));
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// The period.
    ///
    /// ```
    /// # use tollgate::Quota;
    /// let quota: Quota = "60/1min".parse()?;
    /// let per_second = quota.units() as f64 / quota.period().as_secs_f64();
    /// assert_eq!(per_second, 1.0);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub const fn period(&self) -> Duration {
        Duration::from_nanos(self.period_nanos)
    }

    /// Units that may pass at once.
    ///
    /// ```
    /// # use tollgate::Quota;
    /// let quota: Quota = "100/s".parse()?;
    /// assert_eq!(quota.burst_units(), 100); // as many, unless it is said
    /// assert_eq!(quota.burst(20)?.burst_units(), 20);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub const fn burst_units(&self) -> u64 {
        self.burst
    }

    /// The share of the nominal rate that rounding the emission interval up to
    /// a tick takes away: 0 when it divides evenly, never negative.
    ///
    /// ```
    /// use tollgate::Quota;
    /// assert_eq!(Quota::n_per_second(1000)?.rate_shortfall(), 0.0);
    /// assert!(Quota::n_per_second(9_999_999)?.rate_shortfall() < 0.000_625);
    /// assert!(Quota::n_per_second(600_000_001)?.rate_shortfall() < 0.02);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    #[allow(clippy::cast_precision_loss)] // a ratio for people
    pub fn rate_shortfall(&self) -> f64 {
        let spaced = u128::from(self.interval) * u128::from(self.units);
        let nominal = u128::from(self.period_nanos) * u128::from(TICKS_PER_NANO);
        spaced.saturating_sub(nominal) as f64 / spaced as f64
    }

    /// Emission interval in ticks, at least 1.
    pub(crate) const fn interval_ticks(&self) -> u64 {
        self.interval
    }

    /// Period in ticks, if it fits in the longest debt.
    pub(crate) const fn period_ticks(&self) -> Option<u64> {
        match self.period_nanos.checked_mul(TICKS_PER_NANO) {
            Some(ticks) if ticks <= MAX_DEBT => Some(ticks),
            _ => None,
        }
    }
}

/// The units of time, longest first, with their nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, count) = UNITS
            .iter()
            .find(|(_, nanos)| self.period_nanos.is_multiple_of(*nanos))
            .map_or(("ns", self.period_nanos), |(unit, nanos)| (unit, self.period_nanos / nanos));
        write!(f, "{}/", self.units)?;
        if count != 1 {
            write!(f, "{count}")?;
        }
        f.write_str(unit)?;
        if self.burst != self.units {
            write!(f, " burst {}", self.burst)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quota({self})")
    }
}

impl FromStr for Quota {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let (rate, burst) = match text.split_once("burst") {
            Some((rate, burst)) if rate.ends_with(char::is_whitespace) => (rate, Some(burst)),
            Some(_) => return Err(QuotaError::Syntax),
            None => (text, None),
        };
        let (units, period) = rate.split_once('/').ok_or(QuotaError::Syntax)?;
        let units = number(units.trim())?;
        let (count, unit) = period_parts(period)?;
        let period = u128::from(count.unwrap_or(1)).saturating_mul(u128::from(unit));
        let burst = burst.map_or(Ok(units), |burst| number(burst.trim()))?;
        Self::build(units, period, burst)
    }
}

/// The count of a period, if it has one, and its unit of time in nanoseconds.
pub(crate) fn period_parts(text: &str) -> Result<(Option<u64>, u64), QuotaError> {
    let text = text.trim();
    let (count, unit) =
        text.split_at(text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'_').count());
    let count = if count.is_empty() { None } else { Some(number(count)?) };
    let (_, nanos) =
        UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or(QuotaError::UnknownUnit)?;
    Ok((count, *nanos))
}

/// Digits, and underscores between digits.
pub(crate) fn number(text: &str) -> Result<u64, QuotaError> {
    let mut number = 0_u64;
    let mut before = b'_';
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                number = number
                    .checked_mul(10)
                    .and_then(|number| number.checked_add(u64::from(byte - b'0')))
                    .ok_or(QuotaError::NumberTooLarge)?;
            }
            b'_' if before != b'_' => {}
            _ => return Err(QuotaError::Syntax),
        }
        before = byte;
    }
    // Also where there is none.
    if before == b'_' { Err(QuotaError::Syntax) } else { Ok(number) }
}

/// Why a quota was refused.
///
/// ```
/// use tollgate::{Quota, QuotaError};
///
/// assert_eq!("10/month".parse::<Quota>(), Err(QuotaError::UnknownUnit));
/// let message = "10 per minute".parse::<Quota>().unwrap_err().to_string();
/// assert!(message.starts_with("expected UNITS/[COUNT]UNIT"));
/// assert_eq!(Quota::n_per_second(5)?.burst(0), Err(QuotaError::ZeroBurst));
/// # Ok::<(), tollgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// Zero units per period.
    ZeroUnits,
    /// A period of no length.
    ZeroPeriod,
    /// A burst of zero units.
    ZeroBurst,
    /// The period is longer than 2⁶⁴ ns.
    PeriodTooLong,
    /// Burst times emission interval is more than [`Quota::LONGEST_DEBT`].
    DebtTooLong,
    /// The text is not of the form `UNITS/[COUNT]UNIT [burst BURST]`.
    Syntax,
    /// A number in the text is 2⁶⁴ or more.
    NumberTooLarge,
    /// The unit of time is not one of those known.
    UnknownUnit,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroUnits => "a quota of 0 units allows nothing; the least is 1",
            Self::ZeroPeriod => "the period of a quota must be longer than 0",
            Self::ZeroBurst => "a burst of 0 units allows nothing; the least is 1",
            Self::PeriodTooLong => "the period is longer than 2^64 ns (584 years)",
            Self::DebtTooLong => {
                "a spent burst would take longer than 4.5 years to come back (burst * period / units); \
                 lower the burst or the period"
            }
            Self::Syntax => {
                "expected UNITS/[COUNT]UNIT [burst BURST], such as 10/min, 12/15min or \"100/s burst 20\""
            }
            Self::NumberTooLarge => "a number in the quota is 2^64 or more",
            Self::UnknownUnit => "missing or unknown unit of time; use one of d, h, min, s, ms, us, ns",
        })
    }
}

impl std::error::Error for QuotaError {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parses() {
        for text in [
            "10/min",
            "12/15min",
            "900/15min",
            "20/h",
            "1/d",
            "100/s burst 20",
            "1/30d",
            "5/250ms",
            "7/3us",
            "1/ns",
            "16000000000/s",
            "1/s burst 100000000",
        ] {
            assert_eq!(text.parse::<Quota>().unwrap().to_string(), text);
        }
        for (text, canonical) in [
            ("60/60s", "60/min"),
            (" 10 / 1 min ", "10/min"),
            ("10/s burst 10", "10/s"),
            ("1/24h", "1/d"),
            ("1_000_0/1_5min burst 2_0", "10000/15min burst 20"),
        ] {
            assert_eq!(text.parse::<Quota>().unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn refuses_and_says_why() {
        use QuotaError as E;
        for (text, why) in [
            ("0/s", E::ZeroUnits),
            ("1/0s", E::ZeroPeriod),
            ("1/s burst 0", E::ZeroBurst),
            ("1/s burst", E::Syntax),
            ("1/sburst 2", E::Syntax),
            ("", E::Syntax),
            ("10", E::Syntax),
            ("/s", E::Syntax),
            ("-1/s", E::Syntax),
            ("+1/s", E::Syntax),
            ("1.5/s", E::Syntax),
            ("_1/s", E::Syntax),
            ("1_/s", E::Syntax),
            ("1__0/s", E::Syntax),
            ("1/_s", E::Syntax),
            ("1/s burst _", E::Syntax),
            ("1/m", E::UnknownUnit),
            ("1/", E::UnknownUnit),
            ("1/month", E::UnknownUnit),
            ("18446744073709551616/s", E::NumberTooLarge),
            ("1/18446744073709551615d", E::PeriodTooLong),
            ("1/2000d", E::DebtTooLong),
            ("1/d burst 300000", E::DebtTooLong),
        ] {
            assert_eq!(text.parse::<Quota>().unwrap_err(), why, "{text}");
        }
        assert_eq!(Quota::new(1, Duration::MAX).unwrap_err(), E::PeriodTooLong);
        assert_eq!(Quota::new(u64::MAX, Duration::from_nanos(1)).unwrap_err(), E::DebtTooLong);
    }

    #[test]
    fn intervals_round_up_and_are_never_zero() {
        assert_eq!(Quota::n_per_second(600_000_001).unwrap().interval_ticks(), 27);
        assert_eq!(Quota::n_per_second(1 << 40).unwrap().interval_ticks(), 1);
        assert_eq!(
            Quota::n_per_minute(7).unwrap().interval_ticks(),
            (60 * 16_000_000_000_u64).div_ceil(7)
        );
        for n in 1..=10_000_u64 {
            assert!(Quota::n_per_second(n * 1000).unwrap().rate_shortfall() <= 0.000_625);
        }
    }
}
