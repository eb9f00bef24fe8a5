//! What a decision says as the crate `http` has it: for the layer before services.

use super::{KeptDecision, Loaded, Policy, PolicyDecision, telling::Telling};
use crate::headers::{Answer, Dialect, FieldNames};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

impl Telling<'_> {
    fn http_fields(&self, each: impl FnMut(HeaderName, HeaderValue)) {
        let Policy { dialect, field_names, .. } = self.policy;
        if dialect.tells_of_all() || self.is_denied() {
            self.with_answer(|answer| dialect.http_fields(field_names, answer, each));
        }
    }
}

impl PolicyDecision<'_> {
    /// As [`fields`](Self::fields).
    pub(crate) fn http_fields(&self, each: impl FnMut(HeaderName, HeaderValue)) {
        self.telling().http_fields(each);
    }

    /// Runs with all that is needed to answer a denial.
    pub(crate) fn answered<T>(
        &self,
        answer: impl FnOnce(&Dialect, &FieldNames, &Answer<'_>) -> T,
    ) -> T {
        let Policy { dialect, field_names, .. } = self.policy;
        self.telling().with_answer(|said| answer(dialect, field_names, said))
    }

    /// As [`keep`](Self::keep), with the policy that was loaded for it. `None` if it was not.
    pub(crate) fn keep_loaded(&self, policy: &Loaded) -> Option<KeptDecision> {
        std::ptr::eq(self.policy, &raw const **policy).then(|| self.kept_by(Arc::clone(&policy.0)))
    }
}

impl KeptDecision {
    /// As [`PolicyDecision::fields`].
    pub(crate) fn http_fields(&self, each: impl FnMut(HeaderName, HeaderValue)) {
        let Self { policy, moment, asked, outcome, retry_after, cause, status } = self;
        let telling = Telling {
            policy,
            moment: *moment,
            asked,
            outcome: *outcome,
            retry_after: *retry_after,
            cause: cause.get(),
            status: *status,
        };
        telling.http_fields(each);
    }
}
