//! tollgate decides "may this request pass, and if not, when?": an embeddable
//! rate-limiting engine with memory fixed when it is created, whose answers are
//! exact under any interleaving of threads.
//!
//! ```
//! use tollgate::{KeyedLimiter, Quota};
//!
//! let limiter = KeyedLimiter::gcra(Quota::n_per_minute(60)?.burst(10)?)
//!     .capacity(100_000) // keys in debt at once: 2.4 MB, now and for ever
//!     .try_build()?;
//!
//! let decision = limiter.check("203.0.113.7");
//! if decision.is_denied() {
//!     let wait = decision.retry_after_secs(); // rounded up, never 0
//! #   let _ = wait;
//! }
//! # assert!(decision.is_allowed());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [The guide](guide) has a chapter for each question: [choosing](guide::choosing) an algorithm,
//! [sizing](guide::sizing) the table, [time](guide::time), [embedding](guide::embedding),
//! [verification](guide::verification), and [what people ask](guide::faq).
//!
//! # Which limiter
//!
//! | | one thing is limited | each of many keys is |
//! |---|---|---|
//! | smooth traffic, one word a key | [`Limiter::gcra`] | [`KeyedLimiter::gcra`] |
//! | never more than N in any window, a word per unit | [`Limiter::sliding_log`] | [`KeyedLimiter::sliding_log`] |
//! | limits too large for that, about N, a few words a key | [`Limiter::sliding_counter`] | [`KeyedLimiter::sliding_counter`] |
//! | never more than N at a time, a word per lease | | [`LeaseLimiter::at_most`] |
//!
//! GCRA spaces requests by period / units and lets a burst through at once.
//! With a burst as large as the units, up to twice the units may pass in one
//! period (the burst, then a period's worth); a smaller burst brings that down.
//! The sliding log remembers each admitted unit and so keeps "10 per minute" to
//! the letter, whichever minute is looked at. The sliding counter keeps two counts
//! instead, and [says](SlidingCounter#error) how far that is from the letter.
//!
//! # What an answer says
//!
//! A [`Decision`] is the whole answer, allowed or denied: limit, remaining,
//! reset, and how long to wait; and whether waiting helps at all
//! ([`Outcome::Never`] is told apart from [`Outcome::Later`]).
//! Cost 0 is a peek: always allowed, nothing is written.
//!
//! # More than a check
//!
//! [`KeyedLimiter::key`] names one key, and [`Key`] has what else can be asked of it:
//! [refunds](Key::refund), estimates that are [settled](Key::settle),
//! [reservations](Key::reserve) that tell how long to wait, [resets](Key::reset), and
//! checks [by another quota](Key::quota), for tiers. Many keys at a time are
//! [`check_many`](KeyedLimiter::check_many); the quota of all is replaced by
//! [`set_quota`](KeyedLimiter::set_quota); [`gauges`](KeyedLimiter::gauges) tell how
//! full a table is.
//!
//! # Waiting
//!
//! [`wait`] has `until_ready` for tasks and for threads: first come, first served, with
//! deadlines, and reservations that come back when they are given up.
//!
//! # Time
//!
//! A limiter reads its [`Clock`] once per decision, or takes `now` from the
//! caller (`*_at`). [`MonotonicClock`] is the default, [`CoarseClock`] costs one
//! load, [`ManualClock`] is for tests. A clock that stands still or steps back
//! grants no credit.
//!
//! A limiter counts from its *epoch*, the clock's reading when it was built, for
//! 18 years. The time since 1970 is no reading of a clock that started at zero:
//! give the limiter a clock of your own that reads it, or an
//! [`epoch`](KeyedBuilder::epoch) near it. Without either it stands at the end of
//! its range, and grants nothing any more.
//!
//! # Keys
//!
//! Anything that lends bytes: `check("text")`, `check(&string)`,
//! `check(&[1, 2, 3])`. An address lends its octets:
//!
//! ```
//! use std::net::IpAddr;
//! use tollgate::{Decision, KeyedLimiter};
//!
//! fn check_ip(limiter: &KeyedLimiter, ip: IpAddr) -> Decision {
//!     match ip.to_canonical() {
//!         IpAddr::V4(ip) => limiter.check(&ip.octets()),
//!         // One subscriber has a whole /64.
//!         IpAddr::V6(ip) => limiter.check(&ip.octets()[..8]),
//!     }
//! }
//! # let limiter = KeyedLimiter::gcra("1/h".parse()?).try_build()?;
//! # assert!(check_ip(&limiter, "2001:db8::1".parse()?).is_allowed());
//! # assert!(check_ip(&limiter, "2001:db8::2".parse()?).is_denied());
//! # assert!(check_ip(&limiter, "::ffff:192.0.2.1".parse()?).is_allowed());
//! # assert!(check_ip(&limiter, "192.0.2.1".parse()?).is_denied());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Join the parts of a composite key with their lengths, or with a byte that
//! cannot occur in them.
//!
//! # How it works, and why that is right
//!
//! See [the design chapter](design).
//!
//! # Several processes
//!
//! With feature `shared`, on Unix, workers of a server share their limiters, or a whole
//! policy, through a mapped file (or memory that the host has), without a daemon:
//!
//! ```text
//! let region = Region::open("/dev/shm/my-service.limits")?;
//! let limiter = KeyedLimiter::gcra(quota).try_build_in(&region, "logins")?;
//! ```
//!
//! It is the same `KeyedLimiter`, at the price of another hash and of the system's clock. A process that is killed holds
//! nobody up, and what is in a file survives all of them. `Region` has the rest.
//!
//! # Coming from governor
//!
//! [A chapter](coming_from_governor) shows each of its calls beside ours, and what
//! differs in meaning.
//!
//! # Features
//!
//! * `tsc` (default): read the time-stamp counter through the crate `quanta`.
//! * `headers`: decisions as HTTP header fields and bodies ([`headers`]).
//! * `policy`: limits written as a file ([`policy`]).
//! * `shared`: limiters in memory that processes share (Unix).
//! * `client`: the caller's side of a 429 ([`client`]); `reqwest-middleware` has it for reqwest.
//! * `tokio`: turns that are waited for by tokio's timer ([`wait`]).
//! * `tower`: a layer for axum, tonic and hyper ([`tower`]); `metrics` and `tracing`, what
//!   it decides by these facades.
//! * `cli`: the command `tollgate`.
#![cfg_attr(docsrs, feature(doc_cfg))]
// The pages name all parts, and parts that are not built cannot be linked to. With all features
// every link must hold.
#![cfg_attr(
    not(all(feature = "client", feature = "policy", feature = "shared", feature = "tower")),
    allow(rustdoc::broken_intra_doc_links)
)]

