//! A policy replaced under traffic: what each algorithm's state means under the new
//! quota, what begins anew, and that a bad file changes nothing.
#![cfg(all(feature = "policy", not(loom)))]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
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

/// Says that it is over, also where an assertion fails: no thread is waited for that
/// waits for that.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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
        let _done = Done(&done);
        for n in 0..200 {
            let quota = ["'50/min'", "'40/min'", "'30/min'"][n % 3];
            live.replace(&file(&text(quota, ["a", "b"][n % 2]))).unwrap();
        }
        live.replace(&file(&text("'50/min'", "a"))).unwrap();
        let begun = Instant::now();
        while allowed.load(Ordering::Relaxed) < 50 && begun.elapsed() < Duration::from_secs(60) {
            thread::yield_now();
        }
    });
    assert_eq!(allowed.load(Ordering::Relaxed), 50);
    assert_eq!(numbers(&live, 5).1, 0);
}

fn replaced(live: &LivePolicy, text: &str) -> Result<(), String> {
    live.replace(&file(text)).map_err(|error| error.to_string())
}

/// A lease of the new time lasts as long as that says, or the file is refused.
#[test]
fn leases_of_another_time() {
    let text = |ttl: &str| {
        limit("leases", "2", &format!("ttl = '{ttl}'\noverrides = {{ by = 'user', bob = 1 }}"))
    };
    let live = live(&text("1 h"));
    live.load().set_override("it", "ann", Some("1")).unwrap();
    replaced(&live, &text("1 min")).unwrap();
    assert_eq!(numbers(&live, 0), (1, 0, None));
    assert_eq!(numbers(&live, 59).2, Some(1), "an override has the file's time");
    assert_eq!(numbers(&live, 60).2, None);
    live.load().set_override("it", "ann", Some("2")).unwrap();
    assert_eq!(numbers(&live, 60), (2, 0, None));
    assert_eq!(numbers(&live, 60).2, Some(60), "and so has one that is set then");
    let error = replaced(&live, &text("10 d")).unwrap_err();
    assert!(error.contains("ttl"), "{error}");
    assert_eq!(numbers(&live, 61).2, Some(59));
}

/// What was counted in bytes is not a number of requests.
#[test]
fn another_cost_begins_anew() {
    let text = |cost: &str| limit("sliding-log", "'2/min'", cost);
    let live = live(&text("cost = 'bytes'"));
    assert_eq!(numbers(&live, 0).1, 1);
    replaced(&live, &text("")).unwrap();
    assert_eq!(numbers(&live, 0).1, 1);
}

/// The place of a route in the list is not its name.
#[test]
fn buckets_of_routes_go_by_what_is_written() {
    let text = |routes: &str| {
        format!("[[limit]]\nname = 'it'\nroutes = {routes}\nkey = ['route']\nquota = '5/min'\n")
    };
    let live = live(&text("['GET /a', 'GET /b']"));
    let left = |path: &str| {
        let policy = live.load();
        let decision = policy.check_at(&policy.request("GET", path), at(0));
        decision.limit("it").unwrap().decision().remaining()
    };
    assert_eq!([left("/a"), left("/a"), left("/b")], [4, 3, 4]);
    replaced(&live, &text("['GET /c', 'GET /b', 'GET /a']")).unwrap();
    assert_eq!([left("/a"), left("/b"), left("/c")], [2, 3, 4]);
}

