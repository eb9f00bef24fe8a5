//! Quotas.

use crate::{
    error,
    number::{Span, Units, nanos, seconds},
};
use pyo3::{exceptions::PyTypeError, prelude::*, types::PyString};
use std::time::Duration;
use tollgate::QuotaError;

/// So many units per period (seconds or a timedelta), and so many at once; or the text of
/// one, such as "100/min" or "100/s burst 20".
#[pyclass(frozen, module = "tollgate", eq, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Quota(pub(crate) tollgate::Quota);

/// Where a quota is wanted: one, or its text.
#[derive(Clone, Copy)]
pub(crate) struct QuotaArgument(pub(crate) tollgate::Quota);

impl<'a, 'py> FromPyObject<'a, 'py> for QuotaArgument {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = given.cast::<PyString>() {
            return parse(text.to_str()?).map(Self);
        }
        if let Ok(quota) = given.cast::<Quota>() {
            return Ok(Self(quota.get().0));
        }
        let kind = given.get_type();
        let kind = kind.name()?;
        Err(PyTypeError::new_err(format!(
            "a quota is a tollgate.Quota or its text, such as \"100/min\", not {kind}"
        )))
    }
}

fn parse(text: &str) -> PyResult<tollgate::Quota> {
    text.parse().map_err(|fault: QuotaError| match fault {
        QuotaError::Syntax => error::quota(format!("{text:?}: {fault}")),
        fault => error::quota(fault),
    })
}

fn with_burst(units: u64, period: Duration, burst: Option<Units>) -> PyResult<Quota> {
    let quota = match burst {
        Some(Units(burst)) => tollgate::Quota::with_burst(units, period, burst),
        None => tollgate::Quota::new(units, period),
    };
    quota.map(Quota).map_err(error::quota)
}

#[pymethods]
impl Quota {
    #[new]
    #[pyo3(signature = (units, period = None, *, burst = None))]
    fn new(units: &Bound<'_, PyAny>, period: Option<Span>, burst: Option<Units>) -> PyResult<Self> {
        match (period, units.cast::<PyString>()) {
            (None, Ok(text)) if burst.is_none() => parse(text.to_str()?).map(Self),
            (None, Ok(_)) => {
                Err(PyTypeError::new_err("the text of a quota says its burst: \"100/s burst 20\""))
            }
            (Some(_), Ok(_)) => {
                Err(PyTypeError::new_err("the text of a quota says its period: \"100/min\""))
            }
            (Some(period), Err(_)) => with_burst(units.extract::<Units>()?.0, period.0, burst),
            (None, Err(_)) => Err(PyTypeError::new_err(
                "a quota has a period: Quota(100, 60.0), or its text: Quota(\"100/min\")",
            )),
        }
    }

    /// `n` units in each second.
    #[staticmethod]
    #[pyo3(signature = (n, *, burst = None))]
    fn n_per_second(n: Units, burst: Option<Units>) -> PyResult<Self> {
        with_burst(n.0, Duration::from_secs(1), burst)
    }

    /// `n` units in each minute.
    #[staticmethod]
    #[pyo3(signature = (n, *, burst = None))]
    fn n_per_minute(n: Units, burst: Option<Units>) -> PyResult<Self> {
        with_burst(n.0, Duration::from_secs(60), burst)
    }

    /// `n` units in each hour.
    #[staticmethod]
    #[pyo3(signature = (n, *, burst = None))]
    fn n_per_hour(n: Units, burst: Option<Units>) -> PyResult<Self> {
        with_burst(n.0, Duration::from_secs(3600), burst)
    }

    /// `n` units in each day of 24 hours.
    #[staticmethod]
    #[pyo3(signature = (n, *, burst = None))]
    fn n_per_day(n: Units, burst: Option<Units>) -> PyResult<Self> {
        with_burst(n.0, Duration::from_secs(86_400), burst)
    }

    /// One unit in each period (seconds or a timedelta).
    #[staticmethod]
    fn one_every(period: Span) -> PyResult<Self> {
        with_burst(1, period.0, None)
    }

    /// Units per period.
    #[getter]
    fn units(&self) -> u64 {
        self.0.units()
    }

    /// The period in seconds.
    #[getter]
    fn period(&self) -> f64 {
        seconds(self.0.period())
    }

    /// The period in nanoseconds.
    #[getter]
    fn period_ns(&self) -> u64 {
        nanos(self.0.period())
    }

    /// Units that may pass at once.
    #[getter]
    fn burst(&self) -> u64 {
        self.0.burst_units()
    }

    /// The share of the rate that rounding takes away, mostly 0.
    #[getter]
    fn rate_shortfall(&self) -> f64 {
        self.0.rate_shortfall()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("Quota('{}')", self.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (String,)) {
        (slf.get_type().into_any(), (slf.get().0.to_string(),))
    }
}
