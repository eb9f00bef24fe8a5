//! What a policy says of a request.

use crate::{
    clock::ManualClock,
    decision::{self, Decision, whole_seconds},
    error,
    number::{Units, nanos, seconds},
};
use parking_lot::Mutex;
use pyo3::{exceptions::PyKeyError, prelude::*, types::PyBytes};
use self_cell::self_cell;
use std::{fmt::Write as _, sync::Arc};
use tollgate::policy::{Cause, Moment, Policy, PolicyDecision as Decided};

self_cell!(
    /// A decision, and the policy that it borrows from.
    pub(crate) struct Held {
        owner: Arc<Policy>,
        #[covariant]
        dependent: Decided,
    }
);

/// The whole answer to one request: may it pass, what every limit says, and which one binds.
/// It is true where the request may pass. As a context manager it raises `Denied` where it
/// may not, and ends its leases when the block is over.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct PolicyDecision {
    allowed: bool,
    held: Mutex<Held>,
    clock: Option<Py<ManualClock>>,
}

impl PolicyDecision {
    pub(crate) fn new(held: Held, clock: Option<Py<ManualClock>>) -> Self {
        Self { allowed: held.borrow_dependent().is_allowed(), held: Mutex::new(held), clock }
    }

    fn read<T>(&self, read: impl FnOnce(&Decided<'_>) -> T) -> T {
        read(self.held.lock().borrow_dependent())
    }

    fn change(&self, change: impl FnOnce(&mut Decided<'_>, Option<Moment>)) {
        let moment = self.clock.as_ref().map(|clock| clock.get().moment());
        self.held.lock().with_dependent_mut(|_, decided| change(decided, moment));
    }

    fn raised(slf: &Bound<'_, Self>) -> PyErr {
        let said = slf.get().__str__();
        error::denied(slf.py(), said, slf.clone().into_any())
    }
}

/// What decided: its kind, the name of the rule or limit, the attribute that is missing.
fn cause(cause: Cause<'_>) -> (&'static str, Option<&str>, Option<&str>) {
    match cause {
        Cause::Exempt(name) => ("exempt", Some(name), None),
        Cause::Refused(name) => ("refused", Some(name), None),
        Cause::Blocked(name) => ("blocked", Some(name), None),
        Cause::Missing { limit, attribute } => ("missing", Some(limit), Some(attribute)),
        _ => ("limits", None, None),
    }
}

#[pymethods]
impl PolicyDecision {
    /// Whether the request may pass.
    #[getter]
    fn allowed(&self) -> bool {
        self.allowed
    }

    /// Whether it may not, now or ever.
    #[getter]
    fn denied(&self) -> bool {
        !self.allowed
    }

    fn __bool__(&self) -> bool {
        self.allowed
    }

    /// "allowed", "later" (after `retry_after`), or "never".
    #[getter]
    fn outcome(&self) -> &'static str {
        self.read(|decided| decision::outcome(decided.outcome()))
    }

    /// What decided: "limits", "exempt", "refused", "blocked", or "missing".
    #[getter]
    fn cause(&self) -> &'static str {
        self.read(|decided| cause(decided.cause()).0)
    }

    /// The name of the rule or penalty, or of the limit that lacks an attribute.
    #[getter]
    fn cause_name(&self) -> Option<String> {
        self.read(|decided| cause(decided.cause()).1.map(str::to_owned))
    }

    /// The attribute that is missing.
    #[getter]
    fn cause_attribute(&self) -> Option<String> {
        self.read(|decided| cause(decided.cause()).2.map(str::to_owned))
    }

    /// Seconds until the same request is allowed if nothing else comes; None where it was
    /// allowed, and where waiting does not help.
    #[getter]
    fn retry_after(&self) -> Option<f64> {
        self.read(|decided| decided.retry_after().map(seconds))
    }

    /// The same in nanoseconds.
    #[getter]
    fn retry_after_ns(&self) -> Option<u64> {
        self.read(|decided| decided.retry_after().map(nanos))
    }

    /// The same in whole seconds, rounded up.
    #[getter]
    fn retry_after_secs(&self) -> Option<u64> {
        self.read(|decided| decided.retry_after().map(whole_seconds))
    }

    /// The status of a denial, as the policy has it; None when it was allowed.
    #[getter]
    fn status(&self) -> Option<u16> {
        self.held.lock().borrow_dependent().status()
    }

    /// Header fields for the response of every request, each a name and a value.
    #[getter]
    fn headers(&self) -> Vec<(String, String)> {
        self.read(|decided| {
            let (mut buffer, mut fields) = (String::new(), Vec::new());
            decided.fields(&mut buffer, |name, value| {
                fields.push((name.to_owned(), value.to_owned()));
            });
            fields
        })
    }

    /// The body of a denial, if the policy has one.
    #[getter]
    fn body(&self) -> Option<String> {
        let mut body = String::new();
        self.read(|decided| decided.body(&mut body)).then_some(body)
    }

