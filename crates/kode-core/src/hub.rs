//! The hub: each agent's recent events, kept once, behind a head that readers watch.
//!
//! A subscriber owns a cursor and pulls: from here while it is near the head, from the journal when it is
//! behind. Nothing is pushed into queues, so replay and live are one path and a slow reader costs only its
//! cursor. The hub belongs to the runtime and outlives every driver.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;

use crate::event::Envelope;
use crate::fact::Entry;
use crate::ground::{Arc, Mutex, MutexGuard, PoisonError, Weak, watch};
use crate::id::{AgentId, Cursor, Seq};
use crate::machine::{Batch, project};
use crate::store::{After, Head, Store, StoreError};

/// Most events kept for one agent.
const KEPT: usize = 1_024;
/// Most entries read from the journal at a time.
const PAGE: usize = 256;
/// How many a reader begins with: it does not know how long they are. It takes twice as many where a page had room.
const FIRST_PAGE: usize = 1;
/// What a reader keeps of them, about, in bytes: little at first, as it may be a slow one of many, and more once it has shown
/// that it reads. The rest is read again when its turn comes.
const PAGE_BYTES: RangeInclusive<usize> = 8 << 10..=256 << 10;
/// A page is such a part of what its reader has taken before: what is read again stays little beside what is read.
const PAGE_PART: usize = 16;

/// The feeds of all agents that someone writes or reads.
#[derive(Default)]
pub(crate) struct Hub {
    feeds: Mutex<Feeds>,
}

#[derive(Default)]
struct Feeds {
    by_agent: HashMap<AgentId, Weak<Feed>>,
    sweep_at: usize,
}

impl Hub {
    /// The agent's feed, made on first use and gone with its last user.
    pub(crate) fn feed(&self, agent: &AgentId) -> Arc<Feed> {
        let mut feeds = lock(&self.feeds);
        if let Some(feed) = feeds.by_agent.get(agent).and_then(Weak::upgrade) {
            return feed;
        }
        if feeds.by_agent.len() >= feeds.sweep_at {
            feeds.by_agent.retain(|_, feed| feed.strong_count() > 0);
            feeds.sweep_at = (feeds.by_agent.len() * 2).max(64);
        }
        let feed = Arc::new(Feed::default());
        feeds.by_agent.insert(agent.clone(), Arc::downgrade(&feed));
        feed
    }
}

/// One agent's recent events.
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    signal: watch::Sender<Signal>,
}

/// What readers wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Signal {
    head: Cursor,
    closed: bool,
    /// How often the name's agent was deleted: a reader belongs to one of them.
    closings: u64,
}

#[derive(Default)]
struct Ring {
    /// Where the journal ended at the last publish; none before the first writer.
    seq: Option<Seq>,
    /// Every event after this one, up to the head, is in `events`.
    from: Cursor,
    events: VecDeque<Arc<Envelope>>,
    /// How often it moved on.
    moves: u64,
    readers: usize,
    /// How many of them have taken all there is since it moved last: what they have not told yet, they hold themselves.
    caught_up: usize,
    /// Whether the agent rests: what everybody has taken is not kept any longer.
    resting: bool,
    /// Whether a writer of this process tells what it appends.
    driven: bool,
    /// Whether a task tells what others append.
    followed: bool,
}

impl Ring {
    /// Begins behind this place, unless what is here leads there.
    fn begin_at(&mut self, seq: Seq, cursor: Cursor) {
        if self.seq != Some(seq) {
            (self.from, self.events) = (cursor, VecDeque::new());
            self.move_on(seq);
        }
    }

    /// The journal goes on to here, and nobody has taken that yet.
    fn move_on(&mut self, seq: Seq) {
        self.seq = Some(seq);
        self.moves += 1;
        (self.caught_up, self.resting) = (0, false);
        while self.events.len() > KEPT {
            if let Some(oldest) = self.events.pop_front() {
                self.from = oldest.cursor;
            }
        }
    }

    /// An idle agent keeps no event in memory but for a reader who is behind.
    fn let_go_of_what_was_taken(&mut self) {
        if let Some(last) = self.events.back().filter(|_| self.resting && self.caught_up == self.readers) {
            self.from = last.cursor;
            self.events = VecDeque::new();
        }
    }
}

/// Where the hub begins, and the last entry that was told: what the journal holds beyond it is not told yet.
#[derive(Clone, Copy)]
struct Told {
    from: Cursor,
    last: Seq,
}

/// What a reader finds at its cursor.
enum Found {
    Events(Vec<Arc<Envelope>>),
    AtHead,
    /// The journal has to be read; what it does not tell up to here, nothing tells.
    Behind(Option<Told>),
}

