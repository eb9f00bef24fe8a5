//! Limits and penalties: their quotas as numbers, and the tables that keep their keys.

use super::Compiler;
#[cfg(feature = "shared")]
use crate::limiter::share;
use crate::{
    algorithm::{Block, Calendar, Gcra, SlidingCounter, SlidingLog},
    limiter::{Blocks, BuildError, Engine, LeaseLimiter, OnSaturation, Ruled, Store},
    policy::{
        file::{At, List, Said, model, values},
        limit::{Algorithm, Keeper, Limit, Missing},
        no_room,
        penalty::Penalty,
        quotas::{Base, Chosen, Quotas, Table},
        windows::Windows,
    },
    quota::Quota,
    table::geometry::{Layout, Wide},
    time::{Nanos, ticks_of},
};
use jiff::tz::TimeZone;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A grain of all calendar windows, before which a calendar's epoch lies by a day: who
/// runs with a wall clock a little behind is not before the beginning.
const GRAIN: u64 = 900_000_000_000;
const DAY: u64 = 86_400_000_000_000;

impl Compiler<'_> {
    pub(super) fn limit(
        &mut self,
        limit: &At<model::Limit>,
        by_name: &BTreeMap<&str, usize>,
    ) -> Limit {
        let key = self.key(&limit.key);
        let cost = limit.cost.as_ref().map(|cost| self.dimension_id(&cost.value));
        let mut quotas = self.quotas(limit);
        let algorithm = algorithm(limit.algorithm.value);
        let before = self.before.and_then(|policy| policy.find(&limit.name));
        // By another algorithm, of other keys, or of another cost, it is another limit.
        let before = before.filter(|before| {
            before.algorithm == algorithm && before.key == key && before.cost == cost
        });
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
        let shadow = limit.mode.value == model::Mode::Shadow;
        Limit {
            name: limit.name.as_str().into(),
            unit: unit.map_or("requests", |unit| unit.as_str()).into(),
            algorithm,
            keeper,
            key,
            same_key: None,
            room: room(limit),
            quotas,
            cost,
            missing: match &limit.missing.value {
                // What binds nothing denies nobody.
                values::Missing::Deny if shadow => Missing::Skip,
                values::Missing::Deny => Missing::Deny,
                values::Missing::Skip => Missing::Skip,
                values::Missing::Limit(name) => {
                    by_name.get(name.as_str()).map_or(Missing::Deny, |other| Missing::Other(*other))
                }
            },
            shadow,
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
            Some(name) => compiler.number(name),
            None => None,
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
        let ttl = limit.ttl.is_some().then_some(ttl);
        Quotas::new(base, overrides, ttl)
    }

    /// The table of a limit as it was, if there is room in it for all that is new.
    fn kept(&mut self, limit: &At<model::Limit>, before: &Limit) -> Result<Arc<Keeper>, String> {
        if matches!(*before.keeper, Keeper::Size) && before.algorithm != Algorithm::Size {
            // It was unlimited for everybody, so nothing was kept.
            return self.keeper(limit).map(Arc::new);
        }
        let overrides = limit.overrides.iter().flat_map(|overrides| overrides.all());
        let all = limit.quota.all().chain(overrides).chain(&limit.largest);
        for given in all {
            if let Err(why) = before.keeper.has_room(given.means) {
                self.problems.say(given.span, || {
                    let name = &limit.name.value;
                    Said::from(format!("`{name}` cannot take over its keys: {why}")).hint(
                        "say `largest` from the beginning, or call it something else, and it begins anew",
                    )
                });
            }
        }
        let name = &limit.name.value;
        if room(limit) != before.room {
            self.problems.say(limit.name.span, || {
                Said::from(format!(
                    "`{name}` takes over its keys, and with them the `capacity` and `when_full` \
                     that it began with"
                ))
                .hint("leave them as they were, or call it something else, and it begins anew")
            });
        }
        if let (Keeper::Leases(leases), Some(ttl)) = (&*before.keeper, &limit.ttl)
            && ttl.value.0 > leases.longest_ttl()
        {
            self.problems.say(ttl.span, || {
                Said::from(format!(
                    "`{name}` cannot take over its keys: there is room for a `ttl` of up to {:?}",
                    leases.longest_ttl(),
                ))
                .hint("call it something else, and it begins anew")
            });
        }
        if let Keeper::Calendar { windows, .. } = &*before.keeper
            && !windows.is_in(&zone(limit))
        {
            let span = limit.zone.as_ref().map_or(limit.name.span, |zone| zone.span);
            self.problems.say(span, || {
                Said::from(format!("`{name}` takes over its keys, and with them its `zone`"))
                    .hint("call it something else, and it begins anew")
            });
        }
        Ok(Arc::clone(&before.keeper))
    }

    /// The table of a limit, with room for all of its quotas.
    fn keeper(&mut self, limit: &model::Limit) -> Result<Keeper, String> {
        let overrides = limit.overrides.iter().flat_map(|overrides| overrides.all());
        let all = limit.quota.all().chain(overrides).chain(&limit.largest);
        let amounts: Vec<values::Amount> = all.map(|given| given.means).collect();
        let keys = usize::try_from(keys(&limit.capacity, &limit.key)).unwrap_or(usize::MAX);
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
                let windows = Windows::new(unit, zone(limit));
                let store = self.store(name, Calendar::new(unit), keys, epoch, when_full)?;
                Ok(Keeper::Calendar { store, windows })
            }
        }
    }

    pub(super) fn penalty(
        &mut self,
        penalty: &At<model::Penalty>,
        by_name: &BTreeMap<&str, usize>,
    ) -> Option<Penalty> {
        let keys = usize::try_from(keys(&penalty.capacity, &penalty.key)).unwrap_or(usize::MAX);
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
        let said = "these blocks are too many or too long, or there is no memory".to_owned();
        let blocks = match Block::new(&lengths, ticks_of(penalty.decay.value.0)) {
            Some(rule) => Ok((rule, said)),
            None => Err(said),
        };
        let before = self.before.and_then(|policy| policy.penalty(&penalty.name));
        let key = self.key(&penalty.key);
        let before = before.filter(|before| before.key == key);
        let denials = quota.and_then(|quota| {
            // Denials that were counted count on, if there is room for as many in so long.
            if let Some(before) = before
                && let Ok(numbers) = before.denials.room().fit(&quota)
            {
                return Ok((Arc::clone(&before.denials), numbers));
            }
            let rule = SlidingLog::build(&quota, &[], None).map_err(no_room)?;
            let (denials, within) = (penalty.denials.value.0, penalty.within.value.0);
            let name = format!(
                "penalty {} counts {denials} in {within:?} [{}]",
                penalty.name.as_str(),
                spelled(&penalty.key)
            );
            // Who has no room there is not counted.
            let store = self.store(&name, rule, keys, epoch, OnSaturation::Allow)?;
            Ok((Arc::new(store), rule.numbers()))
        });
        let blocks = match before {
            Some(before) if before.capacity != keys => Err(format!(
                "`{}` takes over its blocks, and with them the `capacity` that it began with: \
                 leave it as it was, or call it something else, and it begins anew",
                penalty.name.value,
            )),
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
        let ((denials, quota), blocks) = match (denials, blocks) {
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
            capacity: keys,
            counts: penalty.counts.as_ref().map(|names| {
                names.iter().filter_map(|name| by_name.get(name.as_str()).copied()).collect()
            }),
            denials,
            quota,
            blocks,
            covers: covers.is_some().then(|| Self::places(covers)),
            status: u16::try_from(penalty.status.value.0).unwrap_or(403),
        })
    }
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

fn zone(limit: &model::Limit) -> TimeZone {
    limit.zone.as_ref().map_or(TimeZone::UTC, |zone| zone.value.0.clone())
}

/// How many keys there is to be room for. Where nothing tells keys apart there is one, whatever
/// the file says.
fn keys(capacity: &At<model::Capacity>, key: &List<values::Name>) -> u64 {
    if key.is_empty() { 1 } else { capacity.value.0 }
}

/// What a limit's table is made for, and cannot be given later.
fn room(limit: &model::Limit) -> (u64, model::WhenFull) {
    (keys(&limit.capacity, &limit.key), limit.when_full.value)
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

/// What a limit's table is called in a region: by another algorithm, of other keys, or of
/// another cost, it is another limit.
fn table_name(limit: &model::Limit) -> String {
    let algorithm = algorithm(limit.algorithm.value).name();
    let cost = limit.cost.as_ref().map(|cost| format!(" of {}", cost.as_str()));
    let (name, key) = (limit.name.as_str(), spelled(&limit.key));
    format!("limit {name} {algorithm} [{key}]{}", cost.unwrap_or_default())
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
