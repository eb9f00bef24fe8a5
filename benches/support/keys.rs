//! Keys in the order in which they are asked for: eight bytes each, read from
//! contiguous memory, so that the table is measured and not the fetching of the key.

use super::random::Random;

pub(crate) type Key = [u8; 8];

pub(crate) fn key(n: u32) -> Key {
    u64::from(n).to_le_bytes()
}

/// Each of `n` keys once, shuffled.
pub(crate) fn shuffled(n: u32) -> Vec<Key> {
    let mut keys: Vec<_> = (0..n).map(key).collect();
    Random::new(1).shuffle(&mut keys);
    keys
}

/// A list of keys, asked for again and again.
#[derive(Debug)]
pub(crate) struct Cycle {
    keys: Vec<Key>,
    next: usize,
}

impl Cycle {
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self { keys, next: 0 }
    }

    /// Four times as many draws as there are keys, each key as likely as any other.
    pub(crate) fn uniform(keys: u32) -> Self {
        let mut random = Random::new(2);
        Self::new((0..4 * keys).map(|_| key(random.below(keys))).collect())
    }

    /// As many draws by Zipf's law: the k-th key comes with a frequency of 1/k.
    pub(crate) fn zipf(keys: u32) -> Self {
        let cumulative: Vec<f64> = (1..=keys)
            .scan(0.0, |sum, rank| {
                *sum += 1.0 / f64::from(rank);
                Some(*sum)
            })
            .collect();
        let total = cumulative.last().copied().unwrap();
        let mut random = Random::new(3);
        let draw = |_| {
            let at = random.unit() * total;
            key(u32::try_from(cumulative.partition_point(|&sum| sum <= at)).unwrap())
        };
        Self::new((0..4 * keys).map(draw).collect())
    }
}

impl Iterator for Cycle {
    type Item = Key;

    #[inline]
    fn next(&mut self) -> Option<Key> {
        let key = self.keys[self.next];
        self.next += 1;
        if self.next == self.keys.len() {
            self.next = 0;
        }
        Some(key)
    }
}

/// Keys that come, are asked for four times on average, and never return: each
/// is drawn from a window of so many, which moves on by one in four draws.
#[derive(Debug)]
pub(crate) struct Churn {
    offsets: Vec<u32>,
    drawn: u64,
    next: usize,
}

impl Churn {
    pub(crate) fn new(window: u32) -> Self {
        let mut random = Random::new(4);
        let offsets = (0..4 * window).map(|_| random.below(window)).collect();
        Self { offsets, drawn: 0, next: 0 }
    }
}

impl Iterator for Churn {
    type Item = Key;

    #[inline]
    fn next(&mut self) -> Option<Key> {
        let offset = self.offsets[self.next];
        self.next += 1;
        if self.next == self.offsets.len() {
            self.next = 0;
        }
        self.drawn += 1;
        Some((self.drawn / 4 + u64::from(offset)).to_le_bytes())
    }
}
