//! What lowers a state, beside everything else; and quotas that change.

use super::*;
use crate::{Charge, Limiter, ManualClock, Nanos};

/// A refund of the charge at `charged` ns.
fn refund<R: Rule<Answer = Decision>, const SLOTS: usize>(
    table: &Tab<R, SLOTS>,
    key: Hash,
    now: u64,
    units: u64,
    charged: u64,
) -> Decision {
    let give_back = Ask::GiveBack { charged: charged * TICKS_PER_NANO, weight: 0 };
    operate(table, key, now, units, give_back).unwrap()
}

/// A unit is given back while two others race for what there is.
#[test]
fn refund_against_hits() {
    model(2, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 2)), 1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let table = table.clone();
                spawn(move || allowed(ask(&table, K, 2, 1)))
            })
            .collect();
        let _ = refund(&table, K, 2, 1, 1);
        let passed: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
        // One unit came back: one may pass, or is still there.
        let left = usize::try_from(ask(&table, K, 2, 0).unwrap().remaining()).unwrap();
        assert_eq!(passed + left, 1);
    });
}

/// Two give back at once: both count, and never below nothing owed.
#[test]
fn refunds_against_each_other() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 4"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 3)), 1);
        let other = table.clone();
        let theirs = spawn(move || refund(&other, K, 1, 1, 1).remaining());
        let ours = refund(&table, K, 1, 1, 1).remaining();
        let theirs = theirs.join().unwrap();
        assert_eq!((ours.min(theirs), ours.max(theirs)), (2, 3));
    });
}

/// K at 11, loaded by who then stops. It is given back, its slot goes to J, who
/// is charged until J's state would read as K's did. The late swap must fail.
#[test]
fn lowered_state_does_not_return_to_another() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, K, 2, 1));
        let _ = refund(&table, K, 1, 1, 1);
        // J wants the slot at the instant from which a charge of one unit ends at 11.
        let j = ask(&table, J, 1, 1);
        let theirs = theirs.join().unwrap();
        // The slot rests, so J never has it; and K is charged what it asked for.
        assert_eq!(j, None);
        assert_eq!(allowed(theirs), 1);
        assert_eq!(ask(&table, K, 2, 0).unwrap().remaining(), 1);
        assert_eq!(slots_of(&table, K), 1);
    });
}

/// The same with a reset.
#[test]
fn reset_state_does_not_return_to_another() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, K, 2, 1));
        let _ = operate(&table, K, 1, 1, Ask::Forget);
        assert_eq!(ask(&table, J, 1, 1), None);
        assert_eq!(allowed(theirs.join().unwrap()), 1);
        let left = ask(&table, K, 2, 0).unwrap().remaining();
        // One was charged after the reset, or before it and forgotten.
        assert!(left == 1 || left == 2, "{left}");
    });
}

/// Refund, rest, reclaim: once the rest is over the slot is another's, and
/// neither a late refund nor a late charge of the old owner reaches it.
#[test]
fn late_refund_after_reclaim() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        // By 12 K's unit is paid, and the slot is J's for the taking.
        let theirs = spawn(move || ask(&other, J, 12, 2));
        // A thread that read the clock at 2.
        let d = refund(&table, K, 2, 1, 1);
        let theirs = theirs.join().unwrap();
        if allowed(theirs) == 1 {
            // J paid for two, and nobody gave it anything.
            assert_eq!(ask(&table, J, 12, 0).unwrap().remaining(), 0);
            assert_eq!(slots_of(&table, K), 0);
        } else {
            // The slot rests.
            assert_eq!((theirs, d.remaining()), (None, 2));
        }
    });
}

/// A refund by who has an old `now` does not lower below what an honest state
/// proves of the time, and gives at most the units.
#[test]
fn refund_with_an_old_now() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 30, 2)));
        let _ = refund(&table, K, 2, 1, 1);
        assert_eq!(theirs.join().unwrap(), 1);
        // Whenever it came: one unit at most was given back of the two of 30.
        assert!(ask(&table, K, 30, 0).unwrap().remaining() <= 1);
    });
}

