//! [`Explanation`]: which limits a request would be asked of, and why not of the others.

use super::{
    Policy,
    attribute::{AttributeId, Kind, Value},
    evaluate::{Asking, Lacks},
    key::{KeyParts, Part, Source},
    limit::{Algorithm, Limit, Missing},
    request::Request,
    route::Route,
    route_table::{Matched, Question},
    select::{Met, Wanted},
};
use crate::time::nanos_up;
use ipnet::IpNet;
use std::{fmt, net::IpAddr, time::Duration};

/// What a policy makes of one request: made by [`Policy::explain`], and printed for
/// people.
///
/// ```
/// use tollgate::policy::Policy;
///
/// # let policy = Policy::from_toml(
/// #     "[attribute.user]\n\
/// #      [[limit]]\nname = 'each'\nkey = ['user']\nquota = '9/min'\n\
/// #      [[limit]]\nname = 'uploads'\nroutes = ['POST /files']\nkey = ['user']\n\
/// #      quota = '1/min'\n",
/// # )?;
/// // `each` is for everything, `uploads` for `POST /files`.
/// let explanation = policy.explain(&policy.request("GET", "/files").attribute("user", "ann"));
/// let applying: Vec<_> = explanation.limits().filter(|l| l.applies()).map(|l| l.name()).collect();
/// assert_eq!(applying, ["each"]);
/// assert!(explanation.to_string().contains("no route matches: POST /files"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'p> {
    method: String,
    path: String,
    /// Attributes that are missing in spite of this text.
    not_understood: Vec<(&'p str, String)>,
    refused: Option<(&'p str, Option<u16>)>,
    exempt: Option<&'p str>,
    lacking: Option<(&'p str, &'p str)>,
    penalties: Vec<(&'p str, Key<'p>)>,
    limits: Vec<LimitExplanation<'p>>,
}

/// One limit of an [`Explanation`].
///
/// ```
/// use tollgate::policy::Policy;
///
/// # let policy = Policy::from_toml(
/// #     "[[limit]]\nname = 'uploads'\nroutes = ['POST /files']\nkey = []\nquota = '1/min'\n",
/// # )?;
/// let explanation = policy.explain(&policy.request("GET", "/files"));
/// let uploads = explanation.limits().next().ok_or("no limit")?;
/// assert_eq!((uploads.name(), uploads.applies()), ("uploads", false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitExplanation<'p> {
    name: &'p str,
    algorithm: Algorithm,
    why: Why<'p>,
}

/// The parts of a key by their names.
type Key<'p> = Vec<(&'p str, String)>;

/// Why a limit applies to a request, or does not.
///
/// ```
/// use tollgate::policy::{Policy, Why};
///
/// let policy = Policy::from_toml(
///     "[attribute.tier]\n\
///      [[limit]]\nname = 'free'\nwhen = { tier = 'FREE' }\nkey = []\nquota = '9/min'\n",
/// )?;
/// let explanation = policy.explain(&policy.request("GET", "/").attribute("tier", "PRO"));
/// let why = explanation.limits().next().ok_or("no limit")?.why();
/// let Why::Condition { attribute, wanted, found, .. } = why else { panic!("{why:?}") };
/// assert_eq!((*attribute, wanted.as_str(), found.as_deref()), ("tier", "FREE", Some("PRO")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why<'p> {
    /// It applies.
    #[non_exhaustive]
    Applies {
        /// The route that matched; `None` where it names none, which is everywhere.
        route: Option<&'p str>,
        /// The key's parts: names and values. Empty is one key for everybody.
        key: Vec<(&'p str, String)>,
        /// As the file writes it; `None`: unlimited.
        quota: Option<String>,
        /// What the request costs.
        units: u64,
        /// What is counted.
        unit: &'p str,
        /// Whether it only reports what it would do for this key.
        shadow: bool,
        /// The limit that it stands in for, which lacks an attribute.
        instead_of: Option<&'p str>,
    },
    /// None of its routes matches.
    #[non_exhaustive]
    Route {
        /// The routes, as the file writes them.
        routes: Vec<&'p str>,
    },
    /// A condition does not hold.
    #[non_exhaustive]
    Condition {
        /// On this attribute.
        attribute: &'p str,
        /// What it should be.
        wanted: String,
        /// What it is; `None` if it is missing.
        found: Option<String>,
    },
    /// Another limit of its group applies instead.
    #[non_exhaustive]
    Group {
        /// That limit.
        applies: &'p str,
    },
    /// The request lacks something that it needs.
    #[non_exhaustive]
    Missing {
        /// An attribute, a parameter of the route, the host, or a cost.
        attribute: &'p str,
        /// What happens therefore.
        otherwise: Otherwise<'p>,
    },
}

