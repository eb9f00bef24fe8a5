//! The algorithms as the table's rules: what their state words mean.

use crate::{
    algorithm::{Gcra, LogState, SlidingLog, Stamps, Verdict},
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
        self.look(self.full_debt(request.latest), request.now)
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
        };
        match verdict {
            Verdict::Charge(state, decision) | Verdict::Lower(state, decision) => {
                Step::Commit(state.pack(), decision)
            }
            Verdict::Answer(decision) => Step::Answer(decision),
            Verdict::Tidy(state) => Step::Tidy(state.pack()),
            Verdict::Fault => Step::Fault,
        }
    }

    #[inline]
    fn write(&self, request: &Request, seen: Seen, ring: Ring<'_>) {
        if let (Ask::GiveBack { .. } | Ask::Forget, Seen::Live(word)) = (request.ask, seen) {
            // Units that have left are dropped along with those taken back.
            return self.write_tidied(request, word, ring);
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
        let newest = self.newest(LogState::unpack(state), &ring);
        ring.propose(self.dropped_entry(), newest.max(request.now));
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
        self.look_at_full(request.latest, request.now)
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
