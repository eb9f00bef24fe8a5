//! Document 001, a file library: tiers, sessions, sensitive calls, bulk, uploads, months.

use crate::support::{
    Api, BEGIN, DAY, HOUR, MINUTE, Outcome, Reply, Request, assert_wait_told, just_under, saturate,
};
use std::time::Duration;

const FILE: &str = "001-file-library.toml";
const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";
const MB: u64 = 1_000_000;

/// Each tier's row: requests a minute, uploads at a time, files in a batch,
/// descriptions and messages a month. CUSTOM is unlimited.
const TIERS: [(&str, u64, u64, u64, u64, u64); 4] = [
    ("FREE", 10, 10, 10, 10, 10),
    ("STARTER", 30, 20, 50, 500, 200),
    ("PROFESSIONAL", 100, 30, 100, 2500, 2000),
    ("ENTERPRISE", 500, 50, 200, 10_000, 500_000),
];

/// The seventeen rows: method, path, a minute.
const SENSITIVE: [(&str, &str, u64); 17] = [
    ("POST", "/auth/session/login", 5),
    ("POST", "/auth/session/register", 10),
    ("POST", "/auth/session/google", 10),
    ("POST", "/auth/session/resend-verification", 5),
    ("POST", "/auth/session/resend-verification-by-email", 5),
    ("POST", "/auth/session/password-reset/request", 3),
    ("POST", "/auth/session/password-reset/validate", 10),
    ("POST", "/auth/session/password-reset/complete", 5),
    ("POST", "/auth/session/verify-email", 5),
    ("POST", "/auth/session/link-provider", 5),
    ("POST", "/auth/session/unlink-provider", 3),
    ("POST", "/auth/session/rotate-session", 10),
    ("POST", "/cloud-storage/auth/google_drive", 10),
    ("GET", "/cloud-storage/auth/google_drive/callback", 10),
    ("POST", "/cloud-storage/import", 30),
    ("POST", "/cloud-storage/export", 30),
    ("POST", "/support/contact", 3),
];

/// Calls of the bulk family.
const BULK: [(&str, &str); 7] = [
    ("POST", "/files/upload"),
    ("POST", "/files/upload/batch"),
    ("POST", "/files/uploads"),
    ("GET", "/files/uploads/u1"),
    ("PUT", "/files/uploads/u1/parts/3"),
    ("POST", "/files/uploads/u2/complete"),
    ("DELETE", "/files/uploads/u2"),
];

/// How a request comes: by key, by session, or by nothing that is valid.
#[derive(Clone, Copy)]
enum By<'a> {
    Key(&'a str, &'a str),
    Session(&'a str, &'a str),
    Invalid,
    Nothing,
}
use By::{Invalid, Key, Nothing, Session};

fn call<'a>(api: &'a Api, by: By<'_>, method: &str, path: &str) -> Request<'a> {
    // A batch says how many files and bytes it has.
    let request = api.request(method, path).attr("ip", HERE).cost("files", 1).cost("bytes", 1000);
    let (auth, customer, tier) = match by {
        Key(customer, tier) => ("key", customer, tier),
        Session(customer, tier) => ("session", customer, tier),
        Invalid => return request.attr("auth", "invalid"),
        Nothing => return request,
    };
    request.attr("auth", auth).attr("customer", customer).attr("tier", tier)
}

fn search(api: &Api, by: By<'_>) -> Reply {
    call(api, by, "GET", "/search?q=cats").send()
}

fn batch<'a>(api: &'a Api, tier: &str) -> Request<'a> {
    let by = if tier == "FREE" { Session("ann", tier) } else { Key("ann", tier) };
    call(api, by, "POST", "/files/upload/batch")
}

fn upload(api: &Api, by: By<'_>) -> Reply {
    call(api, by, "POST", "/files/upload").send()
}

fn exceed(mut send: impl FnMut() -> Reply) -> Reply {
    loop {
        let reply = send();
        reply.end();
        if !reply.allowed {
            return reply;
        }
    }
}

// --- Header fields

#[test]
fn every_limited_answer_has_the_three_fields() {
    for (by, limit) in
        [(Key("ann", "STARTER"), 30), (Session("ann", "FREE"), 300), (Nothing, 5), (Invalid, 5)]
    {
        let api = Api::new(FILE);
        for i in 0..2 * limit {
            let reply = search(&api, by);
            assert_eq!(reply.allowed, i < limit);
            for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
                reply.number(name);
            }
        }
    }
}

