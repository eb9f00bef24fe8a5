//! An embeddable rate-limiting engine.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
mod decision;
mod limiter;
mod quota;
mod sync;
mod table;
mod time;

pub mod design;

pub use algorithm::{Gcra, SlidingLog};
pub use decision::{Decision, Outcome};
pub use limiter::{
    BuildError, DefaultClock, KeyedBuilder, KeyedLimiter, Limiter, LimiterBuilder, OnSaturation,
};
pub use quota::{Quota, QuotaError};
pub use time::{Clock, CoarseClock, ManualClock, MonotonicClock, Nanos};
