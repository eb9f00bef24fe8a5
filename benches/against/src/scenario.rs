//! What is asked of both versions.

use crate::keys::Run;
use clap::ValueEnum;
use std::error::Error;

/// What may go wrong: a version that cannot be built, or that answers otherwise
/// than the scenario says.
pub(crate) type Trouble = Box<dyn Error>;

/// Limiters of one version, under measurement.
pub(crate) trait Subject {
    /// Asks once for each key of the run; returns how many were allowed.
    fn pass(&self, run: &Run<'_>) -> u64;
}

/// A way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Known keys in debt, all allowed.
    Hit,
    /// As hit, the time given by the caller.
    Given,
    /// As hit, in batches of 64.
    Batch,
    /// Known keys, all denied.
    Denied,
    /// New keys, each in the slot of a key that owes nothing any more.
    Fresh,
    /// One limit without keys, allowed.
    Lone,
}

impl Scenario {
    pub(crate) const ALL: [Self; 6] =
        [Self::Hit, Self::Given, Self::Batch, Self::Denied, Self::Fresh, Self::Lone];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Given => "given",
            Self::Batch => "batch",
            Self::Denied => "denied",
            Self::Fresh => "fresh",
            Self::Lone => "lone",
        }
    }

    /// Timed checks per half of a round and version: some hundredths of a second.
    pub(crate) fn checks(self) -> usize {
        match self {
            Self::Fresh => 1 << 17,
            _ => 1 << 19,
        }
    }

    /// What each key may do.
    pub(crate) fn limit(self) -> Limit {
        match self {
            Self::Hit | Self::Given | Self::Batch => Limit::Deep,
            Self::Denied => Limit::Daily,
            Self::Fresh | Self::Lone => Limit::Plenty,
        }
    }
}

/// What each key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// One a minute, two million at once: a key that was asked for stays in debt,
    /// so that nobody takes its slot, and is never denied in a round.
    Deep,
    /// One a day: everything but a key's first request is denied.
    Daily,
    /// A billion a second: nothing is denied, and every debt is paid at once.
    Plenty,
}
