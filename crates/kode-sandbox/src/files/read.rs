//! Looking at a file and reading it.

use std::fs::File;
use std::io::Read;

use kode_core::sandbox::{FileError, FileStat};
use rustix::fs::{OFlags, fstat};

use super::kind::{file_stat, regular};
use super::ledger::{Key, Stamp};
use super::{Files, fault};

/// A pipe must not hang the open, a terminal must not become ours.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Files {
    /// What a path names, a last link not followed.
    pub(crate) fn stat(&self, path: &str) -> Result<FileStat, FileError> {
        let route = self.route(path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let found = route.root.open(&route.rest, flags).and_then(fstat);
        found.map(|stat| file_stat(&stat)).map_err(|e| fault(path, e))
    }

    /// The whole of a regular file of at most `limit` bytes.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FileError> {
        let route = self.route(path)?;
        let fd = route.root.open(&route.rest, READ).map_err(|e| fault(path, e))?;
        let stat = fstat(&fd).map_err(|e| fault(path, e))?;
        regular(path, &stat)?;
        let key = route.root.locate(&fd).map(|place| Key { prefix: route.prefix, place });
        let content = bounded(path, File::from(fd), file_stat(&stat).size, limit)?;
        // The stamp from before the reading: if the file was changed meanwhile, a write will be refused.
        if let Ok(key) = key {
            self.ledger().remember(key, Stamp::of(&stat));
        }
        Ok(content)
    }
}

/// Reads to the end, or refuses: also when the file grows while it is read.
fn bounded(path: &str, file: File, size: u64, limit: u64) -> Result<Vec<u8>, FileError> {
    let too_large = |size| FileError::TooLarge { path: path.into(), size, limit };
    if size > limit {
        return Err(too_large(size));
    }
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut content);
    let read = read.map_err(|e| FileError::Io { path: path.into(), why: e.kind().to_string() })? as u64;
    if read > limit { Err(too_large(read)) } else { Ok(content) }
}
