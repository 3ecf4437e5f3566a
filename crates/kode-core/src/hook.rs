//! The hook port: a host's own say before and after each tool call and each request to the model.
//!
//! A hook is an effect like a tool. What it decides or changes is part of a fact, so a replay does not ask
//! again and sees what was seen then. What never belongs here: when a hook is asked, which is the machine's.

mod amendment;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::amendment::{AMENDMENT_MAX, Amendment};
use crate::id::{AgentId, CallId};
use crate::message::{Block, Message};
use crate::model::{AskedCall, ModelRequest};
use crate::pages::Pages;
use crate::tool::ToolError;

/// What a hook or a policy is shown of a call.
#[derive(Debug, Clone)]
pub struct HookCall {
    /// Whose call.
    pub agent: AgentId,
    /// Which call.
    pub call: CallId,
    /// The tool's name.
    pub tool: String,
    /// The whole input.
    pub input: Arc<Value>,
}

/// What a hook says of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing against it.
    Continue,
    /// A person must decide.
    Ask {
        /// Why; the approver reads it.
        reason: String,
    },
    /// It must not run.
    Deny {
        /// Why; the model reads it.
        reason: String,
    },
    /// It need not run: this is its result.
    Result {
        /// The result.
        value: Value,
    },
}

/// What a tool gave.
pub type Outcome = Result<Value, ToolError>;

/// What a model answered, before it becomes history.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Text and reasoning, in order. Other blocks are left out: calls are in `calls`, and results are the tools'
    /// to make.
    pub content: Vec<Block>,
    /// The calls that it asks for, in order. Each is looked up and checked after the last hook, and gets its one
    /// result, so none of them can be lost by a change.
    pub calls: Vec<AskedCall>,
}

/// Which of its methods a hook has. The others are not called and cost nothing: a turn without any hook is two
/// appends to the journal, and [`Hook::pre_model`] and [`Hook::pre_tool`] are one more each time they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is the method of its name")]
pub struct HookPoints {
    /// [`Hook::pre_tool`].
    pub pre_tool: bool,
    /// [`Hook::post_tool`].
    pub post_tool: bool,
    /// [`Hook::pre_model`].
    pub pre_model: bool,
    /// [`Hook::post_model`].
    pub post_model: bool,
    /// [`Hook::messages_changed`].
    pub messages_changed: bool,
}

impl HookPoints {
    /// Every method.
    pub const ALL: Self =
        Self { pre_tool: true, post_tool: true, pre_model: true, post_model: true, messages_changed: true };
    /// None.
    pub const NONE: Self = Self {
        pre_tool: false,
        post_tool: false,
        pre_model: false,
        post_model: false,
        messages_changed: false,
    };
}

/// A host's own say. Hooks are asked one after the other: those that a tool brings, those of the template, those
/// of the runtime, each in the order of their registration.
///
/// A hook that panics, or does not answer within the template's `hook_timeout_secs`, spoils only what it looked
/// at, and never by letting it pass: the call is denied, the result is an error that says that the tool ran, the
/// turn fails with `hook_failed`. An interrupt drops a hook's future. After a crash a hook may be asked again
/// about what was not yet durable, so it should not count on being asked once.
#[async_trait]
pub trait Hook: Send + Sync + 'static {
    /// Which of the methods below it has; asked once, when the runtime is built.
    fn points(&self) -> HookPoints {
        HookPoints::ALL
    }

    /// Looks at a call that policy did not refuse, before any approval. The first hook that has something to say
    /// says it; the others are not asked.
    async fn pre_tool(&self, call: &HookCall) -> Verdict {
        let _ = call;
        Verdict::Continue
    }

    /// Looks at what a tool gave before it is written down and before the model reads it, and replaces it with
    /// what it returns. Each hook sees what the one before it made of it. Not asked where no tool came to an end:
    /// a refusal, a time-out, an interrupt, another hook's [`Verdict::Result`].
    async fn post_tool(&self, call: &HookCall, outcome: &Outcome) -> Option<Outcome> {
        let _ = (call, outcome);
        None
    }

    /// Looks at the request of a step before it is sent, and says what to change in it. Asked once a step: a
    /// retry and a replay see the same. Each hook sees the request as the one before it changed it.
    async fn pre_model(&self, agent: &AgentId, request: &ModelRequest) -> Amendment {
        let _ = (agent, request);
        Amendment::default()
    }

    /// Looks at a whole answer before it is written down, and replaces it with what it returns. Pieces of it were
    /// shown as they came; where its text changes, what was shown is declared void (`text_reset`) and the new text
    /// is told. An answer without text and calls is no answer, and is asked for once more.
    async fn post_model(&self, agent: &AgentId, answer: &Answer) -> Option<Answer> {
        let _ = (agent, answer);
        None
    }

    /// Is told that the history grew: `messages[from..]` are new, and durable. Told in order, behind the agent's
    /// back: it delays nothing, changes nothing, and hears of several changes at once when it is slow. A process
    /// that dies tells no more; who must not miss one follows the events.
    async fn messages_changed(&self, agent: &AgentId, messages: &Pages<Message>, from: usize) {
        let _ = (agent, messages, from);
    }
}
