//! Sharing, attaching, what is refused, time.

use crate::{
    support::{Scratch, result, start},
    workers::{gcra, log, per_hour, slow},
};
use std::{
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    process::Child,
    time::{Duration, Instant},
};
use tollgate::{Clock, KeyedLimiter, LeaseLimiter, Quota, Region, RegionError, ShareError};

/// All at once, when each has begun.
fn let_go(children: &mut [Child]) {
    for child in &mut *children {
        let mut begun = [0; 1];
        while begun[0] != b'y' {
            // "ready": all wait at the same line.
            child.stdout.as_mut().unwrap().read_exact(&mut begun).unwrap();
        }
    }
    for child in children {
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    }
}

#[test]
fn processes_admit_exactly_the_limit() {
    let scratch = Scratch::new();
    let (n, begun) = (20_000, Instant::now());
    let mut children: Vec<_> =
        (0..4).map(|_| start("exhaust", &scratch.path(), &n.to_string())).collect();
    let mut sums = [0_u64; 3];
    let_go(&mut children);
    for child in children {
        let text = result(child);
        for (sum, one) in sums.iter_mut().zip(text.split(' ')) {
            *sum += one.parse::<u64>().unwrap();
        }
    }
    // GCRA gives some units back meanwhile: n an hour.
    let most = n + n * (begun.elapsed().as_secs() + 1) / 3600;
    assert!((n..=most).contains(&sums[0]), "{sums:?}");
    assert_eq!(sums[1], n, "the log is exact");
    assert!((n..=most).contains(&sums[2]), "{sums:?}");
    let region = Region::open(scratch.path()).unwrap();
    assert_eq!(log(&region, "log", n).peek("k").remaining(), 0);
    assert_eq!(region.names().unwrap().len(), 3);
}

#[test]
fn one_region_whoever_comes_first() {
    for _ in 0..5 {
        let scratch = Scratch::new();
        let mut children: Vec<_> = (0..8)
            .map(|nth| start("race", &scratch.path(), if nth % 2 == 0 { "a" } else { "b" }))
            .collect();
        let_go(&mut children);
        let mut left: Vec<u64> = Vec::new();
        for child in children {
            let text = result(child);
            let (remaining, names) = text.split_once(' ').unwrap();
            left.push(remaining.parse().unwrap());
            assert!(["1", "2"].contains(&names));
        }
        left.sort_unstable();
        // Who read the clock before another charged is told one less, rounded down.
        for (left, of) in left.iter().zip([996, 996, 997, 997, 998, 998, 999, 999]) {
            assert!((of - 1..=of).contains(left), "{left} of {of}");
        }
        let region = Region::open(scratch.path()).unwrap();
        for name in ["a", "b"] {
            assert_eq!(slow(&region, name).peek("everybody").remaining(), 996, "{name}");
        }
    }
}

#[test]
fn the_file_is_of_its_user_alone() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(scratch.path()), 0o600);
    assert_eq!(region.path(), Some(&*scratch.path()));
    let other = scratch.other("other");
    let _ = Region::options().mode(0o660).open(&other).unwrap();
    assert_eq!(mode(other), 0o660);
}

#[test]
fn the_file_has_its_space() {
    use std::os::unix::fs::MetadataExt;
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let limiter = KeyedLimiter::gcra(per_hour(5)).capacity(100_000);
    let limiter = limiter.try_build_in(&region, "large").unwrap();
    let file = std::fs::metadata(scratch.path()).unwrap();
    assert!(file.len() >= limiter.memory() as u64 && file.len() == region.bytes());
    assert!(file.blocks() * 512 >= file.len(), "a hole");
}

#[test]
fn everything_survives_its_processes() {
    let scratch = Scratch::new();
    {
        let region = Region::open(scratch.path()).unwrap();
        assert_eq!(gcra(&region, "gcra", 10).check_n("k", 4).remaining(), 6);
        assert_eq!(log(&region, "log", 10).check_n("k", 4).remaining(), 6);
        assert_eq!(gcra(&region, "gcra", 10).check_hash_n(7, 3).remaining(), 7);
    }
    let region = Region::open(scratch.path()).unwrap();
    assert_eq!(gcra(&region, "gcra", 10).peek("k").remaining(), 6);
    assert_eq!(gcra(&region, "gcra", 10).peek_hash(7).remaining(), 7);
    assert_eq!(log(&region, "log", 10).peek("k").remaining(), 6);
}

