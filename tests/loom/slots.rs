//! Hits, first sights and reclaims of GCRA states.

use super::*;

/// A known key with one unit left.
#[test]
fn hit_last_unit() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 2, 1)));
        let ours = allowed(ask(&table, K, 1, 1));
        assert_eq!(ours + theirs.join().unwrap(), 1);
    });
}

/// Two threads see a key for the first time: one allowance, one slot.
#[test]
fn first_sight_with_theft() {
    model(3, 2, || {
        let table = table::<_, 2>(gcra("1/10ns"), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 2, 1)));
        let ours = allowed(ask(&table, K, 1, 1));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        assert_eq!(slots_of(&table, K), 1);
    });
}

/// The same with a slot in each of two buckets, where the two may choose differently.
#[test]
fn first_sight_in_two_buckets() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns"), 2);
        // J lives in K's home and goes away just then.
        assert_eq!(allowed(ask(&table, J, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 11, 1)));
        let ours = allowed(ask(&table, K, 5, 1));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        assert_eq!(slots_of(&table, K), 1);
    });
}

/// Three of them, so that a thief is robbed as well.
#[test]
fn first_sight_thief_robbed() {
    model(1, 2, || {
        let table = table::<_, 1>(gcra("1/10ns"), 1);
        let threads: Vec<_> = (1..3)
            .map(|now| {
                let table = table.clone();
                spawn(move || allowed(ask(&table, K, now, 1)))
            })
            .collect();
        let ours = allowed(ask(&table, K, 3, 1));
        let theirs: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(ours + theirs, 1);
        assert_eq!(slots_of(&table, K), 1);
    });
}

/// J takes K's slot, whose state is as good as new, while K is charged again.
#[test]
fn reclaim_against_hit() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 12, 1));
        let ours = ask(&table, K, 12, 1);
        let theirs = theirs.join().unwrap();
        // Whoever was charged is remembered, the other found no slot: nobody is
        // charged for the other, nobody is forgotten.
        assert_eq!(allowed(ours) + allowed(theirs), 1);
        let (winner, loser) = if ours.is_some() { (K, J) } else { (J, K) };
        assert_eq!(ask(&table, winner, 12, 1).map(|d| d.is_allowed()), Some(false));
        assert_eq!(ask(&table, loser, 12, 1), None);
        assert_eq!(table.saturated(), 2);
    });
}

/// The same with a free slot in K's other bucket, so that K may move.
#[test]
fn reclaim_against_hit_with_room() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns"), 3);
        let [k, j] = [key_in(&table, 0, 1), key_in(&table, 0, 2)];
        assert_eq!(allowed(ask(&table, k, 1, 1)), 1);
        // J's other bucket is taken.
        assert_eq!(allowed(ask(&table, key_in(&table, 2, 0), 5, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, j, 12, 1));
        let ours = ask(&table, k, 12, 1);
        let theirs = theirs.join().unwrap();
        assert_eq!(allowed(ours), 1);
        // J found a slot unless K had come back to its own.
        assert!(theirs.is_none() || allowed(theirs) == 1);
        assert_eq!(allowed(ask(&table, k, 12, 1)), 0);
        assert_eq!(slots_of(&table, k), 1);
        assert_eq!(slots_of(&table, j), allowed(theirs));
    });
}

/// Two keys want the one slot that is as good as new, and its owner comes back.
#[test]
fn two_reclaimers_and_the_owner() {
    model(2, 2, || {
        let table = table::<_, 1>(gcra("1/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let threads: Vec<_> = [J, M]
            .into_iter()
            .map(|key| {
                let table = table.clone();
                spawn(move || ask(&table, key, 12, 1))
            })
            .collect();
        let ours = ask(&table, K, 12, 1);
        let theirs: usize = threads.into_iter().map(|t| allowed(t.join().unwrap())).sum();
        assert_eq!(allowed(ours) + theirs, 1);
        let live: usize = [K, J, M].iter().map(|key| slots_of(&table, *key)).sum();
        assert_eq!(live, 1);
    });
}

/// K's unit at 1 holds until 11. A thread that read the clock at 5 and only
/// runs after J took the slot at 12 must not find K fresh in its other bucket.
#[test]
fn old_now_after_reclaim() {
    model(3, 2, || late_after_reclaim(gcra("1/10ns"), (0, 2), (2, 0)));
}

/// The same where J has its home elsewhere, and so another ticket: only the key
/// word or the state can tell of the floor.
#[test]
fn old_now_under_another_ticket() {
    model(3, 2, || late_after_reclaim(gcra("1/10ns"), (2, 0), (2, 1)));
}

/// A full table: the new key is told so, the known ones are not disturbed.
#[test]
fn saturation() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 3"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 2, 1));
        let ours = ask(&table, K, 2, 1).unwrap();
        assert!(ours.is_allowed());
        assert_eq!(theirs.join().unwrap(), None);
        assert_eq!(table.saturated(), 1);
        assert_eq!(ask(&table, K, 2, 0).unwrap().remaining(), 1);
    });
}

