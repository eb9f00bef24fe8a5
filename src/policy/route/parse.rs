//! The text of a route, and of a single method, host or path, as it is read: what is
//! wrong with it is told with its place, all of it at once.

use super::{Host, Methods, Route, Segment, counted_as};
use crate::policy::path::{PathRules, Scratch, TrailingSlash};
use std::{fmt, net::Ipv6Addr, ops::Range};

/// Why a text is no route, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteError {
    /// Bytes of the text.
    pub(crate) at: Range<usize>,
    pub(crate) message: String,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Route {
    /// Reads a route, and reports everything that is wrong with it.
    pub(crate) fn parse(text: &str, rules: PathRules) -> Result<Self, Vec<RouteError>> {
        let mut errors = Errors(Vec::new());
        // No method and no host has a slash.
        let Some((front, _)) = text.split_once('/') else {
            errors.add(0..text.len(), "expected a path that begins with /, as in `POST /v1/scans`");
            return Err(errors.0);
        };
        let slash = front.len();
        let (methods, host) = match front.rfind(char::is_whitespace) {
            Some(space) => {
                let after = front.get(space..).and_then(|rest| rest.chars().next());
                front.split_at(space + after.map_or(0, char::len_utf8))
            }
            None => ("", front),
        };
        let path = text.get(slash..).unwrap_or_default().trim_end();
        let (at_host, host_at) = (methods.len(), methods.len()..slash);
        if host.ends_with(':') && path.starts_with("//") {
            errors.add(host_at, "leave the scheme out: a route is of both http and https");
            return Err(errors.0);
        }
        if host.split(',').all(|part| METHODS.contains(&part)) {
            errors.add(host_at, format!("expected a space after the method {host}"));
            return Err(errors.0);
        }
        if methods.split_whitespace().any(|word| word.contains('.') && !word.contains(',')) {
            let message = "expected the method first and no space after the host, as in \
                           `POST api.example.com/v1`";
            errors.add(0..slash, message);
            return Err(errors.0);
        }
        let methods = errors.methods(methods);
        let host = errors.host(host, at_host);
        let (segments, rest) = errors.path(path, slash, rules);
        if errors.0.is_empty() {
            Ok(Self { text: text.trim().into(), methods, host, segments, rest })
        } else {
            Err(errors.0)
        }
    }
}

/// A single method as requests are compared with it: in upper case.
pub(crate) fn one_method(text: &str) -> Result<String, Vec<RouteError>> {
    let mut errors = Errors(Vec::new());
    if counted_as(text.trim()) == "GET" && !text.trim().eq_ignore_ascii_case("GET") {
        errors.add(0..text.len(), "HEAD counts as GET; write GET");
        return Err(errors.0);
    }
    let Methods(methods) = errors.methods(text);
    match &*methods {
        [one] if errors.0.is_empty() => Ok(one.to_string()),
        _ => {
            if errors.0.is_empty() {
                errors.add(0..text.len(), "expected one method, such as GET or POST");
            }
            Err(errors.0)
        }
    }
}

/// A single host as requests are compared with it: in lower case, without port.
pub(crate) fn one_host(text: &str) -> Result<String, Vec<RouteError>> {
    let mut errors = Errors(Vec::new());
    match errors.host(text, 0) {
        Host::Exactly(name) => return Ok(name.into()),
        Host::Below(_) => errors.add(0..2, "expected one host: only routes know *. before one"),
        Host::Any if errors.0.is_empty() => {
            errors.add(0..text.len(), "expected a host, such as api.example.com");
        }
        Host::Any => {}
    }
    Err(errors.0)
}

/// A single path as requests are compared with it: made normal.
pub(crate) fn one_path(text: &str, rules: PathRules) -> Result<String, Vec<RouteError>> {
    let mut errors = Errors(Vec::new());
    if !text.starts_with('/') {
        errors.add(0..text.len(), "expected a path that begins with /, as in `/v1/scans`");
        return Err(errors.0);
    }
    let (segments, rest) = errors.path(text, 0, rules);
    let literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
    if errors.0.is_empty() && (rest || !segments.iter().all(literal)) {
        errors.add(0..text.len(), "expected one path: only routes know {name} and /**");
    }
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    Ok(rules.normal(text.as_bytes(), &mut Scratch::default()).to_owned())
}

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

