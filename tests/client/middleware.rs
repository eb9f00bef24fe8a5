//! The middleware of reqwest: nothing is sent, as the last of the chain answers, and
//! tokio's time stands still but for sleeps.

use reqwest::{Request, Response, redirect::Policy};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::time::Instant;
use tollgate::{
    KeyedLimiter, ManualClock, Nanos, SlidingLog,
    client::{Backoff, Jitter, Pacer, PacerBuilder, Polite, Step},
    wait::TokioClock,
};

/// So many a minute, told in header fields; each answer takes a tenth of a second.
struct Server {
    limiter: KeyedLimiter<SlidingLog, ManualClock>,
    begun: Instant,
    /// When, whose body, and whether it passed.
    seen: Mutex<Vec<(Duration, String, bool)>>,
    fields: bool,
}

#[async_trait::async_trait]
impl Middleware for Server {
    async fn handle(
        &self,
        request: Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let at = self.begun.elapsed();
        let decision = self.limiter.check_at("a", Nanos::from(at));
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.seen.lock().unwrap().push((at, body, decision.is_allowed()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let status = if decision.is_allowed() { 200 } else { 429 };
        let mut response = http::Response::builder().status(status);
        if let Some(secs) = decision.retry_after_secs().filter(|_| decision.is_denied()) {
            response = response.header("Retry-After", secs);
        }
        if self.fields {
            response = response
                .header("X-RateLimit-Limit", decision.limit())
                .header("X-RateLimit-Remaining", decision.remaining())
                .header("X-RateLimit-Reset", decision.reset_after_secs());
        }
        Ok(response.body("").unwrap().into())
    }
}

fn server(fields: bool) -> Arc<Server> {
    let limiter = KeyedLimiter::sliding_log("10/min".parse().unwrap())
        .clock(ManualClock::new())
        .try_build()
        .unwrap();
    Arc::new(Server { limiter, begun: Instant::now(), seen: Mutex::default(), fields })
}

fn client(
    server: &Arc<Server>,
    built: impl FnOnce(PacerBuilder<TokioClock>) -> PacerBuilder<TokioClock>,
) -> ClientWithMiddleware {
    let pacer = Pacer::builder().clock(TokioClock::new()).jitter(Jitter::seeded(1));
    let polite = Polite::new(built(pacer).build());
    ClientBuilder::new(reqwest::Client::new())
        .with(polite)
        .with_arc(Arc::clone(server) as Arc<dyn Middleware>)
        .build()
}

fn denied(server: &Server) -> usize {
    server.seen.lock().unwrap().iter().filter(|(.., allowed)| !allowed).count()
}

#[tokio::test(start_paused = true)]
async fn many_tasks_share_a_limit_and_go_in_order_without_a_429() {
    for fields in [true, false] {
        let server = server(fields);
        let client =
            client(
                &server,
                |pacer| {
                    if fields { pacer } else { pacer.quota("10/min".parse().unwrap()) }
                },
            );
        let mut tasks = tokio::task::JoinSet::new();
        for unit in 0..35 {
            let client = client.clone();
            tasks.spawn(async move {
                let request = client.post("http://localhost/").body(format!("{unit:02}"));
                assert_eq!(request.send().await.unwrap().status(), 200);
            });
        }
        let hour = Duration::from_secs(3600);
        while let Some(task) =
            tokio::time::timeout(hour, tasks.join_next()).await.expect("it hangs")
        {
            task.unwrap();
        }
        assert_eq!(denied(&server), 0);
        let seen = server.seen.lock().unwrap();
        assert!(seen.is_sorted_by(|a, b| a.1 < b.1), "{seen:?}");
        let last = seen.last().unwrap().0;
        assert!(last >= Duration::from_secs(180) && last < Duration::from_secs(186), "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_is_tried_again_as_told_with_its_body_and_then_is_the_callers() {
    let server = server(false);
    while server.limiter.check_at("a", Nanos::ZERO).is_allowed() {}
    let one = client(&server, |pacer| pacer.backoff(Backoff::three_retries()));
    let answer = one.post("http://localhost/").body("once").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let seen: Vec<_> = server.seen.lock().unwrap().drain(..).collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|(_, body, _)| body == "once"));
    assert!(seen[1].0 >= Duration::from_secs(60) && seen[1].0 < Duration::from_secs(61));

    // It does not fit in the total.
    while server.limiter.check_at("a", Nanos::from(server.begun.elapsed())).is_allowed() {}
    let hasty = Backoff::three_retries().total(Duration::from_secs(5));
    let hasty = client(&server, |pacer| pacer.backoff(hasty));
    let begun = Instant::now();
    let answer = hasty.get("http://localhost/").send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_cancelled_holds_nobody_up() {
    let server = server(true);
    let client = client(&server, |pacer| pacer.in_flight(1));
    for _ in 0..5 {
        // The answer takes longer than that.
        let wait = Duration::from_millis(50);
        let request = client.get("http://localhost/").send();
        assert!(tokio::time::timeout(wait, request).await.is_err());
    }
    // One that waits for its turn, and one whose turn comes while another is cancelled.
    let (first, second) = (client.clone(), client.clone());
    let first = tokio::spawn(async move { first.get("http://localhost/").send().await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = tokio::spawn(async move { second.get("http://localhost/").send().await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    first.abort();
    let begun = Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(5), second).await.unwrap();
    assert_eq!(answer.unwrap().unwrap().status(), 200);
    // It was told of the end at once.
    assert!(begun.elapsed() < Duration::from_millis(110), "{:?}", begun.elapsed());
    assert_eq!(denied(&server), 0);
}

/// Answers by the body of a request and how many came before it: status, `Retry-After`, and
/// after how many seconds.
struct Script(fn(&str, usize) -> (u16, &'static str, u64), Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Middleware for Script {
    async fn handle(
        &self,
        request: Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let (status, wait, secs) = {
            let mut seen = self.1.lock().unwrap();
            let before = seen.iter().filter(|other| **other == body).count();
            seen.push(body.clone());
            (self.0)(&body, before)
        };
        tokio::time::sleep(Duration::from_secs(secs)).await;
        let response = http::Response::builder().status(status);
        let response =
            if wait.is_empty() { response } else { response.header("Retry-After", wait) };
        Ok(response.body(body).unwrap().into())
    }
}

fn scripted(
    answers: fn(&str, usize) -> (u16, &'static str, u64),
    built: impl FnOnce(PacerBuilder<TokioClock>) -> PacerBuilder<TokioClock>,
) -> ClientWithMiddleware {
    // So many at once from the start.
    let quota = "1000/s".parse().unwrap();
    let pacer = Pacer::builder().clock(TokioClock::new()).jitter(Jitter::seeded(1));
    let polite = Polite::new(built(pacer.quota(quota).backoff(Backoff::doubling())).build());
    let script = Script(answers, Mutex::default());
    ClientBuilder::new(reqwest::Client::new()).with(polite).with(script).build()
}

/// Begins to send, `after` so many seconds: status, body, and when it came.
fn sent(
    client: &ClientWithMiddleware,
    method: http::Method,
    body: &'static str,
    after: u64,
) -> tokio::task::JoinHandle<(u16, String, Duration)> {
    let (client, begun) = (client.clone(), Instant::now());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(after)).await;
        let request = client.request(method, "http://localhost/").body(body).send();
        let answer = tokio::time::timeout(Duration::from_secs(7200), request).await;
        let answer = answer.expect("it hangs").unwrap();
        let (at, status) = (begun.elapsed(), answer.status().as_u16());
        (status, answer.text().await.unwrap(), at)
    })
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_go_within_its_total_gets_its_denial() {
    let total = |pacer: PacerBuilder<_>| {
        pacer.backoff(Backoff::doubling().total(Duration::from_secs(5))).in_flight(1)
    };
    // Another one's denial holds everybody for a minute.
    let client = scripted(
        |body, _| if body == "a" { (429, "3", 0) } else { (429, "60", 1) },
        |pacer| total(pacer).in_flight(2),
    );
    let tasks = ["b", "a"].map(|body| sent(&client, http::Method::GET, body, 0));
    let [b, a] = tasks;
    let ((status, body, at), b) = (a.await.unwrap(), b.await.unwrap());
    assert_eq!((status, body.as_str(), b.0), (429, "a", 429));
    assert!(at <= Duration::from_secs(5), "{at:?}");

    // One that takes long is in flight, and another one has the turn.
    let client = scripted(
        |body, before| match body {
            "a" if before == 0 => (429, "2", 0),
            "long" => (200, "", 60),
            _ => (200, "", 0),
        },
        total,
    );
    let tasks = [("a", 0), ("long", 1), ("next", 1)];
    let tasks = tasks.map(|(body, after)| sent(&client, http::Method::GET, body, after));
    let [a, long, next] = tasks;
    let (status, body, at) = a.await.unwrap();
    assert_eq!((status, body.as_str()), (429, "a"));
    assert!(at >= Duration::from_secs(4) && at <= Duration::from_secs(6), "{at:?}");
    assert_eq!((long.await.unwrap().0, next.await.unwrap().0), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_itself_holds_nobody_up() {
    let client = scripted(
        |body, before| if body == "a" && before == 0 { (429, "600", 0) } else { (200, "", 0) },
        |pacer| pacer.longest_wait(Duration::from_secs(2)),
    );
    let [a, b] =
        [("a", 0), ("b", 1)].map(|(body, after)| sent(&client, http::Method::GET, body, after));
    let (status, _, at) = b.await.unwrap();
    assert_eq!(status, 200);
    assert!(at < Duration::from_secs(3), "{at:?}");
    let (status, _, at) = a.await.unwrap();
    assert!(status == 200 && at >= Duration::from_secs(600), "{at:?}");
}

/// A 503 may come from something in front of the server, which did the work.
#[tokio::test(start_paused = true)]
async fn after_a_503_only_what_may_be_done_twice_is_sent_twice() {
    for (method, status, expected) in [
        (http::Method::GET, 503, 200),
        (http::Method::PUT, 503, 200),
        (http::Method::POST, 503, 503),
        (http::Method::PATCH, 503, 503),
        (http::Method::POST, 429, 200),
    ] {
        let client = scripted(
            match status {
                503 => |_, before| if before == 0 { (503, "1", 0) } else { (200, "", 0) },
                _ => |_, before| if before == 0 { (429, "1", 0) } else { (200, "", 0) },
            },
            |pacer| pacer,
        );
        let answer = sent(&client, method.clone(), "a", 0).await.unwrap();
        assert_eq!(answer.0, expected, "{method}, {status}");
    }
}

/// Answers in the order of asking, each after so many ms.
struct InTurn(Mutex<std::vec::IntoIter<Reply>>);

type Reply = (u64, u16, Vec<(&'static str, &'static str)>);

#[async_trait::async_trait]
impl Middleware for InTurn {
    async fn handle(
        &self,
        _: Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let (after, status, fields) = self.0.lock().unwrap().next().unwrap();
        tokio::time::sleep(Duration::from_millis(after)).await;
        let mut response = http::Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(name, value);
        }
        Ok(response.body("").unwrap().into())
    }
}

/// Whoever sleeps until a reset is an hour away wakes when another's denial tells of five seconds.
#[tokio::test(start_paused = true)]
async fn a_sleep_ends_when_an_answer_tells_of_a_shorter_wait() {
    let told = |left, reset| {
        vec![
            ("X-RateLimit-Limit", "9"),
            ("X-RateLimit-Remaining", left),
            ("X-RateLimit-Reset", reset),
        ]
    };
    let mut answers = vec![
        (0, 200, told("5", "3600")),
        (100, 200, told("0", "3600")),
        (200, 429, vec![("Retry-After", "5")]),
    ];
    answers.extend([(0, 200, told("8", "3600")), (0, 200, told("7", "3600"))]);
    let begun = Instant::now();
    let pacer = Pacer::builder().clock(TokioClock::new()).jitter(Jitter::seeded(1));
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(Polite::new(pacer.build()))
        .with(InTurn(Mutex::new(answers.into_iter())))
        .build();
    let get = |after| {
        let request = client.get("http://127.0.0.1/");
        async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            request.send().await.unwrap().status().as_u16()
        }
    };
    assert_eq!(get(0).await, 200);
    assert_eq!(tokio::join!(get(0), get(0), get(150)), (200, 200, 200));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// A port at which nobody listens, nor can while its connection is held: the near end's own. By
/// another address, or a connection from that very port might be one to itself.
fn refused() -> ([TcpStream; 2], String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    let url = format!("http://127.0.0.2:{}/", near.local_addr().unwrap().port());
    ([near, far], url)
}

/// A server that answers one connection with these words, and ends.
pub(crate) fn answers_once(words: String) -> (thread::JoinHandle<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let run = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut asked = Vec::new();
        let mut buffer = [0; 1024];
        while !asked.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer).unwrap() {
                0 => return,
                n => asked.extend_from_slice(&buffer[..n]),
            }
        }
        stream.write_all(words.as_bytes()).unwrap();
    };
    (thread::spawn(run), url)
}

/// Sends by a real client, through a pacer of one unit an hour: its error, and the next step.
async fn step_after(
    url: &str,
    redirects: bool,
    polite: impl FnOnce(Polite) -> Polite,
) -> (reqwest_middleware::Error, Step) {
    let pacer = Pacer::builder().quota("1/h".parse().unwrap()).build();
    let built = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    let policy = if redirects { Policy::limited(3) } else { Policy::none() };
    let client = ClientBuilder::new(built.redirect(policy).build().unwrap())
        .with(polite(Polite::new(pacer.clone())))
        .build();
    let error = client.get(url).send().await.unwrap_err();
    (error, pacer.call().step())
}

#[tokio::test]
async fn what_could_not_be_sent_is_not_counted() {
    let (_held, url) = refused();
    let (error, step) = step_after(&url, false, Polite::refund_unsent).await;
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(step, Step::Go);
    // Whoever does not say so has it counted.
    let (error, step) = step_after(&url, false, |polite| polite).await;
    assert!(error.is_connect() && matches!(step, Step::Wait(_)), "{error:?} {step:?}");
}

/// A connection that breaks, and one that is refused after a redirect: the server has counted.
#[tokio::test]
async fn what_may_have_arrived_stays_counted() {
    let (server, url) = answers_once(String::new());
    let (error, step) = step_after(&url, false, Polite::refund_unsent).await;
    assert!(!error.is_connect() && matches!(step, Step::Wait(_)), "{error:?} {step:?}");
    server.join().unwrap();

    let (_held, nobody) = refused();
    let words = format!(
        "HTTP/1.1 302 Found\r\nLocation: {nobody}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let (server, url) = answers_once(words);
    let (error, step) = step_after(&url, true, |polite| polite).await;
    server.join().unwrap();
    // It cannot be told by the error, which even names the first address.
    assert!(error.is_connect() && matches!(step, Step::Wait(_)), "{error:?} {step:?}");
    assert_eq!(error.url().map(reqwest::Url::as_str), Some(url.as_str()));
}

/// One that is behind another, and sends again: of what was answered once, the last try's error
/// tells nothing. Of what never was, it does.
#[tokio::test(start_paused = true)]
async fn a_middleware_behind_another_tells_it_what_was_answered() {
    /// Says 503 so often, and then sends to nobody.
    struct Unavailable(AtomicUsize);

    #[async_trait::async_trait]
    impl Middleware for Unavailable {
        async fn handle(
            &self,
            request: Request,
            extensions: &mut http::Extensions,
            next: Next<'_>,
        ) -> reqwest_middleware::Result<Response> {
            let one_less = |left: usize| left.checked_sub(1);
            if self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
                return next.run(request, extensions).await;
            }
            let answer = http::Response::builder().status(503).header("Retry-After", "1");
            Ok(answer.body("").unwrap().into())
        }
    }

    let (_held, nobody) = refused();
    for times in [0, 1, 2] {
        let pacer = |quota: &str| {
            let clock = TokioClock::new();
            Pacer::builder().clock(clock).quota(quota.parse().unwrap()).build()
        };
        let (outer, inner) = (pacer("1/h"), pacer("100/s"));
        let client = ClientBuilder::new(reqwest::Client::builder().no_proxy().build().unwrap())
            .with(Polite::new(outer.clone()).refund_unsent())
            .with(Polite::new(inner.clone()).refund_unsent())
            .with(Unavailable(AtomicUsize::new(times)))
            .build();
        let error = client.get(&nobody).send().await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        let counted = matches!(outer.call().step(), Step::Wait(_));
        assert_eq!(counted, times > 0, "{times} answers");
    }
}

/// Who waits for a call of another middleware is told of its end.
#[tokio::test(start_paused = true)]
async fn middlewares_that_share_a_pacer_wake_one_another() {
    let begun = Instant::now();
    let pacer = Pacer::builder().clock(TokioClock::new()).in_flight(1);
    let pacer = pacer.quota("1000/s".parse().unwrap()).build();
    let [a, b] = [(); 2].map(|()| {
        ClientBuilder::new(reqwest::Client::new())
            .with(Polite::new(pacer.clone()))
            .with(Script(|_, _| (200, "", 5), Mutex::default()))
            .build()
    });
    let a = sent(&a, http::Method::GET, "a", 0);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let b = sent(&b, http::Method::GET, "b", 0);
    assert_eq!((a.await.unwrap().0, b.await.unwrap().0), (200, 200));
    // To the millisecond of tokio's timer.
    assert!(begun.elapsed() <= Duration::from_millis(10_002), "{:?}", begun.elapsed());
}
