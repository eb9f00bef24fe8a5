//! Leases: so many at a time of each key.

use crate::{
    boundary::{Plain, export},
    codes::*,
    decision::{Place, tollgate_bytes, tollgate_decision},
    handle::Handle,
    limiter::{
        TOLLGATE_FROM_EPOCH, TOLLGATE_SEEDED, Time, capacity, in_region, tollgate_gauges, unbuilt,
        when_full,
    },
    region::{HostClock, chosen, tollgate_region, unshared},
    sized::sized,
    status::{Code, Fault},
};
use std::{ffi::c_void, time::Duration};
use tollgate::{Clock, Decision, Lease, LeaseId, LeaseKey, LeaseLimiter, MonotonicClock, Nanos};

/// So many at a time of each of many keys: each a lease, which ends when it is released or
/// its time is over.
///
/// Threads: any number may use one at the same time. Only tollgate_leases_free must come
/// after all others.
pub struct tollgate_leases {
    limiter: LeaseLimiter<HostClock>,
    ttl: Duration,
    time: Time,
}

impl Handle for tollgate_leases {
    const NAME: &'static str = "tollgate_leases";
}

/// Which lease. Plain bytes, the same on every machine: it may be kept anywhere, released
/// by any thread, and never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_lease {
    /// The library's own.
    pub bytes: [u8; 16],
}

// SAFETY: bytes.
unsafe impl Plain for tollgate_lease {}

impl tollgate_lease {
    pub(crate) const NONE: Self = Self { bytes: [0; 16] };

    pub(crate) fn new(id: LeaseId) -> Self {
        Self { bytes: id.to_bytes() }
    }

    pub(crate) fn get(self) -> LeaseId {
        LeaseId::from_bytes(self.bytes)
    }
}

/// What leases are kept in. All zeros but for `size` are the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_leases_options {
    /// sizeof(tollgate_leases_options)
    pub size: usize,
    /// TOLLGATE_WHEN_FULL_ALLOW (default) or TOLLGATE_WHEN_FULL_DENY.
    pub when_full: i32,
    /// TOLLGATE_SEEDED, TOLLGATE_FROM_EPOCH, or both.
    pub flags: u32,
    /// How many keys with leases there may be; 0 means 10000.
    pub capacity: u64,
    /// With TOLLGATE_SEEDED: where keys are put, the same in every run.
    pub seed: u64,
    /// With TOLLGATE_FROM_EPOCH: as in tollgate_limiter_options.
    pub epoch_ns: u64,
    /// As in tollgate_limiter_options: any process can release what another has.
    pub region: *const tollgate_region,
    /// As in tollgate_limiter_options.
    pub name: tollgate_bytes,
}

sized!(tollgate_leases_options from epoch_ns);

impl tollgate_leases_options {
    pub(crate) const NOTHING: Self = Self {
        size: 0,
        when_full: 0,
        flags: 0,
        capacity: 0,
        seed: 0,
        epoch_ns: 0,
        region: std::ptr::null(),
        name: tollgate_bytes::NONE,
    };
}

impl tollgate_leases {
    #[inline(always)]
    fn time(&self, now_ns: u64) -> Result<Nanos, Fault> {
        if now_ns != TOLLGATE_NOW {
            return Ok(Nanos::new(now_ns));
        }
        self.time.may_be_read()?;
        Ok(self.limiter.clock().now())
    }

    fn acquire(key: LeaseKey<'_, HostClock>, now: Nanos) -> (Decision, tollgate_lease) {
        match key.acquire_at(now).map(|lease| (lease.decision(), Lease::detach(lease))) {
            Ok((decision, id)) => (decision, tollgate_lease::new(id)),
            Err(denied) => (denied, tollgate_lease::NONE),
        }
    }
}

