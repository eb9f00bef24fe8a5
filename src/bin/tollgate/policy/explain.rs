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
    for (nth, text) in options.attributes.iter().enumerate() {
        let (name, value) = pair("--attr", text)?;
        once("--attr", name, &options.attributes[..nth])?;
        let Some(id) = policy.attribute_id(name) else {
            return Err(unknown("--attr", text, "attribute", name, policy.attributes()));
        };
        request = request.attribute_by_id(id, value);
    }
    for (nth, text) in options.costs.iter().enumerate() {
        let (name, value) = pair("--cost", text)?;
        once("--cost", name, &options.costs[..nth])?;
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

/// Refuses what stands before already.
fn once(option: &str, name: &str, before: &[String]) -> Result<(), Failure> {
    let told = |text: &String| text.split_once('=').is_some_and(|(known, _)| known == name);
    if before.iter().any(told) {
        let name = crate::show::printable(name.as_bytes());
        return Err(Failure::new(format!("{option}: `{name}` is told twice")));
    }
    Ok(())
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
