//! Clocks: months that end, and wall clocks that are set.

use crate::{NEW_YEAR, left, policy};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tollgate::{
    Nanos, Outcome,
    policy::{Moment, Policy, PolicyDecision},
};

const MONTHLY: &str = r#"
    [attribute.org]
    [[limit]]
    name = "month"
    key = ["org"]
    algorithm = "calendar"
    quota = "3/month"
    [[limit]]
    name = "rate"
    key = ["org"]
    quota = "100/h"
"#;

const DAY: u64 = 86_400;

/// So many seconds by each clock after the policy's beginning.
fn at(monotonic: u64, wall: u64) -> Moment {
    Moment::new(Nanos::from_secs(5 + monotonic), NEW_YEAR + Duration::from_secs(wall))
}

#[test]
fn a_wall_clock_that_steps_over_the_end_of_a_month() {
    let policy = policy(MONTHLY);
    let request = policy.request("GET", "/").attribute("org", "acme");
    let february = 31 * DAY;
    for nth in 0..3 {
        let decision = policy.check_at(&request, at(nth, february - 10 + nth));
        assert_eq!((decision.is_allowed(), left(&decision, "month")), (true, 2 - nth));
    }
    let denied = policy.check_at(&request, at(3, february - 7));
    assert_eq!(denied.retry_after(), Some(Duration::from_secs(7)));
    let denied = policy.check_at(&request, at(10, february).after(Duration::ZERO));
    assert!(denied.is_allowed(), "the month begins");
    // Back into January: February's window holds still, and nothing is admitted twice.
    for nth in 0..2 {
        assert!(policy.check_at(&request, at(11 + nth, february - 3600)).is_allowed());
    }
    let denied = policy.check_at(&request, at(13, february - 3600));
    assert_eq!(denied.outcome(), Outcome::Later);
    assert_eq!(denied.retry_after(), Some(Duration::from_secs(28 * DAY + 3600)));
    assert!(policy.check_at(&request, at(14, february + 28 * DAY - 1)).is_denied());
    assert!(policy.check_at(&request, at(15, february + 28 * DAY)).is_allowed());
    // The hour goes by the other clock.
    assert_eq!(left(&policy.check_at(&request, at(16, february + 28 * DAY)), "rate"), 92);
}

/// The policy's own clocks: both are read where a limit goes by the calendar.
#[test]
fn the_month_of_now() {
    let policy = Policy::from_toml(MONTHLY).unwrap();
    let request = policy.request("GET", "/").attribute("org", "acme");
    for left in [2, 1, 0] {
        let decision = policy.check(&request);
        let month = decision.limit("month").unwrap().decision();
        assert_eq!(month.remaining(), left);
        assert!(month.reset_after() <= Duration::from_secs(31 * DAY));
    }
    assert!(policy.check(&request).is_denied());
}

/// Where none does, the wall clock is read for whoever wants a header.
#[test]
fn a_header_tells_when_by_the_wall_clock() {
    let text = r#"
        [[limit]]
        name = "everybody"
        key = []
        quota = "10/min"
        [response]
        headers = "x-ratelimit"
        reset = "epoch"
    "#;
    let policy = Policy::from_toml(text).unwrap();
    let epoch = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let before = epoch();
    let decision = policy.check(&policy.request("GET", "/"));
    let between = epoch();
    std::thread::sleep(Duration::from_millis(1500));
    let response = decision.response();
    let reset: u64 = response.field("X-RateLimit-Reset").unwrap().parse().unwrap();
    // It is back after a minute: rounded up, and counted from the decision, not from the
    // response.
    assert!((before + 60..=between + 61).contains(&reset), "{before} {reset}");
}

/// Once corrected, it tells times from the correction on, of the limits that were not, too.
#[test]
fn what_is_settled_later_is_back_later() {
    let text = r#"
        [[limit]]
        name = "llm"
        key = []
        algorithm = "gcra"
        quota = "60/min"
        cost = "tokens"
        [[limit]]
        name = "hour"
        key = []
        quota = "10/h"
        [response]
        headers = "x-ratelimit"
        reset = "epoch"
    "#;
    let policy = Arc::new(policy(text));
    let epoch = |decision: &PolicyDecision<'_>| {
        let reset: u64 = decision.response().field("X-RateLimit-Reset").unwrap().parse().unwrap();
        reset - NEW_YEAR.as_secs()
    };
    let request = policy.request("POST", "/chat").cost("tokens", 1);
    let mut kept = policy.check_kept_at(&request, at(0, 0));
    assert_eq!(kept.with(|decision| epoch(decision)), 3_600);
    kept.with(|decision| decision.settle_at("tokens", 60, at(3, 3)));
    // The one unit was back by then; of 59 more the first is back a second later.
    assert_eq!(kept.with(|decision| epoch(decision)), 4);
    let hour = |decision: &mut PolicyDecision<'_>| {
        decision.limit("hour").unwrap().decision().reset_after()
    };
    assert_eq!(kept.with(hour), Duration::from_secs(3_597));
    kept.with(|decision| decision.refund_at(at(5, 5)));
    assert_eq!(kept.with(|decision| epoch(decision)), 5);
    // A clock that stands back makes nothing younger.
    kept.with(|decision| decision.settle_at("tokens", 0, at(2, 2)));
    assert_eq!(kept.with(|decision| epoch(decision)), 5);
}