#[test]
fn limit_is_the_most_requests_in_the_window() {
    let api = Api::new(FILE);
    for (tier, limit, ..) in TIERS.into_iter().skip(1) {
        assert_eq!(search(&api, Key(tier, tier)).number("x-ratelimit-limit"), limit);
    }
    assert_eq!(search(&api, Session("ann", "FREE")).number("x-ratelimit-limit"), 300);
    assert_eq!(search(&api, Nothing).number("x-ratelimit-limit"), 5);
    for (method, path, limit) in SENSITIVE {
        let reply = call(&api, Nothing, method, path).send();
        assert_eq!(reply.number("x-ratelimit-limit"), limit, "{path}");
    }
    // Of requests: an upload's other limits are smaller, and not what is told.
    assert_eq!(upload(&api, Key("ann", "STARTER")).number("x-ratelimit-limit"), 500);
}

#[test]
fn remaining_is_how_many_requests_still_pass() {
    let api = Api::new(FILE);
    for left in (0..30).rev() {
        let reply = search(&api, Key("ann", "STARTER"));
        assert_eq!(reply.number("x-ratelimit-remaining"), left);
    }
    let denial = search(&api, Key("ann", "STARTER"));
    assert_eq!(denial.number("x-ratelimit-remaining"), 0);
}

#[test]
fn reset_is_the_unix_second_at_which_the_limit_is_new() {
    let api = Api::new(FILE);
    for second in [0, 10, 25] {
        api.at(Duration::from_secs(second));
        let reply = search(&api, Key("ann", "STARTER"));
        assert_eq!(reply.number("x-ratelimit-reset"), BEGIN + second + 60);
    }
    api.at(Duration::from_secs(85));
    assert_eq!(search(&api, Key("ann", "STARTER")).remaining("api"), 29);
}

#[test]
fn retry_after_is_on_denials_alone() {
    let api = Api::new(FILE);
    for i in 0..35 {
        let reply = search(&api, Key("ann", "STARTER"));
        assert_eq!(reply.header("retry-after").is_some(), i >= 30);
    }
    api.advance(Duration::from_millis(1500));
    let denial = search(&api, Key("ann", "STARTER"));
    assert_eq!(denial.header("retry-after"), Some("59"));
    api.advance(Duration::from_secs(59));
    assert!(search(&api, Key("ann", "STARTER")).allowed);
}

// --- The table of tiers

#[test]
fn the_columns_are_five_tiers_and_another_tier_is_none() {
    let api = Api::new(FILE);
    for tier in ["STARTER", "PROFESSIONAL", "ENTERPRISE", "CUSTOM"] {
        assert!(search(&api, Key("ann", tier)).allowed, "{tier}");
    }
    assert!(search(&api, Session("ann", "FREE")).allowed);
    for tier in ["starter", "GOLD", ""] {
        assert_eq!(search(&api, Key("ann", tier)).outcome, Outcome::Never, "{tier}");
    }
}

#[test]
fn requests_a_minute_by_tier() {
    for (tier, limit, ..) in TIERS.into_iter().skip(1) {
        let api = Api::new(FILE);
        saturate(&api, "api", limit, MINUTE, || search(&api, Key("ann", tier)));
    }
    // FREE has no keys; this is what its cell would mean if it had.
    let api = Api::without(FILE, "refuse");
    saturate(&api, "api", 10, MINUTE, || search(&api, Key("ann", "FREE")));
    let api = Api::new(FILE);
    for _ in 0..20_000 {
        assert!(search(&api, Key("ann", "CUSTOM")).allowed);
    }
}

#[test]
fn the_keys_of_a_customer_share_and_customers_do_not() {
    let api = Api::new(FILE);
    exceed(|| search(&api, Key("ann", "STARTER")));
    assert!(search(&api, Key("bob", "STARTER")).allowed);
    let elsewhere = call(&api, Key("ann", "STARTER"), "DELETE", "/files/f1").attr("ip", THERE);
    assert!(!elsewhere.send().allowed);
}

#[test]
fn an_unlimited_customer_is_told_no_numbers() {
    let api = Api::new(FILE);
    let reply = search(&api, Key("ann", "CUSTOM"));
    assert_eq!(reply.header("x-ratelimit-limit"), None);
    assert_eq!(reply.header("x-ratelimit-remaining"), None);
}

#[test]
fn concurrent_uploads_by_tier() {
    for (tier, _, uploads, ..) in TIERS {
        let api = Api::new(FILE);
        let by = if tier == "FREE" { Session("ann", tier) } else { Key("ann", tier) };
        for _ in 0..3 {
            let mut going: Vec<Reply> = Vec::new();
            for i in 0..uploads {
                let reply = upload(&api, by);
                assert!(reply.allowed, "{tier}: {i}");
                assert_eq!(reply.remaining("concurrent-uploads"), uploads - 1 - i);
                going.push(reply);
            }
            let denial = upload(&api, by);
            assert_eq!(denial.violated(), ["concurrent-uploads"]);
            // One over, one more; however often it is ended.
            let over = going.pop().unwrap();
            over.end();
            over.end();
            going.push(upload(&api, by));
            assert!(going.last().unwrap().allowed);
            assert!(!upload(&api, by).allowed);
            going.iter().for_each(Reply::end);
            api.advance(MINUTE);
        }
    }
    let api = Api::new(FILE);
    for _ in 0..500 {
        assert!(upload(&api, Key("ann", "CUSTOM")).allowed);
    }
}

