//! What the suites ask, in one place: a policy under simulated time.

use std::{cell::Cell, fs, path::Path, rc::Rc, time::Duration};
use tollgate::{
    LeaseId, Nanos,
    policy::{Cause, Moment, Policy, PolicyFile},
};

const SECOND: u64 = 1_000_000_000;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// 2024-01-15, midnight: when simulated time begins unless a test says otherwise.
pub(crate) const BEGIN: u64 = 1_705_276_800;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    /// Denied; waiting helps.
    Later,
    /// Denied; waiting does not help.
    Never,
    /// By a penalty.
    Blocked,
    /// By a refusal of the file, not by a limit.
    Refused,
}

/// What one limit said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) violated: bool,
    pub(crate) shadow: bool,
}

/// A policy and its clocks. Requests come one after the other.
pub(crate) struct Api {
    policy: Rc<Policy>,
    begin: u64,
    now: Cell<u64>,
    /// By how many seconds the wall clock was stepped.
    stepped: Cell<i64>,
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}

/// One nanosecond less.
pub(crate) fn just_under(span: Duration) -> Duration {
    span.checked_sub(Duration::from_nanos(1)).unwrap()
}

/// A policy of `examples/policies`, as text.
pub(crate) fn policy(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies").join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Api {
    /// A policy file of `examples/policies`, as it stands.
    pub(crate) fn new(file: &str) -> Self {
        Self::of(&policy(file), BEGIN)
    }

    /// From this second of unix time on.
    pub(crate) fn starting(file: &str, begin: u64) -> Self {
        Self::of(&policy(file), begin)
    }

    /// Without the tables of this name: `without("000-...", "penalty")`.
    pub(crate) fn without(file: &str, table: &str) -> Self {
        let (mut text, mut keep) = (String::new(), true);
        for line in policy(file).lines() {
            if line.starts_with('[') {
                keep = line != format!("[[{table}]]");
            }
            if keep {
                text.push_str(line);
            }
            text.push('\n');
        }
        Self::of(&text, BEGIN)
    }

    /// With one text of the file, which must be there, in place of another.
    pub(crate) fn edited(file: &str, begin: u64, from: &str, to: &str) -> Self {
        let text = policy(file);
        assert!(text.contains(from), "no {from} in {file}");
        Self::of(&text.replace(from, to), begin)
    }

    fn of(text: &str, begin: u64) -> Self {
        let file = PolicyFile::parse("policy.toml", text.as_bytes());
        let file = file.unwrap_or_else(|e| panic!("{e}"));
        let epoch = Moment::new(Nanos::ZERO, Duration::from_secs(begin));
        let policy = Policy::from_file_at(&file, epoch).unwrap_or_else(|e| panic!("{e}"));
        Self { policy: Rc::new(policy), begin, now: Cell::new(0), stepped: Cell::new(0) }
    }

    /// The names of all limits, in the order of the file.
    pub(crate) fn limit_names(&self) -> Vec<String> {
        self.policy.limits().map(str::to_owned).collect()
    }

    /// How long it runs.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.now.get())
    }

    /// Goes to so long after the beginning, never back.
    pub(crate) fn at(&self, since: Duration) {
        let since = nanoseconds(since);
        assert!(since >= self.now.get(), "time does not go back");
        self.now.set(since);
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.now.set(self.now.get() + nanoseconds(by));
    }

    /// Sets the wall clock ahead, or back; the monotonic clock knows nothing of it.
    pub(crate) fn step_wall(&self, seconds: i64) {
        self.stepped.set(self.stepped.get() + seconds);
    }

    /// The wall clock, in nanoseconds of unix time.
    pub(crate) fn wall(&self) -> u64 {
        (self.begin * SECOND + self.now.get())
            .checked_add_signed(self.stepped.get() * SECOND.cast_signed())
            .unwrap()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request {
            api: self,
            method: method.to_owned(),
            host: None,
            path: path.to_owned(),
            attributes: Vec::new(),
            costs: Vec::new(),
        }
    }

    /// Lifts a block: the penalty's name, and the attribute that is its key.
    pub(crate) fn unblock(&self, penalty: &str, attribute: &str, value: &str) -> bool {
        let request = self.policy.request("", "").attribute(attribute, value);
        self.policy.unblock_at(penalty, &request, self.moment())
    }

    fn moment(&self) -> Moment {
        Moment::new(Nanos::new(self.now.get()), Duration::from_nanos(self.wall()))
    }
}

