//! What reaches an agent from outside, and why it may become no fact.

use serde_json::{Map, Value};

use crate::call::Decision;
use crate::event::Problem;
use crate::fact::{CallProblem, IdempotencyKey, SendMode};
use crate::hook::{Amendment, Verdict};
use crate::id::{CallId, Cursor, JobId, MessageId, SnapshotId, TemplateId};
use crate::message::{Block, Usage};
use crate::model::{Finish, ModelError};
use crate::sandbox::ProcessEnd;
use crate::todo::Todo;
use crate::tool::{TodoRefused, ToolError, ToolTraits};
use crate::trace::TraceParent;

use super::{EffectKey, Heritage, Origin, Ruling};

/// A piece of an answer as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Reasoning.
    Thinking(String),
    /// Text.
    Text(String),
}

impl Delta {
    /// The bytes of its text.
    #[must_use]
    pub fn weight(&self) -> usize {
        let (Self::Thinking(text) | Self::Text(text)) = self;
        text.len()
    }
}

/// A call that the model asked for, looked up and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundCall {
    /// The tool's name, as the model wrote it.
    pub name: String,
    /// The arguments; a JSON string with the raw text where they are no JSON object.
    pub input: Value,
    /// What the tool declares; absent where there is no such tool.
    pub traits: Option<ToolTraits>,
    /// Why it cannot run.
    pub problem: Option<CallProblem>,
}

/// What a writer does with calls that were running when the one before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// A replayable one runs again, any other ends as unknown.
    #[default]
    Crash,
    /// Each waits until the host settles it, and the rest of its round waits with it.
    Manual,
}

impl Strategy {
    /// Its name in facts and events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Manual => "manual",
        }
    }
}

/// What the host found out about a call whose writer ended while it ran.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// It came to its end, with this result.
    Done(Value),
    /// It failed.
    Failed(ToolError),
    /// Nobody knows: the model is told so.
    Unknown,
}

/// A result that was kept beside the journal, since the model reads only its head and its tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// How many of its bytes were kept, from the first on.
    pub bytes: u64,
    /// Whether those are all.
    pub whole: bool,
}

/// What reaches an agent from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A writer took the agent up.
    Open {
        /// What it does with calls that were running.
        strategy: Strategy,
    },
    /// The agent is to exist.
    Create {
        /// With this template.
        template: TemplateId,
        /// With this data of the creator's.
        metadata: Map<String, Value>,
    },
    /// The agent is to exist as a fork of another; what it takes over follows.
    Fork(Box<Origin>),
    /// A new agent takes over what was said and done elsewhere.
    Inherit(Box<Heritage>),
    /// The newest place at which no call is open is to have a name.
    Snapshot {
        /// The name.
        id: SnapshotId,
    },
    /// A message of the user's.
    Message {
        /// Its name, minted where it entered the system.
        id: MessageId,
        /// Its content.
        content: Vec<Block>,
        /// What it does to a run under way.
        mode: SendMode,
        /// The sender's own data.
        metadata: Map<String, Value>,
        /// The sender's name for the request.
        key: Option<IdempotencyKey>,
        /// Where the request stands in a trace, if it is in one.
        trace: Option<TraceParent>,
    },
    /// The run under way is to stop.
    Interrupt {
        /// What the caller said.
        note: Option<String>,
        /// Who.
        by: String,
    },
    /// A person decided on a call.
    Decide {
        /// Which.
        call: CallId,
        /// How.
        decision: Decision,
        /// Who.
        by: String,
        /// What they said.
        note: Option<String>,
    },
    /// The host says what became of a call that waits for it.
    Settle {
        /// Which.
        call: CallId,
        /// What became of it.
        outcome: Settlement,
        /// Who says so.
        by: String,
    },
    /// The todo list is to be this.
    SetTodos {
        /// The new list.
        todos: Vec<Todo>,
        /// The version that it was made from; not checked, if absent.
        version: Option<u64>,
    },
    /// Pieces of an answer.
    ModelDeltas {
        /// Of which step.
        step: u32,
        /// Of which attempt.
        attempt: u32,
        /// In order.
        deltas: Vec<Delta>,
    },
    /// The answer is whole.
    ModelFinished {
        /// Of which step.
        step: u32,
        /// Of which attempt.
        attempt: u32,
        /// The whole answer without the calls.
        content: Vec<Block>,
        /// The calls, in order.
        calls: Vec<FoundCall>,
        /// Why the model stopped.
        finish: Finish,
        /// What it cost.
        usage: Usage,
        /// Whether hooks made it another than the one whose pieces were told.
        edited: bool,
    },
    /// The attempt failed.
    ModelFailed {
        /// Of which step.
        step: u32,
        /// Which attempt.
        attempt: u32,
        /// Why.
        error: ModelError,
    },
    /// The model gave a summary, or something else in its place.
    Summarised {
        /// Of which compaction.
        nth: u32,
        /// Of which attempt.
        attempt: u32,
        /// What it said.
        text: String,
        /// Why it stopped.
        finish: Finish,
        /// What it cost.
        usage: Usage,
    },
    /// The attempt at a summary failed.
    SummaryFailed {
        /// Of which compaction.
        nth: u32,
        /// Which attempt.
        attempt: u32,
        /// Why.
        error: ModelError,
    },
    /// The hooks looked at the request of the next step.
    PromptAmended {
        /// Which step.
        step: u32,
        /// How many messages the request had that they saw.
        messages: usize,
        /// What they changed, or why the request must not be sent.
        outcome: Result<Amendment, Problem>,
    },
    /// A policy decided on a call.
    PolicyRuled {
        /// On which call.
        call: CallId,
        /// Which policy.
        policy: String,
        /// What it said.
        ruling: Ruling,
    },
    /// The hooks gave their verdict.
    HookAnswered {
        /// On which call.
        call: CallId,
        /// What they said.
        verdict: Verdict,
    },
    /// A tool came to its end.
    ToolFinished {
        /// For which call.
        call: CallId,
        /// Which start of it.
        attempt: u32,
        /// What it gave.
        outcome: Result<Value, ToolError>,
        /// Where the result is too long for the model: what of it was kept.
        kept: Option<Kept>,
    },
    /// A running tool has something to say.
    ToolEmitted {
        /// In which call.
        call: CallId,
        /// The tool's own type.
        event_type: String,
        /// The tool's own data.
        data: Value,
    },
    /// A running call wants a background job.
    StartJob {
        /// Which call.
        call: CallId,
        /// What the shell is to be given.
        line: String,
    },
    /// A background job is to be gone.
    KillJob {
        /// Which.
        job: JobId,
        /// Who wants it.
        by: String,
    },
    /// The sandbox noticed something of a background job.
    JobTold {
        /// Of which.
        job: JobId,
        /// The sandbox's own type.
        event_type: String,
        /// The sandbox's own data.
        data: Value,
    },
    /// The process of a background job came to its end.
    JobEnded {
        /// Of which.
        job: JobId,
        /// How.
        end: ProcessEnd,
    },
    /// An effect that was no longer wanted is gone from this process.
    EffectGone(EffectKey),
    /// Time has passed.
    Tick,
}

