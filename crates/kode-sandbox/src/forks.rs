//! Work directories of forks: copied, or shared with another agent.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{Copied, FileError, ForkFiles};
use tokio::sync::Semaphore;

use crate::factory::LocalSandbox;
use crate::files::{self, WORK};
use crate::workspace::blocking;

/// Copies that are made at once: more would only fight for the disk, and each holds descriptors.
const COPIES_AT_ONCE: usize = 4;

/// The places for copies of one sandbox.
pub(crate) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(COPIES_AT_ONCE))
}

impl LocalSandbox {
    async fn hop<T, F>(&self, work: F) -> Result<T, FileError>
    where
        T: Send + 'static,
        F: FnOnce(&OwnedFd) -> Result<T, FileError> + Send + 'static,
    {
        let parent = self.parent.clone();
        blocking(WORK, move || work(&parent)).await
    }
}

#[async_trait]
impl ForkFiles for LocalSandbox {
    async fn is_vacant(&self, agent: &AgentId) -> Result<bool, FileError> {
        let agent = agent.clone();
        self.hop(move |parent| files::is_vacant(parent, agent.as_str())).await
    }

    async fn copy(&self, from: &AgentId, ticket: &str) -> Result<Copied, FileError> {
        let (from, ticket) = (from.clone(), checked(ticket)?);
        let place = self.copies.clone().acquire_owned().await;
        self.hop(move |parent| {
            // Held by the copy itself: who asked for it may go away.
            let _place = place;
            files::copy_tree(parent, from.as_str(), ticket.as_str())
        })
        .await
    }

    async fn settle(&self, ticket: &str, to: &AgentId) -> Result<(), FileError> {
        let (ticket, to) = (checked(ticket)?, to.clone());
        self.hop(move |parent| files::settle(parent, ticket.as_str(), to.as_str())).await
    }

    async fn discard(&self, ticket: &str) -> Result<(), FileError> {
        let ticket = checked(ticket)?;
        self.hop(move |parent| files::discard(parent, ticket.as_str())).await
    }

    async fn share(&self, owner: &AgentId, user: &AgentId) -> Result<(), FileError> {
        let (owner, user, sharing) = (owner.clone(), user.clone(), self.sharing.clone());
        self.hop(move |parent| {
            let _held = files::held(&sharing);
            files::note(parent, owner.as_str(), user.as_str())?;
            files::work_directory(parent, owner.as_str()).map(drop)
        })
        .await
    }

    async fn unshare(&self, owner: &AgentId, user: &AgentId) -> Result<(), FileError> {
        let (owner, user, sharing) = (owner.clone(), user.clone(), self.sharing.clone());
        self.hop(move |parent| {
            let _held = files::held(&sharing);
            files::take_back(parent, owner.as_str(), user.as_str())
        })
        .await
    }
}

/// A ticket becomes part of a file's name.
fn checked(ticket: &str) -> Result<AgentId, FileError> {
    AgentId::new(ticket).map_err(|why| FileError::BadPath { path: ticket.into(), why: why.to_string() })
}
