//! `--map`: attributes that follow from another, such as tiers of users.

use super::{explain::unknown, fields::From, read_up_to};
use crate::{failure::Failure, line::Line, show};
use std::{collections::HashMap, path::Path};
use tollgate::policy::{AttributeId, Policy};

/// Larger files are no tables of attributes, or have no end.
const LARGEST: u64 = 256 << 20;

type Rows = HashMap<Vec<u8>, Vec<Vec<u8>>, ahash::RandomState>;

/// A table that was read: by the value of its first column.
pub(super) struct Map {
    by: From,
    columns: Vec<AttributeId>,
    rows: Rows,
}

impl Map {
    /// Reads a table. `told` says where the attribute of its first column comes from.
    pub(super) fn read(
        path: &Path,
        policy: &Policy,
        told: impl Fn(&str) -> Option<From>,
    ) -> Result<Self, Failure> {
        let name = show::name(path.as_os_str().as_encoded_bytes());
        let wrong = |why: String| Failure::new(format!("--map {name}: {why}"));
        let text = read_up_to(path, LARGEST).map_err(wrong)?;
        let text = text.ok_or_else(|| wrong("is larger than 256 MiB: no table".to_owned()))?;
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
        let mut lines = text.split(|byte| *byte == b'\n').enumerate().filter_map(|(nth, line)| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (!line.is_empty()).then_some((nth + 1, line))
        });
        let at = |line: usize, why: &str| wrong(format!("line {line}: {why}"));
        let Some((first, header)) = lines.next() else { return Err(wrong("is empty".to_owned())) };
        let header = cells(header).ok_or_else(|| at(first, QUOTE))?;
        let header: Vec<String> =
            header.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let Some((by, names)) = header.split_first().filter(|(_, names)| !names.is_empty()) else {
            return Err(at(first, "expected names of two columns or more, such as user,tier"));
        };
        let by = told(by).ok_or_else(|| {
            let by = show::name(by.as_bytes());
            at(first, &format!("`{by}` is not known of a request; --field or --set tells it"))
        })?;
        let mut columns = Vec::new();
        for column in names {
            let id = policy
                .attribute_id(column)
                .ok_or_else(|| unknown("--map", &name, "attribute", column, policy.attributes()))?;
            if columns.contains(&id) {
                return Err(at(first, "a column is named twice"));
            }
            columns.push(id);
        }
        let mut rows = Rows::default();
        for (nth, line) in lines {
            let mut cells = cells(line).ok_or_else(|| at(nth, QUOTE))?;
            if cells.len() != columns.len() + 1 {
                let (found, wanted) = (cells.len(), columns.len() + 1);
                return Err(at(nth, &format!("expected {wanted} columns, found {found}")));
            }
            let values = cells.split_off(1);
            if cells.pop().is_some_and(|key| rows.insert(key, values).is_some()) {
                return Err(at(nth, "this value has a line already"));
            }
        }
        Ok(Self { by, columns, rows })
    }

    /// The attributes that it tells.
    pub(super) fn names<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = &'p str> {
        let known = move |name: &&str| {
            policy.attribute_id(name).is_some_and(|id| self.columns.contains(&id))
        };
        policy.attributes().filter(known).collect::<Vec<_>>().into_iter()
    }

    /// What it tells of a line.
    pub(super) fn of<'m>(
        &'m self,
        line: &Line<'m>,
    ) -> impl Iterator<Item = (AttributeId, &'m [u8])> + use<'m> {
        let row = self.by.of(line).and_then(|value| self.rows.get(value));
        let values = row.into_iter().flatten().map(Vec::as_slice);
        self.columns.iter().copied().zip(values).filter(|(_, value)| !value.is_empty())
    }
}

const QUOTE: &str = "a quote is never closed, or is followed by more than a comma";

/// The cells of a line of CSV, which may be in quotes. Blanks around a cell are none of
/// its own, unless they are within its quotes.
fn cells(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let mut cell = Vec::new();
        rest = rest.trim_ascii_start();
        if let Some(mut quoted) = rest.strip_prefix(b"\"") {
            loop {
                let end = quoted.iter().position(|byte| *byte == b'"')?;
                cell.extend_from_slice(quoted.get(..end)?);
                quoted = quoted.get(end + 1..)?;
                match quoted.strip_prefix(b"\"") {
                    // Two are one that does not close.
                    Some(more) => {
                        cell.push(b'"');
                        quoted = more;
                    }
                    None => break,
                }
            }
            rest = quoted.trim_ascii_start();
        } else {
            let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
            cell.extend_from_slice(rest.get(..end)?.trim_ascii_end());
            rest = rest.get(end..)?;
        }
        cells.push(cell);
        match rest.split_first() {
            None => return Some(cells),
            Some((b',', more)) => rest = more,
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cells;

    #[test]
    fn cells_in_quotes_and_without() {
        let read = |line: &str| {
            let cells = cells(line.as_bytes())?;
            Some(cells.into_iter().map(|c| String::from_utf8(c).unwrap()).collect::<Vec<_>>())
        };
        let found = |cells: &[&str]| Some(cells.iter().map(|c| (*c).to_owned()).collect());
        for (line, wanted) in [
            ("a,b", found(&["a", "b"])),
            ("a,", found(&["a", ""])),
            (",", found(&["", ""])),
            ("\"a,b\",c", found(&["a,b", "c"])),
            ("\"a\"\"b\"", found(&["a\"b"])),
            ("\"\",x", found(&["", "x"])),
            ("a\"b,c", found(&["a\"b", "c"])),
            (" a b ,\t\" c \" ,", found(&["a b", " c ", ""])),
            ("\"a", None),
            ("\"a\"b", None),
        ] {
            assert_eq!(read(line), wanted, "{line}");
        }
    }
}
