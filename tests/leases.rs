//! Leases against a list of their ends, and from many threads.
//!
//! 1. one after the other, whatever is asked and however the clock goes: what the
//!    list says;
//! 2. never more than N at a time, whoever dies, renews, or releases twice;
//! 3. whoever dies is out after the time;
//! 4. no lease that is live loses its slot, and a key without one takes none.
#![cfg(not(loom))]

use proptest::prelude::*;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tollgate::{
    BuildError, Clock, Decision, LeaseId, LeaseLimiter, ManualClock, MonotonicClock, Nanos,
    OnSaturation, Outcome, RoomError,
};

const MS: u64 = 1_000_000;
const DAY: u64 = 86_400_000_000_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What is asked of one of the keys at one of the times.
#[derive(Clone, Debug)]
enum Step {
    Acquire { most: u64, ttl: u64 },
    Renew { which: usize, ttl: u64 },
    Release { which: usize },
    ReleaseAll,
    Peek { most: u64 },
}

fn steps() -> impl Strategy<Value = Vec<(u8, i64, Step)>> {
    let ttl = 1..20_u64 * MS;
    let step = prop_oneof![
        5 => (0..5_u64, ttl.clone()).prop_map(|(most, ttl)| Step::Acquire { most, ttl }),
        2 => (0..40_usize, ttl).prop_map(|(which, ttl)| Step::Renew { which, ttl }),
        3 => (0..40_usize).prop_map(|which| Step::Release { which }),
        1 => Just(Step::ReleaseAll),
        2 => (0..5_u64).prop_map(|most| Step::Peek { most }),
    ];
    // Forward mostly, sometimes far, sometimes back.
    let by = prop_oneof![4 => 0..3_000_000_i64, 1 => 0..100_000_000_i64, 1 => -5_000_000_i64..0];
    prop::collection::vec((0..2_u8, by, step), 1..120)
}

/// A lease as the list has it: its key, its end in ns, and whether it is over for good:
/// given back, or seen to be over by who needed to know.
struct Listed {
    key: u8,
    id: LeaseId,
    end: u64,
    over: bool,
}

/// The list: what a limiter of four leases says, by the definition.
#[derive(Default)]
struct Oracle(Vec<Listed>);

impl Oracle {
    fn live(&self, key: u8, now: u64) -> Vec<u64> {
        let live = self.0.iter().filter(|l| l.key == key && !l.over && l.end > now);
        let mut ends: Vec<u64> = live.map(|l| l.end).collect();
        ends.sort_unstable();
        ends
    }

    /// Limit, remaining, reset, full, outcome and wait of a request.
    fn expect(&self, key: u8, now: u64, most: u64, cost: u64) -> (u64, u64, u64, u64, Option<u64>) {
        let ends = self.live(key, now);
        let until = |end: Option<&u64>| end.map_or(0, |end| end - now);
        let left = most.saturating_sub(ends.len() as u64);
        let retry = if cost == 0 || left > 0 {
            Some(0)
        } else {
            // When so many have ended that one fits.
            (most > 0).then(|| ends[ends.len() - usize::try_from(most).unwrap()] - now)
        };
        (most, left, until(ends.first()), until(ends.last()), retry)
    }
}

fn numbers(d: Decision) -> (u64, u64, u64, u64, Option<u64>) {
    let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap();
    let retry = match d.outcome() {
        Outcome::Allowed => Some(0),
        Outcome::Later => Some(nanos(d.retry_after().unwrap())),
        _ => None,
    };
    (d.limit(), d.remaining(), nanos(d.reset_after()), nanos(d.full_after()), retry)
}

