//! `bash_kill`: the end of a background job.

use async_trait::async_trait;
use kode_core::id::JobId;
use kode_core::tool::{ToolCx, ToolError, ToolTraits, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::process::{job, of_job, status};

/// Ends background jobs.
#[derive(Debug, Clone, Copy)]
pub struct BashKill;

/// What to end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The shell_id that bash_run returned.
    shell_id: String,
}

#[async_trait]
impl TypedTool for BashKill {
    type Args = Args;
    const NAME: &'static str = "bash_kill";
    const DESCRIPTION: &'static str = "End a background command with everything that it started. Returns when it is \
        gone: whether it was killed now, and its status. One that had ended before is left as it is (killed: false).";
    const TRAITS: ToolTraits = ToolTraits { replayable: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let id = JobId::new(args.shell_id);
        let was_running = job(cx, &id)?.open() && cx.host.kill_job(&id).await.map_err(of_job)?;
        let mut told = status(&job(cx, &id)?);
        // It may have ended by itself in that moment.
        let killed = was_running && told["status"] == "killed";
        told.insert("killed".into(), killed.into());
        Ok(told.into())
    }
}
