//! Why a limiter could not be built, or a quota does not fit one.

use crate::{
    algorithm::{MAX_COUNTED, MAX_LEASES, MAX_UNITS, SHORTEST},
    quota::Quota,
    time::ticks_of,
};
use std::{fmt, time::Duration};

/// Why a limiter could not be built.
///
/// ```
/// use tollgate::{BuildError, KeyedLimiter};
///
/// let log = KeyedLimiter::sliding_log("1_000_000/h".parse()?);
/// let refused = log.memory().unwrap_err();
/// assert_eq!(refused, BuildError::TooManyUnits { units: 1_000_000 });
/// assert_eq!(
///     refused.to_string(),
///     "a sliding log holds at most 262143 units per key, not 1000000; use GCRA, or count in \
///      larger units"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The sliding log knows no burst: the quota's must equal its units.
    BurstOnLog {
        /// The quota's units per period.
        units: u64,
        /// The quota's burst.
        burst: u64,
    },
    /// A sliding log holds at most 262,143 units per key.
    TooManyUnits {
        /// The quota's units per period.
        units: u64,
    },
    /// The sliding counter knows no burst: the quota's must equal its units.
    BurstOnCounter {
        /// The quota's units per period.
        units: u64,
        /// The quota's burst.
        burst: u64,
    },
    /// A sliding counter counts to 8,589,934,591.
    TooManyCounted {
        /// The quota's units per period.
        units: u64,
    },
    /// The window of a sliding counter is a second at least, and one for all quotas of
    /// a limiter.
    CounterPeriod {
        /// The period that does not do.
        period: Duration,
        /// What it should be, or the least that it may.
        room: Duration,
    },
    /// The longest wait and the longest debt of a quota are together more than
    /// [`Quota::LONGEST_DEBT`].
    WaitTooLong {
        /// The wait that was asked for.
        wait: Duration,
        /// The longest time in which a spent burst of a quota comes back.
        debt: Duration,
    },
    /// A key may have 1 to 65,535 leases at a time.
    LeasesOutOfRange {
        /// How many were asked for.
        leases: u64,
    },
    /// A lease lasts for some time, and at most [`Quota::LONGEST_DEBT`].
    LeaseTimeOutOfRange {
        /// The time that was asked for.
        ttl: Duration,
    },
    /// A keyed limiter for no keys.
    ZeroCapacity,
    /// So many keys are beyond what the table or the machine can address.
    CapacityTooLarge {
        /// The capacity that was asked for.
        keys: usize,
    },
    /// The memory could not be allocated.
    OutOfMemory {
        /// How much was asked for.
        bytes: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BurstOnLog { units, burst } => write!(
                f,
                "a sliding log knows no burst: burst {burst} differs from the {units} units per period"
            ),
            Self::TooManyUnits { units } => write!(
                f,
                "a sliding log holds at most {MAX_UNITS} units per key, not {units}; \
                 use GCRA, or count in larger units"
            ),
            Self::BurstOnCounter { units, burst } => write!(
                f,
                "a sliding counter knows no burst: burst {burst} differs from the {units} units per period"
            ),
            Self::TooManyCounted { units } => write!(
                f,
                "a sliding counter counts to {MAX_COUNTED} units per key, not to {units}; \
                 count in larger units"
            ),
            Self::CounterPeriod { period, room } if ticks_of(*period) < SHORTEST => {
                write!(f, "a sliding counter's window is {room:?} at least, not {period:?}")
            }
            Self::CounterPeriod { period, room } => write!(
                f,
                "a sliding counter's window is one for all quotas of a limiter: \
                 {period:?} is not the {room:?} of the first"
            ),
            Self::WaitTooLong { wait, debt } => write!(
                f,
                "a wait of {wait:?} beside a debt of {debt:?} is longer than the {:?} that can be told",
                Quota::LONGEST_DEBT
            ),
            Self::LeasesOutOfRange { leases } => {
                write!(f, "a key may have 1 to {MAX_LEASES} leases at a time, not {leases}")
            }
            Self::LeaseTimeOutOfRange { ttl } => write!(
                f,
                "a lease lasts for more than no time and for at most {:?}, not for {ttl:?}",
                Quota::LONGEST_DEBT
            ),
            Self::ZeroCapacity => f.write_str("a capacity of 0 keys limits nobody; the least is 1"),
            Self::CapacityTooLarge { keys } => {
                write!(f, "{keys} keys are more than a table can address")
            }
            Self::OutOfMemory { bytes } => write!(f, "could not allocate {bytes} bytes"),
        }
    }
}

