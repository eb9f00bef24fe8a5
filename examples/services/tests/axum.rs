//! axum behind the layer, over HTTP on loopback, by a client as others use it: what the
//! document of `examples/policies/003-url-scanning.toml` promises, and what the layer does.

#[path = "../../axum.rs"]
#[allow(dead_code, clippy::duplicate_mod)]
mod example;

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    response::Response,
    routing::{any, get, post},
};
use reqwest::{Client, StatusCode};
use reqwest_middleware::ClientBuilder;
use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tollgate::{
    KeyedLimiter, Outcome,
    client::{Pacer, Polite},
    policy::Policy,
    tower::{LimitLayer, extension, forwarded, header},
};

/// A server that ends with its test.
struct Served {
    base: String,
    client: Client,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build();
        Self { base, client: client.unwrap(), task }
    }

    async fn send(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method.parse().unwrap(), url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, fields) = (answer.status(), answer.headers().clone());
        Answer { status, fields, body: answer.text().await.unwrap() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Answer {
    status: StatusCode,
    fields: http::HeaderMap,
    body: String,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }

    fn number(&self, name: &str) -> u64 {
        self.field(name).unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    }
}

async fn in_time<T>(run: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), run).await.expect("it hangs")
}

fn unix() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

const DOCUMENT: &str = include_str!("../../policies/003-url-scanning.toml");

#[tokio::test]
async fn the_example_answers_as_its_document_says() {
    in_time(async {
        let served =
            Served::start(example::app(Policy::from_toml(DOCUMENT).unwrap()).unwrap()).await;
        let acme = [("x-org", "acme")];
        // "POST /v1/scans: 10/minute", and three fields on every answer.
        for nth in 1..=10 {
            let answer = served.send("POST", "/v1/scans", &acme).await;
            assert_eq!((answer.status.as_u16(), &*answer.body), (200, "scanning"));
            assert_eq!(answer.number("X-RateLimit-Limit"), 10);
            assert_eq!(answer.number("X-RateLimit-Remaining"), 10 - nth);
            let reset = answer.number("X-RateLimit-Reset");
            assert!(reset > unix() && reset <= unix() + 61, "{reset}");
            assert_eq!(answer.field("Retry-After"), None);
        }
        let before = unix();
        let answer = served.send("POST", "/v1/scans", &acme).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        let wait = answer.number("Retry-After");
        assert!((1..=60).contains(&wait));
        assert_eq!(answer.number("X-RateLimit-Limit"), 10);
        assert_eq!(answer.number("X-RateLimit-Remaining"), 0);
        let reset = answer.number("X-RateLimit-Reset");
        // It was told in between, in whole seconds as they are.
        assert!((before + wait - 1..=unix() + wait + 1).contains(&reset));
        assert_eq!(answer.field("Content-Type"), Some("application/json"));
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let message = format!("Rate limit exceeded. Try again in {wait} seconds.");
        assert_eq!(
            body,
            serde_json::json!({
                "error": "rate_limit_exceeded", "message": message,
                "limit": 10, "retry_after": wait,
            })
        );
        // By organisation, and each operation by itself.
        let other = served.send("POST", "/v1/scans", &[("x-org", "globex")]).await;
        assert_eq!(other.number("X-RateLimit-Remaining"), 9);
        let read = served.send("GET", "/v1/scans/s1", &acme).await;
        assert_eq!((read.status.as_u16(), read.number("X-RateLimit-Limit")), (404, 60));
        // Without an organisation it is refused, and no service is asked.
        let nobody = served.send("POST", "/v1/scans", &[]).await;
        assert_eq!(nobody.status, StatusCode::FORBIDDEN);
        assert!(nobody.body.contains("No organisation"), "{}", nobody.body);
    })
    .await;
}

/// What the README shows is what runs here.
#[test]
fn the_readme_shows_the_example() {
    let example = include_str!("../../axum.rs");
    let code = example.split_once("\nuse ").unwrap().1;
    let code = format!("use {code}");
    assert!(code.trim().lines().count() < 20, "{}", code.lines().count());
    let readme = include_str!("../../../README.md");
    let (_, after) = readme.split_once("<!-- examples/axum.rs -->\n```rust,ignore\n").unwrap();
    assert_eq!(after.split_once("```").unwrap().0.trim(), code.trim());
}

const DOWNLOADS: &str = "
    [attribute.ip]
    kind = 'ip'
    forwarded = 'x_forwarded_for'
    trusted_hops = 1
    [[limit]]
    name = 'at once'
    routes = ['/download/**']
    key = ['ip']
    algorithm = 'leases'
    quota = 1
    ttl = '1 h'
    [[limit]]
    name = 'calls'
    key = ['ip']
    quota = '100/h'
    [[limit]]
    name = 'egress'
    key = ['ip']
    quota = '1000/h'
    cost = 'bytes'
    unit = 'bytes'
    [response]
    headers = 'x-ratelimit'
    report = 'calls'
    ";

fn downloads() -> Router {
    let layer = LimitLayer::policy(Policy::from_toml(DOWNLOADS).unwrap())
        .attribute("ip", extension(|c: &ConnectInfo<SocketAddr>| c.0.ip().to_string()))
        .attribute("x_forwarded_for", header("x-forwarded-for"))
        .cost("bytes", |_| Some(1))
        .settle_bytes("bytes")
        .refund_if(|answer| answer.status == StatusCode::NOT_MODIFIED)
        .refund_errors(true);
    let never = || async {
        let pieces = [Ok::<_, std::io::Error>("piece"), Ok("of")];
        let pieces = tokio_stream::StreamExt::chain(
            tokio_stream::iter(pieces),
            tokio_stream::pending::<Result<&str, std::io::Error>>(),
        );
        Response::new(Body::from_stream(pieces))
    };
    Router::new()
        .route("/download/never", get(never))
        .route("/download/{n}", get(|| async { "x".repeat(300) }))
        .route("/same", get(|| async { StatusCode::NOT_MODIFIED }))
        .route("/broken", any(|| async { StatusCode::BAD_GATEWAY }))
        .route("/fine", post(|| async { "fine" }))
        .layer(layer)
}

