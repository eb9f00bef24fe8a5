//! The sliding counter: two counts a key instead of a stamp a unit.
//!
//! Time is cut into windows of one period, counted from the epoch. The units of
//! the present one are counted; those of the one before weigh as much as of that
//! window is still within one period of now.

use super::{Stamps, Verdict};
use crate::{
    decision::{Decision, Outcome},
    quota::Quota,
    time::{SLACK, TICKS_PER_NANO, last_now},
};

/// Bits of the state word below the number of the window.
const UNITS_BITS: u32 = 33;
const UNITS_MASK: u64 = (1 << UNITS_BITS) - 1;
const WINDOW_MASK: u64 = (1 << 30) - 1;
const ALONE: u64 = 1 << 63;

/// The most units a window can hold: 8,589,934,591.
pub(crate) const MAX_COUNTED: u64 = UNITS_MASK;

/// A second: the shortest window, of which 30 bits number eighteen years.
pub(crate) const SHORTEST: u64 = 1_000_000_000 * TICKS_PER_NANO;

/// About as many as the quota in any window, in three words a key: for limits that
/// are too large for a [`SlidingLog`](super::SlidingLog), which is exact.
///
/// Windows of one period follow one another from the limiter's epoch on. With e of the
/// present window P gone, n units pass if
///
/// before · (P - e) / P + present + n <= L
///
/// with the units admitted in the window before and in the present one: exactly so,
/// nothing is rounded in anybody's favour. The counter knows no burst. Its window is a
/// second at least, and one for all quotas of a limiter: counts cannot be moved to
/// windows of another length.
///
/// ```
/// use tollgate::{Limiter, ManualClock, Nanos, SlidingCounter};
///
/// let limiter: Limiter<SlidingCounter, _> =
///     Limiter::sliding_counter("100/min".parse()?).clock(ManualClock::new()).try_build()?;
/// let at = |secs| Nanos::from_secs(secs);
/// assert_eq!(limiter.check_n_at(60, at(50)).remaining(), 40);
/// // 20 s into the next window, 40 of those 60 count: L - 60 · (60 - 20) / 60.
/// assert_eq!(limiter.peek_at(at(80)).remaining(), 60);
/// // All came late, in fact: a log would still count them all.
/// assert!(limiter.check_n_at(60, at(80)).is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Error
///
/// A window of the counter's own never gets more than L. The formula takes the units of
/// the window before for evenly spread. If they came late in it, any P ending e into the
/// next holds up to L + before · e / P units, so fewer than 2L; and 2L - 1 are reached by
/// who takes L in the last instant of a window after a quiet one, and the rest as it comes
/// back. If they came early, units are denied that a log would have let pass, at most as
/// many. Evenly spread traffic is not judged wrongly. Over k periods at most (k + 1) L.
///
/// # Refunds
///
/// A refund counts if it comes in the window of its charge, else nothing comes back. One
/// that races with the first charge of the next window may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingCounter {
    units: u64,
    period: u64,
    /// The most units of any quota that the limiter was built for.
    most: u64,
}

/// A counter's state word, unpacked. All zero: no unit was ever admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CounterState {
    /// The present window's number, from the epoch.
    pub(crate) window: u64,
    /// Units in it.
    pub(crate) units: u64,
    /// Nothing counts of the window before, whatever the ring says.
    pub(crate) alone: bool,
}

impl CounterState {
    #[inline]
    pub(crate) const fn unpack(word: u64) -> Self {
        Self {
            window: (word >> UNITS_BITS) & WINDOW_MASK,
            units: word & UNITS_MASK,
            alone: word & ALONE != 0,
        }
    }

    #[inline]
    pub(crate) const fn pack(self) -> u64 {
        let alone = if self.alone { ALONE } else { 0 };
        alone | self.tagged()
    }

    /// The units of a window as the ring keeps them: the later window is the larger
    /// word, whatever its units.
    #[inline]
    pub(crate) const fn tagged(self) -> u64 {
        (self.window & WINDOW_MASK) << UNITS_BITS | self.units
    }

