//! The names of a file: which attributes there are, and who may name them.

use super::{
    model::{Document, Kind, Limit},
    problem::{Problems, Said},
    read::{List, Named},
    source::{At, Span},
    texts::{did_you_mean, listed, shown},
    values::{Condition, Conditions, Given, Name, Networks, Place, Quotas},
};
use crate::policy::route::Route;
use std::collections::{BTreeMap, BTreeSet};

/// The words of a table of quotas that are no values.
const RESERVED: [&str; 2] = ["by", "otherwise"];

/// The attributes that a file declares.
pub(super) struct Scope<'d> {
    attributes: BTreeMap<&'d str, Declared<'d>>,
    /// Whether there are more of them than could be read.
    are_more: bool,
}

struct Declared<'d> {
    /// None where that is not known for something that is wrong.
    kind: Option<Kind>,
    values: Values<'d>,
}

/// The values of an attribute.
enum Values<'d> {
    Any,
    Listed(BTreeSet<&'d str>),
    /// Something is wrong with them, which was reported.
    Wrong,
}

impl<'d> Scope<'d> {
    pub(super) fn new(document: &'d Document, problems: &mut Problems<'_>) -> Self {
        let mut attributes = BTreeMap::new();
        for (name, attribute) in &**document.attribute {
            attribute_name(name, problems);
            let wrong = attribute.has_strays
                || problems.within(attribute.span)
                || attribute.kind.is_given() && problems.within(attribute.kind.span);
            let values = match &attribute.values {
                Some(list) if problems.within(list.span) => Values::Wrong,
                Some(list) => Values::Listed(list.iter().map(|value| value.as_str()).collect()),
                None if wrong => Values::Wrong,
                None => Values::Any,
            };
            let kind = Some(attribute.kind.value).filter(|_| !wrong);
            attributes.insert(name.as_str(), Declared { kind, values });
        }
        let mut lists = Vec::new();
        for (name, attribute) in &**document.attribute {
            let ip = attribute.kind.value == Kind::Ip;
            if let Some(list) = &attribute.values {
                not_empty(list, "no value is possible", problems);
                once(list, String::as_str, problems);
                for value in list.iter().filter(|value| RESERVED.contains(&value.as_str())) {
                    problems.say(value.span, || {
                        format!("`{}` is a word of quotas, and cannot be a value", value.value)
                    });
                }
                only(!ip, list.span, "`values` are of texts", problems);
            }
            let known = attributes.get(name.as_str()).is_some_and(|known| known.kind.is_some());
            if !known {
                continue;
            }
            for prefix in [attribute.ipv4_prefix.span, attribute.ipv6_prefix.span] {
                let given = prefix != Span::default();
                only(!given || ip, prefix, "a prefix is of `kind = \"ip\"`", problems);
            }
            if let Some(hops) = &attribute.trusted_hops {
                let list = attribute.forwarded.is_some();
                only(list, hops.span, "`trusted_hops` goes with `forwarded`", problems);
            }
            let Some(from) = &attribute.forwarded else { continue };
            only(ip, from.span, "`forwarded` is of `kind = \"ip\"`", problems);
            if attribute.trusted_hops.is_none() {
                problems.miss(from.span, || {
                    Said::from("`trusted_hops` is missing").hint(
                        "how many entries at the end of the list were written by our own proxies",
                    )
                });
            }
            attribute_name(from, problems);
            let another = attributes.get(from.as_str()).is_some_and(|a| a.kind == Some(Kind::Ip));
            only(
                from.value != name.value && !another,
                from.span,
                "a forwarded-for list is a text, not an address",
                problems,
            );
            lists.push(from.as_str());
        }
        for list in lists {
            let text = Declared { kind: Some(Kind::Text), values: Values::Any };
            attributes.entry(list).or_insert(text);
        }
        // A list's attribute is declared by an attribute that goes by it.
        let are_more = document.has_strays
            || document.attribute.is_given() && document.attribute.is_empty()
            || document.attribute.iter().any(|(_, attribute)| {
                let forwarded = attribute.forwarded.as_ref();
                attribute.has_strays || forwarded.is_some_and(|from| problems.within(from.span))
            });
        Self { attributes, are_more }
    }

