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
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Outcome};
    /// # use std::time::Duration;
    /// let minute = Duration::from_secs(60);
    /// let jobs = LeaseLimiter::at_most(2, minute)
    ///     .clock(ManualClock::new())
    ///     .room_for(5, minute)
    ///     .try_build()?;
    /// let pro = jobs.key("alice").at_most(5)?;
    /// let held = [(); 3].map(|()| pro.acquire());
    /// assert_eq!(pro.peek().remaining(), 2);
    /// assert!(jobs.acquire("alice").is_err()); // three are more than two
    /// let banned = jobs.key("mallory").at_most(0)?.acquire().err();
    /// assert_eq!(banned.map(|denied| denied.outcome()), Some(Outcome::Never));
    /// assert!(jobs.key("alice").at_most(6).is_err());
    /// # drop(held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    /// let jobs = LeaseLimiter::at_most(2, minute)
    ///     .clock(ManualClock::new())
    ///     .room_for(2, hour)
    ///     .try_build()?;
    /// let alice = jobs.key("alice");
    /// let export = alice.ttl(hour)?.acquire().map_err(|denied| denied.to_string())?;
    /// assert_eq!(export.decision().full_after(), hour);
    /// let refused = alice.ttl(2 * hour).unwrap_err().to_string();
    /// assert!(refused.starts_with("a lease of 7200s is longer than the 3600s"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No time at all, or more than the limiter was given
    /// [room](crate::LeaseBuilder::room_for) for.
    pub fn ttl(self, ttl: Duration) -> Result<Self, RoomError> {
        Ok(Self { rule: self.limiter.fit(self.rule.limit(), ttl)?, ..self })
    }

    /// Asks for a lease now.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(3, Duration::from_secs(60))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let alice = jobs.key("alice"); // hashed once
    /// // As many workers as she may have.
    /// let workers: Vec<_> = std::iter::from_fn(|| alice.acquire().ok()).collect();
    /// assert_eq!(workers.len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The denial.
    pub fn acquire(&self) -> Result<Lease<'a, C>, Decision> {
        self.acquire_at(self.limiter.clock.now())
    }

    /// Asks for a lease at `now`, a reading of the limiter's clock.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_millis(100))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let alice = jobs.key("alice");
    /// // Leases end at whole milliseconds: this one after 100.5, not after 100.
    /// let lease = alice.acquire_at(Nanos::new(1_500_000)).map_err(|denied| denied.to_string())?;
    /// assert_eq!(lease.decision().full_after(), Duration::from_micros(100_500));
    /// assert!(alice.acquire_at(Nanos::new(101_999_999)).is_err());
    /// # drop(lease);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The denial.
    pub fn acquire_at(&self, now: Nanos) -> Result<Lease<'a, C>, Decision> {
        let (decision, id) = self.ask(1, now)?;
        Ok(Lease::borrowed(self.limiter, id, decision))
    }

    /// How many leases are left now: see [`LeaseLimiter::peek`].
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(60))
    ///     .clock(ManualClock::new())
    ///     .room_for(5, Duration::from_secs(60))
    ///     .try_build()?;
    /// let held = jobs.acquire("alice");
    /// let alice = jobs.key("alice");
    /// let left = [0, 1, 2, 5].map(|n| alice.at_most(n).map(|key| key.peek().remaining()));
    /// assert_eq!(left, [Ok(0), Ok(0), Ok(1), Ok(4)]);
    /// # drop(held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek(&self) -> Decision {
        self.peek_at(self.limiter.clock.now())
    }

    /// As [`peek`](Self::peek), at `now`.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(60))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let alice = jobs.key("alice");
    /// let held = [0, 20].map(|secs| alice.acquire_at(Nanos::from_secs(secs)));
    /// let now = alice.peek_at(Nanos::from_secs(30));
    /// assert_eq!((now.reset_after_secs(), now.full_after().as_secs()), (30, 50)); // first, last
    /// # drop(held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek_at(&self, now: Nanos) -> Decision {
        match self.ask(0, now) {
            Ok((decision, _)) | Err(decision) => decision,
        }
    }

    /// Gives all leases of the key back, whoever holds them, and says how many were
    /// live. Their holders find out when they renew.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(3, Duration::from_secs(60))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let lease = jobs.acquire("alice").map_err(|denied| denied.to_string())?;
    /// let lost = jobs.acquire("alice").map(|lease| lease.detach()); // by a worker that crashed
    /// assert_eq!(jobs.key("alice").release_all(), 2);
    /// assert!(!lease.renew()); // who is still at work finds out
    /// assert_eq!(jobs.peek("alice").remaining(), 3);
    /// # drop(lost);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release_all(&self) -> u64 {
        self.release_all_at(self.limiter.clock.now())
    }

    /// As [`release_all`](Self::release_all), at `now`.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(3, Duration::from_secs(60))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let alice = jobs.key("alice");
    /// let held = [0, 10, 20].map(|secs| alice.acquire_at(Nanos::from_secs(secs)));
    /// assert_eq!(alice.release_all_at(Nanos::from_secs(65)), 2); // one was over
    /// # drop(held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
