//! `LeaseLimiter`: so many at a time, on each of many keys.

use crate::{
    clock::{HostClock, ManualClock, instant, nanos_of},
    decision::Decision,
    error,
    gauges::Gauges,
    key::{Key, with_key},
    keyed::{Place, WhenFull, built},
    number::{Span, Units},
    region::Region,
};
use parking_lot::Mutex;
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::PyBytes,
};
use tollgate::{Clock, LeaseId, LeaseLimiter as Of, Nanos, OnSaturation};

/// So many at a time of each of many keys, each for `ttl` (seconds or a timedelta) unless it
/// is renewed. Any number of threads may use it at once.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct LeaseLimiter(Of<HostClock>);

macro_rules! of_key {
    ($limiter:expr, $key:expr) => {
        match $key {
            Key::Bytes(bytes) => $limiter.key(bytes),
            Key::Hash(hash) => $limiter.hashed(hash),
        }
    };
}

pub(crate) fn lease_id(bytes: &[u8]) -> PyResult<LeaseId> {
    let bytes = <[u8; 16]>::try_from(bytes)
        .map_err(|_| PyValueError::new_err(format!("a lease is 16 bytes, not {}", bytes.len())))?;
    Ok(LeaseId::from_bytes(bytes))
}

#[pymethods]
impl LeaseLimiter {
    #[new]
    #[pyo3(
        signature = (leases, ttl, *, capacity = 10_000, when_full = WhenFull(OnSaturation::Allow),
            room_for = vec![], seed = None, clock = None, region = None, name = None),
        text_signature = "(leases, ttl, *, capacity=10000, when_full='allow', room_for=(), seed=None, clock=None, region=None, name=None)"
    )]
    fn new(
        py: Python<'_>,
        leases: Units,
        ttl: Span,
        capacity: usize,
        when_full: WhenFull,
        room_for: Vec<(Units, Span)>,
        seed: Option<u64>,
        clock: Option<Bound<'_, ManualClock>>,
        region: Option<Bound<'_, Region>>,
        name: Option<&str>,
    ) -> PyResult<Self> {
        let place =
            Place::chosen(clock.as_ref().map(Bound::get), region.as_ref().map(Bound::get), name)?;
        if place.is_shared() && seed.is_some() {
            return Err(PyTypeError::new_err("in a region the seed is the region's"));
        }
        let mut builder =
            Of::at_most(leases.0, ttl.0).capacity(capacity).on_saturation(when_full.0);
        for (leases, ttl) in room_for {
            builder = builder.room_for(leases.0, ttl.0);
        }
        if let Some(seed) = seed {
            builder = builder.seed(seed);
        }
        Ok(Self(built!(py, builder, place)))
    }

    /// Asks for a lease of a key. What comes is true if it was had, and as a context manager
    /// raises `Denied` if not; either way its `decision` says how the key stands.
    ///
    /// `at_most` and `ttl` are a customer's own, for which there must be room.
    #[pyo3(signature = (key, *, at_most = None, ttl = None, now = None))]
    fn acquire(
        slf: &Bound<'_, Self>,
        key: &Bound<'_, PyAny>,
        at_most: Option<Units>,
        ttl: Option<Span>,
        now: Option<u64>,
    ) -> PyResult<Lease> {
        let limiter = &slf.get().0;
        let asked = with_key(key, |key| {
            let mut key = of_key!(limiter, key);
            if let Some(Units(leases)) = at_most {
                key = key.at_most(leases).map_err(error::room)?;
            }
            if let Some(Span(ttl)) = ttl {
                key = key.ttl(ttl).map_err(error::room)?;
            }
            Ok::<_, PyErr>(key.acquire_at(instant(now, limiter.clock())))
        })??;
        let (decision, id) = match asked {
            Ok(lease) => (lease.decision(), Some(lease.detach())),
            Err(denied) => (denied, None),
        };
        Ok(Lease { limiter: slf.clone().unbind(), decision, id, held: Mutex::new(id.is_some()) })
    }

    /// How many leases of a key could be had.
    #[pyo3(signature = (key, *, now = None))]
    fn peek(&self, key: &Bound<'_, PyAny>, now: Option<u64>) -> PyResult<Decision> {
        let now = instant(now, self.0.clock());
        with_key(key, |key| Decision::new(of_key!(self.0, key).peek_at(now)))
    }

    /// Ends a lease by its id. Whether it was live; ending it twice does no harm.
    fn release(&self, id: &[u8]) -> PyResult<bool> {
        Ok(self.0.release(lease_id(id)?))
    }

    /// Continues a lease by its id for the limiter's time from now. Whether it was live: if
    /// not, others may have it.
    fn renew(&self, id: &[u8]) -> PyResult<bool> {
        Ok(self.0.renew(lease_id(id)?))
    }

    /// Ends all leases of a key, whoever holds them; how many there were.
    fn release_all(&self, key: &Bound<'_, PyAny>) -> PyResult<u64> {
        with_key(key, |key| of_key!(self.0, key).release_all())
    }

    /// The limiter's clock, for `now`.
    fn now_ns(&self) -> u64 {
        nanos_of(self.0.clock().now())
    }

    /// How full it is. Takes microseconds.
    fn gauges(&self) -> Gauges {
        Gauges::new(&self.0.gauges(), self.0.capacity(), self.0.memory())
    }

    /// How many keys with leases it was made for.
    #[getter]
    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Bytes of memory, all taken when it was made.
    #[getter]
    fn memory(&self) -> usize {
        self.0.memory()
    }

    fn __repr__(&self) -> String {
        format!("<tollgate.LeaseLimiter for {} keys>", self.0.capacity())
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(error::unpicklable("LeaseLimiter", error::MAKE_ANOTHER))
    }
}

/// One of so many at a time, or the answer to who got none. Ended by `release`, by the end of
/// a `with` block, or after its time; not by being forgotten, so that a child of a fork does
/// not end what its parent holds.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct Lease {
    limiter: Py<LeaseLimiter>,
    decision: tollgate::Decision,
    id: Option<LeaseId>,
    held: Mutex<bool>,
}

#[pymethods]
impl Lease {
    /// What was decided.
    #[getter]
    fn decision(&self) -> Decision {
        Decision::new(self.decision)
    }

    /// What finds it again from anywhere (16 bytes), or None.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.id.map(|id| PyBytes::new(py, &id.to_bytes()))
    }

    /// Whether it was had.
    fn __bool__(&self) -> bool {
        self.id.is_some()
    }

    /// Ends it. Whether it was live; a second time does no harm.
    fn release(&self) -> bool {
        let held = std::mem::replace(&mut *self.held.lock(), false);
        held && self.id.is_some_and(|id| self.limiter.get().0.release(id))
    }

    /// Continues it for the limiter's time from now. Whether it was live.
    fn renew(&self) -> bool {
        *self.held.lock() && self.id.is_some_and(|id| self.limiter.get().0.renew(id))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let decided = slf.get().decision;
        if decided.is_allowed() {
            return Ok(slf);
        }
        Err(Decision::raised(Bound::new(slf.py(), Decision::new(decided))?))
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

    fn __repr__(&self) -> String {
        format!("<tollgate.Lease: {}>", self.decision)
    }
}
