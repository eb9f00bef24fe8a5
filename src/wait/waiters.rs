//! [`Waiters`] of one limiter, and a [`Queue`] before anything else.

use super::{
    lines::Lines,
    question::{OfAnswer, OfKey, OfLimiter, Question, Verdict},
    turn::Turn,
};
use crate::{
    decision::{Charge, Decision},
    limiter::{Algorithm, KeyedLimiter, Limiter, RoomError},
    quota::Quota,
    table::rule::Ask,
    time::{Clock, MonotonicClock, Nanos, TICKS_PER_NANO, ticks_of},
};
use std::{fmt, time::Duration};

/// A limiter, and those who wait for it: a [`Limiter`] or a [`KeyedLimiter`], each key of
/// which has a line of its own.
///
/// Share it by reference or in an `Arc`. One set knows its own waiters: make one per
/// limiter, and check those who do not wait by [`limiter`](Self::limiter). Give back what
/// was charged, reset, and set quotas here, not there: those who wait gain by it, and
/// [keep their order](super#past-the-set). A clock of your own may look at nothing of the set
/// whose limiter reads it: where a state is damaged, it is read while the set is locked.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{KeyedLimiter, Quota, wait::Waiters};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let limiter = KeyedLimiter::gcra(Quota::n_per_second(50)?.burst(1)?)
///     .longest_wait(Duration::from_secs(2)) // a hundred turns ahead
///     .try_build()?;
/// let waiters = Waiters::new(limiter).at_most(100);
///
/// waiters.until_key_ready("api.example.org").await?;
/// // Waits for 20 ms; where that is too long, is told so at once.
/// waiters.until_key_ready("api.example.org").within(Duration::from_secs(1)).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Waiters<L> {
    limiter: L,
    lines: Lines,
}

impl<L> Waiters<L> {
    /// Those who wait for this limiter, at most 1024 at a time; of a [`KeyedLimiter`], so many for
    /// each key, and 16,384 in all.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use tollgate::{Limiter, wait::Waiters};
    ///
    /// let limiter = Limiter::gcra("100/s burst 1".parse()?).longest_wait(Duration::from_secs(1));
    /// let waiters = Arc::new(Waiters::new(limiter.try_build()?));
    /// let threads = [1, 2, 3].map(|_| waiters.clone()).map(|waiters| {
    ///     std::thread::spawn(move || waiters.until_ready().block().is_ok())
    /// });
    /// assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(limiter: L) -> Self {
        Self { limiter, lines: Lines::new() }
    }

    /// So many may wait at a time, of all keys together: whoever would be one more is told
    /// [`WaitError::Full`](super::WaitError::Full) at once. With 0 nobody waits. One key may
    /// then take all places, unless [less is said](Self::at_most_each) for each.
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::{WaitError, Waiters}};
    /// let waiters = Waiters::new(Limiter::gcra("1/h".parse()?).try_build()?).at_most(0);
    /// assert!(waiters.until_ready().block().is_ok());
    /// assert!(matches!(waiters.until_ready().block(), Err(WaitError::Full { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn at_most(mut self, most: usize) -> Self {
        self.lines.at_most(most);
        self
    }

    /// So many may wait at a time for one key: whoever would be one more is told
    /// [`WaitError::Full`](super::WaitError::Full) at once, while others may wait for theirs. Where keys
    /// are of strangers, say much less than [in all](Self::at_most): whoever has `n` keys takes `n` times
    /// as many places, and waiting is cheap for who only wants others not to.
    ///
    /// ```
    /// use std::{future::pending, pin::Pin, task::{Context, Waker}};
    /// use tollgate::{KeyedLimiter, wait::{WaitError, Waiters}};
    ///
    /// let limiter = KeyedLimiter::sliding_log("1/h".parse()?).try_build()?;
    /// let waiters = Waiters::new(limiter).at_most(100).at_most_each(1);
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut turns = ["mallory", "mallory", "mallory", "ann", "ann"]
    ///     .map(|key| waiters.until_key_ready(key).by(|_| pending::<()>()));
    /// let [passes, waits, refused, ann_passes, ann_waits] =
    ///     turns.each_mut().map(|turn| Pin::new(turn).poll(&mut cx));
    /// assert!(passes.is_ready() && waits.is_pending());
    /// assert!(matches!(refused, std::task::Poll::Ready(Err(WaitError::Full { .. }))));
    /// assert!(ann_passes.is_ready() && ann_waits.is_pending());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn at_most_each(mut self, most: usize) -> Self {
        self.lines.at_most_each(most);
        self
    }

    /// How many wait now.
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("1/h".parse()?).try_build()?);
    /// assert_eq!(waiters.waiting(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn waiting(&self) -> usize {
        self.lines.waiting()
    }

    /// The limiter, for whoever does not wait.
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("1/h".parse()?).try_build()?);
    /// assert!(waiters.limiter().check().is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limiter(&self) -> &L {
        &self.limiter
    }
}

