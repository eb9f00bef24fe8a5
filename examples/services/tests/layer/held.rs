//! What a request holds, and until when: over upgrades, long bodies, and ends that come early.

use super::{By, POLICY, ask, drain, fine, free, layer, request};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use std::{
    convert::Infallible,
    future::{Ready, ready},
    mem::replace,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread::sleep,
    time::{Duration, Instant},
};
use tollgate::{
    KeyedLimiter,
    policy::Policy,
    tower::{Held, LimitBody, LimitLayer, header},
};
use tower_layer::Layer;
use tower_service::Service;

/// What a handler put aside.
type Aside<T> = Arc<Mutex<Vec<T>>>;

/// An upgrade: what the request holds goes on elsewhere.
fn upgrading(
    aside: &Aside<Held>,
) -> impl Service<Request<()>, Response = super::Answer, Error = Infallible> + Clone {
    let aside = aside.clone();
    By(move |mut request: Request<()>| {
        aside.lock().unwrap().extend(request.extensions_mut().remove::<Held>());
        let mut answer = fine();
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        ready(Ok(answer))
    })
}

#[test]
fn leases_outlast_an_upgrade() {
    let aside = Aside::default();
    let mut service = layer().layer(upgrading(&aside));
    let answer = ask(&mut service, request("/"));
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    drain(answer.into_body());
    let first = aside.lock().unwrap().pop().unwrap();
    let second = first.clone();
    let is_free = |service: &mut _| {
        let status = ask(service, request("/")).status();
        aside.lock().unwrap().clear();
        status == StatusCode::SWITCHING_PROTOCOLS
    };
    // As long as anybody holds it, and the answer is over.
    assert!(!is_free(&mut service));
    drop(first);
    assert!(!is_free(&mut service));
    drop(second);
    assert!(is_free(&mut service));

    // Nobody holds it, and the answer is not over.
    let answer = ask(&mut service, request("/"));
    aside.lock().unwrap().clear();
    assert!(!is_free(&mut service));
    drop(answer);
    assert!(is_free(&mut service));
}

/// Whoever keeps the request keeps its leases, unless what holds them is taken out.
#[test]
fn a_request_that_is_kept_is_held() {
    for taken in [false, true] {
        let kept = Aside::default();
        let aside = kept.clone();
        let mut service = layer().layer(By(move |mut request: Request<()>| {
            if taken {
                request.extensions_mut().remove::<Held>();
            }
            aside.lock().unwrap().push(request);
            ready(Ok(fine()))
        }));
        drop(ask(&mut service, request("/")));
        assert_eq!(free(&mut service), taken);
        kept.lock().unwrap().clear();
        assert!(free(&mut service));
    }
}

/// Where there is no lease there is nothing to hold.
#[test]
fn only_leases_are_held() {
    let text = POLICY.replace("name = 'at once'", "name = 'at once'\n routes = ['/held']");
    let policy = Policy::from_toml(&text).unwrap();
    let held = Aside::default();
    let aside = held.clone();
    let handler = By(move |request: Request<()>| {
        aside.lock().unwrap().push(request.extensions().get::<Held>().is_some());
        ready(Ok(fine()))
    });
    let mut service =
        LimitLayer::policy(policy).attribute("user", header("x-user")).layer(handler.clone());
    for path in ["/calls", "/held", "/else"] {
        drop(ask(&mut service, request(path)));
    }
    let limiter = KeyedLimiter::gcra("5/h".parse().unwrap()).try_build().unwrap();
    drop(ask(&mut LimitLayer::limiter(limiter, header("x-user")).layer(handler), request("/held")));
    assert_eq!(*held.lock().unwrap(), [false, true, false, false]);
}

/// One hold is of the leases of all layers that the request came through.
#[test]
fn layers_in_layers_are_held_together() {
    let (outer, inner) = (layer(), layer());
    let aside = Aside::default();
    let mut both = outer.layer(inner.layer(upgrading(&aside)));
    drop(ask(&mut both, request("/")));
    let held = aside.lock().unwrap().pop().unwrap();
    let mut each = [&outer, &inner].map(|layer| layer.layer(By(|_| ready(Ok(fine())))));
    assert!(each.iter_mut().all(|service| !free(service)));
    drop(held);
    assert!(each.iter_mut().all(free));
}

/// A body of these pieces, and then of none, for ever; unless `ends`.
#[derive(Default)]
struct Pieces {
    left: Vec<&'static str>,
    ends: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// A service that answers with these, which not every test's is.
#[derive(Clone)]
struct Streams {
    pieces: &'static [&'static str],
    ends: bool,
}

impl Service<Request<()>> for Streams {
    type Response = Response<Pieces>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Pieces>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Pieces { left: self.pieces.to_vec(), ends: self.ends })))
    }
}

fn poll<B: Body<Data = Bytes, Error = Infallible> + Unpin>(body: &mut B) -> Poll<Option<usize>> {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(body)
        .poll_frame(&mut cx)
        .map(|frame| frame.map(|frame| frame.unwrap().into_data().unwrap().len()))
}

/// Bodies, answers and upgrades that last longer than their leases would.
#[test]
fn leases_are_renewed_while_anything_goes_on() {
    let told = (0..10).find_map(|_| longer_than_leases());
    let (free, renewed, renewed_too_late) = told.expect("ten times, not once without a pause");
    assert_eq!(free, [false, false, false, true, true]);
    assert!(renewed);
    // Over is over.
    assert!(!renewed_too_late);
}