    /// The ring's entry for a window's units.
    #[inline]
    pub(crate) const fn entry(window: u64) -> usize {
        (window & 1) as usize
    }
}

/// What counts at some instant.
#[derive(Clone, Copy)]
struct Counts {
    window: u64,
    /// When it began, and how much of it is gone: nothing for who comes before.
    start: u64,
    elapsed: u64,
    units: u64,
    before: u64,
}

/// Ticks, below 2^63 but for the ends of windows, which saturate; products of units
/// and ticks are made in 128 bits.
impl SlidingCounter {
    /// For a limiter with quotas of this period. `None` if it is too short or too
    /// long, or there are too many units.
    pub(crate) fn new(quota: &Quota, most: u64) -> Option<Self> {
        let (units, period) = (quota.units(), quota.period_ticks()?);
        let fits = units <= MAX_COUNTED && most <= MAX_COUNTED && period >= SHORTEST;
        fits.then_some(Self { units, period, most })
    }

    /// Words of ring for each slot: the units of the window before, and where those of
    /// the next one's will be.
    pub(crate) const RING: usize = 2;

    pub(crate) const fn limit(&self) -> u64 {
        self.units
    }

    pub(crate) const fn period(&self) -> u64 {
        self.period
    }

    /// What differs between quotas of one limiter.
    pub(crate) const fn numbers(&self) -> [u64; 3] {
        [self.units, self.period, 0]
    }

    /// Another quota of the same limiter, by its numbers.
    #[inline]
    pub(crate) const fn with_numbers(&self, [units, _, _]: [u64; 3]) -> Self {
        Self { units, ..*self }
    }

    pub(crate) const fn last_now(&self) -> u64 {
        last_now(self.period.saturating_mul(2))
    }

    /// The most units of any quota.
    #[cfg(feature = "shared")]
    pub(crate) const fn most(&self) -> u64 {
        self.most
    }

    /// The same with room for so many units; `None` if this one has more, or other windows.
    #[cfg(feature = "shared")]
    pub(crate) fn with_room(self, period: u64, most: u64) -> Option<Self> {
        let enough = period == self.period && (self.most..=MAX_COUNTED).contains(&most);
        enough.then_some(Self { most, ..self })
    }

    /// The window that an instant is in.
    #[inline]
    pub(crate) fn window_of(&self, now: u64) -> u64 {
        now.checked_div(self.period).unwrap_or(0)
    }

    /// When the units of a window count no more: at the end of the next one.
    pub(crate) fn free_at(&self, state: CounterState) -> u64 {
        if state.pack() == 0 {
            return 0;
        }
        state.window.saturating_add(2).saturating_mul(self.period)
    }

    /// Whether to move on from `state` at `now` takes its units into the next window.
    #[inline]
    pub(crate) fn rolls_over(&self, state: CounterState, now: u64) -> bool {
        state.units > 0 && self.window_of(now) == state.window.saturating_add(1)
    }

    #[inline]
    fn is_fault(&self, state: CounterState, latest: u64) -> bool {
        state.window.saturating_mul(self.period) > latest.saturating_add(SLACK)
    }

    fn counts(&self, state: CounterState, ring: &impl Stamps, now: u64) -> Counts {
        let window = self.window_of(now).max(state.window);
        let start = window.saturating_mul(self.period);
        let (units, before) = match window.saturating_sub(state.window) {
            0 => (state.units, Self::before(state, ring)),
            1 => (0, state.units),
            _ => (0, 0),
        };
        Counts { window, start, elapsed: now.saturating_sub(start), units, before }
    }

    /// The units of the window before that of `state`.
    #[inline]
    fn before(state: CounterState, ring: &impl Stamps) -> u64 {
        let Some(window) = state.window.checked_sub(1) else { return 0 };
        if state.alone {
            return 0;
        }
        let kept = CounterState::unpack(ring.stamp(CounterState::entry(window)));
        if kept.window == window { kept.units } else { 0 }
    }

