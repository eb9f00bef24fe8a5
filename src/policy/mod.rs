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
//! count; nor does a [peek](Policy::peek), or [waiting](crate::wait::Queue::until_policy_allows).
//! [`Policy::unblock`] lifts a block.
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
mod held;
mod kept;
mod key;
mod limit;
mod limit_verdict;
mod live;
mod moment;
mod named;
mod overrides;
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
mod telling;
mod units;
mod verdict;
mod waiting;
mod windows;
#[cfg(feature = "tower")]
mod wire;

pub use attribute::{AttributeId, DimensionId};
pub use explain::{Explanation, LimitExplanation, Otherwise, Why};
#[cfg(feature = "tower")]
pub(crate) use file::nearest;
pub use file::{PolicyError, PolicyFile, Problem};
#[cfg(feature = "tower")]
pub(crate) use forwarded::client as client_behind;
pub use gauges::LimitGauges;
pub use kept::KeptDecision;
#[cfg(feature = "tower")]
pub(crate) use kept::KeptLeases;
pub use limit::Algorithm;
pub use limit_verdict::LimitDecision;
pub use live::{LivePolicy, Loaded};
pub use moment::Moment;
pub use overrides::OverrideError;
#[cfg(feature = "tower")]
pub(crate) use parameter::path_parameter;
pub use request::Request;
pub use verdict::{Cause, PolicyDecision};
pub use waiting::{OfPolicy, Waitable};

#[doc = include_str!("design.md")]
pub mod design {}

#[cfg(feature = "tower")]
use crate::headers::FieldNames;
#[cfg(feature = "shared")]
use crate::region::Region;
use crate::{
    headers::Dialect,
    limiter::{BuildError, KeyHasher},
    time::{MonotonicClock, Nanos},
};
use attribute::{Attributes, Names};
use evaluate::Manner;
use limit::Limit;
use moment::PolicyClock;
use path::PathRules;
use penalty::Penalty;
use route_table::RouteTable;
use rules::Rules;
use select::AllConditions;
use std::fmt;

/// Limits that were read from a file, with the memory in which they keep their keys.
///
/// Share it by reference, or in an `Arc`; every method takes `&self`. See
/// [the module's page](self).
///
/// ```
/// use tollgate::policy::Policy;
///
/// let policy = Policy::from_toml("[[limit]]\nname = 'everyone'\nkey = []\nquota = '2/h'\n")?;
/// let ask = || policy.check(&policy.request("GET", "/")).is_allowed();
/// // Two pass, whichever threads they come from.
/// let allowed = std::thread::scope(|scope| {
///     [(); 5].map(|()| scope.spawn(ask)).map(|thread| thread.join().unwrap())
/// });
/// assert_eq!(allowed.into_iter().filter(|allowed| *allowed).count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    #[cfg(feature = "tower")]
    field_names: FieldNames,
    /// Where its tables are, if processes share them.
    #[cfg(feature = "shared")]
    region: Option<Region>,
}

