//! One limit, as far as it is known: a log of our own calls, and what was told.

use super::log::Log;
use crate::{
    client::advice::Told,
    quota::Quota,
    time::{Nanos, secs_up},
};
use std::{collections::VecDeque, time::Duration};

/// Entries that tell the least `remaining` since some answer.
const MOST_SEEN: usize = 1024;

/// Whether a limit lets one more call start; the greater, the longer it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    Free,
    /// When a call that is in flight has ended, or at this instant where that is before.
    AfterAnEnd(Nanos),
    /// At this instant, unless other news comes before.
    From(Nanos),
}

/// What answers told.
#[derive(Debug)]
struct Bound {
    /// At least so many are left, as far as it depends on us.
    left: u64,
    /// So many calls took none of them, as there were none: in flight when it was told, or sent
    /// after the reset. If one of them was not sent, it has none to give back.
    short: u64,
    /// When the answer came, and its number.
    at: Nanos,
    number: u64,
    until: Nanos,
    limit: Option<u64>,
    /// How many calls got no answer since its reset.
    lost: u32,
    /// The longest reset that was told: as much as is known of the window.
    window: Duration,
    /// The answers that told fewer left than all later ones, oldest first.
    seen: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
pub(super) struct Known {
    /// Empty for the fields that have no names.
    pub(super) name: Box<str>,
    /// Where its log came from the caller, its units and their period, and those of a burst: what
    /// answers tell of windows does not replace it.
    configured: Option<[(u64, Duration); 2]>,
    log: Option<Log>,
    /// The window of a log that was told, whole.
    window: Duration,
    told: Option<Bound>,
    /// When an answer last told anything of it.
    last_told: Nanos,
}

/// What an answer's `remaining` is to be weighed with.
pub(super) struct Answered {
    /// The number of this answer, and of the last one before its call started.
    pub(super) number: u64,
    pub(super) before: u64,
    /// The last answer before any call that is in flight started.
    pub(super) oldest: u64,
    /// Calls that are in flight, or were lost while this one was: which the server may yet
    /// have counted after it.
    pub(super) uncounted: u64,
    pub(super) now: Nanos,
    /// The most that a wait may be, and what is added to it.
    pub(super) longest: Duration,
    pub(super) more: Duration,
}

impl Known {
    pub(super) fn configured(quota: &Quota) -> Self {
        // A burst b of n per period is b in b/n of the period.
        let (units, burst) = (quota.units().max(1), quota.burst_units().max(1));
        let nanos = quota.period().as_nanos().saturating_mul(u128::from(burst));
        let nanos = u64::try_from(nanos.div_ceil(u128::from(units))).unwrap_or(u64::MAX);
        let period = Duration::from_nanos(nanos);
        let log = Log::new(burst, period);
        let configured = Some([(quota.units(), quota.period()), (burst, period)]);
        Self { configured, log: Some(log), ..Self::told("") }
    }

    pub(super) fn told(name: &str) -> Self {
        Self {
            name: name.into(),
            configured: None,
            log: None,
            window: Duration::ZERO,
            told: None,
            last_told: Nanos::ZERO,
        }
    }

    /// Whether it was configured with as many units as were told, in the window that was, as whole
    /// seconds say it. A reset beyond that is another limit's.
    pub(super) fn is_of(&self, told: &Told) -> bool {
        let same = |(units, period): (u64, Duration)| {
            let secs = Duration::from_secs(secs_up(period));
            told.limit == Some(units)
                && told.window.is_none_or(|window| window == secs)
                && told.reset.is_none_or(|reset| reset <= secs + Duration::from_secs(1))
        };
        self.configured.is_some_and(|configured| configured.into_iter().any(same))
    }

    /// When an answer last told anything of it.
    pub(super) fn last_told(&self) -> Nanos {
        self.last_told
    }

    /// Whether nothing was told of it for two of its windows.
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        let told = self.told.as_ref().map_or(Duration::ZERO, |told| told.window);
        let windows = self.window.max(told).saturating_mul(2);
        self.last_told < now && self.last_told.after(windows) <= now
    }

    /// Brings the books up to now.
    pub(super) fn settle(&mut self, now: Nanos) {
        let at = self.told.as_ref().map_or(Nanos::ZERO, |told| told.at);
        let over = self.log.as_mut().map_or(0, |log| log.expire(now, at));
        if let Some(told) = &mut self.told {
            told.left = told.left.saturating_add(over).min(told.limit.unwrap_or(u64::MAX));
        }
    }

    pub(super) fn room(&self, now: Nanos, flying: u64) -> Room {
        let ours = self.log.as_ref().map_or(Room::Free, |log| log.room(flying));
        let theirs = match &self.told {
            Some(told) if told.left == 0 && now < told.until => {
                // Our own units leave the server's window, too.
                let freed = self.log.as_ref().and_then(|log| log.frees(told.at));
                Room::From(freed.map_or(told.until, |freed| freed.min(told.until)))
            }
            // The reset has come: one goes, and the others by what it is told, or when there is
            // a unit of our own.
            Some(told) if told.left == 0 && flying > 0 => {
                let freed = self.log.as_ref().and_then(|log| log.frees(told.at));
                Room::AfterAnEnd(freed.unwrap_or(Nanos::MAX))
            }
            _ => Room::Free,
        };
        ours.max(theirs)
    }

    /// One more starts.
    pub(super) fn start(&mut self) {
        if let Some(told) = &mut self.told {
            if let Some(left) = told.left.checked_sub(1) {
                told.left = left;
            } else {
                told.short += 1;
                // The reset has come: what has left the window by then is in what it gave.
                told.at = told.at.max(told.until);
            }
        }
    }

