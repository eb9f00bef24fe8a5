//! Leases: who gets the last one, who ends whose, and whose slot it is.
//!
//! Times are in milliseconds. A slot is kept for whole units of 1024 ms.

use super::*;
use crate::{
    algorithm::Leases,
    limiter::{LeaseId, lease::protocol},
};

const MS: u64 = 1_000_000 * TICKS_PER_NANO;

/// A rule with so many entries, of which `most` may be taken, each for 10 s.
fn leases(most: u64, entries: u64) -> Leases {
    Leases::new(most, 10_000 * MS, entries, 0).unwrap()
}

/// `None`: saturated. `Some(None)`: denied.
fn acquire_by<const SLOTS: usize>(
    table: &Tab<Leases, SLOTS>,
    rule: &Leases,
    key: Hash,
    now: u64,
) -> Option<Option<LeaseId>> {
    let request = Request::new(now * MS, 1);
    protocol::acquire(table, rule, key, &request).ok().map(|(decision, id)| {
        assert_eq!(decision.is_allowed(), id.is_some());
        id
    })
}

fn acquire<const SLOTS: usize>(
    table: &Tab<Leases, SLOTS>,
    key: Hash,
    now: u64,
) -> Option<Option<LeaseId>> {
    acquire_by(table, table.rule(), key, now)
}

fn got(lease: Option<Option<LeaseId>>) -> u64 {
    u64::from(lease.flatten().is_some())
}

fn left<const SLOTS: usize>(table: &Tab<Leases, SLOTS>, key: Hash, now: u64) -> u64 {
    let look = Request::new(now * MS, 0);
    protocol::acquire(table, table.rule(), key, &look).unwrap().0.remaining()
}

fn release<const SLOTS: usize>(table: &Tab<Leases, SLOTS>, id: LeaseId, now: u64) -> bool {
    protocol::release(table, id, now * MS)
}

fn renew<const SLOTS: usize>(table: &Tab<Leases, SLOTS>, id: LeaseId, now: u64) -> bool {
    protocol::renew(table, table.rule(), id, now * MS)
}

/// Two want the last one of a key, also where there are entries for more.
#[test]
fn lease_last_one() {
    for entries in [2, 3] {
        model(2, 2, move || {
            let table = table::<_, 1>(leases(2, entries), 1);
            let first = acquire(&table, K, 1).unwrap().unwrap();
            let other = table.clone();
            let theirs = spawn(move || got(acquire(&other, K, 2)));
            let ours = got(acquire(&table, K, 2));
            assert_eq!(ours + theirs.join().unwrap(), 1);
            assert_eq!(left(&table, K, 3), 0);
            assert!(release(&table, first, 3));
            assert_eq!(left(&table, K, 3), 1);
        });
    }
}

/// Two see the key for the first time.
#[test]
fn lease_first_sight() {
    model(2, 2, || {
        let table = table::<_, 2>(leases(1, 1), 1);
        let other = table.clone();
        let theirs = spawn(move || got(acquire(&other, K, 2)));
        let ours = got(acquire(&table, K, 2));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        assert_eq!(slots_of(&table, K), 1);
        assert_eq!(left(&table, K, 3), 0);
    });
}

/// The only lease is given back while another asks for it.
#[test]
fn lease_release_against_acquire() {
    model(3, 2, || {
        let table = table::<_, 1>(leases(1, 1), 1);
        let id = acquire(&table, K, 1).unwrap().unwrap();
        let other = table.clone();
        let theirs = spawn(move || got(acquire(&other, K, 2)));
        assert!(release(&table, id, 2));
        assert!(!release(&table, id, 2));
        let theirs = theirs.join().unwrap();
        assert_eq!(left(&table, K, 3), 1 - theirs);
        assert_eq!(got(acquire(&table, K, 3)), 1 - theirs);
    });
}

/// A lease is given back twice, by two, while a third has the entry next.
#[test]
fn lease_double_release() {
    model(2, 2, || {
        let table = table::<_, 1>(leases(1, 1), 1);
        let id = acquire(&table, K, 1).unwrap().unwrap();
        let other = table.clone();
        let theirs = spawn(move || {
            let released = release(&other, id, 2);
            (released, got(acquire(&other, K, 2)))
        });
        let ours = release(&table, id, 2);
        let (released, next) = theirs.join().unwrap();
        assert!(ours != released, "one of the two was the first");
        assert_eq!((next, left(&table, K, 3)), (1, 0), "the new lease is nobody else's to end");
    });
}

