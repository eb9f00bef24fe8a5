//! [`KeyedLimiter`]: one limit on each of many keys.

use super::{Algorithm, BuildError, DefaultClock, hash::KeyHasher};
use crate::{
    algorithm::{Gcra, SlidingLog},
    decision::Decision,
    quota::Quota,
    table::{
        Hash, Refused, Table,
        geometry::{Layout, Wide},
        rule::Request,
        storage::Heap,
    },
    time::{Clock, MonotonicClock, Nanos, ticks},
};
use std::{fmt, marker::PhantomData};

/// What a new key is told when every slot it could take belongs to a live key.
///
/// Known keys are never evicted and never disturbed. Either answer is marked
/// by [`Decision::is_accounted`], and counted by [`KeyedLimiter::saturated`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnSaturation {
    /// Let it pass without a charge: the limiter fails open.
    #[default]
    Allow,
    /// Turn it away, with the soonest time at which one of its slots may be
    /// free as the wait: the limiter fails closed.
    Deny,
}

/// One limit on each of many keys, in memory that is fixed when it is built.
///
/// Keys are borrowed bytes, or 64-bit hashes that the caller made. A key that
/// is known is decided without a lock, whatever other threads do; nothing is
/// allocated per decision; no thread runs behind it. Share it by reference.
///
/// ```
/// use tollgate::{KeyedLimiter, Quota};
///
/// let limiter = KeyedLimiter::gcra(Quota::n_per_minute(60)?.burst(10)?)
///     .capacity(100_000)
///     .try_build()?;
/// let decision = limiter.check("203.0.113.7");
/// assert!(decision.is_allowed());
/// assert_eq!(decision.remaining(), 9);
/// assert_eq!(limiter.check(b"another key").remaining(), 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory
///
/// GCRA takes 24 bytes per key of capacity (a little more below 10⁴ keys),
/// the sliding log about 1.4 times eight bytes per unit and key more;
/// [`memory`](Self::memory) tells, and [`KeyedBuilder::memory`] tells before
/// anything is allocated. Pages are taken from the system as they are used.
///
/// # Capacity
///
/// A slot is reclaimed as soon as its state is as good as new, by whoever
/// needs one; nothing sweeps. Live keys are never evicted. With up to
/// [`capacity`](KeyedBuilder::capacity) live keys the chance that a new one
/// finds no slot is below 10⁻⁵; then it is told what [`OnSaturation`] says.
///
/// # Collisions
///
/// Keys are told apart by 64 bits of a hash with a random seed per limiter.
/// Two keys whose hashes collide share one allowance. The chance that any two of
/// n live keys do is about n / 10¹³ in a table made for n, up to a million keys
/// (10⁻⁷), and 3·10⁻⁶ for ten million.
///
/// # Cost
///
/// A clock reading, a hash, two neighbouring cache lines, one compare-and-swap
/// for an allowed request, none for a denied one. A clock reading is about
/// half of that while the table is in cache: read it once per batch and use
/// [`check_at`](Self::check_at) where that matters.
///
/// # Range
///
/// As [`Limiter`](crate::Limiter#range).
pub struct KeyedLimiter<A = Gcra, C = MonotonicClock> {
    table: Table<A, Heap, Wide>,
    hasher: KeyHasher,
    clock: C,
    epoch: Nanos,
    last: u64,
    on_saturation: OnSaturation,
    capacity: usize,
    quota: Quota,
}

impl KeyedLimiter<Gcra> {
    /// Starts building a limiter for smooth traffic.
    pub fn gcra(quota: Quota) -> KeyedBuilder<Gcra> {
        KeyedBuilder::new(quota)
    }
}

impl KeyedLimiter<SlidingLog> {
    /// Starts building a limiter that is exact in every window.
    pub fn sliding_log(quota: Quota) -> KeyedBuilder<SlidingLog> {
        KeyedBuilder::new(quota)
    }
}

impl<A: Algorithm, C: Clock> KeyedLimiter<A, C> {
    /// Asks for one unit of `key`'s allowance now.
    #[inline]
    pub fn check<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> Decision {
        self.check_n_at(key, 1, self.clock.now())
    }

    /// Asks for `n` units now, all or none. 0 only looks.
    #[inline]
    pub fn check_n<K: AsRef<[u8]> + ?Sized>(&self, key: &K, n: u64) -> Decision {
        self.check_n_at(key, n, self.clock.now())
    }