    /// One that had started was not sent.
    pub(super) fn unsent(&mut self) {
        if let Some(told) = &mut self.told {
            match told.short.checked_sub(1) {
                Some(short) => told.short = short,
                None => {
                    told.left = told.left.saturating_add(1).min(told.limit.unwrap_or(u64::MAX));
                }
            }
        }
    }

    /// How long after the one that just started the next one should come, where less than
    /// `share` of the limit is left.
    pub(super) fn gap(&self, share: f64, now: Nanos, flying: u64) -> Duration {
        let of_log = self.log.as_ref().map(|log| (log.left(flying), log.units()));
        let of_told = self.told.as_ref().and_then(|told| Some((told.left, told.limit?.max(1))));
        #[allow(clippy::cast_precision_loss)] // a share needs no more
        let low = |(left, limit): (u64, u64)| (left as f64) < share * (limit as f64);
        if !of_log.is_some_and(low) && !of_told.is_some_and(low) {
            return Duration::ZERO;
        }
        match (&self.log, &self.told) {
            // Nobody else uses it up: at its own pace.
            (Some(log), told) if told.as_ref().is_none_or(|told| told.left >= log.left(flying)) => {
                log.pace()
            }
            // Over what there is until the reset; but no slower than a window's worth in a
            // window, for there are resets that move ahead with each call.
            (_, Some(told)) => {
                let left = told.until.since(now) / at_least_one(told.left.saturating_add(1));
                let pace = told.window / at_least_one(told.limit.unwrap_or(1));
                left.min(pace)
            }
            (_, None) => Duration::ZERO,
        }
    }

    /// A call ended that may have been counted.
    pub(super) fn record(&mut self, start: Nanos, now: Nanos) {
        if let Some(log) = &mut self.log {
            log.record(start, now);
        }
    }

    /// A call ended without an answer: it may have taken what the reset gave. The next one
    /// waits as after a denial (`wait`, by how many were lost so), until there may have been as
    /// many as the limit has: then for a window.
    pub(super) fn lost(&mut self, start: Nanos, now: Nanos, wait: impl FnOnce(u32) -> Duration) {
        self.record(start, now);
        if let Some(told) = self.told.as_mut().filter(|told| told.left == 0 && told.until <= now) {
            let wait = match told.limit {
                Some(limit) if u64::from(told.lost) + 1 < limit => wait(told.lost),
                _ => told.window,
            };
            told.lost = told.lost.saturating_add(1);
            told.until = told.until.max(after(now, wait.min(told.window)));
        }
    }

    /// An answer told nothing of what is left, after the reset that was told: whoever goes on
    /// waiting for one does so for ever.
    pub(super) fn untold(&mut self, number: u64, now: Nanos) {
        let over = |told: &Bound| told.number < number && told.left == 0 && told.until <= now;
        if self.told.as_ref().is_some_and(over) {
            self.told = None;
        }
    }

    pub(super) fn learn(&mut self, told: &Told, of: &Answered) {
        self.last_told = self.last_told.max(of.now);
        // A longer window is hearsay that would hold us for too long.
        let window = told.window.filter(|window| *window <= of.longest);
        if let (Some(n), Some(window)) = (told.limit.filter(|n| *n > 0), window) {
            let same = |log: &Log| log.is_of(n, window);
            if self.configured.is_none() && !self.log.as_ref().is_some_and(same) {
                let old = self.log.take();
                self.log = Some(match old {
                    Some(old) => old.resized(n, window),
                    None => Log::new(n, window),
                });
                self.window = window;
            }
        }
        let next = told.reset.map(|reset| after(of.now, reset.saturating_add(of.more)));
        // Where there is no reset, the last one holds.
        let until = next.or(self.told.as_ref().map(|told| told.until));
        let (Some(remaining), Some(until)) = (told.remaining, until) else { return };
        let (window, before_now, mut seen) = match self.told.take() {
            Some(told) => (told.window, told.at, told.seen),
            None => (Duration::ZERO, Nanos::ZERO, VecDeque::new()),
        };
        while seen.back().is_some_and(|(_, least)| *least >= remaining) {
            seen.pop_back();
        }
        seen.push_back((of.number, remaining));
        let before = of.before;
        let least = seen.iter().find(|(number, _)| *number > before).map_or(remaining, |s| s.1);
        // Nobody asks for anything older; one that hangs for long is not worth more.
        while seen.front().is_some_and(|(number, _)| *number <= of.oldest) || seen.len() > MOST_SEEN
        {
            seen.pop_front();
        }
        let reset = told.reset.unwrap_or_default();
        self.told = Some(Bound {
            left: least.saturating_sub(of.uncounted),
            short: of.uncounted.saturating_sub(least),
            // An answer may be read after one that came later.
            at: before_now.max(of.now),
            number: of.number,
            until: until.min(of.now.after(of.longest)),
            limit: told.limit,
            lost: 0,
            window: window.max(reset.min(of.longest)),
            seen,
        });
    }

    /// A denial told when to come back: that goes before the reset.
    pub(super) fn come_back(&mut self, at: Nanos) {
        if let Some(told) = self.told.as_mut().filter(|told| told.left == 0) {
            told.until = at;
        }
    }
}

/// No time at all is over for everybody, whoever read the clock first.
fn after(now: Nanos, wait: Duration) -> Nanos {
    if wait.is_zero() { Nanos::ZERO } else { now.after(wait) }
}

fn at_least_one(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX).max(1)
}
