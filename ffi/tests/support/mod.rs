//! Where things are, what the sources export, and how the libraries and C programs are
//! built.
#![allow(dead_code)] // each test uses some of it

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The sources that the header is made of, in the order of the header.
pub(crate) const SOURCES: [&str; 11] = [
    "version", "codes", "status", "decision", "region", "limiter", "check", "leases", "request",
    "policy", "verdict",
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

/// Builds both libraries, with debug assertions or as they are installed, and returns where
/// they lie. Not before: cargo builds no library of C for a test.
pub(crate) fn libraries(release: bool) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--lib", "--package", "tollgate-ffi", "--target-dir"]);
    command.arg(target).current_dir(root());
    if release {
        command.arg("--release");
    }
    run(&mut command);
    target.join(if release { "release" } else { "debug" })
}

/// Every warning is an error.
pub(crate) const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// What a program that links the static library needs of the system.
pub(crate) const SYSTEM: [&str; 4] = ["-lpthread", "-ldl", "-lm", "-lgcc_s"];

/// Compiles a C program of `ffi/c`.
pub(crate) fn compile(
    name: &str,
    library: &Path,
    is_static: bool,
    flags: &[&str],
    into: &Path,
) -> PathBuf {
    let program = into.join(name);
    let mut command = Command::new("gcc");
    command.args(["-std=c11", "-g", "-O1"]).args(STRICT).args(flags);
    command.arg("-I").arg(root().join("include"));
    let starter = root().join("examples/policies/starter.toml");
    command.arg(format!("-DSTARTER=\"{}\"", starter.display()));
    command.arg(crate_folder().join(format!("c/{name}.c"))).arg("-o").arg(&program);
    if is_static {
        command.arg(library.join("libtollgate.a")).args(SYSTEM);
    } else {
        // By its SONAME, as a program finds it that is installed.
        let named = into.join("libtollgate.so.0");
        fs::copy(library.join("libtollgate.so"), &named).unwrap();
        command.arg(&named).arg(format!("-Wl,-rpath,{}", into.display()));
    }
    run(&mut command);
    program
}
