//! The boundary: the one macro that exports, and what it makes of C's arguments.
//!
//! A raw pointer is opened here and nowhere else. [`export!`] turns each argument of an
//! exported function into a view ([`In`], [`Out`]) that lives as long as the call; what
//! views hand out is checked for NULL and alignment, and borrowed for that long. That the
//! pointers are what the header says of them is the caller's promise: it cannot be
//! checked, and everything in this file that is unsafe rests on it.

use crate::{
    codes,
    handle::{self, Handle},
    sized::Sized_,
    status::{self, Code, Fault},
};
use std::{
    ffi::{c_char, c_void},
    marker::PhantomData,
    mem::{align_of, size_of},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
    slice,
};
use tollgate::{Region, RegionError};

/// Exports a function to C: the only way to do so. No panic leaves it.
macro_rules! export {
    ($(#[$attribute:meta])*
     fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $return:ty)? $body:block) => {
        $(#[$attribute])*
        ///
        /// # Safety
        ///
        /// Pointers are what the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $return)? {
            $crate::boundary::guard(
                stringify!($name),
                #[inline(always)]
                move |call| {
                    let _ = call;
                    $(
                        let $argument =
                            // SAFETY: the caller keeps the header's promises about pointers.
                            unsafe { $crate::boundary::FromC::view($argument, call) };
                    )*
                    $body
                },
            )
        }
    };
}
pub(crate) use export;

/// One call from C: what it lends, it lends for so long.
pub(crate) struct Call(());

/// What an exported function returns.
pub(crate) trait Returned: Sized {
    /// What its body returns.
    type Body;
    fn returned(name: &'static str, body: Self::Body) -> Self;
    /// After a panic, which was reported by its hook.
    fn panicked(name: &'static str) -> Self;
}

/// Codes: what is not negative, or what is wrong.
impl Returned for i32 {
    type Body = Result<Code, Fault>;

    #[inline(always)]
    fn returned(name: &'static str, body: Self::Body) -> Self {
        match body {
            Ok(Code(code)) => code,
            Err(fault) => status::failed(name, fault.code()),
        }
    }

    fn panicked(name: &'static str) -> Self {
        status::failed(name, codes::TOLLGATE_ERROR_PANIC)
    }
}

macro_rules! returned_as_it_is {
    ($($type:ty => $panicked:expr),*) => {$(
        impl Returned for $type {
            type Body = Self;

            #[inline(always)]
            fn returned(_: &'static str, body: Self) -> Self {
                body
            }

            fn panicked(_: &'static str) -> Self {
                $panicked
            }
        }
    )*};
}
returned_as_it_is!(() => (), u32 => 0, u64 => 0, usize => 0, *const c_char => c"".as_ptr());

/// Runs the body of an exported function; a panic ends here.
#[inline(always)]
pub(crate) fn guard<R: Returned>(name: &'static str, body: impl FnOnce(&Call) -> R::Body) -> R {
    // Whatever a panic left half done is behind the library's own locks and atomics, or
    // in a handle of one thread, which is whole or empty.
    catch_unwind(AssertUnwindSafe(
        #[inline(always)]
        || R::returned(name, body(&Call(()))),
    ))
    .unwrap_or_else(|_| R::panicked(name))
}

/// What a body sees of an argument.
pub(crate) trait FromC {
    type View<'c>;

    /// # Safety
    ///
    /// A pointer is null, or points to what the header says, for as long as the call.
    unsafe fn view(self, call: &Call) -> Self::View<'_>;
}

macro_rules! seen_as_it_is {
    ($($type:ty),*) => {$(
        impl FromC for $type {
            type View<'c> = Self;

            #[inline(always)]
            unsafe fn view(self, _: &Call) -> Self {
                self
            }
        }
    )*};
}
seen_as_it_is!(i32, u32, u64, usize);

impl<T> FromC for *const T {
    type View<'c> = In<'c, T>;

    #[inline(always)]
    unsafe fn view(self, _: &Call) -> In<'_, T> {
        In { pointer: self, call: PhantomData }
    }
}

impl<T> FromC for *mut T {
    type View<'c> = Out<'c, T>;

    #[inline(always)]
    unsafe fn view(self, _: &Call) -> Out<'_, T> {
        Out { pointer: self, call: PhantomData }
    }
}

/// A pointer to what is only read. Made from an argument, or from a field of something
/// that an argument pointed to.
pub(crate) struct In<'c, T> {
    pointer: *const T,
    call: PhantomData<&'c Call>,
}

