//! Document 000, document scanning: one default, three limits of their own, a ladder.

use crate::support::{
    Api, DAY, HOUR, MINUTE, Outcome, Reply, assert_wait_told, just_under, saturate,
    saturate_politely,
};
use std::time::Duration;

const FILE: &str = "000-document-scanning.toml";
const ID: &str = "id.copyleaks.com";
const API: &str = "api.copyleaks.com";
const SECOND: Duration = Duration::from_secs(1);
const QUARTER: Duration = Duration::from_secs(900);

fn send(api: &Api, host: &str, path: &str) -> Reply {
    api.request("POST", path).host(host).attr("account", "acme").attr("ip", "192.0.2.1").send()
}

fn login(api: &Api) -> Reply {
    send(api, ID, "/v3/account/login/api")
}

fn export(api: &Api, scan: &str) -> Reply {
    send(api, API, &format!("/v3/downloads/{scan}/export/e1"))
}

fn image(api: &Api, scan: &str) -> Reply {
    send(api, API, &format!("/v1/ai-image-detector/{scan}/check"))
}

fn other(api: &Api) -> Reply {
    send(api, API, "/v3/scans/submit/file/s1")
}

/// As many requests as it takes until one is denied.
fn until_denied(mut send: impl FnMut() -> Reply) -> (usize, Reply) {
    for passed in 0.. {
        let reply = send();
        if !reply.allowed {
            return (passed, reply);
        }
    }
    unreachable!()
}

#[test]
fn the_page_names_four_limits_and_each_is_in_the_file() {
    let api = Api::new(FILE);
    assert_eq!(api.limit_names(), ["default", "login", "export", "image-check", "no-account"]);
}

#[test]
fn each_limit_is_a_count_and_a_period() {
    for (send, n, period) in [
        (login as fn(&Api) -> Reply, 12, QUARTER),
        (|api| export(api, "s1"), 10, MINUTE),
        (|api| image(api, "s1"), 900, QUARTER),
        (other, 10, SECOND),
    ] {
        let api = Api::new(FILE);
        let (passed, reply) = until_denied(|| send(&api));
        assert_eq!((passed, reply.retry_after), (n, Some(period)));
        assert_eq!(reply.limits[0].limit, n as u64);
    }
}

#[test]
fn whoever_exceeds_a_limit_is_answered_429() {
    for send in [login as fn(&Api) -> Reply, |api| export(api, "s1"), |api| image(api, "s1"), other]
    {
        let api = Api::new(FILE);
        let (_, reply) = until_denied(|| send(&api));
        assert_eq!(reply.status, 429);
        assert_wait_told(&reply);
        assert_eq!(reply.header("x-ratelimit-limit"), None);
    }
}

#[test]
fn every_limit_is_an_accounts() {
    let api = Api::new(FILE);
    for (host, path) in [
        (ID, "/v3/account/login/api"),
        (API, "/v3/downloads/s/export/e"),
        (API, "/v1/ai-image-detector/s/check"),
        (API, "/v3/x"),
    ] {
        let theirs = || api.request("POST", path).host(host).attr("account", "globex").send();
        until_denied(|| send(&api, host, path));
        assert!(theirs().allowed, "{path}");
    }
}

#[test]
fn the_default_is_ten_a_second_for_an_account() {
    let api = Api::without(FILE, "penalty");
    assert_eq!(saturate(&api, "default", 10, SECOND, || other(&api)), 270);
    // Another account is not concerned.
    let theirs = || api.request("POST", "/v3/x").host(API).attr("account", "globex").send();
    until_denied(|| other(&api));
    assert!(theirs().allowed);
}

#[test]
fn the_default_is_one_pool_over_all_calls_and_hosts() {
    let api = Api::without(FILE, "penalty");
    let mut i = 0;
    saturate(&api, "default", 10, SECOND, || {
        i += 1;
        let host = [API, ID, "status.example.net"][i % 3];
        send(&api, host, &format!("/v3/call/{i}"))
    });
}

#[test]
fn the_default_holds_as_it_stands_for_whoever_waits_as_told() {
    let api = Api::new(FILE);
    saturate_politely(&api, "default", 10, SECOND, || other(&api));
}

#[test]
fn a_listed_call_has_its_own_limit_and_spends_nothing_of_the_default() {
    let api = Api::new(FILE);
    for _ in 0..10 {
        assert!(export(&api, "s1").allowed);
        assert!(login(&api).allowed);
        assert!(image(&api, "s1").allowed);
    }
    // All at the same moment: the default is untouched.
    for left in (0..10).rev() {
        assert_eq!(other(&api).remaining("default"), left);
    }
    // And neither does an empty default stop them.
    assert!(!other(&api).allowed);
    assert_eq!(image(&api, "s1").asked(), ["image-check"]);
    assert!(image(&api, "s1").allowed);
}

