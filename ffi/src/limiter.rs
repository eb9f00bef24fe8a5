//! Keyed limiters: how they are made and asked about themselves.

use crate::{
    boundary::{In, Out, Plain, export},
    codes::*,
    decision::{tollgate_bytes, tollgate_quota},
    handle::Handle,
    region::{HostClock, chosen, tollgate_region, unshared},
    sized::sized,
    status::{Code, Fault},
};
use std::{ffi::c_char, time::Duration};
use tollgate::{
    Algorithm, BuildError, Clock, DeniedKey, Gcra, KeyedBuilder, KeyedLimiter, MonotonicClock,
    Nanos, OnSaturation, Quota, SlidingCounter, SlidingLog,
};

/// An algorithm: smooth traffic with a burst, one word a key.
pub const TOLLGATE_GCRA: i32 = 0;
/// An algorithm: never more than the units in any window, one word per unit.
pub const TOLLGATE_SLIDING_LOG: i32 = 1;
/// An algorithm: about the units in any window, two counts, for large limits.
pub const TOLLGATE_SLIDING_COUNTER: i32 = 2;

/// When a table is full of live keys, a new key passes, unaccounted.
pub const TOLLGATE_WHEN_FULL_ALLOW: i32 = 0;
/// When a table is full of live keys, a new key is denied.
pub const TOLLGATE_WHEN_FULL_DENY: i32 = 1;

/// A flag of options: `seed` is to be used. Else the table's hash is seeded at random.
pub const TOLLGATE_SEEDED: u32 = 1;
/// A flag of options: time counts from `epoch_ns`, not from when the handle is made. For those
/// who give `now_ns` by a clock of their own: then always, and TOLLGATE_NOW is an error.
pub const TOLLGATE_FROM_EPOCH: u32 = 2;
/// A flag of options: decisions are counted, for tollgate_limiter_counts.
pub const TOLLGATE_COUNT: u32 = 4;

/// One limit on each of many keys; its memory is fixed when it is made.
///
/// Threads: any number may use one at the same time, without a lock of theirs. Only
/// tollgate_limiter_free must come after all others.
pub struct tollgate_limiter(pub(crate) Any, pub(crate) Time);

impl Handle for tollgate_limiter {
    const NAME: &'static str = "tollgate_limiter";
}

/// Whose clock a handle goes by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// Its own, or its region's: the caller may leave it to that.
    Ours,
    /// The caller's, with an epoch of the caller's.
    Given,
}

impl Time {
    pub(crate) const fn of(flags: u32) -> Self {
        if flags & TOLLGATE_FROM_EPOCH == 0 { Self::Ours } else { Self::Given }
    }

    /// Whether the clock may be left to the handle.
    #[inline(always)]
    pub(crate) fn may_be_read(self) -> Result<(), Fault> {
        if self == Self::Given { Err(unread()) } else { Ok(()) }
    }
}

#[cold]
fn unread() -> Fault {
    Fault::Unsupported.because(&"made with TOLLGATE_FROM_EPOCH: its time must be given, always")
}

/// A limiter of one of the algorithms.
pub(crate) enum Any {
    Gcra(KeyedLimiter<Gcra, HostClock>),
    Log(KeyedLimiter<SlidingLog, HostClock>),
    Counter(KeyedLimiter<SlidingCounter, HostClock>),
}

/// Does the same with whichever it is.
macro_rules! whichever {
    ($any:expr, $limiter:ident => $what:expr) => {
        match $any {
            $crate::limiter::Any::Gcra($limiter) => $what,
            $crate::limiter::Any::Log($limiter) => $what,
            $crate::limiter::Any::Counter($limiter) => $what,
        }
    };
}
pub(crate) use whichever;

impl tollgate_limiter {
    /// The time given, or now.
    #[inline(always)]
    pub(crate) fn time(&self, now_ns: u64) -> Result<Nanos, Fault> {
        if now_ns != TOLLGATE_NOW {
            return Ok(Nanos::new(now_ns));
        }
        self.1.may_be_read()?;
        Ok(whichever!(&self.0, limiter => limiter.clock().now()))
    }
}

