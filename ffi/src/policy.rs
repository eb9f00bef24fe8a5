//! Policies: how they are made, replaced, and asked about themselves.

use crate::{
    boundary::{In, export},
    decision::tollgate_bytes,
    handle::Handle,
    leases::tollgate_lease,
    limiter::{TOLLGATE_FROM_EPOCH, Time, in_region, tollgate_gauges},
    region::{chosen, tollgate_region},
    request::{TOLLGATE_NO_ID, tollgate_moment, tollgate_request},
    sized::sized,
    status::{Code, Fault},
    text,
};
use std::{
    ffi::{c_char, c_void},
    fs::File,
    io::Read,
    path::Path,
};
use tollgate::policy::{Algorithm, LivePolicy, OverrideError, Policy, PolicyError, PolicyFile};

/// Limits that were read from a file or a text, with the memory in which they keep their
/// keys. It can be replaced while requests are decided.
///
/// Threads: any number may use one at the same time. Only tollgate_policy_free must come
/// after all others; verdicts may outlive it.
pub struct tollgate_policy(pub(crate) LivePolicy, pub(crate) Time);

impl Handle for tollgate_policy {
    const NAME: &'static str = "tollgate_policy";
}

/// How a policy is made. All zeros but for `size` are the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tollgate_policy_options {
    /// sizeof(tollgate_policy_options)
    pub size: usize,
    /// TOLLGATE_FROM_EPOCH, or 0.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// With TOLLGATE_FROM_EPOCH: an instant of the caller's clocks from which on instants
    /// are told apart for 18 years; then all moments are to be given.
    pub epoch: tollgate_moment,
    /// Where its limits are to be, for all processes that make the policy there; or NULL.
    /// Then it has the region's clock, and TOLLGATE_FROM_EPOCH is an error. Policies that
    /// differ in a quota can share a limit if its `largest` is the same; each decides by its
    /// own quota.
    pub region: *const tollgate_region,
}

sized!(tollgate_policy_options from epoch);

impl tollgate_policy_options {
    pub(crate) const NOTHING: Self = Self {
        size: 0,
        flags: 0,
        reserved: 0,
        epoch: tollgate_moment::ZERO,
        region: std::ptr::null(),
    };
}

fn wrong(error: &PolicyError) -> Fault {
    Fault::Policy.because(error)
}

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// Reads a file, whose name is bytes of the system.
fn read(name: &[u8]) -> Result<PolicyFile, Fault> {
    let shown = String::from_utf8_lossy(name);
    let unread = |why: &dyn std::fmt::Display| Fault::File.because(&format!("{shown}: {why}"));
    let file = File::open(path(name)?).map_err(|error| unread(&error))?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unread(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unread(&"it is larger than any policy"));
    }
    PolicyFile::parse(&shown, &bytes).map_err(|error| wrong(&error))
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // elsewhere, names are texts
pub(crate) fn path(name: &[u8]) -> Result<&Path, Fault> {
    Ok(Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name)))
}

#[cfg(not(unix))]
pub(crate) fn path(name: &[u8]) -> Result<&Path, Fault> {
    std::str::from_utf8(name).map(Path::new).map_err(|_| Fault::Utf8)
}

fn parse(text: &[u8]) -> Result<PolicyFile, Fault> {
    PolicyFile::parse("policy", text).map_err(|error| wrong(&error))
}

fn make(
    file: &PolicyFile,
    options: In<'_, tollgate_policy_options>,
) -> Result<tollgate_policy, Fault> {
    let options =
        if options.is_null() { tollgate_policy_options::NOTHING } else { options.known()? };
    let region = chosen(options.region, &tollgate_bytes::NONE)?;
    let policy = match (options.flags, options.reserved, region) {
        (0, 0, None) => Policy::from_file(file),
        (0, 0, Some((region, _))) => Policy::from_file_in(file, region),
        (TOLLGATE_FROM_EPOCH, 0, None) => Policy::from_file_at(file, options.epoch.get()),
        (TOLLGATE_FROM_EPOCH, 0, Some(_)) => return Err(in_region()),
        _ => return Err(Fault::Unknown),
    };
    let policy = LivePolicy::new(policy.map_err(|error| wrong(&error))?);
    Ok(tollgate_policy(policy, Time::of(options.flags)))
}

export! {
    /// Makes a policy of a text, which is TOML, and puts it into `policy`, which is NULL
    /// after an error. `options` may be NULL. It is the caller's, for tollgate_policy_free.
    ///
    /// Errors: TOLLGATE_ERROR_POLICY, and tollgate_last_error has every mistake with line
    /// and column; TOLLGATE_ERROR_UNSUPPORTED. Threads: any.
    fn tollgate_policy_from_text(
        text: *const c_char,
        length: usize,
        options: *const tollgate_policy_options,
        policy: *mut *mut tollgate_policy,
    ) -> i32 {
        policy.clear()?;
        policy.give(make(&parse(text.bytes(length)?)?, options)?)
    }
}

