//! What clients read, for any answer, whatever the limits are called:
//!
//! 1. names are tokens, values printable ASCII: no name of a limit splits a field;
//! 2. numbers are whole, `Remaining` is at most `Limit`, no denial says 0;
//! 3. the draft's fields are lists by the parser of RFC 9651, and say what was put in;
//! 4. JSON bodies are JSON, and tell names as they are;
//! 5. the binding limit is the one that an oracle finds;
//! 6. `Reset` and `Retry-After` agree as the page says, and waiting is enough;
//! 7. `next_after` is when more remains, and not a nanosecond before.
#![cfg(all(feature = "headers", not(loom)))]

use proptest::{collection::vec, option, prelude::*};
use sfv::{BareItem, Item, List, ListEntry, Parser};
use std::{cmp::Reverse, time::Duration};
use tollgate::{
    Limiter, ManualClock, Nanos, Outcome, Quota,
    headers::{Answer, Dialect, Fields, Report, Reported, Reset, ResetOf, Response},
};

const SECOND: u64 = 1_000_000_000;
const LARGEST: u64 = 999_999_999_999_999;

/// A limit by value, as strategies make them.
#[derive(Clone, Debug)]
struct Owned {
    name: String,
    limit: Option<u64>,
    remaining: u64,
    resets: Option<(Duration, Duration)>,
    window: Option<Duration>,
    unit: &'static str,
    outcome: Outcome,
    retry_after: Option<Duration>,
    shadow: bool,
}

impl Owned {
    fn lend(&self) -> Reported<'_> {
        Reported {
            name: &self.name,
            limit: self.limit,
            remaining: self.remaining,
            reset_next: self.resets.map(|(next, _)| next),
            reset_full: self.resets.map(|(_, full)| full),
            window: self.window,
            unit: self.unit,
            outcome: self.outcome,
            retry_after: self.retry_after,
            shadow: self.shadow,
        }
    }
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("default".to_owned()),
        Just("a\r\nSet-Cookie: b".to_owned()),
        Just("\0\"\\%\u{7f}\u{2028}".to_owned()),
        "\\PC{0,8}",
        any::<String>(),
    ]
}

fn spans() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::from_secs(60)),
        Just(Duration::MAX),
        (0..200 * SECOND).prop_map(Duration::from_nanos),
        any::<u64>().prop_map(Duration::from_nanos),
    ]
}

fn counts() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_u64, any::<u64>(), Just(u64::MAX), Just(LARGEST), Just(LARGEST + 1)]
}

fn limits() -> impl Strategy<Value = Vec<Owned>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Allowed),
        2 => Just(Outcome::Later),
        1 => Just(Outcome::Never),
    ];
    let unit = prop_oneof![Just("requests"), Just("bytes"), Just("files"), Just("a\r\nb\"")];
    let numbers = (option::weighted(0.9, counts()), counts());
    let times = (
        option::weighted(0.9, (spans(), spans())),
        option::of(spans()),
        option::weighted(0.9, spans()),
    );
    let one =
        (names(), numbers, times, unit, outcome, prop::bool::weighted(0.2)).prop_map(
            |(name, (limit, remaining), (resets, window, retry_after), unit, outcome, shadow)| {
                Owned { name, limit, remaining, resets, window, unit, outcome, retry_after, shadow }
            },
        );
    vec(one, 0..6)
}

/// How the answer came about, beside the limits.
#[derive(Clone, Debug)]
enum Way {
    Limits,
    Blocked(String, Option<Duration>),
    Refused(String),
}

fn ways() -> impl Strategy<Value = Way> {
    prop_oneof![
        4 => Just(Way::Limits),
        1 => (names(), option::of(spans())).prop_map(|(name, wait)| Way::Blocked(name, wait)),
        1 => names().prop_map(Way::Refused),
    ]
}

