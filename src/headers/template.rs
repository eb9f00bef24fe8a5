//! Bodies with words in braces, filled in so that they stay what they are.

use super::{DialectError, render::Told};
use std::fmt::Write as _;

/// The words that are replaced, as they are written in braces.
const WORDS: [(&str, Word); 7] = [
    ("limit", Word::Limit),
    ("remaining", Word::Remaining),
    ("retry_after", Word::RetryAfter),
    ("reset", Word::Reset),
    ("name", Word::Name),
    ("status", Word::Status),
    ("unit", Word::Unit),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Limit,
    Remaining,
    RetryAfter,
    Reset,
    Name,
    Status,
    Unit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A word, and whether it stands within a string, should the body be JSON.
    Word {
        word: Word,
        within_string: bool,
    },
}

/// How a body must be written to stay what its media type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Markup,
    Plain,
}

impl Syntax {
    /// That of a media type.
    pub(super) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is = |of: &str| {
            let suffix = essence.rsplit(['/', '+']).next().unwrap_or_default();
            suffix.eq_ignore_ascii_case(of)
        };
        match () {
            () if is("json") => Self::Json,
            () if is("html") || is("xml") => Self::Markup,
            () => Self::Plain,
        }
    }
}

/// A text in which known words in braces are replaced, and every other brace is a brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

impl Template {
    /// Reads `text`. A word in braces that is none of ours is a misspelling: there is
    /// no other reading of `{retry-after}` in JSON.
    pub(super) fn new(text: &str) -> Result<Self, DialectError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut strings = Strings::default();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(word) = braced(rest) {
                let Some(&(_, known)) = WORDS.iter().find(|(name, _)| *name == word) else {
                    return Err(DialectError::Placeholder(word.to_owned()));
                };
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Word { word: known, within_string: strings.within });
                rest = rest.get(word.len() + 2..).unwrap_or_default();
            } else {
                strings.pass(c);
                plain.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// What the text seems to be.
    pub(super) fn content_type(&self) -> &'static str {
        match self.0.first() {
            Some(Piece::Text(text)) if text.trim_start().starts_with(['{', '[']) => {
                "application/json"
            }
            _ => "text/plain; charset=utf-8",
        }
    }

    /// Appends the text with its words filled in.
    pub(super) fn render(&self, told: &Told<'_>, syntax: Syntax, out: &mut String) {
        for piece in &self.0 {
            let (word, within_string) = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Word { word, within_string } => (*word, *within_string),
            };
            // Outside a string, JSON has numbers, `null`, and strings in quotes.
            let bare = syntax == Syntax::Json && !within_string;
            let number = |out: &mut String, number: Option<u64>| match number {
                Some(number) => {
                    let _ = write!(out, "{number}");
                }
                None => out.push_str(if bare { "null" } else { "unknown" }),
            };
            let text = |out: &mut String, text: Option<&str>| match (text, syntax) {
                (None, _) => number(out, None),
                (Some(text), Syntax::Json) if bare => json_string(text, out),
                (Some(text), Syntax::Json) => json_escaped(text, out),
                (Some(text), Syntax::Markup) => markup_escaped(text, out),
                (Some(text), Syntax::Plain) => out.push_str(text),
            };
            match word {
                Word::Limit => number(out, told.limit),
                Word::Remaining => number(out, told.remaining),
                Word::RetryAfter => number(out, told.retry_after),
                Word::Reset => number(out, told.reset),
                Word::Status => number(out, Some(u64::from(told.status))),
                Word::Name => text(out, told.name),
                Word::Unit => text(out, told.unit),
            }
        }
    }
}

/// `word` if the text begins with `{word}`.
fn braced(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('{')?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))?;
    let (word, after) = rest.split_at_checked(end)?;
    let begins = word.starts_with(|c: char| c.is_ascii_alphabetic());
    (begins && after.starts_with('}')).then_some(word)
}

/// Whether the text so far ends within a string, read as JSON.
#[derive(Default)]
struct Strings {
    within: bool,
    escaped: bool,
}

impl Strings {
    fn pass(&mut self, c: char) {
        let escaped = std::mem::take(&mut self.escaped);
        match c {
            '"' if !escaped => self.within = !self.within,
            '\\' if self.within && !escaped => self.escaped = true,
            _ => {}
        }
    }
}

/// Appends a JSON string, quotes and all.
pub(super) fn json_string(text: &str, out: &mut String) {
    out.push('"');
    json_escaped(text, out);
    out.push('"');
}

