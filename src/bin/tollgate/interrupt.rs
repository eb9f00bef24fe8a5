//! What is left behind when a run is interrupted: nothing.

use crate::failure::Failure;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tempfile::{NamedTempFile, PersistError};

/// What shells report of a command that was interrupted from the keyboard.
const INTERRUPTED: i32 = 130;

/// The files that are not complete yet. An interrupt removes them and ends the run;
/// whoever holds the lock on their names is not interrupted meanwhile.
#[derive(Clone, Default)]
pub(crate) struct Unfinished(Arc<Mutex<Vec<PathBuf>>>);

impl Unfinished {
    /// From here on, interrupts and requests to terminate are handled. Where
    /// some are already ignored (as under `nohup`), whoever started the
    /// command has decided about them, and all are left as they are. To be called
    /// once: only the first one's files are removed.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let unfinished = Self::default();
        let shared = unfinished.clone();
        let handler = move || {
            let paths = shared.lock();
            for path in &*paths {
                // There is nobody left to tell.
                let _ = fs::remove_file(path);
            }
            // Still under the lock: no file is put in its place any more.
            process::exit(INTERRUPTED);
        };
        match ctrlc::try_set_handler(handler) {
            Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(unfinished),
            Err(e) => Err(Failure::new(format!("cannot handle interrupts: {e}"))),
        }
    }

    /// Makes a file.
    pub(crate) fn create(
        &self,
        make: impl FnOnce() -> io::Result<NamedTempFile>,
    ) -> io::Result<NamedTempFile> {
        let mut paths = self.lock();
        let file = make()?;
        paths.push(file.path().to_owned());
        Ok(file)
    }

    /// Puts a file, now complete, in its place.
    pub(crate) fn persist(&self, file: NamedTempFile, target: &Path) -> Result<(), PersistError> {
        let mut paths = self.lock();
        let made = file.path().to_owned();
        file.persist(target)?;
        paths.retain(|path| *path != made);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
