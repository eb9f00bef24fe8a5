//! No thread is started. Alone in its file: the test harness starts some.
#![cfg(all(not(loom), target_os = "linux"))]

use tollgate::{CoarseClock, KeyedLimiter, Limiter, MonotonicClock, Quota};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn no_thread_is_started() {
    let before = threads();
    let quota = Quota::n_per_second(5).unwrap();
    let keyed = KeyedLimiter::gcra(quota).try_build().unwrap();
    let alone = Limiter::sliding_log(quota).clock(CoarseClock::new(MonotonicClock::new()));
    let alone = alone.try_build().unwrap();
    for key in 0..10_000_u32 {
        let _ = (keyed.check(&key.to_le_bytes()), alone.check());
    }
    assert_eq!(threads(), before);
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(threads() > before, "the count counts"));
    });
}
