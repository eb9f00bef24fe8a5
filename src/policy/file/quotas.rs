//! What the quotas of a limit mean to its algorithm, and whether it can keep them.

use super::{
    model::{Algorithm, Limit},
    problem::{Problems, Said},
    source::At,
    texts::shown,
    values::{Amount, Given, Unit, Written},
};
use crate::{algorithm::MAX_UNITS, policy::units, quota::Quota};
use std::time::Duration;

/// The sliding counter has 33 bits for units, and windows of a second or more.
const MOST_COUNTED: u64 = (1 << 33) - 1;
const SHORTEST_COUNTED: Duration = Duration::from_secs(1);

/// The calendar has 39 bits for units.
const MOST_ON_CALENDAR: u64 = (1 << 39) - 1;

/// Leases of one key are looked through one by one.
const MOST_LEASES: u64 = 65_535;

/// Gives every quota of the limit its meaning, and notes those that have none.
pub(super) fn resolve(limit: &mut Limit, problems: &mut Problems<'_>) {
    let algorithm = limit.algorithm.value;
    // A wrong algorithm was reported, and says nothing about quotas.
    if problems.within(limit.algorithm.span) {
        return;
    }
    let own = limit.unit.as_ref().or(limit.cost.as_ref()).map_or("", |unit| unit.as_str());
    let overrides = limit.overrides.iter_mut().flat_map(|overrides| overrides.value.all_mut());
    for given in limit.quota.value.all_mut().chain(overrides) {
        meaning(algorithm, own, given, problems);
    }
    if let Some(largest) = &mut limit.largest {
        meaning(algorithm, own, largest, problems);
        if largest.means == Amount::Unlimited {
            problems.say(largest.span, || "`largest` is a quota: there is no room without end");
        }
    }
    let overrides = limit.overrides.iter().flat_map(|overrides| overrides.all());
    let all: Vec<&At<Given>> = limit.quota.all().chain(overrides).collect();
    one_window(algorithm, &all, problems);
    if let Some(largest) = limit.largest.as_ref().filter(|l| !problems.within(l.span)) {
        let above = |given: &&&At<Given>| size(algorithm, given) > size(algorithm, largest);
        if let Some(above) = all.iter().filter(|g| !problems.within(g.span)).find(above) {
            let line = problems.line(above.span);
            problems.say(largest.span, || format!("`largest` is less than the quota in {line}"));
        }
    }
}

fn meaning(algorithm: Algorithm, own: &str, given: &mut At<Given>, problems: &mut Problems<'_>) {
    match amount(algorithm, &given.written, own) {
        Ok(amount) => given.value.means = amount,
        Err(said) => problems.say(given.span, || said),
    }
}

/// What takes most room, by algorithm.
fn size(algorithm: Algorithm, given: &Given) -> u128 {
    match given.means {
        Amount::Unlimited => 0,
        Amount::Rate(quota) if algorithm == Algorithm::Gcra => {
            u128::from(quota.interval_ticks()) * u128::from(quota.burst_units())
        }
        Amount::Rate(quota) => quota.units().into(),
        Amount::Calendar(count, _) | Amount::Count(count) => count.into(),
    }
}

/// A counter has one length of windows, and a calendar limit one unit: a key that
/// changes its tier keeps its count.
fn one_window(algorithm: Algorithm, all: &[&At<Given>], problems: &mut Problems<'_>) {
    let window = |given: &&&At<Given>| match given.means {
        Amount::Rate(quota) if algorithm == Algorithm::SlidingCounter => {
            Some((quota.period(), None))
        }
        Amount::Calendar(_, unit) => Some((Duration::ZERO, Some(unit))),
        _ => None,
    };
    let mut windows = all.iter().filter_map(|given| Some((given, window(&given)?)));
    let Some((first, window)) = windows.next() else { return };
    for (other, _) in windows.filter(|(_, other)| *other != window) {
        let line = problems.line(first.span);
        problems.say(other.span, || {
            let word = algorithm.word();
            Said::from(format!(
                "all quotas of a {word} limit have one period, and that in {line} has another"
            ))
            .hint("make it two limits")
        });
    }
}

