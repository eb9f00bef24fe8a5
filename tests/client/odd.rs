//! Fields as servers, proxies and attackers write them: each is understood or ignored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tollgate::client::Advice;

/// 2024-01-15 10:49:00, a Monday.
const NOW: u64 = 1_705_315_740;
const YEAR: u64 = 365 * 86_400;

fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn read(fields: &[(&str, &str)]) -> Advice {
    Advice::read(fields.iter().copied(), wall())
}

#[test]
fn retry_after_in_every_form() {
    let ignored = None;
    for (values, secs) in [
        // Dates: the three forms, and one second as good as another.
        (&["Mon, 15 Jan 2024 10:49:42 GMT"][..], Some(42)),
        (&["Monday, 15-Jan-24 10:49:42 GMT"], Some(42)),
        (&["Mon Jan 15 10:49:42 2024"], Some(42)),
        (&["Thu Feb  1 10:49:00 2024"], Some(17 * 86_400)),
        (&["\t Mon, 15 Jan 2024 10:49:42 GMT  "], Some(42)),
        (&["mon, 15 jan 2024 10:49:42 GMT"], Some(42)),
        (&["Mon, 15 Jan 2024 10:49:60 GMT"], Some(60)), // a leap second: the one after :59
        (&["Sat, 31 Dec 2016 23:59:60 GMT"], Some(0)),
        (&["Thu, 29 Feb 2024 10:49:00 GMT"], Some(45 * 86_400)),
        (&["Tue, 15 Jan 2024 10:49:42 GMT"], Some(42)), // it is a Monday
        (&["Monday, 15-Jan-74 10:49:00 GMT"], Some(YEAR)), // not 1974: that is 50 years ago
        (&["Tuesday, 15-Jan-75 10:49:00 GMT"], Some(0)), // 1975
        // Passed: as good as zero, which is as good as missing.
        (&["Mon, 15 Jan 2024 10:48:59 GMT"], Some(0)),
        (&["Thu, 01 Jan 1970 00:00:00 GMT"], Some(0)),
        (&["Sun, 06 Nov 1694 08:49:37 GMT"], Some(0)),
        (&["Fri, 31 Dec 9999 23:59:59 GMT"], Some(YEAR)),
        // No dates.
        (&["Thu, 29 Feb 2023 10:49:00 GMT"], ignored),
        (&["Mon, 15 Jan 2024 24:00:00 GMT"], ignored),
        (&["Mon, 15 Jan 2024 10:60:00 GMT"], ignored),
        (&["Mon, 15 Jan 2024 10:49:61 GMT"], ignored),
        (&["Mon, 15 Jan 2024 10:49:42"], ignored),
        (&["Mon, 15 Jan 2024 10:49:42 UTC"], ignored),
        (&["Mon, 15 Jan 2024 10:49:42 +0000"], ignored),
        (&["Mon, 15 Jan 2024 10:49:42 GMT GMT"], ignored),
        (&["Mon, 15 Jan 2024 10:49:42.5 GMT"], ignored),
        (&["Mon, 15 Jan 12024 10:49:42 GMT"], ignored),
        (&["2024-01-15T10:49:42Z"], ignored),
        // Numbers, and several of them.
        (&["120"], Some(120)),
        (&[" \t120\t "], Some(120)),
        (&["0000000000000000000000000000000120"], Some(120)),
        (&["120, 120"], Some(120)),
        (&["120,30 , 5"], Some(120)),
        (&["0.001"], Some(1)),
        (&["0.000"], Some(0)),
        (&["120, "], ignored),
        (&["120, soon"], ignored),
        (&["120;w=5"], Some(120)),
        (&["120 s"], ignored),
        (&["120s"], ignored),
        (&["1_000"], ignored),
        (&["\u{ff11}"], ignored),  // a digit, but none of ASCII
        (&["\u{a0}120"], ignored), // a space, but none of HTTP
        (&["-120"], ignored),
        (&["\"120\""], ignored),
        (&["120\0"], ignored),
        (&["120, Mon, 15 Jan 2024 10:49:42 GMT"], ignored),
        // Several fields: the most patient one that is understood.
        (&["7", "3"], Some(7)),
        (&["3", "7"], Some(7)),
        (&["3", "Mon, 15 Jan 2024 10:49:42 GMT"], Some(42)),
        (&["60", "Mon, 15 Jan 2024 10:49:42 GMT"], Some(60)),
        (&["3", "soon", "-8"], Some(3)),
        (&["", ""], ignored),
    ] {
        let fields: Vec<_> = values.iter().map(|value| ("Retry-After", *value)).collect();
        let told = read(&fields).retry_after().map(|wait| wait.as_secs());
        assert_eq!(told, secs, "{values:?}");
    }
}

