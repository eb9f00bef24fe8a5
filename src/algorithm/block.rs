//! Blocks: who goes on past a limit is shut out, for longer each time.
//!
//! A key's word says until when it is blocked and by which step of the ladder. A
//! *strike* starts the next block; a block that ended long enough ago is forgotten.

use crate::time::{MAX_DEBT, SLACK, TICKS_PER_NANO, last_now};

/// The most steps of a ladder.
pub(crate) const MAX_STEPS: usize = 8;

/// The length of a block that lasts until it is lifted.
pub(crate) const UNTIL_LIFTED: u64 = u64::MAX;

/// Blocks end at whole milliseconds since the table's epoch.
const TICKS_PER_MS: u64 = 1_000_000 * TICKS_PER_NANO;

/// The word, from the top: 4 bits of nothing, until when, the step, whose.
const OWNER_BITS: u32 = 16;
const STEP_BITS: u32 = 4;
const STEP_MASK: u64 = (1 << STEP_BITS) - 1;
const UNTIL_MASK: u64 = (1 << 40) - 1;

/// Until it is lifted, which is after every honest time.
const LIFTED: u64 = UNTIL_MASK;

/// A ladder of blocks: how long each lasts, and how long after one the ladder starts
/// over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// In ticks, or [`UNTIL_LIFTED`]; the last is every further one's.
    lengths: [u64; MAX_STEPS],
    last: u8,
    decay: u64,
    /// The longest that a timed block and its decay took by any ladder of the same
    /// table.
    longest: u64,
}

/// A key's word, unpacked. All zero: never blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockState {
    /// Milliseconds since the epoch; 0: never, or lifted.
    pub(crate) until: u64,
    /// Of the last block.
    pub(crate) step: u8,
    /// The generation of the key that has the slot: a block that is lifted makes
    /// states come back, but not to another key.
    pub(crate) owner: u16,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Free,
    /// Blocked for so many ticks more, by this step of the ladder (from 0).
    Blocked {
        left: u64,
        step: u8,
    },
    /// Blocked until somebody lifts it.
    UntilLifted {
        step: u8,
    },
}

impl Standing {
    pub(crate) const fn is_blocked(self) -> bool {
        !matches!(self, Self::Free)
    }
}

/// What is to become of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockStep {
    /// Replace it by this one.
    Become(BlockState),
    /// Nothing is written.
    Stay,
    /// It is further ahead than any honest block.
    Fault,
}

impl BlockState {
    #[allow(clippy::cast_possible_truncation)] // that many bits are the field
    pub(crate) const fn unpack(word: u64) -> Self {
        Self {
            until: word >> (STEP_BITS + OWNER_BITS) & UNTIL_MASK,
            step: (word >> OWNER_BITS & STEP_MASK) as u8,
            owner: word as u16,
        }
    }

    pub(crate) const fn pack(self) -> u64 {
        (self.until & UNTIL_MASK) << (STEP_BITS + OWNER_BITS)
            | (self.step as u64 & STEP_MASK) << OWNER_BITS
            | self.owner as u64
    }

    const fn until_ticks(self) -> u64 {
        if self.until == LIFTED { u64::MAX } else { self.until.saturating_mul(TICKS_PER_MS) }
    }

    pub(crate) const fn standing(self, now: u64) -> Standing {
        let (until, step) = (self.until_ticks(), self.step);
        match until {
            u64::MAX => Standing::UntilLifted { step },
            _ if until > now => Standing::Blocked { left: until.saturating_sub(now), step },
            _ => Standing::Free,
        }
    }

    /// Forgets the block and the ladder.
    pub(crate) const fn lift(self) -> BlockStep {
        if self.until == 0 {
            return BlockStep::Stay;
        }
        BlockStep::Become(Self { until: 0, step: 0, ..self })
    }
}

impl Block {
    /// `None` for no steps or too many, for a block of no time, or one that with its
    /// decay is longer than can be told.
    pub(crate) fn new(lengths: &[u64], decay: u64) -> Option<Self> {
        let last = lengths.len().checked_sub(1)?;
        let mut ladder = [0; MAX_STEPS];
        for (nth, length) in lengths.iter().enumerate() {
            let timed = *length != UNTIL_LIFTED;
            if *length == 0 || timed && length.saturating_add(decay) > MAX_DEBT {
                return None;
            }
            *ladder.get_mut(nth)? = *length;
        }
        if decay > MAX_DEBT {
            return None;
        }
        let timed = lengths.iter().filter(|length| **length != UNTIL_LIFTED);
        let longest = timed.max().map_or(0, |length| *length).saturating_add(decay);
        Some(Self { lengths: ladder, last: u8::try_from(last).ok()?, decay, longest })
    }

