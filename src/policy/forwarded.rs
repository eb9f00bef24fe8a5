//! The address of a client behind proxies, and the prefix of an address as a key.
//!
//! Every proxy appends whom it heard the request from, so only the last entries of a
//! forwarded-for list, those that our own proxies wrote, are true. The list is read from
//! the right; what a client put in front is not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The client of a list whose last `trusted_hops` entries our own proxies wrote: the
/// first of these. The list is that of `X-Forwarded-For` (`192.0.2.1, 2001:db8::1`) or
/// of `Forwarded` (`for=192.0.2.1;proto=https`, RFC 7239), several header lines joined
/// by commas.
///
/// None where one of these entries is missing, or is not what a proxy writes, or the
/// first of them is no address (`unknown`): a list that cannot be trusted is nobody's.
pub(crate) fn client(list: &[u8], trusted_hops: usize) -> Option<IpAddr> {
    let (mut rest, mut client) = (Some(list), None);
    for _ in 0..trusted_hops {
        let (before, entry) = split_last(rest?, b',');
        client = Some(node(entry)?);
        rest = before;
    }
    client?.address()
}

/// What is behind the last separator that is not in quotes, and what is before it.
/// Quotes are paired from the right too: none that a client opens swallows what was
/// written after.
fn split_last(text: &[u8], separator: u8) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    let separates = |&(at, byte): &(usize, &u8)| {
        if *byte == b'"' {
            let before = text.get(..at).unwrap_or_default().iter().rev();
            let escapes = before.take_while(|&&byte| byte == b'\\').count();
            quoted ^= escapes.is_multiple_of(2);
        }
        *byte == separator && !quoted
    };
    match text.iter().enumerate().rev().find(separates) {
        Some((at, _)) => (text.get(..at), text.get(at + 1..).unwrap_or_default()),
        None => (None, text),
    }
}

/// Who an entry says that the request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Address(IpAddr),
    /// `unknown`, `_hidden`, or an element without `for`.
    Unnamed,
}

impl Node {
    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(ip),
            Self::Unnamed => None,
        }
    }
}

/// An entry, if it is well-formed.
fn node(entry: &[u8]) -> Option<Node> {
    if !entry.contains(&b'=') {
        return name(unquoted(trimmed(entry)?)?);
    }
    let (mut rest, mut node) = (Some(entry), None);
    while let Some(pairs) = rest {
        let (before, pair) = split_last(pairs, b';');
        rest = before;
        let (key, value) = trimmed(pair)?.split_once('=')?;
        if key.is_empty() || !key.bytes().all(is_token) {
            return None;
        }
        let quoted = value.starts_with('"');
        let value = unquoted(value)?;
        if key.eq_ignore_ascii_case("for") {
            // Twice is once too often to know who.
            if node.replace(name(value)?).is_some() {
                return None;
            }
        } else if !quoted && !value.bytes().all(is_lenient) {
            return None;
        }
    }
    Some(node.unwrap_or(Node::Unnamed))
}

fn trimmed(text: &[u8]) -> Option<&str> {
    str::from_utf8(text).ok().map(|text| text.trim_matches([' ', '\t']))
}

/// A text without the quotes around it. Escapes stay: none is in an address.
fn unquoted(text: &str) -> Option<&str> {
    let Some(rest) = text.strip_prefix('"') else {
        return (!text.contains('"')).then_some(text);
    };
    let inner = rest.strip_suffix('"')?;
    let mut escaped = false;
    for byte in inner.bytes() {
        if byte == b'"' && !escaped {
            return None;
        }
        escaped = byte == b'\\' && !escaped;
    }
    (!escaped).then_some(inner)
}

/// An address, perhaps with a port, or a name in place of one.
fn name(text: &str) -> Option<Node> {
    let hidden = text.strip_prefix('_').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    });
    if hidden || text.eq_ignore_ascii_case("unknown") {
        return Some(Node::Unnamed);
    }
    let port = |text: &str| matches!(text.len(), 1..=5) && text.bytes().all(|b| b.is_ascii_digit());
    let ip = if let Some(rest) = text.strip_prefix('[') {
        let (ip, after) = rest.split_once(']')?;
        if !after.is_empty() && !after.strip_prefix(':').is_some_and(port) {
            return None;
        }
        IpAddr::V6(ip.parse().ok()?)
    } else if let Ok(ip) = text.parse::<IpAddr>() {
        ip
    } else {
        let (ip, after) = text.split_once(':')?;
        if !port(after) {
            return None;
        }
        IpAddr::V4(ip.parse().ok()?)
    };
    Some(Node::Address(ip.to_canonical()))
}

/// What a token of HTTP is made of.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// As proxies write addresses and hosts without the quotes that RFC 7239 wants.
fn is_lenient(byte: u8) -> bool {
    is_token(byte) || b":[]".contains(&byte)
}

