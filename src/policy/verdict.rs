//! [`PolicyDecision`]: every limit that was asked, and the one answer.

use super::{Policy, limit::Algorithm, moment::Moment};
use crate::{
    decision::{Charge, Decision, Outcome},
    headers::{Answer, Reported, Response},
    limiter::LeaseId,
    table::{Hash, Weighed},
    wait::Verdict,
};
use smallvec::SmallVec;
use std::{fmt, time::Duration};

impl Asked {
    /// Nobody asked it anything yet.
    pub(super) const NEW: Self = Self {
        limit: 0,
        hash: Hash(0),
        numbers: None,
        units: 0,
        shadow: false,
        violated: false,
        decision: Decision::NOTHING,
        held: Held::Nothing,
    };
}

/// One limit that was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) limit: usize,
    pub(super) hash: Hash,
    /// `None`: unlimited.
    pub(super) numbers: Option<[u64; 3]>,
    pub(super) units: u64,
    pub(super) shadow: bool,
    pub(super) violated: bool,
    pub(super) decision: Decision,
    pub(super) held: Held,
}

/// What the request holds of a limit, and has not given back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    Nothing,
    /// Nothing yet, but a charge that can be made.
    Weighed(Weighed),
    /// What its decision says was charged.
    AsDecided,
    /// What was settled since.
    Settled(Charge),
    Lease(LeaseId),
}

/// Up to eight limits of a request take no memory from the heap.
pub(super) type AllAsked = SmallVec<[Asked; 8]>;

