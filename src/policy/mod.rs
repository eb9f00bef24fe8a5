//! Limits written as a file: routes, keys, tiers, groups, and one answer for all of them.
//!
//! A [`Policy`] is read from a text or a file ([what may stand in it](mod@file)), and asked
//! about each [`Request`]. All limits that apply are asked together: a request that one
//! of them denies is charged by none, and the [`PolicyDecision`] names every limit, what
//! it has left, which one binds, and the header fields and body to send.
//!
//! ```
//! use tollgate::policy::Policy;
//!
//! let policy = Policy::from_toml(
//!     r#"
//!     [attribute.ip]
//!     kind = "ip"
//!
//!     [attribute.user]
//!
//!     [[limit]]
//!     name = "everything"
//!     key = ["ip"]
//!     quota = "60/min"
//!
//!     [[limit]]
//!     name = "uploads"
//!     routes = ["POST /documents/**"]
//!     when = { user = true }
//!     key = ["user"]
//!     quota = "2/h"
//!
//!     [response]
//!     body = '{"detail": "Rate limit exceeded"}'
//!     "#,
//! )?;
//! let upload = policy
//!     .request("POST", "/documents/upload")
//!     .attribute("ip", "203.0.113.7")
//!     .attribute("user", "alice");
//! assert!(policy.check(&upload).is_allowed());
//! assert!(policy.check(&upload).is_allowed());
//!
//! let denied = policy.check(&upload);
//! assert_eq!(denied.binding().map(|limit| limit.name()), Some("uploads"));
//! // A denied request is charged by no limit.
//! assert_eq!(denied.limit("everything").unwrap().decision().remaining(), 58);
//!
//! let response = denied.response();
//! assert_eq!(response.status, Some(429));
//! assert_eq!(response.field("Retry-After"), Some("3600"));
//! assert_eq!(response.body.as_deref(), Some(r#"{"detail": "Rate limit exceeded"}"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Refusals
//!
//! A `[[refuse]]` turns requests away whatever their number: an outcome of its own
//! ([`Cause::Refused`]) with a status of its own, by attributes, routes or networks.
//!
//! # Exemptions
//!
//! A `[[exempt]]` lets requests through that no limit is to count
//! ([`Cause::Exempt`]). Refusals go before.
//!
//! # Penalties
//!
//! A `[[penalty]]` blocks a key that was denied too often, for longer each time
//! ([`Cause::Blocked`]). Denials during a block, and those of limits in shadow, do not
//! count. [`Policy::unblock`] lifts a block.
//!
//! # Leases, estimates, and requests that fail
//!
//! A decision is kept until its request is over. Then it gives back the leases that it
//! holds ([`release`](PolicyDecision::release)), corrects what was only estimated
//! ([`settle`](PolicyDecision::settle)), or gives everything back
//! ([`refund`](PolicyDecision::refund)). Where it cannot be kept, the id of a
//! [lease](LimitDecision::lease) can, by which [`Policy::renew`] and [`Policy::release`] find it.
//!
//! ```
//! use tollgate::policy::Policy;
//!
//! let policy = Policy::from_toml(
//!     r#"
//!     [attribute.user]
//!
//!     [[limit]]
//!     name = "at once"
//!     key = ["user"]
//!     algorithm = "leases"
//!     quota = 1
//!     ttl = "10 min"
//!
//!     [[limit]]
//!     name = "tokens"
//!     key = ["user"]
//!     quota = "1000/d"
//!     cost = "tokens"
//!     "#,
//! )?;
//! let request = policy.request("POST", "/chat").attribute("user", "ann").cost("tokens", 200);
//! let mut decision = policy.check(&request);
//! assert!(decision.is_allowed() && policy.check(&request).is_denied());
//! // It took more than was thought.
//! decision.settle("tokens", 350);
//! decision.release();
//! assert_eq!(policy.check(&request).limit("tokens").unwrap().decision().remaining(), 450);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Replacing a policy
//!
//! A [`LivePolicy`] holds a policy that another file may replace under traffic: limits
//! and penalties that are called the same keep their keys.
//!
//! # Cost
//!
//! The path is made normal (borrowed if it is), the routes are walked once, each key is
//! hashed, the slots of all limits are fetched together; then each limit is weighed, and
//! if none says no, each charge is made by one compare-and-swap: beside finding the limits
//! that apply, a limit costs about what a keyed check does. Keys that come for the first
//! time, limits by the calendar and leases are asked twice. The wall clock is read where a
//! limit goes by the calendar, and where a response is written. Nothing is allocated for
//! requests with up to eight limits, twelve attributes and paths that were seen to be as
//! long before.

