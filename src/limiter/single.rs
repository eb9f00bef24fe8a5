//! [`Limiter`]: one state, for one thing that is limited.

use super::{Algorithm, BuildError, DefaultClock};
use crate::{
    algorithm::{Gcra, SlidingLog},
    decision::Decision,
    quota::Quota,
    sync::AtomicU64,
    table::{
        rule::{Request, Settled, settle},
        storage::{Heap, Storage},
        words::{Ring, State},
    },
    time::{Clock, MonotonicClock, Nanos, ticks},
};
use crossbeam_utils::CachePadded;
use std::{fmt, marker::PhantomData};

/// A limiter for one thing: a connection, a queue, a whole process.
///
/// Share it by reference; every method takes `&self`, no lock is taken and
/// nothing is allocated after [`try_build`](LimiterBuilder::try_build). For
/// one limit on many keys use [`KeyedLimiter`](crate::KeyedLimiter).
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::gcra(Quota::n_per_second(100)?.burst(20)?).try_build()?;
/// if limiter.check().is_allowed() {
///     // do the work
/// }
/// // Exact windows instead of smooth traffic:
/// let limiter = Limiter::sliding_log("10/min".parse()?).try_build()?;
/// assert_eq!(limiter.check_n(4).remaining(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cost
///
/// A check is a clock reading and one compare-and-swap (GCRA), or a clock
/// reading, a binary search among the stamps, and one for each unit and one
/// more (log; two more where the ring is full). GCRA takes one cache line pair of
/// memory, the log eight bytes per unit more.
///
/// # Range
///
/// A limiter tells instants apart for 18 years after its epoch, less the
/// largest debt of its quota (burst times emission interval, or the window).
/// Later readings count as the last of them; earlier ones than the epoch count
/// as the epoch.
pub struct Limiter<A = Gcra, C = MonotonicClock> {
    state: CachePadded<AtomicU64>,
    ring: Option<Heap>,
    rule: A,
    clock: C,
    epoch: Nanos,
    last: u64,
    quota: Quota,
}

impl Limiter<Gcra> {
    /// Starts building a limiter for smooth traffic.
    pub fn gcra(quota: Quota) -> LimiterBuilder<Gcra> {
        LimiterBuilder::new(quota)
    }
}

impl Limiter<SlidingLog> {
    /// Starts building a limiter that is exact in every window.
    pub fn sliding_log(quota: Quota) -> LimiterBuilder<SlidingLog> {
        LimiterBuilder::new(quota)
    }
}

impl<A: Algorithm, C: Clock> Limiter<A, C> {
    /// Asks for one unit now.
    #[inline]
    pub fn check(&self) -> Decision {
        self.check_n_at(1, self.clock.now())
    }

    /// Asks for `n` units now, all or none. 0 only looks.
    #[inline]
    pub fn check_n(&self, n: u64) -> Decision {
        self.check_n_at(n, self.clock.now())
    }

    /// Asks for one unit at `now`, a reading of this limiter's clock.
    #[inline]
    pub fn check_at(&self, now: Nanos) -> Decision {
        self.check_n_at(1, now)
    }

    /// Asks for `n` units at `now`, all or none. 0 only looks.
    #[inline]
    pub fn check_n_at(&self, n: u64, now: Nanos) -> Decision {
        let request = Request::new(ticks(now, self.epoch, self.last), n);
        self.decide(&request).unwrap_or_else(|| self.decide_fault(request))
    }

    /// `None`: the state is at fault.
    #[inline(always)]
    fn decide(&self, request: &Request) -> Option<Decision> {
        let ring = self.ring.as_ref().map_or(Ring::EMPTY, |heap| Ring::new(heap.words()));
        loop {
            let state = State::new(&self.state);
            // A lone state has one owner, for good.
            match settle(&self.rule, request, state, ring, || true) {
                Settled::Answer(decision) => return Some(decision),
                Settled::Elsewhere => {}
                Settled::Fault => return None,
            }
        }
    }

    #[cold]
    fn decide_fault(&self, request: Request) -> Decision {
        // Is the state far ahead, or the caller's `now` far behind?
        let clock = ticks(self.clock.now(), self.epoch, self.last);
        let request = request.repairing(clock);
        loop {
            // A request that repairs meets no fault.
            if let Some(decision) = self.decide(&request) {
                return decision;
            }
        }
    }

    /// How much is left now, without asking for anything: writes nothing, and
    /// is always *allowed*, also with nothing [`remaining`](Decision::remaining).
    #[inline]
    pub fn peek(&self) -> Decision {
        self.check_n(0)
    }

    /// As [`peek`](Self::peek), at `now`.
    #[inline]
    pub fn peek_at(&self, now: Nanos) -> Decision {
        self.check_n_at(0, now)
    }

    /// The limiter's quota.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// The limiter's clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

impl<A, C> fmt::Debug for Limiter<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("quota", &self.quota).finish_non_exhaustive()
    }
}

/// Builds a [`Limiter`]; made by [`Limiter::gcra`] and [`Limiter::sliding_log`].
#[derive(Clone, Debug)]
#[must_use = "a builder limits nothing until `try_build`"]
pub struct LimiterBuilder<A, C = DefaultClock> {
    quota: Quota,
    clock: C,
    epoch: Option<Nanos>,
    algorithm: PhantomData<A>,
}

impl<A> LimiterBuilder<A> {
    fn new(quota: Quota) -> Self {
        Self { quota, clock: DefaultClock, epoch: None, algorithm: PhantomData }
    }
}

impl<A, C> LimiterBuilder<A, C> {
    /// The clock to read; a [`MonotonicClock`] unless given. It may be borrowed
    /// or in an `Arc`.
    pub fn clock<D: Clock>(self, clock: D) -> LimiterBuilder<A, D> {
        LimiterBuilder { quota: self.quota, clock, epoch: self.epoch, algorithm: PhantomData }
    }

    /// The instant from which the limiter counts (see [`Limiter`](Limiter#range)):
    /// by default, the clock's reading when the limiter is built.
    pub fn epoch(mut self, epoch: Nanos) -> Self {
        self.epoch = Some(epoch);
        self
    }
}

impl<A: Algorithm> LimiterBuilder<A> {
    /// Builds the limiter with a new [`MonotonicClock`].
    ///
    /// # Errors
    ///
    /// A quota that the algorithm cannot keep, or no memory.
    pub fn try_build(self) -> Result<Limiter<A>, BuildError> {
        self.clock(MonotonicClock::new()).try_build()
    }
}

impl<A: Algorithm, C: Clock> LimiterBuilder<A, C> {
    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// A quota that the algorithm cannot keep, or no memory.
    pub fn try_build(self) -> Result<Limiter<A, C>, BuildError> {
        let rule = A::from_quota(&self.quota)?;
        let ring = match rule.ring_words() {
            0 => None,
            words => Some(
                Heap::try_new(words)
                    .map_err(|_| BuildError::OutOfMemory { bytes: words.saturating_mul(8) })?,
            ),
        };
        let clock = self.clock;
        let epoch = self.epoch.unwrap_or_else(|| clock.now());
        let state = CachePadded::new(AtomicU64::new(0));
        Ok(Limiter { state, ring, rule, clock, epoch, last: rule.last_now(), quota: self.quota })
    }
}
