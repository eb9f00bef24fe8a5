//! Keys in the order in which they are asked for, in contiguous memory: as if a
//! parser had just touched them, so that a map is measured and not the
//! fetching of keys.

use std::{fmt::Write, hint::black_box, ops::Range};

/// Characters per key in the text form.
const WIDTH: usize = 16;

/// Nanoseconds from one check to the next where the caller gives the time.
pub(crate) const STEP: u64 = 100;

/// Where given time begins: above zero, so that no limiter's epoch lies after it.
const FIRST_NOW: u64 = 1_000_000_000;

/// Any key's number, spread over 64 bits (the finisher of `SplitMix64`): no
/// limiter gains from numbers that follow each other.
fn spread(z: u64) -> u64 {
    let z = z.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// One sequence of keys.
#[derive(Debug)]
pub(crate) struct Keys {
    bytes: Vec<[u8; 8]>,
    /// The same keys as [`WIDTH`] hexadecimal digits each, without gaps; empty
    /// unless somebody asks by text.
    text: String,
}

impl Keys {
    /// The keys with these numbers, in their order.
    pub(crate) fn in_order(numbers: Range<u64>, with_text: bool) -> Self {
        Self::of(numbers.map(|n| spread(n).to_le_bytes()).collect(), with_text)
    }

    /// Keys 0..n, shuffled; another order for each seed.
    pub(crate) fn shuffled(n: usize, seed: u64, with_text: bool) -> Self {
        let mut bytes: Vec<_> = (0..n as u64).map(|n| spread(n).to_le_bytes()).collect();
        for i in (1..n).rev() {
            // Fisher-Yates; multiply-shift maps 64 random bits to 0..=i.
            let random = spread(spread(seed) ^ i as u64);
            bytes.swap(i, scale(random, i + 1));
        }
        Self::of(bytes, with_text)
    }

    fn of(bytes: Vec<[u8; 8]>, with_text: bool) -> Self {
        let mut text = String::new();
        if with_text {
            text.reserve_exact(bytes.len() * WIDTH);
            for key in &bytes {
                write!(text, "{:0WIDTH$x}", u64::from_le_bytes(*key))
                    .expect("a String takes everything");
            }
        }
        Self { bytes, text }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Calls `f` with contiguous runs: `count` keys from position `from` on,
    /// from the start again after the end.
    pub(crate) fn walk(&self, from: u64, count: usize, alone: bool, mut f: impl FnMut(&Run<'_>)) {
        let mut now = FIRST_NOW + from * STEP;
        let mut left = count;
        let mut at = usize::try_from(from % self.len() as u64).unwrap_or(0);
        while left > 0 {
            let end = self.len().min(at + left);
            let text = if self.text.is_empty() { "" } else { &self.text[at * WIDTH..end * WIDTH] };
            f(&Run { keys: &self.bytes[at..end], text, alone, now });
            now += (end - at) as u64 * STEP;
            left -= end - at;
            at = 0;
        }
    }
}

/// Maps 64 random bits to 0..n by multiply-shift.
#[inline(always)]
pub(crate) fn scale(bits: u64, n: usize) -> usize {
    // The product's upper half is below n, which is a usize.
    #[expect(clippy::cast_possible_truncation)]
    let index = ((u128::from(bits) * n as u128) >> 64) as usize;
    index
}

/// Keys that lie one after the other, to be asked for in this order.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// As bytes, which are also 64-bit numbers in little endian.
    pub(crate) keys: &'a [[u8; 8]],
    text: &'a str,
    /// No other thread asks meanwhile.
    pub(crate) alone: bool,
    /// The time of the first check, for those who give it; each later one is
    /// [`STEP`] nanoseconds after the one before.
    pub(crate) now: u64,
}

impl<'a> Run<'a> {
    /// Asks for each key; returns how many were allowed.
    #[inline(always)]
    pub(crate) fn bytes(&self, mut allowed: impl FnMut(&'a [u8; 8]) -> bool) -> u64 {
        self.keys.iter().map(|key| u64::from(black_box(allowed(key)))).sum()
    }

    /// As [`bytes`](Self::bytes), with the time given.
    #[inline(always)]
    pub(crate) fn bytes_at(&self, mut allowed: impl FnMut(&'a [u8; 8], u64) -> bool) -> u64 {
        let mut now = self.now;
        self.bytes(|key| {
            now += STEP;
            allowed(key, now)
        })
    }

    /// As [`bytes`](Self::bytes), with the keys' numbers.
    #[inline(always)]
    pub(crate) fn numbers(&self, mut allowed: impl FnMut(u64) -> bool) -> u64 {
        self.bytes(|key| allowed(u64::from_le_bytes(*key)))
    }

    /// As [`bytes`](Self::bytes), with the keys' text.
    #[inline(always)]
    pub(crate) fn text(&self, mut allowed: impl FnMut(&'a str) -> bool) -> u64 {
        assert_eq!(self.text.len(), self.keys.len() * WIDTH, "these keys have text");
        let mut sum = 0;
        let mut rest = self.text;
        while !rest.is_empty() {
            let (key, tail) = rest.split_at(WIDTH);
            sum += u64::from(black_box(allowed(key)));
            rest = tail;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn orders_hold_the_same_keys_differently() {
        let (a, b) = (Keys::shuffled(1000, 1, false), Keys::shuffled(1000, 2, false));
        assert_ne!(a.bytes, b.bytes);
        let set = |keys: &Keys| keys.bytes.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(set(&a).len(), 1000);
        assert_eq!(set(&a), set(&b));
        assert_eq!(set(&a), set(&Keys::in_order(0..1000, false)));
    }

    #[test]
    fn a_walk_wraps_and_text_follows_the_bytes() {
        let keys = Keys::shuffled(10, 3, true);
        let (mut bytes, mut text, mut times) = (Vec::new(), Vec::new(), Vec::new());
        keys.walk(17, 25, true, |run| {
            run.bytes_at(|key, now| {
                bytes.push(*key);
                times.push(now);
                true
            });
            run.text(|key| {
                text.push(u64::from_str_radix(key, 16).unwrap().to_le_bytes());
                true
            });
        });
        let expected: Vec<_> = (17..42).map(|i| keys.bytes[i % 10]).collect();
        assert_eq!(bytes, expected);
        assert_eq!(text, expected);
        assert!(times.windows(2).all(|pair| pair[1] == pair[0] + STEP));
    }
}
