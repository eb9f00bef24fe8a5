//! Penalties: denials of a key are counted, and too many of them block it.

use super::{
    Policy,
    key::{KeyParts, Source},
    moment::Moment,
    route_table::{Question, RouteTable},
    verdict::{Cause, PolicyDecision},
};
use crate::{
    algorithm::{SlidingLog, Standing},
    decision::Outcome,
    limiter::{Blocks, Store},
    table::{Hash, rule::Ask},
    time::nanos_up,
};
use std::{sync::Arc, time::Duration};

/// One ladder of blocks.
pub(super) struct Penalty {
    pub(super) name: Box<str>,
    pub(super) key: KeyParts,
    /// The limits whose denials count; `None`: all.
    pub(super) counts: Option<Vec<usize>>,
    /// Denials, exact in every window.
    pub(super) denials: Arc<Store<SlidingLog>>,
    /// How many of them in how long.
    pub(super) quota: [u64; 3],
    pub(super) blocks: Blocks,
    /// `None`: everywhere.
    pub(super) covers: Option<RouteTable>,
    pub(super) status: u16,
    /// Keys, as the file has it.
    pub(super) capacity: usize,
}

impl Penalty {
    /// Counts a denial; enough of them begin the next block, and are counted anew.
    fn denied(&self, hash: Hash, moment: Moment) {
        let now = moment.monotonic();
        // Where it does not cover everything, keys are denied while they are blocked.
        if self.blocks.look(hash, now).is_blocked() {
            return;
        }
        let rule = self.denials.room().with_numbers(self.quota);
        let ask = |ask| {
            let request = self.denials.request(1, now).asking(ask);
            let found = self.denials.look_up(hash);
            self.denials.ask(&rule, found, request, now, &|| now)
        };
        let counted = ask(Ask::Charge);
        if counted.is_accounted() && (counted.is_denied() || counted.remaining() == 0) {
            self.blocks.strike(hash, now);
            let _ = ask(Ask::Forget);
        }
    }
}

impl Policy {
    /// Whether a penalty blocks the key of this request: then that is the decision.
    pub(super) fn is_blocked<'p>(
        &'p self,
        source: &Source<'_, '_>,
        question: Question<'_>,
        decision: &mut PolicyDecision<'p>,
    ) -> bool {
        let mut longest = None;
        for penalty in &self.penalties {
            let covers = penalty.covers.as_ref();
            if covers.is_some_and(|covers| covers.find(question, |_| true).is_none()) {
                continue;
            }
            // Who cannot be told from others is not blocked for them.
            let Ok(hash) = penalty.key.hash(&self.hasher, &self.attributes, source) else {
                continue;
            };
            let left = match penalty.blocks.look(hash, decision.moment.monotonic()) {
                Standing::Free => continue,
                Standing::Blocked { left, .. } => left,
                Standing::UntilLifted { .. } => u64::MAX,
            };
            // Of several blocks, the one that ends last.
            if longest.is_none_or(|(longest, _)| left > longest) {
                longest = Some((left, penalty));
            }
        }
        let Some((left, penalty)) = longest else { return false };
        (decision.outcome, decision.retry_after) = match left {
            u64::MAX => (Outcome::Never, None),
            left => (Outcome::Later, Some(Duration::from_nanos(nanos_up(left)))),
        };
        decision.cause = Cause::Blocked(&penalty.name);
        decision.status = Some(penalty.status);
        true
    }

    /// Counts a denial by the penalties that count one of the limits that said no.
    pub(super) fn count_denial(&self, source: &Source<'_, '_>, decision: &PolicyDecision<'_>) {
        for penalty in &self.penalties {
            let counts =
                |limit: &usize| penalty.counts.as_ref().is_none_or(|counts| counts.contains(limit));
            let counted = decision
                .asked
                .iter()
                .any(|asked| asked.violated && !asked.shadow && counts(&asked.limit));
            if !counted {
                continue;
            }
            if let Ok(hash) = penalty.key.hash(&self.hasher, &self.attributes, source) {
                penalty.denied(hash, decision.moment);
            }
        }
    }

    /// Ends the block of that penalty that holds for the key of `request`, and starts its
    /// ladder over. Whether there was one.
    ///
    /// ```
    /// use tollgate::policy::{Cause, Policy};
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '1/h'\n\
    /// #      [[penalty]]\nname = 'ladder'\nkey = ['user']\ndenials = 2\nwithin = '1 h'\n\
    /// #      blocks = ['until lifted']\n",
    /// # )?;
    /// // `api` is one an hour; after two denials `ladder` blocks until it is lifted.
    /// let ann = policy.request("GET", "/").attribute("user", "ann");
    /// let causes = [(); 4].map(|()| policy.check(&ann).cause());
    /// assert_eq!(causes[2..], [Cause::Limits, Cause::Blocked("ladder")]);
    ///
    /// assert!(policy.unblock("ladder", &ann));
    /// assert!(!policy.unblock("ladder", &ann)); // there is no block any more
    /// assert_eq!(policy.check(&ann).cause(), Cause::Limits); // denied, but not blocked
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unblock(&self, penalty: &str, request: &super::Request<'_>) -> bool {
        self.unblock_at(penalty, request, self.present())
    }

    /// As [`unblock`](Self::unblock), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '1/h'\n\
    /// #      [[penalty]]\nname = 'ladder'\nkey = ['user']\ndenials = 1\nwithin = '1 h'\n\
    /// #      blocks = ['10 min']\n",
    /// # )?;
    /// // The first denial by `api` blocks for ten minutes.
    /// let (ann, start) = (policy.request("GET", "/").attribute("user", "ann"), policy.now());
    /// let after = |minutes: u64| start.after(Duration::from_secs(60 * minutes));
    /// for _ in 0..2 {
    ///     let _ = policy.check_at(&ann, start);
    /// }
    /// assert!(!policy.unblock_at("ladder", &ann, after(11))); // it had ended by itself
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unblock_at(&self, penalty: &str, request: &super::Request<'_>, moment: Moment) -> bool {
        let Some(penalty) = self.penalty(penalty) else { return false };
        self.with_question(request, |question| {
            let source = Source::apart(request, question);
            let hash = penalty.key.hash(&self.hasher, &self.attributes, &source);
            hash.is_ok_and(|hash| penalty.blocks.lift(hash, moment.monotonic()).is_blocked())
        })
    }
}