impl<T> Clone for In<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for In<'_, T> {}

/// A pointer to what is written, or to a handle of one thread.
pub(crate) struct Out<'c, T> {
    pointer: *mut T,
    call: PhantomData<&'c Call>,
}

/// Neither NULL nor where no such thing can be.
#[inline(always)]
fn placed<T>(pointer: *const T) -> Result<(), Fault> {
    if pointer.is_null() {
        Err(Fault::Null)
    } else if pointer.is_aligned() {
        Ok(())
    } else {
        Err(Fault::Misaligned)
    }
}

/// A length of bytes or entries that Rust can have.
#[inline(always)]
fn fits<T>(count: usize) -> Result<(), Fault> {
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(Fault::Length),
    }
}

impl<'c, T> In<'c, T> {
    pub(crate) fn is_null(self) -> bool {
        self.pointer.is_null()
    }

    /// A pointer that stood in a struct which the call lent.
    #[inline(always)]
    pub(crate) fn of_field(pointer: *const T, _: &'c impl Plain) -> Self {
        Self { pointer, call: PhantomData }
    }

    /// A copy of what is there, whose layout never changes.
    #[inline(always)]
    pub(crate) fn copied(self) -> Result<T, Fault>
    where
        T: Plain,
    {
        placed(self.pointer)?;
        // SAFETY: it is placed, and by the caller's promise a `T`, which is plain.
        Ok(unsafe { self.pointer.read() })
    }

    /// So many of them; NULL is none, if there are none.
    #[inline(always)]
    pub(crate) fn slice(self, count: usize) -> Result<&'c [T], Fault>
    where
        T: Plain,
    {
        if count == 0 {
            return Ok(&[]);
        }
        placed(self.pointer)?;
        fits::<T>(count)?;
        // SAFETY: placed, within what a slice can have, and by the caller's promise so
        // many plain values that nobody writes during the call.
        Ok(unsafe { slice::from_raw_parts(self.pointer, count) })
    }

    /// A struct that begins with its size: what the caller knows of it, and zeros for the
    /// rest. What the caller knows beyond us must be zero.
    #[inline(always)]
    pub(crate) fn known(self) -> Result<T, Fault>
    where
        T: Sized_,
    {
        placed(self.pointer)?;
        // SAFETY: placed, and by the caller's promise it begins with its size.
        let size = unsafe { self.pointer.cast::<usize>().read() };
        if size == size_of::<T>() {
            // SAFETY: so many bytes are there, of plain fields.
            return Ok(unsafe { self.pointer.read() });
        }
        self.known_otherwise(size)
    }

    #[cold]
    fn known_otherwise(self, size: usize) -> Result<T, Fault>
    where
        T: Sized_,
    {
        if size < T::LEAST || !size.is_multiple_of(align_of::<T>()) || size > LARGEST {
            return Err(Fault::Size);
        }
        let mut value = T::NOTHING;
        let common = size.min(size_of::<T>());
        // SAFETY: `common` bytes are there in both, and `T` is plain; a local overlaps with
        // nothing of the caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.pointer.cast::<u8>(),
                (&raw mut value).cast::<u8>(),
                common,
            );
        }
        // SAFETY: by the caller's promise, `size` bytes are there; `common` are of them.
        let rest = unsafe { self.pointer.cast::<u8>().add(common) };
        // SAFETY: as above: the bytes after the common ones.
        let beyond = unsafe { slice::from_raw_parts(rest, size - common) };
        if beyond.iter().any(|&byte| byte != 0) {
            return Err(Fault::Unknown);
        }
        Ok(value)
    }
}

/// No struct of ours will ever be as large; a size that is was never set.
const LARGEST: usize = 4096;

/// Types of plain fields: every pattern of bits is a value.
///
/// # Safety
///
/// That is so.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: integers, and pointers that are only opened as views.
unsafe impl Plain for u64 {}

impl<'c> In<'c, c_void> {
    /// So many bytes; NULL is none, if there are none.
    #[inline(always)]
    pub(crate) fn bytes(self, length: usize) -> Result<&'c [u8], Fault> {
        if self.pointer.is_null() {
            return if length == 0 { Ok(&[]) } else { Err(Fault::Null) };
        }
        let pointer = self.pointer.cast::<u8>();
        if length > isize::MAX.unsigned_abs() {
            return if length == codes::TOLLGATE_TERMINATED {
                // SAFETY: the caller says that a NUL ends it.
                Ok(unsafe { std::ffi::CStr::from_ptr(pointer.cast()) }.to_bytes())
            } else {
                Err(Fault::Length)
            };
        }
        // SAFETY: not null, of a length that a slice can have, and by the caller's promise so
        // many bytes that nobody writes during the call.
        Ok(unsafe { slice::from_raw_parts(pointer, length) })
    }

    /// The bytes as a text.
    #[inline(always)]
    pub(crate) fn text(self, length: usize) -> Result<&'c str, Fault> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Fault::Utf8)
    }
}

