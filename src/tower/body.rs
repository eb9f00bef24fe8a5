//! A response's body that ends what its request holds.

use super::{gate::Charged, held::Renewing, layer::Options};
use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// What a request was charged, and what it holds until it is over, however it ends.
pub(super) struct Guard {
    /// With how to correct it, if it may be.
    charge: Option<(Box<dyn Charged>, Arc<Options>)>,
    /// They go after the bytes were settled for.
    leases: Option<Renewing>,
    /// Bytes of the response's body that went out.
    bytes: u64,
    /// Whether they are to be settled for.
    counting: bool,
}

impl Guard {
    /// `None` where there is neither.
    pub(super) fn new(
        charged: Option<Box<dyn Charged>>,
        leases: Option<Renewing>,
        options: &Arc<Options>,
    ) -> Option<Self> {
        let charge = charged.map(|charged| (charged, options.clone()));
        let any = charge.is_some() || leases.is_some();
        any.then_some(Self { charge, leases, bytes: 0, counting: false })
    }

    pub(super) const fn is_charged(&self) -> bool {
        self.charge.is_some()
    }

    pub(super) fn charge(&mut self) -> Option<(&mut dyn Charged, &Options)> {
        let (charged, options) = self.charge.as_mut()?;
        Some((&mut **charged, options))
    }

    /// What it is of was polled: it goes on.
    pub(super) fn polled(&mut self) {
        if let Some(leases) = &mut self.leases {
            leases.polled();
        }
    }

    /// From here on bytes are counted.
    pub(super) fn count(&mut self) {
        self.counting = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((charged, options)) = self.charge.as_mut().filter(|_| self.counting)
            && let Some(dimension) = &options.settle_bytes
        {
            charged.settle(dimension, self.bytes);
        }
    }
}

pin_project! {
    /// The body of a response that went through a layer: the service's own, or that of a
    /// denial.
    ///
    /// When it ends or is dropped, its request is over: bytes are settled for, and leases
    /// are given back, unless they are [held](super::Held) elsewhere. While it is polled they
    /// are renewed.
    ///
    /// Its bytes are counted when they are handed on: what the host has buffered when a client
    /// hangs up counts as sent. It is `Send`, `Sync` and `Unpin` where the service's own is.
    ///
    /// ```
    /// # use http::{Request, Response};
    /// # use tollgate::{KeyedLimiter, tower::{LimitBody, LimitLayer, header}};
    /// # use tower::{ServiceExt, service_fn};
    /// # use {http_body::Body, tower_layer::Layer};
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let limiter = KeyedLimiter::gcra("1/min".parse()?).try_build()?;
    /// # let layer = LimitLayer::limiter(limiter, header("x-key"));
    /// # let hello = |_| async { Ok::<_, std::io::Error>(Response::new("hello".to_owned())) };
    /// # let service = layer.layer(service_fn(hello));
    /// # let request = Request::get("/").header("x-key", "k").body(())?;
    /// let answer: Response<LimitBody<String>> = service.oneshot(request).await?;
    /// assert_eq!(answer.body().size_hint().exact(), Some(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct LimitBody<B> {
        #[pin]
        inner: Option<B>,
        denial: Option<Vec<u8>>,
        guard: Option<Guard>,
    }
}

impl<B> LimitBody<B> {
    pub(super) fn of(inner: B, guard: Option<Guard>) -> Self {
        Self { inner: Some(inner), denial: None, guard }
    }

    pub(super) fn denial(body: Option<String>) -> Self {
        let denial = body.map(String::into_bytes).filter(|body| !body.is_empty());
        Self { inner: None, denial, guard: None }
    }
}

impl<B> Body for LimitBody<B>
where
    B: Body,
    B::Data: From<Vec<u8>>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(this.denial.take().map(|body| Ok(Frame::data(body.into()))));
        };
        if let Some(guard) = this.guard.as_mut() {
            guard.polled();
        }
        let frame = ready!(inner.as_mut().poll_frame(cx));
        if let (Some(Ok(frame)), Some(guard)) = (&frame, this.guard.as_mut())
            && let Some(data) = frame.data_ref()
        {
            let bytes = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
            guard.bytes = guard.bytes.saturating_add(bytes);
        }
        if !matches!(&frame, Some(Ok(_))) || inner.is_end_stream() {
            *this.guard = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().map_or(self.denial.is_none(), Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let denial = || self.denial.as_ref().map_or(0, Vec::len);
        self.inner.as_ref().map_or_else(
            || SizeHint::with_exact(u64::try_from(denial()).unwrap_or(u64::MAX)),
            Body::size_hint,
        )
    }
}

impl<B> fmt::Debug for LimitBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitBody").field("denied", &self.inner.is_none()).finish_non_exhaustive()
    }
}
