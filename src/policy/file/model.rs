//! The model: every field of a policy file, with its default and what it means. The
//! comments are also what editors show.
#![allow(dead_code)] // until evaluate.rs uses it

use super::{
    problem::Problems,
    read::{
        Fields, List, Named, Read, Tables, Value, Whole, one_of, table, text, unexpected, whole,
        words,
    },
    source::At,
};
use crate::algorithm::MAX_UNITS;
use crate::quota::Quota;
use ipnet::IpNet;
use jiff::tz::TimeZone;
use std::{net::IpAddr, time::Duration};
use toml::de::DeValue;

use crate::policy::units;

pub(crate) use units::Unit;

/// A status of an HTTP error.
pub(crate) type Status = Whole<400, 599>;

/// How many keys a table has room for.
pub(crate) type Capacity = Whole<1, { u32::MAX as u64 }>;

/// The capacity of limits and penalties that say none.
const CAPACITY: u64 = 10_000;

table! {
    /// A policy: limits written as a file.
    pub(crate) struct Document {
        /// What the policy is called.
        name: String => optional,
        /// What the policy is for.
        description: String => optional,
        /// When two paths are the same.
        path: Paths => or(Paths::default()),
        /// What the host tells of a request, by name. Limits may name these, and `method`,
        /// `host`, `path`, `path.NAME` and `route`.
        attribute: Named<String, Attribute> => or(Named::default()),
        /// Limits.
        limit: Tables<Limit> => or(Tables::default()),
        /// Requests that are turned away whatever their number.
        refuse: Tables<Refuse> => or(Tables::default()),
        /// Requests that are never limited.
        exempt: Tables<Exempt> => or(Tables::default()),
        /// Blocks for who is denied too often.
        penalty: Tables<Penalty> => or(Tables::default()),
        /// What a response says.
        response: Response => or(Response::default()),
    }
}

table! {
    /// When two paths are the same.
    pub(crate) struct Paths {
        /// Whether `/A` is another path than `/a`.
        case: Case => or(Case::Sensitive),
        /// Whether `/a/` is another path than `/a`.
        trailing_slash: TrailingSlash => or(TrailingSlash::Ignore),
        /// What `%2F` is to the host's router.
        encoded_slash: EncodedSlash => or(EncodedSlash::Separator),
    }
}

words! {
    /// Upper and lower case.
    pub(crate) enum Case {
        #[default]
        Sensitive = "sensitive",
        Insensitive = "insensitive",
    }
}

words! {
    /// A slash at the end.
    pub(crate) enum TrailingSlash {
        #[default]
        Ignore = "ignore",
        Keep = "keep",
    }
}

words! {
    /// A slash in percent-encoding.
    pub(crate) enum EncodedSlash {
        #[default]
        Separator = "separator",
        Data = "data",
    }
}

table! {
    /// One thing that the host tells of a request.
    pub(crate) struct Attribute {
        /// What it is: a text, or an IP address.
        kind: Kind => or(Kind::Text),
        /// All values it has; any other is as good as none. Default: any text.
        values: List<String> => optional,
        /// So many leading bits of an IPv4 address count.
        ipv4_prefix: Whole<0, 32> => or(Whole(32)),
        /// So many leading bits of an IPv6 address count: one customer has a whole /64.
        ipv6_prefix: Whole<0, 128> => or(Whole(64)),
        /// The attribute that holds a forwarded-for list, of which this is the client's
        /// address.
        forwarded: String => optional,
        /// So many entries at the end of that list were written by proxies of our own.
        trusted_hops: Whole<1, 32> => optional,
    }
}

words! {
    /// What an attribute is.
    pub(crate) enum Kind {
        #[default]
        Text = "text",
        Ip = "ip",
    }
}

