//! Document 003, URL scanning: four operations a minute, by organisation, exact.

use crate::support::{Api, MINUTE, Outcome, Reply, assert_wait_told, saturate};
use serde_json::Value;
use std::time::Duration;

const FILE: &str = "003-url-scanning.toml";
const NANOSECONDS: u64 = 1_000_000_000;

/// Name, method, path, and how many a minute.
const OPERATIONS: [(&str, &str, &str, u64); 4] = [
    ("create-scan", "POST", "/v1/scans", 10),
    ("read-scan", "GET", "/v1/scans/s1", 60),
    ("create-domain-risk", "POST", "/v1/domain-risks", 20),
    ("read-domain-risk", "GET", "/v1/domain-risks/d1", 20),
];

fn send(api: &Api, org: &str, (_, method, path, _): (&str, &str, &str, u64)) -> Reply {
    api.request(method, path).attr("org", org).send()
}

fn scan(api: &Api) -> Reply {
    send(api, "acme", OPERATIONS[0])
}

fn exceed(mut send: impl FnMut() -> Reply) -> Reply {
    loop {
        let reply = send();
        if !reply.allowed {
            return reply;
        }
    }
}

#[test]
fn every_operation_is_limited_by_organisation_and_minute() {
    for operation in OPERATIONS {
        let api = Api::new(FILE);
        let denial = exceed(|| send(&api, "acme", operation));
        assert_eq!(denial.retry_after, Some(MINUTE));
        assert!(send(&api, "globex", operation).allowed);
    }
}

#[test]
fn operations_that_the_table_leaves_out_are_limited_too() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "other", 60, MINUTE, || {
        i += 1;
        api.request("PUT", &format!("/v1/x/{i}")).attr("org", "acme").send()
    });
    exceed(|| api.request("PUT", "/v1/x").attr("org", "acme").send());
    assert!(api.request("PUT", "/v1/x").attr("org", "globex").send().allowed);
}

#[test]
fn the_window_slides() {
    let api = Api::new(FILE);
    // Five at 0 s, five at 30 s: at 60 s five may come, at 90 s the others.
    for second in [0, 30, 60, 90] {
        api.at(Duration::from_secs(second));
        for _ in 0..5 {
            assert!(scan(&api).allowed);
        }
        if second > 0 {
            let denial = scan(&api);
            assert_eq!(denial.retry_after, Some(Duration::from_secs(30)));
        }
    }
}

#[test]
fn create_scan_is_ten_a_minute() {
    let api = Api::new(FILE);
    assert_eq!(saturate(&api, "create-scan", 10, MINUTE, || scan(&api)), 270);
}

#[test]
fn read_scan_is_sixty_a_minute() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "read-scan", 60, MINUTE, || {
        i += 1;
        let method = if i % 2 == 0 { "GET" } else { "HEAD" };
        api.request(method, &format!("/v1/scans/s{i}")).attr("org", "acme").send()
    });
}

#[test]
fn create_domain_risk_is_twenty_a_minute() {
    let api = Api::new(FILE);
    saturate(&api, "create-domain-risk", 20, MINUTE, || send(&api, "acme", OPERATIONS[2]));
}

#[test]
fn read_domain_risk_is_twenty_a_minute() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "read-domain-risk", 20, MINUTE, || {
        i += 1;
        api.request("GET", &format!("/v1/domain-risks/d{i}")).attr("org", "acme").send()
    });
}

#[test]
fn each_operation_has_its_own_limit() {
    for exceeded in OPERATIONS {
        let api = Api::new(FILE);
        exceed(|| send(&api, "acme", exceeded));
        for other in OPERATIONS.into_iter().filter(|other| other.0 != exceeded.0) {
            let reply = send(&api, "acme", other);
            assert_eq!(reply.asked(), [other.0]);
            assert_eq!(reply.remaining(other.0), other.3 - 1);
        }
    }
}

#[test]
fn every_answer_has_the_three_fields() {
    for operation in OPERATIONS {
        let api = Api::new(FILE);
        for i in 0..2 * operation.3 {
            let reply = send(&api, "acme", operation);
            assert_eq!(reply.allowed, i < operation.3);
            assert_eq!(reply.number("x-ratelimit-limit"), operation.3);
            assert_eq!(reply.number("x-ratelimit-remaining"), operation.3.saturating_sub(i + 1));
            assert_eq!(reply.number("x-ratelimit-reset"), api.wall() / NANOSECONDS + 60);
        }
    }
}

