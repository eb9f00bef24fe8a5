//! tollgate measured beside other limiters, all in one run.
//!
//! Absolute times are the machine's, and vary with what its neighbours do; so
//! every figure is a median over rounds in which all subjects take their turn,
//! and ratios are taken within a round. `ratio_to_tollgate` is a subject's time
//! by tollgate's: above 1 the subject is slower.
//!
//! Keys are 64-bit numbers in contiguous memory in the order in which they are
//! asked for. tollgate takes their bytes, governor and pingora-limits the
//! number, throttlecrab sixteen hexadecimal digits. Threads are started, and wait
//! for each other, before the clock runs; each walks an order of its own over
//! all keys.

mod keys;
mod measure;
mod memory;
mod peers;
mod plot;
mod quantile;
mod report;
mod scenario;
mod subject;

use anyhow::{Result, ensure};
use clap::Parser;
use report::{Destination, Group};
use scenario::Effort;
use std::{path::PathBuf, process::ExitCode};
use subject::{Kind, Scenario};

/// tollgate measured beside other limiters.
///
/// Takes a few minutes; leave the machine alone meanwhile.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Keyed limiters and memory only, within a minute.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Ten million keys too, and more rounds.
    #[arg(long)]
    full: bool,
    /// Write the figures to FILE, as a list of rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Instead, draw what a check costs over the number of keys: to ten million, or
    /// one million with --quick.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

impl Args {
    fn effort(&self) -> Effort {
        match (self.quick, self.full) {
            (true, _) => Effort::Quick,
            (_, true) => Effort::Full,
            _ => Effort::Usual,
        }
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    ensure!(args.json.is_none() || args.json != args.plot, "--json and --plot name the same file");
    let effort = args.effort();
    let json = args.json.map(Destination::open).transpose()?;
    let plot = args.plot.map(Destination::open).transpose()?;

    println!("{}\n{}", report::head(), report::LEGEND);
    let rows = match plot {
        Some(plot) => curve(effort, plot)?,
        None => tables(effort)?,
    };
    if let Some(json) = json {
        json.write(&(serde_json::to_string_pretty(&rows)? + "\n"))?;
    }
    Ok(())
}

fn tables(effort: Effort) -> Result<Vec<report::Row>> {
    // First, while no freed memory lies about that would hide growth.
    let watched = scenario::watch()?;
    let mut rows = Vec::new();
    for &scenario in effort.scenarios() {
        let groups = scenario::run(scenario, effort, progress)?;
        print!("{}{}", report::table(scenario, &groups), report::left_out(scenario));
        rows.extend(groups.iter().flat_map(Group::rows));
    }
    println!("\n{}", watched.text());
    rows.push(watched.row());
    Ok(rows)
}

fn curve(effort: Effort, plot: Destination) -> Result<Vec<report::Row>> {
    let groups = plot::measure(effort, progress)?;
    plot.write(&plot::draw(&groups)?)?;
    print!("{}", report::table(Scenario::Keyed, &groups));
    Ok(groups.iter().flat_map(Group::rows).collect())
}

/// One line for those who wait.
fn progress(group: &Group) {
    let keys = group.keys.map_or_else(String::new, |keys| format!(", {keys} keys"));
    let threads = match group.threads {
        None => String::new(),
        Some(1) => ", 1 thread".to_owned(),
        Some(n) => format!(", {n} threads"),
    };
    let tollgate = group.measured.iter().find(|measured| measured.kind == Kind::Tollgate);
    let time = tollgate.and_then(|measured| measured.time);
    let time = time.map_or_else(String::new, |time| format!(": tollgate {:.1} ns", time.median));
    eprintln!("{}{keys}{threads}{time}", group.scenario.name());
}
