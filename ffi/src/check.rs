//! Keyed limiters: what is asked about keys.

use crate::{
    boundary::export,
    codes::*,
    decision::{Place, outcome, tollgate_bytes, tollgate_charge, tollgate_decision},
    limiter::{Any, tollgate_limiter, whichever},
    status::{Code, Fault},
};
use std::{ffi::c_void, time::Duration};
use tollgate::{Decision, Nanos};

export! {
    /// Decides one request of a key, which costs one unit: the answer is
    /// TOLLGATE_ALLOWED (and the unit is charged), TOLLGATE_LATER or TOLLGATE_NEVER, or
    /// negative: an error, and nothing was charged. `decision` tells more, or is NULL: then
    /// the call costs less. One bucket for everybody is a key that is always the same, such as
    /// NULL of length 0.
    ///
    /// Errors: TOLLGATE_ERROR_UNSUPPORTED if the limiter was made with TOLLGATE_FROM_EPOCH.
    /// Threads: any.
    fn tollgate_limiter_check(
        limiter: *const tollgate_limiter,
        key: *const c_void,
        length: usize,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = key.bytes(length)?;
        let place = Place::of(&decision)?;
        limiter.1.may_be_read()?;
        let answer = whichever!(&limiter.0, limiter => limiter.check(key));
        place.tell(&decision, &answer)
    }
}

export! {
    /// As tollgate_limiter_check, for `units` at `now_ns`: an instant of the limiter's clock
    /// (tollgate_limiter_now) or, if it was made with TOLLGATE_FROM_EPOCH, of the caller's;
    /// or TOLLGATE_NOW. No units is a look: always allowed, and nothing is written.
    fn tollgate_limiter_check_at(
        limiter: *const tollgate_limiter,
        key: *const c_void,
        length: usize,
        units: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = key.bytes(length)?;
        let place = Place::of(&decision)?;
        let answer = if now_ns == TOLLGATE_NOW {
            limiter.1.may_be_read()?;
            whichever!(&limiter.0, limiter => limiter.check_n(key, units))
        } else {
            whichever!(&limiter.0, limiter => limiter.check_n_at(key, units, Nanos::new(now_ns)))
        };
        place.tell(&decision, &answer)
    }
}

export! {
    /// As tollgate_limiter_check_at, for a key that the caller has hashed: by a good hash of
    /// 64 bits, with a seed that clients do not know. It is another key than the bytes were.
    fn tollgate_limiter_check_hash(
        limiter: *const tollgate_limiter,
        hash: u64,
        units: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let place = Place::of(&decision)?;
        let answer = if now_ns == TOLLGATE_NOW {
            limiter.1.may_be_read()?;
            whichever!(&limiter.0, limiter => limiter.check_hash_n(hash, units))
        } else {
            whichever!(&limiter.0, limiter => {
                limiter.check_hash_n_at(hash, units, Nanos::new(now_ns))
            })
        };
        place.tell(&decision, &answer)
    }
}

/// The answers of a batch, one by one, to where they go.
fn tell_all(
    answers: impl Iterator<Item = Decision>,
    count: usize,
    outcomes: crate::boundary::Out<'_, i32>,
    decisions: &crate::boundary::Out<'_, tollgate_decision>,
    room: Option<crate::boundary::Room>,
) -> Result<Code, Fault> {
    let count = if outcomes.is_null() { 0 } else { count };
    let outcomes = outcomes.array(count)?;
    let mut denied = TOLLGATE_ALLOWED;
    for (nth, answer) in answers.enumerate() {
        let said = outcome(answer.outcome());
        denied = denied.max(said);
        outcomes.set(nth, said);
        if let Some(room) = room {
            decisions.nth(room, nth).fill(room, tollgate_decision::new(&answer));
        }
    }
    Ok(Code(denied))
}

