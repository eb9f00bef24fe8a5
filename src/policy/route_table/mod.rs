//! Many routes asked at once: which limit of a group applies to a request.
//!
//! A tree of segments. Walking it, literals first, then parameters, then what ends in
//! `/**`, meets the templates that match a path in the order of how specific they are;
//! whoever has a template is sorted by host, method and conditions. So the first whose
//! conditions hold is the answer, and a request walks the tree once, whatever the
//! number of limits. No node is visited twice, and nothing is allocated.
//!
//! Why not the crate matchit: its answer is the best template alone, and when the
//! conditions of that one do not hold, the next best cannot be asked for. It refuses
//! `/a/{x}` beside `/a/**`; and it allocates where a literal stands beside a parameter,
//! and for the fourth parameter. The tests compare the two where both have an answer.
use super::route::{Host, Methods, Route, Segment, bare_host, counted_as};
use std::{cmp::Reverse, collections::HashMap, ops::ControlFlow};

/// One limit, as far as routes go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its number; an answer gives it back.
    pub(crate) limit: usize,
    /// None is every request.
    pub(crate) routes: &'a [Route],
    /// The number of its set of conditions.
    pub(crate) conditions: usize,
    /// How many conditions the set has.
    pub(crate) how_many: usize,
    /// Whether it is asked only where no other limit of the group applies.
    pub(crate) fallback: bool,
}

/// What a request is matched by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    method: Option<&'a str>,
    host: Option<&'a str>,
    path: &'a str,
}

impl<'a> Question<'a> {
    /// Method and host as the request has them, and its path made normal. A route that
    /// names what a request does not tell is not the request's.
    pub(crate) fn new(method: Option<&'a str>, host: Option<&'a str>, path: &'a str) -> Self {
        Self { method: method.map(counted_as), host: host.map(bare_host), path }
    }

    /// The method that counts; empty if none was told.
    pub(crate) fn method(&self) -> &'a str {
        self.method.unwrap_or_default()
    }

    /// Without its port, if one was told.
    pub(crate) fn host(&self) -> Option<&'a str> {
        self.host
    }

    pub(crate) fn path(&self) -> &'a str {
        self.path
    }
}

/// A limit that matches, and by which of its routes (0 if it names none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) limit: usize,
    pub(crate) route: usize,
}

/// Two limits of a group, neither more specific than the other, that can both apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) first: Matched,
    pub(crate) second: Matched,
}

/// The routes of some limits, compiled.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    root: Node,
    has_fallback: bool,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node, ahash::RandomState>,
    parameter: Option<Box<Node>>,
    /// Whose template ends here.
    here: Vec<Candidate>,
    /// Whose template has `/**` here.
    rest: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    matched: Matched,
    methods: Methods,
    host: Host,
    conditions: usize,
    how_many: usize,
    fallback: bool,
}

