//! One request through a policy: weigh at all limits, make the charges, undo.
//!
//! **No limit is ever passed.** Every unit is charged by the compare-and-swap of its
//! limit's own table, which admits no more than the limit: that of a charge that was
//! weighed succeeds from the very state it was weighed by, or the limit is asked anew.
//!
//! **A denied request leaves no trace**, but with penalties and limits that charge denials.
//! If a limit says no when it is weighed, nothing is charged. If one says no after all where
//! a charge was to be made, another request came between: what was charged before is given
//! back, each charge by what it weighed. While that lasts, others may see it and be denied,
//! as if this request had been allowed and refunded.

use super::{
    Policy,
    attribute::{AttributeId, DimensionId},
    key::{Lacking, Part, Source},
    limit::{ALL, Keeper, Limit, Missing},
    moment::Moment,
    path::{Scratch, authority},
    quotas::Chosen,
    request::Request,
    route::Route,
    route_table::{Matched, Question},
    select::Met,
    verdict::{AllAsked, Asked, Cause, Held, PolicyDecision},
};
use crate::{
    decision::{Charge, Decision, Outcome},
    limiter::settle,
    table::{Hash, rule::Ask},
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

/// A request whose route led to a limit.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a, 'r> {
    pub(super) request: &'a Request<'r>,
    pub(super) question: Question<'a>,
    pub(super) matched: Matched,
}

/// What an answer leaves behind.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// Whether a yes is charged.
    charges: bool,
    /// Whether a no counts as a denial: by penalties, and by limits that charge it.
    counts: bool,
}

impl Manner {
    /// Who asks once, and goes away if denied.
    pub(super) const CHECK: Self = Self { charges: true, counts: true };
    /// Who waits, and asks again: not denied yet.
    pub(super) const ATTEMPT: Self = Self { charges: true, counts: false };
    /// Who only looks.
    pub(super) const PEEK: Self = Self { charges: false, counts: false };
    /// Who waited in vain: denied if it would be, and else not let in either.
    pub(super) const TURNED_AWAY: Self = Self { charges: false, counts: true };
}

/// What a limit is to be asked for.
pub(super) struct Plan {
    pub(super) hash: Hash,
    /// `None`: unlimited.
    pub(super) numbers: Option<[u64; 3]>,
    pub(super) units: u64,
    pub(super) shadow: bool,
}

impl Policy {
    /// Decides one request at one moment.
    #[inline]
    pub(super) fn decide(&self, request: &Request<'_>, moment: Moment) -> PolicyDecision<'_> {
        let mut decision = self.undecided_at(moment);
        self.fill(request, &mut decision);
        decision
    }

    /// As [`decide`](Self::decide), in any manner.
    pub(super) fn decide_in(
        &self,
        manner: Manner,
        request: &Request<'_>,
        moment: Moment,
    ) -> PolicyDecision<'_> {
        let mut decision = self.undecided_at(moment);
        self.with_question(request, |question| {
            self.with_built_in(request, question, |request| {
                self.put_question(manner, request, question, &mut decision);
            });
        });
        decision
    }

