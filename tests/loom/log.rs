//! The sliding log: proposals, commits, droppings, reclaims.

use super::*;

#[test]
fn log_last_unit() {
    model(3, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 3, 1)));
        let ours = allowed(ask(&table, K, 2, 1));
        let theirs = theirs.join().unwrap();
        assert_eq!(ours + theirs, 1);
        // The unit of 1 leaves at 11; the other at 12 or 13, by who won, never
        // early, and at 13 at the latest, since nobody's clock showed more.
        assert_eq!(allowed(ask(&table, K, 10, 1)), 0);
        assert_eq!(allowed(ask(&table, K, 11, 1)), 1);
        assert!(theirs == 0 || allowed(ask(&table, K, 12, 1)) == 0);
        assert_eq!(allowed(ask(&table, K, 13, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 13, 1)), 0);
    });
}

/// Two requests of 3 at 4 free units: one passes, whatever happens.
#[test]
fn log_weighted() {
    model(3, 2, || {
        let table = table::<_, 1>(log("4/10ns"), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 2, 3)));
        let ours = allowed(ask(&table, K, 1, 3));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        assert_eq!(ask(&table, K, 2, 0).unwrap().remaining(), 1);
    });
}

/// The ring is full of units that left: they are dropped, then overwritten.
#[test]
fn log_wraps() {
    model(3, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 2, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 11, 1)));
        let ours = allowed(ask(&table, K, 11, 1));
        // One unit has left at 11.
        assert_eq!(ours + theirs.join().unwrap(), 1);
        assert_eq!(allowed(ask(&table, K, 12, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 12, 1)), 0);
    });
}

/// A denial or a look reads one moment of the log, not a mixture of two.
#[test]
fn log_denial_is_consistent() {
    model(3, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 5, 1)), 1);
        let gate = Arc::new(Gate::default());
        let (other, theirs) = (table.clone(), gate.clone());
        let writer = spawn(move || {
            theirs.pass();
            assert_eq!(allowed(ask(&other, K, 11, 1)), 1);
            assert_eq!(allowed(ask(&other, K, 15, 1)), 1);
        });
        gate.pass();
        // At 12, before the writer: the unit of 5 is left in the window. After
        // its first: those of 5 and 11. Once it dropped that of 5, at 15: that of
        // 11, and it is 15 for everybody. After its second: 11 and 15.
        let d = ask(&table, K, 12, 0).unwrap();
        let seen = (d.remaining(), d.reset_after().as_nanos(), d.full_after().as_nanos());
        assert!([(1, 3, 3), (0, 3, 9), (1, 9, 9), (0, 9, 13)].contains(&seen), "{seen:?}");
        writer.join().unwrap();
    });
}

/// J takes the slot of K's log, which is as good as new, while K is charged again.
#[test]
fn log_reclaim_against_hit() {
    model(2, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 12, 2));
        let ours = ask(&table, K, 12, 2);
        let theirs = theirs.join().unwrap();
        assert_eq!(allowed(ours) + allowed(theirs), 1);
        let (winner, loser) = if ours.is_some() { (K, J) } else { (J, K) };
        assert_eq!(ask(&table, winner, 21, 1).map(|d| d.is_allowed()), Some(false));
        assert_eq!(ask(&table, loser, 21, 1), None);
        assert_eq!(allowed(ask(&table, winner, 22, 2)), 1);
    });
}

/// First sight of one key by two threads, each with part of the units.
#[test]
fn log_first_sight_with_theft() {
    model(3, 2, || {
        let table = table::<_, 1>(log("3/10ns"), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 2, 2)));
        let ours = allowed(ask(&table, K, 1, 2));
        assert_eq!(ours + theirs.join().unwrap(), 1);
        assert_eq!(slots_of(&table, K), 1);
        assert_eq!(ask(&table, K, 2, 0).unwrap().remaining(), 1);
    });
}

/// The same where there is room for both: a claim is no state, and denies nobody, though
/// the number of the ticket, of which there were others, would read as that many units.
#[test]
fn log_first_sight_beside_a_claim() {
    model(2, 2, || {
        let table = table::<_, 2>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, J, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 2, 1)));
        let ours = allowed(ask(&table, K, 2, 1));
        assert_eq!(ours + theirs.join().unwrap(), 2);
        assert_eq!(ask(&table, K, 2, 0).unwrap().remaining(), 0);
    });
}

/// As for GCRA: whose clock is old finds no credit.
#[test]
fn log_old_now_after_reclaim() {
    model(3, 2, || late_after_reclaim(log("1/10ns"), (0, 2), (2, 0)));
}

/// Units dropped by who has the later clock still count for who has the
/// earlier one: never three stamps in one window, whoever charges when.
#[test]
fn log_dropping_gives_no_credit() {
    model(3, 3, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 5, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 11, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 15, 1)));
        // At 12 there are 5 and 11; and whoever thinks that 5 is gone must say
        // that it is 15.
        let ours = ask(&table, K, 12, 1).unwrap();
        let theirs = theirs.join().unwrap();
        assert_eq!(allowed(Some(ours)) + theirs, 1);
        assert!(!ours.is_allowed() || ours.full_after().as_nanos() >= 13);
        assert_eq!(allowed(ask(&table, K, 20, 1)), 0);
        assert_eq!(allowed(ask(&table, K, 21, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 24, 1)), 0);
    });
}

