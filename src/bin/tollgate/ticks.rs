//! Where axes are marked, and with what.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The first Monday after 1970 began: weeks are counted from there.
const MONDAY: u64 = 4 * DAY;

/// At most so many steps fit between the ends of a time axis.
const STEPS: u64 = 8;

/// At most so many steps fit below the highest count.
const COUNTS: u64 = 6;

/// From one mark of time to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Seconds(u64),
    Months(u64),
}

/// What is a step, from the shortest to the longest.
const LADDER: [Step; 31] = [
    Step::Seconds(1),
    Step::Seconds(2),
    Step::Seconds(5),
    Step::Seconds(10),
    Step::Seconds(15),
    Step::Seconds(30),
    Step::Seconds(MINUTE),
    Step::Seconds(2 * MINUTE),
    Step::Seconds(5 * MINUTE),
    Step::Seconds(10 * MINUTE),
    Step::Seconds(15 * MINUTE),
    Step::Seconds(30 * MINUTE),
    Step::Seconds(HOUR),
    Step::Seconds(2 * HOUR),
    Step::Seconds(3 * HOUR),
    Step::Seconds(6 * HOUR),
    Step::Seconds(12 * HOUR),
    Step::Seconds(DAY),
    Step::Seconds(2 * DAY),
    Step::Seconds(7 * DAY),
    Step::Seconds(14 * DAY),
    Step::Months(1),
    Step::Months(3),
    Step::Months(6),
    Step::Months(12),
    Step::Months(2 * 12),
    Step::Months(5 * 12),
    Step::Months(10 * 12),
    Step::Months(20 * 12),
    Step::Months(50 * 12),
    Step::Months(100 * 12),
];

/// The marks of a time axis, in UTC.
#[derive(Debug)]
pub(crate) struct Times {
    /// Seconds since 1970.
    pub(crate) marks: Vec<u64>,
    step: Step,
}

impl Times {
    /// Round times from `from` to `to`, both in seconds since 1970.
    pub(crate) fn between(from: u64, to: u64) -> Self {
        let fits = |step: &&Step| {
            let seconds = match **step {
                Step::Seconds(seconds) => seconds,
                Step::Months(months) => months * 30 * DAY,
            };
            to.saturating_sub(from) / seconds <= STEPS
        };
        let step = *LADDER.iter().find(fits).unwrap_or(&LADDER[LADDER.len() - 1]);
        let marks = match step {
            Step::Seconds(step) => {
                let phase = if step > 2 * DAY { MONDAY } else { 0 };
                let first = from.saturating_sub(phase).div_ceil(step) * step + phase;
                (first..=to).step_by(usize::try_from(step).unwrap_or(usize::MAX)).collect()
            }
            Step::Months(step) => {
                let first = months(date(from)).div_ceil(step) * step;
                (0..)
                    .map_while(|nth| start(first + nth * step))
                    .take_while(|at| *at <= to)
                    .filter(|at| *at >= from)
                    .collect()
            }
        };
        Self { marks, step }
    }

    /// What stands at the mark at `seconds`.
    pub(crate) fn label(&self, seconds: u64) -> String {
        let format =
            match self.step {
                Step::Seconds(step) if step < DAY && !seconds.is_multiple_of(DAY) => {
                    if step < MINUTE { "%H:%M:%S" } else { "%H:%M" }
                }
                Step::Seconds(_) => "%Y-%m-%d",
                Step::Months(step) if step < 12 => "%Y-%m",
                Step::Months(_) => "%Y",
            };
        date(seconds).strftime(format).to_string()
    }
}

/// The day or the days, for what stands below the axis.
pub(crate) fn days(from: u64, to: u64) -> String {
    let [first, last] = [from, to].map(|at| date(at).date());
    if first == last { format!("{first}") } else { format!("{first} to {last}") }
}

/// Date and time of day in UTC.
fn date(seconds: u64) -> DateTime {
    let at = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    // A time that was read from a log is before the year 2555.
    TimeZone::UTC.to_datetime(at.unwrap_or_default())
}

/// Months since the year 0.
fn months(date: DateTime) -> u64 {
    let [year, month] = [i64::from(date.year()), i64::from(date.month())];
    (year * 12 + month - 1).unsigned_abs()
}

