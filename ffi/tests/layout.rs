//! The header as compilers see it: under each standard, with the layout that Rust has, and
//! with the symbols that the libraries export.

mod support;

use std::{collections::BTreeSet, fmt::Write as _, fs, process::Command};
use support::{
    SOURCES, STRICT, crate_folder, expanded, exported, has, libraries, root, run, scratch, source,
};

#[test]
fn header_compiles_under_every_standard() {
    let into = scratch("standards");
    let empty = into.join("only.c");
    fs::write(&empty, "#include <tollgate.h>\nint main(void) { return TOLLGATE_OK; }\n").unwrap();
    let programs = [
        ("gcc", "c", &["c99", "c11", "c17"][..]),
        ("g++", "c++", &["c++11", "c++14", "c++17", "c++20"]),
    ];
    for (compiler, language, standards) in programs {
        for standard in standards.iter().filter(|_| has(compiler)) {
            run(Command::new(compiler)
                .args(STRICT)
                .args(["-Wconversion", "-Wstrict-aliasing", "-fsyntax-only", "-x", language])
                .arg(format!("-std={standard}"))
                .arg("-I")
                .arg(root().join("include"))
                .arg(&empty));
        }
    }
}

/// The structs of the sources that are `repr(C)`, with the names of their fields.
fn structs() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for name in SOURCES {
        let text = expanded(name);
        for (at, _) in text.match_indices("#[repr(C)]") {
            let rest = &text[at..];
            let start = rest.find("pub struct ").unwrap() + "pub struct ".len();
            let (name, body) = rest[start..].split_once(" {").unwrap();
            let body = &body[..body.find("\n}").unwrap()];
            let fields = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
            let fields = fields.map(|field| field.split(':').next().unwrap().to_owned());
            found.push((name.to_owned(), fields.collect()));
        }
    }
    found
}

/// Rust says what it has: a program of the very struct definitions, compiled by rustc,
/// writes the assertions that gcc is to check.
#[test]
fn layouts_agree() {
    if !has("gcc") {
        return;
    }
    let into = scratch("layout");
    let structs = structs();
    assert!(structs.len() > 12, "{structs:?}");
    let mut program = String::from(
        "#![allow(dead_code, non_camel_case_types)]\nuse std::{mem, ffi::{c_void, c_char}};\n\
         pub struct tollgate_region;\n",
    );
    for name in SOURCES {
        let text = expanded(name);
        for (at, _) in text.match_indices("#[repr(C)]") {
            let end = text[at..].find("\n}").unwrap() + 3;
            program += &text[at..at + end];
        }
    }
    program += "fn main() {\n";
    for (name, fields) in &structs {
        let _ = writeln!(
            program,
            "println!(\"_Static_assert(sizeof({name}) == {{}} && _Alignof({name}) == {{}}, \\\"{name}\\\");\", \
             mem::size_of::<{name}>(), mem::align_of::<{name}>());"
        );
        for field in fields {
            let _ = writeln!(
                program,
                "println!(\"_Static_assert(offsetof({name}, {field}) == {{}}, \\\"{name}.{field}\\\");\", \
                 mem::offset_of!({name}, {field}));"
            );
        }
        assert!(fields.iter().all(|field| field != "size") || fields[0] == "size", "{name}");
    }
    program += "}\n";
    fs::write(into.join("layout.rs"), program).unwrap();
    run(Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .arg(into.join("layout"))
        .arg(into.join("layout.rs")));
    let assertions = run(&mut Command::new(into.join("layout")));
    assert!(assertions.lines().count() > 80, "{assertions}");
    fs::write(
        into.join("layout.c"),
        format!("#include <tollgate.h>\n{assertions}int main(void) {{ return 0; }}\n"),
    )
    .unwrap();
    run(Command::new("gcc")
        .args(["-std=c11", "-fsyntax-only", "-I"])
        .arg(root().join("include"))
        .arg(into.join("layout.c")));
}

#[test]
fn one_macro_exports() {
    let names = exported();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for entry in fs::read_dir(crate_folder().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = source(name);
        let [marks, uses] = ["no_mangle", "export! {"].map(|word| text.matches(word).count());
        if name == "boundary" {
            assert_eq!(marks, 1, "only the macro exports");
        } else {
            assert_eq!(marks, 0, "{name} exports beside the macro");
            assert!(uses == 0 || SOURCES.contains(&name), "{name} is not in the header");
        }
        assert!(!text.contains("extern \"C\"") || name == "boundary", "{name}");
        assert!(!text.contains("export_name"), "{name}");
    }
    // What the header declares is what is exported.
    let header = fs::read_to_string(root().join("include/tollgate.h")).unwrap();
    let declared = |name: &String| header.contains(&format!("{name}("));
    assert!(names.iter().all(declared));
    assert_eq!(header.matches("TOLLGATE_NOEXCEPT;").count(), names.len());
}

#[test]
fn only_our_symbols_are_exported() {
    if !has("nm") {
        return;
    }
    let library = libraries(true).join("libtollgate.so");
    let printed = run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    let symbols: Vec<_> =
        printed.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(symbols, exported());
    let printed = run(Command::new("readelf").arg("-d").arg(&library));
    assert!(printed.contains("Library soname: [libtollgate.so.0]"), "{printed}");
}
