//! Verdicts: what a policy says of one request.

use crate::{
    boundary::{Plain, export},
    codes::*,
    decision::{nanos, outcome, tollgate_bytes, tollgate_decision},
    handle::Handle,
    leases::tollgate_lease,
    limiter::{TOLLGATE_GCRA, TOLLGATE_SLIDING_COUNTER, TOLLGATE_SLIDING_LOG, Time},
    policy::tollgate_policy,
    request::{tollgate_moment, tollgate_request},
    sized::sized,
    status::{Code, Fault},
    text::render,
};
use std::{ffi::c_char, sync::Arc};
use tollgate::{
    Outcome,
    policy::{Algorithm, Cause, DimensionId, LimitDecision, Moment, Policy, PolicyDecision},
};

/// An algorithm of a policy's limit: so many per unit of the calendar.
pub const TOLLGATE_CALENDAR: i32 = 3;
/// An algorithm of a policy's limit: so many at a time.
pub const TOLLGATE_LEASES: i32 = 4;
/// An algorithm of a policy's limit: so large at most.
pub const TOLLGATE_SIZE: i32 = 5;

/// A cause: what the limits say.
pub const TOLLGATE_CAUSE_LIMITS: i32 = 0;
/// A cause: it is exempt, by the rule in `name`.
pub const TOLLGATE_CAUSE_EXEMPT: i32 = 1;
/// A cause: it is refused, by the rule in `name`.
pub const TOLLGATE_CAUSE_REFUSED: i32 = 2;
/// A cause: its key is blocked, by the penalty in `name`.
pub const TOLLGATE_CAUSE_BLOCKED: i32 = 3;
/// A cause: it lacks `attribute`, which the limit in `name` needs.
pub const TOLLGATE_CAUSE_MISSING: i32 = 4;

/// A flag of an entry: the limit said no.
pub const TOLLGATE_VIOLATED: u32 = 1;
/// A flag of an entry: the limit only reports.
pub const TOLLGATE_SHADOW: u32 = 2;
/// A flag of an entry: this key has no quota here, and the numbers mean nothing.
pub const TOLLGATE_UNLIMITED: u32 = 4;
/// A flag of an entry: the request holds `lease`.
pub const TOLLGATE_LEASED: u32 = 8;
/// A flag of an entry: of all entries, this is the one that binds.
pub const TOLLGATE_BINDS: u32 = 16;
/// A flag of an entry: the limit's table is full of live keys, so the request was not accounted,
/// and the limit's `when_full` decided.
pub const TOLLGATE_TABLE_FULL: u32 = 32;

/// The place for what a policy says of a request. Made once, and used for one request after
/// the other, so that a check allocates nothing.
///
/// Threads: one at a time; give each thread its own. It keeps the policy that it was last
/// used with, so it may outlive the handle, and after a reload keeps the old one in memory
/// until its next check.
pub struct tollgate_verdict {
    /// Borrows from `policy`: it goes, and is dropped, before.
    decision: Option<PolicyDecision<'static>>,
    policy: Option<Arc<Policy>>,
    /// Whether `decision` is one, or the place where one was.
    decided: bool,
    /// Of the policy that decided.
    time: Time,
    text: String,
}

impl Handle for tollgate_verdict {
    const NAME: &'static str = "tollgate_verdict";
}

impl tollgate_verdict {
    /// Decides a request by the policy that holds now.
    fn decide(
        &mut self,
        policy: &tollgate_policy,
        given: &tollgate_request,
        moment: Option<Moment>,
    ) -> Result<Outcome, Fault> {
        self.decided = false;
        let place = match (&mut self.decision, &self.policy) {
            (Some(place), Some(kept)) if policy.0.holds(kept) => place,
            _ => {
                self.decision = None;
                let kept = self.policy.insert(policy.0.load_shared());
                // SAFETY: the policy lives as long as `kept`, which is replaced only above,
                // after the decision that borrows from it was dropped; and the fields are
                // dropped in order.
                let policy: &'static Policy = unsafe { &*Arc::as_ptr(kept) };
                self.decision.insert(policy.undecided())
            }
        };
        let time = policy.1;
        let policy = place.policy();
        // Filled where it is, and so is the decision: both are hundreds of bytes.
        let mut request = policy.request(given.method.text()?, given.path.get()?);
        given.tell(policy, &mut request)?;
        match moment {
            None => policy.check_into(&request, place),
            Some(moment) => policy.check_into_at(&request, moment, place),
        }
        self.decided = true;
        self.time = time;
        Ok(place.outcome())
    }

