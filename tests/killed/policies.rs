//! One request of a policy: many limits, each with a table of its own, and a block.

use super::{Patience, Scratch, killed_before};
use crate::{
    Region,
    policy::{Moment, Policy, PolicyFile},
};
use std::{fs, fs::OpenOptions, os::unix::fs::FileExt};

const FILE: &str = r#"
    [attribute.user]
    [[limit]]
    name = "gcra"
    key = ["user"]
    algorithm = "gcra"
    quota = "50/h"
    [[limit]]
    name = "log"
    key = ["user"]
    quota = "50/h"
    [[limit]]
    name = "counter"
    key = ["user"]
    algorithm = "sliding-counter"
    quota = "50/h"
    [[limit]]
    name = "month"
    key = ["user"]
    algorithm = "calendar"
    quota = "50/month"
    [[limit]]
    name = "jobs"
    key = ["user"]
    algorithm = "leases"
    quota = 4
    ttl = "1 h"
    [[penalty]]
    name = "ladder"
    key = ["user"]
    counts = ["jobs"]
    denials = 2
    within = "10 min"
    blocks = ["1 h"]
"#;

const LIMITS: [&str; 5] = ["gcra", "log", "counter", "month", "jobs"];

fn policy(region: &Region) -> Policy {
    let file = PolicyFile::parse("policy.toml", FILE.as_bytes()).unwrap();
    Policy::from_file_in(&file, region).unwrap()
}

/// Asks once. What is left of each limit then; nothing of a request that is denied.
fn ask(policy: &Policy, user: &str, moment: Moment) -> Option<[u64; 5]> {
    let request = policy.request("GET", "/").attribute("user", user);
    let decision = policy.check_at(&request, moment);
    let left = |name| decision.limit(name).unwrap().decision().remaining();
    decision.is_allowed().then(|| LIMITS.map(left))
}

#[test]
fn a_request_of_many_limits() {
    let _hang = Patience::of("a policy", 3600);
    let scratch = Scratch::new();
    let region = Region::open(scratch.path()).unwrap();
    let ours = policy(&region);
    let moment = ours.now();
    assert!(ask(&ours, "other", moment).is_some());
    let file = OpenOptions::new().write(true).open(scratch.path()).unwrap();
    // The first request of a user, the second, and one that is denied, and then blocked.
    for asked in 0..=5_u64 {
        if asked > 0 && asked < 5 {
            assert_eq!(ask(&ours, "user", moment).unwrap(), [50, 50, 50, 50, 4].map(|n| n - asked));
        } else if asked == 5 {
            assert_eq!(ask(&ours, "user", moment), None);
        }
        let image = fs::read(scratch.path()).unwrap();
        let mut nth = 0;
        loop {
            file.write_all_at(&image, 0).unwrap();
            if !killed_before(nth, || assert!(ask(&ours, "user", moment).is_some() || asked > 3)) {
                break;
            }
            let theirs = policy(&Region::open(scratch.path()).unwrap());
            assert_eq!(ask(&theirs, "other", moment).unwrap(), [48, 48, 48, 48, 2]);
            let when = format!("request {asked}, killed before write {nth}");
            match ask(&theirs, "user", moment) {
                Some(left) => {
                    // Each limit has been charged by the dead, or not.
                    for (left, most) in left.into_iter().zip([50, 50, 50, 50, 4]) {
                        let charged = most - left;
                        assert!((asked + 1..=asked + 2).contains(&charged), "{when}: {charged}");
                    }
                    assert!(asked < 4, "{when}: the fifth job");
                }
                None => assert!(asked >= 3, "{when}: denied"),
            }
            let request = theirs.request("GET", "/").attribute("user", "user");
            for _ in 0..5 {
                if ask(&theirs, "user", moment).is_none() && asked >= 4 {
                    continue;
                }
                assert!(asked < 4, "{when}");
            }
            // Denied often enough by now: blocked, until that is lifted.
            assert!(theirs.unblock_at("ladder", &request, moment) || asked < 4, "{when}");
            assert!(theirs.reset_at("jobs", &request, moment), "{when}");
            assert!(ask(&theirs, "user", moment).is_some(), "{when}");
            assert_eq!(ask(&theirs, "other", moment).unwrap(), [47, 47, 47, 47, 1], "{when}");
            nth += 1;
        }
        println!("request {asked}: {nth} killed");
        assert!(nth > 4 || asked == 4, "{nth}");
        file.write_all_at(&image, 0).unwrap();
    }
}
