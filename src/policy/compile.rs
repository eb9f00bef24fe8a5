//! From a file to a policy: names become numbers, quotas become tables.

use super::{
    Policy, PolicyError, PolicyFile,
    attribute::{AttributeId, Attributes, DimensionId, Kind, Names},
    file::{At, List, Named, Problems, Said, model, values},
    key::{KeyParts, Part},
    limit::{Algorithm, Keeper, Limit, Missing},
    moment::{Moment, PolicyClock},
    no_room,
    path::{Case, EncodedSlash, PathRules, TrailingSlash},
    penalty::Penalty,
    quotas::{Base, Chosen, Quotas, Table},
    route::Route,
    route_table::{Entry, RouteTable},
    rules::{Rule, Rules},
    select::{AllConditions, Conditions, Wanted},
    windows::Windows,
};
use crate::{
    algorithm::{Block, Calendar, Gcra, SlidingCounter, SlidingLog},
    headers::{Dialect, Report},
    limiter::{Blocks, BuildError, Engine, KeyHasher, LeaseLimiter, OnSaturation, Ruled, Store},
    quota::Quota,
    table::geometry::{Layout, Wide},
    time::{Nanos, ticks_of},
};
#[cfg(feature = "shared")]
use crate::{limiter::share, region::Region};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A grain of all calendar windows, before which a calendar's epoch lies by a day: who
/// runs with a wall clock a little behind is not before the beginning.
const GRAIN: u64 = 900_000_000_000;
const DAY: u64 = 86_400_000_000_000;

struct Compiler<'f> {
    /// The policy that this one replaces.
    before: Option<&'f Policy>,
    text: &'f str,
    problems: Problems<'f>,
    names: Names,
    dimensions: Names,
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
        text: file.text(),
        problems: Problems::new(&file.source),
        // Numbers that a host looked up hold on.
        names: before.map_or_else(Names::default, |before| before.names.clone()),
        dimensions: before.map_or_else(Names::default, |before| before.dimensions.clone()),
        attributes: Attributes::default(),
        conditions: AllConditions::default(),
        paths: paths(&document.path),
        clock,
        epoch,
        #[cfg(feature = "shared")]
        region: region.cloned(),
    };
    let policy = compiler.policy(document);
    let Compiler { problems, .. } = compiler;
    problems.finish()?;
    Ok(policy)
}

