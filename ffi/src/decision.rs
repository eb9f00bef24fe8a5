//! Decisions, charges and quotas as C sees them.

use crate::{
    boundary::{In, Out, Plain, Room, export},
    codes::*,
    sized::sized,
    status::{Code, Fault},
};
use std::{
    ffi::{c_char, c_void},
    time::Duration,
};
use tollgate::{Charge, Decision, Outcome, Quota};

/// A flag of a decision: the limiter was full of live keys and gave its configured answer;
/// nothing was charged.
pub const TOLLGATE_UNACCOUNTED: u32 = 1;

/// Bytes: a key, or a part of a request. NULL with length 0 is none; the length
/// TOLLGATE_TERMINATED means that a NUL ends them. Never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_bytes {
    /// Where they are.
    pub data: *const c_void,
    /// How many they are.
    pub length: usize,
}

// SAFETY: a pointer that is only opened as a view, and an integer.
unsafe impl Plain for tollgate_bytes {}

impl tollgate_bytes {
    pub(crate) const NONE: Self = Self { data: std::ptr::null(), length: 0 };

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), length: bytes.len() }
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Result<&[u8], Fault> {
        In::of_field(self.data, self).bytes(self.length)
    }

    #[inline(always)]
    pub(crate) fn text(&self) -> Result<&str, Fault> {
        In::of_field(self.data, self).text(self.length)
    }
}

/// So many units per period, and so many at once. Never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_quota {
    /// Units in a period; at least 1.
    pub units: u64,
    /// The period in nanoseconds; at least 1.
    pub period_ns: u64,
    /// Units that may pass at once (GCRA); 0 means as many as `units`.
    pub burst: u64,
}

// SAFETY: integers.
unsafe impl Plain for tollgate_quota {}

impl tollgate_quota {
    pub(crate) fn new(quota: &Quota) -> Self {
        let period_ns = u64::try_from(quota.period().as_nanos()).unwrap_or(u64::MAX);
        Self { units: quota.units(), period_ns, burst: quota.burst_units() }
    }

    pub(crate) fn get(self) -> Result<Quota, Fault> {
        let period = Duration::from_nanos(self.period_ns);
        match self.burst {
            0 => Quota::new(self.units, period),
            burst => Quota::with_burst(self.units, period, burst),
        }
        .map_err(|error| Fault::Quota.because(&error))
    }
}

export! {
    /// Reads a quota from a text such as "10/min", "100/s burst 20" or "1000/15min" into
    /// `quota`.
    ///
    /// Errors: TOLLGATE_ERROR_QUOTA. Threads: any.
    fn tollgate_quota_parse(
        text: *const c_char,
        length: usize,
        quota: *mut tollgate_quota,
    ) -> i32 {
        quota.placed()?;
        let read: Quota = text
            .text(length)?
            .parse()
            .map_err(|error| Fault::Quota.because(&error))?;
        quota.put(tollgate_quota::new(&read))?;
        Ok(Code::OK)
    }
}

/// What was charged to a key: for a refund, or to be settled. Plain numbers; it may be kept
/// anywhere, means nothing to another limiter, and never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_charge {
    /// Units; 0 if nothing was charged.
    pub units: u64,
    /// When, by the limiter's clock, in nanoseconds.
    pub at_ns: u64,
    /// The limiter's own.
    pub weight: u64,
}

// SAFETY: integers.
unsafe impl Plain for tollgate_charge {}

impl tollgate_charge {
    #[inline(always)]
    pub(crate) fn new(charge: Option<Charge>) -> Self {
        let [units, at_ns, weight] = charge.map_or([0; 3], Charge::to_words);
        Self { units, at_ns, weight }
    }

    pub(crate) fn get(self) -> Charge {
        Charge::from_words([self.units, self.at_ns, self.weight])
    }
}