impl<A: Algorithm, C: Clock> Waiters<Limiter<A, C>> {
    /// Waits for a unit.
    ///
    /// With GCRA no longer than the limiter's [`longest_wait`](crate::LimiterBuilder::longest_wait), also
    /// without a [deadline](Turn::within): whoever would have to wait longer is told
    /// [`TooLong`](super::WaitError::TooLong) at once. Unless the builder is told, that is as long as a
    /// spent burst takes to come back: with a burst of 1 the second who waits is told so.
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("100/s".parse()?).try_build()?);
    /// waiters.until_ready().block()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until_ready(&self) -> Turn<'_, OfLimiter<'_, A, C>> {
        Turn::new(&self.lines, OfLimiter { limiter: &self.limiter, units: 1 })
    }

    /// Gives back a charge, as [`Limiter::refund`] does; and whoever waits gains by it: all
    /// move up. Given back to the [limiter](Self::limiter) alone, it would be had by who comes
    /// next, before those who wait.
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("5/min".parse()?).try_build()?);
    /// let charge = waiters.until_ready().units(5).block()?.charge().unwrap();
    /// assert_eq!(waiters.refund(charge).remaining(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refund(&self, charge: Charge) -> Decision {
        let now = self.limiter.clock().now();
        let look = || self.limiter.ask(Ask::Look, 0, now);
        self.lines.lower::<A>(0, charge, look, || self.limiter.refund_at(charge, now))
    }

    /// Corrects a charge, as [`Limiter::settle`] does; if there is less of it then, all who
    /// wait move up, as by [`refund`](Self::refund).
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("5/min".parse()?).try_build()?);
    /// let mut charge = waiters.until_ready().units(5).block()?.charge().unwrap();
    /// assert_eq!(waiters.settle(&mut charge, 2).remaining(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle(&self, charge: &mut Charge, units: u64) -> Decision {
        let (now, before) = (self.limiter.clock().now(), *charge);
        let look = || self.limiter.ask(Ask::Look, 0, now);
        self.lines.lower::<A>(0, before, look, || self.limiter.settle_at(charge, units, now))
    }

    /// Forgets what the limiter was charged, as [`Limiter::reset`] does, but for what is reserved
    /// for those who wait: they move up, and pass as if they had just come, in their order. Reset by
    /// the [limiter](Self::limiter) alone, they would be passed: see [there](super#past-the-set).
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("5/min".parse()?).try_build()?);
    /// waiters.until_ready().units(5).block()?;
    /// assert_eq!(waiters.reset().remaining(), 5); // nobody waits
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self) -> Decision {
        let now = self.limiter.clock().now();
        let ask = |ask, units| self.limiter.ask(ask, units, now).to(0, now);
        self.lines.reset::<A>(0, now, || self.limiter.quota(), ask)
    }

    /// Replaces the quota, as [`Limiter::set_quota`] does; and whoever waits gains by it, in its
    /// order. Of units that are reserved, those who wait are due when what is owed with them is down to
    /// the new burst, or when they were promised to be, if that is sooner; of a log or a counter, the
    /// first asks again. Set by the [limiter](Self::limiter) alone, they would be passed by who
    /// reserves next: see [there](super#past-the-set).
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let limiter = Limiter::gcra("1/h".parse()?).room_for("5/h".parse()?).try_build()?;
    /// let waiters = Waiters::new(limiter);
    /// waiters.set_quota("5/h".parse()?)?;
    /// assert_eq!(waiters.until_ready().block()?.decision().remaining(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A quota for which the limiter was not given
    /// [room](crate::LimiterBuilder::room_for); the present one then stays, and nobody moves.
    pub fn set_quota(&self, quota: Quota) -> Result<(), RoomError> {
        self.lines.set_quota::<A>(quota, || self.limiter.set_quota(quota))
    }
}

