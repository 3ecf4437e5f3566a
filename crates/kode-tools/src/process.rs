//! What the tools that run processes share: how a failure is told to the model, and how a job is.

use std::sync::Arc;

use async_trait::async_trait;
use kode_core::id::{CallId, JobId};
use kode_core::machine::Job;
use kode_core::sandbox::{ProcessError, Witness};
use kode_core::tool::{JobRefused, ToolCx, ToolError, ToolHost};
use serde_json::{Map, Value};

/// The model's view of a process that there is none of.
pub(crate) fn of_process(error: ProcessError) -> ToolError {
    let message = error.to_string();
    match error {
        ProcessError::Unavailable { hint, .. } => ToolError::new("sandbox_unavailable", message)
            .hint(format!("go on without running commands, and tell the user: {hint}")),
        ProcessError::TooMany(_) => ToolError::new("too_many_processes", message)
            .hint("wait until others have ended, or end a background job with bash_kill"),
        ProcessError::NoLog(_) => {
            ToolError::new("no_output", message).hint("go on without it, or run the command again")
        }
        ProcessError::Io(_) => {
            ToolError::new("io", message).hint("try once more; if it fails again, tell the user")
        }
    }
}

/// The model's view of a job that there is none of.
pub(crate) fn of_job(refused: JobRefused) -> ToolError {
    let message = refused.to_string();
    match refused {
        JobRefused::TooMany(_) => {
            ToolError::new("too_many_shells", message).hint("end one with bash_kill, then start this one")
        }
        JobRefused::Exists(_) | JobRefused::Unavailable(_) => {
            ToolError::new("unavailable", message).hint("go on without it, or try again later")
        }
    }
}

/// A job of this agent's. No other agent's is ever there.
pub(crate) fn job(cx: &ToolCx, id: &JobId) -> Result<Job, ToolError> {
    let known = cx.host.jobs();
    known.iter().find(|job| &job.id == id).cloned().ok_or_else(|| {
        let ids: Vec<&str> = known.iter().map(|job| job.id.as_str()).collect();
        let hint = match ids.is_empty() {
            true => "there is none; start one with bash_run and background".to_owned(),
            false => format!("those there are: {}", ids.join(", ")),
        };
        ToolError::new("unknown_shell", format!("there is no shell {id}")).hint(hint)
    })
}

/// How a job stands: its status in a word, with its code, signal, message or who ended it.
pub(crate) fn status(job: &Job) -> Map<String, Value> {
    let end = job.end.as_ref().map(|(end, _)| end);
    let status = end.map_or("running", |end| end.status());
    let detail = end.and_then(|end| end.detail());
    let fields = [("status", Value::from(status))].into_iter().chain(detail);
    fields.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Passes on to the monitor channel what the sandbox notices during a call.
pub(crate) struct Emits {
    host: Arc<dyn ToolHost>,
    call: CallId,
}

impl Emits {
    pub(crate) fn of(cx: &ToolCx) -> Arc<dyn Witness> {
        Arc::new(Self { host: cx.host.clone(), call: cx.call.clone() })
    }
}

#[async_trait]
impl Witness for Emits {
    async fn notice(&self, event_type: &str, data: Value) {
        self.host.emit(&self.call, event_type, data).await;
    }
}
