//! tollgate: keys are bytes, the table is made for as many keys as there are.

use crate::{
    keys::Run,
    subject::{Limit, Subject},
};
use anyhow::Result;
use std::hint::black_box;
use tollgate::{KeyedLimiter, Nanos, OnSaturation, Quota};

/// Keys per batch.
const BATCH: usize = 64;

/// A new key that finds no slot is denied, so that it would be noticed.
pub(crate) fn limiter(limit: Limit, keys: usize) -> Result<KeyedLimiter> {
    let quota = match limit {
        Limit::Plenty => Quota::n_per_second(1_000_000)?,
        Limit::Daily => Quota::n_per_day(1)?,
    };
    let builder = KeyedLimiter::gcra(quota).capacity(keys).on_saturation(OnSaturation::Deny);
    Ok(builder.try_build()?)
}

/// One check per key.
pub(crate) struct Single {
    limiter: KeyedLimiter,
    given_time: bool,
}

impl Single {
    pub(crate) fn new(limit: Limit, keys: usize, given_time: bool) -> Result<Self> {
        Ok(Self { limiter: limiter(limit, keys)?, given_time })
    }
}

impl Subject for Single {
    fn pass(&self, run: &Run<'_>) -> u64 {
        if self.given_time {
            run.bytes_at(|key, now| self.limiter.check_at(key, Nanos::new(now)).is_allowed())
        } else {
            run.bytes(|key| self.limiter.check(key).is_allowed())
        }
    }

    fn memory(&self) -> usize {
        self.limiter.memory()
    }
}

/// Batches of [`BATCH`] keys.
pub(crate) struct Batch {
    limiter: KeyedLimiter,
}

impl Batch {
    pub(crate) fn new(limit: Limit, keys: usize) -> Result<Self> {
        Ok(Self { limiter: limiter(limit, keys)? })
    }
}

impl Subject for Batch {
    fn pass(&self, run: &Run<'_>) -> u64 {
        run.keys.chunks(BATCH).map(|keys| batch(&self.limiter, keys)).sum()
    }
}

/// Asks for all keys at one reading of the clock; how many were allowed.
fn batch(limiter: &KeyedLimiter, keys: &[[u8; 8]]) -> u64 {
    limiter.check_many(keys).map(|decision| u64::from(black_box(decision.is_allowed()))).sum()
}
