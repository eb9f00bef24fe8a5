//! `tollgate explain`: one request, told by the command line.

use super::{compile, fields::pair, load};
use crate::{args, failure::Failure};

/// The explanation as text.
pub(crate) fn explain(options: &args::Explain) -> Result<String, Failure> {
    let policy = compile(&load(&options.policy, 2)?, 2)?;
    let mut request = policy.request(&options.method, &options.path);
    if let Some(host) = &options.host {
        request = request.host(host);
    }
    for text in &options.attributes {
        let (name, value) = pair("--attr", text)?;
        let Some(id) = policy.attribute_id(name) else {
            return Err(unknown("--attr", text, "attribute", name, policy.attributes()));
        };
        request = request.attribute_by_id(id, value);
    }
    for text in &options.costs {
        let (name, value) = pair("--cost", text)?;
        let Some(id) = policy.dimension_id(name) else {
            return Err(unknown("--cost", text, "cost", name, policy.dimensions()));
        };
        let units = value
            .parse()
            .map_err(|_| Failure::new(format!("--cost {text}: expected a number of {name}")))?;
        request = request.cost_by_id(id, units);
    }
    Ok(policy.explain(&request).to_string())
}

/// A name that the policy does not know, with those that it does.
pub(super) fn unknown<'p>(
    option: &str,
    text: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'p str>,
) -> Failure {
    let known: Vec<&str> = known.collect();
    let known = match known[..] {
        [] => format!("it has no {what}s"),
        _ => format!("it has {}", known.join(", ")),
    };
    let [text, name] = [text, name].map(|text| crate::show::printable(text.as_bytes()));
    Failure::new(format!("{option} {text}: the policy has no {what} `{name}`; {known}"))
}
