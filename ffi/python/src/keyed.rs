//! `KeyedLimiter`: one limit on each of many keys.

use crate::{
    clock::{HostClock, ManualClock, instant, nanos_of, one_clock},
    decision::{Charge, Decision},
    error,
    gauges::{Counts, DeniedKey, Gauges},
    key::{Key, OwnKey, with_key},
    limiter::{Algorithm, only_gcra},
    number::{Span, Units, seconds},
    quota::{Quota, QuotaArgument},
    region::Region,
    spend::{Purse, Spend},
};
use pyo3::{exceptions::PyTypeError, prelude::*, types::PyList};
use std::time::Duration;
use tollgate::{
    Clock, Gcra, KeyedBuilder, KeyedLimiter as Of, Nanos, OnSaturation, SlidingCounter, SlidingLog,
};

/// One limit on each of many keys, in memory that is fixed when it is made. Keys are str,
/// bytes, ints, or tuples of these. Any number of threads may use it at once.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct KeyedLimiter(Any);

enum Any {
    Gcra(Of<Gcra, HostClock>),
    Log(Of<SlidingLog, HostClock>),
    Counter(Of<SlidingCounter, HostClock>),
}

/// Does the same with whichever it is.
macro_rules! whichever {
    ($any:expr, $limiter:ident => $what:expr) => {
        match $any {
            Any::Gcra($limiter) => $what,
            Any::Log($limiter) => $what,
            Any::Counter($limiter) => $what,
        }
    };
}

/// What a table that is full of live keys answers a new one.
pub(crate) struct WhenFull(pub(crate) OnSaturation);

impl<'a, 'py> FromPyObject<'a, 'py> for WhenFull {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match given.extract::<String>()?.as_str() {
            "allow" => Ok(Self(OnSaturation::Allow)),
            "deny" => Ok(Self(OnSaturation::Deny)),
            other => Err(error::LimiterError::new_err(format!(
                "no answer for a full table: {other:?}; there are \"allow\" and \"deny\""
            ))),
        }
    }
}

/// One key of a limiter.
macro_rules! of_key {
    ($limiter:expr, $key:expr) => {
        match $key {
            Key::Bytes(bytes) => $limiter.key(bytes),
            Key::Hash(hash) => $limiter.hashed(hash),
        }
    };
}

/// What all algorithms are told alike.
struct Options {
    capacity: usize,
    when_full: OnSaturation,
    room_for: Vec<QuotaArgument>,
    seed: Option<u64>,
    count: bool,
    remember_denied: usize,
}

impl Options {
    fn given<A>(self, builder: KeyedBuilder<A>) -> KeyedBuilder<A> {
        let mut builder = builder
            .capacity(self.capacity)
            .on_saturation(self.when_full)
            .count_decisions(self.count)
            .remember_denied(self.remember_denied);
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        self.room_for.into_iter().fold(builder, |builder, quota| builder.room_for(quota.0))
    }
}

/// Where a limiter is made.
pub(crate) enum Place<'p> {
    Here(Option<&'p ManualClock>),
    There(&'p tollgate::Region, &'p str),
}

impl<'p> Place<'p> {
    pub(crate) fn chosen(
        clock: Option<&'p ManualClock>,
        region: Option<&'p Region>,
        name: Option<&'p str>,
    ) -> PyResult<Self> {
        match (clock, region, name) {
            (clock, None, None) => Ok(Self::Here(clock)),
            (None, Some(region), Some(name)) => Ok(Self::There(&region.0, name)),
            (Some(_), Some(_), _) => Err(one_clock()),
            (_, Some(_), None) => {
                Err(PyTypeError::new_err("in a region a limiter has a name: give `name`"))
            }
            (_, None, Some(_)) => {
                Err(PyTypeError::new_err("a name is for a limiter in a region: give `region`"))
            }
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::There(..))
    }
}

