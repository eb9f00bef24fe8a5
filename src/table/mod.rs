//! The keyed table: a fixed number of slots, found by fingerprint, claimed
//! when a key is first seen, reclaimed in place when a state is as good as new.
//!
//! It knows no limits and reads no clock. What it must keep:
//!
//! * **Own state.** Between the load of a state and the compare-and-swap that
//!   commits, the slot has not changed hands ([`rule::settle`]).
//! * **One slot a key.** At most one slot bears a key and is live, or may yet
//!   be published as live.
//! * **No credit.** A key that lost its slot starts again from no earlier than
//!   the instant at which its state was as good as new.
//! * **No hang.** Whoever stops or dies, wherever it does, delays others by a
//!   bounded number of looks.
//!
//! # First sight of a key
//!
//! 1. Take the *ticket* of the key's home bucket. If it stays with one holder
//!    for [`Geometry::PATIENCE`] looks, steal it. (A theft never harms: 5.)
//! 2. Look through both buckets. A live slot that bears the key: somebody was
//!    faster; give the ticket back, take the ordinary way. *Claimed* slots that
//!    bear the key: take each over, keep one, give up the others; so no earlier
//!    holder can publish any more. (Rows in which no word seems to bear the key are passed over by
//!    loads without order: what was published under the ticket is seen since it was
//!    taken. An acquire fence after the look makes the floors that were raised before
//!    any word that was read visible.)
//! 3. Otherwise choose a slot without a key, or whose state has been as good as
//!    new for longest:
//!    raise its bucket's *floor* to when it became so, then compare-and-swap
//!    the **state** to our claim. From then on no hit of the old key can
//!    commit, and none was lost, since the swap was from the state that was
//!    seen to be as good as new.
//! 4. Swap the **key** word to ours, from a word that was read before the claim
//!    was last seen to be ours. Key words do not repeat (generation), so a
//!    claimant that lost its claim cannot change the key of its successor.
//! 5. *Confirm* the ticket by a read-modify-write. If it was stolen, give the
//!    slot up: empty the key, then the state. If it was not, any thief to come
//!    finds our key in step 2, and takes the claim over before it publishes.
//! 6. Publish: swap the state from exactly our claim. Failing means the claim
//!    was taken over: start again. Give the ticket back.
//!
//! A claim names its ticket and as much of its number as there is room for, so it
//! does not repeat within 2^24 takings in the largest table, and 2^56 in the
//! smallest. Nothing here depends on how patient anybody is: the models run with
//! no patience at all.

pub(crate) mod geometry;
pub(crate) mod rule;
pub(crate) mod storage;
pub(crate) mod words;

mod first_sight;
mod scan;

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, not(loom)))]
#[path = "../../tests/rules/mod.rs"]
mod oracles;

#[cfg(all(test, loom))]
#[path = "../../tests/loom/mod.rs"]
mod models;

use geometry::{Geometry, Layout, Wide};
use rule::{Request, Rule, Seen, Settled, Step, settle};
use storage::{Memory, OutOfMemory, Storage};
use words::{Floor, Key, Ring, State, Tally, Ticket, bears, is_claim, is_owned, is_vacant};

use crate::sync::AtomicU64;

/// A key's hash: 64 bits, every one of which must be worth a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) u64);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Every slot the key could have belongs to a live key.
    Saturated {
        /// Ticks until the soonest of them may be free.
        soonest: u64,
    },
    /// A state or a floor is further ahead than anything honest: ask again
    /// with a [`Request`] that knows the clock and repairs.
    Fault,
}

/// What a look at some of the slots found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Slots that cannot be given to another key.
    pub(crate) live: usize,
    pub(crate) looked_at: usize,
    /// All there are.
    pub(crate) slots: usize,
}

/// Buckets looked at for a [`Sample`].
const SAMPLE: usize = 1024;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Table<R, S = Memory, G = Wide> {
    rule: R,
    storage: S,
    layout: Layout,
    geometry: std::marker::PhantomData<G>,
}

