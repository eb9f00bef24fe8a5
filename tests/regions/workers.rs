//! What the other processes do.

use std::{
    env,
    io::{Read, Write},
    path::PathBuf,
    time::{Duration, Instant},
};
use tollgate::{Clock, KeyedLimiter, Quota, Region, SlidingLog};

pub(crate) fn per_hour(n: u64) -> Quota {
    Quota::n_per_hour(n).unwrap()
}

pub(crate) type Shared<A> = KeyedLimiter<A, tollgate::RegionClock>;

pub(crate) fn gcra(region: &Region, name: &str, n: u64) -> Shared<tollgate::Gcra> {
    KeyedLimiter::gcra(per_hour(n)).capacity(1000).try_build_in(region, name).unwrap()
}

/// A unit returns in 86 s: what is left does not change while a test runs.
pub(crate) fn slow(region: &Region, name: &str) -> Shared<tollgate::Gcra> {
    let quota = Quota::n_per_day(1000).unwrap();
    KeyedLimiter::gcra(quota).capacity(1000).try_build_in(region, name).unwrap()
}

pub(crate) fn log(region: &Region, name: &str, n: u64) -> Shared<SlidingLog> {
    KeyedLimiter::sliding_log(per_hour(n)).capacity(200).try_build_in(region, name).unwrap()
}

fn wait_for_the_word() {
    println!("ready");
    std::io::stdout().flush().unwrap();
    // Ends with the other end of the pipe.
    let _ = std::io::stdin().read(&mut [0]);
}

/// Not a test but a process, if it is told which.
#[test]
fn worker() {
    let Ok(part) = env::var("TOLLGATE_PART") else { return };
    let path = PathBuf::from(env::var_os("TOLLGATE_PATH").unwrap());
    let argument = env::var("TOLLGATE_ARGUMENT").unwrap();
    match part.as_str() {
        "exhaust" => {
            let region = Region::open(&path).unwrap();
            let n: u64 = argument.parse().unwrap();
            let (gcra, log) = (gcra(&region, "gcra", n), log(&region, "log", n));
            let counter = KeyedLimiter::sliding_counter(per_hour(n)).capacity(1000);
            let counter = counter.try_build_in(&region, "counter").unwrap();
            wait_for_the_word();
            let mut admitted = [0_u64; 3];
            for _ in 0..2 * n {
                for (nth, decision) in
                    [gcra.check("k"), log.check("k"), counter.check("k")].iter().enumerate()
                {
                    admitted[nth] += u64::from(decision.is_allowed());
                }
            }
            println!("result {} {} {}", admitted[0], admitted[1], admitted[2]);
        }
        "race" => {
            wait_for_the_word();
            let region = Region::open(&path).unwrap();
            let left = slow(&region, &argument).check("everybody").remaining();
            println!("result {left} {}", region.names().unwrap().len());
        }
        "time" => println!("result {}", Region::open(&path).unwrap().clock().now().as_u64()),
        "killer" => println!("result {}", crate::killed::killer(&path)),
        "hold" => {
            let region = Region::open(&path).unwrap();
            let limiter = gcra(&region, "gcra", 10);
            wait_for_the_word();
            let until = Instant::now() + Duration::from_secs(60);
            while Instant::now() < until {
                let _ = limiter.set_quota(per_hour(5));
                let _ = limiter.set_quota(per_hour(4));
            }
        }
        "zone" => {
            let region = crate::host::zone(&path).unwrap();
            println!("result {}", slow(&region, "api").check("k").remaining());
        }
        #[cfg(feature = "policy")]
        "policy" => {
            let times = argument.parse().unwrap();
            println!("result {}", crate::policies::ask(&path, times));
        }
        other => panic!("no part called {other}"),
    }
}