/// Reserved turns follow one another, whoever asks.
#[test]
fn reservations_take_turns() {
    model(3, 2, || {
        // Room for a debt of 20 ns.
        let table = table::<_, 1>(Gcra::new(&"1/10ns".parse().unwrap(), 20 * TICKS_PER_NANO), 1);
        let reserve = |table: &Tab<Gcra, 1>| {
            operate(table, K, 1, 1, Ask::Reserve(10 * TICKS_PER_NANO)).unwrap()
        };
        let other = table.clone();
        let theirs = spawn(move || reserve(&other));
        let ours = reserve(&table);
        let theirs = theirs.join().unwrap();
        assert!(ours.is_allowed() && theirs.is_allowed());
        let third = reserve(&table);
        assert!(third.is_denied());
        // By the debt that each left: one unit's, and two.
        let (a, b) = (ours.full_after().as_nanos(), theirs.full_after().as_nanos());
        assert_eq!((a.min(b), a.max(b)), (10, 20));
    });
}

/// What was used is charged, whoever else is charged meanwhile.
#[test]
fn forced_charges_are_not_lost() {
    model(3, 2, || {
        let rule = Gcra::new(&"1/10ns burst 2".parse().unwrap(), 40 * TICKS_PER_NANO);
        let table = table::<_, 1>(rule, 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 1, 1)));
        assert!(operate(&table, K, 1, 3, Ask::Force).unwrap().is_allowed());
        let theirs = u64::try_from(theirs.join().unwrap()).unwrap();
        let debt = ask(&table, K, 1, 0).unwrap().full_after().as_nanos();
        assert_eq!(debt, u128::from(30 + 10 * theirs));
        assert_eq!(slots_of(&table, K), 1);
    });
}

/// A denial empties what another is about to take: it is had, or it is gone.
#[test]
fn exhausted_against_hit() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 2)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 11, 1)));
        let ours = operate(&table, K, 5, 1, Ask::Exhaust).unwrap();
        let admitted = theirs.join().unwrap() == 1;
        // Whoever came first: the debt at 5 is that of the charge until 31, or of the
        // burst at 5 until 25; and one unit more must wait for room.
        let debt = if admitted { 26 } else { 20 };
        assert_eq!(ask(&table, K, 5, 0).unwrap().full_after().as_nanos(), debt);
        assert!(!admitted || ours.retry_after().unwrap().as_nanos() >= 10);
        assert_eq!(slots_of(&table, K), 1);
    });
}

/// Units of a log are given back while another charges.
#[test]
fn log_refund_against_hit() {
    model(3, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 3, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(ask(&other, K, 4, 1)));
        let _ = refund(&table, K, 4, 1, 3);
        let theirs = theirs.join().unwrap();
        let left = usize::try_from(ask(&table, K, 4, 0).unwrap().remaining()).unwrap();
        assert_eq!(theirs + left, 1);
        // The unit of 1 went, that of 3 counts until 13.
        assert_eq!(allowed(ask(&table, K, 12, 2)), 0);
    });
}

/// The unit of 1 has left for who gives back at 12, not for who charges at 10:
/// whichever comes first, never more than two in a window, net of the refund.
#[test]
fn log_refund_with_a_later_clock() {
    model(3, 3, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 5, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || {
            let _ = refund(&other, K, 12, 1, 5);
        });
        let ours = ask(&table, K, 10, 2).unwrap();
        theirs.join().unwrap();
        // Two at 10 are one too many beside that of 1, unless it is 12 for all.
        assert!(!ours.is_allowed() || ours.full_after().as_nanos() >= 12);
        let left = ask(&table, K, 12, 0).unwrap().remaining();
        assert_eq!(left, if ours.is_allowed() { 0 } else { 2 });
    });
}

