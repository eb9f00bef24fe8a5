//! The layer before services of the test's own: readiness, endings of every kind, hooks.

mod held;
mod observed;
mod stacked;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    future::{Future, Ready, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tollgate::{
    KeyedLimiter, Outcome,
    policy::{LivePolicy, Policy},
    tower::{LimitLayer, header, path_parameter},
};
use tower_layer::Layer;
use tower_service::Service;

type Answer = Response<Full<Bytes>>;

fn fine() -> Answer {
    Response::new(Full::from("fine"))
}

fn request(path: &str) -> Request<()> {
    Request::get(path).header("x-user", "ann").body(()).unwrap()
}

/// Asks as hosts do: readiness first. A future that is ready at once.
fn ask<S, B>(service: &mut S, request: Request<()>) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(request)).poll(&mut cx) {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

/// A service of a function.
#[derive(Clone)]
struct By<F>(F);

impl<F: FnMut(Request<()>) -> R, R: Future<Output = Result<Answer, Infallible>>>
    Service<Request<()>> for By<F>
{
    type Response = Answer;
    type Error = Infallible;
    type Future = R;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> R {
        (self.0)(request)
    }
}

const POLICY: &str = "
    [attribute.user]
    [[limit]]
    name = 'at once'
    key = ['user']
    algorithm = 'leases'
    quota = 1
    ttl = '1 h'
    [[limit]]
    name = 'calls'
    routes = ['/calls']
    key = ['user']
    quota = '2/h'
    [[limit]]
    name = 'tokens'
    routes = ['/tokens']
    key = ['user']
    quota = '100/h'
    cost = 'tokens'
    [[limit]]
    name = 'watched'
    routes = ['/watched']
    key = ['user']
    quota = '1/h'
    mode = 'shadow'
    [response]
    headers = 'x-ratelimit'
    report = 'calls'
    body = 'Slow down.'
    ";

fn layer() -> LimitLayer<tollgate::tower::PolicyGate> {
    LimitLayer::policy(Policy::from_toml(POLICY).unwrap()).attribute("user", header("x-user"))
}

/// Polls a body to its end.
fn drain<B: http_body::Body<Data = Bytes>>(body: B) -> Vec<u8>
where
    B::Error: std::fmt::Debug,
{
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(body.collect()).poll(&mut cx) {
        Poll::Ready(all) => all.unwrap().to_bytes().to_vec(),
        Poll::Pending => panic!("it waits"),
    }
}

fn free(
    service: &mut impl Service<Request<()>, Response = Response<impl Sized>, Error = Infallible>,
) -> bool {
    ask(service, request("/")).status() == StatusCode::OK
}

/// A service with room for one, which must be ready when it is called.
struct Strict {
    ready: bool,
    called: Arc<AtomicUsize>,
}

impl Service<Request<()>> for Strict {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        self.called.fetch_add(1, Ordering::Relaxed);
        ready(Ok(fine()))
    }
}

#[test]
fn the_service_that_is_ready_is_the_one_that_is_called() {
    let called = Arc::new(AtomicUsize::new(0));
    let mut service = layer().layer(Strict { ready: false, called: called.clone() });
    for nth in 0..5 {
        let answer = ask(&mut service, request("/calls"));
        let expected = if nth < 2 { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS };
        assert_eq!(answer.status(), expected);
        let body = drain(answer.into_body());
        assert_eq!(body, if nth < 2 { b"fine".as_slice() } else { b"Slow down." });
    }
    // A denied request does not reach it.
    assert_eq!(called.load(Ordering::Relaxed), 2);
}

