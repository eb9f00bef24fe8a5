//! [`KeyedLimiter`]: one limit on each of many keys.

#[cfg(not(feature = "shared"))]
use super::current::Words;
#[cfg(feature = "shared")]
use super::share;
use super::{
    Algorithm, KeyedBuilder, RoomError,
    batch::{Batch, BytesKey, HashKey},
    current::Current,
    hash::KeyHasher,
    key::{Key, Name},
    store::{Found, Store},
    watch::{Counts, DeniedKey, Gauges, Watch},
};
#[cfg(feature = "shared")]
use crate::region::Section;
use crate::{
    algorithm::{Gcra, SlidingCounter, SlidingLog},
    decision::Decision,
    quota::Quota,
    table::{Hash, rule::Request},
    time::{Clock, MonotonicClock, Nanos, TICKS_PER_NANO},
};
use parking_lot::Mutex;
use std::{fmt, time::Duration};

/// What a new key is told when every slot it could take belongs to a live key.
///
/// Known keys are never evicted and never disturbed. Either answer is marked
/// by [`Decision::is_accounted`], and counted by [`KeyedLimiter::saturated`].
///
/// ```
/// use tollgate::{KeyedLimiter, ManualClock, OnSaturation};
///
/// let limiter = KeyedLimiter::gcra("1/h".parse()?)
///     .clock(ManualClock::new())
///     .capacity(100)
///     .on_saturation(OnSaturation::Deny)
///     .try_build()?;
/// for user in 0..1000 {
///     let decision = limiter.check_hash(user);
///     // Whoever found no slot waits for the first that comes free.
///     let full = decision.is_denied() && decision.retry_after_secs() == Some(3600);
///     assert_eq!(full, !decision.is_accounted());
/// }
/// assert!(limiter.saturated() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
/// GCRA takes 24 bytes per key of capacity (a little more below 10⁴ keys, and 512 at
/// least), the sliding log about 1.4 times eight bytes per unit and key more, the
/// sliding counter 23 more in all; [`memory`](Self::memory) tells, and
/// [`KeyedBuilder::memory`] tells before anything is allocated. From 2 MiB on pages
/// come from the system as they are used, huge ones where it has them.
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
/// for an allowed request, none for a denied one. Half of that or more is the
/// clock: reading it keeps the processor from looking ahead. Where that matters,
/// read it once for many keys ([`check_many`](Self::check_many),
/// [`check_at`](Self::check_at)), or use a [`CoarseClock`](crate::CoarseClock).
///
/// # Range
///
/// As [`Limiter`](crate::Limiter#range).
pub struct KeyedLimiter<A = Gcra, C = MonotonicClock> {
    pub(super) store: Store<A>,
    pub(super) hasher: KeyHasher,
    pub(super) clock: C,
    pub(super) capacity: usize,
    /// The quota that the store's numbers are of, for people, and the lock that their
    /// writers take.
    pub(super) quota: Mutex<Quota>,
    pub(super) watch: Option<Box<Watch>>,
    /// The numbers of its quota: in the table's head where tables may be shared, which
    /// costs two instructions.
    #[cfg(not(feature = "shared"))]
    pub(super) current: Words,
    /// Where it is, if it is shared by processes.
    #[cfg(feature = "shared")]
    pub(super) section: Option<Section>,
}

impl KeyedLimiter<Gcra> {
    /// Starts building a limiter for smooth traffic.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("60/min burst 2".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// assert!(limiter.check_n_at("alice", 2, Nanos::ZERO).is_allowed());
    /// assert_eq!(limiter.peek_at("alice", Nanos::from_secs(1)).remaining(), 1); // one a second
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gcra(quota: Quota) -> KeyedBuilder<Gcra> {
        KeyedBuilder::new(quota)
    }
}

impl KeyedLimiter<SlidingLog> {
    /// Starts building a limiter that is exact in every window.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::sliding_log("5/15min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// // Five wrong passwords, and not one more before the first is a quarter of an hour old.
    /// assert!(limiter.check_n_at("alice", 5, Nanos::ZERO).is_allowed());
    /// assert!(limiter.check_at("alice", Nanos::from_secs(899)).is_denied());
    /// assert!(limiter.check_at("alice", Nanos::from_secs(900)).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sliding_log(quota: Quota) -> KeyedBuilder<SlidingLog> {
        KeyedBuilder::new(quota)
    }
}

