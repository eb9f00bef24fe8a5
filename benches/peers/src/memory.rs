//! Bytes: what is alive on the heap, and what is resident.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
};

/// The system's allocator, counting bytes while [`growth`] runs.
///
/// At other times it costs one look at a flag that nobody writes: what
/// allocates in a check is not slowed by a shared counter.
struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// Adds `to - from` bytes. No allocation is larger than `isize::MAX`.
#[inline]
fn count(from: usize, to: usize) {
    if ON.load(Ordering::Relaxed) {
        LIVE.fetch_add(to.cast_signed() as i64 - from.cast_signed() as i64, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came; counting neither
// allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Runs `f`; how many more bytes of the heap are in use after it than before,
/// over all threads. One call at a time.
pub(crate) fn growth<T>(f: impl FnOnce() -> T) -> (T, i64) {
    LIVE.store(0, Ordering::Relaxed);
    ON.store(true, Ordering::Relaxed);
    let value = f();
    ON.store(false, Ordering::Relaxed);
    (value, LIVE.load(Ordering::Relaxed))
}

/// Resident memory of this process in bytes, where the system tells.
pub(crate) fn resident() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: others allocate at the same time, so only large steps tell.
    #[test]
    fn growth_is_what_stays() {
        const MUCH: usize = 64 << 20;
        let (kept, bytes) = growth(|| {
            drop(vec![1_u8; MUCH]);
            vec![1_u8; MUCH]
        });
        assert_eq!(kept.len(), MUCH);
        let much = i64::try_from(MUCH).unwrap();
        assert!((much - much / 4..much + much / 4).contains(&bytes), "{bytes}");
    }
}
