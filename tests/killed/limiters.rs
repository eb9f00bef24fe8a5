//! Every operation of limiters that count.

use super::{NOW, Patience, Scene, Stands, at, long_after, text};
use crate::{
    Algorithm, Charge, Gcra, KeyedBuilder, KeyedLimiter, Nanos, Quota, Region, SlidingCounter,
    SlidingLog,
};
use std::{cell::Cell, time::Duration};

type Shared<A> = KeyedLimiter<A, Stands>;

/// Units in an hour.
const UNITS: u64 = 10;
/// Slots of the smallest table: one bucket.
const SLOTS: u64 = 16;
/// The key that something happens to; others are below 1000.
const KEY: u64 = 1000;

fn quota() -> Quota {
    Quota::n_per_hour(UNITS).unwrap()
}

/// A table of one bucket.
fn small<A: Algorithm>(limiter: KeyedBuilder<A>) -> impl Fn(&Region) -> Shared<A> {
    let limiter = limiter.capacity(10).clock(Stands(NOW)).epoch(Nanos::ZERO);
    move |region| limiter.clone().try_build_in(region, "api").unwrap()
}

/// Keys that are in debt, of different depth, by charges of different age.
fn others_come<A: Algorithm>(limiter: &Shared<A>, keys: std::ops::Range<u64>) {
    for key in keys {
        let n = key % 5 + 1;
        assert!(limiter.check_hash_n_at(key, n, at(-600)).is_allowed());
        assert!(limiter.check_hash_n_at(key, n, at(-10)).is_allowed());
    }
}

/// Keys whose states are as good as new.
fn idle_come<A: Algorithm>(limiter: &Shared<A>, keys: std::ops::Range<u64>) {
    for key in keys {
        let then = at(-90_000 - i64::try_from(key).unwrap());
        assert!(limiter.check_hash_n_at(key, 1 + key % UNITS, then).is_allowed());
    }
}

fn others<A: Algorithm>(limiter: &Shared<A>) -> String {
    (0..SLOTS).map(|key| text(&limiter.hashed(key).peek_at(NOW)) + "\n").collect()
}

fn look<A: Algorithm>(limiter: &Shared<A>) -> String {
    text(&limiter.hashed(KEY).peek_at(NOW))
}

/// As many keys as there are slots get one each, and keep what they are charged.
fn refill<A: Algorithm>(limiter: &Shared<A>) {
    let (late, before) = (long_after(), limiter.saturated());
    for key in 5000..5000 + SLOTS {
        let decision = limiter.check_hash_n_at(key, UNITS, late);
        assert!(decision.is_allowed() && limiter.saturated() == before, "a slot is lost");
    }
    for key in 5000..5000 + SLOTS {
        assert_eq!(limiter.hashed(key).peek_at(late).remaining(), 0);
    }
    let _ = limiter.check_hash_at(KEY, late);
    assert_eq!(limiter.saturated(), before + 1, "another slot than there are");
}

/// Plays scenes over a small table of one algorithm.
struct Play<'p, A: Algorithm> {
    algorithm: &'p str,
    build: &'p dyn Fn(&Region) -> Shared<A>,
    deaths: Cell<u64>,
}

impl<A: Algorithm> Play<'_, A> {
    /// Before how many writes it was killed.
    fn scene(
        &self,
        name: &str,
        prepare: impl Fn(&Shared<A>),
        act: impl Fn(&Shared<A>) -> String,
    ) -> u64 {
        self.scene_of(name, false, prepare, act)
    }

    fn scene_of(
        &self,
        name: &str,
        in_steps: bool,
        prepare: impl Fn(&Shared<A>),
        act: impl Fn(&Shared<A>) -> String,
    ) -> u64 {
        let (deaths, writes) = Scene {
            name: &format!("{}, {name}", self.algorithm),
            build: self.build,
            prepare: &prepare,
            act: &act,
            look: &look,
            others: &others,
            refill: &refill,
            in_steps,
        }
        .play();
        self.deaths.set(self.deaths.get() + deaths);
        writes
    }
}

fn check_n<A: Algorithm>(n: u64) -> impl Fn(&Shared<A>) -> String {
    move |limiter| text(&limiter.check_hash_n_at(KEY, n, NOW))
}

