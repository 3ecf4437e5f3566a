//! The store that spans are made beside: everything passes through it, and nothing waits for a span.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use kode_core::fact::{Entry, Fact};
use kode_core::id::{AgentId, Seq};
use kode_core::store::decorate::Decorator;
use kode_core::store::{After, Durability, Lease, Store, StoreResult};

use super::{Moment, Turns, is_of_a_turn};

/// Among so many first entries is the one that names the template.
const FIRST_ENTRIES: usize = 3;

pub(crate) struct TracedStore {
    inner: Arc<dyn Store>,
    turns: Arc<Turns>,
}

impl TracedStore {
    pub(crate) fn new(inner: Arc<dyn Store>, turns: Arc<Turns>) -> Self {
        Self { inner, turns }
    }

    /// Finds out once what an agent was made from that was taken up again. It may stay unknown.
    async fn name(&self, agent: &AgentId) {
        let Ok(first) = self.inner.read(agent, After::Seq(Seq(0)), FIRST_ENTRIES).await else { return };
        let template = first.iter().find_map(|entry| match &entry.fact {
            Fact::Created { template, .. } | Fact::Forked { template, .. } => Some(template.as_str()),
            _ => None,
        });
        self.turns.name(agent, template.unwrap_or_default());
    }
}

#[async_trait]
impl Decorator for TracedStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        let before = SystemTime::now();
        self.inner.append(lease, expected, entries, grade).await?;
        if grade == Durability::Buffered {
            // Pieces of an answer.
            return Ok(());
        }
        let moment = Moment { before, after: SystemTime::now() };
        if entries.iter().any(|entry| is_of_a_turn(&entry.fact)) && self.turns.is_nameless(&lease.agent) {
            self.name(&lease.agent).await;
        }
        self.turns.took(&lease.agent, entries, moment);
        Ok(())
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        self.turns.left(&lease.agent);
        self.inner.release(lease, clean).await
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        self.turns.left(&lease.agent);
        self.inner.delete(lease).await
    }
}
