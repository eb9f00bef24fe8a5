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
    /// What the system's clock shows when that of regions shows zero: what a time namespace
    /// has added, or when the pretended system started.
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
        let zero = namespace(&fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default());
        match halves {
            [0, _] => Self { id: [1, 0], known: false, zero, ahead: 0 },
            id => Self { id, known: true, zero, ahead: 0 },
        }
    }

    /// Nanoseconds since 1970 by the wall clock.
    pub(super) fn wall(&self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Nanos::from(wall).as_u64().wrapping_add(self.ahead)
    }
}

/// What this process's time namespace adds to the monotonic clock: seconds and nanoseconds,
/// each of which may be less than nothing. Processes of several containers then agree.
fn namespace(offsets: &str) -> u64 {
    let line = offsets.lines().find_map(|line| line.strip_prefix("monotonic"));
    let mut numbers = line.unwrap_or_default().split_ascii_whitespace();
    let mut next = || numbers.next().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let (secs, nanos) = (next(), next());
    secs.wrapping_mul(1_000_000_000).wrapping_add(nanos).cast_unsigned()
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
/// it was, later by what the wall clock says has passed. It stands while a machine is
/// suspended, and what time namespaces add to it is taken off. For that, the time is noted in
/// the region once a second by whoever reads it.
///
/// A reading costs about as much as `Instant::now()`, which is more than the time-stamp
/// counter: counters calibrated by each process for itself would drift apart.
///
/// ```
/// use tollgate::{Clock, KeyedLimiter, Quota, Region};
///
/// # let name = format!("tollgate-doc-region-clock-{}", std::process::id());
/// # let path = std::env::temp_dir().join(name);
/// let region = Region::open(&path)?;
/// let limiter = KeyedLimiter::gcra(Quota::n_per_minute(60)?).try_build_in(&region, "logins")?;
/// // What a limiter there is asked at is a reading of this clock.
/// let now = region.clock().now();
/// assert_eq!(limiter.check_at("ann", now).remaining(), 59);
/// assert!(limiter.clock().now() >= now);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_time_namespaces_add() {
        let adds = |offsets| namespace(offsets).cast_signed();
        assert_eq!(adds("monotonic           0         0\nboottime   5    0\n"), 0);
        assert_eq!(adds("boottime 7 7\nmonotonic  100000  20\n"), 100_000_000_000_020);
        assert_eq!(adds("monotonic -3 500000000\n"), -2_500_000_000);
        for text in ["", "monotonic", "monotonic x y", "monotonic 99999999999999999999 1"] {
            assert!((0..2).contains(&adds(text)), "{text}");
        }
    }
}
