//! Waiting, with time that stands still until everybody sleeps.
//!
//! 1. turns come in the order of the reservations, at the instants that the quota says;
//! 2. nobody passes who waits for what it reserved;
//! 3. what is used obeys the quota whoever gives up, and nothing is wasted;
//! 4. a deadline that cannot be met is answered at once;
//! 5. nobody waits beyond the number of waiters;
//! 6. whoever gives up leaves nothing behind.
#![cfg(not(loom))]

mod answers;
mod blocking;
mod executor;
mod policies;
mod queues;
mod reserved;

use std::{future::Future, pin::Pin, task::Poll, time::Duration};
use tollgate::{
    Gcra, Limiter, Quota,
    wait::{TokioClock, WaitError},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One unit every 10 ms, so many at once.
fn every_ten_ms(burst: u64) -> Limiter<Gcra, TokioClock> {
    let quota = Quota::new(1, ms(10)).unwrap().burst(burst).unwrap();
    let wait = Duration::from_secs(60);
    Limiter::gcra(quota).clock(TokioClock::new()).longest_wait(wait).try_build().unwrap()
}

/// Polls once; what it said, if it is done.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(said) => Poll::Ready(Some(said)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Why it was not let in, and whether it was told in which words.
fn no<T, D>(said: Result<T, WaitError<D>>) -> WaitError<()> {
    said.err().expect("a turn that does not come").map_answer(drop)
}

const TOLD: Option<()> = Some(());

/// A small generator of numbers, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}
