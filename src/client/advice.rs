//! What one answer tells: how long to wait, and what is left of which limit.

mod fields;

use super::date;
use fields::{PolicyItem, StateItem};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// However large the number: a year.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A field's value is not read beyond this.
const MOST_BYTES: usize = 4096;

/// Limits that are told by name.
const MOST_LIMITS: usize = 8;

/// Policies that are weighed against each other.
const MOST_POLICIES: usize = 64;

/// Policies, or states, that are read of all fields of an answer: each is compared with each.
const MOST_ITEMS: usize = 256;

/// What is known of one limit from one answer. Spans count from when it came.
///
/// ```
/// use std::time::SystemTime;
/// use tollgate::client::Advice;
///
/// let fields = [("X-RateLimit-Limit", "60"), ("X-RateLimit-Remaining", "3")];
/// let advice = Advice::read(fields, SystemTime::now());
/// let low = |told: &tollgate::client::Told| told.remaining < told.limit.map(|limit| limit / 10);
/// assert!(advice.limits().iter().any(low));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// What the IETF draft's fields call it; empty for the fields that have no names. Several
    /// policies of one name are told apart by what follows it, as in `10;w=1`.
    pub name: String,
    /// The most requests in a window.
    pub limit: Option<u64>,
    /// How many of them are left.
    pub remaining: Option<u64>,
    /// The time until the reset.
    pub reset: Option<Duration>,
    /// The length of a window.
    pub window: Option<Duration>,
}

/// What an answer's header fields tell of waiting and of limits.
///
/// Understood are `Retry-After` (seconds or a date), `X-RateLimit-Limit`, `-Remaining` and
/// `-Reset` (since 1970 or from now), the same as `X-Rate-Limit-` and `RateLimit-`,
/// `X-RateLimit-Reset-After`, and the IETF draft's `RateLimit` and `RateLimit-Policy`, the
/// forms of its earlier revisions included. What is malformed is as good as missing. Of one
/// policy's partitions (`pk`), which are not told apart, the one with the fewest counts.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tollgate::client::Advice;
///
/// let advice = Advice::read(
///     [
///         ("Date", "Mon, 15 Jan 2024 10:49:00 GMT"),
///         ("X-RateLimit-Limit", "60"),
///         ("X-RateLimit-Remaining", "45"),
///         ("X-RateLimit-Reset", "1705315800"),
///     ],
///     SystemTime::now(), // counts where there is no `Date`
/// );
/// assert_eq!(advice.limits()[0].remaining, Some(45));
/// assert_eq!(advice.limits()[0].reset, Some(Duration::from_secs(60)));
/// assert_eq!(advice.retry_after(), None);
///
/// let draft = Advice::read(
///     [("RateLimit-Policy", "\"burst\";q=100;w=60"), ("RateLimit", "\"burst\";r=50;t=30")],
///     SystemTime::now(),
/// );
/// assert_eq!(draft.limits()[0].name, "burst");
/// assert_eq!(draft.limits()[0].window, Some(Duration::from_secs(60)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    retry_after: Option<Duration>,
    limits: Vec<Told>,
}

/// When something is, as a field has it.
#[derive(Clone, Copy)]
enum When {
    In(Duration),
    /// Since 1970.
    At(Duration),
}

impl When {
    fn from(self, unix: Duration) -> Duration {
        let span = match self {
            Self::In(span) => span,
            Self::At(at) => at.saturating_sub(unix),
        };
        span.min(LONGEST)
    }
}

#[derive(Default)]
struct Read {
    /// When the answer came, since 1970, by this machine.
    came: Duration,
    date: Option<Duration>,
    cached: bool,
    retry_after: Vec<When>,
    /// Of the fields without names.
    limit: Option<u64>,
    remaining: Option<u64>,
    reset: Vec<When>,
    policies: Vec<PolicyItem>,
    states: Vec<StateItem>,
}

impl Advice {
    /// Reads the header fields of an answer that came at `wall`, by this machine's wall
    /// clock: names in any case, other fields among them.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tollgate::client::Advice;
    ///
    /// let advice = Advice::read([("retry-after", "120"), ("content-length", "0")], SystemTime::now());
    /// assert_eq!(advice.retry_after(), Some(Duration::from_secs(120)));
    /// let nonsense = Advice::read([("Retry-After", "-5"), ("X-RateLimit-Limit", "NaN")], SystemTime::now());
    /// assert_eq!(nonsense, Advice::default());
    /// ```
    pub fn read<N, V>(fields: impl IntoIterator<Item = (N, V)>, wall: SystemTime) -> Self
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let came = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut read = Read { came, ..Read::default() };
        for (name, value) in fields {
            let value = value.as_ref();
            if value.len() > MOST_BYTES {
                continue;
            }
            if let Ok(value) = std::str::from_utf8(value) {
                read.field(name.as_ref(), value.trim_matches([' ', '\t']));
            }
        }
        read.advice()
    }

    /// How long to wait before the next try, if that was told; at most a year. Zero is
    /// what was told, not what to do: see [`Retry`](super::Retry).
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tollgate::client::Advice;
    ///
    /// let told = |value: &str| Advice::read([("Retry-After", value)], SystemTime::now()).retry_after();
    /// assert_eq!(told("0"), Some(Duration::ZERO));
    /// assert_eq!(told("3155760000"), Some(Duration::from_secs(365 * 86_400))); // a century
    /// assert_eq!(told("soon"), None);
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The limits that were told of.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tollgate::client::Advice;
    ///
    /// let fields = [("RateLimit-Limit", "100, 100;w=60, 5000;w=3600"), ("RateLimit-Remaining", "7")];
    /// let advice = Advice::read(fields, SystemTime::now());
    /// let [minute, hour] = advice.limits() else { panic!() };
    /// assert_eq!((minute.limit, minute.remaining), (Some(100), Some(7)));
    /// assert_eq!((hour.limit, hour.window), (Some(5000), Some(Duration::from_secs(3600))));
    /// ```
    pub fn limits(&self) -> &[Told] {
        &self.limits
    }
}

