//! Each limiter as its own users would call it, with the key type that suits it.

pub(crate) mod direct;
pub(crate) mod floor;
pub(crate) mod governor;
pub(crate) mod pingora;
pub(crate) mod throttlecrab;
pub(crate) mod tollgate;
