//! So many units in each window of the calendar: a minute, a day, a month.
//!
//! No calendar is kept here. The window that contains `now` comes with each question,
//! in ticks of the wall clock since the table's epoch.
#![cfg_attr(not(feature = "policy"), allow(dead_code))] // only policies use it

use super::Verdict;
use crate::{
    decision::{Decision, Outcome},
    time::{SLACK, TICKS_PER_NANO, last_now},
};

const SECOND: u64 = 1_000_000_000 * TICKS_PER_NANO;
const DAY: u64 = 86_400 * SECOND;

/// What a window is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Minute,
    Hour,
    Day,
    /// From Monday on, as ISO 8601 has it.
    Week,
    Month,
    Year,
}

impl Unit {
    /// What windows begin and end at multiples of, in seconds: clocks differ by so much
    /// from zone to zone, and change by so much.
    pub(crate) const fn grain_secs(self) -> u64 {
        match self {
            Self::Minute => 60,
            _ => 900,
        }
    }

    /// A length in ticks that no window exceeds, also where a zone changes its clocks.
    pub(crate) const fn longest(self) -> u64 {
        match self {
            Self::Minute => 120 * SECOND,
            Self::Hour => 3 * 3600 * SECOND,
            Self::Day => 2 * DAY,
            Self::Week => 8 * DAY,
            Self::Month => 32 * DAY,
            Self::Year => 367 * DAY,
        }
    }

    /// Bits of the state word that hold units; above them is the window's end, so that
    /// in grains it lasts for as long as ticks do.
    const fn count_bits(self) -> u32 {
        match self {
            Self::Minute => 39,
            _ => 43,
        }
    }
}

const REPAIRED: u64 = 1 << 63;

/// So many units in each window of the calendar, which begins anew at its end whatever
/// was there before: up to twice the units around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    unit: Unit,
    units: u64,
    /// The window that contains the request's `now`.
    start: u64,
    end: u64,
}

/// A state word, unpacked. All zero: no unit was ever admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CalendarState {
    /// When the window ends, in grains.
    pub(crate) end: u64,
    /// Units in it.
    pub(crate) units: u64,
    /// Put here by a repair, in this window.
    pub(crate) repaired: bool,
}

impl Calendar {
    /// Windows of this unit. What is asked, and when, comes with the
    /// [numbers](Self::with_numbers).
    pub(crate) const fn new(unit: Unit) -> Self {
        Self { unit, units: 0, start: 0, end: 0 }
    }

    /// The most units that can be counted in a window of this unit.
    pub(crate) const fn max_units(unit: Unit) -> u64 {
        (1 << unit.count_bits()) - 1
    }

    /// Units of the quota, and start and end of the window that contains the request's
    /// `now`, in ticks: multiples of the grain, as the epoch must be.
    #[inline]
    pub(crate) const fn with_numbers(&self, [units, start, end]: [u64; 3]) -> Self {
        Self { unit: self.unit, units, start, end }
    }

    pub(crate) const fn numbers(&self) -> [u64; 3] {
        [self.units, self.start, self.end]
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.units
    }

    /// The last `now` that is told apart.
    pub(crate) const fn last_now(&self) -> u64 {
        last_now(self.unit.longest())
    }

    /// A length that no window of the unit exceeds.
    pub(crate) const fn longest(&self) -> u64 {
        self.unit.longest()
    }

    const fn grain(&self) -> u64 {
        self.unit.grain_secs() * SECOND
    }

    #[inline]
    pub(crate) const fn unpack(&self, word: u64) -> CalendarState {
        CalendarState {
            end: (word & !REPAIRED) >> self.unit.count_bits(),
            units: word & Self::max_units(self.unit),
            repaired: word & REPAIRED != 0,
        }
    }

    #[inline]
    pub(crate) const fn pack(&self, state: CalendarState) -> u64 {
        let repaired = if state.repaired { REPAIRED } else { 0 };
        repaired | state.end << self.unit.count_bits() | state.units
    }

    /// The end of the request's window in grains.
    #[inline]
    const fn given(&self) -> u64 {
        self.end.div_ceil(self.grain())
    }

    #[inline]
    const fn ticks(&self, grains: u64) -> u64 {
        grains.saturating_mul(self.grain())
    }

    /// From when on the slot may be another's: the end of the window, whatever was
    /// given back in it. One that was repaired waits a window more, since a charge of
    /// before the repair may have been in the window after.
    pub(crate) fn free_at(&self, state: CalendarState) -> u64 {
        let rest = if state.repaired { self.longest() } else { 0 };
        self.ticks(state.end).saturating_add(rest)
    }

    /// No honest window ends further ahead than one window after the latest time that
    /// any clock may show.
    fn is_fault(&self, state: CalendarState, latest: u64) -> bool {
        let furthest = self.end.max(latest.saturating_add(self.longest()));
        self.ticks(state.end) > furthest.saturating_add(SLACK)
    }

