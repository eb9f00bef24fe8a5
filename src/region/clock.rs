//! [`RegionClock`]: the time that all processes of a region have in common.

use super::Region;
use crate::time::{Clock, Nanos};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fmt, fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// One start of the system, and the clocks since. A test may pretend another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    pub(super) id: [u64; 2],
    /// Whether the id tells starts apart.
    pub(super) known: bool,
    /// When the pretended system started, by the true one's clock.
    pub(super) zero: u64,
    /// By how much the pretended wall clock is ahead.
    pub(super) ahead: u64,
}

impl Boot {
    pub(super) fn this() -> Self {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let id = u128::from_str_radix(&digits, 16).unwrap_or(0);
        #[allow(clippy::cast_possible_truncation)] // by halves
        let halves = [(id >> 64) as u64, id as u64];
        match halves {
            [0, _] => Self { id: [1, 0], known: false, zero: 0, ahead: 0 },
            id => Self { id, known: true, zero: 0, ahead: 0 },
        }
    }

    /// Nanoseconds since 1970 by the wall clock.
    pub(super) fn wall(&self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Nanos::from(wall).as_u64().wrapping_add(self.ahead)
    }
}

/// Nanoseconds by the system's monotonic clock.
#[inline]
pub(super) fn monotonic(boot: &Boot) -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    secs.wrapping_mul(1_000_000_000).wrapping_add(nanos).wrapping_sub(boot.zero)
}

/// The clock of a [`Region`]: nanoseconds since the region was made, the same in every
/// process that has it.
///
/// It reads `CLOCK_MONOTONIC`, to which the region has the offset. That clock starts at
/// zero with the system; whoever opens a region after that lets its time go on from where
/// it was, later by what the wall clock says has passed. For that, the time is noted in
/// the region once a second by whoever reads it.
///
/// A reading costs about as much as `Instant::now()`, which is more than the time-stamp
/// counter: counters calibrated by each process for itself would drift apart.
#[derive(Clone)]
pub struct RegionClock {
    region: Region,
    offset: u64,
}

/// How often the time is noted.
const BEAT: u64 = 1_000_000_000;

impl RegionClock {
    pub(super) fn new(region: Region) -> Self {
        Self { offset: region.header().offset(), region }
    }

    /// Notes the time now, whenever it was noted last.
    pub(super) fn note_now(&self) {
        self.note(monotonic(self.region.boot()).wrapping_add(self.offset));
    }

    #[cold]
    fn note(&self, time: u64) {
        self.region.header().note(time, self.region.boot());
    }
}

impl Clock for RegionClock {
    #[inline]
    fn now(&self) -> Nanos {
        let time = monotonic(self.region.boot()).wrapping_add(self.offset);
        if time > self.region.header().last().saturating_add(BEAT) {
            self.note(time);
        }
        Nanos::new(time)
    }
}

impl fmt::Debug for RegionClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegionClock").field(&self.now()).finish()
    }
}
