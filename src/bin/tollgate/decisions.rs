//! `--decisions FILE`: one JSON object a line, in the order of deciding.

use crate::{
    failure::Failure,
    input::Source,
    interrupt::Unfinished,
    show::{name, utf8},
};
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use tollgate::Decision;

/// Written beside its target, and renamed to it when it is complete.
pub(crate) struct Decisions {
    out: BufWriter<NamedTempFile>,
    target: PathBuf,
    unfinished: Unfinished,
    /// The name of each log as a JSON string.
    names: Vec<String>,
    /// `"name"` of the limit, as JSON.
    limit: String,
}

impl Decisions {
    pub(crate) fn create(target: &Path, logs: &[Source], limit: &str) -> Result<Self, Failure> {
        let refuse = |why: &str| Err(failure(target, &why));
        if target == Path::new("-") {
            return refuse("standard output is for the report; a file of this name is ./-");
        }
        let old = fs::metadata(target);
        let target = match &old {
            // Renaming onto a device or a pipe would replace it.
            Ok(found) if !found.is_file() => return refuse("is not a regular file"),
            // A link stays a link.
            Ok(_) => target.canonicalize().map_err(|e| failure(target, &e))?,
            Err(_) => target.to_owned(),
        };
        let is_target = |log: &&Source| {
            !log.is_stdin() && Path::new(log.name()).canonicalize().is_ok_and(|log| log == target)
        };
        if logs.iter().any(|log| is_target(&log)) {
            return refuse("is one of the logs to read");
        }
        if let Some(stream) = old.as_ref().ok().and_then(standard_stream) {
            return refuse(&format!("is the file of standard {stream}"));
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let unfinished = Unfinished::watch()?;
        let file = unfinished
            .create(|| temporary(folder, old.as_ref().ok()))
            .map_err(|e| failure(&target, &os_text(&e)))?;
        let json = |text: &str| serde_json::Value::from(text).to_string();
        Ok(Self {
            out: BufWriter::with_capacity(256 * 1024, file),
            names: logs.iter().map(|log| json(&utf8(log.name().as_encoded_bytes()))).collect(),
            limit: json(limit),
            target,
            unfinished,
        })
    }

    /// Writes the decision on line `line` of the log that was named `log`th (from 0).
    pub(crate) fn write(&mut self, log: usize, line: u64, d: &Decision) -> Result<(), Failure> {
        self.put(log, line, d).map_err(|e| failure(&self.target, &os_text(&e)))
    }

    fn put(&mut self, log: usize, line: u64, d: &Decision) -> io::Result<()> {
        let name = self.names.get(log).map_or("null", String::as_str);
        let allowed = d.is_allowed();
        let denied_by = if allowed { "" } else { &self.limit };
        let remaining = d.remaining();
        let reset = d.reset_after().as_nanos();
        write!(
            self.out,
            "{{\"file\":{name},\"line\":{line},\"allowed\":{allowed},\"denied_by\":[{denied_by}],\
             \"remaining\":{remaining},\"reset_after_ns\":{reset},\"retry_after_ns\":"
        )?;
        match d.retry_after() {
            Some(wait) => writeln!(self.out, "{}}}", wait.as_nanos()),
            None => self.out.write_all(b"null}\n"),
        }
    }

    /// Puts the file in its place. Dropped before, it leaves nothing behind.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let target = self.target;
        let file = self.out.into_inner().map_err(|e| failure(&target, &os_text(e.error())))?;
        self.unfinished.persist(file, &target).map_err(|e| failure(&target, &os_text(&e.error)))
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

fn failure(target: &Path, why: &dyn std::fmt::Display) -> Failure {
    let target = name(target.as_os_str().as_encoded_bytes());
    Failure::new(format!("--decisions {target}: {why}"))
}
