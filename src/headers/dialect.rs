//! What an API says of its limits, and in which words: data.

use super::{
    DialectError,
    field::Field,
    structured,
    template::{Syntax, Template},
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Which header fields and bodies an API sends: the `[response]` table of a policy.
///
/// Every key is optional, and one that does not exist is an error:
///
/// | key | values | default |
/// |---|---|---|
/// | `headers` | `"x-ratelimit"`, `"ratelimit"`, `"retry-after"`, `"none"`: see [`Fields`] | `"x-ratelimit"` |
/// | `reset` | `"epoch"`, `"delta"`: see [`Reset`] | `"epoch"` |
/// | `reset_of` | `"next"`, `"full"`: see [`ResetOf`] | `"next"` |
/// | `report` | `"binding"`, `"all"`, or a limit's name: see [`Report`] | `"binding"` |
/// | `names` | other names for fields: `limit`, `remaining`, `reset`, `retry_after`, `policy`, `ratelimit` | the usual ones |
/// | `units` | units -> what the draft's parameter `qu` calls them | `requests`, `bytes` and the draft's own |
/// | `status` | 400 to 599 | 429 |
/// | `status_never` | that of a limit's denial which waiting does not help | `status` |
/// | `body` | a text with words in braces, or `"problem"`: see [the module](super#bodies) | none |
/// | `body_never` | the same, for denials without a time to wait | `body` |
/// | `bodies` | the same, by the name of the limit (or block, or rule) that denies | none |
/// | `content_type` | that of all bodies but `"problem"` | JSON for what begins like it, else plain text |
///
/// ```
/// use tollgate::headers::Dialect;
///
/// let dialect: Dialect = serde_json::from_str(r#"{
///     "headers": "x-ratelimit",
///     "reset": "delta",
///     "names": { "limit": "RateLimit-Limit", "remaining": "RateLimit-Remaining" },
///     "body": "{\"error\": \"slow down\", \"limit\": {limit}, \"retry_after\": {retry_after}}"
/// }"#)?;
/// assert!(serde_json::from_str::<Dialect>(r#"{ "heders": "none" }"#).is_err());
/// assert!(serde_json::from_str::<Dialect>(r#"{ "body": "wait {retry-after}" }"#).is_err());
/// # let _ = dialect;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// The header fields.
    pub(super) headers: Fields,
    /// `X-RateLimit-Reset` in seconds since 1970, or from now.
    pub(super) reset: Reset,
    /// When the next unit is back, or when all are.
    pub(super) reset_of: ResetOf,
    /// The limit that is told of: `binding` is the one nearest to denying, of all or of
    /// one group; `all` is for `ratelimit`.
    pub(super) report: Report,
    /// Other names of header fields.
    pub(super) names: Names,
    /// What `qu` of the IETF draft calls units, by ours.
    pub(super) units: Units,
    /// The status of a denial, unless its limit has one.
    #[cfg_attr(test, schemars(range(min = 400, max = 599)))]
    pub(super) status: Status,
    /// The status of a denial that waiting does not help. Default: `status`.
    #[cfg_attr(test, schemars(range(min = 400, max = 599)))]
    pub(super) status_never: Option<Status>,
    /// The body of a denial, with `{limit}`, `{remaining}`, `{retry_after}`, `{reset}`,
    /// `{name}`, `{status}` and `{unit}`; or `problem` (RFC 9457). Default: none.
    pub(super) body: Option<Body>,
    /// The body where there is no time to wait. Default: `body`.
    pub(super) body_never: Option<Body>,
    /// Bodies by the name of the limit, refusal or penalty that denies.
    pub(super) bodies: BTreeMap<String, Body>,
    /// The type of these bodies. Default: JSON for what begins like it, else plain text.
    pub(super) content_type: Option<ContentType>,
}

