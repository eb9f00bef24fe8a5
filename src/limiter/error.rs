//! Why a limiter could not be built.

use crate::algorithm::MAX_UNITS;
use std::fmt;

/// Why a limiter could not be built.
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
            Self::ZeroCapacity => f.write_str("a capacity of 0 keys limits nobody; the least is 1"),
            Self::CapacityTooLarge { keys } => {
                write!(f, "{keys} keys are more than a table can address")
            }
            Self::OutOfMemory { bytes } => write!(f, "could not allocate {bytes} bytes"),
        }
    }
}

impl std::error::Error for BuildError {}