macro_rules! built {
    ($py:expr, $builder:expr, $place:expr) => {
        match $place {
            Place::Here(clock) => {
                let builder = $builder.clock(HostClock::own_or(clock));
                builder.try_build().map_err(error::build)?
            }
            // Waits for a lock of the file, at most ten seconds.
            Place::There(region, name) => $py
                .detach(|| {
                    let clock = HostClock::Region(region.clock());
                    $builder.clock(clock).epoch(Nanos::ZERO).try_build_in(region, name)
                })
                .map_err(error::share)?,
        }
    };
}
pub(crate) use built;

impl KeyedLimiter {
    #[inline(always)]
    fn asked(&self, key: &Bound<'_, PyAny>, units: u64) -> PyResult<tollgate::Decision> {
        match &self.0 {
            Any::Gcra(limiter) => with_key(key, |key| match key {
                Key::Bytes(bytes) => limiter.check_n(bytes, units),
                Key::Hash(hash) => limiter.check_hash_n(hash, units),
            }),
            Any::Log(limiter) => with_key(key, |key| of_key!(limiter, key).check_n(units)),
            Any::Counter(limiter) => with_key(key, |key| of_key!(limiter, key).check_n(units)),
        }
    }

    /// As `asked`, by another quota or at another time.
    fn asked_so(
        &self,
        key: &Bound<'_, PyAny>,
        units: u64,
        quota: Option<QuotaArgument>,
        now: Option<u64>,
    ) -> PyResult<tollgate::Decision> {
        whichever!(&self.0, limiter => with_key(key, |key| {
            let mut key = of_key!(limiter, key);
            if let Some(QuotaArgument(quota)) = quota {
                key = key.quota(quota).map_err(error::room)?;
            }
            Ok(key.check_n_at(units, instant(now, limiter.clock())))
        })?)
    }

    pub(crate) fn peeked(&self, key: Key<'_>) -> tollgate::Decision {
        whichever!(&self.0, limiter => of_key!(limiter, key).peek())
    }

    pub(crate) fn settled(&self, key: Key<'_>, charge: &Charge, units: u64) -> tollgate::Decision {
        let mut charge = charge.0.lock();
        whichever!(&self.0, limiter => of_key!(limiter, key).settle(&mut charge, units))
    }

    pub(crate) fn refunded(&self, key: Key<'_>, charge: &Charge) -> tollgate::Decision {
        let charge = charge.take();
        whichever!(&self.0, limiter => of_key!(limiter, key).refund(charge))
    }
}