impl<A: Algorithm, C: Clock> Waiters<KeyedLimiter<A, C>> {
    /// Waits for a unit of that key: with GCRA no longer than the limiter's
    /// [`longest_wait`](crate::KeyedBuilder::longest_wait), also without a [deadline](Turn::within), as
    /// [there](Waiters::until_ready).
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, wait::Waiters};
    /// let waiters = Waiters::new(KeyedLimiter::sliding_log("2/min".parse()?).try_build()?);
    /// assert_eq!(waiters.until_key_ready("alice").block()?.decision().remaining(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until_key_ready<'k, K: AsRef<[u8]> + ?Sized>(
        &'k self,
        key: &'k K,
    ) -> Turn<'k, OfKey<'k, A, C>> {
        Turn::new(&self.lines, OfKey { key: self.limiter.key(key), units: 1 })
    }

    /// Gives back a charge of that key, as [`Key::refund`](crate::Key::refund) does; and
    /// whoever waits for it gains by it: all move up. Given back to the
    /// [limiter](Self::limiter) alone, it would be had by who comes next, before those who
    /// wait. Whom a [deadline](Turn::within) told off already waits no more.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, wait::Waiters};
    /// let waiters = Waiters::new(KeyedLimiter::gcra("5/min".parse()?).try_build()?);
    /// let charge = waiters.until_key_ready("alice").block()?.charge().unwrap();
    /// assert_eq!(waiters.refund_key("alice", charge).remaining(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refund_key<K: AsRef<[u8]> + ?Sized>(&self, key: &K, charge: Charge) -> Decision {
        let key = self.limiter.key(key);
        let now = key.now();
        let look = || key.ask(Ask::Look, 0, now);
        self.lines.lower::<A>(key.line(), charge, look, || key.refund_at(charge, now))
    }

    /// Corrects a charge of that key, as [`Key::settle`](crate::Key::settle) does; if there
    /// is less of it then, all who wait for it move up, as by [`refund_key`](Self::refund_key).
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, wait::Waiters};
    /// let waiters = Waiters::new(KeyedLimiter::gcra("5/min".parse()?).try_build()?);
    /// let mut charge = waiters.until_key_ready("alice").units(5).block()?.charge().unwrap();
    /// assert_eq!(waiters.settle_key("alice", &mut charge, 2).remaining(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle_key<K>(&self, key: &K, charge: &mut Charge, units: u64) -> Decision
    where
        K: AsRef<[u8]> + ?Sized,
    {
        let key = self.limiter.key(key);
        let (now, before) = (key.now(), *charge);
        let look = || key.ask(Ask::Look, 0, now);
        self.lines.lower::<A>(key.line(), before, look, || key.settle_at(charge, units, now))
    }

    /// Forgets what that key was charged, as [`Key::reset`](crate::Key::reset) does, but for what is
    /// reserved for those who wait for it: see [`reset`](Waiters::reset).
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, wait::Waiters};
    /// let waiters = Waiters::new(KeyedLimiter::sliding_log("2/min".parse()?).try_build()?);
    /// waiters.until_key_ready("alice").units(2).block()?;
    /// assert_eq!(waiters.reset_key("alice").remaining(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_key<K: AsRef<[u8]> + ?Sized>(&self, key: &K) -> Decision {
        let key = self.limiter.key(key);
        let now = key.now();
        let ask = |ask, units| key.ask(ask, units, now).to(0, now);
        self.lines.reset::<A>(key.line(), now, || self.limiter.quota(), ask)
    }

    /// Replaces the quota of all keys, as [`KeyedLimiter::set_quota`] does; and whoever waits gains
    /// by it, in its order. Of units that are reserved, those who wait are due when what is owed with
    /// them is down to the new burst, or when they were promised to be, if that is sooner; of a log or a
    /// counter, the first of each line asks again. It takes a step for each who waits (and in a region, the
    /// region's lock), while no other may come to wait, pass or leave.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, wait::Waiters};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?).room_for("5/h".parse()?).try_build()?;
    /// let waiters = Waiters::new(limiter);
    /// waiters.set_quota("5/h".parse()?)?;
    /// assert_eq!(waiters.until_key_ready("alice").block()?.decision().remaining(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A quota for which the limiter was not given
    /// [room](crate::KeyedBuilder::room_for), or whatever else
    /// [`KeyedLimiter::set_quota`] refuses; the present one then stays, and nobody moves.
    pub fn set_quota(&self, quota: Quota) -> Result<(), RoomError> {
        self.lines.set_quota::<A>(quota, || self.limiter.set_quota(quota))
    }
}

