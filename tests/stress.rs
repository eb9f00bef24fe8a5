//! More threads than cores, on the real clock, with preemption where it hurts:
//! the admitted total, net of refunds, never exceeds the bound, for both
//! algorithms, whatever else is asked of other keys of the same table.
#![cfg(not(loom))]

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tollgate::{
    Algorithm, Charge as Charged, Clock, Key, KeyedBuilder, KeyedLimiter, MonotonicClock, Nanos,
    OnSaturation, Quota,
};

const THREADS: usize = 8;
const KEYS: u64 = 40;
const RUN: Duration = Duration::from_millis(1500);

/// A charge that passed: units, and the readings of the clock around the call.
#[derive(Clone, Copy)]
struct Charge {
    key: u64,
    units: u64,
    before: u64,
    after: u64,
}

/// Runs `check(key, units, now)` on all threads; gives back what was admitted.
fn hammer(
    clock: &MonotonicClock,
    check: impl Fn(u64, u64, Nanos) -> bool + Sync,
) -> (Vec<Charge>, u64) {
    let (start, stop) = (Barrier::new(THREADS + 1), AtomicBool::new(false));
    let mut all = Vec::new();
    let mut asked = 0;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS as u64)
            .map(|worker| {
                let (start, stop, check) = (&start, &stop, &check);
                scope.spawn(move || {
                    let mut random = worker.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                    let (mut passed, mut asked) = (Vec::new(), 0_u64);
                    start.wait();
                    while !stop.load(Ordering::Relaxed) {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        // Few keys are hot, and more of them than the table has slots for.
                        let key = (random % KEYS).min(random / KEYS % KEYS);
                        let units = 1 + (random >> 40) % 3;
                        let now = clock.now();
                        if (random >> 50) % 64 == 0 {
                            // Stopped between the reading and the call.
                            thread::yield_now();
                        }
                        asked += 1;
                        if check(key, units, now) {
                            let after = clock.now().as_u64();
                            passed.push(Charge { key, units, before: now.as_u64(), after });
                        }
                    }
                    (passed, asked)
                })
            })
            .collect();
        start.wait();
        let begun = Instant::now();
        while begun.elapsed() < RUN {
            thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            let (passed, n) = worker.join().unwrap();
            all.extend(passed);
            asked += n;
        }
    });
    (all, asked)
}

/// For every key and every pair of instants: what surely passed in between is
/// at most `bound(length)`.
fn holds(charges: &[Charge], bound: impl Fn(u64) -> u64, longest: u64) {
    for key in 0..KEYS {
        let mut of_key: Vec<Charge> = charges.iter().copied().filter(|c| c.key == key).collect();
        of_key.sort_by_key(|c| c.after);
        for (i, first) in of_key.iter().enumerate() {
            let from = first.before;
            let mut sum = 0;
            for charge in &of_key[i..] {
                if charge.after - from >= longest {
                    break;
                }
                // Only charges that lie in the interval as a whole.
                if charge.before >= from {
                    sum += charge.units;
                }
                assert!(
                    sum <= bound(charge.after - from),
                    "key {key}: {sum} units in {} ns",
                    charge.after - from
                );
            }
        }
    }
}

#[test]
fn gcra_under_threads() {
    let clock = MonotonicClock::new();
    let quota = Quota::new(20, Duration::from_millis(10)).unwrap().burst(5).unwrap();
    let limiter = KeyedLimiter::gcra(quota)
        .clock(clock.clone())
        .epoch(Nanos::ZERO)
        .capacity(20)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap();
    let (charges, asked) =
        hammer(&clock, |key, n, now| limiter.check_hash_n_at(key, n, now).is_allowed());
    let passed = charges.len() as u64;
    assert!(passed > 1000 && asked > passed + 1000, "{passed} of {asked}");
    // B + t/T, in 0.5 ms steps; one clock reading may lag another by a little.
    holds(&charges, |t| 5 + (t + 2_000) / 500_000, u64::MAX);
    println!("gcra: {asked} asked, {} passed, {} saturated", charges.len(), limiter.saturated());
}

