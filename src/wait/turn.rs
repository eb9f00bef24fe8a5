//! [`Turn`]: one waiter, from the question to its turn.

#[cfg(feature = "tokio")]
use super::timer::TokioTimer;
use super::{
    WaitError,
    lines::{Lines, Reserved, Standing},
    question::{Asked, Question, Said},
    timer::{Sleeping, Timer},
};
use crate::{
    decision::{Decision, Outcome},
    time::Nanos,
};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

/// A turn to wait for: say how, then `.await` it (feature `tokio`), wait
/// [by another timer](Self::by), or [block](Self::block).
///
/// Nothing is asked, and no place taken, before it is first polled. Dropping it gives up
/// the place: see [what comes back](super#giving-up). Once polled, poll it on or drop it: at
/// the head of a line that [is not reserved](super#who-stops-polling) all wait for it.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, wait::{WaitError, Waiters}};
///
/// let waiters = Waiters::new(Limiter::gcra("3/min".parse()?).try_build()?);
/// // On a thread of its own:
/// for _ in 0..3 {
///     waiters.until_ready().within(Duration::from_secs(1)).block()?;
/// }
/// // The fourth would have to wait for twenty seconds.
/// let turn = waiters.until_ready().within(Duration::from_millis(1));
/// assert!(matches!(turn.block(), Err(WaitError::TooLong { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is waited for until it is awaited or blocked on"]
pub struct Turn<'w, Q: Question> {
    lines: &'w Lines,
    question: Q,
    within: Option<Duration>,
    jitter: Duration,
    every: Option<Duration>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    New,
    /// The place of this number is due by itself.
    Reserved(u64, Decision),
    /// In a queue, for as long as this.
    Queued(u64, Nanos),
    Over,
}

/// What is to be done.
pub(super) enum Step<T, D> {
    Done(Result<T, WaitError<D>>),
    /// Come back after so long, or when woken.
    Sleep(Duration),
    /// Come back when woken.
    Park,
}

type StepOf<Q> = Step<<Q as Question>::Answer, <Q as Question>::Denial>;
type No<Q> = <Q as Asked>::No;

impl<'w, Q: Question> Turn<'w, Q> {
    pub(super) fn new(lines: &'w Lines, question: Q) -> Self {
        let (jitter, every) = (Duration::ZERO, None);
        Self { lines, question, within: None, jitter, every, stage: Stage::New }
    }

