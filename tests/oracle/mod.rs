//! The meaning of the numbers once more, slowly: wide integers, a plain list of
//! stamps, one request after the other. Every fast path is held against this.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

use tollgate::{Decision, Outcome, Quota};

/// Ticks of 1/16 ns, wide enough for anything.
type Ticks = i128;

const DAY: Ticks = 86_400 * 1_000_000_000 * 16;

/// What a decision must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub allowed: bool,
    pub never: bool,
    pub limit: u64,
    pub remaining: u64,
    /// Nanoseconds, rounded up.
    pub reset: u128,
    pub full: u128,
    pub retry: Option<u128>,
}

impl From<Decision> for Answer {
    fn from(d: Decision) -> Self {
        Self {
            allowed: d.is_allowed(),
            never: d.outcome() == Outcome::Never,
            limit: d.limit(),
            remaining: d.remaining(),
            reset: d.reset_after().as_nanos(),
            full: d.full_after().as_nanos(),
            retry: d.retry_after().map(|wait| wait.as_nanos()),
        }
    }
}

fn nanos_up(ticks: Ticks) -> u128 {
    let ticks = ticks.max(0);
    u128::try_from(ticks / 16 + i128::from(ticks % 16 != 0)).unwrap()
}

fn period(quota: &Quota) -> Ticks {
    i128::try_from(quota.period().as_nanos()).unwrap() * 16
}

pub trait Oracle {
    fn ask(&mut self, now_ns: u64, cost: u64) -> Answer;
}

/// `base = max(TAT, now)`, `new = base + n*T`; allowed iff `new - now <= B*T`.
#[derive(Clone, Debug)]
pub struct Gcra {
    interval: Ticks,
    burst: Ticks,
    tat: Ticks,
}

impl Gcra {
    pub fn new(quota: &Quota) -> Self {
        let (period, units) = (period(quota), i128::from(quota.units()));
        let interval = period / units + i128::from(period % units != 0);
        Self { interval: interval.max(1), burst: i128::from(quota.burst_units()), tat: 0 }
    }

    pub fn interval_ticks(&self) -> i128 {
        self.interval
    }
}

impl Oracle for Gcra {
    fn ask(&mut self, now_ns: u64, cost: u64) -> Answer {
        let (now, cost) = (i128::from(now_ns) * 16, i128::from(cost));
        let tolerance = self.burst * self.interval;
        let mut tat = self.tat;
        // A reservation may be as much again ahead, unless told otherwise.
        let longest = tolerance + tolerance.min((1 << 61) - tolerance);
        if tat - now > longest + DAY {
            // Further ahead than any honest debt: fully in debt at `now`, and
            // from then on, unless somebody only looked.
            tat = now + tolerance;
            if cost > 0 {
                self.tat = tat;
            }
        }
        let new = tat.max(now) + cost * self.interval;
        let allowed = cost == 0 || new - now <= tolerance;
        if allowed && cost > 0 {
            tat = new;
            self.tat = new;
        }
        let after = tat.max(now);
        let remaining = (now + tolerance - after).div_euclid(self.interval).clamp(0, self.burst);
        let never = cost > self.burst;
        Answer {
            allowed,
            never,
            limit: u64::try_from(self.burst).unwrap(),
            remaining: u64::try_from(remaining).unwrap(),
            reset: nanos_up(after - now),
            full: nanos_up(after - now),
            retry: (!allowed && !never).then(|| nanos_up(new - now - tolerance)),
        }
    }
}

/// Every unit ever admitted, with its stamp, oldest first.
#[derive(Clone, Debug)]
pub struct Log {
    units: usize,
    window: Ticks,
    stamps: Vec<Ticks>,
}

impl Log {
    pub fn new(quota: &Quota) -> Self {
        Self {
            units: usize::try_from(quota.units()).unwrap(),
            window: period(quota),
            stamps: Vec::new(),
        }
    }

    /// The most units in any half-open window `(a, a + period]`.
    pub fn most_in_a_window(&self) -> usize {
        let most = |first: &Ticks| {
            self.stamps.iter().filter(|s| (*first..*first + self.window).contains(s)).count()
        };
        self.stamps.iter().map(most).max().unwrap_or(0)
    }
}

impl Oracle for Log {
    fn ask(&mut self, now_ns: u64, cost: u64) -> Answer {
        let now = i128::from(now_ns) * 16;
        let mut newest = self.stamps.last().copied().unwrap_or(0);
        let mut stamps = self.stamps.clone();
        if newest > now + DAY {
            stamps = vec![now; self.units];
            newest = now;
            if cost > 0 {
                self.stamps.clone_from(&stamps);
            }
        }
        let t = now.max(newest);
        let live: Vec<Ticks> = stamps.iter().copied().filter(|s| *s > t - self.window).collect();
        let never = cost > self.units as u64;
        let want = usize::try_from(cost).unwrap_or(usize::MAX);
        let allowed = want <= self.units - live.len();
        let mut after = live.clone();
        if allowed && want > 0 {
            self.stamps.extend(std::iter::repeat_n(t, want));
            after.extend(std::iter::repeat_n(t, want));
        }
        let leaves = |stamp: Option<&Ticks>| stamp.map_or(0, |s| nanos_up(s + self.window - now));
        let retry = (!allowed && !never).then(|| {
            let must_leave = live.len() + want - self.units;
            leaves(live.get(must_leave - 1))
        });
        Answer {
            allowed,
            never,
            limit: self.units as u64,
            remaining: (self.units - after.len()) as u64,
            reset: leaves(after.first()),
            full: leaves(after.last()),
            retry,
        }
    }
}