#[test]
fn the_listed_limits_are_stricter_in_the_long_run() {
    // Units in a quarter of an hour: the default lets 9000 pass.
    let quarter = |send: fn(&Api) -> Reply, every: Duration| {
        let api = Api::without(FILE, "penalty");
        let mut passed = 0;
        while api.now() < QUARTER {
            passed += usize::from(send(&api).allowed);
            api.advance(every);
        }
        passed
    };
    let tenth = Duration::from_millis(100);
    assert_eq!(quarter(other, tenth), 9000);
    assert_eq!(quarter(|api| image(api, "s1"), tenth), 900);
    assert_eq!(quarter(|api| export(api, "s1"), tenth), 150);
    assert_eq!(quarter(login, tenth), 12);
}

#[test]
fn whatever_is_not_listed_has_the_default() {
    let api = Api::new(FILE);
    for (host, path) in [
        (API, "/"),
        (API, "/v3/downloads/s1"),
        (API, "/v3/downloads/s1/export"),
        (API, "/v3/downloads/s1/export/e1/more"),
        (API, "/v1/ai-image-detector/s1"),
        (API, "/v1/ai-image-detector/s1/check/more"),
        // Listed, but on the other host.
        (API, "/v3/account/login/api"),
        (ID, "/v1/ai-image-detector/s1/check"),
    ] {
        assert_eq!(send(&api, host, path).asked(), ["default"], "{host}{path}");
    }
}

#[test]
fn the_login_is_twelve_in_a_quarter_of_an_hour() {
    let api = Api::without(FILE, "penalty");
    assert_eq!(saturate(&api, "login", 12, QUARTER, || login(&api)), 324);
}

#[test]
fn the_export_is_ten_a_minute_whatever_the_scan() {
    let api = Api::without(FILE, "penalty");
    let mut i = 0;
    saturate(&api, "export", 10, MINUTE, || {
        i += 1;
        send(&api, API, &format!("/v3/downloads/s{i}/export/e{}", i / 2))
    });
}

#[test]
fn the_image_check_is_900_in_a_quarter_of_an_hour_whatever_the_scan() {
    let api = Api::without(FILE, "penalty");
    let mut i = 0;
    saturate(&api, "image-check", 900, QUARTER, || {
        i += 1;
        image(&api, &format!("s{i}"))
    });
}

#[test]
fn a_new_export_for_each_call_of_one_scan_is_no_way_around() {
    let api = Api::new(FILE);
    for i in 0..10 {
        assert!(send(&api, API, &format!("/v3/downloads/s1/export/e{i}")).allowed);
    }
    assert!(!send(&api, API, "/v3/downloads/s1/export/e10").allowed);
}

#[test]
fn at_once_again_is_denied_and_does_not_shorten_the_wait() {
    let api = Api::new(FILE);
    let (_, first) = until_denied(|| export(&api, "s1"));
    assert_eq!(first.retry_after, Some(MINUTE));
    for second in 1..60 {
        api.at(Duration::from_secs(second));
        let again = export(&api, "s1");
        assert_eq!(again.retry_after, Some(MINUTE.saturating_sub(api.now())));
    }
    api.at(MINUTE);
    assert!(export(&api, "s1").allowed);
}

/// One more burst of denials: how many were 429 before the block, and the block.
fn provoke(api: &Api) -> (usize, Reply) {
    let mut denied = 0;
    loop {
        let reply = other(api);
        match reply.outcome {
            Outcome::Allowed => {}
            Outcome::Later => denied += 1,
            _ => return (denied, reply),
        }
    }
}

#[test]
fn whoever_keeps_on_is_blocked_for_longer_and_longer_and_then_for_good() {
    let api = Api::new(FILE);
    for block in [10 * MINUTE, HOUR] {
        let (denied, reply) = provoke(&api);
        assert_eq!(denied, 100);
        assert_eq!((reply.outcome, reply.status), (Outcome::Blocked, 403));
        assert_eq!(reply.binding.as_deref(), Some("ladder"));
        assert_eq!(reply.retry_after, Some(block));
        assert_wait_told(&reply);
        // It covers every call, and what is sent meanwhile makes it no longer.
        for _ in 0..200 {
            assert_eq!(login(&api).outcome, Outcome::Blocked);
        }
        api.advance(just_under(block));
        assert_eq!(other(&api).outcome, Outcome::Blocked);
        api.advance(Duration::from_nanos(1));
        assert!(other(&api).allowed);
    }
    let (denied, reply) = provoke(&api);
    assert_eq!(denied, 100);
    assert_eq!((reply.retry_after, reply.header("retry-after")), (None, None));
    api.advance(400 * DAY);
    assert_eq!(other(&api).outcome, Outcome::Blocked);
    // Until somebody lifts it.
    assert!(api.unblock("ladder", "account", "acme"));
    assert!(other(&api).allowed);
}

