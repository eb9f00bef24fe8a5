//! Regions that somebody wrote to mislead: any words, under checksums that are right.
//!
//! Each is opened, attached to and asked everything in a child process, so that a crash
//! is seen, and one that does not end. All that is demanded is an error or an answer. Who
//! is told that a configuration differs writes that into the region, too, and comes again:
//! so forged rooms and sizes get as far as they can.
//!
//! `TOLLGATE_FORGED` is how many. A part of `region`, as only that knows the checksums.

use super::{
    Region, RegionError,
    header::{Header, PAGE_WORDS, SectionPage},
};
use crate::{
    Algorithm, Clock, KeyedBuilder, KeyedLimiter, LeaseLimiter, Nanos, Quota, ShareError,
    sync::AtomicU64,
};
use nix::{
    sys::{
        signal::{Signal, raise},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, alarm, fork},
};
use proptest::prelude::*;
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

fn per_hour(n: u64) -> Quota {
    Quota::n_per_hour(n).unwrap()
}

fn jobs() -> crate::LeaseBuilder {
    LeaseLimiter::at_most(3, Duration::from_secs(60)).capacity(10)
}

fn make(path: &Path) -> Region {
    let region = Region::open(path).unwrap();
    let gcra = KeyedLimiter::gcra(per_hour(5)).capacity(10).try_build_in(&region, "gcra").unwrap();
    let log = KeyedLimiter::sliding_log(per_hour(5)).capacity(10).try_build_in(&region, "log");
    let counter = KeyedLimiter::sliding_counter(per_hour(5)).capacity(10);
    let counter = counter.try_build_in(&region, "counter").unwrap();
    let (log, jobs) = (log.unwrap(), jobs().try_build_in(&region, "jobs").unwrap());
    for key in 0..10 {
        let _ = (gcra.check_hash_n(key, 2), log.check_hash_n(key, 2));
        let _ =
            (counter.check_hash_n(key, 2), jobs.hashed(key).acquire().map(crate::Lease::detach));
    }
    region
}

fn write(path: &Path, words: &[AtomicU64]) {
    let bytes: Vec<u8> = Header(words).copy().flat_map(u64::to_ne_bytes).collect();
    fs::write(path, bytes).unwrap();
}

fn read(path: &Path) -> Vec<AtomicU64> {
    let bytes = fs::read(path).unwrap();
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| AtomicU64::new(u64::from_ne_bytes(*word))).collect()
}

/// Where the pages of tables are in the sound region.
fn pages(words: &[AtomicU64]) -> Vec<usize> {
    let is_page =
        |at: &usize| words[*at..].len() >= PAGE_WORDS && SectionPage(&words[*at..]).read().is_ok();
    (PAGE_WORDS..words.len()).step_by(PAGE_WORDS).filter(is_page).collect()
}

#[derive(Clone, Copy, Debug)]
enum To {
    Word(u64),
    /// As many below the largest.
    Large(u64),
    /// What is in another place.
    Of(usize),
    Flip(u32),
    Plus(i64),
}

fn to() -> impl Strategy<Value = To> {
    prop_oneof![
        any::<u64>().prop_map(To::Word),
        (0..40_u64).prop_map(To::Word),
        (0..64_u32).prop_map(|bit| To::Word(1 << bit)),
        (0..40_u64).prop_map(To::Large),
        any::<usize>().prop_map(To::Of),
        (0..64_u32).prop_map(To::Flip),
        (-4096..=4096_i64).prop_map(To::Plus),
    ]
}

/// Words that matter more than others, and some word.
fn places(words: &[AtomicU64], pages: &[usize]) -> Vec<usize> {
    let mut places: Vec<usize> = [8, 9, 10, 16, 17, 24, 24, 32].into();
    for page in pages {
        places.extend((2..10).chain(2..10).chain(16..23).chain(64..80).map(|nth| page + nth));
        // The table's head, its first bucket, keys, states, rings.
        places.extend((0..96).map(|nth| page + PAGE_WORDS + nth));
    }
    places.retain(|at| *at < words.len());
    places
}

fn forge(words: &[AtomicU64], edits: &[(usize, To)]) {
    let pages = pages(words);
    let places = places(words, &pages);
    let all = Header(words);
    for (place, to) in edits {
        let at = places[place % places.len()];
        let old = all.copy().nth(at).unwrap();
        let new = match *to {
            To::Word(word) => word,
            To::Large(below) => u64::MAX - below,
            To::Of(other) => all.copy().nth(places[other % places.len()]).unwrap(),
            To::Flip(bit) => old ^ 1 << bit,
            To::Plus(more) => old.wrapping_add_signed(more),
        };
        Header(&words[at..]).forge(new);
    }
    all.seal();
    for page in pages {
        SectionPage(&words[page..]).seal();
    }
}

/// Asks for something; told in what it differs, it makes the region say so.
fn insist<T>(path: &Path, build: impl Fn(&Region) -> Result<T, ShareError>) -> Option<T> {
    for _ in 0..3 {
        let region = Region::open(path).ok()?;
        match build(&region) {
            Ok(limiter) => return Some(limiter),
            Err(ShareError::Region(RegionError::Differs { name, differences })) => {
                let words = read(path);
                for page in pages(&words) {
                    let page = SectionPage(&words[page..]);
                    let mut record = page.read().ok()?;
                    if record.name != name {
                        continue;
                    }
                    let line = |line: &str| {
                        let what = line.split('\t').next().unwrap_or_default();
                        let other = differences.iter().find(|other| other.what == what);
                        let other = other.map(|other| format!("{what}\t{}", other.asked));
                        other.unwrap_or_else(|| line.to_owned()) + "\n"
                    };
                    record.about = record.about.lines().map(line).collect();
                    page.write(&record);
                }
                write(path, &words);
            }
            Err(_) => return None,
        }
    }
    None
}

