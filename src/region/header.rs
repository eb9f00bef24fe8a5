//! The words of a region's first page, and of the page before each of its tables.
//!
//! A page is written before its magic is (Release), under the region's lock; and a table's
//! page before the region's `used` covers it. Who takes the lock later sees all of that;
//! the few words that change afterwards stand for themselves.

use super::{Boot, RegionError, Sip, clock::monotonic};
use crate::{
    sync::{AtomicU64, Ordering},
    table::geometry::{HEAD_WORDS, Layout, Wide},
};

/// A page of a region, in bytes and words, whatever the system's are.
pub(super) const PAGE: usize = 4096;
pub(super) const PAGE_WORDS: usize = PAGE / 8;

/// "tollgate", as this machine orders bytes.
const MAGIC: u64 = u64::from_ne_bytes(*b"tollgate");
const UNFINISHED: u64 = u64::from_ne_bytes(*b"tollgat?");
const FORMAT: u64 = 1;
/// `SipHash-1-3` of the key's bytes; ready-made hashes mixed by `SplitMix64`'s finisher.
const HASH: u64 = 0x0113;

/// Everything that the places of words follow from.
fn layout() -> u64 {
    let Some(one) = Layout::with_buckets::<Wide>(1000, 3) else { return 0 };
    let parts = [one.rows_at, one.rings_at, one.len, HEAD_WORDS, PAGE, usize::BITS as usize];
    parts.iter().fold(0, |all, part| Sip::hash([all, 1], &part.to_le_bytes()))
}

const FINISHED: usize = 0;
const FIXED: std::ops::Range<usize> = 1..6;
const CHECK: usize = 6;
const BOOT: usize = 8;
const OFFSET: usize = 10;
const LAST: usize = 16;
const WALL: usize = 17;
const USED: usize = 24;
const LOCK: usize = 32;

/// What is at the beginning of something that may be a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Whoever made it did not get to the end.
    Unfinished,
    Region,
}

/// The first page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a>(pub(super) &'a [AtomicU64]);

