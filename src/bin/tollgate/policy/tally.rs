//! A replay through a policy, counted by what decided and by limit.

use super::report::{Causes, LimitReport, NotUnderstood};
use crate::{
    books::Books,
    key::shortened,
    report::TopKey,
    show::{printable, utf8},
};
use std::collections::{BTreeMap, HashMap};
use tollgate::{
    Outcome,
    policy::{Algorithm, Cause, LimitDecision, Policy, PolicyDecision, Request, Why},
};

/// So many requests are looked at for why a limit is not asked, less where that means so
/// many limits in all.
const ASKED_WHY: usize = 10_000;
const ASKED_WHY_IN_ALL: usize = 200_000;

/// Keys of one limit that are listed exactly, and of all of them.
const LISTED: usize = 100_000;
const LISTED_IN_ALL: usize = 1_000_000;

const NO_DURATION: &str = "a log does not tell how long requests last";

/// Whether a log tells enough for what a limit said: not how long a lease lasts, which
/// does not matter where there is no quota, or never enough of it.
pub(super) fn is_told(said: &LimitDecision<'_>) -> bool {
    said.algorithm() != Algorithm::Leases
        || said.is_unlimited()
        || said.decision().outcome() == Outcome::Never
}

/// The report on its way.
pub(super) struct Tally {
    causes: Causes,
    limits: Vec<Counted>,
    numbers: HashMap<String, usize, ahash::RandomState>,
    /// How many limits have neither been asked nor said why not.
    silent: usize,
    looks: usize,
}

/// What is counted of one limit.
struct Counted {
    report: LimitReport,
    /// By hashes of keys.
    books: Books,
    /// The keys that were denied, for people, and whether to no effect.
    names: HashMap<u64, (Box<str>, bool), ahash::RandomState>,
    /// Beyond so many names, those that the books do not list are forgotten.
    room: usize,
    /// What requests lack on which it depends whether it is asked.
    condition: Option<String>,
    /// Whether it is of leases, and whether there was a request of which a log does not
    /// tell enough for them.
    leases: bool,
    untold: bool,
}

impl Tally {
    /// `top`: how many keys of each limit will be asked for.
    pub(super) fn new(policy: &Policy, top: usize) -> Self {
        let listed = LISTED.min(LISTED_IN_ALL / policy.limits().len().max(1)).max(1);
        let limits = policy.limits().map(|name| Counted {
            report: LimitReport {
                name: name.to_owned(),
                algorithm: policy.algorithm(name).map_or("", Algorithm::name),
                shadow: policy.is_shadow(name),
                ..LimitReport::default()
            },
            books: Books::new(listed, top),
            names: HashMap::default(),
            room: listed.saturating_mul(2),
            condition: None,
            leases: policy.algorithm(name) == Some(Algorithm::Leases),
            untold: false,
        });
        let limits: Vec<_> = limits.collect();
        Self {
            causes: Causes::default(),
            silent: limits.iter().filter(|limit| !limit.leases).count(),
            limits,
            numbers: policy.limits().enumerate().map(|(n, name)| (name.to_owned(), n)).collect(),
            looks: ASKED_WHY.min(ASKED_WHY_IN_ALL / policy.limits().len().max(1)),
        }
    }

    /// Enters one decision.
    pub(super) fn count(
        &mut self,
        policy: &Policy,
        request: &Request<'_>,
        decision: &PolicyDecision<'_>,
    ) {
        self.causes.count(decision.cause());
        for (name, value) in policy.not_understood(request) {
            self.causes.count_not_understood(name, value);
        }
        if let Cause::Missing { limit, .. } = decision.cause()
            && let Some(limit) = self.limit(limit)
        {
            limit.report.missing += 1;
        }
        let mut unnamed = false;
        for said in decision.limits() {
            let Some(limit) = self.limit(said.name()) else { continue };
            if !is_told(&said) {
                limit.untold = true;
                continue;
            }
            let first = limit.report.evaluated == 0;
            let found = first && !limit.leases && limit.report.not_evaluated.take().is_none();
            limit.count(&said);
            unnamed |= said.is_violated() && !limit.names.contains_key(&said.key_hash());
            self.silent -= usize::from(found);
        }
        if unnamed {
            self.name(policy, request, decision);
        }
        if self.silent > 0 && self.looks > 0 {
            self.looks -= 1;
            self.ask_why(policy, request);
        }
    }

    fn limit(&mut self, name: &str) -> Option<&mut Counted> {
        self.limits.get_mut(*self.numbers.get(name)?)
    }

