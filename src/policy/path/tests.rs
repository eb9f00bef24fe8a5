use super::*;
use proptest::prelude::*;

const DEFAULT: PathRules = PathRules {
    case: Case::Sensitive,
    trailing_slash: TrailingSlash::Ignore,
    encoded_slash: EncodedSlash::Separator,
};
const KEEP: PathRules = PathRules { trailing_slash: TrailingSlash::Keep, ..DEFAULT };
const DATA: PathRules = PathRules { encoded_slash: EncodedSlash::Data, ..DEFAULT };
const ANY_CASE: PathRules = PathRules { case: Case::Insensitive, ..DEFAULT };

fn normal(rules: PathRules, target: impl AsRef<[u8]>) -> String {
    rules.normal(target.as_ref(), &mut Scratch::default()).to_owned()
}

fn every_rule() -> impl Iterator<Item = PathRules> {
    (0..8).map(|bits| PathRules {
        case: if bits & 1 == 0 { Case::Sensitive } else { Case::Insensitive },
        trailing_slash: if bits & 2 == 0 { TrailingSlash::Ignore } else { TrailingSlash::Keep },
        encoded_slash: if bits & 4 == 0 { EncodedSlash::Separator } else { EncodedSlash::Data },
    })
}

// Each way around a limit on /v1/scans.

#[test]
fn slashes_that_are_doubled() {
    for target in ["//v1/scans", "/v1//scans", "/v1/scans//", "///v1///scans"] {
        assert_eq!(normal(DEFAULT, target), "/v1/scans", "{target}");
    }
}

#[test]
fn a_dot_segment() {
    for target in ["/v1/./scans", "/./v1/scans", "/v1/scans/.", "/v1/%2e/scans", "./v1/scans"] {
        assert_eq!(normal(DEFAULT, target), "/v1/scans", "{target}");
    }
}

#[test]
fn a_detour_through_the_parent() {
    for target in [
        "/v1/x/../scans",
        "/v1/x/%2e%2E/scans",
        "/v1/x/.%2e/scans",
        "/../v1/scans",
        "/../../v1/scans",
        "/v1/x//../scans",
        "/v1/scans/x/..",
        "/v1/x%2F..%2Fscans",
        "/x/y/../../v1/scans",
    ] {
        assert_eq!(normal(DEFAULT, target), "/v1/scans", "{target}");
    }
}

#[test]
fn letters_that_are_encoded() {
    for target in ["/v1/%73cans", "/%76%31/%73%63%61%6e%73", "/v1/%73can%73"] {
        assert_eq!(normal(DEFAULT, target), "/v1/scans", "{target}");
    }
}

#[test]
fn a_slash_at_the_end() {
    assert_eq!(normal(DEFAULT, "/v1/scans/"), "/v1/scans");
    for (target, kept) in [
        ("/v1/scans/", "/v1/scans/"),
        ("/v1/scans//", "/v1/scans/"),
        ("/v1/scans/x/..", "/v1/scans/"),
        ("/v1/scans/.", "/v1/scans/"),
        ("/v1/scans%2f", "/v1/scans/"),
        ("/v1/scans", "/v1/scans"),
        ("/", "/"),
        ("/..", "/"),
    ] {
        assert_eq!(normal(KEEP, target), kept, "{target}");
    }
}

#[test]
fn a_query_or_a_fragment() {
    for target in ["/v1/scans?x", "/v1/scans?", "/v1/scans/?a=/../b", "/v1/scans#x?y"] {
        assert_eq!(normal(DEFAULT, target), "/v1/scans", "{target}");
    }
    // An encoded one belongs to the path.
    assert_eq!(normal(DEFAULT, "/v1/scans%3Fx%23y"), "/v1/scans%3Fx%23y");
}

