//! Rounds of passes, one subject after the other, and what is made of the times.
//!
//! In each round every subject walks the same keys, starting with another
//! subject each time. Ratios are taken within a round, so that what slows the
//! whole machine for a second slows both sides.

use crate::{
    keys::Keys,
    quantile::quantile,
    subject::{Kind, Subject},
};
use anyhow::{Result, anyhow, ensure};
use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

/// A subject that holds its keys.
pub(crate) struct Ready {
    pub(crate) kind: Kind,
    pub(crate) subject: Box<dyn Subject>,
}

/// How one table is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Timed checks per round, subject and thread.
    pub(crate) ops: usize,
    /// Checks just before those, not timed: caches then hold what they hold
    /// when nobody else has run in between.
    pub(crate) lead_in: usize,
    /// Position in the order of the first check of the first round.
    pub(crate) from: u64,
    /// Whether every check must be allowed, or denied.
    pub(crate) allowed: bool,
}

/// The times of one subject.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timing {
    pub(crate) kind: Kind,
    /// Per round: nanoseconds that a thread took per check.
    pub(crate) rounds: Vec<f64>,
}

/// What is reported of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) quartiles: (f64, f64),
    /// Median over the rounds of this subject's time by tollgate's.
    pub(crate) ratio: f64,
}

impl Timing {
    pub(crate) fn summary(&self, tollgate: &Self) -> Summary {
        let ratios: Vec<_> =
            self.rounds.iter().zip(&tollgate.rounds).map(|(own, base)| own / base).collect();
        Summary {
            median: quantile(&self.rounds, 0.5),
            quartiles: (quantile(&self.rounds, 0.25), quantile(&self.rounds, 0.75)),
            ratio: quantile(&ratios, 0.5),
        }
    }
}

/// Asks once for all `keys`, and where the limit denies, until all are denied.
pub(crate) fn fill(ready: &Ready, keys: &Keys, allowed: bool) -> Result<()> {
    // throttlecrab has a burst of two there.
    let passes = if allowed { 1 } else { 3 };
    let mut yes = 0;
    for _ in 0..passes {
        yes = 0;
        keys.walk(0, keys.len(), true, |run| yes += ready.subject.pass(run));
    }
    check(ready.kind, yes, keys.len() as u64, allowed)
}

fn check(kind: Kind, yes: u64, of: u64, allowed: bool) -> Result<()> {
    let name = kind.name();
    ensure!(
        yes == if allowed { of } else { 0 },
        "{name} allowed {yes} of {of} where {} should be",
        if allowed { "all" } else { "none" },
    );
    Ok(())
}

