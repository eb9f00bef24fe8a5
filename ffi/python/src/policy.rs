//! `Policy`: limits written as a file.

use crate::{
    clock::{ManualClock, one_clock},
    error,
    gauges::Gauges,
    leases::lease_id,
    region::Region,
    request::{Arguments, Given},
    verdict::{Held, PolicyDecision},
};
use parking_lot::Mutex;
use pyo3::{
    exceptions::{PyKeyError, PyTypeError},
    prelude::*,
    types::{PyBytes, PyDict, PyString},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tollgate::policy::{self, LivePolicy, Moment, OverrideError, PolicyFile};

/// Limits that were read from a file or a text: made by `Policy.from_file` and
/// `Policy.from_text`. It can be replaced while requests are decided. Any number of threads
/// may use it at once.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct Policy {
    live: LivePolicy,
    clock: Option<Py<ManualClock>>,
    /// The file that `reload` reads again.
    origin: Mutex<Option<PathBuf>>,
}

fn read(py: Python<'_>, path: &Path) -> PyResult<PolicyFile> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| PyErr::from(io::Error::new(error.kind(), format!("{name}: {error}"))))?;
    PolicyFile::parse(&name, &bytes).map_err(|error| error::policy(py, &error))
}

fn parse(py: Python<'_>, name: &str, text: &Bound<'_, PyAny>) -> PyResult<PolicyFile> {
    let bytes = if let Ok(text) = text.cast::<PyString>() {
        text.to_str()?.as_bytes()
    } else if let Ok(bytes) = text.cast::<PyBytes>() {
        bytes.as_bytes()
    } else {
        let kind = text.get_type();
        let kind = kind.name()?;
        return Err(PyTypeError::new_err(format!("a policy's text is a str or bytes, not {kind}")));
    };
    PolicyFile::parse(name, bytes).map_err(|error| error::policy(py, &error))
}

impl Policy {
    fn make(
        py: Python<'_>,
        file: &PolicyFile,
        region: Option<&Bound<'_, Region>>,
        clock: Option<Bound<'_, ManualClock>>,
        origin: Option<PathBuf>,
    ) -> PyResult<Self> {
        let made = match (region.map(Bound::get), &clock) {
            (None, None) => policy::Policy::from_file(file),
            (None, Some(clock)) => policy::Policy::from_file_at(file, clock.get().moment()),
            // Waits for a lock of the region's file, at most ten seconds a limit.
            (Some(region), None) => py.detach(|| policy::Policy::from_file_in(file, &region.0)),
            (Some(_), Some(_)) => return Err(one_clock()),
        };
        let live = LivePolicy::new(made.map_err(|error| error::policy(py, &error))?);
        Ok(Self { live, clock: clock.map(Bound::unbind), origin: Mutex::new(origin) })
    }

    /// The moment by the clock of a test; `None` is now.
    fn moment(&self) -> Option<Moment> {
        self.clock.as_ref().map(|clock| clock.get().moment())
    }

    fn replaced(&self, py: Python<'_>, file: &PolicyFile) -> PyResult<()> {
        // With the interpreter held: so no fork happens while the lock of who replaces is
        // held, and no child inherits it locked.
        self.live.replace(file).map_err(|error| error::policy(py, &error))
    }

    /// That there is such a limit.
    fn known(policy: &policy::Policy, limit: &str) -> PyResult<policy::Algorithm> {
        policy.algorithm(limit).ok_or_else(|| PyKeyError::new_err(limit.to_owned()))
    }

    /// That there is such a limit of leases.
    fn known_leases(policy: &policy::Policy, limit: &str) -> PyResult<()> {
        match Self::known(policy, limit)? {
            policy::Algorithm::Leases => Ok(()),
            other => {
                let said = format!("the limit {limit:?} is not of leases, but a {}", other.name());
                Err(PyKeyError::new_err(said))
            }
        }
    }
}

#[pymethods]
impl Policy {
    /// Reads a policy from a file. In a `region` its limits are of all processes that make it
    /// there; with a `clock` it goes by that, for tests.
    #[staticmethod]
    #[pyo3(signature = (path, *, region = None, clock = None))]
    fn from_file(
        py: Python<'_>,
        path: PathBuf,
        region: Option<Bound<'_, Region>>,
        clock: Option<Bound<'_, ManualClock>>,
    ) -> PyResult<Self> {
        let file = read(py, &path)?;
        Self::make(py, &file, region.as_ref(), clock, Some(path))
    }

