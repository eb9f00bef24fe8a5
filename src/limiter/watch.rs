//! What an operator asks of a limiter: how full it is, how much it denied, and
//! whom.

use super::key::Name;
use crate::{
    decision::Decision,
    sync::{AtomicU64, Ordering, thread_number},
    table::{
        Sample,
        rule::{Ask, Request},
    },
};
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use std::fmt;

/// How full a [`KeyedLimiter`](crate::KeyedLimiter) is:
/// [`gauges`](crate::KeyedLimiter::gauges).
///
/// ```
/// use tollgate::{KeyedLimiter, ManualClock};
///
/// let limiter = KeyedLimiter::gcra("1/h".parse()?)
///     .clock(ManualClock::new())
///     .capacity(1000)
///     .try_build()?;
/// let _ = limiter.check_many_hashes(0..600).count();
/// let gauges = limiter.gauges();
/// assert_eq!((gauges.live_keys(), gauges.saturated()), (600, 0));
/// if gauges.live_keys() > limiter.capacity() * 9 / 10 {
///     // It is time for a larger one.
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    pub(super) sample: Sample,
    pub(super) saturated: u64,
}

impl Gauges {
    /// About how many keys are live: exact in a table of up to 16,384 slots, else
    /// an estimate whose standard error is 0.4 % of the slots at most; a few keys in
    /// a large table may read as none. A GCRA key that was given something back
    /// counts for as long as its slot [rests](crate::Key::refund).
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?).clock(ManualClock::new()).try_build()?;
    /// let charge = limiter.check("alice").charge().ok_or("denied")?;
    /// let _ = limiter.key("alice").refund(charge);
    /// // As good as new, but its slot rests for the hour that it might have owed.
    /// assert_eq!(limiter.peek("alice").remaining(), 1);
    /// assert_eq!(limiter.gauges().live_keys(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::cast_possible_truncation)] // at most the number of slots
    pub fn live_keys(&self) -> usize {
        let Sample { live, looked_at, slots } = self.sample;
        (live as u128 * slots as u128 / (looked_at as u128).max(1)) as usize
    }

    /// All slots of the table: about 1.4 for each key of the capacity, and at least 16.
    ///
    /// ```
    /// # use tollgate::KeyedLimiter;
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?).capacity(300_000).try_build()?;
    /// let spare = limiter.gauges().slots() as f64 / limiter.capacity() as f64;
    /// assert!((1.41..1.42).contains(&spare));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slots(&self) -> usize {
        self.sample.slots
    }

    /// The share of slots that cannot be given to another key now: 0 to 1.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .capacity(1000)
    ///     .try_build()?;
    /// let _ = limiter.check_many_hashes(0..1000).count();
    /// // Of all slots: a table that has its capacity is three quarters full.
    /// assert!((0.65..0.77).contains(&limiter.gauges().occupancy()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::cast_precision_loss)] // a ratio for people
    pub fn occupancy(&self) -> f64 {
        self.sample.live as f64 / self.sample.looked_at.max(1) as f64
    }

    /// As [`KeyedLimiter::saturated`](crate::KeyedLimiter::saturated).
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .capacity(100)
    ///     .try_build()?;
    /// let _ = limiter.check_many_hashes(0..1000).count();
    /// let gauges = limiter.gauges();
    /// assert_eq!(gauges.live_keys() as u64 + gauges.saturated(), 1000); // nobody else
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn saturated(&self) -> u64 {
        self.saturated
    }
}

/// Decisions by outcome: [`counts`](crate::KeyedLimiter::counts).
///
/// Peeks, refunds, settlements and resets are not counted. Decisions that other threads make
/// meanwhile may be counted or not.
///
/// ```
/// use tollgate::{KeyedLimiter, ManualClock};
///
/// let limiter = KeyedLimiter::gcra("3/min".parse()?)
///     .clock(ManualClock::new())
///     .capacity(100)
///     .count_decisions(true)
///     .try_build()?;
/// let _ = limiter.check_many(["alice"; 5]).count();
/// let _ = limiter.check_many_hashes(1..1000).count(); // far more users than it is for
/// let counts = limiter.counts().unwrap_or_default();
/// assert_eq!((counts.denied, counts.unaccounted), (2, limiter.saturated()));
/// assert_eq!(counts.allowed + counts.unaccounted, 3 + 999); // all of whom passed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Allowed and charged.
    pub allowed: u64,
    /// Denied, now or for good, by what the key was charged.
    pub denied: u64,
    /// New keys that found no slot, and got the configured answer.
    pub unaccounted: u64,
}