impl Way {
    fn answer<'a>(&'a self, limits: &'a [Reported<'a>], now: Nanos) -> Answer<'a> {
        match self {
            Self::Limits => Answer::new(limits, now),
            Self::Blocked(name, wait) => Answer::blocked(name, *wait, limits, now),
            Self::Refused(name) => Answer::refused(name, limits, now),
        }
    }
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let fields = prop_oneof![
        3 => Just(Fields::XRateLimit),
        3 => Just(Fields::RateLimit),
        1 => Just(Fields::RetryAfter),
        1 => Just(Fields::None),
    ];
    let report = prop_oneof![
        Just(Report::Binding),
        Just(Report::All),
        Just(Report::Limit("default".to_owned())),
    ];
    let reset = prop_oneof![Just(Reset::Epoch), Just(Reset::Delta)];
    let reset_of = prop_oneof![Just(ResetOf::Next), Just(ResetOf::Full)];
    let body = prop_oneof![
        Just("problem"),
        Just(
            r#"{"limit":{limit},"remaining":{remaining},"retry_after":{retry_after},
                "reset":{reset},"name":{name},"unit":{unit},"status":{status},
                "message":"\"{name}\" {unit} {retry_after}"}"#
        ),
    ];
    (fields, report, reset, reset_of, body).prop_map(|(fields, report, reset, reset_of, body)| {
        Dialect::new(fields)
            .with_report(report)
            .with_reset(reset)
            .with_reset_of(reset_of)
            .with_body(body)
            .unwrap()
    })
}

fn number(response: &Response, name: &str) -> Option<u64> {
    response.field(name).map(|value| {
        assert!(value.bytes().all(|c| c.is_ascii_digit()), "{name}: {value}");
        value.parse().unwrap()
    })
}

/// The items of a field of the draft.
fn items(response: &Response, name: &str) -> Vec<Item> {
    let Some(value) = response.field(name) else { return Vec::new() };
    let list = Parser::new(value).parse::<List>().unwrap();
    assert!(!list.is_empty());
    list.into_iter()
        .map(|entry| match entry {
            ListEntry::Item(item) => item,
            ListEntry::InnerList(list) => panic!("{list:?}"),
        })
        .collect()
}

fn parameter(item: &Item, key: &str) -> Option<u64> {
    item.params.get(key).map(|value| {
        u64::try_from(i64::from(value.as_integer().expect("an integer"))).expect("not below 0")
    })
}

fn secs_up(d: Duration) -> u64 {
    u64::try_from(d.as_nanos().div_ceil(u128::from(SECOND))).unwrap_or(u64::MAX)
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|c| (b' '..=b'~').contains(&c))
}

fn check_draft(response: &Response, answer: &Answer<'_>, all: bool) {
    let told: Vec<_> = answer
        .limits()
        .iter()
        .filter(|l| !l.shadow && l.limit.is_some() && ["requests", "bytes"].contains(&l.unit))
        .collect();
    let policies = items(response, "RateLimit-Policy");
    assert_eq!(policies.len(), told.len());
    for (item, limit) in policies.iter().zip(&told) {
        let BareItem::String(name) = &item.bare_item else { panic!("{item:?}") };
        if is_plain(limit.name) {
            assert_eq!(name.as_str(), limit.name);
        } else {
            assert!(name.as_str().contains('%'));
        }
        assert_eq!(parameter(item, "q"), limit.limit.map(|n| n.min(LARGEST)));
        // One of less than a second is not told: rounded up it would be another limit.
        let window = limit.window.filter(|&window| window >= Duration::from_secs(1));
        let window = window.map(|window| secs_up(window).min(LARGEST));
        assert_eq!(parameter(item, "w"), window);
        let unit = item.params.get("qu").map(|qu| qu.as_string().unwrap().as_str());
        assert_eq!(unit, (limit.unit == "bytes").then_some("content-bytes"));
    }
    let limits = items(response, "RateLimit");
    assert!(if all { limits.len() == told.len() } else { limits.len() <= 1 });
    for item in &limits {
        assert!(parameter(item, "r").is_some());
        if let Some(t) = parameter(item, "t") {
            assert!(t >= 1);
            assert!(number(response, "Retry-After").is_none_or(|wait| t <= wait));
        }
    }
    if all {
        for (item, limit) in limits.iter().zip(&told) {
            let left = limit.limit.map(|n| n.min(limit.remaining).min(LARGEST));
            assert_eq!(parameter(item, "r"), left);
        }
    }
}

