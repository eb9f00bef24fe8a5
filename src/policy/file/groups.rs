//! Groups: of the limits of one at most one applies, so it must be plain which.

use super::{
    model::{Document, Limit},
    problem::{Problems, Said},
    source::{At, Span},
    texts::shown,
    values::{self, Condition, Name},
};
use crate::policy::{
    attribute::{AttributeId, Names},
    route::Route,
    route_table::{Entry, RouteTable},
    select::{AllConditions, Conditions, Wanted},
};
use std::collections::BTreeMap;

/// Notes what leaves open which limit of a group applies.
pub(super) fn check(document: &Document, problems: &mut Problems<'_>) {
    let mut fallbacks: BTreeMap<&str, Span> = BTreeMap::new();
    for limit in document.limit.iter().filter(|limit| limit.fallback.value) {
        let Some(group) = &limit.group else { continue };
        if let Some(first) = fallbacks.get(group.as_str()) {
            let line = problems.line(*first);
            problems.say(limit.fallback.span, || {
                format!("the group `{}` has a fallback already, in {line}", shown(group))
            });
        } else {
            fallbacks.insert(group, limit.fallback.span);
        }
    }
    let paths = &document.path;
    let rules = [paths.case.span, paths.trailing_slash.span, paths.encoded_slash.span];
    if paths.has_strays || rules.iter().any(|span| is_wrong(*span, problems)) {
        return;
    }
    let mut groups: BTreeMap<&str, Vec<&At<Limit>>> = BTreeMap::new();
    for limit in document.limit.iter().filter(|limit| is_known(limit, problems)) {
        if let Some(group) = &limit.group {
            groups.entry(group.as_str()).or_default().push(limit);
        }
    }
    for members in groups.values() {
        conflicts(members, problems);
    }
}

/// Whether what the limit says of where it applies can be gone by.
fn is_known(limit: &Limit, problems: &Problems<'_>) -> bool {
    let span = |list: Option<Span>| list.unwrap_or_default();
    let places = [
        span(limit.routes.as_ref().map(|routes| routes.span)),
        span(limit.group.as_ref().map(|group| group.span)),
        limit.when.span,
        limit.unless.span,
        limit.fallback.span,
    ];
    let wrong = |span: &Span| is_wrong(*span, problems);
    !limit.has_strays
        && !places.iter().any(wrong)
        // A table by its own header is not around its entries.
        && !limit.when.iter().chain(limit.unless.iter()).any(|(name, condition)| {
            wrong(&name.span) || wrong(&condition.span)
        })
}

fn is_wrong(span: Span, problems: &Problems<'_>) -> bool {
    span != Span::default() && problems.within(span)
}

fn conflicts(members: &[&At<Limit>], problems: &mut Problems<'_>) {
    let (mut names, mut all) = (Names::default(), AllConditions::default());
    let limits: Vec<(Vec<Route>, usize)> = (members.iter())
        .map(|limit| {
            let conditions = conditions(&limit.when, &limit.unless, |name| match name {
                Name::Attribute(name) => names.find_or_add(name).map(AttributeId),
                name => name.built_in(),
            });
            (routes(limit), all.number(conditions))
        })
        .collect();
    let entries =
        members.iter().zip(&limits).enumerate().map(|(nth, (limit, (routes, number)))| Entry {
            limit: nth,
            routes,
            conditions: *number,
            how_many: all.get(*number).map_or(0, Conditions::len),
            fallback: limit.fallback.value,
        });
    let Err(conflicts) = RouteTable::of_group(entries, |a, b| all.exclude(a, b)) else { return };
    for conflict in conflicts {
        let (Some(first), Some(second)) =
            (members.get(conflict.first.limit), members.get(conflict.second.limit))
        else {
            continue;
        };
        // Two fallbacks were reported.
        if first.fallback.value && second.fallback.value {
            continue;
        }
        let span = place(second, conflict.second.route);
        let line = problems.line(place(first, conflict.first.route));
        problems.say(span, || {
            let said = format!(
                "`{}` and `{}` ({line}) of the same group can apply to one request, and neither \
                 is more specific",
                shown(&second.name),
                shown(&first.name),
            );
            Said::from(said).hint(
                "give one of them another route, a condition that excludes the other's, or no group",
            )
        });
    }
}

/// Where the route stands, or what the limit is known by.
fn place(limit: &At<Limit>, route: usize) -> Span {
    let route = limit.routes.as_ref().and_then(|routes| routes.get(route));
    let name = Some(limit.name.span).filter(|name| *name != Span::default());
    route.map(|route| route.span).or(name).unwrap_or(limit.span)
}

/// The routes of a limit that is known.
fn routes(limit: &Limit) -> Vec<Route> {
    let routes = limit.routes.iter().flat_map(|routes| routes.iter());
    routes.filter_map(|place| place.route.clone()).collect()
}

/// What of a request must hold, with numbers for names.
pub(crate) fn conditions(
    when: &values::Conditions,
    unless: &values::Conditions,
    mut number: impl FnMut(&Name) -> Option<AttributeId>,
) -> Conditions {
    let texts = |list: &[At<String>]| list.iter().map(|text| text.as_bytes().into()).collect();
    let mut all = Vec::new();
    for (list, holds) in [(when, true), (unless, false)] {
        for (name, condition) in list.iter() {
            let Some(number) = number(&name.value) else { continue };
            let wanted = match (&condition.value, holds) {
                (Condition::Present(present), _) if *present == holds => Wanted::Present,
                (Condition::Present(_), _) => Wanted::Absent,
                (Condition::OneOf(values), true) => Wanted::OneOf(texts(values)),
                (Condition::OneOf(values), false) => Wanted::NoneOf(texts(values)),
            };
            all.push((number, wanted));
        }
    }
    Conditions(all)
}
