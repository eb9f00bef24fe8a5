//! Where things are, what the sources export, and how the libraries and C programs are
//! built.
#![allow(dead_code)] // each test uses some of it

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The sources that the header is made of, in the order of the header.
pub(crate) const SOURCES: [&str; 10] = [
    "version", "codes", "status", "decision", "limiter", "check", "leases", "request", "policy",
    "verdict",
];

pub(crate) fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn root() -> &'static Path {
    crate_folder().parent().unwrap()
}

/// An empty folder of that name.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub(crate) fn source(name: &str) -> String {
    fs::read_to_string(crate_folder().join(format!("src/{name}.rs"))).unwrap()
}

/// A source with what `export!` makes of each function, for cbindgen.
pub(crate) fn expanded(name: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in source(name).lines() {
        match line {
            "export! {" => inside = true,
            "}" if inside => inside = false,
            // Of the file, which is only a part here.
            line if line.starts_with("//!") => {}
            line => {
                let line = if inside { line.strip_prefix("    ").unwrap_or(line) } else { line };
                if inside && line.starts_with("fn ") {
                    text.push_str("#[unsafe(no_mangle)] pub unsafe extern \"C\" ");
                }
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    assert!(!inside, "{name}: an export! that does not end");
    text
}

/// The names of the functions that the sources export.
pub(crate) fn exported() -> Vec<String> {
    let mut names = Vec::new();
    for name in SOURCES {
        let text = source(name);
        for (at, _) in text.match_indices("\nexport! {\n") {
            let rest = &text[at..];
            let function = &rest[rest.find("    fn ").unwrap() + "    fn ".len()..];
            names.push(function[..function.find('(').unwrap()].to_owned());
        }
    }
    names.sort();
    names
}

/// Runs a command, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Whether there is such a program. `.ci/ffi` sets `TOLLGATE_ALL_TOOLS`: then none may be
/// missing.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(found || env::var_os("TOLLGATE_ALL_TOOLS").is_none(), "{program} is missing");
    if !found {
        eprintln!("{program} is missing: left out");
    }
    found
}

/// Builds the libraries with `cargo rustc`-like arguments, and returns the folder of both.
pub(crate) fn libraries(arguments: &[&str], profile: &str) -> PathBuf {
    // A folder of its own: the one that holds this test is locked while cargo runs it.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libraries");
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--lib", "--manifest-path"])
        .arg(crate_folder().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .args(arguments));
    target.join(profile)
}
