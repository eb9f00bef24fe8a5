//! The same limiters of both versions. They are different types, so the source is
//! a macro, with the version's crate as its argument.

/// Keys per batch.
const BATCH: usize = 64;

macro_rules! version {
    ($name:ident, $tollgate:ident) => {
        pub(crate) mod $name {
            use super::BATCH;
            use crate::{
                keys::Run,
                scenario::{Limit, Scenario, Subject, Trouble},
            };
            use std::hint::black_box;
            use $tollgate::{KeyedLimiter, Limiter, Nanos, OnSaturation, Quota};

            /// New limiters for a scenario.
            pub(crate) fn build(
                scenario: Scenario,
                keys: usize,
                seed: u64,
            ) -> Result<Box<dyn Subject>, Trouble> {
                let quota = match scenario.limit() {
                    Limit::Deep => Quota::n_per_minute(1)?.burst(2_000_000)?,
                    Limit::Daily => Quota::n_per_day(1)?,
                    Limit::Plenty => Quota::n_per_second(1_000_000_000)?,
                };
                // A new key that finds no slot is denied, so that it would be noticed.
                let keyed = KeyedLimiter::gcra(quota)
                    .capacity(keys)
                    .seed(seed)
                    .on_saturation(OnSaturation::Deny);
                Ok(match scenario {
                    Scenario::Hit | Scenario::Denied | Scenario::Fresh => {
                        Box::new(Single(keyed.try_build()?))
                    }
                    Scenario::Given => Box::new(Given(keyed.try_build()?)),
                    Scenario::Batch => Box::new(Batch(keyed.try_build()?)),
                    Scenario::Lone => Box::new(Lone(Limiter::gcra(quota).try_build()?)),
                })
            }

            struct Single(KeyedLimiter);

            impl Subject for Single {
                fn pass(&self, run: &Run<'_>) -> u64 {
                    run.bytes(|key| self.0.check(key).is_allowed())
                }
            }

            struct Given(KeyedLimiter);

            impl Subject for Given {
                fn pass(&self, run: &Run<'_>) -> u64 {
                    run.bytes_at(|key, now| self.0.check_at(key, Nanos::new(now)).is_allowed())
                }
            }

            struct Batch(KeyedLimiter);

            impl Subject for Batch {
                fn pass(&self, run: &Run<'_>) -> u64 {
                    let allowed = |keys| {
                        let decisions = self.0.check_many(keys);
                        decisions.map(|d| u64::from(black_box(d.is_allowed()))).sum::<u64>()
                    };
                    run.keys.chunks(BATCH).map(allowed).sum()
                }
            }

            struct Lone(Limiter);

            impl Subject for Lone {
                fn pass(&self, run: &Run<'_>) -> u64 {
                    run.bytes(|_| self.0.check().is_allowed())
                }
            }
        }
    };
}

version!(tree, tollgate);
version!(other, tollgate_other);
