//! What decides: a policy, or a limiter by a key. And what a request was charged by it.

use super::{
    extract::{Extractor, Head},
    held::Leases,
    mismatch::Compare,
    observe::{Decided, Why},
};
use crate::{
    decision::{Charge, Decision, Outcome},
    headers::{Answer, Dialect, FieldNames, Reported, unix_now},
    limiter::{Algorithm, KeyedLimiter},
    policy::{Cause, KeptDecision, LivePolicy, PolicyDecision},
    time::{Clock, Nanos},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

/// What can stand before a service. It cannot be implemented elsewhere.
///
/// ```
/// use tollgate::{KeyedLimiter, tower::{Gate, Limit, LimitLayer, header}};
/// use tower_layer::Layer;
///
/// /// Before any service, whatever decides.
/// fn watched<S>(service: S, layer: &LimitLayer<impl Gate>) -> Limit<S, impl Gate> {
///     layer.clone().shadow(true).layer(service)
/// }
/// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
/// let watched = watched("a service", &LimitLayer::limiter(limiter, header("x-key")));
/// assert_eq!(watched.into_inner(), "a service");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(private_bounds)] // that is what keeps it to this crate
pub trait Gate: Decide {}

pub(super) trait Decide: Compare + Send + Sync + 'static {
    /// Decides, and tells whoever observes it. What is kept of a request that passes goes
    /// into `passed`, where it stays: it is too large to be handed on.
    fn decide(
        self: &Arc<Self>,
        head: &Head<'_>,
        wanted: Wanted,
        observe: Observe<'_>,
        passed: &mut Passed,
    ) -> Said;
}

/// Who is told of a decision, if anybody is.
pub(super) type Observe<'o> = Option<&'o mut dyn FnMut(&Decided<'_>)>;

/// What there is to be of a request that passes.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The header fields of its answer.
    pub(super) fields: bool,
    /// What it was charged, which may be corrected.
    pub(super) charge: bool,
}

pub(super) enum Said {
    /// It may pass.
    Pass,
    /// It may not.
    Deny(Box<Denial>),
    /// It lacks what would have to be known: so this is said, unless all such pass.
    Lacking(Box<Denial>),
}

/// Header fields that wait for their answer. Of one that passes there are three at most.
pub(super) type Fields = SmallVec<[(HeaderName, HeaderValue); 3]>;

/// What is kept of a request that passes.
#[derive(Default)]
pub(super) struct Passed {
    /// As the decision has them.
    pub(super) fields: Fields,
    /// What it was charged.
    pub(super) charged: Option<Box<dyn Charged>>,
    /// What it holds.
    pub(super) leases: Option<Arc<Leases>>,
}

/// What is sent instead of the service's answer.
pub(super) struct Denial {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) body: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

/// What a request that passed was charged.
pub(super) trait Charged: Send + Sync {
    /// Writes the header fields of its answer: whether there are any.
    fn fields(&mut self, into: &mut HeaderMap) -> bool;
    fn refund(&mut self);
    fn settle(&mut self, dimension: &str, units: u64);
}

pub(super) type Cost = Arc<dyn for<'r> Fn(&Head<'r>) -> Option<u64> + Send + Sync>;

