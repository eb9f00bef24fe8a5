//! [`LeaseLimiter`]: so many at a time, on each of many keys.

mod builder;
mod held;
mod id;
mod key;
pub(crate) mod protocol;

pub use builder::LeaseBuilder;
pub use held::Lease;
pub use id::LeaseId;
pub use key::LeaseKey;

use super::{Gauges, OnSaturation, RoomError, hash::KeyHasher};
use crate::{
    algorithm::Leases,
    decision::Decision,
    table::{Hash, Refused, Table, geometry::Wide, rule::Request, storage::Memory},
    time::{Clock, MonotonicClock, Nanos, nanos_up, ticks, ticks_of},
};
use std::{fmt, sync::Arc, time::Duration};

/// At most N at a time, on each of many keys: uploads, jobs, connections.
///
/// What is had is a [`Lease`]: given back when it is dropped, and over by itself after
/// its time if whoever has it dies. Longer work [renews](Lease::renew) it.
///
/// ```
/// use std::time::Duration;
/// use tollgate::LeaseLimiter;
///
/// // Two uploads at a time; of one that died, nobody hears for 30 seconds.
/// let uploads = LeaseLimiter::at_most(2, Duration::from_secs(30)).try_build()?;
///
/// let first = uploads.acquire("alice").expect("nobody is there yet");
/// let second = uploads.acquire("alice").expect("one is left");
/// let denied = uploads.acquire("alice").unwrap_err();
/// assert_eq!((denied.limit(), denied.remaining()), (2, 0));
/// assert!(denied.retry_after().unwrap() <= Duration::from_millis(30_001));
///
/// drop(first);
/// assert!(uploads.acquire("alice").is_ok());
/// assert!(uploads.acquire("bob").is_ok());
/// # drop(second);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Where the work outlives the function, keep the lease's [id](Lease::detach), which
/// any thread can renew and release; or [`acquire_owned`](Self::acquire_owned).
///
/// ```
/// # use std::time::Duration;
/// # use tollgate::{LeaseId, LeaseLimiter};
/// # let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30)).try_build()?;
/// let bytes = jobs.acquire("alice").expect("nobody is there yet").detach().to_bytes();
/// // ... later, elsewhere
/// let id = LeaseId::from_bytes(bytes);
/// assert!(jobs.renew(id)); // 30 seconds from now
/// assert!(jobs.release(id));
/// assert!(!jobs.release(id)); // over already: no harm done
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is exact
///
/// Never more than N live leases of a key, under any interleaving. A lease lasts for
/// its time, rounded up to the next millisecond since the limiter's epoch, by the
/// clock of whoever looks; whoever holds one for longer than that without renewing it
/// works beside the limit.
///
/// The numbers of a [`Decision`]: the limit N, how many more could be had, when the
/// first live lease ends at the latest ([`reset_after`](Decision::reset_after)) and when
/// the last does ([`full_after`](Decision::full_after)). They are of one moment, and
/// exact where nobody else is at the key just then. A denial's
/// [`retry_after`](Decision::retry_after) is the earliest end there can be if nobody
/// gives a lease back before, and then enough.
///
/// # Cost
///
/// To have a lease: a clock reading, a hash, twice a look at the key's N entries, and
/// three compare-and-swaps; a denial looks once and writes nothing. To give it back:
/// a clock reading and a compare-and-swap, and once it is the last, a look at the
/// entries and another one. No lock is taken, nothing is allocated.
///
/// # Memory
///
/// 24 bytes per key of capacity, and about 1.4 times eight bytes for each of its
/// leases. A key takes a slot while it has live leases, and about a second longer at most.
/// Only leases that end by themselves, without a release, hold it until then.
///
/// # Range and collisions
///
/// As [`Limiter`](crate::Limiter#range) and [`KeyedLimiter`](crate::KeyedLimiter#collisions).
pub struct LeaseLimiter<C = MonotonicClock> {
    table: Table<Leases, Memory, Wide>,
    hasher: KeyHasher,
    clock: C,
    epoch: Nanos,
    last: u64,
    on_saturation: OnSaturation,
    capacity: usize,
}

impl LeaseLimiter {
    /// Starts building a limiter that allows `leases` at a time, each for `ttl` unless
    /// it is renewed.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let lost = jobs.acquire_at("alice", Nanos::ZERO).map(|lease| lease.detach());
    /// assert!(lost.is_ok());
    /// // Whoever had it died. Thirty seconds later it is free all the same.
    /// assert!(jobs.acquire_at("alice", Nanos::from_secs(29)).is_err());
    /// assert!(jobs.acquire_at("alice", Nanos::from_secs(30)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn at_most(leases: u64, ttl: Duration) -> LeaseBuilder {
        LeaseBuilder::new(leases, ttl)
    }
}

