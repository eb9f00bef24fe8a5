//! [`KeptLeases`]: what a kept decision holds, apart from what it charged.

use super::super::{
    limit::Keeper,
    moment::{Moment, PolicyClock},
    verdict::{Held, PolicyDecision},
};
use crate::{limiter::LeaseId, time::Nanos};
use smallvec::SmallVec;
use std::{sync::Arc, time::Duration};

impl PolicyDecision<'_> {
    /// Its leases, apart from what was charged: they are not its own any more. `None` if it
    /// has none.
    pub(crate) fn take_leases(&mut self) -> Option<KeptLeases> {
        let (mut leases, mut ttl) = (SmallVec::new(), Duration::MAX);
        for asked in &mut self.asked {
            if let Held::Lease(lease) = asked.held {
                asked.held = Held::Nothing;
                let limit = self.policy.limit(asked.limit);
                let own = limit.ttl().unwrap_or(Duration::MAX);
                leases.push((Arc::clone(&limit.keeper), own, lease));
                ttl = own.min(ttl);
            }
        }
        if leases.is_empty() {
            return None;
        }
        let (clock, began) = (self.policy.clock.clone(), self.moment.monotonic());
        Some(KeptLeases { clock, leases, ttl, began })
    }
}

/// The leases of a decision, with their tables and how long each lasts: the policy may have been
/// replaced long before they end, and is not kept for them. Dropping them gives nothing back.
pub(crate) struct KeptLeases {
    clock: PolicyClock,
    leases: SmallVec<[(Arc<Keeper>, Duration, LeaseId); 1]>,
    ttl: Duration,
    began: Nanos,
}

impl KeptLeases {
    /// The shortest time that one of them lasts.
    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// When they were given.
    pub(crate) fn began(&self) -> Nanos {
        self.began
    }

    pub(crate) fn now(&self) -> Nanos {
        Moment::by(&self.clock).monotonic()
    }

    /// Continues all of them. Whether all were live.
    pub(crate) fn renew(&self) -> bool {
        let moment = Moment::by(&self.clock);
        let mut live = true;
        for (keeper, ttl, lease) in &self.leases {
            live &= keeper.renew(*lease, *ttl, moment);
        }
        live
    }

    pub(crate) fn release(&self) {
        let moment = Moment::by(&self.clock);
        for (keeper, _, lease) in &self.leases {
            keeper.release(*lease, moment);
        }
    }
}
