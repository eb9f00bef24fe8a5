//! Limits written as a file: routes, keys, tiers, groups, and one answer for all of them.

pub mod file;
mod forwarded;
mod path;
mod route;
mod route_table;
mod units;
mod windows;

pub use file::{PolicyError, PolicyFile, Problem};

#[doc = include_str!("design.md")]
pub mod design {}
