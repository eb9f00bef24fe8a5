//! One line of a log in Common Log Format, with or without what Combined adds.
//!
//! `host ident user [date] "request" status bytes`, fields separated by one
//! space. What follows the bytes is not looked at.

use memchr::{memchr, memchr2, memmem};
use std::fmt;

/// Bytes of a date without its brackets: `10/Oct/2000:13:55:36 -0700`.
pub(crate) const DATE_LEN: usize = 26;

/// The fields that a replay looks at, as they stand in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) client: &'a [u8],
    pub(crate) ident: &'a [u8],
    pub(crate) user: &'a [u8],
    pub(crate) date: &'a [u8; DATE_LEN],
    /// Between the quotes, with its backslash escapes.
    pub(crate) request: &'a [u8],
    pub(crate) status: &'a [u8],
    /// Of the body that was sent; `-` for none.
    pub(crate) bytes: &'a [u8],
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Empty,
    Client,
    QuoteInClient,
    Ident,
    User,
    Date,
    Request,
    Quote,
    Status,
    Bytes,
    NoSuchDate,
    Before1970,
    After2554,
    TooLong,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the line is empty",
            Self::Client => "no client in the first field",
            Self::QuoteInClient => "a quote in the first field, which should be the client",
            Self::Ident => "no identity in the second field",
            Self::User => "no user in the third field",
            Self::Date => "no date like [10/Oct/2000:13:55:36 -0700] followed by a quoted request",
            Self::Request => "no quoted request after the date",
            Self::Quote => "the quote around the request is never closed",
            Self::Status => "no status of three digits after the request",
            Self::Bytes => "no number of bytes (or -) after the status",
            Self::NoSuchDate => "there is no such date or time",
            Self::Before1970 => "the time is before 1970",
            Self::After2554 => "the time is after July 2554, as far as nanoseconds count",
            Self::TooLong => "the line is longer than 64 KiB",
        })
    }
}

impl<'a> Line<'a> {
    /// Reads a line without its LF. The text may be anything at all.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, Unreadable> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(Unreadable::Empty);
        }
        let (client, rest) = field(line).ok_or(Unreadable::Client)?;
        if memchr(b'"', client).is_some() {
            return Err(Unreadable::QuoteInClient);
        }
        let (ident, rest) = field(rest).ok_or(Unreadable::Ident)?;
        let (user, date, rest) = user_and_date(rest)?;
        let (request, rest) = quoted(rest)?;
        let (status, bytes) = status_and_bytes(rest)?;
        Ok(Self { client, ident, user, date, request, status, bytes })
    }

    /// The method and the target of a request `METHOD target [PROTOCOL]`;
    /// `None` of anything else, such as what a port scanner sends.
    pub(crate) fn method_and_target(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (method, rest) = field(self.request)?;
        let (target, protocol) = match memchr(b' ', rest) {
            None => (rest, None),
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        };
        let one_word = |word: &[u8]| !word.is_empty() && memchr(b' ', word).is_none();
        (one_word(target) && protocol.is_none_or(one_word)).then_some((method, target))
    }

    /// The target up to its query.
    pub(crate) fn path(target: &'a [u8]) -> &'a [u8] {
        memchr(b'?', target).map_or(target, |at| &target[..at])
    }
}

/// A word that is not empty, and what follows the space after it.
fn field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    match memchr(b' ', text) {
        None | Some(0) => None,
        Some(at) => Some((&text[..at], &text[at + 1..])),
    }
}

/// The user, the date, and what follows the quote that opens the request.
type UserAndDate<'a> = (&'a [u8], &'a [u8; DATE_LEN], &'a [u8]);

/// The user may hold spaces and brackets. It ends where `[date] "` follows:
/// servers escape quotes in a user, so that no user can look like that.
fn user_and_date(text: &[u8]) -> Result<UserAndDate<'_>, Unreadable> {
    let mut date_seen = false;
    for at in memmem::find_iter(text, b" [") {
        let Some((date, rest)) = text[at + 2..].split_first_chunk::<DATE_LEN>() else {
            break;
        };
        if date_shaped(date) && rest.first() == Some(&b']') {
            date_seen = true;
            if let Some(request) = rest.strip_prefix(b"] \"") {
                return if at == 0 {
                    Err(Unreadable::User)
                } else {
                    Ok((&text[..at], date, request))
                };
            }
        }
    }
    Err(if date_seen {
        Unreadable::Request
    } else if text.is_empty() || text[0] == b'[' {
        Unreadable::User
    } else {
        Unreadable::Date
    })
}

/// `dd/Mon/yyyy:hh:mm:ss +zzzz` by its marks and digits alone.
fn date_shaped(date: &[u8; DATE_LEN]) -> bool {
    const SHAPE: &[u8; DATE_LEN] = b"00/aaa/0000:00:00:00 +0000";
    date.iter().zip(SHAPE).all(|(is, wanted)| match wanted {
        b'0' => is.is_ascii_digit(),
        b'a' => is.is_ascii_alphabetic(),
        b'+' => matches!(is, b'+' | b'-'),
        mark => is == mark,
    })
}

