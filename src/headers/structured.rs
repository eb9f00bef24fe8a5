//! The values of the IETF draft's two fields, written as RFC 9651 says.

use sfv::{Integer, KeyRef, ListSerializer, StringRef, key_ref};
use std::{borrow::Cow, fmt::Write as _, time::Duration};

const Q: &KeyRef = key_ref("q");
const QU: &KeyRef = key_ref("qu");
const W: &KeyRef = key_ref("w");
const R: &KeyRef = key_ref("r");
const T: &KeyRef = key_ref("t");

/// A list that grows in a buffer.
pub(super) struct List<'a>(ListSerializer<&'a mut String>);

impl<'a> List<'a> {
    pub(super) fn new(buffer: &'a mut String) -> Self {
        buffer.clear();
        Self(ListSerializer::with_buffer(buffer))
    }

    /// `"name";q=100;qu="content-bytes";w=60`. A unit of `requests` goes without saying.
    pub(super) fn policy(&mut self, name: &str, quota: u64, unit: &str, window: Option<Duration>) {
        let name = string(name);
        let Ok(name) = StringRef::from_str(&name) else { return };
        let item = self.0.bare_item(name).parameter(Q, integer(quota));
        let item = match StringRef::from_str(unit) {
            Ok(unit) if unit.as_str() != "requests" => item.parameter(QU, unit),
            _ => item,
        };
        // A window is never 0.
        match window.map(crate::time::secs_up).filter(|&secs| secs > 0) {
            Some(secs) => _ = item.parameter(W, integer(secs)),
            None => _ = item,
        }
    }

    /// `"name";r=50;t=30`.
    pub(super) fn service_limit(&mut self, name: &str, left: u64, secs: Option<u64>) {
        let name = string(name);
        let Ok(name) = StringRef::from_str(&name) else { return };
        let item = self.0.bare_item(name).parameter(R, integer(left));
        match secs {
            Some(secs) => _ = item.parameter(T, integer(secs)),
            None => _ = item,
        }
    }

    /// What was written, if anything was: an empty list is no field.
    pub(super) fn finish(self) -> Option<&'a str> {
        self.0.finish().map(|buffer| buffer.as_str())
    }
}

/// The largest number that can be written has fifteen digits.
fn integer(n: u64) -> Integer {
    Integer::try_from(n).unwrap_or(Integer::MAX)
}

/// Whether RFC 9651 can write the text as a String: printable ASCII.
pub(super) fn is_string(text: &str) -> bool {
    StringRef::from_str(text).is_ok()
}

/// The text itself where it can be written, else its bytes percent-encoded.
fn string(text: &str) -> Cow<'_, str> {
    if is_string(text) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_draft() {
        let mut buffer = String::from("what was there");
        let mut list = List::new(&mut buffer);
        list.policy("burst", 100, "requests", Some(Duration::from_secs(60)));
        list.policy("daily", 1000, "requests", Some(Duration::from_secs(86_400)));
        list.policy("peruser", 65_535, "content-bytes", None);
        assert_eq!(
            list.finish(),
            Some(
                r#""burst";q=100;w=60, "daily";q=1000;w=86400, "peruser";q=65535;qu="content-bytes""#
            )
        );
        let mut list = List::new(&mut buffer);
        list.service_limit("default", 50, Some(30));
        list.service_limit("other", 999, None);
        assert_eq!(list.finish(), Some(r#""default";r=50;t=30, "other";r=999"#));
        assert_eq!(List::new(&mut buffer).finish(), None);
    }

    #[test]
    fn what_cannot_be_written_is_written_otherwise() {
        let mut buffer = String::new();
        let mut list = List::new(&mut buffer);
        list.policy("\"q\" \\ 25%", u64::MAX, "ü", Some(Duration::from_millis(1)));
        list.policy("ü\r\n%\0", 1, "requests", Some(Duration::ZERO));
        assert_eq!(
            list.finish(),
            Some(r#""\"q\" \\ 25%";q=999999999999999;w=1, "%C3%BC%0D%0A%25%00";q=1"#)
        );
    }
}
