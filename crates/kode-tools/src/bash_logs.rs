//! `bash_logs`: what a background job wrote, and how it stands.

use async_trait::async_trait;
use kode_core::id::JobId;
use kode_core::sandbox::{JobLog, ProcessError};
use kode_core::tool::{ToolCx, ToolError, ToolTraits, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::{job, of_process, status};

/// Most bytes of one part, so that a result stays below what the runtime would cut.
const PART_MAX: usize = 32 * 1024;

/// Reads what background jobs wrote.
#[derive(Debug, Clone, Copy)]
pub struct BashLogs;

/// What to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The shell_id that bash_run returned.
    shell_id: String,
    /// The place to read from: 0 for the beginning, or a `next` of before. By default where your last bash_logs of this
    /// shell ended.
    #[serde(default)]
    #[schemars(with = "u64")]
    since: Option<u64>,
}

#[async_trait]
impl TypedTool for BashLogs {
    type Args = Args;
    const NAME: &'static str = "bash_logs";
    const DESCRIPTION: &'static str = "Read what a background command wrote, also while it runs. Returns its status \
        (running, exited with its code, signaled, timed_out, over_limit, failed, killed, or lost when the server \
        stopped) and the stdout and stderr since your last bash_logs of it, or from `since` on. `next` is the place \
        behind what is returned; `more` says that there is more already, `dropped` how many bytes were not kept. \
        Where your reading ended is remembered while the server keeps you in memory; after that it begins anew.";
    const TRAITS: ToolTraits = ToolTraits { readonly: true, replayable: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let id = JobId::new(args.shell_id);
        // Before its output: what it wrote before its end is then in what is read.
        let job = job(cx, &id)?;
        let since = args.since.unwrap_or_else(|| cx.host.read_up_to(&id));
        let (log, kept) = match cx.workspace.processes().map_err(of_process)?.logs(&id, since, PART_MAX).await
        {
            Ok(log) => (log, true),
            // It has written nothing yet.
            Err(ProcessError::NoLog(_)) => (JobLog { next: since, ..JobLog::default() }, job.open()),
            Err(error) => return Err(of_process(error)),
        };
        cx.host.set_read_up_to(&id, log.next);
        let mut told = status(&job);
        told.insert("stdout".into(), String::from_utf8_lossy(&log.stdout).into());
        told.insert("stderr".into(), String::from_utf8_lossy(&log.stderr).into());
        told.insert("next".into(), log.next.into());
        let more = [
            (log.dropped > 0).then(|| ("dropped", json!(log.dropped))),
            log.more.then_some(("more", json!(true))),
            (!kept).then(|| ("note", json!("what it wrote is not kept any more"))),
        ];
        told.extend(more.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)));
        Ok(told.into())
    }
}