fn end_of(now: u64, ttl: u64) -> u64 {
    (now + ttl).div_ceil(MS) * MS
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_after_the_other(steps in steps()) {
        let limiter = LeaseLimiter::at_most(4, ms(20)).clock(ManualClock::new()).try_build().unwrap();
        let mut oracle = Oracle::default();
        let mut now = 1000 * MS;
        for (key, by, step) in steps {
            now = now.saturating_add_signed(by);
            let at = Nanos::new(now);
            let of = limiter.key(&[key]);
            match step {
                Step::Acquire { most, ttl } => {
                    let asked = of.at_most(most).unwrap().ttl(Duration::from_nanos(ttl)).unwrap();
                    let (limit, left, _, _, retry) = oracle.expect(key, now, most, 1);
                    match asked.acquire_at(at) {
                        Ok(lease) => {
                            prop_assert_eq!(retry, Some(0));
                            let d = lease.decision();
                            prop_assert!(d.charge().is_none() && d.is_accounted());
                            let end = end_of(now, ttl);
                            // Whoever needs an entry makes sure that it stays over.
                            for l in &mut oracle.0 {
                                l.over |= l.key == key && l.end <= now;
                            }
                            oracle.0.push(Listed { key, id: lease.detach(), end, over: false });
                            let ends = oracle.live(key, now);
                            let (first, last) = (ends[0] - now, ends[ends.len() - 1] - now);
                            prop_assert_eq!(numbers(d), (limit, left - 1, first, last, Some(0)));
                        }
                        Err(d) => {
                            prop_assert_eq!(numbers(d), oracle.expect(key, now, most, 1));
                        }
                    }
                }
                Step::Renew { which, ttl } => {
                    let Some(l) = oracle.0.get_mut(which) else { continue };
                    let live = !l.over && l.end > now;
                    let renewed = limiter.renew_at(l.id, Duration::from_nanos(ttl), at).unwrap();
                    prop_assert_eq!(renewed, live);
                    if live {
                        l.end = l.end.max(end_of(now, ttl));
                    }
                }
                Step::Release { which } => {
                    let Some(l) = oracle.0.get_mut(which) else { continue };
                    let live = !l.over && l.end > now;
                    prop_assert_eq!(limiter.release_at(l.id, at), live);
                    let (key, found) = (l.key, !l.over);
                    l.over = true;
                    if found && oracle.live(key, now).is_empty() {
                        // Letting go of the slot makes void what was over.
                        oracle.0.iter_mut().for_each(|l| l.over |= l.key == key);
                    }
                }
                Step::ReleaseAll => {
                    let live = oracle.live(key, now).len() as u64;
                    prop_assert_eq!(of.release_all_at(at), live);
                    oracle.0.iter_mut().for_each(|l| l.over |= l.key == key);
                }
                Step::Peek { most } => {
                    let d = of.at_most(most).unwrap().peek_at(at);
                    prop_assert_eq!(numbers(d), oracle.expect(key, now, most, 0));
                }
            }
        }
    }

    /// Bytes from anywhere are an id, which finds nothing.
    #[test]
    fn any_bytes_are_an_id(bytes: [u8; 16], n in 0..64_usize) {
        let limiter = LeaseLimiter::at_most(3, ms(3_600_000)).try_build().unwrap();
        let lease = limiter.acquire("a").unwrap();
        let id = LeaseId::from_bytes(bytes);
        prop_assert!(!limiter.release(id));
        prop_assert!(!id.is_accounted() || !limiter.renew(id));
        // Nor does one that is the lease's but for a bit, if not the nonce's unused ones.
        let mut near = lease.id().to_bytes();
        near[n / 8] ^= 1 << (n % 8);
        prop_assert!(!limiter.release(LeaseId::from_bytes(near)));
        prop_assert!(lease.release());
    }
}

/// The denied who waits as told gets one, and a nanosecond earlier none, also where
/// the number was lowered below what is held.
#[test]
fn waiting_as_told_is_enough() {
    let limiter = LeaseLimiter::at_most(5, ms(100)).clock(ManualClock::new()).try_build().unwrap();
    let ids: Vec<_> = (0..5)
        .map(|n| limiter.acquire_at("k", Nanos::new((10 + n * 7) * MS)).unwrap().detach())
        .collect();
    let now = 50 * MS;
    for most in 1..=5 {
        let key = limiter.key("k").at_most(most).unwrap();
        let d = key.acquire_at(Nanos::new(now)).unwrap_err();
        let wait = d.retry_after().unwrap();
        assert_eq!(wait, ms(60 + (5 - most) * 7));
        let at = now + u64::try_from(wait.as_nanos()).unwrap();
        assert!(key.acquire_at(Nanos::new(at - 1)).is_err(), "{most}");
    }
    let key = limiter.key("k").at_most(2).unwrap();
    assert!(key.acquire_at(Nanos::new(now + 81 * MS)).is_ok());
    assert_eq!(key.at_most(0).unwrap().acquire().unwrap_err().outcome(), Outcome::Never);
    assert_eq!(ids.len(), 5);
}

