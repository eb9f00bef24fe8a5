//! The texts of a policy file: quotas, amounts, spans of time, shares.
//!
//! Each parser says what it expected, and shows what it found. Numbers may have
//! underscores between their digits, as everywhere in TOML.

use crate::quota::{Quota, QuotaError, number, period_parts};
use std::{fmt, time::Duration};

pub(crate) use crate::algorithm::Unit;

/// A unit as a quota names it.
fn unit(text: &str) -> Option<Unit> {
    Some(match text {
        "minute" | "min" => Unit::Minute,
        "hour" | "h" => Unit::Hour,
        "day" | "d" => Unit::Day,
        "week" => Unit::Week,
        "month" => Unit::Month,
        "year" => Unit::Year,
        _ => return None,
    })
}

/// `10/min`, `100/s burst 20`: as [`Quota`] reads it, with words for those who write a
/// unit that it does not know.
pub(crate) fn quota(text: &str) -> Result<Quota, String> {
    text.parse().map_err(|error: QuotaError| {
        let unit = text.rsplit('/').next().unwrap_or_default();
        let unit = unit.split_whitespace().find(|word| !word.starts_with(|c: char| c.is_numeric()));
        let hint = match (error, unit.unwrap_or_default().trim_end_matches('s')) {
            (QuotaError::UnknownUnit, "second" | "sec") => "; a second is `s`",
            (QuotaError::UnknownUnit, "minute" | "m") => "; a minute is `min`",
            (QuotaError::UnknownUnit, "hour") => "; an hour is `h`",
            (QuotaError::UnknownUnit, "day") => {
                "; 24 hours are `d`, and days of the calendar need algorithm = \"calendar\""
            }
            (QuotaError::UnknownUnit, "week" | "month" | "year") => {
                "; weeks, months and years of the calendar need algorithm = \"calendar\""
            }
            _ => "",
        };
        format!("{error}{hint}; found {}", Found(text))
    })
}

/// `500/month`: so many in each unit of the calendar.
pub(crate) fn calendar(text: &str) -> Result<(u64, Unit), String> {
    const EXPECTED: &str = "expected N/UNIT such as 500/month, where UNIT is one of minute, hour, \
                            day, week, month, year";
    let parts = text.split_once('/');
    let Some((units, unit)) = parts.map(|(units, unit)| (units.trim(), unit.trim())) else {
        return Err(refused(EXPECTED, text));
    };
    let units = whole(units, EXPECTED, text)?;
    match self::unit(unit) {
        Some(unit) => Ok((units, unit)),
        None if unit.starts_with(|c: char| c.is_ascii_digit()) => {
            Err(refused("a window of the calendar is one unit long, as in 500/month", text))
        }
        None => Err(refused(EXPECTED, text)),
    }
}

/// `20`: a number of at least 1.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    whole(text.trim(), "expected a whole number such as 20", text)
}

/// `10 min`, `50ms`, `7 d`: longer than nothing.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str =
        "expected a span of time such as \"10 min\" or \"1 h\", in one of d, h, min, s, ms, us, ns";
    match period_parts(text) {
        Ok((Some(0), _)) => Err(refused("a span of time must be longer than 0", text)),
        Ok((Some(count), unit)) => match count.checked_mul(unit) {
            Some(nanos) => Ok(Duration::from_nanos(nanos)),
            None => Err(refused(&QuotaError::PeriodTooLong.to_string(), text)),
        },
        Err(QuotaError::NumberTooLarge) => Err(refused("the number is 2^64 or more", text)),
        Ok((None, _)) | Err(_) => Err(refused(EXPECTED, text)),
    }
}

/// `100 MB` (10⁸), `1 MiB` (2²⁰), `1.5 GB`, `10`.
#[cfg(test)]
fn amount(text: &str) -> Result<u64, String> {
    amount_in(text, "")
}