/// Which header fields are sent.
///
/// ```
/// use tollgate::headers::{Answer, Dialect, Fields, Reported};
/// use tollgate::{Limiter, ManualClock, Nanos, Quota};
///
/// let limiter =
///     Limiter::sliding_log(Quota::n_per_minute(5)?).clock(ManualClock::new()).try_build()?;
/// let limits = [Reported::from_decision("api", &limiter.check())];
/// let answer = Answer::new(&limits, Nanos::from_secs(1_700_000_000));
/// let told = |fields| Dialect::new(fields).response(&answer);
/// assert_eq!(told(Fields::XRateLimit).field("X-RateLimit-Remaining"), Some("4"));
/// assert_eq!(told(Fields::RateLimit).field("RateLimit"), Some(r#""api";r=4;t=60"#));
/// // It is allowed, so there is nothing to wait for.
/// assert!(told(Fields::RetryAfter).fields.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fields {
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset` on every response, `Retry-After` on
    /// denials.
    #[default]
    #[serde(rename = "x-ratelimit")]
    XRateLimit,
    /// `RateLimit-Policy` and `RateLimit` on every response, as
    /// draft-ietf-httpapi-ratelimit-headers has them in its revisions 08 to 11;
    /// `Retry-After` on denials.
    #[serde(rename = "ratelimit")]
    RateLimit,
    /// `Retry-After` on denials alone.
    RetryAfter,
    /// Nothing that tells of limits.
    None,
}

/// How `X-RateLimit-Reset` is counted. The draft's `t` is always a delta.
///
/// ```
/// use tollgate::headers::{Dialect, Fields, Reset};
///
/// // In a file, or as JSON, it is `epoch` or `delta`.
/// let dialect: Dialect = serde_json::from_str(r#"{ "reset": "delta" }"#)?;
/// assert_eq!(dialect, Dialect::new(Fields::XRateLimit).with_reset(Reset::Delta));
/// assert_eq!(Reset::default(), Reset::Epoch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// Seconds since 1970.
    #[default]
    Epoch,
    /// Seconds from now.
    Delta,
}

/// What a reset is the time of.
///
/// ```
/// use tollgate::headers::{Dialect, Fields, ResetOf};
///
/// let dialect: Dialect = serde_json::from_str(r#"{ "reset_of": "full" }"#)?;
/// assert_eq!(dialect, Dialect::new(Fields::XRateLimit).with_reset_of(ResetOf::Full));
/// assert_eq!(ResetOf::default(), ResetOf::Next);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "kebab-case")]
pub enum ResetOf {
    /// More remains than now: the oldest request leaves the window, the next unit is back.
    #[default]
    Next,
    /// All of it is back.
    Full,
}

/// Which limit the fields tell of.
///
/// ```
/// use tollgate::headers::{Dialect, Report};
///
/// let report = |text| serde_json::from_str(text).map(|dialect: Dialect| dialect.report().clone());
/// assert_eq!(report(r#"{ "report": "all" }"#)?, Report::All);
/// // Any other word is the name of a limit.
/// assert_eq!(report(r#"{ "report": "uploads" }"#)?, Report::Limit("uploads".to_owned()));
/// assert_eq!(report("{}")?, Report::Binding);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "String")]
#[non_exhaustive]
pub enum Report {
    /// The one that [binds](super::Answer::binding).
    #[default]
    Binding,
    /// In the draft's `RateLimit`, every limit. Elsewhere there is room for one: that
    /// which binds.
    All,
    /// The limit of this name, a shadow too. Where it was not asked, nothing is told.
    Limit(String),
    /// Of the limits of these names, the one that binds. Where none of them was asked,
    /// nothing is told.
    Among(Vec<String>),
}

impl From<String> for Report {
    fn from(text: String) -> Self {
        match text.as_str() {
            "binding" => Self::Binding,
            "all" => Self::All,
            _ => Self::Limit(text),
        }
    }
}

/// What the fields are called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(super) struct Names {
    /// Default: `X-RateLimit-Limit`.
    pub(super) limit: FieldName,
    /// Default: `X-RateLimit-Remaining`.
    pub(super) remaining: FieldName,
    /// Default: `X-RateLimit-Reset`.
    pub(super) reset: FieldName,
    /// Default: `Retry-After`.
    pub(super) retry_after: FieldName,
    /// Default: `RateLimit-Policy`.
    pub(super) policy: FieldName,
    /// Default: `RateLimit`.
    pub(super) ratelimit: FieldName,
}

