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
/// more (log; two more where the ring is full), or for the sliding counter one, and
/// two in a new window. GCRA takes one cache line pair of memory, the log eight bytes
/// per unit more, the counter sixteen.
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
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("60/min burst 3".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// assert_eq!(limiter.check_n(3).remaining(), 0); // at once
    /// assert_eq!(limiter.check().next_after(), Duration::from_secs(1)); // then one a second
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gcra(quota: Quota) -> LimiterBuilder<Gcra> {
        LimiterBuilder::new(quota)
    }
}

impl Limiter<SlidingLog> {
    /// Starts building a limiter that is exact in every window.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// let limiter = Limiter::sliding_log("2/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert!(limiter.check_n_at(2, Nanos::ZERO).is_allowed());
    /// // GCRA would let one more pass after 30 seconds; no minute here has three.
    /// assert!(limiter.check_at(Nanos::from_secs(59)).is_denied());
    /// assert!(limiter.check_at(Nanos::from_secs(60)).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sliding_log(quota: Quota) -> LimiterBuilder<SlidingLog> {
        LimiterBuilder::new(quota)
    }
}

impl Limiter<SlidingCounter> {
    /// Starts building a limiter that is about right in every window, for limits too
    /// large for a log: see [`SlidingCounter`].
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// let limiter = Limiter::sliding_counter("100/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// assert!(limiter.check_n_at(80, Nanos::ZERO).is_allowed());
    /// // Half a minute into the next window, half of the last one still counts.
    /// assert_eq!(limiter.peek_at(Nanos::from_secs(90)).remaining(), 60);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sliding_counter(quota: Quota) -> LimiterBuilder<SlidingCounter> {
        LimiterBuilder::new(quota)
    }
}

impl<A: Algorithm, C: Clock> Limiter<A, C> {
    /// Asks for one unit now.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("2/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let left: Vec<u64> = (0..3).map(|_| limiter.check().remaining()).collect();
    /// assert_eq!(left, [1, 0, 0]);
    /// assert_eq!(limiter.check().retry_after_secs(), Some(30)); // denials charge nothing
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn check(&self) -> Decision {
        self.check_n_at(1, self.clock.now())
    }

