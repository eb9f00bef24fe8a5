//! [`Lease`]: one that is held, until it is dropped.

use super::{LeaseId, LeaseLimiter};
use crate::{
    decision::Decision,
    time::{Clock, MonotonicClock},
};
use std::{fmt, sync::Arc};

enum Holder<'a, C> {
    Borrowed(&'a LeaseLimiter<C>),
    Owned(Arc<LeaseLimiter<C>>),
}

impl<C> Holder<'_, C> {
    fn limiter(&self) -> &LeaseLimiter<C> {
        match self {
            Self::Borrowed(limiter) => limiter,
            Self::Owned(limiter) => limiter,
        }
    }
}

/// One of a key's leases, given back when it is dropped. If that does not happen, it
/// is over after its time.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{LeaseLimiter, ManualClock};
///
/// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
///     .clock(ManualClock::new())
///     .try_build()?;
/// {
///     let _lease = jobs.acquire("alice").map_err(|denied| denied.to_string())?;
///     // The work; it may also leave by `?`, or panic.
///     assert!(jobs.acquire("alice").is_err());
/// }
/// assert!(jobs.acquire("alice").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a lease that is not kept is given back at once"]
pub struct Lease<'a, C: Clock = MonotonicClock> {
    holder: Holder<'a, C>,
    /// Gone once it was detached or released.
    id: Option<LeaseId>,
    decision: Decision,
}

impl<'a, C: Clock> Lease<'a, C> {
    pub(super) const fn borrowed(
        limiter: &'a LeaseLimiter<C>,
        id: LeaseId,
        decision: Decision,
    ) -> Self {
        Self { holder: Holder::Borrowed(limiter), id: Some(id), decision }
    }

    pub(super) const fn owned(
        limiter: Arc<LeaseLimiter<C>>,
        id: LeaseId,
        decision: Decision,
    ) -> Self {
        Self { holder: Holder::Owned(limiter), id: Some(id), decision }
    }

    /// What was decided when it was granted: how many are left, and when the first and
    /// the last of them end.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(4, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let lease = jobs.acquire("alice").map_err(|denied| denied.to_string())?;
    /// let others = [(); 2].map(|()| jobs.acquire("alice"));
    /// assert_eq!(lease.decision().remaining(), 3); // as it was then,
    /// assert_eq!(jobs.peek("alice").remaining(), 1); // and as it is
    /// # drop(others);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// What finds it again, from wherever it may be.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let lease = jobs.acquire("alice").map_err(|denied| denied.to_string())?;
    /// let cancel = lease.id(); // for another thread, while the lease stays here
    /// assert!(jobs.release(cancel));
    /// assert!(!lease.release()); // it was given back already
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn id(&self) -> LeaseId {
        self.id.unwrap_or(LeaseId::UNACCOUNTED)
    }

    /// Continues it from now on for the limiter's time: see [`LeaseLimiter::renew`].
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let lease = jobs.acquire("alice").map_err(|denied| denied.to_string())?;
    /// for _part in 0..6 {
    ///     jobs.clock().advance(Duration::from_secs(10)); // the work
    ///     if !lease.renew() {
    ///         break; // somebody else may have it by now
    ///     }
    /// }
    /// assert_eq!(jobs.peek("alice").full_after(), Duration::from_secs(30));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "a lease that is over cannot be renewed"]
    pub fn renew(&self) -> bool {
        self.holder.limiter().renew(self.id())
    }

    /// Gives it back now. Whether it was live until then.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let lease = jobs.acquire("alice").map_err(|denied| denied.to_string())?;
    /// jobs.clock().advance(Duration::from_secs(31));
    /// if !lease.release() {
    ///     // The work took too long, and may have been one beside the limit.
    /// }
    /// # assert!(jobs.acquire("alice").is_ok_and(|lease| lease.release()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(mut self) -> bool {
        self.id.take().is_some_and(|id| self.holder.limiter().release(id))
    }

    /// Leaves it to whoever has its id: it is not given back when this is dropped.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let uploads = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let begin = || uploads.acquire("alice").map(|lease| lease.detach()); // one request
    /// let id = begin().map_err(|denied| denied.to_string())?;
    /// assert_eq!(uploads.peek("alice").remaining(), 1);
    /// assert!(uploads.release(id)); // and another, which ends what the first began
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "without its id it lasts until it is over"]
    pub fn detach(mut self) -> LeaseId {
        self.id.take().unwrap_or(LeaseId::UNACCOUNTED)
    }
}

impl<C: Clock> Drop for Lease<'_, C> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.holder.limiter().release(id);
        }
    }
}

impl<C: Clock> fmt::Debug for Lease<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id)
            .field("decision", &self.decision)
            .finish_non_exhaustive()
    }
}