#[pymethods]
impl KeyedLimiter {
    #[new]
    #[pyo3(
        signature = (quota, *, algorithm = Algorithm::Gcra, capacity = 10_000,
            when_full = WhenFull(OnSaturation::Allow), room_for = vec![], longest_wait = None,
            seed = None, count = false, remember_denied = 0, clock = None, region = None, name = None),
        text_signature = "(quota, *, algorithm='gcra', capacity=10000, when_full='allow', room_for=(), longest_wait=None, seed=None, count=False, remember_denied=0, clock=None, region=None, name=None)"
    )]
    fn new(
        py: Python<'_>,
        quota: QuotaArgument,
        algorithm: Algorithm,
        capacity: usize,
        when_full: WhenFull,
        room_for: Vec<QuotaArgument>,
        longest_wait: Option<Span>,
        seed: Option<u64>,
        count: bool,
        remember_denied: usize,
        clock: Option<Bound<'_, ManualClock>>,
        region: Option<Bound<'_, Region>>,
        name: Option<&str>,
    ) -> PyResult<Self> {
        let (quota, when_full) = (quota.0, when_full.0);
        let place =
            Place::chosen(clock.as_ref().map(Bound::get), region.as_ref().map(Bound::get), name)?;
        if place.is_shared() && seed.is_some() {
            return Err(PyTypeError::new_err("in a region the seed is the region's"));
        }
        if longest_wait.is_some() && !matches!(algorithm, Algorithm::Gcra) {
            return Err(only_gcra());
        }
        let options = Options { capacity, when_full, room_for, seed, count, remember_denied };
        Ok(Self(match algorithm {
            Algorithm::Gcra => {
                let mut builder = options.given(Of::gcra(quota));
                if let Some(Span(wait)) = longest_wait {
                    builder = builder.longest_wait(wait);
                }
                Any::Gcra(built!(py, builder, place))
            }
            Algorithm::Log => {
                let builder = options.given(Of::sliding_log(quota));
                Any::Log(built!(py, builder, place))
            }
            Algorithm::Counter => {
                let builder = options.given(Of::sliding_counter(quota));
                Any::Counter(built!(py, builder, place))
            }
        }))
    }

    /// Whether so many units of a key may pass now: the shortest way to ask.
    #[pyo3(signature = (key, cost = None), text_signature = "($self, key, cost=1)")]
    #[inline]
    fn allow(&self, key: &Bound<'_, PyAny>, cost: Option<Units>) -> PyResult<bool> {
        Ok(self.asked(key, cost.map_or(1, |cost| cost.0))?.is_allowed())
    }

    /// Asks for so many units of a key, all or none; 0 only looks.
    ///
    /// `quota` asks by another one, for which there must be room: a customer's own, or a
    /// tier's. `now` is a reading of `now_ns()`.
    #[pyo3(
        signature = (key, cost = None, *, quota = None, now = None),
        text_signature = "($self, key, cost=1, *, quota=None, now=None)"
    )]
    fn check(
        &self,
        key: &Bound<'_, PyAny>,
        cost: Option<Units>,
        quota: Option<QuotaArgument>,
        now: Option<u64>,
    ) -> PyResult<Decision> {
        let units = cost.map_or(1, |cost| cost.0);
        Ok(Decision::new(match (quota, now) {
            (None, None) => self.asked(key, units)?,
            _ => self.asked_so(key, units, quota, now)?,
        }))
    }

    /// How much a key has left, without asking for anything. It is always allowed.
    #[pyo3(signature = (key, *, quota = None, now = None))]
    fn peek(
        &self,
        key: &Bound<'_, PyAny>,
        quota: Option<QuotaArgument>,
        now: Option<u64>,
    ) -> PyResult<Decision> {
        Ok(Decision::new(self.asked_so(key, 0, quota, now)?))
    }

    /// Asks for one unit of each key at one reading of the clock; the decisions come in the
    /// order of the keys.
    #[pyo3(signature = (keys, *, now = None))]
    fn check_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
        now: Option<u64>,
    ) -> PyResult<Bound<'py, PyList>> {
        // No key is charged if one of them is none.
        let keys: Vec<Bound<'_, PyAny>> = keys.try_iter()?.collect::<PyResult<_>>()?;
        for key in &keys {
            with_key(key, |_| ())?;
        }
        let now =
            now.map_or_else(|| whichever!(&self.0, limiter => limiter.clock().now()), Nanos::new);
        let decisions = PyList::empty(py);
        for key in &keys {
            let decided = whichever!(&self.0, limiter => {
                with_key(key, |key| of_key!(limiter, key).check_at(now))?
            });
            decisions.append(Decision::new(decided))?;
        }
        Ok(decisions)
    }

    /// Charges so many units of a key for use within `longest` (seconds or a timedelta):
    /// the decision's `wait` tells when. GCRA only.
    #[pyo3(signature = (key, cost, longest, *, quota = None, now = None))]
    fn reserve(
        &self,
        key: &Bound<'_, PyAny>,
        cost: Units,
        longest: Span,
        quota: Option<QuotaArgument>,
        now: Option<u64>,
    ) -> PyResult<Decision> {
        let Any::Gcra(limiter) = &self.0 else { return Err(only_gcra()) };
        with_key(key, |key| {
            let mut key = of_key!(limiter, key);
            if let Some(QuotaArgument(quota)) = quota {
                key = key.quota(quota).map_err(error::room)?;
            }
            let now = instant(now, limiter.clock());
            Ok(Decision::new(key.reserve_at(cost.0, longest.0, now)))
        })?
    }

    /// Asks for units of a key whose number is an estimate: see `Spend`.
    #[pyo3(signature = (key, cost = Units(1)), text_signature = "($self, key, cost=1)")]
    fn spend(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>, cost: Units) -> PyResult<Spend> {
        let decision = slf.get().asked(key, cost.0)?;
        let key = with_key(key, OwnKey::of)?;
        Spend::new(slf.py(), Purse::Keyed(slf.clone().unbind(), key), decision)
    }

    /// Gives a charge of a key back, once; tells how the key stands then.
    fn refund(&self, key: &Bound<'_, PyAny>, charge: &Bound<'_, Charge>) -> PyResult<Decision> {
        with_key(key, |key| Decision::new(self.refunded(key, charge.get())))
    }

    /// Makes a charge of a key one of `units`, beyond the limit if need be.
    fn settle(
        &self,
        key: &Bound<'_, PyAny>,
        charge: &Bound<'_, Charge>,
        units: Units,
    ) -> PyResult<Decision> {
        with_key(key, |key| Decision::new(self.settled(key, charge.get(), units.0)))
    }

    /// Forgets what a key was charged.
    fn reset(&self, key: &Bound<'_, PyAny>) -> PyResult<Decision> {
        whichever!(&self.0, limiter => with_key(key, |key| Decision::new(of_key!(limiter, key).reset())))
    }

    /// Replaces the quota of all keys from the next decision on; there must be room for it.
    /// In a region it is that of all processes.
    fn set_quota(&self, quota: QuotaArgument) -> PyResult<()> {
        whichever!(&self.0, limiter => limiter.set_quota(quota.0)).map_err(error::room)
    }

    /// The quota that keys have now.
    #[getter]
    fn quota(&self) -> Quota {
        Quota(whichever!(&self.0, limiter => limiter.quota()))
    }

    /// The limiter's clock, for `now`.
    fn now_ns(&self) -> u64 {
        nanos_of(whichever!(&self.0, limiter => limiter.clock().now()))
    }

    /// How full it is. Takes microseconds.
    fn gauges(&self) -> Gauges {
        whichever!(&self.0, limiter => {
            Gauges::new(&limiter.gauges(), limiter.capacity(), limiter.memory())
        })
    }

    /// Decisions so far, if it was made with `count=True`; else None.
    fn counts(&self) -> Option<Counts> {
        whichever!(&self.0, limiter => limiter.counts()).map(Counts::new)
    }

    /// The keys denied most, if it was made with `remember_denied`.
    fn denied_most(&self) -> Vec<DeniedKey> {
        let most = whichever!(&self.0, limiter => limiter.denied_most());
        most.iter().map(DeniedKey::new).collect()
    }

    /// How many live keys it was made for.
    #[getter]
    fn capacity(&self) -> usize {
        whichever!(&self.0, limiter => limiter.capacity())
    }

    /// Bytes of memory, all taken when it was made.
    #[getter]
    fn memory(&self) -> usize {
        whichever!(&self.0, limiter => limiter.memory())
    }

    /// How many requests of new keys found no place.
    #[getter]
    fn saturated(&self) -> u64 {
        whichever!(&self.0, limiter => limiter.saturated())
    }

    /// The longest that a reservation may wait, in seconds; 0 where none can be made.
    #[getter]
    fn longest_wait(&self) -> f64 {
        match &self.0 {
            Any::Gcra(limiter) => seconds(limiter.longest_wait()),
            _ => seconds(Duration::ZERO),
        }
    }

    fn __repr__(&self) -> String {
        format!("<tollgate.KeyedLimiter {} for {} keys>", self.quota().0, self.capacity())
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(error::unpicklable("KeyedLimiter", error::MAKE_ANOTHER))
    }
}
