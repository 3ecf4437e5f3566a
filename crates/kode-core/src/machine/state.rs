//! What an agent knows of itself: the fold of its facts.
//!
//! Plain data. The rules that read it are in `accept`, `advance` and `wanted`; the one that writes it is
//! `evolve`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::{Call, CallState};
use crate::event::{AgentState, Breakpoint};
use crate::fact::{CallProblem, ModelFailure, SendMode, Stop};
use crate::hook::{Amendment, Verdict};
use crate::id::{CallId, Cursor, Epoch, MessageId, Millis, Seq, TemplateId};
use crate::lineage::{Ancestor, Files, Snapshot};
use crate::message::{Block, Message, Usage};
use crate::model::Finish;
use crate::todo::TodoList;
use crate::tool::ToolTraits;

use super::{Compaction, Context, Job, Partial, Reminders, Ruling};
use crate::pages::Pages;

/// The state of one agent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The last entry folded.
    pub seq: Seq,
    /// The last writer's term.
    pub epoch: Epoch,
    /// The last cursor used.
    pub cursor: Cursor,
    /// The agent's template; none before the agent exists.
    pub template: Option<TemplateId>,
    /// The creator's own data.
    pub metadata: Map<String, Value>,
    /// When it was created.
    pub created_at: Millis,
    /// When the last entry was made.
    pub updated_at: Millis,
    /// What was told last of state and breakpoint.
    pub stage: (AgentState, Breakpoint),
    /// The history, kept in `messages.json`.
    #[serde(skip)]
    pub transcript: Pages<Message>,
    /// The records of ended calls, kept in `tools.json`.
    #[serde(skip)]
    pub records: Pages<Call>,
    /// The todo list, kept in `todos.json`.
    #[serde(skip)]
    pub todos: Arc<TodoList>,
    /// Accepted messages that no turn has taken.
    pub queue: VecDeque<Arc<Queued>>,
    /// The turn under way. Boxed, as most agents have none.
    pub turn: Option<Box<Turn>>,
    /// How many turns began.
    pub turns: u32,
    /// How many steps began.
    pub steps: u32,
    /// What all model calls cost.
    pub usage: Usage,
    /// Requests that clients may repeat.
    pub keys: BTreeMap<String, KeyRecord>,
    /// The cursor of the last `done`.
    pub last_done: Cursor,
    /// Whether the last writer leaves it to the host what became of calls that ran before it.
    pub manual: bool,
    /// The agents that it goes back to, oldest first, the one that it was forked from last.
    pub lineage: Arc<Vec<Ancestor>>,
    /// In which work directory it works.
    pub files: Files,
    /// The named places of its journal, oldest first.
    pub snapshots: Arc<Vec<Snapshot>>,
    /// How much of the model's window is taken, and what it reads in place of the history's beginning.
    pub context: Context,
    /// What the model was told of the todo list without asking.
    pub reminders: Reminders,
    /// The background jobs that run, and those that ended last.
    pub jobs: Arc<Vec<Job>>,
}

/// An accepted message that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Its name.
    pub id: MessageId,
    /// Its content.
    pub content: Vec<Block>,
    /// What it does to a run under way.
    pub mode: SendMode,
    /// The sender's own data.
    pub metadata: Map<String, Value>,
    /// When it was accepted.
    pub at: Millis,
}

/// What was answered to a request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Of the body that came first.
    pub digest: String,
    /// The message that it queued.
    pub message: MessageId,
    /// The cursor that was answered.
    pub cursor: Cursor,
    /// When.
    pub at: Millis,
}

/// A turn under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The messages that it answers.
    pub messages: Vec<MessageId>,
    /// The cursor before its first event.
    pub began: Cursor,
    /// Where in the history it begins.
    pub from_message: usize,
    /// When it began.
    pub started_at: Millis,
    /// Milliseconds that do not count: paused, or without a writer.
    pub idle_ms: u64,
    /// Since when only a person or the host is waited for.
    pub paused_since: Option<Millis>,
    /// How many steps began in it.
    pub steps: u32,
    /// That it is being stopped, and since when.
    pub stop: Option<(Stop, Millis)>,
    /// What hooks changed in the request of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amended: Option<Amended>,
    /// How far it is.
    pub phase: Phase,
}

/// What hooks changed in the request of one step, for all of its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amended {
    /// Which step.
    pub step: u32,
    /// What.
    pub amendment: Arc<Amendment>,
}

/// How far a turn is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Phase {
    /// Every call has its result: the model is next, unless the turn ends here.
    BeforeModel,
    /// The model answers.
    Model(ModelCall),
    /// An attempt failed; the next one waits.
    Backoff {
        /// The attempt that failed.
        call: ModelCall,
        /// Until when.
        until: Millis,
    },
    /// The history was too long for an attempt: it is condensed before the next one.
    Overflowed(ModelCall),
    /// The history is being condensed.
    Compacting(Box<Compaction>),
    /// The last attempt failed.
    Failed(ModelFailure),
    /// Calls are open.
    Tools(Round),
    /// The model answered without calls.
    Answered {
        /// When the step began.
        step_started_at: Millis,
        /// Why the model stopped.
        finish: Finish,
    },
    /// The step of that answer was told.
    Closing(Finish),
}

