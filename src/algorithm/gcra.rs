//! GCRA, the generic cell rate algorithm (ITU-T I.371, virtual scheduling):
//! one number per key, the theoretical arrival time (TAT).

use super::Verdict;
use crate::{
    decision::Decision,
    quota::Quota,
    time::{SLACK, last_now},
};

/// Smooth traffic: units are spaced by the emission interval T, and up to
/// `burst` of them may come at once.
///
/// One word per key. Over any interval of length t it admits at most
/// burst + t/T units: up to about twice the quota in one period when the burst
/// equals the units. Who means "never more than N in any minute" wants
/// [`SlidingLog`](super::SlidingLog).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    burst: u64,
    interval: u64,
    tolerance: u64,
}

impl Gcra {
    pub(crate) fn new(quota: &Quota) -> Self {
        let (burst, interval) = (quota.burst_units(), quota.interval_ticks());
        // A quota's burst times interval fits by construction.
        Self { burst, interval, tolerance: burst.saturating_mul(interval) }
    }

    /// The largest debt this quota can leave behind, in ticks.
    pub(crate) const fn largest_debt(&self) -> u64 {
        self.tolerance
    }

    pub(crate) const fn last_now(&self) -> u64 {
        last_now(self.tolerance)
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.burst
    }

    /// Decides `cost` units at `now` for a key whose theoretical arrival time is
    /// `tat`. A TAT further ahead of `latest` than any honest one is a fault.
    ///
    /// `tat`, `now` and the tolerance are each below 2^63, 2^63 and 2^61 or so, and
    /// `cost * interval` is at most the tolerance once `cost <= burst`, so
    /// that no sum here reaches 2^64.
    #[inline(always)]
    pub(crate) fn decide(&self, tat: u64, now: u64, latest: u64, cost: u64) -> Verdict<u64> {
        let base = if tat > now { tat } else { now };
        let debt = base.wrapping_sub(now);
        if cost.wrapping_sub(1) < self.burst {
            let after = debt.wrapping_add(cost.wrapping_mul(self.interval));
            if after <= self.tolerance {
                let decision = Decision::from_debt(self.burst, self.interval, after, 0);
                return Verdict::Charge(now.wrapping_add(after), decision);
            }
            if self.is_fault(tat, latest) {
                return Verdict::Fault;
            }
            let retry = after.wrapping_sub(self.tolerance);
            return Verdict::Answer(Decision::from_debt(self.burst, self.interval, debt, retry));
        }
        if self.is_fault(tat, latest) {
            return Verdict::Fault;
        }
        let retry = if cost == 0 { 0 } else { Decision::NEVER };
        Verdict::Answer(Decision::from_debt(self.burst, self.interval, debt, retry))
    }

    #[inline]
    const fn is_fault(&self, tat: u64, latest: u64) -> bool {
        tat > latest.saturating_add(self.tolerance).saturating_add(SLACK)
    }

    /// What a look at `tat` tells.
    pub(crate) const fn look(&self, tat: u64, now: u64) -> Decision {
        Decision::from_debt(self.burst, self.interval, tat.saturating_sub(now), 0)
    }

    /// The state that replaces one which cannot be honest: fully in debt at `now`.
    pub(crate) const fn full_debt(&self, now: u64) -> u64 {
        now.wrapping_add(self.tolerance)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ns(n: u64) -> u64 {
        n * 16
    }

    /// "10/s", one unit at a time, by hand.
    #[test]
    fn a_second_of_ten() {
        let gcra = Gcra::new(&Quota::n_per_second(10).unwrap());
        let mut tat = 0;
        for left in (0..10).rev() {
            let Verdict::Charge(next, d) = gcra.decide(tat, 0, 0, 1) else { panic!() };
            assert_eq!((d.remaining(), d.limit()), (left, 10));
            tat = next;
        }
        let Verdict::Answer(d) = gcra.decide(tat, 0, 0, 1) else { panic!() };
        assert_eq!(d.retry_after(), Some(Duration::from_millis(100)));
        assert_eq!(d.reset_after(), Duration::from_secs(1));
        assert!(matches!(
            gcra.decide(tat, ns(100_000_000) - 16, ns(100_000_000) - 16, 1),
            Verdict::Answer(_)
        ));
        assert!(matches!(
            gcra.decide(tat, ns(100_000_000), ns(100_000_000), 1),
            Verdict::Charge(..)
        ));
    }

    #[test]
    fn a_look_spends_nothing_and_never_is_never() {
        let gcra = Gcra::new(&Quota::n_per_second(2).unwrap());
        let Verdict::Answer(d) = gcra.decide(0, 0, 0, 0) else { panic!() };
        assert!(d.is_allowed() && d.remaining() == 2);
        for cost in [3, u64::MAX] {
            let Verdict::Answer(d) = gcra.decide(0, 0, 0, cost) else { panic!() };
            assert_eq!(d.outcome(), crate::Outcome::Never);
        }
    }

    #[test]
    fn what_cannot_be_debt_is_a_fault() {
        let gcra = Gcra::new(&Quota::n_per_second(2).unwrap());
        let edge = gcra.full_debt(1000) + SLACK;
        assert!(matches!(gcra.decide(edge, 1000, 1000, 1), Verdict::Answer(_)));
        assert!(matches!(gcra.decide(edge + 1, 1000, 1000, 1), Verdict::Fault));
        assert!(matches!(gcra.decide(edge + 1, 1000, 1000, 0), Verdict::Fault));
        assert!(matches!(gcra.decide(gcra.full_debt(1000), 1000, 1000, 1), Verdict::Answer(_)));
    }

    #[test]
    fn the_ends_of_the_range_do_not_wrap() {
        for quota in ["1/1600d", "1/d burst 1600", "1000000000000000000/s", "1/ns"] {
            let gcra = Gcra::new(&quota.parse().unwrap());
            let now = gcra.last_now();
            let mut tat = 0;
            for _ in 0..3 {
                if let Verdict::Charge(next, d) = gcra.decide(tat, now, now, gcra.burst) {
                    assert!(next >= now && next < 0x7F << 56);
                    assert_eq!(d.remaining(), 0);
                    tat = next;
                }
            }
        }
    }
}
