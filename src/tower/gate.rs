//! What decides: a policy, or a limiter by a key. And what a request holds of it.

use super::{
    extract::{Extractor, Head},
    observe::{Decided, Why},
};
use crate::{
    decision::{Charge, Decision, Outcome},
    headers::{Answer, Dialect, Reported, unix_now},
    limiter::{Algorithm, KeyedLimiter},
    policy::{Cause, KeptDecision, LivePolicy, PolicyDecision},
    time::Clock,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

/// What can stand before a service. It cannot be implemented elsewhere.
#[allow(private_bounds)] // that is what keeps it to this crate
pub trait Gate: Decide {}

pub(super) trait Decide: Send + Sync + 'static {
    fn decide(&self, head: &Head<'_>, observe: &mut dyn FnMut(&Decided<'_>)) -> Said;
}

pub(super) enum Said {
    /// It may pass, and holds this.
    Pass(Box<dyn Held>),
    /// It may not.
    Deny(Denial),
    /// It lacks what would have to be known: so this is said, unless all such pass.
    Lacking(Denial),
}

/// What is sent instead of the service's answer.
pub(super) struct Denial {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) body: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

/// What a request that passed was charged, and holds.
pub(super) trait Held: Send {
    /// The header fields of its answer.
    fn fields(&mut self, into: &mut HeaderMap);
    /// Gives back what was charged; what it holds while it lasts it holds on.
    fn refund(&mut self);
    fn release(&mut self);
    fn settle(&mut self, dimension: &str, units: u64);
}

pub(super) type Cost = Arc<dyn for<'r> Fn(&Head<'r>) -> Option<u64> + Send + Sync>;

/// A policy before a service: see [`LimitLayer::policy`](super::LimitLayer::policy).
#[derive(Clone)]
pub struct PolicyGate {
    pub(super) policy: Arc<LivePolicy>,
    pub(super) attributes: Vec<(Box<str>, Extractor)>,
    pub(super) costs: Vec<(Box<str>, Cost)>,
}

/// An attribute's name and what a request has for it.
type Given<'g, 'r> = (&'g str, Cow<'r, [u8]>);

impl Gate for PolicyGate {}

impl fmt::Debug for PolicyGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyGate").field(&self.policy).finish()
    }
}

/// Ends the leases of a decision if a hook panics.
struct Releasing<'d, 'p>(&'d mut PolicyDecision<'p>);

impl Drop for Releasing<'_, '_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Decide for PolicyGate {
    fn decide(&self, head: &Head<'_>, observe: &mut dyn FnMut(&Decided<'_>)) -> Said {
        let policy = self.policy.load_shared();
        let given: SmallVec<[Given<'_, '_>; 8]> = self
            .attributes
            .iter()
            .filter_map(|(name, extractor)| Some((&**name, extractor.extract(head)?)))
            .collect();
        // Of a CONNECT there is no path.
        let target = match head.uri.path() {
            "" => "/",
            path => path,
        };
        let mut request = policy.request(head.method.as_str(), target);
        if let Some(host) = head.host() {
            request = request.host(host);
        }
        for (name, value) in &given {
            request = request.attribute(name, value);
        }
        for (dimension, cost) in &self.costs {
            if let Some(units) = cost(head) {
                request = request.cost(dimension, units);
            }
        }
        let mut decision = policy.check(&request);
        let status = decision.status();
        let unless_it_panics = Releasing(&mut decision);
        observe(&Decided::of_policy(head, unless_it_panics.0, status));
        std::mem::forget(unless_it_panics);
        let lacking = matches!(decision.cause(), Cause::Missing { .. });
        if decision.is_denied() {
            let denial = policy_denial(&decision, status);
            return if lacking { Said::Lacking(denial) } else { Said::Deny(denial) };
        }
        match decision.keep(&policy) {
            Some(kept) => Said::Pass(Box::new(kept)),
            // It is this policy's own.
            None => Said::Pass(Box::new(Nothing)),
        }
    }
}

fn policy_denial(decision: &PolicyDecision<'_>, status: Option<u16>) -> Denial {
    let (mut fields, mut text) = (HeaderMap::new(), String::new());
    decision.fields(&mut text, |name, value| put(&mut fields, name, value));
    let body = decision.body(&mut text).then_some(text);
    let retry_after = decision.retry_after();
    Denial { status: status_of(status), fields, body, retry_after }
}

fn status_of(status: Option<u16>) -> StatusCode {
    status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::TOO_MANY_REQUESTS)
}

/// Sets a field, in place of the service's own.
fn put(fields: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        fields.insert(name, value);
    }
}

impl Held for KeptDecision {
    fn fields(&mut self, into: &mut HeaderMap) {
        self.with(|decision| {
            decision.fields(&mut String::new(), |name, value| put(into, name, value));
        });
    }

