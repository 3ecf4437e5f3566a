//! The store in memory: what every other store must do, in the fewest words.
//!
//! This is the executable specification of the ports: where a backend and this file differ, the backend is
//! wrong. It keeps nothing beyond the process, and it never waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;

use super::counters::{Counters, Day};
use super::{
    Abandoned, After, BlobName, BlobPart, Blobs, Catalog, Checkpoint, Checkpoints, Durability, Elision, Head,
    Holder, Journal, Lease, Leases, Node, NodeTable, Nodes, StoreError, StoreResult, blob, check_batch,
    check_runs,
};
use crate::fact::Entry;
use crate::id::{AgentId, Epoch, Millis, Seq};

/// A store in memory. Clones share what is in it, so a clone is the same store opened again.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    agents: Arc<Mutex<BTreeMap<AgentId, Record>>>,
    counts: Arc<Mutex<BTreeMap<(Day, String), u64>>>,
    nodes: NodeTable,
    shared: bool,
}

/// All that is known of one name. One without entries is no agent: a name that was leased, or a tombstone.
#[derive(Debug, Default)]
struct Record {
    entries: Vec<Entry>,
    checkpoint: Option<Checkpoint>,
    blobs: BTreeMap<BlobName, Bytes>,
    /// The highest epoch ever granted. It outlives the agent.
    granted: Epoch,
    lease: Option<Held>,
    unfinished: bool,
}

#[derive(Debug)]
struct Held {
    epoch: Epoch,
    holder: String,
    expires: Millis,
}

impl Record {
    fn head(&self) -> Option<Head> {
        let last = self.entries.last()?;
        Some(Head { seq: last.seq, epoch: last.epoch, cursor: last.last_cursor() })
    }

    fn end(&self) -> Seq {
        self.head().unwrap_or_default().seq
    }

    fn after(&self, after: After) -> &[Entry] {
        let from = match after {
            After::Seq(seq) => self.entries.partition_point(|e| e.seq <= seq),
            After::Cursor(cursor) => self
                .entries
                .iter()
                .position(|e| e.events > 0 && e.last_cursor() > cursor)
                .unwrap_or(self.entries.len()),
        };
        &self.entries[from..]
    }

    /// Replaces a run that begins right behind an entry and ends with one.
    fn elide(&mut self, run: &Elision) {
        let first = self.entries.partition_point(|e| e.seq < run.from);
        let before = first.checked_sub(1).map(|at| self.entries[at].seq).unwrap_or_default();
        let last = self.entries.binary_search_by_key(&run.entry.seq, |e| e.seq);
        if let Some(last) = last.ok().filter(|_| before.next() == run.from) {
            self.entries.splice(first..=last, [run.entry.clone()]);
        }
    }

    /// The lease, if it is the one in force. With no other in force, a fenced lease is told its own epoch.
    fn in_force(&mut self, lease: &Lease) -> StoreResult<&mut Held> {
        let current = self.lease.as_ref().map_or(lease.epoch, |held| held.epoch);
        let held = self.lease.as_mut().filter(|held| held.epoch == lease.epoch);
        held.ok_or(StoreError::Fenced { epoch: lease.epoch, current })
    }
}