    /// Asks for one unit at `now`, a reading of this limiter's clock.
    #[inline]
    pub fn check_at<K: AsRef<[u8]> + ?Sized>(&self, key: &K, now: Nanos) -> Decision {
        self.check_n_at(key, 1, now)
    }

    /// Asks for `n` units at `now`, all or none. 0 only looks.
    #[inline]
    pub fn check_n_at<K: AsRef<[u8]> + ?Sized>(&self, key: &K, n: u64, now: Nanos) -> Decision {
        self.decide(self.hasher.bytes(key.as_ref()), n, now)
    }

    /// Asks for one unit of the allowance of a key that the caller hashed.
    ///
    /// Such keys are apart from byte keys. The hash is mixed with the
    /// limiter's seed, so a plain number will do, but what the caller's hash
    /// does not tell apart, the limiter cannot.
    #[inline]
    pub fn check_hash(&self, hash: u64) -> Decision {
        self.check_hash_n_at(hash, 1, self.clock.now())
    }

    /// [`check_hash`](Self::check_hash) for `n` units now, all or none. 0 only looks.
    #[inline]
    pub fn check_hash_n(&self, hash: u64, n: u64) -> Decision {
        self.check_hash_n_at(hash, n, self.clock.now())
    }

    /// [`check_hash`](Self::check_hash) at `now`.
    #[inline]
    pub fn check_hash_at(&self, hash: u64, now: Nanos) -> Decision {
        self.check_hash_n_at(hash, 1, now)
    }

    /// [`check_hash`](Self::check_hash) for `n` units at `now`, all or none. 0 only looks.
    #[inline]
    pub fn check_hash_n_at(&self, hash: u64, n: u64, now: Nanos) -> Decision {
        self.decide(self.hasher.hash(hash), n, now)
    }

    /// How much `key` has left now, without asking for anything: writes
    /// nothing, creates nothing, and is always *allowed*, also with nothing
    /// [`remaining`](Decision::remaining). It does not tell whether a new key
    /// would find a slot.
    #[inline]
    pub fn peek<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> Decision {
        self.check_n(key, 0)
    }

    /// As [`peek`](Self::peek), at `now`.
    #[inline]
    pub fn peek_at<K: AsRef<[u8]> + ?Sized>(&self, key: &K, now: Nanos) -> Decision {
        self.check_n_at(key, 0, now)
    }

    /// As [`peek`](Self::peek), for a key that the caller hashed.
    #[inline]
    pub fn peek_hash(&self, hash: u64) -> Decision {
        self.check_hash_n(hash, 0)
    }

    #[inline(always)]
    fn decide(&self, hash: Hash, n: u64, now: Nanos) -> Decision {
        let request = Request::new(ticks(now, self.epoch, self.last), n);
        match self.table.decide(hash, &request) {
            Ok(decision) => decision,
            Err(refused) => self.refused(hash, request, refused),
        }
    }

    #[cold]
    fn refused(&self, hash: Hash, request: Request, refused: Refused) -> Decision {
        let mut refused = refused;
        if refused == Refused::Fault {
            // Is the state far ahead, or the caller's `now` far behind?
            let clock = ticks(self.clock.now(), self.epoch, self.last);
            match self.table.decide(hash, &request.repairing(clock)) {
                Ok(decision) => return decision,
                Err(again) => refused = again,
            }
        }
        let retry = match (self.on_saturation, refused) {
            (OnSaturation::Allow, _) => 0,
            // "Never" would be untrue, and "now" too.
            (OnSaturation::Deny, Refused::Saturated { soonest }) => {
                soonest.clamp(1, Decision::NEVER - 1)
            }
            // A request that repairs meets no fault.
            (OnSaturation::Deny, Refused::Fault) => 1,
        };
        Decision::saturated(self.table.rule().limit(), retry)
    }

    /// How many requests of new keys found no slot since the limiter was built.
    pub fn saturated(&self) -> u64 {
        self.table.saturated()
    }

    /// The quota that each key has.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// How many live keys the limiter was built for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes allocated, all of them when the limiter was built.
    pub fn memory(&self) -> usize {
        self.table.layout().bytes()
    }

    /// The limiter's clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

impl<A: Algorithm, C> fmt::Debug for KeyedLimiter<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimiter")
            .field("quota", &self.quota)
            .field("capacity", &self.capacity)
            .field("memory", &self.table.layout().bytes())
            .field("saturated", &self.table.saturated())
            .finish_non_exhaustive()
    }
}

