//! Wakes for tests: a store in memory whose wakes come, are lost, or come wild; readers at a node that does not drive
//! their agent; and what such readers must see whatever becomes of the wakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kode_core::Runtime;
use kode_core::clock::Clock;
use kode_core::event::Envelope;
use kode_core::fact::Entry;
use kode_core::hub::Subscription;
use kode_core::id::{AgentId, Cursor, Millis, Seq};
use kode_core::store::decorate::Decorator;
use kode_core::store::memory::MemoryStore;
use kode_core::store::wakes::{Board, Watch};
use kode_core::store::{After, Durability, Head, Lease, Store, StoreResult};

use crate::scripted_model::ScriptedModel;
use crate::store_suite::pen::{NOW, Pen, all};
use crate::workspace::MemorySandbox;

/// What anything takes that does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// As many as a store may have.
const CONNECTIONS: usize = 16;
/// A wait that is no poll's.
const MOMENT: Millis = 15;

/// Waits until wakes for an agent are known to come, and lets go of those that came before.
///
/// # Panics
/// If they do not begin to.
pub async fn heard(watch: &mut Watch) {
    let began = tokio::time::timeout(PATIENCE, async {
        while !watch.is_heard() {
            watch.changed().await;
        }
    });
    began.await.expect("wakes begin to come");
    while tokio::time::timeout(Duration::ZERO, watch.changed()).await.is_ok() {}
}

/// Waits until a store is there again on each of its connections: some of them may not have noticed that its server was
/// gone.
///
/// # Panics
/// If it does not come back.
pub async fn back_again(store: &impl Store) {
    let back = tokio::time::timeout(PATIENCE, async {
        for _ in 0..CONNECTIONS {
            while store.ready().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    back.await.expect("the store comes back");
}

/// What becomes of wakes. All of it is allowed to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// They come.
    Faithful,
    /// None comes, although they are said to.
    Lost,
    /// They come twice, before what they are for and behind it, and for other agents.
    Wild,
}

/// A store in memory that processes share, and that gives wakes. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Waking {
    inner: MemoryStore,
    board: Arc<Board>,
    manner: Manner,
}

impl Waking {
    /// An empty one.
    #[must_use]
    pub fn new(manner: Manner) -> Self {
        let board = Arc::<Board>::default();
        board.hear_all();
        Self { inner: MemoryStore::shared(), board, manner }
    }

    /// Whoever watches: to have wakes end and begin again.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    fn wake(&self, agent: &AgentId) {
        match self.manner {
            Manner::Faithful => self.board.wake(agent.as_str()),
            Manner::Lost => {}
            Manner::Wild => {
                self.board.watched().iter().chain(&self.board.watched()).for_each(|a| self.board.wake(a))
            }
        }
    }
}

#[async_trait]
impl Decorator for Waking {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    fn watch(&self, agent: &AgentId) -> Option<Watch> {
        Some(self.board.watch(agent))
    }

    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        if self.manner == Manner::Wild {
            self.wake(&lease.agent);
            tokio::task::yield_now().await;
        }
        let appended = self.inner().append(lease, expected, entries, grade).await;
        self.wake(&lease.agent);
        appended
    }

    async fn delete(&self, lease: Lease) -> StoreResult<()> {
        let agent = lease.agent.clone();
        let deleted = self.inner().delete(lease).await;
        self.wake(&agent);
        deleted
    }
}

/// A clock by which nothing comes that waits longer than a moment: whoever asks now and then asks never.
#[derive(Debug, Default)]
pub struct NoPolls;

#[async_trait]
impl Clock for NoPolls {
    fn now(&self) -> Millis {
        NOW
    }

    async fn until(&self, at: Millis) {
        match at.saturating_sub(self.now()) {
            wait if wait <= MOMENT => tokio::time::sleep(Duration::from_millis(wait)).await,
            _ => std::future::pending().await,
        }
    }
}

/// How often a store was asked for what followers ask.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<AtomicUsize>);

impl Asked {
    /// Questions up to now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A store that counts what followers ask it.
struct Questions {
    inner: Arc<dyn Store>,
    asked: Asked,
}

#[async_trait]
impl Decorator for Questions {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn head(&self, agent: &AgentId) -> StoreResult<Option<Head>> {
        self.asked.0.fetch_add(1, Ordering::SeqCst);
        self.inner.head(agent).await
    }