/// What stands before the first quote that no backslash escapes, and what follows it.
fn quoted(text: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let mut from = 0;
    while let Some(at) = memchr2(b'"', b'\\', &text[from..]).map(|at| from + at) {
        if text[at] == b'"' {
            return Ok((&text[..at], &text[at + 1..]));
        }
        // The byte after a backslash is never a quote that closes.
        from = at + 2;
        if from > text.len() {
            break;
        }
    }
    Err(Unreadable::Quote)
}

fn status_and_bytes(text: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let text = text.strip_prefix(b" ").ok_or(Unreadable::Status)?;
    if digits(text) != 3 {
        return Err(Unreadable::Status);
    }
    let (status, text) = text.split_at(3);
    let text = match text.split_first() {
        Some((b' ', text)) => text,
        Some(_) => return Err(Unreadable::Status),
        None => return Err(Unreadable::Bytes),
    };
    let end = if text.first() == Some(&b'-') { 1 } else { digits(text) };
    if end > 0 && matches!(text.get(end), None | Some(b' ')) {
        Ok((status, &text[..end]))
    } else {
        Err(Unreadable::Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "10/Oct/2000:13:55:36 -0700";

    fn fails(line: &str) -> Unreadable {
        Line::parse(line.as_bytes()).unwrap_err()
    }

    fn user_of(user: &str) -> Result<String, Unreadable> {
        let text = format!("h - {user} [{DATE}] \"GET / HTTP/1.1\" 200 1");
        Line::parse(text.as_bytes()).map(|line| String::from_utf8_lossy(line.user).into_owned())
    }

    fn request_of(quoted: &str) -> Result<String, Unreadable> {
        let text = format!("h - - [{DATE}] \"{quoted}\" 200 1");
        Line::parse(text.as_bytes()).map(|line| String::from_utf8_lossy(line.request).into_owned())
    }

    #[test]
    fn common_and_combined() {
        for tail in ["", " \"-\" \"curl\"", " anything \" at all", " ", "\r", " x\r"] {
            let text = format!("127.0.0.1 - frank [{DATE}] \"GET /a?b HTTP/1.0\" 200 2326{tail}");
            let line = Line::parse(text.as_bytes()).unwrap();
            assert_eq!(line.client, b"127.0.0.1");
            assert_eq!(line.user, b"frank");
            assert_eq!(line.date, DATE.as_bytes());
            assert_eq!(line.request, b"GET /a?b HTTP/1.0");
            let (method, target) = line.method_and_target().unwrap();
            assert_eq!((method, Line::path(target)), (&b"GET"[..], &b"/a"[..]));
        }
    }

    #[test]
    fn every_cut_of_a_line_is_told_apart() {
        let line = format!("h i u [{DATE}] \"GET / HTTP/1.1\" 200 12");
        for cut in 0..line.len() - 1 {
            let why = fails(&line[..cut]);
            let expected = match cut {
                0 => Unreadable::Empty,
                1 => Unreadable::Client,
                2..4 => Unreadable::Ident,
                4 => Unreadable::User,
                5..34 => Unreadable::Date,
                34..36 => Unreadable::Request,
                36..51 => Unreadable::Quote,
                51..55 => Unreadable::Status,
                _ => Unreadable::Bytes,
            };
            assert_eq!(why, expected, "{:?}", &line[..cut]);
        }
        assert!(Line::parse(line.as_bytes()).is_ok());
        // One digit of the bytes is as good as two.
        assert!(Line::parse(&line.as_bytes()[..line.len() - 1]).is_ok());
    }

    #[test]
    fn a_client_holds_no_quote() {
        for client in ["\"127.0.0.1\"", "\"127.0.0.1", "a\"b", "\""] {
            let line = format!("{client} - - [{DATE}] \"GET / HTTP/1.1\" 200 1");
            assert_eq!(fails(&line), Unreadable::QuoteInClient, "{client}");
        }
    }

    #[test]
    fn a_user_ends_before_the_date() {
        assert_eq!(user_of("-").unwrap(), "-");
        assert_eq!(user_of("mary ann").unwrap(), "mary ann");
        assert_eq!(user_of("a [b] c").unwrap(), "a [b] c");
        assert_eq!(user_of("[x").unwrap(), "[x");
        assert_eq!(user_of(&format!("x [{DATE}]")).unwrap(), format!("x [{DATE}]"));
        assert_eq!(user_of(&format!("x [{DATE}] \\\"y")).unwrap(), format!("x [{DATE}] \\\"y"));
        assert_eq!(user_of("").unwrap_err(), Unreadable::User);
        assert_eq!(fails(&format!("h - [{DATE}] \"GET /\" 200 1")), Unreadable::User);
    }

    #[test]
    fn a_date_has_one_shape() {
        for date in [
            "1/Oct/2000:13:55:36 -0700",
            "10/10/2000:13:55:36 -0700",
            "10/Oct/00:13:55:36 -0700",
            "10/Oct/2000 13:55:36 -0700",
            "10/Oct/2000:13:55:36",
            "10/Oct/2000:13:55:36 0700",
            "10/Oct/2000:13:55:36 -07:00",
            "",
        ] {
            assert_eq!(
                fails(&format!("h - - [{date}] \"GET /\" 200 1")),
                Unreadable::Date,
                "{date}"
            );
        }
        assert_eq!(fails(&format!("h - - [{DATE}] GET / 200 1")), Unreadable::Request);
        assert_eq!(fails(&format!("h - - [{DATE}]  \"GET /\" 200 1")), Unreadable::Request);
    }

    #[test]
    fn the_first_plain_quote_closes() {
        assert_eq!(request_of("").unwrap(), "");
        assert_eq!(request_of("-").unwrap(), "-");
        assert_eq!(request_of(r#"GET /\"x\" HTTP/1.1"#).unwrap(), r#"GET /\"x\" HTTP/1.1"#);
        assert_eq!(request_of(r"GET /\\").unwrap(), r"GET /\\");
        assert_eq!(request_of(r"\x16\x03").unwrap(), r"\x16\x03");
        assert_eq!(request_of(r#"GET /a"b HTTP/1.1"#).unwrap_err(), Unreadable::Status);
        assert_eq!(request_of(r"GET /\").unwrap_err(), Unreadable::Quote);
        assert_eq!(fails(&format!("h - - [{DATE}] \"GET /\\")), Unreadable::Quote);
        assert_eq!(fails(&format!("h - - [{DATE}] \"GET /\\\"")), Unreadable::Quote);
    }

    #[test]
    fn status_and_bytes_are_numbers() {
        let tail = |tail: &str| {
            Line::parse(format!("h - - [{DATE}] \"GET /\"{tail}").as_bytes()).map(drop)
        };
        for good in [" 200 0", " 000 -", " 404 - x", " 200 99999999999999999999999"] {
            assert_eq!(tail(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "200 1", " 20 1", " 2000 1", " 2x0 1", "  200 1", " - 1", " 200\t1"] {
            assert_eq!(tail(bad), Err(Unreadable::Status), "{bad}");
        }
        for bad in
            [" 200", " 200 ", " 200 x", " 200 1x", " 200 --", " 200  1", " 200 -1", " 200 +1"]
        {
            assert_eq!(tail(bad), Err(Unreadable::Bytes), "{bad}");
        }
    }

    #[test]
    fn a_request_is_two_or_three_words() {
        let words = |request: &str| {
            let line = Line {
                client: b"h",
                ident: b"-",
                user: b"-",
                date: b"10/Oct/2000:13:55:36 -0700",
                request: request.as_bytes(),
                status: b"200",
                bytes: b"1",
            };
            line.method_and_target()
                .map(|(m, t)| (m.escape_ascii().to_string(), t.escape_ascii().to_string()))
        };
        let got = |m: &str, t: &str| Some((m.to_owned(), t.to_owned()));
        assert_eq!(words("GET /x HTTP/1.1"), got("GET", "/x"));
        assert_eq!(words("GET /x"), got("GET", "/x"));
        assert_eq!(words("OPTIONS * HTTP/1.1"), got("OPTIONS", "*"));
        for other in
            ["", "-", "GET", "GET ", " /x", "GET  /x", "GET /x ", "GET /x y HTTP/1.1", "GET /x  H"]
        {
            assert_eq!(words(other), None, "{other:?}");
        }
        assert_eq!(Line::path(b"/a?b?c"), b"/a");
        assert_eq!(Line::path(b"?b"), b"");
        assert_eq!(Line::path(b"*"), b"*");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(noise in proptest::collection::vec(0..=255_u8, 0..200)) {
            let _ = Line::parse(&noise);
        }

        /// A good line with a few bytes changed, cut or repeated.
        #[test]
        fn no_near_miss_makes_it_panic(
            edits in proptest::collection::vec((0..70_usize, 0..4_u8, 0..=255_u8), 0..6),
        ) {
            let mut text = format!("::1 - a b [{DATE}] \"GET /\\\" HTTP/1.1\" 200 -").into_bytes();
            for (at, edit, byte) in edits {
                let at = at.min(text.len());
                match edit {
                    0 => text.truncate(at),
                    1 => text.insert(at, byte),
                    2 => text.insert(at, b"\\\" [] "[usize::from(byte) % 6]),
                    _ => drop(text.splice(at..(at + 1).min(text.len()), [byte])),
                }
            }
            if let Ok(line) = Line::parse(&text) {
                let _ = line.method_and_target();
                let _ = crate::date::Dates::default().read(line.date);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_fine() {
        let mut text = format!("\0h - - [{DATE}] \"GET /a").into_bytes();
        text.extend_from_slice(b"\xff\0\xfe HTTP/1.1\" 200 1");
        let line = Line::parse(&text).unwrap();
        assert_eq!(line.client, b"\0h");
        assert_eq!(line.request, b"GET /a\xff\0\xfe HTTP/1.1");
    }
}
