//! Why a region cannot be had, or a limiter not in it.

use std::{fmt, io, path::PathBuf};

/// Why a [`Region`](super::Region) could not be opened, or does not take a limiter.
///
/// ```
/// use tollgate::{KeyedLimiter, Quota, Region};
///
/// # let path = std::env::temp_dir().join(format!("tollgate-doc-error-{}", std::process::id()));
/// let region = Region::open(&path)?;
/// let quota = Quota::n_per_minute(60)?;
/// let limiter = |keys| KeyedLimiter::gcra(quota).capacity(keys).try_build_in(&region, "logins");
/// let _made = limiter(100)?;
/// assert_eq!(
///     limiter(200).unwrap_err().to_string(),
///     "\"logins\" is in the region with another configuration: \
///      capacity is 100 keys there, 200 keys here",
/// );
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RegionError {
    /// The system refused something.
    Io {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// There is something else. It is left as it is.
    NotARegion {
        /// What tells that.
        why: &'static str,
    },
    /// A region, but one that this build cannot share: another format, layout or hash.
    Foreign {
        /// What differs.
        what: &'static str,
        /// What the region has.
        region: u64,
        /// What this build knows.
        ours: u64,
    },
    /// A region whose own records contradict each other. What its limits kept cannot be
    /// trusted; remove it, and it begins anew.
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// Somebody holds the lock for making and changing, and did not give it back
    /// within ten seconds. Decisions do not need it.
    Busy,
    /// The file is not the one any more that was opened: it was removed or replaced.
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// Memory of the host that is too small, or not aligned to 128 bytes.
    Unfit {
        /// Bytes there are.
        bytes: usize,
        /// Bytes that are needed.
        needed: usize,
    },
    /// The name of a limiter is empty, or with its configuration longer than there is
    /// room for (3.5 KB).
    Name {
        /// The name.
        name: String,
    },
    /// What is there under that name was made with another configuration.
    Differs {
        /// The limiter's name.
        name: String,
        /// In what it differs.
        differences: Vec<Difference>,
    },
    /// A snapshot that is cut short, or not what was taken.
    Snapshot {
        /// What is wrong.
        what: &'static str,
    },
}

/// One thing in which a limiter differs from what is in the region under its name.
///
/// ```
/// use tollgate::{Difference, KeyedLimiter, Quota, Region, RegionError, ShareError};
///
/// # let name = format!("tollgate-doc-difference-{}", std::process::id());
/// # let path = std::env::temp_dir().join(name);
/// let region = Region::open(&path)?;
/// let _log =
///     KeyedLimiter::sliding_log(Quota::n_per_minute(60)?).try_build_in(&region, "logins")?;
/// let gcra = KeyedLimiter::gcra(Quota::n_per_minute(60)?).try_build_in(&region, "logins");
/// if let Err(ShareError::Region(RegionError::Differs { differences, .. })) = gcra {
///     let Difference { what, region, asked } = &differences[0];
///     assert_eq!([what, region, asked], ["algorithm", "sliding-log", "gcra"]);
/// } else {
///     panic!("they do not differ: {gcra:?}");
/// }
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub what: String,
    /// How the region has it.
    pub region: String,
    /// How it was asked for.
    pub asked: String,
}

impl RegionError {
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { doing, error }
    }
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, error } => write!(f, "{doing}: {error}"),
            Self::NotARegion { why } => write!(f, "this is no region: {why}"),
            Self::Foreign { what, region, ours } => write!(
                f,
                "the region's {what} is {region:#x}, and {ours:#x} here: it was made by another \
                 version, or for another kind of machine"
            ),
            Self::Damaged { what } => write!(f, "the region is damaged: {what}"),
            Self::Busy => f.write_str(
                "another process holds the region's lock, and did not give it back in time",
            ),
            Self::Gone { path } => {
                write!(f, "{} was removed or replaced since it was opened", path.display())
            }
            Self::Unfit { bytes, needed } => {
                write!(f, "{bytes} bytes of memory do not do: {needed} are needed, aligned to 128")
            }
            Self::Name { name } => write!(f, "no name for a limiter: \"{name}\""),
            Self::Differs { name, differences } => {
                write!(f, "\"{name}\" is in the region with another configuration:")?;
                for (nth, Difference { what, region, asked }) in differences.iter().enumerate() {
                    let comma = if nth == 0 { "" } else { "," };
                    write!(f, "{comma} {what} is {region} there, {asked} here")?;
                }
                Ok(())
            }
            Self::Snapshot { what } => write!(f, "this snapshot cannot be restored: {what}"),
        }
    }
}

impl std::error::Error for RegionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
