//! The command line as it is written.

use crate::{failure::Failure, key::Part, show::name};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::{ffi::OsString, path::PathBuf};
use tollgate::Quota;

/// The headings of options that do not go together.
const LIMIT: &str = "One limit";
const POLICY: &str = "A policy";

/// Rate limiting, from the command line.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(Check),
    Explain(Explain),
    Replay(Replay),
}

/// Say whether a policy file is valid, or everything that is wrong with it.
///
/// Of a valid one it also says how much memory its limits take where it is loaded.
///
/// Exit codes: 0 when it is valid, 1 when it is not, 2 when it cannot be read.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The policy file
    #[arg(value_name = "POLICY")]
    pub(crate) policy: PathBuf,
}

/// Say which limits of a policy apply to a request, and why the others do not.
///
/// Nothing is counted: the answer is what the file says, not how much is left.
///
/// Exit codes: 0 when it was explained, whatever applies; 2 when it could not be: a file
/// that cannot be read or is no valid policy, a name that the policy does not know.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The policy file
    #[arg(value_name = "POLICY")]
    pub(crate) policy: PathBuf,

    /// The request's method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,

    /// The request's path, as clients write it
    #[arg(long, value_name = "PATH")]
    pub(crate) path: String,

    /// The host that it is for; without one, routes that name a host do not match
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,

    /// An attribute, such as org=acme; may be given again
    #[arg(long = "attr", value_name = "NAME=VALUE")]
    pub(crate) attributes: Vec<String>,

    /// What the request costs, such as bytes=500; may be given again
    #[arg(long = "cost", value_name = "NAME=UNITS")]
    pub(crate) costs: Vec<String>,
}

/// Show what a limit or a policy would have done to the requests in access logs.
///
/// Reads logs in Common or Combined Log Format, plain or gzip, and decides
/// every request at the time it was logged: in file order, a line that is
/// earlier than one before it at the latest time seen so far. The limit is that of
/// --quota, or else all those of a file that --policy names.
///
/// The first field of a line is the client. Lines that begin with anything else,
/// such as the virtual host in some of Apache's logs, would be counted by that.
///
/// What a log cannot tell is reported as not evaluated, with the reason: such as how
/// many requests there were at a time, for it has no durations.
///
/// Exit codes: 0 when the logs were replayed, whatever was denied; 1 when
/// --strict met a line that cannot be read; 2 when the run could not be done.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("limits").required(true).args(["quota", "policy"])))]
pub(crate) struct Replay {
    /// Logs to read, one after the other; - is standard input
    #[arg(value_name = "LOG", required = true)]
    pub(crate) logs: Vec<OsString>,