    fn declared(&self, name: &Name) -> Option<&Declared<'d>> {
        match name {
            Name::Attribute(name) => self.attributes.get(name.as_str()),
            _ => None,
        }
    }

    /// Whether there is what the name means, where these are the routes.
    fn name(&self, name: &At<Name>, routes: &Routes<'_>, problems: &mut Problems<'_>) {
        match &name.value {
            Name::Parameter(parameter) => routes.parameter(parameter, name.span, problems),
            Name::Attribute(attribute) => self.attribute(attribute, name.span, problems),
            Name::Method | Name::Host | Name::Path | Name::Route => {}
        }
    }

    /// Whether the name is known before any route is. What a route says of a path is
    /// compared by routes: left out here, it would hold for everybody.
    fn known_before(
        &self,
        name: &At<Name>,
        what: &str,
        hint: &'static str,
        problems: &mut Problems<'_>,
    ) {
        match &name.value {
            Name::Attribute(attribute) => self.attribute(attribute, name.span, problems),
            Name::Method | Name::Host | Name::Path => {}
            Name::Route => problems.say(name.span, || {
                Said::from(format!("{what} is not by the route that matches")).hint(hint)
            }),
            Name::Parameter(_) => problems.say(name.span, || {
                Said::from(format!("{what} is not by a parameter of the route")).hint(hint)
            }),
        }
    }

    fn attribute(&self, name: &str, span: Span, problems: &mut Problems<'_>) {
        if !self.are_more && !self.attributes.contains_key(name) {
            problems.say(span, || {
                let known = self.attributes.keys().copied().chain(Name::BUILT_IN);
                let hint = did_you_mean(name, known);
                let name_of_it = if plain(name) { name } else { "NAME" };
                let hint =
                    hint.unwrap_or_else(|| format!("declare it: `[attribute.{name_of_it}]`"));
                Said::from(format!("no attribute is called `{}`", shown(name))).hint(hint)
            });
        }
    }

    pub(super) fn key(&self, key: &List<Name>, routes: &Routes<'_>, problems: &mut Problems<'_>) {
        for name in key.iter() {
            self.name(name, routes, problems);
        }
        once(key, |name| name, problems);
    }

    pub(super) fn conditions(&self, conditions: &Conditions, problems: &mut Problems<'_>) {
        for (name, condition) in conditions.iter() {
            let hint = "write what it should be into `routes`, such as `/users/me`: \
                        that goes before `/users/{id}`";
            self.known_before(name, "a condition", hint, problems);
            let Condition::OneOf(list) = &condition.value else {
                if matches!(name.value, Name::Method | Name::Path) {
                    problems.say(
                        condition.span,
                        || "every request has one: expected a text or a list of texts",
                    );
                }
                continue;
            };
            let list = At::new(list.clone(), condition.span.start..condition.span.end);
            not_empty(&list, "no value is allowed", problems);
            once(&list, String::as_str, problems);
            let Some(declared) = self.declared(name) else { continue };
            if declared.kind == Some(Kind::Ip) {
                problems.say(condition.span, || {
                    Said::from("an address is there or not: expected true or false")
                        .hint("`networks` of `[[refuse]]` and `[[exempt]]` compare addresses")
                });
            }
            for value in list.iter() {
                declared.value(value, problems);
            }
        }
    }

    pub(super) fn networks(&self, networks: &Named<String, Networks>, problems: &mut Problems<'_>) {
        for (name, networks) in networks.iter() {
            self.attribute(name, name.span, problems);
            let declared = self.attributes.get(name.as_str());
            if declared.and_then(|a| a.kind).is_some_and(|kind| kind != Kind::Ip) {
                problems
                    .say(name.span, || format!("`{}` is no address: `kind = \"ip\"`", shown(name)));
            }
            let span = networks.span.start..networks.span.end;
            let list = At::new(networks.0.clone(), span);
            not_empty(&list, "no network is meant", problems);
        }
    }

    /// Whether `quota` of the limit has something for each value that can come.
    pub(super) fn quota(&self, limit: &Limit, problems: &mut Problems<'_>) {
        let quota = &limit.quota;
        let Some(by) = &quota.by else { return };
        self.table(quota, by, problems);
        let conditions = limit.when.iter().chain(limit.unless.iter());
        let mut spans = conditions.flat_map(|(name, value)| [name.span, value.span]);
        let wrong = limit.has_strays
            || problems.within(by.span)
            || quota.each.iter().any(|(value, _)| problems.within(value.span))
            || spans.any(|span| problems.within(span));
        if quota.otherwise.is_some() || wrong {
            return;
        }
        let listed_in = |conditions: &Conditions| -> Option<BTreeSet<String>> {
            let (_, condition) = conditions.iter().find(|(name, _)| name.value == by.value)?;
            match &condition.value {
                Condition::OneOf(list) => Some(list.iter().map(|v| v.value.clone()).collect()),
                Condition::Present(_) => None,
            }
        };
        let (when, unless) = (listed_in(&limit.when), listed_in(&limit.unless));
        let values: Vec<&str> = match self.declared(by).map(|declared| &declared.values) {
            Some(Values::Listed(values)) => values.iter().copied().collect(),
            Some(Values::Wrong) => return,
            Some(Values::Any) | None => match &when {
                Some(when) => when.iter().map(String::as_str).collect(),
                None if self.declared(by).is_none() && by.built_in().is_none() => return,
                None => {
                    problems.miss(quota.span, || {
                        let hint = "or list all `values` of the attribute";
                        let hint = by.built_in().is_none().then(|| hint.to_owned());
                        Said::from("`otherwise` is missing: the quota of any other value")
                            .maybe(hint)
                    });
                    return;
                }
            },
        };
        let overrides =
            limit.overrides.iter().filter(|o| o.by.as_ref().is_some_and(|o| o.value == by.value));
        let each = quota.each.iter().chain(overrides.flat_map(|overrides| overrides.each.iter()));
        let covered: BTreeSet<&str> = each.map(|(name, _)| name.as_str()).collect();
        let open = values.iter().copied().filter(|value| {
            when.as_ref().is_none_or(|when| when.contains(*value))
                && !unless.as_ref().is_some_and(|unless| unless.contains(*value))
                && !covered.contains(value)
        });
        let open: Vec<&str> = open.collect();
        if !open.is_empty() {
            problems.miss(quota.span, || {
                Said::from(format!("there is no quota for {}", listed(open)))
                    .hint("or say `otherwise`")
            });
        }
    }

    pub(super) fn overrides(&self, overrides: &At<Quotas>, problems: &mut Problems<'_>) {
        if let Some(by) = &overrides.by {
            self.table(overrides, by, problems);
        }
        if let Some(otherwise) = &overrides.otherwise {
            let what = "overrides are of single values; all others have `quota`";
            problems.say(otherwise.span, || {
                Said::from(what).hint("overrides = { by = \"customer\", acme = \"50/min\" }")
            });
        }
    }

    fn table(&self, quotas: &Quotas, by: &At<Name>, problems: &mut Problems<'_>) {
        let hint = "give each route a limit of its own, in one `group`";
        self.known_before(by, "a table of quotas", hint, problems);
        // Two spellings of one method, host or path.
        let mut seen = BTreeMap::new();
        for (value, _) in quotas.each.iter() {
            if let Some(first) = seen.insert(value.as_str(), value.span) {
                let line = problems.line(first);
                problems.say(value.span, || format!("this is in the table twice, also in {line}"));
            }
        }
        if let Some(declared) = self.declared(by) {
            only(
                declared.kind != Some(Kind::Ip),
                by.span,
                "quotas are by the values of a text, not by addresses",
                problems,
            );
            let entries: &[(At<String>, At<Given>)] = &quotas.each;
            for (value, _) in entries {
                declared.value(value, problems);
            }
        }
    }
}

