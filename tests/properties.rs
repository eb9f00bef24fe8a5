//! The properties, for any quota, any costs, any times:
//!
//! 1. every answer is the oracle's, alone and in a table, forwards and backwards;
//! 2. a denied request and a look change nothing;
//! 3. waiting exactly `retry_after` succeeds, one nanosecond less does not;
//! 4. `remaining` units pass at once, one more does not;
//! 5. after `reset_after` GCRA is as good as new, and a log's oldest unit has left;
//! 6. GCRA admits at most B + t/T in any closed interval of length t;
//! 7. the log never admits more than L in any half-open window of one period;
//! 8. more than the limit is *never*, told apart from *later*;
//! 9. nothing panics, whatever `now`, cost and key;
//! 10. in a table whose slots are fought over, nobody gets more than alone;
//! 11. a quota prints as what it parses from.

mod oracle;

use oracle::{Answer, Oracle};
use proptest::{collection::vec, prelude::*};
use std::time::Duration;
use tollgate::{KeyedLimiter, Limiter, ManualClock, Nanos, OnSaturation, Outcome, Quota};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Quotas at the edges as well as ordinary ones.
fn quotas() -> impl Strategy<Value = Quota> {
    let units =
        prop_oneof![Just(1), 1..20_u64, Just(7), Just(1000), 1..10_000_000_u64, Just(u64::MAX)];
    let period = prop_oneof![
        Just(1),
        1..100_u64,
        Just(SECOND),
        Just(60 * SECOND),
        Just(DAY),
        Just(1600 * DAY),
        1..10 * DAY
    ];
    let burst = prop_oneof![
        3 => Just(None),
        1 => Just(Some(1)),
        2 => (1..50_u64).prop_map(Some),
        1 => any::<u64>().prop_map(Some)
    ];
    (units, period, burst).prop_filter_map("a quota that can be had", |(units, period, burst)| {
        let quota = Quota::new(units, Duration::from_nanos(period)).ok()?;
        burst.map_or(Some(quota), |burst| quota.burst(burst).ok())
    })
}

fn log_quotas() -> impl Strategy<Value = Quota> {
    let period = prop_oneof![Just(1), 1..100_u64, Just(60 * SECOND), Just(1600 * DAY), 1..10 * DAY];
    (prop_oneof![Just(1), 1..12_u64, Just(100)], period)
        .prop_filter_map("a quota that can be had", |(units, period)| {
            Quota::new(units, Duration::from_nanos(period)).ok()
        })
}

/// How the clock moves before a request, in 1/64 of the quota's period.
#[derive(Clone, Debug)]
enum Move {
    Stand,
    Nano,
    Forward(u32),
    Far,
    Back(u32),
}

fn moves(back: bool) -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => Just(Move::Stand),
        2 => Just(Move::Nano),
        6 => (0..100_u32).prop_map(Move::Forward),
        1 => Just(Move::Far),
        u32::from(back) * 3 => (0..300_u32).prop_map(Move::Back),
    ]
}

/// What to ask for, in shares of the limit.
#[derive(Clone, Debug)]
enum Cost {
    One,
    Look,
    Some(u8),
    All,
    TooMuch,
    Huge,
}

fn costs() -> impl Strategy<Value = Cost> {
    prop_oneof![
        8 => Just(Cost::One),
        1 => Just(Cost::Look),
        4 => any::<u8>().prop_map(Cost::Some),
        1 => Just(Cost::All),
        1 => Just(Cost::TooMuch),
        1 => Just(Cost::Huge)
    ]
}

fn requests(back: bool) -> impl Strategy<Value = Vec<(Move, Cost)>> {
    vec((moves(back), costs()), 1..60)
}

fn times(quota: &Quota, requests: &[(Move, Cost)]) -> Vec<(u64, u64)> {
    let period = u64::try_from(quota.period().as_nanos()).unwrap();
    let (step, limit) = (u128::from(period), quota.burst_units());
    // Within the range, so that the end of it does not blur the answers.
    let last = 8 * 365 * DAY;
    let mut now = 3 * DAY;
    requests
        .iter()
        .map(|(by, cost)| {
            let part = |n: &u32| u64::try_from(step * u128::from(*n) / 64).unwrap_or(u64::MAX);
            now = match by {
                Move::Stand => now,
                Move::Nano => now + 1,
                Move::Forward(n) => now.saturating_add(part(n)),
                Move::Far => now.saturating_add(period.saturating_mul(3)),
                Move::Back(n) => now.saturating_sub(part(n)),
            }
            .min(last);
            let cost = match cost {
                Cost::One => 1,
                Cost::Look => 0,
                Cost::Some(share) => {
                    u64::try_from(u128::from(limit) * u128::from(*share) / 300 + 1).unwrap()
                }
                Cost::All => limit,
                Cost::TooMuch => limit.saturating_add(1),
                Cost::Huge => u64::MAX,
            };
            (now, cost)
        })
        .collect()
}

