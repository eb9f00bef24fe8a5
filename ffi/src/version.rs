//! Which version this is.

use crate::boundary::export;
use std::ffi::c_char;

/// The first number of the version of this header.
pub const TOLLGATE_VERSION_MAJOR: u32 = 0;
/// The second.
pub const TOLLGATE_VERSION_MINOR: u32 = 1;
/// The third.
pub const TOLLGATE_VERSION_PATCH: u32 = 0;

export! {
    /// The version of the library that runs, as "0.1.0". Static; threads: any.
    fn tollgate_version() -> *const c_char {
        const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
        VERSION.as_ptr().cast()
    }
}

export! {
    /// The version of the library that runs as a number: major * 1000000 + minor * 1000 +
    /// patch. Threads: any.
    fn tollgate_version_number() -> u32 {
        TOLLGATE_VERSION_MAJOR * 1_000_000 + TOLLGATE_VERSION_MINOR * 1_000 + TOLLGATE_VERSION_PATCH
    }
}
