//! A folded journal in words, for a person who asks why an agent is where it is.

use std::collections::BTreeSet;

use kode_core::id::AgentId;
use kode_core::machine::{OpenCall, Phase, Prompt, State};
use kode_core::message::{Block, Message, Role};

use crate::describe::{ended, name, of_call};
use crate::failure::Failure;
use crate::out::{Out, utc};
use crate::safe;

/// What was folded, and what follows from it.
pub(super) struct Report<'a> {
    pub(super) agent: &'a AgentId,
    pub(super) state: &'a State,
    pub(super) template_known: bool,
    pub(super) wanted: &'a BTreeSet<String>,
    pub(super) prompt: &'a Prompt,
}

impl Report<'_> {
    pub(super) fn print(&self, out: &mut Out) -> Result<(), Failure> {
        self.print_state(out)?;
        self.print_calls(out)?;
        self.print_prompt(out)
    }

    fn print_state(&self, out: &mut Out) -> Result<(), Failure> {
        let state = self.state;
        let template = state.template.as_ref().map_or("none", |id| id.as_str());
        let unknown = if self.template_known { "" } else { " (not configured here: no system prompt)" };
        let (agent_state, breakpoint) = &state.stage;
        let wanted: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
        let wanted = if wanted.is_empty() { "nothing".to_owned() } else { wanted.join(", ") };
        let rows = [
            ("agent", self.agent.to_string()),
            ("template", format!("{}{unknown}", safe::line(template))),
            (
                "entries",
                format!("{}, the last one of epoch {} at {}", state.seq, state.epoch, utc(state.updated_at)),
            ),
            ("cursor", state.cursor.to_string()),
            ("state", format!("{} ({})", name(agent_state), name(breakpoint))),
            ("turn", turn(state)),
            ("queued", format!("{} messages", state.queue.len())),
            ("steps", format!("{} in {} turns", state.steps, state.turns)),
            ("tokens", format!("{} in, {} out", state.usage.input_tokens, state.usage.output_tokens)),
            ("wanted", safe::line(&wanted)),
        ];
        out.table(&rows.map(|(name, says)| vec![name.to_owned(), says]))?;
        state.todos.todos.iter().try_for_each(|todo| {
            out.line(format!("todo      [{}] {}", name(&todo.status), safe::line(&todo.title)))
        })
    }

    fn print_calls(&self, out: &mut Out) -> Result<(), Failure> {
        for call in self.state.records.iter() {
            out.line(format!("call      {} → {}", of_call(call), ended(call)))?;
        }
        let open = self.state.round().map(|round| round.calls.as_slice()).unwrap_or_default();
        open.iter().filter(|call| !call.ended()).try_for_each(|open: &OpenCall| {
            out.line(format!("call      {} → {}", of_call(&open.call), name(&open.call.state)))?;
            out.line(indented(&safe::exact(&format!("{:#}", open.input))))
        })
    }

    fn print_prompt(&self, out: &mut Out) -> Result<(), Failure> {
        out.line("\nWhat the model would see:")?;
        out.line(format!("\n[system]\n{}", indented(&safe::text(&self.prompt.system))))?;
        self.prompt.messages.iter().try_for_each(|message| print_message(out, message))
    }
}

fn print_message(out: &mut Out, message: &Message) -> Result<(), Failure> {
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let cut = if message.interrupted { ", interrupted" } else { "" };
    out.line(format!("\n[{role} {}{cut}]", safe::line(message.id.as_str())))?;
    message.content.iter().try_for_each(|block| out.line(indented(&block_text(block))))
}

fn block_text(block: &Block) -> String {
    match block {
        Block::Text { text } => safe::text(text),
        Block::Thinking { text } => format!("(thinking) {}", safe::text(text)),
        Block::ToolUse { id, name, input } => {
            format!("{id} → {}({})", safe::line(name), safe::exact(&input.to_string()))
        }
        Block::ToolResult { id, content, is_error } => {
            let failed = if *is_error { " failed" } else { "" };
            format!("{id}{failed} ← {}", safe::text(content))
        }
    }
}

/// How far the turn under way is.
fn turn(state: &State) -> String {
    let Some(turn) = &state.turn else { return "none under way".into() };
    let phase = match &turn.phase {
        Phase::BeforeModel => "before the model".to_owned(),
        Phase::Model(call) => format!("at the model, step {}, attempt {}", call.step, call.attempt),
        Phase::Backoff { call, until } => {
            format!("waiting until {} after attempt {} of step {}", utc(*until), call.attempt, call.step)
        }
        Phase::Overflowed(call) => format!("too long for the model at step {}", call.step),
        Phase::Compacting(_) => "condensing its history".to_owned(),
        Phase::Failed(failure) => format!("failed: {} ({})", safe::line(&failure.message), failure.code),
        Phase::Tools(round) => {
            let open = round.calls.iter().filter(|call| !call.ended()).count();
            format!("at the calls of step {}, {open} of {} open", round.step, round.calls.len())
        }
        Phase::Answered { .. } | Phase::Closing(_) => "answered, about to end".to_owned(),
    };
    let stopping = if turn.stop.is_some() { ", being stopped" } else { "" };
    format!("{phase}{stopping}; began {}", utc(turn.started_at))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
