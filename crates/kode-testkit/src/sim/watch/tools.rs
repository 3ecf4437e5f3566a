//! Tools, as the world sees them: each start was in the journal before, and one that is not replayable happens once.

use std::collections::BTreeMap;

use kode_core::fact::{Entry, Fact};
use kode_core::id::{AgentId, CallId};

use super::Checked;

#[derive(Debug, Default)]
struct Starts {
    /// In the journal.
    meant: u32,
    /// In the world.
    happened: u32,
}

/// The starts of every call.
#[derive(Debug, Default)]
pub(super) struct Tools {
    calls: BTreeMap<(AgentId, CallId), Starts>,
    starts: u64,
}

impl Tools {
    pub(super) fn entry(&mut self, agent: &AgentId, entry: &Entry) {
        if let Fact::ToolStarted { call, .. } = &entry.fact {
            self.calls.entry((agent.clone(), call.clone())).or_default().meant += 1;
        }
    }

    pub(super) fn start(&mut self, agent: &AgentId, call: &CallId, replayable: bool) -> Checked {
        self.starts += 1;
        let starts = self.calls.entry((agent.clone(), call.clone())).or_default();
        starts.happened += 1;
        let Starts { meant, happened } = *starts;
        if happened > 1 && !replayable {
            return Err(format!("{call} of {agent} happened {happened} times"));
        }
        if happened > meant {
            return Err(format!(
                "{call} of {agent} happened {happened} times, and {meant} starts are in the journal"
            ));
        }
        Ok(())
    }

    pub(super) fn starts(&self) -> u64 {
        self.starts
    }
}