/// K's lease is over, and J takes its slot, while an acquirer of K whose clock is
/// behind is on its way: J's lease is J's alone, and K has none that anybody counts.
#[test]
fn lease_stalled_acquirer() {
    model(3, 2, || {
        let table = table::<_, 1>(leases(1, 1), 1);
        let _ = acquire(&table, K, 1).unwrap().unwrap();
        let other = table.clone();
        // Its lease would end at 20,002, its slot be kept for a little longer.
        let theirs = spawn(move || acquire(&other, K, 10_002));
        let ours = acquire(&table, J, 21_000);
        let theirs = theirs.join().unwrap();
        assert_eq!(got(ours), 1, "K's slot was kept until 20,480 at most");
        assert_eq!(left(&table, J, 21_001), 0);
        assert_eq!(left(&table, J, 40_000), 1);
        // Denied, where K had lost its slot before; else it was over for J.
        assert!(theirs.is_none() || got(theirs) == 1 || theirs == Some(None));
        if let Some(id) = theirs.flatten() {
            assert!(!release(&table, id, 21_000));
            assert_eq!(left(&table, J, 21_001), 0);
        }
    });
}

/// K's lease is over, and J wants its slot, while K is granted another.
#[test]
fn lease_reclaim_against_acquire() {
    model(3, 2, || {
        let table = table::<_, 1>(leases(1, 1), 1);
        let _ = acquire(&table, K, 1).unwrap().unwrap();
        let other = table.clone();
        let theirs = spawn(move || got(acquire(&other, J, 12_000)));
        let ours = got(acquire(&table, K, 12_000));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        let holder = if ours == 1 { K } else { J };
        assert_eq!((slots_of(&table, holder), left(&table, holder, 12_001)), (1, 0));
    });
}

/// The last lease is given back, so that the slot is free early, while another asks
/// for one of the same key, and J for the slot: no lease loses its slot.
#[test]
fn lease_slot_freed_early() {
    model(2, 2, || {
        let table = table::<_, 1>(leases(1, 1), 1);
        let id = acquire(&table, K, 1).unwrap().unwrap();
        let (one, two) = (table.clone(), table.clone());
        let theirs = spawn(move || got(acquire(&one, K, 1025)));
        let third = spawn(move || got(acquire(&two, J, 2050)));
        assert!(release(&table, id, 1024));
        let (theirs, third) = (theirs.join().unwrap(), third.join().unwrap());
        assert!(theirs + third <= 1);
        if theirs == 1 {
            assert_eq!((slots_of(&table, K), left(&table, K, 2051)), (1, 0));
        }
        if third == 1 {
            assert_eq!((slots_of(&table, J), left(&table, J, 2051)), (1, 0));
        }
    });
}

/// The same with two leases: whoever is coming when the last one goes keeps the slot.
#[test]
fn lease_freed_early_but_for_who_is_coming() {
    model(3, 2, || {
        let table = table::<_, 1>(leases(2, 2), 1);
        let id = acquire(&table, K, 1).unwrap().unwrap();
        let other = table.clone();
        let theirs = spawn(move || got(acquire(&other, K, 2)));
        assert!(release(&table, id, 2));
        // By now the slot is free, or somebody is coming, or there.
        let ours = got(acquire(&table, J, 2048));
        assert!(ours + theirs.join().unwrap() <= 1);
        assert_eq!(slots_of(&table, K) + slots_of(&table, J), 1);
    });
}

/// A lease is renewed just when it ends, and another asks.
#[test]
fn lease_renewal_against_acquire() {
    for entries in [1, 2] {
        model(3, 2, move || {
            let table = table::<_, 1>(leases(1, entries), 1);
            let id = acquire(&table, K, 1).unwrap().unwrap();
            let other = table.clone();
            // By this clock it is over.
            let theirs = spawn(move || got(acquire(&other, K, 10_002)));
            let renewed = renew(&table, id, 10_000);
            let theirs = theirs.join().unwrap();
            assert_eq!(u64::from(renewed) + theirs, 1);
            assert_eq!(left(&table, K, 10_003), 0);
        });
    }
}

/// A lease is renewed while it is given back: it is over.
#[test]
fn lease_renewal_against_release() {
    model(3, 2, || {
        let table = table::<_, 1>(leases(1, 1), 1);
        let id = acquire(&table, K, 1).unwrap().unwrap();
        let other = table.clone();
        let theirs = spawn(move || release(&other, id, 2));
        let _ = renew(&table, id, 2);
        assert!(theirs.join().unwrap());
        assert!(!renew(&table, id, 2));
        assert_eq!(left(&table, K, 3), 1);
        // Nobody cut short what the renewal may have kept.
        assert_eq!(got(acquire(&table, J, 12_000)), 1);
    });
}

