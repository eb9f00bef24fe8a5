//! The two algorithms as the design states them, as plainly as they can be
//! written: wide integers, lists of stamps, nothing shared with the library.

use std::collections::HashMap;

/// What is decided of one request, in nanoseconds where it is a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) remaining: u64,
    pub(crate) reset_after: u64,
    pub(crate) retry_after: Option<u64>,
}

pub(crate) trait Oracle {
    /// One unit for `key` at `now` seconds, which never step back.
    fn ask(&mut self, key: &str, now: u64) -> Answer;
}

const TICKS_PER_NANO: i128 = 16;
const TICKS_PER_SECOND: i128 = 1_000_000_000 * TICKS_PER_NANO;

fn nanos_up(ticks: i128) -> u64 {
    assert!(ticks >= 0);
    ((ticks + TICKS_PER_NANO - 1) / TICKS_PER_NANO).try_into().unwrap()
}

/// T = ceil(P/L) in ticks; allowed iff `max(TAT, now) + T - now <= B*T`.
pub(crate) struct Gcra {
    pub(crate) burst: i128,
    pub(crate) interval: i128,
    tat: HashMap<String, i128>,
}

impl Gcra {
    pub(crate) fn new(units: u64, period_nanos: u64, burst: u64) -> Self {
        let (units, period) = (i128::from(units), i128::from(period_nanos) * TICKS_PER_NANO);
        let interval = (period + units - 1) / units;
        Self { burst: burst.into(), interval: interval.max(1), tat: HashMap::new() }
    }
}

impl Oracle for Gcra {
    fn ask(&mut self, key: &str, now: u64) -> Answer {
        let now = i128::from(now) * TICKS_PER_SECOND;
        let tolerance = self.burst * self.interval;
        let tat = self.tat.get(key).copied().unwrap_or(now);
        let new = tat.max(now) + self.interval;
        let allowed = new - now <= tolerance;
        let after = if allowed { new } else { tat };
        if allowed {
            self.tat.insert(key.to_owned(), new);
        }
        let debt = after.max(now) - now;
        // The state of a denied request leaves no room for one, so that the
        // floor of the quotient is that of a number that is never negative.
        let remaining = ((tolerance - debt) / self.interval).clamp(0, self.burst);
        Answer {
            allowed,
            remaining: remaining.try_into().unwrap(),
            reset_after: nanos_up(debt),
            retry_after: (!allowed).then(|| nanos_up(new - now - tolerance)),
        }
    }
}

/// Allowed iff the units admitted in `(t - P, t]` plus one are at most L.
pub(crate) struct SlidingLog {
    units: usize,
    period: u64,
    /// All stamps ever admitted, oldest first.
    stamps: HashMap<String, Vec<u64>>,
}

impl SlidingLog {
    pub(crate) fn new(units: u64, period_nanos: u64) -> Self {
        Self { units: units.try_into().unwrap(), period: period_nanos, stamps: HashMap::new() }
    }
}

impl Oracle for SlidingLog {
    fn ask(&mut self, key: &str, now: u64) -> Answer {
        let t = now * 1_000_000_000;
        let stamps = self.stamps.entry(key.to_owned()).or_default();
        let gone = stamps.iter().filter(|stamp| **stamp + self.period <= t).count();
        let allowed = stamps.len() - gone < self.units;
        // Until one more has a place, the oldest must leave.
        let retry_after = (!allowed).then(|| stamps[gone] + self.period - t);
        if allowed {
            stamps.push(t);
        }
        let live = &stamps[gone..];
        Answer {
            allowed,
            remaining: (self.units - live.len()) as u64,
            reset_after: live[0] + self.period - t,
            retry_after,
        }
    }
}