mod algorithm;
#[cfg(feature = "client")]
pub mod client;
mod decision;
#[cfg(feature = "headers")]
pub mod headers;
mod limiter;
#[cfg(feature = "policy")]
pub mod policy;
mod quota;
#[cfg(feature = "shared")]
mod region;
#[cfg(all(feature = "shared", not(unix)))]
compile_error!("feature `shared` needs mappings, locks of files and a clock as Unix has them");
mod sync;
mod table;
mod time;
#[cfg(feature = "tower")]
pub mod tower;
pub mod wait;

#[cfg(all(test, feature = "shared", unix, not(loom)))]
#[path = "../tests/killed/mod.rs"]
mod killed;

pub mod coming_from_governor;
pub mod design;
pub mod guide;
#[cfg(feature = "shared")]
#[doc = include_str!("region/design.md")]
pub mod design_of_regions {}

pub use algorithm::{Gcra, SlidingCounter, SlidingLog};
pub use decision::{Charge, Decision, Outcome};
#[cfg(feature = "shared")]
pub use limiter::ShareError;
pub use limiter::{
    Algorithm, BuildError, Counts, DefaultClock, DeniedKey, Gauges, Key, KeyedBuilder,
    KeyedLimiter, Lease, LeaseBuilder, LeaseId, LeaseKey, LeaseLimiter, Limiter, LimiterBuilder,
    OnSaturation, RoomError,
};
pub use quota::{Quota, QuotaError};
#[cfg(feature = "shared")]
pub use region::{Difference, Region, RegionClock, RegionError, RegionOptions};
pub use time::{Clock, CoarseClock, ManualClock, MonotonicClock, Nanos};

/// The README's Rust runs with the tests of the documentation, where the features are that it tells of.
#[cfg(all(doctest, feature = "policy", feature = "client", feature = "shared"))]
#[doc = include_str!("../README.md")]
struct Readme;
