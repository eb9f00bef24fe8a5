//! What a replay through a policy found: as JSON, and for people.

use crate::{
    figures::{grouped, share},
    report::{KeyReport, Sums},
    show::printable,
    text::{denied_most, heading, keys, over_time, put_table, right, summary, table},
    timeline::Timeline,
};
use comfy_table::Cell;
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write};

/// The whole result. Its fields are the JSON form.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    /// What the file calls it.
    pub(super) policy: &'a str,
    #[serde(flatten)]
    pub(super) sums: &'a Sums,
    #[serde(flatten)]
    pub(super) causes: &'a Causes,
    pub(super) limits: &'a [LimitReport],
}

/// What decided beside limits.
#[derive(Debug, Default, Serialize)]
pub(super) struct Causes {
    /// Of those denied: by penalties, by refusals, and for what they lack.
    pub(super) blocked: u64,
    pub(super) refused: u64,
    pub(super) missing: u64,
    /// Of those allowed: by exemptions.
    pub(super) exempt: u64,
    /// Requests by the refusals, exemptions and penalties that decided them.
    pub(super) rules: BTreeMap<String, u64>,
    /// By attribute: values that the policy does not know, as good as missing.
    pub(super) not_understood: BTreeMap<String, NotUnderstood>,
}

#[derive(Debug, Serialize)]
pub(super) struct NotUnderstood {
    pub(super) requests: u64,
    /// The first of the values.
    pub(super) first: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct LimitReport {
    pub(super) name: String,
    pub(super) algorithm: &'static str,
    /// Whether it only reports, for all of its keys.
    pub(super) shadow: bool,
    pub(super) evaluated: u64,
    pub(super) allowed: u64,
    pub(super) denied: u64,
    /// Said no to no effect.
    pub(super) would_deny: u64,
    /// Of those evaluated: keys without a quota.
    pub(super) unlimited: u64,
    /// Requests denied because they lack what it needs.
    pub(super) missing: u64,
    /// Requests of new keys that it had no room for.
    pub(super) saturated: u64,
    #[serde(flatten)]
    pub(super) keys: KeyReport,
    /// Why it was never evaluated; of leases, why but for some requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_evaluated: Option<String>,
}

impl Report<'_> {
    /// The report with its colours.
    pub(super) fn text(&self, timeline: &Timeline) -> String {
        let mut text = String::new();
        let causes = self.causes;
        let more = [
            ("  blocked", causes.blocked, "by penalties"),
            ("  refused", causes.refused, "by refusals"),
            ("  missing", causes.missing, "lack what a limit needs"),
            ("exempt", causes.exempt, "of those allowed"),
        ];
        summary(&mut text, self.sums, &more);
        heading(&mut text, "Limits");
        put_table(&mut text, &self.by_limit());
        for limit in self.limits {
            if let Some(why) = &limit.not_evaluated {
                let name = printable(limit.name.as_bytes());
                let why = printable(why.as_bytes());
                let otherwise = if limit.evaluated > 0 { " otherwise" } else { "" };
                let _ = writeln!(text, "  {name} was not evaluated{otherwise}: {why}");
            }
        }
        for (attribute, NotUnderstood { requests, first }) in &causes.not_understood {
            let (noun, verb) = if *requests == 1 { ("value", "is") } else { ("values", "are") };
            let _ = writeln!(
                text,
                "  {} {noun} of {attribute} {verb} unknown to the policy, such as {first}: as good \
                 as missing",
                grouped(*requests)
            );
        }
        for limit in self.limits.iter().filter(|limit| !limit.keys.top.is_empty()) {
            let name = printable(limit.name.as_bytes());
            heading(&mut text, &format!("Limit {name}: {}", keys(&limit.keys)));
            denied_most(&mut text, &limit.keys);
        }
        over_time(&mut text, self.sums, timeline);
        text
    }

    fn by_limit(&self) -> comfy_table::Table {
        let mut table = table();
        table.add_row([
            Cell::new("limit"),
            Cell::new("algorithm"),
            right("keys"),
            right("evaluated"),
            right("denied"),
            right("share"),
            Cell::new(""),
        ]);
        for limit in self.limits {
            let mut notes = Vec::new();
            if limit.shadow {
                notes.push("shadow".to_owned());
            }
            for (count, note) in [
                (limit.would_deny, "would be denied"),
                (limit.unlimited, "unlimited"),
                (limit.missing, "lack what it needs"),
                (limit.saturated, "found no room"),
            ] {
                if count > 0 {
                    notes.push(format!("{} {note}", grouped(count)));
                }
            }
            table.add_row([
                Cell::new(printable(limit.name.as_bytes())),
                Cell::new(limit.algorithm),
                right(grouped(limit.keys.count)),
                right(grouped(limit.evaluated)),
                right(grouped(limit.denied)),
                right(share(limit.denied, limit.evaluated)),
                Cell::new(notes.join(", ")),
            ]);
        }
        table
    }
}
