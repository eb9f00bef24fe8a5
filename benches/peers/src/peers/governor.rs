//! governor: keys are numbers, states lie in a `DashMap` that grows as keys come.
//!
//! It has no way to give the time but a clock of one's own; that one reads
//! what the caller has just put in a thread-local cell.

use crate::{
    keys::Run,
    subject::{Limit, Subject},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::keyed::DashMapStateStore,
};
use std::{cell::Cell, hash::BuildHasher, num::NonZeroU32, time::Duration};

const MILLION: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();
const DAY: Duration = Duration::from_hours(24);

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// The time that the asking thread gave last.
#[derive(Clone, Debug)]
struct Given;

impl Clock for Given {
    type Instant = Nanos;

    #[inline(always)]
    fn now(&self) -> Nanos {
        Nanos::new(NOW.get())
    }
}

/// The default limiter where `S` is the standard library's hasher.
pub(crate) fn build<S>(limit: Limit, given_time: bool) -> Box<dyn Subject>
where
    S: BuildHasher + Clone + Default + Send + Sync + 'static,
{
    if given_time {
        Box::new(Keyed::<S, _>::new(limit, Given))
    } else {
        Box::new(Keyed::<S, _>::new(limit, DefaultClock::default()))
    }
}

struct Keyed<S: BuildHasher + Clone, C: Clock> {
    limiter: RateLimiter<u64, DashMapStateStore<u64, S>, C, NoOpMiddleware<C::Instant>>,
}

impl<S: BuildHasher + Clone + Default, C: Clock> Keyed<S, C> {
    fn new(limit: Limit, clock: C) -> Self {
        let quota = match limit {
            Limit::Plenty => Quota::per_second(MILLION),
            Limit::Daily => Quota::with_period(DAY).expect("a day is longer than nothing"),
        };
        Self { limiter: RateLimiter::dashmap_with_clock_and_hasher(quota, clock, S::default()) }
    }
}

impl<S: BuildHasher + Clone + Send + Sync> Subject for Keyed<S, DefaultClock> {
    fn pass(&self, run: &Run<'_>) -> u64 {
        run.numbers(|key| self.limiter.check_key(&key).is_ok())
    }
}

impl<S: BuildHasher + Clone + Send + Sync> Subject for Keyed<S, Given> {
    fn pass(&self, run: &Run<'_>) -> u64 {
        run.bytes_at(|key, now| {
            NOW.set(now);
            self.limiter.check_key(&u64::from_le_bytes(*key)).is_ok()
        })
    }
}