/// What a limit does with requests that lack what it needs.
///
/// ```
/// use tollgate::policy::{Otherwise, Policy, Why};
///
/// let policy = Policy::from_toml(
///     "[attribute.user]\n\
///      [[limit]]\nname = 'each'\nkey = ['user']\nquota = '9/min'\n\
///      missing = { limit = 'nobody' }\n\
///      [[limit]]\nname = 'nobody'\nroutes = ['/never']\nkey = []\nquota = '1/min'\n",
/// )?;
/// let explanation = policy.explain(&policy.request("GET", "/"));
/// let why = explanation.limits().next().ok_or("no limit")?.why();
/// let Why::Missing { attribute, otherwise, .. } = why else { panic!("{why:?}") };
/// assert_eq!((*attribute, *otherwise), ("user", Otherwise::Limit("nobody")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Otherwise<'p> {
    /// They are not limited by it.
    Skipped,
    /// They are denied.
    Denied,
    /// Another limit applies to them.
    Limit(&'p str),
}

impl Policy {
    /// Which limits apply to a request, with which key and quota, and why the others do
    /// not. Nothing is charged, and nothing is asked how it stands: that is what
    /// [`check`](Self::check) tells. Allocates.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     [attribute.org]
    ///     [[limit]]
    ///     name = "scans"
    ///     routes = ["POST /v1/scans"]
    ///     key = ["org"]
    ///     quota = "10/min"
    ///     [[limit]]
    ///     name = "exports"
    ///     routes = ["GET /v1/exports"]
    ///     key = ["org"]
    ///     quota = "2/h"
    ///     "#,
    /// )?;
    /// let request = policy.request("POST", "/v1/scans/").attribute("org", "acme");
    /// let text = policy.explain(&request).to_string();
    /// assert_eq!(
    ///     text,
    ///     "POST /v1/scans\n\
    ///      \n\
    ///      applies: scans (sliding-log)\n  \
    ///        route  POST /v1/scans\n  \
    ///        key    org = acme\n  \
    ///        quota  10/min\n  \
    ///        costs  1 of requests\n\
    ///      \n\
    ///      does not apply: exports (sliding-log)\n  \
    ///        no route matches: GET /v1/exports\n",
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(&self, request: &Request<'_>) -> Explanation<'_> {
        self.explain_by(request, true)
    }

    /// As [`explain`](Self::explain), without the limits whose routes or conditions do not
    /// match: it takes no time for them.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'each'\nkey = ['user']\nmissing = 'skip'\nquota = '9/min'\n\
    /// #      [[limit]]\nname = 'uploads'\nroutes = ['POST /files']\nkey = []\nquota = '1/min'\n",
    /// # )?;
    /// // `each` skips who has no user; `uploads` is for `POST /files`.
    /// let request = policy.request("GET", "/files");
    /// let names: Vec<_> =
    ///     policy.explain_asked(&request).limits().map(|limit| limit.name()).collect();
    /// assert_eq!(names, ["each"]);
    /// assert_eq!(policy.explain(&request).limits().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain_asked(&self, request: &Request<'_>) -> Explanation<'_> {
        self.explain_by(request, false)
    }

