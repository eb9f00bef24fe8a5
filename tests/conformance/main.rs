//! Five published rate-limit pages, each a policy file of `examples/policies`:
//! a suite for each, with a test for each sentence and each row of a table, in
//! simulated time. `manifest/` says which test shows which sentence.
#![cfg(all(feature = "policy", not(loom)))]

#[cfg(feature = "client")]
mod client;
mod doc000;
mod doc001;
mod doc002;
mod doc003;
mod doc004;
mod logs;
mod manifests;
mod support;
