//! Entries become state: a flat table, total and without policy, the only function bound to old journals.
//!
//! A fact that does not fit the state (it cannot come from this machine) changes only the bookkeeping.

mod calls;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::call::CallState;
use crate::event::AgentState;
use crate::fact::{Entry, Fact, IdempotencyKey, NewCall, Shift};
use crate::id::{CallId, MessageId, Millis, Seq};
use crate::message::{Block, Message, Role};
use crate::todo::TodoList;

pub(super) use self::calls::results_message;
use self::calls::{enter, open_call, says_nothing};
use super::context::Parts;
use super::{Amended, KeyRecord, ModelCall, OpenCall, Partial, Phase, Queued, Round, State, Strategy, Turn};

/// How long an idempotency key is remembered.
const KEY_RETENTION: Millis = 24 * 60 * 60 * 1_000;

impl State {
    /// Folds one entry in.
    pub fn evolve(&mut self, entry: &Entry) {
        self.apply(entry);
        self.seq = entry.seq;
        self.epoch = entry.epoch;
        self.updated_at = entry.at;
        if entry.events > 0 {
            self.cursor = entry.last_cursor();
        }
        self.count_waiting(entry.at);
    }

    fn apply(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.fact {
            Fact::Opened { strategy, .. } => {
                self.manual = strategy == Strategy::Manual.name();
                self.count_idle(at);
            }
            Fact::Created { template, metadata } => {
                self.template = Some(template.clone());
                self.metadata = metadata.clone();
                self.created_at = at;
            }
            Fact::Forked { .. } => self.descend(entry),
            Fact::Inherited { .. } => self.inherit(entry),
            Fact::Snapshotted { .. } => self.name(entry),
            Fact::MessageQueued { id, content, mode, metadata, key, trace: _ } => {
                self.remember(key.as_ref(), id, at);
                let (id, content, metadata) = (id.clone(), content.clone(), metadata.clone());
                self.queue.push_back(Arc::new(Queued { id, content, mode: *mode, metadata, at }));
            }
            Fact::TurnStarted { turn, messages, shift } => self.turn_started(entry, *turn, messages, *shift),
            Fact::Steered { messages } => {
                self.take_queued(entry, messages);
                self.with_turn(|turn| turn.messages.extend_from_slice(messages));
            }
            Fact::PromptAmended { step, amendment } => {
                let amended = Amended { step: *step, amendment: Arc::new(amendment.clone()) };
                self.with_turn(|turn| turn.amended = Some(amended));
            }
            Fact::ModelStarted { step, attempt, shift } => self.model_started(entry, *step, *attempt, *shift),
            Fact::ModelChunk { parts, .. } => {
                if let Some(call) = self.model_call_mut() {
                    parts.iter().for_each(|part| call.partial.take(part));
                }
            }
            Fact::Elided { kept, .. } => {
                if let Some(call) = self.model_call_mut() {
                    kept.iter().for_each(|kept| call.partial.take(&kept.part));
                }
            }
            Fact::ModelAnswered { step, content, calls, finish, usage, estimate, shift, .. } => {
                self.usage += *usage;
                self.context.reported(*estimate, *usage);
                self.say(entry, *step, content, calls, false);
                let step_started_at = self.model_call_mut().map_or(at, |c| c.step_started_at);
                self.enter_phase(if calls.is_empty() {
                    Phase::Answered { step_started_at, finish: *finish }
                } else {
                    Phase::Tools(Round {
                        step: *step,
                        before: Seq(entry.seq.0.saturating_sub(1)),
                        step_started_at,
                        calls: calls.iter().map(open_call).collect(),
                    })
                });
                self.shift(*shift);
            }
            Fact::ModelFailed { failure, retry_at, compact, .. } => {
                let failed = self.model_call_mut().map(|c| c.after_failure());
                self.enter_phase(match (failed, *retry_at) {
                    (Some(call), Some(until)) => Phase::Backoff { call, until },
                    (Some(call), None) if *compact => Phase::Overflowed(call),
                    (Some(_), None) | (None, Some(_) | None) => Phase::Failed(failure.clone()),
                });
            }
            Fact::ModelLost { .. } => {
                if let Some(call) = self.model_call_mut().cloned() {
                    self.enter_phase(Phase::Backoff { call, until: at });
                }
            }
            Fact::ModelStopped { step, content, .. } => {
                self.say(entry, *step, content, &[], true);
                self.enter_phase(Phase::BeforeModel);
            }
            Fact::CompactionStarted { nth, attempt, plan, before, shift } => {
                self.compaction_started(entry, (*nth, *attempt), plan, *before);
                self.shift(*shift);
            }
            Fact::CompactionFailed { retry_at, usage, .. } => self.compaction_failed(*retry_at, *usage),
            Fact::Compacted(c) => {
                let parts = Parts { preface: &c.preface, summary: &c.summary, todos: &c.todos };
                self.compacted(entry, c.nth, (&c.plan, c.by), parts, c.usage);
            }
            Fact::TodoReminded { reason, content, .. } => self.reminded(entry, *reason, content),
            Fact::PolicyRuled { call, policy, ruling } => {
                self.with_call(call, |c| c.ruled = Some((policy.clone(), ruling.clone())));
            }
            Fact::HookAnswered { call, verdict } => {
                self.with_call(call, |c| c.verdict = Some(verdict.clone()))
            }
            Fact::ApprovalsRequested { calls, shift } => {
                for asked in calls {
                    self.with_call(&asked.id, |c| c.call = asked.clone());
                }
                self.shift(Some(*shift));
            }
            Fact::Paused { shift } => self.shift(Some(*shift)),
            Fact::PermissionDecided { call, decision, by, note } => self.with_call(call, |c| {
                if let Some(approval) = &mut c.call.approval {
                    approval.decision = Some(*decision);
                    approval.decided_by = Some(by.clone());
                    approval.note.clone_from(note);
                }
                if *decision == crate::call::Decision::Allow {
                    enter(c, CallState::Approved, at, Some(format!("by {by}")));
                }
            }),
            Fact::ToolStarted { call, attempt, shift } => {
                let epoch = entry.epoch;
                self.with_call(call, |c| {
                    c.attempt = *attempt;
                    c.epoch = epoch;
                    c.call.started_at = Some(at);
                    enter(c, CallState::Executing, at, None);
                });
                self.shift(*shift);
            }
            Fact::ToolEmitted { .. } | Fact::JobTold(_) => {}
            Fact::JobStarted(started) => self.job_started(entry, started),
            Fact::JobStopRequested(stop) => self.job_stopping(entry, stop),
            Fact::JobEnded(ended) => self.job_over(entry, ended),
            Fact::ToolEnded { call, content, .. } => {
                self.with_call(&call.id, |c| {
                    c.call = call.as_ref().clone();
                    c.content = Some(content.clone());
                });
                self.records.push(Arc::new(call.as_ref().clone()));
            }
            Fact::StepEnded { shift, .. } => self.step_ended(entry, *shift),
            Fact::TodosChanged { current, version, .. } => {
                self.todos = Arc::new(TodoList { todos: current.clone(), version: *version });
                self.reminders.quiet = 0;
            }
            Fact::StopRequested { stop } => self.with_turn(|turn| turn.stop = Some((stop.clone(), at))),
            Fact::TurnEnded { shift, .. } => {
                self.shift(*shift);
                self.turn = None;
                self.last_done = entry.last_cursor();
            }
        }
    }