#[test]
fn dropping_releases_and_detaching_does_not() {
    let limiter = Arc::new(LeaseLimiter::at_most(1, ms(60_000)).try_build().unwrap());
    let now = limiter.clock().now();
    let lease = limiter.key("a").acquire_at(now).unwrap();
    assert!(limiter.release_at(lease.detach(), now));
    assert_eq!(limiter.gauges_at(now).live_keys(), 1, "kept to the end of the second");
    drop(limiter.acquire("a").unwrap());
    assert_eq!(limiter.peek("a").remaining(), 1);
    let id = limiter.acquire("a").unwrap().detach();
    assert!(limiter.acquire("a").is_err());
    assert!(limiter.renew(id));
    // Another thread, which has only bytes.
    let (same, bytes) = (limiter.clone(), id.to_bytes());
    assert!(thread::spawn(move || same.release(LeaseId::from_bytes(bytes))).join().unwrap());
    assert!(!limiter.release(id) && !limiter.renew(id));
    let owned = limiter.acquire_owned("a").unwrap();
    let task = thread::spawn(move || {
        assert!(owned.renew());
        owned.release()
    });
    assert!(task.join().unwrap());
    let lease = limiter.acquire("a").unwrap();
    assert!(!limiter.release(id), "an old id does not end the new lease");
    assert_eq!(limiter.key("a").release_all(), 1);
    assert!(!lease.renew() && !lease.release());
    // A number that the caller made is a key of its own.
    assert!(limiter.hashed(7).acquire().is_ok());
}

/// A slot is held while a lease is live, and until its end if nobody gives it back.
#[test]
fn slots_go_with_the_last_release() {
    let clock = ManualClock::new();
    let limiter = LeaseLimiter::at_most(2, ms(3_600_000))
        .clock(&clock)
        .capacity(11)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap();
    // Far more keys in turn than there are slots, an hour each if they had not released.
    for n in 0..1000_u64 {
        let key = limiter.hashed(n);
        let (a, b) = (key.acquire().unwrap(), key.acquire().unwrap());
        clock.advance(ms(1100));
        assert!(a.release() && b.release());
    }
    assert_eq!(limiter.saturated(), 0);
    clock.advance(ms(2000));
    assert_eq!(limiter.gauges().live_keys(), 0);
    // Keys that hold one are never pushed out.
    let held: Vec<_> = (0..1000).filter_map(|n| limiter.hashed(n).acquire().ok()).collect();
    assert!(held.len() >= 11 && limiter.saturated() > 0, "{}", held.len());
    let denied = limiter.hashed(5000).acquire().unwrap_err();
    assert!(!denied.is_accounted() && denied.retry_after().unwrap() <= ms(3_602_000));
    clock.advance(ms(3_599_999));
    assert!(held.iter().all(tollgate::Lease::renew));
    clock.advance(ms(3_599_999));
    assert!(limiter.hashed(5000).acquire().is_err());
    assert!(held.iter().all(tollgate::Lease::renew));
    clock.advance(ms(3_602_000));
    assert!(limiter.hashed(5000).acquire().is_ok());
    assert!(!held.iter().any(tollgate::Lease::renew));
}