#[test]
fn uploads_that_nobody_ended_are_over_after_an_hour_for_three_hours() {
    let api = Api::new(FILE);
    let by = Key("ann", "STARTER");
    for _ in 0..3 {
        for _ in 0..20 {
            assert!(upload(&api, by).allowed);
        }
        let denial = upload(&api, by);
        assert_eq!((denial.outcome, denial.retry_after), (Outcome::Later, Some(HOUR)));
        api.advance(just_under(HOUR));
        assert!(!upload(&api, by).allowed);
        api.advance(Duration::from_nanos(1));
    }
}

#[test]
fn files_in_a_batch_by_tier() {
    for (tier, _, _, files, ..) in TIERS {
        let api = Api::new(FILE);
        // Each batch for itself, three minutes on end.
        for _ in 0..3 {
            let reply = batch(&api, tier).cost("files", files).send();
            assert!(reply.allowed, "{tier}");
            reply.end();
            let denial = batch(&api, tier).cost("files", files + 1).send();
            assert_eq!(denial.violated(), ["batch-files"], "{tier}");
            assert_eq!(denial.outcome, Outcome::Never);
            api.advance(MINUTE);
        }
    }
    let api = Api::new(FILE);
    assert!(batch(&api, "CUSTOM").cost("files", 1_000_000).send().allowed);
}

#[test]
fn the_payload_of_a_batch_is_two_gb_for_all() {
    for tier in ["FREE", "STARTER", "PROFESSIONAL", "ENTERPRISE", "CUSTOM"] {
        let api = Api::new(FILE);
        for _ in 0..3 {
            let reply = batch(&api, tier).cost("bytes", 2000 * MB).send();
            assert!(reply.allowed, "{tier}");
            let denial = batch(&api, tier).cost("bytes", 2000 * MB + 1).send();
            assert_eq!(denial.violated(), ["batch-payload"], "{tier}");
            api.advance(MINUTE);
        }
    }
}

/// Each tier, each call that carries files.
fn sized(cost: &str, most: u64, limit: &str, paths: &[&str]) {
    for tier in ["FREE", "STARTER", "PROFESSIONAL", "ENTERPRISE", "CUSTOM"] {
        for path in paths {
            let api = Api::new(FILE);
            let send = |bytes| {
                let by = Session("ann", tier);
                let reply = call(&api, by, "POST", path).cost(cost, bytes).send();
                reply.end();
                reply
            };
            for _ in 0..3 {
                assert!(send(most).allowed, "{tier} {path}");
                let denial = send(most + 1);
                assert_eq!(denial.violated(), [limit], "{tier} {path}");
                assert_eq!((denial.outcome, denial.status), (Outcome::Never, 429));
                api.advance(MINUTE);
            }
        }
    }
}

#[test]
fn an_image_is_100_mb_at_most_for_all() {
    let paths =
        ["/files/upload", "/files/upload/batch", "/files/uploads", "/files/uploads/u1/parts/1"];
    sized("image_bytes", 100 * MB, "image-size", &paths);
    sized("image_bytes", 100 * MB, "image-size", &["/images/analyze"]);
}

#[test]
fn a_document_is_50_mb_at_most_for_all() {
    let paths =
        ["/files/upload", "/files/upload/batch", "/files/uploads", "/files/uploads/u1/parts/1"];
    sized("document_bytes", 50 * MB, "document-size", &paths);
}

#[test]
fn a_file_is_measured_by_its_kind() {
    let api = Api::new(FILE);
    let send = |cost, bytes| {
        call(&api, Key("ann", "STARTER"), "POST", "/files/upload").cost(cost, bytes).send()
    };
    assert!(send("image_bytes", 60 * MB).allowed);
    assert!(!send("document_bytes", 60 * MB).allowed);
    // Both in one batch, each by its own.
    let both = |image, document| {
        batch(&api, "STARTER").cost("image_bytes", image).cost("document_bytes", document).send()
    };
    assert!(both(100 * MB, 50 * MB).allowed);
    assert_eq!(both(101 * MB, 51 * MB).violated(), ["image-size", "document-size"]);
}

/// 2024-02-27: February has 29 days, March 31, April 30.
const LEAP_YEAR: u64 = 1_708_992_000;

