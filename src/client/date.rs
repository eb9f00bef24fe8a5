//! HTTP dates, in the three forms that RFC 9110 (5.6.7) has recipients accept.

use jiff::{
    Timestamp,
    fmt::{rfc2822, strtime},
    tz::TimeZone,
};
use std::time::Duration;

/// The two obsolete forms, of RFC 850 and of C's `asctime`.
const OBSOLETE: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

static PARSER: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new();

/// Time since 1970; zero for dates before.
pub(super) fn parse(text: &str) -> Option<Duration> {
    // `Sun, 06 Nov 1994 08:49:37 GMT`, and what mail allows beside it.
    let stamp = PARSER.parse_timestamp(text).ok().or_else(|| obsolete(text))?;
    Some(Duration::try_from(stamp.as_duration()).unwrap_or_default())
}

fn obsolete(text: &str) -> Option<Timestamp> {
    OBSOLETE.iter().find_map(|format| {
        let date = strtime::parse(format, text).ok()?.to_datetime().ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

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