#[tokio::test]
async fn leases_end_with_the_body_and_with_the_client() {
    in_time(async {
        let served = Served::start(downloads()).await;
        let by = [("x-forwarded-for", "192.0.2.66, 203.0.113.7")];
        let first = served.send("GET", "/download/1", &by).await;
        assert_eq!((first.status.as_u16(), first.body.len()), (200, 300));
        // The first has been read to its end.
        let url = format!("{}/download/never", served.base);
        let never = served.client.get(&url).header("x-forwarded-for", "203.0.113.7").send().await;
        let mut never = never.unwrap();
        assert_eq!(never.status(), StatusCode::OK);
        let _ = never.chunk().await.unwrap();
        assert_eq!(served.send("GET", "/download/2", &by).await.status.as_u16(), 429);
        // Another client is another key, whatever is said in front.
        let other = [("x-forwarded-for", "203.0.113.7, 198.51.100.1")];
        assert_eq!(served.send("GET", "/download/2", &other).await.status.as_u16(), 200);
        // The client hangs up.
        drop(never);
        loop {
            let answer = served.send("GET", "/download/3", &by).await;
            if answer.status == StatusCode::OK {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // 300 and 7 and 300 bytes went out, so 300 more do, and then none.
        assert_eq!(served.send("GET", "/download/4", &by).await.status.as_u16(), 200);
        assert_eq!(served.send("GET", "/download/5", &by).await.status.as_u16(), 200);
        assert_eq!(served.send("GET", "/download/6", &by).await.status.as_u16(), 429);
    })
    .await;
}

#[tokio::test]
async fn what_fails_or_is_not_modified_is_not_charged() {
    in_time(async {
        let served = Served::start(downloads()).await;
        for nth in 1..=3 {
            let fine = served.send("POST", "/fine", &[]).await;
            assert_eq!(fine.number("X-RateLimit-Remaining"), 100 - nth);
            for (method, path, status) in [("GET", "/same", 304), ("PUT", "/broken", 502)] {
                let answer = served.send(method, path, &[]).await;
                assert_eq!(answer.status.as_u16(), status);
                assert_eq!(answer.number("X-RateLimit-Remaining"), 100 - nth, "{path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_limiter_by_the_address_behind_our_proxy() {
    in_time(async {
        let limiter = KeyedLimiter::sliding_log("2/h".parse().unwrap()).try_build().unwrap();
        let layer = LimitLayer::limiter(limiter, forwarded("x-forwarded-for", 1));
        let app = Router::new().route("/", get(|| async { "here" })).layer(layer);
        let served = Served::start(app).await;
        // Made-up entries in front lead around nothing.
        for (nth, made_up) in ["192.0.2.1", "192.0.2.2", "192.0.2.3"].into_iter().enumerate() {
            let list = format!("{made_up}, 203.0.113.7");
            let answer = served.send("GET", "/", &[("x-forwarded-for", &list)]).await;
            let expected = if nth < 2 { 200 } else { 429 };
            assert_eq!(answer.status.as_u16(), expected);
            assert_eq!(answer.number("X-RateLimit-Limit"), 2);
        }
        assert_eq!(served.send("GET", "/", &[]).await.status.as_u16(), 403);
    })
    .await;
}

/// Both sides of a limit: the layer tells of it, the client keeps what it is told, and all calls are
/// served, with few denials or none where a loop that tries again at once has hundreds. A call takes
/// its unit of the client's until a second after its answer was read, which is later than the layer
/// has it back. But whose clock was read first may be decided last, if its thread is stopped between
/// the two: then it asks a moment too early.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polite_client_is_served() {
    for algorithm in ["sliding-log", "gcra"] {
        in_time(async {
            let text = format!(
                "
                [[limit]]
                name = 'calls'
                key = []
                quota = '5/s'
                algorithm = '{algorithm}'
                [response]
                headers = 'ratelimit'
                "
            );
            let (asked, denied) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let counts = [Arc::clone(&asked), Arc::clone(&denied)];
            let layer =
                LimitLayer::policy(Policy::from_toml(&text).unwrap()).observe(move |decided| {
                    let [asked, denied] = &counts;
                    asked.fetch_add(1, Ordering::SeqCst);
                    let no = usize::from(decided.outcome != Outcome::Allowed);
                    denied.fetch_add(no, Ordering::SeqCst);
                });
            let app = Router::new().route("/", get(|| async { "here" })).layer(layer);
            let served = Served::start(app).await;
            // It knows nothing, but what it is told.
            let client =
                ClientBuilder::new(served.client.clone()).with(Polite::new(Pacer::new())).build();
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (client, url) = (client.clone(), served.base.clone());
                tasks.spawn(async move {
                    for _ in 0..4 {
                        let answer = client.get(&url).send().await.unwrap();
                        assert_eq!(answer.status(), StatusCode::OK);
                        assert_eq!(answer.text().await.unwrap(), "here");
                    }
                });
            }
            while let Some(task) = tasks.join_next().await {
                task.unwrap();
            }
            let [asked, denied] = [asked, denied].map(|count| count.load(Ordering::SeqCst));
            assert!(asked - denied == 16 && denied <= 3, "{algorithm}: {denied} of {asked} denied");
        })
        .await;
    }
}
