//! The floor: what a decision takes that knows its slot without looking for
//! it. tollgate's clock and hash, one line of an array as large as tollgate's
//! table, one compare-and-swap. It is no limiter: keys share words, and nothing
//! tells them apart.

use super::tollgate::limiter;
use crate::{
    keys::{Run, scale},
    subject::{Limit, Subject},
};
use anyhow::Result;
use std::{
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicU64, Ordering},
};
use tollgate::{Clock, MonotonicClock};

/// A word that holds the theoretical arrival time in nanoseconds. It stands for
/// itself, nothing else is published with it: `Relaxed` is enough.
#[derive(Debug, Default)]
pub(super) struct Tat(AtomicU64);

impl Tat {
    /// GCRA with one compare-and-swap when allowed, one load when not.
    #[inline(always)]
    pub(super) fn ask(&self, now: u64, interval: u64, tolerance: u64) -> bool {
        let mut tat = self.0.load(Ordering::Relaxed);
        loop {
            if tat > now + tolerance {
                return false;
            }
            let next = now.max(tat) + interval;
            match self.0.compare_exchange(tat, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => tat = seen,
            }
        }
    }
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([Tat; 8]);

pub(crate) struct Floor {
    lines: Box<[Line]>,
    hasher: ahash::RandomState,
    clock: MonotonicClock,
    interval: u64,
    tolerance: u64,
    given_time: bool,
}

impl Floor {
    pub(crate) fn new(limit: Limit, keys: usize, given_time: bool) -> Result<Self> {
        let lines = limiter(limit, keys)?.memory() / size_of::<Line>();
        let (interval, tolerance) = match limit {
            Limit::Plenty => (1_000, 999_999_000),
            Limit::Daily => (86_400_000_000_000, 0),
        };
        Ok(Self {
            lines: (0..lines).map(|_| Line::default()).collect(),
            hasher: ahash::RandomState::new(),
            clock: MonotonicClock::new(),
            interval,
            tolerance,
            given_time,
        })
    }

    #[inline(always)]
    fn ask(&self, key: &[u8], now: u64) -> bool {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        let hash = hasher.finish();
        let Line(words) = &self.lines[scale(hash, self.lines.len())];
        words[(hash & 7) as usize].ask(now, self.interval, self.tolerance)
    }
}

impl Subject for Floor {
    fn pass(&self, run: &Run<'_>) -> u64 {
        if self.given_time {
            run.bytes_at(|key, now| self.ask(key, now))
        } else {
            run.bytes(|key| self.ask(key, self.clock.now().as_u64()))
        }
    }
}
