//! Regions: memory in which several processes have their limits together.

use crate::{
    boundary::{In, export},
    decision::tollgate_bytes,
    handle::Handle,
    limiter::unbuilt,
    policy::path,
    status::{Code, Fault},
};
use std::ffi::{c_char, c_void};
use tollgate::{Clock, MonotonicClock, Nanos, Region, RegionClock, RegionError, ShareError};

/// Memory that several processes have: a file, or memory of the host such as a zone of nginx.
/// Limiters, leases and policies are made in it by the `region` of their options; whoever
/// makes the same under the same name has the same states.
///
/// A process that is killed at any instant holds nobody up, and the key that it was at is as
/// before the request or as after it; its leases end after their time.
///
/// Threads: any number may use one at the same time. It may be freed before what was made in
/// it. After fork(), parent and child may both use it.
pub struct tollgate_region(pub(crate) Region);

impl Handle for tollgate_region {
    const NAME: &'static str = "tollgate_region";
}

/// The clock of a handle: its own, or that of the region it is in.
pub(crate) enum HostClock {
    Own(MonotonicClock),
    Region(RegionClock),
}

impl Clock for HostClock {
    #[inline]
    fn now(&self) -> Nanos {
        match self {
            Self::Own(clock) => clock.now(),
            Self::Region(clock) => clock.now(),
        }
    }

    #[inline]
    fn raw(&self) -> u64 {
        match self {
            Self::Own(clock) => clock.raw(),
            Self::Region(clock) => clock.raw(),
        }
    }

    #[inline]
    fn time(&self, raw: u64) -> Nanos {
        match self {
            Self::Own(clock) => clock.time(raw),
            Self::Region(clock) => clock.time(raw),
        }
    }
}

/// Where something is made: a region and a name in it, if options say so.
pub(crate) fn chosen(
    region: *const tollgate_region,
    name: &tollgate_bytes,
) -> Result<Option<(&Region, &str)>, Fault> {
    let region = In::of_field(region, name);
    if region.is_null() {
        return Ok(None);
    }
    Ok(Some((&region.get()?.0, name.text()?)))
}

fn wrong(error: &RegionError) -> Fault {
    Fault::Region.because(error)
}

pub(crate) fn unshared(error: ShareError) -> Fault {
    match error {
        ShareError::Build(error) => unbuilt(error),
        error => Fault::Region.because(&error),
    }
}

export! {
    /// Opens the region of the file of that name, or makes it, and puts it into `region`,
    /// which is NULL after an error. `mode` is that of a file which is made now, whatever the
    /// umask; 0 means 0600. A symbolic link is refused. Nobody else may write or shorten the file while it is in use: a
    /// shortened one ends its users by SIGBUS. Removing it is harmless: who has it open goes
    /// on with it, who comes later starts anew. In /dev/shm a region lives until the system restarts, elsewhere longer. It is
    /// the caller's, for tollgate_region_free.
    ///
    /// Errors: TOLLGATE_ERROR_REGION.
    /// Threads: any.
    fn tollgate_region_open(
        name: *const c_char,
        length: usize,
        mode: u32,
        region: *mut *mut tollgate_region,
    ) -> i32 {
        region.clear()?;
        let options = Region::options().mode(if mode == 0 { 0o600 } else { mode });
        let opened = options.open(path(name.bytes(length)?)?).map_err(|error| wrong(&error))?;
        region.give(tollgate_region(opened))
    }
}

export! {
    /// As tollgate_region_open, in `size` bytes of memory that several processes have: a
    /// mapping that was made before fork(), or a zone of nginx. Who comes first must find
    /// it all zeros; it is aligned to 128 bytes, and stays for as long as anything that is
    /// made in it. Nobody else reads or writes it.
    ///
    /// Each limiter takes its memory and two pages of 4096 bytes at most; the region itself
    /// takes one. How much memory that is, the same limiter without a region tells
    /// (tollgate_gauges).
    fn tollgate_region_in_memory(
        memory: *mut c_void,
        size: usize,
        region: *mut *mut tollgate_region,
    ) -> i32 {
        region.clear()?;
        region.give(tollgate_region(memory.region(size)?.map_err(|error| wrong(&error))?))
    }
}

export! {
    /// Ends a handle; NULL is passed over. What is in the region stays, and what was made in
    /// it can be used on. Nobody may use the handle during this call or after it.
    fn tollgate_region_free(region: *mut tollgate_region) {
        region.free();
    }
}

export! {
    /// How many bytes of the region are in use. 0 if `region` is NULL. Threads: any.
    fn tollgate_region_size(region: *const tollgate_region) -> u64 {
        region.get().map_or(0, |region| region.0.bytes())
    }
}

export! {
    /// Writes all that is in the region to `buffer` of `size` bytes, to be stored and
    /// restored; `needed`, which may be NULL, is how many bytes there are. Others may decide
    /// meanwhile: what is on its way is as if its process had been killed.
    ///
    /// Errors: TOLLGATE_ERROR_BUFFER if it does not fit, and nothing was written (with `size` 0
    /// one asks for the length; tables that are made in between want more); _REGION.
    /// Threads: any.
    fn tollgate_region_snapshot(
        region: *const tollgate_region,
        buffer: *mut u8,
        size: usize,
        needed: *mut usize,
    ) -> i32 {
        let bytes = region.get()?.0.snapshot().map_err(|error| wrong(&error))?;
        if !needed.is_null() {
            needed.put(bytes.len())?;
        }
        let place = buffer.array(size)?;
        if size < bytes.len() {
            return Err(Fault::Buffer);
        }
        for (nth, &byte) in bytes.iter().enumerate() {
            place.set(nth, byte);
        }
        Ok(Code::OK)
    }
}

export! {
    /// Makes a region of a snapshot, in the file of that name, which must not be there yet.
    /// Time has gone on since by what the wall clock says.
    ///
    /// Errors: TOLLGATE_ERROR_REGION. Threads: any.
    fn tollgate_region_restore(
        name: *const c_char,
        length: usize,
        snapshot: *const c_void,
        size: usize,
        region: *mut *mut tollgate_region,
    ) -> i32 {
        region.clear()?;
        let (name, snapshot) = (path(name.bytes(length)?)?, snapshot.bytes(size)?);
        let restored = Region::restore(name, snapshot).map_err(|error| wrong(&error))?;
        region.give(tollgate_region(restored))
    }
}
