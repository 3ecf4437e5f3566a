//! The store ports: journal, leases, checkpoints, blobs, catalog, nodes. One contract, one conformance suite
//! (`kode_testkit::store_suite`), and [`memory`] as its executable specification.
//!
//! ```text
//!            acquire ─> Lease{epoch}                    append(lease, expected, entries, grade)
//!   ┌──────────┐             ┌────────────┐   ok: whole batch, in order    ┌───────────┐
//!   │ Leases   │             │ one writer │ ─────────────────────────────> │  Journal  │ <── read: anyone,
//!   └──────────┘             └────────────┘   Conflict · Fenced · …        └───────────┘     no lease
//! ```
//!
//! A store knows entries' headers (`seq`, `epoch`, `cursor`, `events`) and treats facts as opaque JSON. It
//! never retries and never interprets: those are its callers' to do.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::fact::Entry;
use crate::id::{AgentId, Cursor, Epoch, Millis, Seq};

use counters::Counters;
use wakes::Watch;

pub use blob::{BLOB_MAX, BLOBS_MAX, BlobName, BlobPart, Blobs, InvalidBlobName};
pub use nodes::{Node, NodeTable, Nodes};

pub mod blob;
pub mod counters;
pub mod decorate;
pub mod memory;
pub mod nodes;
pub mod wakes;

/// What an append survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// The process's death: handed to the store.
    Buffered,
    /// The power's: and so is everything appended to the agent before.
    Synced,
}

/// The right to write to one agent, until it expires or someone else gets a higher epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose journal.
    pub agent: AgentId,
    /// The writer's term.
    pub epoch: Epoch,
    /// When it ends unless renewed; `u64::MAX` where only the process's end ends it.
    pub expires: Millis,
}

/// Who may write to an agent now, as it is told to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The name that it took the lease under: a node's id.
    pub holder: String,
    /// The term of the lease in force.
    pub epoch: Epoch,
    /// When it ends unless renewed, by the asker's clock.
    pub expires: Millis,
}

/// An agent that may have unfinished work and that nobody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// Its name.
    pub agent: AgentId,
    /// Where its journal ends: as long as that is so, so is all that can be read of it. The default where it has none.
    pub head: Head,
}

/// From where to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Entries with a higher seq.
    Seq(Seq),
    /// Entries that tell an event with a higher cursor, and all entries that follow the first such.
    Cursor(Cursor),
}

/// Entries of which one is to be left.
#[derive(Debug, Clone, PartialEq)]
pub struct Elision {
    /// The first entry of the run.
    pub from: Seq,
    /// What stands for the run: with the seq, the epoch and the last cursor of the run's last entry.
    pub entry: Entry,
}

/// Where a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The last entry.
    pub seq: Seq,
    /// Its epoch.
    pub epoch: Epoch,
    /// The last cursor used.
    pub cursor: Cursor,
}

/// A state that stands for all entries up to `seq`: named documents that a person can read. Never the only
/// copy of anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that it covers. That entry is synced before the checkpoint is.
    pub seq: Seq,
    /// File name to JSON document: `messages.json`, `tools.json`, `todos.json`, `metadata.json`.
    pub files: BTreeMap<String, Bytes>,
}

/// The names of a checkpoint's documents, in the order in which they are written. The last one names `seq`
/// and the others' hashes.
pub const CHECKPOINT_FILES: [&str; 4] = ["messages.json", "tools.json", "todos.json", "metadata.json"];

/// For stores: that runs are in order, apart, and end at or below what the checkpoint covers.
///
/// # Errors
/// `Conflict`.
pub fn check_runs(runs: &[Elision], covered: Seq) -> StoreResult<()> {
    let mut end = Seq::ZERO;
    for Elision { from, entry } in runs {
        if *from <= end || entry.seq < *from || entry.seq > covered {
            return Err(StoreError::Conflict { expected: entry.seq, actual: covered });
        }
        end = entry.seq;
    }
    Ok(())
}

