//! What the table promises of its words, where a caller cannot look.

use super::rule::Ask;
use super::*;
use crate::{
    Decision, Quota,
    algorithm::{Calendar, Gcra, SlidingCounter, SlidingLog, Unit},
    sync::Ordering,
};

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

fn table<R: Rule>(rule: R, keys: usize) -> Table<R> {
    let layout = Layout::for_keys::<Wide>(keys, rule.ring_words()).unwrap();
    Table::on_heap(rule, layout).unwrap()
}

fn words<R: Rule>(table: &Table<R>) -> Vec<u64> {
    table.storage.words().iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

fn ask<R: Rule<Answer = Decision>>(table: &Table<R>, key: u64, now: u64, cost: u64) -> Decision {
    // Spread over the buckets as well as the fingerprints.
    let hash = Hash(key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    table.decide(hash, &Request::new(now, cost)).unwrap()
}

fn denials_write_nothing<R: Rule<Answer = Decision>>(rule: R) {
    let table = table(rule, 100);
    for key in 0..50 {
        while ask(&table, key, 1000, 1).is_allowed() {}
    }
    let before = words(&table);
    for key in 0..100 {
        assert!(ask(&table, key, 1000, if key < 50 { 1 } else { 1 << 40 }).is_denied());
        assert!(ask(&table, key, 1000, 0).is_allowed());
    }
    assert!(before == words(&table), "not a word changed");
}

#[test]
fn a_denial_and_a_look_write_not_a_word() {
    denials_write_nothing(Gcra::new(&quota("5/min"), 0));
    denials_write_nothing(SlidingLog::new(&quota("5/min"), 0, 0).unwrap());
    denials_write_nothing(SlidingCounter::new(&quota("5/min"), 0).unwrap());
}

/// Somebody sits on every ticket, for good: known keys do not notice.
#[test]
fn known_keys_need_no_ticket() {
    let table = table(Gcra::new(&quota("5/min"), 0), 100);
    for key in 0..50 {
        assert!(ask(&table, key, 1000, 1).is_allowed());
    }
    let held: Vec<_> =
        (0..table.layout.buckets).map(|b| table.ticket(b).take(0).unwrap()).collect();
    let tickets = |table: &Table<Gcra>| -> Vec<u64> {
        (0..table.layout.buckets).map(|b| table.ticket(b).holder()).collect()
    };
    let before = tickets(&table);
    for key in 0..50 {
        for left in (0..4).rev() {
            assert_eq!(ask(&table, key, 1000, 1).remaining(), left);
        }
        assert!(ask(&table, key, 1000, 1).is_denied());
    }
    assert_eq!(tickets(&table), before, "nobody took or stole one");
    // A new key outwaits the holder, then steals the ticket.
    assert!(ask(&table, 1_000_000, 1000, 1).is_allowed());
    assert_ne!(tickets(&table), before);
    drop(held);
}

/// A key that comes back after its debt is paid keeps its slot; one that does
/// not leaves it to the next, and the table needs no more slots than that.
#[test]
fn slots_are_reclaimed_in_place() {
    let table = table(Gcra::new(&quota("1/ns"), 0), 1);
    for now in 0..10_000_u64 {
        assert!(ask(&table, now, now * 16, 1).is_allowed());
        assert!(ask(&table, u64::MAX, now * 16, 1).is_allowed());
    }
    assert_eq!((table.saturated(), table.layout.buckets), (0, 1));
}

/// Zero is a fingerprint like any other.
#[test]
fn every_hash_is_a_key() {
    for hash in [0, 1 << 48, u64::MAX, 0xFFFF << 48] {
        let table = table(Gcra::new(&quota("1/min"), 0), 100);
        let request = Request::new(16, 1);
        assert!(table.decide(Hash(hash), &request).unwrap().is_allowed());
        assert!(table.decide(Hash(hash), &request).unwrap().is_denied());
    }
}

/// A slot whose words are garbage is somebody else's claim, a fault, or a
/// stranger's debt; never a panic, never a hang, never a lost key.
#[test]
fn garbage_in_the_words_is_survived() {
    let mut random = 1_u64;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random ^ random >> 29
    };
    for round in 0..50 {
        let smooth = table(Gcra::new(&quota("5/min"), 0), 30);
        let exact = table(SlidingLog::new(&quota("5/min"), 0, 0).unwrap(), 30);
        let counted = table(SlidingCounter::new(&quota("5/min"), 0).unwrap(), 30);
        let dated = table(Calendar::new(Unit::Month), 30);
        for words in [&smooth.storage, &exact.storage, &counted.storage, &dated.storage] {
            let words = words.words();
            for word in words {
                let garbage = match next() % 4 {
                    0 => 0,
                    1 => next() >> 8,
                    2 => next() | 0xFF << 56,
                    _ => next(),
                };
                word.store(garbage, Ordering::Relaxed);
            }
        }
        for key in 0..40_u64 {
            for now in [round, 1 << 40, 1 << 60] {
                let hash = Hash(key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                for cost in [0, 1, 5, 6, u64::MAX] {
                    for request in [Request::new(now, cost), Request::new(now, cost).repairing(1)] {
                        let month = dated.rule().with_numbers([5, now - now % 7, now + 7]);
                        for ask in [Ask::Charge, Ask::Look, Ask::Exhaust, Ask::Forget] {
                            let request = request.asking(ask);
                            let _ = (smooth.decide(hash, &request), exact.decide(hash, &request));
                            let _ = counted.decide(hash, &request);
                            let _ = dated.decide_by(&month, hash, &request);
                        }
                    }
                }
            }
        }
    }
}

/// Buckets of one slot.
struct One;

impl Geometry for One {
    const ROW: usize = 1;
    const ROWS: usize = 1;
    const SPILL: usize = 1;
    const BYTES_PER_KEY: usize = 24;
    const PATIENCE: u32 = 0;
}

/// In a table of three such buckets: K may be in 0 and 1, J in 0 and 2, and 2 is
/// taken, so that J takes K's slot, and K then has one to spare in 1.
fn after_a_reclaim<R: Rule<Answer = Decision>>(rule: R) -> (Table<R, Memory, One>, Hash) {
    let layout = Layout::with_buckets::<One>(3, rule.ring_words()).unwrap();
    let table: Table<R, Memory, One> = Table::on_heap(rule, layout).unwrap();
    let key = |home, away| {
        (1..10_000)
            .map(|n: u64| Hash(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .find(|hash| {
                let place = table.place(*hash);
                (place.home, place.away) == (home, away)
            })
            .unwrap()
    };
    let (k, j, other) = (key(0, 1), key(0, 2), key(2, 0));
    let (t, second) = ((DAYS + 100) * SECOND, SECOND);
    assert!(table.decide(k, &Request::new(t, 1)).unwrap().is_allowed());
    assert!(table.decide(other, &Request::new(t + 5 * second, 1)).unwrap().is_allowed());
    assert!(table.decide(j, &Request::new(t + 10 * second, 1)).unwrap().is_allowed());
    (table, k)
}

const SECOND: u64 = 16_000_000_000;

/// Three days, in seconds: longer than clocks honestly differ.
const DAYS: u64 = 3 * 86_400;

fn behind_the_floor<R: Rule<Answer = Decision>>(rule: R) {
    let (table, k) = after_a_reclaim(rule);
    let ask = |now, cost| table.decide(k, &Request::new((DAYS + now) * SECOND, cost)).unwrap();
    // K's unit of 100 is as good as new at 110; a reading before that waits for it.
    assert_eq!(ask(101, 1).retry_after_secs(), Some(9));
    // Far behind as well: the true wait, not the longest honest one.
    assert_eq!(ask(50, 1).retry_after_secs(), Some(60));
    assert!(ask(110, 0).remaining() == 1 && ask(109, 0).remaining() == 0);
    // A reading so old that the floor looks like a fault, and nobody to ask for
    // the time: a look writes nothing, so the floor is still there for others.
    let _ = table.decide(k, &Request::new(0, 0).repairing(0));
    assert_eq!(ask(101, 1).retry_after_secs(), Some(9));
    assert!(ask(110, 1).is_allowed() && ask(110, 1).is_denied());
}

#[test]
fn a_key_without_a_slot_waits_for_the_floor() {
    behind_the_floor(Gcra::new(&quota("1/10s"), 0));
    behind_the_floor(SlidingLog::new(&quota("1/10s"), 0, 0).unwrap());
}

/// Idle keys keep their slots for as long as there are others: no more keys than
/// slots, all as good as new all the time, and each is known again.
#[test]
fn idle_keys_keep_their_slots() {
    let table = table(Gcra::new(&quota("1/ns"), 0), 1000);
    let ask = |key, now| ask(&table, key, now, 1);
    let words_with_keys = || {
        let words = words(&table);
        let rows = &words[table.layout.rows_at..table.layout.rings_at];
        rows.chunks(16).flat_map(|row| row[..8].to_vec()).filter(|key| *key != 0).count()
    };
    for key in 0..1000 {
        assert!(ask(key, key * 100).is_allowed());
    }
    assert_eq!(words_with_keys(), 1000, "nobody took a slot that had a key");
}

/// A rule that lets something happen between the load of a state and its swap.
struct Stopped<R>(R);

thread_local! {
    static MEANWHILE: std::cell::RefCell<Option<Box<dyn FnOnce()>>> = const { std::cell::RefCell::new(None) };
}

impl<R: Rule> Rule for Stopped<R> {
    type Answer = R::Answer;

    fn ring_words(&self) -> usize {
        self.0.ring_words()
    }

    fn decide(&self, request: &Request, seen: Seen, ring: Ring<'_>) -> Step<R::Answer> {
        self.0.decide(request, seen, ring)
    }

    fn write(&self, request: &Request, seen: Seen, ring: Ring<'_>) {
        self.0.write(request, seen, ring);
        if let (Seen::Live(_), Some(happens)) = (seen, MEANWHILE.take()) {
            happens();
        }
    }

    fn write_tidied(&self, request: &Request, state: u64, ring: Ring<'_>) {
        self.0.write_tidied(request, state, ring);
    }

    fn repair(
        &self,
        request: &Request,
        state: u64,
        ring: Ring<'_>,
        unchanged: impl Fn() -> bool,
    ) -> u64 {
        self.0.repair(request, state, ring, unchanged)
    }

    fn look_at_fault(&self, request: &Request) -> R::Answer {
        self.0.look_at_fault(request)
    }

    fn free_at(&self, state: u64, ring: Ring<'_>) -> u64 {
        self.0.free_at(state, ring)
    }

    fn furthest_free(&self) -> u64 {
        self.0.furthest_free()
    }

    fn slack(&self) -> u64 {
        self.0.slack()
    }
}

/// The one slot of this table changes hands 256 times, so that the low byte of
/// its generation is the same again, while a charge is under way.
#[test]
fn a_stopped_charge_does_not_hit_a_later_owner() {
    let rule = Stopped(SlidingLog::new(&quota("2/10ns"), 0, 0).unwrap());
    let layout = Layout::with_buckets::<One>(1, rule.ring_words()).unwrap();
    let table: std::rc::Rc<Table<_, Memory, One>> =
        std::rc::Rc::new(Table::on_heap(rule, layout).unwrap());
    let ask = |table: &Table<_, Memory, One>, key, nanos: u64, cost| {
        table.decide(Hash(key), &Request::new(nanos * 16, cost)).unwrap()
    };
    assert!(ask(&table, 1, 0, 1).is_allowed());
    let others = table.clone();
    MEANWHILE.set(Some(Box::new(move || {
        for n in 1..=256 {
            assert!(ask(&others, 2 + n % 256, 20 * n, 1).is_allowed());
        }
    })));
    let _ = table.decide(Hash(1), &Request::new(5 * 16, 1));
    assert_eq!(ask(&table, 2, 20 * 256, 0).remaining(), 1);
}

/// Two clocks differ by 0.9 s. K is charged by the one that is ahead and reset by the
/// one behind; then J takes the slot by the former and is reset by the latter. J's
/// state must not come back to one that K had, or K's charge, stopped since, is J's.
#[test]
fn lowered_states_do_not_return_under_clocks_that_differ() {
    let rule = Stopped(Gcra::new(&quota("10/s burst 20"), 0));
    let layout = Layout::with_buckets::<One>(1, 0).unwrap();
    let table: std::rc::Rc<Table<_, Memory, One>> =
        std::rc::Rc::new(Table::on_heap(rule, layout).unwrap());
    // Times are in tenths of a second, a unit's worth.
    let ask = |table: &Table<_, Memory, One>, key, at: u64, cost, ask| {
        table.decide(Hash(key), &Request::new(at * SECOND / 10, cost).asking(ask))
    };
    let (k, j, ahead) = (1, 2, 9);
    assert!(ask(&table, k, 110 + ahead, 20, Ask::Charge).unwrap().is_allowed());
    let charged = (110 + ahead) * SECOND / 10;
    assert_eq!(
        ask(&table, k, 110 + ahead, 1, Ask::GiveBack { charged, weight: 0 }).unwrap().remaining(),
        1
    );
    let others = table.clone();
    let left = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
    let before = left.clone();
    // K's time is 138 and marked when its last unit is asked for.
    MEANWHILE.set(Some(Box::new(move || {
        // No state is lowered by more than the largest debt at once.
        let _ = ask(&others, k, 110, 1, Ask::Forget);
        let _ = ask(&others, k, 110, 1, Ask::Forget);
        let had = (110..10_000)
            .find(|at| ask(&others, j, at + ahead, 1, Ask::Charge).is_ok_and(|d| d.is_allowed()));
        let at = had.unwrap();
        let _ = ask(&others, j, at, 1, Ask::Forget);
        for _ in at..138 {
            assert!(ask(&others, j, at, 1, Ask::Charge).unwrap().is_allowed());
        }
        before.set((at, ask(&others, j, at, 0, Ask::Charge).unwrap().remaining()));
    })));
    let _ = ask(&table, k, 110 + ahead, 1, Ask::Charge);
    let (at, left) = left.get();
    assert_eq!(ask(&table, j, at, 0, Ask::Charge).unwrap().remaining(), left, "J's at {at}");
}

/// Leases and blocks among garbage: no panic and no hang, and never more leases than N
/// beside those that the garbage may have meant.
#[test]
fn garbage_in_leases_and_blocks_is_survived() {
    use crate::{
        algorithm::{Block, Leases},
        limiter::lease::protocol,
    };
    let mut random = 1_u64;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random ^ random >> 29
    };
    for _ in 0..50 {
        let leases = table(Leases::new(3, SECOND, 4, 0).unwrap(), 30);
        let blocks = table(Block::new(&[SECOND, u64::MAX], SECOND).unwrap(), 30);
        for words in [leases.storage.words(), blocks.storage.words()] {
            for word in words {
                let garbage = [0, next() >> 8, next() | 0xFF << 56, next() >> 30, next()];
                word.store(garbage[usize::try_from(next() % 5).unwrap()], Ordering::Relaxed);
            }
        }
        for key in 0..40_u64 {
            let hash = Hash(key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            for now in [1, 1 << 40, 1 << 60] {
                let mut had = 0;
                for cost in [0, 1, 1, 1, 1, 1, 2, u64::MAX] {
                    let request = Request::new(now, cost);
                    for request in [request, request.repairing(1)] {
                        let _ = blocks.decide(hash, &request);
                        let _ = blocks.decide(hash, &request.asking(Ask::Forget));
                        let answer = protocol::acquire(&leases, leases.rule(), hash, &request);
                        if let Ok((decision, Some(id))) = answer {
                            assert!(decision.is_allowed());
                            had += 1;
                            if had == 2 {
                                let _ = protocol::renew(&leases, leases.rule(), id, now);
                            }
                        }
                    }
                }
                assert!(had <= 3, "{had} leases");
                let _ = protocol::release_all(&leases, hash, now);
            }
        }
    }
}
