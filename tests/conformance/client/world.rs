//! Callers, the network and a policy, in simulated time: events in the order in which
//! they happen, and nobody sleeps.

use crate::support::{Api, Reply};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tollgate::{
    ManualClock, Nanos,
    client::{Answered, Backoff, Call, Jitter, Pacer, PacerBuilder, Step},
};

pub(super) type Clock = Arc<ManualClock>;

/// More events than any of the suites has: nothing runs for ever.
const MOST_EVENTS: usize = 2_000_000;

/// So many units of work for so many callers, over a network that takes its time.
#[derive(Clone, Copy)]
pub(super) struct Work {
    pub(super) units: usize,
    pub(super) callers: usize,
    pub(super) there: Duration,
    pub(super) back: Duration,
}

impl Work {
    pub(super) const fn new(units: usize, callers: usize) -> Self {
        let tenth = Duration::from_millis(10);
        Self { units, callers, there: tenth, back: tenth }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// When the server let each unit pass.
    pub(super) passed: Vec<Duration>,
    pub(super) denied: usize,
    /// Units whose answer was a denial in the end.
    pub(super) given_up: usize,
    pub(super) most_in_flight: usize,
    /// When each request was sent.
    pub(super) sent: Vec<Duration>,
}

impl Done {
    /// When the last unit passed.
    pub(super) fn time(&self) -> Duration {
        self.passed.last().copied().unwrap_or_default()
    }

    /// The time between one request and the next.
    pub(super) fn gaps(&self) -> Vec<Duration> {
        self.sent.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }

    /// The same in whole seconds.
    pub(super) fn gaps_in_secs(&self) -> Vec<u64> {
        self.gaps().iter().map(Duration::as_secs).collect()
    }

    /// Its time by the least that `n` in any `period` allow for so many units, by name.
    pub(super) fn ratio(&self, what: &str, n: usize, period: Duration) -> f64 {
        let windows = u32::try_from((self.passed.len() - 1) / n).unwrap();
        let least = period * windows;
        let ratio = self.time().as_secs_f64() / least.as_secs_f64();
        println!(
            "{what}: {} units in {:.2?}, the least is {least:?}: {ratio:.4}; {} denied",
            self.passed.len(),
            self.time(),
            self.denied
        );
        ratio
    }
}

enum Event {
    Ask,
    Arrives,
    /// Its answer.
    Returns(Box<Reply>),
}

/// A pacer with a clock of its own, jitter from a fixed seed, and the documents' schedule.
pub(super) fn pacer() -> PacerBuilder<Clock> {
    Pacer::builder()
        .clock(Arc::new(ManualClock::new()))
        .jitter(Jitter::seeded(1))
        .backoff(Backoff::doubling())
}

/// The wall clock.
pub(super) fn wall(api: &Api) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(api.wall())
}

/// The events to come; of two at one instant, the one that was put first.
#[derive(Default)]
struct Events {
    heap: BinaryHeap<Reverse<(Duration, usize)>>,
    what: Vec<Option<(usize, Event)>>,
}

impl Events {
    fn put(&mut self, at: Duration, caller: usize, event: Event) {
        self.heap.push(Reverse((at, self.what.len())));
        self.what.push(Some((caller, event)));
        assert!(self.what.len() < MOST_EVENTS, "it goes on for ever");
    }

    fn take(&mut self) -> Option<(Duration, usize, Event)> {
        let Reverse((at, number)) = self.heap.pop()?;
        let (caller, event) = self.what[number].take().unwrap();
        Some((at, caller, event))
    }
}

