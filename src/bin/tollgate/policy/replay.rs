//! `tollgate replay --policy`: every line decided by a policy, in the log's time.

use super::{
    compile,
    fields::Told,
    load,
    report::{Report, Tally},
};
use crate::{
    args,
    date::Dates,
    failure::Failure,
    input::{RawLine, Source},
    line::Line,
    progress::Progress,
    replay::{STRIDE, look},
    report::rfc3339,
    skipped::Skipped,
    speed::Speed,
    timeline::Timeline,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tollgate::{
    Nanos,
    policy::{Moment, Policy, PolicyFile},
};

/// Limits tell instants apart for 18 years from the first line; what is charged last
/// has a year to come back.
const RANGE: u64 = 17 * 365 * 86_400;

/// What a run leaves.
pub(crate) struct Outcome {
    pub(crate) report: Report,
    pub(crate) timeline: Timeline,
    /// Lines for standard error.
    pub(crate) warnings: Vec<String>,
    pub(crate) speed: Option<Speed>,
}

struct Replay {
    file: PolicyFile,
    told: Told,
    dates: Dates,
    /// With `--sort`: the lines that wait until all are known.
    sorted: Option<Vec<(u64, Box<[u8]>)>>,
    skipped: Skipped,
    /// The earliest and the latest time of a line.
    times: Option<(u64, u64)>,
    desk: Option<Desk>,
    tally: Tally,
}

/// Where requests are decided, in the order in which they come here.
struct Desk {
    policy: Policy,
    /// When the first request was decided, in seconds since 1970, and the latest.
    first: u64,
    latest: u64,
    out_of_order: u64,
    timeline: Timeline,
}

/// Replays the logs.
pub(crate) fn run(options: &args::Replay, path: &Path) -> Result<Outcome, Failure> {
    let file = load(path, 2)?;
    // The policy that decides counts from the first line; what it is called is known now.
    let policy = compile(&file, 2)?;
    let told = Told::new(options, &policy)?;
    let untold: Vec<String> = told.untold(&policy).into_iter().map(|n| format!("`{n}`")).collect();
    let tally = Tally::new(&policy);
    drop(policy);
    let logs = look(&options.logs)?;
    let mut replay = Replay {
        file,
        told,
        dates: Dates::default(),
        sorted: options.sort.then(Vec::new),
        skipped: Skipped::new(options.strict),
        times: None,
        desk: None,
        tally,
    };
    let mut progress = Progress::new(&logs);
    let begun = Instant::now();
    for log in &logs {
        replay.read(log, &mut progress)?;
    }
    if let Some(mut waiting) = replay.sorted.take() {
        waiting.sort_by_key(|(seconds, _)| *seconds);
        for (seconds, text) in waiting {
            // It could be read before.
            if let Ok(line) = Line::parse(&text) {
                replay.decide(&line, seconds)?;
            }
        }
    }
    let took = begun.elapsed();
    progress.finish();
    let mut outcome = replay.finish();
    if !untold.is_empty() {
        outcome.warnings.push(format!(
            "nothing tells the policy {}: --field, --set or --map does",
            untold.join(", ")
        ));
    }
    outcome.speed = options.speed.then_some(Speed { decisions: outcome.report.requests, took });
    Ok(outcome)
}

impl Replay {
    fn read(&mut self, log: &Source, progress: &mut Progress) -> Result<(), Failure> {
        let mut lines = log.open(&progress.read)?;
        let mut number = 0_u64;
        while let Some(line) = lines.next_line().map_err(|e| log.failure(&e))? {
            number += 1;
            let read = match line {
                RawLine::Text(text) => {
                    Line::parse(text).and_then(|line| Ok((text, line, self.dates.read(line.date)?)))
                }
                RawLine::TooLong => Err(crate::line::Unreadable::TooLong),
            };
            match read {
                Ok((text, line, seconds)) => {
                    let (first, last) = self.times.unwrap_or((seconds, seconds));
                    self.times = Some((first.min(seconds), last.max(seconds)));
                    match &mut self.sorted {
                        Some(waiting) => waiting.push((seconds, text.into())),
                        None => self.decide(&line, seconds)?,
                    }
                }
                Err(why) => self.skipped.add(why, log, number)?,
            }
            if number.is_multiple_of(STRIDE) {
                progress.tick();
            }
        }
        Ok(())
    }

    /// Decides one request at `seconds` since 1970, or the latest time before it.
    fn decide(&mut self, line: &Line<'_>, seconds: u64) -> Result<(), Failure> {
        let desk = match &mut self.desk {
            Some(desk) => desk,
            None => self.desk.insert(Desk::open(&self.file, seconds)?),
        };
        desk.out_of_order += u64::from(seconds < desk.latest);
        desk.latest = desk.latest.max(seconds);
        let since = desk.latest - desk.first;
        if since > RANGE {
            return Err(Failure::new(
                "the log goes on for more than 17 years; replay it in parts".to_owned(),
            ));
        }
        let moment = Moment::new(Nanos::from_secs(since), Duration::from_secs(desk.latest));
        let request = self.told.request(&desk.policy, line);
        let mut decision = desk.policy.check_at(&request, moment);
        self.tally.count(&desk.policy, &request, &decision);
        desk.timeline.add(desk.latest, decision.is_denied());
        // No log tells when a request was over, so nothing is held for the next.
        decision.release_at(moment);
        Ok(())
    }

    fn finish(self) -> Outcome {
        let Self { desk, tally, times, skipped, .. } = self;
        let (out_of_order, timeline) = match desk {
            Some(desk) => (desk.out_of_order, desk.timeline),
            None => (0, Timeline::new()),
        };
        let mut report = tally.report();
        report.out_of_order = out_of_order;
        report.first = times.map(|(first, _)| rfc3339(first));
        report.last = times.map(|(_, last)| rfc3339(last));
        let (skipped, warnings) = skipped.finish(report.requests);
        report.skipped = skipped;
        Outcome { report, timeline, warnings, speed: None }
    }
}

impl Desk {
    fn open(file: &PolicyFile, seconds: u64) -> Result<Self, Failure> {
        let epoch = Moment::new(Nanos::from_secs(0), Duration::from_secs(seconds));
        let policy = Policy::from_file_at(file, epoch)
            .map_err(|errors| Failure::policy(errors.to_string(), 2))?;
        let timeline = Timeline::new();
        Ok(Self { policy, first: seconds, latest: seconds, out_of_order: 0, timeline })
    }
}
