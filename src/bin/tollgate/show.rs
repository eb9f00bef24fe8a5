//! Bytes of a log or a command line as text that is safe to print.

use std::fmt::Write;

/// The text with every character that does not print as itself, and every byte
/// that is no UTF-8, as `\xNN`: what web servers do in their logs. Control
/// characters, direction marks and the like never reach a terminal.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if matches!(c, '\\' | '"' | '\'') || c.escape_debug().len() == 1 {
                text.push(c);
            } else {
                escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// A name from the command line as [`printable`] has it; an empty one shows as `""`.
pub(crate) fn name(bytes: &[u8]) -> String {
    if bytes.is_empty() { "\"\"".to_owned() } else { printable(bytes) }
}

/// The text as it stands, but for bytes that are no UTF-8: those are `\xNN`.
pub(crate) fn utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_itself_or_escaped() {
        for (bytes, text) in [
            (&b"/a b\"c'\\x"[..], "/a b\"c'\\x"),
            ("/caf\u{e9}/\u{1f980}".as_bytes(), "/caf\u{e9}/\u{1f980}"),
            (b"\x1b[31m\0\n\x7f", "\\x1B[31m\\x00\\x0A\\x7F"),
            (b"a\xffb\xc3", "a\\xFFb\\xC3"),
            ("\u{202e}x\u{9b}".as_bytes(), "\\xE2\\x80\\xAEx\\xC2\\x9B"),
            (
                "\u{200b}\u{feff}\u{2028}".as_bytes(),
                "\\xE2\\x80\\x8B\\xEF\\xBB\\xBF\\xE2\\x80\\xA8",
            ),
        ] {
            assert_eq!(printable(bytes), text);
        }
        assert_eq!(utf8(b"a\x1b\xff"), "a\x1b\\xFF");
    }
}