    fn explain_by(&self, request: &Request<'_>, all: bool) -> Explanation<'_> {
        self.with_question(request, |question| {
            self.with_built_in(request, question, |request| {
                self.explain_question(request, question, all)
            })
        })
    }

    /// `all`: also why limits are not asked.
    fn explain_question(
        &self,
        request: &Request<'_>,
        question: Question<'_>,
        all: bool,
    ) -> Explanation<'_> {
        let met = self.conditions.met(&self.attributes, request);
        let refused = self.refusals.find(&self.attributes, request, question, &met);
        let exempt = self.exemptions.find(&self.attributes, request, question, &met);
        let mut explanation = Explanation {
            method: question.method().to_owned(),
            path: question.path().to_owned(),
            not_understood: self.not_understood(request).map(|(n, v)| (n, text_of(v))).collect(),
            refused: refused.map(|rule| (&*rule.name, rule.status)),
            exempt: exempt.map(|rule| &*rule.name),
            lacking: None,
            penalties: self.explain_penalties(request, question),
            limits: Vec::new(),
        };
        let mut applying = self.applying(question, &met).into_iter().peekable();
        let numbers = if all { 0..self.limits.len() } else { 0..0 };
        for number in numbers {
            if let Some(matched) = applying.next_if(|matched| matched.limit == number) {
                self.explain_applying(request, question, matched, &mut explanation);
                continue;
            }
            let limit = self.limit(number);
            explanation.limits.push(LimitExplanation {
                name: &limit.name,
                algorithm: limit.algorithm,
                why: self.explain_absence(request, question, &met, number, limit),
            });
        }
        for matched in applying {
            self.explain_applying(request, question, matched, &mut explanation);
        }
        explanation
    }

    fn explain_penalties(
        &self,
        request: &Request<'_>,
        question: Question<'_>,
    ) -> Vec<(&str, Key<'_>)> {
        let apart = Source::apart(request, question);
        let penalties = self.penalties.iter().filter(|penalty| {
            let covers = penalty.covers.as_ref();
            covers.is_none_or(|covers| covers.find(question, |_| true).is_some())
        });
        penalties
            .filter_map(|penalty| Some((&*penalty.name, self.key(&penalty.key, &apart, None)?)))
            .collect()
    }

    /// A limit whose routes and conditions match, and those that stand in for it.
    fn explain_applying<'p>(
        &'p self,
        request: &Request<'_>,
        question: Question<'_>,
        matched: Matched,
        explanation: &mut Explanation<'p>,
    ) {
        let asking = Asking { request, question, matched };
        let route = self.routes.get(matched.limit).and_then(|routes| routes.get(matched.route));
        let route = route.map(Route::text);
        let (mut number, mut instead_of) = (matched.limit, None);
        loop {
            let limit = self.limit(number);
            let (why, next) = match self.plan(number, &asking, &[]) {
                Ok(asked) => {
                    let applies = Why::Applies {
                        route,
                        key: self
                            .with_source(&asking, |source| self.key(&limit.key, source, route))
                            .unwrap_or_default(),
                        quota: asked.numbers.map(|numbers| limit.spelled(numbers)),
                        units: asked.units,
                        unit: &limit.unit,
                        shadow: asked.shadow,
                        instead_of,
                    };
                    (applies, None)
                }
                Err(lacks) => self.explain_lack(limit, &lacks),
            };
            if let Why::Missing { attribute, otherwise: Otherwise::Denied } = why {
                explanation.lacking.get_or_insert((&limit.name, attribute));
            }
            explanation.limits.push(LimitExplanation {
                name: &limit.name,
                algorithm: limit.algorithm,
                why,
            });
            let Some(next) = next else { return };
            instead_of = Some(&*limit.name);
            number = next;
        }
    }

    fn explain_lack<'p>(&'p self, limit: &'p Limit, lacks: &Lacks) -> (Why<'p>, Option<usize>) {
        let (otherwise, next) = match limit.missing {
            Missing::Skip => (Otherwise::Skipped, None),
            Missing::Deny => (Otherwise::Denied, None),
            Missing::Other(other) => (Otherwise::Limit(&self.limit(other).name), Some(other)),
        };
        (Why::Missing { attribute: self.lacking(limit, lacks), otherwise }, next)
    }

    fn explain_absence<'p>(
        &'p self,
        request: &Request<'_>,
        question: Question<'_>,
        met: &Met,
        number: usize,
        limit: &Limit,
    ) -> Why<'p> {
        let mut on_route = false;
        for table in self.groups.iter().chain([&self.ungrouped]) {
            table.each(question, |_| true, |matched| on_route |= matched.limit == number);
        }
        if !on_route {
            let routes = self.routes.get(number).into_iter().flatten();
            return Why::Route { routes: routes.map(Route::text).collect() };
        }
        let conditions = self.conditions.get(limit.conditions);
        let failing = conditions.and_then(|all| all.failing(&self.attributes, request));
        if let Some((id, wanted)) = failing {
            let found = self.attributes.value(id, request).map(|value| match value {
                Value::Text(text) => text_of(text),
                Value::Ip(ip) => ip.to_string(),
            });
            let wanted = wanted.to_string();
            return Why::Condition { attribute: self.attribute_name(id), wanted, found };
        }
        let mut applies = "";
        for group in &self.groups {
            let mut member = false;
            group.each(question, |_| true, |matched| member |= matched.limit == number);
            let found = group.find(question, |conditions| met.holds(conditions));
            if let Some(found) = found.filter(|_| member) {
                applies = &self.limit(found.limit).name;
            }
        }
        Why::Group { applies }
    }

    /// The parts of a key by name, for people; `None` if one is missing.
    fn key<'p>(
        &'p self,
        parts: &'p KeyParts,
        source: &Source<'_, '_>,
        route: Option<&str>,
    ) -> Option<Key<'p>> {
        let spelled = parts.spell(&self.attributes, source).ok()?;
        let named = parts.0.iter().zip(spelled).map(|(part, bytes)| match part {
            Part::Attribute(id) => {
                let value = match self.attributes.value(*id, source.request) {
                    Some(Value::Ip(ip)) => self.prefix(*id, ip),
                    _ => text_of(&bytes),
                };
                (self.attribute_name(*id), value)
            }
            Part::Parameter(name) => (&**name, text_of(&bytes)),
            Part::Route => ("route", route.unwrap_or("/**").to_owned()),
            Part::Method => ("method", text_of(&bytes)),
            Part::Host => ("host", text_of(&bytes)),
            Part::Path => ("path", text_of(&bytes)),
        });
        Some(named.collect())
    }

    /// An address as far as it counts in keys.
    fn prefix(&self, id: AttributeId, ip: IpAddr) -> String {
        let (v4, v6) = match self.attributes.kind(id) {
            Some(Kind::Ip { v4_bits, v6_bits, .. }) => (*v4_bits, *v6_bits),
            _ => (32, 64),
        };
        let (bits, all) = if ip.is_ipv4() { (v4, 32) } else { (v6, 128) };
        match IpNet::new(ip, bits) {
            Ok(network) if bits < all => network.trunc().to_string(),
            _ => ip.to_string(),
        }
    }
}

