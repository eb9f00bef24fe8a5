//! Regions: memory in which several processes have their limits together.

use crate::error;
use pyo3::{prelude::*, types::PyBytes};
use std::path::PathBuf;

/// Memory that processes share: the file of that path, which is made if it is not there.
/// Limiters and policies that are made in it (`region=`) are of all processes that make the
/// same there, and of both after a fork.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct Region(pub(crate) tollgate::Region);

#[pymethods]
impl Region {
    #[new]
    #[pyo3(signature = (path, *, mode = 0o600), text_signature = "(path, *, mode=0o600)")]
    fn new(py: Python<'_>, path: PathBuf, mode: u32) -> PyResult<Self> {
        let opened = py.detach(|| tollgate::Region::options().mode(mode).open(path));
        opened.map(Self).map_err(error::region)
    }

    /// Makes a region of a snapshot, in a file that must not be there yet.
    #[staticmethod]
    fn restore(py: Python<'_>, path: PathBuf, snapshot: &[u8]) -> PyResult<Self> {
        let restored = py.detach(|| tollgate::Region::restore(path, snapshot));
        restored.map(Self).map_err(error::region)
    }

    /// All that is in the region, to be stored and restored.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.0.snapshot()).map_err(error::region)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The names of what is in it, in the order in which it came.
    fn names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.0.names()).map_err(error::region)
    }

    /// Bytes in use.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// The file.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.0.path().map(PathBuf::from)
    }

    fn __repr__(&self) -> String {
        let path = self.0.path().map(|path| path.display().to_string()).unwrap_or_default();
        format!("<tollgate.Region {path:?}>")
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(error::unpicklable("Region", "open it by its path in each process"))
    }
}
