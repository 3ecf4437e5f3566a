//! Blobs: files beside the journal, as they were given, each under its own name.
//!
//! The caller holds the agent's lease, so one blob is put at a time. A name that begins with a dot is a blob
//! that a crash cut off; the next put removes it.

use std::io;

use kode_core::id::AgentId;
use kode_core::store::blob::room;
use kode_core::store::{BlobName, BlobPart, StoreResult};

use crate::disk::{Access, Disk};
use crate::error::{failed, found};
use crate::layout;

/// Keeps bytes under a name. When it returns they, the name and the directory's name survive a power loss.
pub(crate) fn put(disk: &dyn Disk, agent: &AgentId, name: &BlobName, bytes: &[u8]) -> StoreResult<()> {
    let dir = layout::blobs(agent);
    let others = others(disk, &dir, name).map_err(failed("keeping a blob"))?;
    room(bytes.len(), others)?;
    let unnamed = format!("{dir}/.{name}");
    let placed = place(disk, agent, &unnamed, &format!("{dir}/{name}"), bytes);
    if placed.is_err() {
        // The space is given back; what cannot be removed now, the next put removes.
        let _ = disk.remove_file(&unnamed);
    }
    placed.map_err(failed("keeping a blob"))
}

fn place(disk: &dyn Disk, agent: &AgentId, unnamed: &str, named: &str, bytes: &[u8]) -> io::Result<()> {
    let dir = layout::blobs(agent);
    disk.make_dir(&dir)?;
    disk.sync_dir(agent.as_str())?;
    let file = disk.open(unnamed, Access::Make)?;
    file.set_len(0)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(unnamed, named)?;
    disk.sync_dir(&dir)
}

/// How many blobs there are under other names; removes what a crash cut off.
fn others(disk: &dyn Disk, dir: &str, name: &BlobName) -> io::Result<usize> {
    let (mut others, mut cut_off) = (0, Vec::new());
    let listed = disk.each_name(dir, &mut |there| {
        if there.starts_with('.') {
            cut_off.push(format!("{dir}/{there}"));
        } else if there != name.as_str() {
            others += 1;
        }
    });
    found(listed)?;
    cut_off.iter().try_for_each(|file| found(disk.remove_file(file)).map(drop))?;
    Ok(others)
}

/// At most `limit` bytes of a blob from `offset` on.
pub(crate) fn read(
    disk: &dyn Disk,
    agent: &AgentId,
    name: &BlobName,
    offset: u64,
    limit: usize,
) -> io::Result<Option<BlobPart>> {
    let file = found(disk.open(&format!("{}/{name}", layout::blobs(agent)), Access::Read))?;
    let Some(file) = file else { return Ok(None) };
    let len = file.len()?;
    let rest = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; rest.min(limit)];
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(Some(BlobPart { bytes: bytes.into(), len }))
}
