//! One attempt at the model: its pieces as they come, then the whole answer as the hooks leave it.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use super::{Surroundings, cut_short, says};
use crate::hook::Answer;
use crate::machine::{Delta, FoundCall, Input};
use crate::message::{Block, Usage};
use crate::model::{AskedCall, Finish, ModelError, ModelEvent, ModelRequest, ModelStream};

/// Most pieces handed on at once.
const BURST: usize = 256;
/// Of their text so many bytes, and the piece with which they are reached. They share an entry of the journal, and who
/// reads a part of it reads it whole.
const BURST_BYTES: usize = 32 << 10;

/// Whether what comes behind these is not to share their entry.
pub(super) fn is_full(deltas: &[Delta]) -> bool {
    deltas.len() >= BURST || deltas.iter().map(Delta::weight).sum::<usize>() >= BURST_BYTES
}

/// Asks the model, and tells its pieces.
pub(super) async fn ask(
    around: Arc<Surroundings>,
    request: ModelRequest,
    pieces: mpsc::Sender<Box<Input>>,
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
    pieces: &mpsc::Sender<Box<Input>>,
    step: u32,
    attempt: u32,
) -> Result<Input, ModelError> {
    let model = request.model.clone();
    let mut stream = around.shared.model.stream(request).await?;
    let mut content = Vec::new();
    loop {
        let (deltas, end) = burst(&mut stream).await;
        deltas.iter().for_each(|delta| collect(&mut content, delta));
        if !deltas.is_empty() {
            // A driver that is gone reads no more; the task is aborted soon.
            let _ = pieces.send(Box::new(Input::ModelDeltas { step, attempt, deltas })).await;
        }
        if let Some(end) = end {
            let mut end = end?;
            end.usage = end.usage.map(|usage| around.shared.prices.priced(&model, usage));
            return finished(around, (step, attempt), content, end).await;
        }
    }
}

/// The pieces that have come, waiting for the first alone, and what ended them if it is there. What a model sends in one go
/// is handed on in one go: one append, one wake-up of each reader. Whoever fetches the pieces may be a task of its own, so
/// it gets one turn before nothing more is thought to be there; the busier the machine, the more it brings.
async fn burst(stream: &mut ModelStream) -> (Vec<Delta>, Option<Result<End, ModelError>>) {
    let mut deltas = Vec::new();
    let mut next = stream.next().await;
    loop {
        match next {
            Some(Ok(ModelEvent::Began { .. })) => {}
            Some(Ok(ModelEvent::Thinking(text))) => deltas.push(Delta::Thinking(text)),
            Some(Ok(ModelEvent::Text(text))) => deltas.push(Delta::Text(text)),
            Some(Ok(ModelEvent::Finished { calls, finish, usage })) => {
                return (deltas, Some(Ok(End { calls, finish, usage })));
            }
            Some(Err(error)) => return (deltas, Some(Err(error))),
            None => return (deltas, Some(Err(cut_short()))),
        }
        if is_full(&deltas) {
            return (deltas, None);
        }
        next = match ready(stream).await {
            Some(more) => more,
            None => return (deltas, None),
        };
    }
}

async fn ready(stream: &mut ModelStream) -> Option<Option<Result<ModelEvent, ModelError>>> {
    if let Some(next) = stream.next().now_or_never() {
        return Some(next);
    }
    tokio::task::yield_now().await;
    stream.next().now_or_never()
}

/// How a stream ended well.
struct End {
    calls: Vec<AskedCall>,
    finish: Finish,
    usage: Option<Usage>,
}

async fn finished(
    around: &Surroundings,
    (step, attempt): (u32, u32),
    content: Vec<Block>,
    End { calls, finish, usage }: End,
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
