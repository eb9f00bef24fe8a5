//! [`LeaseId`]: what finds a lease again.

use crate::{algorithm::MAX_LEASES, table::Hash};
use std::fmt;

/// Finds a lease again, to renew it or to give it back: from another thread, or,
/// as [bytes](Self::to_bytes), after a way through other processes.
///
/// Sixteen bytes, free to copy. It means something only to the limiter that made it,
/// and is no secret key: whoever can name an id can end its lease, and ids can be
/// guessed. Give none to those who are limited.
///
/// An id whose lease is over finds nothing, also when the entry or the slot is
/// used again, until 2²⁴ more leases (a chance of about 10⁻⁷ from hours later on).
///
/// ```
/// use std::time::Duration;
/// use tollgate::{LeaseId, LeaseLimiter, ManualClock};
///
/// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
///     .clock(ManualClock::new())
///     .try_build()?;
/// let mut running: Vec<LeaseId> = Vec::new();
/// running.extend(jobs.acquire("alice").map(|lease| lease.detach()));
/// running.extend(jobs.acquire("bob").map(|lease| lease.detach()));
/// // On a timer: whoever cannot be renewed is stopped.
/// running.retain(|id| jobs.renew(*id));
/// assert_eq!(running.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId {
    hash: u64,
    /// The generation of the key word under which it was granted.
    owner: u16,
    entry: u16,
    nonce: u32,
}

/// An entry that no lease has.
#[allow(clippy::cast_possible_truncation)] // 16 bits
const NONE: u16 = MAX_LEASES as u16;

impl LeaseId {
    #[allow(clippy::cast_possible_truncation)] // below 2^16
    pub(super) const fn new(hash: u64, owner: u16, entry: usize, nonce: u32) -> Self {
        Self { hash, owner, entry: entry as u16, nonce }
    }

    /// Of who was let through without a lease, because the table was full.
    pub(super) const UNACCOUNTED: Self = Self { hash: 0, owner: 0, entry: NONE, nonce: 0 };

    /// Whether there ever was a lease. `false` if a limiter that is full of live
    /// keys let a new one pass ([`OnSaturation::Allow`](crate::OnSaturation::Allow)):
    /// such an id can be renewed for ever, and releasing it does nothing.
    ///
    /// ```
    /// # use tollgate::{LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(2, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .capacity(10)
    ///     .try_build()?;
    /// let ids: Vec<_> = (0..1000)
    ///     .filter_map(|user| jobs.hashed(user).acquire().ok())
    ///     .map(|lease| lease.detach())
    ///     .collect();
    /// // All were let in, and most without a lease.
    /// let without = ids.iter().filter(|id| !id.is_accounted());
    /// assert_eq!((ids.len(), without.count() as u64), (1000, jobs.saturated()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn is_accounted(&self) -> bool {
        self.entry != NONE
    }

    pub(super) const fn hash(&self) -> Hash {
        Hash(self.hash)
    }

    pub(super) const fn owner(&self) -> u16 {
        self.owner
    }

    pub(super) const fn entry(&self) -> usize {
        self.entry as usize
    }

    pub(super) const fn nonce(&self) -> u32 {
        self.nonce
    }

    /// The id as bytes, the same on every machine.
    ///
    /// ```
    /// # use tollgate::{LeaseId, LeaseLimiter, ManualClock};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30))
    ///     .clock(ManualClock::new())
    ///     .try_build()?;
    /// let id = jobs.acquire("alice").map_err(|denied| denied.to_string())?.detach();
    /// // As text, for a queue's message.
    /// let text = format!("{:032x}", u128::from_be_bytes(id.to_bytes()));
    /// let back = LeaseId::from_bytes(u128::from_str_radix(&text, 16)?.to_be_bytes());
    /// assert!(jobs.renew(back));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_bytes(self) -> [u8; 16] {
        let rest =
            u64::from(self.owner) << 48 | u64::from(self.entry) << 32 | u64::from(self.nonce);
        (u128::from(self.hash) << 64 | u128::from(rest)).to_le_bytes()
    }

    /// The id of these bytes. Any will do; of those that
    /// [`to_bytes`](Self::to_bytes) did not make, most find nothing.
    ///
    /// ```
    /// # use tollgate::{LeaseId, LeaseLimiter};
    /// # use std::time::Duration;
    /// let jobs = LeaseLimiter::at_most(1, Duration::from_secs(30)).try_build()?;
    /// // Of nobody's lease, from a message that was cut or from another process's limiter.
    /// let stray = LeaseId::from_bytes([7; 16]);
    /// assert!(!jobs.renew(stray) && !jobs.release(stray));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::cast_possible_truncation)] // by parts
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let all = u128::from_le_bytes(bytes);
        Self {
            hash: (all >> 64) as u64,
            owner: (all >> 48) as u16,
            entry: (all >> 32) as u16,
            nonce: all as u32,
        }
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseId({:032x})", u128::from_le_bytes(self.to_bytes()))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_hold_everything() {
        assert_eq!(size_of::<LeaseId>(), 16);
        for id in [
            LeaseId::new(0x0123_4567_89AB_CDEF, 0xFEDC, 0xBA98, 0x7654_3210),
            LeaseId::new(1, 2, 3, 4),
            LeaseId::UNACCOUNTED,
        ] {
            assert_eq!(LeaseId::from_bytes(id.to_bytes()), id);
        }
        assert_eq!(
            LeaseId::new(1, 2, 3, 4).to_bytes(),
            [4, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        );
    }
}
