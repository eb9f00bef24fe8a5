//! Making, attaching, and what else is done under a region's lock.

use super::{NOW, Patience, Scratch, Stands, killed_before, text};
use crate::{Clock, Gcra, KeyedLimiter, Nanos, Quota, Region, RegionOptions, SlidingLog};
use memmap2::MmapRaw;
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{ForkResult, alarm, fork, pause},
};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileExt, PermissionsExt},
    ptr::NonNull,
    time::Duration,
};

type Shared<A> = KeyedLimiter<A, Stands>;

fn per_hour(n: u64) -> Quota {
    Quota::n_per_hour(n).unwrap()
}

fn gcra(region: &Region, name: &str, n: u64) -> Shared<Gcra> {
    let limiter = KeyedLimiter::gcra(per_hour(n)).room_for(per_hour(10)).capacity(10);
    limiter.clock(Stands(NOW)).epoch(Nanos::ZERO).try_build_in(region, name).unwrap()
}

fn log(region: &Region, name: &str) -> Shared<SlidingLog> {
    let limiter = KeyedLimiter::sliding_log(per_hour(5)).capacity(10);
    limiter.clock(Stands(NOW)).epoch(Nanos::ZERO).try_build_in(region, name).unwrap()
}

/// All sixteen slots of a new table, of keys that owe nothing.
fn all_new(limiter: &Shared<SlidingLog>) {
    for key in 0..16 {
        assert_eq!(limiter.check_hash(key).remaining(), 4);
    }
    assert_eq!(limiter.saturated(), 0);
}

/// Kills something before each of its writes: before each death all is as `set` makes
/// it, and after it `check` comes. How many deaths there were.
fn each(set: impl Fn(), what: impl Fn(), check: impl Fn(u64)) -> u64 {
    let mut nth = 0;
    loop {
        set();
        if !killed_before(nth, &what) {
            println!("{nth} killed");
            return nth;
        }
        check(nth);
        nth += 1;
    }
}