table! {
    /// One limit.
    pub(crate) struct Limit {
        /// What it is called; no two are called the same.
        name: String => required,
        /// Where it applies: `[METHOD[,METHOD]] [host]/path`. Default: everywhere.
        routes: List<String> => optional,
        /// It applies where all of these hold.
        when: Conditions => or(Conditions::default()),
        /// It applies where none of these hold.
        unless: Conditions => or(Conditions::default()),
        /// At most one limit of a group applies: the most specific.
        group: String => optional,
        /// Of its group, this one applies where no other does.
        fallback: bool => or(false),
        /// Who is limited: each combination of these has a bucket. `[]` is one bucket for
        /// everybody. Only `size` needs none.
        key: List<Name> => or(List::default()),
        /// How it counts.
        algorithm: Algorithm => or(Algorithm::SlidingLog),
        /// How much: `10/min`, or one for each value of an attribute.
        quota: Quotas => required,
        /// Quotas of single values, which win over `quota`.
        overrides: Quotas => optional,
        /// Room for larger quotas that come at run time.
        largest: Given => optional,
        /// What a request costs: a dimension that the host counts. Default: 1 a request.
        cost: String => optional,
        /// What happens when an attribute that it needs is missing.
        missing: Missing => or(Missing::Deny),
        /// Whether it denies, or only reports that it would.
        mode: Mode => or(Mode::Enforce),
        /// So many of the keys are enforced, the others are in shadow.
        share: Share => or(Share(1_000_000)),
        /// Whether a denial empties the bucket, so that who hammers gets nothing.
        charge_denied: bool => or(false),
        /// Keys in debt at once that there is room for.
        capacity: Capacity => or(Whole(CAPACITY)),
        /// What happens to a new key when there is no room.
        when_full: WhenFull => or(WhenFull::Allow),
        /// Leases: how long one lasts at most.
        ttl: SpanOfTime => optional,
        /// Calendar: whose days and months. Default: UTC.
        zone: Zone => optional,
        /// What is counted, for people. Default: what `cost` says, else requests.
        unit: String => optional,
        /// The status of its denials. Default: that of `[response]`.
        status: Status => optional,
    }
}

words! {
    /// How a limit counts.
    pub(crate) enum Algorithm {
        #[default]
        SlidingLog = "sliding-log",
        Gcra = "gcra",
        SlidingCounter = "sliding-counter",
        Calendar = "calendar",
        Leases = "leases",
        Size = "size",
    }
}

words! {
    /// Whether a limit denies.
    pub(crate) enum Mode {
        #[default]
        Enforce = "enforce",
        Shadow = "shadow",
    }
}

words! {
    /// What happens to a new key when there is no room.
    pub(crate) enum WhenFull {
        #[default]
        Allow = "allow",
        Deny = "deny",
    }
}

table! {
    /// Requests that are turned away whatever their number.
    pub(crate) struct Refuse {
        /// What it is called; no two are called the same.
        name: String => required,
        /// Where it applies. Default: everywhere.
        routes: List<String> => optional,
        /// It applies where all of these hold.
        when: Conditions => or(Conditions::default()),
        /// It applies where none of these hold.
        unless: Conditions => or(Conditions::default()),
        /// It applies to addresses in these networks, by attribute.
        networks: Named<String, Networks> => optional,
        /// The status of the answer.
        status: Status => or(Whole(403)),
    }
}

table! {
    /// Requests that are never limited.
    pub(crate) struct Exempt {
        /// What it is called; no two are called the same.
        name: String => required,
        /// Where it applies. Default: everywhere.
        routes: List<String> => optional,
        /// It applies where all of these hold.
        when: Conditions => or(Conditions::default()),
        /// It applies where none of these hold.
        unless: Conditions => or(Conditions::default()),
        /// It applies to addresses in these networks, by attribute.
        networks: Named<String, Networks> => optional,
    }
}

table! {
    /// Blocks for who is denied too often.
    pub(crate) struct Penalty {
        /// What it is called; no two are called the same.
        name: String => required,
        /// Who is blocked. `[]` is everybody at once.
        key: List<Name> => required,
        /// The limits whose denials count. Default: all that are enforced.
        counts: List<String> => optional,
        /// So many denials...
        denials: Whole<1, MAX_UNITS> => required,
        /// ...within this time lead to a block.
        within: SpanOfTime => required,
        /// How long the first block lasts, the second, and so on; the last may be `until lifted`.
        blocks: List<Block> => required,
        /// So long after a block the next is the first again.
        decay: SpanOfTime => or(SpanOfTime(DAY)),
        /// The routes that are blocked. Default: all.
        covers: List<String> => optional,
        /// The status while blocked.
        status: Status => or(Whole(403)),
        /// Keys that there is room for.
        capacity: Capacity => or(Whole(CAPACITY)),
    }
}

