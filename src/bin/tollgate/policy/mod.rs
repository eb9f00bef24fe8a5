//! Policies: `check`, `explain`, and `replay --policy`.

mod explain;
mod fields;
mod map;
pub(crate) mod replay;
pub(crate) mod report;

pub(crate) use explain::explain;

use crate::{failure::Failure, show};
use std::{fs, io, path::Path};
use tollgate::policy::{Policy, PolicyError, PolicyFile};

/// Larger files are no policies, but somebody's log.
const LARGEST: u64 = 16 << 20;

/// Reads a policy file. `code` is the exit code where something is wrong in it.
fn load(path: &Path, code: u8) -> Result<PolicyFile, Failure> {
    let name = show::name(path.as_os_str().as_encoded_bytes());
    let wrong = |why: String| Failure::new(format!("{name}: {why}"));
    let text = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let found = fs::metadata(path).map_err(|e| wrong(text(&e)))?;
    if found.is_dir() {
        return Err(wrong("is a directory".to_owned()));
    }
    if found.len() > LARGEST {
        return Err(wrong("is larger than 16 MiB: no policy".to_owned()));
    }
    let bytes = fs::read(path).map_err(|e| wrong(text(&e)))?;
    PolicyFile::parse(&name, &bytes).map_err(|errors| invalid(&errors, code))
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
        said.push_str(&format!(", {shadow} of them in shadow"));
    }
    if !policy.name().is_empty() {
        said.push_str(&format!(" ({})", show::printable(policy.name().as_bytes())));
    }
    said.push('\n');
    Ok(said)
}
