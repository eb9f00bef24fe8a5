//! Regions: memory in which several processes have their limits together.

mod clock;
mod error;
mod file;
mod header;
mod host;
mod sip;
mod snapshot;

#[cfg(all(test, not(loom)))]
#[path = "../../tests/forged/mod.rs"]
mod forged;

pub use clock::RegionClock;
pub use error::{Difference, RegionError};
pub(crate) use sip::Sip;

use crate::table::storage::{Memory, Storage};
use clock::Boot;
use file::{Identity, LockedFile};
use header::{Found, Header, PAGE, PAGE_WORDS, QUOTA, Record, SectionPage, TEXT_BYTES};
use host::{HostLock, HostMemory};
use std::{fmt, path::Path, sync::Arc, time::Duration};

/// Memory that several processes share, for their limiters: a file, or what the host has.
///
/// Whoever comes first makes the region; whoever comes later attaches to it, and to each
/// limiter in it by the limiter's name. All of them decide by the same states, with the
/// same compare-and-swaps as threads of one process do.
///
/// ```
/// use tollgate::{KeyedLimiter, Quota, Region};
///
/// # let path = std::env::temp_dir().join(format!("tollgate-doc-{}", std::process::id()));
/// # /*
/// let path = "/dev/shm/my-service.limits";
/// # */
/// let region = Region::open(&path)?;
/// let limiter = KeyedLimiter::gcra(Quota::n_per_minute(60)?)
///     .capacity(100_000)
///     .try_build_in(&region, "logins")?;
/// assert_eq!(limiter.check("alice").remaining(), 59);
///
/// // Any other process (here: the same one again) sees what was charged.
/// let theirs = KeyedLimiter::gcra(Quota::n_per_minute(60)?)
///     .capacity(100_000)
///     .try_build_in(&Region::open(&path)?, "logins")?;
/// assert_eq!(theirs.check("alice").remaining(), 58);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Where
///
/// In `/dev/shm`, or any other file system in memory, a region lives until the system
/// restarts. In an ordinary file it survives that, too: limits per month go on. (Not on
/// network file systems: a mapping there is not shared with other machines, and their
/// locks may not hold.) The file is made with mode 0600, so only processes of one user
/// have it, unless [`RegionOptions::mode`] says otherwise; whoever may write it can do
/// with the limits what they like, so put it where no other user can put one first. A
/// symbolic link is refused.
///
/// # Processes that die
///
/// A process may be killed at any instant. Nothing it was doing makes others wait for longer
/// than some hundred looks. The key that it was deciding on is as before or as after; at worst
/// units were charged that nobody used. Its leases end by themselves, after their time.
///
/// # After a restart
///
/// Times are counted by a [clock](RegionClock) of the region's own, which goes on
/// after a restart of the system. Nothing is lost when all processes end.
///
/// # Different configurations
///
/// A limiter that is in the region already must be asked for as it was made: with the
/// same algorithm, capacity and [room](crate::KeyedBuilder::room_for), or less room.
/// Otherwise the error [says what differs](RegionError::Differs).
///
/// The quota must be the one that holds now. While the region lives it is changed by
/// [`set_quota`](crate::KeyedLimiter::set_quota), for all processes at once; from then on a
/// program that asks for the former one is refused, too. So a program that brings a new quota
/// with it, as in a rolling deployment, attaches by the quota that it finds, and then sets its
/// own. Workers that run already go on, by the new quota:
///
/// ```
/// use tollgate::{Gcra, KeyedLimiter, Quota, Region, RegionClock, RegionError, ShareError};
///
/// type Logins = KeyedLimiter<Gcra, RegionClock>;
///
/// fn logins(region: &Region, quota: Quota) -> Result<Logins, Box<dyn std::error::Error>> {
///     let attach = |quota| KeyedLimiter::gcra(quota).try_build_in(region, "logins");
///     let mut attached = attach(quota);
///     // More than once: another new worker may set the quota between two looks.
///     for _ in 0..10 {
///         let Err(ShareError::Region(RegionError::Differs { differences, .. })) = &attached else {
///             break;
///         };
///         match &differences[..] {
///             [one] if one.what == "quota" => attached = attach(one.region.parse()?),
///             _ => break,
///         }
///     }
///     let limiter = attached?;
///     limiter.set_quota(quota)?;
///     Ok(limiter)
/// }
///
/// # let path = std::env::temp_dir().join(format!("tollgate-rolling-{}", std::process::id()));
/// # let region = Region::open(&path)?;
/// let (five, fifty) = (Quota::n_per_minute(5)?, Quota::n_per_minute(50)?);
/// let old = logins(&region, five)?;
/// assert!(old.check_n("alice", 5).is_allowed());
/// let new = logins(&region, fifty)?; // the first worker of the new program
/// assert_eq!((old.quota(), new.quota()), (fifty, fifty));
/// // A worker of the old program that starts now would set 5 again: let none start.
/// assert_eq!(logins(&region, five)?.quota(), five);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// This needs [room](crate::KeyedBuilder::room_for) for the new quota. GCRA has it where a spent
/// burst takes no longer to come back; a log only where there are no more units and no longer
/// period. Where there is none, call the limiter otherwise: it then begins anew. Policies
/// need none of this: their quotas are of [each process's own
/// file](crate::policy::Policy::from_file_in), up to `largest`.
///
/// A file that is no longer wanted is removed like any other; processes that have it open
/// go on with what they have.
///
/// # Truncation
///
/// A file that somebody cuts short under a mapping kills whoever touches what is gone
/// (`SIGBUS`). Sizes are checked when a limiter attaches, and the file has all its space
/// from the beginning, so that a full disk is an error of [`open`](Self::open) or
/// `try_build_in` and nothing later; but a file that is truncated while it is in use is
/// beyond any remedy. Remove regions, do not truncate them.
///
/// # Random bytes
///
/// What is not a region is refused, and so is one of another format, layout or hash. States
/// that make no sense are repaired as those of a broken clock are. No bytes, whoever wrote
/// them, make anything but decisions wrong.
///
/// # How it works
///
/// See [the chapter about regions](crate::design_of_regions).
#[derive(Clone)]
pub struct Region(Arc<Inner>);

