//! Texts that are rendered into a caller's buffer.

use crate::{
    boundary::Out,
    status::{Code, Fault},
};
use std::ffi::c_char;

/// Writes `text` and a NUL into the buffer, or a NUL alone where it does not fit; and tells
/// how many bytes it has, without the NUL, to who asked.
pub(crate) fn render(
    buffer: Out<'_, c_char>,
    size: usize,
    needed: &Out<'_, usize>,
    text: &[u8],
) -> Result<Code, Fault> {
    if !needed.is_null() {
        needed.put(text.len())?;
    }
    let place = buffer.array(size)?;
    if size <= text.len() {
        place.set(0, 0);
        return Err(Fault::Buffer);
    }
    for (nth, &byte) in text.iter().enumerate() {
        place.set(nth, byte.cast_signed());
    }
    place.set(text.len(), 0);
    Ok(Code::OK)
}