#[test]
fn limit_is_the_most_a_minute_for_this_operation() {
    let api = Api::new(FILE);
    for operation in OPERATIONS {
        assert_eq!(send(&api, "acme", operation).number("x-ratelimit-limit"), operation.3);
    }
}

#[test]
fn remaining_is_what_passes_before_the_limit() {
    for operation in OPERATIONS {
        let api = Api::new(FILE);
        for _ in 0..operation.3 / 2 {
            send(&api, "acme", operation);
        }
        let told = send(&api, "acme", operation).number("x-ratelimit-remaining");
        for _ in 0..told {
            assert!(send(&api, "acme", operation).allowed);
        }
        assert!(!send(&api, "acme", operation).allowed);
    }
}

/// What an obvious list of times says is left, and when the oldest leaves.
#[test]
fn remaining_is_exact_at_every_request() {
    let api = Api::new(FILE);
    let mut passed: Vec<Duration> = Vec::new();
    // Steps without a pattern, from 0 to 16 s.
    let mut random = 12_345_u64;
    for _ in 0..2000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        api.advance(Duration::from_nanos((random >> 30) * (random >> 61) / 7));
        passed.retain(|at| *at + MINUTE > api.now());
        let reply = scan(&api);
        assert_eq!(reply.allowed, passed.len() < 10);
        if reply.allowed {
            passed.push(api.now());
        }
        assert_eq!(reply.number("x-ratelimit-remaining"), 10 - passed.len() as u64);
        let leaves = api.wall()
            + u64::try_from((passed[0] + MINUTE).saturating_sub(api.now()).as_nanos()).unwrap();
        assert_eq!(reply.number("x-ratelimit-reset"), leaves.div_ceil(NANOSECONDS));
    }
}

#[test]
fn reset_is_the_second_at_which_the_oldest_request_leaves() {
    let api = Api::starting(FILE, 1_705_315_740);
    assert_eq!(scan(&api).number("x-ratelimit-reset"), 1_705_315_800);
    api.advance(Duration::from_secs(18));
    for _ in 0..9 {
        assert_eq!(scan(&api).number("x-ratelimit-reset"), 1_705_315_800);
    }
    // Full until then, and not longer.
    let denial = scan(&api);
    assert_eq!(denial.number("x-ratelimit-reset"), 1_705_315_800);
    assert_eq!(denial.number("retry-after"), 42);
    api.advance(Duration::from_secs(42));
    assert_eq!(api.wall() / NANOSECONDS, 1_705_315_800);
    // One has left and this one came; the next leave 18 s later.
    assert_eq!(scan(&api).number("x-ratelimit-reset"), 1_705_315_818);
}

#[test]
fn reset_and_retry_after_agree_within_the_rounding() {
    for fraction in [0, 1, 250_000_000, 500_000_000, 999_999_999] {
        let api = Api::new(FILE);
        api.advance(Duration::from_nanos(fraction));
        for _ in 0..10 {
            assert!(scan(&api).allowed);
        }
        for step in [1, 333_333_333, 7_000_000_000, 20_666_666_666] {
            api.advance(Duration::from_nanos(step));
            let denial = scan(&api);
            let (reset, wait) = (denial.number("x-ratelimit-reset"), denial.number("retry-after"));
            // At a whole second they are the same; between two, one of them.
            let (floor, ceil) = (api.wall() / NANOSECONDS, api.wall().div_ceil(NANOSECONDS));
            assert!((floor..=ceil).contains(&(reset - wait)), "{reset} {wait} at {floor}");
        }
    }
}

#[test]
fn a_step_of_the_wall_clock_moves_the_reset_and_nothing_else() {
    let api = Api::new(FILE);
    exceed(|| scan(&api));
    for step in [3600, -7200] {
        api.step_wall(step);
        let denial = scan(&api);
        assert_eq!(denial.retry_after, Some(MINUTE));
        assert_eq!(denial.number("x-ratelimit-reset"), api.wall() / NANOSECONDS + 60);
    }
}

#[test]
fn a_denial_is_429_and_tells_when_to_retry() {
    for operation in OPERATIONS {
        let api = Api::new(FILE);
        let denial = exceed(|| send(&api, "acme", operation));
        assert_eq!((denial.status, denial.outcome), (429, Outcome::Later));
        assert_eq!(denial.number("x-ratelimit-limit"), operation.3);
        assert_eq!(denial.number("x-ratelimit-remaining"), 0);
        assert_wait_told(&denial);
    }
}

