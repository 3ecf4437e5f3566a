//! State and template become the prompt: what the model would see now.

use crate::message::Message;
use crate::pages::Pages;
use crate::template::Template;

use super::{Cx, State, context};

/// The part of a model request that follows from state and template. Messages are shared with the state.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The system prompt.
    pub system: String,
    /// The history, oldest first: every call has its one result.
    pub messages: Pages<Message>,
    /// Where in `messages` the turn under way begins.
    pub turn_start: usize,
    /// Most tokens of the answer.
    pub max_tokens: u32,
}

/// Renders the prompt. Right while the model is wanted, when no call is open.
#[must_use]
pub fn render(state: &State, template: &Template) -> Prompt {
    let (messages, turn_start) = state.prompt_messages();
    Prompt {
        system: template.system_prompt.clone(),
        messages,
        turn_start,
        max_tokens: template.limits.max_tokens,
    }
}

/// The prompt for a summary: one message and no tools. None while no compaction is under way.
#[must_use]
pub fn summary_prompt(state: &State, cx: &Cx<'_>) -> Option<Prompt> {
    state.compaction().map(|compaction| context::summary_request(state, cx, &compaction.plan))
}
