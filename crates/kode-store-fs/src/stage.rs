//! Making a segment's file: written under a name that nobody reads, synced, and then given its name. So a segment
//! that is there has its header and its first lines, and they are on the disk.
//!
//! It decides nothing about what is in a segment.

use std::io;

use crate::disk::{Access, Disk, DiskFile};
use crate::error::found;
use crate::line::{self, Header};
use crate::{layout, segment};

/// The segment that is written to.
pub(crate) struct Open {
    pub file: Box<dyn DiskFile>,
    pub end: u64,
}

/// A segment that is on the disk and has no name yet.
pub(crate) struct Unnamed<'h> {
    header: &'h Header,
    open: Open,
}

/// Makes the first segment of a new agent, whose directory gets its name with it. Whether the name survives a power loss
/// is not waited for: the node log, which has the lines as well, makes it anew.
pub(crate) fn first(disk: &dyn Disk, header: &Header, lines: &[u8]) -> io::Result<Open> {
    let coming = layout::coming(&header.agent);
    found(disk.remove_tree(&coming))?;
    disk.make_dir(&coming)?;
    let path = format!("{coming}/{}", segment::file_name(header.segment));
    let open = fill(disk, &path, header, lines)?;
    disk.rename(&coming, header.agent.as_str())?;
    Ok(open)
}

/// Makes a segment of an agent that is there. Whatever fails here changed nothing.
pub(crate) fn unnamed<'h>(disk: &dyn Disk, header: &'h Header, lines: &[u8]) -> io::Result<Unnamed<'h>> {
    let path = unnamed_path(header);
    let open = fill(disk, &path, header, lines).inspect_err(|_| {
        // What is left is overwritten by the next one; gone, it takes no space from a full disk.
        let _ = disk.remove_file(&path);
    })?;
    Ok(Unnamed { header, open })
}

impl Unnamed<'_> {
    /// Gives the segment its name, in one step; an older one of that name is gone with it.
    pub(crate) fn name(self, disk: &dyn Disk) -> io::Result<Open> {
        let Header { agent, segment, .. } = self.header;
        disk.rename(&unnamed_path(self.header), &format!("{agent}/{}", segment::file_name(*segment)))?;
        disk.sync_dir(agent.as_str())?;
        Ok(self.open)
    }
}

fn unnamed_path(header: &Header) -> String {
    format!("{}/.{}", header.agent, segment::file_name(header.segment))
}

fn fill(disk: &dyn Disk, path: &str, header: &Header, lines: &[u8]) -> io::Result<Open> {
    let mut bytes = line::write_header(header);
    bytes.extend_from_slice(lines);
    let file = disk.open(path, Access::Make)?;
    file.set_len(0)?;
    file.write_at(&bytes, 0)?;
    file.sync()?;
    Ok(Open { file, end: bytes.len() as u64 })
}
