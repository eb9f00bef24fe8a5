//! What comes out: tables to read, JSON to compare.

use crate::{
    measure::Summary,
    scenario::Watched,
    subject::{Kind, Scenario},
};
use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Table, presets::NOTHING};
use serde::Serialize;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
    thread,
};

/// Everything measured with the same keys and threads.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) scenario: Scenario,
    pub(crate) keys: Option<u64>,
    pub(crate) threads: Option<usize>,
    pub(crate) measured: Vec<Measured>,
}

/// One subject's share of it.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    pub(crate) time: Option<Summary>,
    pub(crate) bytes_per_key: Option<f64>,
}

/// One line of the JSON list; null where a figure has no meaning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    scenario: &'static str,
    keys: Option<u64>,
    threads: Option<usize>,
    subject: &'static str,
    ns_per_op: Option<f64>,
    bytes_per_key: Option<f64>,
    ratio_to_tollgate: Option<f64>,
}

impl Group {
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        self.measured.iter().map(|measured| Row {
            scenario: self.scenario.name(),
            keys: self.keys,
            threads: self.threads,
            subject: measured.kind.name(),
            ns_per_op: measured.time.map(|time| rounded(time.median)),
            bytes_per_key: measured.bytes_per_key.map(rounded),
            ratio_to_tollgate: measured.time.map(|time| rounded(time.ratio)),
        })
    }
}

impl Watched {
    /// As a line of the flood without a time: the growth of resident memory per
    /// fresh key.
    pub(crate) fn row(&self) -> Row {
        let grown = self.resident.map(|(before, after)| (after - before) as f64);
        Row {
            scenario: Scenario::Flood.name(),
            keys: Some(self.fresh_keys),
            threads: Some(1),
            subject: Kind::Tollgate.name(),
            ns_per_op: None,
            bytes_per_key: grown.map(|bytes| rounded(bytes / self.fresh_keys as f64)),
            ratio_to_tollgate: None,
        }
    }

    pub(crate) fn text(&self) -> String {
        let mib = |bytes: i64| bytes as f64 / f64::from(1 << 20);
        let resident = self.resident.map_or_else(
            || "resident memory is not told by this system".to_owned(),
            |(before, after)| {
                format!("resident memory went from {:.1} to {:.1} MiB", mib(before), mib(after))
            },
        );
        format!(
            "A tollgate for a million keys, full, then asked for {} fresh ones:\n\
             {resident}, the heap grew by {} bytes.",
            grouped(self.fresh_keys),
            self.heap_growth,
        )
    }
}

/// To three decimals: the rest is noise.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

/// 1234567 as 1,234,567.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The machine and the versions, one line each.
pub(crate) fn head() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| {
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cpu = cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let pinned = core_affinity::get_core_ids().unwrap_or_default().len();
    let threads = match pinned {
        0 => "threads run where the system puts them".to_owned(),
        1 => "one thread is pinned, a second one runs where it can".to_owned(),
        _ => "each thread pinned to a core".to_owned(),
    };
    format!("{cpu}, {cores} cores, {threads}\n{}\n", env!("VERSIONS"))
}

/// What the columns mean.
pub(crate) const LEGEND: &str = "\
ns/op: median over the rounds of what one thread takes per check; with two threads
that is wall time times two by the checks of both. Ratio: the median, round by
round, of a subject's time by tollgate's; above 1 the subject is slower.
tollgate-batch reads the clock once per 64 keys. throttlecrab has one owner: two
threads share it through a mutex. pingora-limits only counts, approximately, in
64 KiB whatever the keys. The floor is tollgate's clock and hash, and one
compare-and-swap in an array as large as its table: no limiter.
";

