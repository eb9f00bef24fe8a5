//! States that hold the number of a window and the units in it: the sliding counter,
//! which takes them into the next window by its ring, and the calendar.

use super::*;

/// Tenths of a second, in nanoseconds.
const TENTH: u64 = 100_000_000;

fn counter(quota: &str) -> SlidingCounter {
    SlidingCounter::new(&quota.parse::<Quota>().unwrap(), 0).unwrap()
}

fn back(tenth: u64) -> Ask {
    Ask::GiveBack { charged: tenth * TENTH * TICKS_PER_NANO, weight: 0 }
}

fn left<const SLOTS: usize>(table: &Tab<SlidingCounter, SLOTS>, tenth: u64) -> u64 {
    ask(table, K, tenth * TENTH, 0).unwrap().remaining()
}

/// Two take a key into its next window: each would fit beside what was there before.
#[test]
fn counter_rolls_over_once() {
    model(3, 2, || {
        let table = table::<_, 1>(counter("4/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 2)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 10 * TENTH, 2)));
        let ours = allowed(ask(&table, K, 10 * TENTH, 2));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        assert_eq!(left(&table, 10), 0);
        // Half of the two of before still count.
        assert_eq!(left(&table, 15), 1);
        assert_eq!(left(&table, 20), 2);
    });
}

/// One whose clock is behind is charged in the window that another leaves: those units
/// go along, or are of the next window; none is lost.
#[test]
fn counter_rolls_over_beside_a_late_charge() {
    model(3, 3, || {
        let table = table::<_, 1>(counter("4/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 9 * TENTH, 2)));
        let ours = allowed(ask(&table, K, 10 * TENTH, 2));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        assert_eq!(left(&table, 10), 1);
    });
}

/// A unit is given back as its window ends: it comes back once, or not at all.
#[test]
fn counter_rolls_over_beside_a_refund() {
    model(3, 3, || {
        let table = table::<_, 1>(counter("4/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 2)), 1);
        let other = table.clone();
        let theirs = spawn(move || {
            let _ = operate(&other, K, 9 * TENTH, 1, back(5));
        });
        assert_eq!(allowed(ask(&table, K, 10 * TENTH, 2)), 1);
        theirs.join().unwrap();
        assert!(left(&table, 10) <= 1);
        assert_eq!(allowed(ask(&table, K, 10 * TENTH, 2)), 0);
    });
}

/// What was forgotten is not brought back by who had already proposed it.
#[test]
fn counter_rolls_over_beside_a_reset() {
    model(3, 3, || {
        let table = table::<_, 1>(counter("4/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 2)), 1);
        let other = table.clone();
        let theirs = spawn(move || {
            let _ = operate(&other, K, 9 * TENTH, 1, Ask::Forget);
        });
        assert_eq!(allowed(ask(&table, K, 10 * TENTH, 1)), 1);
        theirs.join().unwrap();
        assert!(left(&table, 10) >= 3);
    });
}

/// Emptied in the next window, while another takes a unit there.
#[test]
fn counter_exhausted_against_hit() {
    model(3, 2, || {
        let table = table::<_, 1>(counter("4/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 3)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 10 * TENTH, 1)));
        let ours = operate(&table, K, 10 * TENTH, 2, Ask::Exhaust).unwrap();
        let _ = theirs.join().unwrap();
        assert!(ours.is_denied());
        // Of four in the window, two count half a window into the next.
        assert_eq!((left(&table, 19), left(&table, 25)), (0, 2));
    });
}

/// A look reads the present window and the one before at one moment.
#[test]
fn counter_look_is_consistent() {
    model(3, 2, || {
        let table = table::<_, 1>(counter("4/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 2)), 1);
        assert_eq!(allowed(ask(&table, K, 10 * TENTH, 1)), 1);
        let gate = Arc::new(Gate::default());
        let (other, theirs) = (table.clone(), gate.clone());
        let writer = spawn(move || {
            theirs.pass();
            assert_eq!(allowed(ask(&other, K, 20 * TENTH, 3)), 1);
            assert_eq!(allowed(ask(&other, K, 30 * TENTH, 1)), 1);
        });
        gate.pass();
        // Two before and one; one before and three; three before and one.
        let seen = ask(&table, K, 10 * TENTH, 0).unwrap().remaining();
        assert!(seen == 1 || seen == 0, "{seen}");
        writer.join().unwrap();
        assert_eq!(left(&table, 30), 0);
    });
}

/// The units of the window before count: the slot is not another's until they do not.
#[test]
fn counter_keeps_its_slot_for_two_windows() {
    model(3, 2, || {
        let table = table::<_, 1>(counter("1/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 19 * TENTH, 1));
        assert_eq!(allowed(ask(&table, K, 19 * TENTH, 1)), 0);
        assert_eq!(theirs.join().unwrap(), None);
    });
}

/// K's state, loaded by who then stops, is given back; neither then nor in the next
/// window is J's state ever the same.
#[test]
fn counter_state_does_not_return_to_another() {
    model(3, 2, || {
        let table = table::<_, 1>(counter("4/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, K, 6 * TENTH, 1));
        let _ = operate(&table, K, 5 * TENTH, 1, back(5)).unwrap();
        let j = ask(&table, J, 6 * TENTH, 1);
        let theirs = theirs.join().unwrap();
        assert_eq!(j, None);
        assert_eq!(allowed(theirs), 1);
        assert_eq!(left(&table, 6), 3);
    });
}

/// J has the slot when K's charge, or what it proposes for the next window, comes late.
#[test]
fn counter_late_charge_after_reclaim() {
    model(2, 2, || {
        let table = table::<_, 1>(counter("4/s"), 1);
        assert_eq!(allowed(ask(&table, K, 5 * TENTH, 3)), 1);
        let other = table.clone();
        let theirs = spawn(move || {
            let first = ask(&other, J, 20 * TENTH, 1);
            (first, ask(&other, J, 30 * TENTH, 1))
        });
        let _ = ask(&table, K, 10 * TENTH, 1);
        let (first, second) = theirs.join().unwrap();
        if allowed(first) == 1 {
            assert_eq!(allowed(second), 1);
            assert_eq!(ask(&table, J, 30 * TENTH, 0).unwrap().remaining(), 2);
        }
    });
}

#[test]
fn counter_old_now_after_reclaim() {
    model(3, 2, || late_after_reclaim_by(counter("1/s"), 2 * TENTH, (0, 2), (2, 0)));
}

#[test]
fn counter_repair_is_full() {
    model(2, 2, || {
        let table = table::<_, 1>(counter("2/s"), 1);
        let far = 2 * SLACK / TICKS_PER_NANO;
        let second = 10 * TENTH;
        // Two windows there, so that the ring knows of them as well.
        assert_eq!(allowed(ask(&table, K, far, 1)), 1);
        assert_eq!(allowed(ask(&table, K, far + second, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 100 * second, 1)));
        assert_eq!(allowed(ask(&table, K, 100 * second, 1)), 0);
        assert_eq!(theirs.join().unwrap(), 0);
        assert_eq!(ask(&table, K, 101 * second, 0).unwrap().remaining(), 0);
        assert_eq!(allowed(ask(&table, K, 102 * second, 2)), 1);
        // And those of the next window count after it as ever.
        assert_eq!(allowed(ask(&table, K, 103 * second, 1)), 0);
        assert_eq!(allowed(ask(&table, K, 103 * second + 5 * TENTH, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 103 * second + 5 * TENTH, 1)), 0);
        assert_eq!(allowed(ask(&table, K, 104 * second, 2)), 0);
    });
}

/// Units a minute of the calendar, at a second.
fn dated<const SLOTS: usize>(
    table: &Tab<Calendar, SLOTS>,
    key: Hash,
    second: u64,
    cost: u64,
    what: Ask,
) -> Option<Decision> {
    let ticks = |second: u64| second * 10 * TENTH * TICKS_PER_NANO;
    let start = second - second % 60;
    let rule = Calendar::new(Unit::Minute).with_numbers([3, ticks(start), ticks(start + 60)]);
    table.decide_by(&rule, key, &Request::new(ticks(second), cost).asking(what)).ok()
}

#[test]
fn calendar_next_window_once() {
    model(3, 2, || {
        let table = table::<_, 1>(Calendar::new(Unit::Minute), 1);
        assert_eq!(allowed(dated(&table, K, 30, 3, Ask::Charge)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(dated(&other, K, 60, 2, Ask::Charge)));
        let ours = allowed(dated(&table, K, 61, 2, Ask::Charge));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        // Who is behind finds the window of who was ahead.
        let behind = dated(&table, K, 59, 0, Ask::Look).unwrap();
        assert_eq!((behind.remaining(), behind.reset_after().as_secs()), (1, 61));
    });
}

#[test]
fn calendar_exhausted_against_hit() {
    model(3, 2, || {
        let table = table::<_, 1>(Calendar::new(Unit::Minute), 1);
        assert_eq!(allowed(dated(&table, K, 30, 2, Ask::Charge)), 1);
        let other = table.clone();
        let theirs = spawn(move || dated(&other, K, 31, 1, Ask::Charge));
        let ours = dated(&table, K, 31, 2, Ask::Exhaust).unwrap();
        let _ = theirs.join().unwrap();
        assert_eq!((ours.remaining(), ours.retry_after_secs()), (0, Some(29)));
        assert_eq!(allowed(dated(&table, K, 59, 1, Ask::Charge)), 0);
        assert_eq!(allowed(dated(&table, K, 60, 3, Ask::Charge)), 1);
    });
}

/// As for GCRA, without a mark: the slot is K's until the window ends.
#[test]
fn calendar_state_does_not_return_to_another() {
    model(3, 2, || {
        let table = table::<_, 1>(Calendar::new(Unit::Minute), 1);
        assert_eq!(allowed(dated(&table, K, 30, 1, Ask::Charge)), 1);
        let other = table.clone();
        let theirs = spawn(move || dated(&other, K, 31, 1, Ask::Charge));
        let _ = dated(&table, K, 31, 1, back(300)).unwrap();
        let j = dated(&table, J, 31, 1, Ask::Charge);
        let theirs = theirs.join().unwrap();
        assert_eq!(j, None);
        assert_eq!(allowed(theirs), 1);
        assert_eq!(dated(&table, K, 31, 0, Ask::Look).unwrap().remaining(), 2);
    });
}

/// J takes the slot in the next window. Whoever asks for K as of the old one is
/// charged there before, or told that it is over.
#[test]
fn calendar_late_charge_after_reclaim() {
    model(3, 2, || {
        let table = table::<_, 1>(Calendar::new(Unit::Minute), 1);
        assert_eq!(allowed(dated(&table, K, 30, 1, Ask::Charge)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(dated(&other, J, 60, 1, Ask::Charge)));
        let late = dated(&table, K, 58, 2, Ask::Charge).unwrap();
        assert_eq!(theirs.join().unwrap(), 1);
        assert_eq!(dated(&table, J, 60, 0, Ask::Look).unwrap().remaining(), 2);
        if late.is_denied() {
            assert_eq!(late.retry_after_secs(), Some(2));
            assert!(late.remaining() >= 2);
        }
    });
}
