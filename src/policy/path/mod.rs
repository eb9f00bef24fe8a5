//! A path made normal, so that there is one way to write it.
//!
//! A limit that is matched on a path is only as good as this: whoever finds a second
//! spelling that the host's router takes for the same resource, and the limit does not,
//! is not limited. A normal path
//!
//! - begins with a slash; the query, the fragment, and the scheme and authority of an
//!   absolute-form target are gone;
//! - is percent-decoded, once. Encoded stay: `%25`, `%3F`, `%23` (else they would be read
//!   as something else the next time), `%2F` where it is data, and bytes that are not
//!   UTF-8. A `%` that begins no escape is the character itself, so it is written `%25`;
//! - has no empty segment and no dot segment (RFC 3986 5.2.4, after decoding, runs of
//!   slashes merged first);
//! - ends in a slash only if `trailing_slash = "keep"` and it was there;
//! - is in lower case if `case = "insensitive"`, character by character.
//!
//! Making a normal path normal changes nothing. A backslash is a character like others,
//! and so is the NUL byte. Path parameters (`/a;x=1`) belong to the segment.

use super::route::bare_host;
use percent_encoding::percent_decode;
use std::fmt::Write;

/// Whether case tells two paths apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Case {
    #[default]
    Sensitive,
    Insensitive,
}

/// Whether a slash at the end tells two paths apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TrailingSlash {
    #[default]
    Ignore,
    Keep,
}

/// What `%2F` means to the host's router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EncodedSlash {
    #[default]
    Separator,
    Data,
}

/// How the host's router reads paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathRules {
    pub(crate) case: Case,
    pub(crate) trailing_slash: TrailingSlash,
    pub(crate) encoded_slash: EncodedSlash,
}

/// Where a path that has to be rewritten is put. One for each thread; after the first
/// few requests nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    text: String,
}

/// So much is kept from one path to the next; the room for a longer one is given up.
const KEPT: usize = 1 << 16;

impl PathRules {
    /// The normal path of a request target: the target itself where it is normal
    /// already, else rewritten in `scratch`. Time is linear in its length.
    pub(crate) fn normal<'a>(self, target: &'a [u8], scratch: &'a mut Scratch) -> &'a str {
        match self.is_normal(target) {
            Some(path) => path,
            None => self.made_normal(target, scratch),
        }
    }

    /// The target's own path, if that is normal already, as most are.
    #[inline]
    pub(crate) fn is_normal(self, target: &[u8]) -> Option<&str> {
        // Most targets are a path; that a path is split again harms none.
        self.borrowed(if target.first() == Some(&b'/') { target } else { split(target).1 })
    }

