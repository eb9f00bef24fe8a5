//! Where a table's words live: one zeroed run of fixed size.

use super::geometry::HEAD_WORDS;
use crate::sync::AtomicU64;
use std::fmt;

/// A flat run of words, all zero when it was made, that never moves.
///
/// The table holds no pointers, only offsets, so the same code runs over the
/// heap and over anything else that can lend a slice of words.
pub(crate) trait Storage: Send + Sync {
    fn words(&self) -> &[AtomicU64];

    /// The first of them: as many there are, at least.
    #[cfg_attr(not(feature = "shared"), allow(dead_code))]
    fn head(&self) -> &[AtomicU64; HEAD_WORDS];
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

/// Words of this process alone or, over a mapping, of several; aligned to a pair of
/// cache lines. However they were had, they are a pointer and a length: who decides
/// does not see whose they are.
pub(crate) struct Memory {
    #[cfg(not(loom))]
    words: std::ptr::NonNull<AtomicU64>,
    #[cfg(not(loom))]
    len: usize,
    #[cfg(not(loom))]
    owner: Owner,
    #[cfg(loom)]
    words: Vec<AtomicU64>,
    #[cfg(loom)]
    len: usize,
}

/// Whose memory the words are.
#[cfg(not(loom))]
enum Owner {
    /// Allocated here.
    Heap,
    /// Pages of this process.
    Pages {
        #[allow(dead_code)] // kept for its drop
        pages: memmap2::MmapMut,
    },
    /// A mapping that other processes may have, too.
    #[cfg(feature = "shared")]
    Mapped { mapping: std::sync::Arc<memmap2::MmapRaw> },
    /// Of somebody who promised that it outlives this.
    #[cfg(feature = "shared")]
    Host,
}

/// Two cache lines of 64 bytes: keys and states of a row are fetched together.
pub(crate) const ALIGN: usize = 128;

#[cfg(not(loom))]
mod memory {
    use super::{ALIGN, AtomicU64, HEAD_WORDS, Memory, OutOfMemory, Owner, Storage};
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

    impl Memory {
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
            Ok(Self { words, len, owner: Owner::Pages { pages } })
        }

        fn allocate(len: usize, layout: Layout) -> Result<Self, OutOfMemory> {
            // SAFETY: the layout is not empty, its length being at least that of a head.
            let raw = unsafe { alloc_zeroed(layout) };
            #[allow(clippy::cast_ptr_alignment)] // the layout asks for more
            let words = NonNull::new(raw.cast::<AtomicU64>()).ok_or(OutOfMemory)?;
            Ok(Self { words, len, owner: Owner::Heap })
        }

        fn layout(len: usize) -> Option<Layout> {
            // There are always as many as a head.
            Layout::array::<AtomicU64>(len.max(HEAD_WORDS)).ok()?.align_to(ALIGN).ok()
        }
    }

    #[cfg(feature = "shared")]
    impl Memory {
        /// All whole words of a mapping.
        pub(crate) fn mapped(mapping: memmap2::MmapRaw) -> Result<Self, OutOfMemory> {
            let (at, len) = (mapping.as_mut_ptr(), mapping.len() / size_of::<AtomicU64>());
            #[allow(clippy::cast_ptr_alignment)] // it is looked at
            let words = NonNull::new(at.cast::<AtomicU64>()).ok_or(OutOfMemory)?;
            if len < HEAD_WORDS || !words.is_aligned() {
                return Err(OutOfMemory);
            }
            Ok(Self { words, len, owner: Owner::Mapped { mapping: mapping.into() } })
        }

        /// `len` words of the host's.
        ///
        /// # Safety
        ///
        /// `words` is aligned to a word; `len` is at least [`HEAD_WORDS`]; from there, `len` words can be read and written by
        /// anybody for as long as this, or a [`part`](Self::part) of it, exists, and nobody
        /// does so but by atomics.
        pub(crate) unsafe fn of_host(words: NonNull<AtomicU64>, len: usize) -> Self {
            Self { words, len, owner: Owner::Host }
        }

        /// Some of the words of a mapping or of the host's, which stay in place for as
        /// long as the part is kept. `None` of other memory, and beyond the end.
        pub(crate) fn part(&self, from: usize, len: usize) -> Option<Self> {
            let owner = match &self.owner {
                Owner::Mapped { mapping } => Owner::Mapped { mapping: mapping.clone() },
                Owner::Host => Owner::Host,
                Owner::Heap | Owner::Pages { .. } => return None,
            };
            let words = self.words().get(from..from.checked_add(len)?)?;
            words.first_chunk::<HEAD_WORDS>()?;
            Some(Self { words: NonNull::from(words.first()?), len, owner })
        }
    }

    impl Storage for Memory {
        #[inline(always)]
        fn words(&self) -> &[AtomicU64] {
            // SAFETY: `words` points to `len` words that are valid `AtomicU64`s, as any bits
            // are, and live and stay in place as long as `self`: allocated, or in the mapping
            // that `owner` keeps and nobody moves, or promised by `of_host`. This process
            // makes only shared references to them, and other processes that map them are
            // held to atomics as this one is (`Region` says so to those who let them).
            unsafe { slice::from_raw_parts(self.words.as_ptr(), self.len) }
        }

        #[inline(always)]
        fn head(&self) -> &[AtomicU64; HEAD_WORDS] {
            // SAFETY: as above, and there are at least as many: everything that makes a
            // `Memory` sees to it.
            unsafe { self.words.cast().as_ref() }
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            if !matches!(self.owner, Owner::Heap) {
                return;
            }
            if let Some(layout) = Self::layout(self.len) {
                // SAFETY: allocated in `allocate` with the same length, hence the same layout,
                // and not freed before: this is the only place that does.
                unsafe { dealloc(self.words.as_ptr().cast(), layout) }
            }
        }
    }

    // SAFETY: a `Memory` owns its words, or shares them with others that may use them from
    // any thread, and lends them only as `&[AtomicU64]`, which may be used from any thread.
    unsafe impl Send for Memory {}
    // SAFETY: as above; `&Memory` gives nothing but `&[AtomicU64]`.
    unsafe impl Sync for Memory {}
}

#[cfg(loom)]
impl Memory {
    pub(crate) fn try_new(len: usize) -> Result<Self, OutOfMemory> {
        let len = len.max(1);
        let words = (0..len.max(HEAD_WORDS)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { words, len })
    }
}

#[cfg(loom)]
impl Storage for Memory {
    fn words(&self) -> &[AtomicU64] {
        &self.words[..self.len]
    }

    fn head(&self) -> &[AtomicU64; HEAD_WORDS] {
        self.words.first_chunk().expect("as many were made")
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("words", &self.words().len()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::Ordering;

    #[test]
    fn zeroed_and_aligned() {
        for len in [0, 1, 7, 4096, 1 << 20] {
            let memory = Memory::try_new(len).unwrap();
            assert_eq!(memory.words().len(), len.max(1));
            assert_eq!(memory.words().as_ptr().addr() % ALIGN, 0);
            assert!(memory.words().iter().all(|w| w.load(Ordering::Relaxed) == 0));
        }
    }

    #[test]
    fn what_cannot_be_allocated_is_an_error() {
        assert_eq!(Memory::try_new(usize::MAX).unwrap_err(), OutOfMemory);
        assert_eq!(Memory::try_new(usize::MAX / 16).unwrap_err(), OutOfMemory);
    }
}
