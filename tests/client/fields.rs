//! What is read from header fields, one by one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tollgate::client::{Advice, Told};

/// 2024-01-15 10:49:00.
const NOW: u64 = 1_705_315_740;

fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn read(fields: &[(&str, &str)]) -> Advice {
    Advice::read(fields.iter().copied(), wall())
}

fn retry_after(value: &str) -> Option<u64> {
    read(&[("retry-after", value)]).retry_after().map(|wait| wait.as_secs())
}

fn reset(value: &str) -> Option<u64> {
    let advice = read(&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", value)]);
    advice.limits()[0].reset.map(|reset| reset.as_secs())
}

const YEAR: u64 = 365 * 86_400;

#[test]
fn retry_after_is_seconds_or_a_date() {
    for (value, secs) in [
        ("0", 0),
        ("1", 1),
        ("042", 42),
        (" 42 ", 42),
        ("1.5", 2),
        ("2.0", 2),
        ("10, 20", 20),
        ("Mon, 15 Jan 2024 10:49:42 GMT", 42),
        ("Monday, 15-Jan-24 10:49:42 GMT", 42),
        ("Mon Jan 15 10:49:42 2024", 42),
        ("Mon, 15 Jan 2024 10:48:59 GMT", 0),
        // However far: a year.
        ("3155760000", YEAR),
        ("99999999999999999999999999999999", YEAR),
        ("Fri, 31 Dec 9999 23:59:59 GMT", YEAR),
    ] {
        assert_eq!(retry_after(value), Some(secs), "{value}");
    }
    for value in [
        "", " ", "-1", "+1", "1e9", "0x10", "NaN", "inf", "soon", "1 2", "1,", "1.", ".5", "1.x",
        "٣",
    ] {
        assert_eq!(retry_after(value), None, "{value}");
    }
}

#[test]
fn of_several_the_longest_wait_and_the_fewest_left_count() {
    let advice = read(&[
        ("Retry-After", "3"),
        ("RETRY-AFTER", "nonsense"),
        ("retry-after", "7"),
        ("X-RateLimit-Limit", "10"),
        ("X-RateLimit-Limit", "5"),
        ("X-RateLimit-Remaining", "4, 2"),
        ("X-RateLimit-Remaining", "3"),
        ("X-RateLimit-Reset", "10"),
        ("X-RateLimit-Reset", "1705315760"),
    ]);
    assert_eq!(advice.retry_after(), Some(Duration::from_secs(7)));
    let told = &advice.limits()[0];
    assert_eq!((told.limit, told.remaining), (Some(5), Some(2)));
    assert_eq!(told.reset, Some(Duration::from_secs(20)));
}

#[test]
fn a_reset_is_a_span_or_since_1970() {
    for (value, secs) in [
        ("60", 60),
        ("1705315800", 60),
        ("1705315800000", 60),
        ("1705315800.25", 61),
        ("999999999", YEAR),
        ("1000000000", 0), // 2001: it has passed
        ("1705315739", 0),
        ("18446744073709551616", YEAR),
    ] {
        assert_eq!(reset(value), Some(secs), "{value}");
    }
    for value in ["", "-5", "soon", "6m0s"] {
        assert_eq!(reset(value), None, "{value}");
    }
}

#[test]
fn the_answers_own_date_counts_before_this_machines_clock() {
    // The server's clock is a quarter of an hour ahead.
    let fields = [
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "1705316700"),
        ("Retry-After", "Mon, 15 Jan 2024 11:05:00 GMT"),
        ("Date", "Mon, 15 Jan 2024 11:04:00 GMT"),
    ];
    let advice = read(&fields);
    assert_eq!(advice.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(advice.limits()[0].reset, Some(Duration::from_secs(60)));
    // Without it, or where it is nonsense, this machine's.
    let advice = read(&fields[..3]);
    assert_eq!(advice.retry_after(), Some(Duration::from_secs(16 * 60)));
    let before = Advice::read(fields[..3].iter().copied(), UNIX_EPOCH - Duration::from_secs(1));
    assert_eq!(before.retry_after(), Some(Duration::from_secs(YEAR)));
}

fn told(
    name: &str,
    limit: Option<u64>,
    left: Option<u64>,
    times: (Option<u64>, Option<u64>),
) -> Told {
    let mut told = Told::default();
    name.clone_into(&mut told.name);
    (told.limit, told.remaining) = (limit, left);
    told.reset = times.0.map(Duration::from_secs);
    told.window = times.1.map(Duration::from_secs);
    told
}

#[test]
fn the_drafts_fields_and_their_former_forms() {
    let advice = read(&[
        ("RateLimit-Policy", r#""burst";q=100;w=60, "daily";q=1000;w=86400"#),
        ("RateLimit", r#""burst";r=50;t=30"#),
        ("RateLimit", r#""daily";r=999;t=80000"#),
    ]);
    let burst = told("burst", Some(100), Some(50), (Some(30), Some(60)));
    let daily = told("daily", Some(1000), Some(999), (Some(80_000), Some(86_400)));
    assert_eq!(advice.limits(), [burst, daily]);

    let former = read(&[
        ("RateLimit-Policy", "100;w=60"),
        ("RateLimit", "limit=100, remaining=50, reset=30"),
    ]);
    assert_eq!(former.limits(), [told("", Some(100), Some(50), (Some(30), Some(60)))]);

    for prefix in ["RateLimit", "X-RateLimit", "X-Rate-Limit"] {
        let [limit, remaining, reset] =
            ["Limit", "Remaining", "Reset"].map(|name| format!("{prefix}-{name}"));
        let advice = read(&[(&limit, "100, 100;w=60"), (&remaining, "50"), (&reset, "30")]);
        assert_eq!(
            advice.limits(),
            [told("", Some(100), Some(50), (Some(30), Some(60)))],
            "{prefix}"
        );
    }
    let after = read(&[("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset-After", "1.2")]);
    assert_eq!(after.limits(), [told("", None, Some(5), (Some(2), None))]);
}

#[test]
fn several_policies_of_one_name_are_never_one_of_them_all() {
    let both = ("RateLimit-Policy", "10;w=1, 1000;w=3600");
    let (fast, slow) = ("10;w=1", "1000;w=3600");
    let fast = told(fast, Some(10), None, (None, Some(1)));
    let slow = told(slow, Some(1000), None, (None, Some(3600)));
    // Which of them it is that is left of is told by the limit, or by nothing.
    assert_eq!(read(&[both]).limits(), [fast.clone(), slow.clone()]);
    let state = ("RateLimit", "limit=1000, remaining=50, reset=30");
    let whole = told("", Some(1000), Some(50), (Some(30), Some(3600)));
    assert_eq!(read(&[both, state]).limits(), [fast.clone(), whole]);
    let state = ("X-RateLimit-Remaining", "50");
    let alone = told("", None, Some(50), (None, None));
    assert_eq!(read(&[both, state]).limits(), [alone, fast, slow]);
    // A limit of another size is another limit.
    let advice = read(&[("X-RateLimit-Limit", "60"), ("RateLimit-Policy", "100;w=60")]);
    let hundred = told("100;w=60", Some(100), None, (None, Some(60)));
    assert_eq!(advice.limits(), [told("", Some(60), None, (None, None)), hundred]);

    let advice = read(&[
        ("RateLimit-Policy", r#""a";q=10;w=1, "a";q=1000;w=3600"#),
        ("RateLimit", r#""a";r=0;t=1800"#),
    ]);
    assert_eq!(
        advice.limits(),
        [
            told("a;10;w=1", Some(10), None, (None, Some(1))),
            told("a;1000;w=3600", Some(1000), None, (None, Some(3600))),
            told("a", None, Some(0), (Some(1800), None)),
        ]
    );
    // Of one window the fewest, as where each partition has its own.
    let advice =
        read(&[("RateLimit-Policy", r#""a";q=10;w=60;pk=:YQ==:, "a";q=7;w=60;pk=:Yg==:"#)]);
    assert_eq!(advice.limits(), [told("a", Some(7), None, (None, Some(60)))]);
}

#[test]
fn what_counts_no_requests_is_not_heard() {
    let advice = read(&[
        ("RateLimit-Policy", r#""size";q=65535;qu="content-bytes";w=10, "n";q=9;qu="requests""#),
        ("RateLimit", r#""size";r=0;t=10, "n";r=8"#),
    ]);
    assert_eq!(advice.limits(), [told("n", Some(9), Some(8), (None, None))]);
}

#[test]
fn malformed_fields_of_the_draft_are_ignored() {
    for value in [
        "",
        "\"a\"",
        "\"a\";r=-1",
        "\"a\";r=1.5;t=3",
        "\"a\";r=\"1\"",
        "\"a;r=1",
        "(\"a\" \"b\");r=1",
        "5;r=1",
        "\"a\";r=9999999999999999",
        "limit=1, remaining=x",
    ] {
        assert_eq!(read(&[("RateLimit", value)]).limits(), [], "{value}");
    }
    for value in ["\"a\";w=60", "-1;w=60", "\"a\";q=-1", "?1;q=1"] {
        assert_eq!(read(&[("RateLimit-Policy", value)]).limits(), [], "{value}");
    }
    // A window is never 0, nor is a wait negative.
    let advice = read(&[("RateLimit-Policy", "\"a\";q=1;w=0"), ("RateLimit", "\"a\";r=1;t=-3")]);
    assert_eq!(advice.limits(), [told("a", Some(1), Some(1), (None, None))]);
}

#[test]
fn an_answer_out_of_a_cache_tells_of_no_limit() {
    let fields = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60"), ("Age", "5")];
    assert_eq!(read(&fields).limits(), []);
    assert_eq!(read(&[fields[0], fields[1], ("Age", "0")]).limits().len(), 1);
}

#[test]
fn there_is_an_end_to_what_is_read() {
    let many: Vec<_> = (0..200).map(|i| format!("\"l{i}\";r=1")).collect();
    let many = many.join(", ");
    assert_eq!(read(&[("RateLimit", &many)]).limits().len(), 8);
    let long = "1".repeat(5000);
    assert_eq!(retry_after(&long), None);
    assert_eq!(Advice::read([("Retry-After", b"\xff1".as_slice())], wall()), Advice::default());
}