fn said<T: std::fmt::Debug>(result: Result<T, ShareError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn another_configuration_is_refused_by_name() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let _made = gcra(&region, "api", 10);
    let asked = KeyedLimiter::gcra(per_hour(10));
    assert_eq!(
        said(asked.clone().capacity(2000).try_build_in(&region, "api")),
        "\"api\" is in the region with another configuration: \
         capacity is 1000 keys there, 2000 keys here"
    );
    let text = said(
        asked
            .clone()
            .capacity(1000)
            .room_for(Quota::n_per_day(10).unwrap())
            .try_build_in(&region, "api"),
    );
    assert!(text.contains("room is for a debt of 3600") && text.contains("86400"), "{text}");
    let text =
        said(KeyedLimiter::sliding_log(per_hour(10)).capacity(1000).try_build_in(&region, "api"));
    assert!(text.contains("algorithm is gcra there, sliding-log here"), "{text}");
    let text = said(
        KeyedLimiter::gcra("20/2h".parse().unwrap())
            .longest_wait(Duration::ZERO)
            .capacity(1000)
            .try_build_in(&region, "api"),
    );
    assert!(text.contains("room is"), "{text}");
    let text = said(KeyedLimiter::gcra(per_hour(20)).capacity(1000).try_build_in(&region, "api"));
    assert_eq!(
        text,
        "\"api\" is in the region with another configuration: quota is 10/h there, 20/h here"
    );
    let text = said(KeyedLimiter::gcra(per_hour(20)).capacity(1000).try_build_in(&region, ""));
    assert_eq!(text, "no name for a limiter: \"\"");
}

#[test]
fn a_quota_is_of_all_processes() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let room = |quota| KeyedLimiter::gcra(quota).room_for(per_hour(10)).capacity(1000);
    let (a, b) = (
        room(per_hour(10)).try_build_in(&region, "api").unwrap(),
        room(per_hour(10)).try_build_in(&Region::open(scratch.path()).unwrap(), "api").unwrap(),
    );
    a.set_quota(per_hour(5)).unwrap();
    assert_eq!((b.quota(), b.check("k").limit()), (per_hour(5), 5));
    // Who comes now may ask for the one that holds.
    assert!(room(per_hour(5)).try_build_in(&region, "api").is_ok());
    assert!(room(per_hour(10)).try_build_in(&region, "api").is_err());
    std::fs::remove_file(scratch.path()).unwrap();
    assert_eq!(a.set_quota(per_hour(4)).unwrap_err(), tollgate::RoomError::Locked);
    assert!(matches!(region.names().unwrap_err(), RegionError::Gone { .. }));
    assert!(a.check("k").is_allowed(), "decisions go on");
}

#[test]
fn a_file_that_was_replaced_is_not_changed() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let limiter = gcra(&region, "api", 10);
    assert_eq!(limiter.check_n("k", 4).remaining(), 6);
    let other = Region::open(scratch.other("other")).unwrap();
    std::fs::rename(scratch.other("other"), scratch.path()).unwrap();
    assert!(matches!(region.names().unwrap_err(), RegionError::Gone { .. }));
    assert!(matches!(region.snapshot().unwrap_err(), RegionError::Gone { .. }));
    assert_eq!(limiter.set_quota(per_hour(4)).unwrap_err(), tollgate::RoomError::Locked);
    assert_eq!(limiter.check("k").remaining(), 5, "decisions go on");
    // It was renamed, so it is not where it was opened either.
    assert!(matches!(other.names().unwrap_err(), RegionError::Gone { .. }));
    assert_eq!(Region::open(scratch.path()).unwrap().names().unwrap(), [""; 0]);
}

/// The lock is waited for, and what was removed meanwhile is not what is opened.
#[test]
fn whoever_waits_for_the_lock_opens_what_is_there_then() {
    use nix::fcntl::{Flock, FlockArg};
    let scratch = Scratch::new();
    let path = scratch.path();
    let file = std::fs::File::create(&path).unwrap();
    let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    let waiting = std::thread::spawn(move || Region::open(path));
    // This test's own, and that of whoever opened what is going to be removed.
    while openings(&scratch.path()) < 2 {
        assert!(!waiting.is_finished(), "it did not wait");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_file(scratch.path()).unwrap();
    drop(held);
    let region = waiting.join().unwrap().unwrap();
    let limiter = gcra(&region, "api", 10);
    assert_eq!(limiter.check_n("k", 4).remaining(), 6);
    let theirs = gcra(&Region::open(scratch.path()).unwrap(), "api", 10);
    assert_eq!(theirs.peek("k").remaining(), 6);
}

/// How many descriptors of this process are of that file.
fn openings(path: &std::path::Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let is = |entry: std::io::Result<std::fs::DirEntry>| {
        // Other tests close theirs meanwhile.
        std::fs::read_link(entry.ok()?.path()).ok().filter(|file| file == path)
    };
    descriptors.filter_map(is).count()
}

/// Ten seconds: however slow the machine is, whoever has the lock still has it then.
#[test]
fn whoever_waits_for_the_lock_gives_up() {
    use nix::fcntl::{Flock, FlockArg};
    let scratch = Scratch::new();
    let file = std::fs::File::create(scratch.path()).unwrap();
    let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    assert!(matches!(Region::open(scratch.path()).unwrap_err(), RegionError::Busy));
    drop(held);
    Region::open(scratch.path()).unwrap();
}

#[test]
fn less_room_than_there_is_will_do() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let large = KeyedLimiter::sliding_log(per_hour(10)).room_for(per_hour(50)).capacity(100);
    let large = large.try_build_in(&region, "log").unwrap();
    let small = KeyedLimiter::sliding_log(per_hour(10)).capacity(100);
    let small = small.try_build_in(&region, "log").unwrap();
    for nth in 0..5 {
        assert_eq!(large.check("k").remaining(), 9 - 2 * nth);
        assert_eq!(small.check("k").remaining(), 8 - 2 * nth);
    }
    assert!(small.check("k").is_denied());
}

