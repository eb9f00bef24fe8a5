//! Which limit binds, of equals: the decision, its status, its fields and its body tell of
//! the same one.

use super::{after, binds, left, policy};

/// Two limits that the same request can never satisfy, each with a status of its own.
#[test]
fn status_and_body_are_of_one_limit() {
    let policy = policy(
        r#"
        [[limit]]
        name = "one"
        algorithm = "size"
        cost = "bytes"
        quota = 10
        status = 413
        [[limit]]
        name = "two"
        algorithm = "size"
        cost = "bytes"
        quota = 20
        status = 400
        [response]
        body = "{name} {limit} {status}"
        "#,
    );
    let denied = policy.check_at(&policy.request("PUT", "/").cost("bytes", 21), after(0));
    let response = denied.response();
    assert_eq!(binds(&denied), Some("one"));
    assert_eq!(response.field("X-RateLimit-Limit"), Some("10"));
    assert_eq!((response.status, response.body.as_deref()), (Some(413), Some("one 10 413")));
}

/// The same wait for two limits that are used up by one request.
#[test]
fn of_equal_waits_the_first() {
    let policy = policy(
        "[[limit]]\nname = 'one'\nkey = []\nquota = '1/min'\n\
         [[limit]]\nname = 'two'\nkey = []\nquota = '1/min'\n\
         [response]\nbody = '{name}'\n",
    );
    let request = policy.request("GET", "/");
    assert!(policy.check_at(&request, after(0)).is_allowed());
    let denied = policy.check_at(&request, after(1));
    assert_eq!((binds(&denied), denied.response().body.as_deref()), (Some("one"), Some("one")));
}

/// Half of each is left: one whose window is known goes before one that ends nobody knows when.
#[test]
fn of_equal_rests_one_with_a_window() {
    let policy = policy(
        "[[limit]]\nname = 'at once'\nkey = []\nalgorithm = 'leases'\nquota = 2\nttl = '1 h'\n\
         [[limit]]\nname = 'rate'\nkey = []\nquota = '2/min'\n\
         [response]\nreset = 'delta'\n",
    );
    let allowed = policy.check_at(&policy.request("PUT", "/"), after(0));
    assert_eq!((left(&allowed, "at once"), left(&allowed, "rate")), (1, 1));
    assert_eq!(binds(&allowed), Some("rate"));
    assert_eq!(allowed.response().field("X-RateLimit-Reset"), Some("60"));
}
