//! The words of the table and the ordering contract of each.
//!
//! Every atomic of the table is touched through one of these types and
//! nowhere else. The pairs, and the model that covers each
//! (`tests/loom`):
//!
//! | what is published | by | seen by | model |
//! |---|---|---|---|
//! | a slot's new key, before its first state | [`State::swap`] claim → state (Release) | [`State::load`] (Acquire), then [`Key::again`] | `reclaim_against_hit` |
//! | the floor, before the key that hid behind it goes | [`Key::swap`], [`State::swap`] (Release) | [`Key::load`], [`State::load`] (Acquire), then [`Floor::get`] | `old_now_after_reclaim` |
//! | a claimed slot's key, before the first-sight ticket is confirmed | [`Ticket::confirm`] (Release) | the thief's [`Ticket::take`] (Acquire), then [`Key::load`] | `first_sight_with_theft` |
//! | ring entries, before the state that counts them | [`State::swap`] (Release) | [`State::load`] (Acquire), then [`Ring::stamp`] | `log_last_unit` |
//! | the state a later proposal was based on | [`Ring::propose`] (Release) | [`Ring::stamp`] (Acquire), then [`State::load`] | `log_denial_is_consistent` |
//! | the state that a lease was committed by, before its entry | [`Ring::replace`] (Release) | [`Ring::stamp`] (Acquire), then [`State::load`] | `lease_denial_is_consistent` |
//! | a lease's entry, before the state that no longer waits for it | [`State::swap`] (Release) | [`State::load`] (Acquire), then [`Ring::stamp`] | `lease_slot_freed_early` |
//!
//! All of them are read-modify-writes or follow one, so no `SeqCst` is needed.

use crate::sync::{AtomicU64, Ordering};

/// The key word: 48 bits of fingerprint, then 16 of generation.
///
/// Fingerprint 0: no key. Every change raises the generation, so that a word
/// seen before is not seen again until 2^16 changes later.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a>(&'a AtomicU64);

pub(crate) const GENERATION_BITS: u32 = 16;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// Whether a key word bears the fingerprint of `tag` (its upper 48 bits).
#[inline(always)]
pub(crate) const fn bears(word: u64, tag: u64) -> bool {
    (word ^ tag) >> GENERATION_BITS == 0
}

pub(crate) const fn generation(word: u64) -> u64 {
    word & GENERATION_MASK
}

/// The word that follows `word` in its slot and bears `tag` (0: no key).
pub(crate) const fn successor(word: u64, tag: u64) -> u64 {
    tag | (word.wrapping_add(1) & GENERATION_MASK)
}

