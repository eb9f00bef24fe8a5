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
    attribute::{AttributeId, DimensionId},
    key::{Lacking, Part, Source},
    limit::{Keeper, Limit, Missing},
    moment::Moment,
    path::{Scratch, authority},
    quotas::Chosen,
    request::Request,
    route_table::{Matched, Question},
    select::Met,
    verdict::{AllAsked, Asked, Cause, PolicyDecision},
};
use crate::{
    decision::{Charge, Decision, Outcome},
    limiter::settle,
    table::rule::Ask,
};
use smallvec::SmallVec;
use std::{cell::RefCell, time::Duration};

thread_local! {
    /// Where paths are made normal that are not.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a limit needs, and a request lacks.
pub(super) enum Lacks {
    Part(Lacking),
    Attribute(AttributeId),
    Cost,
}

impl Policy {
    /// Decides one request at one moment.
    pub(super) fn decide(&self, request: &Request<'_>, moment: Moment) -> PolicyDecision<'_> {
        let mut decision = PolicyDecision {
            policy: self,
            moment,
            asked: AllAsked::new(),
            outcome: Outcome::Allowed,
            retry_after: None,
            cause: Cause::Limits,
            status: None,
        };
        self.with_question(request, |question| {
            self.with_built_in(request, question, |request| {
                self.decide_question(request, question, &mut decision);
            });
        });
        decision
    }

    /// What routes are asked about a request: its path is made normal.
    pub(super) fn with_question<T>(
        &self,
        request: &Request<'_>,
        run: impl FnOnce(Question<'_>) -> T,
    ) -> T {
        with_scratch(|scratch| {
            let path = self.paths.normal(request.path, scratch);
            // What the request line names is what the host's router goes by.
            let host = authority(request.path).or(request.host);
            run(Question::new(Some(request.method), host, path))
        })
    }

    fn decide_question<'p>(
        &'p self,
        request: &Request<'_>,
        question: Question<'_>,
        decision: &mut PolicyDecision<'p>,
    ) {
        let met = self.conditions.met(&self.attributes, request);
        if let Some(rule) = self.refusals.find(&self.attributes, request, question, &met) {
            decision.outcome = Outcome::Never;
            decision.cause = Cause::Refused(&rule.name);
            decision.status = rule.status;
            return;
        }
        if let Some(rule) = self.exemptions.find(&self.attributes, request, question, &met) {
            decision.cause = Cause::Exempt(&rule.name);
            return;
        }
        let apart = Source::apart(request, question);
        if !self.penalties.is_empty() && self.is_blocked(&apart, question, decision) {
            return;
        }
        for matched in self.applying(question, &met) {
            match self.prepare(request, question, matched, &decision.asked) {
                Ok(Some(asked)) => {
                    let known = decision.asked.iter_mut().find(|one| one.limit == asked.limit);
                    match known {
                        None => decision.asked.push(asked),
                        // A limit applies once, and by its own route rather than by
                        // that of one it stands in for.
                        Some(known) if asked.limit == matched.limit => *known = asked,
                        Some(_) => {}
                    }
                }
                Ok(None) => {}
                Err((limit, lacks)) => {
                    decision.outcome = Outcome::Never;
                    decision.cause = Cause::Missing {
                        limit: &limit.name,
                        attribute: self.lacking(limit, &lacks),
                    };
                    decision.status = limit.status;
                    decision.asked.clear();
                    return;
                }
            }
        }
        self.ask_all(decision);
        if !self.penalties.is_empty() && decision.is_denied() {
            self.count_denial(&apart, decision);
        }
    }

    /// The limits that apply, in the order of the file, each with the route that matched.
    pub(super) fn applying(&self, question: Question<'_>, met: &Met) -> SmallVec<[Matched; 8]> {
        let mut applying = SmallVec::new();
        self.ungrouped.each(
            question,
            |number| met.holds(number),
            // The most specific of a limit's routes comes first.
            |matched| {
                if !applying.iter().any(|known: &Matched| known.limit == matched.limit) {
                    applying.push(matched);
                }
            },
        );
        let groups = self.groups.iter();
        applying
            .extend(groups.filter_map(|group| group.find(question, |number| met.holds(number))));
        applying.sort_unstable_by_key(|matched| matched.limit);
        applying
    }

    /// Which key, quota and cost a limit is asked for: `None` where it is to be skipped.
    fn prepare(
        &self,
        request: &Request<'_>,
        question: Question<'_>,
        matched: Matched,
        before: &[Asked],
    ) -> Result<Option<Asked>, (&Limit, Lacks)> {
        let path = question.path();
        let route = self.routes.get(matched.limit).and_then(|routes| routes.get(matched.route));
        let parameter = |name: &str| route.and_then(|route| route.parameter(name, path));
        let source = Source {
            request,
            path,
            method: question.method(),
            route: matched.route,
            parameter: &parameter,
        };
        let mut number = matched.limit;
        // A circle of limits that stand in for one another is an error of the file.
        loop {
            let limit = self.limit(number);
            match (self.ask_for(number, &source, before), limit.missing) {
                (Ok(asked), _) => {
                    limit.keeper.prefetch(asked.hash);
                    return Ok(Some(asked));
                }
                (Err(_), Missing::Skip) => return Ok(None),
                (Err(lacks), Missing::Deny) => return Err((limit, lacks)),
                (Err(_), Missing::Other(other)) => number = other,
            }
        }
    }

    pub(super) fn ask_for_key(
        &self,
        number: usize,
        source: &Source<'_, '_>,
    ) -> Result<crate::table::Hash, Lacking> {
        self.limit(number).key.hash(&self.hasher, &self.attributes, source)
    }

    pub(super) fn ask_for(
        &self,
        number: usize,
        source: &Source<'_, '_>,
        before: &[Asked],
    ) -> Result<Asked, Lacks> {
        let limit = self.limit(number);
        // Of limits with the same key parts one has hashed them, most often the last.
        let same = |one: &&Asked| self.limit(one.limit).same_key == limit.same_key;
        let hash = match before.iter().rev().take(8).find(same) {
            Some(one) => one.hash,
            None => self.ask_for_key(number, source).map_err(Lacks::Part)?,
        };
        let numbers = match limit.quotas.choose(&self.attributes, source.request) {
            Ok(Chosen::Unlimited) => None,
            Ok(Chosen::Numbers(numbers)) => Some(numbers),
            Err(attribute) => return Err(Lacks::Attribute(attribute)),
        };
        let units = match limit.cost {
            None => 1,
            Some(dimension) => source.request.units(dimension).ok_or(Lacks::Cost)?,
        };
        let shadow = limit.shadow || !limit.enforces(&self.attributes, source);
        Ok(Asked {
            limit: number,
            hash,
            numbers,
            units,
            shadow,
            violated: false,
            decision: Decision::NOTHING,
            charge: None,
            lease: None,
        })
    }

    pub(super) fn lacking<'p>(&'p self, limit: &'p Limit, lacks: &Lacks) -> &'p str {
        match lacks {
            Lacks::Attribute(id) => self.attribute_name(*id),
            Lacks::Cost => limit.cost.map_or("", |dimension| self.dimension_name(dimension)),
            Lacks::Part(Lacking(nth)) => match limit.key.0.get(*nth) {
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
        // With one limit there is nothing that could have to be undone.
        if asked.len() > 1 {
            for one in asked.iter_mut() {
                self.put(Ask::Look, one, moment);
            }
        }
        let denies = |one: &Asked| one.violated && !one.shadow;
        if !asked.iter().any(denies) && self.charge_all(asked, moment) {
            return;
        }
        let mut retry = Some(Duration::ZERO);
        for one in asked.iter_mut() {
            if denies(one) {
                if self.limit(one.limit).charge_denied {
                    let said = one.decision;
                    self.put(Ask::Exhaust, one, moment);
                    // Units that came back since it said no change nothing about that.
                    if !one.violated {
                        (one.decision, one.violated) = (said, true);
                    }
                }
                // The units that nobody takes back do not make a wait.
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

    /// Charges every limit that is not in violation. If one that is enforced says no
    /// after all, those before it are given back what they were charged.
    fn charge_all(&self, asked: &mut AllAsked, moment: Moment) -> bool {
        for nth in 0..asked.len() {
            let Some(one) = asked.get_mut(nth).filter(|one| !one.violated) else { continue };
            self.charge(one, moment);
            if one.violated && !one.shadow {
                for before in asked.iter_mut().take(nth) {
                    self.give_back(before, moment);
                }
                return false;
            }
        }
        true
    }

    /// Asks a limit, and notes what it says.
    fn put(&self, ask: Ask, one: &mut Asked, moment: Moment) {
        let Some(numbers) = one.numbers else { return };
        let keeper = &self.limit(one.limit).keeper;
        one.decision = keeper.ask(ask, one.hash, numbers, one.units, moment);
        one.violated = one.decision.is_denied();
    }

    fn charge(&self, one: &mut Asked, moment: Moment) {
        let Some(numbers) = one.numbers else { return };
        let keeper = &self.limit(one.limit).keeper;
        (one.decision, one.lease) = keeper.charge(one.hash, numbers, one.units, moment);
        one.violated = one.decision.is_denied();
        // Who is charged nothing yet may be corrected, too.
        let nothing = one.units == 0 && !one.violated && one.decision.is_accounted();
        let at = keeper.time(moment).filter(|_| nothing);
        one.charge = one.decision.charge().or(at.map(|at| Charge::new(0, at)));
    }

    /// Gives back what a limit was charged, and tells how the key stands then.
    pub(super) fn give_back(&self, one: &mut Asked, moment: Moment) {
        let (charge, lease) = (one.charge.take(), one.lease.take());
        let keeper = &self.limit(one.limit).keeper;
        if let Some(lease) = lease {
            keeper.release(lease, moment);
        }
        if let Some((charge, numbers)) = charge.zip(one.numbers) {
            one.decision = back(keeper, one, numbers, charge.units(), &charge, moment);
        }
    }

    /// Ends the leases that a limit gave.
    pub(super) fn end_lease(&self, one: &mut Asked, moment: Moment) {
        if let Some(lease) = one.lease.take() {
            self.limit(one.limit).keeper.release(lease, moment);
        }
    }

    pub(super) fn settle(
        &self,
        one: &mut Asked,
        dimension: DimensionId,
        units: u64,
        moment: Moment,
    ) {
        let limit = self.limit(one.limit);
        let (Some(mut charge), Some(numbers)) = (one.charge, one.numbers) else { return };
        if limit.cost != Some(dimension) {
            return;
        }
        let keeper = &limit.keeper;
        let decision = settle(
            &mut charge,
            units,
            keeper.largest_debt(),
            |n, charge| back(keeper, one, numbers, n, charge, moment),
            |n| keeper.ask(Ask::Force, one.hash, numbers, n, moment),
        );
        one.decision = decision;
        one.charge = Some(charge);
        one.units = charge.units();
    }
}

/// Lends this thread's scratch.
fn with_scratch<T>(run: impl FnOnce(&mut Scratch) -> T) -> T {
    // A thread that is ending has none any more.
    let mut scratch = SCRATCH.try_with(RefCell::take).unwrap_or_default();
    let value = run(&mut scratch);
    let _ = SCRATCH.try_with(|place| place.replace(scratch));
    value
}

fn back(
    keeper: &Keeper,
    one: &Asked,
    numbers: [u64; 3],
    units: u64,
    charge: &Charge,
    moment: Moment,
) -> Decision {
    let charged = keeper.ticks(charge.at());
    let ask = Ask::GiveBack { charged, weight: charge.weight_of(units) };
    keeper.ask(ask, one.hash, numbers, units, moment)
}
