//! Bytes of any kind: an error, or decisions that may be wrong; nothing else.

use crate::{
    support::Scratch,
    workers::{gcra, log, per_hour},
};
use std::{fs, os::unix::fs::FileExt};
use tollgate::{KeyedLimiter, Region, RegionError};

/// Some generator (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }
}

#[test]
fn random_files_are_no_regions_and_stay() {
    let mut random = Random(1);
    for len in [1, 7, 100, 4095, 4096, 5000, 100_000] {
        let scratch = Scratch::new();
        let bytes = random.bytes(len);
        fs::write(scratch.path(), &bytes).unwrap();
        let error = Region::open(scratch.path()).unwrap_err();
        assert!(matches!(error, RegionError::NotARegion { .. }), "{error}");
        assert_eq!(fs::read(scratch.path()).unwrap(), bytes);
    }
    let scratch = Scratch::new();
    fs::write(scratch.path(), vec![0; 10_000]).unwrap();
    assert!(Region::open(scratch.path()).is_err());
    fs::create_dir(scratch.other("folder")).unwrap();
    assert!(Region::open(scratch.other("folder")).is_err());
    assert!(Region::open(scratch.other("none/there")).is_err());
}

/// A link in a folder that others may write to could lead to any file of ours.
#[test]
fn links_are_not_followed() {
    let scratch = Scratch::new();
    let victim = scratch.other("victim");
    fs::write(&victim, "").unwrap();
    std::os::unix::fs::symlink(&victim, scratch.path()).unwrap();
    let error = Region::open(scratch.path()).unwrap_err().to_string();
    assert!(error.contains("symbolic link"), "{error}");
    assert_eq!(fs::metadata(&victim).unwrap().len(), 0);
    // Nor where a region was.
    fs::remove_file(scratch.path()).unwrap();
    let region = Region::open(scratch.path()).unwrap();
    let other = Region::open(&victim).unwrap();
    fs::remove_file(scratch.path()).unwrap();
    std::os::unix::fs::symlink(&victim, scratch.path()).unwrap();
    assert!(matches!(region.names().unwrap_err(), RegionError::Gone { .. }));
    assert!(other.names().is_ok());
}

#[test]
fn a_creator_that_died_is_followed() {
    for len in [0_usize, 10, 4096] {
        let scratch = Scratch::new();
        fs::write(scratch.path(), vec![0; len]).unwrap();
        let region = Region::open(scratch.path()).unwrap();
        assert!(gcra(&region, "api", 3).check("k").is_allowed());
    }
    // Between the first word and the last: at any length, and whatever is in there.
    let scratch = Scratch::new();
    let mut bytes = Random(5).bytes(50_000);
    bytes[..8].copy_from_slice(b"tollgat?");
    fs::write(scratch.path(), &bytes).unwrap();
    let region = Region::open(scratch.path()).unwrap();
    assert!(region.names().unwrap().is_empty());
    assert_eq!(gcra(&region, "api", 3).check("k").remaining(), 2);
    // Who died while a table was made: what is beyond counts for nothing.
    let used = region.bytes();
    let file = fs::OpenOptions::new().write(true).open(scratch.path()).unwrap();
    file.write_all_at(&Random(6).bytes(100_000), used).unwrap();
    let exact = log(&region, "log", 3);
    for key in 0..100_u64 {
        assert_eq!(exact.check_hash(key).remaining(), 2);
    }
}

#[test]
fn a_file_cut_short_is_an_error_when_it_is_opened() {
    let scratch = Scratch::new();
    drop(gcra(&Region::open(scratch.path()).unwrap(), "api", 3));
    let file = fs::OpenOptions::new().write(true).open(scratch.path()).unwrap();
    for len in [20_000, 8192, 5000, 4096] {
        file.set_len(len).unwrap();
        let region = Region::open(scratch.path()).unwrap();
        let limiter = KeyedLimiter::gcra(per_hour(3)).capacity(1000);
        let error = limiter.try_build_in(&region, "api").unwrap_err();
        assert!(error.to_string().contains("shorter"), "{error}");
    }
    file.set_len(4000).unwrap();
    assert!(Region::open(scratch.path()).is_err());
}