/// A log's late refund does not reach another key's log.
#[test]
fn log_late_refund_after_reclaim() {
    model(2, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 12, 2));
        let _ = refund(&table, K, 2, 1, 1);
        if allowed(theirs.join().unwrap()) == 1 {
            assert_eq!(ask(&table, J, 12, 0).unwrap().remaining(), 0);
        }
    });
}

/// A quota is replaced, twice, while another thread decides by it.
#[test]
fn quota_is_read_whole() {
    model(3, 3, || {
        let quota = |text: &str| text.parse::<Quota>().unwrap();
        let limiter = Limiter::gcra(quota("1/10ns burst 2"))
            .room_for(quota("1/30ns burst 3"))
            .clock(ManualClock::new())
            .epoch(Nanos::ZERO);
        let limiter = Arc::new(limiter.try_build().unwrap());
        let other = limiter.clone();
        let theirs = spawn(move || {
            other.set_quota(quota("1/30ns burst 3")).unwrap();
            other.set_quota(quota("1/7ns burst 1")).unwrap();
        });
        let d = limiter.check_at(Nanos::new(5));
        let seen = (d.limit(), d.full_after().as_nanos());
        assert!([(2, 10), (3, 30), (1, 7)].contains(&seen), "{d:?}");
        theirs.join().unwrap();
    });
}

/// A lone limiter: a refund and a charge.
#[test]
fn lone_refund() {
    model(3, 2, || {
        let quota: Quota = "2/20ns".parse().unwrap();
        let limiter = Limiter::gcra(quota).clock(ManualClock::new()).epoch(Nanos::ZERO);
        let limiter = Arc::new(limiter.try_build().unwrap());
        assert!(limiter.check_n_at(2, Nanos::new(1)).is_allowed());
        let other = limiter.clone();
        let theirs = spawn(move || other.check_at(Nanos::new(2)).is_allowed());
        let _ = limiter.refund_at(Charge::new(1, Nanos::new(1)), Nanos::new(2));
        let theirs = u64::from(theirs.join().unwrap());
        assert_eq!(limiter.peek_at(Nanos::new(2)).remaining() + theirs, 1);
    });
}

/// Two give back at once, without a table.
#[test]
fn lone_refunds_against_each_other() {
    model(3, 2, || {
        let quota: Quota = "4/40ns".parse().unwrap();
        let limiter = Limiter::gcra(quota).clock(ManualClock::new()).epoch(Nanos::ZERO);
        let limiter = Arc::new(limiter.try_build().unwrap());
        let now = Nanos::new(1);
        assert!(limiter.check_n_at(3, now).is_allowed());
        let other = limiter.clone();
        let theirs = spawn(move || other.refund_at(Charge::new(1, now), now).remaining());
        let ours = limiter.refund_at(Charge::new(1, now), now).remaining();
        let theirs = theirs.join().unwrap();
        assert_eq!((ours.min(theirs), ours.max(theirs)), (2, 3));
    });
}

/// What was used is charged as far as the largest debt goes, in whole units, and each
/// is told what it was charged: together, exactly what there was room for.
#[test]
fn settled_charges_are_real() {
    model(3, 2, || {
        let quota: Quota = "2/20ns".parse().unwrap();
        let limiter = Limiter::gcra(quota)
            .longest_wait(std::time::Duration::from_nanos(25))
            .clock(ManualClock::new())
            .epoch(Nanos::ZERO);
        let limiter = Arc::new(limiter.try_build().unwrap());
        let now = Nanos::new(1);
        let settle = move |limiter: &Limiter<_, _>, units| {
            let mut charge = Charge::new(0, now);
            let _ = limiter.settle_at(&mut charge, units, now);
            charge.units()
        };
        let other = limiter.clone();
        let theirs = spawn(move || settle(&other, 3));
        let ours = settle(&limiter, 100);
        // 45 ns of debt, 10 a unit.
        assert_eq!(ours + theirs.join().unwrap(), 4);
        assert_eq!(limiter.peek_at(now).full_after().as_nanos(), 40);
    });
}
