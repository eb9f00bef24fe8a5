//! Waiting for one's turn: first come, first served, by tasks and by threads.
//!
//! ```
//! use std::time::Duration;
//! use tollgate::{Limiter, Quota, wait::Waiters};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! // At a hundred a second, a thousand may stand in the line: more than ten seconds are told at once.
//! let limiter = Limiter::gcra(Quota::n_per_second(100)?.burst(1)?)
//!     .longest_wait(Duration::from_secs(10))
//!     .try_build()?;
//! let waiters = Waiters::new(limiter);
//! for _page in 0..5 {
//!     waiters.until_ready().await?; // a task; on a thread: .block()
//!     // fetch the page
//! }
//! // Not at any price: an answer at once, if it would take longer.
//! let turn = waiters.until_ready().within(Duration::from_millis(1));
//! if turn.await.is_err() {
//!     // later, then
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | who waits | in which order |
//! |---|---|---|
//! | [`Waiters`] of GCRA | has *reserved*: a place in time, known at once | of the reservations; nobody passes, not even who does not wait (but for what is done [past the set](#past-the-set)) |
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
//! come back; nor is it a denial that a policy counts (`Queue::until_policy_allows`).
//!
//! # Who stops polling
//!
//! A turn that was polled once has its place, until it is done or dropped. What if it is neither
//! polled on nor dropped: a pinned future that a loop with `select!` goes past, a task that
//! waits for something else first?
//!
//! | of | it keeps | those behind it |
//! |---|---|---|
//! | GCRA | the units that it reserved, spent or not, and its place among [at most](Waiters::at_most) so many | have their turns when these are due: each knows its own |
//! | a log, a counter, a [`Queue`] | its place; at the head of a line, that it is its turn to ask | wait: nobody asks in its stead, also when its own deadline is long over. Who has [a deadline](Turn::within) is told when that is over; who has none waits until the head is dropped or polled |
//!
//! It is the price of letting nobody pass, and a task that waits behind a turn of its own waits
//! for ever. So: drop a turn that is not waited for any more; give a task of its own (spawn it)
//! to one that is to be waited for beside other things; and where you do not know who else
//! stands in a line, have a deadline.
//!
//! ```
//! use std::time::Duration;
//! use tollgate::{SlidingLog, Limiter, wait::{WaitError, Waiters}};
//!
//! # use tollgate::wait::TokioClock; // whose time stands still here but for sleeps
//! # let mut runtime = tokio::runtime::Builder::new_current_thread();
//! # runtime.enable_time().start_paused(true).build()?.block_on(async {
//! let limiter = Limiter::sliding_log("1/500ms".parse()?);
//! # let limiter = limiter.clock(TokioClock::new());
//! let waiters = Waiters::new(limiter.try_build()?);
//! waiters.until_ready().await?;
//! let mut first = waiters.until_ready().into_future();
//! # let mut first = std::pin::Pin::new(&mut first);
//! tokio::select! {
//!     biased;
//!     _ = &mut first => unreachable!("not for 500 ms"),
//!     () = std::future::ready(()) => {} // something else came first
//! }
//! # let first = std::pin::Pin::into_inner(first);
//! // `first` stands at the head still, and is not polled here:
//! let second = waiters.until_ready().within(Duration::from_millis(900)).await;
//! assert!(matches!(second, Err(WaitError::TooLong { retry_after: None, .. })));
//! first.await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Refunds, resets, other quotas
//!
//! [Give back](Waiters::refund) a charge or settle for less, [reset](Waiters::reset), and
//! [replace the quota](Waiters::set_quota) by the [`Waiters`]: then all who wait move up, in their
//! order, and keep what they reserved. A quota with a smaller burst moves nobody back.
//!
//! # Past the set
//!
//! What is done to the [limiter](Waiters::limiter) itself, or by another process that shares it, the
//! set does not see. Checks and reservations are harmless. Otherwise, of what is reserved:
//!
//! | past the set | those who do not wait | whoever reserves next | who gives up after it |
//! |---|---|---|---|
//! | a refund, or less settled for | pass, up to the units that came back | comes after those who wait | gives back too much, by no more than came back |
//! | a reset | pass, up to the burst | may be due before those who wait | gives back what was forgotten already, up to all that it reserved |
//! | a larger burst, for all or for [one who asks](crate::Key::quota) | pass by it, up to as many units as it is larger | may be due by it before those who wait | gives back what it should |
//!
//! So the order of the line is lost then, and by the last column the limit may be exceeded by as much.
//! Those who wait have their turns when they were told, and none is lost. In the line of a log or a
//! counter the first sleeps on until it was told to ask, or [asks again](Turn::every) sooner.
//!
//! # Bounds
//!
//! A limiter of GCRA reserves no further ahead than its
//! [`longest_wait`](crate::LimiterBuilder::longest_wait), and whoever would wait longer is told
//! [`TooLong`](WaitError::TooLong) at once. Unless the builder is told, that is as long as a spent
//! burst takes to come back: with a burst of 1, one turn may be waited for, and no second behind it.
//! So say how long anybody may wait when you build a limiter that is waited for.
//!
//! Nobody waits for a slot. Whose key finds none in a table that [denies](crate::OnSaturation::Deny)
//! then is told [`TooLong`](WaitError::TooLong) at once, with or without a deadline: nobody knows when others'
//! keys leave theirs, many may want the next one, and a flood of fresh keys is not let fill the
//! places of those who have one. (A [`Queue`] asks again, as it knows no reasons.)
//!
//! A set has [at most](Waiters::at_most) so many waiters, and [each line](Waiters::at_most_each) so many
//! of them; one more is told so at once. Unless it is said, 1024 wait in a line and 16,384 in all, so
//! that one key cannot take all places. Where 1,024 requests that wait are too many for one client,
//! say less.
//! A turn may have [a deadline](Turn::within). Each waiter takes some hundred bytes while
//! it waits, and a set whose lines are empty keeps the memory of the most that there were.
//!
//! # Runtimes
//!
//! With feature `tokio`, `.await` a [`Turn`]. For other runtimes [give it a timer](Turn::by),
//! which is any function that sleeps. Nothing runs in the background.

mod error;
mod lines;
mod question;
mod timer;
mod turn;
mod waiters;

#[cfg(all(test, loom))]
#[path = "../../tests/loom/waiting.rs"]
mod models;

pub use error::WaitError;
pub use question::{Admitted, OfAnswer, OfKey, OfLimiter, Question, Verdict};
#[cfg(feature = "policy")]
pub(crate) use question::{Asked, Said};
pub use timer::Timer;
#[cfg(feature = "tokio")]
pub use timer::{TokioClock, TokioTimer};
pub use turn::{Turn, UntilReady};
pub use waiters::{Queue, Waiters};

#[doc = include_str!("design.md")]
pub mod design {}
