//! The pacer as a middleware of reqwest.

use super::{Answered, Call, Pacer, Step};
use crate::time::{Clock, MonotonicClock};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};
use std::{
    fmt,
    time::{Duration, SystemTime},
};
use tokio::sync::{Mutex, Notify};

/// How often a busy pacer is asked again, unless a call of this middleware ends.
const POLL: Duration = Duration::from_millis(100);

/// Sends what `reqwest` is given as a [`Pacer`] says, and again after a 429.
///
/// Callers go in the order in which they came; one that was denied waits as it was told, and
/// then comes last. Whoever cannot be sent again within the total of its schedule gets its 429.
/// So does a request whose body is a stream, as it cannot be sent twice; and after a 503 with
/// `Retry-After`, which may come from a proxy while the server has done its work, whatever is
/// not idempotent gets that. Sleeps are tokio's.
///
/// ```
/// use reqwest_middleware::ClientBuilder;
/// use tollgate::client::{Pacer, Polite};
///
/// let pacer = Pacer::builder().quota("10/s".parse()?).build();
/// let client = ClientBuilder::new(reqwest::Client::new()).with(Polite::new(pacer)).build();
/// // client.get("https://api.example.com/v1/items").send().await?
/// # let _ = client;
/// # Ok::<(), tollgate::QuotaError>(())
/// ```
pub struct Polite<C = MonotonicClock> {
    pacer: Pacer<C>,
    /// Whoever holds it is the next to go.
    turn: Mutex<()>,
    ended: Notify,
}

impl<C: Clock> Polite<C> {
    /// Goes by this pacer. One of them may stand behind several middlewares; the order of
    /// callers is then each one's own.
    pub fn new(pacer: Pacer<C>) -> Self {
        Self { pacer, turn: Mutex::new(()), ended: Notify::new() }
    }

    /// Whether it may be sent; else it has taken too long.
    async fn go(&self, call: &mut Call<C>) -> bool {
        // Others go meanwhile.
        while let Some(wait) = call.own_wait() {
            tokio::time::sleep(wait).await;
        }
        let patience = call.patience();
        let Ok(_turn) = tokio::time::timeout(patience, self.turn.lock()).await else {
            return false;
        };
        loop {
            match call.step() {
                Step::Go => return true,
                Step::GiveUp => return false,
                Step::Wait(time) => tokio::time::sleep(time).await,
                // Another middleware's calls may end, which nobody tells us of.
                Step::Busy => {
                    let patience = call.patience().min(POLL);
                    _ = tokio::time::timeout(patience, self.ended.notified()).await;
                }
            }
        }
    }
}

/// Tells whoever waits, when a call ends in whatever way.
struct Ending<'a, C: Clock> {
    call: Call<C>,
    ended: &'a Notify,
}

impl<C: Clock> Drop for Ending<'_, C> {
    fn drop(&mut self) {
        self.call.end();
        self.ended.notify_one();
    }
}

#[async_trait::async_trait]
impl<C: Clock + 'static> Middleware for Polite<C> {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let mut one = Ending { call: self.pacer.call(), ended: &self.ended };
        let (mut request, mut denied) = (request, None);
        loop {
            let goes = self.go(&mut one.call).await;
            // There is none before a denial, and none is given up.
            if let Some(denied) = denied.take().filter(|_| !goes) {
                return Ok(denied);
            }
            let again = request.try_clone();
            let twice = request.method().is_idempotent();
            let response = next.clone().run(request, extensions).await?;
            let status = response.status().as_u16();
            let answered = one.call.answered(status, response.headers(), SystemTime::now());
            self.ended.notify_one();
            match again {
                Some(again) if answered == Answered::Again && (twice || status == 429) => {
                    (request, denied) = (again, Some(response));
                }
                _ => return Ok(response),
            }
        }
    }
}

impl<C> fmt::Debug for Polite<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polite").field("pacer", &self.pacer).finish_non_exhaustive()
    }
}
