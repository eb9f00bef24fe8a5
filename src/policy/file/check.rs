//! Whether a file makes sense: what can be told without building anything.

use super::{
    groups,
    model::{Algorithm, Document, Exempt, Limit, Penalty, Refuse},
    problem::{Problems, Said},
    quotas, resolve,
    response::Response,
    scope::{Routes, Scope, not_empty, once},
    source::{At, Span},
    texts::{did_you_mean, shown},
    values::{Block, Conditions, Missing, Name},
};
use crate::headers::{Fields, Report};
use std::collections::{BTreeMap, BTreeSet};

/// A block's number has four bits, of which one value is kept back.
const MOST_BLOCKS: usize = 8;

/// Gives quotas their meaning, and notes everything that makes no sense.
pub(super) fn check(document: &mut Document, problems: &mut Problems<'_>) {
    for limit in &mut document.limit.value.0 {
        quotas::resolve(&mut limit.value, problems);
    }
    resolve::resolve(document, problems);
    let document = &*document;
    let scope = Scope::new(document, problems);
    names(document, problems);
    for limit in document.limit.iter() {
        one_limit(limit, &scope, problems);
    }
    groups::check(document, problems);
    let limits = Limits::of(document);
    limits.missing(document, problems);
    for refuse in document.refuse.iter() {
        let Refuse { routes, when, unless, networks, .. } = &refuse.value;
        let _ = Routes::of(routes.as_ref(), problems);
        scope.conditions(when, problems);
        scope.conditions(unless, problems);
        if let Some(networks) = networks {
            scope.networks(networks, problems);
        }
        let given = [routes.is_some(), networks.is_some(), refuse.has_strays];
        somewhere(refuse.span, given, [when, unless], problems);
    }
    for exempt in document.exempt.iter() {
        let Exempt { routes, when, unless, networks, .. } = &exempt.value;
        let _ = Routes::of(routes.as_ref(), problems);
        scope.conditions(when, problems);
        scope.conditions(unless, problems);
        if let Some(networks) = networks {
            scope.networks(networks, problems);
        }
        let given = [routes.is_some(), networks.is_some(), exempt.has_strays];
        somewhere(exempt.span, given, [when, unless], problems);
    }
    for penalty in document.penalty.iter() {
        one_penalty(penalty, &scope, &limits, problems);
    }
    response(document, &limits, problems);
    let rules = document.limit.len() + document.refuse.len() + document.penalty.len();
    if rules == 0 && !problems.any() {
        problems.miss(Span::default(), || {
            Said::from("there is no `[[limit]]`: this policy would let everything pass")
                .hint("a file that was cut short looks like that")
        });
    }
}

/// Names are unique, also across limits, refusals, exemptions and penalties.
fn names(document: &Document, problems: &mut Problems<'_>) {
    let Document { limit, refuse, exempt, penalty, .. } = document;
    let limits = limit.iter().map(|limit| (&limit.name, "limit"));
    let refusals = refuse.iter().map(|refuse| (&refuse.name, "refusal"));
    let exemptions = exempt.iter().map(|exempt| (&exempt.name, "exemption"));
    let penalties = penalty.iter().map(|penalty| (&penalty.name, "penalty"));
    let all = limits.chain(refusals).chain(exemptions).chain(penalties);
    let mut all: Vec<(&At<String>, &str)> = all.filter(|(name, _)| name.is_given()).collect();
    all.sort_by_key(|(name, _)| name.span.start);
    let mut seen: BTreeMap<&str, (Span, &str)> = BTreeMap::new();
    for (name, kind) in all {
        plain(name, problems);
        if Response::is_word(name) {
            problems.say(name.span, || {
                format!("`{}` is a word of `report`, and cannot be a name", name.value)
            });
        }
        if let Some((first, what)) = seen.get(name.as_str()) {
            let line = problems.line(*first);
            problems.say(name.span, || {
                format!("the {what} in {line} is also called `{}`", shown(name))
            });
        } else {
            seen.insert(name, (name.span, kind));
        }
    }
}

/// A text that people read, and that may stand in a header field.
fn plain(text: &At<String>, problems: &mut Problems<'_>) {
    if text.trim().is_empty() {
        problems.say(text.span, || "expected a text, found an empty one");
    } else if text.chars().any(char::is_control) {
        problems.say(text.span, || "control characters are no part of a name");
    }
}

