//! Attributes: what a host tells of a request, by name or by number.

use super::{forwarded, request::Request};
use std::{net::IpAddr, str::from_utf8};

/// The number of an attribute's name in one policy and in all that
/// [replace](super::LivePolicy) it: for hosts that look the name up once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeId(pub(super) u16);

impl AttributeId {
    /// The attribute of that [`number`](Self::number), as hosts keep it who have no Rust
    /// values. One that no policy numbers so is passed over in a request.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its place in [`Policy::attributes`](super::Policy::attributes).
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The number of a cost dimension, as [`AttributeId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DimensionId(pub(super) u16);

impl DimensionId {
    /// The dimension of that [`number`](Self::number), as [`AttributeId::new`].
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its place in [`Policy::dimensions`](super::Policy::dimensions).
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Names and their numbers: in the order in which they were first met, so that
/// numbers hold for policies that replace this one.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<Box<str>>);

impl Names {
    pub(super) fn find(&self, name: &str) -> Option<u16> {
        self.0.iter().position(|known| **known == *name).and_then(|at| u16::try_from(at).ok())
    }

    pub(super) fn find_or_add(&mut self, name: &str) -> Option<u16> {
        if let Some(known) = self.find(name) {
            return Some(known);
        }
        let number = u16::try_from(self.0.len()).ok()?;
        self.0.push(name.into());
        Some(number)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    pub(super) fn name(&self, number: u16) -> &str {
        self.0.get(usize::from(number)).map_or("", |name| name)
    }
}

/// What an attribute's values are.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Texts, or one of these texts.
    Text(Option<Vec<Box<[u8]>>>),
    /// Addresses, of which so many bits count in keys.
    Ip {
        v4_bits: u8,
        v6_bits: u8,
        /// The attribute that holds a forwarded-for list, and how many entries at its end
        /// our own proxies wrote.
        forwarded: Option<(AttributeId, usize)>,
    },
}

/// An attribute's value, given and understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'r> {
    Text(&'r [u8]),
    Ip(IpAddr),
}

/// The attributes that a policy declares.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    kinds: Vec<(AttributeId, Kind)>,
}

impl Attributes {
    pub(super) fn declare(&mut self, id: AttributeId, kind: Kind) {
        self.kinds.push((id, kind));
    }

    pub(super) fn kind(&self, id: AttributeId) -> Option<&Kind> {
        self.kinds.iter().find(|(known, _)| *known == id).map(|(_, kind)| kind)
    }

    /// The value of an attribute, `None` where it is missing: not given, empty, none of
    /// the values it has, or no address.
    pub(super) fn value<'r>(&self, id: AttributeId, request: &Request<'r>) -> Option<Value<'r>> {
        let given = request.given(id);
        match self.kind(id)? {
            Kind::Text(None) => given.map(Value::Text),
            Kind::Text(Some(values)) => {
                let given = given?;
                values.iter().any(|value| **value == *given).then_some(Value::Text(given))
            }
            Kind::Ip { forwarded, .. } => {
                // A list that says nothing sensible is not made up for by the peer: that is
                // a proxy, and shared by all who come through it.
                let list = forwarded.and_then(|(list, hops)| Some((request.given(list)?, hops)));
                let ip = match list {
                    Some((list, hops)) => forwarded::client(list, hops)?,
                    None => from_utf8(given?).ok()?.trim().parse::<IpAddr>().ok()?.to_canonical(),
                };
                Some(Value::Ip(ip))
            }
        }
    }
}
