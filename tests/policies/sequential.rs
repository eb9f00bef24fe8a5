//! Any sequence of requests, refunds and corrections, against lists of stamps.

use crate::{policy, start};
use proptest::prelude::*;
use std::{collections::HashMap, time::Duration};
use tollgate::{
    Outcome,
    policy::{Algorithm, Moment, PolicyDecision, Request},
};

const POLICY: &str = r#"
    [attribute.user]
    [attribute.org]
    [attribute.tier]
    values = ["pro"]

    [[limit]]
    name = "log"
    key = ["user"]
    quota = "4/10s"

    [[limit]]
    name = "smooth"
    key = ["org", "user"]
    algorithm = "gcra"
    quota = "3/6s burst 5"

    [[limit]]
    name = "minute"
    key = []
    algorithm = "calendar"
    quota = "9/min"

    [[limit]]
    name = "size"
    key = []
    algorithm = "size"
    quota = 100
    cost = "bytes"

    [[limit]]
    name = "tokens"
    key = ["user"]
    algorithm = "gcra"
    quota = "30/30s"
    cost = "tokens"
    missing = "skip"

    [[limit]]
    name = "shadow"
    key = ["user"]
    quota = "2/5s"
    mode = "shadow"

    [[limit]]
    name = "strict"
    group = "plan"
    fallback = true
    key = ["user"]
    quota = "6/20s"
    charge_denied = true

    [[limit]]
    name = "pro"
    group = "plan"
    when = { tier = ["pro"] }
    key = ["user"]
    quota = "7/20s"
"#;

const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Copy)]
enum Kind {
    Log { units: u64, period: u64 },
    Smooth { interval: u64, burst: u64 },
    Minute { units: u64 },
    Size { most: u64 },
}

const KINDS: [(&str, Kind); 8] = [
    ("log", Kind::Log { units: 4, period: 10 * SECOND }),
    ("smooth", Kind::Smooth { interval: 2 * SECOND, burst: 5 }),
    ("minute", Kind::Minute { units: 9 }),
    ("size", Kind::Size { most: 100 }),
    ("tokens", Kind::Smooth { interval: SECOND, burst: 30 }),
    ("shadow", Kind::Log { units: 2, period: 5 * SECOND }),
    ("strict", Kind::Log { units: 6, period: 20 * SECOND }),
    ("pro", Kind::Log { units: 7, period: 20 * SECOND }),
];

/// Of one key: the stamps of its units, or the time at which all is paid. Times are in
/// nanoseconds since the policy's beginning, where a minute began.
#[derive(Clone, Default)]
struct State {
    stamps: Vec<u64>,
    paid: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    outcome: Outcome,
    remaining: u64,
    /// Nanoseconds.
    retry: Option<u64>,
}

impl State {
    fn live(&self, kind: Kind, now: u64) -> Vec<u64> {
        let lives = |stamp: &u64| match kind {
            Kind::Log { period, .. } => stamp + period > now,
            _ => stamp / (60 * SECOND) == now / (60 * SECOND),
        };
        self.stamps.iter().copied().filter(lives).collect()
    }

    fn remaining(&self, kind: Kind, now: u64) -> u64 {
        let live = self.live(kind, now).len() as u64;
        match kind {
            Kind::Log { units, .. } | Kind::Minute { units } => units.saturating_sub(live),
            Kind::Smooth { interval, burst } => {
                burst.saturating_sub(self.paid.saturating_sub(now).div_ceil(interval))
            }
            Kind::Size { most } => most,
        }
    }

    fn look(&self, kind: Kind, now: u64, n: u64) -> Answer {
        let remaining = self.remaining(kind, now);
        let answer = |outcome, retry| Answer { outcome, remaining, retry };
        let (Kind::Log { units: most, .. }
        | Kind::Minute { units: most }
        | Kind::Smooth { burst: most, .. }
        | Kind::Size { most }) = kind;
        if n > most {
            return answer(Outcome::Never, None);
        }
        if n <= remaining {
            return answer(Outcome::Allowed, None);
        }
        // What it would take is looked for, not computed.
        let passes = |at: &u64| self.remaining(kind, *at) >= n;
        let leaves: Vec<u64> = match kind {
            Kind::Log { period, .. } => self.stamps.iter().map(|stamp| stamp + period).collect(),
            Kind::Smooth { interval, .. } => {
                (0..200).map(|nth| self.paid.saturating_sub(nth * interval)).collect()
            }
            _ => vec![(now / (60 * SECOND) + 1) * 60 * SECOND],
        };
        let at = leaves.into_iter().filter(|at| *at > now).filter(passes).min().unwrap();
        answer(Outcome::Later, Some(at - now))
    }

