//! [`KeyedBuilder`]: what a [`KeyedLimiter`] is made of.

use super::{
    Algorithm, BuildError, DefaultClock, KeyedLimiter, OnSaturation,
    hash::KeyHasher,
    store::Store,
    watch::{Watch, WatchFor},
};
#[cfg(feature = "shared")]
use super::{ShareError, share};
#[cfg(feature = "shared")]
use crate::region::{Region, RegionClock, Section, Wanted};
use crate::{
    algorithm::Gcra,
    quota::Quota,
    table::geometry::{Layout, Wide},
    time::{Clock, MonotonicClock, Nanos},
};
use parking_lot::Mutex;
use std::{marker::PhantomData, time::Duration};

/// Builds a [`KeyedLimiter`]; made by [`KeyedLimiter::gcra`],
/// [`KeyedLimiter::sliding_log`] and [`KeyedLimiter::sliding_counter`].
///
/// ```
/// use std::time::Duration;
/// use tollgate::{KeyedLimiter, ManualClock, OnSaturation};
///
/// let limiter = KeyedLimiter::gcra("10/s".parse()?)
///     .capacity(50_000)
///     .on_saturation(OnSaturation::Deny)
///     .room_for("100/s".parse()?)
///     .longest_wait(Duration::from_secs(5))
///     .count_decisions(true)
///     .clock(ManualClock::new())
///     .try_build()?;
/// assert_eq!(limiter.check("alice").remaining(), 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder limits nothing until `try_build`"]
pub struct KeyedBuilder<A, C = DefaultClock> {
    quota: Quota,
    clock: C,
    epoch: Option<Nanos>,
    capacity: usize,
    seed: Option<u64>,
    on_saturation: OnSaturation,
    others: Vec<Quota>,
    longest_wait: Option<Duration>,
    watch: WatchFor,
    algorithm: PhantomData<A>,
}

impl<A> KeyedBuilder<A> {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            quota,
            clock: DefaultClock,
            epoch: None,
            capacity: 10_000,
            seed: None,
            on_saturation: OnSaturation::default(),
            others: Vec::new(),
            longest_wait: None,
            watch: WatchFor::default(),
            algorithm: PhantomData,
        }
    }
}

impl<A, C> KeyedBuilder<A, C> {
    /// How many keys may be live at once; 10,000 unless given. A key is live
    /// until its state is as good as new.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("1/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .capacity(1000)
    ///     .seed(1)
    ///     .try_build()?;
    /// // A thousand others each minute: as many as owe something at a time.
    /// for user in 0..10_000 {
    ///     let _ = limiter.check_hash_at(user, Nanos::from_secs(user / 1000 * 60));
    /// }
    /// assert_eq!(limiter.saturated(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// What a new key is told when it finds no slot; [`OnSaturation::Allow`]
    /// unless given.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, OnSaturation};
    /// let passed = |answer| {
    ///     let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///         .clock(ManualClock::new())
    ///         .capacity(100)
    ///         .on_saturation(answer)
    ///         .try_build()?;
    ///     let passed = (0..1000).filter(|user| limiter.check_hash(*user).is_allowed()).count();
    ///     Ok::<_, Box<dyn std::error::Error>>(passed)
    /// };
    /// assert_eq!(passed(OnSaturation::Allow)?, 1000);
    /// assert!(passed(OnSaturation::Deny)? < 200); // those who found a slot
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_saturation(mut self, answer: OnSaturation) -> Self {
        self.on_saturation = answer;
        self
    }

