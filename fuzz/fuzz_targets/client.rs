//! Any answers, at any times, of calls that overlap, are dropped, and asked for when they
//! should not be: what the caller's side promises, it keeps.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tollgate::{
    ManualClock, Nanos, Quota,
    client::{
        Access, Advice, Answered, Backoff, Call, Jitter, Pacer, Renewal, Retry, Step, TokenHolder,
    },
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const SHORTEST: Duration = Duration::from_millis(1);
const CALLS: usize = 8;

#[derive(Arbitrary, Debug)]
struct Settings {
    quotas: [Option<Limit>; 3],
    in_flight: u8,
    share: f64,
    longest: Span,
    first: Span,
    total: Span,
    jitter: f64,
    tries: u32,
    seed: u64,
}

#[derive(Arbitrary, Debug)]
struct Limit {
    units: u16,
    period: Span,
    burst: Option<u16>,
}

/// Reaches far.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Span {
    nanos: u32,
    shift: u8,
}

impl Span {
    fn get(self) -> Duration {
        Duration::from_nanos(u64::from(self.nanos) << (self.shift % 33))
    }
}

#[derive(Arbitrary, Debug)]
enum Does<'a> {
    Ask(u8),
    Answer {
        call: u8,
        status: Status,
        fields: Vec<(Name<'a>, Value<'a>)>,
        wall: i64,
    },
    Drop(u8),
    NotSent(u8),
    /// A task takes a step and waits, for a call that was not sent or in vain.
    Wait {
        call: u8,
        ends: bool,
    },
    Ahead(Span),
    Back(Span),
    AskForToken,
    Renewed(Span),
    RenewalFailed(Span),
    RenewalDropped,
    Refused,
}

#[derive(Arbitrary, Debug)]
enum Status {
    Ok,
    Later,
    Unavailable,
    Other(u16),
}

#[derive(Arbitrary, Debug)]
enum Name<'a> {
    Known(u8),
    Any(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Small(u8),
    Number(u64),
    Fraction(u32, u8),
    /// Seconds from the wall clock on, or milliseconds.
    Epoch(i16, bool),
    State {
        name: u8,
        left: u16,
        reset: u16,
    },
    Policy {
        name: u8,
        units: u32,
        window: u16,
    },
}

const NAMES: [&str; 13] = [
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-RateLimit-Reset-After",
    "X-Rate-Limit-Remaining",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "RateLimit",
    "RateLimit-Policy",
    "Date",
    "Age",
];

impl Name<'_> {
    fn get(&self) -> &str {
        match self {
            Self::Known(at) => NAMES[usize::from(*at) % NAMES.len()],
            Self::Any(name) => name,
        }
    }
}

impl Value<'_> {
    fn get(&self, wall: i64) -> Vec<u8> {
        let name = |name: &u8| char::from(b'a' + name % 12);
        let text = match self {
            Self::Bytes(bytes) => return bytes.to_vec(),
            Self::Small(n) => n.to_string(),
            Self::Number(n) => n.to_string(),
            Self::Fraction(n, of) => format!("{n}.{of}"),
            Self::Epoch(after, true) => wall.saturating_add((*after).into()).to_string(),
            Self::Epoch(after, false) => {
                wall.saturating_add((*after).into()).saturating_mul(1000).to_string()
            }
            Self::State { name: n, left, reset } => format!("\"{}\";r={left};t={reset}", name(n)),
            Self::Policy { name: n, units, window } => {
                format!("\"{}\";q={units};w={window}", name(n))
            }
        };
        text.into_bytes()
    }
}

/// One call, and what is known of it.
struct One {
    call: Call<Arc<ManualClock>>,
    in_flight: bool,
    denials: u32,
    /// No earlier and no later than this.
    from: Nanos,
    until: Nanos,
}

struct World {
    pacer: Pacer<Arc<ManualClock>>,
    calls: Vec<One>,
    now: Nanos,
    /// Time never went back.
    monotone: bool,
    in_flight: usize,
    longest: Duration,
    total: Duration,
    tries: u32,
    /// After a denial nobody goes before.
    held: Nanos,
    limits: Vec<(u64, Duration)>,
    /// When calls ended that may count.
    ended: Vec<Nanos>,
}

impl World {
    fn flying(&self) -> usize {
        self.calls.iter().filter(|one| one.in_flight).count()
    }

    fn new_call(pacer: &Pacer<Arc<ManualClock>>) -> One {
        let (from, until) = (Nanos::ZERO, Nanos::MAX);
        One { call: pacer.call(), in_flight: false, denials: 0, from, until }
    }

    fn lose(&mut self, at: usize) {
        if std::mem::take(&mut self.calls[at].in_flight) {
            self.ended.push(self.now);
        }
    }

