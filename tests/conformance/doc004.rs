//! Document 004, software licensing: address, token and licence at once.

use crate::support::{Api, MINUTE, Outcome, Reply, assert_wait_told, saturate};
use std::time::Duration;

const FILE: &str = "004-software-licensing.toml";
const ADDRESS: u64 = 300;
const TOKEN: u64 = 120;
const NO_TOKEN: u64 = 30;
const VALIDATION: u64 = 20;
const ACTIVATION: u64 = 5;

fn send(api: &Api, path: &str, ip: &str, token: &str) -> Reply {
    api.request("POST", path).attr("ip", ip).attr("token", token).send()
}

fn ip(i: u64) -> String {
    format!("10.{}.{}.1", i / 256 % 256, i % 256)
}

fn exceed(mut send: impl FnMut() -> Reply) -> Reply {
    loop {
        let reply = send();
        if !reply.allowed {
            return reply;
        }
    }
}

/// By the address, the token, the address without a token, a validation, an activation.
fn denials() -> Vec<(Api, Reply)> {
    let denial = |send: fn(&Api, u64) -> Reply| {
        let api = Api::new(FILE);
        let mut i = 0;
        let reply = exceed(|| {
            i += 1;
            send(&api, i)
        });
        (api, reply)
    };
    vec![
        denial(|api, i| send(api, "/v1/products", "192.0.2.1", &format!("t{i}"))),
        denial(|api, i| send(api, "/v1/products", &ip(i), "t")),
        denial(|api, _| api.request("GET", "/v1/products").attr("ip", "192.0.2.1").send()),
        denial(|api, i| send(api, "/v1/licenses/L/validate", &ip(i), &format!("t{i}"))),
        denial(|api, i| send(api, "/v1/licenses/L/activate", &ip(i), &format!("t{i}"))),
    ]
}

#[test]
fn an_address_has_its_limit_whatever_its_tokens() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "address", ADDRESS, MINUTE, || {
        i += 1;
        send(&api, "/v1/products", "192.0.2.1", &format!("t{i}"))
    });
}

#[test]
fn another_address_is_not_concerned() {
    let api = Api::new(FILE);
    let mut i = 0;
    exceed(|| {
        i += 1;
        send(&api, "/v1/products", "192.0.2.1", &format!("t{i}"))
    });
    assert!(send(&api, "/v1/products", "192.0.2.2", "t1").allowed);
}

#[test]
fn each_token_has_its_own_limit_whatever_its_addresses() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "token", TOKEN, MINUTE, || {
        i += 1;
        send(&api, "/v1/products", &ip(i), "t1")
    });
    exceed(|| {
        i += 1;
        send(&api, "/v1/products", &ip(i), "t1")
    });
    assert_eq!(send(&api, "/v1/products", "192.0.2.9", "t2").remaining("token"), TOKEN - 1);
}

#[test]
fn two_tokens_behind_one_address_both_get_their_share() {
    let api = Api::new(FILE);
    for token in ["t1", "t2"] {
        for _ in 0..TOKEN {
            assert!(send(&api, "/v1/products", "192.0.2.1", token).allowed);
        }
        assert_eq!(send(&api, "/v1/products", "192.0.2.1", token).violated(), ["token"]);
    }
}

#[test]
fn validation_has_a_limit_of_its_own_for_each_licence() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "validation", VALIDATION, MINUTE, || {
        i += 1;
        send(&api, "/v1/licenses/L-1/validate", &ip(i), &format!("t{i}"))
    });
    exceed(|| {
        i += 1;
        send(&api, "/v1/licenses/L-1/validate", &ip(i), &format!("t{i}"))
    });
    assert!(send(&api, "/v1/licenses/L-2/validate", "192.0.2.1", "t").allowed);
}

#[test]
fn activation_has_a_limit_of_its_own_for_each_licence() {
    let api = Api::new(FILE);
    let mut i = 0;
    saturate(&api, "activation", ACTIVATION, MINUTE, || {
        i += 1;
        send(&api, "/v1/licenses/L-1/activate", &ip(i), &format!("t{i}"))
    });
    exceed(|| {
        i += 1;
        send(&api, "/v1/licenses/L-1/activate", &ip(i), &format!("t{i}"))
    });
    // Another licence, and the validation of this one.
    assert!(send(&api, "/v1/licenses/L-2/activate", "192.0.2.1", "t").allowed);
    assert!(send(&api, "/v1/licenses/L-1/validate", "192.0.2.1", "t").allowed);
}