fn paths(paths: &model::Paths) -> PathRules {
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
                    let model::Refuse { name, routes, when, unless, networks, status } =
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
                    let model::Exempt { name, routes, when, unless, networks } = &rule.value;
                    self.rule(name, routes.as_ref(), when, unless, networks.as_ref(), None)
                })
                .collect(),
        );
        let routes: Vec<Vec<Route>> =
            document.limit.iter().map(|limit| self.routes(limit.routes.as_ref())).collect();
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
        let mut tables = Vec::new();
        let mut conflicts = Vec::new();
        for (_, members) in &groups {
            let exclude = |a, b| self.conditions.exclude(a, b);
            match RouteTable::of_group(members.iter().copied().map(entry), exclude) {
                Ok(table) => tables.push(table),
                Err(found) => conflicts.extend(found),
            }
        }
        for conflict in conflicts {
            self.conflict(document, conflict.first.limit, conflict.second.limit);
        }
        let mut limits: Vec<Limit> = Vec::new();
        for (number, limit) in document.limit.iter().enumerate() {
            let mut limit = self.limit(limit, &by_name);
            let same = limits.iter().position(|before| before.key == limit.key);
            limit.same_key = same.filter(|_| !limit.key.is_of_route()).unwrap_or(number);
            limits.push(limit);
        }
        let penalties = document.penalty.iter().filter_map(|p| self.penalty(p, &by_name)).collect();
        let dialect = self.dialect(document, &groups);
        Policy {
            name: document.name.as_ref().map_or("", |name| name.as_str()).into(),
            clock: self.clock.clone(),
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
        // More names than numbers do not fit in a file that is read.
        AttributeId(self.names.find_or_add(name).unwrap_or(u16::MAX))
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

    fn routes(&mut self, list: Option<&At<List<String>>>) -> Vec<Route> {
        let mut routes = Vec::new();
        for text in list.iter().flat_map(|list| list.iter()) {
            match Route::parse(text, self.paths) {
                Ok(route) => routes.push(route),
                Err(errors) => {
                    for error in errors {
                        self.problems.say(text.span, || format!("no route: {error}"));
                    }
                }
            }
        }
        routes
    }

    fn conditions(
        &mut self,
        when: &At<values::Conditions>,
        unless: &At<values::Conditions>,
    ) -> usize {
        let mut all = Vec::new();
        for (list, holds) in [(when, true), (unless, false)] {
            for (name, condition) in list.value.iter() {
                let values::Name::Attribute(name) = &name.value else { continue };
                let texts =
                    |list: &List<String>| list.iter().map(|text| text.as_bytes().into()).collect();
                let wanted = match (&condition.value, holds) {
                    (values::Condition::Present(present), _) if *present == holds => {
                        Wanted::Present
                    }
                    (values::Condition::Present(_), _) => Wanted::Absent,
                    (values::Condition::OneOf(values), true) => Wanted::OneOf(texts(values)),
                    (values::Condition::OneOf(values), false) => Wanted::NoneOf(texts(values)),
                };
                all.push((self.attribute_id(name), wanted));
            }
        }
        self.conditions.number(Conditions(all))
    }

    fn rule(
        &mut self,
        name: &str,
        routes: Option<&At<List<String>>>,
        when: &At<values::Conditions>,
        unless: &At<values::Conditions>,
        networks: Option<&At<Named<String, values::Networks>>>,
        status: Option<u64>,
    ) -> Rule {
        let networks = networks.iter().flat_map(|networks| networks.iter());
        let networks = networks
            .map(|(name, networks)| {
                let networks = networks.value.0.iter().map(|network| network.value.0).collect();
                (self.attribute_id(&name.value), networks)
            })
            .collect();
        Rule {
            name: name.into(),
            status: status.and_then(|status| u16::try_from(status).ok()),
            conditions: self.conditions(when, unless),
            routes: routes.map(|_| self.places(routes)),
            networks,
        }
    }

    /// Routes that are only asked whether any of them matches.
    fn places(&mut self, routes: Option<&At<List<String>>>) -> RouteTable {
        let routes = self.routes(routes);
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
            values::Name::Attribute(name) => Part::Attribute(self.attribute_id(name)),
        });
        KeyParts(parts.collect())
    }

    fn conflict(&mut self, document: &model::Document, first: usize, second: usize) {
        let (Some(first), Some(second)) = (document.limit.get(first), document.limit.get(second))
        else {
            return;
        };
        let line = self.problems.line(first.name.span);
        self.problems.say(second.name.span, || {
            Said::from(format!(
                "`{}` and `{}` ({line}) of the same group can apply to one request, and \
                 neither is more specific",
                second.name.value, first.name.value,
            ))
            .hint("give one of them another route, a condition that excludes the other's, or no group")
        });
    }

    fn limit(&mut self, limit: &At<model::Limit>, by_name: &BTreeMap<&str, usize>) -> Limit {
        let key = self.key(&limit.key);
        let cost = limit
            .cost
            .as_ref()
            .and_then(|cost| self.dimensions.find_or_add(&cost.value).map(DimensionId));
        let mut quotas = self.quotas(limit);
        let algorithm = algorithm(limit.algorithm.value);
        let before = self.before.and_then(|policy| policy.find(&limit.name));
        // By another algorithm, or of other keys, it is another limit.
        let before = before.filter(|before| before.algorithm == algorithm && before.key == key);
        let made = match before {
            Some(before) => {
                quotas.inherit(&before.quotas);
                self.kept(limit, before)
            }
            None => self.keeper(limit).map(Arc::new),
        };
        let keeper = made.unwrap_or_else(|said| {
            self.problems.say(limit.name.span, || said);
            Arc::new(Keeper::Size)
        });
        let unit = limit.unit.as_ref().or(limit.cost.as_ref());
        Limit {
            name: limit.name.as_str().into(),
            unit: unit.map_or("requests", |unit| unit.as_str()).into(),
            algorithm,
            keeper,
            key,
            same_key: 0,
            quotas,
            cost,
            missing: match &limit.missing.value {
                values::Missing::Deny => Missing::Deny,
                values::Missing::Skip => Missing::Skip,
                values::Missing::Limit(name) => {
                    by_name.get(name.as_str()).map_or(Missing::Deny, |other| Missing::Other(*other))
                }
            },
            shadow: limit.mode.value == model::Mode::Shadow,
            share: limit.share.value.0,
            charge_denied: limit.charge_denied.value,
            status: limit.status.as_ref().and_then(|status| u16::try_from(status.value.0).ok()),
            conditions: self.conditions(&limit.when, &limit.unless),
            written: written(limit),
        }
    }

    fn quotas(&mut self, limit: &model::Limit) -> Quotas {
        let ttl = limit.ttl.as_ref().map_or(0, |ttl| ticks_of(ttl.value.0));
        let algorithm = limit.algorithm.value;
        let chosen = |given: &values::Given| chosen(algorithm, given.means, ttl);
        let each = |quotas: &values::Quotas| {
            let each = quotas.each.iter();
            each.map(|(value, given)| (Box::from(value.as_bytes()), chosen(given))).collect()
        };
        let named = |compiler: &mut Self, by: &Option<At<values::Name>>| match by.as_deref() {
            Some(values::Name::Attribute(name)) => Some(compiler.attribute_id(name)),
            _ => None,
        };
        let otherwise = limit.quota.otherwise.as_ref().map(|given| chosen(given));
        let base = match named(self, &limit.quota.by) {
            Some(by) => Base::By(Table { by, values: each(&limit.quota), otherwise }),
            None => Base::One(otherwise.unwrap_or(Chosen::Unlimited)),
        };
        let overrides = limit
            .overrides
            .as_ref()
            .and_then(|overrides| named(self, &overrides.by).map(|by| (by, each(overrides))));
        Quotas::new(base, overrides)
    }

    /// The table of a limit as it was, if there is room in it for all that is new.
    fn kept(&mut self, limit: &model::Limit, before: &Limit) -> Result<Arc<Keeper>, String> {
        if matches!(*before.keeper, Keeper::Size) && before.algorithm != Algorithm::Size {
            // It was unlimited for everybody, so nothing was kept.
            return self.keeper(limit).map(Arc::new);
        }
        let overrides = limit.overrides.iter().flat_map(|overrides| overrides.all());
        let all = limit.quota.all().chain(overrides).chain(&limit.largest);
        for given in all {
            before.keeper.has_room(given.means).map_err(|why| {
                format!(
                    "`{}` cannot take over its keys: {why}; say `largest` from the beginning, \
                     or call it something else, and it begins anew",
                    limit.name.value,
                )
            })?;
        }
        if let (Keeper::Calendar { windows, .. }, Some(zone)) = (&*before.keeper, &limit.zone)
            && !windows.is_in(&zone.value.0)
        {
            return Err("a limit on the calendar keeps its zone: call it something else".to_owned());
        }
        Ok(Arc::clone(&before.keeper))
    }

    /// The table of a limit, with room for all of its quotas.
    fn keeper(&mut self, limit: &model::Limit) -> Result<Keeper, String> {
        let overrides = limit.overrides.iter().flat_map(|overrides| overrides.all());
        let all = limit.quota.all().chain(overrides).chain(&limit.largest);
        let amounts: Vec<values::Amount> = all.map(|given| given.means).collect();
        let keys = usize::try_from(limit.capacity.value.0).unwrap_or(usize::MAX);
        let when_full = match limit.when_full.value {
            model::WhenFull::Allow => OnSaturation::Allow,
            model::WhenFull::Deny => OnSaturation::Deny,
        };
        let rates: Vec<Quota> = amounts
            .iter()
            .filter_map(|amount| match amount {
                values::Amount::Rate(quota) => Some(*quota),
                _ => None,
            })
            .collect();
        let epoch = self.epoch.monotonic();
        let name = &table_name(limit);
        match limit.algorithm.value {
            model::Algorithm::Gcra => {
                self.rated::<Gcra>(name, &rates, keys, epoch, when_full, Keeper::Gcra)
            }
            model::Algorithm::SlidingLog => {
                self.rated::<SlidingLog>(name, &rates, keys, epoch, when_full, Keeper::SlidingLog)
            }
            model::Algorithm::SlidingCounter => {
                let keeper = Keeper::SlidingCounter;
                self.rated::<SlidingCounter>(name, &rates, keys, epoch, when_full, keeper)
            }
            model::Algorithm::Size => Ok(Keeper::Size),
            model::Algorithm::Leases => {
                let most = amounts.iter().filter_map(|amount| match amount {
                    values::Amount::Count(n) => Some(*n),
                    _ => None,
                });
                let Some(most) = most.max() else { return Ok(Keeper::Size) };
                let ttl = limit.ttl.as_ref().map_or(Duration::ZERO, |ttl| ttl.value.0);
                let leases = LeaseLimiter::at_most(most, ttl)
                    .capacity(keys)
                    .on_saturation(when_full)
                    .clock(self.clock.clone())
                    .epoch(epoch);
                #[cfg(feature = "shared")]
                if let Some(region) = &self.region {
                    let leases = leases.try_build_in(region, name);
                    return leases.map(Keeper::Leases).map_err(|error| error.to_string());
                }
                leases.try_build().map(Keeper::Leases).map_err(no_room)
            }
            model::Algorithm::Calendar => {
                let unit = amounts.iter().find_map(|amount| match amount {
                    values::Amount::Calendar(_, unit) => Some(*unit),
                    _ => None,
                });
                let Some(unit) = unit else { return Ok(Keeper::Size) };
                let wall = self.epoch.wall().as_u64().saturating_sub(DAY);
                let epoch = Nanos::new(wall / GRAIN * GRAIN);
                let zone = limit.zone.as_ref().map(|zone| zone.value.0.clone());
                let windows = Windows::new(unit, zone.unwrap_or(jiff::tz::TimeZone::UTC));
                let store = self.store(name, Calendar::new(unit), keys, epoch, when_full)?;
                Ok(Keeper::Calendar { store, windows })
            }
        }
    }

    fn penalty(
        &mut self,
        penalty: &At<model::Penalty>,
        by_name: &BTreeMap<&str, usize>,
    ) -> Option<Penalty> {
        let keys = usize::try_from(penalty.capacity.value.0).unwrap_or(usize::MAX);
        let epoch = self.epoch.monotonic();
        let lengths: Vec<u64> = penalty
            .blocks
            .iter()
            .map(|block| match block.value {
                values::Block::For(span) => ticks_of(span.0),
                values::Block::UntilLifted => u64::MAX,
            })
            .collect();
        let quota = Quota::new(penalty.denials.value.0, penalty.within.value.0)
            .map_err(|error| error.to_string());
        let denials = quota.and_then(|quota| {
            let rule = SlidingLog::build(&quota, &[], None).map_err(no_room)?;
            let (denials, within) = (penalty.denials.value.0, penalty.within.value.0);
            let name = format!(
                "penalty {} counts {denials} in {within:?} [{}]",
                penalty.name.as_str(),
                spelled(&penalty.key)
            );
            // Who has no room there is not counted.
            self.store(&name, rule, keys, epoch, OnSaturation::Allow)
        });
        let said = "these blocks are too many or too long, or there is no memory".to_owned();
        let blocks = match Block::new(&lengths, ticks_of(penalty.decay.value.0)) {
            Some(rule) => Ok((rule, said)),
            None => Err(said),
        };
        let before = self.before.and_then(|policy| policy.penalty(&penalty.name));
        let key = self.key(&penalty.key);
        let blocks = match before.filter(|before| before.key == key) {
            // Blocks that hold go on.
            Some(before) => blocks.map(|(rule, _)| before.blocks.by(rule)),
            None => blocks.and_then(|(rule, said)| {
                #[cfg(feature = "shared")]
                if let Some(region) = &self.region {
                    let name = format!(
                        "penalty {} blocks [{}]",
                        penalty.name.as_str(),
                        spelled(&penalty.key)
                    );
                    let blocks = share::blocks_in(region, &name, rule, keys, epoch);
                    return blocks.map_err(|error| error.to_string());
                }
                Blocks::try_new(rule, keys, epoch).ok_or(said)
            }),
        };
        let (denials, blocks) = match (denials, blocks) {
            (Ok(denials), Ok(blocks)) => (denials, blocks),
            (denials, blocks) => {
                for said in [denials.err(), blocks.err()].into_iter().flatten() {
                    self.problems.say(penalty.name.span, || said);
                }
                return None;
            }
        };
        let covers = penalty.covers.as_ref();
        Some(Penalty {
            name: penalty.name.as_str().into(),
            key,
            counts: penalty.counts.as_ref().map(|names| {
                names.iter().filter_map(|name| by_name.get(name.as_str()).copied()).collect()
            }),
            denials,
            blocks,
            covers: covers.is_some().then(|| self.places(covers)),
            status: u16::try_from(penalty.status.value.0).unwrap_or(403),
        })
    }

    /// The file's `[response]` is the dialect's own data, but for groups, which it does
    /// not know.
    fn dialect(&mut self, document: &model::Document, groups: &[(&str, Vec<usize>)]) -> Dialect {
        let mut dialect = match response(self.text) {
            Ok(dialect) => dialect,
            Err(said) => {
                self.problems.say(document.response.span, || said);
                return Dialect::default();
            }
        };
        if let model::Report::Group(group) = &document.response.report.value {
            let members = groups.iter().find(|(name, _)| *name == group.as_str());
            let limits = members.iter().flat_map(|(_, members)| members);
            let names = limits.filter_map(|number| document.limit.get(*number));
            dialect = dialect
                .with_report(Report::Among(names.map(|limit| limit.name.value.clone()).collect()));
        }
        dialect
    }
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

