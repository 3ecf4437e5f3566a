//! What facts are made of: shapes that more than one of them, or the state, holds. Bound to old journals like
//! the facts themselves; no behaviour.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::Call;
use crate::event::{AgentState, Breakpoint, Problem};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
