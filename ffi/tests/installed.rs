//! The library as it is installed: found by pkg-config and by `CMake`, shared and static; and
//! the README's programs, word for word.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};
use support::{STRICT, crate_folder, exported, has, root, run, scratch};

/// Installs into an empty folder.
fn install(name: &str, options: &[&str]) -> PathBuf {
    let prefix = scratch(name);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    run(Command::new(crate_folder().join("install.sh"))
        .arg("--prefix")
        .arg(&prefix)
        .arg("--target-dir")
        .arg(target)
        .args(options)
        .env("CARGO", env!("CARGO")));
    prefix
}

/// The block of that language which the README shows first after its heading.
fn shown(language: &str) -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## From C and C++\n").unwrap();
    let (_, block) = section.split_once(&format!("\n```{language}\n")).unwrap();
    block.split_once("\n```\n").unwrap().0.to_owned() + "\n"
}

fn pkg_config(prefix: &Path, arguments: &[&str]) -> Vec<String> {
    let printed = run(Command::new("pkg-config")
        .args(arguments)
        .arg("tollgate")
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
    printed.split_whitespace().map(str::to_owned).collect()
}

fn is_login(run: impl FnOnce() -> String) {
    let begun = Instant::now();
    let printed = run();
    let passed = begun.elapsed().as_secs();
    let lines: Vec<_> = printed.lines().map(str::trim).collect();
    assert_eq!(lines[..6], ["served", "served", "served", "served", "served", "HTTP/1.1 429"]);
    assert!(lines.contains(&"X-RateLimit-Limit: 5"), "{printed}");
    let says = |wait| printed.contains(&format!("limit exceeded, try again in {wait} seconds"));
    assert!((60_u64.saturating_sub(passed)..=60).any(says), "{printed}");
}

#[test]
fn programs_are_built_with_pkg_config() {
    if !(has("gcc") && has("g++") && has("pkg-config")) {
        return;
    }
    let prefix = install("prefix", &[]);
    assert_eq!(pkg_config(&prefix, &["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    fs::write(prefix.join("login.c"), shown("c")).unwrap();
    fs::write(prefix.join("first.cpp"), shown("cpp")).unwrap();
    let run_it = |name: &str| {
        run(Command::new(prefix.join(name))
            .current_dir(root())
            .env("LD_LIBRARY_PATH", prefix.join("lib")))
    };

    let flags = pkg_config(&prefix, &["--cflags", "--libs"]);
    run(Command::new("gcc")
        .args(STRICT)
        .args(["-std=c11", "-o", "login", "login.c"])
        .args(&flags)
        .current_dir(&prefix));
    is_login(|| run_it("login"));
    let needed = run(Command::new("readelf").arg("-d").arg(prefix.join("login")));
    assert!(needed.contains("Shared library: [libtollgate.so.0]"), "{needed}");

    let starter =
        format!("-DSTARTER=\"{}\"", root().join("examples/policies/starter.toml").display());
    for standard in ["-std=c++17", "-std=c++20"] {
        run(Command::new("g++")
            .args(STRICT)
            .args([standard, "-o", "first", "first.cpp"])
            .args(&flags)
            .current_dir(&prefix));
        assert_eq!(run_it("first"), "allowed, 19 of 20 left\n");
        let sanitize = "-fsanitize=address,undefined";
        run(Command::new("g++")
            .args(STRICT)
            .args([standard, "-g", sanitize, "-fno-sanitize-recover=all", &starter, "-o", "plus"])
            .arg(crate_folder().join("c/plus.cpp"))
            .args(&flags)
            .current_dir(&prefix));
        assert_eq!(run_it("plus"), "plus: ok\n");
    }
}

#[test]
fn programs_are_linked_statically() {
    if !(has("gcc") && has("g++") && has("nm") && has("pkg-config")) {
        return;
    }
    let prefix = install("prefix-static", &["--static-only"]);
    assert!(!prefix.join("lib/libtollgate.so").exists());
    let archive = prefix.join("lib/libtollgate.a");

    // Rust's own symbols are no business of a program's.
    let printed = run(Command::new("nm").args(["-g", "--defined-only"]).arg(&archive));
    let symbols: Vec<_> = printed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned))
        .collect();
    assert_eq!(symbols, exported());

    fs::write(prefix.join("login.c"), shown("c")).unwrap();
    run(Command::new("gcc")
        .args(["-o", "login", "login.c"])
        .args(pkg_config(&prefix, &["--static", "--cflags", "--libs"]))
        .args(["-Wl,--gc-sections"])
        .current_dir(&prefix));
    is_login(|| run(Command::new(prefix.join("login")).current_dir(root())));

    // A library that takes it in exports what it wants to, and nothing of ours.
    fs::write(
        prefix.join("module.c"),
        "#include <tollgate.h>\nconst char *module(void);\n\
         const char *module(void) { return tollgate_version(); }\n",
    )
    .unwrap();
    run(Command::new("gcc")
        .args(["-shared", "-fPIC", "-o", "module.so", "module.c", "-Iinclude"])
        .args(["lib/libtollgate.a", "-Wl,--exclude-libs,ALL", "-Wl,--gc-sections"])
        .args(support::SYSTEM)
        .current_dir(&prefix));
    let printed =
        run(Command::new("nm").args(["-D", "--defined-only"]).arg(prefix.join("module.so")));
    assert_eq!(printed.lines().count(), 1, "{printed}");
}

#[test]
fn programs_are_built_with_cmake() {
    if !(has("gcc") && has("g++") && has("cmake")) {
        return;
    }
    for (name, options) in [("prefix-cmake", &[][..]), ("prefix-cmake-static", &["--static-only"])]
    {
        let prefix = install(name, options);
        let project = prefix.join("project");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("login.c"), shown("c")).unwrap();
        fs::write(project.join("first.cpp"), shown("cpp")).unwrap();
        fs::write(
            project.join("CMakeLists.txt"),
            "cmake_minimum_required(VERSION 3.16)\nproject(login C CXX)\n\
             set(CMAKE_CXX_STANDARD 17)\n\
             find_package(tollgate 0.1 REQUIRED)\nadd_executable(login login.c)\n\
             target_link_libraries(login tollgate::tollgate)\nadd_executable(first first.cpp)\n\
             target_link_libraries(first tollgate::tollgate)\n",
        )
        .unwrap();
        run(Command::new("cmake")
            .args(["-S", ".", "-B", "build"])
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()))
            .current_dir(&project));
        run(Command::new("cmake").args(["--build", "build"]).current_dir(&project));
        is_login(|| run(Command::new(project.join("build/login")).current_dir(root())));
        run(&mut Command::new(project.join("build/first")));
    }
}
