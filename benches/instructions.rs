//! The paths whose instructions `.ci/instructions` counts under callgrind.
//!
//! Each path decides ten thousand times in `counted`, the only function that is
//! counted, and prints its name before. Callgrind writes what it counted each time
//! that `counted` returns, so the nth count is that of the nth name. Everything
//! is fixed: seeds, keys, times. A count includes the loop and the keeping of the
//! answer; `loop-alone` is what that is without a decision. Allocation and filling
//! of tables are outside.
//!
//! A call of a layer is counted as benches/service.rs times it, with the C library's part in it;
//! `service-bare` is what that is without a layer. A policy chooses its seed and reads its clock by
//! itself, which shows in no count: a tenth of its slots are taken, and every key is as good as new
//! when it comes back.
//!
//! Started without callgrind this only checks that each path does what it is
//! named for.

mod support;

use http::{Request, Response, StatusCode};
use std::{hint::black_box, time::Duration};
use support::{
    keys::{Key, key, shuffled},
    service::{Fine, call, policy, request, values},
};
use tollgate::{
    Algorithm, Charge, Decision, KeyedBuilder, KeyedLimiter, Limiter, ManualClock, MonotonicClock,
    Nanos, Quota,
    tower::{LimitLayer, header},
};
use tower_layer::Layer;
use tower_service::Service;

/// How many decisions are counted of each path; `.ci/instructions` divides by it.
const DECISIONS: u32 = 10_000;

/// What is counted. Its own entry and exit are some dozen instructions of millions.
#[inline(never)]
fn counted<T>(keys: &[Key], mut decide: impl FnMut(&Key) -> T) {
    for key in keys {
        black_box(decide(black_box(key)));
    }
}

/// Counts decisions, the first and the last of which are `expected`.
fn path<T>(
    name: &str,
    keys: impl Iterator<Item = Key>,
    expected: impl Fn(T) -> bool,
    mut decide: impl FnMut(&Key) -> T,
) {
    let keys: Vec<_> = keys.take(usize::try_from(DECISIONS).unwrap() + 2).collect();
    let [first, keys @ .., last] = keys.as_slice() else { unreachable!() };
    assert!(expected(decide(first)), "{name}");
    println!("{name} {}", keys.len());
    counted(keys, &mut decide);
    assert!(expected(decide(last)), "{name}");
}

fn build<A: Algorithm>(builder: KeyedBuilder<A>) -> KeyedLimiter<A, ManualClock> {
    builder.seed(1).clock(ManualClock::new()).try_build().unwrap()
}

/// Keys that are known, in turn.
fn known(n: u32) -> impl Iterator<Item = Key> + Clone {
    shuffled(n).into_iter().cycle()
}

/// Keys that come once.
fn unseen() -> impl Iterator<Item = Key> {
    (0..).map(key)
}

fn allowed(decision: Decision) -> bool {
    decision.is_allowed()
}

fn denied(decision: Decision) -> bool {
    decision.is_denied()
}

/// The whole burst was there.
fn new(decision: Decision) -> bool {
    decision.is_allowed() && decision.remaining() + 1 == decision.limit()
}

fn lone() {
    let limiter = Limiter::gcra(Quota::n_per_second(1_000_000_000).unwrap())
        .clock(ManualClock::new())
        .try_build()
        .unwrap();
    let mut now = 0;
    path("lone-gcra-allowed", known(1), allowed, |_| {
        now += 1;
        limiter.check_at(Nanos::new(now))
    });
}

fn hits() {
    let keys = known(1_000);
    let limiter = build(KeyedLimiter::gcra(Quota::n_per_second(1_000_000_000).unwrap()));
    let now = Nanos::from_secs(1);
    for key in keys.clone().take(1_000) {
        let _ = limiter.check_at(&key, now);
        let _ = limiter.check_hash_at(u64::from_le_bytes(key), now);
    }
    path("keyed-gcra-allowed", keys.clone(), allowed, |key| limiter.check_at(key, now));
    path("keyed-gcra-allowed-by-hash", keys.clone(), allowed, |key| {
        limiter.check_hash_at(u64::from_le_bytes(*key), now)
    });
    path("keyed-gcra-peek", keys.clone(), allowed, |key| limiter.peek_at(key, now));

    // Callgrind is slow: time runs on so far that every key is as good as new again.
    let builder = KeyedLimiter::gcra(Quota::n_per_second(1_000_000_000).unwrap()).seed(1);
    let limiter = builder.clock(MonotonicClock::new()).try_build().unwrap();
    for key in keys.clone().take(1_000) {
        let _ = limiter.check(&key);
    }
    path("keyed-gcra-allowed-clock-read", keys.clone(), allowed, |key| limiter.check(key));

    let limiter = build(KeyedLimiter::gcra(Quota::n_per_day(1).unwrap()));
    for key in keys.clone().take(1_000) {
        let _ = limiter.check_at(&key, now);
    }
    path("keyed-gcra-denied", keys, denied, |key| limiter.check_at(key, now));
}