/// Who finds the table full may be let through, with a lease that nobody counts.
#[test]
fn unaccounted_leases() {
    let limiter = LeaseLimiter::at_most(1, ms(60_000)).capacity(1).try_build().unwrap();
    let held: Vec<_> = (0..40).map(|n| limiter.hashed(n).acquire().unwrap()).collect();
    let beside: Vec<_> = held.iter().filter(|lease| !lease.decision().is_accounted()).collect();
    assert_eq!((beside.len(), limiter.saturated()), (24, 24));
    for lease in beside {
        assert!(!lease.id().is_accounted() && lease.renew() && !limiter.release(lease.id()));
    }
}

/// A broken clock leaves a lease that ends in years: it counts for one full time more.
#[test]
fn far_ends_are_repaired() {
    let clock = ManualClock::new();
    let limiter = LeaseLimiter::at_most(1, ms(1000)).clock(&clock).try_build().unwrap();
    let id = limiter.acquire_at("a", Nanos::new(1000 * DAY)).unwrap().detach();
    // By the limiter's own clock, which is asked before anything is repaired.
    let seen = limiter.peek_at("a", Nanos::new(0));
    assert_eq!((seen.remaining(), seen.full_after()), (0, ms(1000)));
    clock.set(Nanos::new(DAY));
    let denied = limiter.acquire("a").unwrap_err();
    assert_eq!(denied.retry_after(), Some(ms(1000)));
    assert!(limiter.renew(id), "its holder may go on");
    clock.advance(ms(999));
    assert!(limiter.acquire("a").is_err());
    clock.advance(ms(1));
    assert!(limiter.acquire("a").is_ok());
    // A caller whose own reading is days old repairs nothing.
    clock.set(Nanos::new(500 * DAY));
    let held = limiter.acquire("b").unwrap();
    assert_eq!(
        limiter.peek_at("b", Nanos::new(DAY)).full_after(),
        ms(1000) + Duration::from_nanos(499 * DAY)
    );
    assert!(held.renew());
}

#[test]
fn what_cannot_be_is_refused() {
    let build = |n, ttl| LeaseLimiter::at_most(n, ttl).try_build().map(|_| ());
    assert_eq!(build(0, ms(1)), Err(BuildError::LeasesOutOfRange { leases: 0 }));
    assert_eq!(build(65_536, ms(1)), Err(BuildError::LeasesOutOfRange { leases: 65_536 }));
    for ttl in [Duration::ZERO, Duration::MAX, Duration::from_nanos(DAY * 1700)] {
        assert_eq!(build(1, ttl), Err(BuildError::LeaseTimeOutOfRange { ttl }));
    }
    assert_eq!(LeaseLimiter::at_most(1, ms(1)).capacity(0).memory(), Err(BuildError::ZeroCapacity));
    let limiter = LeaseLimiter::at_most(2, ms(10)).room_for(3, ms(5)).try_build().unwrap();
    let key = limiter.key("a");
    assert!(key.at_most(3).is_ok());
    assert_eq!(key.at_most(4).unwrap_err(), RoomError::Leases { leases: 4, room: 3 });
    for ttl in [Duration::ZERO, ms(11), Duration::MAX] {
        let refused = RoomError::LeaseTime { ttl, room: ms(10) };
        assert_eq!(key.ttl(ttl).unwrap_err(), refused);
        let id = key.acquire().unwrap().id();
        assert_eq!(limiter.renew_at(id, ttl, Nanos::ZERO), Err(refused));
    }
    // The ends of time.
    for now in [0, 1, u64::MAX] {
        assert!(limiter.acquire_at("b", Nanos::new(now)).is_ok());
    }
    let largest = LeaseLimiter::at_most(65_535, ms(3_600_000)).capacity(1).try_build().unwrap();
    let all: Vec<_> = (0..50).map(|_| largest.acquire("a").unwrap()).collect();
    assert_eq!(largest.peek("a").remaining(), 65_535 - all.len() as u64);
}

/// A lease that was surely live from `from` to `to`, by the clock.
struct Held {
    key: u64,
    from: u64,
    to: u64,
}

/// What the threads of the stress share.
struct Shared<'a> {
    limiter: &'a LeaseLimiter,
    stop: AtomicBool,
    dead: AtomicU64,
    /// Leases that others are to give back: key, since when, their end, and the id.
    given: Mutex<Vec<(u64, u64, u64, LeaseId)>>,
    /// Ids of leases that are over.
    used: Mutex<Vec<LeaseId>>,
}

