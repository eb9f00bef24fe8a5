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