impl Declared<'_> {
    fn value(&self, value: &At<String>, problems: &mut Problems<'_>) {
        let Values::Listed(values) = &self.values else { return };
        if !values.contains(value.as_str()) {
            problems.say(value.span, || {
                let hint = did_you_mean(value, values.iter().copied());
                let known = listed(values.iter().copied());
                Said::from(format!("`{}` is none of its values: {known}", shown(value))).maybe(hint)
            });
        }
    }
}

/// Whether it needs no quotes as a key, and is short.
fn plain(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..40).contains(&name.len()) && name.bytes().all(fine)
}

/// An attribute's name: anything that can be told from what is built in.
fn attribute_name(name: &At<String>, problems: &mut Problems<'_>) {
    if !matches!(Name::from(name.as_str()), Name::Attribute(_)) {
        problems.say(name.span, || format!("`{}` is built in", shown(name)));
    }
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(fine) {
        problems.say(name.span, || {
            format!("an attribute's name has letters, digits, _, - and ., not `{}`", shown(name))
        });
    }
}

/// The parameters that the routes of a limit have.
pub(super) struct Routes<'d> {
    list: &'d [At<Place>],
    having: BTreeMap<&'d str, usize>,
    known: Known,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    All,
    /// Something is wrong with them, which was reported.
    Wrong,
    /// There is no one route of which a parameter could be.
    None,
}

