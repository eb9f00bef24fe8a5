//! Document 000 to its callers: wait, and double; log in once; let webhooks tell.

use super::world::{Clock, Done, Work, naive, pacer, polite, with};
use crate::support::{Api, MINUTE, Reply};
use std::{cell::Cell, collections::BTreeSet, sync::Arc, time::Duration};
use tollgate::{
    ManualClock, Nanos,
    client::{Access, Advice, Backoff, Jitter, Next, Retry, TokenHolder},
};

const FILE: &str = "000-document-scanning.toml";
const ID: &str = "id.copyleaks.com";
const API: &str = "api.copyleaks.com";
const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(48 * 3600);
/// Five minutes before its end.
const RENEWED_AFTER: Duration = Duration::from_secs(48 * 3600 - 300);

fn send(api: &Api, host: &str, path: &str) -> Reply {
    api.request("POST", path).host(host).attr("account", "acme").attr("ip", "192.0.2.1").send()
}

fn login(api: &Api) -> Reply {
    send(api, ID, "/v3/account/login/api")
}

fn other(api: &Api) -> Reply {
    send(api, API, "/v3/scans/submit/file/s1")
}

fn export(api: &Api, scan: usize) -> Reply {
    send(api, API, &format!("/v3/downloads/s{scan}/export/e1"))
}

#[test]
fn a_429_is_waited_out_and_the_wait_doubles_up_to_a_maximum() {
    let api = Api::new(FILE);
    while export(&api, 0).allowed {}
    // The document promises no Retry-After.
    let mut retry = Retry::new(Backoff::doubling(), Jitter::seeded(0));
    let (mut waits, mut reply) = (Vec::new(), export(&api, 0));
    while let Next::Wait(wait) =
        retry.next(reply.status, &Advice::default(), Nanos::from(api.now()))
    {
        waits.push(wait.as_secs());
        api.advance(wait);
        reply = export(&api, 0);
    }
    assert!(reply.allowed);
    assert_eq!(waits, [1, 2, 4, 8, 16, 32]);
    let waits = (6..40).map(|n| Backoff::doubling().wait(n, &mut Jitter::seeded(0)));
    assert!(waits.into_iter().all(|wait| wait == MINUTE));
}

#[test]
fn callers_that_keep_to_the_documents_limits_are_done_in_the_least_time() {
    for (n, period, quota, units, send) in [
        (10, SECOND, "10/s", 500, (|api, _| other(api)) as fn(&Api, usize) -> Reply),
        (10, MINUTE, "10/min", 95, export),
        (12, 15 * MINUTE, "12/15min", 100, |api, _| login(api)),
    ] {
        let work = Work { there: Duration::from_millis(3), ..Work::new(units, 16) };
        let api = Api::new(FILE);
        let done = with(&api, pacer().quota(quota.parse().unwrap()), work, send);
        assert_eq!((done.passed.len(), done.denied), (units, 0));
        // Windows are counted from answers, 13 ms after the request; a window each.
        let ratio = done.ratio(&format!("000, {quota}"), n, period);
        assert!(ratio <= 1.0 + 0.015 / period.as_secs_f64() + 0.001, "{ratio}");

        // The loop at once: soon shut out, then for good.
        let api = Api::new(FILE);
        let done = naive(&api, Duration::from_millis(500), 5 * MINUTE, Work::new(units, 16), send);
        println!("000, {quota}, naive: {} of {units}; {} denied", done.passed.len(), done.denied);
        assert!(done.passed.len() < units && done.denied > 1000);
    }
}

/// Nothing is known, and a denial tells when to come back.
#[test]
fn callers_that_know_nothing_learn_by_few_denials_and_are_never_blocked() {
    let api = Api::new(FILE);
    let done = with(&api, pacer().in_flight(8), Work::new(300, 8), |api, _| other(api));
    assert_eq!((done.passed.len(), done.given_up), (300, 0));
    let ratio = done.ratio("000, nothing known", 10, SECOND);
    // A window cannot be told but by running into its end: about one denial for each call
    // that was under way.
    assert!(ratio < 1.2, "{ratio}");
    assert!(done.denied <= 300 / 10 * 2, "{}", done.denied);
}

/// A caller of the API as the document wants it: tokens, and a pacer for each limit.
struct Integration<'a> {
    api: &'a Api,
    tokens: TokenHolder<u64, Clock>,
    clock: Clock,
    logins: Cell<u64>,
}

impl<'a> Integration<'a> {
    fn new(api: &'a Api) -> Self {
        let clock = Arc::new(ManualClock::new());
        let tokens = TokenHolder::with_clock(Arc::clone(&clock));
        Self { api, tokens, clock, logins: Cell::new(0) }
    }

    fn token(&self) -> u64 {
        self.clock.set(Nanos::from(self.api.now()));
        match self.tokens.ask() {
            Access::Use(token) => token,
            Access::Renew(renewal) => {
                assert!(login(self.api).allowed);
                self.logins.set(self.logins.get() + 1);
                renewal.done(self.logins.get(), LIFE);
                self.logins.get()
            }
            Access::Wait(_) => panic!("nobody else logs in"),
        }
    }
}

