//! The values of a policy file: names, conditions, quotas, times, networks.

use super::{
    fields::Fields,
    problem::{Problems, Said},
    read::{List, Named, Read, Value, found, no_table, one_of, table, text, unexpected, whole},
    source::At,
};
use crate::{
    policy::{attribute::AttributeId, route::Route, units},
    quota::Quota,
};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use std::{net::IpAddr, time::Duration};
use toml::de::DeValue;

pub(crate) use units::Unit;

/// What a penalty takes to be forgotten unless it says otherwise.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// What of a request is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Method,
    Host,
    Path,
    Route,
    /// `path.NAME`: what stands in the path where a route has `{NAME}`.
    Parameter(String),
    Attribute(String),
}

impl Name {
    pub(super) const BUILT_IN: [&'static str; 4] = ["method", "host", "path", "route"];
}

impl Default for Name {
    fn default() -> Self {
        Self::Attribute(String::new())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        match (text, text.strip_prefix("path.")) {
            ("method", _) => Self::Method,
            ("host", _) => Self::Host,
            ("path", _) => Self::Path,
            ("route", _) => Self::Route,
            (_, Some(name)) => Self::Parameter(name.to_owned()),
            (name, None) => Self::Attribute(name.to_owned()),
        }
    }
}

impl Read for Name {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        String::read(value, problems).as_str().into()
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        String::schema()
    }
}

impl Name {
    /// The number of what a condition or a table of quotas may go by, if it is built in.
    pub(crate) fn built_in(&self) -> Option<AttributeId> {
        match self {
            Self::Method => Some(AttributeId::METHOD),
            Self::Host => Some(AttributeId::HOST),
            Self::Path => Some(AttributeId::PATH),
            Self::Route | Self::Parameter(_) | Self::Attribute(_) => None,
        }
    }
}

/// A route as the file writes it, and what it means by the rules of `[path]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(super) text: String,
    /// None where it is wrong, which was reported.
    pub(crate) route: Option<Route>,
}

impl Read for Place {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        Self { text: String::read(value, problems), route: None }
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        String::schema()
    }
}

/// What must hold of a request, by attribute.
pub(crate) type Conditions = Named<Name, Condition>;

/// What must hold of one attribute.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Present(bool),
    OneOf(List<String>),
}

impl Default for Condition {
    fn default() -> Self {
        Self::Present(true)
    }
}

impl Read for Condition {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        match value.get_ref() {
            DeValue::Boolean(present) => Self::Present(*present),
            DeValue::String(_) => Self::OneOf(List(vec![At::read(value, problems)])),
            DeValue::Array(_) => Self::OneOf(List::read(value, problems)),
            _ => {
                problems.say(value.span().into(), || {
                    let expected = "a text, a list of texts, true (any value) or false (none)";
                    let dotted = value.get_ref().is_table();
                    let hint = dotted.then(|| "a name with a dot needs quotes".to_owned());
                    Said::from(format!("expected {expected}, found {}", found(value))).maybe(hint)
                });
                Self::default()
            }
        }
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            { "type": "boolean" },
        ] })
    }
}

/// One quota as the file writes it, and what it means to the limit's algorithm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(super) written: Written,
    pub(crate) means: Amount,
}

impl Given {
    /// As the file writes it.
    pub(crate) fn text(&self) -> String {
        match &self.written {
            Written::Text(text) => text.trim().to_owned(),
            Written::Whole(number) => number.to_string(),
            Written::Wrong => String::new(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) enum Written {
    Text(String),
    Whole(u64),
    /// Something else, which was reported.
    #[default]
    Wrong,
}

/// How much a quota allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Asks nothing, keeps nothing, reports nothing.
    #[default]
    Unlimited,
    /// `gcra`, `sliding-log`, `sliding-counter`.
    Rate(Quota),
    /// `calendar`.
    Calendar(u64, Unit),
    /// `leases`, `size`.
    Count(u64),
}

impl Read for Given {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let written = match (value.get_ref().as_str(), whole(value.get_ref())) {
            (Some(text), _) => Written::Text(text.to_owned()),
            (_, Some(number)) => Written::Whole(number),
            _ => {
                unexpected(value, "a quota, such as \"10/min\"", problems);
                Written::Wrong
            }
        };
        Self { written, means: Amount::Unlimited }
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [{ "type": "string" }, { "type": "integer", "minimum": 1 }] })
    }
}

/// One quota, or one for each value of an attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotas {
    /// The attribute that chooses.
    pub(crate) by: Option<At<Name>>,
    /// Its values.
    pub(crate) each: Named<String, Given>,
    /// Any other value, or the one quota.
    pub(crate) otherwise: Option<At<Given>>,
}

