//! [`Mismatch`]: a layer and what decides in it that do not speak of the same things.

use super::{
    extract::Extractor,
    gate::{Gate, LimiterGate, PolicyGate},
    layer::LimitLayer,
};
use crate::policy::{Policy, nearest};
use std::fmt;

/// What a layer and its policy or limiter do not agree on: [`LimitLayer::checked`] says so at
/// start-up.
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
/// assert_eq!(mismatch.unread_attributes, [("tennant".to_owned(), Some("tenant".to_owned()))]);
/// assert_eq!(
///     mismatch.to_string(),
///     "the policy reads the attribute `tenant`, which nothing supplies; the attribute `tennant` \
///      is told of, and the policy does not read it: did you mean `tenant`?",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// What limits, refusals, exemptions or penalties read, and no extractor supplies, nor is it
    /// said to be [never there](LimitLayer::without). An address is supplied where the list is
    /// that it may be taken from (`forwarded` in the file).
    pub missing_attributes: Vec<String>,
    /// What an extractor supplies or is said to be never there, and nothing of the policy reads,
    /// be it declared or not; each with what may have been meant, of those that are missing.
    pub unread_attributes: Vec<(String, Option<String>)>,
    /// Of which attributes the extractor, or a part of it, can find nothing, and why. That of a
    /// limiter's key is called `key`.
    pub broken_extractors: Vec<(String, String)>,
    /// What limits count, and no [cost](LimitLayer::cost) supplies.
    pub missing_costs: Vec<String>,
    /// What a [cost](LimitLayer::cost) supplies or an answer [settles](LimitLayer::settle), and
    /// no limit counts; each with what may have been meant, of those that are counted. A limiter
    /// counts one: its limit's name.
    pub unread_costs: Vec<(String, Option<String>)>,
}

impl Mismatch {
    /// An error, if there is any.
    fn or_fine(self) -> Result<(), Self> {
        if self == Self::default() { Ok(()) } else { Err(self) }
    }
}

/// What decides, beside the dimensions that answers are settled for in.
pub(super) trait Compare {
    fn compare(&self, settled: &[&str]) -> Mismatch;
}

impl Compare for PolicyGate {
    fn compare(&self, settled: &[&str]) -> Mismatch {
        self.compare_with(&self.policy.load(), settled)
    }
}

impl PolicyGate {
    fn compare_with(&self, policy: &Policy, settled: &[&str]) -> Mismatch {
        let (attributes, costs) = (names(&self.attributes), names(&self.costs));
        let absent: Vec<&str> = self.absent.iter().map(|name| &**name).collect();
        // A list that is never there supplies no address.
        let lacking = policy.attributes_lacking(|name| attributes.contains(&name));
        let missing_attributes = owned(lacking.into_iter().filter(|name| !absent.contains(name)));
        let read: Vec<_> = policy.attributes_read().collect();
        let costs_told = costs.iter().chain(settled).copied();
        Mismatch {
            unread_attributes: with_hints(
                attributes.iter().chain(&absent).copied().filter(|name| !read.contains(name)),
                |name| nearest(name, missing_attributes.iter().map(String::as_str)),
            ),
            missing_attributes,
            broken_extractors: broken(self.attributes.iter().map(|(name, from)| (&**name, from))),
            missing_costs: owned(policy.dimensions().filter(|name| !costs.contains(name))),
            unread_costs: with_hints(
                costs_told.filter(|name| policy.dimension_id(name).is_none()),
                |name| nearest(name, policy.dimensions()),
            ),
        }
    }
}

impl<A, C> Compare for LimiterGate<A, C> {
    fn compare(&self, settled: &[&str]) -> Mismatch {
        let counted = &*self.told.name;
        let unread = settled.iter().copied().filter(|name| *name != counted);
        Mismatch {
            broken_extractors: broken([("key", &self.key)]),
            // There is but one that can have been meant.
            unread_costs: with_hints(unread, |_| Some(counted)),
            ..Mismatch::default()
        }
    }
}