    /// What is allowed: UNITS/[COUNT]UNIT with UNIT one of d, h, min, s, ms,
    /// us, ns; " burst N" may follow (gcra only)
    #[arg(
        long,
        value_name = "QUOTA",
        help_heading = LIMIT,
        allow_hyphen_values = true
    )]
    quota: Option<String>,

    /// A policy file to replay the logs through, instead of one limit
    #[arg(long, value_name = "POLICY", help_heading = POLICY, conflicts_with_all = [
        "quota", "burst", "algorithm", "key", "ipv6_prefix", "capacity",
    ])]
    pub(crate) policy: Option<PathBuf>,

    /// What the policy is to be told of every request: host, an attribute, or a cost; may
    /// be given again, as the next two
    #[arg(long, value_name = "NAME=VALUE", help_heading = POLICY,
          requires = "policy", conflicts_with = "quota")]
    pub(crate) set: Vec<String>,

    /// What it is to be told from the log: FIELD is client, ident, user, method,
    /// path, status or bytes; a dash there is nothing. Method, path and ip=client go without
    /// saying
    #[arg(long, value_name = "NAME=FIELD", help_heading = POLICY,
          requires = "policy", conflicts_with = "quota")]
    pub(crate) field: Vec<String>,

    /// A table of attributes that follow from another, such as tiers of users:
    /// CSV, whose first line names them, as user,tier. The first column is looked up: a
    /// field of the log, or what --field or --set tells
    #[arg(long, value_name = "FILE", help_heading = POLICY,
          requires = "policy", conflicts_with = "quota")]
    pub(crate) map: Vec<PathBuf>,

    /// Requests that may come at once (gcra only) [default: the quota's units]
    #[arg(long, value_name = "N", help_heading = LIMIT, allow_negative_numbers = true)]
    burst: Option<u64>,

    /// How the quota is kept
    #[arg(long, help_heading = LIMIT, value_enum, default_value_t = Algorithm::Gcra)]
    pub(crate) algorithm: Algorithm,

    /// Who is limited: one part or several, such as ip,path
    #[arg(long, value_name = "PART", help_heading = LIMIT, value_enum, value_delimiter = ',', default_value = "ip")]
    key: Vec<Part>,

    /// Bits of an IPv6 address that make one client
    #[arg(long, value_name = "BITS", help_heading = LIMIT, default_value_t = 64, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u8).range(0..=128))]
    pub(crate) ipv6_prefix: u8,

    /// Keys that are limited and listed exactly
    #[arg(long, value_name = "KEYS", help_heading = LIMIT, default_value_t = 100_000, allow_negative_numbers = true)]
    pub(crate) capacity: usize,

    /// Order all lines by time first (keeps them in memory)
    #[arg(long)]
    pub(crate) sort: bool,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Also write each decision to FILE, a JSON object a line
    ///
    /// In the order of deciding: file and line, whether it was allowed, the limits that
    /// denied it, what remains, and times in nanoseconds. With --policy these are numbers
    /// of the limit that binds; besides, the cause, such as a block, and what every limit
    /// said that applies: its outcome is allowed, later, never, unlimited or not evaluated.
    #[arg(long, value_name = "FILE")]
    pub(crate) decisions: Option<PathBuf>,

    /// Also draw to FILE, as SVG, how many requests were allowed and denied over time
    ///
    /// A request counts once, at the time it was decided at. Times are in UTC.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,

    /// Also tell on standard error how many decisions were made a second
    ///
    /// Timed is everything from opening the first log to the last decision:
    /// reading (and waiting for a pipe), unpacking, parsing, --sort, deciding,
    /// counting, and handing lines to --decisions. Putting the files in their
    /// places, the plot and the report come after that.
    #[arg(long)]
    pub(crate) speed: bool,

    /// How many of the keys denied most to list, of each limit
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true)]
    pub(crate) top: usize,

    /// Stop at the first line that cannot be read
    #[arg(long)]
    pub(crate) strict: bool,
}

/// How a quota is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// Smooth: units come back one by one.
    Gcra,
    /// Exact: never more than the quota in any window.
    SlidingLog,
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gcra => "gcra",
            Self::SlidingLog => "sliding-log",
        }
    }
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables and a picture.
    Text,
    /// One JSON object.
    Json,
}

impl Replay {
    /// The quota with the burst that was asked for.
    pub(crate) fn quota(&self) -> Result<Quota, Failure> {
        let text = self.quota.as_deref().unwrap_or_default();
        let quota: Quota = text
            .parse()
            .map_err(|e| Failure::new(format!("--quota {}: {e}", name(text.as_bytes()))))?;
        match self.burst {
            None => Ok(quota),
            Some(_) if self.algorithm == Algorithm::SlidingLog => {
                Err(Failure::new("--burst: a sliding log knows no burst".to_owned()))
            }
            // The word stands in no quota without one.
            Some(burst) if text.contains("burst") => Err(Failure::new(format!(
                "--burst {burst}: --quota {} names a burst already",
                name(text.as_bytes())
            ))),
            Some(burst) => {
                quota.burst(burst).map_err(|e| Failure::new(format!("--burst {burst}: {e}")))
            }
        }
    }

    /// The parts of a key, each at most once.
    pub(crate) fn parts(&self) -> Result<Vec<Part>, Failure> {
        let repeated = |(at, part): (usize, &Part)| self.key[..at].contains(part);
        if self.key.iter().enumerate().any(repeated) {
            return Err(Failure::new("--key: the same part is named twice".to_owned()));
        }
        Ok(self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