#[test]
fn letters_in_another_case() {
    assert_eq!(normal(DEFAULT, "/V1/SCANS"), "/V1/SCANS");
    assert_eq!(normal(ANY_CASE, "/V1/SCANS"), "/v1/scans");
    assert_eq!(normal(ANY_CASE, "/V1/%53CANS"), "/v1/scans");
    // Beyond ASCII too, escaped or not; the sign for kelvin is a letter k.
    for target in ["/\u{c4}\u{3a3}", "/\u{e4}\u{3c3}", "/%C3%84%ce%a3", "/%c3%A4%CF%83"] {
        assert_eq!(normal(ANY_CASE, target), "/\u{e4}\u{3c3}", "{target}");
    }
    assert_eq!(normal(ANY_CASE, "/to\u{212a}en"), "/token");
}

#[test]
fn a_slash_that_is_encoded() {
    for target in ["/v1%2Fscans", "/v1%2fscans", "%2fv1%2fscans%2f", "/v1%2f/scans"] {
        assert_eq!(normal(DEFAULT, target), "/v1/scans", "{target}");
    }
    for target in ["/v1%2Fscans", "/v1%2fscans", "/v1%2f%73cans"] {
        assert_eq!(normal(DATA, target), "/v1%2Fscans", "{target}");
    }
    // As data it makes no dot segments.
    assert_eq!(normal(DATA, "/v1/..%2fscans"), "/v1/..%2Fscans");
    let rules = PathRules { case: Case::Insensitive, ..DATA };
    assert_eq!(normal(rules, "/V1%2fSCANS"), "/v1%2Fscans");
    assert_eq!(normal(rules, "/V1%2f\u{c4}"), "/v1%2F\u{e4}");
}

#[test]
fn an_encoding_that_is_encoded_is_decoded_once() {
    assert_eq!(normal(DEFAULT, "/v1/%2573cans"), "/v1/%2573cans");
    assert_eq!(normal(DEFAULT, "/v1/%25%37%33cans"), "/v1/%2573cans");
    assert_eq!(normal(DEFAULT, "/v1/%252e%252e/x"), "/v1/%252e%252e/x");
    assert_eq!(normal(DEFAULT, "/v1%252Fscans"), "/v1%252Fscans");
}

#[test]
fn an_absolute_target() {
    for target in [
        "http://host/v1/scans",
        "HTTPS://user@host:8080/v1/scans?x",
        "http://[::1]:80//v1/scans",
        "http:///v1/scans",
    ] {
        assert_eq!(normal(DEFAULT, target), "/v1/scans", "{target}");
    }
    for target in ["http://host", "http://host?/v1/scans", "http://host#/x", "http://host/"] {
        assert_eq!(normal(DEFAULT, target), "/", "{target}");
    }
    assert_eq!(authority(b"http://Host:80/v1"), Some("Host:80"));
    assert_eq!(authority(b"http://host?x"), Some("host"));
    let paths = ["/v1", "//host/v1", "/http://host/v1", "v1://", "1a://host/x", "", "?a://b"];
    let without = ["http:///v1", "http://:80/v1", "http://user@/v1", "http://user@:80"];
    for target in paths.into_iter().chain(without) {
        assert_eq!(authority(target.as_bytes()), None, "{target}");
    }
    assert_eq!(authority(b"http://\xFF/"), None);
}

#[test]
fn what_is_no_path_still_has_a_normal_form() {
    for (target, path) in [
        ("", "/"),
        ("?", "/"),
        ("*", "/*"),
        ("host:443", "/host:443"),
        ("v1/scans", "/v1/scans"),
        ("/..", "/"),
        ("/.", "/"),
        ("/%", "/%25"),
        ("/%2", "/%252"),
        ("/%zz", "/%25zz"),
        ("/%%73", "/%25s"),
        ("/%25zz", "/%25zz"),
        ("/a\\..\\b", "/a\\..\\b"),
        ("/a%5Cb", "/a\\b"),
        ("/...", "/..."),
        ("/.a/..b/c.", "/.a/..b/c."),
        ("/a b+c;x=1", "/a b+c;x=1"),
    ] {
        assert_eq!(normal(DEFAULT, target), path, "{target}");
    }
}

