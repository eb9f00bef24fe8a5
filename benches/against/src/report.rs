//! What comes out: a table.

use crate::{measure::Summary, scenario::Scenario};
use comfy_table::{CellAlignment, Table, presets::NOTHING};

/// One scenario with so many keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    pub(crate) keys: usize,
    pub(crate) summary: Summary,
}

impl Row {
    fn cells(&self) -> [String; 6] {
        let Summary { tree, other, ratio, quartiles: (low, high) } = self.summary;
        let keys = match self.scenario {
            Scenario::Lone => String::new(),
            _ => self.keys.to_string(),
        };
        [
            self.scenario.name().to_owned(),
            keys,
            format!("{tree:.1}"),
            format!("{other:.1}"),
            format!("{ratio:.3}"),
            format!("{low:.3} .. {high:.3}"),
        ]
    }

    /// The row alone.
    pub(crate) fn line(&self) -> String {
        let [scenario, keys, tree, other, ratio, _] = self.cells();
        let keys = if keys.is_empty() { keys } else { format!(", {keys} keys") };
        format!("{scenario}{keys}: {tree} by {other} ns, {ratio}")
    }
}

/// All rows, and what the columns mean.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["scenario", "keys", "tree", "other", "ratio", "quartiles"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in rows {
        table.add_row(row.cells());
    }
    format!(
        "\n{}\n\n\
         Tree and other: nanoseconds per check, median of the rounds. Ratio: median, round by\n\
         round, of the tree's time by the other's; below 1 the tree is faster.\n",
        table.trim_fmt()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_measured() {
        let summary = Summary { tree: 61.5, other: 123.0, ratio: 0.5, quartiles: (0.375, 0.625) };
        let hit = Row { scenario: Scenario::Hit, keys: 1000, summary };
        assert_eq!(hit.line(), "hit, 1000 keys: 61.5 by 123.0 ns, 0.500");
        let lone = Row { scenario: Scenario::Lone, ..hit };
        assert_eq!(lone.line(), "lone: 61.5 by 123.0 ns, 0.500");
        let text = table(&[hit, lone]);
        assert!(text.contains("0.375 .. 0.625"), "{text}");
        assert_eq!(text.matches("1000").count(), 1, "{text}");
    }
}