/// One of the keys denied most: [`denied_most`](crate::KeyedLimiter::denied_most).
///
/// ```
/// use tollgate::{DeniedKey, KeyedLimiter, ManualClock};
///
/// let limiter = KeyedLimiter::gcra("1/h".parse()?)
///     .clock(ManualClock::new())
///     .remember_denied(10)
///     .try_build()?;
/// let _ = limiter.check_many(["alice", "bob", "bob", "bob"]).count();
/// let line = |key: &DeniedKey| format!("{} {}", key.name().escape_ascii(), key.denials());
/// let lines: Vec<_> = limiter.denied_most().iter().map(line).collect();
/// assert_eq!(lines, ["bob 2"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DeniedKey {
    name: Vec<u8>,
    hashed: Option<u64>,
    denials: u64,
    excess: u64,
}

impl DeniedKey {
    /// The key's bytes, at most the first 63, which stand for all keys that begin
    /// so; of a key that the caller hashed,
    /// the hash's eight bytes in little-endian order.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .remember_denied(10)
    ///     .try_build()?;
    /// let long = "x".repeat(80);
    /// let (one, other) = (&long[..70], &long[..80]);
    /// let _ = limiter.check_many([one, one, other, other]).count();
    /// let worst = limiter.denied_most();
    /// assert_eq!((worst[0].name().len(), worst[0].denials()), (63, 2)); // two keys that begin so
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The hash, if the caller made it.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .remember_denied(10)
    ///     .try_build()?;
    /// let _ = limiter.check_many_hashes([7, 7, 7]).count();
    /// let _ = limiter.check_many(["seven", "seven"]).count();
    /// let hashes: Vec<_> = limiter.denied_most().iter().map(|key| key.hash()).collect();
    /// assert_eq!(hashes, [Some(7), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hash(&self) -> Option<u64> {
        self.hashed
    }

    /// How often it was denied, or somewhat more: never too few of those that were
    /// counted.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("5/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .remember_denied(10)
    ///     .try_build()?;
    /// let _ = limiter.check_many(["mallory"; 100]).count();
    /// let worst = limiter.denied_most();
    /// assert_eq!(worst[0].denials(), 95); // of a hundred requests, five were allowed
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn denials(&self) -> u64 {
        self.denials
    }

    /// By how much [`denials`](Self::denials) may be too high.
    ///
    /// ```
    /// # use tollgate::{KeyedLimiter, ManualClock};
    /// let limiter = KeyedLimiter::gcra("1/h".parse()?)
    ///     .clock(ManualClock::new())
    ///     .remember_denied(1)
    ///     .try_build()?;
    /// let _ = limiter.check_many(["a", "a", "a", "b", "b"]).count();
    /// // There is one place: with it "b" has the two of "a", and one of its own.
    /// let last = &limiter.denied_most()[0];
    /// assert_eq!((last.name(), last.denials(), last.excess()), (&b"b"[..], 3, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn excess(&self) -> u64 {
        self.excess
    }
}

impl fmt::Debug for DeniedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("DeniedKey");
        match self.hashed {
            Some(hash) => out.field("hash", &hash),
            None => out.field("name", &String::from_utf8_lossy(&self.name)),
        };
        out.field("denials", &self.denials).field("excess", &self.excess).finish()
    }
}

/// What a builder was told to watch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchFor {
    pub(super) counts: bool,
    pub(super) denied: usize,
}

/// Counts on lines of their own, by thread: [allowed, denied, unaccounted].
type Stripe = CachePadded<[AtomicU64; 3]>;

/// The options that cost a write per decision.
pub(super) struct Watch {
    stripes: Option<Box<[Stripe]>>,
    denied: Option<Mutex<Heavy>>,
}

