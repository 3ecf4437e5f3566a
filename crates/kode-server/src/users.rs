//! How many users there are: those whose agents the store has, and those that were served since. A number for people,
//! bounded in memory.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kode_core::id::AgentId;
use kode_core::machine::fnv1a;
use kode_core::store::{Store, StoreResult};
use tokio::sync::OnceCell;

/// Users that are told apart, at 8 bytes each; the count stops there.
const MOST: usize = 1 << 20;

/// What agents of users are under.
const PREFIX: &str = "user:";
/// Names that are looked at together.
const PAGE: usize = 1_000;

/// The users of `user:<id>` agents.
#[derive(Default)]
pub(crate) struct Users {
    seen: Mutex<HashSet<u64>>,
    /// Whether those of the store are among them.
    listed: OnceCell<()>,
}

impl Users {
    /// Someone wrote to this agent.
    pub(crate) fn saw(&self, agent: &AgentId) {
        let Some(user) = user_of(agent) else { return };
        let mut seen = self.seen();
        if seen.len() < MOST {
            seen.insert(fnv1a(user.as_bytes()));
        }
    }

    /// How many there are. Whoever asks first since the start waits until the store has named its agents, once: the start
    /// itself does not, and no agent is read. Where the store cannot tell, it is those that were seen.
    pub(crate) async fn count(&self, store: &dyn Store) -> usize {
        if let Err(error) = self.listed.get_or_try_init(|| self.list(store)).await {
            tracing::warn!(%error, "the users of the store could not be counted");
        }
        self.seen().len()
    }

    async fn list(&self, store: &dyn Store) -> StoreResult<()> {
        let mut after = None;
        loop {
            let names = store.list("user", after.as_ref(), PAGE).await?;
            names.iter().for_each(|name| self.saw(name));
            let is_full = self.seen().len() >= MOST;
            after = names.last().cloned().filter(|_| !is_full);
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn user_of(agent: &AgentId) -> Option<&str> {
    agent.as_str().strip_prefix(PREFIX)?.split(':').next()
}

#[cfg(test)]
mod tests {
    use kode_core::store::memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_users_sessions_count_once_and_other_agents_not_at_all() {
        let users = Users::default();
        for id in ["user:a", "user:a:session:1", "user:b", "session:c", "users"] {
            users.saw(&AgentId::new(id).unwrap());
        }
        assert_eq!(users.count(&MemoryStore::new()).await, 2);
    }
}
