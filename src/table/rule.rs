//! What the table knows of an algorithm: a rule over one slot's words.

use super::words::{Ring, State, is_owned};

/// A request, as far as the table is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Ticks since the table's epoch.
    pub(crate) now: u64,
    /// Units; 0 only looks.
    pub(crate) cost: u64,
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
    /// The state cannot be honest: repair it and ask again.
    Fault,
}

/// An algorithm behind the table: pure but for [`write`](Self::write) and
/// [`repair`](Self::repair), which touch the slot's ring.
pub(crate) trait Rule: Send + Sync {
    type Answer;

    /// Words of ring that each slot needs. If any, an answer must be
    /// confirmed by a second look at the state.
    fn ring_words(&self) -> usize;

    /// Answers a request. Words it gives back lie below the table's
    /// own (`words::is_owned`), and a committed one never equals an earlier state
    /// of the slot.
    fn decide(&self, request: &Request, seen: Seen, ring: Ring<'_>) -> Step<Self::Answer>;

    /// Writes what the state about to be committed will count.
    fn write(&self, request: &Request, seen: Seen, ring: Ring<'_>);

    /// Writes what must be known before `state` is replaced by a tidier one.
    fn write_tidied(&self, request: &Request, state: u64, ring: Ring<'_>);

    /// The word that replaces a state which cannot be honest.
    fn repair(&self, now: u64, state: u64, ring: Ring<'_>) -> u64;

    /// From when on the slot may be given to another key.
    fn free_at(&self, state: u64, ring: Ring<'_>) -> u64;

    /// How far ahead of `now` an honest [`free_at`](Self::free_at) can lie.
    fn furthest_free(&self) -> u64;
}

/// Decides on one state word, for as long as it is `still_ours`.
///
/// `None` if it is not, or the word is the table's own.
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
) -> Option<R::Answer> {
    loop {
        let word = state.load();
        if !still_ours() || !is_owned(word) {
            return None;
        }
        let seen = Seen::Live(word);
        match rule.decide(request, seen, ring) {
            Step::Commit(next, answer) => {
                rule.write(request, seen, ring);
                if state.swap(word, next) {
                    return Some(answer);
                }
            }
            Step::Answer(answer) => {
                // Ring entries may have been overwritten while they were read,
                // but not before the state moved on.
                if rule.ring_words() == 0 || state.load() == word {
                    return Some(answer);
                }
            }
            Step::Tidy(next) => {
                rule.write_tidied(request, word, ring);
                state.swap(word, next);
            }
            Step::Fault => {
                let next = rule.repair(request.now, word, ring);
                state.swap(word, next);
            }
        }
    }
}