#[test]
fn a_reset_in_every_form() {
    let ignored = None;
    for (value, secs) in [
        ("60", Some(60)),
        ("0", Some(0)),
        ("0.25", Some(1)),
        ("60.0", Some(60)),
        ("60.001", Some(61)),
        ("1705315800", Some(60)),
        ("1705315800.000", Some(60)),
        ("1705315799.001", Some(60)),
        ("1705315800000", Some(60)),
        ("1705315799001", Some(59)), // within the second that it names
        ("1705315800000.5", Some(60)),
        ("1705315739", Some(0)),
        ("999999999", Some(YEAR)),
        ("1000000000", Some(0)),
        ("999999999999", Some(YEAR)), // the last one that is seconds
        ("1000000000000", Some(0)),
        ("1705315800000000", Some(YEAR)), // microseconds, which nobody tells: a year is the most
        ("18446744073709551615", Some(YEAR)),
        ("99999999999999999999999999", Some(YEAR)),
        ("60, 1705315800", Some(60)),
        ("30, 3600", Some(3600)),
        (" 60 ", Some(60)),
        ("-60", ignored),
        ("+60", ignored),
        ("6e1", ignored),
        ("1m30s", ignored),
        ("60.", ignored),
        (".5", ignored),
        ("60.5.5", ignored),
        ("60.-5", ignored),
        ("Mon, 15 Jan 2024 10:49:42 GMT", ignored),
        ("2024-01-15T10:49:42Z", ignored),
    ] {
        for name in ["X-RateLimit-Reset", "x-rate-limit-reset", "RATELIMIT-RESET"] {
            let advice = read(&[("X-RateLimit-Remaining", "1"), (name, value)]);
            let told = advice.limits()[0].reset.map(|reset| reset.as_secs());
            assert_eq!(told, secs, "{name}: {value}");
        }
    }
}

/// Name, units, what is left, reset, window.
type Row<'a> = (&'a str, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

fn rows(advice: &Advice) -> Vec<Row<'_>> {
    let secs = |span: Option<Duration>| span.map(|span| span.as_secs());
    let row = |told: &'_ tollgate::client::Told| {
        (told.limit, told.remaining, secs(told.reset), secs(told.window))
    };
    let all = advice.limits().iter();
    all.map(|told| {
        let (limit, left, reset, window) = row(told);
        (told.name.as_str(), limit, left, reset, window)
    })
    .collect()
}

#[test]
fn limits_with_windows_in_the_fields_without_names() {
    for (limit, expected) in [
        ("100", &[("", Some(100), Some(5), None, None)][..]),
        ("100, 100;w=60", &[("", Some(100), Some(5), None, Some(60))]),
        ("100;w=60", &[("", Some(100), Some(5), None, Some(60))]),
        ("100 ; w=60 ; comment=\"a\"", &[("", Some(100), Some(5), None, Some(60))]),
        ("100;w=0", &[("", Some(100), Some(5), None, None)]),
        ("100;w=-1", &[("", Some(100), Some(5), None, None)]),
        ("100;w", &[("", Some(100), Some(5), None, None)]),
        (
            "100, 100;w=60, 5000;w=3600",
            &[
                ("", Some(100), Some(5), None, Some(60)),
                ("5000;w=3600", Some(5000), None, None, Some(3600)),
            ],
        ),
        // Which one is left of, nobody tells.
        (
            "10;w=1, 5000;w=3600",
            &[
                ("", None, Some(5), None, None),
                ("10;w=1", Some(10), None, None, Some(1)),
                ("5000;w=3600", Some(5000), None, None, Some(3600)),
            ],
        ),
        // The larger one is the one that counts now.
        (
            "5000, 10;w=1, 5000;w=3600",
            &[
                ("", Some(5000), Some(5), None, Some(3600)),
                ("10;w=1", Some(10), None, None, Some(1)),
            ],
        ),
        ("100, many;w=60", &[("", None, Some(5), None, None)]),
        ("-100", &[("", None, Some(5), None, None)]),
        ("100;w=60,", &[("", None, Some(5), None, None)]),
    ] {
        let advice = read(&[("X-RateLimit-Limit", limit), ("X-RateLimit-Remaining", "5")]);
        assert_eq!(rows(&advice), expected, "{limit}");
    }
}

