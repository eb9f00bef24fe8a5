//! One limit: its algorithm over a table of its own.

use super::{
    OverrideError,
    attribute::{Attributes, DimensionId},
    file::{model::WhenFull, values::Amount},
    key::{KeyParts, Source},
    moment::{Moment, PolicyClock},
    quotas::{Chosen, Quotas},
    units,
    windows::Windows,
};
use crate::{
    algorithm::{Calendar, Gcra, SlidingCounter, SlidingLog},
    decision::{Apart, Decision},
    limiter::{Engine, LeaseId, LeaseLimiter, RoomError, Ruled, Store},
    table::{Hash, Weighed, rule::Ask},
    time::{Nanos, nanos_up},
};
use std::{sync::Arc, time::Duration};

/// How a limit counts.
///
/// ```
/// use tollgate::policy::{Algorithm, Policy};
///
/// let policy = Policy::from_toml(
///     "[[limit]]\nname = 'jobs'\nkey = []\nalgorithm = 'leases'\nquota = 3\nttl = '1 h'\n",
/// )?;
/// // What counts at a time is given back at the end of a request.
/// assert_eq!(policy.algorithm("jobs"), Some(Algorithm::Leases));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// use tollgate::policy::{Algorithm, Policy};
    ///
    /// let written = |algorithm: Algorithm| {
    ///     let name = algorithm.name();
    ///     format!("[[limit]]\nname = 'api'\nkey = []\nalgorithm = '{name}'\nquota = '9/min'\n")
    /// };
    /// let policy = Policy::from_toml(&written(Algorithm::SlidingCounter))?;
    /// assert_eq!(policy.algorithm("api"), Some(Algorithm::SlidingCounter));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    Calendar {
        store: Store<Calendar>,
        windows: Windows,
    },
    Leases(LeaseLimiter<PolicyClock>),
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
    /// The first limit that has the same key in every request; `None` where the key
    /// depends on the route by which the limit is asked.
    pub(super) same_key: Option<usize>,
    /// `capacity` and `when_full`, as the file has them.
    pub(super) room: (u64, WhenFull),
    pub(super) quotas: Quotas,
    pub(super) cost: Option<DimensionId>,
    pub(super) missing: Missing,
    pub(super) shadow: bool,
    /// Parts per million of the keys that are enforced.
    pub(super) share: u32,
    pub(super) charge_denied: bool,
    pub(super) status: Option<u16>,
    /// The number of its conditions.
    pub(super) conditions: usize,
    /// Its quotas as the file writes them: those that come at run time are not here.
    pub(super) written: Vec<([u64; 3], Box<str>)>,
}

impl Limit {
    /// Whether a key is among those that are enforced.
    pub(super) fn enforces(&self, attributes: &Attributes, source: &Source<'_, '_>) -> bool {
        self.share >= ALL || self.key.lot(attributes, source) < self.share
    }

    /// How long its leases last.
    pub(super) fn ttl(&self) -> Option<Duration> {
        self.quotas.ttl().map(|ticks| Duration::from_nanos(nanos_up(ticks)))
    }
}

/// The share of all keys, in parts per million.
pub(super) const ALL: u32 = 1_000_000;

impl Limit {
    /// The numbers of a quota as a file would say it, if there is room for it.
    pub(super) fn read_quota(&self, text: &str) -> Result<Chosen, OverrideError> {
        if text.trim() == "unlimited" {
            return Ok(Chosen::Unlimited);
        }
        let wrong = |message: String| OverrideError::Quota { message };
        let full = |message: String| OverrideError::Room { message };
        let no_room = |room: u64| full(format!("there is room for quotas up to {room}"));
        let rate = || units::quota(text).map_err(wrong);
        let unfit = |error: RoomError| full(unfit(&error));
        Ok(Chosen::Numbers(match &*self.keeper {
            Keeper::Gcra(store) => store.room().fit(&rate()?).map_err(unfit)?,
            Keeper::SlidingLog(store) => store.room().fit(&rate()?).map_err(unfit)?,
            Keeper::SlidingCounter(store) => store.room().fit(&rate()?).map_err(unfit)?,
            Keeper::Calendar { windows, .. } => {
                let (units, each) = units::calendar(text).map_err(wrong)?;
                let most = Calendar::max_units(windows.unit());
                if each != windows.unit() {
                    return Err(wrong(
                        "the limit counts by another unit of the calendar".to_owned(),
                    ));
                }
                if units > most {
                    return Err(no_room(most));
                }
                [units, 0, 0]
            }
            Keeper::Leases(limiter) => {
                let n = units::count(text).map_err(wrong)?;
                let [leases, ttl, _] = limiter.numbers_of(n).map_err(unfit)?;
                [leases, self.quotas.ttl().unwrap_or(ttl), 0]
            }
            Keeper::Size => match self.algorithm {
                Algorithm::Size => [units::amount_in(text, &self.unit).map_err(wrong)?, 0, 0],
                // All its quotas are unlimited, so there is no table.
                _ => return Err(no_room(0)),
            },
        }))
    }
}

