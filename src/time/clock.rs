//! The clocks. Algorithms never read one: `now` is an argument.

use super::Nanos;
use crate::sync::{AtomicU64, Ordering};
use std::{fmt, time::Duration};

/// A source of time that limiters read once per decision.
///
/// Two readings by one thread must not step back; readings by different
/// threads may differ by what the hardware's do. A clock that does step back
/// grants no credit, it only makes people wait longer; unless by more than a day,
/// when what was charged before looks like a fault (see
/// [the design chapter](crate::design)).
///
/// ```
/// use std::time::{SystemTime, UNIX_EPOCH};
/// use tollgate::{Clock, Limiter, Nanos};
///
/// /// Time since 1970, so that what was charged means something to other machines.
/// struct WallClock;
///
/// impl Clock for WallClock {
///     fn now(&self) -> Nanos {
///         SystemTime::now().duration_since(UNIX_EPOCH).map_or(Nanos::ZERO, Nanos::from)
///     }
/// }
/// let limiter = Limiter::gcra("10/min".parse()?).clock(WallClock).try_build()?;
/// assert_eq!(limiter.check().remaining(), 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Clock: Send + Sync {
    /// The time now.
    ///
    /// ```
    /// # use tollgate::{Clock, ManualClock};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let deadline = clock.now().after(Duration::from_secs(5));
    /// clock.advance(Duration::from_secs(2));
    /// assert_eq!(deadline.since(clock.now()), Duration::from_secs(3));
    /// ```
    fn now(&self) -> Nanos;

    /// Reads the clock as [`now`](Self::now) does, without turning the reading into
    /// a time: that is left to [`time`](Self::time).
    ///
    /// For clocks whose readings take arithmetic: a keyed limiter looks for the key
    /// in between. Unless implemented, a raw reading is `now` in nanoseconds, and
    /// `time` takes it as such. Implement both or neither, such that
    /// `clock.time(clock.raw())` is what `clock.now()` is.
    ///
    /// ```
    /// use std::time::Instant;
    /// # use tollgate::{Clock, Nanos};
    /// /// A counter at 3 GHz, read without the division.
    /// struct Counter(Instant);
    /// # impl Counter { fn cycles(&self) -> u64 { self.0.elapsed().as_nanos() as u64 * 3 } }
    ///
    /// impl Clock for Counter {
    ///     fn now(&self) -> Nanos {
    ///         self.time(self.raw())
    ///     }
    ///     fn raw(&self) -> u64 {
    ///         self.cycles()
    ///     }
    ///     fn time(&self, raw: u64) -> Nanos {
    ///         Nanos::new(raw / 3)
    ///     }
    /// }
    /// assert_eq!(Counter(Instant::now()).time(30), Nanos::new(10));
    /// ```
    #[inline]
    fn raw(&self) -> u64 {
        self.now().0
    }

    /// The time of a [raw](Self::raw) reading of this clock.
    ///
    /// ```
    /// # use tollgate::{Clock, ManualClock, Nanos};
    /// let clock = ManualClock::new();
    /// clock.set(Nanos::from_secs(5));
    /// let raw = clock.raw();
    /// clock.set(Nanos::from_secs(9));
    /// assert_eq!(clock.time(raw), Nanos::from_secs(5)); // of the reading, not of now
    /// ```
    #[inline]
    fn time(&self, raw: u64) -> Nanos {
        Nanos(raw)
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    #[inline]
    fn now(&self) -> Nanos {
        (**self).now()
    }

    #[inline]
    fn raw(&self) -> u64 {
        (**self).raw()
    }

    #[inline]
    fn time(&self, raw: u64) -> Nanos {
        (**self).time(raw)
    }
}

impl<C: Clock + ?Sized> Clock for Box<C> {
    #[inline]
    fn now(&self) -> Nanos {
        (**self).now()
    }

    #[inline]
    fn raw(&self) -> u64 {
        (**self).raw()
    }

