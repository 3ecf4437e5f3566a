//! The store ports over the rooms beside; opening, and what the server must be for that. It holds no rule of an agent.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Millis, Seq};
use kode_core::store::counters::Counters;
use kode_core::store::wakes::Watch;
use kode_core::store::{
    Abandoned, After, BlobName, BlobPart, Blobs, Catalog, Checkpoint, Checkpoints, Durability, Elision, Head,
    Holder, Journal, Lease, Leases, Node, Nodes, StoreError, StoreResult,
};
use redis::cmd;

use crate::durability::Profile;
use crate::layout::Layout;
use crate::line::FORMAT;
use crate::script::{Args, DELETE};
use crate::server::Server;
use crate::url::RedisUrl;
use crate::wakes::Wakes;

/// A store in a Redis server, or in a cluster of them. Many processes may use it at once.
///
/// Must be used within a tokio runtime. Both grades of durability are the server's own: [`RedisStore::open`] refuses
/// one that is weaker than was asked for. Calls that were dropped may or may not have taken place.
pub struct RedisStore {
    pub(crate) server: Server,
    pub(crate) keys: Layout,
    accepted: Option<Profile>,
    /// Tells this store's requests from all others, so that the server knows one that comes twice.
    own: u64,
    requests: AtomicU64,
    pub(crate) wakes: Wakes,
}

impl RedisStore {
    /// Connects, and makes sure that the server keeps what it acknowledges; says what that is (at level `warn` where it is less than
    /// everything).
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be reached, or is not what the url asks for; `Incompatible` if a later
    /// version, or another program, wrote under the prefix; `Full`.
    pub async fn open(url: &RedisUrl) -> StoreResult<Self> {
        // Without one process-wide choice rustls stops at the first connection; a host's own choice stands.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let own = getrandom::u64().map_err(|e| StoreError::Unavailable(format!("no randomness: {e}")))?;
        let (server, keys) = (Server::connect(url).await?, Layout::new(&url.prefix));
        let wakes = Wakes::of(&server, url, &keys, own).await;
        let accepted = url.durability;
        let store = Self { server, keys, accepted, own, requests: AtomicU64::new(0), wakes };
        let (profile, words) = store.judge().await?;
        store.check_format().await?;
        match profile {
            Profile::Always => tracing::info!(store = %url, "{words}"),
            Profile::EverySecond | Profile::None => tracing::warn!(store = %url, "{words}"),
        }
        Ok(store)
    }

    /// What the weakest of the servers keeps, and that in words.
    async fn judge(&self) -> StoreResult<(Profile, String)> {
        let mut weakest: Option<(Profile, String)> = None;
        for settings in self.server.about().await? {
            let profile = settings.judge(self.accepted)?;
            if weakest.as_ref().is_none_or(|(least, _)| profile < *least) {
                weakest = Some((profile, settings.words(profile)));
            }
        }
        weakest.ok_or_else(|| StoreError::Unavailable("the cluster has no master".into()))
    }

    /// The first who opens a store says which format it has; all others only look, also where nothing can be written.
    async fn check_format(&self) -> StoreResult<()> {
        let key = self.keys.format();
        let look = cmd("GET").arg(&key).take();
        let mut found: Option<String> = self.server.ask(&look).await?;
        if found.is_none() {
            let _: bool = self.server.ask(cmd("SETNX").arg(&key).arg(FORMAT)).await?;
            found = self.server.ask(&look).await?;
        }
        match found.as_deref() {
            Some(FORMAT) => Ok(()),
            other => Err(StoreError::Incompatible(format!(
                "the store's layout is of version {other:?}, and this version of kode knows {FORMAT:?}; use the version \
                 that wrote it or a later one, or another ?prefix="
            ))),
        }
    }

    /// A name for one request.
    pub(crate) fn request(&self) -> String {
        format!("{:016x}-{}", self.own, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn remove(&self, lease: &Lease, request: &str) -> StoreResult<()> {
        let agent = &lease.agent;
        let keys = [
            self.keys.agent(agent),
            self.keys.log(agent),
            self.keys.checkpoint(agent),
            self.keys.blobs(agent),
        ];
        let args = Args::default().text(lease.epoch).text(request).text(self.keys.blob_prefix(agent));
        let args = self.wakes.args(agent, args);
        let answer = self.server.call(&DELETE, &keys, args).await?;
        if answer.word() != "deleted" {
            return Err(answer.refusal(lease));
        }
        self.drop_mark(agent, answer.number(1)?, true).await;
        Ok(())
    }
}

#[async_trait]
impl Journal for RedisStore {
    /// Both grades are one: the server writes its log in one order, and acknowledges when its settings say so.
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        _grade: Durability,
    ) -> StoreResult<()> {
        self.append_batch(lease, expected, entries).await
    }

    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        self.elide_runs(lease, runs).await
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        self.read_page(agent, after, limit).await
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        self.head_of(agent).await
    }

    fn watch(&self, agent: &AgentId) -> Option<Watch> {
        self.wakes.watch(agent)
    }
}

#[async_trait]
impl Leases for RedisStore {
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.take(agent, holder, ttl, now).await
    }

    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.prolong(lease, ttl, now).await
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        self.give_back(&lease, clean).await
    }

    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        self.holder_of(agent, now).await
    }

    async fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        self.unfinished_agents().await
    }

    async fn abandoned(&self, _now: Millis) -> StoreResult<Vec<Abandoned>> {
        self.abandoned_agents().await
    }
}

#[async_trait]
impl Checkpoints for RedisStore {
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        self.save(lease, checkpoint).await
    }

    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        self.load(agent).await
    }
}

#[async_trait]
impl Blobs for RedisStore {
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        self.put(lease, name, bytes).await
    }

    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        self.part(agent, name, offset, limit).await
    }
}

#[async_trait]
impl Catalog for RedisStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        self.page_of_agents(prefix, after, limit).await
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        self.remove(&lease, &self.request()).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn counters(&self) -> Option<&dyn Counters> {
        Some(self)
    }

    /// Writes a small key, and looks whether the server still keeps what it acknowledges.
    async fn ready(&self) -> StoreResult<()> {
        self.server.ask::<()>(cmd("SET").arg(self.keys.probe()).arg("1")).await?;
        self.judge().await.map(drop)
    }
}

#[async_trait]
impl Nodes for RedisStore {
    async fn announce(&self, node: &Node, ttl: Millis, _now: Millis) -> StoreResult<()> {
        self.announce_node(node, ttl).await
    }

    async fn withdraw(&self, id: &str) -> StoreResult<()> {
        self.withdraw_node(id).await
    }

    async fn nodes(&self, _now: Millis) -> StoreResult<Vec<Node>> {
        self.all_nodes().await
    }
}
