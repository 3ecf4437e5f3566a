//! The leases of the agents that are copied: while they are held nobody else writes to them.

use std::collections::BTreeSet;
use std::time::Duration;

use kode_core::id::{AgentId, Millis};
use kode_core::store::{Lease, Store, StoreError};

use super::now;
use crate::failure::Failure;

/// How long a lease lasts if this process dies.
pub(super) const TTL: Millis = 60_000;
/// How often all are renewed.
const EVERY: Duration = Duration::from_secs(15);

/// Leases in a store.
pub(super) struct Claims<'s> {
    store: &'s dyn Store,
    leases: Vec<Lease>,
    /// Agents that had unfinished work before.
    unfinished: BTreeSet<AgentId>,
}

impl<'s> Claims<'s> {
    /// Takes all, or none: one that is held by a server refuses.
    pub(super) async fn take(
        store: &'s dyn Store,
        holder: &str,
        agents: &[AgentId],
    ) -> Result<Self, Failure> {
        if let Some(node) = store.nodes(now()).await.map_err(Failure::failed)?.first() {
            return Err(Failure::failed(format!(
                "the node {} uses the source; stop the servers that use that store, and copy again",
                node.id
            )));
        }
        let unfinished = store.unfinished().await.map_err(Failure::failed)?.into_iter().collect();
        let mut claims = Self { store, leases: Vec::new(), unfinished };
        for agent in agents {
            match store.acquire(agent, holder, TTL, now()).await {
                Ok(lease) => claims.leases.push(lease),
                Err(error) => {
                    claims.give_back().await;
                    return Err(in_use(agent, &error));
                }
            }
        }
        Ok(claims)
    }

    pub(super) fn is_unfinished(&self, agent: &AgentId) -> bool {
        self.unfinished.contains(agent)
    }

    /// Renews all; an error if one is lost.
    pub(super) async fn renew(&self) -> Result<(), Failure> {
        for lease in &self.leases {
            let renewed = self.store.renew(lease, TTL, now()).await;
            renewed.map_err(|error| in_use(&lease.agent, &error))?;
        }
        Ok(())
    }

    /// Renews all, again and again; ends when one is lost.
    pub(super) async fn keep(&self) -> Result<(), Failure> {
        loop {
            self.renew().await?;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Gives all back, with the mark of unfinished work as it was. What cannot be given back ends by itself.
    pub(super) async fn give_back(self) {
        for lease in self.leases {
            let (agent, clean) = (lease.agent.clone(), !self.unfinished.contains(&lease.agent));
            if let Err(error) = self.store.release(lease, clean).await {
                tracing::warn!(%agent, %error, "a lease ends by itself within a minute");
            }
        }
    }
}

fn in_use(agent: &AgentId, error: &StoreError) -> Failure {
    Failure::failed(format!(
        "{agent} cannot be held at the source: {error}; stop the servers that use that store, and copy again"
    ))
}
