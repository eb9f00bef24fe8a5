//! Names and values as messages show them, and the nearest known name.

/// So much of a text is shown.
const SHOWN: usize = 60;

/// Names longer than this are not compared: nobody misspells those.
const COMPARED: usize = 40;

/// A name as messages show it, cut and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        match c {
            '\'' | '"' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// `a`, `b` and `c`.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> =
        names.into_iter().take(12).map(|n| format!("`{}`", shown(n))).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// "did you mean", if any of the known names is near.
pub(super) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, known).map(|known| format!("did you mean `{}`?", shown(known)))
}

/// What others call what is called something else here.
const ALSO_CALLED: [(&str, &str); 27] = [
    ("limit", "quota"),
    ("rate", "quota"),
    ("max", "quota"),
    ("requests", "quota"),
    ("by", "key"),
    ("type", "kind"),
    ("type", "algorithm"),
    ("strategy", "algorithm"),
    ("timezone", "zone"),
    ("code", "status"),
    ("if", "when"),
    ("except", "unless"),
    ("timeout", "ttl"),
    ("duration", "ttl"),
    ("message", "body"),
    ("count", "denials"),
    ("string", "text"),
    ("address", "ip"),
    ("ipv4", "ip"),
    ("ipv6", "ip"),
    ("token-bucket", "gcra"),
    ("leaky-bucket", "gcra"),
    ("sliding-window", "sliding-log"),
    ("fixed-window", "calendar"),
    ("concurrency", "leases"),
    ("concurrent", "leases"),
    ("disabled", "shadow"),
];

/// The known name that is meant by another one, or that the fewest slips of the pen turn
/// into `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = letters(name)?;
    let known: Vec<&str> = known.into_iter().take(2000).collect();
    let also = ALSO_CALLED.iter().filter(|(other, _)| other.chars().eq(name.iter().copied()));
    let mut also = also.filter_map(|(_, ours)| known.iter().find(|known| **known == *ours));
    if let Some(ours) = also.next() {
        return Some(ours);
    }
    known
        .into_iter()
        .filter_map(|known| {
            let other = letters(known)?;
            let most = (name.len().max(other.len()) / 3).clamp(1, 3);
            let slips = (name.len().abs_diff(other.len()) <= most).then(|| slips(&name, &other))?;
            (slips <= most && slips < name.len()).then_some((slips, known))
        })
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}

/// What two spellings of one name have in common.
fn letters(name: &str) -> Option<Vec<char>> {
    let letters = name.chars().take(COMPARED + 1).map(|c| match c {
        '_' => '-',
        c => c.to_ascii_lowercase(),
    });
    let letters: Vec<char> = letters.collect();
    (letters.len() <= COMPARED).then_some(letters)
}

/// The distance of optimal string alignment: letters put in, left out, changed, and
/// neighbours exchanged.
fn slips(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut a_before = None;
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        let mut b_before = None;
        let (mut left, mut corner) = (i + 1, i);
        for (j, y) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let mut best = (corner + usize::from(x != y)).min(above + 1).min(left + 1);
            if a_before == Some(y) && b_before == Some(x) && x != y {
                let exchanged = j.checked_sub(1).and_then(|j| before.get(j));
                best = exchanged.map_or(best, |slips| best.min(slips + 1));
            }
            next.push(best);
            (left, corner) = (best, above);
            b_before = Some(y);
        }
        before = std::mem::replace(&mut row, next);
        a_before = Some(x);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        let slips = |a: &str, b: &str| {
            slips(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
        };
        for (a, b, n) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("tier", "tier", 0),
            ("teir", "tier", 1),
            ("kitten", "sitting", 3),
            ("quta", "quota", 1),
            ("quotas", "quota", 1),
            ("ab", "ba", 1),
            ("abcd", "badc", 2),
        ] {
            assert_eq!(slips(a, b), n, "{a} {b}");
            assert_eq!(slips(b, a), n, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_name_must_be_near() {
        let known = ["name", "routes", "when-full", "key"];
        for (name, found) in [
            ("nmae", Some("name")),
            ("route", Some("routes")),
            ("WHEN_FULL", Some("when-full")),
            ("ke", Some("key")),
            ("k", None),
            ("xyz", None),
            ("", None),
            (&"k".repeat(100), None),
            ("by", Some("key")),
            ("kay", Some("key")),
            ("same", Some("name")),
            ("some", None),
        ] {
            assert_eq!(nearest(name, known), found, "{name}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(shown("a\u{1b}[31m\n\"é'"), "a\\u{1b}[31m\\n\"é'");
        let long = shown(&"\0".repeat(1_000_000));
        assert!(long.len() < 4 * SHOWN && long.ends_with("..."), "{long}");
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