    /// Every limit that was asked, in the order of the file.
    #[getter]
    fn limits(&self) -> Vec<LimitDecision> {
        self.read(|decided| decided.limits().map(LimitDecision::new).collect())
    }

    /// The limit that binds: the one that said no with the longest wait, or of those that said
    /// yes the one with the least left.
    #[getter]
    fn binding(&self) -> Option<LimitDecision> {
        self.read(|decided| decided.binding().map(LimitDecision::new))
    }

    /// The limit of that name, if it was asked.
    fn limit(&self, name: &str) -> Option<LimitDecision> {
        self.read(|decided| decided.limit(name).map(LimitDecision::new))
    }

    fn __getitem__(&self, name: &str) -> PyResult<LimitDecision> {
        self.limit(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    /// Ends the leases that the request holds, because it is over.
    fn release(&self) {
        self.change(|decided, moment| match moment {
            None => decided.release(),
            Some(moment) => decided.release_at(moment),
        });
    }

    /// Gives back what was charged, once, and ends the leases.
    fn refund(&self) {
        self.change(|decided, moment| match moment {
            None => decided.refund(),
            Some(moment) => decided.refund_at(moment),
        });
    }

    /// Corrects an estimate: what the request cost in a dimension, once it is known.
    /// A dimension that no limit of the policy counts is a `KeyError`.
    fn settle(&self, dimension: &str, units: Units) -> PyResult<()> {
        if self.held.lock().borrow_owner().dimension_id(dimension).is_none() {
            return Err(PyKeyError::new_err(dimension.to_owned()));
        }
        self.change(|decided, moment| match moment {
            None => decided.settle(dimension, units.0),
            Some(moment) => decided.settle_at(dimension, units.0, moment),
        });
        Ok(())
    }

    /// The decision itself where it allows; else raises `Denied`.
    fn raise_if_denied(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        if slf.get().allowed { Ok(slf) } else { Err(Self::raised(&slf)) }
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        Self::raise_if_denied(slf)
    }

    #[pyo3(signature = (_kind, _value, _trace))]
    fn __exit__(
        &self,
        _kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> bool {
        self.release();
        false
    }

    fn __str__(&self) -> String {
        self.read(|decided| {
            let mut said = if self.allowed { "allowed" } else { "denied" }.to_owned();
            match cause(decided.cause()) {
                ("limits", ..) => {
                    if let Some(limit) = decided.binding() {
                        let _ = write!(said, " by {}: {}", limit.name(), limit.decision());
                    }
                }
                (kind, name, attribute) => {
                    let _ = write!(said, ", {kind}: {}", name.unwrap_or_default());
                    if let Some(attribute) = attribute {
                        let _ = write!(said, " lacks {attribute}");
                    }
                }
            }
            said
        })
    }

    fn __repr__(&self) -> String {
        format!("<tollgate.PolicyDecision: {}>", self.__str__())
    }
}

/// What one limit of a policy said.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct LimitDecision {
    /// As the file calls it.
    #[pyo3(get)]
    name: String,
    /// How it counts, as files call it.
    #[pyo3(get)]
    algorithm: &'static str,
    /// Whether it said no.
    #[pyo3(get)]
    violated: bool,
    /// Whether it only reports.
    #[pyo3(get)]
    shadow: bool,
    /// Whether this key has no quota here.
    #[pyo3(get)]
    unlimited: bool,
    /// The units that it was asked for.
    #[pyo3(get)]
    units: u64,
    /// A number for its key.
    #[pyo3(get)]
    key_hash: u64,
    decided: tollgate::Decision,
    lease: Option<[u8; 16]>,
}

impl LimitDecision {
    fn new(limit: tollgate::policy::LimitDecision<'_>) -> Self {
        Self {
            name: limit.name().to_owned(),
            algorithm: limit.algorithm().name(),
            violated: limit.is_violated(),
            shadow: limit.is_shadow(),
            unlimited: limit.is_unlimited(),
            units: limit.units(),
            key_hash: limit.key_hash(),
            decided: limit.decision(),
            lease: limit.lease().map(tollgate::LeaseId::to_bytes),
        }
    }
}

#[pymethods]
impl LimitDecision {
    /// Its own decision: limit, remaining, resets, wait.
    #[getter]
    fn decision(&self) -> Decision {
        Decision::new(self.decided)
    }

    /// How much of it is left.
    #[getter]
    fn remaining(&self) -> u64 {
        self.decided.remaining()
    }

    /// False only where a limit full of live keys let the request pass uncounted, or denied it.
    #[getter]
    fn accounted(&self) -> bool {
        self.decided.is_accounted()
    }

    /// The lease that the request holds (16 bytes), if it counts how many there are at a time.
    #[getter]
    fn lease<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.lease.map(|lease| PyBytes::new(py, &lease))
    }

    fn __repr__(&self) -> String {
        format!("<tollgate.LimitDecision {}: {}>", self.name, self.decided)
    }
}
