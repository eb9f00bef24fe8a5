//! [`LimitLayer`]: what stands before a service, and how it is said.

use super::{
    extract::{Extractor, Head},
    gate::{Gate, LimiterGate, PolicyGate, Told},
    observe::Decided,
    service::Limit,
};
use crate::{
    headers::{Dialect, Fields},
    limiter::{Algorithm, KeyedLimiter},
    policy::{LivePolicy, Policy},
    time::Clock,
};
use http::response::Parts;
use std::{fmt, sync::Arc};
use tower_layer::Layer;

pub(super) type Hook = Arc<dyn Fn(&Decided<'_>) + Send + Sync>;
type Judge = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
type Measure = Arc<dyn Fn(&Parts) -> Option<u64> + Send + Sync>;

/// Whether calls of gRPC are told from others.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Grpc {
    #[default]
    Served,
    Unknown,
}

/// What does not depend on what decides.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub(super) shadow: bool,
    pub(super) fail_open: bool,
    pub(super) grpc: Grpc,
    pub(super) refund: Option<Judge>,
    pub(super) refund_errors: bool,
    pub(super) settle: Vec<(Box<str>, Measure)>,
    pub(super) settle_bytes: Option<Box<str>>,
    pub(super) hooks: Vec<Hook>,
}

impl Options {
    /// Whether what a request was charged may be corrected when its answer is there, or over.
    pub(super) fn corrects(&self) -> bool {
        let refund = self.refund_errors || self.refund.is_some();
        refund || !self.settle.is_empty() || self.settle_bytes.is_some()
    }
}

/// Puts a [policy](Self::policy) or a [limiter](Self::limiter) before a service.
///
/// One layer may be put before any number of services: they share its limits. So do its
/// clones, whatever else each of them is told; services keep what it was told before.
///
/// ```
/// use tollgate::{policy::Policy, tower::{LimitLayer, header}};
/// use tower_layer::Layer;
///
/// let policy = Policy::from_toml(
///     r#"
///     [attribute.org]
///     [[limit]]
///     name = "api"
///     key = ["org"]
///     quota = "10/min"
///     "#,
/// )?;
/// let layer = LimitLayer::policy(policy).attribute("org", header("x-org"));
/// // Of axum: `Router::new().layer(layer)`. Of any tower service:
/// # let service = ();
/// let limited = layer.layer(service);
/// # let _ = limited;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a layer limits nothing until it is before a service"]
pub struct LimitLayer<G> {
    // Shared by its services and clones; copied if it is told more after that.
    gate: Arc<G>,
    options: Arc<Options>,
}

impl<G> Clone for LimitLayer<G> {
    fn clone(&self) -> Self {
        Self { gate: self.gate.clone(), options: self.options.clone() }
    }
}

impl LimitLayer<PolicyGate> {
    /// Every request is decided by this policy, told what the
    /// [attributes](Self::attribute) and [costs](Self::cost) say of it, and its method,
    /// host and path. Answers, allowed or denied, are in the policy's dialect.
    ///
    /// A [`Policy`], a [`LivePolicy`], or an `Arc` of that, which others may
    /// [replace](LivePolicy::replace) under traffic:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tollgate::{policy::{LivePolicy, Policy, PolicyFile}, tower::LimitLayer};
    ///
    /// let file = |text: &str| PolicyFile::parse("policy.toml", text.as_bytes());
    /// let old = file("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// let live = Arc::new(LivePolicy::new(Policy::from_file(&old)?));
    /// let layer = LimitLayer::policy(live.clone());
    /// // Later, of whatever watches the file:
    /// live.replace(&file("[[limit]]\nname = 'api'\nkey = []\nquota = '4/s'\n")?)?;
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy(policy: impl IntoLive) -> Self {
        let (attributes, absent, costs) = (Vec::new(), Vec::new(), Vec::new());
        Self::of(PolicyGate { policy: policy.into_live(), attributes, absent, costs })
    }

