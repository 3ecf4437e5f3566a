//! An agent's directory goes: out of sight in one step, then for good.

use std::io;

use kode_core::id::AgentId;

use crate::disk::Disk;
use crate::error::found;
use crate::{layout, reserve};

/// Takes an agent's directory out of sight.
pub(crate) fn unname(disk: &dyn Disk, agent: &AgentId) -> io::Result<()> {
    let going = layout::going(agent);
    found(disk.remove_tree(&going))?;
    found(disk.rename(agent.as_str(), &going))?;
    disk.sync_dir("")
}

/// Removes what is out of sight. What fails here is done when the store is opened next.
pub(crate) fn tidy(disk: &dyn Disk, agent: &AgentId) {
    let tidied = found(disk.remove_tree(&layout::going(agent)))
        .and_then(|_| found(disk.remove_file(&layout::mark(agent))))
        .and_then(|_| reserve::keep(disk));
    if let Err(error) = tidied {
        tracing::warn!(%agent, %error, "a deleted agent's files are left for later");
    }
}
