//! Many keys at one reading of the clock, their slots fetched ahead.

use super::{Algorithm, KeyedLimiter, hash::KeyHasher, key::Name};
use crate::{
    decision::Decision,
    table::{Hash, rule::Request},
    time::{Clock, Nanos},
};
use std::iter::Fuse;

/// How many keys are hashed, and their slots asked for, ahead of the decisions:
/// as many as a core has misses under way, and some.
const AHEAD: usize = 16;

/// A key of a batch, of either kind.
pub(super) trait BatchKey {
    fn hash(&self, hasher: &KeyHasher) -> Hash;
    fn name(&self) -> Name<'_>;
}

pub(super) struct BytesKey<K>(pub(super) K);
pub(super) struct HashKey(pub(super) u64);

impl<K: AsRef<[u8]>> BatchKey for BytesKey<K> {
    #[inline(always)]
    fn hash(&self, hasher: &KeyHasher) -> Hash {
        hasher.bytes(self.0.as_ref())
    }

    fn name(&self) -> Name<'_> {
        Name::bytes(self.0.as_ref())
    }
}

impl BatchKey for HashKey {
    #[inline(always)]
    fn hash(&self, hasher: &KeyHasher) -> Hash {
        hasher.hash(self.0)
    }

    fn name(&self) -> Name<'_> {
        Name::hash(self.0)
    }
}

/// An iterator of decisions. Hashes go round a ring: the one that is decided makes
/// room for the one whose slot is fetched.
pub(super) struct Batch<'a, A, C, I: Iterator> {
    limiter: &'a KeyedLimiter<A, C>,
    rule: A,
    request: Request,
    now: Nanos,
    keys: Fuse<I>,
    ring: [Hash; AHEAD],
    /// The keys themselves, kept only where somebody wants their names.
    names: [Option<I::Item>; AHEAD],
    /// The next to be decided, and how many are ready from there on.
    at: usize,
    ready: usize,
}

impl<'a, A: Algorithm, C: Clock, I: Iterator<Item: BatchKey>> Batch<'a, A, C, I> {
    #[inline]
    pub(super) fn new(limiter: &'a KeyedLimiter<A, C>, now: Nanos, keys: I) -> Self {
        let mut batch = Self {
            limiter,
            rule: limiter.rule(),
            request: limiter.store.request(1, now),
            now,
            // Nothing may be taken beyond the end: it would wait in the ring, undecided.
            keys: keys.fuse(),
            ring: [Hash(0); AHEAD],
            names: [const { None }; AHEAD],
            at: 0,
            ready: 0,
        };
        for nth in 0..AHEAD {
            if !batch.fetch(nth) {
                break;
            }
            batch.ready += 1;
        }
        batch
    }

    /// Takes the next key and has its slot fetched; `false` if there is none.
    #[inline(always)]
    fn fetch(&mut self, nth: usize) -> bool {
        let (Some(slot), Some(key)) = (self.ring.get_mut(nth), self.keys.next()) else {
            return false;
        };
        *slot = key.hash(&self.limiter.hasher);
        self.limiter.store.table().spot(*slot).prefetch();
        if self.limiter.watch.is_some() {
            self.names[nth] = Some(key);
        }
        true
    }
}

impl<A: Algorithm, C: Clock, I: Iterator<Item: BatchKey>> Iterator for Batch<'_, A, C, I> {
    type Item = Decision;

    #[inline]
    fn next(&mut self) -> Option<Decision> {
        if self.ready == 0 {
            return None;
        }
        let at = self.at;
        let hash = *self.ring.get(at)?;
        let name = if self.limiter.watch.is_some() { self.names[at].take() } else { None };
        if !self.fetch(at) {
            self.ready -= 1;
        }
        self.at = (at + 1) % AHEAD;
        let spot = self.limiter.store.table().spot(hash);
        let found = (hash, spot, spot.find());
        let name = name.as_ref().map_or(Name::hash(hash.0), BatchKey::name);
        Some(self.limiter.ask(&self.rule, found, name, self.request, self.now))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.keys.size_hint();
        (least.saturating_add(self.ready), most.and_then(|most| most.checked_add(self.ready)))
    }
}