impl Watch {
    /// `None` if nothing is to be watched.
    pub(super) fn new(what: WatchFor) -> Option<Box<Self>> {
        if !what.counts && what.denied == 0 {
            return None;
        }
        let stripes = what.counts.then(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (0..cores.next_power_of_two().min(64)).map(|_| Stripe::default()).collect()
        });
        let denied = (what.denied > 0).then(|| Mutex::new(Heavy::new(what.denied)));
        Some(Box::new(Self { stripes, denied }))
    }

    /// Takes note of a decision.
    #[inline(always)]
    pub(super) fn note(&self, decision: &Decision, request: &Request, name: Name<'_>) {
        // Whoever settles was counted when they were charged, and is turned away by nobody.
        if request.cost == 0 || !matches!(request.ask, Ask::Charge | Ask::Reserve(_)) {
            return;
        }
        let outcome = match (decision.is_accounted(), decision.is_allowed()) {
            (false, _) => 2,
            (true, false) => 1,
            (true, true) => 0,
        };
        self.add(outcome, name.bytes, name.hash);
    }

    /// By parts, so that on the way of a hit nothing need be in memory.
    #[inline(never)]
    fn add(&self, outcome: usize, bytes: Option<&[u8]>, hash: u64) {
        if let Some(stripes) = &self.stripes {
            // Their number is a power of two. A count stands for itself.
            let stripe = &stripes[thread_number() & (stripes.len() - 1)];
            stripe[outcome].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(denied) = &self.denied
            && outcome == 1
            && let Some(mut denied) = denied.try_lock()
        {
            denied.count(Name { bytes, hash });
        }
    }

    pub(super) fn counts(&self) -> Option<Counts> {
        let stripes = self.stripes.as_ref()?;
        let sum = |nth: usize| {
            stripes
                .iter()
                .fold(0_u64, |sum, stripe| sum.wrapping_add(stripe[nth].load(Ordering::Relaxed)))
        };
        Some(Counts { allowed: sum(0), denied: sum(1), unaccounted: sum(2) })
    }

    pub(super) fn denied_most(&self) -> Vec<DeniedKey> {
        self.denied.as_ref().map_or_else(Vec::new, |denied| denied.lock().list())
    }
}

const NAME: usize = 63;

/// A key by its name, shortened to what there is room for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Short {
    bytes: [u8; NAME],
    len: u8,
    hashed: bool,
}

impl Short {
    #[allow(clippy::cast_possible_truncation)] // at most NAME
    fn new(name: Name<'_>) -> Self {
        let hash = name.hash.to_le_bytes();
        let (name, hashed) = name.bytes.map_or((&hash[..], true), |bytes| (bytes, false));
        let len = name.len().min(NAME);
        let mut bytes = [0; NAME];
        bytes[..len].copy_from_slice(&name[..len]);
        Self { bytes, len: len as u8, hashed }
    }
}

/// The keys denied most (Metwally et al. 2005, "Space-Saving"): a key that finds
/// no place takes that of the one denied least, and its count with it. So counts
/// are never too low, and whoever got more than one denial in so many as there
/// are places is listed.
struct Heavy {
    places: Vec<(Short, u64, u64)>,
    most: usize,
}

// As the builder's `remember_denied` says.
const _: () = assert!(size_of::<(Short, u64, u64)>() <= 88);

impl Heavy {
    fn new(most: usize) -> Self {
        let most = most.clamp(1, 1024);
        Self { places: Vec::with_capacity(most), most }
    }

    fn count(&mut self, name: Name<'_>) {
        let name = Short::new(name);
        let mut least = None;
        for (nth, place) in self.places.iter_mut().enumerate() {
            if place.0 == name {
                place.1 = place.1.saturating_add(1);
                return;
            }
            if least.is_none_or(|(_, count)| place.1 < count) {
                least = Some((nth, place.1));
            }
        }
        match least {
            Some((nth, count)) if self.places.len() >= self.most => {
                self.places[nth] = (name, count.saturating_add(1), count);
            }
            _ => self.places.push((name, 1, 0)),
        }
    }

    fn list(&self) -> Vec<DeniedKey> {
        let mut list: Vec<_> = self
            .places
            .iter()
            .map(|(short, denials, excess)| {
                let name = &short.bytes[..usize::from(short.len)];
                let hashed = short.hashed.then(|| name.try_into().map_or(0, u64::from_le_bytes));
                DeniedKey { name: name.to_vec(), hashed, denials: *denials, excess: *excess }
            })
            .collect();
        list.sort_by(|a, b| b.denials.cmp(&a.denials).then_with(|| a.name.cmp(&b.name)));
        list
    }
}
