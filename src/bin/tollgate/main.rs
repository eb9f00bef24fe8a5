//! The command `tollgate`: what the engine would have done to logged requests.

mod args;
mod aside;
mod books;
mod date;
mod decisions;
mod engine;
mod failure;
mod figures;
mod files;
mod input;
mod interrupt;
mod key;
mod line;
mod plot;
mod policy;
mod progress;
mod replay;
mod report;
mod run;
mod show;
mod sketch;
mod skipped;
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
    let text = |text: String| print(&text, Format::Text);
    let done = match Cli::parse().command {
        Command::Check(options) => policy::check(&options.policy).and_then(text),
        Command::Explain(options) => policy::explain(&options).and_then(text),
        Command::Replay(options) => replay(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.whole {
                let _ = writeln!(io::stderr(), "{}", failure.message);
            } else {
                tell(&failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn replay(options: &args::Replay) -> Result<(), Failure> {
    let outcome = match &options.policy {
        Some(policy) => policy::replay(options, policy),
        None => replay::replay(options),
    }?;
    for warning in &outcome.warnings {
        tell(warning);
    }
    print(&outcome.report, options.format)?;
    if let Some(speed) = &outcome.speed {
        tell(&speed.to_string());
    }
    Ok(())
}

/// Puts text on standard output, without its colours where they do not belong.
fn print(text: &str, format: Format) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = match format {
        Format::Text => AutoStream::auto(&mut out).write_all(text.as_bytes()),
        Format::Json => out.write_all(text.as_bytes()),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever read the report has read enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Failure::new(format!("standard output: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// A line on standard error. Where that is closed there is nobody to tell.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "tollgate: {line}");
}
