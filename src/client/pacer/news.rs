//! Futures of callers that wait: [`News`], and [`UntilReady`] with a timer of theirs.
//!
//! Wakers are noted behind the pacer's lock, beside what they wait for; `client/wakers.rs` has
//! why no wake-up is lost.

use super::{Call, CallEnded, Step};
use crate::time::{Clock, MonotonicClock};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

impl<C: Clock> Call<C> {
    /// Ends when it is worth asking again although nothing, or not enough time, has passed: after
    /// [`Step::Busy`] when some call has ended since, after [`Step::Wait`] when an answer, or a
    /// call that was [not sent](Self::not_sent), has made the wait shorter. Not by itself: have a
    /// timer beside it, or let [`until_ready`](Self::until_ready) have one. At once where nothing
    /// is waited for.
    ///
    /// After a reset that was told, one call goes, and [`Step::Busy`] is over, too, when a unit of
    /// our own has left the server's window: `until_ready`, `block` and `wait_for_an_end` know when.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::client::{Call, Step};
    ///
    /// /// Whether it may be sent.
    /// async fn go(call: &mut Call) -> bool {
    ///     loop {
    ///         match call.step() {
    ///             Step::Go => return true,
    ///             Step::End => return false,
    ///             Step::Busy => tokio::select! {
    ///                 () = call.news() => {}
    ///                 () = tokio::time::sleep(Duration::from_secs(1)) => {}
    ///             },
    ///             Step::Wait(time) => tokio::select! {
    ///                 () = call.news() => {}
    ///                 () = tokio::time::sleep(time) => {}
    ///             },
    ///         }
    ///     }
    /// }
    /// # let pacer = tollgate::client::Pacer::new();
    /// # let run = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # assert!(run.block_on(go(&mut pacer.call())));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn news(&self) -> News<'_, C> {
        News { call: self, place: None }
    }

    /// Waits until the call is to be sent, as [`block`](Self::block) does, by a timer of the
    /// caller's runtime. If it [is over](Step::End) that is an error, and nothing is to be sent.
    /// Cancelled, it leaves nothing behind: nothing is in flight before it is done.
    ///
    /// All who are told the same time ask anew when it is over, and one of them goes: there is no
    /// order among them. The timer's clock is to be the pacer's: under tokio's paused time, give
    /// the pacer [a clock](crate::client::PacerBuilder::clock) that goes by it (`wait::TokioClock`). A
    /// [`wait::Timer`](crate::wait::Timer) is given as `|time| timer.sleep(time)`.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tollgate::client::Pacer;
    ///
    /// # async fn send() -> (u16, Vec<(String, String)>) { (200, vec![]) }
    /// async fn polite(pacer: &Pacer) -> u16 {
    ///     let (mut call, mut last) = (pacer.call(), 429);
    ///     while call.until_ready(tokio::time::sleep).await.is_ok() {
    ///         let (status, fields) = send().await; // by whatever client there is
    ///         call.answered(status, fields, SystemTime::now());
    ///         last = status;
    ///     }
    ///     last
    /// }
    /// # let run = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # assert_eq!(run.block_on(polite(&Pacer::new())), 200);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn until_ready<F, S>(&mut self, sleep: F) -> UntilReady<'_, F, S, C>
    where
        F: Fn(Duration) -> S,
        S: Future,
    {
        UntilReady { call: self, timer: sleep, stage: Stage::New, sleep: None, place: None }
    }

    fn poll_news(&self, place: &mut Option<u64>, cx: &Context<'_>) -> Poll<()> {
        self.pacer.poll_news(self.seen, place, cx.waker())
    }
}