    /// So many units at once, all or none, instead of one. Of a [`Queue`](super::Queue)
    /// the question itself says how many.
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("10/s".parse()?).try_build()?);
    /// assert_eq!(waiters.until_ready().units(4).block()?.decision().remaining(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn units(mut self, units: u64) -> Self {
        self.question.set_units(units);
        self
    }

    /// The turn must come within so long, from the first poll on. That it cannot is
    /// answered as soon as it is known: at once where units are reserved, else at the
    /// latest when the time is over. Without it, as long as it takes.
    ///
    /// With GCRA never longer than the limiter's
    /// [`longest_wait`](crate::KeyedBuilder::longest_wait), whatever is said here. And what may come
    /// back before its time, by a refund or a lease that is released, counts for nothing: a turn that
    /// hopes for it is told off at once by a deadline, unless it [asks again](Self::every).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("1/h".parse()?).try_build()?);
    /// assert!(waiters.until_ready().within(Duration::ZERO).block().is_ok());
    /// assert!(waiters.until_ready().within(Duration::from_secs(60)).block().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn within(mut self, longest: Duration) -> Self {
        self.within = Some(longest);
        self
    }

    /// Comes up to so much later than its turn, by chance, so that processes which wait
    /// for one thing do not all come at one instant. Never sooner; who need not wait does not wait
    /// for this either.
    ///
    /// Of units that are reserved each turn has its own: turns may be told in another order than
    /// they were reserved in, and the bound of the limit holds for times that are longer by so much.
    /// In the line of a log, a counter or a [`Queue`](super::Queue) the first asks so much later than
    /// it was told to, whenever it was told. Those behind wait for that, too, and ask as soon as they
    /// are first: a window in which ten units come back lets ten pass, late by one jitter, not by ten.
    ///
    /// It counts within [`within`](Self::within): a turn which might come too late by it is told
    /// so when that is known, unless it [asks again](Self::every) before.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::gcra("1000/s".parse()?).try_build()?);
    /// waiters.until_ready().jitter(Duration::from_millis(1)).block()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    /// Who stands first in a queue asks again after so long at the latest: where room may
    /// come back sooner than was said, because leases end or charges are given back. See
    /// also [`nudge`](super::Queue::nudge). [Jitter](Self::jitter) comes on top. Where units are
    /// reserved, nothing is asked again.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::{Limiter, wait::Waiters};
    /// let waiters = Waiters::new(Limiter::sliding_log("1/h".parse()?).try_build()?);
    /// let charge = waiters.limiter().check().charge().unwrap();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| waiters.limiter().refund(charge));
    ///     assert!(waiters.until_ready().every(Duration::from_millis(1)).block().is_ok());
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn every(mut self, longest: Duration) -> Self {
        self.every = Some(longest.max(Duration::from_nanos(1)));
        self
    }

    /// Waits by that timer, whichever runtime it is of.
    ///
    /// ```
    /// # use tollgate::{Limiter, wait::Waiters};
    /// async fn crawl(waiters: &Waiters<Limiter>) -> Result<(), tollgate::wait::WaitError> {
    ///     waiters.until_ready().by(tokio::time::sleep).await?;
    ///     Ok(())
    /// }
    /// # let waiters = Waiters::new(Limiter::gcra("1/h".parse()?).try_build()?);
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(crawl(&waiters))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn by<T: Timer>(self, timer: T) -> UntilReady<'w, Q, T> {
        UntilReady { turn: self, timer, sleep: None }
    }

    /// Waits on this thread.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, wait::Waiters};
    /// let waiters = Waiters::new(KeyedLimiter::gcra("1/min".parse()?).try_build()?);
    /// waiters.until_key_ready("alice").block()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The turn did not come: see [`WaitError`].
    pub fn block(mut self) -> Result<Q::Answer, WaitError<Q::Denial>> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match self.step(&waker) {
                Step::Done(answer) => return answer,
                Step::Sleep(after) => thread::park_timeout(after),
                Step::Park => thread::park(),
            }
        }
    }

    /// One step. Woken by `waker` where another makes a difference.
    pub(super) fn step(&mut self, waker: &Waker) -> StepOf<Q> {
        match self.stage {
            Stage::New => self.begin(waker),
            Stage::Reserved(number, decision) => self.reserved(number, decision, waker),
            Stage::Queued(number, deadline) => self.queued(number, deadline, waker),
            // Polled once too often.
            Stage::Over => Step::Park,
        }
    }

    fn begin(&mut self, waker: &Waker) -> StepOf<Q> {
        let line = self.question.line();
        if self.question.reserves() {
            // While anybody waits for what was reserved, this lets nobody pass, unless
            // something was given back past the lines.
            match self.question.ask() {
                Said::Yes(answer) => return self.end(Ok(answer)),
                Said::Never(no) => return self.turn_away(None, no),
                // To reserve it would find no slot, either, and be counted once more.
                Said::Saturated(wait, no) => return self.turn_away(Some(wait), no),
                Said::Later(..) => {}
            }
            let longest = self.within.unwrap_or(Duration::MAX).saturating_sub(self.jitter);
            let now = self.question.now();
            let reserved = self.lines.reserve(line, |may_wait| {
                let longest = if may_wait { longest } else { Duration::ZERO };
                self.question.reserve(longest, now).unwrap_or(Decision::NOTHING)
            });
            return match reserved {
                Reserved::Now(decision) => self.pass(decision),
                Reserved::Place(number, decision) => {
                    self.stage = Stage::Reserved(number, decision);
                    self.reserved(number, decision, waker)
                }
                Reserved::Full(decision) => {
                    let answer = self.question.denied(decision).map(Into::into);
                    self.end(Err(WaitError::Full { answer }))
                }
                Reserved::Denied(decision) => {
                    let answer = self.question.denied(decision).map(Into::into);
                    let retry_after = decision.retry_after();
                    self.end(Err(match decision.outcome() {
                        Outcome::Never => WaitError::Never { answer },
                        _ => WaitError::TooLong { retry_after, answer },
                    }))
                }
            };
        }
        let now = self.question.now();
        let deadline = self.within.map_or(Nanos::MAX, |within| now.after(within));
        let (mut told, mut asked) = (None, None);
        // Nobody passes those who wait.
        if let Some(seen) = self.lines.if_empty(line) {
            match self.question.ask() {
                Said::Yes(answer) => return self.end(Ok(answer)),
                Said::Never(no) => return self.turn_away(None, no),
                Said::Saturated(wait, no) => return self.turn_away(Some(wait), no),
                Said::Later(wait, no) => match self.again(now, wait, deadline) {
                    Some(due) => (told, asked) = (Some((due, seen)), Some((wait, no))),
                    None => return self.turn_away(Some(wait), no),
                },
            }
        }
        if let Some(number) = self.lines.stand(line, told, deadline) {
            self.stage = Stage::Queued(number, deadline);
            self.queued(number, deadline, waker)
        } else {
            let answer = match asked {
                Some((wait, no)) => Some(self.question.turned_away(Some(wait), no).1),
                None => self.question.look(),
            };
            self.end(Err(WaitError::Full { answer: answer.map(Into::into) }))
        }
    }

    fn reserved(&mut self, number: u64, decision: Decision, waker: &Waker) -> StepOf<Q> {
        let line = self.question.line();
        let later = self.chance(number);
        let now = self.question.now();
        match self.lines.until_due(line, number, (now, later), waker) {
            Some(wait) => Step::Sleep(wait),
            None => self.pass(decision),
        }
    }

    fn queued(&mut self, number: u64, deadline: Nanos, waker: &Waker) -> StepOf<Q> {
        let line = self.question.line();
        let standing = self.lines.standing(line, number, waker);
        let now = self.question.now();
        let sleep = |until: Nanos| match until {
            Nanos::MAX => Step::Park,
            until => Step::Sleep(until.since(now).max(Duration::from_nanos(1))),
        };
        match standing {
            Standing::First(due, _) if now < due => sleep(due),
            Standing::First(_, seen) => match self.question.ask() {
                Said::Yes(answer) => self.leave(Ok(answer)),
                Said::Never(no) => self.turn_away(None, no),
                Said::Saturated(wait, no) => self.turn_away(Some(wait), no),
                Said::Later(wait, no) => match self.again(now, wait, deadline) {
                    Some(due) => {
                        let due = self.lines.ask_again(line, number, due, seen);
                        if due == Nanos::ZERO {
                            // Once more, but not before others of its thread had theirs.
                            waker.wake_by_ref();
                            return Step::Park;
                        }
                        sleep(due)
                    }
                    None => self.turn_away(Some(wait), no),
                },
            },
            Standing::Behind(due) if due > deadline || now >= deadline => {
                let known = due > now;
                let retry_after = known.then(|| due.since(now));
                let answer = self.question.look().map(Into::into);
                self.leave(Err(WaitError::TooLong { retry_after, answer }))
            }
            Standing::Behind(_) => sleep(deadline),
        }
    }

    /// When to ask again of who was told to wait so long, if that cannot be too late.
    fn again(&self, now: Nanos, wait: Duration, deadline: Nanos) -> Option<Nanos> {
        let wait = wait.max(Duration::from_nanos(1));
        let latest = wait.saturating_add(self.jitter);
        let asks_sooner = self.every.is_some_and(|every| every < latest);
        if now.after(latest) > deadline && (!asks_sooner || now >= deadline) {
            return None;
        }
        let again = now.after(self.every.map_or(wait, |every| every.min(wait)));
        let jitter = self.chance(self.question.line() ^ again.as_u64());
        Some(again.after(jitter).min(deadline))
    }

    /// A part of the jitter, by chance: the same whenever it is asked for.
    fn chance(&self, of: u64) -> Duration {
        let most = self.jitter;
        if most.is_zero() {
            return most;
        }
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let part = (u128::from(self.lines.random.hash_one(of)) * u128::from(most)) >> 64;
        Duration::from_nanos(u64::try_from(part).unwrap_or(most))
    }

    fn pass(&mut self, decision: Decision) -> StepOf<Q> {
        match self.question.reserved(decision) {
            Some(answer) => self.end(Ok(answer)),
            None => self.end(Err(WaitError::Never { answer: None })),
        }
    }

    /// Leaves with a no: not before so long, or never.
    fn turn_away(&mut self, wait: Option<Duration>, no: No<Q>) -> StepOf<Q> {
        let (wait, no) = self.question.turned_away(wait, no);
        // Boxed only here, where it ends.
        let answer = Some(no.into());
        self.leave(Err(match wait {
            Some(_) => WaitError::TooLong { retry_after: wait, answer },
            None => WaitError::Never { answer },
        }))
    }

    fn leave(&mut self, answer: Result<Q::Answer, WaitError<Q::Denial>>) -> StepOf<Q> {
        if let Stage::Queued(number, _) = self.stage {
            self.lines.leave(self.question.line(), number);
        }
        self.end(answer)
    }

    fn end(&mut self, answer: Result<Q::Answer, WaitError<Q::Denial>>) -> StepOf<Q> {
        self.stage = Stage::Over;
        Step::Done(answer)
    }
}

