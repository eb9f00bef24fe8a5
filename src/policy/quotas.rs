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
    /// Quotas of single values of an attribute, those set at run time among them.
    overrides: Option<(AttributeId, ArcSwap<ByValue>)>,
}

impl Quotas {
    pub(super) fn new(base: Base, overrides: Option<(AttributeId, ByValue)>) -> Self {
        let overrides = overrides.map(|(by, values)| (by, ArcSwap::from_pointee(values)));
        Self { base, overrides }
    }

    /// The quota of a request, or the attribute that would have said which, and which
    /// the request lacks or which has a value without a quota.
    pub(super) fn choose(
        &self,
        attributes: &Attributes,
        request: &Request<'_>,
    ) -> Result<Chosen, AttributeId> {
        if let Some((by, overrides)) = &self.overrides
            && let Some(Value::Text(value)) = attributes.value(*by, request)
            && let Some(chosen) = overrides.load().get(value)
        {
            return Ok(*chosen);
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

    /// Whether single values may have quotas of their own.
    pub(super) fn has_overrides(&self) -> bool {
        self.overrides.is_some()
    }

    /// Gives a value a quota of its own, or takes it away.
    pub(super) fn set(&self, value: &[u8], quota: Option<Chosen>) {
        let Some((_, overrides)) = &self.overrides else { return };
        overrides.rcu(|present| {
            let mut next = ByValue::clone(present);
            match quota {
                Some(quota) => next.insert(value.into(), quota),
                None => next.remove(value),
            };
            Arc::new(next)
        });
    }
}
