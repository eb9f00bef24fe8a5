//! One call, from its first try to its last.

use super::{Ask, Pacer, Seen, Ticket, state::WaitsFor};
use crate::{
    client::{Advice, GiveUp, Jitter, Next, Retry},
    time::{Clock, MonotonicClock, Nanos},
};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// What a caller is to do now.
///
/// ```
/// use std::{thread::sleep, time::Duration};
/// use tollgate::client::{Pacer, Step};
///
/// let mut call = Pacer::new().call();
/// match call.step() {
///     Step::Go => { /* send it, and tell `answered` */ }
///     Step::Wait(time) => sleep(time),
///     Step::Busy => _ = call.wait_for_an_end(Duration::from_secs(1)),
///     Step::End => { /* the last answer is the caller's */ }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Send. The call is in flight until it is [answered](Call::answered) or dropped.
    Go,
    /// Ask again after this time, which is never zero.
    Wait(Duration),
    /// As many calls are in flight as may be: ask again when one has ended
    /// ([`Call::wait_for_an_end`], or for tasks [`Call::news`]).
    Busy,
    /// The call is over, and the last answer is the caller's: it was not a denial, or its tries are
    /// spent, or it would not be sent again within the [total](crate::client::Backoff::total) of
    /// its schedule. Never said of a call that had no answer.
    End,
}

/// What became of a call, by its answer.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tollgate::client::{Answered, Backoff, GiveUp, Pacer, Step};
///
/// let pacer = Pacer::builder().backoff(Backoff::doubling().total(Duration::from_secs(30))).build();
/// let mut call = pacer.call();
/// assert_eq!(call.step(), Step::Go);
/// assert_eq!(call.answered(429, [("Retry-After", "20")], SystemTime::now()), Answered::Again);
/// assert!(matches!(call.step(), Step::Wait(_)));
/// let answered = call.answered(429, [("Retry-After", "3600")], SystemTime::now());
/// assert_eq!(answered, Answered::GiveUp(GiveUp::Total(Duration::from_secs(3600))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer is the caller's.
    Done,
    /// Denied: to be tried again, as the next [`Call::step`] says.
    Again,
    /// Denied, and not to be tried again: the answer is the caller's.
    GiveUp(GiveUp),
}

/// A call is not to be sent: it is over, as [`Step::End`] says, and its last answer is the caller's.
///
/// ```
/// use std::time::SystemTime;
/// use tollgate::client::{Answered, CallEnded, Pacer};
///
/// let mut call = Pacer::new().call();
/// call.block()?;
/// assert_eq!(call.answered(200, [("", ""); 0], SystemTime::now()), Answered::Done);
/// assert_eq!(call.block(), Err(CallEnded));
/// # Ok::<(), CallEnded>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEnded;

impl fmt::Display for CallEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call is over, and is not sent again")
    }
}

impl std::error::Error for CallEnded {}

/// One call, from its first try to its last: from [`Pacer::call`].
///
/// Dropped while it is in flight, as after an error of transport, it ends as one that may have
/// been counted, unless it is said that it was [not sent](Call::not_sent). Where nothing was left, the
/// next one then goes after the schedule's wait, alone.
/// Give what sends it a timeout: while one call alone may be in flight, as at first and after a denial,
/// all others wait for its end.
///
/// ```
/// use std::time::SystemTime;
/// use tollgate::client::Pacer;
///
/// /// Sends until there is an answer that is not "later", or it is not worth it any more.
/// fn polite(pacer: &Pacer, send: impl Fn() -> (u16, Vec<(String, String)>)) -> u16 {
///     let (mut call, mut last) = (pacer.call(), 429);
///     // Or step by step, in a runtime of one's own.
///     while call.block().is_ok() {
///         let (status, fields) = send();
///         call.answered(status, fields, SystemTime::now());
///         last = status;
///     }
///     last
/// }
/// assert_eq!(polite(&Pacer::new(), || (200, vec![])), 200);
/// ```
pub struct Call<C: Clock = MonotonicClock> {
    pub(super) pacer: Pacer<C>,
    retry: Retry,
    ticket: Option<Ticket>,
    /// What it waits for, as of its last step.
    pub(super) seen: Seen,
    /// After a denial.
    not_before: Nanos,
    /// Its last answer is there.
    over: bool,
}

impl<C: Clock> Call<C> {
    pub(super) fn new(pacer: Pacer<C>, jitter: Jitter) -> Self {
        let retry = Retry::new(pacer.settings().backoff.clone(), jitter);
        let (ticket, seen) = (None, Seen::NOTHING);
        Self { pacer, retry, ticket, seen, not_before: Nanos::ZERO, over: false }
    }

    /// Whether to send now. A try that is still in flight ends here, without an answer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::{ManualClock, client::{Pacer, Step}};
    /// let pacer = Pacer::builder().quota("1/min".parse()?).clock(ManualClock::new()).build();
    /// let (mut first, mut second) = (pacer.call(), pacer.call());
    /// assert_eq!((first.step(), second.step()), (Step::Go, Step::Busy));
    /// drop(first); // without an answer: it may have been counted
    /// assert_eq!(second.step(), Step::Wait(Duration::from_secs(60)));
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn step(&mut self) -> Step {
        self.step_at(self.pacer.now())
    }

