//! The rules as policies ask them, each held against an oracle, one request after
//! another, with time that goes forward, stands, and goes back:
//!
//! 1. every answer to a charge, a look, an exhaustion, a refund, a forced charge and a
//!    reset is the oracle's, by quotas that change, alone in a table;
//! 2. a look says what a charge then says, and changes no word;
//! 3. who was denied and emptied has nothing, is let in exactly when told, and not a
//!    nanosecond earlier; who would pass is not emptied;
//! 4. who asks again and again, and is emptied each time, gets nothing until they pause;
//! 5. a counter admits fewer than 2L in any window, and 2L - 1 in one;
//! 6. in a table whose slots are fought over nobody gets more than alone.

use super::{
    Hash, Refused, Table,
    geometry::{Layout, Wide},
    rule::{Ask, Request, Rule},
    storage::Storage,
};
use crate::{
    Decision, Outcome, Quota,
    algorithm::{Calendar, Gcra, SlidingCounter, SlidingLog, Unit},
    sync::Ordering,
};
use oracle::{Answer, Op, Oracle, Ticks};
use proptest::{collection::vec, prelude::*, sample::Index};

mod oracle;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// One algorithm, with the quotas that its tables are asked by.
trait Case {
    type Rule: Rule<Answer = Decision>;
    type Oracle: Oracle + Clone;

    /// What times are drawn around: the quota's period, or the window.
    const SPAN: u64;

    fn rule() -> Self::Rule;
    /// The rule for one of three quotas, at a time in nanoseconds.
    fn by(rule: &Self::Rule, quota: usize, now: u64) -> Self::Rule;
    fn oracle() -> Self::Oracle;
}

struct Smooth;
struct Exact;
struct Counted;
struct Dated;

fn quotas<const N: usize>(texts: [&str; N]) -> [Quota; N] {
    texts.map(|text| text.parse().unwrap())
}

fn smooth() -> [Quota; 3] {
    quotas(["10/s burst 5", "3/s", "50/min burst 20"])
}

fn exact() -> [Quota; 3] {
    quotas(["5/s", "3/2s", "12/5s"])
}

fn counted() -> [Quota; 3] {
    quotas(["7/10s", "2/10s", "19/10s"])
}

impl Case for Smooth {
    type Rule = Gcra;
    type Oracle = oracle::Smooth;
    const SPAN: u64 = SECOND;

    fn rule() -> Gcra {
        Gcra::new(&smooth()[2], 30 * 16 * SECOND)
    }

    fn by(rule: &Gcra, quota: usize, _: u64) -> Gcra {
        rule.with_numbers(Gcra::new(&smooth()[quota], 0).numbers())
    }

    fn oracle() -> oracle::Smooth {
        oracle::Smooth::new(smooth(), 30 * 16 * Ticks::from(SECOND))
    }
}

impl Case for Exact {
    type Rule = SlidingLog;
    type Oracle = oracle::Exact;
    const SPAN: u64 = SECOND;

    fn rule() -> SlidingLog {
        SlidingLog::new(&exact()[0], 12, 5 * 16 * SECOND).unwrap()
    }

    fn by(rule: &SlidingLog, quota: usize, _: u64) -> SlidingLog {
        rule.with_numbers(SlidingLog::new(&exact()[quota], 0, 0).unwrap().numbers())
    }

    fn oracle() -> oracle::Exact {
        oracle::Exact::new(exact())
    }
}

impl Case for Counted {
    type Rule = SlidingCounter;
    type Oracle = oracle::Counted;
    const SPAN: u64 = 10 * SECOND;

    fn rule() -> SlidingCounter {
        SlidingCounter::new(&counted()[0], 19).unwrap()
    }

    fn by(rule: &SlidingCounter, quota: usize, _: u64) -> SlidingCounter {
        rule.with_numbers([counted()[quota].units(), 10 * 16 * SECOND, 0])
    }

    fn oracle() -> oracle::Counted {
        oracle::Counted::new(counted().map(|quota| quota.units()), Counted::SPAN)
    }
}

/// Units of the calendar's three quotas.
const DATED: [u64; 3] = [7, 2, 19];

/// Days of 23, 24 and 25 hours, over and over.
fn day_around(now: u64) -> (u64, u64) {
    let hour = 3600 * SECOND;
    let round = now - now % (72 * hour);
    let ends = [0, 23, 47, 72].map(|hours| round + hours * hour);
    let nth = ends.iter().rposition(|end| *end <= now).unwrap();
    (ends[nth], ends[nth + 1])
}

impl Case for Dated {
    type Rule = Calendar;
    type Oracle = oracle::Dated;
    const SPAN: u64 = DAY;

