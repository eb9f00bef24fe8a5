//! What a replay found, and as JSON.

use jiff::Timestamp;
use serde::Serialize;

/// The whole result. Its fields are the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
    pub(crate) skipped: u64,
    pub(crate) out_of_order: u64,
    /// RFC 3339 in UTC.
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) limits: Vec<LimitReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LimitReport {
    pub(crate) name: &'static str,
    pub(crate) algorithm: &'static str,
    pub(crate) quota: String,
    pub(crate) keys: u64,
    pub(crate) evaluated: u64,
    pub(crate) denied: u64,
    pub(crate) saturated: u64,
    /// Whether `keys` and `top` are estimates.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) approximate: bool,
    pub(crate) top: Vec<TopKey>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TopKey {
    pub(crate) key: String,
    pub(crate) requests: u64,
    pub(crate) denied: u64,
}

impl Report {
    /// One JSON object and an LF.
    pub(crate) fn json(&self) -> String {
        // Strings and numbers alone: nothing that could fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Seconds since 1970 in RFC 3339, in UTC.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    // A time that was read from a log is before the year 2555.
    time.unwrap_or_default().to_string()
}
