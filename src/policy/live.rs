//! [`LivePolicy`]: a policy that can be replaced under traffic.

use super::{Policy, PolicyError, PolicyFile};
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use std::{fmt, ops::Deref, sync::Arc};

/// A policy that can be replaced while requests are decided.
///
/// ```
/// use tollgate::policy::{LivePolicy, Policy, PolicyFile};
///
/// let file = |quota: &str| {
///     let text = format!("[[limit]]\nname = 'everyone'\nkey = []\nquota = '{quota}'\n");
///     PolicyFile::parse("policy.toml", text.as_bytes())
/// };
/// let live = LivePolicy::new(Policy::from_file(&file("5/min")?)?);
/// let left = || {
///     let policy = live.load();
///     let decision = policy.check(&policy.request("GET", "/"));
///     decision.limit("everyone").unwrap().decision().remaining()
/// };
/// assert_eq!((left(), left()), (4, 3));
///
/// // What was charged stays charged.
/// live.replace(&file("3/min")?)?;
/// assert_eq!(left(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LivePolicy {
    current: ArcSwap<Policy>,
    /// Who replaces it: one at a time, or what one takes over another would lose.
    replacing: Mutex<()>,
}

impl LivePolicy {
    /// Begins with this policy.
    ///
    /// ```
    /// use tollgate::policy::{LivePolicy, Policy, PolicyFile};
    ///
    /// # let file = |name: &str| {
    /// #     let text = format!(
    /// #         "name = '{name}'\n\
    /// #          [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// #     );
    /// #     PolicyFile::parse("policy.toml", text.as_bytes())
    /// # };
    /// // `file` reads one that is called like that.
    /// let live = LivePolicy::new(Policy::from_file(&file("first")?)?);
    /// assert_eq!(live.load().name(), "first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(policy: Policy) -> Self {
        Self { current: ArcSwap::from_pointee(policy), replacing: Mutex::new(()) }
    }

    /// The policy that holds now. It stays what it is for as long as it is borrowed,
    /// so load it for each request, and keep it for as long as the request's decision is
    /// used (it may move to other threads). Costs some loads, and waits for nobody.
    ///
    /// ```
    /// use tollgate::policy::{LivePolicy, Policy, PolicyFile};
    ///
    /// # let file = |name: &str| {
    /// #     let text = format!(
    /// #         "name = '{name}'\n\
    /// #          [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// #     );
    /// #     PolicyFile::parse("policy.toml", text.as_bytes())
    /// # };
    /// // `file` reads one that is called like that.
    /// let live = LivePolicy::new(Policy::from_file(&file("first")?)?);
    /// let policy = live.load();
    /// live.replace(&file("second")?)?;
    /// // A request that is under way goes on with what it began with.
    /// assert_eq!((policy.name(), live.load().name()), ("first", "second"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(&self) -> Loaded {
        Loaded(self.current.load())
    }

    /// The policy that holds now, to be kept for longer than a request: see
    /// [`renew`](Self::renew). Counts an owner, which is a write that threads share.
    ///
    /// ```
    /// use tollgate::policy::{LivePolicy, Policy, PolicyFile};
    ///
    /// # let file = |name: &str| {
    /// #     let text = format!(
    /// #         "name = '{name}'\n\
    /// #          [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// #     );
    /// #     PolicyFile::parse("policy.toml", text.as_bytes())
    /// # };
    /// // `file` reads one that is called like that.
    /// let live = LivePolicy::new(Policy::from_file(&file("first")?)?);
    /// let policy = live.load_shared();
    /// let name = std::thread::spawn(move || policy.name().to_owned()).join().unwrap();
    /// assert_eq!(name, "first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_shared(&self) -> Arc<Policy> {
        self.current.load_full()
    }

    /// Makes `held` the policy that holds now, and tells whether it was another: for
    /// threads that each keep one, and look before each request. Costs as much as
    /// [`load`](Self::load) while nothing changes.
    ///
    /// ```
    /// use tollgate::policy::{LivePolicy, Policy, PolicyFile};
    ///
    /// # let file = |name: &str| {
    /// #     let text = format!(
    /// #         "name = '{name}'\n\
    /// #          [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// #     );
    /// #     PolicyFile::parse("policy.toml", text.as_bytes())
    /// # };
    /// // `file` reads one that is called like that.
    /// let live = LivePolicy::new(Policy::from_file(&file("first")?)?);
    /// let mut held = live.load_shared();
    /// assert!(!live.renew(&mut held));
    ///
    /// live.replace(&file("second")?)?;
    /// assert!(live.renew(&mut held));
    /// assert_eq!(held.name(), "second");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn renew(&self, held: &mut Arc<Policy>) -> bool {
        let current = self.current.load();
        let other = !Arc::ptr_eq(&current, held);
        if other {
            *held = Arc::clone(&current);
        }
        other
    }

    /// Whether `held` is the policy that holds now: for those who have something to put away
    /// before they [renew](Self::renew) it.
    ///
    /// ```
    /// use tollgate::policy::{LivePolicy, Policy, PolicyFile};
    ///
    /// # let file = |name: &str| {
    /// #     let text = format!(
    /// #         "name = '{name}'\n\
    /// #          [[limit]]\nname = 'api'\nkey = []\nquota = '9/min'\n",
    /// #     );
    /// #     PolicyFile::parse("policy.toml", text.as_bytes())
    /// # };
    /// // `file` reads one that is called like that.
    /// let live = LivePolicy::new(Policy::from_file(&file("first")?)?);
    /// let held = live.load_shared();
    /// assert!(live.holds(&held));
    /// live.replace(&file("second")?)?;
    /// assert!(!live.holds(&held));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holds(&self, held: &Arc<Policy>) -> bool {
        Arc::ptr_eq(&self.current.load(), held)
    }

    /// Replaces the policy by one of another file, from the next [`load`](Self::load) on.
    ///
    /// A limit that is called the same, with the same key, algorithm and cost, keeps its
    /// keys; a penalty that is called the same, with the same key, its blocks, and the
    /// denials that were counted. Nothing is applied to the past: what a key was charged, it was
    /// charged, and the new quota judges it.
    ///
    /// | algorithm | what a new quota finds |
    /// |---|---|
    /// | `gcra` | the debt, as time |
    /// | `sliding-log` | the units, with their stamps; a longer period finds those that the old one kept |
    /// | `sliding-counter` | the counts of this window and the last |
    /// | `calendar` | the units of the running window |
    /// | `leases` | the leases; while there are too many, none is given |
    ///
    /// Quotas that were [set](Policy::set_override) at run time go on, and so do the numbers of
    /// attributes and dimensions. Room does not grow: a quota larger than a limit was
    /// made for (its largest quota, or `largest`), a longer `ttl`, another `capacity` or
    /// `when_full`, another unit or zone of the calendar is an error, and so nothing that
    /// a file says is passed over. [The format](mod@super::file#replacing-a-file) has the
    /// whole list.
    ///
    /// Requests that were decided by the policy before may still be settled, refunded and
    /// released: of a limit that keeps its keys they are the same keys.
    ///
    /// ```
    /// use tollgate::policy::{LivePolicy, Policy, PolicyFile};
    ///
    /// let file = |text: &str| PolicyFile::parse("policy.toml", text.as_bytes());
    /// let first = file("[[limit]]\nname = 'api'\nkey = []\nquota = '5/h'\n")?;
    /// let live = LivePolicy::new(Policy::from_file(&first)?);
    ///
    /// let wrong =
    ///     live.replace(&file("[[limit]]\nname = 'api'\nkey = []\nquota = '6/h'\n")?).unwrap_err();
    /// let place = wrong.problems().next().map(|one| (one.line(), one.column()));
    /// assert_eq!(place, Some((4, 9))); // there is room for five
    /// // What holds is what held.
    /// let policy = live.load();
    /// assert_eq!(
    ///     policy.check(&policy.request("GET", "/")).binding().map(|l| l.decision().limit()),
    ///     Some(5)
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the file, and what cannot take effect; the present policy then
    /// stays.
    pub fn replace(&self, file: &PolicyFile) -> Result<(), PolicyError> {
        let _one_at_a_time = self.replacing.lock();
        let next = self.current.load().succeeded_by(file)?;
        self.current.store(Arc::new(next));
        Ok(())
    }
}

impl fmt::Debug for LivePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LivePolicy").field(&*self.load()).finish()
    }
}

/// A policy that was loaded from a [`LivePolicy`].
///
/// ```
/// use tollgate::policy::{LivePolicy, Policy};
///
/// let live =
///     LivePolicy::new(Policy::from_toml("[[limit]]\nname = 'api'\nkey = []\nquota = '5/h'\n")?);
/// let policy = live.load();
/// // Decisions borrow from it, so it is kept until they are answered.
/// let decision = policy.check(&policy.request("GET", "/"));
/// assert!(decision.is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loaded(pub(super) Guard<Arc<Policy>>);

impl Deref for Loaded {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.0
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