#[test]
fn the_drafts_field_in_every_form() {
    let a = |left, reset| ("a", None, Some(left), reset, None);
    for (value, expected) in [
        ("\"a\";r=5;t=30", &[a(5, Some(30))][..]),
        ("a;r=5;t=30", &[a(5, Some(30))]), // a token, as one revision has it
        ("\"a\";t=30;r=5", &[a(5, Some(30))]),
        ("\"a\";r=5", &[a(5, None)]),
        ("\"a\"; r=5;  t=30", &[a(5, Some(30))]),
        ("\"a\";r=5;r=3", &[a(3, None)]), // the last one counts, as structured fields have it
        ("\"a\";r=5;t=30, \"a\";r=3;t=60", &[a(3, Some(60))]), // of one policy the fewest
        ("\"a\";r=5;pk=:YQ==:;t=30", &[a(5, Some(30))]),
        ("\"a\";r=5;t=30;new=?1;other=\"x\"", &[a(5, Some(30))]),
        ("\"a\";r=5;t=\"30\"", &[a(5, None)]),
        ("\"a\";r=5;t=30.5", &[a(5, None)]),
        ("\"a\";r=5;t", &[a(5, None)]),
        ("\"a\";r=999999999999999;t=999999999999999", &[a(999_999_999_999_999, Some(YEAR))]),
        // An item that is nothing is passed over, and the others stand.
        ("\"a\";r=5, \"b\"", &[a(5, None)]),
        ("7;r=1, \"a\";r=5", &[a(5, None)]),
        ("(\"b\");r=1, \"a\";r=5", &[a(5, None)]),
        ("\"b\";r=?1, \"a\";r=5", &[a(5, None)]),
        ("\"b\";r, \"a\";r=5", &[a(5, None)]),
        ("\"b\";r=:YQ==:, \"a\";r=5", &[a(5, None)]),
        // One that is no structured field is nothing as a whole.
        ("\"a\";r=5,", &[]),
        ("\"a\";r=5 \"b\";r=1", &[]),
        ("\"a\";R=5", &[]),
        ("\"a;r=5", &[]),
        ("\"a\";r=5;t=9999999999999999", &[]),
        ("\"\u{e9}\";r=5", &[]),
        ("limit=100, remaining=5, reset=30", &[("", Some(100), Some(5), Some(30), None)]),
        ("remaining=5", &[("", None, Some(5), None, None)]),
        ("limit=100;w=60, remaining=5, reset=?0", &[("", Some(100), Some(5), None, None)]),
        ("remaining=5, remaining=3", &[("", None, Some(3), None, None)]),
        ("limit=(1 2), remaining=5", &[("", None, Some(5), None, None)]),
        ("limit=100, reset=30", &[]),
        ("remaining=-5", &[]),
    ] {
        assert_eq!(rows(&read(&[("RateLimit", value)])), expected, "{value}");
    }
}

/// As many as header fields may be: the work is not the product of their numbers.
#[test]
fn many_items_of_many_fields_take_no_long_time() {
    let state = "a;r=1,".repeat(680) + "a;r=1";
    let policy = "b;q=1,".repeat(680) + "b;q=1";
    let limit = "1;w=1,".repeat(680) + "1;w=1";
    let mut fields = vec![("RateLimit", state.as_str()); 50];
    fields.extend([("RateLimit-Policy", policy.as_str()); 50]);
    fields.extend([("RateLimit-Limit", limit.as_str()); 50]);
    let begun = std::time::Instant::now();
    let advice = read(&fields);
    let names: Vec<_> = advice.limits().iter().map(|told| told.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
