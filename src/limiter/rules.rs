//! The algorithms as the table's rules: what their state words mean.

use crate::{
    algorithm::{
        Calendar, CounterState, Gcra, LogState, SlidingCounter, SlidingLog, Stamps, Verdict,
    },
    decision::Decision,
    table::{
        rule::{Ask, Request, Rule, Seen, Step},
        words::Ring,
    },
    time::{SLACK, TICKS_PER_NANO, TIME_BITS},
};

/// Set in a GCRA word whose time was once lowered, until another key takes
/// the slot. States below a marked one may come back, so it rests for the
/// largest debt and [`REST`] more before it is reclaimed.
const LOWERED: u64 = 1 << TIME_BITS;
const TIME: u64 = LOWERED - 1;

/// Two seconds, twice what the clocks of two threads may differ: who lowers a state
/// may be behind who charged it, and who lowers that of the next owner behind who
/// took the slot for it.
const REST: u64 = 2_000_000_000 * TICKS_PER_NANO;

/// Word: bit 63 "lowered", bits 0..63 the theoretical arrival time in ticks.
impl Rule for Gcra {
    type Answer = Decision;

    #[inline(always)]
    fn ring_words(&self) -> usize {
        0
    }

    #[inline(always)]
    fn decide(&self, request: &Request, seen: Seen, _: Ring<'_>) -> Step<Decision> {
        let (tat, lowered) = match seen {
            Seen::Live(word) => (word & TIME, word & LOWERED),
            Seen::Fresh { floor, .. } => (floor, 0),
        };
        let Request { now, cost, latest, .. } = *request;
        let verdict = match request.ask {
            Ask::Charge => self.decide(tat, now, latest, cost),
            Ask::Reserve(wait) => self.reserve(tat, now, latest, cost, wait),
            Ask::Force => self.force(tat, now, latest, cost),
            // Whoever has no slot owes nothing that could be taken back.
            Ask::GiveBack { .. } | Ask::Forget if matches!(seen, Seen::Fresh { .. }) => {
                Verdict::Answer(self.look(tat, now))
            }
            Ask::GiveBack { charged, weight } => {
                self.give_back(tat, now, latest, cost, (charged, weight))
            }
            Ask::Forget => self.forget(tat, now, latest),
            Ask::Look => self.look_ahead(tat, now, latest, cost),
            Ask::Exhaust => match (self.exhaust(tat, now, latest, cost), seen) {
                // Denied without a slot: its `now` is behind the floor. It gets none.
                (Verdict::Charge(..), Seen::Fresh { .. }) => {
                    self.look_ahead(tat, now, latest, cost)
                }
                (verdict, _) => verdict,
            },
        };
        match verdict {
            Verdict::Charge(tat, decision) => Step::Commit(tat | lowered, decision),
            Verdict::Lower(tat, decision) => Step::Commit(tat | LOWERED, decision),
            Verdict::Answer(decision) => Step::Answer(decision),
            Verdict::Tidy(tat) => Step::Tidy(tat | lowered),
            Verdict::Fault => Step::Fault,
        }
    }

