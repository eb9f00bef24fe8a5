//! Keys as Python has them, as bytes or hashes.

use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyBool, PyByteArray, PyBytes, PyInt, PyMemoryView, PyString, PyTuple},
};
use smallvec::SmallVec;

/// A key for the engine.
#[derive(Clone, Copy)]
pub(crate) enum Key<'k> {
    Bytes(&'k [u8]),
    Hash(u64),
}

/// A key to be kept.
pub(crate) enum OwnKey {
    Bytes(Box<[u8]>),
    Hash(u64),
}

impl OwnKey {
    pub(crate) fn of(key: Key<'_>) -> Self {
        match key {
            Key::Bytes(bytes) => Self::Bytes(bytes.into()),
            Key::Hash(hash) => Self::Hash(hash),
        }
    }

    pub(crate) fn get(&self) -> Key<'_> {
        match self {
            Self::Bytes(bytes) => Key::Bytes(bytes),
            Self::Hash(hash) => Key::Hash(*hash),
        }
    }
}

/// Begins keys that are put together here, and is no UTF-8: so that no str is the same key.
/// Bytes are the key as they are, for others in a region have the same; but for those that
/// begin like this, which are put together too.
const COMPOSITE: [u8; 4] = [0xFF, 0xFE, b't', b'g'];

type Buffer = SmallVec<[u8; 128]>;

/// Runs with the key's bytes, or its hash.
#[inline(always)]
pub(crate) fn with_key<T>(given: &Bound<'_, PyAny>, ask: impl FnOnce(Key<'_>) -> T) -> PyResult<T> {
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(ask(Key::Bytes(text.to_str()?.as_bytes())));
    }
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(ask_bytes(bytes.as_bytes(), ask));
    }
    with_other(given, ask)
}

#[inline(always)]
fn ask_bytes<T>(bytes: &[u8], ask: impl FnOnce(Key<'_>) -> T) -> T {
    if bytes.starts_with(&COMPOSITE) {
        return ask_escaped(bytes, ask);
    }
    ask(Key::Bytes(bytes))
}

#[cold]
fn ask_escaped<T>(bytes: &[u8], ask: impl FnOnce(Key<'_>) -> T) -> T {
    let mut buffer = begun(b'b');
    buffer.extend_from_slice(bytes);
    ask(Key::Bytes(&buffer))
}

/// The beginning of a key of that kind.
fn begun(kind: u8) -> Buffer {
    let mut buffer = Buffer::from_slice(&COMPOSITE);
    buffer.push(kind);
    buffer
}

#[cold]
fn with_other<T>(given: &Bound<'_, PyAny>, ask: impl FnOnce(Key<'_>) -> T) -> PyResult<T> {
    let mut buffer;
    if given.is_instance_of::<PyInt>() && !given.is_instance_of::<PyBool>() {
        // Beyond what a hash holds, the digits are the key.
        if let Ok(number) = given.extract::<u64>() {
            return Ok(ask(Key::Hash(number)));
        }
        buffer = begun(b'i');
        buffer.extend_from_slice(int_bytes(given)?.as_bytes());
    } else if let Ok(parts) = given.cast::<PyTuple>() {
        buffer = begun(b't');
        for each in parts.iter() {
            part(&each, &mut buffer)?;
        }
    } else if given.is_instance_of::<PyByteArray>() || given.is_instance_of::<PyMemoryView>() {
        let copy = given.py().get_type::<PyBytes>().call1((given,))?.cast_into::<PyBytes>()?;
        return Ok(ask_bytes(copy.as_bytes(), ask));
    } else {
        return Err(no_key(given)?);
    }
    Ok(ask(Key::Bytes(&buffer)))
}

/// Appends a part of a composite key: its kind, its length, itself; so that no two lists of
/// parts are the same bytes.
fn part(given: &Bound<'_, PyAny>, buffer: &mut Buffer) -> PyResult<()> {
    let mut put = |kind: u8, bytes: &[u8]| {
        buffer.push(kind);
        buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        buffer.extend_from_slice(bytes);
    };
    if let Ok(text) = given.cast::<PyString>() {
        put(b's', text.to_str()?.as_bytes());
    } else if let Ok(bytes) = given.cast::<PyBytes>() {
        put(b'b', bytes.as_bytes());
    } else if given.is_none() {
        put(b'n', &[]);
    } else if given.is_instance_of::<PyInt>() && !given.is_instance_of::<PyBool>() {
        put(b'i', int_bytes(given)?.as_bytes());
    } else if let Ok(inner) = given.cast::<PyTuple>() {
        // So many follow.
        put(b't', &(inner.len() as u64).to_le_bytes());
        for each in inner.iter() {
            part(&each, buffer)?;
        }
    } else {
        return Err(no_key(given)?);
    }
    Ok(())
}

/// An int in bytes of its own, however large: never its decimals, which Python refuses from
/// some thousand on.
fn int_bytes<'py>(given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let bits: usize = given.call_method0("bit_length")?.extract()?;
    let named = pyo3::types::IntoPyDict::into_py_dict([("signed", true)], given.py())?;
    let int = given.py().get_type::<PyInt>();
    let bytes = int.call_method("to_bytes", (given, bits / 8 + 1, "little"), Some(&named))?;
    Ok(bytes.cast_into::<PyBytes>()?)
}

fn no_key(given: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let kind = given.get_type();
    Ok(PyTypeError::new_err(format!(
        "a key is a str, bytes, an int, or a tuple of these, not {}; str(key) would do",
        kind.name()?
    )))
}