    /// Makes room for another quota, to be used for [one call](crate::Key::quota)
    /// or [from some moment on](KeyedLimiter::set_quota). May be given more than
    /// once.
    ///
    /// GCRA has room for any quota whose spent burst takes no longer to come back
    /// (burst times emission interval) than that of the largest given; memory does
    /// not grow with it. The sliding log has room for the most units and the longest
    /// period of all that were given, and each unit takes memory in every slot. The
    /// sliding counter has room for any units, in windows of its one period.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, Quota};
    /// let (free, pro): (Quota, Quota) = ("10/min".parse()?, "1000/min".parse()?);
    /// let gcra = KeyedLimiter::gcra(free).capacity(1000);
    /// let log = KeyedLimiter::sliding_log(free).capacity(1000);
    /// // Time is owed in one word; of units each takes one.
    /// assert_eq!(gcra.clone().room_for(pro).memory()?, gcra.memory()?);
    /// assert!(log.clone().room_for(pro).memory()? > 50 * log.memory()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn room_for(mut self, quota: Quota) -> Self {
        self.others.push(quota);
        self
    }

    /// Counts decisions by outcome ([`KeyedLimiter::counts`]). Off unless given:
    /// each decision then writes a word that few other threads write.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("5/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .count_decisions(true)
    ///     .try_build()?;
    /// let _ = limiter.check_many(["alice"; 8]).count();
    /// let counts = limiter.counts().unwrap_or_default();
    /// assert_eq!((counts.allowed, counts.denied, counts.unaccounted), (5, 3, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count_decisions(mut self, yes: bool) -> Self {
        self.watch.counts = yes;
        self
    }

    /// Remembers the keys denied most since the limiter was built, in so many places
    /// (at most 1024; 0 for none) of 88 bytes, by their first 63 bytes
    /// ([`KeyedLimiter::denied_most`]). Off unless given: each denial then takes a
    /// lock for tens of nanoseconds, or is left uncounted where another thread
    /// has it; nobody waits, and allowed requests do not notice.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .remember_denied(2)
    ///     .try_build()?;
    /// for user in ["a", "a", "a", "a", "b", "b", "c", "c"] {
    ///     let _ = limiter.check(user);
    /// }
    /// // Denied were "a" three times, "b" and "c" once each, and "c" took the place of "b"
    /// // with its count: at most one too many, and who is denied much is never missed.
    /// let worst = limiter.denied_most();
    /// let worst: Vec<_> = worst.iter().map(|k| (k.name(), k.denials(), k.excess())).collect();
    /// assert_eq!(worst, [(&b"a"[..], 3, 0), (b"c", 2, 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remember_denied(mut self, places: usize) -> Self {
        self.watch.denied = places;
        self
    }

    /// Makes placement and collisions the same in every run. For tests and
    /// simulations only: who knows the seed can choose keys that collide. The
    /// seed is random unless given.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let full_at = |seed| {
    ///     let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///         .clock(ManualClock::new())
    ///         .capacity(100)
    ///         .seed(seed)
    ///         .try_build()?;
    ///     let user = (0..1000).find(|user| !limiter.check_hash(*user).is_accounted());
    ///     Ok::<_, Box<dyn std::error::Error>>(user)
    /// };
    /// assert_eq!(full_at(7)?, full_at(7)?); // the same user finds no slot, in every run
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The clock to read; a [`MonotonicClock`] unless given. It may be borrowed
    /// or in an `Arc`.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// # use tollgate::{CoarseClock, KeyedLimiter, ManualClock};
    /// // One clock for all limiters, and for who keeps it going.
    /// let clock = Arc::new(CoarseClock::new(ManualClock::new()));
    /// let limiter = KeyedLimiter::gcra("1/s".parse()?).clock(Arc::clone(&clock)).try_build()?;
    /// assert!(limiter.check("alice").is_allowed());
    /// clock.source().advance(Duration::from_secs(1));
    /// clock.refresh();
    /// assert!(limiter.check("alice").is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock<D: Clock>(self, clock: D) -> KeyedBuilder<A, D> {
        KeyedBuilder {
            quota: self.quota,
            clock,
            epoch: self.epoch,
            capacity: self.capacity,
            seed: self.seed,
            on_saturation: self.on_saturation,
            others: self.others,
            longest_wait: self.longest_wait,
            watch: self.watch,
            algorithm: PhantomData,
        }
    }

    /// The instant from which the limiter counts (see
    /// [`Limiter`](crate::Limiter#range)): by default, the clock's reading when
    /// the limiter is built.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("1/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .epoch(Nanos::from_secs(1_767_225_600)) // the year 2026
    ///     .try_build()?;
    /// let day = 1_790_000_000; // in seconds since 1970
    /// let at = [day, day + 59, day + 60].map(Nanos::from_secs);
    /// assert_eq!(at.map(|now| limiter.check_at("alice", now).is_allowed()), [true, false, true]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn epoch(mut self, epoch: Nanos) -> Self {
        self.epoch = Some(epoch);
        self
    }
}

impl<C> KeyedBuilder<Gcra, C> {
    /// The longest that a [reservation](crate::Key::reserve) may wait, and how far
    /// beyond the largest burst a key may be brought by [`settle`](crate::Key::settle).
    /// Unless given, as long as the largest burst takes to come back, or what
    /// [`Quota::LONGEST_DEBT`] leaves.
    ///
    /// ```
    /// # use tollgate::{BuildError, KeyedLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let builder = KeyedLimiter::gcra("10/s".parse()?).clock(&clock);
    /// let limiter = builder.clone().longest_wait(Duration::from_millis(500)).try_build()?;
    /// let _ = limiter.check_n("alice", 10);
    /// let alice = limiter.key("alice");
    /// assert_eq!(alice.reserve(5, Duration::MAX).wait(), Duration::from_millis(500));
    /// assert!(alice.reserve(1, Duration::MAX).is_denied()); // however patient she is
    /// let refused = builder.longest_wait(Duration::MAX).try_build().unwrap_err();
    /// assert!(matches!(refused, BuildError::WaitTooLong { .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = Some(wait);
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
        Ok(self.layout(self.rule()?)?.bytes())
    }

    fn rule(&self) -> Result<A, BuildError> {
        A::build(&self.quota, &self.others, self.longest_wait)
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
    /// ```
    /// # use tollgate::{BuildError, KeyedLimiter};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?).try_build()?; // by its own clock
    /// assert_eq!(limiter.check("alice").remaining(), 9);
    /// let refused = KeyedLimiter::gcra("10/min".parse()?).capacity(0).try_build().err();
    /// assert_eq!(refused, Some(BuildError::ZeroCapacity));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let builder = KeyedLimiter::sliding_log("1000/h".parse()?).clock(ManualClock::new());
    /// let bytes = builder.memory()?; // before anything is allocated
    /// assert!(bytes < 128 << 20);
    /// assert_eq!(builder.try_build()?.memory(), bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A quota that the algorithm cannot keep, a capacity of zero or beyond
    /// what can be addressed, or no memory.
    pub fn try_build(self) -> Result<KeyedLimiter<A, C>, BuildError> {
        let rule = self.rule()?;
        let layout = self.layout(rule)?;
        let clock = self.clock;
        let epoch = self.epoch.unwrap_or_else(|| clock.now());
        let store = Store::try_new(rule, layout, epoch, self.on_saturation)
            .map_err(|_| BuildError::OutOfMemory { bytes: layout.bytes() })?;
        #[cfg(feature = "shared")]
        store.current().begin(rule.numbers());
        let hasher = self.seed.map_or_else(KeyHasher::random, KeyHasher::with_seed);
        Ok(KeyedLimiter {
            store,
            hasher,
            clock,
            capacity: self.capacity,
            quota: Mutex::new(self.quota),
            watch: Watch::new(self.watch),
            #[cfg(not(feature = "shared"))]
            current: super::current::Current::words(rule.numbers()),
            #[cfg(feature = "shared")]
            section: None,
        })
    }
}

