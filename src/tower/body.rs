//! A response's body that ends what its request holds.

use super::{gate::Held, layer::Options};
use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// What a request holds until it is over, however it ends.
pub(super) struct Guard {
    held: Box<dyn Held>,
    options: Arc<Options>,
    /// Bytes of the response's body that went out.
    bytes: u64,
    /// Whether they are to be settled for.
    counting: bool,
}

impl Guard {
    pub(super) fn new(held: Box<dyn Held>, options: Arc<Options>) -> Self {
        Self { held, options, bytes: 0, counting: false }
    }

    pub(super) fn held(&mut self) -> &mut dyn Held {
        &mut *self.held
    }

    /// From here on bytes are counted.
    pub(super) fn count(&mut self) {
        self.counting = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(dimension) = self.options.settle_bytes.as_deref().filter(|_| self.counting) {
            self.held.settle(dimension, self.bytes);
        }
        self.held.release();
    }
}

pin_project! {
    /// The body of a response that went through a layer: the service's own, or that of a
    /// denial.
    ///
    /// When it ends or is dropped, its request is over: leases are given back, and bytes
    /// are settled for.
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
