//! [`Key`]: everything that can be asked of one key.

use super::{Algorithm, KeyedLimiter, RoomError, settle};
use crate::{
    algorithm::Gcra,
    decision::{Charge, Decision},
    quota::Quota,
    table::{Hash, rule::Ask},
    time::{Clock, MonotonicClock, Nanos, ticks_of},
};
use std::{fmt, time::Duration};

/// What the caller calls a key: bytes, or else a hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub(super) bytes: Option<&'a [u8]>,
    pub(super) hash: u64,
}

impl<'a> Name<'a> {
    #[inline(always)]
    pub(super) const fn bytes(bytes: &'a [u8]) -> Self {
        Self { bytes: Some(bytes), hash: 0 }
    }

    #[inline(always)]
    pub(super) const fn hash(hash: u64) -> Self {
        Self { bytes: None, hash }
    }
}

/// One key of a [`KeyedLimiter`]: made by [`KeyedLimiter::key`] and
/// [`KeyedLimiter::hashed`], for what goes beyond a plain check.
///
/// It holds the key's hash and, if asked, [another quota](Self::quota); nothing
/// of the limiter's memory. Making one costs the hash, and copying it nothing.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{KeyedLimiter, Quota};
///
/// let limiter = KeyedLimiter::gcra(Quota::n_per_second(10)?.burst(1)?)
///     .room_for(Quota::n_per_second(100)?)
///     .try_build()?;
/// let alice = limiter.key("alice");
///
/// // Pacing as data: charged now, to be done when its turn comes.
/// for turn in 0..3 {
///     let decision = alice.reserve(1, Duration::from_secs(1));
///     assert!(decision.is_allowed());
///     assert!(decision.wait() <= turn * Duration::from_millis(100));
/// }
///
/// // A paying customer has another quota, on the same state.
/// let pro = limiter.key("bob").quota(Quota::n_per_second(100)?)?;
/// assert_eq!(pro.check_n(40).remaining(), 60);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a key does nothing until it is asked"]
pub struct Key<'a, A = Gcra, C = MonotonicClock> {
    limiter: &'a KeyedLimiter<A, C>,
    hash: Hash,
    name: Name<'a>,
    /// By the limiter's quota, unless given.
    rule: Option<A>,
}

impl<A: Copy, C> Clone for Key<'_, A, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Copy, C> Copy for Key<'_, A, C> {}

impl<A, C> fmt::Debug for Key<'_, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

impl<'a, A: Algorithm, C: Clock> Key<'a, A, C> {
    #[inline]
    pub(super) fn new(limiter: &'a KeyedLimiter<A, C>, hash: Hash, name: Name<'a>) -> Self {
        Self { limiter, hash, name, rule: None }
    }

    /// The same key, asked by another quota: a customer's own, or a tier's.
    ///
    /// The state is one, whatever quotas ask: what was charged by one quota is
    /// owed to all. GCRA owes time, so that a unit of a faster quota weighs less.
    /// The log counts units, and **forgets those that have left the window of the
    /// quota it was last charged by**: that is for a key whose quota changes, not for
    /// two limits on one key at a time, which take two limiters. The counter counts
    /// units as well, and forgets none for that.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("10/s".parse()?)
    ///     .clock(ManualClock::new())
    ///     .room_for("100/s".parse()?)
    ///     .try_build()?;
    /// assert_eq!(limiter.key("alice").quota("100/s".parse()?)?.check_n(50).remaining(), 50);
    /// // Half a second is owed: by the quota that all others have, five of ten.
    /// assert_eq!(limiter.peek("alice").remaining(), 5);
    /// assert!(limiter.key("alice").quota("100/min".parse()?).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A quota for which the limiter was not given
    /// [room](crate::KeyedBuilder::room_for).
    #[inline]
    pub fn quota(self, quota: Quota) -> Result<Self, RoomError> {
        let room = self.limiter.store.room();
        let rule = room.with_numbers(room.fit(&quota)?);
        Ok(Self { rule: Some(rule), ..self })
    }

