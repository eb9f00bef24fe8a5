//! A region as bytes, for hosts that keep state elsewhere.

use super::{
    PAGE, Region, RegionError, RegionOptions, Sip,
    file::LockedFile,
    header::{Found, Header},
};
use crate::table::storage::Storage;
use std::path::Path;

const MAGIC: [u8; 8] = *b"tgsnap01";
/// Under which the checksum is made: damage is found, forgery is not.
const KEY: [u64; 2] = [4, 5];

fn checksum(bytes: &[u8]) -> [u8; 8] {
    Sip::hash(KEY, bytes).to_le_bytes()
}

impl Region {
    /// All that is in it, as bytes: to be stored, or sent to another machine of the same
    /// kind, and [restored](Self::restore) there.
    ///
    /// It may be taken while others decide: each word is as it was at some time since the
    /// call, and what was on its way is as if its process had been killed. A key's debts
    /// are as they were, or later ones; a lease granted meanwhile may be missing.
    ///
    /// # Errors
    ///
    /// A region that is damaged, gone or locked.
    pub fn snapshot(&self) -> Result<Vec<u8>, RegionError> {
        let locked = self.lock()?;
        self.records(&locked)?;
        self.clock().note_now();
        let used = self.header().used();
        let memory = locked.map(0, used)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&used.to_le_bytes());
        for word in Header(memory.words()).copy() {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&checksum(&bytes));
        Ok(bytes)
    }

    /// Makes a region of a snapshot, in a file that must not be there yet. Time has gone
    /// on since by what the wall clock says.
    ///
    /// # Errors
    ///
    /// Bytes that are no snapshot, or of another format, layout or hash; a file that is
    /// there; what the system refuses.
    pub fn restore(path: impl AsRef<Path>, snapshot: &[u8]) -> Result<Self, RegionError> {
        Self::options().restore(path, snapshot)
    }
}

impl RegionOptions {
    /// As [`Region::restore`].
    ///
    /// # Errors
    ///
    /// As [`Region::restore`].
    pub fn restore(&self, path: impl AsRef<Path>, snapshot: &[u8]) -> Result<Region, RegionError> {
        let wrong = |what| RegionError::Snapshot { what };
        let rest = snapshot.strip_prefix(&MAGIC).ok_or(wrong("it begins otherwise"))?;
        let (used, rest) = rest.split_first_chunk().ok_or(wrong("it is cut short"))?;
        let (body, check) = rest.split_last_chunk::<8>().ok_or(wrong("it is cut short"))?;
        let used = u64::from_le_bytes(*used);
        if body.len() as u64 != used || used < PAGE as u64 || !used.is_multiple_of(8) {
            return Err(wrong("it is cut short, or goes on"));
        }
        if checksum(&snapshot[..snapshot.len() - 8]) != *check {
            return Err(wrong("its checksum is wrong"));
        }
        let locked = LockedFile::make(path.as_ref(), self.mode)?;
        let made = self.fill(&locked, used, body);
        if made.is_err() {
            // It is of nobody yet.
            let _ = std::fs::remove_file(path.as_ref());
        }
        made
    }

    fn fill(&self, locked: &LockedFile, used: u64, body: &[u8]) -> Result<Region, RegionError> {
        locked.take_space(0, used)?;
        let memory = locked.map(0, used)?;
        let header = Header(memory.words());
        header.unfinish();
        let (words, _) = body.as_chunks::<8>();
        header.paste(words.iter().map(|word| u64::from_le_bytes(*word)));
        header.verify()?;
        if header.used() != used {
            return Err(RegionError::Snapshot { what: "it is not as long as it says" });
        }
        header.restart();
        header.finish();
        let (first, found) = locked.first_page()?;
        debug_assert_eq!(found, Found::Region);
        Region::of(first, found, super::Place::File(locked.identity.clone()), self.boot)
    }
}
