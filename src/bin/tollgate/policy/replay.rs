//! `tollgate replay --policy`: every line decided by a policy, in the log's time.

use super::{compile, decided, fields::Told, invalid, load, report::Report, tally::Tally};
use crate::{
    args::{self, Format},
    decisions::Decisions,
    failure::Failure,
    files::Files,
    line::Line,
    report::{json, rfc3339},
    run::{self, At, Outcome, look},
    show,
};
use std::{path::Path, time::Duration};
use tollgate::{
    Nanos,
    policy::{Moment, Policy, PolicyFile},
};

/// Limits tell instants apart for 18 years from the first line; what is charged last
/// has a year to come back.
const RANGE: u64 = 17 * 365 * 86_400;

/// Replays the logs. When it fails, no file is left behind.
pub(crate) fn replay(options: &args::Replay, path: &Path) -> Result<Outcome, Failure> {
    let file = load(path, 2)?;
    // The policy that decides counts from the first line; what it is called is known now.
    let policy = compile(&file, 2)?;
    let told = Told::new(options, &policy)?;
    let untold = told.untold(&policy);
    let tally = Tally::new(&policy, options.top);
    let name = policy.name().to_owned();
    drop(policy);
    let logs = look(&options.logs)?;
    let mut files = Files::create(options, &logs)?;
    let mut desk = Desk { file, told, opened: None, tally, decisions: files.decisions.as_mut() };
    let mut seen = run::run(options, &logs, &mut desk)?;
    seen.warnings.extend(untold);
    let tally = desk.tally;
    let title = if name.is_empty() {
        show::name(path.file_name().unwrap_or_default().as_encoded_bytes())
    } else {
        show::printable(name.as_bytes())
    };
    files.finish(&format!("Policy {title}"), &seen)?;
    let (causes, limits) = tally.finish(options.top);
    let report = Report { policy: &name, sums: &seen.sums, causes: &causes, limits: &limits };
    let report = match options.format {
        Format::Text => report.text(&seen.timeline),
        Format::Json => json(&report),
    };
    Ok(seen.outcome(report))
}

/// Where requests are decided.
struct Desk<'f> {
    file: PolicyFile,
    told: Told,
    opened: Option<Opened>,
    tally: Tally,
    decisions: Option<&'f mut Decisions>,
}

/// The policy, from the first request on.
struct Opened {
    policy: Policy,
    /// When that was decided, in seconds since 1970.
    first: u64,
}

impl run::Desk for Desk<'_> {
    type Kept = Box<[u8]>;

    fn keep(&mut self, text: &[u8], _: &Line<'_>) -> Box<[u8]> {
        text.into()
    }

    fn decide_kept(&mut self, text: &Box<[u8]>, at: At) -> Result<bool, Failure> {
        // It could be read before.
        let line = Line::parse(text).map_err(|why| Failure::new(why.to_string()))?;
        self.decide(&line, at)
    }

    fn decide(&mut self, line: &Line<'_>, at: At) -> Result<bool, Failure> {
        let Opened { policy, first } = match &mut self.opened {
            Some(opened) => opened,
            None => self.opened.insert(Opened::at(&self.file, at.seconds)?),
        };
        let since = at.seconds - *first;
        if since > RANGE {
            return Err(Failure::new(format!(
                "the log goes on for more than 17 years, from {} to {}; replay it in parts",
                rfc3339(*first),
                rfc3339(at.seconds),
            )));
        }
        let moment = Moment::new(Nanos::from_secs(since), Duration::from_secs(at.seconds));
        let request = self.told.request(policy, line);
        let mut decision = policy.check_at(&request, moment);
        self.tally.count(policy, &request, &decision);
        if let Some(decisions) = &mut self.decisions {
            decided::write(decisions, at, &decision)?;
        }
        // No log tells when a request was over, so nothing is held for the next.
        decision.release_at(moment);
        Ok(decision.is_denied())
    }
}

impl Opened {
    fn at(file: &PolicyFile, first: u64) -> Result<Self, Failure> {
        let epoch = Moment::new(Nanos::from_secs(0), Duration::from_secs(first));
        let policy = Policy::from_file_at(file, epoch).map_err(|errors| invalid(&errors, 2))?;
        Ok(Self { policy, first })
    }
}
