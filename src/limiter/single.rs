//! [`Limiter`]: one state, for one thing that is limited.

use super::{
    Algorithm, BuildError, DefaultClock, RoomError,
    current::{Current, Words},
    settle as settle_charge,
};
use crate::{
    algorithm::{Gcra, SlidingCounter, SlidingLog},
    decision::{Apart, Charge, Decision},
    quota::Quota,
    sync::AtomicU64,
    table::{
        rule::{Ask, Request, Seen, Settled, Step, settle},
        storage::{Memory, Storage},
        words::{Ring, State},
    },
    time::{Clock, MonotonicClock, Nanos, TICKS_PER_NANO, epoch_within, ticks, ticks_of},
};
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use std::{fmt, marker::PhantomData, time::Duration};

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
/// as the epoch. (An epoch in the last 18 years that can be named counts as the
/// beginning of those.)
pub struct Limiter<A = Gcra, C = MonotonicClock> {
    state: CachePadded<AtomicU64>,
    ring: Option<Memory>,
    room: A,
    clock: C,
    epoch: Nanos,
    last: u64,
    current: Words,
    /// The same quota for people, and the lock that writers of `current` take.
    quota: Mutex<Quota>,
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

impl Limiter<SlidingCounter> {
    /// Starts building a limiter that is about right in every window, for limits too
    /// large for a log: see [`SlidingCounter`].
    pub fn sliding_counter(quota: Quota) -> LimiterBuilder<SlidingCounter> {
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
        self.ask(Ask::Charge, n, now)
    }

    /// Gives back what was charged: see [`Key::refund`](crate::Key::refund).
    #[inline]
    pub fn refund(&self, charge: Charge) -> Decision {
        self.refund_at(charge, self.clock.now())
    }

    /// As [`refund`](Self::refund), at `now`.
    #[inline]
    pub fn refund_at(&self, charge: Charge, now: Nanos) -> Decision {
        self.give_back(charge.units(), &charge, now)
    }

    /// Corrects a charge that was an estimate, so that `units` are charged in
    /// all: see [`Key::settle`](crate::Key::settle).
    #[inline]
    pub fn settle(&self, charge: &mut Charge, units: u64) -> Decision {
        self.settle_at(charge, units, self.clock.now())
    }

    /// As [`settle`](Self::settle), at `now`.
    pub fn settle_at(&self, charge: &mut Charge, units: u64, now: Nanos) -> Decision {
        let back = |n, charge: &Charge| self.give_back(n, charge, now);
        let force = |n| self.ask(Ask::Force, n, now);
        settle_charge(charge, units, self.room.largest_debt(), back, force).to(0, now)
    }

    /// Forgets what was charged: the limiter is as good as new.
    #[inline]
    pub fn reset(&self) -> Decision {
        self.reset_at(self.clock.now())
    }

    /// As [`reset`](Self::reset), at `now`.
    #[inline]
    pub fn reset_at(&self, now: Nanos) -> Decision {
        self.ask(Ask::Forget, 1, now).to(0, now)
    }

    fn give_back(&self, units: u64, charge: &Charge, now: Nanos) -> Decision {
        let charged = ticks(charge.at(), self.epoch, self.last);
        let weight = charge.weight_of(units);
        self.ask(Ask::GiveBack { charged, weight }, units, now).to(0, now)
    }

    #[inline(always)]
    pub(crate) fn ask(&self, ask: Ask, n: u64, now: Nanos) -> Decision {
        let rule = self.room.with_numbers(Current::new(&self.current).get());
        let request = Request::new(ticks(now, self.epoch, self.last), n).asking(ask);
        let (state, ring) = self.words();
        // A lone state has one owner, for good: what was loaded is its own.
        let seen = state.load();
        let decided = match rule.decide(&request, Seen::Live(seen), ring) {
            Step::Commit(next, decision) => {
                rule.write(&request, Seen::Live(seen), ring);
                state.swap(seen, next).then_some(decision)
            }
            Step::Answer(decision) if rule.ring_words() == 0 => Some(decision),
            _ => None,
        };
        match decided {
            Some(decision) => decision,
            None => self.decide(rule.numbers(), request.now, n, ask).unpack(),
        }
        .to(n, now)
    }

    #[inline(always)]
    fn words(&self) -> (State<'_>, Ring<'_>) {
        let ring = self.ring.as_ref().map_or(Ring::EMPTY, |heap| Ring::new(heap.words()));
        (State::new(&self.state), ring)
    }