#[test]
fn the_body_of_a_denial_has_four_members_and_its_numbers_are_numbers() {
    let api = Api::new(FILE);
    for _ in 0..10 {
        scan(&api);
    }
    api.advance(Duration::from_millis(17_500));
    let denial = scan(&api);
    assert_eq!(denial.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&denial.body).unwrap();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members.len(), 4, "{members:?}");
    assert_eq!(body["error"], "rate_limit_exceeded");
    assert_eq!(body["message"], "Rate limit exceeded. Try again in 43 seconds.");
    assert_eq!(body["limit"].as_u64(), Some(10));
    assert_eq!(body["retry_after"].as_u64(), Some(43));
    assert_eq!(denial.number("retry-after"), 43);
}

#[test]
fn whoever_waits_as_told_passes() {
    for operation in OPERATIONS {
        let api = Api::new(FILE);
        for _ in 0..5 {
            let denial = exceed(|| send(&api, "acme", operation));
            api.advance(Duration::from_secs(denial.number("retry-after")));
            assert!(send(&api, "acme", operation).allowed);
        }
    }
}

#[test]
fn all_keys_of_an_organisation_share_its_pool() {
    let api = Api::new(FILE);
    // The policy knows no attribute of a key: whichever the request came with,
    // its organisation is what counts, on whatever host.
    let mut i = 0;
    saturate(&api, "create-scan", 10, MINUTE, || {
        i += 1;
        api.request("POST", "/v1/scans").host(&format!("h{i}")).attr("org", "acme").send()
    });
}

#[test]
fn a_request_without_an_organisation_is_denied_and_spends_nobodys() {
    let api = Api::new(FILE);
    for _ in 0..20 {
        let reply = api.request("POST", "/v1/scans").send();
        assert_eq!(reply.outcome, Outcome::Never);
        assert_eq!(reply.header("retry-after"), None);
        // Nothing is said of a time to wait, which nobody knows.
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body["error"], "forbidden");
        assert!(!reply.body.contains("unknown") && body.get("retry_after").is_none());
    }
    // An empty name is no name.
    assert_eq!(send(&api, "", OPERATIONS[0]).outcome, Outcome::Never);
    assert_eq!(scan(&api).remaining("create-scan"), 9);
}

#[test]
fn single_organisations_have_more() {
    let api = Api::new(FILE);
    saturate(&api, "create-scan", 100, MINUTE, || send(&api, "initech", OPERATIONS[0]));
    saturate(&api, "read-scan", 600, MINUTE, || send(&api, "initech", OPERATIONS[1]));
    // In nothing else, and nobody else.
    let reply = send(&api, "initech", OPERATIONS[2]);
    assert_eq!(reply.number("x-ratelimit-limit"), 20);
    assert_eq!(scan(&api).number("x-ratelimit-limit"), 10);
}

#[test]
fn an_organisation_with_the_name_of_another_and_more_is_another() {
    let api = Api::new(FILE);
    exceed(|| scan(&api));
    for org in ["acme ", "Acme", "acme\0", "acme/", "\u{fe}acme"] {
        assert!(send(&api, org, OPERATIONS[0]).allowed, "{org:?}");
    }
}

#[test]
fn polling_with_a_pause_never_sees_a_denial() {
    let api = Api::new(FILE);
    for _ in 0..300 {
        let reply = send(&api, "acme", OPERATIONS[1]);
        assert!(reply.allowed);
        if reply.number("x-ratelimit-remaining") * 10 < reply.number("x-ratelimit-limit") {
            api.advance(Duration::from_secs(10));
        }
        api.advance(Duration::from_millis(500));
    }
}

#[test]
fn no_other_way_to_write_a_path_leads_around_its_limit() {
    for path in [
        "/v1/scans/",
        "//v1/scans",
        "/v1/./scans",
        "/v1/x/../scans",
        "/v1/%73cans",
        "/v1%2Fscans",
        "/v1/scans?x=1",
        "/v1/scans#x",
        "https://api.example.net/v1/scans",
    ] {
        let api = Api::new(FILE);
        exceed(|| scan(&api));
        let around = api.request("POST", path).attr("org", "acme").send();
        assert_eq!(around.violated(), ["create-scan"], "{path}");
    }
    // Decoded once: this is another path, and that has a limit as well.
    let api = Api::new(FILE);
    let reply = api.request("POST", "/v1/%2573cans").attr("org", "acme").send();
    assert_eq!(reply.asked(), ["other"]);
}
