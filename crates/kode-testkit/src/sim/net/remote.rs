//! The store's ports at a node's end of the network. Each call is one request; times are told by the asker's clock.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Millis, Seq};
use kode_core::store::{
    Abandoned, After, BlobName, BlobPart, Blobs, Catalog, Checkpoint, Checkpoints, Durability, Elision, Head,
    Holder, Journal, Lease, Leases, Node, Nodes, Store, StoreError, StoreResult,
};

use super::Net;

type Shared = Arc<dyn Store>;

/// The store as one node sees it.
#[derive(Clone)]
pub struct Remote {
    pub(super) net: Net,
    pub(super) node: String,
}

/// A time of the store's clock by the asker's, whose `now` was taken before the request.
fn by_asker(at: Millis, store: Millis, now: Millis) -> Millis {
    now.saturating_add(at.saturating_sub(store))
}

#[async_trait]
impl Journal for Remote {
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        let what = format!("append {} {}+{} of {}", lease.agent, expected, entries.len(), lease.epoch);
        let (lease, entries) = (lease.clone(), entries.to_vec());
        let append = move |store: Shared, _| {
            Box::pin(async move { store.append(&lease, expected, &entries, grade).await }) as _
        };
        self.net.ask(&self.node, what, append).await
    }

    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        let (what, lease, runs) = (format!("elide {}", lease.agent), lease.clone(), runs.to_vec());
        let elide = |store: Shared, _| Box::pin(async move { store.elide(&lease, &runs).await }) as _;
        self.net.ask(&self.node, what, elide).await
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        let (what, agent) = (format!("read {agent} {after:?}"), agent.clone());
        let read =
            move |store: Shared, _| Box::pin(async move { store.read(&agent, after, limit).await }) as _;
        self.net.ask(&self.node, what, read).await
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        let (what, agent) = (format!("head {agent}"), agent.clone());
        let head = |store: Shared, _| Box::pin(async move { store.head(&agent).await }) as _;
        self.net.ask(&self.node, what, head).await
    }
}

#[async_trait]
impl Leases for Remote {
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        let (what, agent, holder) = (format!("acquire {agent}"), agent.clone(), holder.to_owned());
        let acquire = move |store: Shared, at: Millis| {
            Box::pin(async move {
                let granted = store.acquire(&agent, &holder, ttl, at).await;
                granted.map(|lease| Lease { expires: by_asker(lease.expires, at, now), ..lease }).map_err(
                    |error| match error {
                        StoreError::Held { until, holder } => {
                            StoreError::Held { until: by_asker(until, at, now), holder }
                        }
                        other => other,
                    },
                )
            }) as _
        };
        self.net.ask(&self.node, what, acquire).await
    }

    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        let (what, lease) = (format!("renew {} of {}", lease.agent, lease.epoch), lease.clone());
        let renew = move |store: Shared, at: Millis| {
            Box::pin(async move {
                let renewed = store.renew(&lease, ttl, at).await?;
                Ok(Lease { expires: by_asker(renewed.expires, at, now), ..renewed })
            }) as _
        };
        self.net.ask(&self.node, what, renew).await
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        let what = format!("release {} of {}{}", lease.agent, lease.epoch, if clean { " clean" } else { "" });
        let release = move |store: Shared, _| Box::pin(async move { store.release(lease, clean).await }) as _;
        self.net.ask(&self.node, what, release).await
    }

    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        let (what, agent) = (format!("holder {agent}"), agent.clone());
        let holder = move |store: Shared, at: Millis| {
            Box::pin(async move {
                let found = store.holder(&agent, at).await?;
                Ok(found.map(|held| Holder { expires: by_asker(held.expires, at, now), ..held }))
            }) as _
        };
        self.net.ask(&self.node, what, holder).await
    }

    async fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        let unfinished = |store: Shared, _| Box::pin(async move { store.unfinished().await }) as _;
        self.net.ask(&self.node, "unfinished", unfinished).await
    }

    async fn abandoned(&self, _: Millis) -> StoreResult<Vec<Abandoned>> {
        let abandoned = |store: Shared, at: Millis| Box::pin(async move { store.abandoned(at).await }) as _;
        self.net.ask(&self.node, "abandoned", abandoned).await
    }
}

#[async_trait]
impl Checkpoints for Remote {
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        let what = format!("checkpoint {} at {}", lease.agent, checkpoint.seq);
        let (lease, checkpoint) = (lease.clone(), checkpoint.clone());
        let save =
            |store: Shared, _| Box::pin(async move { store.save_checkpoint(&lease, &checkpoint).await }) as _;
        self.net.ask(&self.node, what, save).await
    }

    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        let (what, agent) = (format!("checkpoint of {agent}"), agent.clone());
        let load = |store: Shared, _| Box::pin(async move { store.load_checkpoint(&agent).await }) as _;
        self.net.ask(&self.node, what, load).await
    }
}

#[async_trait]
impl Blobs for Remote {
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        let what = format!("put {name} of {}", lease.agent);
        let (lease, name, bytes) = (lease.clone(), name.clone(), bytes.clone());
        let put =
            |store: Shared, _| Box::pin(async move { store.put_blob(&lease, &name, &bytes).await }) as _;
        self.net.ask(&self.node, what, put).await
    }

    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        let (what, agent, name) = (format!("get {name} of {agent}"), agent.clone(), name.clone());
        let read = move |store: Shared, _| {
            Box::pin(async move { store.read_blob(&agent, &name, offset, limit).await }) as _
        };
        self.net.ask(&self.node, what, read).await
    }
}

#[async_trait]
impl Catalog for Remote {
    fn kind(&self) -> &'static str {
        "simulated"
    }

    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        let list = move |store: Shared, _| {
            Box::pin(async move { store.list(&prefix, after.as_ref(), limit).await }) as _
        };
        self.net.ask(&self.node, "list", list).await
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        let what = format!("delete {} of {}", lease.agent, lease.epoch);
        let delete = |store: Shared, _| Box::pin(async move { store.delete(lease).await }) as _;
        self.net.ask(&self.node, what, delete).await
    }

    async fn ready(&self) -> StoreResult<()> {
        let ready = |store: Shared, _| Box::pin(async move { store.ready().await }) as _;
        self.net.ask(&self.node, "ready", ready).await
    }
}

#[async_trait]
impl Nodes for Remote {
    async fn announce(&self, node: &Node, ttl: Millis, _: Millis) -> StoreResult<()> {
        let node = node.clone();
        let announce = move |store: Shared, at: Millis| {
            Box::pin(async move { store.announce(&node, ttl, at).await }) as _
        };
        self.net.ask(&self.node, "announce", announce).await
    }

    async fn withdraw(&self, id: &str) -> StoreResult<()> {
        let id = id.to_owned();
        let withdraw = |store: Shared, _| Box::pin(async move { store.withdraw(&id).await }) as _;
        self.net.ask(&self.node, "withdraw", withdraw).await
    }

    async fn nodes(&self, _: Millis) -> StoreResult<Vec<Node>> {
        let nodes = |store: Shared, at: Millis| Box::pin(async move { store.nodes(at).await }) as _;
        self.net.ask(&self.node, "nodes", nodes).await
    }
}
