//! `tollgate check`, `explain` and `replay --policy` as their users meet them.

#![cfg(not(loom))]

mod explained;
mod odd;
mod replay;
mod room;
mod written;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Exit code, standard output, standard error.
type Run = (Option<i32>, String, String);

fn tollgate<S: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = S>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(words).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn words(text: &str) -> Run {
    tollgate(text.split_whitespace())
}

fn policies() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect()
}

#[test]
fn every_example_is_valid() {
    let all = policies();
    assert!(all.len() >= 6);
    for path in all {
        let limits = fs::read_to_string(&path).unwrap().matches("\n[[limit]]").count();
        let (code, out, err) = tollgate(["check".as_ref(), path.as_os_str()]);
        assert_eq!((code, &*err), (Some(0), ""), "{path:?}");
        assert!(out.starts_with(&format!("valid: {limits} limits")), "{path:?}: {out}");
    }
}

#[test]
fn a_valid_file_is_told_with_what_it_takes() {
    let (code, out, err) = words("check examples/policies/starter.toml");
    assert_eq!((code, &*err), (Some(0), ""));
    assert_eq!(
        out,
        "\
valid: 4 limits, 1 of them in shadow
memory: 15.4 MB
  11.7 MB  requests
   2.6 MB  anonymous
   919 kB  login
   240 kB  daily
"
    );
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("policy.toml");
    let checked = |text: &str| {
        fs::write(&path, text).unwrap();
        let (code, out, err) = tollgate(["check".as_ref(), path.as_os_str()]);
        assert_eq!((code, &*err), (Some(0), ""), "{text}");
        out
    };
    // One limit needs no list.
    let dear = "[[limit]]\nname = \"dear\"\nkey = [\"host\"]\nquota = \"1000/h\"\n";
    assert_eq!(checked(dear), "valid: 1 limit\nmemory: 113 MB\n");
    let penalty = "[[penalty]]\nname = \"p\"\nkey = [\"host\"]\ndenials = 10\n\
                   within = \"1 min\"\nblocks = [\"1 h\"]\n";
    assert_eq!(
        checked(&format!("{dear}{penalty}")),
        "valid: 1 limit\nmemory: 115 MB\n  113 MB  dear\n  1.7 MB  (penalties)\n"
    );
    // Where nothing tells keys apart there is room for one.
    assert_eq!(checked(&dear.replace("[\"host\"]", "[]")), "valid: 1 limit\nmemory: 129 kB\n");
    // What keeps nothing takes nothing.
    let size =
        "[[limit]]\nname = \"s\"\nalgorithm = \"size\"\ncost = \"bytes\"\nquota = \"1 MB\"\n";
    assert_eq!(checked(size), "valid: 1 limit\n");
}

#[test]
fn every_error_is_told_with_its_place() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("wrong.toml");
    let text = "[attribute.org]\n\n[[limit]]\nname = \"a\"\nkey = [\"ogr\"]\nquota = \"10/parsec\"\n\n\
                [[limit]]\nname = \"a\"\nkey = []\nquota = \"1/s\"\ncolour = 1\n";
    fs::write(&path, text).unwrap();
    let (code, out, err) = tollgate(["check".as_ref(), path.as_os_str()]);
    assert_eq!((code, &*out), (Some(1), ""));
    let name = path.to_str().unwrap();
    let places: Vec<&str> = err
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split(": error").next())
        .collect();
    assert_eq!(places, ["5:8", "6:9", "9:8", "12:1"], "{err}");
    assert!(err.contains("did you mean `org`?"));
    // The same where a run needs the file.
    for command in ["explain --path / ", "replay --policy"] {
        let mut all: Vec<&str> = command.split_whitespace().collect();
        all.push(name);
        if command.starts_with("replay") {
            all.push("tests/data/nginx.log");
        }
        assert_eq!(tollgate(all), (Some(2), String::new(), err.clone()));
    }
}

#[test]
fn what_only_several_limits_do_wrong_is_told_as_well() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("wrong.toml");
    let limit = |name: &str| {
        format!("[[limit]]\nname = \"{name}\"\ngroup = \"g\"\nquota = \"1/s\"\nkey = []\n")
    };
    fs::write(&path, limit("a") + &limit("b")).unwrap();
    let (code, out, err) = tollgate(["check".as_ref(), path.as_os_str()]);
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(err.contains(":7:8: error: `b` and `a` (line 2)"), "{err}");
}

#[test]
fn files_that_cannot_be_read() {
    let told = |text: &str| (Some(2), String::new(), format!("tollgate: {text}\n"));
    assert_eq!(words("check nowhere.toml"), told("nowhere.toml: no such file"));
    assert_eq!(words("check src"), told("src: is a directory"));
    let (code, _, err) = words("check tests/data/nginx.log");
    assert_eq!(code, Some(1));
    assert!(err.contains(":1:1: error: no TOML") || err.contains("error"), "{err}");
}

