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

use crate::{failure::Failure, show};
use std::{
    fs::{File, Metadata},
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
    let (file, found) = open(path).map_err(wrong)?;
    let mut bytes = Vec::new();
    // A pipe has no length, and may have no end.
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| wrong(reason(&e)))?;
    if found.len().max(bytes.len() as u64) > LARGEST {
        return Err(wrong("is larger than 16 MiB: no policy".to_owned()));
    }
    PolicyFile::parse(&name, &bytes).map_err(|errors| invalid(&errors, code))
}

/// Opens a file that is to be read as a whole, or says why it cannot be.
fn open(path: &Path) -> Result<(File, Metadata), String> {
    let file = File::open(path).map_err(|e| reason(&e))?;
    let found = file.metadata().map_err(|e| reason(&e))?;
    if found.is_dir() { Err("is a directory".to_owned()) } else { Ok((file, found)) }
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
    Ok(said)
}
