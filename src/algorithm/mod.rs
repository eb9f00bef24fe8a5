//! The algorithms: pure functions of (state, now, cost).
//!
//! No clock is read here, nothing is stored, nothing is shared; times are
//! ticks (see [`crate::time`]). A caller that loses a race for the state asks
//! again with the state as it then is.

#[cfg(any(feature = "policy", test))]
#[cfg_attr(not(feature = "policy"), allow(dead_code))]
mod block;
mod calendar;
mod gcra;
mod lease;
mod sliding_counter;
mod sliding_log;

#[cfg(any(feature = "policy", test))]
#[cfg_attr(not(feature = "policy"), allow(unused_imports))]
pub(crate) use block::{Block, BlockState, BlockStep, Standing};
pub(crate) use calendar::Calendar;
#[cfg(any(feature = "policy", test))]
pub(crate) use calendar::Unit;
pub use gcra::Gcra;
pub(crate) use lease::{Entry, LeaseState, Leases, MAX_LEASES};
pub use sliding_counter::SlidingCounter;
pub(crate) use sliding_counter::{CounterState, MAX_COUNTED, SHORTEST};
pub use sliding_log::SlidingLog;
pub(crate) use sliding_log::{LogState, MAX_UNITS, Stamps};

use crate::decision::Decision;

/// What an algorithm says to a request, given a state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<S> {
    /// Allowed, if the state can be replaced by this one.
    Charge(S, Decision),
    /// The same for a state that was lowered: units were given back.
    Lower(S, Decision),
    /// Nothing is to be written: denied, or the request only looks.
    Answer(Decision),
    /// Replace the state by this equal but tidier one, then ask again.
    Tidy(S),
    /// The state is further ahead of `now` than any honest debt: repair it.
    Fault,
}
