//! One agent, from store to store: entries with their own epochs and cursors, checkpoint and blobs.
//!
//! Where an entry stands for a run, the target gets stand-ins up to it, and has them elided once a checkpoint covers
//! them: so a store needs no other way in than a writer has.

use std::cell::Cell;

use kode_core::fact::{Entry, Fact};
use kode_core::id::{AgentId, Epoch, Seq};
use kode_core::store::{
    After, BLOB_MAX, Checkpoint, Durability, Elision, Lease, Store, StoreError, StoreResult,
};

use super::claims::TTL;
use super::now;
use super::proof::{Proof, blob_names};

/// Entries read at a time.
const PAGE: usize = 256;
/// Entries of one append at most: a run of any length is filled in parts.
const BATCH: usize = 1_024;
/// Runs that are elided together.
const RUNS: usize = 4_096;
/// How often a higher epoch is asked for, where the source's are ahead of time.
const GRANTS: usize = 1_000;

/// From where to where.
pub(super) struct Transfer<'s> {
    from: &'s dyn Store,
    to: &'s dyn Store,
    /// Who holds the target's leases.
    holder: &'s str,
    /// The lease under which an agent is being written.
    begun: Cell<Option<Lease>>,
}

impl<'s> Transfer<'s> {
    pub(super) fn new(from: &'s dyn Store, to: &'s dyn Store, holder: &'s str) -> Self {
        Self { from, to, holder, begun: Cell::default() }
    }

    /// Copies an agent, compares, and tells what both have.
    pub(super) async fn copy(&self, agent: &AgentId, unfinished: bool) -> StoreResult<Proof> {
        let lease = self.claim(agent).await?;
        if let Some(there) = self.to.head(agent).await? {
            self.to.release(lease, false).await?;
            return Err(StoreError::Conflict { expected: Seq::ZERO, actual: there.seq });
        }
        self.begun.set(Some(lease.clone()));
        let proof = OfOne { from: self.from, to: self.to, lease: &lease }.run().await?;
        self.begun.set(None);
        self.to.release(lease, !unfinished).await?;
        Ok(proof)
    }

    /// The target's lease, with an epoch that all of the source's entries may stand under.
    async fn claim(&self, agent: &AgentId) -> StoreResult<Lease> {
        let needed = self.from.head(agent).await?.unwrap_or_default().epoch;
        // Where the store counts by the caller's time, this is late enough.
        let at = now().max(Epoch::COARSE_ZERO + u64::from(needed.0) * Epoch::COARSE_MS);
        for _ in 0..GRANTS {
            let lease = self.to.acquire(agent, self.holder, TTL, at).await?;
            if lease.epoch >= needed {
                return Ok(lease);
            }
        }
        Err(StoreError::Incompatible(format!(
            "the source's epoch {needed} is far ahead of the target's clock"
        )))
    }

    /// Removes from the target what is there of an agent that was not copied to its end. Under the lease that wrote
    /// it, so nobody else's is removed.
    pub(super) async fn discard(&self) -> Option<AgentId> {
        let lease = self.begun.take()?;
        let agent = lease.agent.clone();
        self.to.delete(lease).await.err().map(|_| agent)
    }
}

/// One agent under the target's lease.
struct OfOne<'s> {
    from: &'s dyn Store,
    to: &'s dyn Store,
    lease: &'s Lease,
}

impl OfOne<'_> {
    async fn run(&self) -> StoreResult<Proof> {
        let last_run = self.entries().await?;
        let checkpoint = self.from.load_checkpoint(&self.lease.agent).await?;
        self.elide(last_run, checkpoint.as_ref()).await?;
        if let Some(checkpoint) = checkpoint {
            self.to.save_checkpoint(self.lease, &checkpoint).await?;
        }
        self.blobs().await?;
        let (source, target) =
            (Proof::of(self.from, &self.lease.agent).await?, Proof::of(self.to, &self.lease.agent).await?);
        match source.difference(&target) {
            None => Ok(source),
            Some(what) => Err(StoreError::Incompatible(format!(
                "the copy was read again and differs in {what}; it was removed from the target"
            ))),
        }
    }

    /// Appends all entries; tells the end of the last run that one of them stands for.
    async fn entries(&self) -> StoreResult<Option<Seq>> {
        let (mut end, mut last_run) = (Seq::ZERO, None);
        loop {
            let page = self.from.read(&self.lease.agent, After::Seq(end), PAGE).await?;
            let mut batch = Vec::new();
            for entry in &page {
                for seq in end.next().0..entry.seq.0 {
                    batch.push(stand_in(entry, Seq(seq)));
                    last_run = Some(entry.seq);
                    if batch.len() == BATCH {
                        self.append(&mut batch).await?;
                    }
                }
                batch.push(entry.clone());
                end = entry.seq;
            }
            self.append(&mut batch).await?;
            if page.len() < PAGE {
                return Ok(last_run);
            }
        }
    }

    async fn append(&self, batch: &mut Vec<Entry>) -> StoreResult<()> {
        let Some(first) = batch.first() else { return Ok(()) };
        let expected = Seq(first.seq.0 - 1);
        self.to.append(self.lease, expected, batch, Durability::Synced).await?;
        batch.clear();
        // A long journal takes longer than a lease lasts.
        self.to.renew(self.lease, TTL, now()).await.map(drop)
    }

    /// Has the stand-ins elided, under a checkpoint of the source's or one that covers them and tells nothing.
    async fn elide(&self, last_run: Option<Seq>, checkpoint: Option<&Checkpoint>) -> StoreResult<()> {
        let Some(last_run) = last_run else { return Ok(()) };
        let covering = checkpoint.filter(|checkpoint| checkpoint.seq >= last_run).cloned();
        let covering = covering.unwrap_or_else(|| Checkpoint { seq: last_run, files: Default::default() });
        self.to.save_checkpoint(self.lease, &covering).await?;
        let (mut end, mut runs) = (Seq::ZERO, Vec::new());
        while end < last_run {
            let page = self.from.read(&self.lease.agent, After::Seq(end), PAGE).await?;
            for entry in page {
                let from = end.next();
                end = entry.seq;
                if from < entry.seq {
                    runs.push(Elision { from, entry });
                }
            }
            if runs.len() >= RUNS || end >= last_run {
                self.to.elide(self.lease, &runs).await?;
                self.to.renew(self.lease, TTL, now()).await?;
                runs.clear();
            }
        }
        Ok(())
    }

    async fn blobs(&self) -> StoreResult<()> {
        for name in blob_names(self.from, &self.lease.agent).await? {
            let Some(blob) = self.from.read_blob(&self.lease.agent, &name, 0, BLOB_MAX).await? else {
                continue;
            };
            self.to.put_blob(self.lease, &name, &blob.bytes).await?;
        }
        Ok(())
    }
}

/// An entry that tells nothing, in the place of one that was elided before `entry`.
fn stand_in(entry: &Entry, seq: Seq) -> Entry {
    let fact = Fact::ModelChunk { step: 0, attempt: 0, parts: Vec::new() };
    Entry { seq, epoch: entry.epoch, at: entry.at, cursor: entry.cursor, events: 0, fact }
}
