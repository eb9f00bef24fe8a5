//! Limits written as a file: routes, keys, tiers, groups, and one answer for all of them.

pub mod file;
mod path;
mod route;
mod units;

pub use file::{PolicyError, PolicyFile, Problem};

#[doc = include_str!("design.md")]
pub mod design {}
