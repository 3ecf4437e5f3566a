//! The prompt: each call has its one result in the next message, and no message is empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use kode_core::fact::{Entry, Fact};
use kode_core::id::{CallId, MessageId};
use kode_core::machine::Prompt;
use kode_core::message::{Block, Message, Role};

use super::{Checked, hold};

/// What users asked for, as the facts tell it: nothing of the prompt is taken on trust.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests {
    asked: BTreeMap<MessageId, Vec<Block>>,
    newest: Option<MessageId>,
}

impl Requests {
    pub(super) fn entry(&mut self, entry: &Entry) {
        match &entry.fact {
            Fact::MessageQueued { id, content, .. } => drop(self.asked.insert(id.clone(), content.clone())),
            Fact::TurnStarted { messages, .. } | Fact::Steered { messages } => {
                self.newest = messages.last().cloned().or(self.newest.take());
            }
            _ => {}
        }
    }

    /// What must hold of everything that a model is sent in a turn.
    pub(super) fn sendable(&self, prompt: &Prompt) -> Checked {
        answerable(prompt)?;
        let begin = prompt.messages.get(prompt.turn_start).map(|m| m.role);
        hold!(begin == Some(Role::User), "the turn begins with a message of {begin:?}");
        let newest = self.newest.as_ref().and_then(|id| Some((id, self.asked.get(id)?)));
        let Some((id, content)) = newest else {
            return Err("the model is asked, and nobody asked it".into());
        };
        let whole = prompt.messages.iter().any(|m| m.id == *id && m.content == *content);
        hold!(whole, "the newest request, {id}, is not in the prompt as it was made");
        Ok(())
    }
}

/// What must hold of everything that a model is sent.
pub(super) fn answerable(prompt: &Prompt) -> Checked {
    paired(prompt.messages.iter())?;
    let first = prompt.messages.get(0).map(|m| m.role);
    hold!(first == Some(Role::User), "the first message of a prompt is {first:?}'s");
    let last = prompt.messages.last().map(|m| m.role);
    hold!(last == Some(Role::User), "the last message of a prompt is {last:?}'s");
    Ok(())
}

/// Each call of a message has its one result in the next message, in the calls' order, and no result stands
/// anywhere else; no message is empty.
pub(crate) fn paired<'a>(messages: impl Iterator<Item = &'a Arc<Message>>) -> Checked {
    let mut open: Vec<&CallId> = Vec::new();
    for message in messages {
        let (calls, results) = (calls(message), results(message));
        hold!(results == open, "results {results:?} where {open:?} are asked for");
        let role = if results.is_empty() { message.role } else { Role::User };
        hold!(calls.is_empty() || role == Role::Assistant, "a user's message asks for calls {calls:?}");
        hold!(role == message.role, "a model's message holds results {results:?}");
        hold!(says_something(message), "message {} has nothing in it", message.id);
        open = calls;
    }
    hold!(open.is_empty(), "calls without a result: {open:?}");
    Ok(())
}

fn calls(message: &Message) -> Vec<&CallId> {
    let blocks = message.content.iter();
    blocks.filter_map(|b| if let Block::ToolUse { id, .. } = b { Some(id) } else { None }).collect()
}

fn results(message: &Message) -> Vec<&CallId> {
    let blocks = message.content.iter();
    blocks.filter_map(|b| if let Block::ToolResult { id, .. } = b { Some(id) } else { None }).collect()
}

fn says_something(message: &Message) -> bool {
    message.content.iter().any(|block| match block {
        Block::Text { text } => !text.trim().is_empty(),
        Block::Thinking { .. } => false,
        Block::ToolUse { .. } => true,
        Block::ToolResult { content, .. } => !content.is_empty(),
    })
}
