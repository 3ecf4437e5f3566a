//! Copying a work directory by descriptors, no link followed: into a directory of a name that is nobody's, which
//! then takes an agent's name at once.
//!
//! The copy is of now, and the tree may be worked on meanwhile: what vanishes or changes kind is passed over, and a
//! file is copied as it is read. Hard links part, owners and extended attributes are not carried over.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use kode_core::sandbox::{Copied, FileError, FileKind};
use rustix::fs::{self, AtFlags, Dir, DirEntry, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::kind::kind;
use super::remove::remove_tree;
use super::root::{create, step};
use super::temp::TEMP_PREFIX;
use super::{WORK, fault};

/// What a copy is called before it has an agent: an agent's name never begins with a dot.
const COPY: &str = ".copy-";
/// Deepest directory that is copied; two descriptors are held for each level.
const DEPTH_MAX: usize = 64;
/// Most entries of a copy.
const ENTRIES_MAX: u64 = 1_000_000;
/// Most bytes of a copy, holes of files counted.
const BYTES_MAX: u64 = 8 << 30;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// A pipe must not hang the open, a terminal must not become ours.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const NEW: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL);

/// Copies `parent/from`, as far as it is there, to what [`settle`] finds under the ticket. Leaves nothing where it
/// fails.
pub(crate) fn copy_tree(parent: impl AsFd, from: &str, ticket: &str) -> Result<Copied, FileError> {
    let name = format!("{COPY}{ticket}");
    copy_to(&parent, from, &name).inspect_err(|_| {
        // The error that is told is the first one; what is left of the copy is nobody's.
        let _ = remove_tree(&parent, &name);
    })
}

/// Gives the copy an agent's name, whose directory is missing or empty. Nothing to do where that was done.
pub(crate) fn settle(parent: impl AsFd, ticket: &str, to: &str) -> Result<(), FileError> {
    match fs::renameat(&parent, format!("{COPY}{ticket}"), &parent, to) {
        Ok(()) => fs::fsync(&parent).map_err(|e| fault(WORK, e)),
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {
            let why = "there are other files in the place of its copy; move them away".into();
            Err(FileError::Io { path: WORK.into(), why })
        }
        Err(e) => Err(fault(WORK, e)),
    }
}

/// Throws a copy away that was not settled.
pub(crate) fn discard(parent: impl AsFd, ticket: &str) -> Result<(), FileError> {
    remove_tree(parent, &format!("{COPY}{ticket}")).map_err(|e| fault(WORK, e))
}

/// Whether nothing has the name, or an empty directory.
pub(crate) fn is_vacant(parent: impl AsFd, name: &str) -> Result<bool, FileError> {
    let dir = match step(&parent, name.as_bytes(), DIRECTORY) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(true),
        Err(Errno::LOOP | Errno::NOTDIR) => return Ok(false),
        Err(e) => return Err(fault(WORK, e)),
    };
    for entry in Dir::read_from(&dir).map_err(|e| fault(WORK, e))? {
        if !is_dots(&entry.map_err(|e| fault(WORK, e))?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn copy_to(parent: impl AsFd, from: &str, name: &str) -> Result<Copied, FileError> {
    let failed = |e| fault(WORK, e);
    fs::mkdirat(&parent, name, Mode::RWXU).map_err(failed)?;
    let to = step(&parent, name.as_bytes(), DIRECTORY).map_err(failed)?;
    let mut copy = Copying::default();
    match step(&parent, from.as_bytes(), DIRECTORY) {
        Ok(source) => {
            let top = Level::new(source, to.try_clone().map_err(io_failed)?, String::new(), None)?;
            let before = fs::fstat(&top.from).map_err(failed)?;
            copy.run(top)?;
            still_there(&parent, from, &before)?;
        }
        Err(Errno::NOENT) => {}
        Err(e) => return Err(failed(e)),
    }
    // One call for thousands of files: the copy must be there once a journal speaks of it.
    fs::syncfs(&to).map_err(failed)?;
    fs::fsync(&parent).map_err(failed)?;
    Ok(copy.done)
}

/// A tree that was removed while it was copied is no copy of anything.
fn still_there(parent: impl AsFd, from: &str, before: &Stat) -> Result<(), FileError> {
    match fs::statat(&parent, from, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(now) if (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino) => Ok(()),
        Ok(_) | Err(Errno::NOENT) => Err(FileError::Changed(WORK.into())),
        Err(e) => Err(fault(WORK, e)),
    }
}

/// A directory that is being copied.
struct Level {
    from: OwnedFd,
    names: Dir,
    to: OwnedFd,
    /// Where it lies, for errors: empty, or ending in `/`.
    place: String,
    /// How the copy is to look in the end; none for the top, which is ours.
    look: Option<Stat>,
}

impl Level {
    fn new(from: OwnedFd, to: OwnedFd, place: String, look: Option<Stat>) -> Result<Self, FileError> {
        let names = Dir::read_from(&from).map_err(|e| fault(shown(&place), e))?;
        Ok(Self { from, names, to, place, look })
    }

    /// Its mode and times, once everything is in it.
    fn finish(self) -> Result<(), FileError> {
        self.look.map_or(Ok(()), |look| dress(&self.to, &look).map_err(|e| fault(shown(&self.place), e)))
    }
}

/// The copy so far.
#[derive(Default)]
struct Copying {
    done: Copied,
    entries: u64,
}

impl Copying {
    fn run(&mut self, top: Level) -> Result<(), FileError> {
        let mut open = vec![top];
        while let Some(level) = open.last_mut() {
            let below = match level.names.next() {
                Some(entry) => {
                    let entry = entry.map_err(|e| fault(shown(&level.place), e))?;
                    self.entry(level, &entry)?
                }
                None => {
                    open.pop().map_or(Ok(()), Level::finish)?;
                    None
                }
            };
            if below.is_some() && open.len() >= DEPTH_MAX {
                return Err(too_much(format!("it is deeper than {DEPTH_MAX} directories")));
            }
            open.extend(below);
        }
        Ok(())
    }

    /// Copies one entry; a directory is given back to be gone into.
    fn entry(&mut self, level: &Level, entry: &DirEntry) -> Result<Option<Level>, FileError> {
        let name = entry.file_name().to_bytes();
        if is_dots(entry) || name.starts_with(TEMP_PREFIX) {
            return Ok(None);
        }
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(too_much(format!("it has more than {ENTRIES_MAX} entries")));
        }
        let place = format!("{}{}", level.place, String::from_utf8_lossy(name));
        let done = match fs::statat(&level.from, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| kind(&stat)) {
            Ok(FileKind::File) => self.file(level, name),
            Ok(FileKind::Symlink) => link(level, name).map_err(Stopped::Errno),
            Ok(FileKind::Directory) => return directory(level, name, &place),
            Ok(FileKind::Other) => {
                self.done.skipped += 1;
                Ok(())
            }
            Err(e) => Err(Stopped::Errno(e)),
        };
        match done {
            // Gone, or another thing by now.
            Ok(()) | Err(Stopped::Errno(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::INVAL)) => Ok(None),
            Err(Stopped::Errno(e)) => Err(fault(&place, e)),
            Err(Stopped::TooLarge(size)) => {
                Err(FileError::TooLarge { path: WORK.into(), size, limit: BYTES_MAX })
            }
        }
    }

    fn file(&mut self, level: &Level, name: &[u8]) -> Result<(), Stopped> {
        let from = step(&level.from, name, READ)?;
        let stat = fs::fstat(&from)?;
        if kind(&stat) != FileKind::File {
            return Err(Stopped::Errno(Errno::NOENT));
        }
        let left = BYTES_MAX - self.done.bytes;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > left {
            return Err(Stopped::TooLarge(self.done.bytes.saturating_add(size)));
        }
        let to = File::from(create(&level.to, name, NEW, Mode::RUSR | Mode::WUSR)?);
        let copied = io::copy(&mut File::from(from).take(left.saturating_add(1)), &mut &to)?;
        if copied > left {
            return Err(Stopped::TooLarge(self.done.bytes.saturating_add(copied)));
        }
        dress(&to, &stat)?;
        self.done.files += 1;
        self.done.bytes += copied;
        Ok(())
    }
}

/// Why one file was not copied.
enum Stopped {
    Errno(Errno),
    TooLarge(u64),
}

impl From<Errno> for Stopped {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Errno(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

fn directory(level: &Level, name: &[u8], place: &str) -> Result<Option<Level>, FileError> {
    let failed = |e| fault(place, e);
    let from = match step(&level.from, name, DIRECTORY) {
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let look = fs::fstat(&from).map_err(failed)?;
    fs::mkdirat(&level.to, name, Mode::RWXU).map_err(failed)?;
    let to = step(&level.to, name, DIRECTORY).map_err(failed)?;
    Level::new(from, to, format!("{place}/"), Some(look)).map(Some)
}

fn link(level: &Level, name: &[u8]) -> Result<(), Errno> {
    let target = fs::readlinkat(&level.from, name, Vec::new())?;
    fs::symlinkat(target, &level.to, name)
}

/// Permission bits without set-user-id and its like, and the time of the last change, for tools that build.
fn dress(to: impl AsFd, look: &Stat) -> Result<(), Errno> {
    let modified =
        Timespec { tv_sec: look.st_mtime, tv_nsec: i64::try_from(look.st_mtime_nsec).unwrap_or(0) };
    fs::futimens(&to, &Timestamps { last_access: modified, last_modification: modified })?;
    fs::fchmod(&to, Mode::from_raw_mode(look.st_mode & 0o777))
}

fn is_dots(entry: &DirEntry) -> bool {
    matches!(entry.file_name().to_bytes(), b"." | b"..")
}

fn shown(place: &str) -> &str {
    if place.is_empty() { WORK } else { place.trim_end_matches('/') }
}

fn too_much(why: String) -> FileError {
    FileError::Io { path: WORK.into(), why: format!("it cannot be copied: {why}") }
}

fn io_failed(error: io::Error) -> FileError {
    fault(WORK, Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