#[must_use]
pub(crate) struct Request<'a> {
    api: &'a Api,
    method: String,
    host: Option<String>,
    path: String,
    attributes: Vec<(String, String)>,
    costs: Vec<(String, u64)>,
}

impl Request<'_> {
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    pub(crate) fn attr(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn cost(mut self, dimension: &str, units: u64) -> Self {
        self.costs.push((dimension.to_owned(), units));
        self
    }

    pub(crate) fn send(self) -> Reply {
        let policy = &self.api.policy;
        let mut request = policy.request(&self.method, &self.path);
        if let Some(host) = &self.host {
            request = request.host(host);
        }
        for (name, value) in &self.attributes {
            request = request.attribute(name, value);
        }
        for (dimension, units) in &self.costs {
            request = request.cost(dimension, *units);
        }
        let decision = policy.check_at(&request, self.api.moment());
        let response = decision.response();
        let outcome = match (decision.cause(), decision.outcome()) {
            (_, tollgate::Outcome::Allowed) => Outcome::Allowed,
            (Cause::Blocked(_), _) => Outcome::Blocked,
            (Cause::Refused(_), _) => Outcome::Refused,
            (_, tollgate::Outcome::Later) => Outcome::Later,
            _ => Outcome::Never,
        };
        let binding = match decision.cause() {
            Cause::Blocked(name) | Cause::Refused(name) => Some(name.to_owned()),
            Cause::Missing { limit, .. } => Some(limit.to_owned()),
            _ => decision.binding().map(|limit| limit.name().to_owned()),
        };
        let leases = decision
            .limits()
            .filter_map(|limit| limit.lease().map(|lease| (limit.name().to_owned(), lease)));
        let leases = leases.collect();
        let limits = decision.limits().filter(|limit| !limit.is_unlimited());
        let limits = limits.map(|limit| Asked {
            name: limit.name().to_owned(),
            limit: limit.decision().limit(),
            remaining: limit.decision().remaining(),
            violated: limit.is_violated(),
            shadow: limit.is_shadow(),
        });
        Reply {
            status: response.status.unwrap_or(200),
            headers: response.fields,
            body: response.body.unwrap_or_default(),
            allowed: decision.is_allowed(),
            outcome,
            limits: limits.collect(),
            binding,
            retry_after: decision.retry_after(),
            leases,
            policy: Rc::clone(policy),
            at: self.api.moment(),
        }
    }
}

/// The answer. Letting it go ends no lease: that is what [`end`](Self::end) is for.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) allowed: bool,
    pub(crate) outcome: Outcome,
    pub(crate) limits: Vec<Asked>,
    /// The limit, penalty or refusal that decided.
    pub(crate) binding: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    leases: Vec<(String, LeaseId)>,
    policy: Rc<Policy>,
    at: Moment,
}

impl Reply {
    /// A header field by its name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(&field.1)
    }

    /// A header field that is a number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self.header(name).unwrap_or_else(|| panic!("no {name}"));
        value.parse().unwrap_or_else(|e| panic!("{name}: {value}: {e}"))
    }

    /// The names of the limits that were asked.
    pub(crate) fn asked(&self) -> Vec<&str> {
        self.limits.iter().map(|asked| asked.name.as_str()).collect()
    }

    /// The names of the limits that said no.
    pub(crate) fn violated(&self) -> Vec<&str> {
        let violated = self.limits.iter().filter(|asked| asked.violated);
        violated.map(|asked| asked.name.as_str()).collect()
    }

    /// What is left of a limit that was asked.
    pub(crate) fn remaining(&self, name: &str) -> u64 {
        let asked = self.limits.iter().find(|asked| asked.name == name);
        asked.unwrap_or_else(|| panic!("{name} was not asked, but {:?}", self.asked())).remaining
    }

    /// The request is over: its leases end.
    pub(crate) fn end(&self) {
        for (limit, lease) in &self.leases {
            self.policy.release_at(limit, *lease, self.at);
        }
    }
}

