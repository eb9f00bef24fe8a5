//! The only door to atomics and threads: the standard library's, or loom's
//! when the crate is built with `--cfg loom`.
//!
//! Nothing outside this file names `std::sync::atomic` or `loom`, so that
//! every protocol in the crate is the one the models run.

#[cfg(loom)]
pub(crate) use loom::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};
#[cfg(not(loom))]
pub(crate) use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

/// Tells the processor (or the model) that this thread waits for another.
#[inline]
pub(crate) fn spin() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    thread::yield_now();
}
