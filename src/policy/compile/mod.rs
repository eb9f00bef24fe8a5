//! From a file to a policy: names become numbers, routes and conditions what requests are
//! asked by. What is wrong with a file itself was found when it was read; what can still
//! be said is that there is no memory, or no room in the policy that it replaces.

mod limits;

use super::{
    Policy, PolicyError, PolicyFile,
    attribute::{AttributeId, Attributes, DimensionId, Kind, Names},
    file::{At, List, Named, Problems, groups::conditions, model, resolve::path_rules, values},
    key::{KeyParts, Part},
    limit::{Algorithm, Limit},
    moment::{Moment, PolicyClock},
    path::PathRules,
    route::Route,
    route_table::{Entry, RouteTable},
    rules::{Rule, Rules},
    select::{AllConditions, Conditions},
};
#[cfg(feature = "shared")]
use crate::region::Region;
use crate::{
    headers::{Dialect, Report},
    limiter::KeyHasher,
};
use std::collections::BTreeMap;

struct Compiler<'f> {
    /// The policy that this one replaces.
    before: Option<&'f Policy>,
    problems: Problems<'f>,
    names: Names,
    dimensions: Names,
    /// Whether there were more names than numbers.
    out_of_numbers: bool,
    attributes: Attributes,
    conditions: AllConditions,
    paths: PathRules,
    clock: PolicyClock,
    epoch: Moment,
    /// Where its tables are to be, if not in this process alone.
    #[cfg(feature = "shared")]
    region: Option<Region>,
}

pub(super) fn compile(
    file: &PolicyFile,
    clock: PolicyClock,
    epoch: Moment,
    before: Option<&Policy>,
) -> Result<Policy, PolicyError> {
    #[cfg(feature = "shared")]
    return compile_in(
        file,
        clock,
        epoch,
        before,
        before.and_then(|before| before.region.as_ref()),
    );
    #[cfg(not(feature = "shared"))]
    compile_in(file, clock, epoch, before)
}

pub(super) fn compile_in(
    file: &PolicyFile,
    clock: PolicyClock,
    epoch: Moment,
    before: Option<&Policy>,
    #[cfg(feature = "shared")] region: Option<&Region>,
) -> Result<Policy, PolicyError> {
    let document = &file.document;
    let mut compiler = Compiler {
        before,
        problems: Problems::new(&file.source),
        // Numbers that a host looked up hold on.
        names: before.map_or_else(Names::default, |before| before.names.for_successor()),
        dimensions: before.map_or_else(Names::default, |before| before.dimensions.for_successor()),
        out_of_numbers: false,
        attributes: Attributes::default(),
        conditions: AllConditions::default(),
        paths: path_rules(&document.path),
        clock,
        epoch,
        #[cfg(feature = "shared")]
        region: region.cloned(),
    };
    let policy = compiler.policy(document);
    let Compiler { mut problems, out_of_numbers, .. } = compiler;
    if out_of_numbers {
        let said = "no numbers are left for the names of attributes and costs, of this file and \
                    those that it replaces: a policy that replaces none has them all";
        problems.miss(document.attribute.span, || said);
    }
    problems.finish()?;
    Ok(policy)
}

