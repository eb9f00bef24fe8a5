//! How full the tables of a policy's limits are.

use super::{
    Policy,
    limit::{Keeper, Limit},
    moment::Moment,
};
use crate::{
    limiter::{Gauges, Ruled, Store},
    time::Nanos,
};

/// How full the table of one limit is: [`Policy::gauges`].
#[derive(Clone, Copy, Debug)]
pub struct LimitGauges {
    table: Gauges,
    capacity: u64,
    memory: usize,
}

impl LimitGauges {
    /// The same as of a limiter with keys: how many are live, and how many requests found no
    /// place.
    pub fn table(&self) -> Gauges {
        self.table
    }

    /// How many live keys the limit is made for.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes of its table, all of them taken when it was made.
    pub fn memory(&self) -> usize {
        self.memory
    }
}

impl Policy {
    /// How full the table of the limit of that name is now; `None` if there is none, or it
    /// keeps nothing (a size, or quotas that are all unlimited). Looks at some thousand slots:
    /// microseconds, so not for every request.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n[[limit]]\nname = 'each'\nkey = ['user']\nquota = '5/min'\n",
    /// )?;
    /// for user in ["ada", "bob", "ada"] {
    ///     assert!(policy.check(&policy.request("GET", "/").attribute("user", user)).is_allowed());
    /// }
    /// let gauges = policy.gauges("each").unwrap();
    /// assert_eq!((gauges.table().live_keys(), gauges.table().saturated()), (2, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gauges(&self, limit: &str) -> Option<LimitGauges> {
        self.gauges_at(limit, self.now())
    }

    /// As [`gauges`](Self::gauges), at `moment`.
    pub fn gauges_at(&self, limit: &str, moment: Moment) -> Option<LimitGauges> {
        let limit: &Limit = self.find(limit)?;
        let (table, memory) = limit.keeper.gauges(moment)?;
        Some(LimitGauges { table, capacity: limit.room.0, memory })
    }
}

impl Keeper {
    fn gauges(&self, moment: Moment) -> Option<(Gauges, usize)> {
        fn of<R: Ruled>(store: &Store<R>, now: Nanos) -> (Gauges, usize) {
            (store.gauges_at(now), store.table().layout().bytes())
        }
        let now = moment.monotonic();
        match self {
            Self::Gcra(store) => Some(of(store, now)),
            Self::SlidingLog(store) => Some(of(store, now)),
            Self::SlidingCounter(store) => Some(of(store, now)),
            Self::Calendar { store, .. } => Some(of(store, moment.wall())),
            Self::Leases(limiter) => Some((limiter.gauges_at(now), limiter.memory())),
            Self::Size => None,
        }
    }
}
