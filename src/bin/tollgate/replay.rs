//! `tollgate replay` with one limit: every line decided by the limiter itself.

use crate::{
    args::{self, Format},
    books::Books,
    decisions::{Answer, Decisions},
    engine::Engine,
    failure::Failure,
    files::Files,
    key::Keys,
    line::Line,
    report::{LimitReport, Report, TopKey, json},
    run::{self, At, Outcome, look},
    text,
};
use std::{collections::HashSet, mem, rc::Rc};

/// The one limit's name.
const LIMIT: &str = "default";

/// Replays the logs. When it fails, no file is left behind.
pub(crate) fn replay(options: &args::Replay) -> Result<Outcome, Failure> {
    let quota = options.quota()?;
    let parts = options.parts()?;
    let capacity = options.capacity;
    let engine = Engine::new(options.algorithm, quota, capacity)?;
    let logs = look(&options.logs)?;
    let mut files = Files::create(options, &logs)?;
    let mut desk = Desk {
        keys: Keys::new(parts, options.ipv6_prefix),
        key: Vec::new(),
        known: HashSet::default(),
        engine,
        books: Books::new(capacity, options.top),
        decisions: files.decisions.as_mut(),
    };
    let seen = run::run(options, &logs, &mut desk)?;
    let limit = LimitReport {
        name: LIMIT,
        algorithm: desk.engine.algorithm().name(),
        quota: desk.engine.quota().to_string(),
        evaluated: seen.sums.requests,
        denied: seen.sums.denied,
        saturated: desk.engine.saturated(),
        keys: desk.books.report(options.top, |key, counts| TopKey {
            key: desk.keys.text(key),
            requests: counts.requests,
            denied: counts.denied,
            would_deny: None,
        }),
    };
    files.finish(&limit.title(), &seen)?;
    let report = match options.format {
        Format::Text => text::render(&seen.sums, &limit, &seen.timeline),
        Format::Json => json(&Report { sums: &seen.sums, limits: [&limit] }),
    };
    Ok(seen.outcome(report))
}

/// Where requests are decided.
struct Desk<'f> {
    keys: Keys,
    /// The key of the line at hand.
    key: Vec<u8>,
    /// With `--sort`: the keys of all that is kept, each once.
    known: HashSet<Rc<[u8]>, ahash::RandomState>,
    engine: Engine,
    books: Books,
    decisions: Option<&'f mut Decisions>,
}

impl run::Desk for Desk<'_> {
    type Kept = Rc<[u8]>;

    fn keep(&mut self, _: &[u8], line: &Line<'_>) -> Rc<[u8]> {
        self.keys.build(line, &mut self.key);
        if let Some(known) = self.known.get(&*self.key) {
            return known.clone();
        }
        let new: Rc<[u8]> = self.key.as_slice().into();
        self.known.insert(new.clone());
        new
    }

    #[inline]
    fn decide(&mut self, line: &Line<'_>, at: At) -> Result<bool, Failure> {
        let mut key = mem::take(&mut self.key);
        self.keys.build(line, &mut key);
        let denied = self.decide_key(&key, at);
        self.key = key;
        denied
    }

    fn decide_kept(&mut self, key: &Rc<[u8]>, at: At) -> Result<bool, Failure> {
        self.decide_key(key, at)
    }
}

impl Desk<'_> {
    #[inline]
    fn decide_key(&mut self, key: &[u8], at: At) -> Result<bool, Failure> {
        let decision = self.engine.decide(key, at.seconds)?;
        let denied = decision.is_denied();
        self.books.enter(&self.keys.remembered(key), denied);
        if let Some(decisions) = &mut self.decisions {
            let denied_by: &[&str] = if denied { &[LIMIT] } else { &[] };
            decisions.write(at, Answer::of(&decision, denied_by))?;
        }
        Ok(denied)
    }
}
