//! [`Mismatch`]: a layer and a policy that do not speak of the same things.

use super::{gate::PolicyGate, layer::LimitLayer};
use crate::policy::{Policy, nearest};
use std::fmt;

/// What a layer and its policy do not agree on: [`LimitLayer::checked`] says so at start-up.
///
/// ```
/// use tollgate::{policy::Policy, tower::{LimitLayer, header}};
///
/// let policy = Policy::from_toml(
///     "[attribute.tenant]\n[[limit]]\nname = 'api'\nkey = ['tenant']\nquota = '9/min'\n",
/// )?;
/// let layer = LimitLayer::policy(policy).attribute("tennant", header("x-tenant"));
/// let mismatch = layer.checked().unwrap_err();
/// assert_eq!(mismatch.missing_attributes, ["tenant"]);
/// assert_eq!(mismatch.unread_attributes, ["tennant"]);
/// assert_eq!(
///     mismatch.to_string(),
///     "the policy reads the attribute `tenant`, which nothing supplies; the attribute `tennant` \
///      is supplied, and the policy does not read it: did you mean `tenant`?",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// What limits, refusals, exemptions or penalties read, and no extractor supplies. An address
    /// is supplied where the list is that it may be taken from (`forwarded` in the file).
    pub missing_attributes: Vec<String>,
    /// What an extractor supplies, and nothing of the policy reads, be it declared or not.
    pub unread_attributes: Vec<String>,
    /// Attributes whose extractor, or a part of it, can find nothing, and why.
    pub broken_attributes: Vec<(String, String)>,
    /// What limits count, and no [cost](LimitLayer::cost) supplies.
    pub missing_costs: Vec<String>,
    /// What a [cost](LimitLayer::cost) supplies or an answer [settles](LimitLayer::settle), and
    /// no limit counts.
    pub unread_costs: Vec<String>,
}

impl LimitLayer<PolicyGate> {
    /// The same layer, if it and its policy speak of the same attributes and costs.
    ///
    /// A misspelt name would else show at the first request: what a limit needs would be
    /// missing from all of them. Say it last, when the layer has been told everything. What
    /// requests of this service never have, and the policy reads for others, is supplied by an
    /// extractor that finds nothing: `from_fn(|_| None::<String>)`; a cost by `|_| None`.
    ///
    /// ```
    /// use tollgate::{policy::Policy, tower::{LimitLayer, content_length, from_fn, header}};
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     [attribute.org]
    ///     [attribute.robot]
    ///     [[refuse]]
    ///     name = "no robots"
    ///     when = { robot = true }
    ///     [[limit]]
    ///     name = "uploads"
    ///     key = ["org"]
    ///     algorithm = "gcra"
    ///     quota = "1_000_000/h"
    ///     cost = "bytes"
    ///     "#,
    /// )?;
    /// let layer = LimitLayer::policy(policy)
    ///     .attribute("org", header("x-org"))
    ///     .attribute("robot", from_fn(|_| None::<String>)) // not here
    ///     .cost("bytes", content_length)
    ///     .checked()?;
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that they do not agree on.
    pub fn checked(self) -> Result<Self, Mismatch> {
        let fits = self.fits(&self.gate().policy.load());
        fits.map(|()| self)
    }

    /// Whether a policy that is to replace this layer's speaks of the same attributes and costs
    /// as the layer: a [`LivePolicy`](crate::policy::LivePolicy) may bring new ones. Compare with
    /// one in memory of its own, as here: one in a region would make its tables there first.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tollgate::{policy::{LivePolicy, Policy, PolicyFile}, tower::{LimitLayer, header}};
    ///
    /// let file = |key: &str| {
    ///     let limit = format!("[[limit]]\nname = 'api'\nkey = ['{key}']\nquota = '9/min'\n");
    ///     PolicyFile::parse("policy.toml", format!("[attribute.{key}]\n{limit}").as_bytes())
    /// };
    /// let live = Arc::new(LivePolicy::new(Policy::from_file(&file("org")?)?));
    /// let layer = LimitLayer::policy(live.clone()).attribute("org", header("x-org")).checked()?;
    ///
    /// // Later, of whatever watches the file:
    /// let reload = |file: &PolicyFile| -> Result<(), Box<dyn std::error::Error>> {
    ///     layer.fits(&Policy::from_file(file)?)?;
    ///     Ok(live.replace(file)?)
    /// };
    /// assert!(reload(&file("org")?).is_ok());
    /// let error = reload(&file("user")?).unwrap_err(); // and the old one stays
    /// assert!(error.to_string().contains("`user`"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that they do not agree on.
    pub fn fits(&self, policy: &Policy) -> Result<(), Mismatch> {
        let PolicyGate { attributes, costs, .. } = self.gate();
        let (settled, by_bytes) = self.settled();
        let supplied = |name: &str| attributes.iter().any(|(known, _)| **known == *name);
        let costed = |name: &str| costs.iter().any(|(known, _)| **known == *name);
        let costs_told = costs.iter().map(|(name, _)| &**name).chain(settled).chain(by_bytes);
        let broken = attributes.iter().filter_map(|(name, from)| Some((&**name, from.flaw()?)));
        let mismatch = Mismatch {
            missing_attributes: owned(policy.attributes_lacking(supplied)),
            unread_attributes: owned(
                attributes
                    .iter()
                    .map(|(name, _)| &**name)
                    .filter(|name| policy.attributes_read().all(|read| read != *name)),
            ),
            broken_attributes: broken.map(|(a, why)| (a.to_owned(), why.to_owned())).collect(),
            missing_costs: owned(policy.dimensions().filter(|name| !costed(name))),
            unread_costs: owned(costs_told.filter(|name| policy.dimension_id(name).is_none())),
        };
        if mismatch == Mismatch::default() { Ok(()) } else { Err(mismatch) }
    }
}