    /// The same at `now`, a reading of the pacer's clock.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::{Nanos, client::{Pacer, Step}};
    /// let pacer = Pacer::builder().quota("1/min".parse()?).build();
    /// let mut call = pacer.call();
    /// assert_eq!(call.step_at(Nanos::from_secs(5)), Step::Go);
    /// // It got no answer, and is to be sent again.
    /// assert_eq!(call.step_at(Nanos::from_secs(7)), Step::Wait(Duration::from_secs(60)));
    /// assert_eq!(call.step_at(Nanos::from_secs(67)), Step::Go);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn step_at(&mut self, now: Nanos) -> Step {
        self.lost(now);
        (self.seen.waits_for, self.seen.until) = (WaitsFor::Nothing, Nanos::MAX);
        let deadline = self.retry.deadline().unwrap_or(Nanos::MAX);
        if self.over || now > deadline {
            return Step::End;
        }
        let own = self.not_before.since(now);
        match if own.is_zero() { self.ask(now) } else { self.wait_for_itself(own) } {
            // Not after a sleep in vain.
            Step::Wait(wait) if now.after(wait) > deadline => {
                self.seen.waits_for = WaitsFor::Nothing;
                Step::End
            }
            step => step,
        }
    }

    fn ask(&mut self, now: Nanos) -> Step {
        match self.pacer.ask(now) {
            Ask::Go(ticket) => {
                self.ticket = Some(ticket);
                Step::Go
            }
            Ask::Wait(wait, seen) => {
                self.seen = seen;
                Step::Wait(wait)
            }
            Ask::Busy(seen) => {
                self.seen = seen;
                Step::Busy
            }
        }
    }

    fn wait_for_itself(&mut self, wait: Duration) -> Step {
        self.seen.waits_for = WaitsFor::Time;
        Step::Wait(wait)
    }

    /// The try that is in flight surely was not sent: its connection was refused, its name not
    /// found, or it was given up before anything was written. What it was charged is given
    /// back at once, and whoever waits may go in its stead.
    ///
    /// Say so only of what surely did not arrive: a connection that broke, a timeout after the
    /// first byte was written, or an error that may be of either kind are no such thing, and the call
    /// is [dropped](Call) or asked for its next step, as one that may have been counted. With nothing in
    /// flight it does nothing. Whether to try again is the caller's matter, and when: this call may go
    /// again at once, so have a pause of your own before you ask for its next step.
    ///
    /// ```
    /// # use std::{io, time::SystemTime};
    /// # use tollgate::{ManualClock, client::{Pacer, Step}};
    /// let pacer = Pacer::builder().quota("1/min".parse()?).clock(ManualClock::new()).build();
    /// # fn connect() -> io::Result<()> { Err(io::ErrorKind::ConnectionRefused.into()) }
    /// let mut call = pacer.call();
    /// assert_eq!(call.step(), Step::Go);
    /// if connect().is_err() {
    ///     call.not_sent();
    /// }
    /// assert_eq!(pacer.call().step(), Step::Go); // the unit of this minute is there still
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn not_sent(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.pacer.unsent(ticket);
        }
    }

    /// Blocks this thread until some call has ended since [`Step::Busy`] was said, at most
    /// so long, and no longer than its schedule's total, or than until it may go although none has
    /// (a unit of its own has come back). Whether one has; if none is in flight, at once. Either way ask
    /// for the [next step](Self::step) then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::client::{Pacer, Step};
    ///
    /// let pacer = Pacer::builder().in_flight(1).build();
    /// let mut first = pacer.call();
    /// let mut second = pacer.call();
    /// assert_eq!((first.step(), second.step()), (Step::Go, Step::Busy));
    /// std::thread::scope(|threads| {
    ///     threads.spawn(move || drop(first)); // its request ended, without an answer
    ///     assert!(second.wait_for_an_end(Duration::from_secs(5)));
    /// });
    /// assert_eq!(second.step(), Step::Go);
    /// ```
    pub fn wait_for_an_end(&self, at_most: Duration) -> bool {
        self.pacer.wait_for_an_end(self.seen, at_most.min(self.patience()).min(self.busy()))
    }

    /// How long it waits for an end before it asks again all the same.
    pub(super) fn busy(&self) -> Duration {
        match self.seen.until {
            Nanos::MAX => Duration::MAX,
            until => until.since(self.pacer.now()),
        }
    }

    /// How long it may wait before it gives up.
    pub(in crate::client) fn patience(&self) -> Duration {
        let now = self.pacer.now();
        let left = |deadline: Nanos| deadline.since(now).saturating_add(Duration::from_nanos(1));
        self.retry.deadline().map_or(Duration::MAX, left)
    }

    /// How long it waits after its own denial, whatever others do.
    #[cfg(feature = "reqwest-middleware")]
    pub(in crate::client) fn own_wait(&self) -> Option<Duration> {
        let wait = self.not_before.since(self.pacer.now());
        (!wait.is_zero()).then_some(wait)
    }

    /// Blocks this thread until the call is to be sent, by a clock that goes by itself.
    ///
    /// ```
    /// use tollgate::client::Pacer;
    ///
    /// let pacer = Pacer::builder().quota("100/s".parse()?).build();
    /// let mut call = pacer.call();
    /// call.block()?;
    /// assert_eq!(pacer.in_flight(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// It is not to be sent, but [is over](Step::End).
    pub fn block(&mut self) -> Result<(), CallEnded> {
        loop {
            match self.step() {
                Step::Go => return Ok(()),
                Step::End => return Err(CallEnded),
                // What others are told, or give back, may make it shorter.
                Step::Wait(wait) => _ = self.pacer.wait_for_sooner(self.seen, wait),
                Step::Busy => _ = self.wait_for_an_end(Duration::MAX),
            }
        }
    }

    /// Takes the answer's status and header fields; `wall` is when it came by this
    /// machine's wall clock, and counts where the answer has no `Date`.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tollgate::{ManualClock, client::{Answered, Backoff, Pacer, Step}};
    /// # let built = Pacer::builder().clock(ManualClock::new()).backoff(Backoff::doubling());
    /// # let pacer = built.build();
    /// let mut call = pacer.call();
    /// assert_eq!(call.step(), Step::Go);
    /// let fields = [("Retry-After", "20"), ("Content-Type", "text/html")];
    /// assert_eq!(call.answered(429, fields, SystemTime::now()), Answered::Again);
    /// // It waits, and so does everybody else.
    /// assert_eq!(call.step(), Step::Wait(Duration::from_secs(20)));
    /// assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(20)));
    /// ```
    pub fn answered<N, V>(
        &mut self,
        status: u16,
        fields: impl IntoIterator<Item = (N, V)>,
        wall: SystemTime,
    ) -> Answered
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let now = self.pacer.now();
        self.advised_at(status, &Advice::read(fields, wall), now)
    }

    /// The same by fields that were read already, at `now`, a reading of the pacer's clock. What comes
    /// after the last answer changes nothing.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tollgate::{Nanos, client::{Advice, Answered, Pacer, Step}};
    /// # let (pacer, now) = (Pacer::new(), Nanos::ZERO);
    /// let fields = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "42")];
    /// let advice = Advice::read(fields, SystemTime::now());
    /// let mut call = pacer.call();
    /// assert_eq!(call.step_at(now), Step::Go);
    /// assert_eq!(call.advised_at(200, &advice, now), Answered::Done);
    /// // It was the last one until the reset, and a little later nobody minds.
    /// let Step::Wait(wait) = pacer.call().step_at(now) else { panic!() };
    /// assert!(wait >= Duration::from_secs(42) && wait <= Duration::from_secs(43));
    /// ```
    pub fn advised_at(&mut self, status: u16, advice: &Advice, now: Nanos) -> Answered {
        if self.over {
            return Answered::Done;
        }
        let next = self.retry.next(status, advice, now);
        let (wait, answered) = match next {
            Next::Done => (Duration::ZERO, Answered::Done),
            Next::Wait(wait) => (wait, Answered::Again),
            Next::GiveUp(why @ GiveUp::Total(wait)) => (wait, Answered::GiveUp(why)),
            // The others are to wait all the same.
            Next::GiveUp(why @ GiveUp::Tries) => (self.retry.wait(advice), Answered::GiveUp(why)),
        };
        if answered == Answered::Again {
            self.not_before = now.after(wait);
        } else {
            self.over = true;
        }
        if let Some(ticket) = self.ticket.take() {
            let pacer = &self.pacer;
            pacer.end(now, |state| {
                state.answered(pacer.settings(), ticket, (status, advice, wait), now);
            });
        }
        answered
    }

    /// How often it was denied.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use tollgate::client::{Answered, Pacer, Step};
    /// let mut call = Pacer::new().call();
    /// assert_eq!((call.step(), call.denials()), (Step::Go, 0));
    /// assert_eq!(call.answered(429, [("", ""); 0], SystemTime::now()), Answered::Again);
    /// assert_eq!(call.denials(), 1);
    /// ```
    pub fn denials(&self) -> u32 {
        self.retry.denials()
    }

    fn lost(&mut self, now: Nanos) {
        if let Some(ticket) = self.ticket.take() {
            self.pacer.lost(ticket, now);
        }
    }
}

impl<C: Clock> Drop for Call<C> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.lost(self.pacer.now());
        }
    }
}

impl<C: Clock> fmt::Debug for Call<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_flight = self.ticket.is_some();
        f.debug_struct("Call")
            .field("retry", &self.retry)
            .field("in_flight", &in_flight)
            .finish_non_exhaustive()
    }
}
