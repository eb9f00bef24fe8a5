//! `--decisions FILE`: one JSON object a line, in the order of deciding.

use crate::{
    aside::{Aside, Out},
    failure::Failure,
    input::Source,
    show::utf8,
};
use std::io::{self, Write};
use tollgate::Decision;

pub(crate) struct Decisions {
    file: Aside,
    /// The name of each log as a JSON string.
    names: Vec<String>,
    /// `"name"` of the limit, as JSON.
    limit: String,
}

impl Decisions {
    pub(crate) fn new(file: Aside, logs: &[Source], limit: &str) -> Self {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        Self {
            file,
            names: logs.iter().map(|log| json(&utf8(log.name().as_encoded_bytes()))).collect(),
            limit: json(limit),
        }
    }

    /// Writes the decision on line `line` of the log that was named `log`th (from 0).
    pub(crate) fn write(&mut self, log: usize, line: u64, d: &Decision) -> Result<(), Failure> {
        let name = self.names.get(log).map_or("null", String::as_str);
        let denied_by = if d.is_allowed() { "" } else { &self.limit };
        self.file.write(|out| put(out, name, line, denied_by, d))
    }

    /// The file, with all decisions written.
    pub(crate) fn into_file(self) -> Aside {
        self.file
    }
}

fn put(out: &mut Out, name: &str, line: u64, denied_by: &str, d: &Decision) -> io::Result<()> {
    let allowed = d.is_allowed();
    let remaining = d.remaining();
    let reset = d.reset_after().as_nanos();
    write!(
        out,
        "{{\"file\":{name},\"line\":{line},\"allowed\":{allowed},\"denied_by\":[{denied_by}],\
         \"remaining\":{remaining},\"reset_after_ns\":{reset},\"retry_after_ns\":"
    )?;
    match d.retry_after() {
        Some(wait) => writeln!(out, "{}}}", wait.as_nanos()),
        None => out.write_all(b"null}\n"),
    }
}