/// The number was lowered from three to two, and the lease of the last entry is there
/// from before: of two who ask, one gets one.
#[test]
fn lease_lowered() {
    model(2, 2, || {
        let table = table::<_, 1>(leases(3, 3), 1);
        let ids: Vec<_> = (0..3).map(|_| acquire(&table, K, 1).unwrap().unwrap()).collect();
        assert!(release(&table, ids[0], 2) && release(&table, ids[1], 2));
        let two = leases(2, 3);
        let other = table.clone();
        let theirs = spawn(move || got(acquire_by(&other, &two, K, 3)));
        let ours = got(acquire_by(&table, &two, K, 3));
        assert_eq!(ours + theirs.join().unwrap(), 1);
    });
}

/// The same, where the lease from before ends, and is renewed by a clock that is behind.
#[test]
fn lease_lowered_and_renewed() {
    model(3, 2, || {
        let table = table::<_, 1>(leases(2, 2), 1);
        let first = acquire(&table, K, 1).unwrap().unwrap();
        let id = acquire(&table, K, 1).unwrap().unwrap();
        assert!(release(&table, first, 2));
        let other = table.clone();
        let one = leases(1, 2);
        let theirs = spawn(move || got(acquire_by(&other, &one, K, 10_002)));
        let renewed = renew(&table, id, 10_000);
        assert_eq!(u64::from(renewed) + theirs.join().unwrap(), 1);
    });
}

/// A denial or a look is of one moment, not a mixture of two.
#[test]
fn lease_denial_is_consistent() {
    model(3, 2, || {
        let table = table::<_, 1>(leases(2, 2), 1);
        let first = acquire(&table, K, 1).unwrap().unwrap();
        let gate = Arc::new(Gate::default());
        let (other, theirs) = (table.clone(), gate.clone());
        let mover = spawn(move || {
            theirs.pass();
            assert!(release(&other, first, 2));
            let second = acquire(&other, K, 2).unwrap().unwrap();
            let _ = acquire(&other, K, 3).unwrap().unwrap();
            assert!(release(&other, second, 3));
        });
        gate.pass();
        let look = Request::new(4 * MS, 0);
        let d = protocol::acquire(&table, table.rule(), K, &look).unwrap().0;
        let seen = (d.remaining(), d.reset_after().as_millis(), d.full_after().as_millis());
        // The first; none; the second; and the third; which then is alone.
        let moments =
            [(1, 9997, 9997), (2, 0, 0), (1, 9998, 9998), (0, 9998, 9999), (1, 9999, 9999)];
        assert!(moments.contains(&seen), "{seen:?}");
        mover.join().unwrap();
    });
}

/// A lease that was renewed in time keeps its slot for longer than it was kept before.
#[test]
fn lease_renewed_keeps_its_slot() {
    model(3, 2, || {
        let table = table::<_, 1>(leases(1, 1), 1);
        let id = acquire(&table, K, 1).unwrap().unwrap();
        let other = table.clone();
        let theirs = spawn(move || got(acquire(&other, J, 12_000)));
        let renewed = renew(&table, id, 9_000);
        assert_eq!(u64::from(renewed) + theirs.join().unwrap(), 1);
        let holder = if renewed { K } else { J };
        assert_eq!((slots_of(&table, holder), left(&table, holder, 12_001)), (1, 0));
    });
}

/// A lease that a broken clock left is repaired while it is given back.
#[test]
fn lease_late_repair() {
    model(2, 2, || {
        let table = table::<_, 1>(leases(1, 1), 1);
        let far = 3 * SLACK / MS;
        let id = acquire(&table, K, far).unwrap().unwrap();
        let other = table.clone();
        let theirs = spawn(move || {
            let request = Request::new(MS, 1).repairing(0);
            protocol::acquire(&other, other.rule(), K, &request).unwrap().1
        });
        assert!(release(&table, id, 2));
        let theirs = theirs.join().unwrap();
        let ours = Request::new(2 * MS, 1).repairing(0);
        let ours = protocol::acquire(&table, table.rule(), K, &ours).unwrap().1;
        assert_eq!(u64::from(ours.is_some()) + u64::from(theirs.is_some()), 1);
    });
}