    fn decision(&self) -> Result<&PolicyDecision<'_>, Fault> {
        self.decision.as_ref().filter(|_| self.decided).ok_or(Fault::Empty)
    }

    /// The decision, and room for a text about it.
    fn parts(&mut self) -> Result<(&PolicyDecision<'_>, &mut String), Fault> {
        let decision = self.decision.as_ref().filter(|_| self.decided).ok_or(Fault::Empty)?;
        Ok((decision, &mut self.text))
    }

    /// Does something with the decision.
    fn change(&mut self, change: impl FnOnce(&mut PolicyDecision<'static>)) -> Result<Code, Fault> {
        change(self.decision.as_mut().filter(|_| self.decided).ok_or(Fault::Empty)?);
        Ok(Code::OK)
    }
}

export! {
    /// Makes a verdict that holds no decision yet, and puts it into `verdict`. It is the
    /// caller's, for tollgate_verdict_free. Threads: any.
    fn tollgate_verdict_new(verdict: *mut *mut tollgate_verdict) -> i32 {
        verdict.give(tollgate_verdict {
            decision: None,
            policy: None,
            decided: false,
            time: Time::Ours,
            text: String::new(),
        })
    }
}

export! {
    /// Ends a verdict; NULL is passed over. Leases that it holds go on until their time is
    /// over: tollgate_verdict_release ends them.
    fn tollgate_verdict_free(verdict: *mut tollgate_verdict) {
        verdict.free();
    }
}

export! {
    /// Decides a request: it is charged by all limits that apply (TOLLGATE_ALLOWED), or by
    /// none (TOLLGATE_LATER, TOLLGATE_NEVER). What was decided is in `verdict`, in place of
    /// what was there: leases that it held go on until their time is over, so call
    /// tollgate_verdict_release first. `moment` may be NULL: now. Nothing is allocated for up to 8 limits.
    ///
    /// Errors: TOLLGATE_ERROR_UTF8 (method, host); TOLLGATE_ERROR_ID (an attribute or a
    /// dimension). Then nothing was charged, and the verdict is empty. Threads: any, each with its own verdict.
    fn tollgate_policy_check(
        policy: *const tollgate_policy,
        request: *const tollgate_request,
        moment: *const tollgate_moment,
        verdict: *mut tollgate_verdict,
    ) -> i32 {
        let verdict = verdict.get()?;
        verdict.decided = false;
        let policy = policy.get()?;
        let request = request.known()?;
        let said = verdict.decide(policy, &request, moment.given_to(policy.1)?)?;
        Ok(Code(outcome(said)))
    }
}

/// A verdict in short. `size` is set by the caller. Names are borrowed from the verdict,
/// until it is used for another check or freed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_summary {
    /// sizeof(tollgate_summary)
    pub size: usize,
    /// TOLLGATE_ALLOWED, TOLLGATE_LATER or TOLLGATE_NEVER.
    pub outcome: i32,
    /// TOLLGATE_CAUSE_...
    pub cause: i32,
    /// The HTTP status of a denial, as the policy has it; 0 if it was allowed.
    pub status: u32,
    /// The index of the entry that binds, or TOLLGATE_NO_ID: of a denial the one with the
    /// longest wait, else the one with the least left.
    pub binding: u32,
    /// How many entries there are.
    pub entries: u64,
    /// How long to wait before the same request is allowed; 0 if it was, TOLLGATE_FOREVER
    /// if waiting does not help or nobody knows.
    pub retry_after_ns: u64,
    /// What `cause` names, as UTF-8.
    pub name: tollgate_bytes,
    /// With TOLLGATE_CAUSE_MISSING: what is missing, an attribute or a dimension.
    pub attribute: tollgate_bytes,
}