    #[inline(always)]
    fn write(&self, _: &Request, _: Seen, _: Ring<'_>) {}

    fn write_tidied(&self, _: &Request, _: u64, _: Ring<'_>) {}

    #[cold]
    fn repair(&self, request: &Request, _: u64, _: Ring<'_>, _: impl Fn() -> bool) -> u64 {
        self.full_debt(request.latest) | LOWERED
    }

    #[cold]
    fn look_at_fault(&self, request: &Request) -> Decision {
        self.look_at_full(request.latest, request.now, request.cost)
    }

    fn free_at(&self, state: u64, _: Ring<'_>) -> u64 {
        let tat = state & TIME;
        if state & LOWERED == 0 {
            tat
        } else {
            tat.saturating_add(self.largest_debt()).saturating_add(REST)
        }
    }

    fn slack(&self) -> u64 {
        SLACK
    }

    fn furthest_free(&self) -> u64 {
        // The debt itself, the rest of a lowered state, and what a clock may be off.
        self.largest_debt().saturating_mul(2).saturating_add(REST).saturating_add(SLACK)
    }
}

impl SlidingLog {
    /// Before units are dropped that had left at `request.now`.
    #[inline]
    fn tell_of_dropping(&self, request: &Request, state: LogState, ring: Ring<'_>) {
        let newest = self.newest(state, &ring);
        ring.propose(self.dropped_entry(), newest.max(request.now));
    }
}

impl Stamps for Ring<'_> {
    #[inline]
    fn stamp(&self, entry: usize) -> u64 {
        (*self).stamp(entry)
    }
}

/// Word: [`LogState`]. Ring: the stamps, and the time of the last dropping.
///
/// A request first *proposes* its stamp in the entries after the newest, then
/// commits by swapping the word. Entries that the word does not count are
/// nobody's yet, entries it counts are never overwritten ([`Verdict::Tidy`]),
/// and a proposal only ever raises an entry. So a stamp that is counted is at
/// least its request's time, whatever late proposals still arrive; it is later
/// only by as much as the clocks of two requests differ that raced for one
/// position, and later stamps admit less, never more.
///
/// *Emptied*: the kept units count as admitted at the last dropping, an entry that
/// only rises as well. To empty a log raises that entry to max(newest, now), then
/// swaps the word for one that counts all units there, those that were live among
/// them one for one: no unit leaves earlier for it. Who raised it and loses the swap
/// (or never comes to it) has told of a dropping that was none: it counts like a
/// newest stamp, of a time that a clock showed, as any proposal. In a log that was
/// emptied before, it is a counted stamp that rises, with the word as it was: units
/// leave later, for a key that was denied at that time. And who raises it late, in
/// another key's log, raises no stamp there unless that log was emptied too, by
/// then or later; so the flag is in the word and not in the entry. The word moves
/// on by a position, so that who counted by the earlier stamps fails. Positions of
/// an emptied log have no entries, hence before it takes a unit beside live ones
/// they get theirs ([`Verdict::Tidy`]): after `pos`, where nobody's are.
impl Rule for SlidingLog {
    type Answer = Decision;

    #[inline(always)]
    fn ring_words(&self) -> usize {
        self.dropped_entry() + 1
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // generations have 16 bits
    fn decide(&self, request: &Request, seen: Seen, ring: Ring<'_>) -> Step<Decision> {
        let Request { now, cost, latest, .. } = *request;
        // A log reserves nothing: see `KeyedLimiter::reserve`.
        let verdict = match (seen, request.ask) {
            (Seen::Live(word), Ask::Charge | Ask::Reserve(_) | Ask::Force) => {
                self.decide(LogState::unpack(word), &ring, now, latest, cost)
            }
            (Seen::Live(word), Ask::GiveBack { charged, .. }) => {
                let charged = Some(charged);
                self.give_back(LogState::unpack(word), &ring, now, latest, cost, charged)
            }
            (Seen::Live(word), Ask::Forget) => {
                self.give_back(LogState::unpack(word), &ring, now, latest, u64::MAX, None)
            }
            (Seen::Fresh { floor, generation }, Ask::Charge | Ask::Reserve(_) | Ask::Force) => {
                self.decide_fresh(generation as u16, floor, now, cost)
            }
            (Seen::Fresh { floor, .. }, Ask::GiveBack { .. } | Ask::Forget) => {
                self.decide_fresh(0, floor, now, 0)
            }
            (Seen::Live(word), Ask::Look) => {
                self.look_ahead(LogState::unpack(word), &ring, now, latest, cost)
            }
            (Seen::Live(word), Ask::Exhaust) => {
                self.exhaust(LogState::unpack(word), &ring, now, latest, cost)
            }
            (Seen::Fresh { floor, .. }, ask @ (Ask::Look | Ask::Exhaust)) => {
                fresh(ask, cost, |cost| self.decide_fresh(0, floor, now, cost))
            }
        };
        step(verdict, LogState::pack)
    }

    #[inline]
    fn write(&self, request: &Request, seen: Seen, ring: Ring<'_>) {
        match (request.ask, seen) {
            (Ask::GiveBack { .. } | Ask::Forget, Seen::Live(word)) => {
                let state = LogState::unpack(word);
                // Units that have left are dropped along with those taken back. In an
                // emptied log either none has left or all, and the time of their
                // dropping is the stamp of those that stay.
                if !state.emptied {
                    self.tell_of_dropping(request, state, ring);
                }
                return;
            }
            (Ask::Exhaust, Seen::Live(word)) => {
                return self.tell_of_dropping(request, LogState::unpack(word), ring);
            }
            _ => {}
        }
        let (pos, since) = match seen {
            Seen::Live(word) => {
                let state = LogState::unpack(word);
                (state.pos, self.newest(state, &ring))
            }
            Seen::Fresh { .. } => (0, request.now),
        };
        let mut stamp = since.max(request.now);
        for nth in 0..request.cost {
            stamp = ring.propose(self.entry_after(pos, nth), stamp);
        }
    }

    #[inline]
    fn write_tidied(&self, request: &Request, state: u64, ring: Ring<'_>) {
        let state = LogState::unpack(state);
        if !state.emptied {
            return self.tell_of_dropping(request, state, ring);
        }
        let mut stamp = self.newest(state, &ring);
        for nth in 0..state.len {
            stamp = ring.propose(self.entry_after(state.pos, nth), stamp);
        }
    }

    #[cold]
    fn repair(
        &self,
        request: &Request,
        state: u64,
        ring: Ring<'_>,
        unchanged: impl Fn() -> bool,
    ) -> u64 {
        ring.mend(request.latest, unchanged);
        self.full_debt(LogState::unpack(state)).pack()
    }

    #[cold]
    fn look_at_fault(&self, request: &Request) -> Decision {
        self.look_at_full(request.latest, request.now, request.cost)
    }

    fn free_at(&self, state: u64, ring: Ring<'_>) -> u64 {
        self.free_at(LogState::unpack(state), &ring)
    }

    fn slack(&self) -> u64 {
        SLACK
    }

    fn furthest_free(&self) -> u64 {
        self.room().1.saturating_add(SLACK)
    }
}

/// Word: [`CounterState`]. Ring: the units of the window before the word's, and the
/// place for the word's own once they are of the window before; each with its window's
/// number above, so that words compare by window first.
///
/// Who takes a key into the next window first *proposes* the units of the old one (by
/// fetch-max, in the place of its parity), then commits. Who fails proposes again what
/// there is then, at least as much, unless units were given back between: then the
/// entry keeps too many, and a refund is lost; never too few. A reader takes the entry
/// only for the number it looks for. An entry of that number is overwritten by one two
/// windows later, proposed by who saw the state in that window: so the reader's swap, or
/// second look, fails. Entries that are nobody's (a slot's former owner's, or of windows
/// without a successor) have another number, or the word says not to look.
///
/// *No state returns to another key*, with no mark and whatever is given back: the
/// number of a key's window never falls, and a slot is free two windows after it began
/// its last, so the next owner's is at least two higher. After a repair, the key may
/// have had honest states as late as clocks may differ, a second: in the window after
/// at most, no window being shorter. Of one key words may return, and no harm is done:
/// a decision depends on the word, the entry of the window before it, which only
/// rises, and `now`. A late proposal of a former owner is for a window before any that
/// the next one looks back to.
impl Rule for SlidingCounter {
    type Answer = Decision;

