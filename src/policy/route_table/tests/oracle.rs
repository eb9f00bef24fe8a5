//! The oracle: every route, segment by segment.

use super::{group, route};
use crate::policy::route::Route;
use crate::policy::route_table::{Conflict, Entry, Matched, Question, RouteTable};
use proptest::prelude::*;
use std::cmp::Reverse;

/// Conditions on two attributes: each absent, or one of two values.
type Set = [Option<bool>; 2];

fn holds(set: Set, world: [bool; 2]) -> bool {
    set.iter().zip(world).all(|(wanted, is)| wanted.is_none_or(|wanted| wanted == is))
}

#[derive(Clone, Debug)]
struct Plain {
    limit: usize,
    route: usize,
    method: Option<&'static str>,
    host: Option<&'static str>,
    path: Vec<&'static str>,
    set: Set,
    fallback: bool,
}

/// How specific a template is, lower first, if it matches the path.
fn template(template: &[&str], path: &[&str]) -> Option<Vec<u8>> {
    let mut kinds = Vec::new();
    for (n, part) in template.iter().enumerate() {
        kinds.push(match *part {
            "**" => {
                kinds.push(2);
                return Some(kinds);
            }
            "{x}" if path.get(n).is_some() => 1,
            part if path.get(n) == Some(&part) => 0,
            _ => return None,
        });
    }
    (template.len() == path.len()).then_some(kinds)
}

impl Plain {
    fn rank(&self, path: &[&str]) -> Option<impl Ord + use<>> {
        let host = match self.host {
            None => 2,
            Some(host) if host.starts_with('*') => 1,
            Some(_) => 0,
        };
        let many = self.set.iter().flatten().count();
        let kinds = template(&self.path, path)?;
        Some((self.fallback, kinds, host, self.method.is_none(), Reverse(many)))
    }

    fn matches(&self, method: &str, host: &str, path: &[&str], world: [bool; 2]) -> bool {
        template(&self.path, path).is_some()
            && self.method.is_none_or(|m| m.split(',').any(|m| m == method))
            && self.host.is_none_or(|h| match h.strip_prefix('*') {
                Some(end) => host.ends_with(end),
                None => h == host,
            })
            && holds(self.set, world)
    }

    fn text(&self) -> String {
        let method = self.method.map_or(String::new(), |method| format!("{method} "));
        format!("{method}{}{}", self.host.unwrap_or(""), named(&self.path))
    }
}

/// The text of a template, its parameters numbered.
fn named(template: &[&str]) -> String {
    let part = |(n, part): (usize, &&str)| match *part {
        "{x}" => format!("/{{x{n}}}"),
        part => format!("/{part}"),
    };
    let text: String = template.iter().enumerate().map(part).collect();
    if text.is_empty() { "/".to_owned() } else { text }
}

fn plain_route()
-> impl Strategy<Value = (Option<&'static str>, Option<&'static str>, Vec<&'static str>)> {
    let method = proptest::option::of(proptest::sample::select(vec!["GET", "PUT", "GET,POST"]));
    let host = proptest::option::weighted(0.3, proptest::sample::select(vec!["h.x", "*.x", "i.y"]));
    let parts = proptest::collection::vec(proptest::sample::select(vec!["a", "b", "{x}"]), 0..4);
    (method, host, parts, proptest::bool::weighted(0.3)).prop_map(
        |(method, host, mut path, rest)| {
            path.extend(rest.then_some("**"));
            (method, host, path)
        },
    )
}

fn plain() -> impl Strategy<Value = Vec<Plain>> {
    let set = (proptest::option::of(any::<bool>()), proptest::option::weighted(0.2, any::<bool>()));
    let limit =
        (proptest::collection::vec(plain_route(), 1..3), set, proptest::bool::weighted(0.1));
    proptest::collection::vec(limit, 1..10).prop_map(|limits| {
        let mut all = Vec::new();
        for (limit, (routes, set, fallback)) in limits.into_iter().enumerate() {
            for (route, (method, host, path)) in routes.into_iter().enumerate() {
                let set = [set.0, set.1];
                all.push(Plain { limit, route, method, host, path, set, fallback });
            }
        }
        all
    })
}

fn set_number(set: Set) -> usize {
    let digit = |value: Option<bool>| value.map_or(0, |value| 1 + usize::from(value));
    digit(set[0]) * 3 + digit(set[1])
}

fn set_of(number: usize) -> Set {
    [number / 3, number % 3].map(|digit| digit.checked_sub(1).map(|value| value == 1))
}

