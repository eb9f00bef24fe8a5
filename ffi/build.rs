//! Names the shared library, so that programs find the one that they were linked with.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // The number is that of the ABI: it changes when a program must be compiled again.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libtollgate.so.0");
    }
}
