//! What keys hold of a limit, apart from the decision that gave it: leases, and charges.

use super::{Moment, Policy, Request};
use crate::limiter::LeaseId;

impl Policy {
    /// Ends a lease of that limit, as [`LimitDecision::lease`](super::LimitDecision::lease) told
    /// it: for whoever ends it elsewhere than where it was had. Whether it was live until then;
    /// ending it twice does no harm.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'jobs'\nkey = []\nalgorithm = 'leases'\nquota = 1\nttl = '1 h'\n",
    /// # )?;
    /// // `jobs` is one at a time. Its id goes with the job; the decision does not.
    /// let lease = policy
    ///     .check(&policy.request("POST", "/jobs"))
    ///     .limit("jobs")
    ///     .and_then(|jobs| jobs.lease());
    /// let lease = lease.ok_or("no lease")?;
    ///
    /// // Wherever the job ends:
    /// assert!(policy.release("jobs", lease));
    /// assert!(!policy.release("jobs", lease)); // it was over by then
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(&self, limit: &str, lease: LeaseId) -> bool {
        self.release_at(limit, lease, self.present())
    }

    /// As [`release`](Self::release), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'jobs'\nkey = []\nalgorithm = 'leases'\nquota = 1\nttl = '1 h'\n",
    /// # )?;
    /// // A lease of `jobs` lasts an hour.
    /// let (job, start) = (policy.request("POST", "/jobs"), policy.now());
    /// let lease = policy.check_at(&job, start).limit("jobs").and_then(|jobs| jobs.lease());
    /// let late = start.after(Duration::from_secs(2 * 3_600));
    /// assert!(!policy.release_at("jobs", lease.ok_or("no lease")?, late)); // it ended by itself
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release_at(&self, limit: &str, lease: LeaseId, moment: Moment) -> bool {
        self.find(limit).is_some_and(|limit| limit.keeper.release(lease, moment))
    }

    /// Continues a lease of that limit: it ends the limit's `ttl` from now, or when it
    /// would have ended if that is later. Whether it was live; if not, nothing happens,
    /// and who goes on works beside the limit.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'jobs'\nkey = []\nalgorithm = 'leases'\nquota = 1\nttl = '1 h'\n",
    /// # )?;
    /// let decision = policy.check(&policy.request("POST", "/jobs"));
    /// let lease = decision.limit("jobs").and_then(|jobs| jobs.lease()).ok_or("no lease")?;
    /// assert!(policy.renew("jobs", lease)); // an hour more, from now
    /// policy.release("jobs", lease);
    /// assert!(!policy.renew("jobs", lease)); // what is over stays over
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "a lease that is over cannot be renewed"]
    pub fn renew(&self, limit: &str, lease: LeaseId) -> bool {
        self.renew_at(limit, lease, self.present())
    }

    /// As [`renew`](Self::renew), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'jobs'\nkey = []\nalgorithm = 'leases'\nquota = 1\nttl = '1 h'\n",
    /// # )?;
    /// // A lease of `jobs` lasts an hour unless it is renewed.
    /// let (job, start) = (policy.request("POST", "/jobs"), policy.now());
    /// let after = |minutes: u64| start.after(Duration::from_secs(60 * minutes));
    /// let lease = policy.check_at(&job, start).limit("jobs").and_then(|jobs| jobs.lease());
    /// assert!(policy.renew_at("jobs", lease.ok_or("no lease")?, after(40)));
    /// assert!(policy.check_at(&job, after(90)).is_denied());
    /// assert!(policy.check_at(&job, after(101)).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "a lease that is over cannot be renewed"]
    pub fn renew_at(&self, limit: &str, lease: LeaseId, moment: Moment) -> bool {
        self.find(limit).is_some_and(|limit| {
            limit.ttl().is_some_and(|ttl| limit.keeper.renew(lease, ttl, moment))
        })
    }

    /// Forgets what that limit charged the key of `request`, which is as good as new then,
    /// and ends its leases. Whether there is such a key: there is none where the request
    /// lacks a part of it.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     [attribute.user]
    ///     [[limit]]
    ///     name = "api"
    ///     key = ["user"]
    ///     quota = "1/h"
    ///     "#,
    /// )?;
    /// let ann = policy.request("GET", "/").attribute("user", "ann");
    /// assert!(policy.check(&ann).is_allowed() && policy.check(&ann).is_denied());
    /// assert!(policy.reset("api", &ann));
    /// assert!(policy.check(&ann).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self, limit: &str, request: &Request<'_>) -> bool {
        self.reset_at(limit, request, self.present())
    }

    /// As [`reset`](Self::reset), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '1/h'\n",
    /// # )?;
    /// let (ann, start) = (policy.request("GET", "/").attribute("user", "ann"), policy.now());
    /// assert!(policy.check_at(&ann, start).is_allowed());
    /// let soon = start.after(Duration::from_secs(5));
    /// assert!(policy.reset_at("api", &ann, soon) && policy.check_at(&ann, soon).is_allowed());
    ///
    /// // Without a user there is no key, and nothing to reset.
    /// assert!(!policy.reset_at("api", &policy.request("GET", "/"), soon));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_at(&self, limit: &str, request: &Request<'_>, moment: Moment) -> bool {
        let Some(number) = self.limits.iter().position(|known| *known.name == *limit) else {
            return false;
        };
        self.with_question(request, |question| {
            let hash = self.key_of(number, request, question);
            hash.inspect(|hash| self.limit(number).keeper.forget(*hash, moment)).is_some()
        })
    }
}
