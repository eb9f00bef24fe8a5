//! What the model reads of a policy file. No checks: a file that says something
//! unknown is a panic of the test.

use super::path::{PathRules, Route};
use std::collections::HashMap;
use toml::{Table, Value};

pub(crate) const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    Unlimited,
    /// Units, and the nanoseconds they are for (0 where there are none).
    Units(u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Log,
    Month,
    Leases,
    Size,
}

pub(crate) enum Missing {
    Deny,
    Skip,
    Limit(String),
}

pub(crate) struct Condition {
    pub(crate) attribute: String,
    /// `None`: it must be there; else one of these, and none at all is absence.
    pub(crate) values: Option<Vec<String>>,
}

pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) routes: Vec<Route>,
    pub(crate) when: Vec<Condition>,
    pub(crate) group: Option<String>,
    pub(crate) fallback: bool,
    pub(crate) key: Vec<String>,
    pub(crate) algorithm: Algorithm,
    /// The attribute it goes by, and the quota of each value ("" for all).
    pub(crate) quota: (String, HashMap<String, Quota>),
    pub(crate) overrides: (String, HashMap<String, Quota>),
    pub(crate) cost: Option<String>,
    pub(crate) missing: Missing,
    pub(crate) shadow: bool,
    pub(crate) charge_denied: bool,
    pub(crate) ttl: u64,
}

pub(crate) struct Refusal {
    pub(crate) name: String,
    pub(crate) when: Vec<Condition>,
    pub(crate) status: u16,
}

pub(crate) struct Penalty {
    pub(crate) name: String,
    pub(crate) key: Vec<String>,
    pub(crate) denials: usize,
    pub(crate) within: u64,
    /// `None` is until lifted.
    pub(crate) blocks: Vec<Option<u64>>,
    pub(crate) decay: u64,
    pub(crate) status: u16,
}

pub(crate) struct Attribute {
    pub(crate) ip: bool,
    pub(crate) values: Option<Vec<String>>,
}

pub(crate) struct File {
    pub(crate) paths: PathRules,
    pub(crate) attributes: HashMap<String, Attribute>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) penalties: Vec<Penalty>,
    pub(crate) response: Table,
}

fn text<'a>(table: &'a Table, name: &str) -> Option<&'a str> {
    table.get(name).map(|v| v.as_str().unwrap())
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn tables<'a>(file: &'a Table, name: &str) -> impl Iterator<Item = &'a Table> {
    file.get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|value| value.as_table().unwrap())
}

/// `15min`, `10 min`, `h`, `1 d`: in nanoseconds.
fn span(text: &str) -> u64 {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count = &text[..text.len() - unit.len()];
    let count: u64 = if count.is_empty() { 1 } else { count.parse().unwrap() };
    count
        * SECOND
        * match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            "month" => 0,
            other => panic!("no span: {other}"),
        }
}

fn number(text: &str) -> u64 {
    text.replace('_', "").parse().unwrap()
}

fn quota(value: &Value) -> Quota {
    if let Some(units) = value.as_integer() {
        return Quota::Units(units.try_into().unwrap(), 0);
    }
    let text = value.as_str().unwrap();
    if text == "unlimited" {
        Quota::Unlimited
    } else if let Some((units, period)) = text.split_once('/') {
        Quota::Units(number(units), span(period))
    } else if let Some((amount, unit)) = text.split_once(' ') {
        let unit = match unit {
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "MiB" => 1 << 20,
            other => panic!("no amount: {other}"),
        };
        Quota::Units(number(amount) * unit, 0)
    } else {
        Quota::Units(number(text), 0)
    }
}

fn quotas(value: Option<&Value>) -> (String, HashMap<String, Quota>) {
    match value {
        None => (String::new(), HashMap::new()),
        Some(Value::Table(cells)) => (
            text(cells, "by").unwrap().to_owned(),
            cells
                .iter()
                .filter(|(name, _)| *name != "by")
                .map(|(name, value)| (name.clone(), quota(value)))
                .collect(),
        ),
        Some(value) => (String::new(), [(String::new(), quota(value))].into()),
    }
}

