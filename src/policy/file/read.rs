//! From the document to the model, by declarations: what is wrong is noted, and reading
//! goes on with a placeholder, so that one pass finds everything.

use super::{
    problem::{Problems, Said},
    source::At,
    texts::{did_you_mean, listed, shown},
};
use crate::policy::units;
use std::ops::Deref;
use toml::{Spanned, de::DeValue};

/// A value of the document.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// What can be read from a value. Its default is the placeholder for a wrong one, and
/// never leaves this module: a file with a problem has no model.
pub(super) trait Read: Default {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self;

    /// The JSON Schema of the value.
    #[cfg(test)]
    fn schema() -> serde_json::Value;

    /// The value as a file would say it, where that is short.
    #[cfg(test)]
    fn written(&self) -> Option<serde_json::Value> {
        None
    }
}

/// Notes that the value is none of those expected.
pub(super) fn unexpected(value: &Value<'_>, expected: &str, problems: &mut Problems<'_>) {
    problems.say(value.span().into(), || format!("expected {expected}, found {}", found(value)));
}

/// Notes that the value is no table.
pub(super) fn no_table(value: &Value<'_>, problems: &mut Problems<'_>) {
    let span = value.span().into();
    let header = problems.text(span);
    let name = header.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"));
    let hint = match name {
        Some("attribute") => Some("write `[attribute.ip]`, with its name".to_owned()),
        name => name.map(|name| format!("there is one: write `[{}]`", shown(name))),
    };
    problems
        .say(span, || Said::from(format!("expected a table, found {}", found(value))).maybe(hint));
}

/// What a value is, as messages say it.
pub(super) fn found(value: &Value<'_>) -> String {
    match value.get_ref() {
        DeValue::String(text) => format!("the text `{}`", shown(text)),
        DeValue::Integer(number) => format!("the number {}", shown(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", shown(number.as_str())),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date or a time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A whole number, if the value is one that fits.
pub(super) fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl Read for String {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let text = value.get_ref().as_str();
        if text.is_none() {
            unexpected(value, "a text", problems);
        }
        text.unwrap_or_default().to_owned()
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    #[cfg(test)]
    fn written(&self) -> Option<serde_json::Value> {
        Some(self.as_str().into())
    }
}

impl Read for bool {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let known = value.get_ref().as_bool();
        if known.is_none() {
            unexpected(value, "true or false", problems);
        }
        known.unwrap_or_default()
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "boolean" })
    }

    #[cfg(test)]
    fn written(&self) -> Option<serde_json::Value> {
        Some((*self).into())
    }
}

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<const LEAST: u64, const MOST: u64>(pub(crate) u64);

impl<const LEAST: u64, const MOST: u64> Default for Whole<LEAST, MOST> {
    fn default() -> Self {
        Self(LEAST)
    }
}

impl<const LEAST: u64, const MOST: u64> Read for Whole<LEAST, MOST> {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        match whole(value.get_ref()) {
            Some(number) if (LEAST..=MOST).contains(&number) => Self(number),
            _ => {
                problems.say(value.span().into(), || {
                    let found = found(value);
                    let text = value.get_ref().as_str().and_then(|text| text.parse::<u64>().ok());
                    let number = text.filter(|number| (LEAST..=MOST).contains(number));
                    let hint = number.map(|number| format!("without quotes: {number}"));
                    let expected = format!("a whole number from {LEAST} to {MOST}");
                    Said::from(format!("expected {expected}, found {found}")).maybe(hint)
                });
                Self::default()
            }
        }
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }

    #[cfg(test)]
    fn written(&self) -> Option<serde_json::Value> {
        Some(self.0.into())
    }
}

impl<T: Read> Read for At<T> {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        Self::new(T::read(value, problems), value.span())
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        T::schema()
    }
}

/// `[a, b, c]`.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<At<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [At<T>];

    fn deref(&self) -> &[At<T>] {
        &self.0
    }
}

impl<T: Read> Read for List<T> {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let Some(list) = value.get_ref().as_array() else {
            problems.say(value.span().into(), || {
                let text = value.get_ref().as_str();
                let hint = text.map(|text| format!("write [\"{}\"]", shown(text)));
                Said::from(format!("expected a list, found {}", found(value))).maybe(hint)
            });
            return Self::default();
        };
        Self(list.iter().map(|value| At::read(value, problems)).collect())
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "array", "items": T::schema() })
    }
}

/// Tables of one kind, in the order of the file: `[[limit]]`.
#[derive(Clone, Debug)]
pub(crate) struct Tables<T>(pub(crate) Vec<At<T>>);

impl<T> Default for Tables<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Tables<T> {
    type Target = [At<T>];

    fn deref(&self) -> &[At<T>] {
        &self.0
    }
}

impl<T: Read> Read for Tables<T> {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        if value.get_ref().is_table() {
            let span = value.span().into();
            let header = problems.text(span).to_owned();
            problems.say(span, || {
                let said = "there may be several of these, so its header has two brackets";
                let name = header.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                Said::from(said).hint(match name {
                    Some(name) => format!("write `[[{}]]`", shown(name)),
                    None => "write `[[limit]]`, or a list of tables".to_owned(),
                })
            });
            return Self(vec![At::read(value, problems)]);
        }
        Self(List::read(value, problems).0)
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        List::<T>::schema()
    }
}

/// A table whose keys are names of the file's own, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Named<K, T>(pub(crate) Vec<(At<K>, At<T>)>);

impl<K, T> Default for Named<K, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, T> Deref for Named<K, T> {
    type Target = [(At<K>, At<T>)];

