//! Many threads, overlapping keys: no limit is passed, and who is denied leaves no trace.

use crate::{after, left, policy, start};
use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tollgate::policy::{Policy, Request};

/// All three count a dimension, so that whoever asks for none of it only looks.
const THREE: &str = r#"
    [attribute.user]
    [attribute.org]

    [[limit]]
    name = "total"
    key = []
    quota = "40/h"
    cost = "n"

    [[limit]]
    name = "user"
    key = ["user"]
    algorithm = "gcra"
    quota = "15/h"
    cost = "n"

    [[limit]]
    name = "org"
    key = ["org"]
    algorithm = "calendar"
    quota = "17/day"
    cost = "n"
"#;

const THREADS: usize = 4;
const USERS: [&str; 4] = ["a", "b", "c", "d"];
const ORGS: [&str; 3] = ["x", "y", "z"];

/// Units that are held, by limit and key.
#[derive(Default)]
struct Held {
    all: AtomicU64,
    user: [AtomicU64; 4],
    org: [AtomicU64; 3],
}

impl Held {
    fn each(&self, user: usize, org: usize) -> [(&AtomicU64, u64); 3] {
        [(&self.all, 40), (&self.user[user], 15), (&self.org[org], 17)]
    }
}

fn request(policy: &Policy, user: usize, org: usize, n: u64) -> Request<'_> {
    let request = policy.request("GET", "/");
    request.attribute("user", USERS[user]).attribute("org", ORGS[org]).cost("n", n)
}

/// A fixed sequence for each seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

fn in_threads(run: impl Fn(&mut Random) + Sync) {
    let together = Barrier::new(THREADS);
    thread::scope(|scope| {
        for seed in 0..THREADS as u64 {
            let (run, together) = (&run, &together);
            scope.spawn(move || {
                together.wait();
                run(&mut Random(seed * 7919 + 1));
            });
        }
    });
}

/// What every limit has left is its limit without what is held.
fn nothing_else_is_held(policy: &Policy, held: &Held) {
    for user in 0..USERS.len() {
        for org in 0..ORGS.len() {
            let look = policy.check_at(&request(policy, user, org, 0), start());
            for (name, (held, limit)) in
                ["total", "user", "org"].into_iter().zip(held.each(user, org))
            {
                assert_eq!(left(&look, name), limit - held.load(Ordering::Relaxed), "{name}");
            }
        }
    }
}

#[test]
fn limits_are_reached_and_never_passed() {
    for _ in 0..50 {
        let (policy, held) = (policy(THREE), Held::default());
        in_threads(|random| {
            for _ in 0..300 {
                let (user, org) = (random.below(4), random.below(3));
                let n = 1 + random.below(3) as u64;
                if policy.check_at(&request(&policy, user, org, n), start()).is_allowed() {
                    for (units, limit) in held.each(user, org) {
                        assert!(units.fetch_add(n, Ordering::Relaxed) + n <= limit);
                    }
                }
            }
        });
        nothing_else_is_held(&policy, &held);
        // Who was denied only because of one that was undone may come now.
        for user in 0..4 {
            for org in 0..3 {
                while policy.check_at(&request(&policy, user, org, 1), start()).is_allowed() {
                    let _ = held
                        .each(user, org)
                        .map(|(units, _)| units.fetch_add(1, Ordering::Relaxed));
                }
                let full =
                    |(units, limit): (&AtomicU64, u64)| units.load(Ordering::Relaxed) == limit;
                assert!(held.each(user, org).into_iter().any(full));
            }
        }
        assert_eq!(held.all.load(Ordering::Relaxed), 40);
        nothing_else_is_held(&policy, &held);
    }
}

/// Units come and go at the edge of the limits, so that looks are outrun by charges.
#[test]
fn lost_races_are_undone() {
    let (policy, held) = (policy(THREE), Held::default());
    let (allowed, denied) = (AtomicU64::new(0), AtomicU64::new(0));
    in_threads(|random| {
        let mut kept = Vec::new();
        for _ in 0..20_000 {
            let (user, org) = (random.below(4), random.below(3));
            let n = 4 + random.below(8) as u64;
            let decision = policy.check_at(&request(&policy, user, org, n), start());
            if decision.is_allowed() {
                for (units, limit) in held.each(user, org) {
                    assert!(units.fetch_add(n, Ordering::Relaxed) + n <= limit);
                }
                kept.push((decision, user, org, n));
                allowed.fetch_add(1, Ordering::Relaxed);
            } else {
                denied.fetch_add(1, Ordering::Relaxed);
            }
            if kept.len() > random.below(3) {
                let (mut decision, user, org, n) = kept.swap_remove(0);
                let _ =
                    held.each(user, org).map(|(units, _)| units.fetch_sub(n, Ordering::Relaxed));
                decision.refund_at(start());
            }
        }
    });
    assert!([&allowed, &denied].iter().all(|n| n.load(Ordering::Relaxed) > 1_000));
    nothing_else_is_held(&policy, &held);
}