/// Where a key may be.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The fingerprint, in the upper 48 bits.
    tag: u64,
    /// The bucket that is looked at first, and whose ticket serialises first sight.
    home: usize,
    /// The other bucket; `home` where there is only one.
    away: usize,
}

/// Keys and states of one row.
#[derive(Clone, Copy)]
struct Row<'a> {
    keys: &'a [AtomicU64],
    states: &'a [AtomicU64],
}

/// A row in which a key may be.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'a> {
    tag: u64,
    at: usize,
    row: Row<'a>,
}

/// A slot that seemed to be a key's, for what is more than one decision.
#[derive(Clone, Copy)]
pub(crate) struct Bearer<'a> {
    key: Key<'a>,
    word: u64,
    state: State<'a>,
    pub(crate) ring: Ring<'a>,
}

/// A charge that was weighed, and is not made yet: see [`Table::weigh`].
#[derive(Clone, Copy, Debug)]
#[cfg(any(feature = "policy", all(test, loom)))]
pub(crate) struct Weighed {
    /// Of all slots, row by row.
    at: usize,
    seen: u64,
    next: u64,
}

/// One slot by row and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    row: usize,
    nth: usize,
}

impl<R: Rule, G: Geometry> Table<R, Memory, G> {
    /// A table on the heap.
    pub(crate) fn on_heap(rule: R, layout: Layout) -> Result<Self, OutOfMemory> {
        let storage = Memory::try_new(layout.len)?;
        Ok(Self { rule, storage, layout, geometry: std::marker::PhantomData })
    }

    /// A table in memory that is there already: zeroed, or a table's of the same layout.
    #[cfg(feature = "shared")]
    pub(crate) fn in_memory(rule: R, layout: Layout, storage: Memory) -> Option<Self> {
        if storage.words().len() < layout.len {
            return None;
        }
        Some(Self { rule, storage, layout, geometry: std::marker::PhantomData })
    }
}

impl<R: Rule, S: Storage, G: Geometry> Table<R, S, G> {
    pub(crate) const fn rule(&self) -> &R {
        &self.rule
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Words that the table does not use: zero when it was new.
    #[cfg(feature = "shared")]
    #[inline(always)]
    pub(crate) fn spare(&self) -> &[AtomicU64; 7] {
        let [_, _, _, _, _, _, _, _, spare @ .., _] = self.storage.head();
        spare
    }

    /// How many new keys found no slot.
    pub(crate) fn saturated(&self) -> u64 {
        self.saturations().get()
    }

    /// Decides one request by the table's own rule.
    #[cfg(test)]
    pub(crate) fn decide(&self, hash: Hash, request: &Request) -> Result<R::Answer, Refused> {
        self.decide_by(&self.rule, hash, request)
    }

    /// Decides one request by `rule`, which has the same room as the table's own.
    pub(crate) fn decide_by(
        &self,
        rule: &R,
        hash: Hash,
        request: &Request,
    ) -> Result<R::Answer, Refused> {
        let spot = self.spot(hash);
        let found = spot.find();
        match self.hit(rule, &spot, found, request) {
            Some(answer) => Ok(answer),
            None => self.decide_anywhere(rule, hash, found.is_some(), request),
        }
    }

    /// Where most keys are: the preferred row of the home bucket.
    #[inline(always)]
    pub(crate) fn spot(&self, hash: Hash) -> Spot<'_> {
        let tag = tag(hash);
        self.spot_in(self.home(hash) * G::ROWS + preferred::<G>(tag), tag)
    }

