//! One attempt at the model: its pieces as they come, then the whole answer as the hooks leave it.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{Surroundings, cut_short, says};
use crate::hook::Answer;
use crate::machine::{Delta, FoundCall, Input};
use crate::message::{Block, Usage};
use crate::model::{AskedCall, Finish, ModelError, ModelEvent, ModelRequest};

/// Asks the model, and tells its pieces.
pub(super) async fn ask(
    around: Arc<Surroundings>,
    request: ModelRequest,
    pieces: mpsc::Sender<Input>,
    step: u32,
    attempt: u32,
) -> Input {
    match converse(&around, request, &pieces, step, attempt).await {
        Ok(finished) => finished,
        Err(error) => Input::ModelFailed { step, attempt, error },
    }
}

async fn converse(
    around: &Surroundings,
    request: ModelRequest,
    pieces: &mpsc::Sender<Input>,
    step: u32,
    attempt: u32,
) -> Result<Input, ModelError> {
    let mut stream = around.shared.model.stream(request).await?;
    let mut content = Vec::new();
    while let Some(event) = stream.next().await {
        let delta = match event? {
            ModelEvent::Thinking(text) => Delta::Thinking(text),
            ModelEvent::Text(text) => Delta::Text(text),
            ModelEvent::Finished { calls, finish, usage } => {
                return finished(around, (step, attempt), (content, calls), finish, usage).await;
            }
        };
        collect(&mut content, &delta);
        // A driver that is gone reads no more; the task is aborted soon.
        let _ = pieces.send(Input::ModelDeltas { step, attempt, deltas: vec![delta] }).await;
    }
    Err(cut_short())
}

async fn finished(
    around: &Surroundings,
    (step, attempt): (u32, u32),
    (content, calls): (Vec<Block>, Vec<AskedCall>),
    finish: Finish,
    usage: Option<Usage>,
) -> Result<Input, ModelError> {
    let (answer, edited) = says::post_model(around, Answer { content, calls }).await?;
    let calls: Vec<FoundCall> = answer.calls.into_iter().map(|asked| around.kit.find(asked)).collect();
    let content = answer.content.into_iter().filter(is_said).collect();
    let usage = usage.unwrap_or_default();
    Ok(Input::ModelFinished { step, attempt, content, calls, finish, usage, edited })
}

/// Calls and results are not a hook's to put into content: each call gets its one result.
fn is_said(block: &Block) -> bool {
    matches!(block, Block::Text { .. } | Block::Thinking { .. })
}

fn collect(content: &mut Vec<Block>, delta: &Delta) {
    match (content.last_mut(), delta) {
        (Some(Block::Thinking { text }), Delta::Thinking(more))
        | (Some(Block::Text { text }), Delta::Text(more)) => {
            text.push_str(more);
        }
        (_, Delta::Thinking(text)) => content.push(Block::Thinking { text: text.clone() }),
        (_, Delta::Text(text)) => content.push(Block::Text { text: text.clone() }),
    }
}
