//! A dialect speaks: header fields, status and body of one answer.

use super::{
    Answer, Dialect, Fields, Report, Reported, Reset, ResetOf, dialect::Body, problem,
    structured::List,
};
use crate::{decision::Outcome, time::secs_up};
use std::{fmt::Write as _, time::Duration};

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
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

impl Dialect {
    /// Calls `each` with the name and value of every header field that the answer has.
    /// Values are written into `buffer`, which allocates nothing once it has grown.
    ///
    /// Names are tokens, and values printable ASCII, whatever the limits are called.
    pub fn fields(
        &self,
        answer: &Answer<'_>,
        buffer: &mut String,
        mut each: impl FnMut(&str, &str),
    ) {
        match self.headers {
            Fields::XRateLimit => self.x_ratelimit(answer, buffer, &mut each),
            Fields::RateLimit => self.ratelimit(answer, buffer, &mut each),
            Fields::RetryAfter | Fields::None => {}
        }
        if !answer.is_denied() {
            return;
        }
        if let (Some(secs), true) = (retry_after(answer), self.headers != Fields::None) {
            each(self.names.retry_after.as_str(), number(secs, buffer));
        }
        each("Cache-Control", "no-store");
        if let Some(body) = self.body_of(answer) {
            each("Content-Type", self.media_of(body).0);
        }
    }

    /// The status of a denial; `None` when the request may pass. The answer's own, else
    /// 403 of a refusal, else `status_never` where waiting does not help with a limit,
    /// else `status`.
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
    pub fn body(&self, answer: &Answer<'_>, out: &mut String) -> bool {
        out.clear();
        let Some((body, status)) = self.body_of(answer).zip(self.status(answer)) else {
            return false;
        };
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
    pub fn response(&self, answer: &Answer<'_>) -> Response {
        let mut fields = Vec::new();
        let mut text = String::new();
        self.fields(answer, &mut text, |name, value| {
            fields.push((name.to_owned(), value.to_owned()));
        });
        let body = self.body(answer, &mut text).then_some(text);
        Response { status: self.status(answer), fields, body }
    }

    fn x_ratelimit(
        &self,
        answer: &Answer<'_>,
        buffer: &mut String,
        each: &mut impl FnMut(&str, &str),
    ) {
        let Some(told) = self.reported(answer) else { return };
        let Some((limit, remaining)) = told.numbers() else { return };
        each(self.names.limit.as_str(), number(limit, buffer));
        each(self.names.remaining.as_str(), number(remaining, buffer));
        if let Some(reset) = self.reset(answer, told, self.reset) {
            each(self.names.reset.as_str(), number(reset, buffer));
        }
    }

    fn ratelimit(
        &self,
        answer: &Answer<'_>,
        buffer: &mut String,
        each: &mut impl FnMut(&str, &str),
    ) {
        let mut list = List::new(buffer);
        for limit in answer.limits().iter().filter(|limit| !limit.shadow) {
            if let Some(((quota, _), unit)) = limit.numbers().zip(self.units.of(limit.unit)) {
                list.policy(limit.name, quota, unit, limit.window);
            }
        }
        if let Some(value) = list.finish() {
            each(self.names.policy.as_str(), value);
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
            each(self.names.ratelimit.as_str(), value);
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

fn number(number: u64, buffer: &mut String) -> &str {
    buffer.clear();
    let _ = write!(buffer, "{number}");
    buffer
}
