//! `Polite` against limits of so many at a time: a call's place until its response's body has ended.
//! tokio's time stands still but for sleeps, where there are no sockets.

use crate::middleware::answers_once;
use reqwest::{Body, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
    vec,
};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tollgate::{
    client::{Backoff, Jitter, Pacer, PacerBuilder, Polite, Step},
    wait::TokioClock,
};

const HOUR: Duration = Duration::from_secs(3600);

type Bytes = <Body as http_body::Body>::Data;
type Frame = http_body::Frame<Bytes>;

/// A body of one piece, which comes after a while, or else breaks then.
struct Slow {
    sleep: Pin<Box<Sleep>>,
    breaks: bool,
    over: bool,
    /// The server's count of what is under way, until this has ended.
    counted: Option<Counted>,
}

fn slow(after: Duration) -> Slow {
    Slow { sleep: Box::pin(sleep(after)), breaks: false, over: false, counted: None }
}

impl http_body::Body for Slow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        ready!(this.sleep.as_mut().poll(cx));
        (this.over, this.counted) = (true, None);
        Poll::Ready(Some(if this.breaks {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(Frame::data(Bytes::from_static(b"whole")))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.over && !self.breaks
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// So many at a time: a request counts until its body has been sent, which takes ten seconds, and
/// one more for each that was let in before.
#[derive(Default)]
struct AtATime {
    most: usize,
    open: Arc<AtomicUsize>,
    passed: AtomicUsize,
    denied: AtomicUsize,
}

#[async_trait::async_trait]
impl Middleware for AtATime {
    async fn handle(
        &self,
        _: Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let before = self.open.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(Arc::clone(&self.open));
        if before >= self.most {
            self.denied.fetch_add(1, Ordering::SeqCst);
            let denial = http::Response::builder().status(429).header("Retry-After", "1");
            return Ok(denial.body("").unwrap().into());
        }
        let nth = self.passed.fetch_add(1, Ordering::SeqCst) as u64;
        let body = Slow { counted: Some(counted), ..slow(Duration::from_secs(10 + nth)) };
        Ok(http::Response::new(Body::wrap(body)).into())
    }
}

/// Answers in the order of asking.
struct InTurn(Mutex<vec::IntoIter<http::Response<Body>>>);

#[async_trait::async_trait]
impl Middleware for InTurn {
    async fn handle(
        &self,
        _: Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        Ok(self.0.lock().unwrap().next().unwrap().into())
    }
}

fn answer(status: u16, fields: &[(&str, &str)], body: impl Into<Body>) -> http::Response<Body> {
    let built = http::Response::builder().status(status);
    let built = fields.iter().fold(built, |built, (name, value)| built.header(*name, *value));
    built.body(body.into()).unwrap()
}

fn told(left: &str) -> [(&str, &str); 3] {
    [("X-RateLimit-Limit", "9"), ("X-RateLimit-Remaining", left), ("X-RateLimit-Reset", "3600")]
}

fn pacer(built: impl FnOnce(PacerBuilder) -> PacerBuilder) -> Pacer<TokioClock> {
    built(Pacer::builder()).jitter(Jitter::seeded(1)).clock(TokioClock::new()).build()
}

fn in_turn(
    pacer: &Pacer<TokioClock>,
    answers: impl Into<Vec<http::Response<Body>>>,
) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(Polite::new(pacer.clone()).until_body_ends())
        .with(InTurn(Mutex::new(answers.into().into_iter())))
        .build()
}

async fn get(client: &ClientWithMiddleware) -> Response {
    let sent = timeout(2 * HOUR, client.get("http://localhost/").send()).await;
    sent.expect("it hangs").unwrap()
}

#[tokio::test(start_paused = true)]
async fn so_many_at_a_time_are_kept_until_bodies_have_ended() {
    for (most, until_body_ends, ends) in
        [(1, true, [10, 21, 33, 46]), (2, true, [10, 11, 22, 24]), (1, false, [0; 4])]
    {
        let pacer = pacer(|built| built.quota("1000/s".parse().unwrap()).in_flight(most));
        let polite = Polite::new(pacer);
        let polite = if until_body_ends { polite.until_body_ends() } else { polite };
        let server = Arc::new(AtATime { most, ..AtATime::default() });
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(polite)
            .with_arc(Arc::clone(&server) as Arc<dyn Middleware>)
            .build();
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let client = client.clone();
            tasks.spawn(async move {
                let answer = get(&client).await;
                let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
                (status, text, begun.elapsed().as_secs())
            });
        }
        let mut all = Vec::new();
        while let Some(task) = tasks.join_next().await {
            all.push(task.unwrap());
        }
        let denied = server.denied.load(Ordering::SeqCst);
        if until_body_ends {
            // Each went as soon as there was a place.
            let expected = ends.map(|secs| (200, "whole".to_owned(), secs));
            assert_eq!((denied, all), (0, expected.to_vec()));
        } else {
            // What the option is for.
            assert!(denied > 0);
        }
    }
}

/// Limits are known from the head; the body takes a place, and none of the units that are left.
#[tokio::test(start_paused = true)]
async fn what_the_head_says_is_heard_while_the_body_comes() {
    let pacer = pacer(|built| built.in_flight(2));
    let client = in_turn(
        &pacer,
        [("1", 200), ("0", 200)].map(|(left, status)| {
            let body = Body::wrap(slow(Duration::from_secs(10)));
            answer(status, &told(left), body)
        }),
    );
    let first = get(&client).await;
    assert_eq!(pacer.in_flight(), 1);
    // One is left, and may go at once, beside the first one's body.
    let begun = Instant::now();
    let second = get(&client).await;
    assert_eq!((pacer.in_flight(), begun.elapsed()), (2, Duration::ZERO));
    assert!(matches!(pacer.call().step(), Step::Wait(wait) if wait > HOUR / 2));
    assert_eq!(first.text().await.unwrap(), "whole");
    assert_eq!(pacer.in_flight(), 1);
    // Dropped in the midst of it.
    drop(second);
    assert_eq!(pacer.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_up_however_the_body_ends() {
    let pacer = pacer(|built| built.quota("1000/s".parse().unwrap()).in_flight(1));
    let breaks = Slow { breaks: true, ..slow(Duration::from_secs(1)) };
    let bodies = ["".into(), "whole".into(), Body::wrap(breaks), "none reads it".into()];
    let client = in_turn(&pacer, bodies.map(|body| answer(200, &[], body)));
    // There is none.
    let response = get(&client).await;
    assert_eq!(pacer.in_flight(), 0);
    drop(response);
    // Its last byte has come: nobody need ask for more.
    let mut response = get(&client).await;
    assert_eq!((response.content_length(), pacer.in_flight()), (Some(5), 1));
    assert_eq!(response.chunk().await.unwrap().as_deref(), Some(b"whole".as_slice()));
    assert_eq!(pacer.in_flight(), 0);
    drop(response);
    // It breaks.
    let mut response = get(&client).await;
    assert_eq!(pacer.in_flight(), 1);
    assert!(response.chunk().await.is_err());
    assert_eq!(pacer.in_flight(), 0);
    drop(response);
    // Nobody may go meanwhile.
    let response = get(&client).await;
    assert_eq!(pacer.call().step(), Step::Busy);
    drop(response);
    assert_eq!(pacer.call().step(), Step::Go);
}

/// A denial that is kept while its call waits has no place, nor has one that is handed on.
#[tokio::test(start_paused = true)]
async fn a_denial_has_no_place() {
    let hasty = Backoff::doubling().total(Duration::from_secs(30));
    let pacer = pacer(|built| built.backoff(hasty).in_flight(1));
    let endless = || Body::wrap(slow(1000 * HOUR));
    let answers = [
        answer(429, &[("Retry-After", "5")], endless()),
        answer(200, &[], "at last"),
        answer(429, &[("Retry-After", "100")], endless()),
        answer(200, &[], endless()),
    ];
    let client = in_turn(&pacer, answers);
    let waits = tokio::spawn({
        let client = client.clone();
        async move { get(&client).await.text().await.unwrap() }
    });
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pacer.in_flight(), 0);
    assert_eq!(waits.await.unwrap(), "at last");
    // It would take too long: the caller has it, and goes on with it in hand.
    let denied = get(&client).await;
    assert_eq!((denied.status().as_u16(), pacer.in_flight()), (429, 0));
    let response = get(&client).await;
    assert_eq!((response.status().as_u16(), pacer.in_flight()), (200, 1));
}

/// Over a real connection: the response is what it is without the option.
#[tokio::test]
async fn the_response_is_what_it_was() {
    let mut both = Vec::new();
    for until_body_ends in [true, false] {
        let (server, url) = answers_once(
            "HTTP/1.1 203 Well\r\nX-A: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole"
                .to_owned(),
        );
        let pacer = Pacer::new();
        let polite = Polite::new(pacer.clone());
        let polite = if until_body_ends { polite.until_body_ends() } else { polite };
        let built = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60));
        let client = ClientBuilder::new(built.build().unwrap()).with(polite).build();
        let response = client.get(format!("{url}a?b=c")).send().await.unwrap();
        let address = response.remote_addr().unwrap().to_string();
        assert_eq!(response.url().as_str(), format!("http://{address}/a?b=c"));
        let extensions = response.extensions().len();
        let seen = (response.status(), response.version(), response.headers().clone());
        let length = response.content_length();
        both.push((seen, length, extensions, response.text().await.unwrap()));
        server.join().unwrap();
        assert_eq!(pacer.in_flight(), 0);
    }
    assert_eq!(both[0], both[1]);
    assert_eq!((both[0].1, both[0].3.as_str()), (Some(5), "whole"));
}
