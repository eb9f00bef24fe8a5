//! The shape of a table: sizes as parameters, so that models can be tiny.

/// Rows of slots, buckets of rows.
pub(crate) trait Geometry: Send + Sync + 'static {
    /// Slots whose keys are compared together.
    const ROW: usize;
    /// Rows in a bucket.
    const ROWS: usize;
    /// Live slots from which a home bucket sends a new key to the emptier of
    /// its two buckets. Below it home is taken unseen, which keeps most keys
    /// in the first row that is looked at.
    const SPILL: usize;
    /// Bytes per key of capacity that buckets may take.
    const BYTES_PER_KEY: usize;
    /// How often to look again before a silent holder is taken for dead.
    const PATIENCE: u32;
}

/// The shape of real tables: a row's keys fill a cache line and its states the
/// next one; two rows make a bucket.
///
/// Measured over seeds (`tests/occupancy.rs`): at 24 bytes a key, that is 11.3
/// keys for 16 slots, with the spill at 12, nine keys in ten lie in the first
/// row that is looked at and none of some 10^8 new keys found both its buckets
/// full. A spill of 14 saturates; always taking the emptier bucket puts one key
/// in three in the second.
#[derive(Debug)]
pub(crate) struct Wide;

impl Geometry for Wide {
    const ROW: usize = 8;
    const ROWS: usize = 2;
    const SPILL: usize = 12;
    const BYTES_PER_KEY: usize = 24;
    const PATIENCE: u32 = 400;
}

/// Words of the table's head: the counter of saturations, and on the next line some that
/// belong to whoever has the table.
pub(crate) const HEAD_WORDS: usize = 16;

/// Words that belong to a bucket as a whole: ticket and floor.
pub(crate) const BUCKET_WORDS: usize = 2;

/// Where everything lies, in words from the start of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) buckets: usize,
    pub(crate) rows_at: usize,
    pub(crate) rings_at: usize,
    pub(crate) ring_words: usize,
    pub(crate) len: usize,
}

impl Layout {
    /// The layout for so many live keys; `None` where that overflows.
    pub(crate) fn for_keys<G: Geometry>(keys: usize, ring_words: usize) -> Option<Self> {
        let slots = G::ROW * G::ROWS;
        let bytes_per_bucket = (slots * 2 + BUCKET_WORDS) * 8;
        let buckets = keys.checked_mul(G::BYTES_PER_KEY)?.div_ceil(bytes_per_bucket).max(1);
        Self::with_buckets::<G>(buckets, ring_words)
    }

    pub(crate) fn with_buckets<G: Geometry>(buckets: usize, ring_words: usize) -> Option<Self> {
        // A claim names its claimant's home bucket in 32 bits.
        u32::try_from(buckets).ok()?;
        let slots = buckets.checked_mul(G::ROW * G::ROWS)?;
        let pair = super::storage::ALIGN / 8;
        let rows_at = buckets
            .checked_mul(BUCKET_WORDS)?
            .checked_add(HEAD_WORDS)?
            .checked_next_multiple_of(pair)?;
        let rings_at =
            slots.checked_mul(2)?.checked_add(rows_at)?.checked_next_multiple_of(pair)?;
        let len = slots.checked_mul(ring_words)?.checked_add(rings_at)?;
        // Bytes must fit an allocation.
        isize::try_from(len.checked_mul(8)?).ok()?;
        Some(Self { buckets, rows_at, rings_at, ring_words, len })
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.len * 8
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_per_key() {
        for keys in [100, 1000, 12_345, 1_000_000, 10_000_000] {
            let layout = Layout::for_keys::<Wide>(keys, 0).unwrap();
            assert!(layout.bytes() <= 32 * keys, "{keys}: {}", layout.bytes());
            if keys >= 12_345 {
                assert!(layout.bytes() <= 24 * keys + 512, "{keys}: {}", layout.bytes());
            }
        }
        assert_eq!(Layout::for_keys::<Wide>(usize::MAX, 0), None);
        assert_eq!(Layout::for_keys::<Wide>(1 << 40, 1 << 40), None);
        // Not rounded up to a power of two.
        assert_eq!(Layout::for_keys::<Wide>(1_000_000, 0).unwrap().buckets, 88_236);
    }
}
