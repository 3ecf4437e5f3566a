//! Readers: from wherever one reads, behind its cursor comes the next event of the journal, and no other.

use std::collections::{BTreeMap, VecDeque};

use kode_core::event::Envelope;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Cursor};

use super::Checked;

/// How many facts of an agent a failure shows, and how much of each.
const SHOWN: usize = 16;
const WORDS: usize = 200;

/// All events of all agents, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    told: BTreeMap<AgentId, Vec<Envelope>>,
    /// The last facts of each, in words.
    last: BTreeMap<AgentId, VecDeque<String>>,
    entries: u64,
    read: u64,
}

impl Log {
    pub(super) fn entry(&mut self, agent: &AgentId, entry: &Entry, told: Vec<Envelope>) {
        self.entries += 1;
        let last = self.last.entry(agent.clone()).or_default();
        if last.len() == SHOWN {
            last.pop_front();
        }
        let words = format!("{} of {}: {:?}", entry.seq, entry.epoch, entry.fact);
        last.push_back(words.chars().take(WORDS).collect());
        self.told.entry(agent.clone()).or_default().extend(told);
    }

    pub(super) fn got(&mut self, agent: &AgentId, after: Cursor, envelope: &Envelope) -> Checked {
        self.read += 1;
        let told = self.told.get(agent).map(Vec::as_slice).unwrap_or_default();
        let next = told.get(told.partition_point(|told| told.cursor <= after));
        match next.is_some_and(|next| next == envelope) {
            true => Ok(()),
            false => Err(format!(
                "a reader of {agent} got {envelope:?} behind {after}, where the journal tells {next:?}"
            )),
        }
    }

    /// How an agent's journal ends, in words.
    pub(super) fn ending(&self, agent: &AgentId) -> String {
        self.last.get(agent).into_iter().flatten().map(|line| format!("\n  {agent} {line}")).collect()
    }

    pub(super) fn head(&self, agent: &AgentId) -> Cursor {
        self.told.get(agent).and_then(|told| told.last()).map(|last| last.cursor).unwrap_or_default()
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn read(&self) -> u64 {
        self.read
    }
}
