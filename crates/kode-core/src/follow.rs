//! Following what another process writes: for an agent that is read here and driven elsewhere, its feed is fed from the
//! store, once for all of its readers here.
//!
//! One short task for each such agent, which lives as long as somebody reads and nobody drives the agent here. The
//! store is asked where the journal ends, and read only where that has moved.

use std::sync::Arc;

use crate::hub::{Feed, Subscription};
use crate::id::{AgentId, Cursor, Millis};
use crate::runtime::{Runtime, Shared};
use crate::store::{After, Head, StoreResult};

/// How often the end of a journal that moves is asked for, and of one that has not for a while.
const BUSY: Millis = 20;
const QUIET: Millis = 50;
/// How long after its last move a journal counts as one that moves.
const BUSY_FOR: Millis = 10_000;
/// How long a store that refused is left alone.
const AFTER_ERROR: Millis = 250;
/// Entries read at a time.
const PAGE: usize = 256;

impl Runtime {
    /// The agent's events after a cursor, live or not, whoever drives it. Takes no lease and writes nothing.
    #[must_use]
    pub fn subscription(&self, id: &AgentId, after: Cursor) -> Subscription {
        let shared = self.shared();
        let feed = shared.hub.feed(id);
        let events = Subscription::new(id.clone(), feed.clone(), shared.store.clone(), after);
        follow(shared, id, &feed);
        events
    }

    /// The agent's events after a cursor as the store has them now, for who does not wait for more: of an agent that is
    /// not live here, this is all there is, and no later than any other process sees it.
    #[must_use]
    pub fn told(&self, id: &AgentId, after: Cursor) -> Subscription {
        Subscription::new(id.clone(), Arc::default(), self.shared().store.clone(), after)
    }
}

/// Has the feed follow the store, if somebody reads it, nobody drives its agent here, and others may.
pub(crate) fn follow(shared: &Arc<Shared>, agent: &AgentId, feed: &Arc<Feed>) {
    if shared.store.is_shared() && feed.begin_following() {
        let follower =
            Follower { shared: shared.clone(), agent: agent.clone(), feed: feed.clone(), seen: None };
        tokio::spawn(follower.run());
    }
}

struct Follower {
    shared: Arc<Shared>,
    agent: AgentId,
    feed: Arc<Feed>,
    /// Where the journal ended when it was last read; nothing where there was none.
    seen: Option<Head>,
}

impl Follower {
    async fn run(mut self) {
        let clock = self.shared.clock.clone();
        let (mut moved_at, mut silent) = (clock.now(), false);
        while self.feed.goes_on_following() {
            let wait = match self.catch_up().await {
                Ok(moved) => {
                    silent = false;
                    moved_at = if moved { clock.now() } else { moved_at };
                    if clock.now().saturating_sub(moved_at) < BUSY_FOR { BUSY } else { QUIET }
                }
                Err(error) => {
                    if !std::mem::replace(&mut silent, true) {
                        tracing::warn!(agent = %self.agent, %error, "the store cannot be followed; it is asked again");
                    }
                    AFTER_ERROR
                }
            };
            clock.until(clock.now().saturating_add(wait)).await;
        }
    }

    /// Tells what has come since the last look. Whether something has.
    async fn catch_up(&mut self) -> StoreResult<bool> {
        let head = self.shared.store.head(&self.agent).await?;
        if head == self.seen {
            return Ok(false);
        }
        match (head, self.seen) {
            (None, _) => self.feed.close(),
            // Readers read up to here by themselves.
            (Some(head), None) => self.feed.follow_from(head),
            (Some(_), Some(seen)) => self.tell_after(seen).await?,
        }
        self.seen = head;
        Ok(true)
    }

    /// Tells all entries behind a place. By cursor, not by seq: those rise whatever a loss of power took back.
    async fn tell_after(&self, seen: Head) -> StoreResult<()> {
        let mut after = After::Cursor(seen.cursor);
        loop {
            let entries = self.shared.store.read(&self.agent, after, PAGE).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = After::Seq(last.seq);
            self.feed.follow_on(&entries);
            if entries.len() < PAGE {
                return Ok(());
            }
        }
    }
}
