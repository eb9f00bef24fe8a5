//! Blocks as the table's rule.

use std::sync::Arc;

use crate::{
    algorithm::{Block, BlockState, BlockStep, Standing},
    table::{
        Hash, Refused, Table,
        geometry::{Layout, Wide},
        rule::{Ask, Request, Rule, Seen, Step},
        storage::Memory,
        words::Ring,
    },
    time::{Nanos, SLACK, epoch_within, ticks},
};

/// What the table answers about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// How the key stands now.
    pub(crate) standing: Standing,
    /// Whether this very request began the block.
    pub(crate) struck: bool,
}

impl Answer {
    const fn seen(standing: Standing) -> Self {
        Self { standing, struck: false }
    }
}

/// A charge is a strike, to forget is to lift; anything else, and a cost of 0, looks.
///
/// The word names the generation of the key, so a state that a lifted block brings back
/// is not another key's. A block until lifted is never free, so its slot is never reclaimed.
impl Rule for Block {
    type Answer = Answer;

    fn ring_words(&self) -> usize {
        0
    }

    #[allow(clippy::cast_possible_truncation)] // generations have 16 bits
    fn decide(&self, request: &Request, seen: Seen, _: Ring<'_>) -> Step<Answer> {
        let Request { now, cost, latest, ask, .. } = *request;
        let (state, fresh) = match seen {
            Seen::Live(word) => (BlockState::unpack(word), false),
            Seen::Fresh { floor, generation } => (self.fresh(floor, generation as u16), true),
        };
        let standing = state.standing(now);
        let step = match ask {
            // A look tells of a fault as any other.
            _ if cost == 0 => BlockStep::Stay,
            Ask::Charge if fresh && standing.is_blocked() => BlockStep::Stay,
            // Whatever there was is forgotten by now.
            Ask::Charge if fresh => self.strike(BlockState { until: 0, ..state }, now, latest),
            Ask::Charge => self.strike(state, now, latest),
            Ask::Forget if !fresh => state.lift(),
            _ => BlockStep::Stay,
        };
        match step {
            BlockStep::Become(next) => {
                let struck = ask == Ask::Charge;
                Step::Commit(next.pack(), Answer { standing: next.standing(now), struck })
            }
            BlockStep::Stay if !fresh && self.is_fault(state, latest) => Step::Fault,
            BlockStep::Stay => Step::Answer(Answer::seen(standing)),
            BlockStep::Fault => Step::Fault,
        }
    }