fn all<A: Algorithm>(algorithm: &str, build: &dyn Fn(&Region) -> Shared<A>) -> u64 {
    let play = Play { algorithm, build, deaths: Cell::new(0) };
    let writes = play.scene("first sight", |l| others_come(l, 0..6), check_n(2));
    assert!(writes >= 5, "ticket, claim, key, confirmation, state: {writes}");
    play.scene("first sight in an empty table", |_| (), check_n(1));
    // All slots have keys: one that is idle goes.
    let full = |l: &Shared<A>| {
        idle_come(l, 6..SLOTS);
        others_come(l, 0..6);
    };
    let writes = play.scene("idle slot taken", full, check_n(2));
    assert!(writes >= 6, "and the floor: {writes}");
    let back = |l: &Shared<A>| {
        assert!(l.check_hash_n_at(KEY, 3, at(-90_000)).is_allowed());
        others_come(l, 0..6);
    };
    play.scene("idle key comes back", back, check_n(2));
    let known = |n: u64| {
        move |l: &Shared<A>| {
            others_come(l, 0..6);
            assert!(l.check_hash_n_at(KEY, n, at(-5)).is_allowed());
        }
    };
    play.scene("known key", known(3), check_n(2));
    assert_eq!(play.scene("denied", known(UNITS), check_n(2)), 0, "a denial writes nothing");
    let saturated = |l: &Shared<A>| others_come(l, 0..SLOTS);
    play.scene("no slot", saturated, check_n(1));
    // Some of what counts has passed, the rest has not.
    let part = |l: &Shared<A>| {
        others_come(l, 0..6);
        assert!(l.check_hash_n_at(KEY, 4, at(-3700)).is_allowed());
        assert!(l.check_hash_n_at(KEY, 3, at(-1000)).is_allowed());
    };
    play.scene("part has passed", part, check_n(2));
    let before = |l: &Shared<A>| {
        others_come(l, 0..6);
        assert!(l.check_hash_n_at(KEY, 6, at(-1300)).is_allowed());
    };
    play.scene("the last window's", before, check_n(2));
    play.scene("reset", known(7), |l| text(&l.hashed(KEY).reset_at(NOW)));
    let charge: Cell<Option<Charge>> = Cell::new(None);
    let charged = |l: &Shared<A>| {
        known(2)(l);
        charge.set(l.check_hash_n_at(KEY, 5, at(-2)).charge());
    };
    play.scene("refund", charged, |l| text(&l.hashed(KEY).refund_at(charge.get().unwrap(), NOW)));
    play.scene("settled for more", charged, |l| {
        text(&l.hashed(KEY).settle_at(&mut charge.get().unwrap(), 20, NOW))
    });
    play.scene("settled for less", charged, |l| {
        text(&l.hashed(KEY).settle_at(&mut charge.get().unwrap(), 1, NOW))
    });
    let settled_new = |l: &Shared<A>| {
        charged(l);
        let _ = l.hashed(KEY).reset_at(at(-1));
    };
    play.scene("known and reset", settled_new, check_n(2));
    // A clock that was broken left a state that no clock explains. Its repair may end
    // half-way: the key then owes what it did, but from now on.
    let broken = |l: &Shared<A>| {
        others_come(l, 0..6);
        let _ = l.check_hash_n_at(KEY, 2, at(5 * 86_400));
    };
    play.scene_of("fault", true, broken, check_n(1));
    let all_broken = |l: &Shared<A>| {
        others_come(l, 0..SLOTS - 2);
        for key in 100..102 {
            let _ = l.check_hash_n_at(key, 2, at(5 * 86_400));
        }
    };
    play.scene("slots at fault", all_broken, check_n(1));
    play.deaths.get()
}

#[test]
fn gcra() {
    let _hang = Patience::of("gcra", 3600);
    let build = small(KeyedLimiter::gcra(quota()).longest_wait(Duration::from_secs(7200)));
    let deaths = all::<Gcra>("gcra", &build);
    let play = Play { algorithm: "gcra", build: &build, deaths: Cell::new(deaths) };
    let known = |l: &Shared<Gcra>| {
        others_come(l, 0..6);
        assert!(l.check_hash_n_at(KEY, UNITS, at(-5)).is_allowed());
    };
    play.scene("reservation", known, |l| {
        text(&l.hashed(KEY).reserve_at(3, Duration::from_secs(7200), NOW))
    });
    println!("{} killed", play.deaths.get());
}

#[test]
fn sliding_log() {
    let _hang = Patience::of("sliding log", 3600);
    let deaths = all::<SlidingLog>("log", &small(KeyedLimiter::sliding_log(quota())));
    println!("{deaths} killed");
}

#[test]
fn sliding_counter() {
    let _hang = Patience::of("sliding counter", 3600);
    let deaths = all::<SlidingCounter>("counter", &small(KeyedLimiter::sliding_counter(quota())));
    println!("{deaths} killed");
}
