//! State and template become the prompt: what the model would see now.

use crate::hook::Amendment;
use crate::message::Message;
use crate::pages::Pages;
use crate::template::Template;

use super::{Cx, Phase, State, context};

/// The part of a model request that follows from state and template. Messages are shared with the state.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The system prompt.
    pub system: String,
    /// The history, oldest first: every call has its one result.
    pub messages: Pages<Message>,
    /// Where in `messages` the turn under way begins.
    pub turn_start: usize,
    /// The model, where the template or a hook names one.
    pub model: Option<String>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
}

/// Renders the prompt, with what hooks changed for this step. Right while the model is wanted, when no call is
/// open.
#[must_use]
pub fn render(state: &State, template: &Template) -> Prompt {
    let (messages, turn_start) = state.prompt_messages();
    let plain = Prompt {
        system: template.system_prompt.clone(),
        messages,
        turn_start,
        model: template.model.clone(),
        max_tokens: template.limits.max_tokens,
    };
    match amendment(state) {
        Some(amendment) => amended(plain, amendment),
        None => plain,
    }
}

/// What hooks changed for the step that is under way, or about to begin.
fn amendment(state: &State) -> Option<&Amendment> {
    let turn = state.turn.as_ref()?;
    let step = match &turn.phase {
        Phase::Model(call) | Phase::Backoff { call, .. } | Phase::Overflowed(call) => call.step,
        Phase::BeforeModel
        | Phase::Compacting(_)
        | Phase::Failed(_)
        | Phase::Tools(_)
        | Phase::Answered { .. }
        | Phase::Closing(_) => state.steps + 1,
    };
    turn.amended.as_ref().filter(|amended| amended.step == step).map(|amended| &*amended.amendment)
}

fn amended(plain: Prompt, amendment: &Amendment) -> Prompt {
    Prompt {
        system: amendment.system_after(&plain.system),
        messages: amendment.messages_after(&plain.messages),
        turn_start: plain.turn_start,
        model: amendment.model.clone().or(plain.model),
        max_tokens: amendment.max_tokens.unwrap_or(plain.max_tokens),
    }
}

/// The prompt for a summary: one message and no tools. None while no compaction is under way.
#[must_use]
pub fn summary_prompt(state: &State, cx: &Cx<'_>) -> Option<Prompt> {
    state.compaction().map(|compaction| context::summary_request(state, cx, &compaction.plan))
}
