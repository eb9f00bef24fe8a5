//! Decisions as HTTP: header fields and bodies, in the dialects that APIs speak.
//!
//! A [`Dialect`] is data: which fields, which limit they tell of, which body. An
//! [`Answer`] is what came of one request, over all the limits it met ([`Reported`]).
//! One rendered by the other is a [`Response`]; or, without collecting,
//! [`fields`](Dialect::fields), [`status`](Dialect::status) and
//! [`body`](Dialect::body).
//!
//! ```
//! use tollgate::{KeyedLimiter, ManualClock, Nanos, Quota};
//! use tollgate::headers::{Answer, Dialect, Fields, Reported};
//!
//! let limiter = KeyedLimiter::sliding_log(Quota::n_per_minute(2)?)
//!     .clock(ManualClock::new()) // for this page; without it, time goes on
//!     .try_build()?;
//! let dialect = Dialect::new(Fields::XRateLimit)
//!     .with_body(r#"{"error": "slow down", "retry_after": {retry_after}}"#)?;
//!
//! // In a server: `headers::unix_now()`.
//! let now = Nanos::from_secs(1_705_315_740);
//! let mut respond = || {
//!     let limits = [Reported::from_decision("default", &limiter.check("203.0.113.7"))];
//!     dialect.response(&Answer::new(&limits, now))
//! };
//!
//! let first = respond();
//! assert_eq!(first.status, None); // it may pass; the fields go with its response
//! assert_eq!(first.field("X-RateLimit-Remaining"), Some("1"));
//! let _ = respond();
//!
//! let third = respond();
//! assert_eq!(third.status, Some(429));
//! assert_eq!(third.field("X-RateLimit-Limit"), Some("2"));
//! assert_eq!(third.field("X-RateLimit-Remaining"), Some("0"));
//! assert_eq!(third.field("X-RateLimit-Reset"), Some("1705315800"));
//! assert_eq!(third.field("Retry-After"), Some("60"));
//! assert_eq!(third.field("Cache-Control"), Some("no-store"));
//! assert_eq!(third.field("Content-Type"), Some("application/json"));
//! assert_eq!(third.body.as_deref(), Some(r#"{"error": "slow down", "retry_after": 60}"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Seconds
//!
//! Times are rounded up to whole seconds, each for itself, and those of a denial lie
//! ahead: whoever waits so long has waited long enough, and nobody is told 0.
//!
//! * `Retry-After` is the wait, rounded up.
//! * `X-RateLimit-Reset` as epoch is now plus the time until the reset, rounded up; as
//!   delta, the time until the reset, rounded up.
//!
//! *Do they agree?* Where one unit was denied and `reset_of` is `next`, the reset and the
//! wait are the same instant (of GCRA, the sliding log, and any limit whose next unit
//! is all that is missing). As delta the two numbers are then equal. As epoch,
//! `Reset - Retry-After` is the second that now lies in, as the field `Date` has it, or
//! the next; exactly now, if now is a whole second. Where more was asked for than the
//! next unit, `Retry-After` is the later: the reset tells when something is back, and
//! `Retry-After` when the very same request passes.
//!
//! # The IETF draft
//!
//! `RateLimit-Policy` has every limit that was asked, but for shadows; `RateLimit` that
//! which is reported, or all of them. `t` is the reset as delta, though never after
//! `Retry-After`, and left out while nothing is used. `w` is the window in whole seconds, rounded
//! up, and left out where it is less than one. `qu` is the limit's unit as the
//! draft calls it. A limit in a unit that it has no name for is left out of both, for it
//! would be read as a number of requests; `units` in the [`Dialect`] can give it a name.
//! Numbers end at 999,999,999,999,999. A name that is not printable ASCII is
//! percent-encoded.
//!
//! # Bodies
//!
//! In a body `{limit}`, `{remaining}`, `{retry_after}`, `{reset}`, `{name}`, `{status}` and
//! `{unit}` are replaced, as told of the limit that denies, whichever the fields tell of.
//! Any other word in braces is an error, and any other brace is a brace, so that JSON
//! looks like JSON:
//!
//! ```json
//! {"error": "rate_limit_exceeded", "limit": {limit}, "retry_after": {retry_after},
//!  "message": "Too much for \"{name}\". Try again in {retry_after} seconds."}
//! ```
//!
//! The media type says how values are written. In JSON, within a string they are escaped;
//! outside of one, texts get their quotes and what is not known is `null`. In HTML and
//! XML they are escaped. Elsewhere, and within JSON's strings, what is not known is
//! `unknown`: a dialect whose body names a time wants a `body_never` beside it.
//!
//! `problem` is `application/problem+json` of RFC 9457, with the draft's types:
//! `quota-exceeded`, and `abnormal-usage-detected` for a block, each with
//! `violated-policies`; a refusal is `about:blank`.

mod answer;
mod dialect;
mod field;
mod problem;
mod render;
mod structured;
mod template;
#[cfg(feature = "tower")]
mod wire;

pub use answer::{Answer, Reported, unix_now};
pub use dialect::{Dialect, Fields, Report, Reset, ResetOf};
pub use render::Response;
#[cfg(feature = "tower")]
pub(crate) use wire::FieldNames;

use std::fmt;

/// What is wrong with a [`Dialect`].
///
/// ```
/// use tollgate::headers::{Dialect, DialectError};
///
/// let error = Dialect::default().with_status(302).unwrap_err();
/// assert_eq!(error, DialectError::Status(302));
/// assert_eq!(error.to_string(), "302 is no status of a denial: expected 400 to 599");
/// // Of a dialect that is read, it is what the reader says, with line and column.
/// let error = serde_json::from_str::<Dialect>("{\n \"names\": { \"limit\": \"X Limit\" }\n}");
/// let says = error.unwrap_err().to_string();
/// assert!(says.starts_with("\"X Limit\" is no name of a header field at line 2"), "{says}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialectError {
    /// Not the name of a header field.
    FieldName(String),
    /// Not a status of a denial.
    Status(u16),
    /// Not a media type.
    ContentType(String),
    /// A word in braces that nothing replaces.
    Placeholder(String),
    /// Not a unit that the draft's `qu` can be.
    Unit(String),
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldName(name) => write!(f, "{name:?} is no name of a header field"),
            Self::Status(status) => {
                write!(f, "{status} is no status of a denial: expected 400 to 599")
            }
            Self::ContentType(text) => {
                write!(f, "{text:?} is no media type, as \"application/json\" is one")
            }
            Self::Placeholder(word) => write!(
                f,
                "nothing replaces {{{word}}}: expected {{limit}}, {{remaining}}, {{retry_after}}, \
                 {{reset}}, {{name}}, {{status}} or {{unit}}"
            ),
            Self::Unit(unit) => {
                write!(f, "{unit:?} cannot be written as a unit: expected printable ASCII")
            }
        }
    }
}

impl std::error::Error for DialectError {}