impl Default for Names {
    fn default() -> Self {
        let name = |name: &str| FieldName(name.to_owned());
        Self {
            limit: name("X-RateLimit-Limit"),
            remaining: name("X-RateLimit-Remaining"),
            reset: name("X-RateLimit-Reset"),
            retry_after: name("Retry-After"),
            policy: name("RateLimit-Policy"),
            ratelimit: name("RateLimit"),
        }
    }
}

/// A field's name, a token of RFC 9110.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub(super) struct FieldName(String);

impl TryFrom<String> for FieldName {
    type Error = DialectError;

    fn try_from(name: String) -> Result<Self, DialectError> {
        let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if !name.is_empty() && name.bytes().all(token) {
            Ok(Self(name))
        } else {
            Err(DialectError::FieldName(name))
        }
    }
}

/// The draft's names of units by ours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "BTreeMap<String, String>")]
pub(super) struct Units(BTreeMap<String, String>);

impl Default for Units {
    fn default() -> Self {
        let pair = |ours: &str, draft: &str| (ours.to_owned(), draft.to_owned());
        Self(BTreeMap::from([
            pair("requests", "requests"),
            pair("bytes", "content-bytes"),
            pair("content-bytes", "content-bytes"),
            pair("concurrent-requests", "concurrent-requests"),
        ]))
    }
}

impl TryFrom<BTreeMap<String, String>> for Units {
    type Error = DialectError;

    fn try_from(more: BTreeMap<String, String>) -> Result<Self, DialectError> {
        if let Some(unit) = more.values().find(|unit| !structured::is_string(unit)) {
            return Err(DialectError::Unit(unit.clone()));
        }
        let mut units = Self::default();
        units.0.extend(more);
        Ok(units)
    }
}

impl Units {
    pub(super) fn of(&self, unit: &str) -> Option<&str> {
        self.0.get(unit).map(String::as_str)
    }
}

/// A status that denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(try_from = "u16")]
pub(super) struct Status(pub(super) u16);

impl Default for Status {
    fn default() -> Self {
        Self(429)
    }
}

impl TryFrom<u16> for Status {
    type Error = DialectError;

    fn try_from(status: u16) -> Result<Self, DialectError> {
        if (400..600).contains(&status) {
            Ok(Self(status))
        } else {
            Err(DialectError::Status(status))
        }
    }
}

/// A body: RFC 9457's, or one's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub(super) enum Body {
    Problem,
    #[cfg_attr(test, schemars(skip))]
    Template(Template),
}

impl TryFrom<String> for Body {
    type Error = DialectError;

    fn try_from(text: String) -> Result<Self, DialectError> {
        match text.as_str() {
            "problem" => Ok(Self::Problem),
            text => Template::new(text).map(Self::Template),
        }
    }
}

/// A media type that can be the value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub(super) struct ContentType(String);

impl TryFrom<String> for ContentType {
    type Error = DialectError;

    fn try_from(text: String) -> Result<Self, DialectError> {
        let written = text.bytes().all(|c| matches!(c, b' '..=b'~'));
        let essence = text.split(';').next().unwrap_or_default().trim_end();
        let typed = essence.split_once('/').is_some_and(|(kind, sub)| {
            !kind.is_empty() && !sub.is_empty() && !essence.contains([' ', ','])
        });
        if written && typed { Ok(Self(text)) } else { Err(DialectError::ContentType(text)) }
    }
}

impl Dialect {
    /// The defaults but for the fields.
    ///
    /// ```
    /// use tollgate::headers::{Dialect, Fields};
    ///
    /// // The defaults: `X-RateLimit-*`, resets in seconds since 1970, 429, and no body.
    /// assert_eq!(Dialect::new(Fields::XRateLimit), Dialect::default());
    /// assert_eq!(Dialect::new(Fields::RetryAfter).headers(), Fields::RetryAfter);
    /// ```
    pub fn new(fields: Fields) -> Self {
        Self { headers: fields, ..Self::default() }
    }

