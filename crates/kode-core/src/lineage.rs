//! Where an agent comes from, which work directory it has, and the places of its journal that have a name.
//!
//! Plain values. What may be forked is a rule of the machine; copying files is the sandbox's.

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, Millis, Seq, SnapshotId};

/// An agent that another one goes back to, and the entry up to which that one took over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ancestor {
    /// Which agent. It may be gone: nothing of it is needed any more.
    pub agent_id: AgentId,
    /// The entry of its journal.
    pub seq: Seq,
}

/// A named place of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Its name; unique in the agent.
    pub id: SnapshotId,
    /// The entry: no call was open there, so it can be forked at.
    pub seq: Seq,
    /// When it got its name.
    pub created_at: Millis,
}

/// In which work directory an agent works.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "files", rename_all = "snake_case")]
pub enum Files {
    /// In its own, which began empty.
    #[default]
    Own,
    /// In its own, which began as a copy.
    Copied {
        /// The name under which the copy was made, before the agent existed.
        ticket: String,
    },
    /// In that of another agent.
    Shared {
        /// Whose.
        owner: AgentId,
    },
}

impl Files {
    /// The agent whose work directory `agent` works in.
    #[must_use]
    pub fn owner<'a>(&'a self, agent: &'a AgentId) -> &'a AgentId {
        match self {
            Self::Own | Self::Copied { .. } => agent,
            Self::Shared { owner } => owner,
        }
    }
}

/// Where to fork an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ForkPoint {
    /// At its newest entry at which no call is open. While it works, that is where its last round of calls was
    /// over, or where it is now if none is under way; an answer that is being written stays behind.
    #[default]
    Last,
    /// At this entry.
    Seq(Seq),
    /// At a named one.
    Snapshot(SnapshotId),
}

/// Why a place cannot be forked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForkable {
    /// A call is open there.
    #[error("a tool call is open at seq {at}; {}", hint(*.nearest))]
    OpenCall {
        /// The place.
        at: Seq,
        /// The nearest one before it that can be forked at, if there is one.
        nearest: Option<Seq>,
    },
    /// The journal has not come so far.
    #[error("seq {at} is from the future: the journal ends at {head}; {}", hint(*.nearest))]
    Future {
        /// The place.
        at: Seq,
        /// The last entry.
        head: Seq,
        /// As above.
        nearest: Option<Seq>,
    },
    /// The agent did not exist yet.
    #[error("the agent did not exist yet at seq {0}; fork at a later one")]
    TooEarly(Seq),
    /// The history there is one that no model would take.
    #[error("the history at seq {at} is not whole: {why}")]
    Flawed {
        /// The place.
        at: Seq,
        /// What is wrong with it.
        why: String,
    },
    /// There is no snapshot of that name.
    #[error("the agent has no snapshot {0:?}; its snapshots are listed with it")]
    UnknownSnapshot(SnapshotId),
}

fn hint(seq: Option<Seq>) -> String {
    match seq {
        Some(seq) => format!("the nearest earlier seq that can be forked at is {seq}"),
        None => "no earlier one can be forked at".to_owned(),
    }
}
