//! Who a request is counted against: parts of its line, joined into bytes.
//!
//! With one part the key is that part; with several each is preceded by its
//! length, so that no two lists of parts make the same key. A client is tagged
//! with what it is, so that no host name can pass for an address.

use crate::{line::Line, show::printable};
use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// One part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The client: an IPv4 address, an IPv6 prefix, or a host name.
    Ip,
    /// The user, the third field, as it stands.
    User,
    /// The target of the request up to its query.
    Path,
    /// The method of the request.
    Method,
}

const V4: u8 = 4;
const V6: u8 = 6;
const NAME: u8 = b'n';

/// Parts longer than this are remembered by their beginning and a hash, so
/// that the books of a report stay small whatever the log holds.
const LONGEST_REMEMBERED: usize = 512;
const BEGINNING: usize = 400;

/// Makes keys of lines, and text of keys.
#[derive(Debug)]
pub(crate) struct Keys {
    parts: Vec<Part>,
    prefix: u8,
}

impl Keys {
    /// `prefix`: how many bits of an IPv6 address count, at most 128.
    pub(crate) fn new(parts: Vec<Part>, prefix: u8) -> Self {
        Self { parts, prefix }
    }

    /// Writes the key of a line over `key`: what the limiter decides on.
    #[inline]
    pub(crate) fn build(&self, line: &Line<'_>, key: &mut Vec<u8>) {
        key.clear();
        match self.parts[..] {
            [part] => self.put(part, line, key),
            _ => self.put_all(line, key),
        }
    }

    fn put_all(&self, line: &Line<'_>, key: &mut Vec<u8>) {
        for part in &self.parts {
            let length_at = key.len();
            key.extend_from_slice(&[0; 4]);
            self.put(*part, line, key);
            let length = key.len() - length_at - 4;
            key[length_at..length_at + 4].copy_from_slice(&length_bytes(length));
        }
    }

    /// What the report remembers of a key: all of it, unless it is very long.
    #[inline]
    pub(crate) fn remembered<'k>(&self, key: &'k [u8]) -> Cow<'k, [u8]> {
        if key.len() <= LONGEST_REMEMBERED { Cow::Borrowed(key) } else { self.shorten(key) }
    }

    #[cold]
    fn shorten<'k>(&self, key: &'k [u8]) -> Cow<'k, [u8]> {
        if self.parts.len() == 1 {
            return shortened(key);
        }
        let mut short = Vec::new();
        for part in Split(key).map(shortened) {
            short.extend_from_slice(&length_bytes(part.len()));
            short.extend_from_slice(&part);
        }
        Cow::Owned(short)
    }

    #[inline]
    fn put(&self, part: Part, line: &Line<'_>, key: &mut Vec<u8>) {
        match part {
            Part::Ip => self.put_client(line.client, key),
            Part::User => key.extend_from_slice(line.user),
            Part::Path => {
                let path = line.method_and_target().map_or(&b"-"[..], |(_, t)| Line::path(t));
                key.extend_from_slice(path);
            }
            Part::Method => {
                let method = line.method_and_target().map_or(&b"-"[..], |(method, _)| method);
                key.extend_from_slice(method);
            }
        }
    }

    #[inline]
    fn put_client(&self, client: &[u8], key: &mut Vec<u8>) {
        match address(client) {
            Some(IpAddr::V4(address)) => {
                key.push(V4);
                key.extend_from_slice(&address.octets());
            }
            Some(IpAddr::V6(address)) => {
                key.push(V6);
                let bits = u128::from_be_bytes(address.octets()) & mask(self.prefix);
                key.extend_from_slice(&bits.to_be_bytes());
            }
            None => {
                key.push(NAME);
                key.extend_from_slice(client);
            }
        }
    }

    /// A remembered key for people: its parts with a space between.
    pub(crate) fn text(&self, remembered: &[u8]) -> String {
        if let [part] = self.parts[..] {
            return self.part_text(part, remembered);
        }
        let texts = self.parts.iter().zip(Split(remembered));
        texts.map(|(part, bytes)| self.part_text(*part, bytes)).collect::<Vec<_>>().join(" ")
    }

    fn part_text(&self, part: Part, bytes: &[u8]) -> String {
        match (part, bytes.split_first()) {
            (Part::Ip, Some((&V4, octets))) => <[u8; 4]>::try_from(octets)
                .map(|o| Ipv4Addr::from(o).to_string())
                .unwrap_or_default(),
            (Part::Ip, Some((&V6, octets))) => <[u8; 16]>::try_from(octets)
                .map(|o| format!("{}/{}", Ipv6Addr::from(o), self.prefix))
                .unwrap_or_default(),
            (Part::Ip, Some((_, name))) => printable(name),
            (_, _) => printable(bytes),
        }
    }
}