    /// As [`ask`](Self::ask), until it is answered. By parts, as
    /// `KeyedLimiter::decide_anywhere`.
    #[inline(never)]
    fn decide(&self, numbers: [u64; 3], now: u64, n: u64, ask: Ask) -> Apart {
        let rule = self.room.with_numbers(numbers);
        let mut request = Request::new(now, n).asking(ask);
        let (state, ring) = self.words();
        loop {
            match settle(&rule, &request, state, ring, || true) {
                Settled::Answer(decision) => return Apart(decision),
                // The word of nobody; never seen here.
                Settled::Elsewhere => {}
                // Is the state far ahead, or the caller's `now` far behind? A request
                // that repairs meets no fault.
                Settled::Fault => {
                    let clock = ticks(self.clock.now(), self.epoch, self.last);
                    request = request.repairing(clock);
                }
            }
        }
    }

    /// Replaces the quota, from the next decision on: see
    /// [`KeyedLimiter::set_quota`](crate::KeyedLimiter::set_quota).
    ///
    /// # Errors
    ///
    /// A quota for which the limiter was not given
    /// [room](LimiterBuilder::room_for); the present one then stays.
    pub fn set_quota(&self, quota: Quota) -> Result<(), RoomError> {
        let numbers = self.room.fit(&quota)?;
        let mut present = self.quota.lock();
        Current::new(&self.current).set(numbers);
        *present = quota;
        Ok(())
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
        *self.quota.lock()
    }

    /// The limiter's clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C: Clock> Limiter<Gcra, C> {
    /// The longest that a [reservation](Self::reserve) may wait.
    pub fn longest_wait(&self) -> Duration {
        Duration::from_nanos(self.room.longest_wait() / TICKS_PER_NANO)
    }

    /// Charges `n` units now for use within `longest`, all or none:
    /// [`Decision::wait`] tells when. See [`Key::reserve`](crate::Key::reserve).
    #[inline]
    pub fn reserve(&self, n: u64, longest: Duration) -> Decision {
        self.reserve_at(n, longest, self.clock.now())
    }

    /// As [`reserve`](Self::reserve), at `now`.
    #[inline]
    pub fn reserve_at(&self, n: u64, longest: Duration, now: Nanos) -> Decision {
        self.ask(Ask::Reserve(ticks_of(longest)), n, now)
    }
}

impl<A, C> fmt::Debug for Limiter<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("quota", &*self.quota.lock()).finish_non_exhaustive()
    }
}

/// Builds a [`Limiter`]; made by [`Limiter::gcra`] and [`Limiter::sliding_log`].
#[derive(Clone, Debug)]
#[must_use = "a builder limits nothing until `try_build`"]
pub struct LimiterBuilder<A, C = DefaultClock> {
    quota: Quota,
    clock: C,
    epoch: Option<Nanos>,
    others: Vec<Quota>,
    longest_wait: Option<Duration>,
    algorithm: PhantomData<A>,
}

impl<A> LimiterBuilder<A> {
    fn new(quota: Quota) -> Self {
        Self {
            quota,
            clock: DefaultClock,
            epoch: None,
            others: Vec::new(),
            longest_wait: None,
            algorithm: PhantomData,
        }
    }
}

impl<A, C> LimiterBuilder<A, C> {
    /// The clock to read; a [`MonotonicClock`] unless given. It may be borrowed
    /// or in an `Arc`.
    pub fn clock<D: Clock>(self, clock: D) -> LimiterBuilder<A, D> {
        LimiterBuilder {
            quota: self.quota,
            clock,
            epoch: self.epoch,
            others: self.others,
            longest_wait: self.longest_wait,
            algorithm: PhantomData,
        }
    }

    /// The instant from which the limiter counts (see [`Limiter`](Limiter#range)):
    /// by default, the clock's reading when the limiter is built.
    pub fn epoch(mut self, epoch: Nanos) -> Self {
        self.epoch = Some(epoch);
        self
    }
}

impl<A, C> LimiterBuilder<A, C> {
    /// Makes room for another quota, to be set [later](Limiter::set_quota): see
    /// [`KeyedBuilder::room_for`](crate::KeyedBuilder::room_for).
    pub fn room_for(mut self, quota: Quota) -> Self {
        self.others.push(quota);
        self
    }
}

impl<C> LimiterBuilder<Gcra, C> {
    /// The longest that a [reservation](Limiter::reserve) may wait: see
    /// [`KeyedBuilder::longest_wait`](crate::KeyedBuilder::longest_wait).
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = Some(wait);
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
        let room = A::build(&self.quota, &self.others, self.longest_wait)?;
        let ring = match room.ring_words() {
            0 => None,
            words => Some(
                Memory::try_new(words)
                    .map_err(|_| BuildError::OutOfMemory { bytes: words.saturating_mul(8) })?,
            ),
        };
        let clock = self.clock;
        let last = room.last_now();
        let epoch = epoch_within(self.epoch.unwrap_or_else(|| clock.now()), last);
        let state = CachePadded::new(AtomicU64::new(0));
        Ok(Limiter {
            state,
            ring,
            room,
            clock,
            epoch,
            last,
            current: Current::words(room.numbers()),
            quota: Mutex::new(self.quota),
        })
    }
}