    /// Asks for `n` units now, all or none. 0 only looks.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("5/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert_eq!(limiter.check_n(3).remaining(), 2);
    /// let denied = limiter.check_n(3);
    /// assert_eq!((denied.is_allowed(), denied.remaining()), (false, 2)); // nothing in part
    /// assert!(limiter.check_n(2).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn check_n(&self, n: u64) -> Decision {
        self.check_n_at(n, self.clock.now())
    }

    /// Asks for one unit at `now`, a reading of this limiter's clock.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("1/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// // What would have been decided, by the times in a log.
    /// let times = [0, 400, 1000, 1999].map(|ms| Nanos::from(Duration::from_millis(ms)));
    /// let allowed = times.map(|now| limiter.check_at(now).is_allowed());
    /// assert_eq!(allowed, [true, false, true, false]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn check_at(&self, now: Nanos) -> Decision {
        self.check_n_at(1, now)
    }

    /// Asks for `n` units at `now`, all or none. 0 only looks.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("1000/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let start = Nanos::from_secs(10);
    /// assert_eq!(limiter.check_n_at(800, start).remaining(), 200);
    /// // Half a second later 700 are left, and the other 100 take as many milliseconds.
    /// let denied = limiter.check_n_at(800, start.after(Duration::from_millis(500)));
    /// assert_eq!(denied.remaining(), 700);
    /// assert_eq!(denied.retry_after(), Some(Duration::from_millis(100)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn check_n_at(&self, n: u64, now: Nanos) -> Decision {
        self.ask(Ask::Charge, n, now)
    }

    /// Gives back what was charged: see [`Key::refund`](crate::Key::refund).
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// if let Some(charge) = limiter.check_n(4).charge() {
    ///     // The upstream did not answer: the retry is not to be paid for twice.
    ///     assert_eq!(limiter.refund(charge).remaining(), 10);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn refund(&self, charge: Charge) -> Decision {
        self.refund_at(charge, self.clock.now())
    }

    /// As [`refund`](Self::refund), at `now`.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// let limiter = Limiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let early = limiter.check_n_at(4, Nanos::ZERO).charge();
    /// assert_eq!(limiter.check_n_at(8, Nanos::from_secs(12)).remaining(), 0);
    /// // Two of the four came back by themselves meanwhile; a refund is of all four.
    /// let early = early.ok_or("denied")?;
    /// assert_eq!(limiter.refund_at(early, Nanos::from_secs(12)).remaining(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn refund_at(&self, charge: Charge, now: Nanos) -> Decision {
        self.give_back(charge.units(), &charge, now)
    }

    /// Corrects a charge that was an estimate, so that `units` are charged in
    /// all: see [`Key::settle`](crate::Key::settle).
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("1000/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// if let Some(mut charge) = limiter.check_n(100).charge() {
    ///     // The answer was larger than expected.
    ///     assert_eq!(limiter.settle(&mut charge, 250).remaining(), 750);
    ///     assert_eq!(charge.units(), 250);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn settle(&self, charge: &mut Charge, units: u64) -> Decision {
        self.settle_at(charge, units, self.clock.now())
    }

    /// As [`settle`](Self::settle), at `now`.
    ///
    /// ```
    /// # use tollgate::{Charge, Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("10/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(5);
    /// // Ten were left and fifteen were used: the next one waits for five, and for itself.
    /// let mut charge = Charge::new(0, now);
    /// assert_eq!(limiter.settle_at(&mut charge, 15, now).remaining(), 0);
    /// assert_eq!(limiter.check_at(now).retry_after(), Some(Duration::from_millis(600)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle_at(&self, charge: &mut Charge, units: u64, now: Nanos) -> Decision {
        let back = |n, charge: &Charge| self.give_back(n, charge, now);
        let force = |n| self.ask(Ask::Force, n, now);
        settle_charge(charge, units, self.room.largest_debt(), back, force).to(0, now)
    }

    /// Forgets what was charged: the limiter is as good as new.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::sliding_log("3/h".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check_n(3);
    /// assert!(limiter.check().is_denied());
    /// assert_eq!(limiter.reset().remaining(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reset(&self) -> Decision {
        self.reset_at(self.clock.now())
    }

    /// As [`reset`](Self::reset), at `now`.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("1/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(1);
    /// let turns = [(); 2].map(|()| limiter.reserve_at(1, Duration::from_secs(1), now).wait());
    /// assert_eq!(turns, [Duration::ZERO, Duration::from_secs(1)]);
    /// // Turns that were given are forgotten with the rest.
    /// assert_eq!(limiter.reset_at(now).full_after(), Duration::ZERO);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("10/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert_eq!(limiter.check_n(5).remaining(), 5);
    /// limiter.set_quota("5/s".parse()?)?;
    /// // The half second that is owed was five units, and is two and a half now.
    /// assert_eq!(limiter.peek().remaining(), 2);
    /// assert!(limiter.set_quota("5/min".parse()?).is_err()); // there is room for one second
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("3/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check_n(3);
    /// let seen = limiter.peek();
    /// assert!(seen.is_allowed() && seen.remaining() == 0);
    /// assert_eq!(seen.next_after().as_secs(), 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn peek(&self) -> Decision {
        self.check_n(0)
    }

    /// As [`peek`](Self::peek), at `now`.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("10/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check_n_at(10, Nanos::ZERO);
    /// let at = [0, 99, 100, 250, 1000].map(|ms| Nanos::from(Duration::from_millis(ms)));
    /// assert_eq!(at.map(|now| limiter.peek_at(now).remaining()), [0, 0, 1, 2, 10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn peek_at(&self, now: Nanos) -> Decision {
        self.check_n_at(0, now)
    }

    /// The limiter's quota.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::gcra("100/s burst 20".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// assert_eq!(limiter.quota().to_string(), "100/s burst 20");
    /// limiter.set_quota("50/s burst 10".parse()?)?;
    /// assert_eq!(limiter.quota().burst_units(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn quota(&self) -> Quota {
        *self.quota.lock()
    }

    /// The limiter's clock.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("1/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// assert!(limiter.check().is_allowed() && limiter.check().is_denied());
    /// limiter.clock().advance(Duration::from_secs(1));
    /// assert!(limiter.check().is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C: Clock> Limiter<Gcra, C> {
    /// The longest that a [reservation](Self::reserve) may wait.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("10/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// // Unless the builder was told another: as long as a spent burst takes to come back.
    /// assert_eq!(limiter.longest_wait(), Duration::from_secs(1));
    /// let hour = Duration::from_secs(3600);
    /// let turns = [(); 3].map(|()| limiter.reserve(10, hour).is_allowed());
    /// assert_eq!(turns, [true, true, false]); // now, in a second, and not in two
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn longest_wait(&self) -> Duration {
        Duration::from_nanos(self.room.longest_wait() / TICKS_PER_NANO)
    }

    /// Charges `n` units now for use within `longest`, all or none:
    /// [`Decision::wait`] tells when. See [`Key::reserve`](crate::Key::reserve).
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("10/s burst 1".parse()?)
    ///     .clock(ManualClock::new())
    ///     .longest_wait(Duration::from_secs(5))
    ///     .try_build()?;
    /// let waits = [(); 3].map(|()| limiter.reserve(1, Duration::from_secs(1)).wait().as_millis());
    /// assert_eq!(waits, [0, 100, 200]); // a tenth of a second from one to the next
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reserve(&self, n: u64, longest: Duration) -> Decision {
        self.reserve_at(n, longest, self.clock.now())
    }

    /// As [`reserve`](Self::reserve), at `now`.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("10/s".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(1);
    /// assert_eq!(limiter.reserve_at(10, Duration::ZERO, now).wait(), Duration::ZERO);
    /// // The next two would have to wait for 200 ms, and have 150: to be asked again in 50.
    /// let denied = limiter.reserve_at(2, Duration::from_millis(150), now);
    /// assert_eq!(denied.retry_after(), Some(Duration::from_millis(50)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

