//! pingora-limits: a sketch that counts each key's requests of the running
//! second, in 64 KiB whatever the number of keys. Keys that share counters are
//! counted too high; above a few thousand keys all do. It decides nothing: the
//! caller compares.

use crate::{keys::Run, subject::Subject};
use pingora_limits::rate::Rate;
use std::time::Duration;

/// Not reached here, even by counts that are too high.
const LIMIT: isize = 1_000_000_000;

pub(crate) struct Counter {
    rate: Rate,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self { rate: Rate::new(Duration::from_secs(1)) }
    }
}

impl Subject for Counter {
    fn pass(&self, run: &Run<'_>) -> u64 {
        run.numbers(|key| self.rate.observe(&key, 1) <= LIMIT)
    }
}
