//! Events in words: one line each, for a person who reads along.

use kode_core::call::{Call, CallState, Decision};
use kode_core::event::{Envelope, Event};
use serde_json::Value;

use crate::out::utc;
use crate::safe;

/// Longest piece of text in a line, in characters.
const PIECE: usize = 120;

/// An envelope as one line: its cursor, its time, its type, and what it says.
pub(crate) fn line(json: &str) -> String {
    match serde_json::from_str::<Envelope>(json) {
        Ok(envelope) => {
            let at = utc(envelope.bookmark.timestamp);
            let (kind, says) = (kind(json), words(&envelope.event));
            format!("{}  {at}  {kind:<20}  {says}", envelope.cursor).trim_end().to_owned()
        }
        // An event of a later version: better as it is than not at all.
        Err(_) => safe::line(json),
    }
}

/// The type as it is on the wire.
fn kind(json: &str) -> String {
    let envelope: Value = serde_json::from_str(json).unwrap_or_default();
    safe::line(envelope["event"]["type"].as_str().unwrap_or_default())
}

/// What an event says beyond its type.
fn words(event: &Event) -> String {
    match event {
        Event::TextChunk { delta, .. } | Event::ThinkChunk { delta, .. } => quoted(delta),
        Event::TextChunkEnd { text, .. } => quoted(text),
        Event::TextReset { reason, .. } => format!("what was shown is void: {}", safe::line(reason)),
        Event::ToolStart { call } | Event::ToolExecuted { call } => of_call(call),
        Event::ToolEnd { call } => format!("{} → {}", of_call(call), ended(call)),
        Event::ToolError { call, error } => format!("{}: {}", of_call(call), safe::short(error, PIECE)),
        Event::Done { reason, error, .. } => {
            let reason = format!("{reason:?}").to_lowercase();
            error.as_ref().map_or(reason.clone(), |e| {
                format!("{reason}: {} ({})", safe::line(&e.message), safe::line(&e.code))
            })
        }
        Event::PermissionRequired { call, reason } => format!("{}: {}", of_call(call), safe::line(reason)),
        Event::PermissionDecided { call_id, decision, decided_by, note } => {
            let note = note.as_ref().map(|note| format!(": {}", safe::line(note))).unwrap_or_default();
            let decision = if *decision == Decision::Allow { "allowed" } else { "denied" };
            format!("{call_id} {decision} by {}{note}", safe::line(decided_by))
        }
        Event::StateChanged { old, new, .. } => format!("{} → {}", name(old), name(new)),
        Event::BreakpointChanged { previous, current } => format!("{} → {}", name(previous), name(current)),
        Event::StepComplete { step, duration_ms } => format!("step {step}, {duration_ms} ms"),
        Event::Error { severity, code, message, .. } => {
            format!("{}: {} ({})", name(severity), safe::line(message), safe::line(code))
        }
        Event::TokenUsage { usage } => format!("{} in, {} out", usage.input_tokens, usage.output_tokens),
        Event::AgentCreated { template_id } => safe::line(template_id.as_str()),
        Event::AgentResumed { strategy, sealed } => match sealed.len() {
            0 => safe::line(strategy),
            count => format!("{}, {count} calls with an unknown outcome", safe::line(strategy)),
        },
        Event::ContextCompression { phase, ratio, .. } => {
            let ratio = ratio.map(|ratio| format!(", to {:.0} %", ratio * 100.0)).unwrap_or_default();
            format!("{}{ratio}", name(phase))
        }
        Event::TodoReminder { todos, .. } => format!("{} todos", todos.len()),
        Event::AgentForked { from, at } => format!("from {from} at {at}"),
        Event::TodoChanged { current, .. } => format!("{} todos", current.len()),
        Event::ToolCustomEvent { tool, event_type, data, .. } => {
            format!(
                "{} {} {}",
                safe::line(tool),
                safe::line(event_type),
                safe::short(&data.to_string(), PIECE)
            )
        }
        // The rest says all in its type.
        _ => String::new(),
    }
}

/// A call by its tool and input.
pub(crate) fn of_call(call: &Call) -> String {
    format!("{} {} {}", call.id, safe::line(&call.name), safe::short(&call.input_preview, PIECE))
}

/// How a call ended, in words.
pub(crate) fn ended(call: &Call) -> String {
    let state = match call.state {
        CallState::Completed => "done",
        CallState::Failed => "failed",
        CallState::Denied => "denied",
        CallState::Sealed => "cut off",
        CallState::Pending | CallState::ApprovalRequired | CallState::Approved | CallState::Executing => {
            "open"
        }
    };
    call.duration_ms.map_or(state.to_owned(), |ms| format!("{state}, {}", duration(ms)))
}

/// A length of time, in the unit that a person would choose.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms / 100 % 10),
        _ => format!("{} min {} s", ms / 60_000, ms / 1_000 % 60),
    }
}

fn quoted(text: &str) -> String {
    safe::line(&Value::from(text.chars().take(PIECE).collect::<String>()).to_string())
}

/// A state's name as it is on the wire.
pub(crate) fn name(state: &impl serde::Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_moves_no_cursor() {
        let chunk = r#"{"cursor":7,"bookmark":{"seq":1,"timestamp":0},"event":{"channel":"progress","type":"text_chunk","step":1,"delta":"a\n\u001b[2J"}}"#;
        assert_eq!(line(chunk), "7  1970-01-01 00:00:00Z  text_chunk            \"a\\n\\u001b[2J\"");
        let later = r#"{"cursor":8,"event":{"type":"of_a_later_version","x":"\u009b"}}"#;
        assert!(line(later).contains("of_a_later_version"));
    }

    #[test]
    fn lengths_of_time_have_a_fitting_unit() {
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(12_340), "12.3 s");
        assert_eq!(duration(125_000), "2 min 5 s");
    }
}
