//! Entries become events, without state: a replay, another node and an old version tell the same.

mod job;

use serde_json::{Map, Value};

use crate::call::{Call, CallState};
use crate::event::{
    Bookmark, Breakpoint, CompressionPhase, Envelope, ErrorPhase, Event, ReminderCategory, Severity,
};
use crate::fact::{CallProblem, ChunkPart, Compacted, Entry, Fact, Kept, ModelFailure, Shift};
use crate::message::Usage;

/// The events of one entry, with their cursors.
///
/// An entry never gives more than the number that it stores: what a later version would add is left out, so
/// that cursors stay as they were told.
#[must_use]
pub fn project(entry: &Entry) -> Vec<Envelope> {
    if let Fact::Elided { step, kept, .. } = &entry.fact {
        return kept.iter().map(|kept| still_told(*step, kept)).collect();
    }
    let bookmark = Bookmark { seq: entry.seq, timestamp: entry.at };
    let told = events(&entry.fact).into_iter().take(entry.events as usize);
    told.zip(0u32..).map(|(event, nth)| Envelope::new(entry.cursor.plus(nth), bookmark, event)).collect()
}

/// An event of an elided run: the same envelope as before.
fn still_told(step: u32, kept: &Kept) -> Envelope {
    let bookmark = Bookmark { seq: kept.seq, timestamp: kept.at };
    Envelope::new(kept.cursor, bookmark, piece(step, &kept.part))
}

/// What a fact tells, in order.
pub(super) fn events(fact: &Fact) -> Vec<Event> {
    match fact {
        Fact::Opened { resumed, strategy, sealed, .. } => {
            let told = Event::AgentResumed { strategy: strategy.clone(), sealed: sealed.clone() };
            resumed.then_some(told).into_iter().collect()
        }
        Fact::Created { template, .. } => vec![Event::AgentCreated { template_id: template.clone() }],
        Fact::Forked { from, at, .. } => vec![Event::AgentForked { from: from.clone(), at: *at }],
        Fact::Inherited { .. }
        | Fact::Snapshotted { .. }
        | Fact::MessageQueued { .. }
        | Fact::Steered { .. }
        | Fact::PromptAmended { .. }
        | Fact::PolicyRuled { .. }
        | Fact::HookAnswered { .. }
        | Fact::JobStopRequested(_)
        | Fact::StopRequested { .. } => Vec::new(),
        Fact::TurnStarted { shift, .. } | Fact::Paused { shift } => moved(Some(shift)),
        Fact::ModelStarted { shift, .. } => moved_by_way_of(Breakpoint::PreModel, Some(shift)),
        Fact::ToolStarted { shift, .. } => moved_by_way_of(Breakpoint::PreTool, shift.as_ref()),
        Fact::ModelChunk { step, parts, .. } => parts.iter().map(|part| piece(*step, part)).collect(),
        Fact::Elided { step, kept, .. } => kept.iter().map(|kept| piece(*step, &kept.part)).collect(),
        Fact::ModelAnswered { step, calls, ends, usage, shift, .. } => ends
            .iter()
            .map(|end| piece(*step, end))
            .chain([Event::TokenUsage { usage: *usage }])
            .chain(moved(shift.as_ref()))
            .chain(calls.iter().map(|new| Event::ToolStart { call: Box::new(new.call.clone()) }))
            .collect(),
        Fact::ModelFailed { step, attempt, failure, retry_at, reset, compact } => {
            let reset = reset.then(|| Event::TextReset { step: *step, reason: failure.code.clone() });
            [model_error(failure, *attempt, retry_at.is_some() || *compact)]
                .into_iter()
                .chain(reset)
                .collect()
        }
        Fact::ModelLost { step, .. } => vec![Event::TextReset { step: *step, reason: "restart".into() }],
        Fact::ModelStopped { step, ends, .. } => ends.iter().map(|end| piece(*step, end)).collect(),
        Fact::CompactionStarted { attempt, shift, .. } => {
            let told = (*attempt == 1).then(compression_start);
            moved(shift.as_ref()).into_iter().chain(told).collect()
        }
        Fact::CompactionFailed { attempt, failure, usage, .. } => {
            spent(*usage).into_iter().chain([model_error(failure, *attempt, true)]).collect()
        }
        Fact::Compacted(compacted) => {
            // One that asked no model began with its end.
            let start = (compacted.attempt == 0).then(compression_start);
            start.into_iter().chain(spent(compacted.usage)).chain([compression_end(compacted)]).collect()
        }
        Fact::TodoReminded { reason, todos, content } => vec![
            Event::TodoReminder { todos: todos.clone(), reason: *reason },
            Event::ReminderSent { category: ReminderCategory::Todo, content: content.clone() },
        ],
        Fact::ApprovalsRequested { calls, shift } => {
            moved(Some(shift)).into_iter().chain(calls.iter().map(permission_required)).collect()
        }
        Fact::PermissionDecided { call, decision, by, note } => vec![Event::PermissionDecided {
            call_id: call.clone(),
            decision: *decision,
            decided_by: by.clone(),
            note: note.clone(),
        }],
        Fact::ToolEmitted { call, tool, event_type, data } => vec![Event::ToolCustomEvent {
            call_id: call.clone(),
            tool: tool.clone(),
            event_type: event_type.clone(),
            data: data.clone(),
        }],
        Fact::JobStarted(started) => vec![job::started(started)],
        Fact::JobTold(told) => vec![job::told(told)],
        Fact::JobEnded(ended) => vec![job::ended(ended)],
        Fact::ToolEnded { call, ran, problem, .. } => tool_ended(call, *ran, problem.as_ref()),
        Fact::StepEnded { step, duration_ms, shift } => {
            let complete = Event::StepComplete { step: *step, duration_ms: *duration_ms };
            moved(shift.as_ref()).into_iter().chain([complete]).collect()
        }
        Fact::TodosChanged { previous, current, .. } => {
            vec![Event::TodoChanged { previous: previous.clone(), current: current.clone() }]
        }
        Fact::TurnEnded { step, messages, reason, error, shift } => {
            let done = Event::Done {
                step: *step,
                message_ids: messages.clone(),
                reason: *reason,
                error: error.clone(),
                at_rest: shift.is_some(),
            };
            moved(shift.as_ref()).into_iter().chain([done]).collect()
        }
    }
}

