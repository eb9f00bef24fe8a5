//! Keeps the rooms apart: which module may import which, and where atomics
//! and orderings may be named (the table in the design chapter).
#![cfg(not(loom))]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What each room may name of the crate.
const MAY_IMPORT: [(&str, &[&str]); 16] = [
    ("sync", &[]),
    ("time", &["sync"]),
    ("quota", &["time"]),
    ("decision", &["time"]),
    ("algorithm", &["time", "quota", "decision"]),
    ("table", &["sync"]),
    ("region", &["sync", "time", "table"]),
    ("limiter", &["sync", "time", "quota", "decision", "algorithm", "table", "region"]),
    ("headers", &["time", "decision"]),
    ("wait", &["sync", "time", "quota", "decision", "table", "limiter"]),
    (
        "policy",
        &[
            "sync",
            "time",
            "quota",
            "decision",
            "algorithm",
            "table",
            "region",
            "limiter",
            "headers",
            "wait",
        ],
    ),
    ("client", &["time", "quota"]),
    ("tower", &["time", "decision", "limiter", "headers", "policy"]),
    ("design", &[]),
    ("guide", &[]),
    ("coming_from_governor", &[]),
];

/// The files that own an atomic, and so may name orderings.
const OWN_ATOMICS: [&str; 6] = [
    "sync.rs",
    "table/words.rs",
    "time/clock.rs",
    "region/header.rs",
    "limiter/current.rs",
    "limiter/watch.rs",
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Every library source by its path below `src`, without its tests and comments.
fn library() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
            let text = fs::read_to_string(&path).unwrap();
            // Unit tests stand last in their files.
            let code = text.split("#[cfg(all(test, not(loom)))]\nmod tests").next().unwrap();
            let code: Vec<&str> =
                code.lines().map(|line| line.split("//").next().unwrap()).collect();
            (name, code.join("\n"))
        })
        .filter(|(name, _)| !name.starts_with("bin/") && !name.ends_with("/tests.rs"))
        .collect()
}

/// The rooms of this crate that a text names: `crate::room` and `crate::{room, ...}`.
fn named(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut word) = (0, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.push(std::mem::take(&mut word)),
                    _ if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            rooms.push(word);
        } else {
            rooms.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    let first = |room: String| room.trim().split("::").next().unwrap().trim().to_owned();
    rooms.into_iter().map(first).filter(|room| !room.is_empty()).collect()
}

#[test]
fn imports_run_one_way() {
    let rooms: BTreeMap<&str, &[&str]> = MAY_IMPORT.into();
    for (name, code) in library() {
        let room = name.trim_end_matches(".rs").split('/').next().unwrap();
        if room == "lib" {
            continue;
        }
        let allowed = rooms.get(room).unwrap_or_else(|| panic!("{name}: a room without a rule"));
        for other in named(&code) {
            // Re-exports at the root are not for the inside.
            assert!(
                other == room || allowed.contains(&other.as_str()),
                "{name} names crate::{other}"
            );
        }
    }
}

#[test]
fn the_test_of_imports_sees_imports() {
    let code =
        "use crate::{\n a::{b, c},\n d,\n};\nuse crate::e::f; pub(crate) fn g(h: crate::i) {}";
    assert_eq!(named(code), ["a", "d", "e", "i"]);
}

#[test]
fn atomics_stay_with_their_owners() {
    for (name, code) in library() {
        let owner = OWN_ATOMICS.contains(&name.as_str());
        for word in
            ["Ordering::Relaxed", "Ordering::Acquire", "Ordering::Release", "Ordering::AcqRel"]
        {
            assert!(owner || !code.contains(word), "{name} names {word}");
        }
        assert!(!code.contains("SeqCst"), "{name}: see the design chapter");
        for word in ["sync::atomic", "loom::"] {
            assert!(name == "sync.rs" || !code.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn unsafe_stays_where_it_must() {
    for (name, code) in library() {
        let room = ["table/storage.rs", "table/scan.rs", "region/host.rs"].contains(&name.as_str());
        assert!(room || !code.contains("unsafe "), "{name}");
    }
}

/// The caller's side is a state machine: its middleware sends, and a thread is put to sleep
/// where it asks for that.
#[test]
fn the_client_does_no_io() {
    let ours = |name: &str| name.starts_with("client/") && name != "client/middleware.rs";
    let mut files = 0;
    for (name, code) in library().into_iter().filter(|(name, _)| ours(name)) {
        files += 1;
        for word in
            ["net::", "fs::", "io::", "process::", "tokio::", "reqwest::", "async ", "spawn("]
        {
            assert!(!code.contains(word), "{name} names {word}");
        }
        assert!(name == "client/pacer/call.rs" || !code.contains("sleep("), "{name} sleeps");
    }
    assert!(files >= 10, "{files}");
}
