//! Messages and turns: each accepted message is answered by exactly one `done`, and a `done` is the last
//! thing told of its turn.

use std::collections::BTreeSet;

use kode_core::event::{AgentState, Envelope, Event};
use kode_core::fact::{Entry, Fact};
use kode_core::id::MessageId;
use kode_core::machine::State;

use super::{Checked, hold};

#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    under_way: bool,
    accepted: BTreeSet<MessageId>,
    taken: BTreeSet<MessageId>,
    answered: BTreeSet<MessageId>,
    /// Whether the last `done` said that the agent comes to rest.
    rests: bool,
}

impl Turns {
    pub(super) fn entry(&mut self, entry: &Entry, told: &[Envelope]) -> Checked {
        match &entry.fact {
            Fact::MessageQueued { id, .. } => {
                self.rests = false;
                hold!(self.accepted.insert(id.clone()), "message {id} was accepted twice");
            }
            Fact::TurnStarted { messages, .. } => {
                hold!(!self.under_way, "a turn began within another");
                self.under_way = true;
                self.take(messages)?;
            }
            Fact::Steered { messages } => self.take(messages)?,
            Fact::TurnEnded { messages, .. } => self.ended(messages, told)?,
            _ => {}
        }
        let outside = |event: &Event| {
            matches!(
                event,
                Event::AgentCreated { .. }
                    | Event::AgentForked { .. }
                    | Event::AgentResumed { .. }
                    | Event::TodoChanged { .. }
            )
        };
        let ended = matches!(entry.fact, Fact::TurnEnded { .. });
        let of_job = super::jobs::tells(&entry.fact);
        let stray = told.iter().find(|e| !self.under_way && !ended && !of_job && !outside(&e.event));
        hold!(stray.is_none(), "told outside of any turn: {stray:?}");
        Ok(())
    }

    fn take(&mut self, messages: &[MessageId]) -> Checked {
        for id in messages {
            hold!(self.accepted.contains(id), "message {id} was never accepted");
            hold!(self.taken.insert(id.clone()), "message {id} was taken twice");
        }
        Ok(())
    }

    fn ended(&mut self, messages: &[MessageId], told: &[Envelope]) -> Checked {
        hold!(self.under_way, "a turn ended that had not begun");
        self.under_way = false;
        for id in messages {
            hold!(self.taken.contains(id), "a done names message {id}, which no turn took");
            hold!(self.answered.insert(id.clone()), "message {id} was answered by two dones");
        }
        hold!(self.answered == self.taken, "a turn ended without a word on a message that it took");
        let dones = told.iter().filter(|e| matches!(e.event, Event::Done { .. })).count();
        hold!(dones == 1, "{dones} dones at the end of a turn");
        match told.last().map(|e| &e.event) {
            Some(Event::Done { message_ids, at_rest, .. }) => {
                hold!(message_ids == messages, "the done names other messages than its turn");
                let waits = self.accepted != self.taken;
                hold!(*at_rest != waits, "a turn ended at rest: {at_rest}, and messages wait: {waits}");
                self.rests = *at_rest;
                Ok(())
            }
            last => Err(format!("the last event of a turn is {last:?}")),
        }
    }

    pub(super) fn state(&self, state: &State) -> Checked {
        hold!(self.under_way == state.turn.is_some(), "a turn is under way, or not, other than told");
        let waiting: BTreeSet<_> = state.queue.iter().map(|m| m.id.clone()).collect();
        let untaken: BTreeSet<_> = self.accepted.difference(&self.taken).cloned().collect();
        hold!(waiting == untaken, "queued {waiting:?}, and no turn took {untaken:?}");
        let exists = state.template.is_some();
        hold!(!exists || state.turn.is_some() || waiting.is_empty(), "messages wait and no turn begins");
        let ready = state.stage.0 == AgentState::Ready;
        let idle_before_any = self.answered.is_empty();
        hold!(!ready || idle_before_any || self.rests, "READY, and the last done did not say that it rests");
        Ok(())
    }
}
