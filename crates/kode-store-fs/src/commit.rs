//! The seam where an append becomes durable. A log shared by all agents of a node can take its place: it gets
//! each line, and may put many under one sync.

use std::io;

use crate::disk::DiskFile;

/// How a line that stands in its segment comes to survive a power loss.
pub(crate) trait Commit: Send + Sync + 'static {
    /// Returns once everything written to the segment survives; the last line written is `line`. Blocks.
    ///
    /// # Errors
    /// The disk's. After one, nothing that is read back from the segment proves anything.
    fn commit(&self, segment: &dyn DiskFile, line: &[u8]) -> io::Result<()>;
}

/// One sync of the agent's own segment for each commit.
#[derive(Debug)]
pub(crate) struct SyncEach;

impl Commit for SyncEach {
    fn commit(&self, segment: &dyn DiskFile, _line: &[u8]) -> io::Result<()> {
        segment.sync()
    }
}
