//! The seam where an append becomes durable: one file for all agents ([`crate::log`]), or in tests something else.

use std::io;

use kode_core::id::AgentId;

/// How a line that stands in its segment comes to survive a power loss.
pub(crate) trait Commit: Send + Sync + 'static {
    /// Takes note of a line that stands in the agent's segment now. Never waits for the disk.
    fn note(&self, agent: &AgentId, line: &[u8]);

    /// Whether so much was noted that the next writer had better commit before it notes more.
    fn is_behind(&self) -> bool;

    /// Returns once every line that was noted survives. The segments themselves may reach the disk later. Blocks.
    ///
    /// # Errors
    /// The disk's. What was noted goes into the next commit as well; whoever was told of the failure must take it neither for
    /// kept nor for lost.
    fn commit(&self) -> io::Result<()>;

    /// Whether there is something to retire, and nobody does.
    fn wants_retiring(&self) -> bool;

    /// Lets go of what the journals make needless once `settle` has put them on the disk; `settle` is told whether
    /// it failed before. Blocks.
    ///
    /// # Errors
    /// The first of `settle` (`Interrupted`: it was not tried); what it was called for is kept until another time.
    fn retire(&self, settle: &dyn Fn(&AgentId, Trust) -> io::Result<()>) -> io::Result<()>;
}

/// What is thought of a journal that is to be put on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A sync will do.
    Clean,
    /// One failed: the kernel may hold as clean what is not on the disk.
    Failed,
}

/// For a store that is only read: nothing is written, so nothing is to become durable.
pub(crate) struct Nowhere;

impl Commit for Nowhere {
    fn note(&self, _agent: &AgentId, _line: &[u8]) {}

    fn is_behind(&self) -> bool {
        false
    }

    fn commit(&self) -> io::Result<()> {
        Ok(())
    }

    fn wants_retiring(&self) -> bool {
        false
    }

    fn retire(&self, _settle: &dyn Fn(&AgentId, Trust) -> io::Result<()>) -> io::Result<()> {
        Ok(())
    }
}
