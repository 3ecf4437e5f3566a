//! A store that fails when it is told to: before or after the work took place, once or for a while.
//!
//! It adds no delay and decides nothing: each fault stands in the script that a test gave it.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use kode_core::fact::Entry;
use kode_core::id::{AgentId, Millis, Seq};
use kode_core::store::counters::Counters;
use kode_core::store::wakes::Watch;
use kode_core::store::{
    Abandoned, After, BlobName, BlobPart, Blobs, Catalog, Checkpoint, Checkpoints, Durability, Elision, Head,
    Holder, Journal, Lease, Leases, Node, Nodes, Store, StoreError, StoreResult,
};

/// A method of the ports that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Op {
    Append,
    Elide,
    Read,
    Head,
    Acquire,
    Renew,
    Release,
    Holder,
    Unfinished,
    SaveCheckpoint,
    LoadCheckpoint,
    PutBlob,
    ReadBlob,
    List,
    Delete,
    Ready,
    Announce,
    Withdraw,
    Nodes,
}

/// Whether the work took place although the call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing was done.
    Before,
    /// It was done, and nobody was told.
    After,
}

#[derive(Debug)]
struct Rule {
    op: Op,
    /// How many calls pass first.
    skip: usize,
    /// How many calls fail then.
    times: usize,
    when: When,
    error: StoreError,
}

/// The script of a [`FaultyStore`]. Clones are the same script.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Rule>>>);

impl Faults {
    /// A script without faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Fails the `nth` call of `op` from now on, the next one being 1, once.
    pub fn fail_nth(&self, op: Op, nth: usize, when: When, error: StoreError) {
        self.rules().push(Rule { op, skip: nth.saturating_sub(1), times: 1, when, error });
    }

    /// Fails every call of `op` from now on, until [`Faults::mend`].
    pub fn fail_all(&self, op: Op, when: When, error: StoreError) {
        self.rules().push(Rule { op, skip: 0, times: usize::MAX, when, error });
    }

    /// Takes the disk away: appends, checkpoints, blobs and leases find it full, until [`Faults::mend`].
    pub fn fill_up(&self) {
        for op in [Op::Append, Op::Elide, Op::SaveCheckpoint, Op::PutBlob, Op::Acquire, Op::Ready] {
            self.fail_all(op, When::Before, StoreError::Full("no space left".into()));
        }
    }

    /// Ends all faults.
    pub fn mend(&self) {
        self.rules().clear();
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }

    /// The fault of this call, if it has one. Every rule for the method counts the call.
    fn next(&self, op: Op) -> Option<(When, StoreError)> {
        let mut due = None;
        for rule in self.rules().iter_mut().filter(|rule| rule.op == op) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 && due.is_none() {
                rule.times -= 1;
                due = Some((rule.when, rule.error.clone()));
            }
        }
        due
    }

    async fn around<T>(&self, op: Op, work: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        match self.next(op) {
            None => work.await,
            Some((When::Before, error)) => Err(error),
            // The work's own refusal stands: then nothing was done that could be kept silent.
            Some((When::After, error)) => work.await.and(Err(error)),
        }
    }
}

/// A store with a script of faults around it.
#[derive(Debug, Clone, Default)]
pub struct FaultyStore<S> {
    inner: S,
    faults: Faults,
}

impl<S: Store> FaultyStore<S> {
    /// A store that fails by `faults`.
    pub fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The script.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The store itself, which does not fail.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

#[async_trait]
impl<S: Store> Journal for FaultyStore<S> {
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        self.faults.around(Op::Append, self.inner.append(lease, expected, entries, grade)).await
    }

    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        self.faults.around(Op::Elide, self.inner.elide(lease, runs)).await
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        self.faults.around(Op::Read, self.inner.read(agent, after, limit)).await
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        self.faults.around(Op::Head, self.inner.head(agent)).await
    }

    fn watch(&self, agent: &AgentId) -> Option<Watch> {
        self.inner.watch(agent)
    }
}

