//! Header fields before they are text: which, and what it says.

/// A field that a dialect may send. What it is called, the dialect knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Limit,
    Remaining,
    Reset,
    RetryAfter,
    Policy,
    RateLimit,
    CacheControl,
    ContentType,
}

/// What a field says: a number, of which whoever sends it makes digits, or a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Number(u64),
    Text(&'a str),
    /// One that is the same in all answers.
    Fixed(&'static str),
}
