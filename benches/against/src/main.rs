//! Two versions of tollgate measured beside one another, in one program.
//!
//! A round has two halves, one begun by each version. In a half each version gets a
//! new limiter, filled, and then asked in its turn, on one thread. Both have the same
//! seed in a round, another in the next, so that no figure hangs on where one table's
//! keys came to lie. The ratio is the tree's time in a round by the other's: what
//! slows the whole machine for a while slows both.
//!
//! Both are linked with the same versions of what they depend on.

#[path = "../../peers/src/keys.rs"]
#[allow(dead_code)] // the peers ask in more ways
mod keys;
mod measure;
#[path = "../../peers/src/quantile.rs"]
mod quantile;
mod report;
mod scenario;
mod versions;

use clap::Parser;
use measure::Effort;
use scenario::{Scenario, Trouble};
use std::{num::NonZeroUsize, process::ExitCode};

/// Two versions of tollgate, the tree and an other, measured beside one another.
///
/// Takes eight minutes with all scenarios and keys; leave the machine alone meanwhile.
#[derive(Debug, Parser)]
#[command(bin_name = ".ci/against REV")]
struct Args {
    /// Only this scenario; may be given more than once.
    #[arg(long, value_enum, value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// How many keys, each with a table made for as many.
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "1000,100000,1000000"
    )]
    keys: Vec<NonZeroUsize>,
    /// In each of them both versions take two turns.
    #[arg(long, value_name = "N", default_value = "21")]
    rounds: NonZeroUsize,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Trouble> {
    let chosen =
        |scenario: &&Scenario| args.scenario.is_empty() || args.scenario.contains(scenario);
    let mut rows = Vec::new();
    for &scenario in Scenario::ALL.iter().filter(chosen) {
        // Without keys one size says everything.
        let sizes = if scenario == Scenario::Lone { &args.keys[..1] } else { &args.keys };
        for keys in sizes {
            let effort = Effort { rounds: args.rounds.get(), checks: scenario.checks() };
            let summary = measure::measure(scenario, keys.get(), effort)?;
            let row = report::Row { scenario, keys: keys.get(), summary };
            // For those who wait; the table comes when all is done.
            eprintln!("{}", row.line());
            rows.push(row);
        }
    }
    print!("{}", report::table(&rows));
    Ok(())
}