#[test]
fn leases_end_however_the_request_ends() {
    let layer = layer();
    let mut plain = layer.layer(By(|_| ready(Ok(fine()))));
    let mut cx = Context::from_waker(Waker::noop());

    // With the body, read or not.
    let answer = ask(&mut plain, request("/"));
    assert!(!free(&mut plain));
    drop(answer);
    let mut answer = ask(&mut plain, request("/"));
    let frame = pin!(answer.body_mut().frame()).poll(&mut cx);
    assert!(matches!(frame, Poll::Ready(Some(Ok(_)))));
    // Its last frame was taken, though it was not polled for another.
    assert!(free(&mut plain));
    drop(answer);

    // Nobody waits for the answer any more.
    let mut slow = layer.layer(By(|_| pending::<Result<Answer, Infallible>>()));
    let mut waiting = Box::pin(slow.call(request("/")));
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    assert!(!free(&mut plain));
    drop(waiting);
    assert!(free(&mut plain));

    // The service panics: when called, and later.
    let mut panics =
        layer.layer(By(|_| -> Ready<Result<Answer, Infallible>> { panic!("as it should") }));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(panics.call(request("/"))))).is_err());
    assert!(free(&mut plain));
    let mut panics = layer.layer(By(async |_| -> Result<Answer, Infallible> { panic!("too") }));
    let mut future = Box::pin(panics.call(request("/")));
    let said = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx).is_ready()));
    assert!(said.is_err());
    drop(future);
    assert!(free(&mut plain));
}

/// A service that fails by an error.
#[derive(Clone)]
struct Fails;

impl Service<Request<()>> for Fails {
    type Response = Answer;
    type Error = &'static str;
    type Future = Ready<Result<Answer, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Err("broken"))
    }
}

#[test]
fn errors_are_given_back_if_it_is_said() {
    for refund in [false, true] {
        let layer = layer().refund_errors(refund);
        let mut fails = layer.layer(Fails);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            let said = Pin::new(&mut fails.call(request("/calls"))).poll(&mut cx);
            assert!(matches!(said, Poll::Ready(Err("broken"))));
        }
        let mut plain = layer.layer(By(|_| ready(Ok(fine()))));
        let status = ask(&mut plain, request("/calls")).status();
        assert_eq!(status == StatusCode::OK, refund);
    }
}

#[test]
fn estimates_are_settled_for() {
    let layer = layer()
        .cost("tokens", |_| Some(60))
        .settle("tokens", |answer| answer.headers.get("x-tokens")?.to_str().ok()?.parse().ok());
    let mut service = layer.layer(By(|_| {
        ready(Ok(Response::builder().header("x-tokens", "10").body(Full::from("")).unwrap()))
    }));
    for nth in 1..=4 {
        let answer = ask(&mut service, request("/tokens"));
        assert_eq!(answer.status(), StatusCode::OK, "{nth}");
    }
    // 40 were used: an estimate of 60 fits once more; it is what it was where nothing is told.
    let mut silent = layer.layer(By(|_| ready(Ok(fine()))));
    assert_eq!(ask(&mut silent, request("/tokens")).status(), StatusCode::OK);
    assert_eq!(ask(&mut silent, request("/tokens")).status(), StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn a_shadow_denies_nothing_and_tells() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = told.clone();
    let layer = layer().shadow(true).observe(move |decided| {
        let (by, name) = decided.why.labels();
        let entry = (decided.outcome, by, name.to_owned(), decided.passes_anyway);
        hook.lock().unwrap().push(entry);
    });
    let mut service = layer.layer(By(|_| ready(Ok(fine()))));
    for _ in 0..3 {
        let answer = ask(&mut service, request("/calls"));
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.headers().contains_key("x-ratelimit-limit"));
    }
    let told = told.lock().unwrap();
    let allowed = (Outcome::Allowed, "limits", String::new(), false);
    assert_eq!(told[..2], [allowed.clone(), allowed]);
    assert_eq!(told[2], (Outcome::Later, "limit", "calls".to_owned(), true));
}