/// What can only be had at the start is not passed over in silence.
#[test]
fn room_and_what_happens_without_it_hold_from_the_start() {
    let text = |more: &str| limit("sliding-log", "'2/min'", more);
    let live = live(&text(""));
    assert_eq!(numbers(&live, 0).1, 1);
    for (more, word) in [("capacity = 20_000", "capacity"), ("when_full = 'deny'", "when_full")] {
        let error = replaced(&live, &text(more)).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    replaced(&live, &text("capacity = 10_000\nwhen_full = 'allow'")).unwrap();
    assert_eq!(numbers(&live, 0).1, 0);
    let ladder = |more: &str| {
        format!(
            "{}[[penalty]]\nname = 'p'\nkey = ['user']\ndenials = 2\nwithin = '1 min'\nblocks = ['1 min']\n{more}",
            text("")
        )
    };
    replaced(&live, &ladder("")).unwrap();
    let error = replaced(&live, &ladder("capacity = 5")).unwrap_err();
    assert!(error.contains("capacity"), "{error}");
}

/// The names that it lists are those of the present file.
#[test]
fn names_of_a_former_file_are_not_listed() {
    let live = live(&limit("sliding-log", "'2/min'", "cost = 'bytes'\n[attribute.old]"));
    assert!(live.load().attributes().any(|name| name == "old"));
    replaced(&live, &limit("sliding-log", "'2/min'", "")).unwrap();
    assert!(live.load().attributes().all(|name| name != "old"));
    assert_eq!(live.load().dimensions().len(), 0);
}

/// Blocks go on under the ladder of the new file, and under another key they do not.
#[test]
fn a_ladder_of_another_key_begins_anew() {
    let ladder = |key: &str| {
        format!(
            "{}[[penalty]]\nname = 'ladder'\nkey = {key}\ndenials = 1\nwithin = '1 min'\nblocks = ['10 min']\n",
            limit("sliding-log", "'1/min'", "")
        )
    };
    let live = live(&ladder("['user']"));
    let blocked = || ask(&live, at(1), |d| matches!(d.cause(), Cause::Blocked(_)));
    assert!(ask(&live, at(0), |d| d.is_allowed()));
    assert!(!blocked() && blocked());
    replaced(&live, &ladder("['user']")).unwrap();
    assert!(blocked());
    replaced(&live, &ladder("['user', 'method']")).unwrap();
    assert!(!blocked());
    // Nor is a tier that is called like a user that user.
    replaced(&live, &ladder("['user']")).unwrap();
    assert!(!blocked() && blocked());
    replaced(&live, &ladder("['tier']")).unwrap();
    let policy = live.load();
    let tier = policy.request("GET", "/").attribute("user", "bob").attribute("tier", "ann");
    assert!(policy.check_at(&tier, at(1)).is_allowed());
}

/// Overrides that were set go by the attribute that they were set for.
#[test]
fn overrides_of_another_attribute_begin_anew() {
    let text = |by: &str| {
        let more = format!("overrides = {{ by = '{by}', x = '1/min' }}\nlargest = '9/min'");
        limit("sliding-log", "'2/min'", &more)
    };
    let live = live(&text("user"));
    live.load().set_override("it", "ann", Some("9/min")).unwrap();
    // One that is set while the same limit is in an older policy holds in both.
    let older = live.load();
    replaced(&live, &text("user")).unwrap();
    older.set_override("it", "bob", Some("8/min")).unwrap();
    assert_eq!(numbers(&live, 0).0, 9);
    let policy = live.load();
    let bob = policy.request("GET", "/").attribute("user", "bob");
    assert_eq!(policy.check_at(&bob, at(0)).limit("it").unwrap().decision().limit(), 8);
    replaced(&live, &text("tier")).unwrap();
    assert_eq!(numbers(&live, 0).0, 2);
}

/// What no table can be made to mean is refused, and says what would do.
#[test]
fn what_cannot_take_effect_is_an_error() {
    let of = |algorithm: &str, quota: &str, more: &str| limit(algorithm, quota, more);
    for (first, next, word) in [
        (of("sliding-log", "'5/min'", ""), of("sliding-log", "'6/min'", ""), "largest"),
        (of("sliding-log", "'5/min'", ""), of("sliding-log", "'5/h'", ""), "largest"),
        (of("sliding-log", "'5/min'", ""), of("sliding-log", "'5/min'", "largest = '6/min'"), "5"),
        (of("gcra", "'5/min'", ""), of("gcra", "'5/h'", ""), "largest"),
        (of("sliding-counter", "'5/min'", ""), of("sliding-counter", "'5/h'", ""), "period"),
        (of("leases", "2", "ttl = '1 h'"), of("leases", "3", "ttl = '1 h'"), "largest"),
        (of("leases", "2", "ttl = '1 h'"), of("leases", "2", "ttl = '2 h'"), "ttl"),
        (of("calendar", "'5/day'", ""), of("calendar", "'5/month'", ""), "unit"),
        (of("calendar", "'5/day'", ""), of("calendar", "'5/day'", "zone = 'Asia/Tokyo'"), "zone"),
        (of("calendar", "'5/day'", "zone = 'Asia/Tokyo'"), of("calendar", "'5/day'", ""), "zone"),
    ] {
        let live = live(&first);
        assert!(ask(&live, at(0), |d| d.is_allowed()));
        let error = replaced(&live, &next).unwrap_err();
        assert!(error.contains(word) && error.contains("`it`"), "{error}");
        assert!(error.contains("call it something else"), "{error}");
        assert!(!error.contains("room_for"), "{error}");
        // And nothing happened.
        replaced(&live, &first).unwrap();
        let (limit, left, _) = numbers(&live, 0);
        assert_eq!(limit - left, 2, "{error}");
        // By another name it is made.
        replaced(&live, &next.replace("'it'", "'that'")).unwrap();
    }
}

/// A lease that the old policy gave is ended through the new one, and the other way about.
#[test]
fn leases_are_ended_across_a_replacement() {
    let text = limit("leases", "1", "ttl = '1 min'");
    let live = live(&text);
    let id = ask(&live, at(0), |d| d.limit("it").unwrap().lease().unwrap());
    let older = live.load();
    replaced(&live, &text).unwrap();
    assert_eq!(numbers(&live, 1).2, Some(59));
    assert!(live.load().renew_at("it", id, at(30)));
    assert!(live.load().release_at("it", id, at(31)));
    let id = ask(&live, at(32), |d| d.limit("it").unwrap().lease().unwrap());
    assert!(older.release_at("it", id, at(33)));
    assert_eq!(numbers(&live, 34), (1, 0, None));
}

/// A charge of the old policy is given back in the table that the new one has.
#[test]
fn a_request_that_began_before_is_settled_after() {
    for algorithm in ["sliding-log", "gcra", "sliding-counter", "calendar"] {
        let quota = if algorithm == "calendar" { "'9/day'" } else { "'9/min'" };
        let live = live(&limit(algorithm, quota, "cost = 'bytes'"));
        let older = live.load();
        let request = older.request("GET", "/").attribute("user", "ann").cost("bytes", 5);
        let mut decision = older.check_at(&request, at(0));
        replaced(&live, &limit(algorithm, quota, "cost = 'bytes'")).unwrap();
        decision.settle_at("bytes", 2, at(0));
        assert_eq!(numbers(&live, 0), (9, 6, None), "{algorithm}");
        decision.refund_at(at(0));
        assert_eq!(numbers(&live, 0), (9, 7, None), "{algorithm}");
    }
}

/// All of a file is new, or nothing: no decision sees a limit of one and of the other.
#[test]
fn a_decision_is_of_one_file() {
    let text = |n: u64| {
        let limits = (0..4).map(|nth| {
            format!("[[limit]]\nname = 'l{nth}'\nkey = []\nquota = '{}/min'\nlargest = '900000/h'\nalgorithm = 'gcra'\n", 1000 + n)
        });
        limits.collect::<String>()
    };
    let live = live(&text(0));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let all = ask(&live, at(5), |d| {
                        d.limits().map(|limit| limit.decision().limit()).collect::<Vec<_>>()
                    });
                    assert!(all.len() == 4 && all.iter().all(|limit| *limit == all[0]), "{all:?}");
                    assert!(all[0] >= last, "and never of an earlier one again");
                    last = all[0];
                }
            });
        }
        let _done = Done(&done);
        for n in 1..100 {
            replaced(&live, &text(n)).unwrap();
        }
    });
}