/// The lesser of what there is.
fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

impl Read {
    fn field(&mut self, name: &str, value: &str) {
        const PREFIXES: [&str; 3] = ["x-ratelimit-", "x-rate-limit-", "ratelimit-"];
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "date" => self.date = date::parse(value, self.came),
            "age" => self.cached = fields::number(value).is_some_and(|secs| secs > 0),
            "retry-after" => self.retry_after.extend(fields::retry_after(value, self.came)),
            "ratelimit" if self.states.len() < MOST_ITEMS => {
                self.states.extend(fields::states(value));
                self.states.truncate(MOST_ITEMS);
            }
            "ratelimit-policy" => self.add(|| fields::policies(value)),
            name => {
                let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))
                else {
                    return;
                };
                match rest {
                    "limit" => self.limit(value),
                    "remaining" => {
                        self.remaining = least(self.remaining, fields::numbers(value).min());
                    }
                    "reset" => self.reset.extend(fields::reset(value)),
                    "reset-after" => self.reset.extend(fields::span(value).map(When::In)),
                    _ => {}
                }
            }
        }
    }

    /// What counts now, and policies; one that is alone is both.
    fn limit(&mut self, value: &str) {
        let (alone, policies) = fields::limits(value);
        let only = match &policies[..] {
            [only] if alone.is_empty() => Some(only.quota),
            _ => alone.into_iter().min(),
        };
        self.limit = least(self.limit, only);
        self.add(|| policies);
    }

    fn add(&mut self, policies: impl FnOnce() -> Vec<PolicyItem>) {
        if self.policies.len() < MOST_ITEMS {
            self.policies.extend(policies());
            self.policies.truncate(MOST_ITEMS);
        }
    }

    /// The policies that count requests, each window's with a name of its own: a quota of one
    /// and the window of another would be a limit that nobody has.
    fn policies(&self) -> Vec<PolicyItem> {
        let mut policies: Vec<PolicyItem> = Vec::new();
        for new in self.policies.iter().filter(|policy| policy.counts_requests) {
            let same = |old: &PolicyItem| (&old.name, old.window) == (&new.name, new.window);
            if let Some(at) = policies.iter().position(same) {
                policies[at].quota = policies[at].quota.min(new.quota);
            } else if policies.len() < MOST_POLICIES {
                policies.push(new.clone());
            }
        }
        let nameless = self.states.iter().filter(|state| state.name.is_empty());
        let limit = nameless.fold(self.limit, |limit, state| least(limit, state.limit));
        let apart: Vec<bool> = policies
            .iter()
            .map(|policy| {
                // It is this one that the fields without names tell of, or it may be.
                let same = |other: &&PolicyItem| {
                    let size = limit.filter(|_| policy.name.is_empty());
                    other.name == policy.name && size.is_none_or(|size| size == other.quota)
                };
                let mut same = policies.iter().filter(same);
                same.next().is_none_or(|only| only.window != policy.window) || same.next().is_some()
            })
            .collect();
        for (policy, _) in policies.iter_mut().zip(apart).filter(|(_, apart)| *apart) {
            policy.name = policy.name_apart();
        }
        policies
    }

    fn advice(self) -> Advice {
        let unix = self.date.unwrap_or(self.came);
        let longest = |whens: &[When]| whens.iter().map(|when| when.from(unix)).max();
        let retry_after = longest(&self.retry_after);
        let mut limits = Vec::new();
        if self.cached {
            return Advice { retry_after, limits };
        }
        if self.limit.is_some() || self.remaining.is_some() {
            limits.push(Told {
                name: String::new(),
                limit: self.limit,
                remaining: self.remaining,
                reset: longest(&self.reset),
                window: None,
            });
        }
        for policy in self.policies() {
            if let Some(told) = entry(&mut limits, &policy.name) {
                told.limit = least(told.limit, Some(policy.quota));
                told.window = policy.window;
            }
        }
        let other_unit = |name: &str| {
            self.policies.iter().any(|policy| policy.name == name && !policy.counts_requests)
        };
        for state in self.states.iter().filter(|state| !other_unit(&state.name)) {
            if let Some(told) = entry(&mut limits, &state.name) {
                told.limit = least(told.limit, state.limit);
                told.remaining = least(told.remaining, Some(state.remaining));
                told.reset = told.reset.max(state.reset.map(|span| span.min(LONGEST)));
            }
        }
        Advice { retry_after, limits }
    }
}

/// The limit of this name, which may be a new one.
fn entry<'a>(limits: &'a mut Vec<Told>, name: &str) -> Option<&'a mut Told> {
    if let Some(at) = limits.iter().position(|told| told.name == name) {
        return limits.get_mut(at);
    }
    if limits.len() >= MOST_LIMITS {
        return None;
    }
    limits.push(Told { name: name.to_owned(), ..Told::default() });
    limits.last_mut()
}
