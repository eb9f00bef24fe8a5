//! Charges that are estimates: settled or given back when the work is over.

use crate::{
    decision::{Charge, Decision},
    key::OwnKey,
    keyed::KeyedLimiter,
    limiter::Limiter,
};
use parking_lot::Mutex;
use pyo3::prelude::*;

/// Where something is spent.
pub(crate) enum Purse {
    One(Py<Limiter>),
    Keyed(Py<KeyedLimiter>, OwnKey),
}

/// Units that were charged before the work, to be settled once its cost is known. As a
/// context manager, it raises `Denied` where they were not to be had, and gives them back
/// where the block raises.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct Spend {
    purse: Purse,
    decision: Py<Decision>,
    /// That of the decision: who gives back the one has given back the other.
    charge: Option<Py<Charge>>,
    settled: Mutex<bool>,
}

impl Spend {
    pub(crate) fn new(py: Python<'_>, purse: Purse, decided: tollgate::Decision) -> PyResult<Self> {
        let decision = Bound::new(py, Decision::new(decided))?;
        let charge = decision.get().charge(py)?.map(Bound::unbind);
        Ok(Self { purse, decision: decision.unbind(), charge, settled: Mutex::new(false) })
    }

    fn looked(&self) -> tollgate::Decision {
        match &self.purse {
            Purse::One(limiter) => limiter.get().peeked(),
            Purse::Keyed(limiter, key) => limiter.get().peeked(key.get()),
        }
    }
}

#[pymethods]
impl Spend {
    /// What was decided when the units were asked for.
    #[getter]
    fn decision(&self, py: Python<'_>) -> Py<Decision> {
        self.decision.clone_ref(py)
    }

    /// How many units are charged now.
    #[getter]
    fn units(&self) -> u64 {
        self.charge.as_ref().map_or(0, |charge| charge.get().0.lock().units())
    }

    fn __bool__(&self) -> bool {
        self.decision.get().decided.is_allowed()
    }

    /// Makes it so many units in all: gives back what was too much, and charges what was too
    /// little, beyond the limit if need be. Tells how the limiter stands then.
    fn settle(&self, units: crate::number::Units) -> Decision {
        let Some(charge) = &self.charge else { return Decision::new(self.looked()) };
        *self.settled.lock() = true;
        Decision::new(match &self.purse {
            Purse::One(limiter) => limiter.get().settled(charge.get(), units.0),
            Purse::Keyed(limiter, key) => limiter.get().settled(key.get(), charge.get(), units.0),
        })
    }

    /// Gives everything back, once. Tells how the limiter stands then.
    fn refund(&self) -> Decision {
        let Some(charge) = &self.charge else { return Decision::new(self.looked()) };
        Decision::new(match &self.purse {
            Purse::One(limiter) => limiter.get().refunded(charge.get()),
            Purse::Keyed(limiter, key) => limiter.get().refunded(key.get(), charge.get()),
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let decision = slf.get().decision.bind(slf.py());
        if decision.get().decided.is_allowed() {
            return Ok(slf);
        }
        Err(Decision::raised(decision.clone()))
    }

    #[pyo3(signature = (kind, _value, _trace))]
    fn __exit__(
        &self,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> bool {
        // What was settled is known to have been used.
        if !kind.is_none() && !*self.settled.lock() {
            let _ = self.refund();
        }
        false
    }

    fn __repr__(&self) -> String {
        format!("<tollgate.Spend of {}: {}>", self.units(), self.decision.get().decided)
    }
}