/// A scenario's table.
pub(crate) fn table(scenario: Scenario, groups: &[Group]) -> String {
    let timed = groups.iter().flat_map(|group| &group.measured).any(|m| m.time.is_some());
    let sized = groups.iter().flat_map(|group| &group.measured).any(|m| m.bytes_per_key.is_some());
    let mut head = vec!["keys"];
    if timed {
        head.extend(["threads", "subject", "ns/op", "quartiles", "ratio"]);
    } else {
        head.push("subject");
    }
    if sized {
        head.push(if timed { "growth/key" } else { "bytes/key" });
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(&head);
    for (i, title) in head.iter().enumerate() {
        if *title != "subject"
            && let Some(column) = table.column_mut(i)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (i, group) in groups.iter().enumerate() {
        if i > 0 {
            table.add_row([""]);
        }
        for (j, measured) in group.measured.iter().enumerate() {
            // Keys and threads once per group.
            let once = |text: String| Cell::new(if j == 0 { text } else { String::new() });
            let mut row = vec![once(group.keys.map_or_else(String::new, grouped))];
            if timed {
                row.push(once(group.threads.map_or_else(String::new, |n| n.to_string())));
            }
            row.push(Cell::new(measured.kind.name()));
            if let Some(time) = measured.time {
                let (low, high) = time.quartiles;
                row.push(Cell::new(format!("{:.1}", time.median)));
                row.push(Cell::new(format!("{low:.1} .. {high:.1}")));
                row.push(Cell::new(format!("{:.2}", time.ratio)));
            }
            if let Some(bytes) = measured.bytes_per_key {
                row.push(Cell::new(format!("{bytes:.1}")));
            }
            table.add_row(row);
        }
    }
    let (name, about) = (scenario.name(), scenario.about());
    format!("\n{name}: {about}\n{}\n", table.trim_fmt())
}

/// Who has no part in a scenario, and why: a line, or nothing.
pub(crate) fn left_out(scenario: Scenario) -> String {
    let absent: Vec<_> = Kind::ALL
        .iter()
        .filter_map(|kind| Some(format!("{} ({})", kind.name(), kind.absence(scenario)?)))
        .collect();
    if absent.is_empty() { String::new() } else { format!("Left out: {}.\n", absent.join(", ")) }
}

/// A file that was found writable before anything was measured. What it held
/// stays until [`write`](Self::write).
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    file: File,
}

impl Destination {
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file })
    }

    pub(crate) fn write(mut self, text: &str) -> Result<()> {
        let mut write = || {
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
            self.file.write_all(text.as_bytes())
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json, to_value};

    fn group(scenario: Scenario) -> Group {
        let time = Summary { median: 70.12349, quartiles: (69.0, 72.0), ratio: 1.0 };
        let measured = match scenario {
            Scenario::Memory => {
                Measured { kind: Kind::Tollgate, time: None, bytes_per_key: Some(24.0) }
            }
            _ => Measured { kind: Kind::Tollgate, time: Some(time), bytes_per_key: None },
        };
        Group { scenario, keys: Some(1000), threads: Some(2), measured: vec![measured] }
    }

    fn rows(group: &Group) -> Value {
        to_value(group.rows().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn rows_have_every_field_and_null_where_unused() {
        assert_eq!(
            rows(&group(Scenario::Keyed)),
            json!([{
                "scenario": "keyed", "keys": 1000, "threads": 2, "subject": "tollgate",
                "ns_per_op": 70.123, "bytes_per_key": null, "ratio_to_tollgate": 1.0,
            }])
        );
        assert_eq!(
            rows(&Group { threads: None, ..group(Scenario::Memory) }),
            json!([{
                "scenario": "memory", "keys": 1000, "threads": null, "subject": "tollgate",
                "ns_per_op": null, "bytes_per_key": 24.0, "ratio_to_tollgate": null,
            }])
        );
    }

    #[test]
    fn tables_show_times_and_who_is_left_out() {
        assert_eq!(left_out(Scenario::Keyed), "Left out: ratelimit (has no keys).\n");
        let text = table(Scenario::Keyed, &[group(Scenario::Keyed)]);
        assert!(text.contains("70.1  69.0 .. 72.0   1.00"), "{text}");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([1, 999, 1000, 1_234_567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = include_str!("../Cargo.lock");
        for named in env!("VERSIONS").split(", ") {
            let (name, version) = named.split_once(' ').unwrap();
            assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")));
        }
    }
}