    /// The same ladder over a table in which there are blocks of another one.
    pub(crate) fn after(self, before: &Self) -> Self {
        Self { longest: self.longest.max(before.longest), ..self }
    }

    pub(crate) fn last_now(&self) -> u64 {
        last_now(self.longest)
    }

    /// When a key whose block it is becomes as good as new; `u64::MAX` for one that is
    /// blocked until lifted.
    pub(crate) const fn free_at(&self, state: BlockState) -> u64 {
        if state.until == 0 { 0 } else { state.until_ticks().saturating_add(self.decay) }
    }

    /// The latest block that a key without a slot can have had: it had decayed by `floor`.
    pub(crate) const fn fresh(&self, floor: u64, owner: u16) -> BlockState {
        // Exact where it is this key's, since blocks end at whole milliseconds.
        let until = floor.saturating_sub(self.decay) / TICKS_PER_MS;
        BlockState { until, step: 0, owner }
    }

    /// The next block, unless one holds: the first step of the ladder if the last block
    /// decayed, else the step after it, at most the last.
    pub(crate) fn strike(&self, state: BlockState, now: u64, latest: u64) -> BlockStep {
        if self.is_fault(state, latest) {
            return BlockStep::Fault;
        }
        if state.standing(now).is_blocked() {
            return BlockStep::Stay;
        }
        let step = if self.free_at(state) <= now {
            0
        } else {
            state.step.saturating_add(1).min(self.last)
        };
        let until = match self.lengths.get(usize::from(step)) {
            Some(&length) if length != UNTIL_LIFTED => end(now, length),
            _ => LIFTED,
        };
        BlockStep::Become(BlockState { until, step, ..state })
    }

    /// A timed block that ends further ahead than the longest, and a day: a broken
    /// clock, or damaged memory.
    pub(crate) fn is_fault(&self, state: BlockState, latest: u64) -> bool {
        let furthest = latest.saturating_add(self.longest).saturating_add(SLACK);
        state.until != LIFTED && state.until_ticks() > furthest.saturating_add(TICKS_PER_MS)
    }

    /// What replaces it: the same step, begun now.
    pub(crate) fn repaired(&self, state: BlockState, latest: u64) -> BlockState {
        let step = state.step.min(self.last);
        let until = match self.lengths.get(usize::from(step)) {
            Some(&length) if length != UNTIL_LIFTED => end(latest, length),
            _ => LIFTED,
        };
        BlockState { until, step, ..state }
    }
}