fn check_body(dialect: &Dialect, response: &Response, answer: &Answer<'_>) {
    let Some(body) = &response.body else {
        assert!(!answer.is_denied());
        return;
    };
    let json: serde_json::Value = serde_json::from_str(body).expect(body);
    assert_eq!(json["status"].as_u64(), response.status.map(u64::from));
    if response.field("Content-Type") == Some("application/problem+json") {
        assert!(json["type"].as_str().unwrap().starts_with(['h', 'a']));
        if let Some(violated) = json["violated-policies"].as_array() {
            let name = answer.denied_by().unwrap();
            assert!(violated.iter().any(|v| v == name), "{name}: {body}");
            assert!(violated.iter().all(|v| {
                v == name || answer.limits().iter().any(|l| l.is_violated() && v == l.name)
            }));
        } else {
            assert_eq!(
                (&json["type"], &json["title"]),
                (&"about:blank".into(), &"Forbidden".into())
            );
        }
    } else {
        assert_eq!(response.field("Content-Type"), Some("application/json"));
        assert_eq!(json["name"].as_str(), answer.denied_by());
        let wait = answer.retry_after().map(|wait| secs_up(wait).max(1));
        assert_eq!(json["retry_after"].as_u64(), wait);
        if dialect.headers() != Fields::None {
            assert_eq!(json["retry_after"].as_u64(), number(response, "Retry-After"));
        }
        for key in ["limit", "remaining", "reset"] {
            assert!(json[key].is_u64() || json[key].is_null(), "{key}: {body}");
        }
    }
}

/// The oracle: sorts what the page says.
fn bound<'a>(limits: &'a [Reported<'a>]) -> Option<&'a Reported<'a>> {
    let violated = limits.iter().filter(|l| l.is_violated()).min_by_key(|l| {
        let wait = l.retry_after.filter(|_| l.outcome == Outcome::Later);
        Reverse((l.outcome == Outcome::Never, l.outcome == Outcome::Later && wait.is_none(), wait))
    });
    // a/b before c/d where a*d is less; 0 of 0 is nothing left.
    let fraction = |l: &Reported<'_>| {
        let limit = l.limit.unwrap_or(0);
        (u128::from(l.remaining.min(limit)), u128::from(limit.max(1)))
    };
    let allowed = limits.iter().filter(|l| !l.shadow && l.limit.is_some()).min_by(|x, y| {
        let ((a, b), (c, d)) = (fraction(x), fraction(y));
        (a * d).cmp(&(c * b)).then(x.window.is_none().cmp(&y.window.is_none()))
    });
    violated.or(allowed)
}

