//! The caller's side: hostile answers, limits that are kept whatever the network does, many
//! threads, tokens. What the documents ask of callers is in `tests/conformance/client`.
#![cfg(all(feature = "client", not(loom)))]

mod bounds;
mod fields;
mod kept;
mod learned;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod odd;
mod paced;
mod tasks;
mod threads;
mod token;
mod unsent;
