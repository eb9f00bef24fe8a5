//! A region as bytes, for hosts that keep state elsewhere.

use super::{
    PAGE, Place, Region, RegionError, RegionOptions, Sip,
    file::LockedFile,
    header::{Found, Header},
};
use crate::{sync::AtomicU64, table::storage::Storage};
use std::{io, path::Path};

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
    /// ```
    /// use tollgate::{KeyedLimiter, Quota, Region};
    ///
    /// # let name = format!("tollgate-doc-snapshot-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # let new = path.with_extension("new");
    /// let quota = Quota::n_per_hour(5)?;
    /// let limiter =
    ///     |region: &Region| KeyedLimiter::sliding_log(quota).try_build_in(region, "exports");
    /// let region = Region::open(&path)?;
    /// assert_eq!(limiter(&region)?.check("ann").remaining(), 4);
    /// let bytes = region.snapshot()?;
    ///
    /// // On another machine, or after this one has lost its memory:
    /// let region = Region::restore(&new, &bytes)?;
    /// assert_eq!(limiter(&region)?.check("ann").remaining(), 3);
    /// # std::fs::remove_file(&path)?;
    /// # std::fs::remove_file(&new)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Makes a region of a snapshot, in a file in which nobody has one yet. Time has gone
    /// on since by what the wall clock says. Killed on the way, it may be called again; but
    /// who [opens](Self::open) the file in between makes it an empty region.
    ///
    /// ```
    /// use tollgate::{Region, RegionError};
    ///
    /// # let name = format!("tollgate-doc-restore-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # let new = path.with_extension("new");
    /// let mut bytes = Region::open(&path)?.snapshot()?;
    /// // Nobody's region is written over.
    /// assert!(matches!(Region::restore(&path, &bytes), Err(RegionError::Io { .. })));
    /// // Damage is found, and no file is left.
    /// bytes[100] ^= 1;
    /// assert!(matches!(Region::restore(&new, &bytes), Err(RegionError::Snapshot { .. })));
    /// assert!(!new.exists());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Bytes that are no snapshot, or of another format, layout or hash; a region that is
    /// there, or a file of something else; what the system refuses.
    pub fn restore(path: impl AsRef<Path>, snapshot: &[u8]) -> Result<Self, RegionError> {
        Self::options().restore(path, snapshot)
    }
}

impl RegionOptions {
    /// As [`Region::restore`].
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    /// use tollgate::Region;
    ///
    /// # let name = format!("tollgate-doc-restore-mode-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # let new = path.with_extension("new");
    /// let bytes = Region::open(&path)?.snapshot()?;
    /// let _region = Region::options().mode(0o660).restore(&new, &bytes)?;
    /// assert_eq!(std::fs::metadata(&new)?.permissions().mode() & 0o777, 0o660);
    /// # std::fs::remove_file(&path)?;
    /// # std::fs::remove_file(&new)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let (words, _) = body.as_chunks::<8>();
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let first: Vec<_> = words.iter().take(PAGE / 8).map(word).map(AtomicU64::new).collect();
        Header(&first).verify()?;
        if Header(&first).used() != used {
            return Err(wrong("it is not as long as it says"));
        }
        let locked = LockedFile::open_or_make(path.as_ref(), self.mode)?;
        let filled = self.fill(&locked, used, words.iter().map(word));
        if filled.is_err() && locked.made {
            // It is of nobody yet.
            let _ = std::fs::remove_file(path.as_ref());
        }
        filled
    }

    /// Makes a file that nobody has a region in that of a snapshot.
    fn fill(
        &self,
        locked: &LockedFile,
        used: u64,
        words: impl Iterator<Item = u64>,
    ) -> Result<Region, RegionError> {
        let (first, found) = locked.first_page()?;
        if found == Found::Region {
            let there = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(RegionError::io("making the region")(there));
        }
        // From here on it is unfinished: who is killed is followed by who begins again.
        Header(first.words()).unfinish();
        locked.take_space(PAGE as u64, used)?;
        let memory = locked.map(0, used)?;
        let header = Header(memory.words());
        header.paste(words);
        header.restart();
        header.finish();
        Region::of(first, Found::Region, Place::File(locked.identity.clone()), self.boot)
    }
}
