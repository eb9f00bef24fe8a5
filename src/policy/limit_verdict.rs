//! [`LimitDecision`]: what one limit of a decision said.

use super::{
    Policy,
    limit::{Algorithm, Limit},
    verdict::{Asked, Held},
};
use crate::{
    decision::{Decision, Outcome},
    headers::Reported,
    limiter::LeaseId,
};
use std::fmt;

/// What one limit said.
///
/// ```
/// use tollgate::policy::Policy;
///
/// # let policy = Policy::from_toml(
/// #     "[attribute.user]\n\
/// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '1/h'\n\
/// #      [[limit]]\nname = 'planned'\nkey = []\nquota = '1/h'\nmode = 'shadow'\n",
/// # )?;
/// # let request = policy.request("GET", "/").attribute("user", "ann");
/// # assert!(policy.check(&request).is_allowed());
/// // `api` and `planned` are used up; `planned` is in shadow.
/// let decision = policy.check(&request);
/// for limit in decision.limits().filter(|limit| limit.is_violated()) {
///     let wait = limit.decision().retry_after();
///     println!("{} says no, for {wait:?}; in shadow: {}", limit.name(), limit.is_shadow());
/// }
/// assert_eq!(decision.limits().filter(|limit| limit.is_violated()).count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct LimitDecision<'d> {
    pub(super) policy: &'d Policy,
    pub(super) asked: &'d Asked,
}