/// Builds a [`KeyedLimiter`]; made by [`KeyedLimiter::gcra`] and
/// [`KeyedLimiter::sliding_log`].
#[derive(Clone, Debug)]
#[must_use = "a builder limits nothing until `try_build`"]
pub struct KeyedBuilder<A, C = DefaultClock> {
    quota: Quota,
    clock: C,
    epoch: Option<Nanos>,
    capacity: usize,
    seed: Option<u64>,
    on_saturation: OnSaturation,
    algorithm: PhantomData<A>,
}

impl<A> KeyedBuilder<A> {
    fn new(quota: Quota) -> Self {
        Self {
            quota,
            clock: DefaultClock,
            epoch: None,
            capacity: 10_000,
            seed: None,
            on_saturation: OnSaturation::default(),
            algorithm: PhantomData,
        }
    }
}

impl<A, C> KeyedBuilder<A, C> {
    /// How many keys may be live at once; 10,000 unless given. A key is live
    /// until its state is as good as new.
    pub fn capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// What a new key is told when it finds no slot; [`OnSaturation::Allow`]
    /// unless given.
    pub fn on_saturation(mut self, answer: OnSaturation) -> Self {
        self.on_saturation = answer;
        self
    }

    /// Makes placement and collisions the same in every run. For tests and
    /// simulations only: who knows the seed can choose keys that collide. The
    /// seed is random unless given.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The clock to read; a [`MonotonicClock`] unless given. It may be borrowed
    /// or in an `Arc`.
    pub fn clock<D: Clock>(self, clock: D) -> KeyedBuilder<A, D> {
        KeyedBuilder {
            quota: self.quota,
            clock,
            epoch: self.epoch,
            capacity: self.capacity,
            seed: self.seed,
            on_saturation: self.on_saturation,
            algorithm: PhantomData,
        }
    }

    /// The instant from which the limiter counts (see
    /// [`Limiter`](crate::Limiter#range)): by default, the clock's reading when
    /// the limiter is built.
    pub fn epoch(mut self, epoch: Nanos) -> Self {
        self.epoch = Some(epoch);
        self
    }
}

impl<A: Algorithm, C> KeyedBuilder<A, C> {
    /// Bytes that the limiter will allocate.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota};
    ///
    /// let minute = Quota::n_per_minute(60)?;
    /// let keys = 1_000_000;
    /// let gcra = KeyedLimiter::gcra(minute).capacity(keys).memory()?;
    /// assert_eq!(gcra / keys, 24);
    /// // Sixty-one times eight bytes, for each of 1.4 slots a key.
    /// let log = KeyedLimiter::sliding_log(minute).capacity(keys).memory()?;
    /// assert_eq!(log / keys, 712);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_build`](KeyedBuilder::try_build), without allocating.
    pub fn memory(&self) -> Result<usize, BuildError> {
        Ok(self.layout(A::from_quota(&self.quota)?)?.bytes())
    }

    fn layout(&self, rule: A) -> Result<Layout, BuildError> {
        if self.capacity == 0 {
            return Err(BuildError::ZeroCapacity);
        }
        Layout::for_keys::<Wide>(self.capacity, rule.ring_words())
            .ok_or(BuildError::CapacityTooLarge { keys: self.capacity })
    }
}

impl<A: Algorithm> KeyedBuilder<A> {
    /// Builds the limiter with a new [`MonotonicClock`].
    ///
    /// # Errors
    ///
    /// A quota that the algorithm cannot keep, a capacity of zero or beyond
    /// what can be addressed, or no memory.
    pub fn try_build(self) -> Result<KeyedLimiter<A>, BuildError> {
        self.clock(MonotonicClock::new()).try_build()
    }
}

impl<A: Algorithm, C: Clock> KeyedBuilder<A, C> {
    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// A quota that the algorithm cannot keep, a capacity of zero or beyond
    /// what can be addressed, or no memory.
    pub fn try_build(self) -> Result<KeyedLimiter<A, C>, BuildError> {
        let rule = A::from_quota(&self.quota)?;
        let layout = self.layout(rule)?;
        let table = Table::on_heap(rule, layout)
            .map_err(|_| BuildError::OutOfMemory { bytes: layout.bytes() })?;
        let clock = self.clock;
        let epoch = self.epoch.unwrap_or_else(|| clock.now());
        let hasher = self.seed.map_or_else(KeyHasher::random, KeyHasher::with_seed);
        Ok(KeyedLimiter {
            table,
            hasher,
            clock,
            epoch,
            last: rule.last_now(),
            on_saturation: self.on_saturation,
            capacity: self.capacity,
            quota: self.quota,
        })
    }
}
