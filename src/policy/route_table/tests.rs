use super::*;
use crate::policy::path::{PathRules, Scratch, TrailingSlash};
use std::{collections::HashSet, time::Instant};

mod oracle;

fn route(text: &str) -> Route {
    Route::parse(text, PathRules::default()).unwrap()
}

/// Limits with the routes given, separated by `|`, without conditions.
fn limits(texts: &[&str]) -> Vec<Vec<Route>> {
    texts.iter().map(|text| text.split('|').map(route).collect()).collect()
}

fn entry(limit: usize, routes: &[Route]) -> Entry<'_> {
    Entry { limit, routes, conditions: 0, how_many: 0, fallback: false }
}

fn entries(limits: &[Vec<Route>]) -> impl Iterator<Item = Entry<'_>> {
    limits.iter().enumerate().map(|(n, routes)| entry(n, routes))
}

fn group(limits: &[Vec<Route>]) -> RouteTable {
    RouteTable::of_group(entries(limits), |_, _| false).unwrap()
}

/// Asks by a text like a route's: `METHOD host/path`.
fn ask(table: &RouteTable, text: &str) -> Option<(usize, usize)> {
    let (front, _) = text.split_once('/').unwrap();
    let (method, host) = front.split_once(' ').unwrap_or(("GET", front));
    let host = (!host.is_empty()).then_some(host);
    let mut scratch = Scratch::default();
    let path = PathRules::default().normal(text.split_at(front.len()).1.as_bytes(), &mut scratch);
    let question = Question::new(Some(method), host, path);
    table.find(question, |_| true).map(|m| (m.limit, m.route))
}

fn check(texts: &[&str], answers: &[(&str, Option<(usize, usize)>)]) {
    let limits = limits(texts);
    let table = group(&limits);
    for (text, answer) in answers {
        assert_eq!(ask(&table, text), *answer, "{text}");
    }
}

#[test]
fn literals_beat_parameters_beat_the_rest_from_the_left() {
    check(
        &["/a/b", "/a/{x}", "/a/**", "/{x}/b", "/**", "/{x}/b/c", "/a/{x}/{y}", "/d"],
        &[
            ("/a/b", Some((0, 0))),
            ("/a/c", Some((1, 0))),
            ("/a", Some((2, 0))),
            ("/a/b/c", Some((6, 0))),
            ("/a/b/c/d", Some((2, 0))),
            ("/c/b", Some((3, 0))),
            ("/c/b/c", Some((5, 0))),
            ("/d", Some((7, 0))),
            ("/d/e", Some((4, 0))),
            ("/", Some((4, 0))),
            ("/{x}", Some((4, 0))),
        ],
    );
    check(
        &["/a/b/c", "/a/{x}/d"],
        &[("/a/b/d", Some((1, 0))), ("/a/b/e", None), ("/a/b", None), ("/", None)],
    );
    check(&["/", "/a"], &[("/", Some((0, 0))), ("/a", Some((1, 0))), ("/b", None)]);
}

#[test]
fn then_hosts_then_methods_then_conditions() {
    check(
        &["/a", "GET /a", "h.x/a", "GET h.x/a", "*.x/a", "GET,PUT *.h.x/a", "POST /{y}"],
        &[
            ("/a", Some((1, 0))),
            ("PUT /a", Some((0, 0))),
            ("GET i.x/a", Some((4, 0))),
            ("GET h.x/a", Some((3, 0))),
            ("PUT H.X:80/a", Some((2, 0))),
            ("HEAD h.x/a", Some((3, 0))),
            ("GET g.h.x/a", Some((5, 0))),
            ("POST g.h.x/a", Some((4, 0))),
            ("GET x/a", Some((1, 0))),
            ("POST /a", Some((0, 0))),
            ("POST /b", Some((6, 0))),
            ("GET /b", None),
        ],
    );

    check(&["GET *.x/a", "*.h.x/a"], &[("g.h.x/a", Some((1, 0))), ("h.x/a", Some((0, 0)))]);

    let routes = limits(&["/a", "/a", "/a"]);
    let counted = entries(&routes).map(|entry| Entry {
        conditions: entry.limit,
        how_many: entry.limit,
        ..entry
    });
    let table = RouteTable::of_group(counted, |_, _| false).unwrap();
    let question = Question::new(None, None, "/a");
    for most in 0..3 {
        let found = table.find(question, |set| set <= most);
        assert_eq!(found, Some(Matched { limit: most, route: 0 }));
    }
    assert_eq!(table.find(question, |_| false), None);
}

