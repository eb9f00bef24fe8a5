//! [`Timer`]: how a task sleeps.

use std::{pin::Pin, time::Duration};

/// How a task sleeps: the one thing that waiting asks of a runtime.
///
/// Any function from a time to a future is one: `tokio::time::sleep` as it stands,
/// `async_io::Timer::after` with its result thrown away.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, wait::{Timer, Waiters}};
///
/// async fn send<T: Timer>(waiters: &Waiters<Limiter>, timer: T) {
///     if waiters.until_ready().within(Duration::from_secs(2)).by(timer).await.is_ok() {
///         // its turn has come
///     }
/// }
/// // Of a runtime that has one: `send(&waiters, tokio::time::sleep)`.
/// let sleep = |after: Duration| std::future::ready(std::thread::sleep(after));
/// # let waiters = Waiters::new(Limiter::gcra("1/h".parse()?).try_build()?);
/// # let _ = send(&waiters, sleep);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Timer {
    /// Ends when the time is over. It may end sooner: whoever sleeps looks at the
    /// limiter's clock, and sleeps again for the rest.
    ///
    /// ```
    /// use std::{pin::Pin, time::Duration};
    /// use tollgate::wait::Timer;
    ///
    /// /// A runtime's, known at run time.
    /// struct Boxed(fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>);
    ///
    /// impl Timer for Boxed {
    ///     type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;
    ///
    ///     fn sleep(&self, after: Duration) -> Self::Sleep {
    ///         (self.0)(after)
    ///     }
    /// }
    /// # let _ = Boxed(|after| Box::pin(async move { std::thread::sleep(after) }));
    /// ```
    type Sleep: Future;

    /// Begins to sleep.
    ///
    /// ```
    /// use std::{future::ready, time::Duration};
    /// use tollgate::wait::Timer;
    ///
    /// // A function is one already.
    /// let instantly = |after: Duration| ready(after);
    /// let slept = instantly.sleep(Duration::from_secs(1)).into_inner();
    /// assert_eq!(slept, Duration::from_secs(1));
    /// ```
    fn sleep(&self, after: Duration) -> Self::Sleep;
}

impl<F, S> Timer for F
where
    F: Fn(Duration) -> S,
    S: Future,
{
    type Sleep = S;

    fn sleep(&self, after: Duration) -> S {
        self(after)
    }
}

/// Sleeps by tokio's timer: what `.await` takes where nothing else is said.
///
/// ```
/// use std::time::Duration;
/// use tollgate::wait::{Timer, TokioTimer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// TokioTimer.sleep(Duration::from_millis(1)).await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

#[cfg(feature = "tokio")]
impl Timer for TokioTimer {
    type Sleep = tokio::time::Sleep;

    fn sleep(&self, after: Duration) -> tokio::time::Sleep {
        tokio::time::sleep(after)
    }
}

/// Tokio's clock, which stands still where a test pauses it: give it to a limiter that
/// waits in tests with paused time.
///
/// ```
/// use tollgate::{Clock, Limiter, Quota, wait::TokioClock};
///
/// let limiter = Limiter::gcra(Quota::n_per_second(1)?).clock(TokioClock::new()).try_build()?;
/// assert!(limiter.check().is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    zero: tokio::time::Instant,
}

#[cfg(feature = "tokio")]
impl TokioClock {
    /// A clock that reads zero now.
    ///
    /// ```
    /// use tollgate::{Clock, Nanos, wait::TokioClock};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let clock = TokioClock::new(); // where time is paused
    /// tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    /// assert_eq!(clock.now(), Nanos::from_secs(3));
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new() -> Self {
        Self { zero: tokio::time::Instant::now() }
    }
}

#[cfg(feature = "tokio")]
impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "tokio")]
impl crate::time::Clock for TokioClock {
    fn now(&self) -> crate::time::Nanos {
        self.zero.elapsed().into()
    }
}

/// A sleep that has begun.
pub(super) type Sleeping<T> = Pin<Box<<T as Timer>::Sleep>>;