    /// An attribute of the policy, and where it is in a request. What the policy does
    /// not name is passed over; what a request does not have is missing, and answered as
    /// each limit says (`missing` in the file). Of several extractors for one attribute, the last
    /// that finds it counts. Whether the policy and the layer mean the same,
    /// [`checked`](Self::checked) tells.
    ///
    /// ```
    /// # use tollgate::{policy::Policy, tower::{LimitLayer, extension, header, peer}};
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// #[derive(Clone)]
    /// struct Customer { id: String }
    ///
    /// let layer = LimitLayer::policy(policy)
    ///     .attribute("ip", peer())
    ///     .attribute("x_forwarded_for", header("x-forwarded-for"))
    ///     .attribute("customer", extension(|customer: &Customer| customer.id.clone()));
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attribute(mut self, name: &str, from: Extractor) -> Self {
        Arc::make_mut(&mut self.gate).attributes.push((name.into(), from));
        self
    }

    /// An attribute of the policy that requests of this service never have, such as one that
    /// only other services supply. It is missing from all of them, as it is where nothing is said
    /// of it; but then [`checked`](Self::checked) takes it for forgotten. If it is supplied all the
    /// same, that counts.
    ///
    /// ```
    /// use tollgate::{policy::Policy, tower::{LimitLayer, header}};
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     [attribute.org]
    ///     [attribute.user]
    ///     [[limit]]
    ///     name = "org"
    ///     key = ["org"]
    ///     quota = "100/min"
    ///     [[limit]]
    ///     name = "user"
    ///     key = ["user"]
    ///     quota = "10/min"
    ///     missing = "skip"
    ///     "#,
    /// )?;
    /// // Machines of customers, without a user.
    /// let layer = LimitLayer::policy(policy).attribute("org", header("x-org"));
    /// assert!(layer.clone().checked().is_err());
    /// let layer = layer.without("user").checked()?;
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn without(mut self, attribute: &str) -> Self {
        Arc::make_mut(&mut self.gate).absent.push(attribute.into());
        self
    }

    /// What a request costs in a dimension that limits count.
    ///
    /// ```
    /// # use tollgate::{policy::Policy, tower::{LimitLayer, content_length}};
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// let layer = LimitLayer::policy(policy)
    ///     .cost("bytes", content_length)
    ///     .cost("tokens", |_| Some(500)); // settled for when the answer is there
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cost<F>(mut self, dimension: &str, units: F) -> Self
    where
        F: for<'r> Fn(&Head<'r>) -> Option<u64> + Send + Sync + 'static,
    {
        Arc::make_mut(&mut self.gate).costs.push((dimension.into(), Arc::new(units)));
        self
    }
}

impl<A: Algorithm + Send + Sync, C: Clock + 'static> LimitLayer<LimiterGate<A, C>> {
    /// Every request takes a unit of this limiter, by its key. Answers have
    /// `X-RateLimit-*`, unless [`dialect`](Self::dialect) says other. The limit's name is
    /// `default`, also for [`settle`](Self::settle). Whether the key can be found and the name is
    /// this one, [`checked`](Self::checked) tells.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, tower::{LimitLayer, forwarded, peer}};
    ///
    /// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
    /// let layer = LimitLayer::limiter(limiter, peer().network(32, 64));
    /// # let _ = layer;
    /// // Behind one proxy of ours:
    /// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
    /// let client = forwarded("x-forwarded-for", 1).network(32, 64);
    /// let layer = LimitLayer::limiter(limiter, client);
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limiter(limiter: impl Into<Arc<KeyedLimiter<A, C>>>, key: Extractor) -> Self {
        let told = Told::new("default", Dialect::new(Fields::XRateLimit));
        Self::of(LimiterGate { limiter: limiter.into(), key, told, cost: None })
    }

    /// How answers are written, and what they call the limit.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, headers::{Dialect, Fields}, tower::{LimitLayer, peer}};
    ///
    /// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
    /// let dialect = Dialect::new(Fields::RateLimit).with_body(r#"{"error": "slow down"}"#)?;
    /// let layer = LimitLayer::limiter(limiter, peer().network(32, 64)).dialect("api", dialect);
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dialect(mut self, name: &str, dialect: Dialect) -> Self {
        Arc::make_mut(&mut self.gate).told = Told::new(name, dialect);
        self
    }

    /// So many units for a request, instead of one. Where it is not known, the request
    /// lacks it as it might lack the key. It is settled under the limit's name.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, tower::{LimitLayer, content_length, peer}};
    /// let limiter = KeyedLimiter::gcra("1000000/min".parse()?).try_build()?;
    /// let layer = LimitLayer::limiter(limiter, peer()).units(content_length);
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn units<F>(mut self, units: F) -> Self
    where
        F: for<'r> Fn(&Head<'r>) -> Option<u64> + Send + Sync + 'static,
    {
        Arc::make_mut(&mut self.gate).cost = Some(Arc::new(units));
        self
    }
}

