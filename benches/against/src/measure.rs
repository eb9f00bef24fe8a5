//! Rounds in which both versions take their turn, and what is made of the times.

use crate::{
    keys::Keys,
    quantile::quantile,
    scenario::{Scenario, Subject, Trouble},
    versions::{other, tree},
};
use std::time::Instant;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Timed checks per half of a round and version.
    pub(crate) checks: usize,
}

/// One of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Tree,
    Other,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Self::Tree => "the tree",
            Self::Other => "the other version",
        }
    }

    fn build(
        self,
        scenario: Scenario,
        keys: usize,
        seed: u64,
    ) -> Result<Box<dyn Subject>, Trouble> {
        match self {
            Self::Tree => tree::build(scenario, keys, seed),
            Self::Other => other::build(scenario, keys, seed),
        }
    }
}

/// The halves of a round: who begins in each.
const HALVES: [[Version; 2]; 2] =
    [[Version::Tree, Version::Other], [Version::Other, Version::Tree]];

/// What is reported: medians of nanoseconds per check, and of the ratios.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) tree: f64,
    pub(crate) other: f64,
    /// The tree's time by the other's, round by round.
    pub(crate) ratio: f64,
    pub(crate) quartiles: (f64, f64),
}

impl Summary {
    /// Of the nanoseconds per check of each round: the tree's, the other's.
    fn of(rounds: &[(f64, f64)]) -> Self {
        let (tree, other): (Vec<_>, Vec<_>) = rounds.iter().copied().unzip();
        let ratios: Vec<_> = rounds.iter().map(|(tree, other)| tree / other).collect();
        Self {
            tree: quantile(&tree, 0.5),
            other: quantile(&other, 0.5),
            ratio: quantile(&ratios, 0.5),
            quartiles: (quantile(&ratios, 0.25), quantile(&ratios, 0.75)),
        }
    }
}

/// What both versions are asked for.
struct Plan {
    scenario: Scenario,
    /// The keys that limiters are filled with, and asked for in this order.
    held: Keys,
    /// Where others are asked for: as many as one version is, in one half.
    fresh: Option<Keys>,
    /// Checks just before the timed ones: caches then hold what they hold when
    /// nobody else has run in between.
    lead_in: usize,
    checks: usize,
}

impl Plan {
    fn new(scenario: Scenario, keys: usize, checks: usize) -> Self {
        let lead_in = keys.min(checks / 2);
        let first = keys as u64;
        let others = first..first + (lead_in + checks) as u64;
        Self {
            scenario,
            held: Keys::shuffled(keys, 0, false),
            fresh: (scenario == Scenario::Fresh).then(|| Keys::in_order(others, false)),
            lead_in,
            checks,
        }
    }
}

pub(crate) fn measure(scenario: Scenario, keys: usize, effort: Effort) -> Result<Summary, Trouble> {
    let plan = Plan::new(scenario, keys, effort.checks);
    let mut rounds = Vec::with_capacity(effort.rounds);
    for seed in 0..effort.rounds as u64 {
        let (mut tree, mut other) = (0.0, 0.0);
        for turns in HALVES {
            for (version, time) in half(&plan, turns, seed)? {
                match version {
                    Version::Tree => tree += time / HALVES.len() as f64,
                    Version::Other => other += time / HALVES.len() as f64,
                }
            }
        }
        rounds.push((tree, other));
    }
    Ok(Summary::of(&rounds))
}

/// Makes new limiters, and gives each version its turn: nanoseconds per check.
///
/// Where a large table lies makes a tenth and more of its time, measured with one
/// version against itself (probably by how a virtual machine is given its pages), and
/// what is freed last is the first to be given again. So limiters go in the reverse
/// order of their making, and in the other half each version gets the memory that
/// its opponent had in this one.
fn half(plan: &Plan, turns: [Version; 2], seed: u64) -> Result<Vec<(Version, f64)>, Trouble> {
    let keys = plan.held.len();
    let mut ready = Vec::with_capacity(turns.len());
    for version in turns {
        let subject = version.build(plan.scenario, keys, seed)?;
        // A key's first request is allowed in every scenario.
        check(version, ask(&*subject, &plan.held, 0, keys), keys, true)?;
        ready.push((version, subject));
    }
    let times: Result<_, _> =
        ready.iter().map(|(version, subject)| turn(plan, *version, &**subject)).collect();
    while ready.pop().is_some() {}
    times
}

fn turn(plan: &Plan, version: Version, subject: &dyn Subject) -> Result<(Version, f64), Trouble> {
    let &Plan { lead_in, checks, .. } = plan;
    // Given time goes on after the filling, it does not begin again.
    let (keys, from) = match &plan.fresh {
        Some(fresh) => (fresh, 0),
        None => (&plan.held, plan.held.len() as u64),
    };
    let led = ask(subject, keys, from, lead_in);
    let begin = Instant::now();
    let allowed = ask(subject, keys, from + lead_in as u64, checks);
    let time = begin.elapsed();
    check(version, led + allowed, lead_in + checks, plan.scenario != Scenario::Denied)?;
    Ok((version, time.as_secs_f64() * 1e9 / checks as f64))
}

/// Asks for `count` keys from position `from` on; how many were allowed.
fn ask(subject: &dyn Subject, keys: &Keys, from: u64, count: usize) -> u64 {
    let mut allowed = 0;
    keys.walk(from, count, true, |run| allowed += subject.pass(run));
    allowed
}

fn check(version: Version, allowed: u64, of: usize, all: bool) -> Result<(), Trouble> {
    if allowed == if all { of as u64 } else { 0 } {
        return Ok(());
    }
    let (name, should) = (version.name(), if all { "all" } else { "none" });
    Err(format!("{name} allowed {allowed} of {of} where {should} should be").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    /// A round in which the whole machine was slow changes no ratio.
    #[test]
    fn ratios_are_taken_within_rounds() {
        let rounds = [(10.0, 20.0), (80.0, 160.0), (12.0, 24.0), (90.0, 180.0), (11.0, 22.0)];
        let summary = Summary::of(&rounds);
        assert!(near(summary.tree, 12.0) && near(summary.other, 24.0), "{summary:?}");
        assert!(near(summary.ratio, 0.5), "{summary:?}");
        assert!(near(summary.quartiles.0, 0.5) && near(summary.quartiles.1, 0.5), "{summary:?}");
    }

    /// Both answer as the scenario says, for fewer keys than checks and for more.
    #[test]
    fn every_scenario_is_measured() {
        for scenario in Scenario::ALL {
            for keys in [10, 1000, 10_000] {
                let effort = Effort { rounds: 3, checks: 5000 };
                let summary = measure(scenario, keys, effort).unwrap();
                let all = [summary.tree, summary.other, summary.ratio];
                assert!(all.iter().all(|figure| *figure > 0.0), "{scenario:?} {keys} {summary:?}");
            }
        }
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let error = check(Version::Other, 9, 10, true).unwrap_err().to_string();
        assert_eq!(error, "the other version allowed 9 of 10 where all should be");
        assert!(check(Version::Tree, 1, 10, false).is_err());
        assert!(check(Version::Tree, 0, 10, false).is_ok());
    }
}