struct Inner {
    first: Memory,
    place: Place,
    boot: Boot,
    seed: [u64; 2],
}

/// Where a region is.
enum Place {
    File(Identity),
    Host(HostMemory),
}

/// How a region is opened: made by [`Region::options`].
///
/// ```
/// use tollgate::Region;
///
/// # let path = std::env::temp_dir().join(format!("tollgate-doc-options-{}", std::process::id()));
/// // For all processes of a group.
/// let region = Region::options().mode(0o660).open(&path)?;
/// assert_eq!(region.path(), Some(path.as_path()));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options are for `open`"]
pub struct RegionOptions {
    mode: u32,
    boot: Boot,
}

impl RegionOptions {
    /// The permissions of the file, if it is made now: 0600 unless given, whatever the umask
    /// says. Of the bits, those to read and to write count. A file that is there keeps its own.
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    /// use tollgate::Region;
    ///
    /// # let path = std::env::temp_dir().join(format!("tollgate-doc-mode-{}", std::process::id()));
    /// let mode = || std::fs::metadata(&path).map(|file| file.permissions().mode() & 0o777);
    /// let _made = Region::options().mode(0o660).open(&path)?;
    /// assert_eq!(mode()?, 0o660);
    /// let _again = Region::options().mode(0o600).open(&path)?;
    /// assert_eq!(mode()?, 0o660);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// For tests: another start of the system, `after` so long by the true one's clock, while the wall
    /// clock is `ahead`.
    #[doc(hidden)]
    pub fn pretend_boot(mut self, id: u64, after: Duration, ahead: Duration) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.boot = Boot { id: [2, id], known: true, zero: nanos(after), ahead: nanos(ahead) };
        self
    }

    /// Opens the region of that file, or makes it.
    ///
    /// ```
    /// use tollgate::{Region, RegionError};
    ///
    /// # let path = std::env::temp_dir().join(format!("tollgate-doc-not-{}", std::process::id()));
    /// std::fs::write(&path, "an important letter")?;
    /// let refused = Region::options().open(&path);
    /// assert!(matches!(refused, Err(RegionError::NotARegion { .. })));
    /// assert_eq!(std::fs::read_to_string(&path)?, "an important letter");
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the system refuses; a file that is no region, is damaged, or was made for
    /// another kind of machine; a lock that is not given back within ten seconds.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Region, RegionError> {
        let locked = LockedFile::open_or_make(path.as_ref(), self.mode)?;
        let (first, found) = locked.first_page()?;
        Region::of(first, found, Place::File(locked.identity.clone()), self.boot)
    }
}

