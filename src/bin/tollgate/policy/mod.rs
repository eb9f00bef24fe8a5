//! Policies: `check`, `explain`, and `replay --policy`.

mod decided;
mod explain;
mod fields;
mod map;
mod replay;
mod report;
mod tally;

pub(crate) use explain::explain;
pub(crate) use replay::replay;

use crate::{failure::Failure, figures, show, text};
use comfy_table::Cell;
use std::{
    cmp::Reverse,
    fmt::Write as _,
    fs::File,
    io::{self, Read},
    path::Path,
};
use tollgate::policy::{Policy, PolicyError, PolicyFile};

/// Larger files are no policies, but somebody's log.
const LARGEST: u64 = 16 << 20;

/// Reads a policy file. `code` is the exit code where something is wrong in it.
fn load(path: &Path, code: u8) -> Result<PolicyFile, Failure> {
    let name = show::name(path.as_os_str().as_encoded_bytes());
    let wrong = |why: String| Failure::new(format!("{name}: {why}"));
    let bytes = read_up_to(path, LARGEST).map_err(wrong)?;
    let bytes = bytes.ok_or_else(|| wrong("is larger than 16 MiB: no policy".to_owned()))?;
    PolicyFile::parse(&name, &bytes).map_err(|errors| invalid(&errors, code))
}

/// The whole of a file, `None` if it is larger than `most`; or why it cannot be read.
fn read_up_to(path: &Path, most: u64) -> Result<Option<Vec<u8>>, String> {
    let file = File::open(path).map_err(|e| reason(&e))?;
    let found = file.metadata().map_err(|e| reason(&e))?;
    if found.is_dir() {
        return Err("is a directory".to_owned());
    }
    let mut bytes = Vec::new();
    if found.len() <= most {
        // A pipe has no length, and may have no end.
        file.take(most + 1).read_to_end(&mut bytes).map_err(|e| reason(&e))?;
    }
    Ok((found.len().max(bytes.len() as u64) <= most).then_some(bytes))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn invalid(errors: &PolicyError, code: u8) -> Failure {
    Failure::policy(errors.to_string(), code)
}

fn compile(file: &PolicyFile, code: u8) -> Result<Policy, Failure> {
    Policy::from_file(file).map_err(|errors| invalid(&errors, code))
}

/// What is said of a file that is valid.
pub(crate) fn check(path: &Path) -> Result<String, Failure> {
    let policy = compile(&load(path, 1)?, 1)?;
    let all = policy.limits().len();
    let shadow = policy.limits().filter(|limit| policy.is_shadow(limit)).count();
    let noun = if all == 1 { "limit" } else { "limits" };
    let mut said = format!("valid: {all} {noun}");
    if shadow > 0 {
        said = format!("{said}, {shadow} of them in shadow");
    }
    if !policy.name().is_empty() {
        said = format!("{said} ({})", show::printable(policy.name().as_bytes()));
    }
    said.push('\n');
    memory(&policy, &mut said);
    Ok(said)
}

/// What it takes, and which limits take it, the most first.
fn memory(policy: &Policy, said: &mut String) {
    let mut limits: Vec<(&str, usize)> =
        policy.limits().filter_map(|limit| Some((limit, policy.gauges(limit)?.memory()))).collect();
    let penalties = policy.memory() - limits.iter().map(|(_, bytes)| bytes).sum::<usize>();
    if penalties > 0 {
        limits.push(("(penalties)", penalties));
    }
    if policy.memory() == 0 {
        return;
    }
    let _ = writeln!(said, "memory: {}", figures::bytes(policy.memory()));
    if limits.len() > 1 {
        limits.sort_by_key(|(_, bytes)| Reverse(*bytes));
        let mut table = text::table();
        for (name, bytes) in limits {
            let name = show::printable(name.as_bytes());
            table.add_row([text::right(figures::bytes(bytes)), Cell::new(name)]);
        }
        text::put_table(said, &table);
    }
}