/// The whole answer to a check, allowed or denied. `size` is set by the caller.
/// Times are in nanoseconds from the decision on, and rounded up.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_decision {
    /// sizeof(tollgate_decision)
    pub size: usize,
    /// TOLLGATE_ALLOWED, TOLLGATE_LATER or TOLLGATE_NEVER.
    pub outcome: i32,
    /// TOLLGATE_UNACCOUNTED, or 0.
    pub flags: u32,
    /// Units that may pass at once: the burst (GCRA), or the units of the window.
    pub limit: u64,
    /// Units that could still pass now, after this decision.
    pub remaining: u64,
    /// How long to wait before the same request is allowed: exactly so long, if nothing
    /// else is charged meanwhile. 0 if it was allowed, TOLLGATE_FOREVER if it never is.
    pub retry_after_ns: u64,
    /// When the state is as good as new (GCRA), when the oldest units leave the window
    /// (log), when one more unit may pass (counter).
    pub reset_after_ns: u64,
    /// When `remaining` next rises.
    pub next_after_ns: u64,
    /// When all units are back.
    pub full_after_ns: u64,
    /// How long to wait before what was reserved is done; else 0.
    pub wait_ns: u64,
    /// What was charged.
    pub charge: tollgate_charge,
}

sized!(tollgate_decision from reset_after_ns);

/// Nanoseconds; what lasts for centuries lasts for ever.
#[inline(always)]
pub(crate) fn nanos(span: Duration) -> u64 {
    // As u64 arithmetic: `as_nanos` is of 128 bits.
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(span.subsec_nanos()))
}

#[inline(always)]
pub(crate) const fn outcome(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Allowed => TOLLGATE_ALLOWED,
        Outcome::Later => TOLLGATE_LATER,
        _ => TOLLGATE_NEVER,
    }
}

impl tollgate_decision {
    pub(crate) const NOTHING: Self = Self {
        size: 0,
        outcome: 0,
        flags: 0,
        limit: 0,
        remaining: 0,
        retry_after_ns: 0,
        reset_after_ns: 0,
        next_after_ns: 0,
        full_after_ns: 0,
        wait_ns: 0,
        charge: tollgate_charge { units: 0, at_ns: 0, weight: 0 },
    };

    #[inline(always)]
    pub(crate) fn new(decision: &Decision) -> Self {
        let d = decision;
        Self {
            size: 0,
            outcome: outcome(d.outcome()),
            flags: if d.is_accounted() { 0 } else { TOLLGATE_UNACCOUNTED },
            limit: d.limit(),
            remaining: d.remaining(),
            retry_after_ns: match d.outcome() {
                Outcome::Allowed => 0,
                Outcome::Later => d.retry_after().map_or(TOLLGATE_FOREVER, nanos),
                _ => TOLLGATE_FOREVER,
            },
            reset_after_ns: nanos(d.reset_after()),
            next_after_ns: nanos(d.next_after()),
            full_after_ns: nanos(d.full_after()),
            wait_ns: nanos(d.wait()),
            charge: tollgate_charge::new(d.charge()),
        }
    }
}

/// Where a decision goes: nowhere, or to so much room.
#[derive(Clone, Copy)]
pub(crate) struct Place(Option<Room>);

impl Place {
    /// To be asked before anything is decided.
    #[inline(always)]
    pub(crate) fn of(out: &Out<'_, tollgate_decision>) -> Result<Self, Fault> {
        Ok(Self(if out.is_null() { None } else { Some(out.room()?) }))
    }

    /// Tells the decision, and returns its outcome.
    #[allow(clippy::unnecessary_wraps)] // the last word of many functions
    #[inline(always)]
    pub(crate) fn tell(
        self,
        out: &Out<'_, tollgate_decision>,
        decision: &Decision,
    ) -> Result<Code, Fault> {
        if let Self(Some(room)) = self {
            out.fill(room, tollgate_decision::new(decision));
        }
        Ok(Code(outcome(decision.outcome())))
    }
}

export! {
    /// Nanoseconds as whole seconds, rounded up, as HTTP wants them (Retry-After);
    /// TOLLGATE_FOREVER stays what it is. Threads: any.
    fn tollgate_seconds(ns: u64) -> u64 {
        if ns == TOLLGATE_FOREVER { ns } else { ns.div_ceil(1_000_000_000) }
    }
}
