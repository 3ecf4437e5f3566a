//! A store around another: says only what is to differ, and passes the rest through.
//!
//! For hosts that count, encrypt, trace or break a store in tests. What never belongs here: behaviour.

use async_trait::async_trait;
use bytes::Bytes;

use super::counters::Counters;
use super::wakes::Watch;
use super::{
    Abandoned, After, BlobName, BlobPart, Blobs, Catalog, Checkpoint, Checkpoints, Durability, Elision, Head,
    Holder, Journal, Lease, Leases, Node, Nodes, Store, StoreResult,
};
use crate::fact::Entry;
use crate::id::{AgentId, Millis, Seq};

/// A store around another. Every method passes through unless it is written anew; whoever implements this
/// trait is a [`Store`].
#[async_trait]
pub trait Decorator: Send + Sync + 'static {
    /// The store within.
    fn inner(&self) -> &dyn Store;

    /// As [`Catalog::kind`].
    fn kind(&self) -> &'static str {
        self.inner().kind()
    }

    /// As [`Journal::append`].
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        self.inner().append(lease, expected, entries, grade).await
    }

    /// As [`Journal::elide`].
    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        self.inner().elide(lease, runs).await
    }

    /// As [`Journal::read`].
    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        self.inner().read(agent, after, limit).await
    }

    /// As [`Journal::head`].
    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        self.inner().head(agent).await
    }

    /// As [`Journal::watch`].
    fn watch(&self, agent: &AgentId) -> Option<Watch> {
        self.inner().watch(agent)
    }

    /// As [`Leases::acquire`].
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.inner().acquire(agent, holder, ttl, now).await
    }

    /// As [`Leases::renew`].
    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.inner().renew(lease, ttl, now).await
    }

    /// As [`Leases::release`].
    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        self.inner().release(lease, clean).await
    }

    /// As [`Leases::holder`].
    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        self.inner().holder(agent, now).await
    }

    /// As [`Leases::unfinished`].
    async fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        self.inner().unfinished().await
    }

    /// As [`Leases::abandoned`].
    async fn abandoned(&self, now: Millis) -> StoreResult<Vec<Abandoned>> {
        self.inner().abandoned(now).await
    }

    /// As [`Checkpoints::save_checkpoint`].
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        self.inner().save_checkpoint(lease, checkpoint).await
    }

    /// As [`Checkpoints::load_checkpoint`].
    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        self.inner().load_checkpoint(agent).await
    }

    /// As [`Blobs::put_blob`].
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        self.inner().put_blob(lease, name, bytes).await
    }

    /// As [`Blobs::read_blob`].
    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        self.inner().read_blob(agent, name, offset, limit).await
    }

    /// As [`Catalog::list`].
    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        self.inner().list(prefix, after, limit).await
    }

    /// As [`Catalog::delete`].
    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        self.inner().delete(lease).await
    }

    /// As [`Catalog::counters`].
    fn counters(&self) -> Option<&dyn Counters> {
        self.inner().counters()
    }

    /// As [`Catalog::is_shared`].
    fn is_shared(&self) -> bool {
        self.inner().is_shared()
    }

    /// As [`Catalog::ready`].
    async fn ready(&self) -> StoreResult<()> {
        self.inner().ready().await
    }

    /// As [`Nodes::announce`].
    async fn announce(&self, node: &Node, ttl: Millis, now: Millis) -> StoreResult<()> {
        self.inner().announce(node, ttl, now).await
    }

    /// As [`Nodes::withdraw`].
    async fn withdraw(&self, id: &str) -> StoreResult<()> {
        self.inner().withdraw(id).await
    }

    /// As [`Nodes::nodes`].
    async fn nodes(&self, now: Millis) -> StoreResult<Vec<Node>> {
        self.inner().nodes(now).await
    }
}

#[async_trait]
impl<T: Decorator> Journal for T {
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        Decorator::append(self, lease, expected, entries, grade).await
    }

    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        Decorator::elide(self, lease, runs).await
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        Decorator::read(self, agent, after, limit).await
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        Decorator::head(self, agent).await
    }

    fn watch(&self, agent: &AgentId) -> Option<Watch> {
        Decorator::watch(self, agent)
    }
}

#[async_trait]
impl<T: Decorator> Leases for T {
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        Decorator::acquire(self, agent, holder, ttl, now).await
    }

    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        Decorator::renew(self, lease, ttl, now).await
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        Decorator::release(self, lease, clean).await
    }

    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        Decorator::holder(self, agent, now).await
    }

    async fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        Decorator::unfinished(self).await
    }

    async fn abandoned(&self, now: Millis) -> StoreResult<Vec<Abandoned>> {
        Decorator::abandoned(self, now).await
    }
}

#[async_trait]
impl<T: Decorator> Checkpoints for T {
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        Decorator::save_checkpoint(self, lease, checkpoint).await
    }

    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        Decorator::load_checkpoint(self, agent).await
    }
}

#[async_trait]
impl<T: Decorator> Blobs for T {
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        Decorator::put_blob(self, lease, name, bytes).await
    }

    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        Decorator::read_blob(self, agent, name, offset, limit).await
    }
}

#[async_trait]
impl<T: Decorator> Catalog for T {
    fn kind(&self) -> &'static str {
        Decorator::kind(self)
    }

    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        Decorator::list(self, prefix, after, limit).await
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        Decorator::delete(self, lease).await
    }

    async fn ready(&self) -> StoreResult<()> {
        Decorator::ready(self).await
    }

    fn counters(&self) -> Option<&dyn Counters> {
        Decorator::counters(self)
    }

    fn is_shared(&self) -> bool {
        Decorator::is_shared(self)
    }
}

#[async_trait]
impl<T: Decorator> Nodes for T {
    async fn announce(&self, node: &Node, ttl: Millis, now: Millis) -> StoreResult<()> {
        Decorator::announce(self, node, ttl, now).await
    }

    async fn withdraw(&self, id: &str) -> StoreResult<()> {
        Decorator::withdraw(self, id).await
    }

    async fn nodes(&self, now: Millis) -> StoreResult<Vec<Node>> {
        Decorator::nodes(self, now).await
    }
}