/// Callers that share a pacer. `clock` is the pacer's.
pub(super) fn polite(
    api: &Api,
    (pacer, clock): (&Pacer<Clock>, &Clock),
    work: Work,
    mut send: impl FnMut(&Api, usize) -> Reply,
) -> Done {
    let (mut done, mut events, mut flying) = (Done::default(), Events::default(), 0);
    let mut next = work.callers.min(work.units);
    let mut calls: Vec<(usize, Call<Clock>)> = (0..next).map(|unit| (unit, pacer.call())).collect();
    let mut busy = VecDeque::new();
    for caller in 0..calls.len() {
        events.put(api.now(), caller, Event::Ask);
    }
    while let Some((now, caller, event)) = events.take() {
        api.at(now);
        clock.set(Nanos::from(now));
        let (unit, call) = &mut calls[caller];
        match event {
            Event::Ask => match call.step() {
                Step::Go => {
                    flying += 1;
                    done.most_in_flight = done.most_in_flight.max(flying);
                    done.sent.push(now);
                    events.put(now + work.there, caller, Event::Arrives);
                }
                Step::Wait(wait) => {
                    assert!(!wait.is_zero());
                    events.put(now + wait, caller, Event::Ask);
                }
                Step::Busy => busy.push_back(caller),
                Step::End => panic!("nothing here is held for longer than a total"),
            },
            Event::Arrives => {
                let reply = send(api, *unit);
                if reply.allowed {
                    done.passed.push(now);
                } else {
                    done.denied += 1;
                }
                events.put(now + work.back, caller, Event::Returns(Box::new(reply)));
            }
            Event::Returns(reply) => {
                flying -= 1;
                reply.end();
                let fields = reply.headers.iter().map(|(name, value)| (name, value));
                let answered = call.answered(reply.status, fields, wall(api));
                done.given_up += usize::from(matches!(answered, Answered::GiveUp(_)));
                if answered == Answered::Again {
                    events.put(now, caller, Event::Ask);
                } else if next < work.units {
                    calls[caller] = (next, pacer.call());
                    next += 1;
                    events.put(now, caller, Event::Ask);
                }
                for caller in busy.drain(..) {
                    events.put(now, caller, Event::Ask);
                }
            }
        }
    }
    assert!(busy.is_empty(), "callers that nobody wakes");
    assert_eq!(pacer.in_flight(), 0);
    done
}

/// Callers that share a pacer of their own, made by `built`.
pub(super) fn with(
    api: &Api,
    built: PacerBuilder<Clock>,
    work: Work,
    send: impl FnMut(&Api, usize) -> Reply,
) -> Done {
    let clock = Arc::new(ManualClock::new());
    clock.set(Nanos::from(api.now()));
    let pacer = built.clock(Arc::clone(&clock)).build();
    polite(api, (&pacer, &clock), work, send)
}

/// Callers that know nothing: each sends, and after a denial again after `pause`, until
/// all units passed or `until` is over.
pub(super) fn naive(
    api: &Api,
    pause: Duration,
    until: Duration,
    work: Work,
    mut send: impl FnMut(&Api, usize) -> Reply,
) -> Done {
    let (mut done, mut events) = (Done::default(), Events::default());
    let mut next = work.callers.min(work.units);
    let mut units: Vec<usize> = (0..next).collect();
    for caller in 0..units.len() {
        events.put(api.now() + work.there, caller, Event::Arrives);
    }
    while let Some((now, caller, _)) = events.take() {
        if now > until {
            break;
        }
        api.at(now);
        let reply = send(api, units[caller]);
        reply.end();
        if reply.allowed {
            done.passed.push(now);
            if next == work.units {
                continue;
            }
            units[caller] = next;
            next += 1;
        } else {
            done.denied += 1;
        }
        let rest = if reply.allowed { Duration::ZERO } else { pause };
        events.put(now + work.back + rest + work.there, caller, Event::Arrives);
    }
    done.given_up = work.units - done.passed.len();
    done
}

/// Answers that are kept for a while instead of being asked for again.
#[derive(Default)]
pub(super) struct Kept(std::collections::HashMap<String, Duration>);

impl Kept {
    /// Whether what is called `name` has to be asked for at `now`; then it is kept for `life`.
    pub(super) fn wants(&mut self, name: &str, now: Duration, life: Duration) -> bool {
        if self.0.get(name).is_some_and(|until| now < *until) {
            return false;
        }
        self.0.insert(name.to_owned(), now + life);
        true
    }
}
