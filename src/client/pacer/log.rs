//! A log of our own calls, as a limit of so many in any period is kept.

use super::known::Room;
use crate::time::Nanos;
use std::{collections::VecDeque, time::Duration};

/// The most stamps of a log: a limit of more units has several calls in one.
const MOST_STAMPS: u64 = 8192;

/// Calls that ended within one grain of time.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    /// The earliest start of them, and the latest end.
    start: Nanos,
    end: Nanos,
    calls: u64,
}

/// `n` units in any `period`, counted from the start of a call to a period after its end.
#[derive(Debug)]
pub(super) struct Log {
    n: u64,
    period: Duration,
    /// Calls that end within it are one stamp, which goes when the last of them does. Zero
    /// where there are stamps for all.
    grain: Duration,
    /// What ended within the last period, by its ends.
    ended: VecDeque<Stamp>,
    /// All their calls.
    calls: u64,
}

impl Log {
    pub(super) fn new(units: u64, period: Duration) -> Self {
        let whole = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        // A period has one more grain than it is long where it begins within one, and the
        // last one of all is still being filled.
        let grain = if units > MOST_STAMPS { whole.div_ceil(MOST_STAMPS - 2) } else { 0 };
        let (period, grain) = (Duration::from_nanos(whole), Duration::from_nanos(grain));
        Self { n: units.max(1), period, grain, ended: VecDeque::new(), calls: 0 }
    }

    /// One of another size, in which what this one has counts on.
    pub(super) fn resized(self, units: u64, period: Duration) -> Self {
        let mut new = Self { ended: self.ended, calls: self.calls, ..Self::new(units, period) };
        new.trim();
        new
    }

    pub(super) fn is_of(&self, units: u64, period: Duration) -> bool {
        (self.n, self.period) == (units, period)
    }

    /// The time in which there is one unit of it.
    pub(super) fn pace(&self) -> Duration {
        let nanos = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos.div_ceil(self.n))
    }

    pub(super) fn units(&self) -> u64 {
        self.n
    }

    /// Whether what starts at `start` surely counts in a server's answer that comes at `told`,
    /// and no more once it is let go of.
    fn counted(&self, start: Nanos, told: Nanos) -> bool {
        start.after(self.period) > told
    }

    /// Lets go of what is over; how many of those a server counted at `told`.
    pub(super) fn expire(&mut self, now: Nanos, told: Nanos) -> u64 {
        let over = self.ended.partition_point(|stamp| stamp.end.after(self.period) <= now);
        let gone = self.ended.iter().take(over);
        let all: u64 = gone.clone().map(|stamp| stamp.calls).sum();
        let counted = gone.filter(|stamp| self.counted(stamp.start, told));
        let freed = counted.map(|stamp| stamp.calls).sum();
        self.ended.drain(..over);
        self.calls -= all;
        freed
    }

    /// When the first unit that a server counted at `told` has left its window.
    pub(super) fn frees(&self, told: Nanos) -> Option<Nanos> {
        let mut counted = self.ended.iter().filter(|stamp| self.counted(stamp.start, told));
        counted.next().map(|stamp| stamp.end.after(self.period))
    }

    pub(super) fn left(&self, flying: u64) -> u64 {
        self.n.saturating_sub(flying).saturating_sub(self.calls)
    }

    pub(super) fn room(&self, flying: u64) -> Room {
        match self.ended.front() {
            _ if self.left(flying) > 0 => Room::Free,
            Some(stamp) => Room::From(stamp.end.after(self.period)),
            None => Room::AfterAnEnd(Nanos::MAX),
        }
    }

    pub(super) fn record(&mut self, start: Nanos, now: Nanos) {
        self.calls += 1;
        match self.ended.back_mut() {
            Some(last) if self.grain > Duration::ZERO && same_grain(self.grain, last.end, now) => {
                last.start = last.start.min(start);
                // Callers read their clocks before they take the lock.
                last.end = last.end.max(now);
                last.calls += 1;
            }
            last => {
                let end = last.map_or(now, |last| now.max(last.end));
                self.ended.push_back(Stamp { start, end, calls: 1 });
            }
        }
        self.trim();
    }

    /// More than n are there where a limit was learned while more were in flight, or is
    /// smaller than the one before.
    fn trim(&mut self) {
        while self.calls > self.n {
            let Some(first) = self.ended.front_mut() else { break };
            let over = first.calls.min(self.calls - self.n);
            first.calls -= over;
            self.calls -= over;
            if first.calls == 0 {
                self.ended.pop_front();
            }
        }
    }
}

/// Whether `now` falls into the grain of `end`, or before: grains are counted from zero.
fn same_grain(grain: Duration, end: Nanos, now: Nanos) -> bool {
    let of = |at: Nanos| at.since(Nanos::ZERO).as_nanos() / grain.as_nanos().max(1);
    of(now) <= of(end)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// However many calls, and however they are spread.
    #[test]
    fn there_is_an_end_to_the_stamps_of_a_large_limit() {
        let day = Duration::from_secs(86_400);
        for (units, step) in [(1_000_000, 86_400_000_000), (100_000, 7_001), (9_000, 9_599_999_999)]
        {
            let mut log = Log::new(units, day);
            let (mut now, mut most) = (Nanos::ZERO, 0);
            for _ in 0..30_000 {
                log.expire(now, Nanos::ZERO);
                log.record(now, now);
                most = most.max(log.ended.len());
                now = now.after(Duration::from_nanos(step));
            }
            assert!(most as u64 <= MOST_STAMPS, "{units}: {most}");
            let calls: u64 = log.ended.iter().map(|stamp| stamp.calls).sum();
            assert_eq!(calls, log.calls);
        }
    }

    #[test]
    fn a_stamp_of_several_goes_when_the_last_of_them_does() {
        let mut log = Log::new(20_000, Duration::from_nanos(81_900));
        for at in [0, 9, 10] {
            log.record(Nanos::new(at), Nanos::new(at));
        }
        // Grains of ten: two of them, of two calls and of one.
        assert_eq!((log.ended.len(), log.calls), (2, 3));
        assert_eq!((log.expire(Nanos::new(81_908), Nanos::ZERO), log.calls), (0, 3));
        assert_eq!((log.expire(Nanos::new(81_909), Nanos::ZERO), log.calls), (2, 1));
        // A server that had let the first of them go before it told is not told of it again.
        let mut log = Log::new(20_000, Duration::from_nanos(81_900));
        log.record(Nanos::new(1), Nanos::new(5));
        log.record(Nanos::new(2), Nanos::new(9));
        assert_eq!((log.expire(Nanos::new(90_000), Nanos::new(81_901)), log.calls), (0, 0));
    }

    #[test]
    fn a_smaller_limit_takes_over_no_more_than_it_has() {
        let mut log = Log::new(20_000, Duration::from_secs(60));
        (0..15_000).for_each(|_| log.record(Nanos::ZERO, Nanos::ZERO));
        let log = log.resized(100, Duration::from_secs(60));
        assert_eq!((log.left(0), log.calls), (0, 100));
    }
}