/// `Retry-After` is the wait in whole seconds, rounded up, and never 0.
pub(crate) fn assert_wait_told(reply: &Reply) {
    let wait = reply.retry_after.expect("a wait");
    assert!(!wait.is_zero());
    let told = reply.number("retry-after");
    assert_eq!(told, nanoseconds(wait).div_ceil(SECOND), "for {wait:?}");
}

/// What was sent, and when it was let pass.
struct Passed(Vec<Duration>);

impl Passed {
    /// In no `(a, a + period]` more than `n`.
    fn assert_never_more(&self, n: usize, period: Duration) {
        for (first, last) in self.0.iter().zip(self.0.iter().skip(n)) {
            assert!(
                last.saturating_sub(*first) >= period,
                "{n} and one more from {first:?} to {last:?}"
            );
        }
    }
}

/// Three periods of a client that sends ten times as often as it may, evenly,
/// and never waits. Each denial must be by `limit` alone. Never more than `n` pass in
/// any period, all `n` do in each, and whoever had waited as told passes.
/// Returns how many were denied.
pub(crate) fn saturate(
    api: &Api,
    limit: &str,
    n: u64,
    period: Duration,
    mut send: impl FnMut() -> Reply,
) -> usize {
    let begin = api.now();
    let step = nanoseconds(period) / (10 * n);
    let (mut passed, mut denied, mut due) = (Passed(Vec::new()), 0, None);
    for i in 0..30 * n {
        api.at(begin + Duration::from_nanos(i * step));
        let reply = send();
        assert!(reply.asked().contains(&limit), "{limit} was not asked: {:?}", reply.asked());
        if reply.allowed {
            assert!(due.is_none_or(|due| api.now() >= due), "passed before it was said to");
            due = None;
            passed.0.push(api.now());
        } else {
            assert_eq!(reply.outcome, Outcome::Later);
            assert_eq!(reply.violated(), [limit]);
            assert_eq!(reply.binding.as_deref(), Some(limit));
            assert_wait_told(&reply);
            assert!(due.is_none_or(|due| api.now() < due), "waited as told, and was denied");
            due = Some(api.now() + reply.retry_after.unwrap());
            denied += 1;
        }
    }
    let n = usize::try_from(n).unwrap();
    passed.assert_never_more(n, period);
    assert_eq!(passed.0.len(), 3 * n, "in three periods");
    denied
}

/// Three rounds of a client that sends all at once, one too many, and waits
/// exactly as told: each round `n` pass, and a nanosecond less would not have
/// been enough. For limits whose denials count (`charge_denied`), which
/// [`saturate`] would keep empty.
pub(crate) fn saturate_politely(
    api: &Api,
    limit: &str,
    n: u64,
    period: Duration,
    mut send: impl FnMut() -> Reply,
) {
    let mut passed = Passed(Vec::new());
    for _ in 0..3 {
        for i in 0..n {
            let reply = send();
            assert!(reply.allowed, "{i} of {n}: {:?}", reply.limits);
            assert_eq!(reply.remaining(limit), n - 1 - i);
            passed.0.push(api.now());
        }
        let reply = send();
        assert_eq!((reply.outcome, reply.violated()), (Outcome::Later, vec![limit]));
        assert_wait_told(&reply);
        assert_eq!(reply.retry_after, Some(period));
        api.advance(period);
    }
    passed.assert_never_more(usize::try_from(n).unwrap(), period);
}
