//! The outside becomes facts, or is refused: the only place of the machine that says no.
//!
//! What is late (a result of a call that has ended, a piece of an attempt that was given up) is refused as
//! [`Rejected::Stale`] and forgotten.

mod pieces;

use serde_json::{Map, Value};

use self::pieces::{ends, shown_parts};
use crate::call::{Call, Decision};
use crate::event::{AgentState, Breakpoint, Problem};
use crate::fact::{CallProblem, ChunkPart, Fact, IdempotencyKey, ModelFailure, NewCall, SendMode, Stop};
use crate::hook::Amendment;
use crate::id::{CallId, MessageId, TemplateId};
use crate::message::{Block, Usage};
use crate::model::{ErrorClass, Finish, ModelError};
use crate::todo::{self, Todo};
use crate::tool::{TodoRefused, ToolError};
use crate::trace::TraceParent;

use super::phase::{self, compact, model, round};
use super::{
    Compaction, Cx, EffectKey, FoundCall, Input, Kept, ModelCall, OpenCall, Rejected, Settlement, State,
    Strategy, SummaryStage,
};

/// Messages that may wait for one agent.
const QUEUE_MAX: usize = 256;

pub(super) type Accepted = Result<Vec<Fact>, Rejected>;

impl State {
    /// Turns an input into facts.
    ///
    /// # Errors
    /// Why the input becomes none; the state is as it was.
    pub fn accept(&self, cx: &Cx<'_>, input: Input) -> Accepted {
        match input {
            Input::Open { strategy } => Ok(vec![self.opened(cx, strategy)]),
            Input::Create { template, metadata } => self.create(template, metadata),
            Input::Fork(origin) => self.fork(*origin),
            Input::Inherit(heritage) => self.take_over(*heritage),
            Input::Snapshot { id } => self.snapshot(id),
            Input::Message { id, content, mode, metadata, key, trace } => {
                self.message(id, content, mode, metadata, key, trace)
            }
            Input::Interrupt { note, by } => self.interrupt(note, by),
            Input::Decide { call, decision, by, note } => self.decide(cx, call, decision, by, note),
            Input::Settle { call, outcome, by } => self.settle(cx, call, outcome, &by),
            Input::SetTodos { todos, version } => self.set_todos(todos, version),
            Input::ModelDeltas { step, attempt, deltas } => {
                let call = self.attempt(step, attempt)?;
                let parts = shown_parts(call, deltas, cx.template.expose_thinking);
                let told = !parts.is_empty();
                Ok(told.then_some(Fact::ModelChunk { step, attempt, parts }).into_iter().collect())
            }
            Input::ModelFinished { step, attempt, content, calls, finish, usage, edited } => {
                let call = self.attempt(step, attempt)?;
                if calls.is_empty() && finish != Finish::Length && !says_something(&content) {
                    let empty = ModelError::retryable(
                        ErrorClass::EmptyAnswer,
                        "the model gave neither text nor calls",
                    );
                    return Ok(vec![model::failed(self, cx, call, &empty)]);
                }
                let ends = ends(call, edited.then_some(content.as_slice()), cx.template.expose_thinking);
                Ok(vec![self.answered(cx, call, (content, ends), calls, finish, usage)])
            }
            Input::ModelFailed { step, attempt, error } => {
                Ok(vec![model::failed(self, cx, self.attempt(step, attempt)?, &error)])
            }
            Input::Summarised { nth, attempt, text, finish, usage } => {
                let live = self.summary(nth, attempt)?;
                Ok(vec![compact::summarised(self, cx, live, &text, finish, usage)])
            }
            Input::SummaryFailed { nth, attempt, error } => {
                Ok(vec![compact::failed(cx, self.summary(nth, attempt)?, &error, Usage::default())])
            }
            Input::PromptAmended { step, messages, outcome } => {
                self.prompt_amended(cx, (step, messages), outcome)
            }
            Input::PolicyRuled { call, policy, ruling } => {
                match self.open_call(&call).and_then(|open| round::asks(cx, open)) {
                    Some(round::Asks::Policy(asked)) if asked == policy => {
                        Ok(vec![Fact::PolicyRuled { call, policy, ruling }])
                    }
                    Some(round::Asks::Policy(_) | round::Asks::Hooks) | None => Err(Rejected::Stale),
                }
            }
            Input::HookAnswered { call, verdict } => {
                match self.open_call(&call).and_then(|open| round::asks(cx, open)) {
                    Some(round::Asks::Hooks) => Ok(vec![Fact::HookAnswered { call, verdict }]),
                    Some(round::Asks::Policy(_)) | None => Err(Rejected::Stale),
                }
            }
            Input::ToolFinished { call, attempt, outcome, kept } => {
                self.tool_finished(cx, &call, attempt, (outcome, kept))
            }
            Input::ToolEmitted { call, event_type, data } => {
                let open = self.open_call(&call).filter(|c| c.running()).ok_or(Rejected::Stale)?;
                Ok(vec![Fact::ToolEmitted { call, tool: open.call.name.clone(), event_type, data }])
            }
            Input::StartJob { call, line } => self.start_job(cx, call, line),
            Input::KillJob { job, by } => self.kill_job(job, by),
            Input::JobTold { job, event_type, data } => self.job_noticed(&job, event_type, data),
            Input::JobEnded { job, end } => self.job_finished(&job, end),
            Input::EffectGone(key) => self.effect_gone(cx, &key),
            Input::Tick => Ok(Vec::new()),
        }
    }

