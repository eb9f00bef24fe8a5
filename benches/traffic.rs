//! What a decision costs under traffic: `cargo bench --bench traffic`.
//!
//! * `uniform`: every key as likely as any other;
//! * `zipf`: the k-th key with a frequency of 1/k, so that the first ones are
//!   denied most of the time, and the last ones seldom come;
//! * `churn`: each key is asked for four times on average and never again, so
//!   that about one decision in four takes the slot of a key that is gone. The number
//!   is the limiter's capacity; a quarter as many keys are current.
//!
//! Time is given, a microsecond a decision, and each key may have ten units in
//! the time in which it comes once on average (`churn`: four times). The clock
//! is not read: `decisions` tells what that costs.
//!
//! How many are denied is printed when a benchmark begins. With `--test`, only
//! the smallest tables are built.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use std::{hint::black_box, time::Duration};
use support::{
    arguments::{Arguments, Effort},
    keys::{Churn, Cycle, Key},
};
use tollgate::{
    Algorithm, Decision, Gcra, KeyedBuilder, KeyedLimiter, ManualClock, Nanos, Quota, SlidingLog,
};

/// Nanoseconds from one decision to the next.
const STEP: u64 = 1_000;

struct Load<A, K> {
    limiter: KeyedLimiter<A, ManualClock>,
    keys: K,
    now: u64,
}

impl<A: Algorithm, K: Iterator<Item = Key>> Load<A, K> {
    /// A table that has been in use for so long that it stays as it is.
    fn new(name: &str, builder: KeyedBuilder<A>, keys: K, size: u32) -> Self {
        let limiter = builder
            .capacity(usize::try_from(size).unwrap())
            .clock(ManualClock::new())
            .try_build()
            .unwrap();
        let mut load = Self { limiter, keys, now: 0 };
        let decisions = 8 * size;
        let denied = (0..decisions).filter(|_| load.decide().is_denied()).count();
        let denied = f64::from(u32::try_from(denied).unwrap());
        println!("{name}: {:.1} % denied", 100.0 * denied / f64::from(decisions));
        assert_eq!(load.limiter.saturated(), 0);
        load
    }

    #[inline]
    fn decide(&mut self) -> Decision {
        self.now += STEP;
        let key = self.keys.next().unwrap();
        self.limiter.check_at(black_box(&key), Nanos::new(self.now))
    }
}

/// Tables are built when they are measured, not when they are filtered out.
fn measure<A: Algorithm, K: Iterator<Item = Key>>(
    c: &mut Criterion,
    name: &str,
    size: u32,
    builder: impl Fn(Quota) -> KeyedBuilder<A>,
    keys: impl Fn(u32) -> K,
) {
    let quota = Quota::new(10, Duration::from_nanos(STEP * u64::from(size))).unwrap();
    let id = format!("{name}/{size}");
    let mut load = None;
    c.bench_function(&id, |b| {
        let load = load.get_or_insert_with(|| Load::new(&id, builder(quota), keys(size), size));
        b.iter(|| load.decide());
    });
}

fn traffic<K: Iterator<Item = Key>>(c: &mut Criterion, name: &str, keys: impl Fn(u32) -> K) {
    let sizes: &[u32] = match Arguments::read().effort {
        Effort::Test => &[1_000],
        Effort::Quick | Effort::Full => &[1_000, 100_000, 1_000_000],
    };
    for &size in sizes {
        measure(c, &format!("{name}/gcra"), size, KeyedLimiter::<Gcra>::gcra, &keys);
        measure(c, &format!("{name}/log"), size, KeyedLimiter::<SlidingLog>::sliding_log, &keys);
    }
}

fn uniform(c: &mut Criterion) {
    traffic(c, "uniform", Cycle::uniform);
}

fn zipf(c: &mut Criterion) {
    traffic(c, "zipf", Cycle::zipf);
}

fn churn(c: &mut Criterion) {
    traffic(c, "churn", |size| Churn::new(size / 4));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = uniform, zipf, churn
}
criterion_main!(benches);