/// Each bit of the two pages that say what is there.
#[test]
fn no_bit_of_a_header_goes_unnoticed() {
    let scratch = Scratch::new();
    drop(gcra(&Region::open(scratch.path()).unwrap(), "api", 3));
    let sound = fs::read(scratch.path()).unwrap();
    let fixed = [(0, 56), (4096 + 8, 72), (4096 + 512, 3584)];
    let mut random = Random(3);
    for (from, len) in fixed {
        for at in from..from + len {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (random.next() % 8);
            let path = scratch.other("damaged");
            fs::write(&path, &bytes).unwrap();
            let attached =
                Region::open(&path).map_err(|error| error.to_string()).and_then(|region| {
                    let limiter = KeyedLimiter::gcra(per_hour(3)).capacity(1000);
                    limiter.try_build_in(&region, "api").map_err(|error| error.to_string())
                });
            assert!(attached.is_err(), "byte {at}");
        }
    }
}

/// Everything that no checksum covers, filled at random, and asked everything.
#[test]
fn random_states_decide_something() {
    let mut random = Random(7);
    for round in 0..30 {
        let scratch = Scratch::new();
        let region = Region::open(scratch.path()).unwrap();
        drop((gcra(&region, "gcra", 10), log(&region, "log", 10)));
        let counter = || {
            KeyedLimiter::sliding_counter(per_hour(10))
                .capacity(100)
                .try_build_in(&region, "counter")
        };
        let jobs = || {
            let jobs = tollgate::LeaseLimiter::at_most(3, std::time::Duration::from_secs(60));
            jobs.capacity(100).try_build_in(&region, "jobs")
        };
        drop((counter().unwrap(), jobs().unwrap()));
        let (gcra, log, counter, jobs) = (
            gcra(&region, "gcra", 10),
            log(&region, "log", 10),
            counter().unwrap(),
            jobs().unwrap(),
        );
        let file = fs::OpenOptions::new().read(true).write(true).open(scratch.path()).unwrap();
        let mut bytes = fs::read(scratch.path()).unwrap();
        // Whole pages but those that head a table; in later rounds single bytes.
        let is_page = |page: &[u8]| page.starts_with(b"tg table");
        for page in bytes.chunks_mut(4096).skip(1).filter(|page| !is_page(page)) {
            if round % 2 == 0 {
                page.copy_from_slice(&random.bytes(page.len()));
            } else {
                for _ in 0..200 {
                    let at = usize::try_from(random.next() % 4096).unwrap();
                    page[at] = u8::try_from(random.next() % 256).unwrap();
                }
            }
        }
        // Also the words of the header that change.
        bytes[64..160].copy_from_slice(&random.bytes(96));
        file.write_all_at(&bytes, 0).unwrap();
        for key in 0..400_u64 {
            for n in [0, 1, 3, u64::MAX] {
                let _ = (gcra.check_hash_n(key, n), log.check_hash_n(key, n));
                let _ = counter.check_hash_n(key, n);
            }
            let _ = (gcra.hashed(key).reset(), log.hashed(key).reset());
            if let Some(charge) = log.check_hash(key).charge() {
                let _ = (log.hashed(key).refund(charge), gcra.hashed(key).refund(charge));
                let _ = counter.hashed(key).refund(charge);
            }
            let lease = jobs.hashed(key).acquire();
            let _ = jobs.hashed(key).peek();
            if let Ok(lease) = lease {
                let _ = lease.renew();
                lease.release();
            }
            jobs.hashed(key).release_all();
        }
        let _ = (gcra.gauges(), log.gauges(), counter.gauges(), jobs.gauges());
        let _ = (gcra.quota(), format!("{gcra:?}"));
    }
}