#[test]
fn explained_by_group() {
    let (code, out, err) = words(
        "explain examples/policies/003-url-scanning.toml --method POST --path /v1//scans/?a=b \
         --attr org=initech",
    );
    assert_eq!((code, &*err), (Some(0), ""));
    assert_eq!(
        out,
        "\
POST /v1/scans

applies: create-scan (sliding-log)
  route  POST /v1/scans
  key    org = initech
  quota  100/min
  costs  1 of requests

does not apply: read-scan (sliding-log)
  no route matches: GET /v1/scans/{id}

does not apply: create-domain-risk (sliding-log)
  no route matches: POST /v1/domain-risks

does not apply: read-domain-risk (sliding-log)
  no route matches: GET /v1/domain-risks/{id}

does not apply: other (sliding-log)
  create-scan goes before it: one limit of a group applies
"
    );
}

#[test]
fn explained_by_conditions_and_what_is_missing() {
    let (code, out, err) = words(
        "explain examples/policies/starter.toml --method POST --path /login \
         --attr ip=2001:db8:1:2:3::4",
    );
    assert_eq!((code, &*err), (Some(0), ""));
    assert_eq!(
        out,
        "\
POST /login

applies: anonymous (sliding-log)
  key    ip = 2001:db8:1:2::/64
  quota  20/min
  costs  1 of requests

applies: login (sliding-log)
  route  POST /login
  key    ip = 2001:db8:1:2::/64
  quota  5/min
  costs  1 of requests

does not apply: requests (sliding-log)
  `user` should be present, and is missing

does not apply: daily (calendar)
  the request lacks `user`: it is skipped
"
    );
}

#[test]
fn explained_by_refusals_exemptions_penalties_and_stand_ins() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("policy.toml");
    let text = r#"
[attribute.ip]
kind = "ip"
[attribute.account]
[attribute.tier]
values = ["FREE", "PRO"]
[[limit]]
name = "account"
key = ["account"]
quota = { by = "tier", FREE = "1/s", PRO = "unlimited" }
missing = { limit = "address" }
mode = "shadow"
[[limit]]
name = "address"
routes = ["/login"]
key = ["ip", "route"]
quota = "5/min"
[[limit]]
name = "bytes"
unless = { tier = ["PRO"] }
key = []
algorithm = "size"
cost = "bytes"
quota = "1 MB"
[[refuse]]
name = "no-free-exports"
routes = ["/exports/**"]
when = { tier = "FREE" }
status = 402
[[exempt]]
name = "monitoring"
networks = { ip = ["10.0.0.0/8"] }
[[penalty]]
name = "ladder"
key = ["ip"]
denials = 10
within = "1 min"
blocks = ["1 h"]
"#;
    fs::write(&path, text).unwrap();
    let explain = |rest: &str| {
        let mut all = vec!["explain", path.to_str().unwrap()];
        all.extend(rest.split(' '));
        let (code, out, err) = tollgate(all);
        assert_eq!((code, &*err), (Some(0), ""));
        out
    };
    assert_eq!(
        explain("--path /x --attr ip=192.0.2.1 --attr tier=FREE"),
        "\
GET /x

may be blocked: ladder
  key    ip = 192.0.2.1

denied: bytes needs `bytes`, which the request lacks

applies: address (sliding-log)
  in the place of account
  key    ip = 192.0.2.1, route = /**
  quota  5/min
  costs  1 of requests

does not apply: account (sliding-log)
  the request lacks `account`: address applies instead

does not apply: address (sliding-log)
  no route matches: /login

does not apply: bytes (size)
  the request lacks `bytes`: the request is denied
"
    );
    let out = explain("--path /exports/1 --attr ip=10.1.1.1 --attr tier=FREE --attr account=a");
    assert!(out.contains("\nrefused: no-free-exports (402)\n") && !out.contains("exempt"), "{out}");
    let out = explain("--path / --attr ip=10.1.1.1 --attr tier=PRO --attr account=a");
    assert!(out.contains("\nexempt: monitoring\n"), "{out}");
    assert!(out.contains("  quota  unlimited\n"), "{out}");
    assert!(out.contains("  shadow: it reports, and denies nothing\n"), "{out}");
    assert!(out.contains("  `tier` should be not PRO, and is PRO\n"), "{out}");
}

#[test]
fn slips_in_what_is_to_be_explained() {
    const POLICY: &str = "examples/policies/001-file-library.toml";
    for (rest, told) in [
        (
            "--attr teir=FREE",
            "--attr teir=FREE: the policy has no attribute `teir`; it has auth, customer, tier, ip",
        ),
        ("--attr tier", "--attr tier: expected a name, = and a value"),
        ("--attr =FREE", "--attr =FREE: expected a name, = and a value"),
        ("--cost files=many", "--cost files=many: expected a number of files"),
        ("--cost files=-1", "--cost files=-1: expected a number of files"),
        (
            "--cost parsecs=1",
            "--cost parsecs=1: the policy has no cost `parsecs`; it has files, bytes, image_bytes, document_bytes",
        ),
    ] {
        let run = words(&format!("explain {POLICY} --path / {rest}"));
        assert_eq!(run, (Some(2), String::new(), format!("tollgate: {told}\n")));
    }
    let (code, _, err) = words(&format!("explain {POLICY}"));
    assert_eq!(code, Some(2));
    assert!(err.contains("--path <PATH>"), "{err}");
}