impl Compiler<'_> {
    fn policy(&mut self, document: &model::Document) -> Policy {
        for (name, _) in document.attribute.iter() {
            self.attribute_id(&name.value);
        }
        for (name, attribute) in document.attribute.iter() {
            let id = self.attribute_id(&name.value);
            let kind = self.kind(&attribute.value);
            self.attributes.declare(id, kind);
        }
        let refusals = Rules(
            document
                .refuse
                .iter()
                .map(|rule| {
                    let model::Refuse { name, routes, when, unless, networks, status, .. } =
                        &rule.value;
                    let status = Some(status.value.0);
                    self.rule(name, routes.as_ref(), when, unless, networks.as_ref(), status)
                })
                .collect(),
        );
        let exemptions = Rules(
            document
                .exempt
                .iter()
                .map(|rule| {
                    let model::Exempt { name, routes, when, unless, networks, .. } = &rule.value;
                    self.rule(name, routes.as_ref(), when, unless, networks.as_ref(), None)
                })
                .collect(),
        );
        let routes: Vec<Vec<Route>> =
            document.limit.iter().map(|limit| routes(limit.routes.as_ref())).collect();
        let by_name: BTreeMap<&str, usize> =
            document.limit.iter().enumerate().map(|(n, limit)| (limit.name.as_str(), n)).collect();
        let (ungrouped, groups) = grouped(document);
        let conditions: Vec<usize> = document
            .limit
            .iter()
            .map(|limit| self.conditions(&limit.when, &limit.unless))
            .collect();
        let entry = |number: usize| {
            let conditions = conditions.get(number).copied().unwrap_or_default();
            Entry {
                limit: number,
                routes: routes.get(number).map_or(&[], Vec::as_slice),
                conditions,
                how_many: self.conditions.get(conditions).map_or(0, Conditions::len),
                fallback: document.limit.get(number).is_some_and(|limit| limit.fallback.value),
            }
        };
        let ungrouped = RouteTable::of_each(ungrouped.into_iter().map(entry));
        let tables = groups.iter();
        let tables = tables
            .map(|(_, members)| RouteTable::of_each(members.iter().copied().map(entry)))
            .collect();
        let mut limits: Vec<Limit> = Vec::new();
        for (number, limit) in document.limit.iter().enumerate() {
            let mut limit = self.limit(limit, &by_name);
            let same = limits.iter().position(|before| before.key == limit.key);
            limit.same_key = (!limit.key.is_of_route()).then(|| same.unwrap_or(number));
            limits.push(limit);
        }
        let penalties = document.penalty.iter().filter_map(|p| self.penalty(p, &by_name)).collect();
        let dialect = dialect(document, &groups);
        Policy {
            name: document.name.as_ref().map_or("", |name| name.as_str()).into(),
            clock: self.clock.clone(),
            reads_wall: limits.iter().any(|limit| limit.algorithm == Algorithm::Calendar),
            epoch: self.epoch,
            hasher: self.hasher(),
            paths: self.paths,
            names: std::mem::take(&mut self.names),
            dimensions: std::mem::take(&mut self.dimensions),
            attributes: std::mem::take(&mut self.attributes),
            conditions: std::mem::take(&mut self.conditions),
            refusals,
            exemptions,
            limits,
            ungrouped,
            groups: tables,
            routes,
            penalties,
            #[cfg(feature = "tower")]
            field_names: crate::headers::FieldNames::of(&dialect),
            dialect,
            #[cfg(feature = "shared")]
            region: self.region.clone(),
        }
    }

    fn hasher(&self) -> KeyHasher {
        #[cfg(feature = "shared")]
        if let Some(region) = &self.region {
            return KeyHasher::pinned(region.seed());
        }
        self.before.map_or_else(KeyHasher::random, |before| before.hasher.clone())
    }

    fn attribute_id(&mut self, name: &str) -> AttributeId {
        let number = self.names.find_or_add(name);
        self.out_of_numbers |= number.is_none();
        AttributeId(number.unwrap_or_default())
    }

    /// As [`attribute_id`](Self::attribute_id), of what something goes by.
    fn read(&mut self, name: &str) -> AttributeId {
        let id = self.attribute_id(name);
        self.attributes.note_read(id);
        id
    }

    fn dimension_id(&mut self, name: &str) -> DimensionId {
        let number = self.dimensions.find_or_add(name);
        self.out_of_numbers |= number.is_none();
        DimensionId(number.unwrap_or_default())
    }

    fn kind(&mut self, attribute: &model::Attribute) -> Kind {
        match attribute.kind.value {
            model::Kind::Text => Kind::Text(
                attribute
                    .values
                    .as_ref()
                    .map(|values| values.iter().map(|value| value.as_bytes().into()).collect()),
            ),
            model::Kind::Ip => {
                let list = attribute.forwarded.as_ref().map(|name| self.attribute_id(&name.value));
                let hops = attribute.trusted_hops.as_ref().map(|hops| hops.value.0);
                let hops = hops.and_then(|hops| usize::try_from(hops).ok());
                Kind::Ip {
                    v4_bits: u8::try_from(attribute.ipv4_prefix.value.0).unwrap_or(32),
                    v6_bits: u8::try_from(attribute.ipv6_prefix.value.0).unwrap_or(128),
                    forwarded: list.zip(hops),
                }
            }
        }
    }

    fn conditions(
        &mut self,
        when: &At<values::Conditions>,
        unless: &At<values::Conditions>,
    ) -> usize {
        let conditions = conditions(when, unless, |name| self.number(name));
        self.conditions.number(conditions)
    }

    /// The number of what a condition or a table of quotas goes by.
    fn number(&mut self, name: &values::Name) -> Option<AttributeId> {
        if let values::Name::Attribute(name) = name {
            return Some(self.read(name));
        }
        let id = name.built_in()?;
        self.attributes.declare_built_in(id);
        Some(id)
    }

    fn rule(
        &mut self,
        name: &str,
        routes: Option<&At<List<values::Place>>>,
        when: &At<values::Conditions>,
        unless: &At<values::Conditions>,
        networks: Option<&At<Named<String, values::Networks>>>,
        status: Option<u64>,
    ) -> Rule {
        let networks = networks.iter().flat_map(|networks| networks.iter());
        let networks = networks
            .map(|(name, networks)| {
                let networks = networks.value.0.iter().map(|network| network.value.0).collect();
                (self.read(&name.value), networks)
            })
            .collect();
        Rule {
            name: name.into(),
            status: status.and_then(|status| u16::try_from(status).ok()),
            conditions: self.conditions(when, unless),
            routes: routes.map(|_| Self::places(routes)),
            networks,
        }
    }

    /// Routes that are only asked whether any of them matches.
    fn places(list: Option<&At<List<values::Place>>>) -> RouteTable {
        let routes = routes(list);
        let entry =
            Entry { limit: 0, routes: &routes, conditions: 0, how_many: 0, fallback: false };
        RouteTable::of_each([entry])
    }

    fn key(&mut self, key: &At<List<values::Name>>) -> KeyParts {
        let parts = key.iter().map(|name| match &name.value {
            values::Name::Method => Part::Method,
            values::Name::Host => Part::Host,
            values::Name::Path => Part::Path,
            values::Name::Route => Part::Route,
            values::Name::Parameter(name) => Part::Parameter(name.as_str().into()),
            values::Name::Attribute(name) => Part::Attribute(self.read(name)),
        });
        KeyParts(parts.collect())
    }
}