/// A month of a customer who asks as often as a session may, three times.
fn months(api: &Api, path: &str, limit: &str, tier: &str, most: u64) {
    let send = || {
        let reply = call(api, Session("ann", tier), "POST", path).cost("messages", 1000).send();
        reply.end();
        reply
    };
    for (month, ends) in [("March", 3), ("April", 34), ("May", 64)] {
        for i in 0..most {
            let reply = send();
            assert!(reply.allowed, "{tier}: {i} before {month}: {:?}", reply.violated());
            api.advance(Duration::from_millis(200));
        }
        let denial = send();
        assert_eq!((denial.outcome, denial.violated()), (Outcome::Later, vec![limit]));
        assert_wait_told(&denial);
        assert_eq!(api.now() + denial.retry_after.unwrap(), ends * DAY, "before {month}");
        api.at(just_under(ends * DAY));
        assert!(!send().allowed);
        api.at(ends * DAY);
    }
    assert!(send().allowed);
}

#[test]
fn descriptions_a_month_by_tier() {
    for (tier, _, _, _, descriptions, _) in TIERS {
        let api = Api::starting(FILE, LEAP_YEAR);
        months(&api, "/images/analyze", "descriptions", tier, descriptions);
    }
    let api = Api::new(FILE);
    for _ in 0..20_000 {
        let reply = call(&api, Key("ann", "CUSTOM"), "POST", "/images/analyze").send();
        assert!(reply.allowed);
        reply.end();
    }
}

#[test]
fn messages_a_month_by_tier() {
    for (tier, _, _, _, _, messages) in TIERS {
        if messages <= 2000 {
            let api = Api::starting(FILE, LEAP_YEAR);
            months(&api, "/chat/messages", "messages", tier, messages);
        } else {
            // Half a million, a thousand at a time.
            let name = "name = \"messages\"";
            let api = Api::edited(FILE, LEAP_YEAR, name, &format!("{name}\ncost = \"messages\""));
            months(&api, "/chat/messages", "messages", tier, messages / 1000);
        }
    }
    let api = Api::new(FILE);
    for _ in 0..20_000 {
        assert!(call(&api, Key("ann", "CUSTOM"), "POST", "/chat/messages").send().allowed);
    }
}

#[test]
fn months_end_where_the_calendar_ends_them() {
    // The first second of a month, and the days it has.
    for (begin, days) in [
        (1_704_067_200, 31), // January 2024
        (1_706_745_600, 29), // February 2024
        (1_738_368_000, 28), // February 2025
        (4_105_123_200, 28), // February 2100: no leap year
        (1_711_929_600, 30), // April 2024
        (1_733_011_200, 31), // December 2024, into the new year
    ] {
        let api = Api::starting(FILE, begin);
        let send = || call(&api, Session("ann", "FREE"), "POST", "/chat/messages").send();
        let denial = exceed(send);
        assert_eq!(denial.retry_after, Some(days * DAY), "{begin}");
        api.at(days * DAY);
        assert!(send().allowed, "{begin}");
    }
}

#[test]
fn a_month_goes_by_the_wall_clock_and_a_clock_set_back_opens_none_again() {
    // 2024-01-31, noon.
    let api = Api::starting(FILE, 1_706_702_400);
    let send = || call(&api, Session("ann", "FREE"), "POST", "/chat/messages").send();
    exceed(send);
    api.step_wall(12 * 3600);
    assert!(send().allowed); // February
    api.step_wall(-12 * 3600);
    // January again: what is left is February's.
    for _ in 0..9 {
        assert!(send().allowed);
    }
    assert!(!send().allowed);
    // And the minutes never noticed: twenty messages, and this.
    assert_eq!(search(&api, Session("ann", "FREE")).remaining("dashboard"), 300 - 20 - 1);
}

#[test]
fn custom_is_unlimited_but_for_its_own_cells() {
    let api = Api::new(FILE);
    let by = Key("ann", "CUSTOM");
    for _ in 0..1000 {
        assert!(search(&api, by).allowed);
        assert!(call(&api, by, "POST", "/chat/messages").send().allowed);
        assert!(upload(&api, by).allowed || api.now() < MINUTE);
    }
    assert_eq!(
        batch(&Api::new(FILE), "CUSTOM").cost("bytes", 2001 * MB).send().violated(),
        ["batch-payload"]
    );
}

