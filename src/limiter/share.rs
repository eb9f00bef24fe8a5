//! What limiters in a region have in common: their room is that of who made them, and
//! their quota that of who set it last.

#[cfg(feature = "policy")]
use super::{Blocks, OnSaturation, Ruled, Store};
use super::{BuildError, RoomError, current::Current};
#[cfg(feature = "policy")]
use crate::{
    algorithm::Block,
    region::Wanted,
    table::geometry::{Layout, Wide},
    time::Nanos,
};
use crate::{
    algorithm::{Gcra, Leases, SlidingCounter, SlidingLog},
    quota::Quota,
    region::{Difference, Locked, Region, RegionError, Section},
    table::rule::Rule,
    time::nanos_up,
};
use std::{fmt, time::Duration};

/// Why a limiter could not be built in a region.
///
/// ```
/// use tollgate::{BuildError, KeyedLimiter, Region, ShareError};
///
/// # let path = std::env::temp_dir().join(format!("tollgate-doc-e-{}", std::process::id()));
/// # let region = Region::open(&path)?;
/// let quota = "10/min".parse()?;
/// let refused = KeyedLimiter::gcra(quota).capacity(0).try_build_in(&region, "logins");
/// assert!(matches!(refused, Err(ShareError::Build(BuildError::ZeroCapacity))));
///
/// let _ten = KeyedLimiter::gcra(quota).capacity(10).try_build_in(&region, "logins")?;
/// let refused = KeyedLimiter::gcra(quota).capacity(20).try_build_in(&region, "logins");
/// let message = refused.map_err(|error| error.to_string()).unwrap_err();
/// assert!(message.contains("capacity"), "{message}");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ShareError {
    /// It could not be built anywhere.
    Build(BuildError),
    /// Not in this region.
    Region(RegionError),
}

impl ShareError {
    pub(crate) const DAMAGED: Self =
        Self::Region(RegionError::Damaged { what: "a table is too small for its layout" });
}

impl From<BuildError> for ShareError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<RegionError> for ShareError {
    fn from(error: RegionError) -> Self {
        Self::Region(error)
    }
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => error.fmt(f),
            Self::Region(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShareError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Build(error) => Some(error),
            Self::Region(error) => Some(error),
        }
    }
}

/// A rule whose room can be written down.
pub(crate) trait Roomy: Rule + Sized {
    /// What people call the algorithm.
    const NAME: &'static str;
    /// The room, so that [`in_room`](Self::in_room) makes the same.
    fn room_words(&self) -> [u64; 4];
    /// The same rule where the room is that, if it has as much of everything.
    fn in_room(&self, room: [u64; 4]) -> Option<Self>;
    /// The room for people.
    fn room_text(&self) -> String;
}

fn span(ticks: u64) -> Duration {
    Duration::from_nanos(nanos_up(ticks))
}

impl Roomy for Gcra {
    const NAME: &'static str = "gcra";

    fn room_words(&self) -> [u64; 4] {
        [self.largest_debt(), self.longest_wait(), 0, 0]
    }

    fn in_room(&self, [debt, wait, _, _]: [u64; 4]) -> Option<Self> {
        self.with_room(debt, wait)
    }

    fn room_text(&self) -> String {
        let (debt, wait) = (span(self.largest_tolerance()), span(self.longest_wait()));
        format!("for a debt of {debt:?} and a wait of {wait:?}")
    }
}

impl Roomy for SlidingLog {
    const NAME: &'static str = "sliding-log";

    fn room_words(&self) -> [u64; 4] {
        let (entries, longest) = self.room();
        [entries, longest, 0, 0]
    }

    fn in_room(&self, [entries, longest, _, _]: [u64; 4]) -> Option<Self> {
        self.with_room(entries, longest)
    }

    fn room_text(&self) -> String {
        let (entries, longest) = self.room();
        format!("for {entries} units in {:?}", span(longest))
    }
}

impl Roomy for SlidingCounter {
    const NAME: &'static str = "sliding-counter";

    fn room_words(&self) -> [u64; 4] {
        [self.period(), self.most(), 0, 0]
    }

    fn in_room(&self, [period, most, _, _]: [u64; 4]) -> Option<Self> {
        self.with_room(period, most)
    }

    fn room_text(&self) -> String {
        format!("for windows of {:?}, and {} units", span(self.period()), self.most())
    }
}

impl Roomy for Leases {
    const NAME: &'static str = "leases";

    fn room_words(&self) -> [u64; 4] {
        let (entries, longest) = self.room();
        [entries, longest, 0, 0]
    }

    fn in_room(&self, [entries, longest, _, _]: [u64; 4]) -> Option<Self> {
        self.with_room(entries, longest)
    }

    fn room_text(&self) -> String {
        let (entries, longest) = self.room();
        format!("for {entries} leases of {:?}", span(longest))
    }
}

