//! Paths and routes, the obvious way: a text is cut into segments, and the
//! segments are compared from the left.

use std::collections::HashMap;

#[derive(Clone, Copy)]
pub(crate) struct PathRules {
    pub(crate) lower_case: bool,
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Decoded once; what is no `%XX` stands as it is.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut at, mut out) = (0, Vec::new());
    while let Some(&byte) = bytes.get(at) {
        let pair = |i: usize| bytes.get(at + i).copied().and_then(hex);
        if let (b'%', Some(high), Some(low)) = (byte, pair(1), pair(2)) {
            out.push(high * 16 + low);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl PathRules {
    /// The segments of a path, made normal.
    pub(crate) fn segments(self, path: &str) -> Vec<String> {
        let path = path.split(['?', '#']).next().unwrap();
        let path = path
            .split_once("://")
            .map_or(path, |(_, rest)| rest.find('/').map_or("/", |slash| &rest[slash..]));
        let mut path = decoded(path);
        if self.lower_case {
            path = path.to_lowercase();
        }
        let mut segments = Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                other => segments.push(other.to_owned()),
            }
        }
        segments
    }
}

enum Segment {
    Literal(String),
    Parameter(String),
    Rest,
}

pub(crate) struct Route {
    pub(crate) text: String,
    methods: Vec<String>,
    host: Option<String>,
    segments: Vec<Segment>,
}

/// How well a route fits: less is better. Ranks of the segments, then whether
/// there is no host, and no method.
pub(crate) type Rank = (Vec<u8>, bool, bool);

impl Route {
    pub(crate) fn read(text: &str, paths: PathRules) -> Self {
        let (methods, target) = text.split_once(' ').unwrap_or(("", text));
        let (host, path) = target.split_at(target.find('/').unwrap());
        let segments = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| {
                if segment == "**" {
                    Segment::Rest
                } else if let Some(name) = segment.strip_prefix('{') {
                    Segment::Parameter(name.trim_end_matches('}').to_owned())
                } else {
                    Segment::Literal(paths.segments(segment).concat())
                }
            })
            .collect();
        Self {
            text: text.to_owned(),
            methods: methods.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect(),
            host: (!host.is_empty()).then(|| host.to_lowercase()),
            segments,
        }
    }

    /// Whether it is met by a method (no HEAD), a host (in lower case, without
    /// its port) and a normal path; how well, and the values of its parameters.
    pub(crate) fn fits(
        &self,
        method: &str,
        host: &str,
        path: &[String],
    ) -> Option<(Rank, HashMap<String, String>)> {
        if !self.methods.is_empty() && !self.methods.iter().any(|m| m == method)
            || self.host.as_deref().is_some_and(|h| h != host)
        {
            return None;
        }
        let (mut ranks, mut named) = (Vec::new(), HashMap::new());
        let mut rest = path.iter();
        for segment in &self.segments {
            match segment {
                Segment::Rest => {
                    ranks.push(2);
                    rest = [].iter();
                }
                Segment::Literal(text) if rest.next()? == text => ranks.push(0),
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => {
                    named.insert(name.clone(), rest.next()?.clone());
                    ranks.push(1);
                }
            }
        }
        rest.next()
            .is_none()
            .then_some(((ranks, self.host.is_none(), self.methods.is_empty()), named))
    }
}