/// Until it is worth asking again: from [`Call::news`].
///
/// ```
/// use std::{pin::pin, task::{Context, Poll, Waker}};
/// use tollgate::client::{Pacer, Step};
///
/// let pacer = Pacer::builder().in_flight(1).build();
/// let (mut first, mut second) = (pacer.call(), pacer.call());
/// assert_eq!((first.step(), second.step()), (Step::Go, Step::Busy));
/// let mut news = pin!(second.news());
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(news.as_mut().poll(&mut cx), Poll::Pending);
/// drop(first); // its request ended, without an answer
/// assert_eq!(news.as_mut().poll(&mut cx), Poll::Ready(()));
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct News<'c, C: Clock = MonotonicClock> {
    call: &'c Call<C>,
    place: Option<u64>,
}

impl<C: Clock> Future for News<'_, C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.call.poll_news(&mut this.place, cx)
    }
}

impl<C: Clock> Drop for News<'_, C> {
    fn drop(&mut self) {
        self.call.pacer.forget(&mut self.place);
    }
}

impl<C: Clock> fmt::Debug for News<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("News").field(self.call).finish()
    }
}

/// Until a call is to be sent: from [`Call::until_ready`]. It is `Unpin`: poll it where it lies.
///
/// ```
/// use std::{pin::Pin, task::{Context, Poll, Waker}};
/// use tollgate::client::Pacer;
///
/// let pacer = Pacer::builder().quota("1/h".parse()?).build();
/// let (mut first, mut second) = (pacer.call(), pacer.call());
/// let sleep = |_| std::future::pending::<()>();
/// let mut cx = Context::from_waker(Waker::noop());
/// let mut ready = first.until_ready(sleep);
/// assert_eq!(Pin::new(&mut ready).poll(&mut cx), Poll::Ready(Ok(())));
/// let mut waits = second.until_ready(sleep);
/// assert_eq!(Pin::new(&mut waits).poll(&mut cx), Poll::Pending);
/// # Ok::<(), tollgate::QuotaError>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct UntilReady<'c, F, S, C: Clock = MonotonicClock> {
    call: &'c mut Call<C>,
    timer: F,
    stage: Stage,
    /// For as long as it was told to wait, where that is known.
    sleep: Option<Pin<Box<S>>>,
    place: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Waits,
    Over,
}

// Nothing here is pinned by being in it.
impl<F, S, C: Clock> Unpin for UntilReady<'_, F, S, C> {}

impl<F: Fn(Duration) -> S, S: Future, C: Clock> Future for UntilReady<'_, F, S, C> {
    type Output = Result<(), CallEnded>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut early = false;
        loop {
            match this.stage {
                Stage::New => {}
                Stage::Waits => {
                    let sleep = this.sleep.as_mut();
                    let slept = sleep.is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
                    if slept && std::mem::replace(&mut early, true) {
                        // Its timer is over at once, again: others are to run meanwhile.
                        (this.stage, this.sleep) = (Stage::New, None);
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if !slept && this.call.poll_news(&mut this.place, cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                // Polled once too often.
                Stage::Over => return Poll::Pending,
            }
            let step = this.call.step();
            let sleeps = match step {
                Step::Go | Step::End => {
                    (this.stage, this.sleep) = (Stage::Over, None);
                    this.call.pacer.forget(&mut this.place);
                    let goes = step == Step::Go;
                    return Poll::Ready(if goes { Ok(()) } else { Err(CallEnded) });
                }
                Step::Wait(time) => Some(time),
                // Until its total is over, if it has one, or it may go without an end.
                Step::Busy => Some(this.call.patience().min(this.call.busy()))
                    .filter(|time| *time < Duration::MAX),
            };
            this.sleep = sleeps.map(|time| Box::pin((this.timer)(time)));
            this.stage = Stage::Waits;
        }
    }
}

impl<F, S, C: Clock> Drop for UntilReady<'_, F, S, C> {
    fn drop(&mut self) {
        self.call.pacer.forget(&mut self.place);
    }
}

impl<F, S, C: Clock> fmt::Debug for UntilReady<'_, F, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UntilReady").field(self.call).finish()
    }
}