impl Region {
    /// Opens the region of that file, or makes it, for the processes of this user.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota, Region};
    ///
    /// # let path = std::env::temp_dir().join(format!("tollgate-doc-open-{}", std::process::id()));
    /// let region = Region::open(&path)?;
    /// let _limiter =
    ///     KeyedLimiter::gcra(Quota::n_per_minute(60)?).try_build_in(&region, "logins")?;
    /// // Whoever comes later finds what is there.
    /// assert_eq!(Region::open(&path)?.names()?, ["logins"]);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`RegionOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RegionError> {
        Self::options().open(path)
    }

    /// What may be chosen about a region.
    ///
    /// ```
    /// use tollgate::Region;
    ///
    /// # let name = format!("tollgate-doc-chosen-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// // `Region::open` is this, with nothing chosen.
    /// let region = Region::options().open(&path)?;
    /// assert!(region.names()?.is_empty());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn options() -> RegionOptions {
        RegionOptions { mode: 0o600, boot: Boot::this() }
    }

    /// Under the lock.
    fn of(first: Memory, found: Found, place: Place, boot: Boot) -> Result<Self, RegionError> {
        let header = Header(first.words());
        if found == Found::Region {
            header.verify()?;
            header.follow_boot(&boot);
        } else {
            header.begin(&boot);
            header.finish();
        }
        let seed = header.seed();
        Ok(Self(Arc::new(Inner { first, place, boot, seed })))
    }

    /// The clock that the region's limiters read.
    ///
    /// ```
    /// use tollgate::{Clock, Region};
    ///
    /// # let name = format!("tollgate-doc-clock-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let ours = Region::open(&path)?.clock();
    /// let theirs = Region::open(&path)?.clock();
    /// // One time, for whoever has the region.
    /// let (first, then, last) = (ours.now(), theirs.now(), ours.now());
    /// assert!(first <= then && then <= last);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock(&self) -> RegionClock {
        RegionClock::new(self.clone())
    }

    /// The file, unless it is memory of the host.
    ///
    /// ```
    /// use tollgate::Region;
    ///
    /// # let path = std::env::temp_dir().join(format!("tollgate-doc-path-{}", std::process::id()));
    /// let region = Region::open(&path)?;
    /// assert_eq!(region.path(), Some(path.as_path()));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> Option<&Path> {
        match &self.0.place {
            Place::File(identity) => Some(&identity.path),
            Place::Host(_) => None,
        }
    }

    /// Bytes in use.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota, Region};
    ///
    /// # let name = format!("tollgate-doc-bytes-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let region = Region::open(&path)?;
    /// assert_eq!(region.bytes(), 4_096);
    /// let limiter =
    ///     KeyedLimiter::gcra(Quota::n_per_minute(60)?).try_build_in(&region, "logins")?;
    /// assert!(region.bytes() >= 4_096 + limiter.memory() as u64);
    /// assert_eq!(region.bytes(), std::fs::metadata(&path)?.len());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes(&self) -> u64 {
        self.header().used()
    }

    /// The names of what is in it, in the order in which it came.
    ///
    /// ```
    /// use tollgate::{KeyedLimiter, Quota, Region};
    ///
    /// # let name = format!("tollgate-doc-names-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let region = Region::open(&path)?;
    /// for name in ["logins", "api", "logins"] {
    ///     let _limiter =
    ///         KeyedLimiter::gcra(Quota::n_per_minute(60)?).try_build_in(&region, name)?;
    /// }
    /// assert_eq!(region.names()?, ["logins", "api"]);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A region that is damaged, gone or locked.
    pub fn names(&self) -> Result<Vec<String>, RegionError> {
        let locked = self.lock()?;
        Ok(self.records(&locked)?.into_iter().map(|(_, record)| record.name).collect())
    }

    fn header(&self) -> Header<'_> {
        Header(self.0.first.words())
    }

    fn boot(&self) -> &Boot {
        &self.0.boot
    }

    /// What its keys are hashed under.
    pub(crate) fn seed(&self) -> [u64; 2] {
        self.0.seed
    }

    /// Takes the lock for making and changing what is in it: no decision waits for that.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, RegionError> {
        match &self.0.place {
            Place::File(identity) => LockedFile::again(identity).map(Locked::File),
            Place::Host(memory) => {
                memory.lock(self.header()).map(|lock| Locked::Host(memory, lock))
            }
        }
    }

    /// All there is, and where.
    fn records(&self, locked: &Locked<'_>) -> Result<Vec<(u64, Record)>, RegionError> {
        let damaged = |what| RegionError::Damaged { what };
        let (used, mut at, mut records) = (self.header().used(), PAGE as u64, Vec::new());
        if used > locked.bytes()? || !used.is_multiple_of(PAGE as u64) {
            return Err(damaged("it is shorter than what is in it"));
        }
        while at < used {
            let page = locked.map(at, PAGE as u64)?;
            let record = SectionPage(page.words()).read()?;
            let body = record.words.checked_mul(8).and_then(|body| body.checked_add(PAGE as u64));
            let fits = body.is_some_and(|body| body <= record.bytes)
                && record.bytes.is_multiple_of(PAGE as u64);
            let Some(next) = at.checked_add(record.bytes).filter(|next| fits && *next <= used)
            else {
                return Err(damaged("a table does not fit in it"));
            };
            records.push((at, record));
            at = next;
        }
        Ok(records)
    }

    /// The room that a table there has, and how it was described.
    pub(crate) fn room_of(&self, name: &str) -> Result<Option<[u64; 4]>, RegionError> {
        let locked = self.lock()?;
        let mut records = self.records(&locked)?.into_iter();
        Ok(records.find(|(_, record)| record.name == name).map(|(_, record)| record.room))
    }

    /// Attaches to a table, or makes it; `begin` writes what must be in it from the
    /// beginning.
    pub(crate) fn section(
        &self,
        wanted: &Wanted<'_>,
        begin: impl FnOnce(&Section),
    ) -> Result<Section, RegionError> {
        let mut about = String::new();
        for (what, how) in &wanted.about {
            about.extend([what, "\t", how, "\n"]);
        }
        let name = wanted.name.to_owned();
        if name.is_empty() || name.len() + about.len() > TEXT_BYTES {
            return Err(RegionError::Name { name });
        }
        let locked = self.lock()?;
        let found = self.records(&locked)?.into_iter().find(|(_, record)| record.name == name);
        let words = wanted.words as u64;
        if let Some((at, record)) = found {
            let differences = differences(&record.about, &about);
            if !differences.is_empty() {
                return Err(RegionError::Differs { name, differences });
            }
            if record.words != words || record.room != wanted.room {
                return Err(RegionError::Damaged { what: "a table's size is not what it says" });
            }
            return self.attach(&locked, at, &record);
        }
        let bytes = wanted.words.checked_mul(8).and_then(|bytes| bytes.checked_add(PAGE));
        let bytes = bytes.and_then(|bytes| bytes.checked_next_multiple_of(PAGE));
        let bytes = bytes.map_or(u64::MAX, |bytes| bytes as u64);
        let (epoch, room) = (wanted.epoch, wanted.room);
        let record = Record { bytes, words, epoch, room, name, about };
        let at = self.header().used();
        let end = at.saturating_add(bytes);
        locked.take_space(at, end)?;
        let section = self.attach(&locked, at, &record)?;
        begin(&section);
        SectionPage(section.page.words()).write(&record);
        self.header().set_used(end);
        Ok(section)
    }

    fn attach(
        &self,
        locked: &Locked<'_>,
        at: u64,
        record: &Record,
    ) -> Result<Section, RegionError> {
        let damaged = RegionError::Damaged { what: "a table is too small" };
        let all = locked.map(at, record.bytes)?;
        let words = usize::try_from(record.words).unwrap_or(usize::MAX);
        let parts = all.part(0, PAGE_WORDS).zip(all.part(PAGE_WORDS, words));
        let (page, table) = parts.ok_or(damaged)?;
        Ok(Section { page, table, epoch: record.epoch, region: self.clone() })
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Region");
        match self.path() {
            Some(path) => out.field("path", &path),
            None => out.field("place", &"memory of the host"),
        };
        out.field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// What differs between two lists of lines.
fn differences(region: &str, asked: &str) -> Vec<Difference> {
    let parse = |text: &str| -> Vec<(String, String)> {
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        lines.map(|(what, how)| (what.to_owned(), how.to_owned())).collect()
    };
    let (region, asked) = (parse(region), parse(asked));
    let of = |list: &[(String, String)], what: &str| {
        let found = list.iter().find(|(known, _)| known == what);
        found.map_or_else(|| "not given".to_owned(), |(_, how)| how.clone())
    };
    let mut all: Vec<&String> = asked.iter().chain(&region).map(|(what, _)| what).collect();
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|what| seen.insert(*what));
    all.into_iter()
        .map(|what| Difference {
            what: what.clone(),
            region: of(&region, what),
            asked: of(&asked, what),
        })
        .filter(|difference| difference.region != difference.asked)
        .collect()
}

