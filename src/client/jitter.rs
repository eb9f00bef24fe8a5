//! Randomness for waits: no secret, and reproducible where a seed is given.

use std::time::Duration;

/// A source of jitter.
///
/// ```
/// use tollgate::client::Jitter;
/// use std::time::Duration;
///
/// let mut jitter = Jitter::seeded(1);
/// let wait = jitter.up_to(Duration::from_secs(1));
/// assert!(wait <= Duration::from_secs(1));
/// assert_eq!(wait, Jitter::seeded(1).up_to(Duration::from_secs(1)));
/// ```
#[derive(Clone, Debug)]
pub struct Jitter(fastrand::Rng);

impl Jitter {
    /// Another sequence in each process and for each caller.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::client::Jitter;
    /// let hour = Duration::from_secs(3600);
    /// assert_ne!(Jitter::random().up_to(hour), Jitter::random().up_to(hour));
    /// ```
    pub fn random() -> Self {
        Self(fastrand::Rng::new())
    }

    /// The same sequence for the same seed: for tests.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::client::Jitter;
    /// let hour = Duration::from_secs(3600);
    /// assert_eq!(Jitter::seeded(7).up_to(hour), Jitter::seeded(7).up_to(hour));
    /// ```
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Between zero and `most`, in whole nanoseconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::client::Jitter;
    /// let mut jitter = Jitter::random();
    /// assert!(jitter.up_to(Duration::from_secs(1)) <= Duration::from_secs(1));
    /// assert_eq!(jitter.up_to(Duration::ZERO), Duration::ZERO);
    /// ```
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.0.u64(..=most))
    }

    /// One that goes its own way from here on.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self::random()
    }
}
