//! What many callers of one API share.

mod call;
mod known;
mod log;
mod news;
#[cfg(feature = "reqwest-middleware")]
mod place;
mod state;

pub use call::{Answered, Call, CallEnded, Step};
pub use news::{News, UntilReady};
#[cfg(feature = "reqwest-middleware")]
pub(super) use place::Place;

use super::{Backoff, Jitter, backoff::share_of_one};
use crate::{
    quota::Quota,
    time::{Clock, MonotonicClock, Nanos},
};
use parking_lot::{Condvar, Mutex};
use state::{Ask, Seen, State, Ticket};
use std::{
    fmt,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

/// So many calls at a time, unless the builder is told otherwise.
const IN_FLIGHT: usize = 16;
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
struct Settings {
    quotas: Vec<Quota>,
    in_flight: usize,
    slow_below: f64,
    longest_wait: Duration,
    backoff: Backoff,
}

/// Keeps the callers of one API within its limits: those that are configured, and those
/// that its answers tell of.
///
/// Clones share everything; any number of threads and tasks may use them. Calls that have
/// limits of their own want a pacer of their own: after a denial by one host, all calls of its pacer
/// wait, whichever host they are for. See [the module's page](super).
///
/// ```
/// use std::{sync::Arc, time::{Duration, SystemTime}};
/// use tollgate::ManualClock;
/// use tollgate::client::{Answered, Pacer, Step};
///
/// let clock = Arc::new(ManualClock::new());
/// let pacer = Pacer::builder().quota("2/s".parse()?).clock(Arc::clone(&clock)).build();
///
/// let get = || {
///     let mut call = pacer.call();
///     let step = call.step();
///     if step == Step::Go {
///         let nothing = [("", ""); 0];
///         assert_eq!(call.answered(200, nothing, SystemTime::now()), Answered::Done);
///     }
///     step
/// };
/// assert_eq!((get(), get()), (Step::Go, Step::Go));
/// assert_eq!(get(), Step::Wait(Duration::from_secs(1)));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(get(), Step::Go);
/// # Ok::<(), tollgate::QuotaError>(())
/// ```
pub struct Pacer<C = MonotonicClock> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    settings: Settings,
    state: Mutex<State>,
    /// Told of each call that ends, and of those by which waits become shorter.
    ended: Condvar,
    sooner: Condvar,
    clock: C,
}

impl Pacer {
    /// A pacer that learns from answers, sixteen calls at a time.
    ///
    /// ```
    /// # use tollgate::client::{Pacer, Step};
    /// let pacer = Pacer::new();
    /// let (mut first, mut second) = (pacer.call(), pacer.call());
    /// assert_eq!(first.step(), Step::Go);
    /// // Nothing is known yet: the others go by the first one's answer.
    /// assert_eq!(second.step(), Step::Busy);
    /// ```
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// What a pacer is to know.
    ///
    /// ```
    /// use tollgate::client::{Backoff, Pacer};
    ///
    /// let pacer = Pacer::builder()
    ///     .quota("10/s".parse()?) // what the API's documentation says
    ///     .quota("5000/h".parse()?)
    ///     .in_flight(4)
    ///     .slow_below(0.1)
    ///     .backoff(Backoff::three_retries())
    ///     .build();
    /// assert_eq!(pacer.in_flight(), 0);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn builder() -> PacerBuilder {
        PacerBuilder {
            settings: Settings {
                quotas: Vec::new(),
                in_flight: IN_FLIGHT,
                slow_below: 0.0,
                longest_wait: LONGEST_WAIT,
                backoff: Backoff::default(),
            },
            jitter: None,
            clock: MonotonicClock::new(),
        }
    }
}

impl Default for Pacer {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for Pacer<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C: Clock> Pacer<C> {
    /// One call, from its first try to its last.
    ///
    /// ```
    /// # use tollgate::client::{Pacer, Step};
    /// let pacer = Pacer::new();
    /// let mut call = pacer.call(); // nothing is sent, and nothing counted
    /// assert_eq!(pacer.in_flight(), 0);
    /// assert_eq!(call.step(), Step::Go);
    /// ```
    pub fn call(&self) -> Call<C> {
        let jitter = self.shared.state.lock().jitter.fork();
        Call::new(self.clone(), jitter)
    }

    /// How many calls are in flight, from their [`Step::Go`] until they are answered; of a `Polite` that
    /// is told so, until their bodies have ended.
    ///
    /// ```
    /// # use tollgate::client::{Pacer, Step};
    /// let pacer = Pacer::new();
    /// let mut call = pacer.call();
    /// assert_eq!((call.step(), pacer.in_flight()), (Step::Go, 1));
    /// drop(call);
    /// assert_eq!(pacer.in_flight(), 0);
    /// ```
    pub fn in_flight(&self) -> usize {
        self.shared.state.lock().in_flight()
    }