mod attribute;
mod compile;
mod evaluate;
mod explain;
pub mod file;
mod forwarded;
mod gauges;
mod kept;
mod key;
mod limit;
mod live;
mod moment;
#[cfg(feature = "tower")]
mod parameter;
mod path;
mod penalty;
mod quotas;
mod request;
mod route;
mod route_table;
mod rules;
mod select;
mod units;
mod verdict;
mod windows;

pub use attribute::{AttributeId, DimensionId};
pub use explain::{Explanation, LimitExplanation, Otherwise, Why};
pub use file::{PolicyError, PolicyFile, Problem};
#[cfg(feature = "tower")]
pub(crate) use forwarded::client as client_behind;
pub use gauges::LimitGauges;
pub use kept::KeptDecision;
pub use limit::Algorithm;
pub use live::{LivePolicy, Loaded};
pub use moment::Moment;
#[cfg(feature = "tower")]
pub(crate) use parameter::path_parameter;
pub use request::Request;
pub use verdict::{Cause, LimitDecision, PolicyDecision};

#[doc = include_str!("design.md")]
pub mod design {}

#[cfg(feature = "shared")]
use crate::region::Region;
use crate::{
    headers::Dialect,
    limiter::{BuildError, KeyHasher, LeaseId},
    time::{MonotonicClock, Nanos, nanos_up},
};
use attribute::{Attributes, Names};
use limit::Limit;
use moment::PolicyClock;
use path::PathRules;
use penalty::Penalty;
use route_table::RouteTable;
use rules::Rules;
use select::AllConditions;
use std::{borrow::Cow, fmt, time::Duration};

/// Limits that were read from a file, with the memory in which they keep their keys.
///
/// Share it by reference, or in an `Arc`; every method takes `&self`. See
/// [the module's page](self).
pub struct Policy {
    name: Box<str>,
    clock: PolicyClock,
    /// Whether a limit goes by the wall clock.
    reads_wall: bool,
    /// From when on its tables count.
    epoch: Moment,
    hasher: KeyHasher,
    paths: PathRules,
    names: Names,
    dimensions: Names,
    attributes: Attributes,
    conditions: AllConditions,
    refusals: Rules,
    exemptions: Rules,
    limits: Vec<Limit>,
    /// Limits without a group: all that match apply.
    ungrouped: RouteTable,
    /// Of each group one applies at most.
    groups: Vec<RouteTable>,
    /// The routes of each limit, for the names of their parameters.
    routes: Vec<Vec<route::Route>>,
    penalties: Vec<Penalty>,
    dialect: Dialect,
    /// Where its tables are, if processes share them.
    #[cfg(feature = "shared")]
    region: Option<Region>,
}