struct Errors(Vec<RouteError>);

impl Errors {
    fn add(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.0.push(RouteError { at, message: message.into() });
    }

    fn methods(&mut self, text: &str) -> Methods {
        if text.trim().is_empty() {
            return Methods::default();
        }
        let mut methods: Vec<Box<str>> = Vec::new();
        let mut head = None;
        let mut at = 0;
        for part in text.trim_end().split(',') {
            let name = part.trim();
            let start = at + part.len() - part.trim_start().len();
            let span = start..start + name.len();
            at += part.len() + 1;
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name == "*" {
                self.add(span, "leave the method out where every method is meant");
            } else if name.is_empty() {
                self.add(span, "expected a method, as in `GET,POST /v1/scans`");
            } else if name.contains(char::is_whitespace) {
                self.add(span, "expected a comma between methods, as in `GET,POST /v1/scans`");
            } else if !name.bytes().all(token) {
                self.add(span, format!("`{name}` is no method; expected one such as GET or POST"));
            } else if name.eq_ignore_ascii_case("HEAD") {
                head = Some(span);
            } else {
                let name = name.to_ascii_uppercase().into();
                if !methods.contains(&name) {
                    methods.push(name);
                }
            }
        }
        if let Some(span) = head
            && !methods.iter().any(|method| &**method == "GET")
        {
            self.add(span, "HEAD counts as GET, so a route of HEAD alone cannot be; write GET");
        }
        Methods(methods.into())
    }

    fn host(&mut self, text: &str, at: usize) -> Host {
        if text.is_empty() {
            return Host::Any;
        }
        let span = at..at + text.len();
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if !below && address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) {
            return Host::Exactly(name.to_ascii_lowercase().into());
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.contains(':') {
            self.add(span, "leave the port out: a host is the same on every port");
        } else if name.contains('*') {
            self.add(span, "a * stands only for what is before a domain, as in *.example.com");
        } else if !name.is_ascii() {
            self.add(span, "expected a host in ASCII, as requests name it (xn--...)");
        } else if !name.bytes().all(fine) || name.split('.').any(str::is_empty) {
            self.add(span, format!("`{text}` is no host; expected one such as api.example.com"));
        } else if below {
            return Host::Below(name.to_ascii_lowercase().into());
        } else {
            return Host::Exactly(name.to_ascii_lowercase().into());
        }
        Host::Any
    }

    fn path(&mut self, text: &str, start: usize, rules: PathRules) -> (Box<[Segment]>, bool) {
        let (path, extra) = match text.find(['?', '#']) {
            Some(end) => text.split_at(end),
            None => (text, ""),
        };
        if !extra.is_empty() {
            let at = start + path.len();
            let message = "a route has no query and no fragment; expected the end of the path";
            self.add(at..at + extra.len(), message);
        }
        let (mut segments, mut rest) = (Vec::new(), false);
        let mut pieces = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
        let mut at = start + 1;
        while let Some(piece) = pieces.next() {
            let span = at..at + piece.len();
            at += piece.len() + 1;
            match (piece, pieces.peek()) {
                ("", None)
                    if segments.is_empty() || rules.trailing_slash == TrailingSlash::Ignore => {}
                ("", None) => segments.push(Segment::Literal(Box::default())),
                ("", Some(_)) => self.add(
                    span.start.saturating_sub(1)..span.end + 1,
                    "expected one slash: those of requests are merged",
                ),
                ("**", None) => rest = true,
                ("**", Some(_)) => self.add(span, "/** stands only at the end"),
                _ => {
                    if let Some(segment) = self.segment(piece, span.clone(), rules) {
                        if let Segment::Parameter(name) = &segment
                            && segments.contains(&segment)
                        {
                            self.add(span, format!("the parameter {{{name}}} is there twice"));
                        }
                        segments.push(segment);
                    }
                }
            }
        }
        if segments.len() > Route::MOST_SEGMENTS {
            let message = format!("expected at most {} segments", Route::MOST_SEGMENTS);
            self.add(start..start + path.len(), message);
        }
        (segments.into(), rest)
    }