sized!(tollgate_summary from attribute);

impl tollgate_summary {
    pub(crate) const NOTHING: Self = Self {
        size: 0,
        outcome: 0,
        cause: 0,
        status: 0,
        binding: 0,
        entries: 0,
        retry_after_ns: 0,
        name: tollgate_bytes::NONE,
        attribute: tollgate_bytes::NONE,
    };
}

/// The index of the limit that binds.
fn binding(decision: &PolicyDecision<'_>) -> Option<usize> {
    let binds = decision.binding()?.name();
    decision.limits().position(|limit| limit.name() == binds)
}

export! {
    /// A verdict in short.
    ///
    /// Errors: TOLLGATE_ERROR_EMPTY, _NULL, _SIZE. Threads: one at a time.
    fn tollgate_verdict_summary(
        verdict: *mut tollgate_verdict,
        summary: *mut tollgate_summary,
    ) -> i32 {
        let decision = verdict.get()?.decision()?;
        let room = summary.room()?;
        let (cause, name, attribute) = match decision.cause() {
            Cause::Exempt(name) => (TOLLGATE_CAUSE_EXEMPT, name, ""),
            Cause::Refused(name) => (TOLLGATE_CAUSE_REFUSED, name, ""),
            Cause::Blocked(name) => (TOLLGATE_CAUSE_BLOCKED, name, ""),
            Cause::Missing { limit, attribute } => (TOLLGATE_CAUSE_MISSING, limit, attribute),
            _ => (TOLLGATE_CAUSE_LIMITS, "", ""),
        };
        summary.fill(room, tollgate_summary {
            size: 0,
            outcome: outcome(decision.outcome()),
            cause,
            status: decision.status().unwrap_or(0).into(),
            binding: binding(decision)
                .and_then(|at| u32::try_from(at).ok())
                .unwrap_or(crate::request::TOLLGATE_NO_ID),
            entries: decision.limits().len() as u64,
            retry_after_ns: match decision.outcome() {
                Outcome::Allowed => 0,
                _ => decision.retry_after().map_or(TOLLGATE_FOREVER, nanos),
            },
            name: tollgate_bytes::of(name.as_bytes()),
            attribute: tollgate_bytes::of(attribute.as_bytes()),
        });
        Ok(Code::OK)
    }
}

/// What one limit said. `size` is set by the caller. The name is borrowed from the
/// verdict, until it is used for another check or freed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_entry {
    /// sizeof(tollgate_entry)
    pub size: usize,
    /// As the file calls it, as UTF-8.
    pub name: tollgate_bytes,
    /// TOLLGATE_GCRA, _SLIDING_LOG, _SLIDING_COUNTER, _CALENDAR, _LEASES or _SIZE.
    pub algorithm: i32,
    /// TOLLGATE_VIOLATED, _SHADOW, _UNLIMITED, _LEASED, _BINDS, _TABLE_FULL, or several.
    pub flags: u32,
    /// The units that it was asked for.
    pub units: u64,
    /// Units that may pass at once, or in its window.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: u64,
    /// As in tollgate_decision: how long until this limit would allow it.
    pub retry_after_ns: u64,
    /// As in tollgate_decision.
    pub reset_after_ns: u64,
    /// As in tollgate_decision.
    pub next_after_ns: u64,
    /// As in tollgate_decision.
    pub full_after_ns: u64,
    /// With TOLLGATE_LEASED: the lease.
    pub lease: tollgate_lease,
}

sized!(tollgate_entry from lease);

impl tollgate_entry {
    pub(crate) const NOTHING: Self = Self {
        size: 0,
        name: tollgate_bytes::NONE,
        algorithm: 0,
        flags: 0,
        units: 0,
        limit: 0,
        remaining: 0,
        retry_after_ns: 0,
        reset_after_ns: 0,
        next_after_ns: 0,
        full_after_ns: 0,
        lease: tollgate_lease::NONE,
    };