/// Why a request may or may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause<'p> {
    /// What its limits say.
    Limits,
    /// It is [exempt](super#exemptions), by that rule.
    Exempt(&'p str),
    /// It is [refused](super#refusals), by that rule.
    Refused(&'p str),
    /// Its key is blocked by that [penalty](super#penalties).
    Blocked(&'p str),
    /// It lacks an attribute that this limit needs.
    Missing {
        /// The limit.
        limit: &'p str,
        /// The attribute, or the part of the key.
        attribute: &'p str,
    },
}

/// The whole answer to one request: may it pass, what every limit says that was
/// asked, and which one binds.
#[must_use = "a decision that nobody reads limits nothing"]
pub struct PolicyDecision<'p> {
    pub(super) policy: &'p Policy,
    pub(super) moment: Moment,
    pub(super) asked: AllAsked,
    pub(super) outcome: Outcome,
    pub(super) retry_after: Option<Duration>,
    pub(super) cause: Cause<'p>,
    pub(super) status: Option<u16>,
}

impl<'p> PolicyDecision<'p> {
    /// The policy that decided.
    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// Whether the request may pass.
    pub fn is_allowed(&self) -> bool {
        self.outcome == Outcome::Allowed
    }

    /// Whether the request may not pass, now or ever.
    pub fn is_denied(&self) -> bool {
        !self.is_allowed()
    }

    /// Allowed, later, or never.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What decided.
    pub fn cause(&self) -> Cause<'p> {
        self.cause
    }

    /// How long to wait before the same request is allowed, if nothing else is charged
    /// meanwhile: the longest wait of the limits that said no, or of the block. `None`
    /// when it was allowed, and where waiting does not help.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Every limit that was asked, in the order of the file. None where a refusal, an
    /// exemption, a block or something missing decided.
    pub fn limits(&self) -> impl ExactSizeIterator<Item = LimitDecision<'_>> {
        self.asked.iter().map(|asked| LimitDecision { policy: self.policy, asked })
    }

    /// The limit of that name, if it applies.
    pub fn limit(&self, name: &str) -> Option<LimitDecision<'_>> {
        self.limits().find(|limit| limit.name() == name)
    }

    /// The limit that binds. Denied: the one that said no with the longest wait, *never*
    /// before any wait. Allowed: the one with the least left of its limit.
    pub fn binding(&self) -> Option<LimitDecision<'_>> {
        let rank = |asked: &&Asked| {
            let d = &asked.decision;
            let wait = match d.outcome() {
                Outcome::Allowed => None,
                Outcome::Later => Some(d.retry_after()),
                Outcome::Never => Some(Some(Duration::MAX)),
            };
            (asked.violated, wait)
        };
        let enforced = self.asked.iter().filter(|asked| !asked.shadow && asked.numbers.is_some());
        let asked = if self.is_denied() {
            enforced.filter(|asked| asked.violated).max_by(|a, b| rank(a).cmp(&rank(b)))
        } else {
            enforced.min_by(|a, b| {
                let [a, b] = [a, b].map(|asked| {
                    (u128::from(asked.decision.remaining()), u128::from(asked.decision.limit()))
                });
                (a.0 * b.1.max(1)).cmp(&(b.0 * a.1.max(1)))
            })
        };
        asked.map(|asked| LimitDecision { policy: self.policy, asked })
    }

    /// The status for a denial, as the policy has it; `None` when it was allowed.
    pub fn status(&self) -> Option<u16> {
        self.with_answer(|answer| self.policy.dialect.status(answer))
    }

    /// Header fields, and the body and status of a denial, in the policy's dialect.
    /// Allocates.
    pub fn response(&self) -> Response {
        self.with_answer(|answer| self.policy.dialect.response(answer))
    }

    /// Each header field for the response, in the policy's dialect: name and value,
    /// which is built in `buffer`.
    pub fn fields(&self, buffer: &mut String, each: impl FnMut(&str, &str)) {
        self.with_answer(|answer| self.policy.dialect.fields(answer, buffer, each));
    }

    /// The body of a denial, in the policy's dialect: whether there is one, written to
    /// `out`.
    pub fn body(&self, out: &mut String) -> bool {
        self.with_answer(|answer| self.policy.dialect.body(answer, out))
    }

    fn with_answer<T>(&self, render: impl FnOnce(&Answer<'_>) -> T) -> T {
        let reported: SmallVec<[Reported<'_>; 8]> =
            self.limits().map(|limit| limit.reported()).collect();
        let now = self.policy.wall_at(self.moment);
        let mut answer = match self.cause {
            Cause::Limits | Cause::Exempt(_) => Answer::new(&reported, now),
            Cause::Refused(name) | Cause::Missing { limit: name, .. } => {
                Answer::refused(name, &reported, now)
            }
            Cause::Blocked(name) => Answer::blocked(name, self.retry_after, &reported, now),
        };
        // What decided has a status of its own, or the limit that denies.
        let of_limit = || self.binding().filter(|_| self.is_denied())?.of().status;
        if let Some(status) = self.status.or_else(of_limit) {
            answer = answer.with_status(status);
        }
        render(&answer)
    }

    /// Ends the leases that the request holds, because it is over. Dropping the decision
    /// does not: leases that nobody ends are held until their time has run out.
    pub fn release(&mut self) {
        self.release_at(self.policy.present());
    }

    /// As [`release`](Self::release), at `moment`.
    pub fn release_at(&mut self, moment: Moment) {
        let policy = self.policy;
        for asked in &mut self.asked {
            policy.end_lease(asked, moment);
        }
    }

    /// Gives back what the request was charged by every limit, because it was not
    /// served after all, and ends its leases. Once: a second time gives nothing back.
    pub fn refund(&mut self) {
        self.refund_at(self.policy.present());
    }

    /// As [`refund`](Self::refund), at `moment`.
    pub fn refund_at(&mut self, moment: Moment) {
        let policy = self.policy;
        for asked in &mut self.asked {
            policy.give_back(asked, moment);
        }
    }

    /// Gives back what the request was charged, and keeps its leases: it goes on for a while.
    #[cfg(feature = "tower")]
    pub(crate) fn refund_charges(&mut self) {
        let (policy, moment) = (self.policy, self.policy.present());
        for asked in self.asked.iter_mut().filter(|asked| !matches!(asked.held, Held::Lease(_))) {
            policy.give_back(asked, moment);
        }
    }

    /// Corrects an estimate: what the request cost in a dimension (`tokens`), once it is
    /// known. Every limit that counts the dimension is corrected, beyond its quota if
    /// need be, as by [`Key::settle`](crate::Key::settle).
    pub fn settle(&mut self, dimension: &str, units: u64) {
        self.settle_at(dimension, units, self.policy.present());
    }

    /// As [`settle`](Self::settle), at `moment`.
    pub fn settle_at(&mut self, dimension: &str, units: u64, moment: Moment) {
        let policy = self.policy;
        let Some(dimension) = policy.dimension_id(dimension) else { return };
        for asked in &mut self.asked {
            policy.settle(asked, dimension, units, moment);
        }
    }
}

impl Verdict for PolicyDecision<'_> {
    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Debug for PolicyDecision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyDecision")
            .field("outcome", &self.outcome)
            .field("cause", &self.cause)
            .field("retry_after", &self.retry_after)
            .field("limits", &self.limits().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What one limit said.
#[derive(Clone, Copy)]
pub struct LimitDecision<'d> {
    policy: &'d Policy,
    asked: &'d Asked,
}

impl<'d> LimitDecision<'d> {
    fn of(&self) -> &'d super::limit::Limit {
        self.policy.limit(self.asked.limit)
    }

    /// As the file calls it.
    pub fn name(&self) -> &'d str {
        &self.of().name
    }

    /// How it counts.
    pub fn algorithm(&self) -> Algorithm {
        self.of().algorithm
    }

    /// Whether this key has no quota here.
    pub fn is_unlimited(&self) -> bool {
        self.asked.numbers.is_none()
    }

    /// Whether it said no. If it is a [shadow](Self::is_shadow), to no effect.
    pub fn is_violated(&self) -> bool {
        self.asked.violated
    }

    /// Whether it only reports.
    pub fn is_shadow(&self) -> bool {
        self.asked.shadow
    }

    /// The units that it was asked for.
    pub fn units(&self) -> u64 {
        self.asked.units
    }

    /// A number for its key: the same for every decision of this policy by this limit on
    /// that key, and by chance alone, 1 in 2⁶⁴, for another one. For whoever counts by
    /// keys; [`Policy::explain`] tells the key itself.
    pub fn key_hash(&self) -> u64 {
        self.asked.hash.0
    }

    /// Its own decision: limit, remaining, resets, wait. Where the request was denied
    /// by another limit, how this one stands, which was not charged. Of no meaning where
    /// it [`is_unlimited`](Self::is_unlimited).
    pub fn decision(&self) -> Decision {
        self.asked.decision
    }

    /// The lease that the request holds, if the limit counts how many there are at a
    /// time: for [`Policy::renew`], and for [`Policy::release`] where the decision itself is
    /// gone by then.
    pub fn lease(&self) -> Option<LeaseId> {
        match self.asked.held {
            Held::Lease(lease) => Some(lease),
            _ => None,
        }
    }

    fn reported(&self) -> Reported<'d> {
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
