//! What the tests of `replay --policy` share.

use super::{Run, tollgate, words};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};
use tempfile::TempDir;

pub(super) const LOGS: &str = "tests/conformance/logs";

/// Each log, with what it needs to be told: see `make-logs.py` beside them.
pub(super) const FIVE: [(&str, &str); 5] = [
    ("000-document-scanning", "--field host=ident --field account=user --field ip=client"),
    (
        "001-file-library",
        "--field auth=ident --field customer=user --field ip=client \
         --map tests/conformance/logs/001-tiers.csv --set files=20 --set bytes=500000000 \
         --set image_bytes=5000000 --set document_bytes=1000000",
    ),
    ("002-document-rewriting", "--field ip=client --field user=user"),
    ("003-url-scanning", "--field org=user"),
    ("004-software-licensing", "--field ip=client --field token=user"),
];

pub(super) fn report(text: &str) -> Value {
    let (code, out, err) = words(text);
    assert_eq!((code, &*err), (Some(0), ""), "{text}");
    serde_json::from_str(&out).unwrap()
}

pub(super) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} of {value}"))
}

/// A number of each limit, where it is not 0.
pub(super) fn of_each(report: &Value, what: &str) -> BTreeMap<String, u64> {
    let limits = report["limits"].as_array().unwrap().iter();
    let each =
        limits.map(|limit| (limit["name"].as_str().unwrap().to_owned(), number(limit, what)));
    each.filter(|(_, count)| *count > 0).collect()
}

pub(super) fn counts(all: &[(&str, u64)]) -> BTreeMap<String, u64> {
    all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// A folder with a policy and a log.
pub(super) struct Room(pub(super) TempDir);

impl Room {
    pub(super) fn new(policy: &str, log: &str) -> Self {
        let room = Self(TempDir::new().unwrap());
        room.put("policy.toml", policy);
        room.put("a.log", log);
        room
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn words(&self, text: &str) -> Run {
        let here = |word: &str| match word.split_once('@') {
            Some((before, name)) => format!("{before}{}", self.path(name).display()),
            None => word.to_owned(),
        };
        let base = ["replay", "--policy", "@policy.toml", "@a.log"];
        tollgate(base.into_iter().chain(text.split_whitespace()).map(here))
    }

    pub(super) fn report(&self, text: &str) -> Value {
        let (code, out, err) = self.words(&format!("--format json {text}"));
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str(&out).unwrap()
    }
}

pub(super) fn line(client: &str, user: &str, time: &str, bytes: &str) -> String {
    format!("{client} - {user} [{time} +0000] \"GET /a?b HTTP/1.1\" 200 {bytes}\n")
}
