//! What a limiter answers.

use crate::{
    error,
    number::{nanos, seconds},
    quota::Quota,
};
use parking_lot::Mutex;
use pyo3::{exceptions::PyValueError, prelude::*, sync::PyOnceLock};
use std::time::Duration;
use tollgate::{
    Outcome,
    headers::{self, Answer, Dialect, Fields, Reported, Reset},
};

/// The whole answer of a limiter, allowed or denied. It is true where the request may pass.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct Decision {
    pub(crate) decided: tollgate::Decision,
    /// Made when it is asked for, and once: what was given back is given back for everyone
    /// who has the decision.
    charge: PyOnceLock<Py<Charge>>,
}

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "allowed",
        Outcome::Later => "later",
        _ => "never",
    }
}

pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))
}

fn fields(dialect: &str) -> PyResult<Fields> {
    Ok(match dialect {
        "x-ratelimit" => Fields::XRateLimit,
        "ratelimit" => Fields::RateLimit,
        "retry-after" => Fields::RetryAfter,
        "none" => Fields::None,
        other => {
            return Err(PyValueError::new_err(format!(
                "no dialect: {other:?}; there are \"x-ratelimit\", \"ratelimit\", \"retry-after\" \
                 and \"none\""
            )));
        }
    })
}

fn reset(reset: &str) -> PyResult<Reset> {
    match reset {
        "epoch" => Ok(Reset::Epoch),
        "delta" => Ok(Reset::Delta),
        other => Err(PyValueError::new_err(format!(
            "no way to count a reset: {other:?}; there are \"epoch\" and \"delta\""
        ))),
    }
}

/// The time in which a whole burst comes back.
fn window(quota: &tollgate::Quota) -> Duration {
    let full = quota.period().as_nanos().saturating_mul(u128::from(quota.burst_units()));
    let nanos = full.div_ceil(u128::from(quota.units()));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[pymethods]
impl Decision {
    /// Whether the request may pass.
    #[getter]
    fn allowed(&self) -> bool {
        self.decided.is_allowed()
    }

    /// Whether it may not, now or ever.
    #[getter]
    fn denied(&self) -> bool {
        self.decided.is_denied()
    }

    fn __bool__(&self) -> bool {
        self.decided.is_allowed()
    }

    /// "allowed", "later" (after `retry_after`), or "never": it costs more than the limit.
    #[getter]
    fn outcome(&self) -> &'static str {
        outcome(self.decided.outcome())
    }

    /// Units that may pass at once.
    #[getter]
    fn limit(&self) -> u64 {
        self.decided.limit()
    }

    /// Units that could still pass now.
    #[getter]
    fn remaining(&self) -> u64 {
        self.decided.remaining()
    }

    /// Seconds until the same request is allowed if nothing else comes; None where it was
    /// allowed, and where waiting does not help.
    #[getter]
    fn retry_after(&self) -> Option<f64> {
        self.decided.retry_after().map(seconds)
    }

    /// The same in nanoseconds: exactly then, and not one earlier.
    #[getter]
    fn retry_after_ns(&self) -> Option<u64> {
        self.decided.retry_after().map(nanos)
    }

    /// The same in whole seconds, rounded up, as the field Retry-After has it.
    #[getter]
    fn retry_after_secs(&self) -> Option<u64> {
        self.decided.retry_after_secs()
    }

    /// Seconds until all of it is back (GCRA), or the oldest units (log, counter).
    #[getter]
    fn reset_after(&self) -> f64 {
        seconds(self.decided.reset_after())
    }

    /// The same in nanoseconds.
    #[getter]
    fn reset_after_ns(&self) -> u64 {
        nanos(self.decided.reset_after())
    }

    /// Seconds until all of it is back.
    #[getter]
    fn full_after(&self) -> f64 {
        seconds(self.decided.full_after())
    }

    /// Seconds until more remains than now.
    #[getter]
    fn next_after(&self) -> f64 {
        seconds(self.decided.next_after())
    }

    /// Seconds to wait before what was reserved is done; else 0.
    #[getter]
    fn wait(&self) -> f64 {
        seconds(self.decided.wait())
    }

    /// The same in nanoseconds.
    #[getter]
    fn wait_ns(&self) -> u64 {
        nanos(self.decided.wait())
    }

    /// False only where a limiter full of live keys gave its configured answer to a new one.
    #[getter]
    fn accounted(&self) -> bool {
        self.decided.is_accounted()
    }

    /// What was charged, for `refund` and `settle`; None if nothing was. Always the same object.
    #[getter]
    pub(crate) fn charge<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, Charge>>> {
        let Some(charge) = self.decided.charge() else { return Ok(None) };
        let charge = self.charge.get_or_try_init(py, || Py::new(py, Charge::new(charge)))?;
        Ok(Some(charge.bind(py).clone()))
    }

    /// Header fields for the response, each a name and a value.
    ///
    /// `dialect` is "x-ratelimit", "ratelimit" (the IETF's draft), "retry-after" or "none";
    /// `name` what the draft calls the limit; `reset` "epoch" or "delta"; `quota` lets the
    /// draft tell the window.
    #[pyo3(signature = (dialect = "x-ratelimit", *, name = "default", reset = "epoch", quota = None))]
    fn headers(
        &self,
        dialect: &str,
        name: &str,
        reset: &str,
        quota: Option<Bound<'_, Quota>>,
    ) -> PyResult<Vec<(String, String)>> {
        let mut reported = Reported::from_decision(name, &self.decided);
        reported.window = quota.map(|quota| window(&quota.get().0));
        let reported = [reported];
        let answer = Answer::new(&reported, headers::unix_now());
        let spoken = Dialect::new(fields(dialect)?).with_reset(self::reset(reset)?);
        Ok(spoken.response(&answer).fields)
    }

    /// The decision itself where it allows; else raises `Denied`.
    fn raise_if_denied(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        if slf.get().decided.is_allowed() { Ok(slf) } else { Err(Self::raised(slf)) }
    }

    fn __str__(&self) -> String {
        self.decided.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<tollgate.Decision: {}>", self.decided)
    }
}

impl Decision {
    pub(crate) fn new(decided: tollgate::Decision) -> Self {
        Self { decided, charge: PyOnceLock::new() }
    }

    pub(crate) fn raised(slf: Bound<'_, Self>) -> PyErr {
        error::denied(slf.py(), slf.get().decided.to_string(), slf.into_any())
    }
}

/// Units that were charged, and when. Given back once; what was settled is in it.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct Charge(pub(crate) Mutex<tollgate::Charge>);

impl Charge {
    pub(crate) fn new(charge: tollgate::Charge) -> Self {
        Self(Mutex::new(charge))
    }

    /// Takes the charge, of which nothing is left to be given back.
    pub(crate) fn take(&self) -> tollgate::Charge {
        let mut charge = self.0.lock();
        let [_, at, _] = charge.to_words();
        std::mem::replace(&mut *charge, tollgate::Charge::from_words([0, at, 0]))
    }
}

#[pymethods]
impl Charge {
    /// How many units are charged.
    #[getter]
    fn units(&self) -> u64 {
        self.0.lock().units()
    }

    /// When they were, by the limiter's clock.
    #[getter]
    fn at_ns(&self) -> u64 {
        self.0.lock().at().as_u64()
    }

    fn __repr__(&self) -> String {
        format!("<tollgate.Charge of {}>", self.units())
    }
}
