//! The exact sliding log: the stamps of the last admitted units of a key.
//!
//! Admitted units have consecutive *positions*; the stamp of position p lies
//! in ring entry p mod capacity. The state word says how many positions there
//! ever were (`pos`) and how many of the newest are not dropped yet (`len`).
//! Dropped units had left the window when they were dropped; one more entry
//! holds the latest time at which any were, so that nobody whose clock is
//! behind counts without them.
//!
//! A log that was *emptied* counts its kept units as all admitted at that time of
//! the last dropping, whatever their entries say: to empty a log of a hundred
//! thousand units costs no more than to charge one.

use super::Verdict;
use crate::{
    decision::{Decision, Outcome},
    quota::Quota,
    time::{SLACK, last_now},
};

/// Bits of the state word: generation, position, length.
const LEN_BITS: u32 = 18;
const POS_BITS: u32 = 30;
const EMPTIED: u64 = 1 << 56;
const LEN_MASK: u64 = (1 << LEN_BITS) - 1;
const POS_MASK: u64 = (1 << POS_BITS) - 1;

/// The most units a window can hold: 262,143.
pub(crate) const MAX_UNITS: u64 = LEN_MASK;

/// Exact: never more than the quota's units in any window of one period.
///
/// Eight bytes for each unit, and eight more. With keys that is in each slot, of which there are
/// 1.41 for each key of the capacity: 35 bytes a key, and 11.3 more for each unit. Requests beyond
/// the limit are told when enough admitted units will have left. The log knows no burst.
///
/// ```
/// use tollgate::{Limiter, ManualClock, Nanos, SlidingLog};
///
/// let limiter: Limiter<SlidingLog, _> =
///     Limiter::sliding_log("10/min".parse()?).clock(ManualClock::new()).try_build()?;
/// // Whenever they come, and in whichever minute one looks.
/// let asked = (0..=59).flat_map(|secs| [Nanos::from_secs(secs); 10]);
/// assert_eq!(asked.filter(|now| limiter.check_at(*now).is_allowed()).count(), 10);
/// let next = limiter.peek_at(Nanos::from_secs(59));
/// assert_eq!((next.remaining(), next.next_after().as_secs()), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingLog {
    units: u64,
    window: u64,
    /// The longest window of any quota of the same limiter.
    longest: u64,
    /// The most units of any of them: the size of the ring.
    entries: u64,
    /// Where positions wrap to the second lap: a multiple of `entries`.
    wrap: u64,
}

/// The stamps of a ring, by entry.
pub(crate) trait Stamps {
    fn stamp(&self, entry: usize) -> u64;
}

/// A log's state word, unpacked. All zero: no unit was ever admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogState {
    /// Tells owners of one slot apart: the low bits of the key's generation, the
    /// others being in the position they started from.
    pub(crate) generation: u8,
    /// Positions so far, modulo `wrap`; 0 only in a log that never admitted.
    pub(crate) pos: u64,
    /// Positions kept: `pos - len .. pos`.
    pub(crate) len: u64,
    /// So many units were admitted when units were last dropped, as far as anybody
    /// is told; the entries of their positions are nobody's.
    pub(crate) emptied: bool,
}

impl LogState {
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the top byte is not the log's
    pub(crate) const fn unpack(word: u64) -> Self {
        Self {
            generation: (word >> (LEN_BITS + POS_BITS)) as u8,
            pos: (word >> LEN_BITS) & POS_MASK,
            len: word & LEN_MASK,
            emptied: word & EMPTIED != 0,
        }
    }

    #[inline]
    pub(crate) const fn pack(self) -> u64 {
        let emptied = if self.emptied { EMPTIED } else { 0 };
        emptied
            | (self.generation as u64) << (LEN_BITS + POS_BITS)
            | self.pos << LEN_BITS
            | self.len
    }
}

/// What a request is to be told, before it is known how to write it.
enum Weighed {
    /// Beside so many live units.
    Passes(u64, Decision),
    Answer(Decision),
    Fault,
}