/// A table that is asked for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) words: usize,
    /// What its rule was made with, so that others make the same.
    pub(crate) room: [u64; 4],
    pub(crate) epoch: u64,
    /// The same for people.
    pub(crate) about: Vec<(&'static str, String)>,
}

/// A table of a region, and the page before it.
#[derive(Debug)]
pub(crate) struct Section {
    page: Memory,
    table: Memory,
    epoch: u64,
    region: Region,
}

impl Section {
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// The reading of its clock that the table counts from.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The table's words.
    pub(crate) fn table(&self) -> Option<Memory> {
        self.table.part(0, self.table.words().len())
    }

    /// Words beside the table for what is common to all who have it: zero at first.
    pub(crate) fn spare(&self) -> Option<&[crate::sync::AtomicU64; 7]> {
        self.page.words().get(QUOTA..)?.first_chunk()
    }
}

/// A region under its lock.
pub(crate) enum Locked<'a> {
    File(LockedFile),
    Host(&'a HostMemory, #[expect(dead_code, reason = "kept for its drop")] HostLock<'a>),
}

impl Locked<'_> {
    /// How large it is or can be.
    fn bytes(&self) -> Result<u64, RegionError> {
        match self {
            Self::File(file) => file.len(),
            Self::Host(memory, _) => Ok(memory.bytes() as u64),
        }
    }

    fn map(&self, from: u64, bytes: u64) -> Result<Memory, RegionError> {
        match self {
            Self::File(file) => file.map(from, bytes),
            Self::Host(memory, _) => memory.map(from, bytes),
        }
    }

    fn take_space(&self, from: u64, to: u64) -> Result<(), RegionError> {
        match self {
            Self::File(file) => file.take_space(from, to),
            Self::Host(memory, _) => memory.take_space(from, to),
        }
    }
}
