//! A region's file: made once, whoever comes first; locked while it is made or grows;
//! and with space of its own from the beginning, for who touches a page of a full disk
//! is killed.

use super::{
    PAGE, RegionError,
    header::{Found, Header},
};
use crate::{
    sync::about_to_write,
    table::storage::{Memory, Storage},
};
use memmap2::{MmapOptions, MmapRaw};
use rustix::{
    fs::{FallocateFlags, FlockOperation, OFlags, fallocate, flock},
    io::{Errno, retry_on_intr},
};
use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long the lock is waited for: it is held for the time that zeroes take to be written.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const PAUSE: Duration = Duration::from_millis(2);

/// Which file it is, whatever is at its path by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) path: PathBuf,
    device: u64,
    inode: u64,
}

/// A file under its lock. The lock is the system's, so it ends with its holder; and it
/// is of this opening alone, so children that were forked do not share it.
#[derive(Debug)]
pub(crate) struct LockedFile {
    pub(super) file: File,
    pub(super) identity: Identity,
    /// Whether it was not there before.
    pub(super) made: bool,
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // A child that was forked meanwhile has the same opening: closing does not do.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Opens for both ways, but no link: in a folder that others may write to, one may lead
/// to any file of ours.
fn both_ways() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    options.read(true).write(true).custom_flags(flags);
    options
}

/// What opening a file that is there ended with.
fn not_opened(doing: &'static str) -> impl FnOnce(io::Error) -> RegionError {
    move |error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => RegionError::NotARegion { why: "it is a symbolic link" },
        _ => RegionError::Io { doing, error },
    }
}

fn lock(file: &File, until: Instant) -> Result<(), RegionError> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(RegionError::io("locking the region")(error.into())),
        }
        if Instant::now() >= until {
            return Err(RegionError::Busy);
        }
        thread::sleep(PAUSE);
    }
}

impl LockedFile {
    /// Opens the file, or makes it with such a mode, and locks it.
    pub(super) fn open_or_make(path: &Path, mode: u32) -> Result<Self, RegionError> {
        let (until, mode) = (Instant::now() + PATIENCE, mode & 0o666);
        loop {
            about_to_write();
            let options = both_ways();
            let (file, is_new) = match options.clone().mode(mode).create_new(true).open(path) {
                Ok(file) => {
                    about_to_write();
                    file.set_permissions(Permissions::from_mode(mode))
                        .map_err(RegionError::io("setting the region's permissions"))?;
                    (file, true)
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    match options.open(path) {
                        Ok(file) => (file, false),
                        // It was removed meanwhile.
                        Err(error)
                            if error.kind() == ErrorKind::NotFound && Instant::now() < until =>
                        {
                            continue;
                        }
                        Err(error) => return Err(not_opened("opening the region")(error)),
                    }
                }
                Err(error) => return Err(RegionError::io("making the region")(error)),
            };
            if let Some(mut locked) = Self::of(file, path, until)? {
                locked.made = is_new;
                return Ok(locked);
            }
            if Instant::now() >= until {
                return Err(RegionError::Gone { path: path.to_owned() });
            }
        }
    }

    /// Locks a file that was opened before, at the same path.
    pub(super) fn again(identity: &Identity) -> Result<Self, RegionError> {
        let gone = || RegionError::Gone { path: identity.path.clone() };
        let file = both_ways().open(&identity.path);
        let file = file.map_err(|error| match (error.kind(), Errno::from_io_error(&error)) {
            (ErrorKind::NotFound, _) | (_, Some(Errno::LOOP)) => gone(),
            _ => RegionError::io("opening the region again")(error),
        })?;
        let locked = Self::of(file, &identity.path, Instant::now() + PATIENCE)?;
        locked.filter(|locked| locked.identity == *identity).ok_or_else(gone)
    }

    /// `None` if the file is not at its path any more once it is locked.
    fn of(file: File, path: &Path, until: Instant) -> Result<Option<Self>, RegionError> {
        lock(&file, until)?;
        let there = file.metadata().map_err(RegionError::io("looking at the region"))?;
        if !there.is_file() {
            return Err(RegionError::NotARegion { why: "it is no regular file" });
        }
        let identity = Identity { path: path.to_owned(), device: there.dev(), inode: there.ino() };
        let locked = Self { file, identity, made: false };
        let same = path.symlink_metadata().is_ok_and(|now| {
            now.dev() == locked.identity.device && now.ino() == locked.identity.inode
        });
        Ok(same.then_some(locked))
    }

    pub(super) fn len(&self) -> Result<u64, RegionError> {
        let there = self.file.metadata().map_err(RegionError::io("looking at the region"))?;
        Ok(there.len())
    }

    /// What is in the file; and room for the first page, if nothing is.
    pub(super) fn first_page(&self) -> Result<(Memory, Found), RegionError> {
        let page = PAGE as u64;
        let len = self.len()?;
        if len < page {
            let mut bytes = [0; PAGE];
            let part = usize::try_from(len).unwrap_or(PAGE).min(PAGE);
            self.file
                .read_exact_at(&mut bytes[..part], 0)
                .map_err(RegionError::io("reading the region"))?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Err(RegionError::NotARegion { why: "it is shorter than a page" });
            }
            self.take_space(0, page)?;
        }
        let memory = self.map(0, page)?;
        let found = Header(memory.words()).look()?;
        if found == Found::Nothing && len > page {
            return Err(RegionError::NotARegion { why: "it is a file of zeroes" });
        }
        Ok((memory, found))
    }

    /// Makes the file's bytes from `from` to `to` zeroes that have their space.
    pub(super) fn take_space(&self, from: u64, to: u64) -> Result<(), RegionError> {
        static ZEROES: [u8; 1 << 16] = [0; 1 << 16];
        let doing = "taking space for the region";
        let len = self.len()?;
        let taken = to.saturating_sub(from);
        if taken == 0 {
            return Ok(());
        }
        about_to_write();
        // Some file systems give up where a signal comes, which a timer of the host sends.
        let got = retry_on_intr(|| fallocate(&self.file, FallocateFlags::empty(), from, taken));
        let zero_until = match got {
            // What lay beyond what was in use may be of somebody who did not finish.
            Ok(()) => len.min(to),
            Err(Errno::NOTSUP | Errno::NOSYS) => to,
            Err(error) => return Err(RegionError::io(doing)(error.into())),
        };
        let mut at = from;
        while at < zero_until {
            let some = ZEROES.len().min(usize::try_from(zero_until - at).unwrap_or(ZEROES.len()));
            about_to_write();
            self.file.write_all_at(&ZEROES[..some], at).map_err(RegionError::io(doing))?;
            at += some as u64;
        }
        Ok(())
    }

    /// Maps a part of the file that is there.
    pub(super) fn map(&self, from: u64, bytes: u64) -> Result<Memory, RegionError> {
        let doing = "mapping the region";
        if from.checked_add(bytes).is_none_or(|end| end > self.len().unwrap_or(0)) {
            return Err(RegionError::Damaged { what: "the file is shorter than what is in it" });
        }
        let too_large = |_| RegionError::io(doing)(io::Error::from(ErrorKind::OutOfMemory));
        let len = usize::try_from(bytes).map_err(too_large)?;
        let mapping: MmapRaw = MmapOptions::new()
            .offset(from)
            .len(len)
            .map_raw(&self.file)
            .map_err(RegionError::io(doing))?;
        Memory::mapped(mapping).map_err(|_| RegionError::Unfit { bytes: len, needed: PAGE })
    }
}