impl Policy {
    /// Reads a policy from a text.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let text = "[[limit]]\nname = 'api'\nkey = ['user']\nquota = '10/parsec'\n";
    /// let error = Policy::from_toml(text).unwrap_err();
    /// let places: Vec<_> = error.problems().map(|one| (one.line(), one.column())).collect();
    /// assert_eq!(places, [(3, 8), (4, 9)]); // no such attribute, and no such time
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with line and column.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        Self::from_file(&PolicyFile::parse("policy", text.as_bytes())?)
    }

    /// Makes a policy of a file that was read, counting from now.
    ///
    /// ```
    /// use tollgate::policy::{Policy, PolicyFile};
    ///
    /// let text = "[[limit]]\nname = 'each'\nkey = []\nquota = '1/h'\n";
    /// let file = PolicyFile::parse("policy.toml", text.as_bytes())?;
    /// let (one, other) = (Policy::from_file(&file)?, Policy::from_file(&file)?);
    /// assert!(one.check(&one.request("GET", "/")).is_allowed());
    /// // Two policies of one file have nothing in common.
    /// assert!(other.check(&other.request("GET", "/")).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{
    ///     Nanos,
    ///     policy::{Moment, Policy, PolicyFile},
    /// };
    ///
    /// let text = "[[limit]]\nname = 'daily'\nkey = []\nalgorithm = 'calendar'\nquota = '1/day'\n";
    /// let file = PolicyFile::parse("policy.toml", text.as_bytes())?;
    /// // 2026-01-31, 23:59:50 UTC: the day has ten seconds more.
    /// let start = Moment::new(Nanos::ZERO, Duration::from_secs(1_769_903_990));
    /// let policy = Policy::from_file_at(&file, start)?;
    /// let ask = |secs| {
    ///     policy.check_at(&policy.request("GET", "/"), start.after(Duration::from_secs(secs)))
    /// };
    /// assert!(ask(0).is_allowed() && ask(9).is_denied() && ask(10).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// use tollgate::policy::{Policy, PolicyFile};
    ///
    /// let file = |text: &str| PolicyFile::parse("policy.toml", text.as_bytes());
    /// let before =
    ///     Policy::from_file(&file("[[limit]]\nname = 'api'\nkey = []\nquota = '5/h'\n")?)?;
    /// assert!(before.check(&before.request("GET", "/")).is_allowed());
    ///
    /// let after = before.succeeded_by(&file(
    ///     "[[limit]]\nname = 'api'\nkey = []\nquota = '3/h'\n\
    ///      [[limit]]\nname = 'new'\nkey = []\nquota = '9/h'\n",
    /// )?)?;
    /// let decision = after.check(&after.request("GET", "/"));
    /// let left: Vec<_> = decision.limits().map(|limit| limit.decision().remaining()).collect();
    /// assert_eq!(left, [1, 8]); // of `api`, two were charged: one before
    ///
    /// // `api` has room for the five that it began with.
    /// assert!(
    ///     after
    ///         .succeeded_by(&file("[[limit]]\nname = 'api'\nkey = []\nquota = '6/h'\n")?)
    ///         .is_err()
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_file`](Self::from_file), and quotas for which a limit of the same name
    /// has no room.
    pub fn succeeded_by(&self, file: &PolicyFile) -> Result<Self, PolicyError> {
        compile::compile(file, self.clock.clone(), self.epoch, Some(self))
    }

    /// What the file calls it; empty if it does not.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let limit = "[[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n";
    /// let named = Policy::from_toml(&format!("name = 'public'\n{limit}"))?;
    /// assert_eq!((named.name(), Policy::from_toml(limit)?.name()), ("public", ""));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request by its method and path, to be told more about.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'scans'\nroutes = ['POST /v1/scans']\nkey = []\n\
    /// #      quota = '9/min'\n",
    /// # )?;
    /// // `scans` is for `POST /v1/scans`. The query and doubled slashes do not matter.
    /// let request = policy.request("post", "//v1/scans/?page=2");
    /// assert!(policy.check(&request).limit("scans").is_some());
    /// assert!(policy.check(&policy.request("GET", "/v1/scans")).limit("scans").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'everyone'\nkey = []\nquota = '10/h'\n\
    /// #      [[limit]]\nname = 'each'\nkey = ['user']\nquota = '1/h'\n",
    /// # )?;
    /// // `everyone` is 10 an hour, `each` is 1 an hour for each user.
    /// let ann = policy.request("GET", "/").attribute("user", "ann");
    /// assert!(policy.check(&ann).is_allowed());
    /// // `each` says no, and so `everyone` is not charged.
    /// let denied = policy.check(&ann);
    /// assert!(denied.limit("each").is_some_and(|limit| limit.is_violated()));
    /// assert_eq!(denied.limit("everyone").map(|limit| limit.decision().remaining()), Some(9));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self, request: &Request<'_>) -> PolicyDecision<'_> {
        self.check_at(request, self.present())
    }

    /// As [`check`](Self::check), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '1/min'\n")?;
    /// let (request, start) = (policy.request("GET", "/"), policy.now());
    /// let ask =
    ///     |secs| policy.check_at(&request, start.after(Duration::from_secs(secs))).is_allowed();
    /// assert_eq!([0, 30, 61].map(ask), [true, false, true]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_at(&self, request: &Request<'_>, moment: Moment) -> PolicyDecision<'_> {
        self.decide(request, moment)
    }

    /// What a [`check`](Self::check) would say now. Nothing is charged, no lease is taken, nothing
    /// is written, and a no is no denial: no penalty counts it, and no limit is emptied for it. It is
    /// no promise: others may come first, and whether a new key finds a slot the check alone tells.
    ///
    /// Limits that would let the request pass tell how they stand, without it. The decision holds
    /// nothing that could be given back. Costs about as much as a check that is denied.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '2/h'\n\
    /// #      [[penalty]]\nname = 'ladder'\nkey = ['user']\ndenials = 3\nwithin = '1 h'\n\
    /// #      blocks = ['1 d']\n",
    /// # )?;
    /// // `api` is 2 an hour for each user; the third denial blocks for a day.
    /// let ann = policy.request("GET", "/").attribute("user", "ann");
    /// let left = || policy.peek(&ann).limit("api").map(|limit| limit.decision().remaining());
    /// assert_eq!((left(), left()), (Some(2), Some(2)));
    ///
    /// assert!(policy.check(&ann).is_allowed() && policy.check(&ann).is_allowed());
    /// assert!((0..9).all(|_| policy.peek(&ann).binding().is_some_and(|api| api.is_violated())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek(&self, request: &Request<'_>) -> PolicyDecision<'_> {
        self.peek_at(request, self.present())
    }

    /// As [`peek`](Self::peek), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '1/min'\n")?;
    /// let (request, start) = (policy.request("GET", "/"), policy.now());
    /// assert!(policy.check_at(&request, start).is_allowed());
    /// let at = |secs| policy.peek_at(&request, start.after(Duration::from_secs(secs)));
    /// assert_eq!(at(20).retry_after(), Some(Duration::from_secs(40)));
    /// assert!(at(60).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek_at(&self, request: &Request<'_>, moment: Moment) -> PolicyDecision<'_> {
        self.decide_in(Manner::PEEK, request, moment)
    }

    /// A place for decisions, to be filled by [`check_into`](Self::check_into): the answer to a
    /// request that no limit applies to.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '1/min'\n")?;
    /// let decision = policy.undecided();
    /// assert!(decision.is_allowed() && decision.limits().len() == 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '2/min'\n")?;
    /// let (request, start) = (policy.request("GET", "/"), policy.now());
    /// let mut decision = policy.undecided();
    /// let allowed = [0, 1, 2, 61].map(|secs| {
    ///     policy.check_into_at(&request, start.after(Duration::from_secs(secs)), &mut decision);
    ///     decision.is_allowed()
    /// });
    /// assert_eq!(allowed, [true, true, false, true]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_into_at<'p>(
        &'p self,
        request: &Request<'_>,
        moment: Moment,
        decision: &mut PolicyDecision<'p>,
    ) {
        self.decide_into(request, moment, decision);
    }

    /// Now, by the policy's clocks.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n")?;
    /// // One moment for all of a batch.
    /// let now = policy.now();
    /// let batch = ["/a", "/b"].map(|path| policy.check_at(&policy.request("GET", path), now));
    /// assert!(batch.iter().all(|decision| decision.is_allowed()));
    /// assert!(policy.now() >= now);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

/// Why memory could not be had, as a problem of the file.
fn no_room(error: BuildError) -> String {
    error.to_string()
}
