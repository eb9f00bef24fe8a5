//! A lone limiter.

use super::*;
use crate::{Limiter, ManualClock, Nanos};

#[test]
fn lone_last_unit() {
    model(3, 2, || {
        let quota = Quota::new(1, std::time::Duration::from_secs(1)).unwrap();
        let limiter = Limiter::gcra(quota).clock(ManualClock::new()).epoch(Nanos::ZERO);
        let limiter = Arc::new(limiter.try_build().unwrap());
        let other = limiter.clone();
        let theirs = spawn(move || other.check_at(Nanos::new(5)).is_allowed());
        let ours = limiter.check_at(Nanos::new(7)).is_allowed();
        assert!(ours != theirs.join().unwrap());
    });
}

#[test]
fn lone_log_last_units() {
    model(3, 2, || {
        let quota = Quota::new(4, std::time::Duration::from_secs(1)).unwrap();
        let limiter = Limiter::sliding_log(quota).clock(ManualClock::new()).epoch(Nanos::ZERO);
        let limiter = Arc::new(limiter.try_build().unwrap());
        let other = limiter.clone();
        let theirs = spawn(move || other.check_n_at(3, Nanos::new(5)).is_allowed());
        let ours = limiter.check_n_at(3, Nanos::new(7)).is_allowed();
        // All or nothing, and not nothing for both.
        assert!(ours != theirs.join().unwrap());
        assert_eq!(limiter.peek_at(Nanos::new(7)).remaining(), 1);
    });
}

/// As [`log_denial_is_consistent`](super::log), without a table: the same look, by
/// the way that a table takes only when something comes in between.
#[test]
fn lone_log_look_is_consistent() {
    model(3, 2, || {
        let quota: Quota = "2/10ns".parse().unwrap();
        let limiter = Limiter::sliding_log(quota).clock(ManualClock::new()).epoch(Nanos::ZERO);
        let limiter = Arc::new(limiter.try_build().unwrap());
        for at in [1, 5] {
            assert!(limiter.check_at(Nanos::new(at)).is_allowed());
        }
        let gate = Arc::new(Gate::default());
        let (other, theirs) = (limiter.clone(), gate.clone());
        let writer = spawn(move || {
            theirs.pass();
            for at in [11, 15] {
                assert!(other.check_at(Nanos::new(at)).is_allowed());
            }
        });
        gate.pass();
        let d = limiter.peek_at(Nanos::new(12));
        let seen = (d.remaining(), d.reset_after().as_nanos(), d.full_after().as_nanos());
        assert!([(1, 3, 3), (0, 3, 9), (1, 9, 9), (0, 9, 13)].contains(&seen), "{seen:?}");
        writer.join().unwrap();
    });
}
