//! [`Limit`]: a service with limits before it.

use super::{
    body::{Guard, LimitBody},
    extract::Head,
    gate::{Denial, Gate, Said},
    grpc,
    layer::Options,
};
use crate::decision::Outcome;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower_service::Service;

/// A service with a [layer](super::LimitLayer) before it.
///
/// It is ready when the service is. A request is decided when it is called, and one that is
/// denied does not reach the service, which stays ready for the next: so the service
/// that was asked whether it is ready is the one that is called, and need not be cloned.
///
/// ```
/// use tollgate::{KeyedLimiter, tower::{Limit, LimitLayer, LimiterGate, peer}};
/// use tower_layer::Layer;
///
/// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
/// # struct MyService;
/// let service: Limit<MyService, _> = LimitLayer::limiter(limiter, peer()).layer(MyService);
/// let MyService = service.into_inner();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Limit<S, G> {
    inner: S,
    gate: Arc<G>,
    options: Arc<Options>,
}

impl<S: Clone, G> Clone for Limit<S, G> {
    fn clone(&self) -> Self {
        let (gate, options) = (self.gate.clone(), self.options.clone());
        Self { inner: self.inner.clone(), gate, options }
    }
}

impl<S, G> Limit<S, G> {
    pub(super) fn new(inner: S, gate: Arc<G>, options: Arc<Options>) -> Self {
        Self { inner, gate, options }
    }

    /// The service itself.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, G, In, Out> Service<Request<In>> for Limit<S, G>
where
    S: Service<Request<In>, Response = Response<Out>>,
    G: Gate,
    Out: Body,
    Out::Data: From<Vec<u8>>,
{
    type Response = Response<LimitBody<Out>>;
    type Error = S::Error;
    type Future = Limited<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let (gate, options) = (&self.gate, &self.options);
        let head = Head::of(&request);
        let said = gate.decide(&head, &mut |decided| {
            let mut decided = *decided;
            let lacks = matches!(decided.why, super::Why::Missing(_));
            decided.passes_anyway = decided.outcome != Outcome::Allowed
                && (options.shadow || (lacks && options.fail_open));
            for hook in &options.hooks {
                hook(&decided);
            }
        });
        let (denial, passed) = match said {
            Said::Pass(passed) => (None, Some(passed)),
            Said::Deny(denial) => (Some(denial).filter(|_| !options.shadow), None),
            Said::Lacking(denial) => {
                (Some(denial).filter(|_| !options.shadow && !options.fail_open), None)
            }
        };
        if let Some(denial) = denial {
            let grpc = grpc::is_grpc(request.headers());
            return Limited { inner: None, denial: Some((denial, grpc)), guard: None };
        }
        let guard = passed.map(|passed| Guard::new(passed, options.clone()));
        // Should the service panic, the guard goes with the stack.
        let inner = self.inner.call(request);
        Limited { inner: Some(inner), denial: None, guard: guard.map(|g| (g, options.clone())) }
    }
}

impl<S: fmt::Debug, G: fmt::Debug> fmt::Debug for Limit<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer of a [`Limit`]. Dropping it ends what its request holds.
    pub struct Limited<F> {
        #[pin]
        inner: Option<F>,
        denial: Option<(Denial, bool)>,
        guard: Option<(Guard, Arc<Options>)>,
    }
}

impl<F, Out, E> Future for Limited<F>
where
    F: Future<Output = Result<Response<Out>, E>>,
{
    type Output = Result<Response<LimitBody<Out>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            // Polled once too often, it waits for ever.
            let (denial, grpc) = ready!(this.denial.take().map_or(Poll::Pending, Poll::Ready));
            return Poll::Ready(Ok(answer(denial, grpc)));
        };
        let answer = ready!(inner.poll(cx));
        let guard = this.guard.take();
        Poll::Ready(match answer {
            Ok(answer) => Ok(finish(answer, guard)),
            Err(error) => {
                if let Some((mut guard, options)) = guard
                    && options.refund_errors
                {
                    guard.held().refund();
                }
                Err(error)
            }
        })
    }
}

/// The service's answer, settled for and with its header fields.
fn finish<B>(answer: Response<B>, guard: Option<(Guard, Arc<Options>)>) -> Response<LimitBody<B>> {
    let (mut parts, body) = answer.into_parts();
    let Some((mut guard, options)) = guard else {
        return Response::from_parts(parts, LimitBody::of(body, None));
    };
    let failed = options.refund_errors && parts.status.is_server_error();
    if failed || options.refund.as_ref().is_some_and(|judge| judge(&parts)) {
        guard.held().refund();
    } else {
        for (dimension, measure) in &options.settle {
            if let Some(units) = measure(&parts) {
                guard.held().settle(dimension, units);
            }
        }
        guard.count();
    }
    if !options.shadow {
        guard.held().fields(&mut parts.headers);
    }
    Response::from_parts(parts, LimitBody::of(body, Some(guard)))
}

fn answer<B>(denial: Denial, grpc: bool) -> Response<LimitBody<B>> {
    if grpc {
        return grpc::answer(denial).map(|()| LimitBody::denial(None));
    }
    let mut answer = Response::new(LimitBody::denial(denial.body));
    *answer.status_mut() = denial.status;
    *answer.headers_mut() = denial.fields;
    answer
}

impl<F> fmt::Debug for Limited<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").field("denied", &self.inner.is_none()).finish_non_exhaustive()
    }
}