#[test]
fn single_customers_have_caps_of_their_own() {
    let api = Api::new(FILE);
    saturate(&api, "api", 2000, MINUTE, || search(&api, Key("acme", "CUSTOM")));
    let api = Api::new(FILE);
    for _ in 0..200 {
        assert!(upload(&api, Key("acme", "CUSTOM")).allowed);
    }
    assert_eq!(upload(&api, Key("acme", "CUSTOM")).violated(), ["concurrent-uploads"]);
    let api = Api::new(FILE);
    let acme = |files| {
        let by = Key("acme", "CUSTOM");
        call(&api, by, "POST", "/files/upload/batch").cost("files", files).send()
    };
    assert!(acme(1000).allowed);
    assert_eq!(acme(1001).violated(), ["batch-files"]);
    months_of_acme();
}

fn months_of_acme() {
    let api = Api::new(FILE);
    let send = || call(&api, Session("acme", "CUSTOM"), "POST", "/images/analyze").send();
    for _ in 0..50_000 {
        let reply = send();
        assert!(reply.allowed);
        reply.end();
        api.advance(Duration::from_millis(200));
    }
    assert_eq!(send().violated(), ["descriptions"]);
}

// --- Keys, sessions, and neither

#[test]
fn free_has_no_keys() {
    let api = Api::new(FILE);
    for (method, path) in
        [("GET", "/search"), ("POST", "/files/upload"), ("POST", "/chat/messages")]
    {
        let reply = call(&api, Key("ann", "FREE"), method, path).send();
        assert_eq!((reply.outcome, reply.status), (Outcome::Refused, 403));
        assert_eq!(reply.binding.as_deref(), Some("free-has-no-keys"));
        assert_eq!(reply.header("retry-after"), None);
        assert!(reply.limits.is_empty());
    }
    // Refused is not counted: the session of the same customer has all.
    assert_eq!(search(&api, Session("ann", "FREE")).remaining("dashboard"), 299);
}

#[test]
fn keys_begin_with_starter() {
    let api = Api::new(FILE);
    for tier in ["STARTER", "PROFESSIONAL", "ENTERPRISE", "CUSTOM"] {
        let reply = search(&api, Key(tier, tier));
        assert_eq!(reply.outcome, Outcome::Allowed, "{tier}");
    }
}

#[test]
fn free_works_through_the_dashboard() {
    let api = Api::new(FILE);
    assert!(search(&api, Session("ann", "FREE")).allowed);
    assert!(upload(&api, Session("ann", "FREE")).allowed);
}

#[test]
fn keys_and_sessions_are_both_limited_each_for_itself() {
    let api = Api::new(FILE);
    assert_eq!(exceed(|| search(&api, Key("ann", "STARTER"))).violated(), ["api"]);
    assert_eq!(search(&api, Session("ann", "STARTER")).remaining("dashboard"), 299);
    assert_eq!(exceed(|| search(&api, Session("ann", "STARTER"))).violated(), ["dashboard"]);
}

#[test]
fn a_session_has_300_a_minute_instead_of_its_tier() {
    for tier in ["FREE", "STARTER", "PROFESSIONAL", "ENTERPRISE", "CUSTOM"] {
        let api = Api::new(FILE);
        assert_eq!(search(&api, Session("ann", tier)).asked(), ["dashboard"]);
    }
    let api = Api::new(FILE);
    saturate(&api, "dashboard", 300, MINUTE, || search(&api, Session("ann", "FREE")));
}

#[test]
fn without_a_key_or_session_the_address_counts() {
    let api = Api::new(FILE);
    saturate(&api, "unauthenticated", 5, MINUTE, || search(&api, Nothing));
    exceed(|| search(&api, Nothing));
    assert!(call(&api, Nothing, "GET", "/search").attr("ip", THERE).send().allowed);
    // A customer behind that address is not concerned.
    assert!(search(&api, Key("ann", "STARTER")).allowed);
}

#[test]
fn unauthenticated_is_less_than_any_tier_and_what_an_invalid_key_gets() {
    let api = Api::new(FILE);
    let limit = search(&api, Nothing).number("x-ratelimit-limit");
    assert!(TIERS.iter().all(|tier| limit < tier.1));
    // One bucket: invalid keys and none, and a customer's name is not believed.
    let claims = |customer| {
        let request = call(&api, Invalid, "GET", "/search").attr("customer", customer);
        request.attr("tier", "ENTERPRISE").send()
    };
    assert_eq!(search(&api, Invalid).remaining("unauthenticated"), 3);
    assert_eq!(claims("ann").asked(), ["unauthenticated"]);
    for customer in ["b", "c"] {
        assert!(claims(customer).allowed);
    }
    assert!(!claims("d").allowed);
    assert!(!search(&api, Nothing).allowed);
    let api = Api::new(FILE);
    saturate(&api, "unauthenticated", 5, MINUTE, || search(&api, Invalid));
}

// --- Sensitive calls