/// What a limiter is made of beside its quota. All zeros but for `size` are the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_limiter_options {
    /// sizeof(tollgate_limiter_options)
    pub size: usize,
    /// TOLLGATE_GCRA (default), TOLLGATE_SLIDING_LOG or TOLLGATE_SLIDING_COUNTER.
    pub algorithm: i32,
    /// TOLLGATE_WHEN_FULL_ALLOW (default) or TOLLGATE_WHEN_FULL_DENY.
    pub when_full: i32,
    /// How many live keys there may be; 0 means 10000.
    pub capacity: u64,
    /// TOLLGATE_SEEDED, TOLLGATE_FROM_EPOCH, TOLLGATE_COUNT, or several.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// With TOLLGATE_SEEDED: where keys are put, the same in every run.
    pub seed: u64,
    /// With TOLLGATE_FROM_EPOCH: an instant of the caller's clock, in nanoseconds, from
    /// which on instants are told apart for 18 years.
    pub epoch_ns: u64,
    /// GCRA: the longest that a reservation may wait, in nanoseconds; 0 means as long as a
    /// spent burst takes to come back.
    pub longest_wait_ns: u64,
    /// Quotas that tollgate_limiter_set_quota is to have room for, or NULL.
    pub room_for: *const tollgate_quota,
    /// How many those are.
    pub room_for_count: usize,
    /// Where the limiter is to be, for all processes that make it there; or NULL. Then it has
    /// the region's clock, hash and epoch, and TOLLGATE_SEEDED and TOLLGATE_FROM_EPOCH are
    /// errors. It must be asked for with the algorithm, capacity, `room_for` and longest wait
    /// that it has there, and with the quota that it has now, which tollgate_limiter_set_quota
    /// may have changed.
    pub region: *const tollgate_region,
    /// What it is called there.
    pub name: tollgate_bytes,
    /// How many of the keys denied most are remembered, for tollgate_limiter_denied_most: at
    /// most 1024, or 0 for none. Each denial then takes a little longer.
    pub remember_denied: usize,
}

sized!(tollgate_limiter_options from room_for);

impl tollgate_limiter_options {
    pub(crate) const NOTHING: Self = Self {
        size: 0,
        algorithm: 0,
        when_full: 0,
        capacity: 0,
        flags: 0,
        reserved: 0,
        seed: 0,
        epoch_ns: 0,
        longest_wait_ns: 0,
        room_for: std::ptr::null(),
        room_for_count: 0,
        region: std::ptr::null(),
        name: tollgate_bytes::NONE,
        remember_denied: 0,
    };

    fn prepare<A>(&self, mut builder: KeyedBuilder<A>) -> Result<KeyedBuilder<A>, Fault> {
        if self.flags & !(TOLLGATE_SEEDED | TOLLGATE_FROM_EPOCH | TOLLGATE_COUNT) != 0
            || self.reserved != 0
        {
            return Err(Fault::Unknown);
        }
        if let Some(keys) = capacity(self.capacity)? {
            builder = builder.capacity(keys);
        }
        if self.flags & TOLLGATE_SEEDED != 0 {
            builder = builder.seed(self.seed);
        }
        if self.flags & TOLLGATE_FROM_EPOCH != 0 {
            builder = builder.epoch(Nanos::new(self.epoch_ns));
        }
        for quota in In::of_field(self.room_for, self).slice(self.room_for_count)? {
            builder = builder.room_for(quota.get()?);
        }
        Ok(builder
            .on_saturation(when_full(self.when_full)?)
            .count_decisions(self.flags & TOLLGATE_COUNT != 0)
            .remember_denied(self.remember_denied))
    }

    fn built<A: Algorithm>(
        &self,
        builder: KeyedBuilder<A>,
    ) -> Result<KeyedLimiter<A, HostClock>, Fault> {
        let Some((region, name)) = chosen(self.region, &self.name)? else {
            let clock = HostClock::Own(MonotonicClock::new());
            return builder.clock(clock).try_build().map_err(unbuilt);
        };
        if self.flags & (TOLLGATE_SEEDED | TOLLGATE_FROM_EPOCH) != 0 {
            return Err(in_region());
        }
        let builder = builder.clock(HostClock::Region(region.clock())).epoch(Nanos::ZERO);
        builder.try_build_in(region, name).map_err(unshared)
    }

    fn build(&self, quota: Quota) -> Result<Any, Fault> {
        Ok(match self.algorithm {
            TOLLGATE_GCRA => {
                let mut builder = self.prepare(KeyedLimiter::gcra(quota))?;
                if self.longest_wait_ns > 0 {
                    builder = builder.longest_wait(Duration::from_nanos(self.longest_wait_ns));
                }
                Any::Gcra(self.built(builder)?)
            }
            TOLLGATE_SLIDING_LOG => {
                Any::Log(self.built(self.prepare(KeyedLimiter::sliding_log(quota))?)?)
            }
            TOLLGATE_SLIDING_COUNTER => {
                Any::Counter(self.built(self.prepare(KeyedLimiter::sliding_counter(quota))?)?)
            }
            _ => return Err(Fault::Unknown),
        })
    }
}

