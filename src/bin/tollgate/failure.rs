//! Why a run ends early, and with which exit code.

/// One line for standard error, and the exit code that goes with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl Failure {
    /// The run could not be done as it was asked for.
    pub(crate) fn new(message: String) -> Self {
        Self { message, code: 2 }
    }

    /// The log is not as `--strict` wants it.
    pub(crate) fn strict(message: String) -> Self {
        Self { message, code: 1 }
    }
}