impl<Q: Question> Drop for Turn<'_, Q> {
    fn drop(&mut self) {
        // A model that has failed has no locks any more.
        #[cfg(loom)]
        if thread::panicking() {
            return;
        }
        let line = self.question.line();
        match self.stage {
            Stage::Reserved(number, decision) => {
                let now = self.question.now();
                self.lines.cancel(line, number, now, || {
                    if let Some(charge) = decision.charge() {
                        self.question.give_back(charge, now);
                    }
                });
            }
            Stage::Queued(number, _) => self.lines.leave(line, number),
            Stage::New | Stage::Over => {}
        }
    }
}

impl<Q: Question> fmt::Debug for Turn<'_, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("within", &self.within).finish_non_exhaustive()
    }
}

#[cfg(feature = "tokio")]
impl<'w, Q: Question> IntoFuture for Turn<'w, Q> {
    type Output = Result<Q::Answer, WaitError<Q::Denial>>;
    type IntoFuture = UntilReady<'w, Q, TokioTimer>;

    /// Waits by tokio's timer: polled outside a runtime of tokio with its time enabled, it
    /// panics, as that timer does.
    fn into_future(self) -> Self::IntoFuture {
        self.by(TokioTimer)
    }
}

/// The future of a [`Turn`]. It is `Unpin`: poll it where it lies.
///
/// ```
/// use std::{pin::Pin, task::{Context, Poll, Waker}};
/// use tollgate::{Limiter, wait::Waiters};
///
/// let waiters = Waiters::new(Limiter::gcra("1/h".parse()?).try_build()?);
/// let mut first = waiters.until_ready().by(tokio::time::sleep);
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(matches!(Pin::new(&mut first).poll(&mut cx), Poll::Ready(Ok(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct UntilReady<'w, Q: Question, T: Timer> {
    turn: Turn<'w, Q>,
    timer: T,
    sleep: Option<Sleeping<T>>,
}

// Nothing here is pinned by being in it.
impl<Q: Question, T: Timer> Unpin for UntilReady<'_, Q, T> {}

impl<Q: Question, T: Timer> Future for UntilReady<'_, Q, T> {
    type Output = Result<Q::Answer, WaitError<Q::Denial>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            this.sleep = match this.turn.step(cx.waker()) {
                Step::Done(answer) => {
                    this.sleep = None;
                    return Poll::Ready(answer);
                }
                Step::Sleep(after) => Some(Box::pin(this.timer.sleep(after))),
                Step::Park => None,
            };
            match &mut this.sleep {
                Some(sleep) => match sleep.as_mut().poll(cx) {
                    // Over already: look again.
                    Poll::Ready(_) => {}
                    Poll::Pending => return Poll::Pending,
                },
                None => return Poll::Pending,
            }
        }
    }
}

impl<Q: Question, T: Timer> fmt::Debug for UntilReady<'_, Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UntilReady").field(&self.turn).finish()
    }
}

/// Wakes a thread that blocks.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