impl Lines {
    /// Lowers a charge by `lower`; whoever waits in that line then moves up, or asks again.
    /// `look` tells how the limiter stands.
    fn lower<A: Algorithm>(
        &self,
        line: u64,
        charge: Charge,
        look: impl FnOnce() -> Decision,
        lower: impl FnOnce() -> Decision,
    ) -> Decision {
        if !A::RESERVES {
            let decision = lower();
            self.nudge(line);
            return decision;
        }
        self.move_up(line, || {
            let before = look().full_after();
            let decision = lower();
            // Times are rounded, what was charged need not be: rather later than sooner.
            let most = match charge.weight_of(charge.units()) / TICKS_PER_NANO {
                0 => before.saturating_sub(Duration::from_nanos(1)),
                weight => Duration::from_nanos(weight),
            };
            (decision, before.saturating_sub(decision.full_after()).min(most))
        })
    }

    /// Resets the limiter of a line, which is asked by `ask` at `now`.
    fn reset<A: Algorithm>(
        &self,
        line: u64,
        now: Nanos,
        quota: impl FnOnce() -> Quota,
        ask: impl Fn(Ask, u64) -> Decision,
    ) -> Decision {
        if !A::RESERVES {
            let decision = ask(Ask::Forget, 1);
            self.nudge(line);
            return decision;
        }
        self.start_anew(
            line,
            now,
            || tolerance(quota()),
            |kept| {
                // Of no units: what is owed, not what would be with one more.
                let before = ask(Ask::Look, 0);
                match before.full_after_ticks().saturating_sub(ticks_of(kept)) {
                    0 => before,
                    // Whatever came between stays, too.
                    weight => ask(Ask::GiveBack { charged: u64::MAX, weight }, 1),
                }
            },
        )
    }

    /// Sets the quota of all lines by `set`.
    fn set_quota<A: Algorithm>(
        &self,
        quota: Quota,
        set: impl FnOnce() -> Result<(), RoomError>,
    ) -> Result<(), RoomError> {
        if A::RESERVES {
            self.tolerate(tolerance(quota), set)
        } else {
            set()?;
            self.nudge_all();
            Ok(())
        }
    }
}

/// The debt that a burst of this quota may leave, in whole nanoseconds.
fn tolerance(quota: Quota) -> Duration {
    let ticks = quota.burst_units().saturating_mul(quota.interval_ticks());
    Duration::from_nanos(ticks / TICKS_PER_NANO)
}

impl<L: fmt::Debug> fmt::Debug for Waiters<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiters").field(&self.limiter).field(&self.lines).finish()
    }
}