    /// Blocks until a call has ended since, or none is in flight.
    fn wait_for_an_end(&self, seen: Seen, at_most: Duration) -> bool {
        self.wait(&self.shared.ended, at_most, |state| state.has_ended(seen))
    }

    /// Blocks for so long, or until waits have become shorter.
    fn wait_for_sooner(&self, seen: Seen, at_most: Duration) -> bool {
        self.wait(&self.shared.sooner, at_most, |state| state.has_news(seen))
    }

    fn wait(&self, told: &Condvar, at_most: Duration, over: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now().checked_add(at_most);
        let mut state = self.shared.state.lock();
        while !over(&state) {
            match deadline {
                // A time that cannot be named never comes.
                None => told.wait(&mut state),
                Some(deadline) => {
                    if told.wait_until(&mut state, deadline).timed_out() {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Whether there is news; if not, `waker` is told when there is.
    fn poll_news(&self, seen: Seen, place: &mut Option<u64>, waker: &Waker) -> Poll<()> {
        // Cloned before anything is locked, and dropped after.
        let mut waker = Some(waker.clone());
        let (polled, gone) = {
            let mut state = self.shared.state.lock();
            if state.has_news(seen) {
                (Poll::Ready(()), state.tasks.forget(place))
            } else {
                state.tasks.note(place, seen, &mut waker);
                (Poll::Pending, None)
            }
        };
        drop((waker, gone));
        polled
    }

    /// Who waited does so no more.
    fn forget(&self, place: &mut Option<u64>) {
        if place.is_some() {
            let gone = self.shared.state.lock().tasks.forget(place);
            drop(gone);
        }
    }

    fn now(&self) -> Nanos {
        self.shared.clock.now()
    }

    fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    fn ask(&self, now: Nanos) -> Ask {
        self.shared.state.lock().ask(self.settings(), now)
    }

    fn end(&self, now: Nanos, end: impl FnOnce(&mut State)) {
        let (woken, sooner) = self.shared.state.lock().end(now, end);
        self.shared.ended.notify_all();
        if sooner {
            self.shared.sooner.notify_all();
        }
        woken.into_iter().for_each(Waker::wake);
    }

    fn lost(&self, ticket: Ticket, now: Nanos) {
        self.end(now, |state| state.lost(self.settings(), ticket, now));
    }

    fn unsent(&self, ticket: Ticket) {
        self.end(self.now(), |state| state.unsent(ticket));
    }
}

impl<C> fmt::Debug for Pacer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacer").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

/// What a [`Pacer`] is to know; from [`Pacer::builder`].
///
/// ```
/// use std::time::Duration;
/// use tollgate::client::Pacer;
///
/// // An API that tells of its limits, and callers that spread what is left of the last fifth.
/// let builder = Pacer::builder().slow_below(0.2).longest_wait(Duration::from_secs(600));
/// assert_eq!(builder.build().in_flight(), 0);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PacerBuilder<C = MonotonicClock> {
    settings: Settings,
    jitter: Option<Jitter>,
    clock: C,
}

impl<C: Clock> PacerBuilder<C> {
    /// A limit that the API's documentation names; several may be given. It is kept as the
    /// strictest reading has it: never more units in any period, however long requests and
    /// answers are on their way. A burst smaller than the units is kept as well.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tollgate::{ManualClock, client::{Pacer, Step}};
    /// let built = Pacer::builder().quota("2/s".parse()?).quota("3/h".parse()?);
    /// let pacer = built.clock(ManualClock::new()).build();
    /// for _ in 0..2 {
    ///     let mut call = pacer.call();
    ///     assert_eq!(call.step(), Step::Go);
    ///     let _ = call.answered(200, [("", ""); 0], SystemTime::now());
    /// }
    /// assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(1)));
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn quota(mut self, quota: Quota) -> Self {
        self.settings.quotas.push(quota);
        self
    }

    /// The most calls in flight, at least one; 16 unless given.
    ///
    /// A call is in flight until it is [answered](Call::answered) or dropped. A server that allows so
    /// many *at a time* counts a request until its body has been sent, so against such a limit say
    /// what was answered when the body was read to its end; of reqwest's middleware, `Polite`, which says
    /// so when the head is there, there is an option that holds the place until then
    /// (`Polite::until_body_ends`).
    ///
    /// ```
    /// # use tollgate::client::{Pacer, Step};
    /// let pacer = Pacer::builder().quota("100/s".parse()?).in_flight(2).build();
    /// let [mut a, mut b, mut c] = [(); 3].map(|()| pacer.call());
    /// assert_eq!([a.step(), b.step(), c.step()], [Step::Go, Step::Go, Step::Busy]);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn in_flight(mut self, most: usize) -> Self {
        self.settings.in_flight = most.max(1);
        self
    }

    /// Calls are spread over the window once less than this share of a limit is left, from
    /// 0 (never, unless given) to 1 (always). What is no number is 0. It leaves room for
    /// others who share the limit, and costs at most that share of each window.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tollgate::{ManualClock, client::{Pacer, Step}};
    /// // Ten a second, and never two at once.
    /// let built = Pacer::builder().quota("10/s".parse()?).slow_below(1.0);
    /// let pacer = built.clock(ManualClock::new()).build();
    /// let mut call = pacer.call();
    /// assert_eq!(call.step(), Step::Go);
    /// assert_eq!(pacer.call().step(), Step::Wait(Duration::from_millis(100)));
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn slow_below(mut self, share: f64) -> Self {
        self.settings.slow_below = share_of_one(share);
        self
    }

    /// No call is made to wait longer than this for what an answer told, an hour unless
    /// given: then one tries. At least a millisecond.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tollgate::{ManualClock, client::{Answered, Pacer, Step}};
    /// let built = Pacer::builder().longest_wait(Duration::from_secs(600));
    /// let pacer = built.clock(ManualClock::new()).build();
    /// let mut call = pacer.call();
    /// assert_eq!(call.step(), Step::Go);
    /// let answered = call.answered(429, [("Retry-After", "86400")], SystemTime::now());
    /// assert!(matches!(answered, Answered::GiveUp(_))); // it has an hour in all
    /// assert_eq!(pacer.call().step(), Step::Wait(Duration::from_secs(600)));
    /// ```
    pub fn longest_wait(mut self, longest: Duration) -> Self {
        self.settings.longest_wait = longest.max(SHORTEST_WAIT);
        self
    }

    /// How each call is tried again; [`Backoff::doubling_with_jitter`] unless given.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use tollgate::client::{Answered, Backoff, GiveUp, Pacer, Step};
    /// let pacer = Pacer::builder().backoff(Backoff::three_retries().tries(1)).build();
    /// let mut call = pacer.call();
    /// assert_eq!(call.step(), Step::Go);
    /// let answered = call.answered(429, [("", ""); 0], SystemTime::now());
    /// assert_eq!(answered, Answered::GiveUp(GiveUp::Tries));
    /// ```
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Where jitter comes from; [`Jitter::random`] unless given.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use tollgate::{ManualClock, client::{Jitter, Pacer, Step}};
    /// let first_wait = || {
    ///     let built = Pacer::builder().jitter(Jitter::seeded(7));
    ///     let mut call = built.clock(ManualClock::new()).build().call();
    ///     assert_eq!(call.step(), Step::Go);
    ///     let _ = call.answered(429, [("", ""); 0], SystemTime::now());
    ///     call.step()
    /// };
    /// assert_eq!(first_wait(), first_wait()); // a test that says the same twice
    /// ```
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// Where time comes from.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use tollgate::{ManualClock, client::{Pacer, Step}};
    /// let clock = Arc::new(ManualClock::new());
    /// let pacer = Pacer::builder().quota("1/min".parse()?).clock(Arc::clone(&clock)).build();
    /// assert_eq!(pacer.call().step(), Step::Go); // dropped, as one that may have been counted
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(pacer.call().step(), Step::Go);
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn clock<D: Clock>(self, clock: D) -> PacerBuilder<D> {
        PacerBuilder { settings: self.settings, jitter: self.jitter, clock }
    }

    /// The pacer.
    ///
    /// ```
    /// # use tollgate::client::{Pacer, Step};
    /// let pacer = Pacer::builder().quota("10/s".parse()?).build();
    /// let mine = pacer.clone(); // shares everything
    /// let mut call = mine.call();
    /// assert_eq!((call.step(), pacer.in_flight()), (Step::Go, 1));
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    pub fn build(self) -> Pacer<C> {
        let jitter = self.jitter.unwrap_or_default();
        let state = State::new(&self.settings, jitter);
        let (settings, state) = (self.settings, Mutex::new(state));
        let (ended, sooner) = (Condvar::new(), Condvar::new());
        Pacer { shared: Arc::new(Shared { settings, state, ended, sooner, clock: self.clock }) }
    }
}
