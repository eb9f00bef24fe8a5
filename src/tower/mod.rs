//! A layer before services of tower's kind: axum, tonic, hyper.
//!
//! ```
//! use tollgate::{policy::Policy, tower::{LimitLayer, header, peer}};
//!
//! let policy = Policy::from_toml(
//!     r#"
//!     [attribute.key]
//!     [attribute.ip]
//!     kind = "ip"
//!
//!     [[limit]]
//!     name = "api"
//!     key = ["key"]
//!     quota = "100/min"
//!     missing = { limit = "anonymous" }
//!
//!     [[limit]]
//!     name = "anonymous"
//!     when = { key = false }
//!     key = ["ip"]
//!     quota = "10/min"
//!
//!     [response]
//!     headers = "ratelimit"
//!     body = "problem"
//!     "#,
//! )?;
//! let layer = LimitLayer::policy(policy)
//!     .attribute("key", header("x-api-key"))
//!     .attribute("ip", peer())
//!     .refund_errors(true);
//! // axum: Router::new().route(...).layer(layer); tonic: Server::builder().layer(layer)
//! # let _ = layer;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way of a request
//!
//! 1. [Attributes](LimitLayer::attribute) and [costs](LimitLayer::cost) are taken from its
//!    head, and the policy decides, at once: nobody waits, and no service is called in
//!    vain. (Who would rather wait: [`wait`](crate::wait).)
//! 2. [Hooks](LimitLayer::observe) are told.
//! 3. Denied, it is answered in the policy's dialect: status, header fields, body. A call of
//!    gRPC is answered by `grpc-status` and `grpc-retry-pushback-ms`.
//! 4. Else the service answers. What it was charged is [given back](LimitLayer::refund_if)
//!    or [settled for](LimitLayer::settle), and the header fields are added.
//! 5. When the body ends, or is dropped, or nobody waits for the answer any more, or
//!    something panics: leases are given back, and [bytes](LimitLayer::settle_bytes) are
//!    settled for. A request that was dropped stays charged.
//!
//! # What it does not do
//!
//! - An upgrade (101) and a tunnel (200 to a CONNECT) have no body that lasts: leases end
//!   when they begin. Hold a lease of the policy's own for as long as those go on.
//! - Leases are not renewed: a body that outlives their time to live is held no more.
//! - Who can make the service fail is not limited by what is given back for failures.
//! - Any client that says it speaks gRPC is answered denials by status 200.
//! - Whole addresses are keys as they are with a limiter, and who has a /64 of IPv6 has as many:
//!   take their [network](Extractor::network). A policy does so by itself.
//!
//! # Where in the stack
//!
//! Outside of what costs (before parsing and databases), inside of what knows who asks:
//! authentication puts the user among the [extensions](extension()), so it comes first. Outside of
//! compression bytes are those that it makes; inside, those that go in.
//!
//! axum's nested routers cut the path: put the layer around the outermost one.
//!
//! # Cost
//!
//! Beside the decision: an `Arc` of the policy and one allocation for what the request
//! holds, its attributes that must be written anew, and header fields.

mod body;
mod extract;
mod gate;
mod grpc;
mod layer;
mod observe;
mod service;

pub use body::LimitBody;
pub use extract::{
    Extractor, Head, content_length, extension, forwarded, from_fn, header, path_parameter, peer,
};
pub use gate::{Gate, LimiterGate, PolicyGate};
pub use layer::{IntoLive, LimitLayer};
#[cfg(feature = "metrics")]
pub use observe::metrics;
#[cfg(feature = "tracing")]
pub use observe::tracing;
pub use observe::{Decided, Why};
pub use service::{Limit, Limited};