impl Limit {
    /// A quota of this limit as the file writes it; one that came at run time as its
    /// numbers say.
    fn spelled(&self, numbers: [u64; 3]) -> String {
        if let Some((_, text)) = self.written.iter().find(|(known, _)| *known == numbers) {
            return text.to_string();
        }
        let [units, second, _] = numbers;
        let time = Duration::from_nanos(nanos_up(second));
        match self.algorithm {
            Algorithm::Gcra => format!("1 every {time:?}, burst {units}"),
            Algorithm::SlidingLog | Algorithm::SlidingCounter => format!("{units} every {time:?}"),
            Algorithm::Calendar | Algorithm::Leases | Algorithm::Size => units.to_string(),
        }
    }
}

/// Values as text that is safe to print on one line.
fn text_of(bytes: &[u8]) -> String {
    let printable = |c: char| match c {
        c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    };
    String::from_utf8_lossy(bytes).chars().map(printable).collect()
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &[Box<[u8]>]| {
            values.iter().map(|value| text_of(value)).collect::<Vec<_>>().join(" or ")
        };
        match self {
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
            Self::OneOf(values) => f.write_str(&list(values)),
            Self::NoneOf(values) => write!(f, "not {}", list(values)),
        }
    }
}

impl<'p> Explanation<'p> {
    /// The path, made normal: what routes are matched by.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n")?;
    /// let explanation = policy.explain(&policy.request("GET", "/v1//a/../scans/?page=2"));
    /// assert_eq!(explanation.path(), "/v1/scans");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The refusal that turns the request away before any limit is asked.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.ip]\nkind = 'ip'\n\
    ///      [[refuse]]\nname = 'testing'\nnetworks = { ip = ['192.0.2.0/24'] }\n",
    /// )?;
    /// let from = |ip| policy.explain(&policy.request("GET", "/").attribute("ip", ip)).refused();
    /// assert_eq!((from("192.0.2.7"), from("203.0.113.7")), (Some("testing"), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refused(&self) -> Option<&'p str> {
        self.refused.map(|(name, _)| name)
    }

    /// The exemption that lets the request through before any limit is asked.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[[exempt]]\nname = 'probes'\nroutes = ['/health']\n\
    ///      [[limit]]\nname = 'every'\nkey = []\nquota = '1/min'\n",
    /// )?;
    /// let explanation = policy.explain(&policy.request("GET", "/health"));
    /// assert_eq!(explanation.exempt(), Some("probes"));
    /// // What would apply but for that is told all the same.
    /// assert!(explanation.limits().all(|limit| limit.applies()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exempt(&self) -> Option<&'p str> {
        self.exempt.filter(|_| self.refused.is_none())
    }

    /// The limit by which the request is denied because it lacks something, and what: unless
    /// it is [refused](Self::refused) or [exempt](Self::exempt), which goes before.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n[[limit]]\nname = 'each'\nkey = ['user']\nquota = '9/min'\n",
    /// )?;
    /// assert_eq!(policy.explain(&policy.request("GET", "/")).lacking(), Some(("each", "user")));
    /// let ann = policy.request("GET", "/").attribute("user", "ann");
    /// assert_eq!(policy.explain(&ann).lacking(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lacking(&self) -> Option<(&'p str, &'p str)> {
        self.lacking
    }

    /// The penalties whose blocks would hold for the request.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n\
    ///      [[limit]]\nname = 'each'\nkey = ['user']\nmissing = 'skip'\nquota = '9/min'\n\
    ///      [[penalty]]\nname = 'ladder'\nkey = ['user']\n\
    ///      denials = 9\nwithin = '1 h'\nblocks = ['1 d']\n",
    /// )?;
    /// let of = |request| policy.explain(&request).penalties().collect::<Vec<_>>();
    /// assert_eq!(of(policy.request("GET", "/").attribute("user", "ann")), ["ladder"]);
    /// // Who lacks a part of its key is not blocked.
    /// assert!(of(policy.request("GET", "/")).is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn penalties(&self) -> impl ExactSizeIterator<Item = &'p str> {
        self.penalties.iter().map(|(name, _)| *name)
    }

    /// Every limit of the policy, in the order of the file. A limit that stands in for
    /// another comes after that one, and again in its own place.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n\
    ///      [[limit]]\nname = 'each'\nkey = ['user']\nquota = '9/min'\n\
    ///      missing = { limit = 'nobody' }\n\
    ///      [[limit]]\nname = 'nobody'\nroutes = ['/never']\nkey = []\nquota = '1/min'\n",
    /// )?;
    /// let explanation = policy.explain(&policy.request("GET", "/"));
    /// let limits: Vec<_> = explanation.limits().map(|l| (l.name(), l.applies())).collect();
    /// // `nobody` in the place of `each`, and on its own route.
    /// assert_eq!(limits, [("each", false), ("nobody", true), ("nobody", false)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limits(&self) -> impl ExactSizeIterator<Item = &LimitExplanation<'p>> {
        self.limits.iter()
    }
}