    fn opened(&self, cx: &Cx<'_>, strategy: Strategy) -> Fact {
        let stopping = self.turn.as_ref().is_some_and(|turn| turn.stop.is_some());
        let ends = |c: &OpenCall| strategy == Strategy::Crash && !c.traits.is_some_and(|t| t.replayable);
        let lost = |c: &&OpenCall| c.running() && (stopping || ends(c));
        let sealed = self.round().map(|r| r.calls.iter().filter(lost).map(|c| c.call.id.clone()).collect());
        Fact::Opened {
            template: cx.template.fingerprint(),
            resumed: self.template.is_some(),
            strategy: strategy.name().into(),
            sealed: sealed.unwrap_or_default(),
        }
    }

    fn create(&self, template: TemplateId, metadata: Map<String, Value>) -> Accepted {
        match &self.template {
            None => Ok(vec![Fact::Created { template, metadata }]),
            Some(old) => Err(Rejected::Exists(old.clone())),
        }
    }

    fn message(
        &self,
        id: MessageId,
        content: Vec<Block>,
        mode: SendMode,
        metadata: Map<String, Value>,
        key: Option<IdempotencyKey>,
        trace: Option<TraceParent>,
    ) -> Accepted {
        if self.template.is_none() {
            return Err(Rejected::NoAgent);
        }
        if let Some(refusal) = key.as_ref().and_then(|key| self.known(key)) {
            return Err(refusal);
        }
        if self.queue.len() >= QUEUE_MAX {
            return Err(Rejected::QueueFull);
        }
        if content.iter().any(|block| block.as_text().is_none()) {
            return Err(Rejected::NotText);
        }
        if !says_something(&content) {
            return Err(Rejected::EmptyMessage);
        }
        let busy = !self.at_rest();
        if busy && mode == SendMode::Reject {
            return Err(Rejected::Busy);
        }
        let stop = (mode == SendMode::Interrupt).then(|| {
            self.interrupt(Some("a new message replaced the run".into()), "message".into())
                .unwrap_or_default()
        });
        let queued = Fact::MessageQueued { id, content, mode, metadata, key, trace };
        Ok(stop.into_iter().flatten().chain([queued]).collect())
    }

    /// Why a request with a known key queues nothing.
    fn known(&self, key: &IdempotencyKey) -> Option<Rejected> {
        let known = self.keys.get(&key.key)?;
        let same = known.digest == key.digest;
        let first = || Rejected::Duplicate { message: known.message.clone(), cursor: known.cursor };
        Some(if same { first() } else { Rejected::KeyReused })
    }

    /// Ends the turn and the background jobs.
    fn interrupt(&self, note: Option<String>, by: String) -> Accepted {
        let jobs = self.stop_jobs(&by);
        match &self.turn {
            None if self.open_jobs().next().is_none() => Err(Rejected::Idle),
            Some(turn) if turn.stop.is_none() => {
                let stop = Fact::StopRequested { stop: Stop::Interrupt { note, by } };
                Ok([stop].into_iter().chain(jobs).collect())
            }
            None | Some(_) => Ok(jobs),
        }
    }

    fn decide(
        &self,
        cx: &Cx<'_>,
        id: CallId,
        decision: Decision,
        by: String,
        note: Option<String>,
    ) -> Accepted {
        let ended = |id: &CallId| self.records.iter().any(|r| &r.id == id && r.approval.is_some());
        let known = self.round().and_then(|r| r.calls.iter().find(|c| c.call.id == id));
        let approval = match known.map(|c| &c.call.approval) {
            Some(Some(approval)) => approval,
            Some(None) => return Err(Rejected::NoApproval(id)),
            None if ended(&id) => return Err(Rejected::Decided(id)),
            None => return Err(Rejected::NoApproval(id)),
        };
        if approval.decision.is_some() || approval.expires_at.is_some_and(|at| at <= cx.now) {
            return Err(Rejected::Decided(id));
        }
        Ok(vec![Fact::PermissionDecided { call: id, decision, by, note }])
    }

    fn settle(&self, cx: &Cx<'_>, id: CallId, outcome: Settlement, by: &str) -> Accepted {
        let open = self.unsettled().find(|call| call.call.id == id);
        let open = open.ok_or(Rejected::NotUnsettled(id))?;
        Ok(vec![phase::ending::settled(cx, open, outcome, by)])
    }

    fn set_todos(&self, todos: Vec<Todo>, version: Option<u64>) -> Accepted {
        if self.template.is_none() {
            return Err(Rejected::NoAgent);
        }
        let current = self.todos.version;
        if version.is_some_and(|v| v != current) {
            return Err(TodoRefused::VersionConflict { current }.into());
        }
        todo::check(&todos).map_err(TodoRefused::from)?;
        let previous = self.todos.todos.clone();
        Ok(vec![Fact::TodosChanged { previous, current: todos, version: current + 1 }])
    }