impl SlidingLog {
    /// For a limiter with quotas of up to `most` units and `longest` ticks, or
    /// as this one if that is more. `None` if there is no room for so many, or
    /// the window is too long.
    pub(crate) fn new(quota: &Quota, most: u64, longest: u64) -> Option<Self> {
        let (units, window) = (quota.units(), quota.period_ticks()?);
        let entries = units.max(most);
        if entries > MAX_UNITS {
            return None;
        }
        let wrap = (POS_MASK / entries).checked_mul(entries)?;
        Some(Self { units, window, longest: longest.max(window), entries, wrap })
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.units
    }

    /// What differs between quotas of one limiter.
    pub(crate) const fn numbers(&self) -> [u64; 3] {
        [self.units, self.window, 0]
    }

    /// Another quota of the same limiter, by its numbers.
    #[inline]
    pub(crate) const fn with_numbers(&self, [units, window, _]: [u64; 3]) -> Self {
        Self { units, window, ..*self }
    }

    /// The most units and the longest window that any quota may have.
    pub(crate) const fn room(&self) -> (u64, u64) {
        (self.entries, self.longest)
    }

    /// The same with room for so many units and such a window; `None` if this one has more.
    #[cfg(feature = "shared")]
    pub(crate) fn with_room(self, entries: u64, longest: u64) -> Option<Self> {
        let enough = (self.entries..=MAX_UNITS).contains(&entries)
            && (self.longest..=crate::time::MAX_DEBT).contains(&longest);
        let wrap = (POS_MASK.checked_div(entries)?).checked_mul(entries)?;
        enough.then_some(Self { longest, entries, wrap, ..self })
    }

    pub(crate) const fn last_now(&self) -> u64 {
        last_now(self.longest)
    }

    /// The ring entry of the position `back` before `pos` (`1 <= back <= entries`).
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // below `entries`, which is below 2^18
    pub(crate) fn entry_before(&self, pos: u64, back: u64) -> usize {
        // `wrap` keeps the sum positive and the residue unchanged.
        (pos.wrapping_add(self.wrap).wrapping_sub(back) % self.entries) as usize
    }

    /// The ring entry that the `nth` next unit after `pos` will take.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // below `entries`, which is below 2^18
    pub(crate) fn entry_after(&self, pos: u64, nth: u64) -> usize {
        (pos.wrapping_add(nth) % self.entries) as usize
    }

    /// `pos` moved on by `n`, never to 0.
    #[inline]
    fn advance(&self, pos: u64, n: u64) -> u64 {
        let next = pos.wrapping_add(n);
        if next < self.wrap {
            next
        } else {
            next.wrapping_sub(self.wrap.wrapping_sub(self.entries))
        }
    }

    /// The entry after the stamps: when units were last dropped.
    #[allow(clippy::cast_possible_truncation)] // below 2^18
    pub(crate) const fn dropped_entry(&self) -> usize {
        self.entries as usize
    }

    /// The latest time this log knows: of the newest unit ever admitted, or of
    /// the last dropping; 0 if there was none.
    #[inline]
    pub(crate) fn newest(&self, state: LogState, ring: &impl Stamps) -> u64 {
        if state.pos == 0 {
            return 0;
        }
        let dropped = ring.stamp(self.dropped_entry());
        if state.emptied {
            return dropped;
        }
        ring.stamp(self.entry_before(state.pos, 1)).max(dropped)
    }

    /// The stamp of the kept unit `back` from the end (`1 <= back <= len`).
    #[inline]
    fn stamp_before(&self, state: LogState, ring: &impl Stamps, back: u64) -> u64 {
        let entry = self.entry_before(state.pos, back);
        ring.stamp(if state.emptied { self.dropped_entry() } else { entry })
    }

    /// When the last admitted unit leaves; 0 in a log that never admitted.
    pub(crate) fn free_at(&self, state: LogState, ring: &impl Stamps) -> u64 {
        if state.pos == 0 { 0 } else { self.newest(state, ring).saturating_add(self.longest) }
    }