    fn new(said: &LimitDecision<'_>, binds: bool) -> Self {
        let flag = |yes: bool, flag: u32| if yes { flag } else { 0 };
        let known = Self {
            name: tollgate_bytes::of(said.name().as_bytes()),
            algorithm: match said.algorithm() {
                Algorithm::Gcra => TOLLGATE_GCRA,
                Algorithm::SlidingLog => TOLLGATE_SLIDING_LOG,
                Algorithm::SlidingCounter => TOLLGATE_SLIDING_COUNTER,
                Algorithm::Calendar => TOLLGATE_CALENDAR,
                Algorithm::Leases => TOLLGATE_LEASES,
                _ => TOLLGATE_SIZE,
            },
            flags: flag(said.is_violated(), TOLLGATE_VIOLATED)
                | flag(said.is_shadow(), TOLLGATE_SHADOW)
                | flag(said.is_unlimited(), TOLLGATE_UNLIMITED)
                | flag(said.lease().is_some(), TOLLGATE_LEASED)
                | flag(binds, TOLLGATE_BINDS)
                | flag(!said.decision().is_accounted(), TOLLGATE_TABLE_FULL),
            units: said.units(),
            lease: said.lease().map_or(tollgate_lease::NONE, tollgate_lease::new),
            ..Self::NOTHING
        };
        if said.is_unlimited() {
            return known;
        }
        let numbers = tollgate_decision::new(&said.decision());
        Self {
            limit: numbers.limit,
            remaining: numbers.remaining,
            retry_after_ns: numbers.retry_after_ns,
            reset_after_ns: numbers.reset_after_ns,
            next_after_ns: numbers.next_after_ns,
            full_after_ns: numbers.full_after_ns,
            ..known
        }
    }
}

export! {
    /// What the limit at `index` said, of those that were asked.
    ///
    /// Errors: TOLLGATE_ERROR_ID if there are fewer; TOLLGATE_ERROR_EMPTY, _NULL, _SIZE.
    /// Threads: one at a time.
    fn tollgate_verdict_entry(
        verdict: *mut tollgate_verdict,
        index: usize,
        entry: *mut tollgate_entry,
    ) -> i32 {
        let decision = verdict.get()?.decision()?;
        let room = entry.room()?;
        let said = decision.limits().nth(index).ok_or(Fault::Id)?;
        entry.fill(room, tollgate_entry::new(&said, binding(decision) == Some(index)));
        Ok(Code::OK)
    }
}

/// A header field, in the buffer that was given; both texts end with a NUL, too. Never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_field {
    /// Its name: a token.
    pub name: *const c_char,
    /// How many bytes that has.
    pub name_length: usize,
    /// Its value: printable ASCII.
    pub value: *const c_char,
    /// How many bytes that has.
    pub value_length: usize,
}

// SAFETY: integers, and pointers that are never opened.
unsafe impl Plain for tollgate_field {}

export! {
    /// The header fields for the response, whether it was allowed or not. Their texts are
    /// written to `buffer`; `fields` is an array of `capacity` that points into it. `count`
    /// and `needed` are how many fields there are and how many bytes they take; both may be
    /// NULL. What there is no room for is told like that, with TOLLGATE_ERROR_BUFFER: then
    /// no field was written. 512 bytes and 8 fields do for most policies.
    ///
    /// Errors: TOLLGATE_ERROR_BUFFER, _EMPTY, _NULL. Threads: one at a time.
    fn tollgate_verdict_fields(
        verdict: *mut tollgate_verdict,
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
        fields: *mut tollgate_field,
        capacity: usize,
        count: *mut usize,
    ) -> i32 {
        let (decision, text) = verdict.get()?.parts()?;
        let start = buffer.address();
        let bytes = buffer.array(size)?;
        let array = fields.array(capacity)?;
        let (mut used, mut found) = (0_usize, 0_usize);
        decision.fields(text, |name, value| {
            let mut put = |text: &str| {
                let at = used;
                for byte in text.bytes().chain([0]) {
                    bytes.set(used, byte.cast_signed());
                    used = used.saturating_add(1);
                }
                start.wrapping_add(at)
            };
            let (name_at, value_at) = (put(name), put(value));
            array.set(found, tollgate_field {
                name: name_at,
                name_length: name.len(),
                value: value_at,
                value_length: value.len(),
            });
            found += 1;
        });
        if !needed.is_null() {
            needed.put(used)?;
        }
        if !count.is_null() {
            count.put(found)?;
        }
        if used > size || found > capacity { Err(Fault::Buffer) } else { Ok(Code::OK) }
    }
}