impl<G> LimitLayer<G> {
    fn of(gate: G) -> Self {
        Self { gate: Arc::new(gate), options: Arc::default() }
    }

    pub(super) fn gate(&self) -> &G {
        &self.gate
    }

    /// The dimensions that answers are settled for in, by their head and by their bytes.
    pub(super) fn settled(&self) -> Vec<&str> {
        let Options { settle, settle_bytes, .. } = &*self.options;
        settle.iter().map(|(dimension, _)| &**dimension).chain(settle_bytes.as_deref()).collect()
    }

    fn with(mut self, tell: impl FnOnce(&mut Options)) -> Self {
        tell(Arc::make_mut(&mut self.options));
        self
    }

    /// Decides and [tells](Self::observe), but denies nothing, and adds no header fields: to
    /// see what it would do. What is allowed is charged, as it would be.
    ///
    /// ```
    /// # use tollgate::{policy::Policy, tower::LimitLayer};
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// let layer = LimitLayer::policy(policy).shadow(true).observe(|decided| {
    ///     if decided.outcome != tollgate::Outcome::Allowed {
    ///         println!("{:?} would deny {}", decided.why, decided.head.uri);
    ///     }
    /// });
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shadow(self, shadow: bool) -> Self {
        self.with(|options| options.shadow = shadow)
    }

    /// Requests that lack what a limit needs to know (an attribute, a key, a cost) pass,
    /// uncounted by any limit. Unless this is said they are denied, by 403 or as the policy says;
    /// where each limit is to be asked for itself, leave this and use `missing` in the file.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, tower::{LimitLayer, header}};
    /// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
    /// let layer = LimitLayer::limiter(limiter, header("x-key")).fail_open(true);
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fail_open(self, open: bool) -> Self {
        self.with(|options| options.fail_open = open)
    }

