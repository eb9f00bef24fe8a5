//! What the table knows of an algorithm: a rule over one slot's words.

use super::words::{Ring, State, is_owned};

/// A request, as far as the table is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Ticks since the table's epoch.
    pub(crate) now: u64,
    /// Units; 0 only looks.
    pub(crate) cost: u64,
    /// The latest time the caller knows of, at least `now`: what lies further
    /// ahead of it than anything honest can is a fault.
    pub(crate) latest: u64,
    /// Whether faults are to be repaired. Otherwise they are reported.
    pub(crate) repair: bool,
    /// What is to be done with those units.
    pub(crate) ask: Ask,
}

/// What is asked for. The table hands it on to the rule, unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The units, all or none.
    Charge,
    /// The units, all or none, for use after at most so many ticks.
    Reserve(u64),
    /// The units, which were used already.
    Force,
    /// To take the units back.
    GiveBack {
        /// When they were charged.
        charged: u64,
        /// What they weighed then; 0: not known.
        weight: u64,
    },
    /// To take back whatever was charged.
    Forget,
    /// What [`Charge`](Self::Charge) would say. Nothing is written, and a key
    /// without a slot stays without. Whether there would be one it does not tell, and
    /// whether its last one was reclaimed by a later clock it may learn a moment late:
    /// the charge does.
    #[allow(dead_code)] // policies look, and who waits
    Look,
    /// To leave nothing of what could still pass now, if the units would not pass,
    /// but may later; else nothing. The answer tells how the key stands then, and
    /// what the same units are told then. Never allowed is not *later*, and a key
    /// without a slot stays without.
    #[allow(dead_code)] // a policy's denials empty a limit
    Exhaust,
}

impl Request {
    /// A request whose faults are reported.
    #[inline(always)]
    pub(crate) const fn new(now: u64, cost: u64) -> Self {
        Self { now, cost, latest: now, repair: false, ask: Ask::Charge }
    }

    pub(crate) const fn asking(self, ask: Ask) -> Self {
        Self { ask, ..self }
    }

    /// Whether nothing is ever written for it, not even a repair.
    #[inline]
    pub(super) const fn only_looks(&self) -> bool {
        self.cost == 0 || matches!(self.ask, Ask::Look)
    }

    /// The same request against a later clock, whose faults are repaired.
    pub(crate) const fn repairing(self, clock: u64) -> Self {
        let latest = if clock > self.now { clock } else { self.now };
        Self { latest, repair: true, ..self }
    }
}

/// The state a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// The key's own state word.
    Live(u64),
    /// The key has no slot; whatever it was charged before was as good as new
    /// by `floor`. `generation` will be its slot's.
    Fresh { floor: u64, generation: u64 },
}

/// What a rule says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<A> {
    /// The answer, if the state can be replaced by this word.
    Commit(u64, A),
    /// The answer; nothing is written.
    Answer(A),
    /// Replace the state by this word and ask again.
    Tidy(u64),
    /// The state cannot be honest. Never said of a fresh key, nor of the
    /// word that [`Rule::repair`] made for the same request.
    Fault,
}

/// An algorithm behind the table: pure but for [`write`](Self::write) and
/// [`repair`](Self::repair), which touch the slot's ring.
pub(crate) trait Rule: Send + Sync {
    type Answer;

    /// Words of ring that each slot needs. If any, an answer must be
    /// confirmed by a second look at the state.
    fn ring_words(&self) -> usize;

    /// Answers a request. Words it gives back lie below the table's own
    /// (`words::is_owned`), and a committed one never equals a state that the slot
    /// had under another key.
    fn decide(&self, request: &Request, seen: Seen, ring: Ring<'_>) -> Step<Self::Answer>;

    /// Writes what the state about to be committed will count.
    fn write(&self, request: &Request, seen: Seen, ring: Ring<'_>);

    /// Writes what must be known before `state` is replaced by a tidier one.
    fn write_tidied(&self, request: &Request, state: u64, ring: Ring<'_>);

    /// The word that replaces a state which cannot be honest: in full debt at
    /// the latest time known. `unchanged` tells whether it is still the state.
    fn repair(
        &self,
        request: &Request,
        state: u64,
        ring: Ring<'_>,
        unchanged: impl Fn() -> bool,
    ) -> u64;

    /// The answer to a request that only looks at such a state, and would repair it
    /// if it did more.
    fn look_at_fault(&self, request: &Request) -> Self::Answer;

    /// From when on the slot may be given to another key.
    fn free_at(&self, state: u64, ring: Ring<'_>) -> u64;

    /// How far ahead of the latest time an honest [`free_at`](Self::free_at) can lie.
    fn furthest_free(&self) -> u64;

    /// How far ahead of the latest time an honest floor can lie: what the
    /// clocks of two callers may differ.
    fn slack(&self) -> u64;
}

/// How deciding on one state word ended.
pub(crate) enum Settled<A> {
    Answer(A),
    /// The slot is not ours (any more), or the word is the table's own.
    Elsewhere,
    /// The state cannot be honest, and was not to be repaired.
    Fault,
}

/// Decides on one state word, for as long as it is `still_ours`.
///
/// The answer is final when the compare-and-swap from the very word it was
/// computed from succeeds: no state of a slot returns to an earlier value, so
/// the word was the slot's state from the load on, and `still_ours`, asked
/// after the load, says whose slot that was.
#[inline(always)]
pub(crate) fn settle<R: Rule>(
    rule: &R,
    request: &Request,
    state: State<'_>,
    ring: Ring<'_>,
    still_ours: impl Fn() -> bool,
) -> Settled<R::Answer> {
    loop {
        let word = state.load();
        if !still_ours() || !is_owned(word) {
            return Settled::Elsewhere;
        }
        let seen = Seen::Live(word);
        match rule.decide(request, seen, ring) {
            Step::Commit(next, answer) => {
                rule.write(request, seen, ring);
                if state.swap(word, next) {
                    return Settled::Answer(answer);
                }
            }
            Step::Answer(answer) => {
                // Ring entries may have been overwritten while they were read,
                // but not before the state moved on.
                if rule.ring_words() == 0 || state.load() == word {
                    return Settled::Answer(answer);
                }
            }
            Step::Tidy(next) => {
                rule.write_tidied(request, word, ring);
                state.swap(word, next);
            }
            Step::Fault if !request.repair => return Settled::Fault,
            Step::Fault if request.only_looks() => {
                return Settled::Answer(rule.look_at_fault(request));
            }
            Step::Fault => {
                let next = rule.repair(request, word, ring, || state.load() == word);
                state.swap(word, next);
            }
        }
    }
}
