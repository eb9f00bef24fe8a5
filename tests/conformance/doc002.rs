//! Document 002, document rewriting: three limits, and nothing for whoever hammers.

use crate::support::{
    Api, HOUR, MINUTE, Outcome, Reply, assert_wait_told, just_under, saturate_politely,
};
use std::time::Duration;

const FILE: &str = "002-document-rewriting.toml";
const SECOND: Duration = Duration::from_secs(1);
const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";
const AUTH: [&str; 3] = ["/auth/login", "/auth/register", "/auth/refresh"];

fn auth(api: &Api, path: &str, ip: &str) -> Reply {
    api.request("POST", path).attr("ip", ip).send()
}

fn upload(api: &Api, user: &str, ip: &str) -> Reply {
    api.request("POST", "/api/v1/documents/upload").attr("user", user).attr("ip", ip).send()
}

fn read(api: &Api, path: &str, ip: &str) -> Reply {
    api.request("GET", path).attr("ip", ip).send()
}

/// Sends until one is denied, and gives that one.
fn exceed(mut send: impl FnMut() -> Reply) -> Reply {
    loop {
        let reply = send();
        if !reply.allowed {
            return reply;
        }
    }
}

/// One denial by each limit of the file.
fn denials() -> [(Api, Reply); 4] {
    let denial = |send: fn(&Api) -> Reply| {
        let api = Api::new(FILE);
        let reply = exceed(|| send(&api));
        (api, reply)
    };
    [
        denial(|api| auth(api, "/auth/login", HERE)),
        denial(|api| upload(api, "ann", HERE)),
        denial(|api| api.request("POST", "/api/v1/documents/upload").attr("ip", HERE).send()),
        denial(|api| read(api, "/", HERE)),
    ]
}

#[test]
fn a_quiet_client_is_never_denied_and_a_loop_soon_is() {
    let api = Api::new(FILE);
    // One request a second and an upload every three minutes, for two hours.
    for second in 0..7200 {
        assert!(read(&api, "/docs", HERE).allowed);
        if second % 180 == 0 {
            assert!(upload(&api, "ann", HERE).allowed);
        }
        api.advance(SECOND);
    }
    let mut passed = 0;
    while read(&api, "/docs", THERE).allowed {
        passed += 1;
    }
    assert_eq!(passed, 60);
}

#[test]
fn three_limits_with_three_scopes_cover_everything() {
    let api = Api::new(FILE);
    let names = ["auth", "uploads", "uploads-without-user", "reads"];
    assert_eq!(api.limit_names(), names);
    assert_eq!(auth(&api, "/auth/login", HERE).asked(), ["auth"]);
    assert_eq!(upload(&api, "ann", HERE).asked(), ["uploads"]);
    let nobody = api.request("POST", "/api/v1/documents/upload").attr("ip", HERE).send();
    assert_eq!(nobody.asked(), ["uploads-without-user"]);
    for (method, path) in [("GET", "/"), ("DELETE", "/api/v1/documents/7"), ("PURGE", "/x/y")] {
        assert_eq!(api.request(method, path).attr("ip", HERE).send().asked(), ["reads"]);
        // Who is logged in is still an address here.
        let user = api.request(method, path).attr("ip", HERE).attr("user", "ann").send();
        assert_eq!(user.asked(), ["reads"]);
    }
}

#[test]
fn the_limits_hold_on_whatever_host_the_request_names() {
    let api = Api::new(FILE);
    for i in 0..=10 {
        let host = format!("h{i}.example.net");
        let reply = api.request("POST", "/auth/login").host(&host).attr("ip", HERE).send();
        assert_eq!(reply.allowed, i < 10);
    }
}

#[test]
fn the_three_auth_calls_share_ten_a_minute_of_an_address() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate_politely(&api, "auth", 10, MINUTE, || {
        i += 1;
        auth(&api, AUTH[i % 3], HERE)
    });
    exceed(|| auth(&api, "/auth/login", HERE));
    for path in AUTH {
        assert!(!auth(&api, path, HERE).allowed);
        assert!(auth(&api, path, THERE).allowed);
    }
}

#[test]
fn uploads_are_twenty_an_hour_of_a_user() {
    let api = Api::new(FILE);
    saturate_politely(&api, "uploads", 20, HOUR, || upload(&api, "ann", HERE));
}

