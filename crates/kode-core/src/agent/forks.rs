//! Snapshots and forks by an agent's handle.

use super::{Agent, SendError};
use crate::id::SnapshotId;
use crate::lineage::Snapshot;
use crate::machine::Input;
use crate::runtime::{ForkError, ForkSpec, Forked, Runtime};

impl Agent {
    /// Names the newest entry at which no call is open, to fork there later. Without a label it gets a fresh name.
    /// Durable when this returns.
    ///
    /// # Errors
    /// [`crate::machine::Rejected::SnapshotExists`], [`crate::machine::Rejected::BadLabel`]; the store's;
    /// [`SendError::Gone`].
    pub async fn snapshot(&self, label: Option<&str>) -> Result<Snapshot, SendError> {
        let id = label.map_or_else(|| self.shared.ids.snapshot_id(), SnapshotId::new);
        self.input(Input::Snapshot { id: id.clone() }).await?;
        let view = self.view();
        let named = view.snapshots.iter().find(|snapshot| snapshot.id == id);
        // What was accepted is in the view before it is answered.
        named.cloned().ok_or(SendError::Gone)
    }

    /// The named places of its journal, oldest first.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.view().snapshots.to_vec()
    }

    /// [`Runtime::fork`] of this agent. Where a pool keeps the agents, use the pool's, which is to know of the fork.
    ///
    /// # Errors
    /// As [`Runtime::fork`].
    pub async fn fork(&self, spec: ForkSpec) -> Result<Forked, ForkError> {
        Runtime::of(self.shared.clone()).fork(self.id(), spec).await
    }
}