    #[inline]
    fn time(&self, raw: u64) -> Nanos {
        (**self).time(raw)
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    #[inline]
    fn now(&self) -> Nanos {
        (**self).now()
    }

    #[inline]
    fn raw(&self) -> u64 {
        (**self).raw()
    }

    #[inline]
    fn time(&self, raw: u64) -> Nanos {
        (**self).time(raw)
    }
}

#[cfg(feature = "tsc")]
const SCALE_BITS: u32 = 32;

/// The default clock: monotonic, nanoseconds since it was created.
///
/// With feature `tsc` (on by default) it reads the processor's time-stamp
/// counter where the crate `quanta` finds it reliable, and the operating
/// system's monotonic clock elsewhere. Creating the first one of a process may
/// then take up to 200 ms, in which the counter's rate is measured; the others
/// are free. Clones share the zero.
///
/// ```
/// use tollgate::{Clock, MonotonicClock};
///
/// let clock = MonotonicClock::new();
/// let start = clock.now();
/// assert!(clock.now() >= start);
/// ```
#[derive(Clone)]
pub struct MonotonicClock {
    #[cfg(feature = "tsc")]
    source: quanta::Clock,
    #[cfg(feature = "tsc")]
    zero: u64,
    /// Nanoseconds in 2^32 units of the source.
    #[cfg(feature = "tsc")]
    scale: u64,
    #[cfg(not(feature = "tsc"))]
    zero: std::time::Instant,
}

impl MonotonicClock {
    /// A clock that reads zero now.
    ///
    /// ```
    /// # use tollgate::{Clock, MonotonicClock, Nanos};
    /// # use std::time::Duration;
    /// let clock = MonotonicClock::new();
    /// assert!(clock.now() < Nanos::from_secs(60)); // since then
    /// // A clone has the same zero, so readings of both compare.
    /// let (earlier, later) = (clock.now(), clock.clone().now());
    /// assert!(later.since(earlier) < Duration::from_secs(60));
    /// ```
    pub fn new() -> Self {
        #[cfg(feature = "tsc")]
        {
            let source = quanta::Clock::new();
            let zero = source.raw();
            // quanta's own conversion tells kinds of sources apart, and shifts by a
            // variable.
            let scale = source.delta_as_nanos(0, 1 << 48) >> (48 - SCALE_BITS);
            Self { source, zero, scale }
        }
        #[cfg(not(feature = "tsc"))]
        {
            Self { zero: std::time::Instant::now() }
        }
    }
}

impl Clock for MonotonicClock {
    #[inline]
    fn now(&self) -> Nanos {
        self.time(self.raw())
    }

    #[inline]
    fn raw(&self) -> u64 {
        #[cfg(feature = "tsc")]
        {
            self.source.raw()
        }
        #[cfg(not(feature = "tsc"))]
        {
            Nanos::from(self.zero.elapsed()).0
        }
    }

    #[inline]
    fn time(&self, raw: u64) -> Nanos {
        #[cfg(feature = "tsc")]
        {
            // Cores may differ by a little: never before zero.
            let units = u128::from(raw.saturating_sub(self.zero));
            let nanos = (units * u128::from(self.scale)) >> SCALE_BITS;
            #[allow(clippy::cast_possible_truncation)] // 2^64 ns are five centuries
            let nanos = nanos as u64;
            Nanos(nanos)
        }
        #[cfg(not(feature = "tsc"))]
        {
            Nanos(raw)
        }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MonotonicClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MonotonicClock").field(&self.now()).finish()
    }
}

/// An instant that only ever moves forward.
///
/// `Relaxed` is enough: the value stands for itself, and no other memory is
/// published with it.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Hand {
    #[inline]
    fn read(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }

    /// Moves to `to` unless that lies behind.
    fn raise(&self, to: Nanos) -> Nanos {
        Nanos(self.0.fetch_max(to.0, Ordering::Relaxed).max(to.0))
    }

    fn advance(&self, by: u64) -> Nanos {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let to = seen.saturating_add(by);
            match self.0.compare_exchange(seen, to, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Nanos(to),
                Err(now) => seen = now,
            }
        }
    }

    fn put(&self, to: Nanos) {
        self.0.store(to.0, Ordering::Relaxed);
    }
}

/// A cached reading of another clock: reading it costs one load.
///
/// The host refreshes it where it suits, once per turn of its event loop for
/// example; no thread is started. Charges are stamped with the time of the last
/// [`refresh`](Self::refresh): what is promised of an interval then holds for one
/// longer by the time between two refreshes.
///
/// ```
/// use tollgate::{Clock, CoarseClock, ManualClock, Nanos};
/// use std::time::Duration;
///
/// let coarse = CoarseClock::new(ManualClock::new());
/// coarse.source().advance(Duration::from_secs(1));
/// assert_eq!(coarse.now(), Nanos::ZERO);
/// coarse.refresh();
/// assert_eq!(coarse.now(), Nanos::from_secs(1));
/// ```
#[derive(Debug, Default)]
pub struct CoarseClock<C = MonotonicClock> {
    source: C,
    cached: Hand,
}

impl<C: Clock> CoarseClock<C> {
    /// Caches readings of `source`, the first of them now.
    ///
    /// ```
    /// # use tollgate::{Clock, CoarseClock, ManualClock, Nanos};
    /// let source = ManualClock::new();
    /// source.set(Nanos::from_secs(5));
    /// let coarse = CoarseClock::new(&source);
    /// assert_eq!(coarse.now(), Nanos::from_secs(5));
    /// ```
    pub fn new(source: C) -> Self {
        let clock = Self { cached: Hand::default(), source };
        clock.refresh();
        clock
    }