    fn ask(&mut self, at: usize) -> Step {
        let now = self.now;
        let step = self.calls[at].call.step_at(now);
        // Whoever asks has no answer to wait for.
        self.lose(at);
        let (flying, one) = (self.flying(), &mut self.calls[at]);
        match step {
            Step::Go => {
                assert!(
                    now >= one.from && now <= one.until,
                    "{now:?}: {:?} {:?}",
                    one.from,
                    one.until
                );
                assert!(now >= self.held, "{now:?}: {:?}", self.held);
                assert!(flying < self.in_flight);
                assert!(one.denials < self.tries, "{} of {}", one.denials, self.tries);
                one.in_flight = true;
                for (units, period) in self.limits.iter().filter(|_| self.monotone) {
                    let counted = self.ended.iter().filter(|end| end.after(*period) > now);
                    assert!((counted.count() + flying) as u64 + 1 <= *units);
                }
            }
            Step::Wait(wait) => {
                assert!(!wait.is_zero());
                assert!(wait <= self.longest.max(one.until.since(now)), "{wait:?}");
                assert!(one.denials > 0 || wait <= self.longest, "{wait:?}");
            }
            Step::Busy => assert!(flying > 0),
            Step::End => assert!(one.denials > 0),
        }
        assert_eq!(self.pacer.in_flight(), self.flying());
        step
    }

    /// It is as if it had not started: no limit has it, and whoever was told to wait may go.
    fn not_sent(&mut self, at: usize) {
        self.calls[at].in_flight = false;
        self.calls[at].call.not_sent();
        assert_eq!(self.pacer.in_flight(), self.flying());
    }

    /// Who is told that it is busy has news when a call ends, and is woken; who waits for nothing
    /// has them at once.
    fn wait(&mut self, at: usize, ends: bool) {
        let step = self.ask(at);
        let one = std::mem::replace(&mut self.calls[at], Self::new_call(&self.pacer));
        let woken = Arc::new(Woken::default());
        {
            let waker = Waker::from(Arc::clone(&woken));
            let mut cx = Context::from_waker(&waker);
            let mut news = pin!(one.call.news());
            let waits = matches!(step, Step::Busy | Step::Wait(_));
            assert_eq!(news.as_mut().poll(&mut cx).is_pending(), waits);
            if ends && step == Step::Busy {
                let flying = self.calls.iter().position(|one| one.in_flight);
                self.not_sent(flying.expect("busy, and nobody is in flight"));
                assert!(woken.0.load(Ordering::Relaxed));
                assert!(news.as_mut().poll(&mut cx).is_ready());
            }
        }
        // Nobody keeps its waker.
        assert_eq!(Arc::strong_count(&woken), 1);
        self.calls[at] = one;
    }

    fn answer(&mut self, at: usize, status: u16, advice: &Advice) {
        let (now, one) = (self.now, &mut self.calls[at]);
        let answered = one.call.advised_at(status, advice, now);
        let denied = Retry::is_denial(status, advice);
        assert_eq!(answered == Answered::Done, !denied);
        let in_flight = std::mem::take(&mut one.in_flight);
        if denied {
            one.denials += 1;
            let told = advice.retry_after().unwrap_or_default().max(SHORTEST);
            if in_flight {
                self.held = self.held.max(now.after(told.min(self.longest)));
            }
            if one.denials == 1 {
                one.until = now.after(self.total);
            }
            if answered == Answered::Again {
                one.from = now.after(told);
            }
        } else if in_flight {
            self.ended.push(now);
        }
        assert_eq!(self.calls[at].call.denials(), self.calls[at].denials);
        if answered != Answered::Again {
            self.calls[at] = Self::new_call(&self.pacer);
        }
        assert_eq!(self.pacer.in_flight(), self.flying());
    }

