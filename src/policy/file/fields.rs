//! The fields of one table: which are known, which are meant by unknown ones, and what is
//! said of those.

use super::{
    problem::{Problems, Said},
    read::{Read, Value},
    source::{At, Span},
    texts::{listed, nearest, shown},
};
use toml::de::DeTable;

/// The fields of one table while they are read.
pub(super) struct Fields<'t, 'p, 's> {
    table: &'t DeTable<'t>,
    header: Span,
    /// Known names that unknown ones seem to mean, and what those say: it is read, and no
    /// need to say that it is missing.
    meant: Vec<(&'static str, &'t Value<'t>)>,
    strays: bool,
    problems: &'p mut Problems<'s>,
}

impl<'t, 'p, 's> Fields<'t, 'p, 's> {
    /// Notes every field that is not among the known.
    pub(super) fn new(
        table: &'t DeTable<'t>,
        header: Span,
        known: &[&'static str],
        problems: &'p mut Problems<'s>,
    ) -> Self {
        let (mut meant, mut strays) = (Vec::new(), false);
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            // Whatever is not told anyway costs no comparisons.
            let near = (!problems.is_full()).then(|| near_field(name, known)).flatten();
            // Not said of the key, whose place may be that of its value: `[limt.x]`.
            problems.miss(key.span().into(), || unknown(name, near, known));
            match near.filter(|near| !table.contains_key(*near)) {
                Some(near) => meant.push((near, value)),
                None => strays = true,
            }
        }
        Self { table, header, meant, strays, problems }
    }

    pub(super) fn required<T: Read>(&mut self, name: &'static str, about: &str) -> At<T> {
        self.optional(name).unwrap_or_else(|| {
            let about = about.trim().split_once(". ").map_or(about.trim(), |(first, _)| first);
            self.problems.miss(self.header, || {
                Said::from(format!("`{name}` is missing"))
                    .hint(format!("`{name}`: {}", about.trim_end_matches('.')))
            });
            At::nowhere(T::default())
        })
    }

    pub(super) fn optional<T: Read>(&mut self, name: &'static str) -> Option<At<T>> {
        let meant = || self.meant.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let value = self.table.get(name).or_else(meant);
        value.map(|value| At::read(value, self.problems))
    }

    /// Whether there are fields of which nobody knows what they say.
    pub(super) fn have_strays(&self) -> bool {
        self.strays
    }

    pub(super) fn or<T: Read>(&mut self, name: &'static str, default: T) -> At<T> {
        self.optional(name).unwrap_or(At::nowhere(default))
    }
}

/// What to write instead of fields that others have, beside the field that has it here.
const INSTEAD: [(&[&str], &str, &str); 5] = [
    (
        &["path", "paths", "method", "methods", "host", "hosts", "url", "uri", "endpoint"],
        "routes",
        "say which requests are meant by `routes = [\"POST /login\"]`",
    ),
    (
        &["window", "period", "interval", "per", "seconds"],
        "quota",
        "the period is a part of the quota: \"10/min\"",
    ),
    (
        &["burst"],
        "quota",
        "with `algorithm = \"gcra\"` the burst is a part of the quota: \"100/s burst 20\"",
    ),
    (&["shadow", "dry_run", "enabled"], "mode", "write `mode = \"shadow\"`"),
    (&["description", "comment"], "name", "write it as a comment: `# ...`"),
];

/// What to write instead of this field.
fn instead(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let fits =
        |(names, field, _): &&(&[&str], &str, _)| names.contains(&name) && known.contains(field);
    INSTEAD.iter().find(fits).map(|(_, _, hint)| *hint)
}

/// The known field that an unknown one seems to mean.
pub(super) fn near_field(name: &str, known: &[&'static str]) -> Option<&'static str> {
    match instead(name, known) {
        Some(_) => None,
        None => nearest(name, known.iter().copied()),
    }
}

/// What is said of a field that is none of those known, and is perhaps the one `near`.
pub(super) fn unknown(name: &str, near: Option<&'static str>, known: &[&'static str]) -> Said {
    let hint = near.map(|near| format!("did you mean `{near}`?"));
    let hint = hint.or_else(|| instead(name, known).map(str::to_owned));
    let hint = hint.unwrap_or_else(|| format!("known are {}", all(known)));
    Said::from(format!("there is no field `{}` here", shown(name))).hint(hint)
}

fn all(known: &[&'static str]) -> String {
    let mut known = known.to_vec();
    known.sort_unstable();
    if known.len() <= 12 {
        return listed(known);
    }
    known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
