//! The directory of a store as it is opened: its lock, what it says that it is, and what a crash left in it.
//!
//! It looks into no agent's directory.

use std::any::Any;
use std::io;

use kode_core::store::{StoreError, StoreResult};

use crate::disk::{Access, Disk, content};
use crate::error::{failed, found, incompatible};
use crate::{layout, reserve};

/// What the marker file says; the number is the version of the directory's layout. The second has a node log.
const MARKER: &[u8] = b"kode store 2\n";
/// The layout before, which this version takes over as it is.
const MARKER_BEFORE: &[u8] = b"kode store 1\n";

/// Takes the lock of the directory.
pub(crate) fn lock(disk: &dyn Disk) -> StoreResult<Box<dyn Any + Send + Sync>> {
    disk.lock(layout::LOCK).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StoreError::Unavailable(
            "the store is in use by another process; stop that one, reach it with `--server URL`, or use another store"
                .into(),
        ),
        _ => failed("opening the store")(error),
    })
}

/// Makes the directory a store of this version, and clears what a crash left.
pub(crate) fn prepare(disk: &dyn Disk) -> StoreResult<()> {
    check_marker(disk)?;
    let prepared = (|| {
        disk.make_dir(layout::UNFINISHED)?;
        disk.make_dir(layout::TOMBSTONES)?;
        let marker = disk.open(layout::MARKER, Access::Make)?;
        marker.write_at(MARKER, 0)?;
        marker.sync()?;
        remove_leftovers(disk)?;
        disk.sync_dir("")
    })();
    prepared.map_err(failed("opening the store"))?;
    if let Err(error) = reserve::keep(disk) {
        tracing::warn!(%error, "no space could be set aside; deleting may fail while the disk is full");
    }
    Ok(())
}

/// A directory without a marker is taken for a new store, or for one whose making was cut off.
pub(crate) fn check_marker(disk: &dyn Disk) -> StoreResult<()> {
    let marker = found(disk.open(layout::MARKER, Access::Read))
        .and_then(|file| file.map(|file| content(&*file)).transpose());
    match marker.map_err(failed("opening the store"))? {
        Some(text) if MARKER.starts_with(&text) || text == MARKER_BEFORE => Ok(()),
        Some(_) => Err(incompatible(layout::MARKER, "the store's layout is of another version")),
        None => Ok(()),
    }
}

fn remove_leftovers(disk: &dyn Disk) -> io::Result<()> {
    let mut leftovers = Vec::new();
    disk.each_name("", &mut |name| {
        if layout::is_leftover(name) {
            leftovers.push(name.to_owned());
        }
    })?;
    leftovers.iter().try_for_each(|name| found(disk.remove_tree(name)).map(drop))
}
