//! Regions in memory that the host has.
//!
//! A mapping of a file that no region knows of stands for a zone of the host.

use crate::{
    support::{Scratch, result, start},
    workers::slow,
};
use memmap2::MmapRaw;
use std::{
    fs::{self, OpenOptions},
    path::Path,
    ptr::NonNull,
};
use tollgate::{Region, RegionError};

pub(crate) const BYTES: usize = 1 << 16;

/// The region in the zone of that path. The zone is never unmapped.
pub(crate) fn zone(path: &Path) -> Result<Region, RegionError> {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let zone = Box::leak(Box::new(MmapRaw::map_raw(&file).unwrap()));
    let memory = NonNull::new(zone.as_mut_ptr()).unwrap();
    // SAFETY: the mapping is as long as it says, is never unmapped, and other processes
    // do with it what this one does.
    unsafe { Region::in_memory(memory, zone.len()) }
}

#[test]
fn a_zone_of_the_host_is_shared() {
    let scratch = Scratch::new();
    fs::write(scratch.path(), vec![0; BYTES]).unwrap();
    let children: Vec<_> = (0..4).map(|_| start("zone", &scratch.path(), "")).collect();
    let mut left: Vec<u64> = children.into_iter().map(|c| result(c).parse().unwrap()).collect();
    left.sort_unstable();
    // Who read the clock before another charged is told one less, rounded down.
    for (left, of) in left.into_iter().zip(996..) {
        assert!((of - 1..=of).contains(&left), "{left} of {of}");
    }
    let region = zone(&scratch.path()).unwrap();
    assert_eq!(region.names().unwrap(), ["api"]);
    assert_eq!((region.path(), slow(&region, "api").peek("k").remaining()), (None, 996));
    // There is no more of it than there is.
    let error = tollgate::KeyedLimiter::gcra("1/s".parse().unwrap()).try_build_in(&region, "large");
    assert!(error.unwrap_err().to_string().contains("65536 bytes"), "too large");
}

#[test]
fn other_memory_is_refused() {
    let scratch = Scratch::new();
    fs::write(scratch.path(), vec![7; BYTES]).unwrap();
    assert!(matches!(zone(&scratch.path()), Err(RegionError::NotARegion { .. })));
    assert_eq!(fs::read(scratch.path()).unwrap(), vec![7; BYTES]);
    fs::write(scratch.other("small"), vec![0; 4000]).unwrap();
    assert!(matches!(zone(&scratch.other("small")), Err(RegionError::Unfit { .. })));
    let zone = Box::leak(vec![0_u64; 2048].into_boxed_slice());
    let at = NonNull::new(zone.as_mut_ptr().cast::<u8>()).unwrap();
    let odd = if at.addr().get() % 128 == 8 { 16 } else { 8 };
    // SAFETY: within the vector.
    let at = unsafe { at.add(odd) };
    // SAFETY: within the vector, which is never given back nor used otherwise.
    let region = unsafe { Region::in_memory(at, 8192) };
    assert!(matches!(region, Err(RegionError::Unfit { .. })));
}

/// The lock's holder is dead: a word of the first page that names no process.
#[test]
fn a_lock_whose_holder_died_is_taken() {
    use std::os::unix::fs::FileExt;
    let scratch = Scratch::new();
    fs::write(scratch.path(), vec![0; BYTES]).unwrap();
    let region = zone(&scratch.path()).unwrap();
    let _ = slow(&region, "api").check("k");
    let mut child = start("zone", &scratch.path(), "");
    let dead = u64::from(child.id());
    child.wait().unwrap();
    let file = OpenOptions::new().write(true).open(scratch.path()).unwrap();
    file.write_all_at(&(5 << 32 | dead).to_ne_bytes(), 32 * 8).unwrap();
    assert_eq!(region.names().unwrap(), ["api"]);
    assert!(zone(&scratch.path()).is_ok());
    // It has ended, and nobody asked how: it keeps its id.
    let mut child = start("zone", &scratch.path(), "");
    let _ = std::io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut Vec::new());
    std::thread::sleep(std::time::Duration::from_millis(100));
    file.write_all_at(&u64::from(child.id()).to_ne_bytes(), 32 * 8).unwrap();
    assert_eq!(region.names().unwrap(), ["api"]);
    child.wait().unwrap();
    // Its id is another's by now, here this very process's.
    let ours = u64::from(std::process::id());
    file.write_all_at(&(5 << 32 | ours).to_ne_bytes(), 32 * 8).unwrap();
    assert_eq!(region.names().unwrap(), ["api"]);
}
