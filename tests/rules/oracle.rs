//! What each question means, written down as plainly as possible: wide integers, plain
//! lists, and where an algorithm has a formula for a wait, a search for it.

use crate::{Decision, Outcome, Quota};
use std::collections::BTreeMap;

pub(crate) type Ticks = i128;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Charge(u64),
    Force(u64),
    Look(u64),
    Exhaust(u64),
    /// Units and the time of the charge they belong to.
    Refund(u64, u64),
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
        }
    }
}

/// A state, and what is done to it. Looks and exhaustion follow from the rest.
pub(crate) trait Oracle: Clone {
    fn charge(&mut self, quota: usize, now: u64, n: u64) -> Answer;
    fn force(&mut self, quota: usize, now: u64, n: u64) -> Answer {
        self.charge(quota, now, n)
    }
    fn refund(&mut self, quota: usize, now: u64, n: u64, charged: u64);
    fn reset(&mut self, quota: usize, now: u64);
    fn empty(&mut self, quota: usize, now: u64);

    fn ask(&mut self, quota: usize, now: u64, op: Op) -> Answer {
        match op {
            Op::Charge(n) => return self.charge(quota, now, n),
            Op::Force(n) => return self.force(quota, now, n),
            Op::Look(n) => return self.clone().charge(quota, now, n),
            Op::Exhaust(n) => {
                let would = self.clone().charge(quota, now, n);
                match would.outcome {
                    Outcome::Later => self.empty(quota, now),
                    Outcome::Never => return would,
                    _ => return self.clone().charge(quota, now, 0),
                }
                return self.clone().charge(quota, now, n);
            }
            Op::Refund(n, charged) => self.refund(quota, now, n, charged),
            Op::Reset => self.reset(quota, now),
        }
        self.clone().charge(quota, now, 0)
    }
}

fn up(ticks: Ticks) -> u128 {
    u128::try_from(ticks.max(0)).unwrap().div_ceil(16)
}

fn period(quota: &Quota) -> Ticks {
    Ticks::try_from(quota.period().as_nanos()).unwrap() * 16
}

#[derive(Clone)]
pub(crate) struct Smooth {
    quotas: [Quota; 3],
    largest: Ticks,
    tat: Ticks,
}

impl Smooth {
    pub(crate) fn new(quotas: [Quota; 3], largest: Ticks) -> Self {
        Self { quotas, largest, tat: 0 }
    }

    fn numbers(&self, quota: usize) -> (Ticks, Ticks) {
        let quota = &self.quotas[quota];
        let (period, units) = (period(quota), Ticks::from(quota.units()));
        ((period + units - 1) / units, Ticks::from(quota.burst_units()))
    }

    fn answer(&self, quota: usize, now: u64, outcome: Outcome, retry: Ticks) -> Answer {
        let (interval, burst) = self.numbers(quota);
        let debt = (self.tat - Ticks::from(now) * 16).max(0);
        let remaining = (burst * interval - debt).div_euclid(interval).clamp(0, burst);
        Answer {
            outcome,
            limit: u64::try_from(burst).unwrap(),
            remaining: u64::try_from(remaining).unwrap(),
            reset: up(debt),
            full: up(debt),
            retry: (outcome == Outcome::Later).then(|| up(retry)),
        }
    }
}

impl Oracle for Smooth {
    fn charge(&mut self, quota: usize, now: u64, n: u64) -> Answer {
        let ((interval, burst), at) = (self.numbers(quota), Ticks::from(now) * 16);
        let new = self.tat.max(at) + Ticks::from(n) * interval;
        let over = new - at - burst * interval;
        if Ticks::from(n) > burst {
            return self.answer(quota, now, Outcome::Never, 0);
        }
        if n > 0 && over > 0 {
            return self.answer(quota, now, Outcome::Later, over);
        }
        if n > 0 {
            self.tat = new;
        }
        self.answer(quota, now, Outcome::Allowed, 0)
    }

    fn force(&mut self, quota: usize, now: u64, n: u64) -> Answer {
        let ((interval, _), at) = (self.numbers(quota), Ticks::from(now) * 16);
        let new = self.tat.max(at) + Ticks::from(n) * interval;
        // As many as there is room for, in whole units.
        if Ticks::from(n) > (self.largest - (self.tat - at).max(0)).max(0) / interval {
            return self.answer(quota, now, Outcome::Never, 0);
        }
        if n > 0 {
            self.tat = new;
        }
        self.answer(quota, now, Outcome::Allowed, 0)
    }