/// A charge of the old owner never lands in the new one's log, whose state word
/// would read the same but for the generation.
#[test]
fn log_owners_are_told_apart() {
    model(3, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, J, 12, 1)));
        let _ = ask(&table, K, 5, 1);
        if theirs.join().unwrap() == 1 {
            assert_eq!(ask(&table, J, 12, 0).unwrap().remaining(), 1);
        }
    });
}

/// Emptied at 8 or, after who is admitted at 11, at 11; or it is 11 for everybody
/// already, and there is room. Who is denied at 11 may have told that it is 11 as well:
/// then units leave so much later, never early.
#[test]
fn log_exhausted_against_hit() {
    model(3, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 5, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 11, 1)));
        let ours = operate(&table, K, 8, 1, Ask::Exhaust).unwrap();
        let admitted = theirs.join().unwrap() == 1;
        assert_eq!(allowed(ask(&table, K, 14, 1)), 0);
        if ours.is_allowed() {
            // It is 11, and the unit of 5 is there beside that of 11.
            assert!(admitted);
            assert_eq!(allowed(ask(&table, K, 15, 1)), 1);
            return;
        }
        let until = if admitted { 21 } else { 18 };
        let wait = ours.retry_after().unwrap().as_nanos();
        assert!(wait == 13 || wait == 10 && !admitted, "{wait}");
        assert_eq!(allowed(ask(&table, K, until - 1, 1)), 0);
        assert_eq!(allowed(ask(&table, K, 21, 2)), 1);
        assert_eq!(allowed(ask(&table, K, 21, 1)), 0);
    });
}

/// Emptied once more, in the last moment: nobody passes who saw it as it was before.
#[test]
fn log_exhausted_again_against_hit() {
    model(3, 3, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 2)), 1);
        assert!(operate(&table, K, 8, 1, Ask::Exhaust).unwrap().is_denied());
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 18, 1)));
        let ours = operate(&table, K, 17, 1, Ask::Exhaust).unwrap();
        let admitted = theirs.join().unwrap() == 1;
        // Beside one of 18 there is room, so then nothing was to be emptied.
        assert_eq!(ours.is_allowed(), admitted);
        assert_eq!(ask(&table, K, 18, 0).unwrap().remaining(), u64::from(admitted));
        assert_eq!(allowed(ask(&table, K, 27, 2)), usize::from(!admitted));
    });
}

/// A unit of an emptied log is given back while another wants one: it is had once,
/// and the one that stays leaves when it was emptied to leave.
#[test]
fn log_exhausted_then_refund_against_hit() {
    model(3, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 2)), 1);
        assert!(operate(&table, K, 5, 1, Ask::Exhaust).unwrap().is_denied());
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 9, 1)));
        let back = Ask::GiveBack { charged: TICKS_PER_NANO, weight: 0 };
        let _ = operate(&table, K, 8, 1, back).unwrap();
        let theirs = theirs.join().unwrap();
        let left = usize::try_from(ask(&table, K, 9, 0).unwrap().remaining()).unwrap();
        assert_eq!(theirs + left, 1);
        assert_eq!(allowed(ask(&table, K, 14, 2)), 0);
        assert_eq!(ask(&table, K, 14, 0).unwrap().remaining(), 1 - theirs as u64);
        assert_eq!(allowed(ask(&table, K, 15, 2)), 1 - theirs);
    });
}

/// Who empties late empties nobody else's log.
#[test]
fn log_late_exhaustion_after_reclaim() {
    model(2, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 2)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 12, 1));
        let ours = operate(&table, K, 10, 1, Ask::Exhaust).unwrap();
        // Without a slot K is denied by the floor, as far as that is seen already.
        if allowed(theirs.join().unwrap()) == 1 {
            assert_eq!(ask(&table, J, 12, 0).unwrap().remaining(), 1);
            assert_eq!(allowed(ask(&table, J, 12, 1)), 1);
        } else {
            assert!(ours.is_denied());
            assert_eq!(allowed(ask(&table, K, 19, 1)), 0);
            assert_eq!(allowed(ask(&table, K, 20, 2)), 1);
        }
    });
}

#[test]
fn log_repair_is_full_debt() {
    model(0, 0, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        let far = 2 * SLACK / TICKS_PER_NANO;
        assert_eq!(allowed(ask(&table, K, far, 1)), 1);
        let d = ask(&table, K, 100, 1).unwrap();
        assert_eq!(d.retry_after(), Some(std::time::Duration::from_nanos(10)));
        assert_eq!(allowed(ask(&table, K, 109, 1)), 0);
        assert_eq!(allowed(ask(&table, K, 110, 2)), 1);
    });
}

/// Who repairs late takes nothing from what was admitted since.
#[test]
fn log_late_repair() {
    model(2, 2, || {
        let table = table::<_, 1>(log("1/10ns"), 1);
        let far = 2 * SLACK / TICKS_PER_NANO;
        assert_eq!(allowed(ask(&table, K, far, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || {
            let _ = ask(&other, K, 100, 1);
        });
        assert_eq!(allowed(ask(&table, K, 100, 1)), 0);
        let mine = allowed(ask(&table, K, 110, 1));
        theirs.join().unwrap();
        assert!(mine == 0 || allowed(ask(&table, K, 111, 1)) == 0);
    });
}