const DAY: Duration = Duration::from_secs(86_400);

table! {
    /// What a response says.
    pub(crate) struct Response {
        /// The status of a denial, unless its limit has one.
        status: Status => or(Whole(429)),
        /// The status of a denial that waiting does not help. Default: `status`.
        status_never: Status => optional,
        /// The header fields.
        headers: Headers => or(Headers::XRatelimit),
        /// `X-RateLimit-Reset` in seconds since 1970, or from now.
        reset: Reset => or(Reset::Epoch),
        /// When the next unit is back, or when all are.
        reset_of: ResetOf => or(ResetOf::Next),
        /// The limit that is told of: `binding` is the one nearest to denying, of all or of
        /// one group; `all` is for `ratelimit`.
        report: Report => or(Report::Binding),
        /// Other names of header fields.
        names: FieldNames => or(FieldNames::default()),
        /// What `qu` of the IETF draft calls units, by ours.
        units: Named<String, String> => optional,
        /// The body of a denial, with `{limit}`, `{remaining}`, `{retry_after}`, `{reset}`,
        /// `{name}`, `{status}` and `{unit}`; or `problem` (RFC 9457). Default: none.
        body: String => optional,
        /// The body where there is no time to wait. Default: `body`.
        body_never: String => optional,
        /// Bodies by the name of the limit, refusal or penalty that denies.
        bodies: Named<String, String> => optional,
        /// The type of these bodies. Default: JSON for what begins like it, else plain text.
        content_type: String => optional,
    }
}

table! {
    /// Other names of header fields.
    pub(crate) struct FieldNames {
        /// Default: `X-RateLimit-Limit`.
        limit: String => optional,
        /// Default: `X-RateLimit-Remaining`.
        remaining: String => optional,
        /// Default: `X-RateLimit-Reset`.
        reset: String => optional,
        /// Default: `Retry-After`.
        retry_after: String => optional,
        /// Default: `RateLimit-Policy`.
        policy: String => optional,
        /// Default: `RateLimit`.
        ratelimit: String => optional,
    }
}

/// The limit that a response tells of.
#[derive(Clone, Debug, Default)]
pub(crate) enum Report {
    #[default]
    Binding,
    All,
    Limit(At<String>),
    /// The binding one of a group.
    Group(At<String>),
}

impl Report {
    /// What limits cannot be called.
    pub(super) const WORDS: [&'static str; 2] = ["binding", "all"];
}

table! {
    /// A group of limits.
    pub(crate) struct OfGroup {
        /// The group.
        group: String => required,
    }
}

impl Read for Report {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        match value.get_ref() {
            DeValue::Table(_) => Self::Group(OfGroup::read(value, problems).group),
            DeValue::String(text) if text == "binding" => Self::Binding,
            DeValue::String(text) if text == "all" => Self::All,
            DeValue::String(_) => Self::Limit(At::read(value, problems)),
            _ => {
                let expected = "`binding`, `all`, a limit's name or { group = \"...\" }";
                unexpected(value, expected, problems);
                Self::default()
            }
        }
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [{ "type": "string" }, OfGroup::schema()] })
    }

    #[cfg(test)]
    fn written(&self) -> Option<serde_json::Value> {
        Some("binding".into())
    }
}

words! {
    /// Header fields.
    pub(crate) enum Headers {
        #[default]
        XRatelimit = "x-ratelimit",
        Ratelimit = "ratelimit",
        RetryAfter = "retry-after",
        None = "none",
    }
}

words! {
    /// How a time is told.
    pub(crate) enum Reset {
        #[default]
        Epoch = "epoch",
        Delta = "delta",
    }
}

words! {
    /// Which time is told.
    pub(crate) enum ResetOf {
        #[default]
        Next = "next",
        Full = "full",
    }
}

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
                let expected = "a text, a list of texts, true (any value) or false (none)";
                unexpected(value, expected, problems);
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
        match units::span(text)? {
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
