//! `--decisions` of a policy: what every limit said of a line.

use super::tally::is_told;
use crate::{
    decisions::{Answer, Decisions},
    failure::Failure,
    run::At,
};
use serde::Serialize;
use tollgate::{
    Outcome,
    policy::{Algorithm, Cause, LimitDecision, PolicyDecision},
};

#[derive(Serialize)]
struct Decided<'d> {
    /// Its numbers are those of the limit that binds.
    #[serde(flatten)]
    answer: Answer<'d>,
    outcome: &'static str,
    /// What decided: limits, or a rule that goes before them, or what a limit lacks.
    cause: &'static str,
    /// The rule, or the limit that lacks something.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<&'d str>,
    binding: Option<&'d str>,
    limits: &'d [Said<'d>],
}

#[derive(Serialize)]
struct Said<'d> {
    name: &'d str,
    algorithm: &'static str,
    shadow: bool,
    outcome: &'static str,
    /// Whether it counts this key, or had no room for it.
    accounted: bool,
    units: u64,
    limit: Option<u64>,
    remaining: Option<u64>,
    reset_after_ns: Option<u128>,
    retry_after_ns: Option<u128>,
}

/// Writes the whole decision on a line.
pub(super) fn write(
    decisions: &mut Decisions,
    at: At,
    decision: &PolicyDecision<'_>,
) -> Result<(), Failure> {
    let limits: Vec<_> = decision.limits().map(said).collect();
    let said_no = decision.limits().filter(|said| said.is_violated() && !said.is_shadow());
    let denied_by: Vec<_> = said_no.map(|said| said.name()).collect();
    let (cause, by, lacks) = match decision.cause() {
        Cause::Exempt(name) => ("exempt", Some(name), None),
        Cause::Refused(name) => ("refused", Some(name), None),
        Cause::Blocked(name) => ("blocked", Some(name), None),
        Cause::Missing { limit, attribute } => ("missing", Some(limit), Some(attribute)),
        _ => ("limits", None, None),
    };
    let binding = binding(decision);
    let numbers = binding.map(said);
    let answer = Answer {
        allowed: decision.is_allowed(),
        denied_by: &denied_by,
        remaining: numbers.as_ref().and_then(|limit| limit.remaining),
        reset_after_ns: numbers.as_ref().and_then(|limit| limit.reset_after_ns),
        retry_after_ns: decision.retry_after().map(|wait| wait.as_nanos()),
    };
    let decided = Decided {
        answer,
        outcome: outcome(decision.outcome()),
        cause,
        by,
        lacks,
        binding: binding.map(|said| said.name()),
        limits: &limits,
    };
    decisions.write(at, decided)
}

/// The limit that binds, of those of which a log tells enough.
fn binding<'d>(decision: &'d PolicyDecision<'_>) -> Option<LimitDecision<'d>> {
    let bound = decision.binding()?;
    if is_told(&bound) {
        return Some(bound);
    }
    // Limits of which it does not never deny.
    let left = |said: &LimitDecision<'_>| {
        let numbers = said.decision();
        (u128::from(numbers.remaining()), u128::from(numbers.limit()))
    };
    decision
        .limits()
        .filter(|said| is_told(said) && !said.is_shadow() && !said.is_unlimited())
        .min_by(|a, b| {
            let ((a, of_a), (b, of_b)) = (left(a), left(b));
            (a * of_b.max(1)).cmp(&(b * of_a.max(1)))
        })
}

fn said(said: LimitDecision<'_>) -> Said<'_> {
    let numbers = Some(said.decision()).filter(|_| is_told(&said) && !said.is_unlimited());
    // Each request is measured anew.
    let lasting = numbers.filter(|_| said.algorithm() != Algorithm::Size);
    Said {
        name: said.name(),
        algorithm: said.algorithm().name(),
        shadow: said.is_shadow(),
        outcome: match numbers {
            Some(numbers) => outcome(numbers.outcome()),
            None if said.is_unlimited() => "unlimited",
            None => "not evaluated",
        },
        accounted: numbers.is_some_and(|numbers| numbers.is_accounted()),
        units: said.units(),
        limit: numbers.map(|numbers| numbers.limit()),
        remaining: numbers.map(|numbers| numbers.remaining()),
        reset_after_ns: lasting.map(|numbers| numbers.reset_after().as_nanos()),
        retry_after_ns: numbers.and_then(|numbers| Some(numbers.retry_after()?.as_nanos())),
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "allowed",
        Outcome::Later => "later",
        _ => "never",
    }
}
