//! Calls that wait for a person, as the person sees them.

use std::sync::Arc;

use kode_core::id::{AgentId, CallId, Millis};
use kode_core::machine::PendingApproval;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::hex;

/// A call that waits for a person.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OpenApproval")]
pub(crate) struct Approval {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<AgentId>,
    call_id: CallId,
    tool: String,
    input_preview: String,
    /// The whole input: nobody should decide on what they cannot see.
    input: Arc<Value>,
    /// What a decision may name to hold for this input only.
    input_hash: String,
    reason: String,
    requested_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Millis>,
}

impl Approval {
    /// Named by its agent where it stands in a list over all.
    pub(crate) fn of(agent_id: Option<AgentId>, open: &PendingApproval) -> Self {
        let asked = open.call.approval.as_ref();
        Self {
            agent_id,
            call_id: open.call.id.clone(),
            tool: open.call.name.clone(),
            input_preview: open.call.input_preview.clone(),
            input: open.input.clone(),
            input_hash: input_hash(&open.input),
            reason: asked.map(|a| a.reason.clone()).unwrap_or_default(),
            requested_at: asked.map(|a| a.requested_at).unwrap_or_default(),
            expires_at: asked.and_then(|a| a.expires_at),
        }
    }
}

/// The digest of an input's JSON, as an approval shows it: without white space.
pub(crate) fn input_hash(input: &Value) -> String {
    hex::sha256(input.to_string().as_bytes())
}

/// Calls that wait for a person.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Approvals {
    pub(crate) approvals: Vec<Approval>,
}