#[cfg(feature = "policy")]
impl Roomy for Block {
    const NAME: &'static str = "blocks";

    fn room_words(&self) -> [u64; 4] {
        [0; 4]
    }

    fn in_room(&self, _: [u64; 4]) -> Option<Self> {
        Some(*self)
    }

    fn room_text(&self) -> String {
        "for any".to_owned()
    }
}

#[cfg(feature = "policy")]
impl Roomy for crate::algorithm::Calendar {
    const NAME: &'static str = "calendar";

    fn room_words(&self) -> [u64; 4] {
        [self.longest(), 0, 0, 0]
    }

    fn in_room(&self, room: [u64; 4]) -> Option<Self> {
        (self.room_words() == room).then_some(*self)
    }

    fn room_text(&self) -> String {
        format!("for windows of up to {:?}", span(self.longest()))
    }
}

/// What must be the same for all, for people.
pub(crate) fn about<R: Roomy>(rule: &R, capacity: usize) -> Vec<(&'static str, String)> {
    vec![
        ("algorithm", R::NAME.to_owned()),
        ("capacity", format!("{capacity} keys")),
        ("room", rule.room_text()),
    ]
}

/// The rule with the room that the table of that name has, if it is there and has
/// enough; else as it was asked for.
pub(crate) fn with_room_there<R: Roomy>(
    region: &Region,
    name: &str,
    asked: R,
) -> Result<R, RegionError> {
    Ok(match region.room_of(name)? {
        Some(room) => asked.in_room(room).unwrap_or(asked),
        None => asked,
    })
}

/// Notes the quota for people.
pub(crate) fn put(section: &Section, quota: &Quota) {
    if let Some(words) = section.spare() {
        let period = u64::try_from(quota.period().as_nanos()).unwrap_or(u64::MAX);
        Current::new(words).set([quota.units(), period, quota.burst_units()]);
    }
}

/// The quota that was noted last.
pub(crate) fn quota(section: &Section) -> Option<Quota> {
    let [units, period, burst] = Current::new(section.spare()?).get();
    Quota::with_burst(units, Duration::from_nanos(period), burst).ok()
}

/// Takes the region's lock and notes the quota; its numbers are to be set under the lock.
pub(crate) fn lock_and_put<'s>(
    section: &'s Section,
    quota: &Quota,
) -> Result<Locked<'s>, RoomError> {
    let locked = section.region().lock().map_err(|_| RoomError::Locked)?;
    put(section, quota);
    Ok(locked)
}

/// Whether a quota is the one that holds.
pub(crate) fn agree(name: &str, section: &Section, asked: &Quota) -> Result<(), RegionError> {
    match quota(section) {
        None => Err(RegionError::Damaged { what: "a quota that cannot be" }),
        Some(there) if there == *asked => Ok(()),
        Some(there) => Err(RegionError::Differs {
            name: name.to_owned(),
            differences: vec![Difference {
                what: "quota".to_owned(),
                region: there.to_string(),
                asked: asked.to_string(),
            }],
        }),
    }
}

/// A table of that name, for a rule that may be given more room.
#[cfg(feature = "policy")]
fn table_in<R: Roomy + Copy>(
    region: &Region,
    name: &str,
    rule: R,
    keys: usize,
    epoch: Nanos,
) -> Result<(R, Layout, Section), ShareError> {
    let rule = with_room_there(region, name, rule)?;
    let layout = Layout::for_keys::<Wide>(keys, rule.ring_words())
        .ok_or(BuildError::CapacityTooLarge { keys })?;
    let wanted = Wanted {
        name,
        words: layout.len,
        room: rule.room_words(),
        epoch: epoch.as_u64(),
        about: about(&rule, keys),
    };
    Ok((rule, layout, region.section(&wanted, |_| {})?))
}

/// A store over a table of that name.
#[cfg(feature = "policy")]
pub(crate) fn store_in<R: Ruled>(
    region: &Region,
    name: &str,
    rule: R,
    keys: usize,
    epoch: Nanos,
    when_full: OnSaturation,
) -> Result<Store<R>, ShareError> {
    let (rule, layout, section) = table_in(region, name, rule, keys, epoch)?;
    Store::in_section(rule, layout, &section, when_full).ok_or(ShareError::DAMAGED)
}

/// Blocks in a table of that name.
#[cfg(feature = "policy")]
pub(crate) fn blocks_in(
    region: &Region,
    name: &str,
    rule: Block,
    keys: usize,
    epoch: Nanos,
) -> Result<Blocks, ShareError> {
    let (rule, layout, section) = table_in(region, name, rule, keys, epoch)?;
    Blocks::in_section(rule, layout, &section).ok_or(ShareError::DAMAGED)
}
