//! The scenarios: which limiters hold which keys, and how long each is measured.

use crate::{
    keys::Keys,
    measure::{Plan, Ready, Timing, fill, measure},
    memory,
    report::{Group, Measured},
    subject::{Kind, Scenario},
};
use anyhow::Result;

/// Keys that the limiters hold before a flood of others.
const HELD: usize = 100_000;

/// Fresh keys while resident memory is watched.
const FLOOD: u64 = 5_000_000;

/// How long is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Quick,
    Usual,
    Full,
}

impl Effort {
    pub(crate) fn rounds(self) -> usize {
        match self {
            Self::Quick | Self::Usual => 7,
            Self::Full => 11,
        }
    }

    /// Checks per round, subject and thread.
    pub(crate) fn ops(self) -> usize {
        match self {
            Self::Quick => 1 << 18,
            Self::Usual | Self::Full => 1 << 20,
        }
    }

    fn sizes(self) -> &'static [usize] {
        match self {
            Self::Quick | Self::Usual => &[1_000, 100_000, 1_000_000],
            Self::Full => &[1_000, 100_000, 1_000_000, 10_000_000],
        }
    }

    pub(crate) fn scenarios(self) -> &'static [Scenario] {
        match self {
            Self::Quick => &[Scenario::Keyed, Scenario::Memory],
            Self::Usual | Self::Full => &[
                Scenario::Direct,
                Scenario::Keyed,
                Scenario::GivenTime,
                Scenario::Denied,
                Scenario::Flood,
                Scenario::Memory,
            ],
        }
    }

    fn fresh_keys(self) -> u64 {
        if self == Self::Full { 5_000_000 } else { 1_000_000 }
    }
}

/// Measures a scenario; `done` is called with each part as it is there.
pub(crate) fn run(
    scenario: Scenario,
    effort: Effort,
    mut done: impl FnMut(&Group),
) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    let mut put = |group: Group| {
        done(&group);
        groups.push(group);
    };
    match scenario {
        Scenario::Direct => {
            // What is walked is not looked at.
            for group in groups_of(scenario, 1_000, &[1, 2], effort)? {
                put(Group { keys: None, ..group });
            }
        }
        Scenario::Keyed | Scenario::GivenTime | Scenario::Denied => {
            let threads: &[_] = if scenario == Scenario::Keyed { &[1, 2] } else { &[1] };
            for &keys in effort.sizes() {
                groups_of(scenario, keys, threads, effort)?.into_iter().for_each(&mut put);
            }
        }
        Scenario::Flood => put(flood(effort)?),
        Scenario::Memory => {
            for keys in [100_000, 1_000_000] {
                put(held(keys)?);
            }
        }
    }
    Ok(groups)
}

fn groups_of(
    scenario: Scenario,
    keys: usize,
    threads: &[usize],
    effort: Effort,
) -> Result<Vec<Group>> {
    let kinds = Kind::taking_part(scenario);
    let timings = timed(scenario, &kinds, keys, threads, (effort.rounds(), effort.ops()))?;
    let group = |(&threads, timings): (_, &Vec<_>)| Group {
        scenario,
        keys: Some(keys as u64),
        threads: Some(threads),
        measured: summaries(timings),
    };
    Ok(threads.iter().zip(&timings).map(group).collect())
}

/// Limiters that hold `keys` keys, asked for them by so many threads at a time:
/// the times for each number of threads.
pub(crate) fn timed(
    scenario: Scenario,
    kinds: &[Kind],
    keys: usize,
    threads: &[usize],
    (rounds, ops): (usize, usize),
) -> Result<Vec<Vec<Timing>>> {
    let with_text = kinds.contains(&Kind::Throttlecrab);
    let allowed = scenario != Scenario::Denied;
    let most = threads.iter().copied().max().unwrap_or(1);
    let orders: Vec<_> =
        (0..most).map(|seed| Keys::shuffled(keys, seed as u64, with_text)).collect();
    let ready = ready(scenario, kinds, &orders[0], allowed)?;
    let lead_in = keys.min(ops / 4);
    // After the filling: given time goes on, it does not begin again.
    let mut from = keys as u64;
    threads
        .iter()
        .map(|&threads| {
            let plan = Plan { rounds, ops, lead_in, from, allowed };
            from += (rounds * (ops + lead_in)) as u64;
            measure(&ready, &orders.iter().take(threads).collect::<Vec<_>>(), plan)
        })
        .collect()
}

