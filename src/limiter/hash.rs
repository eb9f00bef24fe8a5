//! From keys to hashes, seeded per table.

#[cfg(feature = "shared")]
use crate::region::Sip;
use crate::table::Hash;
use std::hash::{BuildHasher, Hasher};

/// Hashes byte keys with ahash and mixes ready-made hashes, both under a seed. What is
/// shared or saved is hashed by a function that is the same in every build.
#[derive(Clone)]
pub(crate) struct KeyHasher {
    bytes: ahash::RandomState,
    before: u64,
    after: u64,
    /// The key of `SipHash` instead.
    #[cfg(feature = "shared")]
    pinned: Option<[u64; 2]>,
}

impl KeyHasher {
    /// Reproducible; whoever knows the seed can make keys collide.
    pub(crate) fn with_seed(seed: u64) -> Self {
        let mut state = seed;
        let mut next = || {
            // SplitMix64 (Steele, Lea, Flood 2014).
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            finish(state)
        };
        let bytes = ahash::RandomState::with_seeds(next(), next(), next(), next());
        Self {
            bytes,
            before: next(),
            after: next(),
            #[cfg(feature = "shared")]
            pinned: None,
        }
    }

    /// The same in every process, build and version.
    #[cfg(feature = "shared")]
    pub(crate) fn pinned(key: [u64; 2]) -> Self {
        // What no byte key is hashed by, for the mixing of ready-made hashes.
        let [before, after] = [1_u64, 2].map(|nth| Sip::hash(key, &nth.to_le_bytes()));
        Self { before, after, pinned: Some(key), ..Self::with_seed(0) }
    }

    /// Seeded from the system's randomness.
    pub(crate) fn random() -> Self {
        Self::with_seed(ahash::RandomState::new().hash_one(0_u64))
    }

    #[inline(always)]
    pub(crate) fn bytes(&self, key: &[u8]) -> Hash {
        #[cfg(feature = "shared")]
        if let Some(pinned) = self.pinned {
            return pinned_hash(pinned, key);
        }
        let mut hasher = self.bytes.build_hasher();
        hasher.write(key);
        Hash(hasher.finish())
    }

    /// For keys of several parts.
    #[inline(always)]
    #[cfg(feature = "policy")]
    pub(crate) fn parts(&self) -> PartsHasher {
        #[cfg(feature = "shared")]
        if let Some(pinned) = self.pinned {
            return PartsHasher::Pinned(Sip::new(pinned));
        }
        PartsHasher::Own(self.bytes.build_hasher())
    }

    /// A bijection: two hashes that differ stay different.
    #[inline(always)]
    pub(crate) fn hash(&self, hash: u64) -> Hash {
        Hash(finish(hash ^ self.before).wrapping_add(self.after))
    }
}

/// The hash of a key of several parts, each with its length, so that no two lists of
/// parts are the same bytes.
#[cfg(feature = "policy")]
pub(crate) enum PartsHasher {
    Own(ahash::AHasher),
    #[cfg(feature = "shared")]
    Pinned(Sip),
}

#[cfg(feature = "policy")]
impl PartsHasher {
    #[inline]
    pub(crate) fn write(&mut self, part: &[u8]) {
        match self {
            Self::Own(hasher) => {
                hasher.write_u64(part.len() as u64);
                hasher.write(part);
            }
            #[cfg(feature = "shared")]
            Self::Pinned(sip) => {
                sip.write(&(part.len() as u64).to_le_bytes());
                sip.write(part);
            }
        }
    }

    #[inline]
    pub(crate) fn finish(self) -> Hash {
        match self {
            Self::Own(hasher) => Hash(hasher.finish()),
            #[cfg(feature = "shared")]
            Self::Pinned(sip) => Hash(sip.finish()),
        }
    }
}

/// Out of line, so that the way of other tables does not grow by it.
#[cfg(feature = "shared")]
#[inline(never)]
fn pinned_hash(pinned: [u64; 2], key: &[u8]) -> Hash {
    Hash(Sip::hash(pinned, key))
}

/// The finisher of `SplitMix64` (variant 13 of Stafford's mixers): a bijection.
#[inline(always)]
const fn finish(z: u64) -> u64 {
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn seeds_tell_tables_apart_and_repeat() {
        let (a, b, c) = (KeyHasher::with_seed(1), KeyHasher::with_seed(1), KeyHasher::with_seed(2));
        assert_eq!(a.bytes(b"key"), b.bytes(b"key"));
        assert_ne!(a.bytes(b"key"), c.bytes(b"key"));
        assert_eq!(a.hash(7), b.hash(7));
        assert_ne!(a.hash(7), c.hash(7));
        assert_ne!(KeyHasher::random().hash(7), KeyHasher::random().hash(7));
    }

    /// What is in files is found again by every later build: pinned for good.
    #[cfg(feature = "shared")]
    #[test]
    fn pinned_is_pinned() {
        let hasher = KeyHasher::pinned([7, 8]);
        assert_eq!(hasher.bytes(b"key").0, Sip::hash([7, 8], b"key"));
        // By an implementation in another language.
        assert_eq!(hasher.bytes(b"key").0, 0x65AB_280F_BB7B_83DC);
        let ready_made = [0x7E62_281E_0C14_ED11, 0xEE4E_C147_6848_3F0E];
        assert_eq!([0, 1].map(|n| hasher.hash(n).0), ready_made);
        #[cfg(feature = "policy")]
        {
            let mut parts = hasher.parts();
            parts.write(b"a");
            parts.write(b"key");
            assert_eq!(parts.finish().0, 0xFB98_F2BC_5B76_5E7A);
        }
    }

    #[test]
    fn lengths_matter() {
        let hasher = KeyHasher::with_seed(3);
        let keys: [&[u8]; 5] = [b"", b"\0", b"\0\0", &[0; 16], &[0; 17]];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(hasher.bytes(a), hasher.bytes(b));
            }
        }
    }

    /// Sequential numbers are the commonest "hashes" users have.
    #[test]
    fn sequential_hashes_spread() {
        let hasher = KeyHasher::with_seed(4);
        let mut counts = [0_u32; 64];
        for i in 0..64_000 {
            counts[usize::try_from(hasher.hash(i).0 >> 58).unwrap()] += 1;
        }
        assert!(counts.iter().all(|c| (800..1200).contains(c)), "{counts:?}");
    }
}
