//! Who asked how often and was denied how often, exactly for as many keys as
//! there is room, and about right beyond.

use crate::sketch::{Counts, Distinct, Heavy};
use std::collections::HashMap;

/// Places for keys that came too late for the exact list.
const LATE_PLACES: usize = 1024;

#[derive(Debug)]
pub(crate) struct Books {
    exact: HashMap<Box<[u8]>, Counts, ahash::RandomState>,
    capacity: usize,
    distinct: Distinct,
    late: Heavy,
    overflowed: bool,
}

impl Books {
    /// Exact up to `capacity` keys. `top`: how many keys will be asked for.
    pub(crate) fn new(capacity: usize, top: usize) -> Self {
        Self {
            exact: HashMap::default(),
            capacity,
            distinct: Distinct::default(),
            late: Heavy::new(LATE_PLACES.max(top.min(capacity))),
            overflowed: false,
        }
    }

    /// Enters one decision.
    #[inline]
    pub(crate) fn enter(&mut self, key: &[u8], denied: bool) {
        if let Some(counts) = self.exact.get_mut(key) {
            counts.requests += 1;
            counts.denied += u64::from(denied);
        } else {
            self.enter_unknown(key, denied);
        }
    }

    #[cold]
    fn enter_unknown(&mut self, key: &[u8], denied: bool) {
        self.distinct.add(key);
        if self.exact.len() < self.capacity {
            self.exact.insert(key.into(), Counts { requests: 1, denied: u64::from(denied) });
        } else {
            self.overflowed = true;
            self.late.count(key, denied);
        }
    }

    /// Whether [`keys`](Self::keys) and [`top`](Self::top) are estimates.
    pub(crate) fn is_approximate(&self) -> bool {
        self.overflowed
    }

    /// How many different keys there were.
    pub(crate) fn keys(&self) -> u64 {
        let listed = self.exact.len() as u64;
        if self.overflowed { self.distinct.estimate().max(listed + 1) } else { listed }
    }

    /// The `n` keys denied most: by denials, then requests, then their `text`.
    pub(crate) fn top(&self, n: usize, text: impl Fn(&[u8]) -> String) -> Vec<(String, Counts)> {
        let mut all: Vec<_> = self
            .exact
            .iter()
            .map(|(key, counts)| (&**key, *counts))
            .chain(self.late.iter())
            .filter(|(_, counts)| counts.denied > 0)
            .map(|(key, counts)| (text(key), counts))
            .collect();
        all.sort_by(|(a, of_a), (b, of_b)| {
            (of_b.denied, of_b.requests).cmp(&(of_a.denied, of_a.requests)).then_with(|| a.cmp(b))
        });
        all.truncate(n);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(books: &Books, n: usize) -> Vec<(String, Counts)> {
        books.top(n, |key| String::from_utf8_lossy(key).into_owned())
    }

    #[test]
    fn exact_up_to_the_capacity() {
        let mut books = Books::new(3, 10);
        for (key, denied) in [("a", false), ("b", true), ("c", true), ("b", false), ("c", true)] {
            books.enter(key.as_bytes(), denied);
        }
        assert!(!books.is_approximate());
        assert_eq!(books.keys(), 3);
        let counts = |requests, denied| Counts { requests, denied };
        let [b, c] = ["b", "c"].map(str::to_owned);
        assert_eq!(top(&books, 10), [(c.clone(), counts(2, 2)), (b, counts(2, 1))]);
        assert_eq!(top(&books, 1), [(c, counts(2, 2))]);
        assert_eq!(top(&books, 0), []);

        books.enter(b"late", false);
        assert!(books.is_approximate());
        assert_eq!(books.keys(), 4);
        for _ in 0..5 {
            books.enter(b"late", true);
        }
        assert_eq!(top(&books, 1), [("late".to_owned(), counts(5, 5))]);
    }

    #[test]
    fn ties_go_by_requests_then_key() {
        let mut books = Books::new(10, 10);
        for (key, requests) in [("b", 1), ("a", 1), ("c", 2)] {
            books.enter(key.as_bytes(), true);
            (1..requests).for_each(|_| books.enter(key.as_bytes(), false));
        }
        let keys: Vec<_> = top(&books, 9).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["c", "a", "b"]);
    }
}
