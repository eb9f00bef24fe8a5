//! Every operation, alone and in a table, held against an oracle:
//!
//! 1. charges, reservations, refunds, settlements and resets, by changing
//!    quotas, give the oracle's answers;
//! 2. net of refunds, GCRA admits at most B + t/T in any closed interval, and a
//!    log at most N in any window;
//! 3. an absent key is given nothing and gets no slot;
//! 4. a batch gives what checks one by one give;
//! 5. a new quota judges what was charged before, and changes nothing of it;
//! 6. a settled charge is of as many units as are really charged.
#![cfg(not(loom))]

mod batches;
mod oracle;
mod quotas;
mod watching;

use oracle::{Answer, Gcra, Log, Op, Ticks};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::time::Duration;
use tollgate::{Charge, KeyedLimiter, Limiter, ManualClock, Nanos, OnSaturation, Quota};

const SECOND: u64 = 1_000_000_000;

/// What is done next, by units of the quota in use and charges so far.
#[derive(Clone, Debug)]
enum Step {
    Charge(u64),
    Reserve(u64, u64),
    Refund(Index, u64),
    Settle(Index, u64),
    Reset,
}

fn steps(reserving: bool, back: bool) -> impl Strategy<Value = Vec<(i64, usize, Step)>> {
    let step = prop_oneof![
        8 => (0..8_u64).prop_map(Step::Charge),
        if reserving { 6 } else { 0 } => (0..8_u64, 0..30_u64).prop_map(|(n, s)| Step::Reserve(n, s)),
        4 => (any::<Index>(), 0..9_u64).prop_map(|(nth, n)| Step::Refund(nth, n)),
        3 => (any::<Index>(), 0..40_u64).prop_map(|(nth, n)| Step::Settle(nth, n)),
        1 => Just(Step::Reset),
    ];
    let by = if back { -9..20_i64 } else { 0..20_i64 };
    vec((prop_oneof![Just(0), by], 0..3_usize, step), 1..80)
}

/// Three quotas of one limiter; tenths of a second are a good grain for them.
fn smooth() -> [Quota; 3] {
    ["10/s burst 5", "3/s", "50/min burst 20"].map(|text| text.parse().unwrap())
}

fn exact() -> [Quota; 3] {
    ["5/s", "3/2s", "12/5s"].map(|text| text.parse().unwrap())
}