fn json_escaped(text: &str, out: &mut String) {
    let mut rest = text;
    // What needs no escape goes in one piece.
    while let Some(at) = rest.find(|c: char| matches!(c, '"' | '\\') || c.is_control()) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(c) => _ = write!(out, "\\u{:04x}", u32::from(c)),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

fn markup_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const TOLD: Told<'_> = Told {
        limit: Some(10),
        remaining: Some(0),
        retry_after: Some(42),
        reset: Some(1_705_315_800),
        name: Some("a \"b\"\n<c> \\"),
        unit: Some("requests"),
        status: 429,
    };
    const NOTHING: Told<'_> = Told {
        limit: None,
        remaining: None,
        retry_after: None,
        reset: None,
        name: None,
        unit: None,
        status: 403,
    };

    fn filled(text: &str, told: &Told<'_>, syntax: Syntax) -> String {
        let mut out = String::new();
        Template::new(text).unwrap().render(told, syntax, &mut out);
        out
    }

    #[test]
    fn json_stays_json() {
        let text = r#"{"error": {"limit":{limit},"retry_after":{retry_after},"name":{name}},
            "message": "\"{name}\": try again in {retry_after} {unit}", "none": {}}"#;
        let json: serde_json::Value =
            serde_json::from_str(&filled(text, &TOLD, Syntax::Json)).unwrap();
        assert_eq!(json["error"]["limit"], 10);
        assert_eq!(json["error"]["retry_after"], 42);
        assert_eq!(json["error"]["name"], "a \"b\"\n<c> \\");
        assert_eq!(json["message"], "\"a \"b\"\n<c> \\\": try again in 42 requests");
        let json: serde_json::Value =
            serde_json::from_str(&filled(text, &NOTHING, Syntax::Json)).unwrap();
        assert!(json["error"]["limit"].is_null() && json["error"]["name"].is_null());
        assert_eq!(json["message"], "\"unknown\": try again in unknown unknown");
    }

    /// A backslash may itself be escaped, and then the quote after it ends the string.
    #[test]
    fn strings_end_where_json_ends_them() {
        let text = r#"{"a\\":{name},"b\"":"{name}","{":{limit}}"#;
        let json: serde_json::Value =
            serde_json::from_str(&filled(text, &TOLD, Syntax::Json)).unwrap();
        assert_eq!(json["a\\"], TOLD.name.unwrap());
        assert_eq!(json["b\""], TOLD.name.unwrap());
        assert_eq!(json["{"], 10);
    }

    #[test]
    fn other_syntaxes() {
        let text = "{status}: {name}, {reset}, {remaining} left {} { x } {";
        assert_eq!(
            filled(text, &TOLD, Syntax::Markup),
            "429: a &quot;b&quot;\n&lt;c&gt; \\, 1705315800, 0 left {} { x } {"
        );
        assert_eq!(filled("{name}{name}", &TOLD, Syntax::Plain), "a \"b\"\n<c> \\".repeat(2));
        assert_eq!(filled("{limit} in {unit}", &NOTHING, Syntax::Plain), "unknown in unknown");
    }

    #[test]
    fn misspelt_words_are_refused() {
        for word in ["retry-after", "Limit", "limits", "x", "reset_next"] {
            let error = Template::new(&format!("try in {{{word}}} s")).unwrap_err();
            assert_eq!(error, DialectError::Placeholder(word.to_owned()));
        }
        for plain in ["{", "}", "{}", "{{}}", "{ limit }", "{limit", "{1}", "{ü}", "{\"limit\"}"] {
            assert_eq!(filled(plain, &TOLD, Syntax::Plain), plain);
        }
        assert_eq!(filled("{{limit}}", &TOLD, Syntax::Plain), "{10}");
    }

    #[test]
    fn media_types() {
        for (content_type, syntax) in [
            ("application/json", Syntax::Json),
            ("application/JSON; charset=utf-8", Syntax::Json),
            ("application/vnd.api+json", Syntax::Json),
            ("text/html", Syntax::Markup),
            ("image/svg+xml ;a=b", Syntax::Markup),
            ("text/plain", Syntax::Plain),
            ("application/jsonp", Syntax::Plain),
            ("", Syntax::Plain),
        ] {
            assert_eq!(Syntax::of(content_type), syntax, "{content_type}");
        }
        let guess = |text: &str| Template::new(text).unwrap().content_type();
        assert_eq!(guess(" {\"a\": 1}"), "application/json");
        assert_eq!(guess("{limit} a minute"), "text/plain; charset=utf-8");
        assert_eq!(guess(""), "text/plain; charset=utf-8");
    }
}