    #[inline(always)]
    fn spot_in(&self, at: usize, tag: u64) -> Spot<'_> {
        Spot { tag, at, row: self.row(at) }
    }

    /// Decides a request of a key that was found, when nothing comes in between;
    /// else nothing has happened, and [`decide_anywhere`](Self::decide_anywhere) is
    /// to be asked. Small, for it is part of every caller.
    #[inline(always)]
    pub(crate) fn hit(
        &self,
        rule: &R,
        spot: &Spot<'_>,
        found: Option<usize>,
        request: &Request,
    ) -> Option<R::Answer> {
        let (nth, tag) = (found?, spot.tag);
        let (key, state) = (spot.row.keys.get(nth)?, spot.row.states.get(nth)?);
        let (key, state) = (Key::new(key), State::new(state));
        let word = key.hint();
        let seen = state.load();
        // As `rule::settle` says, which is what follows if anything here fails.
        if !bears(word, tag) || key.again() != word || !is_owned(seen) {
            return None;
        }
        let ring = self.ring(Slot { row: spot.at, nth });
        match rule.decide(request, Seen::Live(seen), ring) {
            Step::Commit(next, answer) => {
                rule.write(request, Seen::Live(seen), ring);
                state.swap(seen, next).then_some(answer)
            }
            Step::Answer(answer) => {
                (rule.ring_words() == 0 || state.load() == seen).then_some(answer)
            }
            Step::Tidy(_) | Step::Fault => None,
        }
    }

    /// As [`hit`](Self::hit), but what would be committed is left to
    /// [`make`](Self::make), which its answer waits for.
    #[inline(always)]
    #[cfg(any(feature = "policy", all(test, loom)))]
    pub(crate) fn weigh(
        &self,
        rule: &R,
        spot: &Spot<'_>,
        found: Option<usize>,
        request: &Request,
    ) -> Option<(R::Answer, Option<Weighed>)> {
        let (nth, tag) = (found?, spot.tag);
        let (key, state) = (spot.row.keys.get(nth)?, spot.row.states.get(nth)?);
        let (key, state) = (Key::new(key), State::new(state));
        let word = key.hint();
        let seen = state.load();
        if !bears(word, tag) || key.again() != word || !is_owned(seen) {
            return None;
        }
        let place = Slot { row: spot.at, nth };
        match rule.decide(request, Seen::Live(seen), self.ring(place)) {
            Step::Commit(next, answer) => {
                let at = place.row * G::ROW + place.nth;
                Some((answer, Some(Weighed { at, seen, next })))
            }
            Step::Answer(answer) => {
                let stands = rule.ring_words() == 0 || state.load() == seen;
                stands.then_some((answer, None))
            }
            Step::Tidy(_) | Step::Fault => None,
        }
    }

    /// Makes a charge by the rule and for the request that it was weighed for. Whether it
    /// was: the state is still the one that was weighed, however long ago, as no state of
    /// a slot returns; so the slot is still the key's, and the answer is the answer of now.
    /// If not, nothing has happened.
    #[inline(always)]
    #[cfg(any(feature = "policy", all(test, loom)))]
    pub(crate) fn make(&self, rule: &R, weighed: Weighed, request: &Request) -> bool {
        let Weighed { at, seen, next } = weighed;
        let slot = Slot { row: at / G::ROW, nth: at % G::ROW };
        let state = self.row(slot.row).state(slot.nth);
        // Not to raise the stamps of those who came in between.
        if rule.ring_words() > 0 && state.load() != seen {
            return false;
        }
        rule.write(request, Seen::Live(seen), self.ring(slot));
        state.swap(seen, next)
    }

    /// Counts live slots at `now`, in a limited number of buckets spread evenly.
    pub(crate) fn sample(&self, now: u64) -> Sample {
        let buckets = self.layout.buckets;
        let looked_at = buckets.min(SAMPLE);
        let mut live = 0;
        for nth in 0..looked_at {
            #[allow(clippy::cast_possible_truncation)] // below the number of buckets
            let bucket = (nth as u128 * buckets as u128 / looked_at as u128) as usize;
            for at in bucket * G::ROWS..(bucket + 1) * G::ROWS {
                let row = self.row(at);
                live += (0..G::ROW)
                    .filter(|&nth| {
                        let state = row.state(nth).load();
                        let ring = self.ring(Slot { row: at, nth });
                        !is_vacant(state)
                            && (is_claim(state) || self.rule.free_at(state, ring) > now)
                    })
                    .count();
            }
        }
        let in_bucket = G::ROW * G::ROWS;
        Sample { live, looked_at: looked_at * in_bucket, slots: buckets * in_bucket }
    }

    /// Decides a request, wherever the key is. `borne`: whether it was found in its
    /// first row.
    pub(crate) fn decide_anywhere(
        &self,
        rule: &R,
        hash: Hash,
        borne: bool,
        request: &Request,
    ) -> Result<R::Answer, Refused> {
        let place = self.place(hash);
        // The first row is where `hit` has looked. The others are fetched together.
        let others = Self::rows(&place).skip(1).map(|at| self.spot_in(at, place.tag));
        for spot in others.clone() {
            spot.prefetch();
        }
        if !borne {
            // What a first sight asks first, should it be one.
            for bucket in [place.home, place.away] {
                self.prefetch_bucket(bucket);
            }
        }
        let mut borne = borne;
        for spot in others {
            let found = spot.find();
            if let Some(answer) = self.hit(rule, &spot, found, request) {
                return Ok(answer);
            }
            borne |= found.is_some();
        }
        loop {
            if borne {
                for at in Self::rows(&place) {
                    let row = self.row(at);
                    for (nth, key) in row.keys.iter().enumerate() {
                        let word = Key::new(key).hint();
                        if !bears(word, place.tag) {
                            continue;
                        }
                        match self.visit(rule, Slot { row: at, nth }, row, word, request) {
                            Settled::Answer(answer) => return Ok(answer),
                            Settled::Elsewhere => {}
                            Settled::Fault => return Err(Refused::Fault),
                        }
                    }
                }
            }
            // Who comes back here was told of a slot that bears the key.
            borne = true;
            let floor = self.floor_of(&place, request)?;
            let seen = Seen::Fresh { floor, generation: 0 };
            if let Step::Answer(answer) = rule.decide(request, seen, Ring::EMPTY) {
                return Ok(answer);
            }
            match self.first_sight(rule, &place, request) {
                first_sight::Sight::Decided(answer) => return Ok(answer),
                first_sight::Sight::Refused(refused) => {
                    if refused != Refused::Fault {
                        self.saturations().add_one();
                    }
                    return Err(refused);
                }
                first_sight::Sight::Present => {}
            }
        }
    }

    /// The slots that seem to be the key's: one, unless they are changing hands.
    pub(crate) fn bearers(&self, hash: Hash) -> impl Iterator<Item = Bearer<'_>> {
        let place = self.place(hash);
        Self::rows(&place).flat_map(move |at| {
            let row = self.row(at);
            (0..G::ROW).filter_map(move |nth| {
                let (key, state) = (row.key(nth), row.state(nth));
                let word = key.hint();
                let ring = self.ring(Slot { row: at, nth });
                bears(word, place.tag).then_some(Bearer { key, word, state, ring })
            })
        })
    }

    /// Decides on a slot whose key word was `word`, unless it moved on.
    #[inline(always)]
    fn visit(
        &self,
        rule: &R,
        slot: Slot,
        row: Row<'_>,
        word: u64,
        request: &Request,
    ) -> Settled<R::Answer> {
        let (key, state) = (row.key(slot.nth), row.state(slot.nth));
        settle(rule, request, state, self.ring(slot), || key.again() == word)
    }

    /// From when on a key that has no slot may be as good as new.
    ///
    /// A floor was somebody's `now` at the latest, so one far ahead of the
    /// latest time known is a fault. Looking does not repair it.
    fn floor_of(&self, place: &Place, request: &Request) -> Result<u64, Refused> {
        let mut latest = 0;
        for bucket in [place.home, place.away] {
            let floor = self.floor(bucket);
            let mut at = floor.get();
            if at > request.latest.saturating_add(self.rule.slack()) {
                if !request.repair {
                    return Err(Refused::Fault);
                }
                if !request.only_looks() {
                    floor.repair(at, request.latest);
                }
                at = request.latest;
            }
            latest = latest.max(at);
        }
        Ok(latest)
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // below the number of buckets
    fn scale(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.layout.buckets as u128) >> 64) as usize
    }

    #[inline(always)]
    fn home(&self, hash: Hash) -> usize {
        self.scale(hash.0)
    }

    fn place(&self, hash: Hash) -> Place {
        let home = self.home(hash);
        // Another multiplicative view of the same 64 bits; any mixing will do.
        let mut away = self.scale((hash.0 ^ hash.0 >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9));
        if away == home {
            away = if home + 1 < self.layout.buckets { home + 1 } else { 0 };
        }
        Place { tag: tag(hash), home, away }
    }

    /// The rows of both buckets, each once, in the order in which they are looked
    /// at: those where new keys go while there is room, then the others.
    fn rows(place: &Place) -> impl Iterator<Item = usize> + Clone + use<R, S, G> {
        let first = preferred::<G>(place.tag);
        let (home, away) = (place.home, place.away);
        let both = usize::from(home != away);
        (0..G::ROWS << both).map(move |i| {
            let bucket = if i & both == 0 { home } else { away };
            bucket * G::ROWS + (first + (i >> both)) % G::ROWS
        })
    }

    #[inline(always)]
    fn row(&self, row: usize) -> Row<'_> {
        let at = self.layout.rows_at + row * (2 * G::ROW);
        let (keys, states) = self.storage.words()[at..at + 2 * G::ROW].split_at(G::ROW);
        Row { keys, states }
    }

    #[inline(always)]
    fn ring(&self, slot: Slot) -> Ring<'_> {
        let len = self.rule.ring_words();
        if len == 0 {
            return Ring::EMPTY;
        }
        let at = self.layout.rings_at + (slot.row * G::ROW + slot.nth) * len;
        Ring::new(&self.storage.words()[at..at + len])
    }

    /// Has a bucket's ticket and floor fetched from memory.
    fn prefetch_bucket(&self, bucket: usize) {
        let at = geometry::HEAD_WORDS + geometry::BUCKET_WORDS * bucket;
        if let Some(word) = self.storage.words().get(at) {
            storage::prefetch(word);
        }
    }

    fn ticket(&self, bucket: usize) -> Ticket<'_> {
        Ticket::new(&self.storage.words()[geometry::HEAD_WORDS + geometry::BUCKET_WORDS * bucket])
    }

    fn floor(&self, bucket: usize) -> Floor<'_> {
        Floor::new(
            &self.storage.words()[geometry::HEAD_WORDS + geometry::BUCKET_WORDS * bucket + 1],
        )
    }

    fn saturations(&self) -> Tally<'_> {
        Tally::new(&self.storage.words()[0])
    }
}

