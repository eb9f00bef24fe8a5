//! What a replay through a policy found: counted, as JSON, and for people.

use crate::{
    figures::{grouped, share},
    show::printable,
    text::{heading, picture, put_table, right, table},
    timeline::Timeline,
};
use comfy_table::Cell;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};
use tollgate::policy::{Algorithm, Cause, Policy, PolicyDecision, Request, Why};

/// So many requests are looked at for why a limit is not asked.
const ASKED_WHY: u32 = 10_000;

/// The whole result. Its fields are the JSON form.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What the file calls it.
    pub(crate) policy: String,
    pub(crate) requests: u64,
    pub(crate) allowed: u64,
    /// For whatever reason: by limits, and the three below.
    pub(crate) denied: u64,
    /// Of those denied: by penalties, by refusals, and for what they lack.
    pub(crate) blocked: u64,
    pub(crate) refused: u64,
    pub(crate) missing: u64,
    /// Of those allowed: by exemptions.
    pub(crate) exempt: u64,
    pub(crate) skipped: u64,
    pub(crate) out_of_order: u64,
    /// RFC 3339 in UTC.
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) limits: Vec<LimitReport>,
    /// Requests by the refusals, exemptions and penalties that decided them.
    pub(crate) rules: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LimitReport {
    name: String,
    algorithm: &'static str,
    /// Whether it only reports, for all of its keys.
    shadow: bool,
    evaluated: u64,
    allowed: u64,
    denied: u64,
    /// Said no to no effect.
    would_deny: u64,
    /// Of those evaluated: keys without a quota.
    unlimited: u64,
    /// Requests denied because they lack what it needs.
    missing: u64,
    /// New keys that it had no room for.
    saturated: u64,
    /// Why it was never evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_evaluated: Option<String>,
}

/// The report on its way.
pub(super) struct Tally {
    report: Report,
    numbers: HashMap<String, usize, ahash::RandomState>,
    leases: Vec<bool>,
    /// How many limits have neither been asked nor said why not.
    silent: usize,
    looks: u32,
}

impl Tally {
    pub(super) fn new(policy: &Policy) -> Self {
        let algorithms: Vec<_> =
            policy.limits().map(|limit| (limit, policy.algorithm(limit))).collect();
        let limits = algorithms.iter().map(|(name, algorithm)| LimitReport {
            name: (*name).to_owned(),
            algorithm: algorithm.map_or("", Algorithm::name),
            shadow: policy.is_shadow(name),
            evaluated: 0,
            allowed: 0,
            denied: 0,
            would_deny: 0,
            unlimited: 0,
            missing: 0,
            saturated: 0,
            not_evaluated: (*algorithm == Some(Algorithm::Leases))
                .then(|| "a log does not tell how long requests last".to_owned()),
        });
        let limits: Vec<_> = limits.collect();
        let silent = limits.iter().filter(|limit| limit.not_evaluated.is_none()).count();
        let report = Report { policy: policy.name().to_owned(), limits, ..Report::default() };
        Self {
            report,
            numbers: policy.limits().enumerate().map(|(n, name)| (name.to_owned(), n)).collect(),
            leases: algorithms.iter().map(|(_, a)| *a == Some(Algorithm::Leases)).collect(),
            silent,
            looks: ASKED_WHY,
        }
    }

    /// Enters one decision.
    pub(super) fn count(
        &mut self,
        policy: &Policy,
        request: &Request<'_>,
        decision: &PolicyDecision<'_>,
    ) {
        let report = &mut self.report;
        report.requests += 1;
        if decision.is_allowed() {
            report.allowed += 1;
        } else {
            report.denied += 1;
        }
        match decision.cause() {
            Cause::Exempt(name) => rule(&mut report.exempt, &mut report.rules, "exempt", name),
            Cause::Refused(name) => rule(&mut report.refused, &mut report.rules, "refuse", name),
            Cause::Blocked(name) => rule(&mut report.blocked, &mut report.rules, "penalty", name),
            Cause::Missing { limit, .. } => {
                report.missing += 1;
                let limit = self.numbers.get(limit).and_then(|n| report.limits.get_mut(*n));
                if let Some(limit) = limit {
                    limit.missing += 1;
                }
            }
            _ => {}
        }
        for said in decision.limits() {
            let Some(number) = self.numbers.get(said.name()) else { continue };
            let Some(limit) = report.limits.get_mut(*number) else { continue };
            if self.leases.get(*number) == Some(&true) {
                continue;
            }
            if limit.evaluated == 0 && limit.not_evaluated.take().is_none() {
                self.silent -= 1;
            }
            limit.evaluated += 1;
            limit.unlimited += u64::from(said.is_unlimited());
            match (said.is_violated(), said.is_shadow()) {
                (false, _) => limit.allowed += 1,
                (true, false) => limit.denied += 1,
                (true, true) => limit.would_deny += 1,
            }
            let unaccounted = !said.is_unlimited() && !said.decision().is_accounted();
            limit.saturated += u64::from(unaccounted);
        }
        if self.silent > 0 && self.looks > 0 {
            self.looks -= 1;
            self.ask_why(policy, request);
        }
    }