#[test]
fn the_three_are_asked_at_once() {
    let api = Api::new(FILE);
    let reply = send(&api, "/v1/licenses/L/validate", "192.0.2.1", "t");
    assert_eq!(reply.asked(), ["address", "token", "validation"]);
    let reply = send(&api, "/v1/licenses/L/activate", "192.0.2.1", "t");
    assert_eq!(reply.asked(), ["address", "token", "activation"]);
    assert_eq!(reply.remaining("address"), ADDRESS - 2);
    assert_eq!(reply.remaining("token"), TOKEN - 2);
    assert_eq!(reply.remaining("activation"), ACTIVATION - 1);
    assert_eq!(send(&api, "/v1/products", "192.0.2.1", "t").asked(), ["address", "token"]);
}

#[test]
fn whoever_exceeds_one_spends_nothing_of_the_others() {
    let api = Api::new(FILE);
    let activate = || send(&api, "/v1/licenses/L/activate", "192.0.2.1", "t");
    for _ in 0..ACTIVATION {
        assert!(activate().allowed);
    }
    for _ in 0..500 {
        let denial = activate();
        assert_eq!(denial.violated(), ["activation"]);
        assert_eq!(denial.remaining("address"), ADDRESS - ACTIVATION);
        assert_eq!(denial.remaining("token"), TOKEN - ACTIVATION);
    }
    let reply = send(&api, "/v1/products", "192.0.2.1", "t");
    assert_eq!(reply.remaining("address"), ADDRESS - ACTIVATION - 1);
    assert_eq!(reply.remaining("token"), TOKEN - ACTIVATION - 1);
    // A token that is spent spends no address, and no licence.
    exceed(|| send(&api, "/v1/products", "192.0.2.1", "t"));
    let before = send(&api, "/v1/licenses/M/validate", "192.0.2.1", "u").remaining("address");
    for _ in 0..100 {
        assert!(!send(&api, "/v1/licenses/M/validate", "192.0.2.1", "t").allowed);
    }
    let after = send(&api, "/v1/licenses/M/validate", "192.0.2.1", "u");
    assert_eq!(after.remaining("address"), before - 1);
    assert_eq!(after.remaining("validation"), VALIDATION - 2);
}

#[test]
fn of_several_that_say_no_the_longest_wait_is_told() {
    let api = Api::new(FILE);
    for _ in 0..TOKEN - 1 {
        assert!(send(&api, "/v1/products", "192.0.2.1", "t").allowed);
    }
    api.advance(Duration::from_secs(20));
    for _ in 0..ACTIVATION {
        send(&api, "/v1/licenses/L/activate", "192.0.2.2", "u");
    }
    assert!(send(&api, "/v1/products", "192.0.2.1", "t").allowed);
    let denial = send(&api, "/v1/licenses/L/activate", "192.0.2.1", "t");
    assert_eq!(denial.violated(), ["token", "activation"]);
    assert_eq!(denial.binding.as_deref(), Some("activation"));
    assert_eq!(denial.retry_after, Some(MINUTE));
}

#[test]
fn an_address_is_the_one_that_the_request_came_from() {
    let api = Api::new(FILE);
    let read = |ip: &str| api.request("GET", "/v1/products").attr("ip", ip).send();
    exceed(|| read("192.0.2.1"));
    // The same however it is written, and a whole network of one client.
    assert!(!read("::ffff:192.0.2.1").allowed);
    exceed(|| read("2001:db8::1"));
    assert!(!read("2001:db8:0:0:ffff::2").allowed);
    assert!(read("2001:db8:0:1::1").allowed);
}

#[test]
fn a_request_without_a_token_has_less() {
    let api = Api::new(FILE);
    saturate(&api, "no-token", NO_TOKEN, MINUTE, || {
        api.request("GET", "/v1/products").attr("ip", "192.0.2.1").send()
    });
    let reply = api.request("GET", "/v1/products").attr("ip", "192.0.2.2").send();
    assert_eq!(reply.asked(), ["address", "no-token"]);
}