impl<'d> LimitDecision<'d> {
    pub(super) fn of(&self) -> &'d Limit {
        self.policy.limit(self.asked.limit)
    }

    /// As the file calls it.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy =
    ///     Policy::from_toml("[[limit]]\nname = 'per minute'\nkey = []\nquota = '5/min'\n")?;
    /// let decision = policy.check(&policy.request("GET", "/"));
    /// assert_eq!(decision.limits().next().map(|limit| limit.name()), Some("per minute"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &'d str {
        &self.of().name
    }

    /// How it counts.
    ///
    /// ```
    /// use tollgate::policy::{Algorithm, Policy};
    ///
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'api'\nkey = []\nalgorithm = 'gcra'\nquota = '100/s burst 20'\n",
    /// )?;
    /// let decision = policy.check(&policy.request("GET", "/"));
    /// assert_eq!(decision.limit("api").map(|limit| limit.algorithm()), Some(Algorithm::Gcra));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn algorithm(&self) -> Algorithm {
        self.of().algorithm
    }

    /// Whether this key has no quota here.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.tier]\nvalues = ['FREE', 'PRO']\n\
    /// #      [[limit]]\nname = 'api'\nkey = []\n\
    /// #      quota = { by = 'tier', FREE = '10/min', PRO = 'unlimited' }\n",
    /// # )?;
    /// // `FREE` has 10 a minute, `PRO` is `"unlimited"`: asked, and reported, but without numbers.
    /// let decision = policy.check(&policy.request("GET", "/").attribute("tier", "PRO"));
    /// assert!(decision.limit("api").is_some_and(|limit| limit.is_unlimited()));
    /// assert!(decision.binding().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_unlimited(&self) -> bool {
        self.asked.numbers.is_none()
    }

    /// Whether it said no. If it is a [shadow](Self::is_shadow), to no effect.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'minute'\nkey = []\nquota = '1/min'\n\
    /// #      [[limit]]\nname = 'day'\nkey = []\nquota = '50/d'\n",
    /// # )?;
    /// # assert!(policy.check(&policy.request("GET", "/")).is_allowed());
    /// // Of `minute` and `day`, one is used up.
    /// let denied = policy.check(&policy.request("GET", "/"));
    /// let said_no: Vec<_> =
    ///     denied.limits().filter(|l| l.is_violated()).map(|l| l.name()).collect();
    /// assert_eq!(said_no, ["minute"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_violated(&self) -> bool {
        self.asked.violated
    }

    /// Whether it only reports.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'planned'\nkey = []\nquota = '1/h'\nmode = 'shadow'\n",
    /// # )?;
    /// # assert!(policy.check(&policy.request("GET", "/")).is_allowed());
    /// // `planned` has `mode = "shadow"`, and is used up. Who would have been denied?
    /// let decision = policy.check(&policy.request("GET", "/"));
    /// let would_be = decision.limits().find(|limit| limit.is_shadow() && limit.is_violated());
    /// assert_eq!(would_be.map(|limit| limit.name()), Some("planned"));
    /// assert!(decision.is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_shadow(&self) -> bool {
        self.asked.shadow
    }

    /// The units that it was asked for; after [`settle`](super::PolicyDecision::settle), those that it
    /// was charged.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'requests'\nkey = []\nquota = '9/min'\n\
    /// #      [[limit]]\nname = 'tokens'\nkey = []\nquota = '900/min'\ncost = 'tokens'\n",
    /// # )?;
    /// // `requests` counts them, `tokens` what they cost.
    /// let decision = policy.check(&policy.request("POST", "/chat").cost("tokens", 250));
    /// assert_eq!(decision.limits().map(|limit| limit.units()).collect::<Vec<_>>(), [1, 250]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn units(&self) -> u64 {
        self.asked.units
    }

    /// A number for its key: the same for every decision of this policy by this limit on
    /// that key, and by chance alone, 1 in 2⁶⁴, for another one. For whoever counts by
    /// keys; [`Policy::explain`] tells the key itself.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '9/min'\n",
    /// # )?;
    /// let hash = |user| {
    ///     let request = policy.request("GET", "/").attribute("user", user);
    ///     policy.check(&request).limit("api").map(|limit| limit.key_hash())
    /// };
    /// assert!(hash("ann") == hash("ann") && hash("ann") != hash("bob"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_hash(&self) -> u64 {
        self.asked.hash.0
    }

    /// Its own decision: limit, remaining, resets, wait. Where the request was denied
    /// by another limit, how this one stands, which was not charged. Of no meaning where
    /// it [`is_unlimited`](Self::is_unlimited).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/min'\n")?;
    /// let decision = policy.check_at(&policy.request("GET", "/"), policy.now());
    /// let api = decision.limit("api").ok_or("no `api`")?.decision();
    /// assert_eq!((api.limit(), api.remaining()), (5, 4));
    /// assert!(api.full_after() >= Duration::from_secs(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decision(&self) -> Decision {
        self.asked.decision
    }

    /// The lease that the request holds, if the limit counts how many there are at a
    /// time: for [`Policy::renew`], and for [`Policy::release`] where the decision itself is
    /// gone by then.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'jobs'\nkey = []\nalgorithm = 'leases'\nquota = 1\nttl = '1 h'\n\
    /// #      [[limit]]\nname = 'hour'\nkey = []\nquota = '9/h'\n",
    /// # )?;
    /// // `jobs` counts how many there are at a time, `hour` does not.
    /// let mut decision = policy.check(&policy.request("POST", "/jobs"));
    /// let has_lease = |name| decision.limit(name).is_some_and(|limit| limit.lease().is_some());
    /// assert!(has_lease("jobs") && !has_lease("hour"));
    /// decision.release();
    /// assert!(decision.limit("jobs").is_some_and(|limit| limit.lease().is_none()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lease(&self) -> Option<LeaseId> {
        match self.asked.held {
            Held::Lease(lease) => Some(lease),
            _ => None,
        }
    }

    pub(super) fn reported(&self) -> Reported<'d> {
        let (limit, d) = (self.of(), &self.asked.decision);
        if self.is_unlimited() {
            return Reported {
                name: &limit.name,
                limit: None,
                remaining: 0,
                reset_next: None,
                reset_full: None,
                window: None,
                unit: &limit.unit,
                outcome: Outcome::Allowed,
                retry_after: None,
                shadow: self.asked.shadow,
            };
        }
        let mut reported = Reported::from_decision(&limit.name, d);
        reported.unit = &limit.unit;
        reported.window = self.asked.numbers.and_then(|numbers| limit.algorithm.window(numbers));
        if limit.algorithm == Algorithm::Size {
            // Each request is measured anew.
            (reported.reset_next, reported.reset_full) = (None, None);
        }
        reported.shadow = self.asked.shadow;
        reported
    }
}

impl fmt::Debug for LimitDecision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut it = f.debug_struct("LimitDecision");
        it.field("name", &self.name()).field("shadow", &self.asked.shadow);
        if self.is_unlimited() {
            it.field("unlimited", &true);
        } else {
            it.field("violated", &self.asked.violated).field("decision", &self.asked.decision);
        }
        it.finish()
    }
}
