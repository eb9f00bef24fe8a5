//! The values of the IETF draft's two fields, written as RFC 9651 says.
//!
//! Every response has them, so what is written here is what most of them are: a name of plain
//! letters and a few numbers. Other names are written by the crate `sfv`, which the tests
//! compare all of it with.

use sfv::{ItemSerializer, StringRef};
use std::{borrow::Cow, fmt::Write as _, time::Duration};

/// The largest number that can be written: it has fifteen digits.
const LARGEST: u64 = 999_999_999_999_999;

/// A list that grows in a buffer.
pub(super) struct List<'a>(&'a mut String);

impl<'a> List<'a> {
    pub(super) fn new(buffer: &'a mut String) -> Self {
        buffer.clear();
        Self(buffer)
    }

    /// `"name";q=100;qu="content-bytes";w=60`. A unit of `requests` goes without saying.
    pub(super) fn policy(&mut self, name: &str, quota: u64, unit: &str, window: Option<Duration>) {
        self.item(name);
        self.number(";q=", quota);
        if unit != "requests" && is_string(unit) {
            self.0.push_str(";qu=");
            self.string(unit);
        }
        // Whole seconds: of 10/s with a burst of 3, `q=3;w=1` would tell a third of the truth.
        let window = window.filter(|&window| window >= Duration::from_secs(1));
        if let Some(secs) = window.map(crate::time::secs_up) {
            self.number(";w=", secs);
        }
    }

    /// `"name";r=50;t=30`.
    pub(super) fn service_limit(&mut self, name: &str, left: u64, secs: Option<u64>) {
        self.item(name);
        self.number(";r=", left);
        if let Some(secs) = secs {
            self.number(";t=", secs);
        }
    }

    /// What was written, if anything was: an empty list is no field.
    pub(super) fn finish(self) -> Option<&'a str> {
        (!self.0.is_empty()).then_some(self.0)
    }

    fn item(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        self.string(name);
    }

    fn string(&mut self, text: &str) {
        let plain = |c: u8| matches!(c, b' '..=b'~') && c != b'"' && c != b'\\';
        if text.bytes().all(plain) {
            self.0.extend(["\"", text, "\""]);
        } else if let Ok(text) = StringRef::from_str(&string(text)) {
            let _ = ItemSerializer::with_buffer(&mut *self.0).bare_item(text).finish();
        }
    }

    fn number(&mut self, key: &str, number: u64) {
        let mut digits = itoa::Buffer::new();
        self.0.extend([key, digits.format(number.min(LARGEST))]);
    }
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

    /// What is written here is what the crate `sfv` writes.
    #[test]
    fn all_of_it_is_as_sfv_has_it() {
        use sfv::{Integer, ListSerializer, key_ref};
        let names = ["", "api", "a b", "per \"key\"", "\\", "ü", "tab\t", "100 %", "~", "\u{7f}"];
        let numbers = [0, 1, 999, 1_000, LARGEST - 1, LARGEST, LARGEST + 1, u64::MAX];
        let integer = |n: u64| Integer::try_from(n).unwrap_or(Integer::MAX);
        for unit in ["requests", "content-bytes", "a \"b\""] {
            let (mut ours, mut theirs) = (String::new(), ListSerializer::new());
            let mut list = List::new(&mut ours);
            for (name, number) in names.iter().flat_map(|name| numbers.map(|n| (name, n))) {
                let secs = number.min(u64::from(u32::MAX));
                list.policy(name, number, unit, Some(Duration::from_secs(secs)));
                list.service_limit(name, number, Some(number));
                list.service_limit(name, number, None);
                let name = string(name);
                let name = StringRef::from_str(&name).unwrap();
                let item = theirs.bare_item(name).parameter(key_ref("q"), integer(number));
                let item = match unit {
                    "requests" => item,
                    unit => item.parameter(key_ref("qu"), StringRef::from_str(unit).unwrap()),
                };
                _ = if secs > 0 { item.parameter(key_ref("w"), integer(secs)) } else { item };
                let item = theirs.bare_item(name).parameter(key_ref("r"), integer(number));
                let _ = item.parameter(key_ref("t"), integer(number));
                let _ = theirs.bare_item(name).parameter(key_ref("r"), integer(number));
            }
            assert_eq!(list.finish().map(str::to_owned), theirs.finish());
        }
    }

    #[test]
    fn what_cannot_be_written_is_written_otherwise() {
        let mut buffer = String::new();
        let mut list = List::new(&mut buffer);
        list.policy("\"q\" \\ 25%", u64::MAX, "ü", Some(Duration::from_millis(999)));
        list.policy("ü\r\n%\0", 1, "requests", Some(Duration::ZERO));
        assert_eq!(
            list.finish(),
            Some(r#""\"q\" \\ 25%";q=999999999999999, "%C3%BC%0D%0A%25%00";q=1"#)
        );
    }
}
