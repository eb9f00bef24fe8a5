//! Where in the file something stands.

use std::ops::{Deref, Range};

/// A place in the text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// Whether all of `other` lies in it.
    pub(super) fn holds(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// A value and where it stands; what is not in the file stands nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T> At<T> {
    pub(crate) fn new(value: T, span: impl Into<Span>) -> Self {
        Self { value, span: span.into() }
    }

    /// A value that the file leaves to its default.
    pub(super) fn nowhere(value: T) -> Self {
        Self { value, span: Span::default() }
    }

    /// Whether the file says it.
    pub(crate) fn is_given(&self) -> bool {
        self.span != Span::default()
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The text of a file, its name, and where its lines begin.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(super) name: String,
    pub(super) text: String,
    lines: Vec<usize>,
}

impl Source {
    pub(super) fn new(name: &str, text: String) -> Self {
        let after = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let lines = [0].into_iter().chain(after).collect();
        Self { name: name.to_owned(), text, lines }
    }

    /// Line and column of a byte, both from 1; the column in characters.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        let at = (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or_default();
        let line = self.line_of(at);
        let start = self.start(line);
        (line, self.text.get(start..at).unwrap_or_default().chars().count() + 1)
    }

    /// The line of a byte, from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// A line without its end, by its number from 1.
    pub(super) fn line(&self, line: usize) -> &str {
        if line > self.lines.len() {
            return "";
        }
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        let line = self.text.get(self.start(line)..end).unwrap_or_default();
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|line| self.lines.get(line)).copied().unwrap_or_default()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("x", "aé\u{1f600}b\r\n\n c".to_owned());
        for (at, position) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (1, 2)), // within é
            (3, (1, 3)),
            (7, (1, 4)),
            (9, (1, 6)),
            (10, (2, 1)),
            (11, (3, 1)),
            (13, (3, 3)),
            (99, (3, 3)),
        ] {
            assert_eq!(source.position(at), position, "{at}");
        }
        assert_eq!(source.line(1), "aé\u{1f600}b");
        assert_eq!(source.line(2), "");
        assert_eq!(source.line(3), " c");
        assert_eq!(source.line(4), "");
        assert_eq!(Source::new("x", String::new()).position(0), (1, 1));
    }
}
