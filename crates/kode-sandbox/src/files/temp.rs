//! A file under a temporary name that becomes the wanted one at once, or goes away.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use rustix::io::{self, Errno};

use super::root::create;

/// What each temporary name begins with. Walks pass over such names; one that a crash left is never read.
pub(crate) const TEMP_PREFIX: &[u8] = b".kode-tmp-";

/// How many names left over by crashes are stepped over.
const TRIES: usize = 10_000;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A temporary file; removed when dropped before [`Temp::become_named`].
pub(crate) struct Temp<'a> {
    dir: BorrowedFd<'a>,
    name: Vec<u8>,
    file: File,
    named: bool,
}

impl<'a> Temp<'a> {
    /// Makes an empty one in `dir`, readable by its owner only.
    pub(crate) fn new(dir: &'a impl AsFd) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        for _ in 0..TRIES {
            let name = fresh_name();
            match create(dir, &name, flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => {}
                made => {
                    return made.map(|fd| Self { dir: dir.as_fd(), name, file: fd.into(), named: false });
                }
            }
        }
        Err(Errno::EXIST)
    }

    /// Writes and syncs the content and sets the mode.
    pub(crate) fn fill(&mut self, content: &[u8], mode: Mode) -> io::Result<()> {
        self.file.write_all(content).map_err(errno)?;
        fs::fchmod(&self.file, mode)?;
        fs::fsync(&self.file)
    }

    /// How the file looks now.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        fs::fstat(&self.file)
    }

    /// Takes the place of `name` in the same directory, whatever is there but a directory.
    pub(crate) fn become_named(&mut self, name: &[u8]) -> io::Result<()> {
        fs::renameat(self.dir, &self.name, self.dir, name)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if !self.named {
            // Nothing can be done about a failure here, and the name is never taken for a real file.
            let _ = fs::unlinkat(self.dir, &self.name, AtFlags::empty());
        }
    }
}

fn fresh_name() -> Vec<u8> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    [TEMP_PREFIX, format!("{}-{number}", std::process::id()).as_bytes()].concat()
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
