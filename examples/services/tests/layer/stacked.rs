//! Layers in layers: who tells, and who counts.

use super::{By, ask, drain, fine, request};
use http::{HeaderMap, StatusCode};
use std::future::ready;
use tollgate::{
    KeyedLimiter, SlidingLog,
    headers::{Dialect, Fields},
    policy::Policy,
    tower::{Denied, LimitLayer, LimiterGate, header},
};
use tower_layer::Layer;

/// So many an hour for each user, in such fields.
fn hourly(n: u64, name: &str, fields: Fields) -> LimitLayer<impl tollgate::tower::Gate + use<>> {
    let limiter = KeyedLimiter::sliding_log(format!("{n}/h").parse().unwrap());
    let limiter = limiter.try_build().unwrap();
    let dialect = Dialect::new(fields).with_body(&format!("by {name}")).unwrap();
    let layer: LimitLayer<LimiterGate<SlidingLog, _>> =
        LimitLayer::limiter(limiter, header("x-user"));
    layer.dialect(name, dialect)
}

fn field<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().map(|value| value.to_str().unwrap());
    assert!(all.next().is_none(), "{name} twice");
    first
}

/// Whichever of them denies, its answer arrives as it was written.
#[test]
fn a_denial_stays_as_it_is() {
    for (outer, inner, by) in [(2, 3, "outer"), (3, 2, "inner")] {
        let layers = [("outer", outer), ("inner", inner)]
            .map(|(name, n)| hourly(n, name, Fields::XRateLimit));
        let mut service = layers[0].layer(layers[1].layer(By(|_| ready(Ok(fine())))));
        for left in [1, 0] {
            let answer = ask(&mut service, request("/"));
            assert_eq!(answer.status(), StatusCode::OK);
            // The one nearest to the service tells.
            let expected = (left + inner - 2).to_string();
            assert_eq!(field(answer.headers(), "x-ratelimit-limit"), Some(&*inner.to_string()));
            assert_eq!(field(answer.headers(), "x-ratelimit-remaining"), Some(&*expected));
            assert!(answer.extensions().get::<Denied>().is_none());
        }
        let denied = ask(&mut service, request("/"));
        assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(denied.extensions().get::<Denied>().is_some());
        assert_eq!(field(denied.headers(), "x-ratelimit-limit"), Some("2"));
        assert_eq!(field(denied.headers(), "x-ratelimit-remaining"), Some("0"));
        let wait: u64 = field(denied.headers(), "retry-after").unwrap().parse().unwrap();
        assert!((3_590..=3_600).contains(&wait), "{wait}");
        assert_eq!(drain(denied.into_body()), format!("by {by}").into_bytes());
    }
}

/// An inner denial is no failure of the service, whatever its status: it stays charged outside.
#[test]
fn a_denial_of_5xx_is_not_refunded() {
    let policy = "[[limit]]\nname = 'busy'\nkey = []\nquota = '1/h'\n[response]\nstatus = 503\n";
    let inner = LimitLayer::policy(Policy::from_toml(policy).unwrap());
    let outer = hourly(3, "outer", Fields::XRateLimit).refund_errors(true);
    let mut service = outer.layer(inner.layer(By(|_| ready(Ok(fine())))));
    let statuses = [(); 4].map(|()| ask(&mut service, request("/")).status().as_u16());
    assert_eq!(statuses, [200, 503, 503, 429]);
}

/// Fields of two manners do not mix: no limit of the one with the wait of the other.
#[test]
fn fields_are_of_one_layer() {
    let (outer, inner) = (hourly(9, "o", Fields::XRateLimit), hourly(1, "i", Fields::RateLimit));
    let mut service = outer.layer(inner.layer(By(|_| ready(Ok(fine())))));
    for _ in 0..2 {
        let answer = ask(&mut service, request("/"));
        assert!(field(answer.headers(), "ratelimit").unwrap().starts_with("\"i\";r=0"));
        assert_eq!(field(answer.headers(), "x-ratelimit-limit"), None);
    }
}

/// Where the inner one has nothing to say, the outer one tells.
#[test]
fn who_tells_nothing_leaves_it_to_others() {
    let exempt = "
        [attribute.user]
        [[exempt]]
        name = 'ours'
        routes = ['/**']
        [[limit]]
        name = 'never asked'
        key = ['user']
        quota = '1/h'
        [response]
        headers = 'x-ratelimit'
        ";
    let exempt = LimitLayer::policy(Policy::from_toml(exempt).unwrap());
    let mut service =
        hourly(9, "outer", Fields::XRateLimit).layer(exempt.layer(By(|_| ready(Ok(fine())))));
    let answer = ask(&mut service, request("/"));
    assert_eq!(field(answer.headers(), "x-ratelimit-remaining"), Some("8"));

    let watching = hourly(5, "inner", Fields::XRateLimit).shadow(true);
    let mut service =
        hourly(9, "outer", Fields::XRateLimit).layer(watching.layer(By(|_| ready(Ok(fine())))));
    let answer = ask(&mut service, request("/"));
    assert_eq!(field(answer.headers(), "x-ratelimit-remaining"), Some("8"));
}

/// What the outer one charged for a denial of the inner one stays, unless it is told.
#[test]
fn a_denial_within_is_charged_for_or_not() {
    for refund in [false, true] {
        let outer = hourly(2, "outer", Fields::XRateLimit)
            .refund_if(move |answer| refund && answer.extensions.get::<Denied>().is_some());
        let inner = hourly(1, "inner", Fields::XRateLimit);
        let mut service = outer.layer(inner.layer(By(|_| ready(Ok(fine())))));
        drop(ask(&mut service, request("/")));
        for _ in 0..3 {
            assert_eq!(ask(&mut service, request("/")).status(), StatusCode::TOO_MANY_REQUESTS);
        }
        let by = drain(ask(&mut service, request("/")).into_body());
        assert_eq!(by, if refund { b"by inner" } else { b"by outer" });
    }
}