proptest! {
    #[test]
    fn any_answer_is_well_formed(
        owned in limits(), way in ways(), dialect in dialects(),
        now in prop_oneof![any::<u64>(), 0..2_000_000_000 * SECOND],
    ) {
        let limits: Vec<_> = owned.iter().map(Owned::lend).collect();
        let answer = way.answer(&limits, Nanos::new(now));
        let response = dialect.response(&answer);

        for (name, value) in &response.fields {
            prop_assert!(name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
            prop_assert!(is_plain(value) && value.trim() == value && !value.is_empty(), "{value:?}");
        }
        let denied = answer.is_denied();
        prop_assert_eq!(response.status.is_some(), denied);
        prop_assert_eq!(response.field("Cache-Control"), denied.then_some("no-store"));
        prop_assert_eq!(response.field("Content-Type").is_some(), denied);
        let wait = number(&response, "Retry-After");
        prop_assert!(wait.is_none_or(|wait| denied && wait >= 1));
        prop_assert_eq!(wait.is_some(), answer.retry_after().is_some() && dialect.headers() != Fields::None);

        let limit = number(&response, "X-RateLimit-Limit");
        let remaining = number(&response, "X-RateLimit-Remaining");
        prop_assert_eq!(limit.is_some(), remaining.is_some());
        prop_assert!(remaining <= limit);
        let reset = number(&response, "X-RateLimit-Reset");
        prop_assert!(reset.is_none() || limit.is_some());
        prop_assert!(!denied || reset != Some(0));
        if dialect.headers() == Fields::RateLimit {
            check_draft(&response, &answer, *dialect.report() == Report::All);
        }
        check_body(&dialect, &response, &answer);
    }

    #[test]
    fn epoch_and_delta_are_one_instant(next in spans(), denied: bool, now: u64) {
        let outcome = if denied { Outcome::Later } else { Outcome::Allowed };
        let limits = [Reported {
            name: "a", limit: Some(1), remaining: 0, reset_next: Some(next), reset_full: None,
            window: None, unit: "requests", outcome, retry_after: Some(next), shadow: false,
        }];
        let answer = Answer::new(&limits, Nanos::new(now));
        let told = |reset| {
            let response = Dialect::default().with_reset(reset).response(&answer);
            number(&response, "X-RateLimit-Reset").unwrap()
        };
        let exact = u128::from(now) + next.as_nanos().max(u128::from(denied));
        let epoch = u64::try_from(exact.div_ceil(u128::from(SECOND))).unwrap_or(u64::MAX);
        prop_assert_eq!(told(Reset::Epoch), epoch);
        let delta = secs_up(next).max(u64::from(denied));
        prop_assert_eq!(told(Reset::Delta), delta);
        if epoch < u64::MAX {
            // Now's own second, or the next.
            let between = now / SECOND..=now.div_ceil(SECOND);
            prop_assert!(between.contains(&(epoch - delta)));
        }
    }

    #[test]
    fn binding_is_the_oracles(owned in limits()) {
        let limits: Vec<_> = owned.iter().map(Owned::lend).collect();
        let answer = Answer::new(&limits, Nanos::ZERO);
        let (mine, oracle) = (answer.binding(), bound(&limits));
        prop_assert_eq!(mine.map(std::ptr::from_ref), oracle.map(std::ptr::from_ref));
        let never = limits.iter().any(|l| l.is_violated() && l.outcome == Outcome::Never);
        prop_assert_eq!(never, answer.outcome() == Outcome::Never);
        if let Some(wait) = answer.retry_after() {
            let longest = limits.iter().filter(|l| l.is_violated()).filter_map(|l| l.retry_after).max();
            prop_assert_eq!(Some(wait), longest);
        }
    }

    /// A client that is denied one unit, by the fields alone.
    #[test]
    fn a_log_and_gcra_say_one_thing(
        log: bool, units in 1..8_u64, period in 1..300 * SECOND,
        steps in vec(0..20 * SECOND, 1..40), unix in 0..2_000_000_000 * SECOND,
    ) {
        let quota = Quota::new(units, Duration::from_nanos(period)).unwrap();
        let clock = ManualClock::new();
        let smooth = Limiter::gcra(quota).clock(&clock).try_build().unwrap();
        let exact = Limiter::sliding_log(quota).clock(&clock).try_build().unwrap();
        let check = |at| if log { exact.check_at(at) } else { smooth.check_at(at) };
        let peek = |at| if log { exact.peek_at(at) } else { smooth.peek_at(at) };
        let dialect = Dialect::default();
        let delta = Dialect::default().with_reset(Reset::Delta);
        let mut now = Nanos::ZERO.after(Duration::from_secs(1));
        for step in steps {
            now = now.after(Duration::from_nanos(step));
            let decision = check(now);
            let limits = [Reported::from_decision("default", &decision)];
            let wall = Nanos::new(unix + now.as_u64());
            let answer = Answer::new(&limits, wall);
            prop_assert_eq!(answer.outcome(), decision.outcome());
            prop_assert_eq!(answer.retry_after(), decision.retry_after());
            let response = dialect.response(&answer);
            prop_assert_eq!(number(&response, "X-RateLimit-Remaining"), Some(decision.remaining()));

            let next = decision.next_after();
            if next > Duration::ZERO {
                prop_assert!(peek(now.after(next)).remaining() > decision.remaining());
                let before = Nanos::new(now.after(next).as_u64() - 1);
                prop_assert_eq!(peek(before).remaining(), decision.remaining());
            }
            let Some(wait) = number(&response, "Retry-After") else { continue };
            prop_assert_eq!(Some(next), decision.retry_after());
            let reset = number(&response, "X-RateLimit-Reset").unwrap();
            let second = wall.as_u64() / SECOND..=wall.as_u64().div_ceil(SECOND);
            prop_assert!(second.contains(&(reset - wait)));
            prop_assert_eq!(number(&delta.response(&answer), "X-RateLimit-Reset"), Some(wait));
            // Both are late enough, and less than a second late.
            prop_assert!(peek(now.after(Duration::from_secs(wait))).remaining() > 0);
            let until_reset = Duration::from_nanos(reset * SECOND - wall.as_u64());
            prop_assert!(peek(now.after(until_reset)).remaining() > 0);
            prop_assert!(until_reset < next + Duration::from_secs(1));
        }
    }
}

/// What is owed beyond a limit that shrank is paid before anything is back.
#[test]
fn next_after_a_limit_shrank() {
    let limiter = Limiter::gcra("10/min".parse().unwrap()).try_build().unwrap();
    let now = Nanos::from_secs(1);
    assert!(limiter.check_n_at(10, now).is_allowed());
    limiter.set_quota("10/min burst 4".parse().unwrap()).unwrap();
    let denied = limiter.check_at(now);
    assert_eq!((denied.remaining(), denied.next_after()), (0, Duration::from_secs(42)));
    assert_eq!(denied.retry_after(), Some(denied.next_after()));
}

fn one(name: &str, limit: u64, remaining: u64) -> Reported<'_> {
    Reported {
        name,
        limit: Some(limit),
        remaining,
        reset_next: Some(Duration::from_millis(29_001)),
        reset_full: Some(Duration::from_secs(59)),
        window: Some(Duration::from_secs(60)),
        unit: "requests",
        outcome: Outcome::Allowed,
        retry_after: None,
        shadow: false,
    }
}