/// For stores: that a batch is gapless from `expected`, and that its epochs do not fall, nor exceed the lease's.
///
/// # Errors
/// `Conflict` or `Fenced`, of the first entry that is wrong.
pub fn check_batch(entries: &[Entry], expected: Seq, lease: Epoch) -> StoreResult<()> {
    let (mut actual, mut least) = (expected, Epoch::ZERO);
    for entry in entries {
        if entry.seq != actual.next() {
            return Err(StoreError::Conflict { expected: Seq(entry.seq.0.saturating_sub(1)), actual });
        }
        if entry.epoch > lease || entry.epoch < least {
            let current = if entry.epoch > lease { lease } else { least };
            return Err(StoreError::Fenced { epoch: entry.epoch, current });
        }
        (actual, least) = (entry.seq, entry.epoch);
    }
    Ok(())
}

/// Why a store refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The journal's head is not the one expected. Nothing was written.
    #[error("the journal ends at {actual}, not at {expected}")]
    Conflict {
        /// What the writer expected.
        expected: Seq,
        /// What is there.
        actual: Seq,
    },
    /// Another writer holds a higher epoch, or the agent was deleted. Nothing was written.
    #[error("epoch {epoch} is fenced off by {current}")]
    Fenced {
        /// The writer's.
        epoch: Epoch,
        /// The one in force.
        current: Epoch,
    },
    /// Another holder has the lease.
    #[error("the agent is held by another until {until}")]
    Held {
        /// When that lease ends unless renewed.
        until: Millis,
        /// Who holds it.
        holder: String,
    },
    /// The journal is damaged where it was once whole. It is kept as it is.
    #[error("{}", .0)]
    Damaged(Damage),
    /// No space is left. Nothing was acknowledged; what was before stays.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store cannot be reached, or it failed in a way that may pass. Whether an append took place is
    /// not known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store holds something that this version does not read.
    #[error("{0}")]
    Incompatible(String),
}

impl StoreError {
    /// Whether the same call may succeed later without anyone's doing.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Full(_) | Self::Unavailable(_) | Self::Held { .. } => true,
            Self::Conflict { .. } | Self::Fenced { .. } | Self::Damaged(_) | Self::Incompatible(_) => false,
        }
    }
}

/// Where a journal is damaged, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Whose.
    pub agent: AgentId,
    /// Where: a file's name within the store and a byte or line; never a host path.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the journal of {} is damaged at {}: {}; nothing was changed, run `kode store check` and see docs/journal-format.md",
            self.agent, self.place, self.what
        )
    }
}

/// What [`Journal::append`] and the readers give.
pub type StoreResult<T> = Result<T, StoreError>;

/// The entries of agents.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends entries as one unit: after a crash all of them are there or none.
    ///
    /// The entries MUST be gapless from `expected + 1`. Their epochs MUST NOT fall, also not below that of the entry
    /// before them, nor exceed the lease's: a writer's own have the lease's, and a copy of another store brings
    /// those of the writers there. An empty batch
    /// with [`Durability::Synced`] syncs what was buffered; with [`Durability::Buffered`] it lets the store write
    /// down what it knows to be synced, so that damage to it is seen as such. Concurrent calls are the caller's
    /// error and end in `Conflict`. Not cancel safe: a dropped call may or may not have appended.
    ///
    /// # Errors
    /// `Conflict`, `Fenced`: nothing was written. `Full`: nothing was acknowledged. `Unavailable`: not
    /// known. After `Full` or `Unavailable` the lease MUST NOT be used again; take a new one.
    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()>;

    /// Leaves one entry of each run, and the rest of the journal as it is: no seq, no head and no cursor changes,
    /// and readers of any place meet either the run or what stands for it. The runs MUST be in order and apart.
    /// Each is replaced as a whole or not at all, also over a crash; one that does not begin and end with entries
    /// that are there, or that the store cannot replace in one step, stays. What a call writes is
    /// bounded by what was appended since the last one. The store is not asked why: facts stay opaque to it.
    ///
    /// # Errors
    /// `Conflict` if a run ends beyond the agent's checkpoint, or the runs are not in order; `Fenced`: nothing was
    /// changed. `Full`, `Unavailable`: some runs may be replaced; where the lease is of no use any more, the next
    /// append says so.
    async fn elide(&self, lease: &Lease, runs: &[Elision]) -> StoreResult<()>;

    /// At most `limit` entries after a place, ordered and gapless (an elided entry counts for its whole run, also
    /// for a place within it); fewer than `limit` means that the head was reached. An unknown agent has none.
    /// Takes no lease, repairs nothing, and sees only whole batches.
    ///
    /// # Errors
    /// `Damaged`, `Unavailable`, `Incompatible`.
    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>>;

    /// Where the journal ends; `None` for an unknown or deleted agent, whose journal has no entries.
    ///
    /// # Errors
    /// As [`Journal::read`].
    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>>;

    /// Hints that the agent's journal moved, where the store has some: see [`wakes`]. Called within a tokio runtime.
    fn watch(&self, _agent: &AgentId) -> Option<Watch> {
        None
    }
}

