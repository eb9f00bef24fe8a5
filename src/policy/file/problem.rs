//! What is wrong with a policy file, and where.

use super::source::{Source, Span};
use std::{error::Error, fmt, ops::Range};

/// So many problems are told; the rest are counted.
const MOST: usize = 100;

/// So many characters of a line are shown.
const SHOWN: usize = 120;

/// One thing that is wrong with a policy file.
///
/// ```
/// use tollgate::policy::PolicyFile;
///
/// let error =
///     PolicyFile::parse("policy.toml", b"[[limit]]\nname = 'api'\nkee = []\nquota = '9/min'");
/// let error = error.unwrap_err();
/// let problem = error.problems().next().ok_or("nothing is wrong")?;
/// assert_eq!((problem.line(), problem.column()), (3, 1));
/// assert_eq!(problem.hint(), Some("did you mean `key`?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    line: usize,
    column: usize,
    message: String,
    hint: Option<String>,
    excerpt: Excerpt,
}

/// The part of a line around a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    indent: usize,
    width: usize,
}

impl Problem {
    /// The line of the file, from 1.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let error = Policy::from_toml("name = 'a'\nname = 'b'\n").unwrap_err();
    /// assert_eq!(error.problems().map(|problem| problem.line()).collect::<Vec<_>>(), [2]);
    /// ```
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// // In characters, not bytes.
    /// let error = Policy::from_toml("description = 'größer'; name = 'a'").unwrap_err();
    /// assert_eq!(error.problems().map(|problem| problem.column()).collect::<Vec<_>>(), [23]);
    /// ```
    pub fn column(&self) -> usize {
        self.column
    }

    /// What was found, and what was expected.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let text = "[[limit]]\nname = 'api'\nkey = []\nquota = 'ten a minute'";
    /// let error = Policy::from_toml(text).unwrap_err();
    /// let message = error.problems().next().map_or("", |problem| problem.message());
    /// assert!(message.starts_with("no quota: `ten a minute`: expected UNITS/"), "{message}");
    /// ```
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What may help: the nearest known name, or what to write instead.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let error = Policy::from_toml("[limit]\nname = 'a'\n[limit]\nname = 'b'\n").unwrap_err();
    /// let hint = error.problems().next().and_then(|problem| problem.hint());
    /// assert_eq!(hint, Some("there may be several: write `[[limit]]`"));
    /// ```
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    fn new(source: &Source, Found { span, said, .. }: Found) -> Self {
        let (line, column) = source.position(span.start);
        let text = source.line(line);
        // The part of a long line that the place is in.
        let skipped = if column > SHOWN { column - SHOWN / 2 } else { 0 };
        let shown: String = text.chars().skip(skipped).take(SHOWN).map(printable).collect();
        let indent = column - 1 - skipped;
        let length = source.text.get(span.start..span.end).map_or(1, |text| {
            text.chars().take(SHOWN).take_while(|c| *c != '\n' && *c != '\r').count()
        });
        let width = length.clamp(1, shown.chars().count().saturating_sub(indent).max(1));
        let excerpt = Excerpt { text: shown, indent, width };
        Self { line, column, message: said.message, hint: said.hint, excerpt }
    }
}

/// Terminals act on control characters, and a tab is as wide as it likes.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        // Some turn the line around.
        c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    }
}

/// Everything that is wrong with a policy file, in the order of the file.
///
/// Prints as a block for each problem: its place, what is wrong, and the line.
///
/// ```
/// use tollgate::policy::PolicyFile;
///
/// let text = r#"
/// [attribute.org]
///
/// [[limit]]
/// name = "scans"
/// key = ["ogr"]
/// quota = "10/parsec"
/// "#;
/// let error = PolicyFile::parse("policy.toml", text.as_bytes()).unwrap_err();
/// let places: Vec<_> = error.problems().map(|p| (p.line(), p.column())).collect();
/// assert_eq!(places, [(6, 8), (7, 9)]);
/// assert_eq!(error.to_string().lines().take(4).collect::<Vec<_>>(), [
///     "policy.toml:6:8: error: no attribute is called `ogr`",
///     "    6 | key = [\"ogr\"]",
///     "      |        ^^^^^",
///     "      = did you mean `org`?",
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    file: String,
    problems: Vec<Problem>,
    more: usize,
}

