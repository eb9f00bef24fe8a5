//! throttlecrab: keys are text, the limiter has one owner. Alone, the owner asks;
//! several threads put a mutex around it.
//!
//! Of its stores this is the one that suits a steady load best: made for as
//! many keys as there are, and looking for expired ones once a minute (the
//! adaptive store looks through the whole map every 100,000 checks). The time
//! is an argument, and comes from `SystemTime::now` as in its documentation.

use crate::{
    keys::{Run, STEP},
    subject::{Limit, Subject},
};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use throttlecrab::{PeriodicStore, RateLimiter};

pub(crate) struct Single {
    limiter: Mutex<RateLimiter<PeriodicStore>>,
    burst: i64,
    count: i64,
    period: i64,
    given_time: bool,
}

impl Single {
    pub(crate) fn new(limit: Limit, keys: usize, given_time: bool) -> Self {
        let (burst, count, period) = match limit {
            Limit::Plenty => (1_000_000, 1_000_000, 1),
            // Version 0.4.40 never denies with a burst of one.
            Limit::Daily => (2, 1, 86_400),
        };
        let store = PeriodicStore::builder().capacity(keys).build();
        let limiter = Mutex::new(RateLimiter::new(store));
        Self { limiter, burst, count, period, given_time }
    }

    #[inline(always)]
    fn ask(&self, owned: &mut RateLimiter<PeriodicStore>, key: &str, now: SystemTime) -> bool {
        owned
            .rate_limit(key, self.burst, self.count, self.period, 1, now)
            .is_ok_and(|(allowed, _)| allowed)
    }

    #[inline(always)]
    fn each(&self, run: &Run<'_>, mut now: impl FnMut() -> SystemTime) -> u64 {
        if run.alone {
            // Taken once for many keys: what the mutex costs is not seen.
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            run.text(|key| self.ask(&mut limiter, key, now()))
        } else {
            run.text(|key| {
                // In `limiter.lock()?.rate_limit(.., SystemTime::now())` too, the
                // clock is read under the lock.
                let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
                self.ask(&mut limiter, key, now())
            })
        }
    }
}

impl Subject for Single {
    fn pass(&self, run: &Run<'_>) -> u64 {
        if self.given_time {
            let mut now = SystemTime::UNIX_EPOCH + Duration::from_nanos(run.now);
            self.each(run, || {
                now += Duration::from_nanos(STEP);
                now
            })
        } else {
            self.each(run, SystemTime::now)
        }
    }
}