    async fn read(&self, agent: &AgentId, after: After, limit: usize) -> StoreResult<Vec<Entry>> {
        self.asked.0.fetch_add(1, Ordering::SeqCst);
        self.inner.read(agent, after, limit).await
    }
}

/// A node that reads what others write.
pub struct Elsewhere {
    /// Its runtime, which drives nothing.
    pub runtime: Runtime,
    /// What it asked its store.
    pub asked: Asked,
}

impl Elsewhere {
    /// A node on a store, by a clock of the test's.
    ///
    /// # Panics
    /// If no runtime can be built.
    #[must_use]
    pub fn on(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let asked = Asked::default();
        let store = Arc::new(Questions { inner: store, asked: asked.clone() });
        let builder = Runtime::builder(store, ScriptedModel::new([]), Arc::new(MemorySandbox::new()));
        let builder = builder.default_model("scripted-1").clock(clock).holder("elsewhere", 30_000);
        Self { runtime: builder.build().expect("nothing is missing"), asked }
    }

    /// Reads an agent from its beginning.
    #[must_use]
    pub fn read(&self, agent: &AgentId) -> Subscription {
        self.runtime.subscription(agent, Cursor::ZERO)
    }
}

/// The next event.
///
/// # Panics
/// If none comes.
pub async fn next(reader: &mut Subscription) -> Arc<Envelope> {
    let event = tokio::time::timeout(PATIENCE, reader.next()).await.expect("an event comes");
    event.expect("the store can be read").expect("the agent is there")
}

/// Has a reader elsewhere see each of some chunks before the next is written.
///
/// # Panics
/// If one does not come, or another does.
pub async fn each_in_turn(owner: &impl Store, pen: &mut Pen, reader: &mut Subscription, chunks: usize) {
    for _ in 0..chunks {
        let written = pen.write_chunk(owner, "text", 1).await;
        assert_eq!(next(reader).await.cursor, written[0].cursor);
    }
}

/// Each chunk comes although nobody polls: so by its own wake.
///
/// # Panics
/// If one does not come.
pub async fn chunks_come_by_wakes_alone(owner: &impl Store, reader: Arc<dyn Store>, agent: &AgentId) {
    let mut pen = Pen::take(owner, agent).await;
    pen.write_chunk(owner, "first", 1).await;
    // Kept beside the follower's, which begins to hear at the same moment or later.
    let node = Elsewhere::on(reader, Arc::new(NoPolls));
    let mut events = node.read(agent);
    next(&mut events).await;
    let mut watch = node.runtime.store().watch(agent).expect("it gives wakes");
    heard(&mut watch).await;
    each_in_turn(owner, &mut pen, &mut events, 20).await;
}

/// What is written in bursts is seen once and in order by a reader elsewhere, whatever becomes of wakes; `meanwhile`
/// happens in the middle of it.
///
/// # Panics
/// If anything is missing, or there twice.
pub async fn nothing_is_missed(
    owner: &impl Store,
    reader: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    agent: &AgentId,
    meanwhile: impl AsyncFn(usize),
) {
    let mut pen = Pen::take(owner, agent).await;
    let node = Elsewhere::on(reader, clock);
    let (mut events, mut seen) = (node.read(agent), Vec::new());
    for round in 0..12 {
        for size in [1, 3, 1] {
            pen.write_chunk(owner, "text", size).await;
        }
        meanwhile(round).await;
        while seen.last() != Some(&pen.head.cursor) {
            seen.push(next(&mut events).await.cursor);
        }
    }
    let written = all(owner, agent).await;
    let told: Vec<_> = written
        .iter()
        .flat_map(|entry| (0..entry.events).map(|n| Cursor(entry.cursor.0 + u64::from(n))))
        .collect();
    assert_eq!(seen, told);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store_suite::Bench;

    struct Woken(Waking);

    #[async_trait]
    impl Bench for Woken {
        type Store = Waking;

        async fn open(&self) -> Waking {
            self.0.clone()
        }
    }

    #[test]
    fn a_store_whose_wakes_come_or_come_wild_is_a_store() {
        crate::store_suite!(one by one Woken(Waking::new(Manner::Faithful)));
        crate::store_suite!(one by one Woken(Waking::new(Manner::Wild)));
    }

    /// What the suite finds out: a store that says that wakes come, and sends none.
    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "no append wakes who watches")]
    async fn a_store_that_only_says_that_wakes_come_is_found_out() {
        use crate::store_suite::wakes::who_watches_is_woken_by_what_moves_a_journal;
        who_watches_is_woken_by_what_moves_a_journal(Woken(Waking::new(Manner::Lost))).await;
    }
}
