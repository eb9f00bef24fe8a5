//! `application/problem+json` (RFC 9457), with the problem types of the IETF draft.

use super::{Answer, template::json_string};
use std::fmt::Write as _;

const QUOTA_EXCEEDED: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#quota-exceeded",
    "Request cannot be satisfied as assigned quota has been exceeded",
);
const ABNORMAL_USAGE: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
    "Request not satisfied due to detection of abnormal request pattern",
);

/// Appends the problem that a denial is.
pub(super) fn write(answer: &Answer<'_>, status: u16, retry_after: Option<u64>, out: &mut String) {
    // A rule that is no quota has no type of its own; the title is then the status's.
    let (kind, title) = match () {
        () if answer.is_refusal() => ("about:blank", phrase(status)),
        () if answer.is_block() => ABNORMAL_USAGE,
        () => QUOTA_EXCEEDED,
    };
    out.push_str("{\"type\":");
    json_string(kind, out);
    if !title.is_empty() {
        out.push_str(",\"title\":");
        json_string(title, out);
    }
    let _ = write!(out, ",\"status\":{status}");
    match retry_after {
        Some(1) => out.push_str(",\"detail\":\"Try again in 1 second.\""),
        Some(secs) => _ = write!(out, ",\"detail\":\"Try again in {secs} seconds.\""),
        None => {}
    }
    if !answer.is_refusal() {
        out.push_str(",\"violated-policies\":[");
        let limits = answer.limits().iter().filter(|limit| limit.is_violated());
        let limits = limits.map(|limit| limit.name);
        // A block is the one policy that was violated then.
        let block = answer.is_block().then(|| answer.denied_by()).flatten();
        for (at, name) in block.into_iter().chain(limits).enumerate() {
            if at > 0 {
                out.push(',');
            }
            json_string(name, out);
        }
        out.push(']');
    }
    out.push('}');
}

/// What RFC 9110 and its followers call the statuses that a rule may answer with.
const fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "",
    }
}