export! {
    /// Makes a limiter of `leases` at a time for each key, each for `ttl_ns` nanoseconds at
    /// most (in milliseconds, rounded up), and puts it into `limiter`, which is NULL after an error. `options` may be NULL.
    /// It is the caller's, for tollgate_leases_free.
    ///
    /// Errors: TOLLGATE_ERROR_BUILD, _MEMORY, _REGION, _UNSUPPORTED. Threads: any.
    fn tollgate_leases_new(
        leases: u64,
        ttl_ns: u64,
        options: *const tollgate_leases_options,
        limiter: *mut *mut tollgate_leases,
    ) -> i32 {
        limiter.clear()?;
        let options =
            if options.is_null() { tollgate_leases_options::NOTHING } else { options.known()? };
        if options.flags & !(TOLLGATE_SEEDED | TOLLGATE_FROM_EPOCH) != 0 {
            return Err(Fault::Unknown);
        }
        let ttl = Duration::from_nanos(ttl_ns);
        let mut builder =
            LeaseLimiter::at_most(leases, ttl).on_saturation(when_full(options.when_full)?);
        if let Some(keys) = capacity(options.capacity)? {
            builder = builder.capacity(keys);
        }
        if options.flags & TOLLGATE_SEEDED != 0 {
            builder = builder.seed(options.seed);
        }
        if options.flags & TOLLGATE_FROM_EPOCH != 0 {
            builder = builder.epoch(Nanos::new(options.epoch_ns));
        }
        let built = match chosen(options.region, &options.name)? {
            None => {
                let clock = HostClock::Own(MonotonicClock::new());
                builder.clock(clock).try_build().map_err(unbuilt)?
            }
            Some(_) if options.flags != 0 => return Err(in_region()),
            Some((region, name)) => {
                let builder = builder.clock(HostClock::Region(region.clock())).epoch(Nanos::ZERO);
                builder.try_build_in(region, name).map_err(unshared)?
            }
        };
        limiter.give(tollgate_leases {
            limiter: built,
            ttl,
            time: Time::of(options.flags),
        })
    }
}

export! {
    /// Ends a limiter of leases; NULL is passed over. Nobody may use it during this call or
    /// after it.
    fn tollgate_leases_free(limiter: *mut tollgate_leases) {
        limiter.free();
    }
}

export! {
    /// The limiter's clock in nanoseconds, for `now_ns`. 0 if `limiter` is NULL, or made with
    /// TOLLGATE_FROM_EPOCH. Threads: any.
    fn tollgate_leases_now(limiter: *const tollgate_leases) -> u64 {
        match limiter.get() {
            Ok(limiter) if limiter.time == Time::Ours => limiter.limiter.clock().now().as_u64(),
            _ => 0,
        }
    }
}

export! {
    /// Asks for a lease of a key at `now_ns` or TOLLGATE_NOW. TOLLGATE_ALLOWED: it is in
    /// `lease`, and held until it is released or its time is over. TOLLGATE_LATER: there are
    /// as many already, and `lease` is all zeros. `decision` may be NULL. Where its flags have
    /// TOLLGATE_UNACCOUNTED, the table is full: the lease is not counted, and releasing it says
    /// TOLLGATE_GONE.
    ///
    /// Threads: any.
    fn tollgate_leases_acquire(
        limiter: *const tollgate_leases,
        key: *const c_void,
        length: usize,
        now_ns: u64,
        lease: *mut tollgate_lease,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = key.bytes(length)?;
        lease.placed()?;
        let place = Place::of(&decision)?;
        let now = limiter.time(now_ns)?;
        let (answer, id) = tollgate_leases::acquire(limiter.limiter.key(key), now);
        lease.put(id)?;
        place.tell(&decision, &answer)
    }
}

export! {
    /// As tollgate_leases_acquire, for a key that the caller has hashed.
    fn tollgate_leases_acquire_hash(
        limiter: *const tollgate_leases,
        hash: u64,
        now_ns: u64,
        lease: *mut tollgate_lease,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        lease.placed()?;
        let place = Place::of(&decision)?;
        let now = limiter.time(now_ns)?;
        let (answer, id) = tollgate_leases::acquire(limiter.limiter.hashed(hash), now);
        lease.put(id)?;
        place.tell(&decision, &answer)
    }
}