/// Numbers that a host looked up mean the same in every file that follows.
#[test]
fn numbers_of_names_do_not_move() {
    let text = |first: &str, cost: &str, more: &str| {
        format!(
            "{first}[attribute.user]\n[attribute.tier]\n{more}[[limit]]\nname = 'it'\nkey = ['user']\nquota = '9/min'\ncost = '{cost}'\n"
        )
    };
    let parse = |text: &str| PolicyFile::parse("p", text.as_bytes()).unwrap();
    let first = parse(&text("", "bytes", ""));
    let live = LivePolicy::new(Policy::from_file_at(&first, at(0)).unwrap());
    let (user, bytes) = (live.load().attribute_id("user"), live.load().dimension_id("bytes"));
    let other =
        "[[limit]]\nname = 'other'\nkey = []\nquota = '9/min'\ncost = 'items'\nmissing = 'skip'\n";
    live.replace(&parse(&text("[attribute.another]\n", "bytes", other))).unwrap();
    let policy = live.load();
    assert_eq!((policy.attribute_id("user"), policy.dimension_id("bytes")), (user, bytes));
    assert!(policy.attribute_id("another") > user && policy.dimension_id("items") > bytes);
    let request = policy.request("GET", "/").attribute_by_id(user.unwrap(), "ann");
    let decision = policy.check_at(&request.cost_by_id(bytes.unwrap(), 4), at(0));
    assert_eq!(decision.limit("it").unwrap().decision().remaining(), 5);
    // One that is gone for a while comes back with the same number.
    live.replace(&parse(
        "[attribute.zed]\n[[limit]]\nname = 'it'\nkey = ['zed']\nquota = '9/min'\n",
    ))
    .unwrap();
    assert_eq!((live.load().attribute_id("user"), live.load().dimension_id("bytes")), (None, None));
    live.replace(&first).unwrap();
    assert_eq!(
        (live.load().attribute_id("user"), live.load().dimension_id("bytes")),
        (user, bytes)
    );
}