    #[inline(always)]
    fn ring_words(&self) -> usize {
        Self::RING
    }

    #[inline]
    fn decide(&self, request: &Request, seen: Seen, ring: Ring<'_>) -> Step<Decision> {
        let Request { now, cost, latest, .. } = *request;
        let verdict = match (seen, request.ask) {
            (Seen::Live(word), ask) => {
                let state = CounterState::unpack(word);
                match ask {
                    // Nothing can be reserved: see `KeyedLimiter::reserve`.
                    Ask::Charge | Ask::Reserve(_) | Ask::Force => {
                        self.decide(state, &ring, now, latest, cost)
                    }
                    Ask::GiveBack { charged, .. } => {
                        self.give_back(state, &ring, now, latest, cost, charged)
                    }
                    Ask::Forget => self.forget(state, &ring, now, latest),
                    Ask::Look => self.look_ahead(state, &ring, now, latest, cost),
                    Ask::Exhaust => self.exhaust(state, &ring, now, latest, cost),
                }
            }
            (Seen::Fresh { floor, .. }, ask) => {
                fresh(ask, cost, |cost| self.decide_fresh(floor, now, cost))
            }
        };
        step(verdict, CounterState::pack)
    }

    #[inline]
    fn write(&self, request: &Request, seen: Seen, ring: Ring<'_>) {
        // What is given back or forgotten stays in its window.
        if let (Seen::Live(word), Ask::Charge | Ask::Reserve(_) | Ask::Force | Ask::Exhaust) =
            (seen, request.ask)
        {
            let state = CounterState::unpack(word);
            if self.rolls_over(state, request.now) {
                ring.propose(CounterState::entry(state.window), state.tagged());
            }
        }
    }