impl<'p> LimitExplanation<'p> {
    /// As the file calls it.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'minute'\nkey = []\nquota = '9/min'\n\
    /// #      [[limit]]\nname = 'day'\nkey = []\nquota = '100/d'\n",
    /// # )?;
    /// // `minute` and `day`, in the order of the file.
    /// let explanation = policy.explain(&policy.request("GET", "/"));
    /// assert_eq!(explanation.limits().map(|l| l.name()).collect::<Vec<_>>(), ["minute", "day"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &'p str {
        self.name
    }

    /// How it counts.
    ///
    /// ```
    /// use tollgate::policy::{Algorithm, Policy};
    ///
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'month'\nkey = []\nalgorithm = 'calendar'\nquota = '500/month'\n",
    /// )?;
    /// let explanation = policy.explain(&policy.request("GET", "/"));
    /// assert!(explanation.limits().all(|limit| limit.algorithm() == Algorithm::Calendar));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it applies, and why.
    ///
    /// ```
    /// use tollgate::policy::{Policy, Why};
    ///
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'one'\ngroup = 'api'\nroutes = ['/v1/scans']\n\
    ///      key = []\nquota = '1/min'\n\
    ///      [[limit]]\nname = 'rest'\ngroup = 'api'\nroutes = ['/v1/**']\n\
    ///      key = []\nquota = '9/min'\n",
    /// )?;
    /// let explanation = policy.explain(&policy.request("GET", "/v1/scans"));
    /// let rest = explanation.limits().find(|limit| limit.name() == "rest").ok_or("no `rest`")?;
    /// assert!(matches!(rest.why(), Why::Group { applies: "one", .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn why(&self) -> &Why<'p> {
        &self.why
    }

    /// Whether it would be asked.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'uploads'\nroutes = ['POST /files']\nkey = []\nquota = '1/min'\n",
    /// )?;
    /// let applies = |method| {
    ///     policy.explain(&policy.request(method, "/files")).limits().any(|limit| limit.applies())
    /// };
    /// assert!(applies("POST") && !applies("GET"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn applies(&self) -> bool {
        matches!(self.why, Why::Applies { .. })
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", text_of(self.method.as_bytes()), text_of(self.path.as_bytes()))?;
        for (name, given) in &self.not_understood {
            writeln!(f, "\nmissing: {name}\n  {given} is no value of it")?;
        }
        if let Some((name, status)) = self.refused {
            write!(f, "\nrefused: {name}")?;
            if let Some(status) = status {
                write!(f, " ({status})")?;
            }
            writeln!(f, "\n  no limit is asked; but for that:")?;
        } else if let Some(name) = self.exempt {
            writeln!(f, "\nexempt: {name}\n  no limit is asked; but for that:")?;
        }
        for (name, key) in &self.penalties {
            writeln!(f, "\nmay be blocked: {name}")?;
            keys(f, key)?;
        }
        if let Some((limit, attribute)) = self.lacking {
            writeln!(f, "\ndenied: {limit} needs `{attribute}`, which the request lacks")?;
        }
        self.limits.iter().filter(|limit| limit.applies()).try_for_each(|l| l.fmt(f))?;
        self.limits.iter().filter(|limit| !limit.applies()).try_for_each(|l| l.fmt(f))
    }
}

