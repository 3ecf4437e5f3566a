//! The record of one tool call, as events and the store show it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{CallId, Millis};

/// Longest preview of a call's input, in characters.
pub const PREVIEW_CHARS: usize = 200;

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CallState {
    /// Asked for by the model.
    Pending,
    /// Waits for a person.
    ApprovalRequired,
    /// Allowed by a person.
    Approved,
    /// Running.
    Executing,
    /// Ended well.
    Completed,
    /// Ended with an error.
    Failed,
    /// Refused by a person or by policy.
    Denied,
    /// Closed from outside: interrupted, or unknown after a crash.
    Sealed,
}

impl CallState {
    /// How a call ended, as metrics and traces name it: what has not ended well, or been refused or closed, failed.
    #[must_use]
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Denied => "denied",
            Self::Sealed => "sealed",
            Self::Failed | Self::Pending | Self::ApprovalRequired | Self::Approved | Self::Executing => {
                "failed"
            }
        }
    }
}

/// What a person or an expiry said of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The call may run.
    Allow,
    /// It may not.
    Deny,
}

/// The approval of a call, where one was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Why it was asked for.
    pub reason: String,
    /// When.
    pub requested_at: Millis,
    /// When it counts as denied; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
    /// The decision, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// What they said to it; the model reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One line of a call's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Audit {
    /// The state entered.
    pub state: CallState,
    /// When.
    pub timestamp: Millis,
    /// Why, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One tool call: what the model asked for and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// The tool's name.
    pub name: String,
    /// Where it stands.
    pub state: CallState,
    /// The input's JSON as text, at most 200 characters.
    pub input_preview: String,
    /// The approval, where one was asked for.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// What it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// How many bytes of the result are kept beside the journal, where it holds only head and tail of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_bytes: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it failed.
    #[serde(default)]
    pub is_error: bool,
    /// The sandbox level at which it ran, where its tool runs processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// When the tool was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// When the call ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Millis>,
    /// From start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Its states, in order.
    #[serde(default)]
    pub audit_trail: Vec<Audit>,
}

impl Call {
    /// A call as the model asked for it.
    #[must_use]
    pub fn asked(id: CallId, name: impl Into<String>, input: &Value, at: Millis) -> Self {
        Self {
            id,
            name: name.into(),
            state: CallState::Pending,
            input_preview: preview(input),
            approval: None,
            result: None,
            kept_bytes: None,
            error: None,
            is_error: false,
            sandbox: None,
            started_at: None,
            completed_at: None,
            duration_ms: None,
            audit_trail: vec![Audit { state: CallState::Pending, timestamp: at, note: None }],
        }
    }

    /// The same call in its next state, with a line in its history.
    #[must_use]
    pub fn entering(mut self, state: CallState, at: Millis, note: Option<String>) -> Self {
        self.state = state;
        self.audit_trail.push(Audit { state, timestamp: at, note });
        self
    }
}

/// A call's input as JSON text, cut to [`PREVIEW_CHARS`] characters.
#[must_use]
pub fn preview(input: &Value) -> String {
    let text = input.to_string();
    match text.char_indices().nth(PREVIEW_CHARS) {
        None => text,
        Some(_) => {
            let cut = text.char_indices().nth(PREVIEW_CHARS - 1).map_or(text.len(), |(at, _)| at);
            format!("{}…", &text[..cut])
        }
    }
}
