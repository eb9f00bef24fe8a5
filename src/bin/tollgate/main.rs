//! The command `tollgate`: what the engine would have done to logged requests.

mod args;
mod aside;
mod books;
mod date;
mod decisions;
mod engine;
mod failure;
mod figures;
mod input;
mod interrupt;
mod key;
mod line;
mod plot;
mod progress;
mod replay;
mod report;
mod show;
mod sketch;
mod speed;
mod text;
mod ticks;
mod timeline;

use anstream::AutoStream;
use args::{Cli, Command, Format};
use clap::Parser;
use failure::Failure;
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let Command::Replay(options) = Cli::parse().command;
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn run(options: &args::Replay) -> Result<(), Failure> {
    let outcome = replay::run(options)?;
    for warning in &outcome.warnings {
        tell(warning);
    }
    let mut out = io::stdout().lock();
    let written = match options.format {
        Format::Text => {
            let text = text::render(&outcome.report, &outcome.timeline);
            AutoStream::auto(&mut out).write_all(text.as_bytes())
        }
        Format::Json => out.write_all(outcome.report.json().as_bytes()),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever read the report has read enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        Err(e) => return Err(Failure::new(format!("standard output: {e}"))),
        Ok(()) => {}
    }
    if let Some(speed) = &outcome.speed {
        tell(&speed.to_string());
    }
    Ok(())
}

/// A line on standard error. Where that is closed there is nobody to tell.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "tollgate: {line}");
}
