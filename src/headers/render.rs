//! A dialect speaks: header fields, status and body of one answer.

use super::{
    Answer, Dialect, Fields, Report, Reported, Reset, ResetOf,
    dialect::Body,
    field::{Field, Value},
    problem,
    structured::List,
};
use crate::{decision::Outcome, time::secs_up};
use std::time::Duration;

/// What a body may tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) retry_after: Option<u64>,
    pub(super) reset: Option<u64>,
    pub(super) name: Option<&'a str>,
    pub(super) unit: Option<&'a str>,
    pub(super) status: u16,
}

/// Everything a dialect says of one answer, collected.
///
/// Servers that send many of them call [`Dialect::fields`] and [`Dialect::body`], which
/// collect nothing.
///
/// ```
/// use tollgate::headers::{Answer, Dialect, Fields, unix_now};
///
/// let answer = Answer::refused("no robots", &[], unix_now());
/// let response = Dialect::new(Fields::None).with_body("denied by {name}")?.response(&answer);
/// assert_eq!(response.status, Some(403));
/// assert_eq!(response.body.as_deref(), Some("denied by no robots"));
/// for (name, value) in &response.fields {
///     println!("{name}: {value}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status of a denial. What is allowed has that of whatever was asked for.
    pub status: Option<u16>,
    /// Names and values, in the order of sending.
    pub fields: Vec<(String, String)>,
    /// The body of a denial, if the dialect has one.
    pub body: Option<String>,
}

impl Response {
    /// The value of the field of that name, in whichever case.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, unix_now};
    ///
    /// let response = Dialect::default().response(&Answer::refused("no robots", &[], unix_now()));
    /// assert_eq!(response.field("cache-control"), Some("no-store"));
    /// assert_eq!(response.field("Retry-After"), None); // waiting does not help
    /// ```
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

impl Dialect {
    /// Calls `each` with the name and value of every header field that the answer has.
    /// Lists are written into `buffer`, which allocates nothing once it has grown.
    ///
    /// Names are tokens, and values printable ASCII, whatever the limits are called.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::headers::{Answer, Dialect, unix_now};
    ///
    /// let dialect = Dialect::default().with_body("problem")?;
    /// let answer = Answer::blocked("ladder", Some(Duration::from_millis(1_500)), &[], unix_now());
    /// let (mut buffer, mut head) = (String::new(), Vec::new());
    /// dialect.fields(&answer, &mut buffer, |name, value| head.push(format!("{name}: {value}")));
    /// assert_eq!(
    ///     head,
    ///     ["Retry-After: 2", "Cache-Control: no-store", "Content-Type: application/problem+json"],
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fields(
        &self,
        answer: &Answer<'_>,
        buffer: &mut String,
        mut each: impl FnMut(&str, &str),
    ) {
        self.each_field(answer, buffer, |field, value| {
            let mut digits = itoa::Buffer::new();
            let value = match value {
                Value::Number(number) => digits.format(number),
                Value::Text(text) | Value::Fixed(text) => text,
            };
            each(self.name_of(field), value);
        });
    }

