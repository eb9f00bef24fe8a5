//! `--decisions FILE`: one JSON object a line, in the order of deciding.

use crate::{aside::Aside, failure::Failure, input::Source, run::At, show::utf8};
use serde::Serialize;
use std::io::Write;
use tollgate::Decision;

pub(crate) struct Decisions {
    file: Aside,
    /// The name of each log.
    names: Vec<String>,
}

/// What is written of every decision, whoever decided.
#[derive(Serialize)]
pub(crate) struct Answer<'a> {
    pub(crate) allowed: bool,
    /// The limits that said no.
    pub(crate) denied_by: &'a [&'a str],
    pub(crate) remaining: Option<u64>,
    pub(crate) reset_after_ns: Option<u128>,
    pub(crate) retry_after_ns: Option<u128>,
}

impl<'a> Answer<'a> {
    /// What one limit said.
    pub(crate) fn of(said: &Decision, denied_by: &'a [&'a str]) -> Self {
        Self {
            allowed: said.is_allowed(),
            denied_by,
            remaining: Some(said.remaining()),
            reset_after_ns: Some(said.reset_after().as_nanos()),
            retry_after_ns: said.retry_after().map(|wait| wait.as_nanos()),
        }
    }
}

#[derive(Serialize)]
struct Entry<'a, T> {
    file: &'a str,
    line: u64,
    #[serde(flatten)]
    decided: T,
}

impl Decisions {
    pub(crate) fn new(file: Aside, logs: &[Source]) -> Self {
        let names = logs.iter().map(|log| utf8(log.name().as_encoded_bytes())).collect();
        Self { file, names }
    }

    /// Writes what was decided on a line.
    pub(crate) fn write(&mut self, at: At, decided: impl Serialize) -> Result<(), Failure> {
        let file = self.names.get(at.log).map_or("", String::as_str);
        let entry = Entry { file, line: at.line, decided };
        self.file.write(|out| {
            serde_json::to_writer(&mut *out, &entry)?;
            out.write_all(b"\n")
        })
    }

    /// The file, with all decisions written.
    pub(crate) fn into_file(self) -> Aside {
        self.file
    }
}