    /// Resets are counted like this.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, Fields, Reported, Reset};
    /// use tollgate::{Limiter, ManualClock, Nanos, Quota};
    ///
    /// let limiter =
    ///     Limiter::sliding_log(Quota::n_per_minute(5)?).clock(ManualClock::new()).try_build()?;
    /// let limits = [Reported::from_decision("api", &limiter.check())];
    /// let answer = Answer::new(&limits, Nanos::from_secs(1_700_000_000));
    /// let told = |reset| {
    ///     let dialect = Dialect::new(Fields::XRateLimit).with_reset(reset);
    ///     dialect.response(&answer).field("X-RateLimit-Reset").map(str::to_owned)
    /// };
    /// assert_eq!(told(Reset::Epoch).as_deref(), Some("1700000060"));
    /// assert_eq!(told(Reset::Delta).as_deref(), Some("60"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_reset(self, reset: Reset) -> Self {
        Self { reset, ..self }
    }

    /// Resets are the times of this.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, Fields, Reported, Reset, ResetOf};
    /// use tollgate::{Limiter, ManualClock, Nanos, Quota};
    ///
    /// // One unit is back every second, and three of them were taken.
    /// let limiter =
    ///     Limiter::gcra(Quota::n_per_minute(60)?).clock(ManualClock::new()).try_build()?;
    /// let limits = [Reported::from_decision("api", &limiter.check_n(3))];
    /// let answer = Answer::new(&limits, Nanos::from_secs(1_700_000_000));
    /// let dialect = Dialect::new(Fields::XRateLimit).with_reset(Reset::Delta);
    /// let told = |dialect: Dialect| {
    ///     dialect.response(&answer).field("X-RateLimit-Reset").map(str::to_owned)
    /// };
    /// assert_eq!(told(dialect.clone().with_reset_of(ResetOf::Next)).as_deref(), Some("1"));
    /// assert_eq!(told(dialect.with_reset_of(ResetOf::Full)).as_deref(), Some("3"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_reset_of(self, reset_of: ResetOf) -> Self {
        Self { reset_of, ..self }
    }

    /// The fields tell of this limit.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, Fields, Report, Reported, unix_now};
    /// use tollgate::{Limiter, Quota};
    ///
    /// let minute = Limiter::sliding_log(Quota::n_per_minute(5)?).try_build()?;
    /// let day = Limiter::sliding_log(Quota::n_per_day(100)?).try_build()?;
    /// let limits = [
    ///     Reported::from_decision("minute", &minute.check()),
    ///     Reported::from_decision("day", &day.check()),
    /// ];
    /// let told = |report| {
    ///     let dialect = Dialect::new(Fields::XRateLimit).with_report(report);
    ///     let response = dialect.response(&Answer::new(&limits, unix_now()));
    ///     response.field("X-RateLimit-Remaining").map(str::to_owned)
    /// };
    /// assert_eq!(told(Report::Binding).as_deref(), Some("4"));
    /// assert_eq!(told(Report::Limit("day".to_owned())).as_deref(), Some("99"));
    /// assert_eq!(told(Report::Limit("week".to_owned())), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_report(self, report: Report) -> Self {
        Self { report, ..self }
    }

    /// Denials have this body: a text with words in braces, or `problem`.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, DialectError, Fields, unix_now};
    ///
    /// let dialect = Dialect::new(Fields::None).with_body(r#"{"blocked by": {name}}"#)?;
    /// let answer = Answer::blocked("ladder", None, &[], unix_now());
    /// assert_eq!(dialect.response(&answer).body.as_deref(), Some(r#"{"blocked by": "ladder"}"#));
    ///
    /// let misspelt = Dialect::default().with_body("wait for {retry-after} s");
    /// assert_eq!(misspelt, Err(DialectError::Placeholder("retry-after".to_owned())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The text has a word in braces that is none of [those known](super#bodies).
    pub fn with_body(self, text: &str) -> Result<Self, DialectError> {
        Ok(Self { body: Some(Body::try_from(text.to_owned())?), ..self })
    }

    /// Denials have this status.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, unix_now};
    ///
    /// let dialect = Dialect::default().with_status(503)?;
    /// assert_eq!(dialect.status(&Answer::blocked("ladder", None, &[], unix_now())), Some(503));
    /// assert!(Dialect::default().with_status(200).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// It is not within 400 to 599.
    pub fn with_status(self, status: u16) -> Result<Self, DialectError> {
        Ok(Self { status: Status::try_from(status)?, ..self })
    }

    /// Which fields are sent.
    ///
    /// ```
    /// use tollgate::headers::{Dialect, Fields};
    ///
    /// assert_eq!(Dialect::default().headers(), Fields::XRateLimit);
    /// ```
    pub const fn headers(&self) -> Fields {
        self.headers
    }

    /// Which limit the fields tell of.
    ///
    /// ```
    /// use tollgate::headers::{Dialect, Report};
    ///
    /// let dialect = Dialect::default().with_report(Report::Limit("uploads".to_owned()));
    /// // A limit that does not exist would never be told of: who knows them all can look.
    /// let known = ["downloads", "uploads"];
    /// assert!(matches!(dialect.report(), Report::Limit(name) if known.contains(&name.as_str())));
    /// ```
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The names that have a body of their own: of limits, blocks, or rules. Whoever
    /// knows them all can tell a misspelt one.
    ///
    /// ```
    /// use tollgate::headers::Dialect;
    ///
    /// let dialect: Dialect = serde_json::from_str(
    ///     r#"{ "bodies": { "uploads": "too many uploads", "ladder": "come back tomorrow" } }"#,
    /// )?;
    /// assert_eq!(dialect.names_of_bodies().collect::<Vec<_>>(), ["ladder", "uploads"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn names_of_bodies(&self) -> impl Iterator<Item = &str> {
        self.bodies.keys().map(String::as_str)
    }

    /// Whether any denial has a body.
    #[cfg(feature = "policy")]
    pub(crate) fn has_bodies(&self) -> bool {
        self.body.is_some() || self.body_never.is_some() || !self.bodies.is_empty()
    }

    /// Whether an answer tells of times since 1970: `now` makes no difference to others.
    #[cfg(feature = "policy")]
    pub(crate) fn reads_wall(&self, denied: bool) -> bool {
        let told = self.headers == Fields::XRateLimit || (denied && self.has_bodies());
        told && self.reset == Reset::Epoch
    }

    /// Whether answers to requests that pass tell of limits, too.
    #[cfg(feature = "tower")]
    pub(crate) fn tells_of_all(&self) -> bool {
        matches!(self.headers, Fields::XRateLimit | Fields::RateLimit)
    }

    /// What a field is called.
    pub(super) fn name_of(&self, field: Field) -> &str {
        let name = match field {
            Field::Limit => &self.names.limit,
            Field::Remaining => &self.names.remaining,
            Field::Reset => &self.names.reset,
            Field::RetryAfter => &self.names.retry_after,
            Field::Policy => &self.names.policy,
            Field::RateLimit => &self.names.ratelimit,
            Field::CacheControl => return "Cache-Control",
            Field::ContentType => return "Content-Type",
        };
        &name.0
    }

    /// What a body is: its media type, and how it is written.
    pub(super) fn media_of<'d>(&'d self, body: &'d Body) -> (&'d str, Syntax) {
        let content_type = match (body, &self.content_type) {
            (Body::Problem, _) => "application/problem+json",
            (Body::Template(_), Some(ContentType(given))) => given,
            (Body::Template(template), None) => template.content_type(),
        };
        (content_type, Syntax::of(content_type))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Dialect, String> {
        serde_json::from_str(toml).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_the_default() {
        assert_eq!(read("{}").unwrap(), Dialect::default());
        assert_eq!(Dialect::default(), Dialect::new(Fields::XRateLimit));
    }

    #[test]
    fn every_key_is_read() {
        let dialect = read(
            r#"{ "headers": "ratelimit", "reset": "delta", "reset_of": "full", "report": "api",
                "names": { "limit": "L", "remaining": "M", "reset": "R", "retry_after": "T",
                           "policy": "P", "ratelimit": "I" },
                "units": { "tokens": "tokens" }, "status": 503, "status_never": 413,
                "body": "problem", "body_never": "no", "bodies": { "a": "b", "c": "problem" },
                "content_type": "text/html; charset=utf-8" }"#,
        )
        .unwrap();
        let dialect = dialect.with_reset(Reset::Epoch).with_reset_of(ResetOf::Next);
        assert_eq!(dialect.headers(), Fields::RateLimit);
        assert_eq!(dialect.report(), &Report::Limit("api".to_owned()));
        assert_eq!(dialect.names_of_bodies().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(dialect.units.of("tokens"), Some("tokens"));
        assert_eq!(dialect.units.of("bytes"), Some("content-bytes"));
        assert_eq!((dialect.status.0, dialect.status_never.unwrap().0), (503, 413));
        for (text, fields) in [
            ("x-ratelimit", Fields::XRateLimit),
            ("ratelimit", Fields::RateLimit),
            ("retry-after", Fields::RetryAfter),
            ("none", Fields::None),
        ] {
            assert_eq!(read(&format!(r#"{{"headers":"{text}"}}"#)).unwrap().headers(), fields);
        }
        for (text, report) in [("all", Report::All), ("binding", Report::Binding)] {
            assert_eq!(*read(&format!(r#"{{"report":"{text}"}}"#)).unwrap().report(), report);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (text, says) in [
            (r#"{ "header": "none" }"#, "unknown field `header`"),
            (r#"{ "headers": "x-rate-limit" }"#, "expected one of `x-ratelimit`"),
            (r#"{ "names": { "Limit": "X" } }"#, "unknown field `Limit`"),
            (r#"{ "names": { "limit": "X Limit" } }"#, "\"X Limit\" is no name of a header field"),
            (r#"{ "names": { "limit": "" } }"#, "no name of a header field"),
            (r#"{ "names": { "limit": "X\r\nSet-Cookie" } }"#, "no name of a header field"),
            (r#"{ "names": { "limit": "X:" } }"#, "no name of a header field"),
            (r#"{ "status": 200 }"#, "200 is no status of a denial"),
            (r#"{ "status": 600 }"#, "600 is no status of a denial"),
            (r#"{ "status_never": 399 }"#, "399 is no status of a denial"),
            (r#"{ "body": "in {retry_after_secs} s" }"#, "{retry_after_secs}"),
            (r#"{ "bodies": { "a": "{nam}" } }"#, "{nam}"),
            (r#"{ "content_type": "json" }"#, "\"json\" is no media type"),
            (r#"{ "content_type": "a/b\r\nX: y" }"#, "is no media type"),
            (r#"{ "content_type": "a/b, c/d" }"#, "is no media type"),
            (r#"{ "units": { "files": "é" } }"#, "\"é\" cannot be written"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(Dialect::default().with_status(399).is_err());
        assert!(Dialect::default().with_body("{x}").is_err());
    }

    /// What editors are told of the table agrees with what is read.
    #[test]
    fn schema_has_every_key() {
        let schema = schemars::schema_for!(Dialect);
        let keys = schema.as_value()["properties"].as_object().unwrap();
        let mut keys: Vec<_> = keys.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let read = read(r#"{ "?": 0 }"#).unwrap_err();
        assert_eq!(keys.len(), 12);
        assert!(keys.iter().all(|key| read.contains(&format!("`{key}`"))), "{read}");
    }

    /// In a policy file, errors point at the value.
    #[test]
    #[cfg(feature = "policy")]
    fn errors_stand_where_the_value_is() {
        let table = "status = 429\nbody = 'in {second} s'\nnames = { limit = 'a b' }\n";
        for (wrong, fix) in [("'in {second} s'", "'problem'"), ("'a b'", "'a-b'")] {
            let other = if wrong == "'a b'" { "'in {second} s'" } else { "'a b'" };
            let text = table.replace(other, "'x'");
            let span = toml::from_str::<Dialect>(&text).unwrap_err().span().unwrap();
            assert_eq!(text.get(span), Some(wrong));
            assert!(toml::from_str::<Dialect>(&text.replace(wrong, fix)).is_ok());
        }
    }
}
