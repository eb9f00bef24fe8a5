//! GCRA, the generic cell rate algorithm (ITU-T I.371, virtual scheduling):
//! one number per key, the theoretical arrival time (TAT).

use super::Verdict;
use crate::{
    decision::{Decision, Outcome},
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
///
/// ```
/// use tollgate::{Gcra, KeyedLimiter, ManualClock, Nanos};
///
/// struct Api {
///     limiter: KeyedLimiter<Gcra, ManualClock>,
/// }
/// let limiter = KeyedLimiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
/// let api = Api { limiter };
/// // The burst, and one each six seconds from then on: the bound of a minute, 10 + 60 / 6.
/// let asked = (0..=60).flat_map(|secs| [Nanos::from_secs(secs); 10]);
/// let passed = asked.filter(|now| api.limiter.check_at("alice", *now).is_allowed());
/// assert_eq!(passed.count(), 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    burst: u64,
    interval: u64,
    tolerance: u64,
    /// The largest debt any quota of the same limiter may leave behind, its wait
    /// included.
    largest: u64,
    /// The longest wait of a reservation.
    wait: u64,
}

/// Ticks, each below 2^62 but for `cost`: `tat` and `now` are below 2^63, the
/// tolerance and the largest debt at most 2^61, and `cost * interval` is at most
/// the tolerance once `cost <= burst`. So no sum here reaches 2^64.
impl Gcra {
    /// For a limiter whose states may be in debt for `largest` ticks, or for a
    /// spent burst of this quota if that is more.
    pub(crate) fn new(quota: &Quota, largest: u64) -> Self {
        let (burst, interval) = (quota.burst_units(), quota.interval_ticks());
        // A quota's burst times interval fits by construction.
        let tolerance = burst.saturating_mul(interval);
        let largest = largest.max(tolerance);
        Self { burst, interval, tolerance, largest, wait: largest.saturating_sub(tolerance) }
    }

    /// The same where so much of the largest debt is for waits, not for quotas.
    pub(crate) const fn with_wait(self, wait: u64) -> Self {
        Self { wait, ..self }
    }

    /// The same where debts may be so large, and so much of that for waits; `None` if this
    /// one's are larger.
    #[cfg(feature = "shared")]
    pub(crate) fn with_room(self, largest: u64, wait: u64) -> Option<Self> {
        let room = Self { largest, wait, ..self };
        let enough = largest <= crate::time::MAX_DEBT
            && self.largest_tolerance() <= room.largest_tolerance()
            && self.wait <= wait
            && wait <= largest;
        enough.then_some(room)
    }

    pub(crate) const fn longest_wait(&self) -> u64 {
        self.wait
    }

    /// The largest debt that a quota may leave behind without a wait.
    pub(crate) const fn largest_tolerance(&self) -> u64 {
        self.largest.saturating_sub(self.wait)
    }

    /// The largest debt that can be left behind, in ticks.
    pub(crate) const fn largest_debt(&self) -> u64 {
        self.largest
    }

    pub(crate) const fn last_now(&self) -> u64 {
        last_now(self.largest)
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.burst
    }

    /// What differs between quotas of one limiter.
    pub(crate) const fn numbers(&self) -> [u64; 3] {
        [self.burst, self.interval, self.tolerance]
    }

    /// Another quota of the same limiter, by its numbers.
    #[inline(always)]
    pub(crate) const fn with_numbers(&self, [burst, interval, tolerance]: [u64; 3]) -> Self {
        Self { burst, interval, tolerance, ..*self }
    }

    /// Decides `cost` units at `now` for a key whose theoretical arrival time is
    /// `tat`. A TAT further ahead of `latest` than any honest one is a fault.
    #[inline(always)]
    pub(crate) fn decide(&self, tat: u64, now: u64, latest: u64, cost: u64) -> Verdict<u64> {
        self.decide_within(self.tolerance, tat, now, latest, cost)
    }

    /// The same where the units may be used up to `wait` ticks later: a request
    /// that is allowed may go when its debt has come down to the tolerance.
    pub(crate) fn reserve(
        &self,
        tat: u64,
        now: u64,
        latest: u64,
        cost: u64,
        wait: u64,
    ) -> Verdict<u64> {
        let wait = if wait < self.wait { wait } else { self.wait };
        let within = self.tolerance.saturating_add(wait).min(self.largest);
        self.decide_within(within, tat, now, latest, cost)
    }

