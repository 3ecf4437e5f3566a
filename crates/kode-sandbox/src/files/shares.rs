//! Notes of who works in whose work directory: one empty file for each agent that does, `SHARES/<owner>/<user>`.
//!
//! They are hints that keep files: one too many keeps a directory that nobody needs, one too few cannot come about, as
//! each opening writes its own again.

use std::os::fd::{AsFd, OwnedFd};

use kode_core::sandbox::FileError;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::{self, Errno};

use super::copy::is_vacant;
use super::fault;
use super::root::{create, step};

/// An agent's name never begins with a dot, so this is nobody's.
const SHARES: &str = ".shares";
/// What errors call the notes.
const NOTES: &str = "the notes of shared work directories";
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Notes that `user` works in the directory of `owner`.
pub(crate) fn note(parent: impl AsFd, owner: &str, user: &str) -> Result<(), FileError> {
    let noted = || {
        let shares = made(&parent, SHARES)?;
        let notes = made(&shares, owner)?;
        match create(&notes, user.as_bytes(), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::RUSR) {
            Ok(_) => fs::fsync(&notes),
            Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(e),
        }
    };
    noted().map_err(|e| fault(NOTES, e))
}

/// Takes the note back.
pub(crate) fn take_back(parent: impl AsFd, owner: &str, user: &str) -> Result<(), FileError> {
    let taken = || {
        let shares = step(&parent, SHARES.as_bytes(), DIRECTORY)?;
        let notes = step(&shares, owner.as_bytes(), DIRECTORY)?;
        fs::unlinkat(&notes, user, AtFlags::empty())?;
        fs::fsync(&notes)?;
        match fs::unlinkat(&shares, owner, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            done => done,
        }
    };
    match taken() {
        Err(Errno::NOENT) => Ok(()),
        done => done.map_err(|e| fault(NOTES, e)),
    }
}

/// Whether another agent works in the directory of `owner`.
pub(crate) fn is_shared(parent: impl AsFd, owner: &str) -> Result<bool, FileError> {
    match step(&parent, SHARES.as_bytes(), DIRECTORY) {
        Ok(shares) => is_vacant(&shares, owner).map(|vacant| !vacant),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(fault(NOTES, e)),
    }
}

/// Opens a directory, made where it is missing.
fn made(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    match fs::mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) => fs::fsync(&parent)?,
        Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    step(&parent, name.as_bytes(), DIRECTORY)
}