const TTL: Duration = Duration::from_secs(2);

/// What is free after more time than a lease has: a body that is polled, an answer that is
/// waited for, an upgrade that is renewed; a body and an upgrade that lie there. And whether
/// that renewed the one upgrade each time, and would the other now. `None` if something was not
/// looked at for so long that its lease may be over, for the machine paused.
fn longer_than_leases() -> Option<([bool; 5], bool, bool)> {
    let text = POLICY.replace("ttl = '1 h'", "ttl = '2 s'");
    let layer =
        LimitLayer::policy(Policy::from_toml(&text).unwrap()).attribute("user", header("x-user"));
    let mut streams = layer.layer(Streams { pieces: &[], ends: false });
    let of = |user| Request::get("/").header("x-user", user).body(()).unwrap();
    let begun = Instant::now();
    let mut polled = ask(&mut streams, of("polled"));
    let lying = ask(&mut streams, of("lying"));
    let mut answers = layer.layer(By(|_| std::future::pending()));
    let mut awaited = pin!(answers.call(of("awaited")));
    let aside = Aside::default();
    let mut sockets = layer.layer(upgrading(&aside));
    drop(ask(&mut sockets, of("upgraded")));
    let upgraded = aside.lock().unwrap().pop().unwrap();
    drop(ask(&mut sockets, of("left")));
    let left = aside.lock().unwrap().pop().unwrap();
    assert_eq!(left.ttl(), TTL);

    let mut cx = Context::from_waker(Waker::noop());
    let (mut looked, mut longest, mut renewed) = (begun, Duration::ZERO, true);
    // By now, what was looked at `then` at the earliest has not been since the last `then`.
    let mut look = |then| longest = longest.max(replace(&mut looked, then).elapsed());
    while begun.elapsed() < Duration::from_millis(3_500) {
        let then = Instant::now();
        assert!(poll(polled.body_mut()).is_pending());
        assert!(awaited.as_mut().poll(&mut cx).is_pending());
        renewed &= upgraded.renew();
        look(then);
        sleep(Duration::from_millis(50));
    }
    let is_free = |user| ask(&mut streams, of(user)).status() == StatusCode::OK;
    let free = ["polled", "awaited", "upgraded", "lying", "left"].map(is_free);
    look(Instant::now());
    let renewed_too_late = left.renew();
    drop((lying, left));
    // Half of a lease is left after each look.
    (longest + Duration::from_millis(100) < TTL / 2).then_some((free, renewed, renewed_too_late))
}

const EGRESS: &str = "
    [attribute.user]
    [[limit]]
    name = 'egress'
    key = ['user']
    quota = '100/h'
    cost = 'bytes'
    [[limit]]
    name = 'at once'
    key = ['user']
    algorithm = 'leases'
    quota = 1
    ttl = '1 h'
    [response]
    headers = 'x-ratelimit'
    report = 'egress'
    ";

/// What was sent is what is paid for, wherever a body ends.
#[test]
fn bytes_of_a_body_that_is_dropped_are_settled_for() {
    let layer = LimitLayer::policy(Policy::from_toml(EGRESS).unwrap())
        .attribute("user", header("x-user"))
        .cost("bytes", |_| Some(50))
        .settle_bytes("bytes");
    let mut plain = layer.layer(By(|_| ready(Ok(fine()))));
    let mut left = |user| {
        let answer = ask(&mut plain, Request::get("/").header("x-user", user).body(()).unwrap());
        assert_eq!(answer.status(), StatusCode::OK);
        // The estimate is charged at first; this body is dropped unread.
        let left = answer.headers()["x-ratelimit-remaining"].to_str().unwrap();
        50 + left.parse::<usize>().unwrap()
    };
    let pieces = &["of it", "", "some "];
    for (user, polls, ends, sent) in [
        ("unread", 0, false, 0),
        ("first", 1, false, 5),
        ("empty", 2, false, 5),
        ("all", 3, false, 10),
        ("waiting", 4, false, 10),
        ("end", 4, true, 10),
    ] {
        let mut streams = layer.layer(Streams { pieces, ends });
        let request = Request::get("/").header("x-user", user).body(()).unwrap();
        let mut answer = ask(&mut streams, request);
        for _ in 0..polls {
            let _ = poll(answer.body_mut());
        }
        drop(answer);
        assert_eq!(left(user), 100 - sent, "{user}");
    }
    // Nobody waits for the answer: nothing is known to have been sent, and it stays charged.
    let mut slow = layer.layer(By(|_| std::future::pending::<Result<super::Answer, _>>()));
    drop(slow.call(Request::get("/").header("x-user", "gone").body(()).unwrap()));
    assert_eq!(left("gone"), 50);
}

/// Bodies that have to be shared between threads can be.
#[test]
fn bodies_are_what_the_service_s_are() {
    fn is<T: Send + Sync + Unpin>(_: &T) {}
    let mut service = layer().layer(By(|_| ready(Ok(fine()))));
    is::<LimitBody<_>>(ask(&mut service, request("/")).body());
    is(&service.call(request("/")));
}