fn ready(scenario: Scenario, kinds: &[Kind], keys: &Keys, allowed: bool) -> Result<Vec<Ready>> {
    kinds
        .iter()
        .map(|&kind| {
            let ready = Ready { kind, subject: kind.build(scenario, keys.len())? };
            fill(&ready, keys, allowed)?;
            Ok(ready)
        })
        .collect()
}

/// What is reported of times, tollgate's among them.
pub(crate) fn summaries(timings: &[Timing]) -> Vec<Measured> {
    let tollgate = timings.iter().find(|timing| timing.kind == Kind::Tollgate);
    timings
        .iter()
        .map(|timing| Measured {
            kind: timing.kind,
            time: Some(timing.summary(tollgate.unwrap_or(timing))),
            bytes_per_key: None,
        })
        .collect()
}

fn flood(effort: Effort) -> Result<Group> {
    let kinds = Kind::taking_part(Scenario::Flood);
    let held = Keys::shuffled(HELD, 0, true);
    let count = effort.fresh_keys();
    let rounds = 10;
    let ops = usize::try_from(count)? / rounds;
    let fresh = Keys::in_order(HELD as u64..HELD as u64 + count, true);

    let plan = Plan { rounds, ops, lead_in: 0, from: 0, allowed: true };
    let timings = measure(&ready(Scenario::Flood, &kinds, &held, true)?, &[&fresh], plan)?;
    let mut measured = summaries(&timings);
    for row in &mut measured {
        // Once more, with the counter running and without the clock.
        let ready = ready(Scenario::Flood, &[row.kind], &held, true)?;
        let (result, grown) = memory::growth(|| fill(&ready[0], &fresh, true));
        result?;
        row.bytes_per_key = Some(grown as f64 / count as f64);
    }
    Ok(Group { scenario: Scenario::Flood, keys: Some(count), threads: Some(1), measured })
}

/// Bytes that each limiter takes to hold so many keys.
fn held(keys: usize) -> Result<Group> {
    let order = Keys::shuffled(keys, 0, true);
    let mut measured = Vec::new();
    for kind in Kind::taking_part(Scenario::Memory) {
        let (ready, bytes) = memory::growth(|| ready(Scenario::Memory, &[kind], &order, true));
        // Large tables of tollgate are pages of their own; resident memory, which is
        // watched in a flood, shows whether it says the truth.
        let said = ready?.iter().map(|ready| ready.subject.memory()).sum::<usize>();
        let bytes = bytes.max(i64::try_from(said)?);
        measured.push(Measured {
            kind,
            time: None,
            bytes_per_key: Some(bytes as f64 / keys as f64),
        });
    }
    Ok(Group { scenario: Scenario::Memory, keys: Some(keys as u64), threads: None, measured })
}

/// What a flood does to the memory of a tollgate that was full of other keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    pub(crate) fresh_keys: u64,
    pub(crate) heap_growth: i64,
    /// Resident memory before and after, where the system tells.
    pub(crate) resident: Option<(i64, i64)>,
}

/// Fills a tollgate, then asks it for five million fresh keys.
pub(crate) fn watch() -> Result<Watched> {
    const CHUNK: u64 = 50_000;
    const WARM: u64 = 2;
    let held = Keys::shuffled(1_000_000, 0, false);
    let ready = ready(Scenario::Flood, &[Kind::Tollgate], &held, true)?;
    let ask = |chunk: u64| {
        let first = held.len() as u64 + chunk * CHUNK;
        fill(&ready[0], &Keys::in_order(first..first + CHUNK, false), true)
    };
    // The allocator may keep what a chunk took, from the second one on.
    (0..WARM).try_for_each(ask)?;
    let before = memory::resident();
    let (result, heap_growth) = memory::growth(|| (WARM..WARM + FLOOD / CHUNK).try_for_each(ask));
    result?;
    let resident = before.zip(memory::resident());
    Ok(Watched { fresh_keys: FLOOD, heap_growth, resident })
}