#[test]
fn time_goes_on_after_a_restart_of_the_system() {
    let scratch = Scratch::new();
    let (day, begun) = (Duration::from_secs(86_400), Instant::now());
    let region = Region::options().pretend_boot(1, Duration::ZERO, Duration::ZERO);
    let region = region.open(scratch.path()).unwrap();
    let limiter = gcra(&region, "api", 24);
    assert_eq!(limiter.check_n("k", 24).remaining(), 0);
    let before = region.clock().now();
    drop((limiter, region));

    // The system's clock starts at zero (nearly), eleven minutes later.
    let system = std::fs::read_to_string("/proc/uptime").unwrap();
    let up: f64 = system.split(' ').next().unwrap().parse().unwrap();
    let zero = Duration::from_secs_f64(up - 5.0);
    let minutes = Duration::from_secs(650);
    let open =
        |id, ahead| Region::options().pretend_boot(id, zero, ahead).open(scratch.path()).unwrap();
    let region = open(2, minutes);
    let now = region.clock().now();
    let passed = now.since(before);
    // The two clocks are not read at one instant.
    let between = begun.elapsed() + Duration::from_millis(5);
    assert!(passed + between >= minutes && passed < minutes + between, "{passed:?}");
    // 24 an hour: four came back after 600 s.
    assert_eq!(gcra(&region, "api", 24).peek("k").remaining(), 4);
    drop(region);

    // A wall clock that went back by a day: nothing runs backwards, nothing came back.
    let region = open(3, Duration::ZERO);
    let again = region.clock().now();
    // (Not before the latest time that was noted, which is once a second.)
    let noted = again.after(Duration::from_secs(1));
    assert!(noted >= now && again.since(now) < minutes, "{again:?} {now:?}");
    assert_eq!(gcra(&region, "api", 24).peek("k").remaining(), 4);
    // The same boot: nothing is moved, whatever the wall clock says.
    let same = Region::options().pretend_boot(3, zero, day).open(scratch.path()).unwrap();
    assert!(same.clock().now().since(again) < minutes);
}

#[test]
fn every_clock_of_a_region_is_one() {
    let scratch = Scratch::new();
    let (a, b) = (Region::open(scratch.path()).unwrap(), Region::open(scratch.path()).unwrap());
    let (a, b) = (a.clock(), b.clock());
    for _ in 0..1000 {
        let (one, two, three) = (a.now(), b.now(), a.now());
        assert!(one <= two && two <= three);
    }
}

/// A container may have a monotonic clock that is ahead of others.
#[test]
fn every_time_namespace_has_one_clock() {
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let before = region.clock().now();
    // Where namespaces may not be made, there is nothing to be seen.
    let child = std::process::Command::new("unshare")
        .args(["--time", "--fork", "--monotonic", "100000"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "workers::worker", "--nocapture", "--test-threads=1"])
        .env("TOLLGATE_PART", "time")
        .env("TOLLGATE_PATH", scratch.path())
        .env("TOLLGATE_ARGUMENT", "")
        .stderr(std::process::Stdio::null())
        .output();
    let Some(output) = child.ok().filter(|output| output.status.success()) else {
        println!("no time namespace can be made here");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let nanos = text.lines().find_map(|line| line.split_once("result ")).unwrap().1;
    let theirs = tollgate::Nanos::new(nanos.parse().unwrap());
    assert!(before <= theirs && theirs <= region.clock().now(), "{before:?} {theirs:?}");
}

#[test]
fn leases_of_the_dead_end_by_themselves() {
    let scratch = Scratch::new();
    let ttl = Duration::from_millis(300);
    let at_most =
        |region: &Region| LeaseLimiter::at_most(2, ttl).capacity(10).try_build_in(region, "jobs");
    let region = Region::open(scratch.path()).unwrap();
    let jobs = at_most(&region).unwrap();
    let theirs = at_most(&Region::open(scratch.path()).unwrap()).unwrap();
    let now = region.clock().now();
    let id = theirs.acquire_at("k", now).unwrap().detach();
    // What a killed process leaves behind.
    let _left = theirs.acquire_at("k", now).unwrap().detach();
    assert!(jobs.acquire_at("k", now).is_err());
    assert!(jobs.renew_at(id, ttl, now).unwrap(), "an id finds a lease from any process");
    assert!(jobs.release_at(id, now) && !theirs.release_at(id, now));
    let one = jobs.acquire_at("k", now).unwrap();
    assert!(theirs.acquire_at("k", now).is_err());
    std::thread::sleep(Duration::from_millis(320));
    assert!(theirs.acquire("k").is_ok());
    drop(one);
    let text = LeaseLimiter::at_most(3, Duration::from_millis(300))
        .capacity(10)
        .try_build_in(&region, "jobs")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("room is for 2 leases of 300ms there, for 3 leases of 300ms here"),
        "{text}"
    );
}