    /// How many of the kept units have left at `t`.
    ///
    /// Stamps are sorted, except that a stamp may have been raised by a
    /// request that raced for the same position. The true stamps are sorted,
    /// so one that has left proves the same of all before it: a search among
    /// raised stamps can only find too few.
    #[inline]
    fn left_at(&self, state: LogState, ring: &impl Stamps, t: u64) -> u64 {
        let gone = |nth: u64| {
            let back = state.len.wrapping_sub(nth);
            self.stamp_before(state, ring, back).saturating_add(self.window) <= t
        };
        if state.len == 0 || !gone(0) {
            return 0;
        }
        let (mut gone_to, mut kept_from) = (1, state.len);
        while gone_to < kept_from {
            let mid = gone_to.midpoint(kept_from);
            if gone(mid) { gone_to = mid.saturating_add(1) } else { kept_from = mid }
        }
        gone_to
    }

    /// Decides `cost` units at `now` for a log that has been used. A stamp
    /// further ahead of `latest` than any honest one is a fault.
    #[inline]
    pub(crate) fn decide(
        &self,
        state: LogState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<LogState> {
        let (live, decision) = match self.weigh(state, ring, now, latest, cost) {
            Weighed::Passes(live, decision) => (live, decision),
            Weighed::Answer(decision) => return Verdict::Answer(decision),
            Weighed::Fault => return Verdict::Fault,
        };
        if state.emptied {
            if live > 0 {
                // Their stamps first: the next unit's will be another.
                let pos = self.advance(state.pos, state.len);
                return Verdict::Tidy(LogState { pos, emptied: false, ..state });
            }
        } else if state.len.saturating_add(cost) > self.entries {
            // Only entries of dropped units may be overwritten.
            return Verdict::Tidy(LogState { len: live, ..state });
        }
        let pos = self.advance(state.pos, cost);
        let len = live.saturating_add(cost);
        Verdict::Charge(LogState { pos, len, emptied: false, ..state }, decision)
    }

    /// What [`decide`](Self::decide) would say, with nothing to be written.
    pub(crate) fn look_ahead(
        &self,
        state: LogState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<LogState> {
        match self.weigh(state, ring, now, latest, cost) {
            Weighed::Passes(_, decision) | Weighed::Answer(decision) => Verdict::Answer(decision),
            Weighed::Fault => Verdict::Fault,
        }
    }

    /// If `cost` units are denied for a while, all units of the window are from now
    /// on (or as many as were live by a larger quota), and no position stays.
    pub(crate) fn exhaust(
        &self,
        state: LogState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<LogState> {
        match self.weigh(state, ring, now, latest, cost) {
            Weighed::Passes(..) => self.look_ahead(state, ring, now, latest, 0),
            Weighed::Answer(denied) if denied.outcome() == Outcome::Later => {
                let newest = self.newest(state, ring);
                let t = newest.max(now);
                let live = state.len.saturating_sub(self.left_at(state, ring, t));
                let len = live.max(self.units);
                let wait = t.saturating_add(self.window).saturating_sub(now);
                let answer = Decision::from_count(self.units, 0, wait, wait, wait);
                if state.emptied && state.len == len && newest == t {
                    return Verdict::Answer(answer);
                }
                // Moved on by one, so that whoever decided by the state before fails.
                let pos = self.advance(state.pos, 1);
                Verdict::Charge(LogState { pos, len, emptied: true, ..state }, answer)
            }
            Weighed::Answer(decision) => Verdict::Answer(decision),
            Weighed::Fault => Verdict::Fault,
        }
    }

    #[inline(always)]
    fn weigh(
        &self,
        state: LogState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Weighed {
        let newest = self.newest(state, ring);
        if newest > latest.saturating_add(SLACK) {
            return Weighed::Fault;
        }
        let t = newest.max(now);
        let left = self.left_at(state, ring, t);
        let live = state.len.saturating_sub(left);
        let wait = |nth: u64| {
            // Until the nth of the kept units (from 0, the oldest) leaves.
            let back = state.len.saturating_sub(nth);
            let stamp = self.stamp_before(state, ring, back);
            stamp.saturating_add(self.window).saturating_sub(now)
        };
        let (reset, full) =
            if live == 0 { (0, 0) } else { (wait(left), wait(state.len.saturating_sub(1))) };
        let room = self.units.saturating_sub(live);
        if cost == 0 {
            return Weighed::Answer(Decision::from_count(self.units, room, reset, full, 0));
        }
        if cost > self.units {
            let never = Decision::NEVER;
            return Weighed::Answer(Decision::from_count(self.units, room, reset, full, never));
        }
        if cost > room {
            // So many units must leave first, and there are as many live.
            let leave = live.saturating_add(cost).saturating_sub(self.units);
            let last = left.saturating_add(leave).saturating_sub(1);
            let retry = wait(last).max(1);
            let stamp = retry.saturating_add(now).saturating_sub(self.window);
            if stamp > latest.saturating_add(SLACK) {
                return Weighed::Fault;
            }
            return Weighed::Answer(Decision::from_count(self.units, room, reset, full, retry));
        }
        let full = t.saturating_add(self.window).saturating_sub(now);
        let reset = if live == 0 { full } else { reset };
        let room = room.saturating_sub(cost);
        Weighed::Passes(live, Decision::from_count(self.units, room, reset, full, 0))
    }

    /// Gives `cost` units back that were charged at `charged`, as far as they are
    /// live; without such a time, forgets whatever was charged. The oldest live units
    /// go instead of those: the stamps that stay are then no earlier, one by one, so
    /// that no window is judged too empty.
    pub(crate) fn give_back(
        &self,
        state: LogState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
        charged: Option<u64>,
    ) -> Verdict<LogState> {
        let newest = self.newest(state, ring);
        if newest > latest.saturating_add(SLACK) {
            return Verdict::Fault;
        }
        let t = newest.max(now);
        let left = self.left_at(state, ring, t);
        let live = state.len.saturating_sub(left);
        let kept = match charged {
            // All of it, also what has left the window of this quota but not another's.
            None => 0,
            Some(at) if at.saturating_add(self.window) <= t => live,
            Some(_) => live.saturating_sub(cost),
        };
        // Until the nth newest of the kept units leaves.
        let wait = |nth: u64| {
            if nth == 0 {
                return 0;
            }
            let stamp = self.stamp_before(state, ring, nth);
            stamp.saturating_add(self.window).saturating_sub(now)
        };
        let room = self.units.saturating_sub(kept);
        let (reset, full) = (wait(kept), wait(kept.min(1)));
        let answer = Decision::from_count(self.units, room, reset, full, 0);
        if kept < live || charged.is_none() && state.len > 0 {
            Verdict::Lower(LogState { len: kept, ..state }, answer)
        } else {
            Verdict::Answer(answer)
        }
    }

    /// Decides `cost` units at `now` for a key without a log, whose units, if
    /// it ever had any, had all left by `floor`. Until then they may all be there.
    pub(crate) fn decide_fresh(
        &self,
        generation: u16,
        floor: u64,
        now: u64,
        cost: u64,
    ) -> Verdict<LogState> {
        let wait = floor.saturating_sub(now);
        let room = if wait == 0 { self.units } else { 0 };
        if cost == 0 || cost > room {
            let retry = match cost {
                0 => 0,
                _ if cost > self.units => Decision::NEVER,
                _ => wait,
            };
            return Verdict::Answer(Decision::from_count(self.units, room, wait, wait, retry));
        }
        let room = room.saturating_sub(cost);
        // The high bits of the generation choose the first lap, so that owners of
        // one slot are told apart by all sixteen.
        let [low, high] = generation.to_le_bytes();
        let laps = (self.wrap / self.entries).saturating_sub(1).max(1);
        let first = (u64::from(high) % laps).wrapping_mul(self.entries);
        Verdict::Charge(
            LogState { generation: low, pos: first.wrapping_add(cost), len: cost, emptied: false },
            Decision::from_count(self.units, room, self.window, self.window, 0),
        )
    }

    /// What a look tells at `now`, if all units were admitted at `stamp`.
    pub(crate) const fn look_at_full(&self, stamp: u64, now: u64, cost: u64) -> Decision {
        let wait = stamp.saturating_add(self.window).saturating_sub(now);
        let retry = match cost {
            0 => 0,
            _ if cost > self.units => Decision::NEVER,
            _ => wait,
        };
        Decision::from_count(self.units, 0, wait, wait, retry)
    }

    /// The state that replaces one which cannot be honest, once every ring
    /// entry holds `now`: fully in debt at `now`, by every quota of the limiter.
    pub(crate) fn full_debt(&self, state: LogState) -> LogState {
        let pos = self.advance(state.pos, self.entries);
        LogState { pos, len: self.entries, emptied: false, ..state }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    impl Stamps for Vec<u64> {
        fn stamp(&self, entry: usize) -> u64 {
            self[entry]
        }
    }

    /// Runs requests one after the other, as the limiter does.
    struct Log {
        rule: SlidingLog,
        ring: Vec<u64>,
        state: LogState,
    }

    impl Log {
        fn new(quota: &str) -> Self {
            let rule = SlidingLog::new(&quota.parse().unwrap(), 0, 0).unwrap();
            let ring = vec![0; rule.dropped_entry() + 1];
            Self { rule, ring, state: LogState::unpack(0) }
        }

        fn ask(&mut self, secs: u64, cost: u64) -> Decision {
            let now = secs * 16_000_000_000;
            loop {
                match self.rule.decide(self.state, &self.ring, now, now, cost) {
                    Verdict::Answer(d) => return d,
                    Verdict::Tidy(state) => {
                        let t = self.rule.newest(self.state, &self.ring).max(now);
                        self.ring[self.rule.dropped_entry()] = t;
                        self.state = state;
                    }
                    Verdict::Fault | Verdict::Lower(..) => panic!("no fault here"),
                    Verdict::Charge(state, d) => {
                        let t = self.rule.newest(self.state, &self.ring).max(now);
                        for i in 0..cost {
                            self.ring[self.rule.entry_after(self.state.pos, i)] = t;
                        }
                        self.state = state;
                        return d;
                    }
                }
            }
        }
    }

    /// The example of the meaning of the numbers: 3 per 60 s, three at 0 and three at 60.
    #[test]
    fn six_requests_on_the_edges() {
        let mut log = Log::new("3/min");
        for at in [0, 0, 0, 60, 60, 60] {
            assert!(log.ask(at, 1).is_allowed());
        }
        assert_eq!(log.ask(119, 1).retry_after_secs(), Some(1));
    }

    #[test]
    fn reset_is_the_oldest_and_full_the_newest() {
        let mut log = Log::new("3/min");
        let _ = log.ask(0, 1);
        let d = log.ask(10, 1);
        assert_eq!((d.remaining(), d.reset_after_secs(), d.full_after().as_secs()), (1, 50, 60));
        let d = log.ask(20, 2);
        assert_eq!((d.remaining(), d.retry_after_secs()), (1, Some(40)));
        let d = log.ask(20, 3);
        assert_eq!(d.retry_after_secs(), Some(50));
        let d = log.ask(200, 0);
        assert_eq!((d.remaining(), d.reset_after_secs()), (3, 0));
    }

    #[test]
    fn positions_wrap_without_reaching_zero() {
        let mut log = Log::new("3/min");
        log.state.pos = log.rule.wrap - 2;
        for at in 0..1000 {
            assert!(log.ask(at * 20, 1).is_allowed(), "{at}");
            assert_ne!(log.state.pos, 0);
            assert_eq!(log.rule.wrap % 3, 0);
        }
        assert!(log.ask(999 * 20, 1).is_denied());
    }

    #[test]
    fn the_word_holds_its_parts() {
        for state in [
            LogState { generation: 255, pos: POS_MASK, len: LEN_MASK, emptied: true },
            LogState { generation: 1, pos: 2, len: 3, emptied: false },
        ] {
            assert_eq!(LogState::unpack(state.pack()), state);
            assert!(state.pack() < 0x7F << 56);
        }
    }
}
