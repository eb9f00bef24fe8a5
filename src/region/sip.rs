//! SipHash-1-3 (Aumasson, Bernstein 2012, with one round a word and three at the end): the
//! hash of keys in memory that is shared or saved, for it must be the same in every
//! process, build and version.

/// The state after some bytes. What is written in pieces has the hash of the whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sip {
    v: [u64; 4],
    /// The bytes that do not fill a word yet, the first lowest.
    tail: u64,
    /// How many bytes so far.
    len: u64,
}

impl Sip {
    #[inline]
    pub(crate) const fn new([k0, k1]: [u64; 2]) -> Self {
        let v = [
            k0 ^ 0x736F_6D65_7073_6575,
            k1 ^ 0x646F_7261_6E64_6F6D,
            k0 ^ 0x6C79_6765_6E65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { v, tail: 0, len: 0 }
    }

    #[inline(always)]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let have = self.len % 8;
        self.len = self.len.wrapping_add(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word);
            if have == 0 {
                self.word(word);
            } else {
                self.word(self.tail | word << (8 * have));
                self.tail = word >> (64 - 8 * have);
            }
        }
        let mut have = have;
        for byte in rest {
            self.tail |= u64::from(*byte) << (8 * have);
            have += 1;
            if have == 8 {
                self.word(self.tail);
                (self.tail, have) = (0, 0);
            }
        }
    }

    #[inline]
    pub(crate) fn finish(mut self) -> u64 {
        self.word(self.tail | self.len << 56);
        self.v[2] ^= 0xFF;
        self.round();
        self.round();
        self.round();
        self.v.iter().fold(0, |all, word| all ^ word)
    }

    /// The hash of these bytes.
    #[inline]
    pub(crate) fn hash(key: [u64; 2], bytes: &[u8]) -> u64 {
        let mut sip = Self::new(key);
        sip.write(bytes);
        sip.finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hasher};

    const KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908];

    /// Of the bytes 0, 1, 2, ... under the key of the paper: pinned for good. Regions that
    /// were saved are lost if one of these changes.
    #[test]
    fn vectors() {
        let bytes: Vec<u8> = (0..64).collect();
        for (len, hash) in VECTORS {
            assert_eq!(Sip::hash(KEY, &bytes[..len]), hash, "{len} bytes");
        }
    }

    const VECTORS: [(usize, u64); 9] = [
        (0, 0xABAC_0158_050F_C4DC),
        (1, 0xC9F4_9BF3_7D57_CA93),
        (7, 0xD392_7D98_9BB1_1140),
        (8, 0x3690_9511_8D29_9A8E),
        (9, 0x25A4_8EB3_6C06_3DE4),
        (15, 0xD320_D86D_2A51_9956),
        (16, 0xCC4F_DD1A_7D90_8B66),
        (63, 0x9D19_9062_B7BB_B3A8),
        (64, 0xF179_97EC_4B4A_6065),
    ];

    /// The standard library's own hasher is this one with a key of zeroes, as of now.
    #[test]
    fn as_the_standard_library() {
        let bytes: Vec<u8> = (0..100_u8).map(|n| n.wrapping_mul(151)).collect();
        for len in 0..bytes.len() {
            let mut theirs = DefaultHasher::new();
            theirs.write(&bytes[..len]);
            assert_eq!(Sip::hash([0, 0], &bytes[..len]), theirs.finish(), "{len} bytes");
        }
    }

    #[test]
    fn pieces_are_the_whole() {
        let bytes: Vec<u8> = (0..40).collect();
        for a in 0..=40 {
            for b in a..=40 {
                let mut sip = Sip::new(KEY);
                for piece in [&bytes[..a], &bytes[a..b], &bytes[b..]] {
                    sip.write(piece);
                }
                assert_eq!(sip.finish(), Sip::hash(KEY, &bytes), "{a} {b}");
            }
        }
    }
}
