//! What a policy calls things: its limits, attributes and cost dimensions.

use super::{Algorithm, AttributeId, DimensionId, Policy, Request};

impl Policy {
    /// The number of an attribute's name; `None` if the policy does not name it.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n[[limit]]\nname = 'api'\nkey = ['user']\nquota = '9/min'\n",
    /// )?;
    /// // Looked up once, at the start:
    /// let user = policy.attribute_id("user").ok_or("the policy has no users")?;
    /// // for each request:
    /// let request = policy.request("GET", "/").attribute_by_id(user, "ann");
    /// assert!(policy.check(&request).is_allowed());
    /// assert_eq!(policy.attribute_id("usr"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attribute_id(&self, name: &str) -> Option<AttributeId> {
        self.names.find(name).map(AttributeId)
    }

    /// The number of a cost dimension; `None` if no limit counts it.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/min'\ncost = 'tokens'\n",
    /// )?;
    /// let tokens = policy.dimension_id("tokens").ok_or("nothing counts tokens")?;
    /// let request = policy.request("POST", "/chat").cost_by_id(tokens, 501);
    /// assert!(policy.check(&request).is_denied());
    /// assert_eq!(policy.dimension_id("bytes"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dimension_id(&self, name: &str) -> Option<DimensionId> {
        self.dimensions.find(name).map(DimensionId)
    }

    /// The names of its limits, in the order of the file.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'minute'\nkey = []\nquota = '9/min'\n\
    /// #      [[limit]]\nname = 'day'\nkey = []\nquota = '100/d'\n",
    /// # )?;
    /// assert_eq!(policy.limits().collect::<Vec<_>>(), ["minute", "day"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limits(&self) -> impl ExactSizeIterator<Item = &str> {
        self.limits.iter().map(|limit| &*limit.name)
    }

    /// How the limit of that name counts; `None` if there is none.
    ///
    /// ```
    /// use tollgate::policy::{Algorithm, Policy};
    ///
    /// let policy = Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n")?;
    /// // Where the file does not say, it is the sliding log.
    /// assert_eq!(policy.algorithm("api"), Some(Algorithm::SlidingLog));
    /// assert_eq!(policy.algorithm("app"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn algorithm(&self, limit: &str) -> Option<Algorithm> {
        self.find(limit).map(|limit| limit.algorithm)
    }

    /// Whether the limit of that name only reports, for all of its keys.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'every'\nkey = []\nquota = '9/min'\nmode = 'shadow'\n\
    /// #      [[limit]]\nname = 'some'\nkey = []\nquota = '9/min'\nshare = '10%'\n",
    /// # )?;
    /// // `every` has `mode = "shadow"`. `some` has `share = "10%"`: it depends on the key.
    /// assert!(policy.is_shadow("every"));
    /// assert!(!policy.is_shadow("some"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_shadow(&self, limit: &str) -> bool {
        self.find(limit).is_some_and(|limit| limit.shadow)
    }

    /// The attributes that it declares.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.ip]\nkind = 'ip'\n[attribute.user]\n\
    /// #      [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// # )?;
    /// // It has `[attribute.ip]` and `[attribute.user]`.
    /// let mut names: Vec<_> = policy.attributes().collect();
    /// names.sort_unstable();
    /// assert_eq!(names, ["ip", "user"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter()
    }

    /// Those of its attributes that keys, conditions, quotas or networks go by, and the lists
    /// that addresses are taken from: what a host is to tell, so that nothing is missing.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[attribute.user]\n[attribute.tier]\n[attribute.region]\n\
    ///      [[limit]]\nname = 'api'\nkey = ['user']\n\
    ///      quota = { by = 'tier', free = '9/min', otherwise = '90/min' }\n",
    /// )?;
    /// // Nothing goes by the region yet.
    /// let mut read: Vec<_> = policy.attributes_read().collect();
    /// read.sort_unstable();
    /// assert_eq!(read, ["tier", "user"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attributes_read(&self) -> impl Iterator<Item = &str> {
        let read = |id: &AttributeId| self.attributes.is_read(*id);
        let all = (0..self.names.len()).filter_map(|number| u16::try_from(number).ok());
        all.map(AttributeId).filter(read).map(|id| self.attribute_name(id))
    }

    /// Those that are read, and are none of the `supplied`. An address is supplied by its list.
    #[cfg(feature = "tower")]
    pub(crate) fn attributes_lacking(&self, supplied: impl Fn(&str) -> bool) -> Vec<&str> {
        let by_list = |name: &str| {
            let list = self.attribute_id(name).and_then(|id| self.attributes.list_of(id));
            list.is_some_and(|list| supplied(self.attribute_name(list)))
        };
        self.attributes_read().filter(|name| !supplied(name) && !by_list(name)).collect()
    }

    /// The attributes that were given for a request and count as missing all the same, each
    /// with what was given: none of the values that the attribute may have, no address, a
    /// list of proxies that names no client.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     [attribute.tier]
    ///     values = ["FREE", "PRO"]
    ///     [[limit]]
    ///     name = "api"
    ///     key = []
    ///     quota = { by = "tier", FREE = "10/min", PRO = "100/min" }
    ///     "#,
    /// )?;
    /// let request = policy.request("GET", "/").attribute("tier", "GOLD");
    /// assert_eq!(policy.not_understood(&request).next(), Some(("tier", &b"GOLD"[..])));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn not_understood<'r>(
        &self,
        request: &Request<'r>,
    ) -> impl Iterator<Item = (&str, &'r [u8])> {
        self.attributes.not_understood(request).map(|(id, given)| (self.attribute_name(id), given))
    }

    /// How many attributes have numbers, from 0 on: those of this file and of all that it
    /// [replaced](super::LivePolicy), whose numbers are passed over.
    ///
    /// ```
    /// use tollgate::policy::{Policy, PolicyFile};
    ///
    /// # let file = |name: &str| {
    /// #     let text = format!(
    /// #         "[attribute.{name}]\n\
    /// #          [[limit]]\nname = 'api'\nkey = ['{name}']\nquota = '9/min'\n",
    /// #     );
    /// #     PolicyFile::parse("policy.toml", text.as_bytes())
    /// # };
    /// // A file with `user` is replaced by one with `org`.
    /// let before = Policy::from_file(&file("user")?)?;
    /// let after = before.succeeded_by(&file("org")?)?;
    /// // `user` keeps its number, though nothing is called so any more.
    /// assert_eq!((after.attribute_numbers(), after.attributes().len()), (2, 1));
    /// assert_eq!(after.attribute_id("user"), None);
    /// assert_eq!(after.attribute_id("org").map(|id| id.number()), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attribute_numbers(&self) -> usize {
        self.names.len()
    }

    /// How many cost dimensions have numbers, as [`attribute_numbers`](Self::attribute_numbers).
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/min'\ncost = 'tokens'\n",
    /// )?;
    /// assert_eq!(policy.dimension_numbers(), 1);
    /// assert_eq!(policy.dimension_id("tokens").map(|id| id.number()), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dimension_numbers(&self) -> usize {
        self.dimensions.len()
    }

    /// The name of the cost dimension of that number; `None` if no limit counts it.
    ///
    /// ```
    /// use tollgate::policy::{DimensionId, Policy};
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/min'\ncost = 'tokens'\n",
    /// # )?;
    /// // The way back from a number, as a host keeps it.
    /// assert_eq!(policy.dimension(DimensionId::new(0)), Some("tokens"));
    /// assert_eq!(policy.dimension(DimensionId::new(1)), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dimension(&self, id: DimensionId) -> Option<&str> {
        self.dimensions.said(id.0)
    }

    /// The cost dimensions that its limits count.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/min'\ncost = 'tokens'\n\
    /// #      [[limit]]\nname = 'traffic'\nkey = []\nalgorithm = 'size'\nquota = '1 MB'\n\
    /// #      cost = 'bytes'\n\
    /// #      [[limit]]\nname = 'day'\nkey = []\nquota = '9/d'\ncost = 'tokens'\n",
    /// # )?;
    /// // Two limits count `tokens`, one counts `bytes`.
    /// assert_eq!(policy.dimensions().collect::<Vec<_>>(), ["tokens", "bytes"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dimensions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.dimensions.iter()
    }
}
