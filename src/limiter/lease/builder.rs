//! [`LeaseBuilder`]: what a [`LeaseLimiter`] is made of.

use super::LeaseLimiter;
use crate::{
    algorithm::{Leases, MAX_LEASES},
    limiter::{BuildError, DefaultClock, OnSaturation, hash::KeyHasher},
    table::{
        Table,
        geometry::{Layout, Wide},
        rule::Rule,
    },
    time::{Clock, MonotonicClock, Nanos, epoch_within, ticks_of},
};
#[cfg(feature = "shared")]
use crate::{
    limiter::{
        ShareError,
        share::{self, Roomy},
    },
    region::{Region, RegionClock, Wanted},
};
use std::time::Duration;

/// Builds a [`LeaseLimiter`]; made by [`LeaseLimiter::at_most`].
#[derive(Clone, Debug)]
#[must_use = "a builder limits nothing until `try_build`"]
pub struct LeaseBuilder<C = DefaultClock> {
    leases: u64,
    ttl: Duration,
    clock: C,
    epoch: Option<Nanos>,
    capacity: usize,
    seed: Option<u64>,
    on_saturation: OnSaturation,
    room: (u64, Duration),
}

impl LeaseBuilder {
    pub(super) fn new(leases: u64, ttl: Duration) -> Self {
        Self {
            leases,
            ttl,
            clock: DefaultClock,
            epoch: None,
            capacity: 10_000,
            seed: None,
            on_saturation: OnSaturation::default(),
            room: (0, Duration::ZERO),
        }
    }
}

impl<C> LeaseBuilder<C> {
    /// How many keys may have live leases at once; 10,000 unless given.
    pub fn capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// What a new key is told when it finds no slot; [`OnSaturation::Allow`]
    /// unless given. It then has a lease that is not
    /// [accounted](crate::LeaseId::is_accounted).
    pub fn on_saturation(mut self, answer: OnSaturation) -> Self {
        self.on_saturation = answer;
        self
    }

    /// Makes room for so many leases of a key, and for such a time, to be used for
    /// [one call](crate::LeaseKey). The largest of both count if it is given more than once.
    /// Each lease takes memory in every slot, and a look at each decision.
    pub fn room_for(mut self, leases: u64, ttl: Duration) -> Self {
        self.room = (self.room.0.max(leases), self.room.1.max(ttl));
        self
    }

    /// Makes placement and collisions the same in every run: see
    /// [`KeyedBuilder::seed`](crate::KeyedBuilder::seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The clock to read; a [`MonotonicClock`] unless given. It may be borrowed
    /// or in an `Arc`.
    pub fn clock<D: Clock>(self, clock: D) -> LeaseBuilder<D> {
        LeaseBuilder {
            leases: self.leases,
            ttl: self.ttl,
            clock,
            epoch: self.epoch,
            capacity: self.capacity,
            seed: self.seed,
            on_saturation: self.on_saturation,
            room: self.room,
        }
    }

    /// The instant from which the limiter counts (see
    /// [`Limiter`](crate::Limiter#range)): by default, the clock's reading when
    /// the limiter is built.
    pub fn epoch(mut self, epoch: Nanos) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Bytes that the limiter will allocate.
    ///
    /// # Errors
    ///
    /// As [`try_build`](LeaseBuilder::try_build), without allocating.
    pub fn memory(&self) -> Result<usize, BuildError> {
        Ok(self.layout(&self.rule()?)?.bytes())
    }

    fn rule(&self) -> Result<Leases, BuildError> {
        let entries = self.leases.max(self.room.0);
        if self.leases == 0 || entries > MAX_LEASES {
            return Err(BuildError::LeasesOutOfRange { leases: entries });
        }
        let ttl = if self.ttl.is_zero() { self.ttl } else { self.ttl.max(self.room.1) };
        Leases::new(self.leases, ticks_of(self.ttl), entries, ticks_of(ttl))
            .ok_or(BuildError::LeaseTimeOutOfRange { ttl })
    }

