//! Removing a work directory with everything in it, by descriptors, no link followed.
//!
//! The directory is renamed first, so that the agent's name is free at once and a half-removed tree is never
//! taken for a whole one. What a crash leaves is taken up by the next removal of the same name.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, Dir, OFlags};
use rustix::io::{self, Errno};

use super::root::step;

/// An agent's name never begins with a dot, so this is nobody's.
const REMOVED: &str = ".removed-";
/// How deep a tree is gone down with a descriptor held for each level. What is deeper is moved to the top
/// and removed from there, so that no depth of a tree is too deep.
const DEPTH_MAX: usize = 32;
/// How many names of one directory are held in memory at once.
const NAMES_AT_ONCE: usize = 1_024;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Removes `parent/name`. A missing one is no error.
pub(crate) fn remove_tree(parent: impl AsFd, name: &str) -> io::Result<()> {
    clear_removed(&parent, name)?;
    set_aside(&parent, name)?;
    clear_removed(&parent, name)
}

/// Takes the name away from a tree: from here on it is removed, also by a later call. What was set aside under the
/// name before must have been cleared.
pub(crate) fn set_aside(parent: impl AsFd, name: &str) -> io::Result<()> {
    missing_is_fine(fs::renameat(&parent, name, &parent, format!("{REMOVED}{name}")))
}

/// Clears what was set aside under a name.
pub(crate) fn clear_removed(parent: impl AsFd, name: &str) -> io::Result<()> {
    clear(&parent, &format!("{REMOVED}{name}"))?;
    fs::fsync(&parent)
}

fn clear(parent: impl AsFd, trash: &str) -> io::Result<()> {
    let top = match step(&parent, trash.as_bytes(), DIRECTORY) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        // A link or a file in its place, made by somebody else: it goes, and what it names stays.
        Err(Errno::LOOP | Errno::NOTDIR) => return fs::unlinkat(&parent, trash, AtFlags::empty()),
        Err(e) => return Err(e),
    };
    Emptying { top: &top, moved: 0 }.empty(&top, 0)?;
    missing_is_fine(fs::unlinkat(&parent, trash, AtFlags::REMOVEDIR))
}

/// A tree that is being emptied.
struct Emptying<'a> {
    top: &'a OwnedFd,
    moved: usize,
}

impl Emptying<'_> {
    /// Removes what is in `dir`, at the top also what was moved there meanwhile.
    fn empty(&mut self, dir: &OwnedFd, depth: usize) -> io::Result<()> {
        loop {
            let names = some_names(dir)?;
            if names.is_empty() {
                return Ok(());
            }
            names.iter().try_for_each(|name| self.remove_one(dir, name, depth))?;
        }
    }

    fn remove_one(&mut self, dir: &OwnedFd, name: &[u8], depth: usize) -> io::Result<()> {
        match step(dir, name, DIRECTORY) {
            Ok(_) if depth >= DEPTH_MAX => self.move_to_top(dir, name),
            Ok(below) => {
                self.empty(&below, depth + 1)?;
                missing_is_fine(fs::unlinkat(dir, name, AtFlags::REMOVEDIR))
            }
            Err(Errno::LOOP | Errno::NOTDIR) => missing_is_fine(fs::unlinkat(dir, name, AtFlags::empty())),
            Err(e) => missing_is_fine(Err(e)),
        }
    }

    /// A name that is taken up there is stepped over.
    fn move_to_top(&mut self, dir: &OwnedFd, name: &[u8]) -> io::Result<()> {
        loop {
            self.moved += 1;
            let to = format!("{REMOVED}{}", self.moved);
            match fs::renameat(dir, name, self.top, to) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                done => return missing_is_fine(done),
            }
        }
    }
}

/// The first names of a directory: as many as are held at once, none when it is empty.
fn some_names(dir: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            names.push(name);
        }
        if names.len() >= NAMES_AT_ONCE {
            break;
        }
    }
    Ok(names)
}

fn missing_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
