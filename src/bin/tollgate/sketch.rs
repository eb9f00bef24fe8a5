//! Counting in bounded memory what is too much to list.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hasher},
};

/// Estimates how many different keys there were from the smallest hashes seen
/// (Bar-Yossef et al. 2002, "k minimum values"). Off by about 1/sqrt(k): 1.6 %.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    smallest: BTreeSet<u64>,
}

const KEPT_HASHES: usize = 4096;

impl Distinct {
    /// Takes note of a key; the same key again changes nothing.
    pub(crate) fn add(&mut self, key: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        let hash = hasher.finish();
        if self.smallest.len() < KEPT_HASHES {
            self.smallest.insert(hash);
        } else if self.smallest.last().is_some_and(|last| hash < *last)
            && self.smallest.insert(hash)
        {
            self.smallest.pop_last();
        }
    }

    /// About how many different keys were added.
    pub(crate) fn estimate(&self) -> u64 {
        let kept = self.smallest.len();
        match self.smallest.last() {
            Some(last) if kept >= KEPT_HASHES => {
                let whole = u128::from(u64::MAX) * (kept as u128 - 1);
                u64::try_from(whole / u128::from(*last).max(1)).unwrap_or(u64::MAX)
            }
            _ => kept as u64,
        }
    }
}

/// What is known of one key's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) denied: u64,
}

/// The keys denied most among more keys than can be listed (Metwally et al.
/// 2005, "Space-Saving"): a key that finds no room takes over the place and
/// the denials of the one denied least. So the denials of a listed key are never
/// too low, and whoever got more than its share of all denials, by the number
/// of places, is listed.
#[derive(Debug)]
pub(crate) struct Heavy {
    places: Vec<(Box<[u8]>, Counts)>,
    by_key: HashMap<Box<[u8]>, usize>,
    by_denied: BTreeSet<(u64, usize)>,
    most: usize,
}

impl Heavy {
    /// With room for `most` keys, at least one.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            places: Vec::new(),
            by_key: HashMap::new(),
            by_denied: BTreeSet::new(),
            most: most.max(1),
        }
    }

    /// Counts a request. A key is known from its first denial on.
    pub(crate) fn count(&mut self, key: &[u8], denied: bool) {
        let place = match self.by_key.get(key) {
            Some(place) => *place,
            None if !denied => return,
            None => self.place_for(key),
        };
        let counts = &mut self.places[place].1;
        counts.requests += 1;
        if denied {
            self.by_denied.remove(&(counts.denied, place));
            counts.denied += 1;
            self.by_denied.insert((counts.denied, place));
        }
    }

    fn place_for(&mut self, key: &[u8]) -> usize {
        let place = if self.places.len() < self.most {
            self.places.push((key.into(), Counts::default()));
            self.places.len() - 1
        } else {
            // There is at least one place, and each is listed by its denials.
            let place = self.by_denied.first().map_or(0, |(_, place)| *place);
            let entry = &mut self.places[place];
            entry.1.requests = entry.1.denied;
            self.by_key.remove(&entry.0);
            entry.0 = key.into();
            place
        };
        self.by_key.insert(key.into(), place);
        place
    }

    /// Whether a key has a place.
    pub(crate) fn lists(&self, key: &[u8]) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Counts)> {
        self.places.iter().map(|(key, counts)| (&**key, *counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut distinct = Distinct::default();
        for n in 0..4000_u32 {
            distinct.add(&(n % 2000).to_le_bytes());
        }
        assert_eq!(distinct.estimate(), 2000);
    }

    #[test]
    fn many_keys_are_estimated() {
        for n in [10_000_u64, 300_000] {
            let mut distinct = Distinct::default();
            for key in 0..n {
                distinct.add(&key.to_le_bytes());
                distinct.add(&key.to_le_bytes());
            }
            let estimate = distinct.estimate();
            // Four times the expected error.
            assert!(estimate.abs_diff(n) * 100 < n * 6, "{estimate} for {n}");
            assert!(distinct.smallest.len() <= KEPT_HASHES);
        }
    }

    #[test]
    fn heavy_keys_stay() {
        let mut heavy = Heavy::new(10);
        for round in 0..1000_u32 {
            heavy.count(b"often", true);
            heavy.count(b"often", false);
            heavy.count(&round.to_le_bytes(), true);
            heavy.count(b"never denied", false);
        }
        assert!(
            heavy.places.len() <= 10 && heavy.by_key.len() <= 10 && heavy.by_denied.len() <= 10
        );
        let often = heavy.iter().find(|(key, _)| *key == b"often").unwrap().1;
        assert_eq!(often, Counts { requests: 2000, denied: 1000 });
        for (_, counts) in heavy.iter() {
            assert!(counts.requests >= counts.denied && counts.denied > 0);
        }
        assert!(heavy.iter().all(|(key, _)| key != b"never denied"));
    }
}