    fn layout(&self, rule: &Leases) -> Result<Layout, BuildError> {
        if self.capacity == 0 {
            return Err(BuildError::ZeroCapacity);
        }
        Layout::for_keys::<Wide>(self.capacity, rule.ring_words())
            .ok_or(BuildError::CapacityTooLarge { keys: self.capacity })
    }
}

impl LeaseBuilder {
    /// Builds the limiter with a new [`MonotonicClock`].
    ///
    /// # Errors
    ///
    /// No leases or more than 65,535, no time or more than
    /// [`Quota::LONGEST_DEBT`](crate::Quota::LONGEST_DEBT), a capacity of zero or beyond
    /// what can be addressed, or no memory.
    pub fn try_build(self) -> Result<LeaseLimiter, BuildError> {
        self.clock(MonotonicClock::new()).try_build()
    }
}

impl<C: Clock> LeaseBuilder<C> {
    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// No leases or more than 65,535, no time or more than
    /// [`Quota::LONGEST_DEBT`](crate::Quota::LONGEST_DEBT), a capacity of zero or beyond
    /// what can be addressed, or no memory.
    pub fn try_build(self) -> Result<LeaseLimiter<C>, BuildError> {
        let rule = self.rule()?;
        let layout = self.layout(&rule)?;
        let table = Table::on_heap(rule, layout)
            .map_err(|_| BuildError::OutOfMemory { bytes: layout.bytes() })?;
        let clock = self.clock;
        let last = rule.last_now();
        let epoch = epoch_within(self.epoch.unwrap_or_else(|| clock.now()), last);
        let hasher = self.seed.map_or_else(KeyHasher::random, KeyHasher::with_seed);
        let (on_saturation, capacity) = (self.on_saturation, self.capacity);
        Ok(LeaseLimiter { table, hasher, clock, epoch, last, on_saturation, capacity })
    }
}

#[cfg(feature = "shared")]
impl LeaseBuilder {
    /// Builds the limiter in a region, under a name: made, or attached to if it is
    /// there. It reads the [region's clock](RegionClock), and ids of leases find them from
    /// every process. What a killed process had ends by itself.
    ///
    /// # Errors
    ///
    /// As [`KeyedBuilder::try_build_in`](crate::KeyedBuilder::try_build_in).
    pub fn try_build_in(
        self,
        region: &Region,
        name: &str,
    ) -> Result<LeaseLimiter<RegionClock>, ShareError> {
        self.clock(region.clock()).epoch(Nanos::ZERO).try_build_in(region, name)
    }
}

#[cfg(feature = "shared")]
impl<C: Clock> LeaseBuilder<C> {
    /// Builds the limiter in a region, under a name, with a clock of one's own: its
    /// readings must be those of every process. The epoch is that of who made it.
    ///
    /// # Errors
    ///
    /// As without a clock of one's own.
    pub fn try_build_in(self, region: &Region, name: &str) -> Result<LeaseLimiter<C>, ShareError> {
        let rule = share::with_room_there(region, name, self.rule()?)?;
        let layout = self.layout(&rule)?;
        let clock = self.clock;
        let wanted = Wanted {
            name,
            words: layout.len,
            room: rule.room_words(),
            epoch: self.epoch.unwrap_or_else(|| clock.now()).as_u64(),
            about: share::about(&rule, self.capacity),
        };
        let section = region.section(&wanted, |_| {})?;
        let table = section.table().and_then(|words| Table::in_memory(rule, layout, words));
        let table = table.ok_or(ShareError::DAMAGED)?;
        let last = rule.last_now();
        let epoch = epoch_within(Nanos::new(section.epoch()), last);
        let hasher = KeyHasher::pinned(region.seed());
        let (on_saturation, capacity) = (self.on_saturation, self.capacity);
        Ok(LeaseLimiter { table, hasher, clock, epoch, last, on_saturation, capacity })
    }
}