#[cfg(feature = "shared")]
impl<A: Algorithm> KeyedBuilder<A> {
    /// Builds the limiter in a region, under a name: made, or attached to if it is
    /// there. It reads the [region's clock](RegionClock).
    ///
    /// Counted decisions and the keys denied most are of this process alone; a seed and
    /// an epoch are the region's.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Region, RegionError, ShareError};
    ///
    /// # let path = std::env::temp_dir().join(format!("tollgate-doc-b-{}", std::process::id()));
    /// let region = Region::open(&path)?;
    /// let logins = KeyedLimiter::gcra("5/min".parse()?).try_build_in(&region, "logins")?;
    /// assert_eq!(logins.check("alice").remaining(), 4);
    /// // Another worker, started with another configuration.
    /// let other = KeyedLimiter::gcra("9/min".parse()?).try_build_in(&region, "logins");
    /// assert!(matches!(other, Err(ShareError::Region(RegionError::Differs { .. }))));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_build`](KeyedBuilder::try_build); what [`Region::open`] says; and a limiter of
    /// that name that was made with another configuration. The quota may be another than
    /// that it was made with if it is the one that it [has now](KeyedLimiter::set_quota).
    pub fn try_build_in(
        self,
        region: &Region,
        name: &str,
    ) -> Result<KeyedLimiter<A, RegionClock>, ShareError> {
        self.clock(region.clock()).epoch(Nanos::ZERO).try_build_in(region, name)
    }
}

#[cfg(feature = "shared")]
impl<A: Algorithm, C: Clock> KeyedBuilder<A, C> {
    /// Builds the limiter in a region, under a name, with a clock of one's own: its
    /// readings must be those of every process. The epoch is that of who made it.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Region};
    /// # use std::time::Duration;
    /// # let path = std::env::temp_dir().join(format!("tollgate-doc-c-{}", std::process::id()));
    /// # let region = Region::open(&path)?;
    /// let (quota, clock) = ("1/min".parse()?, ManualClock::new()); // a test of several workers
    /// let worker = || KeyedLimiter::gcra(quota).clock(&clock).try_build_in(&region, "logins");
    /// let (one, other) = (worker()?, worker()?);
    /// assert!(one.check("alice").is_allowed() && other.check("alice").is_denied());
    /// clock.advance(Duration::from_secs(60));
    /// assert!(other.check("alice").is_allowed());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As without a clock of one's own.
    pub fn try_build_in(
        self,
        region: &Region,
        name: &str,
    ) -> Result<KeyedLimiter<A, C>, ShareError> {
        let epoch = self.epoch.unwrap_or_else(|| self.clock.now());
        let asked = self.rule()?;
        let rule = share::with_room_there(region, name, asked)?;
        let layout = self.layout(rule)?;
        let wanted = Wanted {
            name,
            words: layout.len,
            room: rule.room_words(),
            epoch: epoch.as_u64(),
            about: share::about(&rule, self.capacity),
        };
        let store = |section: &Section| {
            Store::in_section(rule, layout, section, self.on_saturation).ok_or(ShareError::DAMAGED)
        };
        let section = region.section(&wanted, |section| {
            share::put(section, &self.quota);
            if let Ok(store) = store(section) {
                store.current().begin(rule.numbers());
            }
        })?;
        let store = store(&section)?;
        {
            let _locked = region.lock()?;
            share::agree(name, &section, &self.quota)?;
            // Whoever was killed while setting it may have noted this quota and no more.
            if store.current().get() != rule.numbers() {
                store.current().set(rule.numbers());
            }
        }
        Ok(KeyedLimiter {
            store,
            hasher: KeyHasher::pinned(region.seed()),
            clock: self.clock,
            capacity: self.capacity,
            quota: Mutex::new(self.quota),
            watch: Watch::new(self.watch),
            section: Some(section),
        })
    }
}
