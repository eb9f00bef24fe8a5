//! Who asked how often and was denied how often, exactly for as many keys as
//! there is room, and about right beyond.

use crate::{
    report::{KeyReport, TopKey},
    sketch::{Counts, Distinct, Heavy},
};
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

    /// Whether a key is listed.
    pub(crate) fn lists(&self, key: &[u8]) -> bool {
        self.exact.contains_key(key) || self.late.lists(key)
    }

    /// How many keys there were, and the `n` that were denied most: by denials, then
    /// requests, then their text.
    pub(crate) fn report(&self, n: usize, entry: impl Fn(&[u8], Counts) -> TopKey) -> KeyReport {
        let exact = self.exact.iter().map(|(key, counts)| (&**key, *counts));
        let denied = exact.chain(self.late.iter()).filter(|(_, counts)| counts.denied > 0);
        let mut top: Vec<_> = denied.map(|(key, counts)| entry(key, counts)).collect();
        top.sort_by(|a, b| {
            (b.refused(), b.requests)
                .cmp(&(a.refused(), a.requests))
                .then_with(|| a.key.cmp(&b.key))
        });
        top.truncate(n);
        let listed = self.exact.len() as u64;
        let approximate = self.overflowed;
        let count = if approximate { self.distinct.estimate().max(listed + 1) } else { listed };
        KeyReport { count, approximate, top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(books: &Books, n: usize) -> KeyReport {
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        books.report(n, |key, counts| of(&text(key), counts.requests, counts.denied))
    }

    fn of(key: &str, requests: u64, denied: u64) -> TopKey {
        TopKey { key: key.to_owned(), requests, denied, would_deny: None }
    }

    #[test]
    fn exact_up_to_the_capacity() {
        let mut books = Books::new(3, 10);
        for (key, denied) in [("a", false), ("b", true), ("c", true), ("b", false), ("c", true)] {
            books.enter(key.as_bytes(), denied);
        }
        let all = report(&books, 10);
        assert!(!all.approximate);
        assert_eq!(all.count, 3);
        assert_eq!(all.top, [of("c", 2, 2), of("b", 2, 1)]);
        assert_eq!(report(&books, 1).top, [of("c", 2, 2)]);
        assert_eq!(report(&books, 0).top, []);

        books.enter(b"late", false);
        let all = report(&books, 10);
        assert!(all.approximate);
        assert_eq!(all.count, 4);
        assert!(books.lists(b"a") && !books.lists(b"late"));
        for _ in 0..5 {
            books.enter(b"late", true);
        }
        assert_eq!(report(&books, 1).top, [of("late", 5, 5)]);
        assert!(books.lists(b"late"));
    }

    #[test]
    fn ties_go_by_requests_then_key() {
        let mut books = Books::new(10, 10);
        for (key, requests) in [("b", 1), ("a", 1), ("c", 2)] {
            books.enter(key.as_bytes(), true);
            (1..requests).for_each(|_| books.enter(key.as_bytes(), false));
        }
        let keys: Vec<_> = report(&books, 9).top.into_iter().map(|top| top.key).collect();
        assert_eq!(keys, ["c", "a", "b"]);
    }
}
