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
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, wait::{Question, Turn, WaitError, Waiters}};
///
/// /// Whatever it is that is waited for.
/// fn soon<Q: Question>(turn: Turn<'_, Q>) -> Result<Q::Answer, WaitError<Q::Denial>> {
///     turn.within(Duration::from_millis(10)).block()
/// }
/// let waiters = Waiters::new(Limiter::gcra("2/h".parse()?).try_build()?);
/// assert_eq!(soon(waiters.until_ready())?.decision().remaining(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(private_bounds)] // that is what keeps it to this crate
pub trait Question:
    Asked<Yes = <Self as Question>::Answer, No: Into<<Self as Question>::Denial>>
{
    /// What the turn is told when it comes.
    ///
    /// ```
    /// use tollgate::{Decision, Limiter, wait::{Admitted, Queue, Waiters}};
    ///
    /// let limiter = Limiter::gcra("2/h".parse()?).try_build()?;
    /// // Of a queue it is what its question answers.
    /// let decision: Decision = Queue::new().until_allowed("all", || limiter.check()).block()?;
    /// let admitted: Admitted = Waiters::new(limiter).until_ready().block()?;
    /// assert_eq!((decision.remaining(), admitted.decision().remaining()), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    type Answer;

    /// What it was told where its turn does not come: of a limiter a [`Decision`], of a queue
    /// what its question answers, boxed, as it may be large.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Decision, Limiter, wait::{Queue, Waiters}};
    ///
    /// let limiter = Limiter::gcra("1/h".parse()?).try_build()?;
    /// let _ = limiter.check();
    /// let queue = Queue::new();
    /// let late = queue.until_allowed("all", || limiter.check()).within(Duration::ZERO).block();
    /// let of_queue: Box<Decision> = late.unwrap_err().into_answer().unwrap();
    /// let late = Waiters::new(limiter).until_ready().within(Duration::ZERO).block();
    /// let of_limiter: Decision = late.unwrap_err().into_answer().unwrap();
    /// assert_eq!((of_queue.limit(), of_limiter.limit()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    type Denial;
}

/// What was said to one question, and in which words.
pub(crate) enum Said<T, N> {
    Yes(T),
    /// Not before so long.
    Later(Duration, N),
    /// Its key found no slot; worth asking again after so long.
    Saturated(Duration, N),
    Never(N),
}

impl<V: Verdict> Said<V, V> {
    pub(crate) fn of(answer: V) -> Self {
        match answer.outcome() {
            Outcome::Allowed => Self::Yes(answer),
            Outcome::Later => Self::Later(answer.retry_after().unwrap_or(UNKNOWN), answer),
            Outcome::Never => Self::Never(answer),
        }
    }
}

pub(crate) trait Asked {
    type Yes;
    type No;

    fn now(&self) -> Nanos;
    /// Which line to stand in.
    fn line(&self) -> u64;
    fn set_units(&mut self, _units: u64) {}
    /// Asks to pass now.
    fn ask(&mut self) -> Said<Self::Yes, Self::No>;
    /// How it stands, for who leaves without having asked: where that is a no, and can be
    /// told without a charge.
    fn look(&mut self) -> Option<Self::No>;
    /// Who was told no, to wait so long or for ever, leaves with it: that, or what it is told
    /// instead.
    fn turned_away(
        &mut self,
        wait: Option<Duration>,
        no: Self::No,
    ) -> (Option<Duration>, Self::No) {
        (wait, no)
    }
    /// Asks to pass within so long of `now`. `None`: nothing can be reserved here.
    fn reserve(&self, _longest: Duration, _now: Nanos) -> Option<Decision> {
        None
    }
    fn reserved(&self, _decision: Decision) -> Option<Self::Yes> {
        None
    }
    fn denied(&self, _decision: Decision) -> Option<Self::No> {
        None
    }
    fn give_back(&self, _charge: Charge, _now: Nanos) {}
    /// Whether it [reserves](Self::reserve).
    fn reserves(&self) -> bool {
        false
    }
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
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("2/s burst 1".parse()?).try_build()?);
    /// assert!(waiters.until_ready().block()?.decision().wait().is_zero());
    /// let second = waiters.until_ready().block()?;
    /// assert!(!second.decision().wait().is_zero()); // which is over now
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decision(&self) -> Decision {
        self.0
    }

    /// What was charged, for a refund or to be settled, by the [`Waiters`](super::Waiters):
    /// given back to the limiter itself, it is not those who wait that have it. `None` for 0
    /// units, and for a key that found no slot.
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("10/h".parse()?).try_build()?);
    /// let mut charge = waiters.until_ready().units(6).block()?.charge().unwrap();
    /// // It took less than was thought.
    /// assert_eq!(waiters.settle(&mut charge, 2).remaining(), 8);
    /// assert_eq!(charge.units(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn charge(&self) -> Option<Charge> {
        self.0.charge()
    }
}

fn said(decision: Decision) -> Said<Admitted, Decision> {
    match (decision.outcome(), decision.retry_after()) {
        (Outcome::Allowed, _) => Said::Yes(Admitted(decision)),
        (Outcome::Later, Some(wait)) if decision.is_accounted() => Said::Later(wait, decision),
        (Outcome::Later, Some(wait)) => Said::Saturated(wait, decision),
        _ => Said::Never(decision),
    }
}