impl Policy {
    /// Reads a policy from a text.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with line and column.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        Self::from_file(&PolicyFile::parse("policy", text.as_bytes())?)
    }

    /// Makes a policy of a file that was read, counting from now.
    ///
    /// # Errors
    ///
    /// Sizes for which there is no memory.
    pub fn from_file(file: &PolicyFile) -> Result<Self, PolicyError> {
        let clock = PolicyClock::Own(MonotonicClock::new());
        let moment = Moment::read(&clock);
        compile::compile(file, clock, moment, None)
    }

    /// Makes a policy whose limits and penalties are in a region, and so common to all
    /// processes that make one there.
    ///
    /// Each limit has a table in it by its name, algorithm and key, each penalty two. A limit that
    /// is there must have the capacity, and quotas no larger than those (or `largest`),
    /// that it was made with; quotas are otherwise those of each process's own file, so
    /// give all of them the same. What is [set at run time](Self::set_override), and a
    /// [reload](LivePolicy), is of one process: do it in each. A limit that
    /// no file names any more keeps its room in the region until that is removed.
    ///
    /// ```
    /// use tollgate::{Region, policy::{Policy, PolicyFile}};
    ///
    /// # let path = std::env::temp_dir().join(format!("tollgate-policy-{}", std::process::id()));
    /// # /*
    /// let path = "/dev/shm/my-service.limits";
    /// # */
    /// let text = "[[limit]]\nname = 'everyone'\nkey = []\nquota = '5/min'\n";
    /// let file = PolicyFile::parse("policy.toml", text.as_bytes())?;
    /// // In each process:
    /// let policy = Policy::from_file_in(&file, &Region::open(&path)?)?;
    /// assert!(policy.check(&policy.request("GET", "/")).is_allowed());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_file`](Self::from_file), and for each limit what the region says to it.
    #[cfg(feature = "shared")]
    pub fn from_file_in(file: &PolicyFile, region: &Region) -> Result<Self, PolicyError> {
        let clock = PolicyClock::Region(region.clock());
        let now = Moment::read(&clock);
        let epoch = Moment::new(Nanos::ZERO, now.unix());
        compile::compile_in(file, clock, epoch, None, Some(region))
    }

    /// As [`from_file`](Self::from_file), for moments that the caller gives
    /// ([`check_at`](Self::check_at)): the limits count from `epoch`, and tell instants
    /// apart for 18 years after it.
    ///
    /// # Errors
    ///
    /// As [`from_file`](Self::from_file).
    pub fn from_file_at(file: &PolicyFile, epoch: Moment) -> Result<Self, PolicyError> {
        compile::compile(file, PolicyClock::Own(MonotonicClock::new()), epoch, None)
    }

    /// A policy of another file that takes over what this one keeps: see
    /// [`LivePolicy::replace`].
    ///
    /// # Errors
    ///
    /// As [`from_file`](Self::from_file), and quotas for which a limit of the same name
    /// has no room.
    pub fn succeeded_by(&self, file: &PolicyFile) -> Result<Self, PolicyError> {
        compile::compile(file, self.clock.clone(), self.epoch, Some(self))
    }

    /// What the file calls it; empty if it does not.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request by its method and path, to be told more about.
    pub fn request<'r>(
        &'r self,
        method: &'r str,
        path: &'r (impl AsRef<[u8]> + ?Sized),
    ) -> Request<'r> {
        Request::new(self, method, path.as_ref())
    }

    /// Decides a request now: it is charged by all limits that apply, or by none.
    ///
    /// The request is one that this policy [made](Self::request), or another of the same
    /// [`LivePolicy`]: the numbers of attributes mean nothing to any other.
    pub fn check(&self, request: &Request<'_>) -> PolicyDecision<'_> {
        self.check_at(request, self.present())
    }

    /// As [`check`](Self::check), at `moment`.
    pub fn check_at(&self, request: &Request<'_>, moment: Moment) -> PolicyDecision<'_> {
        self.decide(request, moment)
    }

    /// A place for decisions, to be filled by [`check_into`](Self::check_into): the answer to a
    /// request that no limit applies to.
    pub fn undecided(&self) -> PolicyDecision<'_> {
        self.undecided_at(Moment::default())
    }

    /// As [`check`](Self::check), in the place of a decision of before, which is forgotten as
    /// if it had been dropped: leases that it holds go on until their time is over. Nothing is
    /// moved, and memory that it took for more than eight limits is used again.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'every'\nkey = []\nquota = '2/min'\n")?;
    /// let mut decision = policy.undecided();
    /// let allowed = ["/a", "/b", "/c"].map(|path| {
    ///     policy.check_into(&policy.request("GET", path), &mut decision);
    ///     decision.is_allowed()
    /// });
    /// assert_eq!(allowed, [true, true, false]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_into<'p>(&'p self, request: &Request<'_>, decision: &mut PolicyDecision<'p>) {
        self.check_into_at(request, self.present(), decision);
    }

    /// As [`check_into`](Self::check_into), at `moment`.
    pub fn check_into_at<'p>(
        &'p self,
        request: &Request<'_>,
        moment: Moment,
        decision: &mut PolicyDecision<'p>,
    ) {
        self.decide_into(request, moment, decision);
    }

    /// Now, by the policy's clocks.
    pub fn now(&self) -> Moment {
        Moment::read(&self.clock)
    }

    /// Now, as far as its limits ask: a wall clock takes longer to read than a limit to
    /// decide.
    #[inline]
    fn present(&self) -> Moment {
        if self.reads_wall { self.now() } else { Moment::by(&self.clock) }
    }

    /// What the wall clock says at `moment`, which is past where it was not read then.
    fn wall_at(&self, moment: Moment) -> Nanos {
        moment.wall_read().unwrap_or_else(|| {
            let now = self.now();
            let since = now.monotonic().as_u64().saturating_sub(moment.monotonic().as_u64());
            Nanos::new(now.wall().as_u64().saturating_sub(since))
        })
    }

    /// The number of an attribute's name; `None` if the policy does not name it.
    pub fn attribute_id(&self, name: &str) -> Option<AttributeId> {
        self.names.find(name).map(AttributeId)
    }

    /// The number of a cost dimension; `None` if no limit counts it.
    pub fn dimension_id(&self, name: &str) -> Option<DimensionId> {
        self.dimensions.find(name).map(DimensionId)
    }

    /// The names of its limits, in the order of the file.
    pub fn limits(&self) -> impl ExactSizeIterator<Item = &str> {
        self.limits.iter().map(|limit| &*limit.name)
    }

    /// Ends a lease of that limit, as [`LimitDecision::lease`] told it: for whoever ends it
    /// elsewhere than where it was had. Whether it was live until then; ending it twice
    /// does no harm.
    pub fn release(&self, limit: &str, lease: LeaseId) -> bool {
        self.release_at(limit, lease, self.present())
    }

    /// As [`release`](Self::release), at `moment`.
    pub fn release_at(&self, limit: &str, lease: LeaseId, moment: Moment) -> bool {
        self.find(limit).is_some_and(|limit| limit.keeper.release(lease, moment))
    }

    /// Continues a lease of that limit: it ends the limit's `ttl` from now, or when it
    /// would have ended if that is later. Whether it was live; if not, nothing happens,
    /// and who goes on works beside the limit.
    #[must_use = "a lease that is over cannot be renewed"]
    pub fn renew(&self, limit: &str, lease: LeaseId) -> bool {
        self.renew_at(limit, lease, self.present())
    }

    /// As [`renew`](Self::renew), at `moment`.
    #[must_use = "a lease that is over cannot be renewed"]
    pub fn renew_at(&self, limit: &str, lease: LeaseId, moment: Moment) -> bool {
        self.find(limit).is_some_and(|limit| {
            let ttl = limit.quotas.ttl().map(|ticks| Duration::from_nanos(nanos_up(ticks)));
            ttl.is_some_and(|ttl| limit.keeper.renew(lease, ttl, moment))
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
    pub fn reset_at(&self, limit: &str, request: &Request<'_>, moment: Moment) -> bool {
        let Some(number) = self.limits.iter().position(|known| *known.name == *limit) else {
            return false;
        };
        self.with_question(request, |question| {
            let hash = self.key_of(number, request, question);
            hash.inspect(|hash| self.limit(number).keeper.forget(*hash, moment)).is_some()
        })
    }

    /// How the limit of that name counts; `None` if there is none.
    pub fn algorithm(&self, limit: &str) -> Option<Algorithm> {
        self.find(limit).map(|limit| limit.algorithm)
    }

    /// Whether the limit of that name only reports, for all of its keys.
    pub fn is_shadow(&self, limit: &str) -> bool {
        self.find(limit).is_some_and(|limit| limit.shadow)
    }

    /// The attributes that it declares.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter()
    }

    /// The attributes that were given for a request and count as missing all the same, each
    /// with what was given: none of the values that the attribute may have, no address, a
    /// list of proxies that names no client.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     [attribute.tier]
    ///     values = ["FREE", "PRO"]
    ///     [[limit]]
    ///     name = "api"
    ///     key = []
    ///     quota = { by = "tier", FREE = "10/min", PRO = "100/min" }
    ///     "#,
    /// )?;
    /// let request = policy.request("GET", "/").attribute("tier", "GOLD");
    /// assert_eq!(policy.not_understood(&request).next(), Some(("tier", &b"GOLD"[..])));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn not_understood<'r>(
        &self,
        request: &Request<'r>,
    ) -> impl Iterator<Item = (&str, &'r [u8])> {
        self.attributes.not_understood(request).map(|(id, given)| (self.attribute_name(id), given))
    }

    /// How many attributes have numbers, from 0 on: those of this file and of all that it
    /// [replaced](LivePolicy), whose numbers are passed over.
    pub fn attribute_numbers(&self) -> usize {
        self.names.len()
    }

    /// How many cost dimensions have numbers, as [`attribute_numbers`](Self::attribute_numbers).
    pub fn dimension_numbers(&self) -> usize {
        self.dimensions.len()
    }

    /// The name of the cost dimension of that number; `None` if no limit counts it.
    pub fn dimension(&self, id: DimensionId) -> Option<&str> {
        self.dimensions.said(id.0)
    }

    /// The cost dimensions that its limits count.
    pub fn dimensions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.dimensions.iter()
    }

    /// Gives a value of the attribute that a limit's `overrides` go by a quota of its own,
    /// or with `None` takes it away. It holds from the next decision on, and what was
    /// charged before stays charged.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     [attribute.customer]
    ///     [[limit]]
    ///     name = "api"
    ///     key = ["customer"]
    ///     quota = "10/min"
    ///     overrides = { by = "customer", acme = "50/min" }
    ///     largest = "100/min"
    ///     "#,
    /// )?;
    /// policy.set_override("api", "globex", Some("100/min"))?;
    /// let request = policy.request("GET", "/").attribute("customer", "globex");
    /// assert_eq!(policy.check(&request).limit("api").unwrap().decision().remaining(), 99);
    ///
    /// // There is no room for more than `largest`.
    /// assert!(policy.set_override("api", "globex", Some("200/min")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No such limit, a limit without `overrides`, a text that is no quota of its
    /// algorithm, or a quota that it has no room for.
    pub fn set_override(
        &self,
        limit: &str,
        value: &(impl AsRef<[u8]> + ?Sized),
        quota: Option<&str>,
    ) -> Result<(), OverrideError> {
        let found = self.find(limit).and_then(|found| Some((found, found.quotas.overrides_by()?)));
        let Some((limit, by)) = found else {
            return Err(OverrideError::NoOverrides { limit: limit.to_owned() });
        };
        let chosen = quota.map(|quota| limit.read_quota(quota)).transpose()?;
        limit.quotas.set(&self.normal_value(by, value.as_ref()), chosen);
        Ok(())
    }

    /// A value as requests are compared with it, where it is of what is built in.
    fn normal_value<'v>(&self, of: AttributeId, value: &'v [u8]) -> Cow<'v, [u8]> {
        let Ok(text) = str::from_utf8(value) else { return value.into() };
        match of {
            AttributeId::METHOD => route::counted_as(text).to_ascii_uppercase().into_bytes().into(),
            AttributeId::HOST => route::bare_host(text).to_ascii_lowercase().into_bytes().into(),
            AttributeId::PATH => {
                let mut scratch = path::Scratch::default();
                self.paths.normal(value, &mut scratch).to_owned().into_bytes().into()
            }
            _ => value.into(),
        }
    }

    fn find(&self, name: &str) -> Option<&Limit> {
        self.limits.iter().find(|limit| *limit.name == *name)
    }

    fn penalty(&self, name: &str) -> Option<&Penalty> {
        self.penalties.iter().find(|penalty| *penalty.name == *name)
    }

    fn limit(&self, number: usize) -> &Limit {
        // Numbers are made where limits are, and limits are never taken away.
        &self.limits[number]
    }

    fn attribute_name(&self, id: AttributeId) -> &str {
        id.built_in().unwrap_or_else(|| self.names.name(id.0))
    }

    fn dimension_name(&self, id: DimensionId) -> &str {
        self.dimensions.name(id.0)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("limits", &self.limits().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Why a value got no quota of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverrideError {
    /// No limit of that name has `overrides`.
    NoOverrides {
        /// The name that was asked for.
        limit: String,
    },
    /// It is no quota of the limit's algorithm.
    Quota {
        /// What was expected.
        message: String,
    },
    /// The limit was not made for a quota so large: `largest` in its file makes room.
    Room {
        /// What there is room for.
        message: String,
    },
}

impl fmt::Display for OverrideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOverrides { limit } => {
                write!(f, "there is no limit `{limit}` with `overrides`")
            }
            Self::Quota { message } => f.write_str(message),
            Self::Room { message } => write!(f, "{message}; say `largest` in the limit"),
        }
    }
}

impl std::error::Error for OverrideError {}

/// Why memory could not be had, as a problem of the file.
fn no_room(error: BuildError) -> String {
    error.to_string()
}