    fn refund(&mut self) {
        // The method by itself is of one lifetime.
        #[allow(clippy::redundant_closure_for_method_calls)]
        self.with(|decision| decision.refund_charges());
    }

    fn release(&mut self) {
        self.with(|decision| {
            decision.release();
        });
    }

    fn settle(&mut self, dimension: &str, units: u64) {
        self.with(|decision| decision.settle(dimension, units));
    }
}

/// What passes without being counted holds nothing.
pub(super) struct Nothing;

impl Held for Nothing {
    fn fields(&mut self, _: &mut HeaderMap) {}
    fn refund(&mut self) {}
    fn release(&mut self) {}
    fn settle(&mut self, _: &str, _: u64) {}
}

/// A limiter before a service: see [`LimitLayer::limiter`](super::LimitLayer::limiter).
pub struct LimiterGate<A, C> {
    pub(super) limiter: Arc<KeyedLimiter<A, C>>,
    pub(super) key: Extractor,
    pub(super) told: Arc<Told>,
    pub(super) cost: Option<Cost>,
}

/// How a limiter's answers are told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) name: Box<str>,
    pub(super) dialect: Dialect,
}

// Derived, it would want clones of what it shares.
impl<A, C> Clone for LimiterGate<A, C> {
    fn clone(&self) -> Self {
        let (limiter, told) = (self.limiter.clone(), self.told.clone());
        Self { limiter, key: self.key.clone(), told, cost: self.cost.clone() }
    }
}

impl<A: Algorithm + Send + Sync, C: Clock + 'static> Gate for LimiterGate<A, C> {}

impl<A: Algorithm, C> fmt::Debug for LimiterGate<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LimiterGate").field(&self.limiter).finish()
    }
}

impl<A: Algorithm + Send + Sync, C: Clock + 'static> Decide for LimiterGate<A, C> {
    fn decide(&self, head: &Head<'_>, observe: &mut dyn FnMut(&Decided<'_>)) -> Said {
        let name = &*self.told.name;
        let units = self.cost.as_ref().map_or(Some(1), |cost| cost(head));
        let Some((key, units)) = self.key.extract(head).zip(units) else {
            observe(&Decided::new(head, Outcome::Never, Why::Missing(name), Some(403)));
            return Said::Lacking(self.told.denial(&Answer::refused(name, &[], unix_now())));
        };
        let decision = self.limiter.check_n(&key[..], units);
        let denied = decision.is_denied();
        let limits = [Reported::from_decision(name, &decision)];
        let answer = Answer::new(&limits, unix_now());
        let status = denied.then(|| self.told.dialect.status(&answer)).flatten();
        let mut decided = Decided::new(head, decision.outcome(), Why::Limit(name), status);
        decided.retry_after = decision.retry_after();
        if !denied {
            decided.why = Why::Limits;
        }
        observe(&decided);
        if denied {
            return Said::Deny(self.told.denial(&answer));
        }
        let charge = decision.charge();
        let (limiter, told, key) = (self.limiter.clone(), self.told.clone(), key.into_owned());
        Said::Pass(Box::new(Unit { limiter, told, key, decision, charge }))
    }
}

impl Told {
    fn denial(&self, answer: &Answer<'_>) -> Denial {
        let (mut fields, mut text) = (HeaderMap::new(), String::new());
        self.dialect.fields(answer, &mut text, |name, value| put(&mut fields, name, value));
        let body = self.dialect.body(answer, &mut text).then_some(text);
        let status = status_of(self.dialect.status(answer));
        Denial { status, fields, body, retry_after: answer.retry_after() }
    }
}

/// What a request was charged by a limiter.
struct Unit<A, C> {
    limiter: Arc<KeyedLimiter<A, C>>,
    told: Arc<Told>,
    key: Vec<u8>,
    decision: Decision,
    charge: Option<Charge>,
}

impl<A: Algorithm + Send + Sync, C: Clock + 'static> Held for Unit<A, C> {
    fn fields(&mut self, into: &mut HeaderMap) {
        let limits = [Reported::from_decision(&self.told.name, &self.decision)];
        let answer = Answer::new(&limits, unix_now());
        let mut text = String::new();
        self.told.dialect.fields(&answer, &mut text, |name, value| put(into, name, value));
    }

    fn refund(&mut self) {
        if let Some(charge) = self.charge.take() {
            self.decision = self.limiter.key(&self.key).refund(charge);
        }
    }

    fn release(&mut self) {}

    fn settle(&mut self, dimension: &str, units: u64) {
        if let Some(charge) = self.charge.as_mut().filter(|_| *dimension == *self.told.name) {
            self.decision = self.limiter.key(&self.key).settle(charge, units);
        }
    }
}