    /// The same, of which others make texts.
    pub(super) fn each_field(
        &self,
        answer: &Answer<'_>,
        buffer: &mut String,
        mut each: impl FnMut(Field, Value<'_>),
    ) {
        match self.headers {
            Fields::XRateLimit => self.x_ratelimit(answer, &mut each),
            Fields::RateLimit => self.ratelimit(answer, buffer, &mut each),
            Fields::RetryAfter | Fields::None => {}
        }
        if !answer.is_denied() {
            return;
        }
        if let (Some(secs), true) = (retry_after(answer), self.headers != Fields::None) {
            each(Field::RetryAfter, Value::Number(secs));
        }
        each(Field::CacheControl, Value::Fixed("no-store"));
        if let Some(body) = self.body_of(answer) {
            each(Field::ContentType, Value::Text(self.media_of(body).0));
        }
    }

    /// The status of a denial; `None` when the request may pass. The answer's own, else
    /// 403 of a refusal, else `status_never` where waiting does not help with a limit,
    /// else `status`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::headers::{Answer, Dialect, unix_now};
    ///
    /// let dialect = Dialect::default();
    /// let second = Some(Duration::from_secs(1));
    /// assert_eq!(dialect.status(&Answer::new(&[], unix_now())), None);
    /// assert_eq!(dialect.status(&Answer::blocked("ladder", second, &[], unix_now())), Some(429));
    /// assert_eq!(dialect.status(&Answer::refused("no robots", &[], unix_now())), Some(403));
    /// ```
    pub fn status(&self, answer: &Answer<'_>) -> Option<u16> {
        if !answer.is_denied() {
            return None;
        }
        let never = self.status_never.filter(|_| {
            answer.outcome() == Outcome::Never && !answer.is_block() && !answer.is_refusal()
        });
        let usual = if answer.is_refusal() { 403 } else { never.unwrap_or(self.status).0 };
        Some(answer.own_status().unwrap_or(usual))
    }

    /// Writes the body of a denial into `out`, in place of what was there. `false`, with
    /// nothing in it, when the request may pass or the dialect has no body for it.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, Fields, unix_now};
    ///
    /// let dialect = Dialect::new(Fields::None).with_body("{status}: {name}")?;
    /// let mut out = String::from("what was there");
    /// assert!(dialect.body(&Answer::refused("no robots", &[], unix_now()), &mut out));
    /// assert_eq!(out, "403: no robots");
    /// assert!(!dialect.body(&Answer::new(&[], unix_now()), &mut out) && out.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn body(&self, answer: &Answer<'_>, out: &mut String) -> bool {
        out.clear();
        let Some((body, status)) = self.body_of(answer).zip(self.status(answer)) else {
            return false;
        };
        // Most bodies have room in it.
        out.reserve(256);
        match body {
            Body::Problem => problem::write(answer, status, retry_after(answer), out),
            Body::Template(template) => {
                let told = self.told(answer, status);
                template.render(&told, self.media_of(body).1, out);
            }
        }
        true
    }

    /// All of it at once.
    ///
    /// ```
    /// use tollgate::headers::{Answer, Dialect, Fields, Reported};
    /// use tollgate::{Limiter, ManualClock, Nanos, Quota};
    ///
    /// let limiter =
    ///     Limiter::sliding_log(Quota::n_per_minute(1)?).clock(ManualClock::new()).try_build()?;
    /// let _ = limiter.check();
    /// let limits = [Reported::from_decision("api", &limiter.check())];
    /// let answer = Answer::new(&limits, Nanos::from_secs(1_700_000_000));
    /// let response = Dialect::new(Fields::RateLimit).with_body("problem")?.response(&answer);
    /// assert_eq!(response.field("RateLimit-Policy"), Some(r#""api";q=1"#));
    /// assert_eq!(response.field("RateLimit"), Some(r#""api";r=0;t=60"#));
    /// assert!(response.body.is_some_and(|body| body.contains("quota-exceeded")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn response(&self, answer: &Answer<'_>) -> Response {
        let mut fields = Vec::new();
        let mut text = String::new();
        self.fields(answer, &mut text, |name, value| {
            fields.push((name.to_owned(), value.to_owned()));
        });
        let body = self.body(answer, &mut text).then_some(text);
        Response { status: self.status(answer), fields, body }
    }

