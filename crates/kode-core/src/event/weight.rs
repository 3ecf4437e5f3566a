//! About how many bytes an event takes, for those who bound what they keep. Cheap, and no measure for billing.

use serde_json::Value;

use super::{Envelope, Event};

/// What is not text of unbounded length: names, numbers, previews.
const FRAME: usize = 256;

impl Envelope {
    /// About how many bytes it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        FRAME + self.event.text_len()
    }
}

impl Event {
    /// The length of its longest texts.
    fn text_len(&self) -> usize {
        match self {
            Self::ThinkChunk { delta, .. } | Self::TextChunk { delta, .. } => delta.len(),
            Self::TextChunkEnd { text, .. } => text.len(),
            Self::ToolError { call, error } => error.len() + call.result.as_ref().map_or(0, value_len),
            Self::Error { message, .. } => message.len(),
            Self::ContextCompression { summary, .. } => summary.as_ref().map_or(0, String::len),
            Self::ReminderSent { content, .. } => content.len(),
            Self::TodoReminder { todos, .. } => todos.len() * FRAME,
            Self::TodoChanged { previous, current } => (previous.len() + current.len()) * FRAME,
            Self::ToolCustomEvent { data, .. } => value_len(data),
            Self::ToolEnd { call } | Self::ToolExecuted { call } => call.result.as_ref().map_or(0, value_len),
            Self::ThinkChunkStart { .. }
            | Self::ThinkChunkEnd { .. }
            | Self::TextChunkStart { .. }
            | Self::TextReset { .. }
            | Self::ToolStart { .. }
            | Self::Done { .. }
            | Self::PermissionRequired { .. }
            | Self::PermissionDecided { .. }
            | Self::StateChanged { .. }
            | Self::BreakpointChanged { .. }
            | Self::StepComplete { .. }
            | Self::TokenUsage { .. }
            | Self::AgentCreated { .. }
            | Self::AgentForked { .. }
            | Self::AgentResumed { .. } => 0,
        }
    }
}

fn value_len(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(value_len).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + value_len(value)).sum(),
    }
}