#[test]
fn everything_else_is_sixty_a_minute_of_an_address() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate_politely(&api, "reads", 60, MINUTE, || {
        i += 1;
        read(&api, &format!("/documents/{i}"), HERE)
    });
}

#[test]
fn a_new_address_gives_a_user_no_more_uploads() {
    let api = Api::new(FILE);
    for i in 0..20 {
        assert!(upload(&api, "ann", &format!("192.0.2.{i}")).allowed);
    }
    assert!(!upload(&api, "ann", "192.0.2.99").allowed);
}

#[test]
fn a_dozen_users_behind_one_address_do_not_starve_each_other() {
    let api = Api::new(FILE);
    for user in 0..12 {
        let user = format!("user{user}");
        let mut passed = 0;
        while upload(&api, &user, HERE).allowed {
            passed += 1;
        }
        assert_eq!(passed, 20);
    }
}

#[test]
fn without_a_user_uploads_are_counted_by_address() {
    let api = Api::new(FILE);
    let send = |ip| api.request("POST", "/api/v1/documents/upload").attr("ip", ip).send();
    saturate_politely(&api, "uploads-without-user", 20, HOUR, || send(HERE));
    exceed(|| send(HERE));
    assert!(send(THERE).allowed);
    // Users of that address have their own.
    assert_eq!(upload(&api, "ann", HERE).remaining("uploads"), 19);
}

#[test]
fn a_user_named_like_an_address_shares_nothing_with_it() {
    let api = Api::new(FILE);
    exceed(|| upload(&api, HERE, THERE));
    let nobody = api.request("POST", "/api/v1/documents/upload").attr("ip", HERE).send();
    assert!(nobody.allowed);
}

#[test]
fn an_upload_is_limited_by_nothing_else() {
    let api = Api::new(FILE);
    exceed(|| read(&api, "/", HERE));
    assert_eq!(upload(&api, "ann", HERE).asked(), ["uploads"]);
    // And an auth call not by the reads.
    assert!(auth(&api, "/auth/login", HERE).allowed);
}

#[test]
fn every_denial_is_429_with_whole_seconds_and_the_body() {
    for (_, reply) in denials() {
        assert_eq!(reply.status, 429);
        assert_wait_told(&reply);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body, serde_json::json!({ "detail": "Rate limit exceeded" }));
    }
}

#[test]
fn a_part_of_a_second_is_told_as_a_whole_one() {
    let api = Api::new(FILE);
    exceed(|| auth(&api, "/auth/login", HERE));
    api.advance(Duration::from_millis(100));
    let reply = auth(&api, "/auth/login", HERE);
    // Emptied again just now: the whole minute.
    assert_eq!(reply.header("retry-after"), Some("60"));
}

#[test]
fn an_answer_that_is_no_denial_has_none_of_that() {
    let api = Api::new(FILE);
    let reply = read(&api, "/", HERE);
    assert_eq!(reply.header("retry-after"), None);
    assert_eq!(reply.header("x-ratelimit-limit"), None);
    assert_eq!(reply.body, "");
}

#[test]
fn who_waits_retry_after_passes_and_a_nanosecond_less_is_not_enough() {
    for (_, reply) in denials() {
        let wait = reply.retry_after.unwrap();
        let (name, period) = (reply.violated()[0], if wait > MINUTE { HOUR } else { MINUTE });
        assert_eq!(wait, period, "{name}");
    }
    let api = Api::new(FILE);
    let wait = exceed(|| auth(&api, "/auth/login", HERE)).retry_after.unwrap();
    api.advance(just_under(wait));
    assert!(!auth(&api, "/auth/login", HERE).allowed);
    // That denial empties once more, and is to be waited out in turn.
    api.advance(wait);
    assert!(auth(&api, "/auth/login", HERE).allowed);
}

#[test]
fn hammering_keeps_the_bucket_at_zero_and_never_below() {
    let api = Api::new(FILE);
    // Ten, a second apart; then one a second for ten minutes.
    for i in 0..600 {
        let reply = auth(&api, "/auth/login", HERE);
        assert_eq!(reply.allowed, i < 10, "after {i} seconds");
        if !reply.allowed {
            assert_eq!(reply.remaining("auth"), 0);
            // Nothing is owed for the denials before: one minute, always.
            assert_eq!(reply.retry_after, Some(MINUTE));
        }
        api.advance(SECOND);
    }
    api.advance(MINUTE.saturating_sub(SECOND));
    for _ in 0..10 {
        assert!(auth(&api, "/auth/login", HERE).allowed);
    }
}