/// A policy before a service: see [`LimitLayer::policy`](super::LimitLayer::policy).
///
/// ```
/// use tollgate::{policy::{Policy, PolicyError}, tower::{LimitLayer, PolicyGate, header}};
///
/// fn limits(file: &str) -> Result<LimitLayer<PolicyGate>, PolicyError> {
///     Ok(LimitLayer::policy(Policy::from_toml(file)?).attribute("org", header("x-org")))
/// }
/// let one = "[attribute.org]\n[[limit]]\nname = 'api'\nkey = ['org']\nquota = '9/s'";
/// assert!(limits(one).is_ok());
/// assert!(limits("[[limit]]").is_err());
/// ```
#[derive(Clone)]
pub struct PolicyGate {
    pub(super) policy: Arc<LivePolicy>,
    pub(super) attributes: Vec<(Box<str>, Extractor)>,
    /// Those that requests never have: nobody looks for them.
    pub(super) absent: Vec<Box<str>>,
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
    fn decide(
        self: &Arc<Self>,
        head: &Head<'_>,
        wanted: Wanted,
        observe: Observe<'_>,
        passed: &mut Passed,
    ) -> Said {
        let policy = self.policy.load();
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
            request.set_host(host);
        }
        for (name, value) in &given {
            if let Some(id) = policy.attribute_id(name) {
                request.set_attribute(id, value);
            }
        }
        for (dimension, cost) in &self.costs {
            if let Some((id, units)) = policy.dimension_id(dimension).zip(cost(head)) {
                request.set_cost(id, units);
            }
        }
        let mut decision = policy.check(&request);
        let denial = decision.is_denied().then(|| {
            let retry_after = decision.retry_after();
            decision.answered(|dialect, names, answer| {
                (dialect.status(answer), Denial::of(dialect, names, answer, retry_after))
            })
        });
        if let Some(observe) = observe {
            let status = denial.as_ref().and_then(|(status, _)| *status);
            let unless_it_panics = Releasing(&mut decision);
            observe(&Decided::of_policy(head, unless_it_panics.0, status));
            std::mem::forget(unless_it_panics);
        }
        if let Some((_, denial)) = denial {
            let lacking = matches!(decision.cause(), Cause::Missing { .. });
            return if lacking { Said::Lacking(denial) } else { Said::Deny(denial) };
        }
        passed.leases = decision.take_leases().map(Leases::new);
        if wanted.fields {
            decision.http_fields(|name, value| passed.fields.push((name, value)));
        }
        if wanted.charge
            && let Some(kept) = decision.keep_loaded(&policy)
        {
            passed.charged = Some(Box::new(kept));
        }
        Said::Pass
    }
}

impl Denial {
    fn of(
        dialect: &Dialect,
        names: &FieldNames,
        answer: &Answer<'_>,
        retry_after: Option<Duration>,
    ) -> Box<Self> {
        let (mut fields, mut text) = (HeaderMap::new(), String::new());
        dialect.http_fields(names, answer, |name, value| _ = fields.insert(name, value));
        let body = dialect.body(answer, &mut text).then_some(text);
        let status = dialect.status(answer).and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        Box::new(Self { status, fields, body, retry_after })
    }
}

impl Charged for KeptDecision {
    fn fields(&mut self, into: &mut HeaderMap) -> bool {
        let mut any = false;
        self.http_fields(|name, value| {
            into.insert(name, value);
            any = true;
        });
        any
    }

    fn refund(&mut self) {
        // The method by itself is of one lifetime.
        #[allow(clippy::redundant_closure_for_method_calls)]
        self.with(|decision| decision.refund());
    }

    fn settle(&mut self, dimension: &str, units: u64) {
        self.with(|decision| decision.settle(dimension, units));
    }
}

/// A limiter before a service: see [`LimitLayer::limiter`](super::LimitLayer::limiter).
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Gcra, KeyedLimiter, MonotonicClock, tower::{LimitLayer, LimiterGate, header}};
///
/// struct Limits {
///     limiter: Arc<KeyedLimiter<Gcra>>,
///     layer: LimitLayer<LimiterGate<Gcra, MonotonicClock>>,
/// }
/// let limiter = Arc::new(KeyedLimiter::gcra("60/min".parse()?).try_build()?);
/// let layer = LimitLayer::limiter(limiter.clone(), header("x-key"));
/// let limits = Limits { limiter, layer };
/// # let _ = (&limits.limiter, &limits.layer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LimiterGate<A, C> {
    pub(super) limiter: Arc<KeyedLimiter<A, C>>,
    pub(super) key: Extractor,
    pub(super) told: Arc<Told>,
    pub(super) cost: Option<Cost>,
}

