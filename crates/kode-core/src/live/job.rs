//! One run of a background job, and the ear for what the sandbox notices meanwhile.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Surroundings;
use crate::id::JobId;
use crate::machine::Input;
use crate::sandbox::{Command, ProcessEnd, ProcessError, Witness};
use crate::secrets::Secrets;
use crate::tool::Cancel;

/// Runs a job to its end. Dropped, it is killed.
pub(super) async fn run(
    around: Arc<Surroundings>,
    to_driver: mpsc::Sender<Box<Input>>,
    job: JobId,
    command: Command,
    held: Cancel,
) -> Input {
    let ear: Arc<dyn Witness> =
        Arc::new(Ear { job: job.clone(), to_driver, secrets: around.shared.secrets.clone() });
    let run = AssertUnwindSafe(async {
        around.tool_cx.workspace.processes()?.job(&job, &command, held, ear).await
    });
    let end = run.catch_unwind().await.unwrap_or_else(|_| Ok(failed()));
    let end = end.unwrap_or_else(|error: ProcessError| ProcessEnd::Failed { message: error.to_string() });
    Input::JobEnded { job, end }
}

/// A job whose sandbox panicked.
pub(super) fn failed() -> ProcessEnd {
    ProcessEnd::Failed { message: "the sandbox failed inside the server".into() }
}

/// Passes on what is noticed, in order and before the end.
struct Ear {
    job: JobId,
    to_driver: mpsc::Sender<Box<Input>>,
    secrets: Secrets,
}

#[async_trait]
impl Witness for Ear {
    async fn notice(&self, event_type: &str, data: Value) {
        let data = self.secrets.scrub_value(data);
        let told = Input::JobTold { job: self.job.clone(), event_type: event_type.to_owned(), data };
        // Nobody listens any more once the agent is put away.
        let _ = self.to_driver.send(Box::new(told)).await;
    }
}
