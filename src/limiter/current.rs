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

#[derive(Debug)]
pub(crate) struct Current {
    version: AtomicU64,
    copies: [[AtomicU64; 3]; 2],
}

impl Current {
    pub(crate) fn new(numbers: Numbers) -> Self {
        Self {
            version: AtomicU64::new(0),
            copies: [numbers.map(AtomicU64::new), numbers.map(AtomicU64::new)],
        }
    }

    /// The numbers as one writer left them.
    #[inline(always)]
    pub(crate) fn get(&self) -> Numbers {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let [a, b, c] = &self.copies[usize::from(version & 1 == 1)];
            let numbers =
                [a.load(Ordering::Acquire), b.load(Ordering::Acquire), c.load(Ordering::Acquire)];
            if self.version.load(Ordering::Relaxed) == version {
                return numbers;
            }
        }
    }

    /// Replaces them. Only one thread at a time may do so.
    pub(crate) fn set(&self, numbers: Numbers) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        let copy = &self.copies[usize::from(next & 1 == 1)];
        for (word, number) in copy.iter().zip(numbers) {
            word.swap(number, Ordering::AcqRel);
        }
        self.version.swap(next, Ordering::AcqRel);
    }
}
