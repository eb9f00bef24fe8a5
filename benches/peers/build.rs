//! Hands the versions in `Cargo.lock` to the report, so that it cannot name others.

use std::{env, fs, path::Path};

const SHOWN: [&str; 5] = ["tollgate", "governor", "throttlecrab", "pingora-limits", "ratelimit"];

fn main() {
    let lock = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let lock = fs::read_to_string(lock).expect("Cargo.lock lies beside Cargo.toml");
    let versions: Vec<_> = SHOWN
        .iter()
        .map(|name| {
            let (_, entry) = lock
                .split_once(&format!("name = \"{name}\"\nversion = \""))
                .unwrap_or_else(|| panic!("Cargo.lock has no {name}"));
            format!("{name} {}", entry.split('"').next().unwrap_or_default())
        })
        .collect();
    println!("cargo::rustc-env=VERSIONS={}", versions.join(", "));
}
