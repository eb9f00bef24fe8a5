//! Limiters of one thing. A billion units a second: no thread gets to the end
//! of that.

use super::floor::Tat;
use crate::{
    keys::Run,
    subject::{Kind, Subject},
};
use anyhow::{Result, bail};
use governor::DefaultDirectRateLimiter;
use ratelimit::Ratelimiter;
use std::num::NonZeroU32;
use tollgate::{Clock, Limiter, MonotonicClock, Quota};

const UNITS: NonZeroU32 = NonZeroU32::new(1_000_000_000).unwrap();

pub(crate) fn build(kind: Kind) -> Result<Box<dyn Subject>> {
    let units = u64::from(UNITS.get());
    Ok(match kind {
        Kind::Tollgate => {
            Box::new(Tollgate(Limiter::gcra(Quota::n_per_second(units)?).try_build()?))
        }
        Kind::Governor => {
            Box::new(Governor(DefaultDirectRateLimiter::direct(governor::Quota::per_second(UNITS))))
        }
        Kind::Ratelimit => Box::new(Ratelimit(
            // It starts empty unless told otherwise.
            Ratelimiter::builder(units).initial_available(units).build()?,
        )),
        Kind::Floor => Box::new(Floor::default()),
        other => bail!("{} limits keys only", other.name()),
    })
}

struct Tollgate(Limiter);

impl Subject for Tollgate {
    fn pass(&self, run: &Run<'_>) -> u64 {
        run.bytes(|_| self.0.check().is_allowed())
    }
}

struct Governor(DefaultDirectRateLimiter);

impl Subject for Governor {
    fn pass(&self, run: &Run<'_>) -> u64 {
        run.bytes(|_| self.0.check().is_ok())
    }
}

struct Ratelimit(Ratelimiter);

impl Subject for Ratelimit {
    fn pass(&self, run: &Run<'_>) -> u64 {
        run.bytes(|_| self.0.try_wait().is_ok())
    }
}

/// The clock and one word, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Floor {
    clock: MonotonicClock,
    tat: Apart,
}

#[derive(Default)]
#[repr(align(128))]
struct Apart(Tat);

impl Subject for Floor {
    fn pass(&self, run: &Run<'_>) -> u64 {
        run.bytes(|_| self.tat.0.ask(self.clock.now().as_u64(), 1, 999_999_999))
    }
}
