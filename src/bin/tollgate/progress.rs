//! A progress bar on standard error, for input that takes a while.

use crate::input::Source;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// Draws nothing unless standard error is a terminal.
pub(crate) struct Progress {
    /// Bytes read so far, still compressed.
    pub(crate) read: Arc<AtomicU64>,
    /// Bytes of all logs, unless one is a pipe.
    total: Option<u64>,
    start: Instant,
    bar: Option<ProgressBar>,
    wanted: bool,
}

impl Progress {
    pub(crate) fn new(logs: &[Source]) -> Self {
        Self {
            read: Arc::default(),
            total: logs.iter().map(Source::size).sum(),
            start: Instant::now(),
            bar: None,
            wanted: io::stderr().is_terminal(),
        }
    }

    /// To be called now and then.
    pub(crate) fn tick(&mut self) {
        if !self.wanted || self.bar.is_none() && self.start.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(self.total));
        bar.set_position(self.read.load(Ordering::Relaxed));
    }

    /// Wipes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{bar:40} {percent:>3} %  {bytes_per_sec}  {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} read  {bytes_per_sec}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
