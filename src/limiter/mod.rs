//! The limiters: one state ([`Limiter`]) or a table of them ([`KeyedLimiter`]).

mod error;
mod hash;
mod keyed;
mod rules;
mod single;

pub use error::BuildError;
pub use keyed::{KeyedBuilder, KeyedLimiter, OnSaturation};
pub use single::{Limiter, LimiterBuilder};

use crate::{
    algorithm::{Gcra, SlidingLog},
    decision::Decision,
    quota::Quota,
    table::rule::Rule,
};

/// An algorithm that limiters run: [`Gcra`] or [`SlidingLog`].
///
/// For functions that take a limiter of either kind. It cannot be implemented
/// elsewhere, so that what it asks of an algorithm can change.
///
/// ```
/// use tollgate::{Algorithm, Clock, KeyedLimiter};
///
/// fn admit<A: Algorithm, C: Clock>(limiter: &KeyedLimiter<A, C>, user: &str) -> bool {
///     limiter.check(user).is_allowed()
/// }
/// ```
#[allow(private_bounds)] // that is what keeps it to this crate
pub trait Algorithm: Engine {}

impl Algorithm for Gcra {}
impl Algorithm for SlidingLog {}

/// What the limiters need of an algorithm.
pub(crate) trait Engine: Rule<Answer = Decision> + Copy + 'static {
    fn from_quota(quota: &Quota) -> Result<Self, BuildError>;
    /// The last instant told apart, in ticks.
    fn last_now(&self) -> u64;
    fn limit(&self) -> u64;
}

impl Engine for Gcra {
    fn from_quota(quota: &Quota) -> Result<Self, BuildError> {
        Ok(Self::new(quota))
    }

    fn last_now(&self) -> u64 {
        self.last_now()
    }

    fn limit(&self) -> u64 {
        self.limit()
    }
}

impl Engine for SlidingLog {
    fn from_quota(quota: &Quota) -> Result<Self, BuildError> {
        let (units, burst) = (quota.units(), quota.burst_units());
        if burst != units {
            return Err(BuildError::BurstOnLog { units, burst });
        }
        Self::new(quota).ok_or(BuildError::TooManyUnits { units })
    }

    fn last_now(&self) -> u64 {
        self.last_now()
    }

    fn limit(&self) -> u64 {
        self.limit()
    }
}

/// Stands in a builder for the [`MonotonicClock`](crate::MonotonicClock) that
/// will be made if no clock is given.
#[derive(Clone, Copy, Debug)]
pub struct DefaultClock;
