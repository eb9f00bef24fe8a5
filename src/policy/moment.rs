//! [`Moment`]: what both clocks say.

#[cfg(feature = "shared")]
use crate::region::RegionClock;
use crate::time::{Clock, MonotonicClock, Nanos};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant by both clocks: by the monotonic one, which spans of time are counted
/// on, and by the wall clock, which the calendar and HTTP go by.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Nanos, policy::Moment};
///
/// let new_year = Moment::new(Nanos::from_secs(10), Duration::from_secs(1_767_225_600));
/// assert_eq!(new_year.after(Duration::from_secs(5)).unix().as_secs(), 1_767_225_605);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    monotonic: Nanos,
    /// Nanoseconds since 1970, UTC.
    wall: Nanos,
}

impl Moment {
    /// What stands for a wall clock that was not read.
    const UNREAD: Nanos = Nanos::new(u64::MAX);

    /// `monotonic` by a clock that never steps back, `unix` after 1970-01-01 UTC by the
    /// wall clock. What lies beyond the year 2554 counts as its end.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Nanos, policy::Moment};
    ///
    /// // Ten seconds after the start of a trace, on 2026-01-01 at midnight.
    /// let moment = Moment::new(Nanos::from_secs(10), Duration::from_secs(1_767_225_600));
    /// assert_eq!(moment.monotonic(), Nanos::from_secs(10));
    /// // Without either, it is the beginning of both.
    /// assert_eq!(Moment::default(), Moment::new(Nanos::ZERO, Duration::ZERO));
    /// ```
    pub fn new(monotonic: Nanos, unix: Duration) -> Self {
        let wall = Nanos::from(unix).as_u64().min(Self::UNREAD.as_u64() - 1);
        Self { monotonic, wall: Nanos::new(wall) }
    }

    /// Now, by `clock` and the system's wall clock. A wall clock before 1970 reads 1970.
    pub(crate) fn read(clock: &impl Clock) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::new(clock.now(), unix)
    }

    /// Now, by `clock` alone: the wall clock is read where it is asked for.
    #[inline]
    pub(super) fn by(clock: &impl Clock) -> Self {
        Self { monotonic: clock.now(), wall: Self::UNREAD }
    }

    /// By the wall clock, if that was read.
    pub(super) fn wall_read(self) -> Option<Nanos> {
        (self.wall != Self::UNREAD).then_some(self.wall)
    }

    /// By the monotonic clock.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n")?;
    /// let (start, later) = (policy.now(), policy.now());
    /// assert!(later.monotonic() >= start.monotonic()); // whoever sets the wall clock
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn monotonic(self) -> Nanos {
        self.monotonic
    }

    /// By the wall clock: since 1970-01-01 UTC.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Nanos, policy::Moment};
    ///
    /// let moment = Moment::new(Nanos::ZERO, Duration::from_millis(1_767_225_600_250));
    /// assert_eq!(moment.unix().as_millis(), 1_767_225_600_250);
    /// assert_eq!(moment.unix().subsec_millis(), 250);
    /// ```
    pub fn unix(self) -> Duration {
        Duration::from_nanos(self.wall.as_u64())
    }

    pub(crate) fn wall(self) -> Nanos {
        self.wall
    }

    /// So much later by both clocks.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Nanos, policy::Moment};
    ///
    /// let start = Moment::new(Nanos::from_secs(10), Duration::from_secs(1_767_225_600));
    /// let later = start.after(Duration::from_secs(86_400));
    /// assert_eq!(
    ///     later,
    ///     Moment::new(Nanos::from_secs(86_410), Duration::from_secs(1_767_312_000))
    /// );
    /// ```
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self { monotonic: self.monotonic.after(span), wall: self.wall.after(span) }
    }
}

/// The monotonic clock of a policy: its own, or that of the region it is in.
#[derive(Clone, Debug)]
pub(super) enum PolicyClock {
    Own(MonotonicClock),
    #[cfg(feature = "shared")]
    Region(RegionClock),
}

impl Clock for PolicyClock {
    #[inline]
    fn now(&self) -> Nanos {
        match self {
            Self::Own(clock) => clock.now(),
            #[cfg(feature = "shared")]
            Self::Region(clock) => clock.now(),
        }
    }
}
