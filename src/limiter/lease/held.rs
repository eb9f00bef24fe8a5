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
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// What finds it again, from wherever it may be.
    pub fn id(&self) -> LeaseId {
        self.id.unwrap_or(LeaseId::UNACCOUNTED)
    }

    /// Continues it from now on for the limiter's time: see [`LeaseLimiter::renew`].
    #[must_use = "a lease that is over cannot be renewed"]
    pub fn renew(&self) -> bool {
        self.holder.limiter().renew(self.id())
    }

    /// Gives it back now. Whether it was live until then.
    pub fn release(mut self) -> bool {
        self.id.take().is_some_and(|id| self.holder.limiter().release(id))
    }

    /// Leaves it to whoever has its id: it is not given back when this is dropped.
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