fn conditions(table: &Table) -> Vec<Condition> {
    let Some(when) = table.get("when") else { return Vec::new() };
    when.as_table()
        .unwrap()
        .iter()
        .map(|(attribute, value)| Condition {
            attribute: attribute.clone(),
            values: match value {
                Value::Boolean(true) => None,
                Value::Boolean(false) => Some(Vec::new()),
                Value::String(one) => Some(vec![one.clone()]),
                several => Some(texts(several)),
            },
        })
        .collect()
}

fn limit(table: &Table, paths: PathRules) -> Limit {
    let routes = table.get("routes").map_or_else(|| vec!["/**".to_owned()], texts);
    Limit {
        name: text(table, "name").unwrap().to_owned(),
        routes: routes.iter().map(|route| Route::read(route, paths)).collect(),
        when: conditions(table),
        group: text(table, "group").map(ToOwned::to_owned),
        fallback: table.get("fallback").is_some_and(|v| v.as_bool().unwrap()),
        key: texts(&table["key"]),
        algorithm: match text(table, "algorithm").unwrap_or("sliding-log") {
            "sliding-log" => Algorithm::Log,
            "calendar" => Algorithm::Month,
            "leases" => Algorithm::Leases,
            "size" => Algorithm::Size,
            other => panic!("the model knows no {other}"),
        },
        quota: quotas(table.get("quota")),
        overrides: quotas(table.get("overrides")),
        cost: text(table, "cost").map(ToOwned::to_owned),
        missing: match table.get("missing") {
            None => Missing::Deny,
            Some(Value::Table(other)) => Missing::Limit(text(other, "limit").unwrap().to_owned()),
            Some(Value::String(word)) if word == "skip" => Missing::Skip,
            Some(Value::String(word)) if word == "deny" => Missing::Deny,
            Some(other) => panic!("missing = {other}"),
        },
        shadow: text(table, "mode") == Some("shadow"),
        charge_denied: table.get("charge_denied").is_some_and(|v| v.as_bool().unwrap()),
        ttl: text(table, "ttl").map_or(0, span),
    }
}

fn status(table: &Table) -> u16 {
    table.get("status").map_or(429, |v| v.as_integer().unwrap().try_into().unwrap())
}

impl File {
    pub(crate) fn read(source: &str) -> Self {
        let file: Table = source.parse().unwrap();
        let paths = PathRules {
            lower_case: file.get("path").and_then(|p| p.get("case")).and_then(Value::as_str)
                == Some("insensitive"),
        };
        let attributes = file["attribute"]
            .as_table()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                let value = value.as_table().unwrap();
                (
                    name.clone(),
                    Attribute {
                        ip: text(value, "kind") == Some("ip"),
                        values: value.get("values").map(texts),
                    },
                )
            })
            .collect();
        Self {
            paths,
            attributes,
            limits: tables(&file, "limit").map(|table| limit(table, paths)).collect(),
            refusals: tables(&file, "refuse")
                .map(|table| Refusal {
                    name: text(table, "name").unwrap().to_owned(),
                    when: conditions(table),
                    status: status(table),
                })
                .collect(),
            penalties: tables(&file, "penalty")
                .map(|table| Penalty {
                    name: text(table, "name").unwrap().to_owned(),
                    key: texts(&table["key"]),
                    denials: table["denials"].as_integer().unwrap().try_into().unwrap(),
                    within: span(text(table, "within").unwrap()),
                    blocks: texts(&table["blocks"])
                        .iter()
                        .map(|block| (block != "until lifted").then(|| span(block)))
                        .collect(),
                    decay: span(text(table, "decay").unwrap()),
                    status: status(table),
                })
                .collect(),
            response: file
                .get("response")
                .map_or_else(Table::new, |response| response.as_table().unwrap().clone()),
        }
    }
}
