//! What the outside sees of an agent: envelopes on three channels, each named by a cursor.
//!
//! The shapes are a public contract. Events are made by [`crate::machine::project`] alone; nothing here
//! decides when one is told.

mod weight;
mod with_channel;

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::{Call, Decision};
use crate::fact::ReminderReason;
use crate::id::{AgentId, CallId, Cursor, MessageId, Millis, Seq, TemplateId};
use crate::message::Usage;
use crate::todo::Todo;

/// Whether an agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AgentState {
    /// At rest.
    #[default]
    Ready,
    /// In a turn.
    Working,
    /// In a turn that waits for approvals only.
    Paused,
}

/// Where in a turn an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Breakpoint {
    /// At rest.
    #[default]
    Ready,
    /// About to ask the model.
    PreModel,
    /// The model answers.
    StreamingModel,
    /// Tool calls are known, none has started.
    ToolPending,
    /// Waits for a person.
    AwaitingApproval,
    /// Hooks look at a call.
    PreTool,
    /// Tools run.
    ToolExecuting,
    /// All calls of the step have their results.
    PostTool,
}

/// The three channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// What the user watches: text, tools, `done`.
    Progress,
    /// What a person must answer.
    Control,
    /// What an operator watches.
    Monitor,
}

impl Channel {
    const ALL: [(Self, &'static str, u8); 3] =
        [(Self::Progress, "progress", 1), (Self::Control, "control", 2), (Self::Monitor, "monitor", 4)];

    fn bit(self) -> u8 {
        match self {
            Self::Progress => 1,
            Self::Control => 2,
            Self::Monitor => 4,
        }
    }
}

/// A set of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels(u8);

impl Channels {
    /// Every channel.
    pub const ALL: Self = Self(7);

    /// The set of these channels.
    #[must_use]
    pub fn of(channels: &[Channel]) -> Self {
        Self(channels.iter().fold(0, |set, c| set | c.bit()))
    }

    /// Whether the set has the channel.
    #[must_use]
    pub fn has(self, channel: Channel) -> bool {
        self.0 & channel.bit() != 0
    }
}

impl Default for Channels {
    /// Progress and monitor.
    fn default() -> Self {
        Self::of(&[Channel::Progress, Channel::Monitor])
    }
}

/// A name that is no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a channel; channels are progress, control, monitor")]
pub struct UnknownChannel(pub String);

impl FromStr for Channels {
    type Err = UnknownChannel;
    /// Reads a comma list such as `progress,control`.
    fn from_str(list: &str) -> Result<Self, Self::Err> {
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).try_fold(Self(0), |set, name| {
            let known = Channel::ALL.iter().find(|(_, n, _)| *n == name);
            known.map(|(_, _, bit)| Self(set.0 | bit)).ok_or_else(|| UnknownChannel(name.to_owned()))
        })
    }
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DoneReason {
    /// With an answer.
    Completed,
    /// By an interrupt.
    Interrupted,
    /// By a failure of the model.
    Failed,
    /// By a limit.
    Limit,
}

impl DoneReason {
    /// As events, metrics and traces name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Limit => "limit",
        }
    }
}

/// A stable code and a sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// Stable, for programs.
    pub code: String,
    /// For a person: what and why.
    pub message: String,
}

/// How bad an `error` event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something was tried again or refused.
    Warn,
    /// Something was lost to the user.
    Error,
}

/// Where an `error` event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrorPhase {
    /// The model.
    Model,
    /// A tool.
    Tool,
    /// The runtime.
    System,
    /// Creation, resume, shutdown.
    Lifecycle,
}

/// How far a compaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CompressionPhase {
    /// It begins.
    Start,
    /// It is done. One that was interrupted has no end: nothing has changed.
    End,
}

/// What a reminder is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReminderCategory {
    /// The todo list.
    Todo,
}

