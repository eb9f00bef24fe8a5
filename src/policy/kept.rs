//! [`KeptDecision`]: a decision that outlives the request it was made for.

#[cfg(feature = "tower")]
mod leases;

#[cfg(feature = "tower")]
pub(crate) use leases::KeptLeases;

use super::{
    Moment, Policy, Request,
    verdict::{AllAsked, Asked, Cause, PolicyDecision},
};
use crate::{decision::Outcome, wait::Verdict};
use std::{fmt, sync::Arc, time::Duration};

/// A [`PolicyDecision`] with its policy: for whoever answers later, in another task or at
/// the end of a response's body. Made by [`PolicyDecision::keep`].
///
/// Dropping it gives nothing back, as with the decision itself.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::policy::Policy;
///
/// let policy = Arc::new(Policy::from_toml(
///     r#"
///     [[limit]]
///     name = "downloads at once"
///     key = []
///     algorithm = "leases"
///     quota = 1
///     ttl = "1 h"
///     "#,
/// )?);
/// let request = policy.request("GET", "/dump");
/// let mut kept = policy.check(&request).keep(&policy).unwrap();
/// assert!(policy.check(&request).is_denied());
/// // Wherever the download ends:
/// kept.with(|decision| decision.release());
/// assert!(policy.check(&request).is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeptDecision {
    pub(super) policy: Arc<Policy>,
    pub(super) moment: Moment,
    pub(super) asked: Box<[Asked]>,
    pub(super) outcome: Outcome,
    pub(super) retry_after: Option<Duration>,
    pub(super) cause: KeptCause,
    pub(super) status: Option<u16>,
}

/// A [`Cause`] with names of its own. Most are of limits, and have none.
pub(super) enum KeptCause {
    Limits,
    Exempt(Box<str>),
    Refused(Box<str>),
    Blocked(Box<str>),
    Missing { limit: Box<str>, attribute: Box<str> },
}

impl KeptCause {
    fn of(cause: Cause<'_>) -> Self {
        match cause {
            Cause::Limits => Self::Limits,
            Cause::Exempt(rule) => Self::Exempt(rule.into()),
            Cause::Refused(rule) => Self::Refused(rule.into()),
            Cause::Blocked(penalty) => Self::Blocked(penalty.into()),
            Cause::Missing { limit, attribute } => {
                Self::Missing { limit: limit.into(), attribute: attribute.into() }
            }
        }
    }

    pub(super) fn get(&self) -> Cause<'_> {
        match self {
            Self::Limits => Cause::Limits,
            Self::Exempt(rule) => Cause::Exempt(rule),
            Self::Refused(rule) => Cause::Refused(rule),
            Self::Blocked(penalty) => Cause::Blocked(penalty),
            Self::Missing { limit, attribute } => Cause::Missing { limit, attribute },
        }
    }
}

impl Policy {
    /// As [`check`](Self::check), with a decision that keeps the policy: for a
    /// [`LivePolicy`](super::LivePolicy) that may be replaced before the decision is used.
    /// Who waits for one has it from [the queue](crate::wait::Queue::until_policy_allows).
    ///
    /// ```
    /// use tollgate::policy::{LivePolicy, Policy};
    ///
    /// let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '1/min'\n";
    /// let live = LivePolicy::new(Policy::from_toml(text)?);
    /// let check = || {
    ///     let policy = live.load_shared();
    ///     policy.check_kept(&policy.request("GET", "/"))
    /// };
    /// assert!(check().is_allowed());
    /// let mut denied = check();
    /// assert_eq!(denied.with(|decision| decision.response().status), Some(429));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_kept(self: &Arc<Self>, request: &Request<'_>) -> KeptDecision {
        self.check_kept_at(request, self.present())
    }

    /// As [`check_kept`](Self::check_kept), at `moment`.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use tollgate::policy::Policy;
    ///
    /// let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '1/min'\n";
    /// let policy = Arc::new(Policy::from_toml(text)?);
    /// let start = policy.now();
    /// let at = |secs| {
    ///     let moment = start.after(Duration::from_secs(secs));
    ///     policy.check_kept_at(&policy.request("GET", "/"), moment)
    /// };
    /// assert_eq!([0, 30, 61].map(|secs| at(secs).is_allowed()), [true, false, true]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_kept_at(self: &Arc<Self>, request: &Request<'_>, moment: Moment) -> KeptDecision {
        self.check_at(request, moment).kept_by(Arc::clone(self))
    }
}

