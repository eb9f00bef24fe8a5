//! The guide: which limiter, how large, by which clock, where, and why one may believe it.
//!
//! * [Choosing](choosing) an algorithm
//! * [Words](words): GCRA, emission interval, saturated, shadow, and others
//! * [Sizing](sizing) the table
//! * [Time](time) and clocks
//! * Limits as a file: feature `policy`, [its page](mod@crate::policy), and [the format](mod@crate::policy::file)
//! * [Waiting](mod@crate::wait) for one's turn
//! * Being a [client](mod@crate::client) of a service that limits: feature `client`
//! * [Embedding](embedding): services, processes, other languages
//! * [Verification](verification): what is believed, and how to see for oneself
//! * [Questions](faq), and what there is not
//! * [Coming from governor](mod@crate::coming_from_governor)
//! * [Design](mod@crate::design): how it works, for whoever changes it

#[doc = include_str!("choosing.md")]
pub mod choosing {}
#[doc = include_str!("embedding.md")]
pub mod embedding {}
pub mod faq {
    #![doc = include_str!("faq.md")]
}
#[doc = include_str!("sizing.md")]
pub mod sizing {}
#[doc = include_str!("time.md")]
pub mod time {}
#[doc = include_str!("verification.md")]
pub mod verification {}
#[doc = include_str!("words.md")]
pub mod words {}