#[test]
fn sensitive_calls_are_limited_by_address_whatever_the_tier() {
    for (method, path, limit) in SENSITIVE {
        let api = Api::new(FILE);
        let ways = [
            Nothing,
            Key("ann", "STARTER"),
            Invalid,
            Session("bob", "FREE"),
            Key("eve", "ENTERPRISE"),
            Key("acme", "CUSTOM"),
        ];
        for i in 0..limit {
            let by = ways[usize::try_from(i).unwrap() % ways.len()];
            let reply = call(&api, by, method, path).send();
            assert!(reply.allowed, "{path}");
            assert_eq!(reply.limits.len(), 1, "{path}: {:?}", reply.asked());
        }
        for by in ways {
            assert!(!call(&api, by, method, path).send().allowed, "{path}");
            assert!(
                call(&api, by, method, path).attr("ip", "192.0.2.77").send().allowed || limit < 6
            );
        }
    }
}

#[test]
fn strict_limits_stop_whoever_guesses() {
    // A password a second for an hour: five a minute are tried.
    let api = Api::new(FILE);
    let mut tried = 0;
    for _ in 0..3600 {
        tried += usize::from(call(&api, Nothing, "POST", "/auth/session/login").send().allowed);
        api.advance(Duration::from_secs(1));
    }
    assert_eq!(tried, 300);
}

/// One row for three minutes: nobody shares its bucket, and it spends no other.
fn row(number: usize) {
    let (method, path, limit) = SENSITIVE[number];
    let api = Api::new(FILE);
    let send = |path: &str, method: &str| call(&api, Nothing, method, path).send();
    let name = format!("sensitive-{limit}");
    saturate(&api, &name, limit, MINUTE, || send(path, method));
    exceed(|| send(path, method));
    // The sixteen others, at the same moment, have all of theirs.
    for (method, other, limit) in SENSITIVE {
        if other != path {
            let reply = send(other, method);
            assert_eq!(reply.remaining(&format!("sensitive-{limit}")), limit - 1, "{other}");
        }
    }
    assert_eq!(search(&api, Nothing).remaining("unauthenticated"), 4);
}

#[test]
fn sensitive_row_login() {
    row(0);
}

#[test]
fn sensitive_row_register() {
    row(1);
}

#[test]
fn sensitive_row_google() {
    row(2);
}

#[test]
fn sensitive_row_resend_verification() {
    row(3);
}

#[test]
fn sensitive_row_resend_verification_by_email() {
    row(4);
}

#[test]
fn sensitive_row_password_reset_request() {
    row(5);
}

#[test]
fn sensitive_row_password_reset_validate() {
    row(6);
}

#[test]
fn sensitive_row_password_reset_complete() {
    row(7);
}

#[test]
fn sensitive_row_verify_email() {
    row(8);
}

#[test]
fn sensitive_row_link_provider() {
    row(9);
}

#[test]
fn sensitive_row_unlink_provider() {
    row(10);
}

#[test]
fn sensitive_row_rotate_session() {
    row(11);
}

#[test]
fn sensitive_row_google_drive() {
    row(12);
}

#[test]
fn sensitive_row_google_drive_callback() {
    row(13);
}

#[test]
fn sensitive_row_import() {
    row(14);
}

#[test]
fn sensitive_row_export() {
    row(15);
}

#[test]
fn sensitive_row_contact() {
    row(16);
}

#[test]
fn another_method_on_a_sensitive_path_is_an_ordinary_request() {
    let api = Api::new(FILE);
    assert_eq!(call(&api, Nothing, "GET", "/support/contact").send().asked(), ["unauthenticated"]);
    let head = call(&api, Nothing, "HEAD", "/cloud-storage/auth/google_drive/callback").send();
    assert_eq!(head.asked(), ["sensitive-10"]);
}

// --- Bulk and webhooks

#[test]
fn bulk_and_webhooks_do_not_starve_ordinary_calls() {
    let api = Api::new(FILE);
    let by = Key("ann", "STARTER");
    exceed(|| upload(&api, by));
    exceed(|| call(&api, Nothing, "POST", "/payment/webhooks/stripe").send());
    assert_eq!(search(&api, by).remaining("api"), 29);
    // Nor the other way round.
    let api = Api::new(FILE);
    exceed(|| search(&api, by));
    let reply = upload(&api, by);
    assert!(reply.allowed);
    assert!(!reply.asked().contains(&"api"));
    // Both are higher than what they spare.
    assert_eq!(reply.number("x-ratelimit-limit"), 500);
}

/// Whether `i` of the family passes, and ends at once.
fn bulk(api: &Api, by: By<'_>, i: usize) -> Reply {
    let (method, path) = BULK[i % BULK.len()];
    let reply = call(api, by, method, path).send();
    reply.end();
    reply
}

