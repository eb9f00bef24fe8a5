//! Waiting for a policy: it is asked so that waiting is no denial.

use super::{KeptDecision, LivePolicy, Moment, Policy, PolicyDecision, Request, evaluate::Manner};
use crate::{
    time::{Clock, Nanos},
    wait::{Asked, Question, Queue, Said, Turn, Verdict},
};
use std::{fmt, sync::Arc, time::Duration};

/// What a [`Queue`] waits for as for a policy: a `&Policy`, whose decisions borrow it; an
/// `&Arc<Policy>`, a `&LivePolicy` or an `&Arc<LivePolicy>`, whose decisions keep the policy that
/// decided. It cannot be implemented elsewhere.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tollgate::{
///     policy::{LivePolicy, Policy, Request, Waitable},
///     wait::{Queue, WaitError},
/// };
///
/// /// Whichever it is that is waited for.
/// fn soon<P: Waitable>(policy: P, request: &Request<'_>) -> Result<P::Answer, WaitError> {
///     let queue = Queue::new();
///     let turn = queue.until_policy_allows("all", policy, request).within(Duration::ZERO);
///     turn.block().map_err(|_| WaitError::Never { answer: None })
/// }
/// let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n";
/// let policy = Arc::new(Policy::from_toml(text)?);
/// let request = policy.request("GET", "/");
/// assert!(soon(&*policy, &request)?.is_allowed()); // a PolicyDecision
/// assert!(soon(&policy, &request)?.is_allowed()); // a KeptDecision
/// let live = LivePolicy::new(Policy::from_toml(text)?);
/// let current = live.load_shared();
/// assert!(soon(&live, &current.request("GET", "/"))?.is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(private_bounds)] // that is what keeps it to this crate
pub trait Waitable: Decides<Decision = <Self as Waitable>::Answer> {
    /// What is decided.
    ///
    /// ```
    /// use tollgate::{policy::{KeptDecision, LivePolicy, Policy}, wait::Queue};
    ///
    /// let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n";
    /// let live = LivePolicy::new(Policy::from_toml(text)?);
    /// let policy = live.load_shared();
    /// let request = policy.request("GET", "/");
    /// let kept: KeptDecision = Queue::new().until_policy_allows("all", &live, &request).block()?;
    /// assert!(kept.is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    type Answer: Verdict;
}

trait Decides: Copy {
    type Decision;

    /// `None`: now.
    fn decide(
        self,
        manner: Manner,
        request: &Request<'_>,
        moment: Option<Moment>,
    ) -> Self::Decision;
}

impl<'p> Decides for &'p Policy {
    type Decision = PolicyDecision<'p>;

    fn decide(
        self,
        manner: Manner,
        request: &Request<'_>,
        moment: Option<Moment>,
    ) -> PolicyDecision<'p> {
        let moment = moment.unwrap_or_else(|| self.present());
        self.decide_in(manner, request, moment)
    }
}

impl Decides for &Arc<Policy> {
    type Decision = KeptDecision;

    fn decide(self, manner: Manner, request: &Request<'_>, moment: Option<Moment>) -> KeptDecision {
        Decides::decide(&**self, manner, request, moment).kept_by(Arc::clone(self))
    }
}

impl Decides for &LivePolicy {
    type Decision = KeptDecision;

    fn decide(self, manner: Manner, request: &Request<'_>, moment: Option<Moment>) -> KeptDecision {
        // Whichever holds when it is asked.
        Decides::decide(&self.load_shared(), manner, request, moment)
    }
}

impl Decides for &Arc<LivePolicy> {
    type Decision = KeptDecision;

    fn decide(self, manner: Manner, request: &Request<'_>, moment: Option<Moment>) -> KeptDecision {
        Decides::decide(&**self, manner, request, moment)
    }
}

impl<'p> Waitable for &'p Policy {
    type Answer = PolicyDecision<'p>;
}

impl Waitable for &Arc<Policy> {
    type Answer = KeptDecision;
}

impl Waitable for &LivePolicy {
    type Answer = KeptDecision;
}

impl Waitable for &Arc<LivePolicy> {
    type Answer = KeptDecision;
}

/// What a policy says to a request.
///
/// ```
/// use tollgate::{MonotonicClock, policy::{OfPolicy, Policy}, wait::{Queue, Turn}};
///
/// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n")?;
/// let (queue, request) = (Queue::new(), policy.request("GET", "/"));
/// let turn: Turn<'_, OfPolicy<'_, '_, &Policy, MonotonicClock>> =
///     queue.until_policy_allows("all", &policy, &request);
/// assert!(turn.block().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OfPolicy<'q, 'r, P, C, M = fn() -> Moment> {
    policy: P,
    request: &'q Request<'r>,
    /// Where it does not go by its own clocks.
    moments: Option<M>,
    line: u64,
    clock: &'q C,
}

impl<P: Waitable, C: Clock, M: FnMut() -> Moment> OfPolicy<'_, '_, P, C, M> {
    fn put(&mut self, manner: Manner) -> Said<P::Answer, P::Answer> {
        let moment = self.moments.as_mut().map(|moments| moments());
        Said::of(self.policy.decide(manner, self.request, moment))
    }
}

impl<P: Waitable, C: Clock, M: FnMut() -> Moment> Asked for OfPolicy<'_, '_, P, C, M> {
    type Yes = P::Answer;
    type No = P::Answer;

    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn ask(&mut self) -> Said<P::Answer, P::Answer> {
        self.put(Manner::ATTEMPT)
    }

