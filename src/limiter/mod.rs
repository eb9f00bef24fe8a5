//! The limiters: one state ([`Limiter`]), a table of them ([`KeyedLimiter`]), or a
//! table of leases ([`LeaseLimiter`]).

mod batch;
#[cfg(any(feature = "policy", test))]
#[cfg_attr(not(feature = "policy"), allow(dead_code))]
mod blocks;
mod builder;
pub(crate) mod current;
mod error;
mod hash;
mod key;
mod keyed;
pub(crate) mod lease;
mod rules;
#[cfg(feature = "shared")]
pub(crate) mod share;
mod single;
mod store;
mod watch;

#[cfg(feature = "policy")]
pub(crate) use blocks::Blocks;
pub use builder::KeyedBuilder;
pub use error::{BuildError, RoomError};
#[cfg(feature = "policy")]
pub(crate) use hash::{KeyHasher, PartsHasher};
pub use key::Key;
pub use keyed::{KeyedLimiter, OnSaturation};
pub use lease::{Lease, LeaseBuilder, LeaseId, LeaseKey, LeaseLimiter};
#[cfg(feature = "shared")]
pub use share::ShareError;
pub use single::{Limiter, LimiterBuilder};
#[cfg(feature = "policy")]
pub(crate) use store::Store;
pub use watch::{Counts, DeniedKey, Gauges};

#[cfg(feature = "policy")]
use crate::algorithm::Calendar;
use crate::{
    algorithm::{Gcra, MAX_COUNTED, MAX_UNITS, SHORTEST, SlidingCounter, SlidingLog},
    decision::{Charge, Decision},
    quota::Quota,
    table::rule::Rule,
    time::{MAX_DEBT, nanos_up, ticks_of},
};
use std::time::Duration;

/// An algorithm that limiters run: [`Gcra`], [`SlidingLog`] or [`SlidingCounter`].
///
/// For functions that take a limiter of any kind. It cannot be implemented
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
impl Algorithm for SlidingCounter {}

/// A rule whose quota is three numbers, given at each question.
pub(crate) trait Ruled: Rule<Answer = Decision> + Shareable + Copy + 'static {
    /// What tells this quota's rule from others of the same limiter.
    fn numbers(&self) -> [u64; 3];
    /// The rule of another quota of the same limiter.
    fn with_numbers(&self, numbers: [u64; 3]) -> Self;
    /// Whether these can be the numbers of a quota that there is room for: those of a
    /// damaged region need not be.
    #[cfg_attr(not(feature = "shared"), allow(dead_code))]
    fn has_room_for(&self, numbers: [u64; 3]) -> bool;
    /// The last instant told apart, in ticks.
    fn last_now(&self) -> u64;
    fn limit(&self) -> u64;
}

/// What a region asks of an algorithm, where there are regions.
#[cfg(feature = "shared")]
pub(crate) use share::Roomy as Shareable;
#[cfg(not(feature = "shared"))]
pub(crate) trait Shareable {}
#[cfg(not(feature = "shared"))]
impl<R: Rule> Shareable for R {}

/// What the limiters need of an algorithm.
pub(crate) trait Engine: Ruled {
    /// Whether units can be charged ahead of their time.
    const RESERVES: bool = false;

    /// The rule for `quota`, of a limiter that has room for `others` and such waits.
    fn build(quota: &Quota, others: &[Quota], wait: Option<Duration>) -> Result<Self, BuildError>;
    /// The numbers of another quota of the same limiter.
    fn fit(&self, quota: &Quota) -> Result<[u64; 3], RoomError>;
    /// The largest debt of any state in ticks, where states are debts.
    fn largest_debt(&self) -> u64;
}

impl Ruled for Gcra {
    #[inline(always)]
    fn numbers(&self) -> [u64; 3] {
        self.numbers()
    }

    #[inline(always)]
    fn with_numbers(&self, numbers: [u64; 3]) -> Self {
        self.with_numbers(numbers)
    }