export! {
    /// As tollgate_policy_from_text, of the file of that name, which is read to its end.
    ///
    /// Errors: also TOLLGATE_ERROR_FILE.
    fn tollgate_policy_from_file(
        name: *const c_char,
        length: usize,
        options: *const tollgate_policy_options,
        policy: *mut *mut tollgate_policy,
    ) -> i32 {
        policy.clear()?;
        policy.give(make(&read(name.bytes(length)?)?, options)?)
    }
}

export! {
    /// Ends a policy; NULL is passed over. Nobody may use it during this call or after it.
    fn tollgate_policy_free(policy: *mut tollgate_policy) {
        policy.free();
    }
}

export! {
    /// Replaces a policy by one of another text, from the next check on. Limits and
    /// penalties that are called the same keep their keys; the numbers of attributes and
    /// dimensions stay. After an error, the present policy stays.
    ///
    /// Errors: as tollgate_policy_from_text. Threads: any, at any time.
    fn tollgate_policy_reload_text(
        policy: *const tollgate_policy,
        text: *const c_char,
        length: usize,
    ) -> i32 {
        let policy = policy.get()?;
        policy.0.replace(&parse(text.bytes(length)?)?).map_err(|error| wrong(&error))?;
        Ok(Code::OK)
    }
}

export! {
    /// As tollgate_policy_reload_text, of the file of that name.
    fn tollgate_policy_reload_file(
        policy: *const tollgate_policy,
        name: *const c_char,
        length: usize,
    ) -> i32 {
        let policy = policy.get()?;
        policy.0.replace(&read(name.bytes(length)?)?).map_err(|error| wrong(&error))?;
        Ok(Code::OK)
    }
}

export! {
    /// The number of an attribute's name, for requests: to be looked up once, for it stays
    /// the same when the policy is replaced.
    ///
    /// Errors: TOLLGATE_ERROR_NAME if the policy names no such attribute; then `id` is
    /// TOLLGATE_NO_ID, which requests pass over. After a reload, look those up again: the new
    /// policy may name them. Threads: any.
    fn tollgate_policy_attribute(
        policy: *const tollgate_policy,
        name: *const c_char,
        length: usize,
        id: *mut u32,
    ) -> i32 {
        id.put(TOLLGATE_NO_ID)?;
        let policy = policy.get()?.0.load();
        let known = policy.attribute_id(name.text(length)?).ok_or(Fault::Name)?;
        id.put(known.number().into())?;
        Ok(Code::OK)
    }
}

export! {
    /// The number of a cost dimension's name, as tollgate_policy_attribute.
    fn tollgate_policy_dimension(
        policy: *const tollgate_policy,
        name: *const c_char,
        length: usize,
        id: *mut u32,
    ) -> i32 {
        id.put(TOLLGATE_NO_ID)?;
        let policy = policy.get()?.0.load();
        let known = policy.dimension_id(name.text(length)?).ok_or(Fault::Name)?;
        id.put(known.number().into())?;
        Ok(Code::OK)
    }
}

export! {
    /// How many limits the policy has now. 0 if `policy` is NULL. Threads: any.
    fn tollgate_policy_limit_count(policy: *const tollgate_policy) -> usize {
        policy.get().map_or(0, |policy| policy.0.load().limits().len())
    }
}