/// The routes of a list.
fn routes(list: Option<&At<List<values::Place>>>) -> Vec<Route> {
    let places = list.iter().flat_map(|list| list.iter());
    places.filter_map(|place| place.route.clone()).collect()
}

/// How decisions are told. It knows no groups, but the names of limits.
fn dialect(document: &model::Document, groups: &[(&str, Vec<usize>)]) -> Dialect {
    let response = &document.response;
    let dialect = response.dialect.clone();
    let Some(group) = &response.group else { return dialect };
    let members = groups.iter().find(|(name, _)| *name == group.as_str());
    let limits = members.iter().flat_map(|(_, members)| members);
    let names = limits.filter_map(|number| document.limit.get(*number));
    dialect.with_report(Report::Among(names.map(|limit| limit.name.value.clone()).collect()))
}

/// The limits without a group, and those of each group, by their numbers.
fn grouped(document: &model::Document) -> (Vec<usize>, Vec<(&str, Vec<usize>)>) {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut ungrouped = Vec::new();
    for (number, limit) in document.limit.iter().enumerate() {
        match &limit.group {
            None => ungrouped.push(number),
            Some(group) => match groups.iter_mut().find(|(name, _)| name == &group.as_str()) {
                Some((_, members)) => members.push(number),
                None => groups.push((group, vec![number])),
            },
        }
    }
    (ungrouped, groups)
}
