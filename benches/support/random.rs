//! Numbers that are the same in every run.

/// A linear congruential generator (Knuth's MMIX constants); its upper half is used.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    #[inline]
    pub(crate) fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(self.0 >> 32).unwrap()
    }

    /// Below `end`, evenly but for one part in 2³²/`end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        u32::try_from((u64::from(self.next_u32()) * u64::from(end)) >> 32).unwrap()
    }

    /// In 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        f64::from(self.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let other = self.below(u32::try_from(i + 1).unwrap());
            items.swap(i, usize::try_from(other).unwrap());
        }
    }
}