#[test]
fn one_login_serves_all_calls_until_its_token_is_about_to_end() {
    let api = Api::new(FILE);
    let one = Integration::new(&api);
    // A call a minute for a week: each with the token that is held.
    for minute in 0..7 * 24 * 60 {
        api.at(minute * MINUTE);
        let token = one.token();
        assert!(other(&api).allowed);
        let issued = one.logins.get();
        assert_eq!(token, issued);
        // It is renewed before it ends, and not much before.
        let renewed = u32::try_from(issued - 1).unwrap() * RENEWED_AFTER;
        let age = api.now().saturating_sub(renewed);
        assert!(age < RENEWED_AFTER + MINUTE, "{age:?}");
    }
    assert_eq!(one.logins.get(), 4);
}

#[test]
fn the_right_order_of_calls_meets_no_limit_and_a_login_before_each_call_does() {
    let (api, calls) = (Api::new(FILE), 600);
    let one = Integration::new(&api);
    let (pacer, clock) = (pacer().quota("10/s".parse().unwrap()), Arc::clone(&one.clock));
    let pacer = pacer.clock(Arc::clone(&clock)).build();
    let done = polite(&api, (&pacer, &clock), Work::new(calls, 8), |api, _| {
        one.token();
        other(api)
    });
    assert_eq!((done.denied, one.logins.get()), (0, 1));
    let ratio = done.ratio("000, one login", 10, SECOND);
    assert!(ratio < 1.03, "{ratio}");

    // Twelve logins in a quarter of an hour are twelve calls.
    let api = Api::new(FILE);
    let work = Work::new(calls, 8);
    let done = naive(&api, SECOND, 14 * MINUTE, work, |api, _| {
        let login = login(api);
        if login.allowed { other(api) } else { login }
    });
    println!("000, a login each: {} of {calls}; {} denied", done.passed.len(), done.denied);
    assert!(done.passed.len() <= 12);
}

/// From an export to its delivery.
const DELIVERY: Duration = Duration::from_secs(30);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Webhook {
    /// A scan is done.
    Finished,
    /// Its export is there.
    Delivered,
}

/// When each scan is done.
fn scans() -> Vec<Duration> {
    (0..40_u32).map(|scan| scan * Duration::from_secs(2)).collect()
}

#[test]
fn the_webhook_triggers_one_export_and_the_next_one_ends_the_wait() {
    let api = Api::new(FILE);
    let clock = Arc::new(ManualClock::new());
    let pacer = pacer().quota("10/min".parse().unwrap()).clock(Arc::clone(&clock)).build();
    // Webhooks are the queue. Some come twice, as webhooks do.
    let mut webhooks = BTreeSet::new();
    for (scan, finished) in scans().into_iter().enumerate() {
        webhooks.insert((finished, Webhook::Finished, scan));
        if scan % 3 == 0 {
            webhooks.insert((finished + 10 * SECOND, Webhook::Finished, scan));
        }
    }
    let (mut all, mut calls) = (Done::default(), Vec::new());
    let (mut exported, mut delivered) = ([None; 40], [None; 40]);
    while let Some((at, webhook, scan)) = webhooks.pop_first() {
        api.at(at.max(api.now()));
        match webhook {
            Webhook::Finished if exported[scan].is_none() => {
                let done = polite(&api, (&pacer, &clock), Work::new(1, 1), |api, _| {
                    calls.push((scan, api.now()));
                    export(api, scan)
                });
                exported[scan] = Some(done.time());
                webhooks.insert((done.time() + DELIVERY, Webhook::Delivered, scan));
                all.passed.extend(done.passed);
                all.denied += done.denied;
            }
            // It is waited for already, or there.
            Webhook::Finished => {}
            Webhook::Delivered => delivered[scan] = Some(at),
        }
    }
    for scan in 0..40 {
        let (exported, delivered) = (exported[scan].unwrap(), delivered[scan].unwrap());
        assert_eq!(delivered, exported + DELIVERY);
        let of_scan: Vec<_> = calls.iter().filter(|call| call.0 == scan).collect();
        assert_eq!(of_scan, [&(scan, exported)], "none but the export, not while it is under way");
    }
    assert_eq!((all.passed.len(), all.denied), (40, 0));
    // The tenth scan is done after 18 seconds, and 30 more take three minutes from there.
    let least = 3 * MINUTE + 18 * SECOND;
    println!("000, exports by webhook: {:.2?}, the least is {least:?}", all.time());
    assert!(all.time() < least + SECOND / 5);

    // Exporting again every few seconds until the file is there: half of the calls are in vain.
    let api = Api::new(FILE);
    let mut asked = [0; 40];
    let done = naive(&api, 5 * SECOND, 30 * MINUTE, Work::new(40 * 6, 8), |api, unit| {
        asked[unit / 6] += 1;
        export(api, unit / 6)
    });
    println!("000, exports by polling: {:.0?}; {} denied", done.time(), done.denied);
    assert!(done.denied > 100 && asked.iter().any(|asked| *asked > 6));
    assert!(done.time() > 4 * all.time() || done.given_up > 0);
}
