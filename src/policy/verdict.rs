//! [`PolicyDecision`]: every limit that was asked, and the one answer.

use super::{Policy, limit_verdict::LimitDecision, moment::Moment, telling::Telling};
use crate::{
    decision::{Charge, Decision, Outcome},
    headers::{Answer, Response},
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
///
/// ```
/// use tollgate::policy::{Cause, Policy};
///
/// let policy = Policy::from_toml(
///     "[attribute.user]\n\
///      [[exempt]]\nname = 'probes'\nroutes = ['/health']\n\
///      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '9/min'\n",
/// )?;
/// assert_eq!(policy.check(&policy.request("GET", "/health")).cause(), Cause::Exempt("probes"));
/// let nobody = policy.check(&policy.request("GET", "/"));
/// assert_eq!(nobody.cause(), Cause::Missing { limit: "api", attribute: "user" });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use tollgate::policy::Policy;
///
/// # let policy = Policy::from_toml(
/// #     "[[limit]]\nname = 'minute'\nkey = []\nquota = '5/min'\n\
/// #      [[limit]]\nname = 'day'\nkey = []\nquota = '50/d'\n",
/// # )?;
/// let decision = policy.check(&policy.request("GET", "/"));
/// if let Some(wait) = decision.retry_after() {
///     println!("wait for {wait:?}");
/// }
/// for limit in decision.limits() {
///     println!("{}: {} left", limit.name(), limit.decision().remaining());
/// }
/// assert!(decision.is_allowed());
/// assert_eq!(decision.binding().map(|limit| limit.name()), Some("minute"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "name = 'public API'\n\
    /// #      [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// # )?;
    /// let decision = policy.check(&policy.request("GET", "/"));
    /// assert_eq!(decision.policy().name(), "public API");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// Whether the request may pass.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// // A limit in shadow says no, and the request passes.
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'planned'\nkey = []\nquota = '1/h'\nmode = 'shadow'\n",
    /// )?;
    /// let request = policy.request("GET", "/");
    /// assert!(policy.check(&request).is_allowed() && policy.check(&request).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_allowed(&self) -> bool {
        self.outcome == Outcome::Allowed
    }

    /// Whether the request may not pass, now or ever.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml("[[refuse]]\nname = 'admin'\nroutes = ['/admin/**']\n")?;
    /// assert!(policy.check(&policy.request("GET", "/admin/users")).is_denied());
    /// assert!(!policy.check(&policy.request("GET", "/")).is_denied());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_denied(&self) -> bool {
        !self.is_allowed()
    }

    /// Allowed, later, or never.
    ///
    /// ```
    /// use tollgate::{Outcome, policy::Policy};
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/h'\ncost = 'tokens'\n",
    /// # )?;
    /// // `llm` is 500 tokens an hour.
    /// let ask = |tokens| {
    ///     policy.check(&policy.request("POST", "/chat").cost("tokens", tokens)).outcome()
    /// };
    /// assert_eq!(ask(400), Outcome::Allowed);
    /// assert_eq!(ask(400), Outcome::Later);
    /// assert_eq!(ask(501), Outcome::Never);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What decided.
    ///
    /// ```
    /// use tollgate::policy::{Cause, Policy};
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[refuse]]\nname = 'admin'\nroutes = ['/admin/**']\n\
    /// #      [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// # )?;
    /// // A `[[refuse]]` called `admin`, and a limit.
    /// assert_eq!(
    ///     policy.check(&policy.request("GET", "/admin/x")).cause(),
    ///     Cause::Refused("admin")
    /// );
    /// // Which limit it was, `binding` says.
    /// assert_eq!(policy.check(&policy.request("GET", "/")).cause(), Cause::Limits);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cause(&self) -> Cause<'p> {
        self.cause
    }

    /// How long to wait before the same request is allowed, if nothing else is charged
    /// meanwhile: the longest wait of the limits that said no, or of the block. `None`
    /// when it was allowed, and where waiting does not help.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'minute'\nkey = []\nquota = '1/min'\n\
    /// #      [[limit]]\nname = 'hour'\nkey = []\nquota = '1/h'\n",
    /// # )?;
    /// // `minute` and `hour`, one each: who waits for the minute is denied by the hour.
    /// let (request, start) = (policy.request("GET", "/"), policy.now());
    /// assert_eq!(policy.check_at(&request, start).retry_after(), None);
    /// let wait = policy.check_at(&request, start).retry_after();
    /// assert!(wait >= Some(Duration::from_secs(3_600)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Every limit that was asked, in the order of the file; one that stands in for another,
    /// in the place of that one. None where a refusal, an exemption, a block or something
    /// missing decided.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[refuse]]\nname = 'admin'\nroutes = ['/admin/**']\n\
    /// #      [[limit]]\nname = 'minute'\nkey = []\nquota = '5/min'\n\
    /// #      [[limit]]\nname = 'day'\nkey = []\nquota = '50/d'\n",
    /// # )?;
    /// // `minute` is 5, `day` is 50; a refusal turns away what goes to `/admin`.
    /// let decision = policy.check(&policy.request("GET", "/"));
    /// let left: Vec<_> =
    ///     decision.limits().map(|l| (l.name(), l.decision().remaining())).collect();
    /// assert_eq!(left, [("minute", 4), ("day", 49)]);
    /// assert_eq!(policy.check(&policy.request("GET", "/admin/x")).limits().len(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limits(&self) -> impl ExactSizeIterator<Item = LimitDecision<'_>> {
        self.asked.iter().map(|asked| LimitDecision { policy: self.policy, asked })
    }

    /// The limit of that name, if it applies.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'uploads'\nroutes = ['POST /files']\nkey = []\nquota = '5/min'\n",
    /// # )?;
    /// // `uploads` is for `POST /files`.
    /// let of =
    ///     |method| policy.check(&policy.request(method, "/files")).limit("uploads").is_some();
    /// assert!(of("POST") && !of("GET"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limit(&self, name: &str) -> Option<LimitDecision<'_>> {
        self.limits().find(|limit| limit.name() == name)
    }

    /// The limit that binds: that which the header fields tell of unless the policy says
    /// another. Denied: the one that said no with the longest wait, *never* before any wait.
    /// Allowed: the one with the least left in proportion to its limit. Of equals it is as
    /// [`Answer::binding`] says.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'few'\nkey = []\nquota = '3/min'\n\
    /// #      [[limit]]\nname = 'many'\nkey = []\nquota = '4/h'\n",
    /// # )?;
    /// // `few` is 3 a minute, `many` is 4 an hour: 2 of 3 is less than 3 of 4.
    /// let decision = policy.check(&policy.request("GET", "/"));
    /// assert_eq!(decision.binding().map(|limit| limit.name()), Some("few"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn binding(&self) -> Option<LimitDecision<'_>> {
        self.telling().binding()
    }

    /// The status for a denial, as the policy has it; `None` when it was allowed.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[refuse]]\nname = 'admin'\nroutes = ['/admin/**']\n\
    /// #      [[limit]]\nname = 'api'\nkey = []\nquota = '1/h'\nstatus = 503\n",
    /// # )?;
    /// // `api` is one an hour, with `status = 503`; and a refusal for `/admin`.
    /// let status = |path| policy.check(&policy.request("GET", path)).status();
    /// assert_eq!([status("/"), status("/"), status("/admin/x")], [None, Some(503), Some(403)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status(&self) -> Option<u16> {
        if self.is_allowed() {
            return None;
        }
        self.with_answer(|answer| self.policy.dialect.status(answer))
    }

    /// Header fields, and the body and status of a denial, in the policy's dialect.
    /// Allocates.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'api'\nkey = []\nquota = '1/h'\n\
    ///      [response]\nreset = 'delta'\nbody = 'once in {retry_after} s'\n",
    /// )?;
    /// let (request, now) = (policy.request("GET", "/"), policy.now());
    /// let response = [(); 2].map(|()| policy.check_at(&request, now).response());
    /// assert_eq!(response[0].field("X-RateLimit-Remaining"), Some("0"));
    /// assert_eq!((response[0].status, response[1].status), (None, Some(429)));
    /// assert_eq!(response[1].body.as_deref(), Some("once in 3600 s"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn response(&self) -> Response {
        self.with_answer(|answer| self.policy.dialect.response(answer))
    }

    /// Each header field for the response, in the policy's dialect: name and value.
    /// `buffer` is where lists are built.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'api'\nkey = []\nquota = '5/h'\n[response]\nreset = 'delta'\n",
    /// # )?;
    /// let decision = policy.check_at(&policy.request("GET", "/"), policy.now());
    /// // One buffer for all requests of a thread.
    /// let (mut buffer, mut head) = (String::new(), String::new());
    /// decision.fields(&mut buffer, |name, value| head.extend([name, ": ", value, "\r\n"]));
    /// assert_eq!(
    ///     head,
    ///     "X-RateLimit-Limit: 5\r\nX-RateLimit-Remaining: 4\r\nX-RateLimit-Reset: 3600\r\n",
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fields(&self, buffer: &mut String, each: impl FnMut(&str, &str)) {
        self.with_answer(|answer| self.policy.dialect.fields(answer, buffer, each));
    }

    /// The body of a denial, in the policy's dialect: whether there is one, written to
    /// `out`.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'api'\nkey = []\nquota = '1/h'\n[response]\n\
    /// #      body = '{name} is used up'\n",
    /// # )?;
    /// // `api` is one an hour; the body is `{name} is used up`.
    /// let (request, mut body) = (policy.request("GET", "/"), String::new());
    /// assert!(!policy.check(&request).body(&mut body));
    /// assert!(policy.check(&request).body(&mut body));
    /// assert_eq!(body, "api is used up");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn body(&self, out: &mut String) -> bool {
        out.clear();
        self.is_denied() && self.with_answer(|answer| self.policy.dialect.body(answer, out))
    }

    pub(super) fn telling(&self) -> Telling<'_> {
        Telling {
            policy: self.policy,
            moment: self.moment,
            asked: &self.asked,
            outcome: self.outcome,
            retry_after: self.retry_after,
            cause: self.cause,
            status: self.status,
        }
    }

    fn with_answer<T>(&self, render: impl FnOnce(&Answer<'_>) -> T) -> T {
        self.telling().with_answer(render)
    }

    /// Ends the leases that the request holds, because it is over. Dropping the decision
    /// does not: leases that nobody ends are held until their time has run out.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'at once'\nkey = []\nalgorithm = 'leases'\nquota = 1\n\
    /// #      ttl = '1 h'\n\
    /// #      [[limit]]\nname = 'hour'\nkey = []\nquota = '9/h'\n",
    /// # )?;
    /// // One at a time, and 9 an hour.
    /// let request = policy.request("GET", "/report");
    /// let mut decision = policy.check(&request);
    /// assert!(policy.check(&request).is_denied());
    /// decision.release();
    /// // The place is free; the hour stays charged.
    /// let next = policy.check(&request);
    /// assert_eq!(next.limit("hour").map(|hour| hour.decision().remaining()), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(&mut self) {
        self.release_at(self.policy.present());
    }

    /// As [`release`](Self::release), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'at once'\nkey = []\nalgorithm = 'leases'\nquota = 1\n\
    /// #      ttl = '1 h'\n",
    /// # )?;
    /// let (request, start) = (policy.request("GET", "/report"), policy.now());
    /// let after = |secs| start.after(Duration::from_secs(secs));
    /// let mut decision = policy.check_at(&request, start);
    /// assert!(policy.check_at(&request, after(19)).is_denied());
    /// decision.release_at(after(20));
    /// assert!(policy.check_at(&request, after(20)).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release_at(&mut self, moment: Moment) {
        let policy = self.policy;
        for asked in &mut self.asked {
            policy.end_lease(asked, moment);
        }
    }

    /// Gives back what the request was charged by every limit, because it was not
    /// served after all, and ends its leases. Once: a second time gives nothing back.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'hour'\nkey = []\nquota = '1/h'\n\
    /// #      [[limit]]\nname = 'day'\nkey = []\nquota = '1/d'\n",
    /// # )?;
    /// // One an hour, one a day. The database was down:
    /// let request = policy.request("POST", "/orders");
    /// let mut decision = policy.check(&request);
    /// decision.refund();
    /// decision.refund(); // nothing more to give back
    /// assert!(policy.check(&request).is_allowed());
    /// assert!(policy.check(&request).is_denied());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refund(&mut self) {
        self.refund_at(self.policy.present());
    }

    /// As [`refund`](Self::refund), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'hour'\nkey = []\nquota = '1/h'\n")?;
    /// let (request, start) = (policy.request("POST", "/orders"), policy.now());
    /// let soon = start.after(Duration::from_secs(30));
    /// policy.check_at(&request, start).refund_at(soon);
    /// assert!(policy.check_at(&request, soon).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refund_at(&mut self, moment: Moment) {
        let policy = self.policy;
        self.age(moment);
        for asked in &mut self.asked {
            policy.give_back(asked, moment);
        }
    }

    /// Corrects an estimate: what the request cost in a dimension (`tokens`), once it is
    /// known. Every limit that counts the dimension is corrected as by
    /// [`Key::settle`](crate::Key::settle): with `gcra` beyond its quota if need be, with the
    /// others up to what the quota has left. All times that the decision tells are from
    /// then on.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '1000/d'\ncost = 'tokens'\n",
    /// # )?;
    /// // 1000 tokens a day. Thought to be 300, it was 1200: a log charges what there is.
    /// let request = policy.request("POST", "/chat").cost("tokens", 300);
    /// let mut decision = policy.check(&request);
    /// decision.settle("tokens", 1_200);
    /// assert_eq!(decision.limit("llm").map(|limit| limit.units()), Some(1_000));
    /// assert!(policy.check(&request).is_denied());
    ///
    /// // Or it failed after all, and cost nothing.
    /// decision.settle("tokens", 0);
    /// assert!(policy.check(&request).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle(&mut self, dimension: &str, units: u64) {
        self.settle_at(dimension, units, self.policy.present());
    }

    /// As [`settle`](Self::settle), at `moment`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '1000/d'\ncost = 'tokens'\n",
    /// # )?;
    /// let (request, start) = (policy.request("POST", "/chat").cost("tokens", 300), policy.now());
    /// let end = start.after(Duration::from_secs(45));
    /// policy.check_at(&request, start).settle_at("tokens", 100, end);
    /// let next = policy.check_at(&request, end);
    /// assert_eq!(next.limit("llm").map(|limit| limit.decision().remaining()), Some(600));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle_at(&mut self, dimension: &str, units: u64, moment: Moment) {
        let policy = self.policy;
        let Some(dimension) = policy.dimension_id(dimension) else { return };
        self.age(moment);
        for asked in &mut self.asked {
            policy.settle(asked, dimension, units, moment);
        }
    }

    /// What was allowed is told of as of `moment`: what is corrected then, and the rest, whose
    /// time has gone on.
    fn age(&mut self, moment: Moment) {
        let by = moment.monotonic().since(self.moment.monotonic());
        if by.is_zero() || self.outcome != Outcome::Allowed {
            return;
        }
        for asked in &mut self.asked {
            asked.decision.age(by);
        }
        self.moment = self.moment.after(by);
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