/// One thing that happened, as told to the outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[schemars(transform = with_channel::describe)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are the contract of docs/api.md, named there one by one")]
pub enum Event {
    /// The model begins to think aloud (only with the template's `expose_thinking`).
    ThinkChunkStart { step: u32 },
    /// A piece of reasoning.
    ThinkChunk { step: u32, delta: String },
    /// The reasoning is over.
    ThinkChunkEnd { step: u32 },
    /// A block of text begins.
    TextChunkStart { step: u32 },
    /// A piece of text.
    TextChunk { step: u32, delta: String },
    /// The block is whole.
    TextChunkEnd { step: u32, text: String },
    /// The text shown since the step began is void.
    TextReset { step: u32, reason: String },
    /// The model asked for a call.
    #[serde(rename = "tool:start")]
    ToolStart { call: Box<Call> },
    /// The call is over, whatever became of it.
    #[serde(rename = "tool:end")]
    ToolEnd { call: Box<Call> },
    /// The call failed; comes before its end.
    #[serde(rename = "tool:error")]
    ToolError { call: Box<Call>, error: String },
    /// The turn is over: its last event on every channel.
    Done {
        step: u32,
        message_ids: Vec<MessageId>,
        reason: DoneReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Problem>,
        /// Whether the agent comes to rest with it: for readers in process, not part of the wire form.
        #[serde(skip)]
        at_rest: bool,
    },
    /// A call waits for a person.
    PermissionRequired { call: Box<Call>, reason: String },
    /// A person, a policy or an expiry decided.
    PermissionDecided {
        call_id: CallId,
        decision: Decision,
        decided_by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The agent's state changed.
    StateChanged { old: AgentState, new: AgentState, state: AgentState },
    /// The agent's breakpoint changed.
    BreakpointChanged { previous: Breakpoint, current: Breakpoint },
    /// One round of model and tools is over.
    StepComplete { step: u32, duration_ms: u64 },
    /// Something went wrong.
    Error {
        severity: Severity,
        phase: ErrorPhase,
        code: String,
        message: String,
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        detail: Map<String, Value>,
    },
    /// What a model call cost.
    TokenUsage {
        #[serde(flatten)]
        usage: Usage,
    },
    /// A tool ran.
    ToolExecuted { call: Box<Call> },
    /// The agent exists.
    AgentCreated { template_id: TemplateId },
    /// The agent exists as a fork: it takes over what `from` was at the entry `at`. Those who do not reach `from` are
    /// not told its name.
    #[schemars(transform = with_channel::may_lack_from)]
    AgentForked { from: AgentId, at: Seq },
    /// A new writer took the agent up.
    AgentResumed { strategy: String, sealed: Vec<CallId> },
    /// The history is being condensed, or was.
    ContextCompression {
        phase: CompressionPhase,
        /// Size after by size before; at the end only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ratio: Option<f64>,
        /// What stands for what is left out; at the end only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
    },
    /// The model is reminded of the todo list.
    TodoReminder { todos: Vec<Todo>, reason: ReminderReason },
    /// The reminder as the model reads it.
    ReminderSent { category: ReminderCategory, content: String },
    /// The todo list changed.
    TodoChanged { previous: Vec<Todo>, current: Vec<Todo> },
    /// A tool had something of its own to say.
    ToolCustomEvent { call_id: CallId, tool: String, event_type: String, data: Value },
}

impl Event {
    /// The channel that it is told on.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match self {
            Self::ThinkChunkStart { .. }
            | Self::ThinkChunk { .. }
            | Self::ThinkChunkEnd { .. }
            | Self::TextChunkStart { .. }
            | Self::TextChunk { .. }
            | Self::TextChunkEnd { .. }
            | Self::TextReset { .. }
            | Self::ToolStart { .. }
            | Self::ToolEnd { .. }
            | Self::ToolError { .. }
            | Self::Done { .. } => Channel::Progress,
            Self::PermissionRequired { .. } | Self::PermissionDecided { .. } => Channel::Control,
            Self::StateChanged { .. }
            | Self::BreakpointChanged { .. }
            | Self::StepComplete { .. }
            | Self::Error { .. }
            | Self::TokenUsage { .. }
            | Self::ToolExecuted { .. }
            | Self::AgentCreated { .. }
            | Self::AgentForked { .. }
            | Self::AgentResumed { .. }
            | Self::ContextCompression { .. }
            | Self::TodoReminder { .. }
            | Self::ReminderSent { .. }
            | Self::TodoChanged { .. }
            | Self::ToolCustomEvent { .. } => Channel::Monitor,
        }
    }
}

/// Where in the journal an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Bookmark {
    /// The entry that tells it.
    pub seq: Seq,
    /// When the entry was made.
    pub timestamp: Millis,
}

/// An event with its place: one shape on every wire.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Envelope {
    /// Its name among the agent's events.
    pub cursor: Cursor,
    /// Its place in the journal.
    pub bookmark: Bookmark,
    /// What happened.
    #[serde(with = "with_channel")]
    #[schemars(with = "Event")]
    pub event: Event,
    #[serde(skip)]
    json: OnceLock<Box<str>>,
}

impl Envelope {
    /// An event at its place.
    #[must_use]
    pub fn new(cursor: Cursor, bookmark: Bookmark, event: Event) -> Self {
        Self { cursor, bookmark, event, json: OnceLock::new() }
    }

    /// The wire form, made once and shared by every reader.
    #[must_use]
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| {
            serde_json::to_string(self).expect("an envelope has string keys and no failing serializer").into()
        })
    }
}

impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        (self.cursor, self.bookmark, &self.event) == (other.cursor, other.bookmark, &other.event)
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("cursor", &self.cursor).field("event", &self.event).finish()
    }
}