#[test]
fn nul_and_bytes_that_are_no_text() {
    assert_eq!(normal(DEFAULT, b"/a\0b"), "/a\0b");
    assert_eq!(normal(DEFAULT, b"/a%00b"), "/a\0b");
    assert_eq!(normal(DEFAULT, b"/\xFF\xC3"), "/%FF%C3");
    assert_eq!(normal(DEFAULT, b"/%ff%c3"), "/%FF%C3");
    // An overlong slash is no slash.
    assert_eq!(normal(DEFAULT, b"/v1%C0%AFscans"), "/v1%C0%AFscans");
    // One character, half of it encoded.
    assert_eq!(normal(DEFAULT, b"/\xC3%A9"), "/\u{e9}");
    assert_eq!(normal(ANY_CASE, b"/%C3\x89"), "/\u{e9}");
}

#[test]
fn a_mebibyte_takes_linear_time() {
    let mut scratch = Scratch::default();
    for unit in ["/", "/.", "/..", "/a/..", "%2e", "%", "a", "/a", "%ff", "\u{130}"] {
        let target = format!("/{}", unit.repeat((1 << 20) / unit.len()));
        for rules in every_rule().step_by(7) {
            assert!(rules.normal(target.as_bytes(), &mut scratch).starts_with('/'));
        }
    }
    let deep = format!("{}{}", "/a".repeat(1 << 18), "/..".repeat(1 << 18));
    assert_eq!(normal(DEFAULT, deep), "/");
    // And is not kept.
    DEFAULT.normal(b"/%61", &mut scratch);
    assert!(scratch.bytes.capacity() <= KEPT && scratch.text.capacity() <= KEPT);
}

#[test]
fn what_is_normal_is_borrowed() {
    let borrowed = |rules: PathRules, target: &str| {
        let mut scratch = Scratch::default();
        let path = rules.normal(target.as_bytes(), &mut scratch);
        target.as_bytes().as_ptr_range().contains(&path.as_ptr())
    };
    for target in ["/v1/scans", "/v1/scans/", "/v1/scans?x=%20", "/", "/a.b/c..", "/\u{e9}"] {
        assert!(borrowed(DEFAULT, target), "{target}");
    }
    assert!(borrowed(DEFAULT, "http://host/v1/scans"));
    assert!(borrowed(DEFAULT, "/V1"));
    assert!(!borrowed(ANY_CASE, "/V1"));
    assert!(borrowed(KEEP, "/v1/"));
}

#[test]
fn segments_of_normal_paths() {
    let list = |path| segments(path).collect::<Vec<_>>();
    assert_eq!(list("/"), Vec::<&str>::new());
    assert_eq!(list("/a"), ["a"]);
    assert_eq!(list("/a/b"), ["a", "b"]);
    assert_eq!(list("/a/"), ["a", ""]);
}

#[test]
fn every_character_has_one_lower_case() {
    let mut scratch = Scratch::default();
    for c in ('\0'..=char::MAX).filter(|c| !c.to_lowercase().eq([*c])) {
        let path = format!("/a{}", c.to_lowercase());
        assert_eq!(ANY_CASE.normal(path.as_bytes(), &mut scratch), path, "{c:?}");
        let upper = format!("/a{c}");
        assert_eq!(ANY_CASE.normal(upper.as_bytes(), &mut scratch), path, "{c:?}");
    }
}

/// What a path means: its segments as lists of tokens (bytes, or slashes that are
/// data), and whether it ends in a slash. Slow, and one step at a time.
fn meaning(rules: PathRules, path: &[u8]) -> (Vec<Vec<u16>>, bool) {
    const DATA_SLASH: u16 = 0x100;
    let hex = |at: usize| path.get(at).and_then(|&b| char::from(b).to_digit(16));
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(&byte) = path.get(at) {
        if let (b'%', Some(high), Some(low)) = (byte, hex(at + 1), hex(at + 2)) {
            let slash = rules.encoded_slash == EncodedSlash::Data && high * 16 + low == 0x2F;
            let byte = u16::try_from(high * 16 + low).unwrap();
            tokens.push(if slash { DATA_SLASH } else { byte });
            at += 3;
        } else {
            tokens.push(u16::from(byte));
            at += 1;
        }
    }
    let slash = u16::from(b'/');
    let mut stack: Vec<Vec<u16>> = Vec::new();
    let mut directory = false;
    for segment in tokens.split(|&token| token == slash) {
        let dots = segment.iter().all(|&token| token == u16::from(b'.'));
        directory = dots && segment.len() <= 2;
        match segment.len() {
            0 | 1 if directory => {}
            2 if directory => drop(stack.pop()),
            _ => stack.push(segment.to_vec()),
        }
    }
    let ends = directory && !stack.is_empty() && rules.keeps_trailing();
    (stack, ends)
}

