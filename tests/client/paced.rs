//! Where nothing is told but denials, and each wait lets one pass, starts are spaced.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tollgate::{
    Clock as _, Limiter, ManualClock,
    client::{Answered, Call, Pacer, Step},
};

const ROUND: Duration = Duration::from_millis(20);

enum Caller {
    Asks(Call<Arc<ManualClock>>, Duration),
    Flies(Call<Arc<ManualClock>>, Duration, Result<(), u64>),
}

/// What became of so many callers, who each have so many calls to make.
#[derive(Debug, Default)]
struct Done {
    served: usize,
    given_up: usize,
    denied: usize,
    took: Duration,
}

fn run(quota: &str, callers: usize, calls: usize) -> Done {
    let clock = Arc::new(ManualClock::new());
    let server = Limiter::gcra(quota.parse().unwrap()).clock(Arc::clone(&clock));
    let server = server.try_build().unwrap();
    let pacer = Pacer::builder().clock(Arc::clone(&clock)).build();
    let mut left = vec![calls - 1; callers];
    let mut all: Vec<Option<Caller>> =
        left.iter().map(|_| Some(Caller::Asks(pacer.call(), Duration::ZERO))).collect();
    let (mut done, mut now) = (Done::default(), Duration::ZERO);
    while all.iter().any(Option::is_some) {
        for (caller, left) in all.iter_mut().zip(&mut left) {
            *caller = match caller.take() {
                Some(Caller::Asks(mut call, at)) if at <= now => match call.step() {
                    Step::Go => {
                        let said = server.check();
                        let said = said.retry_after_secs().map_or(Ok(()), Err);
                        Some(Caller::Flies(call, now + ROUND, said))
                    }
                    Step::Wait(wait) => Some(Caller::Asks(call, now + wait)),
                    Step::Busy => Some(Caller::Asks(call, now)),
                    Step::End => unreachable!("it is not asked again then"),
                },
                Some(Caller::Flies(mut call, at, said)) if at <= now => {
                    let (status, wait) = match said {
                        Ok(()) => (200, None),
                        Err(wait) => (429, Some(wait.to_string())),
                    };
                    let fields = wait.iter().map(|wait| ("Retry-After", wait));
                    done.denied += usize::from(status == 429);
                    match call.answered(status, fields, UNIX_EPOCH) {
                        Answered::Again => Some(Caller::Asks(call, now)),
                        answered => {
                            done.served += usize::from(answered == Answered::Done);
                            done.given_up += usize::from(answered != Answered::Done);
                            let more = *left > 0;
                            *left = left.saturating_sub(1);
                            more.then(|| Caller::Asks(pacer.call(), now))
                        }
                    }
                }
                other => other,
            };
        }
        done.took = clock.now().since(tollgate::Nanos::ZERO);
        clock.advance(ROUND / 4);
        now += ROUND / 4;
    }
    done
}

#[test]
fn callers_who_are_told_of_denials_alone_are_served_all_the_same() {
    for (quota, callers, calls) in [
        ("2/s burst 1", 12, 2),
        ("1/s burst 1", 8, 2),
        ("6/min burst 1", 4, 4),
        ("3/s burst 1", 16, 4),
    ] {
        let done = run(quota, callers, calls);
        println!("{quota}: {done:?}");
        assert_eq!((done.served, done.given_up), (callers * calls, 0), "{quota}: {done:?}");
    }
}
