//! The limiter, with the time of a log for its clock.

use crate::{args::Algorithm, failure::Failure};
use tollgate::{
    BuildError, Decision, Gcra, KeyedBuilder, KeyedLimiter, ManualClock, Nanos, Quota, SlidingLog,
};

/// Placement in the limiter's table repeats from run to run.
const SEED: u64 = 0x0074_6F6C_6C67_6174;

const YEAR: u64 = 365 * 86_400;

/// A limiter counts about 18 years from its epoch, less the longest debt.
const RANGE: u64 = 18 * YEAR;

enum Limiter {
    Gcra(Box<KeyedLimiter<Gcra, ManualClock>>),
    SlidingLog(Box<KeyedLimiter<SlidingLog, ManualClock>>),
}

pub(crate) struct Engine {
    algorithm: Algorithm,
    quota: Quota,
    capacity: usize,
    limiter: Limiter,
    /// Seconds since 1970 of the limiter's epoch.
    epoch: u64,
    /// The latest decision, if there was any.
    latest: Option<u64>,
    /// Seconds after which everything that was charged is back.
    recovery: u64,
    /// From limiters that were replaced.
    saturated_before: u64,
}

impl Engine {
    pub(crate) fn new(
        algorithm: Algorithm,
        quota: Quota,
        capacity: usize,
    ) -> Result<Self, Failure> {
        Ok(Self {
            algorithm,
            quota,
            capacity,
            limiter: build(algorithm, quota, capacity, 0)?,
            epoch: 0,
            latest: None,
            recovery: recovery(algorithm, &quota),
            saturated_before: 0,
        })
    }

