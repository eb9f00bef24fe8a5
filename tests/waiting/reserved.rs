//! GCRA: places in time.

use crate::{Random, TOLD, every_ten_ms, ms, no, poll_once};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};
use tollgate::{
    Gcra, KeyedLimiter, Limiter, Quota,
    wait::{TokioClock, WaitError, Waiters},
};

#[tokio::test(start_paused = true)]
async fn turns_come_in_order_and_in_time() {
    for burst in [1, 3] {
        let waiters = Arc::new(Waiters::new(every_ten_ms(burst)));
        let (begun, served) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = Vec::new();
        for nth in 0..20 {
            let (waiters, served) = (waiters.clone(), served.clone());
            tasks.push(tokio::spawn(async move {
                let admitted = waiters.until_ready().await.unwrap();
                assert!(admitted.decision().is_allowed());
                served.lock().unwrap().push((nth, begun.elapsed()));
            }));
            yield_now().await;
        }
        assert_eq!(waiters.waiting(), 20 - usize::try_from(burst).unwrap());
        for task in tasks {
            task.await.unwrap();
        }
        for (nth, (who, when)) in served.lock().unwrap().iter().enumerate() {
            let nth = u64::try_from(nth).unwrap();
            assert_eq!((*who, *when), (nth, ms(10 * (nth + 1).saturating_sub(burst))));
        }
        assert_eq!(waiters.waiting(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_line() {
    let quota = Quota::new(1, ms(10)).unwrap();
    let limiter = KeyedLimiter::gcra(quota).longest_wait(ms(100)).clock(TokioClock::new());
    let waiters = Waiters::new(limiter.try_build().unwrap());
    let begun = Instant::now();
    for key in ["a", "b", "c"] {
        waiters.until_key_ready(key).await.unwrap();
    }
    assert_eq!(begun.elapsed(), ms(0));
    let (mut a, mut b) = (
        Box::pin(async { waiters.until_key_ready("a").await }),
        Box::pin(async { waiters.until_key_ready("b").await }),
    );
    assert!(poll_once(&mut a).await.is_none() && poll_once(&mut b).await.is_none());
    assert_eq!(waiters.waiting(), 2);
    // Giving up in one line moves nobody in another.
    drop(a);
    b.await.unwrap();
    assert_eq!(begun.elapsed(), ms(10));
    waiters.until_key_ready("a").await.unwrap();
    assert_eq!(begun.elapsed(), ms(10));
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_who_has_reserved() {
    let waiters = Waiters::new(every_ten_ms(2));
    let _ = waiters.limiter().check_n(2);
    let mut first = waiters.until_ready().into_future();
    let mut second = waiters.until_ready().into_future();
    assert!(poll_once(&mut first).await.is_none());
    assert!(poll_once(&mut second).await.is_none());
    for now in 1..=20 {
        sleep(ms(1)).await;
        assert!(waiters.limiter().check().is_denied(), "after {now} ms");
    }
    assert!(poll_once(&mut first).await.is_some() && poll_once(&mut second).await.is_some());
    sleep(ms(10)).await;
    assert!(waiters.limiter().check().is_allowed());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_in_time_is_answered_at_once() {
    let waiters = Waiters::new(every_ten_ms(1));
    waiters.until_ready().within(ms(0)).await.unwrap();
    let mut ahead = waiters.until_ready().into_future();
    assert!(poll_once(&mut ahead).await.is_none());
    let mut late = waiters.until_ready().within(ms(19)).into_future();
    // Within 1 ms it is to be had: then 19 ms are enough.
    let retry_after = Some(ms(1));
    let late = no(poll_once(&mut late).await.unwrap());
    assert_eq!(late, WaitError::TooLong { retry_after, answer: TOLD });
    let mut in_time = waiters.until_ready().within(ms(20)).into_future();
    assert!(poll_once(&mut in_time).await.is_none());
    // Who was answered left no charge.
    let mut next = waiters.until_ready().within(ms(30)).into_future();
    assert!(poll_once(&mut next).await.is_none());
    assert_eq!(no(waiters.until_ready().units(2).await), WaitError::Never { answer: TOLD });
    // Longer than the limiter lets anybody wait.
    let begun = Instant::now();
    ahead.await.unwrap();
    in_time.await.unwrap();
    next.await.unwrap();
    assert_eq!(begun.elapsed(), ms(30));
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_longer_than_the_limiter_gives() {
    let quota = Quota::new(1, ms(10)).unwrap();
    let limiter = Limiter::gcra(quota).longest_wait(ms(20)).clock(TokioClock::new());
    let waiters = Waiters::new(limiter.try_build().unwrap());
    let _ = waiters.limiter().check();
    let mut two = [0, 1].map(|_| waiters.until_ready().into_future());
    for turn in &mut two {
        assert!(poll_once(turn).await.is_none());
    }
    let said = waiters.until_ready().within(Duration::MAX).await;
    assert_eq!(no(said), WaitError::TooLong { retry_after: Some(ms(10)), answer: TOLD });
}

#[tokio::test(start_paused = true)]
async fn one_too_many_is_told_so() {
    let waiters = Waiters::new(every_ten_ms(1)).at_most(2);
    let _ = waiters.limiter().check();
    let mut two = [0, 1].map(|_| waiters.until_ready().into_future());
    for turn in &mut two {
        assert!(poll_once(turn).await.is_none());
    }
    let charged = waiters.limiter().peek();
    assert_eq!(no(waiters.until_ready().await), WaitError::Full { answer: TOLD });
    assert_eq!(waiters.limiter().peek().full_after(), charged.full_after());
    let [first, second] = two;
    drop(second);
    let mut third = waiters.until_ready().into_future();
    assert!(poll_once(&mut third).await.is_none());
    first.await.unwrap();
    third.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn those_behind_move_up() {
    let waiters = Waiters::new(every_ten_ms(1));
    let begun = Instant::now();
    waiters.until_ready().await.unwrap();
    // Due at 10, 20, ... 100 ms.
    let mut turns = Vec::new();
    for _ in 0..10 {
        let mut turn = waiters.until_ready().into_future();
        assert!(poll_once(&mut turn).await.is_none());
        turns.push(turn);
    }
    sleep(ms(5)).await;
    // The second to the sixth give up, and five more come.
    turns.drain(1..6);
    for _ in 0..5 {
        let mut turn = waiters.until_ready().into_future();
        assert!(poll_once(&mut turn).await.is_none());
        turns.push(turn);
    }
    for (nth, turn) in turns.into_iter().enumerate() {
        turn.await.unwrap();
        assert_eq!(begun.elapsed(), ms(10 * (u64::try_from(nth).unwrap() + 1)));
    }
    assert_eq!(waiters.limiter().peek().full_after(), ms(10));
}

/// Those who sleep are woken when they move up: here by a runtime, not by hand.
#[tokio::test(start_paused = true)]
async fn those_behind_are_woken() {
    let waiters = Arc::new(Waiters::new(every_ten_ms(1)));
    let begun = Instant::now();
    waiters.until_ready().await.unwrap();
    let ahead = tokio::spawn({
        let waiters = waiters.clone();
        async move { waiters.until_ready().units(1).await.map(|_| ()) }
    });
    yield_now().await;
    let behind = tokio::spawn({
        let waiters = waiters.clone();
        async move { waiters.until_ready().await.map(|_| ()) }
    });
    yield_now().await;
    ahead.abort();
    behind.await.unwrap().unwrap();
    assert_eq!(begun.elapsed(), ms(10));
}

/// One that is neither polled nor dropped has its unit, and holds nobody up.
#[tokio::test(start_paused = true)]
async fn one_that_nobody_polls_holds_nobody_up() {
    let waiters = Waiters::new(every_ten_ms(1)).at_most(2);
    let begun = Instant::now();
    waiters.until_ready().await.unwrap();
    let mut lies = waiters.until_ready().into_future();
    assert!(poll_once(&mut lies).await.is_none());
    for nth in 2..5 {
        waiters.until_ready().await.unwrap();
        assert_eq!(begun.elapsed(), ms(10 * nth));
    }
    // It is one of those who wait until it is gone; what it reserved is spent.
    assert_eq!(waiters.waiting(), 1);
    drop(lies);
    assert_eq!(waiters.waiting(), 0);
    waiters.until_ready().await.unwrap();
    assert_eq!(begun.elapsed(), ms(50));
}

/// A turn that has come and was not taken is spent: others may have been let in since
/// who would not have been without it.
#[tokio::test(start_paused = true)]
async fn a_turn_that_has_come_is_spent() {
    let waiters = Waiters::new(every_ten_ms(1));
    let _ = waiters.limiter().check();
    let mut turn = waiters.until_ready().into_future();
    assert!(poll_once(&mut turn).await.is_none());
    sleep(ms(20)).await;
    assert!(waiters.limiter().check().is_allowed());
    sleep(ms(5)).await;
    drop(turn);
    assert!(waiters.limiter().check().is_denied());
    sleep(ms(5)).await;
    assert!(waiters.limiter().check().is_allowed());
    // With a burst there is time in which it is known to be exact.
    let waiters = Waiters::new(every_ten_ms(3));
    let _ = waiters.limiter().check_n(3);
    let mut turn = waiters.until_ready().into_future();
    assert!(poll_once(&mut turn).await.is_none());
    sleep(ms(30)).await;
    drop(turn);
    assert_eq!(waiters.limiter().peek().remaining(), 3);
}

#[tokio::test(start_paused = true)]
async fn large_costs_keep_their_place() {
    let waiters = Waiters::new(every_ten_ms(4));
    let begun = Instant::now();
    waiters.until_ready().units(4).await.unwrap();
    let mut turns = Vec::new();
    for units in [4, 1, 2] {
        let mut turn = waiters.until_ready().units(units).into_future();
        assert!(poll_once(&mut turn).await.is_none());
        turns.push(turn);
    }
    let mut due = [40, 50, 70].into_iter().map(ms);
    for turn in turns {
        assert_eq!(turn.await.unwrap().decision().limit(), 4);
        assert_eq!(Some(begun.elapsed()), due.next());
    }
}

/// What is given back is theirs who wait, in their order: nobody passes.
#[tokio::test(start_paused = true)]
async fn who_waits_gains_by_refunds() {
    let waiters = Waiters::new(every_ten_ms(5));
    let begun = Instant::now();
    let mut charge = waiters.until_ready().units(5).await.unwrap().charge().unwrap();
    let mut turns = Vec::new();
    for _ in 0..6 {
        let mut turn = waiters.until_ready().into_future();
        assert!(poll_once(&mut turn).await.is_none());
        turns.push(turn);
    }
    sleep(ms(5)).await;
    // Two less: due are 0 (for -10), 0, 10, 20, 30 and 40.
    assert_eq!(waiters.settle(&mut charge, 3).remaining(), 0);
    let mut due = [5, 5, 10, 20, 30, 40].into_iter().map(ms);
    let last = turns.split_off(3);
    for turn in turns {
        turn.await.unwrap();
        assert!(waiters.limiter().check().is_denied());
        assert_eq!(Some(begun.elapsed()), due.next());
    }
    // The rest too: due are -10, 0 and 10.
    let _ = waiters.refund(charge);
    for turn in last {
        turn.await.unwrap();
        assert_eq!(begun.elapsed(), ms(10));
    }
    // Six in all, and 10 ms are over: as much is owed as is when nobody ever gave back.
    assert_eq!(waiters.limiter().peek().full_after(), ms(50));
    assert_eq!(waiters.limiter().peek().remaining(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_gains_by_refunds_of_its_key() {
    let quota = Quota::new(1, ms(10)).unwrap().burst(4).unwrap();
    let limiter = KeyedLimiter::gcra(quota).longest_wait(ms(100)).clock(TokioClock::new());
    let waiters = Waiters::new(limiter.try_build().unwrap());
    let begun = Instant::now();
    let admit = async |key: &'static str| waiters.until_key_ready(key).units(4).await.unwrap();
    let (mut a, b) = (admit("a").await.charge().unwrap(), admit("b").await.charge().unwrap());
    let mut turn = Box::pin(async { waiters.until_key_ready("a").units(3).await });
    assert!(poll_once(&mut turn).await.is_none());
    // Another's is nothing to it.
    let _ = waiters.refund_key("b", b);
    assert!(poll_once(&mut turn).await.is_none());
    let _ = waiters.settle_key("a", &mut a, 3);
    turn.await.unwrap();
    assert_eq!(begun.elapsed(), ms(20));
}

/// Where the first asks, it does so at once.
#[tokio::test(start_paused = true)]
async fn who_stands_in_line_gains_by_refunds() {
    let limiter = Limiter::sliding_log("2/h".parse().unwrap()).clock(TokioClock::new());
    let waiters = Waiters::new(limiter.try_build().unwrap());
    let begun = Instant::now();
    let charge = waiters.until_ready().units(2).await.unwrap().charge().unwrap();
    let mut turn = waiters.until_ready().into_future();
    assert!(poll_once(&mut turn).await.is_none());
    let _ = waiters.refund(charge);
    turn.await.unwrap();
    assert_eq!(begun.elapsed(), ms(0));
}

/// With room for a burst of three, and a wait of a minute.
fn one_in_ten_ms_at_first() -> Waiters<Limiter<Gcra, TokioClock>> {
    let quota = Quota::new(1, ms(10)).unwrap();
    let limiter = Limiter::gcra(quota).room_for(quota.burst(3).unwrap());
    let limiter = limiter.longest_wait(Duration::from_secs(60)).clock(TokioClock::new());
    Waiters::new(limiter.try_build().unwrap())
}

/// Nor where there is room for more than what is reserved.
#[tokio::test(start_paused = true)]
async fn a_reset_by_a_larger_burst_keeps_what_is_reserved() {
    let waiters = one_in_ten_ms_at_first();
    assert!(waiters.limiter().check().is_allowed());
    let mut turn = waiters.until_ready().into_future();
    assert!(poll_once(&mut turn).await.is_none());
    waiters.set_quota(Quota::new(1, ms(10)).unwrap().burst(3).unwrap()).unwrap();
    for _ in 0..2 {
        assert_eq!(waiters.reset().full_after(), ms(10));
        assert_eq!(waiters.limiter().peek().remaining(), 2);
    }
    drop(turn);
    assert_eq!(waiters.limiter().peek().remaining(), 3);
}

/// Whoever reserves by a larger burst does not pass those who reserved by a smaller one.
#[tokio::test(start_paused = true)]
async fn another_quota_keeps_the_order() {
    let waiters = one_in_ten_ms_at_first();
    let begun = Instant::now();
    assert!(waiters.limiter().check().is_allowed());
    let mut turns = Vec::new();
    for _ in 0..5 {
        let mut turn = waiters.until_ready().into_future();
        assert!(poll_once(&mut turn).await.is_none());
        turns.push(turn);
    }
    drop(turns.remove(1));
    // Due were 10 to 40; 20 more may be owed now.
    waiters.set_quota(waiters.limiter().quota().burst(3).unwrap()).unwrap();
    let mut last = waiters.until_ready().into_future();
    assert!(poll_once(&mut last).await.is_none());
    turns.push(last);
    assert!(waiters.limiter().check().is_denied());
    // It falls again: what was promised holds, and who reserves then comes after.
    waiters.set_quota(waiters.limiter().quota().burst(1).unwrap()).unwrap();
    let mut after = waiters.until_ready().into_future();
    assert!(poll_once(&mut after).await.is_none());
    turns.push(after);
    // Who has its time from before gains nothing by a rise to what there was.
    waiters.set_quota(waiters.limiter().quota().burst(2).unwrap()).unwrap();
    let mut due = [0, 0, 10, 20, 30, 50].into_iter().map(ms);
    for turn in turns {
        turn.await.unwrap();
        assert_eq!(Some(begun.elapsed()), due.next());
        assert!(waiters.limiter().check().is_denied());
    }
    assert_eq!(waiters.limiter().peek().full_after(), ms(20));
    // What there is no room for moves nobody.
    assert!(waiters.set_quota(waiters.limiter().quota().burst(4).unwrap()).is_err());
}

/// What was charged is forgotten, what is reserved is not: who waits passes as if it came now,
/// and who gives up then has nothing to give back that was forgotten.
#[tokio::test(start_paused = true)]
async fn a_reset_keeps_what_is_reserved() {
    for gives_up in [false, true] {
        let waiters = one_in_ten_ms_at_first();
        assert!(waiters.limiter().check().is_allowed());
        let mut turn = waiters.until_ready().into_future();
        assert!(poll_once(&mut turn).await.is_none());
        sleep(ms(1)).await;
        assert!(waiters.reset().is_allowed());
        assert!(waiters.limiter().check().is_denied());
        if !gives_up {
            assert!(poll_once(&mut turn).await.is_some());
        }
        sleep(ms(1)).await;
        drop(turn);
        sleep(ms(8)).await;
        assert!(waiters.limiter().check().is_denied());
        sleep(ms(1)).await;
        assert!(waiters.limiter().check().is_allowed());
    }
    let waiters = Waiters::new(every_ten_ms(2));
    let _ = waiters.limiter().check_n(2);
    let begun = Instant::now();
    let mut turns = Vec::new();
    for _ in 0..4 {
        let mut turn = waiters.until_ready().into_future();
        assert!(poll_once(&mut turn).await.is_none());
        turns.push(turn);
    }
    sleep(ms(5)).await;
    let reset = waiters.reset();
    assert_eq!((reset.remaining(), reset.full_after()), (0, ms(40)));
    // The third comes back to those behind it.
    drop(turns.remove(2));
    assert_eq!(waiters.reset().full_after(), ms(30));
    let mut last = waiters.until_ready().into_future();
    assert!(poll_once(&mut last).await.is_none());
    turns.push(last);
    let mut due = [5, 5, 15, 25].into_iter().map(ms);
    for turn in turns {
        turn.await.unwrap();
        assert_eq!(Some(begun.elapsed()), due.next());
    }
    // What time has paid already is not kept once more, nor given back.
    let mut overdue = waiters.until_ready().into_future();
    assert!(poll_once(&mut overdue).await.is_none());
    sleep(ms(100)).await;
    let _ = waiters.limiter().check_n(2);
    let mut behind = waiters.until_ready().into_future();
    assert!(poll_once(&mut behind).await.is_none());
    assert_eq!(waiters.reset().full_after(), ms(10));
    drop(overdue);
    assert_eq!(waiters.limiter().peek().full_after(), ms(10));
    assert!(poll_once(&mut behind).await.is_some());
}

/// A reset is one key's, a quota is all keys'.
#[tokio::test(start_paused = true)]
async fn keys_are_reset_and_have_another_quota() {
    let quota = Quota::new(1, ms(10)).unwrap();
    let limiter = KeyedLimiter::gcra(quota).room_for(quota.burst(2).unwrap());
    let limiter = limiter.longest_wait(ms(100)).clock(TokioClock::new());
    let waiters = Arc::new(Waiters::new(limiter.try_build().unwrap()));
    let begun = Instant::now();
    let turn = |key: &'static str| {
        let waiters = waiters.clone();
        tokio::spawn(async move { waiters.until_key_ready(key).await.map(|_| begun.elapsed()) })
    };
    for key in ["a", "b"] {
        assert!(waiters.limiter().check(key).is_allowed());
    }
    let (a, b) = (turn("a"), [turn("b"), turn("b"), turn("b")]);
    yield_now().await;
    let _ = waiters.reset_key("a");
    assert_eq!(a.await.unwrap(), Ok(ms(0)));
    assert_eq!(waiters.waiting(), 3);
    waiters.set_quota(quota.burst(2).unwrap()).unwrap();
    for (turn, due) in b.into_iter().zip([0, 10, 20]) {
        assert_eq!(turn.await.unwrap(), Ok(ms(due)));
    }
}

/// Where the first asks, it does so at once.
#[tokio::test(start_paused = true)]
async fn who_stands_in_line_gains_by_resets_and_quotas() {
    let (one, two) = ("1/h".parse().unwrap(), "2/h".parse().unwrap());
    let limiter = KeyedLimiter::sliding_log(one).room_for(two).clock(TokioClock::new());
    let waiters = Arc::new(Waiters::new(limiter.try_build().unwrap()));
    let begun = Instant::now();
    let turn = |key: &'static str| {
        let waiters = waiters.clone();
        tokio::spawn(async move { waiters.until_key_ready(key).await.map(|_| ()) })
    };
    for key in ["a", "b"] {
        assert!(waiters.limiter().check(key).is_allowed());
    }
    let (a, b) = (turn("a"), turn("b"));
    yield_now().await;
    let _ = waiters.reset_key("a");
    a.await.unwrap().unwrap();
    assert_eq!((waiters.waiting(), begun.elapsed()), (1, ms(0)));
    let a = turn("a");
    yield_now().await;
    waiters.set_quota(two).unwrap();
    a.await.unwrap().unwrap();
    b.await.unwrap().unwrap();
    assert_eq!(begun.elapsed(), ms(0));
}

#[tokio::test(start_paused = true)]
async fn jitter_comes_later_and_never_sooner() {
    let waiters = Waiters::new(every_ten_ms(1));
    let _ = waiters.limiter().check();
    let (mut some, mut begun) = (false, Instant::now());
    for _ in 0..50 {
        waiters.until_ready().jitter(ms(8)).await.unwrap();
        let after = begun.elapsed();
        assert!(after >= ms(10 - 8) && after <= ms(19), "{after:?}");
        some |= after != ms(10);
        begun = Instant::now();
    }
    assert!(some);
    // The last may have come late, and the next be due sooner for it.
    sleep(ms(20)).await;
    assert!(waiters.limiter().check().is_allowed());
    // It would not be sure to be in time.
    let late = waiters.until_ready().jitter(ms(8)).within(ms(11)).await;
    assert!(late.is_err());
}

/// Comings and leavings by chance: uses obey the quota to the letter, come in order, and
/// while anybody waits none is wasted.
#[tokio::test(start_paused = true)]
async fn whoever_gives_up_the_quota_is_kept_and_used() {
    let mut gone = 0;
    for seed in 1..=24_u64 {
        let burst = 1 + seed % 3;
        let mut random = Random(seed * 0x9E37_79B9);
        let waiters = Waiters::new(every_ten_ms(burst));
        let begun = Instant::now();
        let mut line = Vec::new();
        let mut used: Vec<(u64, u64)> = Vec::new();
        for who in 0..1200 {
            let now = || u64::try_from(begun.elapsed().as_millis()).unwrap();
            if random.below(8) == 0 {
                let units = 1 + random.below(burst);
                let mut turn = waiters.until_ready().units(units).into_future();
                match poll_once(&mut turn).await {
                    Some(said) => {
                        said.unwrap();
                        assert!(line.is_empty(), "{who} passed those who wait");
                        used.push((now(), units));
                    }
                    None => line.push((units, turn)),
                }
            }
            if !line.is_empty() && random.below(20) == 0 {
                let at = usize::try_from(random.below(line.len() as u64)).unwrap();
                drop(line.remove(at));
                gone += 1;
            }
            // Whoever is due is served, and from the front.
            for (units, mut turn) in std::mem::take(&mut line) {
                match poll_once(&mut turn).await {
                    Some(said) => {
                        said.unwrap();
                        assert!(line.is_empty(), "seed {seed}: the second before the first");
                        used.push((now(), units));
                    }
                    None => line.push((units, turn)),
                }
            }
            // Nothing is wasted: the first of the line waits for no more than its own.
            if let Some((units, _)) = line.first() {
                let allowed = waiting_is_needed(&used, now(), *units, burst);
                assert!(allowed, "seed {seed}: {units} would have fit at {}", now());
            }
            // Whoever is polled late uses its turn late: here nobody is.
            sleep(ms(1)).await;
        }
        for (i, (from, _)) in used.iter().enumerate() {
            let mut sum = 0;
            for (to, units) in &used[i..] {
                sum += units;
                assert!(sum * 10 <= burst * 10 + (to - from), "seed {seed}: {sum} in {from}..{to}");
            }
        }
    }
    assert!(gone > 300, "{gone}");
}

/// Whether a GCRA of its own, that saw the uses alone, denies so many units now.
fn waiting_is_needed(used: &[(u64, u64)], now: u64, units: u64, burst: u64) -> bool {
    let mut tat = 0;
    for (at, units) in used {
        tat = tat.max(*at) + 10 * units;
    }
    tat.max(now) + 10 * units > now + 10 * burst
}
