//! Replacing or making a file, atomically.
//!
//! The order is what makes it safe: find the directory that really holds the file, refuse what must not be
//! written, write a temporary file beside it, look once more, rename, remember. Between that last look and
//! the rename another process has some microseconds in which its change would be overwritten; writes through
//! the same workspace go one after another.

use std::os::fd::{AsFd, OwnedFd};

use kode_core::sandbox::FileError;
use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use rustix::io::{self, Errno};

use super::kind::regular;
use super::ledger::{Key, Ledger, Stamp};
use super::path::Route;
use super::temp::Temp;
use super::{Files, fault, held, protect};

/// A directory to make names in, and to sync.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// Permission bits of a new file; who may reach it is decided by the work directory's own 0700.
const NEW_FILE: Mode = Mode::from_raw_mode(0o644);
/// Permission bits of a new directory.
const NEW_DIRECTORY: Mode = Mode::from_raw_mode(0o755);

/// Where a file is to be written: a name in an open directory, no link left to follow.
struct Target {
    parent: OwnedFd,
    name: Vec<u8>,
    key: Key,
}

impl Target {
    /// What has the name now.
    fn look(&self) -> io::Result<Option<Stat>> {
        match fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl Files {
    /// Replaces or makes the file at `path`.
    pub(crate) fn write(&self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let failed = |e| fault(path, e);
        let _in_order = held(&self.writing);
        let target = target(self.route(path)?, path)?;
        let before = target.look().map_err(failed)?;
        before.as_ref().map_or(Ok(()), |stat| replaceable(path, stat))?;

        let mut temp = Temp::new(&target.parent).map_err(failed)?;
        temp.fill(content, mode_for(before.as_ref())).map_err(failed)?;
        commit(&mut self.ledger(), path, &target, &mut temp)?;
        fs::fsync(&target.parent).map_err(failed)
    }
}

/// The last look and the rename, under the ledger's lock, so that no read remembers between the two.
fn commit(ledger: &mut Ledger, path: &str, target: &Target, temp: &mut Temp<'_>) -> Result<(), FileError> {
    let failed = |e| fault(path, e);
    let now = target.look().map_err(failed)?;
    ledger.check(path, &target.key, now.as_ref().map(Stamp::of))?;
    let ours = Stamp::of(&temp.stat().map_err(failed)?);
    temp.become_named(&target.name).map_err(failed)?;
    let renamed = Stamp::of(&temp.stat().map_err(failed)?);
    // A rename moves the change time. Where more than that moved, somebody else wrote already: what is
    // remembered then is our own content, so that the next write is refused.
    let stamp = if renamed.same_content(&ours) { renamed } else { ours };
    ledger.remember(target.key.clone(), stamp);
    Ok(())
}

/// Only a regular file with one name is replaced: replacing one of several hard links would part them.
fn replaceable(path: &str, stat: &Stat) -> Result<(), FileError> {
    regular(path, stat)?;
    if stat.st_nlink > 1 {
        let why = "it has another hard link; remove it first or write to a new name";
        return Err(FileError::Io { path: path.into(), why: why.into() });
    }
    Ok(())
}

/// The permission bits of what is replaced, without set-user-id and its like.
fn mode_for(before: Option<&Stat>) -> Mode {
    before.map_or(NEW_FILE, |stat| Mode::from_raw_mode(stat.st_mode & 0o777))
}

fn target(route: Route<'_>, path: &str) -> Result<Target, FileError> {
    protect::file(path, route.rest.as_bytes())?;
    match route.root.open(&route.rest, OFlags::PATH) {
        Ok(there) => existing(route, path, &there),
        Err(Errno::NOENT) => missing(route, path),
        Err(e) => Err(fault(path, e)),
    }
}

/// The target for a file that is there, perhaps at the end of links: the directory that holds it in truth.
fn existing(route: Route<'_>, path: &str, there: &OwnedFd) -> Result<Target, FileError> {
    let failed = |e| fault(path, e);
    let stat = fs::fstat(there).map_err(failed)?;
    replaceable(path, &stat)?;
    let place = route.root.locate(there).map_err(failed)?;
    protect::file(path, &place)?;
    let (dir, name) = split(&place);
    let parent = route.root.open_straight(dir, DIRECTORY).map_err(failed)?;
    let target = Target { parent, name: name.to_owned(), key: Key { prefix: route.prefix, place } };
    // Moved or replaced since it was opened: then the place is not the file's any more.
    match target.look().map_err(failed)? {
        Some(now) if (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino) => Ok(target),
        Some(_) | None => Err(FileError::Changed(path.to_owned())),
    }
}

/// The target for a file that is not there, its directories made.
fn missing(route: Route<'_>, path: &str) -> Result<Target, FileError> {
    let (dir, name) = split(route.rest.as_bytes());
    if matches!(name, b"" | b"." | b"..") {
        return Err(FileError::BadPath { path: path.into(), why: "it ends in no file name".into() });
    }
    let dir = &route.rest[..dir.len()];
    let parent = make_directories(&route, dir, path)?;
    let place = place_in(&route, &parent, name, path)?;
    protect::file(path, &place)?;
    Ok(Target { parent, name: name.to_owned(), key: Key { prefix: route.prefix, place } })
}

/// Opens `dir` beneath the root and makes what is missing of it, each step in a directory that was itself
/// opened beneath.
fn make_directories(route: &Route<'_>, dir: &str, path: &str) -> Result<OwnedFd, FileError> {
    let whole = if dir.is_empty() { "." } else { dir };
    if let Ok(there) = route.root.open(whole, DIRECTORY) {
        return Ok(there);
    }
    let mut made = route.root.open(".", DIRECTORY).map_err(|e| fault(path, e))?;
    let ends = dir.match_indices('/').map(|(at, _)| at).chain([dir.len()]);
    for end in ends.filter(|end| *end > 0) {
        let prefix = &dir[..end];
        made = match route.root.open(prefix, DIRECTORY) {
            Err(Errno::NOENT) => make_one(route, &made, prefix, path)?,
            opened => opened.map_err(|e| fault(path, e))?,
        };
    }
    Ok(made)
}

/// Makes the last step of `prefix` in `parent`. A link that leads nowhere stays, and is an error.
fn make_one(route: &Route<'_>, parent: &OwnedFd, prefix: &str, path: &str) -> Result<OwnedFd, FileError> {
    let (_, name) = split(prefix.as_bytes());
    protect::directory(path, &place_in(route, parent, name, path)?)?;
    match fs::mkdirat(parent, name, NEW_DIRECTORY) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(fault(path, e)),
    }
    fs::fsync(parent).and_then(|()| route.root.open(prefix, DIRECTORY)).map_err(|e| fault(path, e))
}

/// Where `name` in an open directory lies beneath the root.
fn place_in(route: &Route<'_>, parent: impl AsFd, name: &[u8], path: &str) -> Result<Vec<u8>, FileError> {
    let mut place = route.root.locate(parent).map_err(|e| fault(path, e))?;
    if !place.is_empty() {
        place.push(b'/');
    }
    place.extend_from_slice(name);
    Ok(place)
}

/// The directory and the last name of a path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
