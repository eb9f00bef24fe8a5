//! HTTP dates, in the three forms that RFC 9110 (5.6.7) has recipients accept.

use jiff::{
    Span, civil,
    fmt::strtime::{self, BrokenDownTime},
};
use std::time::Duration;

/// The one in use, and the obsolete ones of RFC 850 and of C's `asctime`. All are GMT.
const FORMS: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

const EPOCH: civil::DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// Time since 1970; zero for dates before. `now` tells which century two digits are of. A day of
/// the week is read past: where it is a wrong one, the rest is as clear.
pub(super) fn parse(text: &str, now: Duration) -> Option<Duration> {
    FORMS.iter().find_map(|form| {
        let mut parts = strtime::parse(form, text).ok()?;
        parts.set_weekday(None);
        let date = if form.contains("%y") {
            of_two_digits(parts, now)?
        } else {
            parts.to_datetime().ok()?
        };
        let unix = Duration::try_from(date.duration_since(EPOCH)).unwrap_or_default();
        // A leap second was read as the one before it.
        let leap = u64::from(text.contains(":60"));
        Some(unix.saturating_add(Duration::from_secs(leap)))
    })
}

/// The last date with these two digits of a year that is no more than 50 years ahead.
fn of_two_digits(mut parts: BrokenDownTime, now: Duration) -> Option<civil::DateTime> {
    let now = EPOCH.checked_add(now).ok()?;
    let latest = now.checked_add(Span::new().years(50)).ok()?;
    let year = now.year() - now.year().rem_euclid(100) + parts.year()?.rem_euclid(100);
    [100, 0, -100].into_iter().find_map(|centuries| {
        parts.set_year(Some(year + centuries)).ok()?;
        parts.to_datetime().ok().filter(|date| *date <= latest)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(31_556_952);

    fn parse(text: &str) -> Option<Duration> {
        super::parse(text, 54 * YEAR)
    }

    #[test]
    fn two_digits_of_a_year_are_no_more_than_fifty_years_ahead() {
        for (now, text, year) in [
            (2024, "Sunday, 06-Nov-94 08:49:37 GMT", 1994),
            (2024, "Sunday, 06-Nov-75 08:49:37 GMT", 1975),
            (2024, "Sunday, 06-Nov-74 08:49:37 GMT", 1974),
            (2024, "Sunday, 06-Nov-73 08:49:37 GMT", 2073),
            (2068, "Sunday, 06-Nov-69 08:49:37 GMT", 2069),
            (2099, "Sunday, 06-Nov-01 08:49:37 GMT", 2101),
            (2101, "Sunday, 06-Nov-99 08:49:37 GMT", 2099),
            (2024, "Friday, 31-May-74 08:49:37 GMT", 2074),
            (2051, "Tuesday, 29-Feb-00 08:49:37 GMT", 2000), // 2100 has none
        ] {
            let now = civil::date(now, 6, 1).at(0, 0, 0, 0).duration_since(EPOCH);
            let date = super::parse(text, Duration::try_from(now).unwrap()).unwrap();
            assert_eq!(EPOCH.checked_add(date).unwrap().year(), year, "{text}");
        }
        assert_eq!(super::parse("Sunday, 06-Nov-94 08:49:37 GMT", Duration::MAX), None);
    }

    #[test]
    fn the_three_forms_are_one_date() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(784_111_777)), "{text}");
        }
    }

    #[test]
    fn before_1970_is_1970_and_nonsense_is_nothing() {
        assert_eq!(parse("Thu, 01 Jan 1931 00:00:00 GMT"), Some(Duration::ZERO));
        for text in ["", "now", "Sun, 06 Nov", "Sun, 99 Nov 1994 08:49:37 GMT", "\0", "60 GMT"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