    /// What counts of the window before, rounded up to whole units: as the others are
    /// whole, no request passes that would not by the exact fraction, nor fails.
    #[inline]
    fn weight(&self, counts: &Counts) -> u64 {
        if counts.before == 0 {
            return 0;
        }
        let still = self.period.saturating_sub(counts.elapsed);
        share(counts.before, still, self.period, true)
    }

    /// Until `units`, at most the quota's, would pass if they do not at `now`.
    fn wait(&self, counts: &Counts, now: u64, units: u64) -> u64 {
        let room = self.units.saturating_sub(units);
        let next = counts.start.saturating_add(self.period);
        let at = match room.checked_sub(counts.units) {
            // Until so little of the window before counts that there is room for it.
            Some(room) => next.saturating_sub(self.when(room, counts.before)),
            // The same of this window, in the next one.
            None => next.saturating_add(self.period).saturating_sub(self.when(room, counts.units)),
        };
        at.saturating_sub(now)
    }

    /// How long before its end a window begins in which `room` has room for what
    /// counts of `before`.
    #[inline]
    fn when(&self, room: u64, before: u64) -> u64 {
        if room >= before { self.period } else { share(room, self.period, before, false) }
    }

    fn answer(&self, counts: &Counts, now: u64, retry: u64) -> Decision {
        let used = counts.units.saturating_add(self.weight(counts));
        let left = self.units.saturating_sub(used);
        let (reset, full) = if used == 0 {
            (0, 0)
        } else {
            let one_more = self.units.min(left.saturating_add(1));
            (self.wait(counts, now, one_more), self.wait(counts, now, self.units))
        };
        Decision::from_count(self.units, left, reset, full, retry)
    }

