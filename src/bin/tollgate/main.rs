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
mod policy;
mod progress;
mod replay;
mod report;
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
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check(options) => {
            policy::check(&options.policy).and_then(|text| print(&text, Format::Text))
        }
        Command::Explain(options) => {
            policy::explain(&options).and_then(|text| print(&text, Format::Text))
        }
        Command::Replay(options) => match &options.policy {
            Some(policy) => replay_policy(&options, policy),
            None => run(&options),
        },
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

fn run(options: &args::Replay) -> Result<(), Failure> {
    let outcome = replay::run(options)?;
    for warning in &outcome.warnings {
        tell(warning);
    }
    let report = match options.format {
        Format::Text => text::render(&outcome.report, &outcome.timeline),
        Format::Json => outcome.report.json(),
    };
    print(&report, options.format)?;
    if let Some(speed) = &outcome.speed {
        tell(&speed.to_string());
    }
    Ok(())
}

fn replay_policy(options: &args::Replay, policy: &Path) -> Result<(), Failure> {
    let outcome = policy::replay::run(options, policy)?;
    for warning in &outcome.warnings {
        tell(warning);
    }
    let report = match options.format {
        Format::Text => outcome.report.text(&outcome.timeline),
        Format::Json => outcome.report.json(),
    };
    print(&report, options.format)?;
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
