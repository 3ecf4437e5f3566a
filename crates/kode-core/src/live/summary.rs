//! Asks the model for a summary of the history. Nothing of it is told before it is whole.

use std::sync::Arc;

use futures_util::StreamExt;

use super::{Surroundings, cut_short};
use crate::machine::Input;
use crate::model::{ModelError, ModelEvent, ModelRequest};

/// One attempt. Calls that the model asks for are left aside: the request offers no tools.
pub(super) async fn ask(around: Arc<Surroundings>, request: ModelRequest, nth: u32, attempt: u32) -> Input {
    let failed = |error| Input::SummaryFailed { nth, attempt, error };
    summarise(&around, request, nth, attempt).await.unwrap_or_else(failed)
}

async fn summarise(
    around: &Surroundings,
    request: ModelRequest,
    nth: u32,
    attempt: u32,
) -> Result<Input, ModelError> {
    let model = request.model.clone();
    let mut stream = around.shared.model.stream(request).await?;
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        match event? {
            ModelEvent::Began { .. } | ModelEvent::Thinking(_) => {}
            ModelEvent::Text(piece) => text.push_str(&piece),
            ModelEvent::Finished { finish, usage, .. } => {
                let usage = around.shared.prices.priced(&model, usage.unwrap_or_default());
                return Ok(Input::Summarised { nth, attempt, text, finish, usage });
            }
        }
    }
    Err(cut_short())
}
