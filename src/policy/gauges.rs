//! How full the tables of a policy's limits are.

use super::{
    Policy,
    limit::{Keeper, Limit},
    moment::Moment,
};
use crate::limiter::{Gauges, Ruled, Store};

/// How full the table of one limit is: [`Policy::gauges`].
///
/// ```
/// use tollgate::policy::Policy;
///
/// let policy = Policy::from_toml(
///     "[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n\
///      [[limit]]\nname = 'size'\nalgorithm = 'size'\nquota = '1 MB'\ncost = 'bytes'\n",
/// )?;
/// for name in policy.limits() {
///     match policy.gauges(name) {
///         Some(gauges) => println!("{name}: {:.0} %", 100.0 * gauges.table().occupancy()),
///         None => println!("{name} keeps nothing"),
///     }
/// }
/// assert!(policy.gauges("api").is_some() && policy.gauges("size").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LimitGauges {
    table: Gauges,
    capacity: u64,
    memory: usize,
}

impl LimitGauges {
    /// The same as of a limiter with keys: how many are live, and how many requests found no
    /// place.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n")?;
    /// let live = || policy.gauges("api").map(|gauges| gauges.table().live_keys());
    /// assert_eq!(live(), Some(0));
    /// let _ = policy.check(&policy.request("GET", "/"));
    /// assert_eq!(live(), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn table(&self) -> Gauges {
        self.table
    }

    /// How many live keys the limit is made for.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n\
    ///      [[limit]]\nname = 'all of them'\nkey = []\nquota = '5/min'\n\
    ///      [[limit]]\nname = 'each'\nkey = ['user']\nquota = '5/min'\n",
    /// )?;
    /// let capacity = |limit| policy.gauges(limit).map(|gauges| gauges.capacity());
    /// assert_eq!((capacity("all of them"), capacity("each")), (Some(1), Some(10_000)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes of its table, all of them taken when it was made.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n\
    ///      [[limit]]\nname = 'log'\nkey = ['user']\nquota = '1000/h'\n\
    ///      [[limit]]\nname = 'counter'\nkey = ['user']\nquota = '1000/h'\n\
    ///      algorithm = 'sliding-counter'\n",
    /// )?;
    /// let memory = |limit| policy.gauges(limit).map(|gauges| gauges.memory());
    /// // A log has room for a stamp of each unit.
    /// assert!(memory("log") > memory("counter").map(|bytes| 10 * bytes));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory(&self) -> usize {
        self.memory
    }
}

impl Policy {
    /// Bytes of all its tables, of limits and of penalties, taken when it was made. The
    /// rest of a policy is small beside them.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n\
    ///      [[limit]]\nname = 'log'\nkey = ['user']\nquota = '100/h'\n\
    ///      [[limit]]\nname = 'once'\nkey = []\nquota = '1000/h'\n",
    /// )?;
    /// let of = |limit| policy.gauges(limit).map_or(0, |gauges| gauges.memory());
    /// assert_eq!(policy.memory(), of("log") + of("once"));
    /// // For each of 10,000 keys 35 bytes, and 11.3 for each unit.
    /// assert_eq!(of("log") / 10_000, 1165);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory(&self) -> usize {
        let limits = self.limits.iter().map(|limit| limit.keeper.memory());
        let penalties = self
            .penalties
            .iter()
            .map(|penalty| penalty.denials.table().layout().bytes() + penalty.blocks.memory());
        limits.chain(penalties).sum()
    }

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
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n")?;
    /// let start = policy.now();
    /// let _ = policy.check_at(&policy.request("GET", "/"), start);
    /// let live_after = |secs| {
    ///     let gauges = policy.gauges_at("api", start.after(Duration::from_secs(secs)));
    ///     gauges.map(|gauges| gauges.table().live_keys())
    /// };
    /// // Who owes nothing any more needs no place.
    /// assert_eq!((live_after(59), live_after(61)), (Some(1), Some(0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gauges_at(&self, limit: &str, moment: Moment) -> Option<LimitGauges> {
        let limit: &Limit = self.find(limit)?;
        let table = limit.keeper.gauges(moment)?;
        Some(LimitGauges { table, capacity: limit.room.0, memory: limit.keeper.memory() })
    }
}

impl Keeper {
    fn gauges(&self, moment: Moment) -> Option<Gauges> {
        let now = moment.monotonic();
        match self {
            Self::Gcra(store) => Some(store.gauges_at(now)),
            Self::SlidingLog(store) => Some(store.gauges_at(now)),
            Self::SlidingCounter(store) => Some(store.gauges_at(now)),
            Self::Calendar { store, .. } => Some(store.gauges_at(moment.wall())),
            Self::Leases(limiter) => Some(limiter.gauges_at(now)),
            Self::Size => None,
        }
    }

    fn memory(&self) -> usize {
        fn of<R: Ruled>(store: &Store<R>) -> usize {
            store.table().layout().bytes()
        }
        match self {
            Self::Gcra(store) => of(store),
            Self::SlidingLog(store) => of(store),
            Self::SlidingCounter(store) => of(store),
            Self::Calendar { store, .. } => of(store),
            Self::Leases(limiter) => limiter.memory(),
            Self::Size => 0,
        }
    }
}
