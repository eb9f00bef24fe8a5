//! [`LeaseKey`]: everything that can be asked of one key's leases.

use super::{Lease, LeaseId, LeaseLimiter, RoomError, protocol};
use crate::{
    algorithm::Leases,
    decision::Decision,
    table::{Hash, rule::Request},
    time::{Clock, MonotonicClock, Nanos, nanos_up},
};
use std::{fmt, time::Duration};

/// One key of a [`LeaseLimiter`]: made by [`LeaseLimiter::key`] and
/// [`LeaseLimiter::hashed`], for what goes beyond a plain [`acquire`](LeaseLimiter::acquire).
///
/// ```
/// use std::time::Duration;
/// use tollgate::LeaseLimiter;
///
/// let hour = Duration::from_secs(3600);
/// let jobs = LeaseLimiter::at_most(2, hour).room_for(5, hour).try_build()?;
/// // A paying customer may have more, on the same state.
/// let pro = jobs.key("alice").at_most(5)?;
/// let held: Vec<_> = (0..5).map_while(|_| pro.acquire().ok()).collect();
/// assert_eq!(held.len(), 5);
/// // No longer: what there is stays until it ends, and counts.
/// assert_eq!(jobs.peek("alice").remaining(), 0);
/// assert_eq!(jobs.key("alice").release_all(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a key does nothing until it is asked"]
pub struct LeaseKey<'a, C = MonotonicClock> {
    limiter: &'a LeaseLimiter<C>,
    hash: Hash,
    rule: Leases,
}

impl<C> Clone for LeaseKey<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for LeaseKey<'_, C> {}

impl<C> fmt::Debug for LeaseKey<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseKey").field("leases", &self.rule.limit()).finish_non_exhaustive()
    }
}

impl<'a, C: Clock> LeaseKey<'a, C> {
    pub(super) fn new(limiter: &'a LeaseLimiter<C>, hash: Hash) -> Self {
        Self { limiter, hash, rule: *limiter.table.rule() }
    }

    /// The same key, allowed another number of leases at a time: a customer's own, or
    /// a tier's. With 0 every request is denied for good.
    ///
    /// Leases beyond a number that was lowered stay until they end, and count. Where
    /// two numbers are asked by at one moment, the key may come to have the larger.
    ///
    /// # Errors
    ///
    /// More than the limiter was given [room](crate::LeaseBuilder::room_for) for.
    pub fn at_most(self, leases: u64) -> Result<Self, RoomError> {
        let [_, ttl, _] = self.rule.numbers();
        Ok(Self { rule: self.limiter.fit(leases, Duration::from_nanos(nanos_up(ttl)))?, ..self })
    }

    /// The same key, whose leases end after `ttl`.
    ///
    /// # Errors
    ///
    /// No time at all, or more than the limiter was given [room](crate::LeaseBuilder::room_for) for.
    pub fn ttl(self, ttl: Duration) -> Result<Self, RoomError> {
        Ok(Self { rule: self.limiter.fit(self.rule.limit(), ttl)?, ..self })
    }

    /// Asks for a lease now.
    ///
    /// # Errors
    ///
    /// The denial.
    pub fn acquire(&self) -> Result<Lease<'a, C>, Decision> {
        self.acquire_at(self.limiter.clock.now())
    }

    /// Asks for a lease at `now`, a reading of the limiter's clock.
    ///
    /// # Errors
    ///
    /// The denial.
    pub fn acquire_at(&self, now: Nanos) -> Result<Lease<'a, C>, Decision> {
        let (decision, id) = self.ask(1, now)?;
        Ok(Lease::borrowed(self.limiter, id, decision))
    }

    /// How many leases are left now: see [`LeaseLimiter::peek`].
    pub fn peek(&self) -> Decision {
        self.peek_at(self.limiter.clock.now())
    }

    /// As [`peek`](Self::peek), at `now`.
    pub fn peek_at(&self, now: Nanos) -> Decision {
        match self.ask(0, now) {
            Ok((decision, _)) | Err(decision) => decision,
        }
    }

    /// Gives all leases of the key back, whoever holds them, and says how many were
    /// live. Their holders find out when they renew.
    pub fn release_all(&self) -> u64 {
        self.release_all_at(self.limiter.clock.now())
    }

    /// As [`release_all`](Self::release_all), at `now`.
    pub fn release_all_at(&self, now: Nanos) -> u64 {
        protocol::release_all(&self.limiter.table, self.hash, self.limiter.ticks(now))
    }

    /// The lease, or the answer to who got none.
    pub(super) fn ask(&self, n: u64, now: Nanos) -> Result<(Decision, LeaseId), Decision> {
        let Self { limiter, hash, rule } = self;
        let request = Request::new(limiter.ticks(now), n);
        let (decision, id) = protocol::acquire(&limiter.table, rule, *hash, &request)
            .unwrap_or_else(|refused| limiter.refused(rule, *hash, request, refused));
        let decision = decision.to(0, now);
        id.map(|id| (decision, id)).ok_or(decision)
    }
}
