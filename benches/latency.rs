//! How single decisions are spread: `cargo bench --bench latency`.
//!
//! Each call is timed by itself, with fences that keep the processor from
//! beginning it before the first reading or ending it after the second. So
//! nothing overlaps with the next decision, as it does in a loop. Nothing is
//! subtracted: the first row is what two readings with nothing between them
//! show, and so the part of the other rows that is not theirs.
//!
//! Times are in nanoseconds, quantiles to three digits. The maximum is of one
//! call among all, and includes whatever the system did meanwhile: interrupts,
//! other processes, on virtual machines other guests. So may the quantiles that
//! lie near it.
//!
//! Time is given but in the row that says otherwise. Keys are eight bytes in
//! shuffled order.

mod support;

use hdrhistogram::Histogram;
use std::{hint::black_box, time::Duration};
use support::{
    arguments::{Arguments, Effort},
    keys::{Churn, Cycle, Key, key, shuffled},
};
use tollgate::{
    Algorithm, Decision, KeyedBuilder, KeyedLimiter, ManualClock, MonotonicClock, Nanos, Quota,
};

struct Report {
    arguments: Arguments,
    clock: quanta::Clock,
    samples: u32,
    /// Filled while calls are timed, so that the histogram is not in the caches.
    ticks: Vec<u64>,
}

/// Waits until everything before it has ended, before anything after it begins.
#[inline(always)]
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_lfence();
    }
}

impl Report {
    fn new(arguments: Arguments) -> Self {
        let samples = match arguments.effort {
            Effort::Test => 1_000,
            Effort::Quick => 100_000,
            Effort::Full => 1_000_000,
        };
        println!("{samples} calls each, ns");
        println!("{:<46} {:>7} {:>7} {:>7} {:>9}", "", "p50", "p99", "p99.9", "maximum");
        // Not zeros: their pages would come one by one, later.
        let ticks = vec![1; usize::try_from(samples).unwrap()];
        Self { arguments, clock: quanta::Clock::new(), samples, ticks }
    }

    #[inline(always)]
    fn read(&self) -> u64 {
        fence();
        let ticks = self.clock.raw();
        fence();
        ticks
    }

    /// Times `call` on each input, and prints a row.
    fn row<I, O>(
        &mut self,
        name: &str,
        mut inputs: impl Iterator<Item = I>,
        mut call: impl FnMut(I) -> O,
    ) {
        for nth in 0..self.ticks.len() {
            let input = black_box(inputs.next().unwrap());
            let begun = self.read();
            black_box(call(input));
            let ended = self.read();
            self.ticks[nth] = ended.saturating_sub(begun);
        }
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for &ticks in &self.ticks {
            histogram.record(ticks).unwrap();
        }
        let ns = |ticks| self.clock.delta_as_nanos(0, ticks);
        let at = |quantile| ns(histogram.value_at_quantile(quantile));
        println!(
            "{name:<46} {:>7} {:>7} {:>7} {:>9}",
            at(0.5),
            at(0.99),
            at(0.999),
            ns(histogram.max())
        );
    }

    /// Times checks at given times, `step` nanoseconds apart, after `before` of them.
    fn checks<A: Algorithm>(
        &mut self,
        name: &str,
        builder: KeyedBuilder<A>,
        mut keys: impl Iterator<Item = Key>,
        step: u64,
        before: u32,
        expected: impl Fn(Decision) -> bool,
    ) {
        if !self.arguments.wants(name) {
            return;
        }
        let limiter = builder.clock(ManualClock::new()).try_build().unwrap();
        let mut now = 0;
        let mut check = |key: &Key| {
            now += step;
            limiter.check_at(key, Nanos::new(now))
        };
        for _ in 0..before {
            let _ = check(&keys.next().unwrap());
        }
        assert!(expected(check(&keys.next().unwrap())), "{name}");
        self.row(name, keys, |key| check(&key));
        assert_eq!(limiter.saturated(), 0, "{name}");
    }
}