impl<'a> Header<'a> {
    fn get(self, at: usize) -> u64 {
        self.0.get(at).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn put(self, at: usize, to: u64) {
        if let Some(word) = self.0.get(at) {
            word.store(to, Ordering::Release);
        }
    }

    /// What is there.
    pub(super) fn look(self) -> Result<Found, RegionError> {
        match self.get(FINISHED) {
            MAGIC => Ok(Found::Region),
            UNFINISHED => Ok(Found::Unfinished),
            magic if magic == MAGIC.swap_bytes() => {
                Err(RegionError::Foreign { what: "byte order", region: magic, ours: MAGIC })
            }
            0 if self.is_new() => Ok(Found::Nothing),
            _ => Err(RegionError::NotARegion { why: "it begins otherwise" }),
        }
    }

    /// Whether nothing is there but a lock.
    pub(super) fn is_new(self) -> bool {
        (0..PAGE_WORDS).all(|at| at == LOCK || self.get(at) == 0)
    }

    /// Makes all of it zeroes.
    pub(super) fn clear(self) {
        for word in self.0 {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// All words, the first ones first: states of a table before what they count.
    pub(super) fn copy(self) -> impl Iterator<Item = u64> + use<'a> {
        (0..self.0.len()).map(move |at| self.get(at))
    }

    /// Puts words there, but for the first.
    pub(super) fn paste(self, words: impl Iterator<Item = u64>) {
        for (at, word) in words.enumerate().skip(1) {
            self.put(at, word);
        }
    }

    /// The clock that it was counted by is not known here, and nobody holds a lock.
    pub(super) fn restart(self) {
        self.put(BOOT, 0);
        self.put(LOCK, 0);
    }

    /// Makes a page of a new region.
    pub(super) fn begin(self, boot: &Boot) {
        self.put(FINISHED, UNFINISHED);
        for at in 1..PAGE_WORDS {
            if at != LOCK {
                self.put(at, 0);
            }
        }
        let seed = || std::hash::BuildHasher::hash_one(&ahash::RandomState::new(), PAGE);
        for (at, word) in FIXED.zip([FORMAT, layout(), HASH, seed(), seed()]) {
            self.put(at, word);
        }
        self.put(CHECK, self.check());
        self.put(USED, PAGE as u64);
        self.count_from(0, boot);
    }

    /// From now on it is a region.
    pub(super) fn finish(self) {
        self.put(FINISHED, MAGIC);
    }

    pub(super) fn unfinish(self) {
        self.put(FINISHED, UNFINISHED);
    }

    fn check(self) -> u64 {
        FIXED.fold(0, |all, at| Sip::hash([all, 2], &self.get(at).to_le_bytes()))
    }

    /// Whether this build can share what is there.
    pub(super) fn verify(self) -> Result<(), RegionError> {
        if self.get(CHECK) != self.check() {
            return Err(RegionError::Damaged { what: "the first page's checksum is wrong" });
        }
        let ours = [("format", FORMAT), ("layout", layout()), ("hash", HASH)];
        for (at, (what, ours)) in FIXED.zip(ours) {
            let region = self.get(at);
            if region != ours {
                return Err(RegionError::Foreign { what, region, ours });
            }
        }
        Ok(())
    }

    pub(super) fn seed(self) -> [u64; 2] {
        [self.get(4), self.get(5)]
    }

    /// What is added to the system's clock to get the region's time.
    pub(super) fn offset(self) -> u64 {
        self.get(OFFSET)
    }

    /// Has the region's time go on from `time`. Killed on the way, it is done again: the
    /// boot is written last.
    fn count_from(self, time: u64, boot: &Boot) {
        self.put(BOOT, 0);
        self.put(OFFSET, time.wrapping_sub(monotonic(boot)));
        self.put(LAST, time);
        self.put(WALL, boot.wall().wrapping_sub(time));
        let [a, b] = boot.id;
        self.put(BOOT + 1, b);
        self.put(BOOT, a);
    }

    /// After a start of the system its clock counts from zero again: the region's goes on
    /// from where it was, and as much later as the wall clock says.
    pub(super) fn follow_boot(self, boot: &Boot) {
        let last = self.get(LAST);
        let now = self.offset().wrapping_add(monotonic(boot));
        let same_boot = [self.get(BOOT), self.get(BOOT + 1)] == boot.id;
        // Where boots cannot be told apart, a clock that went back tells.
        if same_boot && (boot.known || now >= last) {
            return;
        }
        let by_wall = boot.wall().wrapping_sub(self.get(WALL));
        // A wall clock that went back, or words that make no sense: not before the last.
        let in_order = by_wall >= last && by_wall < 1 << 62;
        self.count_from(if in_order { by_wall } else { last }, boot);
    }

    /// The latest time that was noted.
    #[inline]
    pub(super) fn last(self) -> u64 {
        self.0.get(LAST).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Notes a time, and the wall clock's.
    pub(super) fn note(self, time: u64, boot: &Boot) {
        if let Some(last) = self.0.get(LAST)
            && last.fetch_max(time, Ordering::AcqRel) < time
        {
            self.put(WALL, boot.wall().wrapping_sub(time));
        }
    }

    /// Bytes in use, this page included.
    pub(super) fn used(self) -> u64 {
        self.get(USED)
    }

    pub(super) fn set_used(self, bytes: u64) {
        self.put(USED, bytes);
    }

    /// The lock of regions that have no file: who holds it, or 0.
    pub(super) fn holder(self) -> u64 {
        self.get(LOCK)
    }

    pub(super) fn swap_holder(self, from: u64, to: u64) -> bool {
        self.0.get(LOCK).is_some_and(|word| {
            word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }
}

const SECTION: u64 = u64::from_ne_bytes(*b"tg table");
const SECTION_CHECK: usize = 1;
const BYTES: usize = 2;
const WORDS: usize = 3;
const EPOCH: usize = 4;
const LENGTHS: usize = 5;
const ROOM: usize = 6;
pub(super) const QUOTA: usize = 16;
const TEXT: usize = 64;
/// Bytes for name and configuration.
pub(super) const TEXT_BYTES: usize = (PAGE_WORDS - TEXT) * 8;

/// What a table was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// With this page.
    pub(super) bytes: u64,
    /// Of the table alone.
    pub(super) words: u64,
    pub(super) epoch: u64,
    pub(super) room: [u64; 4],
    pub(super) name: String,
    /// A line for each thing: what, a tab, how.
    pub(super) about: String,
}

/// The page before a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct SectionPage<'a>(pub(super) &'a [AtomicU64]);

impl SectionPage<'_> {
    /// Writes everything that never changes.
    pub(super) fn write(self, record: &Record) {
        let page = Header(self.0);
        let lengths = (record.name.len() as u64) << 32 | record.about.len() as u64;
        for (at, word) in [
            (BYTES, record.bytes),
            (WORDS, record.words),
            (EPOCH, record.epoch),
            (LENGTHS, lengths),
        ] {
            page.put(at, word);
        }
        for (at, word) in (ROOM..).zip(record.room) {
            page.put(at, word);
        }
        let text = [record.name.as_bytes(), record.about.as_bytes()].concat();
        for (at, bytes) in (TEXT..PAGE_WORDS).zip(text.chunks(8)) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            page.put(at, u64::from_le_bytes(word));
        }
        page.put(SECTION_CHECK, self.check());
        page.put(FINISHED, SECTION);
    }

    fn check(self) -> u64 {
        let page = Header(self.0);
        let fixed = (BYTES..ROOM + 4).chain(TEXT..PAGE_WORDS);
        fixed.fold(0, |all, at| Sip::hash([all, 3], &page.get(at).to_le_bytes()))
    }

    pub(super) fn read(self) -> Result<Record, RegionError> {
        let page = Header(self.0);
        if page.get(FINISHED) != SECTION || page.get(SECTION_CHECK) != self.check() {
            return Err(RegionError::Damaged { what: "the checksum of a table's page is wrong" });
        }
        let text: Vec<u8> = (TEXT..PAGE_WORDS).flat_map(|at| page.get(at).to_le_bytes()).collect();
        let lengths = page.get(LENGTHS);
        let name = usize::try_from(lengths >> 32).unwrap_or(usize::MAX);
        let about = usize::try_from(lengths & u64::from(u32::MAX)).unwrap_or(usize::MAX);
        let piece = |from: usize, len: usize| {
            let bytes = text.get(from..from.checked_add(len)?)?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        let texts = piece(0, name).zip(piece(name, about));
        let Some((name, about)) = texts else {
            return Err(RegionError::Damaged { what: "a table's name has no end" });
        };
        let [a, b, c, d] = [0, 1, 2, 3].map(|nth| page.get(ROOM + nth));
        Ok(Record {
            bytes: page.get(BYTES),
            words: page.get(WORDS),
            epoch: page.get(EPOCH),
            room: [a, b, c, d],
            name,
            about,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    impl Header<'_> {
        /// Another first word, and checksums that are right.
        pub(in crate::region) fn forge(self, word: u64) {
            self.put(0, word);
        }

        pub(in crate::region) fn seal(self) {
            self.put(CHECK, self.check());
        }
    }

    impl SectionPage<'_> {
        pub(in crate::region) fn seal(self) {
            Header(self.0).put(SECTION_CHECK, self.check());
        }
    }

    fn page() -> Vec<AtomicU64> {
        let words: Vec<_> = (0..PAGE_WORDS).map(|_| AtomicU64::new(0)).collect();
        Header(&words).begin(&Boot::this());
        Header(&words).finish();
        words
    }

    /// What another build has made, under checksums that are right.
    #[test]
    fn another_build_is_refused_by_what_differs() {
        for (at, what) in [(1, "format"), (2, "layout"), (3, "hash")] {
            let words = page();
            let header = Header(&words);
            header.verify().unwrap();
            header.put(at, header.get(at) + 1);
            header.put(CHECK, header.check());
            match header.verify() {
                Err(RegionError::Foreign { what: said, region, ours }) => {
                    assert_eq!((said, region), (what, ours + 1));
                }
                other => panic!("{what}: {other:?}"),
            }
        }
        let words = page();
        Header(&words).put(FINISHED, MAGIC.swap_bytes());
        let refused = Header(&words).look().unwrap_err().to_string();
        assert!(refused.contains("byte order"), "{refused}");
    }

    #[test]
    fn no_two_regions_have_one_seed() {
        let (a, b) = (page(), page());
        assert_ne!(Header(&a).seed(), Header(&b).seed());
        assert_ne!(Header(&a).seed()[0], Header(&a).seed()[1]);
    }

    /// Whoever changes where words are changes this number, and leaves what is in files.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_layout_is_pinned() {
        assert_eq!((FORMAT, layout(), HASH), (1, 0xCEC0_F739_6346_E25C, 0x0113));
    }
}