/// An [`amount`] that may also be in a limit's own unit: `10 files` where `unit = "files"`.
pub(crate) fn amount_in(text: &str, own: &str) -> Result<u64, String> {
    const EXPECTED: &str =
        "expected an amount such as 10, \"100 MB\" (10^6 each) or \"1 MiB\" (2^20)";
    let trimmed = text.trim();
    let end = trimmed.bytes().take_while(|b| b.is_ascii_digit() || b"_.".contains(b)).count();
    let (digits, word) = trimmed.split_at_checked(end).unwrap_or((trimmed, ""));
    let word = word.trim_start();
    let own_word = !own.is_empty() && word == own;
    let known = SIZES.iter().find(|(name, _)| *name == word).map(|(_, factor)| *factor);
    let factor = match (word, known) {
        (_, Some(factor)) => factor,
        ("" | "B" | "byte" | "bytes", _) => 1,
        _ if own_word => 1,
        _ => {
            // Whether `mb` is bits or bytes is anybody's guess.
            let near = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
            let near = near.map_or(String::new(), |(name, _)| format!("; did you mean {name}?"));
            let own = match own {
                "" | "requests" | "bytes" => String::new(),
                own => format!(", or in {own}, the limit's unit"),
            };
            return Err(refused(&format!("{EXPECTED}{own}{near}"), text));
        }
    };
    let (mantissa, decimals) = decimal(digits, EXPECTED, text)?;
    let scale = 10_u128
        .checked_pow(decimals)
        .filter(|scale| (u128::from(mantissa) * u128::from(factor)).is_multiple_of(*scale));
    match scale.map(|scale| u128::from(mantissa) * u128::from(factor) / scale) {
        None => Err(refused("expected a whole number of units", text)),
        Some(0) => Err(refused(NOTHING, text)),
        Some(amount) => u64::try_from(amount).map_err(|_| refused(TOO_LARGE, text)),
    }
}

/// `25%`, `0.5 %`: parts per million.
pub(crate) fn share(text: &str) -> Result<u32, String> {
    const EXPECTED: &str = "expected a share from 0% to 100%, such as \"25%\" or \"0.5%\"";
    let Some(digits) = text.trim().strip_suffix('%') else {
        return Err(refused(EXPECTED, text));
    };
    let (mantissa, decimals) = decimal(digits.trim_end(), EXPECTED, text)?;
    // A percent is ten thousand parts.
    let Some(parts) = 4_u32.checked_sub(decimals) else {
        return Err(refused("expected at most four digits behind the point of a share", text));
    };
    mantissa
        .checked_mul(10_u64.pow(parts))
        .and_then(|parts| u32::try_from(parts).ok())
        .filter(|parts| *parts <= 1_000_000)
        .ok_or_else(|| refused(EXPECTED, text))
}

const NOTHING: &str =
    "0 allows nothing; the least is 1 (requests that are never to pass belong to [[refuse]])";
const TOO_LARGE: &str = "the number is 2^64 or more";

const SIZES: [(&str, u64); 11] = [
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
];

/// A whole number of at least 1.
fn whole(digits: &str, expected: &str, text: &str) -> Result<u64, String> {
    match number(digits) {
        Ok(0) => Err(refused(NOTHING, text)),
        Ok(number) => Ok(number),
        Err(QuotaError::NumberTooLarge) => Err(refused(TOO_LARGE, text)),
        Err(_) => Err(refused(expected, text)),
    }
}

/// A number with or without a point: its digits, and how many are behind the point. What
/// adds nothing behind the point is left out.
fn decimal(digits: &str, expected: &str, text: &str) -> Result<(u64, u32), String> {
    let (before, behind) = match digits.split_once('.') {
        Some((before, behind)) => (before, Some(behind)),
        None => (digits, None),
    };
    let part = |digits: &str| match number(digits) {
        Err(QuotaError::NumberTooLarge) => Err(refused(TOO_LARGE, text)),
        number => number.map_err(|_| refused(expected, text)),
    };
    let mut mantissa = part(before)?;
    let mut decimals = 0;
    if let Some(behind) = behind {
        // An underscore or nothing behind the point is refused before zeroes are cut.
        part(behind)?;
        for digit in behind.trim_end_matches('0').bytes().filter(u8::is_ascii_digit) {
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|mantissa| mantissa.checked_add(u64::from(digit - b'0')))
                .ok_or_else(|| refused("the number has too many digits", text))?;
            decimals += 1;
        }
    }
    Ok((mantissa, decimals))
}

fn refused(expected: &str, found: &str) -> String {
    format!("{expected}{FOUND}{}", Found(found))
}

const FOUND: &str = "; found ";

