//! Files that are written beside their targets, and take their places when
//! they are complete.

use crate::{failure::Failure, input::Source, interrupt::Unfinished, show::name};
use std::{
    fmt::Display,
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The files that a run was asked to write, each by the option that names it.
pub(crate) struct Outputs {
    /// What must not be written over: why, and where it is.
    read: Vec<(&'static str, PathBuf)>,
    unfinished: Option<Unfinished>,
    made: Vec<(&'static str, PathBuf)>,
}

impl Outputs {
    /// The logs, and all `others`, must not be written over.
    pub(crate) fn beside<'a>(
        logs: &[Source],
        others: impl Iterator<Item = (&'static str, &'a PathBuf)>,
    ) -> Self {
        let logs = logs.iter().filter(|log| !log.is_stdin());
        let logs = logs.map(|log| ("is one of the logs to read", Path::new(log.name())));
        let read = logs.chain(others.map(|(why, path)| (why, path.as_path())));
        let read = read.filter_map(|(why, path)| Some((why, path.canonicalize().ok()?)));
        Self { read: read.collect(), unfinished: None, made: Vec::new() }
    }

    /// A file that will be `target`, which `option` names; or why it cannot be.
    pub(crate) fn create(&mut self, option: &'static str, target: &Path) -> Result<Aside, Failure> {
        let refuse = |why: &str| Err(failure(option, target, &why));
        if target == Path::new("-") {
            return refuse("standard output is for the report; a file of this name is ./-");
        }
        let old = fs::metadata(target);
        let resolved = match &old {
            // Renaming onto a device or a pipe would replace it.
            Ok(found) if !found.is_file() => return refuse("is not a regular file"),
            // A link stays a link.
            Ok(_) => target.canonicalize().map_err(|e| failure(option, target, &e))?,
            Err(_) => target.to_owned(),
        };
        if let Some((why, _)) = self.read.iter().find(|(_, path)| *path == resolved) {
            return refuse(why);
        }
        if let Some(stream) = old.as_ref().ok().and_then(standard_stream) {
            return refuse(&format!("is the file of standard {stream}"));
        }
        let folder = match resolved.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Two new files have no path of their own yet, but their folders have.
        let place = match (folder.canonicalize(), resolved.file_name()) {
            (Ok(folder), Some(file)) => folder.join(file),
            _ => resolved.clone(),
        };
        if let Some((other, _)) = self.made.iter().find(|(_, made)| *made == place) {
            return refuse(&format!("is the file of {other}"));
        }
        let unfinished = match &self.unfinished {
            Some(unfinished) => unfinished.clone(),
            None => self.unfinished.insert(Unfinished::watch()?).clone(),
        };
        let file = unfinished
            .create(|| temporary(folder, old.as_ref().ok()))
            .map_err(|e| failure(option, &resolved, &os_text(&e)))?;
        self.made.push((option, place));
        let out = BufWriter::with_capacity(256 * 1024, file);
        Ok(Aside { out, option, target: resolved, unfinished })
    }
}

/// What is written to.
pub(crate) type Out = BufWriter<NamedTempFile>;

/// A file on its way. Dropped before it is in its place, it leaves nothing behind.
pub(crate) struct Aside {
    out: Out,
    option: &'static str,
    target: PathBuf,
    unfinished: Unfinished,
}

impl Aside {
    /// Lets `put` write.
    pub(crate) fn write(
        &mut self,
        put: impl FnOnce(&mut Out) -> io::Result<()>,
    ) -> Result<(), Failure> {
        put(&mut self.out).map_err(|e| failure(self.option, &self.target, &os_text(&e)))
    }

    /// Nothing more is to be written: what can still fail is the renaming.
    pub(crate) fn complete(&mut self) -> Result<(), Failure> {
        self.write(Write::flush)
    }

    /// Puts the file in its place.
    pub(crate) fn put_in_place(self) -> Result<(), Failure> {
        let Self { out, option, target, unfinished } = self;
        let file = out.into_inner().map_err(|e| failure(option, &target, &os_text(e.error())))?;
        unfinished.persist(file, &target).map_err(|e| failure(option, &target, &os_text(&e.error)))
    }
}

/// A new file in `folder` that may be used as `old` may, or as any new file.
fn temporary(folder: &Path, old: Option<&fs::Metadata>) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tollgate-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let mode = old.map(|old| old.mode() & 0o777);
        // The process's umask takes its part away.
        builder.permissions(fs::Permissions::from_mode(mode.unwrap_or(0o666)));
        let file = builder.tempfile_in(folder)?;
        if let (Some(mut mode), Some(old)) = (mode, old) {
            let group = file.as_file().metadata()?.gid();
            if group != old.gid() && fchown(file.as_file(), None, Some(old.gid())).is_err() {
                // What the group of the old file may is nothing for another one.
                mode &= !0o070;
            }
            file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    {
        let _ = old;
        builder.tempfile_in(folder)
    }
}

/// Which of the standard streams is this very file, if one is: whatever goes
/// there or comes from there would be lost when another file takes its place.
#[cfg(unix)]
fn standard_stream(file: &fs::Metadata) -> Option<&'static str> {
    use std::os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    };
    let is = |stream: BorrowedFd<'_>| {
        let stream = stream.try_clone_to_owned().map(fs::File::from);
        stream
            .and_then(|stream| stream.metadata())
            .is_ok_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
    };
    if is(io::stdout().as_fd()) {
        Some("output")
    } else if is(io::stderr().as_fd()) {
        Some("error")
    } else if is(io::stdin().as_fd()) {
        Some("input")
    } else {
        None
    }
}

/// Elsewhere a file that is open is not replaced in the first place.
#[cfg(not(unix))]
fn standard_stream(_: &fs::Metadata) -> Option<&'static str> {
    None
}

/// The system's words alone: the error of a temporary file names its path,
/// which means nothing to who asked for another file.
fn os_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        kind => error.raw_os_error().map_or_else(
            || kind.to_string(),
            |code| io::Error::from_raw_os_error(code).to_string(),
        ),
    }
}

fn failure(option: &str, target: &Path, why: &dyn Display) -> Failure {
    let target = name(target.as_os_str().as_encoded_bytes());
    Failure::new(format!("{option} {target}: {why}"))
}