impl<'a> Key<'a> {
    pub(super) fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// Where to look closer. Only a hint: nothing follows from it.
    #[inline(always)]
    pub(crate) fn hint(self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn load(self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The second look, after the state was loaded: the Acquire of that load
    /// orders it.
    #[inline(always)]
    pub(crate) fn again(self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn swap(self, from: u64, to: u64) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The state word: what the rule makes of it, or a claim.
#[derive(Clone, Copy)]
pub(crate) struct State<'a>(&'a AtomicU64);

/// Claims: `0xFF`, then the claimant's home bucket (at most 32 bits) and its
/// ticket's number. A slot that a claimant gave up keeps its word, but
/// with `0x7F`: free for anybody, and no earlier state.
const CLAIM: u64 = 0xFF << 56;
const VACANT: u64 = 0x7F << 56;

#[inline(always)]
pub(crate) const fn is_claim(state: u64) -> bool {
    state >= CLAIM
}

pub(crate) const fn is_vacant(state: u64) -> bool {
    state >> 56 == VACANT >> 56
}

/// Neither a claim nor vacant: a key's own.
#[inline(always)]
pub(crate) const fn is_owned(state: u64) -> bool {
    state << 1 < VACANT << 1
}

pub(crate) const fn vacated(claim: u64) -> u64 {
    claim ^ CLAIM ^ VACANT
}

impl<'a> State<'a> {
    pub(crate) fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    #[inline(always)]
    pub(crate) fn load(self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(crate) fn swap(self, from: u64, to: u64) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// The latest instant at which a reclaimed state of this bucket became as
/// good as new: a new key starts from no earlier.
#[derive(Clone, Copy)]
pub(crate) struct Floor<'a>(&'a AtomicU64);

impl<'a> Floor<'a> {
    pub(super) fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    pub(crate) fn get(self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn raise(self, to: u64) {
        if self.get() < to {
            self.0.fetch_max(to, Ordering::AcqRel);
        }
    }

    /// Lowers a floor that no honest state can have left behind.
    pub(crate) fn repair(self, from: u64, to: u64) {
        let _ = self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// A bucket's first-sight ticket: bit 0 held or free, above it a number that
/// every taking and every theft raises.
///
/// All its changes are read-modify-writes, so they are in one order, and each
/// holder sees what every earlier holder did before confirming.
#[derive(Clone, Copy)]
pub(crate) struct Ticket<'a>(&'a AtomicU64);

/// A ticket word as its holder wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held(u64);

impl Held {
    /// The claim that this holder puts on slots: its bucket, `home` of so many,
    /// and below it as much of its number as there is room for.
    pub(crate) const fn claim(self, home: u64, buckets: u64) -> u64 {
        let number_bits = buckets.leading_zeros() - CLAIM.leading_ones();
        CLAIM | home << number_bits | (self.0 >> 1) & ((1 << number_bits) - 1)
    }
}

impl<'a> Ticket<'a> {
    pub(super) fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// The holder's word, or 0 if it is free.
    pub(crate) fn holder(self) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        if word & 1 == 1 { word } else { 0 }
    }

    /// Takes a ticket that is free, or one still held by `victim`.
    pub(crate) fn take(self, victim: u64) -> Option<Held> {
        let word = self.0.load(Ordering::Relaxed);
        if word & 1 == 1 && word != victim {
            return None;
        }
        let mine = (word >> 1).wrapping_add(1) << 1 | 1;
        self.0
            .compare_exchange(word, mine, Ordering::AcqRel, Ordering::Relaxed)
            .ok()
            .map(|_| Held(mine))
    }

    /// Whether the ticket is still ours. A thief that takes it later sees
    /// everything done before this; one that took it earlier makes this fail.
    pub(crate) fn confirm(self, held: Held) -> bool {
        self.0.compare_exchange(held.0, held.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Gives it back, unless it was stolen.
    pub(crate) fn release(self, held: Held) {
        let free = held.0 & !1;
        let _ = self.0.compare_exchange(held.0, free, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// The words that belong to a slot beside its state. A log's only ever rise, but for
/// [`mend`](Self::mend); leases [`replace`](Self::replace) theirs.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a>(&'a [AtomicU64]);

impl<'a> Ring<'a> {
    pub(crate) fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    pub(crate) const EMPTY: Ring<'static> = Ring(&[]);

    #[inline]
    pub(crate) fn stamp(self, entry: usize) -> u64 {
        self.0.get(entry).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Raises an entry to at least `stamp` and returns what it holds then.
    pub(crate) fn propose(self, entry: usize, stamp: u64) -> u64 {
        self.0.get(entry).map_or(stamp, |word| word.fetch_max(stamp, Ordering::AcqRel).max(stamp))
    }

    /// Replaces an entry by `to` if it still is `from`.
    pub(crate) fn replace(self, entry: usize, from: u64, to: u64) -> bool {
        self.0.get(entry).is_some_and(|word| {
            word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// Sets all entries: the repair of a log that cannot be honest, while it is
    /// `unchanged`. An entry is lowered only from what it held when that was
    /// still so: who comes late, even to another key's log, lowers nothing that
    /// was written since.
    pub(crate) fn mend(self, stamp: u64, unchanged: impl Fn() -> bool) {
        for word in self.0 {
            let seen = word.load(Ordering::Acquire);
            if !unchanged() {
                return;
            }
            if seen > stamp {
                let _ = word.compare_exchange(seen, stamp, Ordering::AcqRel, Ordering::Relaxed);
            } else {
                word.fetch_max(stamp, Ordering::AcqRel);
            }
        }
    }
}

/// A count that stands for itself: `Relaxed` is enough.
#[derive(Clone, Copy)]
pub(crate) struct Tally<'a>(&'a AtomicU64);

impl<'a> Tally<'a> {
    pub(super) fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    pub(crate) fn add_one(self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
