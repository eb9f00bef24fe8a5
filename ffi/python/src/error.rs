//! Faults as exceptions.

use pyo3::{
    create_exception,
    exceptions::{PyException, PyMemoryError, PyValueError},
    prelude::*,
    types::PyTuple,
};
use std::{fmt::Display, io};
use tollgate::{BuildError, RegionError as Fault, RoomError, ShareError, policy};

create_exception!(tollgate, TollgateError, PyValueError, "What tollgate refuses, and why.");
create_exception!(tollgate, QuotaError, TollgateError, "No quota: its text or its numbers.");
create_exception!(
    tollgate,
    LimiterError,
    TollgateError,
    "A limiter cannot be made like this, or has no room for a quota."
);
create_exception!(
    tollgate,
    PolicyError,
    TollgateError,
    "A policy is wrong: `problems` has every mistake with its line and column."
);
create_exception!(
    tollgate,
    RegionError,
    TollgateError,
    "Memory that processes share is damaged, or has something else in it."
);
create_exception!(
    tollgate,
    Denied,
    PyException,
    "The request may not pass: `decision` says why and for how long."
);

pub(crate) fn quota(error: impl Display) -> PyErr {
    QuotaError::new_err(error.to_string())
}

pub(crate) fn build(error: BuildError) -> PyErr {
    match error {
        BuildError::OutOfMemory { .. } => PyMemoryError::new_err(error.to_string()),
        error => LimiterError::new_err(error.to_string()),
    }
}

pub(crate) fn room(error: RoomError) -> PyErr {
    LimiterError::new_err(error.to_string())
}

pub(crate) fn region(error: Fault) -> PyErr {
    match error {
        // As `open` would raise it.
        Fault::Io { doing, error } => {
            io::Error::new(error.kind(), format!("{doing}: {error}")).into()
        }
        error => RegionError::new_err(error.to_string()),
    }
}

pub(crate) fn share(error: ShareError) -> PyErr {
    match error {
        ShareError::Build(error) => build(error),
        ShareError::Region(error) => region(error),
        error => LimiterError::new_err(error.to_string()),
    }
}

/// One mistake in a policy.
#[pyclass(frozen, module = "tollgate")]
#[derive(Debug)]
pub(crate) struct Problem {
    /// Counted from 1.
    #[pyo3(get)]
    line: usize,
    /// In characters, counted from 1.
    #[pyo3(get)]
    column: usize,
    /// What is wrong.
    #[pyo3(get)]
    message: String,
    /// What would be right, where that is known.
    #[pyo3(get)]
    hint: Option<String>,
}

#[pymethods]
impl Problem {
    #[new]
    #[pyo3(signature = (line, column, message, hint = None))]
    fn new(line: usize, column: usize, message: String, hint: Option<String>) -> Self {
        Self { line, column, message, hint }
    }

    /// So that a `PolicyError` comes through whole from another process.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let Self { line, column, message, hint } = slf.get();
        let made_of = (*line, *column, message, hint.as_deref()).into_pyobject(slf.py())?;
        (slf.get_type(), made_of).into_pyobject(slf.py())
    }

    fn __repr__(&self) -> String {
        let Self { line, column, message, .. } = self;
        format!("Problem(line={line}, column={column}, message={message:?})")
    }
}

pub(crate) fn policy(py: Python<'_>, error: &policy::PolicyError) -> PyErr {
    let problems: Vec<Problem> = error
        .problems()
        .map(|problem| Problem {
            line: problem.line(),
            column: problem.column(),
            message: problem.message().to_owned(),
            hint: problem.hint().map(str::to_owned),
        })
        .collect();
    let raised = PolicyError::new_err(error.to_string().trim_end().to_owned());
    match raised.value(py).setattr("problems", problems) {
        Ok(()) => raised,
        Err(other) => other,
    }
}

/// The exception for a denial.
pub(crate) fn denied(py: Python<'_>, message: String, decision: Bound<'_, PyAny>) -> PyErr {
    let raised = Denied::new_err(message);
    match raised.value(py).setattr("decision", decision) {
        Ok(()) => raised,
        Err(other) => other,
    }
}

/// Refuses to be pickled or copied: what it has is the memory of one process.
pub(crate) fn unpicklable(what: &str, instead: &str) -> PyErr {
    pyo3::exceptions::PyTypeError::new_err(format!(
        "a tollgate.{what} can neither be pickled nor copied: {instead}"
    ))
}

/// Why a limiter cannot be pickled.
pub(crate) const MAKE_ANOTHER: &str = "its state is in the memory of this process; make one in each process, and in a tollgate.Region \
     if they are to count together";