/// Units of a [`Limiter`].
///
/// ```
/// use tollgate::{Gcra, Limiter, MonotonicClock, wait::{OfLimiter, Turn, Waiters}};
///
/// let waiters = Waiters::new(Limiter::gcra("2/h".parse()?).try_build()?);
/// let turn: Turn<'_, OfLimiter<'_, Gcra, MonotonicClock>> = waiters.until_ready();
/// assert!(turn.block().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    type No = Decision;

    fn now(&self) -> Nanos {
        self.limiter.clock().now()
    }

    fn line(&self) -> u64 {
        0
    }

    fn set_units(&mut self, units: u64) {
        self.units = units;
    }

    fn ask(&mut self) -> Said<Admitted, Decision> {
        let (limiter, now) = (self.limiter, self.now());
        // Who waits looks first: a look is no denial that anybody counts.
        match said(limiter.ask(Ask::Look, self.units, now)) {
            Said::Yes(_) => said(limiter.check_n_at(self.units, now)),
            no => no,
        }
    }

    fn look(&mut self) -> Option<Decision> {
        let decision = self.limiter.ask(Ask::Look, self.units, self.now());
        decision.is_denied().then_some(decision)
    }

    fn reserve(&self, longest: Duration, now: Nanos) -> Option<Decision> {
        let ask = Ask::Reserve(ticks_of(longest));
        A::RESERVES.then(|| self.limiter.ask(ask, self.units, now))
    }

    fn reserved(&self, decision: Decision) -> Option<Admitted> {
        Some(Admitted(decision))
    }

    fn denied(&self, decision: Decision) -> Option<Decision> {
        Some(decision)
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
    type Denial = Decision;
}

/// Units of one key of a [`KeyedLimiter`](crate::KeyedLimiter).
///
/// ```
/// use tollgate::{KeyedLimiter, MonotonicClock, SlidingLog, wait::{OfKey, Turn, Waiters}};
///
/// let waiters = Waiters::new(KeyedLimiter::sliding_log("2/h".parse()?).try_build()?);
/// let turn: Turn<'_, OfKey<'_, SlidingLog, MonotonicClock>> = waiters.until_key_ready("alice");
/// assert!(turn.block().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    type No = Decision;

    fn now(&self) -> Nanos {
        self.key.now()
    }

    fn line(&self) -> u64 {
        self.key.line()
    }

    fn set_units(&mut self, units: u64) {
        self.units = units;
    }

    fn ask(&mut self) -> Said<Admitted, Decision> {
        let now = self.now();
        match said(self.key.ask(Ask::Look, self.units, now)) {
            Said::Yes(_) => said(self.key.check_n_at(self.units, now)),
            no => no,
        }
    }

    fn look(&mut self) -> Option<Decision> {
        let decision = self.key.ask(Ask::Look, self.units, self.now());
        decision.is_denied().then_some(decision)
    }

    fn reserve(&self, longest: Duration, now: Nanos) -> Option<Decision> {
        let ask = Ask::Reserve(ticks_of(longest));
        A::RESERVES.then(|| self.key.ask(ask, self.units, now))
    }

    fn reserved(&self, decision: Decision) -> Option<Admitted> {
        Some(Admitted(decision))
    }

    fn denied(&self, decision: Decision) -> Option<Decision> {
        Some(decision)
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
    type Denial = Decision;
}

/// What says whether one may pass, and if not, when to come back: the answer of
/// whatever a [`Queue`](super::Queue) asks.
///
/// A [`Decision`] is one, and so is a policy's, borrowed or kept. Implement it for an answer of
/// your own:
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
    ///
    /// ```
    /// use tollgate::{Limiter, Outcome, wait::Verdict};
    ///
    /// let limiter = Limiter::gcra("2/h".parse()?).try_build()?;
    /// assert_eq!(Verdict::outcome(&limiter.check_n(2)), Outcome::Allowed);
    /// assert_eq!(Verdict::outcome(&limiter.check()), Outcome::Later);
    /// assert_eq!(Verdict::outcome(&limiter.check_n(3)), Outcome::Never);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn outcome(&self) -> Outcome;
    /// How long to wait, where it is known; where it is not, a second.
    ///
    /// ```
    /// use tollgate::{Limiter, wait::Verdict};
    ///
    /// let limiter = Limiter::gcra("1/h".parse()?).try_build()?;
    /// assert_eq!(Verdict::retry_after(&limiter.check()), None);
    /// assert!(Verdict::retry_after(&limiter.check()).is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
///
/// ```
/// use tollgate::{Decision, Limiter, MonotonicClock, wait::{OfAnswer, Queue, Turn}};
///
/// let limiter = Limiter::gcra("2/h".parse()?).try_build()?;
/// let queue = Queue::new();
/// let ask: fn(&Limiter) -> Decision = |limiter| limiter.check();
/// let turn: Turn<'_, OfAnswer<'_, _, MonotonicClock>> = queue.until_allowed("all", || ask(&limiter));
/// assert_eq!(turn.block()?.remaining(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    type No = V;

    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn ask(&mut self) -> Said<V, V> {
        Said::of((self.ask)())
    }

    /// It might be a yes, which is charged: nobody asks who is not first.
    fn look(&mut self) -> Option<V> {
        None
    }
}

impl<F: FnMut() -> V, V: Verdict, C: Clock> Question for OfAnswer<'_, F, C> {
    type Answer = V;
    type Denial = Box<V>;
}

/// When to ask again where nobody says.
const UNKNOWN: Duration = Duration::from_secs(1);
