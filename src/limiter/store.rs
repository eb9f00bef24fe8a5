//! A table and the time it counts in: what decides, once it is known which key,
//! how much and when. The limiters put a clock, names and quotas around it.

#[cfg(feature = "shared")]
use super::current::Current;
use super::{Gauges, OnSaturation, Ruled};
#[cfg(feature = "shared")]
use crate::region::Section;
#[cfg(feature = "policy")]
use crate::table::Weighed;
use crate::{
    decision::{Apart, Decision},
    table::{
        Hash, Refused, Spot, Table,
        geometry::{Layout, Wide},
        rule::{Ask, Request},
        storage::{Memory, OutOfMemory},
    },
    time::{Nanos, epoch_within, ticks},
};

/// A key's hash, and where it seems to be.
pub(crate) type Found<'a> = (Hash, Spot<'a>, Option<usize>);

/// See the module's page.
pub(crate) struct Store<R> {
    table: Table<R, Memory, Wide>,
    epoch: Nanos,
    last: u64,
    on_saturation: OnSaturation,
}

impl<R: Ruled> Store<R> {
    pub(crate) fn try_new(
        rule: R,
        layout: Layout,
        epoch: Nanos,
        on_saturation: OnSaturation,
    ) -> Result<Self, OutOfMemory> {
        let last = rule.last_now();
        let epoch = epoch_within(epoch, last);
        Ok(Self { table: Table::on_heap(rule, layout)?, epoch, last, on_saturation })
    }

    /// A store over a table of a region; `None` if that is too small.
    #[cfg(feature = "shared")]
    pub(crate) fn in_section(
        rule: R,
        layout: Layout,
        section: &Section,
        on_saturation: OnSaturation,
    ) -> Option<Self> {
        let last = rule.last_now();
        let epoch = epoch_within(Nanos::new(section.epoch()), last);
        let table = Table::in_memory(rule, layout, section.table()?)?;
        Some(Self { table, epoch, last, on_saturation })
    }

    pub(crate) fn gauges_at(&self, now: Nanos) -> Gauges {
        let sample = self.table.sample(self.ticks(now));
        Gauges { sample, saturated: self.table.saturated() }
    }

    pub(crate) const fn table(&self) -> &Table<R, Memory, Wide> {
        &self.table
    }

    /// The numbers of the quota that holds now, for who keeps them here: common to all
    /// who have the table.
    #[cfg(feature = "shared")]
    #[inline(always)]
    pub(crate) fn current(&self) -> Current<'_> {
        Current::new(self.table.spare())
    }

    /// The rule that the table was made for.
    #[inline(always)]
    pub(crate) const fn room(&self) -> &R {
        self.table.rule()
    }

    /// A reading of the clock in the table's time.
    #[inline(always)]
    pub(crate) fn ticks(&self, now: Nanos) -> u64 {
        ticks(now, self.epoch, self.last)
    }

    #[inline(always)]
    pub(crate) fn request(&self, n: u64, now: Nanos) -> Request {
        Request::new(self.ticks(now), n)
    }

    /// Where a key seems to be.
    #[inline(always)]
    pub(crate) fn look_up(&self, hash: Hash) -> Found<'_> {
        let spot = self.table.spot(hash);
        spot.prefetch();
        (hash, spot, spot.find())
    }

    /// Asks for the memory of a key's slot.
    #[cfg(feature = "policy")]
    pub(crate) fn prefetch(&self, hash: Hash) {
        self.table.spot(hash).prefetch();
    }

    /// Decides. `clock` is read where a state looks like a fault.
    #[inline(always)]
    pub(crate) fn ask(
        &self,
        rule: &R,
        (hash, spot, found): Found<'_>,
        request: Request,
        now: Nanos,
        clock: &impl Fn() -> Nanos,
    ) -> Decision {
        if let Some(decision) = self.table.hit(rule, &spot, found, &request) {
            decision
        } else {
            let Request { now, cost, ask, .. } = request;
            self.decide_anywhere(rule.numbers(), hash, found.is_some(), now, cost, ask, clock)
                .unpack()
        }
        .to(request.cost, now)
    }

    /// Weighs a charge: the decision, and what is to be made of it. `None`: that takes
    /// more than a look at where the key seems to be.
    #[inline(always)]
    #[cfg(feature = "policy")]
    pub(crate) fn weigh(
        &self,
        rule: &R,
        (_, spot, found): Found<'_>,
        n: u64,
        now: Nanos,
    ) -> Option<(Decision, Option<Weighed>)> {
        let (decision, weighed) = self.table.weigh(rule, &spot, found, &self.request(n, now))?;
        Some((decision.to(n, now), weighed))
    }

    /// Makes the charge of `n` units at `now` that was weighed: whether it was made.
    #[inline(always)]
    #[cfg(feature = "policy")]
    pub(crate) fn make(&self, rule: &R, weighed: Weighed, n: u64, now: Nanos) -> bool {
        self.table.make(rule, weighed, &self.request(n, now))
    }

    /// Takes and gives its parts by value, so that nothing need be in memory on the
    /// way of a hit, where a store delays the compare-and-swap.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)]
    fn decide_anywhere(
        &self,
        numbers: [u64; 3],
        hash: Hash,
        borne: bool,
        now: u64,
        cost: u64,
        ask: Ask,
        clock: &impl Fn() -> Nanos,
    ) -> Apart {
        // Here loops depend on what rules promise, and those of senseless numbers promise
        // nothing.
        #[cfg(feature = "shared")]
        let sane = self.room().has_room_for(numbers);
        #[cfg(not(feature = "shared"))]
        let sane = true;
        let rule = if sane { self.room().with_numbers(numbers) } else { *self.room() };
        let request = Request::new(now, cost).asking(ask);
        Apart(match self.table.decide_anywhere(&rule, hash, borne, &request) {
            Ok(decision) => decision,
            Err(refused) => self.refused(&rule, hash, request, refused, clock),
        })
    }

    #[cold]
    fn refused(
        &self,
        rule: &R,
        hash: Hash,
        request: Request,
        refused: Refused,
        clock: &impl Fn() -> Nanos,
    ) -> Decision {
        let mut refused = refused;
        if refused == Refused::Fault {
            // Is the state far ahead, or the caller's `now` far behind?
            let latest = self.ticks(clock());
            match self.table.decide_anywhere(rule, hash, true, &request.repairing(latest)) {
                Ok(decision) => return decision,
                Err(again) => refused = again,
            }
        }
        let retry = match (self.on_saturation, refused) {
            (OnSaturation::Allow, _) => 0,
            // "Never" would be untrue, and "now" too.
            (OnSaturation::Deny, Refused::Saturated { soonest }) => {
                soonest.clamp(1, Decision::NEVER - 1)
            }
            // A request that repairs meets no fault.
            (OnSaturation::Deny, Refused::Fault) => 1,
        };
        Decision::saturated(rule.limit(), retry)
    }
}
