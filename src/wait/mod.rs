//! Waiting for one's turn: first come, first served, by tasks and by threads.
//!
//! ```
//! use std::time::Duration;
//! use tollgate::{Limiter, Quota, wait::Waiters};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let waiters = Waiters::new(Limiter::gcra(Quota::n_per_second(100)?.burst(1)?).try_build()?);
//! for _page in 0..5 {
//!     waiters.until_ready().await?; // a task; on a thread: .block()
//!     // fetch the page
//! }
//! // Not at any price: an answer at once, if it would take longer.
//! let turn = waiters.until_ready().within(Duration::from_millis(1)).await;
//! assert!(turn.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | who waits | in which order |
//! |---|---|---|
//! | [`Waiters`] of GCRA | has *reserved*: a place in time, known at once | of the reservations; nobody passes, not even who does not wait ([refunds](#refunds) past the set apart) |
//! | [`Waiters`] of a log or a counter | stands in its key's line | as they came; only those who do not wait may pass |
//! | [`Queue`] | stands in the line that the caller names | as they came; only those who ask elsewhere may pass |
//!
//! # Giving up
//!
//! Dropping the future, or a thread's deadline, gives the place to those behind, who all
//! move up; and to nobody if there are none, in which case the units are the limiter's
//! again. What was reserved comes back only while that is exact, which is until the
//! debt from before it is paid: with a burst of 1, until its turn has come. After that,
//! others may have been let in who would not have been, and what was charged stays
//! charged. In the line of a log or of a [`Queue`] nothing was charged, and nothing need
//! come back.
//!
//! # Refunds
//!
//! Give back a charge, or settle for less, by the [`Waiters`]: then all who wait move up.
//! Given back to the limiter itself, past them, it lets those pass who do not wait, up to so
//! many units; and as many more may come back than should when somebody gives up after it.
//!
//! # Bounds
//!
//! A set has [at most](Waiters::at_most) so many waiters; one more is told so at once.
//! A turn may have [a deadline](Turn::within). Each waiter takes some hundred bytes while
//! it waits, and a set whose lines are empty keeps the memory of the most that there were.
//!
//! # Runtimes
//!
//! With feature `tokio`, `.await` a [`Turn`]. For other runtimes [give it a timer](Turn::by),
//! which is any function that sleeps. Nothing runs in the background.

mod lines;
mod question;
mod timer;
mod turn;
mod waiters;

#[cfg(all(test, loom))]
#[path = "../../tests/loom/waiting.rs"]
mod models;

pub use question::{Admitted, OfAnswer, OfKey, OfLimiter, Question, Verdict};
pub use timer::Timer;
#[cfg(feature = "tokio")]
pub use timer::{TokioClock, TokioTimer};
pub use turn::{Turn, UntilReady};
pub use waiters::{Queue, Waiters};

#[doc = include_str!("design.md")]
pub mod design {}

use std::{fmt, time::Duration};

/// Why the turn did not come. Nothing was charged.
///
/// ```
/// use tollgate::{Limiter, wait::{WaitError, Waiters}};
///
/// let waiters = Waiters::new(Limiter::gcra("2/s".parse()?).try_build()?);
/// assert_eq!(waiters.until_ready().units(3).block(), Err(WaitError::Never));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// As many wait as may.
    Full,
    /// It would have come later than was asked for.
    TooLong {
        /// When it is worth asking again, where that is known: of what can be reserved,
        /// when the same turn is to be had; else not before then.
        retry_after: Option<Duration>,
    },
    /// Waiting does not help: more was asked for than is ever let pass at once.
    Never,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("too many wait already"),
            Self::TooLong { retry_after: Some(wait) } => {
                write!(f, "its turn would come too late; ask again in {wait:?}")
            }
            Self::TooLong { retry_after: None } => f.write_str("its turn did not come in time"),
            Self::Never => f.write_str("it costs more than the limit: waiting does not help"),
        }
    }
}

impl std::error::Error for WaitError {}