/// A quota or a span of time as it would be written here: `10 per minute` as `10/min`, `1
/// hour` as `1 h`, `1,000/s` as `1_000/s`.
pub(crate) fn usual(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase().replace(" per ", "/").replace(" a ", "/");
    let (units, period) = match text.split_once('/') {
        Some((units, period)) => (Some(units.trim()), period.trim()),
        None => (None, &*text),
    };
    let digits = period.bytes().take_while(u8::is_ascii_digit).count();
    let (count, rest) = period.split_at_checked(digits)?;
    let (word, rest) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
    let unit = match word {
        "second" | "seconds" | "sec" | "secs" => "s",
        "minute" | "minutes" | "mins" | "m" => "min",
        "hour" | "hours" | "hr" | "hrs" => "h",
        "day" | "days" => "d",
        "s" | "min" | "h" | "d" | "ms" | "us" | "ns" => word,
        _ => return None,
    };
    let Some(units) = units else { return Some(format!("{count} {unit}")) };
    let thousands = units.strip_suffix('k').map(|units| format!("{units}_000"));
    let units = thousands.unwrap_or_else(|| units.replace(',', "_"));
    Some(format!("{units}/{count}{unit} {rest}").trim_end().to_owned())
}

/// What an error of these parsers expected, for whoever shows what was found in another way.
pub(crate) fn expected(error: &str) -> &str {
    error.rsplit_once(FOUND).map_or(error, |(expected, _)| expected)
}