/// Why there is no room for a quota, without what is said to who builds a limiter.
fn unfit(error: &RoomError) -> String {
    let said = error.to_string();
    said.split_once(';').map_or(said.as_str(), |(why, _)| why).to_owned()
}

impl Keeper {
    /// Whether a quota of a new file fits in the table that there is; if not, why.
    pub(super) fn has_room(&self, amount: Amount) -> Result<(), String> {
        let said = |error: RoomError| unfit(&error);
        match (self, amount) {
            (Self::Gcra(store), Amount::Rate(quota)) => {
                store.room().fit(&quota).map(|_| ()).map_err(said)
            }
            (Self::SlidingLog(store), Amount::Rate(quota)) => {
                store.room().fit(&quota).map(|_| ()).map_err(said)
            }
            (Self::SlidingCounter(store), Amount::Rate(quota)) => {
                store.room().fit(&quota).map(|_| ()).map_err(said)
            }
            (Self::Leases(limiter), Amount::Count(n)) => {
                limiter.numbers_of(n).map(|_| ()).map_err(said)
            }
            (Self::Calendar { windows, .. }, Amount::Calendar(_, unit))
                if unit != windows.unit() =>
            {
                Err("it counts by another unit of the calendar".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl Algorithm {
    /// The time in which all units of a quota come back, where it is always the same.
    pub(super) fn window(self, [_, second, third]: [u64; 3]) -> Option<Duration> {
        let ticks = match self {
            Self::Gcra => third,
            Self::SlidingLog | Self::SlidingCounter => second,
            Self::Calendar | Self::Leases | Self::Size => return None,
        };
        Some(Duration::from_nanos(nanos_up(ticks)))
    }
}

impl Keeper {
    /// Asks for `n` units of a key, by a quota's numbers. Leases are only looked at.
    #[inline]
    pub(super) fn ask(
        &self,
        ask: Ask,
        hash: Hash,
        numbers: [u64; 3],
        n: u64,
        moment: Moment,
    ) -> Decision {
        let now = moment.monotonic();
        match self {
            Self::Gcra(store) => in_store(store, ask, hash, numbers, n, now),
            Self::SlidingLog(store) => in_store(store, ask, hash, numbers, n, now),
            Self::SlidingCounter(store) => in_store(store, ask, hash, numbers, n, now),
            Self::Leases(limiter) => limiter.ask_by(Ask::Look, hash, numbers, n, now).0,
            Self::Calendar { store, windows } => {
                on_calendar(store, windows, ask, hash, numbers, n, moment.wall())
            }
            Self::Size => {
                let [largest, ..] = numbers;
                let retry = if n <= largest { 0 } else { Decision::NEVER };
                Decision::from_count(largest, largest, 0, 0, retry)
            }
        }
    }

    /// Charges `n` units; of leases, takes one.
    #[inline]
    pub(super) fn charge(
        &self,
        hash: Hash,
        numbers: [u64; 3],
        n: u64,
        moment: Moment,
        decision: &mut Decision,
    ) -> Option<LeaseId> {
        let now = moment.monotonic();
        // What is asked is known here, which makes the way of a hit much shorter.
        *decision = match self {
            Self::Gcra(store) => in_store(store, Ask::Charge, hash, numbers, n, now),
            Self::SlidingLog(store) => in_store(store, Ask::Charge, hash, numbers, n, now),
            Self::SlidingCounter(store) => in_store(store, Ask::Charge, hash, numbers, n, now),
            Self::Leases(limiter) => {
                let (said, lease) = limiter.ask_by(Ask::Charge, hash, numbers, n, now);
                *decision = said;
                return lease;
            }
            Self::Calendar { .. } | Self::Size => self.ask(Ask::Charge, hash, numbers, n, moment),
        };
        None
    }

    /// Weighs a charge of `n` units: what would be decided, and the charge that
    /// [`make`](Self::make) makes, if that is known at a glance.
    #[inline]
    pub(super) fn weigh(
        &self,
        hash: Hash,
        numbers: [u64; 3],
        n: u64,
        moment: Moment,
        decision: &mut Decision,
    ) -> Option<Weighed> {
        let now = moment.monotonic();
        let mut weighed = None;
        let known = match self {
            Self::Gcra(store) => weigh_in(store, hash, numbers, n, now, (decision, &mut weighed)),
            Self::SlidingLog(store) => {
                weigh_in(store, hash, numbers, n, now, (decision, &mut weighed))
            }
            Self::SlidingCounter(store) => {
                weigh_in(store, hash, numbers, n, now, (decision, &mut weighed))
            }
            Self::Calendar { .. } | Self::Leases(_) | Self::Size => false,
        };
        if !known {
            *decision = self.ask(Ask::Look, hash, numbers, n, moment);
        }
        weighed
    }

    /// Makes the charge that was weighed for the same request: whether it was made, and
    /// the decision stands.
    #[inline]
    pub(super) fn make(&self, weighed: Weighed, numbers: [u64; 3], n: u64, moment: Moment) -> bool {
        let now = moment.monotonic();
        match self {
            Self::Gcra(store) => make_in(store, weighed, numbers, n, now),
            Self::SlidingLog(store) => make_in(store, weighed, numbers, n, now),
            Self::SlidingCounter(store) => make_in(store, weighed, numbers, n, now),
            Self::Calendar { .. } | Self::Leases(_) | Self::Size => false,
        }
    }

    pub(super) fn release(&self, lease: LeaseId, moment: Moment) -> bool {
        match self {
            Self::Leases(limiter) => limiter.release_at(lease, moment.monotonic()),
            _ => false,
        }
    }

    /// Continues a lease by a quota's numbers.
    pub(super) fn renew(&self, lease: LeaseId, ttl: Duration, moment: Moment) -> bool {
        match self {
            Self::Leases(limiter) => {
                limiter.renew_at(lease, ttl, moment.monotonic()).unwrap_or(false)
            }
            _ => false,
        }
    }

    /// Forgets what a key was charged, and ends its leases.
    pub(super) fn forget(&self, hash: Hash, moment: Moment) {
        match self {
            Self::Leases(limiter) => {
                limiter.end_all(hash, moment.monotonic());
            }
            // No quota is asked about it.
            _ => {
                let _ = self.ask(Ask::Forget, hash, self.numbers(), 1, moment);
            }
        }
    }

    /// The numbers that the table was made for.
    fn numbers(&self) -> [u64; 3] {
        match self {
            Self::Gcra(store) => store.room().numbers(),
            Self::SlidingLog(store) => store.room().numbers(),
            Self::SlidingCounter(store) => store.room().numbers(),
            Self::Calendar { store, .. } => store.room().numbers(),
            Self::Leases(_) | Self::Size => [0; 3],
        }
    }

    /// Whether there are units that could be given back.
    pub(super) fn counts_units(&self) -> bool {
        !matches!(self, Self::Leases(_) | Self::Size)
    }

    /// The time of a charge as its table counts it.
    pub(super) fn ticks(&self, at: Nanos) -> u64 {
        match self {
            Self::Gcra(store) => store.ticks(at),
            Self::SlidingLog(store) => store.ticks(at),
            Self::SlidingCounter(store) => store.ticks(at),
            Self::Calendar { store, .. } => store.ticks(at),
            Self::Leases(_) | Self::Size => 0,
        }
    }

    /// The largest debt that a key may be brought into.
    pub(super) fn largest_debt(&self) -> u64 {
        match self {
            Self::Gcra(store) => store.room().largest_debt(),
            _ => 0,
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
            Self::Leases(limiter) => limiter.prefetch(hash),
            Self::Size => {}
        }
    }
}

#[inline(always)]
fn in_store<R: Ruled>(
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

/// Whether it is known at a glance, and then what: written where it is to stay.
#[inline(always)]
fn weigh_in<R: Ruled>(
    store: &Store<R>,
    hash: Hash,
    numbers: [u64; 3],
    n: u64,
    now: Nanos,
    (decision, weighed): (&mut Decision, &mut Option<Weighed>),
) -> bool {
    let rule = store.room().with_numbers(numbers);
    let Some((said, charge)) = store.weigh(&rule, store.look_up(hash), n, now) else {
        return false;
    };
    *decision = Apart(said).unpack();
    *weighed = charge;
    true
}

#[inline]
fn make_in<R: Ruled>(
    store: &Store<R>,
    weighed: Weighed,
    numbers: [u64; 3],
    n: u64,
    now: Nanos,
) -> bool {
    store.make(&store.room().with_numbers(numbers), weighed, n, now)
}

/// Asks by the window of now. A new key whose slot somebody took from another one in a
/// later window than ours is denied although it has enough left, which nobody else
/// is: by the time of that window, which has begun, it is asked again.
fn on_calendar(
    store: &Store<Calendar>,
    windows: &Windows,
    ask: Ask,
    hash: Hash,
    [units, ..]: [u64; 3],
    n: u64,
    wall: Nanos,
) -> Decision {
    let mut now = wall;
    let mut tries = 0;
    loop {
        let (start, end) = windows.containing(now.as_u64());
        let numbers = [units, store.ticks(Nanos::new(start)), store.ticks(Nanos::new(end))];
        let decision = in_store(store, ask, hash, numbers, n, now);
        tries += 1;
        match decision.retry_after() {
            Some(wait) if decision.remaining() >= n && tries < 4 => now = now.after(wait),
            _ => return decision,
        }
    }
}
