//! Epochs rise with every grant, and only the newest one writes. Cursors rise with every event, for ever.

use std::collections::BTreeMap;

use kode_core::event::Envelope;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Cursor, Epoch};
use kode_core::store::Lease;

use super::Checked;

/// The newest epoch of each agent.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    granted: BTreeMap<AgentId, Epoch>,
    grants: u64,
}

impl Epochs {
    pub(super) fn granted(&mut self, lease: &Lease) -> Checked {
        self.grants += 1;
        let before = self.granted.insert(lease.agent.clone(), lease.epoch);
        match before.filter(|before| *before >= lease.epoch) {
            Some(before) => Err(format!("{} got epoch {} after {before}", lease.agent, lease.epoch)),
            None => Ok(()),
        }
    }

    pub(super) fn accepted(&self, lease: &Lease, entries: &[Entry]) -> Checked {
        let newest = self.granted.get(&lease.agent).copied().unwrap_or_default();
        let stale = |entry: &&Entry| entry.epoch != newest || lease.epoch != newest;
        match entries.iter().find(stale) {
            Some(entry) => Err(format!(
                "entry {} of {} was accepted of epoch {} under a lease of {}, and {newest} was granted",
                entry.seq, lease.agent, entry.epoch, lease.epoch
            )),
            None => Ok(()),
        }
    }

    pub(super) fn grants(&self) -> u64 {
        self.grants
    }
}

/// The last cursor of each agent.
#[derive(Debug, Default)]
pub(super) struct Cursors(BTreeMap<AgentId, Cursor>);

impl Cursors {
    pub(super) fn used(&mut self, agent: &AgentId, entry: &Entry, told: &[Envelope]) -> Checked {
        let last = self.0.entry(agent.clone()).or_default();
        for envelope in told {
            if envelope.cursor <= *last {
                let (cursor, seq) = (envelope.cursor, entry.seq);
                return Err(format!("entry {seq} of {agent} uses cursor {cursor} when {last} was used"));
            }
            *last = envelope.cursor;
        }
        Ok(())
    }
}
