//! The run: every line read, decided and counted.

use crate::{
    args,
    aside::{Aside, Outputs},
    books::Books,
    date::Dates,
    decisions::Decisions,
    engine::Engine,
    failure::Failure,
    input::{RawLine, Source},
    key::Keys,
    line::{Line, Unreadable},
    plot,
    progress::Progress,
    report::{LimitReport, Report, TopKey, rfc3339},
    skipped::Skipped,
    speed::Speed,
    timeline::Timeline,
};
use std::{collections::HashSet, ffi::OsString, io::Write, path::PathBuf, rc::Rc, time::Instant};

/// The one limit's name.
const LIMIT: &str = "default";

/// Lines between two looks at the progress.
pub(crate) const STRIDE: u64 = 1 << 14;

/// What a run leaves: the report, its picture, and what was wrong with the logs.
pub(crate) struct Outcome {
    pub(crate) report: Report,
    pub(crate) timeline: Timeline,
    /// Lines for standard error.
    pub(crate) warnings: Vec<String>,
    pub(crate) speed: Option<Speed>,
}

/// Replays the logs. When it fails, no file is left behind.
pub(crate) fn run(options: &args::Replay) -> Result<Outcome, Failure> {
    let quota = options.quota()?;
    let parts = options.parts()?;
    let capacity = options.capacity;
    let engine = Engine::new(options.algorithm, quota, capacity)?;
    let logs = look(&options.logs)?;
    let mut outputs = Outputs::beside(&logs);
    let mut create = |option, target: &Option<PathBuf>| {
        target.as_deref().map(|target| outputs.create(option, target)).transpose()
    };
    let decisions = create("--decisions", &options.decisions)?;
    let plot = create("--plot", &options.plot)?;
    let mut replay = Replay {
        skipped: Skipped::new(options.strict),
        keys: Keys::new(parts, options.ipv6_prefix),
        key: Vec::new(),
        dates: Dates::default(),
        sorted: options.sort.then(Backlog::default),
        desk: Desk {
            engine,
            books: Books::new(capacity, options.top),
            timeline: Timeline::new(),
            decisions: decisions.map(|file| Decisions::new(file, &logs, LIMIT)),
            allowed: 0,
            denied: 0,
            out_of_order: 0,
            latest: 0,
        },
        plot,
        times: None,
    };
    let mut progress = Progress::new(&logs);
    let begun = options.speed.then(Instant::now);
    for (nth, log) in logs.iter().enumerate() {
        replay.read(nth, log, &mut progress)?;
    }
    if let Some(backlog) = replay.sorted.take() {
        backlog.decide(&replay.keys, &mut replay.desk)?;
    }
    let took = begun.map(|begun| begun.elapsed());
    progress.finish();
    let mut outcome = replay.finish(options.top)?;
    outcome.speed = took.map(|took| Speed { decisions: outcome.report.requests, took });
    Ok(outcome)
}

/// The logs, if they can be there at all.
pub(crate) fn look(names: &[OsString]) -> Result<Vec<Source>, Failure> {
    if names.iter().filter(|name| *name == "-").count() > 1 {
        return Err(Failure::new("-: standard input can be read only once".to_owned()));
    }
    names.iter().map(|name| Source::look(name.clone())).collect()
}

struct Replay {
    keys: Keys,
    /// The key of the line at hand.
    key: Vec<u8>,
    dates: Dates,
    /// With `--sort`: what is to be decided once all is read.
    sorted: Option<Backlog>,
    desk: Desk,
    plot: Option<Aside>,
    skipped: Skipped,
    /// The earliest and the latest time of a line.
    times: Option<(u64, u64)>,
}

/// Where a request comes from: the nth log (from 0), and its line (from 1).
#[derive(Clone, Copy)]
struct Place {
    log: usize,
    line: u64,
}

impl Replay {
    fn read(&mut self, nth: usize, log: &Source, progress: &mut Progress) -> Result<(), Failure> {
        let mut lines = log.open(&progress.read)?;
        let mut place = Place { log: nth, line: 0 };
        while let Some(line) = lines.next_line().map_err(|e| log.failure(&e))? {
            place.line += 1;
            let taken = match line {
                RawLine::Text(text) => self.take(text, place)?,
                RawLine::TooLong => Err(Unreadable::TooLong),
            };
            if let Err(why) = taken {
                self.skipped.add(why, log, place.line)?;
            }
            if place.line.is_multiple_of(STRIDE) {
                progress.tick();
            }
        }
        Ok(())
    }

