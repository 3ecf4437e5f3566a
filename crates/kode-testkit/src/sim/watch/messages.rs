//! Messages: each request of a sender becomes one message, what was acknowledged stays, and one sender's messages
//! keep their order. All of them are answered in the end.

use std::collections::{BTreeMap, BTreeSet};

use kode_core::fact::{Entry, Fact};
use kode_core::id::{AgentId, MessageId, Seq};

use super::Checked;

/// The messages of all agents.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// By agent and the sender's name of the request.
    queued: BTreeMap<(AgentId, String), (MessageId, Seq)>,
    waiting: BTreeSet<(AgentId, MessageId)>,
    /// The place of the last message that each sender knows of.
    known: BTreeMap<(AgentId, String), Seq>,
    acknowledged: u64,
}

impl Messages {
    pub(super) fn entry(&mut self, agent: &AgentId, entry: &Entry) -> Checked {
        match &entry.fact {
            Fact::MessageQueued { id, key, .. } => {
                self.waiting.insert((agent.clone(), id.clone()));
                let Some(key) = key else { return Ok(()) };
                let name = (agent.clone(), key.key.clone());
                match self.queued.insert(name, (id.clone(), entry.seq)) {
                    Some((first, _)) => {
                        Err(format!("{agent} took {} twice, as {first} and as {id}", key.key))
                    }
                    None => Ok(()),
                }
            }
            Fact::TurnEnded { messages, .. } => {
                let twice = messages.iter().find(|id| !self.waiting.remove(&(agent.clone(), (*id).clone())));
                twice.map_or(Ok(()), |id| Err(format!("{agent} answered {id}, which did not wait for it")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn acknowledged_to(
        &mut self,
        sender: &str,
        agent: &AgentId,
        key: &str,
        message: &MessageId,
    ) -> Checked {
        self.acknowledged += 1;
        let Some((id, place)) = self.queued.get(&(agent.clone(), key.to_owned())) else {
            return Err(format!("{sender} was told that {key} is in the journal of {agent}, and it is not"));
        };
        if id != message {
            return Err(format!("{sender} was told that {key} is {message}, and it is {id}"));
        }
        let known = self.known.entry((agent.clone(), sender.to_owned())).or_default();
        if place <= known {
            return Err(format!("{key} of {sender} stands at {place}, its last one at {known}"));
        }
        *known = *place;
        Ok(())
    }

    /// What was accepted and not answered so far.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &(AgentId, MessageId)> {
        self.waiting.iter()
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
}
