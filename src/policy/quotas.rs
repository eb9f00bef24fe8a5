//! Which quota a request is judged by: one for all, one by an attribute's value, and
//! those of single values that win over both.

use super::{
    attribute::{AttributeId, Attributes, Value},
    request::Request,
};
use arc_swap::ArcSwap;
use std::{collections::HashMap, sync::Arc};

/// A quota as its algorithm takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Nothing is asked, nothing is kept.
    Unlimited,
    Numbers([u64; 3]),
}

type ByValue = HashMap<Box<[u8]>, Chosen, ahash::RandomState>;

/// Quotas by the values of an attribute.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) by: AttributeId,
    pub(super) values: ByValue,
    pub(super) otherwise: Option<Chosen>,
}

#[derive(Clone, Debug)]
pub(super) enum Base {
    One(Chosen),
    By(Table),
}

/// The quotas of one limit.
#[derive(Debug)]
pub(super) struct Quotas {
    base: Base,
    overrides: Option<Overrides>,
    /// Of leases: how long one lasts, in ticks.
    ttl: Option<u64>,
}

/// Quotas of single values of an attribute.
#[derive(Debug)]
struct Overrides {
    by: AttributeId,
    /// Of the file.
    written: ByValue,
    /// Of the run time, which go before, also before those of a file that replaces this
    /// one.
    set: Arc<ArcSwap<ByValue>>,
}

impl Quotas {
    pub(super) fn new(
        base: Base,
        overrides: Option<(AttributeId, ByValue)>,
        ttl: Option<u64>,
    ) -> Self {
        let overrides = overrides.map(|(by, written)| Overrides {
            by,
            written,
            set: Arc::new(ArcSwap::from_pointee(ByValue::default())),
        });
        Self { base, overrides, ttl }
    }

    /// Of leases: how long one lasts, in ticks.
    pub(super) fn ttl(&self) -> Option<u64> {
        self.ttl
    }

    /// Takes over what was set at run time, where it goes by the same attribute.
    pub(super) fn inherit(&mut self, before: &Self) {
        if let (Some(own), Some(before)) = (&mut self.overrides, &before.overrides)
            && own.by == before.by
        {
            own.set = Arc::clone(&before.set);
        }
    }

    /// The quota of a request, or the attribute that would have said which, and which
    /// the request lacks or which has a value without a quota.
    pub(super) fn choose(
        &self,
        attributes: &Attributes,
        request: &Request<'_>,
    ) -> Result<Chosen, AttributeId> {
        if let Some(Overrides { by, written, set }) = &self.overrides
            && let Some(Value::Text(value)) = attributes.value(*by, request)
        {
            let set = set.load().get(value).copied().map(|set| self.of_this_file(set));
            if let Some(chosen) = set.or_else(|| written.get(value).copied()) {
                return Ok(chosen);
            }
        }
        match &self.base {
            Base::One(chosen) => Ok(*chosen),
            Base::By(Table { by, values, otherwise }) => {
                let own = match attributes.value(*by, request) {
                    Some(Value::Text(value)) => values.get(value).copied(),
                    _ => None,
                };
                own.or(*otherwise).ok_or(*by)
            }
        }
    }

    /// What was set under an earlier file: leases last as the present one says.
    fn of_this_file(&self, set: Chosen) -> Chosen {
        match (set, self.ttl) {
            (Chosen::Numbers([n, _, third]), Some(ttl)) => Chosen::Numbers([n, ttl, third]),
            _ => set,
        }
    }

    /// The attribute whose single values may have quotas of their own.
    pub(super) fn overrides_by(&self) -> Option<AttributeId> {
        self.overrides.as_ref().map(|overrides| overrides.by)
    }

    /// Gives a value a quota at run time, or takes that away.
    pub(super) fn set(&self, value: &[u8], quota: Option<Chosen>) {
        let Some(Overrides { set, .. }) = &self.overrides else { return };
        set.rcu(|present| {
            let mut next = ByValue::clone(present);
            match quota {
                Some(quota) => next.insert(value.into(), quota),
                None => next.remove(value),
            };
            Arc::new(next)
        });
    }
}