    fn write_tidied(&self, _: &Request, _: u64, _: Ring<'_>) {}

    #[cold]
    fn repair(
        &self,
        request: &Request,
        _: u64,
        ring: Ring<'_>,
        unchanged: impl Fn() -> bool,
    ) -> u64 {
        let full = self.full_at(request.latest);
        // Below all that will be proposed from now on.
        ring.mend(CounterState { units: 0, ..full }.tagged(), unchanged);
        full.pack()
    }

    #[cold]
    fn look_at_fault(&self, request: &Request) -> Decision {
        self.look_at_full(request.latest, request.now, request.cost)
    }

    fn free_at(&self, state: u64, _: Ring<'_>) -> u64 {
        self.free_at(CounterState::unpack(state))
    }

    fn slack(&self) -> u64 {
        SLACK
    }

    fn furthest_free(&self) -> u64 {
        self.period().saturating_mul(2).saturating_add(SLACK)
    }
}

/// Word: end of the window, units in it, and whether a repair put them there.
///
/// *No state returns to another key*, with no mark and whatever is given back: the end
/// of a key's window never falls, the slot is free when it comes, and a new owner
/// starts only in a window that ends after the floor. A repair may lower it: from a
/// fault, or by a clock that is behind the one that charged before the fault. That
/// one's window was the next at most, and the slot rests until it is over.
impl Rule for Calendar {
    type Answer = Decision;

    #[inline(always)]
    fn ring_words(&self) -> usize {
        0
    }

    #[inline]
    fn decide(&self, request: &Request, seen: Seen, _: Ring<'_>) -> Step<Decision> {
        let Request { now, cost, latest, .. } = *request;
        let verdict = match (seen, request.ask) {
            (Seen::Live(word), ask) => {
                let state = self.unpack(word);
                match ask {
                    // Nothing can be reserved: a window's units are the window's own.
                    Ask::Charge | Ask::Reserve(_) | Ask::Force => {
                        self.decide(state, now, latest, cost)
                    }
                    Ask::GiveBack { charged, .. } => {
                        self.give_back(state, now, latest, cost, charged)
                    }
                    Ask::Forget => self.forget(state, now, latest),
                    Ask::Look => self.look_ahead(state, now, latest, cost),
                    Ask::Exhaust => self.exhaust(state, now, latest, cost),
                }
            }
            (Seen::Fresh { floor, .. }, ask) => {
                fresh(ask, cost, |cost| self.decide_fresh(floor, now, cost))
            }
        };
        step(verdict, |state| self.pack(state))
    }

    #[inline(always)]
    fn write(&self, _: &Request, _: Seen, _: Ring<'_>) {}

    fn write_tidied(&self, _: &Request, _: u64, _: Ring<'_>) {}

    #[cold]
    fn repair(&self, _: &Request, _: u64, _: Ring<'_>, _: impl Fn() -> bool) -> u64 {
        self.pack(self.full())
    }

    #[cold]
    fn look_at_fault(&self, request: &Request) -> Decision {
        self.look_at_full(request.now, request.cost)
    }

    fn free_at(&self, state: u64, _: Ring<'_>) -> u64 {
        self.free_at(self.unpack(state))
    }

    fn slack(&self) -> u64 {
        SLACK
    }

    fn furthest_free(&self) -> u64 {
        // The window itself, the rest of a repaired one, and what a clock may be off.
        self.longest().saturating_mul(2).saturating_add(SLACK)
    }
}

/// What a key without a slot is told, which nothing can be taken back from, and which
/// gets no slot to be emptied.
#[inline]
fn fresh<S>(ask: Ask, cost: u64, decide: impl Fn(u64) -> Verdict<S>) -> Verdict<S> {
    match (ask, decide(cost)) {
        (Ask::GiveBack { .. } | Ask::Forget, _) | (Ask::Exhaust, Verdict::Charge(..)) => decide(0),
        (Ask::Look, Verdict::Charge(_, decision)) => Verdict::Answer(decision),
        (_, verdict) => verdict,
    }
}

#[inline(always)]
fn step<S>(verdict: Verdict<S>, pack: impl Fn(S) -> u64) -> Step<Decision> {
    match verdict {
        Verdict::Charge(state, decision) | Verdict::Lower(state, decision) => {
            Step::Commit(pack(state), decision)
        }
        Verdict::Answer(decision) => Step::Answer(decision),
        Verdict::Tidy(state) => Step::Tidy(pack(state)),
        Verdict::Fault => Step::Fault,
    }
}