    fn x_ratelimit(&self, answer: &Answer<'_>, each: &mut impl FnMut(Field, Value<'_>)) {
        let Some(told) = self.reported(answer) else { return };
        let Some((limit, remaining)) = told.numbers() else { return };
        each(Field::Limit, Value::Number(limit));
        each(Field::Remaining, Value::Number(remaining));
        if let Some(reset) = self.reset(answer, told, self.reset) {
            each(Field::Reset, Value::Number(reset));
        }
    }

    fn ratelimit(
        &self,
        answer: &Answer<'_>,
        buffer: &mut String,
        each: &mut impl FnMut(Field, Value<'_>),
    ) {
        let mut list = List::new(buffer);
        for limit in answer.limits().iter().filter(|limit| !limit.shadow) {
            if let Some(((quota, _), unit)) = limit.numbers().zip(self.units.of(limit.unit)) {
                list.policy(limit.name, quota, unit, limit.window);
            }
        }
        if let Some(value) = list.finish() {
            each(Field::Policy, Value::Text(value));
        }

        let mut list = List::new(buffer);
        let mut tell = |limit: &Reported<'_>| {
            if let Some(((_, left), _)) = limit.numbers().zip(self.units.of(limit.unit)) {
                list.service_limit(limit.name, left, self.effective_window(answer, limit));
            }
        };
        if self.report == Report::All {
            answer.limits().iter().filter(|limit| !limit.shadow).for_each(tell);
        } else if let Some(limit) = self.reported(answer) {
            tell(limit);
        }
        if let Some(value) = list.finish() {
            each(Field::RateLimit, Value::Text(value));
        }
    }

    /// The limit that the fields tell of.
    fn reported<'a>(&self, answer: &Answer<'a>) -> Option<&'a Reported<'a>> {
        match &self.report {
            Report::Binding | Report::All => answer.binding(),
            Report::Limit(name) => answer.limits().iter().find(|limit| limit.name == name),
            Report::Among(names) => {
                answer.binding_of(|limit| names.iter().any(|n| n == limit.name))
            }
        }
    }

    fn reset_of(&self, limit: &Reported<'_>) -> Option<Duration> {
        match self.reset_of {
            ResetOf::Next => limit.reset_next,
            ResetOf::Full => limit.reset_full,
        }
    }

    /// The reset in seconds. That of a denial lies ahead.
    fn reset(&self, answer: &Answer<'_>, limit: &Reported<'_>, reset: Reset) -> Option<u64> {
        let least = Duration::from_nanos(u64::from(answer.is_denied()));
        let after = self.reset_of(limit)?.max(least);
        Some(match reset {
            Reset::Delta => secs_up(after),
            Reset::Epoch => {
                secs_up(Duration::from_nanos(answer.now().as_u64()).saturating_add(after))
            }
        })
    }

    /// The draft's `t`. It ends no later than `Retry-After`, which the draft asks for; and
    /// of what was never touched there is none.
    fn effective_window(&self, answer: &Answer<'_>, limit: &Reported<'_>) -> Option<u64> {
        let secs = self.reset(answer, limit, Reset::Delta).filter(|&secs| secs > 0)?;
        Some(retry_after(answer).map_or(secs, |wait| secs.min(wait)))
    }

    /// The body of an answer, if it has one.
    fn body_of(&self, answer: &Answer<'_>) -> Option<&Body> {
        if !answer.is_denied() {
            return None;
        }
        let own = answer.denied_by().and_then(|name| self.bodies.get(name));
        let never = self.body_never.as_ref().filter(|_| answer.retry_after().is_none());
        own.or(never).or(self.body.as_ref())
    }

    /// What a body tells: of the limit that denies, whichever the fields tell of.
    fn told<'a>(&self, answer: &Answer<'a>, status: u16) -> Told<'a> {
        let limit = answer.violated();
        let numbers = limit.and_then(Reported::numbers);
        Told {
            limit: numbers.map(|(limit, _)| limit),
            remaining: numbers.map(|(_, remaining)| remaining),
            retry_after: retry_after(answer),
            reset: limit.and_then(|limit| self.reset(answer, limit, self.reset)),
            name: answer.denied_by(),
            unit: limit.map(|limit| limit.unit),
            status,
        }
    }
}

/// Seconds to wait: rounded up, and never 0.
fn retry_after(answer: &Answer<'_>) -> Option<u64> {
    answer.retry_after().map(|wait| secs_up(wait).max(1))
}
