//! The store ports over [`crate::store`]: moves what blocks to threads that may. It holds no rule.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Millis, Seq};
use kode_core::store::counters::{Counters, Day};
use kode_core::store::{
    Abandoned, After, BlobName, BlobPart, Blobs, Catalog, Checkpoint, Checkpoints, Durability, Elision, Head,
    Holder, Journal, Lease, Leases, Node, NodeTable, Nodes, StoreResult,
};
use tokio::sync::oneshot;

use crate::check::Report;
use crate::committer::Committer;
use crate::crew::Crew;
use crate::disk::HostDisk;
use crate::error::{cut_off, failed};
use crate::repair::Repair;
use crate::retire::Retirer;
use crate::store::{Ahead, Store};
use crate::writer::Batch;

/// Agents that are taken up at once. One disk does no more for more of them.
const OPENINGS_AT_ONCE: usize = 16;
/// First appends that are written at once: each makes a file.
const BEGINNINGS_AT_ONCE: usize = 16;
/// Pages that readers are given at once.
const PAGES_AT_ONCE: usize = 8;

/// A store in a directory of the host. One process at a time writes to it.
///
/// Must be used within a tokio runtime. What blocks runs on its blocking threads, or on a few of the store's own. Each leased
/// agent keeps one file open. Calls that were dropped run to their end.
pub struct FsStore {
    pub(crate) store: Arc<Store>,
    committer: Arc<Committer>,
    retirer: Retirer,
    /// One process has the directory to itself, so its nodes are its own.
    nodes: NodeTable,
    openings: Crew,
    beginnings: Arc<Crew>,
    pages: Crew,
}

impl FsStore {
    /// Opens the store in a directory, which is made (mode 0700) if need be, and takes its lock. The lock is
    /// free when the store is dropped or the process is dead, however it died. Blocks for a few syncs.
    ///
    /// # Errors
    /// `Unavailable` if another process has it open, or the directory cannot be written; `Incompatible` if a
    /// later version made it; `Full`.
    pub fn open(dir: impl AsRef<Path>) -> StoreResult<Self> {
        let disk = HostDisk::make(dir.as_ref()).map_err(failed("opening the store"))?;
        Ok(Self::over(Store::open(Arc::new(disk))?))
    }

    /// Opens the store for reading alone: takes no lock, writes nothing, and works beside the process that
    /// has it open. Everything that would write is refused.
    ///
    /// # Errors
    /// `Unavailable` if the directory cannot be read, or the machine went down since it was last open for writing: then
    /// its log has what its journals lack, and has to be replayed first. `Incompatible` if a later version made it.
    pub fn open_read_only(dir: impl AsRef<Path>) -> StoreResult<Self> {
        let disk = HostDisk::open(dir.as_ref()).map_err(failed("opening the store"))?;
        Ok(Self::over(Store::open_read_only(Arc::new(disk))?))
    }

    /// Reads an agent's whole journal, line by line; `None` for an unknown agent.
    ///
    /// # Errors
    /// `Damaged` at the first bad line, with its place; `Incompatible`; `Unavailable`.
    pub async fn check(&self, agent: &AgentId) -> StoreResult<Option<Report>> {
        let agent = agent.clone();
        self.blocking(move |store| store.check(&agent)).await
    }

    /// Ends a damaged journal behind its last good entry, and puts the damaged files into a quarantine beside;
    /// `None` if it is whole or there is none. With `dry` nothing is changed, and a store that is open for reading
    /// alone will do.
    ///
    /// # Errors
    /// `Incompatible`; `Unavailable`, also while the agent is in use; `Full`.
    pub async fn repair(&self, agent: &AgentId, dry: bool) -> StoreResult<Option<Repair>> {
        let agent = agent.clone();
        self.blocking(move |store| store.repair(&agent, dry)).await
    }

    /// Writes the segments of older formats anew in the one of this version; tells how many there were. With
    /// `dry` it only counts them.
    ///
    /// # Errors
    /// As [`FsStore::check`] and [`FsStore::repair`].
    pub async fn migrate(&self, agent: &AgentId, dry: bool) -> StoreResult<u32> {
        let agent = agent.clone();
        self.blocking(move |store| store.migrate(&agent, dry)).await
    }

    pub(crate) fn over(store: Store) -> Self {
        let store = Arc::new(store);
        let (committer, retirer) = (Arc::new(Committer::new(store.clone())), Retirer::new(store.clone()));
        let [openings, beginnings, pages] =
            [OPENINGS_AT_ONCE, BEGINNINGS_AT_ONCE, PAGES_AT_ONCE].map(Crew::of);
        let beginnings = Arc::new(beginnings);
        Self { store, committer, retirer, nodes: NodeTable::default(), openings, beginnings, pages }
    }

    /// Waits until what was written under a lease is durable, and notes it. Goes on when it is dropped.
    async fn follow(&self, lease: Lease, end: Head) -> StoreResult<()> {
        let noted = tokio::spawn(note(self.store.clone(), self.committer.commit(), lease, end));
        self.retirer.look();
        noted.await.unwrap_or_else(|_| Err(cut_off()))
    }

