//! The windows of the calendar in a time zone, as the algorithm wants them: when the one
//! that contains an instant begins and ends.
//!
//! A day, a week (from Monday), a month, a year begins with the first instant of its
//! first date in the zone, so a day may have 23 or 25 hours. A minute or an hour begins
//! when the clock on the wall strikes it, or jumps into it: an hour that is repeated is
//! two windows, and a clock that is set by half an hour makes one of 30 or of 90 minutes.
//!
//! Windows begin and end at whole multiples of the algorithm's grain (a minute for
//! minutes, else a quarter of an hour) since 1970, as all zones have them that are in
//! use. Where a zone's offset once was no multiple, they begin and end with the next.

use crate::{
    algorithm::Unit,
    limiter::current::{Current, Words},
};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, date},
    tz::TimeZone,
};
use parking_lot::Mutex;

const NANOS: u64 = 1_000_000_000;

/// Windows of one unit in one zone. Finding the one of now costs some loads, but for the
/// first time in each.
#[derive(Debug)]
pub(crate) struct Windows {
    unit: Unit,
    zone: TimeZone,
    /// Start and end of the window that was asked for last.
    last: Words,
    /// Who has it may replace `last`; nobody waits for it.
    writer: Mutex<()>,
}

impl Windows {
    pub(crate) fn new(unit: Unit, zone: TimeZone) -> Self {
        Self { unit, zone, last: Current::words([0; 3]), writer: Mutex::new(()) }
    }

