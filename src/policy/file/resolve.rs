//! What texts mean that requests are compared with: routes, methods, hosts, paths.

use super::{
    model::{self, Document, Paths},
    problem::Problems,
    read::List,
    source::At,
    values::{Condition, Conditions, Name, Place, Quotas},
};
use crate::policy::{
    path::{Case, EncodedSlash, PathRules, TrailingSlash},
    route::{self, Route, RouteError},
};

/// When two paths are the same.
pub(crate) fn path_rules(paths: &Paths) -> PathRules {
    PathRules {
        case: match paths.case.value {
            model::Case::Sensitive => Case::Sensitive,
            model::Case::Insensitive => Case::Insensitive,
        },
        trailing_slash: match paths.trailing_slash.value {
            model::TrailingSlash::Ignore => TrailingSlash::Ignore,
            model::TrailingSlash::Keep => TrailingSlash::Keep,
        },
        encoded_slash: match paths.encoded_slash.value {
            model::EncodedSlash::Separator => EncodedSlash::Separator,
            model::EncodedSlash::Data => EncodedSlash::Data,
        },
    }
}

/// Gives routes their meaning, and makes values of what is built in normal.
pub(super) fn resolve(document: &mut Document, problems: &mut Problems<'_>) {
    let rules = path_rules(&document.path);
    let Document { limit, refuse, exempt, penalty, .. } = document;
    for At { value: limit, .. } in &mut limit.value.0 {
        routes(limit.routes.as_mut(), rules, problems);
        conditions(&mut limit.when, rules, problems);
        conditions(&mut limit.unless, rules, problems);
        quotas(&mut limit.quota, rules, problems);
        if let Some(overrides) = &mut limit.overrides {
            quotas(overrides, rules, problems);
        }
    }
    for At { value: refuse, .. } in &mut refuse.value.0 {
        routes(refuse.routes.as_mut(), rules, problems);
        conditions(&mut refuse.when, rules, problems);
        conditions(&mut refuse.unless, rules, problems);
    }
    for At { value: exempt, .. } in &mut exempt.value.0 {
        routes(exempt.routes.as_mut(), rules, problems);
        conditions(&mut exempt.when, rules, problems);
        conditions(&mut exempt.unless, rules, problems);
    }
    for At { value: penalty, .. } in &mut penalty.value.0 {
        routes(penalty.covers.as_mut(), rules, problems);
    }
}

fn routes(list: Option<&mut At<List<Place>>>, rules: PathRules, problems: &mut Problems<'_>) {
    for At { value: place, span } in list.into_iter().flat_map(|list| &mut list.value.0) {
        if problems.within(*span) {
            continue;
        }
        match Route::parse(&place.text, rules) {
            Ok(route) => place.route = Some(route),
            Err(errors) => {
                let said = errors.into_iter().map(|error| (error.at, error.message));
                problems.say_of(*span, &place.text, said);
            }
        }
    }
}

fn conditions(conditions: &mut At<Conditions>, rules: PathRules, problems: &mut Problems<'_>) {
    for (name, condition) in &mut conditions.value.0 {
        let Condition::OneOf(list) = &mut condition.value else { continue };
        for text in &mut list.0 {
            normal(name, text, rules, problems);
        }
    }
}

fn quotas(quotas: &mut At<Quotas>, rules: PathRules, problems: &mut Problems<'_>) {
    let Some(by) = &quotas.value.by else { return };
    for (value, _) in &mut quotas.value.each.0 {
        normal(by, value, rules, problems);
    }
}

/// A value as requests are compared with it.
fn normal(name: &Name, text: &mut At<String>, rules: PathRules, problems: &mut Problems<'_>) {
    if problems.within(text.span) {
        return;
    }
    let normal: Result<String, Vec<RouteError>> = match name {
        Name::Method => route::one_method(text),
        Name::Host => route::one_host(text),
        Name::Path => route::one_path(text, rules),
        Name::Route | Name::Parameter(_) | Name::Attribute(_) => return,
    };
    match normal {
        Ok(normal) => text.value = normal,
        Err(errors) => {
            let said = errors.into_iter().map(|error| (error.at, error.message));
            problems.say_of(text.span, &text.value, said);
        }
    }
}
