//! How full limiters are, and what they decided.

use pyo3::{prelude::*, types::PyBytes};

/// How full a limiter is.
#[pyclass(frozen, module = "tollgate", get_all)]
pub(crate) struct Gauges {
    /// Keys that are not as good as new: exact in small tables, an estimate in large ones.
    live_keys: usize,
    /// Places for keys.
    slots: usize,
    /// How often a new key found no place.
    saturated: u64,
    /// How many live keys it was made for.
    capacity: usize,
    /// Bytes of memory.
    memory: usize,
}

impl Gauges {
    pub(crate) fn new(gauges: &tollgate::Gauges, capacity: usize, memory: usize) -> Self {
        let (live_keys, slots) = (gauges.live_keys(), gauges.slots());
        Self { live_keys, slots, saturated: gauges.saturated(), capacity, memory }
    }
}

#[pymethods]
impl Gauges {
    fn __repr__(&self) -> String {
        let Self { live_keys, slots, saturated, capacity, memory } = self;
        format!(
            "Gauges(live_keys={live_keys}, slots={slots}, saturated={saturated}, \
             capacity={capacity}, memory={memory})"
        )
    }
}

/// Decisions since a limiter was made.
#[pyclass(frozen, module = "tollgate", get_all)]
pub(crate) struct Counts {
    /// Allowed and charged.
    allowed: u64,
    /// Denied.
    denied: u64,
    /// New keys that found no place, and got the configured answer.
    unaccounted: u64,
}

impl Counts {
    pub(crate) fn new(counts: tollgate::Counts) -> Self {
        let tollgate::Counts { allowed, denied, unaccounted, .. } = counts;
        Self { allowed, denied, unaccounted }
    }
}

#[pymethods]
impl Counts {
    fn __repr__(&self) -> String {
        let Self { allowed, denied, unaccounted } = self;
        format!("Counts(allowed={allowed}, denied={denied}, unaccounted={unaccounted})")
    }
}

/// One of the keys denied most.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct DeniedKey {
    name: Vec<u8>,
    /// The key, if it was an int.
    #[pyo3(get)]
    number: Option<u64>,
    /// How often it was denied, or somewhat more.
    #[pyo3(get)]
    denials: u64,
    /// By how much `denials` may be too high.
    #[pyo3(get)]
    excess: u64,
}

impl DeniedKey {
    pub(crate) fn new(key: &tollgate::DeniedKey) -> Self {
        Self {
            name: key.name().to_owned(),
            number: key.hash(),
            denials: key.denials(),
            excess: key.excess(),
        }
    }
}

#[pymethods]
impl DeniedKey {
    /// The key's first 63 bytes; of a str, in UTF-8.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.name)
    }

    fn __repr__(&self) -> String {
        let name = String::from_utf8_lossy(&self.name);
        format!("DeniedKey(name={name:?}, denials={}, excess={})", self.denials, self.excess)
    }
}
