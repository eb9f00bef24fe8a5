//! `[response]`: a [`Dialect`] as `headers` declares it, read by serde value by value, so
//! that each that is wrong has its place and what was expected; and what only a policy
//! knows of it, its groups.

use super::{
    fields::{Fields, near_field, unknown},
    problem::{Problems, Said},
    read::{Read, Value, found, no_table, table, whole, wrong_word},
    source::{At, Span},
};
use crate::headers::{Dialect, Report};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor},
    forward_to_deserialize_any,
};
use std::fmt;
use toml::de::DeValue;

/// What a response says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) dialect: Dialect,
    /// Where the limit stands that is told of.
    pub(crate) report: Span,
    /// The group whose binding limit is told of.
    pub(crate) group: Option<At<String>>,
    /// Whose bodies there are.
    pub(crate) bodies: Vec<At<String>>,
    pub(crate) content_type: Option<At<String>>,
    /// Whether the file says more of its fields and bodies, but nobody knows what.
    pub(super) is_open: bool,
}

impl Response {
    /// What limits cannot be called.
    pub(super) fn is_word(name: &str) -> bool {
        !matches!(Report::from(name.to_owned()), Report::Limit(_))
    }
}

table! {
    /// A group of limits.
    pub(crate) struct OfGroup {
        /// The group.
        group: String => required,
    }
}

impl Read for Response {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let Some(table) = value.get_ref().as_table() else {
            no_table(value, problems);
            return Self::default();
        };
        let mut left_out = Vec::new();
        let report = table.get("report");
        let group = report.filter(|report| report.get_ref().is_table()).map(|report| {
            left_out.push(report.span().into());
            OfGroup::read(report, problems).group
        });
        let bodies = table.get("bodies").and_then(|bodies| bodies.get_ref().as_table());
        let bodies = bodies.into_iter().flatten();
        let mut bodies: Vec<At<String>> =
            bodies.map(|(name, _)| At::new(name.get_ref().to_string(), name.span())).collect();
        bodies.sort_by_key(|name| name.span.start);
        let content_type = table
            .get("content_type")
            .and_then(|given| Some(At::new(given.get_ref().as_str()?.to_owned(), given.span())));
        let (dialect, has_strays) = read(value, left_out, problems);
        let wrong = |name| {
            let value = table.get(name);
            value.is_some_and(|value| problems.within(value.span().into()))
        };
        let is_open =
            has_strays || ["headers", "body", "body_never", "bodies"].map(wrong).contains(&true);
        Self {
            dialect,
            report: report.map_or(Span::default(), |report| report.span().into()),
            group,
            bodies,
            content_type,
            is_open,
        }
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        let mut schema = super::schema::of::<Dialect>();
        let report = &mut schema["properties"]["report"];
        report["oneOf"] = serde_json::json!([{ "type": "string" }, OfGroup::schema()]);
        report["default"] = "binding".into();
        report.as_object_mut().and_then(|report| report.remove("type"));
        schema
    }
}

/// Reads what is right, and notes the rest: one wrong value at a time is left out, as
/// if the file did not say it. Whether some of it has no name that is known.
fn read<T: for<'de> Deserialize<'de> + Default>(
    value: &Value<'_>,
    mut left_out: Vec<Span>,
    problems: &mut Problems<'_>,
) -> (T, bool) {
    let mut has_strays = false;
    loop {
        let wrong = match T::deserialize(Reader { value, left_out: &left_out }) {
            Ok(read) => return (read, has_strays),
            Err(wrong) => wrong,
        };
        has_strays |= wrong.is_stray;
        match wrong.place {
            Some((entry, place)) if !problems.is_full() => {
                problems.say(place, || wrong.said);
                left_out.push(entry);
            }
            place => {
                let place = place.map_or(value.span().into(), |(_, place)| place);
                problems.say(place, || wrong.said);
                return (T::default(), has_strays);
            }
        }
    }
}

/// Why a value is not what serde expects.
#[derive(Debug)]
struct Wrong {
    said: Said,
    /// The entry of a table to be left out, by its value, and what of it is wrong.
    place: Option<(Span, Span)>,
    is_stray: bool,
}

impl From<Said> for Wrong {
    fn from(said: Said) -> Self {
        Self { said, place: None, is_stray: false }
    }
}

impl Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Said::from(message.to_string()).into()
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.said, f)
    }
}

impl std::error::Error for Wrong {}

/// A value, but for some of what is in it.
#[derive(Clone, Copy)]
struct Reader<'v, 'i> {
    value: &'v Value<'i>,
    left_out: &'v [Span],
}

impl<'v, 'i> Reader<'v, 'i> {
    fn expected(self, what: &str) -> Wrong {
        Said::from(format!("expected {what}, found {}", found(self.value))).into()
    }

    fn entries(self, known: Option<&'static [&'static str]>) -> Result<Entries<'v, 'i>, Wrong> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))?;
        let entries = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value));
        let mut entries: Vec<_> =
            entries.map(|(name, at, value)| (name, Span::from(at), value)).collect();
        entries.retain(|(_, _, value)| !self.left_out.contains(&value.span().into()));
        // The first is told first.
        entries.sort_by_key(|(_, at, _)| std::cmp::Reverse(at.start));
        Ok(Entries { left: entries, value: None, known, left_out: self.left_out })
    }
}

/// The entries of a table that are not read yet, the next one last.
struct Entries<'v, 'i> {
    left: Vec<(&'v str, Span, &'v Value<'i>)>,
    value: Option<&'v Value<'i>>,
    /// The names of fields, where it is not a table of the file's own names.
    known: Option<&'static [&'static str]>,
    left_out: &'v [Span],
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some((name, at, value)) = self.left.pop() else { return Ok(None) };
        if let Some(known) = self.known.filter(|known| !known.contains(&name)) {
            let near = near_field(name, known);
            let said = unknown(name, near, known);
            return Err(Wrong { said, place: Some((value.span().into(), at)), is_stray: true });
        }
        self.value = Some(value);
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some(value) = self.value.take() else {
            return Err(Error::custom("a value without a name"));
        };
        let span = value.span().into();
        seed.deserialize(Reader { value, left_out: self.left_out })
            .map_err(|wrong| Wrong { place: wrong.place.or(Some((span, span))), ..wrong })
    }
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Integer(_) => self.deserialize_u64(visitor),
            DeValue::Table(_) => self.deserialize_map(visitor),
            _ => Err(self.expected("a text, a number or a table")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value.get_ref().as_str() {
            Some(text) => visitor.visit_str(text),
            None => Err(self.expected("a text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match whole(self.value.get_ref()) {
            Some(number) => visitor.visit_u64(number),
            None => Err(self.expected("a whole number")),
        }
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match whole(self.value.get_ref()).and_then(|number| u16::try_from(number).ok()) {
            Some(number) => visitor.visit_u16(number),
            None => Err(self.expected("a whole number up to 65535")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(self.entries(None)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_map(self.entries(Some(known))?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.value.get_ref().as_str().filter(|word| words.contains(word)) {
            Some(word) => visitor.visit_enum(IntoDeserializer::<Wrong>::into_deserializer(word)),
            None => Err(wrong_word(self.value, words.iter().copied()).into()),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u32 u128 f32 f64 char bytes byte_buf unit unit_struct seq
        tuple tuple_struct identifier ignored_any
    }
}