fn one_limit(limit: &At<Limit>, scope: &Scope<'_>, problems: &mut Problems<'_>) {
    let places = Routes::of(limit.routes.as_ref(), problems);
    scope.conditions(&limit.when, problems);
    scope.conditions(&limit.unless, problems);
    scope.key(&limit.key, &places, problems);
    scope.quota(limit, problems);
    if let Some(overrides) = &limit.overrides {
        scope.overrides(overrides, problems);
    }
    for text in [&limit.group, &limit.cost, &limit.unit].into_iter().flatten() {
        plain(text, problems);
    }
    if limit.fallback.value && limit.group.is_none() {
        problems.say(limit.fallback.span, || {
            Said::from("a fallback applies where no other limit of its group does")
                .hint("`group` is missing")
        });
    }
    by_algorithm(limit, problems);
}

/// What only some algorithms know, and what they need.
fn by_algorithm(limit: &At<Limit>, problems: &mut Problems<'_>) {
    if problems.within(limit.algorithm.span) {
        return;
    }
    let algorithm = limit.algorithm.value;
    let (leases, size) = (algorithm == Algorithm::Leases, algorithm == Algorithm::Size);
    let calendar = algorithm == Algorithm::Calendar;
    let largest = limit.largest.as_ref().map_or(Span::default(), |largest| largest.span);
    let ttl = limit.ttl.as_ref().map_or(Span::default(), |ttl| ttl.span);
    let zone = limit.zone.as_ref().map_or(Span::default(), |zone| zone.span);
    let cost = limit.cost.as_ref().map_or(Span::default(), |cost| cost.span);
    for (field, span, fits) in [
        ("ttl", ttl, leases),
        ("zone", zone, calendar),
        ("cost", cost, !leases),
        ("largest", largest, !size),
        ("capacity", limit.capacity.span, !size),
        ("when_full", limit.when_full.span, !size),
        ("charge_denied", limit.charge_denied.span, !size && !leases),
    ] {
        if span != Span::default() && !fits {
            let word = algorithm.word();
            problems.say(span, || {
                let said = Said::from(format!("a limit on {word} has no `{field}`"));
                said.maybe(match field {
                    "ttl" => Some("it is of `algorithm = \"leases\"`".to_owned()),
                    "cost" => Some("a request takes one lease".to_owned()),
                    "zone" => Some("it is of `algorithm = \"calendar\"`".to_owned()),
                    _ => None,
                })
            });
        }
    }
    if !limit.key.is_given() && !size {
        problems.miss(limit.span, || {
            Said::from("`key` is missing")
                .hint("say who is limited; [] is one bucket for everybody")
        });
    }
    if leases && limit.ttl.is_none() {
        problems.miss(limit.span, || {
            Said::from("`ttl` is missing")
                .hint("a lease ends by itself after this time, or it would outlive its holder")
        });
    }
    if size && limit.cost.is_none() {
        problems.miss(limit.span, || {
            Said::from("`cost` is missing").hint("a limit on size is about a cost, such as `bytes`")
        });
    }
}

/// A refusal or exemption of everything is more likely a slip than meant.
fn somewhere(
    span: Span,
    given: [bool; 3],
    conditions: [&At<Conditions>; 2],
    problems: &mut Problems<'_>,
) {
    let wrong = conditions.iter().any(|c| c.is_given() && problems.within(c.span));
    if given == [false; 3] && !wrong && conditions.iter().all(|c| c.is_empty()) {
        problems.miss(span, || {
            Said::from("this is about every request").hint(
                "say `routes`, `when`, `unless` or `networks`; routes = [\"/**\"] if all is meant",
            )
        });
    }
}

/// Whether a name could be read.
fn is_known(name: &At<String>) -> bool {
    !name.trim().is_empty()
}

/// The limits by name.
struct Limits<'d> {
    by_name: BTreeMap<&'d str, usize>,
    /// Whether there are more of them, or of what else has names, than could be read.
    are_more: bool,
}

impl<'d> Limits<'d> {
    fn of(document: &'d Document) -> Self {
        let named = document.limit.iter().enumerate().filter(|(_, limit)| limit.name.is_given());
        let are_more = document.has_strays
            || document.limit.iter().any(|limit| !is_known(&limit.name))
            || document.limit.is_given() && document.limit.is_empty();
        Self { by_name: named.map(|(at, limit)| (limit.name.as_str(), at)).collect(), are_more }
    }

