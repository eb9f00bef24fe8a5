//! The arguments of benchmarks that run without criterion, read as criterion does.

/// How much to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Only that it works: `--test`, or no `--bench` (which `cargo bench` gives).
    Test,
    /// Less than is wanted for figures: `--quick`.
    Quick,
    Full,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) effort: Effort,
    /// Only rows whose names contain this.
    filter: Option<String>,
}

impl Arguments {
    /// Other options are criterion's, whose benchmarks share the command line.
    pub(crate) fn read() -> Self {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let has = |option: &str| given.iter().any(|argument| argument == option);
        let effort = match (has("--test") || !has("--bench"), has("--quick")) {
            (true, _) => Effort::Test,
            (false, true) => Effort::Quick,
            (false, false) => Effort::Full,
        };
        // Further back it may be an option's value.
        let filter = given.first().filter(|argument| !argument.starts_with('-')).cloned();
        Self { effort, filter }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}