impl PolicyDecision<'_> {
    /// The same decision with its policy, for as long as it is needed. `None` if it is
    /// not that policy's: [`Policy::check_kept`] has them from one hand.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tollgate::policy::Policy;
    ///
    /// let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n";
    /// let (policy, other) =
    ///     (Arc::new(Policy::from_toml(text)?), Arc::new(Policy::from_toml(text)?));
    /// let check = || policy.check(&policy.request("GET", "/"));
    /// assert!(check().keep(&other).is_none());
    /// let mut kept = check().keep(&policy).ok_or("another policy's")?;
    /// // It moves to where the response ends.
    /// let allowed = std::thread::spawn(move || kept.with(|decision| decision.is_allowed()));
    /// assert!(allowed.join().unwrap());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep(self, policy: &Arc<Policy>) -> Option<KeptDecision> {
        std::ptr::eq(self.policy, &raw const **policy).then(|| self.kept_by(policy.clone()))
    }

    /// As [`keep`](Self::keep). `policy` is the one that decided.
    pub(super) fn kept_by(&self, policy: Arc<Policy>) -> KeptDecision {
        let Self { moment, outcome, retry_after, status, .. } = *self;
        let cause = KeptCause::of(self.cause);
        // No more than there is: it may be kept for long.
        let asked = Box::from(self.asked.as_slice());
        KeptDecision { policy, moment, asked, outcome, retry_after, cause, status }
    }
}

impl KeptDecision {
    /// Whether the request may pass.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tollgate::policy::Policy;
    /// # let text = "[[limit]]\nname = 'api'\nkey = []\nquota = '1/min'\n";
    /// let policy = Arc::new(Policy::from_toml(text)?);
    /// let request = policy.request("GET", "/");
    /// assert!(policy.check_kept(&request).is_allowed());
    /// assert!(!policy.check_kept(&request).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_allowed(&self) -> bool {
        self.outcome == Outcome::Allowed
    }

    /// The policy that decided.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Arc::new(Policy::from_toml(
    /// #     "name = 'public API'\n\
    /// #      [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// # )?);
    /// let kept =
    ///     policy.check(&policy.request("GET", "/")).keep(&policy).ok_or("another policy's")?;
    /// drop(policy); // the decision keeps it
    /// assert_eq!(kept.policy().name(), "public API");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Runs with the decision: to read it, to settle it, to give back what it holds.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Arc::new(Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '1000/h'\ncost = 'tokens'\n",
    /// # )?);
    /// // 1000 tokens an hour. The stream ended earlier than was thought:
    /// let request = policy.request("POST", "/chat").cost("tokens", 800);
    /// let mut kept = policy.check(&request).keep(&policy).ok_or("another policy's")?;
    /// kept.with(|decision| decision.settle("tokens", 150));
    /// let next = policy.check(&request);
    /// assert_eq!(next.limit("llm").map(|limit| limit.decision().remaining()), Some(50));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with<T>(&mut self, run: impl FnOnce(&mut PolicyDecision<'_>) -> T) -> T {
        // A copy goes, so that leases are not lost where `run` panics.
        let mut decision = PolicyDecision {
            policy: &self.policy,
            moment: self.moment,
            asked: AllAsked::from_slice(&self.asked),
            outcome: self.outcome,
            retry_after: self.retry_after,
            cause: self.cause.get(),
            status: self.status,
        };
        let value = run(&mut decision);
        self.moment = decision.moment;
        let now = decision.asked.as_slice();
        if now.len() == self.asked.len() {
            self.asked.copy_from_slice(now);
        } else {
            self.asked = Box::from(now);
        }
        value
    }
}

impl Verdict for KeptDecision {
    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Debug for KeptDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptDecision")
            .field("outcome", &self.outcome)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}
