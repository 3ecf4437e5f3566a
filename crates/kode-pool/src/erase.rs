//! Deletion: final, also for an agent that can no longer be taken up.

use kode_core::SendError;
use kode_core::id::AgentId;
use kode_core::lineage::Files;
use kode_core::sandbox::FileError;

use crate::error::PoolError;
use crate::pool::{Inner, Pool};
use crate::slots::{Hold, Resident};

impl Pool {
    /// Interrupts the agent, waits for its tools to be gone, removes it for good and, with `workspace`, its
    /// files. Files that forks share go with the last agent that is deleted so. Goes on when the future is dropped.
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
        let files = self.files_of(&id, resident.as_ref()).await;
        if let Err(error) = self.remove(&id, resident.as_ref()).await {
            // Still the agent that it was: whoever asks next meets it, not a second one.
            if let Some(resident) = resident {
                hold.settle(resident);
            }
            return Err(error);
        }
        self.leave_files(&id, &files, workspace).await.map_err(PoolError::Sandbox)
    }

    /// In which work directory the agent works; its own, where that cannot be read any more.
    async fn files_of(&self, id: &AgentId, resident: Option<&Resident>) -> Files {
        match resident {
            Some(resident) => resident.agent.view().files.clone(),
            None => self.runtime.look(id).await.ok().flatten().map(|view| view.files).unwrap_or_default(),
        }
    }

    /// Gives up the files of an agent that is gone, and with `remove` removes them unless another agent works in
    /// them.
    async fn leave_files(&self, id: &AgentId, files: &Files, remove: bool) -> Result<(), FileError> {
        let sandboxes = self.runtime.sandboxes();
        match (files, sandboxes.forks()) {
            (Files::Copied { ticket }, Some(forks)) => forks.settle(ticket, id).await?,
            (Files::Shared { owner }, Some(forks)) => forks.unshare(owner, id).await?,
            (Files::Own, _) | (Files::Copied { .. } | Files::Shared { .. }, None) => {}
        }
        match files {
            _ if !remove => Ok(()),
            Files::Own | Files::Copied { .. } => sandboxes.remove(id).await,
            Files::Shared { owner } => self.remove_for_the_last(owner).await,
        }
    }

    /// Removes shared files where their owner is gone too; who else works in them is known to the sandbox.
    async fn remove_for_the_last(&self, owner: &AgentId) -> Result<(), FileError> {
        // An owner that is live or being opened works in them; while this is held, none comes to be.
        let Some(_hold) = self.slots.seize_vacant(owner) else { return Ok(()) };
        match self.runtime.store().head(owner).await {
            Ok(None) => self.runtime.sandboxes().remove(owner).await,
            Ok(Some(_)) | Err(_) => Ok(()),
        }
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
