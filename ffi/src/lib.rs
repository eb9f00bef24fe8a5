//! tollgate for C: what `include/tollgate.h` declares.
//!
//! How it is made is in `design.md`; what C users read is the header, which is generated
//! from this source (`tests/header.rs`).
#![allow(non_camel_case_types)] // as C calls them
#![allow(clippy::doc_markdown)] // the header has no Markdown
#![allow(clippy::wildcard_imports)] // of the codes
#![allow(unreachable_pub)] // reached by symbols, and read by cbindgen
#![allow(missing_debug_implementations)] // C prints nothing of these

mod boundary;
mod check;
mod codes;
mod decision;
mod handle;
mod leases;
mod limiter;
mod policy;
mod region;
mod request;
mod sized;
mod status;
mod text;
mod verdict;
mod version;