    fn has_room_for(&self, [burst, interval, tolerance]: [u64; 3]) -> bool {
        tolerance <= self.largest_tolerance() && burst.checked_mul(interval) == Some(tolerance)
    }

    fn last_now(&self) -> u64 {
        self.last_now()
    }

    fn limit(&self) -> u64 {
        self.limit()
    }
}

impl Engine for Gcra {
    const RESERVES: bool = true;

    fn build(quota: &Quota, others: &[Quota], wait: Option<Duration>) -> Result<Self, BuildError> {
        let debts = others.iter().chain([quota]).map(|q| Self::new(q, 0).largest_debt());
        let debt = debts.max().unwrap_or(0);
        let spare = MAX_DEBT.saturating_sub(debt);
        let wait = match wait {
            None => debt.min(spare),
            Some(wait) => match ticks_of(wait) {
                ticks if ticks <= spare => ticks,
                _ => {
                    let debt = Duration::from_nanos(nanos_up(debt));
                    return Err(BuildError::WaitTooLong { wait, debt });
                }
            },
        };
        Ok(Self::new(quota, debt.saturating_add(wait)).with_wait(wait))
    }

    fn fit(&self, quota: &Quota) -> Result<[u64; 3], RoomError> {
        let other = Self::new(quota, 0);
        // Its own room is its tolerance.
        let [debt, room] = [other, *self].map(|rule| rule.largest_tolerance());
        if debt > room {
            let [debt, room] = [debt, room].map(|ticks| Duration::from_nanos(nanos_up(ticks)));
            return Err(RoomError::Debt { debt, room });
        }
        Ok(other.numbers())
    }

    fn largest_debt(&self) -> u64 {
        self.largest_debt()
    }
}

impl Ruled for SlidingLog {
    #[inline(always)]
    fn numbers(&self) -> [u64; 3] {
        self.numbers()
    }

    #[inline(always)]
    fn with_numbers(&self, numbers: [u64; 3]) -> Self {
        self.with_numbers(numbers)
    }

    fn has_room_for(&self, [units, window, _]: [u64; 3]) -> bool {
        let (entries, longest) = self.room();
        units <= entries && window <= longest
    }

    fn last_now(&self) -> u64 {
        self.last_now()
    }

    fn limit(&self) -> u64 {
        self.limit()
    }
}

impl Engine for SlidingLog {
    fn build(quota: &Quota, others: &[Quota], _: Option<Duration>) -> Result<Self, BuildError> {
        let (mut most, mut longest) = (0, 0);
        for quota in others.iter().chain([quota]) {
            let (units, burst) = (quota.units(), quota.burst_units());
            if burst != units {
                return Err(BuildError::BurstOnLog { units, burst });
            }
            if units > MAX_UNITS {
                return Err(BuildError::TooManyUnits { units });
            }
            // A quota whose burst is all its units has no longer a period than debt.
            longest = quota.period_ticks().unwrap_or(MAX_DEBT).max(longest);
            most = units.max(most);
        }
        Self::new(quota, most, longest).ok_or(BuildError::TooManyUnits { units: most })
    }

    fn fit(&self, quota: &Quota) -> Result<[u64; 3], RoomError> {
        let (units, burst) = (quota.units(), quota.burst_units());
        let (entries, longest) = self.room();
        if burst != units {
            return Err(RoomError::BurstOnLog { units, burst });
        }
        if units > entries {
            return Err(RoomError::Units { units, room: entries });
        }
        let period = quota.period();
        match quota.period_ticks() {
            Some(ticks) if ticks <= longest => Ok([units, ticks, 0]),
            _ => Err(RoomError::Period { period, room: Duration::from_nanos(nanos_up(longest)) }),
        }
    }

    fn largest_debt(&self) -> u64 {
        0
    }
}

impl Ruled for SlidingCounter {
    #[inline(always)]
    fn numbers(&self) -> [u64; 3] {
        self.numbers()
    }

    #[inline(always)]
    fn with_numbers(&self, numbers: [u64; 3]) -> Self {
        self.with_numbers(numbers)
    }