    /// The path of a target that is not.
    #[cold]
    pub(crate) fn made_normal<'a>(self, target: &[u8], scratch: &'a mut Scratch) -> &'a str {
        self.rewrite(split(target).1, scratch)
    }

    /// A target that needs nothing but to be cut, in one look at its bytes. None of
    /// some others too: hidden files, and letters beyond ASCII where case is ignored.
    fn borrowed(self, target: &[u8]) -> Option<&str> {
        let sensitive = self.case == Case::Sensitive;
        let (mut before, mut end) = (0, target.len());
        for (at, &byte) in target.iter().enumerate() {
            match byte {
                b'/' | b'.' if before == b'/' => return None,
                b'?' | b'#' => {
                    end = at;
                    break;
                }
                b'%' => return None,
                b'A'..=b'Z' | 0x80.. if !sensitive => return None,
                _ => before = byte,
            }
        }
        let path = match target.get(..end)? {
            [rest @ .., b'/'] if !rest.is_empty() && !self.keeps_trailing() => rest,
            path => path,
        };
        if path.first() == Some(&b'/') { str::from_utf8(path).ok() } else { None }
    }

    fn rewrite<'a>(self, path: &[u8], scratch: &'a mut Scratch) -> &'a str {
        let Scratch { bytes, text } = scratch;
        if bytes.capacity().max(text.capacity()) > KEPT {
            (*bytes, *text) = (Vec::new(), String::new());
        }
        self.decode(path, bytes);
        let folds = self.case == Case::Insensitive;
        match str::from_utf8(bytes) {
            Ok(path) if !folds || path.is_ascii() => path,
            _ => {
                text.clear();
                for chunk in bytes.utf8_chunks() {
                    for c in chunk.valid().chars() {
                        // ASCII is done, and the digits of an escape stay upper-case.
                        if folds && !c.is_ascii() {
                            text.extend(c.to_lowercase());
                        } else {
                            text.push(c);
                        }
                    }
                    for byte in chunk.invalid() {
                        // Writing to a string cannot fail.
                        let _ = write!(text, "%{byte:02X}");
                    }
                }
                text
            }
        }
    }

    /// Everything but what only characters can tell: decodes, and drops segments.
    fn decode(self, path: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.push(b'/');
        let separates = self.encoded_slash == EncodedSlash::Separator;
        let folds = self.case == Case::Insensitive;
        let mut segment = Segment { start: 1, directory: true };
        for raw in path.split(|&byte| byte == b'/') {
            for byte in percent_decode(raw) {
                match byte {
                    b'/' if separates => segment.end(out),
                    b'/' => out.extend_from_slice(b"%2F"),
                    b'%' => out.extend_from_slice(b"%25"),
                    b'?' => out.extend_from_slice(b"%3F"),
                    b'#' => out.extend_from_slice(b"%23"),
                    _ if folds => out.push(byte.to_ascii_lowercase()),
                    _ => out.push(byte),
                }
            }
            segment.end(out);
        }
        if out.len() > 1 && !(segment.directory && self.keeps_trailing()) {
            out.pop();
        }
    }

    const fn keeps_trailing(self) -> bool {
        matches!(self.trailing_slash, TrailingSlash::Keep)
    }
}

/// The segment that is being written: all before it ends in a slash.
struct Segment {
    start: usize,
    /// Whether the last one that ended named a directory: empty, or dots.
    directory: bool,
}

impl Segment {
    fn end(&mut self, out: &mut Vec<u8>) {
        let written = out.get(self.start..).unwrap_or_default();
        self.directory = matches!(written, b"" | b"." | b"..");
        if !self.directory {
            out.push(b'/');
        } else if written == b".." {
            // To behind the last slash but one; the root has no parent.
            let before = out.get(..self.start.saturating_sub(1)).unwrap_or_default();
            let parent = before.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            out.truncate(parent + 1);
        } else {
            out.truncate(self.start);
        }
        self.start = out.len();
    }
}

/// The authority of an absolute-form target (`GET http://host/path`), if it is one. It
/// stands for the host, whatever a `Host` field says (RFC 9112 3.2.2). One that names no
/// host (`http://:80/path`) hides none.
pub(crate) fn authority(target: &[u8]) -> Option<&str> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let authority = str::from_utf8(split(target).0?).ok()?;
    (!bare_host(authority).is_empty()).then_some(authority)
}

/// Authority and path, without query and fragment.
fn split(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let target = end.and_then(|end| target.get(..end)).unwrap_or(target);
    let after_scheme = match target {
        [first, rest @ ..] if first.is_ascii_alphabetic() => {
            let scheme = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
            rest.iter()
                .position(|byte| !scheme(byte))
                .and_then(|end| rest.get(end..))
                .and_then(|rest| rest.strip_prefix(b"://"))
        }
        _ => None,
    };
    match after_scheme {
        Some(rest) => {
            let slash = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(slash).unwrap_or((rest, b""));
            (Some(authority), path)
        }
        None => (None, target),
    }
}

/// The segments of a normal path: none of `/`, and an empty one behind a slash that was
/// kept at the end.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').skip(usize::from(path.is_empty()))
}

#[cfg(all(test, not(loom)))]
mod tests;
