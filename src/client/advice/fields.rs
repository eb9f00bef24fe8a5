//! One header field's value. Whatever is malformed is nothing.

use super::{LONGEST, When};
use crate::client::date;
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parser};
use std::time::Duration;

/// From here on a reset is seconds since 1970: as a span it would be 31 years.
const FIRST_EPOCH: u64 = 1_000_000_000;
/// And from here on milliseconds.
const FIRST_EPOCH_MS: u64 = 1_000_000_000_000;

/// One of `RateLimit-Policy`.
#[derive(Clone)]
pub(super) struct PolicyItem {
    pub(super) name: String,
    pub(super) quota: u64,
    pub(super) window: Option<Duration>,
    /// Rather than bytes, or requests at a time.
    pub(super) counts_requests: bool,
}

impl PolicyItem {
    /// A name that tells it from others of the same name.
    pub(super) fn name_apart(&self) -> String {
        let name = if self.name.is_empty() { String::new() } else { format!("{};", self.name) };
        let window = self.window.map(|window| format!(";w={}", window.as_secs()));
        format!("{name}{}{}", self.quota, window.unwrap_or_default())
    }
}

/// One of `RateLimit`.
pub(super) struct StateItem {
    pub(super) name: String,
    pub(super) limit: Option<u64>,
    pub(super) remaining: u64,
    pub(super) reset: Option<Duration>,
}

/// Digits and nothing else; more than fit are the largest number.
pub(super) fn number(text: &str) -> Option<u64> {
    let text = text.trim_matches([' ', '\t']);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// A number, and perhaps a fraction, which counts as one more.
fn number_up(text: &str) -> Option<u64> {
    let Some((whole, fraction)) = text.split_once('.') else { return number(text) };
    let more = number(fraction)? > 0;
    Some(number(whole)?.saturating_add(u64::from(more)))
}

/// The numbers of a field that proxies joined; with parameters, as early drafts had them.
pub(super) fn numbers(value: &str) -> impl Iterator<Item = u64> {
    let parts = || value.split(',').map(|part| number(part.split(';').next().unwrap_or("")));
    let all = parts().all(|part| part.is_some());
    parts().flatten().filter(move |_| all)
}

/// A limit, or several; those with a window are policies, as early revisions of the draft have
/// it: `100, 100;w=60, 5000;w=3600`.
pub(super) fn limits(value: &str) -> (Vec<u64>, Vec<PolicyItem>) {
    let window = |part: &str| {
        let w = part.split(';').skip(1).find_map(|one| one.trim().strip_prefix("w="))?;
        number(w).filter(|&secs| secs > 0).map(seconds)
    };
    let (mut alone, mut policies) = (Vec::new(), Vec::new());
    for (part, quota) in value.split(',').zip(numbers(value)) {
        match window(part) {
            None => alone.push(quota),
            window => {
                let name = String::new();
                policies.push(PolicyItem { name, quota, window, counts_requests: true });
            }
        }
    }
    (alone, policies)
}

fn seconds(secs: u64) -> Duration {
    Duration::from_secs(secs).min(LONGEST)
}

/// Seconds from now.
pub(super) fn span(value: &str) -> Option<Duration> {
    number_up(value).map(seconds)
}

/// Seconds, several of them, or a date.
pub(super) fn retry_after(value: &str, came: Duration) -> Option<When> {
    let secs = numbers(value).max().or_else(|| number_up(value));
    match secs {
        Some(secs) => Some(When::In(seconds(secs))),
        None => date::parse(value, came).map(When::At),
    }
}

/// Seconds from now, or a time since 1970.
pub(super) fn reset(value: &str) -> Option<When> {
    let n = numbers(value).max().or_else(|| number_up(value))?;
    Some(match n {
        0..FIRST_EPOCH => When::In(seconds(n)),
        FIRST_EPOCH..FIRST_EPOCH_MS => When::At(Duration::from_secs(n)),
        _ => When::At(Duration::from_millis(n)),
    })
}

/// A number that is not negative.
fn unsigned(item: Option<&BareItem>) -> Option<u64> {
    u64::try_from(i64::from(item?.as_integer()?)).ok()
}

fn name(item: &BareItem) -> Option<String> {
    let string = item.as_string().map(|text| text.as_str().to_owned());
    string.or_else(|| Some(item.as_token()?.as_str().to_owned()))
}

fn items(value: &str) -> impl Iterator<Item = Item> {
    let list = Parser::new(value).parse::<List>().unwrap_or_default();
    list.into_iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    })
}

/// `"name";q=100;w=60`, or of former revisions `100;w=60`.
pub(super) fn policies(value: &str) -> Vec<PolicyItem> {
    let policy = |item: Item| {
        let nameless = unsigned(Some(&item.bare_item));
        let window = unsigned(item.params.get("w")).filter(|&secs| secs > 0).map(seconds);
        let unit = item.params.get("qu").and_then(name);
        Some(PolicyItem {
            quota: nameless.or_else(|| unsigned(item.params.get("q")))?,
            name: if nameless.is_some() { String::new() } else { name(&item.bare_item)? },
            window,
            counts_requests: unit.is_none_or(|unit| unit == "requests"),
        })
    };
    items(value).filter_map(policy).collect()
}

/// `"name";r=50;t=30`, or of former revisions `limit=100, remaining=50, reset=30`.
pub(super) fn states(value: &str) -> Vec<StateItem> {
    let state = |item: Item| {
        Some(StateItem {
            name: name(&item.bare_item)?,
            limit: None,
            remaining: unsigned(item.params.get("r"))?,
            reset: unsigned(item.params.get("t")).map(seconds),
        })
    };
    let states: Vec<_> = items(value).filter_map(state).collect();
    if states.is_empty() { former_state(value).into_iter().collect() } else { states }
}

fn former_state(value: &str) -> Option<StateItem> {
    let members = Parser::new(value).parse::<Dictionary>().ok()?;
    let member = |key: &str| match members.get(key)? {
        ListEntry::Item(item) => unsigned(Some(&item.bare_item)),
        ListEntry::InnerList(_) => None,
    };
    Some(StateItem {
        name: String::new(),
        limit: member("limit"),
        remaining: member("remaining")?,
        reset: member("reset").map(seconds),
    })
}