/// Milliseconds that a run takes.
const SPAN: u64 = 120_000;

#[test]
fn time_that_moves_brings_everything_back_once() {
    let policy = policy(
        r#"
        [attribute.user]
        [[limit]]
        name = "log"
        key = ["user"]
        quota = "20/10s"
        [[limit]]
        name = "smooth"
        key = []
        algorithm = "gcra"
        quota = "30/10s"
        [[limit]]
        name = "minute"
        key = []
        algorithm = "calendar"
        quota = "150/min"
        "#,
    );
    let (millis, allowed) = (AtomicU64::new(0), [const { AtomicU64::new(0) }; 4]);
    in_threads(|random| {
        loop {
            let now = millis.fetch_add(1 + random.below(5) as u64, Ordering::Relaxed);
            if now >= SPAN {
                return;
            }
            let user = random.below(4);
            let request = policy.request("GET", "/").attribute("user", USERS[user]);
            if policy.check_at(&request, start().after(Duration::from_millis(now))).is_allowed() {
                allowed[user].fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let allowed = allowed.map(AtomicU64::into_inner);
    let all: u64 = allowed.iter().sum();
    // Two minutes, of which the calendar allows 150 each.
    assert!((290..=300).contains(&all), "{allowed:?}");
    assert!(allowed.iter().all(|n| *n <= 20 * 13), "{allowed:?}");
    let quiet = after(SPAN / 1000 + 60);
    let probe = policy.check_at(&policy.request("GET", "/").attribute("user", "a"), quiet);
    assert_eq!(["log", "smooth", "minute"].map(|name| left(&probe, name)), [19, 29, 149]);
}

#[test]
fn overrides_change_under_traffic() {
    let policy = policy(
        r#"
        [attribute.customer]
        [[limit]]
        name = "api"
        key = ["customer"]
        quota = "10/h"
        overrides = { by = "customer", acme = "20/h" }
        largest = "50/h"
        [[limit]]
        name = "total"
        key = []
        quota = "100_000/h"
        "#,
    );
    let allowed = AtomicU64::new(0);
    in_threads(|random| {
        for nth in 0..3_000 {
            if random.below(20) == 0 {
                let quota = [Some("10/h"), Some("30/h"), Some("unlimited"), None][nth % 3];
                let customer = ["globex", "acme"][nth % 2];
                policy.set_override("api", customer, quota.filter(|q| *q != "unlimited")).unwrap();
            }
            let request = policy.request("GET", "/").attribute("customer", "globex");
            let decision = policy.check_at(&request, start());
            assert!([10, 30].contains(&decision.limit("api").unwrap().decision().limit()));
            allowed.fetch_add(u64::from(decision.is_allowed()), Ordering::Relaxed);
        }
    });
    let allowed = allowed.into_inner();
    assert!((10..=30).contains(&allowed), "{allowed}");
    policy.set_override("api", "globex", Some("50/h")).unwrap();
    let request = policy.request("GET", "/").attribute("customer", "globex");
    assert_eq!(left(&policy.check_at(&request, start()), "api"), 49 - allowed);
    policy.set_override("api", "globex", Some("unlimited")).unwrap();
    assert!(policy.check_at(&request, start()).limit("api").unwrap().is_unlimited());
}

/// What was blocked once is blocked for the first step, however many were denied at once.
#[test]
fn one_strike_for_denials_that_come_together() {
    for _ in 0..20 {
        let policy = policy(
            r#"
            [attribute.user]
            [[limit]]
            name = "one"
            key = ["user"]
            quota = "1/h"
            [[penalty]]
            name = "ladder"
            key = ["user"]
            denials = 3
            within = "10 min"
            blocks = ["1 min", "10 min"]
            "#,
        );
        in_threads(|_| {
            for _ in 0..100 {
                let _ =
                    policy.check_at(&policy.request("GET", "/").attribute("user", "a"), start());
            }
        });
        let request = policy.request("GET", "/").attribute("user", "a");
        let blocked = policy.check_at(&request, start());
        assert_eq!(blocked.retry_after(), Some(Duration::from_secs(60)));
    }
}