fn lower(rules: PathRules, (segments, ends): (Vec<Vec<u16>>, bool)) -> (Vec<Vec<u16>>, bool) {
    let fold = |token: u16| match u8::try_from(token) {
        Ok(byte) if rules.case == Case::Insensitive => byte.to_ascii_lowercase().into(),
        _ => token,
    };
    (segments.into_iter().map(|s| s.into_iter().map(fold).collect()).collect(), ends)
}

/// Paths made of the pieces that matter.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"/".to_vec()),
        2 => Just(b".".to_vec()),
        1 => Just(b"%".to_vec()),
        1 => Just(b"\\".to_vec()),
        3 => proptest::sample::select(vec!["%2e", "%2F", "%25", "%3f", "%23", "%00", "%C3", "%a9"])
            .prop_map(|text| text.as_bytes().to_vec()),
        4 => proptest::sample::select(b"abAB27eEfF35;".to_vec()).prop_map(|byte| vec![byte]),
        1 => any::<u8>().prop_filter("cut off", |b| !matches!(b, b'?' | b'#')).prop_map(|b| vec![b]),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| {
        let mut path = b"/".to_vec();
        path.extend(pieces.into_iter().flatten());
        path
    })
}

proptest! {
    #[test]
    fn normal_paths_stay_as_they_are(target in tricky()) {
        for rules in every_rule() {
            let once = normal(rules, &target);
            prop_assert_eq!(normal(rules, &once), once);
        }
    }

    #[test]
    fn any_bytes_have_a_normal_path(target in proptest::collection::vec(any::<u8>(), 0..64)) {
        for rules in every_rule() {
            let once = normal(rules, &target);
            prop_assert!(once.starts_with('/') && !once.contains("//") && !once.contains(['?', '#']));
            prop_assert_eq!(normal(rules, &once), once);
        }
    }

    /// Two targets have one normal path exactly if they mean the same.
    #[test]
    fn one_path_for_each_meaning(a in tricky(), b in tricky()) {
        for rules in every_rule().filter(|rules| rules.case == Case::Sensitive) {
            let path = normal(rules, &a);
            prop_assert_eq!(meaning(rules, path.as_bytes()), meaning(rules, &a), "{}", path);
            prop_assert_eq!(
                path == normal(rules, &b),
                meaning(rules, &a) == meaning(rules, &b)
            );
        }
    }

    #[test]
    fn case_is_all_that_is_lost(a in tricky().prop_filter("ASCII", |a| a.is_ascii())) {
        for rules in every_rule() {
            let path = normal(rules, &a);
            if path.is_ascii() && !path.contains("%C") && !path.contains("%A") {
                let meant = meaning(rules, path.as_bytes());
                prop_assert_eq!(meant, lower(rules, meaning(rules, &a)), "{}", path);
            }
        }
    }

    #[test]
    fn however_it_is_spelt(
        segments in proptest::collection::vec("[a-z0-9%?# é]{1,4}", 0..5),
        noise in proptest::collection::vec(0..5_usize, 5),
        encoded in proptest::collection::vec(any::<bool>(), 24),
    ) {
        let mut encoded = encoded.into_iter().cycle();
        let (mut plain, mut spelt) = (String::new(), String::new());
        for (segment, noise) in segments.iter().zip(noise) {
            spelt += ["/", "//", "/./", "/x/../", "/%2e/"][noise];
            plain += "/";
            for byte in segment.bytes() {
                let _ = write!(plain, "%{byte:02X}");
                if encoded.next() == Some(true) || !byte.is_ascii_alphanumeric() {
                    let _ = write!(spelt, "%{byte:02x}");
                } else {
                    spelt.push(char::from(byte));
                }
            }
        }
        prop_assert_eq!(normal(DEFAULT, spelt), normal(DEFAULT, plain));
    }
}
