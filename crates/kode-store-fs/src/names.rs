//! The small files about names: marks of unfinished work, and the highest epoch of a name whose journal does
//! not tell it. Each holds one epoch, in ten digits and a newline.
//!
//! Why a mark need not be synced with its epoch, only with its name: a writer's first append is always
//! synced, so once anything was told under an epoch, the journal itself tells that epoch. What a power loss
//! can take back is an epoch under which nobody was ever told anything; granted again, it names new things.
//! The death of the process takes nothing back, since the kernel has the files.

use std::io;

use kode_core::id::{AgentId, Epoch};

use crate::disk::{Access, Disk, content};
use crate::error::found;
use crate::layout;

/// The epoch in a file; `None` if there is no file. One that was cut short by a power loss tells zero.
pub(crate) fn epoch(disk: &dyn Disk, file: &str) -> io::Result<Option<Epoch>> {
    let Some(file) = found(disk.open(file, Access::Read))? else { return Ok(None) };
    let text = content(&*file)?;
    let digits = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
    Ok(Some(Epoch(digits.unwrap_or_default())))
}

/// The highest epoch that the files tell for a name.
pub(crate) fn counter(disk: &dyn Disk, agent: &AgentId) -> io::Result<Epoch> {
    let mark = epoch(disk, &layout::mark(agent))?;
    let tombstone = epoch(disk, &layout::tombstone(agent))?;
    Ok(mark.max(tombstone).unwrap_or_default())
}

/// Whether the last lease of an agent was not given back clean.
pub(crate) fn is_marked(disk: &dyn Disk, agent: &AgentId) -> io::Result<bool> {
    Ok(epoch(disk, &layout::mark(agent))?.is_some())
}

/// Marks an agent as unfinished under an epoch; tells whether the mark is new. Its name is the caller's to sync.
pub(crate) fn mark(disk: &dyn Disk, agent: &AgentId, epoch: Epoch) -> io::Result<bool> {
    let is_new = !is_marked(disk, agent)?;
    write(disk, &layout::mark(agent), epoch)?;
    Ok(is_new)
}

/// Clears a mark. `told`: whether the journal tells the epoch; if not, the record stays under its other name.
pub(crate) fn clear(disk: &dyn Disk, agent: &AgentId, told: bool) -> io::Result<()> {
    let mark = layout::mark(agent);
    let keep = || {
        // A file of its own, not the mark under another name: a power loss may leave both names, and the next mark is
        // written in its place.
        if let Some(epoch) = epoch(disk, &mark)? {
            write(disk, &layout::tombstone(agent), epoch)?.sync()?;
        }
        disk.remove_file(&mark)
    };
    found(if told { disk.remove_file(&mark) } else { keep() }).map(drop)
}

/// Leaves a tombstone that survives a power loss.
pub(crate) fn bury(disk: &dyn Disk, agent: &AgentId, epoch: Epoch) -> io::Result<()> {
    write(disk, &layout::tombstone(agent), epoch)?.sync()?;
    disk.sync_dir(layout::TOMBSTONES)
}

/// Every marked agent, in order.
pub(crate) fn unfinished(disk: &dyn Disk) -> io::Result<Vec<AgentId>> {
    let mut marked = Vec::new();
    // No directory yet: nobody has opened the store for writing, or that was cut off.
    found(disk.each_name(layout::UNFINISHED, &mut |name| marked.extend(AgentId::new(name))))?;
    marked.sort_unstable();
    Ok(marked)
}

/// One write of the same length each time, so that no other epoch is ever there to be read.
fn write(disk: &dyn Disk, file: &str, epoch: Epoch) -> io::Result<Box<dyn crate::disk::DiskFile>> {
    let file = disk.open(file, Access::Make)?;
    file.write_at(format!("{:010}\n", epoch.0).as_bytes(), 0)?;
    Ok(file)
}