/// Seconds since 1970 at which the month began, so many after the year 0.
fn start(months: u64) -> Option<u64> {
    let year = i16::try_from(months / 12).ok()?;
    let month = i8::try_from(months % 12 + 1).ok()?;
    let start = DateTime::new(year, month, 1, 0, 0, 0, 0).ok()?;
    let start = TimeZone::UTC.to_timestamp(start).ok()?;
    u64::try_from(start.as_second()).ok()
}

/// The marks of an axis of counts from 0 on; the last one is not below `highest`.
pub(crate) fn counts(highest: u64) -> Vec<u64> {
    let rounds = (0..).map_while(|power| 10_u64.checked_pow(power));
    let step = rounds
        .flat_map(|round| [1, 2, 5].map(|times| round.saturating_mul(times)))
        .find(|step| highest.div_ceil(*step) <= COUNTS)
        .unwrap_or(u64::MAX);
    (0..=highest.div_ceil(step).max(1)).map(|nth| step.saturating_mul(nth)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(from: &str, to: &str) -> Vec<String> {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second().unsigned_abs();
        let times = Times::between(at(from), at(to));
        times.marks.iter().map(|mark| times.label(*mark)).collect()
    }

    #[test]
    fn times_are_round() {
        for (from, to, marks) in [
            ("2026-11-21T20:45:05Z", "2026-11-21T20:45:08Z", "20:45:05 20:45:06 20:45:07 20:45:08"),
            (
                "2026-11-21T23:59:50Z",
                "2026-11-22T00:00:20Z",
                "23:59:50 23:59:55 2026-11-22 00:00:05 00:00:10 00:00:15 00:00:20",
            ),
            ("2026-11-21T20:46:05Z", "2026-11-21T20:52:40Z", "20:47 20:48 20:49 20:50 20:51 20:52"),
            (
                "2026-11-20T13:00:00Z",
                "2026-11-22T02:00:00Z",
                "18:00 2026-11-21 06:00 12:00 18:00 2026-11-22",
            ),
            // Mondays.
            (
                "2026-11-01T00:00:00Z",
                "2026-11-28T00:00:00Z",
                "2026-11-02 2026-11-09 2026-11-16 2026-11-23",
            ),
            (
                "2023-12-05T00:00:00Z",
                "2024-05-02T00:00:00Z",
                "2024-01 2024-02 2024-03 2024-04 2024-05",
            ),
            ("2018-06-05T00:00:00Z", "2024-05-02T00:00:00Z", "2019 2020 2021 2022 2023 2024"),
            ("1970-01-01T00:00:00Z", "2554-07-21T00:00:00Z", "2000 2100 2200 2300 2400 2500"),
        ] {
            assert_eq!(labels(from, to).join(" "), marks, "{from} to {to}");
        }
    }

    #[test]
    fn there_are_always_some_and_never_many() {
        let mut span = 10;
        while span < 600 * 365 * DAY {
            for from in [0, 1_700_000_000, 1_700_006_399] {
                let marks = Times::between(from, from + span).marks;
                assert!((2..=10).contains(&marks.len()), "{from} {span} {marks:?}");
                assert!(marks.iter().all(|mark| (from..=from + span).contains(mark)));
            }
            span += span / 7 + 1;
        }
    }

    #[test]
    fn counts_reach_the_highest() {
        for (highest, marks) in [
            (0, &[0, 1][..]),
            (1, &[0, 1]),
            (5, &[0, 1, 2, 3, 4, 5]),
            (6, &[0, 1, 2, 3, 4, 5, 6]),
            (7, &[0, 2, 4, 6, 8]),
            (72, &[0, 20, 40, 60, 80]),
            (1201, &[0, 500, 1000, 1500]),
        ] {
            assert_eq!(counts(highest), marks, "{highest}");
        }
        assert!(*counts(u64::MAX).last().unwrap() > u64::MAX / 2);
    }

    #[test]
    fn days_are_named_once_or_from_to() {
        assert_eq!(days(0, DAY - 1), "1970-01-01");
        assert_eq!(days(0, DAY), "1970-01-01 to 1970-01-02");
    }
}
