//! Refusals and exemptions: what goes before all limits.

use super::{
    attribute::{AttributeId, Attributes, Value},
    request::Request,
    route_table::{Question, RouteTable},
    select::Met,
};
use ipnet::IpNet;

/// One refusal or exemption.
pub(super) struct Rule {
    pub(super) name: Box<str>,
    pub(super) status: Option<u16>,
    pub(super) conditions: usize,
    /// `None`: everywhere.
    pub(super) routes: Option<RouteTable>,
    /// All of these attributes are in one of their networks.
    pub(super) networks: Vec<(AttributeId, Vec<IpNet>)>,
}

/// In the order of the file: the first that applies is the answer.
#[derive(Default)]
pub(super) struct Rules(pub(super) Vec<Rule>);

impl Rules {
    pub(super) fn find(
        &self,
        attributes: &Attributes,
        request: &Request<'_>,
        question: Question<'_>,
        met: &Met,
    ) -> Option<&Rule> {
        self.0.iter().find(|rule| {
            met.holds(rule.conditions)
                && rule.networks.iter().all(|(id, networks)| {
                    matches!(attributes.value(*id, request), Some(Value::Ip(ip))
                        if networks.iter().any(|network| network.contains(&ip)))
                })
                && rule
                    .routes
                    .as_ref()
                    .is_none_or(|routes| routes.find(question, |_| true).is_some())
        })
    }
}
