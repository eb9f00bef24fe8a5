//! A policy replaced under traffic: what each algorithm's state means under the new
//! quota, what begins anew, and that a bad file changes nothing.
#![cfg(all(feature = "policy", not(loom)))]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};
use tollgate::{
    Nanos, Outcome,
    policy::{Cause, LivePolicy, Moment, Policy, PolicyDecision, PolicyFile},
};

/// Noon in the middle of a month.
const BEGIN: u64 = 1_750_075_200;

fn file(text: &str) -> PolicyFile {
    let head = "[attribute.user]\n[attribute.tier]\n";
    PolicyFile::parse("policy.toml", format!("{head}{text}").as_bytes())
        .unwrap_or_else(|e| panic!("{e}"))
}

fn at(seconds: u64) -> Moment {
    Moment::new(Nanos::from_secs(seconds), Duration::from_secs(BEGIN + seconds))
}

fn live(text: &str) -> LivePolicy {
    LivePolicy::new(Policy::from_file_at(&file(text), at(0)).unwrap_or_else(|e| panic!("{e}")))
}

fn ask<T>(live: &LivePolicy, now: Moment, see: impl Fn(PolicyDecision<'_>) -> T) -> T {
    let policy = live.load();
    let request = policy.request("GET", "/").attribute("user", "ann").cost("bytes", 1);
    see(policy.check_at(&request, now))
}

/// Limit, remaining, and the wait in seconds if it was denied.
fn numbers(live: &LivePolicy, seconds: u64) -> (u64, u64, Option<u64>) {
    ask(live, at(seconds), |decision| {
        let d = decision.limit("it").unwrap().decision();
        (d.limit(), d.remaining(), d.retry_after_secs())
    })
}

fn limit(algorithm: &str, quota: &str, more: &str) -> String {
    format!(
        "[[limit]]\nname = 'it'\nkey = ['user']\nalgorithm = '{algorithm}'\nquota = {quota}\n{more}\n"
    )
}

#[test]
fn a_log_keeps_its_units() {
    let text = |quota| limit("sliding-log", quota, "largest = '100/min'");
    let live = live(&text("'10/min'"));
    for left in (4..10).rev() {
        assert_eq!(numbers(&live, 10), (10, left, None));
    }
    // Lowered: six are too many for four, and the headers say so.
    live.replace(&file(&text("'4/min'"))).unwrap();
    assert_eq!(numbers(&live, 20), (4, 0, Some(50)));
    // Raised: what is left is of the new quota.
    live.replace(&file(&text("'100/min'"))).unwrap();
    assert_eq!(numbers(&live, 30), (100, 93, None));
    // By windows of half the time, those of second 10 have left at second 40.
    live.replace(&file(&text("'5/30s'"))).unwrap();
    assert_eq!(numbers(&live, 41), (5, 3, None));
}

#[test]
fn gcra_keeps_its_debt_as_time() {
    let text = |quota| limit("gcra", quota, "largest = '60/min'");
    let live = live(&text("'60/min'"));
    for left in (50..60).rev() {
        assert_eq!(numbers(&live, 10), (60, left, None));
    }
    // Ten seconds are owed: five of twelve units of two seconds, and one more.
    live.replace(&file(&text("'30/min burst 12'"))).unwrap();
    assert_eq!(numbers(&live, 10), (12, 6, None));
    live.replace(&file(&text("'6/min burst 1'"))).unwrap();
    assert_eq!(numbers(&live, 10), (1, 0, Some(12)));
}

#[test]
fn a_counter_and_the_calendar_keep_their_counts() {
    for (algorithm, quotas) in [
        ("sliding-counter", ["'10/min'", "'4/min'", "'20/min'"]),
        ("calendar", ["'10/day'", "'4/day'", "'20/day'"]),
    ] {
        let text = |quota: &str| limit(algorithm, quota, "");
        let live = live(&text(quotas[2]));
        live.replace(&file(&text(quotas[0]))).unwrap();
        for left in (4..10).rev() {
            assert_eq!(numbers(&live, 1), (10, left, None), "{algorithm}");
        }
        live.replace(&file(&text(quotas[1]))).unwrap();
        let (limit, left, wait) = numbers(&live, 2);
        assert!(limit == 4 && left == 0 && wait.is_some(), "{algorithm}");
        live.replace(&file(&text(quotas[2]))).unwrap();
        assert_eq!(numbers(&live, 3), (20, 13, None), "{algorithm}");
    }
}

#[test]
fn leases_go_on() {
    let text = |quota| limit("leases", quota, "ttl = '1 min'");
    let live = live(&text("3"));
    assert_eq!(numbers(&live, 0), (3, 2, None));
    assert_eq!(numbers(&live, 1), (3, 1, None));
    live.replace(&file(&text("1"))).unwrap();
    let (limit, left, wait) = numbers(&live, 2);
    // Both must be over.
    assert!((limit, left) == (1, 0) && wait.is_some_and(|wait| wait >= 59), "{wait:?}");
    live.replace(&file(&text("3"))).unwrap();
    assert_eq!(numbers(&live, 3), (3, 0, None));
}

#[test]
fn sizes_and_unlimited_are_of_the_file() {
    let live = live(&limit("size", "5", "cost = 'bytes'"));
    assert_eq!(numbers(&live, 0).0, 5);
    live.replace(&file(&limit("size", "7", "cost = 'bytes'"))).unwrap();
    assert_eq!(numbers(&live, 0).0, 7);
    live.replace(&file(&limit("sliding-log", "'unlimited'", ""))).unwrap();
    assert!(ask(&live, at(0), |d| d.limit("it").unwrap().is_unlimited()));
    live.replace(&file(&limit("sliding-log", "'2/min'", ""))).unwrap();
    assert_eq!(numbers(&live, 0), (2, 1, None));
}

/// The very same file changes nothing.
#[test]
fn what_is_another_limit_begins_anew() {
    let text = limit("sliding-log", "'2/min'", "");
    let live = live(&text);
    assert_eq!(numbers(&live, 0).1, 1);
    live.replace(&file(&text)).unwrap();
    assert_eq!(numbers(&live, 0).1, 0);
    live.replace(&file(&limit("gcra", "'2/min'", ""))).unwrap();
    assert_eq!(numbers(&live, 0).1, 1, "another algorithm");
    live.replace(&file(&text)).unwrap();
    assert_eq!(numbers(&live, 0).1, 1, "and back");
    let keyed = text.replace("['user']", "['user', 'method']");
    live.replace(&file(&keyed)).unwrap();
    assert_eq!(numbers(&live, 0).1, 1, "another key");
}

#[test]
fn a_file_that_does_not_fit_changes_nothing() {
    let live = live(&limit("sliding-log", "'2/min'", ""));
    assert_eq!(numbers(&live, 0).1, 1);
    let error = live.replace(&file(&limit("sliding-log", "'3/min'", ""))).unwrap_err();
    let problem = error.problems().next().unwrap();
    assert_eq!(problem.line(), 7, "{error}");
    assert!(problem.message().contains("cannot take over its keys"), "{error}");
    assert!(problem.hint().unwrap().contains("say `largest`"), "{error}");
    // All at once, as in a file.
    let more = "largest = '5/min'\noverrides = { by = 'user', bob = '4/min' }";
    let error = live.replace(&file(&limit("sliding-log", "'3/min'", more))).unwrap_err();
    assert_eq!(error.problems().len(), 3, "{error}");
    assert_eq!(numbers(&live, 0), (2, 0, None));
    assert_eq!(numbers(&live, 0), (2, 0, Some(60)));
}

#[test]
fn quotas_set_at_run_time_and_numbers_of_names_go_on() {
    let more = "overrides = { by = 'user', bob = '3/min' }\nlargest = '9/min'";
    let text = limit("sliding-log", "'2/min'", more);
    let live = live(&text);
    let user = live.load().attribute_id("user");
    live.load().set_override("it", "ann", Some("9/min")).unwrap();
    assert_eq!(numbers(&live, 0), (9, 8, None));
    live.replace(&file(&format!("[attribute.another]\n{text}"))).unwrap();
    assert_eq!(numbers(&live, 0), (9, 7, None));
    assert_eq!(live.load().attribute_id("user"), user);
    live.load().set_override("it", "ann", None).unwrap();
    assert_eq!(numbers(&live, 0).0, 2);
}

#[test]
fn blocks_survive() {
    let ladder = |blocks: &str| {
        format!(
            "{}[[penalty]]\nname = 'ladder'\nkey = ['user']\ndenials = 2\nwithin = '1 min'\nblocks = {blocks}\n",
            limit("sliding-log", "'1/min'", "")
        )
    };
    let live = live(&ladder("['10 min', 'until lifted']"));
    let outcomes: Vec<_> = (0..4).map(|_| ask(&live, at(0), |d| d.outcome())).collect();
    assert_eq!(outcomes, [Outcome::Allowed, Outcome::Later, Outcome::Later, Outcome::Later]);
    let blocked = |seconds| {
        ask(&live, at(seconds), |d| {
            matches!(d.cause(), Cause::Blocked("ladder")).then(|| d.retry_after())
        })
    };
    assert_eq!(blocked(0), Some(Some(Duration::from_secs(600))));
    live.replace(&file(&ladder("['1 min', '20 min']"))).unwrap();
    assert_eq!(blocked(599), Some(Some(Duration::from_secs(1))));
    assert_eq!(blocked(600), None);
    // Two more denials, and the second step of the new ladder.
    assert!(ask(&live, at(600), |d| d.is_denied()));
    assert!(ask(&live, at(600), |d| d.is_denied()));
    assert_eq!(blocked(600), Some(Some(Duration::from_secs(1200))));
}

/// Threads ask while the policy is replaced all the time: no window is ever passed.
#[test]
fn under_traffic_no_limit_is_passed() {
    let text = |quota: &str, name: &str| {
        let more =
            format!("largest = '50/min'\n[[limit]]\nname = '{name}'\nkey = []\nquota = '1000/min'");
        limit("sliding-log", quota, &more)
    };
    let live = live(&text("'50/min'", "a"));
    let (allowed, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    if ask(&live, at(5), |d| d.is_allowed()) {
                        allowed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for n in 0..200 {
            let quota = ["'50/min'", "'40/min'", "'30/min'"][n % 3];
            live.replace(&file(&text(quota, ["a", "b"][n % 2]))).unwrap();
        }
        live.replace(&file(&text("'50/min'", "a"))).unwrap();
        while allowed.load(Ordering::Relaxed) < 50 {
            thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(allowed.load(Ordering::Relaxed), 50);
    assert_eq!(numbers(&live, 5).1, 0);
}
