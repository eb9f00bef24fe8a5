//! What functions return, and the text of what went wrong last.

use crate::{boundary::export, codes::*, text};
use std::{
    cell::RefCell,
    ffi::{CStr, c_char},
};

/// What is not negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub(crate) i32);

impl Code {
    pub(crate) const OK: Self = Self(TOLLGATE_OK);

    /// Whether there was something.
    pub(crate) const fn there_was(something: bool) -> Self {
        Self(if something { TOLLGATE_OK } else { TOLLGATE_GONE })
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Null,
    Size,
    Length,
    Misaligned,
    Utf8,
    Unknown,
    Id,
    Name,
    Buffer,
    Quota,
    Build,
    Room,
    Memory,
    File,
    Policy,
    Empty,
    Unsupported,
    Region,
    #[cfg_attr(not(any(debug_assertions, feature = "checked")), allow(dead_code))]
    Handle,
}

impl Fault {
    pub(crate) const fn code(self) -> i32 {
        match self {
            Self::Null => TOLLGATE_ERROR_NULL,
            Self::Size => TOLLGATE_ERROR_SIZE,
            Self::Length => TOLLGATE_ERROR_LENGTH,
            Self::Misaligned => TOLLGATE_ERROR_ALIGNMENT,
            Self::Utf8 => TOLLGATE_ERROR_UTF8,
            Self::Unknown => TOLLGATE_ERROR_UNKNOWN,
            Self::Id => TOLLGATE_ERROR_ID,
            Self::Name => TOLLGATE_ERROR_NAME,
            Self::Buffer => TOLLGATE_ERROR_BUFFER,
            Self::Quota => TOLLGATE_ERROR_QUOTA,
            Self::Build => TOLLGATE_ERROR_BUILD,
            Self::Room => TOLLGATE_ERROR_ROOM,
            Self::Memory => TOLLGATE_ERROR_MEMORY,
            Self::File => TOLLGATE_ERROR_FILE,
            Self::Policy => TOLLGATE_ERROR_POLICY,
            Self::Empty => TOLLGATE_ERROR_EMPTY,
            Self::Unsupported => TOLLGATE_ERROR_UNSUPPORTED,
            Self::Region => TOLLGATE_ERROR_REGION,
            Self::Handle => TOLLGATE_ERROR_HANDLE,
        }
    }

    /// The same, with a text for [`tollgate_last_error`].
    pub(crate) fn because(self, why: &impl std::fmt::Display) -> Self {
        // A NUL, as file names and policies may have one, would end the text in C.
        let text = why.to_string().replace('\0', "\u{fffd}");
        // A thread that ends has nobody who would ask.
        let _ = LAST.try_with(|last| *last.borrow_mut() = Last::Text { text, told: false });
        self
    }
}

/// Why the last function of a thread failed.
enum Last {
    Nothing,
    /// By a code alone.
    Code {
        function: &'static str,
        code: i32,
    },
    /// `told`: its function has returned.
    Text {
        text: String,
        told: bool,
    },
}

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last::Nothing) };
}

/// The function returns that code, which is an error: what is told of it is what it has said
/// itself, or the code's own text.
#[cold]
pub(crate) fn failed(function: &'static str, code: i32) -> i32 {
    let _ = LAST.try_with(|last| match &mut *last.borrow_mut() {
        Last::Text { told, .. } if !*told => *told = true,
        last => *last = Last::Code { function, code },
    });
    code
}

/// What a code means.
fn meaning(code: i32) -> &'static CStr {
    match code {
        TOLLGATE_OK => c"ok",
        TOLLGATE_LATER => c"denied for now",
        TOLLGATE_NEVER => c"denied for good",
        TOLLGATE_GONE => c"there was nothing, or not any more",
        TOLLGATE_ERROR_NULL => c"a pointer is NULL that must not be",
        TOLLGATE_ERROR_SIZE => c"the size of a struct is wrong; set it to its sizeof",
        TOLLGATE_ERROR_LENGTH => c"a length is too large",
        TOLLGATE_ERROR_ALIGNMENT => c"a pointer is not aligned",
        TOLLGATE_ERROR_UTF8 => c"a text is not UTF-8",
        TOLLGATE_ERROR_UNKNOWN => c"a code or a flag is unknown, or a reserved field is not 0",
        TOLLGATE_ERROR_ID => c"no such number",
        TOLLGATE_ERROR_NAME => c"no such name",
        TOLLGATE_ERROR_BUFFER => c"a buffer is too small",
        TOLLGATE_ERROR_QUOTA => c"the quota is wrong",
        TOLLGATE_ERROR_BUILD => c"no such limiter can be built",
        TOLLGATE_ERROR_ROOM => c"the limiter has no room for that",
        TOLLGATE_ERROR_MEMORY => c"out of memory",
        TOLLGATE_ERROR_FILE => c"the file could not be read",
        TOLLGATE_ERROR_POLICY => c"the policy is wrong",
        TOLLGATE_ERROR_EMPTY => c"the verdict holds no decision",
        TOLLGATE_ERROR_UNSUPPORTED => c"this limiter does not do that",
        TOLLGATE_ERROR_HANDLE => c"a handle was freed, or is of another kind",
        TOLLGATE_ERROR_PANIC => c"a fault of the library",
        TOLLGATE_ERROR_REGION => c"the region could not be had, or has something else in it",
        _ => c"unknown code",
    }
}

export! {
    /// What a code means, in English. Never NULL; a code of a later version is
    /// "unknown code".
    ///
    /// The text is static. Threads: any.
    fn tollgate_status_text(code: i32) -> *const c_char {
        meaning(code).as_ptr()
    }
}

export! {
    /// Why the last function of this thread that returned an error did so: a text for
    /// people, of a policy one block for each mistake with line and column. Empty if nothing
    /// failed yet; a success does not empty it, and neither does this function's own error.
    ///
    /// Written to `buffer` (see "Buffers").
    ///
    /// Threads: any, each has its own.
    fn tollgate_last_error(buffer: *mut c_char, size: usize, needed: *mut usize) -> i32 {
        let written = LAST.with(|last| match &*last.borrow() {
            Last::Nothing => text::render(buffer, size, &needed, b""),
            Last::Text { text, .. } => text::render(buffer, size, &needed, text.as_bytes()),
            Last::Code { function, code } => {
                let text = format!("{function}: {}", meaning(*code).to_string_lossy());
                text::render(buffer, size, &needed, text.as_bytes())
            }
        });
        // The text stays for a larger buffer.
        Ok(written.unwrap_or_else(|fault| Code(fault.code())))
    }
}