    /// Whether who sends `content-type: application/grpc` is answered denials as gRPC has them:
    /// status 200, `grpc-status` and `grpc-retry-pushback-ms`. It is, unless this is said: a
    /// client of gRPC could make nothing of a 429 with a body. But anybody may send that: where
    /// no gRPC is served, say `false`, and denials have the policy's status and body for all.
    ///
    /// ```
    /// # use http::{Request, Response, StatusCode};
    /// # use tollgate::{KeyedLimiter, tower::{LimitLayer, header}};
    /// # use tower::{ServiceExt, service_fn};
    /// # use tower_layer::Layer;
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
    /// let layer = LimitLayer::limiter(limiter, header("x-key")).grpc(false);
    /// # let hello = |_| async { Ok::<_, std::io::Error>(Response::new("hello".to_owned())) };
    /// let service = layer.layer(service_fn(hello));
    /// // Without a key, and so denied:
    /// let request = Request::post("/").header("content-type", "application/grpc").body(())?;
    /// assert_eq!(service.oneshot(request).await?.status(), StatusCode::FORBIDDEN);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grpc(self, grpc: bool) -> Self {
        self.with(|options| options.grpc = if grpc { Grpc::Served } else { Grpc::Unknown })
    }

    /// Gives back what a request was charged if the service's answer is one of these: not
    /// modified, or not found, say. Before its body; header fields tell of it. Leases it
    /// holds until the body has ended all the same.
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use tollgate::{policy::Policy, tower::LimitLayer};
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// let layer = LimitLayer::policy(policy)
    ///     .refund_if(|answer| answer.status == StatusCode::NOT_MODIFIED);
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refund_if(self, judge: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|options| options.refund = Some(Arc::new(judge)))
    }

    /// Gives back what a request was charged if the service fails: by a status of 500 and
    /// more, or by an error instead of an answer. Beside [`refund_if`](Self::refund_if). A denial by
    /// a layer inside is no failure.
    ///
    /// Calls of gRPC fail by status 200. Of those that fail before their first message the head has
    /// `grpc-status`, by which `refund_if` may judge: 13 is an internal error, 8 the status of a denial.
    /// Of others it is in the trailers, after which nothing is given back.
    ///
    /// ```
    /// # use tollgate::{policy::Policy, tower::LimitLayer};
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// let layer = LimitLayer::policy(policy)
    ///     .refund_errors(true)
    ///     .refund_if(|answer| answer.headers.get("grpc-status").is_some_and(|code| code == "13"));
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refund_errors(self, refund: bool) -> Self {
        self.with(|options| options.refund_errors = refund)
    }

    /// Corrects an estimate by what the answer's head says that the request cost in a
    /// dimension: see [`PolicyDecision::settle`](crate::policy::PolicyDecision::settle).
    /// `None` leaves it.
    ///
    /// ```
    /// # use tollgate::{policy::Policy, tower::LimitLayer};
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// let layer = LimitLayer::policy(policy)
    ///     .cost("tokens", |_| Some(500))
    ///     .settle("tokens", |answer| answer.headers.get("x-tokens")?.to_str().ok()?.parse().ok());
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle<F>(self, dimension: &str, measure: F) -> Self
    where
        F: Fn(&Parts) -> Option<u64> + Send + Sync + 'static,
    {
        self.with(|options| options.settle.push((dimension.into(), Arc::new(measure))))
    }

    /// Corrects an estimate by the bytes of the answer's body that were sent, when it
    /// ends: fewer where the client hangs up. Estimate 1 at least, as what costs nothing is
    /// never denied.
    ///
    /// ```
    /// # use tollgate::{policy::Policy, tower::LimitLayer};
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// let layer = LimitLayer::policy(policy)
    ///     .cost("egress", |_| Some(1)) // whoever has any left may begin
    ///     .settle_bytes("egress");
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle_bytes(self, dimension: &str) -> Self {
        self.with(|options| options.settle_bytes = Some(dimension.into()))
    }

    /// Is told of every decision, before the request goes on: for counts and logs. More
    /// than one may be. `metrics` and `tracing`, features of their own, are two of them.
    ///
    /// ```
    /// # use tollgate::{policy::Policy, tower::LimitLayer};
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n")?;
    /// let layer = LimitLayer::policy(policy)
    ///     .observe(|decided| println!("{:?} {:?}", decided.outcome, decided.why));
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn observe(self, hook: impl Fn(&Decided<'_>) + Send + Sync + 'static) -> Self {
        self.with(|options| options.hooks.push(Arc::new(hook)))
    }
}

impl<S, G: Gate> Layer<S> for LimitLayer<G> {
    type Service = Limit<S, G>;

    fn layer(&self, inner: S) -> Limit<S, G> {
        Limit::new(inner, self.gate.clone(), self.options.clone())
    }
}

impl<G: fmt::Debug> fmt::Debug for LimitLayer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LimitLayer").field(&self.gate).finish()
    }
}

/// What a layer takes for a policy. It cannot be implemented elsewhere.
///
/// ```
/// use tollgate::{policy::{LivePolicy, Policy}, tower::{IntoLive, LimitLayer, PolicyGate}};
///
/// fn limits(policy: impl IntoLive) -> LimitLayer<PolicyGate> {
///     LimitLayer::policy(policy).refund_errors(true)
/// }
/// # let file = "[[limit]]\nname = 'api'\nkey = []\nquota = '5/s'\n";
/// let fixed = limits(Policy::from_toml(file)?);
/// let live = limits(std::sync::Arc::new(LivePolicy::new(Policy::from_toml(file)?)));
/// # let _ = (fixed, live);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(private_bounds)] // that is what keeps it to this crate
pub trait IntoLive: Live {}

trait Live {
    fn into_live(self) -> Arc<LivePolicy>;
}

impl Live for Policy {
    fn into_live(self) -> Arc<LivePolicy> {
        Arc::new(LivePolicy::new(self))
    }
}

impl Live for LivePolicy {
    fn into_live(self) -> Arc<LivePolicy> {
        Arc::new(self)
    }
}

impl Live for Arc<LivePolicy> {
    fn into_live(self) -> Arc<LivePolicy> {
        self
    }
}

impl IntoLive for Policy {}
impl IntoLive for LivePolicy {}
impl IntoLive for Arc<LivePolicy> {}