fn ask<A: Algorithm>(path: &Path, name: &str, builder: &KeyedBuilder<A>) {
    for quota in [per_hour(5), per_hour(4)] {
        let build = |region: &Region| builder.clone().room_for(quota).try_build_in(region, name);
        let Some(limiter) = insist(path, build) else { continue };
        for key in 0..14 {
            let now = limiter.clock().now();
            for (n, now) in [(0, now), (1, now), (u64::MAX, now), (2, Nanos::MAX), (2, Nanos::ZERO)]
            {
                let _ = (limiter.check_hash_n(key, n), limiter.check_hash_n_at(key, n, now));
            }
            if let Some(charge) = limiter.check_hash(key).charge() {
                let _ = limiter.hashed(key).refund(charge);
            }
            let _ = (limiter.peek_hash(key), limiter.hashed(key).reset());
        }
        let _ = (limiter.set_quota(per_hour(4)), limiter.set_quota(per_hour(5)));
        let _ = (limiter.gauges(), limiter.quota(), format!("{limiter:?}"));
    }
}

fn everything(path: &Path) {
    if let Ok(region) = Region::open(path) {
        let _ = (region.names(), region.bytes(), region.clock().now(), format!("{region:?}"));
        if let Ok(bytes) = region.snapshot() {
            drop(Region::restore(path.with_extension("copy"), &bytes));
        }
    }
    ask(path, "gcra", &KeyedLimiter::gcra(per_hour(5)).capacity(10));
    ask(path, "log", &KeyedLimiter::sliding_log(per_hour(5)).capacity(10));
    ask(path, "counter", &KeyedLimiter::sliding_counter(per_hour(5)).capacity(10));
    if let Some(jobs) = insist(path, |region| jobs().try_build_in(region, "jobs")) {
        for key in 0..14 {
            let lease = jobs.hashed(key).acquire();
            let _ = (jobs.hashed(key).acquire_at(Nanos::MAX), jobs.hashed(key).peek());
            if let Ok(lease) = lease {
                let _ = (lease.renew(), lease.release());
            }
            jobs.hashed(key).release_all();
        }
        let _ = jobs.gauges();
    }
    // And another system's start, whose clock begins again.
    let options = Region::options().pretend_boot(7, Duration::ZERO, Duration::from_secs(3600));
    if let Ok(region) = options.open(path) {
        let _ = (region.clock().now(), region.names());
    }
}

/// `None` if it went well.
fn in_a_child(what: impl FnOnce()) -> Option<String> {
    // SAFETY: the child waits for no other thread of the test, and ends by a signal.
    let forked = unsafe { fork() }.unwrap();
    let ForkResult::Parent { child } = forked else {
        alarm::set(30);
        let well = catch_unwind(AssertUnwindSafe(what)).is_ok();
        let _ = raise(if well { Signal::SIGUSR1 } else { Signal::SIGABRT });
        std::process::abort();
    };
    match waitpid(child, None).unwrap() {
        WaitStatus::Signaled(_, Signal::SIGUSR1, _) => None,
        other => Some(format!("{other:?}")),
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn folder(name: &str) -> Folder {
    let folder = std::env::temp_dir().join(format!("tollgate-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    Folder(folder)
}

#[test]
fn forged_regions_do_no_harm() {
    let folder = folder("forged");
    let path = folder.0.join("region");
    drop(make(&path));
    let sound: Vec<u64> = Header(&read(&path)).copy().collect();
    let cases = std::env::var("TOLLGATE_FORGED").ok().and_then(|text| text.parse().ok());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: cases.unwrap_or(200),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let edits = proptest::collection::vec((any::<usize>(), to()), 1..12);
    let result = runner.run(&edits, |edits| {
        let words: Vec<_> = sound.iter().copied().map(AtomicU64::new).collect();
        forge(&words, &edits);
        let _ = fs::remove_file(path.with_extension("copy"));
        write(&path, &words);
        let ended = in_a_child(|| everything(&path));
        prop_assert!(ended.is_none(), "{ended:?}");
        Ok(())
    });
    result.unwrap();
}

/// The children do come far enough to matter: nothing forged, all is found.
#[test]
fn what_is_sound_is_had() {
    let folder = folder("sound");
    let path = folder.0.join("region");
    let region = make(&path);
    assert_eq!(region.names().unwrap(), ["gcra", "log", "counter", "jobs"]);
    let words = read(&path);
    assert_eq!(pages(&words).len(), 4);
    forge(&words, &[]);
    write(&path, &words);
    let built = insist(&path, |region| {
        KeyedLimiter::sliding_log(per_hour(5)).capacity(10).try_build_in(region, "log")
    });
    assert_eq!(built.unwrap().peek_hash(3).remaining(), 3);
    // Another room, and the region says that it has it; its size tells.
    let built = insist(&path, |region| {
        KeyedLimiter::sliding_log(per_hour(50)).capacity(10).try_build_in(region, "log")
    });
    assert!(built.is_none());
    let ended = in_a_child(|| panic!("as planned"));
    assert!(ended.unwrap().contains("SIGABRT"));
}
