//! Keys: which parts of a request say who is limited, and one hash for all of them.

use super::{
    attribute::{AttributeId, Attributes, Kind, Value},
    forwarded,
    path::authority,
    request::Request,
    route::bare_host,
    route_table::Question,
};
use crate::{
    limiter::{KeyHasher, PartsHasher},
    table::Hash,
};

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Attribute(AttributeId),
    /// A parameter of the route that matched.
    Parameter(Box<str>),
    /// Which of the limit's routes matched.
    Route,
    Method,
    Host,
    Path,
}

/// The parts of a key, in the order of the file. None is one key for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyParts(pub(super) Vec<Part>);

/// What a key is made from.
pub(super) struct Source<'a, 'r> {
    pub(super) request: &'a Request<'r>,
    /// The path, made normal.
    pub(super) path: &'a str,
    pub(super) method: &'a str,
    /// Which of the limit's routes matched, and its parameters by name.
    pub(super) route: usize,
    pub(super) parameter: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl<'a, 'r> Source<'a, 'r> {
    /// A request apart from any route.
    pub(super) fn apart(request: &'a Request<'r>, question: Question<'a>) -> Self {
        let (path, method) = (question.path(), question.method());
        Self { request, path, method, route: 0, parameter: &|_| None }
    }
}

/// A part that a request lacks: its place in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lacking(pub(super) usize);

/// Where parts go: a hash, or a text for people.
trait Sink {
    fn part(&mut self, bytes: &[u8]);
}

impl Sink for PartsHasher {
    fn part(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }
}

/// A hash that is the same in every process: FNV-1a (Fowler, Noll, Vo), its bits mixed.
struct Lot(u64);

impl Lot {
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }

    /// A number below a million.
    fn draw(self) -> u32 {
        let z = (self.0 ^ self.0 >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let z = u128::from(z ^ z >> 32);
        u32::try_from((z * 1_000_000) >> 64).unwrap_or(0)
    }
}

impl Sink for Lot {
    fn part(&mut self, bytes: &[u8]) {
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            self.byte(*byte);
        }
    }
}

/// For people: parts in the order of the file, addresses as addresses.
impl Sink for Vec<Vec<u8>> {
    fn part(&mut self, bytes: &[u8]) {
        self.push(bytes.to_vec());
    }
}

/// A host in lower case, as no name that is longer than this is one of DNS.
fn host_part(host: &[u8], sink: &mut impl Sink) {
    let mut lower = [0; 255];
    match lower.get_mut(..host.len()) {
        Some(lower) => {
            lower.copy_from_slice(host);
            lower.make_ascii_lowercase();
            sink.part(lower);
        }
        None => sink.part(host),
    }
}

impl KeyParts {
    /// The hash of a request's key. Parts are told apart by their lengths, so no value
    /// can pass for two.
    pub(super) fn hash(
        &self,
        hasher: &KeyHasher,
        attributes: &Attributes,
        source: &Source<'_, '_>,
    ) -> Result<Hash, Lacking> {
        let mut parts = hasher.parts();
        self.write(attributes, source, &mut parts)?;
        Ok(parts.finish())
    }

    /// Whether the key depends on which route of a limit matched.
    pub(super) fn is_of_route(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Parameter(_) | Part::Route))
    }

    /// The lot that a key draws, below a million: the same in every process, and for
    /// every limit that has these key parts.
    pub(super) fn lot(&self, attributes: &Attributes, source: &Source<'_, '_>) -> u32 {
        let mut lot = Lot(0xCBF2_9CE4_8422_2325);
        // Who lacks a part is answered before.
        let _ = self.write(attributes, source, &mut lot);
        lot.draw()
    }

    /// The key as bytes, part by part: for `explain`.
    pub(super) fn spell(
        &self,
        attributes: &Attributes,
        source: &Source<'_, '_>,
    ) -> Result<Vec<Vec<u8>>, Lacking> {
        let mut parts = Vec::new();
        self.write(attributes, source, &mut parts)?;
        Ok(parts)
    }

    fn write(
        &self,
        attributes: &Attributes,
        source: &Source<'_, '_>,
        sink: &mut impl Sink,
    ) -> Result<(), Lacking> {
        for (nth, part) in self.0.iter().enumerate() {
            let lacking = Lacking(nth);
            match part {
                Part::Attribute(id) => {
                    match attributes.value(*id, source.request).ok_or(lacking)? {
                        Value::Text(text) => sink.part(text),
                        Value::Ip(ip) => {
                            let (v4, v6) = match attributes.kind(*id) {
                                Some(Kind::Ip { v4_bits, v6_bits, .. }) => (*v4_bits, *v6_bits),
                                _ => (32, 64),
                            };
                            let (bytes, len) = forwarded::prefix(ip, v4, v6);
                            sink.part(bytes.get(..len).unwrap_or(&bytes));
                        }
                    }
                }
                Part::Parameter(name) => {
                    sink.part((source.parameter)(name).ok_or(lacking)?.as_bytes());
                }
                Part::Route => sink.part(&(source.route as u64).to_le_bytes()),
                Part::Method => sink.part(source.method.as_bytes()),
                Part::Host => {
                    let told = authority(source.request.path).or(source.request.host);
                    let host = told.map(bare_host).filter(|host| !host.is_empty());
                    host_part(host.ok_or(lacking)?.as_bytes(), sink);
                }
                Part::Path => sink.part(source.path.as_bytes()),
            }
        }
        Ok(())
    }
}
