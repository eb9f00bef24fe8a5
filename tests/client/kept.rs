//! A limit is kept, whatever the network does: requests and answers take any time,
//! overtake each other, and get lost. The servers are as obvious as they can be.

use proptest::prelude::*;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tollgate::{
    ManualClock, Nanos, Quota,
    client::{Advice, Answered, Call, Jitter, Pacer, PacerBuilder, Step},
};

const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Tells when the oldest unit leaves the window.
    SlidingNext,
    /// Tells when all units have left.
    SlidingFull,
    /// From one multiple of the period to the next.
    Fixed,
    /// The sliding one in the IETF draft's fields.
    Draft,
}

/// At most `n` in any period, or in each.
struct Server {
    kind: Kind,
    n: usize,
    period: u64,
    admitted: Vec<u64>,
}

impl Server {
    fn counted(&self, now: u64) -> &[u64] {
        let first = match self.kind {
            Kind::Fixed => now / self.period * self.period,
            _ => (now + 1).saturating_sub(self.period),
        };
        let at = self.admitted.partition_point(|at| *at < first);
        &self.admitted[at..]
    }

    fn answer(&mut self, now: u64) -> (u16, Vec<(&'static str, String)>) {
        let passes = self.counted(now).len() < self.n;
        if passes {
            self.admitted.push(now);
        }
        let counted = self.counted(now);
        let end = |at: Option<&u64>| at.map_or(0, |at| at + self.period - now);
        let next = match self.kind {
            Kind::Fixed => self.period - now % self.period,
            _ => end(counted.first()),
        };
        let reset = if matches!(self.kind, Kind::SlidingFull) { end(counted.last()) } else { next };
        let (left, reset) = (self.n - counted.len(), reset.div_ceil(SECOND));
        let mut fields = match self.kind {
            Kind::Draft => vec![
                ("RateLimit-Policy", format!("\"a\";q={};w={}", self.n, self.period / SECOND)),
                ("RateLimit", format!("\"a\";r={left};t={reset}")),
            ],
            _ => vec![
                ("X-RateLimit-Limit", self.n.to_string()),
                ("X-RateLimit-Remaining", left.to_string()),
                ("X-RateLimit-Reset", reset.to_string()),
            ],
        };
        if !passes {
            fields.push(("Retry-After", next.div_ceil(SECOND).to_string()));
        }
        (if passes { 200 } else { 429 }, fields)
    }
}

enum Event {
    Ask,
    Arrives,
    Returns(Option<(u16, Vec<(&'static str, String)>)>),
}

#[derive(Clone, Debug)]
struct Run {
    kind: Kind,
    n: usize,
    period: u64,
    units: usize,
    callers: usize,
    in_flight: usize,
    share: f64,
    /// The longest way there, or back, in thousandths of the period.
    slowest: u64,
    /// Every so many calls one gets no answer.
    lost_every: usize,
    seed: u64,
}

/// How many were denied, how many answers got lost, and when each was admitted.
fn run(run: &Run, known: Option<Quota>) -> (usize, usize, Vec<u64>) {
    let clock = Arc::new(ManualClock::new());
    let mut built: PacerBuilder<_> = Pacer::builder()
        .clock(Arc::clone(&clock))
        .jitter(Jitter::seeded(run.seed))
        .in_flight(run.in_flight)
        .slow_below(run.share);
    if let Some(quota) = known {
        built = built.quota(quota);
    }
    let pacer = built.build();
    let mut server = Server { kind: run.kind, n: run.n, period: run.period, admitted: Vec::new() };
    let mut random = Jitter::seeded(run.seed ^ 1);
    let mut way = || {
        let most = Duration::from_nanos(run.period / 1000 * run.slowest);
        u64::try_from(random.up_to(most).as_nanos()).unwrap() + 1
    };
    let (mut heap, mut events) = (BinaryHeap::new(), Vec::new());
    let mut calls: Vec<Call<_>> = (0..run.callers.min(run.units)).map(|_| pacer.call()).collect();
    let (mut begun, mut sent, mut denied) = (calls.len(), 0, 0);
    let mut busy = VecDeque::new();
    let mut todo: Vec<(u64, usize, Event)> =
        (0..calls.len()).map(|caller| (0, caller, Event::Ask)).collect();
    loop {
        for (at, caller, event) in todo.drain(..) {
            heap.push(Reverse((at, events.len())));
            events.push(Some((caller, event)));
            assert!(events.len() < 100_000, "it goes on for ever");
        }
        let Some(Reverse((now, number))) = heap.pop() else { break };
        clock.set(Nanos::new(now));
        let (caller, event) = events[number].take().unwrap();
        match event {
            Event::Ask => match calls[caller].step() {
                Step::Go => todo.push((now + way(), caller, Event::Arrives)),
                Step::Wait(wait) => {
                    let wait = u64::try_from(wait.as_nanos()).unwrap();
                    todo.push((now + wait, caller, Event::Ask));
                }
                Step::Busy => busy.push_back(caller),
                Step::End => panic!("the total is not over"),
            },
            Event::Arrives => {
                sent += 1;
                let answer = server.answer(now);
                denied += usize::from(answer.0 == 429);
                let lost = sent % run.lost_every == 0;
                let answer = (!lost).then_some(answer);
                todo.push((now + way(), caller, Event::Returns(answer)));
            }
            Event::Returns(answer) => {
                let wall = UNIX_EPOCH + Duration::from_nanos(now);
                let again = answer.is_some_and(|(status, fields)| {
                    calls[caller].answered(status, fields, wall) == Answered::Again
                });
                if again {
                    todo.push((now, caller, Event::Ask));
                } else if begun < run.units {
                    begun += 1;
                    calls[caller] = pacer.call();
                    todo.push((now, caller, Event::Ask));
                } else {
                    // Gone without an answer, perhaps.
                    calls[caller] = pacer.call();
                }
                todo.extend(busy.drain(..).map(|caller| (now, caller, Event::Ask)));
            }
        }
    }
    assert!(busy.is_empty(), "callers that nobody wakes");
    assert_eq!(pacer.in_flight(), 0);
    (denied, sent / run.lost_every, server.admitted)
}

fn runs() -> impl Strategy<Value = Run> {
    let kind =
        prop::sample::select(vec![Kind::SlidingNext, Kind::SlidingFull, Kind::Fixed, Kind::Draft]);
    let sizes = (1_usize..40, 1_u64..120, 1_usize..200, 1_usize..20, 1_usize..20);
    let rest = (0.0..1.0, 0_u64..2000, 2_usize..60, any::<u64>());
    (kind, sizes, rest).prop_map(|(kind, sizes, (share, slowest, lost_every, seed))| {
        let (n, secs, units, callers, in_flight) = sizes;
        let period = secs * SECOND;
        Run { kind, n, period, units, callers, in_flight, share, slowest, lost_every, seed }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// The quota is known: no denial, by no server, with no network.
    #[test]
    fn a_known_quota_is_kept(it in runs()) {
        let quota = Quota::new(it.n as u64, Duration::from_nanos(it.period)).unwrap();
        let (denied, _, admitted) = run(&it, Some(quota));
        prop_assert_eq!(denied, 0);
        prop_assert_eq!(admitted.len(), it.units);
    }

    /// Nothing is known but what answers tell: no denial either, but for calls that got no
    /// answer. Where nothing is left they are followed by another one, for which a reset that
    /// gives one unit has none; and a fixed window may have been joined in its midst, and so be
    /// longer than any reset that was told. Each costs one denial at most.
    #[test]
    fn what_answers_tell_is_kept(it in runs()) {
        let (denied, lost, admitted) = run(&it, None);
        let most = if matches!(it.kind, Kind::Fixed | Kind::SlidingNext) { lost } else { 0 };
        prop_assert!(denied <= most, "{denied} denied, {lost} lost");
        prop_assert_eq!(admitted.len(), it.units);
    }
}

/// A limit of more units than a log has stamps: all of them at once, as the limit has it, and
/// the next ones when the first have left its window.
#[test]
fn a_large_quota_is_kept_and_used() {
    let it = Run {
        kind: Kind::SlidingFull,
        n: 20_000,
        period: 60 * SECOND,
        units: 30_000,
        callers: 16,
        in_flight: 16,
        share: 0.0,
        slowest: 0,
        lost_every: usize::MAX,
        seed: 1,
    };
    let quota = Quota::new(20_000, Duration::from_secs(60)).unwrap();
    let (denied, _, admitted) = run(&it, Some(quota));
    assert_eq!((denied, admitted.len()), (0, 30_000));
    let last = *admitted.last().unwrap();
    assert!(last < 61 * SECOND, "{last}");
}

/// As few as a day has, and more than an hour, one after the other: what limits of several
/// sizes allow together, and when.
struct Windows(Vec<(usize, u64, VecDeque<u64>)>);

impl Windows {
    fn passes(&mut self, now: u64) -> bool {
        let free = self.0.iter_mut().all(|(n, period, admitted)| {
            while admitted.front().is_some_and(|at| at + *period <= now) {
                admitted.pop_front();
            }
            admitted.len() < *n
        });
        if free {
            self.0.iter_mut().for_each(|(.., admitted)| admitted.push_back(now));
        }
        free
    }
}

/// Its time by the least that the limits allow, and how many were denied: for one caller who
/// has so many calls, each of this length, and knows the limits or is told them.
fn of_the_least(limits: &[(usize, u64)], calls: usize, length: u64, known: bool) -> (f64, usize) {
    let windows =
        || Windows(limits.iter().map(|(n, secs)| (*n, secs * SECOND, VecDeque::new())).collect());
    // The one who asks again at the first instant at which each limit has room.
    let (mut server, mut least) = (windows(), 0);
    for _ in 0..calls {
        while !server.passes(least) {
            let room = |(n, period, admitted): &(usize, u64, VecDeque<u64>)| {
                (admitted.len() >= *n).then(|| admitted[0] + period)
            };
            least = server.0.iter().filter_map(room).max().unwrap();
        }
        least += length;
    }

    let clock = Arc::new(ManualClock::new());
    let mut built = Pacer::builder().clock(Arc::clone(&clock)).jitter(Jitter::seeded(1));
    if known {
        for (n, secs) in limits {
            built = built.quota(Quota::new(*n as u64, Duration::from_secs(*secs)).unwrap());
        }
    }
    let pacer = built.longest_wait(Duration::from_secs(86_400)).build();
    let policy = limits.iter().map(|(n, secs)| format!("\"{secs}\";q={n};w={secs}"));
    let policy = policy.collect::<Vec<_>>().join(", ");
    let fields = if known { vec![] } else { vec![("RateLimit-Policy", policy)] };
    let advice = Advice::read(fields, UNIX_EPOCH);
    let (mut server, mut denied, mut now) = (windows(), 0, Nanos::ZERO);
    for _ in 0..calls {
        let mut call = pacer.call();
        while let Step::Wait(wait) = call.step_at(now) {
            now = now.after(wait);
        }
        assert_eq!(pacer.in_flight(), 1);
        denied += usize::from(!server.passes(now.as_u64()));
        now = now.after(Duration::from_nanos(length));
        assert_eq!(call.advised_at(200, &advice, now), Answered::Done);
    }
    #[allow(clippy::cast_precision_loss)]
    let ratio = now.as_u64() as f64 / least as f64;
    let known = if known { "known" } else { "told" };
    println!("{limits:?}, {length} ns, {known}: {ratio:.5}, {denied} denied");
    (ratio, denied)
}

#[test]
fn limits_of_many_units_are_used_in_the_least_time() {
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    for (limits, calls) in [
        (&[(5000, HOUR), (20_000, 60), (1_000_000, DAY)][..], 12_001),
        (&[(20_000, 60), (1_000_000, DAY)], 40_001),
        (&[(20_000, 60), (50_000, DAY)], 50_001),
        (&[(8193, 60)], 16_387),
    ] {
        // At once, and at two thirds of the pace of 20,000 a minute.
        for (length, known) in [(0, true), (0, false), (2_000_000, true), (2_000_000, false)] {
            let (ratio, denied) = of_the_least(limits, calls, length, known);
            assert_eq!(denied, 0, "{limits:?}");
            // A window counts from an answer, and the calls of a stamp go together.
            let worst = 1.0 + 1.0 / 8190.0 + 0.002 / 60.0;
            assert!((1.0..=worst).contains(&ratio), "{limits:?}: {ratio}");
        }
    }
}

/// A burst is kept as well: never more than a bucket of that size lets pass.
#[test]
fn a_burst_is_kept() {
    let quota = Quota::n_per_minute(60).unwrap().burst(5).unwrap();
    let clock = Arc::new(ManualClock::new());
    let server = tollgate::Limiter::gcra(quota).clock(Arc::clone(&clock)).try_build().unwrap();
    let pacer = Pacer::builder().quota(quota).clock(Arc::clone(&clock)).build();
    for _ in 0..200 {
        let mut call = pacer.call();
        while let Step::Wait(wait) = call.step() {
            clock.advance(wait);
        }
        assert!(server.check().is_allowed());
        let _ = call.answered(200, [("", ""); 0], UNIX_EPOCH);
    }
    assert!(Nanos::from_secs(196) > server_now(&clock));
}

fn server_now(clock: &ManualClock) -> Nanos {
    use tollgate::Clock;
    clock.now()
}