/// A region has an epoch and a hash of its own.
pub(crate) fn in_region() -> Fault {
    let why = "neither TOLLGATE_SEEDED nor TOLLGATE_FROM_EPOCH can be had in a region";
    Fault::Unsupported.because(&why)
}

/// 0 is the default; `None`.
pub(crate) fn capacity(keys: u64) -> Result<Option<usize>, Fault> {
    if keys == 0 {
        return Ok(None);
    }
    usize::try_from(keys).map(Some).map_err(|_| Fault::Build.because(&"too many keys"))
}

pub(crate) fn when_full(code: i32) -> Result<OnSaturation, Fault> {
    match code {
        TOLLGATE_WHEN_FULL_ALLOW => Ok(OnSaturation::Allow),
        TOLLGATE_WHEN_FULL_DENY => Ok(OnSaturation::Deny),
        _ => Err(Fault::Unknown),
    }
}

pub(crate) fn unbuilt(error: BuildError) -> Fault {
    let fault = match error {
        BuildError::OutOfMemory { .. } => Fault::Memory,
        _ => Fault::Build,
    };
    fault.because(&error)
}

fn make(
    quota: Quota,
    options: In<'_, tollgate_limiter_options>,
    limiter: Out<'_, *mut tollgate_limiter>,
) -> Result<Code, Fault> {
    let options =
        if options.is_null() { tollgate_limiter_options::NOTHING } else { options.known()? };
    limiter.give(tollgate_limiter(options.build(quota)?, Time::of(options.flags)))
}

export! {
    /// Makes a limiter of a quota's text, such as "10/min" or "100/s burst 20", and puts it
    /// into `limiter`, which is NULL after an error. `options` may be NULL. It is the
    /// caller's, for tollgate_limiter_free.
    ///
    /// Errors: TOLLGATE_ERROR_QUOTA, _BUILD, _MEMORY, _REGION, _UNSUPPORTED. Threads: any.
    fn tollgate_limiter_new(
        quota: *const c_char,
        length: usize,
        options: *const tollgate_limiter_options,
        limiter: *mut *mut tollgate_limiter,
    ) -> i32 {
        limiter.clear()?;
        let quota: Quota = quota
            .text(length)?
            .parse()
            .map_err(|error| Fault::Quota.because(&error))?;
        make(quota, options, limiter)
    }
}

export! {
    /// As tollgate_limiter_new, of a quota in numbers.
    fn tollgate_limiter_new_of(
        quota: *const tollgate_quota,
        options: *const tollgate_limiter_options,
        limiter: *mut *mut tollgate_limiter,
    ) -> i32 {
        limiter.clear()?;
        make(quota.copied()?.get()?, options, limiter)
    }
}

export! {
    /// Ends a limiter; NULL is passed over. Nobody may use it during this call or after it.
    fn tollgate_limiter_free(limiter: *mut tollgate_limiter) {
        limiter.free();
    }
}

export! {
    /// Replaces the quota of all keys, from the next decision on; what was charged before
    /// stays charged. There must be room for it (`room_for`).
    ///
    /// Errors: TOLLGATE_ERROR_QUOTA, _ROOM. Threads: any, at any time.
    fn tollgate_limiter_set_quota(
        limiter: *const tollgate_limiter,
        quota: *const tollgate_quota,
    ) -> i32 {
        let limiter = limiter.get()?;
        let quota = quota.copied()?.get()?;
        whichever!(&limiter.0, limiter => limiter.set_quota(quota))
            .map_err(|error| Fault::Room.because(&error))?;
        Ok(Code::OK)
    }
}

export! {
    /// The quota that keys have now. Threads: any.
    fn tollgate_limiter_quota(
        limiter: *const tollgate_limiter,
        quota: *mut tollgate_quota,
    ) -> i32 {
        let present = whichever!(&limiter.get()?.0, limiter => limiter.quota());
        quota.put(tollgate_quota::new(&present))?;
        Ok(Code::OK)
    }
}

export! {
    /// The limiter's clock in nanoseconds, for `now_ns`: who checks often may read it once.
    /// 0 if `limiter` is NULL, or made with TOLLGATE_FROM_EPOCH. Threads: any.
    fn tollgate_limiter_now(limiter: *const tollgate_limiter) -> u64 {
        match limiter.get() {
            Ok(limiter) if limiter.1 == Time::Ours => {
                whichever!(&limiter.0, limiter => limiter.clock().now()).as_u64()
            }
            _ => 0,
        }
    }
}

