//! HTTP dates, in the three forms that RFC 9110 (5.6.7) has recipients accept.

use jiff::{civil, fmt::strtime};
use std::time::Duration;

/// The one in use, and the obsolete ones of RFC 850 and of C's `asctime`. All are GMT.
const FORMS: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

const EPOCH: civil::DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// Time since 1970; zero for dates before.
pub(super) fn parse(text: &str) -> Option<Duration> {
    FORMS.iter().find_map(|form| {
        let date = strtime::parse(form, text).ok()?.to_datetime().ok()?;
        Some(Duration::try_from(date.duration_since(EPOCH)).unwrap_or_default())
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
