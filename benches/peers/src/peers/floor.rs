//! The floor: what a decision takes that knows its slot without looking for
//! it. tollgate's clock and hash, one line of an array as large as tollgate's
//! table, one compare-and-swap. It is no limiter: keys share words, and nothing
//! tells them apart.
//!
//! It has what tollgate has: huge pages, and its line is asked for before the clock
//! is read, which on the machines seen so far holds the processor up until all loads
//! before it are done. Without these two the floor is higher: tollgate would stand
//! below it from 10⁵ keys on.

use super::tollgate::limiter;
use crate::{
    keys::{Run, scale},
    subject::{Limit, Subject},
};
use anyhow::Result;
use memmap2::MmapMut;
use std::{
    hash::{BuildHasher, Hasher},
    slice,
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

/// Lines on huge pages, where the system has them.
struct Lines(MmapMut);

impl Lines {
    fn new(lines: usize) -> Result<Self> {
        let pages = MmapMut::map_anon(lines * size_of::<Line>())?;
        #[cfg(target_os = "linux")]
        {
            // A wish, as tollgate's.
            let _ = pages.advise(memmap2::Advice::HugePage);
        }
        Ok(Self(pages))
    }

    #[inline(always)]
    fn get(&self) -> &[Line] {
        // SAFETY: pages hold so many lines, are aligned to more, and are zeroed, which is a
        // valid `Line`; they are lent only here, shared.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() / size_of::<Line>()) }
    }
}

#[inline(always)]
fn prefetch(word: &Tat) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults on no address; this one is valid.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

pub(crate) struct Floor {
    lines: Lines,
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
            lines: Lines::new(lines)?,
            hasher: ahash::RandomState::new(),
            clock: MonotonicClock::new(),
            interval,
            tolerance,
            given_time,
        })
    }

    #[inline(always)]
    fn ask(&self, key: &[u8], now: impl FnOnce() -> u64) -> bool {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        let hash = hasher.finish();
        let lines = self.lines.get();
        let Line(words) = &lines[scale(hash, lines.len())];
        let word = &words[(hash & 7) as usize];
        prefetch(word);
        word.ask(now(), self.interval, self.tolerance)
    }
}

impl Subject for Floor {
    fn pass(&self, run: &Run<'_>) -> u64 {
        if self.given_time {
            run.bytes_at(|key, now| self.ask(key, || now))
        } else {
            run.bytes(|key| self.ask(key, || self.clock.now().as_u64()))
        }
    }
}
