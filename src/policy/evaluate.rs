//! One request through a policy: look at all limits, commit, undo.
//!
//! **No limit is ever passed.** Every unit is charged by the compare-and-swap of its
//! limit's own table, which admits no more than the limit; looks decide nothing.
//!
//! **A denied request leaves no trace.** If a look says no, nothing is charged. If a
//! charge says no where the look said yes, another request came between: what was
//! charged before is given back, each charge by what it weighed. While that lasts,
//! others may see it and be denied, as if this request had been allowed and refunded.

use super::{
    Policy,
    key::{Lacking, Part, Source},
    limit::{Keeper, Missing},
    moment::Moment,
    quotas::Chosen,
    request::Request,
    route::Picked,
    verdict::{AllAsked, Asked, Cause, PolicyDecision},
};
use crate::{
    decision::{Charge, Decision, Outcome},
    table::rule::Ask,
};
use std::{cell::RefCell, time::Duration};

thread_local! {
    /// Where paths are made normal that are not: grows to the longest seen.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A limit that could not be asked: an attribute is missing.
struct Unasked {
    limit: usize,
    lacks: Lacks,
}

enum Lacks {
    Part(Lacking),
    Attribute(super::attribute::AttributeId),
    Cost,
}

impl Policy {
    /// Decides one request at one moment.
    pub(super) fn decide(&self, request: &Request<'_>, moment: Moment) -> PolicyDecision<'_> {
        let mut decision = self.nothing_said(moment);
        SCRATCH.with(|scratch| {
            // Taken for as long as this lasts: nothing here decides another request.
            let mut scratch = scratch.take();
            let path = self.paths.normal(request.path, &mut scratch);
            let method = if request.method == "HEAD" { "GET" } else { request.method };
            self.decide_normal(request, method, path, &mut decision);
            SCRATCH.with(|place| place.replace(scratch));
        });
        decision
    }

    fn nothing_said(&self, moment: Moment) -> PolicyDecision<'_> {
        PolicyDecision {
            policy: self,
            moment,
            asked: AllAsked::new(),
            outcome: Outcome::Allowed,
            retry_after: None,
            cause: Cause::Limits,
            status: None,
        }
    }

    fn decide_normal<'p>(
        &'p self,
        request: &Request<'_>,
        method: &str,
        path: &str,
        decision: &mut PolicyDecision<'p>,
    ) {
        let met = self.conditions.met(&self.attributes, request);
        if let Some(rule) = self.refusals.find(self, request, method, path, &met) {
            decision.outcome = Outcome::Never;
            decision.cause = Cause::Refused(&rule.name);
            decision.status = rule.status;
            return;
        }
        if let Some(rule) = self.exemptions.find(self, request, method, path, &met) {
            decision.cause = Cause::Exempt(&rule.name);
            return;
        }
        if self.blocked(request, method, path, &met, decision) {
            return;
        }
        for group in &self.groups {
            let picked = group.routes.pick(method, request.host, path, |number| met.holds(number));
            let picked = picked.or_else(|| {
                let (limit, conditions) = group.fallback?;
                met.holds(conditions).then(|| Picked::everywhere(limit))
            });
            let Some(picked) = picked else { continue };
            let found = self.prepare(request, method, path, &picked);
            match found {
                Ok(Some(asked)) => decision.asked.push(asked),
                Ok(None) => {}
                Err(unasked) => {
                    let limit = self.limit(unasked.limit);
                    decision.outcome = Outcome::Never;
                    decision.cause = Cause::Missing {
                        limit: &limit.name,
                        attribute: self.lacking(&unasked),
                    };
                    decision.status = limit.status;
                    decision.asked.clear();
                    return;
                }
            }
        }
        self.ask_all(decision);
        if decision.is_denied() {
            self.denied(request, method, path, &met, decision);
        }
    }

    /// Which key, quota and cost a limit is asked for: `None` where it is to be skipped.
    fn prepare(
        &self,
        request: &Request<'_>,
        method: &str,
        path: &str,
        picked: &Picked<'_, '_>,
    ) -> Result<Option<Asked>, Unasked> {
        let parameter = |name: &str| picked.parameter(name);
        let source =
            Source { request, path, method, route: picked.route(), parameter: &parameter };
        let mut number = picked.limit();
        // A circle of limits that stand in for one another is an error of the file.
        loop {
            let limit = self.limit(number);
            let lacks = match self.ask_for(number, &source) {
                Ok(asked) => {
                    limit.keeper.prefetch(asked.hash);
                    return Ok(Some(asked));
                }
                Err(lacks) => lacks,
            };
            match limit.missing {
                Missing::Skip => return Ok(None),
                Missing::Deny => return Err(Unasked { limit: number, lacks }),
                Missing::Other(other) => number = other,
            }
        }
    }

    fn ask_for(&self, number: usize, source: &Source<'_, '_>) -> Result<Asked, Lacks> {
        let limit = self.limit(number);
        let hash =
            limit.key.hash(&self.hasher, &self.attributes, source).map_err(Lacks::Part)?;
        let numbers = match limit.quotas.choose(&self.attributes, source.request) {
            Ok(Chosen::Unlimited) => None,
            Ok(Chosen::Numbers(numbers)) => Some(numbers),
            Err(attribute) => return Err(Lacks::Attribute(attribute)),
        };
        let units = match limit.cost {
            None => 1,
            Some(dimension) => source.request.units(dimension).ok_or(Lacks::Cost)?,
        };
        let shadow = limit.shadow || !limit.share.takes(&limit.key, &self.attributes, source);
        Ok(Asked {
            limit: number,
            hash,
            numbers,
            units,
            shadow,
            violated: false,
            decision: Decision::NOTHING_ASKED,
            charge: None,
            lease: None,
        })
    }

    fn lacking(&self, unasked: &Unasked) -> &str {
        let limit = self.limit(unasked.limit);
        match unasked.lacks {
            Lacks::Attribute(id) => self.attribute_name(id),
            Lacks::Cost => limit.cost.map_or("", |dimension| self.dimension_name(dimension)),
            Lacks::Part(Lacking(nth)) => match limit.key.0.get(nth) {
                Some(Part::Attribute(id)) => self.attribute_name(*id),
                Some(Part::Parameter(name)) => name,
                Some(Part::Host) => "host",
                _ => "",
            },
        }
    }

    /// All or nothing.
    fn ask_all(&self, decision: &mut PolicyDecision<'_>) {
        let moment = decision.moment;
        let asked = &mut decision.asked;
        // With one limit to ask there is nothing that could have to be undone.
        if asked.len() > 1 {
            for one in asked.iter_mut() {
                self.put(Ask::Look, one, moment);
            }
        }
        if !asked.iter().any(|one| one.violated && !one.shadow) {
            let mut lost = false;
            for nth in 0..asked.len() {
                let Some(one) = asked.get_mut(nth) else { break };
                if one.violated {
                    continue;
                }
                self.charge(one, moment);
                if one.violated && !one.shadow {
                    lost = true;
                    for before in asked.iter_mut().take(nth) {
                        self.give_back(before, moment);
                    }
                    break;
                }
            }
            if !lost {
                return;
            }
        }
        let mut retry = Some(Duration::ZERO);
        for one in asked.iter_mut() {
            if one.violated && !one.shadow {
                if self.limit(one.limit).charge_denied {
                    self.put(Ask::Exhaust, one, moment);
                }
                let wait = one.decision.retry_after();
                retry = retry.zip(wait).map(|(a, b)| a.max(b));
            } else if !one.violated {
                // It was not charged: how it stands, not how it would.
                let units = std::mem::take(&mut one.units);
                self.put(Ask::Charge, one, moment);
                one.units = units;
            }
        }
        decision.outcome = if retry.is_some() { Outcome::Later } else { Outcome::Never };
        decision.retry_after = retry;
    }

    /// Asks a limit, and notes what it says.
    fn put(&self, ask: Ask, one: &mut Asked, moment: Moment) {
        let Some(numbers) = one.numbers else { return };
        let keeper = &self.limit(one.limit).keeper;
        one.decision = keeper.ask(ask, one.hash, numbers, one.units, moment);
        one.violated = one.decision.is_denied();
    }

    fn charge(&self, one: &mut Asked, moment: Moment) {
        self.put(Ask::Charge, one, moment);
        one.charge = one.decision.charge();
    }

    /// Gives back what a limit was charged, and tells how the key stands then.
    pub(super) fn give_back(&self, one: &mut Asked, moment: Moment) {
        let Some((charge, numbers)) = one.charge.take().zip(one.numbers) else { return };
        let keeper = &self.limit(one.limit).keeper;
        one.decision = back(keeper, one, numbers, charge.units(), &charge, moment);
    }

    pub(super) fn settle(
        &self,
        one: &mut Asked,
        dimension: super::attribute::DimensionId,
        units: u64,
        moment: Moment,
    ) {
        let limit = self.limit(one.limit);
        let (Some(mut charge), Some(numbers)) = (one.charge, one.numbers) else { return };
        if limit.cost != Some(dimension) {
            return;
        }
        let keeper = &limit.keeper;
        one.decision = crate::limiter::settle(
            &mut charge,
            units,
            keeper.largest_debt(),
            |n, charge| back(keeper, one, numbers, n, charge, moment),
            |n| keeper.ask(Ask::Force, one.hash, numbers, n, moment),
        );
        one.charge = Some(charge);
        one.units = charge.units();
    }
}

fn back(
    keeper: &Keeper,
    one: &Asked,
    numbers: [u64; 3],
    units: u64,
    charge: &Charge,
    moment: Moment,
) -> Decision {
    let ask = Ask::GiveBack { charged: keeper.ticks(charge.at()), weight: charge.weight_of(units) };
    keeper.ask(ask, one.hash, numbers, units, moment)
}