#[test]
fn a_block_hits_nobody_else() {
    let api = Api::new(FILE);
    provoke(&api);
    let theirs = api.request("POST", "/v3/x").host(API).attr("account", "globex").send();
    assert!(theirs.allowed);
}

#[test]
fn a_few_denials_now_and_then_block_nobody() {
    let api = Api::new(FILE);
    for _ in 0..50 {
        // 99 denials in ten minutes, and then ten minutes' rest.
        for _ in 0..109 {
            assert_ne!(other(&api).outcome, Outcome::Blocked);
        }
        api.advance(10 * MINUTE);
    }
}

#[test]
fn a_day_after_a_block_the_ladder_starts_over() {
    let api = Api::new(FILE);
    for _ in 0..3 {
        let (_, reply) = provoke(&api);
        assert_eq!(reply.retry_after, Some(10 * MINUTE));
        api.advance(10 * MINUTE + DAY);
    }
}

#[test]
fn after_an_interval_that_doubles_the_request_passes() {
    let api = Api::new(FILE);
    let (_, reply) = until_denied(|| export(&api, "s1"));
    assert_eq!(reply.status, 429);
    let (mut wait, mut tries) = (SECOND, 0);
    loop {
        api.advance(wait);
        tries += 1;
        if export(&api, "s1").allowed {
            break;
        }
        wait *= 2;
    }
    // 1 + 2 + 4 + 8 + 16 seconds are not enough, 32 more are.
    assert_eq!(tries, 6);
}

#[test]
fn a_login_before_every_call_soon_stops() {
    let api = Api::new(FILE);
    let mut calls = 0;
    while login(&api).allowed {
        assert!(other(&api).allowed);
        api.advance(SECOND);
        calls += 1;
    }
    assert_eq!(calls, 12);
}

#[test]
fn a_login_every_two_days_is_never_denied() {
    let api = Api::new(FILE);
    for _ in 0..50 {
        assert!(login(&api).allowed);
        api.advance(48 * HOUR);
    }
}

#[test]
fn one_export_for_each_finished_scan_passes() {
    let api = Api::new(FILE);
    for scan in 0..100 {
        assert!(export(&api, &format!("s{scan}")).allowed);
        api.advance(6 * SECOND);
    }
}

#[test]
fn without_an_account_the_address_counts_on_every_call() {
    let api = Api::new(FILE);
    let send = |host, path, ip| api.request("POST", path).host(host).attr("ip", ip).send();
    let calls = [
        (ID, "/v3/account/login/api"),
        (API, "/v3/x"),
        (API, "/v3/downloads/s/export/e"),
        (API, "/v1/ai-image-detector/s/check"),
    ];
    for i in 0..12 {
        let (host, path) = calls[i % 4];
        let reply = send(host, path, "192.0.2.1");
        assert!(reply.allowed);
        assert_eq!(reply.asked(), ["no-account"]);
    }
    for (host, path) in calls {
        assert!(!send(host, path, "192.0.2.1").allowed);
        assert!(send(host, path, "192.0.2.2").allowed);
    }
    // A network of IPv6 is one address.
    while send(API, "/v3/x", "2001:db8::1").allowed {}
    assert!(!send(API, "/v3/x", "2001:db8::2").allowed);
    // It spends nothing of any account.
    assert_eq!(login(&api).remaining("login"), 11);
}

#[test]
fn without_an_account_the_address_has_twelve_in_a_quarter_of_an_hour() {
    let api = Api::new(FILE);
    saturate(&api, "no-account", 12, QUARTER, || {
        api.request("POST", "/v3/x").host(API).attr("ip", "2001:db8::1").send()
    });
}

#[test]
fn no_other_way_to_write_a_listed_call_leads_around_its_limit() {
    for (host, path) in [
        (ID, "/V3/Account/LOGIN/api"),
        (ID, "/v3/account/login/api/"),
        (ID, "//v3//account/login/api"),
        (ID, "/v3/account/./login/api"),
        (ID, "/v3/x/../account/login/api"),
        (ID, "/v3/account/login/%61pi"),
        (ID, "/v3/account/login%2Fapi"),
        (ID, "/v3/account/login/api?again=1"),
        ("ID.COPYLEAKS.COM", "/v3/account/login/api"),
        ("id.copyleaks.com:443", "/v3/account/login/api"),
    ] {
        let api = Api::new(FILE);
        for _ in 0..12 {
            assert!(login(&api).allowed);
        }
        let reply = send(&api, host, path);
        assert_eq!(reply.violated(), ["login"], "{host}{path}");
    }
    for path in ["/v1/ai-image-detector/a%2e/check", "/v1/./ai-image-detector/b/check/"] {
        let api = Api::new(FILE);
        assert_eq!(send(&api, API, path).asked(), ["image-check"], "{path}");
    }
}
