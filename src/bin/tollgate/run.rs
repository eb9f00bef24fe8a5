//! The run over the logs, whoever decides: every line read, put in its order, counted.

use crate::{
    args,
    date::Dates,
    failure::Failure,
    input::{RawLine, Source},
    line::{Line, Unreadable},
    progress::Progress,
    report::{Sums, rfc3339},
    skipped::Skipped,
    speed::Speed,
    timeline::Timeline,
};
use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

/// Lines between two looks at the progress.
const STRIDE: u64 = 1 << 14;

/// Where a request comes from, and when it is decided.
#[derive(Clone, Copy)]
pub(crate) struct At {
    /// The log's number, from 0.
    pub(crate) log: usize,
    /// The line's number in it, from 1.
    pub(crate) line: u64,
    /// Since 1970. These never step back.
    pub(crate) seconds: u64,
}

/// Who decides requests, in the order in which they come.
pub(crate) trait Desk {
    /// What is kept of a request with `--sort`, until all are known.
    type Kept;

    fn keep(&mut self, text: &[u8], line: &Line<'_>) -> Self::Kept;

    /// Decides a request: whether it was denied.
    fn decide(&mut self, line: &Line<'_>, at: At) -> Result<bool, Failure>;

    /// The same for one that was kept.
    fn decide_kept(&mut self, kept: &Self::Kept, at: At) -> Result<bool, Failure>;
}

/// What a run finds, whoever decides.
pub(crate) struct Seen {
    pub(crate) sums: Sums,
    pub(crate) timeline: Timeline,
    /// Lines for standard error.
    pub(crate) warnings: Vec<String>,
    pub(crate) speed: Option<Speed>,
}

/// What a run leaves to be printed.
pub(crate) struct Outcome {
    pub(crate) report: String,
    /// Lines for standard error, before the report.
    pub(crate) warnings: Vec<String>,
    /// A line for standard error, after it.
    pub(crate) speed: Option<Speed>,
}

impl Seen {
    pub(crate) fn outcome(self, report: String) -> Outcome {
        Outcome { report, warnings: self.warnings, speed: self.speed }
    }
}

/// The logs, if they can be there at all.
pub(crate) fn look(names: &[OsString]) -> Result<Vec<Source>, Failure> {
    if names.iter().filter(|name| *name == "-").count() > 1 {
        return Err(Failure::new("-: standard input can be read only once".to_owned()));
    }
    names.iter().map(|name| Source::look(name.clone())).collect()
}

/// Reads the logs and has every request decided.
pub(crate) fn run<D: Desk>(
    options: &args::Replay,
    logs: &[Source],
    desk: &mut D,
) -> Result<Seen, Failure> {
    let mut run = Run {
        skipped: Skipped::new(options.strict),
        dates: Dates::default(),
        waiting: options.sort.then(Vec::new),
        times: None,
        queue: Queue {
            desk,
            timeline: Timeline::new(),
            allowed: 0,
            denied: 0,
            out_of_order: 0,
            latest: 0,
        },
    };
    let mut progress = Progress::new(logs);
    let begun = options.speed.then(Instant::now);
    for (nth, log) in logs.iter().enumerate() {
        run.read(nth, log, &mut progress)?;
    }
    if let Some(mut waiting) = run.waiting.take() {
        // Those of one second keep their order.
        waiting.sort_by_key(|(at, _)| at.seconds);
        for (at, kept) in &waiting {
            run.queue.pass(*at, |desk, at| desk.decide_kept(kept, at))?;
        }
    }
    let took = begun.map(|begun| begun.elapsed());
    progress.finish();
    Ok(run.finish(took))
}

struct Run<'d, D: Desk> {
    dates: Dates,
    /// With `--sort`: what is to be decided once all is read.
    waiting: Option<Vec<(At, D::Kept)>>,
    queue: Queue<'d, D>,
    skipped: Skipped,
    /// The earliest and the latest time of a line.
    times: Option<(u64, u64)>,
}

impl<D: Desk> Run<'_, D> {
    fn read(&mut self, nth: usize, log: &Source, progress: &mut Progress) -> Result<(), Failure> {
        let mut lines = log.open(&progress.read)?;
        let mut number = 0_u64;
        while let Some(line) = lines.next_line().map_err(|e| log.failure(&e))? {
            number += 1;
            let taken = match line {
                RawLine::Text(text) => {
                    self.take(text, At { log: nth, line: number, seconds: 0 })?
                }
                RawLine::TooLong => Err(Unreadable::TooLong),
            };
            if let Err(why) = taken {
                self.skipped.add(why, log, number)?;
            }
            if number.is_multiple_of(STRIDE) {
                progress.tick();
            }
        }
        Ok(())
    }

    /// Has the request of a line decided, or keeps it for later.
    #[inline]
    fn take(&mut self, text: &[u8], at: At) -> Result<Result<(), Unreadable>, Failure> {
        let read = |dates: &mut Dates| {
            let line = Line::parse(text)?;
            let seconds = dates.read(line.date)?;
            Ok((line, seconds))
        };
        let (line, seconds) = match read(&mut self.dates) {
            Ok(read) => read,
            Err(why) => return Ok(Err(why)),
        };
        let (first, last) = self.times.unwrap_or((seconds, seconds));
        self.times = Some((first.min(seconds), last.max(seconds)));
        let at = At { seconds, ..at };
        match &mut self.waiting {
            Some(waiting) => waiting.push((at, self.queue.desk.keep(text, &line))),
            None => self.queue.pass(at, |desk, at| desk.decide(&line, at))?,
        }
        Ok(Ok(()))
    }

    fn finish(self, took: Option<Duration>) -> Seen {
        let Queue { timeline, allowed, denied, out_of_order, .. } = self.queue;
        let requests = allowed + denied;
        let (skipped, warnings) = self.skipped.finish(requests);
        let sums = Sums {
            requests,
            allowed,
            denied,
            skipped,
            out_of_order,
            first: self.times.map(|(first, _)| rfc3339(first)),
            last: self.times.map(|(_, last)| rfc3339(last)),
        };
        let speed = took.map(|took| Speed { decisions: requests, took });
        Seen { sums, timeline, warnings, speed }
    }
}

/// Requests on their way to the desk.
struct Queue<'d, D> {
    desk: &'d mut D,
    timeline: Timeline,
    allowed: u64,
    denied: u64,
    out_of_order: u64,
    /// The latest time decided at: time does not step back.
    latest: u64,
}

impl<D: Desk> Queue<'_, D> {
    #[inline]
    fn pass(
        &mut self,
        at: At,
        decide: impl FnOnce(&mut D, At) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        self.out_of_order += u64::from(at.seconds < self.latest);
        self.latest = self.latest.max(at.seconds);
        let denied = decide(self.desk, At { seconds: self.latest, ..at })?;
        self.denied += u64::from(denied);
        self.allowed += u64::from(!denied);
        self.timeline.add(self.latest, denied);
        Ok(())
    }
}