impl KeyedLimiter<SlidingCounter> {
    /// Starts building a limiter that is about right in every window, for limits too
    /// large for a log: see [`SlidingCounter`].
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::sliding_counter("1_000_000/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .capacity(1000)
    ///     .try_build()?;
    /// assert_eq!(limiter.check_n("alice", 400_000).remaining(), 600_000);
    /// assert!(limiter.memory() < 64_000); // a log would take eight bytes for each unit
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sliding_counter(quota: Quota) -> KeyedBuilder<SlidingCounter> {
        KeyedBuilder::new(quota)
    }
}

impl<A: Algorithm, C: Clock> KeyedLimiter<A, C> {
    /// Asks for one unit of `key`'s allowance now.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("5/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert_eq!(limiter.check("alice").remaining(), 4);
    /// assert_eq!(limiter.check(b"alice").remaining(), 3); // the same bytes, the same key
    /// assert_eq!(limiter.check(&[192, 0, 2, 1]).remaining(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn check<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> Decision {
        self.check_n(key, 1)
    }

    /// Asks for `n` units now, all or none. 0 only looks.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Outcome};
    /// let limiter = KeyedLimiter::gcra("100/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert!(limiter.check_n("alice", 80).is_allowed()); // an import of eighty rows
    /// assert_eq!(limiter.check_n("alice", 80).outcome(), Outcome::Later);
    /// assert_eq!(limiter.check_n("alice", 101).outcome(), Outcome::Never); // make it two
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn check_n<K: AsRef<[u8]> + ?Sized>(&self, key: &K, n: u64) -> Decision {
        let bytes = key.as_ref();
        self.decide_now(self.hasher.bytes(bytes), Name::bytes(bytes), n)
    }