impl std::error::Error for BuildError {}

/// Why a limiter has no room for a quota. Give its builder
/// [`room_for`](crate::KeyedBuilder::room_for) the largest that will be used.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, RoomError};
///
/// let limiter = Limiter::gcra("10/s".parse()?).try_build()?;
/// let refused = limiter.set_quota("10/min".parse()?).unwrap_err();
/// let (debt, room) = (Duration::from_secs(60), Duration::from_secs(1));
/// assert_eq!(refused, RoomError::Debt { debt, room });
/// assert_eq!(
///     refused.to_string(),
///     "a debt of 60s does not fit in the limiter's 1s; build the limiter with room_for the \
///      largest quota"
/// );
/// assert_eq!(limiter.quota(), "10/s".parse()?); // still
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomError {
    /// A spent burst of the quota takes longer to come back than any the limiter
    /// was built for.
    Debt {
        /// How long it takes: burst times emission interval.
        debt: Duration,
        /// The longest there is room for.
        room: Duration,
    },
    /// The quota has more units than the rings of the sliding log.
    Units {
        /// The quota's units per period.
        units: u64,
        /// The most there is room for.
        room: u64,
    },
    /// The quota's period is longer than any the sliding log was built for.
    Period {
        /// The quota's period.
        period: Duration,
        /// The longest there is room for.
        room: Duration,
    },
    /// The sliding log knows no burst: the quota's must equal its units.
    BurstOnLog {
        /// The quota's units per period.
        units: u64,
        /// The quota's burst.
        burst: u64,
    },
    /// The sliding counter knows no burst: the quota's must equal its units.
    BurstOnCounter {
        /// The quota's units per period.
        units: u64,
        /// The quota's burst.
        burst: u64,
    },
    /// A sliding counter counts to 8,589,934,591.
    TooManyCounted {
        /// The quota's units per period.
        units: u64,
    },
    /// The quota's period is not the sliding counter's: counts cannot be moved to
    /// windows of another length.
    CounterPeriod {
        /// The quota's period.
        period: Duration,
        /// The counter's.
        room: Duration,
    },
    /// More leases at a time than a key's entries.
    Leases {
        /// How many were asked for.
        leases: u64,
        /// The most there is room for.
        room: u64,
    },
    /// A lease that lasts for no time, or longer than any the limiter was built for.
    LeaseTime {
        /// The time that was asked for.
        ttl: Duration,
        /// The longest there is room for.
        room: Duration,
    },
    /// The lock of the region that the limiter is in cannot be had: somebody holds it, or
    /// the region's file was removed.
    #[cfg(feature = "shared")]
    Locked,
}

impl fmt::Display for RoomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = "; build the limiter with room_for the largest quota";
        match *self {
            Self::Debt { debt, room } => {
                write!(f, "a debt of {debt:?} does not fit in the limiter's {room:?}{advice}")
            }
            Self::Units { units, room } => {
                write!(f, "{units} units do not fit in a log of {room}{advice}")
            }
            Self::Period { period, room } => {
                write!(f, "a period of {period:?} does not fit in the log's {room:?}{advice}")
            }
            Self::BurstOnLog { units, burst } => {
                write!(f, "{}", BuildError::BurstOnLog { units, burst })
            }
            Self::BurstOnCounter { units, burst } => {
                write!(f, "{}", BuildError::BurstOnCounter { units, burst })
            }
            Self::TooManyCounted { units } => {
                write!(f, "{}", BuildError::TooManyCounted { units })
            }
            Self::CounterPeriod { period, room } => {
                write!(f, "a period of {period:?} is not the sliding counter's, {room:?}")
            }
            Self::Leases { leases, room } => {
                write!(f, "{leases} leases at a time do not fit in a key's {room}{advice}")
            }
            #[cfg(feature = "shared")]
            Self::Locked => f.write_str("the lock of the limiter's region cannot be had"),
            Self::LeaseTime { ttl, .. } if ttl.is_zero() => {
                f.write_str("a lease lasts for more than no time")
            }
            Self::LeaseTime { ttl, room } => {
                write!(
                    f,
                    "a lease of {ttl:?} is longer than the {room:?} there is room for{advice}"
                )
            }
        }
    }
}

impl std::error::Error for RoomError {}
