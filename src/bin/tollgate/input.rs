//! Where lines come from: plain files, gzip files, standard input.

use crate::{failure::Failure, show};
use flate2::bufread::MultiGzDecoder;
use memchr::memchr;
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, BufReader, Chain, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The longest line that is read; what is longer is skipped in constant memory.
const LONGEST_LINE: usize = 64 * 1024;
const BUFFER: usize = 4 * LONGEST_LINE;
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// A log as it was named on the command line.
#[derive(Debug)]
pub(crate) struct Source {
    name: OsString,
}

impl Source {
    /// Looks whether the log can be there at all, so that a slip in the last
    /// name is told before the first log is read.
    pub(crate) fn look(name: OsString) -> Result<Self, Failure> {
        let source = Self { name };
        if !source.is_stdin() {
            let found = fs::metadata(&source.name).map_err(|e| source.failure(&e))?;
            if found.is_dir() {
                return Err(Failure::new(format!("{}: is a directory", source.shown())));
            }
        }
        Ok(source)
    }

    pub(crate) fn is_stdin(&self) -> bool {
        self.name == "-"
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The name for messages.
    pub(crate) fn shown(&self) -> String {
        show::name(self.name.as_encoded_bytes())
    }

    /// Bytes on disk, where that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        let found = fs::metadata(&self.name).ok().filter(|_| !self.is_stdin())?;
        found.is_file().then_some(found.len())
    }

    /// Opens the log. `read` counts its bytes as they are read, still compressed.
    pub(crate) fn open(&self, read: &Arc<AtomicU64>) -> Result<Lines, Failure> {
        let raw: Box<dyn Read> = if self.is_stdin() {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&self.name).map_err(|e| self.failure(&e))?)
        };
        let mut raw = Counted { inner: raw, read: Arc::clone(read) };
        let mut magic = [0; 2];
        let got = fill(&mut raw, &mut magic).map_err(|e| self.failure(&e))?;
        let is_gzip = magic[..got] == GZIP_MAGIC
            || Path::new(&self.name).extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        let whole: Chain<_, _> = Cursor::new(magic).take(got as u64).chain(raw);
        Ok(Lines::new(if is_gzip {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(LONGEST_LINE, whole)))
        } else {
            Box::new(whole)
        }))
    }

    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            // Only the decoder says these; a plain file simply ends.
            io::ErrorKind::UnexpectedEof => "truncated: the compressed data ends early".to_owned(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                format!("not valid gzip data ({error})")
            }
            _ => error.to_string(),
        };
        Failure::new(format!("{}: {why}", self.shown()))
    }
}

/// Reads until `buffer` is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// A physical line: what stands before an LF, or after the last one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RawLine<'a> {
    Text(&'a [u8]),
    TooLong,
}

/// Splits its input at LF, borrowing every line from one buffer of fixed size.
pub(crate) struct Lines {
    input: Box<dyn Read>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Lines {
    fn new(input: Box<dyn Read>) -> Self {
        Self { input, buffer: vec![0; BUFFER].into_boxed_slice(), start: 0, end: 0 }
    }

    /// The next line without its LF, or `None` at the end.
    #[inline]
    pub(crate) fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        let at = match memchr(b'\n', &self.buffer[self.start..self.end]) {
            Some(at) => at,
            None => match self.find_after_refill()? {
                Found::Lf(at) => at,
                Found::LastLine => {
                    let line = &self.buffer[self.start..self.end];
                    self.start = self.end;
                    return Ok((!line.is_empty()).then(|| bounded(line)));
                }
                Found::TooLong => return Ok(Some(RawLine::TooLong)),
            },
        };
        let line = &self.buffer[self.start..self.start + at];
        self.start += at + 1;
        Ok(Some(bounded(line)))
    }

    /// Called when no LF is left in the buffer.
    #[cold]
    fn find_after_refill(&mut self) -> io::Result<Found> {
        loop {
            let seen = self.end - self.start;
            if seen > LONGEST_LINE {
                self.skip_line()?;
                return Ok(Found::TooLong);
            }
            if self.refill()? == 0 {
                return Ok(Found::LastLine);
            }
            if let Some(at) = memchr(b'\n', &self.buffer[self.start + seen..self.end]) {
                return Ok(Found::Lf(seen + at));
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            self.start = self.end;
            if self.refill()? == 0 {
                return Ok(());
            }
            if let Some(at) = memchr(b'\n', &self.buffer[self.start..self.end]) {
                self.start += at + 1;
                return Ok(());
            }
        }
    }

    /// Moves what is left to the front and reads once; 0 at the end of the input.
    fn refill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(got) => {
                    self.end += got;
                    return Ok(got);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

enum Found {
    /// So far after `start`.
    Lf(usize),
    LastLine,
    TooLong,
}

fn bounded(line: &[u8]) -> RawLine<'_> {
    if line.len() > LONGEST_LINE { RawLine::TooLong } else { RawLine::Text(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out so many bytes at a time.
    struct Drip(Vec<u8>, usize, usize);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.2.min(buffer.len()).min(self.0.len() - self.1);
            buffer[..n].copy_from_slice(&self.0[self.1..self.1 + n]);
            self.1 += n;
            Ok(n)
        }
    }

    fn lines(text: &[u8], step: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(Box::new(Drip(text.to_vec(), 0, step)));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push(match line {
                RawLine::Text(text) => Some(text.to_vec()),
                RawLine::TooLong => None,
            });
        }
        assert_eq!(lines.next_line().unwrap(), None, "the end stays the end");
        all
    }

    #[test]
    fn splits_at_lf_wherever_the_reads_end() {
        for step in [1, 2, 3, 7, usize::MAX] {
            let some = |texts: &[&str]| {
                texts.iter().map(|t| Some(t.as_bytes().to_vec())).collect::<Vec<_>>()
            };
            assert_eq!(lines(b"", step), some(&[]));
            assert_eq!(lines(b"\n", step), some(&[""]));
            assert_eq!(lines(b"a\nbc\n", step), some(&["a", "bc"]));
            assert_eq!(lines(b"a\n\nbc", step), some(&["a", "", "bc"]));
        }
    }

    #[test]
    fn a_line_too_long_is_one_line() {
        for step in [1000, LONGEST_LINE, usize::MAX] {
            for (long, fits) in [
                (LONGEST_LINE, true),
                (LONGEST_LINE + 1, false),
                (BUFFER, false),
                (5 * BUFFER + 17, false),
            ] {
                let mut text = b"before\n".to_vec();
                text.resize(text.len() + long, b'x');
                let mut expected = vec![Some(b"before".to_vec()), fits.then(|| vec![b'x'; long])];
                assert!(lines(&text, step) == expected, "{long} at the end, by {step}");
                text.extend_from_slice(b"\nafter");
                expected.push(Some(b"after".to_vec()));
                assert!(lines(&text, step) == expected, "{long}, by {step}");
            }
        }
    }

    #[test]
    fn lines_cross_every_refill() {
        let expected: Vec<_> =
            (0..20_000_usize).map(|n| Some(vec![b"abcdefg"[n % 7]; n % 97])).collect();
        let mut text = Vec::new();
        for line in &expected {
            text.extend_from_slice(line.as_ref().unwrap());
            text.push(b'\n');
        }
        assert!(text.len() > 3 * BUFFER);
        for step in [4099, usize::MAX] {
            assert!(lines(&text, step) == expected);
        }
    }
}
