//! What a replay found, and as JSON.

use jiff::Timestamp;
use serde::Serialize;

/// The whole result of a replay with one limit. Its fields are the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    #[serde(flatten)]
    pub(crate) sums: &'a Sums,
    pub(crate) limits: [&'a LimitReport; 1],
}

/// What every replay counts.
#[derive(Debug, Serialize)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
    pub(crate) skipped: u64,
    pub(crate) out_of_order: u64,
    /// RFC 3339 in UTC.
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LimitReport {
    pub(crate) name: &'static str,
    pub(crate) algorithm: &'static str,
    pub(crate) quota: String,
    pub(crate) evaluated: u64,
    pub(crate) denied: u64,
    pub(crate) saturated: u64,
    #[serde(flatten)]
    pub(crate) keys: KeyReport,
}

impl LimitReport {
    /// What stands above all that is said of it.
    pub(crate) fn title(&self) -> String {
        format!("Limit {}: {} ({})", self.name, self.quota, self.algorithm)
    }
}

/// The keys of a limit.
#[derive(Debug, Default, Serialize)]
pub(crate) struct KeyReport {
    /// How many there were.
    #[serde(rename = "keys")]
    pub(crate) count: u64,
    /// Whether `keys` and `top` are estimates.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) approximate: bool,
    /// Those denied most.
    pub(crate) top: Vec<TopKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TopKey {
    pub(crate) key: String,
    pub(crate) requests: u64,
    pub(crate) denied: u64,
    /// How often a limit in shadow said no to it; of no meaning where there is no shadow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) would_deny: Option<u64>,
}

impl TopKey {
    /// How often it was told no, to whatever effect.
    pub(crate) fn refused(&self) -> u64 {
        self.denied + self.would_deny.unwrap_or(0)
    }
}

/// One JSON object and an LF.
pub(crate) fn json(report: &impl Serialize) -> String {
    // Strings and numbers alone: nothing that could fail.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}

/// Seconds since 1970 in RFC 3339, in UTC.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    // A time that was read from a log is before the year 2555.
    time.unwrap_or_default().to_string()
}
