//! Thin readers of spans of time, amounts, shares and calendar quotas, until those of
//! `policy/units.rs` take their place.

use std::time::Duration;

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

const TIMES: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];

const SIZES: [(&str, u64); 9] = [
    ("", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const UNITS: [(&str, Unit); 6] = [
    ("minute", Unit::Minute),
    ("hour", Unit::Hour),
    ("day", Unit::Day),
    ("week", Unit::Week),
    ("month", Unit::Month),
    ("year", Unit::Year),
];

/// `10 min`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let (count, unit) = number(text)?;
    let nanos = TIMES.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| nanos);
    let nanos = nanos.ok_or("the unit is one of d, h, min, s, ms, us, ns")?;
    count.checked_mul(*nanos).map(Duration::from_nanos).ok_or_else(|| "it is too long".to_owned())
}

/// `100 MB`.
pub(super) fn amount(text: &str) -> Result<u64, String> {
    let (count, unit) = number(text)?;
    let each = SIZES.iter().find(|(name, _)| *name == unit).map(|(_, each)| each);
    let each = each.ok_or("the unit is one of kB, MB, GB, TB, KiB, MiB, GiB, TiB, or none")?;
    count.checked_mul(*each).ok_or_else(|| "it is too much".to_owned())
}

/// `25%`, in parts per million.
pub(super) fn share(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix('%').ok_or("it ends with %")?.trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = !whole.is_empty()
        && part.len() <= 4
        && whole.len() <= 3
        && (whole.bytes().chain(part.bytes())).all(|b| b.is_ascii_digit());
    let ppm = digits.then(|| format!("{whole}{part:0<4}").parse().ok()).flatten();
    match ppm {
        Some(ppm) if ppm <= 1_000_000 => Ok(ppm),
        _ => Err("a share lies between 0% and 100%, with at most four decimals".to_owned()),
    }
}

/// `500/month`.
pub(super) fn calendar(text: &str) -> Result<(u64, Unit), String> {
    const FORM: &str = "it is so many per minute, hour, day, week, month or year: 500/month";
    let (count, unit) = text.split_once('/').ok_or(FORM)?;
    let (count, rest) = number(count)?;
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, unit)| *unit);
    match unit {
        Some(unit) if rest.is_empty() => Ok((count, unit)),
        _ => Err(FORM.to_owned()),
    }
}

/// A number, and what follows it.
fn number(text: &str) -> Result<(u64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).unwrap_or_default();
    let digits = digits.replace('_', "");
    if digits.is_empty() {
        return Err("it begins with a whole number".to_owned());
    }
    let number = digits.parse().map_err(|_| "the number is 2^64 or more")?;
    Ok((number, rest.trim_start()))
}
