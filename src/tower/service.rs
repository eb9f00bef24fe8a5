//! [`Limit`]: a service with limits before it.

use super::{
    body::{Guard, LimitBody},
    extract::Head,
    gate::{Denial, Fields, Gate, Observe, Passed, Said, Wanted},
    grpc,
    held::{Held, Renewing},
    layer::{Grpc, Options},
    observe::Decided,
};
use crate::decision::Outcome;
use http::{HeaderMap, Request, Response, response::Parts};
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
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, tower::{LimitLayer, peer}};
    /// # use tower_layer::Layer;
    /// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
    /// let limited = LimitLayer::limiter(limiter, peer()).layer("a service");
    /// assert_eq!(limited.into_inner(), "a service");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let (gate, options) = (&self.gate, &self.options);
        let head = Head::of(&request);
        let wanted = Wanted { fields: !options.shadow, charge: options.corrects() };
        let mut tell = |decided: &Decided<'_>| {
            let mut decided = *decided;
            let lacks = matches!(decided.why, super::Why::Missing(_));
            decided.passes_anyway = decided.outcome != Outcome::Allowed
                && (options.shadow || (lacks && options.fail_open));
            for hook in &options.hooks {
                hook(&decided);
            }
        };
        // Unless there are hooks, nothing is worked out for them.
        let observe: Observe<'_> = if options.hooks.is_empty() { None } else { Some(&mut tell) };
        let mut passed = Passed::default();
        let denial = match gate.decide(&head, wanted, observe, &mut passed) {
            Said::Pass => None,
            Said::Deny(denial) => Some(denial).filter(|_| !options.shadow),
            Said::Lacking(denial) => Some(denial).filter(|_| !options.shadow && !options.fail_open),
        };
        if let Some(denial) = denial {
            let grpc = options.grpc == Grpc::Served && grpc::is_grpc(request.headers());
            return Limited { state: State::Denied { denial: Some((denial, grpc)) } };
        }
        let leases = passed.leases.take().map(|leases| {
            Held::put(request.extensions_mut(), leases.clone());
            Renewing::new(leases)
        });
        let guard = Guard::new(passed.charged.take(), leases, options);
        // Should the service panic, the guard goes with the stack.
        let inner = self.inner.call(request);
        Limited { state: State::Passed { inner, fields: passed.fields, guard } }
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
    ///
    /// A denial is there at once, whatever the service is like:
    ///
    /// ```
    /// # use http::{Request, Response};
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # use tollgate::{KeyedLimiter, tower::{LimitLayer, header}};
    /// # use {tower::service_fn, tower_layer::Layer, tower_service::Service};
    /// let never = |_| std::future::pending::<Result<Response<String>, std::io::Error>>();
    /// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
    /// let mut service = LimitLayer::limiter(limiter, header("x-key")).layer(service_fn(never));
    /// let mut no_key = pin!(service.call(Request::new(())));
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(matches!(no_key.as_mut().poll(&mut cx), Poll::Ready(Ok(a)) if a.status() == 403));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct Limited<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Polled]
    enum State<F> {
        Passed {
            #[pin]
            inner: F,
            fields: Fields,
            guard: Option<Guard>,
        },
        /// With whether it is answered as gRPC has it.
        Denied { denial: Option<(Box<Denial>, bool)> },
    }
}

impl<F, Out, E> Future for Limited<F>
where
    F: Future<Output = Result<Response<Out>, E>>,
{
    type Output = Result<Response<LimitBody<Out>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, fields, guard) = match self.project().state.project() {
            Polled::Passed { inner, fields, guard } => (inner, fields, guard),
            Polled::Denied { denial } => {
                // Polled once too often, it waits for ever.
                let (denial, grpc) = ready!(denial.take().map_or(Poll::Pending, Poll::Ready));
                return Poll::Ready(Ok(answer(*denial, grpc)));
            }
        };
        if let Some(guard) = guard {
            guard.polled();
        }
        let answer = ready!(inner.poll(cx));
        let mut guard = guard.take();
        Poll::Ready(match answer {
            Ok(answer) => Ok(finish(answer, fields, guard)),
            Err(error) => {
                if let Some((charged, options)) = guard.as_mut().and_then(Guard::charge)
                    && options.refund_errors
                {
                    charged.refund();
                }
                Err(error)
            }
        })
    }
}

