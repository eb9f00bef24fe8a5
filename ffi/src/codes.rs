//! The numbers that functions return and take.

/// It was done.
pub const TOLLGATE_OK: i32 = 0;
/// A check's answer: the request may pass, and was charged. The same as TOLLGATE_OK.
pub const TOLLGATE_ALLOWED: i32 = 0;
/// A check's answer: denied now; waiting for `retry_after_ns` helps.
pub const TOLLGATE_LATER: i32 = 1;
/// A check's answer: denied, and waiting does not help.
pub const TOLLGATE_NEVER: i32 = 2;
/// There was nothing, or not any more: no lease that lives, no block.
pub const TOLLGATE_GONE: i32 = 3;

/// A pointer that must not be NULL is.
pub const TOLLGATE_ERROR_NULL: i32 = -1;
/// The `size` of a struct is none that it ever had, or was not set.
pub const TOLLGATE_ERROR_SIZE: i32 = -2;
/// A length is larger than any memory.
pub const TOLLGATE_ERROR_LENGTH: i32 = -3;
/// A pointer is not aligned as its type wants.
pub const TOLLGATE_ERROR_ALIGNMENT: i32 = -4;
/// A text is not UTF-8.
pub const TOLLGATE_ERROR_UTF8: i32 = -5;
/// A code, a flag, or a field beyond the known size that this version does not know.
pub const TOLLGATE_ERROR_UNKNOWN: i32 = -6;
/// No attribute, dimension or entry has this number.
pub const TOLLGATE_ERROR_ID: i32 = -7;
/// Nothing is called so.
pub const TOLLGATE_ERROR_NAME: i32 = -8;
/// A buffer is too small. What is needed was told; nothing was written but a NUL.
pub const TOLLGATE_ERROR_BUFFER: i32 = -9;
/// No quota: the text or the numbers of one are wrong.
pub const TOLLGATE_ERROR_QUOTA: i32 = -10;
/// A limiter like this cannot be built.
pub const TOLLGATE_ERROR_BUILD: i32 = -11;
/// There is no room for this quota in the limiter that there is.
pub const TOLLGATE_ERROR_ROOM: i32 = -12;
/// The memory could not be had.
pub const TOLLGATE_ERROR_MEMORY: i32 = -13;
/// A file could not be read.
pub const TOLLGATE_ERROR_FILE: i32 = -14;
/// A policy is wrong; tollgate_last_error says where.
pub const TOLLGATE_ERROR_POLICY: i32 = -15;
/// The verdict holds no decision.
pub const TOLLGATE_ERROR_EMPTY: i32 = -16;
/// This limiter does not do that: it was not told to, or its algorithm cannot.
pub const TOLLGATE_ERROR_UNSUPPORTED: i32 = -17;
/// A build that checks handles: it was freed, or is of another kind.
pub const TOLLGATE_ERROR_HANDLE: i32 = -18;
/// A fault of the library, which it survived. Please report it.
pub const TOLLGATE_ERROR_PANIC: i32 = -19;

/// Memory that processes share could not be had, is damaged, or has something else in it.
pub const TOLLGATE_ERROR_REGION: i32 = -20;

/// As a length: a NUL ends the text or the key. (In `tests/header.rs` once more: cbindgen
/// knows no such constant.)
pub(crate) const TOLLGATE_TERMINATED: usize = usize::MAX;
/// As `now_ns`: the limiter reads its clock.
pub const TOLLGATE_NOW: u64 = u64::MAX;
/// As a time: there is none. Waiting does not help, nothing comes back, nobody knows.
pub const TOLLGATE_FOREVER: u64 = u64::MAX;
