//! Space set aside, so that an agent can be deleted when the disk is full.

use std::io;

use crate::disk::{Access, Disk};
use crate::error::found;
use crate::layout;

/// Enough for tombstones, marks and new blocks of their directories.
const BYTES: usize = 64 << 10;

/// Sets the space aside unless it is.
pub(crate) fn keep(disk: &dyn Disk) -> io::Result<()> {
    let file = disk.open(layout::RESERVE, Access::Make)?;
    if file.len()? >= BYTES as u64 {
        return Ok(());
    }
    let kept = file.write_at(&[0; BYTES], 0).and_then(|()| file.sync());
    if kept.is_err() {
        give_up(disk)?;
    }
    kept
}

/// Does what must also work on a full disk: with the reserve, if there is no other space.
pub(crate) fn even_when_full<T>(disk: &dyn Disk, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match work() {
        Err(e) if is_full(&e) && give_up(disk)? => work(),
        done => done,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Frees the space; false if it was free already.
fn give_up(disk: &dyn Disk) -> io::Result<bool> {
    let gone = found(disk.remove_file(layout::RESERVE))?;
    Ok(gone.is_some())
}
