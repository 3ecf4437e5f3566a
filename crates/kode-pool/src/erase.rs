//! Deletion: final, also for an agent that can no longer be taken up.

use kode_core::SendError;
use kode_core::id::AgentId;

use crate::error::PoolError;
use crate::pool::{Inner, Pool};
use crate::slots::{Hold, Resident};

impl Pool {
    /// Interrupts the agent, waits for its tools to be gone, removes it for good and, with `workspace`, its
    /// files. Goes on when the future is dropped.
    ///
    /// # Errors
    /// [`PoolError::NotFound`]; the store's; [`PoolError::Sandbox`] where the agent is gone and its files
    /// are not.
    pub async fn delete(&self, id: &AgentId, workspace: bool) -> Result<(), PoolError> {
        if self.is_draining() {
            return Err(PoolError::Draining);
        }
        let (hold, resident) = self.seize(id).await;
        let inner = self.inner.clone();
        let erasing = tokio::spawn(async move { inner.erase(hold, resident, workspace).await });
        erasing.await.unwrap_or(Err(PoolError::Panicked))
    }
}

impl Inner {
    async fn erase(&self, hold: Hold, resident: Option<Resident>, workspace: bool) -> Result<(), PoolError> {
        let id = hold.id().clone();
        if let Err(error) = self.remove(&id, resident.as_ref()).await {
            // Still the agent that it was: whoever asks next meets it, not a second one.
            if let Some(resident) = resident {
                hold.settle(resident);
            }
            return Err(error);
        }
        if workspace {
            self.runtime.sandboxes().remove(&id).await.map_err(PoolError::Sandbox)?;
        }
        Ok(())
    }

    async fn remove(&self, id: &AgentId, resident: Option<&Resident>) -> Result<(), PoolError> {
        if resident.is_none() && self.runtime.store().head(id).await?.is_none() {
            return Err(PoolError::NotFound(id.clone()));
        }
        if let Err(error) = self.stop_and_delete(id, resident).await {
            // It cannot run: its template or work directory is gone, or the disk is full. It can still go.
            tracing::info!(agent = %id, %error, "removing an agent that could not be taken up");
            self.runtime.remove(id).await?;
        }
        Ok(())
    }

    async fn stop_and_delete(&self, id: &AgentId, resident: Option<&Resident>) -> Result<(), PoolError> {
        if let Some(resident) = resident {
            match resident.agent.delete().await {
                Err(SendError::Gone) => {}
                deleted => return Ok(deleted?),
            }
        }
        // Nobody drives it here. Taken up, it would go on with its work before it reads that it is deleted.
        Ok(self.runtime.remove(id).await?)
    }
}
