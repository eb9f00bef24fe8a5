//! What the table promises of its words, where a caller cannot look.

use super::*;
use crate::{Decision, Quota, algorithm::Gcra, algorithm::SlidingLog, sync::Ordering};

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
    table.decide(hash, &Request { now, cost }).unwrap()
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
    denials_write_nothing(Gcra::new(&quota("5/min")));
    denials_write_nothing(SlidingLog::new(&quota("5/min")).unwrap());
}

/// Somebody sits on every ticket, for good: known keys do not notice.
#[test]
fn known_keys_need_no_ticket() {
    let table = table(Gcra::new(&quota("5/min")), 100);
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
    let table = table(Gcra::new(&quota("1/ns")), 1);
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
        let table = table(Gcra::new(&quota("1/min")), 100);
        let request = Request { now: 16, cost: 1 };
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
        let smooth = table(Gcra::new(&quota("5/min")), 30);
        let exact = table(SlidingLog::new(&quota("5/min")).unwrap(), 30);
        for words in [smooth.storage.words(), exact.storage.words()] {
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
                    let request = Request { now, cost };
                    let _ = (smooth.decide(hash, &request), exact.decide(hash, &request));
                }
            }
        }
    }
}
