//! Prints the public items of a crate, one a line, from the JSON that rustdoc made of it.

use public_api::Builder;
use std::{env, error::Error, io::Write};

fn main() -> Result<(), Box<dyn Error>> {
    let json = env::args_os().nth(1).ok_or("usage: tollgate-surface RUSTDOC.json")?;
    let surface = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    let mut out = std::io::stdout().lock();
    for item in surface.items() {
        writeln!(out, "{item}")?;
    }
    Ok(())
}
