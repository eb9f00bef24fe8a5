//! `include/tollgate.h` is what cbindgen makes of the sources, byte for byte.
//!
//! cbindgen does not look into macros, so what it reads is not the source but what
//! `export!` makes of it, as far as a header is concerned: `expanded` writes that.

mod support;

use std::{env, fs};
use support::{SOURCES, crate_folder, expanded, root, scratch};

const RENEW: &str = "TOLLGATE_RENEW=1 cargo test -p tollgate-ffi --test header";

fn generated() -> String {
    let source = scratch("header").join("expanded.rs");
    let text: Vec<String> = SOURCES.iter().map(|name| expanded(name)).collect();
    fs::write(&source, text.concat()).unwrap();
    let mut config = cbindgen::Config::from_file(crate_folder().join("cbindgen.toml")).unwrap();
    config.header =
        Some(fs::read_to_string(crate_folder().join("header.txt")).unwrap().trim().to_owned());
    config.after_includes = Some(
        "\n/* No function leaves by an exception. */\n\
         #if defined(__cplusplus) && __cplusplus >= 201103L\n\
         #define TOLLGATE_NOEXCEPT noexcept\n\
         #else\n\
         #define TOLLGATE_NOEXCEPT\n\
         #endif\n\n\
         // As a length: a NUL ends the text or the key.\n\
         #define TOLLGATE_TERMINATED SIZE_MAX"
            .to_owned(),
    );
    let mut header = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(&source)
        .generate()
        .unwrap()
        .write(&mut header);
    // A minus sign is an operator, and wants parentheses in a macro.
    let lines = String::from_utf8(header).unwrap();
    lines.lines().fold(String::new(), |text, line| match line.rsplit_once(" -") {
        Some((name, number)) if name.starts_with("#define ") => {
            text + name + " (-" + number + ")\n"
        }
        _ => text + line + "\n",
    })
}

#[test]
fn header_is_what_the_sources_say() {
    let path = root().join("include/tollgate.h");
    let generated = generated();
    if env::var_os("TOLLGATE_RENEW").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let line = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "{} is not what the sources say (from line {}); renew it with\n    {RENEW}",
        path.display(),
        line.unwrap_or_default() + 1
    );
}

#[test]
fn versions_agree() {
    let header = fs::read_to_string(root().join("include/tollgate.h")).unwrap();
    let number = |name: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix(&format!("#define {name} ")));
        line.unwrap().trim().to_owned()
    };
    let version =
        ["MAJOR", "MINOR", "PATCH"].map(|part| number(&format!("TOLLGATE_VERSION_{part}")));
    assert_eq!(version.join("."), env!("CARGO_PKG_VERSION"));
    let core = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(core.contains(&format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"))));
}