#[test]
fn a_region() {
    let _hang = Patience::of("making a region", 3600);
    let scratch = Scratch::new();
    let path = scratch.path();
    let set = || drop(fs::remove_file(&path));
    let check = |nth: u64| {
        let region = Region::open(&path).unwrap();
        assert_eq!(region.names().unwrap(), [""; 0]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // The page is made zeroes word by word: most instants are as the ones before.
        if nth < 8 || nth.is_multiple_of(32) || nth > 512 {
            all_new(&log(&region, "log"));
            all_new(&log(&Region::open(&path).unwrap(), "another"));
        }
    };
    let deaths = each(set, || drop(Region::open(&path).unwrap()), check);
    assert!(deaths > 512, "{deaths}");
}

/// A file with a region, which can be put back to where it was.
fn saved(path: &std::path::Path) -> impl Fn() + use<> {
    let image = fs::read(path).unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    move || {
        file.set_len(image.len() as u64).unwrap();
        file.write_all_at(&image, 0).unwrap();
    }
}

#[test]
fn a_limiter() {
    let _hang = Patience::of("making a limiter", 3600);
    let scratch = Scratch::new();
    let path = scratch.path();
    let region = Region::open(&path).unwrap();
    let first = gcra(&region, "first", 10);
    for key in 0..10 {
        assert!(first.check_hash_n(key, key).is_allowed());
    }
    let peek = || (0..16).map(|key| text(&first.hashed(key).peek())).collect::<String>();
    let before = peek();
    let make = || drop(log(&Region::open(&path).unwrap(), "second"));
    let check = |nth: u64| {
        assert_eq!(peek(), before, "{nth}");
        let region = Region::open(&path).unwrap();
        let names = region.names().unwrap();
        assert!(names == ["first"] || names == ["first", "second"], "{names:?}");
        assert_eq!(
            text(&gcra(&region, "first", 10).hashed(9).peek()),
            text(&first.hashed(9).peek())
        );
        all_new(&log(&region, "second"));
        all_new(&log(&region, "third"));
        assert_eq!(region.names().unwrap(), ["first", "second", "third"]);
        assert_eq!(peek(), before, "{nth}");
    };
    assert!(each(saved(&path), make, check) > 20);
}

#[test]
fn a_quota() {
    let _hang = Patience::of("setting a quota", 3600);
    let scratch = Scratch::new();
    let path = scratch.path();
    let limiter = gcra(&Region::open(&path).unwrap(), "api", 10);
    assert!(limiter.check_n("k", 3).is_allowed());
    let check = |nth: u64| {
        let (noted, holds) = (limiter.quota(), limiter.peek("k").limit());
        assert!(noted == per_hour(10) || noted == per_hour(4), "{nth}: {noted}");
        assert!(holds == 10 || holds == 4, "{nth}: {holds}");
        // Who comes with the one that was noted gets what it asks for, and so do all.
        let theirs = gcra(&Region::open(&path).unwrap(), "api", noted.units());
        assert_eq!(theirs.peek("k").limit(), noted.units(), "{nth}");
        assert_eq!((limiter.quota(), limiter.peek("k").limit()), (noted, noted.units()));
        limiter.set_quota(per_hour(5)).unwrap();
        assert_eq!((theirs.quota(), theirs.peek("k").remaining()), (per_hour(5), 3));
    };
    let set = || limiter.set_quota(per_hour(4)).unwrap();
    assert!(each(saved(&path), set, check) >= 8);
}

#[test]
fn a_snapshot_that_is_restored() {
    let _hang = Patience::of("restoring", 3600);
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let limiter = gcra(&region, "api", 10);
    for key in 0..10 {
        assert!(limiter.check_hash_n(key, key).is_allowed());
    }
    let bytes = region.snapshot().unwrap();
    let copy = scratch.0.join("copy");
    let restored = |region: &Region| {
        let theirs = gcra(region, "api", 10);
        (0..10).all(|key| theirs.hashed(key).peek() == limiter.hashed(key).peek())
    };
    let set = || drop(fs::remove_file(&copy));
    let check = |nth: u64| {
        // Most of the writes put one word after the other.
        if nth > 16 && !nth.is_multiple_of(64) && nth < 990 {
            return;
        }
        match Region::restore(&copy, &bytes) {
            Ok(region) => assert!(restored(&region)),
            // It was done; what is counted from then on is the clock.
            Err(error) => {
                assert!(error.to_string().contains("exists"), "{error}");
                assert!(restored(&Region::open(&copy).unwrap()), "{nth}");
            }
        }
    };
    assert!(each(set, || drop(Region::restore(&copy, &bytes).unwrap()), check) > 1000);
    // Killed, and opened by somebody else before it is restored again: empty, and sound.
    for nth in [0, 2, 10, 600, 1000] {
        let _ = fs::remove_file(&copy);
        assert!(killed_before(nth, || drop(Region::restore(&copy, &bytes).unwrap())));
        let region = Region::open(&copy).unwrap();
        assert_eq!(region.names().unwrap(), [""; 0]);
        all_new(&log(&region, "log"));
    }
}

#[test]
fn the_clock_after_a_restart() {
    let _hang = Patience::of("following a restart", 3600);
    let scratch = Scratch::new();
    let path = scratch.path();
    let boot = |id, ahead| -> RegionOptions {
        Region::options().pretend_boot(id, Duration::ZERO, Duration::from_secs(ahead))
    };
    let first = boot(1, 0).open(&path).unwrap();
    let before = first.clock().now();
    // A snapshot notes the time.
    let _ = first.snapshot().unwrap();
    let hour = Duration::from_secs(3600);
    let check = |nth: u64| {
        // Twice, as the one who finds it half done does it again.
        for _ in 0..2 {
            let now = boot(2, 3600).open(&path).unwrap().clock().now();
            let passed = now.since(before);
            let off = passed.abs_diff(hour);
            assert!(off < Duration::from_secs(60), "{nth}: {passed:?}");
        }
        let region = boot(2, 3600).open(&path).unwrap();
        assert!(region.clock().now() >= before.after(hour / 2));
    };
    let open = || drop(boot(2, 3600).open(&path).unwrap());
    assert!(each(saved(&path), open, check) >= 6);
}

/// A child that was forked while the lock was held has the same opening of the file, and
/// does not hold the lock for as long as it lives.
#[test]
fn a_child_does_not_inherit_the_lock() {
    let _hang = Patience::of("a lock", 60);
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let locked = region.lock().unwrap();
    // SAFETY: the child waits for a signal, and does nothing else.
    let forked = unsafe { fork() }.unwrap();
    let ForkResult::Parent { child } = forked else {
        alarm::set(20);
        loop {
            pause();
        }
    };
    drop(locked);
    let names = region.names();
    kill(child, Signal::SIGKILL).unwrap();
    waitpid(child, None).unwrap();
    assert_eq!(names.unwrap(), [""; 0]);
}

/// A zone of a host, whose lock is a word in it.
#[test]
fn memory_of_a_host() {
    let _hang = Patience::of("a host's memory", 3600);
    let scratch = Scratch::new();
    let path = scratch.path();
    fs::write(&path, vec![0; 1 << 15]).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let zone = Box::leak(Box::new(MmapRaw::map_raw(&file).unwrap()));
    let open = || {
        let memory = NonNull::new(zone.as_mut_ptr()).unwrap();
        // SAFETY: the mapping is never unmapped, as long as it says, and used by nobody else.
        unsafe { Region::in_memory(memory, zone.len()) }.unwrap()
    };
    let work = || {
        let region = open();
        let limiter = gcra(&region, "api", 10);
        limiter.set_quota(per_hour(5)).unwrap();
    };
    let empty = || file.write_all_at(&vec![0; 1 << 15], 0).unwrap();
    let check = |nth: u64| {
        if nth > 8 && !nth.is_multiple_of(32) && nth < 500 {
            return;
        }
        let region = open();
        let names = region.names().unwrap();
        assert!(names.is_empty() || names == ["api"], "{nth}");
        all_new(&log(&region, "log"));
        let limiter = KeyedLimiter::gcra(per_hour(10)).room_for(per_hour(10)).capacity(10);
        let limiter = limiter.clock(Stands(NOW)).epoch(Nanos::ZERO).try_build_in(&region, "api");
        let limiter = limiter.unwrap_or_else(|_| gcra(&region, "api", 5));
        limiter.set_quota(per_hour(10)).unwrap();
        assert_eq!(limiter.check_n("k", 3).remaining(), 7);
    };
    assert!(each(empty, work, check) > 500);
}
