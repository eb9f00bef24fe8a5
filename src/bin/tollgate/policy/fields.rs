//! What a policy is told of the requests in a log.

use super::{explain::unknown, map::Map};
use crate::{args, failure::Failure, line::Line, show};
use std::str::from_utf8;
use tollgate::policy::{AttributeId, DimensionId, Policy, Request};

/// What stands before and after the first `=`.
pub(super) fn pair<'t>(option: &str, text: &'t str) -> Result<(&'t str, &'t str), Failure> {
    text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        let text = show::name(text.as_bytes());
        Failure::new(format!("{option} {text}: expected a name, = and a value"))
    })
}

/// A field of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Field {
    Client,
    Ident,
    User,
    Method,
    Path,
    Status,
    Bytes,
}

impl Field {
    pub(super) fn read(text: &str) -> Option<Self> {
        clap::ValueEnum::from_str(text, false).ok()
    }

    /// What stands there; a dash is nothing.
    fn of<'l>(self, line: &Line<'l>) -> Option<&'l [u8]> {
        let text = match self {
            Self::Client => line.client,
            Self::Ident => line.ident,
            Self::User => line.user,
            Self::Method => line.method_and_target()?.0,
            Self::Path => Line::path(line.method_and_target()?.1),
            Self::Status => line.status,
            Self::Bytes => line.bytes,
        };
        (text != b"-").then_some(text)
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum From {
    Constant(String),
    Field(Field),
}

impl From {
    pub(super) fn of<'l>(&'l self, line: &Line<'l>) -> Option<&'l [u8]> {
        match self {
            Self::Constant(text) => Some(text.as_bytes()),
            Self::Field(field) => field.of(line),
        }
    }
}

/// Everything that the options tell.
pub(super) struct Told {
    /// By name, for the tables.
    named: Vec<(String, From)>,
    host: Option<From>,
    attributes: Vec<(AttributeId, From)>,
    costs: Vec<(DimensionId, From)>,
    maps: Vec<Map>,
}

impl Told {
    pub(super) fn new(options: &args::Replay, policy: &Policy) -> Result<Self, Failure> {
        let mut told = Self {
            named: Vec::new(),
            host: None,
            attributes: Vec::new(),
            costs: Vec::new(),
            maps: Vec::new(),
        };
        for text in &options.set {
            let (_, value) = pair("--set", text)?;
            told.add("--set", text, From::Constant(value.to_owned()), policy)?;
        }
        for text in &options.field {
            let (_, field) = pair("--field", text)?;
            let field = Field::read(field).ok_or_else(|| {
                let text = show::name(text.as_bytes());
                Failure::new(format!(
                    "--field {text}: expected client, ident, user, method, path, status or bytes"
                ))
            })?;
            told.add("--field", text, From::Field(field), policy)?;
        }
        for path in &options.map {
            let map = Map::read(path, policy, |name| {
                let client = || (name == "ip").then_some(Field::Client);
                let field = || Field::read(name).or_else(client);
                told.from(name).cloned().or_else(|| field().map(From::Field))
            })?;
            if let Some(name) = map.names(policy).find(|name| told.tells(name, policy)) {
                let map = show::name(path.as_os_str().as_encoded_bytes());
                return Err(Failure::new(format!("--map {map}: `{name}` is told twice")));
            }
            told.maps.push(map);
        }
        if policy.attribute_id("ip").is_some() && !told.tells("ip", policy) {
            told.add("--field", "ip=client", From::Field(Field::Client), policy)?;
        }
        Ok(told)
    }

    /// Whether an option or a table tells it.
    fn tells(&self, name: &str, policy: &Policy) -> bool {
        let mapped = |map: &Map| map.names(policy).any(|known| known == name);
        self.from(name).is_some() || self.maps.iter().any(mapped)
    }

    fn from(&self, name: &str) -> Option<&From> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, from)| from)
    }

    fn add(
        &mut self,
        option: &str,
        text: &str,
        from: From,
        policy: &Policy,
    ) -> Result<(), Failure> {
        let (name, _) = pair(option, text)?;
        let shown = show::name(text.as_bytes());
        if self.from(name).is_some() {
            return Err(Failure::new(format!("{option} {shown}: `{name}` is told twice")));
        }
        let (attribute, cost) = (policy.attribute_id(name), policy.dimension_id(name));
        if name == "host" {
            self.host = Some(from.clone());
        } else if attribute.is_none() && cost.is_none() {
            let known = policy.attributes().chain(policy.dimensions());
            return Err(unknown(option, text, "attribute or cost", name, known.chain(["host"])));
        }
        if let Some(id) = attribute {
            self.attributes.push((id, from.clone()));
        }
        if let Some(id) = cost {
            let counts = match &from {
                From::Constant(text) => text.parse::<u64>().is_ok(),
                From::Field(field) => matches!(field, Field::Bytes | Field::Status),
            };
            // A name may be both, and then a text will do.
            if !counts && attribute.is_none() {
                return Err(Failure::new(format!("{option} {shown}: expected a number")));
            }
            self.costs.push((id, from.clone()));
        }
        self.named.push((name.to_owned(), from));
        Ok(())
    }

    /// A line about the names of the policy that nothing tells, if there are any.
    pub(super) fn untold(&self, policy: &Policy) -> Option<String> {
        let names = policy.attributes().chain(policy.dimensions());
        let untold: Vec<_> = names.filter(|name| !self.tells(name, policy)).collect();
        let first = untold.first()?;
        let all: Vec<_> = untold.iter().map(|name| format!("`{name}`")).collect();
        Some(format!(
            "nothing tells the policy {}: --field {first}=FIELD, --set {first}=VALUE or --map FILE does",
            all.join(", ")
        ))
    }

    /// The request of a line.
    pub(super) fn request<'r>(&'r self, policy: &'r Policy, line: &Line<'r>) -> Request<'r> {
        let (method, target) = line.method_and_target().unwrap_or((b"-", b"-"));
        let mut request = policy.request(from_utf8(method).unwrap_or("-"), target);
        let text = |from: &'r From| from_utf8(from.of(line)?).ok();
        if let Some(host) = self.host.as_ref().and_then(text) {
            request = request.host(host);
        }
        for (id, from) in &self.attributes {
            if let Some(value) = from.of(line) {
                request = request.attribute_by_id(*id, value);
            }
        }
        for (id, from) in &self.costs {
            if let Some(units) = text(from).and_then(|text| text.parse().ok()) {
                request = request.cost_by_id(*id, units);
            }
        }
        for map in &self.maps {
            for (id, value) in map.of(line) {
                request = request.attribute_by_id(id, value);
            }
        }
        request
    }
}