/// The low 48 bits of the hash, in the upper bits of a word, and never 0. The
/// bucket comes from the top of the hash.
#[inline(always)]
const fn tag(hash: Hash) -> u64 {
    let tag = hash.0 << words::GENERATION_BITS;
    if tag == 0 { 1 << words::GENERATION_BITS } else { tag }
}

/// Which row of its buckets a key is put in if there is room.
#[inline(always)]
const fn preferred<G: Geometry>(tag: u64) -> usize {
    (tag >> words::GENERATION_BITS) as usize % G::ROWS
}

impl Spot<'_> {
    /// Has the row fetched from memory. Nothing waits for it.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        for line in [self.row.keys, self.row.states] {
            if let Some(word) = line.first() {
                storage::prefetch(word);
            }
        }
    }

    /// Which slot seems to be the key's. A hint: nothing follows from it, so it
    /// needs no time and may come before the clock is known.
    #[inline(always)]
    pub(crate) fn find(&self) -> Option<usize> {
        scan::first_bearer(self.row.keys, self.tag)
    }
}

impl Bearer<'_> {
    /// The state, if it is the key's: what [`swap`](Self::swap) succeeds from was so
    /// until then, as `rule::settle` says.
    pub(crate) fn owned(&self) -> Option<u64> {
        let seen = self.state.load();
        (self.key.again() == self.word && is_owned(seen)).then_some(seen)
    }

    pub(crate) fn swap(&self, from: u64, to: u64) -> bool {
        self.state.swap(from, to)
    }
}

impl<'a> Row<'a> {
    #[inline(always)]
    fn key(self, nth: usize) -> Key<'a> {
        Key::new(&self.keys[nth])
    }

    #[inline(always)]
    fn state(self, nth: usize) -> State<'a> {
        State::new(&self.states[nth])
    }
}
