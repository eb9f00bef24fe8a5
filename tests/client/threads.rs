//! A pacer in front of many threads.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};
use tollgate::client::{Answered, Pacer, Step};

/// Long enough for any machine; nothing waits for it unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_more_are_in_flight_than_may_be_and_all_get_through() {
    let pacer = Pacer::builder().quota("100000/s".parse().unwrap()).in_flight(3).build();
    let (flying, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let begun = Instant::now();
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for unit in 0..200 {
                    let mut call = pacer.call();
                    loop {
                        match call.step() {
                            Step::Go => break,
                            Step::Wait(wait) => thread::sleep(wait),
                            Step::Busy => assert!(call.wait_for_an_end(PATIENCE)),
                            Step::End => panic!("nothing was denied"),
                        }
                        assert!(begun.elapsed() < PATIENCE, "it hangs");
                    }
                    let now = flying.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    thread::yield_now();
                    flying.fetch_sub(1, Ordering::SeqCst);
                    // Some get no answer.
                    if unit % 7 != 0 {
                        let answered = call.answered(200, [("", ""); 0], SystemTime::now());
                        assert_eq!(answered, Answered::Done);
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 1600);
    assert!(most.into_inner() <= 3);
    assert_eq!(pacer.in_flight(), 0);
}

/// Real time and a limiter of our own as the server: threads that share a pacer see no
/// denial.
#[test]
fn threads_that_share_a_pacer_keep_its_quota() {
    let quota = "20/s".parse().unwrap();
    let server = tollgate::Limiter::sliding_log(quota).try_build().unwrap();
    let pacer = Pacer::builder().quota(quota).in_flight(4).build();
    let denied = Mutex::new(0);
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..15 {
                    let mut call = pacer.call();
                    call.block().unwrap();
                    *denied.lock().unwrap() += u32::from(server.check().is_denied());
                    let _ = call.answered(200, [("", ""); 0], SystemTime::now());
                }
            });
        }
    });
    assert_eq!(denied.into_inner().unwrap(), 0);
}

#[test]
fn whoever_waits_for_an_end_that_never_comes_waits_no_longer_than_it_wants() {
    let pacer = Pacer::new();
    let begun = Instant::now();
    let mut call = pacer.call();
    let mut other = pacer.call();
    assert!(other.wait_for_an_end(PATIENCE), "nobody is in flight");
    assert_eq!((call.step(), other.step()), (Step::Go, Step::Busy));
    assert!(!other.wait_for_an_end(Duration::from_millis(20)));
    assert!(begun.elapsed() >= Duration::from_millis(20) && begun.elapsed() < PATIENCE);
    // One that ended between the answer and the wait is not missed.
    let pacer = Pacer::builder().in_flight(2).quota("9/s".parse().unwrap()).build();
    let [mut a, mut b, mut c] = [(); 3].map(|()| pacer.call());
    assert_eq!((a.step(), b.step(), c.step()), (Step::Go, Step::Go, Step::Busy));
    drop(a);
    assert!(c.wait_for_an_end(PATIENCE));
}