    /// Decides `cost` units at `now`. A window further ahead of `latest` than any
    /// honest one is a fault.
    #[inline]
    pub(crate) fn decide(
        &self,
        state: CounterState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<CounterState> {
        if self.is_fault(state, latest) {
            return Verdict::Fault;
        }
        let counts = self.counts(state, ring, now);
        if cost == 0 || cost > self.units {
            let retry = if cost == 0 { 0 } else { Decision::NEVER };
            return Verdict::Answer(self.answer(&counts, now, retry));
        }
        let units = counts.units.saturating_add(cost);
        if units.saturating_add(self.weight(&counts)) > self.units {
            let retry = self.wait(&counts, now, cost).max(1);
            return Verdict::Answer(self.answer(&counts, now, retry));
        }
        let after = Counts { units, ..counts };
        Verdict::Charge(after.state(), self.answer(&after, now, 0))
    }

    /// What [`decide`](Self::decide) would say, with nothing to be written.
    pub(crate) fn look_ahead(
        &self,
        state: CounterState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<CounterState> {
        match self.decide(state, ring, now, latest, cost) {
            Verdict::Charge(_, decision) => Verdict::Answer(decision),
            verdict => verdict,
        }
    }

    /// Counts the present window as full, if `cost` units are denied for a while.
    pub(crate) fn exhaust(
        &self,
        state: CounterState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<CounterState> {
        match self.decide(state, ring, now, latest, cost) {
            Verdict::Charge(..) => self.decide(state, ring, now, latest, 0),
            Verdict::Answer(denied) if denied.outcome() == Outcome::Later => {
                let counts = self.counts(state, ring, now);
                let after = Counts { units: counts.units.max(self.units), ..counts };
                let answer = self.answer(&after, now, self.wait(&after, now, cost).max(1));
                if (after.window, after.units) == (state.window, state.units) {
                    return Verdict::Answer(answer);
                }
                Verdict::Charge(after.state(), answer)
            }
            verdict => verdict,
        }
    }

    /// Gives `cost` units back that were charged at `charged`, if that was in the
    /// window that is the present one still.
    pub(crate) fn give_back(
        &self,
        state: CounterState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
        charged: u64,
    ) -> Verdict<CounterState> {
        if self.is_fault(state, latest) {
            return Verdict::Fault;
        }
        let counts = self.counts(state, ring, now);
        let back = if (state.window, self.window_of(charged)) == (counts.window, counts.window) {
            cost.min(state.units)
        } else {
            0
        };
        if back == 0 {
            return Verdict::Answer(self.answer(&counts, now, 0));
        }
        let units = state.units.saturating_sub(back);
        let after = Counts { units, ..counts };
        Verdict::Lower(CounterState { units, ..state }, self.answer(&after, now, 0))
    }

    /// Makes the state as good as new. It stays in its window: so the word alone tells
    /// that nothing counts, whatever the ring keeps of it or will.
    pub(crate) fn forget(
        &self,
        state: CounterState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
    ) -> Verdict<CounterState> {
        if self.is_fault(state, latest) {
            return Verdict::Fault;
        }
        let counts = self.counts(state, ring, now);
        let as_new = Decision::from_count(self.units, self.units, 0, 0, 0);
        if counts.units == 0 && counts.before == 0 {
            return Verdict::Answer(as_new);
        }
        Verdict::Lower(CounterState { units: 0, alone: true, ..state }, as_new)
    }

    /// Decides `cost` units at `now` for a key without a state, whose units, if it ever
    /// had any, counted until `floor`. Until then they may all be there.
    pub(crate) fn decide_fresh(&self, floor: u64, now: u64, cost: u64) -> Verdict<CounterState> {
        let wait = floor.saturating_sub(now);
        if cost == 0 || cost > self.units || wait > 0 {
            let retry = match cost {
                0 => 0,
                _ if cost > self.units => Decision::NEVER,
                _ => wait,
            };
            let left = if wait == 0 { self.units } else { 0 };
            return Verdict::Answer(Decision::from_count(self.units, left, wait, wait, retry));
        }
        let none = CounterState { window: self.window_of(now), units: 0, alone: true };
        let after = Counts { units: cost, ..self.counts(none, &NoRing, now) };
        Verdict::Charge(after.state(), self.answer(&after, now, 0))
    }

    /// The state that replaces one which cannot be honest: full by every quota of the
    /// limiter, in the window of the latest time known.
    pub(crate) fn full_at(&self, latest: u64) -> CounterState {
        let units = self.units.max(self.most);
        CounterState { window: self.window_of(latest), units, alone: true }
    }

    /// What a look tells of a state that [`full_at`](Self::full_at) would replace.
    pub(crate) fn look_at_full(&self, latest: u64, now: u64, cost: u64) -> Decision {
        let full = self.full_at(latest);
        match self.decide(full, &NoRing, now, latest, cost) {
            Verdict::Answer(decision) => decision,
            // A full window denies, and is no fault.
            _ => self.answer(&self.counts(full, &NoRing, now), now, 0),
        }
    }
}

impl Counts {
    const fn state(&self) -> CounterState {
        // The ring need not be asked again where it said that there is nothing.
        CounterState { window: self.window, units: self.units, alone: self.before == 0 }
    }
}

/// The ring of a state whose window before does not count.
struct NoRing;

impl Stamps for NoRing {
    fn stamp(&self, _: usize) -> u64 {
        0
    }
}

/// `units * part / whole`, rounded up or down: at most 2^64 - 1 for every caller.
#[inline]
fn share(units: u64, part: u64, whole: u64, up: bool) -> u64 {
    let product = u128::from(units) * u128::from(part);
    let whole = whole.max(1);
    let (quotient, exact) = if let Ok(product) = u64::try_from(product) {
        (product / whole, product.is_multiple_of(whole))
    } else {
        // Larger ones are rare, and divide more slowly.
        let whole = u128::from(whole);
        let quotient = u64::try_from(product / whole).unwrap_or(u64::MAX);
        (quotient, product.is_multiple_of(whole))
    };
    quotient.saturating_add(u64::from(up && !exact))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SECOND: u64 = 16_000_000_000;

    impl Stamps for [u64; 2] {
        fn stamp(&self, entry: usize) -> u64 {
            self[entry]
        }
    }

    fn counter(quota: &str) -> SlidingCounter {
        SlidingCounter::new(&quota.parse().unwrap(), 0).unwrap()
    }

    fn state(window: u64, units: u64) -> CounterState {
        CounterState { window, units, alone: false }
    }

    /// "100/min", fifteen seconds into a window after one of 80: 60 of those count.
    #[test]
    fn a_minute_of_a_hundred() {
        let counter = counter("100/min");
        let ring = [0, state(3, 80).pack()];
        let now = (4 * 60 + 15) * SECOND;
        let Verdict::Charge(next, d) = counter.decide(state(4, 10), &ring, now, now, 20) else {
            panic!()
        };
        assert_eq!((next, d.remaining()), (state(4, 30), 10));
        // Eighty in sixty seconds: one more in three quarters of a second.
        assert_eq!(d.reset_after().as_millis(), 750);
        assert_eq!(d.full_after().as_secs(), 45 + 60);
        let Verdict::Answer(d) = counter.decide(next, &ring, now, now, 30) else { panic!() };
        assert_eq!(d.retry_after().unwrap().as_secs(), 15);
        // Eighty pass when of the thirty no more than twenty count in the next window.
        let Verdict::Answer(d) = counter.decide(next, &ring, now, now, 80) else { panic!() };
        assert_eq!(d.retry_after().unwrap().as_secs(), 45 + 20);
    }

    /// Entries of other windows are not of the one before.
    #[test]
    fn the_ring_is_read_by_number() {
        let counter = counter("100/min");
        let now = 4 * 60 * SECOND;
        let left = |state, ring: [u64; 2]| {
            let Verdict::Answer(d) = counter.decide(state, &ring, now, now, 0) else { panic!() };
            d.remaining()
        };
        assert_eq!(left(state(4, 10), [state(2, 50).pack(), state(3, 50).pack()]), 40);
        assert_eq!(left(state(4, 10), [state(4, 50).pack(), state(1, 50).pack()]), 90);
        assert_eq!(left(state(4, 10), [state(3, 50).pack(), state(5, 50).pack()]), 90);
        let alone = CounterState { alone: true, ..state(4, 10) };
        assert_eq!(left(alone, [0, state(3, 50).pack()]), 90);
        // In the window before, and two before.
        assert_eq!(left(state(3, 10), [state(2, 50).pack(), 0]), 90);
        assert_eq!(left(state(2, 10), [0, state(1, 50).pack()]), 100);
    }

    #[test]
    fn the_word_holds_its_parts() {
        let last = counter("1/s").last_now() / SECOND;
        for window in [0, 1, last] {
            for units in [0, 1, MAX_COUNTED] {
                for alone in [false, true] {
                    let state = CounterState { window, units, alone };
                    assert_eq!(CounterState::unpack(state.pack()), state);
                    assert!(state.pack() << 1 < 0x7F << 57 && state.pack() < 0xFF << 56);
                }
            }
        }
        assert!(state(2, 0).tagged() > state(1, MAX_COUNTED).tagged());
    }

    /// The largest counts in the longest and the shortest windows.
    #[test]
    fn the_ends_of_the_range_do_not_wrap() {
        for text in ["8589934591/s", "8589934591/1600d", "1/1600d", "1/s"] {
            let counter = counter(text);
            let now = counter.last_now();
            let window = counter.window_of(now);
            let ring = [0, 1].map(|nth| state(window - (window + nth) % 2, counter.units).pack());
            for present in [0, 1, counter.units] {
                for cost in [0, 1, counter.units, u64::MAX] {
                    for now in [0, now - now % counter.period, now] {
                        let state = state(window, present);
                        match counter.decide(state, &ring, now, now.max(counter.last_now()), cost) {
                            Verdict::Charge(next, d) => {
                                assert!(next.units <= counter.units && d.is_allowed());
                            }
                            Verdict::Answer(d) => assert!(d.remaining() <= counter.units),
                            verdict => panic!("{verdict:?}"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        for quota in ["1/999ms", "8589934592/s"] {
            assert_eq!(SlidingCounter::new(&quota.parse().unwrap(), 0), None, "{quota}");
        }
    }
}
