//! Structs that begin with their size, and may grow.

use crate::boundary::Plain;

/// A struct whose first field is its size in bytes, as the caller knows it. Fields are added
/// at its end, and never taken away.
///
/// # Safety
///
/// It is `repr(C)`, of plain fields, and the first is a `usize`.
pub(crate) unsafe trait Sized_: Plain {
    /// The least size that is served: that of the first version, or less.
    const LEAST: usize;
    /// All zeros.
    const NOTHING: Self;

    /// The same with that size.
    #[must_use]
    fn with_size(self, size: usize) -> Self;
}

/// Says so of structs that are `repr(C)`, have a `size`, and a constant `NOTHING`.
macro_rules! sized {
    ($($type:ident from $field:ident),* $(,)?) => {$(
        // SAFETY: `repr(C)`, of integers and pointers that are only opened as views.
        unsafe impl $crate::boundary::Plain for $type {}

        // SAFETY: as above, and `size` is its first field (tests/layout.rs).
        unsafe impl $crate::sized::Sized_ for $type {
            const LEAST: usize = std::mem::offset_of!($type, $field);
            const NOTHING: Self = $type::NOTHING;

            #[inline(always)]
            fn with_size(self, size: usize) -> Self {
                Self { size, ..self }
            }
        }
    )*};
}
pub(crate) use sized;
