//! `--speed`: how many decisions were made in a second.

use crate::figures::grouped;
use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

#[derive(Debug)]
pub(crate) struct Speed {
    pub(crate) decisions: u64,
    /// From opening the first log to the last decision.
    pub(crate) took: Duration,
}

impl Display for Speed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { decisions, took } = self;
        let noun = if *decisions == 1 { "decision" } else { "decisions" };
        let nanos = took.as_nanos().max(1);
        let a_second = u128::from(*decisions) * 1_000_000_000 / nanos;
        let a_second = three_digits(u64::try_from(a_second).unwrap_or(u64::MAX));
        write!(
            f,
            "{} {noun} in {:.3} s, reading included: {} a second",
            grouped(*decisions),
            took.as_secs_f64(),
            grouped(a_second)
        )
    }
}

/// The number to three digits: more of them do not come back in a second run.
fn three_digits(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(2));
    (number / unit + u64::from(number % unit >= unit.div_ceil(2) && unit > 1)).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people() {
        let line = |decisions, micros| {
            Speed { decisions, took: Duration::from_micros(micros) }.to_string()
        };
        for (decisions, micros, text) in [
            (0, 0, "0 decisions in 0.000 s, reading included: 0 a second"),
            (1, 2_000_000, "1 decision in 2.000 s, reading included: 0 a second"),
            (2760, 1234, "2,760 decisions in 0.001 s, reading included: 2,240,000 a second"),
            (
                2_000_000,
                900_000,
                "2,000,000 decisions in 0.900 s, reading included: 2,220,000 a second",
            ),
        ] {
            assert_eq!(line(decisions, micros), text);
        }
        assert!(line(u64::MAX, 0).ends_with(" a second"));
    }

    #[test]
    fn three_digits_are_rounded() {
        for (number, rounded) in [
            (0, 0),
            (7, 7),
            (999, 999),
            (1004, 1000),
            (1005, 1010),
            (9995, 10_000),
            (123_456, 123_000),
        ] {
            assert_eq!(three_digits(number), rounded);
        }
        assert_eq!(three_digits(u64::MAX), 18_400_000_000_000_000_000);
    }
}