/// A batch must go on from the end, also in its epochs.
fn check(entries: &[Entry], lease: &Lease, expected: Seq, end: Head) -> StoreResult<()> {
    if expected != end.seq {
        return Err(StoreError::Conflict { expected, actual: end.seq });
    }
    check_batch(entries, expected, lease.epoch)?;
    match entries.first() {
        Some(first) if first.epoch < end.epoch => {
            Err(StoreError::Fenced { epoch: first.epoch, current: end.epoch })
        }
        Some(_) | None => Ok(()),
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that says of itself that others write to it: clones of it stand for processes.
    #[must_use]
    pub fn shared() -> Self {
        Self { shared: true, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentId, Record>> {
        self.agents.lock().expect("nothing panics while it holds this lock")
    }

    fn look<T>(&self, agent: &AgentId, at: impl FnOnce(&Record) -> T) -> Option<T> {
        self.lock().get(agent).map(at)
    }

    fn change<T>(&self, agent: &AgentId, change: impl FnOnce(&mut Record) -> T) -> T {
        change(self.lock().entry(agent.clone()).or_default())
    }
}

#[async_trait]
impl Journal for MemoryStore {
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        _grade: Durability,
    ) -> StoreResult<()> {
        self.change(&lease.agent, |record| {
            record.in_force(lease)?;
            check(entries, lease, expected, record.head().unwrap_or_default())?;
            record.entries.extend_from_slice(entries);
            Ok(())
        })
    }

    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
        self.change(&lease.agent, |record| {
            record.in_force(lease)?;
            check_runs(runs, record.checkpoint.as_ref().map(|c| c.seq).unwrap_or_default())?;
            runs.iter().for_each(|run| record.elide(run));
            Ok(())
        })
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        let page = |record: &Record| record.after(after).iter().take(limit).cloned().collect();
        Ok(self.look(agent, page).unwrap_or_default())
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        Ok(self.look(agent, Record::head).flatten())
    }
}

#[async_trait]
impl Leases for MemoryStore {
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.change(agent, |record| {
            if let Some(held) =
                record.lease.as_ref().filter(|held| held.holder != holder && held.expires > now)
            {
                return Err(StoreError::Held { until: held.expires, holder: held.holder.clone() });
            }
            let last = record.head().unwrap_or_default().epoch;
            let epoch = Epoch::grant(record.granted, last, now);
            let expires = now.saturating_add(ttl);
            record.granted = epoch;
            record.lease = Some(Held { epoch, holder: holder.to_owned(), expires });
            record.unfinished = true;
            Ok(Lease { agent: agent.clone(), epoch, expires })
        })
    }

    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        self.change(&lease.agent, |record| {
            let held = record.in_force(lease)?;
            held.expires = now.saturating_add(ttl);
            Ok(Lease { expires: held.expires, ..lease.clone() })
        })
    }

    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()> {
        self.change(&lease.agent, |record| {
            if record.in_force(&lease).is_ok() {
                record.lease = None;
                record.unfinished = !clean;
            }
        });
        Ok(())
    }

    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        let told =
            |held: &Held| Holder { holder: held.holder.clone(), epoch: held.epoch, expires: held.expires };
        let held = |record: &Record| record.lease.as_ref().filter(|held| held.expires > now).map(told);
        Ok(self.look(agent, held).flatten())
    }

    async fn unfinished(&self) -> StoreResult<Vec<AgentId>> {
        let agents = self.lock();
        Ok(agents.iter().filter(|(_, record)| record.unfinished).map(|(id, _)| id.clone()).collect())
    }

    async fn abandoned(&self, now: Millis) -> StoreResult<Vec<Abandoned>> {
        let agents = self.lock();
        let free = |record: &Record| record.lease.as_ref().is_none_or(|held| held.expires <= now);
        let left = agents.iter().filter(|(_, record)| record.unfinished && free(record));
        let told = |(id, record): (&AgentId, &Record)| Abandoned {
            agent: id.clone(),
            head: record.head().unwrap_or_default(),
        };
        Ok(left.map(told).collect())
    }
}

#[async_trait]
impl Checkpoints for MemoryStore {
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        self.change(&lease.agent, |record| {
            record.in_force(lease)?;
            let actual = record.end();
            if checkpoint.seq > actual || actual == Seq::ZERO {
                return Err(StoreError::Conflict { expected: checkpoint.seq, actual });
            }
            record.checkpoint = Some(checkpoint.clone());
            Ok(())
        })
    }

    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        Ok(self.look(agent, |record| record.checkpoint.clone()).flatten())
    }
}

#[async_trait]
impl Blobs for MemoryStore {
    async fn put_blob(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        self.change(&lease.agent, |record| {
            record.in_force(lease)?;
            if record.end() == Seq::ZERO {
                return Err(StoreError::Conflict { expected: Seq::ZERO.next(), actual: Seq::ZERO });
            }
            let others = record.blobs.keys().filter(|other| *other != name).count();
            blob::room(bytes.len(), others)?;
            record.blobs.insert(name.clone(), bytes.clone());
            Ok(())
        })
    }

    async fn read_blob(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        let whole = self.look(agent, |record| record.blobs.get(name).cloned()).flatten();
        Ok(whole.map(|whole| {
            let from = usize::try_from(offset).map_or(whole.len(), |from| from.min(whole.len()));
            let to = from.saturating_add(limit).min(whole.len());
            BlobPart { bytes: whole.slice(from..to), len: whole.len() as u64 }
        }))
    }
}

#[async_trait]
impl Catalog for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>> {
        let agents = self.lock();
        let there = agents.iter().filter(|(_, record)| !record.entries.is_empty()).map(|(id, _)| id);
        let wanted = there.filter(|id| id.is_under(prefix) && after.is_none_or(|after| *id > after));
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        self.change(&lease.agent, |record| {
            record.in_force(&lease)?;
            *record = Record { granted: record.granted, ..Record::default() };
            Ok(())
        })
    }

    async fn ready(&self) -> StoreResult<()> {
        Ok(())
    }

    fn is_shared(&self) -> bool {
        self.shared
    }

    fn counters(&self) -> Option<&dyn Counters> {
        Some(self)
    }
}

#[async_trait]
impl Counters for MemoryStore {
    async fn add(&self, name: &str, day: Day, n: u64) -> StoreResult<u64> {
        let mut counts = self.counts.lock().expect("nothing panics while it holds this lock");
        let count = counts.entry((day, name.to_owned())).or_default();
        *count = count.saturating_add(n);
        Ok(*count)
    }

    async fn count(&self, name: &str, day: Day) -> StoreResult<u64> {
        let counts = self.counts.lock().expect("nothing panics while it holds this lock");
        Ok(counts.get(&(day, name.to_owned())).copied().unwrap_or_default())
    }
}

#[async_trait]
impl Nodes for MemoryStore {
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