/// How full a limiter is. `size` is set by the caller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_gauges {
    /// sizeof(tollgate_gauges)
    pub size: usize,
    /// Keys that are not as good as new: exact in small tables, an estimate in large ones.
    pub live_keys: u64,
    /// Places for keys.
    pub slots: u64,
    /// How often a new key found no place.
    pub saturated: u64,
    /// How many live keys it was made for.
    pub capacity: u64,
    /// Bytes of memory, all taken when it was made.
    pub memory: u64,
}

sized!(tollgate_gauges from memory);

impl tollgate_gauges {
    pub(crate) const NOTHING: Self =
        Self { size: 0, live_keys: 0, slots: 0, saturated: 0, capacity: 0, memory: 0 };

    pub(crate) fn new(gauges: &tollgate::Gauges, capacity: usize, memory: usize) -> Self {
        let [live_keys, slots, capacity, memory] =
            [gauges.live_keys(), gauges.slots(), capacity, memory].map(|n| n as u64);
        Self { size: 0, live_keys, slots, saturated: gauges.saturated(), capacity, memory }
    }
}

export! {
    /// How full the limiter is at `now_ns`, or TOLLGATE_NOW. Takes microseconds: not for
    /// every request. Threads: any.
    fn tollgate_limiter_gauges(
        limiter: *const tollgate_limiter,
        now_ns: u64,
        gauges: *mut tollgate_gauges,
    ) -> i32 {
        let limiter = limiter.get()?;
        let room = gauges.room()?;
        let now = limiter.time(now_ns)?;
        gauges.fill(room, whichever!(&limiter.0, limiter => {
            tollgate_gauges::new(&limiter.gauges_at(now), limiter.capacity(), limiter.memory())
        }));
        Ok(Code::OK)
    }
}

/// Decisions since a limiter was made. `size` is set by the caller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_counts {
    /// sizeof(tollgate_counts)
    pub size: usize,
    /// Allowed.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
    /// Of both, those that were not accounted.
    pub unaccounted: u64,
}

sized!(tollgate_counts from unaccounted);

impl tollgate_counts {
    pub(crate) const NOTHING: Self = Self { size: 0, allowed: 0, denied: 0, unaccounted: 0 };
}

export! {
    /// How many decisions there were, if the limiter was made with TOLLGATE_COUNT.
    ///
    /// Errors: TOLLGATE_ERROR_UNSUPPORTED if not. Threads: any.
    fn tollgate_limiter_counts(
        limiter: *const tollgate_limiter,
        counts: *mut tollgate_counts,
    ) -> i32 {
        let limiter = limiter.get()?;
        let room = counts.room()?;
        let known = whichever!(&limiter.0, limiter => limiter.counts());
        let known = known.ok_or(Fault::Unsupported)?;
        counts.fill(room, tollgate_counts {
            size: 0,
            allowed: known.allowed,
            denied: known.denied,
            unaccounted: known.unaccounted,
        });
        Ok(Code::OK)
    }
}

/// One of the keys denied most. Never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_denied {
    /// The key's bytes, at most the first 63, which stand for all keys that begin so; of a key
    /// that the caller hashed, the hash's eight bytes in little-endian order. NULs follow.
    pub name: [u8; 64],
    /// How many of them it has.
    pub length: usize,
    /// How often it was denied, or somewhat more: never too few of those that were denied much.
    pub denials: u64,
    /// At most so many of `denials` were another key's.
    pub excess: u64,
    /// 1 if the caller hashed it, else 0.
    pub hashed: u64,
}

// SAFETY: bytes and integers.
unsafe impl Plain for tollgate_denied {}

impl tollgate_denied {
    fn new(key: &DeniedKey) -> Self {
        let mut name = [0; 64];
        for (place, byte) in name.iter_mut().zip(key.name()) {
            *place = *byte;
        }
        Self {
            name,
            length: key.name().len(),
            denials: key.denials(),
            excess: key.excess(),
            hashed: key.hash().is_some().into(),
        }
    }
}

export! {
    /// The keys denied most, most denied first, if the limiter was made with
    /// `remember_denied`: up to `capacity` of them into the array `denied`, and into `count`
    /// how many were put there. Allocates. Threads: any.
    fn tollgate_limiter_denied_most(
        limiter: *const tollgate_limiter,
        denied: *mut tollgate_denied,
        capacity: usize,
        count: *mut usize,
    ) -> i32 {
        let limiter = &limiter.get()?.0;
        count.put(0)?;
        let array = denied.array(capacity)?;
        let known = whichever!(limiter, limiter => limiter.denied_most());
        for (nth, key) in known.iter().take(capacity).enumerate() {
            array.set(nth, tollgate_denied::new(key));
        }
        count.put(known.len().min(capacity))?;
        Ok(Code::OK)
    }
}