/// The dialect that `[response]` describes, in the words of the file.
fn response(text: &str) -> Result<Dialect, String> {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        response: toml::Table,
    }
    let File { mut response } = toml::from_str(text).map_err(|error| error.to_string())?;
    // Groups are the policy's.
    if response.get("report").is_some_and(toml::Value::is_table) {
        response.remove("report");
    }
    response.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

fn algorithm(algorithm: model::Algorithm) -> Algorithm {
    match algorithm {
        model::Algorithm::SlidingLog => Algorithm::SlidingLog,
        model::Algorithm::Gcra => Algorithm::Gcra,
        model::Algorithm::SlidingCounter => Algorithm::SlidingCounter,
        model::Algorithm::Calendar => Algorithm::Calendar,
        model::Algorithm::Leases => Algorithm::Leases,
        model::Algorithm::Size => Algorithm::Size,
    }
}

/// The quotas of a limit as the file writes them, by their numbers.
fn written(limit: &model::Limit) -> Vec<([u64; 3], Box<str>)> {
    let ttl = limit.ttl.as_ref().map_or(0, |ttl| ticks_of(ttl.value.0));
    let overrides = limit.overrides.iter().flat_map(|overrides| overrides.all());
    let mut written = Vec::new();
    for given in limit.quota.all().chain(overrides) {
        if let Chosen::Numbers(numbers) = chosen(limit.algorithm.value, given.means, ttl)
            && !written.iter().any(|(known, _)| *known == numbers)
        {
            written.push((numbers, given.text().into()));
        }
    }
    written
}