const N: u64 = 3;
const KEYS: u64 = 4;
const TTL: u64 = 20 * MS;

impl Shared<'_> {
    fn now(&self) -> u64 {
        self.limiter.clock().now().as_u64()
    }

    /// Acquires, works, renews, gives back, gives back twice, leaves it to others, or
    /// dies, until told to stop.
    fn work(&self, worker: u64) -> Vec<Held> {
        let mut random = worker.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut passed = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if (random >> 20).is_multiple_of(4) {
                passed.extend(self.release_another());
                let old = self.used.lock().unwrap().pop();
                assert!(old.is_none_or(|id| !self.limiter.release(id)), "a second release");
            }
            let key = random % KEYS;
            let before = self.now();
            let Ok(lease) = self.limiter.hashed(key).acquire() else { continue };
            let (from, mut end) = (self.now(), before + TTL);
            match (random >> 30) % 64 {
                0 => thread::sleep(ms(1)),
                1 => thread::yield_now(),
                2 => {
                    let before = self.now();
                    let renewed = lease.renew();
                    assert!(renewed || self.now() >= end, "it was live");
                    if renewed {
                        end = before + TTL;
                    }
                }
                _ => {}
            }
            match (random >> 40) % 256 {
                0 => {
                    // Nobody gives it back.
                    let _ = lease.detach();
                    self.dead.fetch_add(1, Ordering::Relaxed);
                    passed.push(Held { key, from, to: end });
                }
                1..16 => self.given.lock().unwrap().push((key, from, end, lease.detach())),
                _ => {
                    passed.push(Held { key, from, to: self.now().min(end) });
                    drop(lease);
                }
            }
        }
        passed
    }

    /// Gives back what another thread had.
    fn release_another(&self) -> Option<Held> {
        let (key, from, end, id) = self.given.lock().unwrap().pop()?;
        let held = Held { key, from, to: self.now().min(end) };
        assert!(self.limiter.release(id) || self.now() >= end, "it was live");
        self.used.lock().unwrap().push(id);
        Some(held)
    }
}

/// At no moment more than N leases of a key were surely live, and those of the dead end
/// after their time.
#[test]
fn never_more_than_n() {
    let clock = MonotonicClock::new();
    let limiter =
        LeaseLimiter::at_most(N, ms(20)).room_for(6, ms(20)).clock(clock).try_build().unwrap();
    let shared = Shared {
        limiter: &limiter,
        stop: AtomicBool::new(false),
        dead: AtomicU64::new(0),
        given: Mutex::new(Vec::new()),
        used: Mutex::new(Vec::new()),
    };
    let all: Vec<Held> = thread::scope(|scope| {
        let shared = &shared;
        let workers: Vec<_> = (0..8).map(|n| scope.spawn(move || shared.work(n))).collect();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1500) {
            thread::sleep(ms(5));
        }
        shared.stop.store(true, Ordering::Relaxed);
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let dead = shared.dead.into_inner();
    assert!(all.len() > 1000 && dead > 10, "{} had, {dead} died", all.len());
    let mut most = 0;
    for key in 0..KEYS {
        // One thread's clock may lag another's by a little.
        let held = all.iter().filter(|held| held.key == key && held.from + 1000 < held.to);
        let mut edges: Vec<_> =
            held.flat_map(|held| [(held.from, 1), (held.to - 1000, -1)]).collect();
        edges.sort_unstable();
        let mut live = 0;
        for (at, edge) in edges {
            live += edge;
            most = live.max(most);
            assert!(live <= 3, "{live} of key {key} at {at}");
        }
    }
    assert_eq!(most, 3);
    // Everybody is out after the time.
    thread::sleep(ms(22));
    for key in 0..KEYS {
        assert_eq!(limiter.hashed(key).peek().remaining(), N);
    }
    println!("leases: {} had, {dead} died", all.len());
}