#[test]
fn a_refund_is_of_its_own_month() {
    let policy = policy(MONTHLY);
    let request = policy.request("GET", "/").attribute("org", "acme");
    let february = 31 * DAY;
    let mut january = policy.check_at(&request, at(0, february - 1));
    let _ = policy.check_at(&request, at(1, february));
    january.refund_at(at(2, february + 1));
    assert_eq!(left(&policy.check_at(&request, at(3, february + 2)), "month"), 1);
}

/// Moments from before the beginning, and from the end of time.
#[test]
fn no_moment_is_too_early_or_too_late() {
    let policy = policy(MONTHLY);
    let request = policy.request("GET", "/").attribute("org", "acme");
    for monotonic in [Nanos::ZERO, Nanos::new(1), Nanos::from_secs(5), Nanos::new(u64::MAX)] {
        for wall in [Duration::ZERO, NEW_YEAR, Duration::from_secs(1 << 33), Duration::MAX] {
            let mut decision = policy.check_at(&request, Moment::new(monotonic, wall));
            let _ = decision.response();
            decision.refund_at(Moment::default());
            decision.release_at(Moment::default());
        }
    }
}

/// Seconds since 1970 of a time of UTC.
fn utc(at: &str) -> Moment {
    let at: jiff::Timestamp = at.parse().unwrap();
    Moment::new(Nanos::from_secs(5), Duration::from_secs(at.as_second().try_into().unwrap()))
}

/// One unit in each window: what is told to wait is the rest of the window, as people
/// in the zone count it.
#[test]
fn windows_are_those_of_the_zone() {
    const HOUR: u64 = 3600;
    for (zone, each, now, wait) in [
        // The day of 23 hours, from half an hour after its beginning.
        ("Europe/Berlin", "day", "2026-03-28T23:30:00Z", 22 * HOUR + 1800),
        // The day of 25.
        ("Europe/Berlin", "day", "2026-10-24T22:30:00Z", 24 * HOUR + 1800),
        ("UTC", "day", "2026-03-28T23:30:00Z", 1800),
        // The hour that comes twice is two hours.
        ("Europe/Berlin", "hour", "2026-10-25T00:30:00Z", 1800),
        ("Europe/Berlin", "hour", "2026-10-25T01:30:00Z", 1800),
        // Leap years and others.
        ("UTC", "month", "2028-02-28T12:00:00Z", 36 * HOUR),
        ("UTC", "month", "2026-02-28T12:00:00Z", 12 * HOUR),
        ("UTC", "year", "2028-01-01T00:00:00Z", 366 * 24 * HOUR),
        ("UTC", "year", "2026-12-31T23:59:59Z", 1),
        ("Asia/Tokyo", "year", "2026-12-31T14:59:59Z", 1),
        ("America/New_York", "year", "2027-01-01T04:59:59Z", 1),
        // Mondays.
        ("UTC", "week", "2026-12-31T00:00:00Z", 4 * 24 * HOUR),
        // A quarter of an hour off.
        ("Asia/Kathmandu", "hour", "2026-05-05T00:00:00Z", 900),
        // There was no midnight.
        ("America/Asuncion", "day", "2024-10-05T12:00:00Z", 16 * HOUR),
    ] {
        let text = format!(
            "[[limit]]\nname = 'it'\nkey = []\nalgorithm = 'calendar'\nquota = '1/{each}'\nzone = '{zone}'\n"
        );
        let file = tollgate::policy::PolicyFile::parse("test", text.as_bytes()).unwrap();
        let policy = Policy::from_file_at(&file, utc(now)).unwrap();
        let request = policy.request("GET", "/");
        assert!(policy.check_at(&request, utc(now)).is_allowed());
        let told = policy.check_at(&request, utc(now)).retry_after().unwrap();
        assert_eq!(told, Duration::from_secs(wait), "{zone} {each} {now}");
        let early = utc(now).after(Duration::from_nanos(wait * 1_000_000_000 - 1));
        assert!(policy.check_at(&request, early).is_denied());
        assert!(policy.check_at(&request, utc(now).after(told)).is_allowed());
    }
}