/// The bytes of an address's prefix, and how many of them there are: the family, then as
/// many octets as the prefix reaches into, what is beyond it zero. An IPv4 address in
/// IPv6's clothes is an IPv4 address. More bits than an address has are all of them.
pub(crate) fn prefix(ip: IpAddr, v4_bits: u8, v6_bits: u8) -> ([u8; 17], usize) {
    let mut key = [0; 17];
    let (octets, bits): (&[u8], u8) = match ip.to_canonical() {
        IpAddr::V4(ip) => {
            key[0] = 4;
            let bits = v4_bits.min(32);
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            (&Ipv4Addr::from_bits(ip.to_bits() & mask).octets(), bits)
        }
        IpAddr::V6(ip) => {
            key[0] = 6;
            let bits = v6_bits.min(128);
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            (&Ipv6Addr::from_bits(ip.to_bits() & mask).octets(), bits)
        }
    };
    for (to, from) in key.iter_mut().skip(1).zip(octets) {
        *to = *from;
    }
    (key, 1 + usize::from(bits.div_ceil(8)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(list: &str, trusted_hops: usize) -> Option<String> {
        client(list.as_bytes(), trusted_hops).map(|ip| ip.to_string())
    }

    #[test]
    fn read_from_the_right() {
        let list = "198.51.100.66, 192.0.2.1, 203.0.113.9";
        for (hops, address) in [
            (0, None),
            (1, Some("203.0.113.9")),
            (2, Some("192.0.2.1")),
            (3, Some("198.51.100.66")),
            (4, None),
            (usize::MAX, None),
        ] {
            assert_eq!(of(list, hops).as_deref(), address, "{hops}");
        }
        assert_eq!(of("", 1), None);
    }

    #[test]
    fn one_address_however_it_is_written() {
        for entry in [
            "192.0.2.1",
            " \t192.0.2.1 ",
            "192.0.2.1:80",
            "\"192.0.2.1\"",
            "\"192.0.2.1:65535\"",
            "::ffff:192.0.2.1",
            "[::ffff:c000:201]:1",
            "for=192.0.2.1",
            "For=\"192.0.2.1:80\"",
            "proto=https; FOR=192.0.2.1 ;by=\"[::1]\"",
            "for=192.0.2.1;host=\"a;b\"",
            "by=_x;for=\"[::ffff:192.0.2.1]\";host=a.example:80",
        ] {
            assert_eq!(of(entry, 1).as_deref(), Some("192.0.2.1"), "{entry}");
        }
        for entry in
            ["2001:db8::1", "[2001:DB8::1]", "[2001:db8:0::1]:443", "for=\"[2001:db8::1]:4\""]
        {
            assert_eq!(of(entry, 1).as_deref(), Some("2001:db8::1"), "{entry}");
        }
    }

    #[test]
    fn garbage_is_nobody() {
        for entry in [
            "unknown",
            "_hidden",
            "for=unknown",
            "for=_x",
            "by=192.0.2.1",
            "localhost",
            "192.0.2",
            "192.0.2.01",
            "192.0.2.256",
            "0x7f.1",
            "192.0.2.1:",
            "192.0.2.1:123456",
            "192.0.2.1:a",
            "192.0.2.1 192.0.2.2",
            "[192.0.2.1]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "fe80::1%eth0",
            "2001:db8::1:80:1:1:1:1:1:1",
            "\"192.0.2.1",
            "192.0.2.1\"",
            "\"192.0.2.1\"\"",
            "'192.0.2.1'",
            "for=",
            "=192.0.2.1",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1;",
            "for=192.0.2.1;x",
            "for=192.0.2.1;host=a b",
            "for=192.0.2.1;host=\"a\"b\"c\"",
            "host=\"a\\\";for=192.0.2.1",
            "for 192.0.2.1",
            "192.0.2.1\0",
        ] {
            assert_eq!(of(entry, 1), None, "{entry}");
        }
        assert_eq!(client(b"192.0.2.1\xFF", 1), None);
        assert_eq!(client(b"6.6.6.6, \xFF", 1), None);
    }

    #[test]
    fn what_stands_where_our_proxies_wrote_is_all_well_formed() {
        // An empty entry is not passed over, or the client's own word would count.
        assert_eq!(of("6.6.6.6,", 1), None);
        assert_eq!(of("6.6.6.6, ,192.0.2.1", 2), None);
        assert_eq!(of("6.6.6.6, garbage, 192.0.2.1", 3), None);
        assert_eq!(of("192.0.2.1, unknown", 2).as_deref(), Some("192.0.2.1"));
        assert_eq!(of("192.0.2.1, by=x;proto=http", 2).as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn quotes_that_a_client_opens_or_a_host_tears() {
        // The client's quote does not swallow what the proxy appends.
        assert_eq!(of("for=\"6.6.6.6, for=192.0.2.1", 1).as_deref(), Some("192.0.2.1"));
        assert_eq!(of("\\\", for=192.0.2.1;host=\"x\"", 1).as_deref(), Some("192.0.2.1"));
        // What the client sent as its host, quoted by the proxy.
        for host in [
            "a,for=6.6.6.6,b",
            "a;for=6.6.6.6;b=c",
            "a\\\", for=6.6.6.6;x=\\\"",
            "a\\\",for=6.6.6.6,x=\\\"",
            "a\\\\\\\",for=6.6.6.6,x=b",
            "a\\\\,for=6.6.6.6\\\\",
            ",for=6.6.6.6",
            ",6.6.6.6,",
        ] {
            for end in ["", ";proto=http"] {
                let list = format!("for=\"6.6.6.6, for=192.0.2.1;host=\"{host}\"{end}");
                assert_eq!(of(&list, 1).as_deref(), Some("192.0.2.1"), "{list}");
                assert_eq!(
                    of(&format!("{list},{list}"), 1).as_deref(),
                    Some("192.0.2.1"),
                    "{list}"
                );
            }
        }
        // A proxy that does not escape is not understood.
        for list in ["for=192.0.2.1;host=\"a\"b\"", "for=192.0.2.1;host=a\"", "\"192.0.2.1\\\""] {
            assert_eq!(of(list, 1), None, "{list}");
        }
    }

    #[test]
    fn a_mebibyte_takes_linear_time() {
        for unit in [",", "\"", "\\", "\\\"", ";", "a=b;", "for=1.2.3.4,", "\",\""] {
            let list = unit.repeat((1 << 20) / unit.len());
            of(&list, 1 << 20);
        }
    }

    #[test]
    fn prefixes_are_masked_and_know_their_family() {
        let key = |ip: &str, v4, v6| {
            let (key, len) = prefix(ip.parse().unwrap(), v4, v6);
            key.split_at(len).0.to_vec()
        };
        assert_eq!(key("192.0.2.129", 32, 64), [4, 192, 0, 2, 129]);
        assert_eq!(key("192.0.2.129", 255, 64), [4, 192, 0, 2, 129]);
        assert_eq!(key("::ffff:192.0.2.129", 25, 64), [4, 192, 0, 2, 128]);
        assert_eq!(key("192.0.2.129", 9, 64), [4, 192, 0]);
        assert_eq!(key("192.128.2.129", 9, 64), [4, 192, 128]);
        assert_eq!(key("192.0.2.129", 0, 64), [4]);
        assert_eq!(key("::1", 32, 0), [6]);
        assert_eq!(key("2001:db8:1:2:3::4", 32, 64), [6, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]);
        assert_eq!(key("2001:db8:1:ffff::", 32, 49), [6, 0x20, 1, 0xd, 0xb8, 0, 1, 0x80]);
        assert_eq!(key("2001:db8::1", 32, 128).len(), 17);
        assert_eq!(key("2001:db8::1", 32, 200), key("2001:db8::1", 32, 128));
        assert_ne!(key("2001:db8::1", 32, 64), key("2001:db8:0:1::1", 32, 64));
        assert_eq!(key("2001:db8::1", 32, 64), key("2001:db8::ffff:1", 32, 64));
    }

    proptest! {
        /// Whatever a client puts in front of what our proxies wrote.
        #[test]
        fn a_client_cannot_choose(
            front in proptest::collection::vec(any::<u8>(), 0..40),
            ours in proptest::collection::vec(any::<u32>(), 1..4),
            kind in 0..3_usize,
        ) {
            let mut list = front;
            for ip in &ours {
                let ip = Ipv4Addr::from_bits(*ip);
                let entry = match kind {
                    0 => format!(", {ip}"),
                    1 => format!(",for={ip};proto=http"),
                    _ => format!(", [{}]:80", ip.to_ipv6_mapped()),
                };
                list.extend(entry.bytes());
            }
            for (hops, ip) in (1..).zip(ours.iter().rev()) {
                prop_assert_eq!(client(&list, hops), Some(Ipv4Addr::from_bits(*ip).into()));
            }
        }

        #[test]
        fn any_bytes_do(
            list in "[0-9a-f.:,;=\" \\[\\]for]{0,60}|\\PC{0,40}",
            hops in 0..6_usize,
        ) {
            if let Some(ip) = client(list.as_bytes(), hops) {
                prop_assert_eq!(ip, ip.to_canonical());
            }
        }

        #[test]
        fn bits_beyond_the_prefix_do_not_count(ip in any::<u128>(), bits in 0..=128_u8, flip in 0..128_u8) {
            let (x, y) = (Ipv6Addr::from_bits(ip), Ipv6Addr::from_bits(ip ^ 1 << (127 - flip)));
            prop_assert_eq!(prefix(x.into(), 0, bits) == prefix(y.into(), 0, bits), flip >= bits);
        }
    }
}