    fn write(&self, _: &Request, _: Seen, _: Ring<'_>) {}

    fn write_tidied(&self, _: &Request, _: u64, _: Ring<'_>) {}

    #[cold]
    fn repair(&self, request: &Request, state: u64, _: Ring<'_>, _: impl Fn() -> bool) -> u64 {
        self.repaired(BlockState::unpack(state), request.latest).pack()
    }

    /// The longest that it can be: of which step it is, the request does not tell.
    #[cold]
    fn look_at_fault(&self, request: &Request) -> Answer {
        let state = BlockState { until: 1, step: u8::MAX, owner: 0 };
        Answer::seen(self.repaired(state, request.latest).standing(request.now))
    }

    fn free_at(&self, state: u64, _: Ring<'_>) -> u64 {
        self.free_at(BlockState::unpack(state))
    }

    /// A block until lifted is as far ahead as can be, whatever this ladder's steps are, and
    /// honest. One that is not is found when its key is asked.
    fn furthest_free(&self) -> u64 {
        u64::MAX
    }

    fn slack(&self) -> u64 {
        SLACK
    }
}

/// Blocks of many keys, and the time they count in.
pub(crate) struct Blocks {
    table: Arc<Table<Block, Memory, Wide>>,
    rule: Block,
    epoch: Nanos,
    last: u64,
}

impl Blocks {
    /// `None` for more keys than can be addressed, or no memory.
    pub(crate) fn try_new(rule: Block, keys: usize, epoch: Nanos) -> Option<Self> {
        let last = rule.last_now();
        let layout = Layout::for_keys::<Wide>(keys, 0)?;
        let table = Table::on_heap(rule, layout).ok()?;
        let epoch = epoch_within(epoch, last);
        Some(Self { table: Arc::new(table), rule, epoch, last })
    }

    /// Blocks in a table of a region; `None` if that is too small.
    #[cfg(feature = "shared")]
    pub(crate) fn in_section(
        rule: Block,
        layout: Layout,
        section: &crate::region::Section,
    ) -> Option<Self> {
        let last = rule.last_now();
        let table = Table::in_memory(rule, layout, section.table()?)?;
        let epoch = epoch_within(Nanos::new(section.epoch()), last);
        Some(Self { table: Arc::new(table), rule, epoch, last })
    }

    /// Bytes of its table.
    pub(crate) fn memory(&self) -> usize {
        self.table.layout().bytes()
    }

    /// The same blocks, from now on by another ladder: those that hold go on as they
    /// were. (A key that was not blocked for the decay of the first ladder may lose its
    /// slot, and so begin the new one at its first step.)
    pub(crate) fn by(&self, rule: Block) -> Self {
        Self { table: Arc::clone(&self.table), rule: rule.after(&self.rule), ..*self }
    }

    /// How a key stands. A key for which there is no room is free.
    pub(crate) fn look(&self, hash: Hash, now: Nanos) -> Standing {
        self.ask(Ask::Charge, 0, hash, now).map_or(Standing::Free, |answer| answer.standing)
    }

    /// Begins the next block, unless one holds. Whether it did.
    pub(crate) fn strike(&self, hash: Hash, now: Nanos) -> bool {
        self.ask(Ask::Charge, 1, hash, now).is_some_and(|answer| answer.struck)
    }

    /// Ends a block, and forgets those before. How the key stood.
    pub(crate) fn lift(&self, hash: Hash, now: Nanos) -> Standing {
        let stood = self.look(hash, now);
        self.ask(Ask::Forget, 1, hash, now);
        stood
    }

    fn ask(&self, ask: Ask, cost: u64, hash: Hash, now: Nanos) -> Option<Answer> {
        let now = ticks(now, self.epoch, self.last);
        let request = Request::new(now, cost).asking(ask);
        let rule = &self.rule;
        match self.table.decide_by(rule, hash, &request) {
            Ok(answer) => Some(answer),
            // The state is further ahead of now than any block there can be.
            Err(Refused::Fault) => self.table.decide_by(rule, hash, &request.repairing(now)).ok(),
            Err(Refused::Saturated { .. }) => None,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MS: u64 = 16_000_000;

    type Blocks = Table<Block>;

    fn table(lengths: &[u64], decay: u64) -> Blocks {
        let rule = Block::new(lengths, decay).unwrap();
        Table::on_heap(rule, Layout::for_keys::<Wide>(1, 0).unwrap()).unwrap()
    }

    fn ask(table: &Blocks, key: u64, now: u64, cost: u64, ask: Ask) -> Result<Answer, Refused> {
        let hash = Hash(key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let request = Request::new(now * MS, cost).asking(ask);
        table.decide(hash, &request).or_else(|refused| match refused {
            Refused::Fault => table.decide(hash, &request.repairing(now * MS)),
            refused @ Refused::Saturated { .. } => Err(refused),
        })
    }

    fn strike(table: &Blocks, key: u64, now: u64) -> Option<bool> {
        ask(table, key, now, 1, Ask::Charge).ok().map(|answer| answer.struck)
    }

    fn blocked(table: &Blocks, key: u64, now: u64) -> bool {
        ask(table, key, now, 0, Ask::Charge).unwrap().standing.is_blocked()
    }

    #[test]
    fn strikes_and_lifts_of_one_key() {
        let table = table(&[10 * MS, u64::MAX], 100 * MS);
        assert!(!blocked(&table, 1, 0));
        assert_eq!(ask(&table, 1, 0, 1, Ask::Forget).unwrap(), Answer::seen(Standing::Free));
        assert_eq!(strike(&table, 1, 5), Some(true));
        assert_eq!(strike(&table, 1, 14), Some(false), "a block holds");
        assert!(blocked(&table, 1, 14) && !blocked(&table, 1, 15) && !blocked(&table, 2, 14));
        assert_eq!(strike(&table, 1, 15), Some(true));
        let seen = ask(&table, 1, 1 << 30, 1, Ask::GiveBack { charged: 0, weight: 0 });
        assert_eq!(seen, Ok(Answer::seen(Standing::UntilLifted { step: 1 })));
        let lifted = ask(&table, 1, 16, 1, Ask::Forget).unwrap();
        assert_eq!(lifted, Answer::seen(Standing::Free));
        assert!(!blocked(&table, 1, 16));
        let again = ask(&table, 1, 17, 1, Ask::Charge).unwrap();
        assert_eq!(
            again,
            Answer { standing: Standing::Blocked { left: 10 * MS, step: 0 }, struck: true }
        );
    }

    /// A bucket full of blocks that hold: nobody is forgotten, for centuries or for as
    /// long as they decay, and those that are over make room.
    #[test]
    fn slots_are_not_reclaimed_while_blocks_hold() {
        let table = table(&[u64::MAX], 0);
        for key in 0..16 {
            assert_eq!(strike(&table, key, 0), Some(true));
        }
        for now in [1, 1 << 20, (table.rule().last_now() / MS)] {
            for key in 16..40 {
                assert_eq!(strike(&table, key, now), None, "saturated");
                assert!(!blocked(&table, key, now));
            }
            assert!((0..16).all(|key| blocked(&table, key, now)));
        }
        let _ = ask(&table, 3, 7, 1, Ask::Forget);
        assert_eq!(strike(&table, 20, 8), Some(true));
        assert_eq!(strike(&table, 3, 8), None);
        assert!((0..16).all(|key| blocked(&table, key, 9) == (key != 3)));
        assert!(blocked(&table, 20, 9));
    }

    #[test]
    fn timed_blocks_hold_until_they_decayed() {
        let table = table(&[10 * MS, 20 * MS], 100 * MS);
        for key in 0..16 {
            assert_eq!(strike(&table, key, key), Some(true));
        }
        assert_eq!(strike(&table, 16, 109), None);
        assert_eq!(strike(&table, 16, 110), Some(true));
        // Key 0 gave way; it had decayed, and the ladder starts over.
        assert_eq!(strike(&table, 0, 110), None);
        let again = ask(&table, 0, 112, 1, Ask::Charge).unwrap();
        assert_eq!(again.standing, Standing::Blocked { left: 10 * MS, step: 0 });
        let second = ask(&table, 2, 111, 0, Ask::Charge).unwrap();
        assert_eq!(second.standing, Standing::Free);
        let second = ask(&table, 5, 112, 1, Ask::Charge).unwrap();
        assert_eq!(second.standing, Standing::Blocked { left: 20 * MS, step: 1 });
    }

    #[test]
    fn a_far_block_is_begun_anew_where_its_key_is_asked() {
        let table = table(&[10 * MS], 0);
        let far = 3 * SLACK / MS;
        assert_eq!(strike(&table, 1, far), Some(true));
        let seen = ask(&table, 1, 5, 0, Ask::Charge).unwrap();
        assert_eq!(seen.standing, Standing::Blocked { left: 10 * MS, step: 0 });
        assert!(blocked(&table, 1, far), "a look writes nothing");
        assert_eq!(strike(&table, 1, 5), Some(false));
        assert!(blocked(&table, 1, 14) && !blocked(&table, 1, 15));
    }
}