    /// As [`decide`](Self::decide), in the place of another decision, whose memory is kept.
    #[inline]
    pub(super) fn decide_into<'p>(
        &'p self,
        request: &Request<'_>,
        moment: Moment,
        decision: &mut PolicyDecision<'p>,
    ) {
        decision.asked.clear();
        decision.policy = self;
        decision.moment = moment;
        decision.outcome = Outcome::Allowed;
        decision.retry_after = None;
        decision.cause = Cause::Limits;
        decision.status = None;
        self.fill(request, decision);
    }

    /// The answer to a request that no limit applies to.
    #[inline]
    pub(super) fn undecided_at(&self, moment: Moment) -> PolicyDecision<'_> {
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

    #[inline]
    fn fill<'p>(&'p self, request: &Request<'_>, decision: &mut PolicyDecision<'p>) {
        self.with_question(request, |question| {
            self.with_built_in(request, question, |request| {
                self.decide_question(request, question, decision);
            });
        });
    }

    /// What routes are asked about a request: its path is made normal.
    pub(super) fn with_question<T>(
        &self,
        request: &Request<'_>,
        run: impl FnOnce(Question<'_>) -> T,
    ) -> T {
        // What the request line names is what the host's router goes by.
        let host = authority(request.path).or(request.host);
        match self.paths.is_normal(request.path) {
            Some(path) => run(Question::new(Some(request.method), host, path)),
            None => with_scratch(|scratch| {
                let path = self.paths.made_normal(request.path, scratch);
                run(Question::new(Some(request.method), host, path))
            }),
        }
    }

    #[inline(never)]
    fn decide_question<'p>(
        &'p self,
        request: &Request<'_>,
        question: Question<'_>,
        decision: &mut PolicyDecision<'p>,
    ) {
        self.put_question(Manner::CHECK, request, question, decision);
    }

    /// In line, so that what most ask is not asked in which manner.
    #[inline(always)]
    fn put_question<'p>(
        &'p self,
        manner: Manner,
        request: &Request<'_>,
        question: Question<'_>,
        decision: &mut PolicyDecision<'p>,
    ) {
        let met = self.conditions.met(&self.attributes, request);
        if !self.refusals.0.is_empty()
            && let Some(rule) = self.refusals.find(&self.attributes, request, question, &met)
        {
            decision.outcome = Outcome::Never;
            decision.cause = Cause::Refused(&rule.name);
            decision.status = rule.status;
            return;
        }
        if !self.exemptions.0.is_empty()
            && let Some(rule) = self.exemptions.find(&self.attributes, request, question, &met)
        {
            decision.cause = Cause::Exempt(&rule.name);
            return;
        }
        if !self.penalties.is_empty()
            && self.is_blocked(&Source::apart(request, question), question, decision)
        {
            return;
        }
        for &matched in self.applying(question, &met).as_slice() {
            let asking = Asking { request, question, matched };
            if let Err((limit, lacks)) = self.prepare(&asking, &mut decision.asked) {
                decision.outcome = Outcome::Never;
                decision.cause =
                    Cause::Missing { limit: &limit.name, attribute: self.lacking(limit, &lacks) };
                decision.status = limit.status;
                decision.asked.clear();
                return;
            }
        }
        self.ask_all(manner, decision);
        if manner.counts && !self.penalties.is_empty() && decision.is_denied() {
            self.count_denial(&Source::apart(request, question), decision);
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

    /// Notes which key, quota and cost a limit is to be asked for, unless it is to be
    /// skipped.
    #[inline]
    fn prepare(
        &self,
        asking: &Asking<'_, '_>,
        asked: &mut AllAsked,
    ) -> Result<(), (&Limit, Lacks)> {
        let matched = asking.matched;
        let mut number = matched.limit;
        // A circle of limits that stand in for one another is an error of the file.
        loop {
            let limit = self.limit(number);
            match (self.plan(number, asking, asked), limit.missing) {
                (Ok(plan), _) => {
                    limit.keeper.prefetch(plan.hash);
                    note(asked, number, &plan, number == matched.limit);
                    return Ok(());
                }
                (Err(_), Missing::Skip) => return Ok(()),
                (Err(lacks), Missing::Deny) => return Err((limit, lacks)),
                (Err(_), Missing::Other(other)) => number = other,
            }
        }
    }

    /// What parts of a limit's key come from: the request, and the route that matched.
    pub(super) fn with_source<T>(
        &self,
        asking: &Asking<'_, '_>,
        run: impl FnOnce(&Source<'_, '_>) -> T,
    ) -> T {
        let Asking { request, question, matched } = *asking;
        let path = question.path();
        let route = self.routes.get(matched.limit).and_then(|routes| routes.get(matched.route));
        run(&Source {
            request,
            path,
            method: question.method(),
            route: route.map_or("", Route::text),
            parameter: &|name| route.and_then(|route| route.parameter(name, path)),
        })
    }

    /// The key of a request by which a limit is asked, by the first of its routes that
    /// matches, whatever its conditions.
    pub(super) fn key_of(
        &self,
        number: usize,
        request: &Request<'_>,
        question: Question<'_>,
    ) -> Option<Hash> {
        let mut found = None;
        for table in self.groups.iter().chain([&self.ungrouped]) {
            let of_this = |matched: &Matched| matched.limit == number;
            table.each(
                question,
                |_| true,
                |matched| found = found.or(Some(matched).filter(of_this)),
            );
        }
        // No route of its own matches where it is asked in place of another limit.
        let matched = found.unwrap_or(Matched { limit: number, route: usize::MAX });
        let asking = Asking { request, question, matched };
        self.ask_for_key(number, &asking).ok()
    }

    fn ask_for_key(&self, number: usize, asking: &Asking<'_, '_>) -> Result<Hash, Lacking> {
        self.with_source(asking, |source| {
            self.limit(number).key.hash(&self.hasher, &self.attributes, source)
        })
    }

    #[inline]
    pub(super) fn plan(
        &self,
        number: usize,
        asking: &Asking<'_, '_>,
        before: &[Asked],
    ) -> Result<Plan, Lacks> {
        let limit = self.limit(number);
        // Of limits with the same key parts one has hashed them, most often the last.
        let same = |one: &&Asked| self.limit(one.limit).same_key == limit.same_key;
        let before = if limit.same_key.is_some() { before } else { &[] };
        let hash = if let Some(one) = before.iter().rev().take(8).find(same) {
            one.hash
        } else {
            self.ask_for_key(number, asking).map_err(Lacks::Part)?
        };
        let numbers = match limit.quotas.choose(&self.attributes, asking.request) {
            Ok(Chosen::Unlimited) => None,
            Ok(Chosen::Numbers(numbers)) => Some(numbers),
            Err(attribute) => return Err(Lacks::Attribute(attribute)),
        };
        let units = match limit.cost {
            None => 1,
            Some(dimension) => asking.request.units(dimension).ok_or(Lacks::Cost)?,
        };
        let enforced = || {
            limit.share >= ALL
                || self.with_source(asking, |source| limit.enforces(&self.attributes, source))
        };
        let shadow = limit.shadow || !enforced();
        Ok(Plan { hash, numbers, units, shadow })
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
    #[inline(always)]
    fn ask_all(&self, manner: Manner, decision: &mut PolicyDecision<'_>) {
        let moment = decision.moment;
        let asked = decision.asked.as_mut_slice();
        let denies = |one: &Asked| one.violated && !one.shadow;
        let mut says_no = false;
        // With one limit there is nothing that could have to be undone.
        if asked.len() > 1 || !manner.charges {
            for one in asked.iter_mut() {
                self.weigh(one, moment);
                says_no |= denies(one);
            }
        }
        if !says_no && manner.charges && self.charge_all(asked, moment) {
            return;
        }
        let mut retry = Some(Duration::ZERO);
        for one in asked.iter_mut() {
            if denies(one) {
                if manner.counts && self.limit(one.limit).charge_denied {
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
        if !says_no && !manner.charges {
            return;
        }
        decision.outcome = if retry.is_some() { Outcome::Later } else { Outcome::Never };
        decision.retry_after = retry;
    }

    /// Charges every limit that is not in violation. If one that is enforced says no
    /// after all, those before it are given back what they were charged.
    fn charge_all(&self, asked: &mut [Asked], moment: Moment) -> bool {
        for nth in 0..asked.len() {
            let Some(one) = asked.get_mut(nth).filter(|one| !one.violated) else { continue };
            if self.make(one, moment) {
                continue;
            }
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

    /// Notes what a limit would say to the charge, and the charge, if it is known at a
    /// glance.
    #[inline]
    fn weigh(&self, one: &mut Asked, moment: Moment) {
        let Some(numbers) = one.numbers else { return };
        let keeper = &self.limit(one.limit).keeper;
        let weighed = keeper.weigh(one.hash, numbers, one.units, moment, &mut one.decision);
        if let Some(weighed) = weighed {
            one.held = Held::Weighed(weighed);
        }
        one.violated = one.decision.is_denied();
    }

    /// Makes a charge that was weighed; whether it was made.
    #[inline]
    fn make(&self, one: &mut Asked, moment: Moment) -> bool {
        let (Held::Weighed(weighed), Some(numbers)) = (one.held, one.numbers) else {
            return false;
        };
        let keeper = &self.limit(one.limit).keeper;
        let made = keeper.make(weighed, numbers, one.units, moment);
        if made {
            one.held = Held::AsDecided;
        }
        made
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
        let lease = keeper.charge(one.hash, numbers, one.units, moment, &mut one.decision);
        one.violated = one.decision.is_denied();
        one.held = match lease {
            Some(lease) => Held::Lease(lease),
            None if one.violated => Held::Nothing,
            None => Held::AsDecided,
        };
    }

    /// What a limit was charged, if it counts units and was.
    fn charge_of(&self, one: &Asked) -> Option<Charge> {
        match one.held {
            Held::Nothing | Held::Weighed(_) | Held::Lease(_) => None,
            Held::Settled(charge) => Some(charge),
            Held::AsDecided => {
                let decision = &one.decision;
                // Who is charged nothing yet may be corrected, too.
                let nothing = one.units == 0 && decision.is_accounted();
                let counts = self.limit(one.limit).keeper.counts_units();
                let charge = nothing.then(|| Charge::new(0, decision.decided_at()));
                decision.charge().or(charge).filter(|_| counts)
            }
        }
    }

    /// Gives back what a limit was charged, and tells how the key stands then.
    pub(super) fn give_back(&self, one: &mut Asked, moment: Moment) {
        let charge = self.charge_of(one);
        self.end_lease(one, moment);
        one.held = Held::Nothing;
        let keeper = &self.limit(one.limit).keeper;
        if let Some((charge, numbers)) = charge.zip(one.numbers) {
            one.decision = back(keeper, one, numbers, charge.units(), &charge, moment);
        }
    }

    /// Ends the leases that a limit gave.
    pub(super) fn end_lease(&self, one: &mut Asked, moment: Moment) {
        if let Held::Lease(lease) = one.held {
            one.held = Held::Nothing;
            let keeper = &self.limit(one.limit).keeper;
            keeper.release(lease, moment);
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
        let (Some(mut charge), Some(numbers)) = (self.charge_of(one), one.numbers) else { return };
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
        one.held = Held::Settled(charge);
        one.units = charge.units();
    }
}

/// Notes a limit among those that are to be asked. It applies once, and by its `own`
/// route rather than by that of one it stands in for.
#[inline]
fn note(asked: &mut AllAsked, limit: usize, plan: &Plan, own: bool) {
    let one = match asked.iter().position(|one| one.limit == limit) {
        None => {
            asked.push(Asked::NEW);
            asked.last_mut()
        }
        Some(_) if !own => return,
        Some(known) => asked.get_mut(known),
    };
    // Field by field, and in place: what is put together elsewhere and moved here is read
    // back before it is written.
    let Some(one) = one else { return };
    one.limit = limit;
    one.hash = plan.hash;
    one.numbers = plan.numbers;
    one.units = plan.units;
    one.shadow = plan.shadow;
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
