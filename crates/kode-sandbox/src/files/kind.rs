//! What the kernel's `stat` says, in the words of the port.

use kode_core::id::Millis;
use kode_core::sandbox::{FileError, FileKind, FileStat};
use rustix::fs::{FileType, Stat};

/// The kind in a mode.
pub(crate) fn kind(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

/// Refuses everything but a regular file.
pub(crate) fn regular(path: &str, stat: &Stat) -> Result<(), FileError> {
    let found = match kind(stat) {
        FileKind::File => return Ok(()),
        FileKind::Directory => "a directory",
        FileKind::Symlink => "a symbolic link that leads nowhere",
        FileKind::Other => "a special file",
    };
    Err(FileError::WrongKind { path: path.into(), found, wanted: "a regular file" })
}

/// The port's view of a file. Times before 1970 count as 1970.
pub(crate) fn file_stat(stat: &Stat) -> FileStat {
    FileStat {
        kind: kind(stat),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: millis(stat.st_mtime, stat.st_mtime_nsec),
    }
}

fn millis(secs: i64, nanos: u64) -> Millis {
    u64::try_from(secs).map_or(0, |secs| secs.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
}