    #[inline(always)]
    fn decide_within(
        &self,
        within: u64,
        tat: u64,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<u64> {
        let base = if tat > now { tat } else { now };
        let debt = base.wrapping_sub(now);
        if cost.wrapping_sub(1) < self.burst {
            let after = debt.wrapping_add(cost.wrapping_mul(self.interval));
            if after <= within {
                return Verdict::Charge(now.wrapping_add(after), self.answer(after, 0));
            }
            if self.is_fault(tat, latest) {
                return Verdict::Fault;
            }
            return Verdict::Answer(self.answer(debt, after.wrapping_sub(within)));
        }
        if self.is_fault(tat, latest) {
            return Verdict::Fault;
        }
        Verdict::Answer(self.answer(debt, if cost == 0 { 0 } else { Decision::NEVER }))
    }

    /// Charges `cost` units that were used already, unless the largest debt has no
    /// room for all of them (for how many: [`Decision::fits_within`]).
    pub(crate) fn force(&self, tat: u64, now: u64, latest: u64, cost: u64) -> Verdict<u64> {
        if self.is_fault(tat, latest) {
            return Verdict::Fault;
        }
        if cost == 0 {
            return Verdict::Answer(self.look(tat, now));
        }
        let denied = self.answer(tat.saturating_sub(now), Decision::NEVER);
        if cost > denied.fits_within(self.largest) {
            return Verdict::Answer(denied);
        }
        let after = tat.saturating_sub(now).saturating_add(cost.saturating_mul(self.interval));
        Verdict::Charge(now.saturating_add(after), self.answer(after, 0))
    }

    /// Gives `cost` units back, as far as they are still owed, that were charged at
    /// `charged` and then weighed `weight`, or what they weigh by this quota if 0.
    pub(crate) fn give_back(
        &self,
        tat: u64,
        now: u64,
        latest: u64,
        cost: u64,
        (charged, weight): (u64, u64),
    ) -> Verdict<u64> {
        let weight = if weight == 0 { cost.saturating_mul(self.interval) } else { weight };
        // Whatever was owed then is paid by now: what is owed came later.
        let paid = charged.saturating_add(self.largest) <= now;
        let to = if paid { tat } else { tat.saturating_sub(weight) };
        self.lower(tat, to, now, latest)
    }

    /// Makes the state as good as new.
    pub(crate) fn forget(&self, tat: u64, now: u64, latest: u64) -> Verdict<u64> {
        self.lower(tat, now, now, latest)
    }

    /// What [`decide`](Self::decide) would say, with nothing to be written.
    pub(crate) fn look_ahead(&self, tat: u64, now: u64, latest: u64, cost: u64) -> Verdict<u64> {
        match self.decide(tat, now, latest, cost) {
            Verdict::Charge(_, decision) => Verdict::Answer(decision),
            verdict => verdict,
        }
    }

    /// Leaves no unit of the burst at `now`, if `cost` units would be denied for a
    /// while. Who owes more than the burst, by a reservation, owes no more for it.
    pub(crate) fn exhaust(&self, tat: u64, now: u64, latest: u64, cost: u64) -> Verdict<u64> {
        match self.decide(tat, now, latest, cost) {
            Verdict::Charge(..) => Verdict::Answer(self.look(tat, now)),
            Verdict::Answer(denied) if denied.outcome() == Outcome::Later => {
                let emptied = now.saturating_add(self.tolerance);
                if tat >= emptied {
                    return Verdict::Answer(denied);
                }
                let retry = cost.saturating_mul(self.interval);
                Verdict::Charge(emptied, self.answer(self.tolerance, retry))
            }
            verdict => verdict,
        }
    }

    fn lower(&self, tat: u64, to: u64, now: u64, latest: u64) -> Verdict<u64> {
        if self.is_fault(tat, latest) {
            return Verdict::Fault;
        }
        // An honest TAT proves that it is at least the largest debt before it.
        let to = to.max(now).max(tat.saturating_sub(self.largest));
        if to < tat {
            Verdict::Lower(to, self.look(to, now))
        } else {
            Verdict::Answer(self.look(tat, now))
        }
    }

    #[inline]
    const fn is_fault(&self, tat: u64, latest: u64) -> bool {
        tat > latest.saturating_add(self.largest).saturating_add(SLACK)
    }

    /// What a look at `tat` tells.
    pub(crate) const fn look(&self, tat: u64, now: u64) -> Decision {
        self.answer(tat.saturating_sub(now), 0)
    }

    #[inline(always)]
    const fn answer(&self, debt: u64, retry: u64) -> Decision {
        Decision::from_debt(self.burst, self.interval, debt, retry)
    }

    /// What a look tells of a state that [`full_debt`](Self::full_debt) would replace.
    pub(crate) fn look_at_full(&self, latest: u64, now: u64, cost: u64) -> Decision {
        let full = self.full_debt(latest);
        match self.decide(full, now, latest, cost) {
            Verdict::Answer(decision) => decision,
            // A full debt denies, and is no fault.
            _ => self.look(full, now),
        }
    }

    /// The state that replaces one which cannot be honest: the largest burst of any
    /// quota of the limiter, spent at `now`.
    pub(crate) const fn full_debt(&self, now: u64) -> u64 {
        now.wrapping_add(self.largest_tolerance())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ns(n: u64) -> u64 {
        n * 16
    }

    fn gcra(quota: &str) -> Gcra {
        Gcra::new(&quota.parse().unwrap(), 0)
    }

    /// "10/s", one unit at a time, by hand.
    #[test]
    fn a_second_of_ten() {
        let gcra = gcra("10/s");
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
        let gcra = gcra("2/s");
        let Verdict::Answer(d) = gcra.decide(0, 0, 0, 0) else { panic!() };
        assert!(d.is_allowed() && d.remaining() == 2);
        for cost in [3, u64::MAX] {
            let Verdict::Answer(d) = gcra.decide(0, 0, 0, cost) else { panic!() };
            assert_eq!(d.outcome(), Outcome::Never);
        }
    }

    #[test]
    fn what_cannot_be_debt_is_a_fault() {
        let gcra = gcra("2/s");
        let edge = gcra.full_debt(1000) + SLACK;
        assert!(matches!(gcra.decide(edge, 1000, 1000, 1), Verdict::Answer(_)));
        assert!(matches!(gcra.decide(edge + 1, 1000, 1000, 1), Verdict::Fault));
        assert!(matches!(gcra.decide(edge + 1, 1000, 1000, 0), Verdict::Fault));
        assert!(matches!(gcra.decide(gcra.full_debt(1000), 1000, 1000, 1), Verdict::Answer(_)));
    }

    #[test]
    fn the_ends_of_the_range_do_not_wrap() {
        for quota in ["1/1600d", "1/d burst 1600", "1000000000000000000/s", "1/ns"] {
            let gcra = gcra(quota);
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
