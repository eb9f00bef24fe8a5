//! The report for people.

use crate::{
    figures::{grouped, share, span},
    report::{KeyReport, LimitReport, Sums},
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
pub(crate) fn render(sums: &Sums, limit: &LimitReport, timeline: &Timeline) -> String {
    let mut text = String::new();
    summary(&mut text, sums, &[]);
    heading(&mut text, &format!("{}, {}", limit.title(), keys(&limit.keys)));
    if limit.saturated > 0 {
        let saturated = grouped(limit.saturated);
        let _ = writeln!(
            text,
            "  {saturated} requests of new keys found no room and were let through; \
             a larger --capacity limits them too"
        );
    }
    if limit.denied == 0 {
        text.push_str("  no request was denied\n");
    }
    denied_most(&mut text, &limit.keys);
    over_time(&mut text, sums, timeline);
    text
}

/// What every replay counts. `more`: rows for those denied and allowed, where there are any.
pub(crate) fn summary(text: &mut String, sums: &Sums, more: &[(&str, u64, &str)]) {
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
    let mut table = table();
    let mut row = |name: &str, value: String, note: &str| {
        table.add_row([Cell::new(name), right(value), Cell::new(note)]);
    };
    row("requests", grouped(sums.requests), "");
    row("allowed", grouped(sums.allowed), &share(sums.allowed, sums.requests));
    row("denied", grouped(sums.denied), &share(sums.denied, sums.requests));
    for (name, count, note) in more.iter().filter(|(_, count, _)| *count > 0) {
        row(name, grouped(*count), note);
    }
    row("skipped", grouped(sums.skipped), note(sums.skipped, "lines that cannot be read"));
    let late = note(sums.out_of_order, "decided at the latest time before them");
    row("out of order", grouped(sums.out_of_order), late);
    row("first", time(&sums.first), "");
    row("last", time(&sums.last), "");
    heading(text, "Replay");
    put_table(text, &table);
}

/// How many keys there were.
pub(crate) fn keys(keys: &KeyReport) -> String {
    let about = if keys.approximate { "about " } else { "" };
    let noun = if keys.count == 1 { "key" } else { "keys" };
    let counts = if keys.approximate && !keys.top.is_empty() {
        "; counts below are approximate"
    } else {
        ""
    };
    format!("{about}{} {noun}{counts}", grouped(keys.count))
}

/// The keys denied most, if any were.
pub(crate) fn denied_most(text: &mut String, keys: &KeyReport) {
    if keys.top.is_empty() {
        return;
    }
    let mut table = table();
    table.add_row([Cell::new("denied most"), right("requests"), right("denied"), right("share")]);
    for top in &keys.top {
        table.add_row([
            Cell::new(cut(&top.key, WIDEST_KEY)),
            right(grouped(top.requests)),
            right(grouped(top.refused())),
            right(share(top.refused(), top.requests)),
            Cell::new(note(top.would_deny.unwrap_or(0), "would be, in shadow")),
        ]);
    }
    put_table(text, &table);
}

/// The picture, where something was denied.
pub(crate) fn over_time(text: &mut String, sums: &Sums, timeline: &Timeline) {
    if sums.denied > 0 {
        picture(text, timeline);
    }
}

/// Two rows of bars on one scale: what was allowed, and what was denied.
fn picture(text: &mut String, timeline: &Timeline) {
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

/// The text, or its first characters.
pub(crate) fn cut(text: &str, widest: usize) -> String {
    match text.char_indices().nth(widest) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn note(count: u64, text: &str) -> &str {
    if count > 0 { text } else { "" }
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
        assert_eq!(cut(&"é".repeat(60), 60), "é".repeat(60));
        assert_eq!(cut(&"é".repeat(61), 60), format!("{}…", "é".repeat(60)));
    }
}
