//! Why a run ends early, and with which exit code.

/// What standard error is told, and the exit code that goes with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
    /// Whether the message says by itself what it is about.
    pub(crate) whole: bool,
}

impl Failure {
    /// The run could not be done as it was asked for.
    pub(crate) fn new(message: String) -> Self {
        Self { message, code: 2, whole: false }
    }

    /// The log is not as `--strict` wants it.
    pub(crate) fn strict(message: String) -> Self {
        Self { message, code: 1, whole: false }
    }

    /// A policy file is wrong: each problem with its place, as compilers tell theirs.
    pub(crate) fn policy(message: String, code: u8) -> Self {
        Self { message, code, whole: true }
    }
}
