//! What the layer and waiting cost: `cargo bench --bench service --features tokio,tower`.
//!
//! A call is what a host does: it makes a request of one header field, asks whether the service is
//! ready, calls it, polls the answer, and drops it with its body. `bare` is that alone, before a
//! service that answers at once; what a row has more is what stands before it. Keys are
//! eight bytes as hexadecimal digits; none is denied but in the row that says so.
//!
//! Of tower's own `RateLimit` one row: it counts all requests by one limit, behind a `&mut`, and
//! writes no header fields.

mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use support::{
    keys::shuffled,
    service::{Fine, call, policy, request, values},
};
use tollgate::{
    KeyedLimiter, Limiter, Quota,
    tower::{LimitLayer, header},
    wait::Waiters,
};
use tower_layer::Layer;
use tower_service::Service;

const KEYS: u32 = 1_000;

fn plenty() -> Quota {
    Quota::n_per_second(1_000_000_000).unwrap()
}

fn time<S, B>(c: &mut Criterion, name: &str, mut service: S)
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let keys = values(shuffled(KEYS));
    let mut next = keys.iter().cycle();
    let mut make = || request(next.next().unwrap());
    let mut call = |request| call(&mut service, request);
    c.bench_function(&format!("service/{name}"), |b| {
        b.iter_batched(&mut make, &mut call, BatchSize::SmallInput);
    });
}

fn layers(c: &mut Criterion) {
    time(c, "bare", Fine);
    // Tower asks its clock at each call where a period is over, and sleeps by tokio's timer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let entered = runtime.enter();
    let own = tower::limit::RateLimitLayer::new(u64::MAX, Duration::from_secs(3_600));
    time(c, "tower-rate-limit", own.layer(Fine));
    drop(entered);
    let limiter = KeyedLimiter::gcra(plenty()).capacity(10_000).try_build().unwrap();
    time(c, "limiter", LimitLayer::limiter(limiter, header("x-key")).layer(Fine));
    for (name, limits, leases) in
        [("policy/1", 1, false), ("policy/3", 3, false), ("policy/3-with-leases", 3, true)]
    {
        let layer = LimitLayer::policy(policy(limits, leases)).attribute("key", header("x-key"));
        time(c, name, layer.layer(Fine));
    }
    let limiter = KeyedLimiter::gcra(Quota::n_per_day(1).unwrap()).try_build().unwrap();
    time(c, "limiter-denied", LimitLayer::limiter(limiter, header("x-key")).layer(Fine));
}

/// A turn that comes at once, beside the check that it is.
fn waiting(c: &mut Criterion) {
    let limiter = || Limiter::gcra(plenty()).try_build().unwrap();
    let checked = limiter();
    c.bench_function("wait/check", |b| b.iter(|| checked.check()));
    let waiters = Waiters::new(limiter());
    c.bench_function("wait/until-ready", |b| {
        let mut cx = Context::from_waker(Waker::noop());
        b.iter(|| {
            let mut turn = waiters.until_ready().into_future();
            let Poll::Ready(Ok(admitted)) = pin!(&mut turn).poll(&mut cx) else { panic!() };
            admitted
        });
    });
    c.bench_function("wait/block", |b| b.iter(|| waiters.until_ready().block().unwrap()));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = layers, waiting
}
criterion_main!(benches);