/// One attempt at the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Which step.
    pub step: u32,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How many attempts failed before.
    pub failures: u32,
    /// The writer under which it began.
    pub epoch: Epoch,
    /// When the step began.
    pub step_started_at: Millis,
    /// What was shown of it.
    pub partial: Partial,
    /// Whether the history was condensed for this step because the provider refused it as too long.
    #[serde(default)]
    pub condensed: bool,
}

/// The calls of one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Which step.
    pub step: u32,
    /// The entry before the answer that asked for them: no call was open there.
    #[serde(default)]
    pub before: Seq,
    /// When the step began.
    pub step_started_at: Millis,
    /// In the model's order.
    pub calls: Vec<OpenCall>,
}

/// One call of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenCall {
    /// The record as told.
    pub call: Call,
    /// The whole input.
    pub input: Arc<Value>,
    /// What the tool declares.
    pub traits: Option<ToolTraits>,
    /// Why it cannot run.
    pub problem: Option<CallProblem>,
    /// What a policy of the host's said, and which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruled: Option<(String, Ruling)>,
    /// What the hooks said.
    pub verdict: Option<Verdict>,
    /// How often it was started.
    pub attempt: u32,
    /// The writer under which it was started last.
    pub epoch: Epoch,
    /// What the model reads, once it has ended.
    pub content: Option<String>,
}

impl OpenCall {
    /// Whether it has its result.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.content.is_some()
    }

    /// Whether it is running.
    #[must_use]
    pub fn running(&self) -> bool {
        !self.ended() && self.call.state == CallState::Executing
    }

    /// Whether a person was asked and has not answered.
    #[must_use]
    pub fn undecided(&self) -> bool {
        !self.ended() && self.call.approval.as_ref().is_some_and(|a| a.decision.is_none())
    }
}

impl State {
    /// The open calls, if there are any.
    #[must_use]
    pub fn round(&self) -> Option<&Round> {
        match &self.turn.as_ref()?.phase {
            Phase::Tools(round) => Some(round),
            Phase::BeforeModel
            | Phase::Model(_)
            | Phase::Backoff { .. }
            | Phase::Overflowed(_)
            | Phase::Compacting(_)
            | Phase::Failed(_)
            | Phase::Answered { .. }
            | Phase::Closing(_) => None,
        }
    }

    /// An open call by its name.
    #[must_use]
    pub fn open_call(&self, id: &CallId) -> Option<&OpenCall> {
        self.round()?.calls.iter().find(|c| &c.call.id == id && !c.ended())
    }

    /// The calls that ran under an older writer and wait for the host's word. A run that is being stopped waits
    /// for nobody's.
    pub fn unsettled(&self) -> impl Iterator<Item = &OpenCall> {
        let waits = self.manual && self.turn.as_ref().is_some_and(|turn| turn.stop.is_none());
        let calls = self.round().filter(|_| waits).map_or(&[][..], |round| &round.calls);
        calls.iter().filter(|call| call.running() && call.epoch < self.epoch)
    }

    /// The tools of open calls that were there when the model asked for them and may still be started.
    pub fn tools_to_run(&self) -> impl Iterator<Item = &str> {
        let may_start = |call: &&OpenCall| {
            let again = call.traits.is_some_and(|t| t.replayable);
            !call.ended() && call.traits.is_some() && call.problem.is_none() && (!call.running() || again)
        };
        let calls = self.round().map_or(&[][..], |round| &round.calls);
        calls.iter().filter(may_start).map(|call| call.call.name.as_str())
    }

    /// Whether a call waits for the host's word.
    #[must_use]
    pub fn is_unsettled(&self, id: &CallId) -> bool {
        self.unsettled().any(|call| &call.call.id == id)
    }

    /// The attempt at the model that is under way.
    #[must_use]
    pub fn model_call(&self) -> Option<&ModelCall> {
        match &self.turn.as_ref()?.phase {
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

    /// Whether no turn is under way and no message waits. A background job may run.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        self.turn.is_none() && self.queue.is_empty()
    }

    /// Whether nothing at all is under way: the agent is at rest, and no background job runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.at_rest() && self.open_jobs().next().is_none()
    }

    /// Whether no turn goes on by itself: the agent is at rest, or only a person is waited for. One that was
    /// decided on by a process that runs nothing still stands at PAUSED, and goes on.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let stopping = self.turn.as_ref().is_some_and(|turn| turn.stop.is_some());
        let waits = |round: &Round| round.calls.iter().all(|call| call.ended() || call.undecided());
        self.at_rest() || (self.stage.0 == AgentState::Paused && !stopping && self.round().is_some_and(waits))
    }

    /// Whether nothing here needs a writer: no turn goes on by itself, and no background job runs.
    #[must_use]
    pub fn may_sleep(&self) -> bool {
        self.is_settled() && self.open_jobs().next().is_none()
    }
}
