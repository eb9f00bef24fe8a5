//! What a run writes beside its report: `--decisions` and `--plot`.

use crate::{
    args,
    aside::{Aside, Outputs},
    decisions::Decisions,
    failure::Failure,
    input::Source,
    plot,
    run::Seen,
};
use std::{io::Write, path::PathBuf};

/// The files that were asked for, not in their places yet.
pub(crate) struct Files {
    pub(crate) decisions: Option<Decisions>,
    plot: Option<Aside>,
}

impl Files {
    pub(crate) fn create(options: &args::Replay, logs: &[Source]) -> Result<Self, Failure> {
        let read = options.policy.iter().map(|policy| ("is the policy", policy));
        let read = read.chain(options.map.iter().map(|map| ("is a table of --map", map)));
        let mut outputs = Outputs::beside(logs, read);
        let mut create = |option, target: &Option<PathBuf>| {
            target.as_deref().map(|target| outputs.create(option, target)).transpose()
        };
        let decisions = create("--decisions", &options.decisions)?;
        let plot = create("--plot", &options.plot)?;
        Ok(Self { decisions: decisions.map(|file| Decisions::new(file, logs)), plot })
    }

    /// Draws what was seen, under this title, and puts every file in its place: none
    /// before all are complete.
    pub(crate) fn finish(mut self, title: &str, seen: &Seen) -> Result<(), Failure> {
        if let Some(file) = &mut self.plot {
            let picture = plot::render(title, &seen.sums, &seen.timeline)?;
            file.write(|out| out.write_all(picture.as_bytes()))?;
        }
        let decisions = self.decisions.map(Decisions::into_file);
        let mut files: Vec<_> = [decisions, self.plot].into_iter().flatten().collect();
        files.iter_mut().try_for_each(Aside::complete)?;
        files.into_iter().try_for_each(Aside::put_in_place)
    }
}
