//! Which limits apply: conditions on attributes, and of each group the most specific.

use super::{
    attribute::{AttributeId, Attributes, Value},
    request::Request,
};
use smallvec::SmallVec;

/// What a condition wants of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    Present,
    Absent,
    OneOf(Vec<Box<[u8]>>),
    /// Not one of these; a missing attribute is none of them.
    NoneOf(Vec<Box<[u8]>>),
}

impl Wanted {
    fn holds(&self, value: Option<Value<'_>>) -> bool {
        let is_one_of = |values: &[Box<[u8]>]| match value {
            Some(Value::Text(text)) => values.iter().any(|value| **value == *text),
            _ => false,
        };
        match self {
            Self::Present => value.is_some(),
            Self::Absent => value.is_none(),
            Self::OneOf(values) => is_one_of(values),
            Self::NoneOf(values) => !is_one_of(values),
        }
    }

    /// Whether no value does both.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present | Self::OneOf(_), Self::Absent)
            | (Self::Absent, Self::Present | Self::OneOf(_)) => true,
            (Self::OneOf(a), Self::OneOf(b)) => !a.iter().any(|value| b.contains(value)),
            (Self::OneOf(a), Self::NoneOf(b)) | (Self::NoneOf(b), Self::OneOf(a)) => {
                a.iter().all(|value| b.contains(value))
            }
            _ => false,
        }
    }
}

/// Conditions that must all hold. None at all always hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Conditions(pub(super) Vec<(AttributeId, Wanted)>);

impl Conditions {
    pub(super) fn hold(&self, attributes: &Attributes, request: &Request<'_>) -> bool {
        self.0.iter().all(|(id, wanted)| wanted.holds(attributes.value(*id, request)))
    }

    /// The first that does not hold.
    pub(super) fn failing(
        &self,
        attributes: &Attributes,
        request: &Request<'_>,
    ) -> Option<(AttributeId, &Wanted)> {
        let failing =
            |(id, wanted): &&(AttributeId, Wanted)| !wanted.holds(attributes.value(*id, request));
        self.0.iter().find(failing).map(|(id, wanted)| (*id, wanted))
    }

    /// Whether no request meets both.
    pub(super) fn exclude(&self, other: &Self) -> bool {
        self.0.iter().any(|(id, wanted)| {
            other.0.iter().any(|(theirs, others)| id == theirs && wanted.excludes(others))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The conditions of a policy, each once, and which of them a request meets.
#[derive(Debug, Default)]
pub(super) struct AllConditions(Vec<Conditions>);

/// One bit for each of [`AllConditions`].
pub(super) struct Met(SmallVec<[u64; 4]>);

impl AllConditions {
    /// The number of these conditions.
    pub(super) fn number(&mut self, conditions: Conditions) -> usize {
        self.0.iter().position(|known| *known == conditions).unwrap_or_else(|| {
            self.0.push(conditions);
            self.0.len() - 1
        })
    }

    pub(super) fn get(&self, number: usize) -> Option<&Conditions> {
        self.0.get(number)
    }

    pub(super) fn exclude(&self, a: usize, b: usize) -> bool {
        matches!((self.get(a), self.get(b)), (Some(a), Some(b)) if a.exclude(b))
    }

    pub(super) fn met(&self, attributes: &Attributes, request: &Request<'_>) -> Met {
        let mut words = SmallVec::new();
        for conditions in self.0.chunks(64) {
            let mut word = 0;
            for (nth, conditions) in conditions.iter().enumerate() {
                word |= u64::from(conditions.hold(attributes, request)) << nth;
            }
            words.push(word);
        }
        Met(words)
    }
}

impl Met {
    pub(super) fn holds(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}
