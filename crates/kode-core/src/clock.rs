//! Ports for time and for fresh ids, so that tests own both.

use async_trait::async_trait;

use crate::id::{MessageId, Millis, SnapshotId};

/// Time. The machine never asks: it is told.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> Millis;

    /// Returns once [`Clock::now`] is at or past `at`. Cancel safe.
    async fn until(&self, at: Millis);

    /// The time that leases are counted by: it goes on while the machine sleeps, and nobody sets it. It is near
    /// [`Clock::now`] and may drift from it, so the two are not to be compared.
    fn steady(&self) -> Millis {
        self.now()
    }

    /// Returns once [`Clock::steady`] is at or past `at`. Cancel safe.
    async fn until_steady(&self, at: Millis) {
        self.until(at).await;
    }
}

/// Fresh ids.
pub trait Ids: Send + Sync + 'static {
    /// A message id that was never given before.
    fn message_id(&self) -> MessageId;

    /// The tail of a generated agent id: never given before, of characters that an agent id may have.
    fn agent_suffix(&self) -> String;

    /// The name of a snapshot that was given none; never given before.
    fn snapshot_id(&self) -> SnapshotId {
        SnapshotId::new(format!("snap_{}", self.agent_suffix()))
    }
}