impl<'d> Routes<'d> {
    pub(super) fn of(routes: Option<&'d At<List<Place>>>, problems: &mut Problems<'_>) -> Self {
        let mut having = BTreeMap::new();
        let Some(list) = routes else {
            return Self { list: &[], having, known: Known::All };
        };
        not_empty(list, "no request is meant: leave it out to mean every request", problems);
        once(list, |place| place.text.as_str(), problems);
        for (name, _) in
            list.iter().filter_map(|place| place.route.as_ref()).flat_map(Route::parameters)
        {
            *having.entry(name).or_insert(0) += 1;
        }
        let known = if problems.within(list.span) { Known::Wrong } else { Known::All };
        Self { list, having, known }
    }

    /// For keys that are of no route.
    pub(super) fn none() -> Self {
        Self { list: &[], having: BTreeMap::new(), known: Known::None }
    }

    fn parameter(&self, name: &str, span: Span, problems: &mut Problems<'_>) {
        if self.known == Known::Wrong {
            return;
        }
        if self.known == Known::None {
            problems.say(span, || "a penalty is of no route, and so has no `path.NAME`");
            return;
        }
        let having = self.having.get(name).copied().unwrap_or_default();
        if having > 0 && having == self.list.len() {
            return;
        }
        let has = |route: &Route| route.parameters().any(|(known, _)| known == name);
        let without = self.list.iter().find(|place| !place.route.as_ref().is_some_and(has));
        let line = without.map(|route| problems.line(route.span));
        problems.say(span, || {
            let shown = shown(name);
            let known = self.having.keys().copied();
            let hint = did_you_mean(name, known).filter(|_| having == 0);
            Said::from(match line {
                Some(line) => format!("the route in {line} has no `{{{shown}}}`"),
                None => format!("there are no `routes`, and so there is no `{{{shown}}}`"),
            })
            .maybe(hint)
        });
    }
}

/// Notes a list without anything in it.
pub(super) fn not_empty<T>(list: &At<List<T>>, means: &str, problems: &mut Problems<'_>) {
    if list.is_given() && list.is_empty() {
        problems.say(list.span, || format!("an empty list: {means}"));
    }
}

/// Notes what a list has twice.
pub(super) fn once<'l, T, K: Ord>(
    list: &'l List<T>,
    key: impl Fn(&'l T) -> K,
    problems: &mut Problems<'_>,
) {
    let mut seen = BTreeMap::new();
    for entry in list.iter() {
        match seen.get(&key(&entry.value)) {
            Some(first) => {
                let line = problems.line(*first);
                problems.say(entry.span, || format!("this is in the list twice, also in {line}"));
            }
            None => {
                seen.insert(key(&entry.value), entry.span);
            }
        }
    }
}

fn only(fits: bool, span: Span, why: &'static str, problems: &mut Problems<'_>) {
    if !fits {
        problems.say(span, || why);
    }
}