impl Default for Feed {
    fn default() -> Self {
        Self { ring: Mutex::default(), signal: watch::Sender::new(Signal::default()) }
    }
}

impl Feed {
    /// A writer begins at this place. What is here stays only where it leads there without a gap.
    pub(crate) fn attach(&self, seq: Seq, cursor: Cursor) {
        let mut ring = lock(&self.ring);
        ring.driven = true;
        ring.begin_at(seq, cursor);
        drop(ring);
        self.signal.send_if_modified(|signal| std::mem::replace(&mut signal.closed, false));
    }

    /// The writer ends; what comes next may be written elsewhere.
    pub(crate) fn detach(&self) {
        lock(&self.ring).driven = false;
    }

    /// Whether somebody reads what nobody tells: then the caller is to follow the store, until
    /// [`Feed::goes_on_following`] says no.
    pub(crate) fn begin_following(&self) -> bool {
        let mut ring = lock(&self.ring);
        let begins = !ring.driven && !ring.followed && self.signal.receiver_count() > 0;
        ring.followed |= begins;
        begins
    }

    /// Whether the follower is still needed. Once it is not, it is none any more.
    pub(crate) fn goes_on_following(&self) -> bool {
        let mut ring = lock(&self.ring);
        ring.followed = !ring.driven && self.signal.receiver_count() > 0;
        ring.followed
    }

    /// The follower begins at this place; what lies before it is in the journal.
    pub(crate) fn follow_from(&self, head: Head) {
        let mut ring = lock(&self.ring);
        if ring.driven {
            return;
        }
        ring.begin_at(head.seq, head.cursor);
        drop(ring);
        self.signal.send_modify(|signal| (signal.head, signal.closed) = (head.cursor, false));
    }

    /// The follower tells entries that another process appended: all those behind what was told last.
    pub(crate) fn follow_on(&self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        let mut ring = lock(&self.ring);
        // Whoever drives the agent here by now tells them itself, or begins behind them.
        if ring.driven {
            return;
        }
        let told = ring.events.back().map_or(ring.from, |last| last.cursor);
        let new = entries.iter().flat_map(project).filter(|envelope| envelope.cursor > told);
        ring.events.extend(new.map(Arc::new).collect::<Vec<_>>());
        ring.move_on(last.seq);
        drop(ring);
        self.signal.send_modify(|signal| (signal.head, signal.closed) = (last.last_cursor(), false));
    }

    /// Tells a batch that is durable. One that does not follow on the last is not kept, only signalled:
    /// readers find it in the journal.
    pub(crate) fn publish(&self, batch: Batch) {
        let (Some(expected), Some(last)) = (batch.expected(), batch.entries.last()) else { return };
        let head = last.last_cursor();
        let mut ring = lock(&self.ring);
        if ring.seq == Some(expected) {
            ring.events.extend(batch.envelopes.into_iter().map(Arc::new));
        } else {
            ring.begin_at(last.seq, head);
        }
        ring.move_on(last.seq);
        drop(ring);
        self.signal.send_modify(|signal| signal.head = head);
    }

    /// The agent rests: its events leave the memory when the last reader has taken them, now if all have.
    pub(crate) fn rest(&self) {
        let mut ring = lock(&self.ring);
        ring.resting = true;
        ring.let_go_of_what_was_taken();
    }

    /// The agent is deleted: readers end after what is still here.
    pub(crate) fn close(&self) {
        self.signal.send_modify(|signal| {
            signal.closed = true;
            signal.closings += 1;
        });
    }

    /// What follows for a reader, and which move it was behind which it had taken everything.
    fn find(&self, after: Cursor, caught_up: &mut Option<u64>) -> Found {
        let mut ring = lock(&self.ring);
        let Some(last) = ring.seq else { return Found::Behind(None) };
        if after < ring.from {
            return Found::Behind(Some(Told { from: ring.from, last }));
        }
        let start = ring.events.partition_point(|e| e.cursor <= after);
        let events: Vec<_> = ring.events.range(start..).take(PAGE).cloned().collect();
        let moves = ring.moves;
        if start + events.len() == ring.events.len() && caught_up.replace(moves) != Some(moves) {
            ring.caught_up += 1;
            ring.let_go_of_what_was_taken();
        }
        if events.is_empty() { Found::AtHead } else { Found::Events(events) }
    }

    /// A reader leaves who had taken everything behind this move.
    fn leave(&self, caught_up: Option<u64>) {
        let mut ring = lock(&self.ring);
        ring.readers -= 1;
        ring.caught_up -= usize::from(caught_up == Some(ring.moves));
        ring.let_go_of_what_was_taken();
    }
}

