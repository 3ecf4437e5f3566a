//! Work that takes the processor for long goes to a thread of its own, so that other agents go on.

use std::panic::resume_unwind;

use kode_core::tool::{ToolCx, ToolError};

/// Runs `work` off the executor. Dropping the future leaves it to end by itself, so it must be bounded; until then it
/// holds the call's cancel flag, so that the runtime knows of it.
pub(crate) async fn offload<T, F>(cx: &ToolCx, work: F) -> Result<T, ToolError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let held = cx.cancel.clone();
    let work = move || {
        let done = work();
        drop(held);
        done
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(gone) if gone.is_panic() => resume_unwind(gone.into_panic()),
        Err(_) => Err(ToolError::new("unavailable", "the runtime is shutting down")),
    }
}
