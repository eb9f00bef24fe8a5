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
///
/// ```
/// use std::time::Duration;
/// use tollgate::{LeaseLimiter, OnSaturation};
///
/// let uploads = LeaseLimiter::at_most(2, Duration::from_secs(30))
///     .capacity(5000)
///     .on_saturation(OnSaturation::Deny)
///     .room_for(10, Duration::from_secs(600)) // of those who pay
///     .try_build()?;
/// let premium = uploads.key("alice").at_most(10)?.ttl(Duration::from_secs(600))?;
/// assert!(premium.acquire().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .capacity(100)
    ///     .seed(1)
    ///     .try_build()?;
    /// // Keys whose leases are given back make room: any number, one after another.
    /// for user in 0..10_000 {
    ///     assert!(jobs.hashed(user).acquire().is_ok());
    ///     jobs.clock().advance(Duration::from_millis(20));
    /// }
    /// assert_eq!(jobs.saturated(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// What a new key is told when it finds no slot; [`OnSaturation::Allow`]
    /// unless given. It then has a lease that is not
    /// [accounted](crate::LeaseId::is_accounted).
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, OnSaturation};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .capacity(10)
    ///     .on_saturation(OnSaturation::Deny)
    ///     .try_build()?;
    /// let held: Vec<_> = (0..100).map(|user| jobs.hashed(user).acquire()).collect();
    /// let denied = held.iter().find_map(|answer| answer.as_ref().err()).ok_or("room for all")?;
    /// // Nobody may be let in before a slot is free, up to a second after its last lease.
    /// assert_eq!((denied.is_accounted(), denied.retry_after_secs()), (false, Some(31)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_saturation(mut self, answer: OnSaturation) -> Self {
        self.on_saturation = answer;
        self
    }

    /// Makes room for so many leases of a key, and for such a time, to be used for
    /// [one call](crate::LeaseKey). The largest of both count if it is given more than once.
    /// Each lease takes memory in every slot, and a look at each decision.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let (short, long) = (Duration::from_secs(30), Duration::from_secs(600));
    /// let jobs = LeaseLimiter::at_most(2, short)
    ///     .clock(ManualClock::new())
    ///     .room_for(8, short)
    ///     .room_for(2, long)
    ///     .try_build()?;
    /// assert_eq!(jobs.peek("alice").limit(), 2); // unless the call says more
    /// assert_eq!(jobs.key("alice").at_most(8)?.ttl(long)?.peek().limit(), 8);
    /// assert!(jobs.key("alice").at_most(9).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn room_for(mut self, leases: u64, ttl: Duration) -> Self {
        self.room = (self.room.0.max(leases), self.room.1.max(ttl));
        self
    }

    /// Makes placement and collisions the same in every run: see
    /// [`KeyedBuilder::seed`](crate::KeyedBuilder::seed).
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let saturated = |seed| {
    ///     let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///         .clock(ManualClock::new())
    ///         .capacity(50)
    ///         .seed(seed)
    ///         .try_build()?;
    ///     let held: Vec<_> = (0..200).map(|user| jobs.hashed(user).acquire()).collect();
    ///     let first = held.iter().flatten().position(|lease| !lease.id().is_accounted());
    ///     Ok::<_, tollgate::BuildError>(first)
    /// };
    /// assert_eq!(saturated(7)?, saturated(7)?); // for a simulation that can be run again
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
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30)).clock(&clock).try_build()?;
    /// let id = jobs.acquire("alice").map(|lease| lease.detach());
    /// clock.advance(Duration::from_secs(30)); // a test of what a crash leaves, without waiting
    /// assert_eq!(id.map(|id| jobs.renew(id)), Ok(false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .epoch(Nanos::from_secs(1_767_225_600)) // the year 2026
    ///     .try_build()?;
    /// let now = Nanos::from_secs(1_790_000_000); // since 1970
    /// let lost = jobs.acquire_at("alice", now).map(|lease| lease.detach());
    /// let times = [29, 30].map(|secs| now.after(Duration::from_secs(secs)));
    /// assert_eq!(times.map(|now| jobs.peek_at("alice", now).remaining()), [0, 1]);
    /// # drop(lost);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn epoch(mut self, epoch: Nanos) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Bytes that the limiter will allocate.
    ///
    /// ```
    /// # use tollgate::LeaseLimiter;
    /// # use std::time::Duration;
    /// let of = |leases| {
    ///     let jobs = LeaseLimiter::at_most(leases, Duration::from_secs(30)).capacity(100_000);
    ///     jobs.memory().map(|bytes| bytes / 100_000)
    /// };
    /// assert_eq!((of(1)?, of(10)?, of(100)?), (35, 136, 1153)); // bytes a key
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use tollgate::LeaseLimiter;
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30)).try_build()?;
    /// assert!(jobs.acquire("alice").is_ok());
    ///
    /// let refused = LeaseLimiter::at_most(100_000, Duration::from_secs(30)).try_build();
    /// let message = refused.unwrap_err().to_string();
    /// assert_eq!(message, "a key may have 1 to 65535 leases at a time, not 100000");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use tollgate::{BuildError, LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let never = LeaseLimiter::at_most(2, Duration::ZERO).clock(ManualClock::new()).try_build();
    /// assert_eq!(never.err(), Some(BuildError::LeaseTimeOutOfRange { ttl: Duration::ZERO }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{LeaseLimiter, Region};
    ///
    /// # let path = std::env::temp_dir().join(format!("tollgate-doc-l-{}", std::process::id()));
    /// let region = Region::open(&path)?;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30));
    /// let one = jobs.clone().try_build_in(&region, "jobs")?;
    /// let other = jobs.try_build_in(&region, "jobs")?;
    /// let id = one.acquire("alice").map_err(|denied| denied.to_string())?.detach();
    /// assert_eq!(other.peek("alice").remaining(), 1);
    /// assert!(other.release(id)); // an id is good in every process
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock, Region};
    /// # use std::time::Duration;
    /// # let path = std::env::temp_dir().join(format!("tollgate-doc-h-{}", std::process::id()));
    /// # let region = Region::open(&path)?;
    /// let clock = ManualClock::new();
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30)).clock(&clock);
    /// let one = jobs.clone().try_build_in(&region, "jobs")?;
    /// let other = jobs.try_build_in(&region, "jobs")?;
    /// let killed = one.acquire("alice").map(|lease| lease.detach());
    /// clock.advance(Duration::from_secs(30));
    /// assert!(killed.is_ok() && other.acquire("alice").is_ok());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
