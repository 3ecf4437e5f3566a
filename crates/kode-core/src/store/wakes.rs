//! Hints that a journal moved, for who would otherwise ask again and again. A store that many processes share gives
//! them if it can; [`Board`] is what its listener tells them to.
//!
//! ```text
//!  another process            the store's server            this process
//!   append ────────────────────> hint ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─> listener ──> Board::wake ──> Watch::changed
//! ```
//!
//! Lossy by contract: a wake may be lost, come late, come twice, or come for nothing, and nothing may depend on one.
//! Who is woken looks at the journal; who is not looks as well, more seldom. What never belongs here: what was written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::id::AgentId;

/// What is told to those who watch an agent.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    /// Whether wakes are known to come.
    heard: bool,
}

/// Wakes for one agent, as long as it is kept.
#[derive(Debug)]
pub struct Watch {
    board: Arc<Board>,
    agent: AgentId,
    /// There until the end.
    word: Option<watch::Receiver<Word>>,
}

impl Watch {
    /// Whether wakes for the agent are known to come now, because one that the listener sent to itself came back not
    /// long ago. Nothing is promised by it.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.word.as_ref().is_some_and(|word| word.borrow().heard)
    }

    /// Returns when there is a reason to look at the journal: a wake came, or [`Watch::is_heard`] became another, since
    /// this returned last. Cancel safe: a reason that nobody was told of stays one.
    pub async fn changed(&mut self) {
        // The board has the other end until this one is given back.
        let told = match &mut self.word {
            Some(word) => word.changed().await.is_ok(),
            None => false,
        };
        if !told {
            std::future::pending().await
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.board.give_back(&self.agent, self.word.take());
    }
}

/// Who watches which agents of one store in this process. A store's listener looks here for whom to listen, and tells
/// here what it hears.
#[derive(Debug, Default)]
pub struct Board {
    watched: Mutex<Watched>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Watched {
    agents: HashMap<Arc<str>, watch::Sender<Word>>,
    /// Whether wakes for all agents come, also for those that are not watched yet.
    all_heard: bool,
}

impl Board {
    /// Watches an agent.
    #[must_use]
    pub fn watch(self: &Arc<Self>, agent: &AgentId) -> Watch {
        let mut watched = self.lock();
        let heard = watched.all_heard;
        let agents = &mut watched.agents;
        let word = agents.entry(agent.as_str().into()).or_insert_with(|| watch::Sender::new(Word { heard }));
        let word = Some(word.subscribe());
        drop(watched);
        self.moved.notify_one();
        Watch { board: self.clone(), agent: agent.clone(), word }
    }

    /// An agent's journal may have moved. Whoever does not watch it is not disturbed.
    pub fn wake(&self, agent: &str) {
        if let Some(word) = self.lock().agents.get(agent) {
            word.send_modify(|_| {});
        }
    }

    /// From now on wakes for this agent come. What came before may have been missed, so it counts as one.
    pub fn hear(&self, agent: &str) {
        if let Some(word) = self.lock().agents.get(agent) {
            word.send_if_modified(|word| !std::mem::replace(&mut word.heard, true));
        }
    }

    /// From now on wakes come for all agents, watched or not yet.
    pub fn hear_all(&self) {
        self.tell_all(true);
    }

    /// No wakes come any more: those who watch look by themselves.
    pub fn deafen(&self) {
        self.tell_all(false);
    }

    fn tell_all(&self, heard: bool) {
        let mut watched = self.lock();
        watched.all_heard = heard;
        watched.agents.values().for_each(|word| word.send_modify(|word| word.heard = heard));
    }

    /// The agents that are watched now, in no order.
    #[must_use]
    pub fn watched(&self) -> Vec<Arc<str>> {
        self.lock().agents.keys().cloned().collect()
    }

    /// Returns when other agents are watched than when this returned last. For one caller at a time. Cancel safe.
    pub async fn changed(&self) {
        self.moved.notified().await;
    }

    fn give_back(&self, agent: &AgentId, word: Option<watch::Receiver<Word>>) {
        let mut watched = self.lock();
        // Under the lock, so that of two that go at once one is the last.
        drop(word);
        let nobody = watched.agents.get(agent.as_str()).is_some_and(|word| word.receiver_count() == 0);
        if nobody {
            watched.agents.remove(agent.as_str());
            drop(watched);
            self.moved.notify_one();
        }
    }

    /// A poisoned lock holds whole data here: every critical section only moves values.
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn id(text: &str) -> AgentId {
        AgentId::new(text).unwrap()
    }

    fn woken(watch: &mut Watch) -> bool {
        watch.changed().now_or_never().is_some()
    }

    #[test]
    fn a_wake_reaches_those_who_watch_that_agent_and_waits_for_them() {
        let board = Arc::new(Board::default());
        let (mut a, mut again, mut b) = (board.watch(&id("a")), board.watch(&id("a")), board.watch(&id("b")));
        assert!(!woken(&mut a) && !woken(&mut b));
        board.wake("a");
        board.wake("a");
        board.wake("nobody");
        assert!(woken(&mut a) && woken(&mut again) && !woken(&mut b));
        assert!(!woken(&mut a), "two wakes that nobody waited for are one");
    }

    #[test]
    fn hearing_begins_and_ends_with_a_reason_to_look() {
        let board = Arc::new(Board::default());
        let (mut a, mut b) = (board.watch(&id("a")), board.watch(&id("b")));
        board.hear("a");
        assert!(woken(&mut a) && a.is_heard() && !b.is_heard());
        board.hear_all();
        assert!(woken(&mut a) && woken(&mut b) && b.is_heard());
        let mut late = board.watch(&id("late"));
        assert!(late.is_heard() && !woken(&mut late));
        board.deafen();
        assert!(woken(&mut a) && woken(&mut late) && !a.is_heard() && !late.is_heard());
        assert!(!board.watch(&id("later")).is_heard());
    }

    #[test]
    fn an_agent_is_watched_until_the_last_one_goes() {
        let board = Arc::new(Board::default());
        let changed = || board.changed().now_or_never().is_some();
        assert!(!changed());
        let (one, other) = (board.watch(&id("a")), board.watch(&id("a")));
        assert!(changed() && !changed());
        drop(one);
        assert_eq!((board.watched().len(), changed()), (1, false));
        drop(other);
        assert_eq!((board.watched().len(), changed()), (0, true));
    }
}
