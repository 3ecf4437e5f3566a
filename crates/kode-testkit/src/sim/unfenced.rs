//! Stores that lack what a store must do: a simulation that finds nothing wrong with them proves nothing.
//!
//! For tests of tests only. All that is kept is in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Millis, Seq};
use kode_core::store::decorate::Decorator;
use kode_core::store::memory::MemoryStore;
use kode_core::store::{
    Abandoned, After, BlobName, Checkpoint, Durability, Elision, Head, Lease, Leases, Store, StoreError,
    StoreResult,
};

/// What an append is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Whether its epoch is in force. Its place must be the journal's end.
    Epoch,
    /// Anything: it gets the place at the journal's end, whoever sends it and whatever that one believes to be there.
    Everything,
}

/// A store that takes appends which it should refuse. Leases are granted as they should be.
#[derive(Debug)]
pub struct Unfenced {
    leases: MemoryStore,
    lack: Lack,
    journals: Mutex<BTreeMap<AgentId, Vec<Entry>>>,
}

impl Unfenced {
    /// A store that lacks this.
    #[must_use]
    pub fn new(lack: Lack) -> Self {
        Self { leases: MemoryStore::new(), lack, journals: Mutex::default() }
    }

    fn end_of(&self, agent: &AgentId) -> Option<Head> {
        let journals = self.journals();
        let last = journals.get(agent).and_then(|journal| journal.last());
        last.map(|last| Head { seq: last.seq, epoch: last.epoch, cursor: last.last_cursor() })
    }

    fn journals(&self) -> MutexGuard<'_, BTreeMap<AgentId, Vec<Entry>>> {
        self.journals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(journal: &[Entry]) -> Seq {
    journal.last().map(|entry| entry.seq).unwrap_or_default()
}

#[async_trait]
impl Decorator for Unfenced {
    fn inner(&self) -> &dyn Store {
        &self.leases
    }

    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        _: Durability,
    ) -> StoreResult<()> {
        let mut journals = self.journals();
        let journal = journals.entry(lease.agent.clone()).or_default();
        if self.lack == Lack::Epoch && end(journal) != expected {
            return Err(StoreError::Conflict { expected, actual: end(journal) });
        }
        for entry in entries {
            let seq = end(journal).next();
            journal.push(Entry { seq, ..entry.clone() });
        }
        Ok(())
    }

    async fn elide(&self, _: &Lease, _: &[Elision]) -> StoreResult<()> {
        Ok(())
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        let journals = self.journals();
        let journal = journals.get(agent).map(Vec::as_slice).unwrap_or_default();
        let from = journal.iter().position(|entry| match after {
            After::Seq(seq) => entry.seq > seq,
            After::Cursor(cursor) => entry.events > 0 && entry.last_cursor() > cursor,
        });
        Ok(journal[from.unwrap_or(journal.len())..].iter().take(limit).cloned().collect())
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        Ok(self.end_of(agent))
    }

    async fn abandoned(&self, now: Millis) -> StoreResult<Vec<Abandoned>> {
        let mut abandoned = self.leases.abandoned(now).await?;
        for left in &mut abandoned {
            left.head = self.end_of(&left.agent).unwrap_or_default();
        }
        Ok(abandoned)
    }

    async fn save_checkpoint(&self, _: &Lease, _: &Checkpoint) -> StoreResult<()> {
        Ok(())
    }

    async fn put_blob(&self, _: &Lease, _: &BlobName, _: &Bytes) -> StoreResult<()> {
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        let journals = self.journals();
        let wanted =
            journals.keys().filter(|id| id.is_under(prefix) && after.is_none_or(|after| *id > after));
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        self.journals().remove(&lease.agent);
        self.leases.release(lease, true).await
    }
}