/// The service's answer, settled for and with its header fields.
fn finish<B>(
    mut answer: Response<B>,
    fields: &mut Fields,
    mut guard: Option<Guard>,
) -> Response<LimitBody<B>> {
    // A denial by a layer inside is no failure, whatever its status.
    let denied = answer.extensions().get::<Denied>().is_some();
    // Who was nearest to the service has told already.
    let told = denied || answer.extensions().get::<FieldsWritten>().is_some();
    let mut corrected = false;
    if let Some(guard) = guard.as_mut().filter(|guard| guard.is_charged()) {
        let (parts, body) = answer.into_parts();
        corrected = correct(guard, &parts, denied);
        answer = Response::from_parts(parts, body);
    }
    if !told && write(fields, guard.as_mut().filter(|_| corrected), answer.headers_mut()) {
        answer.extensions_mut().insert(FieldsWritten);
    }
    answer.map(|body| LimitBody::of(body, guard))
}

/// Gives back or settles what the request was charged, if its answer asks for it: whether its
/// header fields may be others now.
fn correct(guard: &mut Guard, answer: &Parts, denied: bool) -> bool {
    let Some((charged, options)) = guard.charge() else { return false };
    let failed = options.refund_errors && answer.status.is_server_error() && !denied;
    if failed || options.refund.as_ref().is_some_and(|judge| judge(answer)) {
        charged.refund();
        return true;
    }
    let mut corrected = false;
    for (dimension, measure) in &options.settle {
        if let Some(units) = measure(answer) {
            charged.settle(dimension, units);
            corrected = true;
        }
    }
    guard.count();
    corrected
}

/// Sets the fields, in place of the service's own: those of the decision, or of what is
/// charged now. Whether there are any.
fn write(fields: &mut Fields, corrected: Option<&mut Guard>, into: &mut HeaderMap) -> bool {
    if let Some((charged, options)) = corrected.and_then(Guard::charge) {
        return !options.shadow && charged.fields(into);
    }
    if fields.is_empty() {
        return false;
    }
    for (name, value) in fields.drain(..) {
        into.insert(name, value);
    }
    true
}

fn answer<B>(denial: Denial, grpc: bool) -> Response<LimitBody<B>> {
    let mut answer = if grpc {
        grpc::answer(denial).map(|()| LimitBody::denial(None))
    } else {
        let Denial { status, fields, body, .. } = denial;
        let mut answer = Response::new(LimitBody::denial(body));
        *answer.status_mut() = status;
        *answer.headers_mut() = fields;
        answer
    };
    answer.extensions_mut().insert(Denied(()));
    answer
}

/// Among the extensions of an answer: it is a layer's denial, and no service's.
///
/// A layer outside leaves its status, fields and body as they are, and what it charged
/// itself stays charged, unless it is told to [give it back](super::LimitLayer::refund_if).
///
/// ```
/// # use http::{Request, Response};
/// # use tollgate::{KeyedLimiter, tower::{Denied, LimitLayer, header}};
/// # use tower::{Service, ServiceExt, service_fn};
/// # use tower_layer::Layer;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let handler = service_fn(|_| async { Ok::<_, std::io::Error>(Response::new("hello".to_owned())) });
/// # let request = || Request::get("/").header("x-org", "acme").header("x-user", "ann").body(());
/// let outer = KeyedLimiter::gcra("2/min".parse()?).try_build()?;
/// let inner = KeyedLimiter::gcra("1/min".parse()?).try_build()?;
/// let outer = LimitLayer::limiter(outer, header("x-org"))
///     .refund_if(|answer| answer.extensions.get::<Denied>().is_some());
/// let inner = LimitLayer::limiter(inner, header("x-user"));
/// let mut service = outer.layer(inner.layer(handler));
/// for denied in [false, true, true, true] {
///     let answer = service.ready().await?.call(request()?).await?;
///     assert_eq!(answer.extensions().get::<Denied>().is_some(), denied);
///     // It is the inner one who tells.
///     assert_eq!(answer.headers()["x-ratelimit-limit"], "1");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Denied(());

/// The same of an answer that is the service's: a layer has written fields.
#[derive(Clone, Copy)]
struct FieldsWritten;

impl<F> fmt::Debug for Limited<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denied = matches!(self.state, State::Denied { .. });
        f.debug_struct("Limited").field("denied", &denied).finish_non_exhaustive()
    }
}