/// The address that a client field holds; a v4-mapped one is its v4 address.
#[inline]
fn address(client: &[u8]) -> Option<IpAddr> {
    // The longest form: 0000:0000:0000:0000:0000:ffff:255.255.255.255
    if client.len() > 45 || !client.first().is_some_and(|b| b.is_ascii_hexdigit() || *b == b':') {
        return None;
    }
    let text = str::from_utf8(client).ok()?;
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Some(IpAddr::V4(v4));
    }
    Some(text.parse::<Ipv6Addr>().ok()?.to_canonical())
}

/// The first `bits` of 128 set.
fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(bits))).unwrap_or(0)
}

/// Lines are at most 64 KiB long, so that every length fits.
fn length_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// The part, or its beginning and a hash.
pub(crate) fn shortened(part: &[u8]) -> Cow<'_, [u8]> {
    if part.len() <= LONGEST_REMEMBERED {
        return Cow::Borrowed(part);
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(part);
    let rest = format!("\u{2026}({} bytes, {:016x})", part.len(), hasher.finish());
    Cow::Owned([&part[..BEGINNING], rest.as_bytes()].concat())
}

/// The parts of a joined key.
struct Split<'a>(&'a [u8]);

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (part, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn line<'a>(client: &'a str, user: &'a str, request: &'a str) -> Line<'a> {
        Line {
            client: client.as_bytes(),
            ident: b"-",
            user: user.as_bytes(),
            date: b"10/Oct/2000:13:55:36 -0700",
            request: request.as_bytes(),
            status: b"200",
            bytes: b"1",
        }
    }

    fn key(keys: &Keys, line: &Line<'_>) -> Vec<u8> {
        let mut key = b"from before".to_vec();
        keys.build(line, &mut key);
        key
    }

    fn client_text(client: &str, prefix: u8) -> String {
        let keys = Keys::new(vec![Part::Ip], prefix);
        let key = key(&keys, &line(client, "-", "GET / HTTP/1.1"));
        keys.text(&keys.remembered(&key))
    }

    #[test]
    fn clients() {
        for (client, text) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:c000:201", "192.0.2.1"),
            ("0000:0000:0000:0000:0000:ffff:192.0.2.111", "192.0.2.111"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
            ("client.example", "client.example"),
            ("192.0.2.256", "192.0.2.256"),
            ("192.0.2.01", "192.0.2.01"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("-", "-"),
            ("\u{1b}[0m", "\\x1B[0m"),
        ] {
            assert_eq!(client_text(client, 64), text);
        }
        let client = "2001:db8:1:2:3:4:5:6";
        assert_eq!(client_text(client, 0), "::/0");
        assert_eq!(client_text(client, 1), "::/1");
        assert_eq!(client_text(client, 47), "2001:db8::/47");
        assert_eq!(client_text(client, 48), "2001:db8:1::/48");
        assert_eq!(client_text(client, 128), "2001:db8:1:2:3:4:5:6/128");
        assert_eq!(client_text("::ffff:192.0.2.1", 0), "192.0.2.1");
    }

    #[test]
    fn no_name_passes_for_an_address() {
        let keys = Keys::new(vec![Part::Ip], 64);
        let mut seen = HashSet::new();
        for client in ["2001:db8::1", "2001:db8::/64", "4aaaa", "\u{4}aaaa", "97.97.97.97"] {
            assert!(seen.insert(key(&keys, &line(client, "-", ""))), "{client}");
        }
    }

    #[test]
    fn parts_join_without_ambiguity() {
        let keys = Keys::new(vec![Part::User, Part::Path, Part::Method], 64);
        let mut seen = HashSet::new();
        for (user, request) in [
            ("a b", "GET /c HTTP/1.1"),
            ("a", "GET b/c HTTP/1.1"),
            ("a b/c", "GET ? HTTP/1.1"),
            ("a", "GETb /c HTTP/1.1"),
            ("a", "-"),
        ] {
            let key = key(&keys, &line("h", user, request));
            assert!(seen.insert(key), "{user} {request}");
        }
        let good = key(&keys, &line("h", "mary ann", "POST /x?y HTTP/1.1"));
        assert_eq!(keys.text(&good), "mary ann /x POST");
        let other = key(&keys, &line("h", "-", "nonsense"));
        assert_eq!(keys.text(&other), "- - -");
    }

    #[test]
    fn long_keys_are_remembered_in_short() {
        for parts in [vec![Part::Path], vec![Part::Ip, Part::Path]] {
            let keys = Keys::new(parts, 64);
            let mut seen = HashSet::new();
            for last in ["x", "y"] {
                let request = format!("GET /{}{last} HTTP/1.1", "a".repeat(60_000));
                let key = key(&keys, &line("192.0.2.1", "-", &request));
                assert!(key.len() > 60_000);
                let short = keys.remembered(&key);
                assert!(short.len() < 600 && seen.insert(short.to_vec()));
                let text = keys.text(&short);
                assert!(text.contains("/aaa") && text.contains("60002 bytes"), "{text}");
            }
            let key = key(&keys, &line("192.0.2.1", "-", "GET /a HTTP/1.1"));
            assert_eq!(keys.remembered(&key), key);
        }
    }
}