#[async_trait]
impl<S: Store> Leases for FaultyStore<S> {
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.faults.around(Op::Acquire, self.inner.acquire(agent, holder, ttl, now)).await
    }

    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.faults.around(Op::Renew, self.inner.renew(lease, ttl, now)).await
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        self.faults.around(Op::Release, self.inner.release(lease, clean)).await
    }

    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        self.faults.around(Op::Holder, self.inner.holder(agent, now)).await
    }

    async fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        self.faults.around(Op::Unfinished, self.inner.unfinished()).await
    }

    async fn abandoned(&self, now: Millis) -> StoreResult<Vec<Abandoned>> {
        self.faults.around(Op::Unfinished, self.inner.abandoned(now)).await
    }
}

#[async_trait]
impl<S: Store> Checkpoints for FaultyStore<S> {
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        self.faults.around(Op::SaveCheckpoint, self.inner.save_checkpoint(lease, checkpoint)).await
    }

    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        self.faults.around(Op::LoadCheckpoint, self.inner.load_checkpoint(agent)).await
    }
}

#[async_trait]
impl<S: Store> Blobs for FaultyStore<S> {
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        self.faults.around(Op::PutBlob, self.inner.put_blob(lease, name, bytes)).await
    }

    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        self.faults.around(Op::ReadBlob, self.inner.read_blob(agent, name, offset, limit)).await
    }
}

#[async_trait]
impl<S: Store> Catalog for FaultyStore<S> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        self.faults.around(Op::List, self.inner.list(prefix, after, limit)).await
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        self.faults.around(Op::Delete, self.inner.delete(lease)).await
    }

    async fn ready(&self) -> StoreResult<()> {
        self.faults.around(Op::Ready, self.inner.ready()).await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn counters(&self) -> Option<&dyn Counters> {
        self.inner.counters()
    }
}

#[async_trait]
impl<S: Store> Nodes for FaultyStore<S> {
    async fn announce(&self, node: &Node, ttl: Millis, now: Millis) -> StoreResult<()> {
        self.faults.around(Op::Announce, self.inner.announce(node, ttl, now)).await
    }

    async fn withdraw(&self, id: &str) -> StoreResult<()> {
        self.faults.around(Op::Withdraw, self.inner.withdraw(id)).await
    }

    async fn nodes(&self, now: Millis) -> StoreResult<Vec<Node>> {
        self.faults.around(Op::Nodes, self.inner.nodes(now)).await
    }
}

#[cfg(test)]
mod tests {
    use kode_core::store::memory::MemoryStore;

    use super::*;
    use crate::store_suite::pen::{Pen, all, id, step};
    use crate::store_suite::{Bench, run};

    #[derive(Default)]
    struct Faultless(FaultyStore<MemoryStore>);

    #[async_trait]
    impl Bench for Faultless {
        type Store = FaultyStore<MemoryStore>;

        async fn open(&self) -> Self::Store {
            self.0.clone()
        }
    }

    crate::store_suite!(Faultless::default());

    fn down() -> StoreError {
        StoreError::Unavailable("scripted".into())
    }

    #[test]
    fn a_fault_before_leaves_nothing_and_one_after_leaves_the_batch() {
        run(async {
            let store = FaultyStore::new(MemoryStore::new(), Faults::none());
            let mut pen = Pen::take(&store, &id("a")).await;
            store.faults().fail_nth(Op::Append, 2, When::Before, down());
            store.faults().fail_nth(Op::Append, 3, When::After, down());
            pen.write(&store, vec![step(1)]).await;
            for left in [1, 2] {
                let batch = pen.entries([(step(2), 1)]);
                assert_eq!(pen.try_write(&store, &batch, Durability::Synced).await, Err(down()));
                assert_eq!(all(&store, &id("a")).await.len(), left);
            }
        });
    }

    #[test]
    fn a_full_store_reads_and_deletes_until_it_is_mended() {
        run(async {
            let store = FaultyStore::new(MemoryStore::new(), Faults::none());
            let mut pen = Pen::take(&store, &id("a")).await;
            let written = pen.write(&store, vec![step(1)]).await;
            store.faults().fill_up();
            let batch = pen.entries([(step(2), 1)]);
            let refused = pen.try_write(&store, &batch, Durability::Synced).await;
            assert!(matches!(refused, Err(StoreError::Full(_))));
            assert_eq!(all(&store, &id("a")).await, written);
            store.delete(pen.lease).await.expect("deleting needs no space");
            store.faults().mend();
            Pen::take(&store, &id("a")).await.write(&store, vec![step(1)]).await;
        });
    }
}