    fn has_room_for(&self, [units, ..]: [u64; 3]) -> bool {
        units <= MAX_COUNTED
    }

    fn last_now(&self) -> u64 {
        self.last_now()
    }

    fn limit(&self) -> u64 {
        self.limit()
    }
}

#[cfg(feature = "policy")]
impl Ruled for Calendar {
    #[inline(always)]
    fn numbers(&self) -> [u64; 3] {
        self.numbers()
    }

    #[inline(always)]
    fn with_numbers(&self, numbers: [u64; 3]) -> Self {
        self.with_numbers(numbers)
    }

    fn has_room_for(&self, _: [u64; 3]) -> bool {
        true
    }

    fn last_now(&self) -> u64 {
        self.last_now()
    }

    fn limit(&self) -> u64 {
        self.limit()
    }
}

impl Engine for SlidingCounter {
    fn build(quota: &Quota, others: &[Quota], _: Option<Duration>) -> Result<Self, BuildError> {
        let mut most = 0;
        let shortest = Duration::from_nanos(nanos_up(SHORTEST));
        for other in others.iter().chain([quota]) {
            let (units, burst, period) = (other.units(), other.burst_units(), other.period());
            if burst != units {
                return Err(BuildError::BurstOnCounter { units, burst });
            }
            if units > MAX_COUNTED {
                return Err(BuildError::TooManyCounted { units });
            }
            if period < shortest {
                return Err(BuildError::CounterPeriod { period, room: shortest });
            }
            if period != quota.period() {
                return Err(BuildError::CounterPeriod { period, room: quota.period() });
            }
            most = units.max(most);
        }
        Self::new(quota, most).ok_or(BuildError::TooManyCounted { units: most })
    }

    fn fit(&self, quota: &Quota) -> Result<[u64; 3], RoomError> {
        let (units, burst) = (quota.units(), quota.burst_units());
        if burst != units {
            return Err(RoomError::BurstOnCounter { units, burst });
        }
        if units > MAX_COUNTED {
            return Err(RoomError::TooManyCounted { units });
        }
        let (period, room) = (quota.period(), Duration::from_nanos(nanos_up(self.period())));
        if period != room {
            return Err(RoomError::CounterPeriod { period, room });
        }
        Ok([units, self.period(), 0])
    }

    fn largest_debt(&self) -> u64 {
        0
    }
}

/// Makes `charge` one of `units`: gives units `back`, or `force`s as many of the
/// missing ones as there is room for, with debts of at most `largest`.
pub(crate) fn settle(
    charge: &mut Charge,
    units: u64,
    largest: u64,
    back: impl Fn(u64, &Charge) -> Decision,
    force: impl Fn(u64) -> Decision,
) -> Decision {
    let mut more = units.saturating_sub(charge.units());
    if more == 0 {
        let too_many = charge.units().saturating_sub(units);
        let decision = back(too_many, charge);
        charge.shrink(too_many);
        return decision;
    }
    loop {
        let decision = force(more);
        if decision.is_allowed() {
            charge.grow(more, &decision);
            return decision;
        }
        // Fewer than were denied, whatever happens meanwhile.
        more = more.saturating_sub(1).min(decision.fits_within(largest));
        if more == 0 {
            return decision.not_asked();
        }
    }
}

/// Stands in a builder for the [`MonotonicClock`](crate::MonotonicClock) that
/// will be made if no clock is given.
///
/// ```
/// use tollgate::{Algorithm, BuildError, DefaultClock, KeyedBuilder, KeyedLimiter};
///
/// // Builders whose clock was not chosen yet.
/// fn large<A: Algorithm>(
///     builder: KeyedBuilder<A, DefaultClock>,
/// ) -> Result<KeyedLimiter<A>, BuildError> {
///     builder.capacity(100_000).try_build()
/// }
/// assert_eq!(large(KeyedLimiter::gcra("1/s".parse()?))?.capacity(), 100_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DefaultClock;
