#![doc = include_str!("format.md")]

mod check;
mod fields;
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
#[cfg(feature = "tower")]
pub(crate) use texts::nearest;

use read::Read;
use source::Source;
pub(super) use source::Span;
use toml::de::{DeTable, DeValue};

/// A policy file that was read and checked: plain data, from which a policy is made.
///
/// ```
/// use tollgate::policy::{LivePolicy, Policy, PolicyFile};
///
/// # let name = format!("tollgate-doc-policy-file-{}", std::process::id());
/// # let path = std::env::temp_dir().join(name);
/// # let limit = "[[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n";
/// # std::fs::write(&path, format!("name = 'first'\n{limit}"))?;
/// # let path = path.to_str().ok_or("a folder that is no text")?;
/// # /*
/// let path = "/etc/my-service/limits.toml";
/// # */
/// let file = PolicyFile::parse(path, &std::fs::read(path)?)?;
/// let live = LivePolicy::new(Policy::from_file(&file)?);
/// // And on SIGHUP:
/// live.replace(&PolicyFile::parse(path, &std::fs::read(path)?)?)?;
/// # assert_eq!(live.load().name(), "first");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

/// What the parser says of what was understood well enough to go on: no more follows
/// from it.
const TWICE: &str = "duplicate key";
const UNQUOTED: &str = "string values must be quoted";

/// Notes what is no TOML; whether the rest makes sense in spite of it.
fn syntax(source: &Source, mut errors: Vec<toml::de::Error>, problems: &mut Problems<'_>) -> bool {
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(start);
    // One slip makes several errors, and the first of a line is nearest to it.
    errors.dedup_by_key(|error| source.line_of(start(error)));
    // JSON is wrong in every line, and has to be told once.
    if is_json(&source.text) {
        errors.truncate(1);
    }
    // Where a table stands twice, so may all that is in it.
    let (mut table_twice, mut seen) = (false, 0);
    for error in &errors {
        let span = Span::from(error.span().unwrap_or_default());
        let number = source.line_of(span.start);
        let is_header = |number| source.line(number).trim_start().starts_with('[');
        table_twice &= !(seen + 1..=number).any(is_header);
        seen = number;
        if error.message() != TWICE {
            problems.say(span, || not_toml(error.message(), source, span));
            continue;
        }
        if table_twice {
            continue;
        }
        table_twice = is_header(number);
        let key = source.text.get(span.start..span.end).unwrap_or_default();
        let several = ["limit", "refuse", "exempt", "penalty"].contains(&key);
        let header = source.line(number).trim() == format!("[{key}]");
        // With the brackets, of which there should be more: that is said hereby.
        let (span, hint) = if several && header {
            let span = Span { start: span.start.saturating_sub(1), end: span.end + 1 };
            (span, Some(format!("there may be several: write `[[{key}]]`")))
        } else {
            (span, None)
        };
        problems
            .say(span, || Said::from(format!("`{}` is said twice", texts::shown(key))).maybe(hint));
    }
    errors.iter().all(|error| {
        let has_text = error.span().is_some_and(|span| !span.is_empty());
        let message = error.message();
        message.starts_with(TWICE) || message.starts_with(UNQUOTED) && has_text
    })
}

/// Whether the text begins as an object of JSON does, or as a list of these: no TOML does.
fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{')
        || text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'))
}

/// What is said of a text that is no TOML, with what is wrong most often.
fn not_toml(message: &str, source: &Source, span: Span) -> Said {
    let line = source.line(source.line_of(span.start));
    let found = source.text.get(span.start..).and_then(|rest| rest.chars().next());
    let text = source.text.get(span.start..span.end).unwrap_or_default();
    if message.starts_with(UNQUOTED) && text.is_empty() {
        return Said::from("no TOML: expected a value");
    }
    if message.starts_with(UNQUOTED) {
        let bare = text.trim_matches(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']);
        return Said::from("a text needs quotes").hint(format!("write \"{}\"", texts::shown(bare)));
    }
    let hint = if message.starts_with("invalid boolean") {
        Some("true and false are written in lower case".to_owned())
    } else if message.starts_with("invalid basic string")
        || message.starts_with("invalid literal string")
    {
        Some("a text ends on its line, with the quote that it begins with".to_owned())
    } else if found == Some(':') && !line.contains('=') {
        Some("a key and its value have `=` between them".to_owned())
    } else if is_json(&source.text) || found == Some('{') && line.trim_start().starts_with('{') {
        Some("a policy file is TOML, not JSON".to_owned())
    } else {
        None
    };
    Said::from(format!("no TOML: {message}")).maybe(hint)
}