impl RouteTable {
    /// The table of the limits of a group. `exclusive` says whether two sets of
    /// conditions can never hold together. Limits that conflict are all reported, each
    /// with the first that it conflicts with.
    pub(crate) fn of_group<'a>(
        entries: impl IntoIterator<Item = Entry<'a>>,
        exclusive: impl Fn(usize, usize) -> bool,
    ) -> Result<Self, Vec<Conflict>> {
        let table = Self::of_each(entries);
        let mut conflicts = Vec::new();
        table.root.visit(&mut |candidates| conflicting(candidates, &exclusive, &mut conflicts));
        if conflicts.is_empty() {
            return Ok(table);
        }
        conflicts.sort_by_key(|c| (c.second.limit, c.second.route, c.first.limit));
        Err(conflicts)
    }

    /// The table of limits whether they conflict or not.
    pub(crate) fn of_each<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Self {
        let mut table = Self::default();
        let everything = [Route::everything()];
        for entry in entries {
            table.has_fallback |= entry.fallback;
            let routes = if entry.routes.is_empty() { &everything } else { entry.routes };
            for (number, route) in routes.iter().enumerate() {
                table.root.add(
                    route,
                    Candidate {
                        matched: Matched { limit: entry.limit, route: number },
                        methods: route.methods().clone(),
                        host: route.host().clone(),
                        conditions: entry.conditions,
                        how_many: entry.how_many,
                        fallback: entry.fallback,
                    },
                );
            }
        }
        table.root.sort();
        table
    }

    /// The most specific limit that matches and whose conditions hold. `holds` is asked
    /// for the same set once for every route that matches but for it.
    pub(crate) fn find(
        &self,
        question: Question<'_>,
        mut holds: impl FnMut(usize) -> bool,
    ) -> Option<Matched> {
        let mut first = |fallback| {
            let mut found = None;
            let _ = self.walk(question, &mut |candidate| {
                if candidate.fallback == fallback && holds(candidate.conditions) {
                    found = Some(candidate.matched);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            found
        };
        first(false).or_else(|| if self.has_fallback { first(true) } else { None })
    }

    /// Everything that matches and whose conditions hold, the most specific first: a
    /// limit comes once for each of its routes that match.
    pub(crate) fn each(
        &self,
        question: Question<'_>,
        mut holds: impl FnMut(usize) -> bool,
        mut take: impl FnMut(Matched),
    ) {
        let _ = self.walk(question, &mut |candidate| {
            if holds(candidate.conditions) {
                take(candidate.matched);
            }
            ControlFlow::Continue(())
        });
    }

    fn walk(
        &self,
        question: Question<'_>,
        take: &mut impl FnMut(&Candidate) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let path = question.path.strip_prefix('/').unwrap_or(question.path);
        let offer = &mut |candidates: &[Candidate]| {
            for candidate in candidates {
                if candidate.host.has(question.host) && candidate.methods.have(question.method) {
                    take(candidate)?;
                }
            }
            ControlFlow::Continue(())
        };
        self.root.walk((!path.is_empty()).then_some(path), offer)
    }
}

impl Node {
    fn add(&mut self, route: &Route, candidate: Candidate) {
        let mut node = self;
        for segment in route.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        let list = if route.has_rest() { &mut node.rest } else { &mut node.here };
        list.push(candidate);
    }

    fn sort(&mut self) {
        for list in [&mut self.here, &mut self.rest] {
            list.sort_by_key(|candidate| Reverse(candidate.rank()));
            list.shrink_to_fit();
        }
        self.literals.values_mut().chain(self.parameter.as_deref_mut()).for_each(Self::sort);
    }

    fn visit(&self, see: &mut impl FnMut(&[Candidate])) {
        see(&self.here);
        see(&self.rest);
        for node in self.literals.values().chain(self.parameter.as_deref()) {
            node.visit(see);
        }
    }

    /// Offers what matches the segments of `path` (none at its end), the most specific
    /// first. As deep as the deepest template, which is bounded.
    fn walk(
        &self,
        path: Option<&str>,
        offer: &mut impl FnMut(&[Candidate]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match path {
            None => offer(&self.here)?,
            // Nothing below but what ends in a rest.
            Some(_) if self.literals.is_empty() && self.parameter.is_none() => {}
            Some(path) => {
                let slash = path.bytes().position(|byte| byte == b'/');
                let (segment, rest) = match slash.and_then(|at| path.split_at_checked(at)) {
                    Some((segment, rest)) => (segment, rest.get(1..)),
                    None => (path, None),
                };
                if let Some(node) = self.literals.get(segment) {
                    node.walk(rest, offer)?;
                }
                // A slash that is kept at the end makes no parameter.
                if let Some(node) = &self.parameter
                    && !segment.is_empty()
                {
                    node.walk(rest, offer)?;
                }
            }
        }
        offer(&self.rest)
    }
}

impl Candidate {
    /// Of two with one template the higher is the more specific.
    fn rank(&self) -> (usize, bool, usize) {
        (self.host.rank(), !self.methods.are_all(), self.how_many)
    }

    /// Whether a request can be of both.
    fn meets(&self, other: &Self, exclusive: impl Fn(usize, usize) -> bool) -> bool {
        self.fallback == other.fallback
            && self.host == other.host
            && self.methods.meet(&other.methods)
            && (self.conditions == other.conditions
                || !exclusive(self.conditions, other.conditions))
    }
}

/// Reports what of one template, sorted by rank, is equally specific and can meet.
fn conflicting(
    candidates: &[Candidate],
    exclusive: impl Fn(usize, usize) -> bool,
    into: &mut Vec<Conflict>,
) {
    for equal in candidates.chunk_by(|a, b| a.rank() == b.rank()) {
        for (n, second) in equal.iter().enumerate() {
            let first = equal.iter().take(n).find(|first| {
                first.matched.limit != second.matched.limit && first.meets(second, &exclusive)
            });
            if let Some(first) = first {
                into.push(Conflict { first: first.matched, second: second.matched });
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
