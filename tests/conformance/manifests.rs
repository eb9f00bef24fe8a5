//! The manifests: what each unit of a document says, in our words, and which
//! test shows it (`tests`: of the limits, `client`: of those who call), or why none does.
//!
//! A document is cut into units by [`units`]. A manifest names them by number,
//! one by one or as a run (`[23, 27]`: a block of code), and by the hash of
//! their text, so that it can be held against the document without quoting it.
//! The documents are not part of this repository: they are looked for in
//! `../shared/seeds`, or in the folder that `TOLLGATE_DOCUMENTS` names.
//!
//! To renew a manifest: `cargo test --features policy --test conformance -- --ignored
//! --nocapture print_units` prints number, hash and text of every unit, and the
//! hash of every run that a manifest names.

use serde::Deserialize;
use std::{collections::BTreeSet, env, fs, ops::RangeInclusive, path::PathBuf};

/// A document's number, its manifest, and the suites that show it: of the limits, and of
/// those who call.
const DOCUMENTS: [(&str, &str, [&str; 2]); 5] = [
    (
        "000",
        include_str!("manifest/000.toml"),
        [include_str!("doc000.rs"), include_str!("client/doc000.rs")],
    ),
    (
        "001",
        include_str!("manifest/001.toml"),
        [include_str!("doc001.rs"), include_str!("client/doc001.rs")],
    ),
    (
        "002",
        include_str!("manifest/002.toml"),
        [include_str!("doc002.rs"), include_str!("client/doc002.rs")],
    ),
    (
        "003",
        include_str!("manifest/003.toml"),
        [include_str!("doc003.rs"), include_str!("client/doc003.rs")],
    ),
    (
        "004",
        include_str!("manifest/004.toml"),
        [include_str!("doc004.rs"), include_str!("client/doc004.rs")],
    ),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    unit: Vec<Unit>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum At {
    One(usize),
    Run([usize; 2]),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unit {
    at: At,
    hash: String,
    says: String,
    #[serde(default)]
    tests: Vec<String>,
    #[serde(default)]
    client: Vec<String>,
    no_promise: Option<String>,
}

impl Unit {
    fn range(&self) -> RangeInclusive<usize> {
        match self.at {
            At::One(number) => number..=number,
            At::Run([first, last]) => first..=last,
        }
    }
}

fn manifest(text: &str) -> Manifest {
    toml::from_str(text).unwrap()
}

/// A text's units: of each line that is not empty, with its white space made
/// single spaces, the sentences; a line that begins with `|` is one row.
fn units(text: &str) -> Vec<String> {
    let mut units = Vec::new();
    for line in text.split('\n') {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut start = 0;
        if !line.starts_with('|') {
            for (at, _) in line.match_indices(['.', '!', '?']) {
                let mut rest = line[at + 1..].chars();
                // Followed by a space, and that by something but a small letter.
                let ends = rest.next() == Some(' ')
                    && rest.next().is_some_and(|c| !c.is_ascii_lowercase());
                if ends {
                    units.push(line[start..=at].to_owned());
                    start = at + 2;
                }
            }
        }
        if !line.is_empty() {
            units.push(line[start..].to_owned());
        }
    }
    units
}

/// FNV-1a, of the units of a run with line breaks between them.
fn hash(units: &[String]) -> String {
    let hash = units.join("\n").bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The units of a document, where there is one.
fn document(number: &str) -> Option<Vec<String>> {
    let folder = env::var_os("TOLLGATE_DOCUMENTS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/seeds"),
        PathBuf::from,
    );
    let prefix = format!("{number}_");
    let file = fs::read_dir(folder)
        .ok()?
        .flatten()
        .find(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)))?;
    Some(units(&fs::read_to_string(file.path()).unwrap()))
}

/// The names of a suite's tests.
fn tests(suite: &str) -> BTreeSet<&str> {
    let after = suite.split("#[test]\n").skip(1);
    after
        .filter_map(|code| code.trim_start().strip_prefix("fn ")?.split_once("()"))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn units_are_sentences_and_rows() {
    let text = "One.  Two!\n\n| a. B | c |\n- x e.g. y. 3 z? Yes\n\tcode(a. b)";
    let expected = ["One.", "Two!", "| a. B | c |", "- x e.g. y.", "3 z?", "Yes", "code(a. b)"];
    assert_eq!(units(text), expected);
    assert_eq!(hash(&[]), "cbf29ce484222325");
    assert_eq!(hash(&["a".to_owned()]), "af63dc4c8601ec8c");
}

#[test]
fn every_unit_has_one_answer_and_every_named_test_exists() {
    for (number, text, suites) in DOCUMENTS {
        let ([limits, callers], mut next) = (suites.map(tests), 0);
        for unit in manifest(text).unit {
            let says = &unit.says;
            assert!(!says.is_empty() && says.ends_with(['.', ')']), "{number}: {says}");
            assert_eq!(*unit.range().start(), next, "{number}: {says}");
            assert!(!unit.range().is_empty(), "{number}: {says}");
            next = unit.range().end() + 1;
            let answers =
                [!unit.tests.is_empty(), !unit.client.is_empty(), unit.no_promise.is_some()];
            let answers = answers.iter().filter(|answer| **answer).count();
            assert_eq!(answers, 1, "{number}: {says}");
            assert_ne!(unit.no_promise.as_deref(), Some(""), "{number}: {says}");
            for (names, tests) in [(&unit.tests, &limits), (&unit.client, &callers)] {
                for name in names {
                    assert!(tests.contains(name.as_str()), "{number}: no test {name}");
                }
            }
        }
    }
}

#[test]
fn every_test_shows_something() {
    for (number, text, [limits, callers]) in DOCUMENTS {
        let units = manifest(text).unit;
        let of_limits: BTreeSet<&String> = units.iter().flat_map(|unit| &unit.tests).collect();
        let of_callers: BTreeSet<&String> = units.iter().flat_map(|unit| &unit.client).collect();
        for (suite, named) in [(limits, of_limits), (callers, of_callers)] {
            let tests = tests(suite);
            assert!(!tests.is_empty(), "{number}: a suite without tests");
            for test in tests {
                assert!(named.contains(&test.to_owned()), "{number}: no unit names {test}");
            }
        }
    }
}

#[test]
fn no_unit_of_a_document_is_left_out() {
    for (number, text, _) in DOCUMENTS {
        let Some(document) = document(number) else {
            eprintln!("document {number} is not here: its manifest was not held against it");
            continue;
        };
        let (mut next, mut stale) = (0, Vec::new());
        for unit in manifest(text).unit {
            next = unit.range().end() + 1;
            if document.get(unit.range()).is_none_or(|units| hash(units) != unit.hash) {
                stale.push(format!("{:?} ({})", unit.range(), unit.says));
            }
        }
        assert!(stale.is_empty(), "{number}: not what the document has there: {stale:#?}");
        assert_eq!(next, document.len(), "{number}: units of the document");
    }
}

#[test]
#[ignore = "prints what a manifest is written from"]
fn print_units() {
    for (number, text, _) in DOCUMENTS {
        let Some(document) = document(number) else {
            println!("document {number} is not here");
            continue;
        };
        println!("document {number}");
        for (at, unit) in document.iter().enumerate() {
            println!("{at:4} {} {unit}", hash(std::slice::from_ref(unit)));
        }
        for unit in manifest(text).unit {
            if let (At::Run(run), Some(units)) = (&unit.at, document.get(unit.range())) {
                println!("{run:?} {}", hash(units));
            }
        }
    }
}
