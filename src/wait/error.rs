//! [`WaitError`]: why a turn did not come, and what was answered last.

use crate::decision::Decision;
use std::{fmt, time::Duration};

/// Why the turn did not come. Nothing was charged, but by limits of a policy that charge denials.
///
/// It has the last answer, to be sent to who asked: of a limiter a [`Decision`], of a
/// [`Queue`](super::Queue) whatever its question answers, in a box.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, wait::{WaitError, Waiters}};
///
/// let waiters = Waiters::new(Limiter::gcra("2/h".parse()?).try_build()?);
/// let never = waiters.until_ready().units(3).block();
/// assert!(matches!(never, Err(WaitError::Never { .. })));
///
/// waiters.until_ready().units(2).block()?;
/// match waiters.until_ready().within(Duration::from_secs(1)).block() {
///     Err(WaitError::TooLong { answer: Some(decision), .. }) => {
///         assert!(decision.retry_after_secs() > Some(1000)); // a 429 with its fields
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # With `?`
///
/// It is an error like any other, of `'static` where its answer is. A policy's decision borrows the
/// policy, and cannot go into a `Box<dyn Error>`: let go of the answer first, or ask for one that
/// keeps its policy (of an `&Arc<Policy>` or a `&LivePolicy`).
///
/// ```
/// # #[cfg(feature = "policy")] {
/// use tollgate::{policy::Policy, wait::Queue};
///
/// fn wait(policy: &Policy) -> Result<(), Box<dyn std::error::Error>> {
///     let request = policy.request("GET", "/");
///     let turn = Queue::new().until_policy_allows("all", policy, &request).block();
///     let _decision = turn.map_err(|refused| refused.map_answer(drop))?;
///     Ok(())
/// }
/// # let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n";
/// # wait(&Policy::from_toml(text)?)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError<D = Decision> {
    /// As many wait as may: [in all](super::Waiters::at_most), or
    /// [for that key](super::Waiters::at_most_each).
    Full {
        /// What it was told, if it was told anything: see [`answer`](Self::answer).
        answer: Option<D>,
    },
    /// It would have come later than was asked for, or than the limiter's
    /// [`longest_wait`](crate::LimiterBuilder::longest_wait). Or, whatever was asked for, its key found
    /// no slot in a table that [denies](crate::OnSaturation::Deny) then (the answer is not
    /// [accounted](Decision::is_accounted)): when others leave theirs, nobody can promise.
    TooLong {
        /// When it is worth asking again, where that is known: of what can be reserved,
        /// when the same turn is to be had; else, and where no slot was found, not before then.
        retry_after: Option<Duration>,
        /// What it was told, if it was told anything: see [`answer`](Self::answer).
        answer: Option<D>,
    },
    /// Waiting does not help: more was asked for than is ever let pass at once.
    Never {
        /// What it was told.
        answer: Option<D>,
    },
}

impl<D> WaitError<D> {
    /// What was answered last: always a no. `None` for who stood behind others in a line
    /// until it was too late, or found that line full, and so never asked: of a question of the
    /// caller's own, and of a limiter or policy that would have let it pass if those others had not been
    /// before it. Where a turn could not be reserved (GCRA) it is the answer to that:
    /// its `retry_after` is when a turn with the same deadline can be, sooner than a check passes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, wait::Waiters};
    ///
    /// let waiters = Waiters::new(Limiter::sliding_log("1/h".parse()?).try_build()?);
    /// waiters.until_ready().block()?;
    /// let refused = waiters.until_ready().within(Duration::from_secs(1)).block().unwrap_err();
    /// assert_eq!(refused.answer().map(|decision| decision.remaining()), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answer(&self) -> Option<&D> {
        let (Self::Full { answer } | Self::TooLong { answer, .. } | Self::Never { answer }) = self;
        answer.as_ref()
    }

    /// The same, to be had for good.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::wait::Queue;
    /// # #[cfg(feature = "policy")] {
    /// use tollgate::policy::Policy;
    ///
    /// let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n";
    /// let policy = Policy::from_toml(text)?;
    /// let request = policy.request("GET", "/");
    /// let queue = Queue::new();
    /// let respond = || {
    ///     let turn = queue.until_policy_allows("all", &policy, &request);
    ///     match turn.within(Duration::from_secs(1)).block() {
    ///         Ok(_) => 200,
    ///         // Its status, header fields and body; and for who was never asked about, a 503.
    ///         Err(refused) => refused.into_answer().and_then(|no| no.response().status).unwrap_or(503),
    ///     }
    /// };
    /// assert_eq!([(); 6].map(|()| respond()), [200, 200, 200, 200, 200, 429]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_answer(self) -> Option<D> {
        let (Self::Full { answer } | Self::TooLong { answer, .. } | Self::Never { answer }) = self;
        answer
    }

    /// The same error with another answer made of its own; `drop` for none that matters.
    ///
    /// ```
    /// use tollgate::{Limiter, wait::{WaitError, Waiters}};
    ///
    /// let waiters = Waiters::new(Limiter::gcra("2/h".parse()?).try_build()?);
    /// let never = waiters.until_ready().units(3).block().unwrap_err();
    /// let never: WaitError<u64> = never.map_answer(|decision| decision.limit());
    /// assert_eq!(never, WaitError::Never { answer: Some(2) });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_answer<E>(self, make: impl FnOnce(D) -> E) -> WaitError<E> {
        match self {
            Self::Full { answer } => WaitError::Full { answer: answer.map(make) },
            Self::TooLong { retry_after, answer } => {
                WaitError::TooLong { retry_after, answer: answer.map(make) }
            }
            Self::Never { answer } => WaitError::Never { answer: answer.map(make) },
        }
    }
}

/// Whatever the answer is, so that every question's can be unwrapped.
impl<D> fmt::Debug for WaitError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { .. } => f.debug_struct("Full").finish_non_exhaustive(),
            Self::TooLong { retry_after, .. } => {
                f.debug_struct("TooLong").field("retry_after", retry_after).finish_non_exhaustive()
            }
            Self::Never { .. } => f.debug_struct("Never").finish_non_exhaustive(),
        }
    }
}

impl<D> fmt::Display for WaitError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { .. } => f.write_str("too many wait already"),
            Self::TooLong { retry_after: Some(wait), .. } => {
                write!(f, "its turn would come too late; ask again in {wait:?}")
            }
            Self::TooLong { retry_after: None, .. } => f.write_str("its turn did not come in time"),
            Self::Never { .. } => f.write_str("it never passes, however long it waits"),
        }
    }
}

impl<D> std::error::Error for WaitError<D> {}

/// So that what waits in a [`Queue`](super::Queue) and by [`Waiters`](super::Waiters) has one error.
impl<D> From<WaitError<Box<D>>> for WaitError<D> {
    fn from(refused: WaitError<Box<D>>) -> Self {
        refused.map_answer(|answer| *answer)
    }
}
