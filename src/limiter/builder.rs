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

    /// Makes room for another quota, to be used for [one call](crate::Key::quota)
    /// or [from some moment on](KeyedLimiter::set_quota). May be given more than
    /// once.
    ///
    /// GCRA has room for any quota whose spent burst takes no longer to come back
    /// (burst times emission interval) than that of the largest given; memory does
    /// not grow with it. The sliding log has room for the most units and the longest
    /// period of all that were given, and each unit takes memory in every slot. The
    /// sliding counter has room for any units, in windows of its one period.
    pub fn room_for(mut self, quota: Quota) -> Self {
        self.others.push(quota);
        self
    }

    /// Counts decisions by outcome ([`KeyedLimiter::counts`]). Off unless given:
    /// each decision then writes a word that few other threads write.
    pub fn count_decisions(mut self, yes: bool) -> Self {
        self.watch.counts = yes;
        self
    }

    /// Remembers the keys denied most since the limiter was built, in so many places
    /// (at most 1024; 0 for none) of 96 bytes, by their first 63 bytes ([`KeyedLimiter::denied_most`]). Off unless given: each denial then takes a
    /// lock for tens of nanoseconds, or is left uncounted where another thread
    /// has it; nobody waits, and allowed requests do not notice.
    pub fn remember_denied(mut self, places: usize) -> Self {
        self.watch.denied = places;
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
            others: self.others,
            longest_wait: self.longest_wait,
            watch: self.watch,
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

impl<C> KeyedBuilder<Gcra, C> {
    /// The longest that a [reservation](crate::Key::reserve) may wait, and how far
    /// beyond the largest burst a key may be brought by [`settle`](crate::Key::settle).
    /// Unless given, as long as the largest burst takes to come back, or what
    /// [`Quota::LONGEST_DEBT`] leaves.
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
