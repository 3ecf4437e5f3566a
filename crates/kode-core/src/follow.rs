//! Following what another process writes: for an agent that is read here and driven elsewhere, its feed is fed from the
//! store, once for all of its readers here.
//!
//! One short task for each such agent, which lives as long as somebody reads and nobody drives the agent here. The
//! store is asked where the journal ends, and read only where that has moved. Where the store gives hints that a journal
//! moved ([`wakes`](crate::store::wakes)), the follower waits for them and asks by itself only now and then; whatever
//! becomes of a hint, that question finds what came. A move that no hint told of makes it ask often again, until one
//! comes: the owner's node may be of a version, or have rights, that give none.

use std::sync::Arc;

use crate::hub::{Feed, Subscription};
use crate::id::{AgentId, Cursor, Millis};
use crate::runtime::{Runtime, Shared};
use crate::store::wakes::Watch;
use crate::store::{After, Head, StoreResult};

/// How often the end of a journal that moves is asked for, and of one that has not for a while.
const BUSY: Millis = 20;
const QUIET: Millis = 50;
/// How long after its last move a journal counts as one that moves.
const BUSY_FOR: Millis = 10_000;
/// How often it is asked for where wakes are known to come.
const WOKEN: Millis = 1_000;
/// The shortest time between two looks: what wakes come for meanwhile is read at once.
const GAP: Millis = 10;
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
        let watch = shared.store.watch(agent);
        let (shared, agent, feed) = (shared.clone(), agent.clone(), feed.clone());
        let follower = Follower { shared, agent, feed, seen: None, watch, trusts: true };
        tokio::spawn(follower.run());
    }
}

struct Follower {
    shared: Arc<Shared>,
    agent: AgentId,
    feed: Arc<Feed>,
    /// Where the journal ended when it was last read; nothing where there was none.
    seen: Option<Head>,
    watch: Option<Watch>,
    /// Whether the last move that was found had been told of by a wake.
    trusts: bool,
}

/// What a look at the store comes after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A wake, or one that may have been missed.
    Wake,
    /// The time for it, with no wake although they were thought to come.
    Silence,
    /// The time for it.
    Time,
}

impl Follower {
    async fn run(mut self) {
        let clock = self.shared.clock.clone();
        let (mut moved_at, mut silent, mut cause) = (clock.now(), false, Cause::Time);
        while self.feed.goes_on_following() {
            let asked_at = clock.now();
            cause = match self.catch_up(cause).await {
                Ok(moved) => {
                    silent = false;
                    moved_at = if moved { clock.now() } else { moved_at };
                    self.trusts = cause == Cause::Wake || self.trusts && !(moved && cause == Cause::Silence);
                    let busy = clock.now().saturating_sub(moved_at) < BUSY_FOR;
                    self.rest(asked_at, if busy { BUSY } else { QUIET }).await
                }
                Err(error) => {
                    if !std::mem::replace(&mut silent, true) {
                        tracing::warn!(agent = %self.agent, %error, "the store cannot be followed; it is asked again");
                    }
                    clock.until(clock.now().saturating_add(AFTER_ERROR)).await;
                    Cause::Time
                }
            };
        }
    }

    /// Waits until it is time for a look: at a wake, or after so long where none can be relied on.
    async fn rest(&mut self, asked_at: Millis, without: Millis) -> Cause {
        let (clock, began) = (&self.shared.clock, self.shared.clock.now());
        let Some(watch) = &mut self.watch else {
            clock.until(began.saturating_add(without)).await;
            return Cause::Time;
        };
        clock.until(asked_at.saturating_add(GAP)).await;
        let (wait, cause) = match watch.is_heard() && self.trusts {
            true => (WOKEN, Cause::Silence),
            false => (without, Cause::Time),
        };
        tokio::select! {
            biased;
            () = watch.changed() => Cause::Wake,
            () = clock.until(began.saturating_add(wait)) => cause,
        }
    }

    /// Tells what has come since the last look. Whether something has.
    async fn catch_up(&mut self, cause: Cause) -> StoreResult<bool> {
        // A wake is nearly always for entries, so these are asked for first. It proves nothing: none may be there.
        if let (Cause::Wake, Some(seen)) = (cause, self.seen)
            && let Some(head) = self.tell_after(seen).await?
        {
            self.seen = Some(head);
            return Ok(true);
        }
        let head = self.shared.store.head(&self.agent).await?;
        if head == self.seen {
            return Ok(false);
        }
        match (head, self.seen) {
            (None, _) => self.feed.close(),
            // Readers read up to here by themselves.
            (Some(head), None) => self.feed.follow_from(head),
            (Some(_), Some(seen)) => drop(self.tell_after(seen).await?),
        }
        self.seen = head;
        Ok(true)
    }

    /// Tells all entries behind a place, and where they end if there are any. By cursor, not by seq: those rise whatever
    /// a loss of power took back.
    async fn tell_after(&self, seen: Head) -> StoreResult<Option<Head>> {
        let (mut after, mut head) = (After::Cursor(seen.cursor), None);
        loop {
            let entries = self.shared.store.read(&self.agent, after, PAGE).await?;
            let Some(last) = entries.last() else { return Ok(head) };
            after = After::Seq(last.seq);
            head = Some(Head { seq: last.seq, epoch: last.epoch, cursor: last.last_cursor() });
            self.feed.follow_on(&entries);
            if entries.len() < PAGE {
                return Ok(head);
            }
        }
    }
}