/// A reader of one agent's events, on every channel, from a cursor on.
pub struct Subscription {
    agent: AgentId,
    feed: Arc<Feed>,
    store: Arc<dyn Store>,
    signal: watch::Receiver<Signal>,
    cursor: Cursor,
    closings: u64,
    /// The hub's last move behind which everything was taken.
    caught_up: Option<u64>,
    page: VecDeque<Arc<Envelope>>,
    /// How many entries are read at a time: fewer where they are long.
    at_once: usize,
    /// Bytes of events that were fetched from the journal, about.
    taken: usize,
}

impl Subscription {
    pub(crate) fn new(agent: AgentId, feed: Arc<Feed>, store: Arc<dyn Store>, after: Cursor) -> Self {
        let signal = feed.signal.subscribe();
        let closings = signal.borrow().closings;
        lock(&feed.ring).readers += 1;
        let page = VecDeque::new();
        Self {
            agent,
            feed,
            store,
            signal,
            cursor: after,
            closings,
            caught_up: None,
            page,
            at_once: FIRST_PAGE,
            taken: 0,
        }
    }

    /// The next event after the cursor; waits for it at the head. `None` once the agent is deleted. Cancel
    /// safe: an event is lost to nobody when the future is dropped.
    ///
    /// # Errors
    /// The store could not be read; the cursor is still good.
    pub async fn next(&mut self) -> Result<Option<Arc<Envelope>>, StoreError> {
        loop {
            if let Some(envelope) = self.page.pop_front() {
                self.cursor = envelope.cursor;
                return Ok(Some(envelope));
            }
            let Signal { closed, closings, .. } = *self.signal.borrow_and_update();
            if closings != self.closings && !closed {
                return Ok(None);
            }
            match self.feed.find(self.cursor, &mut self.caught_up) {
                Found::Events(events) => self.page = events.into(),
                Found::Behind(until) if self.read_journal(until).await? => {}
                Found::AtHead | Found::Behind(_) if closed => return Ok(None),
                Found::AtHead | Found::Behind(_) => {
                    if self.signal.changed().await.is_err() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The next event without waiting; `None` at the head.
    ///
    /// # Errors
    /// As [`Subscription::next`].
    pub async fn next_ready(&mut self) -> Result<Option<Arc<Envelope>>, StoreError> {
        loop {
            if let Some(envelope) = self.page.pop_front() {
                self.cursor = envelope.cursor;
                return Ok(Some(envelope));
            }
            match self.feed.find(self.cursor, &mut self.caught_up) {
                Found::Events(events) => self.page = events.into(),
                Found::Behind(until) if self.read_journal(until).await? => {}
                Found::AtHead | Found::Behind(_) => return Ok(None),
            }
        }
    }

    /// The cursor of the last event given.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Fetches a page of what is behind the hub. Whether there is progress: events, or a cursor moved on to
    /// where the hub begins.
    async fn read_journal(&mut self, until: Option<Told>) -> Result<bool, StoreError> {
        let mut after = After::Cursor(self.cursor);
        loop {
            let limit = self.at_once;
            let entries = self.store.read(&self.agent, after, limit).await?;
            let is_told = |seq: Seq| until.is_none_or(|told| seq <= told.last);
            let told = entries.iter().filter(|e| is_told(e.seq)).flat_map(project);
            let told = told.filter(|e| e.cursor > self.cursor);
            let room = (self.taken / PAGE_PART).clamp(*PAGE_BYTES.start(), *PAGE_BYTES.end());
            let (page, bytes, whole) = first_page(told, room);
            self.taken = self.taken.saturating_add(bytes);
            self.at_once = if whole { (limit * 2).min(PAGE) } else { page.len().min(limit) };
            self.page = page;
            if !self.page.is_empty() {
                return Ok(true);
            }
            match entries.last() {
                Some(last) if entries.len() == limit && is_told(last.seq) => after = After::Seq(last.seq),
                Some(_) | None => break,
            }
        }
        let from = until.map(|told| told.from).unwrap_or_default();
        let moved = from > self.cursor;
        self.cursor = self.cursor.max(from);
        Ok(moved)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.leave(self.caught_up);
    }
}

/// As much of what a reader was told as it has room for, at least one event; its bytes, and whether that is all.
fn first_page(told: impl Iterator<Item = Envelope>, room: usize) -> (VecDeque<Arc<Envelope>>, usize, bool) {
    let (mut page, mut bytes) = (VecDeque::new(), 0);
    for envelope in told {
        if bytes >= room {
            return (page, bytes, false);
        }
        bytes += envelope.weight();
        page.push_back(Arc::new(envelope));
    }
    (page, bytes, true)
}

/// A poisoned lock holds whole data here: every critical section only moves values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
