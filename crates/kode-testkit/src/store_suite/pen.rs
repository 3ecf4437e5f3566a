//! What the cases write with: a lease and the place where the next batch goes.

use kode_core::event::{AgentState, Breakpoint};
use kode_core::fact::{ChunkPart, Entry, Fact, Shift};
use kode_core::id::{AgentId, Cursor, Epoch, Millis, Seq};
use kode_core::store::{After, Durability, Head, Lease, Store, StoreResult};

/// The time at which cases begin: 2025-06-01.
pub const NOW: Millis = 1_748_736_000_000;
/// How long leases last.
pub const TTL: Millis = 30_000;
/// Who holds leases.
pub const HOLDER: &str = "node-1";

/// An agent's id.
///
/// # Panics
/// If the text is none.
#[must_use]
pub fn id(text: &str) -> AgentId {
    AgentId::new(text).expect("cases name agents rightly")
}

/// A fact that tells one event.
#[must_use]
pub fn step(step: u32) -> Fact {
    let shift = Shift {
        from: (AgentState::Ready, Breakpoint::Ready),
        to: (AgentState::Working, Breakpoint::PreModel),
    };
    Fact::ModelStarted { step, attempt: 1, shift }
}

/// A fact that tells `count` events and may be buffered.
#[must_use]
pub fn chunk(text: &str, count: u32) -> Fact {
    let parts = (0..count).map(|i| ChunkPart::Text(format!("{text}{i}"))).collect();
    Fact::ModelChunk { step: 1, attempt: 1, parts }
}

/// A writer: a lease, and where the journal ends.
#[derive(Debug, Clone)]
pub struct Pen {
    /// The right to write.
    pub lease: Lease,
    /// Where the next batch goes.
    pub head: Head,
}

impl Pen {
    /// Takes an agent's lease as [`HOLDER`] at [`NOW`].
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn take(store: &impl Store, agent: &AgentId) -> Self {
        Self::take_at(store, agent, NOW).await
    }

    /// The same at another time.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn take_at(store: &impl Store, agent: &AgentId, now: Millis) -> Self {
        let lease = store.acquire(agent, HOLDER, TTL, now).await.expect("the lease is free");
        let head = store.head(agent).await.expect("the head can be read").unwrap_or_default();
        Self { lease, head }
    }

    /// Entries for these facts, each with how many events it tells, as they would come next.
    #[must_use]
    pub fn entries(&self, facts: impl IntoIterator<Item = (Fact, u32)>) -> Vec<Entry> {
        let start = Cursor::start_of(self.lease.epoch);
        let mut head = Head { cursor: self.head.cursor.max(start), ..self.head };
        let mut entry = |(fact, events)| {
            let entry = Entry {
                seq: head.seq.next(),
                epoch: self.lease.epoch,
                at: NOW,
                cursor: head.cursor.plus(1),
                events,
                fact,
            };
            head = Head { seq: entry.seq, epoch: entry.epoch, cursor: entry.last_cursor() };
            entry
        };
        facts.into_iter().map(&mut entry).collect()
    }

    /// Appends a batch where it belongs.
    ///
    /// # Errors
    /// The store's.
    pub async fn try_write(
        &mut self,
        store: &impl Store,
        batch: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        store.append(&self.lease, self.head.seq, batch, grade).await?;
        if let Some(last) = batch.last() {
            self.head = Head { seq: last.seq, epoch: last.epoch, cursor: last.last_cursor() };
        }
        Ok(())
    }

    /// Appends one batch of these facts, one event each, synced; tells the entries.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn write(&mut self, store: &impl Store, facts: Vec<Fact>) -> Vec<Entry> {
        let batch = self.entries(facts.into_iter().map(|fact| (fact, 1)));
        self.try_write(store, &batch, Durability::Synced).await.expect("the append is in order");
        batch
    }

    /// Appends one buffered batch of one fact with this many events; tells the entries.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn write_chunk(&mut self, store: &impl Store, text: &str, events: u32) -> Vec<Entry> {
        let batch = self.entries([(chunk(text, events), events)]);
        self.try_write(store, &batch, Durability::Buffered).await.expect("the append is in order");
        batch
    }

    /// Appends `count` batches of one step each, synced; tells the entries.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn write_steps(&mut self, store: &impl Store, count: u32) -> Vec<Entry> {
        let mut entries = Vec::new();
        for number in 0..count {
            entries.extend(self.write(store, vec![step(number)]).await);
        }
        entries
    }

    /// The writer's term.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.lease.epoch
    }
}

/// Everything in a journal.
///
/// # Panics
/// If it cannot be read.
pub async fn all(store: &impl Store, agent: &AgentId) -> Vec<Entry> {
    store.read(agent, After::Seq(Seq::ZERO), usize::MAX).await.expect("the journal can be read")
}

/// The seqs of entries.
#[must_use]
pub fn seqs(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq.0).collect()
}