impl<G: Gate> LimitLayer<G> {
    /// The same layer, if it and its policy or limiter speak of the same things.
    ///
    /// A misspelt name would else show at the first request: what a limit needs would be
    /// missing from all of them; or never, where the limit passes over them then. Say it last,
    /// when the layer has been told everything.
    ///
    /// All that the policy reads is to be supplied, also for limits that pass over requests
    /// without it (`missing = "skip"`), for shadows, and for conditions that ask whether it is
    /// there: if it was forgotten, they would do nothing, or be of everybody, and nothing would
    /// tell. What requests of this service never have, and the policy reads for others, is said
    /// by [`without`](Self::without); of a cost, by one that is never known: `|_| None`.
    ///
    /// ```
    /// use tollgate::{policy::Policy, tower::{LimitLayer, content_length, header}};
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
    ///     .without("robot") // they use another service
    ///     .cost("bytes", content_length)
    ///     .checked()?;
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A limiter may have a key that nothing can be found by, and it counts under its limit's
    /// name alone, which is `default` unless its [dialect](Self::dialect) says another:
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, tower::{LimitLayer, header}};
    ///
    /// let limiter = KeyedLimiter::gcra("1_000_000/h".parse()?).try_build()?;
    /// let layer = LimitLayer::limiter(limiter, header("x org")).settle_bytes("bytes");
    /// assert_eq!(
    ///     layer.checked().unwrap_err().to_string(),
    ///     "the extractor of `key`, or a part of it, can find nothing: \"x org\" is no name of a \
    ///      header field; a cost in `bytes` is told of, and no limit counts it: did you mean \
    ///      `default`?",
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that they do not agree on.
    pub fn checked(self) -> Result<Self, Mismatch> {
        self.gate().compare(&self.settled()).or_fine().map(|()| self)
    }
}

impl LimitLayer<PolicyGate> {
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
        self.gate().compare_with(policy, &self.settled()).or_fine()
    }
}

fn names<T>(told: &[(Box<str>, T)]) -> Vec<&str> {
    told.iter().map(|(name, _)| &**name).collect()
}

/// Those that can find nothing, and why.
fn broken<'e>(all: impl IntoIterator<Item = (&'e str, &'e Extractor)>) -> Vec<(String, String)> {
    let flaw = |(name, from): (&str, &Extractor)| Some((name.to_owned(), from.flaw()?.to_owned()));
    all.into_iter().filter_map(flaw).collect()
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

