//! One call, from its first try to its last.

use super::{Ask, Pacer, Ticket};
use crate::{
    client::{Advice, GiveUp, Jitter, Next, Retry},
    time::{Clock, MonotonicClock, Nanos},
};
use std::{
    fmt, thread,
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
///     Step::GiveUp => { /* the last answer is the caller's */ }
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
    /// ([`Call::wait_for_an_end`]).
    Busy,
    /// It was denied, and would not be sent again within the [total](crate::client::Backoff::total)
    /// of its schedule: the last answer is the caller's. Never said of a call that was not
    /// denied.
    GiveUp,
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
#[must_use]
pub enum Answered {
    /// The answer is the caller's.
    Done,
    /// Denied: to be tried again, as the next [`Call::step`] says.
    Again,
    /// Denied, and not to be tried again: the answer is the caller's.
    GiveUp(GiveUp),
}

/// One call, from its first try to its last: from [`Pacer::call`].
///
/// Dropped while it is in flight it ends as one that may have been counted.
///
/// ```
/// use std::time::SystemTime;
/// use tollgate::client::{Answered, Pacer};
///
/// /// Sends until there is an answer that is not "later", or it is not worth it any more.
/// fn polite(pacer: &Pacer, send: impl Fn() -> (u16, Vec<(String, String)>)) -> u16 {
///     let mut call = pacer.call();
///     loop {
///         // Or step by step, in a runtime of one's own.
///         if !call.block() {
///             return 429;
///         }
///         let (status, fields) = send();
///         if call.answered(status, fields, SystemTime::now()) != Answered::Again {
///             return status;
///         }
///     }
/// }
/// assert_eq!(polite(&Pacer::new(), || (200, vec![])), 200);
/// ```
pub struct Call<C: Clock = MonotonicClock> {
    pacer: Pacer<C>,
    retry: Retry,
    ticket: Option<Ticket>,
    /// How many calls had ended when this one was told that the pacer is busy.
    ends: u64,
    /// After a denial.
    not_before: Nanos,
}

impl<C: Clock> Call<C> {
    pub(super) fn new(pacer: Pacer<C>, jitter: Jitter) -> Self {
        let retry = Retry::new(pacer.settings().backoff.clone(), jitter);
        Self { pacer, retry, ticket: None, ends: 0, not_before: Nanos::ZERO }
    }

    /// Whether to send now. A try that is still in flight ends here, without an answer.
    pub fn step(&mut self) -> Step {
        self.step_at(self.pacer.now())
    }

    /// The same at `now`, a reading of the pacer's clock.
    pub fn step_at(&mut self, now: Nanos) -> Step {
        self.lost(now);
        let deadline = self.retry.deadline().unwrap_or(Nanos::MAX);
        if now > deadline {
            return Step::GiveUp;
        }
        let own = self.not_before.since(now);
        match if own.is_zero() { self.ask(now) } else { Step::Wait(own) } {
            // Not after a sleep in vain.
            Step::Wait(wait) if now.after(wait) > deadline => Step::GiveUp,
            step => step,
        }
    }

    fn ask(&mut self, now: Nanos) -> Step {
        match self.pacer.ask(now) {
            Ask::Go(ticket) => {
                self.ticket = Some(ticket);
                Step::Go
            }
            Ask::Wait(wait) => Step::Wait(wait),
            Ask::Busy(ends) => {
                self.ends = ends;
                Step::Busy
            }
        }
    }

    /// Blocks this thread until some call has ended since [`Step::Busy`] was said, at most
    /// so long, and no longer than its schedule's total. Whether one has; if none is in
    /// flight, at once.
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
        self.pacer.wait_for_an_end(self.ends, at_most.min(self.patience()))
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

    /// Blocks this thread until the call is to be sent, by a clock that goes by itself. Not
    /// if it [is given up](Step::GiveUp): then it says false.
    ///
    /// ```
    /// use tollgate::client::Pacer;
    ///
    /// let pacer = Pacer::builder().quota("100/s".parse()?).build();
    /// let mut call = pacer.call();
    /// assert!(call.block());
    /// assert_eq!(pacer.in_flight(), 1);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    #[must_use = "a call that is given up is not to be sent"]
    pub fn block(&mut self) -> bool {
        loop {
            match self.step() {
                Step::Go => return true,
                Step::GiveUp => return false,
                Step::Wait(wait) => thread::sleep(wait),
                Step::Busy => _ = self.wait_for_an_end(Duration::MAX),
            }
        }
    }

    /// Takes the answer's status and header fields; `wall` is when it came by this
    /// machine's wall clock, and counts where the answer has no `Date`.
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

    /// The same by fields that were read already, at `now`, a reading of the pacer's clock.
    pub fn advised_at(&mut self, status: u16, advice: &Advice, now: Nanos) -> Answered {
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
        }
        if let Some(ticket) = self.ticket.take() {
            let pacer = &self.pacer;
            pacer.end(|state| {
                state.answered(pacer.settings(), ticket, (status, advice, wait), now);
            });
        }
        answered
    }

    /// How often it was denied.
    pub fn denials(&self) -> u32 {
        self.retry.denials()
    }

    /// Whatever is in flight ends without an answer.
    #[cfg(feature = "reqwest-middleware")]
    pub(in crate::client) fn end(&mut self) {
        if self.ticket.is_some() {
            self.lost(self.pacer.now());
        }
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
