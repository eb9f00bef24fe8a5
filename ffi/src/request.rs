//! What C tells of a request, and when.

use crate::{
    boundary::{In, Plain},
    decision::tollgate_bytes,
    limiter::Time,
    sized::sized,
    status::Fault,
};
use std::{ffi::c_void, time::Duration};
use tollgate::{
    Nanos,
    policy::{AttributeId, DimensionId, Moment, Policy, Request},
};

/// As the number of an attribute or a dimension: one that the policy does not name, and
/// that a request passes over.
pub const TOLLGATE_NO_ID: u32 = u32::MAX;

/// An attribute of a request, by the number that tollgate_policy_attribute gave. Never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_attribute {
    /// The number, or TOLLGATE_NO_ID.
    pub id: u32,
    /// 0.
    pub reserved: u32,
    /// The value: any bytes. Empty is as good as not given.
    pub value: *const c_void,
    /// How many bytes it has, or TOLLGATE_TERMINATED.
    pub length: usize,
}

// SAFETY: integers, and a pointer that is only opened as a view.
unsafe impl Plain for tollgate_attribute {}

/// What a request costs in a dimension, by the number that tollgate_policy_dimension gave.
/// Never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_cost {
    /// The number, or TOLLGATE_NO_ID.
    pub id: u32,
    /// 0.
    pub reserved: u32,
    /// So many units.
    pub units: u64,
}

// SAFETY: integers.
unsafe impl Plain for tollgate_cost {}

/// What is known of a request. Everything is borrowed for the call alone, and what is zero
/// is not known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_request {
    /// sizeof(tollgate_request)
    pub size: usize,
    /// UTF-8, as "GET".
    pub method: tollgate_bytes,
    /// UTF-8, as the header Host has it: case and port do not matter.
    pub host: tollgate_bytes,
    /// The target as the client sent it, with its query if it likes.
    pub path: tollgate_bytes,
    /// Attributes, or NULL. Of two of one number the last counts.
    pub attributes: *const tollgate_attribute,
    /// How many those are. Up to 12 take no memory from the heap.
    pub attribute_count: usize,
    /// Costs, or NULL. What limits count as requests is not told here. A limit that counts a
    /// dimension which is not told denies (TOLLGATE_CAUSE_MISSING), unless the file says
    /// `missing = "skip"`: what costs nothing is told as 0.
    pub costs: *const tollgate_cost,
    /// How many those are. Up to 4 take no memory from the heap.
    pub cost_count: usize,
}

sized!(tollgate_request from cost_count);

/// An instant by two clocks. Never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_moment {
    /// By a clock that never steps back, in nanoseconds.
    pub monotonic_ns: u64,
    /// Since 1970-01-01 UTC, in nanoseconds.
    pub unix_ns: u64,
}

// SAFETY: integers.
unsafe impl Plain for tollgate_moment {}

impl tollgate_moment {
    pub(crate) const ZERO: Self = Self { monotonic_ns: 0, unix_ns: 0 };

    pub(crate) fn new(moment: Moment) -> Self {
        let unix_ns = crate::decision::nanos(moment.unix());
        Self { monotonic_ns: moment.monotonic().as_u64(), unix_ns }
    }

    pub(crate) fn get(self) -> Moment {
        Moment::new(Nanos::new(self.monotonic_ns), Duration::from_nanos(self.unix_ns))
    }
}

impl In<'_, tollgate_moment> {
    /// The moment given; `None` is now, as far as the clocks are asked for.
    #[inline(always)]
    pub(crate) fn given(self) -> Result<Option<Moment>, Fault> {
        if self.is_null() { Ok(None) } else { Ok(Some(self.copied()?.get())) }
    }

    /// The same, for a handle of which the time must be given, or not.
    #[inline(always)]
    pub(crate) fn given_to(self, time: Time) -> Result<Option<Moment>, Fault> {
        let given = self.given()?;
        if given.is_none() {
            time.may_be_read()?;
        }
        Ok(given)
    }
}

impl tollgate_request {
    pub(crate) const NOTHING: Self = Self {
        size: 0,
        method: tollgate_bytes::NONE,
        host: tollgate_bytes::NONE,
        path: tollgate_bytes::NONE,
        attributes: std::ptr::null(),
        attribute_count: 0,
        costs: std::ptr::null(),
        cost_count: 0,
    };

    /// The request, as the policy is asked about it.
    pub(crate) fn get<'r>(&'r self, policy: &'r Policy) -> Result<Request<'r>, Fault> {
        let mut request = policy.request(self.method.text()?, self.path.get()?);
        self.tell(policy, &mut request)?;
        Ok(request)
    }

    /// Tells the rest to a request of that method and path.
    #[inline(always)]
    pub(crate) fn tell<'r>(
        &'r self,
        policy: &Policy,
        request: &mut Request<'r>,
    ) -> Result<(), Fault> {
        if !self.host.data.is_null() {
            request.set_host(self.host.text()?);
        }
        let known = policy.attribute_numbers();
        for given in In::of_field(self.attributes, self).slice(self.attribute_count)? {
            let value = In::of_field(given.value, given).bytes(given.length)?;
            if let Some(id) = number(given.id, given.reserved, known)? {
                request.set_attribute(AttributeId::new(id), value);
            }
        }
        let known = policy.dimension_numbers();
        for given in In::of_field(self.costs, self).slice(self.cost_count)? {
            if let Some(id) = number(given.id, given.reserved, known)? {
                request.set_cost(DimensionId::new(id), given.units);
            }
        }
        Ok(())
    }
}

/// A number of those that are `known`, or none.
#[inline(always)]
fn number(id: u32, reserved: u32, known: usize) -> Result<Option<u16>, Fault> {
    if reserved != 0 {
        return Err(Fault::Unknown);
    }
    match u16::try_from(id) {
        Ok(number) if usize::from(number) < known => Ok(Some(number)),
        _ if id == TOLLGATE_NO_ID => Ok(None),
        _ => Err(Fault::Id),
    }
}