    /// What limits lack that were not asked so far.
    #[cold]
    fn ask_why(&mut self, policy: &Policy, request: &Request<'_>) {
        for said in policy.explain(request).limits() {
            let Why::Missing { attribute, .. } = said.why() else { continue };
            let Some(number) = self.numbers.get(said.name()) else { continue };
            let Some(limit) = self.report.limits.get_mut(*number) else { continue };
            if limit.evaluated == 0 && limit.not_evaluated.is_none() {
                limit.not_evaluated = Some(format!("requests lack `{attribute}`"));
                self.silent -= 1;
            }
        }
    }

    pub(super) fn report(mut self) -> Report {
        for limit in &mut self.report.limits {
            if limit.evaluated == 0 {
                limit.not_evaluated.get_or_insert_with(|| "no request came to it".to_owned());
            }
        }
        self.report
    }
}

fn rule(count: &mut u64, rules: &mut BTreeMap<String, u64>, kind: &str, name: &str) {
    *count += 1;
    *rules.entry(format!("{kind} {name}")).or_default() += 1;
}

impl Report {
    /// One JSON object and an LF.
    pub(crate) fn json(&self) -> String {
        // Strings and numbers alone: nothing that could fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The report with its colours.
    pub(crate) fn text(&self, timeline: &Timeline) -> String {
        let mut text = String::new();
        heading(&mut text, "Replay");
        put_table(&mut text, &self.summary());
        heading(&mut text, "Limits");
        put_table(&mut text, &self.by_limit());
        for limit in &self.limits {
            if let Some(why) = &limit.not_evaluated {
                let name = printable(limit.name.as_bytes());
                let why = printable(why.as_bytes());
                let _ = writeln!(text, "  {name} was not evaluated: {why}");
            }
        }
        if self.denied > 0 {
            picture(&mut text, timeline);
        }
        text
    }

    fn summary(&self) -> comfy_table::Table {
        let mut table = table();
        let mut row = |name: &str, value: String, note: &str| {
            table.add_row([Cell::new(name), right(value), Cell::new(note)]);
        };
        let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
        row("requests", grouped(self.requests), "");
        row("allowed", grouped(self.allowed), &share(self.allowed, self.requests));
        row("denied", grouped(self.denied), &share(self.denied, self.requests));
        for (name, count, note) in [
            ("  blocked", self.blocked, "by penalties"),
            ("  refused", self.refused, "by refusals"),
            ("  missing", self.missing, "lack what a limit needs"),
            ("exempt", self.exempt, "of those allowed"),
            ("skipped", self.skipped, "lines that cannot be read"),
            ("out of order", self.out_of_order, "decided at the latest time before them"),
        ] {
            if count > 0 {
                row(name, grouped(count), note);
            }
        }
        row("first", time(&self.first), "");
        row("last", time(&self.last), "");
        table
    }

    fn by_limit(&self) -> comfy_table::Table {
        let mut table = table();
        table.add_row([
            Cell::new("limit"),
            Cell::new("algorithm"),
            right("evaluated"),
            right("denied"),
            right("share"),
            Cell::new(""),
        ]);
        for limit in &self.limits {
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
                right(grouped(limit.evaluated)),
                right(grouped(limit.denied)),
                right(share(limit.denied, limit.evaluated)),
                Cell::new(notes.join(", ")),
            ]);
        }
        table
    }
}
