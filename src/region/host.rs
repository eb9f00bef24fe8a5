//! Regions in memory that the host has: a zone of nginx, a mapping of its own.

use super::{
    Boot, PAGE, Place, Region, RegionError,
    file::{PATIENCE, PAUSE},
    header::{Header, PAGE_WORDS},
};
use crate::{
    sync::AtomicU64,
    table::storage::{ALIGN, Memory, Storage},
};
use rustix::process::{Pid, getpid, test_kill_process};
use std::{fs, ptr::NonNull, thread, time::Instant};

/// All of it.
#[derive(Debug)]
pub(crate) struct HostMemory(Memory);

impl Region {
    /// Makes a region in memory that several processes have, or attaches to the one that
    /// is there: a zone of nginx, or a mapping that was made before a fork.
    ///
    /// New memory must be all zeroes. It needs 4 KiB and, for each limiter, 4 KiB
    /// beside [its memory](crate::KeyedBuilder::memory), all rounded up to 4 KiB; there is no more of it
    /// than `bytes`.
    /// Who makes or changes something holds a lock that names a process by its id and its
    /// start, so all processes must be of one process id namespace.
    ///
    /// ```
    /// use std::{alloc, ptr::NonNull};
    /// use tollgate::{KeyedLimiter, Quota, Region};
    ///
    /// # let layout = alloc::Layout::from_size_align(1 << 20, 4_096)?;
    /// # // SAFETY: its size is not 0.
    /// # let zone = NonNull::new(unsafe { alloc::alloc_zeroed(layout) }).ok_or("no memory")?;
    /// # let bytes = layout.size();
    /// // `zone` is a mapping of one MiB, all zeroes, that children will have, too.
    /// // SAFETY: it is given back after the last limiter, and nobody else touches it.
    /// let region = unsafe { Region::in_memory(zone, bytes) }?;
    /// let limiter = KeyedLimiter::gcra(Quota::n_per_minute(60)?)
    ///     .capacity(1_000)
    ///     .try_build_in(&region, "logins")?;
    /// assert_eq!(limiter.check("ann").remaining(), 59);
    /// assert_eq!(region.path(), None);
    ///
    /// // Another region there is the same one.
    /// // SAFETY: as above.
    /// assert_eq!(unsafe { Region::in_memory(zone, bytes) }?.names()?, ["logins"]);
    /// # drop((limiter, region));
    /// # // SAFETY: all regions there are gone.
    /// # unsafe { alloc::dealloc(zone.as_ptr(), layout) };
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); and less than 4 KiB of memory, or not aligned to 128 bytes.
    ///
    /// # Safety
    ///
    /// From `memory` on, `bytes` bytes are readable and writable, and stay so for as long
    /// as the region or any limiter in it exists. Nobody reads or writes them but through
    /// regions.
    pub unsafe fn in_memory(memory: NonNull<u8>, bytes: usize) -> Result<Self, RegionError> {
        let unfit = RegionError::Unfit { bytes, needed: PAGE };
        if bytes < PAGE || !memory.addr().get().is_multiple_of(ALIGN) {
            return Err(unfit);
        }
        let words: NonNull<AtomicU64> = memory.cast();
        // SAFETY: aligned to more than a word, and a page is more than a head; the caller
        // promises the rest.
        let all = unsafe { Memory::of_host(words, bytes / 8) };
        let Some(first) = all.part(0, PAGE_WORDS) else { return Err(unfit) };
        let host = HostMemory(all);
        let header = Header(first.words());
        let again = first.part(0, PAGE_WORDS).ok_or(unfit)?;
        // The lock is in the page, and what is no region must not be written to.
        header.look()?;
        let lock = host.lock(header)?;
        let found = header.look()?;
        let boot = Boot::this();
        let place = Place::Host(HostMemory(
            host.0.part(0, bytes / 8).ok_or(RegionError::Unfit { bytes, needed: PAGE })?,
        ));
        let region = Self::of(again, found, place, boot);
        drop(lock);
        region
    }
}

impl HostMemory {
    pub(super) fn bytes(&self) -> usize {
        self.0.words().len() * 8
    }

    pub(super) fn map(&self, from: u64, bytes: u64) -> Result<Memory, RegionError> {
        let part = |from, bytes| {
            let from = usize::try_from(from).ok()? / 8;
            self.0.part(from, usize::try_from(bytes).ok()? / 8)
        };
        part(from, bytes).ok_or(RegionError::Damaged { what: "there is less memory than is used" })
    }

    pub(super) fn take_space(&self, from: u64, to: u64) -> Result<(), RegionError> {
        let needed = usize::try_from(to).unwrap_or(usize::MAX);
        if needed > self.bytes() {
            return Err(RegionError::Unfit { bytes: self.bytes(), needed });
        }
        let part = self.map(from, to.saturating_sub(from))?;
        Header(part.words()).clear();
        Ok(())
    }

    /// Takes the lock, also from a process that is gone.
    pub(super) fn lock<'a>(&'a self, header: Header<'a>) -> Result<HostLock<'a>, RegionError> {
        let until = Instant::now() + PATIENCE;
        let id = getpid();
        // Ids are given to others in time, so the holder is told by when it was started, too.
        let start = process(id).map_or(0, |(_, start)| start);
        let mine = start << 32 | u64::from(id.as_raw_nonzero().get().unsigned_abs());
        loop {
            let seen = header.holder();
            if (seen.trailing_zeros() >= 32 || is_gone(seen)) && header.swap_holder(seen, mine) {
                return Ok(HostLock { memory: &self.0, mine });
            }
            if Instant::now() >= until {
                return Err(RegionError::Busy);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Whether the process that a lock names is not there, or has ended and nobody asked yet how.
fn is_gone(holder: u64) -> bool {
    let Some(id) = i32::try_from(holder & u64::from(u32::MAX)).ok().and_then(Pid::from_raw) else {
        return true;
    };
    // One of another user cannot be signalled, and is there.
    test_kill_process(id) == Err(rustix::io::Errno::SRCH)
        || process(id).is_some_and(|(state, start)| {
            let another = holder >> 32 != 0 && holder >> 32 != start;
            matches!(state, 'Z' | 'X') || another
        })
}

/// The state of a process, and when it was started: 31 bits of its clock ticks, not 0.
/// `None` where the system does not tell.
fn process(id: Pid) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).ok()?;
    // The second field is a name in brackets, which may have anything in it.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start: u64 = fields.nth(18)?.parse().ok()?;
    Some((state, (start & u64::from(u32::MAX >> 1)).max(1)))
}

/// Gives the lock back, unless it was taken.
#[derive(Debug)]
pub(crate) struct HostLock<'a> {
    memory: &'a Memory,
    mine: u64,
}

impl Drop for HostLock<'_> {
    fn drop(&mut self) {
        Header(self.memory.words()).swap_holder(self.mine, 0);
    }
}