/// Why an input became no fact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The agent does not exist.
    #[error("the agent does not exist")]
    NoAgent,
    /// The agent exists with another template.
    #[error("the agent exists with the template {0}")]
    Exists(TemplateId),
    /// What was said elsewhere can only be the beginning of a history.
    #[error("the agent has a history of its own already; only a new one can take another over")]
    HasHistory,
    /// A history that no model would take.
    #[error("the history cannot be taken over: {0}")]
    BadHistory(String),
    /// The text names no snapshot.
    #[error("this label names no snapshot: {0}")]
    BadLabel(&'static str),
    /// There is a snapshot of that name.
    #[error("the agent has a snapshot {0:?} already; choose another label")]
    SnapshotExists(SnapshotId),
    /// More snapshots than one agent may have.
    #[error("the agent has {0} snapshots, which is as many as there may be")]
    TooManySnapshots(usize),
    /// A run is under way, and the message asked to be refused then.
    #[error("the agent is busy with a run; send with another mode, or wait for its done")]
    Busy,
    /// The same request was accepted before.
    #[error("this request was accepted before as message {message}")]
    Duplicate {
        /// The message that it queued then.
        message: MessageId,
        /// The cursor that was answered then.
        cursor: Cursor,
    },
    /// The idempotency key was used with another body.
    #[error("this idempotency key was used with another body; use a new key for a new request")]
    KeyReused,
    /// A message has nothing in it.
    #[error("a message needs at least one text that is not blank")]
    EmptyMessage,
    /// More messages wait than one agent may keep.
    #[error("too many messages wait for this agent; send again when it has worked some off")]
    QueueFull,
    /// A message holds a call or a result, which are the model's and the tools' to make.
    #[error("a message of the user's holds text blocks only")]
    NotText,
    /// No such call waits for a decision.
    #[error("no call {0} waits for a decision")]
    NoApproval(CallId),
    /// The call was decided before.
    #[error("call {0} was decided before")]
    Decided(CallId),
    /// The call does not wait to be settled.
    #[error(
        "call {0} does not wait to be settled: only one that ran when its writer ended does, after a manual resume"
    )]
    NotUnsettled(CallId),
    /// More background jobs than one agent may have at once.
    #[error("{0} background jobs run, which is as many as there may be; end one first")]
    TooManyJobs(usize),
    /// The call has started one before.
    #[error("this call has started the background job {0} already; one call starts one at most")]
    JobExists(JobId),
    /// No such job runs.
    #[error("no background job {0} runs")]
    NoJob(JobId),
    /// Nothing is under way that could be stopped.
    #[error("the agent is idle")]
    Idle,
    /// The todo list was refused.
    #[error(transparent)]
    Todos(#[from] TodoRefused),
    /// The input belongs to something that has ended.
    #[error("too late: what this belongs to has ended")]
    Stale,
}
