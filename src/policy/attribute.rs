//! Attributes: what a host tells of a request, by name or by number.

use super::{forwarded, request::Request};
use std::{net::IpAddr, str::from_utf8};

/// The number of an attribute's name in one policy and in all that
/// [replace](super::LivePolicy) it: for hosts that look the name up once.
///
/// ```
/// use tollgate::policy::{Policy, PolicyFile};
///
/// # let file = |text: &str| {
/// #     let text = format!(
/// #         "{text}[[limit]]\nname = 'api'\nkey = ['user']\nquota = '9/min'\n",
/// #     );
/// #     PolicyFile::parse("policy.toml", text.as_bytes())
/// # };
/// let before = Policy::from_file(&file("[attribute.ip]\nkind = 'ip'\n[attribute.user]\n")?)?;
/// let after = before.succeeded_by(&file("[attribute.user]\n[attribute.org]\n")?)?;
/// // What was looked up once holds after a reload.
/// assert_eq!(before.attribute_id("user"), after.attribute_id("user"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeId(pub(super) u16);

impl AttributeId {
    /// The attribute of that [`number`](Self::number), as hosts keep it who have no Rust
    /// values. One that no policy numbers so is passed over in a request.
    ///
    /// ```
    /// use tollgate::policy::{AttributeId, Policy};
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '9/min'\n",
    /// # )?;
    /// let user = policy.attribute_id("user").ok_or("no `user`")?;
    /// let kept: u16 = user.number(); // as C, or a table of the host, has it
    /// assert_eq!(AttributeId::new(kept), user);
    /// // A number that no attribute has is passed over.
    /// let request = policy.request("GET", "/").attribute_by_id(AttributeId::new(999), "x");
    /// assert!(policy.check(&request.attribute_by_id(user, "ann")).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number, as [`new`](Self::new) takes it.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['user']\nquota = '9/min'\n",
    /// # )?;
    /// // They are small, and each below `attribute_numbers`: an index into a table of the host.
    /// let id = policy.attribute_id("user");
    /// assert!(id.is_some_and(|id| usize::from(id.number()) < policy.attribute_numbers()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// What every request has, as attributes that no host gives: for conditions and quotas.
impl AttributeId {
    /// In upper case, HEAD as GET.
    pub(super) const METHOD: Self = Self(u16::MAX);
    /// In lower case, without port.
    pub(super) const HOST: Self = Self(u16::MAX - 1);
    /// Made normal.
    pub(super) const PATH: Self = Self(u16::MAX - 2);

    pub(super) const BUILT_IN: [(Self, &'static str); 3] =
        [(Self::METHOD, "method"), (Self::HOST, "host"), (Self::PATH, "path")];

    /// What a file calls it, if it is built in.
    pub(super) fn built_in(self) -> Option<&'static str> {
        Self::BUILT_IN.iter().find(|(id, _)| *id == self).map(|(_, name)| *name)
    }
}

/// The number of a cost dimension, as [`AttributeId`].
///
/// ```
/// use tollgate::policy::Policy;
///
/// let policy =
///     Policy::from_toml("[[limit]]\nname = 'llm'\nkey = []\nquota = '500/h'\ncost = 'tokens'\n")?;
/// let tokens = policy.dimension_id("tokens").ok_or("nothing counts tokens")?;
/// assert_eq!(policy.dimension(tokens), Some("tokens"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DimensionId(pub(super) u16);

impl DimensionId {
    /// The dimension of that [`number`](Self::number), as [`AttributeId::new`].
    ///
    /// ```
    /// use tollgate::policy::{DimensionId, Policy};
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/h'\ncost = 'tokens'\n",
    /// # )?;
    /// let tokens = policy.dimension_id("tokens").ok_or("no `tokens`")?;
    /// assert_eq!(DimensionId::new(tokens.number()), tokens);
    /// // Nothing is counted in a dimension that no limit has.
    /// let request = policy.request("POST", "/chat").cost_by_id(DimensionId::new(7), 900);
    /// let request = request.cost_by_id(tokens, 5);
    /// assert_eq!(policy.check(&request).limit("llm").map(|limit| limit.units()), Some(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number, as [`new`](Self::new) takes it.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/h'\ncost = 'tokens'\n\
    /// #      [[limit]]\nname = 'traffic'\nkey = []\nquota = '500/h'\ncost = 'bytes'\n",
    /// # )?;
    /// // Limits count `tokens` and `bytes`: a host's own table of them.
    /// let mut names = vec![""; policy.dimension_numbers()];
    /// for name in policy.dimensions() {
    ///     if let Some(id) = policy.dimension_id(name) {
    ///         names[usize::from(id.number())] = name;
    ///     }
    /// }
    /// assert_eq!(names, ["tokens", "bytes"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Names and their numbers: in the order in which they were first met, so that
/// numbers hold for policies that replace this one.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    name: Box<str>,
    /// Whether the present file says it; else a file that it replaced did.
    said: bool,
}

impl Names {
    /// The same numbers, for a file that has said nothing yet.
    pub(super) fn for_successor(&self) -> Self {
        let known =
            self.0.iter().map(|Known { name, .. }| Known { name: name.clone(), said: false });
        Self(known.collect())
    }

    pub(super) fn find(&self, name: &str) -> Option<u16> {
        let at = self.0.iter().position(|known| known.said && *known.name == *name)?;
        u16::try_from(at).ok()
    }

