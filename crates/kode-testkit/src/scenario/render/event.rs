//! One event as a line: its public type and the fields that a reader acts on.

use kode_core::event::Event;
use serde_json::{Map, Value};

use super::fact::noted;
use super::{call, list, name, quoted, trail};

pub(super) fn line(event: &Event) -> String {
    let detail = detail(event);
    let kind = serde_json::to_value(event).unwrap_or_default();
    let kind = kind["type"].as_str().unwrap_or_default();
    if detail.is_empty() { kind.to_owned() } else { format!("{kind} {detail}") }
}

fn detail(event: &Event) -> String {
    match event {
        Event::ThinkChunkStart { step }
        | Event::ThinkChunkEnd { step }
        | Event::TextChunkStart { step }
        | Event::StepComplete { step, .. } => step.to_string(),
        Event::ThinkChunk { step, delta } | Event::TextChunk { step, delta } => {
            format!("{step} {}", quoted(delta))
        }
        Event::TextChunkEnd { step, text } => format!("{step} {}", quoted(text)),
        Event::TextReset { step, reason } => format!("{step} {reason}"),
        Event::ToolStart { call: told } | Event::ToolError { call: told, .. } => call(told),
        Event::ToolExecuted { call: told } => {
            let level = told.sandbox.as_ref().map(|level| format!(" at {level}")).unwrap_or_default();
            format!("{} {}{level}", told.id, name(told.state))
        }
        Event::ToolEnd { call: told } => format!("{} [{}]", call(told), trail(told)),
        Event::Done { step, message_ids, reason, error, at_rest } => {
            let error = error.as_ref().map(|e| format!(" {} {}", e.code, quoted(&e.message)));
            let rest = if *at_rest { "" } else { " (goes on)" };
            format!("{step} [{}] {}{}{rest}", list(message_ids), name(reason), error.unwrap_or_default())
        }
        Event::PermissionRequired { call: told, reason } => format!("{} {}", told.id, quoted(reason)),
        Event::PermissionDecided { call_id, decision, decided_by, note } => {
            format!("{call_id} {} by {decided_by}{}", name(decision), noted(note.as_deref()))
        }
        Event::StateChanged { old, new, .. } => format!("{} to {}", name(old), name(new)),
        Event::BreakpointChanged { previous, current } => format!("{} to {}", name(previous), name(current)),
        Event::Error { severity, phase, code, message, detail } => {
            format!("{} {} {code} {} {}", name(severity), name(phase), quoted(message), fields(detail))
        }
        Event::TokenUsage { usage } => format!("{} in {} out", usage.input_tokens, usage.output_tokens),
        Event::AgentCreated { template_id } => template_id.to_string(),
        Event::AgentForked { from, at } => format!("{from} at {at}"),
        Event::AgentResumed { strategy, sealed } => format!("{strategy} sealed [{}]", list(sealed)),
        Event::ContextCompression { phase, ratio, summary } => {
            let ratio = ratio.map(|ratio| format!(" to {ratio}")).unwrap_or_default();
            format!("{}{ratio}{}", name(phase), noted(summary.as_deref()))
        }
        Event::TodoReminder { todos: open, reason } => format!("{} {}", name(reason), todos(open)),
        Event::ReminderSent { category, content } => format!("{} {}", name(category), quoted(content)),
        Event::TodoChanged { previous, current } => {
            format!("{} to {}", todos(previous), todos(current))
        }
        Event::ToolCustomEvent { call_id, tool, event_type, data } => {
            format!("{call_id} {tool} {event_type} {data}")
        }
        // An event that this version of the renderer does not know is shown as it goes over the wire.
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

fn fields(detail: &Map<String, Value>) -> String {
    list(detail.iter().map(|(key, value)| format!("{key}={value}")))
}

fn todos(todos: &[kode_core::todo::Todo]) -> String {
    let items = todos.iter().map(|t| format!("{}:{}", t.id, name(t.status)));
    format!("[{}]", list(items))
}
