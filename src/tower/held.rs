//! [`Held`]: leases that outlast the answer.

use crate::{policy::KeptLeases, time::Nanos};
use http::Extensions;
use smallvec::SmallVec;
use std::{fmt, sync::Arc, time::Duration};

/// Holds the leases of a request (of limits that count how many there are at a time).
///
/// The layer puts it among the extensions of a request that was given leases, and of no
/// other. They are given back when the body of the answer has ended *and* the last clone of
/// this is gone. So whoever answers an upgrade (101) or a CONNECT, whose bodies end at once,
/// moves it to where the connection goes on. In axum it is an argument of the handler, as
/// `Option<Extension<Held>>`.
///
/// ```
/// # use http::{Request, Response};
/// # use std::convert::Infallible;
/// # use tower::{Service, ServiceExt, service_fn};
/// # use tower_layer::Layer;
/// use tollgate::{policy::Policy, tower::{Held, LimitLayer}};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let sockets = "[[limit]]\nname = 'sockets'\nkey = []\nalgorithm = 'leases'\nquota = 1\nttl = '1 min'";
/// let (task, connections) = std::sync::mpsc::channel();
/// let upgrade = service_fn(|mut request: Request<()>| {
///     // To the task that has the connection from now on.
///     let _ = task.send(request.extensions_mut().remove::<Held>());
///     async { Ok::<_, Infallible>(Response::builder().status(101).body(String::new()).unwrap()) }
/// });
/// let mut service = LimitLayer::policy(Policy::from_toml(sockets)?).layer(upgrade);
/// # let request = || Request::new(());
/// assert_eq!(service.ready().await?.call(request()).await?.status(), 101);
/// assert_eq!(service.ready().await?.call(request()).await?.status(), 429);
/// drop(connections.recv()?); // that one ends
/// assert_eq!(service.ready().await?.call(request()).await?.status(), 101);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Who keeps a request
///
/// keeps this with it, and so its leases, past the end of the answer: in a task that goes on
/// with the request or its extensions, or in a queue of them. Take it out there
/// (`extensions_mut().remove::<Held>()`), or give on only what is needed.
///
/// # Time
///
/// A lease that is not [renewed](Self::renew) is over when the limit's `ttl` is, whoever
/// holds it. While the answer or its body is polled, the layer renews; after that, whoever
/// holds this.
#[derive(Clone)]
#[must_use = "dropped, it holds nothing"]
pub struct Held(SmallVec<[Arc<Leases>; 1]>);

impl Held {
    /// Puts leases among the extensions of their request, beside those of layers outside.
    pub(super) fn put(extensions: &mut Extensions, leases: Arc<Leases>) {
        match extensions.get_mut::<Self>() {
            Some(held) => held.0.push(leases),
            None => {
                extensions.insert(Self(SmallVec::from_iter([leases])));
            }
        }
    }

    /// Continues the leases: each ends its limit's `ttl` from now. Whether all of them were
    /// live still; one that was over stays so, and who goes on works beside its limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::tower::Held;
    ///
    /// /// Beside the task that has the connection, and until it ends.
    /// async fn keep(held: Held) {
    ///     while held.renew() {
    ///         tokio::time::sleep(held.ttl() / 3).await;
    ///     }
    /// }
    /// # let _ = keep;
    /// ```
    #[must_use = "a lease that is over cannot be renewed"]
    pub fn renew(&self) -> bool {
        // All of them, whatever the first says.
        let mut live = true;
        for leases in &self.0 {
            live &= leases.0.renew();
        }
        live
    }

    /// By when to [renew](Self::renew): the shortest time that one of the leases lasts.
    ///
    /// ```
    /// # use http::{Request, Response};
    /// # use std::{convert::Infallible, time::Duration};
    /// # use tollgate::{policy::Policy, tower::{Held, LimitLayer}};
    /// # use {tower::{Service, service_fn}, tower_layer::Layer};
    /// let sockets = "[[limit]]\nname = 'sockets'\nkey = []\nalgorithm = 'leases'\nquota = 1\nttl = '1 min'";
    /// let handler = service_fn(|request: Request<()>| {
    ///     let held = request.extensions().get::<Held>().unwrap();
    ///     assert_eq!(held.ttl(), Duration::from_secs(60));
    ///     async { Ok::<_, Infallible>(Response::new(String::new())) }
    /// });
    /// # drop(LimitLayer::policy(Policy::from_toml(sockets)?).layer(handler).call(Request::new(())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ttl(&self) -> Duration {
        self.0.iter().map(|leases| leases.0.ttl()).min().unwrap_or(Duration::MAX)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("ttl", &self.ttl()).finish_non_exhaustive()
    }
}

/// Leases that go with the last who holds them.
pub(super) struct Leases(KeptLeases);

impl Leases {
    pub(super) fn new(leases: KeptLeases) -> Arc<Self> {
        Arc::new(Self(leases))
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// What an answer, or its body, holds, and renews while it is polled.
pub(super) struct Renewing {
    leases: Arc<Leases>,
    /// When half of their time is over.
    due: Nanos,
}

impl Renewing {
    pub(super) fn new(leases: Arc<Leases>) -> Self {
        let due = Self::half_after(&leases, leases.0.began());
        Self { leases, due }
    }

    fn half_after(leases: &Leases, from: Nanos) -> Nanos {
        from.after(leases.0.ttl() / 2)
    }

    pub(super) fn polled(&mut self) {
        let now = self.leases.0.now();
        if now >= self.due {
            // Whether they were live makes no difference: the answer goes on.
            let _ = self.leases.0.renew();
            self.due = Self::half_after(&self.leases, now);
        }
    }
}