    /// The first append of a lease, which makes files: on a thread that does not wait for the log's sync. Goes on when it
    /// is dropped.
    async fn begin(&self, lease: Lease, expected: Seq, batch: Batch, grade: Durability) -> StoreResult<()> {
        let (store, beginnings, committer) =
            (self.store.clone(), self.beginnings.clone(), self.committer.clone());
        let begun = tokio::spawn(async move {
            let (under, writes) = (lease.clone(), store.clone());
            let write = move || writes.append_ahead(&under, expected, batch, grade);
            match beginnings.has_done(write).await? {
                Ahead::Done => Ok(()),
                Ahead::Written(end) => note(store, committer.commit(), lease, end).await,
            }
        });
        begun.await.unwrap_or_else(|_| Err(cut_off()))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|_| Err(cut_off()))
    }

    /// The same for a part of taking an agent up, a few at once. Never for pages that readers ask for: they may be many, and
    /// who writes would wait behind them.
    async fn opening<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let store = self.store.clone();
        self.openings.has_done(move || work(&store)).await
    }
}

/// Says what became of an append once that is known.
async fn note(
    store: Arc<Store>,
    committed: oneshot::Receiver<StoreResult<()>>,
    lease: Lease,
    end: Head,
) -> StoreResult<()> {
    let outcome = committed.await.unwrap_or_else(|_| Err(cut_off()));
    match store.try_committed(&lease, end, &outcome) {
        Some(noted) => noted,
        None => {
            let noted = tokio::task::spawn_blocking(move || store.committed(&lease, end, outcome));
            noted.await.unwrap_or_else(|_| Err(cut_off()))
        }
    }
}

#[async_trait]
impl Journal for FsStore {
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        let batch = Batch::of(entries, expected, lease.epoch);
        // A write goes to the kernel's cache: quicker than a change of threads.
        match self.store.try_append(lease, expected, batch, grade) {
            Ok(ahead) => match ahead? {
                Ahead::Done => Ok(()),
                Ahead::Written(end) => self.follow(lease.clone(), end).await,
            },
            Err(batch) if self.store.begins(lease, &batch) => {
                let done = self.begin(lease.clone(), expected, batch, grade).await;
                self.retirer.look();
                done
            }
            Err(batch) => {
                let lease = lease.clone();
                let done = self.blocking(move |store| store.append(&lease, expected, batch, grade)).await;
                self.retirer.look();
                done
            }
        }
    }

    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        let (lease, runs) = (lease.clone(), runs.to_vec());
        self.blocking(move |store| store.elide(&lease, &runs)).await
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        let (store, agent) = (self.store.clone(), agent.clone());
        self.pages.has_done(move || store.read(&agent, after, limit)).await
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        let agent = agent.clone();
        self.opening(move |store| store.head(&agent)).await
    }
}

#[async_trait]
impl Leases for FsStore {
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        let (agent, holder) = (agent.clone(), holder.to_owned());
        self.opening(move |store| store.acquire(&agent, &holder, ttl, now)).await
    }

    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        let lease = lease.clone();
        self.blocking(move |store| store.renew(&lease, ttl, now)).await
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        self.blocking(move |store| store.release(&lease, clean)).await
    }

    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        let agent = agent.clone();
        self.blocking(move |store| store.slots.holder(&agent, now)).await
    }

    async fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        self.blocking(Store::unfinished).await
    }

    async fn abandoned(&self, now: Millis) -> StoreResult<Vec<Abandoned>> {
        self.blocking(move |store| {
            let mut left = Vec::new();
            for agent in store.unfinished()? {
                if store.slots.holder(&agent, now)?.is_none() {
                    // One that cannot be read does not hide the others; who takes it up is told why.
                    let head = store.head(&agent).ok().flatten().unwrap_or_default();
                    left.push(Abandoned { agent, head });
                }
            }
            Ok(left)
        })
        .await
    }
}

#[async_trait]
impl Checkpoints for FsStore {
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        let (lease, checkpoint) = (lease.clone(), checkpoint.clone());
        self.blocking(move |store| store.save_checkpoint(&lease, &checkpoint)).await
    }

    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        let agent = agent.clone();
        self.opening(move |store| store.load_checkpoint(&agent)).await
    }
}

#[async_trait]
impl Blobs for FsStore {
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        let (lease, name, bytes) = (lease.clone(), name.clone(), bytes.clone());
        self.blocking(move |store| store.put_blob(&lease, &name, &bytes)).await
    }

    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        let (agent, name) = (agent.clone(), name.clone());
        self.blocking(move |store| store.read_blob(&agent, &name, offset, limit)).await
    }
}

#[async_trait]
impl Catalog for FsStore {
    fn kind(&self) -> &'static str {
        "fs"
    }

    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        self.blocking(move |store| store.list(&prefix, after.as_ref(), limit)).await
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        self.blocking(move |store| store.delete(&lease)).await
    }

    async fn ready(&self) -> StoreResult<()> {
        self.blocking(Store::ready).await
    }

    fn counters(&self) -> Option<&dyn Counters> {
        Some(self)
    }
}

#[async_trait]
impl Counters for FsStore {
    async fn add(&self, name: &str, day: Day, n: u64) -> StoreResult<u64> {
        let name = name.to_owned();
        self.blocking(move |store| store.add_to_count(&name, day, n)).await
    }

    async fn count(&self, name: &str, day: Day) -> StoreResult<u64> {
        let name = name.to_owned();
        self.blocking(move |store| store.count(&name, day)).await
    }
}

#[async_trait]
impl Nodes for FsStore {
    async fn announce(&self, node: &Node, ttl: Millis, now: Millis) -> StoreResult<()> {
        self.nodes.announce(node, ttl, now);
        Ok(())
    }

    async fn withdraw(&self, id: &str) -> StoreResult<()> {
        self.nodes.withdraw(id);
        Ok(())
    }

    async fn nodes(&self, now: Millis) -> StoreResult<Vec<Node>> {
        Ok(self.nodes.nodes(now))
    }
}