/// The numbers that the algorithm is given at each question.
fn chosen(algorithm: model::Algorithm, amount: values::Amount, ttl: u64) -> Chosen {
    Chosen::Numbers(match amount {
        values::Amount::Unlimited => return Chosen::Unlimited,
        values::Amount::Rate(quota) => match algorithm {
            model::Algorithm::Gcra => Gcra::new(&quota, 0).numbers(),
            _ => [quota.units(), quota.period_ticks().unwrap_or(u64::MAX), 0],
        },
        values::Amount::Calendar(units, _) => [units, 0, 0],
        values::Amount::Count(n) => [n, ttl, 0],
    })
}

/// Key parts as the file writes them.
fn spelled(key: &At<List<values::Name>>) -> String {
    let parts = key.iter().map(|name| match &name.value {
        values::Name::Method => "method".to_owned(),
        values::Name::Host => "host".to_owned(),
        values::Name::Path => "path".to_owned(),
        values::Name::Route => "route".to_owned(),
        values::Name::Parameter(name) => format!("path.{name}"),
        values::Name::Attribute(name) => name.clone(),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// What a limit's table is called in a region: by another algorithm, or of other keys, it
/// is another limit.
fn table_name(limit: &model::Limit) -> String {
    let algorithm = algorithm(limit.algorithm.value).name();
    format!("limit {} {algorithm} [{}]", limit.name.as_str(), spelled(&limit.key))
}

impl Compiler<'_> {
    fn rated<A: Engine>(
        &self,
        name: &str,
        quotas: &[Quota],
        keys: usize,
        epoch: Nanos,
        when_full: OnSaturation,
        keeper: impl Fn(Store<A>) -> Keeper,
    ) -> Result<Keeper, String> {
        // All unlimited: nothing is kept.
        let Some((first, others)) = quotas.split_first() else { return Ok(Keeper::Size) };
        let rule = A::build(first, others, None).map_err(no_room)?;
        self.store(name, rule, keys, epoch, when_full).map(keeper)
    }

    #[cfg_attr(not(feature = "shared"), allow(clippy::unused_self))]
    fn store<R: Ruled>(
        &self,
        name: &str,
        rule: R,
        keys: usize,
        epoch: Nanos,
        when_full: OnSaturation,
    ) -> Result<Store<R>, String> {
        #[cfg(feature = "shared")]
        if let Some(region) = &self.region {
            let store = share::store_in(region, name, rule, keys, epoch, when_full);
            return store.map_err(|error| error.to_string());
        }
        let _ = name;
        let layout = Layout::for_keys::<Wide>(keys, rule.ring_words())
            .ok_or_else(|| no_room(BuildError::CapacityTooLarge { keys }))?;
        Store::try_new(rule, layout, epoch, when_full)
            .map_err(|_| no_room(BuildError::OutOfMemory { bytes: layout.bytes() }))
    }
}
