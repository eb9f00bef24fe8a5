//! The report for people.

use crate::{
    figures::{grouped, share, span},
    report::{LimitReport, Report},
    timeline::Timeline,
};
use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, Table, presets::NOTHING};
use std::fmt::Write;

const HEADING: Style = Style::new().bold();
const DENIED: Style = AnsiColor::Red.on_default();
const ALLOWED: Style = AnsiColor::Green.on_default();

/// Longer keys are cut in the table; JSON has them whole.
const WIDEST_KEY: usize = 60;

/// Columns of the picture.
const WIDEST_PICTURE: usize = 60;

/// The report with its colours; who prints it takes them away where they do not belong.
pub(crate) fn render(report: &Report, timeline: &Timeline) -> String {
    let mut text = String::new();
    summary(&mut text, report);
    for limit in &report.limits {
        keys(&mut text, limit);
    }
    if report.denied > 0 {
        picture(&mut text, timeline);
    }
    text
}

fn summary(text: &mut String, report: &Report) {
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
    let mut table = table();
    let mut row = |name: &str, value: String, note: String| {
        table.add_row([Cell::new(name), right(value), Cell::new(note)]);
    };
    row("requests", grouped(report.requests), String::new());
    row("allowed", grouped(report.allowed), share(report.allowed, report.requests));
    row("denied", grouped(report.denied), share(report.denied, report.requests));
    row("skipped", grouped(report.skipped), note(report.skipped, "lines that cannot be read"));
    row("out of order", grouped(report.out_of_order), late(report.out_of_order));
    row("first", time(&report.first), String::new());
    row("last", time(&report.last), String::new());
    heading(text, "Replay");
    put_table(text, &table);
}

fn keys(text: &mut String, limit: &LimitReport) {
    let about = if limit.approximate { "about " } else { "" };
    let LimitReport { name, algorithm, quota, .. } = limit;
    let keys = grouped(limit.keys);
    let noun = if limit.keys == 1 { "key" } else { "keys" };
    let counts = if limit.approximate && !limit.top.is_empty() {
        "; counts below are approximate"
    } else {
        ""
    };
    heading(text, &format!("Limit {name}: {quota} ({algorithm}), {about}{keys} {noun}{counts}"));
    if limit.saturated > 0 {
        let saturated = grouped(limit.saturated);
        let _ = writeln!(
            text,
            "  {saturated} requests of new keys found no room and were let through; \
             a larger --capacity limits them too"
        );
    }
    if limit.top.is_empty() {
        text.push_str(if limit.denied == 0 { "  no request was denied\n" } else { "" });
        return;
    }
    let mut table = table();
    table.add_row([Cell::new("denied most"), right("requests"), right("denied"), right("share")]);
    for top in &limit.top {
        table.add_row([
            Cell::new(cut(&top.key)),
            right(grouped(top.requests)),
            right(grouped(top.denied)),
            right(share(top.denied, top.requests)),
        ]);
    }
    put_table(text, &table);
}

/// Two rows of bars on one scale: what was allowed, and what was denied.
pub(crate) fn picture(text: &mut String, timeline: &Timeline) {
    let (columns, width) = timeline.columns(WIDEST_PICTURE);
    let highest = columns.iter().map(|c| c.allowed.max(c.denied)).max().unwrap_or(0);
    heading(
        text,
        &format!("Over time: {} a column, full height is {}", span(width), grouped(highest)),
    );
    let bars = |of: &dyn Fn(usize) -> u64| -> String {
        (0..columns.len()).map(|at| bar(of(at), highest)).collect()
    };
    let allowed = bars(&|at| columns[at].allowed);
    let denied = bars(&|at| columns[at].denied);
    let _ = writeln!(text, "  allowed  {ALLOWED}{}{ALLOWED:#}", allowed.trim_end());
    let _ = writeln!(text, "  denied   {DENIED}{}{DENIED:#}", denied.trim_end());
}

/// A bar of so many eighths; something never looks like nothing.
fn bar(value: u64, highest: u64) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if value == 0 || highest == 0 {
        return ' ';
    }
    let eighths = (u128::from(value) * 8).div_ceil(u128::from(highest));
    BARS[usize::try_from(eighths).unwrap_or(8).clamp(1, 8) - 1]
}

pub(crate) fn heading(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{HEADING}{line}{HEADING:#}");
}

pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

pub(crate) fn put_table(text: &mut String, table: &Table) {
    for line in table.lines() {
        let _ = writeln!(text, " {}", line.trim_end());
    }
}

pub(crate) fn right(value: impl Into<String>) -> Cell {
    Cell::new(value.into()).set_alignment(CellAlignment::Right)
}

fn cut(key: &str) -> String {
    match key.char_indices().nth(WIDEST_KEY) {
        Some((at, _)) => format!("{}…", &key[..at]),
        None => key.to_owned(),
    }
}

fn note(count: u64, text: &str) -> String {
    if count > 0 { text.to_owned() } else { String::new() }
}

fn late(count: u64) -> String {
    note(count, "decided at the latest time before them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_never_empty_for_something() {
        let row: String = [0, 1, 50, 100].iter().map(|n| bar(*n, 100)).collect();
        assert_eq!(row, " ▁▄█");
        assert_eq!(bar(0, 0), ' ');
        assert_eq!(bar(u64::MAX, u64::MAX), '█');
    }

    #[test]
    fn long_keys_are_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(cut(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