    fn deref(&self) -> &[(At<K>, At<T>)] {
        &self.0
    }
}

impl<K: for<'a> From<&'a str>, T: Read> Read for Named<K, T> {
    fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
        let Some(table) = value.get_ref().as_table() else {
            no_table(value, problems);
            return Self::default();
        };
        let entries = table.iter().map(|(key, value)| {
            (At::new(K::from(key.get_ref()), key.span()), At::read(value, problems))
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        Self(entries)
    }

    #[cfg(test)]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

/// Declares a table of the file: its model, how it is read, its part of the schema. A
/// field is `required`, `optional`, or has a default.
macro_rules! table {
    (@type required $type:ty) => { At<$type> };
    (@type or $type:ty) => { At<$type> };
    (@type optional $type:ty) => { Option<At<$type>> };
    (@default required) => { At::nowhere(Default::default()) };
    (@default or $default:expr) => { At::nowhere($default) };
    (@default optional) => { None };
    (@read $fields:ident $name:expr, $about:expr, required) => { $fields.required($name, $about) };
    (@read $fields:ident $name:expr, $about:expr, or $default:expr) => {
        $fields.or($name, $default)
    };
    (@read $fields:ident $name:expr, $about:expr, optional) => { $fields.optional($name) };
    (@written required $type:ty) => { Some(None) };
    (@written or $type:ty, $default:expr) => {
        { let default: $type = $default; Read::written(&default).map(Some) }
    };
    (@written optional $type:ty) => { None };
    (
        $(#[doc = $about:literal])*
        pub(crate) struct $table:ident {
            $( $(#[doc = $doc:literal])* $field:ident: $type:ty => $kind:ident $(($default:expr))?, )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub(crate) struct $table {
            $( $(#[doc = $doc])* pub(crate) $field: table!(@type $kind $type), )*
            /// Whether the file says more of it, and nobody knows what.
            #[allow(dead_code)] // of some tables it makes no difference
            pub(super) has_strays: bool,
        }

        impl Default for $table {
            fn default() -> Self {
                Self {
                    $( $field: table!(@default $kind $($default)?), )*
                    has_strays: false,
                }
            }
        }

        impl Read for $table {
            fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
                let Some(table) = value.get_ref().as_table() else {
                    no_table(value, problems);
                    return Self::default();
                };
                let known = [$(stringify!($field)),*];
                let mut fields = Fields::new(table, value.span().into(), &known, problems);
                Self {
                    $( $field: table!(
                        @read fields stringify!($field), concat!($($doc),*), $kind $($default)?
                    ), )*
                    has_strays: fields.have_strays(),
                }
            }

            #[cfg(test)]
            fn schema() -> serde_json::Value {
                super::schema::object(&[$($about),*], [
                    $( (
                        stringify!($field),
                        &[$($doc),*] as &[&str],
                        <$type as Read>::schema(),
                        table!(@written $kind $type $(, $default)?),
                    ), )*
                ])
            }
        }
    };
}

/// Declares a field that is one of a few words.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        pub(crate) enum $name:ident {
            $( $(#[$meta:meta])* $variant:ident = $word:literal, )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) enum $name {
            $( $(#[$meta])* $variant, )*
        }

        impl $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),*];

            /// The word of the file.
            #[allow(dead_code)] // some are never told
            pub(crate) fn word(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )*
                }
            }
        }

        impl Read for $name {
            fn read(value: &Value<'_>, problems: &mut Problems<'_>) -> Self {
                one_of(value, Self::WORDS, problems)
            }

            #[cfg(test)]
            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),*] })
            }

            #[cfg(test)]
            fn written(&self) -> Option<serde_json::Value> {
                Some(self.word().into())
            }
        }
    };
}
pub(super) use {table, words};

/// The meaning of a word of the file.
pub(super) fn one_of<T: Copy + Default>(
    value: &Value<'_>,
    words: &[(&'static str, T)],
    problems: &mut Problems<'_>,
) -> T {
    let word = value.get_ref().as_str();
    let known = words.iter().find(|(known, _)| Some(*known) == word);
    known.map_or_else(
        || {
            let known = words.iter().map(|(word, _)| *word);
            problems.say(value.span().into(), || wrong_word(value, known));
            T::default()
        },
        |(_, meaning)| *meaning,
    )
}

/// What is said of a value that is none of these words.
pub(super) fn wrong_word(
    value: &Value<'_>,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Said {
    let word = value.get_ref().as_str();
    let hint = word.and_then(|word| did_you_mean(word, known.clone()));
    Said::from(format!("expected one of {}, found {}", listed(known), found(value))).maybe(hint)
}

/// A value that a text says, as `parse` reads it.
pub(super) fn text<T: Default>(
    value: &Value<'_>,
    expected: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    problems: &mut Problems<'_>,
) -> T {
    let Some(text) = value.get_ref().as_str() else {
        problems.say(value.span().into(), || {
            let number = whole(value.get_ref());
            let texts = number.map(|number| [format!("{number} s"), format!("{number}%")]);
            let fits = texts.into_iter().flatten().find(|text| parse(text).is_ok());
            Said::from(format!("expected {expected}, found {}", found(value)))
                .maybe(fits.map(|text| format!("write \"{text}\"")))
        });
        return T::default();
    };
    parse(text).unwrap_or_else(|why| {
        problems.say(value.span().into(), || {
            format!("expected {expected}, found `{}`: {}", shown(text), units::expected(&why))
        });
        T::default()
    })
}
