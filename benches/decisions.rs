//! What a decision costs: `cargo bench --bench decisions`.
//!
//! Keys are eight bytes, read from contiguous memory in a shuffled order, so
//! that the table is measured and not the fetching of the key.

mod support;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use std::{hint::black_box, time::Duration};
use support::keys::shuffled;
use tollgate::{Clock, KeyedLimiter, Limiter, ManualClock, MonotonicClock, Nanos, Quota};

/// A rate so high that nothing is denied, and every key is as good as new
/// again when it comes back.
fn plenty() -> Quota {
    Quota::n_per_second(1_000_000_000).unwrap()
}

fn clock(c: &mut Criterion) {
    let clock = MonotonicClock::new();
    c.bench_function("clock", |b| b.iter(|| clock.now()));
}

fn lone(c: &mut Criterion) {
    let gcra = Limiter::gcra(plenty()).try_build().unwrap();
    let log = Limiter::sliding_log(Quota::n_per_second(200_000).unwrap()).try_build().unwrap();
    c.bench_function("lone/gcra", |b| b.iter(|| gcra.check()));
    c.bench_function("lone/log", |b| b.iter(|| log.check()));
}

fn keyed(c: &mut Criterion) {
    let mut group = c.benchmark_group("keyed");
    for n in [1_000, 100_000, 1_000_000] {
        let limiter =
            KeyedLimiter::gcra(plenty()).capacity(usize::try_from(n).unwrap()).try_build().unwrap();
        let keys = shuffled(n);
        for key in &keys {
            let _ = limiter.check(key);
        }
        let mut next = keys.iter().cycle();
        group.bench_function(BenchmarkId::new("gcra", n), |b| {
            b.iter(|| limiter.check(black_box(next.next().unwrap())));
        });
        // Time stands still here: each key's burst lasts for the run.
        group.bench_function(BenchmarkId::new("gcra-given-time", n), |b| {
            let mut now = limiter.clock().now().as_u64();
            b.iter(|| {
                now += 1;
                limiter.check_at(black_box(next.next().unwrap()), Nanos::new(now))
            });
        });
    }
    let denied = KeyedLimiter::gcra(Quota::n_per_day(1).unwrap()).try_build().unwrap();
    let keys = shuffled(1000);
    let mut next = keys.iter().cycle();
    group.bench_function("gcra-denied/1000", |b| {
        b.iter(|| denied.check(black_box(next.next().unwrap())));
    });
    let log = KeyedLimiter::sliding_log(Quota::new(100, Duration::from_millis(1)).unwrap())
        .try_build()
        .unwrap();
    group.bench_function("log/1000", |b| {
        b.iter(|| log.check(black_box(next.next().unwrap())));
    });
    group.finish();
}

/// Every key new, every slot reclaimed after a thousand of them.
fn fresh(c: &mut Criterion) {
    let limiter = KeyedLimiter::gcra(Quota::one_every(Duration::from_micros(1)).unwrap())
        .clock(ManualClock::new())
        .capacity(1000)
        .try_build()
        .unwrap();
    let mut key = 0_u64;
    c.bench_function("fresh/1000", |b| {
        b.iter_batched(
            || {
                key += 1;
                key
            },
            |key| limiter.check_hash_n_at(key, 1, Nanos::new(key)),
            BatchSize::SmallInput,
        );
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = clock, lone, keyed, fresh
}
criterion_main!(benches);
