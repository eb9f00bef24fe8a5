//! What is measured, where, and who is left out of which scenario.

use crate::{keys::Run, peers};
use anyhow::Result;

/// A limiter under measurement, shared by the threads that ask it.
pub(crate) trait Subject: Sync {
    /// Asks once for each key of the run; returns how many were allowed.
    fn pass(&self, run: &Run<'_>) -> u64;

    /// All the bytes it says that it takes, if part of them is no heap and so not
    /// counted.
    fn memory(&self) -> usize {
        0
    }
}

/// A way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    Direct,
    Keyed,
    GivenTime,
    Denied,
    Flood,
    Memory,
}

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Keyed => "keyed",
            Self::GivenTime => "given-time",
            Self::Denied => "denied",
            Self::Flood => "flood",
            Self::Memory => "memory",
        }
    }

    /// One sentence for the head of the table.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Direct => "one limit on everything, all allowed",
            Self::Keyed => "one limit per key, all keys known, all allowed",
            Self::GivenTime => "as keyed, the time given by the caller",
            Self::Denied => "as keyed, all denied",
            Self::Flood => "fresh keys only, one thread, in limiters that held 100,000 before",
            Self::Memory => "bytes on the heap per key, with so many keys held",
        }
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tollgate,
    TollgateBatch,
    Governor,
    GovernorAhash,
    Throttlecrab,
    PingoraLimits,
    Ratelimit,
    Floor,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Tollgate,
        Self::TollgateBatch,
        Self::Governor,
        Self::GovernorAhash,
        Self::Throttlecrab,
        Self::PingoraLimits,
        Self::Ratelimit,
        Self::Floor,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tollgate => "tollgate",
            Self::TollgateBatch => "tollgate-batch",
            Self::Governor => "governor",
            Self::GovernorAhash => "governor-ahash",
            Self::Throttlecrab => "throttlecrab",
            Self::PingoraLimits => "pingora-limits",
            Self::Ratelimit => "ratelimit",
            Self::Floor => "floor",
        }
    }

    /// Why this one has no part in `scenario`; `None` if it has.
    pub(crate) fn absence(self, scenario: Scenario) -> Option<&'static str> {
        match (self, scenario) {
            (Self::Ratelimit, Scenario::Direct) => None,
            (Self::Ratelimit, _) => Some("has no keys"),
            (Self::Throttlecrab | Self::PingoraLimits, Scenario::Direct) => Some("keyed only"),
            (Self::GovernorAhash, Scenario::Direct) => Some("nothing to hash"),
            (Self::TollgateBatch, Scenario::Direct) => Some("batches are of keys"),
            (Self::TollgateBatch, Scenario::GivenTime) => Some("reads the clock itself"),
            (Self::TollgateBatch, Scenario::Memory) => Some("the same table as tollgate"),
            (Self::PingoraLimits, Scenario::GivenTime) => Some("takes no time"),
            (Self::PingoraLimits, Scenario::Denied) => Some("counts on, does not deny"),
            (Self::Floor, Scenario::Memory) => Some("holds no keys"),
            _ => None,
        }
    }

    /// Those that have a part in `scenario`.
    pub(crate) fn taking_part(scenario: Scenario) -> Vec<Self> {
        Self::ALL.into_iter().filter(|kind| kind.absence(scenario).is_none()).collect()
    }

    /// A new limiter, made for `keys` keys.
    pub(crate) fn build(self, scenario: Scenario, keys: usize) -> Result<Box<dyn Subject>> {
        if scenario == Scenario::Direct {
            return peers::direct::build(self);
        }
        let given = scenario == Scenario::GivenTime;
        let limit = if scenario == Scenario::Denied { Limit::Daily } else { Limit::Plenty };
        Ok(match self {
            Self::Tollgate => Box::new(peers::tollgate::Single::new(limit, keys, given)?),
            Self::TollgateBatch => Box::new(peers::tollgate::Batch::new(limit, keys)?),
            Self::Governor => peers::governor::build::<std::hash::RandomState>(limit, given),
            Self::GovernorAhash => peers::governor::build::<ahash::RandomState>(limit, given),
            Self::Throttlecrab => Box::new(peers::throttlecrab::Single::new(limit, keys, given)),
            Self::PingoraLimits => Box::new(peers::pingora::Counter::new()),
            Self::Floor => Box::new(peers::floor::Floor::new(limit, keys, given)?),
            Self::Ratelimit => anyhow::bail!("ratelimit has no keys"),
        })
    }
}

/// What each key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A million a second, a million at once: nothing is denied.
    Plenty,
    /// One a day: everything but a key's first request is denied.
    Daily,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    const SCENARIOS: [Scenario; 5] =
        [Scenario::Direct, Scenario::Keyed, Scenario::GivenTime, Scenario::Denied, Scenario::Flood];

    /// What each one answers is what its scenario says, alone or shared.
    #[test]
    fn everybody_answers_as_the_scenario_says() {
        let keys = Keys::shuffled(1000, 1, true);
        for scenario in SCENARIOS {
            for kind in Kind::taking_part(scenario) {
                let subject = kind.build(scenario, keys.len()).unwrap();
                let mut allowed = Vec::new();
                for pass in 0..4 {
                    let mut sum = 0;
                    keys.walk(pass * 1000, 1000, pass % 2 == 0, |run| sum += subject.pass(run));
                    allowed.push(sum);
                }
                let (kind, scenario_name) = (kind.name(), scenario.name());
                if scenario == Scenario::Denied {
                    assert!(allowed[0] > 0, "{kind} {scenario_name} {allowed:?}");
                    assert_eq!(allowed[2..], [0, 0], "{kind} {scenario_name}");
                } else {
                    assert_eq!(allowed, [1000; 4], "{kind} {scenario_name}");
                }
            }
        }
    }

    #[test]
    fn tollgate_and_the_floor_are_in_every_timed_scenario() {
        for scenario in SCENARIOS {
            let kinds = Kind::taking_part(scenario);
            assert_eq!((kinds.first(), kinds.last()), (Some(&Kind::Tollgate), Some(&Kind::Floor)));
        }
    }
}