impl Quotas {
    pub(crate) fn all(&self) -> impl Iterator<Item = &At<Given>> {
        self.each.iter().map(|(_, given)| given).chain(&self.otherwise)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut At<Given>> {
        self.each.0.iter_mut().map(|(_, given)| given).chain(&mut self.otherwise)
    }
}

impl Read for Quotas {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        if !value.get_ref().is_table() {
            return Self { otherwise: Some(At::read(value, problems)), ..Self::default() };
        }
        let mut quotas = Self::default();
        let Some(table) = value.get_ref().as_table() else { return quotas };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "by" => quotas.by = Some(At::read(value, problems)),
                "otherwise" => quotas.otherwise = Some(At::read(value, problems)),
                name => {
                    let name = At::new(name.to_owned(), key.span());
                    quotas.each.0.push((name, At::read(value, problems)));
                }
            }
        }
        quotas.each.0.sort_by_key(|(name, _)| name.span.start);
        if quotas.by.is_none() {
            problems.miss(
                value.span().into(),
                || "`by` is missing: the attribute whose value chooses a quota",
            );
        }
        quotas
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [
            { "type": "string" },
            { "type": "integer", "minimum": 1 },
            {
                "type": "object",
                "properties": {
                    "by": { "type": "string", "description": "The attribute that chooses." },
                    "otherwise": Given::schema(),
                },
                "required": ["by"],
                "additionalProperties": Given::schema(),
            },
        ] })
    }
}

/// What happens when an attribute is missing.
#[derive(Clone, Debug, Default)]
pub(crate) enum Missing {
    #[default]
    Deny,
    Skip,
    /// The limit of that name is asked instead.
    Limit(At<String>),
}

table! {
    /// Another limit.
    pub(crate) struct Instead {
        /// The limit that is asked instead.
        limit: String => required,
    }
}

impl Read for Missing {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        if value.get_ref().is_table() {
            return Self::Limit(Instead::read(value, problems).limit);
        }
        if !value.get_ref().is_str() {
            unexpected(value, "`deny`, `skip` or { limit = \"...\" }", problems);
            return Self::default();
        }
        let skip = one_of(value, &[("deny", false), ("skip", true)], problems);
        if skip { Self::Skip } else { Self::Deny }
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [{ "enum": ["deny", "skip"] }, Instead::schema()] })
    }

    #[cfg(test)]
    fn written(&self) -> Option<serde_json::Value> {
        Some("deny".into())
    }
}

/// A part of all keys, in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share(pub(crate) u32);

impl Read for Share {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        text(value, "a share, such as \"25%\"", |text| units::share(text).map(Self), problems)
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "%\\s*$" })
    }

    #[cfg(test)]
    fn written(&self) -> Option<serde_json::Value> {
        Some(format!("{}%", f64::from(self.0) / 1e4).into())
    }
}

/// A time longer than nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanOfTime(pub(crate) Duration);

impl SpanOfTime {
    fn parse(text: &str) -> Result<Self, String> {
        let span = units::span(text).map_err(|why| match units::usual(text) {
            Some(usual) if units::span(&usual).is_ok() => format!("write \"{usual}\""),
            _ if why.starts_with("expected") => "units are d, h, min, s, ms, us, ns".to_owned(),
            _ => why,
        });
        match span? {
            Duration::ZERO => Err("it is longer than 0".to_owned()),
            // Any time that can be told: see `Quota`.
            span if span > Quota::LONGEST_DEBT => Err("it is at most 1668 d".to_owned()),
            span => Ok(Self(span)),
        }
    }
}

impl Read for SpanOfTime {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        text(value, "a time, such as \"10 min\"", Self::parse, problems)
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^\\s*[0-9]" })
    }

    #[cfg(test)]
    fn written(&self) -> Option<serde_json::Value> {
        (self.0 == DAY).then(|| "1 d".into())
    }
}

/// How long a block lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    For(SpanOfTime),
    UntilLifted,
}

impl Default for Block {
    fn default() -> Self {
        Self::For(SpanOfTime::default())
    }
}

impl Read for Block {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let block = |text: &str| match text.trim() {
            "until lifted" => Ok(Self::UntilLifted),
            text => SpanOfTime::parse(text).map(Self::For),
        };
        text(value, "a time, such as \"10 min\", or \"until lifted\"", block, problems)
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

/// A time zone by its name in the IANA database.
#[derive(Clone, Debug)]
pub(crate) struct Zone(pub(crate) TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Read for Zone {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let zone = |text: &str| {
            let known = TimeZone::get(text).map(Self);
            known.map_err(|_| "no time zone is called that".to_owned())
        };
        text(value, "a time zone, such as \"Europe/Berlin\"", zone, problems)
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

/// One network, or several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks(pub(crate) List<Network>);

impl Read for Networks {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        if value.get_ref().is_str() {
            return Self(List(vec![At::read(value, problems)]));
        }
        Self(List::read(value, problems))
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] })
    }
}

/// `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

impl Read for Network {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let network = |text: &str| {
            let text = text.trim();
            let network = text.parse::<IpNet>();
            let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            let network = network.map_err(|_| "it is neither a network nor an address")?;
            // What a mask would cut off is more likely a slip than meant.
            if network.addr() == network.trunc().addr() {
                return Ok(Self(network));
            }
            Err(format!("the network of that length is {}", network.trunc()))
        };
        text(value, "a network, such as \"10.0.0.0/8\"", network, problems)
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}