/// Measures all subjects with one thread per order of keys.
pub(crate) fn measure(ready: &[Ready], orders: &[&Keys], plan: Plan) -> Result<Vec<Timing>> {
    let gate = Gate::new(orders.len());
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let passes = thread::scope(|scope| {
        let workers: Vec<_> = orders
            .iter()
            .enumerate()
            .map(|(i, keys)| {
                let (gate, core) = (&gate, cores.get(i).copied());
                let alone = orders.len() == 1;
                scope.spawn(move || {
                    if let Some(core) = core {
                        // Without a core of its own the thread runs where it is put.
                        core_affinity::set_for_current(core);
                    }
                    work(ready, keys, plan, alone, gate)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
            .collect::<Result<Vec<_>>>()
    })?;

    let mut timings: Vec<_> =
        ready.iter().map(|r| Timing { kind: r.kind, rounds: Vec::new() }).collect();
    for pass in 0..plan.rounds * ready.len() {
        let threads = || passes.iter().map(|thread| &thread[pass]);
        let subject = threads().map(|t| t.subject).next().unwrap_or_default();
        let begin = threads().map(|t| t.begin).min();
        let end = threads().map(|t| t.end).max();
        let wall = begin.zip(end).map_or(0.0, |(begin, end)| (end - begin).as_secs_f64());
        // Wall time times threads over all checks is wall time over one thread's.
        timings[subject].rounds.push(wall * 1e9 / plan.ops as f64);
    }
    Ok(timings)
}

/// One thread's part of one subject's pass in one round.
struct Pass {
    subject: usize,
    begin: Instant,
    end: Instant,
}

fn work(ready: &[Ready], keys: &Keys, plan: Plan, alone: bool, gate: &Gate) -> Result<Vec<Pass>> {
    let _leaving = Leaving(gate);
    let stride = plan.lead_in + plan.ops;
    let mut passes = Vec::with_capacity(plan.rounds * ready.len());
    let mut turns = 0;
    let mut wait = || {
        turns += 1;
        ensure!(gate.meet(turns), "another thread stopped");
        Ok(())
    };
    for round in 0..plan.rounds {
        let from = plan.from + (round * stride) as u64;
        for turn in 0..ready.len() {
            let subject = (round + turn) % ready.len();
            let Ready { kind, subject: limiter } = &ready[subject];
            let mut yes = 0;
            wait()?;
            keys.walk(from, plan.lead_in, alone, |run| yes += limiter.pass(run));
            wait()?;
            let begin = Instant::now();
            keys.walk(from + plan.lead_in as u64, plan.ops, alone, |run| {
                yes += limiter.pass(run);
            });
            let end = Instant::now();
            check(*kind, yes, stride as u64, plan.allowed)?;
            passes.push(Pass { subject, begin, end });
        }
    }
    Ok(passes)
}

/// Where the threads wait for each other, awake, so that all leave at once.
struct Gate {
    threads: usize,
    arrived: AtomicUsize,
    /// Somebody will not come any more.
    broken: AtomicBool,
}

impl Gate {
    fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0), broken: AtomicBool::new(false) }
    }

    /// Waits until all have come for the `time`th time (from 1); false if
    /// somebody never will.
    fn meet(&self, time: usize) -> bool {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut looks = 0_u32;
        while self.arrived.load(Ordering::Acquire) < time * self.threads {
            if self.broken.load(Ordering::Acquire) {
                // Who has left after the last pass had come before.
                return self.arrived.load(Ordering::Acquire) >= time * self.threads;
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(1024) {
                // There may be fewer cores than threads.
                thread::yield_now();
            } else {
                spin_loop();
            }
        }
        true
    }
}

/// Tells the others when a thread ends, by a panic too, so that none waits for it.
struct Leaving<'a>(&'a Gate);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.broken.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::Scenario;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    /// A round in which the whole machine was slow changes no ratio.
    #[test]
    fn ratios_are_taken_within_rounds() {
        let own = Timing { kind: Kind::Floor, rounds: vec![10.0, 80.0, 12.0, 90.0, 10.0] };
        let base = Timing { kind: Kind::Tollgate, rounds: vec![20.0, 160.0, 24.0, 180.0, 20.0] };
        let summary = own.summary(&base);
        assert!(near(summary.ratio, 0.5), "{summary:?}");
        assert!(near(summary.median, 12.0), "{summary:?}");
        assert!(near(base.summary(&base).ratio, 1.0));
    }

    #[test]
    fn every_subject_is_timed_in_every_round() {
        let orders = [Keys::shuffled(100, 1, true), Keys::shuffled(100, 2, true)];
        let ready: Vec<_> = Kind::taking_part(Scenario::Keyed)
            .into_iter()
            .map(|kind| Ready { kind, subject: kind.build(Scenario::Keyed, 100).unwrap() })
            .collect();
        for subject in &ready {
            fill(subject, &orders[0], true).unwrap();
        }
        let plan = Plan { rounds: 3, ops: 250, lead_in: 50, from: 0, allowed: true };
        for threads in 1..=2 {
            let orders: Vec<_> = orders.iter().take(threads).collect();
            let timings = measure(&ready, &orders, plan).unwrap();
            assert_eq!(timings.len(), ready.len());
            for timing in timings {
                assert_eq!(timing.rounds.len(), 3);
                assert!(timing.rounds.iter().all(|ns| *ns > 0.0), "{timing:?}");
            }
        }
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let keys = Keys::shuffled(100, 1, false);
        let ready = Ready {
            kind: Kind::Tollgate,
            subject: Kind::Tollgate.build(Scenario::Denied, 100).unwrap(),
        };
        let error = fill(&ready, &keys, true).and_then(|()| fill(&ready, &keys, true));
        assert_eq!(error.unwrap_err().to_string(), "tollgate allowed 0 of 100 where all should be");
    }
}
