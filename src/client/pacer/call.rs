//! One call, from its first try to its last.

use super::{Ask, Pacer, Ticket};
use crate::{
    client::{Advice, GiveUp, Jitter, Next, Retry},
    time::{Clock, MonotonicClock, Nanos},
};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// What a caller is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Send. The call is in flight until it is [answered](Call::answered) or dropped.
    Go,
    /// Ask again after this time, which is never zero.
    Wait(Duration),
    /// As many calls are in flight as may be: ask again when one has ended
    /// ([`Pacer::wait_for_an_end`]).
    Busy,
}

/// What became of a call, by its answer.
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
/// use std::{thread, time::{Duration, SystemTime}};
/// use tollgate::client::{Answered, Call, Pacer, Step};
///
/// /// Sends until there is an answer that is not "later", or it is not worth it any more.
/// fn polite(pacer: &Pacer, send: impl Fn() -> (u16, Vec<(String, String)>)) -> u16 {
///     let mut call = pacer.call();
///     loop {
///         match call.step() {
///             Step::Go => {}
///             Step::Wait(time) => { thread::sleep(time); continue }
///             Step::Busy => { pacer.wait_for_an_end(Duration::from_secs(1)); continue }
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
    /// After a denial.
    not_before: Nanos,
}

impl<C: Clock> Call<C> {
    pub(super) fn new(pacer: Pacer<C>, jitter: Jitter) -> Self {
        let retry = Retry::new(pacer.settings().backoff.clone(), jitter);
        Self { pacer, retry, ticket: None, not_before: Nanos::ZERO }
    }

    /// Whether to send now. A try that is still in flight ends here, without an answer.
    pub fn step(&mut self) -> Step {
        self.step_at(self.pacer.now())
    }

    /// The same at `now`, a reading of the pacer's clock.
    pub fn step_at(&mut self, now: Nanos) -> Step {
        self.lost(now);
        if self.not_before > now {
            return Step::Wait(self.not_before.since(now));
        }
        match self.pacer.ask(now) {
            Ask::Go(ticket) => {
                self.ticket = Some(ticket);
                Step::Go
            }
            Ask::Wait(wait) => Step::Wait(wait),
            Ask::Busy => Step::Busy,
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
