//! Numbers and times as Python has them.

use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyBool, PyFloat, PyInt},
};
use std::time::Duration;

/// So many units: an int that is not negative.
#[derive(Clone, Copy)]
pub(crate) struct Units(pub(crate) u64);

impl<'a, 'py> FromPyObject<'a, 'py> for Units {
    type Error = PyErr;

    #[inline]
    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        whole(&given, "units").map(Self)
    }
}

/// An int from 0 to 2**64 - 1, and nothing that is only like one.
pub(crate) fn whole(given: &Bound<'_, PyAny>, what: &str) -> PyResult<u64> {
    if !given.is_instance_of::<PyInt>() || given.is_instance_of::<PyBool>() {
        let kind = given.get_type();
        let kind = kind.name()?;
        return Err(PyTypeError::new_err(format!("{what} are an int, not {kind}")));
    }
    given.extract().map_err(|_| {
        PyValueError::new_err(format!("{what} are from 0 to 2**64 - 1, not {}", shown(given)))
    })
}

/// A number for a message, not in full if it has a thousand digits.
fn shown(given: &Bound<'_, PyAny>) -> String {
    let text = given.str().map(|text| text.to_string()).unwrap_or_default();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None if text.is_empty() => "such a number".to_owned(),
        None => text,
    }
}

/// A span of time: seconds as an int or a float, or a `timedelta`.
#[derive(Clone, Copy)]
pub(crate) struct Span(pub(crate) Duration);

impl<'a, 'py> FromPyObject<'a, 'py> for Span {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let refused = || {
            PyValueError::new_err(format!(
                "a time is 0 s or more, and finite, not {}",
                shown(&given)
            ))
        };
        if given.is_instance_of::<PyBool>() {
            return Err(PyTypeError::new_err("a time is seconds or a timedelta, not bool"));
        }
        if given.is_instance_of::<PyInt>() {
            return Ok(Self(Duration::from_secs(given.extract().map_err(|_| refused())?)));
        }
        if let Ok(seconds) = given.cast::<PyFloat>() {
            let span = Duration::try_from_secs_f64(seconds.extract()?).map_err(|_| refused())?;
            return Ok(Self(span));
        }
        let delta = given.py().import("datetime")?.getattr("timedelta")?;
        if !given.is_instance(&delta)? {
            let kind = given.get_type();
            let kind = kind.name()?;
            return Err(PyTypeError::new_err(format!(
                "a time is seconds (int or float) or a timedelta, not {kind}"
            )));
        }
        given.extract().map(Self).map_err(|_| refused())
    }
}

/// Nanoseconds, for 584 years.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds, never fewer than that: who waits so long has waited long enough.
#[allow(clippy::cast_precision_loss)] // seconds of a limiter's times are below 2^53
pub(crate) fn seconds(span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    let rest = seconds - span.as_secs() as f64;
    // Rounded once, so its sign is true.
    let missing = rest.mul_add(1e9, -f64::from(span.subsec_nanos()));
    if missing < 0.0 { seconds.next_up() } else { seconds }
}