/// A rate so high that nothing is denied, and every key is as good as new
/// again when it comes back.
fn plenty() -> Quota {
    Quota::n_per_second(1_000_000_000).unwrap()
}

fn cycle(keys: u32) -> Cycle {
    Cycle::new(shuffled(keys))
}

/// A key not seen before, each time.
fn unseen() -> impl Iterator<Item = Key> {
    (0..).map(key)
}

fn gcra(report: &mut Report) {
    let allowed = |decision: Decision| decision.is_allowed();
    for keys in [1_000, 100_000, 1_000_000] {
        let small = report.arguments.effort == Effort::Test;
        if small && keys > 1_000 {
            continue;
        }
        let builder = KeyedLimiter::gcra(plenty()).capacity(usize::try_from(keys).unwrap());
        let name = format!("gcra, allowed, {keys} keys");
        report.checks(&name, builder, cycle(keys), 1, keys, allowed);
    }
    let name = "gcra, allowed, 1000 keys, clock read";
    if report.arguments.wants(name) {
        let limiter =
            KeyedLimiter::gcra(plenty()).clock(MonotonicClock::new()).try_build().unwrap();
        for key in shuffled(1_000) {
            let _ = limiter.check(&key);
        }
        report.row(name, cycle(1_000), |key| limiter.check(&key));
    }
    let day = KeyedLimiter::gcra(Quota::n_per_day(1).unwrap());
    report.checks("gcra, denied, 1000 keys", day, cycle(1_000), 1, 1_000, |decision| {
        decision.is_denied()
    });
}

fn first_sight(report: &mut Report) {
    let new = |decision: Decision| decision.remaining() + 1 == decision.limit();
    // All of them live to the end.
    let samples = usize::try_from(report.samples).unwrap();
    let builder = KeyedLimiter::gcra(Quota::n_per_day(2).unwrap()).capacity(samples + 1);
    // The table's memory is touched here for the first time: pages come from the system.
    report.checks("gcra, new key, slot free, new memory", builder, unseen(), 1, 0, new);
    // Five hundred live keys in a table for a thousand, all of whose slots have a key.
    let quota = Quota::n_per_second(2_000_000).unwrap();
    let builder = KeyedLimiter::gcra(quota).capacity(1_000);
    report.checks("gcra, new key, slot reclaimed", builder, unseen(), 1, 10_000, new);
    // As in `traffic`.
    let (size, step) = (if samples > 1_000 { 100_000 } else { 1_000 }, 1_000);
    let quota = Quota::new(10, Duration::from_nanos(step * u64::from(size))).unwrap();
    let builder = KeyedLimiter::gcra(quota).capacity(usize::try_from(size).unwrap());
    let name = format!("gcra, churn, one in four new, {size} keys");
    report.checks(&name, builder, Churn::new(size / 4), step, 8 * size, |decision| {
        decision.is_allowed()
    });
}

fn log(report: &mut Report) {
    // Fifty units are kept of each key when it comes.
    let half = Quota::new(100, Duration::from_micros(50)).unwrap();
    let builder = KeyedLimiter::sliding_log(half).capacity(1_000);
    report.checks(
        "log of 100, allowed, 1000 keys",
        builder,
        cycle(1_000),
        1,
        200_000,
        |decision| decision.is_allowed(),
    );
    let day = Quota::n_per_day(100).unwrap();
    let builder = KeyedLimiter::sliding_log(day).capacity(1_000);
    report.checks("log of 100, denied, 1000 keys", builder, cycle(1_000), 1, 100_000, |decision| {
        decision.is_denied()
    });
}

fn main() {
    let mut report = Report::new(Arguments::read());
    report.row("nothing", std::iter::repeat(()), |()| ());
    gcra(&mut report);
    first_sight(&mut report);
    log(&mut report);
}
