//! What every operation means, written down as plainly as possible: wide
//! integers for GCRA, a sorted list of stamps for the log. Ticks of 1/16 ns.

use std::time::Duration;
use tollgate::{Decision, Outcome, Quota};

pub(crate) type Ticks = i128;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Charge(u64),
    Reserve(u64, Duration),
    /// Units and the time of the charge they belong to.
    Refund(u64, u64),
    /// More units than were charged: so many more.
    Force(u64),
    Reset,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: u128,
    pub(crate) full: u128,
    pub(crate) retry: Option<u128>,
    pub(crate) wait: u128,
}

impl From<Decision> for Answer {
    fn from(d: Decision) -> Self {
        Self {
            outcome: d.outcome(),
            limit: d.limit(),
            remaining: d.remaining(),
            reset: d.reset_after().as_nanos(),
            full: d.full_after().as_nanos(),
            retry: d.retry_after().map(|wait| wait.as_nanos()),
            wait: d.wait().as_nanos(),
        }
    }
}

fn up(ticks: Ticks) -> u128 {
    u128::try_from(ticks.max(0)).unwrap().div_ceil(16)
}

fn period(quota: &Quota) -> Ticks {
    Ticks::try_from(quota.period().as_nanos()).unwrap() * 16
}

fn interval(quota: &Quota) -> Ticks {
    let (period, units) = (period(quota), Ticks::from(quota.units()));
    period / units + Ticks::from(period % units != 0)
}

/// One key's GCRA state, in a limiter whose longest debt is `largest`.
#[derive(Clone, Debug)]
pub(crate) struct Gcra {
    pub(crate) tat: Ticks,
    pub(crate) largest: Ticks,
    pub(crate) wait: Ticks,
}

impl Gcra {
    pub(crate) fn tolerance(quota: &Quota) -> Ticks {
        interval(quota) * Ticks::from(quota.burst_units())
    }

    pub(crate) fn ask(&mut self, quota: &Quota, now_ns: u64, op: Op) -> Answer {
        let (now, t, burst) =
            (Ticks::from(now_ns) * 16, interval(quota), Ticks::from(quota.burst_units()));
        let tolerance = t * burst;
        let (mut outcome, mut retry, mut wait) = (Outcome::Allowed, None, 0);
        match op {
            Op::Charge(n) | Op::Reserve(n, _) => {
                let within = match op {
                    Op::Reserve(_, longest) => {
                        let longest = Ticks::try_from(longest.as_nanos()).unwrap() * 16;
                        tolerance + longest.min(self.wait)
                    }
                    _ => tolerance,
                };
                let new = self.tat.max(now) + Ticks::from(n) * t;
                if Ticks::from(n) > burst {
                    outcome = Outcome::Never;
                } else if n > 0 && new - now > within {
                    outcome = Outcome::Later;
                    retry = Some(up(new - now - within));
                } else if n > 0 {
                    self.tat = new;
                    wait = up(new - now - tolerance);
                }
            }
            Op::Force(n) => {
                let debt = (self.tat - now).max(0);
                let charged = Ticks::from(n).min((self.largest - debt).max(0) / t);
                if charged > 0 {
                    self.tat = now + debt + charged * t;
                }
            }
            Op::Refund(n, charged) => {
                let paid = Ticks::from(charged) * 16 + self.largest <= now;
                if self.tat > now && !paid {
                    let lowered = (self.tat - Ticks::from(n) * t).max(now);
                    self.tat = lowered.max(self.tat - self.largest);
                }
            }
            Op::Reset => self.tat = self.tat.min(now.max(self.tat - self.largest)),
        }
        let after = self.tat.max(now);
        let remaining = (now + tolerance - after).div_euclid(t).clamp(0, burst);
        Answer {
            outcome,
            limit: quota.burst_units(),
            remaining: u64::try_from(remaining).unwrap(),
            reset: up(after - now),
            full: up(after - now),
            retry,
            wait,
        }
    }
}

/// One key's log: what it remembers, oldest first, and the latest time it knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) stamps: Vec<Ticks>,
    pub(crate) newest: Ticks,
}

impl Log {
    pub(crate) fn ask(&mut self, quota: &Quota, now_ns: u64, op: Op) -> Answer {
        let (now, window, units) = (Ticks::from(now_ns) * 16, period(quota), quota.units());
        let limit = usize::try_from(units).unwrap();
        let t = now.max(self.newest);
        let live: Vec<Ticks> = self.stamps.iter().copied().filter(|s| *s > t - window).collect();
        let room = limit.saturating_sub(live.len());
        let mut after = live.clone();
        let (mut outcome, mut retry) = (Outcome::Allowed, None);
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let leaves = |stamp: Option<&Ticks>| stamp.map_or(0, |s| up(s + window - now));
        let mut put = 0;
        match op {
            Op::Charge(n) if n > units => outcome = Outcome::Never,
            Op::Charge(n) if count(n) > room => {
                outcome = Outcome::Later;
                retry = Some(leaves(live.get(live.len() + count(n) - limit - 1)));
            }
            Op::Charge(n) => put = count(n),
            // As far as there is room.
            Op::Force(n) => put = count(n).min(room),
            Op::Refund(n, charged) => {
                if Ticks::from(charged) * 16 + window > t {
                    let n = count(n).min(after.len());
                    after.drain(..n);
                }
            }
            Op::Reset => after.clear(),
            Op::Reserve(..) => unreachable!("a log reserves nothing"),
        }
        after.extend(std::iter::repeat_n(t, put));
        let forgets = matches!(op, Op::Reset) && !self.stamps.is_empty();
        if forgets || after.len() != live.len() {
            (self.stamps, self.newest) = (after.clone(), t);
        }
        Answer {
            outcome,
            limit: units,
            remaining: limit.saturating_sub(after.len()) as u64,
            reset: leaves(after.first()),
            full: leaves(after.last()),
            retry,
            wait: 0,
        }
    }
}
