//! Lines that cannot be read.

use crate::{failure::Failure, input::Source, line::Unreadable};

/// How many are told with their reason.
const SHOWN: usize = 5;

/// Counts them, and tells of the first.
pub(crate) struct Skipped {
    strict: bool,
    count: u64,
    warnings: Vec<String>,
}

impl Skipped {
    /// `strict`: the first is one too many.
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, count: 0, warnings: Vec::new() }
    }

    #[cold]
    pub(crate) fn add(&mut self, why: Unreadable, log: &Source, line: u64) -> Result<(), Failure> {
        let told = || format!("{}:{line}: {why}", log.shown());
        if self.strict {
            return Err(Failure::strict(told()));
        }
        self.count += 1;
        if self.warnings.len() < SHOWN {
            self.warnings.push(format!("skipped {}", told()));
        }
        Ok(())
    }

    /// How many there were beside `requests` that could be read, and lines for
    /// standard error.
    pub(crate) fn finish(self, requests: u64) -> (u64, Vec<String>) {
        let Self { count, mut warnings, .. } = self;
        let more = count - warnings.len() as u64;
        if more > 0 {
            warnings.push(format!("skipped {more} more"));
        }
        if requests == 0 && count > 0 {
            let lines = if count == 1 { "line" } else { "lines" };
            warnings.push(format!(
                "none of {count} {lines} can be read as Common or Combined Log Format"
            ));
        }
        (count, warnings)
    }
}