    /// Time without a writer does not count against the turn.
    fn count_idle(&mut self, at: Millis) {
        let since = self.updated_at;
        self.with_turn(|turn| {
            if turn.paused_since.is_none() {
                turn.idle_ms += at.saturating_sub(since);
            }
        });
    }

    /// Time in which only a person or the host is waited for does not count either.
    fn count_waiting(&mut self, at: Millis) {
        let waits = self.stage.0 == AgentState::Paused || self.unsettled().next().is_some();
        self.with_turn(|turn| match (waits, turn.paused_since) {
            (true, None) => turn.paused_since = Some(at),
            (false, Some(since)) => {
                turn.idle_ms += at.saturating_sub(since);
                turn.paused_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        });
    }

    fn remember(&mut self, key: Option<&IdempotencyKey>, message: &MessageId, at: Millis) {
        let Some(IdempotencyKey { key, digest }) = key else { return };
        self.keys.retain(|_, known| known.at + KEY_RETENTION > at);
        let (digest, message, cursor) = (digest.clone(), message.clone(), self.cursor);
        self.keys.insert(key.clone(), KeyRecord { digest, message, cursor, at });
    }

    fn turn_started(&mut self, entry: &Entry, number: u32, messages: &[MessageId], shift: Shift) {
        self.turns = number;
        self.context.turn_started();
        self.turn = Some(Box::new(Turn {
            messages: messages.to_vec(),
            began: self.cursor,
            from_message: self.transcript.len(),
            started_at: entry.at,
            idle_ms: 0,
            paused_since: None,
            steps: 0,
            stop: None,
            amended: None,
            phase: Phase::BeforeModel,
        }));
        self.take_queued(entry, messages);
        self.shift(Some(shift));
    }

    fn take_queued(&mut self, entry: &Entry, messages: &[MessageId]) {
        let (taken, left): (VecDeque<Arc<Queued>>, _) =
            self.queue.drain(..).partition(|m| messages.contains(&m.id));
        self.queue = left;
        for queued in taken {
            self.append(Message {
                id: queued.id.clone(),
                role: Role::User,
                content: queued.content.clone(),
                created_at: queued.at,
                seq: entry.seq,
                interrupted: false,
                metadata: queued.metadata.clone(),
            });
        }
    }

    fn model_started(&mut self, entry: &Entry, step: u32, attempt: u32, shift: Shift) {
        let again = self.turn.as_ref().and_then(|turn| match &turn.phase {
            Phase::Backoff { call, .. } => Some((call.failures, call.step_started_at, call.condensed)),
            Phase::BeforeModel
            | Phase::Model(_)
            | Phase::Overflowed(_)
            | Phase::Compacting(_)
            | Phase::Failed(_)
            | Phase::Tools(_)
            | Phase::Answered { .. }
            | Phase::Closing(_) => None,
        });
        let (failures, step_started_at, condensed) = again.unwrap_or((0, entry.at, false));
        if again.is_none() {
            self.steps = step;
            self.reminders.quiet = self.reminders.quiet.saturating_add(1);
            self.with_turn(|turn| turn.steps += 1);
        }
        let partial = Partial::default();
        self.enter_phase(Phase::Model(ModelCall {
            step,
            attempt,
            failures,
            epoch: entry.epoch,
            step_started_at,
            partial,
            condensed,
        }));
        self.shift(Some(shift));
    }

    /// Puts what the model said into the history; an answer with nothing to send back leaves no message.
    fn say(&mut self, entry: &Entry, step: u32, content: &[Block], calls: &[NewCall], interrupted: bool) {
        let call = |new: &NewCall| Block::ToolUse {
            id: new.call.id.clone(),
            name: new.call.name.clone(),
            input: new.input.clone(),
        };
        let content: Vec<Block> = content.iter().cloned().chain(calls.iter().map(call)).collect();
        if content.iter().all(says_nothing) {
            return;
        }
        self.append(Message {
            id: MessageId::new(format!("answer_{step}")),
            role: Role::Assistant,
            content,
            created_at: entry.at,
            seq: entry.seq,
            interrupted,
            metadata: serde_json::Map::new(),
        });
    }

    /// Every message joins the history here, and is counted once.
    pub(super) fn append(&mut self, message: Message) {
        self.context.add(&message);
        self.transcript.push(Arc::new(message));
    }

    /// After a round the results join the history, in the calls' order; after an answer the turn closes.
    fn step_ended(&mut self, entry: &Entry, shift: Option<Shift>) {
        let phase = self.turn.as_ref().map(|turn| turn.phase.clone());
        match phase {
            Some(Phase::Tools(round)) => {
                self.append(results_message(&round, entry.seq, entry.at));
                self.enter_phase(Phase::BeforeModel);
            }
            Some(Phase::Answered { finish, .. }) => self.enter_phase(Phase::Closing(finish)),
            Some(
                Phase::BeforeModel
                | Phase::Model(_)
                | Phase::Backoff { .. }
                | Phase::Overflowed(_)
                | Phase::Compacting(_)
                | Phase::Failed(_)
                | Phase::Closing(_),
            )
            | None => {}
        }
        self.shift(shift);
    }

    fn shift(&mut self, shift: Option<Shift>) {
        if let Some(Shift { to, .. }) = shift {
            self.stage = to;
        }
    }

    pub(super) fn enter_phase(&mut self, phase: Phase) {
        self.with_turn(|turn| turn.phase = phase);
    }

    fn with_turn(&mut self, change: impl FnOnce(&mut Turn)) {
        if let Some(turn) = &mut self.turn {
            change(turn);
        }
    }

    fn model_call_mut(&mut self) -> Option<&mut ModelCall> {
        match &mut self.turn.as_mut()?.phase {
            Phase::Model(call) => Some(call),
            Phase::BeforeModel
            | Phase::Backoff { .. }
            | Phase::Overflowed(_)
            | Phase::Compacting(_)
            | Phase::Failed(_)
            | Phase::Tools(_)
            | Phase::Answered { .. }
            | Phase::Closing(_) => None,
        }
    }

    fn with_call(&mut self, id: &CallId, change: impl FnOnce(&mut OpenCall)) {
        let Some(Phase::Tools(round)) = self.turn.as_mut().map(|turn| &mut turn.phase) else { return };
        if let Some(call) = round.calls.iter_mut().find(|c| &c.call.id == id) {
            change(call);
        }
    }
}
