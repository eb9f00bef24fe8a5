//! Where a table's words live: one zeroed run of fixed size.

use crate::sync::AtomicU64;
use std::fmt;

/// A flat run of words, all zero when it was made, that never moves.
///
/// The table holds no pointers, only offsets, so the same code runs over the
/// heap and over anything else that can lend a slice of words.
pub(crate) trait Storage: Send + Sync {
    fn words(&self) -> &[AtomicU64];
}

/// Asks the processor to fetch the cache line of a word.
#[inline(always)]
pub(crate) fn prefetch(word: &AtomicU64) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults on no address; this one is valid.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = word;
}

/// The allocation could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

/// Words of this process alone, aligned to a pair of cache lines.
pub(crate) struct Heap {
    #[cfg(not(loom))]
    words: std::ptr::NonNull<AtomicU64>,
    #[cfg(not(loom))]
    len: usize,
    /// Whose memory the words are, unless they were allocated.
    #[cfg(not(loom))]
    pages: Option<memmap2::MmapMut>,
    #[cfg(loom)]
    words: Vec<AtomicU64>,
}

/// Two cache lines of 64 bytes: keys and states of a row are fetched together.
pub(crate) const ALIGN: usize = 128;

#[cfg(not(loom))]
mod heap {
    use super::{ALIGN, AtomicU64, Heap, OutOfMemory, Storage};
    use memmap2::MmapMut;
    use std::{
        alloc::{Layout, alloc_zeroed, dealloc},
        ptr::NonNull,
        slice,
    };

    /// From this size on memory comes in pages, and as huge ones if the system has
    /// them: a table is read at random, and small pages would have each new line
    /// pay for a walk through the page tables.
    const HUGE: usize = 2 << 20;

    impl Heap {
        /// Takes `len` zeroed words. Large ones take memory as it is used.
        pub(crate) fn try_new(len: usize) -> Result<Self, OutOfMemory> {
            let len = len.max(1);
            let layout = Self::layout(len).ok_or(OutOfMemory)?;
            if layout.size() >= HUGE { Self::map(len) } else { Self::allocate(len, layout) }
        }

        fn map(len: usize) -> Result<Self, OutOfMemory> {
            let bytes = len.checked_mul(size_of::<AtomicU64>()).ok_or(OutOfMemory)?;
            let mut pages = MmapMut::map_anon(bytes).map_err(|_| OutOfMemory)?;
            #[cfg(target_os = "linux")]
            {
                // A wish: without huge pages everything works, more slowly.
                let _ = pages.advise(memmap2::Advice::HugePage);
            }
            #[allow(clippy::cast_ptr_alignment)] // pages are aligned to more
            let words = NonNull::new(pages.as_mut_ptr().cast::<AtomicU64>()).ok_or(OutOfMemory)?;
            Ok(Self { words, len, pages: Some(pages) })
        }

        fn allocate(len: usize, layout: Layout) -> Result<Self, OutOfMemory> {
            // SAFETY: the layout is not empty, its length being at least one word.
            let raw = unsafe { alloc_zeroed(layout) };
            #[allow(clippy::cast_ptr_alignment)] // the layout asks for more
            let words = NonNull::new(raw.cast::<AtomicU64>()).ok_or(OutOfMemory)?;
            Ok(Self { words, len, pages: None })
        }

        fn layout(len: usize) -> Option<Layout> {
            Layout::array::<AtomicU64>(len).ok()?.align_to(ALIGN).ok()
        }
    }

    impl Storage for Heap {
        #[inline(always)]
        fn words(&self) -> &[AtomicU64] {
            // SAFETY: `words` points to `len` words that were zeroed when they were taken,
            // which is a valid `AtomicU64` each, and they live and stay in place as long as
            // `self`: allocated, or in `pages`, which moves and is touched by nobody else.
            // Only shared references to them are ever made.
            unsafe { slice::from_raw_parts(self.words.as_ptr(), self.len) }
        }
    }

    impl Drop for Heap {
        fn drop(&mut self) {
            if self.pages.is_some() {
                return;
            }
            if let Some(layout) = Self::layout(self.len) {
                // SAFETY: allocated in `allocate` with the same length, hence the same layout,
                // and not freed before: this is the only place that does.
                unsafe { dealloc(self.words.as_ptr().cast(), layout) }
            }
        }
    }

    // SAFETY: a `Heap` owns its words and lends them only as `&[AtomicU64]`, which may be
    // used from any thread.
    unsafe impl Send for Heap {}
    // SAFETY: as above; `&Heap` gives nothing but `&[AtomicU64]`.
    unsafe impl Sync for Heap {}
}

#[cfg(loom)]
impl Heap {
    pub(crate) fn try_new(len: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { words: (0..len.max(1)).map(|_| AtomicU64::new(0)).collect() })
    }
}

#[cfg(loom)]
impl Storage for Heap {
    fn words(&self) -> &[AtomicU64] {
        &self.words
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("words", &self.words().len()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::Ordering;

    #[test]
    fn zeroed_and_aligned() {
        for len in [0, 1, 7, 4096, 1 << 20] {
            let heap = Heap::try_new(len).unwrap();
            assert_eq!(heap.words().len(), len.max(1));
            assert_eq!(heap.words().as_ptr().addr() % ALIGN, 0);
            assert!(heap.words().iter().all(|w| w.load(Ordering::Relaxed) == 0));
        }
    }

    #[test]
    fn what_cannot_be_allocated_is_an_error() {
        assert_eq!(Heap::try_new(usize::MAX).unwrap_err(), OutOfMemory);
        assert_eq!(Heap::try_new(usize::MAX / 16).unwrap_err(), OutOfMemory);
    }
}
