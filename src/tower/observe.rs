//! What is told of every decision: a hook, and what the facades make of it.

use super::extract::Head;
use crate::{
    decision::Outcome,
    policy::{Cause, PolicyDecision},
};
use std::time::Duration;

/// One decision of a layer, as it is told to who [observes](super::LimitLayer::observe).
///
/// ```
/// use tollgate::{Outcome, tower::Decided};
///
/// /// A line of a log; to be given to `observe`.
/// fn line(decided: &Decided<'_>) -> Option<String> {
///     let (by, name) = decided.why.labels();
///     let path = decided.head.uri.path();
///     (decided.outcome != Outcome::Allowed).then(|| format!("{path}: {by} {name}"))
/// }
/// # use tollgate::{policy::Policy, tower::LimitLayer};
/// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
/// let layer = LimitLayer::policy(policy)
///     .observe(|decided| line(decided).into_iter().for_each(|line| eprintln!("{line}")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Decided<'d> {
    /// The request.
    pub head: Head<'d>,
    /// Allowed, later, or never.
    pub outcome: Outcome,
    /// What decided.
    pub why: Why<'d>,
    /// The status of a denial.
    pub status: Option<u16>,
    /// How long a denied client is to wait.
    pub retry_after: Option<Duration>,
    /// Whether it is let pass nevertheless, because the layer only watches, or fails open.
    pub passes_anyway: bool,
    /// All of it, where a policy decided: each limit, shadows too.
    pub policy: Option<&'d PolicyDecision<'d>>,
}

/// What decided a request, with its name in the policy.
///
/// ```
/// use tollgate::tower::Why;
///
/// let told = |why| match why {
///     Why::Limit(name) | Why::Blocked(name) => format!("slow down: {name}"),
///     Why::Missing(name) => format!("{name} does not know who asks"),
///     _ => String::new(),
/// };
/// assert_eq!(told(Why::Limit("uploads")), "slow down: uploads");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why<'d> {
    /// It is within all limits.
    Limits,
    /// This limit denies it.
    Limit(&'d str),
    /// It is exempt by this rule.
    Exempt(&'d str),
    /// It is refused by this rule.
    Refused(&'d str),
    /// Its key is blocked by this penalty.
    Blocked(&'d str),
    /// It lacks what this limit needs to know.
    Missing(&'d str),
}

impl<'d> Why<'d> {
    /// The kind in one word, and the name, or nothing: for labels.
    ///
    /// ```
    /// use tollgate::tower::Why;
    ///
    /// assert_eq!(Why::Limit("uploads").labels(), ("limit", "uploads"));
    /// assert_eq!(Why::Limits.labels(), ("limits", ""));
    /// ```
    pub fn labels(self) -> (&'static str, &'d str) {
        match self {
            Self::Limits => ("limits", ""),
            Self::Limit(name) => ("limit", name),
            Self::Exempt(name) => ("exempt", name),
            Self::Refused(name) => ("refused", name),
            Self::Blocked(name) => ("blocked", name),
            Self::Missing(name) => ("missing", name),
        }
    }
}

impl<'d> Decided<'d> {
    pub(super) fn new(
        head: &Head<'d>,
        outcome: Outcome,
        why: Why<'d>,
        status: Option<u16>,
    ) -> Self {
        let (retry_after, passes_anyway, policy) = (None, false, None);
        Self { head: *head, outcome, why, status, retry_after, passes_anyway, policy }
    }

    pub(super) fn of_policy(
        head: &Head<'d>,
        decision: &'d PolicyDecision<'d>,
        status: Option<u16>,
    ) -> Self {
        let why = match decision.cause() {
            Cause::Exempt(name) => Why::Exempt(name),
            Cause::Refused(name) => Why::Refused(name),
            Cause::Blocked(name) => Why::Blocked(name),
            Cause::Missing { limit, .. } => Why::Missing(limit),
            Cause::Limits => {
                let denied_by = if decision.is_denied() { decision.binding() } else { None };
                denied_by.map_or(Why::Limits, |limit| Why::Limit(limit.name()))
            }
        };
        let retry_after = decision.retry_after();
        let decided = Self::new(head, decision.outcome(), why, status);
        Self { retry_after, policy: Some(decision), ..decided }
    }

    /// `allowed`, `later` or `never`: for labels.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    fn outcome_label(&self) -> &'static str {
        match self.outcome {
            Outcome::Allowed => "allowed",
            Outcome::Later => "later",
            Outcome::Never => "never",
        }
    }
}

/// Counts each decision by the facade `metrics`: give it to
/// [`observe`](super::LimitLayer::observe).
///
/// `tollgate_decisions_total` has the labels `outcome` (`allowed`, `later`, `never`),
/// `by` (`limits`, `limit`, `refused`, ...), `name` and `enforced` (`no` in shadow, else `yes`); and
/// `tollgate_shadow_denials_total`, by `limit`, counts what shadows would have denied.
/// Names are those of the policy's file, so there are as many series as it has names.
///
/// ```
/// use tollgate::{policy::Policy, tower::{LimitLayer, metrics}};
///
/// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
/// let layer = LimitLayer::policy(policy).observe(metrics);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "metrics")]
pub fn metrics(decided: &Decided<'_>) {
    let (by, name) = decided.why.labels();
    let enforced = if decided.passes_anyway { "no" } else { "yes" };
    ::metrics::counter!(
        "tollgate_decisions_total",
        "outcome" => decided.outcome_label(),
        "by" => by,
        "name" => name.to_owned(),
        "enforced" => enforced,
    )
    .increment(1);
    for limit in decided.policy.iter().flat_map(|decision| decision.limits()) {
        if limit.is_shadow() && limit.is_violated() {
            let name = limit.name().to_owned();
            ::metrics::counter!("tollgate_shadow_denials_total", "limit" => name).increment(1);
        }
    }
}

/// Tells each decision to the facade `tracing`, under the target `tollgate`: denials at
/// the level of information, all else for debugging. No header fields, no address and no query; but the
/// path as it came, with whatever is in it: keys, too, where a policy has `path.NAME` for one. Where
/// that is too much, have a function of your own. Give it to [`observe`](super::LimitLayer::observe).
///
/// ```
/// use tollgate::{policy::Policy, tower::{LimitLayer, tracing}};
///
/// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
/// let layer = LimitLayer::policy(policy).observe(tracing);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "tracing")]
pub fn tracing(decided: &Decided<'_>) {
    let (by, name) = decided.why.labels();
    let outcome = decided.outcome_label();
    let (method, path) = (decided.head.method.as_str(), decided.head.uri.path());
    if decided.outcome == Outcome::Allowed {
        ::tracing::debug!(target: "tollgate", outcome, by, name, method, path, "request");
        return;
    }
    let retry_after = decided.retry_after.map(|wait| wait.as_secs_f64());
    let (status, passes_anyway) = (decided.status, decided.passes_anyway);
    ::tracing::info!(
        target: "tollgate",
        outcome, by, name, method, path, status, retry_after, passes_anyway,
        "request denied",
    );
}
