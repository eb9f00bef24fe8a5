//! One route of a policy file: `[METHOD[,METHOD]] [host]/path`.
//!
//! The path is a template: `{name}` is one segment, whatever it is; `/**` at the end is
//! the path itself and everything below. Literals are made normal by the rules that
//! requests go by, so that they may be written as people write them.

mod parse;

pub(crate) use parse::{RouteError, one_host, one_method, one_path};

use super::path::segments;
use std::fmt;

/// A route, checked. Two limits may call the same parameter by two names.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    text: Box<str>,
    methods: Methods,
    host: Host,
    segments: Box<[Segment]>,
    rest: bool,
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Normal, and empty only for a slash at the end that counts.
    Literal(Box<str>),
    /// The name of a parameter.
    Parameter(Box<str>),
}

/// The methods of a route, in upper case and without HEAD; none is every method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Methods(Box<[Box<str>]>);

/// The host of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Host {
    #[default]
    Any,
    /// Every host below this one, not itself: `*.example.com`.
    Below(Box<str>),
    Exactly(Box<str>),
}

impl Route {
    /// More segments than any API has; bounds the recursion of who matches.
    pub(crate) const MOST_SEGMENTS: usize = 64;

    /// The route of a limit that names none: every request.
    pub(crate) fn everything() -> Self {
        Self {
            text: "/**".into(),
            methods: Methods::default(),
            host: Host::Any,
            segments: Box::default(),
            rest: true,
        }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn methods(&self) -> &Methods {
        &self.methods
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it ends in `/**`.
    pub(crate) fn has_rest(&self) -> bool {
        self.rest
    }

    /// The names of its parameters, each with the number of its segment.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, usize)> {
        self.segments.iter().enumerate().filter_map(|(n, segment)| match segment {
            Segment::Parameter(name) => Some((&**name, n)),
            Segment::Literal(_) => None,
        })
    }

    /// What stands in a normal path that the route matched for a parameter of this name.
    pub(crate) fn parameter<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        let (_, n) = self.parameters().find(|(other, _)| *other == name)?;
        segments(path).nth(n)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Methods {
    pub(crate) fn are_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request by `method`, as [`counted_as`] says it, is one of these.
    pub(crate) fn have(&self, method: Option<&str>) -> bool {
        self.are_all()
            || method.is_some_and(|method| self.0.iter().any(|m| m.eq_ignore_ascii_case(method)))
    }

    /// Whether some method is in both.
    pub(crate) fn meet(&self, other: &Self) -> bool {
        self.are_all() || other.are_all() || self.0.iter().any(|m| other.0.contains(m))
    }
}

/// HEAD counts as GET. Case does not matter, since some servers do not mind it.
pub(crate) fn counted_as(method: &str) -> &str {
    if method.eq_ignore_ascii_case("HEAD") { "GET" } else { method }
}

impl Host {
    /// Whether a host, as [`bare_host`] says it, is one of these.
    pub(crate) fn has(&self, host: Option<&str>) -> bool {
        let ends = |host: &str, end: &str| {
            let (host, end) = (host.as_bytes(), end.as_bytes());
            let at = host.len().checked_sub(end.len())?;
            let (before, tail) = host.split_at_checked(at)?;
            tail.eq_ignore_ascii_case(end).then_some(before.last() == Some(&b'.') && at > 1)
        };
        match self {
            Self::Any => true,
            Self::Below(end) => host.and_then(|host| ends(host, end)).unwrap_or(false),
            Self::Exactly(name) => host.is_some_and(|host| host.eq_ignore_ascii_case(name)),
        }
    }

    /// Of two hosts that both match, the higher is the more specific; equal ranks that
    /// can both match are the same host.
    pub(crate) fn rank(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Below(end) => 1 + end.len(),
            Self::Exactly(_) => usize::MAX,
        }
    }
}

/// A host without its port, the user before it, and the dot that ends a full name.
pub(crate) fn bare_host(host: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    if host.bytes().all(plain) && !host.ends_with('.') {
        return host;
    }
    let host = host.trim_ascii();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit());
    let name = name.strip_suffix(':').unwrap_or(host);
    // A bare IPv6 address has no port.
    let name = if name.contains(':') && !name.starts_with('[') { host } else { name };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::policy::path::PathRules;

    fn parse(text: &str) -> Route {
        Route::parse(text, PathRules::default()).unwrap()
    }

    #[test]
    fn hosts_without_what_does_not_tell_them_apart() {
        for (host, bare) in [
            ("api.example.com", "api.example.com"),
            ("api.example.com:8080", "api.example.com"),
            ("api.example.com.", "api.example.com"),
            ("api.example.com.:80", "api.example.com"),
            ("api.example.com:", "api.example.com"),
            (" api.example.com ", "api.example.com"),
            ("user:password@api.example.com:1", "api.example.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("a:b", "a:b"),
            ("", ""),
            (":", ""),
        ] {
            assert_eq!(bare_host(host), bare, "{host}");
        }
        let host = parse("api.example.com/").host;
        assert!(host.has(Some("API.Example.COM")));
        assert!(!host.has(Some("x.api.example.com")) && !host.has(Some("")) && !host.has(None));
        let below = parse("*.example.com/").host;
        assert!(below.has(Some("a.Example.com")) && below.has(Some("a.b.example.com")));
        for other in ["example.com", ".example.com", "badexample.com", "com", "a.example.org"] {
            assert!(!below.has(Some(other)), "{other}");
        }
        assert!(!below.has(None) && parse("/").host.has(None));
    }

    #[test]
    fn head_is_get_in_any_case() {
        let get = parse("GET /").methods;
        for method in ["GET", "get", "HEAD", "Head"] {
            assert!(get.have(Some(counted_as(method))), "{method}");
        }
        assert!(!get.have(Some("POST")) && !get.have(None));
        assert!(Methods::default().have(None));
    }

    #[test]
    fn parameters_by_their_names() {
        let route = parse("/a/{one}/b/{two}/**");
        assert_eq!(route.parameters().collect::<Vec<_>>(), [("one", 1), ("two", 3)]);
        assert_eq!(route.parameter("one", "/a/x/b/y/z"), Some("x"));
        assert_eq!(route.parameter("two", "/a/x/b/y/z"), Some("y"));
        assert_eq!(route.parameter("three", "/a/x/b/y/z"), None);
        assert_eq!(route.parameter("two", "/a"), None);
    }
}
