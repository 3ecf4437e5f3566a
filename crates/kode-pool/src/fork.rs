//! Forks of agents, whether they are live or not.

use futures_util::{StreamExt, stream};
use kode_core::id::AgentId;
use kode_core::lineage::Ancestor;
use kode_core::sandbox::Copied;
use kode_core::store::StoreError;
use kode_core::{Agent, ForkSpec};
use tokio::sync::oneshot;

use crate::census::AgentInfo;
use crate::error::PoolError;
use crate::pool::{Inner, Pool};
use crate::slots::{Entry, Grip, Hold, Resident};

/// Agents whose first entries are read at once.
const READS_AT_ONCE: usize = 16;

/// A fork that was made, live in the pool.
#[derive(Clone)]
pub struct Forked {
    /// Its handle.
    pub agent: Agent,
    /// The agent that it was forked from, and the entry.
    pub from: Ancestor,
    /// What was copied of the files, where they were.
    pub copied: Option<Copied>,
    _grip: Grip,
}

/// Some forks, in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub struct Forks {
    /// Each with the agents that it goes back to, oldest first.
    pub forks: Vec<AgentInfo>,
    /// The `after` of the next page; none at the end.
    pub next: Option<AgentId>,
}

impl Pool {
    /// Makes another agent that begins with what `parent` was at a place of its journal, and takes it up: see
    /// [`kode_core::Runtime::fork`]. The parent may be at work, or not live at all. Cancel safe: a fork that began is
    /// made.
    ///
    /// # Errors
    /// What [`kode_core::ForkError`] says, with nothing changed; [`PoolError::NotFound`] where there is no parent; `Full`;
    /// `Draining`.
    pub async fn fork(&self, parent: &AgentId, spec: ForkSpec) -> Result<Forked, PoolError> {
        if self.is_draining() {
            return Err(PoolError::Draining);
        }
        let id = spec.agent.clone().map_or_else(|| self.runtime().name_fork(parent), Ok)?;
        let spec = ForkSpec { agent: Some(id.clone()), ..spec };
        let exists = || PoolError::from(kode_core::ForkError::Exists(id.clone()));
        loop {
            match self.inner.slots.enter(&id)? {
                Entry::Live(_) => return Err(exists()),
                Entry::Wait(departure) => drop(departure.await),
                // Either it is opened, and exists, or the next look meets a vacant name.
                Entry::Join(flight) => {
                    if let Ok(Ok(_)) = flight.await {
                        return Err(exists());
                    }
                }
                Entry::Lead(hold, land, _) => {
                    let (inner, parent) = (self.inner.clone(), parent.clone());
                    let (tell, told) = oneshot::channel();
                    tokio::spawn(async move {
                        let forked = inner.fork(hold, &parent, spec).await;
                        // To those who waited for the name there is no such agent, whatever the reason is.
                        let landing = forked.as_ref().map(|forked| forked._grip.clone());
                        let _ = land.send(landing.map_err(|_| PoolError::NotFound(id)));
                        let _ = tell.send(forked);
                    });
                    return told.await.unwrap_or(Err(PoolError::Panicked));
                }
            }
        }
    }

    /// Forks of an agent, forks of its forks too, as far as they remember it: those among `limit` agents under
    /// any of these prefixes (by whole `:` segments) whose name is above `after`. Reads the first entries of each, and folds only
    /// those that are forks of it.
    ///
    /// # Errors
    /// The store's, where the names cannot be listed.
    pub async fn forks(
        &self,
        of: &AgentId,
        prefixes: &[impl AsRef<str>],
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<Forks, StoreError> {
        let (ids, next) = self.names(prefixes, after, limit).await?;
        let infos = stream::iter(ids).map(|id| self.fork_of(id, of)).buffered(READS_AT_ONCE);
        Ok(Forks { forks: infos.filter_map(std::future::ready).collect().await, next })
    }

    /// What is known of an agent, if it goes back to `of`. One that cannot be read is shown as such where its first
    /// entries are whole.
    async fn fork_of(&self, id: AgentId, of: &AgentId) -> Option<AgentInfo> {
        let lineage = self.runtime().lineage(&id).await.ok().flatten()?;
        if !lineage.iter().any(|ancestor| ancestor.agent_id == *of) {
            return None;
        }
        self.info(id).await
    }
}

impl Inner {
    async fn fork(
        self: &std::sync::Arc<Self>,
        hold: Hold,
        parent: &AgentId,
        spec: ForkSpec,
    ) -> Result<Forked, PoolError> {
        let place = self.place().await?;
        let forked = self.runtime.fork(parent, spec).await?;
        self.remember_sandbox(&forked.agent);
        let resident = Resident::new(forked.agent.clone(), place);
        let grip = resident.grip(true);
        hold.settle(resident);
        Ok(Forked { agent: forked.agent, from: forked.from, copied: forked.copied, _grip: grip })
    }
}
