//! Opening beneath a directory: the one system call on which the promises of this crate rest.
//!
//! `openat2` with `RESOLVE_BENEATH` walks the path inside the kernel and fails with `EXDEV` the moment that
//! a step (`..`, an absolute link, a directory moved away meanwhile) would leave the root. So there is no
//! time between a check and a use.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use kode_core::sandbox::FileError;
use rustix::fs::{self, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{self, Errno};

use super::fault;

/// Never above the root, never through `/proc`'s links, which jump. Kernels so far refuse those beneath anyway
/// and say that they may stop to, so it is asked for.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
/// The kernel answers `EAGAIN` when any rename on the machine crossed a `..`; each try is independent, so
/// this many failures in a row mean something else.
const TRIES: usize = 1_024;

/// A directory that paths are opened beneath.
pub(crate) struct Root {
    fd: OwnedFd,
}

impl Root {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens `path` beneath the root; links that stay beneath are followed.
    pub(crate) fn open(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        beneath(&self.fd, path.as_bytes(), flags, Mode::empty(), BENEATH)
    }

    /// The same without following any link on the way.
    pub(crate) fn open_straight(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        beneath(&self.fd, path, flags, Mode::empty(), BENEATH | ResolveFlags::NO_SYMLINKS)
    }

    /// Where an opened file lies now, relative to the root; empty for the root itself. `EXDEV` when it was
    /// moved out of the root since it was opened.
    pub(crate) fn locate(&self, fd: impl AsFd) -> io::Result<Vec<u8>> {
        let (root, place) = (named(&self.fd)?, named(fd)?);
        let root = root.strip_suffix(b"/").unwrap_or(&root);
        match place.strip_prefix(root) {
            Some([]) => Ok(Vec::new()),
            Some([b'/', rest @ ..]) => Ok(rest.to_owned()),
            Some(_) | None => Err(Errno::XDEV),
        }
    }
}

/// Opens a single name in a directory without following it. For steps that this crate takes by itself.
pub(crate) fn step(dir: impl AsFd, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    create(dir, name, flags | OFlags::NOFOLLOW, Mode::empty())
}

/// The same with a mode, for flags that create.
pub(crate) fn create(dir: impl AsFd, name: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    beneath(dir, name, flags, mode, BENEATH | ResolveFlags::NO_SYMLINKS)
}

fn beneath(dir: impl AsFd, path: &[u8], flags: OFlags, mode: Mode, how: ResolveFlags) -> io::Result<OwnedFd> {
    for _ in 0..TRIES {
        match fs::openat2(&dir, path, flags | OFlags::CLOEXEC, mode, how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
    Err(Errno::AGAIN)
}

/// The kernel's own name of an open file, seen from this process.
fn named(fd: impl AsFd) -> io::Result<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    Ok(fs::readlinkat(CWD, link, Vec::new())?.into_bytes())
}

/// Whether this machine has what the crate rests on; in words where it has not.
pub(crate) fn probe(dir: impl AsFd) -> Result<(), String> {
    let opened = beneath(&dir, b".", OFlags::PATH, Mode::empty(), BENEATH).map_err(|e| match e {
        // Filters of older containers answer an unknown call with "not permitted".
        Errno::NOSYS | Errno::PERM => {
            "file access needs the openat2 system call: Linux 5.6 or later, and a container filter that \
             lets it pass; a systemd service has none with RestrictSUIDSGID= or DynamicUser="
                .to_owned()
        }
        other => FileError::to_string(&fault("opening beneath", other)),
    })?;
    named(opened).map(drop).map_err(|_| "file access needs /proc to be mounted".to_owned())
}