    /// When nobody is in flight, whoever waits as told goes.
    fn end(mut self) {
        for at in 0..CALLS {
            self.lose(at);
            self.calls[at] = Self::new_call(&self.pacer);
        }
        assert_eq!(self.pacer.in_flight(), 0);
        if !self.monotone || !self.limits.is_empty() {
            return;
        }
        for _ in 0..20 {
            match self.ask(0) {
                Step::Go => return,
                Step::Wait(wait) if self.now.after(wait) < Nanos::MAX => {
                    self.now = self.now.after(wait);
                }
                Step::Wait(_) => return,
                step => panic!("{step:?}, and nobody is in flight"),
            }
        }
        panic!("it never goes");
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One login for all, and no two in a second.
struct Logins {
    holder: TokenHolder<u32, Arc<ManualClock>>,
    renewal: Option<Renewal<u32, Arc<ManualClock>>>,
    last: Option<Nanos>,
    token: u32,
}

impl Logins {
    fn ask(&mut self, now: Nanos, monotone: bool) {
        match self.holder.ask_at(now) {
            Access::Use(token) => assert_eq!(token, self.token),
            Access::Wait(None) => assert!(self.renewal.is_some()),
            Access::Wait(Some(wait)) => assert!(!wait.is_zero()),
            Access::Renew(renewal) => {
                assert!(self.renewal.is_none(), "two at a time");
                let gap = self.last.map_or(Duration::MAX, |last| now.since(last));
                assert!(!monotone || now == Nanos::MAX || gap >= Duration::from_secs(1), "{gap:?}");
                (self.renewal, self.last) = (Some(renewal), Some(now));
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Unstructured::new(bytes);
    let Ok(run) = Settings::arbitrary(&mut bytes) else { return };
    let clock = Arc::new(ManualClock::new());
    let longest = run.longest.get().max(SHORTEST);
    let total = run.total.get();
    let tries = run.tries.max(1);
    let backoff = Backoff::doubling().first(run.first.get()).jitter(run.jitter);
    let mut built = Pacer::builder()
        .clock(Arc::clone(&clock))
        .in_flight(usize::from(run.in_flight))
        .slow_below(run.share)
        .longest_wait(run.longest.get())
        .backoff(backoff.tries(run.tries).total(total))
        .jitter(Jitter::seeded(run.seed));
    let mut limits = Vec::new();
    for limit in run.quotas.iter().flatten() {
        let Ok(mut quota) = Quota::new(limit.units.into(), limit.period.get()) else { continue };
        if let Some(Ok(with)) = limit.burst.map(|burst| quota.burst(burst.into())) {
            quota = with;
        }
        // A burst b of n is b in b/n of the period.
        let (units, burst) = (u128::from(quota.units()), u128::from(quota.burst_units()));
        let period = (quota.period().as_nanos() * burst).div_ceil(units);
        let period = Duration::from_nanos(u64::try_from(period).unwrap_or(u64::MAX));
        limits.push((quota.burst_units(), period));
        built = built.quota(quota);
    }
    let pacer = built.build();
    let calls = (0..CALLS).map(|_| World::new_call(&pacer)).collect();
    let in_flight = usize::from(run.in_flight).max(1);
    let (now, held, ended) = (Nanos::ZERO, Nanos::ZERO, Vec::new());
    let monotone = true;
    let mut world = World {
        pacer,
        calls,
        now,
        monotone,
        in_flight,
        longest,
        total,
        tries,
        held,
        limits,
        ended,
    };
    let holder = TokenHolder::with_clock(Arc::clone(&clock));
    let mut logins = Logins { holder, renewal: None, last: None, token: 0 };
    // A vector would end at the first byte that is even.
    while !bytes.is_empty() {
        let Ok(does) = bytes.arbitrary() else { break };
        match does {
            Does::Ask(call) => _ = world.ask(usize::from(call) % CALLS),
            Does::Answer { call, status, fields, wall } => {
                let status = match status {
                    Status::Ok => 200,
                    Status::Later => 429,
                    Status::Unavailable => 503,
                    Status::Other(status) => status,
                };
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| (name.get(), value.get(wall))).collect();
                let span = Duration::from_secs(wall.unsigned_abs());
                let wall = if wall < 0 {
                    UNIX_EPOCH.checked_sub(span)
                } else {
                    UNIX_EPOCH.checked_add(span)
                };
                let advice = Advice::read(fields, wall.unwrap_or(SystemTime::UNIX_EPOCH));
                assert!(advice.retry_after().is_none_or(|wait| wait <= YEAR));
                assert!(advice.limits().len() <= 9);
                for told in advice.limits() {
                    assert!(told.reset.is_none_or(|reset| reset <= YEAR));
                    assert!(told.window.is_none_or(|window| !window.is_zero() && window <= YEAR));
                }
                world.answer(usize::from(call) % CALLS, status, &advice);
            }
            Does::Drop(call) => {
                let at = usize::from(call) % CALLS;
                world.lose(at);
                world.calls[at] = World::new_call(&world.pacer);
            }
            Does::NotSent(call) => world.not_sent(usize::from(call) % CALLS),
            Does::Wait { call, ends } => world.wait(usize::from(call) % CALLS, ends),
            Does::Ahead(span) => world.now = world.now.after(span.get()),
            Does::Back(span) => {
                let back = world.now.since(Nanos::ZERO).saturating_sub(span.get());
                world.monotone &= back == world.now.since(Nanos::ZERO);
                world.now = Nanos::from(back);
            }
            Does::AskForToken => logins.ask(world.now, world.monotone),
            Does::Renewed(life) => {
                if let Some(renewal) = logins.renewal.take() {
                    logins.token += 1;
                    renewal.done(logins.token, life.get());
                }
            }
            Does::RenewalFailed(wait) => {
                if let Some(renewal) = logins.renewal.take() {
                    renewal.failed(wait.get());
                }
            }
            Does::RenewalDropped => drop(logins.renewal.take()),
            Does::Refused => logins.holder.reject(&logins.token),
        }
        clock.set(world.now);
    }
    drop(logins);
    world.end();
});