#[test]
fn where_conditions_do_not_hold_the_next_best_is_asked() {
    let routes = limits(&["/a/b", "/a/{x}", "/{x}/b", "/a/**"]);
    let numbered = entries(&routes).map(|entry| Entry { conditions: entry.limit, ..entry });
    let table = RouteTable::of_group(numbered, |_, _| false).unwrap();
    let question = Question::new(None, None, "/a/b");
    let mut out = HashSet::new();
    for limit in [0, 1, 3, 2] {
        let found = table.find(question, |set| !out.contains(&set)).unwrap();
        assert_eq!(found.limit, limit);
        out.insert(limit);
    }
    assert_eq!(table.find(question, |set| !out.contains(&set)), None);
    let mut all = Vec::new();
    table.each(question, |set| set != 3, |matched| all.push(matched.limit));
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn one_limit_over_many_routes() {
    let texts = ["POST /files/upload|/files/uploads/{upload_id}/**|/files/{kind}/{other}", "/**"];
    check(
        &texts,
        &[
            ("POST /files/upload", Some((0, 0))),
            ("GET /files/upload", Some((1, 0))),
            ("GET /files/uploads/7", Some((0, 1))),
            ("GET /files/uploads/7/parts/8", Some((0, 1))),
            ("GET /files/uploads", Some((1, 0))),
            ("GET /files/x/7", Some((0, 2))),
        ],
    );
    let routes = limits(&texts);
    let text = "/files/uploads/7/parts";
    assert_eq!(routes[0][1].parameter("upload_id", text), Some("7"));
    // Its own routes do not conflict: the first of equals is the answer.
    check(
        &["/a/{x}|/a/{y}|GET /a/z|PUT,GET /a/z"],
        &[("/a/b", Some((0, 0))), ("GET /a/z", Some((0, 2)))],
    );
}

#[test]
fn one_template_under_two_names() {
    let limits = limits(&["GET /a/{x}/c", "POST /a/{y}/c"]);
    let table = group(&limits);
    let found = ask(&table, "POST /a/b/c").unwrap();
    assert_eq!(found, (1, 0));
    assert_eq!(limits[1][0].parameter("y", "/a/b/c"), Some("b"));
    assert_eq!(limits[0][0].parameter("x", "/a/b/c"), Some("b"));
}

#[test]
fn a_fallback_is_last_whatever_its_route() {
    let limits = limits(&["/a/b", "/a/**", "/c"]);
    let with_fallback = entries(&limits).map(|entry| Entry { fallback: entry.limit == 0, ..entry });
    let table = RouteTable::of_group(with_fallback, |_, _| false).unwrap();
    assert_eq!(ask(&table, "/a/b"), Some((1, 0)));
    assert_eq!(ask(&table, "/d"), None);
    let everything = [entry(7, &[]), Entry { fallback: true, ..entry(9, &[]) }];
    let table = RouteTable::of_group(everything, |_, _| false).unwrap();
    let question = Question::new(None, None, "/");
    assert_eq!(table.find(question, |_| true).unwrap().limit, 7);
    let mut asked = 0;
    let found = table.find(question, |_| std::mem::replace(&mut asked, 1) == 1);
    assert_eq!(found.unwrap().limit, 9);
}

#[test]
fn equals_that_can_meet_are_conflicts() {
    let conflicts = |texts: &[&str]| {
        let limits = limits(texts);
        match RouteTable::of_group(entries(&limits), |_, _| false) {
            Ok(_) => Vec::new(),
            Err(conflicts) => {
                let both =
                    |c: Conflict| [c.first.limit, c.first.route, c.second.limit, c.second.route];
                conflicts.into_iter().map(both).collect()
            }
        }
    };
    assert_eq!(conflicts(&["/a/{x}", "/b|/a/{y}"]), [[0, 0, 1, 1]]);
    assert_eq!(conflicts(&["/**", "/b", "/**", "/**"]), [[0, 0, 2, 0], [0, 0, 3, 0]]);
    assert_eq!(conflicts(&["GET,PUT /a", "PUT,POST /a"]), [[0, 0, 1, 0]]);
    assert_eq!(conflicts(&["h.x/a", "H.x/a/"]), [[0, 0, 1, 0]]);
    assert_eq!(conflicts(&["*.x/a", "*.x/a"]), [[0, 0, 1, 0]]);
    for fine in [
        &["GET /a", "PUT /a"] as &[_],
        &["GET /a", "/a"],
        &["h.x/a", "i.x/a"],
        &["h.x/a", "*.x/a"],
        &["*.h.x/a", "*.x/a"],
        &["/a", "/a/**"],
        &["/a/{x}", "/{x}/a"],
        &["/a|/a"],
    ] {
        assert!(conflicts(fine).is_empty(), "{fine:?}");
    }
}

#[test]
fn sets_that_exclude_each_other_do_not_conflict() {
    let limits = limits(&["/a", "/a", "/a"]);
    let sets = [(0, 1), (1, 1), (0, 1)];
    let of = |n: usize| {
        let numbered = entries(&limits).take(n).zip(sets).map(|(entry, (set, many))| Entry {
            conditions: set,
            how_many: many,
            ..entry
        });
        RouteTable::of_group(numbered, |_, _| true)
    };
    assert!(of(2).is_ok());
    // The same set holds with itself, whatever is said.
    assert_eq!(of(3).unwrap_err().len(), 1);
}

#[test]
fn a_slash_at_the_end_that_counts() {
    let rules = PathRules { trailing_slash: TrailingSlash::Keep, ..PathRules::default() };
    let limits: Vec<Vec<Route>> = ["/a/", "/a", "/a/{x}", "/b/**", "/{x}/", "/d/e/{x}"]
        .iter()
        .map(|text| vec![Route::parse(text, rules).unwrap()])
        .collect();
    let table = group(&limits);
    for (path, limit) in [
        ("/a/", Some(0)),
        ("/a", Some(1)),
        ("/a/b", Some(2)),
        ("/b", Some(3)),
        ("/b/", Some(3)),
        ("/c/", Some(4)),
        ("/a/b/", None),
        ("/d/e/", None),
        ("/", None),
    ] {
        let found = table.find(Question::new(None, None, path), |_| true);
        assert_eq!(found.map(|m| m.limit), limit, "{path}");
    }
}

#[test]
fn a_path_of_a_mebibyte() {
    let limits = limits(&["/a/{x}/**", "/{x}"]);
    let table = group(&limits);
    assert_eq!(ask(&table, &"/a".repeat(1 << 19)), Some((0, 0)));
    assert_eq!(ask(&table, &format!("/{}", "a".repeat(1 << 20))), Some((1, 0)));
    assert_eq!(ask(&table, &format!("/{}", "a/".repeat(1 << 19))), Some((0, 0)));
}

#[test]
fn a_thousand_limits() {
    let texts: Vec<String> =
        (0..1000).map(|n| format!("POST h{}.x/v{}/r{n}/{{id}}", n % 7, n % 3)).collect();
    let limits: Vec<Vec<Route>> = texts.iter().map(|text| vec![route(text)]).collect();
    let table = group(&limits);
    for (n, text) in texts.iter().enumerate() {
        assert_eq!(ask(&table, text), Some((n, 0)));
    }
    // All of one template: the first conflict of each is reported.
    let limits = vec![vec![route("/**")]; 1000];
    let conflicts = RouteTable::of_group(entries(&limits), |_, _| false).unwrap_err();
    assert_eq!(conflicts.len(), 999);
    assert!(
        RouteTable::of_each(entries(&limits))
            .find(Question::new(None, None, "/"), |_| true)
            .is_some()
    );
}

#[test]
#[ignore = "prints what a question costs; run with --release --nocapture"]
fn what_a_question_costs() {
    let limits: Vec<Vec<Route>> = (0..1000)
        .map(|n| vec![route(&format!("POST /v{}/r{n}/{{id}}", n % 3))])
        .chain([vec![route("/**")]])
        .collect();
    let table = group(&limits);
    let one = group(&limits[1000..]);
    let mut scratch = Scratch::default();
    // The best of twenty, for machines that do other things too.
    let rounds = 50_000_u32;
    let time = |name: &str, what: &mut dyn FnMut(&[u8]) -> usize, target: &str| {
        let run = |_| {
            let begin = Instant::now();
            for _ in 0..rounds {
                std::hint::black_box(what(std::hint::black_box(target.as_bytes())));
            }
            begin.elapsed() / rounds
        };
        println!("{name}, {target}: {:?}", (0..20).map(run).min().unwrap());
    };
    let mut normal = |target: &[u8]| PathRules::default().normal(target, &mut scratch).len();
    for target in ["/v1/scans/abc", "/v1/r400/abc", "/v1//r%34%30%30/abc?x=1"] {
        time("normal path", &mut normal, target);
    }
    for host in ["api.example.com", "api.example.com:443"] {
        let mut question = |host: &[u8]| {
            let question = Question::new(Some("POST"), str::from_utf8(host).ok(), "/");
            question.host.map_or(0, str::len)
        };
        time("host", &mut question, host);
    }
    for (name, table) in [("everything", &one), ("1000", &table)] {
        let mut find = |path: &[u8]| {
            let question =
                Question { method: Some("POST"), host: None, path: str::from_utf8(path).unwrap() };
            table.find(question, |_| true).map_or(0, |m| m.limit)
        };
        for path in ["/v1/r400/abc", "/v1/r401/abc"] {
            time(name, &mut find, path);
        }
    }
}
