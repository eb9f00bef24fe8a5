//! The caller's side: back-off, pacing, and what answers tell of limits.
//!
//! A pure state machine: it is told statuses, header fields and the time, and says *go*,
//! *wait* so long, or *give up*. Nothing is sent by it.
//!
//! ```
//! use std::time::SystemTime;
//! use tollgate::client::{Answered, Pacer};
//!
//! # fn send() -> (u16, Vec<(String, String)>) { (200, vec![]) }
//! let pacer = Pacer::builder().quota("10/s".parse()?).build(); // one for all threads
//! let mut call = pacer.call();
//! let answer = loop {
//!     // Sleeps until it may go; `step` says how long instead.
//!     if call.block().is_err() { break 429 }
//!     let (status, fields) = send(); // by whatever client there is
//!     if call.answered(status, fields, SystemTime::now()) != Answered::Again { break status }
//! };
//! # assert_eq!(answer, 200);
//! # Ok::<(), tollgate::QuotaError>(())
//! ```
//!
//! # What it does
//!
//! * A 429 is tried again when `Retry-After` says, seconds or a date; where it is missing,
//!   after a [`Backoff`] that doubles. Never at once, never earlier than told, and not
//!   for longer than a total: then the 429 is the caller's.
//! * Limits are learned from `X-RateLimit-*`, or `RateLimit` and `RateLimit-Policy` of the
//!   IETF draft, or [configured](PacerBuilder::quota). Calls wait before there is a
//!   429; what is left can be [spread](PacerBuilder::slow_below) over the window.
//! * At most N calls are [in flight](PacerBuilder::in_flight). One that [surely was not
//!   sent](Call::not_sent) is not counted; one of which nobody knows is.
//! * Threads [block](Call::block), tasks [wait](Call::until_ready) by their own runtime's timer.
//! * A [`TokenHolder`] logs in once for all callers, and again shortly before the end.
//! * Header fields that are malformed are ignored, and hostile ones bounded.
//!
//! # Which part
//!
//! | | |
//! |---|---|
//! | many callers of one API | [`Pacer`], and a [`Call`] for each call |
//! | the same in tasks | [`Call::until_ready`], or step by step with [`Call::news`] |
//! | the same, by reqwest | `Polite` (feature `reqwest-middleware`) |
//! | one loop, and its own idea of time | [`Retry`] |
//! | what an answer's fields say | [`Advice`] |
//! | a login | [`TokenHolder`] |
//!
//! How it is made, and its bounds: [the design chapter](design).

mod advice;
mod backoff;
mod date;
mod jitter;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod pacer;
mod token;
mod wakers;

pub use advice::{Advice, Told};
pub use backoff::{Backoff, GiveUp, Next, Retry};
pub use jitter::Jitter;
#[cfg(feature = "reqwest-middleware")]
pub use middleware::Polite;
pub use pacer::{Answered, Call, CallEnded, News, Pacer, PacerBuilder, Step, UntilReady};
pub use token::{Access, Renewal, TokenHolder, UntilRenewed};

pub mod design {
    // Inside, so that its links are looked for from here.
    #![doc = include_str!("design.md")]
}
