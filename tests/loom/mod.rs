//! The protocol under every interleaving: run by `.ci/loom`.
//!
//! Tables of one or two slots, and holders with no patience at all, so that
//! thefts, takeovers and reclaims are the rule. Times are in nanoseconds;
//! quotas are chosen so that a nanosecond is an emission interval.
//!
//! What must hold, and what plants a fault against it (`.ci/faults`):
//!
//! 1. the last unit is won once: alone, in a slot, at first sight, in a log;
//! 2. a key never has two slots;
//! 3. a charge is never lost to a reclaim, nor spent on another key;
//! 4. an old `now` gets no credit from a reclaim;
//! 5. nobody waits for a holder that is gone;
//! 6. a full table denies the new and leaves the known alone;
//! 7. what lowers a state (refunds, resets) lets nobody charge another's slot, and
//!    nobody gets more than was given back;
//! 8. a quota that is replaced is read whole;
//! 9. no unit is lost on the way into a counter's next window, nor counted for another;
//! 10. who was emptied is let in by nobody's older look.

use super::{
    Hash, Place, Refused, Table,
    first_sight::Look,
    geometry::{Geometry, Layout},
    rule::{Ask, Request, Rule},
    storage::Memory,
    words::{bears, is_claim},
};
use crate::{
    Decision, Quota,
    algorithm::{Calendar, Gcra, SlidingCounter, SlidingLog, Unit},
    sync::{Ordering, model::LOADS_CONFLICT, thread},
    time::{SLACK, TICKS_PER_NANO},
};
use loom::sync::Arc;

mod leases;
mod log;
mod lone;
mod numbered;
mod operations;
mod slots;
mod weighed;

/// One bucket of so many slots, and no patience.
struct Tiny<const SLOTS: usize>;

impl<const SLOTS: usize> Geometry for Tiny<SLOTS> {
    const ROW: usize = SLOTS;
    const ROWS: usize = 1;
    const SPILL: usize = SLOTS;
    const BYTES_PER_KEY: usize = 24;
    const PATIENCE: u32 = 0;
}

type Tab<R, const SLOTS: usize> = Table<R, Memory, Tiny<SLOTS>>;

/// Two keys that share every bucket.
const K: Hash = Hash(1);
const J: Hash = Hash(2);
const M: Hash = Hash(3);

fn gcra(quota: &str) -> Gcra {
    Gcra::new(&quota.parse::<Quota>().unwrap(), 0)
}

fn log(quota: &str) -> SlidingLog {
    SlidingLog::new(&quota.parse::<Quota>().unwrap(), 0, 0).unwrap()
}

fn table<R: Rule, const SLOTS: usize>(rule: R, buckets: usize) -> Arc<Tab<R, SLOTS>> {
    let words = rule.ring_words();
    let layout = Layout::with_buckets::<Tiny<SLOTS>>(buckets, words).unwrap();
    Arc::new(Table::on_heap(rule, layout).unwrap())
}

/// Asks for `cost` units at `now` ns. `None`: saturated.
fn ask<R: Rule<Answer = Decision>, const SLOTS: usize>(
    table: &Tab<R, SLOTS>,
    key: Hash,
    now: u64,
    cost: u64,
) -> Option<Decision> {
    let request = Request::new(now * TICKS_PER_NANO, cost);
    match table.decide(key, &request) {
        Ok(decision) => Some(decision),
        // As a limiter does whose clock shows no more.
        Err(Refused::Fault) => table.decide(key, &request.repairing(0)).ok(),
        Err(Refused::Saturated { .. }) => None,
    }
}

/// Asks for something else than a charge, of `cost` units at `now` ns.
fn operate<R: Rule<Answer = Decision>, const SLOTS: usize>(
    table: &Tab<R, SLOTS>,
    key: Hash,
    now: u64,
    cost: u64,
    what: Ask,
) -> Option<Decision> {
    table.decide(key, &Request::new(now * TICKS_PER_NANO, cost).asking(what)).ok()
}

/// A key with these two buckets. Different calls for one pair give one key;
/// pairs that differ, keys that differ.
fn key_in<R: Rule, const SLOTS: usize>(table: &Tab<R, SLOTS>, home: usize, away: usize) -> Hash {
    (1..10_000)
        .map(|n: u64| Hash(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .find(|hash| {
            let place = table.place(*hash);
            (place.home, place.away) == (home, away)
        })
        .unwrap()
}

fn allowed(decision: Option<Decision>) -> usize {
    usize::from(decision.is_some_and(|d| d.is_allowed()))
}

/// How many live slots bear a key.
fn slots_of<R: Rule, const SLOTS: usize>(table: &Tab<R, SLOTS>, key: Hash) -> usize {
    let place = table.place(key);
    Tab::<R, SLOTS>::rows(&place)
        .flat_map(|at| (0..SLOTS).map(move |nth| (at, nth)))
        .filter(|&(at, nth)| {
            let row = table.row(at);
            bears(row.key(nth).load(), place.tag) && !is_claim(row.state(nth).load())
        })
        .count()
}

/// Explores with at most so many forced switches, in both ways of loading (see
/// `sync::model`): `weak` where loads may be stale, `strong` where every
/// interleaving of loads is tried.
fn model(weak: usize, strong: usize, f: impl Fn() + Sync + Send + Copy + 'static) {
    for (preemptions, conflict) in [(weak, false), (strong, true)] {
        LOADS_CONFLICT.set(conflict);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 10_000;
        builder.check(f);
    }
}

fn spawn<T: 'static>(f: impl FnOnce() -> T + 'static) -> thread::JoinHandle<T> {
    thread::spawn(f)
}

/// Makes loom try both orders of two threads as a whole, also where loads do
/// not conflict. It orders nothing else.
#[derive(Default)]
struct Gate(loom::sync::atomic::AtomicUsize);

impl Gate {
    fn pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Three buckets of one slot: K in 0, with 1 to spare; another key in 2. J, whose
/// buckets are given, takes K's slot at 12, as K's unit of 1 is gone at 11. A
/// thread that read the clock at 5 must find no credit for K, whenever it runs.
fn late_after_reclaim<R: Rule<Answer = Decision> + 'static>(
    rule: R,
    j: (usize, usize),
    other: (usize, usize),
) {
    late_after_reclaim_by(rule, 1, j, other);
}

/// The same in times of so many nanoseconds.
fn late_after_reclaim_by<R: Rule<Answer = Decision> + 'static>(
    rule: R,
    unit: u64,
    j: (usize, usize),
    other: (usize, usize),
) {
    let table = table::<_, 1>(rule, 3);
    let [k, j, other] = [(0, 1), j, other].map(|(home, away)| key_in(&table, home, away));
    assert_eq!(allowed(ask(&table, k, unit, 1)), 1);
    assert_eq!(allowed(ask(&table, other, 5 * unit, 1)), 1);
    let gate = Arc::new(Gate::default());
    let (same, theirs) = (table.clone(), gate.clone());
    let theirs = spawn(move || {
        theirs.pass();
        ask(&same, j, 12 * unit, 1)
    });
    gate.pass();
    assert_eq!(allowed(ask(&table, k, 5 * unit, 1)), 0);
    assert_eq!(allowed(theirs.join().unwrap()), 1);
}