    fn rule() -> Calendar {
        Calendar::new(Unit::Day)
    }

    fn by(rule: &Calendar, quota: usize, now: u64) -> Calendar {
        let (start, end) = day_around(now);
        rule.with_numbers([DATED[quota], start * 16, end * 16])
    }

    fn oracle() -> oracle::Dated {
        oracle::Dated::new(DATED, day_around)
    }
}

/// A table for one key.
struct Alone<C: Case>(Table<C::Rule>);

impl<C: Case> Alone<C> {
    fn new() -> Self {
        Self(table::<C>(1))
    }

    fn ask(&self, quota: usize, now: u64, cost: u64, ask: Ask) -> Decision {
        let rule = C::by(self.0.rule(), quota, now);
        let request = Request::new(now * 16, cost).asking(ask);
        self.0.decide_by(&rule, Hash(7), &request).unwrap()
    }

    fn words(&self) -> Vec<u64> {
        self.0.storage.words().iter().map(|word| word.load(Ordering::Relaxed)).collect()
    }
}

fn table<C: Case>(keys: usize) -> Table<C::Rule> {
    let rule = C::rule();
    let layout = Layout::for_keys::<Wide>(keys, rule.ring_words()).unwrap();
    Table::on_heap(rule, layout).unwrap()
}

/// How time goes on before a request.
#[derive(Clone, Debug)]
enum Move {
    Stand,
    /// By so many nanoseconds.
    Nanos(i64),
    /// By so many thousandths of the span.
    Part(i64),
    /// To so many nanoseconds after (or before) a multiple of the span.
    Edge(i64),
}

fn moves(back: bool) -> impl Strategy<Value = Move> {
    let (nanos, part) = if back { (-9..9_i64, -600..900_i64) } else { (0..9_i64, 0..900_i64) };
    prop_oneof![
        4 => Just(Move::Stand),
        1 => nanos.prop_map(Move::Nanos),
        6 => part.prop_map(Move::Part),
        2 => if back { -3..3_i64 } else { 0..3_i64 }.prop_map(Move::Edge),
    ]
}