/// Whoever denies writes nothing and creates nothing, even beside first sights.
#[test]
fn looks_and_nevers_create_nothing() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns"), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 1, 1));
        assert!(ask(&table, K, 1, 0).unwrap().is_allowed());
        assert!(ask(&table, K, 1, 2).unwrap().is_denied());
        assert_eq!(allowed(theirs.join().unwrap()), 1);
        assert_eq!(slots_of(&table, K), 0);
    });
}

/// A state that no honest debt explains is repaired once, and its slot can be
/// had again, but not before a stale swap is out of the question.
#[test]
fn repair_is_lowered_and_rests() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns"), 1);
        let far = 2 * SLACK / TICKS_PER_NANO;
        assert_eq!(allowed(ask(&table, K, far, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, K, 100, 1));
        let ours = ask(&table, K, 100, 1).unwrap();
        // Fully in debt at 100, from whoever repaired first.
        assert!(ours.is_denied() && theirs.join().unwrap().unwrap().is_denied());
        assert_eq!(ours.retry_after(), Some(std::time::Duration::from_nanos(10)));
        // As good as new at 110, but its slot rests.
        assert_eq!(ask(&table, J, 111, 1), None);
        assert_eq!(allowed(ask(&table, K, 110, 1)), 1);
        assert_eq!(allowed(ask(&table, J, 3_000_000_000, 1)), 1);
    });
}

/// A holder that stopped for good, at each step of a first sight.
#[derive(Clone, Copy)]
enum Grave {
    Ticket,
    Claim,
    Key,
    Confirmed,
}

fn die<const SLOTS: usize>(table: &Tab<Gcra, SLOTS>, key: Hash, now: u64, at: Grave) {
    let place: Place = table.place(key);
    let held = table.take_ticket(place.home);
    if matches!(at, Grave::Ticket) {
        return;
    }
    let claim = held.claim(place.home as u64, table.layout.buckets as u64);
    assert!(matches!(table.look(&place, claim), Look::Absent));
    let own = table.claim_one(&place, now * TICKS_PER_NANO, claim).unwrap();
    if matches!(at, Grave::Claim) {
        return;
    }
    let own = table.bear(own, claim, place.tag).unwrap();
    if matches!(at, Grave::Key) {
        return;
    }
    assert!(table.ticket(place.home).confirm(held));
    let _ = own;
}

#[test]
fn the_dead_hold_nobody_up() {
    for grave in [Grave::Ticket, Grave::Claim, Grave::Key, Grave::Confirmed] {
        model(2, 2, move || {
            let table = table::<_, 1>(gcra("1/10ns"), 1);
            die(&table, K, 1, grave);
            let other = table.clone();
            let theirs = spawn(move || allowed(ask(&other, K, 2, 1)));
            let ours = allowed(ask(&table, K, 2, 1));
            // The dead one was never answered, so its unit is there to be had, once.
            assert_eq!(ours + theirs.join().unwrap(), 1);
            assert_eq!(slots_of(&table, K), 1);
        });
    }
}

#[test]
fn another_key_takes_the_slot_of_the_dead() {
    for grave in [Grave::Claim, Grave::Key, Grave::Confirmed] {
        model(2, 2, move || {
            let table = table::<_, 1>(gcra("1/10ns"), 1);
            die(&table, K, 1, grave);
            let other = table.clone();
            let theirs = spawn(move || ask(&other, J, 2, 1));
            let ours = ask(&table, K, 2, 1);
            assert_eq!(allowed(ours) + allowed(theirs.join().unwrap()), 1);
            assert_eq!(slots_of(&table, K) + slots_of(&table, J), 1);
        });
    }
}

/// The first state of a new owner lies above every state of the old one, so
/// that nothing loaded before the change can be swapped after it.
#[test]
fn states_do_not_return() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let place = table.place(K);
        let before = table.row(0).state(0).load();
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 12, 1));
        let ours = ask(&table, M, 12, 1);
        assert_eq!(allowed(ours) + allowed(theirs.join().unwrap()), 1);
        assert!(table.row(0).state(0).load() > before);
        assert!(!bears(table.row(0).key(0).load(), place.tag));
    });
}

/// The bucket that is not home has a floor as well.
#[test]
fn away_floor_counts() {
    model(0, 0, || {
        let table = table::<_, 1>(gcra("1/10ns"), 2);
        // K's home is taken, so it goes away, and loses that slot at 16.
        assert_eq!(allowed(ask(&table, J, 1, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 5, 1)), 1);
        assert_eq!(allowed(ask(&table, Hash((1 << 63) | 4), 16, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 12, 1)), 0);
    });
}

/// Whose key got its slot meanwhile is not told that there is none.
#[test]
fn known_key_is_never_saturated() {
    model(2, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 1, 1)));
        let ours = allowed(ask(&table, K, 1, 1));
        assert_eq!(ours + theirs.join().unwrap(), 2);
        assert_eq!(table.saturated(), 0);
    });
}

/// The mark of a lowered state stays while its key has the slot.
#[test]
fn lowered_is_sticky() {
    model(0, 0, || {
        let table = table::<_, 1>(gcra("1/10ns"), 1);
        let far = 2 * SLACK / TICKS_PER_NANO;
        assert_eq!(allowed(ask(&table, K, far, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 100, 1)), 0);
        assert_eq!(allowed(ask(&table, K, 110, 1)), 1);
        assert_eq!(ask(&table, J, 121, 1), None);
    });
}