#[test]
fn bulk_uploads_share_500_a_minute_of_an_address() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "batch-upload", 500, MINUTE, || {
        i += 1;
        let by = [Key("ann", "STARTER"), Session("bob", "FREE"), Key("eve", "CUSTOM")][i % 3];
        bulk(&api, by, i)
    });
    exceed(|| bulk(&api, Key("ann", "STARTER"), 0));
    for (method, path) in BULK {
        let denial = call(&api, Key("ann", "STARTER"), method, path).send();
        assert_eq!(denial.violated(), ["batch-upload"], "{path}");
        let there = call(&api, Key("ann", "STARTER"), method, path).attr("ip", THERE).send();
        assert!(there.allowed, "{path}");
    }
}

#[test]
fn bulk_uploads_without_valid_auth_share_200_a_minute_of_an_address() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "batch-upload-unauthenticated", 200, MINUTE, || {
        i += 1;
        bulk(&api, if i % 2 == 0 { Invalid } else { Nothing }, i)
    });
    exceed(|| bulk(&api, Nothing, 0));
    // Those who are known at that address go on.
    assert!(bulk(&api, Key("ann", "STARTER"), 0).allowed);
    assert_eq!(search(&api, Nothing).remaining("unauthenticated"), 4);
}

#[test]
fn what_is_not_of_the_family_is_not_limited_with_it() {
    let api = Api::new(FILE);
    for (method, path) in [("GET", "/files/uploads"), ("GET", "/files/upload"), ("POST", "/files")]
    {
        let reply = call(&api, Key("ann", "STARTER"), method, path).send();
        assert_eq!(reply.asked(), ["api"], "{method} {path}");
    }
}

#[test]
fn webhooks_are_200_a_minute_of_an_address() {
    let api = Api::new(FILE);
    let send = || call(&api, Nothing, "POST", "/payment/webhooks/stripe").send();
    saturate(&api, "webhooks", 200, MINUTE, send);
    exceed(send);
    let there = call(&api, Nothing, "POST", "/payment/webhooks/stripe").attr("ip", THERE);
    assert!(there.send().allowed);
}

// --- Uploads

#[test]
fn an_upload_is_asked_for_its_rate_its_place_and_its_sizes() {
    let api = Api::new(FILE);
    let reply = batch(&api, "STARTER").cost("image_bytes", 1).cost("document_bytes", 1).send();
    let names = [
        "batch-upload",
        "concurrent-uploads",
        "batch-files",
        "batch-payload",
        "image-size",
        "document-size",
    ];
    assert_eq!(reply.asked(), names);
}

#[test]
fn an_upload_that_is_denied_takes_no_place_and_no_request() {
    let api = Api::new(FILE);
    for _ in 0..100 {
        assert!(!batch(&api, "STARTER").cost("files", 51).send().allowed);
    }
    let reply = batch(&api, "STARTER").send();
    assert_eq!(reply.remaining("batch-upload"), 499);
    assert_eq!(reply.remaining("concurrent-uploads"), 19);
}

#[test]
fn places_and_months_are_a_customers() {
    let api = Api::new(FILE);
    let send = |customer, path| call(&api, Session(customer, "FREE"), "POST", path).send();
    for path in ["/files/upload", "/files/uploads", "/images/analyze"] {
        assert!(send("ann", path).asked().contains(&"concurrent-uploads"), "{path}");
    }
    for (path, limit) in [
        ("/files/upload", "concurrent-uploads"),
        ("/images/analyze", "concurrent-uploads"),
        ("/chat/messages", "messages"),
    ] {
        while send("ann", path).allowed {}
        assert_eq!(send("ann", path).violated(), [limit], "{path}");
        assert_eq!(send("bob", path).remaining(limit), 9 - u64::from(path == "/images/analyze"));
    }
    exceed(|| send("eve", "/images/analyze"));
    assert_eq!(send("eve", "/images/analyze").violated(), ["descriptions"]);
    assert_eq!(send("joe", "/images/analyze").remaining("descriptions"), 9);
}

#[test]
fn exceeding_any_upload_limit_is_429() {
    let api = Api::new(FILE);
    for request in [
        batch(&api, "STARTER").cost("files", 51),
        batch(&api, "STARTER").cost("bytes", 2000 * MB + 1),
        batch(&api, "STARTER").cost("image_bytes", 100 * MB + 1),
        batch(&api, "STARTER").cost("document_bytes", 50 * MB + 1),
    ] {
        assert_eq!(request.send().status, 429);
    }
    for _ in 0..20 {
        assert!(upload(&api, Key("ann", "STARTER")).allowed);
    }
    assert_eq!(upload(&api, Key("ann", "STARTER")).status, 429);
}

