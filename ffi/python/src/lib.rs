//! The native part of the Python package tollgate: classes of Python over the engine, which
//! are frozen and may be used by any number of threads.
//!
//! No check gives the interpreter up: it takes less time than that would. Only what waits for
//! the lock of a region's file does. So a fork, which happens with the interpreter held, never
//! finds a lock of ours taken, but for those of threads that just make something in a region.

mod clock;
mod decision;
mod error;
mod gauges;
mod key;
mod keyed;
mod leases;
mod limiter;
mod number;
mod policy;
mod quota;
mod region;
mod request;
mod spend;
mod verdict;

use pyo3::prelude::*;

/// The native part of tollgate; its names are those of the package.
#[pymodule(gil_used = false)]
mod _tollgate {
    use super::{Bound, PyModule, PyModuleMethods, PyResult, error};

    #[pymodule_export]
    use super::{
        clock::ManualClock,
        decision::{Charge, Decision},
        error::Problem,
        gauges::{Counts, DeniedKey, Gauges},
        keyed::KeyedLimiter,
        leases::{Lease, LeaseLimiter},
        limiter::Limiter,
        policy::Policy,
        quota::Quota,
        region::Region,
        spend::Spend,
        verdict::{LimitDecision, PolicyDecision},
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        module.add("TollgateError", py.get_type::<error::TollgateError>())?;
        module.add("QuotaError", py.get_type::<error::QuotaError>())?;
        module.add("LimiterError", py.get_type::<error::LimiterError>())?;
        module.add("PolicyError", py.get_type::<error::PolicyError>())?;
        module.add("RegionError", py.get_type::<error::RegionError>())?;
        module.add("Denied", py.get_type::<error::Denied>())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