fn first_sight() {
    // At the end, half of the capacity is taken, by live keys.
    let limiter = build(KeyedLimiter::gcra(Quota::n_per_day(2).unwrap()).capacity(20_000));
    let now = Nanos::from_secs(1);
    path("keyed-gcra-new-key", unseen(), new, |key| limiter.check_at(key, now));
    assert_eq!(limiter.saturated(), 0);

    // Every slot has had a key, half of the capacity is live at any time.
    let quota = Quota::n_per_second(2_000_000).unwrap();
    let limiter = build(KeyedLimiter::gcra(quota).capacity(1_000));
    let mut now = 0;
    let mut decide = |key: &Key| {
        now += 1;
        limiter.check_at(key, Nanos::new(now))
    };
    let mut keys = unseen();
    for key in keys.by_ref().take(5_000) {
        let _ = decide(&key);
    }
    path("keyed-gcra-new-key-reclaims", keys, new, decide);
    assert_eq!(limiter.saturated(), 0);
}

fn logs() {
    // A key comes every hundred nanoseconds, and fifty of its units are kept then.
    let quota = Quota::new(100, Duration::from_micros(5)).unwrap();
    let limiter = build(KeyedLimiter::sliding_log(quota));
    let mut now = 0;
    let mut decide = |key: &Key| {
        now += 1;
        limiter.check_at(key, Nanos::new(now))
    };
    // Until the rings have been gone round.
    for key in known(100).take(30_000) {
        let _ = decide(&key);
    }
    path("keyed-log-allowed", known(100), allowed, decide);

    let limiter = build(KeyedLimiter::sliding_log(Quota::n_per_day(100).unwrap()));
    let now = Nanos::from_secs(1);
    for key in known(100).take(10_000) {
        let _ = limiter.check_at(&key, now);
    }
    path("keyed-log-denied", known(100), denied, |key| limiter.check_at(key, now));
}

fn operations() {
    let plenty = Quota::n_per_second(1_000_000_000).unwrap();
    let keys = known(1_000);
    let now = Nanos::from_secs(1);
    let tier = Quota::n_per_second(500_000_000).unwrap();
    let limiter = build(KeyedLimiter::gcra(plenty));
    for key in keys.clone().take(1_000) {
        let _ = limiter.check_n_at(&key, 1_000_000, now);
    }
    path("keyed-gcra-allowed-by-quota", keys.clone(), allowed, |key| {
        limiter.key(key).quota(tier).unwrap().check_at(now)
    });
    let wait = Duration::from_millis(1);
    path("keyed-gcra-reserve", keys.clone(), allowed, |key| {
        limiter.key(key).reserve_at(1, wait, now)
    });
    path("keyed-gcra-refund", keys.clone(), allowed, |key| {
        limiter.key(key).refund_at(Charge::new(1, now), now)
    });
    let counting = build(KeyedLimiter::gcra(plenty).count_decisions(true));
    for key in keys.clone().take(1_000) {
        let _ = counting.check_at(&key, now);
    }
    path("keyed-gcra-allowed-and-counted", keys.clone(), allowed, |key| {
        counting.check_at(key, now)
    });
    // One decision of a batch: the iterator is the caller's loop.
    let list: Vec<_> = keys.clone().take(2 * usize::try_from(DECISIONS).unwrap()).collect();
    let mut batch = limiter.check_many_at(&list, now);
    path("keyed-gcra-allowed-in-a-batch", keys, allowed, |_| batch.next().unwrap());
}

/// Counts calls of a service, by keys that are known. Their requests are made before.
fn calls<S, B>(name: &str, expected: StatusCode, mut service: S)
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let keys = known(1_000);
    for value in &values(shuffled(1_000)) {
        let _ = call(&mut service, request(value));
    }
    let values = values(keys.clone().take(usize::try_from(DECISIONS).unwrap() + 2));
    let requests: Vec<_> = values.iter().map(request).collect();
    let mut requests = requests.into_iter();
    let mut call = |_: &Key| call(&mut service, requests.next().unwrap());
    path(name, keys, |status| status == expected, &mut call);
}

fn layers() {
    calls("service-bare", StatusCode::OK, Fine);
    let by = |quota| {
        let limiter = build(KeyedLimiter::gcra(quota).capacity(10_000));
        LimitLayer::limiter(limiter, header("x-key")).layer(Fine)
    };
    calls("layer-limiter", StatusCode::OK, by(Quota::n_per_second(1_000_000_000).unwrap()));
    let little = by(Quota::n_per_day(1).unwrap());
    calls("layer-limiter-denied", StatusCode::TOO_MANY_REQUESTS, little);
    for limits in [1, 3] {
        let layer = LimitLayer::policy(policy(limits, false)).attribute("key", header("x-key"));
        calls(&format!("layer-policy-{limits}"), StatusCode::OK, layer.layer(Fine));
    }
}

fn main() {
    println!("loop-alone {DECISIONS}");
    counted(&shuffled(DECISIONS), |_| ());
    lone();
    hits();
    first_sight();
    logs();
    operations();
    layers();
}
