//! Every operation on leases.

use super::{NOW, Patience, Scene, Stands, at, long_after, text};
use crate::{LeaseId, LeaseLimiter, Nanos, Region};
use std::{cell::Cell, time::Duration};

type Jobs = LeaseLimiter<Stands>;

const SLOTS: u64 = 16;
const KEY: u64 = 1000;
const TTL: Duration = Duration::from_secs(60);

fn build(region: &Region) -> Jobs {
    let jobs = LeaseLimiter::at_most(3, TTL).capacity(10).clock(Stands(NOW)).epoch(Nanos::ZERO);
    jobs.try_build_in(region, "jobs").unwrap()
}

fn take(jobs: &Jobs, key: u64, secs: i64) -> LeaseId {
    jobs.hashed(key).acquire_at(at(secs)).unwrap().detach()
}

fn others_come(jobs: &Jobs, keys: std::ops::Range<u64>) {
    for key in keys {
        for nth in 0..=key % 3 {
            let _ = take(jobs, key, -20 + i64::try_from(nth).unwrap());
        }
    }
}

fn others(jobs: &Jobs) -> String {
    (0..SLOTS).map(|key| text(&jobs.hashed(key).peek_at(NOW)) + "\n").collect()
}

fn look(jobs: &Jobs) -> String {
    text(&jobs.hashed(KEY).peek_at(NOW))
}

/// All leases of the dead are over, and their slots are free.
fn refill(jobs: &Jobs) {
    // A lease's time, and what a slot may be kept beyond it.
    for now in [at(63), long_after()] {
        let before = jobs.saturated();
        for key in 5000..5000 + SLOTS {
            for _ in 0..3 {
                let lease = jobs.hashed(key).acquire_at(now);
                let lease = lease.unwrap_or_else(|denied| panic!("a slot is lost: {denied:?}"));
                let _ = lease.detach();
                assert_eq!(jobs.saturated(), before, "a slot is lost");
            }
        }
        for key in 5000..5000 + SLOTS {
            assert!(jobs.hashed(key).acquire_at(now).is_err(), "a fourth");
        }
        drop(jobs.hashed(KEY).acquire_at(now));
        assert_eq!(jobs.saturated(), before + 1, "another slot than there are");
    }
}

fn scene(name: &str, prepare: impl Fn(&Jobs), act: impl Fn(&Jobs) -> String) -> u64 {
    scene_of(name, false, prepare, act)
}

fn scene_of(
    name: &str,
    in_steps: bool,
    prepare: impl Fn(&Jobs),
    act: impl Fn(&Jobs) -> String,
) -> u64 {
    let (_, writes) = Scene {
        name: &format!("leases, {name}"),
        build: &build,
        prepare: &prepare,
        act: &act,
        look: &look,
        others: &others,
        refill: &refill,
        in_steps,
    }
    .play();
    writes
}

fn acquire(jobs: &Jobs) -> String {
    match jobs.hashed(KEY).acquire_at(NOW) {
        Ok(lease) => {
            let decision = lease.decision();
            let _ = lease.detach();
            text(&decision)
        }
        Err(denied) => text(&denied),
    }
}

#[test]
fn leases() {
    let _hang = Patience::of("leases", 3600);
    let writes = scene("the first", |j| others_come(j, 0..6), acquire);
    assert!(writes >= 6, "{writes}");
    let id = Cell::new(None);
    let has = |n: i64| {
        let id = &id;
        move |jobs: &Jobs| {
            others_come(jobs, 0..6);
            for nth in 0..n {
                id.set(Some(take(jobs, KEY, nth - 5)));
            }
        }
    };
    scene("another", has(1), acquire);
    assert_eq!(scene("one too many", has(3), acquire), 0);
    let over = |jobs: &Jobs| {
        for key in 6..SLOTS {
            let _ = take(jobs, key, -500);
        }
        others_come(jobs, 0..6);
    };
    scene("a slot whose leases are over", over, acquire);
    let own = |jobs: &Jobs| {
        let _ = take(jobs, KEY, -500);
        others_come(jobs, 0..6);
    };
    scene("own leases are over", own, acquire);
    scene("no slot", |j| others_come(j, 0..SLOTS), acquire);
    let id = || id.get().unwrap();
    assert!(scene("renewed", has(2), |j| text(&j.renew_at(id(), TTL, NOW))) >= 2);
    scene("given back", has(2), |j| text(&j.release_at(id(), NOW)));
    assert!(scene("the last given back", has(1), |j| text(&j.release_at(id(), NOW))) >= 2);
    scene_of("all given back", true, has(3), |j| text(&j.hashed(KEY).release_all_at(NOW)));
    let given_back = |jobs: &Jobs| {
        has(1)(jobs);
        assert!(jobs.release_at(id(), at(-1)));
    };
    scene("after it was given back", given_back, acquire);
    let broken = |jobs: &Jobs| {
        others_come(jobs, 0..6);
        let _ = take(jobs, KEY, 5 * 86_400);
    };
    scene_of("fault", true, broken, acquire);
}
