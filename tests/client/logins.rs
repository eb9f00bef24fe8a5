//! A middleware that logs in through the pacer of what it is for, outside of `Polite`: nothing is in
//! flight while it waits for its login. tokio's time stands still but for sleeps.

use http::{HeaderValue, StatusCode, header};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tollgate::{
    client::{Access, Jitter, Pacer, Polite, TokenHolder},
    wait::TokioClock,
};

/// The whole of it takes less than a minute; no more than that would be a hang.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A login may take so long.
const LONGEST_LOGIN: Duration = Duration::from_secs(30);

struct Authentication {
    /// Which knows of no token.
    client: ClientWithMiddleware,
    tokens: TokenHolder<HeaderValue, TokioClock>,
}

impl Authentication {
    async fn token(&self) -> reqwest_middleware::Result<HeaderValue> {
        loop {
            match self.tokens.ask() {
                Access::Use(token) => return Ok(token),
                Access::Renew(renewal) => {
                    let login = self.client.post("http://localhost/login").send();
                    // Dropped or failed, it passes to the next one who asks.
                    let sent = timeout(LONGEST_LOGIN, login).await;
                    let answer = sent.map_err(reqwest_middleware::Error::middleware)??;
                    let token = HeaderValue::from_maybe_shared(answer.bytes().await?).unwrap();
                    renewal.done(token, Duration::from_secs(3600));
                }
                Access::Wait(Some(time)) => sleep(time).await,
                Access::Wait(None) => self.tokens.until_renewed().await,
            }
        }
    }
}

#[async_trait::async_trait]
impl Middleware for Authentication {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let token = self.token().await?;
        request.headers_mut().insert(header::AUTHORIZATION, token);
        next.run(request, extensions).await
    }
}

/// Takes a second for each, and lets in whoever has logged in.
#[derive(Default)]
struct Server {
    logins: AtomicUsize,
}

#[async_trait::async_trait]
impl Middleware for Server {
    async fn handle(
        &self,
        request: Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        sleep(Duration::from_secs(1)).await;
        if request.url().path() == "/login" {
            self.logins.fetch_add(1, Ordering::SeqCst);
            return Ok(http::Response::new("a token").into());
        }
        let known = request.headers().get(header::AUTHORIZATION);
        let known = known.is_some_and(|token| token == "a token");
        let status = if known { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        Ok(http::Response::builder().status(status).body("").unwrap().into())
    }
}

#[tokio::test(start_paused = true)]
async fn who_logs_in_outside_waits_for_no_place_that_it_holds() {
    // Nothing is known, so that one goes first, alone; and one at a time.
    for most in [16, 1] {
        let clock = TokioClock::new();
        let pacer = Pacer::builder().in_flight(most).jitter(Jitter::seeded(1)).clock(clock).build();
        let server = Arc::new(Server::default());
        let sends = |built: ClientBuilder| {
            built.with_arc(Arc::clone(&server) as Arc<dyn Middleware>).build()
        };
        let logins = ClientBuilder::new(reqwest::Client::new()).with(Polite::new(pacer.clone()));
        let tokens = TokenHolder::with_clock(clock);
        let authentication = Authentication { client: sends(logins), tokens };
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(authentication)
            .with(Polite::new(pacer));
        let client = sends(client);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let request = client.get("http://localhost/").send();
            tasks.spawn(timeout(PATIENCE, request));
        }
        while let Some(task) = tasks.join_next().await {
            let answer = task.unwrap().expect("it hangs").unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
        assert_eq!(server.logins.load(Ordering::SeqCst), 1);
    }
}
