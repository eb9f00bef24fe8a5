//! `Limiter`: one thing that is limited.

use crate::{
    clock::{HostClock, ManualClock, instant, nanos_of},
    decision::{Charge, Decision},
    error,
    number::{Span, Units, seconds},
    quota::{Quota, QuotaArgument},
    spend::{Purse, Spend},
};
use pyo3::prelude::*;
use std::time::Duration;
use tollgate::{Clock, Gcra, LimiterBuilder, Nanos, SlidingCounter, SlidingLog};

/// A limiter for one thing: a connection, a queue, a whole process. Any number of threads
/// may use it at once.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct Limiter(Any);

enum Any {
    Gcra(tollgate::Limiter<Gcra, HostClock>),
    Log(tollgate::Limiter<SlidingLog, HostClock>),
    Counter(tollgate::Limiter<SlidingCounter, HostClock>),
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

/// The algorithm of that name.
pub(crate) enum Algorithm {
    Gcra,
    Log,
    Counter,
}

impl<'a, 'py> FromPyObject<'a, 'py> for Algorithm {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match given.extract::<String>()?.as_str() {
            "gcra" => Ok(Self::Gcra),
            "sliding-log" => Ok(Self::Log),
            "sliding-counter" => Ok(Self::Counter),
            other => Err(error::LimiterError::new_err(format!(
                "no algorithm: {other:?}; there are \"gcra\", \"sliding-log\" and \"sliding-counter\""
            ))),
        }
    }
}

/// Only GCRA reserves.
pub(crate) fn only_gcra() -> PyErr {
    error::LimiterError::new_err(
        "only \"gcra\" reserves; with another algorithm, check again after retry_after",
    )
}

impl Limiter {
    fn now(&self) -> Nanos {
        whichever!(&self.0, limiter => limiter.clock().now())
    }

    fn asked(&self, units: u64, now: Option<u64>) -> tollgate::Decision {
        match now {
            None => whichever!(&self.0, limiter => limiter.check_n(units)),
            Some(now) => whichever!(&self.0, limiter => limiter.check_n_at(units, Nanos::new(now))),
        }
    }

    pub(crate) fn peeked(&self) -> tollgate::Decision {
        whichever!(&self.0, limiter => limiter.peek())
    }

    pub(crate) fn settled(&self, charge: &Charge, units: u64) -> tollgate::Decision {
        let mut charge = charge.0.lock();
        whichever!(&self.0, limiter => limiter.settle(&mut charge, units))
    }

    pub(crate) fn refunded(&self, charge: &Charge) -> tollgate::Decision {
        let charge = charge.take();
        whichever!(&self.0, limiter => limiter.refund(charge))
    }
}

fn prepared<A>(
    builder: LimiterBuilder<A>,
    room_for: Vec<QuotaArgument>,
    clock: Option<&ManualClock>,
) -> LimiterBuilder<A, HostClock> {
    let builder = builder.clock(HostClock::own_or(clock));
    room_for.into_iter().fold(builder, |builder, quota| builder.room_for(quota.0))
}

#[pymethods]
impl Limiter {
    #[new]
    #[pyo3(
        signature = (quota, *, algorithm = Algorithm::Gcra, room_for = vec![], longest_wait = None, clock = None),
        text_signature = "(quota, *, algorithm='gcra', room_for=(), longest_wait=None, clock=None)"
    )]
    fn new(
        quota: QuotaArgument,
        algorithm: Algorithm,
        room_for: Vec<QuotaArgument>,
        longest_wait: Option<Span>,
        clock: Option<Bound<'_, ManualClock>>,
    ) -> PyResult<Self> {
        use tollgate::Limiter as Of;
        let (quota, clock) = (quota.0, clock.as_ref().map(Bound::get));
        if longest_wait.is_some() && !matches!(algorithm, Algorithm::Gcra) {
            return Err(only_gcra());
        }
        Ok(Self(match algorithm {
            Algorithm::Gcra => {
                let mut builder = prepared(Of::gcra(quota), room_for, clock);
                if let Some(Span(wait)) = longest_wait {
                    builder = builder.longest_wait(wait);
                }
                Any::Gcra(builder.try_build().map_err(error::build)?)
            }
            Algorithm::Log => {
                let builder = prepared(Of::sliding_log(quota), room_for, clock);
                Any::Log(builder.try_build().map_err(error::build)?)
            }
            Algorithm::Counter => {
                let builder = prepared(Of::sliding_counter(quota), room_for, clock);
                Any::Counter(builder.try_build().map_err(error::build)?)
            }
        }))
    }

    /// Whether so many units may pass now: the shortest way to ask.
    #[pyo3(signature = (cost = Units(1)), text_signature = "($self, cost=1)")]
    fn allow(&self, cost: Units) -> bool {
        self.asked(cost.0, None).is_allowed()
    }

    /// Asks for so many units, all or none; 0 only looks. `now` is a reading of `now_ns()`.
    #[pyo3(signature = (cost = Units(1), *, now = None), text_signature = "($self, cost=1, *, now=None)")]
    fn check(&self, cost: Units, now: Option<u64>) -> Decision {
        Decision::new(self.asked(cost.0, now))
    }

    /// How much is left, without asking for anything. It is always allowed.
    #[pyo3(signature = (*, now = None))]
    fn peek(&self, now: Option<u64>) -> Decision {
        Decision::new(self.asked(0, now))
    }

    /// Charges so many units for use within `longest` (seconds or a timedelta): the
    /// decision's `wait` tells when. GCRA only.
    #[pyo3(signature = (cost, longest, *, now = None))]
    fn reserve(&self, cost: Units, longest: Span, now: Option<u64>) -> PyResult<Decision> {
        let Any::Gcra(limiter) = &self.0 else { return Err(only_gcra()) };
        let now = instant(now, limiter.clock());
        Ok(Decision::new(limiter.reserve_at(cost.0, longest.0, now)))
    }

    /// Asks for units whose number is an estimate: see `Spend`.
    #[pyo3(signature = (cost = Units(1)), text_signature = "($self, cost=1)")]
    fn spend(slf: &Bound<'_, Self>, cost: Units) -> PyResult<Spend> {
        let decision = slf.get().asked(cost.0, None);
        Spend::new(slf.py(), Purse::One(slf.clone().unbind()), decision)
    }

    /// Gives a charge back, once; tells how the limiter stands then.
    fn refund(&self, charge: &Bound<'_, Charge>) -> Decision {
        Decision::new(self.refunded(charge.get()))
    }

    /// Makes a charge one of `units`, beyond the limit if need be.
    fn settle(&self, charge: &Bound<'_, Charge>, units: Units) -> Decision {
        Decision::new(self.settled(charge.get(), units.0))
    }

    /// Forgets what was charged.
    fn reset(&self) -> Decision {
        Decision::new(whichever!(&self.0, limiter => limiter.reset()))
    }

    /// Replaces the quota from the next decision on; there must be room for it.
    fn set_quota(&self, quota: QuotaArgument) -> PyResult<()> {
        whichever!(&self.0, limiter => limiter.set_quota(quota.0)).map_err(error::room)
    }

    /// The quota that holds now.
    #[getter]
    fn quota(&self) -> Quota {
        Quota(whichever!(&self.0, limiter => limiter.quota()))
    }

    /// The limiter's clock, for `now`.
    fn now_ns(&self) -> u64 {
        nanos_of(self.now())
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
        format!("<tollgate.Limiter {}>", self.quota().0)
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(error::unpicklable("Limiter", error::MAKE_ANOTHER))
    }
}