fn dialect(json: &str) -> Dialect {
    serde_json::from_str(json).unwrap()
}

fn sent(response: &Response) -> Vec<(&str, &str)> {
    response.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn the_draft_in_full() {
    let bytes = Reported { unit: "bytes", ..one("bandwidth", 300_000_000, 299_999_999) };
    let files = Reported { unit: "files", ..one("files", 10, 0) };
    let watched = Reported { shadow: true, ..one("watched", 1, 0) };
    let limits = [one("minute", 100, 50), one("day", 1000, 999), bytes, files, watched];
    let answer = Answer::new(&limits, Nanos::ZERO);

    let report = r#"{"headers": "ratelimit", "report": "minute"}"#;
    let policies = "\"minute\";q=100;w=60, \"day\";q=1000;w=60, \
                    \"bandwidth\";q=300000000;qu=\"content-bytes\";w=60";
    assert_eq!(
        sent(&dialect(report).response(&answer)),
        [("RateLimit-Policy", policies), ("RateLimit", "\"minute\";r=50;t=30")]
    );
    let all = r#"{"headers": "ratelimit", "report": "all", "reset_of": "full", "reset": "epoch",
                  "units": {"files": "files"}, "names": {"ratelimit": "X-Limits"}}"#;
    assert_eq!(
        dialect(all).response(&answer).field("X-Limits").unwrap(),
        "\"minute\";r=50;t=59, \"day\";r=999;t=59, \"bandwidth\";r=299999999;t=59, \
         \"files\";r=0;t=59"
    );
    // The shadow that has less is not the one reported; the limit in files has no name.
    let binding = dialect(r#"{"headers": "ratelimit"}"#).response(&answer);
    assert_eq!(sent(&binding), [("RateLimit-Policy", policies)]);
    // Of what nobody used there is no effective window, and nothing of what was not asked.
    let fresh = [Reported { reset_next: Some(Duration::ZERO), ..one("minute", 100, 100) }];
    let fresh = Answer::new(&fresh, Nanos::ZERO);
    assert_eq!(dialect(report).response(&fresh).field("RateLimit").unwrap(), "\"minute\";r=100");
    assert_eq!(sent(&dialect(r#"{"report": "other"}"#).response(&fresh)), []);
    // A window ends no later than Retry-After.
    let wait = Some(Duration::from_secs(7));
    let denied = [Reported { outcome: Outcome::Later, retry_after: wait, ..one("a", 9, 0) }];
    let denied = dialect(report.replace("minute", "a").as_str())
        .response(&Answer::new(&denied, Nanos::ZERO));
    assert_eq!(denied.field("RateLimit"), Some("\"a\";r=0;t=7"));
    assert_eq!(denied.field("Retry-After"), Some("7"));
}

#[test]
fn statuses_and_bodies() {
    let dialect = dialect(
        r#"{"headers": "retry-after", "status": 503, "status_never": 413,
            "names": {"retry_after": "X-Wait"}, "content_type": "text/html",
            "body": "wait {retry_after}", "body_never": "<{name}>",
            "bodies": {"free": "no keys"}}"#,
    );
    let later = Reported {
        outcome: Outcome::Later,
        retry_after: Some(Duration::from_nanos(1)),
        ..one("a&b", 9, 0)
    };
    let never = Reported { outcome: Outcome::Never, ..one("a&b", 9, 9) };
    let (later, never) = ([later], [never]);
    let now = Nanos::ZERO;
    let shown = |answer: Answer<'_>| {
        let response = dialect.response(&answer);
        let wait = response.field("X-Wait").map(str::to_owned);
        (response.status.unwrap(), wait, response.body.unwrap())
    };
    let expect =
        |status, wait: Option<&str>, body: &str| (status, wait.map(str::to_owned), body.to_owned());
    assert_eq!(shown(Answer::new(&later, now)), expect(503, Some("1"), "wait 1"));
    assert_eq!(shown(Answer::new(&never, now)), expect(413, None, "<a&amp;b>"));
    assert_eq!(shown(Answer::new(&never, now).with_status(429)), expect(429, None, "<a&amp;b>"));
    let hour = Some(Duration::from_secs(3600));
    let blocked = Answer::blocked("ladder", hour, &[], now);
    assert_eq!(shown(blocked), expect(503, Some("3600"), "wait 3600"));
    let for_good = Answer::blocked("ladder", None, &[], now);
    assert_eq!(shown(for_good), expect(503, None, "<ladder>"));
    assert_eq!(shown(Answer::refused("free", &never, now)), expect(403, None, "no keys"));
    let teapot = Answer::refused("x", &[], now).with_status(418);
    assert_eq!(shown(teapot), expect(418, None, "<x>"));

    let allowed = [one("a", 9, 5)];
    let allowed = Answer::new(&allowed, now).with_status(403);
    assert_eq!(dialect.response(&allowed), Response::default());
    let mut text = String::from("left over");
    assert!(!dialect.body(&allowed, &mut text) && text.is_empty());
}

#[test]
fn problems() {
    let wait = |secs| Reported {
        outcome: Outcome::Later,
        retry_after: Some(Duration::from_secs(secs)),
        ..one("daily", 9, 0)
    };
    let watched = Reported { shadow: true, name: "watched", ..wait(9) };
    let limits = [one("fine", 9, 5), wait(1), Reported { name: "x", ..wait(3) }, watched];
    let dialect = Dialect::new(Fields::None).with_body("problem").unwrap();
    let response = dialect.response(&Answer::new(&limits, Nanos::ZERO));
    assert_eq!(
        response.body.as_deref(),
        Some(concat!(
            r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","#,
            r#""title":"Request cannot be satisfied as assigned quota has been exceeded","#,
            r#""status":429,"detail":"Try again in 3 seconds.","violated-policies":["daily","x"]}"#
        ))
    );
    assert_eq!(
        sent(&response),
        [("Cache-Control", "no-store"), ("Content-Type", "application/problem+json")]
    );
    // What was asked before the block is not what denies.
    let numbers = Dialect::default().with_body("[{limit},{reset},{name},{unit}]").unwrap();
    let block = Answer::blocked("ladder", None, &limits, Nanos::ZERO);
    let body = numbers.response(&block).body.unwrap();
    assert_eq!(body, "[null,null,\"ladder\",null]");
    let block = Answer::blocked("ladder", None, &[], Nanos::ZERO).with_status(403);
    let body = dialect.response(&block).body.unwrap();
    assert!(body.contains("#abnormal-usage-detected") && !body.contains("detail"));
    assert!(body.contains(r#""status":403"#) && body.contains(r#"["ladder"]"#));
}
