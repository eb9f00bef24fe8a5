//! The pacer as a middleware of reqwest.

use super::{Answered, Call, Pacer, pacer::Place};
use crate::time::{Clock, MonotonicClock};
use http::Extensions;
use http_body::{Body as _, Frame, SizeHint};
use reqwest::{Body, Request, Response, ResponseBuilderExt as _};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::SystemTime,
};
use tokio::sync::Mutex;

/// Sends what `reqwest` is given as a [`Pacer`] says, and again after a 429.
///
/// Callers go in the order in which they came; one that was denied waits as it was told, and
/// then comes last. Whoever cannot be sent again within the total of its schedule gets its 429.
/// So does a request whose body is a stream, as it cannot be sent twice; and after a 503 with
/// `Retry-After`, which may come from a proxy while the server has done its work, whatever is
/// not idempotent gets that. Sleeps are tokio's.
///
/// `.send()` takes as long as the limits have it: to wait for what an answer told, up to the pacer's
/// [longest wait](crate::client::PacerBuilder::longest_wait), an hour unless given, then for those who came
/// before, and for a configured quota without a bound. Before its first denial a call has no deadline,
/// after it the [total](crate::client::Backoff::total) of its schedule, and reqwest's own timeouts
/// begin when it is sent. For a deadline of yours put `tokio::time::timeout` around `.send()`.
///
/// All that one client sends goes by its pacer: of several hosts, one's 429 holds the requests to all. So
/// build a client for each API.
///
/// No middleware behind this one may send through the same pacer (a login, say, before what it was
/// given): its request waits for a place, which the one that it is for holds. While one alone may be in
/// flight, or once all who are wait for that login, it waits for ever. So put authentication outside:
/// `.with(authentication).with(polite)`, in this order, or let it log in through another pacer.
///
/// A `.send()` that was polled once is to be polled on, or dropped: whoever comes after it waits until it
/// has gone, and while one alone may be in flight until it is answered. So a task that leaves one pinned
/// and unpolled (an arm that `select!` went past, futures of `buffered` while their stream's loop awaits
/// something else) and sends another one meanwhile waits for itself, for ever: spawn one of the two.
///
/// A call is in flight until the head of its answer is there, unless it is told [to hold its place
/// until the body has ended](Self::until_body_ends): against a limit of so many at a time it is to be.
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
    until_body_ends: bool,
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
        Self { pacer, turn: Mutex::new(()), refund_unsent: false, until_body_ends: false }
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

    /// A call keeps its place in flight until its response's body has ended or was dropped. What the head
    /// tells of limits and denials is heard at once.
    ///
    /// This is for limits of so many *at a time*, by which a server counts a request until its body's
    /// end: without it the next call goes as soon as the head is there. Then read each body or drop its
    /// response: whoever holds as many unread responses as may be [in
    /// flight](crate::client::PacerBuilder::in_flight) and sends another one waits for itself, for
    /// ever. After a denial one call goes alone: once all bodies that are open have ended, however long
    /// they take. So it is not for bodies without an end. Denials hold no place, nor do upgraded
    /// connections.
    ///
    /// The response is what it was (version, address, remote address, extensions, length); of an error
    /// in the midst of its body the sources lie deeper.
    ///
    /// ```
    /// use reqwest_middleware::ClientBuilder;
    /// use tollgate::client::{Pacer, Polite};
    ///
    /// let pacer = Pacer::builder().in_flight(2).build(); // "two downloads at a time"
    /// let polite = Polite::new(pacer).until_body_ends();
    /// let client = ClientBuilder::new(reqwest::Client::new()).with(polite).build();
    /// # let _ = client;
    /// ```
    #[must_use]
    pub fn until_body_ends(mut self) -> Self {
        self.until_body_ends = true;
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
            let place = self.until_body_ends.then(|| self.pacer.place());
            let answered = call.answered(status, response.headers(), SystemTime::now());
            match again {
                Some(again) if answered == Answered::Again && (twice || status == 429) => {
                    (request, denied) = (again, Some(response));
                }
                _ => {
                    // A denial holds none: nothing of it was begun.
                    return Ok(match place.filter(|_| answered == Answered::Done) {
                        Some(place) => holding(place, response),
                        None => response,
                    });
                }
            }
        }
    }
}

impl<C> fmt::Debug for Polite<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polite").field("pacer", &self.pacer).finish_non_exhaustive()
    }
}

/// The same response, which gives up the place when its body has ended or is dropped.
fn holding<C: Clock + 'static>(place: Place<C>, response: Response) -> Response {
    // The address is the one thing that the conversion leaves out.
    let url = http::Response::builder().url(response.url().clone()).body(());
    let (mut parts, body) = http::Response::from(response).into_parts();
    parts.extensions.extend(url.map(|url| url.into_parts().0.extensions).unwrap_or_default());
    let place = (!body.is_end_stream()).then_some(place);
    http::Response::from_parts(parts, Body::wrap(Holding { body, place })).into()
}

struct Holding<C: Clock> {
    body: Body,
    place: Option<Place<C>>,
}

// Nothing here is pinned by being in it.
impl<C: Clock> Unpin for Holding<C> {}

impl<C: Clock> http_body::Body for Holding<C> {
    type Data = <Body as http_body::Body>::Data;
    type Error = reqwest::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Self::Data>, reqwest::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        // Nothing comes after an error; and who knows the length asks no more after its last byte.
        if !matches!(frame, Some(Ok(_))) || this.body.is_end_stream() {
            this.place = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