    /// Notes what the keys are called that are denied.
    #[cold]
    fn name(&mut self, policy: &Policy, request: &Request<'_>, decision: &PolicyDecision<'_>) {
        for explained in policy.explain_asked(request).limits() {
            let Why::Applies { key, instead_of, .. } = explained.why() else { continue };
            let Some(said) = decision.limit(explained.name()) else { continue };
            let Some(limit) = self.limit(said.name()).filter(|_| said.is_violated()) else {
                continue;
            };
            // It applies once: by its own route rather than by one it stands in for.
            let hash = said.key_hash();
            if instead_of.is_none() || !limit.names.contains_key(&hash) {
                limit.names.insert(hash, (spelled(key).into(), said.is_shadow()));
            }
            if limit.names.len() > limit.room {
                let books = &limit.books;
                limit.names.retain(|hash, _| books.lists(&hash.to_le_bytes()));
                // What is listed stays, and leaves room for as many again.
                limit.room = limit.room.max(limit.names.len().saturating_mul(2));
            }
        }
    }

    /// What limits lack that were not asked so far.
    #[cold]
    fn ask_why(&mut self, policy: &Policy, request: &Request<'_>) {
        for explained in policy.explain(request).limits() {
            let Some(limit) = self.limit(explained.name()) else { continue };
            if limit.report.evaluated > 0 || limit.leases || limit.report.not_evaluated.is_some() {
                continue;
            }
            match explained.why() {
                Why::Missing { attribute, .. } => {
                    limit.report.not_evaluated = Some(format!("requests lack `{attribute}`"));
                    self.silent -= 1;
                }
                Why::Condition { attribute, found: None, .. } => {
                    limit.condition.get_or_insert_with(|| (*attribute).to_owned());
                }
                _ => {}
            }
        }
    }

    /// What was counted, with the `top` keys of each limit.
    pub(super) fn finish(self, top: usize) -> (Causes, Vec<LimitReport>) {
        let limits = self.limits.into_iter().map(|limit| limit.finish(top)).collect();
        (self.causes, limits)
    }
}

impl Counted {
    fn count(&mut self, said: &LimitDecision<'_>) {
        let report = &mut self.report;
        report.evaluated += 1;
        report.unlimited += u64::from(said.is_unlimited());
        match (said.is_violated(), said.is_shadow()) {
            (false, _) => report.allowed += 1,
            (true, false) => report.denied += 1,
            (true, true) => report.would_deny += 1,
        }
        let unaccounted = !said.is_unlimited() && !said.decision().is_accounted();
        report.saturated += u64::from(unaccounted);
        self.books.enter(&said.key_hash().to_le_bytes(), said.is_violated());
    }

    fn finish(self, top: usize) -> LimitReport {
        let Self { mut report, books, names, condition, leases, untold, .. } = self;
        if untold || leases && report.evaluated == 0 {
            report.not_evaluated = Some(NO_DURATION.to_owned());
        } else if report.evaluated == 0 {
            report.not_evaluated.get_or_insert_with(|| match condition {
                Some(attribute) => format!("requests lack `{attribute}`, on which it depends"),
                None => "no request came to it".to_owned(),
            });
        }
        report.keys = books.report(top, |key, counts| {
            let hash = key.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
            let (name, shadow) =
                hash.and_then(|hash| names.get(&hash)).map_or(("", false), |(n, s)| (n, *s));
            let (denied, would_deny) = if shadow { (0, counts.denied) } else { (counts.denied, 0) };
            let key = name.to_owned();
            TopKey { key, requests: counts.requests, denied, would_deny: Some(would_deny) }
        });
        report
    }
}

/// A key for people: its parts by name.
fn spelled(key: &[(&str, String)]) -> String {
    if key.is_empty() {
        return "everybody".to_owned();
    }
    let part = |(name, value): &(&str, String)| {
        let value = utf8(&shortened(value.as_bytes()));
        // What could be taken for more parts, or for none, is in quotes.
        let plain = !value.is_empty() && !value.contains([' ', ',', '=', '"', '\\']);
        if plain { format!("{name} = {value}") } else { format!("{name} = {value:?}") }
    };
    key.iter().map(part).collect::<Vec<_>>().join(", ")
}

impl Causes {
    fn count(&mut self, cause: Cause<'_>) {
        let (count, kind, name) = match cause {
            Cause::Exempt(name) => (&mut self.exempt, "exempt", name),
            Cause::Refused(name) => (&mut self.refused, "refuse", name),
            Cause::Blocked(name) => (&mut self.blocked, "penalty", name),
            Cause::Missing { .. } => {
                self.missing += 1;
                return;
            }
            _ => return,
        };
        *count += 1;
        let rules: &mut BTreeMap<_, _> = &mut self.rules;
        *rules.entry(format!("{kind} {name}")).or_default() += 1;
    }

    fn count_not_understood(&mut self, attribute: &str, value: &[u8]) {
        if let Some(known) = self.not_understood.get_mut(attribute) {
            known.requests += 1;
        } else {
            let new = NotUnderstood { requests: 1, first: printable(&shortened(value)) };
            self.not_understood.insert(attribute.to_owned(), new);
        }
    }
}