/// Lines before anything that answers with a [`Verdict`]: a policy above all.
///
/// In each line the first alone asks, again when it was told to; the others stand behind
/// it, and whoever comes anew does not pass them. Nothing is charged while one waits.
///
/// ```
/// use std::time::Duration;
/// use tollgate::wait::Queue;
/// # #[cfg(feature = "policy")] {
/// use tollgate::policy::Policy;
///
/// let policy = Policy::from_toml(
///     r#"
///     [attribute.user]
///     [[limit]]
///     name = "api"
///     key = ["user"]
///     quota = "1/10ms"
///     "#,
/// )?;
/// let request = policy.request("GET", "/").attribute("user", "ann");
/// let queue = Queue::new();
/// // A line of her own: nobody waits for ann but ann.
/// for _ in 0..2 {
///     let turn = queue.until_policy_allows("ann", &policy, &request);
///     let decision = turn.within(Duration::from_secs(9)).block();
///     let decision = decision.map_err(|refused| refused.map_answer(drop))?;
///     assert!(decision.is_allowed());
/// }
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Who is refused finds what the policy answered in [the error](super::WaitError::into_answer).
///
/// # Waiting is no denial
///
/// `until_policy_allows` asks so that its penalties do not count who waits; whoever is told no in
/// the end was denied once. [`until_allowed`](Self::until_allowed) with a policy's `check` is a denial
/// whenever it asks.
///
/// # A policy that is replaced
///
/// Wait for the `LivePolicy`: the policy that holds is asked, and its decision keeps it. Such a
/// decision, and the error with it, goes anywhere. Who waits for what the former policy said asks when
/// that is over: [nudge all](Self::nudge_all) after a replacement.
///
/// ```
/// use std::time::Duration;
/// use tollgate::wait::Queue;
/// # #[cfg(feature = "policy")] {
/// use tollgate::policy::{KeptDecision, LivePolicy, Policy};
///
/// fn wait(live: &LivePolicy, queue: &Queue) -> Result<KeptDecision, Box<dyn std::error::Error>> {
///     let policy = live.load_shared();
///     let request = policy.request("GET", "/").attribute("user", "ann");
///     let turn = queue.until_policy_allows("ann", live, &request);
///     Ok(turn.within(Duration::from_secs(9)).block()?)
/// }
/// let file = "[attribute.user]\n[[limit]]\nname = 'api'\nkey = ['user']\nquota = '1/10ms'\n";
/// let (live, queue) = (LivePolicy::new(Policy::from_toml(file)?), Queue::new());
/// for _ in 0..2 {
///     let mut decision = wait(&live, &queue)?;
///     assert_eq!(decision.with(|decision| decision.limits().count()), 1);
/// }
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<C = MonotonicClock> {
    clock: C,
    lines: Lines,
}

impl Queue {
    /// Nobody waits; at most 1024 at a time will in a line, and 16,384 in all.
    ///
    /// ```
    /// use tollgate::{Limiter, wait::Queue};
    ///
    /// let limiter = Limiter::gcra("5/min".parse()?).try_build()?;
    /// let queue = Queue::new();
    /// let decision = queue.until_allowed("uploads", || limiter.check_n(3)).block()?;
    /// assert_eq!(decision.remaining(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new() -> Self {
        Self::with_clock(MonotonicClock::new())
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock> Queue<C> {
    /// As [`new`](Queue::new), by a clock of your own. What is asked must go by the same: beside
    /// a clock that is paused, a policy is asked at moments made of that clock
    /// (`until_policy_allows_at`).
    ///
    /// ```
    /// use tollgate::{ManualClock, wait::Queue};
    ///
    /// assert_eq!(Queue::with_clock(ManualClock::new()).waiting(), 0);
    /// ```
    pub fn with_clock(clock: C) -> Self {
        Self { clock, lines: Lines::new() }
    }

    /// So many may wait at a time, in all lines together; and in one, unless [less is
    /// said](Self::at_most_each) for each.
    ///
    /// ```
    /// use tollgate::wait::Queue;
    ///
    /// let queue = Queue::new().at_most(100);
    /// # assert_eq!(queue.waiting(), 0);
    /// ```
    #[must_use]
    pub fn at_most(mut self, most: usize) -> Self {
        self.lines.at_most(most);
        self
    }

    /// So many may wait at a time in one line: see [`Waiters::at_most_each`].
    ///
    /// ```
    /// use tollgate::{Limiter, wait::{Queue, WaitError}};
    ///
    /// let limiter = Limiter::gcra("1/h".parse()?).try_build()?;
    /// let queue = Queue::new().at_most_each(0); // told at once, and asked about once
    /// assert!(queue.until_allowed("all", || limiter.check()).block().is_ok());
    /// let full = queue.until_allowed("all", || limiter.check()).block();
    /// assert!(matches!(full, Err(WaitError::Full { answer: Some(_) })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn at_most_each(mut self, most: usize) -> Self {
        self.lines.at_most_each(most);
        self
    }

