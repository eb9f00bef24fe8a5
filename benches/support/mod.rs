//! What the benchmarks share.
#![allow(dead_code)] // each of them uses a part

pub(crate) mod arguments;
pub(crate) mod keys;
pub(crate) mod random;
#[cfg(feature = "tower")]
pub(crate) mod service;
