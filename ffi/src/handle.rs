//! Handles: what C holds by a pointer and knows nothing of.
//!
//! A build with debug assertions, or with the feature `checked`, keeps a list of those
//! that live. One that was freed, or is of another kind, or is no handle, is told apart
//! without a look at its memory; and the memory of a freed one is not given away again,
//! so that no new handle is taken for it. Other builds look for NULL alone.

use crate::status::Fault;

/// Something that C holds a pointer to.
pub(crate) trait Handle: Sized {
    /// As the header calls it: for those who keep a list.
    #[cfg_attr(not(any(debug_assertions, feature = "checked")), allow(dead_code))]
    const NAME: &'static str;
}

#[cfg(not(any(debug_assertions, feature = "checked")))]
mod list {
    use super::{Fault, Handle};

    pub(crate) fn begin<T: Handle>(_: *const T) {}

    #[inline(always)]
    pub(crate) fn check<T: Handle>(handle: *const T) -> Result<(), Fault> {
        if handle.is_null() { Err(Fault::Null) } else { Ok(()) }
    }

    pub(crate) fn end<T: Handle>(handle: *mut T) -> bool {
        !handle.is_null()
    }
}

#[cfg(any(debug_assertions, feature = "checked"))]
mod list {
    use super::{Fault, Handle};
    use parking_lot::RwLock;
    use std::collections::HashMap;

    /// By address: its kind, and whether it lives. `None` before the first.
    static LIST: RwLock<Option<HashMap<usize, (&'static str, bool)>>> = RwLock::new(None);

    pub(crate) fn begin<T: Handle>(handle: *const T) {
        LIST.write().get_or_insert_default().insert(handle.addr(), (T::NAME, true));
    }

    pub(crate) fn check<T: Handle>(handle: *const T) -> Result<(), Fault> {
        if handle.is_null() {
            return Err(Fault::Null);
        }
        let known = LIST.read().as_ref().and_then(|list| list.get(&handle.addr()).copied());
        match known {
            Some((name, true)) if name == T::NAME => return Ok(()),
            Some((name, true)) => complain::<T>(&format!("is a {name}")),
            Some((name, false)) => complain::<T>(&format!("was a {name}, and freed")),
            None => complain::<T>("is no handle"),
        }
        Err(Fault::Handle)
    }

    /// Notes that a handle is freed. It is emptied here, and its memory kept.
    pub(crate) fn end<T: Handle>(handle: *mut T) -> bool {
        if handle.is_null() || check(handle.cast_const()).is_err() {
            return false;
        }
        if let Some(entry) = LIST.write().as_mut().and_then(|list| list.get_mut(&handle.addr())) {
            entry.1 = false;
        }
        // SAFETY: the list says that it lives, so `give` made it; nobody uses it any more.
        unsafe { std::ptr::drop_in_place(handle) };
        false
    }

    fn complain<T: Handle>(what: &str) {
        eprintln!("tollgate: what was given as a {} {what}", T::NAME);
    }
}

pub(crate) use list::{begin, check, end};