/// When a block of `now` ends, in milliseconds, rounded up.
fn end(now: u64, length: u64) -> u64 {
    now.saturating_add(length).div_ceil(TICKS_PER_MS).min(LIFTED - 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = TICKS_PER_MS;

    #[test]
    fn the_word_holds_its_parts() {
        for state in [
            BlockState { until: LIFTED, step: 15, owner: 0xFFFF },
            BlockState { until: 1, step: 2, owner: 3 },
        ] {
            assert_eq!(BlockState::unpack(state.pack()), state);
            assert!(state.pack() < 0x7F << 56);
        }
    }

    #[test]
    fn ladders_that_cannot_be() {
        assert!(Block::new(&[], 1).is_none());
        assert!(Block::new(&[1; MAX_STEPS + 1], 1).is_none());
        assert!(Block::new(&[1, 0], 1).is_none());
        assert!(Block::new(&[1, MAX_DEBT], 1).is_none());
        assert!(Block::new(&[UNTIL_LIFTED], MAX_DEBT + 1).is_none());
        assert!(Block::new(&[1; MAX_STEPS], 0).is_some());
        assert!(Block::new(&[MAX_DEBT, UNTIL_LIFTED], 0).is_some());
    }

    /// The ladder of the documentation: 10 min, 1 h, until lifted; a day of decay.
    #[test]
    fn a_ladder_by_hand() {
        let min = 60_000 * MS;
        let (hour, day) = (60 * min, 24 * 60 * min);
        let rule = Block::new(&[10 * min, hour, UNTIL_LIFTED], day).unwrap();
        let mut state = BlockState::unpack(0);
        let mut strike = |at| match rule.strike(state, at, at) {
            BlockStep::Become(next) => {
                state = next;
                Some(state.standing(at))
            }
            BlockStep::Stay => None,
            BlockStep::Fault => panic!(),
        };
        assert_eq!(strike(0), Some(Standing::Blocked { left: 10 * min, step: 0 }));
        assert_eq!(strike(10 * min - 1), None, "a block holds");
        assert_eq!(strike(10 * min), Some(Standing::Blocked { left: hour, step: 1 }));
        let end = 70 * min;
        assert_eq!(strike(end + day), Some(Standing::Blocked { left: 10 * min, step: 0 }));
        let end = end + day + 10 * min;
        assert_eq!(strike(end + day - 1).map(Standing::is_blocked), Some(true));
        assert_eq!(strike(end + day + 2 * hour), Some(Standing::UntilLifted { step: 2 }));
        assert_eq!(strike(1000 * day), None);
        assert_eq!(rule.free_at(state), u64::MAX);
        let BlockStep::Become(lifted) = state.lift() else { panic!() };
        assert_eq!((lifted.standing(0), rule.free_at(lifted)), (Standing::Free, 0));
        assert_eq!(lifted.lift(), BlockStep::Stay);
    }

    #[test]
    fn a_fresh_key_may_be_blocked_before_the_floor() {
        let rule = Block::new(&[10 * MS, 20 * MS], 5 * MS).unwrap();
        assert_eq!(
            rule.fresh(100 * MS, 1).standing(94 * MS),
            Standing::Blocked { left: MS, step: 0 }
        );
        assert_eq!(rule.fresh(100 * MS, 1).standing(95 * MS), Standing::Free);
    }

    #[test]
    fn far_blocks_are_begun_anew() {
        let rule = Block::new(&[10 * MS, UNTIL_LIFTED], 5 * MS).unwrap();
        let far = BlockState { until: 2 * SLACK / MS, step: 0, owner: 1 };
        assert_eq!(rule.strike(far, 0, 0), BlockStep::Fault);
        assert_eq!(rule.strike(far, 0, 2 * SLACK), BlockStep::Stay);
        let repaired = rule.repaired(far, 7 * MS);
        assert_eq!(repaired, BlockState { until: 17, ..far });
        assert!(!rule.is_fault(repaired, 7 * MS));
        assert!(!rule.is_fault(BlockState { until: LIFTED, ..far }, 0), "that is honest");
        // A step that this ladder has not is its last.
        assert_eq!(rule.repaired(BlockState { step: 9, ..far }, 0).until, LIFTED);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A list of all blocks, from which each is worked out again.
        #[test]
        fn strikes_follow_the_list(
            lengths in prop::collection::vec(prop_oneof![6 => 1..50_u64, 1 => Just(UNTIL_LIFTED)], 1..9),
            decay in 0..40_u64,
            asks in prop::collection::vec((0..40_u64, 0..12_u8), 1..60),
        ) {
            let ticks: Vec<u64> =
                lengths.iter().map(|l| if *l == UNTIL_LIFTED { *l } else { l * MS }).collect();
            let rule = Block::new(&ticks, decay * MS).unwrap();
            let mut state = BlockState { owner: 5, ..BlockState::unpack(0) };
            // Ends of the blocks of this ladder, in ms.
            let mut list: Vec<u64> = Vec::new();
            let mut now = 0;
            for (by, what) in asks {
                now += by;
                let blocked = list.last().is_some_and(|end| *end > now);
                let at = now * MS;
                prop_assert_eq!(state.standing(at).is_blocked(), blocked);
                if let Standing::Blocked { left, step } = state.standing(at) {
                    prop_assert_eq!(left, (list[list.len() - 1] - now) * MS);
                    prop_assert_eq!(usize::from(step), (list.len() - 1).min(lengths.len() - 1));
                }
                if what == 0 {
                    list.clear();
                    if let BlockStep::Become(next) = state.lift() { state = next; }
                } else if !blocked {
                    if list.last().is_some_and(|end| end + decay <= now) {
                        list.clear();
                    }
                    let length = lengths[list.len().min(lengths.len() - 1)];
                    list.push(now.saturating_add(length));
                    let BlockStep::Become(next) = rule.strike(state, at, at) else { panic!() };
                    state = next;
                } else {
                    prop_assert_eq!(rule.strike(state, at, at), BlockStep::Stay);
                }
                prop_assert_eq!(state.owner, 5);
                let free = list.last().map_or(0, |end| match *end {
                    UNTIL_LIFTED => u64::MAX,
                    end => (end + decay) * MS,
                });
                prop_assert_eq!(rule.free_at(state), free);
            }
        }
    }
}