/// How a limiter's answers are told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) name: Box<str>,
    dialect: Dialect,
    names: FieldNames,
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
    fn decide(
        self: &Arc<Self>,
        head: &Head<'_>,
        wanted: Wanted,
        observe: Observe<'_>,
        passed: &mut Passed,
    ) -> Said {
        let name = &*self.told.name;
        let units = self.cost.as_ref().map_or(Some(1), |cost| cost(head));
        let Some((key, units)) = self.key.extract(head).zip(units) else {
            if let Some(observe) = observe {
                observe(&Decided::new(head, Outcome::Never, Why::Missing(name), Some(403)));
            }
            return Said::Lacking(self.told.denial(&Answer::refused(name, &[], unix_now())));
        };
        let decision = self.limiter.check_n(&key[..], units);
        if decision.is_denied() {
            let limits = [Reported::from_decision(name, &decision)];
            let answer = Answer::new(&limits, self.told.now(true));
            if let Some(observe) = observe {
                let status = self.told.dialect.status(&answer);
                let decided = Decided::new(head, decision.outcome(), Why::Limit(name), status);
                observe(&Decided { retry_after: decision.retry_after(), ..decided });
            }
            return Said::Deny(self.told.denial(&answer));
        }
        if let Some(observe) = observe {
            observe(&Decided::new(head, Outcome::Allowed, Why::Limits, None));
        }
        if wanted.fields {
            self.told.fields(&decision, |name, value| passed.fields.push((name, value)));
        }
        if wanted.charge {
            let (gate, key, charge) = (self.clone(), SmallVec::from_slice(&key), decision.charge());
            passed.charged = Some(Box::new(Unit { gate, key, decision, charge }));
        }
        Said::Pass
    }
}

impl Told {
    pub(super) fn new(name: &str, dialect: Dialect) -> Arc<Self> {
        Arc::new(Self { name: name.into(), names: FieldNames::of(&dialect), dialect })
    }

    /// The time since 1970, where it is told of: that clock takes longer to read than a
    /// limiter to decide.
    fn now(&self, denied: bool) -> Nanos {
        if self.dialect.reads_wall(denied) { unix_now() } else { Nanos::ZERO }
    }

    fn fields(&self, decision: &Decision, each: impl FnMut(HeaderName, HeaderValue)) {
        if self.dialect.tells_of_all() {
            let limits = [Reported::from_decision(&self.name, decision)];
            let answer = Answer::new(&limits, self.now(false));
            self.dialect.http_fields(&self.names, &answer, each);
        }
    }

    fn denial(&self, answer: &Answer<'_>) -> Box<Denial> {
        Denial::of(&self.dialect, &self.names, answer, answer.retry_after())
    }
}

/// What a request was charged by a limiter.
struct Unit<A, C> {
    gate: Arc<LimiterGate<A, C>>,
    /// As long as most are, it takes no memory of its own.
    key: SmallVec<[u8; 32]>,
    decision: Decision,
    charge: Option<Charge>,
}

impl<A: Algorithm + Send + Sync, C: Clock + 'static> Charged for Unit<A, C> {
    fn fields(&mut self, into: &mut HeaderMap) -> bool {
        let mut any = false;
        self.gate.told.fields(&self.decision, |name, value| {
            into.insert(name, value);
            any = true;
        });
        any
    }

    fn refund(&mut self) {
        if let Some(charge) = self.charge.take() {
            self.decision = self.gate.limiter.key(&self.key[..]).refund(charge);
        }
    }

    fn settle(&mut self, dimension: &str, units: u64) {
        if let Some(charge) = self.charge.as_mut().filter(|_| *dimension == *self.gate.told.name) {
            self.decision = self.gate.limiter.key(&self.key[..]).settle(charge, units);
        }
    }
}