fn moved(shift: Option<&Shift>) -> Vec<Event> {
    let Some(Shift { from, to }) = shift else { return Vec::new() };
    let state = (from.0 != to.0).then_some(Event::StateChanged { old: from.0, new: to.0, state: to.0 });
    let breakpoint = (from.1 != to.1).then_some(Event::BreakpointChanged { previous: from.1, current: to.1 });
    state.into_iter().chain(breakpoint).collect()
}

/// The same with a breakpoint in between, where the agent does not stand at it yet: an observer sees each
/// request and each round of tools begin at the same place.
fn moved_by_way_of(way: Breakpoint, shift: Option<&Shift>) -> Vec<Event> {
    let Some(Shift { from, to }) = shift else { return Vec::new() };
    let between = (to.0, way);
    let (there, on) = (Shift { from: *from, to: between }, Shift { from: between, to: *to });
    moved(Some(&there)).into_iter().chain(moved(Some(&on))).collect()
}

fn piece(step: u32, part: &ChunkPart) -> Event {
    match part {
        ChunkPart::ThinkStart => Event::ThinkChunkStart { step },
        ChunkPart::Think(delta) => Event::ThinkChunk { step, delta: delta.clone() },
        ChunkPart::ThinkEnd => Event::ThinkChunkEnd { step },
        ChunkPart::TextStart => Event::TextChunkStart { step },
        ChunkPart::Text(delta) => Event::TextChunk { step, delta: delta.clone() },
        ChunkPart::Void(reason) => Event::TextReset { step, reason: reason.clone() },
        ChunkPart::TextEnd(text) => Event::TextChunkEnd { step, text: text.clone() },
    }
}

fn model_error(failure: &ModelFailure, attempt: u32, retried: bool) -> Event {
    let code =
        failure.provider_code.as_ref().map(|code| ("providerCode".to_owned(), Value::from(code.as_str())));
    Event::Error {
        severity: if retried { Severity::Warn } else { Severity::Error },
        phase: ErrorPhase::Model,
        code: failure.code.clone(),
        message: failure.message.clone(),
        detail: [("attempt".to_owned(), Value::from(attempt))].into_iter().chain(code).collect(),
    }
}

fn spent(usage: Usage) -> Option<Event> {
    (usage != Usage::default()).then_some(Event::TokenUsage { usage })
}

fn compression_start() -> Event {
    Event::ContextCompression { phase: CompressionPhase::Start, ratio: None, summary: None }
}

/// The ratio in thousandths: the sizes are estimates.
fn compression_end(compacted: &Compacted) -> Event {
    let Compacted { summary, before, after, .. } = compacted;
    let thousandths = u32::try_from(after.saturating_mul(1_000) / (*before).max(1)).unwrap_or(u32::MAX);
    let (ratio, summary) = (Some(f64::from(thousandths) / 1_000.0), Some(summary.clone()));
    Event::ContextCompression {
        phase: CompressionPhase::End,
        ratio,
        summary: summary.filter(|s| !s.is_empty()),
    }
}

fn permission_required(call: &Call) -> Event {
    let reason = call.approval.as_ref().map(|a| a.reason.clone()).unwrap_or_default();
    Event::PermissionRequired { call: Box::new(call.clone()), reason }
}

/// An error before what ran, and the end last.
fn tool_ended(call: &Call, ran: bool, problem: Option<&CallProblem>) -> Vec<Event> {
    let failed = problem.filter(|_| call.state == CallState::Failed);
    let boxed = || Box::new(call.clone());
    let told = failed.map(|p| Event::ToolError { call: boxed(), error: p.message.clone() });
    let monitored = failed.map(|p| Event::Error {
        severity: Severity::Warn,
        phase: ErrorPhase::Tool,
        code: p.code.clone(),
        message: p.message.clone(),
        detail: Map::from_iter([
            ("callId".to_owned(), Value::from(call.id.as_str())),
            ("tool".to_owned(), Value::from(call.name.as_str())),
        ]),
    });
    let executed = ran.then(|| Event::ToolExecuted { call: boxed() });
    told.into_iter().chain(monitored).chain(executed).chain([Event::ToolEnd { call: boxed() }]).collect()
}
