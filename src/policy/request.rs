//! [`Request`]: what a host knows of one request.

use super::{
    Policy,
    attribute::{AttributeId, DimensionId},
    route_table::Question,
};
use smallvec::SmallVec;
use std::fmt;

/// What a host knows of one request: method, path, and attributes such as its client's
/// address or the customer it is from.
///
/// Made by [`Policy::request`]. It borrows everything, and lives on the stack with up to
/// twelve attributes and four costs.
///
/// ```
/// use tollgate::policy::Policy;
///
/// let policy = Policy::from_toml(
///     r#"
///     [attribute.org]
///     [[limit]]
///     name = "scans"
///     routes = ["POST /v1/scans"]
///     key = ["org"]
///     quota = "10/min"
///     "#,
/// )?;
/// let request = policy.request("POST", "/v1/scans?page=2").attribute("org", "acme");
/// assert!(policy.check(&request).is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a request is asked for by `Policy::check`"]
pub struct Request<'r> {
    policy: &'r Policy,
    pub(super) method: &'r str,
    pub(super) host: Option<&'r str>,
    pub(super) path: &'r [u8],
    attributes: SmallVec<[(AttributeId, &'r [u8]); 12]>,
    costs: SmallVec<[(DimensionId, u64); 4]>,
    /// What is [built in](AttributeId::BUILT_IN), where conditions or quotas name it.
    built_in: [&'r [u8]; 3],
}

impl<'r> Request<'r> {
    pub(super) fn new(policy: &'r Policy, method: &'r str, path: &'r [u8]) -> Self {
        Self {
            policy,
            method,
            host: None,
            path,
            attributes: SmallVec::new(),
            costs: SmallVec::new(),
            built_in: [&[]; 3],
        }
    }

    /// The host that the request is for, as the header says it: case and port do not
    /// matter. Without one, routes that name a host do not match.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'api'\nroutes = ['api.example.com/**']\nkey = []\n\
    /// #      quota = '9/min'\n",
    /// # )?;
    /// // `api` is for `api.example.com/**`.
    /// let asked =
    ///     |host| policy.check(&policy.request("GET", "/").host(host)).limit("api").is_some();
    /// assert!(asked("API.example.com:8443") && !asked("www.example.com"));
    /// assert!(policy.check(&policy.request("GET", "/")).limit("api").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn host(mut self, host: &'r str) -> Self {
        self.set_host(host);
        self
    }

    /// An attribute by name; one that the policy does not name is passed over. An empty
    /// value is as good as none. Given twice, the last one counts.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.org]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['org']\nquota = '9/min'\n",
    /// # )?;
    /// // `api` counts by `org`; nothing in the policy is called `colour`.
    /// let request =
    ///     policy.request("GET", "/").attribute("org", "acme").attribute("colour", "red");
    /// assert!(policy.check(&request).is_allowed());
    /// // An empty one is missing, and a limit denies what it cannot count.
    /// assert!(policy.check(&request.attribute("org", "")).is_denied());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attribute(self, name: &str, value: &'r (impl AsRef<[u8]> + ?Sized)) -> Self {
        match self.policy.attribute_id(name) {
            Some(id) => self.attribute_by_id(id, value),
            None => self,
        }
    }

    /// As [`attribute`](Self::attribute), by [number](Policy::attribute_id).
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.org]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['org']\nquota = '9/min'\n",
    /// # )?;
    /// let org = policy.attribute_id("org").ok_or("no `org`")?;
    /// // Values may be bytes that are no text.
    /// let request = policy.request("GET", "/").attribute_by_id(org, &[0xFF, 0x00]);
    /// assert!(policy.check(&request).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attribute_by_id(
        mut self,
        id: AttributeId,
        value: &'r (impl AsRef<[u8]> + ?Sized),
    ) -> Self {
        self.set_attribute(id, value);
        self
    }

    /// What the request costs in a dimension that limits count (`bytes`, `tokens`); one
    /// that no limit counts is passed over. Given twice, the last one counts.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     "[[limit]]\nname = 'upload'\nalgorithm = 'size'\nquota = '1 MB'\ncost = 'bytes'\n",
    /// )?;
    /// let upload = |bytes| policy.request("PUT", "/file").cost("bytes", bytes);
    /// assert!(policy.check(&upload(1_000_000)).is_allowed());
    /// assert!(policy.check(&upload(1_000_001)).is_denied());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cost(self, dimension: &str, units: u64) -> Self {
        match self.policy.dimension_id(dimension) {
            Some(id) => self.cost_by_id(id, units),
            None => self,
        }
    }

    /// As [`cost`](Self::cost), by [number](Policy::dimension_id).
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/h'\ncost = 'tokens'\n",
    /// # )?;
    /// let tokens = policy.dimension_id("tokens").ok_or("no `tokens`")?;
    /// let request =
    ///     policy.request("POST", "/chat").cost_by_id(tokens, 100).cost_by_id(tokens, 120);
    /// let decision = policy.check(&request);
    /// // The last one counts.
    /// assert_eq!(decision.limit("llm").map(|limit| limit.units()), Some(120));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cost_by_id(mut self, id: DimensionId, units: u64) -> Self {
        self.set_cost(id, units);
        self
    }

    /// As [`host`](Self::host), of a request that stays where it is: hosts that fill one in a
    /// loop move no memory for it.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'api'\nroutes = ['api.example.com/**']\nkey = []\n\
    /// #      quota = '9/min'\n",
    /// # )?;
    /// let mut request = policy.request("GET", "/");
    /// if let Some(host) = Some("api.example.com") {
    ///     request.set_host(host);
    /// }
    /// assert!(policy.check(&request).limit("api").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn set_host(&mut self, host: &'r str) {
        self.host = Some(host);
    }

    /// As [`attribute_by_id`](Self::attribute_by_id), of a request that stays where it is.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[attribute.org]\n[attribute.tier]\n\
    /// #      [[limit]]\nname = 'api'\nkey = ['org', 'tier']\nquota = '9/min'\n",
    /// # )?;
    /// let mut request = policy.request("GET", "/");
    /// for (name, value) in [("org", "acme"), ("colour", "red"), ("tier", "free")] {
    ///     if let Some(id) = policy.attribute_id(name) {
    ///         request.set_attribute(id, value);
    ///     }
    /// }
    /// assert!(policy.check(&request).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn set_attribute(&mut self, id: AttributeId, value: &'r (impl AsRef<[u8]> + ?Sized)) {
        let value = value.as_ref();
        match self.attributes.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => *known = value,
            None => self.attributes.push((id, value)),
        }
    }

    /// As [`cost_by_id`](Self::cost_by_id), of a request that stays where it is.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// # let policy = Policy::from_toml(
    /// #     "[[limit]]\nname = 'llm'\nkey = []\nquota = '500/h'\ncost = 'tokens'\n",
    /// # )?;
    /// let tokens = policy.dimension_id("tokens").ok_or("no `tokens`")?;
    /// let mut request = policy.request("POST", "/chat");
    /// request.set_cost(tokens, 501); // more than an hour has: never
    /// assert_eq!(policy.check(&request).retry_after(), None);
    /// assert!(policy.check(&request).is_denied());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn set_cost(&mut self, id: DimensionId, units: u64) {
        match self.costs.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => *known = units,
            None => self.costs.push((id, units)),
        }
    }

    /// The text that was given for an attribute, unless it is empty.
    pub(super) fn given(&self, id: AttributeId) -> Option<&'r [u8]> {
        let value = if id >= AttributeId::PATH {
            *self.built_in.get(usize::from(AttributeId::METHOD.0.abs_diff(id.0)))?
        } else {
            self.attributes.iter().find(|(known, _)| *known == id)?.1
        };
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn units(&self, id: DimensionId) -> Option<u64> {
        self.costs.iter().find(|(known, _)| *known == id).map(|(_, units)| *units)
    }
}

