//! `name=value`.

use crate::{failure::Failure, show};

/// What stands before and after the first `=`.
pub(super) fn pair<'t>(option: &str, text: &'t str) -> Result<(&'t str, &'t str), Failure> {
    text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        let text = show::name(text.as_bytes());
        Failure::new(format!("{option} {text}: expected a name, = and a value"))
    })
}
