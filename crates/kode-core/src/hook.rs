//! The hook port: a host's own say on each tool call before it runs.
//!
//! A hook is an effect like a tool: its verdict is a fact, so a replay does not ask again.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{AgentId, CallId};

/// What a hook is shown.
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

/// A host's own say. A hook that panics spoils only the call that it looked at.
#[async_trait]
pub trait Hook: Send + Sync + 'static {
    /// Looks at a call that policy did not refuse, before any approval. Asked once for each call; after a
    /// crash it may be asked again for a call whose verdict was not yet durable.
    async fn pre_tool(&self, call: &HookCall) -> Verdict;
}