    fn look(&mut self) -> Option<P::Answer> {
        match self.put(Manner::TURNED_AWAY) {
            // It could pass, but for those before it.
            Said::Yes(_) => None,
            Said::Later(_, no) | Said::Saturated(_, no) | Said::Never(no) => Some(no),
        }
    }

    fn turned_away(
        &mut self,
        wait: Option<Duration>,
        no: P::Answer,
    ) -> (Option<Duration>, P::Answer) {
        match self.put(Manner::TURNED_AWAY) {
            // Something came back since: too late for a no that is to be told.
            Said::Yes(_) => (wait, no),
            Said::Later(wait, no) | Said::Saturated(wait, no) => (Some(wait), no),
            Said::Never(no) => (None, no),
        }
    }
}

impl<P: Waitable, C: Clock, M: FnMut() -> Moment> Question for OfPolicy<'_, '_, P, C, M> {
    type Answer = P::Answer;
    type Denial = Box<P::Answer>;
}

impl<P, C, M> fmt::Debug for OfPolicy<'_, '_, P, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfPolicy")
            .field("request", &self.request)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl<C: Clock> Queue<C> {
    /// Waits in that line until a policy lets the request pass, and charges it then.
    ///
    /// Until then nothing is left behind, however often it asks: no penalty counts a denial, no
    /// limit with `charge_denied` is emptied, no lease is taken. Who is refused in the end
    /// ([`WaitError`](crate::wait::WaitError)) was denied once, as by [`Policy::check`]: penalties
    /// count it, and limits that charge denials do. It is no denial to give up by dropping the
    /// turn, nor to be told off by others in line where the policy itself would not say no: then
    /// the error has no [answer](crate::wait::WaitError::answer).
    ///
    /// Whichever policy holds is asked: a [`LivePolicy`] that was replaced, when what the former one
    /// said is over, or when the line is [nudged](Queue::nudge_all). The request stays the one that it
    /// was, and lacks an attribute that the new file is the first to name. Costs a check whenever it
    /// asks, and another one when it is refused.
    ///
    /// A block for a time is waited out, as a limit is, by the first of the line and by all behind it;
    /// so have a [deadline](Turn::within).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{policy::{LivePolicy, Policy}, wait::Queue};
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '1/10ms'\n\
    /// #      [[penalty]]\nname = 'ladder'\nkey = ['user']\ndenials = 2\nwithin = '1 h'\n\
    /// #      blocks = ['1 d']\n",
    /// # )?;
    /// // One in 10 ms for each user; the second denial blocks for a day.
    /// let (live, queue) = (LivePolicy::new(policy), Queue::new());
    /// let policy = live.load_shared();
    /// let ann = policy.request("GET", "/").attribute("user", "ann");
    /// for _ in 0..3 {
    ///     let turn = queue.until_policy_allows("ann", &live, &ann).every(Duration::from_millis(1));
    ///     assert!(turn.block()?.is_allowed());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until_policy_allows<'q, 'r, K, P>(
        &'q self,
        line: &K,
        policy: P,
        request: &'q Request<'r>,
    ) -> Turn<'q, OfPolicy<'q, 'r, P, C>>
    where
        K: AsRef<[u8]> + ?Sized,
        P: Waitable,
    {
        self.turn_of(line, policy, request, None)
    }

    /// As [`until_policy_allows`](Self::until_policy_allows), at moments that the caller tells,
    /// whenever it asks: beside a queue whose clock is not the policy's.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{
    ///     Clock, ManualClock,
    ///     policy::{Moment, Policy, PolicyFile},
    ///     wait::{Queue, WaitError},
    /// };
    ///
    /// let clock = ManualClock::new();
    /// let now = || Moment::new(clock.now(), Duration::from_secs(1_767_225_600));
    /// let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '1/min'\n";
    /// let policy = Policy::from_file_at(&PolicyFile::parse("policy", text.as_bytes())?, now())?;
    /// let (queue, request) = (Queue::with_clock(&clock), policy.request("GET", "/"));
    /// let within = |longest| {
    ///     let turn = queue.until_policy_allows_at("all", &policy, &request, now);
    ///     turn.within(longest).block().is_ok()
    /// };
    /// assert!(within(Duration::ZERO));
    /// clock.advance(Duration::from_secs(20));
    /// assert!(!within(Duration::from_secs(39))); // it would be 40
    /// clock.advance(Duration::from_secs(40));
    /// assert!(within(Duration::ZERO));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until_policy_allows_at<'q, 'r, K, P, M>(
        &'q self,
        line: &K,
        policy: P,
        request: &'q Request<'r>,
        moments: M,
    ) -> Turn<'q, OfPolicy<'q, 'r, P, C, M>>
    where
        K: AsRef<[u8]> + ?Sized,
        P: Waitable,
        M: FnMut() -> Moment,
    {
        self.turn_of(line, policy, request, Some(moments))
    }

    fn turn_of<'q, 'r, K, P, M>(
        &'q self,
        line: &K,
        policy: P,
        request: &'q Request<'r>,
        moments: Option<M>,
    ) -> Turn<'q, OfPolicy<'q, 'r, P, C, M>>
    where
        K: AsRef<[u8]> + ?Sized,
        P: Waitable,
        M: FnMut() -> Moment,
    {
        let (line, clock) = (self.line(line), self.clock());
        self.turn(OfPolicy { policy, request, moments, line, clock })
    }
}