/// Runs the steps with `ask`, and calls `see` with what was asked for. Charges that
/// passed can be given back, by halves as well.
fn run(
    quotas: [Quota; 3],
    steps: &[(i64, usize, Step)],
    mut ask: impl FnMut(&Quota, u64, Op, Option<(Charge, u64)>) -> Result<Answer, TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = 1000 * SECOND;
    let mut charges: Vec<Charge> = Vec::new();
    for (by, quota, step) in steps {
        now = now.saturating_add_signed(by * 100_000_000);
        let quota = &quotas[*quota];
        let (op, settled) = match step {
            Step::Charge(n) => (Op::Charge(*n), None),
            Step::Reserve(n, tenths) => {
                (Op::Reserve(*n, Duration::from_millis(tenths * 100)), None)
            }
            Step::Reset => (Op::Reset, None),
            Step::Refund(..) | Step::Settle(..) if charges.is_empty() => continue,
            Step::Refund(nth, n) => {
                let charge = charges.remove(nth.index(charges.len()));
                let back = charge.units().min(*n);
                let part = Charge::new(back, charge.at());
                if back < charge.units() {
                    charges.push(Charge::new(charge.units() - back, charge.at()));
                }
                (Op::Refund(back, charge.at().as_u64()), Some((part, 0)))
            }
            Step::Settle(nth, n) => {
                let charge = charges.remove(nth.index(charges.len()));
                if *n <= charge.units() {
                    let back = charge.units() - n;
                    (Op::Refund(back, charge.at().as_u64()), Some((charge, *n)))
                } else {
                    (Op::Force(n - charge.units()), Some((charge, *n)))
                }
            }
        };
        let answer = ask(quota, now, op, settled)?;
        if let (Op::Charge(n) | Op::Reserve(n, _), tollgate::Outcome::Allowed) =
            (op, answer.outcome)
            && n > 0
        {
            charges.push(Charge::new(n, Nanos::new(now)));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Property 1.
    #[test]
    fn gcra_in_a_table(steps in steps(true, true)) {
        let quotas = smooth();
        let limiter = KeyedLimiter::gcra(quotas[0]).room_for(quotas[1]).room_for(quotas[2])
            .longest_wait(Duration::from_secs(2)).clock(ManualClock::new()).capacity(1)
            .try_build().unwrap();
        let largest = quotas.iter().map(Gcra::tolerance).max().unwrap() + 2 * 16 * Ticks::from(SECOND);
        let mut oracle = Gcra { tat: 0, largest, wait: 2 * 16 * Ticks::from(SECOND) };
        run(quotas, &steps, |quota, now, op, settled| {
            let key = limiter.key("k").quota(*quota).unwrap();
            let at = Nanos::new(now);
            let d = match (op, settled) {
                (_, Some((charge, 0))) if matches!(op, Op::Refund(..)) => key.refund_at(charge, at),
                (_, Some((mut charge, units))) => key.settle_at(&mut charge, units, at),
                (Op::Charge(n), _) => key.check_n_at(n, at),
                (Op::Reserve(n, wait), _) => key.reserve_at(n, wait, at),
                _ => key.reset_at(at),
            };
            let want = oracle.ask(quota, now, op);
            let mut got = Answer::from(d);
            if settled.is_some() {
                got.wait = 0;
            }
            prop_assert_eq!(got, want.clone(), "{:?} at {} by {}", op, now, quota);
            Ok(want)
        })?;
    }

    /// Property 1.
    #[test]
    fn log_in_a_table(steps in steps(false, true)) {
        let quotas = exact();
        let limiter = KeyedLimiter::sliding_log(quotas[0]).room_for(quotas[1]).room_for(quotas[2])
            .clock(ManualClock::new()).capacity(1).try_build().unwrap();
        let mut oracle = Log::default();
        run(quotas, &steps, |quota, now, op, settled| {
            let key = limiter.key("k").quota(*quota).unwrap();
            let at = Nanos::new(now);
            let d = match (op, settled) {
                (_, Some((charge, 0))) if matches!(op, Op::Refund(..)) => key.refund_at(charge, at),
                (_, Some((mut charge, units))) => key.settle_at(&mut charge, units, at),
                (Op::Charge(n), _) => key.check_n_at(n, at),
                _ => key.reset_at(at),
            };
            let want = oracle.ask(quota, now, op);
            prop_assert_eq!(Answer::from(d), want.clone(), "{:?} at {} by {}", op, now, quota);
            Ok(want)
        })?;
    }

    /// Property 1, for the limiters of one thing, whose quota is set as it changes.
    #[test]
    fn alone(steps in steps(false, true)) {
        let quotas = smooth();
        let limiter = Limiter::gcra(quotas[2]).room_for(quotas[1]).room_for(quotas[0])
            .longest_wait(Duration::ZERO).clock(ManualClock::new()).try_build().unwrap();
        let largest = quotas.iter().map(Gcra::tolerance).max().unwrap();
        let mut oracle = Gcra { tat: 0, largest, wait: 0 };
        run(quotas, &steps, |quota, now, op, settled| {
            limiter.set_quota(*quota).unwrap();
            let at = Nanos::new(now);
            let d = match (op, settled) {
                (_, Some((charge, 0))) if matches!(op, Op::Refund(..)) => limiter.refund_at(charge, at),
                (_, Some((mut charge, units))) => limiter.settle_at(&mut charge, units, at),
                (Op::Charge(n), _) => limiter.check_n_at(n, at),
                _ => limiter.reset_at(at),
            };
            let want = oracle.ask(quota, now, op);
            let mut got = Answer::from(d);
            if settled.is_some() {
                got.wait = 0;
            }
            prop_assert_eq!(got, want.clone(), "{:?} at {} by {}", op, now, quota);
            Ok(want)
        })?;
    }

    /// Property 2. Refunds count when they are made.
    #[test]
    fn bounds_hold_net_of_refunds(steps in steps(false, false)) {
        let smooth_quota: Quota = "10/s burst 5".parse().unwrap();
        let exact_quota: Quota = "5/s".parse().unwrap();
        let smooth = KeyedLimiter::gcra(smooth_quota).clock(ManualClock::new()).capacity(1)
            .try_build().unwrap();
        let exact = KeyedLimiter::sliding_log(exact_quota).clock(ManualClock::new()).capacity(1)
            .try_build().unwrap();
        for log in [false, true] {
            let mut net: Vec<(u64, i64)> = Vec::new();
            let mut charges: Vec<Charge> = Vec::new();
            let mut now = 1000 * SECOND;
            for (by, _, step) in &steps {
                now = now.saturating_add_signed(by * 100_000_000);
                let at = Nanos::new(now);
                match step {
                    Step::Charge(n) => {
                        let d = if log { exact.check_n_at("k", *n, at) } else { smooth.check_n_at("k", *n, at) };
                        if let Some(charge) = d.charge() {
                            prop_assert_eq!((charge.units(), charge.at()), (*n, at));
                            charges.push(charge);
                            net.push((now, i64::try_from(*n).unwrap()));
                        }
                    }
                    Step::Refund(nth, _) if !charges.is_empty() => {
                        let charge = charges.remove(nth.index(charges.len()));
                        // What is really given back shows in what is left.
                        let left = |log| if log { exact.peek_at("k", at) } else { smooth.peek_at("k", at) };
                        let before = left(log).remaining();
                        if log {
                            let _ = exact.key("k").refund_at(charge, at);
                        } else {
                            let _ = smooth.key("k").refund_at(charge, at);
                        }
                        let back = left(log).remaining() - before;
                        prop_assert!(back <= charge.units());
                        net.push((now, -i64::try_from(back).unwrap()));
                    }
                    _ => {}
                }
            }
            for (i, (from, _)) in net.iter().enumerate() {
                let mut sum = 0;
                for (to, n) in &net[i..] {
                    sum += n;
                    let t = i64::try_from(to - from).unwrap();
                    if log {
                        prop_assert!(t >= 1_000_000_000 || sum <= 5, "{:?}", net);
                    } else {
                        prop_assert!(sum <= 5 + t / 100_000_000, "{:?}", net);
                    }
                }
            }
        }
    }

    /// Property 3.
    #[test]
    fn absent_keys_stay_absent(key in any::<u64>(), units in any::<u64>(), at in any::<u64>()) {
        let smooth = KeyedLimiter::gcra("1/min".parse().unwrap()).capacity(1)
            .clock(ManualClock::new()).on_saturation(OnSaturation::Deny).try_build().unwrap();
        let exact = KeyedLimiter::sliding_log("1/min".parse().unwrap()).capacity(1)
            .clock(ManualClock::new()).on_saturation(OnSaturation::Deny).try_build().unwrap();
        let charge = Charge::new(units, Nanos::new(at));
        let now = Nanos::new(5);
        let (a, b) = (smooth.hashed(key), exact.hashed(key));
        for d in [a.refund_at(charge, now), b.refund_at(charge, now), a.reset_at(now), b.reset_at(now),
            a.settle_at(&mut charge.clone(), 0, now), b.settle_at(&mut charge.clone(), 0, now)] {
            prop_assert!(d.is_allowed() && d.remaining() == 1 && d.full_after().is_zero());
        }
        prop_assert_eq!((smooth.gauges_at(now).live_keys(), exact.gauges_at(now).live_keys()), (0, 0));
    }

    /// Property 6. Somebody else is charged on the same key and never refunded.
    #[test]
    fn what_was_settled_can_be_given_back(
        others in 0..5_u64, ours in 1..5_u64, units in prop_oneof![0..40_u64, any::<u64>()],
        slow in any::<bool>(),
    ) {
        let quota: Quota = if slow { "10/d" } else { "10/s" }.parse().unwrap();
        let at = Nanos::new(SECOND);
        let smooth = KeyedLimiter::gcra(quota).clock(ManualClock::new()).epoch(Nanos::ZERO)
            .capacity(1).try_build().unwrap();
        let exact = KeyedLimiter::sliding_log(quota).clock(ManualClock::new()).epoch(Nanos::ZERO)
            .capacity(1).try_build().unwrap();
        let alone = Limiter::gcra(quota).clock(ManualClock::new()).epoch(Nanos::ZERO)
            .try_build().unwrap();
        let (smooth, exact) = (smooth.key("k"), exact.key("k"));
        let _ = (smooth.check_n_at(others, at), exact.check_n_at(others, at), alone.check_n_at(others, at));
        let charges = [smooth.check_n_at(ours, at), exact.check_n_at(ours, at), alone.check_n_at(ours, at)];
        let mut back = charges.map(|d| d.charge().unwrap());
        let [a, b, c] = &mut back;
        let settled = [smooth.settle_at(a, units, at), exact.settle_at(b, units, at),
            alone.settle_at(c, units, at)];
        prop_assert!(settled.iter().all(|d| d.charge().is_none() && d.is_allowed()));
        let left = back.map(|charge| charge.units());
        // By default a debt of two bursts is what there is room for.
        let most = [20 - others, 10 - others, 20 - others];
        prop_assert_eq!(left, most.map(|most| units.min(most)));
        let back = [smooth.refund_at(back[0], at), exact.refund_at(back[1], at),
            alone.refund_at(back[2], at)];
        prop_assert_eq!(back.map(|d| d.remaining()), [10 - others; 3]);
    }

    #[test]
    fn no_operation_panics(
        quota in 1..u64::MAX,
        ops in vec((any::<u64>(), any::<u64>(), any::<u64>(), 0..5_u8), 1..40),
    ) {
        let quota = Quota::with_burst(quota, Duration::from_secs(1), 1 + quota % 1000).unwrap();
        let smooth = KeyedLimiter::gcra(quota).clock(ManualClock::new()).capacity(1).try_build().unwrap();
        let exact = KeyedLimiter::sliding_log("3/s".parse().unwrap()).clock(ManualClock::new())
            .capacity(1).try_build().unwrap();
        for (now, units, at, op) in ops {
            for now in [now, now >> 20, u64::MAX] {
                let (now, charge) = (Nanos::new(now), Charge::new(units, Nanos::new(at)));
                let (a, b) = (smooth.key("k"), exact.key("k"));
                let both = match op {
                    0 => [a.check_n_at(units, now), b.check_n_at(units % 5, now)],
                    1 => [a.refund_at(charge, now), b.refund_at(charge, now)],
                    2 => [a.settle_at(&mut charge.clone(), at, now), b.settle_at(&mut charge.clone(), at, now)],
                    3 => [a.reserve_at(units % 2000, Duration::from_nanos(at), now), b.check_at(now)],
                    _ => [a.reset_at(now), b.reset_at(now)],
                };
                for d in both {
                    prop_assert!(d.remaining() <= d.limit());
                    let texts = [d.to_string(), format!("{d:?}")];
                    prop_assert!(texts.iter().all(|text| !text.is_empty()));
                }
            }
        }
    }
}
