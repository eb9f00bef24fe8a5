//! Which slot of a row may bear a key: all key words are compared at once, and
//! none is branched on, because which one matches cannot be predicted.
//!
//! On x86-64 the comparison takes a dozen vector instructions (SSE2, which every
//! such processor has); elsewhere, and in models, some forty ordinary ones.
//! What it finds is a hint: whoever follows it loads that key word by itself
//! and compares all of it.

use super::words::{Key, bears};
use crate::sync::AtomicU64;

/// The first slot that seems to bear `tag`.
#[inline(always)]
pub(super) fn first_bearer(keys: &[AtomicU64], tag: u64) -> Option<usize> {
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri)))]
    if let Ok(line) = <&[AtomicU64; 8]>::try_from(keys) {
        let found = sse2(line, tag);
        // The rest of the division tells the compiler what it cannot know.
        return if found == 0 { None } else { Some(found.trailing_zeros() as usize % 8) };
    }
    let found = portable(keys, tag);
    if found == 0 { None } else { Some(found.trailing_zeros() as usize) }
}

/// A bit for each slot that bears `tag`.
#[inline(always)]
fn portable(keys: &[AtomicU64], tag: u64) -> u32 {
    let mut found = 0;
    for (nth, key) in keys.iter().enumerate() {
        found |= u32::from(bears(Key::new(key).hint(), tag)) << nth;
    }
    found
}

/// The same by the upper 32 of a tag's 48 bits.
///
/// In assembly because Rust has no atomic vector loads: an ordinary one would
/// race with those who change key words. To the processor these are loads like
/// any others, and of each aligned word it loads all or nothing, which is what
/// eight `Relaxed` loads promise.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri)))]
#[inline(always)]
fn sse2(line: &[AtomicU64; 8], tag: u64) -> u32 {
    use std::arch::asm;
    const { assert!(super::words::GENERATION_BITS < 32) };
    let mut found: u32;
    // SAFETY: the 64 bytes read are those of `line`, which is borrowed; nothing is
    // written but the registers named; movups needs no alignment.
    unsafe {
        asm!(
            "movd {want}, {tag:e}",
            "movups {a}, [{line}]",
            "pshufd {want}, {want}, 0",
            "movups {c}, [{line} + 32]",
            // The upper halves of words 0 to 3, then of 4 to 7.
            "movups {b}, [{line} + 16]",
            "shufps {a}, {b}, 0xDD",
            "movups {b}, [{line} + 48]",
            "shufps {c}, {b}, 0xDD",
            "pcmpeqd {a}, {want}",
            "pcmpeqd {c}, {want}",
            "packssdw {a}, {c}",
            "packsswb {a}, {a}",
            "pmovmskb {found:e}, {a}",
            tag = in(reg) (tag >> 32),
            line = in(reg) line.as_ptr(),
            want = out(xmm_reg) _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            found = lateout(reg) found,
            options(readonly, nostack, preserves_flags)
        );
    }
    // Eight bits twice: the lowest of them is the slot's.
    found
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{super::words::GENERATION_BITS, *};

    /// Every slot, tags that differ in any bit, and rows with the tag twice.
    #[test]
    fn finds_what_bears_the_tag() {
        let tag = 0x1234_5678_9ABC_u64 << GENERATION_BITS;
        for nth in 0..8 {
            let words: Vec<u64> = (0..8_u64)
                .map(|at| if at == nth { tag | 0xBEEF } else { (tag ^ 1 << (40 + at)) | at })
                .collect();
            let row: Vec<_> = words.iter().copied().map(AtomicU64::new).collect();
            assert_eq!(first_bearer(&row, tag), Some(usize::try_from(nth).unwrap()));
            assert_eq!(portable(&row, tag), 1 << nth);
            for bit in 32..64 {
                let found = first_bearer(&row, tag ^ 1 << bit);
                assert_ne!(found, Some(usize::try_from(nth).unwrap()), "bit {bit}");
            }
        }
        let row: Vec<_> = [0, 1, tag, 2, tag | 7, 3, 4, 5].map(AtomicU64::new).into();
        assert_eq!(first_bearer(&row, tag), Some(2));
        assert_eq!(first_bearer(&row, 1 << 63), None);
    }
}