impl<'c> In<'c, c_char> {
    /// The text there, of so many bytes.
    pub(crate) fn text(self, length: usize) -> Result<&'c str, Fault> {
        In::<c_void> { pointer: self.pointer.cast(), call: PhantomData }.text(length)
    }

    /// The bytes there.
    pub(crate) fn bytes(self, length: usize) -> Result<&'c [u8], Fault> {
        In::<c_void> { pointer: self.pointer.cast(), call: PhantomData }.bytes(length)
    }
}

impl<'c, T: Handle> In<'c, T> {
    /// The handle.
    #[inline(always)]
    pub(crate) fn get(self) -> Result<&'c T, Fault> {
        handle::check::<T>(self.pointer)?;
        // SAFETY: not null, and by the caller's promise a live handle of this kind, which
        // threads may share.
        Ok(unsafe { &*self.pointer })
    }
}

impl<'c, T: Handle> Out<'c, T> {
    /// The handle, which this thread alone uses.
    #[inline(always)]
    pub(crate) fn get(self) -> Result<&'c mut T, Fault> {
        handle::check::<T>(self.pointer)?;
        // SAFETY: not null, and by the caller's promise a live handle of this kind, which
        // nobody else uses during the call.
        Ok(unsafe { &mut *self.pointer })
    }

    /// Ends the handle, if there is one.
    pub(crate) fn free(self) {
        if handle::end::<T>(self.pointer) {
            // SAFETY: by the caller's promise it was made by `give`, and is used no more.
            drop(unsafe { Box::from_raw(self.pointer) });
        }
    }
}

impl<T: Handle> Out<'_, *mut T> {
    /// Whether a handle can be put there; NULL is put there for the time being.
    pub(crate) fn clear(&self) -> Result<(), Fault> {
        placed(self.pointer)?;
        // SAFETY: placed, and by the caller's promise room for a pointer.
        unsafe { self.pointer.write(std::ptr::null_mut()) };
        Ok(())
    }

    /// Puts a new handle there.
    pub(crate) fn give(self, value: T) -> Result<Code, Fault> {
        placed(self.pointer)?;
        let handle = Box::into_raw(Box::new(value));
        handle::begin::<T>(handle);
        // SAFETY: placed, and by the caller's promise room for a pointer.
        unsafe { self.pointer.write(handle) };
        Ok(Code::OK)
    }
}

impl<'c, T> Out<'c, T> {
    pub(crate) fn is_null(&self) -> bool {
        self.pointer.is_null()
    }

    /// Whether something can be put there.
    #[inline(always)]
    pub(crate) fn placed(&self) -> Result<(), Fault> {
        placed(self.pointer.cast_const())
    }

    /// What is there now.
    #[inline(always)]
    pub(crate) fn copied(&self) -> Result<T, Fault>
    where
        T: Plain,
    {
        In::<'c, T> { pointer: self.pointer, call: PhantomData }.copied()
    }

    /// Puts a value there whose layout never changes.
    #[inline(always)]
    pub(crate) fn put(&self, value: T) -> Result<(), Fault>
    where
        T: Plain,
    {
        placed(self.pointer)?;
        // SAFETY: placed, and by the caller's promise room for a `T`.
        unsafe { self.pointer.write(value) };
        Ok(())
    }

    /// How much of a struct that begins with its size the caller has room for. To be asked
    /// before anything is decided.
    #[inline(always)]
    pub(crate) fn room(&self) -> Result<Room, Fault>
    where
        T: Sized_,
    {
        placed(self.pointer)?;
        // SAFETY: placed, and by the caller's promise it begins with its size.
        let size = unsafe { self.pointer.cast::<usize>().read() };
        Room::of::<T>(size)
    }

    /// Fills what the caller has room for, but for the size.
    #[inline(always)]
    pub(crate) fn fill(&self, room: Room, value: T)
    where
        T: Sized_,
    {
        let Room(size) = room;
        let value = value.with_size(size);
        if size == size_of::<T>() {
            // SAFETY: `room` found it placed and so large.
            unsafe { self.pointer.write(value) };
        } else {
            self.fill_otherwise(size, &value);
        }
    }