    fn segment(&mut self, text: &str, at: Range<usize>, rules: PathRules) -> Option<Segment> {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            && !name.contains(['{', '}'])
        {
            if !name.is_empty() && name.bytes().all(word) {
                return Some(Segment::Parameter(name.into()));
            }
            self.add(at, "expected a name of letters, digits, _ and - in the braces, as in {id}");
        } else if text.contains(['{', '}']) {
            self.add(at, "expected {name} as a whole segment; as characters, braces are %7B, %7D");
        } else if let Some(name) = text.strip_prefix(':') {
            self.add(at, format!("expected {{{name}}} for a parameter; as a character, : is %3A"));
        } else if text.contains('*') {
            self.add(
                at,
                "expected {name} for one segment, or /** at the end; as a character, * is %2A",
            );
        } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.add(at, "expected no space in a path; as a character, it is %20");
        } else {
            // Keeps a slash that an escape may make.
            let rules = PathRules { trailing_slash: TrailingSlash::Keep, ..rules };
            let mut scratch = Scratch::default();
            let path = format!("/{text}");
            let normal = rules.normal(path.as_bytes(), &mut scratch);
            let literal = normal.strip_prefix('/').unwrap_or(normal);
            if !literal.is_empty() && !literal.contains('/') {
                return Some(Segment::Literal(literal.into()));
            }
            self.add(
                at,
                "expected no dot segment and no encoded slash: those of requests are resolved first",
            );
        }
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::policy::path::{Case, EncodedSlash};
    use proptest::prelude::*;