/// Every question there is over the alphabet, to a depth of four.
fn questions() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>, [bool; 2])> {
    let letters = ["a", "b", "c"];
    let mut paths: Vec<Vec<&str>> = vec![Vec::new()];
    for depth in 0..4 {
        let longer = paths
            .iter()
            .filter(|path| path.len() == depth)
            .flat_map(|path| letters.iter().map(|letter| [path.as_slice(), &[*letter]].concat()));
        paths.extend(longer.collect::<Vec<_>>());
    }
    paths.into_iter().flat_map(|path| {
        ["GET", "PUT", "POST", "DELETE"].into_iter().flat_map(move |method| {
            let path = path.clone();
            ["h.x", "g.x", "i.y", ""].into_iter().flat_map(move |host| {
                let path = path.clone();
                (0..4).map(move |n| (method, host, path.clone(), [n & 1 == 1, n & 2 == 2]))
            })
        })
    })
}

fn routes_of(plain: &[Plain]) -> Vec<(Plain, Vec<Route>)> {
    plain
        .chunk_by(|a, b| a.limit == b.limit)
        .map(|of| (of[0].clone(), of.iter().map(|plain| route(&plain.text())).collect()))
        .collect()
}

fn table_of(limits: &[(Plain, Vec<Route>)]) -> Result<RouteTable, Vec<Conflict>> {
    let entries = limits.iter().map(|(plain, routes)| Entry {
        limit: plain.limit,
        routes,
        conditions: set_number(plain.set),
        how_many: plain.set.iter().flatten().count(),
        fallback: plain.fallback,
    });
    RouteTable::of_group(entries, |a, b| {
        set_of(a).iter().zip(set_of(b)).any(|(a, b)| a.is_some() && b.is_some() && *a != b)
    })
}

#[test]
fn what_the_other_router_refuses() {
    let mut router = matchit::Router::new();
    router.insert("/a/{x}", 0).unwrap();
    assert!(router.insert("/a/{*rest}", 1).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A table is refused exactly if some question has two best answers of two
    /// limits; else its answer to every question is the one best.
    #[test]
    fn the_best_of_all_that_match(plain in plain()) {
        let limits = routes_of(&plain);
        let table = table_of(&limits);
        let mut tie = false;
        for (method, host, path, world) in questions() {
            let matching: Vec<_> =
                plain.iter().filter(|p| p.matches(method, host, &path, world)).collect();
            let best = matching.iter().min_by_key(|p| p.rank(&path));
            // Also below the best: an error does not depend on what else there is.
            tie |= matching.iter().enumerate().any(|(n, a)| {
                matching.iter().take(n).any(|b| {
                    a.limit != b.limit && a.rank(&path) == b.rank(&path)
                })
            });
            if let Ok(table) = &table {
                let text = format!("/{}", path.join("/"));
                let question = Question::new(Some(method), Some(host), &text);
                let found = table.find(question, |set| holds(set_of(set), world));
                let best = best.map(|p| Matched { limit: p.limit, route: p.route });
                prop_assert_eq!(found, best, "{} {}{}", method, host, text);
                let mut each = Vec::new();
                table.each(question, |set| holds(set_of(set), world), |m| each.push((m.limit, m.route)));
                let mut expected: Vec<_> = matching.iter().map(|p| (p.limit, p.route)).collect();
                each.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(each, expected);
            }
        }
        prop_assert_eq!(table.is_err(), tie, "{:?}", table);
    }

    /// Where a well-known router accepts the templates, it finds the same ones.
    #[test]
    fn as_another_router_does(
        templates in proptest::collection::hash_set(plain_route().prop_map(|(_, _, path)| path), 1..8)
    ) {
        let mut router = matchit::Router::new();
        let mut limits = Vec::new();
        for path in &templates {
                let text = named(path);
                if router.insert(text.replace("**", "{*rest}"), limits.len()).is_ok() {
                    limits.push(vec![route(&text)]);
                }
            }
            let table = group(&limits);
        for (method, _, path, _) in questions() {
            let text = format!("/{}", path.join("/"));
            let theirs = router.at(&text).ok().map(|found| *found.value);
            let ours = table.find(Question::new(Some(method), None, &text), |_| true);
            // Its rest has at least one segment.
            let bare = ours.is_some_and(|m| {
                let route = &limits[m.limit][0];
                route.has_rest() && route.segments().len() == path.len()
            });
            if !bare {
                prop_assert_eq!(ours.map(|m| m.limit), theirs, "{}", text);
            }
        }
    }
}
