//! Policies from the text to the answer: against an oracle, by threads, and by requests
//! that nobody should send.
#![cfg(all(feature = "policy", not(loom)))]

mod around;
mod attack;
mod binding;
mod built_in;
mod hammering;
mod hostile;
mod in_place;
mod leases;
mod listing;
mod memory;
mod missing;
mod penalties;
mod sequential;
mod threads;
mod times;
mod upkeep;

use std::time::Duration;
use tollgate::{
    Nanos,
    policy::{Moment, Policy, PolicyDecision, PolicyFile},
};

/// 2026-01-01T00:00:00Z, where a year, a month and a minute begin.
const NEW_YEAR: Duration = Duration::from_secs(1_767_225_600);

/// The moment at which all policies of these tests begin.
fn start() -> Moment {
    Moment::new(Nanos::from_secs(5), NEW_YEAR)
}

fn after(secs: u64) -> Moment {
    start().after(Duration::from_secs(secs))
}

fn policy(text: &str) -> Policy {
    let file = PolicyFile::parse("test", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    Policy::from_file_at(&file, start()).unwrap_or_else(|e| panic!("{e}"))
}

/// What a limit of a decision has left.
fn left(decision: &PolicyDecision<'_>, limit: &str) -> u64 {
    decision.limit(limit).unwrap_or_else(|| panic!("{limit}: {decision:?}")).decision().remaining()
}

fn binds<'d>(decision: &'d PolicyDecision<'_>) -> Option<&'d str> {
    decision.binding().map(|limit| limit.name())
}