/// Who may write.
///
/// `now` is the caller's own clock, taken before the call, and `expires` is told by it. A store whose clock is its
/// own (a server with many callers) judges by that one whether a lease has ended, and believes no caller's.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the right to write, with an epoch by [`Epoch::grant`]: above every one granted before, also to
    /// an agent of the same name that was deleted. Also for an agent without a journal yet. Makes the
    /// journal whole first: a torn tail is cut, and the cut synced. Marks the agent as unfinished.
    ///
    /// A holder that has the agent already gets a new, higher epoch: its old lease is fenced.
    ///
    /// # Errors
    /// `Held` by another; `Damaged`; `Full`; `Unavailable`; `Incompatible`.
    async fn acquire(&self, agent: &AgentId, holder: &str, ttl: Millis, now: Millis) -> StoreResult<Lease>;

    /// Prolongs a lease; `Fenced` if it is no longer in force.
    ///
    /// # Errors
    /// `Fenced`, `Unavailable`.
    async fn renew(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease>;

    /// Gives the right back. `clean` clears the mark of unfinished work. A lease no longer in force is
    /// given back without effect.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn release(&self, lease: Lease, clean: bool) -> StoreResult<()>;

    /// Who has the lease, for those who look for the agent's node: it is not taken, and nothing is changed. `None`
    /// where nobody has it, or it has ended. A store that one process has to itself knows only of its own leases.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn holder(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>>;

    /// Agents that may have unfinished work: every one whose last lease was not given back clean. A
    /// superset, found without looking at every agent.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn unfinished(&self) -> StoreResult<Vec<AgentId>>;

    /// Those of the unfinished that nobody holds now, or whose lease has ended: what a dead node left, and what waits
    /// for a person. Nodes ask again and again, so its cost MUST be that of the unfinished agents at most, in few
    /// round trips.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn abandoned(&self, now: Millis) -> StoreResult<Vec<Abandoned>>;
}

/// Folded states, for a fast start and for people.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// Replaces the agent's checkpoint atomically. Syncs the journal up to `checkpoint.seq` first.
    ///
    /// # Errors
    /// `Fenced`, `Full`, `Unavailable`. The former checkpoint stays usable, or none is.
    async fn save_checkpoint(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()>;

    /// The last whole checkpoint; `None` where there is none or it is not whole: the journal has all of it.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn load_checkpoint(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>>;
}

/// Which agents there are.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// A short name of the kind of store, for `/api/metrics`: `fs`, `memory`, …
    fn kind(&self) -> &'static str;

    /// At most `limit` agents under `prefix` (by whole `:` segments, see [`AgentId::is_under`]) whose id is
    /// above `after`, in the order of their bytes.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn list(&self, prefix: &str, after: Option<&AgentId>, limit: usize) -> StoreResult<Vec<AgentId>>;

    /// Removes an agent for good, and leaves a tombstone with the epoch, so that no cursor of the name comes
    /// again. The lease ends with it: later appends under it are `Fenced`.
    ///
    /// # Errors
    /// `Fenced`, `Unavailable`.
    async fn delete(&self, lease: Lease) -> StoreResult<()>;

    /// Whether the store takes reads and writes now.
    ///
    /// # Errors
    /// Why not.
    async fn ready(&self) -> StoreResult<()>;

    /// Whether other processes may write to it as well: then readers look for what they did not write themselves.
    fn is_shared(&self) -> bool {
        false
    }

    /// Counts that all nodes share, where the store keeps some. What cannot do without refuses to begin.
    fn counters(&self) -> Option<&dyn Counters> {
        None
    }
}

/// A whole store.
pub trait Store: Journal + Leases + Checkpoints + Blobs + Catalog + Nodes + 'static {}

impl<T: Journal + Leases + Checkpoints + Blobs + Catalog + Nodes + 'static> Store for T {}