    /// Asks for one unit now.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let alice = limiter.key("alice"); // hashed once
    /// if alice.peek().remaining() > 5 {
    ///     assert_eq!(alice.check().remaining(), 9);
    /// }
    /// assert_eq!(limiter.check("alice").remaining(), 8); // the same state
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn check(&self) -> Decision {
        self.check_n_at(1, self.now())
    }

    /// Asks for `n` units now, all or none. 0 only looks.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let alice = limiter.key("alice");
    /// // As much as there is, where part of the work is worth doing.
    /// let _ = alice.check_n(7);
    /// let part = alice.check_n(7.min(alice.peek().remaining()));
    /// assert_eq!(part.charge().map(|charge| charge.units()), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn check_n(&self, n: u64) -> Decision {
        self.check_n_at(n, self.now())
    }

    /// Asks for one unit at `now`, a reading of the limiter's clock.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = KeyedLimiter::gcra("4/s burst 1".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let (alice, start) = (limiter.key("alice"), Nanos::from_secs(1));
    /// assert!(alice.check_at(start).is_allowed());
    /// // The next after exactly a quarter of a second, and not a nanosecond earlier.
    /// let due = start.after(Duration::from_millis(250));
    /// assert!(alice.check_at(Nanos::new(due.as_u64() - 1)).is_denied());
    /// assert!(alice.check_at(due).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn check_at(&self, now: Nanos) -> Decision {
        self.check_n_at(1, now)
    }

    /// Asks for `n` units at `now`, all or none. 0 only looks.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::sliding_log("10/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let alice = limiter.key("alice");
    /// let (start, later) = (Nanos::from_secs(60), Nanos::from_secs(90));
    /// assert!(alice.check_n_at(6, start).is_allowed());
    /// assert!(alice.check_n_at(4, later).is_allowed());
    /// // For five, the six of the beginning must leave; for seven, some of the four as well.
    /// let waits = [5, 7].map(|n| alice.check_n_at(n, later).retry_after_secs());
    /// assert_eq!(waits, [Some(30), Some(60)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn check_n_at(&self, n: u64, now: Nanos) -> Decision {
        self.ask(Ask::Charge, n, now)
    }

    /// How much is left now: see [`KeyedLimiter::peek`].
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("10/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .room_for("100/min".parse()?)
    ///     .try_build()?;
    /// let _ = limiter.check_n("alice", 4);
    /// let alice = limiter.key("alice");
    /// assert_eq!(alice.peek().remaining(), 6);
    /// assert_eq!(alice.quota("100/min".parse()?)?.peek().remaining(), 60); // were she to pay
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn peek(&self) -> Decision {
        self.check_n(0)
    }

    /// As [`peek`](Self::peek), at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("6/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let alice = limiter.key("alice");
    /// let _ = alice.check_n_at(6, Nanos::ZERO);
    /// assert_eq!([9, 10, 60].map(|s| alice.peek_at(Nanos::from_secs(s)).remaining()), [0, 1, 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn peek_at(&self, now: Nanos) -> Decision {
        self.check_n_at(0, now)
    }

    /// Gives back what was charged, because it was not used after all. The answer
    /// tells how the key stands then, and is never a denial.
    ///
    /// GCRA: what is owed shrinks by the time that the units added, at most to nothing, and not
    /// at all once the charge is older than the largest debt. Sliding log: as
    /// many of the oldest live units leave at once, unless the charge's own have
    /// left; the charge itself may so be held against the key a little longer,
    /// never shorter. Sliding counter: as long as the charge's window lasts, as
    /// [it says](crate::SlidingCounter#refunds). A key without a state owes nothing, and
    /// nothing happens.
    ///
    /// A charge given back twice is given back twice. Whoever was turned away
    /// meanwhile is not asked again. The slot of a GCRA key that was ever given
    /// something back rests for the largest debt after it is as good as new (see
    /// [the design chapter](crate::design)): with refunds as the rule, make the
    /// capacity twice what it would be.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("5/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let alice = limiter.key("alice");
    /// for answer in [503, 503, 200] {
    ///     let charge = alice.check().charge();
    ///     // Whoever meets our own failure tries again without paying twice.
    ///     if let (503, Some(charge)) = (answer, charge) {
    ///         let _ = alice.refund(charge);
    ///     }
    /// }
    /// assert_eq!(alice.peek().remaining(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn refund(&self, charge: Charge) -> Decision {
        self.refund_at(charge, self.now())
    }

    /// As [`refund`](Self::refund), at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::sliding_log("5/min".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let alice = limiter.key("alice");
    /// let early = alice.check_n_at(2, Nanos::ZERO).charge();
    /// let _ = alice.check_n_at(3, Nanos::from_secs(50));
    /// // The two have left the window: nothing of the other three is given back for them.
    /// let early = early.ok_or("denied")?;
    /// assert_eq!(alice.refund_at(early, Nanos::from_secs(60)).remaining(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn refund_at(&self, charge: Charge, now: Nanos) -> Decision {
        self.give_back(charge.units(), &charge, now)
    }

    /// Corrects a charge that was an estimate: the key is charged `units` in all,
    /// and the charge is of so many from now on. The answer tells how the key
    /// stands then, and is never a denial.
    ///
    /// Too much is given back as by [`refund`](Self::refund). What is missing was
    /// used already, so it is charged even beyond the limit, and who comes next
    /// waits for it: with GCRA up to the largest debt the limiter has room for (see
    /// [`longest_wait`](crate::KeyedBuilder::longest_wait)), with the sliding log
    /// and the counter up to the units of a window. Units beyond that are not charged,
    /// nor in the charge.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota};
    ///
    /// let limiter = KeyedLimiter::gcra(Quota::n_per_hour(1000)?).try_build()?;
    /// let tokens = limiter.key("alice");
    /// let mut estimate = tokens.check_n(400).charge().unwrap();
    /// assert_eq!(tokens.settle(&mut estimate, 150).remaining(), 850);
    ///
    /// let mut estimate = tokens.check_n(400).charge().unwrap();
    /// // It took more than there was: the next ones wait for it.
    /// assert_eq!(tokens.settle(&mut estimate, 1300).remaining(), 0);
    /// assert_eq!(estimate.units(), 1300);
    /// assert!(tokens.check().is_denied());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn settle(&self, charge: &mut Charge, units: u64) -> Decision {
        self.settle_at(charge, units, self.now())
    }

    /// As [`settle`](Self::settle), at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("60/min".parse()?).clock(ManualClock::new()).try_build()?;
    /// let alice = limiter.key("alice");
    /// let mut charge = alice.check_n_at(30, Nanos::from_secs(1)).charge().ok_or("denied")?;
    /// // Ten seconds on, twenty are still owed; eighteen of them were never used.
    /// assert_eq!(alice.settle_at(&mut charge, 12, Nanos::from_secs(11)).remaining(), 58);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle_at(&self, charge: &mut Charge, units: u64, now: Nanos) -> Decision {
        let largest = self.limiter.store.room().largest_debt();
        let back = |n, charge: &Charge| self.give_back(n, charge, now);
        settle(charge, units, largest, back, |n| self.ask(Ask::Force, n, now)).to(0, now)
    }

    /// Forgets what the key was charged: it is as good as new. The answer tells how
    /// it stands then. A key without a state stays without.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::sliding_log("5/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let _ = limiter.check_n("alice", 5);
    /// assert!(limiter.check("alice").is_denied());
    /// // The right password after all.
    /// assert_eq!(limiter.key("alice").reset().remaining(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reset(&self) -> Decision {
        self.reset_at(self.now())
    }

    /// As [`reset`](Self::reset), at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// let limiter = KeyedLimiter::gcra("5/h".parse()?).clock(ManualClock::new()).try_build()?;
    /// let now = Nanos::from_secs(100);
    /// let _ = limiter.check_n_at("alice", 5, now);
    /// let keys = ["alice", "nobody"].map(|key| limiter.key(key).reset_at(now).remaining());
    /// assert_eq!(keys, [5, 5]);
    /// assert_eq!(limiter.gauges_at(now).live_keys(), 1); // her slot rests, nobody got one
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reset_at(&self, now: Nanos) -> Decision {
        self.ask(Ask::Forget, 1, now).to(0, now)
    }

    #[inline]
    fn give_back(&self, units: u64, charge: &Charge, now: Nanos) -> Decision {
        let charged = self.limiter.store.ticks(charge.at());
        let weight = charge.weight_of(units);
        self.ask(Ask::GiveBack { charged, weight }, units, now).to(0, now)
    }

    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        self.limiter.clock.now()
    }

    /// A number that tells keys apart as well as the table does.
    pub(crate) fn line(&self) -> u64 {
        self.hash.0
    }

    #[inline]
    pub(crate) fn ask(&self, ask: Ask, n: u64, now: Nanos) -> Decision {
        let request = self.limiter.store.request(n, now).asking(ask);
        let found = self.limiter.store.look_up(self.hash);
        let rule = self.rule.unwrap_or_else(|| self.limiter.rule());
        self.limiter.ask(&rule, found, self.name, request, now)
    }
}