    #[cold]
    fn fill_otherwise(&self, size: usize, value: &T)
    where
        T: Sized_,
    {
        let common = size.min(size_of::<T>());
        // SAFETY: `common` bytes are there in both, and a local overlaps with nothing of the
        // caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(
                (&raw const *value).cast::<u8>(),
                self.pointer.cast::<u8>(),
                common,
            );
        }
    }

    /// The nth of an array of structs that begin with their size, each `room` bytes large.
    #[inline(always)]
    pub(crate) fn nth(&self, room: Room, nth: usize) -> Self
    where
        T: Sized_,
    {
        let pointer = self.pointer.wrapping_byte_add(room.0.wrapping_mul(nth));
        Self { pointer, call: PhantomData }
    }

    /// Where it points to, to be told and not to be opened.
    pub(crate) fn address(&self) -> *const T {
        self.pointer
    }

    /// Room for so many, to be written one by one; NULL is none, if there are none.
    pub(crate) fn array(self, count: usize) -> Result<Array<'c, T>, Fault>
    where
        T: Plain,
    {
        if count > 0 {
            placed(self.pointer)?;
            fits::<T>(count)?;
        }
        Ok(Array { start: self.pointer, count, call: PhantomData })
    }
}

/// How many bytes of a struct a caller has room for.
#[derive(Clone, Copy)]
pub(crate) struct Room(usize);

impl Room {
    #[inline(always)]
    pub(crate) fn of<T: Sized_>(size: usize) -> Result<Self, Fault> {
        if size == size_of::<T>()
            || (T::LEAST..=LARGEST).contains(&size) && size.is_multiple_of(align_of::<T>())
        {
            Ok(Self(size))
        } else {
            Err(Fault::Size)
        }
    }
}

/// A caller's array that is written.
pub(crate) struct Array<'c, T> {
    start: *mut T,
    count: usize,
    call: PhantomData<&'c Call>,
}

impl<T: Plain> Array<'_, T> {
    /// Writes the nth, if there is room for it.
    #[inline(always)]
    pub(crate) fn set(&self, nth: usize, value: T) {
        if nth < self.count {
            // SAFETY: `array` found it placed, and by the caller's promise there are `count`.
            let place = unsafe { self.start.add(nth) };
            // SAFETY: as above.
            unsafe { place.write(value) };
        }
    }
}

impl Out<'_, c_void> {
    /// The region in so many bytes there.
    pub(crate) fn region(self, bytes: usize) -> Result<Result<Region, RegionError>, Fault> {
        let memory = NonNull::new(self.pointer.cast::<u8>()).ok_or(Fault::Null)?;
        fits::<u8>(bytes)?;
        // SAFETY: by the caller's promise, so many bytes are there for as long as anything
        // that is made in the region, and nobody else uses them.
        Ok(unsafe { Region::in_memory(memory, bytes) })
    }
}

// SAFETY: any byte is a char of C.
unsafe impl Plain for c_char {}
// SAFETY: an integer.
unsafe impl Plain for u8 {}
// SAFETY: an integer.
unsafe impl Plain for i32 {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: an integer.
unsafe impl Plain for usize {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_panic_leaves() {
        assert_eq!(guard::<i32>("test", |_| panic!("planted")), codes::TOLLGATE_ERROR_PANIC);
        assert_eq!(guard::<u64>("test", |_| panic!("planted")), 0);
        guard::<()>("test", |_| panic!("planted"));
        assert_eq!(guard::<i32>("test", |_| Ok(Code(2))), 2);
        assert_eq!(guard::<i32>("test", |_| Err(Fault::Null)), codes::TOLLGATE_ERROR_NULL);
    }

    #[test]
    fn rooms_are_sizes_that_there_were() {
        use crate::decision::tollgate_decision;
        let whole = size_of::<tollgate_decision>();
        let least = tollgate_decision::LEAST;
        for (size, served) in [
            (0, false),
            (least - 8, false),
            (least, true),
            (least + 4, false),
            (whole - 1, false),
            (whole, true),
            (whole + 8, true),
            (LARGEST, true),
            (LARGEST + 8, false),
            (usize::MAX, false),
        ] {
            assert_eq!(Room::of::<tollgate_decision>(size).is_ok(), served, "{size}");
        }
    }
}