impl Move {
    fn from(&self, now: u64, span: u64) -> u64 {
        match *self {
            Self::Stand => now,
            Self::Nanos(by) => now.saturating_add_signed(by),
            Self::Part(part) => {
                now.saturating_add_signed(part * i64::try_from(span / 1000).unwrap())
            }
            Self::Edge(by) => now.next_multiple_of(span).saturating_add_signed(by),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Charge(u64),
    Force(u64),
    Look(u64),
    Exhaust(u64),
    Refund(Index, u64),
    Reset,
}

fn steps(back: bool) -> impl Strategy<Value = Vec<(Move, usize, Step)>> {
    let step = prop_oneof![
        8 => (0..8_u64).prop_map(Step::Charge),
        1 => (0..40_u64).prop_map(Step::Force),
        4 => (0..21_u64).prop_map(Step::Look),
        4 => (0..21_u64).prop_map(Step::Exhaust),
        3 => (any::<Index>(), 0..9_u64).prop_map(|(nth, n)| Step::Refund(nth, n)),
        1 => Just(Step::Reset),
    ];
    vec((moves(back), 0..3_usize, step), 1..80)
}

/// Properties 1 to 3.
fn agrees<C: Case>(steps: &[(Move, usize, Step)]) -> Result<(), TestCaseError> {
    let (alone, mut oracle) = (Alone::<C>::new(), C::oracle());
    let mut now = 1000 * C::SPAN + C::SPAN / 3;
    let mut latest = now;
    let mut charges: Vec<(u64, u64)> = Vec::new();
    for (by, quota, step) in steps {
        // Further back it may look like a fault.
        now = by.from(now, C::SPAN).max(latest.saturating_sub(DAY));
        latest = latest.max(now);
        let quota = *quota;
        let (op, cost, ask) = match step {
            Step::Charge(n) => (Op::Charge(*n), *n, Ask::Charge),
            Step::Force(n) => (Op::Force(*n), *n, Ask::Force),
            Step::Look(n) => (Op::Look(*n), *n, Ask::Look),
            Step::Exhaust(n) => (Op::Exhaust(*n), *n, Ask::Exhaust),
            Step::Reset => (Op::Reset, 1, Ask::Forget),
            Step::Refund(..) if charges.is_empty() => continue,
            Step::Refund(nth, n) => {
                let (units, at) = charges.remove(nth.index(charges.len()));
                let back = units.min(*n);
                let give_back = Ask::GiveBack { charged: at * 16, weight: 0 };
                (Op::Refund(back, at), back, give_back)
            }
        };
        let before = alone.words();
        let looked = alone.ask(quota, now, cost, Ask::Look);
        prop_assert!(before == alone.words(), "a look changes nothing");
        let decision = alone.ask(quota, now, cost, ask);
        let want = oracle.ask(quota, now, op);
        prop_assert_eq!(Answer::from(decision), want.clone(), "{:?} at {} by {}", op, now, quota);
        match op {
            Op::Look(_) => prop_assert!(before == alone.words()),
            Op::Charge(n) => {
                prop_assert_eq!(Answer::from(looked), want.clone());
                if n > 0 && decision.is_allowed() {
                    charges.push((n, now));
                }
            }
            Op::Exhaust(_) => {
                prop_assert_eq!(looked.outcome(), decision.outcome());
                if decision.outcome() == Outcome::Later {
                    prop_assert_eq!(decision.remaining(), 0);
                    prop_assert!(looked.retry_after() <= decision.retry_after());
                } else {
                    prop_assert!(before == alone.words());
                }
            }
            _ => {}
        }
        if let Some(wait) = want.retry {
            let then = now + u64::try_from(wait).unwrap();
            prop_assert!(alone.ask(quota, then, cost, Ask::Look).is_allowed());
            prop_assert!(alone.ask(quota, then - 1, cost, Ask::Look).is_denied());
        }
    }
    Ok(())
}

/// Property 4: a client that asks every so often, and is emptied when denied.
fn hammering_gets_nothing<C: Case>(cost: u64, every: u64) {
    let alone = Alone::<C>::new();
    let mut now = 1000 * C::SPAN + C::SPAN / 7;
    while alone.ask(0, now, 1, Ask::Charge).is_allowed() {}
    let mut wait = 0;
    for _ in 0..500 {
        let denied = alone.ask(0, now, cost, Ask::Exhaust);
        assert_eq!((denied.outcome(), denied.remaining()), (Outcome::Later, 0));
        wait = u64::try_from(denied.retry_after().unwrap().as_nanos()).unwrap();
        assert!(wait > every);
        now += every;
    }
    now -= every;
    assert!(alone.ask(0, now + wait - 1, cost, Ask::Look).is_denied());
    assert!(alone.ask(0, now + wait, cost, Ask::Charge).is_allowed());
}

#[test]
fn who_hammers_gets_nothing() {
    for cost in [1, 3, 5] {
        hammering_gets_nothing::<Smooth>(cost, 50_000_000);
        // The whole window, however few units are asked for.
        hammering_gets_nothing::<Exact>(cost, SECOND - 1);
        hammering_gets_nothing::<Dated>(cost, SECOND);
        hammering_gets_nothing::<Counted>(cost, 1);
    }
}

/// The whole window after the last denial of a log, n intervals of GCRA.
#[test]
fn the_wait_of_who_was_emptied() {
    let smooth = Alone::<Smooth>::new();
    let exact = Alone::<Exact>::new();
    let now = DAY;
    assert!(smooth.ask(0, now, 5, Ask::Charge).is_allowed());
    assert!(exact.ask(0, now, 5, Ask::Charge).is_allowed());
    let later = now + SECOND / 4;
    let millis = |d: Decision| d.retry_after().unwrap().as_millis();
    // Of five, two and a half are back: that is taken again, and three are not.
    assert_eq!(millis(smooth.ask(0, later, 3, Ask::Exhaust)), 300);
    assert_eq!(millis(exact.ask(0, later, 1, Ask::Exhaust)), 1000);
}

/// More than there ever is denies for good, and empties nothing.
#[test]
fn what_never_passes_empties_nothing() {
    fn case<C: Case>() {
        let alone = Alone::<C>::new();
        let now = 100 * C::SPAN;
        for charged in [0, 1] {
            let _ = alone.ask(0, now, charged, Ask::Charge);
            let before = alone.words();
            assert_eq!(alone.ask(0, now, 1000, Ask::Exhaust).outcome(), Outcome::Never);
            assert_eq!(alone.ask(0, now, u64::MAX, Ask::Look).outcome(), Outcome::Never);
            assert!(before == alone.words());
        }
    }
    case::<Smooth>();
    case::<Exact>();
    case::<Counted>();
    case::<Dated>();
}

/// Property 5: the error is what the documentation says.
#[test]
fn a_counter_reaches_its_error() {
    for units in [1_u64, 2, 7, 1000] {
        let quota = Quota::new(units, std::time::Duration::from_secs(1)).unwrap();
        let rule = SlidingCounter::new(&quota, 0).unwrap();
        let layout = Layout::for_keys::<Wide>(1, rule.ring_words()).unwrap();
        let table: Table<_> = Table::on_heap(rule, layout).unwrap();
        let ask = |now: u64, cost| table.decide(Hash(7), &Request::new(now * 16, cost)).unwrap();
        // All in the last nanosecond of a window, and then as it comes back.
        let last = 100 * SECOND - 1;
        assert!(ask(last, units).is_allowed());
        let mut got = units;
        let mut now = last;
        while let Some(wait) = ask(now, 1).retry_after() {
            now += u64::try_from(wait.as_nanos()).unwrap();
            if now >= last + SECOND {
                break;
            }
            assert!(ask(now, 1).is_allowed());
            got += 1;
        }
        assert_eq!(got, 2 * units - 1);
    }
}

/// Clocks of weeks ahead, or damage: full, and as good as new after that.
fn faults_are_full<C: Case>(full_for: u64) {
    let alone = Alone::<C>::new();
    let (far, now) = (1000 * C::SPAN + 60 * DAY, 1000 * C::SPAN + C::SPAN / 3);
    assert!(alone.ask(0, far, 2, Ask::Charge).is_allowed());
    let ask = |now: u64, cost, ask| {
        let rule = C::by(alone.0.rule(), 0, now);
        let request = Request::new(now * 16, cost).asking(ask);
        match alone.0.decide_by(&rule, Hash(7), &request) {
            Err(Refused::Fault) => {
                alone.0.decide_by(&rule, Hash(7), &request.repairing(now * 16)).unwrap()
            }
            answer => answer.unwrap(),
        }
    };
    let before = alone.words();
    let look = ask(now, 1, Ask::Look);
    assert_eq!(look.outcome(), Outcome::Later);
    assert_eq!(ask(now, 0, Ask::Charge).remaining(), 0);
    assert!(before == alone.words(), "no look repairs");
    assert_eq!(ask(now, 1, Ask::Charge).retry_after(), look.retry_after());
    assert!(before != alone.words());
    assert!(ask(now + full_for, 2, Ask::Charge).is_allowed());
    assert!(ask(now + full_for, 1, Ask::Look).remaining() <= 4);
}

#[test]
fn states_that_no_clock_explains_are_full() {
    faults_are_full::<Smooth>(30 * SECOND);
    faults_are_full::<Exact>(5 * SECOND);
    faults_are_full::<Counted>(20 * SECOND);
    faults_are_full::<Dated>(DAY);
}

/// The reader whose clock is behind who reclaimed the key's slot.
#[test]
fn a_calendar_says_that_the_window_is_over() {
    let table = table::<Dated>(1);
    let (start, end) = day_around(100 * DAY);
    let ask = |key: u64, now: u64, cost, ask| {
        let rule = Dated::by(table.rule(), 0, now);
        table.decide_by(&rule, Hash(1 + key), &Request::new(now * 16, cost).asking(ask))
    };
    // One bucket: all its slots are taken today, and one of them tomorrow.
    let mut keys = 0;
    while ask(keys, start, 1, Ask::Charge).is_ok() {
        keys += 1;
    }
    assert!((0..keys).all(|key| ask(key, end - 1, 7, Ask::Look).unwrap().is_denied()));
    for other in keys..2 * keys {
        assert!(ask(other, end, 1, Ask::Charge).unwrap().is_allowed());
    }
    for what in [Ask::Charge, Ask::Look, Ask::Exhaust] {
        let late = ask(0, end - 5, 3, what).unwrap();
        assert_eq!(late.retry_after().unwrap().as_nanos(), 5);
        assert!(late.remaining() >= 3);
    }
    // Refunded to nothing the slots stay taken until their day is over.
    let (_, next) = day_around(end);
    for other in keys..2 * keys {
        let charged = Ask::GiveBack { charged: end * 16, weight: 0 };
        assert_eq!(ask(other, end, 1, charged).unwrap().remaining(), 7);
    }
    assert!(matches!(ask(0, next - 1, 1, Ask::Charge), Err(Refused::Saturated { .. })));
    assert!(ask(0, next, 1, Ask::Charge).unwrap().is_allowed());
}

/// Property 6, as each key's own oracle would have it that saw only what was admitted.
fn contended<C: Case>(steps: &[(Move, usize, u64, Ask)]) -> Result<(), TestCaseError> {
    let table = table::<C>(1);
    let mut alone = vec![C::oracle(); 60];
    let mut now = 1000 * C::SPAN;
    for (by, key, cost, ask) in steps {
        now = by.from(now, C::SPAN);
        let rule = C::by(table.rule(), 0, now);
        let request = Request::new(now * 16, *cost).asking(*ask);
        let hash = Hash((*key as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let Ok(decision) = table.decide_by(&rule, hash, &request) else { continue };
        let passes = alone[*key].ask(0, now, Op::Look(*cost)).outcome == Outcome::Allowed;
        prop_assert!(decision.is_denied() || passes || *ask != Ask::Charge && *cost == 0);
        if *ask == Ask::Charge && decision.is_allowed() {
            let _ = alone[*key].ask(0, now, Op::Charge(*cost));
        }
    }
    Ok(())
}

fn crowds() -> impl Strategy<Value = Vec<(Move, usize, u64, Ask)>> {
    let ask = prop_oneof![6 => Just(Ask::Charge), 1 => Just(Ask::Look), 1 => Just(Ask::Exhaust)];
    vec((moves(true), 0..60_usize, 0..8_u64, ask), 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gcra_is_the_oracle(steps in steps(true)) {
        agrees::<Smooth>(&steps)?;
    }

    #[test]
    fn log_is_the_oracle(steps in steps(true)) {
        agrees::<Exact>(&steps)?;
    }

    #[test]
    fn counter_is_the_oracle(steps in steps(true)) {
        agrees::<Counted>(&steps)?;
    }

    #[test]
    fn calendar_is_the_oracle(steps in steps(true)) {
        agrees::<Dated>(&steps)?;
    }

    #[test]
    fn contended_slots_give_no_credit(steps in crowds()) {
        contended::<Smooth>(&steps)?;
        contended::<Exact>(&steps)?;
        contended::<Counted>(&steps)?;
        contended::<Dated>(&steps)?;
    }

    /// Property 5. The bound is for each admission: L + before * e / P.
    #[test]
    fn a_counter_keeps_its_error(requests in vec((moves(false), 1..8_u64), 1..150)) {
        let alone = Alone::<Counted>::new();
        let (span, units) = (Counted::SPAN, 7);
        let mut now = 1000 * span;
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (by, cost) in &requests {
            now = by.from(now, span);
            if alone.ask(0, now, *cost, Ask::Charge).is_allowed() {
                admitted.push((now, *cost));
            }
        }
        let sum = |from: u64, to: u64| -> u64 {
            admitted.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, n)| n).sum()
        };
        for (at, _) in &admitted {
            // The window that ends with this one.
            let inside = sum((at + 1).saturating_sub(span), at + 1);
            let start = at - at % span;
            let before = sum(start - span, start);
            prop_assert!(inside * span <= units * span + before * (at - start));
            prop_assert!(inside < 2 * units);
            prop_assert!(sum(start, start + span) <= units);
        }
    }

    /// Whatever the numbers, there is an answer.
    #[test]
    fn nothing_panics(
        units in prop_oneof![1..10_u64, 1..u64::MAX], period in prop_oneof![Just(SECOND), SECOND..DAY, Just(1600 * DAY)],
        asks in vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<[u64; 3]>(), 0..6_u8), 1..40),
    ) {
        let calendar = table::<Dated>(1);
        let counted = Quota::new(1 + units % 8_589_934_591, std::time::Duration::from_nanos(period)).ok()
            .and_then(|quota| SlidingCounter::new(&quota, 0))
            .map(|rule| {
                let layout = Layout::for_keys::<Wide>(1, rule.ring_words()).unwrap();
                Table::<_>::on_heap(rule, layout).unwrap()
            });
        for (now, cost, charged, numbers, what) in asks {
            let ask = match what {
                0 => Ask::Charge,
                1 => Ask::Force,
                2 => Ask::Look,
                3 => Ask::Exhaust,
                4 => Ask::GiveBack { charged, weight: cost },
                _ => Ask::Forget,
            };
            for now in [now, now >> 4, now >> 20].map(|now| now.min(calendar.rule().last_now())) {
                for cost in [cost, cost % 10] {
                    let request = Request::new(now, cost).asking(ask);
                    let rule = calendar.rule().with_numbers([numbers[0], numbers[1] >> 4, numbers[2] >> 4]);
                    for request in [request, request.repairing(now)] {
                        if let Ok(d) = calendar.decide_by(&rule, Hash(1), &request) {
                            prop_assert!(d.remaining() <= d.limit());
                        }
                        if let Some(Ok(d)) = counted.as_ref().map(|table| {
                            let now = request.now.min(table.rule().last_now());
                            table.decide(Hash(1), &Request { now, latest: request.latest.max(now), ..request })
                        }) {
                            prop_assert!(d.remaining() <= d.limit());
                            prop_assert!(d.retry_after() != Some(std::time::Duration::ZERO));
                        }
                    }
                }
            }
        }
    }
}