impl<C: Clock> Key<'_, Gcra, C> {
    /// Charges `n` units now for use within `longest`, all or none:
    /// [`Decision::wait`] tells when. Pacing as data.
    ///
    /// Those who reserve take their turns in the order in which they were
    /// charged. Waits longer than the limiter's
    /// [`longest_wait`](crate::KeyedBuilder::longest_wait) are never given. Denied,
    /// `retry_after` tells when the same reservation will be allowed; more units
    /// than the burst never are. Who gives up gives the charge
    /// [back](Self::refund); those behind keep their turns.
    ///
    /// Only GCRA can: a log judges by its newest stamp, and a unit stamped ahead of
    /// its time would let others in before that time. With a log, check again
    /// after [`retry_after`](Decision::retry_after).
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let limiter = KeyedLimiter::gcra("5/s burst 1".parse()?)
    ///     .clock(ManualClock::new())
    ///     .longest_wait(Duration::from_secs(1))
    ///     .try_build()?;
    /// let mails = limiter.key("mail.example");
    /// let wait = Duration::from_secs(1);
    /// let turns = [(); 3].map(|()| mails.reserve(1, wait).wait().as_millis());
    /// assert_eq!(turns, [0, 200, 400]);
    /// assert_eq!(mails.check().retry_after(), Some(Duration::from_millis(600))); // behind them
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reserve(&self, n: u64, longest: Duration) -> Decision {
        self.reserve_at(n, longest, self.now())
    }

    /// As [`reserve`](Self::reserve), at `now`.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let limiter = KeyedLimiter::gcra("1/s".parse()?)
    ///     .clock(ManualClock::new())
    ///     .longest_wait(Duration::from_secs(10))
    ///     .try_build()?;
    /// let (alice, now) = (limiter.key("alice"), Nanos::from_secs(1));
    /// let waits = [(); 3].map(|()| alice.reserve_at(1, Duration::from_secs(2), now).wait());
    /// assert_eq!(waits.map(|wait| wait.as_secs()), [0, 1, 2]);
    /// // Who is patient for two seconds only comes again in one.
    /// let denied = alice.reserve_at(1, Duration::from_secs(2), now);
    /// assert_eq!(denied.retry_after(), Some(Duration::from_secs(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reserve_at(&self, n: u64, longest: Duration, now: Nanos) -> Decision {
        self.ask(Ask::Reserve(ticks_of(longest)), n, now)
    }
}