    fn get(&self, name: &At<String>, problems: &mut Problems<'_>) -> Option<usize> {
        let found = self.by_name.get(name.as_str()).copied();
        if found.is_none() && !self.are_more {
            problems.say(name.span, || {
                let hint = did_you_mean(name, self.by_name.keys().copied());
                Said::from(format!("no limit is called `{}`", shown(name))).maybe(hint)
            });
        }
        found
    }

    /// Limits that are asked instead of others are there, and the last of them answers.
    fn missing(&self, document: &Document, problems: &mut Problems<'_>) {
        let instead: Vec<Option<(usize, Span)>> = (document.limit.iter())
            .map(|limit| match &limit.missing.value {
                Missing::Limit(name) if name.is_given() => {
                    self.get(name, problems).map(|at| (at, name.span))
                }
                _ => None,
            })
            .collect();
        // Which walk came by: meeting the own trace is a circle.
        let mut trace = vec![0; instead.len()];
        for start in 0..instead.len() {
            let mut at = start;
            while let Some(mark) = trace.get_mut(at).filter(|mark| **mark == 0) {
                *mark = start + 1;
                let Some(Some((next, span))) = instead.get(at) else { break };
                if trace.get(*next) == Some(&(start + 1)) {
                    problems.say(*span, || {
                        Said::from("limits that are asked instead of each other make a circle")
                            .hint("one of them says \"deny\" or \"skip\"")
                    });
                }
                at = *next;
            }
        }
    }
}

fn one_penalty(
    penalty: &At<Penalty>,
    scope: &Scope<'_>,
    limits: &Limits<'_>,
    problems: &mut Problems<'_>,
) {
    scope.key(&penalty.key, &Routes::none(), problems);
    for name in penalty.key.iter().filter(|name| name.value == Name::Route) {
        problems.say(name.span, || "a penalty is of no route");
    }
    let _ = Routes::of(penalty.covers.as_ref(), problems);
    if let Some(counts) = &penalty.counts {
        not_empty(counts, "no denial counts: leave it out to mean all", problems);
        once(counts, String::as_str, problems);
        for name in counts.iter() {
            limits.get(name, problems);
        }
    }
    let blocks = &penalty.blocks;
    not_empty(blocks, "nobody would be blocked", problems);
    if blocks.len() > MOST_BLOCKS {
        problems.say(blocks.span, || format!("a penalty has at most {MOST_BLOCKS} blocks"));
    }
    let before_last = blocks.iter().rev().skip(1);
    for block in before_last.filter(|block| block.value == Block::UntilLifted) {
        problems.say(block.span, || "nothing comes after \"until lifted\": it stands last");
    }
}

fn response(document: &Document, limits: &Limits<'_>, problems: &mut Problems<'_>) {
    let Document { limit, refuse, penalty, response, .. } = document;
    let Response { dialect, report, group, bodies, content_type, is_open } = &response.value;
    match dialect.report() {
        Report::Limit(name) => {
            limits.get(&At::new(name.clone(), report.start..report.end), problems);
        }
        Report::All if dialect.headers() != Fields::RateLimit && !is_open => {
            problems.say(*report, || {
                Said::from("`all` limits are told of by `headers = \"ratelimit\"` alone")
                    .hint("the other fields have room for one: `binding`, or a limit's name")
            });
        }
        _ => {}
    }
    let groups = || limit.iter().filter_map(|limit| limit.group.as_ref());
    let more_groups = limits.are_more
        || limit.iter().any(|limit| limit.has_strays)
        || groups().any(|group| problems.within(group.span));
    if let Some(group) = group.as_ref().filter(|group| group.is_given() && !more_groups)
        && !groups().any(|known| known.value == group.value)
    {
        problems.say(group.span, || {
            let hint = did_you_mean(group, groups().map(|known| known.as_str()));
            Said::from(format!("no limit is of the group `{}`", shown(group))).maybe(hint)
        });
    }
    let others = || refuse.iter().map(|r| &r.name).chain(penalty.iter().map(|p| &p.name));
    if !limits.are_more && others().all(is_known) {
        let names = limits.by_name.keys().copied().chain(others().map(|name| name.as_str()));
        let names: BTreeSet<&str> = names.collect();
        for name in bodies.iter().filter(|name| !names.contains(name.as_str())) {
            problems.say(name.span, || {
                let hint = did_you_mean(name, names.iter().copied());
                Said::from(format!("nothing that denies is called `{}`", shown(name))).maybe(hint)
            });
        }
    }
    if let Some(content_type) = content_type
        && !dialect.has_bodies()
        && !is_open
    {
        problems.say(content_type.span, || "there is no `body` that it would be the type of");
    }
}