    /// Reads a policy from a text; `name` is what messages call it.
    #[staticmethod]
    #[pyo3(signature = (text, *, name = "policy", region = None, clock = None))]
    fn from_text(
        py: Python<'_>,
        text: &Bound<'_, PyAny>,
        name: &str,
        region: Option<Bound<'_, Region>>,
        clock: Option<Bound<'_, ManualClock>>,
    ) -> PyResult<Self> {
        let file = parse(py, name, text)?;
        Self::make(py, &file, region.as_ref(), clock, None)
    }

    /// Decides a request: it is charged by all limits that apply, or by none.
    ///
    /// Attributes are given by keywords or in a mapping: str, bytes, ints, or None for what
    /// is not known. Those that the policy does not name are passed over. `costs` says what
    /// the request costs in dimensions other than requests.
    #[pyo3(signature = (method = None, path = None, attributes = None, *, host = None, costs = None, **named))]
    fn check<'py>(
        &self,
        py: Python<'py>,
        method: Option<Bound<'py, PyString>>,
        path: Option<Bound<'py, PyAny>>,
        attributes: Option<Bound<'py, PyAny>>,
        host: Option<Bound<'py, PyString>>,
        costs: Option<Bound<'py, PyAny>>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<PolicyDecision> {
        let policy = self.live.load_shared();
        let arguments = Arguments { method, path, attributes, host, costs, named };
        let given = Given::read(&policy, arguments)?;
        let moment = self.moment();
        let held = Held::new(policy, |policy: &Arc<policy::Policy>| {
            let request = given.request(policy);
            match moment {
                None => policy.check(&request),
                Some(moment) => policy.check_at(&request, moment),
            }
        });
        Ok(PolicyDecision::new(held, self.clock.as_ref().map(|clock| clock.clone_ref(py))))
    }

    /// Replaces the policy by what the file says now: by default the one that it was read
    /// from. Limits that are called the same keep their keys; after an error, the present
    /// policy stays.
    #[pyo3(signature = (path = None))]
    fn reload(&self, py: Python<'_>, path: Option<PathBuf>) -> PyResult<()> {
        let Some(path) = path.or_else(|| self.origin.lock().clone()) else {
            return Err(PyTypeError::new_err(
                "this policy was made of a text: give the path of a file, or use reload_text",
            ));
        };
        let file = read(py, &path)?;
        self.replaced(py, &file)?;
        *self.origin.lock() = Some(path);
        Ok(())
    }

    /// Replaces the policy by that of another text.
    #[pyo3(signature = (text, *, name = "policy"))]
    fn reload_text(&self, py: Python<'_>, text: &Bound<'_, PyAny>, name: &str) -> PyResult<()> {
        let file = parse(py, name, text)?;
        self.replaced(py, &file)
    }

    /// Forgets what a limit charged the key of this request, and ends its leases. Whether
    /// there is such a key.
    #[pyo3(signature = (limit, method = None, path = None, attributes = None, *, host = None, **named))]
    fn reset<'py>(
        &self,
        limit: &str,
        method: Option<Bound<'py, PyString>>,
        path: Option<Bound<'py, PyAny>>,
        attributes: Option<Bound<'py, PyAny>>,
        host: Option<Bound<'py, PyString>>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<bool> {
        let policy = self.live.load_shared();
        Self::known(&policy, limit)?;
        let arguments = Arguments { method, path, attributes, host, costs: None, named };
        let given = Given::read(&policy, arguments)?;
        let request = given.request(&policy);
        Ok(match self.moment() {
            None => policy.reset(limit, &request),
            Some(moment) => policy.reset_at(limit, &request, moment),
        })
    }

    /// Lifts the block of a penalty from the key of this request. Whether there was one.
    #[pyo3(signature = (penalty, method = None, path = None, attributes = None, *, host = None, **named))]
    fn unblock<'py>(
        &self,
        penalty: &str,
        method: Option<Bound<'py, PyString>>,
        path: Option<Bound<'py, PyAny>>,
        attributes: Option<Bound<'py, PyAny>>,
        host: Option<Bound<'py, PyString>>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<bool> {
        let policy = self.live.load_shared();
        let arguments = Arguments { method, path, attributes, host, costs: None, named };
        let given = Given::read(&policy, arguments)?;
        let request = given.request(&policy);
        Ok(match self.moment() {
            None => policy.unblock(penalty, &request),
            Some(moment) => policy.unblock_at(penalty, &request, moment),
        })
    }

    /// Which limits apply to this request and why the others do not, for people. Nothing is
    /// charged.
    #[pyo3(signature = (method = None, path = None, attributes = None, *, host = None, costs = None, **named))]
    fn explain<'py>(
        &self,
        method: Option<Bound<'py, PyString>>,
        path: Option<Bound<'py, PyAny>>,
        attributes: Option<Bound<'py, PyAny>>,
        host: Option<Bound<'py, PyString>>,
        costs: Option<Bound<'py, PyAny>>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<String> {
        let policy = self.live.load_shared();
        let arguments = Arguments { method, path, attributes, host, costs, named };
        let given = Given::read(&policy, arguments)?;
        Ok(policy.explain(&given.request(&policy)).to_string())
    }

    /// Gives a value of the attribute that a limit's `overrides` go by a quota of its own, as
    /// the file would write it; with None, takes it away.
    fn set_override(
        &self,
        limit: &str,
        value: &Bound<'_, PyAny>,
        quota: Option<&str>,
    ) -> PyResult<()> {
        let policy = self.live.load_shared();
        let raised = |error: OverrideError| match error {
            OverrideError::NoOverrides { .. } => PyKeyError::new_err(error.to_string()),
            OverrideError::Room { .. } => error::LimiterError::new_err(error.to_string()),
            error => error::QuotaError::new_err(error.to_string()),
        };
        if let Ok(bytes) = value.cast::<PyBytes>() {
            policy.set_override(limit, bytes.as_bytes(), quota).map_err(raised)
        } else {
            policy.set_override(limit, value.extract::<&str>()?, quota).map_err(raised)
        }
    }

    /// How full the table of that limit is; None if it keeps nothing (a size, or quotas that
    /// are all unlimited). Takes microseconds.
    fn gauges(&self, limit: &str) -> PyResult<Option<Gauges>> {
        let policy = self.live.load();
        Self::known(&policy, limit)?;
        let gauges = match self.moment() {
            None => policy.gauges(limit),
            Some(moment) => policy.gauges_at(limit, moment),
        };
        Ok(gauges.map(|gauges| {
            let capacity = usize::try_from(gauges.capacity()).unwrap_or(usize::MAX);
            Gauges::new(&gauges.table(), capacity, gauges.memory())
        }))
    }

    /// Ends a lease of that limit by its id. Whether it was live; ending it twice does no harm.
    fn release(&self, limit: &str, lease: &[u8]) -> PyResult<bool> {
        let (policy, lease) = (self.live.load_shared(), lease_id(lease)?);
        Self::known_leases(&policy, limit)?;
        Ok(match self.moment() {
            None => policy.release(limit, lease),
            Some(moment) => policy.release_at(limit, lease, moment),
        })
    }

    /// Continues a lease of that limit by its id. Whether it was live: if not, others may
    /// have it.
    fn renew(&self, limit: &str, lease: &[u8]) -> PyResult<bool> {
        let (policy, lease) = (self.live.load_shared(), lease_id(lease)?);
        Self::known_leases(&policy, limit)?;
        Ok(match self.moment() {
            None => policy.renew(limit, lease),
            Some(moment) => policy.renew_at(limit, lease, moment),
        })
    }

    /// What the file calls it.
    #[getter]
    fn name(&self) -> String {
        self.live.load().name().to_owned()
    }

    /// The names of its limits, in the order of the file.
    #[getter]
    fn limits(&self) -> Vec<String> {
        self.live.load().limits().map(str::to_owned).collect()
    }

    /// The attributes that it declares.
    #[getter]
    fn attributes(&self) -> Vec<String> {
        self.live.load().attributes().map(str::to_owned).collect()
    }

    /// The dimensions other than requests that its limits count.
    #[getter]
    fn dimensions(&self) -> Vec<String> {
        self.live.load().dimensions().map(str::to_owned).collect()
    }

    /// How the limit of that name counts.
    fn algorithm(&self, limit: &str) -> PyResult<&'static str> {
        Ok(Self::known(&self.live.load(), limit)?.name())
    }

    /// Whether the limit of that name only reports.
    fn is_shadow(&self, limit: &str) -> PyResult<bool> {
        let policy = self.live.load();
        Self::known(&policy, limit)?;
        Ok(policy.is_shadow(limit))
    }

    fn __repr__(&self) -> String {
        format!("<tollgate.Policy of {} limits>", self.live.load().limits().len())
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(error::unpicklable("Policy", error::MAKE_ANOTHER))
    }
}
