//! [`KeptDecision`]: a decision that outlives the request it was made for.

use super::{
    Moment, Policy,
    verdict::{AllAsked, Cause, PolicyDecision},
};
use crate::decision::Outcome;
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
    policy: Arc<Policy>,
    moment: Moment,
    asked: AllAsked,
    outcome: Outcome,
    retry_after: Option<Duration>,
    status: Option<u16>,
}

impl PolicyDecision<'_> {
    /// The same decision with its policy, for as long as it is needed. `None` if it is
    /// not that policy's. Of its [cause](Self::cause) only the limits are kept: answer a
    /// denial before.
    pub fn keep(self, policy: &Arc<Policy>) -> Option<KeptDecision> {
        let Self { moment, asked, outcome, retry_after, status, .. } = self;
        let policy = std::ptr::eq(self.policy, &raw const **policy).then(|| policy.clone())?;
        Some(KeptDecision { policy, moment, asked, outcome, retry_after, status })
    }
}

impl KeptDecision {
    /// The policy that decided.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Runs with the decision: to read it, to settle it, to give back what it holds.
    pub fn with<T>(&mut self, run: impl FnOnce(&mut PolicyDecision<'_>) -> T) -> T {
        // A copy goes, so that leases are not lost where `run` panics.
        let mut decision = PolicyDecision {
            policy: &self.policy,
            moment: self.moment,
            asked: self.asked.clone(),
            outcome: self.outcome,
            retry_after: self.retry_after,
            cause: Cause::Limits,
            status: self.status,
        };
        let value = run(&mut decision);
        self.asked = decision.asked;
        value
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
