//! The time of a line in seconds since 1970.

use crate::line::{DATE_LEN, Unreadable};
use jiff::{Timestamp, fmt::strtime};

/// Nanoseconds since 1970 end with this second.
const LAST: i64 = (u64::MAX / 1_000_000_000).cast_signed();

/// Reads dates, and remembers the last day and zone: neighbours in a log
/// nearly always share them, and the calendar is the dear part.
#[derive(Debug, Default)]
pub(crate) struct Dates {
    text: [u8; DATE_LEN],
    seconds: u64,
    /// `dd/Mon/yyyy` and `+zzzz` with their midnight.
    day: [u8; 11],
    zone: [u8; 5],
    midnight: i64,
}

impl Dates {
    /// Seconds since 1970 of `10/Oct/2000:13:55:36 -0700`, a text whose digits
    /// and marks are already known to be in their places.
    pub(crate) fn read(&mut self, text: &[u8; DATE_LEN]) -> Result<u64, Unreadable> {
        if *text == self.text {
            return Ok(self.seconds);
        }
        if text[..11] != self.day || text[21..] != self.zone {
            self.midnight = midnight(text)?;
            self.day.copy_from_slice(&text[..11]);
            self.zone.copy_from_slice(&text[21..]);
        }
        let two = |at: usize| i64::from(text[at] & 15) * 10 + i64::from(text[at + 1] & 15);
        let (h, m, s) = (two(12), two(15), two(18));
        if h > 23 || m > 59 || s > 59 {
            return Err(Unreadable::NoSuchDate);
        }
        let seconds = self.midnight + h * 3600 + m * 60 + s;
        if seconds > LAST {
            return Err(Unreadable::After2554);
        }
        self.seconds = u64::try_from(seconds).map_err(|_| Unreadable::Before1970)?;
        self.text = *text;
        Ok(self.seconds)
    }
}

/// The instant at which the day of `text` began in its zone.
fn midnight(text: &[u8; DATE_LEN]) -> Result<i64, Unreadable> {
    let mut start = *text;
    start[12..20].copy_from_slice(b"00:00:00");
    strtime::parse("%d/%b/%Y:%H:%M:%S %z", start)
        .and_then(|time| time.to_timestamp())
        .map(Timestamp::as_second)
        .map_err(|_| Unreadable::NoSuchDate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<u64, Unreadable> {
        let text = text.as_bytes().try_into().unwrap();
        let mut dates = Dates::default();
        let first = dates.read(text);
        assert_eq!(dates.read(text), first, "remembered");
        first
    }

    #[test]
    fn known_instants() {
        for (text, seconds) in [
            ("01/Jan/1970:00:00:00 +0000", 0),
            ("10/Oct/2000:13:55:36 -0700", 971_211_336),
            ("10/Oct/2000:20:55:36 +0000", 971_211_336),
            ("11/Oct/2000:02:25:36 +0530", 971_211_336),
            ("29/Feb/2024:23:59:59 +0000", 1_709_251_199),
            ("31/Dec/1969:23:00:00 -0100", 0),
            ("21/Jul/2554:23:34:33 +0000", 18_446_744_073),
        ] {
            assert_eq!(read(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn there_is_no_such_time() {
        for text in [
            "30/Feb/2024:00:00:00 +0000",
            "29/Feb/2023:00:00:00 +0000",
            "00/Jan/2024:00:00:00 +0000",
            "32/Jan/2024:00:00:00 +0000",
            "01/Foo/2024:00:00:00 +0000",
            "01/Jan/2024:24:00:00 +0000",
            "01/Jan/2024:00:60:00 +0000",
            "01/Jan/2024:00:00:60 +0000",
            "01/Jan/2024:00:00:00 +0060",
            "01/Jan/2024:00:00:00 +9900",
        ] {
            assert_eq!(read(text), Err(Unreadable::NoSuchDate), "{text}");
        }
        assert_eq!(read("31/Dec/1969:23:59:59 +0000"), Err(Unreadable::Before1970));
        assert_eq!(read("01/Jan/1970:00:00:00 +0001"), Err(Unreadable::Before1970));
        assert_eq!(read("01/Jan/0001:00:00:00 +0000"), Err(Unreadable::Before1970));
        assert_eq!(read("21/Jul/2554:23:34:34 +0000"), Err(Unreadable::After2554));
        assert_eq!(read("31/Dec/9998:23:59:59 +0000"), Err(Unreadable::After2554));
    }

    #[test]
    fn what_is_remembered_is_not_mixed_up() {
        let mut dates = Dates::default();
        let mut at = |text: &str| dates.read(text.as_bytes().try_into().unwrap());
        assert_eq!(at("10/Oct/2000:13:55:36 -0700"), Ok(971_211_336));
        assert_eq!(at("10/Oct/2000:13:55:37 -0700"), Ok(971_211_337));
        assert_eq!(at("10/Oct/2000:13:55:37 +0000"), Ok(971_186_137));
        assert_eq!(at("11/Oct/2000:13:55:37 +0000"), Ok(971_272_537));
        assert!(at("32/Oct/2000:13:55:37 +0000").is_err());
        assert!(at("11/Oct/2000:25:55:37 +0000").is_err());
        assert_eq!(at("11/Oct/2000:13:55:38 +0000"), Ok(971_272_538));
        assert_eq!(at("10/Oct/2000:13:55:36 -0700"), Ok(971_211_336));
    }
}
