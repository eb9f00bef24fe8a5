//! tollgate's layer measured beside `tower_governor`'s, by the call that a host makes:
//!
//! ```text
//! $ cargo run --release --manifest-path benches/peers/Cargo.toml --bin layers
//! ```
//!
//! A call is that of the library's own `benches/service.rs`: ask whether the service is ready,
//! call it, poll the answer, drop it with its body. The request, of one header field, is made
//! before the clock runs. Both layers limit by that field, with a quota that none of the thousand
//! keys uses up; `tower_governor` by a `String` of it, as its own example of a custom key does.
//! In each round every subject takes as many calls, starting with another one each time; `bare` is
//! the service alone, and ratios are taken within a round, of what a layer adds to it.
//!
//! With header fields tollgate writes `X-RateLimit-Limit`, `-Remaining` and `-Reset`,
//! `tower_governor` the first two.

#[path = "../quantile.rs"]
mod quantile;

use axum::body::Body;
use http::{HeaderValue, Request, Response};
use quantile::quantile;
use std::{
    convert::Infallible,
    env,
    future::{Future, Ready, ready},
    hint::black_box,
    num::NonZeroUsize,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Instant,
};
use tollgate::{
    KeyedLimiter, Quota,
    headers::{Dialect, Fields},
    tower::{LimitLayer, header},
};
use tower_governor::{
    GovernorError, GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor,
};
use tower_layer::Layer;
use tower_service::Service;

const KEYS: u64 = 1_000;
const CALLS: u64 = 20_000;
const ROUNDS: usize = 101;

/// Answers at once.
#[derive(Clone)]
struct Fine;

impl Service<Request<()>> for Fine {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// The field, as tollgate's extractor has it.
#[derive(Clone)]
struct Field;

impl KeyExtractor for Field {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        let field = request.headers().get("x-key").and_then(|value| value.to_str().ok());
        field.map(str::to_owned).ok_or(GovernorError::UnableToExtractKey)
    }
}

/// Takes the calls of a round: how many nanoseconds each took.
type Round = Box<dyn FnMut(&[HeaderValue]) -> f64>;

fn round<S, B>(name: &'static str, fields: usize, mut service: S) -> (&'static str, Round)
where
    S: Service<Request<()>, Response = Response<B>> + 'static,
{
    let mut call = move |request| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready(), "{name}");
        let said = pin!(service.call(black_box(request))).poll(&mut cx);
        let Poll::Ready(Ok(answer)) = said else { panic!("{name}") };
        // Who denies, or forgets its fields, measures something else.
        assert!(answer.status() == 200 && answer.headers().len() == fields, "{name}");
    };
    let take = move |keys: &[HeaderValue]| {
        let make = |key: &HeaderValue| {
            let mut request = Request::new(());
            request.headers_mut().insert("x-key", key.clone());
            request
        };
        let calls = usize::try_from(CALLS).expect("so many fit");
        let requests: Vec<_> = keys.iter().cycle().take(calls).map(make).collect();
        let start = Instant::now();
        for request in requests {
            call(request);
        }
        start.elapsed().as_nanos() as f64 / CALLS as f64
    };
    (name, Box::new(take))
}

fn subjects() -> Vec<(&'static str, Round)> {
    let limiter = || {
        let quota = Quota::n_per_second(1_000_000_000).expect("a billion a second");
        KeyedLimiter::gcra(quota).capacity(10_000).try_build().expect("it is small")
    };
    let tollgate = |fields| {
        LimitLayer::limiter(limiter(), header("x-key")).dialect("default", Dialect::new(fields))
    };
    let mut config = GovernorConfigBuilder::default().key_extractor(Field);
    config.per_nanosecond(1).burst_size(1_000_000_000);
    let silent = config.finish().expect("neither is zero");
    let telling = config.use_headers().finish().expect("neither is zero");
    vec![
        round("bare", 0, Fine),
        round("tollgate", 0, tollgate(Fields::None).layer(Fine)),
        round("tower_governor", 0, GovernorLayer::new(silent).layer(Fine)),
        round("tollgate, with fields", 3, tollgate(Fields::XRateLimit).layer(Fine)),
        round("tower_governor, with fields", 2, GovernorLayer::new(telling).layer(Fine)),
    ]
}

fn main() {
    let rounds = env::args().nth(1).and_then(|rounds| rounds.parse().ok());
    let rounds = rounds.map_or(ROUNDS, NonZeroUsize::get);
    let keys: Vec<HeaderValue> = (0..KEYS)
        .map(|key| format!("{:016x}", key.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .map(|key| HeaderValue::from_str(&key).expect("digits"))
        .collect();
    let mut subjects = subjects();
    let mut times = vec![Vec::with_capacity(rounds); subjects.len()];
    // The first round fills tables and caches, and does not count.
    for nth in 0..=rounds {
        for turn in 0..subjects.len() {
            let which = (nth + turn) % subjects.len();
            let time = (subjects[which].1)(&keys);
            if nth > 0 {
                times[which].push(time);
            }
        }
    }
    println!("{rounds} rounds of {CALLS} calls, {KEYS} keys; ns a call");
    println!("| layer | median | quartiles | adds, by what tollgate's adds |");
    println!("|---|---|---|---|");
    for (which, (name, _)) in subjects.iter().enumerate() {
        // Without fields beside without, with beside with.
        let ours = if which < 3 { 1 } else { 3 };
        let by: Vec<f64> = (0..rounds)
            .map(|nth| (times[which][nth] - times[0][nth]) / (times[ours][nth] - times[0][nth]))
            .collect();
        let [low, median, high] = [0.25, 0.5, 0.75].map(|q| quantile(&times[which], q));
        let by = if which == 0 { String::new() } else { format!("{:.2}", quantile(&by, 0.5)) };
        println!("| {name} | {median:.0} | {low:.0} to {high:.0} | {by} |");
    }
}
