//! What a policy costs beside one keyed check: `cargo bench --bench policies --features policy`.
//!
//! Both read the clock. Requests are prepared, but where making them is what is measured.
//! The decision is used where it lies, as a caller does: keeping it costs a copy more. Every key is as good as new when it comes
//! back, so nothing is denied, and all limits are looked at and charged.

mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::{fmt::Write, hint::black_box, time::Duration};
use support::keys::{Key, shuffled};
use tollgate::{
    KeyedLimiter, Quota,
    policy::{Moment, Policy, PolicyDecision},
};

const KEYS: u32 = 1_000;

/// So many limits of one algorithm by the same attribute.
fn text(limits: usize, algorithm: &str, quota: &str) -> String {
    let mut text = "[attribute.user]\n".to_owned();
    for nth in 0..limits {
        writeln!(
            text,
            "[[limit]]\nname = \"limit {nth}\"\nkey = [\"user\"]\nalgorithm = \"{algorithm}\"\n\
             quota = \"{quota}\"\ncapacity = 10_000"
        )
        .unwrap();
    }
    text
}

fn keyed(c: &mut Criterion) {
    let gcra = KeyedLimiter::gcra(Quota::n_per_second(1_000_000_000).unwrap());
    let gcra = gcra.capacity(10_000).try_build().unwrap();
    let log = KeyedLimiter::sliding_log(Quota::new(100, Duration::from_millis(1)).unwrap());
    let log = log.capacity(10_000).try_build().unwrap();
    let keys = shuffled(KEYS);
    let mut next = keys.iter().cycle();
    c.bench_function("keyed/gcra", |b| b.iter(|| gcra.check(black_box(next.next().unwrap()))));
    c.bench_function("keyed/log", |b| b.iter(|| log.check(black_box(next.next().unwrap()))));
    let clock = tollgate::MonotonicClock::new();
    c.bench_function("clock/one", |b| b.iter(|| tollgate::Clock::now(&clock)));
    let policy = Policy::from_toml(&text(1, "gcra", "1/s")).unwrap();
    c.bench_function("clock/both", |b| b.iter(|| policy.now()));
}

fn use_in_place(decision: &PolicyDecision<'_>) -> bool {
    black_box(decision).is_allowed()
}

fn limits(c: &mut Criterion) {
    let keys = shuffled(KEYS);
    let kinds =
        [("gcra", "1_000_000_000/s", vec![1, 2, 3, 8]), ("sliding-log", "100/1ms", vec![1, 3])];
    for (algorithm, quota, numbers) in kinds {
        for n in numbers {
            let policy = Policy::from_toml(&text(n, algorithm, quota)).unwrap();
            let user = policy.attribute_id("user").unwrap();
            let ask = |key| policy.request("GET", "/").attribute_by_id(user, key);
            let requests: Vec<_> = keys.iter().map(ask).collect();
            let mut next = requests.iter().cycle();
            c.bench_function(&format!("{algorithm}/{n}"), |b| {
                b.iter(|| use_in_place(&policy.check(black_box(next.next().unwrap()))));
            });
            if n == 3 {
                // What finding the limits, their keys and quotas costs, without asking any.
                let none = Policy::from_toml(&text(n, algorithm, "unlimited")).unwrap();
                let ask = |key| none.request("GET", "/").attribute_by_id(user, key);
                let requests: Vec<_> = keys.iter().map(ask).collect();
                let mut next = requests.iter().cycle();
                c.bench_function(&format!("{algorithm}/3-unlimited"), |b| {
                    b.iter(|| use_in_place(&none.check(black_box(next.next().unwrap()))));
                });
                // Time stands: the clocks' part is the difference.
                let now: Moment = policy.now();
                c.bench_function(&format!("{algorithm}/3-given-time"), |b| {
                    b.iter(|| use_in_place(&policy.check_at(black_box(next.next().unwrap()), now)));
                });
            }
        }
    }
}

/// Making a request, and finding its route: an exemption ends right after.
fn around(c: &mut Criterion) {
    let routes =
        "[[exempt]]\nname = \"around\"\nroutes = [\"GET /v1/{kind}/{id}\", \"GET /health\"]\n";
    let policy = Policy::from_toml(&[&text(3, "gcra", "1/s"), routes].concat()).unwrap();
    let user = policy.attribute_id("user").unwrap();
    let keys = shuffled(KEYS);
    let mut next = keys.iter().cycle();
    let mut key = || -> &Key { black_box(next.next().unwrap()) };
    c.bench_function("request/by-number", |b| {
        b.iter_batched(
            &mut key,
            |key| policy.request("GET", "/").attribute_by_id(user, key),
            BatchSize::SmallInput,
        );
    });
    c.bench_function("request/by-name", |b| {
        b.iter_batched(
            &mut key,
            |key| policy.request("GET", "/").attribute("user", key),
            BatchSize::SmallInput,
        );
    });
    let now = policy.now();
    for (name, path) in [("plain", "/v1/scans/17"), ("encoded", "/v1/./scans/%31%37?page=2")] {
        let request = policy.request("GET", path);
        c.bench_function(&format!("path/{name}"), |b| {
            b.iter(|| policy.check_at(black_box(&request), now));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = keyed, limits, around
}
criterion_main!(benches);
