//! An agent's work directory: made at once, so that the host can put files into it, and opened when something is first
//! done in it, as most agents of a day only talk and need no descriptor for that.
//!
//! What is opened then is the directory that was there at first, or nothing: one that was made under the name later is
//! another agent's.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use kode_core::id::AgentId;
use kode_core::sandbox::FileError;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::{self, Errno};

use super::{Root, WORK, fault};

/// Only the owner.
const PRIVATE: Mode = Mode::RWXU;
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// The work directory of one workspace.
pub(crate) struct Home {
    parent: Arc<OwnedFd>,
    name: AgentId,
    first: Identity,
    root: OnceLock<Root>,
}

impl Home {
    /// The directory of a name, made and made private where it is not. Blocks, and waits for no sync.
    ///
    /// # Errors
    /// The kernel's; a link or a file in its place is one.
    pub(crate) fn make(parent: &Arc<OwnedFd>, name: &AgentId) -> Result<Self, FileError> {
        let first = made(parent, name.as_str())?;
        Ok(Self { parent: parent.clone(), name: name.clone(), first, root: OnceLock::new() })
    }

    /// The directory, opened for the first who asks. Blocks.
    ///
    /// # Errors
    /// The kernel's; that it was removed or replaced.
    pub(crate) fn root(&self) -> Result<&Root, FileError> {
        match self.root.get() {
            Some(root) => Ok(root),
            None => self.open().map(|opened| self.root.get_or_init(|| Root::new(opened))),
        }
    }

    fn open(&self) -> Result<OwnedFd, FileError> {
        let opened = fs::openat(&self.parent, self.name.as_str(), DIRECTORY, Mode::empty());
        let same = |opened: OwnedFd| Ok((Identity::of(&opened)? == self.first).then_some(opened));
        match opened.and_then(same) {
            Ok(Some(opened)) => {
                // What is written in it is kept by its name, for which nobody has waited yet.
                fs::fsync(&self.parent).map_err(|e| fault(WORK, e))?;
                Ok(opened)
            }
            Ok(None) | Err(Errno::NOENT) => {
                let why = "it was removed or replaced after the agent was taken up".into();
                Err(FileError::Io { path: WORK.into(), why })
            }
            Err(e) => Err(fault(WORK, e)),
        }
    }
}

/// Opens `parent/name`, which is made and made private where it is not, and whose name survives a power loss then. A link
/// in its place is refused.
pub(crate) fn work_directory(parent: impl AsFd, name: &str) -> Result<OwnedFd, FileError> {
    let failed = |e| fault(WORK, e);
    if make_missing(&parent, name).map_err(failed)? {
        fs::fsync(&parent).map_err(failed)?;
    }
    let work = fs::openat(&parent, name, DIRECTORY, Mode::empty()).map_err(failed)?;
    fs::fchmod(&work, PRIVATE).map_err(failed)?;
    Ok(work)
}

/// The same without opening what is as it should be, and without a sync.
fn made(parent: impl AsFd, name: &str) -> Result<Identity, FileError> {
    let failed = |e| fault(WORK, e);
    make_missing(&parent, name).map_err(failed)?;
    let there = look(&parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
    if u32::from(there.stx_mode) == (FileType::Directory.as_raw_mode() | PRIVATE.as_raw_mode()) {
        return Ok(Identity::from(&there));
    }
    Identity::of(work_directory(parent, name)?).map_err(failed)
}

/// Whether it was missing.
fn make_missing(parent: impl AsFd, name: &str) -> io::Result<bool> {
    match fs::mkdirat(parent, name, PRIVATE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e),
    }
}

fn look(at: impl AsFd, name: &str, flags: AtFlags) -> io::Result<Statx> {
    fs::statx(at, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
}

/// What tells a directory from another of its name: its number, and when it was made where the file system knows, as
/// numbers are given out again.
#[derive(PartialEq, Eq)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    born: (i64, u32),
}

impl Identity {
    fn of(dir: impl AsFd) -> io::Result<Self> {
        look(dir, "", AtFlags::EMPTY_PATH).map(|there| Self::from(&there))
    }
}

impl From<&Statx> for Identity {
    fn from(there: &Statx) -> Self {
        Self {
            device: (there.stx_dev_major, there.stx_dev_minor),
            inode: there.stx_ino,
            born: (there.stx_btime.tv_sec, there.stx_btime.tv_nsec),
        }
    }
}