impl<C: Clock> LeaseLimiter<C> {
    /// Asks for a lease of `key` now.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// match (jobs.acquire("alice"), jobs.acquire("alice")) {
    ///     (Ok(lease), Err(denied)) => {
    ///         assert_eq!(lease.decision().remaining(), 0);
    ///         assert_eq!(denied.retry_after_secs(), Some(30)); // at the latest
    ///     }
    ///     _ => unreachable!("one of two gets it"),
    /// }
    /// assert!(jobs.acquire("alice").is_ok()); // the first was dropped above
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The denial.
    pub fn acquire<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> Result<Lease<'_, C>, Decision> {
        self.key(key).acquire()
    }

    /// Asks for a lease of `key` at `now`, a reading of this limiter's clock.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let held = [10, 25].map(|secs| jobs.acquire_at("alice", Nanos::from_secs(secs)));
    /// assert!(held.iter().all(Result::is_ok));
    /// let denied = jobs.acquire_at("alice", Nanos::from_secs(26)).err();
    /// // The first ends at 40.
    /// assert_eq!(denied.and_then(|denied| denied.retry_after_secs()), Some(14));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The denial.
    pub fn acquire_at<K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &K,
        now: Nanos,
    ) -> Result<Lease<'_, C>, Decision> {
        self.key(key).acquire_at(now)
    }

    /// Asks for a lease that keeps the limiter alive, to be moved into a task.
    ///
    /// ```
    /// use std::{sync::Arc, thread, time::Duration};
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let jobs = Arc::new(jobs);
    /// let lease = jobs.acquire_owned("alice").map_err(|denied| denied.to_string())?;
    /// // It goes with the work, and is given back where that ends.
    /// let worker = thread::spawn(move || lease.id());
    /// # let id = worker.join().map_err(|_| "a thread")?;
    /// # assert!(!jobs.release(id));
    /// assert_eq!(jobs.peek("alice").remaining(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The denial.
    pub fn acquire_owned<K: AsRef<[u8]> + ?Sized>(
        self: &Arc<Self>,
        key: &K,
    ) -> Result<Lease<'static, C>, Decision> {
        let (decision, id) = self.key(key).ask(1, self.clock.now())?;
        Ok(Lease::owned(Arc::clone(self), id, decision))
    }

    /// How many leases of `key` are left now, and when they end. Writes nothing, and is
    /// always *allowed*, also with nothing [`remaining`](Decision::remaining).
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(3, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let lease = jobs.acquire("alice");
    /// assert_eq!(jobs.peek("alice").remaining(), 2);
    /// assert_eq!(jobs.peek("alice").full_after(), Duration::from_secs(30)); // if not before
    /// drop(lease);
    /// assert_eq!(jobs.peek("alice").remaining(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> Decision {
        self.key(key).peek()
    }

    /// As [`peek`](Self::peek), at `now`.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let held = [0, 20].map(|secs| jobs.acquire_at("alice", Nanos::from_secs(secs)));
    /// let left = [20, 30, 50].map(|s| jobs.peek_at("alice", Nanos::from_secs(s)).remaining());
    /// assert_eq!(left, [0, 1, 2]);
    /// # drop(held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek_at<K: AsRef<[u8]> + ?Sized>(&self, key: &K, now: Nanos) -> Decision {
        self.key(key).peek_at(now)
    }

    /// One key, for everything else that can be asked of it: another number of
    /// leases, another time, all of its leases.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .room_for(2, Duration::from_secs(3600))
    ///     .try_build()?;
    /// // One job in two is known to take longer.
    /// let long = jobs.key("alice").ttl(Duration::from_secs(3600))?.acquire();
    /// assert_eq!(long.map(|lease| lease.decision().full_after().as_secs()), Ok(3600));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> LeaseKey<'_, C> {
        LeaseKey::new(self, self.hasher.bytes(key.as_ref()))
    }

    /// One key that the caller hashed: see
    /// [`check_hash`](crate::KeyedLimiter::check_hash).
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let user = jobs.hashed(7); // the number that the database has for them
    /// let held = (user.acquire(), user.acquire());
    /// assert!(held.1.is_ok() && user.acquire().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hashed(&self, hash: u64) -> LeaseKey<'_, C> {
        LeaseKey::new(self, self.hasher.hash(hash))
    }

    /// Gives a lease back. Whether it was live until then: `false` if it was released
    /// already, is over, or never was, and nothing happens.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let id = jobs.acquire("alice").map_err(|denied| denied.to_string())?.detach();
    /// jobs.clock().advance(Duration::from_secs(31));
    /// let next = jobs.acquire("alice");
    /// // Too late: it was over, another has it now, and keeps it.
    /// assert!(!jobs.release(id));
    /// assert_eq!(jobs.peek("alice").remaining(), 0);
    /// # drop(next);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(&self, id: LeaseId) -> bool {
        self.release_at(id, self.clock.now())
    }

    /// As [`release`](Self::release), at `now`.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let alice = jobs.key("alice");
    /// let ids = [(); 2].map(|()| alice.acquire_at(Nanos::ZERO).map(|lease| lease.detach()));
    /// let [first, second] = ids.map(|id| id.expect("there are two"));
    /// assert!(jobs.release_at(first, Nanos::from_secs(29)));
    /// assert!(!jobs.release_at(second, Nanos::from_secs(30))); // over by itself
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release_at(&self, id: LeaseId, now: Nanos) -> bool {
        id.is_accounted() && protocol::release(&self.table, id, self.ticks(now))
    }

    /// Continues a lease: it ends the limiter's time from now, or when it would have
    /// ended if that is later. Whether it was live. If not, nothing happens, others may
    /// have it since, and who goes on works beside the limit.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let id = jobs.acquire("alice").map_err(|denied| denied.to_string())?.detach();
    /// jobs.clock().advance(Duration::from_secs(20));
    /// assert!(jobs.renew(id)); // until 50
    /// jobs.clock().advance(Duration::from_secs(29));
    /// assert!(jobs.acquire("alice").is_err());
    /// jobs.clock().advance(Duration::from_secs(1));
    /// assert!(!jobs.renew(id)); // too late: stop the work
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "a lease that is over cannot be renewed"]
    pub fn renew(&self, id: LeaseId) -> bool {
        self.renew_by(self.table.rule(), id, self.clock.now())
    }

    /// As [`renew`](Self::renew), for `ttl` from `now` on.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let (short, long) = (Duration::from_secs(30), Duration::from_secs(300));
    /// let jobs = LeaseLimiter::at_most(1, short)
    ///     .clock(ManualClock::new())
    ///     .room_for(1, long)
    ///     .try_build()?;
    /// let id = jobs.acquire("alice").map_err(|denied| denied.to_string())?.detach();
    /// let now = Nanos::from_secs(10);
    /// assert!(jobs.renew_at(id, long, now)?);
    /// assert!(jobs.renew_at(id, short, now)?); // a lease is never made shorter
    /// assert_eq!(jobs.peek_at("alice", now).full_after(), long);
    /// assert!(jobs.renew_at(id, 2 * long, now).is_err()); // there is no room
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A time for which the limiter was not given [room](crate::LeaseBuilder::room_for); the
    /// lease is then as before.
    pub fn renew_at(&self, id: LeaseId, ttl: Duration, now: Nanos) -> Result<bool, RoomError> {
        let rule = self.fit(self.table.rule().limit(), ttl)?;
        Ok(self.renew_by(&rule, id, now))
    }

    fn renew_by(&self, rule: &Leases, id: LeaseId, now: Nanos) -> bool {
        !id.is_accounted() || protocol::renew(&self.table, rule, id, self.ticks(now))
    }

    fn ticks(&self, now: Nanos) -> u64 {
        ticks(now, self.epoch, self.last)
    }

    /// Asks for a lease by a quota's numbers, or only looks how that would end: for
    /// policies, which hash their own keys.
    #[cfg(feature = "policy")]
    pub(crate) fn ask_by(
        &self,
        ask: crate::table::rule::Ask,
        hash: Hash,
        numbers: [u64; 3],
        n: u64,
        now: Nanos,
    ) -> (Decision, Option<LeaseId>) {
        let rule = self.table.rule().with_numbers(numbers);
        let request = Request::new(self.ticks(now), n).asking(ask);
        let (decision, id) = protocol::acquire(&self.table, &rule, hash, &request)
            .unwrap_or_else(|refused| self.refused(&rule, hash, request, refused));
        (decision.to(0, now), id)
    }

    /// The numbers of so many leases at a time, of the limiter's time.
    #[cfg(feature = "policy")]
    pub(crate) fn numbers_of(&self, leases: u64) -> Result<[u64; 3], RoomError> {
        let [_, ttl, _] = self.table.rule().numbers();
        let (entries, _) = self.table.rule().room();
        if leases > entries {
            return Err(RoomError::Leases { leases, room: entries });
        }
        Ok([leases, ttl, 0])
    }

    /// The longest time that a quota may have here.
    #[cfg(feature = "policy")]
    pub(crate) fn longest_ttl(&self) -> Duration {
        Duration::from_nanos(nanos_up(self.table.rule().room().1))
    }

    /// Ends all leases of a key.
    #[cfg(feature = "policy")]
    pub(crate) fn end_all(&self, hash: Hash, now: Nanos) -> u64 {
        protocol::release_all(&self.table, hash, self.ticks(now))
    }

    /// Asks for the memory of a key's slot.
    #[cfg(feature = "policy")]
    pub(crate) fn prefetch(&self, hash: Hash) {
        self.table.spot(hash).prefetch();
    }

    /// The rule for another quota.
    fn fit(&self, leases: u64, ttl: Duration) -> Result<Leases, RoomError> {
        let rule = self.table.rule();
        let (entries, longest) = rule.room();
        if leases > entries {
            return Err(RoomError::Leases { leases, room: entries });
        }
        match ticks_of(ttl) {
            ticks if 0 < ticks && ticks <= longest => Ok(rule.with_numbers([leases, ticks, 0])),
            _ => {
                let room = Duration::from_nanos(nanos_up(longest));
                Err(RoomError::LeaseTime { ttl, room })
            }
        }
    }

    #[cold]
    fn refused(
        &self,
        rule: &Leases,
        hash: Hash,
        request: Request,
        refused: Refused,
    ) -> (Decision, Option<LeaseId>) {
        let mut refused = refused;
        if refused == Refused::Fault {
            // Is the state far ahead, or the caller's `now` far behind?
            let request = request.repairing(self.ticks(self.clock.now()));
            match protocol::acquire(&self.table, rule, hash, &request) {
                Ok(answer) => return answer,
                Err(again) => refused = again,
            }
        }
        let (retry, id) = match (self.on_saturation, refused) {
            (OnSaturation::Allow, _) => (0, Some(LeaseId::UNACCOUNTED)),
            (OnSaturation::Deny, Refused::Saturated { soonest }) => {
                (soonest.clamp(1, Decision::NEVER - 1), None)
            }
            (OnSaturation::Deny, Refused::Fault) => (1, None),
        };
        (Decision::saturated(rule.limit(), retry), id)
    }

    /// How full the table is, now: see [`KeyedLimiter::gauges`](crate::KeyedLimiter::gauges).
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .capacity(1000)
    ///     .try_build()?;
    /// let held: Vec<_> = (0..200).map(|n| jobs.hashed(n / 2).acquire()).collect();
    /// assert_eq!(jobs.gauges().live_keys(), 100); // two leases each
    /// # drop(held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gauges(&self) -> Gauges {
        self.gauges_at(self.clock.now())
    }

    /// As [`gauges`](Self::gauges), at `now`.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let lost = jobs.acquire_at("alice", Nanos::ZERO).map(|lease| lease.detach());
    /// // Nobody gave it back, so the key has its slot until it is over, and a second more.
    /// let live = [0, 29, 32].map(|secs| jobs.gauges_at(Nanos::from_secs(secs)).live_keys());
    /// assert_eq!(live, [1, 1, 0]);
    /// # drop(lost);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gauges_at(&self, now: Nanos) -> Gauges {
        Gauges { sample: self.table.sample(self.ticks(now)), saturated: self.saturated() }
    }

    /// How many requests of new keys found no slot since the limiter was built.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, OnSaturation};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .capacity(100)
    ///     .on_saturation(OnSaturation::Deny)
    ///     .try_build()?;
    /// let got: Vec<_> = (0..1000).filter_map(|n| jobs.hashed(n).acquire().ok()).collect();
    /// assert_eq!(jobs.saturated(), 1000 - got.len() as u64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn saturated(&self) -> u64 {
        self.table.saturated()
    }

    /// How many keys with live leases the limiter was built for.
    ///
    /// ```
    /// # use tollgate::LeaseLimiter;
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30)).capacity(500).try_build()?;
    /// assert_eq!(jobs.capacity(), 500); // keys, with two leases each
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes allocated, all of them when the limiter was built.
    ///
    /// ```
    /// # use tollgate::LeaseLimiter;
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30)).try_build()?;
    /// // 24 bytes a key, and 11 for each of two leases.
    /// assert_eq!(jobs.memory() / jobs.capacity(), 46);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory(&self) -> usize {
        self.table.layout().bytes()
    }

    /// The limiter's clock.
    ///
    /// ```
    /// # use tollgate::{Clock, LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// // Three keys at one reading.
    /// let now = jobs.clock().now();
    /// let held = ["a", "b", "c"].map(|user| jobs.acquire_at(user, now));
    /// assert!(held.iter().all(Result::is_ok));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C> fmt::Debug for LeaseLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseLimiter")
            .field("leases", &self.table.rule().limit())
            .field("capacity", &self.capacity)
            .field("memory", &self.table.layout().bytes())
            .field("saturated", &self.table.saturated())
            .finish_non_exhaustive()
    }
}