#[test]
fn too_many_uploads_at_once_are_told_a_time_and_it_is_enough() {
    let api = Api::new(FILE);
    let by = Key("ann", "STARTER");
    for _ in 0..20 {
        assert!(upload(&api, by).allowed);
        api.advance(MINUTE);
    }
    let denial = upload(&api, by);
    assert_eq!(denial.outcome, Outcome::Later);
    assert_wait_told(&denial);
    // The first began 20 minutes ago and is over within the hour.
    assert_eq!(denial.retry_after, Some(40 * MINUTE));
    api.advance(Duration::from_secs(denial.number("retry-after")));
    assert!(upload(&api, by).allowed);
}

#[test]
fn too_large_is_told_no_time_since_none_would_do() {
    let api = Api::new(FILE);
    let denial = batch(&api, "STARTER").cost("files", 51).send();
    assert_eq!(denial.outcome, Outcome::Never);
    assert_eq!((denial.retry_after, denial.header("retry-after")), (None, None));
    // Never beats later: the rate is exceeded as well.
    exceed(|| bulk(&api, Key("ann", "STARTER"), 0));
    let denial = batch(&api, "STARTER").cost("files", 51).send();
    assert_eq!(denial.violated(), ["batch-upload", "batch-files"]);
    assert_eq!((denial.outcome, denial.retry_after), (Outcome::Never, None));
}

// --- What the page says to clients, seen from here

#[test]
fn an_interval_that_doubles_gets_through() {
    let api = Api::new(FILE);
    exceed(|| search(&api, Key("ann", "STARTER")));
    let (mut wait, mut tries) = (Duration::from_secs(1), 0);
    while !search(&api, Key("ann", "STARTER")).allowed {
        api.advance(wait);
        wait *= 2;
        tries += 1;
    }
    assert_eq!(tries, 6);
}

#[test]
fn one_batch_of_fifty_costs_one_request() {
    let api = Api::new(FILE);
    let reply = batch(&api, "STARTER").cost("files", 50).send();
    assert_eq!(reply.remaining("batch-upload"), 499);
    assert_eq!(reply.remaining("concurrent-uploads"), 19);
}

#[test]
fn requests_spread_over_the_minute_all_pass() {
    let api = Api::new(FILE);
    for _ in 0..300 {
        assert!(search(&api, Key("ann", "STARTER")).allowed);
        api.advance(Duration::from_secs(2));
    }
}

#[test]
fn enterprise_customers_can_have_limits_of_their_own() {
    let api = Api::new(FILE);
    saturate(&api, "api", 1200, MINUTE, || search(&api, Key("globex", "ENTERPRISE")));
    assert_eq!(search(&api, Key("eve", "ENTERPRISE")).number("x-ratelimit-limit"), 500);
}

#[test]
fn a_higher_tier_has_more_at_once() {
    let api = Api::new(FILE);
    exceed(|| search(&api, Key("ann", "STARTER")));
    assert_eq!(search(&api, Key("ann", "PROFESSIONAL")).remaining("api"), 69);
}

// --- Ways around

#[test]
fn no_other_way_to_write_a_path_leads_around_its_limit() {
    for path in [
        "/auth/session/login/",
        "//auth/session//login",
        "/auth/./session/login",
        "/auth/session/x/../login",
        "/auth/session/%6cogin",
        "/auth%2Fsession%2Flogin",
        "/auth/session/login?a=b",
        "https://example.net/auth/session/login",
    ] {
        let api = Api::new(FILE);
        exceed(|| call(&api, Nothing, "POST", "/auth/session/login").send());
        assert_eq!(call(&api, Nothing, "POST", path).send().violated(), ["sensitive-5"], "{path}");
    }
    for path in ["/files/uploads/u1/", "/files/uploads//u1", "/files/uploads/u1/%2e%2e/u2"] {
        let reply = call(&Api::new(FILE), Key("ann", "STARTER"), "GET", path).send();
        assert!(reply.asked().contains(&"batch-upload"), "{path}");
    }
    // An image that is too large is so by any writing.
    let api = Api::new(FILE);
    let request = call(&api, Key("ann", "STARTER"), "POST", "/files//upload/");
    assert!(!request.cost("image_bytes", 101 * MB).send().allowed);
}

#[test]
fn names_that_contain_a_separator_share_nothing() {
    let api = Api::new(FILE);
    exceed(|| search(&api, Key("a", "STARTER")));
    for customer in ["a,STARTER", "a\0", "a|", "a/STARTER"] {
        assert!(search(&api, Key(customer, "STARTER")).allowed, "{customer:?}");
    }
    // An empty name is no name, and nobody's.
    assert_eq!(search(&api, Key("", "STARTER")).outcome, Outcome::Never);
}