#[test]
fn log_under_threads() {
    let clock = MonotonicClock::new();
    let quota = Quota::new(20, Duration::from_millis(10)).unwrap();
    let limiter = KeyedLimiter::sliding_log(quota)
        .clock(clock.clone())
        .epoch(Nanos::ZERO)
        .capacity(20)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap();
    let (charges, asked) =
        hammer(&clock, |key, n, now| limiter.check_hash_n_at(key, n, now).is_allowed());
    assert!(charges.len() > 1000 && asked > charges.len() as u64, "{}", charges.len());
    holds(&charges, |_| 20, 10_000_000 - 2_000);
    println!("log: {asked} asked, {} passed, {} saturated", charges.len(), limiter.saturated());
}

/// No time passes: exactly the burst of every key, and all of it.
#[test]
fn exactly_the_burst_when_time_stands() {
    let quota = Quota::n_per_hour(1000).unwrap();
    let clock = MonotonicClock::new();
    let gcra = KeyedLimiter::gcra(quota).capacity(100).try_build().unwrap();
    let log = KeyedLimiter::sliding_log(quota).capacity(100).try_build().unwrap();
    let now = gcra.clock().now();
    let checks: [&(dyn Fn(u64, u64, Nanos) -> bool + Sync); 2] =
        [&|key, n, _| gcra.check_hash_n_at(key, n, now).is_allowed(), &|key, n, _| {
            log.check_hash_n_at(key, n, now).is_allowed()
        }];
    for check in checks {
        let (charges, _) = hammer(&clock, check);
        for key in 0..KEYS {
            let sum: u64 = charges.iter().filter(|c| c.key == key).map(|c| c.units).sum();
            // What the threads did not come to ask for is still there.
            let rest = (0..2000).take_while(|_| check(key, 1, now)).count() as u64;
            assert_eq!(sum + rest, 1000, "key {key}");
        }
    }
}

