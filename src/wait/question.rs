//! What is waited for: a unit of a limiter, of a key, or any answer that says when to
//! come back.

use crate::{
    decision::{Charge, Decision, Outcome},
    limiter::{Algorithm, Key, Limiter},
    table::rule::Ask,
    time::{Clock, Nanos, ticks_of},
};
use std::{fmt, time::Duration};

/// What can be waited for. It cannot be implemented elsewhere.
#[allow(private_bounds)] // that is what keeps it to this crate
pub trait Question: Asked<Yes = <Self as Question>::Answer> {
    /// What the turn is told when it comes.
    type Answer;
}

/// What a limiter said to one question.
pub(super) enum Said<T> {
    Yes(T),
    /// Not before so long.
    Later(Duration),
    Never,
}

pub(super) trait Asked {
    type Yes;

    fn now(&self) -> Nanos;
    /// Which line to stand in.
    fn line(&self) -> u64;
    fn set_units(&mut self, units: u64);
    /// Asks to pass now.
    fn ask(&mut self) -> Said<Self::Yes>;
    /// Asks to pass within so long of `now`. `None`: nothing can be reserved here.
    fn reserve(&self, longest: Duration, now: Nanos) -> Option<Decision>;
    fn reserved(&self, decision: Decision) -> Option<Self::Yes>;
    fn give_back(&self, charge: Charge, now: Nanos);
    /// Whether it [reserves](Self::reserve).
    fn reserves(&self) -> bool;
}

/// What a turn at a limiter comes with: it is always a yes.
///
/// ```
/// use tollgate::{Limiter, wait::Waiters};
///
/// let waiters = Waiters::new(Limiter::gcra("5/min".parse()?).try_build()?);
/// let admitted = waiters.until_ready().block()?;
/// assert_eq!(admitted.decision().remaining(), 4);
/// // The work failed, and is not to be paid for.
/// let charge = admitted.charge().unwrap();
/// assert_eq!(waiters.refund(charge).remaining(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted(Decision);

impl Admitted {
    /// The decision that let it pass: made when the units were charged, which was before
    /// the wait where they were reserved.
    pub fn decision(&self) -> Decision {
        self.0
    }

    /// What was charged, for a refund or to be settled, by the [`Waiters`](super::Waiters):
    /// given back to the limiter itself, it is not those who wait that have it. `None` for 0
    /// units, and for a key that found no slot.
    pub fn charge(&self) -> Option<Charge> {
        self.0.charge()
    }
}

fn said(decision: Decision) -> Said<Admitted> {
    match (decision.outcome(), decision.retry_after()) {
        (Outcome::Allowed, _) => Said::Yes(Admitted(decision)),
        (Outcome::Later, Some(wait)) => Said::Later(wait),
        _ => Said::Never,
    }
}

/// Units of a [`Limiter`].
pub struct OfLimiter<'l, A, C> {
    pub(super) limiter: &'l Limiter<A, C>,
    pub(super) units: u64,
}

impl<A, C> fmt::Debug for OfLimiter<'_, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfLimiter").field("units", &self.units).finish_non_exhaustive()
    }
}

impl<A: Algorithm, C: Clock> Asked for OfLimiter<'_, A, C> {
    type Yes = Admitted;

    fn now(&self) -> Nanos {
        self.limiter.clock().now()
    }

    fn line(&self) -> u64 {
        0
    }

    fn set_units(&mut self, units: u64) {
        self.units = units;
    }

    fn ask(&mut self) -> Said<Admitted> {
        let (limiter, now) = (self.limiter, self.now());
        // Who waits looks first: a look is no denial that anybody counts.
        match said(limiter.ask(Ask::Look, self.units, now)) {
            Said::Yes(_) => said(limiter.check_n_at(self.units, now)),
            no => no,
        }
    }

    fn reserve(&self, longest: Duration, now: Nanos) -> Option<Decision> {
        let ask = Ask::Reserve(ticks_of(longest));
        A::RESERVES.then(|| self.limiter.ask(ask, self.units, now))
    }

    fn reserved(&self, decision: Decision) -> Option<Admitted> {
        Some(Admitted(decision))
    }

    fn give_back(&self, charge: Charge, now: Nanos) {
        let _ = self.limiter.refund_at(charge, now);
    }

    fn reserves(&self) -> bool {
        A::RESERVES
    }
}