export! {
    /// Decides one unit for each of `count` keys, in this order, at `now_ns` or
    /// TOLLGATE_NOW; their memory is fetched ahead, so that many cost much less than one by
    /// one. `outcomes`, if not NULL, is an array of `count`. `decisions`, if not NULL, is an
    /// array of `count`; the `size` of the first is that of all, and the distance from one to
    /// the next, and is put into each of them.
    ///
    /// Returns the worst outcome, TOLLGATE_ALLOWED if all were allowed, or an error: then no
    /// key was charged. Threads: any.
    fn tollgate_limiter_check_many(
        limiter: *const tollgate_limiter,
        keys: *const tollgate_bytes,
        count: usize,
        now_ns: u64,
        outcomes: *mut i32,
        decisions: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let keys = keys.slice(count)?;
        for key in keys {
            key.get()?;
        }
        let room = if decisions.is_null() || count == 0 { None } else { Some(decisions.room()?) };
        if !outcomes.is_null() {
            outcomes.placed()?;
        }
        let now = limiter.time(now_ns)?;
        let keys = keys.iter().map(|key| key.get().unwrap_or_default());
        whichever!(&limiter.0, limiter => {
            tell_all(limiter.check_many_at(keys, now), count, outcomes, &decisions, room)
        })
    }
}

export! {
    /// As tollgate_limiter_check_many, for keys that the caller has hashed.
    fn tollgate_limiter_check_many_hashes(
        limiter: *const tollgate_limiter,
        hashes: *const u64,
        count: usize,
        now_ns: u64,
        outcomes: *mut i32,
        decisions: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let hashes = hashes.slice(count)?.iter().copied();
        let room = if decisions.is_null() || count == 0 { None } else { Some(decisions.room()?) };
        if !outcomes.is_null() {
            outcomes.placed()?;
        }
        let now = limiter.time(now_ns)?;
        whichever!(&limiter.0, limiter => {
            tell_all(limiter.check_many_hashes_at(hashes, now), count, outcomes, &decisions, room)
        })
    }
}

export! {
    /// How a key stands at `now_ns` or TOLLGATE_NOW; nothing is charged or written, and the
    /// answer is TOLLGATE_ALLOWED. Threads: any.
    fn tollgate_limiter_peek(
        limiter: *const tollgate_limiter,
        key: *const c_void,
        length: usize,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = key.bytes(length)?;
        let place = Place::of(&decision)?;
        let now = limiter.time(now_ns)?;
        let answer = whichever!(&limiter.0, limiter => limiter.peek_at(key, now));
        place.tell(&decision, &answer)
    }
}

export! {
    /// As tollgate_limiter_peek, for a key that the caller has hashed.
    fn tollgate_limiter_peek_hash(
        limiter: *const tollgate_limiter,
        hash: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let place = Place::of(&decision)?;
        let now = limiter.time(now_ns)?;
        let answer = whichever!(&limiter.0, limiter => limiter.hashed(hash).peek_at(now));
        place.tell(&decision, &answer)
    }
}

/// A key by its bytes, or by its hash.
#[derive(Clone, Copy)]
enum Name<'c> {
    Bytes(&'c [u8]),
    Hash(u64),
}

/// Asks `$what` of the key.
macro_rules! of_key {
    ($any:expr, $name:expr, $key:ident => $what:expr) => {
        whichever!($any, limiter => {
            let $key = match $name {
                Name::Bytes(bytes) => limiter.key(bytes),
                Name::Hash(hash) => limiter.hashed(hash),
            };
            $what
        })
    };
}

fn refund(limiter: &Any, name: Name<'_>, charge: tollgate_charge, now: Nanos) -> Decision {
    of_key!(limiter, name, key => key.refund_at(charge.get(), now))
}

fn settle(
    limiter: &Any,
    name: Name<'_>,
    charge: tollgate_charge,
    units: u64,
    now: Nanos,
) -> (Decision, tollgate_charge) {
    let mut charge = charge.get();
    let decision = of_key!(limiter, name, key => key.settle_at(&mut charge, units, now));
    (decision, tollgate_charge::new(Some(charge)))
}

fn reserve(
    limiter: &Any,
    name: Name<'_>,
    units: u64,
    longest_ns: u64,
    now: Nanos,
) -> Result<Decision, Fault> {
    let Any::Gcra(limiter) = limiter else { return Err(Fault::Unsupported) };
    let key = match name {
        Name::Bytes(bytes) => limiter.key(bytes),
        Name::Hash(hash) => limiter.hashed(hash),
    };
    Ok(key.reserve_at(units, Duration::from_nanos(longest_ns), now))
}

export! {
    /// Gives a charge back to the key that it was made to, because what it was for did not
    /// happen; once: a second time gives units back that were not charged. `charge` may be that
    /// of `decision`. Threads: any.
    fn tollgate_limiter_refund(
        limiter: *const tollgate_limiter,
        key: *const c_void,
        length: usize,
        charge: *const tollgate_charge,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = Name::Bytes(key.bytes(length)?);
        let charge = charge.copied()?;
        let place = Place::of(&decision)?;
        let answer = refund(&limiter.0, key, charge, limiter.time(now_ns)?);
        place.tell(&decision, &answer)
    }
}