    fn parse(text: &str) -> Route {
        Route::parse(text, PathRules::default()).unwrap()
    }

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.into())
    }

    #[test]
    fn what_a_route_may_be() {
        let route = parse("POST /v1/scans");
        assert_eq!(route.methods, Methods(["POST".into()].into()));
        assert_eq!(route.host, Host::Any);
        assert_eq!(*route.segments, [literal("v1"), literal("scans")]);
        assert!(!route.rest);

        let route = parse("  get, Post ,get  ID.Example.com./a/{id}/**  ");
        assert_eq!(route.methods, Methods(["GET".into(), "POST".into()].into()));
        assert_eq!(route.host, Host::Exactly("id.example.com".into()));
        assert_eq!(*route.segments, [literal("a"), Segment::Parameter("id".into())]);
        assert!(route.rest);
        assert_eq!(route.to_string(), "get, Post ,get  ID.Example.com./a/{id}/**");

        assert_eq!(parse("*.example.com/x").host, Host::Below("example.com".into()));
        assert_eq!(parse("[::1]/x").host, Host::Exactly("[::1]".into()));
        assert_eq!(parse("localhost/x").host, Host::Exactly("localhost".into()));
        assert!(parse("/").segments.is_empty() && !parse("/").rest);
        let (a, b) = (parse("/**"), Route::everything());
        assert_eq!((&a.text, &a.segments, a.rest), (&b.text, &b.segments, b.rest));
        assert_eq!(parse("GET,HEAD /x").methods, parse("GET /x").methods);
    }

    #[test]
    fn literals_are_made_normal() {
        assert_eq!(*parse("/%76%31/caf%c3%a9/").segments, [literal("v1"), literal("caf\u{e9}")]);
        assert_eq!(
            *parse("/%7Bid%7d/%2A/%3a/100%").segments,
            ["{id}", "*", ":", "100%25"].map(literal)
        );
        let rules = PathRules {
            case: Case::Insensitive,
            trailing_slash: TrailingSlash::Keep,
            encoded_slash: EncodedSlash::Data,
        };
        let route = Route::parse("/V1/a%2fb/{Id}/", rules).unwrap();
        let name = Segment::Parameter("Id".into());
        assert_eq!(*route.segments, [literal("v1"), literal("a%2Fb"), name, literal("")]);
        assert!(Route::parse("/", rules).unwrap().segments.is_empty());
    }

    #[test]
    fn every_error_says_what_and_where() {
        for (text, expected) in [
            ("", &[("", "begins with /")] as &[_]),
            ("POST", &[("POST", "begins with /")]),
            ("POST id.example.com", &[("POST id.example.com", "begins with /")]),
            ("https://a.b/c", &[("https:", "scheme")]),
            ("POST https://a.b/c", &[("https:", "scheme")]),
            ("POST/v1", &[("POST", "space after the method")]),
            ("POST,GET/v1", &[("POST,GET", "space after the method")]),
            ("a.b POST /v1", &[("a.b POST ", "the method first")]),
            ("POST a.b /v1", &[("POST a.b ", "the method first")]),
            ("GET POST /v1", &[("GET POST", "a comma")]),
            ("GET,,POST /v1", &[("", "expected a method")]),
            ("GET,P(ST,* /v1", &[("P(ST", "is no method"), ("*", "leave the method out")]),
            ("POST,HEAD /v1", &[("HEAD", "counts as GET")]),
            ("a.b:80/v1", &[("a.b:80", "port")]),
            ("a.*.b/v1", &[("a.*.b", "a * stands")]),
            ("*./v1", &[("*.", "is no host")]),
            ("a..b/v1", &[("a..b", "is no host")]),
            ("a~b/v1", &[("a~b", "is no host")]),
            ("b\u{fc}cher.example/v1", &[("b\u{fc}cher.example", "xn--")]),
            ("/v1?x=/", &[("?x=/", "no query")]),
            ("/v1/a#b", &[("#b", "no fragment")]),
            ("/a//b", &[("//", "one slash")]),
            ("//a", &[("//", "one slash")]),
            ("/a/**/b", &[("**", "only at the end")]),
            ("/**/", &[("**", "only at the end")]),
            ("/a/../b", &[("..", "no dot segment")]),
            ("/a/%2E/b", &[("%2E", "no dot segment")]),
            ("/a%2Fb", &[("a%2Fb", "no encoded slash")]),
            ("/a%2F/b", &[("a%2F", "no encoded slash")]),
            ("/{}", &[("{}", "expected a name")]),
            ("/{id:rest}", &[("{id:rest}", "expected a name")]),
            ("/{a}{b}", &[("{a}{b}", "whole segment")]),
            ("/{id}.json", &[("{id}.json", "whole segment")]),
            ("/{a}/{b}/{a}", &[("{a}", "twice")]),
            ("/v1/:id", &[(":id", "expected {id}")]),
            ("/v1/*", &[("*", "expected {name}")]),
            ("/v1/*.png", &[("*.png", "expected {name}")]),
            ("GET /a b/c", &[("a b", "%20")]),
            ("/a\0", &[("a\0", "%20")]),
            (
                "X Y a:1/../:x/*?z",
                &[
                    ("X Y", "a comma"),
                    ("a:1", "port"),
                    ("?z", "no query"),
                    ("..", "no dot segment"),
                    (":x", "expected {x}"),
                    ("*", "expected {name}"),
                ],
            ),
        ] {
            let errors = Route::parse(text, PathRules::default()).unwrap_err();
            let found: Vec<_> =
                errors.iter().map(|e| (text.get(e.at.clone()).unwrap(), e.to_string())).collect();
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            for ((place, message), (at, part)) in found.iter().zip(expected) {
                assert_eq!(place, at, "{text}: {message}");
                assert!(message.contains(part), "{text}: {message}");
            }
        }
        let deep = "/a".repeat(Route::MOST_SEGMENTS);
        assert!(Route::parse(&deep, PathRules::default()).is_ok());
        let errors = Route::parse(&(deep + "/a"), PathRules::default()).unwrap_err();
        assert!(errors[0].message.contains("at most 64"));
    }

    #[test]
    fn where_the_second_of_two_errors_is() {
        let errors = Route::parse("GET /a/{x}/{x}", PathRules::default()).unwrap_err();
        assert_eq!(errors[0].at, 11..14);
        let errors = Route::parse("GET, ,PUT /a", PathRules::default()).unwrap_err();
        assert_eq!(errors[0].at, 5..5);
    }

    proptest! {
        #[test]
        fn any_text_is_a_route_or_says_where_it_is_none(text in "[A-Z ,/.:*{}%a-c?é\\[\\]]{0,24}|\\PC{0,24}") {
            match Route::parse(&text, PathRules::default()) {
                Ok(route) => {
                    let again = Route::parse(route.text(), PathRules::default()).unwrap();
                    prop_assert_eq!(again.segments, route.segments);
                }
                Err(errors) => {
                    prop_assert!(!errors.is_empty());
                    for error in errors {
                        prop_assert!(text.get(error.at.clone()).is_some(), "{:?}", error);
                    }
                }
            }
        }
    }
}
