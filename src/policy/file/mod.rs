#![doc = include_str!("format.md")]

mod check;
pub(super) mod groups;
pub(super) mod model;
mod problem;
mod quotas;
mod read;
pub(super) mod resolve;
mod response;
#[cfg(all(test, not(loom)))]
mod schema;
mod scope;
mod source;
mod texts;

pub(super) mod values;

pub use problem::{PolicyError, Problem};

use model::Document;
pub(super) use problem::{Problems, Said};
pub(super) use read::{List, Named};
pub(super) use source::At;

use read::Read;
use source::{Source, Span};
use toml::de::{DeTable, DeValue};

/// A policy file that was read and checked: plain data, from which a policy is made.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// For what is found wrong later: no memory, no room in the policy that it replaces.
    pub(crate) source: Source,
    pub(crate) document: Document,
}

impl PolicyFile {
    /// Reads a file. `name` is what messages call it.
    ///
    /// ```
    /// use tollgate::policy::PolicyFile;
    ///
    /// let text = r#"
    /// [attribute.ip]
    /// kind = "ip"
    ///
    /// [[limit]]
    /// name = "everything"
    /// key = ["ip"]
    /// quota = "60/min"
    /// "#;
    /// let file = PolicyFile::parse("policy.toml", text.as_bytes())?;
    /// # let _ = file;
    /// # Ok::<(), tollgate::policy::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, at once. Where it is no TOML, that alone: what it
    /// would mean is anybody's guess.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, PolicyError> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let source = Source::new(name, String::from_utf8_lossy(bytes).into_owned());
        let mut problems = Problems::new(&source);
        let mut document = Document::default();
        if let Err(error) = std::str::from_utf8(bytes) {
            let at = error.valid_up_to();
            let byte = bytes.get(at).copied().unwrap_or_default();
            // In its place stands the replacement character, of three bytes.
            problems.say(Span { start: at, end: at.saturating_add(3) }, || {
                format!("the byte 0x{byte:02X} is not UTF-8 here")
            });
        } else {
            let (table, errors) = DeTable::parse_recoverable(&source.text);
            if syntax(&source, errors, &mut problems) {
                let span = table.span();
                let value = toml::Spanned::new(span, DeValue::Table(table.into_inner()));
                document = Document::read(&value, &mut problems);
                check::check(&mut document, &mut problems);
            }
        }
        problems.finish()?;
        Ok(Self { source, document })
    }
}

/// Notes what is no TOML; whether the rest makes sense in spite of it.
fn syntax(source: &Source, mut errors: Vec<toml::de::Error>, problems: &mut Problems<'_>) -> bool {
    const TWICE: &str = "duplicate key";
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(start);
    // One slip makes several errors, and the first of a line is nearest to it.
    errors.dedup_by_key(|error| source.line_of(start(error)));
    for error in &errors {
        let span = Span::from(error.span().unwrap_or_default());
        problems.say(span, || {
            if error.message() == TWICE {
                let key = source.text.get(span.start..span.end).unwrap_or_default();
                return Said::from(format!("`{}` is said twice", texts::shown(key)));
            }
            Said::from(format!("no TOML: {}", error.message()))
        });
    }
    errors.iter().all(|error| error.message() == TWICE)
}
