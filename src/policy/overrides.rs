//! Quotas of single values, given at run time.

use super::{AttributeId, Policy, path, route};
use std::{borrow::Cow, fmt};

impl Policy {
    /// Gives a value of the attribute that a limit's `overrides` go by a quota of its own,
    /// or with `None` takes it away. It holds from the next decision on, and what was
    /// charged before stays charged.
    ///
    /// ```
    /// use tollgate::policy::Policy;
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     [attribute.customer]
    ///     [[limit]]
    ///     name = "api"
    ///     key = ["customer"]
    ///     quota = "10/min"
    ///     overrides = { by = "customer", acme = "50/min" }
    ///     largest = "100/min"
    ///     "#,
    /// )?;
    /// policy.set_override("api", "globex", Some("100/min"))?;
    /// let request = policy.request("GET", "/").attribute("customer", "globex");
    /// assert_eq!(policy.check(&request).limit("api").unwrap().decision().remaining(), 99);
    ///
    /// // There is no room for more than `largest`.
    /// assert!(policy.set_override("api", "globex", Some("200/min")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No such limit, a limit without `overrides`, a text that is no quota of its
    /// algorithm, or a quota that it has no room for.
    pub fn set_override(
        &self,
        limit: &str,
        value: &(impl AsRef<[u8]> + ?Sized),
        quota: Option<&str>,
    ) -> Result<(), OverrideError> {
        let found = self.find(limit).and_then(|found| Some((found, found.quotas.overrides_by()?)));
        let Some((limit, by)) = found else {
            return Err(OverrideError::NoOverrides { limit: limit.to_owned() });
        };
        let chosen = quota.map(|quota| limit.read_quota(quota)).transpose()?;
        limit.quotas.set(&self.normal_value(by, value.as_ref()), chosen);
        Ok(())
    }

    /// A value as requests are compared with it, where it is of what is built in.
    fn normal_value<'v>(&self, of: AttributeId, value: &'v [u8]) -> Cow<'v, [u8]> {
        let Ok(text) = str::from_utf8(value) else { return value.into() };
        match of {
            AttributeId::METHOD => route::counted_as(text).to_ascii_uppercase().into_bytes().into(),
            AttributeId::HOST => route::bare_host(text).to_ascii_lowercase().into_bytes().into(),
            AttributeId::PATH => {
                let mut scratch = path::Scratch::default();
                self.paths.normal(value, &mut scratch).to_owned().into_bytes().into()
            }
            _ => value.into(),
        }
    }
}

/// Why a value got no quota of its own.
///
/// ```
/// use tollgate::policy::{OverrideError, Policy};
///
/// # let policy = Policy::from_toml(
/// #     "[attribute.customer]\n\
/// #      [[limit]]\nname = 'api'\nkey = ['customer']\nquota = '10/min'\n\
/// #      overrides = { by = 'customer', acme = '50/min' }\n\
/// #      [[limit]]\nname = 'day'\nkey = ['customer']\nquota = '9/d'\n",
/// # )?;
/// // `api` has `overrides`, at most 50 a minute; `day` has none.
/// let refused = |limit, quota| policy.set_override(limit, "globex", Some(quota)).err();
/// assert!(matches!(refused("day", "20/d"), Some(OverrideError::NoOverrides { .. })));
/// assert!(matches!(refused("api", "twenty"), Some(OverrideError::Quota { .. })));
/// assert!(matches!(refused("api", "51/min"), Some(OverrideError::Room { .. })));
/// assert!(refused("api", "20/min").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverrideError {
    /// No limit of that name has `overrides`.
    NoOverrides {
        /// The name that was asked for.
        limit: String,
    },
    /// It is no quota of the limit's algorithm.
    Quota {
        /// What was expected.
        message: String,
    },
    /// The limit was not made for a quota so large: `largest` in its file makes room.
    Room {
        /// What there is room for.
        message: String,
    },
}

impl fmt::Display for OverrideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOverrides { limit } => {
                write!(f, "there is no limit `{limit}` with `overrides`")
            }
            Self::Quota { message } => f.write_str(message),
            Self::Room { message } => write!(f, "{message}; say `largest` in the limit"),
        }
    }
}

impl std::error::Error for OverrideError {}
