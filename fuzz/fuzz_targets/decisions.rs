//! Any quota, times and costs, over a table of one bucket: every answer is the
//! oracle's for as long as all keys have slots, and never admits more after.
#![no_main]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oracle::{Answer, Oracle};
use std::time::Duration;
use tollgate::{KeyedLimiter, ManualClock, Nanos, OnSaturation, Quota};

#[derive(Arbitrary, Debug)]
struct Run {
    units: u64,
    period: u64,
    burst: Option<u64>,
    asks: Vec<Ask>,
}

#[derive(Arbitrary, Debug)]
struct Ask {
    key: u8,
    forward: u32,
    /// Times a power of two, to reach far.
    shift: u8,
    cost: u64,
}

fuzz_target!(|run: Run| {
    let Ok(mut quota) = Quota::new(run.units, Duration::from_nanos(run.period)) else { return };
    if let Some(burst) = run.burst {
        let Ok(with_burst) = quota.burst(burst) else { return };
        quota = with_burst;
    }
    let build = || ManualClock::new();
    let gcra = KeyedLimiter::gcra(quota)
        .clock(build())
        .capacity(1)
        .on_saturation(OnSaturation::Deny)
        .try_build()
        .unwrap();
    let small = quota.units() <= 1000;
    let log = small.then(|| KeyedLimiter::sliding_log(quota));
    let log = log.and_then(|log| {
        log.clock(build()).capacity(1).on_saturation(OnSaturation::Deny).try_build().ok()
    });
    let mut smooth = vec![oracle::Gcra::new(&quota); 256];
    let mut exact = log.as_ref().map(|_| vec![oracle::Log::new(&quota); 256]);
    // Within the range of every quota, so that its end does not blur answers.
    let last = 8 * 365 * 86_400 * 1_000_000_000_u64;
    let mut now = 0_u64;
    for ask in run.asks {
        now = now.saturating_add(u64::from(ask.forward) << (ask.shift % 28)).min(last);
        let key = usize::from(ask.key);
        let d = gcra.check_hash_n_at(u64::from(ask.key), ask.cost, Nanos::new(now));
        if d.is_accounted() {
            assert_eq!(Answer::from(d), smooth[key].ask(now, ask.cost));
        }
        if let (Some(log), Some(exact)) = (&log, &mut exact) {
            let d = log.check_hash_n_at(u64::from(ask.key), ask.cost, Nanos::new(now));
            if d.is_accounted() {
                assert_eq!(Answer::from(d), exact[key].ask(now, ask.cost));
            }
        }
    }
});
