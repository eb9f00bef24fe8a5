//! The programs of `ffi/c`, plainly, with sanitizers and under valgrind.

mod support;

use std::{fs, process::Command};
use support::{compile, crate_folder, exported, has, libraries, run, scratch};

const PROGRAMS: [&str; 5] = ["limiters", "policies", "answers", "nulls", "processes"];

#[test]
fn programs_run() {
    if !has("gcc") {
        return;
    }
    let debug = libraries(false);
    let into = scratch("programs");
    for name in PROGRAMS.iter().chain(&["stale"]) {
        assert_eq!(
            run(&mut Command::new(compile(name, &debug, false, &[], &into))),
            format!("{name}: ok\n")
        );
    }
    let release = libraries(true);
    let into = scratch("programs-release");
    for name in PROGRAMS {
        for is_static in [false, true] {
            run(&mut Command::new(compile(name, &release, is_static, &[], &into)));
        }
    }
}

#[test]
fn programs_run_sanitized() {
    if !has("gcc") {
        return;
    }
    let release = libraries(true);
    let into = scratch("sanitized");
    let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    for name in PROGRAMS {
        let program = compile(name, &release, true, &flags, &into);
        run(Command::new(program).env("ASAN_OPTIONS", "detect_leaks=1"));
    }
}

#[test]
fn programs_run_under_valgrind() {
    if !(has("gcc") && has("valgrind")) {
        return;
    }
    let release = libraries(true);
    let into = scratch("valgrind");
    for name in PROGRAMS {
        let program = compile(name, &release, false, &[], &into);
        run(Command::new("valgrind")
            .args(["--quiet", "--error-exitcode=9", "--leak-check=full"])
            .arg("--show-leak-kinds=definite,indirect")
            .arg("--errors-for-leak-kinds=definite,indirect")
            .arg(program));
    }
}

#[test]
fn checks_allocate_nothing() {
    if !has("gcc") {
        return;
    }
    let wrapped =
        ["malloc", "calloc", "realloc", "posix_memalign"].map(|name| format!("-Wl,--wrap={name}"));
    let wrapped: Vec<&str> = wrapped.iter().map(String::as_str).collect();
    let into = scratch("allocations");
    run(&mut Command::new(compile("allocations", &libraries(true), true, &wrapped, &into)));
}

#[test]
fn threads_share() {
    if !has("gcc") {
        return;
    }
    let into = scratch("threads");
    run(&mut Command::new(compile("threads", &libraries(true), false, &["-pthread"], &into)));
}

#[test]
fn no_function_is_left_out() {
    let nulls = fs::read_to_string(crate_folder().join("c/nulls.c")).unwrap();
    for name in exported() {
        assert!(nulls.contains(&format!("{name}(")), "c/nulls.c does not call {name}");
    }
}
