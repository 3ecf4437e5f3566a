//! Approvals: a call that waits for a person is decided once, whoever decides on whichever node.

use std::collections::BTreeSet;

use kode_core::fact::{Entry, Fact};
use kode_core::id::{AgentId, CallId};

use super::Checked;

/// The calls that were decided.
#[derive(Debug, Default)]
pub(super) struct Decisions(BTreeSet<(AgentId, CallId)>);

impl Decisions {
    pub(super) fn entry(&mut self, agent: &AgentId, entry: &Entry) -> Checked {
        let Fact::PermissionDecided { call, by, .. } = &entry.fact else { return Ok(()) };
        match self.0.insert((agent.clone(), call.clone())) {
            true => Ok(()),
            false => Err(format!("{call} of {agent} was decided again, by {by}")),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}
