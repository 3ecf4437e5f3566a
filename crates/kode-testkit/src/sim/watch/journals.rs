//! Every journal, entry by entry, by the invariants that scenarios check: gapless, whole turns with one `done` each,
//! each message in one of them, calls with one start and one end, pieces of text that pair.

use std::collections::BTreeMap;

use kode_core::fact::Entry;
use kode_core::id::AgentId;

use super::Checked;
use crate::scenario::Invariants;

/// The journals of all agents.
#[derive(Debug, Default)]
pub(super) struct Journals(BTreeMap<AgentId, Invariants>);

impl Journals {
    pub(super) fn entry(&mut self, agent: &AgentId, entry: &Entry) -> Checked {
        let journal = self.0.entry(agent.clone()).or_default();
        journal.entry(entry).map_err(|why| format!("entry {} of {agent}: {why}", entry.seq))
    }
}
