//! The clocks of limiters, and the one that tests move.

use crate::number::{Span, nanos, seconds};
use pyo3::{exceptions::PyTypeError, prelude::*};
use std::{sync::Arc, time::Duration};
use tollgate::{Clock, MonotonicClock, Nanos, RegionClock, policy::Moment};

/// What a limiter goes by: its own clock, that of the region it is in, or one of a test.
pub(crate) enum HostClock {
    Own(MonotonicClock),
    Region(RegionClock),
    Manual(Arc<tollgate::ManualClock>),
}

impl HostClock {
    pub(crate) fn own_or(manual: Option<&ManualClock>) -> Self {
        match manual {
            Some(manual) => Self::Manual(Arc::clone(&manual.hand)),
            None => Self::Own(MonotonicClock::new()),
        }
    }
}

impl Clock for HostClock {
    #[inline]
    fn now(&self) -> Nanos {
        match self {
            Self::Own(clock) => clock.now(),
            Self::Region(clock) => clock.now(),
            Self::Manual(clock) => clock.now(),
        }
    }

    #[inline]
    fn raw(&self) -> u64 {
        match self {
            Self::Own(clock) => clock.raw(),
            Self::Region(clock) => clock.raw(),
            Self::Manual(clock) => clock.raw(),
        }
    }

    #[inline]
    fn time(&self, raw: u64) -> Nanos {
        match self {
            Self::Own(clock) => clock.time(raw),
            Self::Region(clock) => clock.time(raw),
            Self::Manual(clock) => clock.time(raw),
        }
    }
}

/// A clock that moves when it is told to, for tests. It begins at 0, when the wall clock
/// is said to be `unix` seconds after 1970.
#[pyclass(frozen, module = "tollgate")]
pub(crate) struct ManualClock {
    pub(crate) hand: Arc<tollgate::ManualClock>,
    unix: Duration,
}

impl ManualClock {
    pub(crate) fn moment(&self) -> Moment {
        let now = self.hand.now();
        Moment::new(now, self.unix.saturating_add(Duration::from_nanos(now.as_u64())))
    }
}

#[pymethods]
impl ManualClock {
    #[new]
    #[pyo3(signature = (unix = Span(Duration::ZERO)), text_signature = "(unix=0.0)")]
    fn new(unix: Span) -> Self {
        Self { hand: Arc::new(tollgate::ManualClock::new()), unix: unix.0 }
    }

    /// Moves forward by so many seconds, or a timedelta.
    fn advance(&self, by: Span) {
        self.hand.advance(by.0);
    }

    /// Moves to so many nanoseconds, which may lie in the past.
    fn set_ns(&self, to: u64) {
        self.hand.set(Nanos::new(to));
    }

    /// Nanoseconds since it began.
    fn now_ns(&self) -> u64 {
        self.hand.now().as_u64()
    }

    fn __repr__(&self) -> String {
        let now = Duration::from_nanos(self.now_ns());
        format!("<tollgate.ManualClock at {} s>", seconds(now))
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(crate::error::unpicklable("ManualClock", "limiters hold on to it"))
    }
}

/// The instant given, or now.
#[inline(always)]
pub(crate) fn instant(now: Option<u64>, clock: &HostClock) -> Nanos {
    now.map_or_else(|| clock.now(), Nanos::new)
}

/// A clock beside a region would be two.
pub(crate) fn one_clock() -> PyErr {
    PyTypeError::new_err("`clock` and `region` exclude each other: a region has a clock of its own")
}

pub(crate) fn nanos_of(now: Nanos) -> u64 {
    nanos(Duration::from_nanos(now.as_u64()))
}