    /// The state as it is in the window that counts: the later of its own and the
    /// request's. A clock that was set back finds the later one still.
    #[inline]
    fn present(&self, state: CalendarState) -> CalendarState {
        if state.end >= self.given() {
            state
        } else {
            CalendarState { end: self.given(), units: 0, repaired: false }
        }
    }

    fn answer(&self, state: CalendarState, now: u64, retry: u64) -> Decision {
        let left = self.units.saturating_sub(state.units);
        let wait = self.wait(state, now);
        Decision::from_count(self.units, left, wait, wait, retry)
    }

    fn wait(&self, state: CalendarState, now: u64) -> u64 {
        self.ticks(state.end).saturating_sub(now).max(1)
    }

    /// Decides `cost` units at `now`, which lies in the given window. A stored window
    /// further ahead than any honest one is a fault.
    #[inline]
    pub(crate) fn decide(
        &self,
        state: CalendarState,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<CalendarState> {
        if self.is_fault(state, latest) {
            return Verdict::Fault;
        }
        let present = self.present(state);
        if cost == 0 {
            return Verdict::Answer(self.answer(present, now, 0));
        }
        let most = self.units.min(Self::max_units(self.unit));
        if cost > most {
            return Verdict::Answer(self.answer(present, now, Decision::NEVER));
        }
        let units = present.units.saturating_add(cost);
        if units > most {
            return Verdict::Answer(self.answer(present, now, self.wait(present, now)));
        }
        let after = CalendarState { units, ..present };
        Verdict::Charge(after, self.answer(after, now, 0))
    }

    /// What [`decide`](Self::decide) would say, with nothing to be written.
    pub(crate) fn look_ahead(
        &self,
        state: CalendarState,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<CalendarState> {
        match self.decide(state, now, latest, cost) {
            Verdict::Charge(_, decision) => Verdict::Answer(decision),
            verdict => verdict,
        }
    }

    /// Counts the window as full, if `cost` units are denied until its end.
    pub(crate) fn exhaust(
        &self,
        state: CalendarState,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<CalendarState> {
        match self.decide(state, now, latest, cost) {
            Verdict::Charge(..) => self.decide(state, now, latest, 0),
            Verdict::Answer(denied) if denied.outcome() == Outcome::Later => {
                let present = self.present(state);
                let units = present.units.max(self.units.min(Self::max_units(self.unit)));
                let after = CalendarState { units, ..present };
                let answer = self.answer(after, now, self.wait(after, now));
                if after == state {
                    Verdict::Answer(answer)
                } else {
                    Verdict::Charge(after, answer)
                }
            }
            verdict => verdict,
        }
    }

    /// Gives `cost` units back that were charged at `charged`, in the window that is
    /// both the given one and the stored one.
    pub(crate) fn give_back(
        &self,
        state: CalendarState,
        now: u64,
        latest: u64,
        cost: u64,
        charged: u64,
    ) -> Verdict<CalendarState> {
        if self.is_fault(state, latest) {
            return Verdict::Fault;
        }
        let present = self.present(state);
        let of_this = state.end == self.given() && (self.start..self.end).contains(&charged);
        let back = if of_this { cost.min(state.units) } else { 0 };
        if back == 0 {
            return Verdict::Answer(self.answer(present, now, 0));
        }
        let after = CalendarState { units: state.units.saturating_sub(back), ..state };
        Verdict::Lower(after, self.answer(after, now, 0))
    }

    /// Forgets what was charged in the window.
    pub(crate) fn forget(
        &self,
        state: CalendarState,
        now: u64,
        latest: u64,
    ) -> Verdict<CalendarState> {
        if self.is_fault(state, latest) {
            return Verdict::Fault;
        }
        let present = self.present(state);
        let after = CalendarState { units: 0, ..present };
        let answer = self.answer(after, now, 0);
        if present.units == 0 { Verdict::Answer(answer) } else { Verdict::Lower(after, answer) }
    }

    /// Decides `cost` units at `now` for a key without a state.
    ///
    /// If the given window is over by `floor`, somebody with a later clock took the
    /// key's slot, and what it held is not known: denied with as much remaining as was
    /// asked for, which nobody else is ever told. Whoever reads the clock again is in
    /// the next window.
    pub(crate) fn decide_fresh(&self, floor: u64, now: u64, cost: u64) -> Verdict<CalendarState> {
        let none = CalendarState { end: self.given(), units: 0, repaired: false };
        let most = self.units.min(Self::max_units(self.unit));
        let retry = match cost {
            0 => 0,
            _ if cost > most => Decision::NEVER,
            _ if floor > now || floor >= self.end => floor.saturating_sub(now).max(1),
            _ => {
                let after = CalendarState { units: cost, ..none };
                return Verdict::Charge(after, self.answer(after, now, 0));
            }
        };
        Verdict::Answer(self.answer(none, now, retry))
    }

    /// The state that replaces one which cannot be honest: full by any quota, in the
    /// given window.
    pub(crate) const fn full(&self) -> CalendarState {
        let units = Self::max_units(self.unit);
        CalendarState { end: self.given(), units, repaired: true }
    }

    /// What a look tells of a state that [`full`](Self::full) would replace.
    pub(crate) fn look_at_full(&self, now: u64, cost: u64) -> Decision {
        let full = self.full();
        let retry = match cost {
            0 => 0,
            _ if cost > self.units.min(Self::max_units(self.unit)) => Decision::NEVER,
            _ => self.wait(full, now),
        };
        self.answer(full, now, retry)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ALL: [Unit; 6] =
        [Unit::Minute, Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year];

    /// April 2026, by seconds since the beginning of the year.
    fn april(units: u64) -> Calendar {
        let day = |nth: u64| nth * DAY;
        Calendar::new(Unit::Month).with_numbers([units, day(90), day(120)])
    }

    #[test]
    fn a_month_of_five_hundred() {
        let calendar = april(500);
        let now = 119 * DAY;
        let Verdict::Charge(state, d) = calendar.decide_fresh(0, now, 499) else { panic!() };
        assert_eq!((d.remaining(), d.reset_after_secs()), (1, 86_400));
        let Verdict::Answer(d) = calendar.decide(state, now, now, 2) else { panic!() };
        assert_eq!((d.remaining(), d.retry_after_secs()), (1, Some(86_400)));
        let may = calendar.with_numbers([500, 120 * DAY, 151 * DAY]);
        let now = 120 * DAY;
        let Verdict::Charge(_, d) = may.decide(state, now, now, 500) else { panic!() };
        assert_eq!((d.remaining(), d.full_after().as_secs()), (0, 31 * 86_400));
    }

    /// A clock that is set back over the end of a month, by as much as is honest: the
    /// later month stays. Further, and it is a fault.
    #[test]
    fn no_credit_for_a_clock_that_is_set_back() {
        let may = april(5).with_numbers([5, 120 * DAY, 151 * DAY]);
        let Verdict::Charge(state, _) = may.decide_fresh(0, 120 * DAY, 5) else { panic!() };
        let now = 119 * DAY + 1;
        let Verdict::Answer(d) = april(5).decide(state, now, now, 1) else { panic!() };
        assert_eq!(d.remaining(), 0);
        assert_eq!(d.reset_after().as_secs(), 32 * 86_400);
        let february = april(5).with_numbers([5, 31 * DAY, 59 * DAY]);
        let now = 40 * DAY;
        assert!(matches!(february.decide(state, now, now, 1), Verdict::Fault));
        assert!(matches!(february.decide(february.full(), now, now, 1), Verdict::Answer(_)));
    }

    /// The shortest month before the longest, a day ahead of it: honest.
    #[test]
    fn windows_of_any_length_are_honest() {
        let march = april(5).with_numbers([5, 59 * DAY, 90 * DAY]);
        let now = 59 * DAY + DAY - 1;
        let Verdict::Charge(state, _) = march.decide_fresh(0, now, 5) else { panic!() };
        let february = april(5).with_numbers([5, 31 * DAY, 59 * DAY]);
        let now = 59 * DAY - 1;
        assert!(matches!(february.decide(state, now, now, 1), Verdict::Answer(_)));
    }

    #[test]
    fn the_word_holds_its_parts() {
        for unit in ALL {
            let calendar = Calendar::new(unit);
            let last = (calendar.last_now() + unit.longest()).div_ceil(calendar.grain());
            for end in [0, 1, last] {
                for units in [0, 1, Calendar::max_units(unit)] {
                    for repaired in [false, true] {
                        let state = CalendarState { end, units, repaired };
                        let word = calendar.pack(state);
                        assert_eq!(calendar.unpack(word), state);
                        assert!(word << 1 < 0x7F << 57 && word < 0xFF << 56);
                    }
                }
            }
        }
    }

    /// More than a word can count is never let in, and never counted.
    #[test]
    fn what_cannot_be_counted_does_not_pass() {
        for unit in ALL {
            let most = Calendar::max_units(unit);
            let calendar = Calendar::new(unit).with_numbers([u64::MAX, 0, 86_400 * SECOND]);
            let Verdict::Charge(state, _) = calendar.decide_fresh(0, 0, most) else { panic!() };
            assert!(matches!(calendar.decide(state, 0, 0, 1), Verdict::Answer(d) if d.is_denied()));
            let Verdict::Answer(d) = calendar.decide(state, 0, 0, most + 1) else { panic!() };
            assert_eq!(d.outcome(), Outcome::Never);
        }
    }
}