fn keys(f: &mut fmt::Formatter<'_>, key: &[(&str, String)]) -> fmt::Result {
    let parts: Vec<String> = key.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let key = if parts.is_empty() { "one for everybody".to_owned() } else { parts.join(", ") };
    writeln!(f, "  key    {key}")
}

impl fmt::Display for LimitExplanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applies = if self.applies() { "applies" } else { "does not apply" };
        writeln!(f, "\n{applies}: {} ({})", self.name, self.algorithm.name())?;
        match &self.why {
            Why::Applies { route, key, quota, units, unit, shadow, instead_of } => {
                if let Some(other) = instead_of {
                    writeln!(f, "  in the place of {other}")?;
                }
                if let Some(route) = route {
                    writeln!(f, "  route  {route}")?;
                }
                keys(f, key)?;
                writeln!(f, "  quota  {}", quota.as_deref().unwrap_or("unlimited"))?;
                writeln!(f, "  costs  {units} of {unit}")?;
                if *shadow {
                    writeln!(f, "  shadow: it reports, and denies nothing")?;
                }
                Ok(())
            }
            Why::Route { routes } => writeln!(f, "  no route matches: {}", routes.join(", ")),
            Why::Condition { attribute, wanted, found } => {
                let found = found.as_deref().unwrap_or("missing");
                writeln!(f, "  `{attribute}` should be {wanted}, and is {found}")
            }
            Why::Group { applies } => {
                writeln!(f, "  {applies} goes before it: one limit of a group applies")
            }
            Why::Missing { attribute, otherwise } => {
                write!(f, "  the request lacks `{attribute}`: ")?;
                match otherwise {
                    Otherwise::Skipped => writeln!(f, "it is skipped"),
                    Otherwise::Denied => writeln!(f, "the request is denied"),
                    Otherwise::Limit(other) => writeln!(f, "{other} applies instead"),
                }
            }
        }
    }
}