    fn refund(&mut self, quota: usize, now: u64, n: u64, charged: u64) {
        let ((interval, _), at) = (self.numbers(quota), Ticks::from(now) * 16);
        if self.tat > at && Ticks::from(charged) * 16 + self.largest > at {
            let to = (self.tat - Ticks::from(n) * interval).max(at);
            self.tat = to.max(self.tat - self.largest);
        }
    }

    fn reset(&mut self, _: usize, now: u64) {
        self.tat = self.tat.min((Ticks::from(now) * 16).max(self.tat - self.largest));
    }

    fn empty(&mut self, quota: usize, now: u64) {
        let (interval, burst) = self.numbers(quota);
        self.tat = self.tat.max(Ticks::from(now) * 16 + burst * interval);
    }
}

/// Stamps, oldest first, and the latest time known: that of the newest stamp, or of
/// units that left and are forgotten. None leaves unforgotten from a log that was
/// emptied, as all have one stamp.
#[derive(Clone)]
pub(crate) struct Exact {
    quotas: [Quota; 3],
    stamps: Vec<Ticks>,
    newest: Ticks,
    emptied: bool,
}

impl Exact {
    pub(crate) fn new(quotas: [Quota; 3]) -> Self {
        Self { quotas, stamps: Vec::new(), newest: 0, emptied: false }
    }

    /// The time that it is, and the live stamps then.
    fn live(&self, quota: usize, now: u64) -> (Ticks, Vec<Ticks>) {
        let t = self.newest.max(Ticks::from(now) * 16);
        let window = period(&self.quotas[quota]);
        (t, self.stamps.iter().copied().filter(|stamp| *stamp > t - window).collect())
    }
}

impl Oracle for Exact {
    fn charge(&mut self, quota: usize, now: u64, n: u64) -> Answer {
        let (t, mut live) = self.live(quota, now);
        let (window, limit) = (period(&self.quotas[quota]), self.quotas[quota].units());
        let leaves = |stamp: &Ticks| up(stamp + window - Ticks::from(now) * 16);
        let used = live.len() as u64;
        let (outcome, retry) = if n > limit {
            (Outcome::Never, None)
        } else if n > 0 && used + n > limit {
            let nth = usize::try_from(used + n - limit - 1).unwrap();
            (Outcome::Later, live.get(nth).map(leaves))
        } else {
            live.extend(std::iter::repeat_n(t, usize::try_from(n).unwrap()));
            if n > 0 {
                (self.stamps, self.newest, self.emptied) = (live.clone(), t, false);
            }
            (Outcome::Allowed, None)
        };
        Answer {
            outcome,
            limit,
            remaining: limit.saturating_sub(live.len() as u64),
            reset: live.first().map_or(0, leaves),
            full: live.last().map_or(0, leaves),
            retry,
        }
    }

    fn refund(&mut self, quota: usize, now: u64, n: u64, charged: u64) {
        let (t, mut live) = self.live(quota, now);
        let n = live.len().min(usize::try_from(n).unwrap());
        if n > 0 && Ticks::from(charged) * 16 + period(&self.quotas[quota]) > t {
            live.drain(..n);
            self.newest = if self.emptied { self.newest } else { t };
            self.stamps = live;
        }
    }

    fn reset(&mut self, quota: usize, now: u64) {
        let (t, _) = self.live(quota, now);
        if !self.stamps.is_empty() {
            self.newest = if self.emptied { self.newest } else { t };
            self.stamps.clear();
        }
    }

    fn empty(&mut self, quota: usize, now: u64) {
        let (t, live) = self.live(quota, now);
        let units = usize::try_from(self.quotas[quota].units()).unwrap();
        (self.stamps, self.newest) = (vec![t; live.len().max(units)], t);
        self.emptied = true;
    }
}

/// Units by window.
#[derive(Clone)]
pub(crate) struct Counted {
    limits: [u64; 3],
    span: u64,
    window: u64,
    units: BTreeMap<u64, u64>,
}

impl Counted {
    pub(crate) fn new(limits: [u64; 3], span: u64) -> Self {
        Self { limits, span, window: 0, units: BTreeMap::new() }
    }

    fn units(&self, window: u64) -> u64 {
        self.units.get(&window).copied().unwrap_or(0)
    }

    fn at(&self, now: u64) -> u64 {
        self.window.max(now / self.span)
    }

