//! The quota that holds now, readable without a lock while it is replaced.
//!
//! Two copies of its numbers and a version. A writer (one at a time, under a
//! lock that no decision takes) fills the copy that is not in use, then
//! publishes the next version. A reader takes the copy that the version names
//! and looks at the version again: had a writer touched that copy meanwhile, it
//! had published a version before. The words are written with Release and loaded
//! with Acquire, so whoever reads such a word sees that version (model:
//! `quota_is_read_whole`). Stores would do; the model is exact for swaps only.

use crate::sync::{AtomicU64, Ordering};

/// Numbers that are read together.
type Numbers = [u64; 3];

/// A version, and two copies.
pub(crate) type Words = [AtomicU64; 7];

/// The words may lie anywhere: in a limiter, in a table's head, in memory that several
/// processes share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current<'a> {
    version: &'a AtomicU64,
    copies: &'a [AtomicU64; 6],
}

impl<'a> Current<'a> {
    #[inline(always)]
    pub(crate) fn new(words: &'a Words) -> Self {
        let [version, copies @ ..] = words;
        Self { version, copies }
    }

    /// The words of these numbers.
    pub(crate) fn words(numbers: Numbers) -> Words {
        let [a, b, c] = numbers;
        [0, a, b, c, a, b, c].map(AtomicU64::new)
    }

    /// Makes them the numbers, where nobody reads yet.
    #[cfg(feature = "shared")]
    pub(crate) fn begin(self, numbers: Numbers) {
        self.set(numbers);
        self.set(numbers);
    }

    #[inline(always)]
    fn copy(self, version: u64) -> &'a [AtomicU64; 3] {
        let (copies, _) = self.copies.as_chunks::<3>();
        &copies[usize::from(version & 1 == 1)]
    }

    /// The numbers as one writer left them.
    #[inline(always)]
    pub(crate) fn get(self) -> Numbers {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let [a, b, c] = self.copy(version);
            let numbers =
                [a.load(Ordering::Acquire), b.load(Ordering::Acquire), c.load(Ordering::Acquire)];
            if self.version.load(Ordering::Relaxed) == version {
                return numbers;
            }
        }
    }

    /// Replaces them. Only one at a time may do so, of all threads and processes; one
    /// that dies on the way has changed nothing.
    pub(crate) fn set(self, numbers: Numbers) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        for (word, number) in self.copy(next).iter().zip(numbers) {
            word.swap(number, Ordering::AcqRel);
        }
        self.version.swap(next, Ordering::AcqRel);
    }
}