    /// `None` for more names than there are numbers.
    pub(super) fn find_or_add(&mut self, name: &str) -> Option<u16> {
        if let Some(at) = self.0.iter().position(|known| *known.name == *name) {
            self.0.get_mut(at)?.said = true;
            return u16::try_from(at).ok();
        }
        // The last numbers are of what is built in.
        let number = u16::try_from(self.0.len()).ok().filter(|n| *n < AttributeId::PATH.0)?;
        self.0.push(Known { name: name.into(), said: true });
        Some(number)
    }

    /// The name of that number, if the present file says it.
    pub(super) fn said(&self, number: u16) -> Option<&str> {
        self.0.get(usize::from(number)).filter(|known| known.said).map(|known| &*known.name)
    }

    /// How many numbers there are, of this file and those before it.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that the present file says.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let said = self.0.iter().filter(|known| known.said).map(|known| &*known.name);
        said.collect::<Vec<_>>().into_iter()
    }

    pub(super) fn name(&self, number: u16) -> &str {
        self.0.get(usize::from(number)).map_or("", |known| &known.name)
    }
}

/// What an attribute's values are.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Texts, or one of these texts.
    Text(Option<Vec<Box<[u8]>>>),
    /// Addresses, of which so many bits count in keys.
    Ip {
        v4_bits: u8,
        v6_bits: u8,
        /// The attribute that holds a forwarded-for list, and how many entries at its end
        /// our own proxies wrote.
        forwarded: Option<(AttributeId, usize)>,
    },
}

/// An attribute's value, given and understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'r> {
    Text(&'r [u8]),
    Ip(IpAddr),
}

/// The attributes that a policy declares.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    kinds: Vec<(AttributeId, Kind)>,
    has_built_in: bool,
    /// Those that keys, conditions, quotas or networks go by.
    read: Vec<AttributeId>,
}

impl Attributes {
    pub(super) fn declare(&mut self, id: AttributeId, kind: Kind) {
        self.kinds.push((id, kind));
    }

    /// Conditions or quotas name what is built in.
    pub(super) fn declare_built_in(&mut self, id: AttributeId) {
        if self.kind(id).is_none() {
            self.declare(id, Kind::Text(None));
            self.has_built_in = true;
        }
    }

    /// Notes that something goes by it.
    pub(super) fn note_read(&mut self, id: AttributeId) {
        if !self.read.contains(&id) {
            self.read.push(id);
        }
    }

    /// Whether anything goes by it, or by an address that it is the list of.
    pub(super) fn is_read(&self, id: AttributeId) -> bool {
        let of_list = |read: &AttributeId| *read == id || self.list_of(*read) == Some(id);
        self.read.iter().any(of_list)
    }

    /// The list that an address is taken from.
    pub(super) fn list_of(&self, id: AttributeId) -> Option<AttributeId> {
        match self.kind(id)? {
            Kind::Ip { forwarded: Some((list, _)), .. } => Some(*list),
            _ => None,
        }
    }

    pub(super) fn has_built_in(&self) -> bool {
        self.has_built_in
    }

    pub(super) fn kind(&self, id: AttributeId) -> Option<&Kind> {
        self.kinds.iter().find(|(known, _)| *known == id).map(|(_, kind)| kind)
    }

    /// The value of an attribute, `None` where it is missing: not given, empty, none of
    /// the values it has, or no address.
    pub(super) fn value<'r>(&self, id: AttributeId, request: &Request<'r>) -> Option<Value<'r>> {
        let given = request.given(id);
        match self.kind(id)? {
            Kind::Text(None) => given.map(Value::Text),
            Kind::Text(Some(values)) => {
                let given = given?;
                values.iter().any(|value| **value == *given).then_some(Value::Text(given))
            }
            Kind::Ip { forwarded, .. } => {
                // A list that says nothing sensible is not made up for by the peer: that is
                // a proxy, and shared by all who come through it.
                let list = forwarded.and_then(|(list, hops)| Some((request.given(list)?, hops)));
                let ip = match list {
                    Some((list, hops)) => forwarded::client(list, hops)?,
                    None => from_utf8(given?).ok()?.trim().parse::<IpAddr>().ok()?.to_canonical(),
                };
                Some(Value::Ip(ip))
            }
        }
    }

    /// The attributes that were given and yet are missing, and what was given.
    pub(super) fn not_understood<'r>(
        &self,
        request: &Request<'r>,
    ) -> impl Iterator<Item = (AttributeId, &'r [u8])> {
        self.kinds.iter().filter_map(|(id, kind)| {
            let list = match kind {
                Kind::Ip { forwarded: Some((list, _)), .. } => request.given(*list),
                _ => None,
            };
            let given = list.or_else(|| request.given(*id))?;
            self.value(*id, request).is_none().then_some((*id, given))
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_name_gets_a_number_of_what_is_built_in() {
        let all =
            (0..AttributeId::PATH.0).map(|n| Known { name: n.to_string().into(), said: true });
        let mut names = Names(all.collect());
        assert_eq!(names.find_or_add("one more"), None);
        assert_eq!(names.find_or_add("65532"), Some(65_532));
        assert_eq!(AttributeId(65_532).built_in(), None);
        for (id, name) in AttributeId::BUILT_IN {
            assert_eq!((names.name(id.0), id.built_in()), ("", Some(name)));
        }
    }
}
