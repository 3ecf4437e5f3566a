//! How many users were served since the start: a number for people, bounded in memory.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use kode_core::id::AgentId;
use kode_core::machine::fnv1a;

/// Users that are told apart, at 8 bytes each; the count stops there.
const MOST: usize = 1 << 20;

/// The users of `user:<id>` agents that were written to.
#[derive(Default)]
pub(crate) struct Users {
    seen: Mutex<HashSet<u64>>,
}

impl Users {
    /// Someone wrote to this agent.
    pub(crate) fn saw(&self, agent: &AgentId) {
        let Some(user) = user_of(agent) else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MOST {
            seen.insert(fnv1a(user.as_bytes()));
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn user_of(agent: &AgentId) -> Option<&str> {
    agent.as_str().strip_prefix("user:")?.split(':').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_sessions_count_once_and_other_agents_not_at_all() {
        let users = Users::default();
        for id in ["user:a", "user:a:session:1", "user:b", "session:c", "users"] {
            users.saw(&AgentId::new(id).unwrap());
        }
        assert_eq!(users.count(), 2);
    }
}