    /// Decides the request of a line, or keeps it for later.
    #[inline]
    fn take(&mut self, text: &[u8], place: Place) -> Result<Result<(), Unreadable>, Failure> {
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
        self.keys.build(&line, &mut self.key);
        match &mut self.sorted {
            Some(backlog) => backlog.push(&self.key, seconds, place),
            None => self.desk.decide(&self.keys, &self.key, seconds, place)?,
        }
        Ok(Ok(()))
    }

    fn finish(mut self, top: usize) -> Result<Outcome, Failure> {
        let decisions = self.desk.decisions.take().map(Decisions::into_file);
        let Self { desk, mut plot, keys, times, skipped, .. } = self;
        let requests = desk.allowed + desk.denied;
        let (skipped, warnings) = skipped.finish(requests);
        let limit = LimitReport {
            name: LIMIT,
            algorithm: desk.engine.algorithm().name(),
            quota: desk.engine.quota().to_string(),
            keys: desk.books.keys(),
            evaluated: requests,
            denied: desk.denied,
            saturated: desk.engine.saturated(),
            approximate: desk.books.is_approximate(),
            top: desk
                .books
                .top(top, |key| keys.text(key))
                .into_iter()
                .map(|(key, of)| TopKey { key, requests: of.requests, denied: of.denied })
                .collect(),
        };
        let report = Report {
            requests,
            allowed: desk.allowed,
            denied: desk.denied,
            skipped,
            out_of_order: desk.out_of_order,
            first: times.map(|(first, _)| rfc3339(first)),
            last: times.map(|(_, last)| rfc3339(last)),
            limits: vec![limit],
        };
        if let Some(file) = &mut plot {
            let picture = plot::render(&report, &desk.timeline)?;
            file.write(|out| out.write_all(picture.as_bytes()))?;
        }
        put_in_place([decisions, plot])?;
        Ok(Outcome { report, timeline: desk.timeline, warnings, speed: None })
    }
}

/// Every file that was asked for, and none before all are complete.
fn put_in_place(files: [Option<Aside>; 2]) -> Result<(), Failure> {
    let mut files: Vec<_> = files.into_iter().flatten().collect();
    files.iter_mut().try_for_each(Aside::complete)?;
    files.into_iter().try_for_each(Aside::put_in_place)
}

/// Where requests are decided, in the order in which they come here.
struct Desk {
    engine: Engine,
    books: Books,
    timeline: Timeline,
    decisions: Option<Decisions>,
    allowed: u64,
    denied: u64,
    out_of_order: u64,
    /// The latest time decided at: time does not step back.
    latest: u64,
}

impl Desk {
    #[inline]
    fn decide(
        &mut self,
        keys: &Keys,
        key: &[u8],
        seconds: u64,
        place: Place,
    ) -> Result<(), Failure> {
        self.out_of_order += u64::from(seconds < self.latest);
        self.latest = self.latest.max(seconds);
        let decision = self.engine.decide(key, self.latest)?;
        let denied = decision.is_denied();
        self.denied += u64::from(denied);
        self.allowed += u64::from(!denied);
        self.books.enter(&keys.remembered(key), denied);
        self.timeline.add(self.latest, denied);
        if let Some(decisions) = &mut self.decisions {
            decisions.write(place.log, place.line, &decision)?;
        }
        Ok(())
    }
}

/// Requests that wait until all are known.
#[derive(Default)]
struct Backlog {
    waiting: Vec<Waiting>,
    /// Their keys, each once.
    keys: HashSet<Rc<[u8]>, ahash::RandomState>,
}

struct Waiting {
    seconds: u64,
    place: Place,
    key: Rc<[u8]>,
}

impl Backlog {
    fn push(&mut self, key: &[u8], seconds: u64, place: Place) {
        let key = if let Some(known) = self.keys.get(key) {
            known.clone()
        } else {
            let new: Rc<[u8]> = key.into();
            self.keys.insert(new.clone());
            new
        };
        self.waiting.push(Waiting { seconds, place, key });
    }

    fn decide(mut self, keys: &Keys, desk: &mut Desk) -> Result<(), Failure> {
        self.waiting.sort_by_key(|one| one.seconds);
        for one in &self.waiting {
            desk.decide(keys, &one.key, one.seconds, one.place)?;
        }
        Ok(())
    }
}
