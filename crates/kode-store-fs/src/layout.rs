//! The names within a store's directory. An agent's id is the name of its directory; ids never begin with a
//! dot, so names that do are the store's own.

use kode_core::id::AgentId;

/// Held by the process that has the store open.
pub(crate) const LOCK: &str = ".lock";
/// What the directory is, and of which version.
pub(crate) const MARKER: &str = ".kode-store";
/// Space that is given up when there is none left.
pub(crate) const RESERVE: &str = ".reserve";
/// Written and removed by a readiness check.
pub(crate) const PROBE: &str = ".probe";
/// What repairs took out of use, a directory each.
pub(crate) const QUARANTINE: &str = ".quarantine";
/// A file for each agent whose last lease was not given back clean.
pub(crate) const UNFINISHED: &str = ".unfinished";
/// A file for each name whose highest epoch its journal does not tell: tombstones, and leases without entries.
pub(crate) const TOMBSTONES: &str = ".tombstones";

/// The node log.
pub(crate) const LOG: &str = ".log";
/// Which start of the machine the log was last replayed under.
pub(crate) const BOOT: &str = ".log/boot";

/// An agent's directory before it has its name.
pub(crate) fn coming(agent: &AgentId) -> String {
    format!(".new-{agent}")
}

/// An agent's directory after it lost its name.
pub(crate) fn going(agent: &AgentId) -> String {
    format!(".gone-{agent}")
}

/// Where an agent's blobs are.
pub(crate) fn blobs(agent: &AgentId) -> String {
    format!("{agent}/blobs")
}

/// Whether a crash left this behind, to be removed when the store is opened.
pub(crate) fn is_leftover(name: &str) -> bool {
    name.starts_with(".new-") || name.starts_with(".gone-")
}

/// The mark of unfinished work.
pub(crate) fn mark(agent: &AgentId) -> String {
    format!("{UNFINISHED}/{agent}")
}

/// The record of the highest epoch.
pub(crate) fn tombstone(agent: &AgentId) -> String {
    format!("{TOMBSTONES}/{agent}")
}
