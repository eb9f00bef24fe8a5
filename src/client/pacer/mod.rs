//! What many callers of one API share.

mod call;
mod known;
mod state;

pub use call::{Answered, Call, Step};

use super::{Backoff, Jitter, backoff::share_of_one};
use crate::{
    quota::Quota,
    time::{Clock, MonotonicClock, Nanos},
};
use parking_lot::{Condvar, Mutex};
use state::{Ask, State, Ticket};
use std::{
    fmt,
    sync::Arc,
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
/// limits of their own want a pacer of their own. See [the module's page](super).
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
    /// Told of each call that ends.
    ended: Condvar,
    clock: C,
}

impl Pacer {
    /// A pacer that learns from answers, sixteen calls at a time.
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
    pub fn call(&self) -> Call<C> {
        let jitter = self.shared.state.lock().jitter.fork();
        Call::new(self.clone(), jitter)
    }

    /// How many calls are in flight.
    pub fn in_flight(&self) -> usize {
        self.shared.state.lock().flying()
    }

    /// Blocks until more calls than `before` have ended, or none is in flight.
    fn wait_for_an_end(&self, before: u64, at_most: Duration) -> bool {
        let deadline = Instant::now().checked_add(at_most);
        let mut state = self.shared.state.lock();
        while state.flying() > 0 && state.ends() == before {
            match deadline {
                // A time that cannot be named never comes.
                None => self.shared.ended.wait(&mut state),
                Some(deadline) => {
                    if self.shared.ended.wait_until(&mut state, deadline).timed_out() {
                        return false;
                    }
                }
            }
        }
        true
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

    fn end(&self, end: impl FnOnce(&mut State)) {
        end(&mut self.shared.state.lock());
        self.shared.ended.notify_all();
    }

    fn lost(&self, ticket: Ticket, now: Nanos) {
        self.end(|state| state.lost(ticket, now));
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
    pub fn quota(mut self, quota: Quota) -> Self {
        self.settings.quotas.push(quota);
        self
    }

    /// The most calls in flight, at least one; 16 unless given.
    pub fn in_flight(mut self, most: usize) -> Self {
        self.settings.in_flight = most.max(1);
        self
    }

    /// Calls are spread over the window once less than this share of a limit is left, from
    /// 0 (never, unless given) to 1 (always). What is no number is 0. It leaves room for
    /// others who share the limit, and costs at most that share of each window.
    pub fn slow_below(mut self, share: f64) -> Self {
        self.settings.slow_below = share_of_one(share);
        self
    }

    /// No call is made to wait longer than this for what an answer told, an hour unless
    /// given: then one tries. At least a millisecond.
    pub fn longest_wait(mut self, longest: Duration) -> Self {
        self.settings.longest_wait = longest.max(SHORTEST_WAIT);
        self
    }

    /// How each call is tried again; [`Backoff::doubling_with_jitter`] unless given.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Where jitter comes from; [`Jitter::random`] unless given.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// Where time comes from.
    pub fn clock<D: Clock>(self, clock: D) -> PacerBuilder<D> {
        PacerBuilder { settings: self.settings, jitter: self.jitter, clock }
    }

    /// The pacer.
    pub fn build(self) -> Pacer<C> {
        let jitter = self.jitter.unwrap_or_default();
        let state = State::new(&self.settings, jitter);
        let (settings, state) = (self.settings, Mutex::new(state));
        let ended = Condvar::new();
        Pacer { shared: Arc::new(Shared { settings, state, ended, clock: self.clock }) }
    }
}