export! {
    /// How many leases of a key could be had at `now_ns` or TOLLGATE_NOW. Threads: any.
    fn tollgate_leases_peek(
        limiter: *const tollgate_leases,
        key: *const c_void,
        length: usize,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = key.bytes(length)?;
        let place = Place::of(&decision)?;
        let answer = limiter.limiter.peek_at(key, limiter.time(now_ns)?);
        place.tell(&decision, &answer)
    }
}

export! {
    /// As tollgate_leases_peek, for a key that the caller has hashed.
    fn tollgate_leases_peek_hash(
        limiter: *const tollgate_leases,
        hash: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let place = Place::of(&decision)?;
        let answer = limiter.limiter.hashed(hash).peek_at(limiter.time(now_ns)?);
        place.tell(&decision, &answer)
    }
}

export! {
    /// Holds a lease for `ttl_ns` more from `now_ns` or TOLLGATE_NOW on; 0 means the
    /// limiter's own time. TOLLGATE_GONE if it was over already.
    ///
    /// Errors: TOLLGATE_ERROR_ROOM if `ttl_ns` is longer than the limiter's. Threads: any.
    fn tollgate_leases_renew(
        limiter: *const tollgate_leases,
        lease: *const tollgate_lease,
        ttl_ns: u64,
        now_ns: u64,
    ) -> i32 {
        let limiter = limiter.get()?;
        let id = lease.copied()?.get();
        let ttl = if ttl_ns == 0 { limiter.ttl } else { Duration::from_nanos(ttl_ns) };
        let renewed = limiter.limiter.renew_at(id, ttl, limiter.time(now_ns)?);
        Ok(Code::there_was(renewed.map_err(|error| Fault::Room.because(&error))?))
    }
}

export! {
    /// Ends a lease at `now_ns` or TOLLGATE_NOW. TOLLGATE_GONE if it was over already, which
    /// does no harm. Threads: any.
    fn tollgate_leases_release(
        limiter: *const tollgate_leases,
        lease: *const tollgate_lease,
        now_ns: u64,
    ) -> i32 {
        let limiter = limiter.get()?;
        let id = lease.copied()?.get();
        Ok(Code::there_was(limiter.limiter.release_at(id, limiter.time(now_ns)?)))
    }
}

export! {
    /// Ends all leases of a key; how many is put into `count`, which may be NULL.
    /// Threads: any.
    fn tollgate_leases_release_all(
        limiter: *const tollgate_leases,
        key: *const c_void,
        length: usize,
        now_ns: u64,
        count: *mut u64,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = key.bytes(length)?;
        if !count.is_null() {
            count.placed()?;
        }
        let ended = limiter.limiter.key(key).release_all_at(limiter.time(now_ns)?);
        if !count.is_null() {
            count.put(ended)?;
        }
        Ok(Code::OK)
    }
}

export! {
    /// As tollgate_leases_release_all, for a key that the caller has hashed.
    fn tollgate_leases_release_all_hash(
        limiter: *const tollgate_leases,
        hash: u64,
        now_ns: u64,
        count: *mut u64,
    ) -> i32 {
        let limiter = limiter.get()?;
        if !count.is_null() {
            count.placed()?;
        }
        let ended = limiter.limiter.hashed(hash).release_all_at(limiter.time(now_ns)?);
        if !count.is_null() {
            count.put(ended)?;
        }
        Ok(Code::OK)
    }
}

export! {
    /// How full the limiter is at `now_ns` or TOLLGATE_NOW. Takes microseconds. Threads: any.
    fn tollgate_leases_gauges(
        limiter: *const tollgate_leases,
        now_ns: u64,
        gauges: *mut tollgate_gauges,
    ) -> i32 {
        let limiter = limiter.get()?;
        let room = gauges.room()?;
        let known = limiter.limiter.gauges_at(limiter.time(now_ns)?);
        let (capacity, memory) = (limiter.limiter.capacity(), limiter.limiter.memory());
        gauges.fill(room, tollgate_gauges::new(&known, capacity, memory));
        Ok(Code::OK)
    }
}
