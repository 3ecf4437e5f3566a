//! What facts are made of: shapes that more than one of them, or the state, holds. Bound to old journals like
//! the facts themselves; no behaviour.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::Call;
use crate::event::{AgentState, Breakpoint, Problem};
use crate::id::{Cursor, Millis, Seq};
use crate::message::{Message, Usage};
use crate::tool::ToolTraits;

/// State and breakpoint, before and after. A fact that moves the agent has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Before.
    pub from: (AgentState, Breakpoint),
    /// After.
    pub to: (AgentState, Breakpoint),
}

/// What happens to a message that arrives while a run is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SendMode {
    /// It starts the next turn.
    #[default]
    Queue,
    /// The model sees it at the next point where every call has its result.
    Steer,
    /// It stops the run, then runs.
    Interrupt,
    /// It is refused.
    Reject,
}

/// A client's name for one request, so that a repeat is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// A digest of the body that came with it.
    pub digest: String,
}

/// One piece of a streamed answer: one event each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkPart {
    /// Reasoning begins.
    ThinkStart,
    /// A piece of reasoning.
    Think(String),
    /// Reasoning is over.
    ThinkEnd,
    /// Text begins.
    TextStart,
    /// A piece of text.
    Text(String),
    /// Text is over; the whole block.
    TextEnd(String),
    /// What the step has shown so far is void, and why; what stands follows.
    Void(String),
}

/// An event that an elided run still tells, as it was told at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its cursor.
    pub cursor: Cursor,
    /// The entry that told it.
    pub seq: Seq,
    /// When that was made.
    pub at: Millis,
    /// What it says: the start or the end of a block.
    pub part: ChunkPart,
}

/// A call that the model asked for, with what was found out about it before the machine saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewCall {
    /// The record as told.
    pub call: Call,
    /// The whole input; a JSON string with the raw text where it was no JSON object.
    pub input: Value,
    /// What the tool declares; absent where there is no such tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<ToolTraits>,
    /// Why the call cannot run: unknown tool, wrong or cut arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<CallProblem>,
}

/// Why a call cannot run, in the model's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallProblem {
    /// Stable.
    pub code: String,
    /// What and why.
    pub message: String,
    /// What the model can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Why a run is being stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Stop {
    /// Someone asked.
    Interrupt {
        /// What they said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// Who.
        by: String,
    },
    /// A limit of the turn was reached.
    Limit {
        /// Which, and how much.
        problem: Problem,
    },
}

/// What a compaction leaves out, keeps and cuts. Messages are named by their places in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionPlan {
    /// Messages before this place are left out of the prompt.
    pub up_to: usize,
    /// But these, which stay whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<usize>,
    /// Most bytes of a tool's result in what is left, for the results there are now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<u32>,
    /// Estimated tokens that the summary may take; 0 where nothing more is left out, and no summary made.
    pub room: u64,
}

/// What stands for the left out part of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CondensedBy {
    /// A summary by the model.
    Model,
    /// An excerpt made without it.
    Excerpt,
    /// Nothing more is left out, only results are cut.
    Cut,
}

/// A compaction that came to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compacted {
    /// Which compaction.
    pub nth: u32,
    /// Which attempt gave the summary; 0 where none was made.
    pub attempt: u32,
    /// What is left out, kept and cut.
    pub plan: CompactionPlan,
    /// What stands for the part that is left out.
    pub by: CondensedBy,
    /// What the model reads before the summary.
    pub preface: String,
    /// What stands for the part that is left out.
    pub summary: String,
    /// What the model reads of the open todos; empty if there are none.
    pub todos: String,
    /// Tokens of the prompt before, as estimated.
    pub before: u64,
    /// And after.
    pub after: u64,
    /// What the summary cost.
    #[serde(default)]
    pub usage: Usage,
}

/// What a model reads of a history that was condensed elsewhere. Places count from the beginning of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// How many compactions there were.
    pub nth: u32,
    /// The message that stands for what is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Messages before this place are left out.
    pub up_to: usize,
    /// But these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<usize>,
    /// Most bytes of a tool's result, and the place before which they are cut so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<(u32, usize)>,
    /// How long the history was.
    pub len: usize,
}

/// Why the model was reminded of the todo list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReminderReason {
    /// A turn began with open items.
    Start,
    /// Many steps went by without a change of the list.
    Steps,
    /// The list is empty: told once, that there is one.
    Empty,
}

/// Why a model call ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelFailure {
    /// Our class, as text.
    pub code: String,
    /// For a person.
    pub message: String,
    /// The provider's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_code: Option<String>,
}
