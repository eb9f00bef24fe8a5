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
//!     .refund_errors(true)
//!     .checked()?;
//! // tonic: Server::builder().layer(layer); axum: Router::new().route(...).layer(layer), where the
//! // peer is a ConnectInfo: see `peer`
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
//!    something panics: [bytes](LimitLayer::settle_bytes) are settled for, and leases are
//!    given back. A request that was dropped, or whose service panicked, stays charged.
//!
//! # How long leases last
//!
//! Until the end of the body, or of whatever the service moved the request's [`Held`] to: an
//! upgrade (101, WebSocket) or a tunnel (a 2xx to CONNECT) goes on when its body has ended.
//!
//! While the answer is awaited and its body is polled, a lease past half of its `ttl` is
//! renewed. What nobody polls is not renewed: a body whose client has stopped reading, or an
//! answer that comes without a sign of life, for longer than that. So let the `ttl` be twice the
//! longest silence that is to be bridged; who holds a [`Held`] renews by
//! [its method](Held::renew). A lease that is over is not taken anew.
//!
//! # What it does not do
//!
//! - Who can make the service fail is not limited by what is given back for failures.
//! - Any client that says it speaks gRPC is answered denials by status 200, unless the layer is
//!   [told not to](LimitLayer::grpc).
//! - Whole addresses are keys as they are with a limiter, and who has a /64 of IPv6 has as many:
//!   take their [network](Extractor::network). A policy does so by itself.
//!
//! # Where in the stack
//!
//! Outside of what costs (before parsing and databases), inside of what knows who asks:
//! authentication puts the user among the [extensions](extension()), so it comes first. Outside of
//! compression bytes are those that it makes; inside, those that go in.
//!
//! Of layers in layers the one nearest to the service tells, of those that have header fields
//! to write: those outside leave an answer that has been told of as it is, whether allowed or
//! [denied](Denied). They count all the same.
//!
//! axum's nested routers cut the path: put the layer around the outermost one.
//!
//! # Cost
//!
//! Beside the decision: attributes that are not one header field as it stands; header fields,
//! whose lists and numbers of a thousand and more are allocated, the map that they are in where the
//! service's answer has none, and an extension of the answer that says so. Where what was charged
//! may be [given back](LimitLayer::refund_if) or [settled for](LimitLayer::settle): an `Arc` of the
//! policy or the limiter, and what it was charged. A denial: its fields, body and a box. Where there
//! are leases: an `Arc` of these, an extension of the request, and a look at the clock by each poll
//! of the answer and its body.

mod body;
mod extract;
mod gate;
mod grpc;
mod held;
mod layer;
mod mismatch;
mod observe;
mod service;

pub use body::LimitBody;
pub use extract::{
    Extractor, Head, content_length, extension, forwarded, from_fn, header, path_parameter, peer,
};
pub use gate::{Gate, LimiterGate, PolicyGate};
pub use held::Held;
pub use layer::{IntoLive, LimitLayer};
pub use mismatch::Mismatch;
#[cfg(feature = "metrics")]
pub use observe::metrics;
#[cfg(feature = "tracing")]
pub use observe::tracing;
pub use observe::{Decided, Why};
pub use service::{Denied, Limit, Limited};