    /// Asks for one unit at `now`, a reading of this limiter's clock.
    ///
    /// ```
    /// # use tollgate::{Clock, KeyedLimiter, ManualClock};
    /// let clock = ManualClock::new();
    /// let users = KeyedLimiter::gcra("10/min".parse()?).clock(&clock).try_build()?;
    /// let addresses = KeyedLimiter::gcra("100/min".parse()?).clock(&clock).try_build()?;
    /// // One reading of the clock, which is half of what a check costs, for two checks.
    /// let now = clock.now();
    /// let allowed = addresses.check_at(&[192, 0, 2, 1], now).is_allowed()
    ///     && users.check_at("alice", now).is_allowed();
    /// assert!(allowed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn check_at<K: AsRef<[u8]> + ?Sized>(&self, key: &K, now: Nanos) -> Decision {
        self.check_n_at(key, 1, now)
    }

    /// Asks for `n` units at `now`, all or none. 0 only looks.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let bytes = KeyedLimiter::gcra("1000/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(60);
    /// assert!(bytes.check_n_at("upload", 700, now).is_allowed());
    /// let wait = bytes.check_n_at("upload", 700, now).retry_after().unwrap_or_default();
    /// assert_eq!(wait, Duration::from_millis(400));
    /// assert!(bytes.check_n_at("upload", 700, now.after(wait)).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn check_n_at<K: AsRef<[u8]> + ?Sized>(&self, key: &K, n: u64, now: Nanos) -> Decision {
        let bytes = key.as_ref();
        self.decide_at(self.hasher.bytes(bytes), Name::bytes(bytes), n, now)
    }

    /// Asks for one unit of the allowance of a key that the caller hashed.
    ///
    /// Such keys are apart from byte keys. The hash is mixed with the
    /// limiter's seed, so a plain number will do, but what the caller's hash
    /// does not tell apart, the limiter cannot.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("5/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let user_id = 7;
    /// assert_eq!(limiter.check_hash(user_id).remaining(), 4);
    /// assert_eq!(limiter.check(&user_id.to_le_bytes()).remaining(), 4); // another key
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn check_hash(&self, hash: u64) -> Decision {
        self.check_hash_n(hash, 1)
    }

    /// [`check_hash`](Self::check_hash) for `n` units now, all or none. 0 only looks.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let (tenant, user) = (3_u32, 17_u32);
    /// // Two numbers that fit side by side make a key without a byte of text.
    /// let key = u64::from(tenant) << 32 | u64::from(user);
    /// assert_eq!(limiter.check_hash_n(key, 4).remaining(), 6);
    /// assert_eq!(limiter.check_hash_n(key, 0).remaining(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn check_hash_n(&self, hash: u64, n: u64) -> Decision {
        self.decide_now(self.hasher.hash(hash), Name::hash(hash), n)
    }

    /// [`check_hash`](Self::check_hash) at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("1/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let requests = [(0, 7), (1, 8), (59, 7), (60, 7)]; // seconds and users
    /// let denied = requests
    ///     .into_iter()
    ///     .filter(|(at, user)| limiter.check_hash_at(*user, Nanos::from_secs(*at)).is_denied());
    /// assert_eq!(denied.collect::<Vec<_>>(), [(59, 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn check_hash_at(&self, hash: u64, now: Nanos) -> Decision {
        self.check_hash_n_at(hash, 1, now)
    }

    /// [`check_hash`](Self::check_hash) for `n` units at `now`, all or none. 0 only looks.
    ///
    /// ```
    /// use std::hash::{BuildHasher, RandomState};
    /// # use tollgate::{Clock, KeyedLimiter, ManualClock};
    /// # let clock = ManualClock::new();
    /// # let requests = KeyedLimiter::gcra("10/s".parse()?).clock(&clock).try_build()?;
    /// # let tokens = KeyedLimiter::gcra("1000/min".parse()?).clock(&clock).try_build()?;
    /// let hashed = RandomState::new();
    /// // A key of several parts is hashed as it is, once, and nothing is joined or allocated.
    /// let key = hashed.hash_one(("alice", "POST", 42));
    /// let now = clock.now();
    /// assert_eq!(requests.check_hash_n_at(key, 1, now).remaining(), 9);
    /// assert_eq!(tokens.check_hash_n_at(key, 350, now).remaining(), 650);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn check_hash_n_at(&self, hash: u64, n: u64, now: Nanos) -> Decision {
        self.decide_at(self.hasher.hash(hash), Name::hash(hash), n, now)
    }

    /// How much `key` has left now, without asking for anything: writes
    /// nothing, creates nothing, and is always *allowed*, also with nothing
    /// [`remaining`](Decision::remaining). It does not tell whether a new key
    /// would find a slot.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check_n("alice", 10);
    /// assert!(limiter.peek("alice").is_allowed());
    /// assert_eq!(limiter.peek("alice").remaining(), 0);
    /// assert_eq!(limiter.peek("bob").remaining(), 10);
    /// assert_eq!(limiter.gauges().live_keys(), 1); // Bob has no slot for it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn peek<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> Decision {
        self.check_n(key, 0)
    }

    /// As [`peek`](Self::peek), at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::sliding_log("2/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let _ = limiter.check_at("alice", Nanos::from_secs(10));
    /// let _ = limiter.check_at("alice", Nanos::from_secs(40));
    /// let left = [69, 70, 100].map(|s| limiter.peek_at("alice", Nanos::from_secs(s)).remaining());
    /// assert_eq!(left, [0, 1, 2]); // each comes back a minute after it was charged
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn peek_at<K: AsRef<[u8]> + ?Sized>(&self, key: &K, now: Nanos) -> Decision {
        self.check_n_at(key, 0, now)
    }

    /// As [`peek`](Self::peek), for a key that the caller hashed.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check_hash_n(7, 3);
    /// assert_eq!(limiter.peek_hash(7).remaining(), 7);
    /// assert_eq!(limiter.peek_hash(7).next_after().as_secs(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn peek_hash(&self, hash: u64) -> Decision {
        self.check_hash_n(hash, 0)
    }

    /// One key, for everything else that can be asked of it: refunds,
    /// reservations, resets, and checks by another quota.
    ///
    /// The key is hashed once; its bytes stay borrowed for as long as the [`Key`]
    /// lives, so across an `await` make a new one.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota};
    ///
    /// let limiter = KeyedLimiter::gcra(Quota::n_per_minute(10)?).try_build()?;
    /// let charge = limiter.check_n("alice", 4).charge().unwrap();
    /// // The work failed, and is not to be paid for.
    /// assert_eq!(limiter.key("alice").refund(charge).remaining(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn key<'a, K: AsRef<[u8]> + ?Sized>(&'a self, key: &'a K) -> Key<'a, A, C> {
        let bytes = key.as_ref();
        Key::new(self, self.hasher.bytes(bytes), Name::bytes(bytes))
    }

    /// One key that the caller hashed: see [`key`](Self::key) and
    /// [`check_hash`](Self::check_hash).
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("3/h".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check_hash_n(7, 3);
    /// assert_eq!(limiter.hashed(7).reset().remaining(), 3); // support has let user 7 in again
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn hashed(&self, hash: u64) -> Key<'_, A, C> {
        Key::new(self, self.hasher.hash(hash), Name::hash(hash))
    }

    /// Asks for one unit of each key's allowance, all at one reading of the clock.
    ///
    /// The decisions come in the order of the keys, and are those that checks one
    /// by one would give, also where a key occurs more than once. Keys are taken
    /// some ahead of the decisions, and their slots fetched from memory
    /// meanwhile: worth it as soon as the table is larger than the cache. A key
    /// whose decision nobody takes is not charged. The clock and the quota are read by
    /// this call: over a stream without an end, make a call per batch.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota};
    ///
    /// let limiter = KeyedLimiter::gcra(Quota::n_per_minute(1)?).try_build()?;
    /// let keys = ["a", "b", "a"];
    /// let allowed: Vec<_> = limiter.check_many(keys).map(|d| d.is_allowed()).collect();
    /// assert_eq!(allowed, [true, true, false]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_many<I>(&self, keys: I) -> impl Iterator<Item = Decision>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        self.check_many_at(keys, self.clock.now())
    }

    /// As [`check_many`](Self::check_many), at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("2/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let batch = ["a", "a", "a", "b"]; // what came in one second of a log
    /// let left = limiter.check_many_at(batch, Nanos::from_secs(5)).map(|d| d.remaining());
    /// assert_eq!(left.collect::<Vec<_>>(), [1, 0, 0, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_many_at<I>(&self, keys: I, now: Nanos) -> impl Iterator<Item = Decision>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        Batch::new(self, now, keys.into_iter().map(BytesKey))
    }

    /// As [`check_many`](Self::check_many), for keys that the caller hashed.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check_hash(2);
    /// // The first user who may: those after it are not asked, and not charged.
    /// let first = limiter.check_many_hashes([2, 3, 4]).position(|d| d.is_allowed());
    /// assert_eq!(first, Some(1));
    /// assert_eq!(limiter.peek_hash(4).remaining(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_many_hashes<I>(&self, hashes: I) -> impl Iterator<Item = Decision>
    where
        I: IntoIterator<Item = u64>,
    {
        self.check_many_hashes_at(hashes, self.clock.now())
    }

    /// As [`check_many`](Self::check_many), for keys that the caller hashed, at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(30);
    /// let allowed = limiter.check_many_hashes_at((0..50).map(|n| n % 4), now);
    /// assert_eq!(allowed.filter(|decision| decision.is_allowed()).count(), 40); // ten of each
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_many_hashes_at<I>(&self, hashes: I, now: Nanos) -> impl Iterator<Item = Decision>
    where
        I: IntoIterator<Item = u64>,
    {
        Batch::new(self, now, hashes.into_iter().map(HashKey))
    }

    /// The order is for speed, and measured: reading a counter holds the processor
    /// up until all before it is done, and all after it until it is read. So the slot
    /// is asked for before, and nothing waits for it; and after, looking for the key
    /// goes beside turning the reading into a time.
    #[inline(always)]
    fn decide_now(&self, hash: Hash, name: Name<'_>, n: u64) -> Decision {
        let spot = self.store.table().spot(hash);
        spot.prefetch();
        let raw = self.clock.raw();
        let found = spot.find();
        let now = self.clock.time(raw);
        self.ask(&self.rule(), (hash, spot, found), name, self.store.request(n, now), now)
    }

    #[inline(always)]
    fn decide_at(&self, hash: Hash, name: Name<'_>, n: u64, now: Nanos) -> Decision {
        self.ask(&self.rule(), self.store.look_up(hash), name, self.store.request(n, now), now)
    }

    #[inline(always)]
    fn current(&self) -> Current<'_> {
        #[cfg(feature = "shared")]
        return self.store.current();
        #[cfg(not(feature = "shared"))]
        Current::new(&self.current)
    }

    /// The rule of the quota that holds now.
    #[inline(always)]
    pub(super) fn rule(&self) -> A {
        self.store.room().with_numbers(self.current().get())
    }

    #[inline(always)]
    pub(super) fn ask(
        &self,
        rule: &A,
        found: Found<'_>,
        name: Name<'_>,
        request: Request,
        now: Nanos,
    ) -> Decision {
        let decision = self.store.ask(rule, found, request, now, &|| self.clock.now());
        if let Some(watch) = &self.watch {
            watch.note(&decision, &request, name);
        }
        decision
    }

    /// Replaces the quota, from the next decision on.
    ///
    /// Nothing is applied to the past: what a GCRA key owes stays owed as time,
    /// what a log has admitted stays admitted (for as long as the windows asked
    /// for until now kept it), and the new quota judges both. Decisions in
    /// other threads are by the old quota or by the new, never by a mixture.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota};
    ///
    /// let limiter = KeyedLimiter::gcra(Quota::n_per_second(10)?)
    ///     .room_for(Quota::n_per_hour(1)?)
    ///     .try_build()?;
    /// limiter.set_quota(Quota::n_per_minute(5)?)?;
    /// assert_eq!(limiter.check("alice").limit(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A quota for which the limiter was not given
    /// [room](KeyedBuilder::room_for); the present one then stays. In a region, where the
    /// quota becomes that of all processes, also a lock that cannot be had.
    pub fn set_quota(&self, quota: Quota) -> Result<(), RoomError> {
        let numbers = self.store.room().fit(&quota)?;
        let mut present = self.quota.lock();
        #[cfg(feature = "shared")]
        let _locked = match &self.section {
            Some(section) => Some(share::lock_and_put(section, &quota)?),
            None => None,
        };
        self.current().set(numbers);
        *present = quota;
        Ok(())
    }

    /// How many requests of new keys found no slot since the limiter was built.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .capacity(100)
    ///     .try_build()?;
    /// let passed = (0..1000).map(|user| limiter.check_hash(user));
    /// let unaccounted = passed.filter(|decision| !decision.is_accounted()).count();
    /// assert!(unaccounted > 500); // all of them were let through
    /// assert_eq!(limiter.saturated(), unaccounted as u64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn saturated(&self) -> u64 {
        self.store.table().saturated()
    }

    /// How full the table is, now.
    ///
    /// Looks at some thousand slots, spread evenly, or at all of a small table:
    /// microseconds, whatever the table's size. Not for every request.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota};
    ///
    /// let limiter = KeyedLimiter::gcra(Quota::n_per_hour(1)?).capacity(1000).try_build()?;
    /// for user in 0..300_u64 {
    ///     let _ = limiter.check_hash(user);
    /// }
    /// assert_eq!(limiter.gauges().live_keys(), 300);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gauges(&self) -> Gauges {
        self.gauges_at(self.clock.now())
    }

    /// As [`gauges`](Self::gauges), at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("6/h".parse()?).clock(ManualClock::new()).try_build()?;
    /// for user in 0..300 {
    ///     let _ = limiter.check_hash_at(user, Nanos::ZERO);
    /// }
    /// // A key is live for as long as it owes something: here ten minutes.
    /// let live = [599, 600].map(|secs| limiter.gauges_at(Nanos::from_secs(secs)).live_keys());
    /// assert_eq!(live, [300, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gauges_at(&self, now: Nanos) -> Gauges {
        self.store.gauges_at(now)
    }

    /// Decisions by outcome since the limiter was built, if it was told to
    /// [count](KeyedBuilder::count_decisions) them.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("2/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .count_decisions(true)
    ///     .try_build()?;
    /// for _ in 0..5 {
    ///     let _ = (limiter.check("alice"), limiter.peek("alice"));
    /// }
    /// let counts = limiter.counts().unwrap_or_default();
    /// assert_eq!((counts.allowed, counts.denied), (2, 3)); // no peeks
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn counts(&self) -> Option<Counts> {
        self.watch.as_ref().and_then(|watch| watch.counts())
    }

    /// The keys denied most, most denied first, if the limiter was told to
    /// [remember](KeyedBuilder::remember_denied) them; else none. Keys that found no slot
    /// are not among them: [`saturated`](Self::saturated) counts these.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .remember_denied(8)
    ///     .try_build()?;
    /// for (user, requests) in [("alice", 11), ("bob", 10), ("mallory", 500)] {
    ///     for _ in 0..requests {
    ///         let _ = limiter.check(user);
    ///     }
    /// }
    /// let worst = limiter.denied_most();
    /// assert_eq!((worst[0].name(), worst[0].denials()), (&b"mallory"[..], 490));
    /// assert_eq!(worst.len(), 2); // Bob never was
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn denied_most(&self) -> Vec<DeniedKey> {
        self.watch.as_ref().map_or_else(Vec::new, |watch| watch.denied_most())
    }

    /// How many live keys the limiter was built for.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert_eq!(limiter.capacity(), 10_000); // unless the builder is told another
    /// assert!(limiter.gauges().slots() > 14_000); // so that nearly every new key finds one
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes allocated, all of them when the limiter was built.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let before = limiter.memory();
    /// assert_eq!(before / limiter.capacity(), 24);
    /// for user in 0..20_000 {
    ///     let _ = limiter.check_hash(user);
    /// }
    /// assert_eq!(limiter.memory(), before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory(&self) -> usize {
        self.store.table().layout().bytes()
    }

    /// The limiter's clock.
    ///
    /// ```
    /// # use tollgate::{CoarseClock, KeyedLimiter, ManualClock};
    /// # use std::time::Duration;
    /// # let clock = CoarseClock::new(ManualClock::new());
    /// let limiter = KeyedLimiter::gcra("1/s".parse()?).clock(clock).try_build()?;
    /// assert!(limiter.check("alice").is_allowed());
    /// limiter.clock().source().advance(Duration::from_secs(1));
    /// assert!(limiter.check("alice").is_denied()); // until the loop's next turn
    /// limiter.clock().refresh();
    /// assert!(limiter.check("alice").is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C> KeyedLimiter<Gcra, C> {
    /// The longest that a [reservation](Key::reserve) may wait.
    ///
    /// ```
    /// # use tollgate::KeyedLimiter;
    /// # use std::time::Duration;
    /// let default = KeyedLimiter::gcra("100/s burst 20".parse()?).try_build()?;
    /// assert_eq!(default.longest_wait(), Duration::from_millis(200)); // of a spent burst
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn longest_wait(&self) -> Duration {
        Duration::from_nanos(self.store.room().longest_wait() / TICKS_PER_NANO)
    }
}

impl<A: Algorithm, C> KeyedLimiter<A, C> {
    /// The quota that each key has, unless asked by [another](Key::quota).
    ///
    /// ```
    /// # use tollgate::KeyedLimiter;
    /// let limiter = KeyedLimiter::gcra("100/s burst 20".parse()?).try_build()?;
    /// limiter.set_quota("50/s burst 10".parse()?)?;
    /// assert_eq!(limiter.quota().to_string(), "50/s burst 10");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn quota(&self) -> Quota {
        #[cfg(feature = "shared")]
        if let Some(quota) = self.section.as_ref().and_then(share::quota) {
            return quota;
        }
        *self.quota.lock()
    }
}

impl<A: Algorithm, C> fmt::Debug for KeyedLimiter<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimiter")
            .field("quota", &self.quota())
            .field("capacity", &self.capacity)
            .field("memory", &self.store.table().layout().bytes())
            .field("saturated", &self.store.table().saturated())
            .finish_non_exhaustive()
    }
}
