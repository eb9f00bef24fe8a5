//! One limit: its algorithm over a table of its own.

use super::{
    attribute::DimensionId,
    key::KeyParts,
    moment::Moment,
    quotas::Quotas,
    windows::Windows,
};
use crate::{
    algorithm::{Calendar, Gcra, Lease, SlidingCounter, SlidingLog},
    decision::Decision,
    limiter::Store,
    table::{Hash, rule::Ask},
    time::Nanos,
};
use std::{sync::Arc, time::Duration};

/// How a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Smooth traffic with a burst: [`Gcra`].
    Gcra,
    /// Exact in every window: [`SlidingLog`].
    SlidingLog,
    /// Two counts instead of stamps, for large limits: [`SlidingCounter`].
    SlidingCounter,
    /// So many per minute, hour, day, week, month or year of the calendar.
    Calendar,
    /// So many at a time.
    Leases,
    /// So large at most.
    Size,
}

impl Algorithm {
    /// As policy files call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gcra => "gcra",
            Self::SlidingLog => "sliding-log",
            Self::SlidingCounter => "sliding-counter",
            Self::Calendar => "calendar",
            Self::Leases => "leases",
            Self::Size => "size",
        }
    }
}

/// What keeps a limit's states.
pub(super) enum Keeper {
    Gcra(Store<Gcra>),
    SlidingLog(Store<SlidingLog>),
    SlidingCounter(Store<SlidingCounter>),
    Calendar { store: Store<Calendar>, windows: Windows },
    Leases(Store<Lease>),
    /// Nothing: each request for itself.
    Size,
}

/// What happens where an attribute is missing that a limit needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Skip,
    Deny,
    /// Another limit of the policy applies instead.
    Other(usize),
}

/// One limit, compiled.
pub(super) struct Limit {
    pub(super) name: Box<str>,
    pub(super) unit: Box<str>,
    pub(super) algorithm: Algorithm,
    pub(super) keeper: Arc<Keeper>,
    pub(super) key: KeyParts,
    pub(super) quotas: Quotas,
    pub(super) cost: Option<DimensionId>,
    pub(super) missing: Missing,
    pub(super) shadow: bool,
    /// Parts per million of the keys that are enforced.
    pub(super) share: u32,
    pub(super) charge_denied: bool,
    /// The window or period of the first quota, for headers.
    pub(super) window: Option<Duration>,
    pub(super) status: Option<u16>,
    /// How long a lease lasts.
    pub(super) ttl: Option<Duration>,
}

impl Keeper {
    /// Asks for `n` units of a key, by a quota's numbers.
    #[inline]
    pub(super) fn ask(
        &self,
        ask: Ask,
        hash: Hash,
        numbers: [u64; 3],
        n: u64,
        moment: Moment,
    ) -> Decision {
        match self {
            Self::Gcra(store) => in_store(store, ask, hash, numbers, n, moment.monotonic()),
            Self::SlidingLog(store) => in_store(store, ask, hash, numbers, n, moment.monotonic()),
            Self::SlidingCounter(store) => {
                in_store(store, ask, hash, numbers, n, moment.monotonic())
            }
            Self::Leases(store) => in_store(store, ask, hash, numbers, n, moment.monotonic()),
            Self::Calendar { store, windows } => {
                let [units, ..] = numbers;
                let (start, end) = windows.containing(moment.wall());
                let numbers = [units, store.ticks(start), store.ticks(end)];
                in_store(store, ask, hash, numbers, n, moment.wall())
            }
            Self::Size => {
                let [largest, ..] = numbers;
                let retry = if n <= largest { 0 } else { Decision::NEVER };
                Decision::from_count(largest, largest, 0, 0, retry)
            }
        }
    }

    /// Has a key's slot fetched from memory.
    #[inline]
    pub(super) fn prefetch(&self, hash: Hash) {
        match self {
            Self::Gcra(store) => store.prefetch(hash),
            Self::SlidingLog(store) => store.prefetch(hash),
            Self::SlidingCounter(store) => store.prefetch(hash),
            Self::Calendar { store, .. } => store.prefetch(hash),
            Self::Leases(store) => store.prefetch(hash),
            Self::Size => {}
        }
    }
}

#[inline]
fn in_store<R: crate::limiter::Ruled>(
    store: &Store<R>,
    ask: Ask,
    hash: Hash,
    numbers: [u64; 3],
    n: u64,
    now: Nanos,
) -> Decision {
    let rule = store.room().with_numbers(numbers);
    let request = store.request(n, now).asking(ask);
    store.ask(&rule, store.look_up(hash), request, now, &|| now)
}