impl PolicyError {
    /// The problems, in the order of the file; the first hundred that were found.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let text = "[[limit]]\nname = 'api'\nkey = ['ip', 'user']\n";
    /// let error = Policy::from_toml(text).unwrap_err();
    /// let problems: Vec<_> = error.problems().map(|one| (one.line(), one.message())).collect();
    /// assert_eq!(
    ///     problems,
    ///     [
    ///         (1, "`quota` is missing"),
    ///         (3, "no attribute is called `ip`"),
    ///         (3, "no attribute is called `user`"),
    ///     ]
    /// );
    /// ```
    pub fn problems(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter()
    }

    /// How many more there are.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let text = "[[limit]]\nname = ''\n".repeat(60);
    /// let error = Policy::from_toml(&text).unwrap_err();
    /// assert_eq!((error.problems().len(), error.more()), (100, 40));
    /// ```
    pub fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            let Problem { line, column, message, hint, excerpt } = problem;
            let Excerpt { text, indent, width } = excerpt;
            writeln!(f, "{}:{line}:{column}: error: {message}", self.file)?;
            writeln!(f, "{line:5} | {text}")?;
            write!(f, "      | {:indent$}{:^<width$}", "", "")?;
            if let Some(hint) = hint {
                write!(f, "\n      = {hint}")?;
            }
        }
        if self.more > 0 {
            write!(f, "\n{}: and {} more", self.file, self.more)?;
        }
        Ok(())
    }
}

impl Error for PolicyError {}

/// What is said of a problem.
#[derive(Debug)]
pub(crate) struct Said {
    message: String,
    hint: Option<String>,
}

impl Said {
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn maybe(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

impl<T: Into<String>> From<T> for Said {
    fn from(message: T) -> Self {
        Self { message: message.into(), hint: None }
    }
}

struct Found {
    span: Span,
    said: Said,
    /// Whether the place holds what is wrong, rather than lacks it.
    wrong: bool,
}

/// Collects what is wrong.
pub(crate) struct Problems<'s> {
    source: &'s Source,
    found: Vec<Found>,
    more: usize,
}

impl<'s> Problems<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self { source, found: Vec::new(), more: 0 }
    }

    /// The value there is wrong. Said once: what follows from a wrong value is no news.
    pub(crate) fn say<S: Into<Said>>(&mut self, span: Span, what: impl FnOnce() -> S) {
        if !self.found.iter().any(|found| found.wrong && found.span.holds(span)) {
            self.push(span, true, what);
        }
    }

    /// What is there lacks something.
    pub(crate) fn miss<S: Into<Said>>(&mut self, span: Span, what: impl FnOnce() -> S) {
        self.push(span, false, what);
    }

    fn push<S: Into<Said>>(&mut self, span: Span, wrong: bool, what: impl FnOnce() -> S) {
        // A hostile file must not fill the memory with complaints.
        if self.is_full() {
            self.more += 1;
        } else {
            self.found.push(Found { span, said: what().into(), wrong });
        }
    }

    /// Several things of the text that stands there, each at its bytes of the text. Where
    /// escapes keep those from being told, at the whole text.
    pub(crate) fn say_of<S: Into<Said>>(
        &mut self,
        span: Span,
        text: &str,
        what: impl IntoIterator<Item = (Range<usize>, S)>,
    ) {
        let written = self.source.text.get(span.start..span.end).unwrap_or_default();
        let quotes = [0, 1, 3].into_iter().find(|quotes| {
            written.len() == text.len() + 2 * quotes
                && written.get(*quotes..quotes + text.len()) == Some(text)
        });
        for (at, said) in what {
            let at = quotes.map_or(span, |quotes| Span {
                start: span.start + quotes + at.start,
                end: span.start + quotes + at.end,
            });
            self.push(at, true, || said);
        }
    }

    /// The text of the file there.
    pub(crate) fn text(&self, span: Span) -> &str {
        self.source.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Whether something within the value there is wrong.
    pub(crate) fn within(&self, span: Span) -> bool {
        self.more > 0 || self.found.iter().any(|found| found.wrong && span.holds(found.span))
    }

    /// Whether whatever comes now is only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// Whether anything is wrong.
    pub(crate) fn any(&self) -> bool {
        !self.found.is_empty()
    }

    /// "line 12", for a problem of two places.
    pub(crate) fn line(&self, span: Span) -> String {
        format!("line {}", self.source.line_of(span.start))
    }

    pub(crate) fn finish(mut self) -> Result<(), PolicyError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|found| found.span.start);
        let source = self.source;
        let problems = self.found.into_iter().map(|found| Problem::new(source, found)).collect();
        Err(PolicyError { file: source.name.clone(), problems, more: self.more })
    }
}