#[test]
fn what_lacks_an_attribute_is_refused_or_let_pass() {
    for open in [false, true] {
        let layer = layer().fail_open(open);
        let mut service = layer.layer(By(|_| ready(Ok(fine()))));
        for _ in 0..5 {
            let nobody = Request::get("/calls").body(()).unwrap();
            let status = ask(&mut service, nobody).status();
            let expected = if open { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(status, expected);
            // An empty one is none.
            let nobody = Request::get("/calls").header("x-user", "").body(()).unwrap();
            assert_eq!(ask(&mut service, nobody).status(), expected);
        }
        // Failing open is of those alone.
        for expected in [200, 200, 429] {
            assert_eq!(ask(&mut service, request("/calls")).status().as_u16(), expected);
        }
    }
}

#[test]
fn fields_of_the_service_are_replaced() {
    let own = |_| {
        let answer = Response::builder().header("x-ratelimit-limit", "a million");
        ready(Ok(answer.body(Full::from("")).unwrap()))
    };
    let mut service = layer().layer(By(own));
    let answer = ask(&mut service, request("/calls"));
    let told: Vec<_> = answer.headers().get_all("x-ratelimit-limit").iter().collect();
    assert_eq!(told, ["2"]);
}

#[test]
fn no_request_is_too_odd() {
    let mut service = layer().layer(By(|_| ready(Ok(fine()))));
    let long = "x".repeat(60_000);
    for request in [
        Request::builder().method("CONNECT").uri("example.org:443").body(()).unwrap(),
        Request::builder().method("OPTIONS").uri("*").body(()).unwrap(),
        Request::get("http://Example.org/a/../%2e%2e/%zz?x#y").body(()).unwrap(),
        Request::get("/").header("host", &[0xFF_u8, 0xFE][..]).body(()).unwrap(),
        Request::get(format!("/{long}")).header("x-user", &*long).body(()).unwrap(),
        Request::get("/").header("x-user", &[0xFF_u8, 0x80][..]).body(()).unwrap(),
    ] {
        let known = request.headers().contains_key("x-user");
        let status = ask(&mut service, request).status();
        assert_eq!(status == StatusCode::OK, known, "{status}");
    }
}

#[test]
fn a_limiter_by_a_segment_of_the_path() {
    let limiter = KeyedLimiter::sliding_log("1/h".parse().unwrap()).try_build().unwrap();
    let key = path_parameter("/v1/{project}/**", "project");
    let layer = LimitLayer::limiter(limiter, key).refund_if(|answer| answer.status == 404);
    let mut service = layer.layer(By(|_| ready(Ok(fine()))));
    let mut status = |path| ask(&mut service, request(path)).status().as_u16();
    assert_eq!([status("/v1/a/x"), status("/v1/a/y"), status("/v1/b")], [200, 429, 200]);
    // However it is written.
    assert_eq!([status("/v1//%61/z"), status("/v1/./b/")], [429, 429]);
    // Another route has no key.
    assert_eq!([status("/v2/a/x"), status("/v1")], [403, 403]);
    let mut missing = layer
        .layer(By(|_| ready(Ok(Response::builder().status(404).body(Full::from("")).unwrap()))));
    for _ in 0..3 {
        assert_eq!(ask(&mut missing, request("/v1/c/x")).status().as_u16(), 404);
    }
}

#[test]
fn a_policy_is_replaced_under_the_layer() {
    use tollgate::policy::PolicyFile;
    let live = Arc::new(LivePolicy::new(Policy::from_toml(POLICY).unwrap()));
    let layer = LimitLayer::policy(live.clone()).attribute("user", header("x-user"));
    let mut service = layer.layer(By(|_| ready(Ok(fine()))));
    let held = ask(&mut service, request("/calls"));
    let text = POLICY.replace("'2/h'", "'1/h'");
    live.replace(&PolicyFile::parse("policy", text.as_bytes()).unwrap()).unwrap();
    // The lease of before is one still, and comes back to whom it was of.
    assert_eq!(ask(&mut service, request("/")).status().as_u16(), 429);
    drop(held);
    assert_eq!(ask(&mut service, request("/")).status().as_u16(), 200);
    let denied = ask(&mut service, request("/calls"));
    assert_eq!(denied.status().as_u16(), 429);
    assert_eq!(denied.headers()["x-ratelimit-limit"], "1");
}

#[test]
fn grpc_is_answered_as_it_asks() {
    let mut service = layer().layer(By(|_| ready(Ok(fine()))));
    let call = |media: &str| {
        let call = Request::post("/calls").header("x-user", "ann").header("content-type", media);
        call.body(()).unwrap()
    };
    for _ in 0..2 {
        drop(ask(&mut service, call("application/grpc")));
    }
    for media in ["application/grpc", "application/grpc+proto", "application/grpc;x=1"] {
        let denied = ask(&mut service, call(media));
        assert_eq!(denied.status(), StatusCode::OK);
        assert_eq!(denied.headers()["grpc-status"], "8");
        assert_eq!(denied.headers()["content-type"], "application/grpc");
        let wait: u64 =
            denied.headers()["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
        assert!(wait > 3_500_000 && wait <= 3_600_000, "{wait}");
        assert!(http_body::Body::is_end_stream(denied.body()));
    }
    for media in ["application/grpc-web", "application/json"] {
        assert_eq!(ask(&mut service, call(media)).status(), StatusCode::TOO_MANY_REQUESTS);
    }
    let nobody = || {
        let nobody = Request::post("/calls").header("content-type", "application/grpc");
        nobody.body(()).unwrap()
    };
    let refused = ask(&mut service, nobody());
    assert_eq!(refused.headers()["grpc-status"], "7");
    assert_eq!(refused.headers()["grpc-retry-pushback-ms"], "-1");

    // Where none is served, who says so is as others are.
    let mut plain = layer().grpc(false).layer(By(|_| ready(Ok(fine()))));
    let refused = ask(&mut plain, nobody());
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(!refused.headers().contains_key("grpc-status"));
}

/// What a layer is told after it was cloned, or put before a service, it does too; and its
/// clone does not.
#[test]
fn a_used_layer_can_be_told_more() {
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let first = LimitLayer::policy(Policy::from_toml(POLICY).unwrap());
    let mut before = first.layer(By(|_| ready(Ok(fine()))));
    let layer = first.clone().attribute("user", header("x-user")).observe(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let mut after = layer.layer(By(|_| ready(Ok(fine()))));
    assert_eq!(ask(&mut before, request("/calls")).status(), StatusCode::FORBIDDEN);
    assert_eq!(told.load(Ordering::Relaxed), 0);
    assert_eq!(ask(&mut after, request("/calls")).status(), StatusCode::OK);
    assert_eq!(told.load(Ordering::Relaxed), 1);

    let limiter = KeyedLimiter::gcra("5/h".parse().unwrap()).try_build().unwrap();
    let one = LimitLayer::limiter(limiter, header("x-user"));
    let five = one.clone().units(|_| Some(5)).shadow(false);
    let (mut one, mut five) =
        (one.layer(By(|_| ready(Ok(fine())))), five.layer(By(|_| ready(Ok(fine())))));
    // They share the limiter, and not the cost.
    assert_eq!(ask(&mut one, request("/")).status(), StatusCode::OK);
    assert_eq!(ask(&mut five, request("/")).status(), StatusCode::TOO_MANY_REQUESTS);
}

/// Leases go with the body, whether or not what else was charged came back before.
#[test]
fn what_is_refunded_is_held_to_the_end() {
    let refunds = |status: StatusCode| {
        let answer = move |_: Request<()>| {
            let mut answer = fine();
            *answer.status_mut() = status;
            ready(Ok(answer))
        };
        let layer = layer().refund_errors(true).refund_if(|a| a.status == StatusCode::NOT_FOUND);
        layer.layer(By(answer))
    };
    for status in [StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY] {
        let mut service = refunds(status);
        for _ in 0..5 {
            let answer = ask(&mut service, request("/calls"));
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["x-ratelimit-remaining"], "2");
            let second = ask(&mut service, request("/calls"));
            assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
            drop(second);
            drain(answer.into_body());
        }
    }
}

/// What a hook's panic leaves is free again.
#[test]
fn a_hook_that_panics_holds_no_lease() {
    let first = AtomicUsize::new(0);
    let layer = layer()
        .observe(move |_| assert!(first.fetch_add(1, Ordering::Relaxed) > 0, "the first panics"));
    let mut service = layer.layer(By(|_| ready(Ok(fine()))));
    let panicked = catch_unwind(AssertUnwindSafe(|| ask(&mut service, request("/")))).is_err();
    assert!(panicked);
    assert!(free(&mut service));
}