impl Policy {
    /// Runs with a request that knows what is built in, where the policy asks for that as
    /// for attributes.
    pub(super) fn with_built_in<T>(
        &self,
        request: &Request<'_>,
        question: Question<'_>,
        run: impl FnOnce(&Request<'_>) -> T,
    ) -> T {
        if !self.attributes.has_built_in() {
            return run(request);
        }
        let (mut method, mut host) = ([0; 32], [0; 255]);
        let built_in = [
            in_case(question.method(), &mut method, <[u8]>::make_ascii_uppercase),
            in_case(question.host().unwrap_or_default(), &mut host, <[u8]>::make_ascii_lowercase),
            question.path().as_bytes(),
        ];
        run(&Request {
            policy: self,
            method: request.method,
            host: request.host,
            path: request.path,
            attributes: request.attributes.iter().copied().collect(),
            costs: request.costs.clone(),
            built_in,
        })
    }
}

/// A text in one case. No method and no host of DNS is longer than there is room.
fn in_case<'t>(text: &'t str, room: &'t mut [u8], make: impl Fn(&mut [u8])) -> &'t [u8] {
    match room.get_mut(..text.len()) {
        Some(room) => {
            room.copy_from_slice(text.as_bytes());
            make(room);
            room
        }
        None => text.as_bytes(),
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path", &String::from_utf8_lossy(self.path))
            .finish_non_exhaustive()
    }
}