/// The same, each with what may have been meant.
fn with_hints<'n, 'm>(
    names: impl IntoIterator<Item = &'n str>,
    meant: impl Fn(&str) -> Option<&'m str>,
) -> Vec<(String, Option<String>)> {
    let hint = |name: String| {
        let meant = meant(&name).map(str::to_owned);
        (name, meant)
    };
    owned(names).into_iter().map(hint).collect()
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
        for (name, meant) in &self.unread_attributes {
            let hint = Hint(meant.as_deref());
            say(format_args!(
                "the attribute `{name}` is told of, and the policy does not read it{hint}"
            ))?;
        }
        for (name, why) in &self.broken_extractors {
            say(format_args!(
                "the extractor of `{name}`, or a part of it, can find nothing: {why}"
            ))?;
        }
        for name in &self.missing_costs {
            say(format_args!("a limit counts `{name}`, and nothing says what a request costs"))?;
        }
        for (name, meant) in &self.unread_costs {
            let hint = Hint(meant.as_deref());
            say(format_args!("a cost in `{name}` is told of, and no limit counts it{hint}"))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

/// What may have been meant.
struct Hint<'m>(Option<&'m str>);

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

    /// Names, with what may have been meant.
    fn hinted(names: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        let owned =
            |(name, meant): &(&str, Option<&str>)| ((*name).to_owned(), meant.map(str::to_owned));
        names.iter().map(owned).collect()
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
        let unread = [("idle", None), ("method", None), ("Tier", None)];
        assert_eq!(mismatch.unread_attributes, hinted(&unread));
        assert!(mismatch.missing_attributes.is_empty());
    }

    #[test]
    fn what_is_never_there_is_not_missing() {
        let without = |names: &[&str], absent: &[&str]| {
            absent.iter().fold(layer(names), |layer, name| layer.without(name)).checked()
        };
        for left_out in ALL {
            let rest: Vec<_> = ALL.into_iter().filter(|name| *name != left_out).collect();
            assert!(without(&rest, &[left_out]).is_ok());
        }
        assert!(without(&ALL, &["user"]).is_ok());
        // What is no attribute of the policy, or not read by it, is misspelt.
        let mismatch = without(&ALL[..7], &["guests", "idle"]).unwrap_err();
        assert_eq!(mismatch.missing_attributes, ["guest"]);
        let unread = [("guests", Some("guest")), ("idle", None)];
        assert_eq!(mismatch.unread_attributes, hinted(&unread));
        // A list that is never there is not where the address is.
        let rest: Vec<_> = ALL.into_iter().filter(|name| !["ip", "list"].contains(name)).collect();
        let mismatch = without(&rest, &["list"]).unwrap_err();
        assert_eq!(mismatch.missing_attributes, ["ip"]);
        assert!(without(&rest, &["list", "ip"]).is_ok());
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
        assert_eq!(other.unread_costs, hinted(&[("token", Some("tokens")), ("egress", None)]));
        assert_eq!(
            other.to_string(),
            "a limit counts `tokens`, and nothing says what a request costs; a cost in `token` is \
             told of, and no limit counts it: did you mean `tokens`?; a cost in `egress` is told \
             of, and no limit counts it"
        );
        // Also where what was meant is not missing.
        let settled = layer().cost("tokens", |_| None).settle("token", |_| None);
        let settled = settled.checked().unwrap_err();
        assert_eq!(settled.unread_costs, hinted(&[("token", Some("tokens"))]));
    }

    #[test]
    fn extractors_that_find_nothing_are_told() {
        let of = |extractor| {
            let policy = "[attribute.org]\n[[limit]]\nname = 'api'\nkey = ['org']\nquota = '5/s'\n";
            let layer = LimitLayer::policy(Policy::from_toml(policy).unwrap());
            let checked = layer.attribute("org", extractor).checked();
            checked.err().map(|mismatch| {
                assert!(mismatch.to_string().contains("extractor of `org`, or a part of it, can"));
                let [(name, why)] = &mismatch.broken_extractors[..] else { panic!() };
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

    #[test]
    fn a_limiter_is_compared_by_its_key_and_its_name() {
        use crate::headers::{Dialect, Fields};
        use crate::{KeyedLimiter, Quota};
        let layer = |key| {
            let limiter = KeyedLimiter::gcra(Quota::n_per_second(1).unwrap()).try_build().unwrap();
            LimitLayer::limiter(limiter, key)
        };
        let dialect = || Dialect::new(Fields::XRateLimit);
        assert!(layer(header("x-key")).checked().is_ok());
        // Settled for by the name that it has in the end.
        let named = layer(peer()).settle("api", |_| None).settle_bytes("api");
        assert!(named.clone().dialect("api", dialect()).checked().is_ok());
        let unnamed = named.checked().unwrap_err();
        assert_eq!(unnamed.unread_costs, hinted(&[("api", Some("default"))]));
        assert_eq!(
            unnamed.to_string(),
            "a cost in `api` is told of, and no limit counts it: did you mean `default`?"
        );
        let settled = layer(peer()).settle("default", |_| None).settle_bytes("bytes");
        let settled = settled.dialect("api", dialect()).checked().unwrap_err();
        let unread = [("default", Some("api")), ("bytes", Some("api"))];
        assert_eq!(settled.unread_costs, hinted(&unread));
        assert!(settled.broken_extractors.is_empty());

        let broken = layer(header("x key").or(peer()).network(32, 64)).checked().unwrap_err();
        let why = "\"x key\" is no name of a header field";
        assert_eq!(broken.broken_extractors, [("key".to_owned(), why.to_owned())]);
        assert!(broken.unread_costs.is_empty());
        assert_eq!(
            broken.to_string(),
            format!("the extractor of `key`, or a part of it, can find nothing: {why}")
        );
    }

    /// Whoever is handed a layer need not know what decides in it.
    #[test]
    fn any_layer_is_checked() {
        fn flaws(layer: LimitLayer<impl Gate>) -> usize {
            layer.checked().map_or_else(|mismatch| mismatch.broken_extractors.len(), |_| 0)
        }
        let quota = crate::Quota::n_per_second(1).unwrap();
        let limiter = crate::KeyedLimiter::gcra(quota).try_build().unwrap();
        assert_eq!(flaws(LimitLayer::limiter(limiter, header("x key"))), 1);
        assert_eq!(flaws(layer(&ALL)), 0);
        assert_eq!(flaws(layer(&ALL).attribute("tier", header("x key"))), 1);
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
        assert_eq!(mismatch.unread_attributes, hinted(&[("org", None)]));
        assert!(layer.clone().checked().is_ok());
        live.replace(&file("user")).unwrap();
        assert_eq!(layer.checked().unwrap_err(), mismatch);
    }
}
