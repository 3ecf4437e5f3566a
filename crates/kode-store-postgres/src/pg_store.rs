//! The store ports over the rooms of their statements. It holds no rule.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Millis, Seq};
use kode_core::store::counters::{Counters, Day};
use kode_core::store::wakes::Watch;
use kode_core::store::{
    Abandoned, After, BlobName, BlobPart, Blobs, Catalog, Checkpoint, Checkpoints, Durability, Elision, Head,
    Holder, Journal, Lease, Leases, Node, Nodes, StoreError, StoreResult,
};

use crate::check::Report;
use crate::migrate::Versions;
use crate::pool::Pool;
use crate::url::Place;
use crate::voice::Voice;
use crate::wakes::Wakes;
use crate::{blobs, catalog, check, checkpoint, counts, elide, journal, leases, migrate, nodes, settings};

/// A store in a schema of a PostgreSQL database. Any number of nodes may have it open.
///
/// Must be used within a tokio runtime. A call that was dropped may or may not take place; its connection is closed.
pub struct PgStore {
    pool: Arc<Pool>,
    voice: Voice,
    wakes: Wakes,
}

impl PgStore {
    /// Opens the store that a URL names, and makes its schema and tables, or brings them to this version, if need be.
    /// Says in the log what the server's settings mean for [`Durability::Synced`].
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached; `Incompatible` if the URL is wrong, a later version made the
    /// tables, or the server would lose what it acknowledged (`fsync=off` without `durability=none` in the URL).
    pub async fn open(url: &str) -> StoreResult<Self> {
        let store = Self::reach(url).await?;
        let before = migrate::run(&store.pool).await?;
        if before.database < before.program {
            tracing::info!(
                from = before.database,
                to = before.program,
                "the tables were brought to this version"
            );
        }
        Ok(store)
    }

    /// Opens the store that is there, and makes or migrates none.
    ///
    /// # Errors
    /// As [`PgStore::open`]; `Incompatible` also where the tables are of an earlier version, or there are none.
    pub async fn open_existing(url: &str) -> StoreResult<Self> {
        let store = Self::reach(url).await?;
        let Versions { database, program } = store.versions().await?;
        let schema = store.pool.place().schema.name();
        let why = match database {
            0 => {
                format!("there is no store in the schema {schema:?} of this database; `kode serve` makes one")
            }
            database if database < program => {
                format!(
                    "the tables are of version {database}, and this program's are {program}; run `kode store migrate`"
                )
            }
            _ => return Ok(store),
        };
        Err(StoreError::Incompatible(why))
    }

    async fn reach(url: &str) -> StoreResult<Self> {
        let pool = Pool::new(Place::parse(url)?);
        let settings = settings::read(&pool).await?;
        for words in settings::judge(&settings, pool.place().lossy)? {
            tracing::info!("postgres: {words}");
        }
        let pool = Arc::new(pool);
        Ok(Self { voice: Voice::of(&pool), wakes: Wakes::of(&pool), pool })
    }

    /// The versions of the schema: of the store that the URL names, and of this program. Makes nothing.
    ///
    /// # Errors
    /// `Unavailable`; `Incompatible` if the URL is wrong, or the database's is later.
    pub async fn versions_at(url: &str) -> StoreResult<Versions> {
        migrate::look(&Pool::new(Place::parse(url)?)).await
    }

    /// The same of an open store.
    ///
    /// # Errors
    /// As [`PgStore::versions_at`].
    pub async fn versions(&self) -> StoreResult<Versions> {
        migrate::look(&self.pool).await
    }

    /// Reads an agent's whole journal and compares it with its row and its checkpoint; `None` for an unknown agent.
    /// Works beside whoever writes.
    ///
    /// # Errors
    /// `Damaged` at the first row that does not fit; `Incompatible`; `Unavailable`.
    pub async fn check(&self, agent: &AgentId) -> StoreResult<Option<Report>> {
        check::check(&self.pool, agent).await
    }
}

#[async_trait]
impl Journal for PgStore {
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        journal::append(&self.pool, lease, expected, entries, grade).await?;
        if !entries.is_empty() {
            self.voice.tell(&lease.agent);
        }
        Ok(())
    }

    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        elide::elide(&self.pool, lease, runs).await
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        journal::read(&self.pool, agent, after, limit).await
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        journal::head(&self.pool, agent).await
    }

    fn watch(&self, agent: &AgentId) -> Option<Watch> {
        self.wakes.watch(agent)
    }
}

#[async_trait]
impl Leases for PgStore {
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        leases::acquire(&self.pool, agent, holder, ttl, now).await
    }

    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        leases::renew(&self.pool, lease, ttl, now).await
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        leases::release(&self.pool, &lease, clean).await
    }

    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        leases::holder(&self.pool, agent, now).await
    }

    async fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        leases::unfinished(&self.pool).await
    }

    async fn abandoned(&self, _now: Millis) -> StoreResult<Vec<Abandoned>> {
        leases::abandoned(&self.pool).await
    }
}

#[async_trait]
impl Checkpoints for PgStore {
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        checkpoint::save(&self.pool, lease, checkpoint).await
    }

    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        checkpoint::load(&self.pool, agent).await
    }
}

#[async_trait]
impl Blobs for PgStore {
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        blobs::put(&self.pool, lease, name, bytes).await
    }

    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        blobs::read(&self.pool, agent, name, offset, limit).await
    }
}

#[async_trait]
impl Catalog for PgStore {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        catalog::list(&self.pool, prefix, after, limit).await
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        catalog::delete(&self.pool, &lease).await?;
        self.voice.tell(&lease.agent);
        Ok(())
    }

    async fn ready(&self) -> StoreResult<()> {
        catalog::ready(&self.pool).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn counters(&self) -> Option<&dyn Counters> {
        Some(self)
    }
}

#[async_trait]
impl Counters for PgStore {
    async fn add(&self, name: &str, day: Day, n: u64) -> StoreResult<u64> {
        counts::add(&self.pool, name, day, n).await
    }

    async fn count(&self, name: &str, day: Day) -> StoreResult<u64> {
        counts::count(&self.pool, name, day).await
    }
}

#[async_trait]
impl Nodes for PgStore {
    async fn announce(&self, node: &Node, ttl: Millis, _now: Millis) -> StoreResult<()> {
        nodes::announce(&self.pool, node, ttl).await?;
        self.voice.is(&node.id);
        Ok(())
    }

    async fn withdraw(&self, id: &str) -> StoreResult<()> {
        nodes::withdraw(&self.pool, id).await
    }

    async fn nodes(&self, _now: Millis) -> StoreResult<Vec<Node>> {
        let nodes = nodes::nodes(&self.pool).await?;
        self.voice.among(&nodes);
        Ok(nodes)
    }
}