#[test]
fn a_denial_empties_the_bucket_of_every_limit() {
    type Send = fn(&Api) -> Reply;
    let sends: [(Send, u64, Duration); 4] = [
        (|api| auth(api, "/auth/login", HERE), 10, MINUTE),
        (|api| upload(api, "ann", HERE), 20, HOUR),
        (|api| api.request("POST", "/api/v1/documents/upload").attr("ip", HERE).send(), 20, HOUR),
        (|api| read(api, "/", HERE), 60, MINUTE),
    ];
    for (send, n, period) in sends {
        let api = Api::new(FILE);
        // Spread over half the period: the first leaves soon, but for the denial.
        for _ in 0..n {
            assert!(send(&api).allowed);
            api.advance(period / 2 / u32::try_from(n).unwrap());
        }
        assert_eq!(send(&api).retry_after, Some(period));
        api.advance(just_under(period));
        assert_eq!(send(&api).retry_after, Some(period));
    }
}

#[test]
fn a_denial_empties_only_the_bucket_that_was_exceeded() {
    let api = Api::new(FILE);
    for _ in 0..5 {
        assert!(auth(&api, "/auth/login", THERE).allowed);
        assert!(read(&api, "/", HERE).allowed);
        assert!(upload(&api, "ann", HERE).allowed);
    }
    exceed(|| auth(&api, "/auth/login", HERE));
    assert_eq!(auth(&api, "/auth/login", THERE).remaining("auth"), 4);
    assert_eq!(read(&api, "/", HERE).remaining("reads"), 54);
    assert_eq!(upload(&api, "ann", HERE).remaining("uploads"), 14);
}

#[test]
fn a_loop_every_50_ms_gets_nothing_until_it_pauses() {
    let api = Api::new(FILE);
    let mut passed = 0;
    // Five minutes: without that rule 300 would pass.
    for _ in 0..6000 {
        passed += usize::from(read(&api, "/documents", HERE).allowed);
        api.advance(Duration::from_millis(50));
    }
    assert_eq!(passed, 60);
    let last = read(&api, "/documents", HERE);
    assert_eq!(last.outcome, Outcome::Later);
    api.advance(last.retry_after.unwrap());
    assert!(read(&api, "/documents", HERE).allowed);
}

#[test]
fn try_sleep_as_told_and_try_again_always_works() {
    let api = Api::new(FILE);
    for _ in 0..200 {
        let reply = auth(&api, "/auth/login", HERE);
        if !reply.allowed {
            api.advance(Duration::from_secs(reply.number("retry-after")));
            assert!(auth(&api, "/auth/login", HERE).allowed);
        }
    }
}

#[test]
fn the_other_ways_to_write_a_path_lead_around_nothing() {
    for path in [
        "/auth/login/",
        "/auth//login",
        "/auth/./login",
        "/x/../auth/login",
        "/auth/%6Cogin",
        "/auth/login?next=%2F",
        "/auth%2Flogin",
    ] {
        let api = Api::new(FILE);
        exceed(|| auth(&api, "/auth/login", HERE));
        assert_eq!(auth(&api, path, HERE).violated(), ["auth"], "{path}");
        assert_eq!(read(&api, path, HERE).violated(), ["auth"], "GET {path}");
    }
    let api = Api::new(FILE);
    exceed(|| upload(&api, "ann", HERE));
    let around = api.request("POST", "/api//v1/documents/upload/#x").attr("user", "ann");
    assert_eq!(around.attr("ip", HERE).send().violated(), ["uploads"]);
}

#[test]
fn one_client_of_ipv6_does_not_have_as_many_buckets_as_addresses() {
    let api = Api::new(FILE);
    for i in 0..60 {
        assert!(read(&api, "/", &format!("2001:db8::{i:x}")).allowed);
    }
    assert!(!read(&api, "/", "2001:db8::ffff:1").allowed);
    assert!(read(&api, "/", "2001:db8:0:1::1").allowed);
    // An IPv4 address is one client however it is written.
    exceed(|| read(&api, "/", HERE));
    assert!(!read(&api, "/", "::ffff:192.0.2.1").allowed);
}