/// A limit that begins with a later file counts in the same time as those before.
#[test]
fn a_new_limit_counts_from_the_same_beginning() {
    let live = live("[[limit]]\nname = 'old'\nkey = []\nquota = '1000/min'\n");
    thread::sleep(Duration::from_millis(30));
    for (algorithm, quota) in [("gcra", "'100/s burst 1'"), ("calendar", "'1/day'")] {
        replaced(&live, &limit(algorithm, quota, "")).unwrap();
        for (later, allowed) in [(0, true), (1, false), (10, true), (19, false), (20, true)] {
            let span = if algorithm == "gcra" {
                Duration::from_millis(later)
            } else {
                Duration::from_secs(later * 8640)
            };
            // Days begin at midnight, half a day after the beginning.
            let half = Duration::from_secs(if algorithm == "gcra" { 0 } else { 43_200 });
            let now = at(0).after(half + span);
            assert_eq!(ask(&live, now, |d| d.is_allowed()), allowed, "{algorithm} {later}");
        }
    }
}

/// A value of one attribute is not the same value of another.
#[test]
fn keys_and_overrides_are_not_taken_over_by_another_attribute() {
    let text = |of: &str| {
        format!(
            "[[limit]]\nname = 'it'\nkey = ['{of}']\nquota = '3/min'\noverrides = {{ by = '{of}', x = '1/min' }}\nlargest = '9/min'\n"
        )
    };
    let live = live(&text("user"));
    let see = || {
        let policy = live.load();
        let request = policy.request("GET", "/").attribute("user", "ann").attribute("tier", "ann");
        let decision = policy.check_at(&request, at(0));
        let d = decision.limit("it").unwrap().decision();
        (d.limit(), d.remaining())
    };
    assert_eq!(see(), (3, 2));
    live.load().set_override("it", "ann", Some("9/min")).unwrap();
    assert_eq!(see(), (9, 7));
    replaced(&live, &text("tier")).unwrap();
    assert_eq!(see(), (3, 2));
    // Of the same key, but by another attribute.
    live.load().set_override("it", "ann", Some("9/min")).unwrap();
    assert_eq!(see(), (9, 7));
    replaced(&live, &text("tier").replace("by = 'tier'", "by = 'user'")).unwrap();
    assert_eq!(see(), (3, 0));
}

/// Who is about to be blocked is not forgotten because something was replaced.
#[test]
fn denials_count_on() {
    let ladder = |denials: u64, within: &str| {
        format!(
            "{}[[penalty]]\nname = 'ladder'\nkey = ['user']\ndenials = {denials}\nwithin = '{within}'\nblocks = ['10 min']\n",
            limit("sliding-log", "'1/h'", "")
        )
    };
    let blocked = |live: &LivePolicy| ask(live, at(1), |d| matches!(d.cause(), Cause::Blocked(_)));
    for (denials, within, more) in [
        (3, "1 min", 1),
        // Two are enough, and there are two: the next is one too many.
        (2, "1 min", 1),
        (1, "30 s", 1),
        // There is no room for that many, or so long.
        (4, "1 min", 4),
        (3, "2 min", 3),
    ] {
        let live = live(&ladder(3, "1 min"));
        for _ in 0..3 {
            assert!(!blocked(&live));
        }
        replaced(&live, &ladder(denials, within)).unwrap();
        for nth in 0..more {
            assert!(!blocked(&live), "{denials} {within} {nth}");
        }
        assert!(blocked(&live), "{denials} {within}");
    }
}