/// Both limiters and the oracle for a quota, with their parts boxed away.
type Ask = Box<dyn Fn(u64, u64) -> Answer>;

fn gcra(quota: Quota) -> (Ask, Ask, oracle::Gcra) {
    let alone = Limiter::gcra(quota).clock(ManualClock::new()).try_build().unwrap();
    let keyed =
        KeyedLimiter::gcra(quota).clock(ManualClock::new()).capacity(1).try_build().unwrap();
    (
        Box::new(move |now, n| alone.check_n_at(n, Nanos::new(now)).into()),
        Box::new(move |now, n| keyed.check_n_at("key", n, Nanos::new(now)).into()),
        oracle::Gcra::new(&quota),
    )
}

fn log(quota: Quota) -> (Ask, Ask, oracle::Log) {
    let alone = Limiter::sliding_log(quota).clock(ManualClock::new()).try_build().unwrap();
    let keyed =
        KeyedLimiter::sliding_log(quota).clock(ManualClock::new()).capacity(1).try_build().unwrap();
    (
        Box::new(move |now, n| alone.check_n_at(n, Nanos::new(now)).into()),
        Box::new(move |now, n| keyed.check_n_at("key", n, Nanos::new(now)).into()),
        oracle::Log::new(&quota),
    )
}

/// Properties 1 and 8.
fn agrees(
    (alone, keyed, mut oracle): (Ask, Ask, impl Oracle),
    requests: &[(u64, u64)],
) -> Result<(), TestCaseError> {
    for &(now, cost) in requests {
        let want = oracle.ask(now, cost);
        prop_assert_eq!(&alone(now, cost), &want, "alone, {} at {}", cost, now);
        prop_assert_eq!(&keyed(now, cost), &want, "keyed, {} at {}", cost, now);
    }
    Ok(())
}

/// Properties 2 to 5, after a history.
fn waits(
    (alone, keyed, mut oracle): (Ask, Ask, impl Oracle + Clone),
    requests: &[(u64, u64)],
    log: bool,
) -> Result<(), TestCaseError> {
    for &(now, cost) in requests {
        let before = alone(now, 0);
        let answer = alone(now, cost);
        prop_assert_eq!(&keyed(now, cost), &answer);
        let _ = oracle.ask(now, cost);
        prop_assert_eq!(answer.never, cost > answer.limit);
        if answer.allowed {
            prop_assert_eq!(answer.retry, None);
            continue;
        }
        let after = alone(now, 0);
        prop_assert_eq!(&before, &after, "a denial and two looks changed nothing");
        prop_assert!(answer.retry != Some(0));
        // The rest on copies of the oracle, which agrees by property 1.
        if let Some(wait) = answer.retry {
            let then = now + u64::try_from(wait).unwrap();
            prop_assert!(oracle.clone().ask(then, cost).allowed);
            prop_assert!(!oracle.clone().ask(then - 1, cost).allowed);
        }
        prop_assert!(answer.remaining == 0 || oracle.clone().ask(now, answer.remaining).allowed);
        if answer.remaining < answer.limit {
            prop_assert!(!oracle.clone().ask(now, answer.remaining + 1).allowed);
        }
        let reset = oracle.clone().ask(now + u64::try_from(answer.reset).unwrap(), 0);
        if log {
            prop_assert!(answer.reset == 0 || reset.remaining > answer.remaining);
        } else {
            prop_assert_eq!((reset.remaining, reset.reset), (reset.limit, 0));
        }
    }
    Ok(())
}