    /// Reads the source and returns the time now; the cached time never steps back.
    ///
    /// ```
    /// # use tollgate::{CoarseClock, ManualClock, Nanos};
    /// let coarse = CoarseClock::new(ManualClock::new());
    /// let readings = [5, 7, 6].map(|secs| {
    ///     coarse.source().set(Nanos::from_secs(secs));
    ///     coarse.refresh()
    /// });
    /// assert_eq!(readings, [5, 7, 7].map(Nanos::from_secs));
    /// ```
    pub fn refresh(&self) -> Nanos {
        self.cached.raise(self.source.now())
    }

    /// The clock whose readings are cached.
    ///
    /// ```
    /// # use tollgate::{Clock, CoarseClock, ManualClock};
    /// # use std::time::Duration;
    /// let coarse = CoarseClock::new(ManualClock::new());
    /// coarse.source().advance(Duration::from_millis(3));
    /// // How old the cached reading is.
    /// assert_eq!(coarse.source().now().since(coarse.now()), Duration::from_millis(3));
    /// ```
    pub fn source(&self) -> &C {
        &self.source
    }
}

impl<C: Clock> Clock for CoarseClock<C> {
    #[inline]
    fn now(&self) -> Nanos {
        self.cached.read()
    }
}

/// A clock that moves when it is told to: for tests, simulations and replays.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, ManualClock, Quota};
///
/// let clock = ManualClock::new();
/// let limiter = Limiter::gcra(Quota::n_per_second(1)?).clock(&clock).try_build()?;
/// assert!(limiter.check().is_allowed());
/// assert!(limiter.check().is_denied());
/// clock.advance(Duration::from_secs(1));
/// assert!(limiter.check().is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct ManualClock {
    hand: Hand,
}

impl ManualClock {
    /// A clock that reads zero.
    ///
    /// ```
    /// # use tollgate::{Clock, ManualClock, Nanos};
    /// assert_eq!(ManualClock::new().now(), Nanos::ZERO);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves forward by `by` and returns the new time; stops at [`Nanos::MAX`].
    ///
    /// ```
    /// # use tollgate::{ManualClock, Nanos};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new();
    /// assert_eq!(clock.advance(Duration::from_millis(1500)), Nanos::new(1_500_000_000));
    /// assert_eq!(clock.advance(Duration::MAX), Nanos::MAX);
    /// ```
    pub fn advance(&self, by: Duration) -> Nanos {
        self.hand.advance(Nanos::from(by).0)
    }

    /// Moves to `to`, which may lie in the past: the one clock here that can
    /// step back, so that tests can show what a limiter then does.
    ///
    /// ```
    /// # use tollgate::{Limiter, ManualClock, Nanos};
    /// let clock = ManualClock::new();
    /// let limiter = Limiter::gcra("1/s".parse()?).clock(&clock).try_build()?;
    /// clock.set(Nanos::from_secs(10));
    /// assert!(limiter.check().is_allowed());
    /// // Ten seconds back: no credit for it, only a longer wait.
    /// clock.set(Nanos::ZERO);
    /// assert_eq!(limiter.check().retry_after_secs(), Some(11));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, to: Nanos) {
        self.hand.put(to);
    }
}

impl Clock for ManualClock {
    #[inline]
    fn now(&self) -> Nanos {
        self.hand.read()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn monotonic_moves_with_the_system() {
        let clock = MonotonicClock::new();
        let t = std::time::Instant::now();
        let a = clock.now();
        std::thread::sleep(Duration::from_millis(50));
        let b = clock.now();
        let (ours, whole) = (b.since(a), t.elapsed());
        assert!(ours >= Duration::from_millis(45) && ours < whole * 2, "{ours:?} {whole:?}");
    }

    #[test]
    fn coarse_never_steps_back() {
        let coarse = CoarseClock::new(ManualClock::new());
        coarse.source().set(Nanos::new(9));
        assert_eq!(coarse.refresh(), Nanos::new(9));
        coarse.source().set(Nanos::new(3));
        assert_eq!(coarse.refresh(), Nanos::new(9));
        assert_eq!(coarse.now(), Nanos::new(9));
    }

    #[test]
    fn manual_saturates() {
        let clock = ManualClock::new();
        clock.set(Nanos::new(u64::MAX - 1));
        assert_eq!(clock.advance(Duration::MAX), Nanos::MAX);
    }
}
