//! The caller's side: hostile answers, limits that are kept whatever the network does, many
//! threads, tokens. What the documents ask of callers is in `tests/conformance/client`.
#![cfg(all(feature = "client", not(loom)))]

#[cfg(all(feature = "reqwest-middleware", feature = "tokio"))]
mod bodies;
mod bounds;
mod fields;
mod kept;
mod learned;
#[cfg(all(feature = "reqwest-middleware", feature = "tokio"))]
mod logins;
#[cfg(all(feature = "reqwest-middleware", feature = "tokio"))]
mod middleware;
mod odd;
mod paced;
mod readme;
mod stale;
mod tasks;
mod threads;
mod token;
mod unsent;