export! {
    /// The same as lines "Name: value" that end with CR LF, as HTTP/1.1 has them. Written to
    /// `buffer` (see "Buffers"). Threads: one at a time.
    fn tollgate_verdict_headers(
        verdict: *mut tollgate_verdict,
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> i32 {
        let (decision, text) = verdict.get()?.parts()?;
        let mut lines = String::new();
        decision.fields(text, |name, value| {
            for part in [name, ": ", value, "\r\n"] {
                lines.push_str(part);
            }
        });
        render(buffer, size, &needed, lines.as_bytes())
    }
}

export! {
    /// The body of a denial, as the policy has it; empty if it has none, or it was allowed.
    /// Its type is among the fields. Written to `buffer` (see "Buffers").
    ///
    /// Errors: TOLLGATE_ERROR_BUFFER, _EMPTY, _NULL. Threads: one at a time.
    fn tollgate_verdict_body(
        verdict: *mut tollgate_verdict,
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> i32 {
        let (decision, text) = verdict.get()?.parts()?;
        decision.body(text);
        render(buffer, size, &needed, text.as_bytes())
    }
}

export! {
    /// Corrects an estimate: what the request cost in a dimension, now that it is known.
    /// Every limit that counts the dimension is corrected, as tollgate_limiter_settle does
    /// it: what a limit has no room for is not charged.
    /// `moment` may be NULL: now.
    ///
    /// Errors: TOLLGATE_ERROR_ID, _EMPTY, _NULL. Threads: one at a time.
    fn tollgate_verdict_settle(
        verdict: *mut tollgate_verdict,
        dimension: u32,
        units: u64,
        moment: *const tollgate_moment,
    ) -> i32 {
        let verdict = verdict.get()?;
        verdict.decision()?;
        let policy = Arc::clone(verdict.policy.as_ref().ok_or(Fault::Empty)?);
        let name = u16::try_from(dimension)
            .ok()
            .and_then(|number| policy.dimension(DimensionId::new(number)))
            .ok_or(Fault::Id)?;
        let moment = moment.given_to(verdict.time)?;
        verdict.change(|decision| match moment {
            None => decision.settle(name, units),
            Some(moment) => decision.settle_at(name, units, moment),
        })
    }
}

export! {
    /// Gives back what the request was charged by every limit, because it was not served
    /// after all, and ends its leases; a second time gives nothing back. `moment` may be
    /// NULL: now.
    ///
    /// Errors: TOLLGATE_ERROR_EMPTY, _NULL. Threads: one at a time.
    fn tollgate_verdict_refund(
        verdict: *mut tollgate_verdict,
        moment: *const tollgate_moment,
    ) -> i32 {
        let verdict = verdict.get()?;
        let moment = moment.given_to(verdict.time)?;
        verdict.change(|decision| match moment {
            None => decision.refund(),
            Some(moment) => decision.refund_at(moment),
        })
    }
}

export! {
    /// Ends the leases that the request holds, because it is over; TOLLGATE_OK also if it
    /// holds none. `moment` may be NULL: now.
    ///
    /// Errors: TOLLGATE_ERROR_EMPTY, _NULL. Threads: one at a time.
    fn tollgate_verdict_release(
        verdict: *mut tollgate_verdict,
        moment: *const tollgate_moment,
    ) -> i32 {
        let verdict = verdict.get()?;
        let moment = moment.given_to(verdict.time)?;
        verdict.change(|decision| match moment {
            None => decision.release(),
            Some(moment) => decision.release_at(moment),
        })
    }
}
