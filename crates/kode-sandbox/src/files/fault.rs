//! What the kernel said, in the words of the port. The only translation of error numbers in this crate.

use kode_core::sandbox::FileError;
use rustix::io::Errno;

/// The port's error for a failed call about `path`, which is the caller's own text.
pub(crate) fn fault(path: &str, errno: Errno) -> FileError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT => FileError::NotFound(path),
        Errno::XDEV => FileError::Outside(path),
        Errno::NAMETOOLONG => FileError::BadPath { path, why: "it is too long".into() },
        Errno::NOSPC | Errno::DQUOT => FileError::NoSpace(path),
        Errno::NOTDIR => FileError::WrongKind { path, found: "below a file", wanted: "in a directory" },
        Errno::ISDIR => FileError::WrongKind { path, found: "a directory", wanted: "a regular file" },
        Errno::NXIO => FileError::WrongKind { path, found: "a special file", wanted: "a regular file" },
        other => FileError::Io { path, why: words(other) },
    }
}

fn words(errno: Errno) -> String {
    match errno {
        Errno::LOOP => "its symbolic links run in a circle or may not be followed".into(),
        Errno::ACCESS | Errno::PERM => "permission denied".into(),
        Errno::AGAIN => "directories on the way were moved again and again; try once more".into(),
        other => std::io::Error::from(other).to_string(),
    }
}
