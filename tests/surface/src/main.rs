//! Prints the public items of a crate, one a line, from the JSON that rustdoc made of it; or those
//! whose documentation has no example.

mod examples;

use public_api::Builder;
use std::{env, error::Error, io::Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let json =
        arguments.next().ok_or("usage: tollgate-surface RUSTDOC.json [--without-example]")?;
    let mut out = std::io::stdout().lock();
    if arguments.next().is_some_and(|option| option == "--without-example") {
        for item in examples::lacking(&serde_json::from_slice(&std::fs::read(json)?)?) {
            writeln!(out, "{item}")?;
        }
        return Ok(());
    }
    let surface = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    for item in surface.items() {
        writeln!(out, "{item}")?;
    }
    Ok(())
}