/// Each once, in their order.
fn owned<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if all.iter().all(|known| known != name) {
            all.push(name.to_owned());
        }
    }
    all
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut say = |said: fmt::Arguments<'_>| {
            let between = if std::mem::take(&mut first) { "" } else { "; " };
            write!(f, "{between}{said}")
        };
        for name in &self.missing_attributes {
            say(format_args!("the policy reads the attribute `{name}`, which nothing supplies"))?;
        }
        for name in &self.unread_attributes {
            let hint = Hint::of(name, &self.missing_attributes);
            say(format_args!(
                "the attribute `{name}` is supplied, and the policy does not read it{hint}"
            ))?;
        }
        for (name, why) in &self.broken_attributes {
            say(format_args!(
                "the extractor of the attribute `{name}`, or a part of it, can find nothing: {why}"
            ))?;
        }
        for name in &self.missing_costs {
            say(format_args!("a limit counts `{name}`, and nothing says what a request costs"))?;
        }
        for name in &self.unread_costs {
            let hint = Hint::of(name, &self.missing_costs);
            say(format_args!("a cost in `{name}` is told of, and no limit counts it{hint}"))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

/// What may have been meant: of what is missing, the nearest.
struct Hint<'m>(Option<&'m str>);

impl<'m> Hint<'m> {
    fn of(name: &str, missing: &'m [String]) -> Self {
        Self(nearest(name, missing.iter().map(String::as_str)))
    }
}

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |near| write!(f, ": did you mean `{near}`?"))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::tower::{extension, forwarded, from_fn, header, path_parameter, peer};

    const FILE: &str = r#"
        [attribute.ip]
        kind = "ip"
        forwarded = "list"
        trusted_hops = 1
        [attribute.bare]
        kind = "ip"
        [attribute.tier]
        [attribute.role]
        [attribute.user]
        [attribute.plan]
        [attribute.guest]
        [attribute.idle]
        [[refuse]]
        name = "nets"
        networks = { bare = ["192.0.2.0/24"] }
        [[exempt]]
        name = "staff"
        when = { role = ["staff"] }
        [[limit]]
        name = "api"
        when = { method = ["POST"] }
        key = ["ip", "host", "path.id"]
        routes = ["/v1/{id}"]
        quota = { by = "tier", a = "1/s", otherwise = "2/s" }
        overrides = { by = "plan", b = "3/s" }
        cost = "tokens"
        [[penalty]]
        name = "ladder"
        key = ["user"]
        denials = 3
        within = "1 min"
        blocks = ["1 min"]
        [[limit]]
        name = "guests"
        unless = { guest = false }
        key = []
        quota = "1/s"
        mode = "shadow"
    "#;

    fn layer(attributes: &[&str]) -> LimitLayer<PolicyGate> {
        let layer = LimitLayer::policy(Policy::from_toml(FILE).unwrap());
        let layer = layer.cost("tokens", |_| Some(1));
        attributes.iter().fold(layer, |layer, name| layer.attribute(name, header("x")))
    }

    fn missing(attributes: &[&str]) -> Vec<String> {
        layer(attributes).checked().err().map(|m| m.missing_attributes).unwrap_or_default()
    }

    const ALL: [&str; 8] = ["ip", "list", "bare", "tier", "plan", "role", "user", "guest"];

    #[test]
    fn whatever_is_read_is_wanted() {
        assert!(layer(&ALL).checked().is_ok());
        for left_out in ALL {
            let rest: Vec<_> = ALL.into_iter().filter(|name| *name != left_out).collect();
            // Whose list is told is known by that.
            let expected = if left_out == "ip" { vec![] } else { vec![left_out.to_owned()] };
            assert_eq!(missing(&rest), expected);
        }
        // But one of the two it must be.
        let rest: Vec<_> = ALL.into_iter().filter(|name| !["ip", "list"].contains(name)).collect();
        let mut both = missing(&rest);
        both.sort_unstable();
        assert_eq!(both, ["ip", "list"]);
    }

    #[test]
    fn what_nothing_reads_is_told() {
        let mut more = ALL.to_vec();
        // Declared is not read; and what is built in comes with the request.
        more.extend(["idle", "method", "idle", "Tier"]);
        let mismatch = layer(&more).checked().unwrap_err();
        assert_eq!(mismatch.unread_attributes, ["idle", "method", "Tier"]);
        assert!(mismatch.missing_attributes.is_empty());
    }

    #[test]
    fn costs_are_compared_too() {
        let layer = || {
            let layer = LimitLayer::policy(Policy::from_toml(FILE).unwrap());
            ALL.iter().fold(layer, |layer, name| layer.attribute(name, peer()))
        };
        let none = layer().checked().unwrap_err();
        assert_eq!(none.missing_costs, ["tokens"]);
        let other = layer().cost("token", |_| None).settle("tokens", |_| None);
        let other = other.settle_bytes("egress").checked().unwrap_err();
        assert_eq!(other.unread_costs, ["token", "egress"]);
        assert_eq!(
            other.to_string(),
            "a limit counts `tokens`, and nothing says what a request costs; a cost in `token` is \
             told of, and no limit counts it: did you mean `tokens`?; a cost in `egress` is told \
             of, and no limit counts it"
        );
    }

    #[test]
    fn extractors_that_find_nothing_are_told() {
        let of = |extractor| {
            let policy = "[attribute.org]\n[[limit]]\nname = 'api'\nkey = ['org']\nquota = '5/s'\n";
            let layer = LimitLayer::policy(Policy::from_toml(policy).unwrap());
            let checked = layer.attribute("org", extractor).checked();
            checked.err().map(|mismatch| {
                assert!(mismatch.to_string().contains("attribute `org`, or a part of it, can"));
                let [(name, why)] = &mismatch.broken_attributes[..] else { panic!() };
                assert_eq!(name, "org");
                why.clone()
            })
        };
        assert!(of(header("x org")).unwrap().contains("\"x org\" is no name of a header field"));
        assert!(of(header("x-a").or(forwarded("a b", 1).network(8, 8))).is_some());
        assert!(of(header("\n").or(header("x-org"))).is_some());
        assert!(of(path_parameter("/v1/{id", "id")).unwrap().contains("/v1/{id"));
        assert!(of(path_parameter("/v1/{id}", "name")).unwrap().contains("name"));
        for fine in [
            header("X-Org"),
            forwarded("forwarded", 0),
            path_parameter("/v1/{id}", "id"),
            extension(|org: &String| org.clone()),
            from_fn(|_| None::<String>),
        ] {
            assert_eq!(of(fine), None);
        }
    }

    /// Of whichever policy the layer has now.
    #[test]
    fn a_policy_that_was_replaced_is_not_the_one() {
        use crate::policy::{LivePolicy, PolicyFile};
        use std::sync::Arc;
        let file = |key: &str| {
            let limit = format!("[[limit]]\nname = 'api'\nkey = ['{key}']\nquota = '5/s'\n");
            PolicyFile::parse("p", format!("[attribute.{key}]\n{limit}").as_bytes()).unwrap()
        };
        let live = Arc::new(LivePolicy::new(Policy::from_file(&file("org")).unwrap()));
        let layer = LimitLayer::policy(live.clone()).attribute("org", header("x-org"));
        assert!(layer.clone().checked().is_ok());
        let next = live.load().succeeded_by(&file("user")).unwrap();
        let mismatch = layer.fits(&next).unwrap_err();
        assert_eq!(mismatch.missing_attributes, ["user"]);
        assert_eq!(mismatch.unread_attributes, ["org"]);
        assert!(layer.clone().checked().is_ok());
        live.replace(&file("user")).unwrap();
        assert_eq!(layer.checked().unwrap_err(), mismatch);
    }
}