/// A text of the file in a message: on one line, and not all of a long one.
struct Found<'a>(&'a str);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 40;
        match self.0.char_indices().nth(MOST) {
            Some((end, _)) => {
                write!(f, "{:?}...", self.0.split_at_checked(end).unwrap_or_default().0)
            }
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans() {
        for (text, nanos) in [
            ("10 min", 600_000_000_000),
            ("10min", 600_000_000_000),
            (" 1 h ", 3_600_000_000_000),
            ("50ms", 50_000_000),
            ("7 d", 604_800_000_000_000),
            ("1_000 s", 1_000_000_000_000),
            ("3 us", 3_000),
            ("1ns", 1),
        ] {
            assert_eq!(span(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for (text, part) in [
            ("", "such as \"10 min\""),
            ("10", "such as \"10 min\""),
            ("h", "such as \"10 min\""),
            ("1 hour", "in one of d, h, min"),
            ("1.5 h", "such as \"10 min\""),
            ("-1 h", "such as \"10 min\""),
            ("1 h 30 min", "such as \"10 min\""),
            ("until lifted", "such as \"10 min\""),
            ("0 s", "longer than 0"),
            ("213504 d", "2^64 ns"),
            ("18446744073709551616 s", "2^64 or more"),
        ] {
            let error = span(text).unwrap_err();
            assert!(error.contains(part) && error.ends_with(&format!("found {text:?}")), "{error}");
        }
        assert!(span("213503 d").is_ok());
    }

    #[test]
    fn amounts() {
        for (text, expected) in [
            ("10", 10),
            ("1_000", 1_000),
            ("100 MB", 100_000_000),
            ("100MB", 100_000_000),
            ("2 GB", 2_000_000_000),
            ("1 MiB", 1 << 20),
            ("1.5 GB", 1_500_000_000),
            ("0.5 KiB", 512),
            ("1.0", 1),
            ("1.10 kB", 1_100),
            ("5 B", 5),
            ("5 bytes", 5),
            ("3 KB", 3_000),
            ("16383 PiB", 16383 << 50),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(amount(text), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("", "expected an amount"),
            ("MB", "expected an amount"),
            ("1 mb", "did you mean MB?"),
            ("1 Mib", "did you mean MiB?"),
            ("1 files", "expected an amount"),
            ("1.5", "whole number"),
            ("0.0001 kB", "whole number"),
            ("1. MB", "expected an amount"),
            (".5 MB", "expected an amount"),
            ("1.5.2 MB", "expected an amount"),
            ("1._5 MB", "expected an amount"),
            ("1__0", "expected an amount"),
            ("-1", "expected an amount"),
            ("0", "0 allows nothing"),
            ("0 MB", "0 allows nothing"),
            ("16384 PiB", "2^64 or more"),
            ("18446744073709551616", "2^64 or more"),
            ("1.00000000000000000001 MB", "too many digits"),
        ] {
            let error = amount(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(amount_in("10 files", "files"), Ok(10));
        assert_eq!(amount_in("10 MB", "files"), Ok(10_000_000));
        assert_eq!(amount_in("10", "files"), Ok(10));
        assert!(amount_in("10 rows", "files").unwrap_err().contains("or in files"));
    }

    #[test]
    fn shares() {
        for (text, expected) in [
            ("25%", 250_000),
            ("0.5%", 5_000),
            (" 100 % ", 1_000_000),
            ("100.0000%", 1_000_000),
            ("0%", 0),
            ("0.0001%", 1),
            ("33.3333%", 333_333),
            ("1.50000%", 15_000),
        ] {
            assert_eq!(share(text), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("", "from 0% to 100%"),
            ("25", "from 0% to 100%"),
            ("%", "from 0% to 100%"),
            ("100.0001%", "from 0% to 100%"),
            ("101%", "from 0% to 100%"),
            ("-1%", "from 0% to 100%"),
            ("1,5%", "from 0% to 100%"),
            ("99999999999999999%", "from 0% to 100%"),
            ("99999999999999999999%", "2^64"),
            ("0.00001%", "four digits"),
        ] {
            let error = share(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn windows_of_the_calendar() {
        for (text, expected) in [
            ("500/month", (500, Unit::Month)),
            ("10/day", (10, Unit::Day)),
            ("1_000/week", (1_000, Unit::Week)),
            (" 5 / year ", (5, Unit::Year)),
            ("5/hour", (5, Unit::Hour)),
            ("5/h", (5, Unit::Hour)),
            ("5/d", (5, Unit::Day)),
            ("5/min", (5, Unit::Minute)),
            ("5/minute", (5, Unit::Minute)),
        ] {
            assert_eq!(calendar(text), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("", "500/month"),
            ("500", "500/month"),
            ("/month", "500/month"),
            ("x/month", "500/month"),
            ("1.5/month", "500/month"),
            ("5/fortnight", "one of minute"),
            ("5/s", "one of minute"),
            ("5/2month", "one unit long"),
            ("0/month", "0 allows nothing"),
            ("18446744073709551616/day", "2^64"),
        ] {
            let error = calendar(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count("20"), Ok(20));
        assert_eq!(count(" 1_000 "), Ok(1_000));
        for (text, part) in
            [("", "such as 20"), ("2.5", "such as 20"), ("0", "nothing"), ("+1", "such as 20")]
        {
            assert!(count(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn quotas_with_a_hint() {
        assert_eq!(
            quota("1_000/min burst 5"),
            "1000/min burst 5".parse().map_err(|_| String::new())
        );
        for (text, part) in [
            ("10/minute", "a minute is `min`"),
            ("10/15 minutes", "a minute is `min`"),
            ("10/m", "a minute is `min`"),
            ("10/sec burst 5", "a second is `s`"),
            ("20/hour", "an hour is `h`"),
            ("20/day", "24 hours are `d`"),
            ("20/month", "algorithm = \"calendar\""),
            ("20/fortnight", "one of d, h, min"),
            ("20", "10/min"),
        ] {
            let error = quota(text).unwrap_err();
            assert!(error.contains(part) && error.ends_with(&format!("found {text:?}")), "{error}");
        }
    }

    #[test]
    fn messages_stay_short() {
        let long = "x\n\u{e9}".repeat(1 << 18);
        for error in [
            span(&long).unwrap_err(),
            amount(&long).unwrap_err(),
            share(&long).unwrap_err(),
            calendar(&long).unwrap_err(),
            count(&long).unwrap_err(),
            quota(&long).unwrap_err(),
        ] {
            assert!(
                error.len() < 400 && !error.contains('\n') && error.ends_with("..."),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_does(text in "[0-9_.%/ a-zA-Zé]{0,24}|\\PC{0,24}") {
            let _ = (span(&text), amount_in(&text, "files"), share(&text));
            let _ = (calendar(&text), count(&text), quota(&text));
        }

        #[test]
        fn amounts_are_what_they_say(mantissa in 1..1_u64 << 40, decimals in 0..6_u32, size in 0..SIZES.len()) {
            let scale = 10_u64.pow(decimals);
            let width = decimals as usize;
            let (name, factor) = SIZES[size];
            let text = match decimals {
                0 => format!("{mantissa} {name}"),
                _ => format!("{}.{:0width$} {name}", mantissa / scale, mantissa % scale),
            };
            let exact = u128::from(mantissa) * u128::from(factor);
            let expected = (exact % u128::from(scale) == 0).then(|| exact / u128::from(scale));
            let expected = expected.and_then(|amount| u64::try_from(amount).ok());
            prop_assert_eq!(amount(&text).ok(), expected, "{}", text);
        }

        #[test]
        fn shares_are_what_they_say(parts in 0..=1_000_000_u32) {
            prop_assert_eq!(share(&format!("{}.{:04}%", parts / 10_000, parts % 10_000)), Ok(parts));
        }
    }
}
