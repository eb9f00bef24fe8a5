//! The pacer as a middleware of reqwest.

use super::{Answered, Call, Pacer};
use crate::time::{Clock, MonotonicClock};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::{fmt, time::SystemTime};
use tokio::sync::Mutex;

/// Sends what `reqwest` is given as a [`Pacer`] says, and again after a 429.
///
/// Callers go in the order in which they came; one that was denied waits as it was told, and
/// then comes last. Whoever cannot be sent again within the total of its schedule gets its 429.
/// So does a request whose body is a stream, as it cannot be sent twice; and after a 503 with
/// `Retry-After`, which may come from a proxy while the server has done its work, whatever is
/// not idempotent gets that. Sleeps are tokio's.
///
/// An error of transport is the caller's, who decides whether to try again; and the request counts, for
/// it may have arrived. Where it surely did not, say so by
/// [`refund_unsent`](Self::refund_unsent).
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
    refund_unsent: bool,
}

/// Among the extensions of a request: a `Polite` has had an answer to it.
#[derive(Clone, Copy)]
struct HadAnAnswer;

impl<C: Clock> Polite<C> {
    /// Goes by this pacer. One of them may stand behind several middlewares; the order of
    /// callers is then each one's own.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tollgate::client::{Pacer, Polite};
    ///
    /// let pacer = Pacer::builder().in_flight(4).build();
    /// let polite = Arc::new(Polite::new(pacer.clone())); // for `ClientBuilder::with_arc`
    /// assert_eq!(pacer.in_flight(), 0);
    /// # let _ = polite;
    /// ```
    pub fn new(pacer: Pacer<C>) -> Self {
        Self { pacer, turn: Mutex::new(()), refund_unsent: false }
    }

    /// Takes a request whose connection did not come about (refused, no such name, no handshake) for
    /// [not sent](Call::not_sent), so that it is not counted. This is for clients that follow no
    /// redirects, as below, and have no retries beyond reqwest's own; nor may a middleware behind
    /// this one send again, or send requests of its own (to log in, say), and hand on their errors.
    /// Another `Polite` may stand there.
    ///
    /// Of other clients nobody can tell: after a redirect, a connection that is refused is that of the
    /// second request, of two of which the first was answered and counted, and the error is the same.
    ///
    /// ```
    /// use reqwest_middleware::ClientBuilder;
    /// use tollgate::client::{Pacer, Polite};
    ///
    /// let pacer = Pacer::builder().quota("10/s".parse()?).build();
    /// let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    /// let polite = Polite::new(pacer).refund_unsent();
    /// let client = ClientBuilder::new(client).with(polite).build();
    /// # let _ = client;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn refund_unsent(mut self) -> Self {
        self.refund_unsent = true;
        self
    }

    fn was_not_sent(&self, error: &Error, extensions: &Extensions) -> bool {
        // A middleware's own error, and that of a `Polite` behind this one which has had an
        // answer, may be of a request that was sent twice.
        self.refund_unsent
            && matches!(error, Error::Reqwest(error) if error.is_connect())
            && extensions.get::<HadAnAnswer>().is_none()
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
        call.until_ready(tokio::time::sleep).await.is_ok()
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
        let mut call = self.pacer.call();
        let (mut request, mut denied) = (request, None);
        loop {
            let goes = self.go(&mut call).await;
            // There is none before a denial, and none is given up.
            if let Some(denied) = denied.take().filter(|_| !goes) {
                return Ok(denied);
            }
            let again = request.try_clone();
            let twice = request.method().is_idempotent();
            let before = extensions.remove::<HadAnAnswer>();
            let sent = next.clone().run(request, extensions).await;
            if sent.as_ref().is_err_and(|error| self.was_not_sent(error, extensions)) {
                call.not_sent();
            }
            if before.is_some() {
                extensions.insert(HadAnAnswer);
            }
            let response = sent?;
            extensions.insert(HadAnAnswer);
            let status = response.status().as_u16();
            let answered = call.answered(status, response.headers(), SystemTime::now());
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
