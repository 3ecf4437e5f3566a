//! What was played, as text for a snapshot: short, stable, and with everything in it that a rule could get
//! wrong.

mod event;
mod fact;
mod prompt;

use std::fmt;

use kode_core::call::{Call, CallState};
use kode_core::event::Envelope;
use kode_core::fact::Entry;
use kode_core::id::Cursor;
use kode_core::machine::{Effect, EffectKey};
use serde::Serialize;
use serde_json::Value;

use super::{Beat, Played};

pub(super) use fact::line as entry_line;

/// Longest text that is shown whole.
const TEXT_MAX: usize = 160;

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.beats.iter().try_for_each(|beat| writeln!(f, "{beat}"))?;
        prompt::ending(f, self.subject.state())
    }
}

impl fmt::Display for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "> {}", self.line)?;
        for entry in &self.entries {
            writeln!(f, "  + {}", fact::line(entry))?;
            let told = self.envelopes.iter().filter(|e| e.bookmark.seq == entry.seq);
            told.into_iter().try_for_each(|envelope| writeln!(f, "      {}", envelope_line(envelope)))?;
        }
        if let Some(rejected) = &self.refused {
            writeln!(f, "  ! {rejected}")?;
        }
        if let Some(why) = &self.not_forkable {
            writeln!(f, "  ! {why}")?;
        }
        if let Some(prompt) = &self.prompt {
            prompt::request(f, prompt)?;
        }
        self.waits(f)
    }
}

impl Beat {
    fn waits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted: Vec<_> = self.wanted.iter().map(|(key, effect)| effect_line(key, effect)).collect();
        if !wanted.is_empty() {
            writeln!(f, "  ~ wants {}", wanted.join(", "))?;
        }
        match self.wakes {
            Some(at) => writeln!(f, "  ~ wakes in {}", span(at.saturating_sub(self.now))),
            None => Ok(()),
        }
    }
}

fn envelope_line(envelope: &Envelope) -> String {
    let channel = serde_json::to_value(envelope.event.channel()).unwrap_or_default();
    let channel = channel.as_str().unwrap_or_default().to_owned();
    format!("{:<6} {channel:<8} {}", cursor(envelope.cursor), event::line(&envelope.event))
}

fn effect_line(key: &EffectKey, effect: &Effect) -> String {
    match (key, effect) {
        (EffectKey::Model { step, attempt }, _) => format!("model {step}.{attempt}"),
        (EffectKey::Compact { nth, attempt }, _) => format!("summary {nth}.{attempt}"),
        (EffectKey::Prompt { step, messages }, _) => format!("hooks on step {step} with {messages} messages"),
        (EffectKey::Policy { call, policy }, _) => format!("policy {policy} on {call}"),
        (EffectKey::Hooks { call }, _) => format!("hooks {call}"),
        (EffectKey::Tool { call, attempt }, Effect::Tool { tool, input }) => {
            format!("tool {call}.{attempt} {tool}{input}")
        }
        (EffectKey::Job { job }, Effect::Job { line, timeout_secs }) => {
            format!("job {job} {} within {timeout_secs} s", quoted(line))
        }
        (EffectKey::Tool { .. } | EffectKey::Job { .. }, other) => format!("{key:?} with {other:?}"),
    }
}

/// A cursor as its epoch and count.
fn cursor(cursor: Cursor) -> String {
    format!("{}:{}", cursor.epoch(), cursor.count())
}

/// A value by its public name.
fn name(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// A quoted text; a long one by its head, its tail and its size.
fn quoted(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return format!("{text:?}");
    }
    let head = &text[..text.floor_char_boundary(TEXT_MAX / 4)];
    let tail = &text[text.ceil_char_boundary(text.len() - TEXT_MAX / 4)..];
    let note = text.find("\n… ").and_then(|at| text[at..].trim_start().lines().next()).unwrap_or_default();
    format!("{head:?}…{note}…{tail:?} ({} bytes)", text.len())
}

/// A time span: seconds where it is whole, else milliseconds.
fn span(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// A call by its name, tool, state and what became of it.
fn call(call: &Call) -> String {
    let mut parts = vec![format!("{} {} {}", call.id, call.name, name(call.state))];
    if call.state == CallState::Pending {
        parts.push(quoted(&call.input_preview));
    }
    if let Some(result) = &call.result {
        parts.push(format!("result {}", result.as_str().map_or_else(|| result.to_string(), quoted)));
    }
    if let Some(error) = &call.error {
        parts.push(format!("error {}", quoted(error)));
    }
    if let Some(ms) = call.duration_ms {
        parts.push(format!("after {}", span(ms)));
    }
    parts.join(" ")
}

/// A call's states, with their notes.
fn trail(call: &Call) -> String {
    let line = |audit: &kode_core::call::Audit| match &audit.note {
        Some(note) => format!("{} ({note})", name(audit.state)),
        None => name(audit.state),
    };
    call.audit_trail.iter().map(line).collect::<Vec<_>>().join(" > ")
}

/// What was added to an entry's line beyond the fact's name.
fn fact_name(entry: &Entry) -> String {
    let fact = serde_json::to_value(&entry.fact).unwrap_or_default();
    fact["fact"].as_str().unwrap_or_default().to_owned()
}