#[test]
fn a_request_without_a_token_meets_the_licences_limits_too() {
    let api = Api::new(FILE);
    for i in 0..ACTIVATION {
        assert!(api.request("POST", "/v1/licenses/L/activate").attr("ip", &ip(i)).send().allowed);
    }
    let denial = api.request("POST", "/v1/licenses/L/activate").attr("ip", "192.0.2.1").send();
    assert_eq!(denial.violated(), ["activation"]);
    assert!(!send(&api, "/v1/licenses/L/activate", "192.0.2.1", "t").allowed);
}

#[test]
fn an_empty_token_is_no_token() {
    let api = Api::new(FILE);
    exceed(|| send(&api, "/v1/products", "192.0.2.1", ""));
    assert!(send(&api, "/v1/products", "192.0.2.1", "t").allowed);
    let without = api.request("GET", "/v1/products").attr("ip", "192.0.2.1").send();
    assert_eq!(without.violated(), ["no-token"]);
}

#[test]
fn a_request_without_an_address_is_denied() {
    let api = Api::new(FILE);
    for request in [
        api.request("GET", "/v1/products").attr("token", "t"),
        api.request("GET", "/v1/products").attr("token", "t").attr("ip", "not an address"),
    ] {
        assert_eq!(request.send().outcome, Outcome::Never);
    }
    assert_eq!(send(&api, "/v1/products", "192.0.2.1", "t").remaining("token"), TOKEN - 1);
}

#[test]
fn a_denial_is_429() {
    for (_, denial) in denials() {
        assert_eq!((denial.status, denial.outcome), (429, Outcome::Later));
        assert_wait_told(&denial);
    }
}

#[test]
fn a_denial_has_a_body_of_json() {
    for (_, denial) in denials() {
        assert_eq!(denial.header("content-type"), Some("application/json"));
        let body: serde_json::Value = serde_json::from_str(&denial.body).unwrap();
        assert_eq!(body["error"], "rate_limited");
        assert_eq!(body["limit"], denial.violated()[0]);
        assert_eq!(body["retry_after"].as_u64(), Some(denial.number("retry-after")));
    }
}

#[test]
fn at_once_again_is_denied_and_an_interval_that_doubles_gets_through() {
    let api = Api::new(FILE);
    let activate = || send(&api, "/v1/licenses/L/activate", "192.0.2.1", "t");
    exceed(activate);
    assert!(!activate().allowed);
    let (mut wait, mut tries) = (Duration::from_secs(1), 0);
    loop {
        api.advance(wait);
        tries += 1;
        if activate().allowed {
            break;
        }
        wait *= 2;
    }
    assert_eq!(tries, 6);
}

#[test]
fn answers_tell_of_the_limits_in_header_fields() {
    let api = Api::new(FILE);
    let reply = send(&api, "/v1/licenses/L/activate", "192.0.2.1", "t");
    let policies = reply.header("ratelimit-policy").unwrap();
    for (name, limit) in [("address", ADDRESS), ("token", TOKEN), ("activation", ACTIVATION)] {
        assert!(policies.contains(&format!("\"{name}\";q={limit}")), "{policies}");
    }
    // The one that is nearest to its end.
    let state = reply.header("ratelimit").unwrap();
    assert!(state.contains(&format!("\"activation\";r={}", ACTIVATION - 1)), "{state}");
    assert_eq!(reply.header("retry-after"), None);
}

#[test]
fn no_other_way_to_write_a_path_leads_around_a_licences_limit() {
    for path in [
        "/v1/licenses/L/activate/",
        "/v1//licenses/L/activate",
        "/v1/licenses/%4C/activate",
        "/v1/licenses/L/%61ctivate",
        "/v1/licenses/x/../L/activate",
        "/v1/licenses/L/./activate?force",
        "/v1/licenses%2FL%2Factivate",
    ] {
        let api = Api::new(FILE);
        exceed(|| send(&api, "/v1/licenses/L/activate", "192.0.2.1", "t"));
        let around = send(&api, path, "192.0.2.2", "u");
        assert_eq!(around.violated(), ["activation"], "{path}");
    }
}