/// Time stands still, and every other charge is given back, by its own thread but
/// beside all others: what is charged in the end and what is left make the limit.
fn to_the_unit<A: Algorithm>(build: impl Fn(Quota) -> KeyedBuilder<A>) {
    let limiter = build(Quota::n_per_hour(200).unwrap()).capacity(60).try_build().unwrap();
    let now = limiter.clock().now();
    let start = Barrier::new(THREADS);
    let kept: Vec<[i64; 8]> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS as u64)
            .map(|worker| {
                let (limiter, start) = (&limiter, &start);
                scope.spawn(move || {
                    let mut random = worker.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                    let mut kept = [0_i64; 8];
                    start.wait();
                    for _ in 0..100_000 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let key = random % 8;
                        let of_key = limiter.hashed(key);
                        let units = 1 + (random >> 40) % 3;
                        let Some(mut charge) = of_key.check_n_at(units, now).charge() else {
                            continue;
                        };
                        let units = i64::try_from(units).unwrap();
                        let slot = usize::try_from(key).unwrap();
                        match (random >> 50) % 4 {
                            0 => kept[slot] += units,
                            1 => {
                                let _ = of_key.settle_at(&mut charge, 1, now);
                                kept[slot] += 1;
                            }
                            _ => {
                                let _ = of_key.refund_at(charge, now);
                            }
                        }
                    }
                    kept
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    for key in 0..8_u64 {
        let charged: i64 = kept.iter().map(|kept| kept[usize::try_from(key).unwrap()]).sum();
        let left = limiter.hashed(key).peek_at(now).remaining();
        assert_eq!(charged + i64::try_from(left).unwrap(), 200, "key {key}");
    }
}

#[test]
fn refunds_to_the_unit_when_time_stands() {
    to_the_unit(KeyedLimiter::gcra);
    to_the_unit(KeyedLimiter::sliding_log);
}

/// Keys below 20 are charged and given back, and their bound is checked; the others
/// are asked everything else, in a table with too few slots for all.
fn everything<A: Algorithm>(
    limiter: &KeyedLimiter<A, MonotonicClock>,
    clock: &MonotonicClock,
    quotas: [Quota; 2],
    other: impl Fn(Key<'_, A, MonotonicClock>, u64, Nanos) + Sync,
) -> (Vec<Charge>, Vec<Charge>) {
    let back = std::sync::Mutex::new(Vec::new());
    let (charges, _) = hammer(clock, |key, n, now| {
        let of_key = limiter.hashed(key);
        if key >= 20 {
            match now.as_u64() / 64 % 4 {
                0 => _ = of_key.reset_at(now),
                1 => _ = of_key.settle_at(&mut Charged::new(1, now), 1 + n % 4, now),
                2 => _ = of_key.quota(quotas[1]).unwrap().check_n_at(n, now),
                _ => other(of_key, n, now),
            }
            return false;
        }
        if now.as_u64() % 4096 == 0 {
            // The same numbers: others see the quota replaced, not changed.
            limiter.set_quota(quotas[0]).unwrap();
        }
        let Some(charge) = of_key.check_n_at(n, now).charge() else {
            return false;
        };
        if now.as_u64() % 32 == 0 {
            let before = clock.now();
            let _ = of_key.refund_at(charge, before);
            let (before, after) = (now.as_u64(), clock.now().as_u64());
            back.lock().unwrap().push(Charge { key, units: n, before, after });
        }
        true
    });
    (charges, back.into_inner().unwrap())
}

/// As `holds`, with what may have been given back within the interval off the sum.
fn holds_net(charges: &[Charge], back: &[Charge], bound: impl Fn(u64) -> u64, longest: u64) {
    for key in 0..20 {
        let of_key = |list: &[Charge]| -> Vec<Charge> {
            let mut list: Vec<_> = list.iter().copied().filter(|c| c.key == key).collect();
            list.sort_by_key(|c| c.after);
            list
        };
        let (charges, back) = (of_key(charges), of_key(back));
        for (i, first) in charges.iter().enumerate() {
            let (from, mut sum) = (first.before, 0);
            for charge in &charges[i..] {
                if charge.after - from >= longest {
                    break;
                }
                if charge.before >= from {
                    sum += charge.units;
                }
                if sum > bound(charge.after - from) {
                    // Only now, for it takes a while.
                    let given: u64 = back
                        .iter()
                        .filter(|b| b.after >= from && b.before <= charge.after)
                        .map(|b| b.units)
                        .sum();
                    let net = sum.saturating_sub(given);
                    assert!(
                        net <= bound(charge.after - from),
                        "key {key}: {net} units net in {} ns",
                        charge.after - from
                    );
                }
            }
        }
    }
}

#[test]
fn everything_at_once_on_gcra() {
    let clock = MonotonicClock::new();
    let quota = Quota::new(20, Duration::from_millis(10)).unwrap().burst(5).unwrap();
    let pro = Quota::new(50, Duration::from_millis(10)).unwrap().burst(15).unwrap();
    let limiter = KeyedLimiter::gcra(quota)
        .room_for(pro)
        .clock(clock.clone())
        .epoch(Nanos::ZERO)
        .capacity(20)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap();
    let (charges, back) = everything(&limiter, &clock, [quota, pro], |key, n, now| {
        let _ = key.reserve_at(n, Duration::from_millis(2), now);
    });
    assert!(charges.len() > 1000 && back.len() > 50, "{} {}", charges.len(), back.len());
    holds_net(&charges, &back, |t| 5 + (t + 2_000) / 500_000, u64::MAX);
}

#[test]
fn everything_at_once_on_logs() {
    let clock = MonotonicClock::new();
    let quota = Quota::new(20, Duration::from_millis(10)).unwrap();
    let pro = Quota::new(30, Duration::from_millis(5)).unwrap();
    let limiter = KeyedLimiter::sliding_log(quota)
        .room_for(pro)
        .clock(clock.clone())
        .epoch(Nanos::ZERO)
        .capacity(20)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap();
    let (charges, back) = everything(&limiter, &clock, [quota, pro], |key, n, now| {
        let _ = key.check_n_at(n, now);
    });
    assert!(charges.len() > 1000 && back.len() > 50, "{} {}", charges.len(), back.len());
    holds_net(&charges, &back, |_| 20, 10_000_000 - 2_000);
}