export! {
    /// The name of the limit at `index`, in the order of the file. Written to `buffer` (see
    /// "Buffers").
    ///
    /// Errors: TOLLGATE_ERROR_ID if there are fewer. Threads: any.
    fn tollgate_policy_limit_name(
        policy: *const tollgate_policy,
        index: usize,
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> i32 {
        let policy = policy.get()?.0.load();
        let name = policy.limits().nth(index).ok_or(Fault::Id)?;
        text::render(buffer, size, &needed, name.as_bytes())
    }
}

export! {
    /// Now, by the policy's clocks.
    ///
    /// Errors: TOLLGATE_ERROR_UNSUPPORTED if it was made with TOLLGATE_FROM_EPOCH. Threads: any.
    fn tollgate_policy_now(policy: *const tollgate_policy, moment: *mut tollgate_moment) -> i32 {
        let policy = policy.get()?;
        policy.1.may_be_read()?;
        moment.put(tollgate_moment::new(policy.0.load().now()))?;
        Ok(Code::OK)
    }
}

export! {
    /// Gives a value of the attribute that a limit's `overrides` go by a quota of its own,
    /// as the file would write it; or, if `quota` is NULL, takes it away. It holds from the
    /// next check on.
    ///
    /// Errors: TOLLGATE_ERROR_NAME if there is no such limit with overrides;
    /// TOLLGATE_ERROR_QUOTA if the text is none, TOLLGATE_ERROR_ROOM if the limit has no room
    /// for it. Threads: any, at any time.
    fn tollgate_policy_set_override(
        policy: *const tollgate_policy,
        limit: *const c_char,
        limit_length: usize,
        value: *const c_void,
        value_length: usize,
        quota: *const c_char,
        quota_length: usize,
    ) -> i32 {
        let policy = policy.get()?.0.load();
        let limit = limit.text(limit_length)?;
        let value = value.bytes(value_length)?;
        let quota = if quota.is_null() { None } else { Some(quota.text(quota_length)?) };
        policy.set_override(limit, value, quota).map_err(|error| {
            let fault = match error {
                OverrideError::NoOverrides { .. } => Fault::Name,
                OverrideError::Room { .. } => Fault::Room,
                _ => Fault::Quota,
            };
            fault.because(&error)
        })?;
        Ok(Code::OK)
    }
}

export! {
    /// Lifts the block of that penalty from the key of `request`, and starts its ladder
    /// over. `moment` may be NULL: now. TOLLGATE_GONE if there was none. Threads: any.
    fn tollgate_policy_unblock(
        policy: *const tollgate_policy,
        penalty: *const c_char,
        length: usize,
        request: *const tollgate_request,
        moment: *const tollgate_moment,
    ) -> i32 {
        let (time, policy) = (policy.get()?.1, policy.get()?.0.load());
        let penalty = penalty.text(length)?;
        let given = request.known()?;
        let request = given.get(&policy)?;
        let lifted = match moment.given_to(time)? {
            None => policy.unblock(penalty, &request),
            Some(moment) => policy.unblock_at(penalty, &request, moment),
        };
        Ok(Code::there_was(lifted))
    }
}

export! {
    /// Ends a lease that a limit of the policy gave (tollgate_entry), for whoever ends it
    /// elsewhere than where its verdict is. `moment` may be NULL: now. TOLLGATE_GONE if
    /// it was over already, which does no harm.
    ///
    /// Errors: TOLLGATE_ERROR_NAME if there is no such limit of leases. Threads: any.
    fn tollgate_policy_release(
        policy: *const tollgate_policy,
        limit: *const c_char,
        length: usize,
        lease: *const tollgate_lease,
        moment: *const tollgate_moment,
    ) -> i32 {
        let (time, policy) = (policy.get()?.1, policy.get()?.0.load());
        let limit = limit.text(length)?;
        let lease = lease.copied()?.get();
        let moment = moment.given_to(time)?;
        policy.algorithm(limit).filter(|it| *it == Algorithm::Leases).ok_or(Fault::Name)?;
        Ok(Code::there_was(match moment {
            None => policy.release(limit, lease),
            Some(moment) => policy.release_at(limit, lease, moment),
        }))
    }
}

export! {
    /// Which limits apply to a request and why the others do not, as a text for people.
    /// Nothing is charged. Written to `buffer` (see "Buffers"). Allocates. Threads: any.
    fn tollgate_policy_explain(
        policy: *const tollgate_policy,
        request: *const tollgate_request,
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> i32 {
        let policy = policy.get()?.0.load();
        let given = request.known()?;
        let request = given.get(&policy)?;
        let explained = policy.explain(&request).to_string();
        text::render(buffer, size, &needed, explained.as_bytes())
    }
}

export! {
    /// How full the table of the limit at `index` is, in the order of the file. `moment` may be
    /// NULL: now. Takes microseconds: not for every request.
    ///
    /// Errors: TOLLGATE_ERROR_ID if there are fewer; TOLLGATE_ERROR_UNSUPPORTED if the limit
    /// keeps nothing: sizes, and quotas that are all unlimited. Threads: any.
    fn tollgate_policy_limit_gauges(
        policy: *const tollgate_policy,
        index: usize,
        moment: *const tollgate_moment,
        gauges: *mut tollgate_gauges,
    ) -> i32 {
        let (time, policy) = (policy.get()?.1, policy.get()?.0.load());
        let room = gauges.room()?;
        let moment = moment.given_to(time)?.unwrap_or_else(|| policy.now());
        let limit = policy.limits().nth(index).ok_or(Fault::Id)?;
        let known = policy.gauges_at(limit, moment).ok_or(Fault::Unsupported)?;
        let capacity = usize::try_from(known.capacity()).unwrap_or(usize::MAX);
        gauges.fill(room, tollgate_gauges::new(&known.table(), capacity, known.memory()));
        Ok(Code::OK)
    }
}
