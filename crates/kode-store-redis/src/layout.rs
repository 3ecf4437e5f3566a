//! The names of keys. All keys of one agent have its id as their hash tag, so that they are in one slot of a cluster
//! and one function can work on them; what is about all agents is in a slot of its own, under a tag that no id is.

use std::fmt;

use kode_core::id::AgentId;
use kode_core::store::BlobName;
use kode_core::store::counters::Day;

/// The key names of a store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    prefix: String,
}

impl Layout {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    fn of(&self, agent: impl fmt::Display, what: &str) -> String {
        format!("{}:{{{agent}}}:{what}", self.prefix)
    }

    fn of_all(&self, what: &str) -> String {
        format!("{}:{{*}}:{what}", self.prefix)
    }

    /// A hash: where the journal ends, the lease, the epochs, the mark. What a deleted agent leaves of it is its
    /// tombstone.
    pub(crate) fn agent(&self, agent: &AgentId) -> String {
        self.of(agent, "agent")
    }

    /// A sorted set: the journal's entries by their seq. No list or stream: an elided run is replaced where it was.
    pub(crate) fn log(&self, agent: &AgentId) -> String {
        self.of(agent, "log")
    }

    /// A hash: the documents of the checkpoint.
    pub(crate) fn checkpoint(&self, agent: &AgentId) -> String {
        self.of(agent, "checkpoint")
    }

    /// A set: the names of the blobs.
    pub(crate) fn blobs(&self, agent: &AgentId) -> String {
        self.of(agent, "blobs")
    }

    /// A string: one blob.
    pub(crate) fn blob(&self, agent: &AgentId, name: &BlobName) -> String {
        format!("{}{name}", self.blob_prefix(agent))
    }

    /// What the keys of an agent's blobs begin with.
    pub(crate) fn blob_prefix(&self, agent: &AgentId) -> String {
        self.of(agent, "blob:")
    }

    /// The index: the last mark, the names in their order, their marks, the marks of unfinished agents.
    pub(crate) fn index(&self) -> [String; 4] {
        ["mark", "names", "marks", "unfinished"].map(|what| self.of_all(what))
    }

    /// A hash: the nodes.
    pub(crate) fn nodes(&self) -> String {
        self.of_all("nodes")
    }

    /// A hash: the counts of a day.
    pub(crate) fn counts(&self, day: Day) -> String {
        self.of_all(&format!("counts:{}", day.0))
    }

    /// A string: the version of this layout.
    pub(crate) fn format(&self) -> String {
        self.of_all("format")
    }

    /// A string that is written to see whether writing works.
    pub(crate) fn probe(&self) -> String {
        self.of_all("probe")
    }

    /// A channel: that the agent's journal moved.
    pub(crate) fn wakes(&self, agent: &str) -> String {
        self.of(agent, "moved")
    }

    /// A channel of one process, to see whether channels work.
    pub(crate) fn wakes_of_all(&self, own: &str) -> String {
        self.of_all(&format!("moved:{own}"))
    }

    /// What the keys of agents match, and the agent of such a key.
    pub(crate) fn agents(&self) -> String {
        format!("{}:{{*}}:agent", self.prefix)
    }

    /// The agent whose hash this is.
    pub(crate) fn agent_of(&self, key: &str) -> Option<AgentId> {
        let id = key.strip_prefix(&self.prefix)?.strip_prefix(":{")?.strip_suffix("}:agent")?;
        AgentId::new(id).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_keys_have_its_id_as_their_tag_and_no_id_is_the_tag_of_all() {
        let (layout, agent) = (Layout::new("kode"), AgentId::new("user:1").unwrap());
        let blob = BlobName::new("result-call_1_0").unwrap();
        let keys = [layout.agent(&agent), layout.log(&agent), layout.blob(&agent, &blob)];
        assert_eq!(keys, ["kode:{user:1}:agent", "kode:{user:1}:log", "kode:{user:1}:blob:result-call_1_0"]);
        assert_eq!(layout.agent_of(&keys[0]), Some(agent));
        assert_eq!(layout.agent_of(&keys[1]), None);
        assert!(AgentId::new("*").is_err());
    }
}