    pub(crate) fn quota(&self) -> &Quota {
        &self.quota
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Decides one request at `seconds` since 1970, which never step back.
    #[inline]
    pub(crate) fn decide(&mut self, key: &[u8], seconds: u64) -> Result<Decision, Failure> {
        if seconds.saturating_sub(self.epoch) > YEAR {
            self.move_epoch(seconds)?;
        }
        self.latest = Some(seconds);
        let now = Nanos::from_secs(seconds);
        Ok(match &self.limiter {
            Limiter::Gcra(limiter) => limiter.check_at(key, now),
            Limiter::SlidingLog(limiter) => limiter.check_at(key, now),
        })
    }

    /// Where the log pauses until every key is as good as new, a new limiter
    /// decides exactly as the old one would, and has its whole range before it.
    #[cold]
    fn move_epoch(&mut self, seconds: u64) -> Result<(), Failure> {
        let fresh = self.latest.is_none_or(|last| seconds.saturating_sub(last) >= self.recovery);
        if fresh {
            self.saturated_before = self.saturated();
            self.limiter = build(self.algorithm, self.quota, self.capacity, seconds)?;
            self.epoch = seconds;
        } else if seconds.saturating_sub(self.epoch) > RANGE.saturating_sub(self.recovery) {
            return Err(Failure::new(format!(
                "the log goes on for {} years without a pause in which the quota {} recovers; \
                 replay it in parts",
                seconds.saturating_sub(self.epoch) / YEAR,
                self.quota
            )));
        }
        Ok(())
    }

    /// How many requests of new keys found no room in the limiter.
    pub(crate) fn saturated(&self) -> u64 {
        self.saturated_before
            + match &self.limiter {
                Limiter::Gcra(limiter) => limiter.saturated(),
                Limiter::SlidingLog(limiter) => limiter.saturated(),
            }
    }
}

fn build(
    algorithm: Algorithm,
    quota: Quota,
    capacity: usize,
    epoch: u64,
) -> Result<Limiter, Failure> {
    fn ready<A>(
        builder: KeyedBuilder<A>,
        capacity: usize,
        epoch: u64,
    ) -> KeyedBuilder<A, ManualClock> {
        let epoch = Nanos::from_secs(epoch);
        builder.capacity(capacity).seed(SEED).epoch(epoch).clock(ManualClock::new())
    }
    match algorithm {
        Algorithm::Gcra => ready(KeyedLimiter::gcra(quota), capacity, epoch)
            .try_build()
            .map(|limiter| Limiter::Gcra(Box::new(limiter))),
        Algorithm::SlidingLog => ready(KeyedLimiter::sliding_log(quota), capacity, epoch)
            .try_build()
            .map(|limiter| Limiter::SlidingLog(Box::new(limiter))),
    }
    .map_err(|e| refused(&e, algorithm, &quota, capacity))
}

/// Why there is no limiter, in terms of the options that ask for one.
fn refused(error: &BuildError, algorithm: Algorithm, quota: &Quota, capacity: usize) -> Failure {
    Failure::new(match (error, algorithm) {
        (BuildError::OutOfMemory { bytes }, Algorithm::Gcra) => format!(
            "not enough memory: {} are needed; lower --capacity {capacity}",
            mebibytes(*bytes)
        ),
        (BuildError::OutOfMemory { bytes }, Algorithm::SlidingLog) => format!(
            "not enough memory: {} are needed; lower --capacity {capacity} \
             or the units of --quota {quota}",
            mebibytes(*bytes)
        ),
        (BuildError::ZeroCapacity | BuildError::CapacityTooLarge { .. }, _) => {
            format!("--capacity {capacity}: {error}")
        }
        _ => error.to_string(),
    })
}

/// Memory for people: tenths of a GiB, or whole MiB, never less than there is.
fn mebibytes(bytes: usize) -> String {
    const MIB: usize = 1 << 20;
    const GIB: usize = 1 << 30;
    if bytes < GIB {
        return format!("{} MiB", bytes.div_ceil(MIB));
    }
    let tenths = (bytes as u128 * 10).div_ceil(GIB as u128);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

/// Seconds after which every key of this quota is as good as new, rounded up.
fn recovery(algorithm: Algorithm, quota: &Quota) -> u64 {
    let nanos = match algorithm {
        // Emission intervals are rounded up to a part of a nanosecond.
        Algorithm::Gcra => quota
            .period()
            .as_nanos()
            .div_ceil(u128::from(quota.units()))
            .saturating_mul(u128::from(quota.burst_units())),
        Algorithm::SlidingLog => quota.period().as_nanos(),
    };
    u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_moves_the_epoch_and_nothing_else() {
        for algorithm in [Algorithm::Gcra, Algorithm::SlidingLog] {
            let mut engine = Engine::new(algorithm, "2/min".parse().unwrap(), 100).unwrap();
            let mut allowed = |seconds| engine.decide(b"k", seconds).unwrap().is_allowed();
            for century in 0..5 {
                let start = 1_000_000_000 + century * 100 * YEAR;
                assert!(allowed(start) && allowed(start) && !allowed(start));
                assert!(allowed(start + 60));
            }
        }
    }

    #[test]
    fn twenty_years_without_a_pause_are_refused() {
        let mut engine = Engine::new(Algorithm::Gcra, "100/1600d".parse().unwrap(), 100).unwrap();
        let mut decided =
            (0..3000_u64).map(|week| engine.decide(b"k", 1_000_000_000 + week * 7 * 86_400));
        let failed = decided.position(|d| d.is_err());
        // Not before half of the range, and not after its end.
        assert!(failed.is_some_and(|week| (450..940).contains(&week)), "{failed:?}");
    }

    #[test]
    fn memory_is_rounded_up() {
        for (bytes, text) in [
            (1, "1 MiB"),
            (1 << 20, "1 MiB"),
            ((1 << 20) + 1, "2 MiB"),
            (1 << 30, "1.0 GiB"),
            ((1 << 30) + 1, "1.1 GiB"),
            (25 << 29, "12.5 GiB"),
        ] {
            assert_eq!(mebibytes(bytes), text);
        }
    }

    #[test]
    fn recovery_covers_the_longest_debt() {
        let of = |text: &str| recovery(Algorithm::Gcra, &text.parse().unwrap());
        assert_eq!(of("60/min"), 60);
        assert_eq!(of("60/min burst 90"), 90);
        assert_eq!(of("7/min burst 1"), 9);
        assert_eq!(of("1000000/s"), 1);
        assert_eq!(recovery(Algorithm::SlidingLog, &"7/90s".parse().unwrap()), 90);
    }
}
