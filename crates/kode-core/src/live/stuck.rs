//! Calls that were given up and have not ended: a tool that blocks its thread cannot be stopped, only left behind.
//! So that this cannot go on without end, a tool that has left too many behind is not started again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::AgentId;
use crate::tool::{Leash, ToolError};

/// Calls of one tool of one agent that may be left behind.
const STUCK_MAX: usize = 4;

/// The calls left behind, of all agents of a runtime. A call is there as long as anything of it holds its
/// [`Cancel`](crate::tool::Cancel).
#[derive(Default)]
pub(crate) struct Stuck(Mutex<HashMap<AgentId, Vec<(String, Leash)>>>);

impl Stuck {
    /// Remembers a call that was given up.
    pub(super) fn add(&self, agent: &AgentId, tool: &str, call: Leash) {
        self.still_there().entry(agent.clone()).or_default().push((tool.to_owned(), call));
    }

    /// Refuses a call of a tool that has left too many behind.
    pub(super) fn admit(&self, agent: &AgentId, tool: &str) -> Result<(), ToolError> {
        let calls = self.still_there();
        let left = calls.get(agent).map_or(0, |calls| calls.iter().filter(|(name, _)| name == tool).count());
        if left < STUCK_MAX {
            return Ok(());
        }
        let message = format!(
            "{left} earlier calls of {tool} were given up and have not ended; it was not started until they have"
        );
        Err(ToolError::new("tool_stuck", message).hint("go on without it, or tell the user"))
    }

    /// All calls that are still there. Few are, so looking at each costs little, and nothing is kept of those that
    /// have ended.
    fn still_there(&self) -> MutexGuard<'_, HashMap<AgentId, Vec<(String, Leash)>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, calls| {
            calls.retain(|(_, call)| call.is_held());
            !calls.is_empty()
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Cancel;

    #[test]
    fn g10_a_tool_is_refused_while_too_many_of_its_calls_hang() {
        let (stuck, agent) = (Stuck::default(), AgentId::new("a").unwrap());
        let mut held: Vec<Cancel> = (0..STUCK_MAX).map(|_| Cancel::default()).collect();
        for cancel in &held {
            assert_eq!(stuck.admit(&agent, "slow"), Ok(()));
            stuck.add(&agent, "slow", cancel.leash());
        }
        let refused = stuck.admit(&agent, "slow").unwrap_err();
        assert_eq!(refused.code, "tool_stuck");
        assert_eq!(stuck.admit(&agent, "other"), Ok(()), "another tool is not to blame");
        assert_eq!(stuck.admit(&AgentId::new("b").unwrap(), "slow"), Ok(()), "nor is another agent");
        held.pop();
        assert_eq!(stuck.admit(&agent, "slow"), Ok(()), "one has ended");
        drop(held);
        assert_eq!(stuck.admit(&agent, "slow"), Ok(()));
        assert!(stuck.0.lock().unwrap().is_empty(), "nothing is kept of agents without such calls");
    }
}
