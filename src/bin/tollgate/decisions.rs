//! `--decisions FILE`: one JSON object a line, in the order of deciding.

use crate::{
    failure::Failure,
    input::Source,
    show::{printable, utf8},
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
    /// The name of each log as a JSON string.
    names: Vec<String>,
    /// `"name"` of the limit, as JSON.
    limit: String,
}

impl Decisions {
    pub(crate) fn create(target: &Path, logs: &[Source], limit: &str) -> Result<Self, Failure> {
        let refuse = |why: &str| Err(failure(target, &why));
        let target = match fs::metadata(target) {
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
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tollgate-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As for any new file; the process's umask takes its part away.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(|e| failure(&target, &os_text(&e)))?;
        let json = |text: &str| serde_json::Value::from(text).to_string();
        Ok(Self {
            out: BufWriter::with_capacity(256 * 1024, file),
            names: logs.iter().map(|log| json(&utf8(log.name().as_encoded_bytes()))).collect(),
            limit: json(limit),
            target,
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
        file.persist(&target).map_err(|e| failure(&target, &os_text(&e.error)))?;
        Ok(())
    }
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
    let target = printable(target.as_os_str().as_encoded_bytes());
    Failure::new(format!("--decisions {target}: {why}"))
}