    fn force(&mut self, kind: Kind, now: u64, n: u64) {
        match kind {
            Kind::Smooth { interval, .. } => self.paid = self.paid.max(now) + n * interval,
            Kind::Size { .. } => {}
            _ => {
                self.stamps = self.live(kind, now);
                self.stamps.extend((0..n).map(|_| now));
            }
        }
    }

    fn exhaust(&mut self, kind: Kind, now: u64) {
        let Kind::Log { units, .. } = kind else { unreachable!() };
        let n = usize::try_from(units).unwrap().max(self.live(kind, now).len());
        self.stamps = vec![now; n];
    }

    fn give_back(&mut self, kind: Kind, now: u64, n: u64, charged: u64) {
        let live = self.live(kind, now);
        match kind {
            Kind::Smooth { interval, burst } => {
                // What was charged so long ago is paid, whatever came after.
                if self.paid > now && charged + 2 * burst * interval > now {
                    self.paid = (self.paid.saturating_sub(n * interval)).max(now);
                }
            }
            Kind::Size { .. } => {}
            Kind::Log { period, .. } if charged + period <= now => {}
            Kind::Minute { .. } if charged / (60 * SECOND) != now / (60 * SECOND) => {}
            _ => {
                let n = live.len().min(usize::try_from(n).unwrap());
                self.stamps = live[n..].to_vec();
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    user: usize,
    org: usize,
    pro: bool,
    bytes: u64,
    tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Ask(Ask),
    Refund(prop::sample::Index),
    Settle(prop::sample::Index, u64),
    /// So many nanoseconds pass.
    Wait(u64),
    /// The last request again, when it was told to come.
    Retry,
}

const USERS: [&str; 2] = ["ann", "bob"];
const ORGS: [&str; 2] = ["x", "y"];

impl Ask {
    /// The limits that apply: number, key, units, shadow.
    fn limits(self) -> Vec<(usize, (usize, usize, usize), u64)> {
        let user = (self.user, 9);
        let mut limits = vec![
            (0, user, 1),
            (1, (self.user, self.org), 1),
            (2, (9, 9), 1),
            (3, (9, 9), self.bytes),
        ];
        limits.extend(self.tokens.map(|tokens| (4, user, tokens)));
        limits.push((5, user, 1));
        limits.push((if self.pro { 7 } else { 6 }, user, 1));
        limits.into_iter().map(|(limit, (a, b), units)| (limit, (limit, a, b), units)).collect()
    }

    fn tell(self, request: Request<'_>) -> Request<'_> {
        let request = request
            .attribute("user", USERS[self.user])
            .attribute("org", ORGS[self.org])
            .cost("bytes", self.bytes);
        let request = if self.pro { request.attribute("tier", "pro") } else { request };
        self.tokens.into_iter().fold(request, |request, tokens| request.cost("tokens", tokens))
    }
}

#[derive(Default)]
struct Oracle {
    states: HashMap<(usize, usize, usize), State>,
}

const SHADOW: usize = 5;
const STRICT: usize = 6;

impl Oracle {
    /// The answer of each limit, in the order of the file, and of all of them.
    fn ask(&mut self, ask: Ask, now: u64) -> (Outcome, Option<u64>, Vec<(usize, Answer)>) {
        let limits = ask.limits();
        let look = |oracle: &mut Self, (limit, key, units): (usize, _, u64)| {
            oracle.states.entry(key).or_default().look(KINDS[limit].1, now, units)
        };
        let looks: Vec<Answer> = limits.iter().map(|one| look(self, *one)).collect();
        let no =
            |limit: usize, answer: &Answer| limit != SHADOW && answer.outcome != Outcome::Allowed;
        let denied = limits.iter().zip(&looks).any(|((limit, ..), answer)| no(*limit, answer));
        let mut answers = Vec::new();
        let (mut never, mut longest) = (false, 0);
        for ((limit, key, units), mut answer) in limits.into_iter().zip(looks) {
            let kind = KINDS[limit].1;
            let state = self.states.entry(key).or_default();
            if answer.outcome == Outcome::Allowed {
                if !denied {
                    state.force(kind, now, units);
                }
                answer.remaining = state.remaining(kind, now);
            } else if no(limit, &answer) {
                if limit == STRICT && answer.outcome == Outcome::Later {
                    state.exhaust(kind, now);
                    answer = state.look(kind, now, units);
                }
                never |= answer.outcome == Outcome::Never;
                longest = longest.max(answer.retry.unwrap_or(0));
            }
            answers.push((limit, answer));
        }
        match (denied, never) {
            (false, _) => (Outcome::Allowed, None, answers),
            (true, true) => (Outcome::Never, None, answers),
            (true, false) => (Outcome::Later, Some(longest), answers),
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}

/// What a limit was charged: limit, key, units and when.
type Charged = (usize, (usize, usize, usize), u64, u64);

/// One that was answered, and what it holds by the oracle: units and when of each limit.
struct Past<'p> {
    decision: PolicyDecision<'p>,
    charged: Vec<Charged>,
}

struct Run<'p> {
    policy: &'p tollgate::policy::Policy,
    oracle: Oracle,
    past: Vec<Past<'p>>,
    now: u64,
    last: Option<(Ask, Outcome, Option<u64>, bool)>,
}

impl Run<'_> {
    fn moment(&self) -> Moment {
        start().after(Duration::from_nanos(self.now))
    }

    fn ask(&mut self, ask: Ask) -> Result<Outcome, TestCaseError> {
        let request = ask.tell(self.policy.request("GET", "/"));
        // Leaves no trace: of what comes after, the oracle knows nothing of it.
        let peeked = self.policy.peek_at(&request, self.moment());
        let decision = self.policy.check_at(&request, self.moment());
        let (outcome, retry, answers) = self.oracle.ask(ask, self.now);
        peeks_as_it_checks(&peeked, &decision)?;
        prop_assert_eq!(decision.outcome(), outcome, "{:?} {:?}", ask, decision);
        prop_assert_eq!(decision.retry_after().map(nanos), retry, "{:?} {:?}", ask, decision);
        prop_assert_eq!(decision.limits().len(), answers.len());
        for (limit, (number, answer)) in decision.limits().zip(&answers) {
            let name = KINDS[*number].0;
            let d = limit.decision();
            let real = Answer {
                outcome: d.outcome(),
                remaining: d.remaining(),
                retry: d.retry_after().map(nanos),
            };
            prop_assert_eq!(limit.name(), name);
            prop_assert_eq!(limit.is_shadow(), *number == SHADOW);
            prop_assert_eq!(limit.is_violated(), answer.outcome != Outcome::Allowed, "{}", name);
            prop_assert_eq!(real, *answer, "{} {:?} at {}", name, ask, self.now);
        }
        let strict = answers
            .iter()
            .any(|(number, answer)| *number == STRICT && answer.outcome != Outcome::Allowed);
        let charged = ask.limits().into_iter().zip(&answers).filter_map(|(one, (_, answer))| {
            let (limit, key, units) = one;
            let held = outcome == Outcome::Allowed && answer.outcome == Outcome::Allowed;
            held.then_some((limit, key, units, self.now))
        });
        self.past.push(Past { decision, charged: charged.collect() });
        self.last = Some((ask, outcome, retry, strict));
        Ok(outcome)
    }

    fn step(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Ask(ask) => {
                self.ask(ask)?;
            }
            Op::Wait(span) => (self.now, self.last) = (self.now + span, None),
            Op::Retry => {
                let Some((ask, Outcome::Later, Some(wait), strict)) = self.last else {
                    return Ok(());
                };
                let then = self.now + wait;
                // Whoever is emptied by denials is told to come later each time.
                if !strict {
                    self.now = then - 1;
                    prop_assert_eq!(self.ask(ask)?, Outcome::Later, "a nanosecond too early");
                }
                self.now = then;
                prop_assert_eq!(self.ask(ask)?, Outcome::Allowed, "when it was told to come");
            }
            Op::Refund(index) if !self.past.is_empty() => {
                let (now, moment) = (self.now, self.moment());
                let past = index.get_mut(&mut self.past);
                past.decision.refund_at(moment);
                for (limit, key, units, charged) in past.charged.drain(..) {
                    let state = self.oracle.states.entry(key).or_default();
                    state.give_back(KINDS[limit].1, now, units, charged);
                }
                self.last = None;
            }
            Op::Settle(index, units) if !self.past.is_empty() => {
                let (now, moment) = (self.now, self.moment());
                let past = index.get_mut(&mut self.past);
                past.decision.settle_at("tokens", units, moment);
                for (limit, key, held, charged) in &mut past.charged {
                    if *limit == 4 {
                        let (kind, state) =
                            (KINDS[4].1, self.oracle.states.entry(*key).or_default());
                        if units > *held {
                            // There is room for a debt of twice the burst.
                            let owed = state.paid.saturating_sub(now);
                            let more = (units - *held).min((60 * SECOND - owed) / SECOND);
                            state.force(kind, now, more);
                            *held += more;
                        } else {
                            state.give_back(kind, now, *held - units, *charged);
                            *held = units;
                        }
                    }
                }
                self.last = None;
            }
            Op::Refund(_) | Op::Settle(..) => {}
        }
        Ok(())
    }
}

/// A peek says what the check after it says, and tells what there was before that.
fn peeks_as_it_checks(
    peeked: &PolicyDecision<'_>,
    checked: &PolicyDecision<'_>,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(peeked.outcome(), checked.outcome());
    prop_assert_eq!(peeked.cause(), checked.cause());
    prop_assert_eq!(peeked.limits().len(), checked.limits().len());
    let strict = |d: &PolicyDecision<'_>| d.limit(KINDS[STRICT].0).is_some_and(|l| l.is_violated());
    // It is not emptied, and so there is less to wait for.
    if !strict(checked) {
        prop_assert_eq!(peeked.retry_after(), checked.retry_after());
    }
    for (before, after) in peeked.limits().zip(checked.limits()) {
        prop_assert_eq!(before.name(), after.name());
        prop_assert_eq!(before.is_violated(), after.is_violated());
        prop_assert_eq!((before.units(), before.is_shadow()), (after.units(), after.is_shadow()));
        prop_assert_eq!(before.decision().charge(), None);
        // A size is compared, and a quota that there is not is not counted.
        let counts = !after.is_unlimited() && after.algorithm() != Algorithm::Size;
        let charged = checked.is_allowed() && !after.is_violated() && counts;
        let units = if charged { after.units() } else { 0 };
        if after.name() != KINDS[STRICT].0 || !after.is_violated() {
            let (before, after) = (before.decision().remaining(), after.decision().remaining());
            prop_assert_eq!(before, after + units);
        }
    }
    Ok(())
}

fn ops() -> impl Strategy<Value = Op> {
    let ask = (0..2_usize, 0..2_usize, prop::bool::weighted(0.3), 0..110_u64, 0..40_u64).prop_map(
        |(user, org, pro, bytes, tokens)| Ask {
            user,
            org,
            pro,
            bytes: if bytes > 104 { bytes } else { bytes % 100 },
            tokens: (tokens > 3).then_some(if tokens > 34 { tokens } else { tokens % 9 }),
        },
    );
    prop_oneof![
        10 => ask.prop_map(Op::Ask),
        2 => any::<prop::sample::Index>().prop_map(Op::Refund),
        2 => (any::<prop::sample::Index>(), 0..20_u64).prop_map(|(i, n)| Op::Settle(i, n)),
        3 => (0..4 * SECOND).prop_map(Op::Wait),
        1 => Just(Op::Wait(0)),
        1 => (0..70 * SECOND).prop_map(Op::Wait),
        2 => Just(Op::Retry),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_decision_is_the_oracles(ops in prop::collection::vec(ops(), 1..120)) {
        let policy = policy(POLICY);
        let mut run =
            Run { policy: &policy, oracle: Oracle::default(), past: Vec::new(), now: 0, last: None };
        for op in ops {
            run.step(op)?;
        }
    }
}
