//! Nothing is allocated by a decision.

use crate::{policy, start};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};
#[cfg(feature = "tower")]
use tollgate::policy::Policy;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // During a thread's end the counter is gone, and nobody is counting.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came; counting neither
// allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const EIGHT: &str = r#"
    [attribute.ip]
    kind = "ip"
    forwarded = "x_forwarded_for"
    trusted_hops = 1
    [attribute.user]
    [attribute.tier]
    values = ["FREE", "PRO"]

    [[limit]]
    name = "log"
    key = ["user"]
    quota = "20/10s"
    [[limit]]
    name = "gcra"
    routes = ["POST /v1/{kind}/{id}"]
    key = ["user", "path.id"]
    algorithm = "gcra"
    quota = { by = "tier", FREE = "10/10s", PRO = "unlimited" }
    overrides = { by = "user", user-7 = "20/10s" }
    [[limit]]
    name = "counter"
    key = ["ip"]
    algorithm = "sliding-counter"
    quota = "10_000/10s"
    [[limit]]
    name = "month"
    key = ["user"]
    algorithm = "calendar"
    quota = "500/day"
    zone = "Europe/Berlin"
    [[limit]]
    name = "leases"
    key = ["user"]
    algorithm = "leases"
    quota = 5
    ttl = "3 s"
    [[limit]]
    name = "bytes"
    key = []
    algorithm = "size"
    quota = 100
    cost = "bytes"
    [[limit]]
    name = "shadow"
    key = ["user"]
    quota = "2/10s"
    mode = "shadow"
    [[limit]]
    name = "strict"
    group = "g"
    when = { tier = ["PRO"] }
    key = ["user"]
    algorithm = "gcra"
    quota = "9/10s"
    charge_denied = true
    [[limit]]
    name = "fallback"
    group = "g"
    fallback = true
    key = ["user"]
    share = "50%"
    quota = "9/10s"
    [[refuse]]
    name = "refused"
    networks = { ip = ["192.0.2.128/25"] }
    status = 403
    [[penalty]]
    name = "ladder"
    key = ["user"]
    denials = 5
    within = "1 min"
    blocks = ["2 s", "5 s"]
"#;

/// Methods, hosts and paths that conditions and quotas name are made normal in place.
#[test]
fn no_condition_allocates() {
    let policy = policy(
        "[[limit]]\nname = \"l\"\nkey = [\"host\"]\nunless = { path = \"/health\" }\n\
         quota = { by = \"method\", GET = \"9/s\", otherwise = \"5/s\" }\nmissing = \"skip\"\n",
    );
    let round = || {
        for (method, host, path) in [
            ("get", "A.example:80", "//a/%62"),
            ("POST", "b.example", "/health"),
            ("HEAD", "", "/"),
        ] {
            let request = policy.request(method, path).host(host);
            let _ = policy.check_at(&request, start());
        }
    };
    round();
    let before = ALLOCATIONS.get();
    round();
    assert_eq!(ALLOCATIONS.get(), before);
}

#[test]
fn no_decision_allocates() {
    let policy = policy(EIGHT);
    let users: Vec<String> = (0..30).map(|n| format!("user-{n}")).collect();
    let lists: Vec<String> = (0..30).map(|n| format!("203.0.113.9, 192.0.2.{}", n * 5)).collect();
    let paths = ["/v1/scans/1", "/v1//scans/../scans/%31", "/v1/scans/2?x=y", "/other"];
    let round = |secs: u64| {
        let mut outcomes = [0_u32; 2];
        for (nth, (user, list)) in users.iter().zip(&lists).cycle().take(600).enumerate() {
            let now = start().after(Duration::from_millis(secs * 1000 + nth as u64));
            let request = policy
                .request("POST", paths[nth % 4])
                .host("api.example.com:443")
                .attribute("user", user)
                .attribute("x_forwarded_for", list)
                .attribute("tier", ["FREE", "PRO", "GOLD"][nth / 30 % 3])
                .cost("bytes", (nth % 103) as u64);
            let mut decision = policy.check_at(&request, now);
            outcomes[usize::from(decision.is_denied())] += 1;
            let _ = (decision.binding().map(|limit| limit.name()), decision.retry_after());
            match nth % 5 {
                0 => decision.refund_at(now),
                1 => decision.release_at(now),
                2 => decision.settle_at("bytes", 7, now),
                3 => drop(policy.unblock_at("ladder", &request, now)),
                _ => {}
            }
        }
        outcomes
    };
    // Paths are made normal in a place that grows once.
    let _ = round(0);
    let before = ALLOCATIONS.get();
    let outcomes = [1, 5, 8, 13, 25].map(round);
    let after = ALLOCATIONS.get();
    assert!(outcomes.iter().all(|[yes, no]| *yes > 50 && *no > 50), "{outcomes:?}");
    assert_eq!(after - before, 0);
    drop(std::hint::black_box(vec![1]));
    assert!(ALLOCATIONS.get() >= after + 2, "the counter counts");
}

/// What the layer's page says that it allocates: a map of fields, an extension, and values that
/// are no small numbers.
#[cfg(feature = "tower")]
#[test]
fn a_layer_allocates_what_its_page_says() {
    use http::{Request, Response};
    use std::{
        convert::Infallible,
        future::ready,
        pin::pin,
        task::{Context, Poll, Waker},
    };
    use tollgate::tower::{LimitLayer, header};
    use tower_layer::Layer;
    use tower_service::Service;

    /// Of one call, once all that grows has grown: each memory counts when it is taken and when
    /// it is given back.
    fn of<S, B>(mut service: S) -> u64
    where
        S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    {
        let mut call = || {
            let request = Request::get("/v1").header("x-key", "k").body(()).unwrap();
            let before = ALLOCATIONS.get();
            let said = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(Ok(answer)) = said else { panic!() };
            assert_eq!(answer.status(), 200);
            drop(answer);
            ALLOCATIONS.get() - before
        };
        let _ = (call(), call());
        call()
    }
    let fine = || tower::service_fn(|_| ready(Ok::<_, Infallible>(Response::new(String::new()))));
    let bare = of(fine());
    let layer = |quota: &str, response: &str| {
        let limit = "[[limit]]\nname = 'api'\nkey = ['key']\nalgorithm = 'gcra'\n";
        let text = format!("[attribute.key]\n{limit}quota = '{quota}'\n[response]\n{response}\n");
        let policy = Policy::from_toml(&text).unwrap();
        LimitLayer::policy(policy).attribute("key", header("x-key"))
    };
    let layered = |layer: LimitLayer<_>| (of(layer.layer(fine())) - bare) / 2;
    assert_eq!(layered(layer("60/min", "headers = 'none'")), 0);
    assert_eq!(layered(layer("60/min", "reset = 'delta'")), 4);
    // The time since 1970; two large numbers; and a list each.
    assert_eq!(layered(layer("60/min", "")), 5);
    assert_eq!(layered(layer("60_000/min", "")), 7);
    assert_eq!(layered(layer("60/min", "headers = 'ratelimit'")), 6);
    // What may be given back is kept: itself, and the one limit.
    assert_eq!(layered(layer("60/min", "headers = 'none'").refund_errors(true)), 2);
}