export! {
    /// As tollgate_limiter_refund, for a key that the caller has hashed.
    fn tollgate_limiter_refund_hash(
        limiter: *const tollgate_limiter,
        hash: u64,
        charge: *const tollgate_charge,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let charge = charge.copied()?;
        let place = Place::of(&decision)?;
        let answer = refund(&limiter.0, Name::Hash(hash), charge, limiter.time(now_ns)?);
        place.tell(&decision, &answer)
    }
}

export! {
    /// Corrects a charge that was an estimate to `units`, now that they are known: gives
    /// back what was too much, or charges what is missing: with TOLLGATE_GCRA beyond the
    /// limit, up to `longest_wait_ns` (as long as a spent burst takes to come back unless
    /// given); with the others as much as there is room for. `charge`, which may be that of
    /// `decision`, is changed to what is charged then: its `units` tell. Threads: any.
    fn tollgate_limiter_settle(
        limiter: *const tollgate_limiter,
        key: *const c_void,
        length: usize,
        charge: *mut tollgate_charge,
        units: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = Name::Bytes(key.bytes(length)?);
        let before = charge.copied()?;
        let place = Place::of(&decision)?;
        let (answer, after) = settle(&limiter.0, key, before, units, limiter.time(now_ns)?);
        let code = place.tell(&decision, &answer)?;
        charge.put(after)?;
        Ok(code)
    }
}

export! {
    /// As tollgate_limiter_settle, for a key that the caller has hashed.
    fn tollgate_limiter_settle_hash(
        limiter: *const tollgate_limiter,
        hash: u64,
        charge: *mut tollgate_charge,
        units: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let before = charge.copied()?;
        let place = Place::of(&decision)?;
        let now = limiter.time(now_ns)?;
        let (answer, after) = settle(&limiter.0, Name::Hash(hash), before, units, now);
        let code = place.tell(&decision, &answer)?;
        charge.put(after)?;
        Ok(code)
    }
}

export! {
    /// Charges `units` now, for something that is to be done after `wait_ns` of the
    /// decision, at most `longest_ns`; denied if that is too soon. A refund takes it back.
    ///
    /// Errors: TOLLGATE_ERROR_UNSUPPORTED unless the algorithm is TOLLGATE_GCRA.
    /// Threads: any.
    fn tollgate_limiter_reserve(
        limiter: *const tollgate_limiter,
        key: *const c_void,
        length: usize,
        units: u64,
        longest_ns: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = Name::Bytes(key.bytes(length)?);
        let place = Place::of(&decision)?;
        let answer = reserve(&limiter.0, key, units, longest_ns, limiter.time(now_ns)?)?;
        place.tell(&decision, &answer)
    }
}

export! {
    /// As tollgate_limiter_reserve, for a key that the caller has hashed.
    fn tollgate_limiter_reserve_hash(
        limiter: *const tollgate_limiter,
        hash: u64,
        units: u64,
        longest_ns: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let place = Place::of(&decision)?;
        let now = limiter.time(now_ns)?;
        let answer = reserve(&limiter.0, Name::Hash(hash), units, longest_ns, now)?;
        place.tell(&decision, &answer)
    }
}

export! {
    /// Makes a key as good as new. `decision` tells how it stands then. Threads: any.
    fn tollgate_limiter_reset(
        limiter: *const tollgate_limiter,
        key: *const c_void,
        length: usize,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let key = Name::Bytes(key.bytes(length)?);
        let place = Place::of(&decision)?;
        let now = limiter.time(now_ns)?;
        let answer = of_key!(&limiter.0, key, key => key.reset_at(now));
        place.tell(&decision, &answer)
    }
}

export! {
    /// As tollgate_limiter_reset, for a key that the caller has hashed.
    fn tollgate_limiter_reset_hash(
        limiter: *const tollgate_limiter,
        hash: u64,
        now_ns: u64,
        decision: *mut tollgate_decision,
    ) -> i32 {
        let limiter = limiter.get()?;
        let place = Place::of(&decision)?;
        let now = limiter.time(now_ns)?;
        let answer = of_key!(&limiter.0, Name::Hash(hash), key => key.reset_at(now));
        place.tell(&decision, &answer)
    }
}
