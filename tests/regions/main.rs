//! Regions: what several processes have in common, whatever happens to one of them.
//!
//! Other processes are this very program, run again for one test ([`worker`]) with its
//! part in an environment variable. `TOLLGATE_REGION_KILLS` has more processes killed than
//! 3000, and `TOLLGATE_REGION_SECONDS` kills for so long at least.
#![cfg(all(feature = "shared", unix, not(loom)))]

mod basics;
mod damage;
mod host;
mod killed;
#[cfg(feature = "policy")]
mod policies;
mod snapshots;
mod support;
mod workers;