    pub(crate) fn is_in(&self, zone: &TimeZone) -> bool {
        self.zone == *zone
    }

    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }

    /// When the window that contains an instant begins and ends, in nanoseconds since
    /// 1970. What lies before 1970 is then 0, what can no more be told is `u64::MAX`.
    #[inline]
    pub(crate) fn containing(&self, unix_nanos: u64) -> (u64, u64) {
        let [start, end, _] = Current::new(&self.last).get();
        if start <= unix_nanos && unix_nanos < end {
            return (start, end);
        }
        self.find(unix_nanos)
    }

    #[cold]
    fn find(&self, unix_nanos: u64) -> (u64, u64) {
        let secs = i64::try_from(unix_nanos / NANOS).unwrap_or(i64::MAX);
        // Within the range of `u64` everything is in that of the calendar.
        let (start, end) = self.on_grain(secs).unwrap_or((0, i64::MAX));
        let nanos = |secs: i64| u64::try_from(secs).unwrap_or(0).saturating_mul(NANOS);
        let (start, end) = (nanos(start), nanos(end));
        if let Some(_writer) = self.writer.try_lock() {
            Current::new(&self.last).set([start, end, 0]);
        }
        (start, end)
    }

    /// The window of a second, its ends moved to the grain.
    fn on_grain(&self, secs: i64) -> Option<(i64, i64)> {
        let grain = i64::try_from(self.unit.grain_secs()).ok()?;
        let up = |secs: i64| secs.saturating_add((-secs).rem_euclid(grain));
        let (mut start, mut end) = self.exact(secs)?;
        if up(start) > secs {
            (start, end) = (self.exact(start.checked_sub(1)?)?.0, start);
        }
        Some((up(start), up(end)))
    }

    fn exact(&self, secs: i64) -> Option<(i64, i64)> {
        match self.unit {
            Unit::Minute => self.by_the_clock(secs, 60),
            Unit::Hour => self.by_the_clock(secs, 3600),
            Unit::Day | Unit::Week | Unit::Month | Unit::Year => self.by_the_date(secs),
        }
    }

    /// The window around `secs` of local times that are the same in multiples of `len`
    /// seconds, and follow one another.
    fn by_the_clock(&self, secs: i64, len: i64) -> Option<(i64, i64)> {
        let local = secs.checked_add(self.offset(secs)?)?;
        let label = local.div_euclid(len);
        let strikes = |label: i64, offset: i64| label.checked_mul(len)?.checked_sub(offset);
        let mut start = strikes(label, self.offset(secs)?)?;
        let mut from = secs;
        // Back over changes of the clock in the window; there is one at most.
        while let Some(change) = self.change_before(from).filter(|change| *change > start) {
            from = change.checked_sub(1)?;
            let offset = self.offset(from)?;
            if from.checked_add(offset)?.div_euclid(len) != label {
                start = change;
                break;
            }
            start = strikes(label, offset)?;
        }
        let mut end = strikes(label.checked_add(1)?, self.offset(secs)?)?;
        let mut from = secs;
        while let Some(change) = self.change_after(from).filter(|change| *change <= end) {
            from = change;
            let offset = self.offset(from)?;
            let local = from.checked_add(offset)?;
            if local.div_euclid(len) != label || local.rem_euclid(len) == 0 {
                end = change;
                break;
            }
            end = strikes(label.checked_add(1)?, offset)?;
        }
        Some((start, end))
    }

    fn by_the_date(&self, secs: i64) -> Option<(i64, i64)> {
        let today = self.zone.to_datetime(Timestamp::from_second(secs).ok()?).date();
        let mut first = self.first_of(today)?;
        // A clock may be set back over midnight: then the date tells it wrongly by one.
        while self.start_of(first)? > secs {
            first = self.first_of(first.yesterday().ok()?)?;
        }
        loop {
            let next = self.next_after(first)?;
            let end = self.start_of(next)?;
            if end > secs {
                return Some((self.start_of(first)?, end));
            }
            first = next;
        }
    }

    /// The first date of the window that a date is in.
    fn first_of(&self, day: Date) -> Option<Date> {
        match self.unit {
            Unit::Week => day.checked_sub(day.weekday().to_monday_zero_offset().days()).ok(),
            Unit::Month => Some(day.first_of_month()),
            Unit::Year => Some(day.first_of_year()),
            Unit::Day | Unit::Hour | Unit::Minute => Some(day),
        }
    }

    fn next_after(&self, first: Date) -> Option<Date> {
        match self.unit {
            Unit::Week => first.checked_add(7.days()).ok(),
            Unit::Month => first.last_of_month().tomorrow().ok(),
            Unit::Year => Some(date(first.year().checked_add(1)?, 1, 1)),
            Unit::Day | Unit::Hour | Unit::Minute => first.tomorrow().ok(),
        }
    }

    /// The first second of a date; of the next one, where a zone skipped it.
    fn start_of(&self, day: Date) -> Option<i64> {
        let day = day.to_zoned(self.zone.clone()).ok()?.start_of_day().ok()?;
        Some(day.timestamp().as_second())
    }

    fn offset(&self, secs: i64) -> Option<i64> {
        let at = Timestamp::from_second(secs).ok()?;
        Some(i64::from(self.zone.to_offset(at).seconds()))
    }

    /// The last change of the clock at or before `secs`.
    fn change_before(&self, secs: i64) -> Option<i64> {
        let at = Timestamp::from_second(secs.checked_add(1)?).ok()?;
        self.zone.preceding(at).next().map(|change| change.timestamp().as_second())
    }

    /// The first change of the clock after `secs`.
    fn change_after(&self, secs: i64) -> Option<i64> {
        let at = Timestamp::from_second(secs).ok()?;
        self.zone.following(at).next().map(|change| change.timestamp().as_second())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZONES: [&str; 12] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Chatham",
        "America/St_Johns",
        "Africa/Monrovia",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "Africa/Cairo",
        "Asia/Tehran",
    ];
    const UNITS: [Unit; 6] =
        [Unit::Minute, Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year];

    fn windows(unit: Unit, zone: &str) -> Windows {
        Windows::new(unit, TimeZone::get(zone).unwrap())
    }

    fn secs(at: &str) -> u64 {
        u64::try_from(at.parse::<Timestamp>().unwrap().as_second()).unwrap()
    }

    /// The window of an instant, by its ends as the zone writes them.
    #[track_caller]
    fn is(unit: Unit, zone: &str, at: &str, start: &str, end: &str) {
        let want = (secs(start) * NANOS, secs(end) * NANOS);
        for at in [secs(at) * NANOS, want.0, want.1 - 1] {
            assert_eq!(windows(unit, zone).containing(at), want, "{unit:?} in {zone}");
        }
        let windows = windows(unit, zone);
        assert_eq!(windows.containing(want.1).0, want.1);
        assert_eq!(windows.containing(want.0 - 1).1, want.0);
    }

    #[test]
    fn days_have_23_and_25_hours() {
        let zone = "Europe/Berlin";
        is(Unit::Day, zone, "2026-03-29T12:00+02", "2026-03-29T00:00+01", "2026-03-30T00:00+02");
        is(Unit::Day, zone, "2026-10-25T02:30+01", "2026-10-25T00:00+02", "2026-10-26T00:00+01");
        is(Unit::Month, zone, "2026-10-31T23:59+01", "2026-10-01T00:00+02", "2026-11-01T00:00+01");
    }

    #[test]
    fn months_end_where_they_end() {
        let utc = |at, start, end| is(Unit::Month, "UTC", at, start, end);
        utc("2024-02-29T23:59:59Z", "2024-02-01T00:00Z", "2024-03-01T00:00Z");
        utc("2026-02-28T23:59:59Z", "2026-02-01T00:00Z", "2026-03-01T00:00Z");
        utc("2100-02-28T00:00Z", "2100-02-01T00:00Z", "2100-03-01T00:00Z");
        utc("2026-12-31T23:59:59Z", "2026-12-01T00:00Z", "2027-01-01T00:00Z");
        is(Unit::Year, "UTC", "2024-02-29T00:00Z", "2024-01-01T00:00Z", "2025-01-01T00:00Z");
    }

    #[test]
    fn weeks_begin_on_monday_also_over_new_year() {
        is(Unit::Week, "UTC", "2027-01-01T00:00Z", "2026-12-28T00:00Z", "2027-01-04T00:00Z");
        is(Unit::Week, "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00Z", "2026-11-23T00:00Z");
        let zone = "America/New_York";
        is(Unit::Week, zone, "2026-11-01T12:00-05", "2026-10-26T00:00-04", "2026-11-02T00:00-05");
    }

    #[test]
    fn hours_when_the_clock_changes() {
        let zone = "Europe/Berlin";
        is(Unit::Hour, zone, "2026-03-29T01:59+01", "2026-03-29T01:00+01", "2026-03-29T03:00+02");
        // The hour that comes twice is two windows.
        is(Unit::Hour, zone, "2026-10-25T02:30+02", "2026-10-25T02:00+02", "2026-10-25T02:00+01");
        is(Unit::Hour, zone, "2026-10-25T02:30+01", "2026-10-25T02:00+01", "2026-10-25T03:00+01");
        // By half an hour, at two: 02:00 becomes 01:30 in April, and 02:30 in October.
        let zone = "Australia/Lord_Howe";
        let long = ("2026-04-05T01:00+11", "2026-04-05T02:00+10:30");
        is(Unit::Hour, zone, "2026-04-05T01:15+11", long.0, long.1);
        is(Unit::Hour, zone, "2026-04-05T01:45+10:30", long.0, long.1);
        let short = ("2026-10-04T02:30+11", "2026-10-04T03:00+11");
        is(Unit::Hour, zone, "2026-10-04T02:45+11", short.0, short.1);
        is(Unit::Hour, zone, "2026-10-04T01:45+10:30", "2026-10-04T01:00+10:30", short.0);
    }

    #[test]
    fn quarters_of_an_hour() {
        let (zone, half) = ("Asia/Kathmandu", "2026-05-01T12:00+05:45");
        is(Unit::Hour, zone, half, half, "2026-05-01T13:00+05:45");
        is(Unit::Day, zone, half, "2026-05-01T00:00+05:45", "2026-05-02T00:00+05:45");
        let zone = "Pacific/Chatham";
        is(
            Unit::Day,
            zone,
            "2026-09-27T12:00+13:45",
            "2026-09-27T00:00+12:45",
            "2026-09-28T00:00+13:45",
        );
    }

    /// Midnights that do not come, days that do not, and a date that comes back.
    #[test]
    fn strange_days() {
        let zone = "Africa/Cairo";
        is(Unit::Day, zone, "2026-04-24T12:00+03", "2026-04-24T01:00+03", "2026-04-25T00:00+03");
        let zone = "Pacific/Apia";
        is(Unit::Day, zone, "2011-12-29T12:00-10", "2011-12-29T00:00-10", "2011-12-31T00:00+14");
        // At one minute past midnight it was 23:01 again. The day began at midnight.
        let zone = "America/St_Johns";
        let first = "2009-11-01T00:00-02:30";
        is(Unit::Day, zone, "2009-10-31T23:30-03:30", first, "2009-11-02T00:00-03:30");
    }

    #[test]
    fn the_ends_of_the_range_have_an_answer() {
        for unit in UNITS {
            for zone in ZONES {
                let windows = windows(unit, zone);
                let (start, end) = windows.containing(0);
                assert!(start == 0 && end > 0, "{unit:?} in {zone}");
                let (start, end) = windows.containing(u64::MAX);
                assert!(start < u64::MAX && end == u64::MAX, "{unit:?} in {zone}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Windows lie side by side, contain what they are asked for, and begin and end
        /// on the grain; no longer than the algorithm believes, whatever was asked before.
        #[test]
        fn windows_are_a_partition(
            unit in prop::sample::select(&UNITS[..]),
            zone in prop::sample::select(&ZONES[..]),
            at in prop_oneof![0..4_000_000_000_u64, 1_700_000_000..1_900_000_000_u64],
            nanos in 0..NANOS, before in 0..4_000_000_000_u64,
        ) {
            let windows = windows(unit, zone);
            let _ = windows.containing(before * NANOS);
            let at = at * NANOS + nanos;
            let (start, end) = windows.containing(at);
            prop_assert!(start <= at && at < end);
            for inside in [start, end - 1, at] {
                prop_assert_eq!(windows.containing(inside), (start, end));
            }
            prop_assert_eq!(windows.containing(end).0, end);
            prop_assert!(start == 0 || windows.containing(start - 1).1 == start);
            let grain = unit.grain_secs() * NANOS;
            prop_assert!(start % grain == 0 && end % grain == 0);
            prop_assert!(end - start <= unit.longest() / 16);
        }

        /// All of a window reads the same on the wall, and what is beside it does not:
        /// where midnight comes once.
        #[test]
        fn windows_are_what_people_call_them(
            zone in prop::sample::select(&["UTC", "Europe/Berlin", "America/New_York", "Asia/Tehran"][..]),
            unit in prop::sample::select(&[Unit::Day, Unit::Week, Unit::Month, Unit::Year][..]),
            at in 1_000_000_000..4_000_000_000_u64,
        ) {
            let (start, end) = windows(unit, zone).containing(at * NANOS);
            let name = |nanos: u64| {
                let at = Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
                let date = TimeZone::get(zone).unwrap().to_datetime(at).date();
                match unit {
                    Unit::Week => {
                        let week = date.iso_week_date();
                        (week.year(), week.week(), 0)
                    }
                    Unit::Month => (date.year(), date.month(), 0),
                    Unit::Year => (date.year(), 0, 0),
                    _ => (date.year(), date.month(), date.day()),
                }
            };
            let this = name(at * NANOS);
            prop_assert_eq!((name(start), name(end - 1)), (this, this));
            prop_assert_ne!(name(start - 1), this);
            prop_assert_ne!(name(end), this);
        }
    }

    /// Readers of the window beside a writer get one that contains what they asked for.
    #[test]
    fn many_may_ask_at_once() {
        let windows = windows(Unit::Minute, "UTC");
        std::thread::scope(|scope| {
            for thread in 0..3_u64 {
                let windows = &windows;
                scope.spawn(move || {
                    for i in 0..20_000_u64 {
                        let at = ((i ^ thread) % 7 * 60 + thread) * NANOS;
                        let (start, end) = windows.containing(at);
                        assert!(start <= at && at < end && end - start == 60 * NANOS);
                    }
                });
            }
        });
    }
}