    /// before * (P - e) / P + present + n <= L, as a fraction.
    fn passes(&self, quota: usize, now: u64, n: u64) -> bool {
        let window = self.at(now);
        let start = i128::from(window) * i128::from(self.span);
        let elapsed = (i128::from(now) - start).max(0);
        let span = i128::from(self.span);
        let before = i128::from(self.units(window - 1)) * (span - elapsed);
        let present = (i128::from(self.units(window)) + i128::from(n)) * span;
        before + present <= i128::from(self.limits[quota]) * span
    }

    fn left(&self, quota: usize, now: u64) -> u64 {
        (1..=self.limits[quota]).rev().find(|n| self.passes(quota, now, *n)).unwrap_or(0)
    }

    /// The first nanosecond in which n units pass: from some instant on they do.
    fn wait(&self, quota: usize, now: u64, n: u64) -> u128 {
        let (mut no, mut yes) = (now, self.at(now) * self.span + 3 * self.span);
        assert!(self.passes(quota, yes, n));
        if self.passes(quota, now, n) {
            return 0;
        }
        while yes - no > 1 {
            let mid = no.midpoint(yes);
            if self.passes(quota, mid, n) { yes = mid } else { no = mid }
        }
        u128::from(yes - now)
    }
}

impl Oracle for Counted {
    fn charge(&mut self, quota: usize, now: u64, n: u64) -> Answer {
        let limit = self.limits[quota];
        let (outcome, retry) = if n > limit {
            (Outcome::Never, None)
        } else if n > 0 && !self.passes(quota, now, n) {
            (Outcome::Later, Some(self.wait(quota, now, n)))
        } else {
            if n > 0 {
                self.window = self.at(now);
                *self.units.entry(self.window).or_default() += n;
            }
            (Outcome::Allowed, None)
        };
        let remaining = self.left(quota, now);
        let more = if remaining < limit { self.wait(quota, now, remaining + 1) } else { 0 };
        let full = if remaining < limit { self.wait(quota, now, limit) } else { 0 };
        Answer { outcome, limit, remaining, reset: more, full, retry }
    }

    fn refund(&mut self, _: usize, now: u64, n: u64, charged: u64) {
        let window = self.window;
        if self.at(now) == window && charged / self.span == window {
            let units = self.units(window);
            self.units.insert(window, units - units.min(n));
        }
    }

    fn reset(&mut self, _: usize, now: u64) {
        let window = self.at(now);
        // What counts no more for this clock is left for one that is behind.
        if self.units(window) + self.units(window - 1) > 0 {
            self.units.clear();
        }
    }

    fn empty(&mut self, quota: usize, now: u64) {
        self.window = self.at(now);
        let units = self.units(self.window).max(self.limits[quota]);
        self.units.insert(self.window, units);
    }
}

/// Units of the latest window that anything was admitted in.
#[derive(Clone)]
pub(crate) struct Dated {
    limits: [u64; 3],
    around: fn(u64) -> (u64, u64),
    end: u64,
    units: u64,
}

impl Dated {
    pub(crate) fn new(limits: [u64; 3], around: fn(u64) -> (u64, u64)) -> Self {
        Self { limits, around, end: 0, units: 0 }
    }

    fn at(&self, now: u64) -> (u64, u64) {
        let end = (self.around)(now).1;
        if self.end >= end { (self.end, self.units) } else { (end, 0) }
    }
}

impl Oracle for Dated {
    fn charge(&mut self, quota: usize, now: u64, n: u64) -> Answer {
        let limit = self.limits[quota];
        let (end, mut units) = self.at(now);
        let wait = u128::from(end - now);
        let (outcome, retry) = if n > limit {
            (Outcome::Never, None)
        } else if n > 0 && units + n > limit {
            (Outcome::Later, Some(wait))
        } else {
            if n > 0 {
                units += n;
                (self.end, self.units) = (end, units);
            }
            (Outcome::Allowed, None)
        };
        let remaining = limit.saturating_sub(units);
        Answer { outcome, limit, remaining, reset: wait, full: wait, retry }
    }

    fn refund(&mut self, _: usize, now: u64, n: u64, charged: u64) {
        let (start, end) = (self.around)(now);
        if self.end == end && (start..end).contains(&charged) {
            self.units -= self.units.min(n);
        }
    }

    fn reset(&mut self, _: usize, now: u64) {
        if self.at(now).1 > 0 {
            self.units = 0;
        }
    }

    fn empty(&mut self, quota: usize, now: u64) {
        let (end, units) = self.at(now);
        (self.end, self.units) = (end, units.max(self.limits[quota]));
    }
}