/// Builds a [`Limiter`]; made by [`Limiter::gcra`], [`Limiter::sliding_log`] and
/// [`Limiter::sliding_counter`].
///
/// ```
/// use std::time::Duration;
/// use tollgate::Limiter;
///
/// let builder = Limiter::gcra("20/s".parse()?).longest_wait(Duration::from_secs(3));
/// // A builder can be kept: each limiter of it starts anew.
/// let [one, other] = [builder.clone().try_build()?, builder.try_build()?];
/// assert_eq!((one.check().remaining(), other.check().remaining()), (19, 19));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// # use tollgate::{Clock, Limiter, ManualClock};
    /// let clock = ManualClock::new();
    /// let second = Limiter::gcra("1/s".parse()?).clock(&clock).try_build()?;
    /// let minute = Limiter::gcra("2/min".parse()?).clock(&clock).try_build()?;
    /// // One reading does for both.
    /// let now = clock.now();
    /// assert!(minute.check_at(now).is_allowed() && second.check_at(now).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// let (quota, clock) = ("1/s".parse()?, ManualClock::new());
    /// let from = |epoch| Limiter::gcra(quota).clock(&clock).epoch(epoch).try_build();
    /// let limiters = [from(Nanos::from_secs(1_704_067_200))?, from(Nanos::ZERO)?];
    /// // In 2026, by seconds since 1970: who counts from there has stood still since 1988.
    /// for (nth, limiter) in limiters.iter().enumerate() {
    ///     assert!(limiter.check_at(Nanos::from_secs(1_790_000_000)).is_allowed());
    ///     let next = limiter.check_at(Nanos::from_secs(1_790_000_001));
    ///     assert_eq!(next.is_allowed(), nth == 0);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn epoch(mut self, epoch: Nanos) -> Self {
        self.epoch = Some(epoch);
        self
    }
}

impl<A, C> LimiterBuilder<A, C> {
    /// Makes room for another quota, to be set [later](Limiter::set_quota): see
    /// [`KeyedBuilder::room_for`](crate::KeyedBuilder::room_for).
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// let limiter = Limiter::sliding_log("10/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .room_for("100/h".parse()?)
    ///     .try_build()?;
    /// limiter.set_quota("60/h".parse()?)?;
    /// let refused = limiter.set_quota("120/h".parse()?).unwrap_err();
    /// assert!(refused.to_string().starts_with("120 units do not fit in a log of 100"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn room_for(mut self, quota: Quota) -> Self {
        self.others.push(quota);
        self
    }
}

impl<C> LimiterBuilder<Gcra, C> {
    /// The longest that a [reservation](Limiter::reserve) may wait: see
    /// [`KeyedBuilder::longest_wait`](crate::KeyedBuilder::longest_wait).
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock};
    /// # use std::time::Duration;
    /// let limiter = Limiter::gcra("1/s".parse()?)
    ///     .clock(ManualClock::new())
    ///     .longest_wait(Duration::from_secs(3))
    ///     .try_build()?;
    /// let in_line = (0..10).filter(|_| limiter.reserve(1, Duration::MAX).is_allowed()).count();
    /// assert_eq!(in_line, 4); // one at once, three that wait
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = Some(wait);
        self
    }
}

impl<A: Algorithm> LimiterBuilder<A> {
    /// Builds the limiter with a new [`MonotonicClock`].
    ///
    /// ```
    /// # use tollgate::Limiter;
    /// let limiter = Limiter::gcra("5/min".parse()?).try_build()?; // reads the system's clock
    /// assert_eq!(limiter.check().remaining(), 4);
    ///
    /// let refused = Limiter::sliding_log("5/min burst 2".parse()?).try_build().unwrap_err();
    /// assert!(refused.to_string().starts_with("a sliding log knows no burst"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new();
    /// clock.advance(Duration::from_secs(7));
    /// // It counts from seven seconds on, so that is when a slow clock's zero is.
    /// let limiter = Limiter::gcra("1/min".parse()?).clock(&clock).try_build()?;
    /// assert!(limiter.check_at(Nanos::ZERO).is_allowed());
    /// assert_eq!(limiter.check().retry_after(), Some(Duration::from_secs(60)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
