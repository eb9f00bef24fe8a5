//! What is told of a decision: its limits as header fields and bodies have them.

use super::{
    Moment, Policy,
    limit_verdict::LimitDecision,
    verdict::{Asked, Cause},
};
use crate::{
    decision::Outcome,
    headers::{Answer, Reported},
    time::Nanos,
};
use smallvec::SmallVec;
use std::time::Duration;

/// A decision, wherever it is kept.
#[derive(Clone, Copy)]
pub(super) struct Telling<'d> {
    pub(super) policy: &'d Policy,
    pub(super) moment: Moment,
    pub(super) asked: &'d [Asked],
    pub(super) outcome: Outcome,
    pub(super) retry_after: Option<Duration>,
    pub(super) cause: Cause<'d>,
    pub(super) status: Option<u16>,
}

impl<'d> Telling<'d> {
    pub(super) fn is_denied(&self) -> bool {
        self.outcome != Outcome::Allowed
    }

    pub(super) fn limits(&self) -> impl ExactSizeIterator<Item = LimitDecision<'d>> + use<'d> {
        let policy = self.policy;
        self.asked.iter().map(move |asked| LimitDecision { policy, asked })
    }

    /// As whoever writes fields and bodies has it: of equals, too, all tell of the same.
    pub(super) fn binding(&self) -> Option<LimitDecision<'d>> {
        let mut best: Option<(LimitDecision<'_>, Reported<'_>)> = None;
        for limit in self.limits() {
            let reported = limit.reported();
            let goes_before = |(_, other): &(_, Reported<'_>)| reported.binds_before(other);
            if reported.can_bind() && best.as_ref().is_none_or(goes_before) {
                best = Some((limit, reported));
            }
        }
        best.map(|(limit, _)| limit)
    }

    pub(super) fn with_answer<T>(&self, render: impl FnOnce(&Answer<'_>) -> T) -> T {
        let reported: SmallVec<[Reported<'_>; 8]> =
            self.limits().map(|limit| limit.reported()).collect();
        // That clock takes longer to read than a limit to decide.
        let now = if self.policy.dialect.reads_wall(self.is_denied()) {
            self.policy.wall_at(self.moment)
        } else {
            Nanos::ZERO
        };
        let mut answer = match self.cause {
            Cause::Limits | Cause::Exempt(_) => Answer::new(&reported, now),
            Cause::Refused(name) | Cause::Missing { limit: name, .. } => {
                Answer::refused(name, &reported, now)
            }
            Cause::Blocked(name) => Answer::blocked(name, self.retry_after, &reported, now),
        };
        if self.is_denied() {
            // What decided has a status of its own, or the limit that denies.
            let of_limit = || self.binding()?.of().status;
            if let Some(status) = self.status.or_else(of_limit) {
                answer = answer.with_status(status);
            }
        }
        render(&answer)
    }
}