impl<A: Algorithm, C: Clock> Question for OfLimiter<'_, A, C> {
    type Answer = Admitted;
}

/// Units of one key of a [`KeyedLimiter`](crate::KeyedLimiter).
pub struct OfKey<'l, A, C> {
    pub(super) key: Key<'l, A, C>,
    pub(super) units: u64,
}

impl<A, C> fmt::Debug for OfKey<'_, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfKey").field("key", &self.key).field("units", &self.units).finish()
    }
}

impl<A: Algorithm, C: Clock> Asked for OfKey<'_, A, C> {
    type Yes = Admitted;

    fn now(&self) -> Nanos {
        self.key.now()
    }

    fn line(&self) -> u64 {
        self.key.line()
    }

    fn set_units(&mut self, units: u64) {
        self.units = units;
    }

    fn ask(&mut self) -> Said<Admitted> {
        let now = self.now();
        match said(self.key.ask(Ask::Look, self.units, now)) {
            Said::Yes(_) => said(self.key.check_n_at(self.units, now)),
            no => no,
        }
    }

    fn reserve(&self, longest: Duration, now: Nanos) -> Option<Decision> {
        let ask = Ask::Reserve(ticks_of(longest));
        A::RESERVES.then(|| self.key.ask(ask, self.units, now))
    }

    fn reserved(&self, decision: Decision) -> Option<Admitted> {
        Some(Admitted(decision))
    }

    fn give_back(&self, charge: Charge, now: Nanos) {
        let _ = self.key.refund_at(charge, now);
    }

    fn reserves(&self) -> bool {
        A::RESERVES
    }
}

impl<A: Algorithm, C: Clock> Question for OfKey<'_, A, C> {
    type Answer = Admitted;
}

/// What says whether one may pass, and if not, when to come back: the answer of
/// whatever a [`Queue`](super::Queue) asks.
///
/// A [`Decision`] is one, and so is a policy's. Implement it for an answer of your own:
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Decision, Outcome, wait::Verdict};
///
/// /// Of two limiters on two machines.
/// struct Both(Decision, Decision);
///
/// impl Verdict for Both {
///     fn outcome(&self) -> Outcome {
///         if self.0.is_denied() { self.0.outcome() } else { self.1.outcome() }
///     }
///     fn retry_after(&self) -> Option<Duration> {
///         self.0.retry_after().max(self.1.retry_after())
///     }
/// }
/// ```
pub trait Verdict {
    /// Allowed, later, or never.
    fn outcome(&self) -> Outcome;
    /// How long to wait, where it is known.
    fn retry_after(&self) -> Option<Duration>;
}

impl Verdict for Decision {
    fn outcome(&self) -> Outcome {
        self.outcome()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

/// Whatever a function answers.
pub struct OfAnswer<'l, F, C> {
    pub(super) ask: F,
    pub(super) line: u64,
    pub(super) clock: &'l C,
}

impl<F, C> fmt::Debug for OfAnswer<'_, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfAnswer").field("line", &self.line).finish_non_exhaustive()
    }
}

impl<F: FnMut() -> V, V: Verdict, C: Clock> Asked for OfAnswer<'_, F, C> {
    type Yes = V;

    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn set_units(&mut self, _: u64) {}

    fn ask(&mut self) -> Said<V> {
        let answer = (self.ask)();
        match answer.outcome() {
            Outcome::Allowed => Said::Yes(answer),
            Outcome::Later => Said::Later(answer.retry_after().unwrap_or(UNKNOWN)),
            Outcome::Never => Said::Never,
        }
    }

    fn reserve(&self, _: Duration, _: Nanos) -> Option<Decision> {
        None
    }

    fn reserved(&self, _: Decision) -> Option<V> {
        None
    }

    fn give_back(&self, _: Charge, _: Nanos) {}

    fn reserves(&self) -> bool {
        false
    }
}

impl<F: FnMut() -> V, V: Verdict, C: Clock> Question for OfAnswer<'_, F, C> {
    type Answer = V;
}

/// When to ask again where nobody says.
const UNKNOWN: Duration = Duration::from_secs(1);