/// `own` is what the limit calls its unit.
fn amount(algorithm: Algorithm, written: &Written, own: &str) -> Result<Amount, Said> {
    match (written, algorithm) {
        (Written::Wrong, _) => Ok(Amount::Unlimited),
        (Written::Text(text), _) if text.trim() == "unlimited" => Ok(Amount::Unlimited),
        (Written::Whole(number), Algorithm::Leases | Algorithm::Size) => count(algorithm, *number),
        (Written::Text(text), Algorithm::Leases | Algorithm::Size) => {
            let number = units::amount_in(text, own).map_err(|why| {
                let expected = if algorithm == Algorithm::Size { "\"100 MB\"" } else { "20" };
                let why = units::expected(&why);
                format!("expected an amount, such as {expected}, found `{}`: {why}", shown(text))
            })?;
            count(algorithm, number)
        }
        (Written::Whole(number), Algorithm::Calendar) => {
            Err(Said::from(format!("the number {number} lacks a unit of the calendar"))
                .hint(format!("such as \"{number}/month\"")))
        }
        (Written::Text(text), Algorithm::Calendar) => calendar(text),
        (Written::Whole(number), _) => {
            Err(Said::from(format!("the number {number} lacks a period"))
                .hint(format!("such as \"{number}/min\"")))
        }
        (Written::Text(text), _) => rate(algorithm, text),
    }
}

/// A quota of nothing is no quota.
fn nothing() -> Said {
    Said::from("a quota of 0 allows nothing; the least is 1")
        .hint("requests that are turned away whatever their number are a `[[refuse]]`")
}

fn at_most(number: u64, most: u64, algorithm: Algorithm) -> Result<(), Said> {
    let word = algorithm.word();
    match number {
        0 => Err(nothing()),
        number if number > most => {
            Err(format!("{word} keeps at most {most} units a key, not {number}").into())
        }
        _ => Ok(()),
    }
}

fn count(algorithm: Algorithm, number: u64) -> Result<Amount, Said> {
    let most = if algorithm == Algorithm::Leases { MOST_LEASES } else { u64::MAX };
    at_most(number, most, algorithm).map(|()| Amount::Count(number))
}

fn calendar(text: &str) -> Result<Amount, Said> {
    let (number, unit): (u64, Unit) = units::calendar(text).map_err(|why| {
        if text.trim_start().starts_with("0/") {
            return nothing();
        }
        let why = units::expected(&why);
        let said = format!("expected a quota of the calendar, found `{}`: {why}", shown(text));
        let rate = text.parse::<Quota>().is_ok();
        Said::from(said).maybe(rate.then(|| "other periods: another `algorithm`".to_owned()))
    })?;
    at_most(number, MOST_ON_CALENDAR, Algorithm::Calendar)?;
    Ok(Amount::Calendar(number, unit))
}

fn rate(algorithm: Algorithm, text: &str) -> Result<Amount, Said> {
    let quota: Quota = text.parse().map_err(|why| {
        let said = Said::from(format!("no quota: `{}`: {why}", shown(text)));
        if matches!(units::calendar(text), Ok((0, _))) || text.trim_start().starts_with("0/") {
            return nothing();
        }
        let usual = units::usual(text).filter(|usual| usual.parse::<Quota>().is_ok());
        let usual = usual.map(|usual| format!("write \"{usual}\""));
        let calendar = "units of the calendar: `algorithm = \"calendar\"`";
        let calendar = units::calendar(text).is_ok().then(|| calendar.to_owned());
        said.maybe(match (usual, calendar) {
            (Some(usual), Some(calendar)) => Some(format!("{usual}; {calendar}")),
            (usual, calendar) => usual.or(calendar),
        })
    })?;
    let (units, burst) = (quota.units(), quota.burst_units());
    if algorithm == Algorithm::Gcra {
        return Ok(Amount::Rate(quota));
    }
    if burst != units {
        let word = algorithm.word();
        return Err(Said::from(format!("a {word} limit knows no burst"))
            .hint("leave it out, or write `algorithm = \"gcra\"`"));
    }
    if algorithm == Algorithm::SlidingLog {
        at_most(units, MAX_UNITS, algorithm).map_err(|said| {
            said.hint("`sliding-counter` and `gcra` keep more; or count in larger units")
        })?;
    } else {
        at_most(units, MOST_COUNTED, algorithm)?;
        if quota.period() < SHORTEST_COUNTED {
            return Err("the windows of a sliding-counter last a second or longer".into());
        }
    }
    Ok(Amount::Rate(quota))
}