    /// How many wait now.
    ///
    /// ```
    /// assert_eq!(tollgate::wait::Queue::new().waiting(), 0);
    /// ```
    pub fn waiting(&self) -> usize {
        self.lines.waiting()
    }

    /// Waits in that line until `ask` is answered with a yes. It is asked again and again, and
    /// what a no leaves behind it leaves each time: for policies there is `until_policy_allows`.
    ///
    /// ```
    /// use tollgate::{Limiter, wait::Queue};
    ///
    /// let (minute, hour) = ("5/min".parse()?, "100/h".parse()?);
    /// let limiters = [Limiter::gcra(minute).try_build()?, Limiter::gcra(hour).try_build()?];
    /// let queue = Queue::new();
    /// for limiter in &limiters {
    ///     let decision = queue.until_allowed("uploads", || limiter.check()).block()?;
    ///     assert!(decision.is_allowed());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until_allowed<'q, K, F, V>(&'q self, line: &K, ask: F) -> Turn<'q, OfAnswer<'q, F, C>>
    where
        K: AsRef<[u8]> + ?Sized,
        F: FnMut() -> V,
        V: Verdict,
    {
        let line = self.line(line);
        self.turn(OfAnswer { ask, line, clock: &self.clock })
    }

    pub(crate) fn turn<Q: Question>(&self, question: Q) -> Turn<'_, Q> {
        Turn::new(&self.lines, question)
    }

    /// Lets the first of that line ask at once: something came back that nobody waited
    /// for, such as a lease. It finds nobody there whom a [deadline](Turn::within) told off
    /// already: who waits for leases [asks again](Turn::every) instead.
    ///
    /// ```
    /// tollgate::wait::Queue::new().nudge("uploads");
    /// ```
    pub fn nudge<K: AsRef<[u8]> + ?Sized>(&self, line: &K) {
        self.lines.nudge(self.line(line));
    }

    /// Lets the first of every line ask at once: a policy was replaced, say. It takes a step for
    /// each line.
    ///
    /// ```
    /// use tollgate::{policy::{LivePolicy, Policy, PolicyFile}, wait::Queue};
    ///
    /// # let file = |text: &str| PolicyFile::parse("policy.toml", text.as_bytes());
    /// # let old = file("[[limit]]\nname = 'api'\nkey = []\nquota = '1/d'\n")?;
    /// # let new = file("[[limit]]\nname = 'api'\nkey = []\nquota = '1/s'\n")?;
    /// let (queue, live) = (Queue::new(), LivePolicy::new(Policy::from_file(&old)?));
    /// // Whoever watches the file:
    /// live.replace(&new)?;
    /// queue.nudge_all(); // nobody sleeps on what the former one said
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn nudge_all(&self) {
        self.lines.nudge_all();
    }

    pub(crate) fn line<K: AsRef<[u8]> + ?Sized>(&self, line: &K) -> u64 {
        self.lines.random.hash_one(line.as_ref())
    }

    #[cfg(feature = "policy")]
    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C> fmt::Debug for Queue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.lines).finish()
    }
}