    fn attempt(&self, step: u32, attempt: u32) -> Result<&ModelCall, Rejected> {
        let live = |c: &&ModelCall| (c.step, c.attempt, c.epoch) == (step, attempt, self.epoch);
        self.model_call().filter(live).ok_or(Rejected::Stale)
    }

    fn summary(&self, nth: u32, attempt: u32) -> Result<&Compaction, Rejected> {
        let live = |c: &&Compaction| {
            (c.nth, c.attempt, c.epoch, c.stage) == (nth, attempt, self.epoch, SummaryStage::Asking)
        };
        self.compaction().filter(live).ok_or(Rejected::Stale)
    }

    fn prompt_amended(
        &self,
        cx: &Cx<'_>,
        (step, messages): (u32, usize),
        outcome: Result<Amendment, Problem>,
    ) -> Accepted {
        if model::awaited_hooks(self, cx) != Some((step, messages)) {
            return Err(Rejected::Stale);
        }
        Ok(vec![match outcome {
            Ok(amendment) => Fact::PromptAmended { step, amendment },
            Err(Problem { code, message }) => {
                let failure = ModelFailure { code, message, provider_code: None };
                Fact::ModelFailed { step, attempt: 1, failure, retry_at: None, reset: false, compact: false }
            }
        }])
    }

    fn answered(
        &self,
        cx: &Cx<'_>,
        attempt: &ModelCall,
        (content, ends): (Vec<Block>, Vec<ChunkPart>),
        calls: Vec<FoundCall>,
        finish: Finish,
        usage: Usage,
    ) -> Fact {
        let new_call = |(index, found): (usize, FoundCall)| NewCall {
            call: Call::asked(CallId::of(attempt.step, index), found.name, &found.input, cx.now),
            input: found.input,
            traits: found.traits,
            problem: found
                .problem
                .or_else(|| (finish == Finish::Length).then(|| cut_off(cx.template.limits.max_tokens))),
        };
        let calls: Vec<NewCall> = calls.into_iter().enumerate().map(new_call).collect();
        let shift =
            (!calls.is_empty()).then(|| phase::shift(self, AgentState::Working, Breakpoint::ToolPending));
        Fact::ModelAnswered {
            step: attempt.step,
            attempt: attempt.attempt,
            content,
            calls,
            ends,
            finish,
            usage,
            estimate: self.estimate(cx),
            shift: shift.flatten(),
        }
    }

    fn tool_finished(
        &self,
        cx: &Cx<'_>,
        id: &CallId,
        attempt: u32,
        (outcome, kept): (Result<Value, ToolError>, Option<Kept>),
    ) -> Accepted {
        let live = |c: &&OpenCall| c.running() && (c.attempt, c.epoch) == (attempt, self.epoch);
        let open = self.open_call(id).filter(live).ok_or(Rejected::Stale)?;
        Ok(vec![match outcome {
            Ok(value) => phase::ending::completed(cx, open, value, kept),
            Err(error) => phase::ending::failed(cx, open, error.into()),
        }])
    }

    fn effect_gone(&self, cx: &Cx<'_>, key: &EffectKey) -> Accepted {
        let (call, attempt) = match key {
            EffectKey::Tool { call, attempt } => (call, attempt),
            EffectKey::Job { job } => return self.job_gone(job),
            EffectKey::Model { .. }
            | EffectKey::Compact { .. }
            | EffectKey::Prompt { .. }
            | EffectKey::Policy { .. }
            | EffectKey::Hooks { .. } => return Err(Rejected::Stale),
        };
        let live = |c: &&OpenCall| c.running() && (c.attempt, c.epoch) == (*attempt, self.epoch);
        let open = self.open_call(call).filter(live).ok_or(Rejected::Stale)?;
        match self.turn.as_ref().and_then(|t| t.stop.as_ref()) {
            Some((stop, _)) => Ok(vec![phase::ending::stopped(cx, open, stop)]),
            None => Err(Rejected::Stale),
        }
    }
}

/// Whether content has a text that is not blank.
fn says_something(content: &[Block]) -> bool {
    content.iter().filter_map(Block::as_text).any(|text| !text.trim().is_empty())
}

fn cut_off(max_tokens: u32) -> CallProblem {
    CallProblem {
        code: "cut_off".into(),
        message: format!(
            "the answer was cut at the limit of {max_tokens} tokens, so the call may not be whole and was not run"
        ),
        hint: Some("call again with less content, in several smaller calls".into()),
    }
}

impl From<ToolError> for CallProblem {
    fn from(error: ToolError) -> Self {
        Self { code: error.code, message: error.message, hint: error.hint }
    }
}

impl From<&ModelError> for ModelFailure {
    fn from(error: &ModelError) -> Self {
        Self {
            code: error.class.code().into(),
            message: error.message.clone(),
            provider_code: error.provider_code.clone(),
        }
    }
}