/// The waits once more on the limiters themselves, which then are spent.
fn waits_for_real(ask: &Ask, requests: &[(u64, u64)]) -> Result<(), TestCaseError> {
    for &(now, cost) in requests {
        let answer = ask(now, cost);
        if let Some(wait) = answer.retry {
            let then = now + u64::try_from(wait).unwrap();
            prop_assert!(!ask(then - 1, cost).allowed);
            prop_assert!(ask(then, cost).allowed);
            return Ok(());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gcra_is_the_oracle(quota in quotas(), requests in requests(true)) {
        agrees(gcra(quota), &times(&quota, &requests))?;
    }

    #[test]
    fn log_is_the_oracle(quota in log_quotas(), requests in requests(true)) {
        agrees(log(quota), &times(&quota, &requests))?;
    }

    #[test]
    fn gcra_waits(quota in quotas(), requests in requests(true)) {
        let times = times(&quota, &requests);
        waits(gcra(quota), &times, false)?;
        let (alone, keyed, _) = gcra(quota);
        waits_for_real(&alone, &times)?;
        waits_for_real(&keyed, &times)?;
    }

    #[test]
    fn log_waits(quota in log_quotas(), requests in requests(true)) {
        let times = times(&quota, &requests);
        waits(log(quota), &times, true)?;
        let (alone, keyed, _) = log(quota);
        waits_for_real(&alone, &times)?;
        waits_for_real(&keyed, &times)?;
    }

    #[test]
    fn gcra_is_bounded(quota in quotas(), requests in requests(false)) {
        let (alone, _, oracle) = gcra(quota);
        let admitted: Vec<(u64, u64)> = times(&quota, &requests)
            .into_iter()
            .filter(|&(now, cost)| alone(now, cost).allowed)
            .collect();
        for (i, (from, _)) in admitted.iter().enumerate() {
            let mut sum = 0_u128;
            for (to, cost) in &admitted[i..] {
                sum += u128::from(*cost);
                let t = u128::from(to - from) * 16;
                let interval = u128::try_from(oracle.interval_ticks()).unwrap();
                prop_assert!(sum <= u128::from(quota.burst_units()) + t / interval);
            }
        }
    }

    #[test]
    fn log_is_bounded(quota in log_quotas(), requests in requests(false)) {
        let (alone, _, _) = log(quota);
        let admitted: Vec<(u64, u64)> = times(&quota, &requests)
            .into_iter()
            .filter(|&(now, cost)| alone(now, cost).allowed)
            .collect();
        let window = quota.period().as_nanos();
        for (i, (from, _)) in admitted.iter().enumerate() {
            let inside = admitted[i..].iter().take_while(|(to, _)| u128::from(to - from) < window);
            prop_assert!(inside.map(|(_, cost)| cost).sum::<u64>() <= quota.units());
        }
    }

    /// Property 10. One bucket's worth of slots for 60 keys, with clocks that
    /// step back: a key may be denied more than alone (its slot was reclaimed
    /// by a later clock, or there was none), but never admitted more.
    #[test]
    fn contended_slots_give_no_credit(
        // Short enough that all steps back together do not look like a fault.
        quota in log_quotas().prop_filter("short", |q| q.period().as_nanos() < u128::from(40 * SECOND)),
        requests in vec((moves(true), costs(), 0..60_u64), 1..300),
    ) {
        let (keys, requests): (Vec<_>, Vec<_>) =
            requests.into_iter().map(|(by, cost, key)| (key, (by, cost))).unzip();
        let smooth = KeyedLimiter::gcra(quota).clock(ManualClock::new()).capacity(1)
            .on_saturation(OnSaturation::Deny).try_build().unwrap();
        let exact = KeyedLimiter::sliding_log(quota).clock(ManualClock::new()).capacity(1)
            .on_saturation(OnSaturation::Deny).try_build().unwrap();
        // What the table admits, a key's own oracle that saw only what was
        // admitted must admit as well.
        let mut smooth_alone = vec![oracle::Gcra::new(&quota); 60];
        let mut exact_alone = vec![oracle::Log::new(&quota); 60];
        for (key, (now, cost)) in keys.iter().zip(times(&quota, &requests)) {
            let at = usize::try_from(*key).unwrap();
            for (d, alone) in [
                (smooth.check_hash_n_at(*key, cost, Nanos::new(now)), &mut smooth_alone[at] as &mut dyn Oracle),
                (exact.check_hash_n_at(*key, cost, Nanos::new(now)), &mut exact_alone[at]),
            ] {
                prop_assert!(d.remaining() <= d.limit());
                prop_assert!(d.retry_after() != Some(Duration::ZERO));
                prop_assert!(d.is_accounted() || d.is_denied());
                prop_assert!(d.is_denied() || alone.ask(now, cost).allowed);
            }
        }
    }

    #[test]
    fn nothing_panics(
        quota in quotas(),
        requests in vec((any::<u64>(), any::<u64>(), any::<Vec<u8>>()), 1..50),
        epoch in any::<u64>(),
    ) {
        let smooth = KeyedLimiter::gcra(quota).clock(ManualClock::new())
            .epoch(Nanos::new(epoch)).capacity(1).try_build().unwrap();
        let exact = KeyedLimiter::sliding_log(Quota::new(3, quota.period()).unwrap_or(quota))
            .clock(ManualClock::new()).epoch(Nanos::new(epoch)).capacity(1).try_build();
        for (now, cost, key) in requests {
            for now in [now, now >> 4, now >> 20, u64::MAX, u64::MAX >> 5] {
                let now = Nanos::new(now);
                for d in [Some(smooth.check_n_at(&key, cost, now)), Some(smooth.check_at(&key, now)),
                    exact.as_ref().ok().map(|exact| exact.check_n_at(&key, cost % 5, now))]
                    .into_iter().flatten()
                {
                    prop_assert!(d.remaining() <= d.limit());
                    prop_assert_eq!(d.outcome() == Outcome::Later, d.retry_after().is_some());
                    prop_assert!(d.retry_after() != Some(Duration::ZERO));
                    prop_assert!(!d.to_string().is_empty());
                }
            }
        }
    }

    #[test]
    fn quotas_print_as_they_parse(quota in quotas()) {
        prop_assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota));
    }

    #[test]
    fn quota_text_is_an_answer(text in "[0-9/a-z .+-]{0,24}|\\PC{0,16}") {
        if let Ok(quota) = text.parse::<Quota>() {
            prop_assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota));
        }
    }
}
