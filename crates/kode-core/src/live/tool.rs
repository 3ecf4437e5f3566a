//! One run of a tool: the call itself, the hooks on what it gave, and the place for what is too long for the model.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::Value;

use super::{Surroundings, says};
use crate::hook::{HookCall, Outcome};
use crate::machine::{Input, Kept, RESULT_MAX, text_of};
use crate::store::{BLOB_MAX, BlobName};
use crate::tool::{ToolCx, ToolError};

/// Runs a tool to its end.
pub(super) async fn run(
    around: Arc<Surroundings>,
    cx: ToolCx,
    name: String,
    input: Arc<Value>,
    attempt: u32,
) -> Input {
    let call = cx.call.clone();
    let shown = HookCall { agent: cx.agent.clone(), call: call.clone(), tool: name, input };
    let outcome = match around.shared.stuck.admit(&cx.agent, &shown.tool) {
        Ok(()) => says::post_tool(&around, &shown, execute(&around, &cx, &shown).await).await,
        Err(refused) => Err(refused),
    };
    // Behind the hooks, so that nothing is added after it, and before the result is written anywhere.
    let outcome = around.shared.secrets.scrub_outcome(outcome);
    let kept = keep(&around, &shown, &outcome).await;
    Input::ToolFinished { call, attempt, outcome, kept }
}

async fn execute(around: &Surroundings, cx: &ToolCx, shown: &HookCall) -> Outcome {
    let Some(tool) = around.kit.tool(&shown.tool) else {
        return Err(ToolError::new("unknown_tool", format!("there is no tool {:?} any more", shown.tool)));
    };
    let run = AssertUnwindSafe(tool.call(cx, (*shown.input).clone()));
    run.catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
}

/// A tool that panicked.
pub(super) fn panicked() -> ToolError {
    let message = "the tool failed inside the server; it may have taken effect in part";
    ToolError::new("tool_panicked", message)
}

/// Keeps a result that is too long for the model beside the journal, before the fact that tells where it is. A store
/// that does not take it costs the model the rest of the result, and nothing else.
async fn keep(around: &Surroundings, shown: &HookCall, outcome: &Outcome) -> Option<Kept> {
    let text = outcome.as_ref().ok().map(text_of).filter(|text| text.len() > RESULT_MAX)?;
    let whole = text.len() <= BLOB_MAX;
    let end = text.floor_char_boundary(BLOB_MAX);
    let bytes = Bytes::from(text).slice(..end);
    let name = BlobName::of_result(&shown.call).ok()?;
    match around.shared.store.put_blob(&around.lease, &name, &bytes).await {
        Ok(()) => Some(Kept { bytes: bytes.len() as u64, whole }),
        Err(error) => {
            tracing::warn!(agent = %shown.agent, call = %shown.call, %error, "a long result was not kept");
            None
        }
    }
}
