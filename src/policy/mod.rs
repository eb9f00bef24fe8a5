//! Limits written as a file: routes, keys, tiers, groups, and one answer for all of them.

mod file;
mod path;
mod route;
mod units;
mod windows;

#[doc = include_str!("design.md")]
pub mod design {}
